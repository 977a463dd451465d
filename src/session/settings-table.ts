/**
 * The table of session settings: PostgreSQL 15's names that clients ask for, and ours (`scratchbird.`).
 *
 * A line says what the setting is; what it does is up to those who read it. Settings marked `accepted` can be set and
 * shown but change nothing here, and pg_settings says so.
 *
 * Invariants: names are unique without regard to case; defaults are valid and in base units; a setting that clients are
 * told of at start (`reported`) is in PostgreSQL's list of such settings.
 */
import { serverVersion, serverVersionNumber } from "../base/version.js";

/** Who may change it and when, as pg_settings.context says it. */
export type SettingContext =
  | "internal"
  | "postmaster"
  | "sighup"
  | "superuser-backend"
  | "backend"
  | "superuser"
  | "user";

export type SettingUnit = "B" | "kB" | "8kB" | "MB" | "ms" | "s" | "min";

export interface SettingDef {
  readonly name: string;
  readonly type: "bool" | "integer" | "real" | "string" | "enum";
  /** Value at start when nobody sets one: of the setting's type, in base units. */
  readonly default: boolean | number | string;
  readonly context: SettingContext;
  readonly category: string;
  readonly description: string;
  readonly min?: number;
  readonly max?: number;
  readonly unit?: SettingUnit;
  /** Shown values of an enum. */
  readonly values?: readonly string[];
  /** Other spellings of an enum value. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Changes are told to the client by ParameterStatus. */
  readonly reported?: boolean;
  /** A comma-separated list of identifiers. */
  readonly list?: "identifiers" | "words";
  /** Left out of SHOW ALL and pg_settings. */
  readonly hidden?: boolean;
  /** RESET ALL leaves it alone. */
  readonly noResetAll?: boolean;
  /** Holds for one transaction only, whatever SET says. */
  readonly perTransaction?: boolean;
  readonly accepted?: boolean;
}

type More = Partial<Omit<SettingDef, "name" | "type" | "default" | "context" | "category" | "description">>;

const categories = {
  connection: "Connections and Authentication / Connection Settings",
  authentication: "Connections and Authentication / Authentication",
  ssl: "Connections and Authentication / SSL",
  memory: "Resource Usage / Memory",
  disk: "Resource Usage / Disk",
  vacuumCost: "Resource Usage / Cost-Based Vacuum Delay",
  async: "Resource Usage / Asynchronous Behavior",
  wal: "Write-Ahead Log / Settings",
  replication: "Replication / Sending Servers",
  standby: "Replication / Standby Servers",
  methods: "Query Tuning / Planner Method Configuration",
  costs: "Query Tuning / Planner Cost Constants",
  genetic: "Query Tuning / Genetic Query Optimizer",
  planner: "Query Tuning / Other Planner Options",
  logWhen: "Reporting and Logging / When to Log",
  logWhat: "Reporting and Logging / What to Log",
  logWhere: "Reporting and Logging / Where to Log",
  process: "Reporting and Logging / Process Title",
  monitoring: "Statistics / Monitoring",
  statistics: "Statistics / Cumulative Query and Index Statistics",
  autovacuum: "Autovacuum",
  statement: "Client Connection Defaults / Statement Behavior",
  locale: "Client Connection Defaults / Locale and Formatting",
  preload: "Client Connection Defaults / Shared Library Preloading",
  other: "Client Connection Defaults / Other Defaults",
  locks: "Lock Management",
  oldVersions: "Version and Platform Compatibility / Previous PostgreSQL Versions",
  otherClients: "Version and Platform Compatibility / Other Platforms and Clients",
  errors: "Error Handling",
  preset: "Preset Options",
  files: "File Locations",
  developer: "Developer Options",
  scratchbird: "ScratchBird",
} as const;
type Category = keyof typeof categories;

const table: SettingDef[] = [];

