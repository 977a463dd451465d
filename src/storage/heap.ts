/**
 * Data pages: up to a few hundred rows, column by column (PAX), with a heap for variable-length bytes.
 *
 * After the 128-byte head come arrays of C entries each (C = the page's capacity, a multiple of 8), at 128 + C * k:
 *
 * | array                                              | bytes per row          |
 * |----------------------------------------------------|------------------------|
 * | 16-byte, 8-byte, 4-byte columns                    | 16, 8, 4               |
 * | writer: transaction id above the page's base, 0 = older than any snapshot | 4 |
 * | back page of the version chain                     | 4                      |
 * | variable columns: u16 offset, u16 length code      | 4 each                 |
 * | 2-byte columns; back slot                          | 2 each; 2              |
 * | 1-byte columns; flags                              | 1 each; 1              |
 * | null bits, one array per column                    | 1/8 each               |
 * | gap, then the heap, growing down from the page end |                        |
 *
 * Head fields of data pages: rows u16 at 8, capacity 10, heap start 12, heap garbage 14, format 16, holes 18 (rows that
 * are no live newest version: stubs and free slots), encodings u32 at 20, writer base u64 at 24.
 *
 * k is a constant of the format, so a column's address needs no table in the page. A format holds as many leading
 * columns as let eight rows fit; the columns beyond (very wide tables, columns added later) and values that found no room
 * lie row-wise in an extension record in front of the row's version chain (flag `extension`).
 *
 * Length codes: bytes in the heap; `code.reference` 8 bytes that name an overflow chain (page u32, length u32).
 * In images and records also `code.null` and `code.missing` (the column was not there when the row was written).
 *
 * Invariants: a slot is a row's for its whole life; compaction and re-layout move bytes, never slots. Offsets are scaled
 * by 2 on pages over 64 KiB; a heap start of 0 is the page end. Null bits of a null column are set and its bytes zero.
 */
import { assert, DbError } from "../base/errors.js";
import {
  ByteSink,
  dateOf,
  decodeVariable,
  encodeVariable,
  numericOf,
  readFixed,
  readWide,
  type StorageClass,
  StorageKind,
  timestampOf,
  type Views,
  writeFixed,
} from "../model/codec-column.js";
import type { Value } from "../model/value.js";
import type { PageStore } from "./contract.js";

export const slotsMax = 4096;
/** Longest value kept in a page; longer ones go to an overflow chain at once. */
export const inlineMax = 2048;
export const referenceBytes = 8;

export const code = {
  null: 0xffff,
  missing: 0xfffe,
  reference: 0x8008,
  /** In images only: bytes too long for a page, not yet in a chain. */
  large: 0xfffd,
} as const;

export const rowFlag = {
  /** Deleted; the last live image is the row's own bytes. */
  stub: 0x01,
  /** The back pointer (or the extension record's) names an older version. */
  chain: 0x02,
  /** The back pointer names an extension record. */
  extension: 0x04,
  /** Some value is a reference to an overflow chain. */
  overflow: 0x08,
  /** The newest version changed a key or deleted the row: it locks out even KEY SHARE while it is active. */
  keyUpdate: 0x10,
  /** Index entries of keys that no version has may point here: index scans compare keys. Sticks to the slot. */
  stale: 0x20,
  /** The slot holds no row. */
  free: 0x80,
} as const;

const bodyStart = 128;
const headRows = 8;
const headCapacity = 10;
const headHeapStart = 12;
const headGarbage = 14;
const headFormat = 16;
const headHoles = 18;
const headBase = 24;

/** Columns of one row as bytes, by column number: what goes into a page, or came out of one. */
export class RowImage {
  count = 0;
  columns = new Uint16Array(64);
  codes = new Uint16Array(64);
  starts = new Int32Array(64);
  lengths = new Int32Array(64);
  readonly sink = new ByteSink(4096);

