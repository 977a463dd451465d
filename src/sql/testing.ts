/**
 * A catalog for tests, made from a few lines of CREATE TABLE-like text. Imported by tests only.
 *
 * `fakeCatalog("t(a int4 pk, b text not null, c int4 default 7) 1000 rows; index t_b on t(b)")`
 */
import { assert } from "../base/errors.js";
import {
  type CatalogObject,
  type CatalogReader,
  type ColumnDesc,
  type ConstraintDesc,
  type IndexDesc,
  type PolicyDesc,
  pgCatalogSchemaId,
  publicSchemaId,
  type RelationDesc,
  type SchemaDesc,
  type StatisticsDesc,
  type TableDesc,
  type ViewDesc,
} from "../model/schema.js";
import { typeByName } from "../model/types.js";
import type { PrepareEnv } from "./index.js";

export class FakeCatalog implements CatalogReader {
  version = 1;
  readonly relations = new Map<string, RelationDesc>();
  readonly indexes: IndexDesc[] = [];
  readonly constraints: ConstraintDesc[] = [];
  readonly statistics = new Map<number, StatisticsDesc>();
  readonly sizes = new Map<number, { rows: number; pages: number }>();
  #nextId = 16384;

  newId(): number {
    return this.#nextId++;
  }

  addTable(
    name: string,
    columns: readonly Partial<ColumnDesc & { typeName: string }>[],
    options: { rows?: number; primaryKey?: readonly number[]; schemaId?: number } = {},
  ): TableDesc {
    const id = this.newId();
    const table: TableDesc = {
      kind: "table",
      id,
      name,
      schemaId: options.schemaId ?? publicSchemaId,
      owner: 10,
      columns: columns.map(({ typeName, ...column }) => ({
        name: "",
        type: { oid: typeByName(typeName ?? "int4")!.oid, typmod: -1 },
        notNull: false,
        ...column,
      })),
      storageId: id,
      format: 1,
      persistence: "permanent",
    };
    this.relations.set(`${table.schemaId}.${name}`, table);
    const rows = options.rows ?? 1000;
    this.sizes.set(id, { rows, pages: Math.max(1, Math.ceil(rows / 100)) });
    if (options.primaryKey !== undefined) {
      const index = this.addIndex(`${name}_pkey`, table, options.primaryKey, { unique: true, primary: true });
      this.constraints.push({
        kind: "constraint",
        id: this.newId(),
        name: index.name,
        schemaId: table.schemaId,
        tableId: id,
        type: "primaryKey",
        columns: options.primaryKey,
        indexId: index.id,
      });
    }
    return table;
  }

  addIndex(
    name: string,
    table: TableDesc,
    columns: readonly (number | string)[],
    options: Partial<IndexDesc> = {},
  ): IndexDesc {
    const index: IndexDesc = {
      kind: "index",
      id: this.newId(),
      name,
      schemaId: table.schemaId,
      tableId: table.id,
      storageId: 0,
      columns: columns.map((column) =>
        typeof column === "number"
          ? { column, type: table.columns[column]!.type, descending: false, nullsFirst: false }
          : { expressionSql: column, type: { oid: 25, typmod: -1 }, descending: false, nullsFirst: false },
      ),
      unique: false,
      primary: false,
      state: "ready",
      ...options,
    };
    this.indexes.push(index);
    return index;
  }

  addCheck(table: TableDesc, name: string, expressionSql: string): void {
    this.constraints.push({
      kind: "constraint",
      id: this.newId(),
      name,
      schemaId: table.schemaId,
      tableId: table.id,
      type: "check",
      expressionSql,
      columns: [],
    });
  }

  addView(name: string, querySql: string, columns: readonly { name: string; typeName: string }[]): ViewDesc {
    const view: ViewDesc = {
      kind: "view",
      id: this.newId(),
      name,
      schemaId: publicSchemaId,
      owner: 10,
      columns: columns.map((column) => ({
        name: column.name,
        type: { oid: typeByName(column.typeName)!.oid, typmod: -1 },
        notNull: false,
      })),
      querySql,
      dependsOn: [],
    };
    this.relations.set(`${view.schemaId}.${name}`, view);
    return view;
  }

