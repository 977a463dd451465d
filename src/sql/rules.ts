/**
 * Rewrite rules over expressions: each a value with a sentence of why, tried bottom-up in the order of the list.
 *
 * Invariants: a rule never changes what an expression gives on any row, errors included: an error that folding meets is
 * left to happen when (and if) the expression runs.
 */
import { DbError, InvariantError } from "../base/errors.js";
import type { EvalContext } from "../model/functions.js";
import { PgArray, type Value } from "../model/value.js";
import type { Expr } from "./expr.js";
import { arrayTypeOf } from "./resolve.js";
import { boolType, exprKey, falseExpr, mapChildren, trueExpr } from "./walk.js";

export interface Rule {
  readonly name: string;
  readonly apply: (expr: Expr) => Expr | undefined;
}

/** Immutable functions ask nothing of the session; one that does is not folded. */
const noSession = new Proxy({} as EvalContext, {
  get(_, name) {
    throw new InvariantError(`a constant asked the session for ${String(name)}`);
  },
});

function isNullConstant(expr: Expr): boolean {
  return expr.kind === "const" && expr.value === null;
}

function constant(like: Expr, value: Value): Expr {
  return { kind: "const", type: like.type, value };
}

/** Computes calls whose arguments are known, so that they cost nothing per row and estimates can see the value. */
const foldCalls: Rule = {
  name: "foldCalls",
  apply(expr) {
    if (expr.kind !== "call" || expr.fn.volatility !== "immutable") return undefined;
    if (expr.fn.strict && expr.args.some(isNullConstant)) return constant(expr, null);
    if (expr.args.length === 0 || !expr.args.every((arg) => arg.kind === "const")) return undefined;
    const values = expr.args.map((arg) => (arg as Expr & { kind: "const" }).value);
    try {
      const value = expr.fn.call(noSession, ...(values as never[])) as Value;
      return value === undefined ? undefined : constant(expr, value);
    } catch (error) {
      // It fails when it runs, if it runs: CASE may guard it.
      if (error instanceof DbError || error instanceof InvariantError) return undefined;
      throw error;
    }
  },
};

/** Drops what decides nothing from AND and OR, and decides them where one part does. */
const foldLogic: Rule = {
  name: "foldLogic",
  apply(expr) {
    if (expr.kind !== "and" && expr.kind !== "or") return undefined;
    const decides = expr.kind === "or";
    const kept: Expr[] = [];
    let changed = false;
    for (const arg of expr.args) {
      if (arg.kind === "const" && arg.value === decides) return decides ? trueExpr : falseExpr;
      if (arg.kind === "const" && arg.value === !decides) {
        changed = true;
        continue;
      }
      if (arg.kind === expr.kind) {
        kept.push(...arg.args);
        changed = true;
      } else kept.push(arg);
    }
    if (!changed) return undefined;
    if (kept.length === 0) return decides ? falseExpr : trueExpr;
    return kept.length === 1 ? kept[0]! : { ...expr, args: kept };
  },
};

/** NOT moves inwards, to where a sublink or a null test can use it. */
const foldNot: Rule = {
  name: "foldNot",
  apply(expr) {
    if (expr.kind !== "not") return undefined;
    const { arg } = expr;
    switch (arg.kind) {
      case "const":
        return arg.value === null ? arg : arg.value === true ? falseExpr : trueExpr;
      case "not":
        return arg.arg;
      case "isNull":
      case "isTruth":
      case "isDistinct":
        return { ...arg, negated: !arg.negated };
      case "and":
      case "or":
        return {
          kind: arg.kind === "and" ? "or" : "and",
          type: boolType,
          args: arg.args.map(
            (part) =>
              foldNot.apply({ kind: "not", type: boolType, arg: part }) ?? {
                kind: "not",
                type: boolType,
                arg: part,
              },
          ),
        };
      default:
        return undefined;
    }
  },
};

/** CASE, COALESCE and null tests over constants. */
const foldConditionals: Rule = {
  name: "foldConditionals",
  apply(expr) {
    switch (expr.kind) {
      case "case": {
        if (expr.operand !== undefined) return undefined;
        const whens: { when: Expr; then: Expr }[] = [];
        for (const arm of expr.whens) {
          if (arm.when.kind === "const") {
            if (arm.when.value !== true) continue;
            return whens.length === 0 ? arm.then : { ...expr, whens, otherwise: arm.then };
          }
          whens.push(arm);
        }
        if (whens.length === expr.whens.length) return undefined;
        return whens.length === 0 ? expr.otherwise : { ...expr, whens };
      }
      case "coalesce": {
        const args: Expr[] = [];
        for (const arg of expr.args) {
          if (isNullConstant(arg)) continue;
          args.push(arg);
          if (arg.kind === "const") break;
        }
        if (args.length === 0) return constant(expr, null);
        if (args.length === 1) return args[0]!;
        return args.length === expr.args.length ? undefined : { ...expr, args };
      }
      case "isNull":
        if (expr.arg.kind !== "const") return undefined;
        return (expr.arg.value === null) !== expr.negated ? trueExpr : falseExpr;
      case "relabel":
        return expr.arg.kind === "const"
          ? { kind: "const", type: expr.type, value: expr.arg.value }
          : undefined;
      default:
        return undefined;
    }
  },
};

