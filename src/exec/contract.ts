/**
 * The operator contract (D3): synchronous, batch at a time, reused from execution to execution.
 *
 * `open` resets for a new execution; `next` returns a batch, or undefined at the end; a `Wait` thrown out of `next`
 * leaves the operator able to go on where it was. `rescan` starts over within the execution (inner side of a loop).
 * Operators are built once per cached plan and session (never per execution), and hold their buffers.
 */

import type { Wait } from "../base/wait.js";
import type { Engine, Snapshot, Table, Transaction } from "../mga/contract.js";
import type { Batch } from "../model/batch.js";
import type { EvalContext } from "../model/functions.js";
import type { CatalogReader, ConstraintDesc, ObjectId, TableDesc } from "../model/schema.js";
import type { Value } from "../model/value.js";

export interface Operator {
  open(context: ExecContext): void;
  next(): Batch | undefined;
  rescan(): void;
  close(): void;
}

/** Everything a running statement may use. One per session; its fields are set per statement. */
export interface ExecContext {
  readonly engine: Engine;
  readonly catalog: CatalogReader;
  readonly transaction: Transaction;
  readonly snapshot: Snapshot;
  readonly eval: EvalContext;
  /** Client parameters, in the types Bind settled on. */
  readonly params: readonly Value[];
  /** execParam values, by id. */
  readonly execParams: Value[];
  readonly memory: MemoryBudget;
  table(id: ObjectId): Table;
  virtualRows(relationId: ObjectId): Iterable<readonly Value[]>;
  openSpill(): SpillFile;
  /** Throws DbError queryCanceled when the statement was cancelled or timed out; cheap. */
  checkInterrupt(): void;
  /** Rows inserted, updated or deleted by the top modify node. */
  rowsAffected: number;
  /** Deferred to the end of the statement: foreign-key checks and actions. */
  afterStatement(check: () => void): void;
  /**
   * Deferred constraints: runs before the transaction commits, more than once if need be. `tableId`: where the rows are
   * that wait for it. Without it, deferrable constraints act at once.
   */
  atCommit?(check: () => void, constraint: ConstraintDesc, tableId: ObjectId): void;
  /** Whether SET CONSTRAINTS or the constraint itself defers it now; without it: as it is initially. */
  isDeferred?(constraint: ConstraintDesc): boolean;
  /** Whether errors may show the values of a column; without it they do. */
  showsColumn?(table: TableDesc, column: number): boolean;
  /** Whether row rules leave rows of the table out for whom the statement acts; without it none do. */
  hidesRows?(table: TableDesc): boolean;
  /** Resolves with `ready`, or rejects at once when the statement is cancelled. Without it the driver awaits `ready`. */
  waitFor?(ready: Promise<void>, reason: Wait["reason"]): Promise<void>;
  /** Set while a driver runs the statement: operators give up the loop through it (see `driver.ts`). */
  slice?: TimeSlice | undefined;
}

/** How long a step may hold the event loop (D3: 2 ms). */
export interface TimeSlice {
  expired(): boolean;
}

/** Work memory of one statement; `take` throws DbError outOfMemory beyond what may not spill. */
export interface MemoryBudget {
  readonly limitBytes: number;
  /** Use above which operators that can should do with less; half of the limit where it is absent. */
  readonly spillBytes?: number;
  readonly usedBytes: number;
  take(bytes: number): void;
  give(bytes: number): void;
  /** Whether an operator that can spill should. */
  readonly exhausted: boolean;
  /** The statement has ended: what it does not hold goes back to whoever lent it. */
  settle?(): void;
}

/** Temporary file in tmp/, gone when closed; counts against temp_file_limit. */
export interface SpillFile {
  write(bytes: Uint8Array): void;
  /** Bytes read; 0 at the end. */
  read(into: Uint8Array, position: number): number;
  readonly size: number;
  close(): void;
}
