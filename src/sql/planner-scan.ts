/**
 * Access paths of one relation: sequential and index scans of tables, and the single way to read anything else.
 *
 * An index serves equalities on its leading key columns, then an IN list, a range or a null test on the next one; what it
 * does not prove stays a filter. The same matching makes the inner side of a nested loop, where the compared value comes
 * from the outer row.
 *
 * Invariants: a condition is consumed by an index only if the index yields exactly the rows for which it is true; a
 * partial index is used only when the conditions imply its predicate.
 */
import { assert } from "../base/errors.js";
import type { ColumnStatistics, IndexDesc, StatisticsDesc, TypeRef } from "../model/schema.js";
import { clampRows, cpuOperatorCost, cpuTupleCost, indexScanCost, seqScanCost } from "./cost.js";
import type { Expr } from "./expr.js";
import type { IndexBounds, OutputColumn, PlanNode, ScanNode } from "./plan.js";
import {
  type Built,
  emptyLayout,
  Layout,
  type OrderKey,
  type Path,
  type PlanScope,
  resolve,
} from "./planner-context.js";
import { type RangeEntry, rowIdColumn } from "./query.js";
import { type ColumnFacts, type FactsOf, selectivity } from "./statistics.js";
import { typeWidth } from "./type-facts.js";
import { conjuncts, containsHere, exprKey, isLeakproof, isVolatile, relationsOf, visitDeep } from "./walk.js";

/** One range entry, as the planner knows it. */
export interface Rel {
  readonly entry: RangeEntry;
  readonly id: number;
  /** Conditions on this relation alone, evaluated in this order. */
  readonly filters: Expr[];
  /** So many of them, at the start, are row rules: no other is evaluated on a row before them unless it is leakproof. */
  readonly rules: number;
  /** Columns that something above the scan reads. */
  readonly needed: Set<number>;
  tableRows: number;
  pages: number;
  /** After the filters. */
  rows: number;
  readonly statistics: StatisticsDesc | undefined;
  readonly indexes: readonly IndexDesc[];
  /** Scope of a relation that runs once per outer row. */
  readonly scope: PlanScope;
  /** Paths of relations that are not tables. */
  paths?: readonly Path[] | undefined;
  /** Columns (alone) known to be unique. */
  readonly uniqueColumns: ReadonlySet<number>;
  /** Row locks or a write need the newest version. */
  forUpdate: boolean;
}

export function columnFacts(rel: Rel, column: number): ColumnFacts {
  const described = rel.entry.columns[column];
  const desc = rel.entry.kind === "table" ? rel.entry.table.columns[column] : undefined;
  const statistics: ColumnStatistics | undefined = rel.statistics?.columns[column] ?? undefined;
  return {
    rows: rel.tableRows,
    unique: rel.uniqueColumns.has(column),
    notNull: desc?.notNull ?? false,
    type: described?.type ?? { oid: 25, typmod: -1 },
    statistics,
  };
}

/** Rough cost of evaluating a condition on one row. */
export function expressionCost(expr: Expr): number {
  let out = 0;
  containsHere(expr, (node) => {
    switch (node.kind) {
      case "call":
      case "isDistinct":
        out += cpuOperatorCost;
        break;
      case "arrayCompare":
        out += cpuOperatorCost * 3;
        break;
      case "subquery":
      case "subplan":
        out += 1;
        break;
      default:
        break;
    }
    return false;
  });
  return out;
}

export function filterCost(filters: readonly Expr[]): number {
  let out = 0;
  for (const filter of filters) out += expressionCost(filter);
  return out;
}

export function relWidth(rel: Rel, columns: Iterable<number>): number {
  let out = 0;
  for (const column of columns) {
    if (column === rowIdColumn) {
      out += 8;
      continue;
    }
    out += rel.statistics?.columns[column]?.averageWidth ?? typeWidth(rel.entry.columns[column]!.type);
  }
  return out;
}