/** An array of constants is a constant, so that IN lists are compared by hash and known to the planner. */
const foldArrays: Rule = {
  name: "foldArrays",
  apply(expr) {
    if (expr.kind !== "array" || expr.elements.length === 0) return undefined;
    const first = expr.elements[0]!;
    if (arrayTypeOf(first.type.oid) !== expr.type.oid) return undefined;
    const values: Value[] = [];
    for (const element of expr.elements) {
      if (element.kind !== "const" || element.value instanceof PgArray) return undefined;
      values.push(element.value);
    }
    return constant(expr, PgArray.of(first.type.oid, values));
  },
};

/** `a = 1 OR a = 2` is an IN list: one index can serve it. */
const orToArray: Rule = {
  name: "orToArray",
  apply(expr) {
    if (expr.kind !== "or" || expr.args.length < 2) return undefined;
    let key: string | undefined;
    let model: (Expr & { kind: "call" }) | undefined;
    const values: Value[] = [];
    for (const arg of expr.args) {
      if (arg.kind !== "call" || arg.operator !== "=" || arg.args.length !== 2) return undefined;
      const [left, right] = arg.args as [Expr, Expr];
      if (left.kind !== "column" || right.kind !== "const" || right.value === null) return undefined;
      if (right.value instanceof PgArray) return undefined;
      const mine = exprKey(left);
      if (key === undefined) {
        key = mine;
        model = arg;
      } else if (mine !== key || arg.fn !== model!.fn) return undefined;
      values.push(right.value);
    }
    const element = model!.args[1]!.type.oid;
    const type = arrayTypeOf(element);
    if (type === undefined) return undefined;
    return {
      kind: "arrayCompare",
      type: boolType,
      left: model!.args[0]!,
      right: { kind: "const", type: { oid: type, typmod: -1 }, value: PgArray.of(element, values) },
      fn: model!.fn,
      operator: "=",
      all: false,
    };
  },
};

/** `flag = true` is `flag`. */
const booleanEquality: Rule = {
  name: "booleanEquality",
  apply(expr) {
    if (expr.kind !== "call" || expr.operator !== "=" || expr.args.length !== 2) return undefined;
    const [left, right] = expr.args as [Expr, Expr];
    if (left.type.oid !== 16 || right.type.oid !== 16) return undefined;
    if (right.kind === "const" && right.value !== null) {
      return right.value === true ? left : { kind: "not", type: boolType, arg: left };
    }
    if (left.kind === "const" && left.value !== null) {
      return left.value === true ? right : { kind: "not", type: boolType, arg: right };
    }
    return undefined;
  },
};

/** A comparison of several columns for equality is an AND of equalities: each can be pushed and indexed. */
const splitRowEquality: Rule = {
  name: "splitRowEquality",
  apply(expr) {
    if (expr.kind !== "rowCompare" || expr.operator !== "=") return undefined;
    return {
      kind: "and",
      type: boolType,
      args: expr.left.map((left, index) => ({
        kind: "call",
        type: boolType,
        fn: expr.equal[index]!,
        args: [left, expr.right[index]!],
        operator: "=",
      })),
    };
  },
};

/** Tried on every node, children first, in this order. */
export const expressionRules: readonly Rule[] = [
  foldCalls,
  foldLogic,
  foldNot,
  foldConditionals,
  foldArrays,
  booleanEquality,
  splitRowEquality,
  orToArray,
];

const byKind = new Map<Expr["kind"], readonly Rule[]>([
  ["call", [foldCalls, booleanEquality]],
  ["and", [foldLogic]],
  ["or", [foldLogic, orToArray]],
  ["not", [foldNot]],
  ["case", [foldConditionals]],
  ["coalesce", [foldConditionals]],
  ["isNull", [foldConditionals]],
  ["relabel", [foldConditionals]],
  ["array", [foldArrays]],
  ["rowCompare", [splitRowEquality]],
]);

/** The expression in its normal form. */
export function simplify(expr: Expr): Expr {
  if (expr.kind === "const" || expr.kind === "column" || expr.kind === "param") return expr;
  let out = mapChildren(expr, simplify);
  for (let again = true; again; ) {
    again = false;
    const rules = byKind.get(out.kind);
    if (rules === undefined) break;
    for (const rule of rules) {
      const next = rule.apply(out);
      if (next === undefined) continue;
      out = next;
      again = true;
      break;
    }
  }
  return out;
}
