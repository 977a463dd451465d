/**
 * ALTER TABLE and its kin. Most actions change the descriptor alone; ADD COLUMN with a default stores the value that old
 * rows have (MGA-14); a type change rewrites the rows into new storage.
 */
import { DbError, notSupported } from "../../base/errors.js";
import type {
  CatalogObject,
  ColumnDesc,
  IndexDesc,
  ObjectId,
  RelationDesc,
  SequenceDesc,
  TableDesc,
} from "../../model/schema.js";
import type { Value } from "../../model/value.js";
import { aclKindOf, rolesOf, withOwner } from "../../security/privileges.js";
import { tableSpec } from "../../shard/index.js";
import type {
  AlterObjectSchema,
  AlterOwner,
  AlterTable,
  AlterTableAction,
  Comment,
  Rename,
} from "../../sql/ast.js";
import { quoteIdentifier } from "../../sql/functions/index.js";
import { resolveTypeName } from "../queries.js";
import { retrying } from "../transaction.js";
import { type DdlContext, nameText, wrongKind } from "./context.js";
import { describe, dropTargets, type Target } from "./drop.js";
import { notThere, refuseRowSecurity, renamePolicy, switchRowSecurity } from "./policies.js";
import { alterSequence, makeSequence, ownedSequenceName, sequenceNamed } from "./sequences.js";
import { constantDefault, renamedSql, storedAlterUsing } from "./stored.js";
import {
  addConstraints,
  checkColumnNames,
  checkReferences,
  collectTableConstraint,
  defaultOf,
  draftColumn,
  fillColumn,
  noConstraints,
  placeIndex,
  qualified,
  refuseShard,
  requireNoNulls,
  schemaName,
  storageOptions,
  viewOptions,
} from "./tables.js";

type ActionOf<Kind extends AlterTableAction["kind"]> = Extract<AlterTableAction, { readonly kind: Kind }>;

export async function alterTable(ddl: DdlContext, statement: AlterTable): Promise<void> {
  const index = statement.objectType === "index" ? ddl.findIndex(statement.name) : undefined;
  const relation = index === undefined ? ddl.findRelation(statement.name) : undefined;
  if (index === undefined && relation === undefined) {
    if (statement.ifExists) {
      ddl.notice(`relation "${nameText(statement.name)}" does not exist, skipping`);
      return;
    }
    throw new DbError("undefinedTable", `relation "${nameText(statement.name)}" does not exist`, {
      position: statement.name.position,
    });
  }
  if (index !== undefined) {
    for (const action of statement.actions) {
      if (action.kind !== "setOptions" && action.kind !== "resetOptions" && action.kind !== "setStatistics")
        throw notSupported(`ALTER INDEX ${action.kind}`);
    }
    return;
  }
  const target = relation!;
  ddl.mustOwnRelation(target);
  if (statement.objectType === "sequence" && target.kind !== "sequence")
    throw wrongKind(target, "a sequence");
  if (statement.objectType === "view" && target.kind !== "view") throw wrongKind(target, "a view");
  for (const action of statement.actions) {
    if (action.kind === "rowSecurity" && target.kind !== "table")
      throw refuseRowSecurity(target.name, target.kind, action.mode);
  }
  if (
    statement.objectType === "table" &&
    target.kind === "sequence" &&
    statement.actions.some((action) => action.kind !== "ownerTo")
  )
    throw wrongKind(target, "a table");
  await ddl.lockWhole(target.id, "AccessExclusive", target.name, "ALTER TABLE");
  for (const action of statement.actions) await alterAction(ddl, target.id, action);
}

function tableOf(ddl: DdlContext, id: ObjectId): TableDesc {
  const relation = ddl.draft.relationById(id);
  if (relation === undefined || relation.kind !== "table")
    throw wrongKind(relation as RelationDesc, "a table");
  return relation;
}

function columnOf(
  table: { readonly name: string; readonly columns: readonly ColumnDesc[] },
  name: string,
): number {
  const place = table.columns.findIndex((column) => column.name === name && column.dropped !== true);
  if (place < 0)
    throw new DbError("undefinedColumn", `column "${name}" of relation "${table.name}" does not exist`);
  return place;
}

function putColumn(
  ddl: DdlContext,
  table: TableDesc,
  place: number,
  change: (column: ColumnDesc) => ColumnDesc,
): void {
  ddl.draft.put({
    ...table,
    columns: table.columns.map((column, at) => (at === place ? change(column) : column)),
  });
}

