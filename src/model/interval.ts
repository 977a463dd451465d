/**
 * Intervals: months, days and microseconds kept apart; text input in all of PostgreSQL's spellings and output in its
 * four styles.
 *
 * Invariants: months and days are 32-bit, micros 64-bit. Errors: 22007 (not an interval), 22015 (a field too large),
 * 22008 (arithmetic).
 */
import { DbError } from "../base/errors.js";
import { microsPerDay, microsPerHour, microsPerMinute, microsPerSecond, pad2 } from "./datetime.js";
import { wideAdd } from "./int8.js";
import { Interval, type Wide } from "./value.js";

export const intervalZero = new Interval(0, 0, 0);

function outOfRange(): DbError {
  return new DbError("datetimeFieldOverflow", "interval out of range");
}

function int32(value: number): number {
  if (value > 2147483647 || value < -2147483648) throw outOfRange();
  return value + 0;
}

/** Checked construction. */
export function intervalOf(months: number, days: number, micros: Wide): Interval {
  return new Interval(int32(months), int32(days), micros);
}

/** Comparison value: a month counts 30 days, a day 24 hours. 128-bit in general, so split into days and rest. */
export function compareInterval(a: Interval, b: Interval): number {
  if (typeof a.micros === "number" && typeof b.micros === "number") {
    const left = (a.months * 30 + a.days) * microsPerDay;
    const right = (b.months * 30 + b.days) * microsPerDay;
    if (
      Math.abs(left) < 4e15 &&
      Math.abs(right) < 4e15 &&
      Math.abs(a.micros) < 4e15 &&
      Math.abs(b.micros) < 4e15
    ) {
      return Math.sign(left + a.micros - right - b.micros);
    }
  }
  const left = intervalSpan(a);
  const right = intervalSpan(b);
  return left < right ? -1 : left > right ? 1 : 0;
}

/** The interval as microseconds by the comparison's rule. */
export function intervalSpan(a: Interval): bigint {
  return BigInt(a.months * 30 + a.days) * 86400000000n + BigInt(a.micros);
}

// Input -------------------------------------------------------------------------------------------------------------

type Unit =
  | "microsecond"
  | "millisecond"
  | "second"
  | "minute"
  | "hour"
  | "day"
  | "week"
  | "month"
  | "year"
  | "decade"
  | "century"
  | "millennium";

const unitSpellings: Readonly<Record<Unit, string>> = {
  microsecond: "us usec usecs usecond useconds microsecon microsecond microseconds",
  millisecond: "ms msec msecs msecond mseconds millisecon millisecond milliseconds",
  second: "s sec secs second seconds",
  minute: "m min mins minute minutes",
  hour: "h hr hrs hour hours",
  day: "d day days",
  week: "w week weeks",
  month: "mon mons month months",
  year: "y yr yrs year years",
  decade: "dec decs decade decades",
  century: "c cent century centuries",
  millennium: "mil mils millennia millennium",
};

const unitByWord = new Map<string, Unit>();
for (const [unit, words] of Object.entries(unitSpellings)) {
  for (const word of words.split(" ")) unitByWord.set(word, unit as Unit);
}

/** Bits of an interval's typmod range, PostgreSQL's field numbers. */
export const intervalFields = { month: 1, year: 2, day: 3, hour: 10, minute: 11, second: 12 } as const;
export const intervalFullRange = 0x7fff;

function bad(text: string): DbError {
  return new DbError("invalidDatetimeFormat", `invalid input syntax for type interval: "${text}"`);
}

function fieldOverflow(text: string): DbError {
  return new DbError("intervalFieldOverflow", `interval field value out of range: "${text}"`);
}

class Builder {
  months = 0;
  days = 0;
  micros = 0n;
  constructor(readonly text: string) {}

