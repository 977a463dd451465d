/**
 * Row estimates: how many rows a condition keeps, from ANALYZE's statistics where there are some and PostgreSQL's fixed
 * guesses where there are none.
 *
 * Invariants: a selectivity is within 0..1; without statistics the guess depends on the shape of the condition alone, so
 * that plans of unanalysed tables are stable.
 */
import type { ColumnStatistics, TypeRef } from "../model/schema.js";
import type { Value } from "../model/value.js";
import type { Expr } from "./expr.js";
import { compareForStatistics, textToValue } from "./resolve.js";
import { relationsOf } from "./walk.js";

export const defaultEqual = 0.005;
export const defaultInequality = 1 / 3;
export const defaultRange = 0.005;
export const defaultMatch = 0.005;
export const defaultNullFraction = 0.005;
const defaultDistinct = 200;

export interface ColumnFacts {
  readonly rows: number;
  /** The column alone is a unique key. */
  readonly unique: boolean;
  readonly notNull: boolean;
  readonly type: TypeRef;
  readonly statistics: ColumnStatistics | undefined;
}

export type FactsOf = (expr: Expr) => ColumnFacts | undefined;

export function clampSelectivity(value: number): number {
  return value < 0 ? 0 : Math.min(value, 1);
}

/** Number of different values of a column. */
export function distinctOf(facts: ColumnFacts): number {
  const rows = Math.max(1, facts.rows);
  if (facts.unique) return rows;
  const { statistics } = facts;
  if (statistics !== undefined && statistics.distinct !== 0) {
    const { distinct } = statistics;
    return Math.max(1, distinct > 0 ? Math.min(distinct, rows) : -distinct * rows);
  }
  if (facts.type.oid === 16) return 2;
  return Math.min(rows, defaultDistinct);
}

/** Strips what does not change which column a condition speaks of. */
export function underlying(expr: Expr): Expr {
  let out = expr;
  while (out.kind === "relabel" || (out.kind === "call" && out.cast !== undefined && out.args.length >= 1)) {
    out = out.kind === "relabel" ? out.arg : out.args[0]!;
  }
  return out;
}

/** Fraction of rows for which `expr` is true. */
export function selectivity(expr: Expr, factsOf: FactsOf): number {
  return clampSelectivity(raw(expr, factsOf));
}

function raw(expr: Expr, factsOf: FactsOf): number {
  switch (expr.kind) {
    case "const":
      return expr.value === true ? 1 : 0;
    case "and": {
      let out = 1;
      const ranges = new Map<string, { sum: number; count: number }>();
      for (const arg of expr.args) {
        const range = rangePart(arg, factsOf);
        if (range === undefined) {
          out *= selectivity(arg, factsOf);
          continue;
        }
        const known = ranges.get(range.key);
        if (known === undefined) ranges.set(range.key, { sum: range.selectivity, count: 1 });
        else {
          known.sum += range.selectivity;
          known.count++;
        }
      }
      for (const { sum, count } of ranges.values()) {
        if (count === 1) out *= sum;
        else if (count === 2) out *= pairRange(sum);
        else out *= defaultRange;
      }
      return out;
    }
    case "or": {
      let out = 0;
      for (const arg of expr.args) {
        const one = selectivity(arg, factsOf);
        out = out + one - out * one;
      }
      return out;
    }
    case "not":
      return 1 - selectivity(expr.arg, factsOf);
    case "isNull": {
      const facts = factsOf(underlying(expr.arg));
      const nulls =
        facts === undefined
          ? defaultNullFraction
          : facts.notNull
            ? 0
            : (facts.statistics?.nullFraction ?? defaultNullFraction);
      return expr.negated ? 1 - nulls : nulls;
    }
    case "isTruth":
      if (expr.test === "unknown") return expr.negated ? 1 - defaultNullFraction : defaultNullFraction;
      return expr.negated ? 0.5 : selectivity(expr.arg, factsOf);
    case "call":
      return callSelectivity(expr, factsOf);
    case "isDistinct": {
      const equal = equality(expr.left, expr.right, factsOf);
      return expr.negated ? equal : 1 - equal;
    }
    case "arrayCompare": {
      const count = arrayLength(expr.right);
      const call = (element: Expr): number =>
        expr.operator === "=" || expr.operator === "<>"
          ? expr.operator === "="
            ? equality(expr.left, element, factsOf)
            : 1 - equality(expr.left, element, factsOf)
          : defaultInequality;
      const elements = arrayElements(expr.right);
      let out = expr.all ? 1 : 0;
      if (elements === undefined) {
        const one = call({ kind: "elementRef", type: expr.left.type });
        if (expr.operator === "=" && !expr.all) return one * count;
        for (let i = 0; i < count; i++) out = expr.all ? out * one : out + one - out * one;
        return out;
      }
      // IN items are different values: their shares add up.
      for (const element of elements) {
        const one = call(element);
        if (expr.operator === "=" && !expr.all) out += one;
        else out = expr.all ? out * one : out + one - out * one;
      }
      return out;
    }
    case "rowCompare":
      if (expr.operator === "=") {
        let out = 1;
        expr.left.forEach((left, index) => {
          out *= equality(left, expr.right[index]!, factsOf);
        });
        return out;
      }
      return expr.operator === "<>" ? 1 - defaultEqual : defaultInequality;
    case "column":
      return 0.5;
    case "subquery":
    case "subplan":
      return 0.5;
    default:
      return 0.5;
  }
}