async function alterAction(ddl: DdlContext, id: ObjectId, action: AlterTableAction): Promise<void> {
  switch (action.kind) {
    case "addColumn":
      return addColumn(ddl, tableOf(ddl, id), action);
    case "dropColumn":
      return dropColumn(ddl, tableOf(ddl, id), action);
    case "alterType":
      return alterType(ddl, tableOf(ddl, id), action);
    case "setDefault": {
      const relation = ddl.draft.relationById(id);
      if (relation?.kind === "view") throw notSupported("ALTER VIEW SET DEFAULT", action.position);
      const table = tableOf(ddl, id);
      const place = columnOf(table, action.column);
      refuseIdentity(table, place);
      putColumn(ddl, table, place, ({ defaultSql: _, ...column }) => ({
        ...column,
        ...defaultOf(ddl, action.expr, column),
      }));
      return;
    }
    case "dropDefault": {
      const table = tableOf(ddl, id);
      const place = columnOf(table, action.column);
      refuseIdentity(table, place);
      putColumn(ddl, table, place, ({ defaultSql: _, ...column }) => column);
      return;
    }
    case "setNotNull": {
      const table = tableOf(ddl, id);
      const place = columnOf(table, action.column);
      if (!table.columns[place]!.notNull) await requireNoNulls(ddl, table, [place]);
      putColumn(ddl, table, place, (column) => ({ ...column, notNull: true }));
      return;
    }
    case "dropNotNull": {
      const table = tableOf(ddl, id);
      const place = columnOf(table, action.column);
      if (table.columns[place]!.identity !== undefined) {
        throw new DbError(
          "syntaxError",
          `column "${action.column}" of relation "${table.name}" is an identity column`,
        );
      }
      if (
        ddl.draft.constraintsOf(id).some((one) => one.type === "primaryKey" && one.columns.includes(place))
      ) {
        throw new DbError("invalidTableDefinition", `column "${action.column}" is in a primary key`);
      }
      putColumn(ddl, table, place, (column) => ({ ...column, notNull: false }));
      return;
    }
    case "addIdentity":
      return addIdentity(ddl, tableOf(ddl, id), action);
    case "setIdentity": {
      const table = tableOf(ddl, id);
      const place = columnOf(table, action.column);
      const column = identityColumn(table, place);
      if (action.options.length > 0)
        await alterSequence(ddl, ddl.draft.relationById(column.sequenceId!) as SequenceDesc, action.options);
      if (action.always !== undefined)
        putColumn(ddl, tableOf(ddl, id), place, (one) => ({
          ...one,
          identity: action.always === true ? "always" : "byDefault",
        }));
      return;
    }
    case "dropIdentity": {
      const table = tableOf(ddl, id);
      const place = columnOf(table, action.column);
      if (table.columns[place]!.identity === undefined && action.ifExists) {
        ddl.notice(
          `column "${action.column}" of relation "${table.name}" is not an identity column, skipping`,
        );
        return;
      }
      const { sequenceId } = identityColumn(table, place);
      putColumn(ddl, table, place, ({ identity: _, sequenceId: __, ...column }) => column);
      if (sequenceId !== undefined) await dropTargets(ddl, [{ kind: "object", id: sequenceId }], true);
      return;
    }
    case "addConstraint": {
      const pending = noConstraints();
      collectTableConstraint(action.constraint, pending);
      await addConstraints(ddl, id, pending, false);
      return;
    }
    case "dropConstraint": {
      const table = tableOf(ddl, id);
      const constraint = ddl.draft.constraintByName(id, action.name);
      if (constraint === undefined) {
        if (action.ifExists) {
          ddl.notice(`constraint "${action.name}" of relation "${table.name}" does not exist, skipping`);
          return;
        }
        throw new DbError(
          "undefinedObject",
          `constraint "${action.name}" of relation "${table.name}" does not exist`,
        );
      }
      await dropTargets(ddl, [{ kind: "object", id: constraint.id }], action.cascade);
      return;
    }
    case "validateConstraint":
      return validateConstraint(ddl, tableOf(ddl, id), action.name);
    case "alterConstraint": {
      const table = tableOf(ddl, id);
      const constraint = ddl.draft.constraintByName(id, action.name);
      if (constraint === undefined)
        throw new DbError(
          "undefinedObject",
          `constraint "${action.name}" of relation "${table.name}" does not exist`,
        );
      if (constraint.type !== "foreignKey")
        throw new DbError(
          "wrongObjectType",
          `constraint "${action.name}" of relation "${table.name}" is not a foreign key constraint`,
        );
      const { deferrable: _, initiallyDeferred: __, ...rest } = constraint;
      const initiallyDeferred = action.timing.initiallyDeferred === true;
      const deferrable = action.timing.deferrable ?? initiallyDeferred;
      ddl.draft.put({
        ...rest,
        ...(deferrable ? { deferrable } : {}),
        ...(initiallyDeferred ? { initiallyDeferred } : {}),
      });
      return;
    }
    case "setOptions": {
      const view = ddl.draft.relationById(id);
      if (view?.kind === "view") {
        const { options } = viewOptions(action.options);
        ddl.draft.put({ ...view, options: { ...view.options, ...options } });
        return;
      }
      const table = tableOf(ddl, id);
      ddl.draft.put({ ...table, options: { ...table.options, ...storageOptions(action.options) } });
      return;
    }
    case "resetOptions": {
      const names = new Set(action.options.map((option) => option.name));
      const view = ddl.draft.relationById(id);
      if (view?.kind === "view") {
        const { options = {}, ...rest } = view;
        const left = Object.entries(options).filter(([name]) => !names.has(name));
        ddl.draft.put({ ...rest, ...(left.length === 0 ? {} : { options: Object.fromEntries(left) }) });
        return;
      }
      const table = tableOf(ddl, id);
      ddl.draft.put({
        ...table,
        options: Object.fromEntries(Object.entries(table.options ?? {}).filter(([name]) => !names.has(name))),
      });
      return;
    }
    case "ownerTo":
      changeOwner(ddl, ddl.draft.get(id) as CatalogObject, ddl.role(action.role).id);
      return;
    case "sequenceOptions":
      return alterSequence(ddl, ddl.draft.relationById(id) as SequenceDesc, action.options);
    case "setLogged":
      ddl.draft.put({ ...tableOf(ddl, id), persistence: "permanent" });
      return;
    case "setUnlogged":
      ddl.draft.put({ ...tableOf(ddl, id), persistence: "unlogged" });
      return;
    case "setStatistics":
    case "setStorage":
    case "setCompression":
    case "setColumnOptions":
    case "resetColumnOptions":
      // Hints about layout and sampling that nothing here follows: the column must exist.
      if (typeof action.column === "string") columnOf(tableOf(ddl, id), action.column);
      return;
    case "setWithoutCluster":
    case "setWithoutOids":
    case "clusterOn":
    case "replicaIdentity":
      tableOf(ddl, id);
      return;
    case "shardBy":
      refuseShard(action.shard);
      return;
    case "rowSecurity":
      switchRowSecurity(ddl, tableOf(ddl, id), action.mode);
      return;
    case "trigger":
    case "rule":
      if (action.name !== undefined)
        throw new DbError(
          "undefinedObject",
          `${action.kind} "${action.name}" for table "${tableOf(ddl, id).name}" does not exist`,
        );
      return;
    case "setTablespace":
      throw new DbError("undefinedObject", `tablespace "${action.tablespace}" does not exist`);
    case "unsupportedAction":
      throw notSupported(action.feature, action.position);
    default:
      throw notSupported(`ALTER TABLE ${action.kind}`, action.position);
  }
}

