/**
 * Grouping and aggregates.
 *
 * All expressions of an aggregate node (groups, arguments, filters, order keys) are evaluated once per batch; then group
 * numbers are found for the whole batch and each aggregate steps over it. A hash aggregate beyond its budget keeps the
 * groups it has and writes rows of other groups to partitions, which it works through afterwards, one at a time.
 *
 * Invariants: every input row is stepped exactly once; accumulators of a group see its rows in input order unless the
 * call orders them.
 */
import { DbError } from "../base/errors.js";
import { Batch, batchRowsMax } from "../model/batch.js";
import type { AggregateDef } from "../model/functions.js";
import { type Value, wide } from "../model/value.js";
import type { Expr } from "../sql/expr.js";
import type { AggregateCall, PlanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";
import { ExprList, type ExprScope } from "./expression.js";
import { KeyHasher, KeyTable } from "./keys.js";
import { Account } from "./memory.js";
import type { Runtime } from "./runtime.js";
import { Sorter } from "./sort.js";
import { bytesOf, RowStore, RowStoreReader } from "./spill.js";
import { type Comparator, comparatorOf, groupEqualsOf, isOrderedNumberType } from "./values.js";

/** One aggregate call over all groups in memory. Rows `rows[i]` of the columns belong to group `groups[i]`. */
interface Accumulator {
  reset(): void;
  add(columns: readonly Value[][], rows: Int32Array, groups: Int32Array, count: number): void;
  /** Before the first `final`: work that may be long. Throws Wait; called again until it returns. */
  prepare(): void;
  final(group: number): Value;
  readonly bytes: number;
}

function grown(array: Float64Array<ArrayBuffer>, need: number): Float64Array<ArrayBuffer> {
  if (need < array.length) return array;
  const bigger = new Float64Array(Math.max(need + 1, array.length * 2));
  bigger.set(array);
  return bigger;
}

class CountAccumulator implements Accumulator {
  #counts = new Float64Array(64);
  #used = 0;
  /** -1 counts rows. */
  constructor(readonly column: number) {}
  get bytes(): number {
    return this.#counts.byteLength;
  }
  reset(): void {
    this.#counts.fill(0, 0, this.#used);
    this.#used = 0;
  }
  add(columns: readonly Value[][], rows: Int32Array, groups: Int32Array, count: number): void {
    const values = this.column < 0 ? undefined : columns[this.column]!;
    for (let i = 0; i < count; i++) {
      const group = groups[i]!;
      if (group >= this.#used) {
        this.#counts = grown(this.#counts, group);
        this.#used = group + 1;
      }
      if (values === undefined || values[rows[i]!] !== null) this.#counts[group]!++;
    }
  }
  prepare(): void {}
  final(group: number): Value {
    return group < this.#used ? this.#counts[group]! : 0;
  }
}

/** sum of int2 and int4 is int8: exact in a double up to 2^53, then as bigint. */
class SumIntegerAccumulator implements Accumulator {
  #sums = new Float64Array(64);
  #seen = new Float64Array(64);
  #used = 0;
  #wide: Map<number, bigint> | undefined;
  constructor(readonly column: number) {}
  get bytes(): number {
    return this.#sums.byteLength * 2;
  }
  reset(): void {
    this.#sums.fill(0, 0, this.#used);
    this.#seen.fill(0, 0, this.#used);
    this.#used = 0;
    this.#wide = undefined;
  }
  add(columns: readonly Value[][], rows: Int32Array, groups: Int32Array, count: number): void {
    const values = columns[this.column]!;
    for (let i = 0; i < count; i++) {
      const group = groups[i]!;
      if (group >= this.#used) {
        this.#sums = grown(this.#sums, group);
        this.#seen = grown(this.#seen, group);
        this.#used = group + 1;
      }
      const value = values[rows[i]!] as number | null;
      if (value === null) continue;
      this.#seen[group] = 1;
      const sum = this.#sums[group]! + value;
      if (sum > -9007199254740992 && sum < 9007199254740992) this.#sums[group] = sum;
      else {
        this.#wide ??= new Map();
        this.#wide.set(group, (this.#wide.get(group) ?? 0n) + BigInt(this.#sums[group]!) + BigInt(value));
        this.#sums[group] = 0;
      }
    }
  }
  prepare(): void {}
  final(group: number): Value {
    if (group >= this.#used || this.#seen[group] === 0) return null;
    const high = this.#wide?.get(group);
    return high === undefined ? this.#sums[group]! + 0 : wide(high + BigInt(this.#sums[group]!));
  }
}

class SumFloatAccumulator implements Accumulator {
  #sums = new Float64Array(64);
  #seen = new Float64Array(64);
  #used = 0;
  constructor(readonly column: number) {}
  get bytes(): number {
    return this.#sums.byteLength * 2;
  }
  reset(): void {
    this.#sums.fill(0, 0, this.#used);
    this.#seen.fill(0, 0, this.#used);
    this.#used = 0;
  }
  add(columns: readonly Value[][], rows: Int32Array, groups: Int32Array, count: number): void {
    const values = columns[this.column]!;
    for (let i = 0; i < count; i++) {
      const group = groups[i]!;
      if (group >= this.#used) {
        this.#sums = grown(this.#sums, group);
        this.#seen = grown(this.#seen, group);
        this.#used = group + 1;
      }
      const value = values[rows[i]!] as number | null;
      if (value === null) continue;
      this.#seen[group] = 1;
      const before = this.#sums[group]!;
      const sum = before + value;
      if (!Number.isFinite(sum) && Number.isFinite(before) && Number.isFinite(value)) {
        throw new DbError("numericValueOutOfRange", "value out of range: overflow");
      }
      this.#sums[group] = sum;
    }
  }
  prepare(): void {}
  final(group: number): Value {
    return group < this.#used && this.#seen[group] === 1 ? this.#sums[group]! : null;
  }
}

/** min and max of types whose order is that of numbers. */
class ExtremeAccumulator implements Accumulator {
  readonly #states: Value[] = [];
  constructor(
    readonly column: number,
    readonly largest: boolean,
  ) {}
  get bytes(): number {
    return this.#states.length * 16;
  }
  reset(): void {
    this.#states.length = 0;
  }
  add(columns: readonly Value[][], rows: Int32Array, groups: Int32Array, count: number): void {
    const values = columns[this.column]!;
    const states = this.#states;
    const { largest } = this;
    for (let i = 0; i < count; i++) {
      const group = groups[i]!;
      while (group >= states.length) states.push(null);
      const value = values[rows[i]!] as number | null;
      if (value === null) continue;
      const best = states[group] as number | null;
      if (best === null || (largest ? value > best : value < best)) states[group] = value;
    }
  }
  prepare(): void {}
  final(group: number): Value {
    return this.#states[group] ?? null;
  }
}

type Step = (state: unknown, context: unknown, ...args: Value[]) => unknown;

/** Any aggregate, by the functions of its definition. */
class GenericAccumulator implements Accumulator {
  readonly #states: unknown[] = [];
  readonly #direct: Value[][] = [];
  readonly #step: Step;
  #stateBytes = 0;
  constructor(
    readonly fn: AggregateDef,
    readonly args: readonly number[],
    readonly directArgs: readonly number[],
    readonly runtime: Runtime,
  ) {
    this.#step = fn.step as Step;
  }
  get bytes(): number {
    return this.#states.length * 64 + this.#stateBytes;
  }
  reset(): void {
    this.#states.length = 0;
    this.#direct.length = 0;
    this.#stateBytes = 0;
  }
  add(columns: readonly Value[][], rows: Int32Array, groups: Int32Array, count: number): void {
    const states = this.#states;
    const { fn, args, directArgs } = this;
    const step = this.#step;
    const context = this.runtime.eval;
    const { strict } = fn;
    // States that grow with their input (arrays, strings) are charged what they are fed.
    const growing = fn.stateBytes !== undefined;
    const first = args.length > 0 ? columns[args[0]!]! : undefined;
    for (let i = 0; i < count; i++) {
      const group = groups[i]!;
      const row = rows[i]!;
      while (group >= states.length) states.push(fn.init());
      if (directArgs.length > 0 && this.#direct[group] === undefined) {
        this.#direct[group] = directArgs.map((column) => columns[column]![row]!);
      }
      if (first === undefined) {
        states[group] = step(states[group], context);
        continue;
      }
      const value: Value = first[row]!;
      if (strict && value === null) continue;
      if (args.length === 1) states[group] = step(states[group], context, value);
      else if (args.length === 2) {
        const second: Value = columns[args[1]!]![row]!;
        if (strict && second === null) continue;
        states[group] = step(states[group], context, value, second);
      } else {
        const values: Value[] = args.map((column) => columns[column]![row]!);
        if (strict && values.includes(null)) continue;
        states[group] = step(states[group], context, ...values);
      }
      if (growing) this.#stateBytes += bytesOf(value);
    }
  }
  prepare(): void {}
  final(group: number): Value {
    const state = group < this.#states.length ? this.#states[group] : this.fn.init();
    const direct = this.#direct[group] ?? this.directArgs.map(() => null);
    return this.fn.final(state, this.runtime.eval, ...direct);
  }
}

/** Lets each combination of group and arguments through once. */
class DistinctAccumulator implements Accumulator {
  readonly #table: KeyTable;
  readonly #groupColumn: Value[] = [];
  readonly #keys: Value[][];
  #rows = new Int32Array(batchRowsMax);
  #groups = new Int32Array(batchRowsMax);
  constructor(
    readonly inner: Accumulator,
    readonly args: readonly number[],
    types: readonly number[],
  ) {
    this.#table = new KeyTable([23, ...types]);
    this.#keys = [this.#groupColumn];
  }
  get bytes(): number {
    return this.#table.bytes + this.inner.bytes;
  }
  reset(): void {
    this.#table.clear();
    this.inner.reset();
  }
  add(columns: readonly Value[][], rows: Int32Array, groups: Int32Array, count: number): void {
    if (this.#rows.length < count) {
      this.#rows = new Int32Array(count);
      this.#groups = new Int32Array(count);
    }
    for (let a = 0; a < this.args.length; a++) this.#keys[a + 1] = columns[this.args[a]!]!;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const row = rows[i]!;
      this.#groupColumn[row] = groups[i]!;
      const size = this.#table.size;
      if (this.#table.intern(this.#keys, row) < size) continue;
      this.#rows[kept] = row;
      this.#groups[kept++] = groups[i]!;
    }
    if (kept > 0) this.inner.add(columns, this.#rows, this.#groups, kept);
  }
  prepare(): void {
    this.inner.prepare();
  }
  final(group: number): Value {
    return this.inner.final(group);
  }
}

/** Keeps the rows, sorts them by group and order keys, then feeds the aggregate. */
class OrderedAccumulator implements Accumulator {
  readonly #sorter: Sorter;
  readonly #width: number;
  readonly #picked: Value[][] = [];
  readonly #buffer: Batch;
  readonly #rows: Int32Array;
  readonly #groups: Int32Array;
  #open = false;
  #finished = false;
  #prepared = false;
  /** `inner` reads columns 1.. of what is kept here: its arguments in order, then its direct arguments. */
  constructor(
    readonly inner: Accumulator,
    readonly kept: readonly number[],
    keys: readonly { readonly column: number; readonly compare: Comparator }[],
    readonly runtime: Runtime,
  ) {
    this.#width = 1 + kept.length;
    this.#sorter = new Sorter(
      this.#width,
      [
        {
          column: 0,
          compare: (a, b) => (a as number) - (b as number),
          numeric: true,
          descending: false,
          nullsFirst: false,
        },
        ...keys.map(({ column, compare }) => ({
          column,
          compare,
          numeric: false,
          descending: false,
          nullsFirst: false,
        })),
      ],
      runtime,
    );
    for (let c = 0; c < this.#width; c++) this.#picked.push([]);
    this.#buffer = new Batch(this.#width);
    this.#rows = Int32Array.from({ length: batchRowsMax }, (_, row) => row);
    this.#groups = new Int32Array(batchRowsMax);
  }
  get bytes(): number {
    return this.inner.bytes; // the sorter counts its own rows
  }
  reset(): void {
    this.#sorter.clear();
    this.#open = false;
    this.#finished = false;
    this.#prepared = false;
    this.inner.reset();
  }
  add(columns: readonly Value[][], rows: Int32Array, groups: Int32Array, count: number): void {
    if (!this.#open) {
      this.#sorter.open(this.runtime.context);
      this.#open = true;
    }
    const picked = this.#picked;
    for (let i = 0; i < count; i++) picked[0]![i] = groups[i]!;
    for (let c = 0; c < this.kept.length; c++) {
      const source = columns[this.kept[c]!]!;
      const target = picked[c + 1]!;
      for (let i = 0; i < count; i++) target[i] = source[rows[i]!]!;
    }
    this.#sorter.add(picked, count);
  }
  /** Between batches: sorts and spills. Throws Wait; harmless to call again. */
  settle(): void {
    if (this.#open) this.#sorter.settle();
  }
  prepare(): void {
    if (this.#prepared || !this.#open) return;
    if (!this.#finished) {
      this.#sorter.settle();
      this.#sorter.finish();
      this.#finished = true;
    }
    for (;;) {
      this.runtime.tick();
      const count = this.#sorter.fill(this.#buffer.columns, batchRowsMax);
      if (count === 0) break;
      for (let i = 0; i < count; i++) this.#groups[i] = this.#buffer.columns[0]![i] as number;
      this.inner.add(this.#buffer.columns, this.#rows, this.#groups, count);
    }
    this.#prepared = true;
  }
  final(group: number): Value {
    return this.inner.final(group);
  }
}

/** Accumulators by pg_proc OID of the aggregate, where a loop over numbers does. */
const fastAggregates: ReadonlyMap<number, (column: number) => Accumulator> = new Map<
  number,
  (column: number) => Accumulator
>([
  [2108, (column: number) => new SumIntegerAccumulator(column)],
  [2109, (column: number) => new SumIntegerAccumulator(column)],
  [2111, (column: number) => new SumFloatAccumulator(column)],
]);
const orderFree = new Set([
  "count",
  "sum",
  "avg",
  "min",
  "max",
  "bool_and",
  "bool_or",
  "every",
  "bit_and",
  "bit_or",
]);

function plainAccumulator(
  call: AggregateCall,
  args: readonly number[],
  directArgs: readonly number[],
  runtime: Runtime,
): Accumulator {
  const { fn } = call;
  if (call.star && fn.oid === 2803) return new CountAccumulator(-1);
  if (fn.oid === 2147 && args.length === 1) return new CountAccumulator(args[0]!);
  const fast = fastAggregates.get(fn.oid);
  if (fast !== undefined) return fast(args[0]!);
  const extreme = fn.name === "min" || fn.name === "max";
  if (extreme && call.args.length === 1 && isOrderedNumberType(call.args[0]!.type.oid)) {
    return new ExtremeAccumulator(args[0]!, fn.name === "max");
  }
  return new GenericAccumulator(fn, args, directArgs, runtime);
}

/** The calls of a node over the columns of one expression list. */
class AggregateSet {
  /** Groups first, then whatever the calls need. */
  readonly exprs: Expr[];
  readonly accumulators: Accumulator[] = [];
  readonly #filters: number[] = [];
  readonly #ordered: OrderedAccumulator[] = [];
  #identity = Int32Array.from({ length: batchRowsMax }, (_, row) => row);
  #rows = new Int32Array(batchRowsMax);
  #groups = new Int32Array(batchRowsMax);

  constructor(groups: readonly Expr[], calls: readonly AggregateCall[], runtime: Runtime) {
    this.exprs = [...groups];
    for (const call of calls) this.#addCall(call, runtime);
  }

  #addCall(call: AggregateCall, runtime: Runtime): void {
    const { filter } = call;
    // An argument is evaluated only where the filter holds: it may fail elsewhere.
    const guard = (expr: Expr): Expr =>
      filter === undefined
        ? expr
        : {
            kind: "case",
            type: expr.type,
            // biome-ignore lint/suspicious/noThenProperty: the result of a WHEN, never awaited
            whens: [{ when: filter, then: expr }],
            otherwise: { kind: "const", type: expr.type, value: null },
          };
    const put = (expr: Expr): number => this.exprs.push(expr) - 1;
    this.#filters.push(filter === undefined ? -1 : put(filter));
    const argExprs =
      call.fn.orderedSet === true && call.args.length === 0
        ? call.orderBy.map(({ expr }) => expr)
        : call.args;
    const args = argExprs.map((arg) => put(guard(arg)));
    const directArgs = call.directArgs.map((arg) => put(guard(arg)));
    const argTypes = argExprs.map(({ type }) => type.oid);
    const sortedDistinct = call.distinct && call.orderBy.length === 0 && !orderFree.has(call.fn.name);
    const keys = sortedDistinct
      ? call.args.map((expr) => ({ expr, descending: false, nullsFirst: false }))
      : call.orderBy;
    let accumulator: Accumulator;
    if (keys.length === 0 || orderFree.has(call.fn.name)) {
      accumulator = plainAccumulator(call, args, directArgs, runtime);
    } else {
      const keyColumns = keys.map((key) => put(guard(key.expr)));
      const kept = [...args, ...directArgs, ...keyColumns];
      const inner = plainAccumulator(
        call,
        args.map((_, i) => 1 + i),
        directArgs.map((_, i) => 1 + args.length + i),
        runtime,
      );
      const ordered = new OrderedAccumulator(
        inner,
        kept,
        keys.map((key, k) => ({
          column: 1 + args.length + directArgs.length + k,
          compare: comparatorOf(key),
        })),
        runtime,
      );
      this.#ordered.push(ordered);
      accumulator = ordered;
    }
    if (call.distinct) accumulator = new DistinctAccumulator(accumulator, args, argTypes);
    this.accumulators.push(accumulator);
  }

  get bytes(): number {
    let sum = 0;
    for (const accumulator of this.accumulators) sum += accumulator.bytes;
    return sum;
  }
  reset(): void {
    for (const accumulator of this.accumulators) accumulator.reset();
  }
  settle(): void {
    for (const ordered of this.#ordered) ordered.settle();
  }
  prepare(): void {
    for (const accumulator of this.accumulators) accumulator.prepare();
  }
  /** Rows [from, from + count) of the columns, or those of `rows`; group i stands at groups[i]. */
  add(columns: readonly Value[][], rows: Int32Array | undefined, groups: Int32Array, count: number): void {
    if (this.#rows.length < count) {
      this.#identity = Int32Array.from({ length: count }, (_, row) => row);
      this.#rows = new Int32Array(count);
      this.#groups = new Int32Array(count);
    }
    const chosen = rows ?? this.#identity;
    for (let a = 0; a < this.accumulators.length; a++) {
      const filter = this.#filters[a]!;
      const accumulator = this.accumulators[a]!;
      if (filter < 0) {
        accumulator.add(columns, chosen, groups, count);
        continue;
      }
      const verdicts = columns[filter]!;
      let kept = 0;
      for (let i = 0; i < count; i++) {
        if (verdicts[chosen[i]!] !== true) continue;
        this.#rows[kept] = chosen[i]!;
        this.#groups[kept++] = groups[i]!;
      }
      if (kept > 0) accumulator.add(columns, this.#rows, this.#groups, kept);
    }
  }
}

type AggregateNode = Extract<PlanNode, { kind: "aggregate" }>;

const partitions = 16;
const depthMax = 6;

interface Partition {
  readonly store: RowStore;
  readonly depth: number;
}

export class HashAggregate implements Operator {
  readonly #set: AggregateSet;
  readonly #exprs: ExprList;
  readonly #table: KeyTable;
  readonly #hasher: KeyHasher;
  readonly #groupCount: number;
  readonly #account = new Account();
  readonly #out: Batch;
  readonly #runtime: Runtime;
  #keyColumns: Value[][] = [];
  #keyBytes = 0;
  #groups = new Int32Array(batchRowsMax);
  #rows = new Int32Array(batchRowsMax);
  #phase: "read" | "prepare" | "emit" | "end" = "read";
  #batch: Batch | undefined;
  #emitted = 0;
  /** Partitions this level writes to; set when memory ran out. */
  #spill: RowStore[] | undefined;
  readonly #waiting: Partition[] = [];
  #current: { readonly partition: Partition; readonly reader: RowStoreReader } | undefined;
  /** Partitions written in this execution, for tests and EXPLAIN. */
  spilledPartitions = 0;

  constructor(
    readonly input: Operator,
    readonly node: AggregateNode,
    scope: ExprScope,
  ) {
    this.#runtime = scope.runtime;
    this.#set = new AggregateSet(node.groups, node.aggregates, scope.runtime);
    this.#exprs = new ExprList(this.#set.exprs, scope);
    const types = node.groups.map(({ type }) => type.oid);
    this.#table = new KeyTable(types);
    this.#hasher = new KeyHasher(types);
    this.#groupCount = node.groups.length;
    this.#out = new Batch(node.columns.length);
  }
  open(context: ExecContext): void {
    this.#clear();
    this.#account.open(context.memory);
    this.input.open(context);
  }
  rescan(): void {
    this.#clear();
    this.#account.open(this.#runtime.context.memory);
    this.input.rescan();
  }
  #clear(): void {
    this.#forgetGroups();
    for (const { store } of this.#waiting) store.clear();
    for (const store of this.#spill ?? []) store.clear();
    this.#current?.partition.store.clear();
    this.#waiting.length = 0;
    this.#spill = undefined;
    this.#current = undefined;
    this.#phase = "read";
    this.#batch = undefined;
    this.#exprs.reset();
    this.spilledPartitions = 0;
  }
  #forgetGroups(): void {
    this.#table.clear();
    this.#set.reset();
    this.#keyColumns = this.node.groups.map(() => []);
    this.#keyBytes = 0;
    this.#account.release();
    this.#emitted = 0;
  }
  close(): void {
    this.#clear();
    this.input.close();
  }

  next(): Batch | undefined {
    for (;;) {
      switch (this.#phase) {
        case "read":
          this.#read();
          this.#phase = "prepare";
          break;
        case "prepare":
          this.#set.prepare();
          this.#phase = "emit";
          break;
        case "emit": {
          const count = this.#emit();
          if (count > 0) return this.#out;
          this.#phase = this.#nextPartition() ? "read" : "end";
          break;
        }
        case "end":
          return undefined;
      }
    }
  }

  #read(): void {
    for (;;) {
      this.#set.settle();
      this.#runtime.tick();
      if (this.#current !== undefined) {
        const batch = this.#current.reader.next();
        if (batch === undefined) break;
        this.#addBatch(batch.columns, batch.length);
      } else {
        const batch = (this.#batch ??= this.input.next());
        if (batch === undefined) break;
        const columns = this.#exprs.evaluate(batch.columns, batch.length);
        this.#batch = undefined;
        this.#addBatch(columns, batch.length);
      }
    }
  }

  #addBatch(columns: Value[][], length: number): void {
    if (this.#groups.length < length) {
      this.#groups = new Int32Array(length);
      this.#rows = new Int32Array(length);
    }
    const groups = this.#groups;
    const rows = this.#rows;
    const table = this.#table;
    let kept = 0;
    if (this.#spill === undefined) {
      let size = table.size;
      for (let row = 0; row < length; row++) {
        const group = table.intern(columns, row);
        groups[row] = group;
        if (group === size) {
          size++;
          for (let c = 0; c < this.#groupCount; c++) {
            const value = columns[c]![row]!;
            this.#keyColumns[c]!.push(value);
            this.#keyBytes += bytesOf(value);
          }
        }
      }
      this.#set.add(columns, undefined, groups, length);
    } else {
      const depth = this.#current?.partition.depth ?? 0;
      for (let row = 0; row < length; row++) {
        const group = table.find(columns, row);
        if (group >= 0) {
          groups[kept] = group;
          rows[kept++] = row;
        } else {
          const partition = this.#hasher.hash(columns, row, depth) % partitions;
          this.#spill[partition]!.appendRow(columns, row);
        }
      }
      if (kept > 0) this.#set.add(columns, rows, groups, kept);
    }
    this.#charge();
  }

  #charge(): void {
    const bytes = this.#table.bytes + this.#keyBytes + this.#set.bytes;
    if (bytes > this.#account.held) this.#account.take(bytes - this.#account.held);
    if (this.#spill !== undefined || !this.#account.full) return;
    const depth = this.#current?.partition.depth ?? 0;
    if (depth >= depthMax || this.#groupCount === 0) return;
    this.#spill = [];
    for (let p = 0; p < partitions; p++) {
      const store = new RowStore(this.#exprs.width, true);
      store.open(this.#runtime.context);
      this.#spill.push(store);
    }
  }

  #emit(): number {
    const count = Math.min(this.#table.size - this.#emitted, batchRowsMax);
    const { columns } = this.#out;
    for (let c = 0; c < this.#groupCount; c++) {
      const source = this.#keyColumns[c]!;
      const target = columns[c]!;
      for (let i = 0; i < count; i++) target[i] = source[this.#emitted + i]!;
    }
    const { accumulators } = this.#set;
    for (let a = 0; a < accumulators.length; a++) {
      const accumulator = accumulators[a]!;
      const target = columns[this.#groupCount + a]!;
      for (let i = 0; i < count; i++) target[i] = accumulator.final(this.#emitted + i);
    }
    this.#emitted += count;
    this.#out.length = count;
    return count;
  }

  #nextPartition(): boolean {
    const depth = this.#current?.partition.depth ?? 0;
    this.#current?.partition.store.clear();
    this.#current = undefined;
    for (const store of this.#spill ?? []) {
      if (store.rows === 0) {
        store.clear();
        continue;
      }
      store.finish();
      this.spilledPartitions++;
      this.#waiting.push({ store, depth: depth + 1 });
    }
    this.#spill = undefined;
    this.#forgetGroups();
    const partition = this.#waiting.pop();
    if (partition === undefined) return false;
    this.#current = { partition, reader: new RowStoreReader(partition.store) };
    return true;
  }
}

/** Over sorted input, or without groups: one group at a time. */
export class SortedAggregate implements Operator {
  readonly #set: AggregateSet;
  readonly #exprs: ExprList;
  readonly #equals: ((a: Value, b: Value) => boolean)[];
  readonly #account = new Account();
  readonly #out: Batch;
  readonly #runtime: Runtime;
  readonly #groupCount: number;
  readonly #key: Value[] = [];
  #groups = new Int32Array(batchRowsMax);
  #rows = new Int32Array(batchRowsMax);
  #columns: Value[][] | undefined;
  #length = 0;
  #row = 0;
  #batch: Batch | undefined;
  #inGroup = false;
  /** A group is complete and waits to be written out. */
  #closing = false;
  #inputEnded = false;
  #filled = 0;

  constructor(
    readonly input: Operator,
    readonly node: AggregateNode,
    scope: ExprScope,
  ) {
    this.#runtime = scope.runtime;
    this.#set = new AggregateSet(node.groups, node.aggregates, scope.runtime);
    this.#exprs = new ExprList(this.#set.exprs, scope);
    this.#equals = node.groups.map(({ type }) => groupEqualsOf(type.oid));
    this.#groupCount = node.groups.length;
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
    this.#account.open(this.#runtime.context.memory);
    this.#set.reset();
    this.#exprs.reset();
    this.#columns = undefined;
    this.#batch = undefined;
    this.#closing = false;
    this.#inputEnded = false;
    this.#filled = 0;
    // Without groups there is a row even over no input.
    this.#inGroup = this.#groupCount === 0;
  }
  close(): void {
    this.#set.reset();
    this.#account.release();
    this.input.close();
  }

  next(): Batch | undefined {
    while (this.#filled < batchRowsMax) {
      if (this.#closing) {
        this.#set.prepare();
        this.#writeGroup();
        continue;
      }
      if (this.#columns === undefined) {
        if (this.#inputEnded) break;
        this.#set.settle();
        this.#runtime.tick();
        const batch = (this.#batch ??= this.input.next());
        if (batch === undefined) {
          this.#inputEnded = true;
          this.#closing = this.#inGroup;
          continue;
        }
        this.#columns = this.#exprs.evaluate(batch.columns, batch.length);
        this.#length = batch.length;
        this.#row = 0;
        this.#batch = undefined;
      }
      this.#take(this.#columns);
    }
    if (this.#filled === 0) return undefined;
    this.#out.length = this.#filled;
    this.#filled = 0;
    return this.#out;
  }

  /** Steps the rows of the current group that the batch still holds. */
  #take(columns: Value[][]): void {
    if (this.#groups.length < this.#length) {
      this.#groups = new Int32Array(this.#length);
      this.#rows = new Int32Array(this.#length);
    }
    if (!this.#inGroup) {
      for (let c = 0; c < this.#groupCount; c++) this.#key[c] = columns[c]![this.#row]!;
      this.#inGroup = true;
    }
    let end = this.#row;
    if (this.#groupCount === 0) end = this.#length;
    else while (end < this.#length && this.#same(columns, end)) end++;
    const count = end - this.#row;
    if (count > 0) {
      if (count === this.#length) this.#set.add(columns, undefined, this.#groups, count);
      else {
        for (let i = 0; i < count; i++) this.#rows[i] = this.#row + i;
        this.#set.add(columns, this.#rows, this.#groups, count);
      }
      const bytes = this.#set.bytes;
      if (bytes > this.#account.held) this.#account.take(bytes - this.#account.held);
    }
    this.#row = end;
    if (end === this.#length) this.#columns = undefined;
    else this.#closing = true;
  }
  #same(columns: Value[][], row: number): boolean {
    for (let c = 0; c < this.#groupCount; c++) {
      if (!this.#equals[c]!(this.#key[c]!, columns[c]![row]!)) return false;
    }
    return true;
  }
  #writeGroup(): void {
    const { columns } = this.#out;
    for (let c = 0; c < this.#groupCount; c++) columns[c]![this.#filled] = this.#key[c]!;
    const { accumulators } = this.#set;
    for (let a = 0; a < accumulators.length; a++) {
      columns[this.#groupCount + a]![this.#filled] = accumulators[a]!.final(0);
    }
    this.#filled++;
    this.#set.reset();
    this.#account.release();
    this.#inGroup = false;
    this.#closing = false;
  }
}
