/**
 * to_char, to_date, to_timestamp and to_number: templates of PostgreSQL's "Data Type Formatting Functions".
 *
 * Invariants: templates are read once into a list of fields and kept (a bounded number); what is no field is copied.
 * English names only: TM prefixes are taken and mean the same.
 */
import { DbError, notSupported } from "../../base/errors.js";
import * as dt from "../../model/datetime.js";
import type { EvalContext } from "../../model/functions.js";
import { floorDivide, wideAdd } from "../../model/int8.js";
import { intervalParts } from "../../model/interval.js";
import * as exact from "../../model/numeric.js";
import { abbreviationOffset } from "../../model/timezone.js";
import { type Interval, Numeric, type Value, type Wide } from "../../model/value.js";
import { centuryOf } from "./datetimes.js";
import { define } from "./registry.js";

// Dates: templates --------------------------------------------------------------------------------------------------

/** Longest first, so that the first that fits is the one meant. Case matters where it is listed twice. */
const dateFields = [
  "SSSSS",
  "SSSS",
  "Y,YYY",
  "A.D.",
  "a.d.",
  "A.M.",
  "a.m.",
  "B.C.",
  "b.c.",
  "P.M.",
  "p.m.",
  "MONTH",
  "Month",
  "month",
  "HH24",
  "HH12",
  "IDDD",
  "YYYY",
  "IYYY",
  "DAY",
  "Day",
  "day",
  "DDD",
  "MON",
  "Mon",
  "mon",
  "IYY",
  "YYY",
  "TZH",
  "TZM",
  "AD",
  "ad",
  "AM",
  "am",
  "BC",
  "bc",
  "CC",
  "DD",
  "DY",
  "Dy",
  "dy",
  "FF1",
  "FF2",
  "FF3",
  "FF4",
  "FF5",
  "FF6",
  "HH",
  "ID",
  "IW",
  "IY",
  "MI",
  "MM",
  "MS",
  "OF",
  "PM",
  "pm",
  "RM",
  "rm",
  "SS",
  "TZ",
  "tz",
  "US",
  "WW",
  "YY",
  "D",
  "I",
  "J",
  "Q",
  "W",
  "Y",
].sort((a, b) => b.length - a.length);
/** Fields that are recognised in any case. */
const caseless = new Set(
  dateFields.filter(
    (field) => !/^(?:MONTH|MON|DAY|DY|AM|PM|A\.M\.|P\.M\.|AD|BC|A\.D\.|B\.C\.|RM|TZ)$/i.test(field),
  ),
);

interface Field {
  readonly text: string;
  /** Literal text; empty for fields. */
  readonly literal: boolean;
  readonly fill: boolean;
  readonly ordinal: "" | "TH" | "th";
}

const templates = new Map<string, readonly Field[]>();
const templatesMax = 256;

function readTemplate(template: string): readonly Field[] {
  const known = templates.get(template);
  if (known !== undefined) return known;
  const fields: Field[] = [];
  let at = 0;
  const literal = (text: string): void => {
    fields.push({ text, literal: true, fill: false, ordinal: "" });
  };
  while (at < template.length) {
    const start = at;
    let fill = true;
    for (;;) {
      const prefix = template.slice(at, at + 2).toUpperCase();
      if (prefix === "FM") fill = false;
      else if (prefix !== "FX" && prefix !== "TM") break;
      at += 2;
    }
    const field = dateFields.find(
      (name) =>
        template.startsWith(name, at) ||
        (caseless.has(name) && template.slice(at, at + name.length).toUpperCase() === name),
    );
    if (field === undefined) {
      at = start;
      const char = template[at]!;
      if (char === '"') {
        let text = "";
        at++;
        while (at < template.length && template[at] !== '"') {
          if (template[at] === "\\" && at + 1 < template.length) at++;
          text += template[at];
          at++;
        }
        at++;
        literal(text);
      } else if (char === "\\" && template[at + 1] === '"') {
        literal('"');
        at += 2;
      } else {
        const text = String.fromCodePoint(template.codePointAt(at)!);
        literal(text);
        at += text.length;
      }
      continue;
    }
    at += field.length;
    const suffix = template.slice(at, at + 2);
    const ordinal = suffix === "TH" || suffix === "th" ? suffix : "";
    if (ordinal !== "") at += 2;
    fields.push({ text: field, literal: false, fill, ordinal });
  }
  if (templates.size >= templatesMax) templates.clear();
  templates.set(template, fields);
  return fields;
}

function ordinalSuffix(digits: string, upper: boolean): string {
  const tens = digits.length > 1 ? digits[digits.length - 2] : "";
  const last = digits[digits.length - 1];
  const suffix = tens === "1" ? "th" : last === "1" ? "st" : last === "2" ? "nd" : last === "3" ? "rd" : "th";
  return upper ? suffix.toUpperCase() : suffix;
}

// Dates: output -----------------------------------------------------------------------------------------------------