function refuseIdentity(table: TableDesc, place: number): void {
  const column = table.columns[place]!;
  if (column.identity !== undefined) {
    throw new DbError(
      "syntaxError",
      `column "${column.name}" of relation "${table.name}" is an identity column`,
      { hint: "Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead." },
    );
  }
}

function identityColumn(table: TableDesc, place: number): ColumnDesc {
  const column = table.columns[place]!;
  if (column.identity === undefined) {
    throw new DbError(
      "objectNotInPrerequisiteState",
      `column "${column.name}" of relation "${table.name}" is not an identity column`,
    );
  }
  return column;
}

async function addColumn(ddl: DdlContext, table: TableDesc, action: ActionOf<"addColumn">): Promise<void> {
  const name = action.column.name;
  if (table.columns.some((column) => column.name === name && column.dropped !== true)) {
    if (!action.ifNotExists)
      throw new DbError("duplicateColumn", `column "${name}" of relation "${table.name}" already exists`);
    ddl.notice(`column "${name}" of relation "${table.name}" already exists, skipping`, "42701");
    return;
  }
  checkColumnNames([
    ...table.columns.filter((column) => column.dropped !== true).map((column) => column.name),
    name,
  ]);
  const pending = noConstraints();
  const draft = draftColumn(table.name, action.column, pending);
  const place = table.columns.length;
  const filled = await fillColumn(ddl, table, draft, place);
  const hasDefault = filled.defaultSql !== undefined || filled.identity !== undefined;
  const constant = filled.defaultSql === undefined ? undefined : constantDefault(ddl, filled);
  const missing = filled.identity === undefined && constant !== undefined ? constant : undefined;
  const column: ColumnDesc =
    missing === undefined || missing === null ? filled : { ...filled, missingValue: missing };
  const wide: TableDesc = { ...table, columns: [...table.columns, column], format: table.format + 1 };
  const volatileDefault = hasDefault && (constant === undefined || filled.identity !== undefined);
  if (volatileDefault || (column.notNull && (!hasDefault || missing === null))) {
    // Each row needs a value of its own, or there must be no row.
    const rows = await ddl.session.internal(`SELECT 1 FROM ONLY ${qualified(ddl, table)} LIMIT 1`, []);
    if (rows > 0 && !volatileDefault) {
      throw new DbError(
        "notNullViolation",
        `column "${name}" of relation "${table.name}" contains null values`,
        { table: table.name, column: name, schema: schemaName(ddl, table) },
      );
    }
    // NOT NULL is put on after the rows have their values.
    ddl.draft.put({ ...wide, columns: [...table.columns, { ...column, notNull: false }] });
    if (rows > 0) {
      const value =
        filled.identity !== undefined ? `nextval(${filled.sequenceId}::regclass)` : filled.defaultSql!;
      await ddl.session.internal(
        `UPDATE ONLY ${qualified(ddl, table)} SET ${quoteIdentifier(name)} = ${value}`,
        [],
      );
    }
  }
  ddl.draft.put(wide);
  await addConstraints(ddl, table.id, pending, false);
}

