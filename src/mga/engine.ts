/**
 * One shard's engine: begins and ends transactions, hands out snapshots, keeps tables, and drives collection.
 *
 * ## Life of a commit (V1)
 * `commit` sets the TIP bits, asks the store for durability and returns. Until the group's sync has returned the
 * transaction reads as active to everybody. Then, in log order, each transaction of the group gets its commit number,
 * becomes visible, wakes who waits for its rows, and is answered.
 *
 * ## Snapshots
 * A list in the order they were taken, so the oldest is its head and the horizon of collection costs nothing to know.
 *
 * Invariants: commit numbers rise in log order; a version is collected only when a newer one of its row is committed
 * within the horizon; an id is in `#records` exactly while it may still write or is in limbo.
 */
import { assert, DbError } from "../base/errors.js";
import { isWait } from "../base/wait.js";
import type { Value } from "../model/value.js";
import type { Clock, Timer } from "../platform/index.js";
import { BTree } from "../storage/btree.js";
import { type PageStore, PageType } from "../storage/contract.js";
import { type PageFormat, rowFlag, slotsMax } from "../storage/heap.js";
import { TableSpace } from "../storage/table-space.js";
import type { EngineMemory } from "../wasm/memory.js";
import type {
  Engine,
  IndexBuild,
  IndexSpec,
  Markers,
  SavepointMark,
  SequenceState,
  Snapshot,
  Sweep,
  Table,
  TableSpec,
  Transaction,
  TransactionOptions,
} from "./contract.js";
import { EngineIndexBuild } from "./index-build.js";
import { encoderOf, IndexState } from "./index-state.js";
import { commitNumberEnd, Inventory, stateAborted, stateLimbo, tipBits } from "./inventory.js";
import type { SpillFactory } from "./key-sort.js";
import { LockManager } from "./locks.js";
import { EngineSequence, sequenceRoot } from "./sequence.js";
import { type SerializableState, SerializableTracker } from "./ssi.js";
import { type CollectItem, Collector, EngineSweep } from "./sweep.js";
import { EngineTable } from "./table.js";
import { TableState } from "./table-state.js";
import { HeldSnapshot, TransactionRecord, undoKind } from "./transaction.js";
import { verifyTable } from "./verify.js";
import { WaitGraph } from "./wait-graph.js";

/** Kinds of storage objects in the shard's directory. */
export const ObjectKind = { table: 1, index: 2, sequence: 3, doomedTable: 17, doomedIndex: 18 } as const;

export interface EngineOptions {
  readonly store: PageStore;
  readonly clock: Clock;
  /** Its scratch region's last 32 KiB hold visibility bitmaps. */
  readonly memory: Pick<EngineMemory, "scratch">;
  /** All tables of the shard, for the sweep; without it only those that were used since the start are swept. */
  readonly tableSpecs?: (() => Iterable<TableSpec>) | undefined;
  /** Where an index build puts sorted runs beyond its memory. */
  readonly openSpill?: SpillFactory | undefined;
  /** Milliseconds between slices of background collection; 0: only `collect()` collects. */
  readonly collectEveryMs?: number | undefined;
  /** Where waits for rows are seen beside those for other locks; its own without it. */
  readonly waits?: WaitGraph | undefined;
  /** Background collection met damage, and left it where it is. */
  readonly onDamage?: ((error: DbError) => void) | undefined;
}

const bitmapBytes = 512;
const bitmapCount = 64;
const slotArraysMax = 16;
const collectSliceMs = 1;
const collectRetryMs = 500;

export class EngineCore implements Engine {
  readonly store: PageStore;
  readonly clock: Clock;
  readonly inventory: Inventory;
  readonly locks: LockManager;
  readonly serializable = new SerializableTracker();
  readonly collector: Collector;
  readonly #options: EngineOptions;

  /** Transactions that have an id and are not over. */
  readonly #records = new Map<number, TransactionRecord>();
  #firstWriter: TransactionRecord | undefined;
  #lastWriter: TransactionRecord | undefined;
  #firstSnapshot: HeldSnapshot | undefined;
  #lastSnapshot: HeldSnapshot | undefined;
  readonly #commits: TransactionRecord[] = [];
  readonly #states = new Map<number, TableState>();
  readonly #tables = new WeakMap<TableSpec, EngineTable>();
  readonly #indexes = new WeakMap<IndexSpec, IndexState>();
  readonly #sequences = new Map<number, EngineSequence>();
  #sweep: EngineSweep | undefined;
  #timer: Timer | undefined;
  #closed = false;
  /** A sequence took a block that no durable group holds yet. */
  sequencesAhead = false;
  /** Such a block is on its way to the disk: others were given values of it too. */
  #sequencesSyncing: Promise<void> | undefined;

