/**
 * Configuration of a node: every option, port, limit and timeout in one table. The table makes the command-line flags,
 * the environment variables, the keys of the configuration file, the checks and the help text.
 *
 * Order, first wins: flag, environment, configuration file (--config, TOML), what the data folder remembers, default.
 *
 * Invariants: a `Config` is complete and valid; sizes are bytes and durations milliseconds, whatever they were written in;
 * an unknown key is an error that names the nearest known one.
 */
import { parse as parseToml } from "smol-toml";
import { assert, DbError } from "./base/errors.js";
import { nearest } from "./base/nearest.js";

export { nearest };

type OptionKind = "string" | "integer" | "size" | "duration" | "boolean" | "choice";

interface OptionDef {
  readonly kind: OptionKind;
  /** undefined: computed at start, or absent. */
  readonly default: string | number | boolean | undefined;
  readonly help: string;
  readonly min?: number;
  readonly max?: number;
  readonly values?: readonly string[];
  /** Word for the value in the help. */
  readonly value?: string;
  /** Commands that know it; absent: start, init and join. */
  readonly commands?: readonly string[];
  /** Fixed when the cluster is created. */
  readonly creating?: boolean;
  /** Kept in the data folder: a later start without it takes the same. */
  readonly remembered?: boolean;
  /** Left out of --help: limits that few change. */
  readonly advanced?: boolean;
  /** Not for the configuration file. */
  readonly noFile?: boolean;
}

const port = { kind: "integer", min: 0, max: 65_535, value: "N", remembered: true } as const;
/** Behind a forwarded port; 0: the port that is listened on. */
const advertisedPort = { ...port, default: 0, advanced: true } as const;
const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const TiB = 1024 * GiB;

