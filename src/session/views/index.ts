/** Computed catalogs: which relations there are, and their rows for a session. */
import { informationSchemaId, type ObjectId, pgCatalogSchemaId, sysSchemaId } from "../../model/schema.js";
import type { Value } from "../../model/value.js";
import type { ServerSession } from "../session.js";
import { auditRelations } from "./audit.js";
import { authenticationProviders } from "./authentication.js";
import { clusterProviders } from "./cluster.js";
import type { Provider, ViewContext } from "./context.js";
import { informationSchemaProviders, pgCatalogProviders } from "./pg-catalog.js";
import { rowOf, virtualRelation } from "./registry.js";
import { bundleProviders } from "./security-bundle.js";
import { systemProviders } from "./system.js";

export type { SessionInfo } from "./context.js";
export { constraintDefinition, indexDefinition } from "./definitions.js";
export { virtualRelations } from "./registry.js";

function providerOf(schemaId: ObjectId, name: string): Provider | undefined {
  if (schemaId === pgCatalogSchemaId)
    return pgCatalogProviders[name] ?? systemProviders[name] ?? authenticationProviders[name];
  if (schemaId === informationSchemaId) return informationSchemaProviders[name];
  return (
    clusterProviders[name] ??
    bundleProviders[name] ??
    systemProviders[`sys.${name}`] ??
    authenticationProviders[`sys.${name}`]
  );
}

/**
 * Catalogs that follow from the catalog state alone: their rows are kept until it changes, since client queries join
 * them many times over. What they show of sizes may be as old as the last catalog change.
 */
const keptRelations = new Set([
  "pg_namespace",
  "pg_class",
  "pg_attribute",
  "pg_attrdef",
  "pg_index",
  "pg_constraint",
  "pg_type",
  "pg_proc",
  "pg_aggregate",
  "pg_operator",
  "pg_cast",
  "pg_depend",
  "pg_description",
  "pg_opclass",
  "pg_collation",
  "pg_rewrite",
  "pg_indexes",
  "pg_policy",
  "pg_tables",
  "pg_views",
  "pg_am",
  "pg_database",
  "columns",
  "tables",
  "table_constraints",
  "key_column_usage",
  "constraint_column_usage",
  "referential_constraints",
]);

interface KeptRows {
  readonly version: number;
  readonly rows: Map<ObjectId, readonly (readonly Value[])[]>;
}
/** By catalog (the applied state, or one transaction's draft). */
const kept = new WeakMap<object, KeptRows>();

export function virtualRows(session: ServerSession, relationId: ObjectId): Iterable<readonly Value[]> {
  const relation = virtualRelation(relationId);
  if (relation.schemaId === sysSchemaId && Object.hasOwn(auditRelations, relation.name))
    return auditRelations[relation.name]!(session, relationId);
  const provider = providerOf(relation.schemaId, relation.name);
  if (provider === undefined) return [];
  if (!keptRelations.has(relation.name)) return rowsOf(session, relationId, provider);
  const { catalog } = session;
  let store = kept.get(catalog);
  if (store === undefined || store.version !== catalog.version) {
    store = { version: catalog.version, rows: new Map() };
    kept.set(catalog, store);
  }
  let rows = store.rows.get(relationId);
  if (rows === undefined) {
    rows = [...rowsOf(session, relationId, provider)];
    store.rows.set(relationId, rows);
  }
  return rows;
}

function* rowsOf(
  session: ServerSession,
  relationId: ObjectId,
  provider: Provider,
): Iterable<readonly Value[]> {
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
    // What is stored elsewhere is not known here, and the catalogs are read all the same.
    tableSize: (table) => (session.shard.isHere ? session.tableSize(table) : { pages: 0, rows: 0 }),
    sequenceValue: (id) => {
      const relation = session.shard.isHere ? session.catalog.relationById(id) : undefined;
      return relation?.kind === "sequence" ? session.engine.sequence(relation.storageId).read() : undefined;
    },
    searchPathIds: () => session.searchPathIds(),
    expressionText: (text, relationId) =>
      session.eval.service("catalogInfo").expressionText(text, relationId, false),
    showsColumn: (table, place) => session.access.showsColumn(table, place),
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
    cluster: server.admin,
    churn: () => server.options.churn?.rows(session.clock.now()) ?? [],
    performance: () => server.performance(),
    alerts: () => server.alerts(),
    now: session.now(),
    poolPages: server.options.poolPages,
    pageSize: server.options.pageSize,
  };
}
