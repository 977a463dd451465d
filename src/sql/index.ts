/**
 * SQL: text to plan. Pure: catalogs, sizes and settings are handed in, nothing is remembered but parsed stored texts.
 *
 * `parse.ts` makes syntax trees; `prepareStatement(ast, env)` binds one against a catalog and plans it. Read `query.ts` (what
 * Bind makes), `plan.ts` (what the planner makes) and `expr.ts` (expressions of both) first; then `bind.ts` and `planner.ts`,
 * whose headings say where each part is.
 *
 * Not here: running plans (`exec/`), catalogs (`cluster/`), statements that are not queries (`session/`).
 */
import type { ObjectId, TableDesc, TypeRef } from "../model/schema.js";
import type * as ast from "./ast.js";
import { bindStatement } from "./bind.js";
import { bindTableNode, indexKeyExpressions, indexPredicate } from "./bind-table.js";
import { type BindEnv, Binder, tableEntry } from "./binder.js";
import type { Expr } from "./expr.js";
import { parseExpression } from "./parse-text.js";
import { type PreparedPlan, planStatement } from "./planner.js";
import type { RangeEntry } from "./query.js";
import { coerce, resolveTypeName } from "./resolve.js";
import type { Clause } from "./scope.js";
import { replaceDeep } from "./walk.js";

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
export type * from "./expr.js";
export type * from "./plan.js";
export type { PreparedPlan } from "./planner.js";
export type { Bound, BoundStatement, PrivilegeNeed } from "./query.js";
export { simplify } from "./rules.js";
