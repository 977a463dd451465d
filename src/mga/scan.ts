/**
 * Scans: all data pages of a table, or an index range, as one snapshot sees them.
 *
 * A page is judged in tiers (page-prototype, verdicts 1 and 2): when its highest commit number is within the snapshot
 * and it has no hole, all its rows are visible as they stand; else each row's writer is looked up (runs of one writer
 * once) into a bitmap, and rows whose newest version is not visible walk their chains.
 *
 * Invariants: a page scan gives each row at most once, with pages appended after its start left out (they hold nothing
 * its snapshot sees); an index scan gives a row at the entry whose key its visible version has, so at most once.
 */
import { isWait } from "../base/wait.js";
import type { Value } from "../model/value.js";
import type { TreeCursor } from "../storage/btree.js";
import { type PageFormat, rowFlag, slotsMax } from "../storage/heap.js";
import type { IndexScan, KeyRange, PageScan, RowId, Snapshot } from "./contract.js";
import type { IndexState } from "./index-state.js";
import type { EngineTable } from "./table.js";
import { Place } from "./table-state.js";
import { HeldSnapshot } from "./transaction.js";

const readAheadPages = 16;

export class EnginePageScan implements PageScan {
  address = 0;
  pageNumber = 0;
  rows = 0;
  visible = 0;
  visibleCount = 0;
  readonly oldSlots: number[] = [];
  format!: PageFormat;
  #position = 0;
  #end = -1;
  #slots: Int32Array | undefined;
  /** Flags of the page's rows, joined. */
  #flags = 0;
  /** A Wait came in the middle of the page: it may have left its frame, and its rows may have changed. */
  #interrupted = false;

  constructor(
    readonly table: EngineTable,
    public snapshot: Snapshot,
  ) {
    const reader = snapshot instanceof HeldSnapshot ? snapshot.owner.serializable : undefined;
    if (reader !== undefined) table.core.serializable.readTable(reader, table.spec.storageId);
  }

  renew(snapshot: Snapshot): void {
    this.snapshot = snapshot;
  }

