/**
 * The relations that the server computes: PostgreSQL's system catalogs (shapes.ts), `sys` and the MON$ tables. A
 * relation without a provider is empty, with exact columns: clients probe many catalogs that have nothing to say here.
 *
 * Invariant: a provider's rows name only columns of the relation's shape; the rest is NULL.
 */
import { assert } from "../../base/errors.js";
import {
  bootstrapRoleId,
  type ColumnDesc,
  informationSchemaId,
  type ObjectId,
  pgCatalogSchemaId,
  sysSchemaId,
  type VirtualTableDesc,
} from "../../model/schema.js";
import type { Value } from "../../model/value.js";
import { ownShapes } from "./own-shapes.js";
import { catalogShapes } from "./shapes.js";

export const virtualRelations: readonly VirtualTableDesc[] = makeRelations();
const byId = new Map(virtualRelations.map((relation) => [relation.id, relation]));
const positions = new Map<ObjectId, ReadonlyMap<string, number>>();

function makeRelations(): VirtualTableDesc[] {
  const relations: VirtualTableDesc[] = [];
  for (const [schema, name, oid, , columns] of catalogShapes) {
    relations.push(
      relation(schema === "pg_catalog" ? pgCatalogSchemaId : informationSchemaId, name, oid, columns),
    );
  }
  ownShapes.forEach(([schema, name, columns], place) => {
    relations.push(
      relation(schema === "sys" ? sysSchemaId : pgCatalogSchemaId, name, 14100 + place, columns),
    );
  });
  return relations;
}

function relation(schemaId: ObjectId, name: string, id: ObjectId, columns: string): VirtualTableDesc {
  return {
    kind: "virtual",
    id,
    name,
    schemaId,
    owner: bootstrapRoleId,
    columns: columns.split(",").map((column): ColumnDesc => {
      const [columnName, type] = column.split(" ");
      assert(columnName !== undefined && type !== undefined, `shape of ${name}`);
      return {
        name: columnName,
        type: { oid: Number.parseInt(type, 10), typmod: -1 },
        notNull: type.endsWith("!"),
      };
    }),
  };
}

export type CatalogRow = { readonly [column: string]: Value };

/** Puts named values into the relation's column order. */
export function rowOf(relationId: ObjectId, row: CatalogRow): Value[] {
  let columns = positions.get(relationId);
  const desc = byId.get(relationId);
  assert(desc !== undefined, `virtual relation ${relationId}`);
  if (columns === undefined) {
    columns = new Map(desc.columns.map((column, place) => [column.name, place]));
    positions.set(relationId, columns);
  }
  const values: Value[] = new Array(desc.columns.length).fill(null);
  for (const name in row) {
    const place = columns.get(name);
    assert(place !== undefined, `column ${name} of ${desc.name}`);
    values[place] = row[name]!;
  }
  return values;
}

export function virtualRelation(id: ObjectId): VirtualTableDesc {
  const desc = byId.get(id);
  assert(desc !== undefined, `virtual relation ${id}`);
  return desc;
}
