/**
 * From catalog descriptors to what storage needs: column storage, missing values, and per index how a row's key is
 * computed (columns, expressions, partial predicates compiled once per version).
 *
 * Invariant: a spec is made for one version of the table and of each of its indexes, and is dropped when one changes.
 */
import { assert } from "../base/errors.js";
import { compileRowExpression } from "../exec/index.js";
import type { ColumnSpec, IndexSpec, TableSpec } from "../mga/contract.js";
import type { CatalogReader, ColumnDesc, IndexDesc, ObjectId, TableDesc } from "../model/schema.js";
import { defaultSettings, typeInput, typeOutput } from "../model/types.js";
import type { Value } from "../model/value.js";
import { rowExpression } from "./expressions.js";

interface Cached {
  readonly table: TableDesc;
  readonly indexes: readonly IndexDesc[];
  readonly spec: TableSpec;
  /** Catalog version at which this was last found to be up to date. */
  checkedAt: number;
}

export class TableSpecs {
  readonly #cache = new Map<ObjectId, Cached>();

  of(catalog: CatalogReader, id: ObjectId): TableSpec {
    const cached = this.#cache.get(id);
    if (cached !== undefined && cached.checkedAt === catalog.version) return cached.spec;
    const table = catalog.relationById(id);
    assert(table !== undefined && table.kind === "table", `relation ${id} has no rows of its own`);
    const indexes = catalog.indexesOf(id);
    if (
      cached !== undefined &&
      cached.table === table &&
      cached.indexes.length === indexes.length &&
      indexes.every((index, place) => index === cached.indexes[place])
    ) {
      cached.checkedAt = catalog.version;
      return cached.spec;
    }
    const spec = tableSpec(catalog, table, indexes);
    this.#cache.set(id, { table, indexes, spec, checkedAt: catalog.version });
    return spec;
  }

  forget(id: ObjectId): void {
    this.#cache.delete(id);
  }
}

export function tableSpec(
  catalog: CatalogReader,
  table: TableDesc,
  indexes: readonly IndexDesc[],
): TableSpec {
  return {
    id: table.id,
    name: table.name,
    storageId: table.storageId,
    format: table.format,
    columns: table.columns.map(columnSpec),
    indexes: indexes.map((index) => indexSpec(catalog, table, index)),
    describeKey: (spec, key) => {
      const names = (indexes.find(({ id }) => id === spec.id) ?? catalog.indexById(spec.id))?.columns.map(
        ({ column, expressionSql }) =>
          column === undefined ? (expressionSql ?? "") : table.columns[column]!.name,
      );
      // An index that is being built is not among them yet; its columns still are the table's.
      const shownNames = names ?? spec.tableColumns?.map((column) => table.columns[column]!.name);
      if (shownNames === undefined) return {};
      const values = shownNames.map((_, at) => {
        const value = key[at]!;
        return value === null ? "null" : typeOutput(spec.columns[at]!.type.oid, value, defaultSettings);
      });
      return { detail: `Key (${shownNames.join(", ")})=(${values.join(", ")}) already exists.` };
    },
  };
}

function columnSpec(column: ColumnDesc): ColumnSpec {
  return {
    type: column.type,
    notNull: column.notNull,
    dropped: column.dropped === true,
    missing:
      column.missingValue === undefined
        ? null
        : typeInput(column.type.oid, column.missingValue, defaultSettings, column.type.typmod),
  };
}

export function indexSpec(catalog: CatalogReader, table: TableDesc, index: IndexDesc): IndexSpec {
  const plain = index.columns.every((key) => key.column !== undefined) && index.predicateSql === undefined;
  const base = {
    id: index.id,
    name: index.name,
    storageId: index.storageId,
    unique: index.unique,
    nullsNotDistinct: index.nullsNotDistinct === true,
    deferrable: index.deferrable === true,
    columns: index.columns.map(({ type, descending, nullsFirst }) => ({ type, descending, nullsFirst })),
  };
  if (plain) {
    const places = index.columns.map((key) => key.column!);
    return {
      ...base,
      dependsOn: places,
      tableColumns: places,
      key: (row) => places.map((place) => row[place]!),
    };
  }
  const dependsOn = new Set<number>();
  const compile = (
    sql: string,
    clause: "indexExpression" | "indexPredicate",
  ): ((row: readonly Value[]) => Value) => {
    const { expr, columns } = rowExpression(catalog, table, sql, clause);
    for (const column of columns) dependsOn.add(column);
    return compileRowExpression(expr);
  };
  const parts = index.columns.map((key): ((row: readonly Value[]) => Value) => {
    if (key.column === undefined) return compile(key.expressionSql!, "indexExpression");
    const place = key.column;
    dependsOn.add(place);
    return (row) => row[place]!;
  });
  const predicate =
    index.predicateSql === undefined ? undefined : compile(index.predicateSql, "indexPredicate");
  return {
    ...base,
    dependsOn: [...dependsOn].sort((a, b) => a - b),
    tableColumns: undefined,
    key: (row) => {
      if (predicate !== undefined && predicate(row) !== true) return undefined;
      return parts.map((part) => part(row));
    },
  };
}
