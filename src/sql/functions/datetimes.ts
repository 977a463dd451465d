/**
 * Dates and times: operators, EXTRACT, date_trunc, ages, zones, construction and the clock.
 *
 * Invariants: the clock is the context's, never the machine's. Infinite dates and timestamps stay infinite under
 * arithmetic that does not need their fields; where fields are needed they are NULL or an error, as in PostgreSQL.
 */
import { DbError } from "../../base/errors.js";
import * as dt from "../../model/datetime.js";
import type { EvalContext, FunctionDef } from "../../model/functions.js";
import { floorDivide, wideAdd } from "../../model/int8.js";
import * as iv from "../../model/interval.js";
import { numericInfinity, numericMinusInfinity, numericToFloat } from "../../model/numeric.js";
import {
  abbreviationOffset,
  type TimeZone,
  timeZoneAbbreviations,
  timeZoneNames,
  timeZoneOf,
} from "../../model/timezone.js";
import { compareOf, formatType, oids } from "../../model/types.js";
import { Interval, Numeric, RowValue, TimeTz, type Value, type Wide, wide } from "../../model/value.js";
import { timestampOfDate } from "./casts.js";
import { define } from "./registry.js";

const day = dt.microsPerDay;

// Comparison across types -------------------------------------------------------------------------------------------

/** A date or timestamp as a timestamp beyond the type's range too, so that far dates still compare. */
function dateForCompare(days: number): Wide {
  return dt.isFiniteTime(days) ? wide(BigInt(days) * 86400000000n) : days;
}
const converters: Readonly<Record<string, (context: EvalContext, value: Wide) => Wide>> = {
  date: (_, value) => dateForCompare(value as number),
  timestamp: (_, value) => value,
  timestamptz: (_, value) => value,
};
const tests: Readonly<Record<string, (order: number) => boolean>> = {
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  "=": (order) => order === 0,
  ">=": (order) => order >= 0,
  ">": (order) => order > 0,
  "<>": (order) => order !== 0,
};
const compareTimestamps = compareOf(oids.timestamp);

function local(context: EvalContext, value: Wide): Wide {
  if (!dt.isFiniteTime(value)) return value;
  // Far dates have no zone rules worth asking about; they stay far.
  return dt.isValidTimestamp(value) ? localToUtc(context, value) : value;
}
function localToUtc(context: EvalContext, value: Wide): Wide {
  const offset = dt.zoneOf(context).offsetAtLocal(floorDivide(value, 1e6));
  return wideAdd(value, -offset * 1e6);
}
for (const [left, right] of [
  ["date", "timestamp"],
  ["timestamp", "date"],
  ["date", "timestamptz"],
  ["timestamptz", "date"],
  ["timestamp", "timestamptz"],
  ["timestamptz", "timestamp"],
] as const) {
  const zoned = left === "timestamptz" || right === "timestamptz";
  const toLeft = converters[left]!;
  const toRight = converters[right]!;
  const compare = (context: EvalContext, a: Wide, b: Wide): number => {
    let x = toLeft(context, a);
    let y = toRight(context, b);
    if (zoned && left !== "timestamptz") x = local(context, x);
    if (zoned && right !== "timestamptz") y = local(context, y);
    return compareTimestamps(x, y);
  };
  for (const [symbol, test] of Object.entries(tests)) {
    define(`${left} ${symbol} ${right}`, (context: EvalContext, a: Wide, b: Wide) =>
      test(compare(context, a, b)),
    );
  }
  define(`${left}_cmp_${right}(${left},${right})`, (context: EvalContext, a: Wide, b: Wide) =>
    compare(context, a, b),
  );
}

// Arithmetic --------------------------------------------------------------------------------------------------------

function addDays(days: number, count: number): number {
  if (!dt.isFiniteTime(days)) return days;
  const result = days + count;
  if (!dt.isValidDate(result)) throw dt.dateOutOfRange();
  return result;
}
define("date + int4", (_: EvalContext, days: number, count: number) => addDays(days, count));
define("int4 + date", (_: EvalContext, count: number, days: number) => addDays(days, count));
define("date - int4", (_: EvalContext, days: number, count: number) => addDays(days, -count));
define("date - date", (_: EvalContext, a: number, b: number) => {
  if (!dt.isFiniteTime(a) || !dt.isFiniteTime(b)) {
    throw new DbError("datetimeFieldOverflow", "cannot subtract infinite dates");
  }
  return a - b;
});

function plus(timestamp: Wide, span: Interval): Wide {
  return dt.addToTimestamp(timestamp, span.months, span.days, span.micros);
}
function minus(timestamp: Wide, span: Interval): Wide {
  return dt.addToTimestamp(timestamp, -span.months, -span.days, negated(span.micros));
}
function negated(micros: Wide): Wide {
  return typeof micros === "number" ? 0 - micros : wide(-micros);
}
define("timestamp + interval", (_: EvalContext, a: Wide, span: Interval) => plus(a, span));
define("timestamp - interval", (_: EvalContext, a: Wide, span: Interval) => minus(a, span));
define("interval + timestamp", (_: EvalContext, span: Interval, a: Wide) => plus(a, span));
define("date + interval", (_: EvalContext, days: number, span: Interval) =>
  plus(timestampOfDate(days), span),
);
define("date - interval", (_: EvalContext, days: number, span: Interval) =>
  minus(timestampOfDate(days), span),
);
define("interval + date", (_: EvalContext, span: Interval, days: number) =>
  plus(timestampOfDate(days), span),
);

