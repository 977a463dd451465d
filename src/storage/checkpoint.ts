/**
 * Brings journaled pages to their place, so that the journal can be used again: copies at a cut, the double-write area
 * first, then in place, in slices; at the end the data files are synced and a control block moves the replay's start.
 *
 * Order, and what a crash at each point finds:
 * 1. Pages are copied when a group was just cut: the copy holds exactly what groups up to it say. *Replay makes it anew.*
 * 2. That group is durable. 3. The copies are written to the double-write area (durable when the write returns).
 * 4. Copies go in place. *A torn page is repaired from the double-write area, then the replay goes over it.*
 * 5. The files are synced before the area is begun anew (a new round) and at the end, the rider's too. 6. The control block.
 *
 * Invariants: no page goes in place before the group that its copy includes is durable; the double-write area is never
 * overwritten while a page of it may be unsynced; the loop is never held longer than a slice.
 */
import { assert, DbError } from "../base/errors.js";
import type { Clock, DiskFile } from "../platform/index.js";
import type { EngineMemory } from "../wasm/index.js";
import type { JournalRider, RiderMark } from "./contract.js";
import type { Journal, JournalPlace } from "./journal.js";
import type { PageKernels } from "./kernels.js";
import {
  BatchEntry,
  BatchHead,
  batchMagic,
  blockBytes,
  PageHead,
  readNumber,
  writeNumber,
} from "./layouts.js";
import type { ShardStore } from "./pager.js";
import { FrameFlag, type FramePool } from "./pool.js";

const sliceMs = 0.7;
/** A longer write would hold the loop by itself. */
const runBytesMax = 256 << 10;
const diskFullRetryMs = 500;

/** Where no rider is. */
export const noMark: RiderMark = { sequence: 0, hash: new Uint8Array(32) };

export interface DoublewritePlan {
  readonly file: DiskFile;
  readonly bytes: number;
  readonly idLow: number;
  readonly idHigh: number;
}

/** A buffer of page copies with the list of them, as it goes to the double-write area. Shared with recovery. */
export class PageBatch {
  readonly #frames: FramePool;
  readonly #memory: EngineMemory;
  readonly #kernels: PageKernels;
  readonly #stores: readonly (ShardStore | undefined)[];
  readonly #start: number;
  readonly capacity: number;
  readonly #headBytes: number;
  readonly frames: Int32Array;
  readonly #shards: Uint16Array;
  readonly #pages: Uint32Array;
  count = 0;
  /** The last group that a copy includes. */
  lastGroup = 0;