  // Per frame: highest commit number of the page, joined row flags, and when that was true.
  // Of a shard without tables there is nothing to keep: made at the first page.
  #limits = new Float64Array(0);
  #limitEpochs = this.#limits;
  #limitEndings = this.#limits;
  #limitFlags = new Uint8Array(0);
  pageFlags = 0;
  readonly #bitmaps: number;
  #bitmapNext = 0;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.store = options.store;
    this.clock = options.clock;
    this.inventory = new Inventory(options.store);
    this.locks = new LockManager(options.clock, options.waits ?? new WaitGraph(options.clock));
    this.collector = new Collector(this);
    const { scratch } = options.memory;
    this.#bitmaps = scratch.start + scratch.bytes - bitmapBytes * bitmapCount;
  }

  get shard(): number {
    return this.store.shard;
  }

  /** Reads the inventory; may throw Wait, and is called again then. */
  load(): void {
    this.inventory.load();
    for (const id of this.inventory.limbo) {
      if (this.#records.has(id)) continue;
      const record = new TransactionRecord(
        { isolation: "readCommitted", readOnly: false, lockTimeoutMs: 0 },
        this.clock.now(),
      );
      record.id = id;
      record.state = "limbo";
      this.#enlist(record);
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  // Transactions.

  begin(options: TransactionOptions): Transaction {
    return new TransactionRecord(options, this.clock.now());
  }

  /** The record behind a transaction that may still run. Throws what another's check decided about it. */
  reader(transaction: Transaction): TransactionRecord {
    const record = transaction as TransactionRecord;
    if (record.doomed !== undefined) throw record.doomed;
    assert(record.state === "active", `transaction ${record.id} is ${record.state}`);
    return record;
  }
  /** The same for a write: it has an id from here on. */
  writer(transaction: Transaction): TransactionRecord {
    const record = this.reader(transaction);
    if (record.id === 0) {
      if (record.options.readOnly) {
        throw new DbError("readOnlySqlTransaction", "cannot write in a read-only transaction");
      }
      record.id = this.inventory.allocate();
      this.#enlist(record);
    }
    return record;
  }
  assignId(transaction: Transaction): number {
    return this.writer(transaction).id;
  }
  recordOf(id: number): TransactionRecord | undefined {
    return this.#records.get(id);
  }
  serializableOf(id: number): SerializableState | undefined {
    return this.#records.get(id)?.serializable ?? this.#recent.get(id);
  }
  /** Committed serializable transactions that some active one ran beside. */
  readonly #recent = new Map<number, SerializableState>();

  #enlist(record: TransactionRecord): void {
    this.#records.set(record.id, record);
    record.previous = this.#lastWriter;
    if (this.#lastWriter === undefined) this.#firstWriter = record;
    else this.#lastWriter.following = record;
    this.#lastWriter = record;
  }
  #delist(record: TransactionRecord): void {
    if (!this.#records.delete(record.id)) return;
    if (record.previous === undefined) this.#firstWriter = record.following;
    else record.previous.following = record.following;
    if (record.following === undefined) this.#lastWriter = record.previous;
    else record.following.previous = record.previous;
    record.previous = undefined;
    record.following = undefined;
  }
  /** Oldest id that may still commit (limbo included), or the next one. */
  oldestUnfinished(): number {
    return this.#firstWriter?.id ?? this.inventory.next;
  }

  #takeSnapshot(record: TransactionRecord): HeldSnapshot {
    const snapshot = new HeldSnapshot(
      this.inventory.commitNumber,
      record.id,
      record.undoLength,
      this.oldestUnfinished(),
      record,
    );
    record.seal();
    snapshot.previous = this.#lastSnapshot;
    if (this.#lastSnapshot === undefined) this.#firstSnapshot = snapshot;
    else this.#lastSnapshot.next = snapshot;
    this.#lastSnapshot = snapshot;
    return snapshot;
  }
  #dropSnapshot(snapshot: HeldSnapshot): void {
    if (snapshot.previous === undefined) {
      if (this.#firstSnapshot !== snapshot) return;
      this.#firstSnapshot = snapshot.next;
    } else snapshot.previous.next = snapshot.next;
    if (snapshot.next === undefined) this.#lastSnapshot = snapshot.previous;
    else snapshot.next.previous = snapshot.previous;
    snapshot.previous = undefined;
    snapshot.next = undefined;
  }
  /** Versions behind one committed at or before this number are nobody's. */
  horizon(): number {
    return this.#firstSnapshot?.commitNumber ?? this.inventory.commitNumber;
  }

  statementSnapshot(transaction: Transaction): Snapshot {
    const record = this.reader(transaction);
    if (record.options.isolation === "readCommitted") {
      const snapshot = this.#takeSnapshot(record);
      record.statements.push(snapshot);
      return snapshot;
    }
    if (record.snapshot === undefined) {
      record.snapshot = this.#takeSnapshot(record);
      if (record.options.isolation === "serializable") {
        record.serializable = this.serializable.begin(record, record.snapshot.commitNumber);
      }
    }
    record.seal();
    const first = record.snapshot;
    // Own changes of earlier statements show, others' later commits do not.
    return new HeldSnapshot(first.commitNumber, record.id, record.undoLength, first.oldestActive, record);
  }
  newestSnapshot(transaction: Transaction): Snapshot {
    const record = transaction as TransactionRecord;
    return new HeldSnapshot(
      this.inventory.commitNumber,
      record.id,
      Number.POSITIVE_INFINITY,
      this.oldestUnfinished(),
      record,
    );
  }
  releaseSnapshot(transaction: Transaction): void {
    const record = transaction as TransactionRecord;
    const snapshot = record.statements.pop();
    if (snapshot !== undefined) this.#dropSnapshot(snapshot);
    if (record.waiter !== undefined || record.hasLocks) this.locks.leave(record);
  }
  #releaseAll(record: TransactionRecord): void {
    while (record.statements.length > 0) this.#dropSnapshot(record.statements.pop()!);
    if (record.snapshot !== undefined) this.#dropSnapshot(record.snapshot);
    record.snapshot = undefined;
  }

  commit(transaction: Transaction): Promise<void> | undefined {
    const record = this.reader(transaction);
    if (record.serializable !== undefined) this.serializable.beforeCommit(record.serializable);
    if (record.id === 0) {
      record.state = "committed";
      this.#ended(record);
      // Values of a sequence were shown to a client: they must not come again after a crash.
      if (!this.sequencesAhead) return this.#sequencesSyncing;
      this.sequencesAhead = false;
      const syncing = this.store.durable();
      this.#sequencesSyncing = syncing;
      const over = (): void => {
        if (this.#sequencesSyncing === syncing) this.#sequencesSyncing = undefined;
      };
      syncing.then(over, over);
      return syncing;
    }
    this.inventory.writeBits(record.id, tipBits.committed);
    record.state = "committing";
    this.#commits.push(record);
    return this.#finishWhenDurable(record);
  }

  #finishWhenDurable(record: TransactionRecord): Promise<void> {
    return this.store.durable().then(
      () => this.#publish(record),
      (error: unknown) => {
        // Fenced: whether it is committed shows after the restart. Nobody may build on it or wait for it.
        const at = this.#commits.indexOf(record);
        if (at >= 0) this.#commits.splice(at, 1);
        this.#lose(record, undurable(error));
        throw error;
      },
    );
  }
  #lose(record: TransactionRecord, error: DbError): void {
    this.#releaseAll(record);
    record.lose(error);
    this.locks.release(record, error);
  }
  lose(transactionId: number, error: DbError): void {
    const record = this.#records.get(transactionId);
    if (record === undefined) return;
    assert(record.state === "limbo", `transaction ${transactionId} is ${record.state}, not in limbo`);
    this.#lose(record, error);
  }

  /** Makes transactions visible, in log order, up to and including `record`: all before it are durable too. */
  #publish(record: TransactionRecord): void {
    const last = this.#commits.indexOf(record);
    if (last < 0) return;
    const ended = last === 0 ? [this.#commits.shift()!] : this.#commits.splice(0, last + 1);
    for (const one of ended) {
      this.inventory.commitNumber++;
      assert(this.inventory.commitNumber < commitNumberEnd, "commit numbers are used up");
      this.inventory.setOutcome(one.id, this.inventory.commitNumber);
      one.state = "committed";
      this.#ended(one);
    }
  }

  #ended(record: TransactionRecord): void {
    this.#releaseAll(record);
    this.#delist(record);
    const { serializable } = record;
    if (serializable !== undefined) {
      if (record.state === "committed") {
        this.serializable.committed(serializable, Math.max(1, this.inventory.commitNumber));
        if (!this.serializable.idle && record.id !== 0) this.#recent.set(record.id, serializable);
      } else this.serializable.aborted(serializable);
      if (this.serializable.idle) this.#recent.clear();
    }
    if (record.orphans.length > 0) {
      for (const orphan of record.orphans) this.collector.orphans.push(orphan);
      record.orphans.length = 0;
    }
    if (record.chains.length > 0) {
      for (const { table, page } of record.chains) {
        table.space.doomed.push(page);
        this.collector.noteDoomed(table);
      }
      record.chains.length = 0;
    }
    if (record.garbage !== undefined) {
      for (const [state, pages] of record.garbage) {
        for (const page of pages) this.collector.enqueue(state, page);
      }
      record.garbage = undefined;
    }
    this.#enqueueInserted(record);
    record.dropUndo();
    this.locks.release(record);
    record.tellEnded();
    this.#forgetSometimes();
    this.#wakeCollector();
  }

  /** Rows of an aborted transaction are garbage where they stand. */
  #enqueueInserted(record: TransactionRecord): void {
    if (record.state !== "aborted") return;
    for (let at = 0; at < record.undoLength; at++) {
      if (record.undoKinds[at] === undoKind.insert) {
        this.collector.enqueue(
          record.tables[record.undoTables[at]!]!,
          Math.floor(record.undoRows[at]! / 4096),
        );
      }
    }
  }

  #sinceForget = 0;
  #forgetSometimes(): void {
    if (++this.#sinceForget < 65536) return;
    this.#sinceForget = 0;
    this.inventory.advance(this.oldestUnfinished(), 0);
    this.inventory.forget(this.horizon(), false);
  }

  rollback(transaction: Transaction): void {
    const record = transaction as TransactionRecord;
    if (record.over) return;
    assert(record.state !== "committing", "a transaction that is being committed cannot roll back");
    const wasLimbo = record.state === "limbo";
    if (record.id !== 0) {
      // An id that reads active after a restart is aborted anyway: only limbo must be taken back on disk.
      if (wasLimbo) this.inventory.writeBits(record.id, tipBits.aborted);
      else this.#tryWriteAborted(record.id);
      this.inventory.limbo.delete(record.id);
      this.inventory.setOutcome(record.id, stateAborted);
    }
    record.state = "aborted";
    this.#ended(record);
  }
  #tryWriteAborted(id: number): void {
    try {
      this.inventory.writeBits(id, tipBits.aborted);
    } catch (thrown) {
      // No room now, or a fenced node: the row locks go all the same.
      const fenced =
        thrown instanceof DbError && (thrown.condition === "ioError" || thrown.condition === "adminShutdown");
      if (!isWait(thrown) && !fenced) throw thrown;
    }
  }

  savepoint(transaction: Transaction, locks = false): SavepointMark {
    const record = this.reader(transaction);
    record.seal();
    if (!locks) return { undoLength: record.undoLength };
    record.lockLog ??= [];
    return { undoLength: record.undoLength, locks: record.lockLog.length };
  }

  rollbackTo(transaction: Transaction, mark: SavepointMark): void {
    const record = transaction as TransactionRecord;
    assert(record.state === "active", `transaction ${record.id} is ${record.state}`);
    if (record.waiter !== undefined) this.locks.leave(record);
    while (record.undoLength > mark.undoLength) {
      const at = record.undoLength - 1;
      const state = record.tables[record.undoTables[at]!]!;
      const row = record.undoRows[at]!;
      const flags = record.undoFlags[at]!;
      const table = state.view!;
      if (!state.dropped) {
        switch (record.undoKinds[at]) {
          case undoKind.insert:
            for (let count = record.undoExtras[at]!; count > 0; count--) {
              this.collector.undoInsert(table, row + count - 1);
              record.undoExtras[at] = count - 1;
              if (mark.locks !== undefined) this.locks.unwritten(state.locks, row + count - 1, record);
            }
            break;
          case undoKind.change:
            this.collector.backOut(table, Math.floor(row / 4096), row % 4096);
            break;
          case undoKind.overwrite:
            this.collector.undoOverwrite(table, row, record, record.undoExtras[at]!);
            break;
          default:
            this.collector.undoErase(table, row, flags);
        }
      }
      record.popUndo();
      if (mark.locks !== undefined) this.locks.unwritten(state.locks, row, record);
    }
    if (mark.locks !== undefined) this.locks.releaseTo(record, mark.locks);
  }

  prepare(transaction: Transaction): Promise<void> {
    const record = this.reader(transaction);
    if (record.serializable !== undefined) this.serializable.beforeCommit(record.serializable);
    if (record.id === 0) {
      record.state = "limbo";
      return Promise.resolve();
    }
    this.inventory.writeBits(record.id, tipBits.limbo);
    this.inventory.setOutcome(record.id, stateLimbo);
    this.inventory.limbo.add(record.id);
    record.state = "limbo";
    return this.store.durable().catch((error: unknown) => {
      this.#lose(record, undurable(error));
      throw error;
    });
  }

  /** The decision is durable elsewhere (the catalog): visible at once. Throws Wait before any change. */
  resolve(transactionId: number, committed: boolean): void {
    const record = this.#records.get(transactionId);
    if (record === undefined) return;
    assert(record.state === "limbo", `transaction ${transactionId} is ${record.state}, not in limbo`);
    if (!committed) {
      this.rollback(record);
      return;
    }
    this.inventory.writeBits(transactionId, tipBits.committed);
    this.inventory.limbo.delete(transactionId);
    this.inventory.commitNumber++;
    this.inventory.setOutcome(transactionId, this.inventory.commitNumber);
    record.state = "committed";
    this.#ended(record);
  }
  get limbo(): readonly number[] {
    return [...this.inventory.limbo].sort((a, b) => a - b);
  }

  /** The newest entry of the catalog's log that was durable before something here was: the log may not end before it. */
  get catalogIndex(): number {
    return this.inventory.catalogIndex;
  }
  /** Durable with the next group. Throws Wait before any change. */
  noteCatalogIndex(index: number): void {
    if (index <= this.inventory.catalogIndex) return;
    this.store.beginOperation();
    this.store.reserve(1);
    this.inventory.catalogIndex = index;
  }

  // What tables ask.

  /** A write is about to happen: conflicts of serializable transactions. `row` undefined: an insert. */
  noteWrite(writer: TransactionRecord, table: EngineTable, row: number | undefined): void {
    if (writer.waiter !== undefined) this.locks.leave(writer);
    const { serializable } = writer;
    if (serializable === undefined) return;
    this.serializable.write(serializable, table.spec.storageId, row);
    if (row === undefined) {
      for (const index of table.maintained()) {
        if (index.keyLength >= 0) {
          this.serializable.writeKey(serializable, index.spec.storageId, index.key, index.keyLength);
        }
      }
    }
  }
  /** The page holds versions that may be garbage once the transactions at work are over. */
  noteGarbage(table: EngineTable, page: number, by?: TransactionRecord): void {
    if (by === undefined) {
      this.collector.enqueue(table.state, page);
      this.#wakeCollector();
      return;
    }
    by.garbage ??= new Map();
    let pages = by.garbage.get(table.state);
    if (pages === undefined) {
      pages = new Set();
      by.garbage.set(table.state, pages);
    }
    if (pages.size < 65536) pages.add(page);
  }
  /** Base for a new page's writers: every transaction that may still write is above it. */
  writerBase(): number {
    return this.oldestUnfinished() - 1;
  }
  /** Makes sure that `id` can be told from the page's writer base; moves the base up when it cannot. */
  rebase(table: EngineTable, format: PageFormat, address: number, id: number): void {
    const base = format.writerBase(address);
    if (id > base && id - base < 4294967296) return;
    assert(id > base, "a page's writer base lies above a writer");
    const { state } = table;
    const next = this.oldestUnfinished() - 1;
    const rows = format.rows(address);
    for (let slot = 0; slot < rows; slot++) {
      const writer = state.writerOf(format, address, slot);
      if (writer === 0 || writer > next) continue;
      // Old and committed for everybody, or this page cannot be written until they are.
      if (this.inventory.outcome(writer) > this.horizon()) {
        throw new DbError(
          "objectNotInPrerequisiteState",
          "a page holds versions of transactions that are too old",
          {
            hint: "Run SWEEP, and end transactions that have been open for long.",
          },
        );
      }
    }
    this.store.reserve(1);
    for (let slot = 0; slot < rows; slot++) {
      const writer = state.writerOf(format, address, slot);
      format.setWriterDelta(address, slot, writer > next ? writer - next : 0);
    }
    format.setWriterBase(address, next);
    this.pageChanged(address);
  }

  pageChanged(address: number): void {
    this.#limitEpochs[this.store.frameOf(address)] = -1;
  }
  /**
   * Highest commit number on the page (active, limbo and aborted writers count as above all snapshots); leaves the
   * joined flags of its rows in `pageFlags`. Kept per frame until the page, the frame or an open outcome changes.
   */
  pageLimit(state: TableState, format: PageFormat, address: number): number {
    if (this.#limits.length === 0) {
      const frames = this.store.frameCount;
      this.#limits = new Float64Array(frames);
      this.#limitEpochs = new Float64Array(frames).fill(-1);
      this.#limitEndings = new Float64Array(frames);
      this.#limitFlags = new Uint8Array(frames);
    }
    const frame = this.store.frameOf(address);
    const epoch = this.store.frameEpoch(frame);
    if (this.#limitEpochs[frame] === epoch) {
      const known = this.#limits[frame]!;
      if (known <= commitNumberEnd || this.#limitEndings[frame] === this.inventory.endings) {
        this.pageFlags = this.#limitFlags[frame]!;
        return known;
      }
    }
    const { u32, u8 } = this.store.pool;
    const rows = format.rows(address);
    const writers = format.writers(address);
    const flagsAt = format.flagsAt(address);
    const base = format.writerBase(address);
    let limit = 1;
    let last = -1;
    let flags = 0;
    for (let slot = 0; slot < rows; slot++) {
      flags |= u8[flagsAt + slot]!;
      const delta = u32[writers + slot]!;
      if (delta === last || delta === 0) continue;
      last = delta;
      const outcome = this.inventory.outcome(base + delta);
      if (outcome > limit) limit = outcome;
    }
    void state;
    this.#limits[frame] = limit;
    this.#limitEpochs[frame] = epoch;
    this.#limitEndings[frame] = this.inventory.endings;
    this.#limitFlags[frame] = flags;
    this.pageFlags = flags;
    return limit;
  }
  /** Arrays for the visible slots of a page, lent to scans. */
  readonly #slotArrays: Int32Array[] = [];
  takeSlots(): Int32Array {
    return this.#slotArrays.pop() ?? new Int32Array(slotsMax);
  }
  giveSlots(slots: Int32Array): void {
    if (this.#slotArrays.length < slotArraysMax) this.#slotArrays.push(slots);
  }
  /** Address of a visibility bitmap: good until 63 further ones were taken. */
  bitmap(): number {
    this.#bitmapNext = (this.#bitmapNext + 1) % bitmapCount;
    return this.#bitmaps + this.#bitmapNext * bitmapBytes;
  }

  uniqueViolation(table: TableSpec, index: IndexSpec, key: readonly Value[]): DbError {
    return new DbError("uniqueViolation", `duplicate key value violates unique constraint "${index.name}"`, {
      table: table.name,
      ...table.describeKey?.(index, key),
      constraint: index.name,
    });
  }

  estimateRows(table: EngineTable): number {
    const { state } = table;
    try {
      state.space.load();
      const pages = state.space.dataCount;
      if (pages === 0) return 0;
      // A dozen pages spread over the table stand for all.
      const samples = Math.min(pages, 12);
      let rows = 0;
      this.store.beginOperation();
      for (let sample = 0; sample < samples; sample++) {
        const position = samples === 1 ? 0 : Math.floor((sample * (pages - 1)) / (samples - 1));
        const address = state.pageAddress(state.space.dataPages[position]!);
        const format = state.formatAt(address);
        rows += format.rows(address) - format.holes(address);
      }
      return Math.round((rows / samples) * pages);
    } catch (thrown) {
      // An estimate does not wait for the disk: a guess of 100 rows a page serves until the pages are there.
      if (isWait(thrown)) return state.space.dataCount * 100;
      throw thrown;
    }
  }

  // Objects.

  createTable(spec: TableSpec): void {
    this.store.beginOperation();
    this.store.reserve(8);
    this.store.createObject(spec.storageId, ObjectKind.table, TableSpace.create(this.store, spec.storageId));
    // While its page is at hand: a known table never has to wait for its page list again.
    this.state(spec.storageId).space.load();
    for (const index of spec.indexes)
      if (this.store.objectRoot(index.storageId) === undefined) this.createIndex(spec, index);
  }
  createIndex(_table: TableSpec, index: IndexSpec): void {
    const encoder = encoderOf(this.store, index);
    this.store.beginOperation();
    this.store.reserve(4);
    const root = BTree.create(this.store, index.storageId, { keyLength: encoder.fixedLength, rowBytes: 6 });
    this.store.createObject(index.storageId, ObjectKind.index, root);
  }
  createSequence(storageId: number, start: string): void {
    this.store.beginOperation();
    this.store.reserve(4);
    this.store.createObject(
      storageId,
      ObjectKind.sequence,
      sequenceRoot(this.store, storageId, BigInt(start)),
    );
  }

  dropObject(storageId: number): void {
    const root = this.store.objectRoot(storageId);
    if (root === undefined) return;
    const kind = this.#kindOf(storageId);
    // Dropped before a restart, its pages not all freed yet: that goes on by itself.
    if (kind === ObjectKind.doomedTable || kind === ObjectKind.doomedIndex) return;
    this.store.beginOperation();
    this.store.reserve(4);
    if (kind === ObjectKind.sequence) {
      this.store.page(root, PageType.sequence);
      this.store.dropObject(storageId);
      this.store.free(root);
      this.#sequences.delete(storageId);
      return;
    }
    const state = this.#states.get(storageId);
    if (state !== undefined) {
      state.dropped = true;
      this.#states.delete(storageId);
    }
    for (const one of this.#states.values()) {
      const at = one.building.findIndex((index) => index.spec.storageId === storageId);
      if (at >= 0) one.building.splice(at, 1);
    }
    this.store.dropObject(storageId);
    // Pages go in the background, a few an operation; the object stays under another kind until the last is gone.
    this.store.createObject(
      storageId,
      kind === ObjectKind.index ? ObjectKind.doomedIndex : ObjectKind.doomedTable,
      root,
    );
    this.#dropping = undefined;
    this.#mayDrop = true;
    this.#wakeCollector();
  }
  #kindOf(storageId: number): number {
    for (const object of this.store.objects()) if (object.storageId === storageId) return object.kind;
    return 0;
  }

  #mayDrop = true;
  #dropping: { readonly storageId: number; readonly step: () => boolean } | undefined;
  /** Dropped objects whose pages cannot all be reached any more: they stay until the next open. */
  readonly #undroppable = new Set<number>();
  /** One unit of freeing dropped objects' pages. */
  #dropStep(): boolean {
    if (!this.#mayDrop) return false;
    if (this.#dropping === undefined) {
      for (const { storageId, kind, rootPage } of this.store.objects()) {
        if (this.#undroppable.has(storageId)) continue;
        if (kind === ObjectKind.doomedIndex) {
          const release = BTree.stored(this.store, rootPage, storageId).release();
          let first = true;
          this.#dropping = {
            storageId,
            step: () => {
              this.store.reserve(4);
              const done = release.step(16);
              // The root goes first, and with it what names it: a crash in between leaves pages to be found by verify.
              if (first) this.store.dropObject(storageId);
              first = false;
              return done;
            },
          };
          break;
        }
        if (kind === ObjectKind.doomedTable) {
          const space = new TableSpace(this.store, storageId, rootPage);
          this.#dropping = {
            storageId,
            step: () => {
              const done = space.freeStep();
              if (done) this.store.dropObject(storageId);
              return done;
            },
          };
          break;
        }
      }
      if (this.#dropping === undefined) {
        this.#mayDrop = false;
        return false;
      }
    }
    this.store.beginOperation();
    if (this.#dropping.step()) this.#dropping = undefined;
    return true;
  }

  state(storageId: number): TableState {
    let state = this.#states.get(storageId);
    if (state === undefined) {
      const root = this.store.objectRoot(storageId);
      if (root === undefined) throw new DbError("dataCorrupted", `storage object ${storageId} is missing`);
      state = new TableState(this.store, this.inventory, (id) => this.#records.get(id), storageId, root);
      this.#states.set(storageId, state);
    }
    return state;
  }
  table(spec: TableSpec): Table {
    return this.engineTable(spec);
  }
  engineTable(spec: TableSpec): EngineTable {
    let table = this.#tables.get(spec);
    if (table === undefined) {
      const state = this.state(spec.storageId);
      state.space.load();
      table = new EngineTable(this, state, spec);
      this.#tables.set(spec, table);
    }
    return table;
  }
  indexState(spec: IndexSpec): IndexState {
    let index = this.#indexes.get(spec);
    if (index === undefined) {
      const root = this.store.objectRoot(spec.storageId);
      if (root === undefined)
        throw new DbError("indexCorrupted", `index "${spec.name}": storage object is missing`);
      index = new IndexState(this.store, spec, root);
      this.#indexes.set(spec, index);
    }
    return index;
  }

  /** Transactions at work that wrote the table. */
  writersOf(state: TableState): TransactionRecord[] {
    const found: TransactionRecord[] = [];
    for (let one = this.#firstWriter; one !== undefined; one = one.following) {
      if (one.tables.includes(state)) found.push(one);
    }
    return found;
  }
  buildIndex(table: TableSpec, index: IndexSpec, own?: Transaction): IndexBuild {
    return new EngineIndexBuild(
      this,
      this.engineTable(table),
      this.indexState(index),
      own as TransactionRecord | undefined,
      this.#options.openSpill,
    );
  }
  sequence(storageId: number): SequenceState {
    let sequence = this.#sequences.get(storageId);
    if (sequence === undefined) {
      const root = this.store.objectRoot(storageId);
      if (root === undefined) throw new DbError("dataCorrupted", `storage object ${storageId} is missing`);
      sequence = new EngineSequence(this, root);
      this.#sequences.set(storageId, sequence);
    }
    return sequence;
  }

  /** Offline check of the given tables with their indexes (verify.ts); no transaction may be at work. */
  async verify(specs: Iterable<TableSpec>): Promise<{ readonly file: string; readonly problem: string }[]> {
    const file = `shard_${String(this.shard).padStart(3, "0")}`;
    const found: { file: string; problem: string }[] = [];
    for (const spec of specs) {
      for (const problem of await verifyTable(this, spec)) found.push({ file, problem });
    }
    return found;
  }

  // Collection.

  sweep(_verbose: boolean): Sweep {
    if (this.#sweep !== undefined) {
      throw new DbError("objectInUse", "a sweep of this shard is running already");
    }
    const specs = this.#options.tableSpecs;
    const tables: EngineTable[] = [];
    const seen = new Set<number>();
    for (const spec of specs?.() ?? []) {
      if (this.store.objectRoot(spec.storageId) === undefined) continue;
      tables.push(this.engineTable(spec));
      seen.add(spec.storageId);
    }
    for (const state of this.#states.values()) {
      if (!seen.has(state.storageId) && state.view !== undefined) {
        tables.push(state.view);
        seen.add(state.storageId);
      }
    }
    // The oldest interesting id may move only when no table was left out.
    let complete = true;
    for (const { storageId, kind } of this.store.objects()) {
      if (kind === ObjectKind.table && !seen.has(storageId)) complete = false;
    }
    this.#sweep = new EngineSweep(this, tables, complete);
    return this.#sweep;
  }
  sweepEnded(sweep: EngineSweep): void {
    if (this.#sweep === sweep) this.#sweep = undefined;
  }
  writeMarkers(): void {
    const { oldestActive, oldestSnapshot } = this.markers;
    this.inventory.writeMarkers(oldestActive, oldestSnapshot);
  }
  get markers(): Markers {
    this.inventory.advance(this.oldestUnfinished(), 0);
    const oldestActive = this.oldestUnfinished();
    return {
      next: this.inventory.next,
      oldestInteresting: this.inventory.oldestInteresting,
      oldestActive,
      oldestSnapshot:
        this.#firstSnapshot === undefined
          ? oldestActive
          : Math.min(this.#firstSnapshot.oldestActive, oldestActive),
      sweepInterval: this.inventory.sweepInterval,
    };
  }
  setSweepInterval(interval: number): void {
    this.store.beginOperation();
    this.store.reserve(1);
    this.inventory.sweepInterval = interval;
  }
  get needsSweep(): boolean {
    const { oldestInteresting, oldestSnapshot, sweepInterval } = this.markers;
    return (
      this.#sweep === undefined && sweepInterval > 0 && oldestSnapshot - oldestInteresting > sweepInterval
    );
  }
  collect(): boolean {
    return this.collector.step() || this.#dropStep();
  }

  /** The last slice ended in a wait; its end wakes the next one. */
  #collectWaits = false;
  /** Least time to the next slice, once. */
  #retryAfter = 0;
  #wakeCollector(): void {
    const every = Math.max(this.#options.collectEveryMs ?? 10, this.#retryAfter);
    this.#retryAfter = 0;
    if (this.#options.collectEveryMs === 0 || this.#timer !== undefined) return;
    if (this.#closed || this.#collectWaits) return;
    if (this.collector.idle && !this.#mayDrop) return;
    this.#timer = this.clock.after(every, () => {
      this.#timer = undefined;
      this.#collectSlice();
    });
  }
  #collectSlice(): void {
    if (this.#closed) return;
    const end = this.clock.monotonic() + collectSliceMs;
    let waits: Promise<void> | undefined;
    try {
      while (this.collect()) {
        if (this.clock.monotonic() >= end) break;
      }
    } catch (thrown) {
      if (isWait(thrown)) waits = thrown.ready;
      else if (!this.#collectFailed(thrown, this.collector.working)) return;
    }
    if (waits === undefined) {
      this.#wakeCollector();
      return;
    }
    // What is waited for may turn out to be damaged: then it would be waited for again and again.
    const item = this.collector.working;
    const goOn = (error?: unknown): void => {
      this.#collectWaits = false;
      if (error === undefined || this.#collectFailed(error, item)) this.#wakeCollector();
    };
    this.#collectWaits = true;
    waits.then(() => goOn(), goOn);
  }

  /** Whether there is more to be done. Throws what is no answer of storage: a broken invariant. */
  #collectFailed(thrown: unknown, item: CollectItem | undefined): boolean {
    if (!(thrown instanceof DbError)) throw thrown;
    switch (thrown.condition) {
      // Every writer of a fenced node meets the fence itself, and there is nothing left to collect for.
      case "ioError":
      case "adminShutdown":
        return false;
      // Giving pages back may want a page first: as soon as the disk, or the pool, has room.
      case "diskFull":
      case "outOfMemory":
        this.#retryAfter = collectRetryMs;
        return true;
      default:
        this.#options.onDamage?.(thrown);
        if (item !== undefined) this.collector.setAside(item);
        else if (this.#dropping !== undefined) {
          this.#undroppable.add(this.#dropping.storageId);
          this.#dropping = undefined;
        }
        return true;
    }
  }
}

/** What those get who meet a transaction whose group did not reach the disk. */
function undurable(cause: unknown): DbError {
  return new DbError("ioError", "the transaction waited for could not be made durable", {}, cause);
}

/** Whether a row's flags say that nothing of it is left. */
export function isFree(flags: number): boolean {
  return (flags & rowFlag.free) !== 0;
}

/** Opens a shard's engine over its store. */
export async function openEngine(options: EngineOptions): Promise<EngineCore> {
  const engine = new EngineCore(options);
  for (;;) {
    try {
      engine.load();
      return engine;
    } catch (thrown) {
      if (!isWait(thrown)) throw thrown;
      await thrown.ready;
    }
  }
}
