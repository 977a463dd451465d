/**
 * System functions: the session, the catalogs, sequences, privileges, sizes and locks, through the context's services
 * (services.ts); and the text and binary functions of the types themselves.
 *
 * Invariants: nothing here knows how catalogs are kept; what only PostgreSQL's own storage could answer is either a true
 * constant of this product (no replication slots, not in recovery) or not implemented (0A000).
 */
import { DbError } from "../../base/errors.js";
import { decodeUtf8 } from "../../model/bytes.js";
import type { EvalContext } from "../../model/functions.js";
import * as exact from "../../model/numeric.js";
import {
  allTypes,
  codecOf,
  formatType,
  formatTypmod,
  oids,
  type RegKind,
  typeByOid,
  typeSend,
} from "../../model/types.js";
import { uuidFromHex } from "../../model/uuid.js";
import { type Interval, Numeric, PgArray, RowValue, type Value, type Wide, wide } from "../../model/value.js";
import { define, defineTyped, type FunctionEntry, functionEntry, isOpen } from "./registry.js";
import type { CatalogInfo, ObjectKind } from "./services.js";
import { quoteIdentifier } from "./strings.js";

function catalog(context: EvalContext): CatalogInfo {
  return context.service("catalogInfo");
}

// The session -------------------------------------------------------------------------------------------------------

define("current_database()", (context: EvalContext) => context.currentDatabase);
define("current_schema()", (context: EvalContext) => context.searchPath(false)[0] ?? null);
define("current_schemas(bool)", (context: EvalContext, implicit: boolean) =>
  PgArray.of(oids.name, context.searchPath(implicit)),
);
define("current_user()", (context: EvalContext) => context.currentUser);
define(["session_user()", "getpgusername()"], (context: EvalContext) => context.sessionUser);
define("pg_backend_pid()", (context: EvalContext) => context.backendPid);
define("version()", (context: EvalContext) => context.service("sessionInfo").versionText());
define("current_setting(text)", (context: EvalContext, name: string) => context.setting(name, false));
define("current_setting(text,bool)", (context: EvalContext, name: string, missingOk: boolean) =>
  context.setting(name, missingOk),
);
define(
  "set_config(text,text,bool)",
  (context: EvalContext, name: string | null, value: string | null, local: boolean | null) => {
    if (name === null) throw new DbError("nullValueNotAllowed", "SET requires parameter name");
    return context.setSetting(name, value ?? "", local === true);
  },
);
define(["pg_client_encoding()", "getdatabaseencoding()"], () => "UTF8");
const encodingNames = ["SQL_ASCII", "EUC_JP", "EUC_CN", "EUC_KR", "EUC_TW", "EUC_JIS_2004", "UTF8"];
define("pg_encoding_to_char(int4)", (_: EvalContext, encoding: number) => encodingNames[encoding] ?? "");
define("pg_char_to_encoding(name)", (_: EvalContext, name: string) =>
  encodingNames.indexOf(name.toUpperCase().replace("-", "")),
);
define("pg_encoding_max_length(int4)", (_: EvalContext, encoding: number) =>
  encoding === 6 ? 4 : encoding === 0 ? 1 : null,
);
define(
  "inet_client_port()",
  (context: EvalContext) => context.service("sessionInfo").clientAddress()?.port ?? null,
);
define(
  "inet_server_port()",
  (context: EvalContext) => context.service("sessionInfo").serverAddress()?.port ?? null,
);
define("pg_postmaster_start_time()", (context: EvalContext) => context.service("sessionInfo").serverStart());
define("pg_conf_load_time()", (context: EvalContext) =>
  context.service("sessionInfo").configurationLoadTime(),
);
define("pg_is_in_recovery()", (context: EvalContext) => context.service("sessionInfo").inRecovery());
define("pg_my_temp_schema()", (context: EvalContext) => context.service("sessionInfo").temporarySchema());
define("pg_is_other_temp_schema(oid)", (context: EvalContext, oid: number) =>
  context.service("sessionInfo").isOtherTemporarySchema(oid),
);
define("pg_reload_conf()", (context: EvalContext) => context.service("sessionInfo").reloadConfiguration());
define("pg_cancel_backend(int4)", (context: EvalContext, pid: number) =>
  context.service("sessionInfo").cancelBackend(pid),
);
define("pg_terminate_backend(int4,int8)", (context: EvalContext, pid: number, timeout: Wide) => {
  if (timeout < 0) throw new DbError("invalidParameterValue", '"timeout" must not be negative');
  return context.service("sessionInfo").terminateBackend(pid, Number(timeout));
});
define("pg_blocking_pids(int4)", (context: EvalContext, pid: number) =>
  PgArray.of(oids.int4, context.service("sessionInfo").blockingPids(pid)),
);
define("pg_safe_snapshot_blocking_pids(int4)", () => PgArray.of(oids.int4, []));
define("pg_notify(text,text)", (context: EvalContext, channel: string | null, payload: string | null) => {
  if (channel === null || channel === "") {
    throw new DbError("invalidParameterValue", "channel name cannot be empty");
  }
  context.service("sessionInfo").notify(channel, payload ?? "");
  return "";
});
define("pg_listening_channels()", (context: EvalContext) =>
  context.service("sessionInfo").listeningChannels(),
);
define("pg_notification_queue_usage()", () => 0);
define("pg_trigger_depth()", () => 0);
define("pg_jit_available()", () => false);

