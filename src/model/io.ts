/**
 * Text and binary forms of every type: one table of codecs by OID, array types made from their element's.
 *
 * Invariants: text output reads back to an equal value under the same settings; binary forms are PostgreSQL 15's, byte
 * for byte. Input errors are PostgreSQL's: 22P02, 22003, 22007, 22008, 22P03, 08P01.
 */
import { assert, DbError, notSupported } from "../base/errors.js";
import { formatArray, parseArray, quoteField } from "./array.js";
import { formatBytea, parseBytea } from "./bytea.js";
import { ByteReader, ByteWriter, decodeUtf8 } from "./bytes.js";
import {
  dateOutOfRange,
  formatDate,
  formatTime,
  formatTimestamp,
  formatTimestampTz,
  formatTimeTz,
  isValidDate,
  isValidTimestamp,
  microsPerDay,
  parseDate,
  parseTime,
  parseTimestamp,
  parseTimestampTz,
  parseTimeTz,
  timestampOutOfRange,
} from "./datetime.js";
import { formatFloat4, formatFloat8, parseFloat4, parseFloat8 } from "./float.js";
import { int8Max, int8Min, parseInteger } from "./int8.js";
import { formatInterval, intervalFullRange, parseInterval } from "./interval.js";
import { defaultSettings, type IoSettings, type RegKind } from "./io-settings.js";
import { canonicalJsonb, parseJson } from "./json.js";
import {
  formatNumeric,
  numericFromGroups,
  numericGroups,
  numericInfinity,
  numericMinusInfinity,
  numericNaN,
  parseNumeric,
} from "./numeric.js";
import { clipBytes } from "./text.js";
import { oids, typeByOid, typeOf } from "./type-table.js";
import { parseUuid, uuidBytes, uuidFromBytes } from "./uuid.js";
import { Interval, type Numeric, PgArray, type RowValue, TimeTz, type Value, type Wide } from "./value.js";

export type TextInput = (text: string, settings: IoSettings, typmod: number) => Value;
export type TextOutput = (value: Value, settings: IoSettings) => string;
/** Writes the payload alone; the caller writes the length. */
export type BinaryWriter = (value: Value, writer: ByteWriter) => void;
export type BinaryReader = (bytes: Uint8Array, settings: IoSettings) => Value;

export interface Codec {
  readonly input: TextInput;
  readonly output: TextOutput;
  readonly write: BinaryWriter;
  readonly read: BinaryReader;
}

const codecs = new Map<number, Codec>();

function wrongLength(): DbError {
  return new DbError("invalidBinaryRepresentation", "incorrect binary data format in bind parameter");
}

/** Binary forms of one fixed size. */
function fixed(size: number, read: (reader: ByteReader) => Value): BinaryReader {
  return (bytes) => {
    if (bytes.length < size) throw new DbError("protocolViolation", "insufficient data left in message");
    if (bytes.length > size) throw wrongLength();
    return read(new ByteReader(bytes));
  };
}

function noBinary(name: string): Pick<Codec, "write" | "read"> {
  return {
    write: () => {
      throw new DbError("undefinedFunction", `no binary output function available for type ${name}`);
    },
    read: () => {
      throw new DbError("undefinedFunction", `no binary input function available for type ${name}`);
    },
  };
}

// Booleans and numbers ----------------------------------------------------------------------------------------------

const booleanWords: readonly (readonly [word: string, shortest: number, value: boolean])[] = [
  ["true", 1, true],
  ["false", 1, false],
  ["yes", 1, true],
  ["no", 1, false],
  ["on", 2, true],
  ["off", 2, false],
  ["1", 1, true],
  ["0", 1, false],
];

export function parseBoolean(text: string): boolean {
  const word = text.trim().toLowerCase();
  for (const [name, shortest, value] of booleanWords) {
    if (word.length >= shortest && name.startsWith(word)) return value;
  }
  throw new DbError("invalidTextRepresentation", `invalid input syntax for type boolean: "${text}"`);
}