function pairRange(sum: number): number {
  // Two one-sided guesses of a third each say nothing of the overlap: PostgreSQL's fixed guess.
  if (Math.abs(sum - 2 * defaultInequality) < 1e-9) return defaultRange;
  const out = sum - 1;
  return out <= 0 ? 1e-10 : out;
}

/** A one-sided range condition on a column with a constant. */
function rangePart(expr: Expr, factsOf: FactsOf): { key: string; selectivity: number } | undefined {
  if (expr.kind !== "call" || expr.args.length !== 2) return undefined;
  const { operator } = expr;
  if (operator !== "<" && operator !== "<=" && operator !== ">" && operator !== ">=") return undefined;
  const left = underlying(expr.args[0]!);
  const right = underlying(expr.args[1]!);
  const column = left.kind === "column" ? left : right.kind === "column" ? right : undefined;
  if (column === undefined || (left.kind === "column" && right.kind === "column")) return undefined;
  return { key: `${column.relation}.${column.column}`, selectivity: callSelectivity(expr, factsOf) };
}

export function arrayElements(expr: Expr): readonly Expr[] | undefined {
  if (expr.kind === "array") return expr.elements;
  if (
    expr.kind === "const" &&
    expr.value !== null &&
    typeof expr.value === "object" &&
    "elements" in expr.value
  ) {
    const array = expr.value as { readonly elements: readonly Value[]; readonly elementType: number };
    return array.elements.map((value) => ({
      kind: "const",
      type: { oid: array.elementType, typmod: -1 },
      value,
    }));
  }
  return undefined;
}

export function arrayLength(expr: Expr): number {
  return arrayElements(expr)?.length ?? 10;
}

function callSelectivity(expr: Expr & { kind: "call" }, factsOf: FactsOf): number {
  if (expr.args.length !== 2) return 0.5;
  const [left, right] = expr.args as [Expr, Expr];
  switch (expr.operator) {
    case "=":
      return equality(left, right, factsOf);
    case "<>":
      return 1 - equality(left, right, factsOf);
    case "<":
    case "<=":
    case ">":
    case ">=":
      return inequality(expr.operator, left, right, factsOf);
    case "~~":
    case "~~*":
    case "~":
    case "~*":
      return defaultMatch;
    case "!~~":
    case "!~~*":
    case "!~":
    case "!~*":
      return 1 - defaultMatch;
    case "@>":
    case "<@":
    case "&&":
      return 0.01;
    default:
      return expr.operator === undefined ? 0.3333 : 0.5;
  }
}

