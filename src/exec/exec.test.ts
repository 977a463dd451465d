/**
 * The row operators against naive twins: the same rows must come out with memory to spare, with so little that everything
 * spills, and with Waits thrown at random.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Value } from "../model/value.js";
import type { Expr, SortKey } from "../sql/expr.js";
import type { AggregateCall, IndexBounds, JoinType, PlanNode, ScanNode } from "../sql/plan.js";
import { buildPlan } from "./index.js";
import {
  aggregates,
  bool,
  constant,
  estimate,
  int4,
  int8,
  Lcg,
  op,
  output,
  param,
  rowsOf,
  scanOf,
  slot,
  TestDatabase,
  text,
} from "./testing.js";

type ScanPlan = ScanNode & PlanNode;

const modes = [
  { name: "in memory", memoryBytes: 64 << 20, waitChance: 0 },
  { name: "spilling", memoryBytes: 96 << 10, waitChance: 0 },
  { name: "waiting", memoryBytes: 64 << 20, waitChance: 0.2 },
  { name: "spilling and waiting", memoryBytes: 96 << 10, waitChance: 0.1 },
] as const;

function run(
  database: TestDatabase,
  plan: PlanNode,
  options: { memoryBytes?: number; waitChance?: number; params?: readonly Value[] } = {},
): Value[][] {
  const operator = buildPlan(plan, { catalog: database.catalog });
  // Twice over the same operator: a plan is reused, and nothing of the run before may show.
  let rows: Value[][] = [];
  let before: Value[][] | undefined;
  for (let execution = 0; execution < 2; execution++) {
    const context = database.context({ memoryBytes: options.memoryBytes ?? 64 << 20 });
    context.params = options.params ?? [];
    database.engine.waitChance = options.waitChance ?? 0;
    rows = rowsOf(operator, context);
    database.engine.waitChance = 0;
    if (before !== undefined) expect(rows.length).toBe(before.length);
    before = rows;
  }
  return rows;
}

const byText = (rows: readonly (readonly Value[])[]): string[] =>
  rows
    .map((row) => JSON.stringify(row, (_, value) => (typeof value === "bigint" ? `${value}n` : value)))
    .sort();
const sameRows = (a: readonly (readonly Value[])[], b: readonly (readonly Value[])[]): void =>
  expect(byText(a)).toEqual(byText(b));

const key = (n: number, type = int4, descending = false, nullsFirst = descending): SortKey => ({
  expr: slot(n, type),
  descending,
  nullsFirst,
});

function twoTables(left: readonly Value[][], right: readonly Value[][]) {
  const database = new TestDatabase();
  const columns = [
    { name: "k", type: int4 },
    { name: "v", type: int4 },
    { name: "s", type: text },
  ];
  const a = database.createTable("a", columns);
  const b = database.createTable("b", columns);
  database.fill(a, left);
  database.fill(b, right);
  return { database, a, b };
}

const rowArbitrary = fc.tuple(
  fc.option(fc.integer({ min: 0, max: 12 }), { nil: null }),
  fc.integer({ min: -5, max: 5 }),
  fc.option(fc.constantFrom("x", "y", "z", "long text to fill memory ".repeat(8)), { nil: null }),
);
const rowsArbitrary = fc.array(rowArbitrary, { maxLength: 60 });

/** Enough rows to cross batch and page borders, some keys rare, some common. */
function manyRows(count: number, keys: number, seed: number): Value[][] {
  const lcg = new Lcg(seed);
  return Array.from({ length: count }, (_, i) => {
    const k = Math.floor(lcg.next() * keys);
    return [k === 0 ? null : k, i, `text ${k} ${"y".repeat(k % 40)}`];
  });
}

function joined(
  type: JoinType,
  left: readonly Value[][],
  right: readonly Value[][],
  matches: (l: readonly Value[], r: readonly Value[]) => boolean,
): Value[][] {
  const out: Value[][] = [];
  const usedRight = new Set<number>();
  for (const l of left) {
    let found = false;
    right.forEach((r, i) => {
      if (!matches(l, r)) return;
      found = true;
      usedRight.add(i);
      if (type !== "semi" && type !== "anti") out.push([...l, ...r]);
    });
    if (type === "semi" && found) out.push([...l]);
    if (type === "anti" && !found) out.push([...l]);
    if ((type === "left" || type === "full") && !found) out.push([...l, null, null, null]);
  }
  if (type === "right" || type === "full") {
    right.forEach((r, i) => {
      if (!usedRight.has(i)) out.push([null, null, null, ...r]);
    });
  }
  return out;
}

