/**
 * Collection: what no snapshot can reach goes away (MGA-33..37).
 *
 * | row                                              | becomes                                                      |
 * |--------------------------------------------------|--------------------------------------------------------------|
 * | newest version of an aborted transaction         | its predecessor; without one, a free slot                    |
 * | newest committed within the horizon              | itself alone                                                 |
 * | a stub committed within the horizon              | a free slot                                                  |
 * | newer versions in front                          | cut behind the newest version committed within the horizon   |
 *
 * Each removal is several operations in this order: index entries that only dead versions have, one by one; then
 * versions and slot. It may stop (Wait, crash) between any two: what is left is found again, and a reader never meets a
 * row without its entries.
 *
 * Pages to look at come from writers and scans (cooperative) into a queue that is worked off in the background, and
 * from the sweep, which visits them all and then moves the oldest interesting transaction up.
 */
import { assert } from "../base/errors.js";
import { isWait } from "../base/wait.js";
import type { Value } from "../model/value.js";
import { code, type PageFormat, RowImage, rowFlag, slotsMax } from "../storage/heap.js";
import type { Sweep, SweepReport } from "./contract.js";
import type { EngineCore } from "./engine.js";
import type { IndexState } from "./index-state.js";
import { commitNumberEnd, stateAborted } from "./inventory.js";
import type { EngineTable } from "./table.js";
import { Place, TableState } from "./table-state.js";
import type { Orphan, TransactionRecord } from "./transaction.js";

const queueMax = 65536;
const laterMax = 4096;

interface DeadEntry {
  readonly index: IndexState;
  readonly key: Buffer;
}

/** What a step of background collection is at work on. */
export type CollectItem = Orphan | TableState | { readonly state: TableState; readonly page: number };

export class Collector {
  readonly #core: EngineCore;
  /** Of the step that failed or waits; undefined between steps. */
  working: CollectItem | undefined;
  /** Pages to look at, in order; and where they stand, by table. */
  #queue: { readonly state: TableState; readonly page: number }[] = [];
  #head = 0;
  /** Pages whose garbage an old snapshot may still read: looked at again when the horizon is there. */
  readonly #later: { state: TableState; page: number; until: number }[] = [];
  readonly #queued = new Map<TableState, Set<number>>();
  readonly orphans: Orphan[] = [];
  // Own images: a writer that backs a row out has his own values in the table's.
  readonly #image = new RowImage();
  readonly #delta = new RowImage();
  readonly #doomedTables = new Set<TableState>();
  versionsRemoved = 0;
  recordsBackedOut = 0;
  entriesRemoved = 0;

  constructor(core: EngineCore) {
    this.#core = core;
  }

  get idle(): boolean {
    return this.#head === this.#queue.length && this.orphans.length === 0 && this.#doomedTables.size === 0;
  }

