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
import type { ExecContext } from "./contract.js";
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

/** What errors are made from: the catalog, how values are written, and which of them may be told. */
export type ErrorContext = Pick<ExecContext, "catalog" | "eval" | "showsColumn" | "hidesRows">;

/**
 * `Failing row contains (1, null).`; the row is table-wide. Told is what the role may read and what it wrote itself (then
 * with the columns' names), and nothing of a table that row rules hide rows of.
 */
export function failingRow(
  table: TableDesc,
  row: readonly Value[],
  written: readonly number[],
  context: ErrorContext,
): string | undefined {
  if (context.hidesRows?.(table) === true) return undefined;
  const live = table.columns.flatMap((column, place) => (column.dropped === true ? [] : [place]));
  const isShown = (place: number): boolean => context.showsColumn?.(table, place) !== false;
  const all = live.every(isShown);
  const told = all ? live : live.filter((place) => isShown(place) || written.includes(place));
  if (told.length === 0) return undefined;
  const values = told.map((place) => shown(row[place]!, table.columns[place]!.type.oid, context.eval, true));
  const names = all ? "" : `(${told.map((place) => table.columns[place]!.name).join(", ")}) = `;
  return `Failing row contains ${names}(${values.join(", ")}).`;
}

/** Whether a key's values may be told: no row rule hides rows, and each of its columns may be read. */
export function showsKey(
  table: TableDesc,
  columns: readonly (number | undefined)[],
  context: ErrorContext,
): boolean {
  if (context.hidesRows?.(table) === true) return false;
  const isShown = (place: number): boolean => context.showsColumn?.(table, place) !== false;
  // An expression may read any column.
  return columns.every((column) =>
    column === undefined ? table.columns.every((_, place) => isShown(place)) : isShown(column),
  );
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
  table: TableDesc,
  column: string,
  row: readonly Value[],
  written: readonly number[],
  context: ErrorContext,
): DbError {
  return new DbError(
    "notNullViolation",
    `null value in column "${column}" of relation "${table.name}" violates not-null constraint`,
    {
      detail: failingRow(table, row, written, context),
      schema: schemaName(context.catalog, table),
      table: table.name,
      column,
    },
  );
}

export function checkViolation(
  table: TableDesc,
  constraint: string,
  row: readonly Value[],
  written: readonly number[],
  context: ErrorContext,
): DbError {
  return new DbError(
    "checkViolation",
    `new row for relation "${table.name}" violates check constraint "${constraint}"`,
    {
      detail: failingRow(table, row, written, context),
      schema: schemaName(context.catalog, table),
      table: table.name,
      constraint,
    },
  );
}

/** A row rule did not let the row through; `using`: the rule is about the row that was there. */
export function rowRefused(table: TableDesc, policy: string | undefined, using: boolean): DbError {
  const named = policy === undefined ? "" : ` "${policy}"`;
  return new DbError(
    "insufficientPrivilege",
    `new row violates row-level security policy${named}${using ? " (USING expression)" : ""} for table "${table.name}"`,
  );
}

/** The engine knows the index and the row; names and the key's text are added here. Other errors pass as they are. */
export function withKeyDetail(
  thrown: unknown,
  desc: TableDesc,
  table: Table,
  row: readonly Value[],
  context: ErrorContext,
): unknown {
  const { catalog } = context;
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
  if (
    spec === undefined ||
    index === undefined ||
    key === undefined ||
    !showsKey(
      desc,
      index.columns.map(({ column }) => column),
      context,
    )
  ) {
    return new DbError(thrown.condition, thrown.message, { ...fields, detail: undefined }, thrown);
  }
  const names = index.columns.map(({ column, expressionSql }) =>
    column === undefined ? (expressionSql ?? "") : desc.columns[column]!.name,
  );
  const types = spec.columns.map(({ type }) => type.oid);
  const detail = `${keyDetail(names, key.slice(0, names.length), types, context.eval)} already exists.`;
  return new DbError(thrown.condition, thrown.message, { ...fields, detail }, thrown);
}
