/**
 * What one shard's engine offers to executor, session and shard door: transactions, tables with their indexes,
 * sequences. Synchronous; whatever cannot go on throws `Wait` before its first change (base/wait.ts).
 */

import type { DbError, ErrorFields } from "../base/errors.js";
import type { TypeRef } from "../model/schema.js";
import type { Value } from "../model/value.js";
import type { WaitParty } from "./wait-graph.js";

/** Row address: page * 4096 + slot, a safe integer. Stable for the row's life (MGA-9). */
export type RowId = number;
export const slotsPerPageMax = 4096;

export type Isolation = "readCommitted" | "repeatableRead" | "serializable";

/** One number (R1): visible when the writer's commit number is at most `commitNumber`, or the writer is `self`. */
export interface Snapshot {
  readonly commitNumber: number;
  /** 0: a reader without own changes. */
  readonly self: number;
  /** Own changes made by statements before this one only: the statement's own later ones are not seen by it. */
  readonly selfSequence: number;
}

export interface TransactionOptions {
  readonly isolation: Isolation;
  readonly readOnly: boolean;
  readonly deferrable?: boolean;
  /** Milliseconds; 0 waits without limit, -1 does not wait (NO WAIT). */
  lockTimeoutMs: number;
  /** In whose name the transaction waits for locks; without it, in its own. */
  readonly party?: WaitParty | undefined;
}

export interface Transaction {
  /** 0 until its first write: reading takes no id. */
  readonly id: number;
  readonly options: TransactionOptions;
  readonly state: "active" | "committing" | "limbo" | "committed" | "aborted";
  readonly startedAt: number;
}

export interface SavepointMark {
  readonly undoLength: number;
  /** Place in the log of row locks; undefined: locks taken since stay when it is gone back to. */
  readonly locks?: number | undefined;
}

/** Outcome of a write on one row. `updated`/`deleted`: a concurrent transaction got there first and committed. */
export type WriteOutcome = "done" | "updated" | "deleted" | "self";

export type LockStrength = "keyShare" | "share" | "noKeyUpdate" | "update";

export interface ColumnSpec {
  readonly type: TypeRef;
  /** Position in the rows given and taken; dropped columns keep theirs and hold null. */
  readonly notNull: boolean;
  readonly dropped: boolean;
  /** What rows of older formats have here (ADD COLUMN ... DEFAULT). */
  readonly missing: Value;
}

export interface IndexSpec {
  readonly id: number;
  readonly name: string;
  readonly storageId: number;
  readonly unique: boolean;
  readonly nullsNotDistinct: boolean;
  /** Writes let a key be there twice and note it (`suspects`); whoever writes has it checked later (`checkKey`). */
  readonly deferrable?: boolean;
  readonly columns: readonly {
    readonly type: TypeRef;
    readonly descending: boolean;
    readonly nullsFirst: boolean;
  }[];
  /** Table columns that the key and the predicate depend on: an update of others touches no index page (MGA-40). */
  readonly dependsOn: readonly number[];
  /** Simple indexes: table column per key column. Others: undefined, and `key` computes. */
  readonly tableColumns: readonly number[] | undefined;
  /** Key values of a row; undefined when a partial index leaves the row out. */
  readonly key: (row: readonly Value[]) => readonly Value[] | undefined;
}

export interface TableSpec {
  readonly id: number;
  readonly name: string;
  readonly storageId: number;
  readonly format: number;
  readonly columns: readonly ColumnSpec[];
  readonly indexes: readonly IndexSpec[];
  /** What a unique violation says besides its message: detail, schema, table (names and type output are the catalog's). */
  readonly describeKey?: ((index: IndexSpec, key: readonly Value[]) => ErrorFields) | undefined;
}

/** A unique key already there: `row` is the newest committed or own row that holds it. */
export interface UniqueConflict {
  readonly index: IndexSpec;
  readonly row: RowId;
  readonly key: readonly Value[];
}