const joinTypes: JoinType[] = ["inner", "left", "right", "full", "semi", "anti"];
const pairTypes = [int4, int4, text, int4, int4, text];

function joinPlan(
  kind: "hashJoin" | "mergeJoin" | "nestedLoop",
  type: JoinType,
  left: PlanNode,
  right: PlanNode,
  condition: Expr | undefined,
): PlanNode {
  const columns = type === "semi" || type === "anti" ? left.columns : output(...pairTypes);
  if (kind === "hashJoin") {
    return {
      kind,
      type,
      left,
      right,
      leftKeys: [slot(0)],
      rightKeys: [slot(0)],
      condition,
      columns,
      estimate,
    };
  }
  const sorted = (input: PlanNode): PlanNode => ({
    kind: "sort",
    input,
    keys: [key(0)],
    columns: input.columns,
    estimate,
  });
  if (kind === "mergeJoin") {
    return {
      kind,
      type,
      left: sorted(left),
      right: sorted(right),
      leftKeys: [key(0)],
      rightKeys: [key(0)],
      condition,
      columns,
      estimate,
    };
  }
  const equal = op("=", slot(0), slot(3));
  const all: Expr = condition === undefined ? equal : { kind: "and", type: bool, args: [equal, condition] };
  return { kind, type, left, right, condition: all, bindings: [], columns, estimate };
}

describe("joins give what the definition says", () => {
  for (const kind of ["nestedLoop", "hashJoin", "mergeJoin"] as const) {
    test(`${kind}, small inputs, all types, with and without a residual condition`, () => {
      fc.assert(
        fc.property(
          rowsArbitrary,
          rowsArbitrary,
          fc.constantFrom(...joinTypes),
          fc.boolean(),
          fc.constantFrom(...modes),
          (left, right, type, residual, mode) => {
            const { database, a, b } = twoTables(left, right);
            const condition = residual ? op("<=", slot(1), slot(4)) : undefined;
            const plan = joinPlan(kind, type, scanOf(a), scanOf(b), condition);
            const expected = joined(
              type,
              left,
              right,
              (l, r) => l[0] !== null && l[0] === r[0] && (!residual || (l[1] as number) <= (r[1] as number)),
            );
            sameRows(run(database, plan, mode), expected);
          },
        ),
        { numRuns: 60 },
      );
    });
  }

  test.each(joinTypes)("hash join of many rows spills and still gives a %s join", (type) => {
    const left = manyRows(1500, 400, 1);
    const right = manyRows(1200, 500, 2);
    const { database, a, b } = twoTables(left, right);
    const plan = joinPlan("hashJoin", type, scanOf(a), scanOf(b), undefined);
    const before = database.spills.length;
    const rows = run(database, plan, { memoryBytes: 128 << 10, waitChance: 0.05 });
    expect(database.spills.length).toBeGreaterThan(before);
    sameRows(
      rows,
      joined(type, left, right, (l, r) => l[0] !== null && l[0] === r[0]),
    );
  });

  test("a nested loop hands its left row to the right side by execParam", () => {
    const { database, a, b } = twoTables(manyRows(40, 10, 3), manyRows(200, 10, 4));
    const index = database.createIndex(b, [0]);
    const inner: PlanNode = {
      ...(scanOf(b) as ScanPlan),
      kind: "indexScan",
      index: { indexId: index, bounds: { equals: [param(7)] }, backward: false },
    };
    const plan: PlanNode = {
      kind: "nestedLoop",
      type: "left",
      left: scanOf(a),
      right: inner,
      bindings: [{ id: 7, value: slot(0) }],
      columns: output(...pairTypes),
      estimate,
    };
    const expected = joined(
      "left",
      database.content(a) as Value[][],
      database.content(b) as Value[][],
      (l, r) => l[0] !== null && l[0] === r[0],
    );
    for (const mode of modes) sameRows(run(database, plan, mode), expected);
  });
});