// ------------------------------------------------------------------------------------------------ index matching

interface Clause {
  readonly source: Expr;
  readonly key: string;
  readonly operator: "=" | "<" | "<=" | ">" | ">=" | "in" | "isNull" | "isNotNull";
  readonly value: Expr | undefined;
}

const flipped = { "=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<=" } as const;

function stripRelabel(expr: Expr): Expr {
  let out = expr;
  while (out.kind === "relabel") out = out.arg;
  return out;
}

const integerTypes = new Set([20, 21, 23]);
const stringTypes = new Set([25, 1043]);

/** Whether a value of one type may stand in the bounds of a key of another. */
function comparable(value: number, key: number): boolean {
  if (value === key) return true;
  if (integerTypes.has(value) && integerTypes.has(key)) return true;
  return stringTypes.has(value) && stringTypes.has(key);
}

/** What a condition says of one key of the relation; undefined when an index cannot use it. */
function clauseOf(expr: Expr, relation: number): Clause | undefined {
  switch (expr.kind) {
    case "call": {
      const { operator, args } = expr;
      if (args.length !== 2 || expr.type.oid !== 16) return undefined;
      if (
        operator !== "=" &&
        operator !== "<" &&
        operator !== "<=" &&
        operator !== ">" &&
        operator !== ">="
      ) {
        return undefined;
      }
      const [left, right] = args as [Expr, Expr];
      const leftHas = relationsOf(left).has(relation);
      const rightHas = relationsOf(right).has(relation);
      if (leftHas === rightHas) return undefined;
      const side = stripRelabel(leftHas ? left : right);
      const value = leftHas ? right : left;
      if (!comparable(value.type.oid, side.type.oid) || isVolatile(value)) return undefined;
      return {
        source: expr,
        key: exprKey(side),
        operator: leftHas ? operator : flipped[operator],
        value,
      };
    }
    case "arrayCompare": {
      if (expr.operator !== "=" || expr.all) return undefined;
      const side = stripRelabel(expr.left);
      if (!relationsOf(side).has(relation) || relationsOf(expr.right).has(relation)) return undefined;
      if (isVolatile(expr.right) || !comparable(expr.fn.args[1] ?? 0, side.type.oid)) return undefined;
      return { source: expr, key: exprKey(side), operator: "in", value: expr.right };
    }
    case "isNull": {
      const side = stripRelabel(expr.arg);
      if (!relationsOf(side).has(relation)) return undefined;
      return {
        source: expr,
        key: exprKey(side),
        operator: expr.negated ? "isNotNull" : "isNull",
        value: undefined,
      };
    }
    case "column":
      if (expr.relation !== relation || expr.type.oid !== 16) return undefined;
      return {
        source: expr,
        key: exprKey(expr),
        operator: "=",
        value: { kind: "const", type: expr.type, value: true },
      };
    case "not":
      if (expr.arg.kind !== "column" || expr.arg.relation !== relation) return undefined;
      return {
        source: expr,
        key: exprKey(expr.arg),
        operator: "=",
        value: { kind: "const", type: expr.type, value: false },
      };
    default:
      return undefined;
  }
}

export function clausesOf(conditions: readonly Expr[], relation: number): Clause[] {
  const out: Clause[] = [];
  for (const condition of conditions) {
    const clause = clauseOf(condition, relation);
    if (clause !== undefined) out.push(clause);
  }
  return out;
}

/** What an index of the relation may be asked: it compares values of rows that no row rule has been asked about. */
function probesOf(rel: Rel, conditions: readonly Expr[]): Clause[] {
  if (rel.rules === 0) return clausesOf(conditions, rel.id);
  const rules = rel.filters.slice(0, rel.rules);
  return clausesOf(
    conditions.filter((condition) => rules.includes(condition) || isLeakproof(condition)),
    rel.id,
  );
}

