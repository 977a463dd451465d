/** Streaming operators: set-returning calls, functions in FROM, DISTINCT runs, row locks, computed catalogs, spilling rows. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DbError } from "../base/errors.js";
import type { FunctionDef } from "../model/functions.js";
import { Interval, Numeric, PgArray, RowValue, TimeTz, type Value } from "../model/value.js";
import type { PlanNode } from "../sql/plan.js";
import { buildPlan } from "./index.js";
import { RowStore, RowStoreReader } from "./spill.js";
import {
  constant,
  estimate,
  int4,
  int8,
  op,
  output,
  rowsOf,
  scanOf,
  slot,
  TestDatabase,
  text,
} from "./testing.js";

const series: FunctionDef = {
  oid: 1067,
  name: "generate_series",
  args: [23, 23],
  returns: 23,
  returnsSet: true,
  strict: true,
  volatility: "immutable",
  *call(_context, from: never, to: never): Iterable<Value> {
    for (let n: number = from; n <= to; n++) yield n;
  },
};

function run(plan: PlanNode, database = new TestDatabase(), memoryBytes?: number): Value[][] {
  return rowsOf(
    buildPlan(plan, { catalog: database.catalog }),
    database.context(memoryBytes === undefined ? {} : { memoryBytes }),
  );
}
const values = (...rows: Value[][]): PlanNode => ({
  kind: "values",
  rows: rows.map((row) => row.map((value) => constant(value))),
  columns: output(...rows[0]!.map(() => int4)),
  estimate,
});

describe("sets of rows from functions", () => {
  test("set-returning calls run in lock-step, the shorter padded with NULL; an empty set drops the row", () => {
    const set = (from: Value, to: number) => ({
      kind: "set" as const,
      fn: series,
      args: [from === null ? constant(null) : constant(from), constant(to)],
      type: int4,
    });
    const plan: PlanNode = {
      kind: "projectSet",
      input: values([7], [8]),
      exprs: [slot(0), set(1, 3), set(1, 2)],
      columns: output(int4, int4, int4),
      estimate,
    };
    expect(run(plan)).toEqual([
      [7, 1, 1],
      [7, 2, 2],
      [7, 3, null],
      [8, 1, 1],
      [8, 2, 2],
      [8, 3, null],
    ]);
    expect(run({ ...plan, exprs: [slot(0), set(5, 3), set(null, 2)] } as PlanNode)).toEqual([]);
  });
  test("a function in FROM, with ordinality, in batches", () => {
    const plan: PlanNode = {
      kind: "functionScan",
      fn: series,
      args: [constant(10), constant(2509)],
      withOrdinality: true,
      columns: output(int4, int8),
      estimate,
    };
    const rows = run(plan);
    expect(rows.length).toBe(2500);
    expect(rows[2499]).toEqual([2509, 2500]);
  });
});

test("unique keeps the first row of each run, NULL equal to NULL, across batches", () => {
  const database = new TestDatabase();
  const t = database.createTable("t", [
    { name: "a", type: int4 },
    { name: "b", type: int4 },
  ]);
  database.fill(
    t,
    Array.from({ length: 3000 }, (_, i) => [i < 1000 ? null : Math.floor(i / 700), i]),
  );
  const plan: PlanNode = {
    kind: "unique",
    input: scanOf(t),
    keys: [slot(0)],
    columns: scanOf(t).columns,
    estimate,
  };
  expect(run(plan, database)).toEqual([
    [null, 0],
    [1, 1000],
    [2, 1400],
    [3, 2100],
    [4, 2800],
  ]);
});

test("computed catalogs give the columns asked for, filtered", () => {
  const database = new TestDatabase();
  database.virtual.set(99, [
    [1, "a", true],
    [2, "b", false],
  ]);
  const plan: PlanNode = {
    kind: "virtualScan",
    relationId: 99,
    schema: "sys",
    name: "things",
    project: [1, 0],
    filter: op(">", slot(1), constant(1)),
    columns: output(text, int4),
    estimate,
  };
  expect(run(plan, database)).toEqual([["b", 2]]);
});

describe("row locks", () => {
  function setup() {
    const database = new TestDatabase();
    const t = database.createTable("t", [{ name: "a", type: int4 }]);
    database.fill(t, [[1], [2], [3]]);
    const scan = scanOf(t, { rowId: true });
    const plan = (waitPolicy: "wait" | "skipLocked"): PlanNode => ({
      kind: "lockRows",
      input: scan,
      targets: [{ tableId: t.id, rowIdSlot: 1, strength: "update", waitPolicy }],
      columns: scan.columns,
      estimate,
    });
    return { database, t, plan };
  }
  test("SKIP LOCKED leaves out rows another transaction is writing", () => {
    const { database, t, plan } = setup();
    const other = database.begin();
    const table = database.engine.tables.get(t.id)!;
    table.update(other, database.engine.statementSnapshot(other), 1, [0], [20]);
    expect(run(plan("skipLocked"), database).map((row) => row[0])).toEqual([1, 3]);
  });
  test("a row changed since the snapshot restarts the statement, or fails with 40001", () => {
    const { database, t, plan } = setup();
    for (const isolation of ["readCommitted", "repeatableRead"] as const) {
      const context = database.context({ transaction: database.begin(isolation) });
      const other = database.begin();
      const table = database.engine.tables.get(t.id)!;
      table.update(other, database.engine.statementSnapshot(other), 1, [0], [20]);
      database.engine.commit(other);
      const operator = buildPlan(plan("wait"), { catalog: database.catalog });
      let thrown: unknown;
      try {
        rowsOf(operator, context);
      } catch (error) {
        thrown = error;
      }
      if (isolation === "readCommitted") expect(thrown).toMatchObject({ reason: "updated" });
      else expect((thrown as DbError).sqlstate).toBe("40001");
    }
  });
});

describe("rows kept", () => {
  const leaf = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true }),
    fc.bigInt({ min: -(2n ** 90n), max: 2n ** 90n }),
    fc.string({ unit: "grapheme" }),
    fc.uint8Array({ maxLength: 20 }),
    fc
      .record({ c: fc.bigInt({ min: 2n ** 60n, max: 2n ** 70n }), s: fc.nat(100) })
      .map(({ c, s }) => new Numeric(c, s)),
    fc.constantFrom(new Numeric(0, 0, "NaN"), new Numeric(0, 0, "-Infinity"), new Numeric(5, 2)),
    fc
      .record({ m: fc.integer(), d: fc.integer(), u: fc.maxSafeInteger() })
      .map(({ m, d, u }) => new Interval(m, d, u)),
    fc
      .record({ u: fc.nat(), z: fc.integer({ min: -50000, max: 50000 }) })
      .map(({ u, z }) => new TimeTz(u, z)),
  ) as fc.Arbitrary<Value>;
  const value = fc.oneof(
    leaf,
    fc.array(leaf, { maxLength: 4 }).map((elements) => PgArray.of(25, elements)),
    fc.array(leaf, { maxLength: 4 }).map(
      (fields) =>
        new RowValue(
          fields.map(() => 25),
          fields,
        ),
    ),
  );
  test("every kind of value comes back from disk as it went", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(value, value), { maxLength: 40 }), (rows) => {
        const database = new TestDatabase();
        const store = new RowStore(2, true);
        store.open(database.context());
        for (const [a, b] of rows) store.appendRow([[a], [b]], 0);
        store.finish();
        const reader = new RowStoreReader(store);
        const back: Value[][] = [];
        for (let batch = reader.next(); batch !== undefined; batch = reader.next()) {
          for (let row = 0; row < batch.length; row++) back.push(batch.columns.map((column) => column[row]!));
        }
        expect(back).toEqual(rows.map(([a, b]) => [a, b]));
        store.clear();
      }),
      { numRuns: 60 },
    );
  });
  test("what cannot spill fails with 53200 and gives its memory back", () => {
    const database = new TestDatabase();
    const t = database.createTable("t", [{ name: "a", type: int4 }]);
    database.fill(
      t,
      Array.from({ length: 4000 }, (_, i) => [i]),
    );
    const plan: PlanNode = {
      kind: "setOperation",
      operation: "except",
      all: false,
      left: scanOf(t),
      right: scanOf(t),
      columns: scanOf(t).columns,
      estimate,
    };
    const context = database.context({ memoryBytes: 48 << 10 });
    const operator = buildPlan(plan, { catalog: database.catalog });
    try {
      rowsOf(operator, context);
      expect.unreachable();
    } catch (thrown) {
      expect((thrown as DbError).sqlstate).toBe("53200");
    }
    expect(context.memory.usedBytes).toBe(0);
    expect(rowsOf(operator, database.context())).toEqual([]);
  });
  test("a materialized inner side is read again, spilled or not", () => {
    const database = new TestDatabase();
    const t = database.createTable("t", [{ name: "a", type: int4 }]);
    database.fill(
      t,
      Array.from({ length: 3000 }, (_, i) => [i]),
    );
    const right: PlanNode = { kind: "materialize", input: scanOf(t), columns: scanOf(t).columns, estimate };
    const plan: PlanNode = {
      kind: "nestedLoop",
      type: "inner",
      left: values([1], [2], [3]),
      right,
      condition: op("=", op("*", slot(0), constant(900)), slot(1)),
      bindings: [],
      columns: output(int4, int4),
      estimate,
    };
    for (const memory of [1 << 20, 32 << 10]) {
      expect(run(plan, database, memory)).toEqual([
        [1, 900],
        [2, 1800],
        [3, 2700],
      ]);
    }
    expect(database.spills.length).toBeGreaterThan(0);
  });
});
