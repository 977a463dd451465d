/**
 * CREATE TABLE: columns, defaults, identity, constraints with their indexes. What PostgreSQL would make of the
 * statement, as descriptors in the draft and storage in the shard.
 */
import { DbError, notSupported } from "../../base/errors.js";
import type {
  ColumnDesc,
  ConstraintDesc,
  ForeignKeyAction,
  IndexDesc,
  ObjectId,
  SchemaDesc,
  TableDesc,
  TypeRef,
} from "../../model/schema.js";
import { formatType, isOrdered, typeOf } from "../../model/types.js";
import { holdsPrivileges } from "../../security/privileges.js";
import { indexSpec, tableSpec } from "../../shard/index.js";
import type {
  ColumnConstraint,
  ColumnDef,
  CreateTable,
  Expr,
  LikeClause,
  Option,
  QualifiedName,
  SequenceOption,
  ShardClause,
  TableConstraint,
} from "../../sql/ast.js";
import { quoteIdentifier } from "../../sql/functions/index.js";
import { resolveTypeName } from "../queries.js";
import { retrying } from "../transaction.js";
import { type DdlContext, nameText, wrongKind } from "./context.js";
import { makeSequence, ownedSequenceName, sequenceNamed } from "./sequences.js";
import { storedCheck, storedDefault } from "./stored.js";

const serialTypes: Readonly<Record<string, number>> = {
  smallserial: 21,
  serial2: 21,
  serial: 23,
  serial4: 23,
  bigserial: 20,
  serial8: 20,
};

export const columnsMax = 1600;

/** A foreign key that is made once all tables and keys of the statement are there. */
interface PendingForeignKey {
  readonly name: string | undefined;
  readonly columns: readonly string[];
  readonly target: QualifiedName;
  readonly referenced: readonly string[];
  readonly match: "simple" | "full" | "partial";
  readonly onDelete: ForeignKeyAction;
  readonly onUpdate: ForeignKeyAction;
  readonly onDeleteColumns: readonly string[];
  readonly deferrable: boolean | undefined;
  readonly initiallyDeferred: boolean | undefined;
  readonly notValid: boolean | undefined;
}

interface PendingKey {
  readonly name: string | undefined;
  readonly primary: boolean;
  readonly columns: readonly string[];
  readonly include: readonly string[];
  readonly nullsNotDistinct: boolean;
  readonly deferrable: boolean | undefined;
  readonly initiallyDeferred: boolean | undefined;
  readonly position: number;
}

interface PendingCheck {
  readonly name: string | undefined;
  readonly expr: Expr;
  /** Column it was written at: names the constraint when nothing else does. */
  readonly column: string | undefined;
  readonly notValid: boolean | undefined;
}

export interface PendingConstraints {
  readonly keys: PendingKey[];
  readonly checks: PendingCheck[];
  readonly foreignKeys: PendingForeignKey[];
}

export const noConstraints = (): PendingConstraints => ({ keys: [], checks: [], foreignKeys: [] });

/** A column while it is being made: what its constraints will add. */
export interface DraftColumn {
  desc: ColumnDesc;
  default?: Expr | undefined;
  identity?:
    | { readonly always: boolean; readonly options: readonly SequenceOption[]; readonly type: number }
    | undefined;
  serial?: number | undefined;
}

export function refuseShard(shard: ShardClause | undefined): void {
  // NONE says what an unsharded table is anyway.
  if (shard !== undefined && shard.kind !== "none") {
    const what =
      shard.kind === "hash" ? "SHARD BY HASH" : shard.kind === "range" ? "SHARD BY RANGE" : "REPLICATED";
    throw notSupported(what, shard.position);
  }
}

/** Storage parameters: kept and shown, as they steer nothing here yet that PostgreSQL's would. */
/** Options of a view: who its query acts for, and what may be asked of its rows. */
export function viewOptions(written: readonly Option[]): { readonly options?: Record<string, string> } {
  if (written.length === 0) return {};
  const options: Record<string, string> = {};
  for (const { name, value } of written) {
    if (name === "check_option") throw notSupported("WITH CHECK OPTION");
    if (name !== "security_barrier" && name !== "security_invoker")
      throw new DbError("invalidParameterValue", `unrecognized parameter "${name}"`);
    if (options[name] !== undefined)
      throw new DbError("invalidParameterValue", `parameter "${name}" specified more than once`);
    const text =
      value === undefined
        ? "true"
        : value.kind === "boolean"
          ? String(value.value)
          : "text" in value
            ? value.text
            : "";
    if (!/^(t(r(ue?)?)?|f(a(l(se?)?)?)?|y(es?)?|no?|on|off?|0|1)$/i.test(text))
      throw new DbError("invalidParameterValue", `invalid value for boolean option "${name}": ${text}`);
    options[name] = text;
  }
  return { options };
}

