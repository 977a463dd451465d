/**
 * Opening after any end: repairs torn pages from the double-write area, applies the journal's complete groups, brings
 * the pages in place and starts the journal anew. Synchronous; nothing else runs meanwhile.
 *
 * Invariants:
 * - The replay begins where the newest valid control block says and follows numbers and predecessor checksums. The first
 *   group that does not follow ends it; a valid one with a higher number behind it is corruption (V3), because a group
 *   is written only after its predecessor is durable.
 * - Applying is idempotent: a crash during recovery leads to the same state.
 * - A page whose base is damaged is left alone and told: it answers XX001 when it is read, and hinders nobody else.
 * - At most two halves are read and at most as many pages as a running node lets fall behind.
 */
import { assert, DbError } from "../base/errors.js";
import type { DiskFile } from "../platform/index.js";
import type { EngineMemory } from "../wasm/index.js";
import { behindPages, type DoublewritePlan, noMark, type PageBatch } from "./checkpoint.js";
import type { JournalRider, RiderMark as Mark } from "./contract.js";
import type { JournalPlace } from "./journal.js";
import type { PageKernels } from "./kernels.js";
import {
  BatchEntry,
  BatchHead,
  batchMagic,
  blockBytes,
  ControlBlock,
  controlBytes,
  controlMagic,
  controlVersion,
  entryFlags,
  FixedPage,
  GroupEntry,
  GroupHead,
  groupFlags,
  groupMagic,
  lineBytes,
  PageHead,
  pageMagic,
  RiderMark,
  readNumber,
  riderMarkAt,
} from "./layouts.js";
import { FrameFlag, type FramePool } from "./pool.js";
import type { ShardFile } from "./shard-file.js";

export interface Control {
  readonly sequence: number;
  readonly idLow: number;
  readonly idHigh: number;
  readonly halfBytes: number;
  readonly pageSize: number;
  readonly replay: JournalPlace;
  readonly doublewriteRound: number;
  readonly databaseUuid: Uint8Array;
  /** The files were closed in order, with nothing behind the replay's start. */
  readonly closed: boolean;
  /** Of the rider when the block was written. */
  readonly mark: Mark;
}

export interface RecoveryReport {
  readonly groupsApplied: number;
  readonly bytesRead: number;
  /** Pages that groups had changed. */
  readonly pagesRecovered: number;
  /** Torn pages restored from the double-write area. */
  readonly pagesRepaired: number;
  /** Pages that could not be read, so that their groups were not applied. */
  readonly damaged: readonly { readonly shard: number; readonly page: number; readonly flaw: string }[];
  readonly durationMs: number;
}

/** The valid control block with the highest sequence. Throws DbError dataCorrupted when there is none. */
export function readControl(file: DiskFile, memory: EngineMemory, kernels: PageKernels): Control {
  const at = memory.scratch.start;
  const { view, u8 } = memory;
  let best: Control | undefined;
  for (let block = 0; block < 2; block++) {
    if (file.readSync(u8.subarray(at, at + blockBytes), block * blockBytes) !== blockBytes) continue;
    if (view.getUint32(at + ControlBlock.magic, true) !== controlMagic) continue;
    kernels.xxh64(at, ControlBlock.checksum, at + blockBytes);
    if (!sameHash(view, at + blockBytes, at + ControlBlock.checksum)) continue;
    const version = view.getUint32(at + ControlBlock.version, true);
    if (version > controlVersion) {
      throw new DbError(
        "featureNotSupported",
        `file "${file.path}" has journal format ${version}; this program knows up to ${controlVersion}`,
      );
    }
    const mark = readMark(memory, kernels, at);
    if (mark === undefined) continue;
    const sequence = readNumber(view, at + ControlBlock.sequence);
    if (best !== undefined && best.sequence > sequence) continue;
    const halfBytes = readNumber(view, at + ControlBlock.halfBytes);
    const position = readNumber(view, at + ControlBlock.replayPosition);
    best = {
      sequence,
      idLow: view.getUint32(at + ControlBlock.journalId, true),
      idHigh: view.getUint32(at + ControlBlock.journalId + 4, true),
      halfBytes,
      pageSize: view.getUint32(at + ControlBlock.pageSize, true),
      replay: {
        number: readNumber(view, at + ControlBlock.replayNumber),
        position,
        half: position >= controlBytes + halfBytes ? 1 : 0,
        seedLow: view.getUint32(at + ControlBlock.replaySeed, true),
        seedHigh: view.getUint32(at + ControlBlock.replaySeed + 4, true),
      },
      doublewriteRound: readNumber(view, at + ControlBlock.doublewriteRound),
      databaseUuid: u8.slice(at + ControlBlock.databaseUuid, at + ControlBlock.databaseUuid + 16),
      closed: view.getUint32(at + ControlBlock.closed, true) === 1,
      mark,
    };
  }
  if (best === undefined) {
    throw new DbError("dataCorrupted", `file "${file.path}" has no valid control block`, {
      hint: "Restore the node from a backup or from other copies of its shards.",
    });
  }
  // The file got its name whole: what is shorter was cut, and with it groups that nothing else tells of.
  const bytes = controlBytes + 2 * best.halfBytes;
  if (file.size() < bytes) {
    throw new DbError(
      "dataCorrupted",
      `file "${file.path}" has ${file.size()} bytes, ${bytes} belong to it: it was cut`,
      { hint: "Restore the node from a backup or from other copies of its shards." },
    );
  }
  return best;
}