interface BoundBounds {
  readonly equals: Expr[];
  anyOf?: Expr;
  lower?: { value: Expr; inclusive: boolean };
  upper?: { value: Expr; inclusive: boolean };
  nullTest?: "isNull" | "isNotNull";
}

export interface IndexMatch {
  readonly index: IndexDesc;
  readonly keys: readonly Expr[];
  readonly bounds: BoundBounds;
  /** Conditions the bounds (or the index's predicate) prove. */
  readonly consumed: ReadonlySet<Expr>;
  /** Key columns fixed to one value. */
  readonly fixed: number;
}

function indexKeys(rel: Rel, index: IndexDesc): readonly Expr[] {
  const { statement } = rel.scope;
  const name = `${rel.id}:${index.id}`;
  let keys = statement.indexKeys.get(name);
  if (keys === undefined) {
    keys = statement.bindIndexKeys(index, rel.entry);
    statement.indexKeys.set(name, keys);
  }
  return keys;
}

function indexPredicate(rel: Rel, index: IndexDesc): Expr | undefined {
  if (index.predicateSql === undefined) return undefined;
  const { statement } = rel.scope;
  const name = `${rel.id}:${index.id}`;
  if (!statement.predicates.has(name)) {
    statement.predicates.set(name, statement.bindIndexPredicate(index, rel.entry));
  }
  return statement.predicates.get(name);
}

/** Whether the conditions imply a partial index's predicate; answers those that repeat it word by word. */
function predicateImplied(predicate: Expr, conditions: readonly Expr[]): ReadonlySet<Expr> | undefined {
  const byKey = new Map(conditions.map((condition) => [exprKey(condition), condition]));
  const repeated = new Set<Expr>();
  for (const part of conjuncts(predicate)) {
    const same = byKey.get(exprKey(part));
    if (same !== undefined) {
      repeated.add(same);
      continue;
    }
    if (!conditions.some((condition) => implies(condition, part))) return undefined;
  }
  return repeated;
}

/** A condition that can only be true when `wanted` is: constants of one column, or a strict use under IS NOT NULL. */
function implies(condition: Expr, wanted: Expr): boolean {
  if (wanted.kind === "isNull" && wanted.negated) {
    const key = exprKey(wanted.arg);
    if (condition.kind === "call" && condition.fn.strict && condition.operator !== undefined) {
      return condition.args.some((arg) => exprKey(stripRelabel(arg)) === key);
    }
    return condition.kind === "arrayCompare" && !condition.all && exprKey(condition.left) === key;
  }
  if (wanted.kind === "or")
    return wanted.args.some((arg) => exprKey(arg) === exprKey(condition) || implies(condition, arg));
  const a = constantComparison(condition);
  const b = constantComparison(wanted);
  if (a === undefined || b === undefined || a.key !== b.key) return false;
  if (typeof a.value !== typeof b.value || (typeof a.value !== "number" && typeof a.value !== "string"))
    return false;
  const x = a.value as number;
  const y = b.value as number;
  switch (b.operator) {
    case "<":
      return (a.operator === "<" && x <= y) || ((a.operator === "<=" || a.operator === "=") && x < y);
    case "<=":
      return (a.operator === "<" || a.operator === "<=" || a.operator === "=") && x <= y;
    case ">":
      return (a.operator === ">" && x >= y) || ((a.operator === ">=" || a.operator === "=") && x > y);
    case ">=":
      return (a.operator === ">" || a.operator === ">=" || a.operator === "=") && x >= y;
    case "<>":
      return (
        (a.operator === "=" && x !== y) ||
        (a.operator === "<" && x <= y) ||
        (a.operator === ">" && x >= y) ||
        (a.operator === "<=" && x < y) ||
        (a.operator === ">=" && x > y)
      );
    default:
      return false;
  }
}

