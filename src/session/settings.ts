/**
 * Session settings: values by name, with the rules of SET, SET LOCAL, RESET and SHOW.
 *
 * Each setting has the value in force and the value that stays when the transaction ends (SET LOCAL changes the first
 * alone). Changes inside a transaction are noted in an undo list: COMMIT lets the staying values take over, ROLLBACK and
 * ROLLBACK TO undo the list down to where it was.
 *
 *   settings.begin(); settings.set("work_mem", ["8MB"], { local: true }); const mark = settings.mark();
 *   settings.set("work_mem", ["1GB"]); settings.rollbackTo(mark);  // 8MB again
 *   settings.commit();                                             // 4MB, as before the transaction
 *
 * Invariants: a value in force is always valid for its setting, typed and canonical; `version` rises with every change of
 * any value, so that whoever keeps something derived from settings compares one number.
 */
import { assert, DbError } from "../base/errors.js";
import { timeZoneOf } from "../model/timezone.js";
import { type SettingContext, type SettingDef, type SettingUnit, settingDefs } from "./settings-table.js";

export { type SettingContext, type SettingDef, settingDefs } from "./settings-table.js";

export type SettingValue = boolean | number | string;

/** Where a value comes from, as pg_settings.source says it. Later ones win at start. */
export type SettingSource =
  | "default"
  | "configuration file"
  | "database"
  | "user"
  | "database user"
  | "client"
  | "session";

interface State {
  readonly def: SettingDef;
  value: SettingValue;
  source: SettingSource;
  /** Value and source once the transaction has committed. */
  staying: SettingValue;
  stayingSource: SettingSource;
  reset: SettingValue;
  resetSource: SettingSource;
  reportedValue: string | undefined;
}

interface Undo {
  readonly state: State;
  readonly value: SettingValue;
  readonly source: SettingSource;
  readonly staying: SettingValue;
  readonly stayingSource: SettingSource;
  readonly created: boolean;
}

const defsByName = new Map<string, SettingDef>();
for (const def of settingDefs) {
  assert(!defsByName.has(def.name.toLowerCase()), `setting ${def.name} twice`);
  defsByName.set(def.name.toLowerCase(), def);
}
const resettable = settingDefs.filter((def) => def.noResetAll !== true && def.context !== "internal");
/** Settings that clients change often and that no plan depends on. */
const withoutEffectOnPlans: ReadonlySet<string> = new Set([
  "application_name",
  "client_min_messages",
  "statement_timeout",
  "lock_timeout",
  "idle_in_transaction_session_timeout",
  "idle_session_timeout",
  "deadlock_timeout",
  "synchronous_commit",
  "transaction_isolation",
  "transaction_read_only",
  "transaction_deferrable",
  "default_transaction_isolation",
  "default_transaction_read_only",
  "default_transaction_deferrable",
  "log_min_duration_statement",
  "log_statement",
  "scratchbird.session_token",
  "scratchbird.traceparent",
]);
const noChanges: readonly (readonly [string, string])[] = [];
const rolesOfSession: ReadonlySet<string> = new Set(["role", "session_authorization"]);

export interface SettingsOptions {
  /** May the session's user set superuser settings now? */
  readonly isSuperuser: () => boolean;
  /** Values of this server and session that are not the table's, such as max_connections, port, session_authorization. */
  readonly server?: Iterable<readonly [name: string, value: SettingValue]> | undefined;
}

export interface SetOptions {
  readonly local?: boolean | undefined;
  /** Used in place of "session" while a session is being set up. */
  readonly source?: SettingSource | undefined;
}

/** One row of pg_settings; values as text, in base units. */
export interface SettingRow {
  readonly name: string;
  readonly setting: string;
  readonly unit: string | null;
  readonly category: string;
  readonly shortDescription: string;
  readonly extraDescription: string | null;
  readonly context: SettingContext;
  readonly vartype: string;
  readonly source: string;
  readonly minVal: string | null;
  readonly maxVal: string | null;
  readonly enumVals: readonly string[] | null;
  readonly bootVal: string;
  readonly resetVal: string;
}