function equality(left: Expr, right: Expr, factsOf: FactsOf): number {
  const a = factsOf(underlying(left));
  const b = factsOf(underlying(right));
  if (a !== undefined && b !== undefined && relationsDiffer(left, right)) return joinEquality(a, b);
  const facts = a ?? b;
  const other = a !== undefined ? right : left;
  if (facts === undefined) return defaultEqual;
  if (facts.unique) return 1 / Math.max(1, facts.rows);
  const { statistics } = facts;
  if (statistics === undefined) {
    return facts.type.oid === 16 ? 0.5 : Math.max(1 / distinctOf(facts), defaultEqual);
  }
  let common = 0;
  for (const [, fraction] of statistics.mostCommon) common += fraction;
  const distinct = distinctOf(facts);
  if (other.kind === "const") {
    if (other.value === null) return 0;
    for (const [text, fraction] of statistics.mostCommon) {
      const value = textToValue(text, facts.type);
      if (value !== undefined && compareForStatistics(value, other.value, facts.type, other.type) === 0) {
        return fraction;
      }
    }
    const left2 = Math.max(0, 1 - statistics.nullFraction - common);
    const rest = distinct - statistics.mostCommon.length;
    let out = rest > 1 ? left2 / rest : left2;
    const least = statistics.mostCommon[statistics.mostCommon.length - 1];
    if (least !== undefined && out > least[1]) out = least[1];
    return out;
  }
  return (1 - statistics.nullFraction) / Math.max(1, distinct);
}

function relationsDiffer(left: Expr, right: Expr): boolean {
  const a = relationsOf(left);
  const b = relationsOf(right);
  for (const relation of a) if (!b.has(relation)) return true;
  return false;
}

/** Equality between columns of two relations. */
export function joinEquality(a: ColumnFacts, b: ColumnFacts): number {
  const nulls = (1 - (a.statistics?.nullFraction ?? 0)) * (1 - (b.statistics?.nullFraction ?? 0));
  return nulls / Math.max(distinctOf(a), distinctOf(b), 1);
}

const mirrored = { "<": ">", "<=": ">=", ">": "<", ">=": "<=" } as const;

function inequality(operator: "<" | "<=" | ">" | ">=", left: Expr, right: Expr, factsOf: FactsOf): number {
  let facts = factsOf(underlying(left));
  let other = right;
  let direction: "<" | "<=" | ">" | ">=" = operator;
  if (facts === undefined) {
    facts = factsOf(underlying(right));
    other = left;
    direction = mirrored[operator];
  }
  if (facts === undefined || other.kind !== "const" || facts.statistics === undefined)
    return defaultInequality;
  if (other.value === null) return 0;
  const { statistics, type } = facts;
  if (statistics.histogram.length < 2 && statistics.mostCommon.length === 0) return defaultInequality;
  const below = direction === "<" || direction === "<=";
  let common = 0;
  let matched = 0;
  for (const [text, fraction] of statistics.mostCommon) {
    common += fraction;
    const value = textToValue(text, type);
    const order =
      value === undefined ? undefined : compareForStatistics(value, other.value, type, other.type);
    if (order === undefined) return defaultInequality;
    const hit =
      direction === "<"
        ? order < 0
        : direction === "<="
          ? order <= 0
          : direction === ">"
            ? order > 0
            : order >= 0;
    if (hit) matched += fraction;
  }
  let part = 0.5;
  if (statistics.histogram.length >= 2) {
    const fraction = histogramFraction(statistics.histogram, other.value, type, other.type);
    if (fraction === undefined) return defaultInequality;
    part = below ? fraction : 1 - fraction;
  }
  const rest = Math.max(0, 1 - statistics.nullFraction - common);
  return Math.max(0.0001, matched + part * rest);
}

/** Fraction of the histogram below the value, interpolated inside its bin. */
function histogramFraction(
  histogram: readonly string[],
  value: Value,
  type: TypeRef,
  valueType: TypeRef,
): number | undefined {
  let low = 0;
  let high = histogram.length - 1;
  const order = (index: number): number | undefined => {
    const bound = textToValue(histogram[index]!, type);
    return bound === undefined ? undefined : compareForStatistics(bound, value, type, valueType);
  };
  const first = order(0);
  const last = order(high);
  if (first === undefined || last === undefined) return undefined;
  if (first >= 0) return 0;
  if (last <= 0) return 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const at = order(middle);
    if (at === undefined) return undefined;
    if (at < 0) low = middle;
    else high = middle;
  }
  const a = textToValue(histogram[low]!, type);
  const b = textToValue(histogram[high]!, type);
  let inside = 0.5;
  if (typeof a === "number" && typeof b === "number" && typeof value === "number" && b > a) {
    inside = Math.min(1, Math.max(0, (value - a) / (b - a)));
  }
  return (low + inside) / (histogram.length - 1);
}