function constantComparison(expr: Expr): { key: string; operator: string; value: unknown } | undefined {
  if (expr.kind !== "call" || expr.args.length !== 2 || expr.operator === undefined) return undefined;
  const [left, right] = expr.args as [Expr, Expr];
  // Text compares by its bytes, which is not the order of JavaScript strings beyond the BMP: numbers alone here.
  if (right.kind !== "const" || typeof right.value !== "number") return undefined;
  return {
    key: `${exprKey(stripRelabel(left))}:${right.type.oid}`,
    operator: expr.operator,
    value: right.value,
  };
}

/** Matches conditions to an index; undefined when it can neither restrict nor (with `wholeIndex`) be walked. */
export function matchIndex(
  rel: Rel,
  index: IndexDesc,
  conditions: readonly Expr[],
  clauses: readonly Clause[],
  wholeIndex: boolean,
): IndexMatch | undefined {
  if (index.state !== "ready") return undefined;
  const consumed = new Set<Expr>();
  const predicate = indexPredicate(rel, index);
  if (index.predicateSql !== undefined) {
    if (predicate === undefined) return undefined;
    const repeated = predicateImplied(predicate, conditions);
    if (repeated === undefined) return undefined;
    for (const condition of repeated) consumed.add(condition);
  }
  const keys = indexKeys(rel, index);
  const bounds: BoundBounds = { equals: [] };
  let fixed = 0;
  let restricted = index.predicateSql !== undefined;
  for (let i = 0; i < keys.length; i++) {
    const key = exprKey(keys[i]!);
    const mine = clauses.filter((clause) => clause.key === key);
    if (mine.length === 0) break;
    const equal = mine.find((clause) => clause.operator === "=");
    if (equal !== undefined) {
      bounds.equals.push(equal.value!);
      consumed.add(equal.source);
      fixed++;
      restricted = true;
      continue;
    }
    const list = mine.find((clause) => clause.operator === "in");
    if (list !== undefined) {
      bounds.anyOf = list.value!;
      consumed.add(list.source);
      restricted = true;
      break;
    }
    const isNull = mine.find((clause) => clause.operator === "isNull");
    if (isNull !== undefined) {
      bounds.nullTest = "isNull";
      consumed.add(isNull.source);
      restricted = true;
      break;
    }
    for (const clause of mine) {
      if ((clause.operator === ">" || clause.operator === ">=") && bounds.lower === undefined) {
        bounds.lower = { value: clause.value!, inclusive: clause.operator === ">=" };
        consumed.add(clause.source);
        restricted = true;
      } else if ((clause.operator === "<" || clause.operator === "<=") && bounds.upper === undefined) {
        bounds.upper = { value: clause.value!, inclusive: clause.operator === "<=" };
        consumed.add(clause.source);
        restricted = true;
      }
    }
    const notNull = mine.find((clause) => clause.operator === "isNotNull");
    if (notNull !== undefined) {
      // A range excludes NULL by itself.
      if (bounds.lower === undefined && bounds.upper === undefined) bounds.nullTest = "isNotNull";
      consumed.add(notNull.source);
      restricted = true;
    }
    break;
  }
  if (!restricted && !wholeIndex) return undefined;
  return { index, keys, bounds, consumed, fixed };
}

// -------------------------------------------------------------------------------------------------------- paths

export interface ScanOptions {
  /** Canonical key of an expression, for orders; "" when it has one value only. */
  readonly canonical: (expr: Expr) => string;
  readonly factsOf: FactsOf;
  /** First key that an order is worth having for. */
  readonly usefulFirst: ReadonlySet<string>;
}