export function storageOptions(options: readonly Option[]): Record<string, string> | undefined {
  if (options.length === 0) return undefined;
  const known = new Set([
    "fillfactor",
    "autovacuum_enabled",
    "parallel_workers",
    "toast_tuple_target",
    "user_catalog_table",
    "vacuum_index_cleanup",
    "vacuum_truncate",
    "deduplicate_items",
    "oids",
  ]);
  const kept: Record<string, string> = {};
  for (const option of options) {
    if (option.namespace === undefined && !known.has(option.name) && !option.name.startsWith("autovacuum_")) {
      throw new DbError("invalidParameterValue", `unrecognized parameter "${option.name}"`);
    }
    const { value } = option;
    const text =
      value === undefined
        ? "true"
        : value.kind === "boolean"
          ? String(value.value)
          : "text" in value
            ? value.text
            : "true";
    if (option.name === "oids") {
      if (text !== "false" && text !== "off")
        throw new DbError("featureNotSupported", "tables declared WITH OIDS are not supported");
      continue;
    }
    if (option.name === "fillfactor" && !(Number(text) >= 10 && Number(text) <= 100)) {
      throw new DbError("invalidParameterValue", `value ${text} out of bounds for option "fillfactor"`, {
        detail: 'Valid values are between "10" and "100".',
      });
    }
    kept[option.name] = text;
  }
  return kept;
}

/** A column definition; its constraints go to `pending`. */
export function draftColumn(table: string, def: ColumnDef, pending: PendingConstraints): DraftColumn {
  if (def.type === undefined) throw notSupported("typed tables", def.position);
  const serial =
    def.type.name.schema === undefined && def.type.arrayBounds.length === 0
      ? serialTypes[def.type.name.name]
      : undefined;
  const type: TypeRef = serial !== undefined ? { oid: serial, typmod: -1 } : resolveTypeName(def.type);
  if (typeOf(type.oid).kind === "p") {
    throw new DbError(
      "invalidTableDefinition",
      `column "${def.name}" has pseudo-type ${formatType(type.oid, -1)}`,
      { position: def.position },
    );
  }
  let notNull = serial !== undefined;
  let nullSaid = false;
  let notNullSaid = false;
  const column: DraftColumn = { desc: { name: def.name, type, notNull } };
  if (def.collation !== undefined) column.desc = { ...column.desc, collation: collationName(def.collation) };
  if (serial !== undefined) column.serial = serial;
  for (const constraint of def.constraints) {
    switch (constraint.kind) {
      case "notNull":
        if (nullSaid) throw conflictingNull(table, def.name, constraint.position);
        notNull = true;
        notNullSaid = true;
        break;
      case "null":
        if (notNullSaid || serial !== undefined) throw conflictingNull(table, def.name, constraint.position);
        nullSaid = true;
        break;
      case "default":
        if (column.default !== undefined || serial !== undefined) {
          throw new DbError(
            "syntaxError",
            `multiple default values specified for column "${def.name}" of table "${table}"`,
            { position: constraint.position },
          );
        }
        if (column.identity !== undefined) throw bothDefaultAndIdentity(table, def.name, constraint.position);
        column.default = constraint.expr;
        break;
      case "identity":
        if (column.default !== undefined || serial !== undefined)
          throw bothDefaultAndIdentity(table, def.name, constraint.position);
        if (column.identity !== undefined) {
          throw new DbError(
            "syntaxError",
            `multiple identity specifications for column "${def.name}" of table "${table}"`,
            { position: constraint.position },
          );
        }
        if (![20, 21, 23].includes(type.oid)) {
          throw new DbError(
            "invalidParameterValue",
            "identity column type must be smallint, integer, or bigint",
            { position: constraint.position },
          );
        }
        column.identity = { always: constraint.always, options: constraint.options, type: type.oid };
        notNull = true;
        break;
      case "generated":
        throw notSupported("generated columns", constraint.position);
      case "check":
        pending.checks.push({
          name: constraint.name,
          expr: constraint.expr,
          column: def.name,
          notValid: constraint.notValid,
        });
        break;
      case "unique":
      case "primaryKey":
        pending.keys.push(keyOf(constraint, [def.name], []));
        break;
      case "references":
        pending.foreignKeys.push(foreignKeyOf(constraint, [def.name], constraint.table, constraint.columns));
        break;
    }
  }
  column.desc = { ...column.desc, notNull };
  return column;
}