  clear(): void {
    this.count = 0;
    this.sink.at = 0;
  }
  #slot(): number {
    if (this.count === this.columns.length) {
      const size = this.count * 2;
      const grow = <T extends Uint16Array | Int32Array>(from: T, to: T): T => {
        to.set(from);
        return to;
      };
      this.columns = grow(this.columns, new Uint16Array(size));
      this.codes = grow(this.codes, new Uint16Array(size));
      this.starts = grow(this.starts, new Int32Array(size));
      this.lengths = grow(this.lengths, new Int32Array(size));
    }
    return this.count++;
  }
  addCode(column: number, what: number): void {
    const at = this.#slot();
    this.columns[at] = column;
    this.codes[at] = what;
    this.starts[at] = this.sink.at;
    this.lengths[at] = 0;
  }
  addBytes(column: number, what: number, from: Uint8Array, start: number, length: number): void {
    const at = this.#slot();
    this.columns[at] = column;
    this.codes[at] = what;
    this.starts[at] = this.sink.at;
    this.lengths[at] = length;
    this.sink.copy(from, start, length);
  }
  addValue(column: number, storage: StorageClass, value: Value): void {
    if (value === null) {
      this.addCode(column, code.null);
      return;
    }
    if (storage.width !== 0) {
      writeFixed(small, 0, storage.kind, storage.scale, value);
      this.addBytes(column, storage.width, small.u8, 0, storage.width);
      return;
    }
    const at = this.#slot();
    const start = this.sink.at;
    encodeVariable(storage.kind, value, this.sink);
    const length = this.sink.at - start;
    this.columns[at] = column;
    this.codes[at] = length > inlineMax ? code.large : length;
    this.starts[at] = start;
    this.lengths[at] = length;
  }
  addReference(column: number, page: number, length: number): void {
    const at = this.#slot();
    this.columns[at] = column;
    this.codes[at] = code.reference;
    this.starts[at] = this.sink.at;
    this.lengths[at] = referenceBytes;
    this.sink.i32(page);
    this.sink.i32(length);
  }
  find(column: number): number {
    for (let index = 0; index < this.count; index++) if (this.columns[index] === column) return index;
    return -1;
  }
  /** Bytes of the entries in a record. */
  get recordBytes(): number {
    let bytes = 0;
    for (let index = 0; index < this.count; index++) bytes += 4 + ((this.lengths[index]! + 1) & ~1);
    return bytes;
  }
}

/** Variable columns of several rows on their way into a page: row after row, in the order of the format's `variable`. */
export class RowsImage {
  lengths = new Int32Array(1024);
  readonly sink = new ByteSink(65536);

  clear(): void {
    this.sink.at = 0;
  }
  lengthAt(index: number, length: number): void {
    if (index >= this.lengths.length) {
      const larger = new Int32Array(this.lengths.length * 2);
      larger.set(this.lengths);
      this.lengths = larger;
    }
    this.lengths[index] = length;
  }
}

const smallBuffer = new ArrayBuffer(16);
/** One fixed value on its way between a Value and unaligned bytes. */
const small: Views = {
  u8: new Uint8Array(smallBuffer),
  u16: new Uint16Array(smallBuffer),
  u32: new Uint32Array(smallBuffer),
  i32: new Int32Array(smallBuffer),
  f64: new Float64Array(smallBuffer),
  view: new DataView(smallBuffer),
};

/** Reads a value from record or image bytes. References are the caller's. */
export function valueOfBytes(storage: StorageClass, from: Buffer, start: number, length: number): Value {
  if (storage.width === 0) return decodeVariable(storage.kind, from, start, length);
  for (let index = 0; index < storage.width; index++) small.u8[index] = from[start + index]!;
  return readFixed(small, 0, storage.kind, storage.scale);
}

/** Reads a whole overflow chain into a fresh buffer; may throw Wait. */
export type ReadChain = (page: number, length: number) => Buffer;

const reach = new Int32Array(slotsMax);

/** One layout of a table's pages, bound to the pool they lie in. */
export class PageFormat {
  /** Columns that lie in the page: the first ones of `classes`. */
  readonly columns: number;
  readonly kinds: Uint8Array;
  readonly widths: Uint8Array;
  readonly scales: Uint8Array;
  /** Array offset per unit of capacity, by column. */
  readonly offsets: Int32Array;
  readonly variable: readonly number[];
  readonly writerOffset: number;
  readonly backPageOffset: number;
  readonly backSlotOffset: number;
  readonly flagsOffset: number;
  /** Bytes per row before the null bits. */
  readonly fixedBytes: number;
  readonly #shift: number;
  readonly #pageSize: number;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #views: Views;
  readonly #scratch: Uint8Array;
  readonly bytes: Buffer;
  compactions = 0;

  constructor(
    readonly store: PageStore,
    readonly id: number,
    readonly classes: readonly StorageClass[],
  ) {
    this.#pageSize = store.pageSize;
    this.#shift = store.pageSize > 65536 ? 1 : 0;
    this.#u8 = store.pool.u8;
    this.#u16 = store.pool.u16;
    this.#u32 = store.pool.u32;
    this.#views = store.pool;
    this.bytes = bufferOver(store.pool.u8);
    this.#scratch = new Uint8Array(store.pageSize);
    let columns = 0;
    // Writer, back pointer and flags take 11 bytes; each column its width and a null bit.
    let perEight = 8 * 11;
    const room = Math.floor((store.pageSize - bodyStart) * 0.75);
    while (columns < classes.length) {
      const width = classes[columns]!.width;
      perEight += 8 * (width === 0 ? 4 : width) + 1;
      if (perEight > room) break;
      columns++;
    }
    this.columns = columns;
    this.kinds = new Uint8Array(columns);
    this.widths = new Uint8Array(columns);
    this.scales = new Uint8Array(columns);
    this.offsets = new Int32Array(columns);
    const variable: number[] = [];
    for (let column = 0; column < columns; column++) {
      this.kinds[column] = classes[column]!.kind;
      this.widths[column] = classes[column]!.width;
      this.scales[column] = classes[column]!.scale;
      if (classes[column]!.width === 0) variable.push(column);
    }
    this.variable = variable;
    let at = 0;
    const place = (width: number): void => {
      for (let column = 0; column < columns; column++) {
        if (this.widths[column] !== width) continue;
        this.offsets[column] = at;
        at += width === 0 ? 4 : width;
      }
    };
    place(16);
    place(8);
    place(4);
    this.writerOffset = at;
    this.backPageOffset = at + 4;
    at += 8;
    place(0);
    place(2);
    this.backSlotOffset = at;
    at += 2;
    place(1);
    this.flagsOffset = at;
    this.fixedBytes = at + 1;
  }

