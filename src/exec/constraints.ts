/**
 * What a row must satisfy before it is written, and how PostgreSQL words it when it does not: NOT NULL (23502), CHECK
 * (23514), unique keys (23505).
 *
 * Invariant: errors carry schema, table and, where there is one, column or constraint, as protocol error fields.
 */
import { DbError } from "../base/errors.js";
import type { Table } from "../mga/contract.js";
import type { EvalContext } from "../model/functions.js";
import type { CatalogReader, TableDesc } from "../model/schema.js";
import type { Value } from "../model/value.js";
import { textOutputOf } from "./values.js";

/** Longer values are cut in error details. */
const detailBytesMax = 64;

/** One column value as error details show it. */
function shown(value: Value, type: number, context: EvalContext, cut: boolean): string {
  if (value === null) return "null";
  const text = textOutputOf(type)(value, context);
  if (!cut || Buffer.byteLength(text) <= detailBytesMax) return text;
  let end = Math.min(text.length, detailBytesMax);
  while (Buffer.byteLength(text.slice(0, end)) > detailBytesMax) end--;
  return `${text.slice(0, end)}...`;
}

/** `Failing row contains (1, null).`; the row is table-wide. */
export function failingRow(table: TableDesc, row: readonly Value[], context: EvalContext): string {
  const shownValues = table.columns.flatMap((column, position) =>
    column.dropped ? [] : [shown(row[position]!, column.type.oid, context, true)],
  );
  return `Failing row contains (${shownValues.join(", ")}).`;
}

/** `Key (a, b)=(1, x)`, as details of unique and foreign keys begin. */
export function keyDetail(
  names: readonly string[],
  values: readonly Value[],
  types: readonly number[],
  context: EvalContext,
): string {
  const texts = values.map((value, i) => shown(value, types[i]!, context, false));
  return `Key (${names.join(", ")})=(${texts.join(", ")})`;
}

export function schemaName(catalog: CatalogReader, table: TableDesc): string {
  return catalog.schemaById(table.schemaId)?.name ?? "";
}

export function notNullViolation(
  catalog: CatalogReader,
  table: TableDesc,
  column: string,
  row: readonly Value[],
  context: EvalContext,
): DbError {
  return new DbError(
    "notNullViolation",
    `null value in column "${column}" of relation "${table.name}" violates not-null constraint`,
    {
      detail: failingRow(table, row, context),
      schema: schemaName(catalog, table),
      table: table.name,
      column,
    },
  );
}

export function checkViolation(
  catalog: CatalogReader,
  table: TableDesc,
  constraint: string,
  row: readonly Value[],
  context: EvalContext,
): DbError {
  return new DbError(
    "checkViolation",
    `new row for relation "${table.name}" violates check constraint "${constraint}"`,
    {
      detail: failingRow(table, row, context),
      schema: schemaName(catalog, table),
      table: table.name,
      constraint,
    },
  );
}

/** The engine knows the index and the row; names and the key's text are added here. Other errors pass as they are. */
export function withKeyDetail(
  thrown: unknown,
  catalog: CatalogReader,
  desc: TableDesc,
  table: Table,
  row: readonly Value[],
  context: EvalContext,
): unknown {
  if (!(thrown instanceof DbError) || thrown.condition !== "uniqueViolation") return thrown;
  if (thrown.fields.detail !== undefined && thrown.fields.schema !== undefined) return thrown;
  const spec = table.spec.indexes.find(({ name }) => name === thrown.fields.constraint);
  const index = spec === undefined ? undefined : catalog.indexById(spec.id);
  const key = spec?.key(row);
  const fields = {
    ...thrown.fields,
    schema: schemaName(catalog, desc),
    table: desc.name,
  };
  if (spec === undefined || index === undefined || key === undefined) {
    return new DbError(thrown.condition, thrown.message, fields, thrown);
  }
  const names = index.columns.map(({ column, expressionSql }) =>
    column === undefined ? (expressionSql ?? "") : desc.columns[column]!.name,
  );
  const types = spec.columns.map(({ type }) => type.oid);
  const detail = `${keyDetail(names, key.slice(0, names.length), types, context)} already exists.`;
  return new DbError(thrown.condition, thrown.message, { ...fields, detail }, thrown);
}
