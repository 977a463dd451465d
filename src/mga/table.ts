/**
 * Rows with their indexes, seen through one version of the table's description: read, insert, update, delete, lock.
 *
 * Every call is one operation, in two halves: first everything is looked at and every page fetched that will change
 * (waits, conflicts and errors come here, and nothing has changed), then the change is made and nothing can fail.
 *
 * | who wrote the newest version     | a writer does                                                      |
 * |----------------------------------|--------------------------------------------------------------------|
 * | nobody else, or a visible commit | moves the changed columns' old values into a delta, writes in place |
 * | itself                           | overwrites; the image before stays in its undo log                  |
 * | a commit after its snapshot      | "updated" / "deleted"; 40001 from REPEATABLE READ on                |
 * | an active one                    | waits for its end (locks.ts)                                        |
 * | an aborted one                   | backs it out, then looks again                                      |
 */
import { assert, DbError } from "../base/errors.js";
import { type StorageClass, storageClassOf } from "../model/codec-column.js";
import type { Value } from "../model/value.js";
import type { PageStore } from "../storage/contract.js";
import {
  code,
  inlineMax,
  type PageFormat,
  RowImage,
  RowsImage,
  rowFlag,
  slotsMax,
  valueOfBytes,
} from "../storage/heap.js";
import { commonColumns, type RecordPlace, recordFlag } from "../storage/table-space.js";
import type {
  IndexScan,
  KeyRange,
  LockStrength,
  PageScan,
  RowId,
  Snapshot,
  Table,
  TableSpec,
  Transaction,
  UniqueConflict,
  WriteOutcome,
} from "./contract.js";
import type { EngineCore } from "./engine.js";
import type { IndexState } from "./index-state.js";
import { commitNumberEnd, stateAborted } from "./inventory.js";
import { strengthOf } from "./locks.js";
import { EngineIndexScan, EnginePageScan } from "./scan.js";
import type { SerializableState } from "./ssi.js";
import { Place, type TableState } from "./table-state.js";
import { HeldSnapshot, type TransactionRecord } from "./transaction.js";

const writerReach = 4294967295;

/** Go on and write: over an own version, or over another's. */
const goOwn = 1;
const goOver = 2;

export class EngineTable implements Table {
  readonly classes: readonly StorageClass[];
  readonly store: PageStore;
  readonly indexes: IndexState[] = [];
  /** Columns of unique indexes: changing one locks out KEY SHARE. */
  readonly #keyColumns = new Set<number>();
  /** By page format id: leading columns that lie in such a page and mean the same here. */
  readonly #inPage: number[] = [];
  readonly #common: number[] = [];
  #format: PageFormat | undefined;
  readonly #all: readonly number[];
  readonly #place: RecordPlace = { page: 0, slot: 0 };
  readonly #rowValues: Value[] = [];
  readonly #oldValues: Value[] = [];

  constructor(
    readonly core: EngineCore,
    readonly state: TableState,
    readonly spec: TableSpec,
  ) {
    this.store = core.store;
    const latest = state.space.formats[state.space.formats.length - 1];
    this.classes = spec.columns.map((column, position) =>
      // A dropped column keeps the class it has on the pages, whatever the catalog still says of its type.
      column.dropped && latest !== undefined && position < latest.classes.length
        ? latest.classes[position]!
        : storageClassOf(column.type),
    );
    this.#all = spec.columns.map((_, position) => position);
    for (const index of spec.indexes) {
      this.indexes.push(core.indexState(index));
      if (index.unique) for (const column of index.dependsOn) this.#keyColumns.add(column);
    }
    state.tableName = spec.name;
    state.view = this;
  }

  // Columns.

