/**
 * SQL types: names, modifiers, and length coercion. The one door to the type system: the table, the text and binary
 * forms, and the orders are exported from here too.
 *
 * Invariants: typmods are encoded as PostgreSQL's; `applyTypmod` is what a cast to a column's type does to a value that
 * is already of the column's base type. Errors: 22001 too long, 22003 numeric overflow, 22023 bad modifiers.
 */
import { DbError } from "../base/errors.js";
import { roundMicros } from "./datetime.js";
import { applyIntervalTypmod, intervalFields, intervalFullRange } from "./interval.js";
import { applyNumericTypmod } from "./numeric.js";
import type { TypeRef } from "./schema.js";
import { charLength, sliceChars } from "./text.js";
import { oids, type TypeDesc, typeByOid, typeByPgName } from "./type-table.js";
import { type Interval, type Numeric, PgArray, TimeTz, type Value, type Wide } from "./value.js";

export { ByteReader, ByteWriter, decodeUtf8 } from "./bytes.js";
export { type Compare, compareOf, type Equals, equalsOf, type Hash, hashOf, isOrdered } from "./compare.js";
export {
  type BinaryWriter,
  binaryWriterOf,
  codecOf,
  type TextOutput,
  textOutputOf,
  typeInput,
  typeOutput,
  typeReceive,
  typeSend,
  vectorOf,
} from "./io.js";
export { defaultSettings, type IoSettings, type ObjectNames, type RegKind } from "./io-settings.js";
export {
  allTypes,
  arrayTypeOf,
  elementTypeOf,
  oids,
  type TypeDesc,
  typeByOid,
  typeByPgName,
  typeOf,
  unsupportedTypeNames,
} from "./type-table.js";

// Names -------------------------------------------------------------------------------------------------------------

/** SQL spellings of types whose pg_type name is another. */
const sqlNames: Readonly<Record<string, number>> = {
  boolean: oids.bool,
  smallint: oids.int2,
  int: oids.int4,
  integer: oids.int4,
  bigint: oids.int8,
  real: oids.float4,
  float: oids.float8,
  "double precision": oids.float8,
  decimal: oids.numeric,
  dec: oids.numeric,
  character: oids.bpchar,
  "character varying": oids.varchar,
  "char varying": oids.varchar,
  "national character": oids.bpchar,
  "national character varying": oids.varchar,
  nchar: oids.bpchar,
  '"char"': oids.char,
  "time without time zone": oids.time,
  "time with time zone": oids.timetz,
  "timestamp without time zone": oids.timestamp,
  "timestamp with time zone": oids.timestamptz,
};

/**
 * The type of a name in SQL: a standard spelling (`double precision`) or pg_type's (`float8`, `_int4`), lower-case,
 * blanks single, without modifiers, with any number of `[]` behind. Bare `char` is char(n), as in SQL; the one-byte
 * type is `"char"` in quotes. Undefined when unknown.
 */
export function typeByName(name: string): TypeDesc | undefined {
  if (name.endsWith("]")) {
    const element = typeByName(name.replace(/ ?(\[[0-9]*\])+$/, ""));
    return element === undefined || element.arrayOid === 0 ? undefined : typeByOid(element.arrayOid);
  }
  if (name === "char") return typeByOid(oids.bpchar);
  const spelled = Object.hasOwn(sqlNames, name) ? sqlNames[name] : undefined;
  return spelled === undefined ? typeByPgName(name) : typeByOid(spelled);
}

const displayNames = new Map<number, string>([
  [oids.bool, "boolean"],
  [oids.int2, "smallint"],
  [oids.int4, "integer"],
  [oids.int8, "bigint"],
  [oids.float4, "real"],
  [oids.float8, "double precision"],
  [oids.char, '"char"'],
  [oids.varchar, "character varying"],
  [oids.time, "time without time zone"],
  [oids.timetz, "time with time zone"],
  [oids.timestamp, "timestamp without time zone"],
  [oids.timestamptz, "timestamp with time zone"],
  [oids.any, '"any"'],
]);

/**
 * format_type: the type as SQL writes it. `typmod` undefined means none was asked about (bpchar shows as `character`);
 * -1 that there is none (`bpchar`). Unknown OIDs show as ???.
 */
