/**
 * Aggregates: state, step, merge and result.
 *
 * Invariants: a state belongs to one group; `merge` folds the second into the first and gives what stepping through
 * both inputs would (up to rounding of floats). Sums of integers are kept as numbers while they are safe integers.
 * NULLs are left out before `step` except where `strict` is false (array_agg, json_agg and their kin).
 */
import { DbError } from "../../base/errors.js";
import { general } from "../../model/float.js";
import type { EvalContext } from "../../model/functions.js";
import { wideChecked } from "../../model/int8.js";
import {
  addInterval,
  divideInterval,
  intervalZero,
  multiplyInterval,
  subtractInterval,
} from "../../model/interval.js";
import * as exact from "../../model/numeric.js";
import { compareOf, elementTypeOf, equalsOf, oids } from "../../model/types.js";
import { type Interval, Numeric, PgArray, type Value, type Wide, wide } from "../../model/value.js";
import { type AggregateImpl, defineAggregate, isOpen } from "./registry.js";

/** Approximate bytes of a kept value. */
export function valueBytes(value: Value): number {
  if (typeof value === "string") return 24 + value.length * 2;
  if (value instanceof Uint8Array) return 64 + value.length;
  if (typeof value === "object" && value !== null) return 96;
  return 16;
}

// Count -------------------------------------------------------------------------------------------------------------

const counting: AggregateImpl = {
  init: () => 0,
  step: (state) => (state as number) + 1,
  merge: (into, from) => (into as number) + (from as number),
  final: (state) => state as number,
};
defineAggregate("count()", () => ({ ...counting, strict: false }));
defineAggregate("count(any)", () => counting);

// Sums and averages -------------------------------------------------------------------------------------------------

/** Sum of integers with a count; `high` takes what leaves the safe integers. */
class IntegerSum {
  count = 0;
  low = 0;
  high = 0n;
  add(value: Wide): void {
    this.count++;
    if (typeof value === "number") {
      const sum = this.low + value;
      if (Number.isSafeInteger(sum)) {
        this.low = sum;
        return;
      }
    }
    this.high += BigInt(this.low) + BigInt(value);
    this.low = 0;
  }
  total(): Wide {
    return this.high === 0n ? this.low : wide(this.high + BigInt(this.low));
  }
}

function integerSum(final: (state: IntegerSum) => Value): AggregateImpl {
  return {
    init: () => new IntegerSum(),
    step: (state, _context, value) => {
      (state as IntegerSum).add(value as Wide);
      return state;
    },
    merge: (into, from) => {
      const target = into as IntegerSum;
      const source = from as IntegerSum;
      target.high += source.high + BigInt(source.low);
      target.count += source.count;
      return target;
    },
    final: (state) => final(state as IntegerSum),
  };
}
const sumToBigint = integerSum((state) => (state.count === 0 ? null : wideChecked(BigInt(state.total()))));
defineAggregate(["sum(int2)", "sum(int4)"], () => sumToBigint);
const sumToNumeric = integerSum((state) => (state.count === 0 ? null : new Numeric(state.total(), 0)));
defineAggregate("sum(int8)", () => sumToNumeric);
const averageOfIntegers = integerSum((state) =>
  state.count === 0 ? null : exact.divideNumeric(new Numeric(state.total(), 0), new Numeric(state.count, 0)),
);
defineAggregate(["avg(int2)", "avg(int4)", "avg(int8)"], () => averageOfIntegers);

class NumericSum {
  count = 0;
  sum: Numeric = exact.numericZero;
}
function numericSum(final: (state: NumericSum) => Value): AggregateImpl {
  return {
    init: () => new NumericSum(),
    step: (state, _context, value) => {
      const own = state as NumericSum;
      own.count++;
      own.sum = exact.addNumeric(own.sum, value as Numeric);
      return own;
    },
    merge: (into, from) => {
      const own = into as NumericSum;
      own.count += (from as NumericSum).count;
      own.sum = exact.addNumeric(own.sum, (from as NumericSum).sum);
      return own;
    },
    final: (state) => final(state as NumericSum),
    stateBytes: () => 96,
  };
}
defineAggregate("sum(numeric)", () => numericSum((state) => (state.count === 0 ? null : state.sum)));
defineAggregate("avg(numeric)", () =>
  numericSum((state) =>
    state.count === 0 ? null : exact.divideNumeric(state.sum, new Numeric(state.count, 0)),
  ),
);

/** Count, sum and sum of squared deviations (Youngs and Cramer), as PostgreSQL keeps them. */
class FloatMoments {
  count = 0;
  sum = 0;
  squares = 0;
}
function overflow(): DbError {
  return new DbError("numericValueOutOfRange", "value out of range: overflow");
}

