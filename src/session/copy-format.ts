/**
 * COPY's text and CSV formats (PostgreSQL manual, COPY, "File Formats"): bytes to column values and back.
 *
 * The reader works on bytes as they arrive: fields of the common types are parsed where they lie, without a string; a
 * field that holds an escape or is of another type goes through text. Records never span calls: an incomplete one is
 * kept for the next chunk, bounded by `recordBytesMax`.
 *
 * Invariants: a record's values are complete or an error names its line; nothing is read behind the end marker.
 */
import { DbError } from "../base/errors.js";
import type { TypeRef } from "../model/schema.js";
import { applyTypmod, type IoSettings, typeInput } from "../model/types.js";
import { Numeric, type Value } from "../model/value.js";

export const recordBytesMax = 1 << 30;

export interface CopyOptions {
  readonly format: "text" | "csv" | "binary";
  readonly delimiter: string;
  readonly nullText: string;
  readonly header: boolean | "match";
  readonly quote: string;
  readonly escapeChar: string;
  /** Column positions in the field list. */
  readonly forceQuote: ReadonlySet<number> | "all";
  readonly forceNotNull: ReadonlySet<number>;
  readonly forceNull: ReadonlySet<number>;
  readonly freeze: boolean;
}

export interface CopyColumn {
  readonly name: string;
  readonly type: TypeRef;
}

type FieldParser = (bytes: Buffer, start: number, end: number) => Value;

const digit0 = 48;

/** Decimal digits only, at most 15 of them: exact in a double. Anything else goes the general way. */
function parseSmallInteger(bytes: Buffer, start: number, end: number): number {
  let at = start;
  const negative = bytes[at] === 45;
  if (negative) at++;
  if (end - at > 15 || at === end) return Number.NaN;
  let value = 0;
  for (; at < end; at++) {
    const digit = bytes[at]! - digit0;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  return negative ? -value : value;
}

function general(type: TypeRef, settings: IoSettings): FieldParser {
  return (bytes, start, end) =>
    typeInput(type.oid, bytes.toString("utf8", start, end), settings, type.typmod);
}

function integerParser(type: TypeRef, settings: IoSettings, minimum: number, maximum: number): FieldParser {
  const slow = general(type, settings);
  return (bytes, start, end) => {
    const value = parseSmallInteger(bytes, start, end);
    return value >= minimum && value <= maximum && !Object.is(value, -0) ? value : slow(bytes, start, end);
  };
}

/** numeric(p, s): digits with at most s after the point are taken as they are. */
function numericParser(type: TypeRef, settings: IoSettings): FieldParser {
  const slow = general(type, settings);
  if (type.typmod < 0) return slow;
  const precision = ((type.typmod - 4) >> 16) & 0xffff;
  const scale = (type.typmod - 4) & 0x7ff;
  if (precision > 15 || scale > precision) return slow;
  const limit = 10 ** precision;
  return (bytes, start, end) => {
    let at = start;
    const negative = bytes[at] === 45;
    if (negative) at++;
    let value = 0;
    let fraction = -1;
    if (at === end || end - at > 16) return slow(bytes, start, end);
    for (; at < end; at++) {
      const code = bytes[at]!;
      if (code === 46 && fraction < 0) {
        fraction = 0;
        continue;
      }
      const digit = code - digit0;
      if (digit < 0 || digit > 9) return slow(bytes, start, end);
      value = value * 10 + digit;
      if (fraction >= 0) fraction++;
    }
    if (fraction < 0) fraction = 0;
    if (fraction > scale) return slow(bytes, start, end);
    for (; fraction < scale; fraction++) value *= 10;
    if (value >= limit) return slow(bytes, start, end);
    return new Numeric(negative && value !== 0 ? -value : value, scale);
  };
}

/** Days since 2000-01-01 of a proleptic Gregorian date (days-from-civil, H. Hinnant's arithmetic). */
function daysOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  return (
    era * 146097 +
    yearOfEra * 365 +
    Math.floor(yearOfEra / 4) -
    Math.floor(yearOfEra / 100) +
    dayOfYear -
    730425
  );
}

const monthDays = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function two(bytes: Buffer, at: number): number {
  const high = bytes[at]! - digit0;
  const low = bytes[at + 1]! - digit0;
  return high >= 0 && high <= 9 && low >= 0 && low <= 9 ? high * 10 + low : Number.NaN;
}