codecs.set(oids.bool, {
  input: parseBoolean,
  output: (value) => (value === true ? "t" : "f"),
  write: (value, writer) => writer.int8(value === true ? 1 : 0),
  read: fixed(1, (reader) => reader.uint8() !== 0),
});

codecs.set(oids.int2, {
  input: (text) => parseInteger(text, -32768, 32767, "smallint"),
  output: String,
  write: (value, writer) => writer.int16(value as number),
  read: fixed(2, (reader) => reader.int16()),
});
codecs.set(oids.int4, {
  input: (text) => parseInteger(text, -2147483648, 2147483647, "integer"),
  output: String,
  write: (value, writer) => writer.int32(value as number),
  read: fixed(4, (reader) => reader.int32()),
});
codecs.set(oids.int8, {
  input: (text) => parseInteger(text, int8Min, int8Max, "bigint"),
  output: String,
  write: (value, writer) => writer.int64(value as Wide),
  read: fixed(8, (reader) => reader.int64()),
});
codecs.set(oids.float4, {
  input: parseFloat4,
  output: (value, settings) => formatFloat4(value as number, settings.extraFloatDigits),
  write: (value, writer) => writer.float32(value as number),
  read: fixed(4, (reader) => reader.float32()),
});
codecs.set(oids.float8, {
  input: parseFloat8,
  output: (value, settings) => formatFloat8(value as number, settings.extraFloatDigits),
  write: (value, writer) => writer.float64(value as number),
  read: fixed(8, (reader) => reader.float64()),
});

const numericNegative = 0x4000;
const numericNaNSign = 0xc000;
const numericInfinitySign = 0xd000;
const numericMinusInfinitySign = 0xf000;

function writeNumeric(value: Value, writer: ByteWriter): void {
  const numeric = value as Numeric;
  if (numeric.special !== "") {
    const sign =
      numeric.special === "NaN"
        ? numericNaNSign
        : numeric.special === "Infinity"
          ? numericInfinitySign
          : numericMinusInfinitySign;
    writer.int16(0);
    writer.int16(0);
    writer.int16(sign);
    // PostgreSQL's infinities happen to carry a scale of 32.
    writer.int16(numeric.special === "NaN" ? 0 : 32);
    return;
  }
  const { weight, digits } = numericGroups(numeric);
  writer.int16(digits.length);
  writer.int16(weight);
  writer.int16(numeric.coefficient < 0 ? numericNegative : 0);
  writer.int16(numeric.scale);
  for (const digit of digits) writer.int16(digit);
}

function readNumeric(bytes: Uint8Array): Value {
  const reader = new ByteReader(bytes);
  const count = reader.uint16();
  const weight = reader.int16();
  const sign = reader.uint16();
  const scale = reader.uint16();
  const digits: number[] = [];
  for (let at = 0; at < count; at++) {
    const digit = reader.int16();
    if (digit < 0 || digit > 9999) {
      throw new DbError("invalidBinaryRepresentation", 'invalid digit in external "numeric" value');
    }
    digits.push(digit);
  }
  if (reader.remaining > 0) throw wrongLength();
  if (sign === numericNaNSign) return numericNaN;
  if (sign === numericInfinitySign) return numericInfinity;
  if (sign === numericMinusInfinitySign) return numericMinusInfinity;
  if (sign !== 0 && sign !== numericNegative) {
    throw new DbError("invalidBinaryRepresentation", 'invalid sign in external "numeric" value');
  }
  if (scale > 16383) {
    throw new DbError("invalidBinaryRepresentation", 'invalid scale in external "numeric" value');
  }
  return numericFromGroups(sign === numericNegative, weight, digits, scale);
}

codecs.set(oids.numeric, {
  input: parseNumeric,
  output: (value) => formatNumeric(value as Numeric),
  write: writeNumeric,
  read: readNumeric,
});

