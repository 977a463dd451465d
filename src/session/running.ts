/** The context of one plan's execution: what operators may use, set anew for each run. */
import {
  CheckQueue,
  type ExecContext,
  type MemoryBudget,
  type SpillFile,
  type TimeSlice,
} from "../exec/index.js";
import type { Engine, Snapshot, Table, Transaction } from "../mga/contract.js";
import type { EvalContext } from "../model/functions.js";
import type { CatalogReader, ConstraintDesc, ObjectId, TableDesc } from "../model/schema.js";
import type { Value } from "../model/value.js";
import type { RowSecurity } from "../security/row-security.js";

/** What the running session lends to its plans. */
export interface RunningHost {
  readonly engine: Engine;
  readonly catalog: CatalogReader;
  readonly eval: EvalContext;
  table(id: ObjectId): Table;
  virtualRows(relationId: ObjectId): Iterable<readonly Value[]>;
  openSpill(): SpillFile;
  checkInterrupt(): void;
  deferToCommit(check: () => void, constraint: ConstraintDesc, tableId: ObjectId): void;
  /** Waits unless the statement is cancelled first; shown in pg_stat_activity. */
  waitFor(ready: Promise<void>, type: string, event: string): Promise<void>;
  isDeferred(constraint: ConstraintDesc): boolean;
  readonly access: Pick<RowSecurity, "showsColumn" | "hidesRows">;
}

export class RunningContext implements ExecContext {
  transaction!: Transaction;
  snapshot!: Snapshot;
  params: readonly Value[] = [];
  readonly execParams: Value[] = [];
  rowsAffected = 0;
  slice: TimeSlice | undefined;
  /** Checks put off to the end of the statement. */
  readonly checks = new CheckQueue();

  constructor(
    readonly host: RunningHost,
    readonly memory: MemoryBudget,
  ) {}

  get engine(): Engine {
    return this.host.engine;
  }
  get catalog(): CatalogReader {
    return this.host.catalog;
  }
  get eval(): EvalContext {
    return this.host.eval;
  }
  table(id: ObjectId): Table {
    return this.host.table(id);
  }
  virtualRows(relationId: ObjectId): Iterable<readonly Value[]> {
    return this.host.virtualRows(relationId);
  }
  openSpill(): SpillFile {
    return this.host.openSpill();
  }
  checkInterrupt(): void {
    this.host.checkInterrupt();
  }
  afterStatement(check: () => void): void {
    this.checks.push(check);
  }
  atCommit(check: () => void, constraint: ConstraintDesc, tableId: ObjectId): void {
    this.host.deferToCommit(check, constraint, tableId);
  }
  showsColumn(table: TableDesc, column: number): boolean {
    return this.host.access.showsColumn(table, column);
  }
  hidesRows(table: TableDesc): boolean {
    return this.host.access.hidesRows(table);
  }
  isDeferred(constraint: ConstraintDesc): boolean {
    return this.host.isDeferred(constraint);
  }

  reset(): void {
    this.rowsAffected = 0;
    if (this.execParams.length > 0) this.execParams.length = 0;
    this.checks.clear();
  }
  waitFor(ready: Promise<void>, reason: string): Promise<void> {
    return this.host.waitFor(
      ready,
      reason === "row" || reason === "lock" ? "Lock" : "IO",
      reason === "row" ? "transactionid" : reason,
    );
  }
}
