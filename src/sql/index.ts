/**
 * SQL: text to plan. Pure: catalogs, sizes and settings are handed in, nothing is remembered but parsed stored texts.
 *
 * `parse.ts` makes syntax trees; `prepareStatement(ast, env)` binds one against a catalog and plans it. Read `query.ts` (what
 * Bind makes), `plan.ts` (what the planner makes) and `expr.ts` (expressions of both) first; then `bind.ts` and `planner.ts`,
 * whose headings say where each part is.
 *
 * Not here: running plans (`exec/`), catalogs (`cluster/`), statements that are not queries (`session/`).
 */
import { DbError } from "../base/errors.js";
import type { CatalogReader, ObjectId, TableDesc, TypeRef, ViewDesc } from "../model/schema.js";
import type * as ast from "./ast.js";
import { bindStatement } from "./bind.js";
import { bindPolicyNode } from "./bind-security.js";
import { bindTableNode, indexKeyExpressions, indexPredicate } from "./bind-table.js";
import { type BindEnv, Binder, tableEntry } from "./binder.js";
import { deparseExpr, deparseOverTable, deparseQuery } from "./deparse.js";
import type { Expr } from "./expr.js";
import { quoteIdentifier } from "./functions/index.js";
import { parseExpression, parseQueryText } from "./parse-text.js";
import type { OutputColumn } from "./plan.js";
import { type PreparedPlan, planStatement } from "./planner.js";
import type { BoundQuery, PrivilegeNeed, RangeEntry, TableRangeEntry } from "./query.js";
import { coerce, resolveTypeName } from "./resolve.js";
import type { Clause } from "./scope.js";
import { containsDeep, replaceDeep } from "./walk.js";

export interface PrepareEnv extends BindEnv {
  /** Live size of a table; the planner's only look at data. */
  tableSize(id: ObjectId): { readonly rows: number; readonly pages: number };
}

/** Binds and plans a statement. Throws DbError with PostgreSQL's SQLSTATE, message and position. */
export function prepareStatement(statement: ast.PreparableStatement, env: PrepareEnv): PreparedPlan {
  const bound = bindStatement(statement, env);
  const { binder } = bound;
  return planStatement(bound, env, {
    keys: (index, entry) => indexKeyExpressions(binder, index, entry),
    predicate: (index, entry) => indexPredicate(binder, index, entry),
  });
}

export interface TableExpression {
  readonly expr: Expr;
  /** Table positions it reads. */
  readonly columns: readonly number[];
  /** Relations it depends on (sequences of nextval). */
  readonly objects: readonly ObjectId[];
  /** For deparsing. */
  readonly entry: RangeEntry | undefined;
}

/**
 * Binds an expression of DDL over a table's columns (none for defaults). Column references are `slot` = table position, as
 * CHECK constraints and index expressions are evaluated over a row.
 */
export function bindTableExpression(
  source: string | ast.Expr,
  table: TableDesc | undefined,
  clause: Extract<Clause, "check" | "default" | "indexExpression" | "indexPredicate">,
  env: BindEnv,
  /** A default takes its column's type, in assignment context. */
  target?: TypeRef,
): TableExpression {
  const binder = new Binder(env);
  const entry = table === undefined ? undefined : tableEntry(binder, table, undefined);
  const node = typeof source === "string" ? parseExpression(source) : source;
  let expr = bindTableNode(binder, node, entry, clause);
  if (target !== undefined) expr = coerce(binder, expr, target, "assignment", node.position) ?? expr;
  const columns = new Set<number>();
  binder.forEachColumn(expr, (column) => {
    columns.add(column.column);
  });
  return { expr, columns: [...columns].sort((a, b) => a - b), objects: [...binder.objects], entry };
}

export interface StoredText {
  /** For the catalog: qualified names, bound anew under an empty search path. */
  readonly sql: string;
  readonly type: TypeRef;
  /** Table positions it reads. */
  readonly columns: readonly number[];
  readonly objects: readonly ObjectId[];
}

/** Binds an expression of DDL and writes it as the catalog stores it. Throws what Bind throws. */
export function storeTableExpression(
  source: string | ast.Expr,
  table: TableDesc | undefined,
  clause: Extract<Clause, "check" | "default" | "indexExpression" | "indexPredicate">,
  env: BindEnv,
  target?: TypeRef,
): StoredText {
  const { expr, columns, objects } = bindTableExpression(source, table, clause, env, target);
  const sql = deparseExpr(expr, {
    column: (_, column) => quoteIdentifier(table?.columns[column]?.name ?? "?"),
  });
  return { sql, type: expr.type, columns, objects };
}

