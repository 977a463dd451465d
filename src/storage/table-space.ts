/**
 * The pages of one table: which they are, its formats, and the row-wise records behind its rows.
 *
 * ```text
 * root (pointer page) -> next pointer page -> ...      entries: page number and what it is
 *   |                      |
 *   data pages (heap.ts)   version pages: slotted records      overflow pages: chains of long values
 * ```
 *
 * A record is a version's delta (the values that a newer version changed) or a row's extension (values that found no
 * place in the data page). Records are found from their row's back pointer only.
 *
 * | record | field                        |   | version page | field                           |
 * |--------|------------------------------|---|--------------|---------------------------------|
 * | 0      | writer u64                   |   | 8            | slots u16                       |
 * | 8, 12  | back page u32, back slot u16 |   | 12, 14       | heap start, garbage (/4)        |
 * | 14     | flags u16                    |   | 18           | free slots                      |
 * | 16, 20 | owner page u32, slot u16     |   | 128          | position in the page list u32   |
 * | 22     | entries u16                  |   | 136          | slots: u16 offset/4, u16 size/4 |
 * | 24     | format u16 (of the columns)  |   |              |                                 |
 * | 28     | per entry: column u16, length code u16, bytes, padded to 2 |  |          |              |
 *
 * Operations that change fetch what they need first: `prepare…` calls come before the first change (rule M2).
 * Invariants: every page of the table but the pointer pages is in the list exactly once; a page knows its position
 * there; a slot number of a version page means the same record until it is removed.
 */
import { assert, DbError } from "../base/errors.js";
import { type StorageClass, storageWidths } from "../model/codec-column.js";
import { type PageStore, PageType } from "./contract.js";
import { bufferOver, code, PageFormat, type RowImage } from "./heap.js";

export const recordFlag = { delta: 1, extension: 2, overflow: 0x100 } as const;
export const recordHeadBytes = 28;

const listNext = 128;
const listCount = 132;
const layoutsPage = 136;
const layoutsLength = 140;
const listEntries = 144;
const freePagesMax = 16;
const pageMask = 0x3fffffff;
const entryKind = { data: 0, version: 1, overflow: 2 } as const;

const positionAt = 128;
const chainNext = 132;
const chainTotal = 136;
const chainUsed = 140;
const chainBytes = 144;

const slotsAt = 136;
const headSlots = 8;
const headHeap = 12;
const headGarbage = 14;
const headFree = 18;

/** Where a record lies. */
export interface RecordPlace {
  page: number;
  slot: number;
}

export class TableSpace {
  readonly formats: PageFormat[] = [];
  dataPages = new Uint32Array(64);
  dataCount = 0;
  /** Chains whose owner is gone: pages to free, one operation each. First page of each. */
  readonly doomed: number[] = [];
  readonly #store: PageStore;
  readonly #perPage: number;
  readonly #lists: number[] = [];
  #listFill = 0;
  readonly #holes: number[] = [];
  /** Version pages that may have room, newest last. */
  readonly #roomy: number[] = [];
  #recordPage = 0;
  readonly #bytes: Buffer;
  #loaded = false;
  #scratch: Uint8Array;

  constructor(
    store: PageStore,
    readonly storageId: number,
    readonly root: number,
  ) {
    this.#store = store;
    this.#perPage = (store.pageSize - listEntries) >>> 2;
    this.#bytes = bufferOver(store.pool.u8);
    this.#scratch = new Uint8Array(store.pageSize);
  }

  static create(store: PageStore, storageId: number): number {
    return store.allocate(PageType.pointer, storageId);
  }