function conflictingNull(table: string, column: string, position: number): DbError {
  return new DbError(
    "syntaxError",
    `conflicting NULL/NOT NULL declarations for column "${column}" of table "${table}"`,
    { position },
  );
}
function bothDefaultAndIdentity(table: string, column: string, position: number): DbError {
  return new DbError(
    "syntaxError",
    `both default and identity specified for column "${column}" of table "${table}"`,
    { position },
  );
}

export function collationName(name: QualifiedName): string {
  if (!["default", "C", "POSIX", "ucs_basic", "C.UTF-8"].includes(name.name)) {
    throw new DbError("undefinedObject", `collation "${nameText(name)}" for encoding "UTF8" does not exist`, {
      position: name.position,
    });
  }
  return name.name;
}

function keyOf(
  constraint: (ColumnConstraint | TableConstraint) & { kind: "unique" | "primaryKey" },
  columns: readonly string[],
  include: readonly string[],
): PendingKey {
  return {
    name: constraint.name,
    primary: constraint.kind === "primaryKey",
    columns,
    include,
    nullsNotDistinct: constraint.nullsNotDistinct,
    deferrable: constraint.deferrable ?? constraint.initiallyDeferred,
    initiallyDeferred: constraint.initiallyDeferred,
    position: constraint.position,
  };
}

type ReferenceConstraint =
  | (ColumnConstraint & { kind: "references" })
  | (TableConstraint & { kind: "foreignKey" });

function foreignKeyOf(
  constraint: ReferenceConstraint,
  columns: readonly string[],
  target: QualifiedName,
  referenced: readonly string[],
): PendingForeignKey {
  const { name, match, onDelete, onUpdate, onDeleteColumns, deferrable, initiallyDeferred, notValid } =
    constraint;
  return {
    name,
    columns,
    target,
    referenced,
    match,
    onDelete,
    onUpdate,
    onDeleteColumns,
    deferrable: deferrable ?? initiallyDeferred,
    initiallyDeferred,
    notValid,
  };
}

export function collectTableConstraint(constraint: TableConstraint, pending: PendingConstraints): void {
  switch (constraint.kind) {
    case "check":
      pending.checks.push({
        name: constraint.name,
        expr: constraint.expr,
        column: undefined,
        notValid: constraint.notValid,
      });
      break;
    case "unique":
    case "primaryKey":
      if (constraint.usingIndex !== undefined)
        throw notSupported("ADD CONSTRAINT USING INDEX", constraint.position);
      pending.keys.push(keyOf(constraint, constraint.columns, constraint.include));
      break;
    case "foreignKey":
      pending.foreignKeys.push(
        foreignKeyOf(constraint, constraint.columns, constraint.table, constraint.referenced),
      );
      break;
    case "exclude":
      throw notSupported("exclusion constraints", constraint.position);
  }
}

export async function createTable(ddl: DdlContext, statement: CreateTable): Promise<void> {
  if (statement.persistence === "temporary") throw notSupported("temporary tables", statement.position);
  if (statement.inherits.length > 0) throw notSupported("table inheritance", statement.position);
  if (statement.partitionBy !== undefined || statement.partitionOf !== undefined)
    throw notSupported("table partitioning", statement.position);
  if (statement.ofType !== undefined) throw notSupported("typed tables", statement.position);
  if (statement.using !== undefined && statement.using !== "heap") {
    throw new DbError("undefinedObject", `access method "${statement.using}" does not exist`);
  }
  refuseShard(statement.shard);
  const schema = ddl.creationSchema(statement.name);
  const name = statement.name.name;
  if (alreadyThere(ddl, schema, name, statement.ifNotExists)) return;

  const pending = noConstraints();
  const columns: DraftColumn[] = [];
  const likes: { readonly clause: LikeClause; readonly source: TableDesc; readonly from: number }[] = [];
  for (const element of statement.elements) {
    switch (element.kind) {
      case "column":
        columns.push(draftColumn(name, element, pending));
        break;
      case "constraint":
        collectTableConstraint(element.constraint, pending);
        break;
      case "like": {
        const source = ddl.relation(element.table);
        if (source.kind === "sequence") throw wrongKind(source, "a table or view");
        likes.push({ clause: element, source: source as TableDesc, from: columns.length });
        columns.push(...likeColumns(source as TableDesc, element));
        break;
      }
    }
  }
  checkColumnNames(columns.map((column) => column.desc.name));
  const table = await placeTable(
    ddl,
    schema,
    name,
    statement.persistence,
    columns,
    storageOptions(statement.with),
  );
  for (const { clause, source, from } of likes) await copyLike(ddl, table.id, clause, source, from, pending);
  await addConstraints(ddl, table.id, pending, true);
}