describe("sorting", () => {
  const compare = (a: Value, b: Value, sort: SortKey): number => {
    if (a === null || b === null) return a === b ? 0 : (a === null) === sort.nullsFirst ? -1 : 1;
    const verdict = a < b ? -1 : a > b ? 1 : 0;
    return sort.descending ? -verdict : verdict;
  };
  for (const mode of modes) {
    test(`orders by several keys, ${mode.name}`, () => {
      const rows = manyRows(3000, 50, 5);
      const { database, a } = twoTables(rows, []);
      const keys = [key(0, int4, true, false), key(2, text), key(1, int4, true)];
      const plan: PlanNode = { kind: "sort", input: scanOf(a), keys, columns: scanOf(a).columns, estimate };
      const before = database.spills.length;
      const sorted = run(database, plan, mode);
      if (mode.memoryBytes < 1 << 20) expect(database.spills.length).toBeGreaterThan(before);
      const expected = rows.slice().sort((x, y) => {
        for (const k of keys) {
          const c = (k.expr as { slot: number }).slot;
          const verdict = compare(x[c]!, y[c]!, k);
          if (verdict !== 0) return verdict;
        }
        return 0;
      });
      expect(sorted).toEqual(expected);
    });
  }
  test("topN keeps the first rows of the same order, also of computed keys", () => {
    fc.assert(
      fc.property(
        rowsArbitrary,
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 0, max: 20 }),
        fc.boolean(),
        (rows, limit, offset, descending) => {
          const { database, a } = twoTables(rows, []);
          const keys: SortKey[] = [
            { expr: op("*", slot(1), slot(1)), descending, nullsFirst: false },
            key(1),
            key(0),
            key(2, text),
          ];
          const columns = scanOf(a).columns;
          const full: PlanNode = { kind: "sort", input: scanOf(a), keys, columns, estimate };
          const top: PlanNode = {
            kind: "topN",
            input: scanOf(a),
            keys,
            limit: constant(limit),
            offset: constant(offset),
            columns,
            estimate,
          };
          expect(run(database, top)).toEqual(run(database, full).slice(offset, offset + limit));
        },
      ),
      { numRuns: 60 },
    );
  });
  test("numbers of every size sort by digits as they compare", () => {
    const number = fc.oneof(
      fc.constant(null),
      fc.constantFrom(0, -0, 1, -1, 2 ** 31, -(2 ** 31), 2 ** 53 - 1, 1 - 2 ** 53, Infinity, -Infinity),
      fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      fc.maxSafeInteger(),
      fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }),
    );
    fc.assert(
      fc.property(
        fc.array(number, { minLength: 70, maxLength: 200 }),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (given, descending, nullsFirst, wide) => {
          const list = wide ? given : given.filter((value) => typeof value !== "bigint");
          const database = new TestDatabase();
          const a = database.createTable("a", [
            { name: "v", type: int8 },
            { name: "w", type: int8 },
          ]);
          database.fill(
            a,
            list.map((value, i) => [value, i % 7]),
          );
          const keys = [key(0, int8, descending, nullsFirst), key(1, int8)];
          const plan: PlanNode = {
            kind: "sort",
            input: scanOf(a),
            keys,
            columns: scanOf(a).columns,
            estimate,
          };
          const rows = run(database, plan);
          const expected = list
            .map((value, i): Value[] => [value, i % 7])
            .sort((x, y) => compare(x[0]!, y[0]!, keys[0]!) || compare(x[1]!, y[1]!, keys[1]!));
          expect(rows.map((row) => row.map(Number))).toEqual(expected.map((row) => row.map(Number)));
          expect(rows.map((row) => row[0] === null)).toEqual(expected.map((row) => row[0] === null));
        },
      ),
      { numRuns: 80 },
    );
  });
  test("topN of more rows than it keeps in memory sorts them all", () => {
    const rows = manyRows(10_000, 50, 7);
    const { database, a } = twoTables(rows, []);
    const columns = scanOf(a).columns;
    const plan: PlanNode = {
      kind: "topN",
      input: scanOf(a),
      keys: [key(1, int4, true)],
      limit: constant(9000),
      offset: constant(500),
      columns,
      estimate,
    };
    const got = run(database, plan, { memoryBytes: 1 << 20 }).map((row) => row[1]);
    expect(got).toEqual(Array.from({ length: 9000 }, (_, i) => 9499 - i));
  });
  test("topN over many rows", () => {
    const rows = manyRows(5000, 2000, 6);
    const { database, a } = twoTables(rows, []);
    const columns = scanOf(a).columns;
    const plan: PlanNode = {
      kind: "topN",
      input: scanOf(a),
      keys: [key(1, int4, true)],
      limit: constant(300),
      columns,
      estimate,
    };
    expect(run(database, plan, modes[2]).map((row) => row[1])).toEqual(
      Array.from({ length: 300 }, (_, i) => 4999 - i),
    );
  });
});

