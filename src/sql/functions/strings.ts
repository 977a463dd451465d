/**
 * Strings and bytes: functions and operators of text, char(n), name and bytea.
 *
 * Invariants: positions and lengths count characters (code points) in text and bytes in bytea; results longer than 1 GB
 * are refused (54000) before they are built.
 */
import { md5 as md5Bytes } from "@noble/hashes/legacy.js";
import { sha224, sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { DbError } from "../../base/errors.js";
import { parseHex, toHex } from "../../model/bytea.js";
import { decodeUtf8 } from "../../model/bytes.js";
import type { EvalContext } from "../../model/functions.js";
import { charLength, octetLength, sliceChars, trimBlanks, unitIndex } from "../../model/text.js";
import { oids, typeOutput } from "../../model/types.js";
import { PgArray, type Value, type Wide } from "../../model/value.js";
import {
  compileRegex,
  findMatches,
  like,
  likeBytes,
  likeEscape,
  likeIgnoringCase,
  lowerCase,
  type Match,
  parseRegexFlags,
  regexTest,
  replaceMatches,
  similarToRegex,
  upperCase,
} from "./pattern.js";
import { define, defineTyped } from "./registry.js";

const bytesMax = 1073741823;

function tooLarge(): DbError {
  return new DbError("programLimitExceeded", "requested length too large");
}

function textArray(items: readonly (string | null)[]): PgArray {
  return PgArray.of(oids.text, items);
}

// Length and case ---------------------------------------------------------------------------------------------------

define(["length(text)", "char_length(text)", "character_length(text)", "textlen(text)"], (
  _: EvalContext,
  a: string,
) => charLength(a));
define(["length(bpchar)", "char_length(bpchar)", "character_length(bpchar)"], (_: EvalContext, a: string) =>
  charLength(trimBlanks(a)));
define(["octet_length(text)", "octet_length(bpchar)"], (_: EvalContext, a: string) => octetLength(a));
define("bit_length(text)", (_: EvalContext, a: string) => octetLength(a) * 8);
define("length(bytea)", (_: EvalContext, a: Uint8Array) => a.length);
define("octet_length(bytea)", (_: EvalContext, a: Uint8Array) => a.length);
define("bit_length(bytea)", (_: EvalContext, a: Uint8Array) => a.length * 8);
define("lower(text)", (_: EvalContext, a: string) => lowerCase(a));
define("upper(text)", (_: EvalContext, a: string) => upperCase(a));
define("initcap(text)", (_: EvalContext, a: string) => {
  let result = "";
  let inWord = false;
  for (const char of a) {
    result += inWord ? lowerCase(char) : upperCase(char);
    inWord = /[\p{L}\p{N}]/u.test(char);
  }
  return result;
});
define("ascii(text)", (_: EvalContext, a: string) => a.codePointAt(0) ?? 0);
define("chr(int4)", (_: EvalContext, code: number) => {
  if (code === 0) throw new DbError("programLimitExceeded", "null character not permitted");
  if (code < 0) throw new DbError("invalidParameterValue", "character number must be positive");
  if (code > 0x10ffff) {
    throw new DbError("programLimitExceeded", `requested character too large for encoding: ${code}`);
  }
  if (code >= 0xd800 && code < 0xe000) {
    throw new DbError("programLimitExceeded", `requested character not valid for encoding: ${code}`);
  }
  return String.fromCodePoint(code);
});

// Parts -------------------------------------------------------------------------------------------------------------

/** SQL's substring: `start` counts from 1 and may lie before the text; the length then covers the part before. */
function window(start: number, length: number | undefined): { from: number; count: number } {
  if (length === undefined) return { from: Math.max(start - 1, 0), count: Infinity };
  if (length < 0) throw new DbError("substringError", "negative substring length not allowed");
  const end = start + length;
  const from = Math.max(start, 1);
  return { from: from - 1, count: Math.max(end - from, 0) };
}

define(["substr(text,int4,int4)", "substring(text,int4,int4)"], (
  _: EvalContext,
  a: string,
  start: number,
  length: number,
) => {
  const { from, count } = window(start, length);
  return sliceChars(a, from, count);
});
define(["substr(text,int4)", "substring(text,int4)"], (_: EvalContext, a: string, start: number) => {
  const { from, count } = window(start, undefined);
  return sliceChars(a, from, count);
});
define(["substr(bytea,int4,int4)", "substring(bytea,int4,int4)"], (
  _: EvalContext,
  a: Uint8Array,
  start: number,
  length: number,
) => {
  const { from, count } = window(start, length);
  return a.slice(from, from + count);
});
define(["substr(bytea,int4)", "substring(bytea,int4)"], (_: EvalContext, a: Uint8Array, start: number) =>
  a.slice(Math.max(start - 1, 0)));
define("left(text,int4)", (_: EvalContext, a: string, count: number) =>
  sliceChars(a, 0, count >= 0 ? count : charLength(a) + count),
);
define("right(text,int4)", (_: EvalContext, a: string, count: number) => {
  const length = charLength(a);
  const kept = count >= 0 ? Math.min(count, length) : Math.max(length + count, 0);
  return a.slice(unitIndex(a, length - kept));
});

function positionOf(text: string, part: string): number {
  const at = text.indexOf(part);
  return at < 0 ? 0 : charLength(text.slice(0, at)) + 1;
}
define(["strpos(text,text)", "position(text,text)"], (_: EvalContext, a: string, part: string) =>
  positionOf(a, part));
define("position(bytea,bytea)", (_: EvalContext, a: Uint8Array, part: Uint8Array) =>
  part.length === 0 ? 1 : Buffer.from(a.buffer, a.byteOffset, a.byteLength).indexOf(part) + 1,
);

function overlayWindow(start: number): void {
  if (start <= 0) throw new DbError("substringError", "negative substring length not allowed");
}
function overlayText(a: string, part: string, start: number, count: number): string {
  overlayWindow(start);
  const end = Math.max(start - 1 + count, 0);
  return sliceChars(a, 0, start - 1) + part + a.slice(unitIndex(a, end));
}
define(
  "overlay(text,text,int4,int4)",
  (_: EvalContext, a: string, part: string, start: number, count: number) =>
    overlayText(a, part, start, count),
);
define("overlay(text,text,int4)", (_: EvalContext, a: string, part: string, start: number) =>
  overlayText(a, part, start, charLength(part)),
);
function overlayBytes(a: Uint8Array, part: Uint8Array, start: number, count: number): Uint8Array {
  overlayWindow(start);
  return Buffer.concat([a.subarray(0, start - 1), part, a.subarray(Math.max(start - 1 + count, 0))]);
}
define(
  "overlay(bytea,bytea,int4,int4)",
  (_: EvalContext, a: Uint8Array, part: Uint8Array, start: number, count: number) =>
    overlayBytes(a, part, start, count),
);
define("overlay(bytea,bytea,int4)", (_: EvalContext, a: Uint8Array, part: Uint8Array, start: number) =>
  overlayBytes(a, part, start, part.length),
);

function trim(text: string, set: string, left: boolean, right: boolean): string {
  const chars = [...text];
  const members = new Set(set);
  let from = 0;
  let to = chars.length;
  if (left) while (from < to && members.has(chars[from]!)) from++;
  if (right) while (to > from && members.has(chars[to - 1]!)) to--;
  return chars.slice(from, to).join("");
}
for (const [name, left, right] of [
  ["ltrim", true, false],
  ["rtrim", false, true],
  ["btrim", true, true],
] as const) {
  define(`${name}(text)`, (_: EvalContext, a: string) => trim(a, " ", left, right));
  define(`${name}(text,text)`, (_: EvalContext, a: string, set: string) => trim(a, set, left, right));
  define(`${name}(bytea,bytea)`, (_: EvalContext, a: Uint8Array, set: Uint8Array) => {
    let from = 0;
    let to = a.length;
    if (left) while (from < to && set.includes(a[from]!)) from++;
    if (right) while (to > from && set.includes(a[to - 1]!)) to--;
    return a.slice(from, to);
  });
}

function padding(text: string, length: number, fill: string): { kept: string; fill: string } {
  if (length > bytesMax / 4) throw tooLarge();
  const have = charLength(text);
  if (length <= have || fill === "") return { kept: sliceChars(text, 0, Math.max(length, 0)), fill: "" };
  const chars = charLength(fill);
  const missing = length - have;
  return { kept: text, fill: sliceChars(fill.repeat(Math.ceil(missing / chars)), 0, missing) };
}
for (const [signature, explicit] of [
  ["lpad(text,int4,text)", true],
  ["lpad(text,int4)", false],
] as const) {
  define(signature, (_: EvalContext, a: string, length: number, fill: string) => {
    const parts = padding(a, length, explicit ? fill : " ");
    return parts.fill + parts.kept;
  });
}
for (const [signature, explicit] of [
  ["rpad(text,int4,text)", true],
  ["rpad(text,int4)", false],
] as const) {
  define(signature, (_: EvalContext, a: string, length: number, fill: string) => {
    const parts = padding(a, length, explicit ? fill : " ");
    return parts.kept + parts.fill;
  });
}
define("repeat(text,int4)", (_: EvalContext, a: string, count: number) => {
  if (count <= 0 || a === "") return "";
  if (octetLength(a) * count > bytesMax) throw tooLarge();
  return a.repeat(count);
});
define("replace(text,text,text)", (_: EvalContext, a: string, from: string, to: string) => {
  if (from === "") return a;
  const parts = a.split(from);
  if (a.length + (parts.length - 1) * (to.length - from.length) > bytesMax) throw tooLarge();
  return parts.join(to);
});
define("reverse(text)", (_: EvalContext, a: string) => [...a].reverse().join(""));
define("translate(text,text,text)", (_: EvalContext, a: string, from: string, to: string) => {
  const target = [...to];
  const map = new Map<string, string>();
  [...from].forEach((char, at) => {
    if (!map.has(char)) map.set(char, target[at] ?? "");
  });
  let result = "";
  for (const char of a) result += map.get(char) ?? char;
  return result;
});
define("split_part(text,text,int4)", (_: EvalContext, a: string, separator: string, field: number) => {
  if (field === 0) throw new DbError("invalidParameterValue", "field position must not be zero");
  const parts = separator === "" ? [a] : a.split(separator);
  return parts[field > 0 ? field - 1 : parts.length + field] ?? "";
});
define("starts_with(text,text)", (_: EvalContext, a: string, prefix: string) => a.startsWith(prefix));
define("text || text", (_: EvalContext, a: string, b: string) => a + b);
define("bytea || bytea", (_: EvalContext, a: Uint8Array, b: Uint8Array) => Buffer.concat([a, b]));
defineTyped("textanycat(text,anynonarray)", ([, type]) => {
  return (context: EvalContext, a: string, b: Value) => a + outputAsText(type!, b, context);
});
defineTyped("anytextcat(anynonarray,text)", ([type]) => {
  return (context: EvalContext, a: Value, b: string) => outputAsText(type!, a, context) + b;
});

/** A value as a cast to text gives it: char(n) loses its padding, booleans are words. */
function outputAsText(type: number, value: Value, context: EvalContext): string {
  if (type === oids.bool) return value === true ? "true" : "false";
  if (type === oids.bpchar) return trimBlanks(value as string);
  return typeOutput(type, value, context);
}

// Concatenation of anything -----------------------------------------------------------------------------------------

/** Text output of a value by type, as concat() and format() use it. */
function display(type: number, value: Value, context: EvalContext): string {
  return typeOutput(type === oids.unknown ? oids.text : type, value, context);
}

defineTyped("concat(any)", (types) => (context: EvalContext, ...values: Value[]) => {
  let result = "";
  values.forEach((value, at) => {
    if (value !== null) result += display(types[at]!, value, context);
  });
  return result;
});
defineTyped(
  "concat_ws(text,any)",
  (types) =>
    (context: EvalContext, separator: string | null, ...values: Value[]) => {
      if (separator === null) return null;
      const parts: string[] = [];
      values.forEach((value, at) => {
        if (value !== null) parts.push(display(types[at + 1]!, value, context));
      });
      return parts.join(separator);
    },
);

function formatted(
  template: string,
  types: readonly number[],
  values: readonly Value[],
  context: EvalContext,
): string {
  let result = "";
  let next = 0;
  const argument = (position: number): { value: Value; type: number } => {
    if (position >= values.length) {
      throw new DbError("invalidParameterValue", "too few arguments for format()");
    }
    return { value: values[position]!, type: types[position]! };
  };
  const specifier = /%(?:([0-9]+)\$)?(-)?(?:\*(?:([0-9]+)\$)?|([0-9]+))?(.)?/suy;
  for (let at = 0; at < template.length; ) {
    if (template[at] !== "%") {
      const end = template.indexOf("%", at);
      result += template.slice(at, end < 0 ? undefined : end);
      at = end < 0 ? template.length : end;
      continue;
    }
    if (template[at + 1] === "%") {
      result += "%";
      at += 2;
      continue;
    }
    specifier.lastIndex = at;
    const match = specifier.exec(template)!;
    const conversion = match[5];
    if (conversion === undefined) {
      throw new DbError("invalidParameterValue", "unterminated format() type specifier", {
        hint: 'For a single "%" use "%%".',
      });
    }
    if (match[1] === "0" || match[3] === "0") {
      throw new DbError(
        "invalidParameterValue",
        "format specifies argument 0, but arguments are numbered from 1",
      );
    }
    let width = match[4] === undefined ? 0 : Number(match[4]);
    let left = match[2] === "-";
    if (match[0].includes("*")) {
      const given = argument(match[3] === undefined ? next++ : Number(match[3]) - 1);
      width = given.value === null ? 0 : Number(display(given.type, given.value, context));
      if (width < 0) {
        left = true;
        width = -width;
      }
    }
    if (!"sIL".includes(conversion)) {
      throw new DbError("invalidParameterValue", `unrecognized format() type specifier "${conversion}"`, {
        hint: 'For a single "%" use "%%".',
      });
    }
    if (match[1] !== undefined) next = Number(match[1]) - 1;
    const { value, type } = argument(next++);
    let text: string;
    if (value === null) {
      if (conversion === "I") {
        throw new DbError("nullValueNotAllowed", "null values cannot be formatted as an SQL identifier");
      }
      text = conversion === "L" ? "NULL" : "";
    } else {
      text = display(type, value, context);
      if (conversion === "I") text = quoteIdentifier(text);
      else if (conversion === "L") text = quoteLiteral(text);
    }
    if (width > bytesMax / 4) throw tooLarge();
    const missing = width - charLength(text);
    const pad = missing > 0 ? " ".repeat(missing) : "";
    result += left ? text + pad : pad + text;
    at = specifier.lastIndex;
  }
  return result;
}
define("format(text)", (context: EvalContext, template: string | null) =>
  template === null ? null : formatted(template, [], [], context),
);
defineTyped(
  "format(text,any)",
  (types) =>
    (context: EvalContext, template: string | null, ...values: Value[]) =>
      template === null ? null : formatted(template, types.slice(1), values, context),
);

// Quoting -----------------------------------------------------------------------------------------------------------

/** Words that must be quoted as identifiers: every key word that is not "unreserved". */
let reserved: ReadonlySet<string> = new Set(
  `all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast
  char character check coalesce collate collation column concurrently constraint create cross current_catalog
  current_date current_role current_schema current_time current_timestamp current_user dec decimal default deferrable
  desc distinct do else end except exists extract false fetch float for foreign freeze from full grant greatest group
  grouping having ilike in initially inner inout int integer intersect interval into is isnull join lateral leading
  least left like limit localtime localtimestamp national natural nchar none normalize not notnull null nullif numeric
  offset on only or order out outer overlaps overlay placing position precision primary real references returning
  right row select session_user setof similar smallint some substring symmetric table tablesample then time timestamp
  to trailing treat trim true union unique user using values varchar variadic verbose when where window with
  xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize
  xmltable`.split(/\s+/),
);

/** The grammar may supply its own key words. */
export function setReservedWords(words: Iterable<string>): void {
  reserved = new Set(words);
}

export function quoteIdentifier(name: string): string {
  if (/^[a-z_][a-z0-9_]*$/.test(name) && !reserved.has(name)) return name;
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll("\\", "\\\\")}'`;
  return text.includes("\\") ? `E${quoted}` : quoted;
}

