/**
 * Exact decimal arithmetic with PostgreSQL's rules for the scale of results.
 *
 * Invariants: coefficients are canonical (`wide`), never -0; scale is 0..16383; special values have coefficient and
 * scale 0. Addition, comparison and multiplication stay in numbers while the coefficients are safe integers; BigInt
 * begins where they are not. Result scales: PostgreSQL 15's numeric.c (select_div_scale and its kin), as observed.
 * Errors: 22003 overflow, 22012 division by zero, 2201E/2201F logarithm and power of impossible arguments.
 */
import { Decimal } from "decimal.js";
import { DbError } from "../base/errors.js";
import { Numeric, type Wide, wide } from "./value.js";

const minSignificantDigits = 16;
const maxDisplayScale = 1000;
const maxResultScale = 2000;
const maxScale = 16383;
const maxIntegerDigits = 131072;

export const numericNaN = new Numeric(0, 0, "NaN");
export const numericInfinity = new Numeric(0, 0, "Infinity");
export const numericMinusInfinity = new Numeric(0, 0, "-Infinity");
export const numericZero = new Numeric(0, 0);
export const numericOne = new Numeric(1, 0);

const tens: number[] = [];
for (let power = 0, value = 1; power <= 15; power++, value *= 10) tens.push(value);
const bigTens: bigint[] = [];

function bigTen(power: number): bigint {
  if (power >= 256) return 10n ** BigInt(power);
  while (bigTens.length <= power) {
    bigTens.push(bigTens.length === 0 ? 1n : bigTens[bigTens.length - 1]! * 10n);
  }
  return bigTens[power]!;
}

function overflow(): DbError {
  return new DbError("numericValueOutOfRange", "value overflows numeric format");
}

/** Builds a finite value; refuses what PostgreSQL's format could not hold. */
function make(coefficient: bigint, scale: number): Numeric {
  const value = wide(coefficient);
  if (typeof value === "bigint" && bitLengthAtLeast(value)) {
    if (digitCount(value) - scale > maxIntegerDigits) throw overflow();
  }
  return new Numeric(value, scale);
}

/** Cheap pre-check before counting decimal digits: is the magnitude beyond 2^400000? */
function bitLengthAtLeast(value: bigint): boolean {
  return (value < 0n ? -value : value) >> 400000n !== 0n;
}

/** coefficient x 10^power, canonical. */
function scaleUp(coefficient: Wide, power: number): Wide {
  if (power === 0) return coefficient;
  if (typeof coefficient === "number" && power <= 15) {
    const product = coefficient * tens[power]!;
    if (Number.isSafeInteger(product)) return product;
  }
  return wide(BigInt(coefficient) * bigTen(power));
}

/** Decimal digits of the magnitude; 1 for zero. */
export function digitCount(coefficient: Wide): number {
  if (typeof coefficient === "number") {
    const magnitude = Math.abs(coefficient);
    let count = 1;
    while (count <= 15 && magnitude >= tens[count]!) count++;
    return count;
  }
  const text = coefficient.toString();
  return coefficient < 0n ? text.length - 1 : text.length;
}

/** Divides by 10^power, halves away from zero. */
function dropDigits(coefficient: Wide, power: number): Wide {
  if (typeof coefficient === "number") {
    if (power > 16) return 0;
    if (power <= 15) {
      const divisor = tens[power]!;
      const rest = coefficient % divisor;
      const quotient = (coefficient - rest) / divisor;
      if (Math.abs(rest) * 2 < divisor) return quotient + 0;
      return coefficient < 0 ? quotient - 1 : quotient + 1;
    }
    return Math.abs(coefficient) >= 5e15 ? Math.sign(coefficient) : 0;
  }
  const divisor = bigTen(power);
  const quotient = coefficient / divisor;
  const rest = coefficient - quotient * divisor;
  const magnitude = rest < 0n ? -rest : rest;
  if (magnitude * 2n < divisor) return wide(quotient);
  return wide(coefficient < 0n ? quotient - 1n : quotient + 1n);
}

function chopDigits(coefficient: Wide, power: number): Wide {
  if (typeof coefficient === "number") {
    if (power > 15) return 0;
    return (coefficient - (coefficient % tens[power]!)) / tens[power]! + 0;
  }
  return wide(coefficient / bigTen(power));
}