  /** Adds `whole` units and a fraction (with the sign of the whole) that spills into the smaller fields. */
  add(unit: Unit, whole: number, fraction: number): void {
    switch (unit) {
      case "microsecond":
        this.micros += BigInt(whole) + BigInt(roundEven(fraction));
        break;
      case "millisecond":
        this.micros += BigInt(whole) * 1000n + BigInt(roundEven(fraction * 1000));
        break;
      case "second":
        this.micros += BigInt(whole) * 1000000n + BigInt(roundEven(fraction * 1e6));
        break;
      case "minute":
        this.micros += BigInt(whole) * 60000000n + BigInt(roundEven(fraction * 60e6));
        break;
      case "hour":
        this.micros += BigInt(whole) * 3600000000n + BigInt(roundEven(fraction * 3600e6));
        break;
      case "day":
        this.days += whole;
        this.fractionOfDay(fraction, 1);
        break;
      case "week":
        this.days += whole * 7;
        this.fractionOfDay(fraction, 7);
        break;
      case "month":
        this.months += whole;
        this.fractionOfDay(fraction, 30);
        break;
      case "year":
        this.months += whole * 12 + roundEven(fraction * 12);
        break;
      case "decade":
        this.months += whole * 120 + roundEven(fraction * 120);
        break;
      case "century":
        this.months += whole * 1200 + roundEven(fraction * 1200);
        break;
      case "millennium":
        this.months += whole * 12000 + roundEven(fraction * 12000);
        break;
    }
    this.check();
  }

  private fractionOfDay(fraction: number, days: number): void {
    const total = fraction * days;
    const whole = Math.trunc(total);
    this.days += whole;
    this.micros += BigInt(roundEven((total - whole) * microsPerDay));
  }

  private check(): void {
    if (Math.abs(this.months) > 2147483647 || Math.abs(this.days) > 2147483647)
      throw fieldOverflow(this.text);
    if (this.micros > 9223372036854775807n || this.micros < -9223372036854775808n)
      throw fieldOverflow(this.text);
  }

  build(): Interval {
    this.check();
    return new Interval(this.months + 0, this.days + 0, wideAdd(0, this.micros));
  }
}

function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Splits "-1.5" into whole and fraction, both with the sign. */
function splitNumber(text: string, owner: string): { whole: number; fraction: number; negative: boolean } {
  const match = /^([+-]?)([0-9]*)(?:\.([0-9]*))?$/.exec(text);
  if (match === null || ((match[2] ?? "") === "" && (match[3] ?? "") === "")) throw bad(owner);
  const sign = match[1] === "-" ? -1 : 1;
  const whole = Number(match[2] === "" ? 0 : match[2]);
  if (whole > 9.3e18) throw fieldOverflow(owner);
  return {
    whole: sign * whole + 0,
    fraction: match[3] === undefined || match[3] === "" ? 0 : sign * Number(`0.${match[3]}`),
    negative: sign < 0,
  };
}

const isoDateUnits: Readonly<Record<string, Unit>> = { Y: "year", M: "month", W: "week", D: "day" };
const isoTimeUnits: Readonly<Record<string, Unit>> = { H: "hour", M: "minute", S: "second" };

/** P1Y2M3DT4H5M6S and the alternative P0001-02-03T04:05:06. */
function parseIso(text: string): Interval {
  const builder = new Builder(text);
  const body = text.slice(1);
  const alternative = /^([+-]?[0-9]+)-([+-]?[0-9]+)(?:-([+-]?[0-9]+))?(?:T(.*))?$/.exec(body);
  let rest = body;
  let inTime = false;
  if (alternative !== null) {
    builder.add("year", Number(alternative[1]), 0);
    builder.add("month", Number(alternative[2]), 0);
    builder.add("day", Number(alternative[3] ?? 0), 0);
    rest = alternative[4] === undefined ? "" : `T${alternative[4]}`;
  }
  if (rest === "" && alternative === null) throw bad(text);
  while (rest !== "") {
    if (rest.startsWith("T") && !inTime) {
      inTime = true;
      rest = rest.slice(1);
      if (rest === "") throw bad(text);
      const clock = /^([+-]?[0-9]+):([0-9]+)(?::([0-9]+(?:\.[0-9]*)?))?$/.exec(rest);
      if (clock !== null) {
        addClock(
          builder,
          clock[1]!.replace(/^[+-]/, ""),
          clock[2]!,
          clock[3] ?? "0",
          clock[1]!.startsWith("-"),
        );
        return builder.build();
      }
      continue;
    }
    const field = /^([+-]?[0-9]*(?:\.[0-9]*)?)([A-Z])/.exec(rest);
    if (field === null) throw bad(text);
    const unit = (inTime ? isoTimeUnits : isoDateUnits)[field[2]!];
    if (unit === undefined) throw bad(text);
    const { whole, fraction } = splitNumber(field[1]!, text);
    builder.add(unit, whole, fraction);
    rest = rest.slice(field[0].length);
  }
  return builder.build();
}

