/**
 * Statements that change the catalog, from syntax tree to command tag. Each works on the transaction's draft; nothing
 * of it is seen by others before the commit (D8).
 */
import { DbError, notSupported } from "../../base/errors.js";
import { firstUserObjectId, type SchemaDesc, type TableDesc, type ViewDesc } from "../../model/schema.js";
import type { CreateSchema, CreateView, Statement, Truncate } from "../../sql/ast.js";
import { retrying } from "../transaction.js";
import { alterObjectSchema, alterOwner, alterTable, comment, emptyTable, rename } from "./alter.js";
import { changeConnectionRules } from "./connection-rules.js";
import { DdlContext, type DdlSession, nameText, wrongKind } from "./context.js";
import { drop } from "./drop.js";
import { createIndex } from "./indexes.js";
import { keepBundleRules } from "./kept-rules.js";
import { alterPolicy, createPolicy, dropPolicy } from "./policies.js";
import {
  alterGroup,
  alterRole,
  alterRoleSet,
  createRole,
  dropOwned,
  dropRole,
  grant,
  grantRole,
  reassignOwned,
} from "./roles.js";
import { createSequence } from "./sequences.js";
import { storedView } from "./stored.js";
import { createTable, viewOptions } from "./tables.js";

export { DdlContext, type DdlSession } from "./context.js";
export { alreadyThere, type DraftColumn, placeTable } from "./tables.js";

const objectWords: Readonly<Record<string, string>> = {
  materializedView: "MATERIALIZED VIEW",
  foreignTable: "FOREIGN TABLE",
  eventTrigger: "EVENT TRIGGER",
  accessMethod: "ACCESS METHOD",
  foreignDataWrapper: "FOREIGN DATA WRAPPER",
  operatorClass: "OPERATOR CLASS",
  operatorFamily: "OPERATOR FAMILY",
};
export const objectWord = (type: string): string => objectWords[type] ?? type.toUpperCase();

/** Kinds this module carries out; the rest of the union is none of its business. */
export type DdlStatement = Extract<
  Statement,
  {
    readonly kind:
      | "createTable"
      | "createIndex"
      | "createSequence"
      | "createSchema"
      | "createView"
      | "createRole"
      | "alterRole"
      | "alterRoleSet"
      | "alterGroup"
      | "alterTable"
      | "alterOwner"
      | "alterObjectSchema"
      | "rename"
      | "drop"
      | "truncate"
      | "comment"
      | "grant"
      | "grantRole"
      | "reassignOwned"
      | "dropOwned"
      | "connectionRule"
      | "createPolicy"
      | "alterPolicy";
  }
>;

const kinds = new Set<string>([
  "createTable",
  "createIndex",
  "createSequence",
  "createSchema",
  "createView",
  "createRole",
  "alterRole",
  "alterRoleSet",
  "alterGroup",
  "alterTable",
  "alterOwner",
  "alterObjectSchema",
  "rename",
  "drop",
  "truncate",
  "comment",
  "grant",
  "grantRole",
  "reassignOwned",
  "dropOwned",
  "connectionRule",
  "createPolicy",
  "alterPolicy",
] satisfies DdlStatement["kind"][]);

export function isDdl(statement: Statement): statement is DdlStatement {
  return kinds.has(statement.kind);
}

/** What may change what a stored text means. */
const unsettling: ReadonlySet<DdlStatement["kind"]> = new Set([
  "alterTable",
  "alterObjectSchema",
  "rename",
  "drop",
  "dropOwned",
]);

/** Carries it out; answers the command tag. */
export async function runDdl(session: DdlSession, statement: DdlStatement): Promise<string> {
  const ddl = new DdlContext(session);
  const tag = await run(ddl, statement);
  if (unsettling.has(statement.kind)) keepBundleRules(ddl);
  return tag;
}