const numericText = /^[ \t\n\v\f\r]*([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?[ \t\n\v\f\r]*$/;
const specialText = /^[ \t\n\v\f\r]*([+-]?)(nan|infinity|inf)[ \t\n\v\f\r]*$/i;

/** Numeric's text input. 22P02 for other text, 22003 for what the format cannot hold. */
export function parseNumeric(text: string): Numeric {
  const match = numericText.exec(text);
  if (match === null || ((match[2] ?? "") === "" && (match[3] ?? "") === "")) {
    const special = specialText.exec(text);
    if (special !== null) {
      if (special[2]!.toLowerCase() !== "nan") {
        return special[1] === "-" ? numericMinusInfinity : numericInfinity;
      }
      if (special[1] === "") return numericNaN;
    }
    throw new DbError("invalidTextRepresentation", `invalid input syntax for type numeric: "${text}"`);
  }
  const fraction = match[3] ?? "";
  let digits = match[2]! + fraction;
  let scale = fraction.length;
  if (match[4] !== undefined) {
    const exponent = Number(match[4]);
    if (Math.abs(exponent) > 1073741823) {
      throw new DbError("invalidTextRepresentation", `invalid input syntax for type numeric: "${text}"`);
    }
    scale -= exponent;
    if (scale < 0) {
      if (digits.length - scale > maxIntegerDigits + maxScale && /[1-9]/.test(digits)) throw overflow();
      digits = /[1-9]/.test(digits) ? digits + "0".repeat(-scale) : "0";
      scale = 0;
    }
  }
  if (scale > maxScale) throw overflow();
  if (digits.length <= 15) {
    const value = Number(digits);
    return new Numeric(match[1] === "-" ? 0 - value : value, scale);
  }
  const value = BigInt(digits);
  return make(match[1] === "-" ? -value : value, scale);
}

export function formatNumeric(value: Numeric): string {
  if (value.special !== "") return value.special;
  const { coefficient, scale } = value;
  if (scale === 0) return String(coefficient);
  const negative = coefficient < 0;
  let digits = negative ? String(coefficient).slice(1) : String(coefficient);
  if (digits.length <= scale) digits = "0".repeat(scale + 1 - digits.length) + digits;
  const point = digits.length - scale;
  return `${negative ? "-" : ""}${digits.slice(0, point)}.${digits.slice(point)}`;
}

export function numericFromWide(value: Wide): Numeric {
  return new Numeric(value, 0);
}

/** PostgreSQL converts through 15 (double) or 6 (real) significant digits. */
export function numericFromFloat(value: number, significantDigits: 15 | 6): Numeric {
  if (Number.isNaN(value)) return numericNaN;
  if (value === Infinity) return numericInfinity;
  if (value === -Infinity) return numericMinusInfinity;
  if (Number.isInteger(value) && Math.abs(value) < (significantDigits === 15 ? 1e15 : 1e6)) {
    return new Numeric(value + 0, 0);
  }
  let text = value.toPrecision(significantDigits);
  // toPrecision keeps trailing zeros that %g would drop.
  const exponentAt = text.indexOf("e");
  const mantissa = exponentAt < 0 ? text : text.slice(0, exponentAt);
  const exponent = exponentAt < 0 ? "" : text.slice(exponentAt);
  text = (mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa) + exponent;
  return parseNumeric(text);
}

export function numericToFloat(value: Numeric): number {
  if (value.special !== "")
    return value.special === "NaN" ? Number.NaN : value.special === "Infinity" ? Infinity : -Infinity;
  if (typeof value.coefficient === "number") {
    if (value.scale === 0) return value.coefficient;
    if (value.scale <= 15) return value.coefficient / tens[value.scale]!; // both exact: one correct rounding
  }
  return Number(formatNumeric(value));
}

/** Rounded to an integer, as casts to integer types do; undefined for NaN and the infinities. */
export function numericToInteger(value: Numeric): Wide | undefined {
  if (value.special !== "") return undefined;
  return value.scale === 0 ? value.coefficient : dropDigits(value.coefficient, value.scale);
}

export function isNumericZero(value: Numeric): boolean {
  return value.special === "" && value.coefficient === 0;
}

function rank(value: Numeric): number {
  return value.special === "" ? 1 : value.special === "NaN" ? 3 : value.special === "Infinity" ? 2 : 0;
}

/** -Infinity < numbers < Infinity < NaN; NaN equals itself. */
export function compareNumeric(a: Numeric, b: Numeric): number {
  if (a.special !== "" || b.special !== "") return Math.sign(rank(a) - rank(b));
  const x = a.coefficient;
  const y = b.coefficient;
  if (a.scale === b.scale) return x < y ? -1 : x > y ? 1 : 0;
  if (x >= 0 !== y >= 0) return x < y ? -1 : 1;
  const left = a.scale < b.scale ? scaleUp(x, b.scale - a.scale) : x;
  const right = b.scale < a.scale ? scaleUp(y, a.scale - b.scale) : y;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Same number for equal values whatever their scale. */
export function canonicalNumeric(value: Numeric): Numeric {
  if (value.special !== "" || value.scale === 0) return value;
  let { coefficient, scale } = value;
  if (coefficient === 0) return numericZero;
  if (typeof coefficient === "bigint") {
    const text = coefficient.toString();
    let end = text.length;
    while (scale > 0 && text.charCodeAt(end - 1) === 48) {
      end--;
      scale--;
    }
    return new Numeric(wide(BigInt(text.slice(0, end))), scale);
  }
  while (scale > 0 && coefficient % 10 === 0) {
    coefficient /= 10;
    scale--;
  }
  return new Numeric(coefficient, scale);
}

export function addNumeric(a: Numeric, b: Numeric): Numeric {
  if (a.special !== "" || b.special !== "") {
    if (a.special === "NaN" || b.special === "NaN") return numericNaN;
    if (a.special === "") return b;
    if (b.special === "") return a;
    return a.special === b.special ? a : numericNaN;
  }
  const scale = Math.max(a.scale, b.scale);
  const x = a.scale === scale ? a.coefficient : scaleUp(a.coefficient, scale - a.scale);
  const y = b.scale === scale ? b.coefficient : scaleUp(b.coefficient, scale - b.scale);
  if (typeof x === "number" && typeof y === "number") {
    const sum = x + y;
    if (Number.isSafeInteger(sum)) return new Numeric(sum, scale);
  }
  return make(BigInt(x) + BigInt(y), scale);
}

export function negateNumeric(a: Numeric): Numeric {
  if (a.special === "") {
    return new Numeric(typeof a.coefficient === "number" ? 0 - a.coefficient : wide(-a.coefficient), a.scale);
  }
  if (a.special === "NaN") return a;
  return a.special === "Infinity" ? numericMinusInfinity : numericInfinity;
}

export function subtractNumeric(a: Numeric, b: Numeric): Numeric {
  return addNumeric(a, negateNumeric(b));
}

/** -1, 0 or 1; the infinities have their sign. NaN answers 1 (callers test it first). */
export function signOfNumeric(a: Numeric): number {
  if (a.special !== "") return a.special === "-Infinity" ? -1 : 1;
  return a.coefficient > 0 ? 1 : a.coefficient < 0 ? -1 : 0;
}

export function absNumeric(a: Numeric): Numeric {
  return signOfNumeric(a) < 0 ? negateNumeric(a) : a;
}

function signedInfinity(sign: number): Numeric {
  return sign < 0 ? numericMinusInfinity : sign > 0 ? numericInfinity : numericNaN;
}

export function multiplyNumeric(a: Numeric, b: Numeric): Numeric {
  if (a.special !== "" || b.special !== "") {
    if (a.special === "NaN" || b.special === "NaN") return numericNaN;
    return signedInfinity(signOfNumeric(a) * signOfNumeric(b));
  }
  const scale = a.scale + b.scale;
  const x = a.coefficient;
  const y = b.coefficient;
  if (typeof x === "number" && typeof y === "number" && scale <= maxScale) {
    const product = x * y;
    if (Number.isSafeInteger(product)) return new Numeric(product + 0, scale);
  }
  const product = make(BigInt(x) * BigInt(y), scale);
  return scale > maxScale ? roundNumeric(product, maxScale) : product;
}

/** Weight (base 10000 exponent of the leading group) and that group's value, as numeric.c stores numbers. */
function leadingGroup(value: Numeric): { weight: number; group: number; next: number; groups: number } {
  if (value.coefficient === 0) return { weight: 0, group: 0, next: 0, groups: 0 };
  const digits = value.coefficient < 0 ? String(value.coefficient).slice(1) : String(value.coefficient);
  const exponent = digits.length - 1 - value.scale;
  const weight = Math.floor(exponent / 4);
  const first = exponent - weight * 4 + 1;
  const group = Number(digits.slice(0, first).padEnd(first, "0"));
  const next = Number(digits.slice(first, first + 4).padEnd(4, "0"));
  const significant = digits.replace(/0+$/, "").length;
  return { weight, group, next, groups: significant <= first ? 1 : 1 + Math.ceil((significant - first) / 4) };
}

function clampScale(scale: number): number {
  return Math.min(Math.max(scale, 0), maxDisplayScale);
}

function divisionScale(a: Numeric, b: Numeric): number {
  const left = leadingGroup(a);
  const right = leadingGroup(b);
  let quotientWeight = left.weight - right.weight;
  if (left.group <= right.group) quotientWeight--;
  return clampScale(Math.max(minSignificantDigits - quotientWeight * 4, a.scale, b.scale));
}

function divisionByZero(): DbError {
  return new DbError("divisionByZero", "division by zero");
}

/** a / b rounded to `scale` digits. Both finite, b not zero. */
function divideTo(a: Numeric, b: Numeric, scale: number): Numeric {
  // One digit more than needed, then rounded, would round twice: compare the remainder instead.
  const shift = scale + b.scale - a.scale;
  let dividend = BigInt(a.coefficient);
  let divisor = BigInt(b.coefficient);
  if (shift >= 0) dividend *= bigTen(shift);
  else divisor *= bigTen(-shift);
  const quotient = dividend / divisor;
  const rest = dividend - quotient * divisor;
  const twice = (rest < 0n ? -rest : rest) * 2n;
  if (twice < (divisor < 0n ? -divisor : divisor)) return make(quotient, scale);
  return make(dividend < 0n !== divisor < 0n ? quotient - 1n : quotient + 1n, scale);
}

export function divideNumeric(a: Numeric, b: Numeric): Numeric {
  if (a.special !== "" || b.special !== "") {
    if (a.special === "NaN" || b.special === "NaN") return numericNaN;
    if (a.special !== "") {
      if (b.special !== "") return numericNaN;
      if (b.coefficient === 0) throw divisionByZero();
      return signedInfinity(signOfNumeric(a) * signOfNumeric(b));
    }
    return numericZero;
  }
  if (b.coefficient === 0) throw divisionByZero();
  return divideTo(a, b, divisionScale(a, b));
}

/** div(): truncated quotient, scale 0. */
export function divideTruncated(a: Numeric, b: Numeric): Numeric {
  if (a.special !== "" || b.special !== "") return divideNumeric(a, b);
  if (b.coefficient === 0) throw divisionByZero();
  const scale = Math.max(a.scale, b.scale);
  const x = BigInt(scaleUp(a.coefficient, scale - a.scale));
  return make(x / BigInt(scaleUp(b.coefficient, scale - b.scale)), 0);
}

/** Remainder with the dividend's sign. */
export function moduloNumeric(a: Numeric, b: Numeric): Numeric {
  if (a.special !== "" || b.special !== "") {
    if (a.special === "NaN" || b.special === "NaN") return numericNaN;
    if (a.special !== "") {
      if (b.special === "" && b.coefficient === 0) throw divisionByZero();
      return numericNaN;
    }
    return a;
  }
  if (b.coefficient === 0) throw divisionByZero();
  const scale = Math.max(a.scale, b.scale);
  const x = scaleUp(a.coefficient, scale - a.scale);
  const y = scaleUp(b.coefficient, scale - b.scale);
  if (typeof x === "number" && typeof y === "number") return new Numeric((x % y) + 0, scale);
  return new Numeric(wide(BigInt(x) % BigInt(y)), scale);
}

/** Rounds half away from zero; a negative `digits` rounds before the point. The result shows max(digits, 0) digits. */
export function roundNumeric(a: Numeric, digits: number): Numeric {
  return setScale(a, digits, dropDigits);
}

export function truncateNumeric(a: Numeric, digits: number): Numeric {
  return setScale(a, digits, chopDigits);
}

function setScale(a: Numeric, digits: number, drop: (coefficient: Wide, power: number) => Wide): Numeric {
  if (a.special !== "") return a;
  const wanted = Math.min(Math.max(digits, -maxResultScale), maxScale);
  if (wanted === a.scale) return a;
  if (wanted > a.scale) return make(BigInt(scaleUp(a.coefficient, wanted - a.scale)), wanted);
  const kept = drop(a.coefficient, a.scale - wanted);
  return wanted >= 0 ? new Numeric(kept, wanted) : make(BigInt(scaleUp(kept, -wanted)), 0);
}

export function ceilNumeric(a: Numeric): Numeric {
  if (a.special !== "" || a.scale === 0) return a;
  const whole = truncateNumeric(a, 0);
  return compareNumeric(whole, a) < 0 ? addNumeric(whole, numericOne) : whole;
}

export function floorNumeric(a: Numeric): Numeric {
  if (a.special !== "" || a.scale === 0) return a;
  const whole = truncateNumeric(a, 0);
  return compareNumeric(whole, a) > 0 ? subtractNumeric(whole, numericOne) : whole;
}

/** Fewest fractional digits that still hold the value. */
export function minScale(a: Numeric): number {
  return canonicalNumeric(a).scale;
}

function toDecimal(value: Numeric, precision: number): Decimal {
  return new (decimalOf(precision))(formatNumeric(value));
}

const decimals = new Map<number, typeof Decimal>();

/** decimal.js constructors by precision; few precisions occur, and the cache is emptied when they are many. */
function decimalOf(precision: number): typeof Decimal {
  let made = decimals.get(precision);
  if (made === undefined) {
    if (decimals.size > 64) decimals.clear();
    made = Decimal.clone({
      precision,
      rounding: 4,
      minE: -9e15,
      maxE: 9e15,
      toExpNeg: -9e15,
      toExpPos: 9e15,
    });
    decimals.set(precision, made);
  }
  return made;
}

function fromDecimal(value: Decimal, scale: number): Numeric {
  return parseNumeric(value.toFixed(scale));
}

function integerSqrt(value: bigint): bigint {
  if (value < 2n) return value;
  let guess = 1n << BigInt((value.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (guess + value / guess) >> 1n;
    if (next >= guess) return guess;
    guess = next;
  }
}

export function sqrtNumeric(a: Numeric): Numeric {
  if (a.special === "NaN" || a.special === "Infinity") return a;
  if (signOfNumeric(a) < 0) {
    throw new DbError("invalidArgumentForPowerFunction", "cannot take square root of a negative number");
  }
  const weight = leadingGroup(a).weight;
  return sqrtNumericTo(a, clampScale(Math.max(minSignificantDigits - (weight * 2 + 1), a.scale)));
}

/** Square root of a finite, non-negative value, rounded to `scale` digits. */
export function sqrtNumericTo(a: Numeric, scale: number): Numeric {
  // sqrt(c / 10^s) with one guard digit, exact floor, then rounded.
  const extra = 2 * (scale + 1) - a.scale;
  const radicand = (BigInt(a.coefficient) * bigTen(Math.max(extra, 0))) / bigTen(Math.max(-extra, 0));
  return new Numeric(dropDigits(wide(integerSqrt(radicand)), 1), scale);
}

export function expNumeric(a: Numeric): Numeric {
  if (a.special !== "") return a.special === "-Infinity" ? numericZero : a;
  const log10 = Math.max(Math.min(numericToFloat(a) * Math.LOG10E, maxResultScale), -maxResultScale);
  const scale = clampScale(Math.max(minSignificantDigits - Math.trunc(log10), a.scale));
  const exponent = numericToFloat(a);
  if (exponent >= maxResultScale * 3) throw overflow();
  if (exponent <= -maxResultScale * 3) return new Numeric(0, scale);
  return fromDecimal(toDecimal(a, Math.max(Math.ceil(exponent * Math.LOG10E), 0) + scale + 12).exp(), scale);
}

/** Decimal exponent of ln(value), as PostgreSQL estimates it to choose scales. */
function lnWeight(a: Numeric): number {
  const near = compareNumeric(a, new Numeric(9, 1)) >= 0 && compareNumeric(a, new Numeric(11, 1)) <= 0;
  if (near) {
    const rest = subtractNumeric(a, numericOne);
    if (rest.coefficient === 0) return 0;
    const { weight, group } = leadingGroup(rest);
    return weight * 4 + Math.trunc(Math.log10(group));
  }
  const { weight, group, next, groups } = leadingGroup(a);
  if (groups === 0) return 0;
  const digits = groups > 1 ? group * 10000 + next : group;
  const exponent = groups > 1 ? weight * 4 - 4 : weight * 4;
  return Math.trunc(Math.log10(Math.abs(Math.log(digits) + exponent * Math.LN10)));
}

function checkLogarithm(a: Numeric): void {
  const sign = signOfNumeric(a);
  if (sign < 0) {
    throw new DbError("invalidArgumentForLogarithm", "cannot take logarithm of a negative number");
  }
  if (sign === 0) throw new DbError("invalidArgumentForLogarithm", "cannot take logarithm of zero");
}

/** Digits beyond the result's scale that keep a logarithm's last digit right. */
const lnGuardDigits = 30;

/** As much of a value as a logarithm of that precision depends on: cost must not grow with the argument's length. */
function leadingDigits(a: Numeric, precision: number): Decimal {
  const digits = String(a.coefficient);
  const kept = digits.slice(0, precision);
  return new (decimalOf(precision))(`${kept}e${digits.length - kept.length - a.scale}`);
}

export function lnNumeric(a: Numeric): Numeric {
  if (a.special === "NaN") return a;
  checkLogarithm(a);
  if (a.special !== "") return a;
  const scale = clampScale(Math.max(minSignificantDigits - lnWeight(a), a.scale));
  return fromDecimal(leadingDigits(a, scale + lnGuardDigits).ln(), scale);
}

/** Logarithm of `a` to `base`. */
export function logNumeric(base: Numeric, a: Numeric): Numeric {
  if (base.special === "NaN" || a.special === "NaN") return numericNaN;
  checkLogarithm(base);
  checkLogarithm(a);
  if (base.special !== "") return a.special !== "" ? numericNaN : numericZero;
  if (a.special !== "") {
    return compareNumeric(base, numericOne) < 0 ? numericMinusInfinity : numericInfinity;
  }
  if (compareNumeric(base, numericOne) === 0) throw divisionByZero();
  const scale = clampScale(
    Math.max(minSignificantDigits - (lnWeight(a) - lnWeight(base)), base.scale, a.scale),
  );
  const precision = scale + 2 * lnGuardDigits;
  return fromDecimal(leadingDigits(a, precision).ln().div(leadingDigits(base, precision).ln()), scale);
}

export function log10Numeric(a: Numeric): Numeric {
  return logNumeric(new Numeric(10, 0), a);
}

function isInteger(a: Numeric): boolean {
  return a.special === "" && canonicalNumeric(a).scale === 0;
}

function powerSpecial(base: Numeric, exponent: Numeric): Numeric {
  const one = compareNumeric(base, numericOne) === 0;
  if (base.special === "NaN") return isNumericZero(exponent) ? numericOne : base;
  if (exponent.special === "NaN") return one ? numericOne : exponent;
  if (isNumericZero(exponent) || one) return numericOne;
  if (exponent.special !== "") {
    const magnitude = compareNumeric(absNumeric(base), numericOne);
    if (isNumericZero(base) && exponent.special === "-Infinity") {
      throw new DbError("invalidArgumentForPowerFunction", "zero raised to a negative power is undefined");
    }
    if (magnitude === 0) return numericOne;
    return magnitude > 0 === (exponent.special === "Infinity") ? numericInfinity : numericZero;
  }
  if (signOfNumeric(exponent) < 0) return numericZero;
  if (base.special === "Infinity") return base;
  if (!isInteger(exponent)) {
    throw new DbError(
      "invalidArgumentForPowerFunction",
      "a negative number raised to a non-integer power yields a complex result",
    );
  }
  return BigInt(canonicalNumeric(exponent).coefficient) % 2n === 0n ? numericInfinity : numericMinusInfinity;
}

function powerInteger(base: Numeric, exponent: number): Numeric {
  let weight = 0;
  if (base.coefficient !== 0) {
    const digits = String(base.coefficient).replace("-", "");
    const lead = digits.slice(0, 16);
    weight = exponent * (Math.log10(Number(lead)) + (digits.length - lead.length - base.scale));
  }
  if (weight > maxIntegerDigits) throw overflow();
  const scale = clampScale(Math.max(minSignificantDigits, base.scale));
  if (weight + 1 < -scale) return new Numeric(0, scale);
  if (exponent === 0) return roundNumeric(numericOne, scale);
  if (exponent === 1) return roundNumeric(base, scale);
  if (exponent === -1) return divideTo(numericOne, base, scale);
  if (base.coefficient === 0) return new Numeric(0, scale);
  const times = Math.abs(exponent);
  const keep = Math.max(Math.ceil(Math.abs(weight)), 0) + scale + 25 + Math.ceil(Math.log10(times));
  const power = powerTruncated(BigInt(base.coefficient), -base.scale, times, keep);
  if (exponent > 0) {
    const shift = power.exponent;
    if (shift >= 0) return roundNumeric(make(power.mantissa * bigTen(shift), 0), scale);
    return roundNumeric(new Numeric(wide(power.mantissa), -shift), scale);
  }
  const inverse = new Numeric(wide(power.mantissa), Math.max(-power.exponent, 0));
  return divideTo(
    numericOne,
    power.exponent > 0 ? new Numeric(wide(power.mantissa * bigTen(power.exponent)), 0) : inverse,
    scale,
  );
}

/** mantissa x 10^exponent by repeated squaring, cut to about `keep` significant digits on the way. */
function powerTruncated(
  mantissa: bigint,
  exponent: number,
  times: number,
  keep: number,
): { mantissa: bigint; exponent: number } {
  let result = 1n;
  let resultExponent = 0;
  let square = mantissa;
  let squareExponent = exponent;
  const excess = (value: bigint): number =>
    Math.max(Math.floor((value.toString(16).length - 2) * 4 * 0.30103) - keep, 0);
  for (let rest = times; ; ) {
    if (rest % 2 === 1) {
      result *= square;
      resultExponent += squareExponent;
      const drop = excess(result);
      result /= bigTen(drop);
      resultExponent += drop;
    }
    rest = Math.floor(rest / 2);
    if (rest === 0) return { mantissa: result, exponent: resultExponent };
    square *= square;
    squareExponent *= 2;
    const drop = excess(square);
    square /= bigTen(drop);
    squareExponent += drop;
  }
}

export function powerNumeric(base: Numeric, exponent: Numeric): Numeric {
  if (base.special !== "" || exponent.special !== "") return powerSpecial(base, exponent);
  if (base.coefficient === 0 && exponent.coefficient < 0) {
    throw new DbError("invalidArgumentForPowerFunction", "zero raised to a negative power is undefined");
  }
  const whole = canonicalNumeric(exponent);
  if (whole.scale === 0 && Math.abs(Number(whole.coefficient)) <= 2147483647) {
    return powerInteger(base, Number(whole.coefficient));
  }
  if (base.coefficient < 0 && whole.scale !== 0) {
    throw new DbError(
      "invalidArgumentForPowerFunction",
      "a negative number raised to a non-integer power yields a complex result",
    );
  }
  if (base.coefficient === 0) return new Numeric(0, minSignificantDigits);
  const magnitude = absNumeric(base);
  const natural = Math.log(numericToFloat(magnitude)) * numericToFloat(exponent);
  const estimate = Number.isFinite(natural)
    ? natural
    : Number(lnNumeric(magnitude).coefficient) * numericToFloat(exponent);
  if (Math.abs(estimate) > maxResultScale * 3.01) {
    if (estimate > 0) throw overflow();
    return new Numeric(0, maxDisplayScale);
  }
  const log10 = estimate * Math.LOG10E;
  const scale = clampScale(Math.max(minSignificantDigits - Math.trunc(log10), base.scale, exponent.scale));
  const precision = Math.max(Math.ceil(log10), 0) + scale + 20;
  const result = fromDecimal(toDecimal(magnitude, precision).pow(toDecimal(exponent, precision)), scale);
  const odd = whole.scale === 0 && BigInt(whole.coefficient) % 2n !== 0n;
  return base.coefficient < 0 && odd ? negateNumeric(result) : result;
}

/** n! ; 22003 for negative n or beyond numeric's range. */
export function factorialNumeric(n: Wide): Numeric {
  if (n < 0) throw new DbError("numericValueOutOfRange", "factorial of a negative number is undefined");
  if (n > 32177) throw overflow();
  // Products of ranges keep the factors of similar size.
  const product = (low: number, high: number): bigint => {
    if (high - low < 8) {
      let result = BigInt(low);
      for (let factor = low + 1; factor <= high; factor++) result *= BigInt(factor);
      return result;
    }
    const middle = (low + high) >> 1;
    return product(low, middle) * product(middle + 1, high);
  };
  return n < 2 ? numericOne : make(product(2, Number(n)), 0);
}

export function gcdNumeric(a: Numeric, b: Numeric): Numeric {
  if (a.special !== "" || b.special !== "") return numericNaN;
  const scale = Math.max(a.scale, b.scale);
  let x = BigInt(scaleUp(a.coefficient, scale - a.scale));
  let y = BigInt(scaleUp(b.coefficient, scale - b.scale));
  while (y !== 0n) [x, y] = [y, x % y];
  return make(x < 0n ? -x : x, scale);
}

export function lcmNumeric(a: Numeric, b: Numeric): Numeric {
  if (a.special !== "" || b.special !== "") return numericNaN;
  const scale = Math.max(a.scale, b.scale);
  if (a.coefficient === 0 || b.coefficient === 0) return new Numeric(0, scale);
  const gcd = gcdNumeric(a, b);
  const x = BigInt(scaleUp(a.coefficient, scale - a.scale)) / BigInt(gcd.coefficient);
  const result = x * BigInt(scaleUp(b.coefficient, scale - b.scale));
  return make(result < 0n ? -result : result, scale);
}

/** numeric(p, s): rounds to the scale, refuses more digits than the precision (22003 with PostgreSQL's detail). */
export function applyNumericTypmod(value: Numeric, precision: number, scale: number): Numeric {
  if (value.special === "NaN") return value;
  const detail = `A field with precision ${precision}, scale ${scale}`;
  if (value.special !== "") {
    throw new DbError("numericValueOutOfRange", "numeric field overflow", {
      detail: `${detail} cannot hold an infinite value.`,
    });
  }
  const rounded = roundNumeric(value, scale);
  const digits = digitCount(rounded.coefficient) - rounded.scale;
  if (rounded.coefficient !== 0 && digits > precision - scale) {
    const power = precision - scale;
    throw new DbError("numericValueOutOfRange", "numeric field overflow", {
      detail: `${detail} must round to an absolute value less than ${power === 0 ? "1" : `10^${power}`}.`,
    });
  }
  return rounded;
}

/** Base-10000 digits, as the binary format and numeric.c have them: value = sum digits[i] * 10000^(weight - i). */
export function numericGroups(value: Numeric): { weight: number; digits: number[] } {
  if (value.coefficient === 0) return { weight: 0, digits: [] };
  let text = value.coefficient < 0 ? String(value.coefficient).slice(1) : String(value.coefficient);
  const tail = (4 - (value.scale % 4)) % 4;
  text += "0".repeat(tail);
  const head = (4 - (text.length % 4)) % 4;
  text = "0".repeat(head) + text;
  const digits: number[] = [];
  for (let at = 0; at < text.length; at += 4) digits.push(Number(text.slice(at, at + 4)));
  let weight = text.length / 4 - (value.scale + tail) / 4 - 1;
  let start = 0;
  while (start < digits.length && digits[start] === 0) {
    start++;
    weight--;
  }
  let end = digits.length;
  while (end > start && digits[end - 1] === 0) end--;
  return { weight, digits: digits.slice(start, end) };
}

/** Inverse of `numericGroups`; digits beyond `scale` are cut. */
export function numericFromGroups(
  negative: boolean,
  weight: number,
  digits: readonly number[],
  scale: number,
): Numeric {
  if (digits.length === 0) return new Numeric(0, scale);
  let text = "";
  for (const digit of digits) text += String(digit).padStart(4, "0");
  const exponent = (weight - digits.length + 1) * 4;
  let coefficient = BigInt(text);
  const shift = exponent + scale;
  coefficient = shift >= 0 ? coefficient * bigTen(shift) : coefficient / bigTen(-shift);
  return make(negative ? -coefficient : coefficient, scale);
}
