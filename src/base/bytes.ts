/**
 * Bytes of messages and records: a writer that grows and a reader that trusts nothing. Little-endian; lengths are u32 in
 * front of what they count.
 *
 * Invariants: a reader never goes beyond its bytes, and counts are bounded by what is left before anything is made of them;
 * numbers of 64 bits are safe integers or refused.
 */

/** Bytes that are not what they should be. The caller says what they were and answers with its own error. */
export class MalformedBytes extends Error {
  override readonly name = "MalformedBytes";
}

/** Memory of writers that have ended: most are small, and of a few at a time. */
const spare: { readonly bytes: Uint8Array; readonly view: DataView }[] = [];
const spareBytes = 4096;
const spareMax = 16;
const nothing = { bytes: new Uint8Array(0), view: new DataView(new ArrayBuffer(0)) };

export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 256) {
    const found = capacity <= spareBytes ? spare.pop() : undefined;
    this.#bytes = found?.bytes ?? new Uint8Array(Math.max(capacity, spareBytes));
    this.#view = found?.view ?? new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written, lent until the next write. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
  /** A copy of its own. The writer is empty behind it, and what `written` has lent is gone. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#length);
    if (this.#bytes.length === spareBytes && spare.length < spareMax)
      spare.push({ bytes: this.#bytes, view: this.#view });
    this.#bytes = nothing.bytes;
    this.#view = nothing.view;
    this.#length = 0;
    return taken;
  }
  clear(): void {
    this.#length = 0;
  }

  #room(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2, 64));
      larger.set(this.written);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#length = needed;
    return at;
  }

  u8(value: number): this {
    const at = this.#room(1); // before the view is looked at: it may be replaced
    this.#view.setUint8(at, value);
    return this;
  }
  u16(value: number): this {
    const at = this.#room(2); // before the view is looked at: it may be replaced
    this.#view.setUint16(at, value, true);
    return this;
  }
  u32(value: number): this {
    const at = this.#room(4); // before the view is looked at: it may be replaced
    this.#view.setUint32(at, value, true);
    return this;
  }
  /** A whole number from 0 to 2^53 - 1. */
  u64(value: number): this {
    const at = this.#room(8);
    this.#view.setUint32(at, value % 4294967296, true);
    this.#view.setUint32(at + 4, Math.floor(value / 4294967296), true);
    return this;
  }
  bool(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }
  raw(bytes: Uint8Array): this {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }
  bytes(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }
  list<T>(items: readonly T[], write: (item: T) => void): this {
    this.u32(items.length);
    for (const item of items) write(item);
    return this;
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  #take(count: number): number {
    if (count > this.left) throw new MalformedBytes(`${count} bytes wanted, ${this.left} left`);
    const at = this.#at;
    this.#at += count;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }
  u64(): number {
    const at = this.#take(8);
    const high = this.#view.getUint32(at + 4, true);
    if (high >= 0x200000) throw new MalformedBytes("a number is beyond 2^53");
    return high * 4294967296 + this.#view.getUint32(at, true);
  }
  bool(): boolean {
    const value = this.u8();
    if (value > 1) throw new MalformedBytes(`${value} is no truth value`);
    return value === 1;
  }
  /** Lent: a view of the bytes read. */
  raw(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }
  bytes(): Uint8Array {
    return this.raw(this.u32());
  }
  /** `bytesEach`: the least that an item takes; a count that cannot be is refused before anything is read. */
  list<T>(bytesEach: number, read: () => T): T[] {
    const count = this.u32();
    if (count * bytesEach > this.left) throw new MalformedBytes(`a list of ${count} does not fit`);
    const items: T[] = [];
    for (let at = 0; at < count; at++) items.push(read());
    return items;
  }
  /** Nothing may be left over. */
  end(): void {
    if (this.left > 0) throw new MalformedBytes(`${this.left} bytes too many`);
  }
}
