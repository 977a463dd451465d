/**
 * DROP and everything that goes with it: dependencies, CASCADE and RESTRICT, as PostgreSQL tells them.
 *
 * Dependencies are not stored: they follow from the descriptors (an index names its table, a view what it reads). An
 * *automatic* dependent goes silently with what it belongs to; a *normal* one stops the drop or goes by CASCADE.
 */
import { DbError, notSupported } from "../../base/errors.js";
import type { CatalogObject, ColumnDesc, ObjectId, SchemaDesc, TableDesc } from "../../model/schema.js";
import type { Drop, ObjectName } from "../../sql/ast.js";
import { type DdlContext, nameText } from "./context.js";
import { defaultReads } from "./stored.js";

/** A whole object, one column of a table, or one column's default. */
export type Target =
  | { readonly kind: "object"; readonly id: ObjectId }
  | { readonly kind: "column"; readonly id: ObjectId; readonly column: number }
  | { readonly kind: "default"; readonly id: ObjectId; readonly column: number };

interface Dependent {
  readonly target: Target;
  readonly automatic: boolean;
}

const keyOf = (target: Target): string =>
  target.kind === "object" ? `o${target.id}` : `${target.kind}${target.id}.${target.column}`;

/** What stands on `target`. */
function dependents(ddl: DdlContext, target: Target): Dependent[] {
  const found: Dependent[] = [];
  const add = (next: Target, automatic: boolean): void => {
    found.push({ target: next, automatic });
  };
  const draft = ddl.draft;
  if (target.kind === "default") return found;
  if (target.kind === "column") {
    const table = draft.relationById(target.id) as TableDesc;
    for (const index of draft.indexesOf(target.id)) {
      const keys = index.columns.some(
        (key) => key.column === target.column || mentions(key.expressionSql, table.columns[target.column]),
      );
      if (
        keys ||
        index.include?.includes(target.column) === true ||
        mentions(index.predicateSql, table.columns[target.column])
      )
        add({ kind: "object", id: index.id }, true);
    }
    for (const constraint of draft.constraintsOf(target.id)) {
      if (constraint.columns.includes(target.column)) add({ kind: "object", id: constraint.id }, true);
    }
    for (const reference of draft.referencesTo(target.id)) {
      if (reference.referencedColumns.includes(target.column))
        add({ kind: "object", id: reference.id }, false);
    }
    for (const object of draft.objects()) {
      if (
        object.kind === "view" &&
        object.dependsOn.some(([id, column]) => id === target.id && column === target.column)
      )
        add({ kind: "object", id: object.id }, false);
      if (
        object.kind === "policy" &&
        object.dependsOn.some(([id, column]) => id === target.id && column === target.column)
      )
        add({ kind: "object", id: object.id }, false);
      if (
        object.kind === "sequence" &&
        object.ownedBy?.tableId === target.id &&
        object.ownedBy.column === target.column
      )
        add({ kind: "object", id: object.id }, true);
    }
    return found;
  }
  const object = draft.get(target.id) as CatalogObject | undefined;
  switch (object?.kind) {
    case "table":
      for (const index of draft.indexesOf(object.id)) add({ kind: "object", id: index.id }, true);
      for (const constraint of draft.constraintsOf(object.id))
        add({ kind: "object", id: constraint.id }, true);
      for (const policy of draft.policiesOf(object.id)) add({ kind: "object", id: policy.id }, true);
      for (const reference of draft.referencesTo(object.id)) {
        if (reference.tableId !== object.id) add({ kind: "object", id: reference.id }, false);
      }
      break;
    case "index":
      for (const constraint of draft.constraintsOf(object.tableId)) {
        if (
          (constraint.type === "primaryKey" || constraint.type === "unique") &&
          constraint.indexId === object.id
        )
          add({ kind: "object", id: constraint.id }, true);
      }
      for (const reference of draft.referencesTo(object.tableId)) {
        if (reference.referencedIndexId === object.id) add({ kind: "object", id: reference.id }, false);
      }
      break;
    case "constraint":
      if (object.type === "primaryKey" || object.type === "unique")
        add({ kind: "object", id: object.indexId }, true);
      break;
    case "sequence":
      for (const other of draft.objects()) {
        if (other.kind !== "table") continue;
        other.columns.forEach((column, place) => {
          if (column.defaultSql !== undefined && defaultReads(column, object.id))
            add({ kind: "default", id: other.id, column: place }, false);
        });
      }
      break;
    case "schema":
      for (const other of draft.objects()) {
        if (
          (other.kind === "table" || other.kind === "view" || other.kind === "sequence") &&
          other.schemaId === object.id
        )
          add({ kind: "object", id: other.id }, false);
      }
      break;
    default:
      break;
  }
  for (const other of draft.objects()) {
    if (
      other.kind === "view" &&
      (object?.kind === "table" || object?.kind === "view") &&
      other.dependsOn.some(([id]) => id === target.id)
    )
      add({ kind: "object", id: other.id }, false);
    if (
      other.kind === "policy" &&
      other.tableId !== target.id &&
      other.dependsOn.some(([id]) => id === target.id)
    )
      add({ kind: "object", id: other.id }, false);
    if (other.kind === "sequence" && object?.kind === "table" && other.ownedBy?.tableId === target.id)
      add({ kind: "object", id: other.id }, true);
  }
  return found;
}

