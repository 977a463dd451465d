/**
 * Numbers: operators and mathematical functions of the integer, floating and exact types.
 *
 * Invariants: integers never leave their range (22003 "integer out of range"); a float that becomes infinite or zero
 * from finite, non-zero arguments is 22003 as well. Nothing allocates for results that are plain numbers.
 */
import { DbError } from "../../base/errors.js";
import type { EvalContext } from "../../model/functions.js";
import {
  wideAdd,
  wideChecked,
  wideDivide,
  wideModulo,
  wideMultiply,
  wideNegate,
  wideSubtract,
} from "../../model/int8.js";
import * as exact from "../../model/numeric.js";
import { Numeric, type Wide, wide } from "../../model/value.js";
import { define } from "./registry.js";

function divisionByZero(): DbError {
  return new DbError("divisionByZero", "division by zero");
}

function int2(value: number): number {
  if (value < -32768 || value > 32767) throw new DbError("numericValueOutOfRange", "smallint out of range");
  return value + 0;
}

function int4(value: number): number {
  if (value < -2147483648 || value > 2147483647) {
    throw new DbError("numericValueOutOfRange", "integer out of range");
  }
  return value + 0;
}

// Integers ----------------------------------------------------------------------------------------------------------

/** Division truncating towards zero, exact for 32-bit operands. */
function quotient(a: number, b: number): number {
  if (b === 0) throw divisionByZero();
  return Math.trunc(a / b) + 0;
}

function remainder(a: number, b: number): number {
  if (b === 0) throw divisionByZero();
  return (a % b) + 0;
}

define("int2 + int2", (_: EvalContext, a: number, b: number) => int2(a + b));
define("int2 - int2", (_: EvalContext, a: number, b: number) => int2(a - b));
define("int2 * int2", (_: EvalContext, a: number, b: number) => int2(a * b));
define("int2 / int2", (_: EvalContext, a: number, b: number) => int2(quotient(a, b)));
define(["int2 % int2", "mod(int2,int2)"], (_: EvalContext, a: number, b: number) => remainder(a, b));
for (const [left, right] of [
  ["int4", "int4"],
  ["int2", "int4"],
  ["int4", "int2"],
] as const) {
  define(`${left} + ${right}`, (_: EvalContext, a: number, b: number) => int4(a + b));
  define(`${left} - ${right}`, (_: EvalContext, a: number, b: number) => int4(a - b));
  define(`${left} * ${right}`, (_: EvalContext, a: number, b: number) => int4(a * b));
  define(`${left} / ${right}`, (_: EvalContext, a: number, b: number) => int4(quotient(a, b)));
}
define(["int4 % int4", "mod(int4,int4)"], (_: EvalContext, a: number, b: number) => remainder(a, b));
for (const [left, right] of [
  ["int8", "int8"],
  ["int8", "int4"],
  ["int4", "int8"],
  ["int8", "int2"],
  ["int2", "int8"],
] as const) {
  define(`${left} + ${right}`, (_: EvalContext, a: Wide, b: Wide) => wideAdd(a, b));
  define(`${left} - ${right}`, (_: EvalContext, a: Wide, b: Wide) => wideSubtract(a, b));
  define(`${left} * ${right}`, (_: EvalContext, a: Wide, b: Wide) => wideMultiply(a, b));
  define(`${left} / ${right}`, (_: EvalContext, a: Wide, b: Wide) => wideDivide(a, b));
}
define(["int8 % int8", "mod(int8,int8)"], (_: EvalContext, a: Wide, b: Wide) => wideModulo(a, b));

define("- int2", (_: EvalContext, a: number) => int2(-a));
define("- int4", (_: EvalContext, a: number) => int4(-a));
define("- int8", (_: EvalContext, a: Wide) => wideNegate(a));
define(["+ int2", "+ int4", "+ int8", "+ float4", "+ float8", "+ numeric"], (_: EvalContext, a: Wide) => a);
define(["abs(int2)", "@ int2"], (_: EvalContext, a: number) => int2(Math.abs(a)));
define(["abs(int4)", "@ int4"], (_: EvalContext, a: number) => int4(Math.abs(a)));
define(["abs(int8)", "@ int8"], (_: EvalContext, a: Wide) => (a < 0 ? wideNegate(a) : a));

