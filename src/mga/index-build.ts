/**
 * Online index build (rule P2): register, wait for older writers of the table, read, sort, load, publish.
 *
 * From registration on every writer of the table notes its new keys for the index; they are added after the load.
 * Keys of every version that a snapshot may reach are read, so that older snapshots find their rows, too; collection of
 * the table rests meanwhile. Keys are sorted in runs of bounded size and merged into the tree's loader.
 *
 * Invariants: each step is bounded work; nothing of the index is used before `done`; a unique index is published only
 * when no two live rows share a key.
 */
import { DbError } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import type { Value } from "../model/value.js";
import type { TreeLoader } from "../storage/btree.js";
import { rowFlag, slotsMax } from "../storage/heap.js";
import type { IndexBuild } from "./contract.js";
import type { EngineCore } from "./engine.js";
import type { IndexState } from "./index-state.js";
import type { EngineTable } from "./table.js";
import { Place } from "./table-state.js";
import type { TransactionRecord } from "./transaction.js";

/** A temporary file; `read` at a position. As exec's SpillFile. */
export interface SpillRun {
  write(bytes: Uint8Array): void;
  read(into: Uint8Array, position: number): number;
  readonly size: number;
  close(): void;
}
export type SpillFactory = () => SpillRun;

/** Room for entries; a page's fit whatever is there, since it may have to be read again as a whole. */
const runBytes = 2 << 20;
const firstRunBytes = 16 << 10;
/** Entries above this are sorted as a run: some milliseconds' work. */
const sortBytes = 1 << 20;
/** Sorted runs kept in memory before they are merged into a temporary file. */
const memoryRunsMax = 48;
/** Without temporary files: the most that a build may hold. */
const memoryBytesMax = 1 << 30;
const readBytes = 1 << 18;
const loadEntries = 1024;

/** First six bytes of a key as a number, zeros behind a shorter one: most comparisons end here. */
function prefixOf(bytes: Buffer, at: number, length: number): number {
  if (length >= 6) return bytes.readUIntBE(at, 6);
  let prefix = 0;
  for (let byte = 0; byte < 6; byte++) prefix = prefix * 256 + (byte < length ? bytes[at + byte]! : 0);
  return prefix;
}