function mentions(sql: string | undefined, column: ColumnDesc | undefined): boolean {
  if (sql === undefined || column === undefined) return false;
  const plain = /^[a-z_][a-z0-9_]*$/.test(column.name)
    ? column.name
    : `"${column.name.replaceAll('"', '""')}"`;
  return new RegExp(`(?<![\\w"$])${plain.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?![\\w"$])`).test(sql);
}

/** PostgreSQL's words for an object. */
export function describe(ddl: DdlContext, target: Target): string {
  const draft = ddl.draft;
  const shown = (schemaId: ObjectId, name: string): string =>
    ddl.session.searchPathIds().includes(schemaId) ? name : `${draft.schemaById(schemaId)?.name}.${name}`;
  if (target.kind !== "object") {
    const table = draft.relationById(target.id) as TableDesc;
    const column = table.columns[target.column]?.name;
    const text = `column ${column} of table ${shown(table.schemaId, table.name)}`;
    return target.kind === "column" ? text : `default value for ${text}`;
  }
  const object = draft.get(target.id);
  switch (object?.kind) {
    case "table":
    case "view":
    case "sequence":
    case "index":
      return `${object.kind} ${shown(object.schemaId, object.name)}`;
    case "policy":
    case "constraint": {
      const table = draft.relationById(object.tableId);
      return `${object.kind} ${object.name} on table ${table === undefined ? "" : shown(table.schemaId, table.name)}`;
    }
    default:
      return object === undefined ? "object" : `${object.kind} ${"name" in object ? object.name : ""}`;
  }
}

/**
 * Removes the roots and what depends on them. Without `cascade` a normal dependent outside the roots is 2BP01.
 */
export async function dropTargets(
  ddl: DdlContext,
  roots: readonly Target[],
  cascade: boolean,
  what?: string,
): Promise<void> {
  const order: Target[] = [];
  const seen = new Map<string, { automatic: boolean; via: Target | undefined }>();
  const rootKeys = new Set(roots.map(keyOf));
  const queue: { target: Target; automatic: boolean; via: Target | undefined }[] = roots.map((target) => ({
    target,
    automatic: true,
    via: undefined,
  }));
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const key = keyOf(next.target);
    const before = seen.get(key);
    if (before !== undefined) {
      // Reached both ways: what goes silently with a root does not block it.
      if (next.automatic) before.automatic = true;
      continue;
    }
    seen.set(key, { automatic: next.automatic, via: next.via });
    order.push(next.target);
    for (const { target, automatic } of dependents(ddl, next.target))
      queue.push({ target, automatic, via: next.target });
  }
  const others = order.filter(
    (target) =>
      !rootKeys.has(keyOf(target)) &&
      !seen.get(keyOf(target))!.automatic &&
      // A part of a table that goes is not told apart from it.
      (target.kind === "object" || !seen.has(keyOf({ kind: "object", id: target.id }))),
  );
  const lines = others.map(
    (target) => `${describe(ddl, target)} depends on ${describe(ddl, seen.get(keyOf(target))!.via!)}`,
  );
  if (others.length > 0 && !cascade) {
    const subject = roots.length === 1 ? describe(ddl, roots[0]!) : "desired object(s)";
    throw new DbError(
      "dependentObjectsStillExist",
      `cannot drop ${what ?? subject} because other objects depend on it`.replace(
        "(s) because other objects depend on it",
        "(s) because other objects depend on them",
      ),
      {
        detail: lines.join("\n"),
        hint: "Use DROP ... CASCADE to drop the dependent objects too.",
      },
    );
  }
  if (others.length === 1) ddl.notice(`drop cascades to ${describe(ddl, others[0]!)}`);
  else if (others.length > 1) {
    ddl.notice(
      `drop cascades to ${others.length} other objects`,
      "00000",
      others.map((target) => `drop cascades to ${describe(ddl, target)}`).join("\n"),
    );
  }
  for (const target of order) await lockForDrop(ddl, target);
  for (const target of order) remove(ddl, target);
}

