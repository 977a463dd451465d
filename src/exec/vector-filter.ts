/**
 * Conditions as kernels: the parts of a filter that compare a column with a constant or another column, test it for
 * NULL, or join such tests by AND and OR. What has no kernel is left to the row predicate.
 *
 * A test takes rows away from a bitmap until those are left for which it is true; NULL is not true. Every comparison of
 * an integer-like column becomes a range: bounds of one column are cut to one range when the scan starts.
 *
 * Invariants: constants are read once per execution; a test changes nothing but the bitmap it is given and the deeper
 * ones of the engine.
 */
import { assert } from "../base/errors.js";
import { StorageKind, storageClassOf } from "../model/codec-column.js";
import type { TypeRef } from "../model/schema.js";
import { type Numeric, PgArray, type Value } from "../model/value.js";
import type { Expr } from "../sql/expr.js";
import { type Kernels, orderBits } from "../wasm/index.js";
import { compileExpr, type Evaluate, type ExprScope, mayWait, noColumns, visit } from "./expression.js";
import { bitmapBytes, bitmapDepth, type VectorEngine } from "./vector-memory.js";

/** Columns of the rows at hand, by slot of the scan: what tests and accumulators read. */
export interface ColumnView {
  readonly addresses: readonly number[];
  /** Null bits, 0 where the rows at hand have no NULL. */
  readonly nulls: readonly number[];
  /** Base of text offsets, and how they are shifted. */
  readonly page: number;
  readonly shift: number;
  readonly rows: number;
}

export interface VectorTest {
  /** Slots it reads. */
  readonly slots: readonly number[];
  /** Reads its constants. Throws what their evaluation throws; false: no row can pass. */
  prepare(engine: VectorEngine): boolean;
  apply(view: ColumnView, bitmap: number, depth: number): void;
  /** Gives back what `prepare` took. */
  release(): void;
}

/** Constants longer than this are compared row by row. */
const keyBytesMax = 16_384;
const anyOfMax = 16;

type Operator = "=" | "<>" | "<" | "<=" | ">" | ">=";
const operators: ReadonlySet<string> = new Set(["=", "<>", "<", "<=", ">", ">="]);
const flipped: Record<Operator, Operator> = {
  "=": "=",
  "<>": "<>",
  "<": ">",
  "<=": ">=",
  ">": "<",
  ">=": "<=",
};
const opposite: Record<Operator, Operator> = {
  "=": "<>",
  "<>": "=",
  "<": ">=",
  "<=": ">",
  ">": "<=",
  ">=": "<",
};
const allowedBits: Record<Operator, number> = {
  "=": orderBits.equal,
  "<>": orderBits.less | orderBits.greater,
  "<": orderBits.less,
  "<=": orderBits.less | orderBits.equal,
  ">": orderBits.greater,
  ">=": orderBits.greater | orderBits.equal,
};

/** How a column is compared: by its storage, within a family of types whose values compare as they stand. */
export interface ComparedAs {
  readonly form: "integer" | "float" | "text" | "bool";
  readonly family: string;
  readonly kind: number;
  readonly scale: number;
}

export function comparedAs(type: TypeRef): ComparedAs | undefined {
  const { kind, scale } = storageClassOf(type);
  switch (kind) {
    case StorageKind.int2:
    case StorageKind.int4:
    case StorageKind.int8:
      return { form: "integer", family: "integer", kind, scale };
    case StorageKind.numeric:
      return { form: "integer", family: "numeric", kind, scale };
    case StorageKind.date:
    case StorageKind.time:
    case StorageKind.timestamp:
      return { form: "integer", family: String(type.oid), kind, scale };
    case StorageKind.float4:
    case StorageKind.float8:
      return { form: "float", family: "float", kind, scale };
    case StorageKind.bool:
      return { form: "bool", family: "bool", kind, scale };
    case StorageKind.text:
      return isText(type.oid) ? { form: "text", family: "text", kind, scale } : undefined;
    default:
      return undefined;
  }
}

/** Text in byte order with no padding: bpchar and JSON compare otherwise. */
export function isText(oid: number): boolean {
  return oid === 25 || oid === 1043;
}