function plusTz(context: EvalContext, timestamp: Wide, span: Interval): Wide {
  return dt.addToTimestampTz(timestamp, span.months, span.days, span.micros, dt.zoneOf(context));
}
define("timestamptz + interval", (context: EvalContext, a: Wide, span: Interval) => plusTz(context, a, span));
define("interval + timestamptz", (context: EvalContext, span: Interval, a: Wide) => plusTz(context, a, span));
define("timestamptz - interval", (context: EvalContext, a: Wide, span: Interval) =>
  dt.addToTimestampTz(a, -span.months, -span.days, negated(span.micros), dt.zoneOf(context)),
);

function difference(a: Wide, b: Wide): Interval {
  if (!dt.isFiniteTime(a) || !dt.isFiniteTime(b)) {
    throw new DbError("datetimeFieldOverflow", "cannot subtract infinite timestamps");
  }
  const micros = BigInt(a) - BigInt(b);
  if (micros > 9223372036854775807n || micros < -9223372036854775808n) {
    throw new DbError("datetimeFieldOverflow", "interval out of range");
  }
  return iv.justifyHours(new Interval(0, 0, wide(micros)));
}
define(["timestamp - timestamp", "timestamptz - timestamptz"], (_: EvalContext, a: Wide, b: Wide) =>
  difference(a, b));

function combineDateTime(days: number, micros: number): Wide {
  if (!dt.isFiniteTime(days)) return days;
  return plus(timestampOfDate(days), new Interval(0, 0, micros));
}
define(["date + time", "timestamp(date,time)"], (_: EvalContext, days: number, time: number) =>
  combineDateTime(days, time));
define("time + date", (_: EvalContext, time: number, days: number) => combineDateTime(days, time));
define("timestamptz(date,time)", (context: EvalContext, days: number, time: number) =>
  dt.toUtc(combineDateTime(days, time), dt.zoneOf(context)),
);
function combineZoned(days: number, time: TimeTz): Wide {
  if (!dt.isFiniteTime(days)) return days;
  return plus(timestampOfDate(days), new Interval(0, 0, time.micros + time.zoneSeconds * 1e6));
}
define(["date + timetz", "timestamptz(date,timetz)"], (_: EvalContext, days: number, time: TimeTz) =>
  combineZoned(days, time));
define("timetz + date", (_: EvalContext, time: TimeTz, days: number) => combineZoned(days, time));

define("interval + interval", (_: EvalContext, a: Interval, b: Interval) => iv.addInterval(a, b));
define("interval - interval", (_: EvalContext, a: Interval, b: Interval) => iv.subtractInterval(a, b));
define("- interval", (_: EvalContext, a: Interval) => iv.negateInterval(a));
define("interval * float8", (_: EvalContext, a: Interval, factor: number) => iv.multiplyInterval(a, factor));
define("float8 * interval", (_: EvalContext, factor: number, a: Interval) => iv.multiplyInterval(a, factor));
define("interval / float8", (_: EvalContext, a: Interval, divisor: number) => iv.divideInterval(a, divisor));
define("justify_hours(interval)", (_: EvalContext, a: Interval) => iv.justifyHours(a));
define("justify_days(interval)", (_: EvalContext, a: Interval) => iv.justifyDays(a));
define("justify_interval(interval)", (_: EvalContext, a: Interval) => iv.justifyInterval(a));
define(["isfinite(date)", "isfinite(timestamp)", "isfinite(timestamptz)"], (_: EvalContext, a: Wide) =>
  dt.isFiniteTime(a));
define("isfinite(interval)", () => true);

/** Time of day plus micros, around the clock. */
function around(micros: number, by: Wide, sign: number): number {
  const rest = (BigInt(micros) + BigInt(sign) * BigInt(by)) % 86400000000n;
  return Number(rest < 0n ? rest + 86400000000n : rest);
}
define("time + interval", (_: EvalContext, a: number, span: Interval) => around(a, span.micros, 1));
define("interval + time", (_: EvalContext, span: Interval, a: number) => around(a, span.micros, 1));
define("time - interval", (_: EvalContext, a: number, span: Interval) => around(a, span.micros, -1));
define("time - time", (_: EvalContext, a: number, b: number) => new Interval(0, 0, a - b));
define(
  "timetz + interval",
  (_: EvalContext, a: TimeTz, span: Interval) => new TimeTz(around(a.micros, span.micros, 1), a.zoneSeconds),
);
define(
  "interval + timetz",
  (_: EvalContext, span: Interval, a: TimeTz) => new TimeTz(around(a.micros, span.micros, 1), a.zoneSeconds),
);
define(
  "timetz - interval",
  (_: EvalContext, a: TimeTz, span: Interval) => new TimeTz(around(a.micros, span.micros, -1), a.zoneSeconds),
);

// Ages --------------------------------------------------------------------------------------------------------------