export function tablePaths(rel: Rel, options: ScanOptions): Path[] {
  assert(rel.entry.kind === "table", "table paths of something else");
  const out: Path[] = [];
  const { filters } = rel;
  const seq = seqScanCost(rel.pages, rel.tableRows, filterCost(filters));
  const width = relWidth(rel, rel.needed);
  out.push({
    startup: seq.startup,
    total: seq.total,
    rows: rel.rows,
    width,
    order: [],
    build: () => buildScan(rel, rel.scope, filters, undefined, false, seq.startup, seq.total, rel.rows),
  });
  if (rel.indexes.length === 0) return out;
  const clauses = probesOf(rel, filters);
  for (const index of rel.indexes) {
    const probe = matchIndex(rel, index, filters, clauses, true);
    if (probe === undefined) continue;
    const order = indexOrder(probe, options);
    const useful = order.length > 0 && options.usefulFirst.has(order[0]!.key);
    const restricted =
      probe.consumed.size > 0 || probe.bounds.equals.length > 0 || index.predicateSql !== undefined;
    if (!restricted && !useful) continue;
    const cost = matchCost(rel, probe, filters, options.factsOf, 1);
    for (const backward of [false, true]) {
      const directed = backward
        ? order.map((key) => ({ ...key, descending: !key.descending, nullsFirst: !key.nullsFirst }))
        : order;
      if (backward && !useful) break;
      out.push({
        startup: cost.startup,
        total: cost.total,
        rows: rel.rows,
        width,
        order: useful ? directed : [],
        build: () => buildScan(rel, rel.scope, filters, probe, backward, cost.startup, cost.total, rel.rows),
      });
    }
  }
  return out;
}

/** Order in which an index yields rows: its key columns after those with one value. IN lists yield none. */
function indexOrder(match: IndexMatch, options: ScanOptions): OrderKey[] {
  if (match.bounds.anyOf !== undefined) return [];
  const out: OrderKey[] = [];
  for (let i = match.fixed; i < match.keys.length; i++) {
    const described = match.index.columns[i]!;
    const key = options.canonical(match.keys[i]!);
    if (key === "") continue;
    out.push({ key, descending: described.descending, nullsFirst: described.nullsFirst });
  }
  return out;
}

function matchCost(
  rel: Rel,
  match: IndexMatch,
  conditions: readonly Expr[],
  factsOf: FactsOf,
  loops: number,
): { startup: number; total: number } {
  let fraction = 1;
  const consumed = [...match.consumed];
  if (consumed.length > 0) {
    fraction = selectivity(
      consumed.length === 1 ? consumed[0]! : { kind: "and", type: { oid: 16, typmod: -1 }, args: consumed },
      factsOf,
    );
  }
  // A unique index with all its columns fixed yields one row at most.
  const single =
    match.index.unique && match.index.deferrable !== true && match.fixed === match.index.columns.length;
  if (single) {
    fraction = Math.min(fraction, 1 / Math.max(1, rel.tableRows));
  }
  const rest = conditions.filter((condition) => !match.consumed.has(condition));
  const first = match.index.columns[0]?.column;
  const correlation =
    first === undefined
      ? 0
      : (rel.statistics?.columns[first]?.correlation ?? (match.index.primary ? 0.8 : 0));
  const probes = match.bounds.anyOf === undefined ? 1 : Math.max(1, arrayProbes(match.bounds.anyOf));
  return indexScanCost({
    tableRows: rel.tableRows,
    tablePages: rel.pages,
    indexSelectivity: fraction,
    correlation: match.index.columns.length > 1 ? correlation * 0.75 : correlation,
    probes,
    loops,
    single,
    boundCost: consumed.length * cpuOperatorCost,
    filterCost: filterCost(rest),
  });
}

function arrayProbes(expr: Expr): number {
  if (expr.kind === "array") return expr.elements.length;
  if (
    expr.kind === "const" &&
    expr.value !== null &&
    typeof expr.value === "object" &&
    "elements" in expr.value
  ) {
    return (expr.value as { elements: readonly unknown[] }).elements.length;
  }
  return 10;
}

/** Inner side of a nested loop: an index probed with values of the outer row. */
export interface ParameterizedScan {
  readonly startup: number;
  /** Of one run. */
  readonly total: number;
  readonly rows: number;
  readonly match: IndexMatch;
  /** Join conditions the index does not prove. */
  readonly rest: readonly Expr[];
}