define("quote_ident(text)", (_: EvalContext, a: string) => quoteIdentifier(a));
define("quote_literal(text)", (_: EvalContext, a: string) => quoteLiteral(a));
defineTyped(
  "quote_literal(anyelement)",
  ([type]) =>
    (context: EvalContext, a: Value) =>
      quoteLiteral(outputAsText(type!, a, context)),
);
define("quote_nullable(text)", (_: EvalContext, a: string | null) => (a === null ? "NULL" : quoteLiteral(a)));
defineTyped(
  "quote_nullable(anyelement)",
  ([type]) =>
    (context: EvalContext, a: Value) =>
      a === null ? "NULL" : quoteLiteral(outputAsText(type!, a, context)),
);
define("parse_ident(text,bool)", (_: EvalContext, text: string, strict: boolean) => {
  const parts: string[] = [];
  const pattern = /\s*(?:"((?:[^"]|"")*)"|([A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*))\s*(\.?)/y;
  const fail = (detail?: string): DbError =>
    new DbError(
      "invalidParameterValue",
      `string is not a valid identifier: "${text}"`,
      detail === undefined ? {} : { detail },
    );
  for (;;) {
    const match = pattern.exec(text);
    if (match === null) {
      throw fail(parts.length > 0 ? 'No valid identifier after ".".' : undefined);
    }
    if (match[1] === "") throw fail("Quoted identifier must not be empty.");
    parts.push(match[1] === undefined ? lowerCase(match[2]!) : match[1].replaceAll('""', '"'));
    if (match[3] === "") {
      if (strict && pattern.lastIndex < text.length) throw fail();
      return textArray(parts);
    }
  }
});