/** Years, months, days and time between two wall clocks, borrowing from the earlier one's calendar. */
function age(a: Wide, b: Wide): Interval {
  if (!dt.isFiniteTime(a) || !dt.isFiniteTime(b)) throw dt.timestampOutOfRange();
  const earlier = a < b;
  const dayA = dt.dayOfTimestamp(a);
  const dayB = dt.dayOfTimestamp(b);
  const x = dt.civilFromDays(dayA);
  const y = dt.civilFromDays(dayB);
  const sign = earlier ? -1 : 1;
  let micros = sign * (dt.timeOfTimestamp(a, dayA) - dt.timeOfTimestamp(b, dayB));
  let days = sign * (x.day - y.day);
  let months = sign * (x.month - y.month);
  let years = sign * (x.year - y.year);
  if (micros < 0) {
    micros += day;
    days--;
  }
  const borrowed = earlier ? x : y;
  while (days < 0) {
    days += dt.daysInMonth(borrowed.year, borrowed.month);
    months--;
  }
  while (months < 0) {
    months += 12;
    years--;
  }
  return iv.intervalOf(sign * (years * 12 + months), sign * days, sign * micros + 0);
}
define("age(timestamp,timestamp)", (_: EvalContext, a: Wide, b: Wide) => age(a, b));
define("age(timestamptz,timestamptz)", (context: EvalContext, a: Wide, b: Wide) => {
  const zone = dt.zoneOf(context);
  return age(dt.toLocal(a, zone), dt.toLocal(b, zone));
});
function today(context: EvalContext): number {
  return dt.dayOfTimestamp(dt.toLocal(context.transactionTimestamp, dt.zoneOf(context)));
}
define("age(timestamp)", (context: EvalContext, b: Wide) => age(dt.timestampOf(today(context), 0), b));
define("age(timestamptz)", (context: EvalContext, b: Wide) =>
  age(dt.timestampOf(today(context), 0), dt.toLocal(b, dt.zoneOf(context))),
);

// Fields ------------------------------------------------------------------------------------------------------------

type Unit =
  | "microseconds"
  | "milliseconds"
  | "second"
  | "minute"
  | "hour"
  | "day"
  | "week"
  | "month"
  | "quarter"
  | "year"
  | "decade"
  | "century"
  | "millennium"
  | "dow"
  | "isodow"
  | "doy"
  | "isoyear"
  | "julian"
  | "epoch"
  | "timezone"
  | "timezone_hour"
  | "timezone_minute";

const unitWords = new Map<string, Unit>();
for (const [unit, words] of Object.entries({
  microseconds: "us usec usecs usecond useconds microsecond microseconds microsecon",
  milliseconds: "ms msec msecs msecond mseconds millisecond milliseconds millisecon",
  second: "s sec secs second seconds",
  minute: "m min mins minute minutes",
  hour: "h hr hrs hour hours",
  day: "d day days",
  week: "w week weeks",
  month: "mon mons month months",
  quarter: "qtr quarter",
  year: "y yr yrs year years",
  decade: "dec decs decade decades",
  century: "c cent century centuries",
  millennium: "mil mils millennium millennia",
  dow: "dow",
  isodow: "isodow",
  doy: "doy",
  isoyear: "isoyear",
  julian: "julian j jd",
  epoch: "epoch",
  timezone: "timezone",
  timezone_hour: "timezone_hour timezone_h",
  timezone_minute: "timezone_minute timezone_m",
})) {
  for (const word of words.split(" ")) unitWords.set(word, unit as Unit);
}

function unitOf(text: string, type: number): Unit {
  const unit = unitWords.get(text.toLowerCase());
  if (unit === undefined) throw unrecognized(text, type);
  return unit;
}
function unrecognized(text: string, type: number): DbError {
  return new DbError(
    "invalidParameterValue",
    `unit "${text.toLowerCase()}" not recognized for type ${formatType(type)}`,
  );
}
function unsupported(text: string, type: number): DbError {
  return new DbError(
    "featureNotSupported",
    `unit "${text.toLowerCase()}" not supported for type ${formatType(type)}`,
  );
}

/** A field as coefficient and scale: what extract() shows as numeric and date_part() as float. */
type Field = Numeric | null;

function whole(value: Wide): Numeric {
  return new Numeric(value, 0);
}
function scaled(coefficient: Wide | bigint, scale: number): Numeric {
  return new Numeric(typeof coefficient === "bigint" ? wide(coefficient) : coefficient, scale);
}

function clockField(unit: Unit, time: number): Numeric | undefined {
  const inMinute = time % 60e6;
  switch (unit) {
    case "microseconds":
      return whole(inMinute);
    case "milliseconds":
      return scaled(inMinute, 3);
    case "second":
      return scaled(inMinute, 6);
    case "minute":
      return whole(Math.floor(time / 60e6) % 60);
    case "hour":
      return whole(Math.floor(time / 3600e6));
    default:
      return undefined;
  }
}

export function centuryOf(year: number): number {
  return year > 0 ? Math.floor((year + 99) / 100) : -Math.floor((99 - (year - 1)) / 100);
}
function millenniumOf(year: number): number {
  return year > 0 ? Math.floor((year + 999) / 1000) : -Math.floor((999 - (year - 1)) / 1000);
}
function decadeOf(year: number): number {
  return year >= 0 ? Math.floor(year / 10) : -Math.floor((8 - (year - 1)) / 10);
}