function sleep(context: EvalContext, micros: number): string {
  if (micros > 0) context.service("sessionInfo").sleep(micros);
  return "";
}
define("pg_sleep(float8)", (context: EvalContext, seconds: number) => sleep(context, seconds * 1e6));
define("pg_sleep_for(interval)", (context: EvalContext, span: Interval) =>
  sleep(context, (span.months * 30 + span.days) * 86400e6 + Number(span.micros)),
);
define("pg_sleep_until(timestamptz)", (context: EvalContext, until: Wide) =>
  sleep(context, Number(until) - context.clockTimestamp()),
);

define(
  "create_join_token(interval,_text)",
  (context: EvalContext, ttl: Interval | null, roles: PgArray | null) =>
    context.service("clusterAdmin").createJoinToken(ttl, roles),
);
define(
  "verify_audit_chain(int8,int8,text)",
  (context: EvalContext, start: Wide | null, end: Wide | null, node: string | null) =>
    context.service("clusterAdmin").verifyAuditChain(start, end, node),
);

define(["txid_current()", "pg_current_xact_id()"], (context: EvalContext) =>
  context.service("sessionInfo").transactionId(true));
define(["txid_current_if_assigned()", "pg_current_xact_id_if_assigned()"], (context: EvalContext) =>
  context.service("sessionInfo").transactionId(false));
define(["txid_status(int8)", "pg_xact_status(xid8)"], (context: EvalContext, id: Wide) =>
  context.service("sessionInfo").transactionStatus(id));
define("pg_export_snapshot()", (context: EvalContext) => context.service("sessionInfo").snapshotText());

define("gen_random_uuid()", (context: EvalContext) => {
  let hex = "";
  for (let word = 0; word < 4; word++) {
    hex += Math.floor(context.random() * 4294967296)
      .toString(16)
      .padStart(8, "0");
  }
  const variant = "89ab"[Number.parseInt(hex[16]!, 16) & 3]!;
  return uuidFromHex(`${hex.slice(0, 12)}4${hex.slice(13, 16)}${variant}${hex.slice(17)}`);
});

// Types -------------------------------------------------------------------------------------------------------------

