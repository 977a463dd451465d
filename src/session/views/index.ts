/** Computed catalogs: which relations there are, and their rows for a session. */
import { informationSchemaId, type ObjectId, pgCatalogSchemaId } from "../../model/schema.js";
import type { Value } from "../../model/value.js";
import type { ServerSession } from "../session.js";
import type { Provider, ViewContext } from "./context.js";
import { informationSchemaProviders, pgCatalogProviders } from "./pg-catalog.js";
import { rowOf, virtualRelation } from "./registry.js";
import { systemProviders } from "./system.js";

export type { SessionInfo } from "./context.js";
export { constraintDefinition, indexDefinition } from "./definitions.js";
export { virtualRelations } from "./registry.js";

function providerOf(schemaId: ObjectId, name: string): Provider | undefined {
  if (schemaId === pgCatalogSchemaId) return pgCatalogProviders[name] ?? systemProviders[name];
  if (schemaId === informationSchemaId) return informationSchemaProviders[name];
  return systemProviders[`sys.${name}`];
}

export function* virtualRows(session: ServerSession, relationId: ObjectId): Iterable<readonly Value[]> {
  const relation = virtualRelation(relationId);
  const provider = providerOf(relation.schemaId, relation.name);
  if (provider === undefined) return;
  const context = contextOf(session);
  for (const row of provider(context)) yield rowOf(relationId, row);
}

function contextOf(session: ServerSession): ViewContext {
  const { server } = session;
  return {
    catalog: session.catalog,
    database: session.database,
    roleId: session.currentRoleId,
    isSuperuser: session.catalog.roleById(session.currentRoleId)?.superuser === true,
    shards: server.shards.map((shard) => shard.engine),
    *sessions() {
      for (const other of server.sessions()) yield other.info();
    },
    *settings() {
      for (const row of session.settings.rows()) {
        yield {
          name: row.name,
          setting: row.setting,
          unit: row.unit,
          category: row.category,
          description: row.shortDescription,
          context: row.context,
          vartype: row.vartype,
          source: row.source,
          minimum: row.minVal,
          maximum: row.maxVal,
          values: row.enumVals,
          bootValue: row.bootVal,
          resetValue: row.resetVal,
        };
      }
    },
    tableLocks: () => session.shard.locks.list(),
    tableSize: (table) => session.tableSize(table),
    sequenceValue: (id) => {
      const relation = session.catalog.relationById(id);
      return relation?.kind === "sequence" ? session.engine.sequence(relation.storageId).read() : undefined;
    },
    searchPathIds: () => session.searchPathIds(),
    *preparedStatements() {
      for (const prepared of session.prepared.values()) {
        if (prepared.name !== "")
          yield {
            name: prepared.name,
            statement: prepared.text,
            types: prepared.parameterTypes,
            fromSql: prepared.fromSql,
            preparedAt: prepared.preparedAt,
          };
      }
    },
    *cursors() {
      for (const portal of session.portals.values()) {
        const { cursor } = portal;
        if (cursor !== undefined)
          yield {
            name: portal.name,
            statement: cursor.text,
            holdable: cursor.hold,
            binary: cursor.binary,
            scrollable: cursor.scroll === true,
            createdAt: cursor.createdAt,
          };
      }
    },
    poolPages: server.options.poolPages,
    pageSize: server.options.pageSize,
  };
}
