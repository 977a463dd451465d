import { describe, expect, it } from "vitest";
import type { Value } from "../model/value.js";
import type { RowId, Snapshot, Table, Transaction } from "./contract.js";
import type { EngineCore } from "./engine.js";
import { indexSpec, openTestEngine, tableSpec, types } from "./testing.js";

const rc = { isolation: "readCommitted", readOnly: false, lockTimeoutMs: 0 } as const;
const rr = { isolation: "repeatableRead", readOnly: false, lockTimeoutMs: 0 } as const;

const columns = [types.int4, types.text, types.int8] as const;
const all = [0, 1, 2];

function setup(): { engine: EngineCore; table: Table } {
  const { engine } = openTestEngine();
  const spec = tableSpec(100, columns, [indexSpec(101, columns, [0], true), indexSpec(102, columns, [1])]);
  engine.createTable(spec);
  return { engine, table: engine.table(spec) };
}

function rows(table: Table, snapshot: Snapshot): Value[][] {
  const scan = table.scan(snapshot);
  const into: Value[][] = [[], [], []];
  let count = 0;
  while (scan.next()) count += scan.materialize(all, into, count, undefined);
  const found: Value[][] = [];
  for (let row = 0; row < count; row++) found.push(into.map((column) => column[row]!));
  return found.sort((a, b) => (a[0] as number) - (b[0] as number));
}
function look(engine: EngineCore, table: Table, transaction: Transaction = engine.begin(rc)): Value[][] {
  const snapshot = engine.statementSnapshot(transaction);
  const found = rows(table, snapshot);
  engine.releaseSnapshot(transaction);
  return found;
}
function findBy(
  engine: EngineCore,
  table: Table,
  index: number,
  key: Value,
  transaction: Transaction,
): RowId[] {
  const snapshot = engine.statementSnapshot(transaction);
  const scan = table.indexScan(
    snapshot,
    index,
    { lower: [key], lowerInclusive: true, upper: [key], upperInclusive: true },
    false,
  );
  const found: RowId[] = [];
  const into: RowId[] = [];
  for (let count = scan.next(into, 100); count > 0; count = scan.next(into, 100))
    found.push(...into.slice(0, count));
  engine.releaseSnapshot(transaction);
  return found;
}

describe("transactions", () => {
  it("shows a committed row, and hides one that is not", async () => {
    const { engine, table } = setup();
    const writer = engine.begin(rc);
    const row = table.insert(writer, [1, "one", 10]);
    expect(look(engine, table)).toEqual([]);
    expect(look(engine, table, writer)).toEqual([[1, "one", 10]]);
    const durable = engine.commit(writer);
    expect(look(engine, table)).toEqual([]);
    await durable;
    expect(look(engine, table)).toEqual([[1, "one", 10]]);
    expect(findBy(engine, table, 101, 1, engine.begin(rc))).toEqual([row]);
    expect(findBy(engine, table, 102, "one", engine.begin(rc))).toEqual([row]);
  });

  it("keeps a repeatable snapshot while rows change and go", async () => {
    const { engine, table } = setup();
    const first = engine.begin(rc);
    const a = table.insert(first, [1, "a", 1]);
    const b = table.insert(first, [2, "b", 2]);
    await engine.commit(first);
    const old = engine.begin(rr);
    expect(look(engine, table, old)).toHaveLength(2);
    for (let turn = 0; turn < 5; turn++) {
      const writer = engine.begin(rc);
      const snapshot = engine.statementSnapshot(writer);
      expect(table.update(writer, snapshot, a, [1, 2], [`a${turn}`, turn])).toBe("done");
      engine.releaseSnapshot(writer);
      await engine.commit(writer);
    }
    const eraser = engine.begin(rc);
    expect(table.delete(eraser, engine.statementSnapshot(eraser), b)).toBe("done");
    await engine.commit(eraser);
    expect(look(engine, table, old)).toEqual([
      [1, "a", 1],
      [2, "b", 2],
    ]);
    expect(findBy(engine, table, 102, "a", old)).toEqual([a]);
    expect(findBy(engine, table, 102, "a4", old)).toEqual([]);
    expect(look(engine, table)).toEqual([[1, "a4", 4]]);
    while (engine.collect());
    expect(look(engine, table, old)).toHaveLength(2);
    await engine.commit(old);
    while (engine.collect());
    expect(engine.collector.versionsRemoved).toBe(5 + 2);
    expect(look(engine, table)).toEqual([[1, "a4", 4]]);
    expect(findBy(engine, table, 102, "a", engine.begin(rc))).toEqual([]);
  });

  it("rolls back by two bits, and backs out later", async () => {
    const { engine, table } = setup();
    const first = engine.begin(rc);
    const row = table.insert(first, [1, "one", 10]);
    await engine.commit(first);
    const second = engine.begin(rc);
    table.update(second, engine.statementSnapshot(second), row, [0, 1], [5, "five"]);
    table.insert(second, [2, "two", 20]);
    engine.rollback(second);
    expect(look(engine, table)).toEqual([[1, "one", 10]]);
    while (engine.collect());
    expect(engine.collector.recordsBackedOut).toBe(2);
    expect(look(engine, table)).toEqual([[1, "one", 10]]);
    expect(findBy(engine, table, 101, 5, engine.begin(rc))).toEqual([]);
  });

  it("refuses a second row with a unique key", async () => {
    const { engine, table } = setup();
    const first = engine.begin(rc);
    table.insert(first, [1, "one", 10]);
    expect(() => table.insert(first, [1, "uno", 11])).toThrow(
      /duplicate key value violates unique constraint "i101"/,
    );
    await engine.commit(first);
    const second = engine.begin(rc);
    expect(() => table.insert(second, [1, "uno", 11])).toThrow(/duplicate key/);
    table.insert(second, [2, "due", 11]);
    const third = engine.begin(rc);
    expect(() => table.insert(third, [2, "zwei", 11])).toThrow(expect.objectContaining({ reason: "row" }));
    engine.rollback(second);
    table.insert(third, [2, "zwei", 11]);
    await engine.commit(third);
    expect(look(engine, table)).toHaveLength(2);
  });

  it("rolls back to a savepoint", async () => {
    const { engine, table } = setup();
    const t = engine.begin(rc);
    const a = table.insert(t, [1, "a", 1]);
    await engine.commit(t);
    const u = engine.begin(rc);
    const step = (work: (snapshot: Snapshot) => void): void => {
      work(engine.statementSnapshot(u));
      engine.releaseSnapshot(u);
    };
    step((snapshot) => table.update(u, snapshot, a, [2], [2]));
    const mark = engine.savepoint(u);
    step((snapshot) => table.update(u, snapshot, a, [0, 1], [7, "seven"]));
    step(() => table.insert(u, [3, "c", 3]));
    step((snapshot) => expect(table.delete(u, snapshot, a)).toBe("done"));
    expect(look(engine, table, u)).toEqual([[3, "c", 3]]);
    engine.rollbackTo(u, mark);
    expect(look(engine, table, u)).toEqual([[1, "a", 2]]);
    expect(findBy(engine, table, 101, 7, u)).toEqual([]);
    expect(findBy(engine, table, 101, 1, u)).toEqual([a]);
    await engine.commit(u);
    while (engine.collect());
    expect(look(engine, table)).toEqual([[1, "a", 2]]);
    expect(findBy(engine, table, 101, 1, engine.begin(rc))).toEqual([a]);
  });
});