describe("aggregation", () => {
  const call = (
    fn: AggregateCall["fn"],
    args: Expr[],
    extra: Partial<AggregateCall> = {},
  ): AggregateCall => ({
    fn,
    args,
    star: args.length === 0,
    distinct: false,
    orderBy: [],
    directArgs: [],
    type: int8,
    ...extra,
  });
  const calls = [
    call(aggregates.countAll, []),
    call(aggregates.count, [slot(0)]),
    call(aggregates.sum, [slot(1)]),
    call(aggregates.max, [slot(1)]),
    call(aggregates.sum, [slot(1)], { distinct: true }),
    call(aggregates.countAll, [], { filter: op(">", slot(1), constant(0)) }),
    call(aggregates.arrayText, [slot(1)], { orderBy: [key(1, int4, true)] }),
    call(aggregates.arrayText, [slot(1)], { distinct: true }),
  ];
  function expected(rows: readonly Value[][], groupColumns: readonly number[]): Value[][] {
    const groups = new Map<string, Value[][]>();
    for (const row of rows) {
      const id = JSON.stringify(groupColumns.map((c) => row[c]!));
      groups.set(id, [...(groups.get(id) ?? []), row]);
    }
    if (groupColumns.length === 0 && rows.length === 0) groups.set("[]", []);
    return [...groups.values()].map((members) => {
      const numbers = members.map((row) => row[1] as number);
      const sum = (list: number[]): Value => (list.length === 0 ? null : list.reduce((a, b) => a + b, 0));
      const distinct = [...new Set(numbers)];
      return [
        ...groupColumns.map((c) => members[0]![c]!),
        members.length,
        members.filter((row) => row[0] !== null).length,
        sum(numbers),
        numbers.length === 0 ? null : Math.max(...numbers),
        sum(distinct),
        numbers.filter((value) => value > 0).length,
        numbers
          .slice()
          .sort((a, b) => b - a)
          .join(","),
        distinct
          .slice()
          .sort((a, b) => a - b)
          .join(","),
      ];
    });
  }
  function plan(input: PlanNode, strategy: "plain" | "hash" | "sorted", groups: readonly number[]): PlanNode {
    const types = [int4, int4, text];
    const keys = groups.map((c) => key(c, types[c]));
    const source: PlanNode =
      strategy === "sorted" ? { kind: "sort", input, keys, columns: input.columns, estimate } : input;
    return {
      kind: "aggregate",
      input: source,
      strategy,
      groups: groups.map((c) => slot(c, types[c])),
      aggregates: calls,
      columns: output(...groups.map((c) => types[c]!), ...calls.map(() => int8)),
      estimate,
    };
  }
  test("hash and sorted strategies agree with the definition", () => {
    fc.assert(
      fc.property(
        rowsArbitrary,
        fc.constantFrom("hash" as const, "sorted" as const),
        fc.constantFrom([0], [2], [0, 2], [2, 0, 1]),
        fc.constantFrom(...modes),
        (rows, strategy, groups, mode) => {
          const { database, a } = twoTables(rows, []);
          sameRows(run(database, plan(scanOf(a), strategy, groups), mode), expected(rows, groups));
        },
      ),
      { numRuns: 60 },
    );
  });
  test("without groups there is one row, over nothing too", () => {
    for (const rows of [[], manyRows(2500, 9, 8)]) {
      const { database, a } = twoTables(rows, []);
      for (const mode of modes.slice(2, 3)) {
        const got = run(database, plan(scanOf(a), "plain", []), mode);
        const want = expected(rows, []);
        if (rows.length === 0) {
          want[0]![6] = "";
          want[0]![7] = "";
        }
        expect(got).toEqual(want);
      }
    }
  });
  test("a hash aggregate beyond its budget spills groups and loses none", () => {
    const rows = manyRows(4000, 1500, 9);
    const { database, a } = twoTables(rows, []);
    const simple = { ...plan(scanOf(a), "hash", [0, 2]), aggregates: calls.slice(0, 4) } as PlanNode;
    const node = { ...simple, columns: output(int4, text, int8, int8, int8, int8) } as PlanNode;
    const before = database.spills.length;
    const got = run(database, node, { memoryBytes: 256 << 10, waitChance: 0.1 });
    expect(database.spills.length).toBeGreaterThan(before);
    sameRows(
      got,
      expected(rows, [0, 2]).map((row) => row.slice(0, 6)),
    );
  });
  test("sums beyond 2^53 stay exact", () => {
    const database = new TestDatabase();
    const a = database.createTable("a", [{ name: "v", type: int8 }]);
    database.fill(a, [[9007199254740991], [9007199254740991], [3]]);
    const node: PlanNode = {
      kind: "aggregate",
      input: scanOf(a),
      strategy: "plain",
      groups: [],
      aggregates: [call(aggregates.sum, [slot(0)])],
      columns: output(int8),
      estimate,
    };
    expect(run(database, node)).toEqual([[18014398509481985n]]);
  });
});