define(["int2 & int2", "int4 & int4"], (_: EvalContext, a: number, b: number) => a & b);
define(["int2 | int2", "int4 | int4"], (_: EvalContext, a: number, b: number) => a | b);
define(["int2 # int2", "int4 # int4"], (_: EvalContext, a: number, b: number) => a ^ b);
define(["~ int2", "~ int4"], (_: EvalContext, a: number) => ~a);
define("int4 << int4", (_: EvalContext, a: number, b: number) => a << b);
define("int4 >> int4", (_: EvalContext, a: number, b: number) => a >> b);
define("int2 << int4", (_: EvalContext, a: number, b: number) => ((a << b) << 16) >> 16);
define("int2 >> int4", (_: EvalContext, a: number, b: number) => ((a >> b) << 16) >> 16);
const bits64 = (value: bigint): Wide => wide(BigInt.asIntN(64, value));
define("int8 & int8", (_: EvalContext, a: Wide, b: Wide) => bits64(BigInt(a) & BigInt(b)));
define("int8 | int8", (_: EvalContext, a: Wide, b: Wide) => bits64(BigInt(a) | BigInt(b)));
define("int8 # int8", (_: EvalContext, a: Wide, b: Wide) => bits64(BigInt(a) ^ BigInt(b)));
define("~ int8", (_: EvalContext, a: Wide) => bits64(~BigInt(a)));
define("int8 << int4", (_: EvalContext, a: Wide, b: number) => bits64(BigInt(a) << BigInt(b & 63)));
define("int8 >> int4", (_: EvalContext, a: Wide, b: number) => bits64(BigInt(a) >> BigInt(b & 63)));

