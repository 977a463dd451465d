/** Compiled expressions against the definitions: three-valued logic, arrays, CASE, subplans with and without Waits. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DbError } from "../base/errors.js";
import { PgArray, RowValue, type Value } from "../model/value.js";
import type { Expr, SubplanExpr } from "../sql/expr.js";
import type { PlanNode } from "../sql/plan.js";
import { buildPlan, compileRowExpression } from "./index.js";
import {
  bool,
  constant,
  estimate,
  int4,
  op,
  operatorFn,
  output,
  param,
  rowsOf,
  scanOf,
  slot,
  TestDatabase,
  text,
} from "./testing.js";

const intArray = { oid: 1007, typmod: -1 };

/** One expression over given rows of a table (a int4, b int4), rows in order. */
function over(
  rows: readonly (readonly Value[])[],
  expr: Expr,
  waitChance = 0,
  prepare?: (d: TestDatabase) => void,
): Value[] {
  const database = new TestDatabase();
  const t = database.createTable("t", [
    { name: "a", type: int4 },
    { name: "b", type: int4 },
  ]);
  database.fill(t, rows);
  prepare?.(database);
  const plan: PlanNode = {
    kind: "project",
    input: scanOf(t),
    exprs: [expr],
    columns: output(expr.type),
    estimate,
  };
  const operator = buildPlan(plan, { catalog: database.catalog });
  const context = database.context();
  database.engine.waitChance = waitChance;
  return rowsOf(operator, context).map((row) => row[0]!);
}

const truth = fc.constantFrom<Value>(true, false, null);
const boolean = (value: Value): Expr => constant(value, bool);

describe("three-valued logic", () => {
  test("AND, OR and NOT over any number of arguments", () => {
    fc.assert(
      fc.property(
        fc.array(truth, { minLength: 2, maxLength: 5 }),
        fc.constantFrom("and" as const, "or" as const),
        (values, kind) => {
          const decisive = kind === "or";
          const expected = values.includes(decisive) ? decisive : values.includes(null) ? null : !decisive;
          const expr: Expr = { kind, type: bool, args: values.map(boolean) };
          expect(compileRowExpression(expr)([])).toBe(expected);
          const negated = compileRowExpression({ kind: "not", type: bool, arg: expr })([]);
          expect(negated).toBe(expected === null ? null : !expected);
        },
      ),
    );
  });
  test("IS TRUE, IS UNKNOWN and their negations are never NULL", () => {
    for (const value of [true, false, null]) {
      for (const test of ["true", "false", "unknown"] as const) {
        const is = (negated: boolean): Value =>
          compileRowExpression({ kind: "isTruth", type: bool, arg: boolean(value), test, negated })([]);
        expect(is(false)).toBe(value === (test === "unknown" ? null : test === "true"));
        expect(is(true)).toBe(!is(false));
      }
    }
  });
  test("a condition keeps the rows for which it is true, and stops at the first that is not", () => {
    const database = new TestDatabase();
    const t = database.createTable("t", [{ name: "a", type: int4 }]);
    database.fill(t, [[0], [null], [3], [5]]);
    const filter: Expr = {
      kind: "and",
      type: bool,
      args: [op("<>", slot(0), constant(0)), op("=", op("%", constant(15), slot(0)), constant(0))],
    };
    const rows = rowsOf(buildPlan(scanOf(t, { filter }), { catalog: database.catalog }), database.context());
    expect(rows).toEqual([[3], [5]]);
  });
});

