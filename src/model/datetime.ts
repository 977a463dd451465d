/**
 * Dates, times and timestamps: calendar arithmetic, text input and output.
 *
 * Invariants: dates are days, timestamps microseconds since 2000-01-01 in the proleptic Gregorian calendar; years are
 * astronomical inside (0 is 1 BC). Ranges are PostgreSQL's: 4713-11-24 BC to 5874897 AD for dates, to 294276 AD for
 * timestamps. Input errors: 22007 (not a date at all), 22008 (field out of range), 22009 and 22023 (zones).
 */
import { DbError } from "../base/errors.js";
import { combine, floorDivide, floorRemainder, wideAdd } from "./int8.js";
import type { IoSettings } from "./io-settings.js";
import { abbreviationOffset, type TimeZone, timeZoneOf, utcZone } from "./timezone.js";
import { TimeTz, type Wide } from "./value.js";

export const microsPerSecond = 1e6;
export const microsPerMinute = 60e6;
export const microsPerHour = 3600e6;
export const microsPerDay = 86400e6;
/** Days from 1970-01-01 to 2000-01-01. */
export const unixEpochDays = 10957;
/** Julian day number of 2000-01-01. */
export const julianEpoch = 2451545;
const minDay = -2451545;
const maxDay = 2147483494 - julianEpoch;
/** First instants in and after the range of timestamps. */
const minTimestamp = -211813488000000000n;
const endTimestamp = 9223371331200000000n;

export interface Civil {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

/** Days since 2000-01-01; months outside 1..12 carry into years. */
export function daysFromCivil(year: number, month: number, day: number): number {
  const shifted = month - 3;
  const y = year + Math.floor(shifted / 12);
  const m = shifted - Math.floor(shifted / 12) * 12;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * m + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146097 + dayOfEra - 730425;
}

export function civilFromDays(days: number): Civil {
  const z = days + 730425;
  const era = Math.floor(z / 146097);
  const dayOfEra = z - era * 146097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36524) - Math.floor(dayOfEra / 146096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const mp = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * mp + 2) / 5) + 1;
  const month = mp < 10 ? mp + 3 : mp - 9;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day };
}

