/**
 * Order-preserving key bytes: the order of two keys as byte strings (memcmp, a prefix first) is the order of their
 * column values under the index's DESC and NULLS FIRST / LAST. Equal values have equal bytes (1.0 and 1.00, -0 and 0,
 * '1 mon' and '30 days', 'a' and 'a ' as bpchar), so the bytes serve for uniqueness, too.
 *
 * | per column   | bytes                                                                                        |
 * |--------------|----------------------------------------------------------------------------------------------|
 * | marker       | 00 NULL that comes first, 01 a value, 02 NULL that comes last; never inverted                 |
 * | integers     | 2, 4, 8 bytes big-endian, sign bit flipped; oid and the like unsigned                         |
 * | date, times  | as int4 or int8; infinities are the extreme values                                            |
 * | float4/8     | IEEE bits big-endian; sign bit flipped, or all bits for negatives; -0 as 0, NaN greatest      |
 * | numeric      | head (sign and base-100 exponent), digit pairs + 1, end 00; all inverted for negatives         |
 * | text, bytea  | bytes with 00 as 01 01 and 01 as 01 02, end 00                                                |
 * | timetz       | instant (8), zone (4)                                                                         |
 * | interval     | days of 30-day months (5), microseconds of the day (5)                                        |
 * | uuid         | 16 bytes                                                                                      |
 * | array        | per element 01 value or 02 (NULL), end 00; then dimensions: count, lengths, lower bounds      |
 *
 * Bytes after the marker are inverted for DESC. NULLs of fixed-width types are filled with zeros, so that such keys
 * all have one length (dense B+tree leaves).
 *
 * Invariants: every column's bytes end themselves: the bytes of the first columns of a key are a prefix of it, and no
 * prefix of another value's. Encoding allocates nothing, but for numerics beyond 2^53.
 */
import { assert, DbError, notSupported } from "../base/errors.js";
import type { TypeRef } from "./schema.js";
import { elementTypeOf, oids, typeByOid } from "./type-table.js";
import type { Interval, Numeric, PgArray, TimeTz, Value, Wide } from "./value.js";

