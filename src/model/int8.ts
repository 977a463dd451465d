/**
 * 64-bit integers in the canonical form of value.ts: a number while it is a safe integer, a bigint beyond.
 *
 * Invariants: every result is canonical; results outside [-2^63, 2^63) throw 22003. The number paths allocate nothing.
 */
import { DbError } from "../base/errors.js";
import { type Wide, wide } from "./value.js";

export const int8Max = 9223372036854775807n;
export const int8Min = -9223372036854775808n;

function outOfRange(): DbError {
  return new DbError("numericValueOutOfRange", "bigint out of range");
}

/** Canonical form of a bigint, which must fit 64 bits. */
export function wideChecked(value: bigint): Wide {
  if (value > int8Max || value < int8Min) throw outOfRange();
  return wide(value);
}

export function wideAdd(a: Wide, b: Wide): Wide {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum + 0;
  }
  return wideChecked(BigInt(a) + BigInt(b));
}

export function wideSubtract(a: Wide, b: Wide): Wide {
  if (typeof a === "number" && typeof b === "number") {
    const difference = a - b;
    if (Number.isSafeInteger(difference)) return difference + 0;
  }
  return wideChecked(BigInt(a) - BigInt(b));
}

export function wideMultiply(a: Wide, b: Wide): Wide {
  if (typeof a === "number" && typeof b === "number") {
    const product = a * b;
    if (Number.isSafeInteger(product)) return product + 0;
  }
  return wideChecked(BigInt(a) * BigInt(b));
}

/** Truncates towards zero; 22012 on zero. */
export function wideDivide(a: Wide, b: Wide): Wide {
  if (b === 0) throw new DbError("divisionByZero", "division by zero");
  if (typeof a === "number" && typeof b === "number") {
    // The quotient of two safe integers may round up to the next integer; the remainder tells.
    return (a - (a % b)) / b + 0;
  }
  return wideChecked(BigInt(a) / BigInt(b));
}

export function wideModulo(a: Wide, b: Wide): Wide {
  if (b === 0) throw new DbError("divisionByZero", "division by zero");
  if (typeof a === "number" && typeof b === "number") return (a % b) + 0;
  return wide(BigInt(a) % BigInt(b));
}

export function wideNegate(a: Wide): Wide {
  return typeof a === "number" ? 0 - a : wideChecked(-a);
}

/** Mixed numbers and bigints compare by value in JavaScript, so this is exact. */
export function compareWide(a: Wide, b: Wide): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Floor division by a positive safe integer, for splitting times into days and rest. */
export function floorDivide(a: Wide, by: number): number {
  if (typeof a === "number") return Math.floor(a / by) - (Math.floor(a / by) * by > a ? 1 : 0);
  const divisor = BigInt(by);
  const quotient = a / divisor;
  return Number(a < 0n && quotient * divisor !== a ? quotient - 1n : quotient);
}

/** a - quotient * by, in [0, by), exact for the quotient `floorDivide` gave. */
export function floorRemainder(a: Wide, by: number, quotient: number): number {
  if (typeof a === "number") {
    const product = quotient * by;
    if (Number.isSafeInteger(product)) return a - product;
  }
  return Number(BigInt(a) - BigInt(quotient) * BigInt(by));
}

/** quotient * by + rest as a 64-bit integer. */
export function combine(quotient: number, by: number, rest: number): Wide {
  const value = quotient * by + rest;
  if (Number.isSafeInteger(value) && Number.isSafeInteger(quotient * by)) return value + 0;
  return wideChecked(BigInt(quotient) * BigInt(by) + BigInt(rest));
}

/** A number of up to 15 digits with or without a minus, as nearly all are; undefined: ask the pattern. */
function plainInteger(text: string): number | undefined {
  const { length } = text;
  if (length === 0 || length > 15) return undefined;
  const negative = text.charCodeAt(0) === 45;
  if (negative && length === 1) return undefined;
  let value = 0;
  for (let at = negative ? 1 : 0; at < length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return negative ? 0 - value : value;
}

const integerText = /^[ \t\n\v\f\r]*([+-]?)([0-9]+)[ \t\n\v\f\r]*$/;

/**
 * PostgreSQL's input of smallint, integer and bigint: blanks around, a sign, decimal digits.
 * Throws 22P02 for other text and 22003 out of range; `typeName` goes into the message.
 */
export function parseInteger(text: string, min: Wide, max: Wide, typeName: string): Wide {
  const plain = plainInteger(text);
  if (plain !== undefined && plain >= min && plain <= max) return plain;
  const match = integerText.exec(text);
  if (match === null) {
    throw new DbError("invalidTextRepresentation", `invalid input syntax for type ${typeName}: "${text}"`);
  }
  const digits = match[2]!;
  let value: Wide;
  if (digits.length <= 15) value = match[1] === "-" ? 0 - Number(digits) : Number(digits);
  else if (digits.length > 1000) value = 2n ** 64n;
  else value = wide(match[1] === "-" ? -BigInt(digits) : BigInt(digits));
  if (value < min || value > max) {
    throw new DbError("numericValueOutOfRange", `value "${text}" is out of range for type ${typeName}`);
  }
  return value;
}