export class SessionSettings {
  readonly #states = new Map<string, State>();
  readonly #undo: Undo[] = [];
  readonly #listeners = new Map<string, (value: SettingValue) => void>();
  /** Reported settings were touched since `takeChanged`. */
  #reportDue = false;
  #inTransaction = false;
  readonly #perTransaction: readonly { readonly now: State; readonly byDefault: State }[];
  /** Rises with every change of a value. */
  version = 0;
  /** Rises with changes that may change the plan of a statement or what it means: a key for cached plans. */
  planVersion = 0;

  constructor(private readonly options: SettingsOptions) {
    for (const [name, value] of options.server ?? []) {
      const state = this.#existing(name);
      state.value = state.staying = state.reset = value;
    }
    this.#perTransaction = settingDefs
      .filter((def) => def.perTransaction === true)
      .map((def) => ({ now: this.#existing(def.name), byDefault: this.#existing(`default_${def.name}`) }));
  }

  // ------------------------------------------------------------------------------------------------- reading

  /** Typed value in force, in base units. @throws DbError 42704 */
  get(name: string): SettingValue {
    const state = this.#states.get(name);
    if (state !== undefined) return state.value;
    return this.#existing(name).value;
  }
  bool(name: string): boolean {
    const value = this.get(name);
    assert(typeof value === "boolean", `setting ${name} is no boolean`);
    return value;
  }
  number(name: string): number {
    const value = this.get(name);
    assert(typeof value === "number", `setting ${name} is no number`);
    return value;
  }
  text(name: string): string {
    return String(this.get(name));
  }

  /** As SHOW prints it, with units. undefined when there is no such setting. */
  show(name: string): string | undefined {
    const state = this.#find(name);
    return state === undefined ? undefined : showValue(state.def, state.value);
  }

  /** As SHOW prints it. @throws DbError undefinedObject (42704) */
  showExisting(name: string): string {
    const shown = this.show(name);
    if (shown === undefined) throw unrecognized(name);
    return shown;
  }

  /** SHOW ALL: name, value and description, in order of names. */
  showAll(): (readonly [name: string, value: string, description: string])[] {
    return this.#visible().map(
      ({ def, value }) => [def.name, showValue(def, value), def.description] as const,
    );
  }

  /** Rows of pg_settings, in order of names. */
  rows(): SettingRow[] {
    return this.#visible().map(({ def, value, source, reset }) => ({
      name: def.name,
      setting: plainText(value),
      unit: def.unit ?? null,
      category: def.category,
      shortDescription: def.description,
      extraDescription: def.accepted === true ? "Accepted for compatibility; has no effect." : null,
      context: def.context,
      vartype: def.type,
      source,
      minVal: def.min === undefined ? null : realText(def.min),
      maxVal: def.max === undefined ? null : realText(def.max),
      enumVals: def.values ?? null,
      bootVal: plainText(def.default),
      resetVal: plainText(reset),
    }));
  }

  #visible(): State[] {
    for (const def of settingDefs) this.#existing(def.name);
    return [...this.#states.values()]
      .filter(({ def }) => def.hidden !== true)
      .sort((left, right) => {
        const [a, b] = [left.def.name.toLowerCase(), right.def.name.toLowerCase()];
        return a < b ? -1 : a > b ? 1 : 0;
      });
  }

  /** Elements of a list setting: search_path as names. */
  list(name: string): string[] {
    return splitIdentifiers(this.text(name)) ?? [];
  }

  // ------------------------------------------------------------------------------------------------- changing

  /**
   * SET name = values (several only for lists); an empty array means DEFAULT.
   * @throws DbError 42704 unknown, 22023 invalid value, 55P02 not changeable, 42501 superusers only, 42602 bad name
   */
  set(name: string, values: readonly string[], options: SetOptions = {}): void {
    const state = this.#forChange(name, options);
    if (values.length === 0) {
      this.#change(state, state.reset, options, state.resetSource);
      return;
    }
    let text: string;
    if (state.def.list === "identifiers") text = values.map(quoteElement).join(", ");
    else if (state.def.list === "words") text = values.join(", ");
    else {
      if (values.length > 1) {
        throw new DbError("invalidParameterValue", `SET ${state.def.name} takes only one argument`);
      }
      text = values[0]!;
    }
    this.#change(state, parseValue(state.def, text, state.value), options);
  }

  /** set_config() and values that come as one text (start-up parameters, ALTER ROLE SET): lists are parsed, not quoted. */
  setText(name: string, text: string, options: SetOptions = {}): void {
    const state = this.#forChange(name, options);
    this.#change(state, parseValue(state.def, text, state.value), options);
  }

  /** Sets a value that the server itself owns (is_superuser, session_authorization, role, transaction_isolation). */
  setInternal(name: string, value: SettingValue, options: SetOptions = {}): void {
    this.#change(this.#existing(name), value, options);
  }

  /** RESET name. */
  reset(name: string): void {
    this.set(name, []);
  }

  /** RESET ALL (and DISCARD ALL): every setting the user may change, save those of the transaction and the role. */
  resetAll(): void {
    for (const def of resettable) {
      const state = this.#states.get(def.name.toLowerCase());
      if (state === undefined || state.value === state.reset) continue;
      if (def.context === "superuser" && !this.options.isSuperuser()) continue;
      this.#change(state, state.reset, {}, state.resetSource);
    }
    for (const state of this.#states.values()) {
      if (isCustom(state.def)) this.#change(state, state.reset, {}, state.resetSource);
    }
  }

  /** The values in force become those that RESET goes back to: called once the session is set up. */
  startUpDone(): void {
    assert(this.#undo.length === 0, "a session is set up outside any transaction");
    for (const state of this.#states.values()) {
      state.reset = state.value;
      state.resetSource = state.source;
    }
  }

  /** Called with the new value whenever it changes, rollbacks included. One listener a name. */
  onChange(name: string, listener: (value: SettingValue) => void): void {
    this.#existing(name);
    this.#listeners.set(name.toLowerCase(), listener);
  }

  // ------------------------------------------------------------------------------------------------- transactions

  begin(): void {
    assert(this.#undo.length === 0, "settings: one transaction at a time");
    this.#inTransaction = true;
    // Once per transaction, so without look-ups by name.
    for (const { now, byDefault } of this.#perTransaction) {
      if (now.value !== byDefault.value) this.#apply(now, byDefault.value, "session");
    }
  }

  /** A savepoint's position. */
  mark(): number {
    return this.#undo.length;
  }

  rollbackTo(mark: number): void {
    while (this.#undo.length > mark) {
      const { state, value, source, staying, stayingSource, created } = this.#undo.pop()!;
      state.staying = staying;
      state.stayingSource = stayingSource;
      this.#apply(state, value, source);
      if (created) this.#states.delete(state.def.name.toLowerCase());
    }
  }

  /** What SET LOCAL did ends; what SET did stays. */
  commit(): void {
    this.#inTransaction = false;
    if (this.#undo.length === 0) return;
    const touched = new Set(this.#undo.map((entry) => entry.state));
    this.#undo.length = 0;
    for (const state of touched) {
      this.#apply(state, state.staying, state.stayingSource);
    }
  }

  rollback(): void {
    this.#inTransaction = false;
    this.rollbackTo(0);
  }

  // ------------------------------------------------------------------------------------------------- reporting

  /** ParameterStatus at the start of a session. */
  reported(): (readonly [name: string, value: string])[] {
    const all: (readonly [string, string])[] = [];
    for (const def of settingDefs) {
      if (def.reported !== true) continue;
      const state = this.#existing(def.name);
      state.reportedValue = showValue(def, state.value);
      all.push([def.name, state.reportedValue]);
    }
    this.#reportDue = false;
    return all;
  }

  /** Reported settings that show another value than the client was told last. */
  takeChanged(): readonly (readonly [name: string, value: string])[] {
    if (!this.#reportDue) return noChanges;
    this.#reportDue = false;
    const changed: (readonly [string, string])[] = [];
    for (const state of this.#states.values()) {
      if (state.def.reported !== true) continue;
      const shown = showValue(state.def, state.value);
      if (shown === state.reportedValue) continue;
      state.reportedValue = shown;
      changed.push([state.def.name, shown]);
    }
    return changed;
  }

  /** What SET has changed, as `setText` takes it. undefined: the role too, which no start-up parameter sets. */
  changedInSession(): (readonly [name: string, value: string])[] | undefined {
    const changed: (readonly [string, string])[] = [];
    for (const { def, value, reset } of this.#states.values()) {
      if (value === reset || def.perTransaction === true || def.context === "internal") continue;
      if (rolesOfSession.has(def.name)) return undefined;
      changed.push([def.name, showValue(def, value)]);
    }
    return changed;
  }

  // ------------------------------------------------------------------------------------------------- inside

  #find(name: string): State | undefined {
    const key = name.toLowerCase();
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    const def = defsByName.get(key);
    return def === undefined ? undefined : this.#add(key, def);
  }
  #existing(name: string): State {
    const state = this.#find(name);
    if (state === undefined) throw unrecognized(name);
    return state;
  }
  #add(key: string, def: SettingDef): State {
    const value = def.default;
    const state: State = {
      def,
      value,
      source: "default",
      staying: value,
      stayingSource: "default",
      reset: value,
      resetSource: "default",
      reportedValue: undefined,
    };
    this.#states.set(key, state);
    return state;
  }

  #forChange(name: string, options: SetOptions): State {
    let state = this.#find(name);
    if (state === undefined) {
      const def = customDef(name);
      state = this.#add(name.toLowerCase(), def);
      if (this.#inTransaction) this.#note(state, true);
    }
    this.#checkContext(state.def, options.source ?? "session");
    return state;
  }

  #checkContext(def: SettingDef, source: SettingSource): void {
    const { name } = def;
    const startingUp = source !== "session";
    switch (def.context) {
      case "internal":
        throw new DbError("cantChangeRuntimeParam", `parameter "${name}" cannot be changed`);
      case "postmaster":
        throw new DbError(
          "cantChangeRuntimeParam",
          `parameter "${name}" cannot be changed without restarting the server`,
        );
      case "sighup":
        throw new DbError("cantChangeRuntimeParam", `parameter "${name}" cannot be changed now`);
      case "superuser-backend":
        if (startingUp && this.options.isSuperuser()) return;
        if (startingUp) throw denied(name);
        throw new DbError(
          "cantChangeRuntimeParam",
          `parameter "${name}" cannot be set after connection start`,
        );
      case "backend":
        if (startingUp) return;
        throw new DbError(
          "cantChangeRuntimeParam",
          `parameter "${name}" cannot be set after connection start`,
        );
      case "superuser":
        // Values of roles and databases were checked when they were stored.
        if (source !== "session" && source !== "client") return;
        if (!this.options.isSuperuser()) throw denied(name);
        return;
      case "user":
        return;
    }
  }

  #note(state: State, created: boolean): void {
    const { value, source, staying, stayingSource } = state;
    this.#undo.push({ state, value, source, staying, stayingSource, created });
  }

  #change(state: State, value: SettingValue, options: SetOptions, source?: SettingSource): void {
    const from = source ?? options.source ?? "session";
    if (state.def.perTransaction === true) {
      // A value of the transaction itself: no undo, the next `begin` sets it anew.
      this.#apply(state, value, "session");
      return;
    }
    if (this.#inTransaction) this.#note(state, false);
    else if (options.local === true) return; // nothing it could be local to
    if (options.local !== true) {
      state.staying = value;
      state.stayingSource = from;
    }
    this.#apply(state, value, from);
  }

  #apply(state: State, value: SettingValue, source: SettingSource): void {
    state.source = source;
    if (state.value === value) return;
    state.value = value;
    this.version++;
    if (!withoutEffectOnPlans.has(state.def.name)) this.planVersion++;
    if (state.def.reported === true) this.#reportDue = true;
    this.#listeners.get(state.def.name.toLowerCase())?.(value);
  }
}