async function run(ddl: DdlContext, statement: DdlStatement): Promise<string> {
  switch (statement.kind) {
    case "createTable":
      await createTable(ddl, statement);
      return "CREATE TABLE";
    case "createIndex":
      await createIndex(ddl, statement);
      return "CREATE INDEX";
    case "createSequence":
      await createSequence(ddl, statement);
      return "CREATE SEQUENCE";
    case "createSchema":
      await createSchema(ddl, statement);
      return "CREATE SCHEMA";
    case "createView":
      await createView(ddl, statement);
      return "CREATE VIEW";
    case "createRole":
      await createRole(ddl, statement);
      return "CREATE ROLE";
    case "alterRole":
      await alterRole(ddl, statement);
      return "ALTER ROLE";
    case "alterRoleSet":
      await alterRoleSet(ddl, statement);
      return "ALTER ROLE";
    case "alterGroup":
      await alterGroup(ddl, statement);
      return "ALTER ROLE";
    case "alterTable":
      await alterTable(ddl, statement);
      return `ALTER ${objectWord(statement.objectType)}`;
    case "alterOwner":
      await alterOwner(ddl, statement);
      return `ALTER ${objectWord(statement.objectType)}`;
    case "alterObjectSchema":
      await alterObjectSchema(ddl, statement);
      return `ALTER ${objectWord(statement.objectType)}`;
    case "rename":
      await rename(ddl, statement);
      return `ALTER ${objectWord(statement.part === undefined ? statement.objectType : (statement.within ?? "table"))}`;
    case "drop":
      if (statement.objectType === "role") await dropRole(ddl, statement);
      else if (statement.objectType === "policy") await dropPolicy(ddl, statement);
      else if (statement.objectType === "database") throw notSupported("DROP DATABASE");
      else await drop(ddl, statement);
      return `DROP ${objectWord(statement.objectType)}`;
    case "truncate":
      await truncate(ddl, statement);
      return "TRUNCATE TABLE";
    case "comment":
      await comment(ddl, statement);
      return "COMMENT";
    case "grant":
      await grant(ddl, statement);
      return statement.grant ? "GRANT" : "REVOKE";
    case "grantRole":
      await grantRole(ddl, statement);
      return statement.grant ? "GRANT ROLE" : "REVOKE ROLE";
    case "reassignOwned":
      await reassignOwned(ddl, statement);
      return "REASSIGN OWNED";
    case "dropOwned":
      await dropOwned(ddl, statement);
      return "DROP OWNED";
    case "createPolicy":
      await createPolicy(ddl, statement);
      return "CREATE POLICY";
    case "alterPolicy":
      await alterPolicy(ddl, statement);
      return "ALTER POLICY";
    case "connectionRule":
      await changeConnectionRules(ddl, statement);
      return `${statement.verb.toUpperCase()} CONNECTION RULE`;
  }
}

async function createSchema(ddl: DdlContext, statement: CreateSchema): Promise<void> {
  const owner = statement.owner === undefined ? ddl.draft.roleById(ddl.roleId)! : ddl.role(statement.owner);
  const name = statement.name ?? owner.name;
  const { database } = ddl.session;
  ddl.need("database", database.owner, database.acl, "C", `permission denied for database ${database.name}`);
  if (name.startsWith("pg_")) {
    throw new DbError("reservedName", `unacceptable schema name "${name}"`, {
      detail: 'The prefix "pg_" is reserved for system schemas.',
    });
  }
  if (ddl.draft.schemaByName(name) !== undefined) {
    if (!statement.ifNotExists) throw new DbError("duplicateSchema", `schema "${name}" already exists`);
    ddl.notice(`schema "${name}" already exists, skipping`, "42P06");
    return;
  }
  const schema: SchemaDesc = { kind: "schema", id: ddl.draft.draw(), name, owner: owner.id };
  ddl.draft.put(schema);
  await ddl.session.withSchemaFirst(schema, async () => {
    for (const element of statement.elements) {
      if (!isDdl(element)) throw notSupported(`${element.kind} inside CREATE SCHEMA`);
      const placed =
        "name" in element &&
        typeof element.name === "object" &&
        "name" in element.name &&
        !("schema" in element.name && element.name.schema !== undefined)
          ? { ...element, name: { ...element.name, schema: name } }
          : element;
      await runDdl(
        ddl.session,
        (placed.kind === "createIndex"
          ? { ...placed, table: { ...placed.table, schema: placed.table.schema ?? name } }
          : placed) as DdlStatement,
      );
    }
  });
}