// Text-like ---------------------------------------------------------------------------------------------------------

const sameText: TextInput = (text) => text;
const asText: TextOutput = (value) => value as string;
const textBinary: Pick<Codec, "write" | "read"> = {
  write: (value, writer) => writer.utf8(value as string),
  read: decodeUtf8,
};
const textCodec: Codec = { input: sameText, output: asText, ...textBinary };
for (const oid of [oids.text, oids.varchar, oids.bpchar, oids.unknown, oids.cstring, oids.refcursor]) {
  codecs.set(oid, textCodec);
}
codecs.set(oids.pg_node_tree, {
  ...textCodec,
  input: () => {
    throw new DbError("featureNotSupported", "cannot accept a value of type pg_node_tree");
  },
});
/** Of columns of PostgreSQL's catalogs alone: nobody can name these types, and what there is of their values is text. */
const catalogTypes: Readonly<Record<number, string>> = {
  869: "inet",
  3220: "pg_lsn",
  3361: "pg_ndistinct",
  3402: "pg_dependencies",
  5017: "pg_mcv_list",
  10028: "pg_statistic[]",
};
for (const [oid, name] of Object.entries(catalogTypes))
  codecs.set(Number(oid), { input: sameText, output: asText, ...noBinary(name) });
codecs.set(oids.aclitem, { input: sameText, output: asText, ...noBinary("aclitem") });

const nameBytesMax = 63;
codecs.set(oids.name, {
  input: (text) => clipBytes(text, nameBytesMax),
  output: asText,
  write: textBinary.write,
  read: (bytes) => {
    if (bytes.length > nameBytesMax) {
      throw new DbError("nameTooLong", "identifier too long", {
        detail: `Identifier must be less than ${nameBytesMax + 1} characters.`,
      });
    }
    return decodeUtf8(bytes);
  },
});

/** "char": one byte; shown as an octal escape when it is not ASCII. */
function parseChar(text: string): string {
  const octal = /^\\([0-3][0-7]{2})$/.exec(text);
  if (octal !== null) {
    const code = Number.parseInt(octal[1]!, 8);
    return code === 0 ? "" : String.fromCharCode(code);
  }
  if (text === "") return "";
  const code = text.charCodeAt(0);
  return code < 0x80 ? text[0]! : String.fromCharCode(Buffer.from(text.slice(0, 2), "utf8")[0]!);
}

codecs.set(oids.char, {
  input: parseChar,
  output: (value) => {
    const code = (value as string) === "" ? 0 : (value as string).charCodeAt(0);
    return code < 0x80 ? (value as string) : `\\${code.toString(8)}`;
  },
  write: (value, writer) => writer.int8((value as string) === "" ? 0 : (value as string).charCodeAt(0)),
  read: fixed(1, (reader) => {
    const code = reader.uint8();
    return code === 0 ? "" : String.fromCharCode(code);
  }),
});

codecs.set(oids.bytea, {
  input: parseBytea,
  output: (value, settings) => formatBytea(value as Uint8Array, settings.byteaOutput),
  write: (value, writer) => writer.bytes(value as Uint8Array),
  read: (bytes) => Buffer.from(bytes),
});

codecs.set(oids.uuid, {
  input: parseUuid,
  output: asText,
  write: (value, writer) => writer.bytes(uuidBytes(value as string)),
  read: fixed(16, (reader) => uuidFromBytes(reader.view(16))),
});

function checkedJson(text: string): string {
  parseJson(text);
  return text;
}

codecs.set(oids.json, {
  input: checkedJson,
  output: asText,
  write: textBinary.write,
  read: (bytes) => checkedJson(decodeUtf8(bytes)),
});

