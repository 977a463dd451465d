/**
 * The pages of one shard: the `PageStore` of `contract.ts` over the node's frame pool.
 *
 * A page found in the pool costs a hash probe; a missing one is read inline while the disk is fast and through the
 * thread pool when it is not (rule M2), and then the operation unwinds by `Wait` before its first change.
 *
 * Invariants: a frame's address is stable as long as its page stays (the operation's pages stay until the next
 * `beginOperation`, pinned ones for ever); whatever is read from disk was verified; freeing a page voids what was
 * marked on it, and what a read under way brings of it.
 */
import { assert, type DbError } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import type { EngineMemory } from "../wasm/index.js";
import { type BulkPages, type PageStore, PageType } from "./contract.js";
import { FreeMap } from "./freemap.js";
import {
  FileHeader,
  FixedPage,
  PageHead,
  pageBodyStart,
  pageMagic,
  pageVersion,
  readNumber,
  writeNumber,
} from "./layouts.js";
import { ObjectDirectory } from "./objects.js";
import { FrameFlag, type FramePool } from "./pool.js";
import type { ReadTimes, ShardFile } from "./shard-file.js";

/** What a shard's pages need of their node: room in pool and journal, durability. */
export interface NodeStorage {
  readonly frames: FramePool;
  readonly readTimes: ReadTimes;
  /** Throws Wait when frames or journal room are short, DbError when the node is fenced. */
  reserve(pages: number): void;
  /** Resolves once a frame may have become clean. */
  framesFreed(): Promise<void>;
  durable(): Promise<void>;
  /** Writes what is left of a shard's bulk pages in place and syncs the file. */
  writeBulkPages(store: ShardStore): Promise<void>;
  /** Pages that were written in place: their earlier journal entries are void from the next group on. */
  inPlace(store: ShardStore, pages: readonly number[]): void;
}

const readAheadMax = 64;

export class ShardStore implements PageStore, BulkPages {
  readonly shard: number;
  readonly pageSize: number;
  readonly pool: EngineMemory;
  readonly frameCount: number;
  readonly file: ShardFile;
  readonly map: FreeMap;
  readonly directory: ObjectDirectory;
  readonly #node: NodeStorage;
  readonly #frames: FramePool;
  readonly #base: number;
  readonly #shift: number;
  readonly #touched: Int32Array;
  readonly #flags: Uint16Array;
  readonly #u16: Uint16Array;
  /** Reads under way, by frame. */
  readonly #loading = new Map<number, Promise<void>>();
  /** Those of them whose page was freed meanwhile: what they read is nobody's. */
  readonly #abandoned = new Set<number>();
  #headerAddress = -1;
  #systemAddress = -1;
  pagesTotal = 0;
  /** Until then nothing else wants the loop, and every read is inline. */
  #opened = false;

  constructor(node: NodeStorage, file: ShardFile) {
    this.#node = node;
    this.#frames = node.frames;
    this.file = file;
    this.shard = file.shard;
    this.pageSize = file.pageSize;
    this.pool = node.frames.memory;
    this.frameCount = node.frames.frameCount;
    this.#base = node.frames.base;
    this.#shift = node.frames.pageShift;
    this.#touched = node.frames.touched;
    this.#flags = node.frames.flags;
    this.#u16 = this.pool.u16;
    this.map = new FreeMap(this);
    this.directory = new ObjectDirectory(this);
  }

  get path(): string {
    return this.file.path;
  }

  /** Opens the shard over its recovered file: the fixed pages come in and stay. Throws DbError dataCorrupted. */
  load(): void {
    this.#frames.beginOperation();
    // The header says how long the file is: until it is read only page 0 can be asked for.
    this.pagesTotal = 1;
    this.#headerAddress = this.pinned(FixedPage.header, PageType.fileHeader);
    const header = this.#headerAddress + pageBodyStart;
    this.pagesTotal = readNumber(this.pool.view, header + FileHeader.pagesTotal);
    const missing = this.pagesTotal * this.pageSize - this.file.file.size();
    // Pages appended but not yet synced may be gone with a crash; they are free, or the journal has them whole.
    if (missing > 0) this.#appendZeros(this.pagesTotal - Math.ceil(missing / this.pageSize), this.pagesTotal);
    this.#systemAddress = this.pinned(FixedPage.system, PageType.system);
    this.map.load();
    this.directory.load();
    this.#opened = true;
  }

  beginOperation(): void {
    this.#frames.beginOperation();
  }

  reserve(pages: number): void {
    this.#node.reserve(pages);
    this.map.ensure(pages);
  }

  page(pageNumber: number, type: PageType): number {
    const frame = this.#frames.findReady(this.shard, pageNumber);
    if (frame < 0) return this.#miss(pageNumber, type);
    this.#touched[frame] = this.#frames.operation;
    const address = this.#base + ((frame << this.#shift) >>> 0);
    if (this.#u16[(address + PageHead.type) >>> 1] !== type) throw this.#wrongType(pageNumber, address, type);
    return address;
  }

  #wrongType(page: number, address: number, wanted: PageType): DbError {
    const type = this.#u16[(address + PageHead.type) >>> 1];
    return this.file.corrupted(page, `has type ${type} where ${wanted} was expected`);
  }

