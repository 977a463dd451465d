/**
 * INTERSECT and EXCEPT, and common table expressions.
 *
 * Invariants: rows are equal when all their columns are, NULL equal to NULL. A common table expression is computed once
 * per execution, as far as it is read; a modifying one always to its end, before its body's first row.
 */
import { assert } from "../base/errors.js";
import { Batch, batchRowsMax } from "../model/batch.js";
import type { PlanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";
import { type ExprScope, gather } from "./expression.js";
import { KeyTable } from "./keys.js";
import { Account } from "./memory.js";
import { closeAll } from "./runtime.js";
import { RowStore, RowStoreReader } from "./spill.js";

/** Grows an account to the bytes a structure says it holds. */
function charge(account: Account, bytes: number): void {
  if (bytes > account.held) account.take(bytes - account.held);
}

export class SetOperation implements Operator {
  readonly #table: KeyTable;
  readonly #account = new Account();
  /** Rows of the right input per key; for the forms without ALL, 0 marks a key already handed up. */
  #counts: number[] = [];
  #selection = new Int32Array(batchRowsMax);
  readonly #out: Batch;
  #built = false;
  constructor(
    readonly left: Operator,
    readonly right: Operator,
    readonly node: Extract<PlanNode, { kind: "setOperation" }>,
    readonly scope: ExprScope,
  ) {
    this.#table = new KeyTable(node.columns.map(({ type }) => type.oid));
    this.#out = new Batch(node.columns.length);
  }
  open(context: ExecContext): void {
    this.#reset();
    this.left.open(context);
    this.right.open(context);
  }
  rescan(): void {
    this.#reset();
    this.left.rescan();
    this.right.rescan();
  }
  #reset(): void {
    this.#table.clear();
    this.#account.open(this.scope.runtime.context.memory);
    this.#counts = [];
    this.#built = false;
  }
  close(): void {
    this.#table.clear();
    this.#account.release();
    closeAll([this.left, this.right]);
  }
  next(): Batch | undefined {
    const { operation, all } = this.node;
    const table = this.#table;
    const counts = this.#counts;
    while (!this.#built) {
      this.scope.runtime.tick();
      const batch = this.right.next();
      if (batch === undefined) {
        this.#built = true;
        break;
      }
      for (let row = 0; row < batch.length; row++) {
        const key = table.intern(batch.columns, row);
        if (key === counts.length) counts.push(1);
        else counts[key]!++;
      }
      charge(this.#account, table.bytes + counts.length * 8);
    }
    for (;;) {
      this.scope.runtime.tick();
      const batch = this.left.next();
      if (batch === undefined) return undefined;
      if (this.#selection.length < batch.length) this.#selection = new Int32Array(batch.length);
      let kept = 0;
      for (let row = 0; row < batch.length; row++) {
        let keep: boolean;
        if (operation === "intersect") {
          const key = table.find(batch.columns, row);
          keep = key >= 0 && counts[key]! > 0;
          if (keep) counts[key] = all ? counts[key]! - 1 : 0;
        } else if (all) {
          const key = table.find(batch.columns, row);
          keep = key < 0 || counts[key] === 0;
          if (!keep) counts[key]!--;
        } else {
          const key = table.intern(batch.columns, row);
          keep = key === counts.length;
          if (keep) counts.push(1);
        }
        if (keep) this.#selection[kept++] = row;
      }
      charge(this.#account, table.bytes + counts.length * 8);
      if (kept === 0) continue;
      gather(batch.columns, this.#out.columns, this.#selection, kept);
      this.#out.length = kept;
      return this.#out;
    }
  }
}

/** Where a cteScan reads: rows so far, and how to get more. */
export interface RowSource {
  readonly store: RowStore;
  /** Adds rows to the store; false when there are no more. Throws Wait. */
  more(): boolean;
}

/** A common table expression's rows. */
export class CteSource implements RowSource {
  readonly store: RowStore;
  #complete = false;
  constructor(
    readonly plan: Operator,
    width: number,
    /** Changes rows: it runs to its end whoever reads it. */
    readonly modifying: boolean,
    readonly scope: ExprScope,
  ) {
    this.store = new RowStore(width);
  }
  open(context: ExecContext): void {
    this.#complete = false;
    this.store.open(context);
    this.plan.open(context);
  }
  rescan(): void {
    this.#complete = false;
    this.store.open(this.scope.runtime.context);
    this.plan.rescan();
  }
  more(): boolean {
    if (this.#complete) return false;
    this.scope.runtime.tick();
    const batch = this.plan.next();
    if (batch === undefined) {
      this.#complete = true;
      return false;
    }
    this.store.append(batch.columns, batch.length);
    this.store.finish();
    return true;
  }
  close(): void {
    this.store.clear();
    this.plan.close();
  }
}

export class CteScan implements Operator {
  readonly #reader: RowStoreReader;
  constructor(readonly source: RowSource) {
    this.#reader = new RowStoreReader(source.store);
  }
  open(): void {
    this.#reader.rewind();
  }
  rescan(): void {
    this.#reader.rewind();
  }
  next(): Batch | undefined {
    for (;;) {
      const batch = this.#reader.next();
      if (batch !== undefined) return batch;
      if (!this.source.more()) return undefined;
    }
  }
  close(): void {}
}

/** The rows of the last round, which the step of a recursive expression reads under its own name. */
export class WorkTable implements RowSource {
  readonly store: RowStore;
  constructor(width: number) {
    this.store = new RowStore(width);
  }
  more(): boolean {
    return false;
  }
}

/**
 * WITH RECURSIVE: the base, then the step over the rows of the round before, until a round brings none. Rows go up as
 * they come, so that a LIMIT ends what would never end. UNION (not ALL) drops rows already seen in any round.
 */
export class RecursiveUnion implements Operator {
  readonly #seen: KeyTable | undefined;
  readonly #account = new Account();
  readonly #next: RowStore;
  readonly #out: Batch;
  #selection = new Int32Array(batchRowsMax);
  #inStep = false;
  #ended = false;
  constructor(
    readonly base: Operator,
    readonly step: Operator,
    readonly workTable: WorkTable,
    types: readonly number[],
    all: boolean,
    readonly scope: ExprScope,
  ) {
    this.#seen = all ? undefined : new KeyTable(types);
    this.#next = new RowStore(types.length);
    this.#out = new Batch(types.length);
  }
  open(context: ExecContext): void {
    this.#reset(context);
    this.base.open(context);
    this.step.open(context);
  }
  rescan(): void {
    this.#reset(this.scope.runtime.context);
    this.base.rescan();
    this.step.rescan();
  }
  #reset(context: ExecContext): void {
    this.#seen?.clear();
    this.#account.open(context.memory);
    this.#next.open(context);
    this.workTable.store.open(context);
    this.#inStep = false;
    this.#ended = false;
  }
  close(): void {
    this.#seen?.clear();
    this.#account.release();
    this.#next.clear();
    this.workTable.store.clear();
    closeAll([this.base, this.step]);
  }
  next(): Batch | undefined {
    while (!this.#ended) {
      this.scope.runtime.tick();
      const batch = this.#inStep ? this.step.next() : this.base.next();
      if (batch === undefined) {
        this.#nextRound();
        continue;
      }
      const fresh = this.#fresh(batch);
      if (fresh === undefined) continue;
      this.#next.append(fresh.columns, fresh.length);
      return fresh;
    }
    return undefined;
  }
  #fresh(batch: Batch): Batch | undefined {
    const seen = this.#seen;
    if (seen === undefined) return batch;
    if (this.#selection.length < batch.length) this.#selection = new Int32Array(batch.length);
    let kept = 0;
    for (let row = 0; row < batch.length; row++) {
      const size = seen.size;
      if (seen.intern(batch.columns, row) === size) this.#selection[kept++] = row;
    }
    charge(this.#account, seen.bytes);
    if (kept === 0) return undefined;
    if (kept === batch.length) return batch;
    gather(batch.columns, this.#out.columns, this.#selection, kept);
    this.#out.length = kept;
    return this.#out;
  }
  #nextRound(): void {
    const { context } = this.scope.runtime;
    this.#next.finish();
    const { store } = this.workTable;
    store.open(context);
    if (this.#next.rows === 0) {
      this.#ended = true;
      return;
    }
    const reader = new RowStoreReader(this.#next);
    for (let batch = reader.next(); batch !== undefined; batch = reader.next()) {
      store.append(batch.columns, batch.length);
    }
    store.finish();
    this.#next.open(context);
    this.step.rescan();
    this.#inStep = true;
  }
}

/** Opens its common table expressions with the body; modifying ones run first, in order. */
export class With implements Operator {
  #modified = 0;
  constructor(
    readonly sources: readonly CteSource[],
    readonly body: Operator,
    /** Sources whose rows cannot differ from one rescan to the next. */
    readonly stable: readonly boolean[],
  ) {
    assert(sources.length === stable.length, "a WITH lists its expressions once");
  }
  open(context: ExecContext): void {
    this.#modified = 0;
    for (const source of this.sources) source.open(context);
    this.body.open(context);
  }
  rescan(): void {
    for (let s = 0; s < this.sources.length; s++) {
      const source = this.sources[s]!;
      if (!this.stable[s] && !source.modifying) source.rescan();
    }
    this.body.rescan();
  }
  next(): Batch | undefined {
    while (this.#modified < this.sources.length) {
      const source = this.sources[this.#modified]!;
      if (source.modifying) while (source.more());
      this.#modified++;
    }
    return this.body.next();
  }
  close(): void {
    closeAll([...this.sources, this.body]);
  }
}