async function lockForDrop(ddl: DdlContext, target: Target): Promise<void> {
  const object = ddl.draft.get(target.id) as CatalogObject | undefined;
  const tableId =
    object?.kind === "index" || object?.kind === "constraint" || object?.kind === "policy"
      ? object.tableId
      : target.id;
  const relation = ddl.draft.relationById(tableId);
  if (relation !== undefined)
    await ddl.lockWhole(relation.id, "AccessExclusive", relation.name, "DROP TABLE");
}

function remove(ddl: DdlContext, target: Target): void {
  const draft = ddl.draft;
  if (target.kind === "object") {
    const object = draft.get(target.id);
    if (object === undefined) return;
    for (const extra of [...draft.objects()]) {
      if (
        (extra.kind === "comment" && extra.objectId === target.id) ||
        (extra.kind === "statistics" && extra.tableId === target.id)
      )
        draft.delete(extra.id);
    }
    draft.delete(target.id);
    return;
  }
  const table = draft.relationById(target.id);
  if (table === undefined || table.kind !== "table") return;
  const columns = table.columns.map((column, place): ColumnDesc => {
    if (place !== target.column) return column;
    if (target.kind === "default") {
      const { defaultSql: _, sequenceId: __, identity: ___, ...rest } = column;
      return rest;
    }
    // The name is freed, the place kept: attribute numbers are for ever.
    return {
      name: `........pg.dropped.${place + 1}........`,
      type: column.type,
      notNull: false,
      dropped: true,
    };
  });
  draft.put({ ...table, columns, format: target.kind === "column" ? table.format + 1 : table.format });
}

const kinds: Readonly<
  Partial<Record<Drop["objectType"], "table" | "view" | "sequence" | "index" | "schema">>
> = {
  table: "table",
  view: "view",
  sequence: "sequence",
  index: "index",
  schema: "schema",
};

const unsupportedTypes: Readonly<Partial<Record<Drop["objectType"], string>>> = {
  materializedView: "materialized view",
  foreignTable: "foreign table",
  type: "type",
  domain: "type",
  collation: "collation",
  conversion: "conversion",
  statistics: "statistics object",
  extension: "extension",
  language: "language",
  server: "server",
  foreignDataWrapper: "foreign-data wrapper",
  publication: "publication",
  eventTrigger: "event trigger",
  tablespace: "tablespace",
};

export async function drop(ddl: DdlContext, statement: Drop): Promise<void> {
  const kind = kinds[statement.objectType];
  if (kind === undefined) {
    dropUnknown(ddl, statement);
    return;
  }
  const targets: Target[] = [];
  for (const name of statement.names) {
    const found = kind === "schema" ? findSchema(ddl, name) : findRelation(ddl, statement, name, kind);
    if (found === undefined) {
      missing(ddl, kind, name, statement.ifExists);
      continue;
    }
    targets.push({ kind: "object", id: found });
  }
  if (targets.length === 0) return;
  await dropTargets(ddl, targets, statement.cascade);
}

function missing(ddl: DdlContext, kind: string, name: ObjectName, ifExists: boolean): void {
  const text = nameText(name.name);
  const noSchema = name.name.schema !== undefined && ddl.draft.schemaByName(name.name.schema) === undefined;
  if (ifExists) {
    ddl.notice(
      noSchema
        ? `schema "${name.name.schema}" does not exist, skipping`
        : `${kind} "${name.name.name}" does not exist, skipping`,
    );
    return;
  }
  if (noSchema) throw new DbError("invalidSchemaName", `schema "${name.name.schema}" does not exist`);
  if (kind === "schema") throw new DbError("invalidSchemaName", `schema "${text}" does not exist`);
  if (kind === "index") throw new DbError("undefinedObject", `index "${text}" does not exist`);
  throw new DbError("undefinedTable", `${kind} "${text}" does not exist`);
}

function findSchema(ddl: DdlContext, name: ObjectName): ObjectId | undefined {
  const schema: SchemaDesc | undefined = ddl.draft.schemaByName(name.name.name);
  if (schema === undefined) return undefined;
  ddl.mustOwn(schema, "schema", schema.name);
  if (schema.id < 16384 && schema.name !== "public") {
    throw new DbError(
      "dependentObjectsStillExist",
      `cannot drop schema ${schema.name} because it is required by the database system`,
    );
  }
  return schema.id;
}