/** True when it is there and that is no error. */
export function alreadyThere(
  ddl: DdlContext,
  schema: SchemaDesc,
  name: string,
  ifNotExists: boolean,
): boolean {
  if (!ddl.isTaken(schema.id, name)) return false;
  if (!ifNotExists) throw new DbError("duplicateTable", `relation "${name}" already exists`);
  ddl.notice(`relation "${name}" already exists, skipping`, "42P07");
  return true;
}

const systemColumns = new Set(["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"]);

export function checkColumnNames(names: readonly string[]): void {
  if (names.length > columnsMax)
    throw new DbError("tooManyColumns", `tables can have at most ${columnsMax} columns`);
  const seen = new Set<string>();
  for (const name of names) {
    if (systemColumns.has(name))
      throw new DbError("duplicateColumn", `column name "${name}" conflicts with a system column name`);
    if (seen.has(name)) throw new DbError("duplicateColumn", `column "${name}" specified more than once`);
    seen.add(name);
  }
}

/** Draws ids, makes storage, sequences and defaults; constraints follow separately. */
export async function placeTable(
  ddl: DdlContext,
  schema: SchemaDesc,
  name: string,
  persistence: TableDesc["persistence"],
  columns: readonly DraftColumn[],
  options: Record<string, string> | undefined,
): Promise<TableDesc> {
  const id = ddl.draft.draw();
  const table: TableDesc = {
    kind: "table",
    id,
    name,
    schemaId: schema.id,
    owner: ddl.roleId,
    columns: columns.map((column) => column.desc),
    storageId: ddl.draft.draw(),
    format: 1,
    persistence,
    ...(options === undefined ? {} : { options }),
  };
  ddl.draft.put(table);
  const filled: ColumnDesc[] = [];
  for (let place = 0; place < columns.length; place++)
    filled.push(await fillColumn(ddl, table, columns[place]!, place));
  const done = { ...table, columns: filled };
  ddl.draft.put(done);
  await retrying(() => ddl.transaction.shard.engine.createTable(tableSpec(ddl.draft, done, [])));
  ddl.transaction.storageCreated(done.storageId);
  return done;
}

/** Gives a column its sequence and its default. */
export async function fillColumn(
  ddl: DdlContext,
  table: TableDesc,
  column: DraftColumn,
  place: number,
): Promise<ColumnDesc> {
  const { desc } = column;
  if (column.serial !== undefined || column.identity !== undefined) {
    const options = column.identity?.options ?? [];
    const sequence = await makeSequence(ddl, options, column.serial ?? desc.type.oid, {
      schemaId: table.schemaId,
      name:
        sequenceNamed(options) ?? ownedSequenceName(ddl, table.schemaId, table.name, desc.name, new Set()),
      owner: table.owner,
      ownedBy: { tableId: table.id, column: place },
    });
    if (column.identity !== undefined) {
      return { ...desc, identity: column.identity.always ? "always" : "byDefault", sequenceId: sequence.id };
    }
    return { ...desc, sequenceId: sequence.id, defaultSql: nextvalDefault(ddl, sequence) };
  }
  if (column.default !== undefined) return { ...desc, ...defaultOf(ddl, column.default, desc) };
  return desc;
}

/** `nextval('seq'::regclass)`: the schema is shown where the search path would not find it. */
export function nextvalDefault(
  ddl: DdlContext,
  sequence: { readonly name: string; readonly schemaId: ObjectId },
): string {
  const schema = ddl.draft.schemaById(sequence.schemaId);
  const path = `${schema === undefined ? "" : `${quoteIdentifier(schema.name)}.`}${quoteIdentifier(sequence.name)}`;
  return `nextval('${path.replaceAll("'", "''")}'::regclass)`;
}

export function defaultOf(ddl: DdlContext, expr: Expr, column: ColumnDesc): Pick<ColumnDesc, "defaultSql"> {
  const sql = storedDefault(ddl, expr, column);
  return sql === undefined ? {} : { defaultSql: sql };
}

