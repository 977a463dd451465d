/**
 * Frames, the unit of what nodes say to each other:
 *
 *     length u32 | checksum u32 | version u8 | kind u8 | number u16 | id u32 | payload
 *
 * `length` counts what follows the checksum, which is XXH32 over just that. TLS already keeps strangers' hands off; the sum
 * is against faults of our own: a buffer used twice, a stream out of step.
 *
 * Invariants: whatever the pieces in which bytes arrive, the same frames come out; a frame is looked at only once it is
 * whole and its sum is right; memory grows with what has arrived, never with what a length announces.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { assert, type Condition, conditions, DbError } from "../base/errors.js";
import { layout, u8, u16, u32 } from "../base/layout.js";

export const frameVersion = 1;

export const FrameHead = layout("FrameHead", 16, {
  length: u32,
  checksum: u32,
  version: u8,
  kind: u8,
  number: u16, // of the method or the message
  id: u32, //     of the request that is answered; 0 where nothing is
});
/** Head bytes that `length` counts. */
const headCounted = FrameHead.size - FrameHead.version;

export const frameKinds = {
  /** One way; may be lost with the connection. */
  message: 1,
  request: 2,
  answer: 3,
  error: 4,
  ping: 5,
  pong: 6,
  /** The head of a raw stream: what follows are no frames. */
  stream: 7,
  /** Answers `stream`; then the raw bytes begin, both ways. */
  accepted: 8,
} as const;
export type FrameKind = keyof typeof frameKinds;
const kindByNumber = new Map<number, FrameKind>(
  Object.entries(frameKinds).map(([kind, number]) => [number, kind as FrameKind]),
);

export interface Frame {
  readonly kind: FrameKind;
  readonly number: number;
  readonly id: number;
  /** Lent: what the taker wants to keep it copies before it returns. */
  readonly payload: Uint8Array;
}

/** Most that a payload may hold in frames of so many bytes. */
export function payloadBytesMax(frameBytesMax: number): number {
  return frameBytesMax - FrameHead.size;
}

const nothing = new Uint8Array(0);
/** Larger frames get memory of their own. */
const scratchBytes = 64 * 1024;

export class FrameEncoder {
  readonly #hash: XXHashAPI;
  #scratch = new Uint8Array(1024);
  #view = new DataView(this.#scratch.buffer);

  constructor(hash: XXHashAPI) {
    this.#hash = hash;
  }

