/**
 * A disk that forgets: files in memory whose unsynced writes are kept apart, so that a crash can lose, reorder or tear
 * them. Everything that happens is recorded, and from the record every crash image can be made.
 *
 * Model: a write is pending from its call on. It becomes stable when a later-called sync of the file returns, or when
 * the write itself returns on a file opened with `durableWrites`. At a crash each pending write is lost, kept, or kept
 * in part by 512-byte sectors, each by itself (so later writes may survive earlier ones). Creating, removing, renaming
 * and truncating files is atomic and stable at once.
 */
import { assert, DbError } from "../base/errors.js";
import type { Clock, Disk, DiskFile, OpenOptions } from "../platform/index.js";
import { SimClock } from "./clock.js";
import { SimRandom } from "./random.js";

const sectorBytes = 512;

interface PendingWrite {
  readonly id: number;
  readonly position: number;
  readonly bytes: Uint8Array;
}

const chunkBytes = 64 * 1024;

/**
 * What a file holds, in chunks that copies share until one of them writes: a crash image costs what it changes. A chunk
 * that is absent reads as zeros.
 */
class Content {
  size = 0;
  readonly #chunks: (Uint8Array | undefined)[] = [];
  /** Whether the chunk is nobody else's. */
  readonly #own: boolean[] = [];

  write(from: Uint8Array, position: number): void {
    for (let done = 0; done < from.length; ) {
      const at = position + done;
      const index = Math.floor(at / chunkBytes);
      const start = at % chunkBytes;
      const length = Math.min(from.length - done, chunkBytes - start);
      const part = from.subarray(done, done + length);
      done += length;
      if (this.#chunks[index] === undefined && isZero(part)) continue;
      this.#chunk(index).set(part, start);
    }
    this.size = Math.max(this.size, position + from.length);
  }

  /** A chunk that may be written to. */
  #chunk(index: number): Uint8Array {
    let chunk = this.#chunks[index];
    if (chunk === undefined || this.#own[index] !== true) {
      chunk = chunk === undefined ? new Uint8Array(chunkBytes) : chunk.slice();
      this.#chunks[index] = chunk;
      this.#own[index] = true;
    }
    return chunk;
  }

  /** Bytes read; fewer than asked only at the end. */
  read(into: Uint8Array, position: number): number {
    const wanted = Math.min(into.length, this.size - position);
    if (wanted <= 0) return 0;
    for (let done = 0; done < wanted; ) {
      const at = position + done;
      const start = at % chunkBytes;
      const length = Math.min(wanted - done, chunkBytes - start);
      const chunk = this.#chunks[Math.floor(at / chunkBytes)];
      if (chunk === undefined) into.fill(0, done, done + length);
      else into.set(chunk.subarray(start, start + length), done);
      done += length;
    }
    return wanted;
  }

  flip(offset: number, bit: number): void {
    const chunk = this.#chunk(Math.floor(offset / chunkBytes));
    chunk[offset % chunkBytes] = chunk[offset % chunkBytes]! ^ (1 << bit);
  }

  truncate(size: number): void {
    const kept = Math.ceil(size / chunkBytes);
    if (this.#chunks.length > kept) {
      this.#chunks.length = kept;
      this.#own.length = kept;
    }
    // Bytes cut off read as zeros when the file grows again.
    if (size < this.size && size % chunkBytes !== 0 && this.#chunks[kept - 1] !== undefined)
      this.#chunk(kept - 1).fill(0, size % chunkBytes);
    this.size = size;
  }

  copy(): Content {
    const copy = new Content();
    copy.size = this.size;
    for (let index = 0; index < this.#chunks.length; index++) {
      copy.#chunks[index] = this.#chunks[index];
      this.#own[index] = false;
    }
    return copy;
  }
}

function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}

class SimNode {
  /** What reads see. */
  readonly content: Content;
  /** What surely survives a crash. */
  readonly stable: Content;
  pending: PendingWrite[] = [];
  syncFailed = false;
  /** Its writes are durable when they return. */
  durable = false;
  /** Open ones. */
  handles = 0;

