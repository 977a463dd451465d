/**
 * Expressions and queries that the catalog keeps as text: deparsed with qualified names, bound anew where they are used.
 */
import { DbError, notSupported } from "../../base/errors.js";
import type { ColumnDesc, ObjectId, TableDesc, TypeRef } from "../../model/schema.js";
import type { Expr, Query } from "../../sql/ast.js";
import type { DdlContext } from "./context.js";

export interface StoredExpression {
  readonly sql: string;
  readonly type: TypeRef;
  /** Table positions it reads. */
  readonly columns: readonly number[];
  /** It is nothing but this column. */
  readonly column?: number | undefined;
}

export function storedDefault(_ddl: DdlContext, _expr: Expr, _column: ColumnDesc): string | undefined {
  throw notSupported("DEFAULT");
}
export function storedCheck(
  _ddl: DdlContext,
  _table: TableDesc,
  _expr: Expr,
): { sql: string; columns: readonly number[] } {
  throw notSupported("CHECK");
}
export function storedExpression(
  _ddl: DdlContext,
  _table: TableDesc,
  _expr: Expr,
  what: string,
  _type?: number,
): StoredExpression {
  throw notSupported(what);
}
export function storedView(
  _ddl: DdlContext,
  _query: Query,
  _names: readonly string[],
): { sql: string; columns: readonly ColumnDesc[]; dependsOn: readonly (readonly [ObjectId, number])[] } {
  throw notSupported("CREATE VIEW");
}
export function constantDefault(_ddl: DdlContext, _column: ColumnDesc): string | null | undefined {
  return undefined;
}
export function renamedSql(_ddl: DdlContext): () => void {
  return () => {};
}
export function storedAlterUsing(
  _ddl: DdlContext,
  _table: TableDesc,
  _place: number,
  _type: TypeRef,
  _using: Expr | undefined,
): { selectList: string; defaultSql?: string | undefined } {
  throw new DbError("featureNotSupported", "ALTER TYPE");
}