function addClock(
  builder: Builder,
  hours: string,
  minutes: string,
  seconds: string,
  negative: boolean,
): void {
  const minute = Number(minutes);
  const { whole, fraction } = splitNumber(seconds, builder.text);
  if (minute > 59 || whole > 59 + (whole === 60 ? 1 : 0)) throw fieldOverflow(builder.text);
  const hour = Number(hours);
  if (hour > 2562047788) throw fieldOverflow(builder.text);
  const sign = negative ? -1 : 1;
  builder.add("hour", sign * hour, 0);
  builder.add("minute", sign * minute, 0);
  builder.add("second", sign * whole, sign * fraction);
}

/** Unit of a bare number at the end, by the range a typmod names (INTERVAL '5' DAY). */
function defaultUnit(range: number): Unit {
  const has = (field: number): boolean => (range & (1 << field)) !== 0;
  if (range === intervalFullRange || has(intervalFields.second)) return "second";
  if (has(intervalFields.minute)) return "minute";
  if (has(intervalFields.hour)) return "hour";
  if (has(intervalFields.day)) return "day";
  if (has(intervalFields.month)) return "month";
  return has(intervalFields.year) ? "year" : "second";
}

/**
 * Reads an interval. `range` is the typmod's field mask (0x7fff for none); `style` sql_standard makes a leading sign
 * hold for every field that has none of its own.
 */
export function parseInterval(text: string, range: number = intervalFullRange, style = "postgres"): Interval {
  const trimmed = text.trim();
  if (trimmed.length > 256) throw bad(text);
  if (/^P/.test(trimmed)) return parseIso(trimmed);
  if (/[0-9]-[0-9]+-/.test(trimmed)) throw bad(text); // a date
  const tokens: { kind: "clock" | "number" | "word" | "yearMonth"; text: string }[] = [];
  const pattern =
    /[ \t\n\v\f\r,@]+|([+-]?[0-9]+:[0-9]+(?::[0-9]+)?(?:\.[0-9]*)?)|([+-]?[0-9]+-[0-9]+)(?![0-9-])|([+-]?[ ]*(?:[0-9]+\.?[0-9]*|\.[0-9]+))|([A-Za-z]+)/gy;
  for (let at = 0; at < trimmed.length; at = pattern.lastIndex) {
    pattern.lastIndex = at;
    const match = pattern.exec(trimmed);
    if (match === null) throw bad(text);
    if (match[1] !== undefined) tokens.push({ kind: "clock", text: match[1] });
    else if (match[2] !== undefined) tokens.push({ kind: "yearMonth", text: match[2] });
    else if (match[3] !== undefined) tokens.push({ kind: "number", text: match[3].replaceAll(" ", "") });
    else if (match[4] !== undefined) tokens.push({ kind: "word", text: match[4].toLowerCase() });
    if (tokens.length > 25) throw bad(text);
  }
  const builder = new Builder(text);
  const leadingMinus =
    style === "sql_standard" &&
    tokens[0]?.text.startsWith("-") === true &&
    !tokens.slice(1).some((token) => /^[+-]/.test(token.text));
  let unit: Unit | undefined;
  let ago = false;
  let fields = 0;
  const seen = new Set<Unit>();
  // From the end, because a unit follows its number.
  for (let at = tokens.length - 1; at >= 0; at--) {
    const token = tokens[at]!;
    if (token.kind === "word") {
      if (token.text === "ago") {
        if (at !== tokens.length - 1) throw bad(text);
        ago = true;
        continue;
      }
      const named = unitByWord.get(token.text);
      if (named === undefined || tokens[at - 1]?.kind !== "number") throw bad(text);
      unit = named;
      continue;
    }
    fields++;
    if (token.kind === "clock") {
      const match = /^([+-]?)([0-9]+):([0-9]+)(?::([0-9]+))?(?:\.([0-9]*))?$/.exec(token.text)!;
      const negative = match[1] === "-" || (leadingMinus && match[1] === "");
      const fraction = match[5] === undefined ? "" : `.${match[5]}`;
      if (match[4] !== undefined) addClock(builder, match[2]!, match[3]!, match[4] + fraction, negative);
      else if (match[5] !== undefined || minuteToSecond(range)) {
        addClock(builder, "0", match[2]!, match[3]! + fraction, negative);
      } else addClock(builder, match[2]!, match[3]!, "0", negative);
      unit = "day";
      continue;
    }
    if (token.kind === "yearMonth") {
      const match = /^([+-]?)([0-9]+)-([0-9]+)$/.exec(token.text)!;
      if (Number(match[3]) >= 12) throw fieldOverflow(text);
      const sign = match[1] === "-" || (leadingMinus && match[1] === "") ? -1 : 1;
      builder.add("year", sign * Number(match[2]), 0);
      builder.add("month", sign * Number(match[3]), 0);
      unit = undefined;
      continue;
    }
    let { whole, fraction } = splitNumber(token.text, text);
    if (leadingMinus && !token.text.startsWith("-")) [whole, fraction] = [-whole, -fraction];
    const given = unit ?? defaultUnit(range);
    if (seen.has(given)) throw bad(text);
    seen.add(given);
    builder.add(given, whole, fraction);
    unit = undefined;
  }
  if (fields === 0) throw bad(text);
  const result = builder.build();
  return ago ? negateInterval(result) : result;
}

