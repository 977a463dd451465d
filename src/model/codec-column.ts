/**
 * How column values lie on a page: storage classes, and the bytes of each.
 *
 * A column's storage class follows from its type alone (D5). Fixed classes have a width and lie in dense arrays,
 * little-endian; variable ones are byte strings in the page's heap. The class is what pages are decoded by, so a
 * class number is never given another meaning.
 *
 * | kind      | types                              | width | bytes                                                   |
 * |-----------|------------------------------------|-------|---------------------------------------------------------|
 * | text      | text varchar bpchar name json jsonb| var   | UTF-8                                                   |
 * | bytes     | bytea                              | var   | as they are                                             |
 * | tagged    | everything not listed              | var   | `encodeTagged`: a tag byte, then the value              |
 * | bool char | bool, "char"                       | 1     | 0 or 1; the character's code, 0 for the empty string    |
 * | int2      | int2                               | 2     |                                                         |
 * | int4 date | int4, date                         | 4     | infinite dates are the ends of the range                |
 * | oid       | oid, reg*, xid, cid                | 4     | unsigned                                                |
 * | float4    | float4                             | 4     |                                                         |
 * | int8 time | int8, time                         | 8     |                                                         |
 * | timestamp | timestamp(tz)                      | 8     | infinities are the ends of the range                    |
 * | float8    | float8                             | 8     |                                                         |
 * | numeric   | numeric(p <= 18, s >= 0)           | 8     | value x 10^s; the lowest number is NaN                  |
 * | uuid      | uuid                               | 16    | in the order written                                    |
 *
 * Invariant: decoding what was encoded gives an equal, canonical value (value.ts).
 */
import { assert, DbError } from "../base/errors.js";
import type { TypeRef } from "./schema.js";
import { Interval, Numeric, PgArray, RowValue, TimeTz, type Value, type Wide, wide } from "./value.js";

export const StorageKind = {
  text: 0,
  bytes: 1,
  tagged: 2,
  bool: 3,
  char: 4,
  int2: 5,
  int4: 6,
  oid: 7,
  float4: 8,
  date: 9,
  int8: 10,
  float8: 11,
  time: 12,
  timestamp: 13,
  numeric: 14,
  uuid: 15,
} as const;

/** Bytes by kind; 0 for variable ones. */
export const storageWidths: readonly number[] = [0, 0, 0, 1, 1, 2, 4, 4, 4, 4, 8, 8, 8, 8, 8, 16];

export interface StorageClass {
  readonly kind: number;
  readonly width: number;
  /** Decimal places of a scaled numeric, else 0. */
  readonly scale: number;
}

const kindByOid = new Map<number, number>([
  [16, StorageKind.bool],
  [17, StorageKind.bytes],
  [18, StorageKind.char],
  [19, StorageKind.text],
  [20, StorageKind.int8],
  [21, StorageKind.int2],
  [23, StorageKind.int4],
  [24, StorageKind.oid],
  [25, StorageKind.text],
  [26, StorageKind.oid],
  [28, StorageKind.oid],
  [29, StorageKind.oid],
  [114, StorageKind.text],
  [700, StorageKind.float4],
  [701, StorageKind.float8],
  [1042, StorageKind.text],
  [1043, StorageKind.text],
  [1082, StorageKind.date],
  [1083, StorageKind.time],
  [1114, StorageKind.timestamp],
  [1184, StorageKind.timestamp],
  [2202, StorageKind.oid],
  [2203, StorageKind.oid],
  [2204, StorageKind.oid],
  [2205, StorageKind.oid],
  [2206, StorageKind.oid],
  [2950, StorageKind.uuid],
  [3734, StorageKind.oid],
  [3769, StorageKind.oid],
  [3802, StorageKind.text],
  [4089, StorageKind.oid],
  [4096, StorageKind.oid],
  [4191, StorageKind.oid],
]);

const numericOid = 1700;
const numericDigitsMax = 18;

export function storageClassOf(type: TypeRef): StorageClass {
  if (type.oid === numericOid && type.typmod >= 4) {
    const precision = (type.typmod - 4) >>> 16;
    const scale = (((type.typmod - 4) & 0x7ff) ^ 1024) - 1024;
    if (precision <= numericDigitsMax && scale >= 0 && scale <= 255) {
      return { kind: StorageKind.numeric, width: 8, scale };
    }
  }
  const kind = kindByOid.get(type.oid) ?? StorageKind.tagged;
  return { kind, width: storageWidths[kind]!, scale: 0 };
}

