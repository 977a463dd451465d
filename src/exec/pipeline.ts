/**
 * Operators that pass rows on: filter, project, limit, append, values, unique, set-returning calls, materialize.
 *
 * Invariant: each holds at most one input batch, kept over a Wait in `#input`, and goes on with it.
 */
import { assert, DbError } from "../base/errors.js";
import { Batch, batchRowsMax } from "../model/batch.js";
import { RowValue, type Value } from "../model/value.js";
import type { Expr } from "../sql/expr.js";
import type { PlanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";
import {
  compileExpr,
  type Evaluate,
  ExprList,
  type ExprScope,
  gather,
  noColumns,
  Predicate,
} from "./expression.js";
import { closeAll, type Runtime } from "./runtime.js";
import { RowStore, RowStoreReader } from "./spill.js";
import { type Comparator, comparatorOf, groupEqualsOf } from "./values.js";

type Node<Kind extends PlanNode["kind"]> = Extract<PlanNode, { kind: Kind }>;

export class Filter implements Operator {
  readonly #predicate: Predicate;
  readonly #out: Batch;
  #batch: Batch | undefined;
  constructor(
    readonly input: Operator,
    predicate: Expr,
    width: number,
    readonly scope: ExprScope,
  ) {
    this.#predicate = new Predicate(predicate, scope);
    this.#out = new Batch(width);
  }
  open(context: ExecContext): void {
    this.#batch = undefined;
    this.#predicate.reset();
    this.input.open(context);
  }
  rescan(): void {
    this.#batch = undefined;
    this.#predicate.reset();
    this.input.rescan();
  }
  next(): Batch | undefined {
    for (;;) {
      const batch = (this.#batch ??= this.input.next());
      if (batch === undefined) return undefined;
      const kept = this.#predicate.select(batch.columns, batch.length);
      this.#batch = undefined;
      if (kept === batch.length) return batch;
      if (kept > 0) {
        gather(batch.columns, this.#out.columns, this.#predicate.selection, kept);
        this.#out.length = kept;
        return this.#out;
      }
      this.scope.runtime.tick();
    }
  }
  close(): void {
    this.input.close();
  }
}

export class Project implements Operator {
  readonly #exprs: ExprList;
  readonly #out = new Batch(0);
  #batch: Batch | undefined;
  constructor(
    readonly input: Operator,
    exprs: readonly Expr[],
    scope: ExprScope,
  ) {
    this.#exprs = new ExprList(exprs, scope);
    for (const column of this.#exprs.columns) this.#out.columns.push(column);
  }
  open(context: ExecContext): void {
    this.#batch = undefined;
    this.#exprs.reset();
    this.input.open(context);
  }
  rescan(): void {
    this.#batch = undefined;
    this.#exprs.reset();
    this.input.rescan();
  }
  next(): Batch | undefined {
    const batch = (this.#batch ??= this.input.next());
    if (batch === undefined) return undefined;
    const columns = this.#exprs.evaluate(batch.columns, batch.length);
    const out = this.#out.columns;
    for (let c = 0; c < out.length; c++) out[c] = columns[c]!;
    this.#out.length = batch.length;
    this.#batch = undefined;
    return this.#out;
  }
  close(): void {
    this.input.close();
  }
}

/** Constant rows; one row without columns is the input of a SELECT without FROM. */
export class Values implements Operator {
  readonly #rows: Evaluate[][];
  readonly #batch: Batch;
  /** Where a Wait came: what was evaluated before it is not evaluated again, for it may have had effects. */
  #row = 0;
  #column = 0;
  #filled = 0;
  constructor(
    node: Node<"values">,
    readonly scope: ExprScope,
  ) {
    this.#rows = node.rows.map((row) => row.map((expr) => compileExpr(expr, scope)));
    this.#batch = new Batch(node.columns.length);
  }
  open(): void {
    this.rescan();
  }
  rescan(): void {
    this.#row = 0;
    this.#column = 0;
    this.#filled = 0;
  }
  next(): Batch | undefined {
    const rows = this.#rows;
    const { columns } = this.#batch;
    if (this.#row > 0) this.scope.runtime.tick();
    while (this.#row < rows.length && this.#filled < batchRowsMax) {
      const row = rows[this.#row]!;
      for (; this.#column < row.length; this.#column++) {
        columns[this.#column]![this.#filled] = row[this.#column]!(noColumns, 0);
      }
      this.#column = 0;
      this.#row++;
      this.#filled++;
    }
    if (this.#filled === 0) return undefined;
    this.#batch.length = this.#filled;
    this.#filled = 0;
    return this.#batch;
  }
  close(): void {}
}

/** A LIMIT or OFFSET value: NULL is none; below zero is an error. */
export function rowCount(value: Value, clause: "LIMIT" | "OFFSET"): number {
  if (value === null) return clause === "LIMIT" ? Number.POSITIVE_INFINITY : 0;
  if ((value as number | bigint) < 0) {
    throw clause === "LIMIT"
      ? new DbError("invalidRowCountInLimitClause", "LIMIT must not be negative")
      : new DbError("invalidRowCountInResultOffsetClause", "OFFSET must not be negative");
  }
  return Number(value);
}

/** LIMIT and OFFSET: cuts the batches that cross a line. WITH TIES goes on while the sort keys equal the last row's. */
export class Limit implements Operator {
  readonly #limit: Evaluate | undefined;
  readonly #offset: Evaluate | undefined;
  readonly #ties: ExprList | undefined;
  readonly #compare: Comparator[];
  readonly #out: Batch;
  readonly #last: Value[] = [];
  #selection = new Int32Array(batchRowsMax);
  #toSkip = 0;
  #left = 0;
  #started = false;
  #ended = false;
  #batch: Batch | undefined;
  constructor(
    readonly input: Operator,
    node: Pick<Node<"limit">, "limit" | "offset" | "withTies">,
    width: number,
    scope: ExprScope,
  ) {
    this.#limit = node.limit === undefined ? undefined : compileExpr(node.limit, scope);
    this.#offset = node.offset === undefined ? undefined : compileExpr(node.offset, scope);
    const keys = node.withTies;
    this.#ties =
      keys === undefined
        ? undefined
        : new ExprList(
            keys.map(({ expr }) => expr),
            scope,
          );
    this.#compare = (keys ?? []).map(comparatorOf);
    this.#out = new Batch(width);
  }
  open(context: ExecContext): void {
    this.#reset();
    this.input.open(context);
  }
  rescan(): void {
    this.#reset();
    this.input.rescan();
  }
  #reset(): void {
    this.#started = false;
    this.#ended = false;
    this.#batch = undefined;
    this.#ties?.reset();
  }
  next(): Batch | undefined {
    if (!this.#started) {
      this.#toSkip = this.#offset === undefined ? 0 : rowCount(this.#offset(noColumns, 0), "OFFSET");
      this.#left =
        this.#limit === undefined ? Number.POSITIVE_INFINITY : rowCount(this.#limit(noColumns, 0), "LIMIT");
      this.#started = true;
      if (this.#left === 0) this.#ended = true;
    }
    while (!this.#ended) {
      const batch = (this.#batch ??= this.input.next());
      if (batch === undefined) return undefined;
      if (batch.length <= this.#toSkip) {
        this.#toSkip -= batch.length;
        this.#batch = undefined;
        continue;
      }
      const keys = this.#ties?.evaluate(batch.columns, batch.length);
      this.#batch = undefined;
      const from = this.#toSkip;
      this.#toSkip = 0;
      let to = batch.length;
      if (this.#left < to - from) {
        to = from + this.#left;
        if (keys !== undefined) while (to < batch.length && this.#tied(keys, to, from)) to++;
        if (keys === undefined || to < batch.length) this.#ended = true;
      }
      if (keys !== undefined && this.#left > 0) {
        const lastRow = Math.min(to, from + this.#left) - 1;
        for (let k = 0; k < keys.length; k++) this.#last[k] = keys[k]![lastRow]!;
      }
      this.#left = Math.max(0, this.#left - (to - from));
      if (this.#left === 0 && keys === undefined) this.#ended = true;
      if (to === from) return undefined;
      if (from === 0 && to === batch.length) return batch;
      const count = to - from;
      if (this.#selection.length < count) this.#selection = new Int32Array(count);
      for (let i = 0; i < count; i++) this.#selection[i] = from + i;
      gather(batch.columns, this.#out.columns, this.#selection, count);
      this.#out.length = count;
      return this.#out;
    }
    return undefined;
  }
  /** Whether row `row` has the keys of the last row within the limit, which may stand in this batch or an earlier one. */
  #tied(keys: Value[][], row: number, from: number): boolean {
    const lastRow = from + this.#left - 1;
    for (let k = 0; k < keys.length; k++) {
      const last = this.#left > 0 ? keys[k]![lastRow]! : this.#last[k]!;
      if (this.#compare[k]!(keys[k]![row]!, last) !== 0) return false;
    }
    return true;
  }
  close(): void {
    this.input.close();
  }
}

export class Append implements Operator {
  #at = 0;
  constructor(readonly inputs: readonly Operator[]) {}
  open(context: ExecContext): void {
    this.#at = 0;
    for (const input of this.inputs) input.open(context);
  }
  rescan(): void {
    this.#at = 0;
    for (const input of this.inputs) input.rescan();
  }
  next(): Batch | undefined {
    while (this.#at < this.inputs.length) {
      const batch = this.inputs[this.#at]!.next();
      if (batch !== undefined) return batch;
      this.#at++;
    }
    return undefined;
  }
  close(): void {
    closeAll(this.inputs);
  }
}

/** Over input sorted by the keys: the first row of each run of equal keys. */
export class Unique implements Operator {
  readonly #keys: ExprList;
  readonly #equals: ((a: Value, b: Value) => boolean)[];
  readonly #out: Batch;
  #selection = new Int32Array(batchRowsMax);
  #last: Value[] | undefined;
  #batch: Batch | undefined;
  constructor(
    readonly input: Operator,
    node: Node<"unique">,
    readonly scope: ExprScope,
  ) {
    this.#keys = new ExprList(node.keys, scope);
    this.#equals = node.keys.map(({ type }) => groupEqualsOf(type.oid));
    this.#out = new Batch(node.columns.length);
  }
  open(context: ExecContext): void {
    this.#reset();
    this.input.open(context);
  }
  rescan(): void {
    this.#reset();
    this.input.rescan();
  }
  #reset(): void {
    this.#last = undefined;
    this.#batch = undefined;
    this.#keys.reset();
  }
  next(): Batch | undefined {
    for (;;) {
      const batch = (this.#batch ??= this.input.next());
      if (batch === undefined) return undefined;
      const keys = this.#keys.evaluate(batch.columns, batch.length);
      this.#batch = undefined;
      if (this.#selection.length < batch.length) this.#selection = new Int32Array(batch.length);
      let kept = 0;
      for (let row = 0; row < batch.length; row++) {
        if (this.#last !== undefined && this.#same(this.#last, keys, row)) continue;
        this.#last ??= [];
        for (let k = 0; k < keys.length; k++) this.#last[k] = keys[k]![row]!;
        this.#selection[kept++] = row;
      }
      if (kept > 0) {
        gather(batch.columns, this.#out.columns, this.#selection, kept);
        this.#out.length = kept;
        return this.#out;
      }
      this.scope.runtime.tick();
    }
  }
  #same(last: readonly Value[], keys: Value[][], row: number): boolean {
    for (let k = 0; k < keys.length; k++) {
      if (!this.#equals[k]!(last[k]!, keys[k]![row]!)) return false;
    }
    return true;
  }
  close(): void {
    this.input.close();
  }
}

/** What a set-returning function answered, as an iterator; a scalar is one row. */
function iterate(result: Value | Iterable<Value>): Iterator<Value> {
  if (isIterable(result)) return result[Symbol.iterator]();
  return [result][Symbol.iterator]();
}

function isIterable(result: Value | Iterable<Value>): result is Iterable<Value> {
  return (
    typeof result === "object" &&
    result !== null &&
    !(result instanceof Uint8Array) &&
    Symbol.iterator in result
  );
}

type SetCall = (context: unknown, ...args: Value[]) => Value | Iterable<Value>;

/** Set-returning calls of a select list, in lock-step; the shorter ones are padded with NULL. */
export class ProjectSet implements Operator {
  readonly #runtime: Runtime;
  readonly #scalars: (Evaluate | undefined)[] = [];
  readonly #sets: ({ call: SetCall; strict: boolean; args: Evaluate[] } | undefined)[] = [];
  readonly #out: Batch;
  #iterators: (Iterator<Value> | undefined)[] = [];
  readonly #values: Value[] = [];
  #batch: Batch | undefined;
  #row = 0;
  #expanding = false;
  #filled = 0;
  constructor(
    readonly input: Operator,
    node: Node<"projectSet">,
    scope: ExprScope,
  ) {
    this.#runtime = scope.runtime;
    for (const expr of node.exprs) {
      if (expr.kind === "set") {
        this.#scalars.push(undefined);
        this.#sets.push({
          call: expr.fn.call as unknown as SetCall,
          strict: expr.fn.strict,
          args: expr.args.map((arg) => compileExpr(arg, scope)),
        });
      } else {
        this.#scalars.push(compileExpr(expr, scope));
        this.#sets.push(undefined);
      }
    }
    this.#out = new Batch(node.exprs.length);
  }
  open(context: ExecContext): void {
    this.#reset();
    this.input.open(context);
  }
  rescan(): void {
    this.#reset();
    this.input.rescan();
  }
  #reset(): void {
    this.#batch = undefined;
    this.#row = 0;
    this.#expanding = false;
    this.#filled = 0;
    this.#iterators = [];
  }
  next(): Batch | undefined {
    const { columns } = this.#out;
    while (this.#filled < batchRowsMax) {
      if (this.#batch === undefined) {
        if (this.#filled > 0) break;
        this.#runtime.tick();
        this.#batch = this.input.next();
        this.#row = 0;
        if (this.#batch === undefined) break;
      }
      if (this.#row === this.#batch.length) {
        this.#batch = undefined;
        continue;
      }
      if (!this.#expanding) this.#expand(this.#batch.columns, this.#row);
      let any = false;
      for (let c = 0; c < columns.length; c++) {
        const iterator = this.#iterators[c];
        if (this.#sets[c] === undefined) {
          columns[c]![this.#filled] = this.#values[c]!;
          continue;
        }
        const step = iterator?.next();
        if (step === undefined || step.done === true) {
          this.#iterators[c] = undefined;
          columns[c]![this.#filled] = null;
        } else {
          columns[c]![this.#filled] = step.value;
          any = true;
        }
      }
      if (any) this.#filled++;
      else {
        this.#expanding = false;
        this.#row++;
        if (this.#row % 64 === 0) this.#runtime.tick();
      }
    }
    if (this.#filled === 0) return undefined;
    this.#out.length = this.#filled;
    this.#filled = 0;
    return this.#out;
  }
  #expand(columns: Value[][], row: number): void {
    for (let c = 0; c < this.#sets.length; c++) {
      const set = this.#sets[c];
      if (set === undefined) this.#values[c] = this.#scalars[c]!(columns, row);
      else {
        const args = set.args.map((arg) => arg(columns, row));
        this.#iterators[c] =
          set.strict && args.includes(null) ? undefined : iterate(set.call(this.#runtime.eval, ...args));
      }
    }
    this.#expanding = true;
  }
  close(): void {
    this.#iterators = [];
    this.input.close();
  }
}

/** A function in FROM: one column, or the columns of its record; with an ordinality column after them when asked. */
export class FunctionScan implements Operator {
  readonly #runtime: Runtime;
  readonly #args: Evaluate[];
  readonly #batch: Batch;
  #rows: Iterator<Value> | undefined;
  #ordinal = 0;
  #filled = 0;
  #ended = false;
  constructor(
    readonly node: Node<"functionScan">,
    scope: ExprScope,
  ) {
    this.#runtime = scope.runtime;
    this.#args = node.args.map((arg) => compileExpr(arg, scope));
    this.#batch = new Batch(node.columns.length);
  }
  open(): void {
    this.rescan();
  }
  rescan(): void {
    this.#rows = undefined;
    this.#ordinal = 0;
    this.#filled = 0;
    this.#ended = false;
  }
  next(): Batch | undefined {
    if (this.#ended) return undefined;
    const { fn, withOrdinality } = this.node;
    const { columns } = this.#batch;
    const width = columns.length - (withOrdinality ? 1 : 0);
    if (this.#rows === undefined) {
      const args = this.#args.map((arg) => arg(noColumns, 0));
      if (fn.strict && args.includes(null)) {
        // A set of nothing; a plain function in FROM still is one row, NULL.
        this.#rows = (fn.returnsSet === true ? [] : [null])[Symbol.iterator]();
      } else this.#rows = iterate((fn.call as unknown as SetCall)(this.#runtime.eval, ...args));
    } else this.#runtime.tick();
    while (this.#filled < batchRowsMax) {
      const step = this.#rows.next();
      if (step.done === true) {
        this.#ended = true;
        break;
      }
      const value = step.value;
      if (value instanceof RowValue && (width > 1 || fn.outColumns !== undefined)) {
        for (let c = 0; c < width; c++) columns[c]![this.#filled] = value.values[c] ?? null;
      } else {
        columns[0]![this.#filled] = value;
        for (let c = 1; c < width; c++) columns[c]![this.#filled] = null;
      }
      this.#ordinal++;
      if (withOrdinality) columns[width]![this.#filled] = this.#ordinal;
      this.#filled++;
    }
    if (this.#filled === 0) return undefined;
    this.#batch.length = this.#filled;
    this.#filled = 0;
    return this.#batch;
  }
  close(): void {
    this.#rows = undefined;
  }
}

/** Keeps its input's rows, so that a rescan reads them again instead of running the input again. */
export class Materialize implements Operator {
  readonly #store: RowStore;
  readonly #reader: RowStoreReader;
  #complete = false;
  constructor(
    readonly input: Operator,
    width: number,
    /** Its rows are the same in every rescan of one execution. */
    readonly stable: boolean,
    readonly scope: ExprScope,
  ) {
    this.#store = new RowStore(width);
    this.#reader = new RowStoreReader(this.#store);
  }
  open(context: ExecContext): void {
    this.#complete = false;
    this.#store.open(context);
    this.#reader.rewind();
    this.input.open(context);
  }
  rescan(): void {
    this.#reader.rewind();
    if (this.stable) return;
    this.#complete = false;
    this.#store.open(this.scope.runtime.context);
    this.input.rescan();
  }
  next(): Batch | undefined {
    while (!this.#complete) {
      this.scope.runtime.tick();
      const batch = this.input.next();
      if (batch === undefined) {
        this.#store.finish();
        this.#complete = true;
      } else this.#store.append(batch.columns, batch.length);
    }
    return this.#reader.next();
  }
  close(): void {
    this.#store.clear();
    this.input.close();
  }
}

/**
 * The whole input before the first row is handed up: a statement that changes or locks rows may still fail or start over,
 * and then nothing of it may have been sent.
 */
export class Collect extends Materialize {
  constructor(input: Operator, width: number, scope: ExprScope) {
    super(input, width, true, scope);
  }
}

export function assertWidth(batch: Batch, width: number): void {
  assert(batch.width === width, "a batch is not as wide as its plan says");
}