interface Moment {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly days: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly micros: number;
  readonly isInterval: boolean;
  /** Seconds east; undefined without zone. */
  readonly offset: number | undefined;
  readonly zoneName: string;
}

const romanMonths = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

function padNumber(value: number, width: number, fill: boolean): string {
  if (!fill) return String(value);
  const digits = String(Math.abs(value)).padStart(value < 0 ? width - 1 : width, "0");
  return value < 0 ? `-${digits}` : digits;
}

function cased(word: string, field: string): string {
  if (field === field.toUpperCase()) return word.toUpperCase();
  return field[0] === field[0]!.toUpperCase() ? word : word.toLowerCase();
}

function intervalRefuses(): DbError {
  return new DbError("invalidDatetimeFormat", "invalid format specification for an interval value", {
    hint: "Intervals are not tied to specific calendar dates.",
  });
}

/** The text of one field. */
function fieldText(field: Field, m: Moment): string {
  const { text, fill } = field;
  const upper = caseless.has(text) ? text.toUpperCase() : text;
  const shownYear = m.isInterval || m.year > 0 ? m.year : 1 - m.year;
  const calendar = (): void => {
    if (m.isInterval) throw intervalRefuses();
  };
  switch (upper) {
    case "HH24":
      return padNumber(m.hour, m.hour < 0 ? 3 : 2, fill);
    case "HH":
    case "HH12": {
      const half = m.hour % 12;
      return padNumber(half === 0 ? 12 : half, 2, fill);
    }
    case "MI":
      return padNumber(m.minute, m.minute < 0 ? 3 : 2, fill);
    case "SS":
      return padNumber(m.second, m.second < 0 ? 3 : 2, fill);
    case "MS":
      return padNumber(Math.trunc(m.micros / 1000), 3, true);
    case "US":
      return padNumber(m.micros, 6, true);
    case "FF1":
    case "FF2":
    case "FF3":
    case "FF4":
    case "FF5":
    case "FF6": {
      const digits = Number(upper[2]);
      return padNumber(Math.trunc(m.micros / 10 ** (6 - digits)), digits, true);
    }
    case "SSSS":
    case "SSSSS":
      return String(m.hour * 3600 + m.minute * 60 + m.second);
    case "AM":
    case "PM":
      return m.hour % 24 >= 12 ? "PM" : "AM";
    case "am":
    case "pm":
      return m.hour % 24 >= 12 ? "pm" : "am";
    case "A.M.":
    case "P.M.":
      return m.hour % 24 >= 12 ? "P.M." : "A.M.";
    case "a.m.":
    case "p.m.":
      return m.hour % 24 >= 12 ? "p.m." : "a.m.";
    case "AD":
    case "BC":
      calendar();
      return m.year > 0 ? "AD" : "BC";
    case "ad":
    case "bc":
      calendar();
      return m.year > 0 ? "ad" : "bc";
    case "A.D.":
    case "B.C.":
      calendar();
      return m.year > 0 ? "A.D." : "B.C.";
    case "a.d.":
    case "b.c.":
      calendar();
      return m.year > 0 ? "a.d." : "b.c.";
    case "MONTH":
    case "Month":
    case "month": {
      calendar();
      const name = cased(dt.monthNames[m.month - 1]!, text);
      return fill ? name.padEnd(9) : name;
    }
    case "MON":
    case "Mon":
    case "mon":
      calendar();
      return cased(dt.monthNames[m.month - 1]!.slice(0, 3), text);
    case "MM":
      return padNumber(m.month, m.month < 0 ? 3 : 2, fill);
    case "DAY":
    case "Day":
    case "day": {
      calendar();
      const name = cased(dt.dayNames[dt.dayOfWeek(m.days)]!, text);
      return fill ? name.padEnd(9) : name;
    }
    case "DY":
    case "Dy":
    case "dy":
      calendar();
      return cased(dt.dayNames[dt.dayOfWeek(m.days)]!.slice(0, 3), text);
    case "DDD":
      return padNumber(m.isInterval ? m.year * 360 + m.month * 30 + m.day : dt.dayOfYear(m), 3, fill);
    case "IDDD":
      calendar();
      return padNumber(m.days - dt.isoWeekStart(dt.isoWeek(m.days).year) + 1, 3, fill);
    case "DD":
      return padNumber(m.day, 2, fill);
    case "D":
      calendar();
      return String(dt.dayOfWeek(m.days) + 1);
    case "ID":
      calendar();
      return String(dt.dayOfWeek(m.days) || 7);
    case "WW":
      return padNumber(Math.floor((dt.dayOfYear(m) - 1) / 7) + 1, 2, fill);
    case "IW":
      calendar();
      return padNumber(dt.isoWeek(m.days).week, 2, fill);
    case "W":
      return String(Math.floor((m.day - 1) / 7) + 1);
    case "Q":
      return m.month === 0 ? "" : String(Math.floor((m.month - 1) / 3) + 1);
    case "CC": {
      const century = m.isInterval ? Math.trunc(m.year / 100) : centuryOf(m.year);
      return padNumber(century, century < 0 ? 3 : 2, fill && Math.abs(century) <= 99);
    }
    case "Y,YYY": {
      const thousands = Math.floor(shownYear / 1000);
      return `${thousands},${String(shownYear - thousands * 1000).padStart(3, "0")}`;
    }
    case "YYYY":
      return padNumber(shownYear, 4, fill);
    case "IYYY":
      return padNumber(isoYear(m), 4, fill);
    case "YYY":
      return padNumber(shownYear % 1000, 3, fill);
    case "IYY":
      return padNumber(isoYear(m) % 1000, 3, fill);
    case "YY":
      return padNumber(shownYear % 100, 2, fill);
    case "IY":
      return padNumber(isoYear(m) % 100, 2, fill);
    case "Y":
      return String(shownYear % 10);
    case "I":
      return String(isoYear(m) % 10);
    case "RM":
    case "rm": {
      if (m.month === 0) return "";
      const numeral = romanMonths[m.month > 0 ? m.month - 1 : 12 + m.month]!;
      const shown = text === "RM" ? numeral : numeral.toLowerCase();
      return fill ? shown.padEnd(4) : shown;
    }
    case "J":
      return String(m.days + dt.julianEpoch);
    case "TZ":
      calendar();
      return m.zoneName;
    case "tz":
      calendar();
      return m.zoneName.toLowerCase();
    case "TZH": {
      calendar();
      const offset = m.offset ?? 0;
      return `${offset < 0 ? "-" : "+"}${dt.pad2(Math.floor(Math.abs(offset) / 3600))}`;
    }
    case "TZM":
      calendar();
      return dt.pad2(Math.floor((Math.abs(m.offset ?? 0) % 3600) / 60));
    case "OF": {
      calendar();
      return dt.formatOffset(m.offset ?? 0);
    }
    default:
      throw notSupported(`to_char field ${text}`);
  }
}

