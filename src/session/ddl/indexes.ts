/** CREATE INDEX: plain, unique, over expressions, partial; built online over existing rows (rule P2). REINDEX. */
import { DbError, notSupported } from "../../base/errors.js";
import type { IndexColumn, IndexDesc, TableDesc } from "../../model/schema.js";
import type { CreateIndex, IndexElement } from "../../sql/ast.js";
import { type DdlContext, wrongKind } from "./context.js";
import { storedExpression } from "./stored.js";
import { alreadyThere, collationName, placeIndex } from "./tables.js";

const keyColumnsMax = 32;
const methods = new Set(["btree"]);
const knownMethods = new Set(["hash", "gist", "gin", "spgist", "brin"]);

export async function createIndex(ddl: DdlContext, statement: CreateIndex): Promise<void> {
  if (statement.concurrently && ddl.transaction.state === "block") {
    throw new DbError(
      "activeSqlTransaction",
      "CREATE INDEX CONCURRENTLY cannot run inside a transaction block",
    );
  }
  const method = statement.method ?? "btree";
  if (!methods.has(method)) {
    if (knownMethods.has(method)) throw notSupported(`index access method ${method}`, statement.position);
    throw new DbError("undefinedObject", `access method "${method}" does not exist`);
  }
  const relation = ddl.relation(statement.table);
  if (relation.kind !== "table") throw wrongKind(relation, "a table or materialized view");
  const table = relation;
  ddl.mustOwnRelation(table);
  const schema = ddl.draft.schemaById(table.schemaId)!;
  if (statement.name !== undefined && alreadyThere(ddl, schema, statement.name, statement.ifNotExists))
    return;
  // Writers go on while it is built when nobody else waits for this transaction's commit.
  await ddl.lockWhole(table.id, "Share", table.name, "CREATE INDEX");
  if (statement.elements.length > keyColumnsMax) {
    throw new DbError("tooManyColumns", `cannot use more than ${keyColumnsMax} columns in an index`);
  }
  const columns = statement.elements.map((element) => indexColumn(ddl, table, element));
  const include = statement.include.map((element) => {
    if (element.column === undefined)
      throw new DbError("featureNotSupported", "expressions are not supported in included columns");
    return place(table, element.column, element.position);
  });
  const predicate =
    statement.where === undefined
      ? undefined
      : storedExpression(ddl, table, statement.where, "index predicate");
  const parts = statement.elements
    .map((element, at) => element.column ?? expressionLabel(columns[at]!))
    .join("_");
  const index: IndexDesc = {
    kind: "index",
    id: ddl.draft.draw(),
    name: statement.name ?? ddl.freeName(table.schemaId, table.name, parts, "idx"),
    schemaId: table.schemaId,
    tableId: table.id,
    storageId: ddl.draft.draw(),
    columns,
    ...(include.length === 0 ? {} : { include }),
    unique: statement.unique,
    primary: false,
    ...(statement.nullsNotDistinct ? { nullsNotDistinct: true } : {}),
    ...(predicate === undefined ? {} : { predicateSql: predicate.sql }),
    state: "ready",
  };
  await placeIndex(ddl, table, index, false);
}

function expressionLabel(column: IndexColumn): string {
  return /^"?([a-z_][a-z0-9_]*)"?\(/i.exec(column.expressionSql ?? "")?.[1] ?? "expr";
}

function place(table: TableDesc, name: string, position: number): number {
  const at = table.columns.findIndex((column) => column.name === name && column.dropped !== true);
  if (at < 0) throw new DbError("undefinedColumn", `column "${name}" does not exist`, { position });
  return at;
}

/** Operator classes that change nothing for a byte-ordered text: accepted by name. */
const acceptedClasses = /^(?:[a-z0-9]+_ops|text_pattern_ops|varchar_pattern_ops|bpchar_pattern_ops)$/;

function indexColumn(ddl: DdlContext, table: TableDesc, element: IndexElement): IndexColumn {
  if (element.collation !== undefined) collationName(element.collation);
  if (element.opclass !== undefined && !acceptedClasses.test(element.opclass.name)) {
    throw new DbError(
      "undefinedObject",
      `operator class "${element.opclass.name}" does not exist for access method "btree"`,
    );
  }
  const descending = element.direction === "desc";
  const nullsFirst = element.nulls === undefined ? descending : element.nulls === "first";
  if (element.column !== undefined) {
    const column = place(table, element.column, element.position);
    return { column, type: table.columns[column]!.type, descending, nullsFirst };
  }
  const stored = storedExpression(ddl, table, element.expr!, "index expression");
  if (stored.column !== undefined)
    return { column: stored.column, type: stored.type, descending, nullsFirst };
  return { expressionSql: stored.sql, type: stored.type, descending, nullsFirst };
}