/** Keys in the form of flags; the environment variable is SCRATCHBIRD_ and the key in capitals with underscores. */
export const optionTable = {
  data: { kind: "string", default: "./data", value: "DIR", help: "data folder", noFile: true },
  config: {
    kind: "string",
    default: undefined,
    value: "FILE",
    help: "configuration file (TOML)",
    noFile: true,
  },
  host: {
    kind: "string",
    default: "127.0.0.1",
    value: "ADDR",
    help: "address to listen on",
    remembered: true,
  },
  port: { ...port, default: 5433, help: "port for Postgres clients (0: any free one)" },
  "http-port": { ...port, default: 8433, help: "port of the admin page, /metrics, /healthz and /readyz" },
  "rpc-port": { ...port, default: 7433, help: "port for data between nodes" },
  "control-port": { ...port, default: 6433, help: "port for Raft, leases and joining" },
  "node-name": {
    kind: "string",
    default: undefined,
    value: "S",
    help: "name of this node",
    remembered: true,
  },
  "host-label": {
    kind: "string",
    default: undefined,
    value: "S",
    help: "machine of this node: copies of a shard are put on different ones",
    remembered: true,
  },
  "advertise-address": {
    kind: "string",
    default: undefined,
    value: "HOST",
    help: "name or address under which others find this node (default: that of --host)",
    remembered: true,
  },
  "advertise-port": { ...advertisedPort, help: "port under which clients find this node" },
  "advertise-rpc-port": { ...advertisedPort, help: "the same of --rpc-port" },
  "advertise-control-port": { ...advertisedPort, help: "the same of --control-port" },
  nodes: {
    kind: "integer",
    default: 1,
    min: 1,
    max: 64,
    value: "N",
    help: "nodes of a local cluster",
    noFile: true,
  },
  shards: { kind: "integer", default: 16, min: 1, max: 4096, value: "N", help: "shards", creating: true },
  "page-size": {
    kind: "size",
    default: 16 * KiB,
    min: 8 * KiB,
    max: 64 * KiB,
    value: "B",
    help: "page size",
    creating: true,
  },
  name: { kind: "string", default: "scratchbird", value: "S", help: "name of the cluster", creating: true },
  encryption: { kind: "boolean", default: true, help: "encrypt pages, journal and log", creating: true },
  "buffer-pool": {
    kind: "size",
    default: undefined,
    min: 16 * MiB,
    max: 3 * GiB,
    value: "SIZE",
    help: "memory for pages (default: a quarter of the machine's, at most 3GB)",
  },
  "log-format": {
    kind: "choice",
    default: undefined,
    values: ["json", "pretty"],
    help: "form of log lines (default: pretty on a terminal)",
  },
  "log-level": {
    kind: "choice",
    default: "info",
    values: ["debug", "info", "warn", "error"],
    help: "least severity that is logged",
  },

  tls: { kind: "boolean", default: true, help: "offer TLS to Postgres clients" },
  "require-tls": { kind: "boolean", default: false, help: "refuse Postgres clients without TLS" },
  "reset-connection-rules": {
    kind: "boolean",
    default: false,
    help: "set the connection rules aside for this start: everybody comes in with a password",
    advanced: true,
    noFile: true,
  },
  "max-connections": {
    kind: "integer",
    default: 1000,
    min: 1,
    max: 100_000,
    value: "N",
    help: "Postgres sessions at once",
  },
  "superuser-reserved-connections": {
    kind: "integer",
    default: 3,
    min: 0,
    max: 1000,
    value: "N",
    help: "of these, kept for superusers",
    advanced: true,
  },
  "authentication-timeout": {
    kind: "duration",
    default: 10_000,
    min: 1000,
    max: 600_000,
    value: "TIME",
    help: "longest time for a log-in",
    advanced: true,
  },
  "max-message-size": {
    kind: "size",
    default: 64 * MiB,
    min: MiB,
    max: 512 * MiB,
    value: "SIZE",
    help: "largest message of a Postgres client",
    advanced: true,
  },
  "connection-input-buffer": {
    kind: "size",
    default: MiB,
    min: 64 * KiB,
    max: GiB,
    value: "SIZE",
    help: "unread input of a busy connection before its socket is paused",
    advanced: true,
  },
  "connection-output-buffer": {
    kind: "size",
    default: MiB,
    min: 64 * KiB,
    max: GiB,
    value: "SIZE",
    help: "unsent output of a connection before its statement is paused",
    advanced: true,
  },
  slice: {
    kind: "duration",
    default: 2,
    min: 1,
    max: 1000,
    value: "TIME",
    help: "work of one statement before others have their turn",
    advanced: true,
  },
  "stop-timeout": {
    kind: "duration",
    default: 10_000,
    min: 0,
    max: 3_600_000,
    value: "TIME",
    help: "time for open statements to end when the node stops",
    advanced: true,
  },

  "journal-size": {
    kind: "size",
    default: 64 * MiB,
    min: 4 * MiB,
    max: 4 * GiB,
    value: "SIZE",
    help: "each half of the page journal",
    advanced: true,
  },
  "statement-memory": {
    kind: "size",
    default: 256 * MiB,
    min: MiB,
    max: 64 * GiB,
    value: "SIZE",
    help: "memory of one statement beyond which it spills or fails",
    advanced: true,
  },
  "work-memory": {
    kind: "size",
    default: undefined,
    min: 16 * MiB,
    max: TiB,
    value: "SIZE",
    help: "memory of all statements together (default: an eighth of the machine's)",
    advanced: true,
  },
  "heavy-statements": {
    kind: "integer",
    default: 16,
    min: 1,
    max: 10_000,
    value: "N",
    help: "expensive statements that run at once; others wait for their turn",
    advanced: true,
  },
  "temp-file-limit": {
    kind: "size",
    default: 16 * GiB,
    min: MiB,
    max: 1024 * TiB,
    value: "SIZE",
    help: "temporary files of one statement",
    advanced: true,
  },
  "plan-cache-entries": {
    kind: "integer",
    default: 2000,
    min: 0,
    max: 1_000_000,
    value: "N",
    help: "statement shapes kept planned",
    advanced: true,
  },
  "lock-wait-limit": {
    kind: "duration",
    default: 0,
    min: 0,
    max: 86_400_000,
    value: "TIME",
    help: "default of lock_timeout (0: without limit)",
    advanced: true,
  },
  "sweep-interval": {
    kind: "duration",
    default: 20_000,
    min: 100,
    max: 86_400_000,
    value: "TIME",
    help: "pause between background sweeps",
    advanced: true,
  },
  "log-slow-statements": {
    kind: "duration",
    default: -1,
    min: -1,
    max: 86_400_000,
    value: "TIME",
    help: "log statements at least this slow (-1: none)",
    advanced: true,
  },
} as const satisfies Record<string, OptionDef>;