function isoYear(m: Moment): number {
  if (m.isInterval) throw intervalRefuses();
  const { year } = dt.isoWeek(m.days);
  return year > 0 ? year : 1 - year;
}

const wordFields = /^(?:MONTH|MON|DAY|DY|AM|PM|A\.M\.|P\.M\.|AD|BC|A\.D\.|B\.C\.|RM|TZ)$/i;

function formatMoment(template: string, m: Moment): string {
  let result = "";
  for (const field of readTemplate(template)) {
    if (field.literal) {
      result += field.text;
      continue;
    }
    const text = fieldText(field, m);
    const withOrdinal = field.ordinal !== "" && !wordFields.test(field.text);
    result += withOrdinal ? text + ordinalSuffix(text, field.ordinal === "TH") : text;
  }
  return result;
}

function momentOf(local: Wide, offset: number | undefined, zoneName: string): Moment {
  const days = dt.dayOfTimestamp(local);
  const time = dt.timeOfTimestamp(local, days);
  const seconds = Math.floor(time / 1e6);
  return {
    ...dt.civilFromDays(days),
    days,
    hour: Math.floor(seconds / 3600),
    minute: Math.floor(seconds / 60) % 60,
    second: seconds % 60,
    micros: time - seconds * 1e6,
    isInterval: false,
    offset,
    zoneName,
  };
}

define("to_char(timestamp,text)", (_: EvalContext, value: Wide, template: string) => {
  if (template === "" || !dt.isFiniteTime(value)) return null;
  return formatMoment(template, momentOf(value, undefined, ""));
});
define("to_char(timestamptz,text)", (context: EvalContext, value: Wide, template: string) => {
  if (template === "" || !dt.isFiniteTime(value)) return null;
  const zone = dt.zoneOf(context);
  const seconds = floorDivide(value, 1e6);
  const offset = zone.offsetAt(seconds);
  const local = wideAdd(value, offset * 1e6);
  return formatMoment(template, momentOf(local, offset, zone.abbreviationAt(seconds)));
});
define("to_char(interval,text)", (_: EvalContext, value: Interval, template: string) => {
  if (template === "") return null;
  const parts = intervalParts(value);
  return formatMoment(template, {
    year: parts.years,
    month: parts.months,
    day: parts.days,
    days: 0,
    hour: parts.hours,
    minute: parts.minutes,
    second: parts.seconds,
    micros: parts.micros,
    isInterval: true,
    offset: undefined,
    zoneName: "",
  });
});

// Dates: input ------------------------------------------------------------------------------------------------------

interface Parsed {
  year: number | undefined;
  century: number | undefined;
  month: number | undefined;
  day: number | undefined;
  dayOfYear: number | undefined;
  isoYear: number | undefined;
  isoWeek: number | undefined;
  isoDay: number | undefined;
  week: number | undefined;
  julian: number | undefined;
  hour: number;
  twelve: boolean;
  pm: boolean | undefined;
  minute: number;
  second: number;
  micros: number;
  daySeconds: number | undefined;
  bc: boolean;
  zone: number | undefined;
}

