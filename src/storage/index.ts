/**
 * Storage of a node: the pages of its shards over one frame pool and one page journal.
 *
 * A change goes to a page in the pool and is marked there by 64-byte lines. When somebody waits for durability the
 * marked lines of all shards go to the journal as one group, in one write (`journal.ts`). Later the pages go in place,
 * first to a double-write area, so that a torn page can be repaired (`checkpoint.ts`). Opening applies what the journal
 * has over what is in place (`recovery.ts`): the file always moves from one consistent state to the next.
 *
 *     const storage = openStorage({ platform, memory, kernels, pageSize: 16384, shardCount: 16, create: true });
 *     const store = storage.shards[0];       // shard_001
 *     store.beginOperation();
 *     store.reserve(1);                      // may throw Wait, before anything is changed
 *     const page = store.allocate(PageType.data, tableId);
 *     await store.durable();
 *
 * Read `contract.ts` first, then `pool.ts`, `pager.ts`, `journal.ts`, `checkpoint.ts`, `recovery.ts`. Not here: what is
 * on data pages (`mga/`, `heap.ts`), trees (`btree.ts`), transactions. Encryption at rest is not built: the fields are
 * reserved and a file that says it is encrypted is refused.
 */
import { assert, DbError } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import type { DiskFile, OpenOptions, Platform, Timer } from "../platform/index.js";
import type { EngineMemory } from "../wasm/index.js";
import { Checkpointer, type DoublewritePlan, noMark, PageBatch } from "./checkpoint.js";
import type { JournalRider } from "./contract.js";
import { adoptIdentity, createShardFile, readHeaderSize, shardFolder, shardPath } from "./create.js";
import { buildControl, Journal, type JournalPlace, journalLimit } from "./journal.js";
import type { PageKernels } from "./kernels.js";
import {
  blockBytes,
  controlBytes,
  FixedPage,
  PageHead,
  pageSizes,
  readNumber,
  writeNumber,
} from "./layouts.js";
import { type NodeStorage, ShardStore } from "./pager.js";
import { FrameFlag, FramePool } from "./pool.js";
import { flushSync, isHeader, Recovery, type RecoveryReport, readControl } from "./recovery.js";
import { ReadTimes, ShardFile } from "./shard-file.js";
import { type PageVerifier, type VerifyReport, verifyShard } from "./verify.js";

export {
  BTree,
  keyBytesMax,
  type TreeCheck,
  type TreeCursor,
  type TreeLoader,
  type TreeRelease,
  type TreeReport,
  type TreeShape,
} from "./btree.js";
export {
  type BulkPages,
  type JournalRider,
  type PageStore,
  PageType,
  type PoolMemory,
  type RiderMark,
  type RiderSeat,
} from "./contract.js";
export type { PageKernels } from "./kernels.js";
export { lineBytes, PageHead, pageBodyStart, pageSizes } from "./layouts.js";
export { ShardStore } from "./pager.js";
export type { RecoveryReport } from "./recovery.js";
export type { PageVerifier, VerifyProblem, VerifyReport } from "./verify.js";

const journalPath = "journal/groups";
/** The journal gets its name last: a folder with a journal holds a whole database. */
const newJournalPath = "journal/groups.new";
const doublewritePath = "journal/doublewrite";

export interface StorageOptions {
  readonly platform: Pick<Platform, "clock" | "random" | "disk">;
  readonly memory: EngineMemory;
  readonly kernels: PageKernels;
  readonly pageSize: number;
  /** Shards 1 to shardCount lie on this node. */
  readonly shardCount: number;
  /** Make a new database; the folder must hold none. */
  readonly create?: boolean;
  /** 16 bytes; when opening, a database of another one is refused. Random when creating without. */
  readonly databaseUuid?: Uint8Array;
  /** Each of the journal's two halves, when creating. 64 MiB by default; at least 256 pages. */
  readonly journalHalfBytes?: number;
  /** When creating. 32 MiB by default. */
  readonly doublewriteBytes?: number;
  /** Pages that may be journaled but not in place: bounds the time of a restart. 192 MiB by default. */
  readonly behindBytesMax?: number;
  /** A checkpoint runs when no group was written for so long. */
  readonly idleCheckpointMs?: number;
  /** Page reads above this average leave the loop (rule M2). */
  readonly inlineReadMs?: number;
  /** Called once when a write that must not fail has failed: from then on nothing is acknowledged. */
  readonly onFence?: (error: DbError) => void;
  /** Text that becomes durable in the journal's groups. */
  readonly rider?: JournalRider | undefined;
}

