/**
 * Sorting: columns stay as they came, a permutation of row numbers is sorted.
 *
 * Rows are sorted in segments as they arrive, so that no single step holds the loop for long; beyond the budget the
 * segments are merged into a run on disk. The end is one merge over segments and runs, batch by batch.
 *
 * Invariants: output is ordered by all keys; equal rows keep no promised order. Memory held is the rows since the last
 * run, then one chunk per run.
 */
import { Batch, batchRowsMax } from "../model/batch.js";
import type { Value } from "../model/value.js";
import type { Expr, SortKey } from "../sql/expr.js";
import type { ExecContext, Operator } from "./contract.js";
import { compileExpr, type Evaluate, ExprList, type ExprScope, noColumns } from "./expression.js";
import { Account } from "./memory.js";
import { Limit, rowCount } from "./pipeline.js";
import type { Runtime } from "./runtime.js";
import { bytesOfRows, RowStore, RowStoreReader } from "./spill.js";
import { type Comparator, comparatorOf, isOrderedNumberType } from "./values.js";

/** Rows sorted in one step: a few milliseconds with the slowest comparison, or by digits. */
const segmentRows = 1024;
const digitSegmentRows = 65_536;

/** Where the keys stand among the stored columns, and how they compare. */
interface KeyColumn {
  readonly column: number;
  readonly compare: Comparator;
  readonly numeric: boolean;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

/** An ordered source of rows for the merge. */
interface Source {
  columns: Value[][];
  row: number;
  advance(): boolean;
}

class SegmentSource implements Source {
  #at = 0;
  row: number;
  constructor(
    readonly columns: Value[][],
    readonly order: Int32Array,
  ) {
    this.row = order[0]!;
  }
  advance(): boolean {
    if (++this.#at >= this.order.length) return false;
    this.row = this.order[this.#at]!;
    return true;
  }
  /** The next rows, column by column; fewer than `max` at the end. */
  fill(into: readonly Value[][], max: number): number {
    const { order } = this;
    const from = this.#at;
    const count = Math.min(max, order.length - from);
    for (let c = 0; c < into.length; c++) {
      const source = this.columns[c]!;
      const target = into[c]!;
      for (let i = 0; i < count; i++) target[i] = source[order[from + i]!]!;
    }
    this.#at += count;
    if (this.#at < order.length) this.row = order[this.#at]!;
    return count;
  }
}

class RunSource implements Source {
  columns: Value[][] = [];
  row = -1;
  #length = 0;
  readonly #reader: RowStoreReader;
  constructor(readonly store: RowStore) {
    this.#reader = new RowStoreReader(store);
  }
  advance(): boolean {
    if (++this.row < this.#length) return true;
    const batch = this.#reader.next();
    if (batch === undefined) return false;
    this.columns = batch.columns;
    this.#length = batch.length;
    this.row = 0;
    return true;
  }
}

/** A binary heap of sources, least row first. */
class Merge {
  readonly #heap: Source[] = [];
  constructor(
    sources: readonly Source[],
    readonly keys: readonly KeyColumn[],
  ) {
    for (const source of sources) {
      this.#heap.push(source);
      let at = this.#heap.length - 1;
      while (at > 0) {
        const parent = (at - 1) >> 1;
        if (this.#compare(this.#heap[at]!, this.#heap[parent]!) >= 0) break;
        this.#swap(at, parent);
        at = parent;
      }
    }
  }
  /** Fills the columns with up to `max` rows; 0 at the end. */
  fill(into: readonly Value[][], max: number): number {
    const heap = this.#heap;
    let count = 0;
    if (heap.length === 1 && heap[0] instanceof SegmentSource) {
      count = heap[0].fill(into, max);
      if (count < max) heap.length = 0;
      return count;
    }
    while (count < max && heap.length > 0) {
      const top = heap[0]!;
      for (let c = 0; c < into.length; c++) into[c]![count] = top.columns[c]![top.row]!;
      count++;
      if (!top.advance()) {
        const last = heap.pop()!;
        if (heap.length > 0) heap[0] = last;
      }
      if (heap.length > 1) this.#sink();
    }
    return count;
  }
  #sink(): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) return;
      if (child + 1 < heap.length && this.#compare(heap[child + 1]!, heap[child]!) < 0) child++;
      if (this.#compare(heap[at]!, heap[child]!) <= 0) return;
      this.#swap(at, child);
      at = child;
    }
  }
  #swap(a: number, b: number): void {
    const heap = this.#heap;
    const kept = heap[a]!;
    heap[a] = heap[b]!;
    heap[b] = kept;
  }
  #compare(a: Source, b: Source): number {
    for (const key of this.keys) {
      const verdict = key.compare(a.columns[key.column]![a.row]!, b.columns[key.column]![b.row]!);
      if (verdict !== 0) return verdict;
    }
    return 0;
  }
}

/** Sorts row numbers [from, to) of the columns. */
function sortRows(
  columns: readonly Value[][],
  keys: readonly KeyColumn[],
  from: number,
  to: number,
): Int32Array {
  const first = keys[0];
  if (first?.numeric && to - from > 64) {
    const order = sortByDigits(columns[first.column]!, first, from, to);
    if (order !== undefined) {
      if (keys.length > 1) sortRuns(order, columns, keys);
      return order;
    }
  }
  const order = new Int32Array(to - from);
  for (let i = 0; i < order.length; i++) order[i] = from + i;
  if (keys.length === 1) {
    const { column, compare } = first!;
    const values = columns[column]!;
    return order.sort((a, b) => compare(values[a]!, values[b]!));
  }
  return sortFrom(order, columns, keys, 0);
}

/** By the keys from number `skip` on. */
function sortFrom(
  order: Int32Array,
  columns: readonly Value[][],
  keys: readonly KeyColumn[],
  skip: number,
): Int32Array {
  return order.sort((a, b) => {
    for (let k = skip; k < keys.length; k++) {
      const key = keys[k]!;
      const values = columns[key.column]!;
      const verdict = key.compare(values[a]!, values[b]!);
      if (verdict !== 0) return verdict;
    }
    return 0;
  });
}

/** Rows in order of the first key: each run of equal ones is put in order of the rest. */
function sortRuns(order: Int32Array, columns: readonly Value[][], keys: readonly KeyColumn[]): void {
  const values = columns[keys[0]!.column]!;
  let start = 0;
  for (let i = 1; i <= order.length; i++) {
    if (i < order.length && values[order[i]!] === values[order[start]!]) continue;
    if (i - start > 1) sortFrom(order.subarray(start, i), columns, keys, 1);
    start = i;
  }
}

const digitBits = 11;
const digits = 1 << digitBits;
const counts = new Uint32Array(digits);

/**
 * Row numbers in order of a numeric key, least digit first (radix sort), NULLs where the key wants them. Undefined when a
 * value is a bigint: then the comparison sorts. 32-bit integers take three passes, other numbers six.
 */
function sortByDigits(
  values: readonly Value[],
  key: KeyColumn,
  from: number,
  to: number,
): Int32Array | undefined {
  const order = new Int32Array(to - from);
  const numbers = new Float64Array(to - from);
  let count = 0;
  let nulls = 0;
  let small = true;
  for (let row = from; row < to; row++) {
    const value = values[row]!;
    if (value === null) {
      nulls++;
      continue;
    }
    if (typeof value !== "number") return undefined;
    if ((value | 0) !== value) small = false;
    order[count] = row;
    numbers[count++] = value + 0;
  }
  const flip = key.descending ? 0xffffffff : 0;
  let low = new Uint32Array(count);
  let high = new Uint32Array(small ? 0 : count);
  if (small) for (let i = 0; i < count; i++) low[i] = (numbers[i]! ^ 0x80000000 ^ flip) >>> 0;
  else {
    // The bits of a double order as an unsigned integer once negatives are inverted and the others' sign is set.
    const words = new Uint32Array(numbers.buffer);
    for (let i = 0; i < count; i++) {
      const upper = words[2 * i + 1]!;
      const negative = upper >>> 31 === 1;
      high[i] = ((negative ? ~upper : upper | 0x80000000) ^ flip) >>> 0;
      low[i] = ((negative ? ~words[2 * i]! : words[2 * i]!) ^ flip) >>> 0;
    }
  }
  let rows = order.subarray(0, count);
  let nextRows = new Int32Array(count);
  let nextLow = new Uint32Array(count);
  let nextHigh = new Uint32Array(high.length);
  const passes = small ? 3 : 6;
  for (let pass = 0; pass < passes; pass++) {
    const source = pass < 3 ? low : high;
    const shift = (pass % 3) * digitBits;
    counts.fill(0);
    for (let i = 0; i < count; i++) counts[(source[i]! >>> shift) & (digits - 1)]!++;
    if (count > 0 && counts[(source[0]! >>> shift) & (digits - 1)] === count) continue;
    let sum = 0;
    for (let digit = 0; digit < digits; digit++) {
      const here = counts[digit]!;
      counts[digit] = sum;
      sum += here;
    }
    for (let i = 0; i < count; i++) {
      const place = counts[(source[i]! >>> shift) & (digits - 1)]!++;
      nextRows[place] = rows[i]!;
      nextLow[place] = low[i]!;
      if (!small) nextHigh[place] = high[i]!;
    }
    [rows, nextRows] = [nextRows, rows];
    [low, nextLow] = [nextLow, low];
    [high, nextHigh] = [nextHigh, high];
  }
  const sorted = new Int32Array(to - from);
  let nullAt = key.nullsFirst ? 0 : count;
  sorted.set(rows, key.nullsFirst ? nulls : 0);
  if (nulls > 0) for (let row = from; row < to; row++) if (values[row] === null) sorted[nullAt++] = row;
  return sorted;
}

/**
 * The sorting machine of `Sort` and of aggregates with ORDER BY: rows of `width` columns in, the same rows out in order.
 */
export class Sorter {
  readonly #account = new Account();
  #columns: Value[][];
  #rows = 0;
  #sorted = 0;
  #segments: Int32Array[] = [];
  #runs: RowStore[] = [];
  #context: ExecContext | undefined;
  #merge: Merge | undefined;
  /** A run being written: the merge of the segments that fill memory. */
  #flush: { readonly merge: Merge; readonly run: RowStore } | undefined;
  readonly #buffer: Batch;
  readonly #segmentRows: number;

  constructor(
    readonly width: number,
    readonly keys: readonly KeyColumn[],
    readonly runtime: Runtime,
  ) {
    this.#columns = emptyColumns(width);
    this.#buffer = new Batch(width);
    this.#segmentRows = keys.length === 1 && keys[0]!.numeric ? digitSegmentRows : segmentRows;
  }
  open(context: ExecContext): void {
    this.clear();
    this.#context = context;
    this.#account.open(context.memory);
  }
  /** Takes rows. `mustFlush` afterwards says that `flushStep` has work before more may come. */
  add(columns: readonly Value[][], length: number): void {
    for (let c = 0; c < this.width; c++) {
      const source = columns[c]!;
      const target = this.#columns[c]!;
      for (let row = 0; row < length; row++) target.push(source[row]!);
    }
    this.#rows += length;
    this.#account.take(bytesOfRows(columns.slice(0, this.width), 0, length) + 4 * length);
  }
  /** Sorts full segments, writes a run when memory is short. Throws Wait; call again until it returns. */
  settle(): void {
    while (this.#rows - this.#sorted >= this.#segmentRows) {
      this.#sortSegment(this.#sorted + this.#segmentRows);
      this.runtime.tickLong();
    }
    if (this.#flush === undefined && !this.#account.full) return;
    this.#flushAll();
  }
  #sortSegment(to: number): void {
    this.#segments.push(sortRows(this.#columns, this.keys, this.#sorted, to));
    this.#sorted = to;
  }
  #flushAll(): void {
    if (this.#flush === undefined) {
      if (this.#rows > this.#sorted) this.#sortSegment(this.#rows);
      const run = new RowStore(this.width, true);
      run.open(this.#context!);
      this.#runs.push(run);
      this.#flush = { merge: new Merge(this.#segmentSources(), this.keys), run };
    }
    const { merge, run } = this.#flush;
    for (;;) {
      const count = merge.fill(this.#buffer.columns, batchRowsMax);
      if (count === 0) break;
      run.append(this.#buffer.columns, count);
      this.runtime.tickLong();
    }
    run.finish();
    this.#flush = undefined;
    this.#forgetRows();
  }
  #segmentSources(): Source[] {
    return this.#segments.map((order) => new SegmentSource(this.#columns, order));
  }
  #forgetRows(): void {
    this.#columns = emptyColumns(this.width);
    this.#segments = [];
    this.#rows = 0;
    this.#sorted = 0;
    this.#account.release();
  }
  /** No more rows come: prepares reading. */
  finish(): void {
    if (this.#rows > this.#sorted) this.#sortSegment(this.#rows);
    this.rewind();
  }
  rewind(): void {
    const sources = this.#segmentSources();
    for (const run of this.#runs) {
      const source = new RunSource(run);
      if (source.advance()) sources.push(source);
    }
    this.#merge = new Merge(sources, this.keys);
  }
  fill(into: readonly Value[][], max: number): number {
    return this.#merge!.fill(into, max);
  }
  get runCount(): number {
    return this.#runs.length;
  }
  clear(): void {
    this.#merge = undefined;
    this.#flush = undefined;
    this.#forgetRows();
    for (const run of this.#runs) run.clear();
    this.#runs = [];
  }
}

function emptyColumns(width: number): Value[][] {
  const columns: Value[][] = [];
  for (let c = 0; c < width; c++) columns.push([]);
  return columns;
}

/**
 * Key columns over rows of `width`: a key that is a plain slot is sorted where it stands, others are computed into
 * columns after the row.
 */
export function keyColumns(
  keys: readonly SortKey[],
  width: number,
): { readonly columns: KeyColumn[]; readonly computed: Expr[] } {
  const computed: Expr[] = [];
  const columns = keys.map((key) => {
    const column = key.expr.kind === "slot" ? key.expr.slot : width + computed.push(key.expr) - 1;
    return {
      column,
      compare: comparatorOf(key),
      numeric: isOrderedNumberType(key.expr.type.oid),
      descending: key.descending,
      nullsFirst: key.nullsFirst,
    };
  });
  return { columns, computed };
}

/** Input columns followed by computed keys, without copying. */
class KeyedInput {
  readonly #exprs: ExprList | undefined;
  readonly #joined: Value[][] = [];
  constructor(
    readonly width: number,
    computed: readonly Expr[],
    scope: ExprScope,
  ) {
    this.#exprs = computed.length === 0 ? undefined : new ExprList(computed, scope);
  }
  reset(): void {
    this.#exprs?.reset();
  }
  columns(batch: Batch): Value[][] {
    if (this.#exprs === undefined) return batch.columns;
    const keys = this.#exprs.evaluate(batch.columns, batch.length);
    for (let c = 0; c < this.width; c++) this.#joined[c] = batch.columns[c]!;
    for (let k = 0; k < keys.length; k++) this.#joined[this.width + k] = keys[k]!;
    return this.#joined;
  }
}

export class Sort implements Operator {
  readonly #sorter: Sorter;
  readonly #keyed: KeyedInput;
  readonly #out: Batch;
  #sorted = false;
  #settled = true;
  #batch: Batch | undefined;
  constructor(
    readonly input: Operator,
    keys: readonly SortKey[],
    width: number,
    readonly stable: boolean,
    readonly scope: ExprScope,
  ) {
    const { columns, computed } = keyColumns(keys, width);
    this.#keyed = new KeyedInput(width, computed, scope);
    this.#sorter = new Sorter(width + computed.length, columns, scope.runtime);
    this.#out = new Batch(width);
  }
  get runCount(): number {
    return this.#sorter.runCount;
  }
  open(context: ExecContext): void {
    this.#reset(context);
    this.input.open(context);
  }
  #reset(context: ExecContext): void {
    this.#sorted = false;
    this.#settled = true;
    this.#batch = undefined;
    this.#keyed.reset();
    this.#sorter.open(context);
  }
  rescan(): void {
    if (this.stable && this.#sorted) {
      this.#sorter.rewind();
      return;
    }
    this.#reset(this.scope.runtime.context);
    this.input.rescan();
  }
  next(): Batch | undefined {
    if (!this.#sorted) {
      for (;;) {
        if (!this.#settled) {
          this.#sorter.settle();
          this.#settled = true;
        }
        this.scope.runtime.tick();
        const batch = (this.#batch ??= this.input.next());
        if (batch === undefined) break;
        this.#sorter.add(this.#keyed.columns(batch), batch.length);
        this.#batch = undefined;
        this.#settled = false;
      }
      this.#sorter.finish();
      this.#sorted = true;
    }
    this.scope.runtime.tickLong();
    const count = this.#sorter.fill(this.#out.columns, batchRowsMax);
    if (count === 0) return undefined;
    this.#out.length = count;
    return this.#out;
  }
  close(): void {
    this.#sorter.clear();
    this.input.close();
  }
}

/** Above this many rows a full sort, which can spill, does the work. */
const topRowsMax = 8192;

/**
 * The first rows in order: a buffer a few times as large as what is asked is sorted and cut whenever it is full, and rows
 * that cannot come in are dropped on sight.
 */
export class TopN implements Operator {
  readonly #limit: Evaluate;
  readonly #offset: Evaluate | undefined;
  readonly #keys: readonly KeyColumn[];
  readonly #keyed: KeyedInput;
  readonly #account = new Account();
  readonly #out: Batch;
  /** For more rows than fit here: a sort that can spill, and a plain limit over it. */
  readonly #limited: Limit;
  #columns: Value[][];
  #rows = 0;
  /** Rows to keep, and how many of them come before the first given. */
  #wanted = 0;
  #skip = 0;
  #order: Int32Array | undefined;
  #emitted = 0;
  /** The `wanted`th row at the last cut stands at this place; rows not below it are dropped. */
  #threshold = -1;
  #started = false;
  #useFull = false;
  #batch: Batch | undefined;
  readonly #width: number;
  constructor(
    readonly input: Operator,
    keys: readonly SortKey[],
    limit: Expr,
    offset: Expr | undefined,
    width: number,
    stable: boolean,
    readonly scope: ExprScope,
  ) {
    const { columns, computed } = keyColumns(keys, width);
    this.#keys = columns;
    this.#keyed = new KeyedInput(width, computed, scope);
    this.#width = width + computed.length;
    this.#columns = emptyColumns(this.#width);
    this.#limit = compileExpr(limit, scope);
    this.#offset = offset === undefined ? undefined : compileExpr(offset, scope);
    this.#out = new Batch(width);
    this.#limited = new Limit(new Sort(input, keys, width, stable, scope), { limit, offset }, width, scope);
  }
  open(context: ExecContext): void {
    this.#reset(context);
    this.#limited.open(context);
  }
  #reset(context: ExecContext): void {
    this.#account.open(context.memory);
    this.#columns = emptyColumns(this.#width);
    this.#rows = 0;
    this.#order = undefined;
    this.#emitted = 0;
    this.#threshold = -1;
    this.#started = false;
    this.#batch = undefined;
    this.#keyed.reset();
  }
  rescan(): void {
    this.#reset(this.scope.runtime.context);
    this.#limited.rescan();
  }
  next(): Batch | undefined {
    if (!this.#started) {
      this.#skip = this.#offset === undefined ? 0 : rowCount(this.#offset(noColumns, 0), "OFFSET");
      this.#wanted = rowCount(this.#limit(noColumns, 0), "LIMIT") + this.#skip;
      this.#emitted = Math.min(this.#skip, topRowsMax);
      this.#useFull = this.#wanted > topRowsMax;
      this.#started = true;
    }
    if (this.#wanted === this.#skip) return undefined;
    if (this.#useFull) return this.#limited.next();
    while (this.#order === undefined) {
      this.scope.runtime.tick();
      const batch = (this.#batch ??= this.input.next());
      if (batch === undefined) {
        this.#order = this.#cut();
        break;
      }
      this.#add(this.#keyed.columns(batch), batch.length);
      this.#batch = undefined;
    }
    const order = this.#order;
    if (this.#emitted >= order.length) return undefined;
    const count = Math.min(order.length - this.#emitted, batchRowsMax);
    for (let c = 0; c < this.#out.width; c++) {
      const source = this.#columns[c]!;
      const target = this.#out.columns[c]!;
      for (let i = 0; i < count; i++) target[i] = source[order[this.#emitted + i]!]!;
    }
    this.#emitted += count;
    this.#out.length = count;
    return this.#out;
  }
  #add(columns: Value[][], length: number): void {
    const full = Math.max(4 * this.#wanted, 1024);
    for (let row = 0; row < length; row++) {
      if (this.#threshold >= 0 && !this.#below(columns, row)) continue;
      for (let c = 0; c < this.#width; c++) this.#columns[c]!.push(columns[c]![row]!);
      this.#account.take(bytesOfRows(columns, row, 1));
      this.#rows++;
      if (this.#rows >= full) this.#compact();
    }
  }
  #below(columns: Value[][], row: number): boolean {
    for (const key of this.#keys) {
      const kept = this.#columns[key.column]![this.#threshold]!;
      const verdict = key.compare(columns[key.column]![row]!, kept);
      if (verdict !== 0) return verdict < 0;
    }
    return false;
  }
  #cut(): Int32Array {
    const order = sortRows(this.#columns, this.#keys, 0, this.#rows);
    return order.length > this.#wanted ? order.subarray(0, this.#wanted) : order;
  }
  #compact(): void {
    const order = this.#cut();
    this.#columns = this.#columns.map((column) => Array.from(order, (row) => column[row]!));
    this.#rows = order.length;
    this.#threshold = order.length === this.#wanted ? this.#wanted - 1 : -1;
    this.#account.release();
    this.#account.take(bytesOfRows(this.#columns, 0, this.#rows));
  }
  close(): void {
    this.#account.release();
    this.#limited.close();
  }
}