/** Order of two keys that agree in their first `from` bytes. */
function compareKeys(
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

/** Entries [u16 length][key][f64 row] one after another, in order. */
class RunReader {
  /** The entry at hand: its key lies in `buffer` at `at`, and stays there after `next`. */
  buffer: Buffer;
  at = 0;
  length = 0;
  prefix = 0;
  row = 0;
  #next = 0;
  #end: number;
  #position = 0;
  readonly #file: SpillRun | undefined;
  constructor(run: Buffer | SpillRun) {
    if (Buffer.isBuffer(run)) {
      this.buffer = run;
      this.#end = run.length;
      this.#file = undefined;
    } else {
      this.buffer = Buffer.alloc(readBytes);
      this.#end = 0;
      this.#file = run;
    }
  }
  next(): boolean {
    if (!this.#have(2)) return false;
    const length = this.buffer.readUInt16LE(this.#next);
    if (!this.#have(2 + length + 8))
      throw new DbError("ioError", "a temporary file of an index build is short");
    this.at = this.#next + 2;
    this.length = length;
    this.prefix = prefixOf(this.buffer, this.at, length);
    this.row = this.buffer.readDoubleLE(this.at + length);
    this.#next = this.at + length + 8;
    return true;
  }
  #have(bytes: number): boolean {
    if (this.#end - this.#next >= bytes) return true;
    if (this.#file === undefined) return false;
    // What the last key points to stays valid: a new buffer is used.
    const rest = this.buffer.subarray(this.#next, this.#end);
    const next = Buffer.alloc(readBytes);
    next.set(rest);
    const read = this.#file.read(next.subarray(rest.length), this.#position);
    this.#position += read;
    this.buffer = next;
    this.#next = 0;
    this.#end = rest.length + read;
    return this.#end >= bytes;
  }
  close(): void {
    this.#file?.close();
  }
}

function order(a: RunReader, b: RunReader): number {
  if (a.prefix !== b.prefix) return a.prefix - b.prefix;
  const keys = compareKeys(a.buffer, a.at, a.length, b.buffer, b.at, b.length, 0);
  return keys !== 0 ? keys : a.row - b.row;
}

/** Sorts numbers of entries by their prefixes, least digit first; digits that all share are passed over. */
function sortByPrefix(high: Uint32Array, low: Uint32Array, count: number): Uint32Array {
  let from = new Uint32Array(count);
  let to = new Uint32Array(count);
  for (let entry = 0; entry < count; entry++) from[entry] = entry;
  for (let pass = 0; pass < 6; pass++) {
    const words = pass < 3 ? low : high;
    const shift = (pass % 3) * 8;
    digitCounts.fill(0);
    for (let entry = 0; entry < count; entry++) digitCounts[(words[entry]! >>> shift) & 255]!++;
    if (digitCounts[(words[0]! >>> shift) & 255] === count) continue;
    let sum = 0;
    for (let digit = 0; digit < 256; digit++) {
      const here = digitCounts[digit]!;
      digitCounts[digit] = sum;
      sum += here;
    }
    for (let place = 0; place < count; place++) {
      const entry = from[place]!;
      to[digitCounts[(words[entry]! >>> shift) & 255]!++] = entry;
    }
    [from, to] = [to, from];
  }
  return from;
}
const digitCounts = new Uint32Array(256);

interface Merged {
  readonly file: SpillRun;
  readonly out: Buffer;
  filled: number;
}

type Phase = "wait" | "read" | "load" | "finish" | "pending" | "done";

export class EngineIndexBuild implements IndexBuild {
  rowsDone = 0;
  readonly #core: EngineCore;
  readonly #table: EngineTable;
  readonly #index: IndexState;
  readonly #own: TransactionRecord | undefined;
  readonly #older: TransactionRecord[];
  readonly #openSpill: SpillFactory | undefined;
  #phase: Phase = "wait";
  #page = 0;
  #pageEnd = 0;
  // The run under construction: entry bytes, and where each begins.
  /** Grows with what is in it: most indexes are built over few rows. */
  #bytes = Buffer.alloc(firstRunBytes);
  #used = 0;
  #starts: number[] = [];
  #runs: Buffer[] = [];
  readonly #files: SpillRun[] = [];
  #heap: RunReader[] = [];
  /** The runs in the heap are becoming a file. */
  #merged: Merged | undefined;
  #loader: TreeLoader | undefined;
  /** Last key loaded, for the unique check, and a live row that has it. */
  #lastKey = Buffer.alloc(64);
  #lastLength = -1;
  #lastLive = -1;
  readonly #values: Value[] = [];

  constructor(
    core: EngineCore,
    table: EngineTable,
    index: IndexState,
    own: TransactionRecord | undefined,
    openSpill: SpillFactory | undefined,
  ) {
    this.#core = core;
    this.#table = table;
    this.#index = index;
    this.#own = own;
    this.#openSpill = openSpill;
    index.pending = [];
    table.state.building.push(index);
    this.#older = core.writersOf(table.state).filter((one) => one !== own);
  }

  step(): boolean {
    try {
      return this.#step();
    } catch (thrown) {
      if (!(thrown instanceof Wait)) this.abandon();
      throw thrown;
    }
  }

  #step(): boolean {
    switch (this.#phase) {
      case "wait": {
        const open = this.#older.find((one) => !one.over);
        if (open !== undefined) throw new Wait("lock", open.ended());
        this.#table.state.space.load();
        this.#pageEnd = this.#table.state.space.dataCount;
        this.#phase = "read";
        return false;
      }
      case "read":
        if (this.#merged !== undefined) {
          this.#merge(this.#merged);
          return false;
        }
        if (this.#page < this.#pageEnd) {
          this.#readPage(this.#table.state.space.dataPages[this.#page]!);
          this.#page++;
          return false;
        }
        this.#closeRun();
        if (this.#merged !== undefined) return false;
        for (const run of [...this.#runs, ...this.#files]) {
          const reader = new RunReader(run);
          if (reader.next()) this.#push(reader);
        }
        this.#loader = this.#index.tree.loader(0.9);
        this.#phase = "load";
        return false;
      case "load":
        this.#load();
        return false;
      case "finish":
        this.#core.store.beginOperation();
        this.#loader!.finish();
        this.#phase = "pending";
        return false;
      case "pending":
        this.#addPending();
        return false;
      default:
        return true;
    }
  }

  /** All keys of all versions of the page's rows. */
  #readPage(page: number): void {
    const { state, store } = this.#table;
    const { index } = { index: this.#index };
    store.beginOperation();
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const rows = format.rows(address);
    const used = this.#used;
    const count = this.#starts.length;
    try {
      for (let slot = 0; slot < rows; slot++) {
        const flags = format.flags(address, slot);
        if ((flags & rowFlag.free) !== 0) continue;
        if ((flags & rowFlag.chain) !== 0) state.walkAll(format, address, slot);
        else state.recordCount = 0;
        const versions = state.recordCount;
        let previous: Buffer | undefined;
        for (let version = 0; version <= versions; version++) {
          state.recordCount = version;
          for (const column of index.dependsOn) {
            const place = version === 0 ? Place.newest : Place.older;
            this.#values[column] = this.#table.placeValue(place, format, address, slot, flags, column);
          }
          if (!index.setOther(this.#values)) continue;
          const key = index.other.subarray(0, index.otherLength);
          if (previous?.equals(key)) continue;
          this.#add(key, page * slotsMax + slot);
          if (versions > 0) previous = Buffer.from(key);
        }
      }
    } catch (thrown) {
      // The page is read again as a whole.
      this.#used = used;
      this.#starts.length = count;
      throw thrown;
    }
    this.rowsDone += rows;
    if (this.#used > sortBytes) this.#closeRun();
  }

  #add(key: Buffer, row: number): void {
    const needed = key.length + 10;
    if (this.#used + needed > runBytes) this.#closeRun();
    if (this.#used + needed > this.#bytes.length) {
      const larger = Buffer.alloc(Math.min(runBytes, this.#bytes.length * 4));
      this.#bytes.copy(larger, 0, 0, this.#used);
      this.#bytes = larger;
    }
    this.#starts.push(this.#used);
    this.#bytes.writeUInt16LE(key.length, this.#used);
    this.#bytes.set(key, this.#used + 2);
    this.#bytes.writeDoubleLE(row, this.#used + 2 + key.length);
    this.#used += needed;
  }

  #closeRun(): void {
    if (this.#used === 0) return;
    const bytes = this.#bytes;
    const starts = this.#starts;
    const count = starts.length;
    // Six bytes of each key in two words of three.
    const high = new Uint32Array(count);
    const low = new Uint32Array(count);
    for (let entry = 0; entry < count; entry++) {
      const start = starts[entry]!;
      const prefix = prefixOf(bytes, start + 2, bytes[start]! | (bytes[start + 1]! << 8));
      high[entry] = Math.floor(prefix / 0x1000000);
      low[entry] = prefix % 0x1000000;
    }
    const sorted = sortByPrefix(high, low, count);
    const compare = (a: number, b: number): number => {
      const [aAt, bAt] = [starts[a]!, starts[b]!];
      const [aLength, bLength] = [bytes.readUInt16LE(aAt), bytes.readUInt16LE(bAt)];
      const keys = compareKeys(bytes, aAt + 2, aLength, bytes, bAt + 2, bLength, 0);
      return keys !== 0
        ? keys
        : bytes.readDoubleLE(aAt + 2 + aLength) - bytes.readDoubleLE(bAt + 2 + bLength);
    };
    for (let from = 0; from < count; ) {
      const first = sorted[from]!;
      let to = from + 1;
      while (to < count && low[sorted[to]!] === low[first] && high[sorted[to]!] === high[first]) to++;
      if (to - from > 1) sorted.subarray(from, to).sort(compare);
      from = to;
    }
    const run = Buffer.allocUnsafe(this.#used);
    let at = 0;
    for (let place = 0; place < count; place++) {
      const start = starts[sorted[place]!]!;
      const end = start + (bytes[start]! | (bytes[start + 1]! << 8)) + 10;
      for (let byte = start; byte < end; byte++) run[at++] = bytes[byte]!;
    }
    this.#used = 0;
    this.#starts = [];
    this.#runs.push(run);
    if (this.#runs.length < memoryRunsMax) return;
    if (this.#openSpill === undefined) {
      if (this.#runs.length * sortBytes > memoryBytesMax) {
        throw new DbError(
          "outOfMemory",
          `index "${this.#index.spec.name}" is too large to be built in memory`,
        );
      }
      return;
    }
    // Many runs become one file: merged, so that the last merge reads few.
    for (const one of this.#runs) {
      const reader = new RunReader(one);
      if (reader.next()) this.#push(reader);
    }
    this.#runs = [];
    this.#merged = { file: this.#openSpill(), out: Buffer.alloc(readBytes), filled: 0 };
    this.#files.push(this.#merged.file);
  }

  /** Some entries of the runs that become a file. */
  #merge(merged: Merged): void {
    const { file, out } = merged;
    for (let count = 0; count < loadEntries; count++) {
      const top = this.#heap[0];
      if (top === undefined) {
        file.write(out.subarray(0, merged.filled));
        this.#merged = undefined;
        return;
      }
      const needed = top.length + 10;
      if (merged.filled + needed > out.length) {
        file.write(out.subarray(0, merged.filled));
        merged.filled = 0;
      }
      out.writeUInt16LE(top.length, merged.filled);
      top.buffer.copy(out, merged.filled + 2, top.at, top.at + top.length);
      out.writeDoubleLE(top.row, merged.filled + 2 + top.length);
      merged.filled += needed;
      this.#advance();
    }
  }

  // A heap of runs by their next entry.

  #push(reader: RunReader): void {
    const heap = this.#heap;
    let at = heap.push(reader) - 1;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (order(heap[at]!, heap[parent]!) >= 0) break;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  }
  #advance(): void {
    const heap = this.#heap;
    if (!heap[0]!.next()) {
      const last = heap.pop()!;
      if (heap.length === 0) return;
      heap[0] = last;
    }
    let at = 0;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && order(heap[child]!, heap[least]!) < 0) least = child;
      }
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  }

  #load(): void {
    const { store } = this.#core;
    store.beginOperation();
    for (let count = 0; count < loadEntries; count++) {
      const top = this.#heap[0];
      if (top === undefined) {
        this.#phase = "finish";
        return;
      }
      if (this.#index.spec.unique) this.#checkUnique(top);
      const wrote = this.#loader!.add(top.buffer, top.at, top.length, top.row);
      this.#advance();
      if (wrote) store.beginOperation();
    }
  }

  #checkUnique(reader: RunReader): void {
    const { buffer, at, length, row } = reader;
    if (
      this.#lastLength < 0 ||
      compareKeys(this.#lastKey, 0, this.#lastLength, buffer, at, length, 0) !== 0
    ) {
      if (this.#lastKey.length < length) this.#lastKey = Buffer.alloc(2 * length);
      buffer.copy(this.#lastKey, 0, at, at + length);
      this.#lastLength = length;
      this.#lastLive = -1;
      // Only keys that come twice are looked at: the first of a pair is judged with the second.
      this.#firstOfKey = row;
      return;
    }
    const key = buffer.subarray(at, at + length);
    if (this.#firstOfKey >= 0) {
      if (this.#isLive(key, this.#firstOfKey)) this.#lastLive = this.#firstOfKey;
      this.#firstOfKey = -1;
    }
    if (!this.#isLive(key, row)) return;
    if (this.#lastLive >= 0 && this.#lastLive !== row) this.#duplicate(row);
    this.#lastLive = row;
  }
  #firstOfKey = -1;

  #isLive(key: Buffer, row: number): boolean {
    const { index } = { index: this.#index };
    key.copy(index.key);
    index.keyLength = key.length;
    return this.#table.isLiveKey(index, row, this.#own?.id ?? 0);
  }

  #duplicate(row: number): never {
    const { spec } = this.#index;
    const page = Math.floor(row / slotsMax);
    const { state } = this.#table;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const slot = row - page * slotsMax;
    const values: Value[] = [];
    for (const column of this.#table.allColumns) {
      values.push(this.#table.newestValue(format, address, slot, format.flags(address, slot), column));
    }
    const key = spec.tableColumns?.map((column) => values[column]!) ?? spec.key(values) ?? [];
    const fields = this.#table.spec.describeKey?.(spec, key);
    throw new DbError("uniqueViolation", `could not create unique index "${spec.name}"`, {
      table: this.#table.spec.name,
      ...fields,
      detail: fields?.detail?.replace(/already exists\.$/, "is duplicated."),
      constraint: spec.name,
    });
  }

  /** Keys that writers noted meanwhile; with the last one the index is ready. */
  #addPending(): void {
    const { store } = this.#core;
    const index = this.#index;
    for (let count = 0; count < 256; count++) {
      const entry = index.pending!.at(-1);
      if (entry === undefined) {
        index.pending = undefined;
        for (const { key, row } of index.lost.splice(0)) {
          this.#core.collector.orphans.push({
            table: this.#table.state,
            indexStorageId: index.spec.storageId,
            key,
            row,
          });
        }
        this.#phase = "done";
        this.#closeFiles();
        return;
      }
      store.beginOperation();
      const { key, row } = entry;
      key.copy(index.key);
      index.keyLength = key.length;
      if (index.spec.unique && this.#table.isLiveKey(index, row, this.#own?.id ?? 0)) {
        const other = this.#table.liveKeyHolder(index, row, this.#own?.id ?? 0);
        if (other !== undefined) this.#duplicate(row);
      }
      store.reserve(index.tree.prepareInsert(key, 0, key.length, row) + 1);
      index.tree.insert(key, 0, key.length, row);
      index.pending!.pop();
    }
  }

  #closeFiles(): void {
    for (const file of this.#files.splice(0)) file.close();
    this.#runs = [];
  }
  abandon(): void {
    if (this.#phase === "done") return;
    const { building } = this.#table.state;
    const at = building.indexOf(this.#index);
    if (at >= 0) building.splice(at, 1);
    this.#index.pending = undefined;
    this.#closeFiles();
  }
}