function bool(
  name: string,
  byDefault: boolean,
  context: SettingContext,
  category: Category,
  description: string,
  more: More = {},
): void {
  table.push({
    name,
    type: "bool",
    default: byDefault,
    context,
    category: categories[category],
    description,
    ...more,
  });
}
function integer(
  name: string,
  byDefault: number,
  range: readonly [min: number, max: number, unit?: SettingUnit],
  context: SettingContext,
  category: Category,
  description: string,
  more: More = {},
): void {
  const [min, max, unit] = range;
  const bounds = unit === undefined ? { min, max } : { min, max, unit };
  table.push({
    name,
    type: "integer",
    default: byDefault,
    context,
    category: categories[category],
    description,
    ...bounds,
    ...more,
  });
}
function real(
  name: string,
  byDefault: number,
  range: readonly [min: number, max: number, unit?: SettingUnit],
  context: SettingContext,
  category: Category,
  description: string,
  more: More = {},
): void {
  const [min, max, unit] = range;
  const bounds = unit === undefined ? { min, max } : { min, max, unit };
  table.push({
    name,
    type: "real",
    default: byDefault,
    context,
    category: categories[category],
    description,
    ...bounds,
    ...more,
  });
}
function text(
  name: string,
  byDefault: string,
  context: SettingContext,
  category: Category,
  description: string,
  more: More = {},
): void {
  table.push({
    name,
    type: "string",
    default: byDefault,
    context,
    category: categories[category],
    description,
    ...more,
  });
}
function choice(
  name: string,
  byDefault: string,
  values: string,
  context: SettingContext,
  category: Category,
  description: string,
  more: More = {},
): void {
  table.push({
    name,
    type: "enum",
    default: byDefault,
    values: values.split("|"),
    context,
    category: categories[category],
    description,
    ...more,
  });
}

const int32Max = 2_147_483_647;
const realMax = Number.MAX_VALUE;
const accepted: More = { accepted: true };
const truths = { true: "on", yes: "on", 1: "on", false: "off", no: "off", 0: "off" };

// What clients read and set on connecting
text(
  "application_name",
  "",
  "user",
  "logWhat",
  "Name the client gives itself; shown in pg_stat_activity and logs.",
  { reported: true },
);
text("client_encoding", "UTF8", "user", "locale", "Encoding of text on the connection; always UTF8.", {
  reported: true,
});
text(
  "DateStyle",
  "ISO, MDY",
  "user",
  "locale",
  "How dates are shown, and which of day and month comes first in input.",
  { reported: true, list: "words" },
);
choice(
  "IntervalStyle",
  "postgres",
  "postgres|postgres_verbose|sql_standard|iso_8601",
  "user",
  "locale",
  "How intervals are shown.",
  { reported: true },
);
text("TimeZone", "Etc/UTC", "user", "locale", "Zone in which timestamps with time zone are shown and read.", {
  reported: true,
});
text("timezone_abbreviations", "Default", "user", "locale", "Set of zone abbreviations known in input.");
integer(
  "extra_float_digits",
  1,
  [-15, 3],
  "user",
  "locale",
  "Digits shown of floating-point numbers; above 0 the shortest exact form.",
);
choice("bytea_output", "hex", "escape|hex", "user", "statement", "How binary strings are shown.");
bool(
  "standard_conforming_strings",
  true,
  "user",
  "oldVersions",
  "Backslashes in plain string literals are ordinary characters.",
  { reported: true },
);
bool(
  "escape_string_warning",
  true,
  "user",
  "oldVersions",
  "Warn of backslashes in plain string literals.",
  accepted,
);
choice(
  "backslash_quote",
  "safe_encoding",
  "safe_encoding|on|off",
  "user",
  "oldVersions",
  "Whether \\' may stand for a quote in string literals.",
  { aliases: truths, accepted: true },
);
text(
  "search_path",
  '"$user", public',
  "user",
  "statement",
  "Schemas searched for names without one, in order.",
  { list: "identifiers" },
);
choice(
  "client_min_messages",
  "notice",
  "debug5|debug4|debug3|debug2|debug1|log|notice|warning|error",
  "user",
  "statement",
  "Least severity of messages sent to the client.",
  { aliases: { debug: "debug2", info: "info" } },
);
text("server_version", serverVersion, "internal", "preset", "Version of the server.", { reported: true });
integer(
  "server_version_num",
  serverVersionNumber,
  [serverVersionNumber, serverVersionNumber],
  "internal",
  "preset",
  "Version of the server as a number.",
);
text("server_encoding", "UTF8", "internal", "preset", "Encoding of stored text.", { reported: true });
bool("integer_datetimes", true, "internal", "preset", "Times are 64-bit integers.", { reported: true });
bool("in_hot_standby", false, "internal", "preset", "Whether this session reads from a standby.", {
  reported: true,
});
bool("is_superuser", false, "internal", "preset", "Whether the current user is a superuser.", {
  reported: true,
  hidden: true,
});
text("session_authorization", "", "user", "statement", "User of the session.", {
  reported: true,
  hidden: true,
  noResetAll: true,
});
text("role", "none", "user", "statement", "Current role.", { hidden: true, noResetAll: true });
text("seed", "unavailable", "user", "statement", "Seed of random(); can be set, not read.", {
  hidden: true,
  noResetAll: true,
});

