/**
 * SELECT ... FOR UPDATE / SHARE: locks the rows that pass through (rule P3).
 *
 * Invariants: a row is handed up only when all its locks are held. A row changed since the snapshot restarts the
 * statement under READ COMMITTED (the lock stays), so plans with this node hand up nothing before all is locked.
 */
import { DbError } from "../base/errors.js";
import type { RowId } from "../mga/contract.js";
import { Batch, batchRowsMax } from "../model/batch.js";
import type { PlanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";
import { type ExprScope, gather } from "./expression.js";
import { restartAfter } from "./modify.js";

export class LockRows implements Operator {
  readonly #out: Batch;
  #selection = new Int32Array(batchRowsMax);
  #batch: Batch | undefined;
  #row = 0;
  #kept = 0;
  constructor(
    readonly input: Operator,
    readonly node: Extract<PlanNode, { kind: "lockRows" }>,
    readonly scope: ExprScope,
  ) {
    this.#out = new Batch(node.columns.length);
  }
  open(context: ExecContext): void {
    this.#batch = undefined;
    this.input.open(context);
  }
  rescan(): void {
    this.#batch = undefined;
    this.input.rescan();
  }
  close(): void {
    this.input.close();
  }
  next(): Batch | undefined {
    const { context } = this.scope.runtime;
    for (;;) {
      if (this.#batch === undefined) {
        this.scope.runtime.tick();
        this.#batch = this.input.next();
        if (this.#batch === undefined) return undefined;
        this.#row = 0;
        this.#kept = 0;
        if (this.#selection.length < this.#batch.length) {
          this.#selection = new Int32Array(this.#batch.length);
        }
      }
      const batch = this.#batch;
      for (; this.#row < batch.length; this.#row++) {
        if (this.#lock(batch, this.#row, context)) this.#selection[this.#kept++] = this.#row;
      }
      this.#batch = undefined;
      if (this.#kept === batch.length) return batch;
      if (this.#kept === 0) continue;
      gather(batch.columns, this.#out.columns, this.#selection, this.#kept);
      this.#out.length = this.#kept;
      return this.#out;
    }
  }
  /** False: the row is gone, or skipped. */
  #lock(batch: Batch, row: number, context: ExecContext): boolean {
    const { transaction, snapshot } = context;
    for (const { tableId, rowIdSlot, strength, waitPolicy } of this.node.targets) {
      const rowId = batch.columns[rowIdSlot]![row] as RowId | null;
      if (rowId === null) continue; // the outer side of a join has no row here
      const table = context.table(tableId);
      const { options } = transaction;
      const timeout = options.lockTimeoutMs;
      if (waitPolicy === "noWait") options.lockTimeoutMs = -1;
      let outcome: ReturnType<typeof table.lock>;
      try {
        outcome = table.lock(transaction, snapshot, rowId, strength, waitPolicy === "skipLocked");
      } catch (thrown) {
        if (waitPolicy !== "noWait" || !(thrown instanceof DbError)) throw thrown;
        if (thrown.condition !== "lockNotAvailable") throw thrown;
        throw new DbError(
          "lockNotAvailable",
          `could not obtain lock on row in relation "${table.spec.name}"`,
          thrown.fields,
          thrown,
        );
      } finally {
        options.lockTimeoutMs = timeout;
      }
      if (outcome === "skipped" || outcome === "deleted") {
        if (outcome === "deleted" && options.isolation !== "readCommitted") {
          throw new DbError("serializationFailure", "could not serialize access due to concurrent delete");
        }
        return false;
      }
      if (outcome === "updated") throw restartAfter(table, rowId, context, strength);
    }
    return true;
  }
}