/** A position in a table's data pages. Each `next()` is one operation: addresses hold until the one after. */
export interface PageScan {
  /** False at the end. */
  next(): boolean;
  /** Data page in the pool. */
  readonly address: number;
  readonly pageNumber: number;
  readonly rows: number;
  /** Bit per row, address in the arena; 0: all rows of the page are visible as they stand. */
  readonly visible: number;
  readonly visibleCount: number;
  /** Rows whose visible version is an older one: slots, for `readOld`. */
  readonly oldSlots: readonly number[];
  /** Writes the visible older version of one of `oldSlots`. `materialize` includes them. */
  readOld?(slot: number, columns: readonly number[], into: Value[][], at: number): void;
  /** Appends the wanted columns of the visible rows to `into`, from index `at` on; returns how many rows. */
  materialize(columns: readonly number[], into: Value[][], at: number, rowIds: Value[] | undefined): number;
  /** Goes on with a newer snapshot after a Wait: one that nothing holds back may have lost its versions meanwhile. */
  renew?(snapshot: Snapshot): void;
}

export interface IndexScan {
  /** Up to `max` row addresses whose key is in range, in key order, each of a row visible to the snapshot. 0: end. */
  next(into: RowId[], max: number): number;
  /** Gives the cursor's buffers back before the end is reached; the scan is at its end then. */
  close?(): void;
  /** As a page scan's. A row whose key moves within the range meanwhile may be given again. */
  renew?(snapshot: Snapshot): void;
}

export interface KeyRange {
  /** Values of the leading key columns; bounds may be shorter than the key. One array for both: a single key, no nulls. */
  readonly lower?: readonly Value[] | undefined;
  readonly lowerInclusive: boolean;
  readonly upper?: readonly Value[] | undefined;
  readonly upperInclusive: boolean;
}

export interface Table {
  readonly spec: TableSpec;
  /** Throws DbError uniqueViolation, or Wait for an active writer of the same key. */
  insert(transaction: Transaction, row: readonly Value[]): RowId;
  /**
   * Inserts rows `from` and on of `columns` (one array for each column of the table), as many as go into one page:
   * answers how many, `count` at most. 0: the next row has to go through `insert` (indexes, long values). Throws Wait.
   */
  insertRows(
    transaction: Transaction,
    columns: readonly (readonly Value[])[],
    from: number,
    count: number,
  ): number;
  /**
   * Ids of deferrable unique indexes in which another row may have the key that the last insert or update wrote. Good
   * until the next call.
   */
  readonly suspects: readonly number[];
  /**
   * The row still has the version that `transaction` wrote, and another row has its key in this index: throws DbError
   * uniqueViolation, or Wait for an active writer of the key.
   */
  checkKey(transaction: Transaction, row: RowId, indexId: number): void;
  /** First conflict with a unique index of `indexIds` (all when empty); for ON CONFLICT. Throws Wait. */
  findConflict(
    transaction: Transaction,
    row: readonly Value[],
    indexIds: readonly number[],
  ): UniqueConflict | undefined;
  update(
    transaction: Transaction,
    snapshot: Snapshot,
    row: RowId,
    columns: readonly number[],
    values: readonly Value[],
  ): WriteOutcome;
  delete(transaction: Transaction, snapshot: Snapshot, row: RowId): WriteOutcome;
  lock(
    transaction: Transaction,
    snapshot: Snapshot,
    row: RowId,
    strength: LockStrength,
    skipLocked: boolean,
  ): WriteOutcome | "skipped";
  /** Writes the visible version's columns at `into[i][at]`; false when the row does not exist for the snapshot. */
  read(snapshot: Snapshot, row: RowId, columns: readonly number[], into: Value[][], at: number): boolean;
  /** Newest committed (or own) version, for foreign keys and unique checks (rule P3). */
  readNewest(
    transaction: Transaction,
    row: RowId,
    columns: readonly number[],
    into: Value[][],
    at: number,
  ): boolean;
  scan(snapshot: Snapshot): PageScan;
  indexScan(snapshot: Snapshot, indexId: number, range: KeyRange, backward: boolean): IndexScan;
  /** Row addresses with this key whose newest committed or own version has it (rule P3); for foreign keys. */
  findNewest(transaction: Transaction, indexId: number, key: readonly Value[]): RowId | undefined;
  readonly pageCount: number;
  /** Rows by the pages' counters: an estimate. */
  readonly rowEstimate: number;
}