function calendarField(unit: Unit, days: number): Numeric | undefined {
  const date = dt.civilFromDays(days);
  // Years before 1 AD are shown as -1, -2, ...: there is no year 0.
  const shown = (year: number): number => (year > 0 ? year : year - 1);
  switch (unit) {
    case "day":
      return whole(date.day);
    case "month":
      return whole(date.month);
    case "quarter":
      return whole(Math.floor((date.month - 1) / 3) + 1);
    case "week":
      return whole(dt.isoWeek(days).week);
    case "year":
      return whole(shown(date.year));
    case "isoyear":
      return whole(shown(dt.isoWeek(days).year));
    case "decade":
      return whole(decadeOf(date.year));
    case "century":
      return whole(centuryOf(date.year));
    case "millennium":
      return whole(millenniumOf(date.year));
    case "dow":
      return whole(dt.dayOfWeek(days));
    case "isodow":
      return whole(dt.dayOfWeek(days) || 7);
    case "doy":
      return whole(dt.dayOfYear(date));
    default:
      return undefined;
  }
}

const monotonic = new Set<Unit>(["year", "isoyear", "decade", "century", "millennium", "julian", "epoch"]);

function infiniteField(unit: Unit, value: Wide): Field {
  if (!monotonic.has(unit)) return null;
  return value > 0 ? numericInfinity : numericMinusInfinity;
}

const unixEpochMicros = BigInt(dt.unixEpochDays) * 86400000000n;

/** Fields of a wall clock; `offset` (seconds east) for timestamptz, whose epoch is of the instant. */
function timestampField(text: string, value: Wide, type: number, context: EvalContext): Field {
  const unit = unitOf(text, type);
  const zoned = type === oids.timestamptz;
  if (!dt.isFiniteTime(value)) return infiniteField(unit, value);
  if (unit.startsWith("timezone") && !zoned) throw unsupported(text, type);
  if (unit === "epoch") return scaled(BigInt(value) + unixEpochMicros, 6);
  const offset = zoned ? dt.zoneOf(context).offsetAt(floorDivide(value, 1e6)) : 0;
  if (unit === "timezone") return whole(offset);
  if (unit === "timezone_hour") return whole(Math.trunc(offset / 3600) + 0);
  if (unit === "timezone_minute") return whole(Math.trunc((offset % 3600) / 60) + 0);
  const wall = offset === 0 ? value : wideAdd(value, offset * 1e6);
  const days = dt.dayOfTimestamp(wall);
  const time = dt.timeOfTimestamp(wall, days);
  if (unit === "julian") return julianField(days, time);
  return clockField(unit, time) ?? calendarField(unit, days) ?? null;
}

/** Julian day with the time as a fraction, in the digits numeric division gives. */
function julianField(days: number, time: number): Numeric {
  const julian = days + dt.julianEpoch;
  if (time === 0) return whole(julian);
  // day + seconds / 86400, scaled like numeric division: 20 digits after the point
  const coefficient = (BigInt(time) * 10n ** 20n * 2n + 86400000000n) / (2n * 86400000000n);
  return scaled(BigInt(julian) * 10n ** 20n + coefficient, 20);
}

function dateField(text: string, value: number): Field {
  const unit = unitOf(text, oids.date);
  if (
    ["hour", "minute", "second", "milliseconds", "microseconds"].includes(unit) ||
    unit.startsWith("timezone")
  ) {
    throw unsupported(text, oids.date);
  }
  if (!dt.isFiniteTime(value)) return infiniteField(unit, value);
  if (unit === "epoch") return whole((value + dt.unixEpochDays) * 86400);
  if (unit === "julian") return whole(value + dt.julianEpoch);
  return calendarField(unit, value) ?? null;
}

function timeField(text: string, micros: number, type: number, zoneSeconds: number): Field {
  const unit = unitOf(text, type);
  if (unit === "epoch") return scaled(micros + zoneSeconds * 1e6, 6);
  if (type === oids.timetz) {
    if (unit === "timezone") return whole(-zoneSeconds + 0);
    if (unit === "timezone_hour") return whole(-Math.trunc(zoneSeconds / 3600) + 0);
    if (unit === "timezone_minute") return whole(-Math.trunc((zoneSeconds % 3600) / 60) + 0);
  }
  const field = clockField(unit, micros);
  if (field === undefined) throw unsupported(text, type);
  return field;
}

function intervalField(text: string, value: Interval): Field {
  const unit = unitOf(text, oids.interval);
  const parts = iv.intervalParts(value);
  switch (unit) {
    case "microseconds":
      return whole(parts.seconds * 1e6 + parts.micros);
    case "milliseconds":
      return scaled(parts.seconds * 1e6 + parts.micros, 3);
    case "second":
      return scaled(parts.seconds * 1e6 + parts.micros, 6);
    case "minute":
      return whole(parts.minutes);
    case "hour":
      return whole(parts.hours);
    case "day":
      return whole(parts.days);
    case "month":
      return whole(parts.months);
    case "quarter":
      return whole(Math.trunc(parts.months / 3) + 1);
    case "year":
      return whole(parts.years);
    case "decade":
      return whole(Math.trunc(parts.years / 10) + 0);
    case "century":
      return whole(Math.trunc(parts.years / 100) + 0);
    case "millennium":
      return whole(Math.trunc(parts.years / 1000) + 0);
    case "epoch": {
      // A year counts 365.25 days, a month 30.
      const seconds = BigInt(parts.years) * 31557600n + BigInt(parts.months * 30 + parts.days) * 86400n;
      return scaled(seconds * 1000000n + BigInt(value.micros), 6);
    }
    default:
      throw unsupported(text, oids.interval);
  }
}