async function dropColumn(ddl: DdlContext, table: TableDesc, action: ActionOf<"dropColumn">): Promise<void> {
  const place = table.columns.findIndex((column) => column.name === action.column && column.dropped !== true);
  if (place < 0) {
    if (!action.ifExists)
      throw new DbError(
        "undefinedColumn",
        `column "${action.column}" of relation "${table.name}" does not exist`,
      );
    ddl.notice(`column "${action.column}" of relation "${table.name}" does not exist, skipping`);
    return;
  }
  // A check over several columns goes with any of them, as in PostgreSQL.
  await dropTargets(ddl, [{ kind: "column", id: table.id, column: place }], action.cascade);
}

async function addIdentity(
  ddl: DdlContext,
  table: TableDesc,
  action: ActionOf<"addIdentity">,
): Promise<void> {
  const place = columnOf(table, action.column);
  const column = table.columns[place]!;
  if (column.identity !== undefined) {
    throw new DbError(
      "objectNotInPrerequisiteState",
      `column "${column.name}" of relation "${table.name}" is already an identity column`,
    );
  }
  if (column.defaultSql !== undefined) {
    throw new DbError(
      "objectNotInPrerequisiteState",
      `column "${column.name}" of relation "${table.name}" already has a default value`,
    );
  }
  if (!column.notNull) {
    throw new DbError(
      "objectNotInPrerequisiteState",
      `column "${column.name}" of relation "${table.name}" must be declared NOT NULL before identity can be added`,
    );
  }
  if (![20, 21, 23].includes(column.type.oid)) {
    throw new DbError("invalidParameterValue", "identity column type must be smallint, integer, or bigint");
  }
  const sequence = await makeSequence(ddl, action.options, column.type.oid, {
    schemaId: table.schemaId,
    name:
      sequenceNamed(action.options) ??
      ownedSequenceName(ddl, table.schemaId, table.name, column.name, new Set()),
    owner: table.owner,
    ownedBy: { tableId: table.id, column: place },
  });
  putColumn(ddl, table, place, (one) => ({
    ...one,
    identity: action.always ? "always" : "byDefault",
    sequenceId: sequence.id,
  }));
}

