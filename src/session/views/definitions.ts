/**
 * SQL text of catalog objects, as PostgreSQL's pg_get_*def functions print it. Stored expressions are deparsed text
 * already (schema.ts), so these are put together from names.
 */
import type { CatalogReader, ConstraintDesc, IndexDesc, ObjectId, TableDesc } from "../../model/schema.js";
import { quoteIdentifier } from "../../sql/functions/index.js";
import { stripParens } from "../../sql/index.js";

export function qualifiedName(catalog: CatalogReader, relationId: ObjectId): string {
  const relation = catalog.relationById(relationId) ?? catalog.indexById(relationId);
  if (relation === undefined) return String(relationId);
  const schema = catalog.schemaById(relation.schemaId);
  return `${schema === undefined ? "" : `${quoteIdentifier(schema.name)}.`}${quoteIdentifier(relation.name)}`;
}

export function columnNames(table: TableDesc, columns: readonly number[]): string {
  return columns.map((column) => quoteIdentifier(table.columns[column]?.name ?? "?")).join(", ");
}

function isCall(sql: string): boolean {
  return /^[a-z_][a-z0-9_.]*\(/i.test(sql);
}

function isWrapped(sql: string): boolean {
  return sql.startsWith("(") || isCall(sql);
}

/** pg_get_indexdef. `column` 0: the whole statement; else the 1-based key column's text. */
export function indexDefinition(catalog: CatalogReader, index: IndexDesc, column = 0): string {
  const table = catalog.relationById(index.tableId) as TableDesc;
  const keys = index.columns.map((key) => {
    const text =
      key.column !== undefined
        ? quoteIdentifier(table.columns[key.column]!.name)
        : isCall(key.expressionSql!)
          ? key.expressionSql!
          : `(${key.expressionSql})`;
    if (column > 0) return text;
    const direction = key.descending ? " DESC" : "";
    const nulls = key.nullsFirst === key.descending ? "" : key.nullsFirst ? " NULLS FIRST" : " NULLS LAST";
    return text + direction + nulls;
  });
  if (column > 0) return keys[column - 1] ?? "";
  const include =
    index.include === undefined || index.include.length === 0
      ? ""
      : ` INCLUDE (${columnNames(table, index.include)})`;
  const distinct = index.nullsNotDistinct === true ? " NULLS NOT DISTINCT" : "";
  const where =
    index.predicateSql === undefined
      ? ""
      : ` WHERE ${isWrapped(index.predicateSql) ? index.predicateSql : `(${index.predicateSql})`}`;
  return `CREATE ${index.unique ? "UNIQUE " : ""}INDEX ${quoteIdentifier(index.name)} ON ${qualifiedName(catalog, index.tableId)} USING btree (${keys.join(", ")})${include}${distinct}${where}`;
}

const actionTexts = {
  noAction: "",
  restrict: "RESTRICT",
  cascade: "CASCADE",
  setNull: "SET NULL",
  setDefault: "SET DEFAULT",
} as const;

/** pg_get_constraintdef. `nameOf` prints the referenced table: qualified or not, by the search path. */
export function constraintDefinition(
  catalog: CatalogReader,
  constraint: ConstraintDesc,
  nameOf: (relationId: ObjectId) => string = (id) => qualifiedName(catalog, id),
  pretty = false,
): string {
  const table = catalog.relationById(constraint.tableId) as TableDesc;
  const deferral =
    constraint.deferrable === true
      ? ` DEFERRABLE${constraint.initiallyDeferred === true ? " INITIALLY DEFERRED" : ""}`
      : "";
  const valid = constraint.notValid === true ? " NOT VALID" : "";
  switch (constraint.type) {
    case "primaryKey":
      return `PRIMARY KEY (${columnNames(table, constraint.columns)})${deferral}`;
    case "unique":
      return `UNIQUE (${columnNames(table, constraint.columns)})${deferral}`;
    case "check":
      return `CHECK (${pretty ? stripParens(constraint.expressionSql) : constraint.expressionSql})${valid}`;
    case "foreignKey": {
      const referenced = catalog.relationById(constraint.referencedTableId) as TableDesc;
      const match = constraint.match === "full" ? " MATCH FULL" : "";
      const onUpdate =
        constraint.onUpdate === "noAction" ? "" : ` ON UPDATE ${actionTexts[constraint.onUpdate]}`;
      const onDelete =
        constraint.onDelete === "noAction" ? "" : ` ON DELETE ${actionTexts[constraint.onDelete]}`;
      return `FOREIGN KEY (${columnNames(table, constraint.columns)}) REFERENCES ${nameOf(constraint.referencedTableId)}(${columnNames(referenced, constraint.referencedColumns)})${match}${onUpdate}${onDelete}${deferral}${valid}`;
    }
  }
}