function familyOf(type: TypeRef): string | undefined {
  if (type.oid === 1700) return "numeric";
  return comparedAs(type)?.family;
}

export function stripRelabel(expr: Expr): Expr {
  return expr.kind === "relabel" ? stripRelabel(expr.arg) : expr;
}

/** The slot of a plain column, and its type as stored; a relabelled one is its storage's type. */
export function slotOf(expr: Expr): { readonly slot: number; readonly type: TypeRef } | undefined {
  const inner = stripRelabel(expr);
  return inner.kind === "slot" ? inner : undefined;
}

/** Reads no column, and gives the same value throughout an execution without waiting. */
export function isFixed(expr: Expr): boolean {
  if (mayWait(expr)) return false;
  let fixed = true;
  visit(expr, (inner) => {
    if (inner.kind === "slot" || inner.kind === "column" || inner.kind === "subplan") fixed = false;
  });
  return fixed;
}

/** A bigint as the two halves that kernels take. */
export function lowHalf(value: bigint): number {
  return Number(BigInt.asUintN(32, value)) | 0;
}
export function highHalf(value: bigint): number {
  return Number(BigInt.asIntN(32, value >> 32n));
}

const lowest = -(2n ** 63n);
const highest = 2n ** 63n - 1n;
/** Where NaN stands among scaled numerics: above all. */
const aboveAll = 2n ** 63n;

/** The range of an integer-like column that its comparisons leave. Bounds are inclusive. */
export class IntegerRange {
  low: bigint;
  high: bigint;
  negate = false;
  readonly #numeric: boolean;

  constructor(readonly as: ComparedAs) {
    this.#numeric = as.kind === StorageKind.numeric;
    this.low = this.#numeric ? lowest + 1n : lowest;
    this.high = this.#numeric ? aboveAll : highest;
  }
  #atLeast(value: bigint): void {
    if (value > this.low) this.low = value;
  }
  #atMost(value: bigint): void {
    if (value < this.high) this.high = value;
  }
  #none(): void {
    this.low = 1n;
    this.high = 0n;
  }

  /** Cuts the range; `<>` must be the only comparison. */
  add(operator: Operator, value: Value): void {
    if (value === null) {
      this.#none();
      return;
    }
    let stored: bigint;
    let exact = true;
    if (this.#numeric) {
      const { special, coefficient, scale } = value as Numeric;
      if (special === "NaN") stored = aboveAll;
      else if (special !== "") {
        // Between the numbers and NaN, or below all; equal to nothing stored.
        exact = false;
        stored = special === "Infinity" ? highest : lowest;
      } else if (scale <= this.as.scale) {
        stored = BigInt(coefficient) * 10n ** BigInt(this.as.scale - scale);
        if (stored > highest || stored <= lowest) {
          exact = false;
          stored = stored > 0n ? highest : lowest;
        }
      } else {
        const divisor = 10n ** BigInt(scale - this.as.scale);
        const whole = BigInt(coefficient);
        stored = whole / divisor;
        if (stored * divisor > whole) stored--;
        exact = stored * divisor === whole;
        if (stored > highest || stored < lowest) {
          exact = false;
          stored = stored > 0n ? highest : lowest;
        }
      }
    } else stored = this.#stored(value as number | bigint);
    switch (operator) {
      case "=":
        if (!exact) this.#none();
        else {
          this.#atLeast(stored);
          this.#atMost(stored);
        }
        return;
      case "<>":
        this.negate = true;
        if (exact) {
          this.low = stored === aboveAll ? lowest : stored;
          this.high = this.low;
        } else this.#none();
        return;
      case "<":
        this.#atMost(exact ? stored - 1n : stored);
        return;
      case "<=":
        this.#atMost(stored);
        return;
      case ">":
        this.#atLeast(stored + 1n);
        return;
      case ">=":
        this.#atLeast(exact ? stored : stored + 1n);
    }
  }
  #stored(value: number | bigint): bigint {
    if (value === Number.POSITIVE_INFINITY) return this.as.kind === StorageKind.date ? 2147483647n : highest;
    if (value === Number.NEGATIVE_INFINITY) return this.as.kind === StorageKind.date ? -2147483648n : lowest;
    return BigInt(value);
  }

  /** The range as kernels take it; called once all comparisons are in. */
  finish(): {
    readonly low: bigint;
    readonly high: bigint;
    readonly negate: boolean;
    readonly none: boolean;
  } {
    let { low, high, negate } = this;
    if (!negate && low > high) return { low: 1n, high: 0n, negate, none: true };
    if (this.#numeric && !negate && high === aboveAll) {
      // NaN, stored as the lowest number, is in: everything but what lies below.
      if (low === lowest + 1n) return { low: 1n, high: 0n, negate: true, none: false };
      return { low: lowest + 1n, high: low - 1n, negate: true, none: false };
    }
    if (high > highest) high = highest;
    if (
      this.as.kind === StorageKind.int2 ||
      this.as.kind === StorageKind.int4 ||
      this.as.kind === StorageKind.date
    ) {
      if (low < -2147483648n) low = -2147483648n;
      if (high > 2147483647n) high = 2147483647n;
    }
    if (low > high) {
      low = 1n;
      high = 0n;
    }
    return { low, high, negate, none: low > high && !negate };
  }
}

