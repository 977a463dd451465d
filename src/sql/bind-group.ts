/**
 * The grouping rules: in a grouped query every column outside an aggregate must be a grouping expression, part of one, or
 * depend on the grouping columns through a primary key.
 *
 * Errors: 42803 with PostgreSQL's two messages (plain, and "subquery uses ungrouped column").
 */
import { DbError } from "../base/errors.js";
import type { Binder } from "./binder.js";
import type { Expr } from "./expr.js";
import type { BoundQuery, RangeEntry } from "./query.js";
import type { Scope } from "./scope.js";
import { exprKey, forEachChild, mapQuery } from "./walk.js";

interface Grouping {
  readonly grouped: boolean;
  readonly groupBy: readonly Expr[];
  readonly having: Expr | undefined;
  readonly targets: readonly Expr[];
}

export function checkGrouping(binder: Binder, scope: Scope, grouping: Grouping): void {
  if (!grouping.grouped) return;
  const keys = new Set(grouping.groupBy.map(exprKey));
  const entries = new Map(scope.relations.map((entry) => [entry.id, entry]));
  const dependent = new Map<number, boolean>();
  const check = (expr: Expr, nested: boolean): void => {
    if (expr.kind === "const" || expr.kind === "param") return;
    if (keys.size > 0 && keys.has(exprKey(expr))) return;
    if (expr.kind === "aggregate" && expr.owner === scope.id) return;
    if (expr.kind === "column") {
      const entry = entries.get(expr.relation);
      if (entry === undefined) return;
      let depends = dependent.get(entry.id);
      if (depends === undefined) {
        depends = dependsOnKey(binder, entry, keys);
        dependent.set(entry.id, depends);
      }
      if (depends) return;
      const name = `${entry.alias}.${entry.columns[expr.column]?.name ?? "?"}`;
      throw new DbError(
        "groupingError",
        nested
          ? `subquery uses ungrouped column "${name}" from outer query`
          : `column "${name}" must appear in the GROUP BY clause or be used in an aggregate function`,
        { position: binder.positionOf(expr) },
      );
    }
    forEachChild(expr, (child) => {
      check(child, nested);
    });
    if (expr.kind === "subquery") {
      mapQuery(expr.query as BoundQuery, (child) => {
        check(child, true);
        return child;
      });
    }
  };
  for (const target of grouping.targets) check(target, false);
  if (grouping.having !== undefined) check(grouping.having, false);
}

/** All columns of the entry's primary key are grouping expressions. */
function dependsOnKey(binder: Binder, entry: RangeEntry, keys: ReadonlySet<string>): boolean {
  if (entry.kind !== "table") return false;
  const primary = binder.catalog
    .constraintsOf(entry.table.id)
    .find((constraint) => constraint.type === "primaryKey");
  if (primary === undefined || primary.type !== "primaryKey" || primary.deferrable) return false;
  return primary.columns.every((column) => keys.has(`r${entry.id}.${column}`));
}