function unrecognized(name: string): DbError {
  return new DbError("undefinedObject", `unrecognized configuration parameter "${name}"`);
}
function denied(name: string): DbError {
  return new DbError("insufficientPrivilege", `permission denied to set parameter "${name}"`);
}

/** Is there such a setting, or could there be (`class.name`)? For ALTER ROLE SET and the like. */
export function settingDefOf(name: string): SettingDef | undefined {
  return defsByName.get(name.toLowerCase());
}

/** Settings nobody declared: any text, if the name has a dot. */
function customDef(name: string): SettingDef {
  if (!name.includes(".")) throw unrecognized(name);
  if (
    !/^[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*(\.[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)+$/.test(name)
  ) {
    throw new DbError("invalidName", `invalid configuration parameter name "${name}"`, {
      detail: "Custom parameter names must be two or more simple identifiers separated by dots.",
    });
  }
  if (name.toLowerCase().startsWith("scratchbird.")) {
    throw new DbError("invalidName", `invalid configuration parameter name "${name}"`, {
      detail: '"scratchbird" is a reserved prefix.',
    });
  }
  return {
    name,
    type: "string",
    default: "",
    context: "user",
    category: "Customized Options",
    description: "Set by a client; the server does not know it.",
  };
}
function isCustom(def: SettingDef): boolean {
  return !defsByName.has(def.name.toLowerCase());
}

// ---------------------------------------------------------------------------------------------------- values

const memoryUnits: readonly (readonly [string, number])[] = [
  ["TB", 1024 ** 4],
  ["GB", 1024 ** 3],
  ["MB", 1024 ** 2],
  ["kB", 1024],
  ["B", 1],
];
const timeUnits: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1000],
  ["ms", 1],
  ["us", 0.001],
];
/** Bytes or milliseconds in one base unit. */
const baseSize: Readonly<Record<SettingUnit, number>> = {
  B: 1,
  kB: 1024,
  "8kB": 8192,
  MB: 1024 ** 2,
  ms: 1,
  s: 1000,
  min: 60_000,
};
const memoryHint = 'Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".';
const timeHint = 'Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".';