export interface StorageCounters {
  readonly frames: number;
  readonly framesHeld: number;
  readonly framesBehind: number;
  readonly evictions: number;
  readonly groups: number;
  readonly groupBytes: number;
  readonly checkpoints: number;
  readonly checkpointPages: number;
  readonly averageReadMs: number;
}

/** What a data folder holds, told without a pool: pages sizes must be known before the memory is made. */
export interface StorageShape {
  readonly pageSize: number;
  readonly shardCount: number;
}

/** Undefined when the folder holds no database. Throws DbError dataCorrupted. */
export function inspectStorage(disk: Platform["disk"]): StorageShape | undefined {
  const shards = disk.listSync("shards").filter((name) => /^shard_\d{3,}$/.test(name));
  if (shards.length === 0 || !disk.existsSync(journalPath)) return undefined;
  const file = disk.openSync(shardPath(1));
  try {
    return { pageSize: readHeaderSize(file), shardCount: shards.length };
  } finally {
    file.closeSync();
  }
}

export function openStorage(options: StorageOptions): Storage {
  assert(pageSizes.includes(options.pageSize), "the page size is one of the known ones");
  assert(options.shardCount >= 1 && options.shardCount <= 2047, "shards are numbered from 1 to 2047");
  if (options.create === true) createStorage(options);
  const opened: DiskFile[] = [];
  let storage: Storage | undefined;
  try {
    storage = new Storage(options, (path, how) => {
      const file = options.platform.disk.openSync(path, how);
      opened.push(file);
      return file;
    });
    return storage;
  } finally {
    if (storage === undefined) for (const file of opened) file.closeSync();
  }
}

type OpenFile = (path: string, how?: OpenOptions) => DiskFile;

function createStorage(options: StorageOptions): void {
  const { memory, kernels, pageSize } = options;
  const { disk, clock, random } = options.platform;
  if (disk.existsSync(journalPath)) {
    throw new DbError("objectInUse", "the data folder already holds a database");
  }
  const halfBytes = Math.max(options.journalHalfBytes ?? 64 << 20, pageSize * 256) & -blockBytes;
  const doublewriteBytes = Math.max(options.doublewriteBytes ?? 32 << 20, memory.groups.bytes);
  const databaseUuid = new Uint8Array(16);
  if (options.databaseUuid !== undefined) databaseUuid.set(options.databaseUuid);
  else random.fill(databaseUuid);
  disk.makeFolderSync("shards");
  for (let shard = 1; shard <= options.shardCount; shard++) {
    disk.makeFolderSync(shardFolder(shard));
    createShardFile(disk, random, memory, kernels, {
      shard,
      pageSize,
      databaseUuid,
      createdAtMs: clock.now(),
    });
    disk.syncFolderSync(shardFolder(shard));
  }
  disk.syncFolderSync("shards");
  disk.makeFolderSync("journal");
  for (const [path, bytes] of [
    [doublewritePath, doublewriteBytes],
    [newJournalPath, controlBytes + 2 * halfBytes],
  ] as const) {
    const file = disk.openSync(path, { create: true });
    const zeros = new Uint8Array(pageSize);
    for (let at = 0; at < bytes; at += pageSize) file.writeSync(zeros.subarray(0, bytes - at), at);
    file.syncSync();
    file.closeSync();
  }
  const id = new Uint8Array(16);
  random.fill(id);
  const words = new DataView(id.buffer);
  const journal = disk.openSync(newJournalPath, { durableWrites: true });
  const at = memory.groups.start;
  buildControl(
    memory,
    kernels,
    at,
    { halfBytes, idLow: words.getUint32(0), idHigh: words.getUint32(4), pageSize, databaseUuid },
    1,
    {
      number: 1,
      position: controlBytes,
      half: 0,
      seedLow: words.getUint32(8),
      seedHigh: words.getUint32(12),
    },
    1,
    undefined,
    true,
  );
  journal.writeSync(memory.u8.subarray(at, at + blockBytes), blockBytes);
  journal.closeSync();
  disk.renameSync(newJournalPath, journalPath);
  disk.syncFolderSync("journal");
}