describe("arrays and rows", () => {
  test("ANY and ALL over constant arrays, hashed or not, with NULLs on both sides", () => {
    fc.assert(
      fc.property(
        fc.option(fc.integer({ min: 0, max: 9 }), { nil: null }),
        fc.array(fc.option(fc.integer({ min: 0, max: 9 }), { nil: null }), { maxLength: 9 }),
        fc.constantFrom("=", "<>", "<"),
        fc.boolean(),
        (left, elements, operator, all) => {
          const expr: Expr = {
            kind: "arrayCompare",
            type: bool,
            left: slot(0),
            right: constant(PgArray.of(23, elements), intArray),
            fn: operatorFn(operator),
            operator,
            all,
          };
          const compare = (a: number, b: number): boolean =>
            operator === "=" ? a === b : operator === "<>" ? a !== b : a < b;
          const verdicts = elements.map((e) => (e === null || left === null ? null : compare(left, e)));
          const decisive = !all;
          const expected = verdicts.includes(decisive) ? decisive : verdicts.includes(null) ? null : all;
          const evaluate = compileRowExpression(expr);
          for (let repeat = 0; repeat < 2; repeat++) expect(evaluate([left])).toBe(expected);
        },
      ),
    );
  });
  test("subscripts, slices and out-of-range places", () => {
    const array = constant(new PgArray(23, [1, 2, 3, 4, 5, 6], [2, 3], [1, 1]), intArray);
    const at = (...indexes: { lower?: Expr; upper?: Expr; slice: boolean }[]): Value =>
      compileRowExpression({ kind: "subscript", type: int4, arg: array, indexes })([]);
    const plain = (n: number | null) => ({ upper: constant(n), slice: false });
    expect(at(plain(2), plain(3))).toBe(6);
    expect(at(plain(3), plain(1))).toBe(null);
    expect(at(plain(1))).toBe(null);
    expect(at(plain(null), plain(1))).toBe(null);
    const part = at(
      { lower: constant(1), upper: constant(2), slice: true },
      { lower: constant(2), upper: constant(9), slice: true },
    );
    expect(part).toEqual(new PgArray(23, [2, 3, 5, 6], [2, 2], [1, 1]));
    expect(at({ lower: constant(5), upper: constant(6), slice: true })).toEqual(new PgArray(23, [], [], []));
  });
  test("rows compare by their first difference; NULL makes it unknown only when it decides", () => {
    const compare = (operator: string, left: Value[], right: Value[]): Value =>
      compileRowExpression({
        kind: "rowCompare",
        type: bool,
        operator,
        left: left.map((value) => constant(value)),
        right: right.map((value) => constant(value)),
        equal: left.map(() => operatorFn("=")),
        less: left.map(() => operatorFn("<")),
      })([]);
    expect(compare("<", [1, null], [2, null])).toBe(true);
    expect(compare("<", [1, null], [1, 2])).toBe(null);
    expect(compare("<=", [1, 2], [1, 2])).toBe(true);
    expect(compare(">", [1, 2], [1, 2])).toBe(false);
    expect(compare("=", [1, null], [2, null])).toBe(false);
    expect(compare("<>", [1, null], [1, 2])).toBe(null);
  });
  test("CASE with an operand, nested in itself", () => {
    const caseTest: Expr = { kind: "caseTest", type: int4 };
    const inner = (operand: Expr): Expr => ({
      kind: "case",
      type: int4,
      operand,
      // biome-ignore lint/suspicious/noThenProperty: a WHEN's result
      whens: [{ when: op("=", caseTest, constant(1)), then: constant(10) }],
      otherwise: constant(20),
    });
    const outer: Expr = {
      kind: "case",
      type: int4,
      operand: slot(0),
      whens: [
        // biome-ignore lint/suspicious/noThenProperty: a WHEN's result
        { when: op("=", caseTest, inner(slot(1))), then: constant(100) },
        // biome-ignore lint/suspicious/noThenProperty: a WHEN's result
        { when: op("=", caseTest, constant(7)), then: constant(700) },
      ],
      otherwise: constant(0),
    };
    expect(
      over(
        [
          [10, 1],
          [10, 2],
          [20, 2],
          [7, 1],
          [null, 1],
        ],
        outer,
      ),
    ).toEqual([100, 0, 100, 700, 0]);
  });
  test("IS NULL of a row asks all its fields", () => {
    const row = (...values: Value[]): Expr => ({
      kind: "row",
      type: { oid: 2249, typmod: -1 },
      args: values.map((v) => constant(v)),
    });
    const is = (arg: Expr, negated: boolean): Value =>
      compileRowExpression({ kind: "isNull", type: bool, arg, negated })([]);
    expect([
      is(row(null, null), false),
      is(row(null, 1), false),
      is(row(null, 1), true),
      is(row(1, 1), true),
    ]).toEqual([true, false, false, true]);
    expect(compileRowExpression(row(1, null))([])).toEqual(new RowValue([23, 23], [1, null]));
  });
});