  #miss(pageNumber: number, type: PageType): number {
    const loading = this.#frames.find(this.shard, pageNumber);
    if (loading >= 0) throw new Wait("page", this.#loading.get(loading)!);
    this.#checkNumber(pageNumber);
    if (this.#node.readTimes.slow && this.#opened) {
      throw new Wait("page", this.#startLoad(pageNumber) ?? this.#node.framesFreed());
    }
    const frame = this.#frames.assign(this.shard, pageNumber);
    if (frame < 0) throw new Wait("frames", this.#node.framesFreed());
    const address = this.#frames.addressOf(frame);
    let sound = false;
    try {
      this.file.readSync(pageNumber, address);
      if (this.#u16[(address + PageHead.type) >>> 1] !== type)
        throw this.#wrongType(pageNumber, address, type);
      sound = true;
      if (this.map.bulk.size > 0) this.#keepBulk(pageNumber, frame);
    } finally {
      if (!sound) this.#frames.drop(frame);
    }
    return address;
  }

  #checkNumber(pageNumber: number): void {
    if (!(pageNumber >= 0 && pageNumber < this.pagesTotal && Number.isInteger(pageNumber))) {
      throw this.file.corrupted(pageNumber, "is pointed to but lies beyond the end of the file");
    }
  }

  /** Begins an asynchronous read; undefined when there is no frame for it. A bad page rejects. */
  #startLoad(pageNumber: number): Promise<void> | undefined {
    const frame = this.#frames.assign(this.shard, pageNumber);
    if (frame < 0) return undefined;
    this.#frames.setLoading(frame, true);
    const loading = this.file.read(pageNumber, this.#frames.addressOf(frame)).then(
      () => {
        this.#loading.delete(frame);
        if (this.#reclaimed(frame)) return;
        this.#frames.setLoading(frame, false);
        this.#keepBulk(pageNumber, frame);
        // Whoever waits is to find it: it counts as used by the operation now under way.
        this.#touched[frame] = this.#frames.operation;
      },
      (error: unknown) => {
        this.#loading.delete(frame);
        if (this.#reclaimed(frame)) return;
        this.#frames.drop(frame);
        throw error;
      },
    );
    // Nobody may be waiting (read ahead); who comes later reads again and meets the error itself.
    loading.catch(() => undefined);
    this.#loading.set(frame, loading);
    return loading;
  }

  #reclaimed(frame: number): boolean {
    if (!this.#abandoned.delete(frame)) return false;
    this.#frames.reclaim(frame);
    return true;
  }

  /** The frame of a page that is freed or made anew; a read under way goes on into a frame that is nobody's. */
  #unlessLoading(page: number): number {
    const frame = this.#frames.find(this.shard, page);
    if (frame < 0 || (this.#flags[frame]! & FrameFlag.loading) === 0) return frame;
    this.#frames.abandon(frame);
    this.#abandoned.add(frame);
    return -1;
  }

  /** A bulk page that was evicted and comes back is one still. */
  #keepBulk(page: number, frame: number): void {
    if (this.map.bulk.has(page)) this.#frames.raise(frame, FrameFlag.bulk);
  }

  readAhead(pageNumbers: readonly number[]): void {
    if (!this.#node.readTimes.slow) return;
    for (const page of pageNumbers) {
      if (this.#loading.size >= readAheadMax) return;
      if (page >= this.pagesTotal || this.#frames.find(this.shard, page) >= 0) continue;
      if (this.#startLoad(page) === undefined) return;
    }
  }

  changed(address: number, offset: number, length: number): void {
    this.#frames.mark(address + offset, length);
  }

  allocate(type: PageType, owner: number): number {
    const page = this.map.peek();
    this.#format(page, type, owner, FrameFlag.fresh);
    this.map.set(page);
    return page;
  }

  /** A zero page with its head, in a frame. */
  #format(page: number, type: PageType, owner: number, flags: number): number {
    let frame = this.#unlessLoading(page);
    if (frame < 0) frame = this.#frames.assign(this.shard, page);
    else {
      // Left over from before it was freed: its copy may still be on the way to the disk.
      this.#frames.clearLines(frame);
      this.#frames.setInPlace(frame);
      this.#frames.lower(frame, FrameFlag.bulk | FrameFlag.bulkDirty);
      this.#frames.epochOf[frame] = this.#frames.epochOf[frame]! + 1;
      this.#touched[frame] = this.#frames.operation;
    }
    if (frame < 0) throw new Wait("frames", this.#node.framesFreed());
    const address = this.#frames.addressOf(frame);
    this.pool.u8.fill(0, address, address + this.pageSize);
    const view = this.pool.view;
    view.setUint32(address + PageHead.magic, pageMagic, true);
    view.setUint16(address + PageHead.type, type, true);
    view.setUint16(address + PageHead.version, pageVersion, true);
    writeNumber(view, address + PageHead.pageNumber, page);
    writeNumber(view, address + PageHead.owner, owner);
    view.setUint32(address + PageHead.databaseTag, this.file.tagLow, true);
    view.setUint32(address + PageHead.databaseTag + 4, this.file.tagHigh, true);
    this.#frames.raise(frame, flags);
    this.#frames.mark(address, PageHead.size);
    return address;
  }

  free(pageNumber: number): void {
    const frame = this.#unlessLoading(pageNumber);
    if (frame >= 0) {
      assert((this.#flags[frame]! & FrameFlag.pinned) === 0, "a pinned page cannot be freed");
      this.#frames.clearLines(frame);
      this.#frames.setInPlace(frame);
      if ((this.#flags[frame]! & FrameFlag.writing) === 0) this.#frames.drop(frame);
    }
    if (!this.map.dropBulk(pageNumber)) this.map.clear(pageNumber);
  }

  frameOf(address: number): number {
    return this.#frames.frameOf(address);
  }

  frameEpoch(frame: number): number {
    return this.#frames.epochOf[frame]!;
  }

  createObject(storageId: number, kind: number, rootPage: number): void {
    this.directory.create(storageId, kind, rootPage);
  }

  dropObject(storageId: number): void {
    this.directory.drop(storageId);
  }

  objectRoot(storageId: number): number | undefined {
    return this.directory.root(storageId);
  }

  setObjectRoot(storageId: number, rootPage: number): void {
    this.directory.setRoot(storageId, rootPage);
  }

  objects(): Iterable<{ readonly storageId: number; readonly kind: number; readonly rootPage: number }> {
    return this.directory.values();
  }

  systemPage(): number {
    return this.#systemAddress + pageBodyStart;
  }

  durable(): Promise<void> {
    return this.#node.durable();
  }

  get pagesAllocated(): number {
    return this.map.allocated;
  }

  allocateBulk(type: PageType, owner: number): number {
    // A copy of the page's former life may still be on its way to the disk, and must not come after this one's.
    const page = this.map.peek((candidate) => this.#frames.find(this.shard, candidate) < 0);
    this.#format(page, type, owner, FrameFlag.bulk);
    this.map.takeBulk(page);
    return page;
  }

  async finishBulk(link: () => void): Promise<void> {
    await this.#node.writeBulkPages(this);
    const linked: number[] = [];
    for (const page of this.map.bulk) {
      const frame = this.#frames.find(this.shard, page);
      if (frame >= 0) {
        // Changed again meanwhile: a page of another load, which is linked by its own finish.
        if ((this.#flags[frame]! & FrameFlag.bulkDirty) !== 0) continue;
        this.#frames.lower(frame, FrameFlag.bulk);
      }
      linked.push(page);
    }
    for (const page of linked) this.map.linkBulk(page);
    this.#node.inPlace(this, linked);
    link();
  }

  /** Is the page newer in the pool than on disk? */
  isBehind(page: number): boolean {
    const frame = this.#frames.find(this.shard, page);
    const newer = FrameFlag.unjournaled | FrameFlag.behind | FrameFlag.writing;
    return frame >= 0 && (this.#flags[frame]! & newer) !== 0;
  }

  get loadsRunning(): number {
    return this.#loading.size;
  }

  /** One of the reads under way, however it ends. */
  async nextLoad(): Promise<void> {
    await Promise.race([...this.#loading.values()].map((load) => load.catch(() => undefined)));
  }

  async loadsDone(): Promise<void> {
    await Promise.allSettled([...this.#loading.values()]);
  }

  /** Brings a page in and keeps it for as long as the storage is open; returns its address. */
  pinned(page: number, type: PageType): number {
    const address = this.page(page, type);
    this.#frames.raise(this.#frames.frameOf(address), FrameFlag.pinned);
    return address;
  }

  /** A new pinned page at a number that the caller has chosen and marks itself. */
  makePinned(page: number, type: PageType): number {
    const address = this.#format(page, type, 0, FrameFlag.fresh);
    this.#frames.raise(this.#frames.frameOf(address), FrameFlag.pinned);
    return address;
  }

  pageNumberAt(address: number): number {
    return this.#frames.pageOf[this.#frames.frameOf(address)]!;
  }

  corrupted(page: number, flaw: string): DbError {
    return this.file.corrupted(page, flaw);
  }

  /** Appends zero pages to the file. Throws DbError diskFull; the file's old part is untouched. */
  extendFile(pages: number): void {
    this.#appendZeros(this.pagesTotal, this.pagesTotal + pages);
  }

  #appendZeros(from: number, to: number): void {
    // One page per call: how a file is first written decides how fast it can be written later (measurements 6d).
    const zeros = new Uint8Array(this.pageSize);
    for (let page = from; page < to; page++) this.file.file.writeSync(zeros, page * this.pageSize);
    this.file.unsynced = true;
  }

  setPagesTotal(pages: number): void {
    this.pagesTotal = pages;
    const at = this.#headerAddress + pageBodyStart + FileHeader.pagesTotal;
    writeNumber(this.pool.view, at, pages);
    this.changed(at, 0, 8);
  }
}