function floatMoments(final: (state: FloatMoments) => Value): AggregateImpl {
  return {
    init: () => new FloatMoments(),
    step: (state, _context, value) => {
      const own = state as FloatMoments;
      const x = value as number;
      const before = own.sum;
      own.count++;
      own.sum += x;
      if (own.count > 1) {
        const deviation = x * own.count - own.sum;
        own.squares += (deviation * deviation) / (own.count * (own.count - 1));
        if (!Number.isFinite(own.sum) || !Number.isFinite(own.squares)) {
          if (Number.isFinite(before) && Number.isFinite(x)) throw overflow();
          own.squares = Number.NaN;
        }
      } else if (!Number.isFinite(x)) own.squares = Number.NaN;
      return own;
    },
    merge: (into, from) => {
      const own = into as FloatMoments;
      const other = from as FloatMoments;
      if (other.count === 0) return own;
      if (own.count === 0) {
        own.count = other.count;
        own.sum = other.sum;
        own.squares = other.squares;
        return own;
      }
      const count = own.count + other.count;
      const gap = own.sum / own.count - other.sum / other.count;
      own.squares += other.squares + (own.count * other.count * gap * gap) / count;
      own.sum += other.sum;
      own.count = count;
      return own;
    },
    final: (state) => final(state as FloatMoments),
  };
}

/** Plain float sums do not need the squares. */
function floatSum(single: boolean): AggregateImpl {
  return {
    init: () => null,
    step: (state, _context, value) => {
      if (state === null) return value;
      const sum = single
        ? Math.fround((state as number) + (value as number))
        : (state as number) + (value as number);
      if (!Number.isFinite(sum) && Number.isFinite(state as number) && Number.isFinite(value as number)) {
        throw overflow();
      }
      return sum;
    },
    merge: (into, from) =>
      into === null ? from : from === null ? into : (into as number) + (from as number),
    final: (state) => state as Value,
  };
}
defineAggregate("sum(float4)", () => floatSum(true));
defineAggregate("sum(float8)", () => floatSum(false));
defineAggregate(["avg(float4)", "avg(float8)"], () =>
  floatMoments((state) => (state.count === 0 ? null : state.sum / state.count)),
);

class IntervalSum {
  count = 0;
  sum: Interval = intervalZero;
}
function intervalSum(final: (state: IntervalSum) => Value): AggregateImpl {
  return {
    init: () => new IntervalSum(),
    step: (state, _context, value) => {
      const own = state as IntervalSum;
      own.count++;
      own.sum = addInterval(own.sum, value as Interval);
      return own;
    },
    merge: (into, from) => {
      const own = into as IntervalSum;
      own.count += (from as IntervalSum).count;
      own.sum = addInterval(own.sum, (from as IntervalSum).sum);
      return own;
    },
    final: (state) => final(state as IntervalSum),
  };
}
for (const type of ["interval", "time"] as const) {
  if (isOpen(`sum(${type})`)) {
    defineAggregate(`sum(${type})`, () => intervalSum((state) => (state.count === 0 ? null : state.sum)));
  }
  if (isOpen(`avg(${type})`)) {
    defineAggregate(`avg(${type})`, () =>
      intervalSum((state) => (state.count === 0 ? null : divideInterval(state.sum, state.count))),
    );
  }
}

// Minimum and maximum -----------------------------------------------------------------------------------------------

for (const type of [
  "int2",
  "int4",
  "int8",
  "float4",
  "float8",
  "numeric",
  "text",
  "bpchar",
  "date",
  "time",
  "timetz",
  "timestamp",
  "timestamptz",
  "interval",
  "oid",
  "tid",
  "anyarray",
] as const) {
  for (const [name, sign] of [
    ["max", 1],
    ["min", -1],
  ] as const) {
    if (!isOpen(`${name}(${type})`)) continue;
    const compare = compareOf(oids[type]);
    const pick = (state: unknown, value: unknown): unknown =>
      state === null || compare(value as Value, state as Value) * sign > 0 ? value : state;
    defineAggregate(`${name}(${type})`, () => ({
      init: () => null,
      step: (state, _context, value) => pick(state, value),
      merge: (into, from) => (from === null ? into : pick(into, from)),
      final: (state) => state as Value,
      stateBytes: (state) => valueBytes(state as Value),
    }));
  }
}

// Logic and bits ----------------------------------------------------------------------------------------------------

