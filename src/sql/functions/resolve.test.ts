/** Rules of choice that golden.txt cannot show: named arguments, defaults, VARIADIC, roles, casts, common types. */
import { describe, expect, it } from "vitest";
import { DbError } from "../../base/errors.js";
import type { EvalContext } from "../../model/functions.js";
import { defaultSettings, encodeTypmod, oids } from "../../model/types.js";
import { PgArray, type Value } from "../../model/value.js";
import {
  allCasts,
  allFunctions,
  allOperators,
  canCast,
  findCast,
  functionEntry,
  isImplemented,
  lengthCoercionOf,
  operatorByOid,
  operatorOf,
  resolveFunction,
  resolveOperator,
  selectCommonType,
  sqlValueFunctions,
} from "./index.js";

const context = {
  ...defaultSettings,
  statementTimestamp: 0,
  searchPath: () => ["public"],
} as unknown as EvalContext;
type AnyCall = (context: EvalContext, ...args: Value[]) => Value;

function failure(run: () => unknown): { sqlstate: string; message: string; hint: string | undefined } {
  try {
    run();
  } catch (error) {
    if (error instanceof DbError) {
      return { sqlstate: error.sqlstate, message: error.message, hint: error.fields.hint };
    }
    throw error;
  }
  throw new Error("no error");
}

describe("functions", () => {
  it("fill in defaults and take arguments by name", () => {
    const resolved = resolveFunction("make_interval", [oids.int4, oids.int4], {
      argNames: ["days", "hours"],
    });
    expect(resolved.kind).toBe("function");
    expect(resolved.order).toEqual([-1, -1, -1, 0, 1, -1, -1]);
    expect(resolved.defaults).toEqual([0, 0, 0, undefined, undefined, 0, 0]);
    const wrong = failure(() => resolveFunction("make_interval", [oids.int4], { argNames: ["moons"] }));
    expect(wrong.message).toBe("function make_interval(moons => integer) does not exist");
    expect(wrong.sqlstate).toBe("42883");
  });
  it("spread a VARIADIC array", () => {
    const textArray = 1009;
    const resolved = resolveFunction("concat_ws", [oids.text, textArray], { variadic: true });
    if (resolved.kind !== "function") throw new Error(resolved.kind);
    const call = resolved.fn.call as AnyCall;
    expect(call(context, "-", PgArray.of(oids.text, ["b", null, "c"]))).toBe("b-c");
    expect(
      failure(() => resolveFunction("concat", [oids.text, textArray], { variadic: true })).sqlstate,
    ).toBe("42883");
    expect(resolveFunction("json_extract_path", [oids.json, oids.unknown, oids.unknown]).argTypes).toEqual([
      oids.json,
      oids.text,
      oids.text,
    ]);
  });
  it("are made once for the same types", () => {
    const first = resolveFunction("to_json", [oids.int4]);
    const again = resolveFunction("to_json", [oids.int4]);
    const other = resolveFunction("to_json", [oids.text]);
    if (first.kind !== "function" || again.kind !== "function" || other.kind !== "function")
      throw new Error();
    expect(again.fn).toBe(first.fn);
    expect(other.fn).not.toBe(first.fn);
  });
  it("are refused by name when not built, called unknown when unknown", () => {
    expect(failure(() => resolveFunction("pg_get_functiondef", [oids.oid])).sqlstate).toBe("0A000");
    expect(failure(() => resolveFunction("to_tsvector", [oids.unknown])).sqlstate).toBe("0A000");
    const unknown = failure(() => resolveFunction("no_such", []));
    expect(unknown).toEqual({
      sqlstate: "42883",
      message: "function no_such() does not exist",
      hint: "No function matches the given name and argument types. You might need to add explicit type casts.",
    });
    expect(failure(() => resolveFunction("sum", [oids.unknown]))).toMatchObject({
      sqlstate: "42725",
      message: "function sum(unknown) is not unique",
    });
  });
  it("give window functions by name", () => {
    expect(resolveFunction("row_number", [])).toMatchObject({
      kind: "window",
      name: "row_number",
      returns: oids.int8,
    });
    expect(resolveFunction("lag", [oids.text, oids.int4])).toMatchObject({
      kind: "window",
      returns: oids.text,
    });
  });
});