export type OptionName = keyof typeof optionTable;
type CamelCase<Text extends string> = Text extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Text;
type ValueOf<Def extends OptionDef> = Def["kind"] extends "boolean"
  ? boolean
  : Def["kind"] extends "integer" | "size" | "duration"
    ? number
    : Def extends { readonly values: readonly (infer Word)[] }
      ? Word
      : string;
/** Options whose default is found at start, not in the table, are complete in a Config all the same. */
type Optional = "config" | "node-name" | "host-label" | "advertise-address";

type OptionValues = {
  readonly [Name in OptionName as CamelCase<Name>]: Name extends Optional
    ? string | undefined
    : ValueOf<(typeof optionTable)[Name]>;
};

export interface Config extends OptionValues {
  /** Options somebody gave, by flag, environment or file: neither remembered nor a default. */
  readonly explicit: ReadonlySet<OptionName>;
  /** Of the first user, when the cluster is created (SCRATCHBIRD_PASSWORD); absent: a random one. */
  readonly password: string | undefined;
  /** That opens the sealed CA keys (SCRATCHBIRD_CA_PASSPHRASE); absent: one that was drawn and is kept beside them. */
  readonly caPassphrase: string | undefined;
}

export type ConfigValue = string | number | boolean;

/** What the process knows and configuration code does not ask for itself. */
export interface ConfigSources {
  /** Arguments after the command. */
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Text of a configuration file. @throws DbError configFileError when it cannot be read */
  readonly readFile: (path: string) => string;
  /** What a data folder remembers of the options marked so; empty for a new one. */
  readonly remembered: (dataFolder: string) => Partial<Record<OptionName, ConfigValue>>;
  readonly machineMemoryBytes: number;
  readonly isTerminal: boolean;
}

function configError(message: string, hint?: string): DbError {
  return new DbError("configFileError", message, { hint });
}

const names = Object.keys(optionTable) as OptionName[];
const defOf = (name: OptionName): OptionDef => optionTable[name];

