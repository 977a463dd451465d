/**
 * Bytes of the binary formats: a growing writer, a bounds-checked reader, and UTF-8 as PostgreSQL checks it.
 *
 * Invariants: all integers are big-endian; a reader never runs past its end (08P01). 64-bit integers go through
 * numbers where they fit.
 */
import { DbError } from "../base/errors.js";
import { type Wide, wide } from "./value.js";

const twoTo32 = 4294967296;

export class ByteWriter {
  buffer: Buffer;
  length = 0;
  constructor(capacity = 256) {
    this.buffer = Buffer.allocUnsafe(capacity);
  }
  /** Makes room for `bytes` more. */
  reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.length + bytes));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }
  reset(): void {
    this.length = 0;
  }
  int8(value: number): void {
    this.reserve(1);
    this.buffer[this.length++] = value & 255;
  }
  int16(value: number): void {
    this.reserve(2);
    this.buffer[this.length] = (value >> 8) & 255;
    this.buffer[this.length + 1] = value & 255;
    this.length += 2;
  }
  int32(value: number): void {
    this.reserve(4);
    const at = this.length;
    const buffer = this.buffer;
    buffer[at] = value >>> 24;
    buffer[at + 1] = (value >>> 16) & 255;
    buffer[at + 2] = (value >>> 8) & 255;
    buffer[at + 3] = value & 255;
    this.length = at + 4;
  }
  int64(value: Wide): void {
    if (typeof value === "bigint") {
      this.reserve(8);
      this.buffer.writeBigInt64BE(value, this.length);
      this.length += 8;
      return;
    }
    const high = Math.floor(value / twoTo32);
    this.int32(high);
    this.int32(value - high * twoTo32);
  }
  float32(value: number): void {
    this.reserve(4);
    this.buffer.writeFloatBE(value, this.length);
    this.length += 4;
  }
  float64(value: number): void {
    this.reserve(8);
    this.buffer.writeDoubleBE(value, this.length);
    this.length += 8;
  }
  bytes(value: Uint8Array): void {
    this.reserve(value.length);
    this.buffer.set(value, this.length);
    this.length += value.length;
  }
  utf8(text: string): void {
    this.reserve(text.length * 3);
    this.length += this.buffer.write(text, this.length, "utf8");
  }
  /** Overwrites 4 bytes at `at`: lengths known only afterwards. */
  patchInt32(at: number, value: number): void {
    this.buffer.writeInt32BE(value, at);
  }
  /** A copy of what was written. */
  take(): Buffer {
    return Buffer.from(this.buffer.subarray(0, this.length));
  }
}

export class ByteReader {
  at = 0;
  private readonly buffer: Buffer;
  constructor(bytes: Uint8Array) {
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  get remaining(): number {
    return this.buffer.length - this.at;
  }
  private claim(count: number): number {
    if (count < 0 || this.remaining < count) {
      throw new DbError("protocolViolation", "insufficient data left in message");
    }
    const at = this.at;
    this.at += count;
    return at;
  }
  uint8(): number {
    return this.buffer[this.claim(1)]!;
  }
  int16(): number {
    return this.buffer.readInt16BE(this.claim(2));
  }
  uint16(): number {
    return this.buffer.readUInt16BE(this.claim(2));
  }
  int32(): number {
    return this.buffer.readInt32BE(this.claim(4));
  }
  uint32(): number {
    return this.buffer.readUInt32BE(this.claim(4));
  }
  int64(): Wide {
    const at = this.claim(8);
    const high = this.buffer.readInt32BE(at);
    if (high >= -0x200000 && high < 0x200000) {
      const value = high * twoTo32 + this.buffer.readUInt32BE(at + 4);
      if (Number.isSafeInteger(value)) return value;
    }
    return wide(this.buffer.readBigInt64BE(at));
  }
  float32(): number {
    return this.buffer.readFloatBE(this.claim(4));
  }
  float64(): number {
    return this.buffer.readDoubleBE(this.claim(8));
  }
  /** A view, not a copy. */
  view(count: number): Buffer {
    const at = this.claim(count);
    return this.buffer.subarray(at, at + count);
  }
  rest(): Buffer {
    return this.view(this.remaining);
  }
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes a client sent as text. 22021 for what is not UTF-8, and for the NUL that text cannot hold. */
export function decodeUtf8(bytes: Uint8Array): string {
  let text: string;
  try {
    text = strictUtf8.decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw invalidUtf8(bytes);
  }
  if (text.includes("\0")) {
    throw new DbError("characterNotInRepertoire", 'invalid byte sequence for encoding "UTF8": 0x00');
  }
  return text;
}

/** Names the offending bytes as PostgreSQL does: the sequence from the first bad lead byte on. */
function invalidUtf8(bytes: Uint8Array): DbError {
  let at = 0;
  let shown: number[] = [];
  while (at < bytes.length) {
    const size = validSequence(bytes, at);
    if (size === 0) {
      const lead = bytes[at]!;
      const claimed = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 1;
      shown = [...bytes.subarray(at, Math.min(at + claimed, bytes.length))];
      break;
    }
    at += size;
  }
  const hex = shown.map((byte) => `0x${byte.toString(16).padStart(2, "0")}`).join(" ");
  return new DbError("characterNotInRepertoire", `invalid byte sequence for encoding "UTF8": ${hex}`);
}

function validSequence(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  if (lead < 0x80) return 1;
  const size =
    lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
  if (size === 0 || at + size > bytes.length) return 0;
  for (let next = 1; next < size; next++) if ((bytes[at + next]! & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1]!;
  if (lead === 0xe0 && second < 0xa0) return 0;
  if (lead === 0xed && second > 0x9f) return 0;
  if (lead === 0xf0 && second < 0x90) return 0;
  if (lead === 0xf4 && second > 0x8f) return 0;
  return size;
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}
