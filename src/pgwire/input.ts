/**
 * Input of one connection: cuts the byte stream into messages, whatever the pieces it arrives in.
 *
 * Whole messages are read in place; one that spans pieces is collected in a buffer that grows with what arrives, never
 * with what its length announces. A message above the configured maximum is passed over and reported, so that the
 * stream stays in step; a length no client would send, or a type nobody knows, ends the connection.
 *
 * Pieces are lent (`Connection.onData`): messages whole in one are read where they lie, and `keep` copies what is left of
 * it before it is given back.
 *
 * Invariants: `start` and `end` bound the body of the message that `next` found, in `buffer`, until the following
 * `next`; each byte is handed out exactly once.
 */
import { assert, type DbError } from "../base/errors.js";
import { decodeUtf8 } from "../base/utf8.js";
import { fatalViolation, violation } from "./errors.js";
import {
  announcedBytesMax,
  authBytesMax,
  controlBytesMax,
  frontendTag,
  sizeClassOfTag,
  startupBytesMax,
} from "./messages.js";

const noBytes = Buffer.alloc(0);
const firstPieceBytes = 8192;

export type InputPhase = "startup" | "authentication" | "messages";

export class Input {
  /** Type byte of the message found; 0 in the start-up phase. */
  tag = 0;
  buffer: Buffer = noBytes;
  start = 0;
  end = 0;
  /** The message found was too large and has been passed over; this many body bytes. */
  oversizeBytes = 0;
  phase: InputPhase = "startup";

  #current: Buffer = noBytes;
  #at = 0;
  #lent = false;
  readonly #queue: Buffer[] = [];
  #queuedBytes = 0;
  #partial: Buffer = noBytes;
  #partialBytes = 0;
  #passOver = 0;