  /** Lent until the next call. */
  encode(kind: FrameKind, number: number, id: number, payload: Uint8Array = nothing): Uint8Array {
    assert(number >= 0 && number <= 0xffff, `${number} is no number of a method or message`);
    const size = FrameHead.size + payload.length;
    let bytes: Uint8Array;
    let view: DataView;
    if (size <= scratchBytes) {
      if (size > this.#scratch.length) {
        this.#scratch = new Uint8Array(Math.min(scratchBytes, 2 * size));
        this.#view = new DataView(this.#scratch.buffer);
      }
      bytes = this.#scratch.subarray(0, size);
      view = this.#view;
    } else {
      bytes = new Uint8Array(size);
      view = new DataView(bytes.buffer);
    }
    view.setUint32(FrameHead.length, headCounted + payload.length, true);
    view.setUint8(FrameHead.version, frameVersion);
    view.setUint8(FrameHead.kind, frameKinds[kind]);
    view.setUint16(FrameHead.number, number, true);
    view.setUint32(FrameHead.id, id, true);
    bytes.set(payload, FrameHead.size);
    view.setUint32(FrameHead.checksum, this.#hash.h32Raw(bytes.subarray(FrameHead.version)), true);
    return bytes;
  }
}

/** Frames are small and many: a view for each would cost more than what it reads. */
function u32At(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

export class FrameDecoder {
  readonly #hash: XXHashAPI;
  readonly #frameBytesMax: number;
  /** The beginning of a frame whose rest is still to come. */
  #held = new Uint8Array(256);
  #heldLength = 0;
  #broken = false;

  constructor(hash: XXHashAPI, frameBytesMax: number) {
    this.#hash = hash;
    this.#frameBytesMax = frameBytesMax;
  }

  /**
   * Hands over the frames that `chunk` completes. When `take` answers false none follows; the bytes taken are answered, all
   * of them unless it did.
   * @throws MalformedBytes; the stream cannot be followed from then on
   */
  push(chunk: Uint8Array, take: (frame: Frame) => boolean): number {
    if (this.#broken) throw new MalformedBytes("the stream was broken before");
    let at = 0;
    while (at < chunk.length) {
      if (this.#heldLength > 0) {
        // Head first, then the whole: the length is known once the head is there.
        at += this.#hold(chunk, at, FrameHead.size);
        if (this.#heldLength < FrameHead.size) return at;
        const size = this.#sizeAt(this.#held, 0);
        at += this.#hold(chunk, at, size);
        if (this.#heldLength < size) return at;
        this.#heldLength = 0;
        // What was held is lent too; nothing is held while it is out.
        if (!take(this.#open(this.#held.subarray(0, size)))) return at;
        if (this.#held.length > scratchBytes) this.#held = new Uint8Array(256);
        continue;
      }
      const left = chunk.length - at;
      const size = left < FrameHead.size ? undefined : this.#sizeAt(chunk, at);
      if (size === undefined || left < size) {
        this.#hold(chunk, at, size ?? FrameHead.size);
        return chunk.length;
      }
      const frame = this.#open(chunk.subarray(at, at + size));
      at += size;
      if (!take(frame)) return at;
    }
    return at;
  }

  /** Keeps of chunk[at..] what is missing to `size` bytes. */
  #hold(chunk: Uint8Array, at: number, size: number): number {
    const count = Math.min(Math.max(0, size - this.#heldLength), chunk.length - at);
    const length = this.#heldLength + count;
    if (length > this.#held.length) {
      const larger = new Uint8Array(Math.max(length, Math.min(size, this.#held.length * 2)));
      larger.set(this.#held.subarray(0, this.#heldLength));
      this.#held = larger;
    }
    this.#held.set(chunk.subarray(at, at + count), this.#heldLength);
    this.#heldLength = length;
    return count;
  }

  #sizeAt(bytes: Uint8Array, at: number): number {
    const size = FrameHead.version + u32At(bytes, at + FrameHead.length);
    if (size < FrameHead.size || size > this.#frameBytesMax)
      throw this.#malformed(`a frame of ${size} bytes, where ${this.#frameBytesMax} are allowed`);
    const version = bytes[at + FrameHead.version];
    if (version !== frameVersion) throw this.#malformed(`a frame of version ${version}`);
    return size;
  }

  #open(bytes: Uint8Array): Frame {
    const checksum = u32At(bytes, FrameHead.checksum);
    if (this.#hash.h32Raw(bytes.subarray(FrameHead.version)) !== checksum)
      throw this.#malformed("a frame's checksum is wrong");
    const kind = kindByNumber.get(bytes[FrameHead.kind]!);
    if (kind === undefined) throw this.#malformed("a frame of no known kind");
    return {
      kind,
      number: bytes[FrameHead.number]! | (bytes[FrameHead.number + 1]! << 8),
      id: u32At(bytes, FrameHead.id),
      payload: bytes.subarray(FrameHead.size),
    };
  }

  #malformed(what: string): MalformedBytes {
    this.#broken = true;
    return new MalformedBytes(what);
  }
}

// --- errors as payloads --------------------------------------------------------------------------------------------

/** Of a message, a detail or a hint on the wire; an error is for reading. */
const errorTextMax = 8192;

export function encodeError(error: DbError): Uint8Array {
  const writer = new ByteWriter();
  const text = (value: string): ByteWriter => writer.bytes(Buffer.from(value.slice(0, errorTextMax), "utf8"));
  text(error.condition);
  text(error.message);
  for (const part of [error.fields.detail, error.fields.hint]) {
    writer.bool(part !== undefined);
    if (part !== undefined) text(part);
  }
  return writer.take();
}

/** @throws MalformedBytes */
export function decodeError(payload: Uint8Array): DbError {
  const reader = new ByteReader(payload);
  const text = (): string => Buffer.from(reader.bytes()).toString("utf8");
  const condition = text();
  const message = text();
  const [detail, hint] = [0, 1].map(() => (reader.bool() ? text() : undefined));
  reader.end();
  // A condition that this version does not know: what it says is still worth more than silence.
  const known = Object.hasOwn(conditions, condition);
  return DbError.answer(known ? (condition as Condition) : "internalError", message, { detail, hint });
}