class MomentParser {
  private at = 0;
  readonly parsed: Parsed = {
    year: undefined,
    century: undefined,
    month: undefined,
    day: undefined,
    dayOfYear: undefined,
    isoYear: undefined,
    isoWeek: undefined,
    isoDay: undefined,
    week: undefined,
    julian: undefined,
    hour: 0,
    twelve: false,
    pm: undefined,
    minute: 0,
    second: 0,
    micros: 0,
    daySeconds: undefined,
    bc: false,
    zone: undefined,
  };
  constructor(
    private readonly text: string,
    private readonly fields: readonly Field[],
  ) {}

  private skipBlanks(): void {
    while (/\s/.test(this.text[this.at] ?? "")) this.at++;
  }

  private number(field: Field, width: number, next: Field | undefined): { value: number; digits: number } {
    this.skipBlanks();
    // Without a separator behind it a field takes its own width; otherwise as many digits as there are.
    const bounded = next !== undefined && !next.literal;
    const pattern = bounded ? new RegExp(`[+-]?[0-9]{1,${width}}`, "y") : /[+-]?[0-9]+/y;
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (match === null) {
      const shown = this.text.slice(this.at, this.at + width);
      if (shown === "") return { value: Number.NaN, digits: 0 };
      throw new DbError("invalidDatetimeFormat", `invalid value "${shown}" for "${field.text}"`, {
        detail: "Value must be an integer.",
      });
    }
    this.at = pattern.lastIndex;
    return { value: Number(match[0]), digits: match[0].replace(/[+-]/, "").length };
  }

  private word(field: Field, words: readonly string[], minimum: number): number {
    this.skipBlanks();
    const rest = this.text.slice(this.at).toLowerCase();
    let best = -1;
    let length = 0;
    words.forEach((word, at) => {
      const lower = word.toLowerCase();
      if (rest.startsWith(lower) && lower.length > length) {
        best = at;
        length = lower.length;
      }
    });
    if (best < 0) {
      const shown = this.text.slice(this.at, this.at + Math.max(minimum, 3));
      throw new DbError("invalidDatetimeFormat", `invalid value "${shown}" for "${field.text}"`, {
        detail: "The given value did not match any of the allowed values for this field.",
      });
    }
    this.at += length;
    return best;
  }

  parse(): Parsed {
    for (let index = 0; index < this.fields.length; index++) {
      const field = this.fields[index]!;
      if (field.literal) this.literal(field.text);
      else this.field(field, this.fields[index + 1]);
      if (field.ordinal !== "") this.at += 2;
    }
    return this.parsed;
  }

  /** A separator of the template stands for any one separator of the text, or for blanks. */
  private literal(char: string): void {
    const here = this.text[this.at] ?? "";
    if (/^\s$/.test(char)) {
      this.skipBlanks();
      return;
    }
    if (/^[^A-Za-z0-9]$/.test(char)) {
      this.skipBlanks();
      if (/[^A-Za-z0-9+-]/.test(this.text[this.at] ?? "") || this.text[this.at] === char) this.at++;
      return;
    }
    if (here !== "") this.at += char.length;
  }