  /** Leading columns of the page format that are this table's. */
  inPage(format: PageFormat): number {
    return (this.#inPage[format.id] ??= Math.min(
      format.columns,
      commonColumns(format.classes, this.classes),
    ));
  }
  /** The same for records of a format, which may hold columns beyond the page. */
  commonWith(formatId: number): number {
    return (this.#common[formatId] ??= commonColumns(
      this.state.space.formats[formatId]!.classes,
      this.classes,
    ));
  }
  get format(): PageFormat {
    return (this.#format ??= this.state.space.formatFor(this.classes));
  }

  #decode(column: number, what: number, from: Buffer, start: number, length: number): Value {
    if (what === code.null) return null;
    if (what === code.missing) return this.spec.columns[column]!.missing;
    const storage = this.classes[column]!;
    if (what === code.reference) {
      const whole = this.state.space.readChain(from.readUInt32LE(start), from.readUInt32LE(start + 4));
      return valueOfBytes(storage, whole, 0, whole.length);
    }
    return valueOfBytes(storage, from, start, length);
  }

  #found = false;
  /** The column's value in a record; `#found` says whether it is there. */
  #recordValue(record: number, column: number): Value {
    let value: Value = null;
    this.#found = false;
    if (column >= this.commonWith(this.state.space.recordFormat(record))) return null;
    this.state.space.visitRecord(record, (at, what, from, start, length) => {
      if (at !== column) return false;
      value = this.#decode(column, what, from, start, length);
      this.#found = true;
      return true;
    });
    return value;
  }

  /** A column of the newest version. */
  newestValue(format: PageFormat, address: number, slot: number, flags: number, column: number): Value {
    if ((flags & rowFlag.extension) !== 0) {
      const record = this.state.space.record(format.backPage(address, slot), format.backSlot(address, slot));
      const value = this.#recordValue(record, column);
      if (this.#found) return value;
    }
    if (column < this.inPage(format)) return format.value(address, slot, column, this.state.space.readChain);
    return this.spec.columns[column]!.missing;
  }

  /** A column of the version that `resolve` found. */
  placeValue(
    place: number,
    format: PageFormat,
    address: number,
    slot: number,
    flags: number,
    column: number,
  ): Value {
    const { state } = this;
    if (place === Place.older) {
      for (let index = state.recordCount - 1; index >= 0; index--) {
        const value = this.#recordValue(state.records[index]!, column);
        if (this.#found) return value;
      }
    } else if (place === Place.own) {
      const transaction = state.ownTransaction!;
      for (const change of state.ownChanges!) {
        const value = this.#undoValue(transaction, change, column);
        if (this.#found) return value;
      }
    }
    return this.newestValue(format, address, slot, flags, column);
  }

  #undoValue(transaction: TransactionRecord, change: number, column: number): Value {
    this.#found = false;
    if (transaction.undoKinds[change] !== 3) return null;
    const bytes = transaction.undoBytes;
    let at = transaction.undoExtras[change]!;
    const end = at + 4 + bytes.readUInt32LE(at);
    at += 4;
    while (at < end) {
      const what = bytes.readUInt16LE(at + 2);
      const length = bytes.readUInt16LE(at + 4);
      if (bytes.readUInt16LE(at) === column) {
        this.#found = true;
        return this.#decode(column, what, bytes, at + 6, length);
      }
      at += 6 + length;
    }
    return null;
  }

  // Reading.

  read(snapshot: Snapshot, row: RowId, columns: readonly number[], into: Value[][], at: number): boolean {
    this.store.beginOperation();
    const page = Math.floor(row / slotsMax);
    const slot = row - page * slotsMax;
    const { state } = this;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    if (slot >= format.rows(address)) return false;
    const place = state.resolve(snapshot, format, address, slot, row);
    if (!this.core.serializable.idle) this.noteRead(snapshot, row, format, address, slot);
    if (place === Place.absent) return false;
    const flags = format.flags(address, slot);
    if (place === Place.newest && (flags & rowFlag.extension) === 0) {
      const inPage = this.inPage(format);
      for (let index = 0; index < columns.length; index++) {
        const column = columns[index]!;
        into[index]![at] =
          column < inPage
            ? format.value(address, slot, column, state.space.readChain)
            : this.spec.columns[column]!.missing;
      }
      return true;
    }
    for (let index = 0; index < columns.length; index++) {
      into[index]![at] = this.placeValue(place, format, address, slot, flags, columns[index]!);
    }
    return true;
  }

  /** Serializable readers leave a mark, and have a conflict with whoever overwrote what they see. */
  noteRead(snapshot: Snapshot, row: RowId, format: PageFormat, address: number, slot: number): void {
    const reader = snapshot instanceof HeldSnapshot ? snapshot.owner.serializable : undefined;
    if (reader === undefined) return;
    this.core.serializable.readRow(reader, this.spec.storageId, row);
    this.noteOverwritten(snapshot, format, address, slot);
  }
  /** Each version that came after the snapshot counts, not the newest alone: the reader stands before all their writers. */
  noteOverwritten(snapshot: Snapshot, format: PageFormat, address: number, slot: number): void {
    const reader = snapshot instanceof HeldSnapshot ? snapshot.owner.serializable : undefined;
    if (reader === undefined) return;
    const { state } = this;
    if (!this.#noteWriter(reader, snapshot, state.writerOf(format, address, slot))) return;
    const flags = format.flags(address, slot);
    if ((flags & rowFlag.chain) === 0) return;
    state.chainHead(format, address, slot, flags);
    let page = state.headPage;
    let at = state.headSlot;
    while (page !== 0) {
      const record = state.space.record(page, at);
      if (!this.#noteWriter(reader, snapshot, state.space.recordWriter(record))) return;
      page = state.space.recordBackPage(record);
      at = state.space.recordBackSlot(record);
    }
  }
  /** False when the version is the one that the snapshot sees. */
  #noteWriter(reader: SerializableState, snapshot: Snapshot, writer: number): boolean {
    if (writer === 0) return false;
    const outcome = this.core.inventory.outcome(writer);
    if (outcome <= snapshot.commitNumber) return false;
    if (writer === snapshot.self || outcome === stateAborted) return true;
    const other = this.core.serializableOf(writer);
    if (other !== undefined) this.core.serializable.readOver(reader, other);
    return true;
  }

  readNewest(
    transaction: Transaction,
    row: RowId,
    columns: readonly number[],
    into: Value[][],
    at: number,
  ): boolean {
    return this.read(this.core.newestSnapshot(transaction), row, columns, into, at);
  }

  scan(snapshot: Snapshot): PageScan {
    return new EnginePageScan(this, snapshot);
  }
  indexScan(snapshot: Snapshot, indexId: number, range: KeyRange, backward: boolean): IndexScan {
    return new EngineIndexScan(this, snapshot, this.indexOf(indexId), range, backward);
  }
  indexOf(indexId: number): IndexState {
    const index = this.indexes.find((one) => one.spec.id === indexId);
    assert(index !== undefined, `table "${this.spec.name}" has no index ${indexId}`);
    return index;
  }
  get pageCount(): number {
    this.state.space.load();
    return this.state.space.dataCount;
  }
  get rowEstimate(): number {
    return this.core.estimateRows(this);
  }

  // Unique checks.

  /** All indexes that a write maintains. */
  #maintained(): readonly IndexState[] {
    const { building } = this.state;
    if (building.length === 0) return this.indexes;
    // The state that builds an index stands for it, whichever description it came with.
    const list = this.indexes.filter(
      (one) => !building.some((other) => other.spec.storageId === one.spec.storageId),
    );
    return [...list, ...building];
  }

  /**
   * Row other than `self` that holds the index's key at hand, in the newest committed state and own changes; throws Wait
   * for an active transaction that adds or removes the key.
   */
  findKey(transaction: TransactionRecord, index: IndexState, self: RowId, waits = true): RowId | undefined {
    const { cursor } = index;
    cursor.openKey(index.key, index.keyLength);
    while (cursor.nextEntry()) {
      const row = cursor.row;
      if (row !== self && this.#holdsKey(transaction, index, row, waits)) return row;
    }
    return undefined;
  }

  /** `waits` false: a row of an active transaction that adds or removes the key counts as one that has it. */
  #holdsKey(transaction: TransactionRecord, index: IndexState, row: RowId, waits: boolean): boolean {
    const { state } = this;
    const page = Math.floor(row / slotsMax);
    const slot = row - page * slotsMax;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    if (slot >= format.rows(address)) return false;
    const flags = format.flags(address, slot);
    if ((flags & rowFlag.free) !== 0) return false;
    const writer = state.writerOf(format, address, slot);
    const live = (flags & rowFlag.stub) === 0;
    if (writer === transaction.id && writer !== 0)
      return live && this.#newestHasKey(index, format, address, slot, flags);
    const outcome = state.outcome(writer);
    if (outcome <= commitNumberEnd) return live && this.#newestHasKey(index, format, address, slot, flags);
    const before =
      (flags & rowFlag.chain) !== 0 && this.#predecessorHasKey(index, format, address, slot, flags);
    if (outcome === stateAborted) return before;
    const record = this.core.recordOf(writer);
    const held = before || (live && this.#newestHasKey(index, format, address, slot, flags));
    // What the writer has taken away again itself comes back with a savepoint.
    if (!held && record?.mayBringBack(state, row) !== true) return false;
    if (!waits) return true;
    return this.core.locks.wait(state.locks, row, this.spec.name, transaction, strengthOf.keyShare, record);
  }

  #newestHasKey(
    index: IndexState,
    format: PageFormat,
    address: number,
    slot: number,
    flags: number,
  ): boolean {
    const values = this.#otherRow;
    for (const column of index.dependsOn)
      values[column] = this.newestValue(format, address, slot, flags, column);
    return index.setOther(values) && index.keysEqual;
  }
  #predecessorHasKey(
    index: IndexState,
    format: PageFormat,
    address: number,
    slot: number,
    flags: number,
  ): boolean {
    const { state } = this;
    state.chainHead(format, address, slot, flags);
    if (state.headPage === 0) return false;
    const record = state.space.record(state.headPage, state.headSlot);
    state.records[0] = record;
    state.recordCount = 1;
    const values = this.#otherRow;
    for (const column of index.dependsOn) {
      values[column] = this.placeValue(Place.older, format, address, slot, flags, column);
    }
    return index.setOther(values) && index.keysEqual;
  }
  readonly #otherRow: Value[] = [];

  /** Whether the row's newest committed version, or that of transaction `own`, has the index's key at hand. */
  isLiveKey(index: IndexState, row: RowId, own: number): boolean {
    const { state } = this;
    const page = Math.floor(row / slotsMax);
    const slot = row - page * slotsMax;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const flags = format.flags(address, slot);
    if (slot >= format.rows(address) || (flags & rowFlag.free) !== 0) return false;
    const writer = state.writerOf(format, address, slot);
    if (state.outcome(writer) <= commitNumberEnd || (writer === own && own !== 0)) {
      return (flags & rowFlag.stub) === 0 && this.#newestHasKey(index, format, address, slot, flags);
    }
    return (flags & rowFlag.chain) !== 0 && this.#predecessorHasKey(index, format, address, slot, flags);
  }
  /** Another row that has the key at hand so. */
  liveKeyHolder(index: IndexState, self: RowId, own: number): RowId | undefined {
    index.cursor.openKey(index.key, index.keyLength);
    while (index.cursor.nextEntry()) {
      const { row } = index.cursor;
      if (row !== self && this.isLiveKey(index, row, own)) return row;
    }
    return undefined;
  }

  #checkUnique(transaction: TransactionRecord, index: IndexState, self: RowId, row: readonly Value[]): void {
    if (!index.spec.unique || index.pending !== undefined || (index.hasNull && !index.spec.nullsNotDistinct))
      return;
    if (index.spec.deferrable === true) {
      if (this.findKey(transaction, index, self, false) !== undefined) this.suspects.push(index.spec.id);
      return;
    }
    const found = this.findKey(transaction, index, self);
    if (found === undefined) return;
    throw this.core.uniqueViolation(this.spec, index.spec, this.#keyValues(index, row));
  }

  readonly suspects: number[] = [];

  checkKey(transaction: Transaction, row: RowId, indexId: number): void {
    const record = this.core.reader(transaction);
    this.store.beginOperation();
    const index = this.indexOf(indexId);
    const { state } = this;
    const page = Math.floor(row / slotsMax);
    const slot = row - page * slotsMax;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    if (slot >= format.rows(address)) return;
    const flags = format.flags(address, slot);
    // Deleted or taken back since: what stands there now is not what was written.
    if ((flags & (rowFlag.free | rowFlag.stub)) !== 0) return;
    if (state.writerOf(format, address, slot) !== record.id) return;
    const values: Value[] = [];
    for (const column of index.dependsOn)
      values[column] = this.newestValue(format, address, slot, flags, column);
    if (!index.setKey(values) || (index.hasNull && !index.spec.nullsNotDistinct)) return;
    if (this.findKey(record, index, row) === undefined) return;
    throw this.core.uniqueViolation(this.spec, index.spec, this.#keyValues(index, values));
  }
  #keyValues(index: IndexState, row: readonly Value[]): readonly Value[] {
    return index.spec.tableColumns?.map((column) => row[column]!) ?? index.spec.key(row) ?? [];
  }

  findConflict(
    transaction: Transaction,
    row: readonly Value[],
    indexIds: readonly number[],
  ): UniqueConflict | undefined {
    const record = this.core.reader(transaction);
    this.store.beginOperation();
    for (const index of this.indexes) {
      if (!index.spec.unique || (indexIds.length > 0 && !indexIds.includes(index.spec.id))) continue;
      if (!index.setKey(row) || (index.hasNull && !index.spec.nullsNotDistinct)) continue;
      const found = this.findKey(record, index, -1);
      if (found === undefined) continue;
      const { snapshot } = record;
      if (snapshot !== undefined && !this.#isSeen(snapshot, found)) throw concurrent("update");
      return { index: index.spec, row: found, key: this.#keyValues(index, row) };
    }
    return undefined;
  }
  #isSeen(snapshot: Snapshot, row: RowId): boolean {
    const page = Math.floor(row / slotsMax);
    const address = this.state.pageAddress(page);
    const writer = this.state.writerOf(this.state.formatAt(address), address, row - page * slotsMax);
    return writer === snapshot.self || this.state.outcome(writer) <= snapshot.commitNumber;
  }

  findNewest(transaction: Transaction, indexId: number, key: readonly Value[]): RowId | undefined {
    const record = this.core.reader(transaction);
    this.store.beginOperation();
    const index = this.indexOf(indexId);
    index.keyLength = index.encoder.encode(key, index.key, 0);
    return this.findKey(record, index, -1);
  }

  // Insert.

  insert(transaction: Transaction, row: readonly Value[]): RowId {
    const writer = this.core.writer(transaction);
    const { state, store } = this;
    const { image } = state;
    state.space.load();
    const format = this.format;
    if (this.suspects.length > 0) this.suspects.length = 0;
    image.clear();
    const { columns } = this.spec;
    assert(row.length === columns.length, "a row has one value per column");
    for (let column = 0; column < columns.length; column++) {
      image.addValue(column, this.classes[column]!, columns[column]!.dropped ? null : row[column]!);
    }
    this.#shorten(image, format.columns);
    let heapBytes = 0;
    for (let index = 0; index < format.columns; index++) {
      if (this.classes[index]!.width === 0) heapBytes += format.imageBytes(image, index);
    }
    const page = this.#choosePage(writer, format, heapBytes);
    const address = state.pageAddress(page);
    const slot = this.#chooseSlot(format, address);
    const rowId = page * slotsMax + slot;
    let pages = 2;
    for (const index of this.#maintained()) {
      index.keyLength = -1;
      if (!index.setKey(row)) {
        index.keyLength = -1;
        continue;
      }
      this.#checkUnique(writer, index, rowId, row);
      pages += index.prepareAdd(rowId);
    }
    pages += this.#prepareLarge(image);
    const wide = image.count > format.columns;
    const { extension } = state;
    if (wide) {
      extension.clear();
      for (let index = format.columns; index < image.count; index++) this.#copyEntry(image, index, extension);
      pages += state.space.prepareRecords(extension, undefined);
    }
    this.core.noteWrite(writer, this, undefined);
    store.reserve(pages);

    // From here on nothing fails.
    let rowFlags = this.#writeLarge(image) ? rowFlag.overflow : 0;
    const reused = slot < format.rows(address);
    if (reused) {
      rowFlags |= format.flags(address, slot) & rowFlag.stale;
      format.addHoles(address, -1);
    }
    if (heapBytes > 0) assert(format.makeRoom(address, heapBytes), "the chosen page has no room");
    if (!reused) format.setRows(address, slot + 1);
    for (let index = 0; index < format.columns; index++) format.put(address, slot, image, index, true);
    if (wide) {
      if (this.#resolveLarge(image, extension)) rowFlags |= rowFlag.overflow;
      state.space.writeRecord(recordFlag.extension, 0, 0, 0, page, slot, format.id, extension, this.#place);
      format.setBack(address, slot, this.#place.page, this.#place.slot);
      rowFlags |= rowFlag.extension;
    }
    format.setWriterDelta(address, slot, writer.id - format.writerBase(address));
    format.setFlags(address, slot, rowFlags);
    this.core.pageChanged(address);
    for (const index of this.#maintained()) {
      if (index.keyLength < 0) continue;
      index.add(rowId);
    }
    writer.noteInsert(state, rowId);
    return rowId;
  }

  insertRows(
    transaction: Transaction,
    columns: readonly (readonly Value[])[],
    from: number,
    count: number,
  ): number {
    const writer = this.core.writer(transaction);
    if (writer.serializable !== undefined || this.#maintained().length > 0) return 0;
    const { state, store } = this;
    state.space.load();
    const format = this.format;
    if (format.columns !== this.spec.columns.length) return 0;
    const rows = this.#rows;
    const rowMax = store.pageSize >>> 1;
    rows.clear();
    let bytes = format.encodeRow(rows, 0, columns, from);
    if (bytes < 0 || bytes > rowMax) return 0;
    const page = this.#choosePage(writer, format, bytes);
    const address = state.pageAddress(page);
    const slot = format.rows(address);
    const room = format.gap(address);
    const most = Math.min(count, format.capacity(address) - slot);
    // Slots between rows and heap that wants compaction are the single row's business.
    if (format.holes(address) > 0 || bytes > room || most < 1) return 0;
    let taken = 1;
    for (; taken < most; taken++) {
      const more = format.encodeRow(rows, taken, columns, from + taken);
      if (more < 0 || more > rowMax || bytes + more > room) break;
      bytes += more;
    }
    this.core.noteWrite(writer, this, undefined);
    store.reserve(2);

    // From here on nothing fails.
    format.appendRows(address, columns, from, taken, rows, writer.id - format.writerBase(address));
    this.core.pageChanged(address);
    writer.noteInsert(state, page * slotsMax + slot, taken);
    return taken;
  }
  readonly #rows = new RowsImage();

  /** Values of a row that is too big for half a page go to chains, longest first, until the rest fits. */
  #shorten(image: RowImage, inPage: number): void {
    const limit = this.store.pageSize >>> 1;
    for (;;) {
      let bytes = 0;
      let longest = -1;
      for (let index = 0; index < image.count; index++) {
        if (image.columns[index]! >= inPage || this.classes[image.columns[index]!]!.width !== 0) continue;
        const what = image.codes[index]!;
        if (what === code.null || what === code.missing) continue;
        if (what === code.large || what === code.reference) {
          bytes += 8;
          continue;
        }
        bytes += image.lengths[index]!;
        if (longest < 0 || image.lengths[index]! > image.lengths[longest]!) longest = index;
      }
      if (bytes <= limit || longest < 0 || image.lengths[longest]! <= 8) return;
      image.codes[longest] = code.large;
    }
  }

  /** Pages that the image's long values will take. */
  #prepareLarge(image: RowImage): number {
    let pages = 0;
    for (let index = 0; index < image.count; index++) {
      if (image.codes[index] === code.large) pages += this.state.space.chainPages(image.lengths[index]!);
    }
    if (pages === 0) return 0;
    if (pages > this.store.frameCount / 8) {
      throw new DbError(
        "programLimitExceeded",
        `a value of ${pages * this.store.pageSize} bytes is too large for the buffer pool`,
      );
    }
    this.state.space.prepareAllocation();
    return pages;
  }
  /** Writes the long values into chains and leaves references; true when there was one. */
  #writeLarge(image: RowImage): boolean {
    let any = false;
    for (let index = 0; index < image.count; index++) {
      if (image.codes[index] === code.reference) any = true;
      if (image.codes[index] !== code.large) continue;
      any = true;
      const start = image.starts[index]!;
      const length = image.lengths[index]!;
      const page = this.state.space.writeChain(image.sink.bytes, start, length);
      image.sink.view.setUint32(start, page, true);
      image.sink.view.setUint32(start + 4, length, true);
      image.codes[index] = code.reference;
      image.lengths[index] = 8;
    }
    return any;
  }
  /** Takes over references that `#writeLarge` made in `from` since `to` was filled from it. */
  #resolveLarge(from: RowImage, to: RowImage): boolean {
    let any = false;
    for (let index = 0; index < to.count; index++) {
      if (to.codes[index] === code.reference) any = true;
      if (to.codes[index] !== code.large) continue;
      const source = from.find(to.columns[index]!);
      assert(source >= 0 && from.codes[source] === code.reference, "a long value was not written");
      to.codes[index] = code.reference;
      to.lengths[index] = 8;
      to.sink.bytes.set(
        from.sink.bytes.subarray(from.starts[source]!, from.starts[source]! + 8),
        to.starts[index]!,
      );
      any = true;
    }
    return any;
  }
  #copyEntry(from: RowImage, index: number, to: RowImage): void {
    const what = from.codes[index]!;
    // Long values are only known by length until they are in a chain: room for the reference is enough.
    if (what === code.large) to.addBytes(from.columns[index]!, what, from.sink.bytes, from.starts[index]!, 8);
    else to.addBytes(from.columns[index]!, what, from.sink.bytes, from.starts[index]!, from.lengths[index]!);
  }

  /** A page with a slot and `heapBytes` of room; begins the operation. A new page is an operation of its own. */
  #choosePage(writer: TransactionRecord, format: PageFormat, heapBytes: number): number {
    const { state, store } = this;
    for (let tries = 0; tries < 8; tries++) {
      store.beginOperation();
      if (state.insertPage === 0 && state.roomy.length > 0) {
        state.insertPage = state.roomy.pop()!;
        state.roomySet.delete(state.insertPage);
      } else if (
        state.insertPage === 0 &&
        tries === 0 &&
        state.averageBytes < 0 &&
        state.space.dataCount > 0
      ) {
        // After opening: the last page may have room.
        state.insertPage = state.space.dataPages[state.space.dataCount - 1]!;
      }
      if (state.insertPage === 0) break;
      const page = state.insertPage;
      const address = state.pageAddress(page);
      if (state.formatAt(address) === format && this.#hasRoom(writer, format, address, heapBytes))
        return page;
      if (state.formatAt(address) === format) state.learn(format, address);
      state.insertPage = 0;
      state.relayouts = 0;
    }
    store.beginOperation();
    state.space.prepareAllocation();
    store.reserve(3);
    const capacity = format.capacityFor(
      state.fill(),
      Math.max(heapBytes > inlineMax ? heapBytes : 0, state.expectedBytes(format)),
    );
    state.insertPage = state.space.allocateData(format, capacity, this.core.writerBase());
    state.relayouts = 0;
    store.beginOperation();
    return state.insertPage;
  }

  #hasRoom(writer: TransactionRecord, format: PageFormat, address: number, heapBytes: number): boolean {
    const { state } = this;
    const delta = writer.id - format.writerBase(address);
    if (delta <= 0 || delta > writerReach) return false;
    const rows = format.rows(address);
    if (format.holes(address) > 0 && heapBytes <= format.room(address)) {
      for (let slot = 0; slot < rows; slot++)
        if ((format.flags(address, slot) & rowFlag.free) !== 0) return true;
    }
    const capacity = format.capacity(address);
    if (rows < capacity) {
      if (heapBytes <= format.gapCompacted(address)) return true;
      // Heap full, rows unused: give up rows, but keep one for this.
      if (state.relayouts >= 2 || format.heapUsed(address) === 0) {
        return heapBytes <= format.room(address) && rows % 8 !== 0;
      }
      const kept = (rows + 8) & ~7;
      if (kept >= capacity) return false;
      const gained = format.arraysEnd(capacity) - format.arraysEnd(kept);
      if (heapBytes > format.gapCompacted(address) + gained) return false;
      this.store.reserve(1);
      state.relayouts++;
      if (format.gapCompacted(address) > format.gap(address)) format.compact(address);
      format.relayout(address, kept);
      this.core.pageChanged(address);
      return true;
    }
    // Rows full: if the heap has room for eight more, let them in.
    if (state.relayouts >= 2 || capacity >= slotsMax) return false;
    const perRow = rows > 0 ? format.heapUsed(address) / rows : heapBytes;
    const more = format.arraysEnd(capacity + 8) - format.arraysEnd(capacity);
    let added = 0;
    const reserve = this.store.pageSize * (1 - state.fill());
    while (
      capacity + added + 8 <= slotsMax &&
      format.gapCompacted(address) - reserve >= (added / 8 + 1) * more + (added + 8) * perRow
    ) {
      added += 8;
    }
    if (added === 0 || format.gap(address) < (added / 8) * more) return false;
    this.store.reserve(1);
    state.relayouts++;
    format.relayout(address, capacity + added);
    this.core.pageChanged(address);
    return heapBytes <= format.gapCompacted(address);
  }

  #chooseSlot(format: PageFormat, address: number): number {
    const rows = format.rows(address);
    if (format.holes(address) > 0) {
      for (let slot = 0; slot < rows; slot++)
        if ((format.flags(address, slot) & rowFlag.free) !== 0) return slot;
    }
    assert(rows < format.capacity(address), "the chosen page has no slot");
    return rows;
  }

  // Update, delete, lock.

  /**
   * What a writer does about the row's newest version. `fixedStrength` -1: by what the update at hand changes. Begins the operation. Answers `goOwn`, `goOver`, or the outcome.
   */
  #meet(
    writer: TransactionRecord,
    snapshot: Snapshot,
    row: RowId,
    fixedStrength: number,
    skipLocked: boolean,
  ): WriteOutcome | "skipped" | typeof goOwn | typeof goOver {
    const { state, store, core } = this;
    const page = Math.floor(row / slotsMax);
    const slot = row - page * slotsMax;
    for (;;) {
      store.beginOperation();
      const address = state.pageAddress(page);
      const format = state.formatAt(address);
      if (slot >= format.rows(address)) return "deleted";
      const flags = format.flags(address, slot);
      if ((flags & rowFlag.free) !== 0) return "deleted";
      const by = state.writerOf(format, address, slot);
      if (by === writer.id && by !== 0) {
        if (writer.changesSince(state, row, snapshot.selfSequence) !== undefined) return "self";
        return (flags & rowFlag.stub) !== 0 ? "deleted" : goOwn;
      }
      const outcome = state.outcome(by);
      if (outcome === stateAborted) {
        core.collector.backOut(this, page, slot);
        continue;
      }
      const strength =
        fixedStrength >= 0
          ? fixedStrength
          : this.#changesKey(format, address, slot)
            ? strengthOf.update
            : strengthOf.noKeyUpdate;
      if (outcome > commitNumberEnd) {
        // Active or in limbo. A version that changes no key leaves KEY SHARE alone.
        if (strength === strengthOf.keyShare && (flags & (rowFlag.keyUpdate | rowFlag.stub)) === 0) {
          if ((flags & rowFlag.chain) === 0) return "deleted";
          if (core.locks.free(state.locks, row, writer, strength)) return goOver;
        }
        if (skipLocked) return "skipped";
        core.locks.wait(state.locks, row, this.spec.name, writer, strength, core.recordOf(by));
      }
      if (!core.locks.free(state.locks, row, writer, strength)) {
        if (skipLocked) return "skipped";
        core.locks.wait(state.locks, row, this.spec.name, writer, strength, undefined);
      }
      const erased = (flags & rowFlag.stub) !== 0;
      if (outcome > snapshot.commitNumber) {
        if (writer.options.isolation !== "readCommitted") throw concurrent(erased ? "delete" : "update");
        return erased ? "deleted" : "updated";
      }
      return erased ? "deleted" : goOver;
    }
  }

  lock(
    transaction: Transaction,
    snapshot: Snapshot,
    row: RowId,
    strength: LockStrength,
    skipLocked: boolean,
  ): WriteOutcome | "skipped" {
    const locker = this.core.reader(transaction);
    const wanted = strengthOf[strength];
    const met = this.#meet(locker, snapshot, row, wanted, skipLocked);
    if (typeof met !== "number") return met;
    this.core.locks.hold(this.state.locks, row, this.spec.name, locker, wanted);
    return "done";
  }

  delete(transaction: Transaction, snapshot: Snapshot, row: RowId): WriteOutcome {
    const writer = this.core.writer(transaction);
    const met = this.#meet(writer, snapshot, row, strengthOf.update, false);
    if (typeof met !== "number") return met as WriteOutcome;
    const { state, store } = this;
    const page = Math.floor(row / slotsMax);
    const slot = row - page * slotsMax;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const flags = format.flags(address, slot);
    this.core.noteWrite(writer, this, row);
    if (met === goOwn) {
      store.reserve(1);
      format.setFlags(address, slot, flags | rowFlag.stub | rowFlag.keyUpdate);
      format.addHoles(address, 1);
      this.core.pageChanged(address);
      writer.noteErase(state, row, flags);
      return "done";
    }
    const { delta } = state;
    delta.clear();
    this.#pushVersion(
      writer,
      format,
      address,
      page,
      slot,
      flags,
      delta,
      undefined,
      undefined,
      rowFlag.stub | rowFlag.keyUpdate,
    );
    format.addHoles(address, 1);
    writer.noteChange(state, row, flags);
    this.core.noteGarbage(this, page, writer);
    return "done";
  }

  update(
    transaction: Transaction,
    snapshot: Snapshot,
    row: RowId,
    columns: readonly number[],
    values: readonly Value[],
  ): WriteOutcome {
    const writer = this.core.writer(transaction);
    const { state } = this;
    state.space.load();
    this.#touchFormat();
    if (this.suspects.length > 0) this.suspects.length = 0;
    const { image } = state;
    image.clear();
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index]!;
      image.addValue(column, this.classes[column]!, values[index]!);
    }
    this.#newColumns = columns;
    this.#newValues = values;
    const met = this.#meet(writer, snapshot, row, -1, false);
    if (typeof met !== "number") return met as WriteOutcome;
    const page = Math.floor(row / slotsMax);
    const slot = row - page * slotsMax;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const flags = format.flags(address, slot);
    const own = met === goOwn;
    state.updates++;

    // What the changed columns were: the delta, or the undo image.
    const { delta } = state;
    delta.clear();
    this.#dropUnchanged(image, format, address, slot, flags);
    this.takeOld(image, format, address, slot, flags, delta);
    this.#shorten(image, format.columns);

    // Keys that change.
    let pages = 2;
    let keyChanged = false;
    let anyIndex = false;
    for (const index of this.#maintained()) {
      index.keyLength = -1;
      if (!this.#dependsOnImage(index, image)) continue;
      if (!anyIndex) {
        anyIndex = true;
        this.#readRows(format, address, slot, flags, columns, values);
      }
      const was = index.setOther(this.#oldValues);
      if (!index.setKey(this.#rowValues)) {
        index.keyLength = -1;
        if (was && own) keyChanged = true;
        continue;
      }
      if (was && index.keysEqual) {
        index.keyLength = -1;
        continue;
      }
      if (was && index.spec.unique) keyChanged = true;
      this.#checkUnique(writer, index, row, this.#rowValues);
      pages += index.prepareAdd(row);
    }
    pages += this.#prepareLarge(image);
    this.core.noteWrite(writer, this, row);
    const extraFlags = keyChanged ? rowFlag.keyUpdate : 0;
    if (own) {
      this.#overwrite(
        writer,
        format,
        address,
        page,
        slot,
        flags,
        row,
        image,
        delta,
        pages,
        extraFlags,
        anyIndex,
      );
    } else {
      this.#pushVersion(writer, format, address, page, slot, flags, delta, image, pages, extraFlags);
      writer.noteChange(state, row, flags);
      this.core.noteGarbage(this, page, writer);
    }
    for (const index of this.#maintained()) {
      if (index.keyLength < 0) continue;
      index.add(row);
      if (writer.serializable !== undefined) {
        this.core.serializable.writeKey(
          writer.serializable,
          index.spec.storageId,
          index.key,
          index.keyLength,
        );
      }
    }
    return "done";
  }

  /** The table's format is on disk before a row or record names it. */
  #touchFormat(): void {
    void this.format;
  }

  // The update at hand: what it sets.
  #newColumns: readonly number[] = [];
  #newValues: readonly Value[] = [];
  #changesKey(format: PageFormat, address: number, slot: number): boolean {
    if (this.#keyColumns.size === 0) return false;
    const flags = format.flags(address, slot);
    const columns = this.#newColumns;
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index]!;
      if (!this.#keyColumns.has(column)) continue;
      if (this.newestValue(format, address, slot, flags, column) !== this.#newValues[index]) return true;
    }
    return false;
  }
  #dependsOnImage(index: IndexState, image: RowImage): boolean {
    for (let entry = 0; entry < image.count; entry++)
      if (index.dependsOn.includes(image.columns[entry]!)) return true;
    return false;
  }

  /** Entries whose bytes are what the row has already. */
  #dropUnchanged(image: RowImage, format: PageFormat, address: number, slot: number, flags: number): void {
    if ((flags & rowFlag.extension) !== 0) return;
    const inPage = this.inPage(format);
    let kept = 0;
    for (let index = 0; index < image.count; index++) {
      if (image.columns[index]! < inPage && format.equals(address, slot, image, index)) continue;
      image.columns[kept] = image.columns[index]!;
      image.codes[kept] = image.codes[index]!;
      image.starts[kept] = image.starts[index]!;
      image.lengths[kept] = image.lengths[index]!;
      kept++;
    }
    image.count = kept;
  }

  /** Appends to `into` what the newest version has in the image's columns. */
  takeOld(
    image: RowImage,
    format: PageFormat,
    address: number,
    slot: number,
    flags: number,
    into: RowImage,
  ): void {
    const inPage = this.inPage(format);
    let record = 0;
    let common = 0;
    if ((flags & rowFlag.extension) !== 0) {
      record = this.state.space.record(format.backPage(address, slot), format.backSlot(address, slot));
      common = this.commonWith(this.state.space.recordFormat(record));
    }
    for (let index = 0; index < image.count; index++) {
      const column = image.columns[index]!;
      let found = false;
      if (record !== 0 && column < common) {
        found = this.state.space.visitRecord(record, (at, what, from, start, length) => {
          if (at !== column) return false;
          into.addBytes(column, what, from, start, length);
          return true;
        });
      }
      if (found) continue;
      if (column < inPage) format.take(address, slot, column, into);
      else into.addCode(column, code.missing);
    }
  }

  #readRows(
    format: PageFormat,
    address: number,
    slot: number,
    flags: number,
    columns: readonly number[],
    values: readonly Value[],
  ): void {
    for (const index of this.#maintained()) {
      for (const column of index.dependsOn) {
        const value = this.newestValue(format, address, slot, flags, column);
        this.#oldValues[column] = value;
        this.#rowValues[column] = value;
      }
    }
    for (let index = 0; index < columns.length; index++) this.#rowValues[columns[index]!] = values[index]!;
  }

  /**
   * Decides which columns of `image` go into the page and which into the extension, whose whole new content is left in
   * `state.extension`. Answers what becomes of the extension record.
   */
  #splitImage(
    format: PageFormat,
    address: number,
    slot: number,
    flags: number,
    image: RowImage,
  ): "none" | "keep" | "write" | "remove" {
    const { state } = this;
    const { extension } = state;
    const inPage = this.inPage(format);
    extension.clear();
    this.#pushed.clear();
    let bytes = 0;
    let freed = 0;
    for (let index = 0; index < image.count; index++) {
      const column = image.columns[index]!;
      if (column >= inPage) {
        this.#pushed.add(column);
        continue;
      }
      if (this.classes[column]!.width !== 0) continue;
      const had = format.heapBytes(address, slot, column);
      const needs = format.imageBytes(image, index);
      if (needs > had) {
        bytes += needs;
        freed += had;
      }
    }
    // Values that find no room in the page go out, longest first.
    const room = format.room(address);
    while (bytes > room + freed) {
      let longest = -1;
      let most = 0;
      for (let index = 0; index < image.count; index++) {
        const column = image.columns[index]!;
        if (this.#pushed.has(column) || this.classes[column]!.width !== 0) continue;
        const needs = format.imageBytes(image, index);
        if (needs > format.heapBytes(address, slot, column) && needs > most) {
          longest = index;
          most = needs;
        }
      }
      assert(longest >= 0, "no value left to move out of the page");
      this.#pushed.add(image.columns[longest]!);
      bytes -= most;
    }
    this.#heapNeed = bytes;
    const had = (flags & rowFlag.extension) !== 0;
    if (!had && this.#pushed.size === 0) return "none";
    let touched = this.#pushed.size > 0;
    for (let index = 0; index < image.count; index++) {
      if (this.#pushed.has(image.columns[index]!) && image.codes[index] !== code.missing) {
        this.#copyEntry(image, index, extension);
      }
    }
    if (had) {
      const record = state.space.record(format.backPage(address, slot), format.backSlot(address, slot));
      const common = this.commonWith(state.space.recordFormat(record));
      state.space.visitRecord(record, (column, what, from, start, length) => {
        if (column >= common || image.find(column) >= 0) touched = true;
        else extension.addBytes(column, what, from, start, length);
        return false;
      });
      if (!touched) return "keep";
    }
    return extension.count === 0 ? (had ? "remove" : "none") : "write";
  }
  readonly #pushed = new Set<number>();
  #heapNeed = 0;

  /** Writes the image's page columns in place; room is made first. */
  #applyImage(format: PageFormat, address: number, slot: number, image: RowImage): void {
    const inPage = this.inPage(format);
    if (this.#heapNeed > 0 || this.#pushed.size > 0) {
      // Old bytes of growing columns are garbage from now on: they count as room.
      for (let index = 0; index < image.count; index++) {
        const column = image.columns[index]!;
        if (column >= inPage || this.classes[column]!.width !== 0) continue;
        if (
          this.#pushed.has(column) ||
          format.imageBytes(image, index) > format.heapBytes(address, slot, column)
        ) {
          format.dropBytes(address, slot, column);
        }
      }
      assert(format.makeRoom(address, this.#heapNeed), "a page has less room than it said");
    }
    for (let index = 0; index < image.count; index++) {
      const column = image.columns[index]!;
      if (column < inPage && !this.#pushed.has(column)) format.put(address, slot, image, index, false);
    }
  }

  /** The newest version's changed columns move behind it, and the image takes their place. */
  #pushVersion(
    writer: TransactionRecord,
    format: PageFormat,
    address: number,
    page: number,
    slot: number,
    flags: number,
    delta: RowImage,
    image: RowImage | undefined,
    pages: number | undefined,
    extraFlags: number,
  ): void {
    const { state, store } = this;
    const { space } = state;
    const before = state.writerOf(format, address, slot);
    state.chainHead(format, address, slot, flags);
    const headPage = state.headPage;
    const headSlot = state.headSlot;
    this.#heapNeed = 0;
    this.#pushed.clear();
    const had = (flags & rowFlag.extension) !== 0;
    const fate =
      image === undefined ? (had ? "keep" : "none") : this.#splitImage(format, address, slot, flags, image);
    const needed = space.prepareRecords(delta, fate === "write" ? state.extension : undefined);
    let oldPage = 0;
    let oldSlot = 0;
    if (had) {
      oldPage = format.backPage(address, slot);
      oldSlot = format.backSlot(address, slot);
      space.record(oldPage, oldSlot);
    }
    this.core.rebase(this, format, address, writer.id);
    store.reserve((pages ?? 2) + needed + 2);

    // From here on nothing fails.
    let rowFlags = (flags & (rowFlag.stale | rowFlag.overflow)) | rowFlag.chain | extraFlags;
    if (image !== undefined) {
      if (this.#writeLarge(image)) rowFlags |= rowFlag.overflow;
      this.#applyImage(format, address, slot, image);
    }
    const place = this.#place;
    space.writeRecord(recordFlag.delta, before, headPage, headSlot, page, slot, this.format.id, delta, place);
    if (fate === "keep") {
      space.setRecordBack(oldPage, space.record(oldPage, oldSlot), place.page, place.slot);
      rowFlags |= rowFlag.extension;
    } else {
      let backPage = place.page;
      let backSlot = place.slot;
      // Its values went into the delta or into the new extension: only the record goes.
      if (had) space.removeRecord(oldPage, oldSlot, true);
      if (fate === "write") {
        this.#resolveLarge(image!, state.extension);
        space.writeRecord(
          recordFlag.extension,
          0,
          backPage,
          backSlot,
          page,
          slot,
          this.format.id,
          state.extension,
          place,
        );
        backPage = place.page;
        backSlot = place.slot;
        rowFlags |= rowFlag.extension;
      }
      format.setBack(address, slot, backPage, backSlot);
    }
    format.setWriterDelta(address, slot, writer.id - format.writerBase(address));
    format.setFlags(address, slot, rowFlags);
    this.core.pageChanged(address);
    this.core.locks.written(state.locks, page * slotsMax + slot, writer);
  }

  /** A further change by the transaction that wrote the newest version. */
  #overwrite(
    writer: TransactionRecord,
    format: PageFormat,
    address: number,
    page: number,
    slot: number,
    flags: number,
    row: RowId,
    image: RowImage,
    before: RowImage,
    pages: number,
    extraFlags: number,
    anyIndex: boolean,
  ): void {
    const { state } = this;
    this.#undoSink = undoImage(before, this.#undoSink);
    const { space } = state;
    let needed = this.prepareReplace(format, address, slot, flags, image);
    // The delta behind must go on telling the predecessor from the newest: it takes in what changes only now.
    const widened = (flags & rowFlag.chain) !== 0 && this.#widenDelta(format, address, slot, flags, before);
    if (widened)
      needed += space.prepareRecords(this.#merged, this.fate === "write" ? state.extension : undefined);
    this.store.reserve(pages + needed + 3);

    // From here on nothing fails.
    writer.noteOverwrite(state, row, flags, this.#undoSink.bytes, this.#undoSink.length);
    for (let index = 0; index < before.count; index++) {
      if (before.codes[index] !== code.reference || this.#inDelta.has(before.columns[index]!)) continue;
      writer.chains.push({ table: state, page: before.sink.view.getUint32(before.starts[index]!, true) });
    }
    let rowFlags = extraFlags;
    if (anyIndex) {
      for (const index of this.#maintained()) {
        if (!this.#dependsOnImage(index, image) || !index.setOther(this.#oldValues)) continue;
        if (index.keyLength >= 0 || !index.spec.tableColumns) {
          rowFlags |= rowFlag.stale;
          writer.orphans.push({
            table: state,
            indexStorageId: index.spec.storageId,
            key: Buffer.from(index.other.subarray(0, index.otherLength)),
            row,
          });
        }
      }
    }
    this.replace(format, address, page, slot, flags, image, rowFlags);
    if (widened) this.replaceDelta(format, address, page, slot, this.#merged);
  }

  /** Columns that the predecessor's delta takes over from an overwritten own version. */
  readonly #inDelta = new Set<number>();
  readonly #merged = new RowImage();
  /** Leaves in `#merged` the delta with the entries of `before` that it lacks; false when it lacks none. */
  #widenDelta(format: PageFormat, address: number, slot: number, flags: number, before: RowImage): boolean {
    const { state } = this;
    const merged = this.#merged;
    this.#inDelta.clear();
    state.chainHead(format, address, slot, flags);
    const record = state.space.record(state.headPage, state.headSlot);
    const common = this.commonWith(state.space.recordFormat(record));
    merged.clear();
    state.space.mergeRecord(record, merged, (column) => column < common);
    const had = merged.count;
    for (let index = 0; index < before.count; index++) {
      let found = false;
      for (let entry = 0; entry < had; entry++)
        if (merged.columns[entry] === before.columns[index]) found = true;
      if (found) continue;
      this.#inDelta.add(before.columns[index]!);
      this.#copyEntry(before, index, merged);
    }
    return merged.count > had;
  }
  /**
   * The undo of an overwrite: the delta gives back references that are the row's own again. False when it has none.
   * First half; `replaceDelta` with `narrowed` is the second.
   */
  narrowDelta(format: PageFormat, address: number, slot: number, flags: number, image: RowImage): boolean {
    if ((flags & rowFlag.chain) === 0) return false;
    const { state } = this;
    const merged = this.#merged;
    state.chainHead(format, address, slot, flags);
    const record = state.space.record(state.headPage, state.headSlot);
    let dropped = false;
    merged.clear();
    state.space.visitRecord(record, (column, what, from, start, length) => {
      const index = image.find(column);
      if (
        what === code.reference &&
        index >= 0 &&
        image.codes[index] === code.reference &&
        image.sink.view.getUint32(image.starts[index]!, true) === from.readUInt32LE(start)
      ) {
        dropped = true;
      } else merged.addBytes(column, what, from, start, length);
      return false;
    });
    return dropped;
  }
  get narrowed(): RowImage {
    return this.#merged;
  }
  /** Puts a new delta in the place of the first record behind the row; after `prepareRecords` of it. */
  replaceDelta(format: PageFormat, address: number, page: number, slot: number, image: RowImage): void {
    const { state } = this;
    const { space } = state;
    const flags = format.flags(address, slot);
    state.chainHead(format, address, slot, flags);
    const { headPage, headSlot } = state;
    const record = space.record(headPage, headSlot);
    const writer = space.recordWriter(record);
    const backPage = space.recordBackPage(record);
    const backSlot = space.recordBackSlot(record);
    space.removeRecord(headPage, headSlot, true);
    space.writeRecord(
      recordFlag.delta,
      writer,
      backPage,
      backSlot,
      page,
      slot,
      this.format.id,
      image,
      this.#place,
    );
    if ((flags & rowFlag.extension) !== 0) {
      const extensionPage = format.backPage(address, slot);
      const extension = space.record(extensionPage, format.backSlot(address, slot));
      space.setRecordBack(extensionPage, extension, this.#place.page, this.#place.slot);
    } else format.setBack(address, slot, this.#place.page, this.#place.slot);
  }
  #undoSink: { bytes: Buffer; length: number } = { bytes: Buffer.alloc(256), length: 0 };
  fate: "none" | "keep" | "write" | "remove" = "none";

  /** First half of `replace`; returns the pages to reserve. */
  prepareReplace(format: PageFormat, address: number, slot: number, flags: number, image: RowImage): number {
    const { space } = this.state;
    this.fate = this.#splitImage(format, address, slot, flags, image);
    if ((flags & rowFlag.extension) !== 0)
      space.record(format.backPage(address, slot), format.backSlot(address, slot));
    return this.fate === "write" ? space.prepareRecords(this.state.extension, undefined) : 0;
  }

  /** Puts the image's columns into the newest version without leaving a version behind. The writer is the caller's. */
  replace(
    format: PageFormat,
    address: number,
    page: number,
    slot: number,
    flags: number,
    image: RowImage,
    extraFlags: number,
  ): void {
    const { state } = this;
    const { space } = state;
    const fate = this.fate;
    let rowFlags = (flags & ~rowFlag.extension) | extraFlags;
    if (this.#writeLarge(image)) rowFlags |= rowFlag.overflow;
    this.#applyImage(format, address, slot, image);
    if ((flags & rowFlag.extension) !== 0) {
      if (fate === "keep") rowFlags |= rowFlag.extension;
      else {
        const oldPage = format.backPage(address, slot);
        const oldSlot = format.backSlot(address, slot);
        const record = space.record(oldPage, oldSlot);
        format.setBack(address, slot, space.recordBackPage(record), space.recordBackSlot(record));
        space.removeRecord(oldPage, oldSlot, true);
      }
    }
    if (fate === "write") {
      this.#resolveLarge(image, state.extension);
      const backPage = (flags & rowFlag.chain) !== 0 ? format.backPage(address, slot) : 0;
      const backSlot = (flags & rowFlag.chain) !== 0 ? format.backSlot(address, slot) : 0;
      space.writeRecord(
        recordFlag.extension,
        0,
        backPage,
        backSlot,
        page,
        slot,
        this.format.id,
        state.extension,
        this.#place,
      );
      format.setBack(address, slot, this.#place.page, this.#place.slot);
      rowFlags |= rowFlag.extension;
    }
    format.setFlags(address, slot, rowFlags);
    this.core.pageChanged(address);
  }

  get allColumns(): readonly number[] {
    return this.#all;
  }
  maintained(): readonly IndexState[] {
    return this.#maintained();
  }
}

/** Undo images: per entry column u16, code u16, length u16, bytes. */
function undoImage(
  image: RowImage,
  sink: { bytes: Buffer; length: number },
): { bytes: Buffer; length: number } {
  let length = 0;
  for (let index = 0; index < image.count; index++) length += 6 + image.lengths[index]!;
  const bytes = sink.bytes.length >= length ? sink.bytes : Buffer.alloc(length * 2);
  let at = 0;
  for (let index = 0; index < image.count; index++) {
    bytes.writeUInt16LE(image.columns[index]!, at);
    bytes.writeUInt16LE(image.codes[index]!, at + 2);
    bytes.writeUInt16LE(image.lengths[index]!, at + 4);
    image.sink.bytes.copy(bytes, at + 6, image.starts[index]!, image.starts[index]! + image.lengths[index]!);
    at += 6 + image.lengths[index]!;
  }
  return { bytes, length };
}

export function concurrent(what: "update" | "delete"): DbError {
  return new DbError("serializationFailure", `could not serialize access due to concurrent ${what}`);
}