export function isLeapYear(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

const monthLengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

export function daysInMonth(year: number, month: number): number {
  return month === 2 && isLeapYear(year) ? 29 : monthLengths[month - 1]!;
}

export function isValidDate(days: number): boolean {
  return days >= minDay && days < maxDay;
}

export function isValidTimestamp(micros: Wide): boolean {
  return micros >= minTimestamp && micros < endTimestamp;
}

/** Sunday 0 .. Saturday 6. */
export function dayOfWeek(days: number): number {
  const weekday = (days + 6) % 7;
  return weekday < 0 ? weekday + 7 : weekday;
}

export function dayOfYear(date: Civil): number {
  return daysFromCivil(date.year, date.month, date.day) - daysFromCivil(date.year, 1, 1) + 1;
}

/** ISO 8601 week: Monday's weeks, week 1 has 4 January. */
export function isoWeek(days: number): { year: number; week: number } {
  const monday = days - ((dayOfWeek(days) + 6) % 7);
  const year = civilFromDays(monday + 3).year;
  const firstMonday = isoWeekStart(year);
  return { year, week: Math.floor((monday - firstMonday) / 7) + 1 };
}

/** The Monday of week 1. */
export function isoWeekStart(year: number): number {
  const fourth = daysFromCivil(year, 1, 4);
  return fourth - ((dayOfWeek(fourth) + 6) % 7);
}

export function isFiniteTime(value: Wide): boolean {
  return value !== Infinity && value !== -Infinity;
}

export function timestampOutOfRange(): DbError {
  return new DbError("datetimeFieldOverflow", "timestamp out of range");
}

export function dateOutOfRange(): DbError {
  return new DbError("datetimeFieldOverflow", "date out of range");
}

/** Days and microseconds of the day to a timestamp; 22008 outside the range. */
export function timestampOf(days: number, timeMicros: number): Wide {
  if (days < -2451545 || days > 106751992) throw timestampOutOfRange();
  const value = combine(days, microsPerDay, timeMicros);
  if (!isValidTimestamp(value)) throw timestampOutOfRange();
  return value;
}

export function dayOfTimestamp(timestamp: Wide): number {
  return floorDivide(timestamp, microsPerDay);
}

export function timeOfTimestamp(timestamp: Wide, day: number): number {
  return floorRemainder(timestamp, microsPerDay, day);
}

/** The session's zone. Settings are checked when set, so an unknown name here is UTC's. */
export function zoneOf(settings: { readonly timeZone: string }): TimeZone {
  return timeZoneOf(settings.timeZone) ?? utcZone;
}

/** UTC instant to wall-clock timestamp. */
export function toLocal(timestamp: Wide, zone: TimeZone): Wide {
  if (!isFiniteTime(timestamp)) return timestamp;
  const offset = zone.offsetAt(floorDivide(timestamp, microsPerSecond));
  return offset === 0 ? timestamp : wideAdd(timestamp, offset * microsPerSecond);
}

/** Wall-clock timestamp to UTC instant; 22008 when that leaves the range. */
export function toUtc(local: Wide, zone: TimeZone): Wide {
  if (!isFiniteTime(local)) return local;
  const offset = zone.offsetAtLocal(floorDivide(local, microsPerSecond));
  const result = offset === 0 ? local : wideAdd(local, -offset * microsPerSecond);
  if (!isValidTimestamp(result)) throw timestampOutOfRange();
  return result;
}

// Output ------------------------------------------------------------------------------------------------------------

export type DateOrder = "MDY" | "DMY" | "YMD";
export type DateFormat = "ISO" | "SQL" | "Postgres" | "German";

let lastStyleText = "";
let lastStyle: { format: DateFormat; order: DateOrder } = { format: "ISO", order: "MDY" };

/** DateStyle as shown ("ISO, MDY") split into its parts. The last one is remembered: output asks per value. */
export function dateStyleOf(text: string): { readonly format: DateFormat; readonly order: DateOrder } {
  if (text === lastStyleText) return lastStyle;
  const lower = text.toLowerCase();
  const format = lower.includes("german")
    ? "German"
    : lower.includes("sql")
      ? "SQL"
      : lower.includes("postgres")
        ? "Postgres"
        : "ISO";
  const order = lower.includes("dmy") ? "DMY" : lower.includes("ymd") ? "YMD" : "MDY";
  lastStyleText = text;
  lastStyle = { format, order };
  return lastStyle;
}

export function pad2(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

function pad4(value: number): string {
  return value > 999 ? String(value) : String(value).padStart(4, "0");
}

/** .ffffff without trailing zeros; empty for none. */
function fractionText(micros: number): string {
  if (micros === 0) return "";
  let text = String(micros).padStart(6, "0");
  while (text.endsWith("0")) text = text.slice(0, -1);
  return `.${text}`;
}

/** HH:MM:SS[.ffffff] of microseconds since midnight (24:00:00 included). */
export function formatTime(micros: number): string {
  const seconds = Math.floor(micros / microsPerSecond);
  const hour = Math.floor(seconds / 3600);
  const minute = Math.floor(seconds / 60) % 60;
  return `${pad2(hour)}:${pad2(minute)}:${pad2(seconds % 60)}${fractionText(micros - seconds * microsPerSecond)}`;
}

/** +HH[:MM[:SS]] of seconds east. */
export function formatOffset(seconds: number): string {
  const magnitude = Math.abs(seconds);
  let text = `${seconds < 0 ? "-" : "+"}${pad2(Math.floor(magnitude / 3600))}`;
  if (magnitude % 3600 !== 0) text += `:${pad2(Math.floor(magnitude / 60) % 60)}`;
  if (magnitude % 60 !== 0) text += `:${pad2(magnitude % 60)}`;
  return text;
}

function dateText(date: Civil, settings: { readonly dateStyle: string }): string {
  const { format, order } = dateStyleOf(settings.dateStyle);
  const year = pad4(date.year > 0 ? date.year : 1 - date.year);
  const month = pad2(date.month);
  const day = pad2(date.day);
  if (format === "ISO") return `${year}-${month}-${day}`;
  if (format === "German") return `${day}.${month}.${year}`;
  const separator = format === "SQL" ? "/" : "-";
  return order === "DMY"
    ? `${day}${separator}${month}${separator}${year}`
    : format === "Postgres" && order === "YMD"
      ? `${year}-${month}-${day}`
      : `${month}${separator}${day}${separator}${year}`;
}

export function formatDate(days: number, settings: { readonly dateStyle: string }): string {
  if (!isFiniteTime(days)) return days > 0 ? "infinity" : "-infinity";
  const date = civilFromDays(days);
  return date.year > 0 ? dateText(date, settings) : `${dateText(date, settings)} BC`;
}

export const dayNames = [
  "Sunday",
  "Monday",
  "Tuesday",
  "Wednesday",
  "Thursday",
  "Friday",
  "Saturday",
] as const;
export const monthNames = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
] as const;

/** `offset`: seconds east, with the zone's abbreviation for the styles that show it; undefined without zone. */
function formatMoment(
  local: Wide,
  settings: { readonly dateStyle: string },
  offset: number | undefined,
  abbreviation: () => string,
): string {
  const days = dayOfTimestamp(local);
  const time = timeOfTimestamp(local, days);
  const date = civilFromDays(days);
  const { format, order } = dateStyleOf(settings.dateStyle);
  const era = date.year > 0 ? "" : " BC";
  if (format === "ISO") {
    const zone = offset === undefined ? "" : formatOffset(offset);
    return `${dateText(date, settings)} ${formatTime(time)}${zone}${era}`;
  }
  const zone = offset === undefined ? "" : ` ${abbreviation()}`;
  if (format === "Postgres") {
    const weekday = dayNames[dayOfWeek(days)]!.slice(0, 3);
    const month = monthNames[date.month - 1]!.slice(0, 3);
    const dayMonth = order === "DMY" ? `${pad2(date.day)} ${month}` : `${month} ${pad2(date.day)}`;
    const year = pad4(date.year > 0 ? date.year : 1 - date.year);
    return `${weekday} ${dayMonth} ${formatTime(time)} ${year}${zone}${era}`;
  }
  return `${dateText(date, settings)} ${formatTime(time)}${zone}${era}`;
}

const noAbbreviation = (): string => "";

export function formatTimestamp(timestamp: Wide, settings: { readonly dateStyle: string }): string {
  if (!isFiniteTime(timestamp)) return timestamp > 0 ? "infinity" : "-infinity";
  return formatMoment(timestamp, settings, undefined, noAbbreviation);
}

export function formatTimestampTz(
  timestamp: Wide,
  settings: { readonly dateStyle: string; readonly timeZone: string },
): string {
  if (!isFiniteTime(timestamp)) return timestamp > 0 ? "infinity" : "-infinity";
  const zone = zoneOf(settings);
  const seconds = floorDivide(timestamp, microsPerSecond);
  const offset = zone.offsetAt(seconds);
  const local = offset === 0 ? timestamp : wideAdd(timestamp, offset * microsPerSecond);
  return formatMoment(local, settings, offset, () => zone.abbreviationAt(seconds));
}

export function formatTimeTz(value: TimeTz): string {
  return formatTime(value.micros) + formatOffset(-value.zoneSeconds);
}

// Input -------------------------------------------------------------------------------------------------------------

const monthByName = new Map<string, number>();
for (let month = 0; month < 12; month++) {
  const name = monthNames[month]!.toLowerCase();
  monthByName.set(name, month + 1);
  monthByName.set(name.slice(0, 3), month + 1);
}
monthByName.set("sept", 9);

const ignoredWords = new Set(["at", "on", "dst"]);
for (const name of dayNames) {
  ignoredWords.add(name.toLowerCase());
  ignoredWords.add(name.toLowerCase().slice(0, 3));
}
for (const name of ["tues", "wednes", "weds", "thur", "thurs"]) ignoredWords.add(name);

export type DateTimeType = "date" | "time" | "time with time zone" | "timestamp" | "timestamp with time zone";

export function badFormat(text: string, type: string): DbError {
  return new DbError("invalidDatetimeFormat", `invalid input syntax for type ${type}: "${text}"`);
}

export function fieldOverflow(text: string, hint = false): DbError {
  return new DbError(
    "datetimeFieldOverflow",
    `date/time field value out of range: "${text}"`,
    hint ? { hint: 'Perhaps you need a different "datestyle" setting.' } : {},
  );
}

interface Moment {
  special?: "infinity" | "-infinity" | "epoch" | "now" | "today" | "tomorrow" | "yesterday" | undefined;
  year?: number | undefined;
  month?: number | undefined;
  day?: number | undefined;
  /** Microseconds since midnight. */
  time?: number | undefined;
  /** Seconds east, or a zone whose rules decide. */
  zone?: number | TimeZone | undefined;
}

type Token = { readonly kind: "number" | "date" | "time" | "word" | "zone"; readonly text: string };

/** Fields of a date/time text. Long texts are refused: no valid one is longer than PostgreSQL's 128 bytes of fields. */
function tokenize(text: string, type: DateTimeType): Token[] {
  if (text.length > 256) throw badFormat(text, type);
  const tokens: Token[] = [];
  const pattern =
    /[ \t\n\v\f\r]+|([0-9]+:[0-9:.]*)|([0-9]+[-/.][A-Za-z0-9]+(?:[-/.][A-Za-z0-9]+)?(?:\.[0-9]*)?)|([0-9]+\.?[0-9]*)|([A-Za-z]+(?:[0-9]*[-/+][A-Za-z0-9_]+)+[0-9:]*|[A-Za-z]+)|([+-][ ]*[0-9][0-9:]*(?:\.[0-9]+)?)|([+-][ ]*[A-Za-z]+)|(<[^>]*>[+-]?[0-9:]+)|([,;()'"|.])/gy;
  // A date with its time glued on by T (ISO 8601) ends before the T.
  const isoDate = /[0-9]+([-/.])[0-9]+\1[0-9]+(?=[tT][0-9])/y;
  let at = 0;
  while (at < text.length) {
    isoDate.lastIndex = at;
    const iso = isoDate.exec(text);
    if (iso !== null) {
      tokens.push({ kind: "date", text: iso[0] });
      at = isoDate.lastIndex;
      continue;
    }
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) throw badFormat(text, type);
    at = pattern.lastIndex;
    if (match[1] !== undefined) tokens.push({ kind: "time", text: match[1] });
    else if (match[2] !== undefined) pushDashed(tokens, match[2]);
    else if (match[3] !== undefined) tokens.push({ kind: "number", text: match[3] });
    else if (match[4] !== undefined) tokens.push({ kind: "word", text: match[4].toLowerCase() });
    else if (match[5] !== undefined) tokens.push({ kind: "zone", text: match[5].replaceAll(" ", "") });
    else if (match[6] !== undefined)
      tokens.push({ kind: "word", text: match[6].replaceAll(" ", "").toLowerCase() });
    else if (match[7] !== undefined) tokens.push({ kind: "word", text: match[7] });
    if (tokens.length > 25) throw badFormat(text, type);
  }
  return tokens;
}

/** A dashed run may be a date (2001-02-03), a date with a glued T-time, or a number with a fraction (123.45). */
function pushDashed(tokens: Token[], text: string): void {
  if (/^[0-9]+\.[0-9]*$/.test(text)) {
    tokens.push({ kind: "number", text });
    return;
  }
  tokens.push({ kind: "date", text });
}

class MomentReader {
  readonly moment: Moment = {};
  private beforeChrist = false;
  private meridiem: "am" | "pm" | undefined;
  private textMonth = false;
  private twoDigitYear = false;
  private julian = false;
  private expectTime = false;

  constructor(
    private readonly text: string,
    private readonly type: DateTimeType,
    private readonly order: DateOrder,
  ) {}

  private bad(): DbError {
    return badFormat(this.text, this.type);
  }

  read(): Moment {
    const tokens = tokenize(this.text, this.type);
    if (tokens.length === 0) throw this.bad();
    for (let at = 0; at < tokens.length; at++) {
      const token = tokens[at]!;
      if (token.kind === "time") this.readTime(token.text, tokens[at + 1]?.text);
      else if (token.kind === "date") this.readDate(token.text);
      else if (token.kind === "number") this.readNumber(token.text);
      else if (token.kind === "zone") this.readZone(token.text);
      else at = this.readWord(tokens, at);
    }
    return this.finish();
  }

  private readTime(text: string, next: string | undefined): void {
    if (this.moment.time !== undefined) throw this.bad();
    const match = /^([0-9]+):([0-9]+)(?::([0-9]+)(?:\.([0-9]*))?)?(\.[0-9]*)?$/.exec(text);
    if (match === null) throw this.bad();
    let hour = Number(match[1]);
    let minute = Number(match[2]);
    let second = Number(match[3] ?? 0);
    let fraction = match[4] ?? "";
    if (match[5] !== undefined) {
      if (match[3] !== undefined) throw this.bad();
      [hour, minute, second, fraction] = [0, hour, minute, match[5].slice(1)];
    }
    const afternoon = next === "pm" || next === "am";
    if (hour > 24 || minute > 59 || second > 60 || (afternoon && hour > 12)) throw fieldOverflow(this.text);
    const micros = fraction === "" ? 0 : Math.round(Number(`0.${fraction}`) * 1e6);
    if (hour === 24 && (minute > 0 || second > 0 || micros > 0)) throw fieldOverflow(this.text);
    this.moment.time = ((hour * 60 + minute) * 60 + second) * microsPerSecond + micros;
    if (this.moment.time > microsPerDay) throw fieldOverflow(this.text);
    this.expectTime = false;
  }

  private readDate(text: string): void {
    const parts = text.split(/[-/.]/).filter((part) => part !== "");
    if (this.moment.day !== undefined && this.moment.month !== undefined) throw this.bad();
    // Year and day of the year: 1999.008
    if (parts.length === 2 && /^[0-9]+\.[0-9]{3}$/.test(text)) {
      this.moment.year = Number(parts[0]);
      this.setDayOfYear(Number(parts[1]));
      return;
    }
    if (parts.length < 2 || parts.length > 3) throw this.bad();
    const numbers: string[] = [];
    for (const part of parts) {
      const month = monthByName.get(part.toLowerCase());
      if (month !== undefined) {
        if (this.textMonth) throw this.bad();
        this.moment.month = month;
        this.textMonth = true;
      } else if (/^[0-9]+$/.test(part)) numbers.push(part);
      else {
        const mixed = /^([0-9]+)([A-Za-z]+)([0-9]*)$/.exec(part);
        const month = mixed === null ? undefined : monthByName.get(mixed[2]!.toLowerCase());
        if (month === undefined) throw this.bad();
        numbers.push(mixed![1]!);
        this.moment.month = month;
        this.textMonth = true;
        if (mixed![3] !== "") numbers.push(mixed![3]!);
      }
    }
    for (const number of numbers) this.placeNumber(number);
  }

  private setDayOfYear(day: number): void {
    if (day < 1 || day > 366) throw fieldOverflow(this.text);
    const date = civilFromDays(daysFromCivil(this.moment.year!, 1, 1) + day - 1);
    this.moment.month = date.month;
    this.moment.day = date.day;
  }

  /** A bare number of a date goes where the fields seen so far and the date order say. */
  private placeNumber(text: string): void {
    const moment = this.moment;
    const value = Number(text);
    const year = (): void => {
      if (moment.year !== undefined) throw this.bad();
      moment.year = value;
      this.twoDigitYear = text.length <= 2;
    };
    if (
      text.length === 3 &&
      moment.year !== undefined &&
      moment.month === undefined &&
      moment.day === undefined
    ) {
      this.setDayOfYear(value);
    } else if (moment.year === undefined && moment.month === undefined && moment.day === undefined) {
      if (text.length >= 3 || this.order === "YMD") year();
      else if (this.order === "DMY") moment.day = value;
      else moment.month = value;
    } else if (moment.year !== undefined && moment.month === undefined && moment.day === undefined) {
      moment.month = value;
    } else if (moment.month !== undefined && moment.day === undefined && moment.year === undefined) {
      if (this.textMonth) {
        if (text.length >= 3 || this.order === "YMD") year();
        else moment.day = value;
      } else moment.day = value;
    } else if (moment.day !== undefined && moment.month === undefined) {
      if (moment.year === undefined && this.order !== "DMY") throw this.bad();
      moment.month = value;
    } else if (moment.year !== undefined && moment.month !== undefined && moment.day === undefined) {
      if (this.textMonth && text.length >= 3 && this.twoDigitYear) {
        moment.day = moment.year;
        moment.year = undefined;
        year();
      } else moment.day = value;
    } else if (moment.month !== undefined && moment.day !== undefined && moment.year === undefined) year();
    else throw this.bad();
  }

  private readNumber(text: string): void {
    const moment = this.moment;
    const [whole, fraction] = text.split(".") as [string, string | undefined];
    const haveDate = moment.day !== undefined && moment.month !== undefined && moment.year !== undefined;
    if (this.julian) {
      const date = civilFromDays(Number(whole) - julianEpoch);
      moment.year = date.year;
      moment.month = date.month;
      moment.day = date.day;
      if (fraction !== undefined && fraction !== "") {
        moment.time = Math.round(Number(`0.${fraction}`) * microsPerDay);
      }
      this.julian = false;
      return;
    }
    if (this.expectTime || haveDate || this.type === "time" || this.type === "time with time zone") {
      if (
        moment.time === undefined &&
        (whole.length === 6 || whole.length === 4 || (this.expectTime && whole.length === 2))
      ) {
        const padded = whole.padEnd(6, "0");
        this.readTime(
          `${padded.slice(0, 2)}:${padded.slice(2, 4)}:${padded.slice(4)}${fraction === undefined ? "" : `.${fraction}`}`,
          undefined,
        );
        return;
      }
    }
    const nothing = moment.day === undefined && moment.month === undefined && moment.year === undefined;
    if (fraction !== undefined) {
      // Year and day of the year: 1999.008
      if (!nothing || whole.length < 4 || fraction.length !== 3) throw this.bad();
      moment.year = Number(whole);
      this.setDayOfYear(Number(fraction));
      return;
    }
    if (nothing && whole.length >= 8) {
      moment.year = Number(whole.slice(0, -4));
      moment.month = Number(whole.slice(-4, -2));
      moment.day = Number(whole.slice(-2));
      return;
    }
    if (nothing && whole.length === 6) {
      moment.year = Number(whole.slice(0, 2));
      this.twoDigitYear = true;
      moment.month = Number(whole.slice(2, 4));
      moment.day = Number(whole.slice(4));
      return;
    }
    if (haveDate) throw this.bad();
    this.placeNumber(whole);
  }

  private readZone(text: string): void {
    const match = /^([+-])([0-9]+)(?::([0-9]+))?(?::([0-9]+))?$/.exec(text);
    // "1999-01-08-5": the sign of a date's part never reaches here, so this is a displacement.
    if (match === null) throw this.bad();
    let hours = Number(match[2]);
    let minutes = Number(match[3] ?? 0);
    const seconds = Number(match[4] ?? 0);
    if (match[3] === undefined && match[2]!.length > 2) {
      minutes = hours % 100;
      hours = Math.floor(hours / 100);
    }
    if (hours > 15 || minutes > 59 || seconds > 59) {
      throw new DbError(
        "invalidTimeZoneDisplacementValue",
        `time zone displacement out of range: "${this.text}"`,
      );
    }
    const east = (hours * 60 + minutes) * 60 + seconds;
    const signed = match[1] === "-" ? -east : east;
    if (typeof this.moment.zone === "number" && this.moment.zone === 0 && this.posixPrefix) {
      this.moment.zone = -signed + 0; // GMT+3 counts westward
      this.posixPrefix = false;
      return;
    }
    if (this.moment.zone !== undefined) throw this.bad();
    this.moment.zone = signed + 0;
  }
  private posixPrefix = false;

  private readWord(tokens: readonly Token[], at: number): number {
    const word = tokens[at]!.text;
    const moment = this.moment;
    // Jan-08-1999: a date that begins with its month.
    const dashed = /^([a-z]+)[-/]/.exec(word);
    if (dashed !== null && monthByName.has(dashed[1]!)) {
      this.readDate(word);
      return at;
    }
    const month = monthByName.get(word);
    if (month !== undefined) {
      if (moment.month !== undefined && !this.textMonth && moment.day === undefined)
        moment.day = moment.month;
      else if (moment.month !== undefined) throw this.bad();
      moment.month = month;
      this.textMonth = true;
      return at;
    }
    switch (word) {
      case "infinity":
      case "+infinity":
      case "-infinity":
        if (tokens.length !== 1) throw this.bad();
        moment.special = word === "-infinity" ? "-infinity" : "infinity";
        return at;
      case "epoch":
      case "now":
      case "today":
      case "tomorrow":
      case "yesterday":
        if (moment.special !== undefined) throw this.bad();
        moment.special = word;
        return at;
      case "allballs":
        moment.time = 0;
        moment.zone = 0;
        return at;
      case "am":
      case "pm":
        this.meridiem = word;
        return at;
      case "bc":
      case "ad":
        this.beforeChrist = word === "bc";
        return at;
      case "t":
        this.expectTime = true;
        return at;
      case "j":
      case "jd":
      case "julian":
        this.julian = true;
        return at;
      default:
    }
    if (ignoredWords.has(word)) return at;
    const julian = /^j([0-9]+)$/.exec(word);
    if (julian !== null) {
      this.julian = true;
      this.readNumber(julian[1]!);
      return at;
    }
    if (moment.zone !== undefined) throw this.bad();
    const offset = abbreviationOffset(word);
    if (offset !== undefined) {
      moment.zone = offset;
      this.posixPrefix = true;
      return at;
    }
    // Word and digits belong together in names such as EST5EDT or America/New_York.
    let name = word;
    let end = at;
    while (
      tokens[end + 1] !== undefined &&
      tokens[end]!.kind === "word" &&
      /^[a-z]+$/.test(word) &&
      end === at
    ) {
      const following = tokens[end + 1]!;
      if (following.kind !== "number" || !/^[0-9]{1,2}$/.test(following.text)) break;
      const rest = tokens[end + 2];
      name = word + following.text + (rest?.kind === "word" ? rest.text : "");
      end += rest?.kind === "word" ? 2 : 1;
    }
    const zone = timeZoneOf(name);
    if (zone !== undefined) {
      moment.zone = zone;
      return end;
    }
    if (/[/]/.test(word)) throw new DbError("invalidParameterValue", `time zone "${word}" not recognized`);
    throw this.bad();
  }

  private finish(): Moment {
    const moment = this.moment;
    if (this.julian || this.expectTime) throw this.bad();
    if (this.meridiem !== undefined) {
      if (moment.time === undefined) throw this.bad();
      const hour = Math.floor(moment.time / microsPerHour);
      if (hour > 12) throw fieldOverflow(this.text);
      if (this.meridiem === "pm" && hour < 12) moment.time += 12 * microsPerHour;
      if (this.meridiem === "am" && hour === 12) moment.time -= 12 * microsPerHour;
    }
    if (moment.year !== undefined) {
      if (this.beforeChrist) {
        if (moment.year <= 0) throw fieldOverflow(this.text);
        moment.year = 1 - moment.year;
      } else if (this.twoDigitYear) moment.year += moment.year < 70 ? 2000 : 1900;
      else if (moment.year <= 0) throw fieldOverflow(this.text);
    } else if (this.beforeChrist) throw this.bad();
    if (moment.month !== undefined && (moment.month < 1 || moment.month > 12))
      throw fieldOverflow(this.text, true);
    if (moment.day !== undefined && (moment.day < 1 || moment.day > 31)) throw fieldOverflow(this.text, true);
    if (moment.year !== undefined && moment.month !== undefined && moment.day !== undefined) {
      if (moment.day > daysInMonth(moment.year, moment.month)) throw fieldOverflow(this.text);
    }
    return moment;
  }
}

function hasDate(moment: Moment): boolean {
  return moment.year !== undefined && moment.month !== undefined && moment.day !== undefined;
}

/** Day of a moment that is a date, or one of the words for one. */
function dayOf(moment: Moment, text: string, type: DateTimeType, settings: IoSettings): number {
  if (moment.special !== undefined) {
    const today = dayOfTimestamp(toLocal(settings.transactionTimestamp, zoneOf(settings)));
    if (moment.special === "tomorrow") return today + 1;
    if (moment.special === "yesterday") return today - 1;
    if (moment.special === "epoch") return -unixEpochDays;
    return today;
  }
  if (!hasDate(moment)) throw badFormat(text, type);
  return daysFromCivil(moment.year!, moment.month!, moment.day!);
}

export function parseDate(text: string, settings: IoSettings): number {
  const order = dateStyleOf(settings.dateStyle).order;
  const moment = new MomentReader(text, "date", order).read();
  if (moment.special === "infinity") return Infinity;
  if (moment.special === "-infinity") return -Infinity;
  const days = dayOf(moment, text, "date", settings);
  if (!isValidDate(days)) throw new DbError("datetimeFieldOverflow", `date out of range: "${text}"`);
  return days;
}

function parseMoment(
  text: string,
  type: "timestamp" | "timestamp with time zone",
  settings: IoSettings,
): Wide {
  const moment = new MomentReader(text, type, dateStyleOf(settings.dateStyle).order).read();
  if (moment.special === "infinity") return Infinity;
  if (moment.special === "-infinity") return -Infinity;
  const zone = zoneOf(settings);
  const zoned = type === "timestamp with time zone";
  if (moment.special === "now") {
    return zoned ? settings.transactionTimestamp : toLocal(settings.transactionTimestamp, zone);
  }
  if (moment.special === "epoch") return -unixEpochDays * microsPerDay;
  const days = dayOf(moment, text, type, settings);
  const outOfRange = (): DbError => new DbError("datetimeFieldOverflow", `timestamp out of range: "${text}"`);
  if (days < minDay || days > 106751992) throw outOfRange();
  let value = combine(days, microsPerDay, moment.time ?? 0);
  if (zoned) {
    const given = moment.zone ?? zone;
    const offset =
      typeof given === "number" ? given : given.offsetAtLocal(floorDivide(value, microsPerSecond));
    value = wideAdd(value, -offset * microsPerSecond);
  }
  if (!isValidTimestamp(value)) throw outOfRange();
  return value;
}

/** A zone in the text is accepted and has no effect, as the SQL type has none. */
export function parseTimestamp(text: string, settings: IoSettings): Wide {
  return parseMoment(text, "timestamp", settings);
}

/** Text without a zone is in the session's. */
export function parseTimestampTz(text: string, settings: IoSettings): Wide {
  return parseMoment(text, "timestamp with time zone", settings);
}

function nowLocal(settings: IoSettings): Wide {
  return toLocal(settings.transactionTimestamp, zoneOf(settings));
}

export function parseTime(text: string, settings: IoSettings): number {
  const moment = new MomentReader(text, "time", dateStyleOf(settings.dateStyle).order).read();
  if (moment.special === "now") {
    const local = nowLocal(settings);
    return timeOfTimestamp(local, dayOfTimestamp(local));
  }
  if (moment.time === undefined || moment.special !== undefined) throw badFormat(text, "time");
  if (typeof moment.zone === "object" && !hasDate(moment)) throw badFormat(text, "time");
  return moment.time;
}

export function parseTimeTz(text: string, settings: IoSettings): TimeTz {
  const type = "time with time zone";
  const moment = new MomentReader(text, type, dateStyleOf(settings.dateStyle).order).read();
  const session = zoneOf(settings);
  const nowSeconds = floorDivide(settings.transactionTimestamp, microsPerSecond);
  if (moment.special === "now") {
    const local = nowLocal(settings);
    return new TimeTz(timeOfTimestamp(local, dayOfTimestamp(local)), -session.offsetAt(nowSeconds) + 0);
  }
  if (moment.time === undefined || moment.special !== undefined) throw badFormat(text, type);
  const zone = moment.zone ?? session;
  let offset: number;
  if (typeof zone === "number") offset = zone;
  else if (hasDate(moment)) {
    const day = daysFromCivil(moment.year!, moment.month!, moment.day!);
    offset = zone.offsetAtLocal(day * 86400 + Math.floor(moment.time / microsPerSecond));
  } else if (moment.zone !== undefined) throw badFormat(text, type);
  else offset = zone.offsetAt(nowSeconds);
  return new TimeTz(moment.time, -offset + 0);
}

/** Rounds microseconds to `precision` fractional digits, halves away from zero. */
export function roundMicros(micros: Wide, precision: number): Wide {
  if (precision >= 6 || !isFiniteTime(micros)) return micros;
  const unit = 10 ** (6 - precision);
  const half = unit / 2;
  if (typeof micros === "number" && Math.abs(micros) < 9e15) {
    const magnitude = Math.floor((Math.abs(micros) + half) / unit) * unit;
    return micros < 0 ? 0 - magnitude : magnitude;
  }
  const magnitude = ((micros < 0 ? -BigInt(micros) : BigInt(micros)) + BigInt(half)) / BigInt(unit);
  return wideAdd(0, micros < 0 ? -magnitude * BigInt(unit) : magnitude * BigInt(unit));
}

// Arithmetic shared by functions and operators ------------------------------------------------------------------------

/** Calendar months later, the day clipped to the month's end; then days; then microseconds. */
export function addToTimestamp(timestamp: Wide, months: number, days: number, micros: Wide): Wide {
  if (!isFiniteTime(timestamp)) return timestamp;
  let result = timestamp;
  if (months !== 0 || days !== 0) {
    let day = dayOfTimestamp(result);
    const time = timeOfTimestamp(result, day);
    day = addMonths(day, months) + days;
    result = timestampOf(day, time);
  }
  result = addMicros(result, micros);
  if (!isValidTimestamp(result)) throw timestampOutOfRange();
  return result;
}

function addMicros(timestamp: Wide, micros: Wide): Wide {
  if (typeof timestamp === "number" && typeof micros === "number") {
    const sum = timestamp + micros;
    if (Number.isSafeInteger(sum)) return sum;
  }
  const sum = BigInt(timestamp) + BigInt(micros);
  if (sum < minTimestamp || sum >= endTimestamp) throw timestampOutOfRange();
  return wideAdd(0, sum);
}

export function addMonths(day: number, months: number): number {
  if (months === 0) return day;
  const date = civilFromDays(day);
  const index = date.year * 12 + date.month - 1 + months;
  const year = Math.floor(index / 12);
  const month = index - year * 12 + 1;
  return daysFromCivil(year, month, Math.min(date.day, daysInMonth(year, month)));
}

/** As `addToTimestamp`, with months and days counted on the zone's calendar. */
export function addToTimestampTz(
  timestamp: Wide,
  months: number,
  days: number,
  micros: Wide,
  zone: TimeZone,
): Wide {
  if (!isFiniteTime(timestamp)) return timestamp;
  let result = timestamp;
  if (months !== 0 || days !== 0) {
    result = toUtc(addToTimestamp(toLocal(timestamp, zone), months, days, 0), zone);
  }
  result = addMicros(result, micros);
  if (!isValidTimestamp(result)) throw timestampOutOfRange();
  return result;
}
