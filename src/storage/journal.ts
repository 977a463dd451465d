/**
 * The node's page journal (D6, V1-V3): what changed in the pool, 64-byte line by line, in groups that are written past
 * the cache and are durable when the write returns. One group is in flight while the pool collects the next one.
 *
 * File `journal/groups`:
 *
 * | bytes | what |
 * |---|---|
 * | 0 and 4096 | two control blocks, written in turn: the valid one with the higher sequence says where a replay begins |
 * | 64 KiB .. + half | first half: groups one after the other, each padded to 4 KiB |
 * | .. + half | second half |
 *
 * Invariants:
 * - A group is cut between operations and holds every line marked since the group before. One that outgrows the buffer
 *   is written in parts, each a group of its own number; only the last is marked final, and a replay applies parts
 *   only up to a final one. What changes between two parts is in a later part, so the whole is the state at the last.
 * - Numbers rise by one; each group carries its predecessor's checksum. Group n + 1 is not written before n is durable.
 * - A half is written over only when a durable control block says that the replay begins outside it.
 * - The rider's text that waits is in the next group, whole, and on files of its own before its half is written over.
 * - After a failed write nothing is ever acknowledged again (the fence, MGA-52).
 * - Writers are admitted only while their lines surely fit into what is left of the current half, unless the other
 *   half is free: so a group can always be cut, and the checkpoint that frees the other half is never starved.
 */
import { assert, DbError } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import type { Clock, DiskFile } from "../platform/index.js";
import type { EngineMemory } from "../wasm/index.js";
import type { JournalRider, RiderMark as Mark } from "./contract.js";
import type { PageKernels } from "./kernels.js";
import {
  blockBytes,
  ControlBlock,
  controlBytes,
  controlMagic,
  controlVersion,
  entryFlags,
  GroupEntry,
  GroupHead,
  groupFlags,
  groupMagic,
  lineBytes,
  RiderMark,
  riderMarkAt,
  writeNumber,
} from "./layouts.js";
import type { ShardStore } from "./pager.js";
import { FrameFlag, type FramePool } from "./pool.js";

/** A part's size at most, so that any reader has room for it. */
export const partBytesMax = 4 << 20;

/** A place in the chain of groups: the next group's number, where it goes, and the checksum it will carry. */
export interface JournalPlace {
  readonly number: number;
  /** Where it goes, unless it does not fit there: then at the start of the other half. */
  readonly position: number;
  /** The half that is being filled; said apart because a position on the border belongs to either. */
  readonly half: number;
  readonly seedLow: number;
  readonly seedHigh: number;
}

export interface JournalPlan {
  readonly file: DiskFile;
  readonly halfBytes: number;
  readonly idLow: number;
  readonly idHigh: number;
  readonly pageSize: number;
  readonly databaseUuid: Uint8Array;
  readonly start: JournalPlace;
  /** Sequence of the last control block written. */
  readonly controlSequence: number;
  readonly doublewriteRound: number;
  readonly rider: JournalRider | undefined;
  readonly mark: Mark;
}

class Deferred {
  readonly promise: Promise<void>;
  resolve!: () => void;
  reject!: (error: unknown) => void;
  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // A group may fail with nobody waiting for it; the fence tells everyone who comes later.
    this.promise.catch(() => undefined);
  }
}

export interface JournalEvents {
  /** The journal turned to its other half, or wants one freed. */
  wantCheckpoint(): void;
  groupCut(): void;
  groupDurable(): void;
  fenced(error: DbError): void;
}

export class Journal {
  readonly #plan: JournalPlan;
  readonly #frames: FramePool;
  readonly #memory: EngineMemory;
  readonly #kernels: PageKernels;
  readonly #clock: Clock;
  readonly #events: JournalEvents;
  readonly #stores: readonly (ShardStore | undefined)[];
  /** Address and size of the buffer a part is built in. */
  readonly #buffer: number;
  readonly #bufferBytes: number;
  readonly #controlBuffer: number;