  private field(field: Field, next: Field | undefined): void {
    const p = this.parsed;
    const take = (width: number): number => this.number(field, width, next).value;
    const upper = field.text.toUpperCase();
    switch (upper) {
      case "HH24":
        p.hour = take(2) || 0;
        return;
      case "HH":
      case "HH12":
        p.hour = take(2) || 0;
        p.twelve = true;
        if (p.hour < 1 || p.hour > 12) {
          throw new DbError("invalidDatetimeFormat", `hour "${p.hour}" is invalid for the 12-hour clock`, {
            hint: "Use the 24-hour clock, or give an hour between 1 and 12.",
          });
        }
        return;
      case "MI":
        p.minute = take(2) || 0;
        return;
      case "SS":
        p.second = take(2) || 0;
        return;
      case "MS":
      case "US":
      case "FF1":
      case "FF2":
      case "FF3":
      case "FF4":
      case "FF5":
      case "FF6": {
        const width = upper === "MS" ? 3 : upper === "US" ? 6 : Number(upper[2]);
        const { value, digits } = this.number(field, width, next);
        if (digits > 0) p.micros = Math.round(value * 10 ** (6 - Math.min(digits, 6)));
        return;
      }
      case "SSSS":
      case "SSSSS":
        p.daySeconds = take(5) || 0;
        return;
      case "AM":
      case "PM":
        p.pm = this.word(field, ["am", "pm"], 2) === 1;
        p.twelve = true;
        return;
      case "A.M.":
      case "P.M.":
        p.pm = this.word(field, ["a.m.", "p.m."], 4) === 1;
        p.twelve = true;
        return;
      case "AD":
      case "BC":
        p.bc = this.word(field, ["ad", "bc"], 2) === 1;
        return;
      case "A.D.":
      case "B.C.":
        p.bc = this.word(field, ["a.d.", "b.c."], 4) === 1;
        return;
      case "MONTH":
        p.month = this.word(field, dt.monthNames, 3) + 1;
        return;
      case "MON":
        p.month =
          this.word(
            field,
            dt.monthNames.map((name) => name.slice(0, 3)),
            3,
          ) + 1;
        return;
      case "MM":
        p.month = take(2);
        return;
      case "DAY":
        this.word(field, dt.dayNames, 3);
        return;
      case "DY":
        this.word(
          field,
          dt.dayNames.map((name) => name.slice(0, 3)),
          3,
        );
        return;
      case "DDD":
        p.dayOfYear = take(3);
        return;
      case "IDDD":
        p.dayOfYear = take(3);
        return;
      case "DD":
        p.day = take(2);
        return;
      case "D":
        take(1);
        return;
      case "ID":
        p.isoDay = take(1);
        return;
      case "WW":
        p.week = take(2);
        return;
      case "IW":
        p.isoWeek = take(2);
        return;
      case "W":
      case "Q":
        take(1);
        return;
      case "CC":
        p.century = take(2);
        return;
      case "Y,YYY": {
        this.skipBlanks();
        const match = /^([0-9]+),([0-9]{3})/.exec(this.text.slice(this.at));
        if (match === null) {
          throw new DbError("invalidDatetimeFormat", `invalid input string for "Y,YYY"`);
        }
        this.at += match[0].length;
        p.year = Number(match[1]) * 1000 + Number(match[2]);
        return;
      }
      case "YYYY":
        p.year = take(4);
        return;
      case "IYYY":
        p.isoYear = take(4);
        return;
      case "YYY":
      case "YY":
      case "Y": {
        const { value, digits } = this.number(field, upper.length, next);
        p.year = digits < 4 ? adjustYear(value, digits) : value;
        return;
      }
      case "IYY":
      case "IY":
      case "I": {
        const { value, digits } = this.number(field, upper.length, next);
        p.isoYear = digits < 4 ? adjustYear(value, digits) : value;
        return;
      }
      case "RM": {
        const reversed = [...romanMonths].map((name, at) => ({ name, at }));
        const index = this.word(
          field,
          reversed.map((entry) => entry.name),
          1,
        );
        p.month = index + 1;
        return;
      }
      case "J":
        p.julian = take(7);
        return;
      case "TZH": {
        this.skipBlanks();
        const negative = this.text[this.at] === "-";
        const hours = Math.abs(take(2));
        p.zone = (negative ? -1 : 1) * hours * 3600;
        return;
      }
      case "TZM": {
        const minutes = take(2) || 0;
        p.zone = (p.zone ?? 0) + ((p.zone ?? 0) < 0 ? -1 : 1) * minutes * 60;
        return;
      }
      case "TZ": {
        const word = /^[A-Za-z]+/.exec(this.text.slice(this.at))?.[0] ?? "";
        const offset = abbreviationOffset(word);
        if (offset === undefined) throw notSupported('formatting field "TZ" in to_timestamp');
        p.zone = offset;
        this.at += word.length;
        return;
      }
      default:
        throw new DbError(
          "featureNotSupported",
          `formatting field "${field.text}" is only supported in to_char`,
        );
    }
  }
}

/** Years of one to three digits are near 2020. */
function adjustYear(value: number, digits: number): number {
  if (digits <= 2 ? value < 70 : value < 520) return value + 2000;
  return value + (digits <= 2 ? 1900 : 1000);
}

function outOfRange(text: string): DbError {
  return dt.fieldOverflow(text);
}

/** Days and time of what a template read; years default to 1 AD as PostgreSQL's 0001-01-01. */
function resolveMoment(p: Parsed, text: string): { days: number; time: number } {
  let days: number;
  if (p.julian !== undefined) days = p.julian - dt.julianEpoch;
  else if (p.isoYear !== undefined) {
    const start = dt.isoWeekStart(p.isoYear);
    days = start + ((p.isoWeek ?? 1) - 1) * 7 + (p.isoDay ?? 1) - 1;
    if (p.dayOfYear !== undefined) days = start + p.dayOfYear - 1;
  } else {
    let year = p.year;
    if (year === undefined && p.century !== undefined) year = p.century * 100 - 99;
    else if (year !== undefined && p.century !== undefined && year < 100) year += p.century * 100 - 100;
    if (year === undefined) year = 0;
    if (p.bc && year > 0) year = 1 - year;
    else if (year < 0) year += 1;
    if (p.dayOfYear !== undefined) {
      const limit = dt.isLeapYear(year) ? 366 : 365;
      if (p.dayOfYear < 1 || p.dayOfYear > limit) throw outOfRange(text);
      days = dt.daysFromCivil(year, 1, 1) + p.dayOfYear - 1;
    } else if (p.week !== undefined) days = dt.daysFromCivil(year, 1, 1) + (p.week - 1) * 7;
    else {
      const month = p.month ?? 1;
      const day = p.day ?? 1;
      if (!(month >= 1 && month <= 12)) throw outOfRange(text);
      if (!(day >= 1 && day <= dt.daysInMonth(year, month))) throw outOfRange(text);
      days = dt.daysFromCivil(year, month, day);
    }
  }
  let hour = p.hour;
  if (p.twelve) {
    if (hour < 1 || hour > 12) hour = 12;
    if (p.pm === true && hour < 12) hour += 12;
    else if (p.pm !== true && hour === 12) hour = 0;
  }
  if (hour < 0 || hour > 23 || p.minute < 0 || p.minute > 59 || p.second < 0 || p.second > 59)
    throw outOfRange(text);
  const seconds = p.daySeconds ?? (hour * 60 + p.minute) * 60 + p.second;
  if (seconds >= 86400) throw outOfRange(text);
  return { days, time: seconds * 1e6 + p.micros };
}