function folding(fold: (a: never, b: never) => Value): AggregateImpl {
  const step = fold as unknown as (a: Value, b: Value) => Value;
  return {
    init: () => null,
    step: (state, _context, value) => (state === null ? value : step(state as Value, value!)),
    merge: (into, from) => (into === null ? from : from === null ? into : step(into as Value, from as Value)),
    final: (state) => state as Value,
  };
}
defineAggregate(["bool_and(bool)", "every(bool)"], () => folding((a: boolean, b: boolean) => a && b));
defineAggregate("bool_or(bool)", () => folding((a: boolean, b: boolean) => a || b));
for (const type of ["int2", "int4"] as const) {
  defineAggregate(`bit_and(${type})`, () => folding((a: number, b: number) => a & b));
  defineAggregate(`bit_or(${type})`, () => folding((a: number, b: number) => a | b));
  defineAggregate(`bit_xor(${type})`, () => folding((a: number, b: number) => a ^ b));
}
defineAggregate("bit_and(int8)", () => folding((a: Wide, b: Wide) => wide(BigInt(a) & BigInt(b))));
defineAggregate("bit_or(int8)", () => folding((a: Wide, b: Wide) => wide(BigInt(a) | BigInt(b))));
defineAggregate("bit_xor(int8)", () => folding((a: Wide, b: Wide) => wide(BigInt(a) ^ BigInt(b))));

// Collecting --------------------------------------------------------------------------------------------------------

class Collected {
  readonly values: Value[] = [];
  bytes = 0;
  add(value: Value): void {
    this.values.push(value);
    this.bytes += valueBytes(value);
  }
}
const collect = {
  init: (): unknown => new Collected(),
  merge: (into: unknown, from: unknown): unknown => {
    for (const value of (from as Collected).values) (into as Collected).add(value);
    return into;
  },
  stateBytes: (state: unknown): number => (state as Collected).bytes,
};

defineAggregate("array_agg(anynonarray)", ([element]) => ({
  ...collect,
  strict: false,
  step: (state, _context, value) => {
    (state as Collected).add(value!);
    return state;
  },
  final: (state) => {
    const { values } = state as Collected;
    return values.length === 0 ? null : PgArray.of(element!, values);
  },
}));
/** Arrays to be stacked must be of one shape. */
function collectArray(state: Collected, value: Value): Collected {
  if (value === null) throw new DbError("nullValueNotAllowed", "cannot accumulate null arrays");
  const given = value as PgArray;
  if (given.dims.length === 0) throw new DbError("arraySubscriptError", "cannot accumulate empty arrays");
  const first = state.values[0] as PgArray | undefined;
  if (first !== undefined && first.dims.join() !== given.dims.join()) {
    throw new DbError("arraySubscriptError", "cannot accumulate arrays of different dimensionality");
  }
  state.add(given);
  return state;
}

defineAggregate("array_agg(anyarray)", ([array]) => ({
  ...collect,
  strict: false,
  merge: (into, from) => {
    for (const value of (from as Collected).values) collectArray(into as Collected, value);
    return into;
  },
  step: (state, _context, value) => collectArray(state as Collected, value!),
  final: (state) => {
    const arrays = (state as Collected).values as PgArray[];
    const first = arrays[0];
    if (first === undefined) return null;
    return new PgArray(
      elementTypeOf(array!)!,
      arrays.flatMap((part) => part.elements),
      [arrays.length, ...first.dims],
      [1, ...first.lowerBounds],
    );
  },
}));

class Joined {
  /** Separator and value in turn; the first separator is not used. */
  readonly parts: (string | Uint8Array)[] = [];
  bytes = 0;
}
function joining(final: (parts: (string | Uint8Array)[]) => Value): AggregateImpl {
  return {
    strict: false,
    init: () => new Joined(),
    step: (state, _context, value, separator) => {
      if (value === null) return state;
      const own = state as Joined;
      own.parts.push((separator ?? "") as string | Uint8Array, value as string | Uint8Array);
      own.bytes += valueBytes(value!) + 16;
      return own;
    },
    merge: (into, from) => {
      const own = into as Joined;
      for (const part of (from as Joined).parts) own.parts.push(part);
      own.bytes += (from as Joined).bytes;
      return own;
    },
    final: (state) => {
      const { parts } = state as Joined;
      return parts.length === 0 ? null : final(parts.slice(1));
    },
    stateBytes: (state) => (state as Joined).bytes,
  };
}
defineAggregate("string_agg(text,text)", () => joining((parts) => parts.join("")));
defineAggregate("string_agg(bytea,bytea)", () =>
  joining((parts) => Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.alloc(0) : part)))),
);

// Deviations --------------------------------------------------------------------------------------------------------

