/**
 * Cluster settings: what ALTER CLUSTER SET knows (SQL-19). One table; a key's prefix says which part of the epoch carries it.
 *
 * Values travel and are kept as text. `normalizeSetting` gives the one spelling of a value, which is hashed into the
 * epoch's parts on every node alike: it depends on nothing but its arguments.
 *
 * Invariants: a default is spelled as `normalizeSetting` would spell it; what it has accepted, `read` understands.
 */
import { assert, DbError } from "../base/errors.js";
import { nearest } from "../base/nearest.js";
import { parseInterval } from "../model/interval.js";
import { type PartType, packVersion, versionText } from "./epochs.js";

export type SettingType = "integer" | "number" | "duration" | "size" | "boolean" | "choice" | "version";

export interface SettingDef {
  readonly name: string;
  readonly type: SettingType;
  readonly default: string;
  /** What a bare number counts: seconds of a duration, bytes of a size. */
  readonly unit: "s" | "B" | undefined;
  /** Of `read`'s answers. */
  readonly min: number | undefined;
  readonly max: number | undefined;
  readonly choices: readonly string[] | undefined;
  readonly description: string;
  /** Of the epoch. */
  readonly part: PartType;
  /**
   * An accepted value as a number: milliseconds, bytes, 0 or 1, a packed version, the place among the choices.
   * @throws DbError 22023 for what was never accepted
   */
  read(text: string): number;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

const timeUnits: readonly (readonly [name: string, ms: number])[] = [
  ["d", day],
  ["h", hour],
  ["min", minute],
  ["s", second],
  ["ms", 1],
];
const sizeUnits: readonly (readonly [name: string, bytes: number])[] = [
  ["TB", 1024 * GiB],
  ["GB", GiB],
  ["MB", MiB],
  ["kB", KiB],
  ["B", 1],
];

type Facts = Pick<SettingDef, "type" | "default"> & Partial<Pick<SettingDef, "min" | "max" | "choices">>;
type Limits = readonly [min: number, max: number];

const integer = (value: number, [min, max]: Limits): Facts => ({
  type: "integer",
  default: String(value),
  min,
  max,
});
const number = (value: number, [min, max]: Limits): Facts => ({
  type: "number",
  default: String(value),
  min,
  max,
});
const duration = (value: string, [min, max]: Limits): Facts => ({
  type: "duration",
  default: value,
  min,
  max,
});
const size = (value: string, [min, max]: Limits): Facts => ({ type: "size", default: value, min, max });
const boolean = (value: "on" | "off"): Facts => ({ type: "boolean", default: value });
const choice = (value: string, ...others: string[]): Facts => ({
  type: "choice",
  default: value,
  choices: [value, ...others],
});

/** Of settings that nothing reads yet: they are the administrators' policy all the same, and the epoch carries them. */
const policyOnly = "Kept as policy; nothing acts on it yet.";

/** By name. */
const table: readonly (readonly [name: string, facts: Facts, description: string])[] = [
  [
    "audit.audit_all_queries",
    boolean("off"),
    "Every statement leaves an audit event, not only what changes the catalog or the cluster.",
  ],
  [
    "audit.checkpoint_interval",
    duration("1h", [minute, day]),
    "How long after the last one each node has the cluster note a checkpoint of its audit chain.",
  ],
  [
    "authentication.failure_backoff",
    duration("100ms", [0, 10 * second]),
    "How long the first refusal of a log-in is held back; each further one of the same role from the same address twice as long, up to 5 s. off (0): not at all.",
  ],
  [
    "authentication.max_unauthenticated",
    integer(1000, [10, 100_000]),
    "Connections of a node that have not logged in; beyond it the oldest is closed.",
  ],
  [
    "authentication.session_lifetime",
    duration("1d", [second, 3650 * day]),
    "A session that logged in so long ago is ended: at once when idle, else with its transaction.",
  ],
  [
    "authentication.tls",
    choice("preferred", "required", "required_beyond_loopback"),
    "Whether clients must encrypt, by TLS 1.3: no; yes; yes, except on a loopback address of a cluster of one node.",
  ],
  [
    "backup.retention",
    duration("30d", [hour, 3650 * day]),
    `How long a backup set without a policy of its own is kept. ${policyOnly}`,
  ],
  [
    "ca.emergency_window",
    duration("10min", [second, 7 * day]),
    "How long nodes may still show a certificate of a CA that was revoked in an emergency, if it is the one that they are known by.",
  ],
  [
    "cluster.min_node_version",
    { type: "version", default: "0.0.0" },
    "Nodes of an older version may not join, and an epoch that asks for it waits for them to go. It never goes down.",
  ],
  [
    "degraded_mode.max_duration",
    duration("1h", [second, 30 * day]),
    `How long nodes may go on in degraded mode. ${policyOnly}`,
  ],
  [
    "epoch.bytes_max",
    size("15MB", [MiB, 100 * MiB]),
    "Largest size of all parts of an epoch together; a larger one is refused (EPOCH_TOO_LARGE).",
  ],
  [
    "epoch.convergence_timeout",
    duration("5min", [second, day]),
    "How long after its publication an epoch that nodes must attest may take before the laggards are reported.",
  ],
  [
    "epoch.min_signatures",
    integer(1, [1, 16]),
    "Administrators who must sign an epoch that changes trust or access.",
  ],
  [
    "epoch.require_quorum",
    boolean("off"),
    "A majority of the administrators must sign an epoch that changes trust or access.",
  ],
  [
    "membership.failure_timeout",
    duration("30s", [second, hour]),
    "A node that was silent for so long is marked FAILED.",
  ],
  [
    "membership.observation_interval",
    duration("15s", [second, 10 * minute]),
    `How often each node checks each other. ${policyOnly}`,
  ],
  [
    "membership.removal_grace",
    duration("0", [0, 365 * day]),
    "The removal of a node that was FAILED for so long is proposed; off (0): an administrator decides.",
  ],
  [
    "observability.trace_sample_rate",
    number(0.1, [0, 1]),
    `Share of the requests that are traced, from 0 to 1. ${policyOnly}`,
  ],
  ["rebalance.automatic", boolean("off"), `Shards are moved from loaded nodes to idle ones. ${policyOnly}`],
  ["replication.factor", integer(2, [1, 7]), `Copies of every shard, its primary included. ${policyOnly}`],
  [
    "replication.min_in_sync",
    integer(1, [1, 7]),
    `Copies that must be in step with the primary before a commit is answered, its own included. ${policyOnly}`,
  ],
  [
    "replication.sync",
    choice("async", "quorum"),
    `Whether a commit waits for the copies that are in step. ${policyOnly}`,
  ],
  [
    "scheduler.polling_interval",
    duration("10s", [second, hour]),
    `How often a node looks for runs of jobs that are due. ${policyOnly}`,
  ],
  [
    "security_bundle.bytes_max",
    size("15MB", [MiB, 100 * MiB]),
    "Largest size of a security bundle; a larger one is not published (BUNDLE_TOO_LARGE). epoch.bytes_max counts it too, as base64.",
  ],
  [
    "security_bundle.convergence_timeout",
    duration("1min", [second, hour]),
    "How long after its publication a security bundle may take until every enabled node has attested it; beyond it the cluster is degraded.",
  ],
  [
    "security_bundle.publish_interval",
    duration("1min", [0, hour]),
    "Least time between two PUBLISH SECURITY BUNDLE in the whole cluster. off (0): none.",
  ],
];

const partByPrefix: Readonly<Record<string, PartType>> = {
  replication: "replicationPolicy",
  backup: "backupPolicy",
  scheduler: "schedulerPolicy",
  observability: "observabilityPolicy",
  audit: "observabilityPolicy",
};

function made(name: string, facts: Facts, description: string): SettingDef {
  const { type } = facts;
  const def: SettingDef = {
    name,
    unit: type === "duration" ? "s" : type === "size" ? "B" : undefined,
    min: undefined,
    max: undefined,
    choices: undefined,
    ...facts,
    description,
    part: partByPrefix[name.slice(0, name.indexOf("."))] ?? "capabilityMatrix",
    read: (text) => numberOf(def, text),
  };
  return def;
}

export const clusterSettings: Readonly<Record<string, SettingDef>> = Object.assign(
  Object.create(null) as Record<string, SettingDef>,
  Object.fromEntries(table.map(([name, ...rest]) => [name, made(name, ...rest)])),
);

export function settingDef(key: string): SettingDef | undefined {
  return clusterSettings[key];
}

/** For a key that is none: the one that may have been meant. */
export function nearestSetting(key: string): string | undefined {
  return nearest(key, Object.keys(clusterSettings));
}

// --- values ------------------------------------------------------------------------------------------------------

/**
 * The one spelling of a value.
 * @throws DbError invalidParameterValue (22023), whose detail says what the setting takes
 */
export function normalizeSetting(def: SettingDef, text: string): string {
  const value = numberOf(def, text);
  if (value < (def.min ?? value) || value > (def.max ?? value)) throw refused(def, text);
  return spelled(def, value);
}

/** An accepted value for a row of sys.settings: a number of the setting's unit where it has one. */
export function plainSetting(def: SettingDef, text: string): string {
  const value = numberOf(def, text);
  return def.type === "duration" ? String(value / second) : def.type === "size" ? String(value) : text;
}

/** Milliseconds of a duration. @throws DbError 22023 */
export function durationMs(text: string): number {
  const canonical = /^(\d+)(d|h|min|s|ms)$/.exec(text);
  if (canonical !== null) return Number(canonical[1]) * unitNamed(timeUnits, canonical[2]!);
  const ms = intervalMs(text);
  if (ms === undefined) throw new DbError("invalidParameterValue", `"${text}" is not a duration`);
  return ms;
}

/** What the setting takes, for people. */
function expected(def: SettingDef): string {
  const { type, min, max } = def;
  const limit = (value: number): string => spelled(def, value);
  switch (type) {
    case "integer":
      return `a whole number from ${limit(min!)} to ${limit(max!)}`;
    case "number":
      return `a number from ${limit(min!)} to ${limit(max!)}`;
    case "duration":
      return `a duration from ${limit(min!)} to ${limit(max!)}, such as '90 s' or '1 hour'`;
    case "size":
      return `a size from ${limit(min!)} to ${limit(max!)}, such as '20MB'`;
    case "boolean":
      return "on or off";
    case "choice":
      return def.choices!.join(" or ");
    case "version":
      return "a version such as 1.2.0";
  }
}

function refused(def: SettingDef, text: string): DbError {
  return new DbError("invalidParameterValue", `invalid value for cluster setting "${def.name}": "${text}"`, {
    detail: `It takes ${expected(def)}.`,
  });
}

/** Each epoch is held against settings that hardly ever change: few texts of each are asked for. */
const known = new WeakMap<SettingDef, Map<string, number>>();
const knownMax = 16;
const knownLengthMax = 64;

function numberOf(def: SettingDef, given: string): number {
  let values = known.get(def);
  const found = values?.get(given);
  if (found !== undefined) return found;
  const value = numberRead(def, given);
  if (given.length > knownLengthMax) return value;
  if (values === undefined || values.size >= knownMax) known.set(def, (values = new Map()));
  values.set(given, value);
  return value;
}

function numberRead(def: SettingDef, given: string): number {
  const text = given.trim();
  const value = readers[def.type](text, def);
  if (value === undefined || !Number.isFinite(value)) throw refused(def, given);
  // There is no negative zero in a text.
  return value === 0 ? 0 : value;
}

const readers: Readonly<Record<SettingType, (text: string, def: SettingDef) => number | undefined>> = {
  integer: (text) => (/^[+-]?\d{1,15}$/.test(text) ? Number(text) : undefined),
  number: (text) => (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined),
  duration: (text, def) => (def.min === 0 && /^off$/i.test(text) ? 0 : intervalMs(text)),
  size: (text) => {
    const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text);
    const unit = match === null ? Number.NaN : unitNamed(sizeUnits, match[2] === "" ? "B" : match[2]!);
    const bytes = Number(match?.[1]) * unit;
    return Number.isSafeInteger(bytes) ? bytes : undefined;
  },
  boolean: (text) => (/^(on|true|yes|1)$/i.test(text) ? 1 : /^(off|false|no|0)$/i.test(text) ? 0 : undefined),
  choice: (text, def) => {
    const place = def.choices!.indexOf(text.toLowerCase());
    return place < 0 ? undefined : place;
  },
  version: (text) => {
    const match = /^(\d{1,4})\.(\d{1,2})\.(\d{1,3})$/.exec(text);
    return match === null ? undefined : packVersion(text);
  },
};