/** Undefined: it is damaged. */
function readMark({ view, u8 }: EngineMemory, kernels: PageKernels, block: number): Mark | undefined {
  const at = block + riderMarkAt;
  if (u8.subarray(at, at + RiderMark.size).every((byte) => byte === 0)) return noMark;
  const out = block + blockBytes;
  kernels.xxh64(at, RiderMark.checksum, out);
  if (!sameHash(view, out, at + RiderMark.checksum)) return undefined;
  const hash = u8.slice(at + RiderMark.hash, at + RiderMark.hash + 32);
  return { sequence: readNumber(view, at + RiderMark.sequence), hash };
}

function sameHash(view: DataView, left: number, right: number): boolean {
  return (
    view.getUint32(left, true) === view.getUint32(right, true) &&
    view.getUint32(left + 4, true) === view.getUint32(right + 4, true)
  );
}

const firstStepBytes = 65_536;

/** Reads a file through a buffer in the arena, in steps that grow while the reading goes forward. */
class Window {
  readonly #file: DiskFile;
  readonly #memory: EngineMemory;
  readonly #start: number;
  readonly #bytes: number;
  #from = 0;
  #to = 0;
  #step = firstStepBytes;
  bytesRead = 0;

  constructor(file: DiskFile, memory: EngineMemory, bytes: number) {
    this.#file = file;
    this.#memory = memory;
    this.#start = memory.arena.start;
    this.#bytes = Math.min(bytes, memory.arena.bytes);
  }