async function validateConstraint(ddl: DdlContext, table: TableDesc, name: string): Promise<void> {
  const constraint = ddl.draft.constraintByName(table.id, name);
  if (constraint === undefined)
    throw new DbError("undefinedObject", `constraint "${name}" of relation "${table.name}" does not exist`);
  if (constraint.notValid !== true) return;
  if (constraint.type === "check") {
    const bad = await ddl.session.internal(
      `SELECT 1 FROM ONLY ${qualified(ddl, table)} WHERE NOT (${constraint.expressionSql}) LIMIT 1`,
      [],
    );
    if (bad > 0)
      throw new DbError(
        "checkViolation",
        `check constraint "${name}" of relation "${table.name}" is violated by some row`,
        { table: table.name, constraint: name },
      );
  } else if (constraint.type === "foreignKey") {
    await checkReferences(
      ddl,
      table,
      constraint.columns,
      ddl.draft.relationById(constraint.referencedTableId) as TableDesc,
      constraint.referencedColumns,
      name,
    );
  } else {
    throw new DbError(
      "wrongObjectType",
      `constraint "${name}" of relation "${table.name}" is not a foreign key or check constraint`,
    );
  }
  const { notValid: _, ...valid } = constraint;
  ddl.draft.put(valid);
}

/** Rewrites every row into new storage with the column's values converted. */
async function alterType(ddl: DdlContext, table: TableDesc, action: ActionOf<"alterType">): Promise<void> {
  const place = columnOf(table, action.column);
  const column = table.columns[place]!;
  const type = resolveTypeName(action.type);
  for (const object of ddl.draft.objects()) {
    if (object.kind === "view" && object.dependsOn.some(([id, at]) => id === table.id && at === place)) {
      throw new DbError("featureNotSupported", "cannot alter type of a column used by a view or rule", {
        detail: `rule _RETURN on view ${object.name} depends on column "${column.name}"`,
      });
    }
  }
  for (const policy of ddl.draft.objects()) {
    if (policy.kind === "policy" && policy.dependsOn.some(([id, at]) => id === table.id && at === place)) {
      throw new DbError("featureNotSupported", "cannot alter type of a column used in a policy definition", {
        detail: `${describe(ddl, { kind: "object", id: policy.id })} depends on column "${column.name}"`,
      });
    }
  }
  const conversion = storedAlterUsing(ddl, table, place, type, action.using);
  const { missingValue: _, defaultSql, ...rest } = column;
  const changed: ColumnDesc = {
    ...rest,
    type,
    ...(defaultSql === undefined ? {} : { defaultSql: conversion.defaultSql ?? defaultSql }),
  };
  const old = table;
  const rewritten: TableDesc = {
    ...table,
    columns: table.columns.map((one, at) => {
      if (at === place) return changed;
      const { missingValue: __, ...plain } = one;
      return plain;
    }),
    storageId: ddl.draft.draw(),
    format: 1,
  };
  const indexes = ddl.draft.indexesOf(table.id).map(
    (index): IndexDesc => ({
      ...index,
      storageId: ddl.draft.draw(),
      columns: index.columns.map((key) => (key.column === place ? { ...key, type } : key)),
    }),
  );
  await rewriteTable(ddl, old, rewritten, indexes, conversion.selectList);
  for (const constraint of ddl.draft.constraintsOf(table.id)) {
    if (constraint.type !== "foreignKey" || !constraint.columns.includes(place)) continue;
    await checkReferences(
      ddl,
      rewritten,
      constraint.columns,
      ddl.draft.relationById(constraint.referencedTableId) as TableDesc,
      constraint.referencedColumns,
      constraint.name,
    );
  }
}

/** Reads the old rows by `selectList` (one expression per column, dropped ones NULL) and writes them anew. */
async function rewriteTable(
  ddl: DdlContext,
  old: TableDesc,
  fresh: TableDesc,
  indexes: readonly IndexDesc[],
  selectList: string,
): Promise<void> {
  const { engine } = ddl.transaction.shard;
  const spec = tableSpec(ddl.draft, fresh, []);
  await retrying(() => engine.createTable(spec));
  ddl.transaction.storageCreated(fresh.storageId);
  const rows = ddl.transaction.rows();
  const width = fresh.columns.length;
  const table = engine.table(spec);
  await ddl.session.internal(`SELECT ${selectList} FROM ONLY ${qualified(ddl, old)}`, [], async (batch) => {
    const row: Value[] = new Array(width).fill(null);
    for (let at = 0; at < batch.length; at++) {
      for (let column = 0; column < width; column++) row[column] = batch.columns[column]![at]!;
      await retrying(() => table.insert(rows, row));
    }
    await ddl.session.breathe();
  });
  ddl.draft.put(fresh);
  for (const index of indexes) await placeIndex(ddl, fresh, index, false);
}