const jsonbVersion = 1;
codecs.set(oids.jsonb, {
  input: canonicalJsonb,
  output: asText,
  write: (value, writer) => {
    writer.int8(jsonbVersion);
    writer.utf8(value as string);
  },
  read: (bytes) => {
    if (bytes.length < 1) throw new DbError("protocolViolation", "insufficient data left in message");
    if (bytes[0] !== jsonbVersion) {
      throw new DbError("internalError", `unsupported jsonb version number ${bytes[0]}`);
    }
    return canonicalJsonb(decodeUtf8(bytes.subarray(1)));
  },
});

// Dates and times ---------------------------------------------------------------------------------------------------

codecs.set(oids.date, {
  input: parseDate,
  output: (value, settings) => formatDate(value as number, settings),
  write: (value, writer) =>
    writer.int32(value === Infinity ? 2147483647 : value === -Infinity ? -2147483648 : (value as number)),
  read: fixed(4, (reader) => {
    const days = reader.int32();
    if (days === 2147483647) return Infinity;
    if (days === -2147483648) return -Infinity;
    if (!isValidDate(days)) throw dateOutOfRange();
    return days;
  }),
});

function checkTime(micros: Wide): number {
  if (micros < 0 || micros > microsPerDay) throw new DbError("datetimeFieldOverflow", "time out of range");
  return Number(micros);
}

codecs.set(oids.time, {
  input: parseTime,
  output: (value) => formatTime(value as number),
  write: (value, writer) => writer.int64(value as number),
  read: fixed(8, (reader) => checkTime(reader.int64())),
});

codecs.set(oids.timetz, {
  input: parseTimeTz,
  output: (value) => formatTimeTz(value as TimeTz),
  write: (value, writer) => {
    writer.int64((value as TimeTz).micros);
    writer.int32((value as TimeTz).zoneSeconds);
  },
  read: fixed(12, (reader) => {
    const micros = checkTime(reader.int64());
    const zone = reader.int32();
    if (Math.abs(zone) >= 16 * 3600) {
      throw new DbError("invalidTimeZoneDisplacementValue", "time zone displacement out of range");
    }
    return new TimeTz(micros, zone);
  }),
});

const timestampBinary: Pick<Codec, "write" | "read"> = {
  write: (value, writer) =>
    writer.int64(value === Infinity ? int8Max : value === -Infinity ? int8Min : (value as Wide)),
  read: fixed(8, (reader) => {
    const micros = reader.int64();
    if (micros === int8Max) return Infinity;
    if (micros === int8Min) return -Infinity;
    if (!isValidTimestamp(micros)) throw timestampOutOfRange();
    return micros;
  }),
};
codecs.set(oids.timestamp, {
  input: parseTimestamp,
  output: (value, settings) => formatTimestamp(value as Wide, settings),
  ...timestampBinary,
});
codecs.set(oids.timestamptz, {
  input: parseTimestampTz,
  output: (value, settings) => formatTimestampTz(value as Wide, settings),
  ...timestampBinary,
});

codecs.set(oids.interval, {
  input: (text, settings, typmod) =>
    parseInterval(text, typmod < 0 ? intervalFullRange : (typmod >> 16) & 0x7fff, settings.intervalStyle),
  output: (value, settings) => formatInterval(value as Interval, settings.intervalStyle),
  write: (value, writer) => {
    const interval = value as Interval;
    writer.int64(interval.micros);
    writer.int32(interval.days);
    writer.int32(interval.months);
  },
  read: fixed(16, (reader) => {
    const micros = reader.int64();
    const days = reader.int32();
    return new Interval(reader.int32(), days, micros);
  }),
});

// Identifiers -------------------------------------------------------------------------------------------------------

const unsignedText = /^[ \t\n\v\f\r]*([+-]?[0-9]+)/;