async function createView(ddl: DdlContext, statement: CreateView): Promise<void> {
  if (statement.persistence === "temporary") throw notSupported("temporary views", statement.position);
  if (statement.recursive) throw notSupported("CREATE RECURSIVE VIEW", statement.position);
  if (statement.checkOption !== undefined) throw notSupported("WITH CHECK OPTION", statement.position);
  const schema = ddl.creationSchema(statement.name);
  const { name } = statement.name;
  const existing = ddl.draft.relation(schema.id, name);
  if (existing !== undefined || ddl.draft.indexByName(schema.id, name) !== undefined) {
    if (!statement.orReplace) throw new DbError("duplicateTable", `relation "${name}" already exists`);
    if (existing?.kind !== "view")
      throw wrongKind(
        existing ?? {
          ...ddl.draft.indexByName(schema.id, name)!,
          kind: "view",
          owner: 0,
          columns: [],
          querySql: "",
          dependsOn: [],
        },
        "a view",
      );
    ddl.mustOwnRelation(existing);
    await ddl.lock(existing.id, "AccessExclusive", name);
  }
  const options = viewOptions(statement.with);
  const { sql, columns, dependsOn } = storedView(ddl, statement.query, statement.columns);
  for (const [id] of dependsOn) if (id >= firstUserObjectId) ddl.draft.rely(id);
  if (existing?.kind === "view") {
    if (columns.length < existing.columns.length)
      throw new DbError("invalidTableDefinition", "cannot drop columns from view");
    existing.columns.forEach((old, place) => {
      const fresh = columns[place]!;
      if (fresh.name !== old.name) {
        throw new DbError(
          "invalidTableDefinition",
          `cannot change name of view column "${old.name}" to "${fresh.name}"`,
          { hint: "Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead." },
        );
      }
      if (fresh.type.oid !== old.type.oid) {
        throw new DbError("invalidTableDefinition", `cannot change data type of view column "${old.name}"`);
      }
    });
    const { options: _, ...kept } = existing;
    ddl.draft.put({ ...kept, columns, querySql: sql, dependsOn, ...options });
    return;
  }
  // Two ids are drawn: the second is the rule's in pg_rewrite.
  const id = ddl.draft.draw();
  ddl.draft.draw();
  const view: ViewDesc = {
    kind: "view",
    id,
    name,
    schemaId: schema.id,
    owner: ddl.roleId,
    columns,
    querySql: sql,
    dependsOn,
    ...options,
  };
  ddl.draft.put(view);
}

async function truncate(ddl: DdlContext, statement: Truncate): Promise<void> {
  const tables = new Map<number, TableDesc>();
  for (const item of statement.tables) {
    const relation = ddl.relation(item.name);
    if (relation.kind === "virtual")
      throw new DbError("insufficientPrivilege", `permission denied: "${relation.name}" is a system catalog`);
    if (relation.kind !== "table") throw wrongKind(relation, "a table");
    ddl.need("table", relation.owner, relation.acl, "D", `permission denied for table ${relation.name}`);
    tables.set(relation.id, relation);
  }
  for (let grown = true; grown; ) {
    grown = false;
    for (const table of [...tables.values()]) {
      for (const reference of ddl.draft.referencesTo(table.id)) {
        if (tables.has(reference.tableId)) continue;
        const child = ddl.draft.relationById(reference.tableId) as TableDesc;
        if (!statement.cascade) {
          throw new DbError(
            "featureNotSupported",
            "cannot truncate a table referenced in a foreign key constraint",
            {
              detail: `Table "${child.name}" references "${table.name}".`,
              hint: `Truncate table "${child.name}" at the same time, or use TRUNCATE ... CASCADE.`,
            },
          );
        }
        ddl.notice(`truncate cascades to table "${child.name}"`);
        tables.set(child.id, child);
        grown = true;
      }
    }
  }
  for (const table of tables.values())
    await ddl.lockWhole(table.id, "AccessExclusive", table.name, "TRUNCATE");
  for (const table of tables.values()) {
    await emptyTable(ddl, ddl.draft.relationById(table.id) as TableDesc);
    if (!statement.restartIdentity) continue;
    for (const object of [...ddl.draft.objects()]) {
      if (object.kind === "sequence" && object.ownedBy?.tableId === table.id) {
        // A new storage object, so that a rollback brings the old counter back.
        const storageId = ddl.draft.draw();
        const { engine } = ddl.transaction.shard;
        await retrying(() => engine.createSequence(storageId, object.start));
        ddl.transaction.storageCreated(storageId);
        ddl.draft.put({ ...object, storageId });
      }
    }
  }
}

export { nameText };