export interface StoredPolicyText {
  readonly sql: string;
  /** [object id, 0-based column or -1], the table's own columns included. */
  readonly dependsOn: readonly (readonly [ObjectId, number])[];
}

function boundPolicy(
  source: string | ast.Expr,
  table: TableDesc,
  env: BindEnv,
): { readonly binder: Binder; readonly entry: TableRangeEntry; readonly expr: Expr } {
  const binder = new Binder({ ...env, access: undefined });
  const entry = tableEntry(binder, table, undefined) as TableRangeEntry;
  const node = typeof source === "string" ? parseExpression(source) : source;
  return { binder, entry, expr: bindPolicyNode(binder, node, entry) };
}

/** Binds a policy's USING or WITH CHECK and writes it as the catalog stores it, with qualified names. */
export function storePolicyExpression(
  source: string | ast.Expr,
  table: TableDesc,
  env: BindEnv,
): StoredPolicyText {
  const { binder, entry, expr } = boundPolicy(source, table, env);
  const columns = new Set<number>();
  binder.forEachColumn(expr, ({ relation, column }) => {
    if (relation === entry.id && column >= 0) columns.add(column);
  });
  const own = [...columns].sort((a, b) => a - b).map((column) => [table.id, column] as const);
  return {
    sql: deparseOverTable(expr, entry, { catalog: env.catalog }),
    dependsOn: [...own, ...readBy(binder.privileges())],
  };
}

/** A policy's stored expression for people: names qualified only where the search path would not find them. */
export function policyText(sql: string, table: TableDesc, env: BindEnv): string {
  const { entry, expr } = boundPolicy(sql, table, { ...env, searchPath: [], parameterTypes: [] });
  return deparseOverTable(expr, entry, { catalog: env.catalog, visible: visibleIn(env) });
}

/** A policy's stored expression after relations or columns were renamed: see `renameView`. */
export function renamePolicy(
  sql: string,
  table: TableDesc,
  before: BindEnv,
): (after: CatalogReader) => string {
  const { entry, expr } = boundPolicy(sql, table, { ...before, searchPath: [], parameterTypes: [] });
  return (after) => {
    const seen = new Map<object, unknown>();
    return deparseOverTable(
      withNewNames(expr, after, seen) as Expr,
      withNewNames(entry, after, seen) as RangeEntry,
      { catalog: after },
    );
  };
}

export interface StoredQuery {
  readonly sql: string;
  readonly columns: readonly OutputColumn[];
  /** [object id, 0-based column or -1]. */
  readonly dependsOn: readonly (readonly [ObjectId, number])[];
}

/** Binds a view's query and writes it as the catalog stores it, on one line with qualified names. */
export function storeQuery(query: ast.Query, env: BindEnv): StoredQuery {
  const bound = bindStatement(query, { ...env, access: undefined });
  const { statement, privileges } = bound;
  if (statement.kind !== "select" && statement.kind !== "values" && statement.kind !== "setOperation") {
    throw new DbError("syntaxError", "views must be queries");
  }
  if (statement.ctes.some((cte) => "table" in cte.query)) {
    throw new DbError("featureNotSupported", "views must not contain data-modifying statements in WITH");
  }
  if (bound.parameterTypes.length > 0) {
    throw new DbError("undefinedParameter", "there is no parameter $1");
  }
  return {
    sql: deparseQuery(statement, { catalog: env.catalog }).trim(),
    columns: statement.columns,
    dependsOn: readBy(privileges),
  };
}

/** What a stored text reads, from what its reader would have to be allowed. */
function readBy(privileges: readonly PrivilegeNeed[]): (readonly [ObjectId, number])[] {
  const out: (readonly [ObjectId, number])[] = [];
  for (const need of privileges) {
    if (need.asRole !== undefined) continue; // what a view below reads is that view's business
    if (need.columns.length === 0) out.push([need.relationId, -1]);
    for (const column of need.columns) out.push([need.relationId, column]);
  }
  return out;
}

/** Whether a relation is the one its bare name means. */
function visibleIn(env: BindEnv): (id: ObjectId) => boolean {
  const binder = new Binder(env);
  return (id) => {
    const relation = env.catalog.relationById(id);
    return relation !== undefined && binder.findRelation({ name: relation.name, position: 0 })?.id === id;
  };
}

