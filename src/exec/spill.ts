/**
 * Rows kept by an operator: in memory while the budget lasts, then in a temporary file, in a compact row format.
 *
 * Invariants: a chunk, once stored, never changes; chunks are read in any order and as often as wanted. A chunk in
 * memory has been taken from the budget; one in the file costs nothing but its entry. All memory and the file are given
 * back by `clear`.
 *
 * Spilled row, per value: a tag byte, then | 3 int: i32 | 4 double: f64 | 5 bigint: u8 sign, u32 length, hex digits |
 * 6 string: u32 length, UTF-8 | 7 bytes: u32 length | 8 numeric: u8 special, u32 scale, then the coefficient as a value |
 * 9 interval: i32 months, i32 days, micros as a value | 10 timetz: f64, i32 | 11 array: u32 element type, u32 dims, then
 * per dim i32 length and i32 lower bound, u32 count, elements | 12 row: u32 count, then per field u32 type, value |.
 */
import { assert } from "../base/errors.js";
import { Batch, batchRowsMax } from "../model/batch.js";
import { Interval, Numeric, PgArray, RowValue, TimeTz, type Value } from "../model/value.js";
import type { ExecContext, SpillFile } from "./contract.js";
import { Account } from "./memory.js";

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
  timetz: 10,
  array: 11,
  row: 12,
} as const;
const specials = ["", "NaN", "Infinity", "-Infinity"] as const;

/** Bytes a value holds on the heap, near enough for a budget: V8 boxes doubles, strings have a header. */
export function bytesOf(value: Value): number {
  switch (typeof value) {
    case "number":
    case "boolean":
      return 16;
    case "string":
      return 24 + value.length;
    case "bigint":
      return 32;
    default:
      break;
  }
  if (value === null) return 8;
  if (value instanceof Uint8Array) return 96 + value.length;
  if (value instanceof PgArray) {
    let sum = 128;
    for (const element of value.elements) sum += bytesOf(element);
    return sum;
  }
  if (value instanceof RowValue) {
    let sum = 96;
    for (const field of value.values) sum += bytesOf(field);
    return sum;
  }
  return 64;
}

/** Bytes of `count` rows from `from` on. */
export function bytesOfRows(columns: readonly Value[][], from: number, count: number): number {
  let sum = 0;
  for (let c = 0; c < columns.length; c++) {
    const column = columns[c]!;
    for (let row = from; row < from + count; row++) {
      const value = column[row]!;
      sum += typeof value === "number" ? 16 : bytesOf(value);
    }
  }
  return sum;
}

/** A growing byte buffer that values are appended to. */
export class RowWriter {
  bytes = Buffer.allocUnsafe(16 * 1024);
  length = 0;