export function environmentName(name: string): string {
  return `SCRATCHBIRD_${name.replaceAll("-", "_").toUpperCase()}`;
}
function camelCase(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function unknownKey(what: string, key: string, known: readonly string[], prefix: string): DbError {
  const guess = nearest(key, known);
  return configError(
    `unknown ${what} "${prefix}${key}"`,
    guess === undefined ? undefined : `Did you mean "${prefix}${guess}"?`,
  );
}

const sizeUnits: Readonly<Record<string, number>> = { "": 1, b: 1, kb: KiB, mb: MiB, gb: GiB, tb: TiB };
const timeUnits: Readonly<Record<string, number>> = {
  "": 1,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * One value of an option from whatever it was written as. `where` names the place for the message.
 * @throws DbError configFileError (F0000)
 */
export function parseOption(name: OptionName, given: unknown, where: string): ConfigValue {
  const def = defOf(name);
  const refuse = (expected: string): never => {
    throw configError(`${where}: "${String(given)}" is not ${expected}`);
  };
  const text = typeof given === "string" ? given.trim() : String(given);
  switch (def.kind) {
    case "string":
      if (typeof given !== "string" || text === "") return refuse("a text");
      if ((name === "node-name" || name === "name") && !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(text)) {
        return refuse("a name of letters, digits, '-', '_' and '.', at most 63");
      }
      return text;
    case "boolean":
      if (/^(true|on|yes|1)$/i.test(text)) return true;
      if (/^(false|off|no|0)$/i.test(text)) return false;
      return refuse("true or false");
    case "choice":
      return def.values!.includes(text) ? text : refuse(`one of ${def.values!.join(", ")}`);
    case "integer":
      if (!/^-?\d+$/.test(text)) return refuse("a whole number");
      return inRange(def, Number(text), where, String);
    case "size": {
      const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text);
      const unit = match === null ? undefined : sizeUnits[match[2]!.toLowerCase().replace(/ib$/, "b")];
      if (unit === undefined) return refuse("a size such as 512MB");
      const bytes = Math.round(Number(match![1]) * unit);
      if (name === "page-size" && (bytes & (bytes - 1)) !== 0) return refuse("a power of two");
      return inRange(def, bytes, where, formatSize);
    }
    case "duration": {
      const match = /^(-?\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text);
      const unit = match === null ? undefined : timeUnits[match[2]!.toLowerCase()];
      if (unit === undefined) return refuse("a duration such as 10s or 500ms");
      return inRange(def, Number(match![1]) * unit, where, (ms) => `${ms} ms`);
    }
  }
}

function inRange(def: OptionDef, value: number, where: string, shown: (value: number) => string): number {
  if (!Number.isSafeInteger(value) || value < (def.min ?? value) || value > (def.max ?? value)) {
    throw configError(`${where}: ${shown(value)} is outside ${shown(def.min!)} to ${shown(def.max!)}`);
  }
  return value;
}

export function formatSize(bytes: number): string {
  for (const [unit, size] of [
    ["TB", TiB],
    ["GB", GiB],
    ["MB", MiB],
    ["KB", KiB],
  ] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}B`;
}

export interface ParsedFlags {
  readonly values: Map<OptionName, ConfigValue>;
  readonly help: boolean;
  /** Arguments that are no flags. */
  readonly rest: readonly string[];
}

/** Flags of a command: `--key value`, `--key=value`, `--flag`, `--no-flag`. @throws DbError configFileError */
export function parseFlags(args: readonly string[]): ParsedFlags {
  const values = new Map<OptionName, ConfigValue>();
  const rest: string[] = [];
  const known = names.flatMap((name) => (defOf(name).kind === "boolean" ? [name, `no-${name}`] : [name]));
  let help = false;
  for (let at = 0; at < args.length; at++) {
    const argument = args[at]!;
    if (argument === "--help" || argument === "-h") {
      help = true;
      continue;
    }
    if (!argument.startsWith("--")) {
      rest.push(argument);
      continue;
    }
    const equals = argument.indexOf("=");
    const key = argument.slice(2, equals < 0 ? undefined : equals);
    const negated = key.startsWith("no-") && !names.includes(key as OptionName);
    const name = (negated ? key.slice(3) : key) as OptionName;
    if (!names.includes(name) || (negated && defOf(name).kind !== "boolean")) {
      throw unknownKey("option", key, known, "--");
    }
    if (defOf(name).kind === "boolean") {
      const value = equals < 0 ? true : parseOption(name, argument.slice(equals + 1), `--${key}`);
      values.set(name, negated ? !value : value);
      continue;
    }
    const given = equals < 0 ? args[++at] : argument.slice(equals + 1);
    if (given === undefined) throw configError(`--${key} needs a value`);
    values.set(name, parseOption(name, given, `--${key}`));
  }
  return { values, help, rest };
}

function fromEnvironment(environment: ConfigSources["environment"]): Map<OptionName, ConfigValue> {
  const values = new Map<OptionName, ConfigValue>();
  for (const name of names) {
    const variable = environmentName(name);
    const given = environment[variable];
    if (given !== undefined && given !== "") values.set(name, parseOption(name, given, variable));
  }
  return values;
}

/** Keys of a TOML file: those of the flags; underscores may stand for dashes. */
export function parseConfigFile(text: string, path: string): Map<OptionName, ConfigValue> {
  let document: Record<string, unknown>;
  try {
    document = parseToml(text);
  } catch (error) {
    const cause = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new DbError("configFileError", `${path}: ${cause}`, {}, error);
  }
  const known = names.filter((name) => defOf(name).noFile !== true);
  const values = new Map<OptionName, ConfigValue>();
  for (const [key, given] of Object.entries(document)) {
    const name = key.replaceAll("_", "-") as OptionName;
    if (!known.includes(name)) throw unknownKey(`key in ${path}:`, key, known, "");
    values.set(name, parseOption(name, given, `${path}: ${key}`));
  }
  return values;
}

/** @throws DbError configFileError (F0000) naming the option, its place and what was expected */
export function loadConfig(sources: ConfigSources): Config {
  const { values: flags, rest } = parseFlags(sources.args);
  if (rest.length > 0)
    throw configError(`unexpected argument "${rest[0]}"`, "Options begin with --; see --help.");
  const environment = fromEnvironment(sources.environment);
  const configPath = flags.get("config") ?? environment.get("config");
  const file =
    configPath === undefined
      ? new Map<OptionName, ConfigValue>()
      : parseConfigFile(sources.readFile(String(configPath)), String(configPath));
  const given = (name: OptionName) => flags.get(name) ?? environment.get(name) ?? file.get(name);
  const remembered = sources.remembered(String(given("data") ?? optionTable.data.default));

  const explicit = new Set<OptionName>();
  const values: Record<string, ConfigValue | undefined> = {};
  for (const name of names) {
    const value = given(name);
    if (value !== undefined) explicit.add(name);
    values[camelCase(name)] = value ?? remembered[name] ?? computed(name, sources) ?? defOf(name).default;
  }
  const password = sources.environment["SCRATCHBIRD_PASSWORD"];
  const config = {
    ...values,
    explicit,
    password: password === "" ? undefined : password,
    caPassphrase: sources.environment["SCRATCHBIRD_CA_PASSPHRASE"] || undefined,
  } as unknown as Config;
  for (const name of names) {
    const optional =
      defOf(name).default === undefined && !["buffer-pool", "work-memory", "log-format"].includes(name);
    assert(optional || values[camelCase(name)] !== undefined, `option ${name} has a value`);
  }
  checkTogether(config);
  return config;
}

function computed(name: OptionName, sources: ConfigSources): ConfigValue | undefined {
  const { machineMemoryBytes } = sources;
  switch (name) {
    case "buffer-pool":
      return Math.max(16 * MiB, Math.min(3 * GiB, Math.floor(machineMemoryBytes / 4 / MiB) * MiB));
    case "work-memory":
      return Math.max(64 * MiB, Math.floor(machineMemoryBytes / 8 / MiB) * MiB);
    case "log-format":
      return sources.isTerminal ? "pretty" : "json";
    default:
      return undefined;
  }
}

function checkTogether(config: Config): void {
  if (config.superuserReservedConnections >= config.maxConnections) {
    throw configError("superuser-reserved-connections must be less than max-connections");
  }
  if (config.requireTls && !config.tls) throw configError("require-tls needs tls");
  const ports = (["port", "http-port", "rpc-port", "control-port"] as const).filter(
    (name) => config[camelCase(name) as "port"] !== 0,
  );
  for (const name of ports) {
    const twin = ports.find(
      (other) => other < name && config[camelCase(other) as "port"] === config[camelCase(name) as "port"],
    );
    if (twin !== undefined) throw configError(`${twin} and ${name} are the same`);
  }
}

/** Help text of the options of start, init and join. */
export function optionHelp(creating: boolean): string {
  const lines: string[] = [];
  for (const name of names) {
    const def = defOf(name);
    if (def.advanced === true || (def.creating === true && !creating)) continue;
    const flag =
      def.kind === "boolean" ? `--[no-]${name}` : `--${name} ${def.value ?? def.values?.join("|") ?? ""}`;
    const byDefault =
      def.kind === "size" && typeof def.default === "number" ? formatSize(def.default) : def.default;
    const suffix = def.default === undefined ? "" : ` (${byDefault})`;
    lines.push(`  ${flag.padEnd(26)} ${def.help}${def.creating === true ? ", when creating" : ""}${suffix}`);
  }
  const advanced = names.filter((name) => defOf(name).advanced === true).map((name) => `--${name}`);
  lines.push(`  Limits and times: ${advanced.join(", ")}.`.replace(/(.{1,100}) /g, "$1\n    "));
  lines.push(
    "Every option can be given as environment variable (SCRATCHBIRD_HTTP_PORT) or key of the --config file.",
  );
  return lines.join("\n");
}