define("to_date(text,text)", (_: EvalContext, text: string, template: string) => {
  const { days } = resolveMoment(new MomentParser(text, readTemplate(template)).parse(), text);
  if (!dt.isValidDate(days)) throw new DbError("datetimeFieldOverflow", `date out of range: "${text}"`);
  return days;
});
define("to_timestamp(text,text)", (context: EvalContext, text: string, template: string) => {
  const parsed = new MomentParser(text, readTemplate(template)).parse();
  const { days, time } = resolveMoment(parsed, text);
  const local = dt.timestampOf(days, time);
  return parsed.zone === undefined ? dt.toUtc(local, dt.zoneOf(context)) : wideAdd(local, -parsed.zone * 1e6);
});

// Numbers -----------------------------------------------------------------------------------------------------------

type NumberField =
  | "9"
  | "0"
  | "."
  | ","
  | "MI"
  | "PL"
  | "SG"
  | "S"
  | "PR"
  | "L"
  | "TH"
  | "th"
  | "V"
  | "EEEE"
  | "RN"
  | "rn"
  | "B";

interface NumberTemplate {
  readonly fields: readonly { readonly field: NumberField | ""; readonly literal: string }[];
  readonly fill: boolean;
  /** Digits before and after the point (or V). */
  readonly before: number;
  readonly after: number;
  readonly scaleBy: number;
  /** Position among the digits of the first 0; -1 for none. */
  readonly firstZero: number;
  /** Last position behind the point that is a 0, which keeps its digit under FM. */
  readonly lastZeroAfter: number;
  readonly sign: "" | "S" | "MI" | "PL" | "SG" | "PR";
  readonly signLeads: boolean;
  readonly exponent: boolean;
  readonly roman: "" | "RN" | "rn";
  readonly blankZero: boolean;
}

const numberTemplates = new Map<string, NumberTemplate>();

function readNumberTemplate(template: string): NumberTemplate {
  const known = numberTemplates.get(template);
  if (known !== undefined) return known;
  const fields: { field: NumberField | ""; literal: string }[] = [];
  let fill = true;
  let before = 0;
  let after = 0;
  let scaleBy = 0;
  let firstZero = -1;
  let lastZeroAfter = 0;
  let sign: NumberTemplate["sign"] = "";
  let signLeads = false;
  let exponent = false;
  let roman: "" | "RN" | "rn" = "";
  let blankZero = false;
  let point = false;
  let scaled = false;
  const wrong = (message: string): DbError => new DbError("syntaxError", message);
  const names = [
    "EEEE",
    "FM",
    "MI",
    "PL",
    "PR",
    "RN",
    "SG",
    "TH",
    "SP",
    "B",
    "C",
    "D",
    "G",
    "L",
    "S",
    "V",
    "9",
    "0",
    ".",
    ",",
  ];
  let at = 0;
  while (at < template.length) {
    if (template[at] === '"') {
      const end = template.indexOf('"', at + 1);
      fields.push({ field: "", literal: template.slice(at + 1, end < 0 ? undefined : end) });
      at = end < 0 ? template.length : end + 1;
      continue;
    }
    const name = names.find(
      (candidate) => template.slice(at, at + candidate.length).toUpperCase() === candidate,
    );
    if (name === undefined) {
      const char = String.fromCodePoint(template.codePointAt(at)!);
      fields.push({ field: "", literal: char });
      at += char.length;
      continue;
    }
    const written = template.slice(at, at + name.length);
    at += name.length;
    switch (name) {
      case "FM":
        fill = false;
        break;
      case "9":
      case "0":
        if (sign === "PR") throw wrong('"9" must be ahead of "PR"');
        if (scaled) scaleBy++;
        if (point) {
          after++;
          if (name === "0") lastZeroAfter = after;
        } else {
          if (name === "0" && firstZero < 0) firstZero = before;
          before++;
        }
        fields.push({ field: name, literal: "" });
        break;
      case ".":
      case "D":
        if (point) throw wrong("multiple decimal points");
        if (scaled) throw wrong('cannot use "V" and decimal point together');
        point = true;
        fields.push({ field: ".", literal: "" });
        break;
      case ",":
      case "G":
        fields.push({ field: ",", literal: "" });
        break;
      case "S":
      case "SG":
      case "MI":
      case "PL":
      case "PR":
        if (sign === "S" || (sign !== "" && name === "S")) throw wrong('cannot use "S" twice');
        sign = name;
        signLeads = before === 0 && after === 0;
        fields.push({ field: name, literal: "" });
        break;
      case "L":
        fields.push({ field: "L", literal: "" });
        break;
      case "TH":
        fields.push({ field: written === "TH" ? "TH" : "th", literal: "" });
        break;
      case "V":
        scaled = true;
        fields.push({ field: "V", literal: "" });
        break;
      case "EEEE":
        exponent = true;
        fields.push({ field: "EEEE", literal: "" });
        break;
      case "RN":
        roman = written === "RN" ? "RN" : "rn";
        fields.push({ field: roman, literal: "" });
        break;
      case "B":
        blankZero = true;
        break;
      default:
        throw notSupported(`number format ${name}`);
    }
  }
  const made: NumberTemplate = {
    fields,
    fill,
    before,
    after,
    scaleBy,
    firstZero,
    lastZeroAfter,
    sign,
    signLeads,
    exponent,
    roman,
    blankZero,
  };
  if (numberTemplates.size >= templatesMax) numberTemplates.clear();
  numberTemplates.set(template, made);
  return made;
}