function spelled(def: SettingDef, value: number): string {
  switch (def.type) {
    case "integer":
    case "number":
      return String(value);
    case "duration":
      return inUnits(value, timeUnits);
    case "size":
      return inUnits(value, sizeUnits);
    case "boolean":
      return value === 1 ? "on" : "off";
    case "choice":
      return def.choices![value]!;
    case "version":
      return versionText(value);
  }
}

function unitNamed(units: typeof timeUnits, name: string): number {
  return units.find(([one]) => one.toLowerCase() === name.toLowerCase())?.[1] ?? Number.NaN;
}

/** In the largest unit that it is a whole number of. */
function inUnits(value: number, units: typeof timeUnits): string {
  if (value === 0) return "0";
  const unit = units.find(([, amount]) => value % amount === 0);
  assert(unit !== undefined, "values are whole numbers of the smallest unit");
  return `${value / unit[1]}${unit[0]}`;
}

/** Whole milliseconds of an interval (SQL-11): '1 hour', 5 m, 120s, 1:30:00; a bare number counts seconds. Months have no length. */
function intervalMs(text: string): number | undefined {
  try {
    const { months, days, micros } = parseInterval(text);
    const ms = days * day + Number(micros) / 1000;
    return months === 0 && Number.isSafeInteger(ms) ? ms : undefined;
  } catch (error) {
    if (error instanceof DbError) return undefined;
    throw error;
  }
}