function gcd(a: bigint, b: bigint): bigint {
  let x = a < 0n ? -a : a;
  let y = b < 0n ? -b : b;
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

function lcm(a: bigint, b: bigint): bigint {
  if (a === 0n || b === 0n) return 0n;
  const product = (a / gcd(a, b)) * b;
  return product < 0n ? -product : product;
}

function narrow4(value: bigint): number {
  if (value > 2147483647n) throw new DbError("numericValueOutOfRange", "integer out of range");
  return Number(value);
}
define("gcd(int4,int4)", (_: EvalContext, a: number, b: number) => narrow4(gcd(BigInt(a), BigInt(b))));
define("gcd(int8,int8)", (_: EvalContext, a: Wide, b: Wide) => wideChecked(gcd(BigInt(a), BigInt(b))));
define("lcm(int4,int4)", (_: EvalContext, a: number, b: number) => narrow4(lcm(BigInt(a), BigInt(b))));
define("lcm(int8,int8)", (_: EvalContext, a: Wide, b: Wide) => wideChecked(lcm(BigInt(a), BigInt(b))));
define("factorial(int8)", (_: EvalContext, a: Wide) => exact.factorialNumeric(a));

// Floats ------------------------------------------------------------------------------------------------------------

function overflow(): DbError {
  return new DbError("numericValueOutOfRange", "value out of range: overflow");
}
function underflow(): DbError {
  return new DbError("numericValueOutOfRange", "value out of range: underflow");
}

function isInfinite(value: number): boolean {
  return value === Infinity || value === -Infinity;
}

function sum(result: number, a: number, b: number): number {
  if (isInfinite(result) && !isInfinite(a) && !isInfinite(b)) throw overflow();
  return result;
}

function product(result: number, a: number, b: number): number {
  if (isInfinite(result) && !isInfinite(a) && !isInfinite(b)) throw overflow();
  if (result === 0 && a !== 0 && b !== 0) throw underflow();
  return result;
}

function ratio(result: number, a: number, b: number): number {
  if (b === 0 && !Number.isNaN(a)) throw divisionByZero();
  if (isInfinite(result) && !isInfinite(a)) throw overflow();
  if (result === 0 && a !== 0 && !isInfinite(b)) throw underflow();
  return result;
}

const single = Math.fround;
define("float4 + float4", (_: EvalContext, a: number, b: number) => sum(single(a + b), a, b));
define("float4 - float4", (_: EvalContext, a: number, b: number) => sum(single(a - b), a, b));
define("float4 * float4", (_: EvalContext, a: number, b: number) => product(single(a * b), a, b));
define("float4 / float4", (_: EvalContext, a: number, b: number) => ratio(single(a / b), a, b));
for (const [left, right] of [
  ["float8", "float8"],
  ["float4", "float8"],
  ["float8", "float4"],
] as const) {
  define(`${left} + ${right}`, (_: EvalContext, a: number, b: number) => sum(a + b, a, b));
  define(`${left} - ${right}`, (_: EvalContext, a: number, b: number) => sum(a - b, a, b));
  define(`${left} * ${right}`, (_: EvalContext, a: number, b: number) => product(a * b, a, b));
  define(`${left} / ${right}`, (_: EvalContext, a: number, b: number) => ratio(a / b, a, b));
}
define(["- float4", "- float8"], (_: EvalContext, a: number) => -a);
define(["abs(float4)", "@ float4", "abs(float8)", "@ float8"], (_: EvalContext, a: number) => Math.abs(a));

/** Halves to the even neighbour, as C's rint. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  const rounded = rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
  return rounded === 0 && value < 0 ? -0 : rounded;
}

define("round(float8)", (_: EvalContext, a: number) => (Number.isFinite(a) ? roundHalfEven(a) : a));
define(["ceil(float8)", "ceiling(float8)"], (_: EvalContext, a: number) => Math.ceil(a));
define("floor(float8)", (_: EvalContext, a: number) => Math.floor(a));
define("trunc(float8)", (_: EvalContext, a: number) => Math.trunc(a));
define("sign(float8)", (_: EvalContext, a: number) => (Number.isNaN(a) ? a : a > 0 ? 1 : a < 0 ? -1 : 0));
define(["sqrt(float8)", "|/ float8"], (_: EvalContext, a: number) => {
  if (a < 0) {
    throw new DbError("invalidArgumentForPowerFunction", "cannot take square root of a negative number");
  }
  return Math.sqrt(a);
});
define(["cbrt(float8)", "||/ float8"], (_: EvalContext, a: number) => Math.cbrt(a));
define("exp(float8)", (_: EvalContext, a: number) => {
  const result = Math.exp(a);
  if (result === Infinity && a !== Infinity) throw overflow();
  if (result === 0 && a !== -Infinity) throw underflow();
  return result;
});

function checkLogarithm(a: number): void {
  if (a === 0) throw new DbError("invalidArgumentForLogarithm", "cannot take logarithm of zero");
  if (a < 0) {
    throw new DbError("invalidArgumentForLogarithm", "cannot take logarithm of a negative number");
  }
}
define("ln(float8)", (_: EvalContext, a: number) => {
  checkLogarithm(a);
  return Math.log(a);
});
define(["log(float8)", "log10(float8)"], (_: EvalContext, a: number) => {
  checkLogarithm(a);
  return Math.log10(a);
});

define(["power(float8,float8)", "pow(float8,float8)", "float8 ^ float8"], (
  _: EvalContext,
  a: number,
  b: number,
) => {
  if (Number.isNaN(a)) return b === 0 ? 1 : a;
  if (Number.isNaN(b)) return a === 1 ? 1 : b;
  if (a === 0 && b < 0) {
    throw new DbError("invalidArgumentForPowerFunction", "zero raised to a negative power is undefined");
  }
  if (a < 0 && Number.isFinite(b) && !Number.isInteger(b)) {
    throw new DbError(
      "invalidArgumentForPowerFunction",
      "a negative number raised to a non-integer power yields a complex result",
    );
  }
  if (isInfinite(b) && Math.abs(a) === 1) return 1;
  const result = a ** b;
  if (isInfinite(result) && !isInfinite(a) && !isInfinite(b)) throw overflow();
  if (result === 0 && a !== 0 && !isInfinite(a) && !isInfinite(b)) throw underflow();
  return result;
});

function inputOutOfRange(): DbError {
  return new DbError("numericValueOutOfRange", "input is out of range");
}

/** Trigonometry refuses infinities. */
function trig(name: string, compute: (value: number) => number): void {
  define(`${name}(float8)`, (_: EvalContext, a: number) => {
    if (isInfinite(a)) throw inputOutOfRange();
    return compute(a);
  });
}
trig("sin", Math.sin);
trig("cos", Math.cos);
trig("tan", Math.tan);
trig("cot", (value) => {
  const result = Math.tan(value);
  return result === 0 ? (Object.is(result, -0) ? -Infinity : Infinity) : 1 / result;
});

function inverse(name: string, compute: (value: number) => number): void {
  define(`${name}(float8)`, (_: EvalContext, a: number) => {
    if (a < -1 || a > 1) throw inputOutOfRange();
    return compute(a);
  });
}
inverse("asin", Math.asin);
inverse("acos", Math.acos);
inverse("asind", (value) => exactDegrees(Math.asin(value)));
inverse("acosd", (value) => exactDegrees(Math.acos(value)));
define("atan(float8)", (_: EvalContext, a: number) => Math.atan(a));
define("atan2(float8,float8)", (_: EvalContext, a: number, b: number) => Math.atan2(a, b));
define("atand(float8)", (_: EvalContext, a: number) => exactDegrees(Math.atan(a)));
define("atan2d(float8,float8)", (_: EvalContext, a: number, b: number) => exactDegrees(Math.atan2(a, b)));

/** Degrees, with results next to a multiple of 15 made exact, which is what the degree functions are for. */
function exactDegrees(radians: number): number {
  const degrees = radians * (180 / Math.PI);
  const near = Math.round(degrees / 15) * 15;
  return Math.abs(degrees - near) < 1e-12 ? near : degrees;
}

const exactSines: Readonly<Record<number, number>> = { 0: 0, 30: 0.5, 90: 1 };
function sineOfDegrees(degrees: number): number {
  let angle = degrees % 360;
  let sign = 1;
  if (angle < 0) {
    angle = -angle;
    sign = -1;
  }
  if (angle > 180) {
    angle = 360 - angle;
    sign = -sign;
  }
  if (angle > 90) angle = 180 - angle;
  return sign * (exactSines[angle] ?? Math.sin((angle * Math.PI) / 180)) + 0;
}
function cosineOfDegrees(degrees: number): number {
  const angle = Math.abs(degrees % 360);
  return angle === 60 || angle === 300
    ? 0.5
    : angle === 120 || angle === 240
      ? -0.5
      : sineOfDegrees(90 - angle);
}
function tangentOfDegrees(degrees: number): number {
  const angle = degrees % 180;
  if (angle === 45 || angle === -135) return 1;
  if (angle === -45 || angle === 135) return -1;
  const cosine = cosineOfDegrees(angle);
  if (cosine === 0) return angle > 0 ? Infinity : -Infinity;
  return sineOfDegrees(angle) / cosine + 0;
}
trig("sind", sineOfDegrees);
trig("cosd", cosineOfDegrees);
trig("tand", tangentOfDegrees);
trig("cotd", (degrees) => {
  const tangent = tangentOfDegrees(degrees);
  return isInfinite(tangent) ? 0 : 1 / tangent;
});
define("sinh(float8)", (_: EvalContext, a: number) => Math.sinh(a));
define("cosh(float8)", (_: EvalContext, a: number) => Math.cosh(a));
define("tanh(float8)", (_: EvalContext, a: number) => Math.tanh(a));
define("asinh(float8)", (_: EvalContext, a: number) => Math.asinh(a));
define("acosh(float8)", (_: EvalContext, a: number) => {
  if (a < 1) throw inputOutOfRange();
  return Math.acosh(a);
});
define("atanh(float8)", (_: EvalContext, a: number) => {
  if (a < -1 || a > 1) throw inputOutOfRange();
  return Math.atanh(a);
});
define("degrees(float8)", (_: EvalContext, a: number) => sum(a / (Math.PI / 180), a, a));
define("radians(float8)", (_: EvalContext, a: number) => a * (Math.PI / 180));
define("pi()", () => Math.PI);

// Random ------------------------------------------------------------------------------------------------------------

/** Seeds set by setseed(), by session; a session without one draws from the node's generator. */
const seeded = new WeakMap<object, { state: bigint }>();

define("random()", (context: EvalContext) => {
  const own = seeded.get(context);
  if (own === undefined) return context.random();
  // splitmix64: small, and good enough for a sequence the user asked to repeat.
  own.state = BigInt.asUintN(64, own.state + 0x9e3779b97f4a7c15n);
  let mixed = own.state;
  mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n);
  mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
  return Number((mixed ^ (mixed >> 31n)) >> 11n) / 2 ** 53;
});
define("setseed(float8)", (context: EvalContext, seed: number) => {
  if (!(seed >= -1 && seed <= 1)) {
    throw new DbError("invalidParameterValue", `setseed parameter ${seed} is out of allowed range [-1,1]`);
  }
  seeded.set(context, { state: BigInt.asUintN(64, BigInt(Math.round(seed * 2 ** 52))) });
  return "";
});