defineTyped(
  "pg_typeof(any)",
  ([type]) =>
    () =>
      type!,
);
define("format_type(oid,int4)", (_: EvalContext, type: number | null, typmod: number | null) =>
  type === null ? null : formatType(type, typmod ?? undefined),
);
define("oidvectortypes(oidvector)", (_: EvalContext, vector: PgArray) =>
  vector.elements.map((type) => formatType(type as number)).join(", "),
);
defineTyped(
  "num_nulls(any)",
  () =>
    (_: EvalContext, ...values: Value[]) =>
      values.filter((value) => value === null).length,
);
defineTyped(
  "num_nonnulls(any)",
  () =>
    (_: EvalContext, ...values: Value[]) =>
      values.filter((value) => value !== null).length,
);
defineTyped("pg_column_size(any)", ([type]) => (_: EvalContext, value: Value) => {
  const fixed = typeByOid(type!)?.length ?? -1;
  if (fixed > 0) return fixed;
  const bytes = typeSend(type === oids.unknown ? oids.text : type!, value).length;
  return bytes <= 126 ? bytes + 1 : bytes + 4;
});
define("pg_column_compression(any)", () => null);
defineTyped("pg_collation_for(any)", ([type]) => () => {
  if (typeByOid(type!)?.category === "S" || type === oids.unknown)
    return type === oids.name ? '"C"' : '"default"';
  throw new DbError("datatypeMismatch", `collations are not supported by type ${formatType(type!)}`);
});

// Every type's own text and binary functions: int4in('1'), int4out(1), int4send(1).
for (const type of allTypes()) {
  if (type.isArray || type.kind === "p") continue;
  const codec = codecOf(type.oid);
  const input = `${type.input}(cstring)`;
  if (isOpen(input)) define(input, (context: EvalContext, text: string) => codec.input(text, context, -1));
  const inputWithTypmod = `${type.input}(cstring,oid,int4)`;
  if (isOpen(inputWithTypmod)) {
    define(inputWithTypmod, (context: EvalContext, text: string, _type: number, typmod: number) =>
      codec.input(text, context, typmod),
    );
  }
  const output = `${type.output}(${type.name})`;
  if (isOpen(output)) define(output, (context: EvalContext, value: Value) => codec.output(value, context));
  const send = `${type.send}(${type.name})`;
  if (isOpen(send)) define(send, (_: EvalContext, value: Value) => typeSend(type.oid, value));
}

for (const type of allTypes()) {
  const signature = `${type.typmodOut}(int4)`;
  if (type.isArray || !isOpen(signature)) continue;
  define(signature, (_: EvalContext, typmod: number) => formatTypmod(type.oid, typmod));
}

// There are no partitioned tables: no ancestors, no tree.
define(["pg_partition_ancestors(regclass)", "pg_partition_tree(regclass)"], () => []);
define("pg_partition_root(regclass)", () => null);

// Names -------------------------------------------------------------------------------------------------------------

for (const kind of [
  "regclass",
  "regtype",
  "regproc",
  "regnamespace",
  "regrole",
  "regoper",
  "regprocedure",
  "regoperator",
  "regcollation",
] as const satisfies readonly RegKind[]) {
  define(`to_${kind}(text)`, (context: EvalContext, name: string) => {
    // Unlike the cast, a number is not taken for an OID.
    if (/^[0-9]+$/.test(name)) return null;
    return context.service("objectNames").regOid(kind, name) ?? null;
  });
}
define(
  "pg_get_userbyid(oid)",
  (context: EvalContext, role: number) => catalog(context).roleName(role) ?? `unknown (OID=${role})`,
);
for (const [name, kind] of [
  ["table", "table"],
  ["type", "type"],
  ["function", "function"],
  ["operator", "operator"],
  ["collation", "collation"],
  ["opclass", "other"],
  ["opfamily", "other"],
  ["conversion", "other"],
  ["statistics_obj", "other"],
  ["ts_parser", "other"],
  ["ts_dict", "other"],
  ["ts_template", "other"],
  ["ts_config", "other"],
] as const) {
  define(`pg_${name}_is_visible(oid)`, (context: EvalContext, oid: number) =>
    catalog(context).isVisible(kind, oid),
  );
}
define("obj_description(oid)", (context: EvalContext, oid: number) =>
  catalog(context).comment(oid, undefined, -1),
);
define(["obj_description(oid,name)", "shobj_description(oid,name)"], (
  context: EvalContext,
  oid: number,
  name: string,
) => catalog(context).comment(oid, name, -1));
define("col_description(oid,int4)", (context: EvalContext, oid: number, column: number) =>
  column < 1 ? null : catalog(context).comment(oid, "pg_class", column - 1),
);

