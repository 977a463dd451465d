/**
 * Online index build (rule P2): register, wait for older writers of the table, read, sort, load, publish.
 *
 * From registration on every writer of the table notes its new keys for the index; they are added after the load.
 * Keys of every version that a snapshot may reach are read, so that older snapshots find their rows, too; collection of
 * the table rests meanwhile. Keys are sorted in runs of bounded size (key-sort.ts) and merged into the tree's loader.
 *
 * Invariants: each step is bounded work; nothing of the index is used before `done`; a unique index is published only
 * when no two live rows share a key.
 */
import { DbError } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import type { Value } from "../model/value.js";
import type { TreeLoader } from "../storage/btree.js";
import { type PageFormat, type ReadChain, rowFlag, slotsMax } from "../storage/heap.js";
import type { IndexBuild } from "./contract.js";
import type { EngineCore } from "./engine.js";
import type { IndexState } from "./index-state.js";
import { compareKeys, type EntryReader, KeySort, rowBytes, rowOf, type SpillFactory } from "./key-sort.js";
import type { EngineTable } from "./table.js";
import { Place } from "./table-state.js";
import type { TransactionRecord } from "./transaction.js";

/** Without temporary files: the most that a build may hold. */
const memoryBytesMax = 1 << 30;
const loadEntries = 1024;

type Phase = "wait" | "read" | "sort" | "load" | "finish" | "pending" | "done";

export class EngineIndexBuild implements IndexBuild {
  rowsDone = 0;
  readonly #core: EngineCore;
  readonly #table: EngineTable;
  readonly #index: IndexState;
  readonly #own: TransactionRecord | undefined;
  readonly #older: TransactionRecord[];
  readonly #sort: KeySort;
  /** A run is being sorted. */
  #closing: Generator<void> | undefined;
  #phase: Phase = "wait";
  /** In the order of their numbers: entries then come in the order of their rows. */
  #pages = new Uint32Array(0);
  #page = 0;
  // A page's rows whose newest version is all there is, and their values by column.
  readonly #slots = new Int32Array(slotsMax);
  readonly #columns: Value[][];
  /** The table's column when it is all of the key and text; else -1. */
  readonly #text: number;
  #loader: TreeLoader | undefined;
  /** Last key loaded, for the unique check, and a live row that has it. */
  #lastKey = Buffer.alloc(64);
  #lastLength = -1;
  #lastLive = -1;
  readonly #values: Value[] = [];

  constructor(
    core: EngineCore,
    table: EngineTable,
    index: IndexState,
    own: TransactionRecord | undefined,
    openSpill: SpillFactory | undefined,
  ) {
    this.#core = core;
    this.#table = table;
    this.#index = index;
    this.#own = own;
    this.#sort = new KeySort(openSpill);
    this.#columns = index.dependsOn.map(() => []);
    const columns = index.spec.tableColumns;
    this.#text = columns?.length === 1 && index.encoder.isText ? columns[0]! : -1;
    index.pending = [];
    table.state.building.push(index);
    this.#older = core.writersOf(table.state).filter((one) => one !== own);
  }

  step(): boolean {
    try {
      return this.#step();
    } catch (thrown) {
      if (!(thrown instanceof Wait)) this.abandon();
      throw thrown;
    }
  }