  constructor(content: Content) {
    this.content = content;
    this.stable = content.copy();
  }
}

export type TraceEvent =
  | { readonly kind: "create"; readonly path: string }
  | { readonly kind: "write"; readonly path: string; readonly write: PendingWrite }
  | { readonly kind: "stable"; readonly path: string; readonly ids: readonly number[] }
  | { readonly kind: "truncate"; readonly path: string; readonly size: number }
  | { readonly kind: "remove"; readonly path: string }
  | { readonly kind: "rename"; readonly path: string; readonly to: string }
  | { readonly kind: "note"; readonly note: number };

/** Time as the disk's owner sees it. */
export interface DiskClock extends Clock {
  /** A read or write that blocks the process takes time. */
  advance(ms: number): void;
}

export interface SimDiskOptions {
  readonly clock?: DiskClock;
  readonly seed?: number;
  /** Record every event from the start (or `startTrace`). */
  readonly trace?: boolean;
  readonly readMs?: number;
  readonly writeMs?: number;
  readonly syncMs?: number;
  /** Bytes that all files together may have. */
  readonly capacity?: number;
}

export interface CrashImage {
  /** Tells the image from all others of the trace, the same whichever are asked for. */
  readonly number: number;
  /** Events that had happened. */
  readonly events: number;
  readonly variant: string;
  /** The last `note()` before the crash. */
  readonly note: number;
  /** A disk as it is found after the crash. */
  open(): SimDisk;
}

export class SimDisk implements Disk {
  clock: DiskClock;
  readonly random: SimRandom;
  readMs: number;
  writeMs: number;
  syncMs: number;
  capacity: number;
  readonly #files = new Map<string, SimNode>();
  readonly #folders = new Set<string>();
  readonly #locks = new Set<string>();
  #trace: TraceEvent[] | undefined;
  /** Files as they stood when the trace began. */
  #origin = new Map<string, Content>();
  #nextId = 1;
  /** How many further syncs (or durable writes) of files whose path contains the key will fail. */
  readonly #failing = new Map<string, number>();
  /** Removed, and still open somewhere: they keep their room. */
  readonly #unnamed = new Set<SimNode>();

  constructor(options: SimDiskOptions = {}) {
    this.clock = options.clock ?? new SimClock();
    this.random = new SimRandom(options.seed ?? 1);
    this.readMs = options.readMs ?? 0;
    this.writeMs = options.writeMs ?? 0;
    this.syncMs = options.syncMs ?? 0;
    this.capacity = options.capacity ?? Number.POSITIVE_INFINITY;
    if (options.trace === true) this.startTrace();
  }

  // --- faults -------------------------------------------------------------------------------------------------

  /** The next `times` syncs and durable writes of files whose path contains `part` fail, and all later ones of that file. */
  failSync(part: string, times = 1): void {
    this.#failing.set(part, times);
  }

  /** Damages what is stored: reads see it, and so does every later crash. */
  flipBit(path: string, offset: number, bit = 0): void {
    const { content, stable } = this.#node(path);
    assert(offset < content.size && offset < stable.size, "no such byte");
    content.flip(offset, bit);
    stable.flip(offset, bit);
  }

  bytesOf(path: string): Uint8Array {
    const { content } = this.#node(path);
    const bytes = new Uint8Array(content.size);
    content.read(bytes, 0);
    return bytes;
  }

  /** Damages what is stored: the file ends at `size`. */
  cut(path: string, size: number): void {
    const { content, stable } = this.#node(path);
    content.truncate(size);
    stable.truncate(size);
  }