// --- TRUNCATE's storage side ----------------------------------------------------------------------------------------

/** New empty storage for the table and its indexes; the old goes when the transaction commits. */
export async function emptyTable(ddl: DdlContext, table: TableDesc): Promise<void> {
  const { engine } = ddl.transaction.shard;
  const fresh: TableDesc = {
    ...table,
    columns: table.columns.map(({ missingValue: _, ...column }) => column),
    storageId: ddl.draft.draw(),
    format: 1,
  };
  const indexes = ddl.draft.indexesOf(table.id);
  ddl.draft.put(fresh);
  await retrying(() => engine.createTable(tableSpec(ddl.draft, fresh, [])));
  ddl.transaction.storageCreated(fresh.storageId);
  for (const index of indexes) await placeIndex(ddl, fresh, { ...index, storageId: ddl.draft.draw() }, true);
}

// --- RENAME, OWNER, SCHEMA, COMMENT ---------------------------------------------------------------------------------

export async function rename(ddl: DdlContext, statement: Rename): Promise<void> {
  const { objectType, name, newName } = statement;
  if (objectType === "schema") return renameSchema(ddl, name.name.name, newName);
  if (objectType === "role") return renameRole(ddl, name.name.name, newName);
  if (objectType === "database") throw notSupported("ALTER DATABASE RENAME");
  if (objectType === "policy") return renamePolicy(ddl, name, newName);
  const index = objectType === "index" ? ddl.findIndex(name.name) : undefined;
  const at =
    index === undefined
      ? ddl.findRelation(
          objectType === "constraint" || objectType === "column" ? (name.on ?? name.name) : name.name,
        )
      : undefined;
  if (index === undefined && at === undefined) {
    if (!statement.ifExists)
      throw new DbError("undefinedTable", `relation "${nameText(name.name)}" does not exist`, {
        position: name.name.position,
      });
    ddl.notice(`relation "${nameText(name.name)}" does not exist, skipping`);
    return;
  }
  const object = (index ?? at)!;
  if (object.kind === "index") ddl.mustOwnRelation(ddl.draft.relationById(object.tableId)!);
  else ddl.mustOwnRelation(object);
  if (object.kind === "virtual") return;
  await ddl.lock(object.kind === "index" ? object.tableId : object.id, "AccessExclusive", object.name);
  if (objectType === "column" || (statement.part !== undefined && objectType !== "constraint"))
    return renameColumn(ddl, object as RelationDesc, statement.part!, newName);
  if (objectType === "constraint")
    return renameConstraint(ddl, object as TableDesc, statement.part!, newName);
  if (ddl.isTaken(object.schemaId, newName))
    throw new DbError("duplicateTable", `relation "${newName}" already exists`);
  const rewrite = renamedSql(ddl);
  ddl.draft.put({ ...object, name: newName });
  if (object.kind === "index") {
    // A constraint and its index share the name.
    const constraint = ddl.draft
      .constraintsOf(object.tableId)
      .find((one) => (one.type === "primaryKey" || one.type === "unique") && one.indexId === object.id);
    if (constraint !== undefined) ddl.draft.put({ ...constraint, name: newName });
    return;
  }
  rewrite();
}

function renameColumn(ddl: DdlContext, relation: RelationDesc, from: string, to: string): void {
  if (relation.kind === "sequence" || relation.kind === "virtual") throw wrongKind(relation, "a table");
  const place = relation.columns.findIndex((column) => column.name === from && column.dropped !== true);
  if (place < 0) throw new DbError("undefinedColumn", `column "${from}" does not exist`);
  if (relation.columns.some((column) => column.name === to && column.dropped !== true)) {
    throw new DbError("duplicateColumn", `column "${to}" of relation "${relation.name}" already exists`);
  }
  const rewrite = renamedSql(ddl);
  ddl.draft.put({
    ...relation,
    columns: relation.columns.map((column, at) => (at === place ? { ...column, name: to } : column)),
  });
  rewrite();
}