function minuteToSecond(range: number): boolean {
  return range === ((1 << intervalFields.minute) | (1 << intervalFields.second));
}

export function negateInterval(a: Interval): Interval {
  return intervalOf(-a.months, -a.days, wideAdd(0, -BigInt(a.micros)));
}

/** Keeps only the fields a typmod's range names and rounds the seconds. */
export function applyIntervalTypmod(value: Interval, range: number, precision: number): Interval {
  let { months, days } = value;
  let micros = value.micros;
  const cut = (unit: number): void => {
    const whole = BigInt(micros) / BigInt(unit);
    micros = wideAdd(0, whole * BigInt(unit));
  };
  if (range !== intervalFullRange) {
    const has = (field: number): boolean => (range & (1 << field)) !== 0;
    if (!has(intervalFields.second)) {
      if (has(intervalFields.minute)) cut(microsPerMinute);
      else if (has(intervalFields.hour)) cut(microsPerHour);
      else {
        micros = 0;
        if (!has(intervalFields.day)) {
          days = 0;
          if (!has(intervalFields.month)) months = Math.trunc(months / 12) * 12 + 0;
        }
      }
    }
  }
  if (precision >= 0 && precision < 6) {
    const unit = BigInt(10 ** (6 - precision));
    const exact = BigInt(micros);
    const half = unit / 2n;
    micros = wideAdd(0, ((exact + (exact < 0n ? -half : half)) / unit) * unit);
  }
  return new Interval(months, days, micros);
}

// Output ------------------------------------------------------------------------------------------------------------

interface Parts {
  readonly years: number;
  readonly months: number;
  readonly days: number;
  readonly hours: number;
  readonly minutes: number;
  readonly seconds: number;
  readonly micros: number;
}

/** Fields with the sign of the part they come from. */
export function intervalParts(value: Interval): Parts {
  const years = Math.trunc(value.months / 12) + 0;
  const micros = BigInt(value.micros);
  const hours = Number(micros / 3600000000n);
  const rest = Number(micros % 3600000000n);
  const minutes = Math.trunc(rest / microsPerMinute) + 0;
  const seconds = Math.trunc((rest - minutes * microsPerMinute) / microsPerSecond) + 0;
  return {
    years,
    months: value.months - years * 12,
    days: value.days,
    hours,
    minutes,
    seconds,
    micros: rest - minutes * microsPerMinute - seconds * microsPerSecond,
  };
}

function fraction(micros: number): string {
  const magnitude = Math.abs(micros);
  return magnitude === 0 ? "" : `.${String(magnitude).padStart(6, "0").replace(/0+$/, "")}`;
}

export function formatInterval(value: Interval, style: string): string {
  const parts = intervalParts(value);
  switch (style) {
    case "sql_standard":
      return formatSqlStandard(parts);
    case "iso_8601":
      return formatIso(parts);
    case "postgres_verbose":
      return formatVerbose(parts);
    default:
      return formatPostgres(parts);
  }
}