/** Unsigned 32 bits; negative input wraps, as PostgreSQL's strtoul does. */
function parseUnsigned(text: string, type: string): number {
  const match = unsignedText.exec(text);
  if (match === null || text.slice(match[0].length).trim() !== "") {
    throw new DbError("invalidTextRepresentation", `invalid input syntax for type ${type}: "${text}"`);
  }
  const value = Number(match[1]);
  if (value > 4294967295 || value < -2147483648) {
    throw new DbError("numericValueOutOfRange", `value "${text}" is out of range for type ${type}`);
  }
  return value >>> 0;
}

const unsignedBinary: Pick<Codec, "write" | "read"> = {
  write: (value, writer) => writer.int32(value as number),
  read: fixed(4, (reader) => reader.uint32()),
};
codecs.set(oids.oid, { input: (text) => parseUnsigned(text, "oid"), output: String, ...unsignedBinary });
/** xid and cid take what digits there are, as PostgreSQL 15 does: other text is 0. */
function parseLoose(text: string): number {
  return Number(unsignedText.exec(text)?.[1] ?? 0) >>> 0;
}
codecs.set(oids.xid, { input: parseLoose, output: String, ...unsignedBinary });
codecs.set(oids.cid, { input: parseLoose, output: String, ...unsignedBinary });
codecs.set(oids.xid8, {
  input: (text) => parseInteger(text, 0, int8Max, "xid8"),
  output: String,
  write: (value, writer) => writer.int64(value as Wide),
  read: fixed(8, (reader) => reader.int64()),
});

codecs.set(oids.tid, {
  input: (text) => {
    const match = /^\(([0-9]{1,10}),([0-9]{1,5})\)$/.exec(text.trim());
    if (match === null || Number(match[1]) > 4294967295 || Number(match[2]) > 65535) {
      throw new DbError("invalidTextRepresentation", `invalid input syntax for type tid: "${text}"`);
    }
    return `(${Number(match[1])},${Number(match[2])})`;
  },
  output: asText,
  write: (value, writer) => {
    const [block, offset] = (value as string).slice(1, -1).split(",").map(Number) as [number, number];
    writer.int32(block);
    writer.int16(offset);
  },
  read: fixed(6, (reader) => {
    const block = reader.uint32();
    return `(${block},${reader.uint16()})`;
  }),
});

/** What a reg type calls a name it cannot find: condition and message. */
const regMissing: Readonly<Record<RegKind, (name: string) => DbError>> = {
  regclass: (name) => new DbError("undefinedTable", `relation "${name}" does not exist`),
  regtype: (name) => new DbError("undefinedObject", `type "${name}" does not exist`),
  regproc: (name) => new DbError("undefinedFunction", `function "${name}" does not exist`),
  regprocedure: (name) => new DbError("undefinedFunction", `function "${name}" does not exist`),
  regoper: (name) => new DbError("undefinedFunction", `operator does not exist: ${name}`),
  regoperator: (name) => new DbError("undefinedFunction", `operator does not exist: ${name}`),
  regnamespace: (name) => new DbError("invalidSchemaName", `schema "${name}" does not exist`),
  regrole: (name) => new DbError("undefinedObject", `role "${name}" does not exist`),
  regcollation: (name) =>
    new DbError("undefinedObject", `collation "${name}" for encoding "UTF8" does not exist`),
};

function regCodec(kind: RegKind): Codec {
  return {
    input: (text, settings) => {
      if (text === "-") return 0;
      if (/^[0-9]+$/.test(text)) return parseUnsigned(text, "oid");
      const oid = settings.service("objectNames").regOid(kind, text);
      if (oid === undefined) throw regMissing[kind](text);
      return oid;
    },
    output: (value, settings) =>
      value === 0 && kind !== "regoper" && kind !== "regoperator"
        ? "-"
        : (settings.service("objectNames").regName(kind, value as number) ?? String(value)),
    ...unsignedBinary,
  };
}
for (const kind of Object.keys(regMissing) as RegKind[]) codecs.set(oids[kind], regCodec(kind));

// Pseudo types ------------------------------------------------------------------------------------------------------