// --- constraints ----------------------------------------------------------------------------------------------------

function columnPlaces(table: TableDesc, names: readonly string[], what: string): number[] {
  const places: number[] = [];
  for (const name of names) {
    const place = table.columns.findIndex((column) => column.name === name && column.dropped !== true);
    if (place < 0) throw new DbError("undefinedColumn", `column "${name}" ${what}`);
    if (places.includes(place) && !what.startsWith("ref")) {
      throw new DbError(
        "duplicateColumn",
        `column "${name}" appears twice in ${what.includes("primary") ? "primary key" : "unique"} constraint`,
      );
    }
    places.push(place);
  }
  return places;
}

/** `fresh`: the table is new and empty, so nothing has to be checked or built. */
export async function addConstraints(
  ddl: DdlContext,
  tableId: ObjectId,
  pending: PendingConstraints,
  fresh: boolean,
): Promise<void> {
  for (const check of pending.checks) await addCheck(ddl, tableId, check, fresh);
  for (const key of pending.keys) await addKey(ddl, tableId, key, fresh);
  for (const foreignKey of pending.foreignKeys) await addForeignKey(ddl, tableId, foreignKey, fresh);
}

function constraintName(
  ddl: DdlContext,
  table: TableDesc,
  given: string | undefined,
  derive: (taken: ReadonlySet<string>) => string,
): string {
  const taken = new Set(ddl.draft.constraintsOf(table.id).map((one) => one.name));
  if (given !== undefined) {
    if (taken.has(given)) {
      throw new DbError(
        "duplicateObject",
        `constraint "${given}" for relation "${table.name}" already exists`,
      );
    }
    return given;
  }
  return derive(taken);
}

async function addCheck(
  ddl: DdlContext,
  tableId: ObjectId,
  check: PendingCheck,
  fresh: boolean,
): Promise<void> {
  const table = ddl.draft.relationById(tableId) as TableDesc;
  const { sql, columns } = storedCheck(ddl, table, check.expr);
  const only = columns.length === 1 ? table.columns[columns[0]!]!.name : undefined;
  const name = constraintName(ddl, table, check.name, (taken) =>
    ddl.freeName(table.schemaId, table.name, check.column ?? only, "check", taken),
  );
  if (!fresh && check.notValid !== true) {
    const bad = await ddl.session.internal(
      `SELECT 1 FROM ONLY ${qualified(ddl, table)} WHERE NOT (${sql}) LIMIT 1`,
      [],
    );
    if (bad > 0) {
      throw new DbError(
        "checkViolation",
        `check constraint "${name}" of relation "${table.name}" is violated by some row`,
        { table: table.name, constraint: name, schema: schemaName(ddl, table) },
      );
    }
  }
  ddl.draft.put({
    kind: "constraint",
    id: ddl.draft.draw(),
    name,
    schemaId: table.schemaId,
    tableId,
    type: "check",
    expressionSql: sql,
    columns,
    ...(check.notValid === true ? { notValid: true } : {}),
  });
}

export function qualified(
  ddl: DdlContext,
  object: { readonly schemaId: ObjectId; readonly name: string },
): string {
  return `${quoteIdentifier(ddl.draft.schemaById(object.schemaId)?.name ?? "public")}.${quoteIdentifier(object.name)}`;
}

export function schemaName(ddl: DdlContext, object: { readonly schemaId: ObjectId }): string {
  return ddl.draft.schemaById(object.schemaId)?.name ?? "";
}

