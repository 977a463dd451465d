/**
 * DER (ITU-T X.690), as much of it as certificates, requests and revocation lists are made of: a writer of elements, and a
 * reader that takes what the writer would have written and nothing else.
 *
 * Invariants: a value has one encoding, so two readers of the same bytes never see different things in them, and a list
 * whose bytes were changed is never taken for the list it was; reading never goes deeper than its caller asks, so no
 * input makes it recurse; its work is linear in the input.
 */
import { DbError } from "../base/errors.js";

/** Tags of X.690 8.1.2 as they stand in the byte, with the bit of constructed ones. */
export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** [n] of a context: `constructed` wraps elements, else the content itself. */
export const contextTag = (n: number, constructed: boolean): number => 0x80 | (constructed ? 0x20 : 0) | n;

// --- writing -----------------------------------------------------------------------------------------------------

function lengthOf(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}

/** Tag, length and the parts one after the other. */
export function element(tagByte: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([tagByte, ...lengthOf(length)]), ...parts]);
}
export const sequence = (...parts: readonly Uint8Array[]): Buffer => element(tag.sequence, ...parts);

/** A number that is not negative, from its big-endian bytes. */
export function unsigned(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const digits = bytes.length === 0 ? Buffer.from([0]) : bytes.subarray(start);
  return element(tag.integer, Buffer.from(digits[0]! & 0x80 ? [0] : []), digits);
}
export function integer(value: number): Buffer {
  const hex = value.toString(16);
  return unsigned(Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex"));
}

/** "1.3.6.1": arcs may be as long as a UUID (2.25, ITU-T X.667). */
export function objectIdentifier(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split(".").map(BigInt);
  const arcs = [first! * 40n + second!, ...rest];
  const bytes = arcs.flatMap((arc) => {
    const septets = [Number(arc & 0x7fn)];
    for (let left = arc >> 7n; left > 0n; left >>= 7n) septets.unshift(Number(left & 0x7fn) | 0x80);
    return septets;
  });
  return element(tag.objectIdentifier, Buffer.from(bytes));
}

/** `unusedBits` are those at the end of the last byte. */
export const bitString = (bytes: Uint8Array, unusedBits = 0): Buffer =>
  element(tag.bitString, Buffer.from([unusedBits]), bytes);
/** Bits by number, the first being the highest of the first byte: named bits as DER wants them, without zeros at the end. */
export function namedBits(...numbers: readonly number[]): Buffer {
  const last = Math.max(...numbers);
  const bytes = Buffer.alloc((last >> 3) + 1);
  for (const bit of numbers) bytes[bit >> 3]! |= 0x80 >> (bit & 7);
  return bitString(bytes, 7 - (last & 7));
}
export const octetString = (bytes: Uint8Array): Buffer => element(tag.octetString, bytes);
export const utf8String = (text: string): Buffer => element(tag.utf8String, Buffer.from(text, "utf8"));
export const boolean = (value: boolean): Buffer => element(tag.boolean, Buffer.from([value ? 0xff : 0]));

/** A moment to the second, milliseconds since 1970: two digits of the year until 2049 (RFC 5280 4.1.2.5). */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/\.\d+Z$|[-:T]/g, "");
  return digits < "2050"
    ? element(tag.utcTime, Buffer.from(`${digits.slice(2)}Z`))
    : element(tag.generalizedTime, Buffer.from(`${digits}Z`));
}

// --- reading -----------------------------------------------------------------------------------------------------

/** Why bytes are not what they were taken for. Never leaves this folder: `reading` makes a `DbError` of it. */
export class DerError extends Error {
  override readonly name = "DerError";
}

export interface Element {
  readonly tag: number;
  /** Views of what was read. */
  readonly content: Uint8Array;
  readonly whole: Uint8Array;
}

function elementAt(bytes: Uint8Array, at: number): Element {
  if (bytes.length - at < 2) throw new DerError("it ends too early");
  const tagByte = bytes[at]!;
  if ((tagByte & 0x1f) === 0x1f) throw new DerError("a tag of several bytes");
  let start = at + 2;
  let length = bytes[at + 1]!;
  if (length >= 0x80) {
    const digits = length - 0x80;
    if (digits === 0 || digits > 4) throw new DerError("a length of no fixed size");
    if (bytes.length - start < digits) throw new DerError("it ends too early");
    length = 0;
    for (let digit = 0; digit < digits; digit++) length = length * 256 + bytes[start + digit]!;
    start += digits;
    if (length < 0x80 || length < 256 ** (digits - 1)) throw new DerError("a length that could be shorter");
  }
  if (bytes.length - start < length) throw new DerError("it ends too early");
  return {
    tag: tagByte,
    content: bytes.subarray(start, start + length),
    whole: bytes.subarray(at, start + length),
  };
}

/** More than any structure here has, lists aside: what nobody signed yet must not fill the memory. */
const partsMax = 64;

/** The elements that stand one after the other in `bytes`, which they fill. */
export function elements(bytes: Uint8Array, most = partsMax): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (found.length === most) throw new DerError(`more than ${most} parts`);
    const one = elementAt(bytes, at);
    found.push(one);
    at += one.whole.length;
  }
  return found;
}