  constructor(private readonly messageBytesMax: number) {}

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (this.#at === this.#current.length && this.#queue.length === 0) {
      this.#current = chunk;
      this.#at = 0;
      this.#lent = true;
    } else {
      this.#queue.push(Buffer.from(chunk));
      this.#queuedBytes += chunk.length;
    }
  }

  /** The piece last pushed is given back: what has not been read of it is copied. */
  keep(): void {
    if (!this.#lent) return;
    this.#lent = false;
    this.#current =
      this.#at === this.#current.length ? noBytes : Buffer.from(this.#current.subarray(this.#at));
    this.#at = 0;
  }

  /** Bytes received and not yet part of a message handed out. */
  get bufferedBytes(): number {
    return this.#current.length - this.#at + this.#queuedBytes + this.#partialBytes;
  }
  /** Of these, bytes behind the message that is still being collected. */
  get waitingBytes(): number {
    return this.#current.length - this.#at + this.#queuedBytes;
  }

  /** The message found is to be looked at later: its piece may have been given back by then. */
  hold(): void {
    this.buffer = Buffer.from(this.buffer.subarray(this.start, this.end));
    this.end -= this.start;
    this.start = 0;
  }

  /** Nothing is under way: what comes next begins a message. */
  get isBetweenMessages(): boolean {
    return this.bufferedBytes === 0 && this.#passOver === 0;
  }

  /** All that was received and not read, in order: somebody else reads on from here. */
  takeAll(): Buffer[] {
    assert(this.#passOver === 0, "input is handed over at the beginning of a message");
    const pieces = [
      this.#partial.subarray(0, this.#partialBytes),
      this.#current.subarray(this.#at),
      ...this.#queue.splice(0),
    ].filter((piece) => piece.length > 0);
    this.#partial = this.#current = noBytes;
    this.#partialBytes = this.#at = this.#queuedBytes = 0;
    this.#lent = false;
    return pieces;
  }

  /**
   * Finds the next whole message; false when more bytes are needed.
   * @throws DbError protocolViolation (08P01), fatal: the stream cannot be followed any further.
   */
  next(): boolean {
    for (;;) {
      const available = this.#current.length - this.#at;
      if (available === 0) {
        if (!this.#advance()) return false;
        continue;
      }
      if (this.#passOver > 0) {
        const passed = Math.min(available, this.#passOver);
        this.#at += passed;
        this.#passOver -= passed;
        if (this.#passOver > 0) continue;
        this.buffer = noBytes;
        this.start = 0;
        this.end = 0;
        return true;
      }
      const head = this.phase === "startup" ? 4 : 5;
      if (this.#partialBytes === 0 && available >= head) {
        const total = this.#readHead(this.#current, this.#at, head);
        if (total < 0) {
          this.#at += head;
          if (this.#passOver === 0) return true;
          continue;
        }
        if (available >= total) {
          this.buffer = this.#current;
          this.start = this.#at + head;
          this.end = this.#at += total;
          return true;
        }
      }
      if (this.#collect(head)) return true;
    }
  }

  #advance(): boolean {
    const chunk = this.#queue.shift();
    this.#lent = false;
    if (chunk === undefined) {
      this.#current = noBytes;
      this.#at = 0;
      return false;
    }
    this.#queuedBytes -= chunk.length;
    this.#current = chunk;
    this.#at = 0;
    return true;
  }

  /** Takes bytes for a message that is not whole in the current piece; true when it is whole now. */
  #collect(head: number): boolean {
    if (this.#partialBytes < head) {
      this.#take(head);
      if (this.#partialBytes < head) return false;
    }
    const total = this.#readHead(this.#partial, 0, head);
    if (total < 0) {
      this.#partialBytes = 0;
      return this.#passOver === 0;
    }
    this.#take(total);
    if (this.#partialBytes < total) return false;
    this.buffer = this.#partial;
    this.start = head;
    this.end = total;
    this.#partial = noBytes;
    this.#partialBytes = 0;
    return true;
  }

  /** Moves bytes of the current piece into the partial message until it holds `wanted`, growing by doubling. */
  #take(wanted: number): void {
    const moved = Math.min(wanted - this.#partialBytes, this.#current.length - this.#at);
    if (moved <= 0) return;
    const held = this.#partialBytes + moved;
    if (held > this.#partial.length) {
      const size = Math.max(held, Math.min(wanted, Math.max(firstPieceBytes, this.#partial.length * 2)));
      const grown = Buffer.allocUnsafeSlow(Math.max(size, 16));
      this.#partial.copy(grown, 0, 0, this.#partialBytes);
      this.#partial = grown;
    }
    this.#current.copy(this.#partial, this.#partialBytes, this.#at, this.#at + moved);
    this.#at += moved;
    this.#partialBytes = held;
  }

  /** Type and length: total bytes of the message, or -1 when its body (`#passOver` bytes) is to be passed over. */
  #readHead(from: Buffer, at: number, head: number): number {
    this.oversizeBytes = 0;
    if (head === 4) {
      this.tag = 0;
      const length = readInt32(from, at);
      if (length < 8 || length > startupBytesMax) throw fatalViolation("invalid length of startup packet");
      return length;
    }
    const tag = from[at]!;
    this.tag = tag;
    const length = readInt32(from, at + 1);
    const sizeClass = sizeClassOfTag[tag]!;
    if (this.phase === "authentication" && tag !== frontendTag.password) {
      throw fatalViolation(`expected password response, got message type ${tag}`);
    }
    if (sizeClass === 0) throw fatalViolation(`invalid frontend message type ${tag}`);
    if (length < 4 || length > announcedBytesMax) throw fatalViolation("invalid message length");
    const body = length - 4;
    if (sizeClass === 1) {
      if (body > this.messageBytesMax) {
        this.oversizeBytes = body;
        this.#passOver = body;
        return -1;
      }
    } else if (body > (sizeClass === 2 ? authBytesMax : controlBytesMax)) {
      throw fatalViolation("invalid message length");
    }
    return length + 1;
  }
}

export function readInt32(from: Uint8Array, at: number): number {
  return (from[at]! << 24) | (from[at + 1]! << 16) | (from[at + 2]! << 8) | from[at + 3]!;
}

/** Reads the fields of one message body; every read is checked against the body's end. */
export class BodyReader {
  #buffer: Buffer = noBytes;
  #at = 0;
  #end = 0;

  over(buffer: Buffer, start: number, end: number): this {
    assert(start <= end && end <= buffer.length, "a body lies inside its buffer");
    this.#buffer = buffer;
    this.#at = start;
    this.#end = end;
    return this;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  byte(): number {
    if (this.#at >= this.#end) throw tooShort();
    return this.#buffer[this.#at++]!;
  }
  uint16(): number {
    if (this.#at + 2 > this.#end) throw tooShort();
    const value = (this.#buffer[this.#at]! << 8) | this.#buffer[this.#at + 1]!;
    this.#at += 2;
    return value;
  }
  int16(): number {
    return (this.uint16() << 16) >> 16;
  }
  int32(): number {
    if (this.#at + 4 > this.#end) throw tooShort();
    const value = readInt32(this.#buffer, this.#at);
    this.#at += 4;
    return value;
  }
  bytes(length: number): Buffer {
    if (length < 0 || this.#at + length > this.#end) throw tooShort();
    const start = this.#at;
    this.#at += length;
    return this.#buffer.subarray(start, this.#at);
  }
  rest(): Buffer {
    return this.bytes(this.#end - this.#at);
  }
  /** Text up to a zero byte. @throws DbError 08P01 without one, 22021 when it is not UTF-8 */
  cstring(): string {
    const start = this.#at;
    if (this.#buffer[start] === 0 && start < this.#end) {
      this.#at = start + 1;
      return "";
    }
    const zero = this.#buffer.indexOf(0, start);
    if (zero < 0 || zero >= this.#end) throw violation("invalid string in message");
    this.#at = zero + 1;
    return decodeUtf8(this.#buffer, start, zero);
  }
  /** Nothing may follow. */
  done(): void {
    if (this.#at !== this.#end) throw violation("invalid message format");
  }
}

function tooShort(): DbError {
  return violation("insufficient data left in message");
}