/** A range bound to its kernel. */
export class RangeKernel {
  #lowLow = 0;
  #lowHigh = 0;
  #highLow = 0;
  #highHigh = 0;
  #negate = 0;
  constructor(readonly kind: number) {}
  /** False: no row can pass. */
  set(range: IntegerRange): boolean {
    const { low, high, negate, none } = range.finish();
    this.#lowLow = lowHalf(low);
    this.#lowHigh = highHalf(low);
    this.#highLow = lowHalf(high);
    this.#highHigh = highHalf(high);
    this.#negate = negate ? 1 : 0;
    return !none;
  }
  apply(kernels: Kernels, values: number, rows: number, bitmap: number): void {
    switch (this.kind) {
      case StorageKind.int2:
        kernels.rangeI16(values, rows, this.#lowLow, this.#highLow, this.#negate, bitmap);
        return;
      case StorageKind.int4:
      case StorageKind.date:
        kernels.rangeI32(values, rows, this.#lowLow, this.#highLow, this.#negate, bitmap);
        return;
      default:
        kernels.rangeI64(
          values,
          rows,
          this.#lowLow,
          this.#lowHigh,
          this.#highLow,
          this.#highHigh,
          this.#negate,
          bitmap,
        );
    }
  }
}

/** Comparisons of one integer-like column with constants, as one range. */
class RangeTest implements VectorTest {
  readonly slots: readonly number[];
  readonly #kernel: RangeKernel;
  #kernels!: Kernels;
  constructor(
    readonly slot: number,
    readonly as: ComparedAs,
    readonly bounds: { readonly operator: Operator; readonly value: Evaluate }[],
  ) {
    this.slots = [slot];
    this.#kernel = new RangeKernel(as.kind);
  }
  prepare(engine: VectorEngine): boolean {
    this.#kernels = engine.kernels;
    const range = new IntegerRange(this.as);
    for (const { operator, value } of this.bounds) {
      const bound = value(noColumns, 0);
      if (bound === null) return false;
      range.add(operator, bound);
    }
    return this.#kernel.set(range);
  }
  apply(view: ColumnView, bitmap: number): void {
    const nulls = view.nulls[this.slot]!;
    this.#kernel.apply(this.#kernels, view.addresses[this.slot]!, view.rows, bitmap);
    if (nulls !== 0) this.#kernels.bitmapAndNot(bitmap, nulls, view.rows);
  }
  release(): void {}
}

/** Bounds of `rangeF64`: inclusive, or everything but them. NaN is the greatest value. */
export class FloatKernel {
  #low = 0;
  #high = 0;
  #nan = 0;
  #negate = 0;
  constructor(readonly kind: number) {}
  set(operator: Operator, value: number): boolean {
    const infinity = Number.POSITIVE_INFINITY;
    const notNumber = Number.isNaN(value);
    const set = (low: number, high: number, nan: boolean, negate: boolean): void => {
      this.#low = low;
      this.#high = high;
      this.#nan = nan ? 1 : 0;
      this.#negate = negate ? 1 : 0;
    };
    switch (operator) {
      case "=":
      case "<>":
        if (notNumber) set(infinity, -infinity, true, operator === "<>");
        else set(value, value, false, operator === "<>");
        return true;
      case "<":
      case ">=":
        if (notNumber) set(infinity, -infinity, true, operator === "<");
        else set(value, infinity, true, operator === "<");
        return true;
      case "<=":
      case ">":
        if (notNumber) set(-infinity, infinity, true, operator === ">");
        else set(-infinity, value, false, operator === ">");
        return !(notNumber && operator === ">");
    }
  }
  apply(kernels: Kernels, values: number, rows: number, bitmap: number): void {
    if (this.kind === StorageKind.float8)
      kernels.rangeF64(values, rows, this.#low, this.#high, this.#nan, this.#negate, bitmap);
    else kernels.rangeF32(values, rows, this.#low, this.#high, this.#nan, this.#negate, bitmap);
  }
}

class FloatTest implements VectorTest {
  readonly slots: readonly number[];
  readonly #kernel: FloatKernel;
  #kernels!: Kernels;
  constructor(
    readonly slot: number,
    kind: number,
    readonly operator: Operator,
    readonly value: Evaluate,
  ) {
    this.slots = [slot];
    this.#kernel = new FloatKernel(kind);
  }
  prepare(engine: VectorEngine): boolean {
    this.#kernels = engine.kernels;
    const bound = this.value(noColumns, 0);
    return bound !== null && this.#kernel.set(this.operator, bound as number);
  }
  apply(view: ColumnView, bitmap: number): void {
    const nulls = view.nulls[this.slot]!;
    this.#kernel.apply(this.#kernels, view.addresses[this.slot]!, view.rows, bitmap);
    if (nulls !== 0) this.#kernels.bitmapAndNot(bitmap, nulls, view.rows);
  }
  release(): void {}
}

/** A bool column that must be true (or false, or compare so with a constant). */
class BoolTest implements VectorTest {
  readonly slots: readonly number[];
  #low = 0;
  #high = 0;
  #kernels!: Kernels;
  constructor(
    readonly slot: number,
    readonly operator: Operator,
    readonly value: Evaluate,
  ) {
    this.slots = [slot];
  }
  prepare(engine: VectorEngine): boolean {
    this.#kernels = engine.kernels;
    const bound = this.value(noColumns, 0);
    if (bound === null) return false;
    const allowed = allowedBits[this.operator];
    // Which of false and true compare so with the constant: one, both or none, next to each other.
    const passes = (is: boolean): boolean =>
      (allowed & (is === bound ? orderBits.equal : is ? orderBits.greater : orderBits.less)) !== 0;
    this.#low = passes(false) ? 0 : 1;
    this.#high = passes(true) ? 1 : 0;
    return this.#low <= this.#high;
  }
  apply(view: ColumnView, bitmap: number): void {
    const nulls = view.nulls[this.slot]!;
    this.#kernels.rangeU8(view.addresses[this.slot]!, view.rows, this.#low, this.#high, 0, bitmap);
    if (nulls !== 0) this.#kernels.bitmapAndNot(bitmap, nulls, view.rows);
  }
  release(): void {}
}

class TextTest implements VectorTest {
  readonly slots: readonly number[];
  #engine: VectorEngine | undefined;
  #key = 0;
  #keyLength = 0;
  constructor(
    readonly slot: number,
    readonly operator: Operator,
    readonly value: Evaluate,
  ) {
    this.slots = [slot];
  }
  prepare(engine: VectorEngine): boolean {
    const bound = this.value(noColumns, 0);
    if (bound === null) return false;
    this.release();
    const bytes = Buffer.from(bound as string, "utf8");
    if (bytes.length > keyBytesMax) throw new NotVector();
    const key = engine.arena.allocate(bytes.length);
    if (key === 0) throw new NotVector();
    engine.memory.u8.set(bytes, key);
    this.#engine = engine;
    this.#key = key;
    this.#keyLength = bytes.length;
    return true;
  }
  apply(view: ColumnView, bitmap: number): void {
    const { kernels } = this.#engine!;
    const nulls = view.nulls[this.slot]!;
    if (nulls !== 0) kernels.bitmapAndNot(bitmap, nulls, view.rows);
    kernels.selectText(
      view.addresses[this.slot]!,
      view.page,
      view.shift,
      view.rows,
      this.#key,
      this.#keyLength,
      allowedBits[this.operator],
      bitmap,
    );
  }
  release(): void {
    if (this.#key !== 0) this.#engine!.arena.free(this.#key);
    this.#key = 0;
  }
}

class NullTest implements VectorTest {
  readonly slots: readonly number[];
  #engine!: VectorEngine;
  constructor(
    readonly slot: number,
    readonly negated: boolean,
  ) {
    this.slots = [slot];
  }
  prepare(engine: VectorEngine): boolean {
    this.#engine = engine;
    return true;
  }
  apply(view: ColumnView, bitmap: number): void {
    const { kernels, memory } = this.#engine;
    const nulls = view.nulls[this.slot]!;
    if (nulls === 0) {
      if (!this.negated) clear(memory.u8, bitmap);
    } else if (this.negated) kernels.bitmapAndNot(bitmap, nulls, view.rows);
    else kernels.bitmapAnd(bitmap, nulls, view.rows);
  }
  release(): void {}
}

/** Two columns of one type and storage. */
class ColumnsTest implements VectorTest {
  readonly slots: readonly number[];
  #kernels!: Kernels;
  constructor(
    readonly left: number,
    readonly right: number,
    readonly kind: number,
    readonly operator: Operator,
  ) {
    this.slots = [left, right];
  }
  prepare(engine: VectorEngine): boolean {
    this.#kernels = engine.kernels;
    return true;
  }
  apply(view: ColumnView, bitmap: number): void {
    const kernels = this.#kernels;
    const { addresses, nulls, rows } = view;
    const a = addresses[this.left]!;
    const b = addresses[this.right]!;
    const allowed = allowedBits[this.operator];
    if (this.kind === StorageKind.int4 || this.kind === StorageKind.date)
      kernels.compareI32(a, b, rows, allowed, bitmap);
    else if (this.kind === StorageKind.float8) kernels.compareF64(a, b, rows, allowed, bitmap);
    else kernels.compareI64(a, b, rows, allowed, bitmap);
    if (nulls[this.left] !== 0) kernels.bitmapAndNot(bitmap, nulls[this.left]!, rows);
    if (nulls[this.right] !== 0) kernels.bitmapAndNot(bitmap, nulls[this.right]!, rows);
  }
  release(): void {}
}

function clear(u8: Uint8Array, bitmap: number): void {
  u8.fill(0, bitmap, bitmap + bitmapBytes);
}

/** Rows for which any of the tests is true. */
class OrTest implements VectorTest {
  readonly slots: readonly number[];
  #engine!: VectorEngine;
  #live: VectorTest[] = [];
  constructor(readonly tests: readonly VectorTest[]) {
    this.slots = [...new Set(tests.flatMap((test) => test.slots))];
  }
  prepare(engine: VectorEngine): boolean {
    this.#engine = engine;
    this.#live = this.tests.filter((test) => test.prepare(engine));
    return this.#live.length > 0;
  }
  apply(view: ColumnView, bitmap: number, depth: number): void {
    const { memory, kernels, depths } = this.#engine;
    const found = depths + 2 * depth * bitmapBytes;
    const part = found + bitmapBytes;
    clear(memory.u8, found);
    for (const test of this.#live) {
      memory.u8.copyWithin(part, bitmap, bitmap + bitmapBytes);
      test.apply(view, part, depth + 1);
      kernels.bitmapOr(found, part, view.rows);
    }
    memory.u8.copyWithin(bitmap, found, found + bitmapBytes);
  }
  release(): void {
    for (const test of this.tests) test.release();
  }
}

class AndTest implements VectorTest {
  readonly slots: readonly number[];
  constructor(readonly tests: readonly VectorTest[]) {
    this.slots = [...new Set(tests.flatMap((test) => test.slots))];
  }
  prepare(engine: VectorEngine): boolean {
    let possible = true;
    for (const test of this.tests) if (!test.prepare(engine)) possible = false;
    return possible;
  }
  apply(view: ColumnView, bitmap: number, depth: number): void {
    for (const test of this.tests) test.apply(view, bitmap, depth);
  }
  release(): void {
    for (const test of this.tests) test.release();
  }
}

/** `column = ANY (few constants)`. */
class AnyOfTest implements VectorTest {
  readonly slots: readonly number[];
  #inner: OrTest | undefined;
  constructor(
    readonly slot: number,
    readonly as: ComparedAs,
    readonly list: Evaluate,
  ) {
    this.slots = [slot];
  }
  prepare(engine: VectorEngine): boolean {
    const array = this.list(noColumns, 0);
    this.release();
    if (array === null) return false;
    assert(array instanceof PgArray, "a list of constants is no array");
    const values = array.elements.filter((value) => value !== null);
    if (values.length > anyOfMax) throw new NotVector();
    this.#inner = new OrTest(values.map((value) => compareTest(this.slot, this.as, "=", () => value)));
    return this.#inner.prepare(engine);
  }
  apply(view: ColumnView, bitmap: number, depth: number): void {
    this.#inner!.apply(view, bitmap, depth);
  }
  release(): void {
    this.#inner?.release();
    this.#inner = undefined;
  }
}

/** Thrown by `prepare` when the constants turn out not to fit the kernels: this execution filters row by row. */
export class NotVector {}

function compareTest(slot: number, as: ComparedAs, operator: Operator, value: Evaluate): VectorTest {
  switch (as.form) {
    case "integer":
      return new RangeTest(slot, as, [{ operator, value }]);
    case "float":
      return new FloatTest(slot, as.kind, operator, value);
    case "text":
      return new TextTest(slot, operator, value);
    case "bool":
      return new BoolTest(slot, operator, value);
  }
}

/** The test of one condition; undefined when it has none. */
function compileTest(expr: Expr, scope: ExprScope, depth: number): VectorTest | undefined {
  switch (expr.kind) {
    case "slot":
      return expr.type.oid === 16 ? new BoolTest(expr.slot, "=", () => true) : undefined;
    case "not": {
      const inner = expr.arg;
      if (inner.kind === "slot" && inner.type.oid === 16) return new BoolTest(inner.slot, "=", () => false);
      return inner.kind === "call" ? compileComparison(inner, scope, true) : undefined;
    }
    case "isTruth": {
      if (expr.negated || expr.test === "unknown" || expr.arg.kind !== "slot") return undefined;
      const wanted = expr.test === "true";
      return new BoolTest(expr.arg.slot, "=", () => wanted);
    }
    case "isNull": {
      const column = slotOf(expr.arg);
      // Composite values are NULL field by field.
      return column === undefined || storageClassOf(column.type).kind === StorageKind.tagged
        ? undefined
        : new NullTest(column.slot, expr.negated);
    }
    case "call":
      return compileComparison(expr, scope, false);
    case "arrayCompare": {
      const column = slotOf(expr.left);
      if (column === undefined || expr.all || expr.operator !== "=" || !isFixed(expr.right)) return undefined;
      const as = comparedAs(column.type);
      const element = elementFamily(expr.right, expr.left.type);
      if (as === undefined || element !== as.family || depth + 1 >= bitmapDepth) return undefined;
      return new AnyOfTest(column.slot, as, compileExpr(expr.right, scope));
    }
    case "and":
    case "or": {
      if (depth + 1 >= bitmapDepth) return undefined;
      const tests: VectorTest[] = [];
      for (const arg of expr.args) {
        const test = compileTest(arg, scope, depth + 1);
        if (test === undefined) return undefined;
        tests.push(test);
      }
      return expr.kind === "or" ? new OrTest(tests) : new AndTest(tests);
    }
    default:
      return undefined;
  }
}

/** The family of a list's elements: those compared with `left` as they stand, or none. */
function elementFamily(list: Expr, left: TypeRef): string | undefined {
  const inner = stripRelabel(list);
  const oid = arrayElements.get(inner.type.oid);
  if (oid === undefined) return undefined;
  return familyOf({ oid, typmod: -1 }) ?? (left.oid === oid ? familyOf(left) : undefined);
}
/** pg_type: array types of what kernels compare. */
const arrayElements: ReadonlyMap<number, number> = new Map([
  [1000, 16],
  [1005, 21],
  [1007, 23],
  [1016, 20],
  [1021, 700],
  [1022, 701],
  [1231, 1700],
  [1009, 25],
  [1015, 1043],
  [1182, 1082],
  [1183, 1083],
  [1115, 1114],
  [1185, 1184],
]);

function compileComparison(
  expr: Extract<Expr, { kind: "call" }>,
  scope: ExprScope,
  negated: boolean,
): VectorTest | undefined {
  if (expr.operator === undefined || !operators.has(expr.operator) || expr.args.length !== 2)
    return undefined;
  if (expr.fn.returns !== 16 || !expr.fn.strict || expr.fn.volatility !== "immutable") return undefined;
  let operator = expr.operator as Operator;
  if (negated) operator = opposite[operator];
  let left = expr.args[0]!;
  let right = expr.args[1]!;
  if (slotOf(left) === undefined) {
    [left, right] = [right, left];
    operator = flipped[operator];
  }
  const column = slotOf(left);
  const as = column === undefined ? undefined : comparedAs(column.type);
  if (column === undefined || as === undefined) return undefined;
  const other = slotOf(right);
  if (other !== undefined) {
    const otherAs = comparedAs(other.type);
    const whole =
      as.kind === StorageKind.int4 ||
      as.kind === StorageKind.int8 ||
      as.kind === StorageKind.float8 ||
      as.kind === StorageKind.date ||
      as.kind === StorageKind.time ||
      as.kind === StorageKind.timestamp;
    if (!whole || otherAs?.kind !== as.kind || otherAs.family !== as.family) return undefined;
    return new ColumnsTest(column.slot, other.slot, as.kind, operator);
  }
  if (!isFixed(right) || familyOf(stripRelabel(right).type) !== as.family) return undefined;
  return compareTest(column.slot, as, operator, compileExpr(right, scope));
}

/** A filter in two parts: kernels, and what is judged row by row afterwards. */
export interface SplitFilter {
  readonly tests: readonly VectorTest[];
  readonly rest: Expr | undefined;
}

/** Undefined when the filter may wait: then its rows are judged one by one in order. */
export function splitFilter(filter: Expr | undefined, scope: ExprScope): SplitFilter | undefined {
  if (filter === undefined) return { tests: [], rest: undefined };
  if (mayWait(filter)) return undefined;
  const parts = filter.kind === "and" ? filter.args : [filter];
  const tests: VectorTest[] = [];
  const ranges = new Map<number, RangeTest>();
  const rest: Expr[] = [];
  for (const part of parts) {
    const test = compileTest(part, scope, 0);
    if (test === undefined) {
      rest.push(part);
      continue;
    }
    if (test instanceof RangeTest && test.bounds[0]!.operator !== "<>") {
      const known = ranges.get(test.slot);
      if (known !== undefined) {
        known.bounds.push(...test.bounds);
        continue;
      }
      ranges.set(test.slot, test);
    }
    tests.push(test);
  }
  // Text is dearer than numbers: it sees only what they leave.
  tests.sort((a, b) => cost(a) - cost(b));
  const first = rest[0];
  return {
    tests,
    rest: first === undefined || rest.length === 1 ? first : { kind: "and", type: filter.type, args: rest },
  };
}

function cost(test: VectorTest): number {
  if (test instanceof TextTest) return 2;
  return test instanceof OrTest || test instanceof AnyOfTest ? 1 : 0;
}