  /** Reads the page list; may throw Wait, and goes on where it was. */
  load(): void {
    if (this.#loaded) return;
    const u32 = this.#store.pool.u32;
    let next = this.#lists.length === 0 ? this.root : 0;
    if (next === 0) {
      const last = this.#store.page(this.#lists[this.#lists.length - 1]!, PageType.pointer);
      next = u32[(last + listNext) >>> 2]!;
    }
    while (next !== 0) {
      this.#store.beginOperation();
      const address = this.#store.page(next, PageType.pointer);
      const count = u32[(address + listCount) >>> 2]!;
      if (count > this.#perPage) throw new DbError("dataCorrupted", `page ${next}: list count out of range`);
      const base = this.#lists.length * this.#perPage;
      for (let index = 0; index < count; index++) {
        const entry = u32[(address + listEntries + index * 4) >>> 2]!;
        if (entry === 0) this.#holes.push(base + index);
        else if (entry >>> 30 === entryKind.data) this.#noteData(entry & pageMask);
        else if (entry >>> 30 === entryKind.version) this.#roomy.push(entry & pageMask);
      }
      this.#lists.push(next);
      this.#listFill = count;
      next = u32[(address + listNext) >>> 2]!;
    }
    this.#store.beginOperation();
    this.#loadFormats();
    this.#loaded = true;
  }

  #noteData(page: number): void {
    if (this.dataCount === this.dataPages.length) {
      const larger = new Uint32Array(this.dataCount * 2);
      larger.set(this.dataPages);
      this.dataPages = larger;
    }
    this.dataPages[this.dataCount++] = page;
  }

  // Formats: u16 count; per format u16 parent + 1, u16 columns of the parent's kept, u16 added, then kind and scale each.

  #loadFormats(): void {
    const address = this.#store.page(this.root, PageType.pointer);
    const { u32 } = this.#store.pool;
    const first = u32[(address + layoutsPage) >>> 2]!;
    if (first === 0) return;
    const bytes = this.readChain(first, u32[(address + layoutsLength) >>> 2]!);
    const count = bytes.readUInt16LE(0);
    let at = 2;
    for (let id = 0; id < count; id++) {
      const parent = bytes.readUInt16LE(at);
      const kept = bytes.readUInt16LE(at + 2);
      const added = bytes.readUInt16LE(at + 4);
      at += 6;
      const classes: StorageClass[] = parent === 0 ? [] : this.formats[parent - 1]!.classes.slice(0, kept);
      for (let index = 0; index < added; index++) {
        const kind = bytes[at]!;
        const width = widthOf(kind);
        classes.push({ kind, width, scale: bytes[at + 1]! });
        at += 2;
      }
      this.formats.push(new PageFormat(this.#store, id, classes));
    }
  }

  /** The format of exactly these classes; made and written down when new. */
  formatFor(classes: readonly StorageClass[]): PageFormat {
    const found = this.formats.find(
      (format) =>
        format.classes.length === classes.length && commonColumns(format.classes, classes) === classes.length,
    );
    if (found !== undefined) return found;
    assert(this.formats.length < 0xffff, "too many formats of one table");
    this.#store.beginOperation();
    this.#store.reserve(8);
    const root = this.#store.page(this.root, PageType.pointer);
    this.prepareAllocation();
    const { u32 } = this.#store.pool;
    const before = u32[(root + layoutsPage) >>> 2]!;
    const format = new PageFormat(this.#store, this.formats.length, classes);
    this.formats.push(format);
    const out: number[] = [];
    const u16 = (value: number): void => {
      out.push(value & 255, value >>> 8);
    };
    u16(this.formats.length);
    for (const [id, one] of this.formats.entries()) {
      const kept = id === 0 ? 0 : commonColumns(this.formats[id - 1]!.classes, one.classes);
      u16(id);
      u16(kept);
      u16(one.classes.length - kept);
      for (const storage of one.classes.slice(kept)) out.push(storage.kind, storage.scale);
    }
    const page = this.writeChain(Buffer.from(out), 0, out.length);
    u32[(root + layoutsPage) >>> 2] = page;
    u32[(root + layoutsLength) >>> 2] = out.length;
    this.#store.changed(root, layoutsPage, 8);
    if (before !== 0) this.doomed.push(before);
    return format;
  }

  // The page list.

  /** Fetches what allocating a page of this table changes. */
  prepareAllocation(): void {
    this.#store.page(this.#listOfNext(), PageType.pointer);
  }
  #listOfNext(): number {
    const hole = this.#holes[this.#holes.length - 1];
    if (hole !== undefined) return this.#lists[Math.floor(hole / this.#perPage)]!;
    return this.#lists[this.#lists.length - 1]!;
  }

  #allocate(type: PageType, kind: number): { address: number; page: number; position: number } {
    const store = this.#store;
    const { u32 } = store.pool;
    const page = store.allocate(type, this.storageId);
    const address = store.page(page, type);
    assert(page <= pageMask, "page number beyond the page list's range");
    let position = this.#holes.pop();
    let list: number;
    if (position !== undefined) {
      list = store.page(this.#lists[Math.floor(position / this.#perPage)]!, PageType.pointer);
    } else {
      const last = store.page(this.#lists[this.#lists.length - 1]!, PageType.pointer);
      list = last;
      if (this.#listFill === this.#perPage) {
        const number = store.allocate(PageType.pointer, this.storageId);
        list = store.page(number, PageType.pointer);
        u32[(last + listNext) >>> 2] = number;
        store.changed(last, listNext, 4);
        this.#lists.push(number);
        this.#listFill = 0;
      }
      position = (this.#lists.length - 1) * this.#perPage + this.#listFill++;
      u32[(list + listCount) >>> 2] = this.#listFill;
      store.changed(list, listCount, 4);
    }
    const at = listEntries + (position % this.#perPage) * 4;
    u32[(list + at) >>> 2] = ((kind << 30) | page) >>> 0;
    store.changed(list, at, 4);
    return { address, page, position };
  }

  /** A new data page of `format`; after `prepareAllocation`. Returns its number. */
  allocateData(format: PageFormat, capacity: number, writerBase: number): number {
    const { address, page } = this.#allocate(PageType.data, entryKind.data);
    format.initialize(address, capacity, writerBase);
    this.#noteData(page);
    return page;
  }

  #release(page: number, position: number): void {
    const list = this.#store.page(this.#lists[Math.floor(position / this.#perPage)]!, PageType.pointer);
    const at = listEntries + (position % this.#perPage) * 4;
    this.#store.pool.u32[(list + at) >>> 2] = 0;
    this.#store.changed(list, at, 4);
    this.#store.free(page);
    this.#holes.push(position);
  }

  /** Frees one page of a doomed chain, as one operation; false when there is none. May throw Wait. */
  freeDoomed(): boolean {
    const page = this.doomed[this.doomed.length - 1];
    if (page === undefined) return false;
    this.#store.beginOperation();
    this.#store.reserve(2);
    const address = this.#store.page(page, PageType.overflow);
    const { u32 } = this.#store.pool;
    const next = u32[(address + chainNext) >>> 2]!;
    const position = u32[(address + positionAt) >>> 2]!;
    this.#store.page(this.#lists[Math.floor(position / this.#perPage)]!, PageType.pointer);
    this.#release(page, position);
    this.doomed.pop();
    if (next !== 0) this.doomed.push(next);
    return true;
  }

  // Overflow chains.

  chainPages(length: number): number {
    return Math.max(1, Math.ceil(length / (this.#store.pageSize - chainBytes)));
  }

  /** After `prepareAllocation` and a reserve of `chainPages`. Returns the first page. */
  writeChain(from: Uint8Array, start: number, length: number): number {
    const room = this.#store.pageSize - chainBytes;
    const { u32, u8 } = this.#store.pool;
    let first = 0;
    let previous = 0;
    for (let done = 0; done < length || first === 0; ) {
      const used = Math.min(room, length - done);
      const { address, page, position } = this.#allocate(PageType.overflow, entryKind.overflow);
      u32[(address + positionAt) >>> 2] = position;
      u32[(address + chainTotal) >>> 2] = length;
      u32[(address + chainUsed) >>> 2] = used;
      u8.set(from.subarray(start + done, start + done + used), address + chainBytes);
      this.#store.changed(address, positionAt, 16 + used);
      if (first === 0) first = page;
      else {
        u32[(previous + chainNext) >>> 2] = page;
        this.#store.changed(previous, chainNext, 4);
      }
      previous = address;
      done += used;
    }
    return first;
  }

  /** The bytes of a chain. May throw Wait. */
  readonly readChain = (first: number, length: number): Buffer => {
    const { u32 } = this.#store.pool;
    const whole = Buffer.allocUnsafe(length);
    let done = 0;
    for (let page = first; page !== 0; ) {
      const address = this.#store.page(page, PageType.overflow);
      const used = u32[(address + chainUsed) >>> 2]!;
      if (used > this.#store.pageSize - chainBytes || done + used > length || (used === 0 && length > 0)) {
        throw new DbError("dataCorrupted", `page ${page}: overflow chain does not fit its value`);
      }
      this.#bytes.copy(whole, done, address + chainBytes, address + chainBytes + used);
      done += used;
      page = u32[(address + chainNext) >>> 2]!;
    }
    if (done !== length) throw new DbError("dataCorrupted", `page ${first}: overflow chain is short`);
    return whole;
  };

  // Records in version pages.

  #recordSize(image: RowImage): number {
    return (recordHeadBytes + image.recordBytes + 3) & ~3;
  }
  #inlineLimit(): number {
    return this.#store.pageSize >>> 2;
  }

  /**
   * Makes sure that records of these images can be written: picks and fetches pages. Returns how many pages the writing
   * may allocate.
   */
  prepareRecords(first: RowImage, second: RowImage | undefined): number {
    let bytes = 0;
    let pages = 1;
    for (const image of second === undefined ? [first] : [first, second]) {
      const size = this.#recordSize(image);
      if (size <= this.#inlineLimit()) bytes += size + 4;
      else {
        bytes += recordHeadBytes + 16;
        pages += this.chainPages(size);
      }
    }
    this.prepareAllocation();
    for (let tries = 0; tries < 4; tries++) {
      if (this.#recordPage === 0) {
        const candidate = this.#roomy.pop();
        if (candidate === undefined) return pages;
        this.#recordPage = candidate;
      }
      const address = this.#store.page(this.#recordPage, PageType.version);
      if (this.#recordRoom(address) >= bytes) return pages;
      this.#recordPage = 0;
    }
    return pages;
  }

  #recordRoom(address: number): number {
    const { u16 } = this.#store.pool;
    const slots = u16[(address + headSlots) >>> 1]!;
    if (slots >= 0xfff0) return 0;
    const heap = u16[(address + headHeap) >>> 1]! * 4;
    return (
      (heap === 0 ? this.#store.pageSize : heap) -
      slotsAt -
      slots * 4 +
      u16[(address + headGarbage) >>> 1]! * 4
    );
  }

  #compactRecords(address: number): void {
    const { u16, u8 } = this.#store.pool;
    this.#scratch.set(u8.subarray(address, address + this.#store.pageSize));
    const slots = u16[(address + headSlots) >>> 1]!;
    let end = this.#store.pageSize;
    for (let slot = 0; slot < slots; slot++) {
      const at = (address + slotsAt + slot * 4) >>> 1;
      const size = u16[at + 1]! * 4;
      if (size === 0) continue;
      const from = u16[at]! * 4;
      end -= size;
      u8.set(this.#scratch.subarray(from, from + size), address + end);
      u16[at] = end >>> 2;
    }
    u16[(address + headHeap) >>> 1] = end === this.#store.pageSize ? 0 : end >>> 2;
    u16[(address + headGarbage) >>> 1] = 0;
    this.#store.changed(address, 0, this.#store.pageSize);
  }

  /** Writes a record; after `prepareRecords` with the same image. The place is written into `into`. */
  writeRecord(
    flags: number,
    writer: number,
    backPage: number,
    backSlot: number,
    ownerPage: number,
    ownerSlot: number,
    format: number,
    image: RowImage,
    into: RecordPlace,
  ): void {
    const store = this.#store;
    const { u16, u32, u8 } = store.pool;
    let size = this.#recordSize(image);
    let chain = 0;
    const payload = size - recordHeadBytes;
    if (size > this.#inlineLimit()) {
      const bytes = Buffer.alloc(payload);
      writeEntries(image, bytes, 0);
      chain = this.writeChain(bytes, 0, payload);
      size = recordHeadBytes + 8;
      flags |= recordFlag.overflow;
    }
    let address: number;
    if (this.#recordPage !== 0) {
      address = store.page(this.#recordPage, PageType.version);
      if (this.#recordRoom(address) < size + 4) {
        this.#recordPage = 0;
        address = 0;
      }
    } else address = 0;
    if (address === 0) {
      const made = this.#allocate(PageType.version, entryKind.version);
      address = made.address;
      this.#recordPage = made.page;
      u32[(address + positionAt) >>> 2] = made.position;
      store.changed(address, positionAt, 4);
    }
    let slots = u16[(address + headSlots) >>> 1]!;
    let slot = slots;
    const free = u16[(address + headFree) >>> 1]!;
    if (free > 0) {
      for (slot = 0; slot < slots; slot++) if (u16[(address + slotsAt + slot * 4 + 2) >>> 1] === 0) break;
      assert(slot < slots, "a version page miscounts its free slots");
      u16[(address + headFree) >>> 1] = free - 1;
    } else slots++;
    let heap = u16[(address + headHeap) >>> 1]! * 4;
    if (heap === 0) heap = store.pageSize;
    if (heap - size < slotsAt + slots * 4) {
      this.#compactRecords(address);
      heap = u16[(address + headHeap) >>> 1]! * 4;
      if (heap === 0) heap = store.pageSize;
    }
    const start = heap - size;
    assert(start >= slotsAt + slots * 4, "a version page has less room than it said");
    u16[(address + headHeap) >>> 1] = start >>> 2;
    u16[(address + headSlots) >>> 1] = slots;
    const at = (address + slotsAt + slot * 4) >>> 1;
    u16[at] = start >>> 2;
    u16[at + 1] = size >>> 2;
    const record = address + start;
    u32[record >>> 2] = writer >>> 0;
    u32[(record + 4) >>> 2] = Math.floor(writer / 4294967296);
    u32[(record + 8) >>> 2] = backPage;
    u16[(record + 12) >>> 1] = backSlot;
    u16[(record + 14) >>> 1] = flags;
    u32[(record + 16) >>> 2] = ownerPage;
    u16[(record + 20) >>> 1] = ownerSlot;
    u16[(record + 22) >>> 1] = image.count;
    u16[(record + 24) >>> 1] = format;
    u16[(record + 26) >>> 1] = 0;
    if (chain !== 0) {
      u32[(record + recordHeadBytes) >>> 2] = chain;
      u32[(record + recordHeadBytes + 4) >>> 2] = payload;
    } else {
      writeEntries(image, u8, record + recordHeadBytes);
    }
    store.changed(address, headSlots, 12);
    store.changed(address, slotsAt + slot * 4, 4);
    store.changed(address, start, size);
    into.page = this.#recordPage;
    into.slot = slot;
  }

  /** Address of a record. May throw Wait; dataCorrupted when there is none. */
  record(page: number, slot: number): number {
    const address = this.#store.page(page, PageType.version);
    const { u16 } = this.#store.pool;
    if (slot >= u16[(address + headSlots) >>> 1]!) {
      throw new DbError("dataCorrupted", `page ${page}: no version record ${slot}`);
    }
    const at = (address + slotsAt + slot * 4) >>> 1;
    if (u16[at + 1] === 0) throw new DbError("dataCorrupted", `page ${page}: version record ${slot} is free`);
    return address + u16[at]! * 4;
  }
  recordWriter(record: number): number {
    const { u32 } = this.#store.pool;
    return u32[record >>> 2]! + u32[(record + 4) >>> 2]! * 4294967296;
  }
  recordBackPage(record: number): number {
    return this.#store.pool.u32[(record + 8) >>> 2]!;
  }
  recordBackSlot(record: number): number {
    return this.#store.pool.u16[(record + 12) >>> 1]!;
  }
  recordFlags(record: number): number {
    return this.#store.pool.u16[(record + 14) >>> 1]!;
  }
  recordFormat(record: number): number {
    return this.#store.pool.u16[(record + 24) >>> 1]!;
  }
  recordOwner(record: number): { page: number; slot: number } {
    const { u16, u32 } = this.#store.pool;
    return { page: u32[(record + 16) >>> 2]!, slot: u16[(record + 20) >>> 1]! };
  }
  /** Changes a record's back pointer (the chain behind it was cut or moved). `page` is the record's own page. */
  setRecordBack(page: number, record: number, backPage: number, backSlot: number): void {
    const { u16, u32 } = this.#store.pool;
    u32[(record + 8) >>> 2] = backPage;
    u16[(record + 12) >>> 1] = backSlot;
    const address = this.#store.page(page, PageType.version);
    this.#store.changed(address, record + 8 - address, 6);
  }

  /**
   * Calls `visit` for each entry of a record: column, length code, and where its bytes are. Stops when it answers true.
   */
  visitRecord(
    record: number,
    visit: (column: number, what: number, from: Buffer, start: number, length: number) => boolean,
  ): boolean {
    const { u16, u32 } = this.#store.pool;
    const count = u16[(record + 22) >>> 1]!;
    let from = this.#bytes;
    let at = record + recordHeadBytes;
    if ((u16[(record + 14) >>> 1]! & recordFlag.overflow) !== 0) {
      from = this.readChain(
        u32[(record + recordHeadBytes) >>> 2]!,
        u32[(record + recordHeadBytes + 4) >>> 2]!,
      );
      at = 0;
    }
    for (let index = 0; index < count; index++) {
      const column = from[at]! | (from[at + 1]! << 8);
      const what = from[at + 2]! | (from[at + 3]! << 8);
      const length = lengthOf(what);
      if (visit(column, what, from, at + 4, length)) return true;
      at += 4 + ((length + 1) & ~1);
    }
    return false;
  }

  /** Appends a record's entries to an image, leaving out columns it has already. */
  mergeRecord(record: number, image: RowImage, keep: ((column: number) => boolean) | undefined): void {
    const before = image.count;
    this.visitRecord(record, (column, what, from, start, length) => {
      for (let index = 0; index < before; index++) if (image.columns[index] === column) return false;
      if (keep === undefined || keep(column)) image.addBytes(column, what, from, start, length);
      return false;
    });
  }

  /**
   * Removes a record; its page must have been fetched. `keepValues`: the overflow chains that its values name belong to
   * somebody else now; otherwise they are doomed.
   */
  removeRecord(page: number, slot: number, keepValues: boolean): void {
    const record = this.record(page, slot);
    const { u16, u32 } = this.#store.pool;
    if (!keepValues) this.doomValues(record);
    if ((u16[(record + 14) >>> 1]! & recordFlag.overflow) !== 0)
      this.doomed.push(u32[(record + recordHeadBytes) >>> 2]!);
    const address = this.#store.page(page, PageType.version);
    const at = (address + slotsAt + slot * 4) >>> 1;
    const size = u16[at + 1]!;
    u16[at] = 0;
    u16[at + 1] = 0;
    u16[(address + headGarbage) >>> 1] = u16[(address + headGarbage) >>> 1]! + size;
    const free = u16[(address + headFree) >>> 1]! + 1;
    u16[(address + headFree) >>> 1] = free;
    if (free === u16[(address + headSlots) >>> 1]) {
      // Nothing left: the slot array starts over.
      u16[(address + headSlots) >>> 1] = 0;
      u16[(address + headFree) >>> 1] = 0;
      u16[(address + headHeap) >>> 1] = 0;
      u16[(address + headGarbage) >>> 1] = 0;
    }
    this.#store.changed(address, headSlots, 12);
    this.#store.changed(address, slotsAt + slot * 4, 4);
    if (page !== this.#recordPage && this.#recordRoom(address) > this.#store.pageSize >>> 1) {
      if (this.#roomy[this.#roomy.length - 1] !== page) this.#noteRoomy(page);
    }
  }
  readonly #roomySet = new Set<number>();
  #noteRoomy(page: number): void {
    if (this.#roomySet.size > 1024) this.#roomySet.clear();
    if (this.#roomySet.has(page) && this.#roomy.includes(page)) return;
    this.#roomySet.add(page);
    this.#roomy.push(page);
  }

  /** The overflow chains that a record's values name are to be freed. */
  doomValues(record: number): void {
    this.visitRecord(record, (_column, what, from, start) => {
      if (what === code.reference) this.doomed.push(from.readUInt32LE(start));
      return false;
    });
  }

  /**
   * Drops the table: frees a few pages as one operation, true when none is left. Restartable: what is freed leaves the
   * list, and a list page that is empty goes when the one after it is gone, the root last. Throws Wait.
   */
  freeStep(): boolean {
    this.load();
    const store = this.#store;
    const { u32 } = store.pool;
    const list = this.#lists[this.#lists.length - 1];
    if (list === undefined) return true;
    store.beginOperation();
    store.reserve(4);
    const address = store.page(list, PageType.pointer);
    const count = u32[(address + listCount) >>> 2]!;
    let freed = 0;
    let at = count;
    for (; at > 0 && freed < freePagesMax; at--) {
      const entry = u32[(address + listEntries + (at - 1) * 4) >>> 2]!;
      if (entry !== 0) {
        store.free(entry & pageMask);
        freed++;
      }
    }
    u32[(address + listCount) >>> 2] = at;
    store.changed(address, listCount, 4);
    if (at > 0) return false;
    // The list page is empty: the one before it no longer points here.
    const before = this.#lists[this.#lists.length - 2];
    if (before !== undefined) {
      const previous = store.page(before, PageType.pointer);
      u32[(previous + listNext) >>> 2] = 0;
      store.changed(previous, listNext, 4);
    }
    store.free(list);
    this.#lists.pop();
    return this.#lists.length === 0;
  }

  /** Numbers of all version pages. Throws Wait. */
  versionPages(): number[] {
    const { u32 } = this.#store.pool;
    const found: number[] = [];
    for (const list of this.#lists) {
      this.#store.beginOperation();
      const address = this.#store.page(list, PageType.pointer);
      const count = u32[(address + listCount) >>> 2]!;
      for (let entry = 0; entry < count; entry++) {
        const value = u32[(address + listEntries + entry * 4) >>> 2]!;
        if (value !== 0 && value >>> 30 === entryKind.version) found.push(value & pageMask);
      }
    }
    return found;
  }
  /** Slots in use of a version page. */
  recordsOf(address: number): number[] {
    const { u16 } = this.#store.pool;
    const found: number[] = [];
    const slots = u16[(address + headSlots) >>> 1]!;
    for (let slot = 0; slot < slots; slot++) {
      if (u16[(address + slotsAt + slot * 4 + 2) >>> 1] !== 0) found.push(slot);
    }
    return found;
  }

  /** What is wrong with a version page, if anything. */
  checkVersionPage(address: number): string | undefined {
    const { u16 } = this.#store.pool;
    const slots = u16[(address + headSlots) >>> 1]!;
    let heap = u16[(address + headHeap) >>> 1]! * 4;
    if (heap === 0) heap = this.#store.pageSize;
    if (slotsAt + slots * 4 > heap) return "slots run into the records";
    let used = 0;
    let free = 0;
    for (let slot = 0; slot < slots; slot++) {
      const at = (address + slotsAt + slot * 4) >>> 1;
      const size = u16[at + 1]! * 4;
      if (size === 0) free++;
      else if (u16[at]! * 4 < heap || u16[at]! * 4 + size > this.#store.pageSize)
        return `record ${slot} out of range`;
      used += size;
    }
    if (free !== u16[(address + headFree) >>> 1]) return "free slots miscounted";
    if (this.#store.pageSize - heap - u16[(address + headGarbage) >>> 1]! * 4 !== used)
      return "garbage miscounted";
    return undefined;
  }
}

function lengthOf(what: number): number {
  if (what === code.null || what === code.missing) return 0;
  return what === code.reference ? 8 : what;
}

function writeEntries(image: RowImage, to: Uint8Array, at: number): void {
  const from = image.sink.bytes;
  for (let index = 0; index < image.count; index++) {
    const column = image.columns[index]!;
    const what = image.codes[index]!;
    assert(what !== code.large, "a long value must be in a chain before its record is written");
    to[at] = column;
    to[at + 1] = column >>> 8;
    to[at + 2] = what;
    to[at + 3] = what >>> 8;
    const length = image.lengths[index]!;
    const start = image.starts[index]!;
    for (let byte = 0; byte < length; byte++) to[at + 4 + byte] = from[start + byte]!;
    at += 4 + ((length + 1) & ~1);
  }
}

/** How many leading columns two formats have in common. */
export function commonColumns(a: readonly StorageClass[], b: readonly StorageClass[]): number {
  const count = Math.min(a.length, b.length);
  for (let column = 0; column < count; column++) {
    if (a[column]!.kind !== b[column]!.kind || a[column]!.scale !== b[column]!.scale) return column;
  }
  return count;
}

function widthOf(kind: number): number {
  const width = storageWidths[kind];
  if (width === undefined) throw new DbError("dataCorrupted", `unknown storage class ${kind}`);
  return width;
}