  /** Every file, sorted. */
  get paths(): string[] {
    return [...this.#files.keys()].sort();
  }

  sizeOf(path: string): number {
    return this.#node(path).content.size;
  }

  /** What is left after a crash now; the disk itself goes on unharmed. */
  crash(): SimDisk {
    const left = this.#empty(this.random.bits());
    for (const [path, node] of this.#files) {
      const content = node.stable.copy();
      for (const write of node.pending) this.#tear(content, write, this.random);
      left.#files.set(path, new SimNode(content));
    }
    return left;
  }

  /** The process that used it was killed: durable writes that were under way are the system's by then, and end. */
  processKilled(): void {
    for (const [path, node] of this.#files)
      if (node.durable && !node.syncFailed && node.pending.length > 0) this.#placed(path, node, node.pending);
  }

  /** Whether a file whose path begins so has writes that are not durable yet. */
  isWriting(prefix: string): boolean {
    for (const [path, node] of this.#files)
      if (path.startsWith(prefix) && node.pending.length > 0) return true;
    return false;
  }

  get bytesUsed(): number {
    let sum = 0;
    for (const node of this.#files.values()) sum += node.content.size;
    for (const node of this.#unnamed) sum += node.content.size;
    return sum;
  }

  // --- trace --------------------------------------------------------------------------------------------------

  startTrace(): void {
    this.#trace = [];
    this.#origin = new Map();
    for (const [path, node] of this.#files) {
      assert(node.pending.length === 0, "a trace starts from a synced disk");
      this.#origin.set(path, node.content.copy());
    }
  }

  /** Marks the record: what had been acknowledged when. */
  note(note: number): void {
    this.#trace?.push({ kind: "note", note });
  }

  get eventCount(): number {
    return this.#trace?.length ?? 0;
  }

  /**
   * The disk as a crash after each `every`-th event would leave it: with all pending writes lost, with all kept, and
   * `variants` times with a random part of them lost or torn. Images are numbered through all events, so that one can
   * be made again alone: `only` picks by number.
   */
  *traceImages(
    options: {
      readonly every?: number;
      readonly variants?: number;
      readonly from?: number;
      readonly only?: (number: number) => boolean;
    } = {},
  ): Generator<CrashImage> {
    const trace = this.#trace;
    assert(trace !== undefined, "no trace was recorded");
    const stable = new Map<string, Content>();
    for (const [path, content] of this.#origin) stable.set(path, content.copy());
    const pending = new Map<string, PendingWrite[]>();
    const every = options.every ?? 1;
    const variants = options.variants ?? 1;
    const tearing = this.random.bits();
    let note = -1;
    for (let index = 0; index < trace.length; index++) {
      const event = trace[index]!;
      if (event.kind === "note") {
        note = event.note;
        continue;
      }
      this.#replay(event, stable, pending);
      if (index < (options.from ?? 0) || index % every !== 0) continue;
      for (let variant = 0; variant < 2 + variants; variant++) {
        const number = index * (2 + variants) + variant;
        if (options.only !== undefined && !options.only(number)) continue;
        yield {
          number,
          events: index + 1,
          variant: variant === 0 ? "lost" : variant === 1 ? "kept" : `torn ${variant - 2}`,
          note,
          open: () => {
            const random = new SimRandom(tearing + Math.imul(number, 0x9e3779b1));
            const left = this.#empty(random.bits());
            for (const [path, content] of stable) {
              const copy = content.copy();
              for (const write of pending.get(path) ?? []) {
                if (variant === 1) copy.write(write.bytes, write.position);
                else if (variant > 1) this.#tear(copy, write, random);
              }
              left.#files.set(path, new SimNode(copy));
            }
            return left;
          },
        };
      }
    }
  }

  #replay(event: TraceEvent, stable: Map<string, Content>, pending: Map<string, PendingWrite[]>): void {
    switch (event.kind) {
      case "create":
        stable.set(event.path, new Content());
        pending.set(event.path, []);
        break;
      case "write": {
        const writes = pending.get(event.path) ?? [];
        writes.push(event.write);
        pending.set(event.path, writes);
        break;
      }
      case "stable": {
        const ids = new Set(event.ids);
        const left: PendingWrite[] = [];
        for (const write of pending.get(event.path) ?? []) {
          if (ids.has(write.id)) stable.get(event.path)?.write(write.bytes, write.position);
          else left.push(write);
        }
        pending.set(event.path, left);
        break;
      }
      case "truncate":
        stable.get(event.path)?.truncate(event.size);
        break;
      case "remove":
        stable.delete(event.path);
        pending.delete(event.path);
        break;
      case "rename": {
        const content = stable.get(event.path);
        if (content !== undefined) stable.set(event.to, content);
        stable.delete(event.path);
        pending.set(event.to, pending.get(event.path) ?? []);
        pending.delete(event.path);
        break;
      }
      case "note":
        break;
    }
  }

  #empty(seed: number): SimDisk {
    const left = new SimDisk({ clock: this.clock, seed });
    for (const folder of this.#folders) left.#folders.add(folder);
    return left;
  }

  #tear(content: Content, write: PendingWrite, random: SimRandom): void {
    const fate = random.below(4);
    if (fate === 0) return;
    if (fate === 1) {
      content.write(write.bytes, write.position);
      return;
    }
    for (let at = 0; at < write.bytes.length; at += sectorBytes) {
      if (random.below(2) === 0) continue;
      content.write(write.bytes.subarray(at, at + sectorBytes), write.position + at);
    }
  }

  // --- Disk ---------------------------------------------------------------------------------------------------

  #node(path: string): SimNode {
    const node = this.#files.get(path);
    if (node === undefined) throw new DbError("ioError", `could not open file "${path}": no such file`);
    return node;
  }

  openSync(path: string, options: OpenOptions = {}): DiskFile {
    if (!this.#files.has(path) && options.create === true) {
      this.#files.set(path, new SimNode(new Content()));
      this.#trace?.push({ kind: "create", path });
    }
    if (options.durableWrites === true) this.#node(path).durable = true;
    return new SimFile(this, path, this.#node(path), options.durableWrites === true);
  }

  existsSync(path: string): boolean {
    if (this.#files.has(path) || this.#folders.has(path)) return true;
    return [...this.#files.keys()].some((name) => name.startsWith(`${path}/`));
  }

  listSync(path: string): string[] {
    const names = new Set<string>();
    for (const name of [...this.#files.keys(), ...this.#folders]) {
      if (name.startsWith(`${path}/`)) names.add(name.slice(path.length + 1).split("/")[0]!);
    }
    return [...names].sort();
  }

  makeFolderSync(path: string): void {
    this.#folders.add(path);
  }

  removeSync(path: string): void {
    for (const name of [...this.#files.keys()]) {
      if (name !== path && !name.startsWith(`${path}/`)) continue;
      this.#unname(name);
      this.#trace?.push({ kind: "remove", path: name });
    }
    for (const folder of [...this.#folders]) {
      if (folder === path || folder.startsWith(`${path}/`)) this.#folders.delete(folder);
    }
  }

  renameSync(from: string, to: string): void {
    const node = this.#node(from);
    this.#files.delete(from);
    this.#unname(to);
    this.#files.set(to, node);
    this.#trace?.push({ kind: "rename", path: from, to });
  }

  #unname(path: string): void {
    const node = this.#files.get(path);
    this.#files.delete(path);
    if (node !== undefined && node.handles > 0) this.#unnamed.add(node);
  }
  closed(node: SimNode): void {
    node.handles--;
    if (node.handles === 0) this.#unnamed.delete(node);
  }

  syncFolderSync(_path: string): void {
    // Names are stable at once in this model.
  }

  readFileSync(path: string): Uint8Array {
    return this.bytesOf(path);
  }

  writeFileSync(path: string, content: Uint8Array): void {
    // As on a real disk: what was there stays until the new content is whole.
    const draft = `${path}.new`;
    this.removeSync(draft);
    const file = this.openSync(draft, { create: true, durableWrites: true });
    file.writeSync(content, 0);
    file.closeSync();
    this.renameSync(draft, path);
  }

  lockSync(path: string): () => void {
    if (this.#locks.has(path)) throw new DbError("objectInUse", `data folder is in use: lock "${path}"`);
    this.#locks.add(path);
    return () => this.#locks.delete(path);
  }

  // --- for SimFile --------------------------------------------------------------------------------------------

  begin(path: string, node: SimNode, from: Uint8Array, position: number): PendingWrite {
    const growth = position + from.length - node.content.size;
    if (growth > 0 && this.bytesUsed + growth > this.capacity) {
      throw new DbError("diskFull", `could not write file "${path}": no space left on device`);
    }
    const write: PendingWrite = { id: this.#nextId++, position, bytes: Uint8Array.from(from) };
    node.content.write(from, position);
    node.pending.push(write);
    this.#trace?.push({ kind: "write", path, write });
    return write;
  }

  makeStable(path: string, node: SimNode, writes: readonly PendingWrite[]): void {
    for (const [part, times] of this.#failing) {
      if (times > 0 && path.includes(part)) {
        this.#failing.set(part, times - 1);
        node.syncFailed = true;
      }
    }
    if (node.syncFailed) throw new DbError("ioError", `could not sync file "${path}": input/output error`);
    if (writes.length > 0) this.#placed(path, node, writes);
  }

  #placed(path: string, node: SimNode, writes: readonly PendingWrite[]): void {
    const ids = new Set(writes.map((write) => write.id));
    for (const write of writes) node.stable.write(write.bytes, write.position);
    node.pending = node.pending.filter((write) => !ids.has(write.id));
    this.#trace?.push({ kind: "stable", path, ids: [...ids] });
  }

  truncated(path: string, size: number): void {
    this.#trace?.push({ kind: "truncate", path, size });
  }
}

class SimFile implements DiskFile {
  readonly path: string;
  readonly #disk: SimDisk;
  readonly #node: SimNode;
  readonly #durable: boolean;
  #closed = false;

  constructor(disk: SimDisk, path: string, node: SimNode, durable: boolean) {
    this.#disk = disk;
    this.path = path;
    this.#node = node;
    this.#durable = durable;
    node.handles++;
  }

  size(): number {
    return this.#node.content.size;
  }

  readSync(into: Uint8Array, position: number): number {
    if (this.#disk.readMs > 0) this.#disk.clock.advance(this.#disk.readMs);
    return this.#copy(into, position);
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    await this.#later(this.#disk.readMs);
    return this.#copy(into, position);
  }

  #copy(into: Uint8Array, position: number): number {
    return this.#node.content.read(into, position);
  }

  writeSync(from: Uint8Array, position: number): void {
    if (this.#disk.writeMs > 0) this.#disk.clock.advance(this.#disk.writeMs);
    const write = this.#disk.begin(this.path, this.#node, from, position);
    if (this.#durable) this.#disk.makeStable(this.path, this.#node, [write]);
  }

  async write(from: Uint8Array, position: number): Promise<void> {
    const write = this.#disk.begin(this.path, this.#node, from, position);
    await this.#later(this.#disk.writeMs + (this.#durable ? this.#disk.syncMs : 0));
    if (this.#durable) this.#disk.makeStable(this.path, this.#node, [write]);
  }

  async sync(): Promise<void> {
    const writes = this.#node.pending.slice();
    await this.#later(this.#disk.syncMs);
    this.#disk.makeStable(this.path, this.#node, writes);
  }

  syncSync(): void {
    if (this.#disk.syncMs > 0) this.#disk.clock.advance(this.#disk.syncMs);
    this.#disk.makeStable(this.path, this.#node, this.#node.pending.slice());
  }

  truncateSync(size: number): void {
    assert(this.#node.pending.length === 0, "truncating unsynced files is not modelled");
    this.#node.content.truncate(size);
    this.#node.stable.truncate(size);
    this.#disk.truncated(this.path, size);
  }

  closeSync(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#disk.closed(this.#node);
  }

  #later(ms: number): Promise<void> {
    return new Promise((resolve) => this.#disk.clock.after(ms, resolve));
  }
}
