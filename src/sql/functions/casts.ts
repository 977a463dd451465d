/**
 * Functions behind pg_cast: conversions between types that are not mere relabelling.
 *
 * Invariants: conversions to integers round (floats half to even, numeric half away from zero) and refuse what does not
 * fit (22003); NaN and infinities never become integers.
 */
import { DbError } from "../../base/errors.js";
import {
  dayOfTimestamp,
  timeOfTimestamp,
  timestampOf,
  toLocal,
  toUtc,
  zoneOf,
} from "../../model/datetime.js";
import type { EvalContext, FunctionDef } from "../../model/functions.js";
import { floorDivide } from "../../model/int8.js";
import { parseBoolean } from "../../model/io.js";
import { parseJson } from "../../model/json.js";
import {
  numericFromFloat,
  numericFromWide,
  numericToFloat,
  numericToInteger,
  parseNumeric,
} from "../../model/numeric.js";
import type { TypeRef } from "../../model/schema.js";
import { clipBytes, trimBlanks } from "../../model/text.js";
import { applyTypmod, defaultSettings, oids, typeOf, typeOutput } from "../../model/types.js";
import { Interval, type Numeric, TimeTz, type Value, type Wide, wide } from "../../model/value.js";
import { roundHalfEven } from "./arithmetic.js";
import { define } from "./registry.js";
import "./services.js";

interface Range {
  readonly min: Wide;
  readonly max: Wide;
  readonly error: string;
}
const ranges = {
  int2: { min: -32768, max: 32767, error: "smallint out of range" },
  int4: { min: -2147483648, max: 2147483647, error: "integer out of range" },
  int8: { min: -9223372036854775808n, max: 9223372036854775807n, error: "bigint out of range" },
} as const satisfies Record<string, Range>;

function within(value: Wide, range: Range): Wide {
  if (value < range.min || value > range.max) throw new DbError("numericValueOutOfRange", range.error);
  return value;
}

function fromFloat(value: number, range: Range): Wide {
  const rounded = roundHalfEven(value);
  // 2^63 itself does not fit, although it is the double nearest to the largest bigint.
  if (!(rounded >= Number(range.min) && rounded <= Number(range.max)) || rounded === 2 ** 63) {
    throw new DbError("numericValueOutOfRange", range.error);
  }
  return Number.isSafeInteger(rounded) ? rounded + 0 : wide(BigInt(rounded));
}

function fromNumeric(value: Numeric, range: Range, name: string): Wide {
  const rounded = numericToInteger(value);
  if (rounded === undefined) {
    const what = value.special === "NaN" ? "NaN" : "infinity";
    throw new DbError("featureNotSupported", `cannot convert ${what} to ${name}`);
  }
  return within(rounded, range);
}

const names = { int2: "smallint", int4: "integer", int8: "bigint" } as const;
for (const target of ["int2", "int4", "int8"] as const) {
  const range = ranges[target];
  for (const source of ["int2", "int4", "int8"] as const) {
    if (source !== target) define(`${target}(${source})`, (_: EvalContext, a: Wide) => within(a, range));
  }
  define([`${target}(float4)`, `${target}(float8)`], (_: EvalContext, a: number) => fromFloat(a, range));
  define(`${target}(numeric)`, (_: EvalContext, a: Numeric) => fromNumeric(a, range, names[target]));
}
define("int8(oid)", (_: EvalContext, a: number) => a);
define("oid(int8)", (_: EvalContext, a: Wide) => {
  if (a < 0 || a > 4294967295) throw new DbError("numericValueOutOfRange", "OID out of range");
  return a;
});
define("xid(xid8)", (_: EvalContext, a: Wide) => Number(BigInt.asUintN(32, BigInt(a))));
define("int4(bool)", (_: EvalContext, a: boolean) => (a ? 1 : 0));
define("bool(int4)", (_: EvalContext, a: number) => a !== 0);