// Definitions -------------------------------------------------------------------------------------------------------

define("pg_get_expr(pg_node_tree,oid)", (context: EvalContext, text: string, relation: number) =>
  catalog(context).expressionText(text, relation, false),
);
define(
  "pg_get_expr(pg_node_tree,oid,bool)",
  (context: EvalContext, text: string, relation: number, pretty: boolean) =>
    catalog(context).expressionText(text, relation, pretty),
);
define("pg_get_indexdef(oid)", (context: EvalContext, oid: number) =>
  catalog(context).indexDefinition(oid, 0, false),
);
define(
  "pg_get_indexdef(oid,int4,bool)",
  (context: EvalContext, oid: number, column: number, pretty: boolean) =>
    catalog(context).indexDefinition(oid, column, pretty),
);
define("pg_get_constraintdef(oid)", (context: EvalContext, oid: number) =>
  catalog(context).constraintDefinition(oid, false),
);
define("pg_get_constraintdef(oid,bool)", (context: EvalContext, oid: number, pretty: boolean) =>
  catalog(context).constraintDefinition(oid, pretty),
);
define(["pg_get_viewdef(oid)", "pg_get_viewdef(text)"], (context: EvalContext, view: number | string) =>
  catalog(context).viewDefinition(view, false));
define(["pg_get_viewdef(oid,bool)", "pg_get_viewdef(text,bool)"], (
  context: EvalContext,
  view: number | string,
  pretty: boolean,
) => catalog(context).viewDefinition(view, pretty));
define("pg_get_viewdef(oid,int4)", (context: EvalContext, view: number) =>
  catalog(context).viewDefinition(view, true),
);
define("pg_get_ruledef(oid)", (context: EvalContext, oid: number) =>
  catalog(context).ruleDefinition(oid, false),
);
define("pg_get_ruledef(oid,bool)", (context: EvalContext, oid: number, pretty: boolean) =>
  catalog(context).ruleDefinition(oid, pretty),
);
define("pg_get_triggerdef(oid)", (context: EvalContext, oid: number) =>
  catalog(context).triggerDefinition(oid, false),
);
define("pg_get_triggerdef(oid,bool)", (context: EvalContext, oid: number, pretty: boolean) =>
  catalog(context).triggerDefinition(oid, pretty),
);
define("pg_get_serial_sequence(text,text)", (context: EvalContext, table: string, column: string) =>
  catalog(context).serialSequence(table, column),
);
define("pg_get_partkeydef(oid)", () => null);
define("pg_get_partition_constraintdef(oid)", () => null);
define("pg_get_statisticsobjdef(oid)", () => null);
define("pg_get_statisticsobjdef_columns(oid)", () => null);
define("pg_get_function_sqlbody(oid)", () => null);
define("pg_relation_is_publishable(regclass)", () => false);
define("pg_get_replica_identity_index(regclass)", () => null);
define("pg_tablespace_location(oid)", () => "");
define("pg_database_collation_actual_version(oid)", () => null);
define("pg_collation_actual_version(oid)", () => null);
define("row_security_active(oid)", (context: EvalContext, oid: number) =>
  catalog(context).rowSecurityActive(oid),
);
define("row_security_active(text)", (context: EvalContext, name: string) =>
  catalog(context).rowSecurityActive(name),
);

