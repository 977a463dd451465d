/** Expressions stored with a table (index keys and predicates), bound over a row: slots are table positions. */
import type { CatalogReader, TableDesc } from "../model/schema.js";
import type { Expr } from "../sql/expr.js";
import { bindTableExpression, slotExpression } from "../sql/index.js";

export interface RowExpression {
  readonly expr: Expr;
  readonly columns: readonly number[];
}

/** Stored text names everything with its schema, so the search path is empty. */
export function rowExpression(
  catalog: CatalogReader,
  table: TableDesc,
  sql: string,
  clause: "indexExpression" | "indexPredicate",
): RowExpression {
  const { expr, columns } = bindTableExpression(sql, table, clause, {
    catalog,
    searchPath: [],
    parameterTypes: [],
  });
  return { expr: slotExpression(expr), columns };
}