codecs.set(oids.void, {
  input: () => "",
  output: () => "",
  write: () => undefined,
  read: () => "",
});

for (const name of [
  "any",
  "anyarray",
  "anyelement",
  "anynonarray",
  "anycompatible",
  "anycompatiblearray",
  "anycompatiblenonarray",
  "trigger",
  "event_trigger",
  "internal",
] as const) {
  const refuse = (verb: string): (() => never) => {
    return () => {
      throw new DbError("featureNotSupported", `cannot ${verb} a value of type ${name}`);
    };
  };
  // Catalog columns such as pg_statistic's are of type anyarray: those are shown.
  const shown = name === "anyarray" || name === "anycompatiblearray";
  codecs.set(oids[name], {
    input: refuse("accept"),
    output: shown ? (value, settings) => arrayText(value as PgArray, settings) : refuse("display"),
    write: shown ? (value, writer) => writeArray(value as PgArray, writer) : refuse("display"),
    read: refuse("accept"),
  });
}

// Arrays, vectors and rows ------------------------------------------------------------------------------------------

function arrayText(array: PgArray, settings: IoSettings): string {
  const { output } = codecOf(array.elementType);
  return formatArray(array, (value) => output(value, settings));
}

function writeArray(array: PgArray, writer: ByteWriter): void {
  const { write } = codecOf(array.elementType);
  writer.int32(array.dims.length);
  writer.int32(array.elements.includes(null) ? 1 : 0);
  writer.int32(array.elementType);
  array.dims.forEach((size, dimension) => {
    writer.int32(size);
    writer.int32(array.lowerBounds[dimension]!);
  });
  for (const element of array.elements) writeSized(element, write, writer);
}

function writeSized(value: Value, write: BinaryWriter, writer: ByteWriter): void {
  if (value === null) {
    writer.int32(-1);
    return;
  }
  const at = writer.length;
  writer.int32(0);
  write(value, writer);
  writer.patchInt32(at, writer.length - at - 4);
}

function readArray(bytes: Uint8Array, elementType: number, settings: IoSettings): PgArray {
  const reader = new ByteReader(bytes);
  const dimensions = reader.int32();
  if (dimensions < 0 || dimensions > 6) {
    throw new DbError(
      dimensions < 0 ? "invalidBinaryRepresentation" : "programLimitExceeded",
      dimensions < 0
        ? `invalid number of dimensions: ${dimensions}`
        : `number of array dimensions (${dimensions}) exceeds the maximum allowed (6)`,
    );
  }
  const flags = reader.int32();
  if (flags !== 0 && flags !== 1) {
    throw new DbError("invalidBinaryRepresentation", "invalid array flags");
  }
  const sent = reader.uint32();
  if (sent !== elementType) {
    throw new DbError(
      "datatypeMismatch",
      `binary data has array element type ${sent} (${typeByOid(sent)?.name ?? "???"}) instead of expected ${elementType} (${typeOf(elementType).name})`,
    );
  }
  const dims: number[] = [];
  const lower: number[] = [];
  let count = dimensions === 0 ? 0 : 1;
  for (let dimension = 0; dimension < dimensions; dimension++) {
    const size = reader.int32();
    if (size < 0) throw new DbError("invalidBinaryRepresentation", "invalid array size");
    dims.push(size);
    lower.push(reader.int32());
    count *= size;
  }
  // Every element takes at least its length word, so a larger count is a lie.
  if (count * 4 > reader.remaining) {
    throw new DbError("protocolViolation", "insufficient data left in message");
  }
  const { read } = codecOf(elementType);
  const elements: Value[] = [];
  for (let at = 0; at < count; at++) elements.push(readSized(reader, read, settings));
  if (reader.remaining > 0) throw wrongLength();
  return count === 0 ? new PgArray(elementType, [], [], []) : new PgArray(elementType, elements, dims, lower);
}