  enqueue(state: TableState, page: number): void {
    let pages = this.#queued.get(state);
    if (pages === undefined) {
      pages = new Set();
      this.#queued.set(state, pages);
    }
    if (pages.has(page) || this.#queue.length - this.#head >= queueMax) return;
    pages.add(page);
    this.#queue.push({ state, page });
  }
  noteDoomed(state: TableState): void {
    if (state.space.doomed.length > 0) this.#doomedTables.add(state);
  }

  /** One unit of background work; false when there is nothing left to do. May throw Wait. */
  step(): boolean {
    this.working = undefined;
    const orphan = this.orphans[this.orphans.length - 1];
    if (orphan !== undefined) {
      this.working = orphan;
      this.#removeOrphan(orphan);
      this.orphans.pop();
      this.working = undefined;
      return true;
    }
    for (const state of this.#doomedTables) {
      this.working = state;
      if (state.dropped || !state.space.freeDoomed()) {
        this.#doomedTables.delete(state);
        continue;
      }
      this.working = undefined;
      return true;
    }
    this.working = undefined;
    const late = this.#later[0];
    if (late !== undefined && late.until <= this.#core.horizon()) {
      this.#later.shift();
      this.enqueue(late.state, late.page);
      return true;
    }
    const next = this.#queue[this.#head];
    if (next === undefined) return false;
    const { state, page } = next;
    this.working = next;
    const rest = !state.dropped && state.view !== undefined && this.collectPage(state.view, page);
    this.#passed();
    if (rest && this.#later.length < laterMax) {
      // What stayed although the horizon is at its newest belongs to an open transaction: nothing changes before a commit.
      const until = Math.max(this.#core.inventory.commitNumber, this.#core.horizon() + 1);
      this.#later.push({ state, page, until });
    }
    return true;
  }

  /** The queue's head is done with. */
  #passed(): void {
    const { state, page } = this.#queue[this.#head]!;
    this.#queued.get(state)?.delete(page);
    this.#head++;
    this.working = undefined;
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The item cannot be done (damage): it is left to whoever meets it again, a scan or the sweep, and the rest goes on. */
  setAside(item: CollectItem): void {
    if (this.working === item) this.working = undefined;
    if (item instanceof TableState) {
      // The chain that cannot be freed must not stand before those that come later.
      item.space.doomed.pop();
      this.#doomedTables.delete(item);
      this.noteDoomed(item);
    } else if ("page" in item) {
      if (this.#queue[this.#head] === item) this.#passed();
    } else {
      const at = this.orphans.indexOf(item);
      if (at >= 0) this.orphans.splice(at, 1);
    }
  }

  /** Collects all rows of a page; true when some garbage had to stay. Throws Wait; what was done stays done. */
  collectPage(table: EngineTable, page: number): boolean {
    const { state, store } = table;
    let rest = false;
    if (state.building.some((index) => index.pending !== undefined)) return true;
    for (let slot = 0; ; slot++) {
      store.beginOperation();
      const address = state.pageAddress(page);
      const format = state.formatAt(address);
      const rows = format.rows(address);
      // Most rows have nothing to collect: found in a plain loop.
      for (; slot < rows; slot++) {
        const flags = format.flags(address, slot);
        if ((flags & rowFlag.free) !== 0) continue;
        if ((flags & (rowFlag.chain | rowFlag.stub)) !== 0) break;
        if (state.outcome(state.writerOf(format, address, slot)) === stateAborted) break;
      }
      if (slot >= rows) break;
      this.collectRow(table, page, slot);
      const after = format.flags(state.pageAddress(page), slot);
      if ((after & rowFlag.free) === 0 && (after & (rowFlag.chain | rowFlag.stub)) !== 0) rest = true;
    }
    this.noteDoomed(state);
    return rest;
  }

  collectRow(table: EngineTable, page: number, slot: number): void {
    const { state, store } = table;
    const horizon = this.#core.horizon();
    store.beginOperation();
    let address = state.pageAddress(page);
    const format = state.formatAt(address);
    const flags = format.flags(address, slot);
    if ((flags & rowFlag.free) !== 0) return;
    const outcome = state.outcome(state.writerOf(format, address, slot));
    if (outcome === stateAborted) {
      this.backOut(table, page, slot);
      this.collectRow(table, page, slot);
      return;
    }
    if ((flags & (rowFlag.chain | rowFlag.stub)) === 0) return;
    if (this.#mayComeBack(state, format, address, slot) !== undefined) return;
    state.walkAll(format, address, slot);
    const count = state.recordCount;
    if (outcome <= horizon && (flags & rowFlag.stub) !== 0) {
      const dead = this.#deadEntries(table, format, address, slot, 0, count + 1, true);
      this.#removeEntries(dead, page * slotsMax + slot);
      this.#freeSlot(table, page, slot);
      this.versionsRemoved += count + 1;
      return;
    }
    // Version 0 is the newest; records[i] is version i + 1. Those behind the first within the horizon are garbage.
    let keep = 0;
    if (outcome > horizon) {
      keep = 1;
      while (keep <= count && state.outcome(state.space.recordWriter(state.records[keep - 1]!)) > horizon)
        keep++;
    }
    if (keep >= count) return;
    const dead = this.#deadEntries(table, format, address, slot, keep + 1, count + 1, false);
    if (dead.length > 0) {
      this.#removeEntries(dead, page * slotsMax + slot);
      store.beginOperation();
      address = state.pageAddress(page);
      state.walkAll(format, address, slot);
    }
    this.#cut(table, format, address, page, slot, keep);
    this.versionsRemoved += count - keep;
  }

  /**
   * An unfinished writer of the newest version with earlier images in its undo log: a savepoint may bring one back, and
   * the entries of its keys with it, though no version in the pages has them. Nothing of the row goes before it is over.
   */
  #mayComeBack(
    state: TableState,
    format: PageFormat,
    address: number,
    slot: number,
  ): TransactionRecord | undefined {
    const writer = this.#core.recordOf(state.writerOf(format, address, slot));
    return writer !== undefined && writer.undoBytesUsed > 0 ? writer : undefined;
  }

  /**
   * Index entries that versions [from, to) have and no other version of the row; `records` holds the whole chain.
   * `all`: every version dies, the newest included.
   */
  #deadEntries(
    table: EngineTable,
    format: PageFormat,
    address: number,
    slot: number,
    from: number,
    to: number,
    all: boolean,
  ): DeadEntry[] {
    const { state } = table;
    const count = state.recordCount;
    const flags = format.flags(address, slot);
    const dead: DeadEntry[] = [];
    const touched = new Set<number>();
    for (let index = 0; index < count; index++) {
      state.space.visitRecord(state.records[index]!, (column) => {
        touched.add(column);
        return false;
      });
    }
    const values: Value[] = [];
    for (const index of table.maintained()) {
      if (!all && !index.dependsOn.some((column) => touched.has(column))) continue;
      const living: Buffer[] = [];
      const dying: Buffer[] = [];
      for (let version = 0; version <= count; version++) {
        state.recordCount = version;
        for (const column of index.dependsOn) {
          values[column] = table.placeValue(
            version === 0 ? Place.newest : Place.older,
            format,
            address,
            slot,
            flags,
            column,
          );
        }
        if (!index.setOther(values)) continue;
        const key = index.other.subarray(0, index.otherLength);
        const list = version >= from && version < to ? dying : living;
        if (!list.some((one) => one.equals(key))) list.push(Buffer.from(key));
      }
      for (const key of dying) if (!living.some((one) => one.equals(key))) dead.push({ index, key });
    }
    state.recordCount = count;
    return dead;
  }

  #removeEntries(dead: readonly DeadEntry[], row: number): void {
    for (const { index, key } of dead) {
      index.remove(key, row);
      this.entriesRemoved++;
    }
  }

  /** Removes versions behind `keep` (0: all but the newest); the chain stands in `records`. Goes on with its operation. */
  #cut(
    table: EngineTable,
    format: PageFormat,
    address: number,
    page: number,
    slot: number,
    keep: number,
  ): void {
    const { state } = table;
    const { space } = state;
    const flags = format.flags(address, slot);
    const count = state.recordCount;
    // Places first: removing needs slots, and the chain's own pointers are the only way to them.
    const places: { page: number; slot: number }[] = [];
    state.chainHead(format, address, slot, flags);
    let at = { page: state.headPage, slot: state.headSlot };
    for (let index = 0; index < count; index++) {
      places.push(at);
      const record = state.records[index]!;
      at = { page: space.recordBackPage(record), slot: space.recordBackSlot(record) };
    }
    this.#core.store.reserve(2);
    if (keep === 0) {
      if ((flags & rowFlag.extension) !== 0) {
        const extensionPage = format.backPage(address, slot);
        const extension = space.record(extensionPage, format.backSlot(address, slot));
        space.setRecordBack(extensionPage, extension, 0, 0);
      } else format.setBack(address, slot, 0, 0);
      format.setFlags(address, slot, flags & ~rowFlag.chain);
      this.#core.pageChanged(address);
    } else {
      space.setRecordBack(places[keep - 1]!.page, state.records[keep - 1]!, 0, 0);
    }
    for (let index = keep; index < count; index++)
      space.removeRecord(places[index]!.page, places[index]!.slot, false);
    this.noteDoomed(state);
    void page;
  }