  constructor(frames: FramePool, stores: readonly (ShardStore | undefined)[], kernels: PageKernels) {
    this.#frames = frames;
    this.#memory = frames.memory;
    this.#kernels = kernels;
    this.#stores = stores;
    const region = frames.memory.groups;
    this.#start = region.start + (region.bytes >>> 1);
    const room = region.bytes >>> 1;
    // The list of a full batch fits in its head: 16 bytes a page against at least 8192 of image.
    this.#headBytes =
      Math.ceil((BatchHead.size + Math.floor(room / frames.pageSize) * BatchEntry.size) / blockBytes) *
      blockBytes;
    this.capacity = Math.floor((room - this.#headBytes) / frames.pageSize);
    assert(this.capacity >= 4, "the checkpoint buffer is too small for the page size");
    this.frames = new Int32Array(this.capacity);
    this.#shards = new Uint16Array(this.capacity);
    this.#pages = new Uint32Array(this.capacity);
  }

  clear(): void {
    this.count = 0;
    this.lastGroup = 0;
  }

  /** Copies a frame's page; it counts as under way from now on. */
  add(frame: number): void {
    const frames = this.#frames;
    const { pageSize } = frames;
    assert((frames.flags[frame]! & FrameFlag.unjournaled) === 0, "only journaled pages go in place");
    const source = frames.addressOf(frame);
    const at = this.#imageAt(this.count);
    const generation = readNumber(this.#memory.view, source + PageHead.generation) + 1;
    writeNumber(this.#memory.view, source + PageHead.generation, generation);
    this.#memory.u8.copyWithin(at, source, source + pageSize);
    this.#kernels.pageChecksumStore(at, pageSize);
    this.frames[this.count] = frame;
    this.#shards[this.count] = frames.shardOf[frame]!;
    this.#pages[this.count] = frames.pageOf[frame]!;
    this.count++;
    this.lastGroup = Math.max(this.lastGroup, frames.lastGroup[frame]!);
    frames.raise(frame, FrameFlag.writing);
    frames.setInPlace(frame);
  }

  #imageAt(index: number): number {
    return this.#start + this.#headBytes + index * this.#frames.pageSize;
  }

  get bytes(): number {
    return this.#headBytes + this.count * this.#frames.pageSize;
  }

  /** Completes the head; the whole batch as bytes. */
  seal(plan: DoublewritePlan, round: number, sequence: number): Uint8Array {
    const { view, u8 } = this.#memory;
    const start = this.#start;
    u8.fill(0, start, start + this.#headBytes);
    view.setUint32(start + BatchHead.magic, batchMagic, true);
    view.setUint32(start + BatchHead.pageSize, this.#frames.pageSize, true);
    view.setUint32(start + BatchHead.journalId, plan.idLow, true);
    view.setUint32(start + BatchHead.journalId + 4, plan.idHigh, true);
    writeNumber(view, start + BatchHead.round, round);
    writeNumber(view, start + BatchHead.sequence, sequence);
    view.setUint32(start + BatchHead.count, this.count, true);
    view.setUint32(start + BatchHead.headBytes, this.#headBytes, true);
    for (let index = 0; index < this.count; index++) {
      const at = start + BatchHead.size + index * BatchEntry.size;
      const { file } = this.#storeAt(index);
      view.setUint32(at + BatchEntry.incarnation, file.incarnationLow, true);
      view.setUint32(at + BatchEntry.incarnation + 4, file.incarnationHigh, true);
      view.setUint32(at + BatchEntry.pageNumber, this.#pages[index]!, true);
      view.setUint32(at + BatchEntry.shard, this.#shards[index]!, true);
    }
    this.#kernels.xxh64(start, this.#headBytes, start + BatchHead.checksum);
    return u8.subarray(start, start + this.bytes);
  }

  #storeAt(index: number): ShardStore {
    const store = this.#stores[this.#shards[index]!];
    assert(store !== undefined, "a page belongs to a shard");
    return store;
  }

  /** Writes the run of neighbouring pages that begins at `index` in place; returns the index behind it. */
  writeRun(index: number): number {
    const store = this.#storeAt(index);
    let end = index + 1;
    while (
      end < this.count &&
      (end - index) * this.#frames.pageSize < runBytesMax &&
      this.#shards[end] === this.#shards[index] &&
      this.#pages[end] === this.#pages[index]! + (end - index)
    ) {
      end++;
    }
    store.file.writeSync(this.#pages[index]!, end - index, this.#imageAt(index));
    for (let written = index; written < end; written++) {
      this.#frames.lower(this.frames[written]!, FrameFlag.writing);
    }
    return end;
  }
}

/** Frames that are behind, by shard and page, as keys shard * 2^32 + page. */
export function behindPages(frames: FramePool): Float64Array {
  const keys = new Float64Array(frames.behindCount);
  let count = 0;
  for (let frame = 0; frame < frames.frameCount; frame++) {
    if (frames.firstGroup[frame] !== 0) {
      keys[count++] = frames.shardOf[frame]! * 4294967296 + frames.pageOf[frame]!;
    }
  }
  assert(count === keys.length, "the count of frames behind is exact");
  return keys.sort();
}

export class Checkpointer {
  readonly #journal: Journal;
  readonly #frames: FramePool;
  readonly #stores: readonly ShardStore[];
  readonly #clock: Clock;
  readonly #plan: DoublewritePlan;
  readonly #behindMax: number;
  readonly #rider: JournalRider | undefined;
  readonly batch: PageBatch;
  #running: Promise<void> | undefined;
  #wanted = false;
  #position = 0;
  #round: number;
  #sequence = 1;
  pagesWritten = 0;
  passes = 0;

  constructor(
    journal: Journal,
    frames: FramePool,
    stores: readonly ShardStore[],
    batch: PageBatch,
    clock: Clock,
    plan: DoublewritePlan,
    behindMax: number,
    rider: JournalRider | undefined,
  ) {
    this.#journal = journal;
    this.#frames = frames;
    this.#stores = stores;
    this.batch = batch;
    this.#clock = clock;
    this.#plan = plan;
    this.#behindMax = behindMax;
    this.#rider = rider;
    this.#round = journal.doublewriteRound;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** Starts a pass unless one runs; then one more follows if it is still needed. */
  want(): void {
    if (this.#journal.fence !== undefined) return;
    if (this.#running !== undefined) {
      this.#wanted = true;
      return;
    }
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** A whole pass that begins now or later; resolves when everything journaled before the call is in place. */
  async complete(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    this.want();
    if (this.#running !== undefined) await this.#running;
    if (this.#journal.fence !== undefined) throw this.#journal.fence;
  }

  /** Starts a pass when so many pages are behind that a restart would take too long. */
  noteGroup(): void {
    if (this.#frames.behindCount > this.#behindMax) this.want();
  }

  async #run(): Promise<void> {
    try {
      do {
        this.#wanted = false;
        await this.#pass();
      } while (this.#wanted && (!this.#journal.otherHalfFree || this.#frames.behindCount > this.#behindMax));
    } catch (error) {
      // Everything here stands between acknowledged work and its place: what fails ends acknowledgements.
      this.#journal.stop(error);
    }
  }

  async #pass(): Promise<void> {
    const journal = this.#journal;
    let place: JournalPlace | undefined;
    let keys: Float64Array = new Float64Array(0);
    await journal.cutThen(() => {
      place = journal.place;
      keys = behindPages(this.#frames);
    });
    assert(place !== undefined, "the cut has told its place");
    let next = 0;
    while (next < keys.length) {
      await journal.cutThen(() => {
        next = this.#fill(keys, next, place!.number);
      });
      if (this.batch.count === 0) continue;
      await journal.whenSynced(this.batch.lastGroup);
      await this.#writeBatch();
      journal.signalProgress();
    }
    await this.#syncFiles();
    this.#round++;
    this.#position = 0;
    const mark = (await this.#rider?.settle()) ?? noMark;
    await journal.writeControl(place, this.#round, mark);
    this.passes++;
  }

  /** Copies pages from `next` on until the buffer or the slice is full; returns where to go on. */
  #fill(keys: Float64Array, next: number, before: number): number {
    const frames = this.#frames;
    const { batch } = this;
    batch.clear();
    const started = this.#clock.monotonic();
    while (next < keys.length && batch.count < batch.capacity) {
      if ((next & 7) === 7 && this.#clock.monotonic() - started > sliceMs) break;
      const key = keys[next]!;
      const shard = Math.floor(key / 4294967296);
      const frame = frames.find(shard, key - shard * 4294967296);
      next++;
      // Freed meanwhile, or freed and begun anew: then later groups have it whole.
      if (frame < 0 || frames.firstGroup[frame] === 0 || frames.firstGroup[frame]! >= before) continue;
      batch.add(frame);
    }
    return next;
  }

  async #writeBatch(): Promise<void> {
    const { batch } = this;
    if (this.#position + batch.bytes > this.#plan.bytes) {
      await this.#syncFiles();
      this.#round++;
      this.#position = 0;
    }
    assert(batch.bytes <= this.#plan.bytes, "a batch fits into the double-write area");
    await this.#plan.file.write(batch.seal(this.#plan, this.#round, this.#sequence++), this.#position);
    this.#position += batch.bytes;
    let index = 0;
    let started = this.#clock.monotonic();
    while (index < batch.count) {
      try {
        index = batch.writeRun(index);
      } catch (error) {
        if (!(error instanceof DbError && error.condition === "diskFull")) throw error;
        // The pages stay where they are, in the pool and the journal, until there is space.
        await new Promise<void>((resolve) => this.#clock.after(diskFullRetryMs, resolve));
        if (this.#journal.fence !== undefined) throw this.#journal.fence;
        continue;
      }
      if (this.#clock.monotonic() - started > sliceMs) {
        await (this.#clock.turn?.() ?? this.#clock.yield());
        started = this.#clock.monotonic();
      }
    }
    this.pagesWritten += batch.count;
  }

  async #syncFiles(): Promise<void> {
    for (const { file } of this.#stores) {
      if (!file.unsynced) continue;
      file.unsynced = false;
      await file.file.sync();
    }
  }
}