/** The one element that `bytes` are. */
export function only(bytes: Uint8Array): Element {
  const one = elementAt(bytes, 0);
  if (one.whole.length !== bytes.length) throw new DerError("bytes after its end");
  return one;
}

/** The content of an element that must be there and have this tag. */
export function contentOf(one: Element | undefined, tagByte: number): Uint8Array {
  if (one === undefined) throw new DerError("a part is missing");
  if (one.tag !== tagByte) throw new DerError(`tag ${one.tag} where ${tagByte} belongs`);
  return one.content;
}
export const partsOf = (
  one: Element | undefined,
  tagByte: number = tag.sequence,
  most = partsMax,
): Element[] => elements(contentOf(one, tagByte), most);

/** An INTEGER that is not negative, as its bytes without a sign. */
export function unsignedOf(one: Element | undefined): Uint8Array {
  const bytes = contentOf(one, tag.integer);
  if (bytes.length === 0 || bytes[0]! >= 0x80) throw new DerError("a number below zero");
  if (bytes.length === 1 || bytes[0] !== 0) return bytes;
  if (bytes[1]! < 0x80) throw new DerError("a number that could be shorter");
  return bytes.subarray(1);
}
/** An INTEGER from 0 to 2^53 - 1. */
export function integerOf(one: Element | undefined): number {
  const bytes = unsignedOf(one);
  const value =
    bytes.length > 8 ? Number.POSITIVE_INFINITY : bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  if (!Number.isSafeInteger(value)) throw new DerError("a number too large");
  return value;
}
export function booleanOf(one: Element): boolean {
  const bytes = contentOf(one, tag.boolean);
  if (bytes.length !== 1 || (bytes[0] !== 0 && bytes[0] !== 0xff))
    throw new DerError("neither true nor false");
  return bytes[0] === 0xff;
}
/** The bytes of a BIT STRING of whole bytes. */
export function wholeBitsOf(one: Element | undefined): Uint8Array {
  const bytes = contentOf(one, tag.bitString);
  if (bytes[0] !== 0) throw new DerError("bits that are no whole bytes");
  return bytes.subarray(1);
}

/** Milliseconds since 1970 of a time as RFC 5280 4.1.2.5 writes it: with two digits of the year until 2049. */
export function timeOf(one: Element | undefined): number {
  if (one === undefined) throw new DerError("a part is missing");
  const text = Buffer.from(one.content).toString("latin1");
  const short = one.tag === tag.utcTime;
  if (!short && one.tag !== tag.generalizedTime) throw new DerError(`tag ${one.tag} where a time belongs`);
  if (!(short ? /^\d{12}Z$/ : /^\d{14}Z$/).test(text)) throw new DerError("no time in UTC to the second");
  if (!short && text < "2050") throw new DerError("a time that could be shorter");
  const digits = short ? `${text < "50" ? "20" : "19"}${text}` : text;
  const two = (at: number): number => Number(digits.slice(at, at + 2));
  const [month, day, hour, minute, second] = [two(4), two(6), two(8), two(10), two(12)];
  const moment = new Date(Date.UTC(Number(digits.slice(0, 4)), month - 1, day, hour, minute, second));
  // The 30th of February would be the 2nd of March, a minute of 60 seconds the next one.
  const isReal =
    moment.getUTCMonth() === month - 1 &&
    moment.getUTCDate() === day &&
    moment.getUTCHours() === hour &&
    moment.getUTCMinutes() === minute &&
    moment.getUTCSeconds() === second;
  if (!isReal) throw new DerError("no moment that there is");
  return moment.getTime();
}

/**
 * What `read` makes of bytes that came from outside.
 * @throws DbError invalidParameterValue (22023) where they are not what `what` names
 */
export function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new DbError("invalidParameterValue", `${what} cannot be read`, { detail: error.message }, error);
  }
}

// --- PEM (RFC 7468) ----------------------------------------------------------------------------------------------

export function pemOf(der: Uint8Array, label: string): string {
  const lines = Buffer.from(der.buffer, der.byteOffset, der.length)
    .toString("base64")
    .replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

/**
 * The bytes of the one block that `pem` is. Blank at its ends and the way lines are broken are free, base64 is not: what
 * else it could stand for is refused.
 */
export function derOfPem(pem: string, label: string, charactersMax: number): Buffer {
  if (pem.length > charactersMax) throw new DerError(`more than ${charactersMax} characters`);
  const text = pem.trim();
  const [head, foot] = [`-----BEGIN ${label}-----`, `-----END ${label}-----`];
  if (!text.startsWith(head) || !text.endsWith(foot)) throw new DerError(`it is no PEM block "${label}"`);
  const letters = text.slice(head.length, text.length - foot.length).replace(/[\r\n\t ]/g, "");
  const der = Buffer.from(letters, "base64");
  if (der.length === 0 || der.toString("base64") !== letters) throw new DerError("its base64 is broken");
  return der;
}