function argumentsText(entry: FunctionEntry, withDefaults: boolean): string {
  const firstDefault = entry.args.length - entry.defaults.length;
  const parts = entry.args.map((type, at) => {
    const name = entry.argNames?.[at];
    const variadic = entry.variadic && at === entry.args.length - 1 ? "VARIADIC " : "";
    const value = entry.defaults[at - firstDefault];
    const shown = typeof value === "string" ? `'${value}'::text` : String(value);
    const byDefault = withDefaults && at >= firstDefault ? ` DEFAULT ${shown}` : "";
    return `${variadic}${name === undefined || name === "" ? "" : `${name} `}${formatType(type)}${byDefault}`;
  });
  if (withDefaults) {
    for (const column of entry.outColumns ?? []) parts.push(`OUT ${column.name} ${formatType(column.type)}`);
  }
  if (entry.aggregateKind === "o" || entry.aggregateKind === "h") {
    const direct = parts.slice(0, entry.directArgs).join(", ");
    return `${direct}${direct === "" ? "" : " "}ORDER BY ${parts.slice(entry.directArgs).join(", ")}`;
  }
  return parts.join(", ");
}
function described(oid: number, describe: (entry: FunctionEntry) => string | null): string | null {
  const entry = functionEntry(oid);
  return entry === undefined ? null : describe(entry);
}
define("pg_get_function_arguments(oid)", (_: EvalContext, oid: number) =>
  described(oid, (entry) => argumentsText(entry, true)),
);
define("pg_get_function_identity_arguments(oid)", (_: EvalContext, oid: number) =>
  described(oid, (entry) => argumentsText(entry, false)),
);
define("pg_get_function_result(oid)", (_: EvalContext, oid: number) =>
  described(oid, (entry) => `${entry.returnsSet ? "SETOF " : ""}${formatType(entry.returns)}`),
);
define("pg_get_function_arg_default(oid,int4)", (_: EvalContext, oid: number, position: number) =>
  described(oid, (entry) => {
    const value = entry.defaults[position - 1 - (entry.args.length - entry.defaults.length)];
    if (value === undefined) return null;
    return typeof value === "string" ? `'${value}'::text` : String(value);
  }),
);

// Sequences ---------------------------------------------------------------------------------------------------------

define("nextval(regclass)", (context: EvalContext, sequence: number) =>
  context.service("sequences").nextval(sequence),
);
define("currval(regclass)", (context: EvalContext, sequence: number) =>
  context.service("sequences").currval(sequence),
);
define("lastval()", (context: EvalContext) => context.service("sequences").lastval());
define("setval(regclass,int8)", (context: EvalContext, sequence: number, value: Wide) =>
  context.service("sequences").setval(sequence, value, true),
);
define("setval(regclass,int8,bool)", (context: EvalContext, sequence: number, value: Wide, called: boolean) =>
  context.service("sequences").setval(sequence, value, called),
);
const sequenceTypes = [oids.int8, oids.int8, oids.int8, oids.int8, oids.bool, oids.int8, oids.oid];
define("pg_sequence_parameters(oid)", (context: EvalContext, sequence: number) => {
  const values = context.service("sequences").parameters(sequence);
  return values === null ? null : new RowValue(sequenceTypes, values);
});
define("pg_sequence_last_value(regclass)", (context: EvalContext, sequence: number) =>
  context.service("sequences").lastValue(sequence),
);

// Sizes -------------------------------------------------------------------------------------------------------------