export function sameClass(a: StorageClass, b: StorageClass): boolean {
  return a.kind === b.kind && a.scale === b.scale;
}

/** The five views of one memory that fixed values are read and written through. */
export interface Views {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  readonly view: DataView;
}

const two32 = 4294967296;
const dateMax = 2147483647;
const dateMin = -2147483648;
const hiMax = 0x7fffffff;
const hiMin = -0x80000000;

/** Writes a 64-bit integer as two halves; `at` is a multiple of 8. */
export function writeWide(memory: Views, at: number, value: Wide): void {
  if (typeof value === "number") {
    memory.u32[at >>> 2] = value >>> 0;
    memory.i32[(at >>> 2) + 1] = Math.floor(value / two32);
  } else {
    memory.view.setBigInt64(at, value, true);
  }
}

export function readWide(memory: Views, at: number): Wide {
  const high = memory.i32[(at >>> 2) + 1]!;
  if (high >= -2097152 && high < 2097152) {
    const value = high * two32 + memory.u32[at >>> 2]!;
    if (value !== -9007199254740992) return value;
  }
  return memory.view.getBigInt64(at, true);
}

/** The coefficient of `value` at `scale` digits; the caller has cast the value to the column's type already. */
function rescale(value: Numeric, scale: number): Wide {
  if (value.scale === scale) return value.coefficient;
  if (value.scale < scale) return wide(BigInt(value.coefficient) * 10n ** BigInt(scale - value.scale));
  const divisor = 10n ** BigInt(value.scale - scale);
  const coefficient = BigInt(value.coefficient);
  assert(coefficient % divisor === 0n, "a numeric has more digits than its column");
  return wide(coefficient / divisor);
}

/** Writes a non-null value of a fixed class at `at`, which is aligned to its width (16: to 8). */
export function writeFixed(memory: Views, at: number, kind: number, scale: number, value: Value): void {
  switch (kind) {
    case StorageKind.bool:
      memory.u8[at] = value === true ? 1 : 0;
      return;
    case StorageKind.char:
      memory.u8[at] = (value as string).length === 0 ? 0 : (value as string).charCodeAt(0);
      return;
    case StorageKind.int2:
      memory.u16[at >>> 1] = value as number;
      return;
    case StorageKind.int4:
      memory.i32[at >>> 2] = value as number;
      return;
    case StorageKind.oid:
      memory.u32[at >>> 2] = value as number;
      return;
    case StorageKind.float4:
      memory.view.setFloat32(at, value as number, true);
      return;
    case StorageKind.date: {
      const days = value as number;
      memory.i32[at >>> 2] =
        days === Number.POSITIVE_INFINITY ? dateMax : days === Number.NEGATIVE_INFINITY ? dateMin : days;
      return;
    }
    case StorageKind.int8:
    case StorageKind.time:
      writeWide(memory, at, value as Wide);
      return;
    case StorageKind.float8:
      memory.f64[at >>> 3] = value as number;
      return;
    case StorageKind.timestamp:
      if (value === Number.POSITIVE_INFINITY) {
        memory.u32[at >>> 2] = 0xffffffff;
        memory.i32[(at >>> 2) + 1] = hiMax;
      } else if (value === Number.NEGATIVE_INFINITY) {
        memory.u32[at >>> 2] = 0;
        memory.i32[(at >>> 2) + 1] = hiMin;
      } else {
        writeWide(memory, at, value as Wide);
      }
      return;
    case StorageKind.numeric: {
      const numeric = value as Numeric;
      if (numeric.special !== "") {
        assert(numeric.special === "NaN", "an infinite numeric has no place in numeric(p,s)");
        memory.u32[at >>> 2] = 0;
        memory.i32[(at >>> 2) + 1] = hiMin;
      } else {
        writeWide(memory, at, rescale(numeric, scale));
      }
      return;
    }
    case StorageKind.uuid:
      writeUuid(memory.u8, at, value as string);
      return;
    default:
      assert(false, `storage class ${kind} is not fixed`);
  }
}

