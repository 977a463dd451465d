/**
 * Sorts index entries (a key and the row it names) for an index build: in memory while they fit, in temporary files beyond.
 *
 * A run is columns of numbers over an arena of key bytes. It is sorted by six bytes of the keys at a time, least digit first,
 * behind what all its keys have in common; entries that agree in these six are sorted by the next six, small groups by
 * comparing. Entries come in the order of their rows, and the sort keeps that order among equal keys.
 *
 * Invariants: `add` and each step of the generators are bounded work (a few tenths of a millisecond); entries are given in
 * order of key, then of row.
 */
import { assert, DbError } from "../base/errors.js";

/** A temporary file; `read` at a position. As exec's SpillFile. */
export interface SpillRun {
  write(bytes: Uint8Array): void;
  read(into: Uint8Array, position: number): number;
  readonly size: number;
  close(): void;
}
export type SpillFactory = () => SpillRun;

/**
 * An entry source: the entry at hand lies in `buffer` at `at`, `length` bytes of key and then the row's, and stays there
 * after `next`.
 */
export interface EntryReader {
  readonly buffer: Buffer;
  /** Over the memory of `buffer`. */
  readonly view: DataView;
  readonly at: number;
  readonly length: number;
  /** False at the end. */
  next(): boolean;
  close(): void;
}

