/**
 * Output of one connection: messages are written straight into a 64 KiB buffer and handed to the socket as one piece
 * when the connection says so, or when the buffer is full.
 *
 * An idle connection holds no buffer: buffers come from a pool that all connections share and go back as soon as the
 * socket has taken the bytes. While a socket has not, its buffers are counted; above `slowBytes` the writer is told.
 *
 * Invariants: only whole messages go to the socket (a message under way stays in the buffer until `end`); after
 * `begin` ... `end` the length field is right; memory handed to the socket is not written again before `drained`.
 */
import { assert } from "../base/errors.js";
import type { Connection } from "../platform/index.js";

const chunkBytes = 65_536;
const noBuffer = Buffer.alloc(0);

/** Free output buffers of one listener, all of 64 KiB; holds at most `keptMax`. */
export class BufferPool {
  readonly #free: Buffer[] = [];
  constructor(private readonly keptMax = 64) {}
  take(bytes: number): Buffer {
    if (bytes > chunkBytes) return Buffer.allocUnsafeSlow(bytes);
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(chunkBytes);
  }
  giveBack(buffer: Buffer): void {
    if (buffer.length === chunkBytes && this.#free.length < this.keptMax) this.#free.push(buffer);
  }
}

const pairs = (() => {
  const digits = new Uint8Array(200);
  for (let value = 0; value < 100; value++) {
    digits[value * 2] = 48 + Math.floor(value / 10);
    digits[value * 2 + 1] = 48 + (value % 10);
  }
  return digits;
})();

/** Decimal digits of a non-negative 32-bit integer. */
function digitsOf(value: number): number {
  if (value < 100_000) {
    if (value < 100) return value < 10 ? 1 : 2;
    return value < 1000 ? 3 : value < 10_000 ? 4 : 5;
  }
  if (value < 10_000_000) return value < 1_000_000 ? 6 : 7;
  return value < 100_000_000 ? 8 : value < 1_000_000_000 ? 9 : 10;
}

/** Writes a safe integer as decimal text; returns the position after it. At most 17 bytes. */
export function writeInteger(into: Buffer, at: number, value: number): number {
  if (value < 0) {
    into[at++] = 45;
    value = -value;
  }
  if (value > 999_999_999) {
    const high = Math.floor(value / 1_000_000_000);
    at = writeInteger(into, at, high);
    return writePadded(into, at, value - high * 1_000_000_000, 9);
  }
  return writePadded(into, at, value, digitsOf(value));
}

function writePadded(into: Buffer, at: number, value: number, digits: number): number {
  let put = at + digits;
  while (put - at >= 2) {
    const rest = (value / 100) | 0;
    const pair = (value - rest * 100) * 2;
    into[--put] = pairs[pair + 1]!;
    into[--put] = pairs[pair]!;
    value = rest;
  }
  if (put > at) into[at] = 48 + value;
  return at + digits;
}

/** Below this length a loop over the characters beats the call into the host's encoder. */
const shortText = 24;

/** Writes text as UTF-8 where at least three bytes a character are free; returns the position after it. */
export function writeText(into: Buffer, at: number, text: string): number {
  const length = text.length;
  if (length > shortText) return at + into.utf8Write(text, at);
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code >= 0x80) return at + into.utf8Write(text, at);
    into[at + index] = code;
  }
  return at + length;
}

export function writeInt32(into: Buffer, at: number, value: number): void {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}

export class Output {
  /** Written by encoders between `reserve` and `end`; replaced by `reserve`, so read it again after each. */
  buffer: Buffer = noBuffer;
  at = 0;
  /** Where the message under way begins; equal to `at` between messages. */
  #messageStart = 0;
  #unsentBytes = 0;
  #draining: Promise<void> | undefined;
  readonly #held: Buffer[] = [];
  readonly #heldBytes: number[] = [];
  #closed = false;

  constructor(
    private readonly connection: Connection,
    private readonly pool: BufferPool,
    private readonly slowBytes: number,
  ) {}

  /** More is waiting for the client than a connection may hold: the writer should wait for `drained`. */
  get isSlow(): boolean {
    return this.#unsentBytes > this.slowBytes;
  }
  get pendingBytes(): number {
    return this.#unsentBytes + this.at;
  }

  begin(tag: number): void {
    this.reserve(5);
    this.#messageStart = this.at;
    this.buffer[this.at] = tag;
    this.at += 5;
  }

  end(): void {
    const start = this.#messageStart;
    writeInt32(this.buffer, start + 1, this.at - start - 1);
    this.#messageStart = this.at;
    if (this.at >= chunkBytes) this.flush();
  }