define("pg_table_size(regclass)", (context: EvalContext, oid: number) => catalog(context).tableSize(oid));
define("pg_indexes_size(regclass)", (context: EvalContext, oid: number) => catalog(context).indexesSize(oid));
define("pg_total_relation_size(regclass)", (context: EvalContext, oid: number) =>
  catalog(context).totalRelationSize(oid),
);
define("pg_relation_size(regclass)", (context: EvalContext, oid: number) =>
  catalog(context).relationSize(oid, "main"),
);
define("pg_relation_size(regclass,text)", (context: EvalContext, oid: number, fork: string) =>
  catalog(context).relationSize(oid, fork),
);
define(["pg_database_size(oid)", "pg_database_size(name)"], (
  context: EvalContext,
  database: number | string,
) => catalog(context).databaseSize(database));
define("pg_relation_filenode(regclass)", (_: EvalContext, oid: number) => oid);
define("pg_relation_filepath(regclass)", (context: EvalContext, oid: number) =>
  catalog(context).filePath(oid),
);
define("pg_relation_is_updatable(regclass,bool)", (context: EvalContext, oid: number, triggers: boolean) =>
  catalog(context).relationIsUpdatable(oid, triggers),
);
define(
  "pg_column_is_updatable(regclass,int2,bool)",
  (context: EvalContext, oid: number, column: number, triggers: boolean) =>
    catalog(context).columnIsUpdatable(oid, column - 1, triggers),
);

const sizeUnits: readonly {
  readonly name: string;
  readonly limit: bigint;
  readonly rounds: boolean;
  readonly bits: number;
}[] = [
  { name: "bytes", limit: 10240n, rounds: false, bits: 0 },
  { name: "kB", limit: 20479n, rounds: true, bits: 10 },
  { name: "MB", limit: 20479n, rounds: true, bits: 20 },
  { name: "GB", limit: 20479n, rounds: true, bits: 30 },
  { name: "TB", limit: 20479n, rounds: true, bits: 40 },
  { name: "PB", limit: 20479n, rounds: true, bits: 50 },
];
function sizePretty(bytes: bigint): string {
  let size = bytes;
  for (let at = 0; ; at++) {
    const unit = sizeUnits[at]!;
    const next = sizeUnits[at + 1];
    const magnitude = size < 0n ? -size : size;
    if (next === undefined || magnitude < unit.limit) {
      if (unit.rounds) size = (size + (size < 0n ? -1n : 1n)) / 2n;
      return `${size} ${unit.name}`;
    }
    // One bit is kept for rounding to the nearest in the larger unit.
    size /= 1n << BigInt(next.bits - unit.bits - (next.rounds ? 1 : 0) + (unit.rounds ? 1 : 0));
  }
}
define("pg_size_pretty(int8)", (_: EvalContext, size: Wide) => sizePretty(BigInt(size)));
define("pg_size_pretty(numeric)", (_: EvalContext, size: Numeric) => {
  if (size.special !== "") throw new DbError("invalidParameterValue", "invalid size");
  const magnitude = exact.absNumeric(size);
  if (exact.compareNumeric(magnitude, new Numeric(10240, 0)) < 0) return `${exact.formatNumeric(size)} bytes`;
  return sizePretty(BigInt(exact.truncateNumeric(size, 0).coefficient));
});
const unitBytes: Readonly<Record<string, bigint>> = {
  b: 1n,
  bytes: 1n,
  kb: 1n << 10n,
  mb: 1n << 20n,
  gb: 1n << 30n,
  tb: 1n << 40n,
  pb: 1n << 50n,
};
define("pg_size_bytes(text)", (_: EvalContext, text: string) => {
  const match = /^\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)\s*$/.exec(text);
  if (match === null) throw new DbError("invalidParameterValue", `invalid size: "${text}"`);
  const unit = match[2] === "" ? 1n : unitBytes[match[2]!.toLowerCase()];
  if (unit === undefined) {
    throw new DbError("invalidParameterValue", `invalid size: "${text}"`, {
      detail: `Invalid size unit: "${match[2]}".`,
      hint: 'Valid units are "bytes", "B", "kB", "MB", "GB", "TB", and "PB".',
    });
  }
  const bytes = exact.numericToInteger(
    exact.multiplyNumeric(exact.parseNumeric(match[1]!), new Numeric(wide(unit), 0)),
  );
  const value = BigInt(bytes ?? 0);
  if (value > 9223372036854775807n || value < -9223372036854775808n) {
    throw new DbError("numericValueOutOfRange", "bigint out of range");
  }
  return wide(value);
});