function field(
  type: string,
  compute: (context: EvalContext, unit: string, value: never) => Field,
  computePart: (context: EvalContext, unit: string, value: never) => Field = compute,
): void {
  const run = compute as (context: EvalContext, unit: string, value: Value) => Field;
  const runPart = computePart as (context: EvalContext, unit: string, value: Value) => Field;
  define(`extract(text,${type})`, (context: EvalContext, unit: string, value: Value) =>
    run(context, unit, value),
  );
  define(`date_part(text,${type})`, (context: EvalContext, unit: string, value: Value) => {
    const result = runPart(context, unit, value);
    return result === null ? null : numericToFloat(result);
  });
}
field("timestamp", (context, unit, value: Wide) => timestampField(unit, value, oids.timestamp, context));
field("timestamptz", (context, unit, value: Wide) => timestampField(unit, value, oids.timestamptz, context));
// date_part of a date is that of its midnight; extract is stricter.
field(
  "date",
  (_, unit, value: number) => dateField(unit, value),
  (context, unit, value: number) => timestampField(unit, timestampOfDate(value), oids.timestamp, context),
);
field("time", (_, unit, value: number) => timeField(unit, value, oids.time, 0));
field("timetz", (_, unit, value: TimeTz) => timeField(unit, value.micros, oids.timetz, value.zoneSeconds));
field("interval", (_, unit, value: Interval) => intervalField(unit, value));

// Truncation --------------------------------------------------------------------------------------------------------

const notTruncatable = new Set<Unit>(["dow", "isodow", "doy", "isoyear", "julian", "epoch"]);
function truncationUnit(text: string, type: number): Unit {
  const unit = unitOf(text, type);
  if (notTruncatable.has(unit)) throw unrecognized(text, type);
  return unit;
}

function truncateTimestamp(text: string, value: Wide, type: number): Wide {
  if (!dt.isFiniteTime(value)) return value;
  const unit = truncationUnit(text, type);
  const days = dt.dayOfTimestamp(value);
  const time = dt.timeOfTimestamp(value, days);
  const date = dt.civilFromDays(days);
  const cut = (size: number): Wide => dt.timestampOf(days, Math.floor(time / size) * size);
  const first = (year: number, month: number): Wide => dt.timestampOf(dt.daysFromCivil(year, month, 1), 0);
  switch (unit) {
    case "microseconds":
      return value;
    case "milliseconds":
      return cut(1000);
    case "second":
      return cut(1e6);
    case "minute":
      return cut(60e6);
    case "hour":
      return cut(3600e6);
    case "day":
      return dt.timestampOf(days, 0);
    case "week":
      return dt.timestampOf(days - ((dt.dayOfWeek(days) + 6) % 7), 0);
    case "month":
      return first(date.year, date.month);
    case "quarter":
      return first(date.year, Math.floor((date.month - 1) / 3) * 3 + 1);
    case "year":
      return first(date.year, 1);
    case "decade":
      return first(
        date.year > 0 ? Math.floor(date.year / 10) * 10 : -Math.floor((8 - (date.year - 1)) / 10) * 10,
        1,
      );
    case "century":
      return first(
        date.year > 0
          ? Math.floor((date.year + 99) / 100) * 100 - 99
          : -Math.floor((99 - (date.year - 1)) / 100) * 100 + 1,
        1,
      );
    case "millennium":
      return first(
        date.year > 0
          ? Math.floor((date.year + 999) / 1000) * 1000 - 999
          : -Math.floor((999 - (date.year - 1)) / 1000) * 1000 + 1,
        1,
      );
    default:
      throw unsupported(text, type);
  }
}

function truncateZoned(text: string, value: Wide, zone: TimeZone): Wide {
  if (!dt.isFiniteTime(value)) return value;
  const unit = truncationUnit(text, oids.timestamptz);
  const wall = truncateTimestamp(text, dt.toLocal(value, zone), oids.timestamptz);
  // Units below a day keep the offset in force, so that the repeated hour in autumn stays where it is.
  if (["microseconds", "milliseconds", "second", "minute", "hour"].includes(unit)) {
    return wideAdd(wall, -zone.offsetAt(floorDivide(value, 1e6)) * 1e6);
  }
  return dt.toUtc(wall, zone);
}
define("date_trunc(text,timestamp)", (_: EvalContext, unit: string, value: Wide) =>
  truncateTimestamp(unit, value, oids.timestamp),
);
define("date_trunc(text,timestamptz)", (context: EvalContext, unit: string, value: Wide) =>
  truncateZoned(unit, value, dt.zoneOf(context)),
);
define("date_trunc(text,timestamptz,text)", (_: EvalContext, unit: string, value: Wide, zone: string) =>
  truncateZoned(unit, value, namedZone(zone)),
);
define("date_trunc(text,interval)", (_: EvalContext, text: string, value: Interval) => {
  const unit = truncationUnit(text, oids.interval);
  const parts = iv.intervalParts(value);
  const years = (size: number): Interval =>
    new Interval(Math.trunc(parts.years / size) * size * 12 + 0, 0, 0);
  const cut = (size: bigint): Interval =>
    new Interval(value.months, value.days, wide((BigInt(value.micros) / size) * size));
  switch (unit) {
    case "millennium":
      return years(1000);
    case "century":
      return years(100);
    case "decade":
      return years(10);
    case "year":
      return years(1);
    case "quarter":
      return new Interval(Math.trunc(value.months / 3) * 3 + 0, 0, 0);
    case "month":
      return new Interval(value.months, 0, 0);
    case "day":
      return new Interval(value.months, value.days, 0);
    case "hour":
      return cut(3600000000n);
    case "minute":
      return cut(60000000n);
    case "second":
      return cut(1000000n);
    case "milliseconds":
      return cut(1000n);
    case "microseconds":
      return value;
    case "week":
      throw new DbError("featureNotSupported", `unit "${text}" not supported for type interval`, {
        detail: "Months usually have fractional weeks.",
      });
    default:
      throw unsupported(text, oids.interval);
  }
});