export function readFixed(memory: Views, at: number, kind: number, scale: number): Value {
  switch (kind) {
    case StorageKind.bool:
      return memory.u8[at] === 1;
    case StorageKind.char: {
      const code = memory.u8[at]!;
      return code === 0 ? "" : String.fromCharCode(code);
    }
    case StorageKind.int2:
      return (memory.u16[at >>> 1]! << 16) >> 16;
    case StorageKind.int4:
      return memory.i32[at >>> 2]!;
    case StorageKind.oid:
      return memory.u32[at >>> 2]!;
    case StorageKind.float4:
      return memory.view.getFloat32(at, true);
    case StorageKind.date:
      return dateOf(memory.i32[at >>> 2]!);
    case StorageKind.int8:
    case StorageKind.time:
      return readWide(memory, at);
    case StorageKind.float8:
      return memory.f64[at >>> 3]!;
    case StorageKind.timestamp:
      return timestampOf(memory, at);
    case StorageKind.numeric:
      return numericOf(memory, at, scale);
    case StorageKind.uuid:
      return readUuid(memory.u8, at);
    default:
      assert(false, `storage class ${kind} is not fixed`);
  }
}

export function dateOf(stored: number): number {
  if (stored === dateMax) return Number.POSITIVE_INFINITY;
  if (stored === dateMin) return Number.NEGATIVE_INFINITY;
  return stored;
}

export function timestampOf(memory: Views, at: number): Wide {
  const high = memory.i32[(at >>> 2) + 1]!;
  if (high === hiMax && memory.u32[at >>> 2] === 0xffffffff) return Number.POSITIVE_INFINITY;
  if (high === hiMin && memory.u32[at >>> 2] === 0) return Number.NEGATIVE_INFINITY;
  return readWide(memory, at);
}

const notANumber = new Numeric(0, 0, "NaN");

export function numericOf(memory: Views, at: number, scale: number): Numeric {
  if (memory.i32[(at >>> 2) + 1] === hiMin && memory.u32[at >>> 2] === 0) return notANumber;
  return new Numeric(readWide(memory, at), scale);
}

const hexDigit = new Uint8Array(128).fill(255);
for (let digit = 0; digit < 16; digit++) {
  hexDigit[digit.toString(16).charCodeAt(0)] = digit;
  hexDigit[digit.toString(16).toUpperCase().charCodeAt(0)] = digit;
}
const hexPairs: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

function writeUuid(u8: Uint8Array, at: number, text: string): void {
  assert(text.length === 36, "a uuid has 36 characters");
  let position = 0;
  for (let byte = 0; byte < 16; byte++) {
    if (byte === 4 || byte === 6 || byte === 8 || byte === 10) position++;
    u8[at + byte] =
      (hexDigit[text.charCodeAt(position) & 127]! << 4) | hexDigit[text.charCodeAt(position + 1) & 127]!;
    position += 2;
  }
}

function readUuid(u8: Uint8Array, at: number): string {
  let text = "";
  for (let byte = 0; byte < 16; byte++) {
    if (byte === 4 || byte === 6 || byte === 8 || byte === 10) text += "-";
    text += hexPairs[u8[at + byte]!]!;
  }
  return text;
}

/** A byte string under construction; grows by doubling up to `sinkBytesMax`. */
export class ByteSink {
  bytes: Buffer;
  view: DataView;
  at = 0;
  constructor(capacity = 4096) {
    this.bytes = Buffer.alloc(capacity);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
  }
  ensure(count: number): void {
    const needed = this.at + count;
    if (needed <= this.bytes.length) return;
    if (needed > sinkBytesMax) {
      throw new DbError("programLimitExceeded", `row is too big: more than ${sinkBytesMax} bytes`);
    }
    const larger = Buffer.alloc(Math.min(sinkBytesMax, Math.max(needed, this.bytes.length * 2)));
    larger.set(this.bytes.subarray(0, this.at));
    this.bytes = larger;
    this.view = new DataView(larger.buffer, larger.byteOffset, larger.byteLength);
  }
  u8(value: number): void {
    this.ensure(1);
    this.bytes[this.at++] = value;
  }
  u16(value: number): void {
    this.ensure(2);
    this.view.setUint16(this.at, value, true);
    this.at += 2;
  }
  i32(value: number): void {
    this.ensure(4);
    this.view.setInt32(this.at, value, true);
    this.at += 4;
  }
  f64(value: number): void {
    this.ensure(8);
    this.view.setFloat64(this.at, value, true);
    this.at += 8;
  }
  copy(from: Uint8Array, start: number, length: number): void {
    this.ensure(length);
    if (length < 32) {
      for (let index = 0; index < length; index++) this.bytes[this.at + index] = from[start + index]!;
    } else {
      this.bytes.set(from.subarray(start, start + length), this.at);
    }
    this.at += length;
  }
  utf8(text: string): void {
    const length = text.length;
    this.ensure(length * 3);
    const bytes = this.bytes;
    let at = this.at;
    if (length <= 64) {
      let index = 0;
      for (; index < length; index++) {
        const code = text.charCodeAt(index);
        if (code > 127) break;
        bytes[at++] = code;
      }
      if (index === length) {
        this.at = at;
        return;
      }
    }
    this.at += bytes.write(text, this.at, "utf8");
  }
}