  table(name: string): TableDesc {
    const found = this.relations.get(`${publicSchemaId}.${name}`);
    assert(found?.kind === "table", `no table ${name}`);
    return found;
  }

  versionOf(): number {
    return 1;
  }
  schemaByName(name: string): SchemaDesc | undefined {
    return schemas.find((schema) => schema.name === name);
  }
  schemaById(id: number): SchemaDesc | undefined {
    return schemas.find((schema) => schema.id === id);
  }
  relation(schemaId: number, name: string): RelationDesc | undefined {
    return this.relations.get(`${schemaId}.${name}`);
  }
  relationById(id: number): RelationDesc | undefined {
    return [...this.relations.values()].find((relation) => relation.id === id);
  }
  indexByName(schemaId: number, name: string): IndexDesc | undefined {
    return this.indexes.find((index) => index.schemaId === schemaId && index.name === name);
  }
  indexById(id: number): IndexDesc | undefined {
    return this.indexes.find((index) => index.id === id);
  }
  readonly #indexesOf = new Map<number, { at: number; list: IndexDesc[] }>();
  indexesOf(tableId: number): readonly IndexDesc[] {
    const known = this.#indexesOf.get(tableId);
    if (known !== undefined && known.at === this.indexes.length) return known.list;
    const list = this.indexes.filter((index) => index.tableId === tableId);
    this.#indexesOf.set(tableId, { at: this.indexes.length, list });
    return list;
  }
  constraintsOf(tableId: number): readonly ConstraintDesc[] {
    return this.constraints.filter((constraint) => constraint.tableId === tableId);
  }
  referencesTo(): readonly [] {
    return [];
  }
  readonly policies: PolicyDesc[] = [];
  policiesOf(tableId: number): readonly PolicyDesc[] {
    return this.policies.filter((policy) => policy.tableId === tableId);
  }
  statisticsOf(tableId: number): StatisticsDesc | undefined {
    return this.statistics.get(tableId);
  }
  roleByName(): undefined {
    return undefined;
  }
  roleById(): undefined {
    return undefined;
  }
  objects(): Iterable<CatalogObject> {
    return [];
  }
}

const schemas: readonly SchemaDesc[] = [
  { kind: "schema", id: pgCatalogSchemaId, name: "pg_catalog", owner: 10 },
  { kind: "schema", id: publicSchemaId, name: "public", owner: 10 },
];

/** Tables as lines: `name(column type [pk] [notnull] [default X], ...) [N rows]`, `[unique] index name on table(column, ...)`. */
export function fakeCatalog(...lines: readonly string[]): FakeCatalog {
  const catalog = new FakeCatalog();
  for (const line of lines) {
    const index = /^(unique )?index (\w+) on (\w+)\((.*?)\)(?: where (.*))?$/.exec(line);
    if (index !== null) {
      const table = catalog.table(index[3]!);
      const columns = index[4]!.split(",").map((name) => {
        const at = table.columns.findIndex((column) => column.name === name.trim());
        return at >= 0 ? at : name.trim();
      });
      catalog.addIndex(index[2]!, table, columns, {
        unique: index[1] !== undefined,
        predicateSql: index[5],
      });
      continue;
    }
    const table = /^(\w+)\((.*)\)(?: (\d+) rows)?$/.exec(line);
    assert(table !== null, `test catalog line ${line}`);
    const primaryKey: number[] = [];
    const columns = table[2]!.split(",").map((part, at) => {
      const words = part.trim().split(" ");
      if (words.includes("pk")) primaryKey.push(at);
      const isDefault = words.indexOf("default");
      return {
        name: words[0]!,
        typeName: words[1]!,
        notNull: words.includes("pk") || words.includes("notnull"),
        defaultSql: isDefault < 0 ? undefined : words.slice(isDefault + 1).join(" "),
      };
    });
    catalog.addTable(table[1]!, columns, {
      rows: table[3] === undefined ? 1000 : Number(table[3]),
      ...(primaryKey.length > 0 ? { primaryKey } : {}),
    });
  }
  return catalog;
}

export function testEnv(catalog: FakeCatalog, parameterTypes: number[] = []): PrepareEnv {
  return {
    catalog,
    searchPath: ["public"],
    parameterTypes,
    tableSize: (id) => catalog.sizes.get(id) ?? { rows: 0, pages: 0 },
  };
}