async function addKey(ddl: DdlContext, tableId: ObjectId, key: PendingKey, fresh: boolean): Promise<void> {
  let table = ddl.draft.relationById(tableId) as TableDesc;
  if (key.primary && ddl.draft.constraintsOf(tableId).some((one) => one.type === "primaryKey")) {
    throw new DbError(
      "invalidTableDefinition",
      `multiple primary keys for table "${table.name}" are not allowed`,
      { position: key.position },
    );
  }
  const columns = columnPlaces(table, key.columns, "named in key does not exist");
  const include = columnPlaces(table, key.include, "named in key does not exist");
  if (key.primary) {
    const nullable = columns.filter((place) => !table.columns[place]!.notNull);
    if (nullable.length > 0) {
      if (!fresh) await requireNoNulls(ddl, table, nullable);
      table = {
        ...table,
        columns: table.columns.map((column, place) =>
          nullable.includes(place) ? { ...column, notNull: true } : column,
        ),
      };
      ddl.draft.put(table);
    }
  }
  const parts = key.columns.join("_");
  const name = constraintName(ddl, table, key.name, (taken) =>
    key.primary
      ? ddl.freeName(table.schemaId, table.name, undefined, "pkey", taken)
      : ddl.freeName(table.schemaId, table.name, parts, "key", taken),
  );
  if (key.name !== undefined && ddl.isTaken(table.schemaId, name)) {
    throw new DbError("duplicateTable", `relation "${name}" already exists`);
  }
  const index: IndexDesc = {
    kind: "index",
    id: ddl.draft.draw(),
    name,
    schemaId: table.schemaId,
    tableId,
    storageId: ddl.draft.draw(),
    columns: columns.map((column) => ({
      column,
      type: table.columns[column]!.type,
      descending: false,
      nullsFirst: false,
    })),
    ...(include.length === 0 ? {} : { include }),
    unique: true,
    primary: key.primary,
    ...(key.nullsNotDistinct ? { nullsNotDistinct: true } : {}),
    ...(key.deferrable === true ? { deferrable: true } : {}),
    state: "ready",
  };
  await placeIndex(ddl, table, index, fresh);
  ddl.draft.put({
    kind: "constraint",
    id: ddl.draft.draw(),
    name,
    schemaId: table.schemaId,
    tableId,
    type: key.primary ? "primaryKey" : "unique",
    columns,
    indexId: index.id,
    ...(key.deferrable === true ? { deferrable: true } : {}),
    ...(key.initiallyDeferred === true ? { initiallyDeferred: true } : {}),
  });
}

/** Makes the index's storage and, over existing rows, builds it; then it stands in the draft. */
export async function placeIndex(
  ddl: DdlContext,
  table: TableDesc,
  index: IndexDesc,
  fresh: boolean,
): Promise<void> {
  for (const key of index.columns) requireOrder(key.type);
  const { engine } = ddl.transaction.shard;
  const spec = tableSpec(ddl.draft, table, ddl.draft.indexesOf(table.id));
  const wanted = indexSpec(ddl.draft, table, index);
  await retrying(() => engine.createIndex(spec, wanted));
  ddl.transaction.storageCreated(index.storageId);
  if (!fresh) {
    const build = engine.buildIndex(spec, wanted, ddl.transaction.engineTransaction);
    try {
      while (!(await ddl.session.retrying(() => build.step()))) await ddl.session.breathe();
    } catch (error) {
      build.abandon();
      const keys = index.columns.flatMap(({ column }) => column ?? []);
      if (error instanceof DbError && error.fields.detail !== undefined && ddl.hides(table, keys))
        throw new DbError(error.condition, error.message, { ...error.fields, detail: undefined });
      throw error;
    }
  }
  ddl.draft.put(index);
}

function requireOrder(type: TypeRef): void {
  if (!isOrdered(type.oid)) {
    throw new DbError(
      "undefinedObject",
      `data type ${formatType(type.oid, -1)} has no default operator class for access method "btree"`,
      {
        hint: "You must specify an operator class for the index or define a default operator class for the data type.",
      },
    );
  }
}

export async function requireNoNulls(
  ddl: DdlContext,
  table: TableDesc,
  places: readonly number[],
): Promise<void> {
  for (const place of places) {
    const column = table.columns[place]!;
    const bad = await ddl.session.internal(
      `SELECT 1 FROM ONLY ${qualified(ddl, table)} WHERE ${quoteIdentifier(column.name)} IS NULL LIMIT 1`,
      [],
    );
    if (bad > 0) {
      throw new DbError(
        "notNullViolation",
        `column "${column.name}" of relation "${table.name}" contains null values`,
        { table: table.name, column: column.name, schema: schemaName(ddl, table) },
      );
    }
  }
}