export function formatType(oid: number, typmod?: number): string {
  if (oid === 0) return "-";
  const type = typeByOid(oid);
  if (type === undefined) return "???";
  if (type.isArray) return `${formatType(type.elementOid, typmod)}[]`;
  const given = typmod !== undefined && typmod >= 0;
  switch (oid) {
    case oids.bpchar:
      return given ? `character(${typmod - 4})` : typmod === undefined ? "character" : "bpchar";
    case oids.varchar:
      return given ? `character varying(${typmod - 4})` : "character varying";
    case oids.numeric:
      return given ? `numeric(${numericTypmod(typmod).precision},${numericTypmod(typmod).scale})` : "numeric";
    case oids.time:
    case oids.timetz:
    case oids.timestamp:
    case oids.timestamptz: {
      const name = displayNames.get(oid)!;
      return given ? name.replace(/^(time(?:stamp)?)/, `$1(${typmod})`) : name;
    }
    case oids.interval:
      return given ? `interval${formatIntervalTypmod(typmod)}` : "interval";
    default:
      return displayNames.get(oid) ?? type.name;
  }
}

// Modifiers ---------------------------------------------------------------------------------------------------------

export function numericTypmod(typmod: number): { precision: number; scale: number } {
  const packed = typmod - 4;
  return { precision: (packed >> 16) & 0xffff, scale: ((packed & 0x7ff) ^ 1024) - 1024 };
}

const fullPrecision = 0xffff;

export function intervalTypmod(typmod: number): { range: number; precision: number } {
  const precision = typmod & 0xffff;
  return { range: (typmod >> 16) & 0x7fff, precision: precision === fullPrecision ? -1 : precision };
}

export type IntervalField = keyof typeof intervalFields;
const fieldOrder: readonly IntervalField[] = ["year", "month", "day", "hour", "minute", "second"];

/** Field mask of INTERVAL's qualifier: one field, or `from` TO `to`. */
export function intervalRange(from: IntervalField, to: IntervalField = from): number {
  let mask = 0;
  for (let at = fieldOrder.indexOf(from); at <= fieldOrder.indexOf(to); at++) {
    mask |= 1 << intervalFields[fieldOrder[at]!];
  }
  return mask;
}

function formatIntervalTypmod(typmod: number): string {
  const { range, precision } = intervalTypmod(typmod);
  let text = "";
  if (range !== intervalFullRange) {
    const fields = fieldOrder.filter((field) => (range & (1 << intervalFields[field])) !== 0);
    text = ` ${fields[0]}${fields.length > 1 ? ` to ${fields[fields.length - 1]}` : ""}`;
  }
  return precision < 0 ? text : `${text}(${precision})`;
}

const lengthMax = 10485760;

function invalid(message: string): DbError {
  return new DbError("invalidParameterValue", message);
}

/**
 * Encodes modifiers, as written between the parentheses after the type's name. Interval takes the range mask first.
 * Throws 22023 with PostgreSQL's message.
 */
export function encodeTypmod(oid: number, modifiers: readonly number[]): number {
  const type = typeByOid(oid);
  if (type?.isArray === true) return encodeTypmod(type.elementOid, modifiers);
  const [first, second] = modifiers;
  switch (oid) {
    case oids.bpchar:
    case oids.varchar: {
      const name = oid === oids.bpchar ? "char" : "varchar";
      if (modifiers.length !== 1) throw invalid("invalid type modifier");
      if (first! < 1) throw invalid(`length for type ${name} must be at least 1`);
      if (first! > lengthMax) throw invalid(`length for type ${name} cannot exceed ${lengthMax}`);
      return first! + 4;
    }
    case oids.numeric: {
      if (modifiers.length < 1 || modifiers.length > 2) throw invalid("invalid NUMERIC type modifier");
      const scale = second ?? 0;
      if (first! < 1 || first! > 1000) {
        throw invalid(`NUMERIC precision ${first} must be between 1 and 1000`);
      }
      if (scale < -1000 || scale > 1000) {
        throw invalid(`NUMERIC scale ${scale} must be between -1000 and 1000`);
      }
      return ((first! << 16) | (scale & 0x7ff)) + 4;
    }
    case oids.time:
    case oids.timetz:
    case oids.timestamp:
    case oids.timestamptz: {
      if (modifiers.length !== 1) throw invalid("invalid type modifier");
      const name = oid === oids.time || oid === oids.timetz ? "TIME" : "TIMESTAMP";
      const zone = oid === oids.timetz || oid === oids.timestamptz ? " WITH TIME ZONE" : "";
      if (first! < 0) throw invalid(`${name}(${first})${zone} precision must not be negative`);
      return Math.min(first!, 6);
    }
    case oids.interval: {
      const precision = second ?? fullPrecision;
      if (precision < 0) throw invalid(`INTERVAL(${precision}) precision must not be negative`);
      return (
        ((first! & 0x7fff) << 16) | (precision === fullPrecision ? fullPrecision : Math.min(precision, 6))
      );
    }
    default:
      throw new DbError(
        "syntaxError",
        `type modifier is not allowed for type "${type?.name ?? String(oid)}"`,
      );
  }
}