/** One value, its row included, may take this much (PostgreSQL's limit for one field is 1 GB). */
export const sinkBytesMax = 1 << 30;

/** Appends the bytes of a non-null value of a variable class. */
export function encodeVariable(kind: number, value: Value, sink: ByteSink): void {
  if (kind === StorageKind.text) sink.utf8(value as string);
  else if (kind === StorageKind.bytes) {
    const bytes = value as Uint8Array;
    sink.copy(bytes, 0, bytes.length);
  } else encodeTagged(value, sink);
}

/** `from` is a Buffer over the memory that holds the bytes. */
export function decodeVariable(kind: number, from: Buffer, start: number, length: number): Value {
  if (kind === StorageKind.text) return decodeText(from, start, length);
  if (kind === StorageKind.bytes) return new Uint8Array(from.subarray(start, start + length));
  const reader = new TaggedReader(from, start);
  const value = reader.read(0);
  if (reader.at !== start + length) throw new DbError("dataCorrupted", "a stored value has a wrong length");
  return value;
}

/** What Buffer's toString calls: half of its cost for short strings is the way there. */
interface SlicedBuffer extends Buffer {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
}

/** ASCII, the common case, needs no decoder: its bytes are the characters. */
export function decodeText(from: Buffer, start: number, length: number): string {
  const end = start + length;
  if (length <= 12) {
    // Short strings cost less built here than a call into the runtime.
    let text = "";
    for (let at = start; at < end; at++) {
      const code = from[at]!;
      if (code > 127) return (from as SlicedBuffer).utf8Slice(start, end);
      text += asciiCharacters[code]!;
    }
    return text;
  }
  for (let at = start; at < end; at++)
    if (from[at]! > 127) return (from as SlicedBuffer).utf8Slice(start, end);
  return (from as SlicedBuffer).latin1Slice(start, end);
}

const asciiCharacters: readonly string[] = Array.from({ length: 128 }, (_, code) =>
  String.fromCharCode(code),
);

const Tag = {
  null: 0,
  false: 1,
  true: 2,
  int: 3,
  double: 4,
  bigint: 5,
  string: 6,
  bytes: 7,
  numeric: 8,
  interval: 9,
  timeTz: 10,
  array: 11,
  row: 12,
} as const;

const nestingMax = 64;

function encodeWide(value: Wide, sink: ByteSink): void {
  if (typeof value === "number") {
    if (Number.isInteger(value) && value === (value | 0) && !Object.is(value, -0)) {
      sink.u8(Tag.int);
      sink.i32(value);
    } else {
      sink.u8(Tag.double);
      sink.f64(value);
    }
    return;
  }
  const negative = value < 0n;
  let hex = (negative ? -value : value).toString(16);
  if (hex.length % 2 === 1) hex = `0${hex}`;
  sink.u8(Tag.bigint);
  sink.u8(negative ? 1 : 0);
  sink.i32(hex.length / 2);
  sink.ensure(hex.length / 2);
  sink.at += sink.bytes.write(hex, sink.at, "hex");
}