// Transactions
choice(
  "default_transaction_isolation",
  "read committed",
  "serializable|repeatable read|read committed|read uncommitted",
  "user",
  "statement",
  "Isolation level of new transactions.",
);
bool("default_transaction_read_only", false, "user", "statement", "New transactions may only read.", {
  reported: true,
});
bool(
  "default_transaction_deferrable",
  false,
  "user",
  "statement",
  "New serializable read-only transactions wait for a safe snapshot.",
);
choice(
  "transaction_isolation",
  "read committed",
  "serializable|repeatable read|read committed|read uncommitted",
  "user",
  "statement",
  "Isolation level of the current transaction.",
  { perTransaction: true, noResetAll: true },
);
bool("transaction_read_only", false, "user", "statement", "The current transaction may only read.", {
  perTransaction: true,
  noResetAll: true,
});
bool(
  "transaction_deferrable",
  false,
  "user",
  "statement",
  "The current transaction waits for a safe snapshot.",
  { perTransaction: true, noResetAll: true },
);
choice(
  "synchronous_commit",
  "on",
  "local|remote_write|remote_apply|on|off",
  "user",
  "wal",
  "Whether COMMIT waits until the transaction is on stable storage.",
  { aliases: truths },
);
integer(
  "statement_timeout",
  0,
  [0, int32Max, "ms"],
  "user",
  "statement",
  "Longest time a statement may run; 0 is without limit.",
);
integer(
  "lock_timeout",
  0,
  [0, int32Max, "ms"],
  "user",
  "statement",
  "Longest time to wait for a lock; 0 is without limit.",
);
integer(
  "idle_in_transaction_session_timeout",
  0,
  [0, int32Max, "ms"],
  "user",
  "statement",
  "Longest time a session may be idle in a transaction; 0 is without limit.",
);
integer(
  "idle_session_timeout",
  0,
  [0, int32Max, "ms"],
  "user",
  "statement",
  "Longest time a session may be idle outside a transaction; 0 is without limit.",
);
integer(
  "deadlock_timeout",
  1000,
  [1, int32Max, "ms"],
  "superuser",
  "locks",
  "How long a lock wait lasts before deadlocks are looked for.",
);