describe("operators", () => {
  it("have roles, commutators and negators", () => {
    const less = resolveOperator("<", oids.int4, oids.int8);
    expect(less.operator.role).toBe("less");
    expect(operatorOf(less.fn)).toBe(less.operator);
    const commutator = operatorByOid(less.operator.commutator)!;
    expect([commutator.symbol, commutator.left, commutator.right]).toEqual([">", oids.int8, oids.int4]);
    expect(operatorByOid(less.operator.negator)!.symbol).toBe(">=");
    expect(resolveOperator("~", oids.text, oids.text).operator.role).toBeUndefined();
  });
  it("take an untyped side for the other's type", () => {
    expect(resolveOperator("=", oids.int8, oids.unknown).argTypes).toEqual([oids.int8, oids.int8]);
    expect(resolveOperator("=", oids.varchar, oids.unknown).argTypes).toEqual([oids.text, oids.text]);
    expect(resolveOperator("=", 1007, oids.unknown).argTypes).toEqual([1007, 1007]);
    expect(resolveOperator("!=", oids.int4, oids.int4).operator.symbol).toBe("<>");
  });
  it("are missing or ambiguous in PostgreSQL's words", () => {
    expect(failure(() => resolveOperator("=", oids.int4, oids.text))).toEqual({
      sqlstate: "42883",
      message: "operator does not exist: integer = text",
      hint: "No operator matches the given name and argument types. You might need to add explicit type casts.",
    });
    expect(failure(() => resolveOperator("-", undefined, oids.text))).toEqual({
      sqlstate: "42883",
      message: "operator does not exist: - text",
      hint: "No operator matches the given name and argument type. You might need to add an explicit type cast.",
    });
    expect(failure(() => resolveOperator("+", oids.unknown, oids.unknown)).sqlstate).toBe("42725");
  });
});

describe("casts", () => {
  it("follow pg_cast and its contexts", () => {
    expect(findCast(oids.varchar, oids.text, "implicit")).toEqual({ kind: "relabel" });
    expect(findCast(oids.int4, oids.int8, "implicit")?.kind).toBe("function");
    expect(findCast(oids.int8, oids.int4, "implicit")).toBeUndefined();
    expect(findCast(oids.int8, oids.int4, "assignment")?.kind).toBe("function");
    expect(findCast(oids.int4, oids.text, "implicit")).toBeUndefined();
    expect(findCast(oids.int4, oids.text, "assignment")).toEqual({ kind: "io" });
    expect(findCast(oids.text, oids.int4, "assignment")).toBeUndefined();
    expect(findCast(oids.text, oids.int4, "explicit")).toEqual({ kind: "io" });
    expect(findCast(1007, 1016, "implicit")).toMatchObject({ kind: "array", element: { kind: "function" } });
    expect(findCast(oids.int4, oids.bool, "assignment")).toBeUndefined();
  });
  it("find a working function wherever they promise one", () => {
    for (const cast of allCasts()) {
      if (cast.method !== "function" || cast.source === cast.target) continue;
      expect(canCast(cast.source, cast.target, "explicit")).toBe(true);
      expect(
        findCast(cast.source, cast.target, "explicit"),
        `${cast.source} to ${cast.target}`,
      ).toBeDefined();
    }
  });
  it("obey modifiers", () => {
    const type = { oid: oids.varchar, typmod: encodeTypmod(oids.varchar, [2]) };
    const explicit = lengthCoercionOf(type, true).call as AnyCall;
    const assigned = lengthCoercionOf(type, false).call as AnyCall;
    expect(explicit(context, "abc")).toBe("ab");
    expect(failure(() => assigned(context, "abc")).sqlstate).toBe("22001");
    expect(assigned(context, "ab  ")).toBe("ab");
  });
});

describe("common types", () => {
  it("prefer what the others can become", () => {
    expect(selectCommonType([oids.int4, oids.numeric, oids.unknown], "CASE")).toBe(oids.numeric);
    expect(selectCommonType([oids.unknown, oids.unknown], "UNION")).toBe(oids.text);
    expect(selectCommonType([oids.varchar, oids.text], "UNION")).toBe(oids.varchar);
    expect(selectCommonType([oids.text, oids.varchar], "UNION")).toBe(oids.text);
    expect(selectCommonType([oids.date, oids.timestamptz], "UNION")).toBe(oids.timestamptz);
    expect(failure(() => selectCommonType([oids.int4, oids.text], "CASE"))).toMatchObject({
      sqlstate: "42804",
      message: "CASE types integer and text cannot be matched",
    });
  });
});

describe("the table", () => {
  it("lists functions and operators, and implements every comparison", () => {
    const comparisons = new Set(["=", "<>", "<", "<=", ">", ">="]);
    for (const operator of allOperators()) {
      const entry = functionEntry(operator.function)!;
      if (comparisons.has(operator.symbol)) expect(isImplemented(entry), entry.name).toBe(true);
    }
    let implemented = 0;
    for (const entry of allFunctions()) if (isImplemented(entry)) implemented++;
    expect(implemented).toBeGreaterThan(1400);
  });
  it("has values without parentheses", () => {
    expect(sqlValueFunctions.current_date.call(context)).toBe(0);
    expect(sqlValueFunctions.current_schema.call(context)).toBe("public");
  });
});
