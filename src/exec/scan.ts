/**
 * Leaves that read tables: sequential scans page by page, index scans by key range, and computed catalogs.
 *
 * Invariants: a table scan writes only the columns asked for (then the row address, when asked) into its own batch, and
 * filters in place before handing it up. A Wait leaves the rows read so far in the batch; the next call goes on.
 */
import { assert } from "../base/errors.js";
import type { IndexScan, IndexSpec, KeyRange, PageScan, RowId, Table } from "../mga/contract.js";
import { Batch, batchRowsMax } from "../model/batch.js";
import { PgArray, type Value } from "../model/value.js";
import type { Expr } from "../sql/expr.js";
import type { PlanNode, ScanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";
import { compileExpr, type Evaluate, type ExprScope, gather, noColumns, Predicate } from "./expression.js";
import type { Runtime } from "./runtime.js";
import { compareOf } from "./values.js";

/** A batch is handed up once it has this many rows: pages hold up to a few hundred. */
const scanRowsEnough = 512;

export class SeqScan implements Operator {
  readonly #runtime: Runtime;
  readonly #batch: Batch;
  readonly #data: Value[][];
  readonly #rowIds: Value[] | undefined;
  readonly #filter: Predicate | undefined;
  #scan: PageScan | undefined;
  /** The scan stands on a page whose rows are not yet in the batch. */
  #pageOpen = false;
  #filled = 0;
  #ended = false;
  /** The batch is filled and waits for its filter (after a Wait in it). */
  #filtering = false;
  #first = true;

  constructor(
    readonly node: ScanNode & PlanNode,
    scope: ExprScope,
  ) {
    this.#runtime = scope.runtime;
    this.#batch = new Batch(node.project.length + (node.rowId ? 1 : 0));
    this.#data = this.#batch.columns.slice(0, node.project.length);
    this.#rowIds = node.rowId ? this.#batch.columns[node.project.length]! : undefined;
    this.#filter = node.filter === undefined ? undefined : new Predicate(node.filter, scope);
  }
  open(_context: ExecContext): void {
    this.rescan();
  }
  rescan(): void {
    this.#scan = undefined;
    this.#pageOpen = false;
    this.#filled = 0;
    this.#ended = false;
    this.#filtering = false;
    this.#first = true;
    this.#filter?.reset();
  }
  next(): Batch | undefined {
    const batch = this.#batch;
    for (;;) {
      if (!this.#filtering) {
        if (!this.#fill()) return undefined;
        this.#filtering = true;
      }
      const count = this.#filter === undefined ? this.#filled : this.#applyFilter(this.#filter);
      this.#filtering = false;
      this.#filled = 0;
      if (count > 0) {
        batch.length = count;
        return batch;
      }
    }
  }
  /** Rows into the batch: one page first (a LIMIT may need no more), then several. False: none left. */
  #fill(): boolean {
    const { node } = this;
    if (this.#ended) return false;
    this.#runtime.tick();
    if (this.#scan === undefined) {
      const { context } = this.#runtime;
      this.#scan = context.table(node.tableId).scan(context.snapshot);
    }
    const scan = this.#scan;
    const enough = this.#first ? 1 : scanRowsEnough;
    while (this.#filled < enough) {
      if (!this.#pageOpen) {
        if (!scan.next()) {
          this.#ended = true;
          break;
        }
        this.#pageOpen = true;
      }
      this.#filled += scan.materialize(node.project, this.#data, this.#filled, this.#rowIds);
      this.#pageOpen = false;
    }
    this.#first = false;
    return this.#filled > 0;
  }
  #applyFilter(filter: Predicate): number {
    const { columns } = this.#batch;
    const kept = filter.select(columns, this.#filled);
    if (kept < this.#filled) gather(columns, columns, filter.selection, kept);
    return kept;
  }
  close(): void {
    this.#scan = undefined;
  }
}

/** Index ranges are in key order: for a descending column the value bounds change sides. */
export class IndexRangeScan implements Operator {
  readonly #runtime: Runtime;
  readonly #batch: Batch;
  readonly #data: Value[][];
  readonly #rowIdColumn: Value[] | undefined;
  readonly #filter: Predicate | undefined;
  readonly #equals: Evaluate[];
  readonly #anyOf: Evaluate | undefined;
  readonly #lower: Evaluate | undefined;
  readonly #upper: Evaluate | undefined;
  readonly #lowerKey: Value[] = [];
  readonly #upperKey: Value[] = [];
  readonly #range: {
    lower: readonly Value[] | undefined;
    lowerInclusive: boolean;
    upper: readonly Value[] | undefined;
    upperInclusive: boolean;
  } = { lower: undefined, lowerInclusive: true, upper: undefined, upperInclusive: true };

  readonly #found: RowId[] = [];
  #table: Table | undefined;
  #index: IndexSpec | undefined;
  #scan: IndexScan | undefined;
  #foundCount = 0;
  #at = 0;
  #filled = 0;
  #ended = false;
  #started = false;
  #filtering = false;
  /** All key columns of a unique index are given: there is one row at most. */
  #single = false;
  #want = 1;
  #probes: readonly Value[] | undefined;
  #probe = 0;

  constructor(
    readonly node: ScanNode & PlanNode,
    scope: ExprScope,
  ) {
    const { index } = node;
    assert(index !== undefined, "an index scan names no index");
    this.#runtime = scope.runtime;
    this.#batch = new Batch(node.project.length + (node.rowId ? 1 : 0));
    this.#data = this.#batch.columns.slice(0, node.project.length);
    this.#rowIdColumn = node.rowId ? this.#batch.columns[node.project.length]! : undefined;
    this.#filter = node.filter === undefined ? undefined : new Predicate(node.filter, scope);
    const compiled = (expr: Expr | undefined): Evaluate | undefined =>
      expr === undefined ? undefined : compileExpr(expr, scope);
    this.#equals = index.bounds.equals.map((expr) => compileExpr(expr, scope));
    this.#anyOf = compiled(index.bounds.anyOf);
    this.#lower = compiled(index.bounds.lower?.value);
    this.#upper = compiled(index.bounds.upper?.value);
  }
  open(context: ExecContext): void {
    this.rescan();
    this.#bindTable(context.table(this.node.tableId));
  }
  /** The index is looked up once per table descriptor, not per execution. */
  #bindTable(table: Table): void {
    if (table === this.#table) return;
    this.#table = table;
    const { index } = this.node;
    const spec = table.spec.indexes.find(({ id }) => id === index!.indexId);
    assert(spec !== undefined, "a plan uses an index that its table does not have");
    this.#index = spec;
    const given = this.#equals.length + (this.#anyOf === undefined ? 0 : 1);
    this.#single = spec.unique && spec.deferrable !== true && given === spec.columns.length;
  }
  rescan(): void {
    this.#scan = undefined;
    this.#foundCount = 0;
    this.#at = 0;
    this.#filled = 0;
    this.#ended = false;
    this.#started = false;
    this.#filtering = false;
    this.#want = 1;
    this.#probes = undefined;
    this.#probe = 0;
    this.#filter?.reset();
  }
  close(): void {
    this.#scan = undefined;
  }

  next(): Batch | undefined {
    const batch = this.#batch;
    for (;;) {
      if (!this.#filtering) {
        if (!this.#fill()) return undefined;
        this.#filtering = true;
      }
      let count = this.#filled;
      if (this.#filter !== undefined) {
        count = this.#filter.select(batch.columns, this.#filled);
        if (count < this.#filled) gather(batch.columns, batch.columns, this.#filter.selection, count);
      }
      this.#filtering = false;
      this.#filled = 0;
      if (count > 0) {
        batch.length = count;
        return batch;
      }
    }
  }

  #fill(): boolean {
    if (this.#ended) return false;
    const { context } = this.#runtime;
    if (!this.#started) this.#start();
    else this.#runtime.tick();
    const { project } = this.node;
    const table = this.#table!;
    const found = this.#found;
    while (!this.#ended && this.#filled < batchRowsMax) {
      if (this.#at === this.#foundCount) {
        // Hand up what there is before asking for more: a limit above may be content.
        if (this.#filled > 0 && this.#want > this.#filled) break;
        if (this.#scan === undefined) {
          if (!this.#nextProbe(context)) {
            this.#ended = true;
            break;
          }
        }
        // Asked for one more than it can have, a single probe runs to its end and gives its cursor back.
        this.#foundCount = this.#scan!.next(found, this.#single ? 2 : this.#want);
        this.#at = 0;
        if (this.#want < 256) this.#want *= 4;
        if (this.#foundCount === 0) {
          this.#scan = undefined;
          if (this.#probes === undefined) this.#ended = true;
          continue;
        }
      }
      while (this.#at < this.#foundCount) {
        const row = found[this.#at]!;
        if (table.read(context.snapshot, row, project, this.#data, this.#filled)) {
          if (this.#rowIdColumn !== undefined) this.#rowIdColumn[this.#filled] = row;
          this.#filled++;
        }
        this.#at++;
      }
      if (this.#single) {
        this.#scan = undefined;
        if (this.#probes === undefined) this.#ended = true;
      }
    }
    return this.#filled > 0;
  }

  /** Evaluates the bounds; leaves `#ended` when they can match nothing. */
  #start(): void {
    const lower = this.#lowerKey;
    const upper = this.#upperKey;
    const fixed = this.#equals.length;
    if (lower.length > fixed) lower.length = fixed;
    if (upper.length > fixed) upper.length = fixed;
    for (let i = 0; i < fixed; i++) {
      const value = this.#equals[i]!(noColumns, 0);
      if (value === null) {
        this.#ended = true;
        this.#started = true;
        return;
      }
      lower[i] = value;
      upper[i] = value;
    }
    if (this.#anyOf !== undefined) {
      const array = this.#anyOf(noColumns, 0);
      if (array === null) this.#probes = [];
      else {
        assert(array instanceof PgArray, "an index probe list is no array");
        this.#probes = this.#distinct(array);
      }
    } else if (!this.#bounds()) this.#ended = true;
    this.#started = true;
  }

  /** Probe values once each, in key order, so that the rows come in index order. */
  #distinct(array: PgArray): readonly Value[] {
    const column = this.#index!.columns[this.#equals.length]!;
    const compare = compareOf(column.type.oid);
    const sign = column.descending !== this.node.index!.backward ? -1 : 1;
    const sorted = array.elements.filter((value) => value !== null).sort((a, b) => sign * compare(a, b));
    return sorted.filter((value, i) => i === 0 || compare(value, sorted[i - 1]!) !== 0);
  }

  #nextProbe(context: ExecContext): boolean {
    const { index } = this.node;
    if (this.#probes !== undefined) {
      if (this.#probe >= this.#probes.length) return false;
      const depth = this.#equals.length;
      const value = this.#probes[this.#probe]!;
      this.#lowerKey[depth] = value;
      this.#range.lower = this.#lowerKey;
      this.#range.upper = this.#lowerKey;
      this.#range.lowerInclusive = true;
      this.#range.upperInclusive = true;
    }
    this.#scan = this.#table!.indexScan(
      context.snapshot,
      index!.indexId,
      this.#range as KeyRange,
      index!.backward,
    );
    this.#probe++;
    return true;
  }

  /** Turns value bounds into a key range; false when a bound is NULL and nothing can match. */
  #bounds(): boolean {
    const { bounds } = this.node.index!;
    const range = this.#range;
    const lowerKey = this.#lowerKey;
    const upperKey = this.#upperKey;
    const depth = this.#equals.length;
    range.lowerInclusive = true;
    range.upperInclusive = true;
    const ranged = this.#lower !== undefined || this.#upper !== undefined;
    if (ranged || bounds.nullTest !== undefined) {
      const column = this.#index!.columns[depth];
      assert(column !== undefined, "an index range lies beyond the key");
      if (bounds.nullTest === "isNull") {
        lowerKey.push(null);
        upperKey.push(null);
      } else {
        const small = column.descending ? this.#upper : this.#lower;
        const large = column.descending ? this.#lower : this.#upper;
        const smallBound = column.descending ? bounds.upper : bounds.lower;
        const largeBound = column.descending ? bounds.lower : bounds.upper;
        if (small !== undefined) {
          const value = small(noColumns, 0);
          if (value === null) return false;
          lowerKey.push(value);
          range.lowerInclusive = smallBound!.inclusive;
        } else if (column.nullsFirst) {
          lowerKey.push(null);
          range.lowerInclusive = false;
        }
        if (large !== undefined) {
          const value = large(noColumns, 0);
          if (value === null) return false;
          upperKey.push(value);
          range.upperInclusive = largeBound!.inclusive;
        } else if (!column.nullsFirst) {
          upperKey.push(null);
          range.upperInclusive = false;
        }
      }
    }
    range.lower = lowerKey.length > 0 ? lowerKey : undefined;
    // One array for both says that the range is one key.
    range.upper =
      ranged || bounds.nullTest !== undefined ? (upperKey.length > 0 ? upperKey : undefined) : range.lower;
    return true;
  }
}

/** Rows of a computed catalog; its provider makes them as they are asked for. */
export class VirtualScan implements Operator {
  readonly #runtime: Runtime;
  readonly #batch: Batch;
  readonly #project: readonly number[];
  readonly #relationId: number;
  readonly #filter: Predicate | undefined;
  #rows: Iterator<readonly Value[]> | undefined;
  #ended = false;
  #filtering = false;
  #filled = 0;

  constructor(node: Extract<PlanNode, { kind: "virtualScan" }>, scope: ExprScope) {
    this.#runtime = scope.runtime;
    this.#project = node.project;
    this.#relationId = node.relationId;
    this.#batch = new Batch(node.project.length);
    this.#filter = node.filter === undefined ? undefined : new Predicate(node.filter, scope);
  }
  open(): void {
    this.rescan();
  }
  rescan(): void {
    this.#rows = undefined;
    this.#ended = false;
    this.#filtering = false;
    this.#filled = 0;
    this.#filter?.reset();
  }
  next(): Batch | undefined {
    const { columns } = this.#batch;
    for (;;) {
      if (!this.#filtering) {
        if (this.#ended) return undefined;
        this.#runtime.tick();
        this.#rows ??= this.#runtime.context.virtualRows(this.#relationId)[Symbol.iterator]();
        while (this.#filled < batchRowsMax) {
          const step = this.#rows.next();
          if (step.done === true) {
            this.#ended = true;
            break;
          }
          for (let c = 0; c < columns.length; c++) {
            columns[c]![this.#filled] = step.value[this.#project[c]!] ?? null;
          }
          this.#filled++;
        }
        this.#filtering = true;
      }
      let count = this.#filled;
      if (this.#filter !== undefined && count > 0) {
        count = this.#filter.select(columns, this.#filled);
        if (count < this.#filled) gather(columns, columns, this.#filter.selection, count);
      }
      this.#filtering = false;
      this.#filled = 0;
      if (count > 0) {
        this.#batch.length = count;
        return this.#batch;
      }
    }
  }
  close(): void {
    this.#rows = undefined;
  }
}