// Statements
bool(
  "row_security",
  true,
  "user",
  "statement",
  "Apply row policies; off raises an error where one would filter rows.",
);
bool(
  "check_function_bodies",
  true,
  "user",
  "statement",
  "Check the body of a function when it is created.",
  accepted,
);
bool("array_nulls", true, "user", "oldVersions", "NULL in array input is the null value.");
bool(
  "quote_all_identifiers",
  false,
  "user",
  "oldVersions",
  "Quote every identifier in SQL that the server writes.",
);
bool("transform_null_equals", false, "user", "otherClients", "Read expr = NULL as expr IS NULL.", accepted);
bool(
  "synchronize_seqscans",
  true,
  "user",
  "oldVersions",
  "Concurrent scans of one table may start where another is.",
  accepted,
);
bool(
  "lo_compat_privileges",
  false,
  "superuser",
  "oldVersions",
  "Skip privilege checks of large objects.",
  accepted,
);
choice("xmlbinary", "base64", "base64|hex", "user", "statement", "How binary values stand in XML.", accepted);
choice(
  "xmloption",
  "content",
  "content|document",
  "user",
  "statement",
  "Whether XML input is a document or a fragment.",
  accepted,
);
choice(
  "password_encryption",
  "scram-sha-256",
  "md5|scram-sha-256",
  "user",
  "authentication",
  "How new passwords are stored; only scram-sha-256 is offered.",
);
choice(
  "session_replication_role",
  "origin",
  "origin|replica|local",
  "superuser",
  "statement",
  "Which triggers and rules fire.",
  accepted,
);
choice(
  "default_toast_compression",
  "pglz",
  "pglz|lz4",
  "user",
  "statement",
  "Compression of long values.",
  accepted,
);
text("default_table_access_method", "heap", "user", "statement", "Access method of new tables.", accepted);
text("default_tablespace", "", "user", "statement", "Tablespace of new tables and indexes.", accepted);
text("temp_tablespaces", "", "user", "statement", "Tablespaces of temporary tables and spill files.", {
  accepted: true,
  list: "identifiers",
});
text(
  "default_text_search_config",
  "pg_catalog.english",
  "user",
  "locale",
  "Text search configuration used when none is named.",
  accepted,
);
text("lc_messages", "C", "superuser", "locale", "Language of messages.", accepted);
text("lc_monetary", "C", "user", "locale", "Format of amounts of money.", accepted);
text("lc_numeric", "C", "user", "locale", "Format of numbers in to_char.", accepted);
text("lc_time", "C", "user", "locale", "Names of days and months in to_char.", accepted);
text("lc_collate", "C", "internal", "preset", "Order of text in this database.");
text("lc_ctype", "C", "internal", "preset", "Classes of characters in this database.");
text("local_preload_libraries", "", "user", "preload", "Libraries loaded into new sessions.", accepted);
text(
  "dynamic_library_path",
  "$libdir",
  "superuser",
  "other",
  "Where loadable modules are looked for.",
  accepted,
);
integer(
  "gin_fuzzy_search_limit",
  0,
  [0, int32Max],
  "user",
  "other",
  "Bound of results of a GIN search.",
  accepted,
);
integer(
  "gin_pending_list_limit",
  4096,
  [64, int32Max, "kB"],
  "user",
  "statement",
  "Size of a GIN index's pending list.",
  accepted,
);
choice(
  "stats_fetch_consistency",
  "cache",
  "none|cache|snapshot",
  "user",
  "statistics",
  "How consistent statistics are within a transaction.",
  accepted,
);
bool("exit_on_error", false, "user", "errors", "End the session at its first error.", accepted);
bool("trace_notify", false, "user", "developer", "Log details of LISTEN and NOTIFY.", accepted);

// Memory and disk
integer(
  "work_mem",
  4096,
  [64, int32Max, "kB"],
  "user",
  "memory",
  "Memory of one sort or hash table before it goes to temporary files.",
);
integer(
  "maintenance_work_mem",
  65536,
  [1024, int32Max, "kB"],
  "user",
  "memory",
  "Memory of index builds and other maintenance.",
);
real("hash_mem_multiplier", 2, [1, 1000], "user", "memory", "How many times work_mem a hash table may take.");
integer(
  "logical_decoding_work_mem",
  65536,
  [64, int32Max, "kB"],
  "user",
  "memory",
  "Memory of logical decoding.",
  accepted,
);
integer(
  "temp_buffers",
  1024,
  [100, 1_073_741_823, "8kB"],
  "user",
  "memory",
  "Buffers of temporary tables in a session.",
  accepted,
);
integer(
  "max_stack_depth",
  2048,
  [100, int32Max, "kB"],
  "superuser",
  "memory",
  "Deepest stack of a statement.",
  accepted,
);
integer(
  "temp_file_limit",
  -1,
  [-1, int32Max, "kB"],
  "superuser",
  "disk",
  "Temporary files of one session; -1 is without limit.",
);
integer(
  "shared_buffers",
  16384,
  [16, 1_073_741_823, "8kB"],
  "postmaster",
  "memory",
  "Size of the buffer pool.",
);
integer(
  "effective_cache_size",
  524288,
  [1, int32Max, "8kB"],
  "user",
  "costs",
  "The planner's idea of all caches together.",
);
integer(
  "effective_io_concurrency",
  1,
  [0, 1000],
  "user",
  "async",
  "Requests a disk works on at once.",
  accepted,
);
integer(
  "maintenance_io_concurrency",
  10,
  [0, 1000],
  "user",
  "async",
  "As effective_io_concurrency, for maintenance.",
  accepted,
);
integer(
  "backend_flush_after",
  0,
  [0, 256, "8kB"],
  "user",
  "async",
  "Pages written before the system is asked to flush them.",
  accepted,
);
integer("max_parallel_workers", 8, [0, 1024], "user", "async", "Parallel workers at once.", accepted);
integer(
  "max_parallel_workers_per_gather",
  0,
  [0, 1024],
  "user",
  "async",
  "Parallel workers of one plan node.",
  accepted,
);
integer(
  "max_parallel_maintenance_workers",
  2,
  [0, 1024],
  "user",
  "async",
  "Parallel workers of one maintenance command.",
  accepted,
);
bool(
  "parallel_leader_participation",
  true,
  "user",
  "async",
  "The leader also runs the parallel part.",
  accepted,
);