  /** The row is gone with all its versions: one operation. */
  #freeSlot(table: EngineTable, page: number, slot: number): void {
    const { state, store } = table;
    const { space } = state;
    store.beginOperation();
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const flags = format.flags(address, slot);
    state.walkAll(format, address, slot);
    const places: { page: number; slot: number }[] = [];
    state.chainHead(format, address, slot, flags);
    let at = { page: state.headPage, slot: state.headSlot };
    for (let index = 0; index < state.recordCount; index++) {
      places.push(at);
      const record = state.records[index]!;
      at = { page: space.recordBackPage(record), slot: space.recordBackSlot(record) };
    }
    if ((flags & rowFlag.extension) !== 0) {
      places.push({ page: format.backPage(address, slot), slot: format.backSlot(address, slot) });
    }
    store.reserve(2);
    if ((flags & rowFlag.overflow) !== 0) {
      for (const column of format.variable) {
        if (format.isReference(address, slot, column))
          space.doomed.push(format.referencePage(address, slot, column));
      }
    }
    for (const place of places) space.removeRecord(place.page, place.slot, false);
    format.clearRow(address, slot);
    format.setBack(address, slot, 0, 0);
    format.setWriterDelta(address, slot, 0);
    if ((flags & rowFlag.stub) === 0) format.addHoles(address, 1);
    // An index under construction may have read the row's key already.
    const stale = state.building.some((index) => index.pending !== undefined)
      ? rowFlag.stale
      : flags & rowFlag.stale;
    format.setFlags(address, slot, rowFlag.free | stale);
    this.#core.pageChanged(address);
    state.noteRoomy(page);
    this.noteDoomed(state);
  }

  /**
   * Takes the newest version away: of an aborted transaction, or undone by its own. The predecessor comes back into the
   * page; without one the slot is freed.
   */
  backOut(table: EngineTable, page: number, slot: number): void {
    const { state, store } = table;
    store.beginOperation();
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const flags = format.flags(address, slot);
    if ((flags & rowFlag.free) !== 0) return;
    state.walkAll(format, address, slot);
    const alone = state.recordCount === 0;
    const dead = this.#deadEntries(table, format, address, slot, 0, 1, alone);
    this.#removeEntries(dead, page * slotsMax + slot);
    if (alone) this.#freeSlot(table, page, slot);
    else this.#restore(table, page, slot);
    this.recordsBackedOut++;
  }

  #restore(table: EngineTable, page: number, slot: number): void {
    const { state, store } = table;
    const { space } = state;
    const image = this.#image;
    const delta = this.#delta;
    store.beginOperation();
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const flags = format.flags(address, slot);
    state.chainHead(format, address, slot, flags);
    const { headPage, headSlot } = state;
    const record = space.record(headPage, headSlot);
    const writer = space.recordWriter(record);
    const backPage = space.recordBackPage(record);
    const backSlot = space.recordBackSlot(record);
    const common = table.commonWith(space.recordFormat(record));
    const inPage = table.inPage(format);
    image.clear();
    space.visitRecord(record, (column, what, from, start, length) => {
      if (column < common) image.addBytes(column, what, from, start, length);
      assert(what !== code.missing || column >= inPage, "a column of the page was noted as missing");
      return false;
    });
    // Chains that only the version going away names.
    delta.clear();
    table.takeOld(image, format, address, slot, flags, delta);
    const pages = table.prepareReplace(format, address, slot, flags, image);
    store.reserve(pages + 3);
    for (let index = 0; index < delta.count; index++) {
      if (delta.codes[index] === code.reference) {
        space.doomed.push(delta.sink.view.getUint32(delta.starts[index]!, true));
      }
    }
    if ((flags & rowFlag.stub) !== 0) format.addHoles(address, -1);
    table.replace(format, address, page, slot, flags & ~(rowFlag.stub | rowFlag.keyUpdate), image, 0);
    const after = format.flags(address, slot);
    if ((after & rowFlag.extension) !== 0) {
      const extensionPage = format.backPage(address, slot);
      space.setRecordBack(
        extensionPage,
        space.record(extensionPage, format.backSlot(address, slot)),
        backPage,
        backSlot,
      );
    } else format.setBack(address, slot, backPage, backSlot);
    format.setFlags(address, slot, backPage === 0 ? after & ~rowFlag.chain : after);
    const base = format.writerBase(address);
    format.setWriterDelta(address, slot, writer > base ? writer - base : 0);
    space.removeRecord(headPage, headSlot, true);
    this.#core.pageChanged(address);
    this.noteDoomed(state);
  }

  /** An entry that may belong to no version any more. */
  #removeOrphan(orphan: Orphan): void {
    const { table: state, row } = orphan;
    const table = state.view;
    if (state.dropped || table === undefined) return;
    const index = [...table.maintained()].find((one) => one.spec.storageId === orphan.indexStorageId);
    if (index === undefined) return;
    const { store } = this.#core;
    store.beginOperation();
    const page = Math.floor(row / slotsMax);
    const slot = row - page * slotsMax;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const flags = format.flags(address, slot);
    const values: Value[] = [];
    if ((flags & rowFlag.free) === 0) {
      const writer = this.#mayComeBack(state, format, address, slot);
      if (writer !== undefined) {
        writer.orphans.push(orphan);
        return;
      }
      state.walkAll(format, address, slot);
      const count = state.recordCount;
      for (let version = 0; version <= count; version++) {
        state.recordCount = version;
        for (const column of index.dependsOn) {
          const place = version === 0 ? Place.newest : Place.older;
          values[column] = table.placeValue(place, format, address, slot, flags, column);
        }
        if (index.setOther(values) && index.otherEquals(orphan.key, orphan.key.length)) return;
      }
    }
    this.#removeEntries([{ index, key: Buffer.from(orphan.key) }], row);
  }

  // Undo of own changes, for savepoints and failed statements: one entry of the log, from its end.

  undoInsert(table: EngineTable, row: number): void {
    const { state, store } = table;
    const page = Math.floor(row / slotsMax);
    const slot = row - page * slotsMax;
    store.beginOperation();
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    store.reserve(1);
    const flags = format.flags(address, slot);
    if ((flags & rowFlag.stub) === 0) format.addHoles(address, 1);
    // A stub of its own with nothing behind it: nobody sees it, and collection takes entries and slot.
    format.setFlags(address, slot, flags | rowFlag.stub);
    this.#core.pageChanged(address);
    this.enqueue(state, page);
  }
  undoErase(table: EngineTable, row: number, flagsBefore: number): void {
    const { state, store } = table;
    const page = Math.floor(row / slotsMax);
    const slot = row - page * slotsMax;
    store.beginOperation();
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    store.reserve(1);
    if ((flagsBefore & rowFlag.stub) === 0) format.addHoles(address, -1);
    const flags = format.flags(address, slot);
    format.setFlags(address, slot, (flags & ~rowFlag.stub) | (flagsBefore & rowFlag.stub));
    this.#core.pageChanged(address);
  }
  undoOverwrite(table: EngineTable, row: number, transaction: TransactionRecord, at: number): void {
    const { state, store } = table;
    const { space } = state;
    const image = this.#image;
    const delta = this.#delta;
    const page = Math.floor(row / slotsMax);
    const slot = row - page * slotsMax;
    store.beginOperation();
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const flags = format.flags(address, slot);
    image.clear();
    const bytes = transaction.undoBytes;
    const end = at + 4 + bytes.readUInt32LE(at);
    for (let position = at + 4; position < end; ) {
      const length = bytes.readUInt16LE(position + 4);
      image.addBytes(
        bytes.readUInt16LE(position),
        bytes.readUInt16LE(position + 2),
        bytes,
        position + 6,
        length,
      );
      position += 6 + length;
    }
    delta.clear();
    table.takeOld(image, format, address, slot, flags, delta);
    // Entries of the keys that go away may be nobody's now.
    const values: Value[] = [];
    for (const index of table.maintained()) {
      if (!index.dependsOn.some((column) => image.find(column) >= 0)) continue;
      for (const column of index.dependsOn)
        values[column] = table.newestValue(format, address, slot, flags, column);
      if (!index.setOther(values)) continue;
      transaction.orphans.push({
        table: state,
        indexStorageId: index.spec.storageId,
        key: Buffer.from(index.other.subarray(0, index.otherLength)),
        row,
      });
    }
    let pages = table.prepareReplace(format, address, slot, flags, image);
    const narrowed = table.narrowDelta(format, address, slot, flags, image);
    if (narrowed)
      pages += space.prepareRecords(table.narrowed, table.fate === "write" ? state.extension : undefined);
    store.reserve(pages + 3);
    for (let index = 0; index < delta.count; index++) {
      if (delta.codes[index] === code.reference) {
        space.doomed.push(delta.sink.view.getUint32(delta.starts[index]!, true));
      }
    }
    for (let index = 0; index < image.count; index++) {
      if (image.codes[index] !== code.reference) continue;
      // Back in the row: the end of the transaction must not free it.
      const chain = image.sink.view.getUint32(image.starts[index]!, true);
      const noted = transaction.chains.findIndex((one) => one.table === state && one.page === chain);
      if (noted >= 0) transaction.chains.splice(noted, 1);
    }
    table.replace(format, address, page, slot, flags, image, rowFlag.stale);
    if (narrowed) table.replaceDelta(format, address, page, slot, table.narrowed);
    this.noteDoomed(state);
  }
}