// Hashes and encodings ----------------------------------------------------------------------------------------------

define("md5(text)", (_: EvalContext, a: string) => toHex(md5Bytes(Buffer.from(a, "utf8"))));
define("md5(bytea)", (_: EvalContext, a: Uint8Array) => toHex(md5Bytes(Uint8Array.from(a))));
for (const [name, hash] of [
  ["sha224", sha224],
  ["sha256", sha256],
  ["sha384", sha384],
  ["sha512", sha512],
] as const) {
  define(`${name}(bytea)`, (_: EvalContext, a: Uint8Array) => hash(Uint8Array.from(a)));
}
define("to_hex(int4)", (_: EvalContext, a: number) => (a >>> 0).toString(16));
define("to_hex(int8)", (_: EvalContext, a: Wide) => BigInt.asUintN(64, BigInt(a)).toString(16));

function encodeEscape(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    if (byte === 0 || byte > 127) text += `\\${byte.toString(8).padStart(3, "0")}`;
    else if (byte === 92) text += "\\\\";
    else text += String.fromCharCode(byte);
  }
  return text;
}

function decodeEscape(text: string): Uint8Array {
  const source = Buffer.from(text, "utf8");
  const bytes: number[] = [];
  for (let at = 0; at < source.length; at++) {
    if (source[at] !== 92) bytes.push(source[at]!);
    else if (source[at + 1] === 92) {
      bytes.push(92);
      at++;
    } else {
      const octal = source.toString("latin1", at + 1, at + 4);
      if (!/^[0-3][0-7]{2}$/.test(octal)) {
        throw new DbError("invalidTextRepresentation", "invalid input syntax for type bytea");
      }
      bytes.push(Number.parseInt(octal, 8));
      at += 3;
    }
  }
  return Uint8Array.from(bytes);
}