export interface KeyColumn {
  readonly type: TypeRef;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

export interface KeyLimits {
  /** Longest key in bytes: a third of a page; beyond it 54000. */
  readonly bytesMax: number;
  /** For the message. */
  readonly indexName?: string | undefined;
}

export interface KeyEncoder {
  readonly columns: readonly KeyColumn[];
  /** Length of every whole key, when it does not depend on the values; else 0. */
  readonly fixedLength: number;
  /** Room an encoded key may need behind `at`. */
  readonly bytesMax: number;
  /**
   * Writes the key of `values` (the first `values.length` columns; all, or a prefix for a range) at `into[at]` on;
   * returns the end. Throws 54000 when it is longer than `bytesMax`.
   */
  encode(values: readonly Value[], into: Uint8Array, at: number): number;
  /** The same for column `i` = `row[positions[i]]`: no array of key values is made. */
  encodeFrom(row: readonly Value[], positions: readonly number[], into: Uint8Array, at: number): number;
  /** The only column is text that is ordered by its bytes: `encodeText` may be used. */
  readonly isText: boolean;
  /** The same key as `encode` writes for the text with these UTF-8 bytes. */
  encodeText(bytes: Uint8Array, from: number, length: number, into: Uint8Array, at: number): number;
}

const markerNullFirst = 0x00;
const markerValue = 0x01;
const markerNullLast = 0x02;

/** Writes at `at`, not beyond `end`; returns the end of what it wrote, or -1 when there was no room. */
type Writer = (value: never, into: Uint8Array, at: number, end: number) => number;

interface Encoding {
  /** Bytes of every value; 0 when they vary. */
  readonly width: number;
  readonly write: Writer;
}

function putU32(value: number, into: Uint8Array, at: number): number {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
  return at + 4;
}

/** Five bytes of a number below 2^40. */
function putU40(value: number, into: Uint8Array, at: number): number {
  into[at] = Math.floor(value / 0x100000000);
  return putU32(value >>> 0, into, at + 1);
}

function writeBool(value: boolean, into: Uint8Array, at: number): number {
  into[at] = value ? 1 : 0;
  return at + 1;
}

function writeInt2(value: number, into: Uint8Array, at: number): number {
  const biased = value + 0x8000;
  into[at] = biased >>> 8;
  into[at + 1] = biased;
  return at + 2;
}

function writeInt4(value: number, into: Uint8Array, at: number): number {
  return putU32(value ^ 0x80000000, into, at);
}

function writeInt8(value: Wide, into: Uint8Array, at: number): number {
  if (typeof value === "number") {
    const high = Math.floor(value / 0x100000000);
    putU32(high ^ 0x80000000, into, at);
    return putU32((value - high * 0x100000000) >>> 0, into, at + 4);
  }
  putU32(Number(BigInt.asIntN(32, value >> 32n)) ^ 0x80000000, into, at);
  return putU32(Number(value & 0xffffffffn), into, at + 4);
}

function writeDate(value: number, into: Uint8Array, at: number): number {
  return writeInt4(value === Infinity ? 0x7fffffff : value === -Infinity ? -0x80000000 : value, into, at);
}

function writeTimestamp(value: Wide, into: Uint8Array, at: number): number {
  if (value === Infinity) {
    putU32(0xffffffff, into, at);
    return putU32(0xffffffff, into, at + 4);
  }
  if (value === -Infinity) {
    putU32(0, into, at);
    return putU32(0, into, at + 4);
  }
  return writeInt8(value, into, at);
}

const float8Scratch = new Float64Array(1);
const float8Words = new Uint32Array(float8Scratch.buffer);
const float4Scratch = new Float32Array(1);
const float4Words = new Uint32Array(float4Scratch.buffer);
const littleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

function writeFloat8(value: number, into: Uint8Array, at: number): number {
  // Adding 0 turns -0 into 0. Every NaN becomes the one whose bits lie above those of Infinity.
  float8Scratch[0] = value + 0;
  let high = float8Words[littleEndian ? 1 : 0]!;
  let low = float8Words[littleEndian ? 0 : 1]!;
  if (Number.isNaN(value)) {
    high = 0xfff80000;
    low = 0;
  } else if (high >>> 31 === 1) {
    high = ~high;
    low = ~low;
  } else {
    high ^= 0x80000000;
  }
  putU32(high, into, at);
  return putU32(low, into, at + 4);
}

function writeFloat4(value: number, into: Uint8Array, at: number): number {
  float4Scratch[0] = value + 0;
  const bits = float4Words[0]!;
  return putU32(Number.isNaN(value) ? 0xffc00000 : bits >>> 31 === 1 ? ~bits : bits ^ 0x80000000, into, at);
}

/** timetz: by instant (time plus zone west of UTC), then by zone, as PostgreSQL does. */
function writeTimeTz(value: TimeTz, into: Uint8Array, at: number): number {
  return writeInt4(value.zoneSeconds, into, writeInt8(value.micros + value.zoneSeconds * 1e6, into, at));
}

const microsPerDay = 86_400_000_000;

/** interval: PostgreSQL compares the span with months of 30 days and days of 24 hours. */
function writeInterval(value: Interval, into: Uint8Array, at: number): number {
  let days: number;
  let rest: number;
  if (typeof value.micros === "number") {
    rest = value.micros % microsPerDay;
    days = (value.micros - rest) / microsPerDay;
  } else {
    rest = Number(value.micros % BigInt(microsPerDay));
    days = Number(value.micros / BigInt(microsPerDay));
  }
  if (rest < 0) {
    rest += microsPerDay;
    days--;
  }
  days += value.months * 30 + value.days;
  // |days| < 2^31 * 30 + 2^31 + 2^27 < 2^37.
  return putU40(rest, into, putU40(days + 0x8000000000, into, at));
}

function hexDigit(code: number): number {
  return code <= 57 ? code - 48 : (code | 32) - 87;
}

function writeUuid(value: string, into: Uint8Array, at: number): number {
  let position = 0;
  for (let byte = 0; byte < 16; byte++) {
    if (value.charCodeAt(position) === 45) position++;
    into[at + byte] = (hexDigit(value.charCodeAt(position)) << 4) | hexDigit(value.charCodeAt(position + 1));
    position += 2;
  }
  return at + 16;
}

/** "char": one byte; the empty string is the zero byte. */
function writeChar(value: string, into: Uint8Array, at: number): number {
  const code = value.length === 0 ? 0 : value.charCodeAt(0);
  // PostgreSQL keeps the first byte of the text.
  into[at] = code < 0x80 ? code : code < 0x800 ? 0xc0 | (code >> 6) : 0xe0 | (code >> 12);
  return at + 1;
}

function writeString(value: string, length: number, into: Uint8Array, at: number, end: number): number {
  if (length >= end - at) return -1;
  for (let index = 0; index < length; index++) {
    let code = value.charCodeAt(index);
    if (at + 5 > end) {
      // Near the limit: what this character needs is at most 4 bytes, and the end 1.
      const need =
        code < 2 ? 2 : code < 0x80 ? 1 : code < 0x800 ? 2 : code >= 0xd800 && code < 0xdc00 ? 4 : 3;
      if (at + need + 1 > end) return -1;
    }
    if (code < 0x80) {
      if (code < 2) {
        into[at++] = 1;
        into[at++] = code + 1;
      } else {
        into[at++] = code;
      }
    } else if (code < 0x800) {
      into[at++] = 0xc0 | (code >> 6);
      into[at++] = 0x80 | (code & 63);
    } else {
      if (code >= 0xd800 && code < 0xe000) {
        const next = code < 0xdc00 && index + 1 < length ? value.charCodeAt(index + 1) : 0;
        if (next >= 0xdc00 && next < 0xe000) {
          const point = 0x10000 + ((code - 0xd800) << 10) + (next - 0xdc00);
          into[at++] = 0xf0 | (point >> 18);
          into[at++] = 0x80 | ((point >> 12) & 63);
          into[at++] = 0x80 | ((point >> 6) & 63);
          into[at++] = 0x80 | (point & 63);
          index++;
          continue;
        }
        code = 0xfffd;
      }
      into[at++] = 0xe0 | (code >> 12);
      into[at++] = 0x80 | ((code >> 6) & 63);
      into[at++] = 0x80 | (code & 63);
    }
  }
  if (at >= end) return -1;
  into[at] = 0;
  return at + 1;
}

function writeText(value: string, into: Uint8Array, at: number, end: number): number {
  return writeString(value, value.length, into, at, end);
}

/** As `writeString`, from UTF-8 bytes. */
function writeUtf8(
  bytes: Uint8Array,
  from: number,
  length: number,
  into: Uint8Array,
  at: number,
  end: number,
): number {
  if (length >= end - at) return -1;
  const to = from + length;
  if (2 * length < end - at) {
    // Room enough, whatever the bytes are.
    for (let byte = from; byte < to; byte++) {
      const value = bytes[byte]!;
      if (value < 2) {
        into[at++] = 1;
        into[at++] = value + 1;
      } else into[at++] = value;
    }
    into[at] = 0;
    return at + 1;
  }
  for (let byte = from; byte < to; byte++) {
    const value = bytes[byte]!;
    if (value < 2) {
      if (at + 2 >= end) return -1;
      into[at++] = 1;
      into[at++] = value + 1;
    } else {
      if (at + 1 >= end) return -1;
      into[at++] = value;
    }
  }
  into[at] = 0;
  return at + 1;
}

function writeBpchar(value: string, into: Uint8Array, at: number, end: number): number {
  let length = value.length;
  while (length > 0 && value.charCodeAt(length - 1) === 32) length--;
  return writeString(value, length, into, at, end);
}

function writeBytea(value: Uint8Array, into: Uint8Array, at: number, end: number): number {
  if (value.length >= end - at) return -1;
  for (let index = 0; index < value.length; index++) {
    const byte = value[index]!;
    if (at + (byte < 2 ? 3 : 2) > end) return -1;
    if (byte < 2) {
      into[at++] = 1;
      into[at++] = byte + 1;
    } else {
      into[at++] = byte;
    }
  }
  if (at >= end) return -1;
  into[at] = 0;
  return at + 1;
}

/**
 * Heads of numerics. A finite value is +-0.p1p2p3... x 100^exponent with pairs 0-99, p1 > 0. Small exponents are in the
 * head of a positive value, others follow in three bytes; a negative value is the inverse of its positive.
 */
const numericHead = {
  minusInfinity: 0x00,
  zero: 0x80,
  tinyExponent: 0x82,
  smallExponent: 0x84, // + exponent + 50
  largeExponent: 0xf0,
  infinity: 0xfe,
  nan: 0xff,
} as const;
const smallExponentMax = 50;

/** Digit pairs of the value at hand, lowest first. */
const pairs = new Uint8Array(10);

function writeNumeric(value: Numeric, into: Uint8Array, at: number, end: number): number {
  if (at + 5 > end) return -1;
  const coefficient = value.coefficient;
  if (value.special !== "" || coefficient === 0) {
    into[at] =
      value.special === "NaN"
        ? numericHead.nan
        : value.special === "Infinity"
          ? numericHead.infinity
          : value.special === "-Infinity"
            ? numericHead.minusInfinity
            : numericHead.zero;
    return at + 1;
  }
  const start = at;
  const odd = value.scale & 1;
  const pairsAfterPoint = (value.scale + odd) / 2;
  if (typeof coefficient === "number") {
    let rest = coefficient < 0 ? -coefficient : coefficient;
    let count = 0;
    if (odd === 1) {
      const tenth = Math.floor(rest / 10);
      pairs[count++] = (rest - tenth * 10) * 10;
      rest = tenth;
    }
    while (rest > 0) {
      const hundredth = Math.floor(rest / 100);
      pairs[count++] = rest - hundredth * 100;
      rest = hundredth;
    }
    at = writeExponent(count - pairsAfterPoint, into, at);
    let lowest = 0;
    while (pairs[lowest] === 0) lowest++;
    if (at + count - lowest + 1 > end) return -1;
    for (let pair = count - 1; pair >= lowest; pair--) into[at++] = pairs[pair]! + 1;
  } else {
    let digits = (coefficient < 0n ? -coefficient : coefficient).toString();
    if (odd === 1) digits += "0";
    if (digits.length & 1) digits = `0${digits}`;
    const count = digits.length / 2;
    at = writeExponent(count - pairsAfterPoint, into, at);
    let last = digits.length;
    while (digits.charCodeAt(last - 1) === 48 && digits.charCodeAt(last - 2) === 48) last -= 2;
    if (at + last / 2 + 1 > end) return -1;
    for (let digit = 0; digit < last; digit += 2)
      into[at++] = (digits.charCodeAt(digit) - 48) * 10 + digits.charCodeAt(digit + 1) - 47;
  }
  into[at++] = 0;
  if (coefficient < 0) {
    into[start] = 0x100 - into[start]!;
    for (let byte = start + 1; byte < at; byte++) into[byte] = into[byte]! ^ 0xff;
  }
  return at;
}

function writeExponent(exponent: number, into: Uint8Array, at: number): number {
  if (exponent >= -smallExponentMax && exponent <= smallExponentMax) {
    into[at] = numericHead.smallExponent + exponent + smallExponentMax;
    return at + 1;
  }
  into[at] = exponent < 0 ? numericHead.tinyExponent : numericHead.largeExponent;
  const biased = exponent + 0x800000;
  into[at + 1] = biased >>> 16;
  into[at + 2] = biased >>> 8;
  into[at + 3] = biased;
  return at + 4;
}

function arrayWriter(element: Encoding): Writer {
  const write = element.write as (value: Value, into: Uint8Array, at: number, end: number) => number;
  return (value: PgArray, into: Uint8Array, at: number, end: number): number => {
    const { elements, dims, lowerBounds } = value;
    for (let index = 0; index < elements.length; index++) {
      const item = elements[index]!;
      if (at + 2 + element.width > end) return -1;
      if (item === null) {
        into[at++] = 2;
        continue;
      }
      into[at++] = 1;
      at = write(item, into, at, end);
      if (at < 0) return -1;
    }
    if (at + 2 + 8 * dims.length > end) return -1;
    into[at++] = 0;
    into[at++] = dims.length;
    for (let index = 0; index < dims.length; index++) at = putU32(dims[index]!, into, at);
    for (let index = 0; index < dims.length; index++) at = writeInt4(lowerBounds[index]!, into, at);
    return at;
  };
}

const unsigned: Encoding = { width: 4, write: putU32 };

/** Types with an order that indexes can keep. */
const encodings: ReadonlyMap<number, Encoding> = new Map<number, Encoding>([
  [oids.bool, { width: 1, write: writeBool }],
  [oids.int2, { width: 2, write: writeInt2 }],
  [oids.int4, { width: 4, write: writeInt4 }],
  [oids.int8, { width: 8, write: writeInt8 }],
  [oids.oid, unsigned],
  [oids.regproc, unsigned],
  [oids.regclass, unsigned],
  [oids.regtype, unsigned],
  [oids.regrole, unsigned],
  [oids.regnamespace, unsigned],
  [oids.float4, { width: 4, write: writeFloat4 }],
  [oids.float8, { width: 8, write: writeFloat8 }],
  [oids.numeric, { width: 0, write: writeNumeric }],
  [oids.text, { width: 0, write: writeText }],
  [oids.varchar, { width: 0, write: writeText }],
  [oids.name, { width: 0, write: writeText }],
  [oids.bpchar, { width: 0, write: writeBpchar }],
  [oids.char, { width: 1, write: writeChar }],
  [oids.bytea, { width: 0, write: writeBytea }],
  [oids.uuid, { width: 16, write: writeUuid }],
  [oids.date, { width: 4, write: writeDate }],
  [oids.time, { width: 8, write: writeInt8 }],
  [oids.timetz, { width: 12, write: writeTimeTz }],
  [oids.timestamp, { width: 8, write: writeTimestamp }],
  [oids.timestamptz, { width: 8, write: writeTimestamp }],
  [oids.interval, { width: 10, write: writeInterval }],
]);

function encodingOf(oid: number): Encoding | undefined {
  const plain = encodings.get(oid);
  if (plain !== undefined) return plain;
  const type = typeByOid(oid);
  const element = type?.isArray === true ? encodings.get(elementTypeOf(oid) ?? 0) : undefined;
  return element === undefined ? undefined : { width: 0, write: arrayWriter(element) };
}

/** Whether values of the type can be key columns. */
export function isIndexable(oid: number): boolean {
  return encodingOf(oid) !== undefined;
}

function tooLong(limits: KeyLimits, values: number): DbError {
  const index = limits.indexName === undefined ? "" : ` for index "${limits.indexName}"`;
  return new DbError("programLimitExceeded", `index row size exceeds maximum ${limits.bytesMax}${index}`, {
    detail: `The key has ${values} column${values === 1 ? "" : "s"}; its bytes may be at most a third of a page.`,
    hint: "Values larger than 1/3 of a buffer page cannot be indexed.\nConsider a function index of an MD5 hash of the value, or use full text indexing.",
  });
}

/**
 * Prepares the encoding of keys with these columns. Throws notSupported (0A000) for a column type without an order
 * here (jsonb, records, arrays of them).
 */
export function keyEncoder(columns: readonly KeyColumn[], limits: KeyLimits): KeyEncoder {
  const count = columns.length;
  const writers: ((value: Value, into: Uint8Array, at: number, end: number) => number)[] = [];
  const widths: number[] = [];
  const descending: boolean[] = [];
  const nullMarkers: number[] = [];
  let fixedLength = 0;
  for (const column of columns) {
    const encoding = encodingOf(column.type.oid);
    if (encoding === undefined)
      throw notSupported(`an index on type ${typeByOid(column.type.oid)?.name ?? column.type.oid}`);
    writers.push(encoding.write as (value: Value, into: Uint8Array, at: number, end: number) => number);
    widths.push(encoding.width);
    descending.push(column.descending);
    nullMarkers.push(column.nullsFirst ? markerNullFirst : markerNullLast);
    if (encoding.width === 0) fixedLength = Number.NaN;
    fixedLength += 1 + encoding.width;
  }
  if (Number.isNaN(fixedLength)) fixedLength = 0;
  if (fixedLength > limits.bytesMax) throw tooLong(limits, count);

  function put(column: number, value: Value, into: Uint8Array, at: number, end: number): number {
    const width = widths[column]!;
    if (at + 1 + width > end) return -1;
    if (value === null) {
      into[at] = nullMarkers[column]!;
      if (width > 0) into.fill(0, at + 1, at + 1 + width);
      return at + 1 + width;
    }
    into[at] = markerValue;
    const from = at + 1;
    const to = writers[column]!(value, into, from, end);
    if (descending[column]!) for (let byte = from; byte < to; byte++) into[byte] = into[byte]! ^ 0xff;
    return to;
  }

  return {
    columns,
    fixedLength,
    bytesMax: fixedLength === 0 ? limits.bytesMax : fixedLength,
    encode(values, into, at) {
      assert(values.length <= count, "more values than key columns");
      const end = at + limits.bytesMax;
      for (let column = 0; column < values.length; column++) {
        at = put(column, values[column]!, into, at, end);
        if (at < 0) throw tooLong(limits, values.length);
      }
      assert(at <= into.length, "the key buffer is too short");
      return at;
    },
    isText: count === 1 && encodingOf(columns[0]!.type.oid)?.write === writeText,
    encodeText(bytes, from, length, into, at) {
      into[at] = markerValue;
      const end = writeUtf8(bytes, from, length, into, at + 1, at + limits.bytesMax);
      if (end < 0) throw tooLong(limits, 1);
      if (descending[0]!) for (let byte = at + 1; byte < end; byte++) into[byte] = into[byte]! ^ 0xff;
      return end;
    },
    encodeFrom(row, positions, into, at) {
      assert(positions.length <= count, "more values than key columns");
      const end = at + limits.bytesMax;
      for (let column = 0; column < positions.length; column++) {
        at = put(column, row[positions[column]!]!, into, at, end);
        if (at < 0) throw tooLong(limits, positions.length);
      }
      assert(at <= into.length, "the key buffer is too short");
      return at;
    },
  };
}

const encoders = new WeakMap<readonly KeyColumn[], KeyEncoder>();

/** One key without keeping an encoder by hand; encoders are remembered by the identity of `columns`. */
export function encodeKey(
  columns: readonly KeyColumn[],
  values: readonly Value[],
  into: Uint8Array,
  at: number,
  bytesMax = Math.floor(16384 / 3),
): number {
  let encoder = encoders.get(columns);
  if (encoder === undefined) {
    encoder = keyEncoder(columns, { bytesMax });
    encoders.set(columns, encoder);
  }
  return encoder.encode(values, into, at);
}

/**
 * Turns the bytes [from, to) into the least byte string above every string they are a prefix of (for ranges that
 * include all keys with a prefix); returns its end, or -1 when there is none (all bytes are ff).
 */
export function keySuccessor(bytes: Uint8Array, from: number, to: number): number {
  while (to > from) {
    if (bytes[to - 1]! !== 0xff) {
      bytes[to - 1]!++;
      return to;
    }
    to--;
  }
  return -1;
}