export interface SweepReport {
  readonly versionsRemoved: number;
  readonly recordsBackedOut: number;
  readonly entriesRemoved: number;
  readonly pagesVisited: number;
  readonly durationMs: number;
}

export interface Markers {
  readonly next: number;
  readonly oldestInteresting: number;
  readonly oldestActive: number;
  readonly oldestSnapshot: number;
  readonly sweepInterval: number;
}

/** One shard. */
export interface Engine {
  readonly shard: number;
  begin(options: TransactionOptions): Transaction;
  /** Gives the transaction its id now, as a first write would; answers it. */
  assignId(transaction: Transaction): number;
  /** The snapshot for the statement that starts now: new under READ COMMITTED, the transaction's own otherwise. */
  statementSnapshot(transaction: Transaction): Snapshot;
  /**
   * Sees the newest committed state and everything the transaction itself has done so far: for foreign keys and row
   * locks (rule P3). Holds nothing back, is not released. Without it the executor takes a statement snapshot.
   */
  newestSnapshot?(transaction: Transaction): Snapshot;
  /** The statement is over: its snapshot no longer holds back collection. */
  releaseSnapshot(transaction: Transaction): void;
  /** Rejects or resolves once durable and visible; undefined when there was nothing to write. */
  commit(transaction: Transaction): Promise<void> | undefined;
  rollback(transaction: Transaction): void;
  /** `locks`: going back to it gives back the row locks taken since; without it they stay until the end. */
  savepoint(transaction: Transaction, locks?: boolean): SavepointMark;
  rollbackTo(transaction: Transaction, mark: SavepointMark): void;
  /** First half of a commit that the catalog decides (D8): durable, in limbo. */
  prepare(transaction: Transaction): Promise<void>;
  resolve(transactionId: number, committed: boolean): void;
  /** Nobody here will learn the outcome of a transaction in limbo before a restart: who waits for it fails with `error`. */
  lose(transactionId: number, error: DbError): void;
  readonly limbo: readonly number[];

  createTable(spec: TableSpec): void;
  createIndex(table: TableSpec, index: IndexSpec): void;
  createSequence(storageId: number, start: string): void;
  dropObject(storageId: number): void;
  /** Opened tables are kept by storage id and spec identity. */
  table(spec: TableSpec): Table;
  /** Steps of at most `budgetRows` rows; each call is one slice; true when done (rule P2's phases). */
  /** `own`: the transaction that builds, whose own writes are not waited for. */
  buildIndex(table: TableSpec, index: IndexSpec, own?: Transaction): IndexBuild;
  sequence(storageId: number): SequenceState;

  sweep(verbose: boolean): Sweep;
  readonly markers: Markers;
  /** Durable with the next commit; 0: no automatic sweep (MGA-31). */
  setSweepInterval?(interval: number): void;
  /** OST - OIT has passed the interval (MGA-30): the caller runs `sweep`. */
  readonly needsSweep?: boolean;
  /** One unit of background collection; false when there is nothing to do. Throws Wait. */
  collect?(): boolean;
  /** Ends background work. Open transactions read as aborted afterwards. */
  close?(): void;
}

export interface IndexBuild {
  /** Throws Wait while older transactions are still active. */
  step(): boolean;
  readonly rowsDone: number;
  /** Not to be finished: writers are let off, temporary files go. `step` does so itself when it fails. */
  abandon(): void;
}

export interface Sweep {
  step(): boolean;
  /** Not to be finished: another one may begin. `step` does so itself when it fails. */
  abandon(): void;
  readonly report: SweepReport;
}

/** Non-transactional; advanced in blocks so that a crash skips values and never repeats them. */
export interface SequenceState {
  next(step: {
    readonly increment: bigint;
    readonly minimum: bigint;
    readonly maximum: bigint;
    readonly cycle: boolean;
    readonly name: string;
  }): bigint;
  set(value: bigint, isCalled: boolean): void;
  read(): { readonly lastValue: bigint; readonly isCalled: boolean };
}