function formatPostgres(parts: Parts): string {
  let text = "";
  let afterNegative = false;
  const add = (count: number, unit: string): void => {
    if (count === 0) return;
    const sign = afterNegative && count > 0 ? "+" : "";
    text += `${text === "" ? "" : " "}${sign}${count} ${unit}${count === 1 ? "" : "s"}`;
    afterNegative = count < 0;
  };
  add(parts.years, "year");
  add(parts.months, "mon");
  add(parts.days, "day");
  const { hours, minutes, seconds, micros } = parts;
  if (text !== "" && hours === 0 && minutes === 0 && seconds === 0 && micros === 0) return text;
  const minus = hours < 0 || minutes < 0 || seconds < 0 || micros < 0;
  const clock = `${pad2(Math.abs(hours))}:${pad2(Math.abs(minutes))}:${pad2(Math.abs(seconds))}${fraction(micros)}`;
  return `${text}${text === "" ? "" : " "}${minus ? "-" : afterNegative ? "+" : ""}${clock}`;
}

function formatIso(parts: Parts): string {
  const { years, months, days, hours, minutes, seconds, micros } = parts;
  let text = "P";
  if (years !== 0) text += `${years}Y`;
  if (months !== 0) text += `${months}M`;
  if (days !== 0) text += `${days}D`;
  if (hours !== 0 || minutes !== 0 || seconds !== 0 || micros !== 0) {
    text += "T";
    if (hours !== 0) text += `${hours}H`;
    if (minutes !== 0) text += `${minutes}M`;
    if (seconds !== 0 || micros !== 0) {
      text += `${seconds < 0 || micros < 0 ? "-" : ""}${Math.abs(seconds)}${fraction(micros)}S`;
    }
  }
  return text === "P" ? "PT0S" : text;
}

function formatVerbose(parts: Parts): string {
  const { years, months, days, hours, minutes, seconds, micros } = parts;
  let text = "@";
  let zero = true;
  let before = false;
  const add = (count: number, unit: string): void => {
    if (count === 0) return;
    if (zero) before = count < 0;
    const shown = before ? -count : count;
    text += ` ${shown} ${unit}${shown === 1 ? "" : "s"}`;
    zero = false;
  };
  add(years, "year");
  add(months, "mon");
  add(days, "day");
  add(hours, "hour");
  add(minutes, "min");
  if (seconds !== 0 || micros !== 0) {
    const negative = seconds < 0 || micros < 0;
    if (zero) before = negative;
    const shown = `${Math.abs(seconds)}${fraction(micros)}`;
    text += ` ${negative !== before ? "-" : ""}${shown} sec${Math.abs(seconds) === 1 && micros === 0 ? "" : "s"}`;
    zero = false;
  }
  if (zero) text += " 0";
  return before ? `${text} ago` : text;
}

function formatSqlStandard(parts: Parts): string {
  const { years, months, days, hours, minutes, seconds, micros } = parts;
  const values = [years, months, days, hours, minutes, seconds, micros];
  const negative = values.some((value) => value < 0);
  const positive = values.some((value) => value > 0);
  const yearMonth = years !== 0 || months !== 0;
  const dayTime = days !== 0 || hours !== 0 || minutes !== 0 || seconds !== 0 || micros !== 0;
  const clock = `${Math.abs(hours)}:${pad2(Math.abs(minutes))}:${pad2(Math.abs(seconds))}${fraction(micros)}`;
  if (!negative && !positive) return "0";
  if ((negative && positive) || (yearMonth && dayTime)) {
    const timeNegative = hours < 0 || minutes < 0 || seconds < 0 || micros < 0;
    return `${years < 0 || months < 0 ? "-" : "+"}${Math.abs(years)}-${Math.abs(months)} ${days < 0 ? "-" : "+"}${Math.abs(days)} ${timeNegative ? "-" : "+"}${clock}`;
  }
  const sign = negative ? "-" : "";
  if (yearMonth) return `${sign}${Math.abs(years)}-${Math.abs(months)}`;
  return days !== 0 ? `${sign}${Math.abs(days)} ${clock}` : `${sign}${clock}`;
}