function narrow(value: number): number {
  const single = Math.fround(value);
  if (!Number.isFinite(single) && Number.isFinite(value)) {
    throw new DbError("numericValueOutOfRange", "value out of range: overflow");
  }
  if (single === 0 && value !== 0) {
    throw new DbError("numericValueOutOfRange", "value out of range: underflow");
  }
  return single;
}
define(["float4(int2)", "float4(int4)", "float4(int8)"], (_: EvalContext, a: Wide) => Math.fround(Number(a)));
define("float4(float8)", (_: EvalContext, a: number) => narrow(a));
define("float8(float4)", (_: EvalContext, a: number) => a);
define(["float8(int2)", "float8(int4)", "float8(int8)"], (_: EvalContext, a: Wide) => Number(a));
define("float8(numeric)", (_: EvalContext, a: Numeric) => {
  const value = numericToFloat(a);
  if (a.special === "" && !Number.isFinite(value)) throw outOfFloatRange(a, "double precision");
  return value;
});
define("float4(numeric)", (_: EvalContext, a: Numeric) => {
  const value = numericToFloat(a);
  const single = Math.fround(value);
  const isZero = a.coefficient === 0;
  if (a.special === "" && (!Number.isFinite(single) || (single === 0 && !isZero)))
    throw outOfFloatRange(a, "real");
  return single;
});

/** PostgreSQL goes through the number's text, and quotes it. */
function outOfFloatRange(value: Numeric, type: string): DbError {
  return new DbError(
    "numericValueOutOfRange",
    `"${typeOutput(oids.numeric, value, defaultSettings)}" is out of range for type ${type}`,
  );
}
define(["numeric(int2)", "numeric(int4)", "numeric(int8)"], (_: EvalContext, a: Wide) => numericFromWide(a));
define("numeric(float8)", (_: EvalContext, a: number) => numericFromFloat(a, 15));
define("numeric(float4)", (_: EvalContext, a: number) => numericFromFloat(a, 6));

// Text --------------------------------------------------------------------------------------------------------------

define("text(bool)", (_: EvalContext, a: boolean) => (a ? "true" : "false"));
define(["text(name)", "text(char)", "bpchar(name)", "bpchar(char)", "varchar(name)"], (
  _: EvalContext,
  a: string,
) => a);
define("text(bpchar)", (_: EvalContext, a: string) => trimBlanks(a));
define(["name(text)", "name(varchar)"], (_: EvalContext, a: string) => clipBytes(a, 63));
define("name(bpchar)", (_: EvalContext, a: string) => clipBytes(trimBlanks(a), 63));
define("char(text)", (_: EvalContext, a: string) => {
  const first = a.charCodeAt(0);
  if (a === "") return "";
  return first < 0x80 ? a[0]! : String.fromCharCode(Buffer.from(a.slice(0, 2), "utf8")[0]!);
});
define("char(int4)", (_: EvalContext, a: number) => {
  if (a < -128 || a > 127) throw new DbError("numericValueOutOfRange", '"char" out of range');
  return a === 0 ? "" : String.fromCharCode(a & 255);
});
define("int4(char)", (_: EvalContext, a: string) => {
  const code = a === "" ? 0 : a.charCodeAt(0);
  return code > 127 ? code - 256 : code;
});
define("regclass(text)", (context: EvalContext, name: string) => {
  const oid = context.service("objectNames").regOid("regclass", name);
  if (oid === undefined) throw new DbError("undefinedTable", `relation "${name}" does not exist`);
  return oid;
});

// Dates and times ---------------------------------------------------------------------------------------------------

function infinite(value: Wide): boolean {
  return value === Infinity || value === -Infinity;
}

/** Midnight of a date; 22008 when timestamps do not reach so far. */
export function timestampOfDate(days: number): Wide {
  if (infinite(days)) return days;
  if (days < -2451545 || days > 106751992 - 1) {
    throw new DbError("datetimeFieldOverflow", "date out of range for timestamp");
  }
  return timestampOf(days, 0);
}

define("timestamp(date)", (_: EvalContext, days: number) => timestampOfDate(days));
define("timestamptz(date)", (context: EvalContext, days: number) =>
  toUtc(timestampOfDate(days), zoneOf(context)),
);
define("timestamptz(timestamp)", (context: EvalContext, local: Wide) => toUtc(local, zoneOf(context)));
define("timestamp(timestamptz)", (context: EvalContext, instant: Wide) => toLocal(instant, zoneOf(context)));
define("date(timestamp)", (_: EvalContext, local: Wide) => (infinite(local) ? local : dayOfTimestamp(local)));
define("date(timestamptz)", (context: EvalContext, instant: Wide) =>
  infinite(instant) ? instant : dayOfTimestamp(toLocal(instant, zoneOf(context))),
);