function bin(stride: Interval, source: Wide, origin: Wide): Wide {
  if (!dt.isFiniteTime(source)) return source;
  if (!dt.isFiniteTime(origin)) throw new DbError("datetimeFieldOverflow", "origin out of range");
  if (stride.months !== 0) {
    throw new DbError(
      "featureNotSupported",
      "timestamps cannot be binned into intervals containing months or years",
    );
  }
  const size = BigInt(stride.days) * 86400000000n + BigInt(stride.micros);
  if (size <= 0n) throw new DbError("datetimeFieldOverflow", "stride must be greater than zero");
  const gap = BigInt(source) - BigInt(origin);
  let steps = gap / size;
  if (gap < 0n && steps * size !== gap) steps--;
  return wide(BigInt(origin) + steps * size);
}
define(["date_bin(interval,timestamp,timestamp)", "date_bin(interval,timestamptz,timestamptz)"], (
  _: EvalContext,
  stride: Interval,
  source: Wide,
  origin: Wide,
) => bin(stride, source, origin));

// Overlaps ----------------------------------------------------------------------------------------------------------

/** SQL's OVERLAPS over two periods; NULL ends make the answer NULL unless it is certain. */
function overlaps(
  compare: (a: Value, b: Value) => number,
  start1: Value,
  end1: Value,
  start2: Value,
  end2: Value,
): boolean | null {
  const order = (start: Value, end: Value): [Value, Value] | null => {
    if (start === null) return end === null ? null : [end, null];
    if (end !== null && compare(start, end) > 0) return [end, start];
    return [start, end];
  };
  const first = order(start1, end1);
  const second = order(start2, end2);
  if (first === null || second === null) return null;
  const order12 = compare(first[0], second[0]);
  if (order12 === 0) return first[1] === null || second[1] === null ? null : true;
  const [early, late] = order12 < 0 ? [first, second] : [second, first];
  if (early[1] === null) return null;
  if (compare(late[0], early[1]) < 0) return true;
  return late[1] === null ? null : false;
}
define("overlaps(time,time,time,time)", (_: EvalContext, a: Value, b: Value, c: Value, d: Value) =>
  overlaps(compareOf(oids.time), a, b, c, d),
);
define("overlaps(timetz,timetz,timetz,timetz)", (_: EvalContext, a: Value, b: Value, c: Value, d: Value) =>
  overlaps(compareOf(oids.timetz), a, b, c, d),
);
for (const type of ["timestamp", "timestamptz", "time"] as const) {
  const compare = compareOf(oids[type]);
  const end = (context: EvalContext, start: Value, span: Value): Value => {
    if (start === null || span === null) return null;
    if (type === "time") return around(start as number, (span as Interval).micros, 1);
    return type === "timestamp"
      ? plus(start as Wide, span as Interval)
      : plusTz(context, start as Wide, span as Interval);
  };
  const kinds: readonly (readonly [string, string])[] = [
    [type, type],
    ["interval", type],
    [type, "interval"],
    ["interval", "interval"],
  ];
  for (const [second, fourth] of kinds) {
    if (type === "time" && second === type && fourth === type) continue;
    define(
      `overlaps(${type},${second},${type},${fourth})`,
      (context: EvalContext, a: Value, b: Value, c: Value, d: Value) =>
        overlaps(
          compare,
          a,
          second === "interval" ? end(context, a, b) : b,
          c,
          fourth === "interval" ? end(context, c, d) : d,
        ),
    );
  }
}

// Zones -------------------------------------------------------------------------------------------------------------

function fixedZone(offset: number): TimeZone {
  return {
    name: dt.formatOffset(offset),
    offsetAt: () => offset,
    offsetAtLocal: () => offset,
    abbreviationAt: () => dt.formatOffset(offset),
  };
}