function romanNumeral(value: number): string {
  let rest = value;
  let text = "";
  for (const [size, numeral] of [
    [1000, "M"],
    [900, "CM"],
    [500, "D"],
    [400, "CD"],
    [100, "C"],
    [90, "XC"],
    [50, "L"],
    [40, "XL"],
    [10, "X"],
    [9, "IX"],
    [5, "V"],
    [4, "IV"],
    [1, "I"],
  ] as const) {
    while (rest >= size) {
      text += numeral;
      rest -= size;
    }
  }
  return text;
}

function formatNumber(value: Numeric, template: string): string {
  const t = readNumberTemplate(template);
  if (t.roman !== "") {
    const whole = value.special === "" ? Number(exact.roundNumeric(value, 0).coefficient) : 0;
    const text = whole >= 1 && whole <= 3999 ? romanNumeral(whole) : "#".repeat(15);
    const shown = t.roman === "rn" ? text.toLowerCase() : text;
    return t.fill ? shown.padStart(15) : shown;
  }
  if (t.exponent) return formatExponent(value, t);
  const scaledValue =
    t.scaleBy > 0
      ? exact.multiplyNumeric(value, exact.powerNumeric(new Numeric(10, 0), new Numeric(t.scaleBy, 0)))
      : value;
  const rounded = exact.roundNumeric(scaledValue, t.scaleBy > 0 ? 0 : t.after);
  const negative = value.special === "" ? rounded.coefficient < 0 : value.special === "-Infinity";
  const shown = value.special === "" ? exact.formatNumeric(exact.absNumeric(rounded)) : "";
  const [whole, fraction = ""] = shown.split(".") as [string, string | undefined];
  const overflows = value.special !== "" || (whole !== "0" && whole.length > t.before);
  const zeroWhole = whole === "0" && !overflows;
  // Digits right-aligned in their places; a leading "0" field turns on zeros from there.
  const digits: string[] = [];
  for (let place = 0; place < t.before; place++) {
    const at = place - (t.before - whole.length);
    if (overflows) digits.push("#");
    else if (at >= 0 && !(zeroWhole && t.firstZero < 0)) digits.push(whole[at]!);
    else if (t.firstZero >= 0 && place >= t.firstZero) digits.push("0");
    else digits.push(" ");
  }
  let keptAfter = t.after;
  if (!t.fill && !overflows) {
    while (keptAfter > t.lastZeroAfter && fraction[keptAfter - 1] === "0") keptAfter--;
  }
  // A lone zero shows when nothing follows the point.
  if (zeroWhole && t.before > 0 && t.firstZero < 0 && keptAfter === 0) digits[t.before - 1] = "0";
  const firstShown = digits.findIndex((digit) => digit !== " ");
  const signText = negative ? "-" : "+";
  let result = "";
  let place = 0;
  let behind = 0;
  let signDone = t.sign === "MI" || t.sign === "SG";
  const putSign = (): void => {
    if (signDone) return;
    signDone = true;
    if (t.sign === "S") {
      if (t.signLeads) result += signText;
    } else if (t.sign === "PR") result += negative ? "<" : t.fill ? " " : "";
    else result += negative ? "-" : t.fill ? " " : "";
  };
  let inPoint = false;
  for (const { field, literal } of t.fields) {
    switch (field) {
      case "":
        result += literal;
        break;
      case "9":
      case "0":
        if (inPoint) {
          behind++;
          if (overflows) result += "#";
          else if (behind <= keptAfter) result += fraction[behind - 1] ?? "0";
          break;
        }
        if (place === firstShown || (firstShown < 0 && place === t.before - 1 && t.after === 0)) putSign();
        if (digits[place] === " ") result += t.fill ? " " : "";
        else result += digits[place];
        place++;
        break;
      case ".":
        putSign();
        inPoint = true;
        if (t.after > 0) result += ".";
        break;
      case ",":
        if (firstShown >= 0 && place > firstShown) result += ",";
        else if (t.fill) result += " ";
        break;
      case "S":
        if (!t.signLeads) {
          result += signText;
          signDone = true;
        }
        break;
      case "SG":
        result += signText;
        break;
      case "MI":
        result += negative ? "-" : t.fill ? " " : "";
        break;
      case "PL":
        result += negative ? (t.fill ? " " : "") : "+";
        break;
      case "PR":
        result += negative ? ">" : t.fill ? " " : "";
        break;
      case "L":
        result += t.fill ? " " : "";
        break;
      case "TH":
      case "th":
        if (!negative && !overflows && t.after === 0) result += ordinalSuffix(whole, field === "TH");
        break;
      default:
    }
  }
  return result;
}

