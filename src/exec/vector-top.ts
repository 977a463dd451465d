/**
 * The first rows of a table in some order. Only sort keys and row addresses are kept; the rows themselves are read at
 * the end. Once there are enough candidates, the first key of the worst of them is a bound that a kernel tests on each
 * page: few rows ever become values.
 *
 * Invariants: every candidate is in order among all rows seen so far; a row dropped has at least `wanted` candidates not
 * after it. More rows than a buffer of candidates should hold are the row operators' work.
 */
import { assert } from "../base/errors.js";
import { slotsPerPageMax } from "../mga/index.js";
import { Batch, batchRowsMax } from "../model/batch.js";
import { StorageKind } from "../model/codec-column.js";
import type { Value } from "../model/value.js";
import type { SortKey } from "../sql/expr.js";
import type { PlanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";
import { compileExpr, type Evaluate, type ExprScope, noColumns } from "./expression.js";
import { rowCount } from "./pipeline.js";
import type { Runtime } from "./runtime.js";
import { type Comparator, comparatorOf } from "./values.js";
import {
  type ColumnView,
  type ComparedAs,
  FloatKernel,
  IntegerRange,
  NotVector,
  RangeKernel,
} from "./vector-filter.js";
import { bitmapBytes, type VectorEngine } from "./vector-memory.js";
import type { VectorScan } from "./vector-scan.js";

const topRowsMax = 4096;

/** Rows whose first key is not after that of the worst candidate. */
class Threshold {
  readonly #range: RangeKernel;
  readonly #float: FloatKernel;
  #value: Value = null;
  engine!: VectorEngine;
  constructor(
    readonly slot: number,
    readonly as: ComparedAs,
    readonly descending: boolean,
    readonly nullsFirst: boolean,
    /** Rows equal to it in the first key cannot come before it. */
    readonly strict: boolean,
  ) {
    this.#range = new RangeKernel(as.kind);
    this.#float = new FloatKernel(as.kind);
  }
  set(value: Value): void {
    this.#value = value;
    if (value === null) return;
    const operator = this.descending ? (this.strict ? ">" : ">=") : this.strict ? "<" : "<=";
    if (this.as.form === "float") this.#float.set(operator, value as number);
    else {
      const range = new IntegerRange(this.as);
      range.add(operator, value);
      this.#range.set(range);
    }
  }
  apply(view: ColumnView, bitmap: number): void {
    const { kernels, memory, spare } = this.engine;
    const nulls = view.nulls[this.slot]!;
    const values = view.addresses[this.slot]!;
    const { rows } = view;
    if (this.#value === null) {
      // The worst candidate is NULL: NULLs first, only they compete; NULLs last, everything does.
      if (!this.nullsFirst) return;
      if (nulls === 0) memory.u8.fill(0, bitmap, bitmap + bitmapBytes);
      else kernels.bitmapAnd(bitmap, nulls, rows);
      return;
    }
    const keepNulls = nulls !== 0 && this.nullsFirst;
    if (keepNulls) {
      memory.u8.copyWithin(spare, bitmap, bitmap + bitmapBytes);
      kernels.bitmapAnd(spare, nulls, rows);
    }
    if (this.as.form === "float") this.#float.apply(kernels, values, rows, bitmap);
    else this.#range.apply(kernels, values, rows, bitmap);
    if (nulls !== 0) kernels.bitmapAndNot(bitmap, nulls, rows);
    if (keepNulls) kernels.bitmapOr(bitmap, spare, rows);
  }
}

export class VectorTopN implements Operator {
  readonly #runtime: Runtime;
  readonly #limit: Evaluate;
  readonly #offset: Evaluate | undefined;
  readonly #compare: Comparator[];
  readonly #threshold: Threshold;
  readonly #page: Value[][];
  readonly #out: Batch;
  /** Candidates: keys by column, then row addresses. */
  #keys: Value[][] = [];
  #rowIds: number[] = [];
  /** The worst of `wanted` candidates at the last cut; -1 while there are fewer. */
  #worst = -1;
  #wanted = 0;
  #skip = 0;
  #started = false;
  #sorted = false;
  #emitted = 0;
  #filled = 0;
  #rows: Operator | undefined;
  #useRows = false;

  constructor(
    readonly node: Extract<PlanNode, { kind: "topN" }>,
    /** Gives row addresses as its last column. */
    readonly source: VectorScan,
    keys: readonly SortKey[],
    readonly slots: readonly number[],
    as: ComparedAs,
    /** Scan slots of the output; one beyond its columns is the row address. */
    readonly output: readonly number[],
    readonly rows: () => Operator,
    scope: ExprScope,
  ) {
    this.#runtime = scope.runtime;
    this.#limit = compileExpr(node.limit, scope);
    this.#offset = node.offset === undefined ? undefined : compileExpr(node.offset, scope);
    this.#compare = keys.map(comparatorOf);
    const { descending, nullsFirst } = keys[0]!;
    this.#threshold = new Threshold(slots[0]!, as, descending, nullsFirst, keys.length === 1);
    this.#page = keys.map(() => []);
    this.#out = new Batch(output.length);
  }
  get usesRows(): boolean {
    return this.#useRows;
  }
  open(_context: ExecContext): void {
    this.#useRows = false;
    this.#reset();
  }
  rescan(): void {
    if (this.#useRows) this.#rows!.rescan();
    else this.#reset();
  }
  #reset(): void {
    this.source.open();
    this.source.extra = undefined;
    this.#keys = this.#page.map(() => []);
    this.#rowIds = [];
    this.#worst = -1;
    this.#started = false;
    this.#sorted = false;
    this.#filled = 0;
  }
  close(): void {
    this.source.close();
    if (this.#useRows) this.#rows!.close();
  }
  next(): Batch | undefined {
    if (this.#useRows) return this.#rows!.next();
    try {
      return this.#next();
    } catch (thrown) {
      if (!(thrown instanceof NotVector)) throw thrown;
    }
    this.source.close();
    this.#rows ??= this.rows();
    this.#useRows = true;
    this.#rows.open(this.#runtime.context);
    return this.#rows.next();
  }

  #next(): Batch | undefined {
    if (!this.#started) this.#start();
    if (this.#wanted === this.#skip) return undefined;
    if (!this.#sorted) {
      while (this.source.next()) this.#take();
      this.#cut();
      this.#sorted = true;
      this.#emitted = this.#skip;
    }
    return this.#emit();
  }
  #start(): void {
    this.#skip = this.#offset === undefined ? 0 : rowCount(this.#offset(noColumns, 0), "OFFSET");
    this.#wanted = rowCount(this.#limit(noColumns, 0), "LIMIT") + this.#skip;
    this.source.start();
    if (this.#wanted > topRowsMax || this.source.engine === undefined) throw new NotVector();
    this.#threshold.engine = this.source.engine;
    this.#started = true;
  }
  #take(): void {
    const { source, slots } = this;
    if (source.selected > 0) {
      const count = source.listSlots();
      for (let k = 0; k < slots.length; k++) source.decode(slots[k]!, source.slots, count, this.#page[k]!, 0);
      const base = source.scan!.pageNumber * slotsPerPageMax;
      for (let i = 0; i < count; i++) this.#offer(this.#page, i, base + source.slots[i]!);
    }
    if (source.rowCount > 0) {
      const keys = slots.map((slot) => source.columns[slot]!);
      const rowIds = source.columns[source.node.project.length]!;
      for (let i = 0; i < source.rowCount; i++) this.#offer(keys, i, rowIds[i] as number);
    }
  }
  #offer(keys: readonly Value[][], row: number, rowId: number): void {
    if (this.#worst >= 0 && !this.#isBefore(keys, row, this.#worst)) return;
    for (let k = 0; k < keys.length; k++) this.#keys[k]!.push(keys[k]![row]!);
    this.#rowIds.push(rowId);
    if (this.#rowIds.length >= this.#wanted + Math.max(64, this.#wanted)) this.#cut();
  }
  #isBefore(keys: readonly Value[][], row: number, candidate: number): boolean {
    for (let k = 0; k < keys.length; k++) {
      const verdict = this.#compare[k]!(keys[k]![row]!, this.#keys[k]![candidate]!);
      if (verdict !== 0) return verdict < 0;
    }
    return false;
  }
  /** Sorts the candidates and keeps the first `wanted`. */
  #cut(): void {
    const order = this.#rowIds.map((_, i) => i);
    const keys = this.#keys;
    order.sort((a, b) => {
      for (let k = 0; k < keys.length; k++) {
        const verdict = this.#compare[k]!(keys[k]![a]!, keys[k]![b]!);
        if (verdict !== 0) return verdict;
      }
      return 0;
    });
    if (order.length > this.#wanted) order.length = this.#wanted;
    this.#keys = keys.map((column) => order.map((i) => column[i]!));
    this.#rowIds = order.map((i) => this.#rowIds[i]!);
    if (order.length < this.#wanted) return;
    this.#worst = this.#wanted - 1;
    this.#threshold.set(this.#keys[0]![this.#worst]!);
    this.source.extra = this.#threshold;
  }
  /** Reads the rows themselves. A Wait leaves those already read in the batch. */
  #emit(): Batch | undefined {
    const { context } = this.#runtime;
    const { node } = this.source;
    const table = context.table(node.tableId);
    const { columns } = this.#out;
    const project: number[] = [];
    const into: Value[][] = [];
    for (let c = 0; c < this.output.length; c++) {
      const column = node.project[this.output[c]!];
      if (column === undefined) continue;
      project.push(column);
      into.push(columns[c]!);
    }
    while (this.#emitted < this.#rowIds.length && this.#filled < batchRowsMax) {
      const rowId = this.#rowIds[this.#emitted]!;
      const found = table.read(context.snapshot, rowId, project, into, this.#filled);
      assert(found, "a row seen by the snapshot is gone");
      for (let c = 0; c < this.output.length; c++)
        if (node.project[this.output[c]!] === undefined) columns[c]![this.#filled] = rowId;
      this.#emitted++;
      this.#filled++;
    }
    if (this.#filled === 0) return undefined;
    this.#out.length = this.#filled;
    this.#filled = 0;
    return this.#out;
  }
}

/** Orders of numbers have a kernel for the bound. */
export function hasThreshold(as: ComparedAs | undefined): as is ComparedAs {
  return as !== undefined && (as.form === "integer" || as.form === "float") && as.kind !== StorageKind.bool;
}
