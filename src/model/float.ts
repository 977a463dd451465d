/**
 * Text forms of real and double precision.
 *
 * Invariants: with extra_float_digits above 0 the output is the shortest that reads back the same; the layout (plain or
 * with exponent) is that of C's %g with 15 (double) or 6 (real) digits, as PostgreSQL shows it.
 */
import { DbError } from "../base/errors.js";

const floatText = /^[ \t\n\v\f\r]*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[ \t\n\v\f\r]*$/;
const specialText = /^[ \t\n\v\f\r]*([+-]?)(nan|infinity|inf)[ \t\n\v\f\r]*$/i;

/** 22P02 for other text, 22003 for magnitudes that would become infinite or zero. */
export function parseFloat8(text: string): number {
  return parse(text, "double precision", false);
}

export function parseFloat4(text: string): number {
  return parse(text, "real", true);
}

function parse(text: string, type: string, single: boolean): number {
  const match = floatText.exec(text);
  if (match === null) {
    const special = specialText.exec(text);
    if (special === null || (special[2]!.toLowerCase() === "nan" && special[1] !== "")) {
      throw new DbError("invalidTextRepresentation", `invalid input syntax for type ${type}: "${text}"`);
    }
    if (special[2]!.toLowerCase() === "nan") return Number.NaN;
    return special[1] === "-" ? -Infinity : Infinity;
  }
  const digits = match[1]!;
  const double = Number(digits);
  const value = single ? Math.fround(double) : double;
  const overflows = value === Infinity || value === -Infinity;
  if (overflows || (value === 0 && /^[+-]?[0.]*[1-9]/.test(digits))) {
    throw new DbError("numericValueOutOfRange", `"${text.trim()}" is out of range for type ${type}`);
  }
  return value;
}

export function formatFloat8(value: number, extraDigits: number): string {
  if (Number.isInteger(value) && value < 1e15 && value > -1e15) {
    return value === 0 && Object.is(value, -0) ? "-0" : String(value);
  }
  if (!Number.isFinite(value)) return special(value);
  if (extraDigits <= 0) return general(value, Math.max(15 + extraDigits, 1));
  return layout(value.toExponential(), 15);
}

export function formatFloat4(value: number, extraDigits: number): string {
  if (Number.isInteger(value) && value < 1e6 && value > -1e6) {
    return value === 0 && Object.is(value, -0) ? "-0" : String(value);
  }
  if (!Number.isFinite(value)) return special(value);
  if (extraDigits <= 0) return general(value, Math.max(6 + extraDigits, 1));
  for (let digits = 1; digits < 9; digits++) {
    const text = value.toExponential(digits - 1);
    if (Math.fround(Number(text)) === value) return layout(text, 6);
  }
  return layout(value.toExponential(8), 6);
}

function special(value: number): string {
  return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

/** C's %.{digits}g. */
export function general(value: number, digits: number): string {
  return layout(value.toExponential(digits - 1), digits);
}

/** Lays digits out plain for exponents -4 .. limit-1, otherwise as d.ddde+XX; trailing zeros go. */
function layout(exponential: string, limit: number): string {
  const at = exponential.indexOf("e");
  const exponent = Number(exponential.slice(at + 1));
  const negative = exponential.startsWith("-");
  let digits = exponential.slice(negative ? 1 : 0, at).replace(".", "");
  let end = digits.length;
  while (end > 1 && digits.charCodeAt(end - 1) === 48) end--;
  digits = digits.slice(0, end);
  let text: string;
  if (exponent < -4 || exponent >= limit) {
    const magnitude = Math.abs(exponent);
    const mantissa = digits.length === 1 ? digits : `${digits[0]}.${digits.slice(1)}`;
    text = `${mantissa}e${exponent < 0 ? "-" : "+"}${magnitude < 10 ? "0" : ""}${magnitude}`;
  } else if (exponent < 0) text = `0.${"0".repeat(-exponent - 1)}${digits}`;
  else if (digits.length <= exponent + 1) text = digits + "0".repeat(exponent + 1 - digits.length);
  else text = `${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`;
  return negative ? `-${text}` : text;
}
