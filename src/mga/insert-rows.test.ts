/** Rows inserted a page at a time: the same table as row by row, whatever mixture of the two made it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Value } from "../model/value.js";
import type { Table, Transaction } from "./contract.js";
import type { EngineCore } from "./engine.js";
import { indexSpec, openTestEngine, tableSpec, types } from "./testing.js";

const options = { isolation: "readCommitted", readOnly: false, lockTimeoutMs: 0 } as const;
const columns = [types.int4, types.text, types.int8, types.bool, types.text] as const;
const all = [0, 1, 2, 3, 4];

function readAll(engine: EngineCore, table: Table, transaction: Transaction): Value[][] {
  const snapshot = engine.statementSnapshot(transaction);
  const scan = table.scan(snapshot);
  const into: Value[][] = all.map(() => []);
  let count = 0;
  while (scan.next()) count += scan.materialize(all, into, count, undefined);
  engine.releaseSnapshot(transaction);
  return Array.from({ length: count }, (_, row) => into.map((column) => column[row]!)).sort(
    (a, b) => (a[0] as number) - (b[0] as number),
  );
}

/** Inserts all rows, a page at a time where the table takes them so; answers how many went that way. */
function insertAll(table: Table, transaction: Transaction, rows: readonly Value[][]): number {
  const batch = all.map((column) => rows.map((row) => row[column]!));
  let at = 0;
  let together = 0;
  while (at < rows.length) {
    const taken = table.insertRows(transaction, batch, at, rows.length - at);
    expect(taken).toBeLessThanOrEqual(rows.length - at);
    if (taken === 0) table.insert(transaction, rows[at]!);
    together += taken;
    at += Math.max(1, taken);
  }
  return together;
}

const text = fc.oneof(
  { weight: 6, arbitrary: fc.string({ maxLength: 40 }) },
  { weight: 2, arbitrary: fc.string({ unit: "grapheme", maxLength: 60 }) },
  { weight: 1, arbitrary: fc.integer({ min: 500, max: 20_000 }).map((length) => "x".repeat(length)) },
  { weight: 2, arbitrary: fc.constant(null) },
);
const rest = fc.tuple(
  text,
  fc.option(fc.integer({ min: -(2 ** 45), max: 2 ** 45 })),
  fc.option(fc.boolean()),
  text,
);
const step = fc.record({
  rows: fc.array(rest, { minLength: 1, maxLength: 40 }),
  repeat: fc.integer({ min: 1, max: 6 }),
  end: fc.constantFrom("commit", "commit", "rollback", "rollbackTo"),
  deleteEvery: fc.integer({ min: 2, max: 50 }),
});

describe("insertRows", () => {
  it("makes the table that single inserts make", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 3 }), async (steps) => {
        const { engine } = openTestEngine();
        const spec = tableSpec(100, columns);
        engine.createTable(spec);
        const table = engine.table(spec);
        let expected: Value[][] = [];
        let next = 0;
        for (const { rows, repeat, end, deleteEvery } of steps) {
          const made: Value[][] = [];
          for (let turn = 0; turn < repeat; turn++) for (const row of rows) made.push([next++, ...row]);
          const transaction = engine.begin(options);
          const before = engine.savepoint(transaction);
          insertAll(table, transaction, made);
          // A statement does not see what it inserts; the next one of the transaction does.
          const own = [...expected, ...made];
          expect(readAll(engine, table, transaction)).toEqual(own);
          expect(readAll(engine, table, engine.begin(options))).toEqual(expected);
          if (end === "rollback") {
            engine.rollback(transaction);
          } else {
            if (end === "rollbackTo") engine.rollbackTo(transaction, before);
            else expected = own;
            await engine.commit(transaction);
          }
          expect(readAll(engine, table, engine.begin(options))).toEqual(expected);
          // Holes for the next step.
          const eraser = engine.begin(options);
          const snapshot = engine.statementSnapshot(eraser);
          const scan = table.scan(snapshot);
          const keep: Value[][] = [];
          const doomed: number[] = [];
          const into: Value[][] = all.map(() => []);
          const ids: Value[] = [];
          let count = 0;
          while (scan.next()) count += scan.materialize(all, into, count, ids);
          for (let row = 0; row < count; row++) {
            if ((into[0]![row] as number) % deleteEvery === 0) doomed.push(ids[row] as number);
            else keep.push(into.map((column) => column[row]!));
          }
          for (const row of doomed) expect(table.delete(eraser, snapshot, row)).toBe("done");
          engine.releaseSnapshot(eraser);
          await engine.commit(eraser);
          for (let turn = 0; turn < 10_000 && engine.collect(); turn++);
          expected = keep.sort((a, b) => (a[0] as number) - (b[0] as number));
          expect(readAll(engine, table, engine.begin(options))).toEqual(expected);
        }
        expect(await engine.verify([spec])).toEqual([]);
      }),
      { numRuns: 12 },
    );
  });

  it("takes most rows together, and none where an index wants them one by one", async () => {
    const { engine } = openTestEngine();
    const plain = tableSpec(100, columns);
    const indexed = tableSpec(200, columns, [indexSpec(201, columns, [0], true)]);
    engine.createTable(plain);
    engine.createTable(indexed);
    const rows = Array.from({ length: 1000 }, (_, row): Value[] => [row, `row ${row}`, row, true, null]);
    const transaction = engine.begin(options);
    expect(insertAll(engine.table(plain), transaction, rows)).toBe(1000);
    expect(insertAll(engine.table(indexed), transaction, rows)).toBe(0);
    await engine.commit(transaction);
    const reader = engine.begin(options);
    expect(readAll(engine, engine.table(plain), reader)).toEqual(rows);
    expect(readAll(engine, engine.table(indexed), reader)).toEqual(rows);
    expect(await engine.verify([plain, indexed])).toEqual([]);
  });

  it("is refused to a transaction that only reads", () => {
    const { engine } = openTestEngine();
    const spec = tableSpec(100, columns);
    engine.createTable(spec);
    const reader = engine.begin({ ...options, readOnly: true });
    const row: Value[][] = [[1], ["a"], [1], [true], [null]];
    expect(() => engine.table(spec).insertRows(reader, row, 0, 1)).toThrow("read-only transaction");
  });
});