export function parameterizedScan(
  rel: Rel,
  joinConditions: readonly Expr[],
  factsOf: FactsOf,
  loops: number,
): ParameterizedScan | undefined {
  if (rel.entry.kind !== "table" || rel.indexes.length === 0) return undefined;
  const joinClauses = probesOf(rel, joinConditions);
  if (joinClauses.length === 0) return undefined;
  const conditions = [...joinConditions, ...rel.filters];
  const clauses = [...joinClauses, ...probesOf(rel, rel.filters)];
  let best: ParameterizedScan | undefined;
  for (const index of rel.indexes) {
    const match = matchIndex(rel, index, conditions, clauses, false);
    if (match === undefined) continue;
    if (!joinConditions.some((condition) => match.consumed.has(condition))) continue;
    const cost = matchCost(rel, match, rel.filters, factsOf, loops);
    if (best !== undefined && best.total <= cost.total) continue;
    const used = joinConditions.filter((condition) => match.consumed.has(condition));
    let fraction = 1;
    for (const condition of used) fraction *= selectivity(condition, factsOf);
    best = {
      startup: cost.startup,
      total: cost.total,
      rows: Math.max(1, rel.rows * fraction),
      match,
      rest: joinConditions.filter((condition) => !match.consumed.has(condition)),
    };
  }
  return best;
}

/** A scan node. Its filter's columns come after the needed ones. */
export function buildScan(
  rel: Rel,
  scope: PlanScope,
  conditions: readonly Expr[],
  match: IndexMatch | undefined,
  backward: boolean,
  startup: number,
  total: number,
  rows: number,
): Built {
  const { entry } = rel;
  assert(entry.kind === "table", "a scan of something that is not a table");
  const layout = new Layout();
  const project: number[] = [];
  const columns: OutputColumn[] = [];
  const produce = (column: number): void => {
    if (column === rowIdColumn) return;
    if (layout.columns.has(rel.id * 4096 + column + 1)) return;
    layout.add(rel.id, column);
    project.push(column);
    columns.push(columnOf(entry, column));
  };
  for (const column of rel.needed) produce(column);
  const rest = match === undefined ? conditions : conditions.filter((item) => !match.consumed.has(item));
  for (const condition of rest) forEachOwnColumn(condition, rel.id, produce);
  const rowId = rel.needed.has(rowIdColumn);
  if (rowId) {
    layout.add(rel.id, rowIdColumn);
    columns.push({ name: "ctid", type: rowIdType });
  }
  const filters = rest.map((condition) => resolve(condition, layout, scope));
  const filter =
    filters.length === 0
      ? undefined
      : filters.length === 1
        ? filters[0]!
        : ({ kind: "and", type: { oid: 16, typmod: -1 }, args: filters } as const);
  const scan: ScanNode = {
    kind: match === undefined ? "seqScan" : "indexScan",
    tableId: entry.table.id,
    alias: entry.alias,
    project,
    rowId,
    filter,
    index:
      match === undefined
        ? undefined
        : { indexId: match.index.id, bounds: boundsOf(match.bounds, scope), backward },
    forUpdate: rel.forUpdate ? true : undefined,
  };
  const node: PlanNode = {
    ...scan,
    columns,
    estimate: {
      startupCost: startup,
      totalCost: total,
      rows: clampRows(rows),
      width: relWidth(rel, project),
    },
  };
  return { node, layout };
}

export const rowIdType: TypeRef = { oid: 20, typmod: -1 };

export function columnOf(entry: RangeEntry, column: number): OutputColumn {
  const described = entry.columns[column]!;
  if (entry.kind === "table" || entry.kind === "virtual") {
    return { name: described.name, type: described.type, tableId: entry.table.id, attribute: column + 1 };
  }
  return { name: described.name, type: described.type };
}