async function addForeignKey(
  ddl: DdlContext,
  tableId: ObjectId,
  key: PendingForeignKey,
  fresh: boolean,
): Promise<void> {
  const table = ddl.draft.relationById(tableId) as TableDesc;
  const target = ddl.relation(key.target);
  if (target.kind !== "table")
    throw new DbError("wrongObjectType", `referenced relation "${target.name}" is not a table`);
  if (key.match === "partial") throw new DbError("featureNotSupported", "MATCH PARTIAL not yet implemented");
  if (key.onDeleteColumns.length > 0) throw notSupported("a column list in ON DELETE SET");
  const columns = columnPlaces(table, key.columns, "referenced in foreign key constraint does not exist");
  if (target.id !== tableId) {
    await ddl.lock(target.id, "ShareRowExclusive", target.name);
    ddl.draft.rely(target.id);
  }
  const primary = ddl.draft.constraintsOf(target.id).find((one) => one.type === "primaryKey");
  let referenced: readonly number[];
  if (key.referenced.length === 0) {
    if (primary === undefined)
      throw new DbError("undefinedObject", `there is no primary key for referenced table "${target.name}"`);
    referenced = primary.columns;
  } else {
    referenced = columnPlaces(target, key.referenced, "referenced in foreign key constraint does not exist");
  }
  if (referenced.length !== columns.length) {
    throw new DbError(
      "invalidForeignKey",
      "number of referencing and referenced columns for foreign key disagree",
    );
  }
  const proofs = ddl.draft
    .constraintsOf(target.id)
    .filter(
      (one): one is ConstraintDesc & { type: "primaryKey" | "unique" } =>
        (one.type === "primaryKey" || one.type === "unique") &&
        one.columns.length === referenced.length &&
        referenced.every((place) => one.columns.includes(place)),
    );
  const proof = proofs.find((one) => one.deferrable !== true);
  const proofIndex =
    proof?.indexId ??
    ddl.draft
      .indexesOf(target.id)
      .find(
        (index) =>
          index.unique &&
          index.deferrable !== true &&
          index.predicateSql === undefined &&
          index.columns.length === referenced.length &&
          index.columns.every((part) => part.column !== undefined && referenced.includes(part.column)),
      )?.id;
  if (proofIndex === undefined && proofs.length > 0) {
    const what = key.referenced.length === 0 ? "primary key" : "unique constraint";
    throw new DbError(
      "objectNotInPrerequisiteState",
      `cannot use a deferrable ${what} for referenced table "${target.name}"`,
    );
  }
  if (proofIndex === undefined) {
    throw new DbError(
      "invalidForeignKey",
      `there is no unique constraint matching given keys for referenced table "${target.name}"`,
    );
  }
  if (!holdsPrivileges(ddl.draft, ddl.roleId, "table", target.owner, target.acl, "x")) {
    throw new DbError("insufficientPrivilege", `permission denied for table ${target.name}`);
  }
  const name = constraintName(ddl, table, key.name, (taken) =>
    ddl.freeName(table.schemaId, table.name, key.columns.join("_"), "fkey", taken),
  );
  columns.forEach((column, place) => {
    const own = table.columns[column]!;
    const other = target.columns[referenced[place]!]!;
    if (!comparable(own.type.oid, other.type.oid)) {
      throw new DbError("datatypeMismatch", `foreign key constraint "${name}" cannot be implemented`, {
        detail: `Key columns "${own.name}" and "${other.name}" are of incompatible types: ${formatType(own.type.oid, own.type.typmod)} and ${formatType(other.type.oid, other.type.typmod)}.`,
      });
    }
  });
  if (!fresh && key.notValid !== true) await checkReferences(ddl, table, columns, target, referenced, name);
  ddl.draft.put({
    kind: "constraint",
    id: ddl.draft.draw(),
    name,
    schemaId: table.schemaId,
    tableId,
    type: "foreignKey",
    columns,
    referencedTableId: target.id,
    referencedColumns: referenced,
    referencedIndexId: proofIndex,
    onDelete: key.onDelete,
    onUpdate: key.onUpdate,
    match: key.match,
    ...(key.deferrable === true ? { deferrable: true } : {}),
    ...(key.initiallyDeferred === true ? { initiallyDeferred: true } : {}),
    ...(key.notValid === true ? { notValid: true } : {}),
  });
}

const numberTypes = new Set([20, 21, 23, 700, 701, 1700]);
const textTypes = new Set([19, 25, 1042, 1043]);
const momentTypes = new Set([1082, 1114, 1184]);

/** Whether PostgreSQL has an equality between the two in one operator family. */
function comparable(a: number, b: number): boolean {
  if (a === b) return true;
  return [numberTypes, textTypes, momentTypes].some((family) => family.has(a) && family.has(b));
}