function unitsOf(unit: SettingUnit): typeof memoryUnits {
  return unit === "ms" || unit === "s" || unit === "min" ? timeUnits : memoryUnits;
}

function invalid(def: SettingDef, text: string, fields: DbError["fields"] = {}): DbError {
  return new DbError("invalidParameterValue", `invalid value for parameter "${def.name}": "${text}"`, fields);
}

/**
 * The typed value a text stands for; `current` is what a partial DateStyle completes.
 * @throws DbError invalidParameterValue (22023), featureNotSupported for encodings
 */
export function parseValue(def: SettingDef, text: string, current: SettingValue = def.default): SettingValue {
  switch (def.type) {
    case "bool": {
      const value = parseBool(text);
      if (value === undefined) {
        throw new DbError("invalidParameterValue", `parameter "${def.name}" requires a Boolean value`);
      }
      return value;
    }
    case "enum": {
      const word = text.toLowerCase();
      const value = def.values!.find((one) => one === word) ?? def.aliases?.[word];
      if (value === undefined)
        throw invalid(def, text, { hint: `Available values: ${def.values!.join(", ")}.` });
      if (def.name === "password_encryption" && value === "md5") {
        throw new DbError("featureNotSupported", "password_encryption = md5 is not supported yet");
      }
      return value;
    }
    case "integer":
    case "real":
      return parseNumber(def, text);
    case "string":
      return parseText(def, text, String(current));
  }
}

