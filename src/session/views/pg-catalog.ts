/**
 * Rows of PostgreSQL's system catalogs, computed from the catalog state. What PostgreSQL would say of objects like
 * ours: rows keep its column meanings, so that psql, drivers and ORMs find what they look for.
 */

import {
  type AclItem,
  bootstrapRoleId,
  type ColumnDesc,
  type ConstraintDesc,
  type IndexDesc,
  type ObjectId,
  pgCatalogSchemaId,
  type RelationDesc,
  type RoleDesc,
  type TableDesc,
} from "../../model/schema.js";
import { allTypes, formatType, type TypeDesc, typeByOid, typeOf } from "../../model/types.js";
import { PgArray, type Value, wide } from "../../model/value.js";
import { aclItemText, publicRoleId } from "../../security/privileges.js";
import { allCasts, allFunctions, allOperators } from "../../sql/functions/index.js";
import { shownText } from "../redact.js";
import type { Provider, ViewContext } from "./context.js";
import { constraintDefinition, indexDefinition } from "./definitions.js";
import type { CatalogRow } from "./registry.js";

const textArray = (values: readonly string[] | null | undefined): Value =>
  values === null || values === undefined ? null : PgArray.of(25, values);
const int2Array = (values: readonly number[]): Value => PgArray.of(21, values);
const oidArray = (values: readonly number[]): Value => PgArray.of(26, values);
/** int2vector and oidvector: arrays whose lower bound is 0. */
const vector = (element: number, values: readonly number[]): Value =>
  values.length === 0 ? PgArray.of(element, []) : new PgArray(element, values, [values.length], [0]);
const aclArray = (context: ViewContext, acl: readonly AclItem[] | undefined): Value =>
  acl === undefined
    ? null
    : PgArray.of(
        1033,
        acl.map((item) => aclItemText(context.catalog, item)),
      );
const integer = (text: string): Value => wide(BigInt(text));

/** Columns of some catalogs have types that values here never have (pg_lsn, pg_snapshot, ...): shown as opaque text. */
const opaqueType: Omit<TypeDesc, "oid"> = { ...typeOf(25), category: "U", preferred: false, arrayOid: 0 };
function catalogType(oid: number): Omit<TypeDesc, "oid"> {
  return typeByOid(oid) ?? opaqueType;
}

/** array_in: drivers tell arrays by it. */
const arrayInOid = 750;

/** pg_type.typcollation: default for strings, C for name, none for the rest; arrays follow their element. */
function collationOf(oid: number): number {
  const type = catalogType(oid);
  if (type.isArray) return collationOf(type.elementOid);
  return type.name === "name" ? 950 : type.category === "S" ? 100 : 0;
}

/** A table's row type: an id of its own, apart from all drawn ids. */
export const rowTypeOffset = 0x40000000;

export const relationKinds: Readonly<Record<string, string>> = {
  table: "r",
  view: "v",
  sequence: "S",
  virtual: "r",
};
const informationSchemaViews = new Set<string>();

function* relations(context: ViewContext): Iterable<RelationDesc> {
  for (const object of context.catalog.objects()) {
    if (object.kind === "table" || object.kind === "view" || object.kind === "sequence") yield object;
  }
  yield* context.catalog.virtualRelations();
}

function* indexes(context: ViewContext): Iterable<IndexDesc> {
  for (const object of context.catalog.objects()) if (object.kind === "index") yield object;
}

function* constraints(context: ViewContext): Iterable<ConstraintDesc> {
  for (const object of context.catalog.objects()) if (object.kind === "constraint") yield object;
}

function* roles(context: ViewContext): Iterable<RoleDesc> {
  for (const object of context.catalog.objects()) if (object.kind === "role") yield object;
}

const policyLetters = { all: "*", select: "r", insert: "a", update: "w", delete: "d" } as const;

function columnsOf(relation: RelationDesc): readonly ColumnDesc[] {
  if (relation.kind !== "sequence") return relation.columns;
  return [
    { name: "last_value", type: { oid: 20, typmod: -1 }, notNull: true },
    { name: "log_cnt", type: { oid: 20, typmod: -1 }, notNull: true },
    { name: "is_called", type: { oid: 16, typmod: -1 }, notNull: true },
  ];
}

function* pgNamespace(context: ViewContext): Iterable<CatalogRow> {
  for (const object of context.catalog.objects()) {
    if (object.kind !== "schema") continue;
    yield {
      oid: object.id,
      nspname: object.name,
      nspowner: object.owner,
      nspacl: aclArray(context, object.acl),
    };
  }
}

function* pgClass(context: ViewContext): Iterable<CatalogRow> {
  const { catalog } = context;
  const base = {
    reloftype: 0,
    reltablespace: 0,
    relallvisible: 0,
    reltoastrelid: 0,
    relisshared: false,
    relhassubclass: false,
    relispopulated: true,
    relispartition: false,
    relrewrite: 0,
    relhastriggers: false,
    relhasrules: false,
    relfrozenxid: 0,
    relminmxid: 0,
  };
  for (const relation of relations(context)) {
    const constraintsHere = relation.kind === "table" ? catalog.constraintsOf(relation.id) : [];
    const size = relation.kind === "table" ? context.tableSize(relation) : { pages: 0, rows: 0 };
    const statistics = relation.kind === "table" ? catalog.statisticsOf(relation.id) : undefined;
    yield {
      ...base,
      relrowsecurity: relation.kind === "table" && relation.rowSecurity === true,
      relforcerowsecurity: relation.kind === "table" && relation.forceRowSecurity === true,
      oid: relation.id,
      relname: relation.name,
      relnamespace: relation.schemaId,
      reltype: relation.kind === "table" || relation.kind === "view" ? relation.id + rowTypeOffset : 0,
      relowner: relation.owner,
      relam: relation.kind === "table" || relation.kind === "virtual" ? 2 : 0,
      relfilenode: relation.kind === "table" || relation.kind === "sequence" ? relation.storageId : 0,
      relpages: statistics === undefined ? 0 : size.pages,
      reltuples: statistics === undefined ? (relation.kind === "table" ? -1 : 0) : statistics.rows,
      relhasindex: relation.kind === "table" && catalog.indexesOf(relation.id).length > 0,
      relpersistence:
        relation.kind === "table" && relation.persistence === "temporary"
          ? "t"
          : relation.kind === "table" && relation.persistence === "unlogged"
            ? "u"
            : "p",
      relkind:
        relation.kind === "virtual" && informationSchemaViews.has(relation.name)
          ? "v"
          : relationKinds[relation.kind]!,
      relnatts: columnsOf(relation).length,
      relchecks: constraintsHere.filter((constraint) => constraint.type === "check").length,
      relhasrules: relation.kind === "view",
      relhastriggers:
        constraintsHere.some((constraint) => constraint.type === "foreignKey") ||
        (relation.kind === "table" && catalog.referencesTo(relation.id).length > 0),
      relreplident: relation.kind === "table" ? "d" : "n",
      relacl: aclArray(context, relation.kind === "virtual" ? undefined : relation.acl),
      reloptions:
        (relation.kind === "table" || relation.kind === "view") && relation.options !== undefined
          ? textArray(Object.entries(relation.options).map(([key, value]) => `${key}=${value}`))
          : null,
    };
  }
  for (const index of indexes(context)) {
    yield {
      ...base,
      oid: index.id,
      relname: index.name,
      relnamespace: index.schemaId,
      reltype: 0,
      relowner: (catalog.relationById(index.tableId) as TableDesc | undefined)?.owner ?? bootstrapRoleId,
      relam: 403,
      relfilenode: index.storageId,
      relpages: 1,
      reltuples: 0,
      relhasindex: false,
      relpersistence: "p",
      relkind: "i",
      relnatts: index.columns.length + (index.include?.length ?? 0),
      relchecks: 0,
      relreplident: "n",
    };
  }
}