function renameConstraint(ddl: DdlContext, table: TableDesc, from: string, to: string): void {
  const constraint = ddl.draft.constraintByName(table.id, from);
  if (constraint === undefined)
    throw new DbError("undefinedObject", `constraint "${from}" for table "${table.name}" does not exist`);
  if (ddl.draft.constraintByName(table.id, to) !== undefined) {
    throw new DbError("duplicateObject", `constraint "${to}" for relation "${table.name}" already exists`);
  }
  if (constraint.type === "primaryKey" || constraint.type === "unique") {
    if (ddl.isTaken(table.schemaId, to))
      throw new DbError("duplicateTable", `relation "${to}" already exists`);
    ddl.draft.put({ ...ddl.draft.indexById(constraint.indexId)!, name: to });
  }
  ddl.draft.put({ ...constraint, name: to });
}

function renameSchema(ddl: DdlContext, from: string, to: string): void {
  const schema = ddl.schema(from);
  ddl.mustOwn(schema, "schema", from);
  ddl.refuseSystemSchema(schema);
  if (ddl.draft.schemaByName(to) !== undefined)
    throw new DbError("duplicateSchema", `schema "${to}" already exists`);
  if (to.startsWith("pg_"))
    throw new DbError("reservedName", `unacceptable schema name "${to}"`, {
      detail: 'The prefix "pg_" is reserved for system schemas.',
    });
  const rewrite = renamedSql(ddl);
  ddl.draft.put({ ...schema, name: to });
  rewrite();
}

function renameRole(ddl: DdlContext, from: string, to: string): void {
  const role = ddl.draft.roleByName(from);
  if (role === undefined) throw new DbError("undefinedObject", `role "${from}" does not exist`);
  if (ddl.draft.roleByName(to) !== undefined)
    throw new DbError("duplicateObject", `role "${to}" already exists`);
  const self = ddl.draft.roleById(ddl.roleId);
  if (self?.superuser !== true && (self?.createRole !== true || role.superuser)) {
    throw new DbError("insufficientPrivilege", "permission denied to rename role");
  }
  ddl.draft.put({ ...role, name: to });
}

export function changeOwner(ddl: DdlContext, object: CatalogObject, owner: ObjectId): void {
  if (!("owner" in object)) throw notSupported("OWNER TO for this object");
  if (!ddl.isSuperuser && !rolesOf(ddl.draft, ddl.roleId, false).has(owner)) {
    throw new DbError(
      "insufficientPrivilege",
      `must be able to SET ROLE "${ddl.draft.roleById(owner)?.name}"`,
    );
  }
  ddl.draft.put(ownedBy(object, owner));
  if (object.kind !== "table") return;
  for (const other of [...ddl.draft.objects()]) {
    if (other.kind === "sequence" && other.ownedBy?.tableId === object.id)
      ddl.draft.put(ownedBy(other, owner));
  }
}

/** The object under its new owner, who takes the old one's place among the grantors too. */
function ownedBy<T extends CatalogObject & { readonly owner: ObjectId }>(object: T, owner: ObjectId): T {
  const before = object.owner;
  let owned: T = { ...object, owner };
  if ("acl" in object && object.kind !== "cluster")
    owned = { ...owned, acl: withOwner(aclKindOf(object), object.acl, before, owner) };
  if (object.kind === "table" || object.kind === "view") {
    const columns = object.columns.map((column) =>
      column.acl === undefined ? column : { ...column, acl: withOwner("column", column.acl, before, owner) },
    );
    owned = { ...owned, columns };
  }
  return owned;
}

export async function alterOwner(ddl: DdlContext, statement: AlterOwner): Promise<void> {
  const owner = ddl.role(statement.role).id;
  const { name } = statement.name;
  switch (statement.objectType) {
    case "schema": {
      const schema = ddl.schema(name.name);
      ddl.mustOwn(schema, "schema", schema.name);
      changeOwner(ddl, schema, owner);
      return;
    }
    case "database": {
      if (name.name !== ddl.session.database.name)
        throw new DbError("invalidCatalogName", `database "${name.name}" does not exist`);
      ddl.mustOwn(ddl.session.database, "database", name.name);
      changeOwner(ddl, ddl.draft.get(ddl.session.database.id) as CatalogObject, owner);
      return;
    }
    case "table":
    case "view":
    case "sequence": {
      const relation = ddl.relation(name);
      ddl.mustOwnRelation(relation);
      changeOwner(ddl, relation as CatalogObject, owner);
      return;
    }
    default:
      throw notSupported(`ALTER ${statement.objectType} OWNER TO`);
  }
}