export class Storage implements NodeStorage {
  readonly frames: FramePool;
  readonly readTimes: ReadTimes;
  /** By position: shards[0] is shard_001. */
  readonly shards: readonly ShardStore[];
  readonly recovery: RecoveryReport;
  readonly journal: Journal;
  readonly checkpointer: Checkpointer;
  readonly #options: StorageOptions;
  readonly #doublewrite: DoublewritePlan;
  readonly #margin: number;
  readonly #idleMs: number;
  #idle: Timer | undefined;
  #closed = false;

  /** Use `openStorage`: it closes the files when this fails. */
  constructor(options: StorageOptions, openFile: OpenFile) {
    this.#options = options;
    const { memory, kernels, pageSize } = options;
    const { clock, random } = options.platform;
    const started = clock.monotonic();
    this.frames = new FramePool(memory, pageSize);
    this.frames.writeBulk = (frame) => this.#writeBulk(frame);
    this.readTimes = new ReadTimes(options.inlineReadMs ?? 0.2);
    this.#margin = Math.min(64, this.frames.frameCount >>> 3);
    this.#idleMs = options.idleCheckpointMs ?? 2000;
    const journalFile = openFile(journalPath, { durableWrites: true });
    const control = readControl(journalFile, memory, kernels);
    if (control.pageSize !== pageSize) {
      throw new DbError(
        "invalidParameterValue",
        `the database has pages of ${control.pageSize} bytes, not ${pageSize}`,
      );
    }
    const databaseUuid = options.databaseUuid ?? control.databaseUuid;
    const doublewrite = openFile(doublewritePath, { durableWrites: true });
    this.#doublewrite = {
      file: doublewrite,
      bytes: doublewrite.size(),
      idLow: control.idLow,
      idHigh: control.idHigh,
    };
    const files: (ShardFile | undefined)[] = [undefined];
    const { rider } = options;
    rider?.found(control.mark);
    const recovery = new Recovery(control, journalFile, files, this.frames, kernels, rider);
    for (let shard = 1; shard <= options.shardCount; shard++) {
      files.push(this.#openShard(openFile(shardPath(shard)), shard, databaseUuid, recovery));
    }
    const byShard: (ShardStore | undefined)[] = [undefined];
    const stores: ShardStore[] = [];
    for (const file of files) {
      if (file === undefined) continue;
      const store = new ShardStore(this, file);
      stores.push(store);
      byShard.push(store);
    }
    this.shards = stores;
    const batch = new PageBatch(this.frames, byShard, kernels);
    recovery.repair(doublewrite);
    for (const file of files) {
      if (file?.unsynced !== true) continue;
      file.file.syncSync();
      file.unsynced = false;
    }
    let round = recovery.doublewriteRound;
    const flush = (): void => {
      round = flushSync(this.frames, batch, files, this.#doublewrite, round + 1);
    };
    recovery.replay(flush);
    flush();
    const mark = rider?.settled() ?? noMark;
    // The torn group's number is not used again: what is left of it can never be taken for a follower.
    const seed = new Uint8Array(8);
    random.fill(seed);
    const seedView = new DataView(seed.buffer);
    const start: JournalPlace = {
      number: recovery.lastNumber + 2,
      position: controlBytes,
      half: 0,
      seedLow: seedView.getUint32(0),
      seedHigh: seedView.getUint32(4),
    };
    const plan = {
      file: journalFile,
      halfBytes: control.halfBytes,
      idLow: control.idLow,
      idHigh: control.idHigh,
      pageSize,
      databaseUuid: control.databaseUuid,
      start,
      controlSequence: control.sequence + 1,
      doublewriteRound: round + 1,
      rider,
      mark,
    };
    const at = memory.groups.start;
    buildControl(memory, kernels, at, plan, plan.controlSequence, start, plan.doublewriteRound, mark);
    journalFile.writeSync(memory.u8.subarray(at, at + blockBytes), (plan.controlSequence & 1) * blockBytes);
    this.journal = new Journal(plan, this.frames, byShard, kernels, clock, {
      wantCheckpoint: () => this.checkpointer.want(),
      groupCut: () => {
        for (const store of this.shards) store.map.groupCut();
      },
      groupDurable: () => this.#groupDurable(),
      fenced: (error) => options.onFence?.(error),
    });
    const behindMax = Math.max(
      64,
      Math.min((options.behindBytesMax ?? 192 << 20) / pageSize, this.frames.frameCount >>> 1),
    );
    this.checkpointer = new Checkpointer(
      this.journal,
      this.frames,
      this.shards,
      batch,
      clock,
      this.#doublewrite,
      behindMax,
      rider,
    );
    rider?.seated(this.journal);
    for (const store of this.shards) store.load();
    this.recovery = recovery.report(
      (shard, page) => this.shards[shard - 1]!.map.isAllocated(page),
      clock.monotonic() - started,
    );
  }

  #openShard(diskFile: DiskFile, shard: number, databaseUuid: Uint8Array, recovery: Recovery): ShardFile {
    const { memory, kernels, pageSize } = this.#options;
    const { clock } = this.#options.platform;
    const file = new ShardFile(shard, diskFile, pageSize, memory, kernels, clock, this.readTimes);
    const at = memory.scratch.start;
    const into = memory.u8.subarray(at, at + pageSize);
    if (diskFile.readSync(into, FixedPage.header) !== pageSize || !isHeader(memory, kernels, at, pageSize)) {
      const copy = recovery.findHeader(this.#doublewrite.file, shard);
      if (copy === undefined) throw file.corrupted(FixedPage.header, "is damaged");
      memory.u8.set(copy, at);
      diskFile.writeSync(into, FixedPage.header);
      diskFile.syncSync();
    }
    file.tagLow = memory.view.getUint32(at + PageHead.databaseTag, true);
    file.tagHigh = memory.view.getUint32(at + PageHead.databaseTag + 4, true);
    adoptIdentity(file, memory, at, databaseUuid);
    return file;
  }

  reserve(pages: number): void {
    this.journal.admit(pages);
    if (this.frames.available >= pages + this.#margin) return;
    throw new Wait("frames", this.framesFreed());
  }

  framesFreed(): Promise<void> {
    const { frames } = this;
    if (frames.behindCount === 0 && frames.unjournaledCount === 0 && !this.checkpointer.running) {
      let loading = 0;
      for (const store of this.shards) loading += store.loadsRunning;
      if (loading === 0) {
        throw new DbError("outOfMemory", "the buffer pool is too small for this operation", {
          hint: "Start the node with a larger --buffer-pool.",
        });
      }
      return this.shards.find((store) => store.loadsRunning > 0)!.nextLoad();
    }
    this.checkpointer.want();
    return this.journal.progress();
  }

  durable(): Promise<void> {
    return this.journal.durable();
  }

  #groupDurable(): void {
    this.#options.rider?.groupDurable();
    for (const store of this.shards) store.map.groupDurable();
    this.checkpointer.noteGroup();
    if (this.#idle === undefined && this.frames.behindCount > 0) this.#armIdle(this.#idleMs);
  }

  #armIdle(delayMs: number): void {
    const { clock } = this.#options.platform;
    this.#idle = clock.after(delayMs, () => {
      this.#idle = undefined;
      if (this.#closed || this.journal.fence !== undefined || this.frames.behindCount === 0) return;
      // Whole milliseconds: a clock need not move within less, and then this would be asked for ever.
      const rest = Math.ceil(this.#idleMs - (clock.monotonic() - this.journal.lastGroupAt));
      if (rest <= 0) this.checkpointer.want();
      else this.#armIdle(rest);
    });
  }

  /** A bulk page to its place, from its frame. */
  #writeBulk(frame: number): void {
    const { memory, kernels, pageSize } = this.#options;
    const { frames } = this;
    const address = frames.addressOf(frame);
    const generation = readNumber(memory.view, address + PageHead.generation) + 1;
    writeNumber(memory.view, address + PageHead.generation, generation);
    kernels.pageChecksumStore(address, pageSize);
    frames.clearLines(frame);
    frames.lower(frame, FrameFlag.bulkDirty);
    this.shards[frames.shardOf[frame]! - 1]!.file.writeSync(frames.pageOf[frame]!, 1, address);
  }