/** A zone as AT TIME ZONE names it: abbreviation, IANA name or POSIX string. 22023 when unknown. */
function namedZone(name: string): TimeZone {
  const offset = abbreviationOffset(name);
  if (offset !== undefined) return fixedZone(offset);
  // A bare displacement is a POSIX zone without a name, which counts westward.
  const zone = timeZoneOf(/^[+-]?[0-9]/.test(name) ? `<X>${name}` : name);
  if (zone === undefined) throw new DbError("invalidParameterValue", `time zone "${name}" not recognized`);
  return zone;
}
function intervalZone(span: Interval): TimeZone {
  if (span.months !== 0 || span.days !== 0) {
    const text = iv.formatInterval(span, "postgres");
    throw new DbError(
      "invalidParameterValue",
      `interval time zone "${text}" must not include months or days`,
    );
  }
  return fixedZone(floorDivide(span.micros, 1e6));
}
function shiftTimeTz(time: TimeTz, offset: number): TimeTz {
  return new TimeTz(around(time.micros, (time.zoneSeconds + offset) * 1e6, 1), -offset + 0);
}
for (const [zoneType, zoneFrom] of [
  ["text", (zone: Value) => namedZone(zone as string)],
  ["interval", (zone: Value) => intervalZone(zone as Interval)],
] as const) {
  define(`timezone(${zoneType},timestamptz)`, (_: EvalContext, zone: Value, value: Wide) =>
    dt.toLocal(value, zoneFrom(zone)),
  );
  define(`timezone(${zoneType},timestamp)`, (_: EvalContext, zone: Value, value: Wide) =>
    dt.toUtc(value, zoneFrom(zone)),
  );
  define(`timezone(${zoneType},timetz)`, (context: EvalContext, zone: Value, value: TimeTz) =>
    shiftTimeTz(value, zoneFrom(zone).offsetAt(floorDivide(context.transactionTimestamp, 1e6))),
  );
}
define("pg_timezone_names()", (context: EvalContext) => {
  const now = floorDivide(context.statementTimestamp, 1e6);
  const types = [oids.text, oids.text, oids.interval, oids.bool];
  return timeZoneNames().flatMap((name) => {
    const zone = timeZoneOf(name);
    if (zone === undefined) return [];
    const offset = zone.offsetAt(now);
    const standard = Math.min(zone.offsetAt(now - 15778800), zone.offsetAt(now + 15778800), offset);
    const row = [name, zone.abbreviationAt(now), new Interval(0, 0, offset * 1e6), offset !== standard];
    return [new RowValue(types, row)];
  });
});
define("pg_timezone_abbrevs()", () => {
  const types = [oids.text, oids.interval, oids.bool];
  return timeZoneAbbreviations().map(
    ([name, offset]) =>
      new RowValue(types, [name, new Interval(0, 0, offset * 1e6), /D(?:S)?T$|EST$/.test(name)]),
  );
});

// Construction ------------------------------------------------------------------------------------------------------

function dateOf(year: number, month: number, dayOfMonth: number): number {
  const wrong = (): DbError =>
    new DbError(
      "datetimeFieldOverflow",
      `date field value out of range: ${year}-${dt.pad2(month)}-${dt.pad2(dayOfMonth)}`,
    );
  if (year === 0 || month < 1 || month > 12 || dayOfMonth < 1) throw wrong();
  const astronomical = year < 0 ? year + 1 : year;
  if (dayOfMonth > dt.daysInMonth(astronomical, month)) throw wrong();
  const days = dt.daysFromCivil(astronomical, month, dayOfMonth);
  if (!dt.isValidDate(days)) {
    throw new DbError(
      "datetimeFieldOverflow",
      `date out of range: ${year}-${dt.pad2(month)}-${dt.pad2(dayOfMonth)}`,
    );
  }
  return days;
}
function timeOf(hour: number, minute: number, second: number): number {
  const wrong = hour < 0 || hour > 24 || minute < 0 || minute > 59 || !(second >= 0 && second <= 60);
  const micros = (hour * 60 + minute) * 60e6 + Math.round(second * 1e6);
  if (wrong || micros > day) {
    const seconds = Number.isNaN(second) ? "NaN" : second < 10 ? `0${second}` : String(second);
    throw new DbError(
      "datetimeFieldOverflow",
      `time field value out of range: ${hour}:${dt.pad2(minute)}:${seconds}`,
    );
  }
  return micros;
}
define("make_date(int4,int4,int4)", (_: EvalContext, year: number, month: number, d: number) =>
  dateOf(year, month, d),
);
define("make_time(int4,int4,float8)", (_: EvalContext, hour: number, minute: number, second: number) =>
  timeOf(hour, minute, second),
);
type Fields = [number, number, number, number, number, number];
define("make_timestamp(int4,int4,int4,int4,int4,float8)", (_: EvalContext, ...fields: Fields) =>
  dt.timestampOf(dateOf(fields[0], fields[1], fields[2]), timeOf(fields[3], fields[4], fields[5])),
);
define("make_timestamptz(int4,int4,int4,int4,int4,float8)", (context: EvalContext, ...fields: Fields) =>
  dt.toUtc(
    dt.timestampOf(dateOf(fields[0], fields[1], fields[2]), timeOf(fields[3], fields[4], fields[5])),
    dt.zoneOf(context),
  ),
);
define(
  "make_timestamptz(int4,int4,int4,int4,int4,float8,text)",
  (_: EvalContext, ...fields: [...Fields, string]) => {
    const wall = dt.timestampOf(
      dateOf(fields[0], fields[1], fields[2]),
      timeOf(fields[3], fields[4], fields[5]),
    );
    const displacement = /^([+-])([0-9]{1,2})(?::?([0-9]{2}))?$/.exec(fields[6]);
    if (displacement === null) return dt.toUtc(wall, namedZone(fields[6]));
    const seconds = Number(displacement[2]) * 3600 + Number(displacement[3] ?? 0) * 60;
    return dt.toUtc(wall, fixedZone(displacement[1] === "-" ? -seconds : seconds));
  },
);
define(
  "make_interval(int4,int4,int4,int4,int4,int4,float8)",
  (_: EvalContext, years: number, months: number, weeks: number, days: number, ...clock: number[]) => {
    const [hours, minutes, seconds] = clock as [number, number, number];
    if (!Number.isFinite(seconds)) throw new DbError("datetimeFieldOverflow", "interval out of range");
    const micros =
      BigInt(hours) * 3600000000n + BigInt(minutes) * 60000000n + BigInt(Math.round(seconds * 1e6));
    return iv.intervalOf(years * 12 + months, weeks * 7 + days, wide(micros));
  },
);
define("to_timestamp(float8)", (_: EvalContext, seconds: number) => {
  if (seconds === Infinity || seconds === -Infinity) return seconds;
  if (Number.isNaN(seconds)) throw new DbError("datetimeFieldOverflow", "timestamp cannot be NaN");
  if (seconds < -210866803200 || seconds >= 9224318016000) {
    throw new DbError("datetimeFieldOverflow", `timestamp out of range: "${seconds}"`);
  }
  const since = seconds - dt.unixEpochDays * 86400;
  const wholeSeconds = Math.floor(since);
  const micros = Math.round((since - wholeSeconds) * 1e6);
  return wide(BigInt(wholeSeconds) * 1000000n + BigInt(micros));
});