define("encode(bytea,text)", (_: EvalContext, bytes: Uint8Array, format: string) => {
  switch (format.toLowerCase()) {
    case "hex":
      return toHex(bytes);
    case "base64":
      return Buffer.from(bytes)
        .toString("base64")
        .replace(/.{76}(?=.)/g, "$&\n");
    case "escape":
      return encodeEscape(bytes);
    default:
      throw new DbError("invalidParameterValue", `unrecognized encoding: "${format}"`);
  }
});
define("decode(text,text)", (_: EvalContext, text: string, format: string) => {
  switch (format.toLowerCase()) {
    case "hex":
      return parseHex(text);
    case "base64": {
      const body = text.replace(/[ \t\n\r]+/g, "");
      const wrong = /[^A-Za-z0-9+/=]/u.exec(body);
      if (wrong !== null) {
        throw new DbError(
          "invalidParameterValue",
          `invalid symbol "${wrong[0]}" found while decoding base64 sequence`,
        );
      }
      if (body.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(body)) {
        throw new DbError("invalidParameterValue", "invalid base64 end sequence", {
          hint: "Input data is missing padding, is truncated, or is otherwise corrupted.",
        });
      }
      return Buffer.from(body, "base64");
    }
    case "escape":
      return decodeEscape(text);
    default:
      throw new DbError("invalidParameterValue", `unrecognized encoding: "${format}"`);
  }
});