  /** Address of [position, position + length) in memory, or -1 when the file or the buffer ends before. */
  at(position: number, length: number): number {
    if (position >= this.#from && position + length <= this.#to) return this.#start + position - this.#from;
    if (length > this.#bytes) return -1;
    const onward = position > this.#from && position <= this.#to;
    this.#step = onward ? Math.min(2 * this.#step, this.#bytes) : firstStepBytes;
    const bytes = Math.max(this.#step, Math.ceil(length / blockBytes) * blockBytes);
    const into = this.#memory.u8.subarray(this.#start, this.#start + Math.min(bytes, this.#bytes));
    const got = this.#file.readSync(into, position);
    this.bytesRead += got;
    this.#from = position;
    this.#to = position + got;
    return length <= got ? this.#start : -1;
  }
}

export class Recovery {
  readonly #memory: EngineMemory;
  readonly #kernels: PageKernels;
  readonly #frames: FramePool;
  readonly #files: readonly (ShardFile | undefined)[];
  readonly #control: Control;
  readonly #journal: DiskFile;
  readonly #window: Window;
  readonly #rider: JournalRider | undefined;
  /** Last group that says of a page that it was written in place; its earlier entries are void. */
  readonly #inPlace = new Map<number, number>();
  readonly #damaged = new Map<number, string>();
  #groups = 0;
  #pages = 0;
  #repaired = 0;
  /** The highest round met in the double-write area. */
  doublewriteRound: number;
  /** Number of the last group that follows, complete or not. */
  lastNumber: number;

  constructor(
    control: Control,
    journal: DiskFile,
    files: readonly (ShardFile | undefined)[],
    frames: FramePool,
    kernels: PageKernels,
    rider?: JournalRider,
  ) {
    this.#control = control;
    this.#journal = journal;
    this.#rider = rider;
    this.#files = files;
    this.#frames = frames;
    this.#memory = frames.memory;
    this.#kernels = kernels;
    this.#window = new Window(journal, frames.memory, 8 << 20);
    this.lastNumber = control.replay.number - 1;
    this.doublewriteRound = control.doublewriteRound;
  }

  /** Restores pages that a crash tore while they went in place. */
  repair(doublewrite: DiskFile): void {
    const { view } = this.#memory;
    const { pageSize } = this.#control;
    const window = new Window(doublewrite, this.#memory, 8 << 20);
    let position = 0;
    let round = -1;
    let sequence = 0;
    for (;;) {
      const at = window.at(position, blockBytes);
      if (at < 0 || view.getUint32(at + BatchHead.magic, true) !== batchMagic) return;
      if (
        view.getUint32(at + BatchHead.pageSize, true) !== pageSize ||
        view.getUint32(at + BatchHead.journalId, true) !== this.#control.idLow ||
        view.getUint32(at + BatchHead.journalId + 4, true) !== this.#control.idHigh
      ) {
        return;
      }
      const headBytes = view.getUint32(at + BatchHead.headBytes, true);
      const count = view.getUint32(at + BatchHead.count, true);
      if (headBytes < BatchHead.size + count * BatchEntry.size || headBytes > 1 << 20) return;
      const head = window.at(position, headBytes);
      if (head < 0 || !this.#selfChecked(head, headBytes, BatchHead.checksum)) return;
      const thisRound = readNumber(view, head + BatchHead.round);
      const thisSequence = readNumber(view, head + BatchHead.sequence);
      if (round < 0) {
        // A round that the control block calls void was synced as a whole.
        if (thisRound < this.#control.doublewriteRound) return;
        round = thisRound;
        this.doublewriteRound = round;
      } else if (thisRound !== round || thisSequence !== sequence + 1) return;
      sequence = thisSequence;
      const pages: { shard: number; page: number; low: number; high: number; image: number }[] = [];
      for (let index = 0; index < count; index++) {
        const entry = head + BatchHead.size + index * BatchEntry.size;
        pages.push({
          shard: view.getUint32(entry + BatchEntry.shard, true),
          page: view.getUint32(entry + BatchEntry.pageNumber, true),
          low: view.getUint32(entry + BatchEntry.incarnation, true),
          high: view.getUint32(entry + BatchEntry.incarnation + 4, true),
          image: position + headBytes + index * pageSize,
        });
      }
      for (const { shard, page, low, high, image } of pages) {
        const file = this.#files[shard];
        if (file === undefined || file.incarnationLow !== low || file.incarnationHigh !== high) continue;
        this.#repairPage(file, page, image, window);
      }
      position += headBytes + count * pageSize;
    }
  }

  #repairPage(file: ShardFile, page: number, image: number, window: Window): void {
    const { u8 } = this.#memory;
    const { pageSize } = this.#control;
    const place = this.#memory.scratch.start;
    const got = file.file.readSync(u8.subarray(place, place + pageSize), page * pageSize);
    if (got === pageSize && file.flaw(page, place) === undefined) return;
    const copy = window.at(image, pageSize);
    // The area itself was torn: then nothing of this batch had gone in place.
    if (copy < 0 || file.flaw(page, copy) !== undefined) return;
    file.writeSync(page, 1, copy);
    this.#repaired++;
  }

  /**
   * Page 0 of a file may itself be torn. Its copy in the double-write area is then the only place that says which file
   * this is; so it goes first, identified by shard, number and checksum alone. Answers its image's bytes.
   */
  findHeader(doublewrite: DiskFile, shard: number): Uint8Array | undefined {
    const { view, u8 } = this.#memory;
    const { pageSize } = this.#control;
    const window = new Window(doublewrite, this.#memory, 8 << 20);
    let position = 0;
    let found: Uint8Array | undefined;
    let round = -1;
    for (;;) {
      const at = window.at(position, blockBytes);
      if (at < 0 || view.getUint32(at + BatchHead.magic, true) !== batchMagic) return found;
      const headBytes = view.getUint32(at + BatchHead.headBytes, true);
      const count = view.getUint32(at + BatchHead.count, true);
      if (headBytes < BatchHead.size + count * BatchEntry.size || headBytes > 1 << 20) return found;
      const head = window.at(position, headBytes);
      if (head < 0 || !this.#selfChecked(head, headBytes, BatchHead.checksum)) return found;
      if (
        view.getUint32(head + BatchHead.journalId, true) !== this.#control.idLow ||
        view.getUint32(head + BatchHead.journalId + 4, true) !== this.#control.idHigh
      ) {
        return found;
      }
      const thisRound = readNumber(view, head + BatchHead.round);
      if (thisRound < this.#control.doublewriteRound) return found;
      if (round < 0) round = thisRound;
      else if (thisRound !== round) return found;
      let image = -1;
      for (let index = 0; index < count; index++) {
        const entry = head + BatchHead.size + index * BatchEntry.size;
        if (
          view.getUint32(entry + BatchEntry.shard, true) === shard &&
          view.getUint32(entry + BatchEntry.pageNumber, true) === FixedPage.header
        ) {
          image = position + headBytes + index * pageSize;
        }
      }
      if (image >= 0) {
        const copy = window.at(image, pageSize);
        if (copy >= 0 && isHeader(this.#memory, this.#kernels, copy, pageSize)) {
          found = u8.slice(copy, copy + pageSize);
        }
      }
      position += headBytes + count * pageSize;
    }
  }

  /** Checksum of [at, at + length) with the field itself zero, against the field. */
  #selfChecked(at: number, length: number, field: number): boolean {
    const { view } = this.#memory;
    const low = view.getUint32(at + field, true);
    const high = view.getUint32(at + field + 4, true);
    const out = this.#memory.scratch.start + this.#memory.scratch.bytes - blockBytes;
    view.setUint32(at + field, 0, true);
    view.setUint32(at + field + 4, 0, true);
    this.#kernels.xxh64(at, length, out);
    view.setUint32(at + field, low, true);
    view.setUint32(at + field + 4, high, true);
    return view.getUint32(out, true) === low && view.getUint32(out + 4, true) === high;
  }

  /** Address of a sound group at the position, -1 if there is none. */
  #groupAt(position: number): number {
    const { view } = this.#memory;
    const end = controlBytes + 2 * this.#control.halfBytes;
    if (position + blockBytes > end) return -1;
    let at = this.#window.at(position, blockBytes);
    if (at < 0 || view.getUint32(at + GroupHead.magic, true) !== groupMagic) return -1;
    if (
      view.getUint32(at + GroupHead.journalId, true) !== this.#control.idLow ||
      view.getUint32(at + GroupHead.journalId + 4, true) !== this.#control.idHigh
    ) {
      return -1;
    }
    const length = view.getUint32(at + GroupHead.length, true);
    if (length < GroupHead.size || position + length > end) return -1;
    at = this.#window.at(position, length);
    return at >= 0 && this.#selfChecked(at, length, GroupHead.checksum) ? at : -1;
  }

  /** Groups in order from the replay's start, each at its address; the visitor says whether to go on. */
  #follow(visit: (at: number, number: number, final: boolean) => void): { last: number; end: number } {
    const { view } = this.#memory;
    const { replay, halfBytes } = this.#control;
    let number = replay.number;
    let position = replay.position;
    let low = replay.seedLow;
    let high = replay.seedHigh;
    for (;;) {
      let at = -1;
      for (const place of [position, controlBytes, controlBytes + halfBytes]) {
        at = this.#groupAt(place);
        if (
          at >= 0 &&
          readNumber(view, at + GroupHead.number) === number &&
          view.getUint32(at + GroupHead.predecessor, true) === low &&
          view.getUint32(at + GroupHead.predecessor + 4, true) === high
        ) {
          position = place;
          break;
        }
        at = -1;
      }
      if (at < 0) return { last: number - 1, end: position };
      const length = view.getUint32(at + GroupHead.length, true);
      low = view.getUint32(at + GroupHead.checksum, true);
      high = view.getUint32(at + GroupHead.checksum + 4, true);
      visit(at, number, (view.getUint16(at + GroupHead.flags, true) & groupFlags.final) !== 0);
      number++;
      position += Math.ceil(length / blockBytes) * blockBytes;
    }
  }

  /** Applies complete groups to the pool. `flush` brings pages in place when frames run short. */
  replay(flush: () => void): void {
    let complete = this.#control.replay.number - 1;
    const { last } = this.#follow((at, number, final) => {
      this.#collectInPlace(at, number);
      if (final) complete = number;
    });
    this.lastNumber = last;
    // A journal that was closed in order ends where its control block says.
    if (!this.#control.closed || last >= this.#control.replay.number) this.#checkNothingBehind(last);
    this.#follow((at, number, final) => {
      if (number > complete) return;
      this.#apply(at, number, complete, flush);
      if (final) this.#groups++;
    });
  }

  /** A sound group behind the end that does not follow means that one between them was lost. */
  #checkNothingBehind(last: number): void {
    const { view } = this.#memory;
    const end = controlBytes + 2 * this.#control.halfBytes;
    const size = this.#journal.size();
    for (let position = controlBytes; position + blockBytes <= Math.min(end, size); position += blockBytes) {
      const head = this.#window.at(position, blockBytes);
      if (head < 0 || view.getUint32(head + GroupHead.magic, true) !== groupMagic) continue;
      const number = readNumber(view, head + GroupHead.number);
      if (number <= last || this.#groupAt(position) < 0) continue;
      throw new DbError(
        "dataCorrupted",
        `file "${this.#journal.path}" is damaged: group ${last + 1} is missing or unreadable, but group ${number} follows`,
        { hint: "Restore the node from a backup or from other copies of its shards." },
      );
    }
  }

  *#entries(at: number): Generator<number> {
    const { view } = this.#memory;
    const entries = view.getUint32(at + GroupHead.entries, true);
    const end = at + view.getUint32(at + GroupHead.length, true);
    let entry = at + GroupHead.size;
    for (let index = 0; index < entries; index++) {
      assert(entry + GroupEntry.size <= end, "a sound group holds its entries");
      yield entry;
      entry = this.#linesAt(entry) + view.getUint32(entry + GroupEntry.lines, true) * lineBytes;
    }
    assert(entry === end, "a sound group is as long as its entries");
  }

  #linesAt(entry: number): number {
    return (
      (entry + GroupEntry.size + this.#memory.view.getUint32(entry + GroupEntry.runs, true) * 4 + 7) & ~7
    );
  }

  #key(entry: number): number {
    const { view } = this.#memory;
    return (
      view.getUint16(entry + GroupEntry.shard, true) * 4294967296 +
      view.getUint32(entry + GroupEntry.pageNumber, true)
    );
  }

  #fileOf(entry: number): ShardFile | undefined {
    const { view } = this.#memory;
    const file = this.#files[view.getUint16(entry + GroupEntry.shard, true)];
    if (
      file === undefined ||
      file.incarnationLow !== view.getUint32(entry + GroupEntry.incarnation, true) ||
      file.incarnationHigh !== view.getUint32(entry + GroupEntry.incarnation + 4, true)
    ) {
      return undefined;
    }
    return file;
  }