// Planner
const methods: readonly (readonly [string, string, boolean?])[] = [
  ["async_append", "asynchronous append"],
  ["bitmapscan", "bitmap scans"],
  ["gathermerge", "gather merge"],
  ["hashagg", "hash aggregation"],
  ["hashjoin", "hash joins"],
  ["incremental_sort", "incremental sorts"],
  ["indexonlyscan", "index-only scans"],
  ["indexscan", "index scans"],
  ["material", "materialization"],
  ["memoize", "memoization"],
  ["mergejoin", "merge joins"],
  ["nestloop", "nested loops"],
  ["parallel_append", "parallel append"],
  ["parallel_hash", "parallel hash joins"],
  ["partition_pruning", "partition pruning"],
  ["partitionwise_aggregate", "aggregation partition by partition", false],
  ["partitionwise_join", "joins partition by partition", false],
  ["seqscan", "sequential scans"],
  ["sort", "explicit sorts"],
  ["tidscan", "TID scans"],
];
for (const [name, what, on] of methods) {
  bool(`enable_${name}`, on ?? true, "user", "methods", `Let the planner use ${what}.`);
}
real("seq_page_cost", 1, [0, realMax], "user", "costs", "Cost of a page read in sequence.");
real("random_page_cost", 4, [0, realMax], "user", "costs", "Cost of a page read out of sequence.");
real("cpu_tuple_cost", 0.01, [0, realMax], "user", "costs", "Cost of handling a row.");
real("cpu_index_tuple_cost", 0.005, [0, realMax], "user", "costs", "Cost of handling an index entry.");
real("cpu_operator_cost", 0.0025, [0, realMax], "user", "costs", "Cost of an operator or function call.");
real(
  "parallel_setup_cost",
  1000,
  [0, realMax],
  "user",
  "costs",
  "Cost of starting parallel workers.",
  accepted,
);
real(
  "parallel_tuple_cost",
  0.1,
  [0, realMax],
  "user",
  "costs",
  "Cost of passing a row from a worker.",
  accepted,
);
real(
  "jit_above_cost",
  100000,
  [-1, realMax],
  "user",
  "costs",
  "Cost above which plans are compiled.",
  accepted,
);
real(
  "jit_inline_above_cost",
  500000,
  [-1, realMax],
  "user",
  "costs",
  "Cost above which compiled plans are inlined.",
  accepted,
);
real(
  "jit_optimize_above_cost",
  500000,
  [-1, realMax],
  "user",
  "costs",
  "Cost above which compiled plans are optimized.",
  accepted,
);
integer(
  "min_parallel_table_scan_size",
  1024,
  [0, 715_827_882, "8kB"],
  "user",
  "costs",
  "Least table size for a parallel scan.",
  accepted,
);
integer(
  "min_parallel_index_scan_size",
  64,
  [0, 715_827_882, "8kB"],
  "user",
  "costs",
  "Least index size for a parallel scan.",
  accepted,
);
bool("jit", false, "user", "planner", "Compile expensive plans.", accepted);
bool("geqo", true, "user", "genetic", "Search join orders at random when there are many tables.", accepted);
integer("geqo_threshold", 12, [2, int32Max], "user", "genetic", "Tables from which geqo is used.", accepted);
integer("geqo_effort", 5, [1, 10], "user", "genetic", "Effort of geqo.", accepted);
integer("geqo_pool_size", 0, [0, int32Max], "user", "genetic", "Individuals of geqo.", accepted);
integer("geqo_generations", 0, [0, int32Max], "user", "genetic", "Rounds of geqo.", accepted);
real("geqo_selection_bias", 2, [1.5, 2], "user", "genetic", "Selective pressure of geqo.", accepted);
real("geqo_seed", 0, [0, 1], "user", "genetic", "Seed of geqo.", accepted);
integer(
  "from_collapse_limit",
  8,
  [1, int32Max],
  "user",
  "planner",
  "Items of FROM up to which subqueries are merged.",
);
integer(
  "join_collapse_limit",
  8,
  [1, int32Max],
  "user",
  "planner",
  "Items of FROM up to which explicit joins are reordered.",
);
integer(
  "default_statistics_target",
  100,
  [1, 10000],
  "user",
  "planner",
  "Detail of the statistics ANALYZE gathers.",
);
choice(
  "constraint_exclusion",
  "partition",
  "partition|on|off",
  "user",
  "planner",
  "Use constraints to leave tables out.",
  { aliases: truths, accepted: true },
);
real(
  "cursor_tuple_fraction",
  0.1,
  [0, 1],
  "user",
  "planner",
  "Share of a cursor's rows expected to be fetched.",
  accepted,
);
real(
  "recursive_worktable_factor",
  10,
  [0.001, 1_000_000],
  "user",
  "planner",
  "Expected growth of recursive queries.",
  accepted,
);
choice(
  "plan_cache_mode",
  "auto",
  "auto|force_generic_plan|force_custom_plan",
  "user",
  "planner",
  "Whether prepared statements are planned anew for their parameters.",
);
choice(
  "force_parallel_mode",
  "off",
  "off|on|regress",
  "user",
  "developer",
  "Use parallel plans where it does not pay.",
  { aliases: truths, accepted: true },
);