/** Any unambiguous beginning of true, false, yes, no; on, off, 1, 0. */
function parseBool(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (word === "") return undefined;
  if ("true".startsWith(word) || "yes".startsWith(word) || word === "on" || word === "1") return true;
  if ("false".startsWith(word) || "no".startsWith(word) || word === "0") return false;
  return word.length >= 2 && "off".startsWith(word) ? false : undefined;
}

function parseNumber(def: SettingDef, text: string): number {
  const whole = def.type === "integer";
  const match =
    /^\s*([+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))\s*([A-Za-z]*)\s*$/.exec(text);
  if (match === null) {
    // A number followed by something that could have been a unit earns the hint.
    const hint =
      def.unit !== undefined && /^\s*[+-]?\d+(\.\d*)?\s*\S/.test(text) ? unitHint(def.unit) : undefined;
    throw invalid(def, text, { hint });
  }
  let value = numberOf(match[1]!, whole);
  if (!Number.isFinite(value)) throw invalid(def, text);
  const suffix = match[2]!;
  if (suffix !== "") {
    const unit = def.unit === undefined ? undefined : unitsOf(def.unit).find(([name]) => name === suffix);
    if (def.unit === undefined || unit === undefined) {
      throw invalid(def, text, { hint: def.unit === undefined ? undefined : unitHint(def.unit) });
    }
    value = (value * unit[1]) / baseSize[def.unit];
  }
  if (whole) {
    value = roundHalfEven(value);
    if (value > 2_147_483_647 || value < -2_147_483_648) {
      throw invalid(def, text, { hint: "Value exceeds integer range." });
    }
  }
  if (value < def.min! || value > def.max!) {
    const unit = def.unit === undefined ? "" : ` ${def.unit}`;
    const range = `${realText(def.min!)} .. ${realText(def.max!)}`;
    throw new DbError(
      "invalidParameterValue",
      `${realText(value)}${unit} is outside the valid range for parameter "${def.name}" (${range})`,
    );
  }
  return value === 0 ? 0 : value;
}

