/**
 * Checks of tables and indexes, page by page: what `scratchbird verify` and the tests run after a crash.
 *
 * Found are: counters and arrays that do not fit their page, chains that do not end or lead to records that are not
 * there or not theirs, records that no row names, versions without an index entry, entries without a version.
 * Nothing is remembered from row to row, so a table of any size is checked in the memory of a few pages.
 */
import { DbError } from "../base/errors.js";
import { isWait } from "../base/wait.js";
import type { Value } from "../model/value.js";
import { PageType } from "../storage/contract.js";
import { type PageFormat, rowFlag, slotsMax } from "../storage/heap.js";
import type { TableSpec } from "./contract.js";
import type { EngineCore } from "./engine.js";
import type { EngineTable } from "./table.js";
import { Place } from "./table-state.js";

const problemsMax = 1000;

class TableCheck {
  readonly problems: string[] = [];
  readonly #values: Value[] = [];
  constructor(
    readonly engine: EngineCore,
    readonly table: EngineTable,
  ) {}

  note(what: string): void {
    if (this.problems.length < problemsMax) this.problems.push(`table "${this.table.spec.name}": ${what}`);
  }

  /** One operation, again after each wait; what it found counts once, and corruption it met is a finding. */
  async step<T>(where: string, work: (note: (what: string) => void) => T): Promise<T | undefined> {
    for (;;) {
      const found: string[] = [];
      this.engine.store.beginOperation();
      try {
        const result = work((what) => found.push(what));
        for (const what of found) this.note(`${where}: ${what}`);
        return result;
      } catch (thrown) {
        if (isWait(thrown)) {
          await thrown.ready;
          continue;
        }
        if (!(thrown instanceof DbError)) throw thrown;
        for (const what of found) this.note(`${where}: ${what}`);
        this.note(`${where}: ${thrown.message}`);
        return undefined;
      }
    }
  }

  async run(): Promise<void> {
    const { state } = this.table;
    const { space } = state;
    await this.step("page list", () => space.load());
    for (let position = 0; position < space.dataCount; position++) {
      const page = space.dataPages[position]!;
      const rows = await this.step(`page ${page}`, (note) => {
        const address = state.pageAddress(page);
        const format = state.formatAt(address);
        const wrong = format.check(address);
        if (wrong !== undefined) note(wrong);
        return format.rows(address);
      });
      for (let slot = 0; slot < (rows ?? 0); slot++) {
        await this.step(`page ${page} row ${slot}`, (note) => this.#row(page, slot, note));
      }
    }
    for (const page of (await this.step("page list", () => space.versionPages())) ?? []) {
      const slots = await this.step(`page ${page}`, (note) => {
        const address = state.store.page(page, PageType.version);
        const wrong = space.checkVersionPage(address);
        if (wrong !== undefined) note(wrong);
        return space.recordsOf(address);
      });
      for (const slot of slots ?? []) {
        await this.step(`page ${page} record ${slot}`, (note) => this.#record(page, slot, note));
      }
    }
    for (const index of this.table.indexes) {
      const where = `index "${index.spec.name}"`;
      const check = index.tree.check();
      while ((await this.step(where, () => check.step())) === false);
      const cursor = index.tree.cursor();
      cursor.openAll(false);
      while ((await this.step(where, () => cursor.nextEntry())) === true) {
        const { row } = cursor;
        await this.step(where, (note) => {
          if (!this.#hasVersion(row, index, cursor.key, cursor.keyLength))
            note(`entry of row ${row} has no version`);
        });
      }
    }
  }

  #row(page: number, slot: number, note: (what: string) => void): void {
    const { table } = this;
    const { state } = table;
    const { space } = state;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    const flags = format.flags(address, slot);
    if ((flags & rowFlag.free) !== 0) return;
    state.walkAll(format, address, slot);
    for (let index = 0; index < state.recordCount; index++) {
      const owner = space.recordOwner(state.records[index]!);
      if (owner.page !== page || owner.slot !== slot) note("its chain leads to a version of another row");
    }
    const count = state.recordCount;
    for (const index of table.indexes) {
      for (let version = 0; version <= count; version++) {
        if (!this.#versionKey(index, format, address, slot, flags, version)) continue;
        const row = page * slotsMax + slot;
        // Asked as a removal would ask: whether the entry is there.
        if (!index.tree.prepareRemove(index.other, 0, index.otherLength, row)) {
          note(`version ${version} has no entry in index "${index.spec.name}"`);
        }
      }
      state.recordCount = count;
    }
  }

  /** Key of a version (0: the newest) into `index.other`; the chain stands in `records`. */
  #versionKey(
    index: EngineTable["indexes"][number],
    format: PageFormat,
    address: number,
    slot: number,
    flags: number,
    version: number,
  ): boolean {
    this.table.state.recordCount = version;
    const place = version === 0 ? Place.newest : Place.older;
    for (const column of index.dependsOn) {
      this.#values[column] = this.table.placeValue(place, format, address, slot, flags, column);
    }
    return index.setOther(this.#values);
  }

  #hasVersion(
    row: number,
    index: EngineTable["indexes"][number],
    key: Uint8Array,
    keyLength: number,
  ): boolean {
    const { state } = this.table;
    const page = Math.floor(row / slotsMax);
    const slot = row - page * slotsMax;
    const address = state.pageAddress(page);
    const format = state.formatAt(address);
    if (slot >= format.rows(address)) return false;
    const flags = format.flags(address, slot);
    // Scans compare keys at such a slot: an entry left over from a crash does no harm there.
    if ((flags & rowFlag.stale) !== 0) return true;
    if ((flags & rowFlag.free) !== 0) return false;
    state.walkAll(format, address, slot);
    const count = state.recordCount;
    for (let version = 0; version <= count; version++) {
      if (!this.#versionKey(index, format, address, slot, flags, version)) continue;
      if (index.otherEquals(key, keyLength)) return true;
    }
    return false;
  }

  #record(page: number, slot: number, note: (what: string) => void): void {
    const { state } = this.table;
    const { space } = state;
    const owner = space.recordOwner(space.record(page, slot));
    const address = state.pageAddress(owner.page);
    const format = state.formatAt(address);
    if (owner.slot >= format.rows(address) || (format.flags(address, owner.slot) & rowFlag.free) !== 0) {
      note("its row is not there");
      return;
    }
    const flags = format.flags(address, owner.slot);
    if (
      (flags & rowFlag.extension) !== 0 &&
      format.backPage(address, owner.slot) === page &&
      format.backSlot(address, owner.slot) === slot
    ) {
      return;
    }
    state.chainHead(format, address, owner.slot, flags);
    let at = { page: state.headPage, slot: state.headSlot };
    for (let steps = 0; at.page !== 0 && steps < 100_000; steps++) {
      if (at.page === page && at.slot === slot) return;
      const record = space.record(at.page, at.slot);
      at = { page: space.recordBackPage(record), slot: space.recordBackSlot(record) };
    }
    note("its row does not name it");
  }
}

/** All that is wrong with a table and its indexes; empty: sound. No transaction may be at work meanwhile. */
export async function verifyTable(engine: EngineCore, spec: TableSpec): Promise<string[]> {
  let table: EngineTable;
  for (;;) {
    try {
      table = engine.engineTable(spec);
      break;
    } catch (thrown) {
      if (isWait(thrown)) await thrown.ready;
      else if (thrown instanceof DbError) return [`table "${spec.name}": ${thrown.message}`];
      else throw thrown;
    }
  }
  const check = new TableCheck(engine, table);
  await check.run();
  return check.problems;
}
