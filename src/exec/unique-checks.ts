/**
 * Deferrable unique constraints: a key may be there twice until the end of the statement, or until COMMIT.
 *
 * The engine says which of a written row's keys another row may have (`Table.suspects`); those rows are looked at again
 * when they must hold. Whoever writes a key that is there alone is not looked at: the one who comes second is.
 *
 * Invariant: a check may be run again, after a Wait or because a savepoint took back what it was run for; it starts over
 * unless it is in the middle of a wait.
 */
import { assert } from "../base/errors.js";
import type { RowId, Table } from "../mga/contract.js";
import type { ConstraintDesc, TableDesc } from "../model/schema.js";
import type { Value } from "../model/value.js";
import { withKeyDetail } from "./constraints.js";
import type { ExecContext } from "./contract.js";
import { boundDeferred, isDeferred } from "./deferral.js";

/** Rows of one statement whose key in one index is to be looked at again. */
class PendingKeys {
  readonly #rows: RowId[] = [];
  #at = 0;
  constructor(
    readonly desc: TableDesc,
    readonly indexId: number,
    readonly deferred: boolean,
  ) {}

  push(row: RowId, context: ExecContext): void {
    if (this.deferred) boundDeferred(this.#rows.length);
    else context.memory.take(16);
    this.#rows.push(row);
  }

  run(context: ExecContext): void {
    const table = context.table(this.desc.id);
    for (; this.#at < this.#rows.length; this.#at++) {
      const row = this.#rows[this.#at]!;
      try {
        table.checkKey(context.transaction, row, this.indexId);
      } catch (thrown) {
        throw this.#told(thrown, table, row, context);
      }
    }
    this.#at = 0;
    if (this.deferred) return;
    context.memory.give(16 * this.#rows.length);
    this.#rows.length = 0;
  }

  /** A violation names schema and key; a Wait passes as it is, and any error begins the next run anew. */
  #told(thrown: unknown, table: Table, row: RowId, context: ExecContext): unknown {
    if (!(thrown instanceof Error)) return thrown;
    this.#at = 0;
    const all = this.desc.columns.map((_, position) => position);
    const into: Value[][] = all.map(() => []);
    if (!table.readNewest(context.transaction, row, all, into, 0)) return thrown;
    const values = into.map((column) => column[0]!);
    return withKeyDetail(thrown, this.desc, table, values, context);
  }
}

/** What the running statement has queued about one table's deferrable keys. */
export class UniqueChecks {
  readonly #constraints = new Map<number, ConstraintDesc>();
  #pending = new Map<number, PendingKeys>();

  constructor(
    readonly desc: TableDesc,
    constraints: readonly ConstraintDesc[],
  ) {
    for (const one of constraints) {
      if ((one.type === "unique" || one.type === "primaryKey") && one.deferrable === true)
        this.#constraints.set(one.indexId, one);
    }
  }

  /** Forgets what an execution queued; its closures are gone with it. */
  reset(): void {
    if (this.#pending.size > 0) this.#pending = new Map();
  }

  /** After a write of `row` that left `suspects`. */
  written(row: RowId, suspects: readonly number[], context: ExecContext): void {
    for (const indexId of suspects) {
      const constraint = this.#constraints.get(indexId);
      assert(constraint !== undefined, "a deferrable index has its constraint");
      const deferred = isDeferred(constraint, context);
      let pending = this.#pending.get(indexId);
      if (pending === undefined || pending.deferred !== deferred) {
        const made = new PendingKeys(this.desc, indexId, deferred);
        pending = made;
        this.#pending.set(indexId, made);
        const run = (): void => made.run(context);
        if (deferred) context.atCommit!(run, constraint, this.desc.id);
        else context.afterStatement(run);
      }
      pending.push(row, context);
    }
  }
}