describe("subplans", () => {
  const values = (...rows: Value[][]): PlanNode => ({
    kind: "values",
    rows: rows.map((row) => row.map((value) => constant(value))),
    columns: output(...(rows[0] ?? [null]).map(() => int4)),
    estimate,
  });
  const subplan = (extra: Partial<SubplanExpr> & Pick<SubplanExpr, "form" | "plan">): SubplanExpr => ({
    kind: "subplan",
    type: int4,
    bindings: [],
    hashed: false,
    ...extra,
  });
  test("a scalar one gives its row, NULL, or 21000", () => {
    expect(over([[1, 1]], subplan({ form: "scalar", plan: values([5]) }))).toEqual([5]);
    const none: PlanNode = {
      kind: "filter",
      input: values([5]),
      predicate: boolean(false),
      columns: output(int4),
      estimate,
    };
    expect(over([[1, 1]], subplan({ form: "scalar", plan: none }))).toEqual([null]);
    try {
      over([[1, 1]], subplan({ form: "scalar", plan: values([5], [6]) }));
      expect.unreachable();
    } catch (thrown) {
      expect((thrown as DbError).sqlstate).toBe("21000");
      expect((thrown as DbError).message).toBe(
        "more than one row returned by a subquery used as an expression",
      );
    }
  });
  test("correlated ones see each outer row, also when everything waits", () => {
    for (const waitChance of [0, 0.3]) {
      const database = new TestDatabase();
      const outer = database.createTable("o", [{ name: "a", type: int4 }]);
      const inner = database.createTable("i", [
        { name: "k", type: int4 },
        { name: "v", type: int4 },
      ]);
      database.fill(
        outer,
        Array.from({ length: 300 }, (_, i) => [i % 20]),
      );
      database.fill(
        inner,
        Array.from({ length: 250 }, (_, i) => [i % 15, i]),
      );
      const matching = scanOf(inner, { filter: op("=", slot(0), param(3)) });
      const bindings = [{ id: 3, value: slot(0) }];
      const first: PlanNode = {
        kind: "limit",
        input: { kind: "project", input: matching, exprs: [slot(1)], columns: output(int4), estimate },
        limit: constant(1),
        columns: output(int4),
        estimate,
      };
      const exprs: Expr[] = [
        slot(0),
        subplan({ form: "exists", type: bool, plan: matching, bindings }),
        subplan({ form: "scalar", plan: first, bindings }),
        subplan({
          form: "array",
          type: intArray,
          plan: { ...first, limit: constant(2) } as PlanNode,
          bindings,
        }),
      ];
      const plan: PlanNode = {
        kind: "project",
        input: scanOf(outer),
        exprs,
        columns: output(int4, bool, int4, intArray),
        estimate,
      };
      const context = database.context();
      const operator = buildPlan(plan, { catalog: database.catalog });
      database.engine.waitChance = waitChance;
      const rows = rowsOf(operator, context);
      expect(rows.length).toBe(300);
      for (const [a, exists, scalar, array] of rows) {
        const k = a as number;
        expect(exists).toBe(k < 15);
        expect(scalar).toBe(k < 15 ? k : null);
        expect(array).toEqual(PgArray.of(23, k < 15 ? [k, k + 15] : []));
      }
    }
  });
  test("= ANY, hashed and not, NULLs included", () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.integer({ min: 0, max: 6 }), { nil: null }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.option(fc.integer({ min: 0, max: 6 }), { nil: null }), { maxLength: 8 }),
        fc.boolean(),
        fc.constantFrom("any" as const, "all" as const),
        (left, right, hashed, form) => {
          const database = new TestDatabase();
          const r = database.createTable("r", [{ name: "x", type: int4 }]);
          const l = database.createTable("l", [{ name: "x", type: int4 }]);
          database.fill(
            r,
            right.map((value) => [value]),
          );
          database.fill(
            l,
            left.map((value) => [value]),
          );
          const expr = subplan({
            form,
            type: bool,
            plan: scanOf(r),
            left: [slot(0)],
            operator: "=",
            compare: [operatorFn("=")],
            hashed: hashed && form === "any",
          });
          const plan: PlanNode = {
            kind: "project",
            input: scanOf(l),
            exprs: [expr],
            columns: output(bool),
            estimate,
          };
          const context = database.context();
          const operator = buildPlan(plan, { catalog: database.catalog });
          database.engine.waitChance = 0.3;
          const rows = rowsOf(operator, context).map((row) => row[0]);
          const decisive = form === "any";
          expect(rows).toEqual(
            left.map((value) => {
              const verdicts = right.map((e) => (e === null || value === null ? null : e === value));
              return verdicts.includes(decisive) ? decisive : verdicts.includes(null) ? null : !decisive;
            }),
          );
        },
      ),
      { numRuns: 60 },
    );
  });
  test("init plans run once and feed the body", () => {
    const body: PlanNode = {
      kind: "project",
      input: values([1], [2]),
      exprs: [op("+", slot(0), param(4))],
      columns: output(int4),
      estimate,
    };
    const plan: PlanNode = {
      kind: "initPlans",
      plans: [{ id: 4, plan: values([40]), form: "scalar" }],
      body,
      columns: output(int4),
      estimate,
    };
    const database = new TestDatabase();
    expect(rowsOf(buildPlan(plan, { catalog: database.catalog }), database.context())).toEqual([[41], [42]]);
  });
  test("casts go by the text forms", () => {
    const cast: Expr = { kind: "ioCast", type: int4, arg: constant(" 42 ", text), cast: "explicit" };
    expect(over([[1, 1]], cast)).toEqual([42]);
    expect(() => over([[1, 1]], { ...cast, arg: constant("x", text) })).toThrow(
      'invalid input syntax for type integer: "x"',
    );
  });
});