  async writeBulkPages(store: ShardStore): Promise<void> {
    if (this.journal.fence !== undefined) throw this.journal.fence;
    const { clock } = this.#options.platform;
    const pages = Float64Array.from(store.map.bulk).sort();
    let started = clock.monotonic();
    for (const page of pages) {
      const frame = this.frames.find(store.shard, page);
      if (frame < 0 || (this.frames.flags[frame]! & FrameFlag.bulkDirty) === 0) continue;
      this.#writeBulk(frame);
      if (clock.monotonic() - started > 1) {
        await (clock.turn?.() ?? clock.yield());
        started = clock.monotonic();
      }
    }
    try {
      // The file stays noted as unsynced: a checkpoint that ends meanwhile must not count on a sync still under way.
      await store.file.file.sync();
    } catch (error) {
      this.journal.stop(error);
      throw error;
    }
  }

  inPlace(store: ShardStore, pages: readonly number[]): void {
    this.journal.noteInPlace(store, pages);
  }

  /** Brings everything journaled in place now. */
  checkpoint(): Promise<void> {
    return this.checkpointer.complete();
  }

  /** Checks every page of every shard on disk and the free maps. Runs a checkpoint first; slices of about a millisecond. */
  async verify(verifiers: readonly PageVerifier[] = []): Promise<VerifyReport> {
    await this.checkpoint();
    const reports: VerifyReport[] = [];
    for (const store of this.shards) {
      reports.push(
        await verifyShard(store, this.#options.platform.clock, [...this.#verifiers, ...verifiers]),
      );
    }
    return {
      pages: reports.reduce((sum, report) => sum + report.pages, 0),
      problems: reports.flatMap((report) => report.problems),
    };
  }

  readonly #verifiers: PageVerifier[] = [];

  /** Upper layers say which pages they can reach: `kind` names the layer in reports. */
  registerVerifier(kind: string, pages: PageVerifier["pages"]): void {
    this.#verifiers.push({ kind, pages });
  }

  get fence(): DbError | undefined {
    return this.journal.fence;
  }

  get counters(): StorageCounters {
    return {
      frames: this.frames.frameCount,
      framesHeld: this.frames.heldCount,
      framesBehind: this.frames.behindCount,
      evictions: this.frames.evictions,
      groups: this.journal.groupsWritten,
      groupBytes: this.journal.bytesWritten,
      checkpoints: this.checkpointer.passes,
      checkpointPages: this.checkpointer.pagesWritten,
      averageReadMs: this.readTimes.averageMs,
    };
  }

  /** Journals and places everything, then ends. Rejects with the fence's error, files closed all the same. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#idle?.cancel();
    try {
      await this.durable();
      await this.checkpoint();
      await this.journal.writeClosed();
    } finally {
      for (const store of this.shards) await store.loadsDone();
      this.journal.stop(new DbError("adminShutdown", "storage is closed"));
      this.journal.close();
      this.#doublewrite.file.closeSync();
      for (const store of this.shards) store.file.file.closeSync();
    }
  }

  /** Ends without writing anything more, as a crash would; for tests. */
  abandon(): void {
    this.#closed = true;
    this.#idle?.cancel();
    this.journal.stop(new DbError("adminShutdown", "storage is abandoned"));
  }
}

export { journalLimit };