  next(): boolean {
    const { state, store } = this.table;
    if (this.#end < 0) {
      state.space.load();
      this.#end = state.space.dataCount;
    }
    while (this.#position < this.#end) {
      store.beginOperation();
      if (this.#position % readAheadPages === 0) this.#readAhead();
      this.#enter(state.space.dataPages[this.#position]!);
      this.#interrupted = false;
      this.#position++;
      if (this.visibleCount > 0 || this.oldSlots.length > 0) return true;
    }
    // Nobody asks for rows of a page any more.
    if (this.#slots !== undefined) this.table.core.giveSlots(this.#slots);
    this.#slots = undefined;
    return false;
  }

  #enter(page: number): void {
    const { state } = this.table;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    this.address = address;
    this.pageNumber = page;
    this.rows = format.rows(address);
    this.format = format;
    this.oldSlots.length = 0;
    if (this.rows > 0) this.#judge();
    else this.visibleCount = 0;
  }

  /** After a Wait in the middle of a page: brings it back and judges it anew. Throws Wait. */
  refresh(): void {
    this.table.store.beginOperation();
    this.#enter(this.pageNumber);
    this.#interrupted = false;
  }

  #readAhead(): void {
    const { state, store } = this.table;
    const from = this.#position + 1;
    const to = Math.min(this.#end, from + 2 * readAheadPages);
    if (from < to) store.readAhead(Array.from(state.space.dataPages.subarray(from, to)));
  }

  #judge(): void {
    const { core, state } = this.table;
    const { address, format, rows, snapshot } = this;
    const limit = core.pageLimit(state, format, address);
    this.#flags = core.pageFlags;
    if (format.holes(address) === 0 && limit <= snapshot.commitNumber) {
      this.visible = 0;
      this.visibleCount = rows;
      return;
    }
    const slots = (this.#slots ??= core.takeSlots());
    const { u32, u8 } = this.table.store.pool;
    const bitmap = core.bitmap();
    u32.fill(0, bitmap >>> 2, (bitmap >>> 2) + ((rows + 31) >>> 5));
    const writers = format.writers(address);
    const flagsAt = format.flagsAt(address);
    const base = format.writerBase(address);
    const serializable = !core.serializable.idle;
    let count = 0;
    let lastDelta = -1;
    // What a run of one writer's rows are: seen, not seen, or own (asked row by row).
    let seen = false;
    let own = false;
    for (let slot = 0; slot < rows; slot++) {
      const delta = u32[writers + slot]!;
      const flags = u8[flagsAt + slot]!;
      if (delta !== lastDelta) {
        lastDelta = delta;
        own = delta !== 0 && base + delta === snapshot.self;
        seen = delta === 0 || (!own && core.inventory.outcome(base + delta) <= snapshot.commitNumber);
      }
      if ((flags & rowFlag.free) !== 0) continue;
      if (serializable && !seen) this.table.noteOverwritten(snapshot, format, address, slot);
      if (seen) {
        if ((flags & rowFlag.stub) !== 0) continue;
      } else if (own || (flags & rowFlag.chain) !== 0) {
        const place = state.resolve(snapshot, format, address, slot, this.pageNumber * slotsMax + slot);
        if (place === Place.older || place === Place.own) this.oldSlots.push(slot);
        if (place !== Place.newest) continue;
      } else continue;
      u8[bitmap + (slot >>> 3)] = u8[bitmap + (slot >>> 3)]! | (1 << (slot & 7));
      slots[count++] = slot;
    }
    this.visible = bitmap;
    this.visibleCount = count;
    if ((this.#flags & (rowFlag.chain | rowFlag.stub)) !== 0 || limit > core.inventory.commitNumber) {
      core.noteGarbage(this.table, this.pageNumber);
    }
  }

  /** Flags of all rows of the page, joined. */
  get flags(): number {
    return this.#flags;
  }

  materialize(columns: readonly number[], into: Value[][], at: number, rowIds: Value[] | undefined): number {
    if (this.#interrupted) this.refresh();
    this.#interrupted = true;
    const rows = this.#materialize(columns, into, at, rowIds);
    this.#interrupted = false;
    return rows;
  }

  #materialize(columns: readonly number[], into: Value[][], at: number, rowIds: Value[] | undefined): number {
    const { table, format, address } = this;
    const { state } = table;
    const count = this.visibleCount;
    const slots = this.visible === 0 ? undefined : this.#slots;
    const inPage = table.inPage(format);
    const { readChain } = state.space;
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index]!;
      const target = into[index]!;
      if (column < inPage) format.decode(address, column, slots, count, target, at, readChain);
      else {
        const missing = table.spec.columns[column]!.missing;
        for (let row = 0; row < count; row++) target[at + row] = missing;
      }
    }
    const base = this.pageNumber * slotsMax;
    if (rowIds !== undefined) {
      if (slots === undefined) for (let row = 0; row < count; row++) rowIds[at + row] = base + row;
      else for (let row = 0; row < count; row++) rowIds[at + row] = base + slots[row]!;
    }
    if ((this.#flags & rowFlag.extension) !== 0) {
      for (let row = 0; row < count; row++) {
        const slot = slots === undefined ? row : slots[row]!;
        const flags = format.flags(address, slot);
        if ((flags & rowFlag.extension) === 0) continue;
        for (let index = 0; index < columns.length; index++) {
          into[index]![at + row] = table.newestValue(format, address, slot, flags, columns[index]!);
        }
      }
    }
    let end = at + count;
    for (const slot of this.oldSlots) {
      this.readOld(slot, columns, into, end);
      if (rowIds !== undefined) rowIds[end] = base + slot;
      end++;
    }
    return end - at;
  }

  /** Writes the visible older version of one of `oldSlots`. */
  readOld(slot: number, columns: readonly number[], into: Value[][], at: number): void {
    const { table, format, address } = this;
    const place = table.state.resolve(
      this.snapshot,
      format,
      address,
      slot,
      this.pageNumber * slotsMax + slot,
    );
    const flags = format.flags(address, slot);
    for (let index = 0; index < columns.length; index++) {
      into[index]![at] = table.placeValue(place, format, address, slot, flags, columns[index]!);
    }
  }
}

/** Pages that one step of an index scan may keep in their frames. */
const stepPagesMax = 24;

export class EngineIndexScan implements IndexScan {
  #cursor: TreeCursor | undefined;
  /** The cursor's entry has not been judged yet. */
  #pending = false;
  /** At most one row can have the key: a whole key of a unique index, without nulls. */
  readonly #single: boolean;
  readonly #row: Value[] = [];

