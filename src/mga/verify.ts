/**
 * Checks of tables and indexes, page by page: what `scratchbird verify` and the tests run after a crash.
 *
 * Found are: counters and arrays that do not fit the page, chains that do not end or name records that are not there or
 * not theirs, records and overflow pages that nobody names, entries that lead nowhere, and versions without an entry.
 */

import { DbError } from "../base/errors.js";
import { isWait } from "../base/wait.js";
import type { Value } from "../model/value.js";
import { PageType } from "../storage/contract.js";
import { rowFlag, slotsMax } from "../storage/heap.js";
import type { TableSpec } from "./contract.js";
import type { EngineCore } from "./engine.js";
import { Place } from "./table-state.js";

/** All that is wrong with a table and its indexes; empty: sound. No transaction may be at work. Throws Wait. */
export function verifyTable(engine: EngineCore, spec: TableSpec): string[] {
  const problems: string[] = [];
  const table = engine.engineTable(spec);
  const { state, store } = table;
  const { space } = state;
  space.load();
  const problem = (what: string): void => {
    if (problems.length < 100) problems.push(`table "${spec.name}": ${what}`);
  };
  const guarded = (what: string, work: () => void): void => {
    try {
      work();
    } catch (thrown) {
      if (isWait(thrown) || !(thrown instanceof DbError)) throw thrown;
      problem(`${what}: ${thrown.message}`);
    }
  };
  const records = new Set<string>();
  /** Keys that each index should lead to: `row:key`. */
  const keys = new Map(table.indexes.map((index) => [index, new Set<string>()] as const));
  const values: Value[] = [];
  for (let position = 0; position < space.dataCount; position++) {
    const page = space.dataPages[position]!;
    store.beginOperation();
    guarded(`page ${page}`, () => {
      const address = state.pageAddress(page);
      const format = state.formatAt(address);
      const wrong = format.check(address);
      if (wrong !== undefined) problem(`page ${page}: ${wrong}`);
    });
    for (let slot = 0; ; slot++) {
      store.beginOperation();
      let rows = 0;
      guarded(`page ${page} slot ${slot}`, () => {
        const address = state.pageAddress(page);
        const format = state.formatAt(address);
        rows = format.rows(address);
        if (slot >= rows) return;
        const flags = format.flags(address, slot);
        if ((flags & rowFlag.free) !== 0) return;
        if ((flags & rowFlag.extension) !== 0) {
          const at = `${format.backPage(address, slot)}:${format.backSlot(address, slot)}`;
          if (records.has(at)) problem(`record ${at} is named twice`);
          records.add(at);
        }
        state.chainHead(format, address, slot, flags);
        let at = { page: state.headPage, slot: state.headSlot };
        const places: { page: number; slot: number }[] = [];
        while (at.page !== 0) {
          const record = space.record(at.page, at.slot);
          const name = `${at.page}:${at.slot}`;
          if (records.has(name)) {
            problem(`record ${name} is named twice`);
            break;
          }
          records.add(name);
          places.push(at);
          const owner = space.recordOwner(record);
          if (owner.page !== page || owner.slot !== slot) problem(`record ${name} belongs to another row`);
          at = { page: space.recordBackPage(record), slot: space.recordBackSlot(record) };
        }
        state.walkAll(format, address, slot);
        const count = state.recordCount;
        for (const [index, wanted] of keys) {
          for (let version = 0; version <= count; version++) {
            state.recordCount = version;
            const place = version === 0 ? Place.newest : Place.older;
            for (const column of index.dependsOn) {
              values[column] = table.placeValue(place, format, address, slot, flags, column);
            }
            if (!index.setOther(values)) continue;
            wanted.add(`${page * slotsMax + slot}:${index.other.toString("hex", 0, index.otherLength)}`);
          }
        }
      });
      if (slot >= rows) break;
    }
  }
  for (const [index, wanted] of keys) {
    guarded(`index "${index.spec.name}"`, () => {
      const check = index.tree.check();
      store.beginOperation();
      while (!check.step()) store.beginOperation();
      const cursor = index.tree.cursor();
      cursor.openAll(false);
      store.beginOperation();
      while (cursor.nextEntry()) {
        const { row } = cursor;
        const name = `${row}:${Buffer.from(cursor.key.subarray(0, cursor.keyLength)).toString("hex")}`;
        if (!wanted.delete(name)) {
          // An entry without a version is tolerated only where scans compare keys.
          const page = Math.floor(row / slotsMax);
          store.beginOperation();
          const address = state.pageAddress(page);
          const format = state.formatAt(address);
          const slot = row - page * slotsMax;
          const flags = slot < format.rows(address) ? format.flags(address, slot) : 0;
          if ((flags & (rowFlag.chain | rowFlag.stale)) === 0) {
            problem(`index "${index.spec.name}": entry of row ${row} has no version`);
          }
        }
        store.beginOperation();
      }
      for (const missing of wanted) problem(`index "${index.spec.name}": no entry for ${missing}`);
    });
  }
  for (const page of space.versionPages()) {
    store.beginOperation();
    guarded(`page ${page}`, () => {
      const address = store.page(page, PageType.version);
      const wrong = space.checkVersionPage(address);
      if (wrong !== undefined) problem(`page ${page}: ${wrong}`);
      for (const slot of space.recordsOf(address)) {
        if (!records.has(`${page}:${slot}`)) problem(`record ${page}:${slot} is named by no row`);
      }
    });
  }
  return problems;
}