// The clock ---------------------------------------------------------------------------------------------------------

define(["now()", "transaction_timestamp()"], (context: EvalContext) => context.transactionTimestamp);
define("statement_timestamp()", (context: EvalContext) => context.statementTimestamp);
define("clock_timestamp()", (context: EvalContext) => context.clockTimestamp());
define("timeofday()", (context: EvalContext) => {
  const instant = context.clockTimestamp();
  const zone = dt.zoneOf(context);
  const wall = dt.toLocal(instant, zone);
  const days = dt.dayOfTimestamp(wall);
  const date = dt.civilFromDays(days);
  const clock = dt.formatTime(dt.timeOfTimestamp(wall, days));
  const fraction = clock.includes(".") ? clock.padEnd(15, "0") : `${clock}.000000`;
  const weekday = dt.dayNames[dt.dayOfWeek(days)]!.slice(0, 3);
  const month = dt.monthNames[date.month - 1]!.slice(0, 3);
  return `${weekday} ${month} ${dt.pad2(date.day)} ${fraction} ${date.year} ${zone.abbreviationAt(floorDivide(instant, 1e6))}`;
});

export type SqlValueName =
  | "current_date"
  | "current_time"
  | "current_timestamp"
  | "localtime"
  | "localtimestamp"
  | "current_user"
  | "current_role"
  | "user"
  | "session_user"
  | "current_catalog"
  | "current_schema";

function valueFunction(
  name: SqlValueName,
  returns: number,
  call: (context: EvalContext) => Value,
): FunctionDef {
  return { oid: 0, name, args: [], returns, strict: true, volatility: "stable", call };
}

/**
 * What SQL writes without parentheses (CURRENT_DATE, CURRENT_USER, ...). `precision` of the times is applied by the
 * binder with the type's length coercion.
 */
export const sqlValueFunctions: Readonly<Record<SqlValueName, FunctionDef>> = {
  current_date: valueFunction("current_date", oids.date, today),
  current_time: valueFunction("current_time", oids.timetz, (context) => {
    const zone = dt.zoneOf(context);
    const wall = dt.toLocal(context.transactionTimestamp, zone);
    const offset = zone.offsetAt(floorDivide(context.transactionTimestamp, 1e6));
    return new TimeTz(dt.timeOfTimestamp(wall, dt.dayOfTimestamp(wall)), -offset + 0);
  }),
  current_timestamp: valueFunction(
    "current_timestamp",
    oids.timestamptz,
    (context) => context.transactionTimestamp,
  ),
  localtime: valueFunction("localtime", oids.time, (context) => {
    const wall = dt.toLocal(context.transactionTimestamp, dt.zoneOf(context));
    return dt.timeOfTimestamp(wall, dt.dayOfTimestamp(wall));
  }),
  localtimestamp: valueFunction("localtimestamp", oids.timestamp, (context) =>
    dt.toLocal(context.transactionTimestamp, dt.zoneOf(context)),
  ),
  current_user: valueFunction("current_user", oids.name, (context) => context.currentUser),
  current_role: valueFunction("current_role", oids.name, (context) => context.currentUser),
  user: valueFunction("user", oids.name, (context) => context.currentUser),
  session_user: valueFunction("session_user", oids.name, (context) => context.sessionUser),
  current_catalog: valueFunction("current_catalog", oids.name, (context) => context.currentDatabase),
  current_schema: valueFunction(
    "current_schema",
    oids.name,
    (context) => context.searchPath(false)[0] ?? null,
  ),
};