/** An array value's text under pg_attribute.attmissingval's anyarray: one element. */
function* pgAttribute(context: ViewContext): Iterable<CatalogRow> {
  const base = {
    attcacheoff: -1,
    attcompression: "",
    attisdropped: false,
    attislocal: true,
    attinhcount: 0,
    attgenerated: "",
    attidentity: "",
    atthasdef: false,
    atthasmissing: false,
    attnotnull: false,
  };
  const typed = (type: ColumnDesc["type"]): CatalogRow => {
    const desc = catalogType(type.oid);
    return {
      atttypid: type.oid,
      atttypmod: type.typmod,
      attlen: desc.length,
      attbyval: desc.byValue,
      attalign: desc.align,
      attstorage: desc.storage,
      attndims: desc.category === "A" ? 1 : 0,
      attcollation: collationOf(type.oid),
    };
  };
  for (const relation of relations(context)) {
    const columns = columnsOf(relation);
    for (let place = 0; place < columns.length; place++) {
      const column = columns[place]!;
      const dropped = column.dropped === true;
      yield {
        ...base,
        ...typed(column.type),
        attrelid: relation.id,
        attname: dropped ? `........pg.dropped.${place + 1}........` : column.name,
        ...(dropped ? { atttypid: 0 } : {}),
        attstattarget: -1,
        attnum: place + 1,
        attnotnull: column.notNull && !dropped,
        atthasdef: column.defaultSql !== undefined,
        atthasmissing: column.missingValue !== undefined,
        attidentity: column.identity === "always" ? "a" : column.identity === "byDefault" ? "d" : "",
        attisdropped: dropped,
        attacl: aclArray(context, column.acl),
      };
    }
  }
  for (const index of indexes(context)) {
    const table = context.catalog.relationById(index.tableId) as TableDesc;
    const columns = [
      ...index.columns.map((key) => ({ column: key.column, type: key.type })),
      ...(index.include ?? []).map((column) => ({ column, type: table.columns[column]!.type })),
    ];
    for (let place = 0; place < columns.length; place++) {
      const { column, type } = columns[place]!;
      yield {
        ...base,
        ...typed(type),
        attrelid: index.id,
        attname: column === undefined ? expressionName(index, place) : table.columns[column]!.name,
        attstattarget: -1,
        attnum: place + 1,
      };
    }
  }
}