// Privileges --------------------------------------------------------------------------------------------------------

const privilegeKinds: readonly (readonly [name: string, kind: ObjectKind])[] = [
  ["table", "table"],
  ["sequence", "sequence"],
  ["database", "database"],
  ["function", "function"],
  ["language", "language"],
  ["schema", "schema"],
  ["tablespace", "tablespace"],
  ["foreign_data_wrapper", "foreignDataWrapper"],
  ["server", "server"],
  ["type", "type"],
  ["any_column", "anyColumn"],
];
type Id = number | string;
for (const [name, kind] of privilegeKinds) {
  for (const object of ["text", "oid"] as const) {
    define(`has_${name}_privilege(${object},text)`, (context: EvalContext, target: Id, privilege: string) =>
      catalog(context).hasPrivilege(kind, undefined, target, privilege),
    );
    for (const role of ["name", "oid"] as const) {
      define(
        `has_${name}_privilege(${role},${object},text)`,
        (context: EvalContext, who: Id, target: Id, privilege: string) =>
          catalog(context).hasPrivilege(kind, who, target, privilege),
      );
    }
  }
}
/** Column numbers count from 1 in SQL and from 0 in the service. */
function columnId(column: Id): Id {
  return typeof column === "number" ? column - 1 : column;
}
for (const object of ["text", "oid"] as const) {
  for (const column of ["text", "int2"] as const) {
    define(
      `has_column_privilege(${object},${column},text)`,
      (context: EvalContext, table: Id, which: Id, privilege: string) =>
        catalog(context).hasPrivilege("column", undefined, table, privilege, columnId(which)),
    );
    for (const role of ["name", "oid"] as const) {
      define(
        `has_column_privilege(${role},${object},${column},text)`,
        (context: EvalContext, who: Id, table: Id, which: Id, privilege: string) =>
          catalog(context).hasPrivilege("column", who, table, privilege, columnId(which)),
      );
    }
  }
}
define("has_parameter_privilege(text,text)", (context: EvalContext, name: string, privilege: string) =>
  catalog(context).hasPrivilege("parameter", undefined, name, privilege),
);
define(["has_parameter_privilege(name,text,text)", "has_parameter_privilege(oid,text,text)"], (
  context: EvalContext,
  who: Id,
  name: string,
  privilege: string,
) => catalog(context).hasPrivilege("parameter", who, name, privilege));
for (const member of ["name", "oid"] as const) {
  define(`pg_has_role(${member},text)`, (context: EvalContext, role: Id, privilege: string) =>
    context.service("sessionInfo").isMemberOf(undefined, role, privilege),
  );
  for (const who of ["name", "oid"] as const) {
    define(
      `pg_has_role(${who},${member},text)`,
      (context: EvalContext, user: Id, role: Id, privilege: string) =>
        context.service("sessionInfo").isMemberOf(user, role, privilege),
    );
  }
}