/** `YYYY-MM-DD` in days; NaN for anything else. */
function isoDate(bytes: Buffer, at: number): number {
  if (bytes[at + 4] !== 45 || bytes[at + 7] !== 45) return Number.NaN;
  const year = two(bytes, at) * 100 + two(bytes, at + 2);
  const month = two(bytes, at + 5);
  const day = two(bytes, at + 8);
  if (!(year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= monthDays[month - 1]!))
    return Number.NaN;
  if (month === 2 && day === 29 && !(year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)))
    return Number.NaN;
  return daysOf(year, month, day);
}

function dateParser(type: TypeRef, settings: IoSettings): FieldParser {
  const slow = general(type, settings);
  return (bytes, start, end) => {
    const days = end - start === 10 ? isoDate(bytes, start) : Number.NaN;
    return Number.isNaN(days) ? slow(bytes, start, end) : days;
  };
}

/** `YYYY-MM-DD HH:MM:SS[.ffffff]`, with `+HH[:MM]` or `Z` where the type has a zone. */
function timestampParser(type: TypeRef, settings: IoSettings, zoned: boolean): FieldParser {
  const slow = general(type, settings);
  if (type.typmod >= 0) return slow;
  return (bytes, start, end) => {
    if (
      end - start < 19 ||
      (bytes[start + 10] !== 32 && bytes[start + 10] !== 84) ||
      bytes[start + 13] !== 58 ||
      bytes[start + 16] !== 58
    ) {
      return slow(bytes, start, end);
    }
    const days = isoDate(bytes, start);
    const hour = two(bytes, start + 11);
    const minute = two(bytes, start + 14);
    const second = two(bytes, start + 17);
    if (!(hour < 24 && minute < 60 && second < 60) || Number.isNaN(days)) return slow(bytes, start, end);
    let at = start + 19;
    let micros = 0;
    if (at < end && bytes[at] === 46) {
      let weight = 100000;
      for (at++; at < end && weight >= 1; at++, weight /= 10) {
        const digit = bytes[at]! - digit0;
        if (digit < 0 || digit > 9) break;
        micros += digit * weight;
      }
    }
    let offset = 0;
    if (zoned) {
      const sign = bytes[at];
      if (sign === 90 && at + 1 === end) at = end;
      else if ((sign === 43 || sign === 45) && (end - at === 3 || (end - at === 6 && bytes[at + 3] === 58))) {
        offset = two(bytes, at + 1) * 60 + (end - at === 6 ? two(bytes, at + 4) : 0);
        if (!(offset < 16 * 60)) return slow(bytes, start, end);
        if (sign === 45) offset = -offset;
        at = end;
      } else return slow(bytes, start, end);
    }
    if (at !== end) return slow(bytes, start, end);
    return (((days * 24 + hour) * 60 + minute - offset) * 60 + second) * 1e6 + micros;
  };
}

const textOids = new Set([25, 1042, 1043]);

function textParser(type: TypeRef): FieldParser {
  if (type.typmod >= 0 || type.oid === 1042) {
    return (bytes, start, end) => applyTypmod(type, bytes.toString("utf8", start, end), false);
  }
  // Bytes were checked as UTF-8 when the record was taken in; ASCII costs half of a UTF-8 decode.
  return (bytes, start, end) => {
    for (let at = start; at < end; at++) if (bytes[at]! > 127) return bytes.toString("utf8", start, end);
    return bytes.latin1Slice(start, end);
  };
}

function parserOf(type: TypeRef, settings: IoSettings): FieldParser {
  switch (type.oid) {
    case 21:
      return integerParser(type, settings, -32768, 32767);
    case 23:
      return integerParser(type, settings, -2147483648, 2147483647);
    case 20:
      return integerParser(type, settings, -999999999999999, 999999999999999);
    case 1700:
      return numericParser(type, settings);
    case 1082:
      return dateParser(type, settings);
    case 1114:
      return timestampParser(type, settings, false);
    case 1184:
      return timestampParser(type, settings, true);
    default:
      return textOids.has(type.oid) ? textParser(type) : general(type, settings);
  }
}

const newline = 10;
const carriageReturn = 13;
const backslash = 92;