// Numeric -----------------------------------------------------------------------------------------------------------

define("numeric + numeric", (_: EvalContext, a: Numeric, b: Numeric) => exact.addNumeric(a, b));
define("numeric - numeric", (_: EvalContext, a: Numeric, b: Numeric) => exact.subtractNumeric(a, b));
define("numeric * numeric", (_: EvalContext, a: Numeric, b: Numeric) => exact.multiplyNumeric(a, b));
define("numeric / numeric", (_: EvalContext, a: Numeric, b: Numeric) => exact.divideNumeric(a, b));
define(["numeric % numeric", "mod(numeric,numeric)"], (_: EvalContext, a: Numeric, b: Numeric) =>
  exact.moduloNumeric(a, b));
define("div(numeric,numeric)", (_: EvalContext, a: Numeric, b: Numeric) => exact.divideTruncated(a, b));
define("- numeric", (_: EvalContext, a: Numeric) => exact.negateNumeric(a));
define(["abs(numeric)", "@ numeric"], (_: EvalContext, a: Numeric) => exact.absNumeric(a));
define("sign(numeric)", (_: EvalContext, a: Numeric) =>
  a.special === "NaN" ? a : new Numeric(exact.signOfNumeric(a), 0),
);
define(["ceil(numeric)", "ceiling(numeric)"], (_: EvalContext, a: Numeric) => exact.ceilNumeric(a));
define("floor(numeric)", (_: EvalContext, a: Numeric) => exact.floorNumeric(a));
define("round(numeric,int4)", (_: EvalContext, a: Numeric, digits: number) => exact.roundNumeric(a, digits));
define("round(numeric)", (_: EvalContext, a: Numeric) => exact.roundNumeric(a, 0));
define("trunc(numeric,int4)", (_: EvalContext, a: Numeric, digits: number) =>
  exact.truncateNumeric(a, digits),
);
define("trunc(numeric)", (_: EvalContext, a: Numeric) => exact.truncateNumeric(a, 0));
define("sqrt(numeric)", (_: EvalContext, a: Numeric) => exact.sqrtNumeric(a));
define("exp(numeric)", (_: EvalContext, a: Numeric) => exact.expNumeric(a));
define("ln(numeric)", (_: EvalContext, a: Numeric) => exact.lnNumeric(a));
define(["log(numeric)", "log10(numeric)"], (_: EvalContext, a: Numeric) => exact.log10Numeric(a));
define("log(numeric,numeric)", (_: EvalContext, base: Numeric, a: Numeric) => exact.logNumeric(base, a));
define(["power(numeric,numeric)", "pow(numeric,numeric)", "numeric ^ numeric"], (
  _: EvalContext,
  a: Numeric,
  b: Numeric,
) => exact.powerNumeric(a, b));
define("gcd(numeric,numeric)", (_: EvalContext, a: Numeric, b: Numeric) => exact.gcdNumeric(a, b));
define("lcm(numeric,numeric)", (_: EvalContext, a: Numeric, b: Numeric) => exact.lcmNumeric(a, b));
define("scale(numeric)", (_: EvalContext, a: Numeric) => (a.special === "" ? a.scale : null));
define("min_scale(numeric)", (_: EvalContext, a: Numeric) => (a.special === "" ? exact.minScale(a) : null));
define("trim_scale(numeric)", (_: EvalContext, a: Numeric) => exact.canonicalNumeric(a));
define("numeric_inc(numeric)", (_: EvalContext, a: Numeric) => exact.addNumeric(a, exact.numericOne));