  #collectInPlace(at: number, number: number): void {
    const { u8 } = this.#memory;
    for (const entry of this.#entries(at)) {
      if ((u8[entry + GroupEntry.flags]! & entryFlags.inPlace) !== 0)
        this.#inPlace.set(this.#key(entry), number);
    }
  }

  #apply(at: number, number: number, complete: number, flush: () => void): void {
    const { view, u8 } = this.#memory;
    const frames = this.#frames;
    for (const entry of this.#entries(at)) {
      const file = this.#fileOf(entry);
      const flags = u8[entry + GroupEntry.flags]!;
      if ((flags & entryFlags.rider) !== 0) this.#ride(entry);
      if (file === undefined || (flags & entryFlags.inPlace) !== 0) continue;
      const key = this.#key(entry);
      if (this.#inPlace.size > 0) {
        const placed = this.#inPlace.get(key);
        // The void entries are those of groups before; within one group the note stands before the lines.
        if (placed !== undefined && placed <= complete && number < placed) continue;
      }
      const page = view.getUint32(entry + GroupEntry.pageNumber, true);
      const fresh = (flags & entryFlags.fresh) !== 0;
      const frame = this.#frameFor(file, page, fresh, flush);
      if (frame < 0) continue;
      const address = frames.addressOf(frame);
      const runs = view.getUint32(entry + GroupEntry.runs, true);
      let from = this.#linesAt(entry);
      for (let run = 0; run < runs; run++) {
        const first = view.getUint16(entry + GroupEntry.size + run * 4, true);
        const bytes = view.getUint16(entry + GroupEntry.size + run * 4 + 2, true) * lineBytes;
        assert(first * lineBytes + bytes <= frames.pageSize, "lines lie within their page");
        u8.copyWithin(address + first * lineBytes, from, from + bytes);
        from += bytes;
      }
      if (frames.firstGroup[frame] === 0) this.#pages++;
      frames.setBehind(frame, number);
    }
  }

  #ride(entry: number): void {
    const { view, u8 } = this.#memory;
    // The journal begins anew behind this: nobody would have the text.
    assert(this.#rider !== undefined, "a journal with a rider's text is opened with the rider");
    const from = this.#linesAt(entry);
    this.#rider.replay(u8.slice(from, from + view.getUint32(entry + GroupEntry.pageNumber, true)));
  }

  /** The frame with the page's base, -1 when that is damaged and nothing can be applied to it. */
  #frameFor(file: ShardFile, page: number, fresh: boolean, flush: () => void): number {
    const frames = this.#frames;
    const key = file.shard * 4294967296 + page;
    frames.beginOperation();
    let frame = frames.find(file.shard, page);
    if (frame < 0) {
      if (!fresh && this.#damaged.has(key)) return -1;
      frame = frames.assign(file.shard, page);
      if (frame < 0) {
        flush();
        frame = frames.assign(file.shard, page);
        assert(frame >= 0, "a flushed pool has room");
      }
      if (!fresh) {
        try {
          file.readSync(page, frames.addressOf(frame));
        } catch (error) {
          frames.drop(frame);
          if (!(error instanceof DbError && error.condition === "dataCorrupted")) throw error;
          this.#damaged.set(key, error.message);
          return -1;
        }
      }
    }
    if (fresh) {
      const address = frames.addressOf(frame);
      this.#memory.u8.fill(0, address, address + frames.pageSize);
      this.#damaged.delete(key);
    }
    return frame;
  }

  report(isAllocated: (shard: number, page: number) => boolean, durationMs: number): RecoveryReport {
    const damaged: { shard: number; page: number; flaw: string }[] = [];
    for (const [key, flaw] of this.#damaged) {
      const shard = Math.floor(key / 4294967296);
      const page = key - shard * 4294967296;
      // A page that was freed later may hold anything.
      if (isAllocated(shard, page)) damaged.push({ shard, page, flaw });
    }
    return {
      groupsApplied: this.#groups,
      bytesRead: this.#window.bytesRead,
      pagesRecovered: this.#pages,
      pagesRepaired: this.#repaired,
      damaged,
      durationMs,
    };
  }
}