function forEachOwnColumn(expr: Expr, relation: number, visit: (column: number) => void): void {
  if (expr.kind === "column") {
    if (expr.relation === relation) visit(expr.column);
    return;
  }
  for (const column of columnsOf(expr)) if (column.relation === relation) visit(column.column);
}

/** Every column reference at any depth. */
export function columnsOf(expr: Expr): (Expr & { kind: "column" })[] {
  const out: (Expr & { kind: "column" })[] = [];
  visitColumns(expr, (column) => {
    out.push(column);
  });
  return out;
}

export function visitColumns(expr: Expr, visit: (column: Expr & { kind: "column" }) => void): void {
  if (expr.kind === "const" || expr.kind === "param") return;
  visitDeep(expr, (inner) => {
    if (inner.kind === "column") visit(inner);
  });
}

function boundsOf(bounds: BoundBounds, scope: PlanScope): IndexBounds {
  const value = (expr: Expr): Expr => resolve(expr, emptyLayout, scope);
  return {
    equals: bounds.equals.map(value),
    anyOf: bounds.anyOf === undefined ? undefined : value(bounds.anyOf),
    lower: bounds.lower === undefined ? undefined : { ...bounds.lower, value: value(bounds.lower.value) },
    upper: bounds.upper === undefined ? undefined : { ...bounds.upper, value: value(bounds.upper.value) },
    nullTest: bounds.nullTest,
  };
}

// --------------------------------------------------------------------------------------------- other relations

const defaultFunctionRows = 1000;
const defaultVirtualRows = 300;

/** The path of a relation that is no table; `planSubquery` plans a subquery entry with conditions pushed in. */
export function otherPath(
  rel: Rel,
  factsOf: FactsOf,
  planSubquery: (rel: Rel) => { built: PlanNode; rows: number; rest: readonly Expr[] },
): Path {
  const { entry, scope } = rel;
  switch (entry.kind) {
    case "virtual": {
      rel.tableRows = defaultVirtualRows;
      rel.rows = clampRows(defaultVirtualRows * all(rel.filters, factsOf));
      const total = 10 + defaultVirtualRows * (cpuTupleCost + filterCost(rel.filters));
      return simplePath(rel, total, () => {
        const layout = new Layout();
        const project: number[] = [];
        const columns: OutputColumn[] = [];
        const produce = (column: number): void => {
          if (layout.columns.has(rel.id * 4096 + column + 1)) return;
          layout.add(rel.id, column);
          project.push(column);
          columns.push(columnOf(entry, column));
        };
        for (const column of rel.needed) produce(column);
        for (const filter of rel.filters) forEachOwnColumn(filter, rel.id, produce);
        const filters = rel.filters.map((filter) => resolve(filter, layout, scope));
        return {
          layout,
          node: {
            kind: "virtualScan",
            relationId: entry.table.id,
            schema: entry.schema,
            name: entry.table.name,
            filter:
              filters.length === 0
                ? undefined
                : filters.length === 1
                  ? filters[0]!
                  : { kind: "and", type: { oid: 16, typmod: -1 }, args: filters },
            project,
            columns,
            estimate: estimateOf(rel, total),
          },
        };
      });
    }
    case "function": {
      const rows = functionRows(rel);
      rel.tableRows = rows;
      rel.rows = clampRows(rows * all(rel.filters, factsOf));
      const total = rows * (cpuTupleCost + filterCost(rel.filters));
      return simplePath(rel, total, () => {
        const layout = wholeLayout(rel);
        const node: PlanNode = {
          kind: "functionScan",
          fn: entry.fn,
          args: entry.args.map((arg) => resolve(arg, emptyLayout, scope)),
          withOrdinality: entry.ordinality,
          alias: entry.alias,
          columns: entry.columns.map((_, index) => columnOf(entry, index)),
          estimate: {
            startupCost: 0,
            totalCost: total,
            rows: clampRows(rows),
            width: relWidth(rel, rel.needed),
          },
        };
        return filtered(node, layout, rel.filters, scope, rel.rows);
      });
    }
    case "cte": {
      const known = scope.statement.ctes.get(entry.cte.id);
      const rows = known?.rows ?? 100;
      rel.tableRows = rows;
      rel.rows = clampRows(rows * all(rel.filters, factsOf));
      const total = rows * (cpuTupleCost + filterCost(rel.filters));
      return simplePath(rel, total, () => {
        const layout = wholeLayout(rel);
        const node: PlanNode = {
          kind: "cteScan",
          cteId: entry.cte.id,
          name: entry.cte.name,
          alias: entry.alias,
          columns: entry.columns.map((_, index) => columnOf(entry, index)),
          estimate: {
            startupCost: 0,
            totalCost: total,
            rows: clampRows(rows),
            width: relWidth(rel, rel.needed),
          },
        };
        return filtered(node, layout, rel.filters, scope, rel.rows);
      });
    }
    case "subquery": {
      const { built, rows, rest } = planSubquery(rel);
      rel.tableRows = rows;
      rel.rows = clampRows(rows * all(rest, factsOf));
      const total = built.estimate.totalCost + rows * filterCost(rest);
      return {
        startup: built.estimate.startupCost,
        total,
        rows: rel.rows,
        width: built.estimate.width,
        order: [],
        build: () => filtered(built, wholeLayout(rel), rest, scope, rel.rows),
      };
    }
    case "table":
    case "excluded":
      break;
  }
  throw new Error("unreachable relation kind");
}