function expressionName(index: IndexDesc, place: number): string {
  const name = /^([a-z_][a-z0-9_]*)\(/i.exec(index.columns[place]?.expressionSql ?? "")?.[1] ?? "expr";
  return place === 0 ? name : `${name}${place}`;
}

function* pgAttrdef(context: ViewContext): Iterable<CatalogRow> {
  for (const object of context.catalog.objects()) {
    if (object.kind !== "table" && object.kind !== "view") continue;
    for (let place = 0; place < object.columns.length; place++) {
      const column = object.columns[place]!;
      if (column.defaultSql === undefined) continue;
      yield {
        oid: attrdefId(object.id, place),
        adrelid: object.id,
        adnum: place + 1,
        adbin: column.defaultSql,
      };
    }
  }
}

/** Defaults have no id of their own in the catalog: theirs is made of table and column. */
export function attrdefId(tableId: ObjectId, column: number): number {
  return (rowTypeOffset * 2 + tableId * 2048 + column) % 0xffffffff;
}

/** btree operator class of a type: PostgreSQL's OIDs. */
const operatorClasses: Readonly<Record<number, readonly [oid: number, name: string, family: number]>> = {
  16: [10003, "bool_ops", 424],
  17: [10006, "bytea_ops", 428],
  18: [10007, "char_ops", 429],
  19: [10028, "name_ops", 1994],
  20: [3124, "int8_ops", 1976],
  21: [1979, "int2_ops", 1976],
  23: [1978, "int4_ops", 1976],
  25: [3126, "text_ops", 1994],
  26: [1981, "oid_ops", 1989],
  700: [10012, "float4_ops", 1970],
  701: [3123, "float8_ops", 1970],
  1042: [10004, "bpchar_ops", 426],
  1043: [3126, "text_ops", 1994],
  1082: [3122, "date_ops", 434],
  1083: [10038, "time_ops", 1996],
  1114: [3128, "timestamp_ops", 434],
  1184: [3127, "timestamptz_ops", 434],
  1186: [10022, "interval_ops", 1982],
  1266: [10041, "timetz_ops", 2000],
  1700: [3125, "numeric_ops", 1988],
  2277: [10000, "array_ops", 397],
  2950: [10065, "uuid_ops", 2968],
  3802: [10088, "jsonb_ops", 4033],
};

function operatorClassOf(type: number): number {
  return (
    (operatorClasses[type] ??
      (catalogType(type).category === "A" ? operatorClasses[2277] : undefined))?.[0] ?? 0
  );
}

function* pgIndex(context: ViewContext): Iterable<CatalogRow> {
  for (const index of indexes(context)) {
    const include = index.include ?? [];
    const constraint = context.catalog
      .constraintsOf(index.tableId)
      .find((one) => (one.type === "primaryKey" || one.type === "unique") && one.indexId === index.id);
    const expressions = index.columns
      .filter((key) => key.expressionSql !== undefined)
      .map((key) => key.expressionSql!);
    yield {
      indexrelid: index.id,
      indrelid: index.tableId,
      indnatts: index.columns.length + include.length,
      indnkeyatts: index.columns.length,
      indisunique: index.unique,
      indnullsnotdistinct: index.nullsNotDistinct === true,
      indisprimary: index.primary,
      indisexclusion: false,
      indimmediate: constraint?.deferrable !== true,
      indisclustered: false,
      indisvalid: index.state === "ready",
      indcheckxmin: false,
      indisready: true,
      indislive: true,
      indisreplident: false,
      indkey: vector(21, [
        ...index.columns.map((key) => (key.column === undefined ? 0 : key.column + 1)),
        ...include.map((column) => column + 1),
      ]),
      indcollation: vector(
        26,
        index.columns.map((key) => collationOf(key.type.oid)),
      ),
      indclass: vector(
        26,
        index.columns.map((key) => operatorClassOf(key.type.oid)),
      ),
      indoption: vector(
        21,
        index.columns.map((key) => (key.descending ? 1 : 0) | (key.nullsFirst ? 2 : 0)),
      ),
      indexprs: expressions.length === 0 ? null : expressions.join(", "),
      indpred: index.predicateSql ?? null,
    };
  }
}

const constraintTypes = { primaryKey: "p", unique: "u", check: "c", foreignKey: "f" } as const;
const actionLetters = { noAction: "a", restrict: "r", cascade: "c", setNull: "n", setDefault: "d" } as const;

function* pgConstraint(context: ViewContext): Iterable<CatalogRow> {
  for (const constraint of constraints(context)) {
    const attributes = (columns: readonly number[]): Value => int2Array(columns.map((column) => column + 1));
    const foreign = constraint.type === "foreignKey" ? constraint : undefined;
    yield {
      oid: constraint.id,
      conname: constraint.name,
      connamespace: constraint.schemaId,
      contype: constraintTypes[constraint.type],
      condeferrable: constraint.deferrable === true,
      condeferred: constraint.initiallyDeferred === true,
      convalidated: constraint.notValid !== true,
      conrelid: constraint.tableId,
      contypid: 0,
      conindid:
        foreign?.referencedIndexId ??
        (constraint.type === "primaryKey" || constraint.type === "unique" ? constraint.indexId : 0),
      conparentid: 0,
      confrelid: foreign?.referencedTableId ?? 0,
      confupdtype: foreign === undefined ? " " : actionLetters[foreign.onUpdate],
      confdeltype: foreign === undefined ? " " : actionLetters[foreign.onDelete],
      confmatchtype: foreign === undefined ? " " : foreign.match === "full" ? "f" : "s",
      conislocal: true,
      coninhcount: 0,
      connoinherit: constraint.type !== "check",
      conkey: constraint.columns.length === 0 ? null : attributes(constraint.columns),
      confkey: foreign === undefined ? null : attributes(foreign.referencedColumns),
      conbin: constraint.type === "check" ? constraint.expressionSql : null,
    };
  }
}

function* pgDatabase(context: ViewContext): Iterable<CatalogRow> {
  for (const object of context.catalog.objects()) {
    if (object.kind !== "database") continue;
    yield {
      oid: object.id,
      datname: object.name,
      datdba: object.owner,
      encoding: 6,
      datlocprovider: "c",
      datistemplate: false,
      datallowconn: true,
      datconnlimit: -1,
      datfrozenxid: 0,
      datminmxid: 1,
      dattablespace: 1663,
      datcollate: "C.UTF-8",
      datctype: "C.UTF-8",
      datacl: aclArray(context, object.acl),
    };
  }
}

function roleRow(context: ViewContext, role: RoleDesc, passwords: boolean): CatalogRow {
  return {
    oid: role.id,
    rolname: role.name,
    rolsuper: role.superuser,
    rolinherit: role.inherit,
    rolcreaterole: role.createRole,
    rolcreatedb: role.createDb,
    rolcanlogin: role.login,
    rolreplication: role.replication,
    rolbypassrls: role.bypassRls,
    rolconnlimit: role.connectionLimit,
    rolpassword: passwords && context.isSuperuser ? (role.password ?? null) : "********",
    rolvaliduntil:
      role.validUntil === undefined
        ? null
        : role.validUntil === "infinity"
          ? Number.POSITIVE_INFINITY
          : Number(role.validUntil),
  };
}

function settingsOf(role: RoleDesc): Value {
  return role.settings === undefined
    ? null
    : textArray(Object.entries(role.settings).map(([key, value]) => `${key}=${value}`));
}

function* pgType(context: ViewContext): Iterable<CatalogRow> {
  const row = {
    typnamespace: pgCatalogSchemaId,
    typowner: bootstrapRoleId,
    typisdefined: true,
    typrelid: 0,
    typnotnull: false,
    typbasetype: 0,
    typtypmod: -1,
    typndims: 0,
    typinput: 0,
    typoutput: 0,
    typreceive: 0,
    typsend: 0,
    typmodin: 0,
    typmodout: 0,
    typanalyze: 0,
    typsubscript: 0,
  };
  for (const type of allTypes()) {
    yield {
      ...row,
      oid: type.oid,
      typname: type.name,
      typlen: type.length,
      typbyval: type.byValue,
      typtype: type.kind,
      typcategory: type.category,
      typispreferred: type.preferred,
      typdelim: type.delimiter,
      typelem: type.elementOid,
      typarray: type.arrayOid,
      typalign: type.align,
      typstorage: type.storage,
      typcollation: collationOf(type.oid),
      typinput: type.isArray ? arrayInOid : 0,
    };
  }
  for (const relation of relations(context)) {
    if (relation.kind !== "table" && relation.kind !== "view") continue;
    yield {
      ...row,
      oid: relation.id + rowTypeOffset,
      typname: relation.name,
      typnamespace: relation.schemaId,
      typowner: relation.owner,
      typlen: -1,
      typbyval: false,
      typtype: "c",
      typcategory: "C",
      typispreferred: false,
      typdelim: ",",
      typrelid: relation.id,
      typelem: 0,
      typarray: 0,
      typalign: "d",
      typstorage: "x",
      typcollation: 0,
    };
  }
}

function* pgProc(): Iterable<CatalogRow> {
  const row = {
    pronamespace: pgCatalogSchemaId,
    proowner: bootstrapRoleId,
    prolang: 12,
    procost: 1,
    prosupport: 0,
    prosecdef: false,
    proparallel: "s",
    prosrc: "",
  };
  for (const fn of allFunctions()) {
    const last = fn.args.at(-1) ?? 0;
    yield {
      ...row,
      oid: fn.oid,
      proname: fn.name,
      prorows: fn.returnsSet ? 1000 : 0,
      provariadic: fn.variadic ? (typeByOid(last)?.elementOid ?? 0) : 0,
      prokind: fn.kind,
      proisstrict: fn.strict,
      proleakproof: fn.leakproof,
      proretset: fn.returnsSet,
      provolatile: fn.volatility[0]!,
      pronargs: fn.args.length,
      pronargdefaults: fn.defaults.length,
      prorettype: fn.returns,
      proargtypes: vector(26, fn.args),
      proargnames: textArray(fn.argNames),
      prosrc: fn.kind === "a" ? "aggregate_dummy" : fn.name,
    };
  }
}

function* pgAggregate(): Iterable<CatalogRow> {
  for (const fn of allFunctions()) {
    if (fn.kind !== "a") continue;
    yield {
      aggfnoid: fn.oid,
      aggkind: fn.aggregateKind,
      aggnumdirectargs: fn.directArgs,
      aggtransfn: 0,
      aggfinalfn: 0,
      aggcombinefn: 0,
      aggserialfn: 0,
      aggdeserialfn: 0,
      aggmtransfn: 0,
      aggminvtransfn: 0,
      aggmfinalfn: 0,
      aggfinalextra: false,
      aggmfinalextra: false,
      aggfinalmodify: "r",
      aggmfinalmodify: "r",
      aggsortop: 0,
      aggtranstype: 0,
      aggtransspace: 0,
      aggmtranstype: 0,
      aggmtransspace: 0,
    };
  }
}

function* pgOperator(): Iterable<CatalogRow> {
  for (const operator of allOperators()) {
    yield {
      oid: operator.oid,
      oprname: operator.symbol,
      oprnamespace: pgCatalogSchemaId,
      oprowner: bootstrapRoleId,
      oprkind: operator.left === 0 ? "l" : "b",
      oprcanmerge: operator.merges,
      oprcanhash: operator.hashes,
      oprleft: operator.left,
      oprright: operator.right,
      oprresult: operator.result,
      oprcom: operator.commutator,
      oprnegate: operator.negator,
      oprcode: operator.function,
      oprrest: 0,
      oprjoin: 0,
    };
  }
}

const castMethods = { function: "f", inout: "i", binary: "b" } as const;

function* pgCast(): Iterable<CatalogRow> {
  // pg_cast's own ids follow the first id that initdb hands out; nobody refers to them.
  let oid = 10_035;
  for (const cast of allCasts()) {
    yield {
      oid: oid++,
      castsource: cast.source,
      casttarget: cast.target,
      castfunc: cast.function,
      castcontext: cast.context[0]!,
      castmethod: castMethods[cast.method],
    };
  }
}

function* pgStatActivity(context: ViewContext): Iterable<CatalogRow> {
  for (const session of context.sessions()) {
    const own = context.isSuperuser || session.userId === context.roleId;
    yield {
      datid: context.database.id,
      datname: session.database,
      pid: session.pid,
      usesysid: session.userId,
      usename: session.user,
      application_name: session.applicationName,
      client_addr: own ? session.clientAddress : null,
      client_port: own ? session.clientPort : null,
      backend_start: own ? session.backendStart : null,
      xact_start: own ? session.transactionStart : null,
      query_start: own ? session.queryStart : null,
      state_change: own ? session.stateChange : null,
      wait_event_type: own ? session.waitEventType : null,
      wait_event: own ? session.waitEvent : null,
      state: own ? session.state : null,
      backend_xid: own && session.transactionId > 0 ? session.transactionId : null,
      query: own ? session.query : "<insufficient privilege>",
      backend_type: "client backend",
    };
  }
}

function* pgSequences(context: ViewContext): Iterable<CatalogRow> {
  for (const object of context.catalog.objects()) {
    if (object.kind !== "sequence") continue;
    const value = context.sequenceValue(object.id);
    yield {
      schemaname: context.catalog.schemaById(object.schemaId)?.name ?? null,
      sequencename: object.name,
      sequenceowner: context.catalog.roleById(object.owner)?.name ?? null,
      data_type: object.type.oid,
      start_value: integer(object.start),
      min_value: integer(object.minimum),
      max_value: integer(object.maximum),
      increment_by: integer(object.increment),
      cycle: object.cycle,
      cache_size: integer(object.cache),
      last_value: value?.isCalled === true ? wide(value.lastValue) : null,
    };
  }
}

function* pgDepend(context: ViewContext): Iterable<CatalogRow> {
  const link = (
    classid: number,
    objid: number,
    objsubid: number,
    refclassid: number,
    refobjid: number,
    refobjsubid: number,
    deptype: string,
  ): CatalogRow => ({ classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype });
  for (const object of context.catalog.objects()) {
    switch (object.kind) {
      case "sequence":
        if (object.ownedBy !== undefined) {
          const column = (context.catalog.relationById(object.ownedBy.tableId) as TableDesc | undefined)
            ?.columns[object.ownedBy.column];
          yield link(
            1259,
            object.id,
            0,
            1259,
            object.ownedBy.tableId,
            object.ownedBy.column + 1,
            column?.identity === undefined ? "a" : "i",
          );
        }
        break;
      case "index": {
        const owner = context.catalog
          .constraintsOf(object.tableId)
          .find((one) => (one.type === "primaryKey" || one.type === "unique") && one.indexId === object.id);
        if (owner !== undefined) yield link(1259, object.id, 0, 2606, owner.id, 0, "i");
        else
          for (const key of object.columns)
            if (key.column !== undefined)
              yield link(1259, object.id, 0, 1259, object.tableId, key.column + 1, "a");
        break;
      }
      case "constraint":
        for (const column of object.columns)
          yield link(2606, object.id, 0, 1259, object.tableId, column + 1, "a");
        if (object.type === "foreignKey") {
          for (const column of object.referencedColumns)
            yield link(2606, object.id, 0, 1259, object.referencedTableId, column + 1, "n");
          yield link(2606, object.id, 0, 1259, object.referencedIndexId, 0, "n");
        }
        break;
      case "table":
        for (let place = 0; place < object.columns.length; place++) {
          if (object.columns[place]!.defaultSql !== undefined)
            yield link(2604, attrdefId(object.id, place), 0, 1259, object.id, place + 1, "a");
        }
        yield link(1259, object.id, 0, 2615, object.schemaId, 0, "n");
        break;
      case "view":
        for (const [id, column] of object.dependsOn)
          yield link(2618, object.id + 1, 0, 1259, id, column + 1, "n");
        break;
    }
  }
}

function* pgStats(context: ViewContext): Iterable<CatalogRow> {
  for (const object of context.catalog.objects()) {
    if (object.kind !== "statistics") continue;
    const table = context.catalog.relationById(object.tableId);
    if (table === undefined || table.kind !== "table") continue;
    for (let place = 0; place < table.columns.length; place++) {
      const column = object.columns[place];
      if (column === null || column === undefined || !context.showsColumn(table, place)) continue;
      yield {
        schemaname: context.catalog.schemaById(table.schemaId)?.name ?? null,
        tablename: table.name,
        attname: table.columns[place]!.name,
        inherited: false,
        null_frac: column.nullFraction,
        avg_width: column.averageWidth,
        n_distinct: column.distinct,
        most_common_vals:
          column.mostCommon.length === 0
            ? null
            : PgArray.of(
                25,
                column.mostCommon.map(([text]) => text),
              ),
        most_common_freqs:
          column.mostCommon.length === 0
            ? null
            : PgArray.of(
                700,
                column.mostCommon.map(([, fraction]) => fraction),
              ),
        histogram_bounds: column.histogram.length === 0 ? null : PgArray.of(25, column.histogram),
        correlation: column.correlation,
      };
    }
  }
}

function* tableStatistics(context: ViewContext): Iterable<CatalogRow> {
  for (const object of context.catalog.objects()) {
    if (object.kind !== "table") continue;
    yield {
      relid: object.id,
      schemaname: context.catalog.schemaById(object.schemaId)?.name ?? null,
      relname: object.name,
      n_live_tup: context.tableSize(object).rows,
      last_analyze: context.catalog.statisticsOf(object.id)?.analyzedAt ?? null,
    };
  }
}

function* pgLocks(context: ViewContext): Iterable<CatalogRow> {
  for (const lock of context.tableLocks()) {
    yield {
      locktype: "relation",
      database: context.database.id,
      relation: lock.table,
      virtualtransaction: `${lock.pid}/1`,
      pid: lock.pid,
      mode: `${lock.mode}Lock`,
      granted: lock.granted,
      fastpath: false,
    };
  }
}

export const pgCatalogProviders: Readonly<Record<string, Provider>> = {
  pg_namespace: pgNamespace,
  pg_class: pgClass,
  pg_attribute: pgAttribute,
  pg_attrdef: pgAttrdef,
  pg_index: pgIndex,
  pg_constraint: pgConstraint,
  pg_database: pgDatabase,
  pg_type: pgType,
  pg_proc: pgProc,
  pg_aggregate: pgAggregate,
  pg_operator: pgOperator,
  pg_cast: pgCast,
  pg_depend: pgDepend,
  pg_stat_activity: pgStatActivity,
  pg_locks: pgLocks,
  pg_sequences: pgSequences,
  pg_stats: pgStats,
  pg_stat_all_tables: tableStatistics,
  pg_stat_user_tables: tableStatistics,
  *pg_authid(context) {
    if (!context.isSuperuser) return;
    for (const role of roles(context)) yield roleRow(context, role, true);
  },
  *pg_roles(context) {
    for (const role of roles(context))
      yield { ...roleRow(context, role, false), rolconfig: settingsOf(role) };
  },
  *pg_user(context) {
    for (const role of roles(context)) {
      if (!role.login) continue;
      yield {
        usename: role.name,
        usesysid: role.id,
        usecreatedb: role.createDb,
        usesuper: role.superuser,
        userepl: role.replication,
        usebypassrls: role.bypassRls,
        passwd: "********",
        useconfig: settingsOf(role),
      };
    }
  },
  *pg_shadow(context) {
    if (!context.isSuperuser) return;
    for (const role of roles(context)) {
      if (!role.login) continue;
      yield {
        usename: role.name,
        usesysid: role.id,
        usecreatedb: role.createDb,
        usesuper: role.superuser,
        userepl: role.replication,
        usebypassrls: role.bypassRls,
        passwd: role.password ?? null,
        useconfig: settingsOf(role),
      };
    }
  },
  *pg_group(context) {
    for (const role of roles(context)) {
      if (role.login) continue;
      const members = [...roles(context)].filter((one) =>
        one.memberOf.some((group) => group.roleId === role.id),
      );
      yield { groname: role.name, grosysid: role.id, grolist: oidArray(members.map((one) => one.id)) };
    }
  },
  *pg_auth_members(context) {
    for (const role of roles(context)) {
      for (const group of role.memberOf)
        yield { roleid: group.roleId, member: role.id, grantor: group.grantor, admin_option: group.admin };
    }
  },
  *pg_db_role_setting(context) {
    for (const object of context.catalog.objects()) {
      if ((object.kind !== "role" && object.kind !== "database") || object.settings === undefined) continue;
      yield {
        setdatabase: object.kind === "database" ? object.id : 0,
        setrole: object.kind === "role" ? object.id : 0,
        setconfig: textArray(Object.entries(object.settings).map(([key, value]) => `${key}=${value}`)),
      };
    }
  },
  *pg_am() {
    for (const [oid, amname, amtype] of [
      [2, "heap", "t"],
      [403, "btree", "i"],
    ] as const) {
      yield { oid, amname, amhandler: 0, amtype };
    }
  },
  *pg_language() {
    for (const [oid, lanname, trusted] of [
      [12, "internal", false],
      [14, "sql", true],
    ] as const) {
      yield {
        oid,
        lanname,
        lanowner: bootstrapRoleId,
        lanispl: false,
        lanpltrusted: trusted,
        lanplcallfoid: 0,
        laninline: 0,
        lanvalidator: 0,
      };
    }
  },
  *pg_collation() {
    for (const [oid, collname, provider] of [
      [100, "default", "d"],
      [950, "C", "c"],
      [951, "POSIX", "c"],
      [12341, "ucs_basic", "c"],
    ] as const) {
      yield {
        oid,
        collname,
        collnamespace: pgCatalogSchemaId,
        collowner: bootstrapRoleId,
        collprovider: provider,
        collisdeterministic: true,
        collencoding: -1,
        collcollate: provider === "d" ? "" : collname,
        collctype: provider === "d" ? "" : collname,
      };
    }
  },
  *pg_opclass() {
    for (const [type, [oid, opcname, opcfamily]] of Object.entries(operatorClasses)) {
      if (Number(type) === 1043) continue;
      yield {
        oid,
        opcmethod: 403,
        opcname,
        opcnamespace: pgCatalogSchemaId,
        opcowner: bootstrapRoleId,
        opcfamily,
        opcintype: Number(type),
        opcdefault: true,
        opckeytype: 0,
      };
    }
  },
  *pg_tablespace() {
    yield { oid: 1663, spcname: "pg_default", spcowner: bootstrapRoleId };
    yield { oid: 1664, spcname: "pg_global", spcowner: bootstrapRoleId };
  },
  *pg_sequence(context) {
    for (const object of context.catalog.objects()) {
      if (object.kind !== "sequence") continue;
      yield {
        seqrelid: object.id,
        seqtypid: object.type.oid,
        seqstart: integer(object.start),
        seqincrement: integer(object.increment),
        seqmax: integer(object.maximum),
        seqmin: integer(object.minimum),
        seqcache: integer(object.cache),
        seqcycle: object.cycle,
      };
    }
  },
  *pg_rewrite(context) {
    for (const object of context.catalog.objects()) {
      if (object.kind !== "view") continue;
      yield {
        oid: object.id + 1,
        rulename: "_RETURN",
        ev_class: object.id,
        ev_type: "1",
        ev_enabled: "O",
        is_instead: true,
        ev_qual: "<>",
        ev_action: object.querySql,
      };
    }
  },
  *pg_description(context) {
    for (const object of context.catalog.objects()) {
      if (object.kind !== "comment") continue;
      const target =
        context.catalog.relationById(object.objectId) ?? context.catalog.indexById(object.objectId);
      const classoid =
        target !== undefined ? 1259 : context.catalog.schemaById(object.objectId) !== undefined ? 2615 : 2606;
      yield { objoid: object.objectId, classoid, objsubid: object.column + 1, description: object.text };
    }
  },
  *pg_tables(context) {
    for (const relation of relations(context)) {
      if (relation.kind !== "table" && relation.kind !== "virtual") continue;
      yield {
        schemaname: context.catalog.schemaById(relation.schemaId)?.name ?? null,
        tablename: relation.name,
        tableowner: context.catalog.roleById(relation.owner)?.name ?? null,
        hasindexes: relation.kind === "table" && context.catalog.indexesOf(relation.id).length > 0,
        hasrules: false,
        hastriggers: false,
        rowsecurity: relation.kind === "table" && relation.rowSecurity === true,
      };
    }
  },
  *pg_policy({ catalog }) {
    for (const object of catalog.objects()) {
      if (object.kind !== "policy") continue;
      yield {
        oid: object.id,
        polname: object.name,
        polrelid: object.tableId,
        polcmd: policyLetters[object.command],
        polpermissive: object.permissive,
        polroles: PgArray.of(26, [...object.roles]),
        polqual: object.usingSql ?? null,
        polwithcheck: object.checkSql ?? null,
      };
    }
  },
  *pg_policies(context) {
    const { catalog } = context;
    const shown = (text: string | undefined, table: ObjectId): string | null =>
      text === undefined ? null : context.expressionText(text, table);
    for (const policy of catalog.objects()) {
      if (policy.kind !== "policy") continue;
      const table = catalog.relationById(policy.tableId);
      if (table === undefined) continue;
      const roles = policy.roles.map((role) =>
        role === publicRoleId ? "public" : (catalog.roleById(role)?.name ?? String(role)),
      );
      yield {
        schemaname: catalog.schemaById(table.schemaId)?.name ?? null,
        tablename: table.name,
        policyname: policy.name,
        permissive: policy.permissive ? "PERMISSIVE" : "RESTRICTIVE",
        roles: PgArray.of(19, roles.sort()),
        cmd: policy.command.toUpperCase(),
        qual: shown(policy.usingSql, table.id),
        with_check: shown(policy.checkSql, table.id),
      };
    }
  },
  *pg_views(context) {
    for (const relation of relations(context)) {
      if (relation.kind !== "view") continue;
      yield {
        schemaname: context.catalog.schemaById(relation.schemaId)?.name ?? null,
        viewname: relation.name,
        viewowner: context.catalog.roleById(relation.owner)?.name ?? null,
        definition: `${relation.querySql};`,
      };
    }
  },
  *pg_indexes(context) {
    for (const index of indexes(context)) {
      yield {
        schemaname: context.catalog.schemaById(index.schemaId)?.name ?? null,
        tablename: context.catalog.relationById(index.tableId)?.name ?? null,
        indexname: index.name,
        indexdef: indexDefinition(context.catalog, index),
      };
    }
  },
  *pg_settings(context) {
    for (const setting of context.settings()) {
      yield {
        name: setting.name,
        setting: setting.setting,
        unit: setting.unit,
        category: setting.category,
        short_desc: setting.description,
        context: setting.context,
        vartype: setting.vartype,
        source: setting.source,
        min_val: setting.minimum,
        max_val: setting.maximum,
        enumvals: textArray(setting.values),
        boot_val: setting.bootValue,
        reset_val: setting.resetValue,
        pending_restart: false,
      };
    }
  },
  *pg_prepared_statements(context) {
    for (const statement of context.preparedStatements()) {
      yield {
        name: statement.name,
        statement: shownText(statement.statement),
        prepare_time: statement.preparedAt,
        parameter_types: PgArray.of(2206, statement.types),
        from_sql: statement.fromSql,
        generic_plans: 0,
        custom_plans: 0,
      };
    }
  },
  *pg_cursors(context) {
    for (const cursor of context.cursors()) {
      yield {
        name: cursor.name,
        statement: cursor.statement,
        is_holdable: cursor.holdable,
        is_binary: cursor.binary,
        is_scrollable: cursor.scrollable,
        creation_time: cursor.createdAt,
      };
    }
  },
  *pg_stat_database(context) {
    yield {
      datid: context.database.id,
      datname: context.database.name,
      numbackends: [...context.sessions()].length,
    };
  },
};

// --- information_schema ---------------------------------------------------------------------------------------------

interface Named {
  readonly catalog: string;
  readonly schema: string;
  readonly name: string;
}

function named(context: ViewContext, object: { readonly schemaId: ObjectId; readonly name: string }): Named {
  return {
    catalog: context.database.name,
    schema: context.catalog.schemaById(object.schemaId)?.name ?? "",
    name: object.name,
  };
}

const yesNo = (value: boolean): string => (value ? "YES" : "NO");

/** information_schema's data_type: the standard's name of the type. */
function standardType(oid: number): string {
  const desc = catalogType(oid);
  return desc.category === "A" ? "ARRAY" : formatType(oid, -1);
}

function typeNumbers(type: ColumnDesc["type"]): CatalogRow {
  const { oid, typmod } = type;
  const precision = (bits: number): CatalogRow => ({
    numeric_precision: bits,
    numeric_precision_radix: 2,
    numeric_scale: 0,
  });
  switch (oid) {
    case 21:
      return precision(16);
    case 23:
      return precision(32);
    case 20:
      return precision(64);
    case 700:
      return { numeric_precision: 24, numeric_precision_radix: 2 };
    case 701:
      return { numeric_precision: 53, numeric_precision_radix: 2 };
    case 1700:
      return typmod < 0
        ? { numeric_precision_radix: 10 }
        : {
            numeric_precision: ((typmod - 4) >> 16) & 0xffff,
            numeric_precision_radix: 10,
            numeric_scale: (typmod - 4) & 0x7ff,
          };
    case 1042:
    case 1043:
      return typmod < 0
        ? { character_octet_length: 1073741824 }
        : { character_maximum_length: typmod - 4, character_octet_length: (typmod - 4) * 4 };
    case 25:
      return { character_octet_length: 1073741824 };
    case 1082:
      return { datetime_precision: 0 };
    case 1083:
    case 1114:
    case 1184:
    case 1266:
    case 1186:
      return { datetime_precision: typmod < 0 ? 6 : oid === 1186 ? typmod & 0xffff : typmod };
    default:
      return {};
  }
}

const ruleTexts = {
  noAction: "NO ACTION",
  restrict: "RESTRICT",
  cascade: "CASCADE",
  setNull: "SET NULL",
  setDefault: "SET DEFAULT",
} as const;
const constraintTypeTexts = {
  primaryKey: "PRIMARY KEY",
  unique: "UNIQUE",
  check: "CHECK",
  foreignKey: "FOREIGN KEY",
} as const;

function* keyedConstraints(
  context: ViewContext,
): Iterable<{ constraint: ConstraintDesc; table: TableDesc; at: Named; tableAt: Named }> {
  for (const constraint of constraints(context)) {
    const table = context.catalog.relationById(constraint.tableId);
    if (table === undefined || table.kind !== "table") continue;
    yield { constraint, table, at: named(context, constraint), tableAt: named(context, table) };
  }
}

function* tableGrants(context: ViewContext): Iterable<CatalogRow> {
  const names: Readonly<Record<string, string>> = {
    a: "INSERT",
    r: "SELECT",
    w: "UPDATE",
    d: "DELETE",
    D: "TRUNCATE",
    x: "REFERENCES",
    t: "TRIGGER",
  };
  for (const relation of relations(context)) {
    if (relation.kind !== "table" && relation.kind !== "view") continue;
    const at = named(context, relation);
    const acl = relation.acl ?? [
      { grantee: relation.owner, grantor: relation.owner, privileges: "arwdDxt", grantable: "arwdDxt" },
    ];
    for (const item of acl) {
      for (const letter of item.privileges) {
        yield {
          grantor: context.catalog.roleById(item.grantor)?.name ?? null,
          grantee: item.grantee === 0 ? "PUBLIC" : (context.catalog.roleById(item.grantee)?.name ?? null),
          table_catalog: at.catalog,
          table_schema: at.schema,
          table_name: at.name,
          privilege_type: names[letter] ?? letter,
          is_grantable: yesNo(item.grantable.includes(letter) || item.grantee === relation.owner),
          with_hierarchy: yesNo(letter === "r"),
        };
      }
    }
  }
}

export const informationSchemaProviders: Readonly<Record<string, Provider>> = {
  *information_schema_catalog_name(context) {
    yield { catalog_name: context.database.name };
  },
  *schemata(context) {
    for (const object of context.catalog.objects()) {
      if (object.kind !== "schema") continue;
      yield {
        catalog_name: context.database.name,
        schema_name: object.name,
        schema_owner: context.catalog.roleById(object.owner)?.name ?? null,
      };
    }
  },
  *tables(context) {
    for (const relation of relations(context)) {
      if (relation.kind === "sequence") continue;
      const at = named(context, relation);
      yield {
        table_catalog: at.catalog,
        table_schema: at.schema,
        table_name: at.name,
        table_type:
          relation.kind === "view" || (relation.kind === "virtual" && at.schema === "information_schema")
            ? "VIEW"
            : relation.kind === "table" && relation.persistence === "temporary"
              ? "LOCAL TEMPORARY"
              : "BASE TABLE",
        is_insertable_into: yesNo(relation.kind === "table"),
        is_typed: "NO",
      };
    }
  },
  *columns(context) {
    for (const relation of relations(context)) {
      if (relation.kind === "sequence") continue;
      const at = named(context, relation);
      for (let place = 0; place < relation.columns.length; place++) {
        const column = relation.columns[place]!;
        if (column.dropped === true) continue;
        const sequence =
          column.identity === undefined || column.sequenceId === undefined
            ? undefined
            : context.catalog.relationById(column.sequenceId);
        const identity =
          sequence?.kind === "sequence"
            ? {
                identity_generation: column.identity === "always" ? "ALWAYS" : "BY DEFAULT",
                identity_start: sequence.start,
                identity_increment: sequence.increment,
                identity_maximum: sequence.maximum,
                identity_minimum: sequence.minimum,
              }
            : {};
        yield {
          table_catalog: at.catalog,
          table_schema: at.schema,
          table_name: at.name,
          column_name: column.name,
          ordinal_position: place + 1,
          column_default: column.identity === undefined ? (column.defaultSql ?? null) : null,
          is_nullable: yesNo(!column.notNull),
          data_type: standardType(column.type.oid),
          ...typeNumbers(column.type),
          udt_catalog: at.catalog,
          udt_schema: "pg_catalog",
          udt_name: catalogType(column.type.oid).name,
          dtd_identifier: String(place + 1),
          is_self_referencing: "NO",
          is_identity: yesNo(column.identity !== undefined),
          ...identity,
          identity_cycle: "NO",
          is_generated: "NEVER",
          is_updatable: yesNo(relation.kind === "table"),
        };
      }
    }
  },
  *table_constraints(context) {
    for (const { constraint, at, tableAt } of keyedConstraints(context)) {
      yield {
        constraint_catalog: at.catalog,
        constraint_schema: at.schema,
        constraint_name: at.name,
        table_catalog: tableAt.catalog,
        table_schema: tableAt.schema,
        table_name: tableAt.name,
        constraint_type: constraintTypeTexts[constraint.type],
        is_deferrable: yesNo(constraint.deferrable === true),
        initially_deferred: yesNo(constraint.initiallyDeferred === true),
        enforced: "YES",
        nulls_distinct: constraint.type === "unique" ? "YES" : null,
      };
    }
  },
  *key_column_usage(context) {
    for (const { constraint, table, at, tableAt } of keyedConstraints(context)) {
      if (constraint.type === "check") continue;
      for (let place = 0; place < constraint.columns.length; place++) {
        yield {
          constraint_catalog: at.catalog,
          constraint_schema: at.schema,
          constraint_name: at.name,
          table_catalog: tableAt.catalog,
          table_schema: tableAt.schema,
          table_name: tableAt.name,
          column_name: table.columns[constraint.columns[place]!]!.name,
          ordinal_position: place + 1,
          position_in_unique_constraint: constraint.type === "foreignKey" ? place + 1 : null,
        };
      }
    }
  },
  *constraint_column_usage(context) {
    for (const { constraint, table, at, tableAt } of keyedConstraints(context)) {
      const foreign =
        constraint.type === "foreignKey"
          ? (context.catalog.relationById(constraint.referencedTableId) as TableDesc | undefined)
          : undefined;
      const target = foreign ?? table;
      const targetAt = foreign === undefined ? tableAt : named(context, foreign);
      for (const column of constraint.type === "foreignKey"
        ? constraint.referencedColumns
        : constraint.columns) {
        yield {
          table_catalog: targetAt.catalog,
          table_schema: targetAt.schema,
          table_name: targetAt.name,
          column_name: target.columns[column]!.name,
          constraint_catalog: at.catalog,
          constraint_schema: at.schema,
          constraint_name: at.name,
        };
      }
    }
  },
  *referential_constraints(context) {
    for (const { constraint, at } of keyedConstraints(context)) {
      if (constraint.type !== "foreignKey") continue;
      const target = context.catalog
        .constraintsOf(constraint.referencedTableId)
        .find(
          (one) =>
            (one.type === "primaryKey" || one.type === "unique") &&
            one.indexId === constraint.referencedIndexId,
        );
      const targetAt = target === undefined ? undefined : named(context, target);
      yield {
        constraint_catalog: at.catalog,
        constraint_schema: at.schema,
        constraint_name: at.name,
        unique_constraint_catalog: targetAt?.catalog ?? null,
        unique_constraint_schema: targetAt?.schema ?? null,
        unique_constraint_name: targetAt?.name ?? null,
        match_option: constraint.match === "full" ? "FULL" : "NONE",
        update_rule: ruleTexts[constraint.onUpdate],
        delete_rule: ruleTexts[constraint.onDelete],
      };
    }
  },
  *check_constraints(context) {
    for (const { constraint, at } of keyedConstraints(context)) {
      if (constraint.type !== "check") continue;
      yield {
        constraint_catalog: at.catalog,
        constraint_schema: at.schema,
        constraint_name: at.name,
        check_clause: constraintDefinition(context.catalog, constraint).slice("CHECK (".length, -1),
      };
    }
  },
  *views(context) {
    for (const relation of relations(context)) {
      if (relation.kind !== "view") continue;
      const at = named(context, relation);
      yield {
        table_catalog: at.catalog,
        table_schema: at.schema,
        table_name: at.name,
        view_definition: `${relation.querySql};`,
        check_option: "NONE",
        is_updatable: "NO",
        is_insertable_into: "NO",
        is_trigger_updatable: "NO",
        is_trigger_deletable: "NO",
        is_trigger_insertable_into: "NO",
      };
    }
  },
  *sequences(context) {
    for (const relation of relations(context)) {
      if (relation.kind !== "sequence") continue;
      // Sequences behind identity columns belong to their column.
      const owner =
        relation.ownedBy === undefined
          ? undefined
          : (context.catalog.relationById(relation.ownedBy.tableId) as TableDesc | undefined);
      if (relation.ownedBy !== undefined && owner?.columns[relation.ownedBy.column]?.identity !== undefined)
        continue;
      const at = named(context, relation);
      yield {
        sequence_catalog: at.catalog,
        sequence_schema: at.schema,
        sequence_name: at.name,
        data_type: standardType(relation.type.oid),
        ...typeNumbers(relation.type),
        start_value: relation.start,
        minimum_value: relation.minimum,
        maximum_value: relation.maximum,
        increment: relation.increment,
        cycle_option: yesNo(relation.cycle),
      };
    }
  },
  *enabled_roles(context) {
    for (const role of roles(context)) yield { role_name: role.name };
  },
  *applicable_roles(context) {
    for (const role of roles(context)) {
      for (const group of role.memberOf)
        yield {
          grantee: role.name,
          role_name: context.catalog.roleById(group.roleId)?.name ?? null,
          is_grantable: yesNo(group.admin),
        };
    }
  },
  table_privileges: tableGrants,
  role_table_grants: tableGrants,
};