/** pg_get_viewdef: the stored query as PostgreSQL lays it out, names qualified where the search path would not find them. */
export function viewText(view: ViewDesc, env: BindEnv, pretty: boolean): string {
  const { statement } = bindStatement(parseQueryText(view.querySql), {
    ...env,
    access: undefined,
    searchPath: [],
    parameterTypes: [],
  });
  if (statement.kind !== "select" && statement.kind !== "values" && statement.kind !== "setOperation") {
    throw new DbError("internalError", `view "${view.name}" holds no query`);
  }
  const named = withNames(statement, view);
  return `${deparseQuery(named, { catalog: env.catalog, visible: visibleIn(env), pretty })};`;
}

/** The query with the view's own column names. */
function withNames(query: BoundQuery, view: ViewDesc): BoundQuery {
  if (query.kind !== "select") return query;
  let at = 0;
  return {
    ...query,
    targets: query.targets.map((target) =>
      target.junk ? target : { ...target, name: view.columns[at++]?.name ?? target.name },
    ),
  };
}

/** Functions all immutable: what index expressions and predicates must be (42P17 otherwise). */
export function isImmutable(expr: Expr): boolean {
  return !containsDeep(
    expr,
    (node) => (node.kind === "call" && node.fn.volatility !== "immutable") || node.kind === "ioCast",
  );
}

export { isVolatile } from "./walk.js";

/**
 * A stored view's text after relations or columns were renamed: bound under the catalog from before, written under the
 * one from after. Answers the second step.
 */
export function renameView(view: ViewDesc, before: BindEnv): (after: CatalogReader) => string {
  const { statement } = bindStatement(parseQueryText(view.querySql), {
    ...before,
    access: undefined,
    searchPath: [],
    parameterTypes: [],
  });
  return (after) =>
    deparseQuery(withNewNames(statement, after, new Map()) as BoundQuery, { catalog: after }).trim();
}

/** The tree with every range entry under its relation's new names; shared nodes stay shared. */
function withNewNames(node: unknown, catalog: CatalogReader, seen: Map<object, unknown>): unknown {
  if (typeof node !== "object" || node === null) return node;
  const known = seen.get(node);
  if (known !== undefined) return known;
  if (Array.isArray(node)) {
    const list: unknown[] = [];
    seen.set(node, list);
    for (const item of node) list.push(withNewNames(item, catalog, seen));
    return list;
  }
  if (Object.getPrototypeOf(node) !== Object.prototype) return node;
  const copy: Record<string, unknown> = {};
  seen.set(node, copy);
  for (const [key, value] of Object.entries(node)) {
    copy[key] =
      key === "fn" || key === "table" || key === "view" ? value : withNewNames(value, catalog, seen);
  }
  const described = (copy["table"] ?? copy["view"]) as { readonly id?: ObjectId } | undefined;
  if (described?.id === undefined || copy["alias"] === undefined) return copy;
  const relation = catalog.relationById(described.id);
  if (relation === undefined || relation.kind === "sequence") return copy;
  copy[copy["view"] === undefined ? "table" : "view"] = relation;
  if (copy["explicitAlias"] !== true) copy["alias"] = relation.name;
  if (copy["columnAliases"] !== true) {
    copy["columns"] = (copy["columns"] as { name: string }[]).map((column, place) => ({
      ...column,
      name: relation.columns[place]?.name ?? column.name,
    }));
  }
  return copy;
}

/** The type a name in DDL means. Throws 42704. */
export function bindTypeName(node: ast.TypeName, env: BindEnv): TypeRef {
  return resolveTypeName(new Binder(env), node);
}

/** A table expression for evaluation over a row: its column references become slots, table position by table position. */
export function slotExpression(expr: Expr): Expr {
  return replaceDeep(expr, (node) =>
    node.kind === "column" ? { kind: "slot", type: node.type, slot: node.column } : undefined,
  );
}

export type * as ast from "./ast.js";
export { bindStatement } from "./bind.js";
export type { BindEnv } from "./binder.js";
export { unknownOid } from "./binder.js";
export {
  type DeparseNames,
  type DeparseOptions,
  deparseConstant,
  deparseExpr,
  deparseQuery,
  stripParens,
} from "./deparse.js";
export { type ExplainOptions, explainLines, explainPlan } from "./explain.js";
export type * from "./expr.js";
export type * from "./plan.js";
export type { PreparedPlan } from "./planner.js";
export type { Bound, BoundStatement, PrivilegeNeed } from "./query.js";
export { simplify } from "./rules.js";