function readSized(reader: ByteReader, read: BinaryReader, settings: IoSettings): Value {
  const length = reader.int32();
  if (length === -1) return null;
  return read(reader.view(length), settings);
}

function arrayCodec(elementType: number): Codec {
  return {
    input: (text, settings, typmod) => {
      const { input } = codecOf(elementType);
      return parseArray(text, elementType, (element) => input(element, settings, typmod));
    },
    output: (value, settings) => arrayText(value as PgArray, settings),
    write: (value, writer) => writeArray(value as PgArray, writer),
    read: (bytes, settings) => readArray(bytes, elementType, settings),
  };
}

function vectorCodec(elementType: number): Codec {
  return {
    input: (text, settings) => {
      const { input } = codecOf(elementType);
      const words = text.trim() === "" ? [] : text.trim().split(/\s+/);
      return vectorOf(
        elementType,
        words.map((word) => input(word, settings, -1)),
      );
    },
    output: (value) => (value as PgArray).elements.join(" "),
    write: (value, writer) => writeArray(value as PgArray, writer),
    read: (bytes, settings) => {
      const array = readArray(bytes, elementType, settings);
      return vectorOf(elementType, array.elements);
    },
  };
}

/** int2vector and oidvector: one dimension, counted from 0, even when empty. */
export function vectorOf(elementType: number, elements: readonly Value[]): PgArray {
  return new PgArray(elementType, elements, [elements.length], [0]);
}
codecs.set(oids.int2vector, vectorCodec(oids.int2));
codecs.set(oids.oidvector, vectorCodec(oids.oid));

codecs.set(oids.record, {
  input: () => {
    throw new DbError("featureNotSupported", "input of anonymous composite types is not implemented");
  },
  output: (value, settings) => {
    const row = value as RowValue;
    const fields = row.values.map((field, at) =>
      field === null ? "" : quoteField(codecOf(row.types[at]!).output(field, settings)),
    );
    return `(${fields.join(",")})`;
  },
  write: (value, writer) => {
    const row = value as RowValue;
    writer.int32(row.values.length);
    row.values.forEach((field, at) => {
      writer.int32(row.types[at]!);
      writeSized(field, codecOf(row.types[at]!).write, writer);
    });
  },
  read: () => {
    throw new DbError("featureNotSupported", "input of anonymous composite types is not implemented");
  },
});

// Access ------------------------------------------------------------------------------------------------------------

/** The codec of a type. 0A000 for a type the table lists but nothing can read or write. */
export function codecOf(oid: number): Codec {
  const known = codecs.get(oid);
  if (known !== undefined) return known;
  const type = typeByOid(oid);
  assert(type !== undefined, `type ${oid} is not in the table`);
  if (!type.isArray) throw notSupported(`type ${type.name}`);
  const codec = arrayCodec(type.elementOid);
  codecs.set(oid, codec);
  return codec;
}

/** Reads a type's text form. */
export function typeInput(
  oid: number,
  text: string,
  settings: IoSettings = defaultSettings,
  typmod = -1,
): Value {
  return codecOf(oid).input(text, settings, typmod);
}

/** A non-null value's text form. */
export function typeOutput(oid: number, value: Value, settings: IoSettings = defaultSettings): string {
  return codecOf(oid).output(value, settings);
}

/** A non-null value's binary form. */
export function typeSend(oid: number, value: Value): Buffer {
  const writer = new ByteWriter(32);
  codecOf(oid).write(value, writer);
  return writer.take();
}

export function typeReceive(oid: number, bytes: Uint8Array, settings: IoSettings = defaultSettings): Value {
  return codecOf(oid).read(bytes, settings);
}

/** One closure per type, so that call sites stay monomorphic. */
export function textOutputOf(oid: number): TextOutput {
  return codecOf(oid).output;
}

export function binaryWriterOf(oid: number): BinaryWriter {
  return codecOf(oid).write;
}