// Logging and statistics
integer(
  "log_min_duration_statement",
  -1,
  [-1, int32Max, "ms"],
  "superuser",
  "logWhen",
  "Log statements that run at least this long; -1 logs none, 0 all.",
);
integer(
  "log_min_duration_sample",
  -1,
  [-1, int32Max, "ms"],
  "superuser",
  "logWhen",
  "As log_min_duration_statement, for a sample.",
  accepted,
);
real(
  "log_statement_sample_rate",
  1,
  [0, 1],
  "superuser",
  "logWhen",
  "Share of sampled statements that are logged.",
  accepted,
);
real(
  "log_transaction_sample_rate",
  0,
  [0, 1],
  "superuser",
  "logWhen",
  "Share of transactions that are logged whole.",
  accepted,
);
const severities = "debug5|debug4|debug3|debug2|debug1|info|notice|warning|error|log|fatal|panic";
choice(
  "log_min_messages",
  "warning",
  severities,
  "superuser",
  "logWhen",
  "Least severity of messages in the log.",
  { aliases: { debug: "debug2" } },
);
choice(
  "log_min_error_statement",
  "error",
  severities,
  "superuser",
  "logWhen",
  "Least severity of errors whose statement is logged.",
  { aliases: { debug: "debug2" } },
);
choice(
  "log_error_verbosity",
  "default",
  "terse|default|verbose",
  "superuser",
  "logWhat",
  "Detail of logged messages.",
  accepted,
);
choice("log_statement", "none", "none|ddl|mod|all", "superuser", "logWhat", "Kinds of statements to log.");
bool("log_duration", false, "superuser", "logWhat", "Log how long each statement ran.", accepted);
bool("log_lock_waits", false, "superuser", "logWhat", "Log long lock waits.", accepted);
bool("log_connections", false, "superuser-backend", "logWhat", "Log successful connections.");
bool("log_disconnections", false, "superuser-backend", "logWhat", "Log ends of sessions.");
bool("log_replication_commands", false, "superuser", "logWhat", "Log replication commands.", accepted);
integer(
  "log_parameter_max_length",
  -1,
  [-1, 1_073_741_823, "B"],
  "superuser",
  "logWhat",
  "Bytes of each parameter in logged statements; -1 is all.",
  accepted,
);
integer(
  "log_parameter_max_length_on_error",
  0,
  [-1, 1_073_741_823, "B"],
  "user",
  "logWhat",
  "As log_parameter_max_length, for errors.",
  accepted,
);
integer(
  "log_temp_files",
  -1,
  [-1, int32Max, "kB"],
  "superuser",
  "logWhat",
  "Log temporary files from this size on; -1 logs none.",
  accepted,
);
bool("debug_pretty_print", true, "user", "logWhat", "Indent logged trees.", accepted);
bool("debug_print_parse", false, "user", "logWhat", "Log parse trees.", accepted);
bool("debug_print_plan", false, "user", "logWhat", "Log plans.", accepted);
bool("debug_print_rewritten", false, "user", "logWhat", "Log rewritten trees.", accepted);
bool(
  "update_process_title",
  true,
  "superuser",
  "process",
  "Show the running command in the process title.",
  accepted,
);
bool("track_activities", true, "superuser", "statistics", "Keep the running statement of each session.");
bool("track_counts", true, "superuser", "statistics", "Keep counts of table use.");
choice(
  "track_functions",
  "none",
  "none|pl|all",
  "superuser",
  "statistics",
  "Count function calls.",
  accepted,
);
bool("track_io_timing", false, "superuser", "statistics", "Time page reads and writes.", accepted);
integer(
  "track_activity_query_size",
  1024,
  [100, 1_048_576, "B"],
  "postmaster",
  "statistics",
  "Bytes of the running statement that are kept.",
);
choice(
  "compute_query_id",
  "auto",
  "auto|regress|on|off",
  "superuser",
  "monitoring",
  "Compute an identifier of each statement.",
  { aliases: truths, accepted: true },
);