  /** Rows of `variableBytes` on average that a page filled to `fill` (0..1) holds: a multiple of 8, at least 8. */
  capacityFor(fill: number, variableBytes: number): number {
    const perRow = this.fixedBytes + this.columns / 8 + variableBytes;
    const rows = Math.floor(((this.#pageSize - bodyStart) * fill) / perRow) & ~7;
    return Math.max(8, Math.min(slotsMax, rows));
  }

  arraysEnd(capacity: number): number {
    return bodyStart + capacity * this.fixedBytes + (capacity >>> 3) * this.columns;
  }
  initialize(address: number, capacity: number, writerBase: number): void {
    const view = this.store.pool.view;
    this.#u16[(address + headRows) >>> 1] = 0;
    this.#u16[(address + headCapacity) >>> 1] = capacity;
    this.#u16[(address + headHeapStart) >>> 1] = 0;
    this.#u16[(address + headGarbage) >>> 1] = 0;
    this.#u16[(address + headFormat) >>> 1] = this.id;
    this.#u16[(address + headHoles) >>> 1] = 0;
    view.setUint32(address + headBase, writerBase >>> 0, true);
    view.setUint32(address + headBase + 4, Math.floor(writerBase / 4294967296), true);
    this.store.changed(address, 0, 64);
  }
  rows(address: number): number {
    return this.#u16[(address + headRows) >>> 1]!;
  }
  capacity(address: number): number {
    return this.#u16[(address + headCapacity) >>> 1]!;
  }
  holes(address: number): number {
    return this.#u16[(address + headHoles) >>> 1]!;
  }
  addHoles(address: number, count: number): void {
    const at = (address + headHoles) >>> 1;
    const holes = this.#u16[at]! + count;
    assert(holes >= 0 && holes <= slotsMax, "count of holes out of range");
    this.#u16[at] = holes;
    this.store.changed(address, headHoles, 2);
  }
  setRows(address: number, rows: number): void {
    this.#u16[(address + headRows) >>> 1] = rows;
    this.store.changed(address, headRows, 2);
  }
  writerBase(address: number): number {
    const at = (address + headBase) >>> 2;
    return this.#u32[at]! + this.#u32[at + 1]! * 4294967296;
  }
  setWriterBase(address: number, base: number): void {
    const at = (address + headBase) >>> 2;
    this.#u32[at] = base >>> 0;
    this.#u32[at + 1] = Math.floor(base / 4294967296);
    this.store.changed(address, headBase, 8);
  }
  /** Index into the pool's u32 of the writer array. */
  writers(address: number): number {
    return (address + bodyStart + this.capacity(address) * this.writerOffset) >>> 2;
  }
  flagsAt(address: number): number {
    return address + bodyStart + this.capacity(address) * this.flagsOffset;
  }
  writerDelta(address: number, slot: number): number {
    return this.#u32[this.writers(address) + slot]!;
  }
  setWriterDelta(address: number, slot: number, delta: number): void {
    const at = this.writers(address) + slot;
    this.#u32[at] = delta;
    this.store.changed(address, at * 4 - address, 4);
  }
  flags(address: number, slot: number): number {
    return this.#u8[this.flagsAt(address) + slot]!;
  }
  setFlags(address: number, slot: number, flags: number): void {
    const at = this.flagsAt(address) + slot;
    if (this.#u8[at] === flags) return;
    this.#u8[at] = flags;
    this.store.changed(address, at - address, 1);
  }
  backPage(address: number, slot: number): number {
    return this.#u32[((address + bodyStart + this.capacity(address) * this.backPageOffset) >>> 2) + slot]!;
  }
  backSlot(address: number, slot: number): number {
    return this.#u16[((address + bodyStart + this.capacity(address) * this.backSlotOffset) >>> 1) + slot]!;
  }
  setBack(address: number, slot: number, page: number, pageSlot: number): void {
    const capacity = this.capacity(address);
    const at = ((address + bodyStart + capacity * this.backPageOffset) >>> 2) + slot;
    const slotAt = ((address + bodyStart + capacity * this.backSlotOffset) >>> 1) + slot;
    this.#u32[at] = page;
    this.#u16[slotAt] = pageSlot;
    this.store.changed(address, at * 4 - address, 4);
    this.store.changed(address, slotAt * 2 - address, 2);
  }

  /** Byte address of a column's array; variable ones hold u16 offset and u16 length pairs. */
  columnAddress(address: number, column: number): number {
    return address + bodyStart + this.capacity(address) * this.offsets[column]!;
  }
  nullsAddress(address: number, column: number): number {
    const capacity = this.capacity(address);
    return address + bodyStart + capacity * this.fixedBytes + (capacity >>> 3) * column;
  }
  isNull(address: number, slot: number, column: number): boolean {
    return (this.#u8[this.nullsAddress(address, column) + (slot >>> 3)]! & (1 << (slot & 7))) !== 0;
  }
  #setNull(address: number, slot: number, column: number, isNull: boolean): void {
    const at = this.nullsAddress(address, column) + (slot >>> 3);
    const before = this.#u8[at]!;
    const after = isNull ? before | (1 << (slot & 7)) : before & ~(1 << (slot & 7));
    if (after === before) return;
    this.#u8[at] = after;
    this.store.changed(address, at - address, 1);
  }
  #heapStart(address: number): number {
    const start = this.#u16[(address + headHeapStart) >>> 1]!;
    return start === 0 ? this.#pageSize : start << this.#shift;
  }
  #setHeapStart(address: number, start: number): void {
    this.#u16[(address + headHeapStart) >>> 1] = start === this.#pageSize ? 0 : start >>> this.#shift;
    this.store.changed(address, headHeapStart, 2);
  }
  #garbage(address: number): number {
    return this.#u16[(address + headGarbage) >>> 1]! << this.#shift;
  }
  #setGarbage(address: number, garbage: number): void {
    this.#u16[(address + headGarbage) >>> 1] = garbage >>> this.#shift;
    this.store.changed(address, headGarbage, 2);
  }
  #aligned(length: number): number {
    return this.#shift === 0 ? length : (length + 1) & ~1;
  }
  /** Heap bytes that can be had at once, and after compaction. */
  gap(address: number): number {
    return this.#heapStart(address) - this.arraysEnd(this.capacity(address));
  }
  gapCompacted(address: number): number {
    return this.gap(address) + this.#garbage(address);
  }
  heapUsed(address: number): number {
    return this.#pageSize - this.#heapStart(address) - this.#garbage(address);
  }

  /** Heap bytes of one row. */
  rowHeapBytes(address: number, slot: number): number {
    let bytes = 0;
    for (const column of this.variable) {
      const at = (this.columnAddress(address, column) >>> 1) + slot * 2;
      bytes += this.#aligned(this.#u16[at + 1]! & 0x7fff);
    }
    return bytes;
  }

  /** Moves the heap's live bytes together at the page end. */
  compact(address: number): void {
    this.compactions++;
    const scratch = this.#scratch;
    const start = this.#heapStart(address);
    scratch.set(this.#u8.subarray(address + start, address + this.#pageSize), start);
    const rows = this.rows(address);
    let end = this.#pageSize;
    for (const column of this.variable) {
      const pairs = this.columnAddress(address, column) >>> 1;
      for (let slot = 0; slot < rows; slot++) {
        const length = this.#u16[pairs + slot * 2 + 1]! & 0x7fff;
        if (length === 0) continue;
        const from = this.#u16[pairs + slot * 2]! << this.#shift;
        end -= this.#aligned(length);
        this.#u8.set(scratch.subarray(from, from + length), address + end);
        this.#u16[pairs + slot * 2] = end >>> this.#shift;
      }
      if (rows > 0) this.store.changed(address, pairs * 2 - address, rows * 4);
    }
    this.#setHeapStart(address, end);
    this.#setGarbage(address, 0);
    if (end < this.#pageSize) this.store.changed(address, end, this.#pageSize - end);
  }

  /** Gives the page another capacity: moves the arrays; heap and slots stay. The arrays must fit before the heap. */
  relayout(address: number, capacity: number): void {
    const before = this.capacity(address);
    const rows = this.rows(address);
    assert(capacity % 8 === 0 && capacity >= rows && capacity <= slotsMax, "capacity below the page's rows");
    assert(this.arraysEnd(capacity) <= this.#heapStart(address), "the arrays would run into the heap");
    const scratch = this.#scratch;
    const endBefore = this.arraysEnd(before);
    scratch.set(this.#u8.subarray(address, address + endBefore), 0);
    this.#u8.fill(0, address + bodyStart, address + Math.max(endBefore, this.arraysEnd(capacity)));
    const move = (offset: number, width: number): void => {
      const from = bodyStart + before * offset;
      this.#u8.set(scratch.subarray(from, from + rows * width), address + bodyStart + capacity * offset);
    };
    for (let column = 0; column < this.columns; column++) {
      const width = this.widths[column]!;
      move(this.offsets[column]!, width === 0 ? 4 : width);
      const from = bodyStart + before * this.fixedBytes + (before >>> 3) * column;
      const to = address + bodyStart + capacity * this.fixedBytes + (capacity >>> 3) * column;
      this.#u8.set(scratch.subarray(from, from + ((rows + 7) >>> 3)), to);
    }
    move(this.writerOffset, 4);
    move(this.backPageOffset, 4);
    move(this.backSlotOffset, 2);
    move(this.flagsOffset, 1);
    this.#u16[(address + headCapacity) >>> 1] = capacity;
    this.store.changed(address, 0, Math.max(endBefore, this.arraysEnd(capacity)));
  }

  /**
   * Makes `bytes` of gap: compacts, else gives up unused rows. False when the page has not got them.
   */
  makeRoom(address: number, bytes: number): boolean {
    if (bytes <= this.gap(address)) return true;
    if (bytes <= this.gapCompacted(address)) {
      this.compact(address);
      return true;
    }
    const capacity = (this.rows(address) + 7) & ~7;
    if (capacity >= this.capacity(address)) return false;
    const gained = this.arraysEnd(this.capacity(address)) - this.arraysEnd(capacity);
    if (bytes > this.gapCompacted(address) + gained) return false;
    if (this.#garbage(address) > 0) this.compact(address);
    this.relayout(address, capacity);
    return true;
  }

  /** Bytes that `makeRoom` can give at most. */
  room(address: number): number {
    const capacity = (this.rows(address) + 7) & ~7;
    return this.gapCompacted(address) + this.arraysEnd(this.capacity(address)) - this.arraysEnd(capacity);
  }
  /** Heap bytes of one value; `reference`s take 8. */
  heapBytes(address: number, slot: number, column: number): number {
    const at = (this.columnAddress(address, column) >>> 1) + slot * 2;
    return this.#aligned(this.#u16[at + 1]! & 0x7fff);
  }
  imageBytes(image: RowImage, index: number): number {
    const what = image.codes[index]!;
    if (what === code.null || what === code.missing) return 0;
    return this.#aligned(what === code.large ? referenceBytes : image.lengths[index]!);
  }
  isReference(address: number, slot: number, column: number): boolean {
    return this.#u16[(this.columnAddress(address, column) >>> 1) + slot * 2 + 1] === code.reference;
  }
  referencePage(address: number, slot: number, column: number): number {
    const pair = (this.columnAddress(address, column) >>> 1) + slot * 2;
    return this.store.pool.view.getUint32(address + (this.#u16[pair]! << this.#shift), true);
  }

  /** Frees a column's heap bytes: they become garbage and the pair zero. */
  dropBytes(address: number, slot: number, column: number): void {
    const at = (this.columnAddress(address, column) >>> 1) + slot * 2;
    const length = this.#u16[at + 1]! & 0x7fff;
    if (length === 0) return;
    this.#setGarbage(address, this.#garbage(address) + this.#aligned(length));
    this.#u16[at] = 0;
    this.#u16[at + 1] = 0;
    this.store.changed(address, at * 2 - address, 4);
  }

  /**
   * Writes one column of an image into the row. Variable bytes that are longer than the old ones take new heap room,
   * which must be there (`makeRoom`). `isNew`: the slot's bytes mean nothing.
   */
  put(address: number, slot: number, image: RowImage, index: number, isNew: boolean): void {
    const column = image.columns[index]!;
    const what = image.codes[index]!;
    assert(what !== code.large && what !== code.missing, "an image entry is not ready for the page");
    const width = this.widths[column]!;
    const isNull = what === code.null;
    this.#setNull(address, slot, column, isNull);
    const from = image.sink.bytes;
    const start = image.starts[index]!;
    if (width !== 0) {
      const at = this.columnAddress(address, column) + slot * width;
      if (isNull) this.#u8.fill(0, at, at + width);
      else for (let byte = 0; byte < width; byte++) this.#u8[at + byte] = from[start + byte]!;
      this.store.changed(address, at - address, width);
      return;
    }
    const pair = (this.columnAddress(address, column) >>> 1) + slot * 2;
    if (isNew) {
      this.#u16[pair] = 0;
      this.#u16[pair + 1] = 0;
    }
    const length = isNull ? 0 : image.lengths[index]!;
    const had = this.#u16[pair + 1]! & 0x7fff;
    let at: number;
    if (length === 0) {
      this.dropBytes(address, slot, column);
      this.store.changed(address, pair * 2 - address, 4);
      return;
    }
    if (this.#aligned(length) <= this.#aligned(had)) {
      at = this.#u16[pair]! << this.#shift;
      const spare = this.#aligned(had) - this.#aligned(length);
      if (spare > 0) this.#setGarbage(address, this.#garbage(address) + spare);
    } else {
      this.dropBytes(address, slot, column);
      at = this.#heapStart(address) - this.#aligned(length);
      assert(at >= this.arraysEnd(this.capacity(address)), "the page's heap is full");
      this.#setHeapStart(address, at);
      this.#u16[pair] = at >>> this.#shift;
    }
    this.#u16[pair + 1] = what === code.reference ? code.reference : length;
    const to = address + at;
    if (length < 32) for (let byte = 0; byte < length; byte++) this.#u8[to + byte] = from[start + byte]!;
    else this.#u8.set(from.subarray(start, start + length), to);
    this.store.changed(address, at, length);
    this.store.changed(address, pair * 2 - address, 4);
  }

  /**
   * Encodes the variable columns of `columns[..][row]` as row `place` of `rows`. Answers the heap bytes they take, or -1
   * when a value does not lie in a page.
   */
  encodeRow(rows: RowsImage, place: number, columns: readonly (readonly Value[])[], row: number): number {
    const { variable, kinds } = this;
    const { sink } = rows;
    let bytes = 0;
    for (let index = 0; index < variable.length; index++) {
      const column = variable[index]!;
      const value = columns[column]![row]!;
      const start = sink.at;
      if (value !== null) encodeVariable(kinds[column]!, value, sink);
      const length = sink.at - start;
      if (length > inlineMax) return -1;
      rows.lengthAt(place * variable.length + index, length);
      bytes += this.#aligned(length);
    }
    return bytes;
  }

  /**
   * Writes `count` new rows, `columns[..][from]` and on, into the slots behind the page's last row. Slots and heap have
   * room for them; `rows` holds their variable columns. Rows show with the last step, so nothing of a failure does.
   */
  appendRows(
    address: number,
    columns: readonly (readonly Value[])[],
    from: number,
    count: number,
    rows: RowsImage,
    writerDelta: number,
  ): void {
    const first = this.rows(address);
    assert(first + count <= this.capacity(address), "the page has no slots for the rows");
    const { variable } = this;
    const views = this.#views;
    const u8 = this.#u8;
    const u16 = this.#u16;
    for (let column = 0; column < this.columns; column++) {
      const source = columns[column]!;
      const width = this.widths[column]!;
      const kind = this.kinds[column]!;
      const scale = this.scales[column]!;
      const nulls = this.nullsAddress(address, column);
      const start = this.columnAddress(address, column) + first * (width === 0 ? 4 : width);
      let bitsChanged = false;
      for (let row = 0; row < count; row++) {
        const value = source[from + row]!;
        const slot = first + row;
        const byte = nulls + (slot >>> 3);
        const bit = 1 << (slot & 7);
        const isNull = value === null;
        if (((u8[byte]! & bit) !== 0) !== isNull) {
          u8[byte] = u8[byte]! ^ bit;
          bitsChanged = true;
        }
        if (width === 0) continue;
        if (isNull) u8.fill(0, start + row * width, start + (row + 1) * width);
        else writeFixed(views, start + row * width, kind, scale, value);
      }
      this.store.changed(address, start - address, count * (width === 0 ? 4 : width));
      if (bitsChanged) {
        const byte = first >>> 3;
        this.store.changed(address, nulls + byte - address, ((first + count - 1) >>> 3) - byte + 1);
      }
    }
    if (variable.length > 0) {
      const heapEnd = this.#heapStart(address);
      const bytes = rows.sink.bytes;
      let heap = heapEnd;
      let read = 0;
      for (let row = 0; row < count; row++) {
        for (let index = 0; index < variable.length; index++) {
          const length = rows.lengths[row * variable.length + index]!;
          const pair = (this.columnAddress(address, variable[index]!) >>> 1) + (first + row) * 2;
          if (length === 0) {
            u16[pair] = 0;
            u16[pair + 1] = 0;
            continue;
          }
          heap -= this.#aligned(length);
          u16[pair] = heap >>> this.#shift;
          u16[pair + 1] = length;
          const to = address + heap;
          if (length < 32) for (let byte = 0; byte < length; byte++) u8[to + byte] = bytes[read + byte]!;
          else u8.set(bytes.subarray(read, read + length), to);
          read += length;
        }
      }
      assert(heap >= this.arraysEnd(this.capacity(address)), "the page's heap is full");
      if (heap < heapEnd) {
        this.#setHeapStart(address, heap);
        this.store.changed(address, heap, heapEnd - heap);
      }
    }
    const writers = this.writers(address) + first;
    this.#u32.fill(writerDelta, writers, writers + count);
    this.store.changed(address, writers * 4 - address, count * 4);
    const flags = this.flagsAt(address) + first;
    u8.fill(0, flags, flags + count);
    this.store.changed(address, flags - address, count);
    this.setRows(address, first + count);
  }

  /** A slot's row is gone: its heap bytes become garbage. */
  clearRow(address: number, slot: number): void {
    for (const column of this.variable) this.dropBytes(address, slot, column);
  }

  /** Appends the row's bytes of one column to an image (a reference stays one). */
  take(address: number, slot: number, column: number, image: RowImage): void {
    if (this.isNull(address, slot, column)) {
      image.addCode(column, code.null);
      return;
    }
    const width = this.widths[column]!;
    if (width !== 0) {
      image.addBytes(column, width, this.#u8, this.columnAddress(address, column) + slot * width, width);
      return;
    }
    const pair = (this.columnAddress(address, column) >>> 1) + slot * 2;
    const length = this.#u16[pair + 1]!;
    image.addBytes(column, length, this.#u8, address + (this.#u16[pair]! << this.#shift), length & 0x7fff);
  }

  /** True when the row's bytes of the column are those of the image entry. */
  equals(address: number, slot: number, image: RowImage, index: number): boolean {
    const column = image.columns[index]!;
    const what = image.codes[index]!;
    if (this.isNull(address, slot, column)) return what === code.null;
    if (what === code.null || what === code.large || what === code.missing) return false;
    const width = this.widths[column]!;
    let at: number;
    if (width !== 0) at = this.columnAddress(address, column) + slot * width;
    else {
      const pair = (this.columnAddress(address, column) >>> 1) + slot * 2;
      if (this.#u16[pair + 1] !== what) return false;
      at = address + (this.#u16[pair]! << this.#shift);
    }
    const length = image.lengths[index]!;
    const start = image.starts[index]!;
    const bytes = image.sink.bytes;
    for (let byte = 0; byte < length; byte++) if (this.#u8[at + byte] !== bytes[start + byte]) return false;
    return true;
  }

  /** Where the bytes that `bytesInPage` spoke of begin. */
  bytesAt = 0;
  /** Length of the row's bytes of a variable column, found at `bytesAt`; -1 when it is null or not held in the page. */
  bytesInPage(address: number, slot: number, column: number): number {
    if (this.isNull(address, slot, column)) return -1;
    const pair = (this.columnAddress(address, column) >>> 1) + slot * 2;
    const length = this.#u16[pair + 1]!;
    if ((length & 0x8000) !== 0) return -1;
    this.bytesAt = address + (this.#u16[pair]! << this.#shift);
    return length;
  }

  /** One value of a row, where it lies in the page. */
  value(address: number, slot: number, column: number, readChain: ReadChain): Value {
    const capacity = this.capacity(address);
    const nullsAt = address + bodyStart + capacity * this.fixedBytes + (capacity >>> 3) * column;
    if ((this.#u8[nullsAt + (slot >>> 3)]! & (1 << (slot & 7))) !== 0) return null;
    const width = this.widths[column]!;
    const base = address + bodyStart + capacity * this.offsets[column]!;
    if (width !== 0) {
      return readFixed(this.#views, base + slot * width, this.kinds[column]!, this.scales[column]!);
    }
    const pair = (base >>> 1) + slot * 2;
    return this.#variableValue(address, this.#u16[pair]!, this.#u16[pair + 1]!, column, readChain);
  }
  #variableValue(
    address: number,
    offset: number,
    length: number,
    column: number,
    readChain: ReadChain,
  ): Value {
    const at = address + (offset << this.#shift);
    if ((length & 0x8000) === 0) return decodeVariable(this.kinds[column]!, this.bytes, at, length);
    if (length !== code.reference) throw new DbError("dataCorrupted", "a stored value has a wrong length");
    const view = this.store.pool.view;
    const whole = readChain(view.getUint32(at, true), view.getUint32(at + 4, true));
    return decodeVariable(this.kinds[column]!, whole, 0, whole.length);
  }

  /**
   * Decodes `count` rows of one column into `into` from `at` on: those of `slots`, or 0..count-1 when undefined.
   * Extension records are the caller's.
   */
  decode(
    address: number,
    column: number,
    slots: Int32Array | undefined,
    count: number,
    into: Value[],
    at: number,
    readChain: ReadChain,
  ): void {
    let rows = slots;
    if (rows === undefined) {
      rows = sequence;
    }
    const base = this.columnAddress(address, column);
    switch (this.kinds[column]) {
      case StorageKind.int4: {
        const i32 = this.store.pool.i32;
        const start = base >>> 2;
        for (let index = 0; index < count; index++) into[at + index] = i32[start + rows[index]!]!;
        break;
      }
      case StorageKind.int2: {
        const start = base >>> 1;
        for (let index = 0; index < count; index++) {
          into[at + index] = (this.#u16[start + rows[index]!]! << 16) >> 16;
        }
        break;
      }
      case StorageKind.int8:
      case StorageKind.time: {
        const { i32, u32 } = this.store.pool;
        const start = base >>> 2;
        for (let index = 0; index < count; index++) {
          const low = start + rows[index]! * 2;
          const high = i32[low + 1]!;
          into[at + index] =
            high > -2097152 && high < 2097152
              ? high * 4294967296 + u32[low]!
              : readWide(this.#views, low * 4);
        }
        break;
      }
      case StorageKind.float8: {
        const f64 = this.store.pool.f64;
        const start = base >>> 3;
        for (let index = 0; index < count; index++) into[at + index] = f64[start + rows[index]!]!;
        break;
      }
      case StorageKind.bool:
        for (let index = 0; index < count; index++) into[at + index] = this.#u8[base + rows[index]!] === 1;
        break;
      case StorageKind.date: {
        const i32 = this.store.pool.i32;
        const start = base >>> 2;
        for (let index = 0; index < count; index++) into[at + index] = dateOf(i32[start + rows[index]!]!);
        break;
      }
      case StorageKind.timestamp:
        for (let index = 0; index < count; index++) {
          into[at + index] = timestampOf(this.#views, base + rows[index]! * 8);
        }
        break;
      case StorageKind.numeric: {
        const scale = this.scales[column]!;
        for (let index = 0; index < count; index++) {
          into[at + index] = numericOf(this.#views, base + rows[index]! * 8, scale);
        }
        break;
      }
      case StorageKind.text:
      case StorageKind.bytes:
      case StorageKind.tagged: {
        const pairs = base >>> 1;
        const nulls = this.nullsAddress(address, column);
        for (let index = 0; index < count; index++) {
          const slot = rows[index]!;
          into[at + index] =
            (this.#u8[nulls + (slot >>> 3)]! & (1 << (slot & 7))) !== 0
              ? null
              : this.#variableValue(
                  address,
                  this.#u16[pairs + slot * 2]!,
                  this.#u16[pairs + slot * 2 + 1]!,
                  column,
                  readChain,
                );
        }
        return;
      }
      default: {
        const width = this.widths[column]!;
        const kind = this.kinds[column]!;
        for (let index = 0; index < count; index++) {
          into[at + index] = readFixed(this.#views, base + rows[index]! * width, kind, 0);
        }
      }
    }
    // Nulls last: most columns of most pages have none, and then this is a few bytes looked at.
    const nulls = this.nullsAddress(address, column);
    const bytes = (this.rows(address) + 7) >>> 3;
    let any = 0;
    for (let byte = 0; byte < bytes; byte++) any |= this.#u8[nulls + byte]!;
    if (any === 0) return;
    for (let index = 0; index < count; index++) {
      const slot = rows[index]!;
      if ((this.#u8[nulls + (slot >>> 3)]! & (1 << (slot & 7))) !== 0) into[at + index] = null;
    }
  }

  /** What is wrong with a page of this format, if anything (verify). */
  check(address: number): string | undefined {
    const capacity = this.capacity(address);
    const rows = this.rows(address);
    if (capacity % 8 !== 0 || capacity > slotsMax || rows > capacity) return "rows or capacity out of range";
    const heapStart = this.#heapStart(address);
    if (heapStart > this.#pageSize || this.arraysEnd(capacity) > heapStart) return "arrays run into the heap";
    let holes = 0;
    let used = 0;
    const spans: number[] = [];
    for (let slot = 0; slot < rows; slot++) {
      const flags = this.flags(address, slot);
      if ((flags & (rowFlag.stub | rowFlag.free)) !== 0) holes++;
      for (const column of this.variable) {
        const pair = (this.columnAddress(address, column) >>> 1) + slot * 2;
        const length = this.#u16[pair + 1]!;
        if (length === 0) continue;
        if (length > inlineMax && length !== code.reference) return `slot ${slot}: value too long`;
        const from = this.#u16[pair]! << this.#shift;
        const bytes = this.#aligned(length & 0x7fff);
        if (from < heapStart || from + bytes > this.#pageSize) return `slot ${slot}: value outside the heap`;
        spans.push(from * 0x20000 + bytes);
        used += bytes;
      }
    }
    if (holes !== this.holes(address)) return `${holes} holes counted, ${this.holes(address)} noted`;
    if (used !== this.heapUsed(address)) return `${used} heap bytes counted, ${this.heapUsed(address)} noted`;
    spans.sort((a, b) => a - b);
    for (let index = 1; index < spans.length; index++) {
      const before = spans[index - 1]!;
      if (Math.floor(before / 0x20000) + (before % 0x20000) > Math.floor(spans[index]! / 0x20000)) {
        return "two values overlap in the heap";
      }
    }
    return undefined;
  }
}

const sequence = reach;
for (let slot = 0; slot < slotsMax; slot++) sequence[slot] = slot;

const buffers = new WeakMap<ArrayBufferLike, Buffer>();
/** The memory as a Buffer: its text decoders need one. */
export function bufferOver(u8: Uint8Array): Buffer {
  let buffer = buffers.get(u8.buffer);
  if (buffer === undefined) {
    buffer = Buffer.from(u8.buffer as ArrayBuffer, u8.byteOffset, u8.byteLength);
    buffers.set(u8.buffer, buffer);
  }
  return buffer;
}

/** The format number of any data page. */
export function formatOf(u16: Uint16Array, address: number): number {
  return u16[(address + headFormat) >>> 1]!;
}