function isUtf8(name: string): boolean {
  return /^(?:utf-?8|unicode)$/i.test(name);
}
function unknownEncoding(name: string, which: "source" | "destination"): DbError {
  return new DbError("invalidParameterValue", `invalid ${which} encoding name "${name}"`);
}
const singleByte = /^(?:latin1|iso-?8859-?1|sql_ascii)$/i;
define("convert_from(bytea,name)", (_: EvalContext, bytes: Uint8Array, name: string) => {
  if (isUtf8(name)) return decodeUtf8(bytes);
  if (singleByte.test(name)) return Buffer.from(bytes).toString("latin1");
  throw unknownEncoding(name, "source");
});
define("convert_to(text,name)", (_: EvalContext, text: string, name: string) => {
  if (isUtf8(name)) return Buffer.from(text, "utf8");
  if (singleByte.test(name)) {
    const wrong = /[\u0100-\u{10ffff}]/u.exec(text);
    if (wrong !== null) {
      const hex = [...Buffer.from(wrong[0], "utf8")].map((byte) => `0x${byte.toString(16)}`).join(" ");
      throw new DbError(
        "untranslatableCharacter",
        `character with byte sequence ${hex} in encoding "UTF8" has no equivalent in encoding "LATIN1"`,
      );
    }
    return Buffer.from(text, "latin1");
  }
  throw unknownEncoding(name, "destination");
});
define("length(bytea,name)", (_: EvalContext, bytes: Uint8Array, name: string) => {
  if (!isUtf8(name)) throw new DbError("invalidParameterValue", `invalid encoding name "${name}"`);
  return charLength(decodeUtf8(bytes));
});