function findRelation(
  ddl: DdlContext,
  statement: Drop,
  name: ObjectName,
  kind: string,
): ObjectId | undefined {
  const index = ddl.findIndex(name.name);
  const relation = ddl.findRelation(name.name);
  const found = kind === "index" ? (index ?? relation) : (relation ?? index);
  if (found === undefined) return undefined;
  if (found.kind !== kind) {
    const article =
      { table: "a table", view: "a view", sequence: "a sequence", index: "an index" }[kind] ?? kind;
    const real = found.kind === "virtual" ? "table" : found.kind;
    if (found.kind !== "virtual") {
      throw new DbError("wrongObjectType", `"${found.name}" is not ${article}`, {
        hint: `Use DROP ${real.toUpperCase()} to remove ${real === "index" ? "an" : "a"} ${real}.`,
      });
    }
  }
  if (found.kind === "virtual")
    throw new DbError("insufficientPrivilege", `permission denied: "${found.name}" is a system catalog`);
  if (found.kind === "index") {
    const table = ddl.draft.relationById(found.tableId) as TableDesc;
    ddl.mustOwn(table, "index", found.name);
    const constraint = ddl.draft
      .constraintsOf(table.id)
      .find((one) => (one.type === "primaryKey" || one.type === "unique") && one.indexId === found.id);
    if (constraint !== undefined) {
      throw new DbError(
        "dependentObjectsStillExist",
        `cannot drop index ${found.name} because constraint ${constraint.name} on table ${table.name} requires it`,
        {
          hint: `You can drop constraint ${constraint.name} on table ${table.name} instead.`,
        },
      );
    }
  } else {
    const schema = ddl.draft.schemaById(found.schemaId);
    if (schema === undefined || schema.owner !== ddl.roleId) ddl.mustOwn(found, found.kind, found.name);
  }
  if (found.kind === "sequence" && found.ownedBy !== undefined && statement.objectType === "sequence") {
    const table = ddl.draft.relationById(found.ownedBy.tableId) as TableDesc | undefined;
    if (table?.columns[found.ownedBy.column]?.identity !== undefined) {
      const column = table.columns[found.ownedBy.column]!.name;
      throw new DbError(
        "dependentObjectsStillExist",
        `cannot drop sequence ${found.name} because column ${column} of table ${table.name} requires it`,
        {
          hint: `You can drop column ${column} of table ${table.name} instead.`,
        },
      );
    }
  }
  return found.id;
}

/** Kinds of which none can exist here yet: IF EXISTS finds none, plain DROP says so. */
function dropUnknown(ddl: DdlContext, statement: Drop): void {
  for (const name of statement.names) {
    const text = nameText(name.name);
    switch (statement.objectType) {
      case "function":
      case "procedure":
      case "aggregate":
      case "routine": {
        const what = statement.objectType === "routine" ? "routine" : statement.objectType;
        const shown = name.args === undefined ? text : `${text}()`;
        if (statement.ifExists) ddl.notice(`${what} ${shown} does not exist, skipping`);
        else
          throw new DbError(
            "undefinedFunction",
            name.args === undefined
              ? `could not find a ${what} named "${text}"`
              : `${what} ${shown} does not exist`,
          );
        break;
      }
      case "trigger":
      case "rule": {
        const table = name.on === undefined ? undefined : ddl.findRelation(name.on);
        if (name.on !== undefined && table === undefined) {
          if (statement.ifExists) ddl.notice(`relation "${nameText(name.on)}" does not exist, skipping`);
          else throw new DbError("undefinedTable", `relation "${nameText(name.on)}" does not exist`);
          break;
        }
        const where = `${statement.objectType} "${text}" for ${statement.objectType === "rule" ? "relation" : "table"} "${table?.name}"`;
        if (statement.ifExists)
          ddl.notice(
            `${statement.objectType} "${text}" for relation "${table?.name}" does not exist, skipping`,
          );
        else throw new DbError("undefinedObject", `${where} does not exist`);
        break;
      }
      default: {
        const what = unsupportedTypes[statement.objectType];
        if (what === undefined) throw notSupported(`DROP ${statement.objectType}`);
        if (statement.ifExists) ddl.notice(`${what} "${text}" does not exist, skipping`);
        else throw new DbError("undefinedObject", `${what} "${text}" does not exist`);
      }
    }
  }
}