// Sweep, journal, replication
real(
  "vacuum_cost_delay",
  0,
  [0, 100, "ms"],
  "user",
  "vacuumCost",
  "Pause of VACUUM between pieces of work.",
  accepted,
);
integer(
  "vacuum_cost_limit",
  200,
  [1, 10000],
  "user",
  "vacuumCost",
  "Work of VACUUM between pauses.",
  accepted,
);
integer(
  "vacuum_freeze_min_age",
  50_000_000,
  [0, 1_000_000_000],
  "user",
  "statement",
  "Age at which rows are frozen.",
  accepted,
);
integer(
  "vacuum_freeze_table_age",
  150_000_000,
  [0, 2_000_000_000],
  "user",
  "statement",
  "Age at which whole tables are frozen.",
  accepted,
);
bool("autovacuum", true, "sighup", "autovacuum", "Collect old row versions in the background.");
integer(
  "commit_delay",
  0,
  [0, 100_000],
  "superuser",
  "wal",
  "Microseconds a commit waits for others to join its sync.",
  accepted,
);
integer(
  "commit_siblings",
  5,
  [0, 1000],
  "user",
  "wal",
  "Open transactions needed for commit_delay.",
  accepted,
);
choice(
  "wal_level",
  "replica",
  "minimal|replica|logical",
  "postmaster",
  "wal",
  "What the journal is good for besides recovery.",
);
bool("fsync", true, "sighup", "wal", "Bring commits to stable storage.");
bool("full_page_writes", true, "sighup", "wal", "Journal whole pages, so that a torn write can be mended.");
integer(
  "wal_sender_timeout",
  60000,
  [0, int32Max, "ms"],
  "user",
  "replication",
  "Silence after which replication ends.",
  accepted,
);
integer(
  "wal_segment_size",
  16_777_216,
  [1_048_576, 1_073_741_824, "B"],
  "internal",
  "preset",
  "Size of journal segments.",
);
bool("hot_standby", true, "postmaster", "standby", "Answer queries on copies.");

