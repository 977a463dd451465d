/**
 * Expressions stored with a table: defaults, CHECK constraints, index expressions and predicates. They are bound anew where
 * they are used, over the columns of one range entry, under an empty search path (their names are stored qualified).
 */
import { DbError } from "../base/errors.js";
import type { IndexDesc } from "../model/schema.js";
import type * as ast from "./ast.js";
import { bindExpr, requireBoolean, settled } from "./bind-expr.js";
import { addEntry } from "./bind-from.js";
import type { Binder } from "./binder.js";
import type { Expr } from "./expr.js";
import { parseExpression } from "./parse-text.js";
import type { RangeEntry } from "./query.js";
import { type Clause, Scope } from "./scope.js";

const refusals: Partial<Record<Clause, string>> = {
  check: "check constraint",
  default: "DEFAULT expression",
  indexExpression: "index expression",
  indexPredicate: "index predicate",
  columnMask: "column mask",
};

/** Binds stored text over `entry`'s columns (none: a default, which may name no column). */
export function bindTableExpression(
  binder: Binder,
  sql: string,
  entry: RangeEntry | undefined,
  clause: Clause,
): Expr {
  return bindTableNode(binder, parseExpression(sql), entry, clause);
}

export function bindTableNode(
  binder: Binder,
  node: ast.Expr,
  entry: RangeEntry | undefined,
  clause: Clause,
): Expr {
  const scope = new Scope(undefined, binder.newSelect());
  if (entry !== undefined) {
    const owner = binder.relationScopes.get(entry.id);
    const added = addEntry(binder, entry, scope);
    scope.items.push(...added.items);
    if (owner !== undefined) binder.relationScopes.set(entry.id, owner);
  }
  scope.clause = clause;
  const marking = binder.marking;
  binder.marking = false; // the statement's user needs no privilege for the table's own expressions
  const bound = bindExpr(binder, node, scope);
  binder.marking = marking;
  if (entry === undefined && binder.hasColumns(bound)) {
    throw new DbError("featureNotSupported", "cannot use column reference in DEFAULT expression", {
      position: node.position,
    });
  }
  if (binder.hasSubquery(bound)) {
    throw new DbError(
      "featureNotSupported",
      `cannot use subquery in ${refusals[clause] ?? "this expression"}`,
      {
        position: node.position,
      },
    );
  }
  if (clause === "check" || clause === "indexPredicate") {
    return requireBoolean(binder, bound, clause === "check" ? "CHECK" : "WHERE", node);
  }
  return clause === "default" || clause === "columnMask" ? bound : settled(binder, bound, node.position);
}

/** Key expressions of an index over a table entry, in key order. */
export function indexKeyExpressions(binder: Binder, index: IndexDesc, entry: RangeEntry): Expr[] {
  return index.columns.map((column): Expr => {
    if (column.column !== undefined) {
      return {
        kind: "column",
        type: entry.columns[column.column]!.type,
        level: 0,
        relation: entry.id,
        column: column.column,
      };
    }
    return bindTableExpression(binder, column.expressionSql!, entry, "indexExpression");
  });
}

export function indexPredicate(binder: Binder, index: IndexDesc, entry: RangeEntry): Expr | undefined {
  if (index.predicateSql === undefined) return undefined;
  return bindTableExpression(binder, index.predicateSql, entry, "indexPredicate");
}