// Buckets -----------------------------------------------------------------------------------------------------------

function bucketCount(count: number): void {
  if (count <= 0) {
    throw new DbError("invalidArgumentForWidthBucketFunction", "count must be greater than zero");
  }
}

function bucketOverflow(bucket: number): number {
  if (bucket > 2147483647) throw new DbError("numericValueOutOfRange", "integer out of range");
  return bucket;
}

define(
  "width_bucket(float8,float8,float8,int4)",
  (_: EvalContext, operand: number, low: number, high: number, count: number) => {
    bucketCount(count);
    if (Number.isNaN(operand) || Number.isNaN(low) || Number.isNaN(high)) {
      throw new DbError(
        "invalidArgumentForWidthBucketFunction",
        "operand, lower bound, and upper bound cannot be NaN",
      );
    }
    if (isInfinite(low) || isInfinite(high)) {
      throw new DbError("invalidArgumentForWidthBucketFunction", "lower and upper bounds must be finite");
    }
    if (low === high) {
      throw new DbError("invalidArgumentForWidthBucketFunction", "lower bound cannot equal upper bound");
    }
    const [from, to, value] = low < high ? [low, high, operand] : [-low, -high, -operand];
    if (value < from) return 0;
    if (value >= to) return bucketOverflow(count + 1);
    return Math.min(Math.floor(count * ((value - from) / (to - from))), count - 1) + 1;
  },
);
define(
  "width_bucket(numeric,numeric,numeric,int4)",
  (_: EvalContext, operand: Numeric, low: Numeric, high: Numeric, count: number) => {
    bucketCount(count);
    if (operand.special === "NaN" || low.special === "NaN" || high.special === "NaN") {
      throw new DbError(
        "invalidArgumentForWidthBucketFunction",
        "operand, lower bound, and upper bound cannot be NaN",
      );
    }
    if (low.special !== "" || high.special !== "") {
      throw new DbError("invalidArgumentForWidthBucketFunction", "lower and upper bounds must be finite");
    }
    const order = exact.compareNumeric(low, high);
    if (order === 0) {
      throw new DbError("invalidArgumentForWidthBucketFunction", "lower bound cannot equal upper bound");
    }
    const toLow = exact.compareNumeric(operand, low) * -order;
    const toHigh = exact.compareNumeric(operand, high) * -order;
    if (toLow < 0) return 0;
    if (toHigh >= 0) return bucketOverflow(count + 1);
    const part = exact.multiplyNumeric(exact.subtractNumeric(operand, low), new Numeric(count, 0));
    const whole = exact.divideTruncated(part, exact.subtractNumeric(high, low));
    return Number(whole.coefficient) + 1;
  },
);