  #room(count: number): void {
    const need = this.length + count;
    if (need <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(need, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
  u32(value: number): void {
    this.#room(4);
    this.bytes.writeUInt32LE(value, this.length);
    this.length += 4;
  }
  i32(value: number): void {
    this.#room(4);
    this.bytes.writeInt32LE(value, this.length);
    this.length += 4;
  }
  f64(value: number): void {
    this.#room(8);
    this.bytes.writeDoubleLE(value, this.length);
    this.length += 8;
  }
  #tag(tag: number): void {
    this.#room(1);
    this.bytes[this.length++] = tag;
  }
  value(value: Value): void {
    switch (typeof value) {
      case "number":
        if ((value | 0) === value && !Object.is(value, -0)) {
          this.#tag(Tag.int);
          this.i32(value);
        } else {
          this.#tag(Tag.double);
          this.f64(value);
        }
        return;
      case "boolean":
        this.#tag(value ? Tag.true : Tag.false);
        return;
      case "string": {
        this.#tag(Tag.string);
        this.#room(4 + value.length * 3);
        const written = this.bytes.write(value, this.length + 4, "utf8");
        this.bytes.writeUInt32LE(written, this.length);
        this.length += 4 + written;
        return;
      }
      case "bigint": {
        this.#tag(Tag.bigint);
        this.#tag(value < 0n ? 1 : 0);
        const digits = (value < 0n ? -value : value).toString(16);
        this.#room(4 + digits.length);
        this.u32(digits.length);
        this.length += this.bytes.write(digits, this.length, "latin1");
        return;
      }
      default:
        break;
    }
    if (value === null) this.#tag(Tag.null);
    else if (value instanceof Uint8Array) {
      this.#tag(Tag.bytes);
      this.#room(4 + value.length);
      this.u32(value.length);
      this.bytes.set(value, this.length);
      this.length += value.length;
    } else if (value instanceof Numeric) {
      this.#tag(Tag.numeric);
      this.#tag(specials.indexOf(value.special));
      this.u32(value.scale);
      this.value(value.coefficient);
    } else if (value instanceof Interval) {
      this.#tag(Tag.interval);
      this.i32(value.months);
      this.i32(value.days);
      this.value(value.micros);
    } else if (value instanceof TimeTz) {
      this.#tag(Tag.timetz);
      this.f64(value.micros);
      this.i32(value.zoneSeconds);
    } else if (value instanceof PgArray) {
      this.#tag(Tag.array);
      this.u32(value.elementType);
      this.u32(value.dims.length);
      for (let dim = 0; dim < value.dims.length; dim++) {
        this.i32(value.dims[dim]!);
        this.i32(value.lowerBounds[dim]!);
      }
      this.u32(value.elements.length);
      for (const element of value.elements) this.value(element);
    } else {
      this.#tag(Tag.row);
      this.u32(value.values.length);
      for (let field = 0; field < value.values.length; field++) {
        this.u32(value.types[field]!);
        this.value(value.values[field]!);
      }
      this.#tag(value.names === undefined ? 0 : 1);
      if (value.names !== undefined) for (const name of value.names) this.value(name);
    }
  }
}

/** Reads what `RowWriter` wrote. */
export class RowReader {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  reset(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#at = 0;
  }
  u32(): number {
    const value = this.#bytes.readUInt32LE(this.#at);
    this.#at += 4;
    return value;
  }
  i32(): number {
    const value = this.#bytes.readInt32LE(this.#at);
    this.#at += 4;
    return value;
  }
  f64(): number {
    const value = this.#bytes.readDoubleLE(this.#at);
    this.#at += 8;
    return value;
  }
  #byte(): number {
    return this.#bytes[this.#at++]!;
  }
  value(): Value {
    const tag = this.#byte();
    switch (tag) {
      case Tag.null:
        return null;
      case Tag.false:
        return false;
      case Tag.true:
        return true;
      case Tag.int:
        return this.i32();
      case Tag.double:
        return this.f64();
      case Tag.bigint: {
        const negative = this.#byte() === 1;
        const length = this.u32();
        const magnitude = BigInt(`0x${this.#bytes.latin1Slice(this.#at, this.#at + length)}`);
        this.#at += length;
        return negative ? -magnitude : magnitude;
      }
      case Tag.string: {
        const length = this.u32();
        const text = this.#bytes.utf8Slice(this.#at, this.#at + length);
        this.#at += length;
        return text;
      }
      case Tag.bytes: {
        const length = this.u32();
        const copy = new Uint8Array(this.#bytes.subarray(this.#at, this.#at + length));
        this.#at += length;
        return copy;
      }
      case Tag.numeric: {
        const special = specials[this.#byte()]!;
        const scale = this.u32();
        return new Numeric(this.value() as number | bigint, scale, special);
      }
      case Tag.interval: {
        const months = this.i32();
        const days = this.i32();
        return new Interval(months, days, this.value() as number | bigint);
      }
      case Tag.timetz: {
        const micros = this.f64();
        return new TimeTz(micros, this.i32());
      }
      case Tag.array: {
        const elementType = this.u32();
        const dims: number[] = [];
        const lowerBounds: number[] = [];
        const dimensions = this.u32();
        for (let dim = 0; dim < dimensions; dim++) {
          dims.push(this.i32());
          lowerBounds.push(this.i32());
        }
        const elements: Value[] = [];
        const count = this.u32();
        for (let element = 0; element < count; element++) elements.push(this.value());
        return new PgArray(elementType, elements, dims, lowerBounds);
      }
      default: {
        assert(tag === Tag.row, "a spilled row has an unknown tag");
        const types: number[] = [];
        const values: Value[] = [];
        const count = this.u32();
        for (let field = 0; field < count; field++) {
          types.push(this.u32());
          values.push(this.value());
        }
        if (this.#byte() === 0) return new RowValue(types, values);
        return new RowValue(
          types,
          values,
          values.map(() => this.value() as string),
        );
      }
    }
  }
}

type Chunk =
  | { readonly batch: Batch; readonly bytes: number }
  | { readonly batch: undefined; readonly offset: number; readonly bytes: number; readonly rows: number };

/** Rows of one width, appended and then read chunk by chunk. */
export class RowStore {
  readonly account = new Account();
  readonly #chunks: Chunk[] = [];
  #context: ExecContext | undefined;
  #file: SpillFile | undefined;
  #fileBytes = 0;
  /** Rows appended since the last chunk was closed. */
  #tail: Batch;
  #tailBytes = 0;
  readonly #alwaysSpill: boolean;
  #rows = 0;
  readonly #writer = new RowWriter();
  readonly #reader = new RowReader();

  /** `onDisk`: every chunk goes to the file (sorted runs, join partitions). */
  constructor(
    readonly width: number,
    onDisk = false,
  ) {
    this.#tail = new Batch(width);
    this.#alwaysSpill = onDisk;
  }

  open(context: ExecContext): void {
    this.clear();
    this.#context = context;
    this.account.open(context.memory);
  }

  get rows(): number {
    return this.#rows;
  }
  get spilledBytes(): number {
    return this.#fileBytes;
  }
  /** Chunks that can be read, after `finish`, or while still growing without the tail. */
  get chunkCount(): number {
    return this.#chunks.length;
  }

  append(columns: readonly Value[][], length: number): void {
    this.appendRange(columns, 0, length);
  }

  appendRange(columns: readonly Value[][], from: number, to: number): void {
    let at = from;
    while (at < to) {
      const tail = this.#tail;
      const count = Math.min(to - at, batchRowsMax - tail.length);
      const bytes = 8 + bytesOfRows(columns, at, count);
      for (let c = 0; c < this.width; c++) {
        const source = columns[c]!;
        const target = tail.columns[c]!;
        for (let i = 0; i < count; i++) target[tail.length + i] = source[at + i]!;
      }
      this.#tailBytes += bytes;
      if (!this.#alwaysSpill) this.account.take(bytes);
      tail.length += count;
      this.#rows += count;
      at += count;
      const enough = this.#alwaysSpill
        ? this.#tailBytes > 1 << 20
        : this.account.full && this.#tailBytes > 8192;
      if (enough || tail.length === batchRowsMax) this.#closeTail();
    }
  }

  appendRow(columns: readonly Value[][], row: number): void {
    this.appendRange(columns, row, row + 1);
  }

  /** Rows `selection[0..count)` of the columns. */
  appendSelected(columns: readonly Value[][], selection: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) this.appendRange(columns, selection[i]!, selection[i]! + 1);
  }

  #closeTail(): void {
    const tail = this.#tail;
    if (tail.length === 0) return;
    const spill = this.#alwaysSpill || this.account.full;
    if (spill) {
      const writer = this.#writer;
      writer.length = 0;
      for (let row = 0; row < tail.length; row++) {
        for (let c = 0; c < this.width; c++) writer.value(tail.columns[c]![row]!);
      }
      const file = (this.#file ??= this.#context!.openSpill());
      file.write(writer.bytes.subarray(0, writer.length));
      this.#chunks.push({
        batch: undefined,
        offset: this.#fileBytes,
        bytes: writer.length,
        rows: tail.length,
      });
      this.#fileBytes += writer.length;
      if (!this.#alwaysSpill) this.account.give(this.#tailBytes);
      tail.length = 0;
      for (const column of tail.columns) column.length = 0;
    } else {
      this.#chunks.push({ batch: tail, bytes: this.#tailBytes });
      this.#tail = new Batch(this.width);
    }
    this.#tailBytes = 0;
  }

  /** Makes the last rows readable; further rows may still be appended (they start a new chunk). */
  finish(): void {
    this.#closeTail();
  }

  /**
   * Chunk `index`: the stored batch itself, or decoded into `into` (width as the store's), which stays valid until used
   * again. Callers do not change it.
   */
  read(index: number, into: Batch): Batch {
    const chunk = this.#chunks[index];
    assert(chunk !== undefined, "a row store was read beyond its end");
    if (chunk.batch !== undefined) return chunk.batch;
    const bytes = Buffer.allocUnsafe(chunk.bytes);
    const got = this.#file!.read(bytes, chunk.offset);
    assert(got === chunk.bytes, "a spill file gave back fewer bytes than it took");
    const reader = this.#reader;
    reader.reset(bytes);
    for (let row = 0; row < chunk.rows; row++) {
      for (let c = 0; c < this.width; c++) into.columns[c]![row] = reader.value();
    }
    into.length = chunk.rows;
    return into;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#tail = new Batch(this.width);
    this.#tailBytes = 0;
    this.#rows = 0;
    this.#fileBytes = 0;
    this.account.release();
    const file = this.#file;
    this.#file = undefined;
    file?.close();
  }
}

/** Reads a store from its start; each reader has a position and a buffer of its own. */
export class RowStoreReader {
  #chunk = 0;
  readonly #into: Batch;
  constructor(readonly store: RowStore) {
    this.#into = new Batch(store.width);
  }
  rewind(): void {
    this.#chunk = 0;
  }
  next(): Batch | undefined {
    if (this.#chunk >= this.store.chunkCount) return undefined;
    return this.store.read(this.#chunk++, this.#into);
  }
}