/** The whole shard, a page a step (MGA-33). */
export class EngineSweep implements Sweep {
  readonly #core: EngineCore;
  readonly #tables: EngineTable[];
  #position = 0;
  #pagesVisited = 0;
  readonly #startedAt: number;
  #duration = 0;
  readonly #before: { versions: number; backedOut: number; entries: number };
  /** Everything below was over when the sweep began, and leaves no trace where it has been; 0: some place is left out. */
  #limit: number;
  #done = false;

  constructor(core: EngineCore, tables: EngineTable[], complete: boolean) {
    this.#core = core;
    this.#tables = tables;
    this.#startedAt = core.clock.monotonic();
    this.#limit = complete ? core.oldestUnfinished() : 0;
    const { collector } = core;
    this.#before = {
      versions: collector.versionsRemoved,
      backedOut: collector.recordsBackedOut,
      entries: collector.entriesRemoved,
    };
  }

  step(): boolean {
    try {
      return this.#step();
    } catch (thrown) {
      if (!isWait(thrown)) this.abandon();
      throw thrown;
    }
  }

  /** Not to be finished: another sweep may begin. */
  abandon(): void {
    this.#core.sweepEnded(this);
  }

  #step(): boolean {
    if (this.#done) return true;
    const table = this.#tables[this.#tables.length - 1];
    const { collector, inventory } = this.#core;
    if (table !== undefined) {
      const { space } = table.state;
      space.load();
      if (table.state.dropped || this.#position >= space.dataCount) {
        this.#tables.pop();
        this.#position = 0;
        return false;
      }
      // Such a table is passed over: aborted rows stay in it, and their ids must go on being known.
      if (table.state.building.some((index) => index.pending !== undefined)) this.#limit = 0;
      collector.collectPage(table, space.dataPages[this.#position]!);
      this.#position++;
      this.#pagesVisited++;
      return false;
    }
    inventory.advance(this.#core.oldestUnfinished(), this.#limit);
    inventory.forget(this.#core.horizon(), this.#limit > 0);
    this.#core.writeMarkers();
    this.#duration = this.#core.clock.monotonic() - this.#startedAt;
    this.#done = true;
    this.#core.sweepEnded(this);
    return true;
  }

  get report(): SweepReport {
    const { collector } = this.#core;
    return {
      versionsRemoved: collector.versionsRemoved - this.#before.versions,
      recordsBackedOut: collector.recordsBackedOut - this.#before.backedOut,
      entriesRemoved: collector.entriesRemoved - this.#before.entries,
      pagesVisited: this.#pagesVisited,
      durationMs: this.#done ? this.#duration : this.#core.clock.monotonic() - this.#startedAt,
    };
  }
}

/** Runs `work`; a Wait is left for the next time. */
export function unlessWaiting(work: () => boolean): boolean | undefined {
  try {
    return work();
  } catch (thrown) {
    if (isWait(thrown)) return undefined;
    throw thrown;
  }
}

export function isOver(outcome: number): boolean {
  return outcome <= commitNumberEnd || outcome === stateAborted;
}