  /** As `end`, and answers a copy of the message's bytes. */
  endCopied(): Uint8Array {
    const start = this.#messageStart;
    writeInt32(this.buffer, start + 1, this.at - start - 1);
    const copy = Uint8Array.prototype.slice.call(this.buffer, start, this.at);
    this.end();
    return copy;
  }

  /** A message without a body. */
  bare(tag: number): void {
    this.reserve(5);
    const buffer = this.buffer;
    const at = this.at;
    buffer[at] = tag;
    buffer[at + 1] = 0;
    buffer[at + 2] = 0;
    buffer[at + 3] = 0;
    buffer[at + 4] = 4;
    this.at = at + 5;
    this.#messageStart = this.at;
  }

  /** Room for `bytes` more; may move the message under way to another buffer. */
  reserve(bytes: number): void {
    if (this.at + bytes > this.buffer.length) this.#makeRoom(bytes);
  }

  #makeRoom(bytes: number): void {
    const started = this.at - this.#messageStart;
    const old = this.buffer;
    const oldStart = this.#messageStart;
    let size = chunkBytes;
    while (size < started + bytes) size *= 2;
    const next = this.pool.take(size);
    old.copy(next, 0, oldStart, this.at);
    if (oldStart > 0) this.#send(old, oldStart);
    else this.pool.giveBack(old);
    this.buffer = next;
    this.at = started;
    this.#messageStart = 0;
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.at++] = value;
  }
  int16(value: number): void {
    this.reserve(2);
    this.buffer[this.at++] = value >>> 8;
    this.buffer[this.at++] = value;
  }
  int32(value: number): void {
    this.reserve(4);
    writeInt32(this.buffer, this.at, value);
    this.at += 4;
  }
  bytes(value: Uint8Array): void {
    this.reserve(value.length);
    this.buffer.set(value, this.at);
    this.at += value.length;
  }
  text(value: string): void {
    this.reserve(value.length * 3);
    this.at = writeText(this.buffer, this.at, value);
  }
  /** A zero byte inside would end the string early and let the rest pass as other fields: it is left out. */
  cstring(value: string): void {
    this.text(value.includes("\0") ? value.replaceAll("\0", "") : value);
    this.byte(0);
  }

  /** A whole message of this many bytes has been put at `at` by hand. */
  written(bytes: number): void {
    this.at += bytes;
    this.#messageStart = this.at;
  }

  /** A message encoded before. */
  copy(message: Uint8Array): void {
    this.bytes(message);
    this.#messageStart = this.at;
  }

  /** Gives up the message under way: an error came up while it was written. */
  rewind(): void {
    this.at = this.#messageStart;
  }

  get isEmpty(): boolean {
    return this.at === 0;
  }

  /** Hands everything to the socket. */
  flush(): void {
    assert(this.#messageStart === this.at, "only whole messages are sent");
    if (this.at === 0) return;
    const { buffer, at } = this;
    this.buffer = noBuffer;
    this.at = 0;
    this.#messageStart = 0;
    this.#send(buffer, at);
  }

  #send(buffer: Buffer, length: number): void {
    if (this.#closed) {
      this.pool.giveBack(buffer);
      return;
    }
    if (this.connection.write(length === buffer.length ? buffer : buffer.subarray(0, length))) {
      this.pool.giveBack(buffer);
      return;
    }
    this.#unsentBytes += length;
    this.#held.push(buffer);
    this.#heldBytes.push(length);
    if (this.#draining === undefined) this.#awaitDrain();
  }

  /** `drained` speaks of what was written before it was asked: later buffers stay held until the next round. */
  #awaitDrain(): void {
    const covered = this.#held.length;
    this.#draining = this.connection.drained().then(() => {
      this.#draining = undefined;
      for (const bytes of this.#heldBytes.splice(0, covered)) this.#unsentBytes -= bytes;
      for (const buffer of this.#held.splice(0, covered)) this.pool.giveBack(buffer);
      if (this.#held.length > 0) this.#awaitDrain();
    });
  }

  /** Resolves when the client has taken what was sent, or is gone. */
  async drained(): Promise<void> {
    while (this.#draining !== undefined) await this.#draining;
  }

  /** The connection is gone: nothing is sent any more and the buffers go back. */
  close(): void {
    this.#closed = true;
    this.pool.giveBack(this.buffer);
    this.buffer = noBuffer;
    this.at = 0;
    this.#messageStart = 0;
  }
}