function all(filters: readonly Expr[], factsOf: FactsOf): number {
  let out = 1;
  for (const filter of filters) out *= selectivity(filter, factsOf);
  return out;
}

function functionRows(rel: Rel): number {
  const { entry } = rel;
  assert(entry.kind === "function", "rows of a function");
  if (entry.fn.returnsSet !== true) return 1;
  if (entry.fn.name === "generate_series") {
    const [from, to, step] = entry.args;
    if (
      from?.kind === "const" &&
      to?.kind === "const" &&
      typeof from.value === "number" &&
      typeof to.value === "number"
    ) {
      const by =
        step === undefined ? 1 : step.kind === "const" && typeof step.value === "number" ? step.value : 0;
      if (by !== 0) return Math.max(1, Math.floor((to.value - from.value) / by) + 1);
    }
    return defaultFunctionRows;
  }
  return entry.fn.name === "unnest" ? 10 : defaultFunctionRows;
}

function estimateOf(rel: Rel, total: number): PlanNode["estimate"] {
  return { startupCost: 0, totalCost: total, rows: clampRows(rel.rows), width: relWidth(rel, rel.needed) };
}

function simplePath(rel: Rel, total: number, build: () => Built): Path {
  return { startup: 0, total, rows: rel.rows, width: relWidth(rel, rel.needed), order: [], build };
}

export function wholeLayout(rel: Rel): Layout {
  const layout = new Layout();
  for (let column = 0; column < rel.entry.columns.length; column++) layout.add(rel.id, column);
  return layout;
}

/** A node under a filter, when there is anything to filter by. */
export function filtered(
  node: PlanNode,
  layout: Layout,
  conditions: readonly Expr[],
  scope: PlanScope,
  rows: number,
): Built {
  if (conditions.length === 0) return { node, layout };
  const parts = conditions.map((condition) => resolve(condition, layout, scope));
  const predicate: Expr =
    parts.length === 1 ? parts[0]! : { kind: "and", type: { oid: 16, typmod: -1 }, args: parts };
  return {
    layout,
    node: {
      kind: "filter",
      input: node,
      predicate,
      columns: node.columns,
      estimate: {
        ...node.estimate,
        totalCost: node.estimate.totalCost + node.estimate.rows * filterCost(conditions),
        rows: clampRows(rows),
      },
    },
  };
}