export async function alterObjectSchema(ddl: DdlContext, statement: AlterObjectSchema): Promise<void> {
  const relation = ddl.findRelation(statement.name.name);
  if (relation === undefined) {
    if (!statement.ifExists)
      throw new DbError("undefinedTable", `relation "${nameText(statement.name.name)}" does not exist`);
    ddl.notice(`relation "${nameText(statement.name.name)}" does not exist, skipping`);
    return;
  }
  ddl.mustOwnRelation(relation);
  if (relation.kind === "virtual") return;
  const schema = ddl.schema(statement.schema);
  ddl.refuseSystemSchema(schema);
  ddl.need("schema", schema.owner, schema.acl, "C", `permission denied for schema ${schema.name}`);
  if (schema.id === relation.schemaId) return;
  if (ddl.isTaken(schema.id, relation.name))
    throw new DbError(
      "duplicateTable",
      `relation "${relation.name}" already exists in schema "${schema.name}"`,
    );
  await ddl.lock(relation.id, "AccessExclusive", relation.name);
  const rewrite = renamedSql(ddl);
  ddl.draft.put({ ...relation, schemaId: schema.id });
  if (relation.kind === "table") {
    for (const index of ddl.draft.indexesOf(relation.id)) ddl.draft.put({ ...index, schemaId: schema.id });
    for (const constraint of ddl.draft.constraintsOf(relation.id))
      ddl.draft.put({ ...constraint, schemaId: schema.id });
    for (const other of [...ddl.draft.objects()]) {
      if (other.kind === "sequence" && other.ownedBy?.tableId === relation.id)
        ddl.draft.put({ ...other, schemaId: schema.id });
    }
  }
  rewrite();
}

export async function comment(ddl: DdlContext, statement: Comment): Promise<void> {
  const [objectId, column] = commentTarget(ddl, statement);
  const before = ddl.draft.idByName(`comment:${objectId}:${column}`);
  if (statement.text === undefined || statement.text === "") {
    if (before !== undefined) ddl.draft.delete(before);
    return;
  }
  ddl.draft.put({ kind: "comment", id: before ?? ddl.draft.draw(), objectId, column, text: statement.text });
}

function commentTarget(ddl: DdlContext, statement: Comment): readonly [ObjectId, number] {
  const { name, on } = statement.name;
  switch (statement.objectType) {
    case "table":
    case "view":
    case "sequence": {
      const relation = ddl.relation(name);
      ddl.mustOwnRelation(relation);
      return [relation.id, -1];
    }
    case "column": {
      const relation = ddl.relation(on ?? name);
      ddl.mustOwnRelation(relation);
      if (relation.kind === "sequence") throw wrongKind(relation, "a table");
      return [relation.id, columnOf(relation, name.name)];
    }
    case "index": {
      const index = ddl.findIndex(name);
      if (index === undefined)
        throw new DbError("undefinedTable", `relation "${nameText(name)}" does not exist`);
      return [index.id, -1];
    }
    case "constraint": {
      const table = ddl.table(on!);
      ddl.mustOwnRelation(table);
      const constraint = ddl.draft.constraintByName(table.id, name.name);
      if (constraint === undefined)
        throw new DbError(
          "undefinedObject",
          `constraint "${name.name}" for table "${table.name}" does not exist`,
        );
      return [constraint.id, -1];
    }
    case "policy": {
      const relation = ddl.relation(on!);
      const policy = ddl.draft.policyByName(relation.id, name.name);
      if (policy === undefined) throw notThere(name.name, relation);
      ddl.mustOwn(relation, "relation", relation.name);
      return [policy.id, -1];
    }
    case "schema": {
      const schema = ddl.schema(name.name);
      ddl.mustOwn(schema, "schema", schema.name);
      return [schema.id, -1];
    }
    case "database":
      if (name.name !== ddl.session.database.name)
        throw new DbError("invalidCatalogName", `database "${name.name}" does not exist`);
      return [ddl.session.database.id, -1];
    case "role": {
      const role = ddl.draft.roleByName(name.name);
      if (role === undefined) throw new DbError("undefinedObject", `role "${name.name}" does not exist`);
      return [role.id, -1];
    }
    default:
      throw notSupported(`COMMENT ON ${statement.objectType}`);
  }
}

export type { Target };