/** The numbers `encodeTypmod` was given; empty for -1. */
export function decodeTypmod(oid: number, typmod: number): readonly number[] {
  if (typmod < 0) return [];
  const type = typeByOid(oid);
  if (type?.isArray === true) return decodeTypmod(type.elementOid, typmod);
  switch (oid) {
    case oids.bpchar:
    case oids.varchar:
      return [typmod - 4];
    case oids.numeric: {
      const { precision, scale } = numericTypmod(typmod);
      return [precision, scale];
    }
    case oids.interval: {
      const { range, precision } = intervalTypmod(typmod);
      return precision < 0 ? [range] : [range, precision];
    }
    default:
      return [typmod];
  }
}

/** The typmod as pg_type's typmodout shows it: "(10,2)". */
export function formatTypmod(oid: number, typmod: number): string {
  if (typmod < 0) return "";
  if (oid === oids.interval) return formatIntervalTypmod(typmod);
  const zone =
    oid === oids.timestamptz || oid === oids.timetz
      ? " with time zone"
      : oid === oids.timestamp || oid === oids.time
        ? " without time zone"
        : "";
  return `(${decodeTypmod(oid, typmod).join(",")})${zone}`;
}

// Coercion ----------------------------------------------------------------------------------------------------------

function clipText(text: string, max: number, name: string, explicit: boolean): string {
  const length = charLength(text);
  if (length <= max) return text;
  const kept = sliceChars(text, 0, max);
  if (!explicit && /[^ ]/.test(text.slice(kept.length))) {
    throw new DbError("stringDataRightTruncation", `value too long for type ${name}(${max})`);
  }
  return kept;
}

/**
 * Makes a value of the type obey its modifiers: lengths, precision, scale. An explicit cast cuts long text silently;
 * otherwise only blanks may go. NULL and types without modifiers pass through.
 */
export function applyTypmod(type: TypeRef, value: Value, explicitCast: boolean): Value {
  const { oid, typmod } = type;
  if (typmod < 0 || value === null) return value;
  switch (oid) {
    case oids.varchar:
      return clipText(value as string, typmod - 4, "character varying", explicitCast);
    case oids.bpchar: {
      const text = clipText(value as string, typmod - 4, "character", explicitCast);
      const missing = typmod - 4 - charLength(text);
      return missing > 0 ? text + " ".repeat(missing) : text;
    }
    case oids.numeric: {
      const { precision, scale } = numericTypmod(typmod);
      return applyNumericTypmod(value as Numeric, precision, scale);
    }
    case oids.time:
    case oids.timestamp:
    case oids.timestamptz:
      return roundMicros(value as Wide, typmod);
    case oids.timetz: {
      const time = value as TimeTz;
      return new TimeTz(Number(roundMicros(time.micros, typmod)), time.zoneSeconds);
    }
    case oids.interval: {
      const { range, precision } = intervalTypmod(typmod);
      return applyIntervalTypmod(value as Interval, range, precision);
    }
    default: {
      const array = typeByOid(oid);
      if (array?.isArray !== true) return value;
      const element: TypeRef = { oid: array.elementOid, typmod };
      const values = value as PgArray;
      return new PgArray(
        values.elementType,
        values.elements.map((item) => applyTypmod(element, item, explicitCast)),
        values.dims,
        values.lowerBounds,
      );
    }
  }
}

/** Whether a cast to the type may have to change a value of the same base type. */
export function hasLengthCoercion(type: TypeRef): boolean {
  return type.typmod >= 0;
}