function unitHint(unit: SettingUnit): string {
  return unitsOf(unit) === timeUnits ? timeHint : memoryHint;
}

/** As C reads integers: a leading 0 means octal, when the digits allow it and the number is whole. */
function numberOf(text: string, whole: boolean): number {
  const negative = text.startsWith("-");
  const digits = text.replace(/^[+-]/, "");
  const octal = whole && /^0[0-7]+$/.test(digits);
  const value = octal ? Number.parseInt(digits, 8) : Number(digits);
  return negative ? -value : value;
}

function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  if (rest < 0.5) return down;
  return rest > 0.5 || down % 2 !== 0 ? down + 1 : down;
}

/** Numbers as "%g" prints them. */
function realText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 53) return String(value);
  const text = String(Number(value.toPrecision(6)));
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

function parseText(def: SettingDef, text: string, current: string): string {
  switch (def.name) {
    case "DateStyle":
      return parseDateStyle(def, text, current);
    case "TimeZone":
      return parseTimeZone(def, text);
    case "client_encoding":
      return parseEncoding(def, text);
    case "application_name":
    case "cluster_name":
      return Buffer.from(text)
        .toString("latin1")
        .replace(/[^\x20-\x7e]/g, "?")
        .slice(0, 63);
    case "default_table_access_method":
      if (text !== "heap") {
        throw invalid(def, text, { detail: `Table access method "${text}" does not exist.` });
      }
      return text;
    case "seed":
      return "unavailable";
    default:
      if (def.list === "identifiers" && splitIdentifiers(text) === undefined) {
        throw invalid(def, text, { detail: "List syntax is invalid." });
      }
      return text;
  }
}

const dateFormats: Readonly<Record<string, string>> = {
  iso: "ISO",
  sql: "SQL",
  postgres: "Postgres",
  german: "German",
};
const dateOrders: Readonly<Record<string, string>> = {
  ymd: "YMD",
  dmy: "DMY",
  euro: "DMY",
  european: "DMY",
  mdy: "MDY",
  us: "MDY",
  noneuro: "MDY",
  noneuropean: "MDY",
};

function parseDateStyle(def: SettingDef, text: string, current: string): string {
  const [currentFormat, currentOrder] = current.split(", ");
  let format: string | undefined;
  let order: string | undefined;
  const words = text.split(",").map((word) => word.trim().toLowerCase());
  if (words.some((word) => word === "")) throw invalid(def, text, { detail: "List syntax is invalid." });
  for (const word of words) {
    let nextFormat: string | undefined = dateFormats[word];
    if (nextFormat === undefined && word.startsWith("postgres")) nextFormat = "Postgres";
    let nextOrder: string | undefined = dateOrders[word];
    if (nextOrder === undefined && word.startsWith("euro")) nextOrder = "DMY";
    if (nextOrder === undefined && word.startsWith("noneuro")) nextOrder = "MDY";
    if (word === "default") {
      const [defaultFormat, defaultOrder] = String(def.default).split(", ");
      format ??= defaultFormat;
      order ??= defaultOrder;
      continue;
    }
    if (nextFormat === undefined && nextOrder === undefined) {
      throw invalid(def, text, { detail: `Unrecognized key word: "${word}".` });
    }
    const conflict =
      (nextFormat !== undefined && format !== undefined && format !== nextFormat) ||
      (nextOrder !== undefined && order !== undefined && order !== nextOrder);
    if (conflict) throw invalid(def, text, { detail: 'Conflicting "datestyle" specifications.' });
    format = nextFormat ?? format;
    order = nextOrder ?? order;
  }
  if (format === "German" && order === undefined) order = "DMY";
  return `${format ?? currentFormat}, ${order ?? currentOrder}`;
}