function formatExponent(value: Numeric, t: NumberTemplate): string {
  if (value.special !== "") return `${t.fill ? " " : ""}${"#".repeat(t.before)}.${"#".repeat(t.after + 4)}`;
  const magnitude = exact.absNumeric(value);
  let digits = String(magnitude.coefficient);
  let exponent = magnitude.coefficient === 0 ? 0 : digits.length - 1 - magnitude.scale;
  const wanted = t.after + 1;
  if (digits.length > wanted) {
    const rounded = exact.roundNumeric(new Numeric(magnitude.coefficient, digits.length - 1), t.after);
    digits = String(rounded.coefficient);
    if (digits.length > wanted) {
      exponent++;
      digits = digits.slice(0, wanted);
    }
  } else digits = digits.padEnd(wanted, "0");
  const sign = value.coefficient < 0 ? "-" : t.sign === "S" ? "+" : t.fill ? " " : "";
  const power = `e${exponent < 0 ? "-" : "+"}${dt.pad2(Math.abs(exponent))}`;
  return `${sign}${digits[0]}${t.after > 0 ? `.${digits.slice(1)}` : ""}${power}`;
}

function numericOf(type: string, value: Value): Numeric {
  if (type === "numeric") return value as Numeric;
  if (type === "float8") return exact.numericFromFloat(value as number, 15);
  if (type === "float4") return exact.numericFromFloat(value as number, 6);
  return new Numeric(value as Wide, 0);
}
for (const type of ["int4", "int8", "float4", "float8", "numeric"] as const) {
  define(`to_char(${type},text)`, (_: EvalContext, value: Value, template: string) =>
    formatNumber(numericOf(type, value), template),
  );
}

define("to_number(text,text)", (_: EvalContext, text: string, template: string) => {
  const t = readNumberTemplate(template);
  if (t.roman !== "") throw new DbError("featureNotSupported", '"RN" not supported for input');
  if (t.exponent) throw new DbError("featureNotSupported", '"EEEE" not supported for input');
  if (template === "") return null;
  let digits = "";
  let negative = false;
  let at = 0;
  let pointSeen = false;
  const skipBlanks = (): void => {
    while (/\s/.test(text[at] ?? "")) at++;
  };
  const readSign = (): void => {
    skipBlanks();
    const char = text[at];
    if (char === "-" || char === "<") {
      negative = true;
      at++;
    } else if (char === "+") at++;
  };
  for (const { field, literal } of t.fields) {
    switch (field) {
      case "9":
      case "0":
        if (digits === "") readSign();
        if (/[0-9]/.test(text[at] ?? "")) digits += text[at++];
        else if (text[at] === "." && !pointSeen) {
          // More places than digits: the point ends the whole part.
        }
        break;
      case ".":
        if (digits === "") readSign();
        while (/[0-9]/.test(text[at] ?? "") === true && text[at] !== ".") break;
        if (text[at] === ".") {
          at++;
          digits += ".";
          pointSeen = true;
        }
        break;
      case ",":
        if (digits === "") readSign();
        if (text[at] === ",") at++;
        break;
      case "S":
      case "SG":
      case "MI":
      case "PL":
      case "PR":
        readSign();
        break;
      case "L":
        if (!/[0-9+-]/.test(text[at] ?? "")) at++;
        break;
      case "TH":
      case "th":
        if (/[A-Za-z]/.test(text[at] ?? "")) at += 2;
        break;
      case "":
        at += literal.length;
        break;
      default:
    }
  }
  const value = exact.parseNumeric(`${negative ? "-" : ""}${digits}`);
  if (t.scaleBy === 0) return value;
  return exact.divideNumeric(value, exact.powerNumeric(new Numeric(10, 0), new Numeric(t.scaleBy, 0)));
});