const chunkBytes = 1 << 20;
const firstEntries = 1024;
/** Rows are numbers of six bytes, high ones first, as the tree stores them. */
export const rowBytes = 6;
/** Before each key its length, two bytes, low one first. */
const headBytes = 2;
/** What one entry takes beside its bytes: its place; number and two words while it is sorted, twice. */
const entryBytes = 4 + 24;
/** A run is sorted when it has grown to this. */
export const runBytesMax = 80 << 20;
/** Entries handled between two looks at the clock. */
const slice = 16_384;
/** Groups up to this size are sorted by comparing. */
const smallGroup = 48;
const readBytes = 1 << 18;
const windowBytes = 6;

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/** Order of two keys that agree in their first `from` bytes. */
export function compareKeys(
  a: Buffer,
  aAt: number,
  aLength: number,
  b: Buffer,
  bAt: number,
  bLength: number,
  from: number,
): number {
  const least = Math.min(aLength, bLength);
  for (let byte = from; byte < least; byte++) {
    const difference = a[aAt + byte]! - b[bAt + byte]!;
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

function compareEntries(a: EntryReader, b: EntryReader): number {
  const keys = compareKeys(a.buffer, a.at, a.length, b.buffer, b.at, b.length, 0);
  return keys !== 0 ? keys : rowOf(a) - rowOf(b);
}

export function rowOf({ buffer, at, length }: EntryReader): number {
  return buffer.readUIntBE(at + length, rowBytes);
}

/** Where a run stood, to go back to it. */
export interface RunMark {
  readonly count: number;
  readonly chunks: number;
  readonly used: number;
}

class KeyRun {
  count = 0;
  /** Where each entry's bytes begin, counted through all chunks. */
  #places = new Uint32Array(firstEntries);
  readonly #chunks: Buffer[] = [];
  readonly #views: DataView[] = [];
  /** Bytes of the last chunk that are taken. */
  #used = chunkBytes;
  // While it is sorted: entry numbers in their order so far, six bytes of each key in two words of three, and room for a pass.
  #order = new Uint32Array(0);
  #high = new Uint32Array(0);
  #low = new Uint32Array(0);
  #order2 = new Uint32Array(0);
  #high2 = new Uint32Array(0);
  #low2 = new Uint32Array(0);
  /** How often each of the six digits has each value. */
  readonly #counts = new Uint32Array(windowBytes * 256);
  /** Key lengths of the range at hand. */
  #longest = 0;
  #shortest = 0;

  get bytes(): number {
    return this.#chunks.length * chunkBytes + this.count * entryBytes;
  }
  get order(): Uint32Array {
    return this.#order;
  }

  mark(): RunMark {
    return { count: this.count, chunks: this.#chunks.length, used: this.#used };
  }
  back(mark: RunMark): void {
    this.count = mark.count;
    this.#chunks.length = mark.chunks;
    this.#views.length = mark.chunks;
    this.#used = mark.used;
  }

  /** Room for a key of up to `bytes`: it is written into the answer from `keyAt` on, then `added` says how long it is. */
  room(bytes: number): Buffer {
    const needed = headBytes + bytes + rowBytes;
    assert(needed <= chunkBytes, "a key is longer than a chunk");
    if (this.#used + needed > chunkBytes) {
      const chunk = Buffer.allocUnsafeSlow(chunkBytes);
      this.#chunks.push(chunk);
      this.#views.push(viewOf(chunk));
      this.#used = 0;
    }
    this.keyAt = this.#used + headBytes;
    return this.#chunks[this.#chunks.length - 1]!;
  }
  keyAt = 0;

  added(length: number, row: number): void {
    const entry = this.count;
    if (entry === this.#places.length) {
      const places = new Uint32Array(2 * entry);
      places.set(this.#places);
      this.#places = places;
    }
    const used = this.#used;
    const chunk = this.#chunks[this.#chunks.length - 1]!;
    this.#places[entry] = (this.#chunks.length - 1) * chunkBytes + used;
    chunk[used] = length;
    chunk[used + 1] = length >>> 8;
    const high = Math.floor(row / 4294967296);
    const end = used + headBytes + length;
    chunk[end] = high >>> 8;
    chunk[end + 1] = high;
    chunk[end + 2] = row >>> 24;
    chunk[end + 3] = row >>> 16;
    chunk[end + 4] = row >>> 8;
    chunk[end + 5] = row;
    this.#used = end + rowBytes;
    this.count = entry + 1;
  }
  add(key: Buffer, length: number, row: number): void {
    const chunk = this.room(length);
    const at = this.keyAt;
    for (let byte = 0; byte < length; byte++) chunk[at + byte] = key[byte]!;
    this.added(length, row);
  }

  chunkOf(entry: number): Buffer {
    return this.#chunks[this.#places[entry]! >>> 20]!;
  }
  viewOf(entry: number): DataView {
    return this.#views[this.#places[entry]! >>> 20]!;
  }
  /** Where the entry's key begins in its chunk; two bytes before that stands its length. */
  startOf(entry: number): number {
    return (this.#places[entry]! & (chunkBytes - 1)) + headBytes;
  }
  #lengthOf(entry: number): number {
    const chunk = this.chunkOf(entry);
    const at = this.#places[entry]! & (chunkBytes - 1);
    return chunk[at]! | (chunk[at + 1]! << 8);
  }

  /** Sorts; `order` then names the entries in their order. Yields after each bounded piece of work. */
  *sort(): Generator<void> {
    const { count } = this;
    this.#order = new Uint32Array(count);
    this.#high = new Uint32Array(count);
    this.#low = new Uint32Array(count);
    this.#order2 = new Uint32Array(count);
    this.#high2 = new Uint32Array(count);
    this.#low2 = new Uint32Array(count);
    for (let entry = 0; entry < count; entry++) this.#order[entry] = entry;
    yield;
    if (count > 1) {
      let common = this.#lengthOf(0);
      for (let from = 0; from < count; from += slice) {
        common = this.#commonOf(from, Math.min(count, from + slice), common);
        yield;
      }
      // Ranges that agree in the bytes before their depth: [from, to, depth] one after another.
      const ranges = [0, count, common];
      let work = 0;
      while (ranges.length > 0) {
        const depth = ranges.pop()!;
        const to = ranges.pop()!;
        const from = ranges.pop()!;
        if (to - from <= smallGroup) this.#sortSmall(from, to, depth);
        else yield* this.#sortRange(from, to, depth, ranges);
        work += to - from;
        if (work > slice / 4) {
          work = 0;
          yield;
        }
      }
    }
    this.#high = this.#low = this.#order2 = this.#high2 = this.#low2 = new Uint32Array(0);
  }

  /** How many bytes the entries have in common with the first, `common` at most. */
  #commonOf(from: number, to: number, common: number): number {
    const first = this.chunkOf(0);
    const firstAt = this.startOf(0);
    for (let entry = from; entry < to && common > 0; entry++) {
      const chunk = this.chunkOf(entry);
      const at = this.startOf(entry);
      const most = Math.min(common, chunk[at - 2]! | (chunk[at - 1]! << 8));
      let same = 0;
      while (same < most && chunk[at + same] === first[firstAt + same]) same++;
      common = same;
    }
    return common;
  }

  #sortSmall(from: number, to: number, depth: number): void {
    const order = this.#order;
    // Insertion keeps the order of equal keys.
    for (let place = from + 1; place < to; place++) {
      const entry = order[place]!;
      let at = place;
      while (at > from && this.#compare(order[at - 1]!, entry, depth) > 0) {
        order[at] = order[at - 1]!;
        at--;
      }
      order[at] = entry;
    }
  }
  #compare(a: number, b: number, depth: number): number {
    return compareKeys(
      this.chunkOf(a),
      this.startOf(a),
      this.#lengthOf(a),
      this.chunkOf(b),
      this.startOf(b),
      this.#lengthOf(b),
      depth,
    );
  }

  /** Sorts a range by the six bytes at `depth`; ranges that agree in these are added to `ranges`. */
  *#sortRange(from: number, to: number, depth: number, ranges: number[]): Generator<void> {
    const counts = this.#counts.fill(0);
    this.#longest = 0;
    this.#shortest = 65535;
    for (let at = from; at < to; at += slice) {
      const end = Math.min(to, at + slice);
      this.#fill(at, end, depth);
      if (end < to) yield;
    }
    const longest = this.#longest;
    const shortest = this.#shortest;
    if (longest <= depth) {
      // Equal to the last byte, and in the order of their rows, unless one is the beginning of another.
      if (shortest !== longest)
        this.#order.subarray(from, to).sort((a, b) => this.#lengthOf(a) - this.#lengthOf(b) || a - b);
      return;
    }
    const count = to - from;
    for (let digit = 0; digit < windowBytes; digit++) {
      const words = digit < 3 ? this.#low : this.#high;
      const shift = (digit % 3) * 8;
      const base = digit * 256;
      if (counts[base + ((words[from]! >>> shift) & 255)] === count) continue;
      let sum = from;
      for (let value = base; value < base + 256; value++) {
        const here = counts[value]!;
        counts[value] = sum;
        sum += here;
      }
      for (let at = from; at < to; at += slice) {
        const end = Math.min(to, at + slice);
        this.#scatter(at, end, words, shift, counts, base);
        if (end < to) yield;
      }
      this.#take(from, to);
      if (count > slice) yield;
    }
    const high = this.#high;
    const low = this.#low;
    let rest = from + slice;
    for (let first = from; first < to; ) {
      if (first > rest) {
        rest = first + slice;
        yield;
      }
      let last = first + 1;
      while (last < to && low[last] === low[first] && high[last] === high[first]) last++;
      if (last - first > 1 && longest > depth + windowBytes) ranges.push(first, last, depth + windowBytes);
      else if (last - first > 1 && shortest !== longest) this.#sortSmallOrLarge(first, last, depth);
      first = last;
    }
  }
  /** Equal as far as zeros stand for missing bytes: lengths decide. */
  #sortSmallOrLarge(from: number, to: number, depth: number): void {
    if (to - from <= smallGroup) this.#sortSmall(from, to, depth);
    else this.#order.subarray(from, to).sort((a, b) => this.#compare(a, b, depth) || a - b);
  }

  /** Six bytes of the keys from `depth` on, zeros behind the end, and how often each digit has each value. */
  #fill(from: number, to: number, depth: number): void {
    const order = this.#order;
    const high = this.#high;
    const low = this.#low;
    const counts = this.#counts;
    let longest = this.#longest;
    let shortest = this.#shortest;
    for (let place = from; place < to; place++) {
      const entry = order[place]!;
      const chunk = this.chunkOf(entry);
      const start = this.startOf(entry);
      const length = chunk[start - 2]! | (chunk[start - 1]! << 8);
      if (length > longest) longest = length;
      if (length < shortest) shortest = length;
      const at = start + depth;
      const rest = length - depth;
      let upper = 0;
      let lower = 0;
      if (rest >= windowBytes) {
        upper = (chunk[at]! << 16) | (chunk[at + 1]! << 8) | chunk[at + 2]!;
        lower = (chunk[at + 3]! << 16) | (chunk[at + 4]! << 8) | chunk[at + 5]!;
      } else {
        if (rest > 0) upper = chunk[at]! << 16;
        if (rest > 1) upper |= chunk[at + 1]! << 8;
        if (rest > 2) upper |= chunk[at + 2]!;
        if (rest > 3) lower = chunk[at + 3]! << 16;
        if (rest > 4) lower |= chunk[at + 4]! << 8;
      }
      high[place] = upper;
      low[place] = lower;
      counts[lower & 255]!++;
      counts[256 + ((lower >>> 8) & 255)]!++;
      counts[512 + (lower >>> 16)]!++;
      counts[768 + (upper & 255)]!++;
      counts[1024 + ((upper >>> 8) & 255)]!++;
      counts[1280 + (upper >>> 16)]!++;
    }
    this.#longest = longest;
    this.#shortest = shortest;
  }

  #scatter(
    from: number,
    to: number,
    words: Uint32Array,
    shift: number,
    counts: Uint32Array,
    base: number,
  ): void {
    const order = this.#order;
    const high = this.#high;
    const low = this.#low;
    const order2 = this.#order2;
    const high2 = this.#high2;
    const low2 = this.#low2;
    for (let place = from; place < to; place++) {
      const target = counts[base + ((words[place]! >>> shift) & 255)]!++;
      order2[target] = order[place]!;
      high2[target] = high[place]!;
      low2[target] = low[place]!;
    }
  }
  /** What a pass has put in order becomes what the next one reads. */
  #take(from: number, to: number): void {
    if (from === 0 && to === this.count) {
      [this.#order, this.#order2] = [this.#order2, this.#order];
      [this.#high, this.#high2] = [this.#high2, this.#high];
      [this.#low, this.#low2] = [this.#low2, this.#low];
      return;
    }
    this.#order.set(this.#order2.subarray(from, to), from);
    this.#high.set(this.#high2.subarray(from, to), from);
    this.#low.set(this.#low2.subarray(from, to), from);
  }
}
/** Entries looked up together: their bytes lie anywhere in the arena, and so many fetches from memory go on at a time. */
const lookAhead = 64;

class MemoryReader implements EntryReader {
  buffer: Buffer = Buffer.alloc(0);
  view: DataView = viewOf(this.buffer);
  at = 0;
  length = 0;
  #place = 0;
  readonly #buffers: Buffer[] = new Array<Buffer>(lookAhead).fill(this.buffer);
  readonly #views: DataView[] = new Array<DataView>(lookAhead).fill(this.view);
  readonly #starts = new Uint32Array(lookAhead);
  readonly #lengths = new Uint16Array(lookAhead);
  /** Looked-up entries given, and how many there are. */
  #given = 0;
  #known = 0;
  /** Sum of bytes read ahead: they are read for nothing else but to be at hand. */
  touched = 0;
  constructor(private readonly run: KeyRun) {}
  next(): boolean {
    if (this.#given === this.#known && !this.#lookUp()) return false;
    const index = this.#given++;
    this.buffer = this.#buffers[index]!;
    this.view = this.#views[index]!;
    this.at = this.#starts[index]!;
    this.length = this.#lengths[index]!;
    return true;
  }
  #lookUp(): boolean {
    const { run } = this;
    const count = Math.min(lookAhead, run.count - this.#place);
    if (count === 0) return false;
    const buffers = this.#buffers;
    const starts = this.#starts;
    const lengths = this.#lengths;
    const { order } = run;
    for (let index = 0; index < count; index++) {
      const entry = order[this.#place + index]!;
      buffers[index] = run.chunkOf(entry);
      this.#views[index] = run.viewOf(entry);
      starts[index] = run.startOf(entry);
    }
    let sum = 0;
    for (let index = 0; index < count; index++) {
      const buffer = buffers[index]!;
      const at = starts[index]!;
      const length = buffer[at - 2]! | (buffer[at - 1]! << 8);
      lengths[index] = length;
      sum += buffer[at + length]!;
    }
    this.touched = sum;
    this.#place += count;
    this.#given = 0;
    this.#known = count;
    return true;
  }
  close(): void {}
}

/** Entries as they lie in a run's chunks, one after another, in order. */
class FileReader implements EntryReader {
  buffer = Buffer.alloc(readBytes);
  view = viewOf(this.buffer);
  at = 0;
  length = 0;
  #next = 0;
  #end = 0;
  #position = 0;
  constructor(private readonly file: SpillRun) {}
  next(): boolean {
    if (!this.#have(headBytes)) return false;
    const length = this.buffer.readUInt16LE(this.#next);
    if (!this.#have(headBytes + length + rowBytes))
      throw new DbError("ioError", "a temporary file of an index build is short");
    this.at = this.#next + headBytes;
    this.length = length;
    this.#next = this.at + length + rowBytes;
    return true;
  }
  #have(bytes: number): boolean {
    if (this.#end - this.#next >= bytes) return true;
    // What the last key points to stays valid: a new buffer is used.
    const rest = this.buffer.subarray(this.#next, this.#end);
    const next = Buffer.alloc(readBytes);
    next.set(rest);
    const read = this.file.read(next.subarray(rest.length), this.#position);
    this.#position += read;
    this.buffer = next;
    this.view = viewOf(next);
    this.#next = 0;
    this.#end = rest.length + read;
    return this.#end >= bytes;
  }
  close(): void {
    this.file.close();
  }
}

export class KeySort {
  #run = new KeyRun();
  readonly #runs: KeyRun[] = [];
  readonly #files: SpillRun[] = [];
  readonly #heap: EntryReader[] = [];

  /** `runBytes`: from where a run is sorted and written out, if there are files; without, runs pile up in memory. */
  constructor(
    private readonly openSpill: SpillFactory | undefined,
    private readonly runBytes = runBytesMax,
  ) {}

  mark(): RunMark {
    return this.#run.mark();
  }
  /** Takes back what was added since the mark; no run was closed meanwhile. */
  back(mark: RunMark): void {
    this.#run.back(mark);
  }
  add(key: Buffer, length: number, row: number): void {
    this.#run.add(key, length, row);
  }
  /** The same for a key that is written where it is kept: see `KeyRun`. */
  room(bytes: number): Buffer {
    return this.#run.room(bytes);
  }
  get keyAt(): number {
    return this.#run.keyAt;
  }
  added(length: number, row: number): void {
    this.#run.added(length, row);
  }
  /** The run has grown so much that `closeRun` is due. */
  get isFull(): boolean {
    return this.#run.bytes >= this.runBytes;
  }
  /** Bytes held in memory. */
  get bytes(): number {
    return this.#runs.reduce((sum, run) => sum + run.bytes, this.#run.bytes);
  }

  /** Sorts what was added since the last run; writes it to a file unless it is the `last`. Yields between pieces of work. */
  *closeRun(last: boolean): Generator<void> {
    const run = this.#run;
    if (run.count === 0) return;
    yield* run.sort();
    this.#run = new KeyRun();
    if (last || this.openSpill === undefined) {
      this.#runs.push(run);
      return;
    }
    const file = this.openSpill();
    this.#files.push(file);
    const out = Buffer.alloc(readBytes);
    let filled = 0;
    const reader = new MemoryReader(run);
    while (reader.next()) {
      const needed = headBytes + reader.length + rowBytes;
      if (filled + needed > out.length) {
        file.write(out.subarray(0, filled));
        filled = 0;
        yield;
      }
      reader.buffer.copy(out, filled, reader.at - headBytes, reader.at - headBytes + needed);
      filled += needed;
    }
    file.write(out.subarray(0, filled));
  }

  /** After the last `closeRun`: makes `top` the first entry. */
  open(): void {
    for (const run of this.#runs) this.#push(new MemoryReader(run));
    for (const file of this.#files) this.#push(new FileReader(file));
  }

  // A heap of runs by their next entry.

  get top(): EntryReader | undefined {
    return this.#heap[0];
  }
  #push(reader: EntryReader): void {
    if (!reader.next()) return;
    const heap = this.#heap;
    let at = heap.push(reader) - 1;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (compareEntries(heap[at]!, heap[parent]!) >= 0) break;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  }
  advance(): void {
    const heap = this.#heap;
    if (!heap[0]!.next()) {
      const last = heap.pop()!;
      if (heap.length === 0) return;
      heap[0] = last;
    }
    if (heap.length === 1) return;
    let at = 0;
    for (;;) {
      let least = at;
      for (let child = 2 * at + 1; child <= 2 * at + 2 && child < heap.length; child++) {
        if (compareEntries(heap[child]!, heap[least]!) < 0) least = child;
      }
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  }

  close(): void {
    for (const file of this.#files.splice(0)) file.close();
    this.#runs.length = 0;
    this.#heap.length = 0;
    this.#run = new KeyRun();
  }
}