  /** Number and place of the next group. */
  #number: number;
  #position: number;
  #half: number;
  #chainLow: number;
  #chainHigh: number;
  /** The last group whose write returned. */
  synced: number;
  #inFlight = false;
  #scheduled = false;
  /** Parts of an unfinished group were written: bytes so far. */
  #partial = 0;
  #stalled = false;
  /** Whose changes are in the group in flight, and who waits for the next one. */
  #current: Deferred[] = [];
  #waiting: Deferred | undefined;
  #hooks: (() => void)[] = [];
  #progress: Deferred | undefined;
  /** Where a replay begins according to the last durable control block. */
  #replay: JournalPlace;
  #controlSequence: number;
  #mark: Mark;
  doublewriteRound: number;
  fence: DbError | undefined;
  /** Pages written in place without lines, to be told in the next group. */
  readonly #inPlace: { readonly store: ShardStore; readonly pages: readonly number[] }[] = [];
  #inPlaceCount = 0;
  /** Unjournaled bytes above which writers wait for a group. */
  readonly limitBytes: number;
  groupsWritten = 0;
  bytesWritten = 0;
  lastGroupAt = 0;

  constructor(
    plan: JournalPlan,
    frames: FramePool,
    stores: readonly (ShardStore | undefined)[],
    kernels: PageKernels,
    clock: Clock,
    events: JournalEvents,
  ) {
    this.#plan = plan;
    this.#frames = frames;
    this.#stores = stores;
    this.#memory = frames.memory;
    this.#kernels = kernels;
    this.#clock = clock;
    this.#events = events;
    const region = frames.memory.groups;
    this.#controlBuffer = region.start;
    this.#buffer = region.start + blockBytes;
    this.#bufferBytes = Math.min(partBytesMax, ((region.bytes >>> 1) - blockBytes) & -blockBytes);
    assert(this.#bufferBytes >= plan.pageSize * 4, "the group buffer is too small for the page size");
    this.limitBytes = journalLimit(plan.halfBytes);
    this.#number = plan.start.number;
    this.#position = plan.start.position;
    this.#half = plan.start.half;
    this.#chainLow = plan.start.seedLow;
    this.#chainHigh = plan.start.seedHigh;
    this.synced = plan.start.number - 1;
    this.#replay = plan.start;
    this.#controlSequence = plan.controlSequence;
    this.#mark = plan.mark;
    this.doublewriteRound = plan.doublewriteRound;
  }

  #halfEnd(half: number): number {
    return controlBytes + (half + 1) * this.#plan.halfBytes;
  }

  get otherHalfFree(): boolean {
    return this.#replay.half === this.#half;
  }

  /** Where the next group goes. */
  get place(): JournalPlace {
    return {
      number: this.#number,
      position: this.#position,
      half: this.#half,
      seedLow: this.#chainLow,
      seedHigh: this.#chainHigh,
    };
  }

  get busy(): boolean {
    return this.#inFlight || this.#partial > 0;
  }