describe("set operations, limits, common table expressions", () => {
  test("INTERSECT and EXCEPT, with ALL and without", () => {
    fc.assert(
      fc.property(
        rowsArbitrary,
        rowsArbitrary,
        fc.constantFrom("intersect" as const, "except" as const),
        fc.boolean(),
        (left, right, operation, all) => {
          const { database, a, b } = twoTables(left, right);
          const project = [0, 2];
          const plan: PlanNode = {
            kind: "setOperation",
            operation,
            all,
            left: scanOf(a, { project }),
            right: scanOf(b, { project }),
            columns: output(int4, text),
            estimate,
          };
          const id = (row: readonly Value[]): string => JSON.stringify(row);
          const pick = (rows: readonly Value[][]): Value[][] => rows.map((row) => [row[0]!, row[2]!]);
          const counts = new Map<string, number>();
          for (const row of pick(right)) counts.set(id(row), (counts.get(id(row)) ?? 0) + 1);
          const seen = new Set<string>();
          const expected = pick(left).filter((row) => {
            const n = counts.get(id(row)) ?? 0;
            if (all) {
              if (n > 0) counts.set(id(row), n - 1);
              return operation === "intersect" ? n > 0 : n === 0;
            }
            if (seen.has(id(row))) return false;
            seen.add(id(row));
            return operation === "intersect" ? n > 0 : n === 0;
          });
          sameRows(run(database, plan, modes[2]), expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  const numbers = (count: number): PlanNode => ({
    kind: "values",
    rows: Array.from({ length: count }, (_, i) => [constant(Math.floor(i / 3))]),
    columns: output(int4),
    estimate,
  });
  test.each([
    [0, 5, false, [0, 0, 0, 1, 1]],
    [2, 3, false, [0, 1, 1]],
    [2, 3, true, [0, 1, 1, 1]],
    [0, 0, true, []],
    [99, 5, false, []],
    [1, 2000, true, Array.from({ length: 2999 }, (_, i) => Math.floor((i + 1) / 3)).slice(0, 2000)],
  ])("OFFSET %i LIMIT %i, with ties %s", (offset, limit, ties, expected) => {
    const database = new TestDatabase();
    const count = limit > 100 ? 3000 : 30;
    const plan: PlanNode = {
      kind: "limit",
      input: numbers(count),
      limit: constant(limit),
      offset: constant(offset),
      ...(ties ? { withTies: [key(0)] } : {}),
      columns: output(int4),
      estimate,
    };
    const rows = run(database, plan).map((row) => row[0]);
    if (ties && limit > 100) {
      const last = expected[expected.length - 1]!;
      expect(rows.slice(0, limit)).toEqual(expected);
      expect(rows.slice(limit).every((value) => value === last)).toBe(true);
      expect(rows.filter((value) => value === last).length).toBe(3);
    } else expect(rows).toEqual(expected);
  });
  test("LIMIT below zero is 2201W", () => {
    const plan: PlanNode = {
      kind: "limit",
      input: numbers(3),
      limit: constant(-1),
      columns: output(int4),
      estimate,
    };
    expect(() => run(new TestDatabase(), plan)).toThrow("LIMIT must not be negative");
  });

  function counting(all: boolean, bound: number, modulo: number | undefined): PlanNode {
    const next = op("+", slot(0), constant(1));
    const step: PlanNode = {
      kind: "project",
      input: {
        kind: "filter",
        input: { kind: "cteScan", cteId: 1, name: "n", columns: output(int4), estimate },
        predicate: op("<", slot(0), constant(bound)),
        columns: output(int4),
        estimate,
      },
      exprs: [modulo === undefined ? next : op("%", next, constant(modulo))],
      columns: output(int4),
      estimate,
    };
    return {
      kind: "with",
      ctes: [
        {
          id: 1,
          name: "n",
          plan: { kind: "values", rows: [[constant(1)]], columns: output(int4), estimate },
          recursive: { step, all },
        },
      ],
      body: { kind: "cteScan", cteId: 1, name: "n", columns: output(int4), estimate },
      columns: output(int4),
      estimate,
    };
  }
  test("a recursive expression counts, ends on a cycle, and stops under a limit", () => {
    const database = new TestDatabase();
    expect(run(database, counting(true, 1500, undefined)).length).toBe(1500);
    expect(run(database, counting(false, 1_000_000, 7)).map((row) => row[0])).toEqual([1, 2, 3, 4, 5, 6, 0]);
    const endless: PlanNode = {
      kind: "limit",
      input: counting(true, 2_000_000_000, undefined),
      limit: constant(25),
      columns: output(int4),
      estimate,
    };
    expect(run(database, endless).length).toBe(25);
  });
});

describe("index scans", () => {
  for (const options of [
    {},
    { descending: true },
    { nullsFirst: true },
    { descending: true, nullsFirst: true },
  ]) {
    test(`bounds on a key ${JSON.stringify(options)}`, () => {
      const rows: Value[][] = Array.from({ length: 40 }, (_, i) => [i % 5 === 0 ? null : i % 11, i, "t"]);
      const { database, a } = twoTables(rows, []);
      const indexId = database.createIndex(a, [0], options);
      const scan = (bounds: IndexBounds) =>
        run(
          database,
          {
            ...(scanOf(a) as ScanPlan),
            kind: "indexScan",
            index: { indexId, bounds, backward: false },
          },
          modes[2],
        );
      const want = (test: (value: number | null) => boolean): Value[][] =>
        rows.filter((row) => test(row[0] as number | null));
      const value = (n: number, inclusive: boolean) => ({ value: constant(n), inclusive });
      sameRows(
        scan({ equals: [constant(4)] }),
        want((v) => v === 4),
      );
      sameRows(scan({ equals: [constant(null)] }), []);
      sameRows(
        scan({ equals: [], lower: value(4, false) }),
        want((v) => v !== null && v > 4),
      );
      sameRows(
        scan({ equals: [], upper: value(4, true) }),
        want((v) => v !== null && v <= 4),
      );
      sameRows(
        scan({ equals: [], lower: value(2, true), upper: value(8, false) }),
        want((v) => v !== null && v >= 2 && v < 8),
      );
      sameRows(
        scan({ equals: [], nullTest: "isNull" }),
        want((v) => v === null),
      );
      sameRows(
        scan({ equals: [], nullTest: "isNotNull" }),
        want((v) => v !== null),
      );
      sameRows(scan({ equals: [] }), rows);
    });
  }
});