/** Self-describing form, for types without a class of their own and for elements of arrays and rows. */
export function encodeTagged(value: Value, sink: ByteSink): void {
  if (value === null) sink.u8(Tag.null);
  else if (typeof value === "boolean") sink.u8(value ? Tag.true : Tag.false);
  else if (typeof value === "number" || typeof value === "bigint") encodeWide(value, sink);
  else if (typeof value === "string") {
    sink.u8(Tag.string);
    sink.i32(0);
    const start = sink.at;
    sink.utf8(value);
    sink.view.setInt32(start - 4, sink.at - start, true);
  } else if (value instanceof Uint8Array) {
    sink.u8(Tag.bytes);
    sink.i32(value.length);
    sink.copy(value, 0, value.length);
  } else if (value instanceof Numeric) {
    sink.u8(Tag.numeric);
    sink.u8(specials.indexOf(value.special));
    sink.u16(value.scale);
    encodeWide(value.coefficient, sink);
  } else if (value instanceof Interval) {
    sink.u8(Tag.interval);
    sink.i32(value.months);
    sink.i32(value.days);
    encodeWide(value.micros, sink);
  } else if (value instanceof TimeTz) {
    sink.u8(Tag.timeTz);
    sink.f64(value.micros);
    sink.i32(value.zoneSeconds);
  } else if (value instanceof PgArray) {
    sink.u8(Tag.array);
    sink.i32(value.elementType);
    sink.u8(value.dims.length);
    for (const size of value.dims) sink.i32(size);
    for (const bound of value.lowerBounds) sink.i32(bound);
    sink.i32(value.elements.length);
    for (const element of value.elements) encodeTagged(element, sink);
  } else {
    sink.u8(Tag.row);
    sink.u16(value.values.length);
    for (const type of value.types) sink.i32(type);
    for (const field of value.values) encodeTagged(field, sink);
  }
}

const specials = ["", "NaN", "Infinity", "-Infinity"] as const;

class TaggedReader {
  readonly #view: DataView;
  constructor(
    readonly from: Buffer,
    public at: number,
  ) {
    this.#view = new DataView(from.buffer, from.byteOffset, from.byteLength);
  }
  #i32(): number {
    this.at += 4;
    return this.#view.getInt32(this.at - 4, true);
  }
  #u8(): number {
    return this.from[this.at++]!;
  }
  #u16(): number {
    this.at += 2;
    return this.#view.getUint16(this.at - 2, true);
  }
  #f64(): number {
    this.at += 8;
    return this.#view.getFloat64(this.at - 8, true);
  }
  #length(): number {
    const length = this.#i32();
    if (length < 0 || this.at + length > this.from.length) {
      throw new DbError("dataCorrupted", "a stored value has a wrong length");
    }
    return length;
  }
  read(depth: number): Value {
    if (depth > nestingMax) throw new DbError("dataCorrupted", "a stored value is nested too deeply");
    const tag = this.#u8();
    switch (tag) {
      case Tag.null:
        return null;
      case Tag.false:
        return false;
      case Tag.true:
        return true;
      case Tag.int:
        return this.#i32();
      case Tag.double:
        return this.#f64();
      case Tag.bigint: {
        const negative = this.#u8() === 1;
        const length = this.#length();
        const magnitude = BigInt(`0x0${this.from.toString("hex", this.at, this.at + length)}`);
        this.at += length;
        return wide(negative ? -magnitude : magnitude);
      }
      case Tag.string: {
        const length = this.#length();
        this.at += length;
        return decodeText(this.from, this.at - length, length);
      }
      case Tag.bytes: {
        const length = this.#length();
        this.at += length;
        return new Uint8Array(this.from.subarray(this.at - length, this.at));
      }
      case Tag.numeric: {
        const special = specials[this.#u8()] ?? "";
        const scale = this.#u16();
        return new Numeric(this.read(depth + 1) as Wide, scale, special);
      }
      case Tag.interval: {
        const months = this.#i32();
        const days = this.#i32();
        return new Interval(months, days, this.read(depth + 1) as Wide);
      }
      case Tag.timeTz: {
        const micros = this.#f64();
        return new TimeTz(micros, this.#i32());
      }
      case Tag.array: {
        const elementType = this.#i32() >>> 0;
        const dimensions = this.#u8();
        const dims: number[] = [];
        const lowerBounds: number[] = [];
        for (let index = 0; index < dimensions; index++) dims.push(this.#i32());
        for (let index = 0; index < dimensions; index++) lowerBounds.push(this.#i32());
        const count = this.#length();
        const elements: Value[] = [];
        for (let index = 0; index < count; index++) elements.push(this.read(depth + 1));
        return new PgArray(elementType, elements, dims, lowerBounds);
      }
      case Tag.row: {
        const count = this.#u16();
        const types: number[] = [];
        const values: Value[] = [];
        for (let index = 0; index < count; index++) types.push(this.#i32() >>> 0);
        for (let index = 0; index < count; index++) values.push(this.read(depth + 1));
        return new RowValue(types, values);
      }
      default:
        throw new DbError("dataCorrupted", `a stored value has the unknown tag ${tag}`);
    }
  }
}