  get #riding(): number {
    return this.#plan.rider?.waitingBytes ?? 0;
  }
  /** All that the next group has to hold. */
  #waitingBytes(lines: number, pages: number): number {
    return this.#bytesFor(lines, pages) + this.#inPlaceCount * GroupEntry.size + riderBytes(this.#riding);
  }

  /** What the rider asks before it takes on more: see `admit`. */
  hasRoom(bytes: number): boolean {
    if (this.otherHalfFree) return true;
    const frames = this.#frames;
    const wanted = this.#waitingBytes(frames.unjournaledLines, frames.unjournaledCount) + riderBytes(bytes);
    if (this.#halfEnd(this.#half) - this.#position - wanted >= this.limitBytes >>> 1) return true;
    this.#events.wantCheckpoint();
    return false;
  }

  /** An upper bound of the bytes that `lines` lines of `pages` pages take in a group. */
  #bytesFor(lines: number, pages: number): number {
    // Each line alone in its run, and every second run pads.
    return lines * (lineBytes + 4) + pages * (GroupEntry.size + 8) + GroupHead.size + blockBytes;
  }

  /** Lets a writer of `pages` pages in, or throws Wait (no room), or DbError ioError (fenced). */
  admit(pages: number): void {
    if (this.fence !== undefined) throw this.fence;
    const frames = this.#frames;
    const lines = frames.unjournaledLines;
    const bytes = lines * lineBytes + pages * frames.pageSize;
    const tooMany = frames.unjournaledCount + pages > frames.frameCount >>> 2;
    if (bytes > this.limitBytes || tooMany) {
      if (frames.unjournaledCount > 0 || this.busy) {
        this.#schedule();
        throw new Wait("journal", this.progress());
      }
      throw new DbError(
        "configurationLimitExceeded",
        `an operation on ${pages} pages exceeds the ${tooMany ? "buffer pool" : "journal"}`,
      );
    }
    if (this.#partial > this.limitBytes) throw new Wait("journal", this.progress());
    if (this.otherHalfFree) {
      // Long transactions commit late: their lines go out before they press.
      if (bytes > this.limitBytes >>> 1) this.#schedule();
      return;
    }
    const wanted = this.#waitingBytes(
      lines + pages * (frames.pageSize / lineBytes),
      frames.unjournaledCount + pages,
    );
    if (this.#halfEnd(this.#half) - this.#position - wanted < this.limitBytes) {
      this.#events.wantCheckpoint();
      throw new Wait("journal", this.progress());
    }
    if (bytes > this.limitBytes >>> 1) this.#schedule();
  }

  /** Resolves when every line marked until now is durable; rejects (58030) when the node is or gets fenced. */
  durable(): Promise<void> {
    if (this.fence !== undefined) return Promise.reject(this.fence);
    if (this.#frames.unjournaledCount === 0 && this.#inPlaceCount === 0 && this.#riding === 0) {
      const last = this.#current[0];
      if (last !== undefined && this.#partial === 0) return last.promise;
      if (!this.busy) return Promise.resolve();
    }
    this.#waiting ??= new Deferred();
    this.#schedule();
    return this.#waiting.promise;
  }

  /** Runs `hook` at the next cut, when no page has lines that are not in a group; resolves after it ran. */
  cutThen(hook: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.fence !== undefined) {
        reject(this.fence);
        return;
      }
      this.#hooks.push(() => {
        if (this.fence !== undefined) {
          reject(this.fence);
          return;
        }
        hook();
        resolve();
      });
      this.#schedule();
    });
  }

  /** Resolves when a group became durable, a checkpoint went on, or the node was fenced: whoever waits looks again. */
  progress(): Promise<void> {
    this.#progress ??= new Deferred();
    return this.#progress.promise;
  }

  signalProgress(): void {
    const waiting = this.#progress;
    this.#progress = undefined;
    waiting?.resolve();
  }

  /** Resolves once group `number` is durable. */
  async whenSynced(number: number): Promise<void> {
    while (this.synced < number) {
      if (this.fence !== undefined) throw this.fence;
      await this.progress();
    }
  }

  noteInPlace(store: ShardStore, pages: readonly number[]): void {
    if (pages.length === 0) return;
    this.#inPlace.push({ store, pages });
    this.#inPlaceCount += pages.length;
  }

  /** Ends all acknowledgements: everyone who waits, now or later, gets the error. */
  stop(error: unknown): void {
    if (this.fence !== undefined) return;
    const reason = error instanceof Error ? error.message : String(error);
    this.fence =
      error instanceof DbError && error.condition === "adminShutdown"
        ? error
        : new DbError(
            "ioError",
            `storage is fenced: ${reason}`,
            { hint: "Check the disk, then restart the node: it recovers everything acknowledged." },
            error,
          );
    const waiting = this.#current;
    this.#current = [];
    if (this.#waiting !== undefined) waiting.push(this.#waiting);
    this.#waiting = undefined;
    for (const deferred of waiting) deferred.reject(this.fence);
    const hooks = this.#hooks;
    this.#hooks = [];
    for (const hook of hooks) hook();
    this.signalProgress();
    this.#events.fenced(this.fence);
  }

  #schedule(): void {
    if (this.#scheduled || this.#inFlight) return;
    this.#scheduled = true;
    void this.#clock.yield().then(() => {
      this.#scheduled = false;
      this.#cut();
    });
  }

  /** Cuts the next group (or part) and sends it off. Runs between operations only: from the loop, never from a call. */
  #cut(): void {
    if (this.#inFlight || this.fence !== undefined) return;
    const frames = this.#frames;
    const idle = frames.unjournaledCount === 0 && this.#inPlaceCount === 0 && this.#riding === 0;
    if (idle && this.#partial === 0) {
      this.#events.groupCut();
      this.#runHooks();
      this.#events.groupDurable();
      const waiting = this.#waiting;
      this.#waiting = undefined;
      waiting?.resolve();
      return;
    }
    const wanted = this.#waitingBytes(frames.unjournaledLines, frames.unjournaledCount);
    const needed = Math.min(wanted, this.#bufferBytes);
    if (this.#halfEnd(this.#half) - this.#position < needed) {
      if (!this.otherHalfFree) {
        // Tried again when the checkpoint has freed the other half.
        this.#stalled = true;
        this.#events.wantCheckpoint();
        return;
      }
      this.#half = 1 - this.#half;
      this.#position = controlBytes + this.#half * this.#plan.halfBytes;
      this.#events.wantCheckpoint();
    }
    const number = this.#number++;
    const final = this.#build(number);
    const length = this.#memory.view.getUint32(this.#buffer + GroupHead.length, true);
    const padded = Math.ceil(length / blockBytes) * blockBytes;
    const position = this.#position;
    this.#position += padded;
    assert(this.#position <= this.#halfEnd(this.#half), "a group fits into its half");
    this.#inFlight = true;
    if (this.#waiting !== undefined) {
      this.#current.push(this.#waiting);
      this.#waiting = undefined;
    }
    if (final) {
      // Callers that come while nothing new is marked find the group's promise here.
      if (this.#current.length === 0) this.#current.push(new Deferred());
      this.#partial = 0;
      this.#events.groupCut();
      this.#runHooks();
    } else {
      this.#partial += padded;
    }
    this.bytesWritten += padded;
    this.#plan.file.write(this.#memory.u8.subarray(this.#buffer, this.#buffer + padded), position).then(
      () => this.#written(number, final),
      (error: unknown) => {
        this.#inFlight = false;
        this.stop(error);
      },
    );
  }

  #runHooks(): void {
    const hooks = this.#hooks;
    if (hooks.length === 0) return;
    this.#hooks = [];
    for (const hook of hooks) hook();
  }

  #written(number: number, final: boolean): void {
    this.#inFlight = false;
    if (this.fence !== undefined) return;
    if (final) {
      this.groupsWritten++;
      this.lastGroupAt = this.#clock.monotonic();
      this.synced = number;
      this.#events.groupDurable();
      const acknowledged = this.#current;
      this.#current = [];
      for (const deferred of acknowledged) deferred.resolve();
      this.signalProgress();
      if (this.#waiting !== undefined || this.#hooks.length > 0) this.#cut();
    } else {
      this.signalProgress();
      this.#cut();
    }
  }

  /** Fills the buffer with entries; true when nothing is left out. */
  #build(number: number): boolean {
    const frames = this.#frames;
    const { u8, view } = this.#memory;
    const start = this.#buffer;
    const end = start + this.#bufferBytes;
    let at = start + GroupHead.size;
    let entries = 0;
    while (this.#inPlace.length > 0 && at + GroupEntry.size <= end) {
      const last = this.#inPlace[this.#inPlace.length - 1]!;
      const { store } = last;
      let index = 0;
      while (index < last.pages.length && at + GroupEntry.size <= end) {
        this.#entry(at, store, last.pages[index]!, entryFlags.inPlace, 0, 0);
        at += GroupEntry.size;
        entries++;
        index++;
      }
      this.#inPlaceCount -= index;
      this.#inPlace.pop();
      if (index < last.pages.length) this.#inPlace.push({ store, pages: last.pages.slice(index) });
    }
    while (frames.unjournaledCount > 0 && this.#inPlace.length === 0) {
      const frame = frames.unjournaled[frames.unjournaledCount - 1]!;
      const next = this.#put(frame, at, end);
      if (next < 0) break;
      if (next > at) entries++;
      at = next;
      frames.clearLines(frame);
      frames.lower(frame, FrameFlag.fresh);
      frames.setBehind(frame, number);
    }
    if (this.#riding > 0 && end - at >= GroupEntry.size + lineBytes) {
      at = this.#putRider(at, end);
      entries++;
    }
    const final = frames.unjournaledCount === 0 && this.#inPlaceCount === 0 && this.#riding === 0;
    const length = at - start;
    const padded = Math.ceil(length / blockBytes) * blockBytes;
    u8.fill(0, at, start + padded);
    u8.fill(0, start, start + GroupHead.size);
    view.setUint32(start + GroupHead.magic, groupMagic, true);
    view.setUint16(start + GroupHead.version, 1, true);
    view.setUint16(start + GroupHead.flags, final ? groupFlags.final : 0, true);
    writeNumber(view, start + GroupHead.number, number);
    view.setUint32(start + GroupHead.predecessor, this.#chainLow, true);
    view.setUint32(start + GroupHead.predecessor + 4, this.#chainHigh, true);
    view.setUint32(start + GroupHead.journalId, this.#plan.idLow, true);
    view.setUint32(start + GroupHead.journalId + 4, this.#plan.idHigh, true);
    view.setUint32(start + GroupHead.length, length, true);
    view.setUint32(start + GroupHead.entries, entries, true);
    this.#kernels.xxh64(start, length, start + GroupHead.checksum);
    this.#chainLow = view.getUint32(start + GroupHead.checksum, true);
    this.#chainHigh = view.getUint32(start + GroupHead.checksum + 4, true);
    return final;
  }

  /** Text has no page: the entry is of no shard, and says its bytes where others have their page's number. */
  #putRider(at: number, end: number): number {
    const { view, u8 } = this.#memory;
    const from = at + GroupEntry.size;
    const room = (end - from) & -lineBytes;
    const bytes = this.#plan.rider!.take(u8.subarray(from, from + room));
    const lines = Math.ceil(bytes / lineBytes);
    u8.fill(0, at, from);
    u8.fill(0, from + bytes, from + lines * lineBytes);
    view.setUint32(at + GroupEntry.pageNumber, bytes, true);
    u8[at + GroupEntry.flags] = entryFlags.rider;
    view.setUint32(at + GroupEntry.lines, lines, true);
    return from + lines * lineBytes;
  }

  #entry(at: number, store: ShardStore, page: number, flags: number, runs: number, lines: number): void {
    const { view, u8 } = this.#memory;
    view.setUint32(at + GroupEntry.incarnation, store.file.incarnationLow, true);
    view.setUint32(at + GroupEntry.incarnation + 4, store.file.incarnationHigh, true);
    view.setUint32(at + GroupEntry.pageNumber, page, true);
    view.setUint16(at + GroupEntry.shard, store.shard, true);
    u8[at + GroupEntry.flags] = flags;
    u8[at + GroupEntry.reserved] = 0;
    view.setUint32(at + GroupEntry.runs, runs, true);
    view.setUint32(at + GroupEntry.lines, lines, true);
  }

  /** Writes the frame's lines at `at`; the address behind them, or -1 when they do not fit before `end`. */
  #put(frame: number, at: number, end: number): number {
    const frames = this.#frames;
    const { u16, u8 } = this.#memory;
    const page = frames.addressOf(frame);
    const fresh = (frames.flags[frame]! & FrameFlag.fresh) !== 0;
    const bits = frames.dirtyLines;
    const firstWord = frame * frames.wordsPerFrame;
    const runsStart = at + GroupEntry.size;
    // Runs first: their number decides where the lines begin.
    let runs = 0;
    let lines = 0;
    let runAt = runsStart >>> 1;
    let open = -2;
    for (let word = 0; word < frames.wordsPerFrame; word++) {
      let rest = bits[firstWord + word]! | 0;
      while (rest !== 0) {
        const line = word * 32 + (31 - Math.clz32(rest & -rest));
        rest &= rest - 1;
        // The base of a fresh page is zeros: zero lines say nothing.
        if (fresh && this.#isZero(page + line * lineBytes)) continue;
        if (runsStart + (runs + 1) * 4 + 8 + (lines + 1) * lineBytes > end) return -1;
        if (line === open + 1) u16[runAt - 1] = u16[runAt - 1]! + 1;
        else {
          u16[runAt] = line;
          u16[runAt + 1] = 1;
          runAt += 2;
          runs++;
        }
        open = line;
        lines++;
      }
    }
    const store = this.#stores[frames.shardOf[frame]!];
    assert(store !== undefined, "a frame belongs to a shard");
    this.#entry(at, store, frames.pageOf[frame]!, fresh ? entryFlags.fresh : 0, runs, lines);
    let to = runsStart + runs * 4;
    if ((to & 7) !== 0) {
      u16[to >>> 1] = 0;
      u16[(to >>> 1) + 1] = 0;
      to += 4;
    }
    for (let run = 0; run < runs; run++) {
      const from = page + u16[(runsStart >>> 1) + run * 2]! * lineBytes;
      const count = u16[(runsStart >>> 1) + run * 2 + 1]! * lineBytes;
      u8.copyWithin(to, from, from + count);
      to += count;
    }
    return to;
  }

  #isZero(at: number): boolean {
    const { u32 } = this.#memory;
    const from = at >>> 2;
    for (let word = from; word < from + lineBytes / 4; word++) if (u32[word] !== 0) return false;
    return true;
  }

  /**
   * All groups before `replay` are in place and synced, double-write batches before `round` are void: makes that
   * durable, and what lies before it may be written over.
   */
  async writeControl(replay: JournalPlace, round: number, mark: Mark): Promise<void> {
    const sequence = this.#controlSequence + 1;
    buildControl(this.#memory, this.#kernels, this.#controlBuffer, this.#plan, sequence, replay, round, mark);
    await this.#plan.file.write(
      this.#memory.u8.subarray(this.#controlBuffer, this.#controlBuffer + blockBytes),
      (sequence & 1) * blockBytes,
    );
    this.#controlSequence = sequence;
    this.#replay = replay;
    this.#mark = mark;
    this.doublewriteRound = round;
    if (this.#stalled) {
      this.#stalled = false;
      this.#schedule();
    }
    this.signalProgress();
  }

  /**
   * Notes that the journal ends here, when all of it is in place: the next open need not look for what may lie behind.
   * The control block that every open writes takes the note back before the first group.
   */
  async writeClosed(): Promise<void> {
    const inPlace =
      this.#replay.number === this.#number && this.#frames.unjournaledCount === 0 && this.#riding === 0;
    if (this.fence !== undefined || this.busy || !inPlace) return;
    const sequence = ++this.#controlSequence;
    buildControl(
      this.#memory,
      this.#kernels,
      this.#controlBuffer,
      this.#plan,
      sequence,
      this.#replay,
      this.doublewriteRound,
      this.#mark,
      true,
    );
    await this.#plan.file.write(
      this.#memory.u8.subarray(this.#controlBuffer, this.#controlBuffer + blockBytes),
      (sequence & 1) * blockBytes,
    );
  }

  close(): void {
    this.#plan.file.closeSync();
  }
}