/** IANA and POSIX names, a number of hours east of UTC, or INTERVAL text. */
function parseTimeZone(def: SettingDef, text: string): string {
  const hours = /^\s*([+-]?\d+(?:\.\d+)?)\s*$/.exec(text);
  const interval = /^\s*interval\s*'([+-])?(\d{1,2}):(\d{2})(?::(\d{2}))?'/i.exec(text);
  if (hours !== null) return fixedZone(def, text, Math.round(Number(hours[1]) * 3600));
  if (interval !== null) {
    const seconds = Number(interval[2]) * 3600 + Number(interval[3]) * 60 + Number(interval[4] ?? 0);
    return fixedZone(def, text, interval[1] === "-" ? -seconds : seconds);
  }
  if (text.toLowerCase() === "default") return String(def.default);
  const zone = timeZoneOf(text);
  if (zone === undefined) throw invalid(def, text);
  return zone.name;
}

/** POSIX spelling of an offset: the sign there points west. */
function fixedZone(def: SettingDef, text: string, secondsEast: number): string {
  if (Math.abs(secondsEast) > 168 * 3600) throw invalid(def, text);
  const all = Math.abs(secondsEast);
  const pad = (value: number) => String(value).padStart(2, "0");
  let clock = pad(Math.floor(all / 3600));
  if (all % 3600 !== 0) clock += `:${pad(Math.floor((all % 3600) / 60))}`;
  if (all % 60 !== 0) clock += `:${pad(all % 60)}`;
  const [east, west] = secondsEast < 0 ? ["-", "+"] : ["+", "-"];
  return `<${east}${clock}>${west}${clock}`;
}

const otherEncodings =
  /^(sqlascii|latin\d+|l\d+|win\d+|windows\d+|iso8859\d+|eucjp|euccn|euckr|euctw|eucjis2004|sjis|shiftjis|big5|gbk|gb18030|johab|uhc|koi8[ru]?|mulekana|muleinternal|abc|alt|tcvn\d*|vscii|shiftjis2004)$/;

function parseEncoding(def: SettingDef, text: string): string {
  const plain = text.toLowerCase().replace(/[^a-z0-9]/g, "");
  if (plain === "utf8" || plain === "unicode" || plain === "default") return "UTF8";
  if (otherEncodings.test(plain)) {
    throw new DbError(
      "featureNotSupported",
      `conversion between ${text.toUpperCase()} and UTF8 is not supported`,
    );
  }
  throw invalid(def, text);
}

/** Splits a list of identifiers: quoted ones as they are, others in lower case; undefined when it is malformed. */
export function splitIdentifiers(text: string): string[] | undefined {
  const names: string[] = [];
  let rest = text.trim();
  if (rest === "") return names;
  for (;;) {
    const match = /^(?:"((?:[^"]|"")*)"|([^\s",]+))\s*/.exec(rest);
    if (match === null) return undefined;
    names.push(match[1] === undefined ? match[2]!.toLowerCase() : match[1].replaceAll('""', '"'));
    rest = rest.slice(match[0].length);
    if (rest === "") return names;
    if (!rest.startsWith(",")) return undefined;
    rest = rest.slice(1).trimStart();
  }
}

function quoteElement(name: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

function plainText(value: SettingValue): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  return typeof value === "number" ? realText(value) : value;
}

/** A value as SHOW prints it: numbers in the largest unit that leaves them whole. */
export function showValue(def: SettingDef, value: SettingValue): string {
  if (typeof value !== "number" || def.unit === undefined || value <= 0) return plainText(value);
  const base = value * baseSize[def.unit];
  const units = unitsOf(def.unit);
  const smallest = def.type === "integer" ? baseSize[def.unit] : 0;
  for (const [name, size] of units) {
    if (size < smallest && size < Math.min(smallest, baseSize[def.unit])) break;
    if (Number.isInteger(base / size)) return `${base / size}${name}`;
  }
  return `${plainText(value)}${def.unit}`;
}