/** Default privileges by object letter: [PUBLIC's, the owner's]. */
const defaultPrivileges: Readonly<Record<string, readonly [string, string]>> = {
  c: ["", ""],
  r: ["", "arwdDxt"],
  s: ["", "rwU"],
  d: ["Tc", "CTc"],
  f: ["X", "X"],
  l: ["U", "U"],
  L: ["", "rw"],
  n: ["", "UC"],
  p: ["", "sA"],
  t: ["", "C"],
  F: ["", "U"],
  S: ["", "U"],
  T: ["U", "U"],
};
define("acldefault(char,oid)", (context: EvalContext, letter: string, owner: number) => {
  const privileges = defaultPrivileges[letter];
  if (privileges === undefined) {
    throw new DbError("internalError", `unrecognized object type abbreviation: ${letter}`);
  }
  const name = catalog(context).roleName(owner);
  const shown = name === undefined ? String(owner) : quoteIdentifier(name);
  const items: string[] = [];
  if (privileges[0] !== "") items.push(`=${privileges[0]}/${shown}`);
  if (privileges[1] !== "") items.push(`${shown}=${privileges[1]}/${shown}`);
  return PgArray.of(oids.aclitem, items);
});
const privilegeWords: Readonly<Record<string, string>> = {
  r: "SELECT",
  w: "UPDATE",
  a: "INSERT",
  d: "DELETE",
  D: "TRUNCATE",
  x: "REFERENCES",
  t: "TRIGGER",
  X: "EXECUTE",
  U: "USAGE",
  C: "CREATE",
  c: "CONNECT",
  T: "TEMPORARY",
  s: "SET",
  A: "ALTER SYSTEM",
};
const explodedTypes = [oids.oid, oids.oid, oids.text, oids.bool];
define("aclexplode(_aclitem)", (context: EvalContext, items: PgArray) => {
  const names = context.service("objectNames");
  const rows: RowValue[] = [];
  for (const item of items.elements) {
    const match = /^("(?:[^"]|"")*"|[^=]*)=([A-Za-z*]*)\/(.*)$/.exec(String(item));
    if (match === null) throw new DbError("invalidParameterValue", `invalid ACL item: "${item}"`);
    const grantee = match[1] === "" ? 0 : (names.regOid("regrole", match[1]!) ?? 0);
    const grantor = names.regOid("regrole", match[3]!) ?? 0;
    for (const privilege of match[2]!.matchAll(/([A-Za-z])(\*?)/g)) {
      const word = privilegeWords[privilege[1]!];
      if (word !== undefined) {
        rows.push(new RowValue(explodedTypes, [grantor, grantee, word, privilege[2] === "*"]));
      }
    }
  }
  return rows;
});

// Advisory locks ----------------------------------------------------------------------------------------------------

for (const args of ["int8", "int4,int4"] as const) {
  for (const [suffix, mode] of [
    ["", "exclusive"],
    ["_shared", "shared"],
  ] as const) {
    for (const [prefix, scope] of [
      ["", "session"],
      ["xact_", "transaction"],
    ] as const) {
      define(`pg_advisory_${prefix}lock${suffix}(${args})`, (context: EvalContext, ...key: Wide[]) => {
        context.service("advisoryLocks").lock(key, mode, scope, false);
        return "";
      });
      define(`pg_try_advisory_${prefix}lock${suffix}(${args})`, (context: EvalContext, ...key: Wide[]) =>
        context.service("advisoryLocks").lock(key, mode, scope, true),
      );
    }
    define(`pg_advisory_unlock${suffix}(${args})`, (context: EvalContext, ...key: Wide[]) =>
      context.service("advisoryLocks").unlock(key, mode),
    );
  }
}
define("pg_advisory_unlock_all()", (context: EvalContext) => {
  context.service("advisoryLocks").unlockAll();
  return "";
});

// Odds and ends -----------------------------------------------------------------------------------------------------

define("xid = int4", (_: EvalContext, a: number, b: number) => a === b >>> 0);
define("xid <> int4", (_: EvalContext, a: number, b: number) => a !== b >>> 0);
define("pg_options_to_table(_text)", (_: EvalContext, options: PgArray) =>
  options.elements.map((option) => {
    const text = String(option);
    const at = text.indexOf("=");
    return new RowValue(
      [oids.text, oids.text],
      at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)],
    );
  }),
);
define("convert(bytea,name,name)", (_: EvalContext, bytes: Uint8Array, from: string, to: string) => {
  if (!/^utf-?8$/i.test(from) || !/^utf-?8$/i.test(to)) {
    throw new DbError("invalidParameterValue", `conversion from "${from}" to "${to}" is not available`);
  }
  decodeUtf8(bytes);
  return bytes;
});