/** Takes chunks, gives columns of values. */
export class CopyReader {
  readonly #options: CopyOptions;
  readonly #columns: readonly CopyColumn[];
  readonly #parsers: readonly FieldParser[];
  readonly #delimiter: number;
  readonly #null: Buffer;
  readonly #quote: number;
  readonly #escape: number;
  #pending: Buffer = Buffer.alloc(0);
  #at = 0;
  #headerSkipped: boolean;
  #done = false;
  line = 0;

  constructor(
    readonly table: string,
    columns: readonly CopyColumn[],
    options: CopyOptions,
    settings: IoSettings,
  ) {
    this.#options = options;
    this.#columns = columns;
    this.#parsers = columns.map((column) => parserOf(column.type, settings));
    this.#delimiter = options.delimiter.charCodeAt(0);
    this.#null = Buffer.from(options.nullText);
    this.#quote = options.quote.charCodeAt(0);
    this.#escape = options.escapeChar.charCodeAt(0);
    this.#headerSkipped = options.header === false;
  }

  push(chunk: Buffer): void {
    if (this.#done) return;
    const rest = this.#pending.length - this.#at;
    if (rest > recordBytesMax)
      throw new DbError("programLimitExceeded", "COPY record is too long", { where: this.#where() });
    this.#pending = rest === 0 ? chunk : Buffer.concat([this.#pending.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /** Appends up to `max` records to `into` (a column each), from index 0; returns how many. `last`: no more chunks. */
  read(into: Value[][], max: number, last: boolean): number {
    let rows = 0;
    while (rows < max && !this.#done) {
      const end = this.#options.format === "csv" ? this.#csvRecordEnd(last) : this.#textRecordEnd(last);
      if (end < 0) break;
      const start = this.#at;
      let stop = end;
      const terminated = end < this.#pending.length;
      this.#at = terminated ? end + 1 : end;
      if (stop > start && this.#pending[stop - 1] === carriageReturn) stop--;
      if (start === this.#pending.length) break;
      this.line++;
      if (!this.#headerSkipped) {
        this.#headerSkipped = true;
        if (this.#options.header === "match") this.#checkHeader(start, stop);
        continue;
      }
      if (stop - start === 2 && this.#pending[start] === backslash && this.#pending[start + 1] === 46) {
        this.#done = true;
        break;
      }
      if (this.#options.format === "csv") this.#csvRecord(start, stop, into, rows);
      else this.#textRecord(start, stop, into, rows);
      rows++;
    }
    return rows;
  }

  #where(column?: string, text?: string): string {
    const place = `COPY ${this.table}, line ${this.line}`;
    if (column === undefined) return text === undefined ? place : `${place}: "${cut(text)}"`;
    return text === undefined
      ? `${place}, column ${column}: null input`
      : `${place}, column ${column}: "${cut(text)}"`;
  }

  #textRecordEnd(last: boolean): number {
    const at = this.#pending.indexOf(newline, this.#at);
    if (at < 0) return last && this.#at < this.#pending.length ? this.#pending.length : -1;
    // An escaped line end belongs to the field.
    let end = at;
    for (;;) {
      let slashes = 0;
      while (end - 1 - slashes >= this.#at && this.#pending[end - 1 - slashes] === backslash) slashes++;
      if (slashes % 2 === 0) return end;
      end = this.#pending.indexOf(newline, end + 1);
      if (end < 0) return last ? this.#pending.length : -1;
    }
  }

  #csvRecordEnd(last: boolean): number {
    const bytes = this.#pending;
    let quoted = false;
    for (let at = this.#at; at < bytes.length; at++) {
      const code = bytes[at]!;
      if (quoted) {
        if (
          code === this.#escape &&
          this.#escape !== this.#quote &&
          (bytes[at + 1] === this.#quote || bytes[at + 1] === this.#escape)
        )
          at++;
        else if (code === this.#quote) quoted = false;
      } else if (code === this.#quote) quoted = true;
      else if (code === newline) return at;
    }
    if (!last || this.#at >= bytes.length) return -1;
    if (quoted)
      throw new DbError("badCopyFileFormat", "unterminated CSV quoted field", { where: this.#where() });
    return bytes.length;
  }

  #textRecord(start: number, stop: number, into: Value[][], row: number): void {
    const bytes = this.#pending;
    const width = this.#columns.length;
    let field = start;
    let column = 0;
    let escaped = false;
    for (let at = start; ; at++) {
      const code = at < stop ? bytes[at]! : -1;
      if (code === backslash && at + 1 < stop) {
        escaped = true;
        at++;
        continue;
      }
      if (code !== this.#delimiter && code !== -1) continue;
      if (column >= width) {
        if (width === 0 && at === start && code === -1) return;
        throw new DbError("badCopyFileFormat", "extra data after last expected column", {
          where: this.#where(undefined, bytes.toString("utf8", start, stop)),
        });
      }
      if (this.#isNull(field, at)) into[column]![row] = null;
      else if (escaped) {
        const raw = withoutEscapes(bytes, field, at);
        into[column]![row] = this.#value(column, raw, 0, raw.length);
      } else into[column]![row] = this.#value(column, bytes, field, at);
      escaped = false;
      column++;
      field = at + 1;
      if (code === -1) break;
    }
    if (column < width) {
      throw new DbError("badCopyFileFormat", `missing data for column "${this.#columns[column]!.name}"`, {
        where: this.#where(undefined, bytes.toString("utf8", start, stop)),
      });
    }
  }

  #isNull(start: number, end: number): boolean {
    const mark = this.#null;
    if (end - start !== mark.length) return false;
    for (let at = 0; at < mark.length; at++) if (this.#pending[start + at] !== mark[at]) return false;
    return true;
  }

  #value(column: number, bytes: Buffer, start: number, end: number): Value {
    try {
      return this.#parsers[column]!(bytes, start, end);
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      const text = bytes.toString("utf8", start, end);
      throw new DbError(
        error.condition,
        error.message,
        { ...error.fields, where: this.#where(this.#columns[column]!.name, text) },
        error,
      );
    }
  }

  /** Fields of a CSV record with what a quote says: a quoted field is never NULL unless FORCE_NULL names it. */
  *#csvFields(
    start: number,
    stop: number,
  ): Iterable<{ bytes: Buffer; start: number; end: number; quoted: boolean }> {
    const bytes = this.#pending;
    let at = start;
    for (;;) {
      const from = at;
      let quoted = false;
      let parts: Buffer[] | undefined;
      let plain = at;
      while (at < stop && bytes[at] !== this.#delimiter) {
        if (bytes[at] !== this.#quote) {
          at++;
          continue;
        }
        quoted = true;
        parts ??= [];
        if (at > plain) parts.push(bytes.subarray(plain, at));
        at++;
        let piece = at;
        for (;;) {
          const code = bytes[at];
          if (
            code === this.#escape &&
            (bytes[at + 1] === this.#quote ||
              (this.#escape !== this.#quote && bytes[at + 1] === this.#escape)) &&
            at + 1 < stop
          ) {
            parts.push(bytes.subarray(piece, at));
            piece = at + 1;
            at += 2;
          } else if (code === this.#quote) break;
          else at++;
          if (at >= stop)
            throw new DbError("badCopyFileFormat", "unterminated CSV quoted field", { where: this.#where() });
        }
        parts.push(bytes.subarray(piece, at));
        at++;
        plain = at;
      }
      if (parts === undefined) yield { bytes, start: from, end: at, quoted };
      else {
        if (at > plain) parts.push(bytes.subarray(plain, at));
        const joined = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
        yield { bytes: joined, start: 0, end: joined.length, quoted };
      }
      if (at >= stop) return;
      at++;
    }
  }

  #csvRecord(start: number, stop: number, into: Value[][], row: number): void {
    const { forceNotNull, forceNull, nullText } = this.#options;
    const width = this.#columns.length;
    let column = 0;
    for (const field of this.#csvFields(start, stop)) {
      if (column >= width) {
        throw new DbError("badCopyFileFormat", "extra data after last expected column", {
          where: this.#where(undefined, this.#pending.toString("utf8", start, stop)),
        });
      }
      const isNullText =
        field.end - field.start === this.#null.length &&
        (field.quoted
          ? field.bytes.toString("utf8", field.start, field.end) === nullText
          : this.#null.equals(field.bytes.subarray(field.start, field.end)));
      const isNull = isNullText && (field.quoted ? forceNull.has(column) : !forceNotNull.has(column));
      into[column]![row] = isNull ? null : this.#value(column, field.bytes, field.start, field.end);
      column++;
    }
    if (column < width) {
      throw new DbError("badCopyFileFormat", `missing data for column "${this.#columns[column]!.name}"`, {
        where: this.#where(undefined, this.#pending.toString("utf8", start, stop)),
      });
    }
  }

  #checkHeader(start: number, stop: number): void {
    const names =
      this.#options.format === "csv"
        ? [...this.#csvFields(start, stop)].map((field) =>
            field.bytes.toString("utf8", field.start, field.end),
          )
        : this.#pending.toString("utf8", start, stop).split(this.#options.delimiter);
    if (names.length !== this.#columns.length) {
      throw new DbError(
        "badCopyFileFormat",
        `wrong number of fields in header line: got ${names.length}, expected ${this.#columns.length}`,
        { where: this.#where() },
      );
    }
    names.forEach((name, place) => {
      const wanted = this.#columns[place]!.name;
      if (name !== wanted)
        throw new DbError(
          "badCopyFileFormat",
          `column name mismatch in header line field ${place + 1}: got "${name}", expected "${wanted}"`,
          { where: this.#where() },
        );
    });
  }
}

function cut(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

const simpleEscapes: Readonly<Record<number, number>> = { 98: 8, 102: 12, 110: 10, 114: 13, 116: 9, 118: 11 };

function withoutEscapes(bytes: Buffer, start: number, end: number): Buffer {
  const out = Buffer.allocUnsafe(end - start);
  let to = 0;
  for (let at = start; at < end; at++) {
    let code = bytes[at]!;
    if (code === backslash && at + 1 < end) {
      code = bytes[++at]!;
      if (code >= 48 && code <= 55) {
        let value = code - 48;
        for (let more = 0; more < 2 && at + 1 < end && bytes[at + 1]! >= 48 && bytes[at + 1]! <= 55; more++)
          value = value * 8 + bytes[++at]! - 48;
        code = value & 0xff;
      } else if (code === 120 && /^[0-9a-f]$/i.test(String.fromCharCode(bytes[at + 1] ?? 0))) {
        let value = 0;
        for (let more = 0; more < 2 && at + 1 < end; more++) {
          const nibble = Number.parseInt(String.fromCharCode(bytes[at + 1]!), 16);
          if (Number.isNaN(nibble)) break;
          value = value * 16 + nibble;
          at++;
        }
        code = value;
      } else code = simpleEscapes[code] ?? code;
    }
    out[to++] = code;
  }
  return out.subarray(0, to);
}

/** Text form of one value for COPY TO: `text` is the type's output, undefined for NULL. */
export class CopyWriter {
  readonly #options: CopyOptions;
  readonly #needsEscape: RegExp;
  readonly #needsQuote: RegExp;

  constructor(options: CopyOptions) {
    this.#options = options;
    const delimiter = escapeClass(options.delimiter);
    this.#needsEscape = new RegExp(`[\\\\\\b\\f\\n\\r\\t\\v${delimiter}]`);
    this.#needsQuote = new RegExp(`[\\n\\r${delimiter}${escapeClass(options.quote)}]`);
  }

  header(names: readonly string[]): string {
    return this.row(names, names.length === 1);
  }

  row(fields: readonly (string | undefined)[], single = fields.length === 1): string {
    const { format, delimiter } = this.#options;
    let line = "";
    for (let at = 0; at < fields.length; at++) {
      if (at > 0) line += delimiter;
      line += format === "csv" ? this.#csv(fields[at], at, single) : this.#text(fields[at]);
    }
    return `${line}\n`;
  }

  #text(field: string | undefined): string {
    if (field === undefined) return this.#options.nullText;
    if (!this.#needsEscape.test(field)) return field;
    let out = "";
    for (const char of field) {
      const code = char.charCodeAt(0);
      if (char === "\\") out += "\\\\";
      else if (code >= 8 && code <= 13) out += `\\${"btnvfr"[code - 8]}`;
      else if (char === this.#options.delimiter) out += `\\${char}`;
      else out += char;
    }
    return out;
  }

  #csv(field: string | undefined, column: number, single: boolean): string {
    const { nullText, quote, escapeChar, forceQuote } = this.#options;
    if (field === undefined) return nullText;
    const forced = forceQuote === "all" || forceQuote.has(column);
    const lonelyMarker = single && field === "\\.";
    if (!forced && !lonelyMarker && field !== nullText && !this.#needsQuote.test(field)) return field;
    let out = quote;
    for (const char of field) {
      if (char === quote || char === escapeChar) out += escapeChar;
      out += char;
    }
    return out + quote;
  }
}

function escapeClass(char: string): string {
  return char.replace(/[\\\]^-]/g, "\\$&");
}