const deviations = [
  ["var_pop", false, false],
  ["var_samp", true, false],
  ["variance", true, false],
  ["stddev_pop", false, true],
  ["stddev_samp", true, true],
  ["stddev", true, true],
] as const;

/** Exact sums for integers and numeric: N, sum of x, sum of x squared. */
class ExactMoments {
  count = 0;
  sum: Numeric = exact.numericZero;
  squares: Numeric = exact.numericZero;
}

for (const [name, sample, root] of deviations) {
  for (const type of ["float4", "float8"] as const) {
    defineAggregate(`${name}(${type})`, () =>
      floatMoments((state) => {
        if (state.count === 0 || (sample && state.count === 1)) return null;
        const variance = state.squares / (sample ? state.count - 1 : state.count);
        return root ? Math.sqrt(variance) : variance;
      }),
    );
  }
  for (const type of ["int2", "int4", "int8", "numeric"] as const) {
    defineAggregate(`${name}(${type})`, () => ({
      init: () => new ExactMoments(),
      step: (state, _context, value) => {
        const own = state as ExactMoments;
        const x = type === "numeric" ? (value as Numeric) : new Numeric(value as Wide, 0);
        own.count++;
        own.sum = exact.addNumeric(own.sum, x);
        own.squares = exact.addNumeric(own.squares, exact.multiplyNumeric(x, x));
        return own;
      },
      merge: (into, from) => {
        const own = into as ExactMoments;
        own.count += (from as ExactMoments).count;
        own.sum = exact.addNumeric(own.sum, (from as ExactMoments).sum);
        own.squares = exact.addNumeric(own.squares, (from as ExactMoments).squares);
        return own;
      },
      final: (state) => {
        const own = state as ExactMoments;
        if (own.count === 0 || (sample && own.count === 1)) return null;
        if (own.sum.special !== "") return exact.numericNaN;
        const count = new Numeric(own.count, 0);
        // N * sum(x^2) - sum(x)^2, over N * (N or N - 1)
        const numerator = exact.subtractNumeric(
          exact.multiplyNumeric(count, own.squares),
          exact.multiplyNumeric(own.sum, own.sum),
        );
        if (exact.signOfNumeric(numerator) <= 0) return exact.numericZero;
        const divisor = exact.multiplyNumeric(count, new Numeric(sample ? own.count - 1 : own.count, 0));
        const variance = exact.divideNumeric(numerator, divisor);
        return root ? exact.sqrtNumericTo(variance, variance.scale) : variance;
      },
      stateBytes: () => 192,
    }));
  }
}

// Regression --------------------------------------------------------------------------------------------------------

/** Two variables: counts, sums and sums of squares and products of deviations. */
class Regression {
  count = 0;
  sumX = 0;
  squaresX = 0;
  sumY = 0;
  squaresY = 0;
  products = 0;
  add(y: number, x: number): void {
    this.count++;
    this.sumX += x;
    this.sumY += y;
    if (this.count > 1) {
      const dx = x * this.count - this.sumX;
      const dy = y * this.count - this.sumY;
      const scale = 1 / (this.count * (this.count - 1));
      this.squaresX += dx * dx * scale;
      this.squaresY += dy * dy * scale;
      this.products += dx * dy * scale;
    } else if (!Number.isFinite(x) || !Number.isFinite(y)) {
      this.products = Number.NaN;
      if (!Number.isFinite(x)) this.squaresX = Number.NaN;
      if (!Number.isFinite(y)) this.squaresY = Number.NaN;
    }
  }
  merge(other: Regression): void {
    if (other.count === 0) return;
    if (this.count === 0) {
      Object.assign(this, other);
      return;
    }
    const count = this.count + other.count;
    const gapX = this.sumX / this.count - other.sumX / other.count;
    const gapY = this.sumY / this.count - other.sumY / other.count;
    const weight = (this.count * other.count) / count;
    this.squaresX += other.squaresX + weight * gapX * gapX;
    this.squaresY += other.squaresY + weight * gapY * gapY;
    this.products += other.products + weight * gapX * gapY;
    this.sumX += other.sumX;
    this.sumY += other.sumY;
    this.count = count;
  }
}