  #step(): boolean {
    switch (this.#phase) {
      case "wait": {
        const open = this.#older.find((one) => !one.over);
        if (open !== undefined) throw new Wait("lock", open.ended());
        const { space } = this.#table.state;
        space.load();
        this.#pages = Uint32Array.from(space.dataPages.subarray(0, space.dataCount)).sort();
        this.#phase = "read";
        return false;
      }
      case "read":
        if (this.#page < this.#pages.length) {
          this.#readPage(this.#pages[this.#page]!);
          this.#page++;
          if (!this.#sort.isFull) return false;
          this.#closing = this.#sort.closeRun(false);
          this.#phase = "sort";
          return false;
        }
        this.#closing = this.#sort.closeRun(true);
        this.#phase = "sort";
        return false;
      case "sort":
        if (this.#closing!.next().done !== true) return false;
        if (this.#sort.bytes > memoryBytesMax)
          throw new DbError(
            "outOfMemory",
            `index "${this.#index.spec.name}" is too large to be built in memory`,
          );
        this.#closing = undefined;
        this.#phase = "read";
        if (this.#page < this.#pages.length) return false;
        this.#sort.open();
        this.#loader = this.#index.tree.loader(0.9);
        this.#phase = "load";
        return false;
      case "load":
        this.#load();
        return false;
      case "finish":
        this.#core.store.beginOperation();
        this.#loader!.finish();
        this.#phase = "pending";
        return false;
      case "pending":
        this.#addPending();
        return false;
      default:
        return true;
    }
  }

  /** All keys of all versions of the page's rows. */
  #readPage(page: number): void {
    const { state, store } = this.#table;
    const index = this.#index;
    const { dependsOn } = index;
    const values = this.#values;
    store.beginOperation();
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const rows = format.rows(address);
    const inPage = this.#table.inPage(format);
    const slots = this.#slots;
    const mark = this.#sort.mark();
    try {
      // Rows that lie on the page as they are: a column at a time.
      let count = 0;
      for (let slot = 0; slot < rows; slot++) {
        const flags = format.flags(address, slot);
        if ((flags & (rowFlag.free | rowFlag.chain | rowFlag.extension)) === 0) slots[count++] = slot;
      }
      const whole = count === rows && dependsOn.every((column) => column < inPage);
      if (whole && this.#text >= 0) this.#readText(page, address, format, rows, state.space.readChain);
      else if (whole) {
        for (let at = 0; at < dependsOn.length; at++)
          format.decode(
            address,
            dependsOn[at]!,
            undefined,
            rows,
            this.#columns[at]!,
            0,
            state.space.readChain,
          );
        for (let slot = 0; slot < rows; slot++) {
          for (let at = 0; at < dependsOn.length; at++) values[dependsOn[at]!] = this.#columns[at]![slot]!;
          if (index.setOther(values)) this.#sort.add(index.other, index.otherLength, page * slotsMax + slot);
        }
      } else this.#readVersions(page, address, format, rows);
    } catch (thrown) {
      // The page is read again as a whole.
      this.#sort.back(mark);
      throw thrown;
    }
    this.rowsDone += rows;
  }
  /** The only key column is text: its bytes go from the page into the key, and no string is made of them. */
  #readText(page: number, address: number, format: PageFormat, rows: number, readChain: ReadChain): void {
    const index = this.#index;
    const { encoder } = index;
    const sort = this.#sort;
    const column = this.#text;
    const { u8 } = this.#core.store.pool;
    for (let slot = 0; slot < rows; slot++) {
      const length = format.bytesInPage(address, slot, column);
      const row = page * slotsMax + slot;
      if (length >= 0) {
        const into = sort.room(encoder.bytesMax);
        const at = sort.keyAt;
        sort.added(encoder.encodeText(u8, format.bytesAt, length, into, at) - at, row);
      } else {
        this.#values[column] = format.value(address, slot, column, readChain);
        index.setOther(this.#values);
        sort.add(index.other, index.otherLength, row);
      }
    }
  }
  #readVersions(page: number, address: number, format: PageFormat, rows: number): void {
    const { state } = this.#table;
    const index = this.#index;
    for (let slot = 0; slot < rows; slot++) {
      const flags = format.flags(address, slot);
      if ((flags & rowFlag.free) !== 0) continue;
      if ((flags & rowFlag.chain) !== 0) state.walkAll(format, address, slot);
      else state.recordCount = 0;
      const versions = state.recordCount;
      let previous: Buffer | undefined;
      for (let version = 0; version <= versions; version++) {
        state.recordCount = version;
        for (const column of index.dependsOn) {
          const place = version === 0 ? Place.newest : Place.older;
          this.#values[column] = this.#table.placeValue(place, format, address, slot, flags, column);
        }
        if (!index.setOther(this.#values)) continue;
        const key = index.other.subarray(0, index.otherLength);
        if (previous?.equals(key)) continue;
        this.#sort.add(index.other, index.otherLength, page * slotsMax + slot);
        if (versions > 0) previous = Buffer.from(key);
      }
    }
  }

  #load(): void {
    const { store } = this.#core;
    store.beginOperation();
    for (let count = 0; count < loadEntries; count++) {
      const { top } = this.#sort;
      if (top === undefined) {
        this.#phase = "finish";
        return;
      }
      if (this.#index.spec.unique) this.#checkUnique(top);
      const wrote = this.#loader!.addEntry(top.view, top.at, top.length + rowBytes);
      this.#sort.advance();
      if (wrote) store.beginOperation();
    }
  }

  #checkUnique(reader: EntryReader): void {
    const { buffer, at, length } = reader;
    const row = rowOf(reader);
    if (
      this.#lastLength < 0 ||
      compareKeys(this.#lastKey, 0, this.#lastLength, buffer, at, length, 0) !== 0
    ) {
      if (this.#lastKey.length < length) this.#lastKey = Buffer.alloc(2 * length);
      buffer.copy(this.#lastKey, 0, at, at + length);
      this.#lastLength = length;
      this.#lastLive = -1;
      // Only keys that come twice are looked at: the first of a pair is judged with the second.
      this.#firstOfKey = row;
      return;
    }
    const key = buffer.subarray(at, at + length);
    if (this.#firstOfKey >= 0) {
      if (this.#isLive(key, this.#firstOfKey)) this.#lastLive = this.#firstOfKey;
      this.#firstOfKey = -1;
    }
    if (!this.#isLive(key, row)) return;
    if (this.#lastLive >= 0 && this.#lastLive !== row) this.#duplicate(row);
    this.#lastLive = row;
  }
  #firstOfKey = -1;

  #isLive(key: Buffer, row: number): boolean {
    const { index } = { index: this.#index };
    key.copy(index.key);
    index.keyLength = key.length;
    return this.#table.isLiveKey(index, row, this.#own?.id ?? 0);
  }

  #duplicate(row: number): never {
    const { spec } = this.#index;
    const page = Math.floor(row / slotsMax);
    const { state } = this.#table;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const slot = row - page * slotsMax;
    const values: Value[] = [];
    for (const column of this.#table.allColumns) {
      values.push(this.#table.newestValue(format, address, slot, format.flags(address, slot), column));
    }
    const key = spec.tableColumns?.map((column) => values[column]!) ?? spec.key(values) ?? [];
    const fields = this.#table.spec.describeKey?.(spec, key);
    throw new DbError("uniqueViolation", `could not create unique index "${spec.name}"`, {
      table: this.#table.spec.name,
      ...fields,
      detail: fields?.detail?.replace(/already exists\.$/, "is duplicated."),
      constraint: spec.name,
    });
  }

  /** Keys that writers noted meanwhile; with the last one the index is ready. */
  #addPending(): void {
    const { store } = this.#core;
    const index = this.#index;
    for (let count = 0; count < 256; count++) {
      const entry = index.pending!.at(-1);
      if (entry === undefined) {
        index.pending = undefined;
        for (const { key, row } of index.lost.splice(0)) {
          this.#core.collector.orphans.push({
            table: this.#table.state,
            indexStorageId: index.spec.storageId,
            key,
            row,
          });
        }
        this.#phase = "done";
        this.#sort.close();
        return;
      }
      store.beginOperation();
      const { key, row } = entry;
      key.copy(index.key);
      index.keyLength = key.length;
      if (index.spec.unique && this.#table.isLiveKey(index, row, this.#own?.id ?? 0)) {
        const other = this.#table.liveKeyHolder(index, row, this.#own?.id ?? 0);
        if (other !== undefined) this.#duplicate(row);
      }
      store.reserve(index.tree.prepareInsert(key, 0, key.length, row) + 1);
      index.tree.insert(key, 0, key.length, row);
      index.pending!.pop();
    }
  }

  abandon(): void {
    if (this.#phase === "done") return;
    const { building } = this.#table.state;
    const at = building.indexOf(this.#index);
    if (at >= 0) building.splice(at, 1);
    this.#index.pending = undefined;
    this.#sort.close();
  }
}