export function isHeader(memory: EngineMemory, kernels: PageKernels, at: number, pageSize: number): boolean {
  return (
    memory.view.getUint32(at + PageHead.magic, true) === pageMagic &&
    readNumber(memory.view, at + PageHead.pageNumber) === FixedPage.header &&
    kernels.pageChecksumMatches(at, pageSize)
  );
}

/**
 * Writes all frames that are behind in place, by way of the double-write area from its begin on, and syncs the files.
 * Everything written in place before must be synced. Returns the last round used.
 */
export function flushSync(
  frames: FramePool,
  batch: PageBatch,
  files: readonly (ShardFile | undefined)[],
  plan: DoublewritePlan,
  round: number,
): number {
  const syncFiles = (): void => {
    for (const file of files) {
      if (file?.unsynced !== true) continue;
      file.file.syncSync();
      file.unsynced = false;
    }
  };
  const keys = behindPages(frames);
  let next = 0;
  let position = 0;
  let sequence = 1;
  while (next < keys.length) {
    batch.clear();
    while (next < keys.length && batch.count < batch.capacity) {
      const key = keys[next++]!;
      const shard = Math.floor(key / 4294967296);
      const frame = frames.find(shard, key - shard * 4294967296);
      assert(frame >= 0 && (frames.flags[frame]! & FrameFlag.behind) !== 0, "a page behind is in the pool");
      batch.add(frame);
    }
    if (position + batch.bytes > plan.bytes) {
      syncFiles();
      round++;
      position = 0;
    }
    plan.file.writeSync(batch.seal(plan, round, sequence++), position);
    position += batch.bytes;
    for (let index = 0; index < batch.count; ) index = batch.writeRun(index);
  }
  syncFiles();
  return round;
}