// Arithmetic --------------------------------------------------------------------------------------------------------

export function addInterval(a: Interval, b: Interval): Interval {
  return intervalOf(a.months + b.months, a.days + b.days, addMicros(a.micros, b.micros));
}

export function subtractInterval(a: Interval, b: Interval): Interval {
  return intervalOf(a.months - b.months, a.days - b.days, addMicros(a.micros, wideNegated(b.micros)));
}

function wideNegated(micros: Wide): Wide {
  return typeof micros === "number" ? 0 - micros : -micros;
}

function addMicros(a: Wide, b: Wide): Wide {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  const sum = BigInt(a) + BigInt(b);
  if (sum > 9223372036854775807n || sum < -9223372036854775808n) throw outOfRange();
  return wideAdd(0, sum);
}

/** Rounds to 6 decimals, the way PostgreSQL hides binary noise of fractional months. */
function roundTs(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}

function microsOfFloat(value: number): Wide {
  if (!(Math.abs(value) < 9.223372036854775e18)) throw outOfRange();
  return wideAdd(0, BigInt(roundEven(value)));
}

export function multiplyInterval(a: Interval, factor: number): Interval {
  return spread(a, a.months * factor, a.days * factor, Number(a.micros) * factor, (value) => value * factor);
}

export function divideInterval(a: Interval, divisor: number): Interval {
  if (divisor === 0) throw new DbError("divisionByZero", "division by zero");
  return spread(
    a,
    a.months / divisor,
    a.days / divisor,
    Number(a.micros) / divisor,
    (value) => value / divisor,
  );
}

/** Fractions of months go to days (30 a month), fractions of days to the time. */
function spread(
  a: Interval,
  months: number,
  days: number,
  micros: number,
  scale: (value: number) => number,
): Interval {
  if (!Number.isFinite(months) || !Number.isFinite(days) || !Number.isFinite(micros)) throw outOfRange();
  const wholeMonths = Math.trunc(months);
  let wholeDays = Math.trunc(days);
  const monthDays = roundTs((scale(a.months) - wholeMonths) * 30);
  let seconds = roundTs((scale(a.days) - wholeDays + monthDays - Math.trunc(monthDays)) * 86400);
  if (Math.abs(seconds) >= 86400) {
    wholeDays += Math.trunc(seconds / 86400);
    seconds -= Math.trunc(seconds / 86400) * 86400;
  }
  wholeDays += Math.trunc(monthDays);
  return intervalOf(wholeMonths, wholeDays, microsOfFloat(micros + seconds * 1e6));
}

export function justifyHours(a: Interval): Interval {
  const day = 86400000000n;
  const whole = Number(BigInt(a.micros) / day);
  let days = a.days + whole;
  let micros = BigInt(a.micros) % day;
  if (days > 0 && micros < 0n) {
    micros += day;
    days--;
  } else if (days < 0 && micros > 0n) {
    micros -= day;
    days++;
  }
  return intervalOf(a.months, days, wideAdd(0, micros));
}

export function justifyDays(a: Interval): Interval {
  const whole = Math.trunc(a.days / 30);
  let days = a.days - whole * 30;
  let months = a.months + whole;
  if (months > 0 && days < 0) {
    days += 30;
    months--;
  } else if (months < 0 && days > 0) {
    days -= 30;
    months++;
  }
  return intervalOf(months, days, a.micros);
}

export function justifyInterval(a: Interval): Interval {
  const day = 86400000000n;
  const wholeDays = Number(BigInt(a.micros) / day);
  let micros = BigInt(a.micros) % day;
  let days = a.days + wholeDays;
  const wholeMonths = Math.trunc(days / 30);
  days -= wholeMonths * 30;
  let months = a.months + wholeMonths;
  if (months > 0 && (days < 0 || (days === 0 && micros < 0n))) {
    days += 30;
    months--;
  } else if (months < 0 && (days > 0 || (days === 0 && micros > 0n))) {
    days -= 30;
    months++;
  }
  if (days > 0 && micros < 0n) {
    micros += day;
    days--;
  } else if (days < 0 && micros > 0n) {
    micros -= day;
    days++;
  }
  return intervalOf(months, days, wideAdd(0, micros));
}