  constructor(
    readonly table: EngineTable,
    public snapshot: Snapshot,
    readonly index: IndexState,
    range: KeyRange,
    backward: boolean,
  ) {
    const { encoder, key, other } = index;
    const lower = range.lower === undefined ? -1 : encoder.encode(range.lower, key, 0);
    const same = range.upper === range.lower;
    const upper = same ? lower : range.upper === undefined ? -1 : encoder.encode(range.upper, other, 0);
    const upperKey = same ? key : other;
    const { spec } = index;
    this.#single =
      spec.unique &&
      spec.deferrable !== true &&
      range.lower !== undefined &&
      range.lower.length === spec.columns.length &&
      lower === upper &&
      (same || (!range.lower.includes(null) && key.compare(other, 0, upper, 0, lower) === 0));
    this.#cursor = index.takeCursor();
    this.#cursor.open(key, lower, range.lowerInclusive, upperKey, upper, range.upperInclusive, backward);
    const reader = snapshot instanceof HeldSnapshot ? snapshot.owner.serializable : undefined;
    if (reader !== undefined) {
      table.core.serializable.readRange(
        reader,
        index.spec.storageId,
        lower < 0 ? undefined : Buffer.from(key.subarray(0, lower)),
        upper < 0 ? undefined : Buffer.from(upperKey.subarray(0, upper)),
      );
    }
  }

  renew(snapshot: Snapshot): void {
    this.snapshot = snapshot;
  }

  next(into: RowId[], max: number): number {
    const cursor = this.#cursor;
    if (cursor === undefined) return 0;
    const { store } = this.table;
    let count = 0;
    let ended = false;
    while (count === 0 && !ended) {
      store.beginOperation();
      let pages = 0;
      let lastPage = -1;
      try {
        while (count < max && pages < stepPagesMax) {
          if (!this.#pending) {
            if (!cursor.nextEntry()) {
              ended = true;
              break;
            }
            this.#pending = true;
          }
          const row = cursor.row;
          const page = Math.floor(row / slotsMax);
          if (page !== lastPage) {
            lastPage = page;
            pages++;
          }
          if (this.#accepts(cursor, row, page)) {
            into[count++] = row;
            if (this.#single) ended = true;
          }
          this.#pending = false;
          if (ended) break;
        }
      } catch (thrown) {
        // What was found so far is given; the entry that could not be judged comes first next time.
        if (!isWait(thrown) || count === 0) throw thrown;
      }
    }
    if (ended) this.close();
    return count;
  }
  close(): void {
    if (this.#cursor === undefined) return;
    this.index.giveCursor(this.#cursor);
    this.#cursor = undefined;
  }

  #accepts(cursor: TreeCursor, row: RowId, page: number): boolean {
    const { table, snapshot, index } = this;
    const { state } = table;
    const slot = row - page * slotsMax;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    if (slot >= format.rows(address)) return false;
    if (!table.core.serializable.idle) table.noteRead(snapshot, row, format, address, slot);
    const place = state.resolve(snapshot, format, address, slot, row);
    if (place === Place.absent) {
      const flags = format.flags(address, slot);
      if ((flags & rowFlag.stub) !== 0) table.core.noteGarbage(table, page);
      return false;
    }
    const flags = format.flags(address, slot);
    if (place === Place.newest && (flags & (rowFlag.chain | rowFlag.stale)) === 0) return true;
    const values = this.#row;
    for (const column of index.dependsOn) {
      values[column] = table.placeValue(place, format, address, slot, flags, column);
    }
    return index.setOther(values) && index.otherEquals(cursor.key, cursor.keyLength);
  }
}