function timeOf(local: Wide): number | null {
  return infinite(local) ? null : timeOfTimestamp(local, dayOfTimestamp(local));
}
define("time(timestamp)", (_: EvalContext, local: Wide) => timeOf(local));
define("time(timestamptz)", (context: EvalContext, instant: Wide) =>
  timeOf(toLocal(instant, zoneOf(context))),
);
define("time(timetz)", (_: EvalContext, time: TimeTz) => time.micros);
define("time(interval)", (_: EvalContext, interval: Interval) => {
  const day = 86400000000n;
  const rest = BigInt(interval.micros) % day;
  return Number(rest < 0n ? rest + day : rest);
});
define("interval(time)", (_: EvalContext, micros: number) => new Interval(0, 0, micros));
define("timetz(time)", (context: EvalContext, micros: number) => {
  const local = toLocal(context.transactionTimestamp, zoneOf(context));
  const moment = timestampOf(dayOfTimestamp(local), micros);
  return new TimeTz(micros, -zoneOf(context).offsetAtLocal(floorDivide(moment, 1e6)) + 0);
});
define("timetz(timestamptz)", (context: EvalContext, instant: Wide) => {
  if (infinite(instant)) return null;
  const offset = zoneOf(context).offsetAt(floorDivide(instant, 1e6));
  return new TimeTz(timeOf(toLocal(instant, zoneOf(context)))!, -offset + 0);
});

// jsonb -------------------------------------------------------------------------------------------------------------

const jsonNouns: Readonly<Record<string, string>> = {
  null: "null",
  string: "string",
  boolean: "boolean",
  array: "array",
  object: "object",
  number: "numeric",
};

function scalarOf(text: string, wanted: "number" | "boolean", target: string): string | boolean {
  const node = parseJson(text);
  if (node.kind !== wanted) {
    throw new DbError("invalidParameterValue", `cannot cast jsonb ${jsonNouns[node.kind]} to type ${target}`);
  }
  return node.scalar as string | boolean;
}
define("bool(jsonb)", (_: EvalContext, a: string) => scalarOf(a, "boolean", "boolean"));
define("numeric(jsonb)", (_: EvalContext, a: string) =>
  parseNumeric(scalarOf(a, "number", "numeric") as string),
);
for (const target of ["int2", "int4", "int8"] as const) {
  define(`${target}(jsonb)`, (_: EvalContext, a: string) =>
    fromNumeric(parseNumeric(scalarOf(a, "number", names[target]) as string), ranges[target], names[target]),
  );
}
define("float8(jsonb)", (_: EvalContext, a: string) =>
  numericToFloat(parseNumeric(scalarOf(a, "number", "double precision") as string)),
);
define("float4(jsonb)", (_: EvalContext, a: string) =>
  narrow(numericToFloat(parseNumeric(scalarOf(a, "number", "real") as string))),
);

// Length coercion ---------------------------------------------------------------------------------------------------

const coercions = new Map<string, FunctionDef>();
const coercionsMax = 2000;

/**
 * The function that makes a value of the type obey its modifiers (varchar(3), numeric(10,2), timestamp(0), and arrays of
 * them): what the binder puts around a cast to such a type. Explicit casts cut long text silently.
 */
export function lengthCoercionOf(type: TypeRef, explicitCast: boolean): FunctionDef {
  const key = `${type.oid}:${type.typmod}:${explicitCast}`;
  const made = coercions.get(key);
  if (made !== undefined) return made;
  const definition: FunctionDef = {
    oid: lengthFunctions[type.oid] ?? 0,
    name: typeOf(type.oid).name,
    args: [type.oid],
    returns: type.oid,
    strict: true,
    volatility: "immutable",
    call: (_: EvalContext, value: Value) => applyTypmod(type, value, explicitCast),
  };
  if (coercions.size >= coercionsMax) coercions.clear();
  coercions.set(key, definition);
  return definition;
}

/** pg_proc OIDs of PostgreSQL's own length coercion functions. */
const lengthFunctions: Readonly<Record<number, number>> = {
  [oids.bpchar]: 668,
  [oids.varchar]: 669,
  [oids.numeric]: 1703,
  [oids.timestamp]: 1961,
  [oids.timestamptz]: 1967,
  [oids.time]: 1968,
  [oids.timetz]: 1969,
  [oids.interval]: 1200,
};

export { parseBoolean };