// The server
integer("max_connections", 1000, [1, 262_143], "postmaster", "connection", "Sessions at once.");
integer(
  "superuser_reserved_connections",
  3,
  [0, 262_143],
  "postmaster",
  "connection",
  "Of these, kept for superusers.",
);
text("listen_addresses", "127.0.0.1", "postmaster", "connection", "Address the server listens on.");
integer("port", 5433, [0, 65535], "postmaster", "connection", "Port the server listens on.");
text("unix_socket_directories", "", "postmaster", "connection", "Folders of Unix sockets; none here.");
bool("ssl", true, "sighup", "ssl", "Connections may be encrypted.");
text("ssl_library", "OpenSSL", "internal", "preset", "Library behind encrypted connections.");
integer(
  "tcp_keepalives_idle",
  60,
  [0, int32Max, "s"],
  "user",
  "connection",
  "Silence before a connection is probed.",
  accepted,
);
integer(
  "tcp_keepalives_interval",
  0,
  [0, int32Max, "s"],
  "user",
  "connection",
  "Time between probes.",
  accepted,
);
integer(
  "tcp_keepalives_count",
  0,
  [0, int32Max],
  "user",
  "connection",
  "Unanswered probes before a connection is given up.",
  accepted,
);
integer(
  "tcp_user_timeout",
  0,
  [0, int32Max, "ms"],
  "user",
  "connection",
  "How long sent data may stay unacknowledged.",
  accepted,
);
integer(
  "client_connection_check_interval",
  0,
  [0, int32Max, "ms"],
  "user",
  "connection",
  "How often running statements look for the client.",
  accepted,
);
integer(
  "authentication_timeout",
  60,
  [1, 600, "s"],
  "sighup",
  "authentication",
  "Longest time for a log-in.",
);
integer(
  "max_prepared_transactions",
  0,
  [0, 262_143],
  "postmaster",
  "memory",
  "Prepared transactions at once.",
);
integer(
  "max_locks_per_transaction",
  64,
  [10, int32Max],
  "postmaster",
  "locks",
  "Locks a transaction holds on average.",
  accepted,
);
text("data_directory", "", "postmaster", "files", "Folder of the data.");
text("config_file", "", "postmaster", "files", "Configuration file.");
text("cluster_name", "scratchbird", "postmaster", "process", "Name of the cluster.");
text("log_destination", "stderr", "sighup", "logWhere", "Where log lines go.");
integer("block_size", 16384, [8192, 65536], "internal", "preset", "Bytes of a page.");
integer("wal_block_size", 16384, [8192, 65536], "internal", "preset", "Bytes of a journal page.");
integer("segment_size", 131072, [0, int32Max, "8kB"], "internal", "preset", "Pages of a file.");
bool("data_checksums", true, "internal", "preset", "Pages carry checksums.");
bool("debug_assertions", true, "internal", "preset", "Assertions are checked.");
integer("max_function_args", 100, [100, 100], "internal", "preset", "Arguments of a function.");
integer("max_identifier_length", 63, [63, 63], "internal", "preset", "Bytes of a name.");
integer("max_index_keys", 32, [32, 32], "internal", "preset", "Columns of an index key.");

// Ours
choice(
  "scratchbird.multi_shard_dml",
  "independent",
  "independent|reject",
  "user",
  "scratchbird",
  "Whether a statement outside a transaction block may write to several shards, each by itself.",
);
choice(
  "scratchbird.serializable_scope",
  "cluster",
  "cluster|shard",
  "user",
  "scratchbird",
  "Whether SERIALIZABLE refuses to touch a second shard or holds per shard.",
);
choice(
  "scratchbird.read_consistency",
  "strong",
  "strong|eventual",
  "user",
  "scratchbird",
  "Whether reads go to the primary copy or to any.",
);
text(
  "scratchbird.session_token",
  "",
  "user",
  "scratchbird",
  "Newest write of this session, to be read from another one.",
  { noResetAll: true },
);
text(
  "scratchbird.traceparent",
  "",
  "user",
  "scratchbird",
  "W3C trace context of the statements that follow.",
);
integer(
  "scratchbird.test_bundle_version",
  0,
  [0, int32Max],
  "user",
  "scratchbird",
  "Security bundle whose row and column rules this session tries; 0 is the current one.",
);
text("scratchbird.node_name", "", "internal", "scratchbird", "Node that holds this session.");

export const settingDefs: readonly SettingDef[] = table;