export async function checkReferences(
  ddl: DdlContext,
  table: TableDesc,
  columns: readonly number[],
  target: TableDesc,
  referenced: readonly number[],
  name: string,
): Promise<void> {
  const own = columns.map((place) => `c.${quoteIdentifier(table.columns[place]!.name)}`);
  const match = referenced
    .map((place, at) => `p.${quoteIdentifier(target.columns[place]!.name)} = ${own[at]}`)
    .join(" AND ");
  const given = own.map((column) => `${column} IS NOT NULL`).join(" AND ");
  let key: string | undefined;
  await ddl.session.internal(
    `SELECT ${own.map((column) => `${column}::text`).join(", ")} FROM ONLY ${qualified(ddl, table)} c WHERE ${given} AND NOT EXISTS (SELECT 1 FROM ONLY ${qualified(ddl, target)} p WHERE ${match}) LIMIT 1`,
    [],
    (batch) => {
      key = batch.columns.map((column) => String(column[0])).join(", ");
    },
  );
  if (key !== undefined) {
    throw new DbError(
      "foreignKeyViolation",
      `insert or update on table "${table.name}" violates foreign key constraint "${name}"`,
      {
        detail: ddl.hides(table, columns)
          ? undefined
          : `Key (${columns.map((place) => table.columns[place]!.name).join(", ")})=(${key}) is not present in table "${target.name}".`,
        table: table.name,
        constraint: name,
        schema: schemaName(ddl, table),
      },
    );
  }
}

// --- LIKE -----------------------------------------------------------------------------------------------------------

function likeWants(clause: LikeClause, what: string): boolean {
  let wanted = false;
  for (const option of clause.options)
    if (option.what === "all" || option.what === what) wanted = option.including;
  return wanted;
}

function likeColumns(source: TableDesc, clause: LikeClause): DraftColumn[] {
  return source.columns
    .filter((column) => column.dropped !== true)
    .map((column): DraftColumn => {
      const { name, type, notNull, collation } = column;
      const desc: ColumnDesc = {
        name,
        type,
        notNull,
        ...(collation === undefined ? {} : { collation }),
        ...(likeWants(clause, "defaults") && column.defaultSql !== undefined
          ? { defaultSql: column.defaultSql }
          : {}),
      };
      const identity =
        likeWants(clause, "identity") && column.identity !== undefined
          ? { always: column.identity === "always", options: [], type: type.oid }
          : undefined;
      return identity === undefined ? { desc } : { desc, identity };
    });
}

async function copyLike(
  ddl: DdlContext,
  tableId: ObjectId,
  clause: LikeClause,
  source: TableDesc,
  from: number,
  pending: PendingConstraints,
): Promise<void> {
  // Positions differ where the source has dropped columns or the copy has columns before it.
  const live = source.columns
    .map((column, place) => ({ column, place }))
    .filter(({ column }) => column.dropped !== true);
  const placeOf = (place: number): number => from + live.findIndex((one) => one.place === place);
  const table = ddl.draft.relationById(tableId) as TableDesc;
  if (likeWants(clause, "constraints")) {
    for (const constraint of ddl.draft.constraintsOf(source.id)) {
      if (constraint.type !== "check") continue;
      ddl.draft.put({
        ...constraint,
        id: ddl.draft.draw(),
        schemaId: table.schemaId,
        tableId,
        columns: constraint.columns.map(placeOf),
      });
    }
  }
  if (!likeWants(clause, "indexes")) return;
  for (const index of ddl.draft.indexesOf(source.id)) {
    const constraint = ddl.draft
      .constraintsOf(source.id)
      .find((one) => (one.type === "primaryKey" || one.type === "unique") && one.indexId === index.id);
    if (constraint !== undefined) {
      pending.keys.push({
        name: undefined,
        primary: constraint.type === "primaryKey",
        columns: constraint.columns.map((place) => source.columns[place]!.name),
        include: (index.include ?? []).map((place) => source.columns[place]!.name),
        nullsNotDistinct: index.nullsNotDistinct === true,
        deferrable: constraint.deferrable,
        initiallyDeferred: constraint.initiallyDeferred,
        position: clause.position,
      });
      continue;
    }
    const parts = index.columns
      .map((key) => (key.column === undefined ? "expr" : source.columns[key.column]!.name))
      .join("_");
    await placeIndex(
      ddl,
      table,
      {
        ...index,
        id: ddl.draft.draw(),
        storageId: ddl.draft.draw(),
        name: ddl.freeName(table.schemaId, table.name, parts, "idx"),
        schemaId: table.schemaId,
        tableId,
        columns: index.columns.map((key) =>
          key.column === undefined ? key : { ...key, column: placeOf(key.column) },
        ),
        ...(index.include === undefined ? {} : { include: index.include.map(placeOf) }),
      },
      true,
    );
  }
}