const normalForms = new Set(["NFC", "NFD", "NFKC", "NFKD"]);
function checkForm(form: string): string {
  const upper = form.toUpperCase();
  if (!normalForms.has(upper))
    throw new DbError("invalidParameterValue", `invalid normalization form: ${form}`);
  return upper;
}
define("normalize(text,text)", (_: EvalContext, text: string, form: string) =>
  text.normalize(checkForm(form)),
);
define(
  "is_normalized(text,text)",
  (_: EvalContext, text: string, form: string) => text.normalize(checkForm(form)) === text,
);
define("unistr(text)", (_: EvalContext, text: string) =>
  text.replace(
    /\\(?:\\|([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|)/g,
    (found, a, b, c, d) => {
      const hex = (a ?? b ?? c ?? d) as string | undefined;
      if (found === "\\\\") return "\\";
      const code = hex === undefined ? Number.NaN : Number.parseInt(hex, 16);
      if (!(code <= 0x10ffff)) {
        throw new DbError("syntaxError", "invalid Unicode escape", {
          hint: "Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.",
        });
      }
      return String.fromCodePoint(code);
    },
  ),
);

// Bytes -------------------------------------------------------------------------------------------------------------

function checkIndex(
  index: Wide,
  size: number,
  condition: "arraySubscriptError" = "arraySubscriptError",
): number {
  if (index < 0 || index >= size) {
    throw new DbError(condition, `index ${index} out of valid range, 0..${size - 1}`);
  }
  return Number(index);
}
define("get_byte(bytea,int4)", (_: EvalContext, a: Uint8Array, at: number) => a[checkIndex(at, a.length)]!);
define("set_byte(bytea,int4,int4)", (_: EvalContext, a: Uint8Array, at: number, value: number) => {
  const copy = Uint8Array.from(a);
  copy[checkIndex(at, a.length)] = value & 255;
  return copy;
});
define("get_bit(bytea,int8)", (_: EvalContext, a: Uint8Array, at: Wide) => {
  const bit = checkIndex(at, a.length * 8);
  return (a[bit >> 3]! >> (bit & 7)) & 1;
});
define("set_bit(bytea,int8,int4)", (_: EvalContext, a: Uint8Array, at: Wide, value: number) => {
  const bit = checkIndex(at, a.length * 8);
  if (value !== 0 && value !== 1) throw new DbError("invalidParameterValue", "new bit must be 0 or 1");
  const copy = Uint8Array.from(a);
  const mask = 1 << (bit & 7);
  copy[bit >> 3] = value === 1 ? copy[bit >> 3]! | mask : copy[bit >> 3]! & ~mask;
  return copy;
});
define("bit_count(bytea)", (_: EvalContext, a: Uint8Array) => {
  let count = 0;
  for (const byte of a) for (let rest = byte; rest !== 0; rest &= rest - 1) count++;
  return count;
});

// Splitting and joining ---------------------------------------------------------------------------------------------

/** NULL separator: every character is a field; empty separator: one field. */
function splitText(text: string, separator: string | null, nullText: string | null): (string | null)[] {
  const parts =
    text === "" ? [] : separator === null ? [...text] : separator === "" ? [text] : text.split(separator);
  return parts.map((part) => (nullText !== null && part === nullText ? null : part));
}
define("string_to_array(text,text)", (_: EvalContext, text: string | null, separator: string | null) =>
  text === null ? null : textArray(splitText(text, separator, null)),
);
define(
  "string_to_array(text,text,text)",
  (_: EvalContext, text: string | null, separator: string | null, nullText: string | null) =>
    text === null ? null : textArray(splitText(text, separator, nullText)),
);
define("string_to_table(text,text)", (_: EvalContext, text: string | null, separator: string | null) =>
  text === null ? [] : splitText(text, separator, null),
);
define(
  "string_to_table(text,text,text)",
  (_: EvalContext, text: string | null, separator: string | null, nullText: string | null) =>
    text === null ? [] : splitText(text, separator, nullText),
);

// LIKE and regular expressions --------------------------------------------------------------------------------------

for (const left of ["text", "name"] as const) {
  define([`${left} ~~ text`], (_: EvalContext, a: string, pattern: string) => like(a, pattern));
  define([`${left} !~~ text`], (_: EvalContext, a: string, pattern: string) => !like(a, pattern));
  define(`like(${left},text)`, (_: EvalContext, a: string, pattern: string) => like(a, pattern));
  define(`notlike(${left},text)`, (_: EvalContext, a: string, pattern: string) => !like(a, pattern));
}
define("bpchar ~~ text", (_: EvalContext, a: string, pattern: string) => like(a, pattern));
define("bpchar !~~ text", (_: EvalContext, a: string, pattern: string) => !like(a, pattern));
define(["bytea ~~ bytea", "like(bytea,bytea)"], (_: EvalContext, a: Uint8Array, pattern: Uint8Array) =>
  likeBytes(a, pattern));
define(["bytea !~~ bytea", "notlike(bytea,bytea)"], (_: EvalContext, a: Uint8Array, pattern: Uint8Array) =>
  !likeBytes(a, pattern));
for (const left of ["text", "name", "bpchar"] as const) {
  define(`${left} ~~* text`, (_: EvalContext, a: string, pattern: string) => likeIgnoringCase(a, pattern));
  define(`${left} !~~* text`, (_: EvalContext, a: string, pattern: string) => !likeIgnoringCase(a, pattern));
  define(`${left} ~ text`, (_: EvalContext, a: string, pattern: string) => regexTest(a, pattern, false));
  define(`${left} !~ text`, (_: EvalContext, a: string, pattern: string) => !regexTest(a, pattern, false));
  define(`${left} ~* text`, (_: EvalContext, a: string, pattern: string) => regexTest(a, pattern, true));
  define(`${left} !~* text`, (_: EvalContext, a: string, pattern: string) => !regexTest(a, pattern, true));
}
define("like_escape(text,text)", (_: EvalContext, pattern: string, escapeText: string) =>
  likeEscape(pattern, escapeText),
);
define("similar_to_escape(text)", (_: EvalContext, pattern: string) => similarToRegex(pattern, null));
define("similar_to_escape(text,text)", (_: EvalContext, pattern: string, escapeText: string) =>
  similarToRegex(pattern, escapeText),
);
define("similar_escape(text,text)", (_: EvalContext, pattern: string | null, escapeText: string | null) =>
  pattern === null ? null : similarToRegex(pattern, escapeText),
);

const noFlags = parseRegexFlags("");

function capture(text: string, match: Match, group: number): string | null {
  const start = match.starts[group] ?? -1;
  return start < 0 ? null : text.slice(start, match.ends[group]);
}

/** What regexp_match returns for a match: its groups, or the whole when there are none. */
function captures(text: string, match: Match): PgArray {
  const groups = match.starts.length - 1;
  if (groups === 0) return textArray([capture(text, match, 0)]);
  const items: (string | null)[] = [];
  for (let group = 1; group <= groups; group++) items.push(capture(text, match, group));
  return textArray(items);
}

function firstMatch(text: string, pattern: string): string | null {
  const regex = compileRegex(pattern);
  const match = findMatches(regex, text, 0, 1)[0];
  if (match === undefined) return null;
  return capture(text, match, regex.groups > 0 ? 1 : 0);
}
define("substring(text,text)", (_: EvalContext, text: string, pattern: string) => firstMatch(text, pattern));
define("substring(text,text,text)", (_: EvalContext, text: string, pattern: string, escapeText: string) =>
  firstMatch(text, similarToRegex(pattern, escapeText)),
);

for (const [signature, withFlags] of [
  ["regexp_match(text,text)", false],
  ["regexp_match(text,text,text)", true],
] as const) {
  define(signature, (_: EvalContext, text: string, pattern: string, flagText: string) => {
    const flags = withFlags ? parseRegexFlags(flagText, "regexp_match()") : noFlags;
    const match = findMatches(compileRegex(pattern, flags), text, 0, 1)[0];
    return match === undefined ? null : captures(text, match);
  });
}
for (const [signature, withFlags] of [
  ["regexp_matches(text,text)", false],
  ["regexp_matches(text,text,text)", true],
] as const) {
  define(signature, (_: EvalContext, text: string, pattern: string, flagText: string) => {
    const flags = withFlags ? parseRegexFlags(flagText) : noFlags;
    const matches = findMatches(compileRegex(pattern, flags), text, 0, flags.global ? Infinity : 1);
    return matches.map((match) => captures(text, match));
  });
}

/** Pieces between matches; empty matches at the ends or right after another match do not split. */
function splitByRegex(text: string, pattern: string, flagText: string, name: string): string[] {
  const flags = parseRegexFlags(flagText, name);
  const pieces: string[] = [];
  let begin = 0;
  let previousEnd = -1;
  for (const match of findMatches(compileRegex(pattern, flags), text, 0, Infinity)) {
    const start = match.starts[0]!;
    const end = match.ends[0]!;
    if (start === end && (start >= text.length || start === 0 || start === previousEnd)) continue;
    pieces.push(text.slice(begin, start));
    begin = end;
    previousEnd = end;
  }
  pieces.push(text.slice(begin));
  return pieces;
}
for (const [suffix, withFlags] of [
  ["(text,text)", false],
  ["(text,text,text)", true],
] as const) {
  define(`regexp_split_to_array${suffix}`, (_: EvalContext, text: string, pattern: string, flags: string) =>
    textArray(splitByRegex(text, pattern, withFlags ? flags : "", "regexp_split_to_array()")),
  );
  define(`regexp_split_to_table${suffix}`, (_: EvalContext, text: string, pattern: string, flags: string) =>
    splitByRegex(text, pattern, withFlags ? flags : "", "regexp_split_to_table()"),
  );
}

function atLeast(name: string, value: number, least: number): number {
  if (value < least) {
    throw new DbError("invalidParameterValue", `invalid value for parameter "${name}": ${value}`);
  }
  return value;
}

/** Finds from character `start` (1-based) on. */
function matchesFrom(
  text: string,
  pattern: string,
  start: number,
  flagText: string,
  name: string,
  limit: number,
): Match[] {
  const flags = parseRegexFlags(flagText, name);
  const from = unitIndex(text, atLeast("start", start, 1) - 1);
  if (start - 1 > charLength(text)) return [];
  return findMatches(compileRegex(pattern, flags), text, from, limit);
}

for (const [suffix, count] of [
  ["(text,text)", 0],
  ["(text,text,int4)", 1],
  ["(text,text,int4,text)", 2],
] as const) {
  define(
    `regexp_count${suffix}`,
    (_: EvalContext, text: string, pattern: string, start: number, flags: string) =>
      matchesFrom(text, pattern, count > 0 ? start : 1, count > 1 ? flags : "", "regexp_count()", Infinity)
        .length,
  );
}
for (const [suffix, withFlags] of [
  ["(text,text)", false],
  ["(text,text,text)", true],
] as const) {
  define(
    `regexp_like${suffix}`,
    (_: EvalContext, text: string, pattern: string, flags: string) =>
      matchesFrom(text, pattern, 1, withFlags ? flags : "", "regexp_like()", 1).length > 0,
  );
}
const instrSuffixes = [
  "(text,text)",
  "(text,text,int4)",
  "(text,text,int4,int4)",
  "(text,text,int4,int4,int4)",
  "(text,text,int4,int4,int4,text)",
  "(text,text,int4,int4,int4,text,int4)",
];
instrSuffixes.forEach((suffix, given) => {
  define(
    `regexp_instr${suffix}`,
    (_: EvalContext, text: string, pattern: string, ...rest: (number | string)[]) => {
      const at = (index: number, otherwise: number): number =>
        given > index ? (rest[index] as number) : otherwise;
      const occurrence = atLeast("n", at(1, 1), 1);
      const endOption = at(2, 0);
      if (endOption !== 0 && endOption !== 1) {
        throw new DbError("invalidParameterValue", `invalid value for parameter "endoption": ${endOption}`);
      }
      const flags = given > 3 ? (rest[3] as string) : "";
      const group = atLeast("subexpr", at(4, 0), 0);
      const match = matchesFrom(text, pattern, at(0, 1), flags, "regexp_instr()", occurrence)[occurrence - 1];
      const position =
        match === undefined ? -1 : ((endOption === 1 ? match.ends : match.starts)[group] ?? -1);
      return position < 0 ? 0 : charLength(text.slice(0, position)) + 1;
    },
  );
});
const substrSuffixes = [
  "(text,text)",
  "(text,text,int4)",
  "(text,text,int4,int4)",
  "(text,text,int4,int4,text)",
  "(text,text,int4,int4,text,int4)",
];
substrSuffixes.forEach((suffix, given) => {
  define(
    `regexp_substr${suffix}`,
    (_: EvalContext, text: string, pattern: string, ...rest: (number | string)[]) => {
      const start = given > 0 ? (rest[0] as number) : 1;
      const occurrence = atLeast("n", given > 1 ? (rest[1] as number) : 1, 1);
      const flags = given > 2 ? (rest[2] as string) : "";
      const group = atLeast("subexpr", given > 3 ? (rest[3] as number) : 0, 0);
      const match = matchesFrom(text, pattern, start, flags, "regexp_substr()", occurrence)[occurrence - 1];
      return match === undefined ? null : capture(text, match, group);
    },
  );
});

/** `occurrence` 0 replaces all. */
function regexReplace(
  text: string,
  pattern: string,
  by: string,
  start: number,
  occurrence: number,
  flagText: string,
): string {
  const flags = parseRegexFlags(flagText);
  const from = unitIndex(text, atLeast("start", start, 1) - 1);
  const all = findMatches(compileRegex(pattern, flags), text, from, occurrence === 0 ? Infinity : occurrence);
  const chosen = occurrence === 0 ? all : all.slice(occurrence - 1, occurrence);
  return replaceMatches(text, chosen, by);
}
define("regexp_replace(text,text,text)", (_: EvalContext, text: string, pattern: string, by: string) =>
  regexReplace(text, pattern, by, 1, 1, ""),
);
define(
  "regexp_replace(text,text,text,text)",
  (_: EvalContext, text: string, pattern: string, by: string, flags: string) => {
    if (/^[0-9]/.test(flags)) {
      throw new DbError("invalidParameterValue", `invalid regular expression option: "${flags[0]}"`, {
        hint: "If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.",
      });
    }
    return regexReplace(text, pattern, by, 1, flags.includes("g") ? 0 : 1, flags);
  },
);
define(
  "regexp_replace(text,text,text,int4)",
  (_: EvalContext, text: string, pattern: string, by: string, start: number) =>
    regexReplace(text, pattern, by, start, 1, ""),
);
define(
  "regexp_replace(text,text,text,int4,int4)",
  (_: EvalContext, text: string, pattern: string, by: string, start: number, occurrence: number) =>
    regexReplace(text, pattern, by, start, atLeast("n", occurrence, 0), ""),
);
define(
  "regexp_replace(text,text,text,int4,int4,text)",
  (
    _: EvalContext,
    text: string,
    pattern: string,
    by: string,
    start: number,
    occurrence: number,
    flags: string,
  ) => regexReplace(text, pattern, by, start, atLeast("n", occurrence, 0), flags.replaceAll("g", "")),
);