function regression(name: string, final: (state: Regression) => Value): void {
  defineAggregate(`${name}(float8,float8)`, () => ({
    init: () => new Regression(),
    step: (state, _context, y, x) => {
      (state as Regression).add(y as number, x as number);
      return state;
    },
    merge: (into, from) => {
      (into as Regression).merge(from as Regression);
      return into;
    },
    final: (state) => final(state as Regression),
  }));
}
regression("regr_count", (r) => r.count);
regression("regr_sxx", (r) => (r.count < 1 ? null : r.squaresX));
regression("regr_syy", (r) => (r.count < 1 ? null : r.squaresY));
regression("regr_sxy", (r) => (r.count < 1 ? null : r.products));
regression("regr_avgx", (r) => (r.count < 1 ? null : r.sumX / r.count));
regression("regr_avgy", (r) => (r.count < 1 ? null : r.sumY / r.count));
regression("covar_pop", (r) => (r.count < 1 ? null : r.products / r.count));
regression("covar_samp", (r) => (r.count < 2 ? null : r.products / (r.count - 1)));
regression("corr", (r) =>
  r.count < 1 || r.squaresX === 0 || r.squaresY === 0
    ? null
    : r.products / Math.sqrt(r.squaresX * r.squaresY),
);
regression("regr_r2", (r) => {
  if (r.count < 1 || r.squaresX === 0) return null;
  return r.squaresY === 0 ? 1 : (r.products * r.products) / (r.squaresX * r.squaresY);
});
regression("regr_slope", (r) => (r.count < 1 || r.squaresX === 0 ? null : r.products / r.squaresX));
regression("regr_intercept", (r) =>
  r.count < 1 || r.squaresX === 0 ? null : (r.sumY - (r.sumX * r.products) / r.squaresX) / r.count,
);

// Ordered sets ------------------------------------------------------------------------------------------------------
// The executor feeds `step` in the order of WITHIN GROUP.

const collectOrdered = {
  ...collect,
  step: (state: unknown, _context: EvalContext, ...args: Value[]): unknown => {
    (state as Collected).add(args[0]!);
    return state;
  },
};

function fractionOf(value: Value): number | null {
  if (value === null) return null;
  const fraction = value as number;
  if (!(fraction >= 0 && fraction <= 1)) {
    throw new DbError(
      "numericValueOutOfRange",
      `percentile value ${general(fraction, 6)} is not between 0 and 1`,
    );
  }
  return fraction;
}

function discrete(values: readonly Value[], fraction: number): Value {
  return values[Math.max(Math.ceil(fraction * values.length), 1) - 1]!;
}

function continuous(
  values: readonly Value[],
  fraction: number,
  between: (a: Value, b: Value, part: number) => Value,
): Value {
  const position = fraction * (values.length - 1);
  const first = Math.floor(position);
  const second = Math.ceil(position);
  return first === second ? values[first]! : between(values[first]!, values[second]!, position - first);
}

function betweenFloats(a: Value, b: Value, part: number): Value {
  return (a as number) + part * ((b as number) - (a as number));
}
function betweenIntervals(a: Value, b: Value, part: number): Value {
  return addInterval(a as Interval, multiplyInterval(subtractInterval(b as Interval, a as Interval), part));
}

function percentile(
  signature: string,
  resultElement: (types: readonly number[]) => number,
  pick: (values: readonly Value[], fraction: number) => Value,
): void {
  const many = signature.includes("_float8");
  defineAggregate(signature, (types) => ({
    ...collectOrdered,
    final: (state, _context, direct) => {
      const { values } = state as Collected;
      if (direct === null || direct === undefined) return null;
      if (!many) {
        const fraction = fractionOf(direct);
        return fraction === null || values.length === 0 ? null : pick(values, fraction);
      }
      const fractions = direct as PgArray;
      if (values.length === 0) return null;
      const results = fractions.elements.map((element) => {
        const fraction = fractionOf(element);
        return fraction === null ? null : pick(values, fraction);
      });
      return new PgArray(resultElement(types), results, fractions.dims, fractions.lowerBounds);
    },
  }));
}
const second = (types: readonly number[]): number => types[1]!;
percentile("percentile_disc(float8,anyelement)", second, discrete);
percentile("percentile_disc(_float8,anyelement)", second, discrete);
percentile("percentile_cont(float8,float8)", second, (values, f) => continuous(values, f, betweenFloats));
percentile("percentile_cont(_float8,float8)", second, (values, f) => continuous(values, f, betweenFloats));
percentile("percentile_cont(float8,interval)", second, (values, f) =>
  continuous(values, f, betweenIntervals),
);
percentile("percentile_cont(_float8,interval)", second, (values, f) =>
  continuous(values, f, betweenIntervals),
);

defineAggregate("mode(anyelement)", ([type]) => ({
  ...collectOrdered,
  final: (state) => {
    const { values } = state as Collected;
    const equal = equalsOf(type!);
    let best: Value = null;
    let most = 0;
    let run = 0;
    values.forEach((value, at) => {
      run = at > 0 && equal(value, values[at - 1]!) ? run + 1 : 1;
      if (run > most) {
        most = run;
        best = value;
      }
    });
    return best;
  },
}));