/** In a group, in an entry for each of the two parts that it may be cut into; none when there is none. */
function riderBytes(bytes: number): number {
  return bytes === 0 ? 0 : bytes + 2 * (GroupEntry.size + lineBytes);
}

/** Bytes of lines that may wait for a group, so that a half always has room for what waits. */
export function journalLimit(halfBytes: number): number {
  return halfBytes >>> 3;
}

/** A control block at `at` (one 4 KiB block). */
export function buildControl(
  memory: EngineMemory,
  kernels: PageKernels,
  at: number,
  plan: Pick<JournalPlan, "halfBytes" | "idLow" | "idHigh" | "pageSize" | "databaseUuid">,
  sequence: number,
  replay: JournalPlace,
  round: number,
  mark: Mark | undefined,
  closed = false,
): void {
  const { view, u8 } = memory;
  u8.fill(0, at, at + blockBytes);
  view.setUint32(at + ControlBlock.magic, controlMagic, true);
  view.setUint32(at + ControlBlock.version, controlVersion, true);
  writeNumber(view, at + ControlBlock.sequence, sequence);
  view.setUint32(at + ControlBlock.journalId, plan.idLow, true);
  view.setUint32(at + ControlBlock.journalId + 4, plan.idHigh, true);
  writeNumber(view, at + ControlBlock.halfBytes, plan.halfBytes);
  view.setUint32(at + ControlBlock.pageSize, plan.pageSize, true);
  writeNumber(view, at + ControlBlock.replayNumber, replay.number);
  writeNumber(view, at + ControlBlock.replayPosition, replay.position);
  view.setUint32(at + ControlBlock.replaySeed, replay.seedLow, true);
  view.setUint32(at + ControlBlock.replaySeed + 4, replay.seedHigh, true);
  writeNumber(view, at + ControlBlock.doublewriteRound, round);
  u8.set(plan.databaseUuid, at + ControlBlock.databaseUuid);
  view.setUint32(at + ControlBlock.closed, closed ? 1 : 0, true);
  kernels.xxh64(at, ControlBlock.checksum, at + ControlBlock.checksum);
  if (mark === undefined || mark.sequence === 0) return;
  const from = at + riderMarkAt;
  writeNumber(view, from + RiderMark.sequence, mark.sequence);
  u8.set(mark.hash, from + RiderMark.hash);
  kernels.xxh64(from, RiderMark.checksum, from + RiderMark.checksum);
}
