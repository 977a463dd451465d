/**
 * RowDescription and DataRow messages. What a column needs is settled once per (columns, formats); the loop over rows
 * then makes no object, closure or string for integers, booleans, short text and NULL.
 *
 * Invariants: the batch is only read; every DataRow has one value per described column; a value that cannot be written
 * in the asked format raises before its row is sent.
 */
import { assert, DbError } from "../base/errors.js";
import type { Batch } from "../model/batch.js";
import type { IoSettings } from "../model/io-settings.js";
import { oids, typeByOid } from "../model/type-table.js";
import type { Value } from "../model/value.js";
import type { OutputColumn } from "../sql/plan.js";
import { backendTag } from "./messages.js";
import { type Output, writeInt32, writeInteger, writeText } from "./output.js";

/** Text and binary forms by type; see type-outputs.ts. The bytes are read before the next call. */
export interface TypeOutputs {
  textOutputOf(oid: number): (value: Value, settings: IoSettings) => string;
  /** undefined when the type has no binary form. */
  binaryOutputOf(oid: number): ((value: Value, settings: IoSettings) => Uint8Array) | undefined;
}

/** How a column is written; numbers so that the row loop is one dense switch. */
enum Kind {
  integerText,
  textText,
  boolText,
  otherText,
  int2Binary,
  int4Binary,
  int8Binary,
  textBinary,
  boolBinary,
  float8Binary,
  float4Binary,
  otherBinary,
}

/** Bytes that a value of fixed width may take, length word included; variable ones reserve for themselves. */
const fixedBytes = 28;

const textLike: ReadonlySet<number> = new Set([
  oids.text,
  oids.varchar,
  oids.bpchar,
  oids.name,
  oids.char,
  oids.json,
  oids.unknown,
  oids.cstring,
  oids.refcursor,
  oids.uuid,
  oids.jsonb,
]);
const plainTextInBinary: ReadonlySet<number> = new Set([
  oids.text,
  oids.varchar,
  oids.bpchar,
  oids.name,
  oids.char,
  oids.json,
  oids.unknown,
  oids.refcursor,
]);
const integers: ReadonlySet<number> = new Set([
  oids.int2,
  oids.int4,
  oids.int8,
  oids.oid,
  oids.xid,
  oids.cid,
]);

function kindOf(oid: number, binary: boolean): Kind {
  if (!binary) {
    if (integers.has(oid)) return Kind.integerText;
    if (textLike.has(oid)) return Kind.textText;
    return oid === oids.bool ? Kind.boolText : Kind.otherText;
  }
  if (plainTextInBinary.has(oid)) return Kind.textBinary;
  switch (oid) {
    case oids.int2:
      return Kind.int2Binary;
    case oids.int4:
    case oids.oid:
    case oids.xid:
    case oids.cid:
      return Kind.int4Binary;
    case oids.int8:
      return Kind.int8Binary;
    case oids.bool:
      return Kind.boolBinary;
    case oids.float8:
      return Kind.float8Binary;
    case oids.float4:
      return Kind.float4Binary;
    default:
      return Kind.otherBinary;
  }
}

/** Format of one column: none given means text, one given means that one for all (Bind). */
export function formatOf(formats: readonly number[], column: number): number {
  return formats.length === 0 ? 0 : formats.length === 1 ? formats[0]! : (formats[column] ?? 0);
}

const float = new Float64Array(1);
const floatBytes = new Uint8Array(float.buffer);
const single = new Float32Array(1);
const singleBytes = new Uint8Array(single.buffer);

export class RowEncoder {
  readonly #kinds: Kind[] = [];
  readonly #text: ((value: Value, settings: IoSettings) => string)[] = [];
  readonly #binary: ((value: Value, settings: IoSettings) => Uint8Array)[] = [];

  constructor(
    private readonly columns: readonly OutputColumn[],
    private readonly formats: readonly number[],
    outputs: TypeOutputs,
  ) {
    columns.forEach((column, index) => {
      const format = formatOf(formats, index);
      const oid = column.type.oid;
      const kind = kindOf(oid, format === 1);
      this.#kinds.push(kind);
      const unused = (): never => assert(false, "this column has a writer of its own") as never;
      this.#text.push(kind === Kind.otherText ? outputs.textOutputOf(oid) : unused);
      let binary: ((value: Value, settings: IoSettings) => Uint8Array) | undefined = unused;
      if (kind === Kind.otherBinary) binary = outputs.binaryOutputOf(oid);
      if (binary === undefined) {
        throw new DbError(
          "undefinedFunction",
          `no binary output function available for type ${typeByOid(oid)?.name ?? oid}`,
        );
      }
      this.#binary.push(binary);
    });
  }

  /** Made for these formats? `columns` are compared by the caller. */
  fits(formats: readonly number[]): boolean {
    if (formats === this.formats) return true;
    for (let column = 0; column < this.columns.length; column++) {
      if (formatOf(formats, column) !== formatOf(this.formats, column)) return false;
    }
    return true;
  }

  /** Writes one DataRow per row of the batch. */
  encode(out: Output, batch: Batch, settings: IoSettings): void {
    const width = this.#kinds.length;
    assert(batch.width >= width, "a batch has every described column");
    const rows = batch.length;
    const kinds = this.#kinds;
    const columns = batch.columns;
    const head = 7 + width * fixedBytes;
    for (let row = 0; row < rows; row++) {
      out.reserve(head);
      out.begin(backendTag.dataRow);
      let buffer = out.buffer;
      let at = out.at;
      buffer[at++] = width >>> 8;
      buffer[at++] = width;
      for (let column = 0; column < width; column++) {
        const value = columns[column]![row]!;
        if (value === null) {
          buffer[at] = buffer[at + 1] = buffer[at + 2] = buffer[at + 3] = 255;
          at += 4;
          continue;
        }
        switch (kinds[column]!) {
          case Kind.integerText: {
            if (typeof value === "number") {
              const end = writeInteger(buffer, at + 4, value);
              buffer[at] = buffer[at + 1] = buffer[at + 2] = 0;
              buffer[at + 3] = end - at - 4;
              at = end;
            } else {
              const text = String(value);
              const end = writeText(buffer, at + 4, text);
              writeInt32(buffer, at, end - at - 4);
              at = end;
            }
            break;
          }
          case Kind.textText:
          case Kind.textBinary: {
            const text = value as string;
            const room = text.length * 3 + 4 + (width - column) * fixedBytes;
            if (at + room > buffer.length) {
              out.at = at;
              out.reserve(room);
              buffer = out.buffer;
              at = out.at;
            }
            const end = writeText(buffer, at + 4, text);
            writeInt32(buffer, at, end - at - 4);
            at = end;
            break;
          }
          case Kind.boolText:
            buffer[at] = buffer[at + 1] = buffer[at + 2] = 0;
            buffer[at + 3] = 1;
            buffer[at + 4] = value === true ? 116 : 102;
            at += 5;
            break;
          case Kind.boolBinary:
            buffer[at] = buffer[at + 1] = buffer[at + 2] = 0;
            buffer[at + 3] = 1;
            buffer[at + 4] = value === true ? 1 : 0;
            at += 5;
            break;
          case Kind.int2Binary: {
            const number = value as number;
            buffer[at] = buffer[at + 1] = buffer[at + 2] = 0;
            buffer[at + 3] = 2;
            buffer[at + 4] = number >> 8;
            buffer[at + 5] = number;
            at += 6;
            break;
          }
          case Kind.int4Binary:
            writeInt32(buffer, at, 4);
            writeInt32(buffer, at + 4, value as number);
            at += 8;
            break;
          case Kind.int8Binary:
            writeInt32(buffer, at, 8);
            writeWide(buffer, at + 4, value as number | bigint);
            at += 12;
            break;
          case Kind.float8Binary:
            writeInt32(buffer, at, 8);
            float[0] = value as number;
            for (let byte = 0; byte < 8; byte++) buffer[at + 4 + byte] = floatBytes[7 - byte]!;
            at += 12;
            break;
          case Kind.float4Binary:
            writeInt32(buffer, at, 4);
            single[0] = value as number;
            for (let byte = 0; byte < 4; byte++) buffer[at + 4 + byte] = singleBytes[3 - byte]!;
            at += 8;
            break;
          case Kind.otherText: {
            const text = this.#text[column]!(value, settings);
            const room = text.length * 3 + 4 + (width - column) * fixedBytes;
            if (at + room > buffer.length) {
              out.at = at;
              out.reserve(room);
              buffer = out.buffer;
              at = out.at;
            }
            const end = writeText(buffer, at + 4, text);
            writeInt32(buffer, at, end - at - 4);
            at = end;
            break;
          }
          case Kind.otherBinary: {
            const bytes = this.#binary[column]!(value, settings);
            const room = bytes.length + 4 + (width - column) * fixedBytes;
            if (at + room > buffer.length) {
              out.at = at;
              out.reserve(room);
              buffer = out.buffer;
              at = out.at;
            }
            writeInt32(buffer, at, bytes.length);
            buffer.set(bytes, at + 4);
            at += 4 + bytes.length;
            break;
          }
        }
      }
      out.at = at;
      out.end();
    }
  }
}

/** int8, big-endian: number when safe, else bigint (value.ts). */
function writeWide(buffer: Buffer, at: number, value: number | bigint): void {
  if (typeof value === "number") {
    const high = Math.floor(value / 4_294_967_296);
    writeInt32(buffer, at, high);
    writeInt32(buffer, at + 4, value - high * 4_294_967_296);
  } else {
    buffer.writeBigInt64BE(value, at);
  }
}

/**
 * Encoders by column list: plans keep their column arrays, so a cached statement finds its encoder and its
 * RowDescription bytes again.
 */
export class RowFormats {
  readonly #encoders = new WeakMap<readonly OutputColumn[], RowEncoder[]>();
  readonly #descriptions = new WeakMap<readonly OutputColumn[], { encoder: RowEncoder; bytes: Uint8Array }>();
  #lastColumns: readonly OutputColumn[] | undefined;
  #last: RowEncoder | undefined;

  constructor(private readonly outputs: TypeOutputs) {}

  encoderFor(columns: readonly OutputColumn[], formats: readonly number[]): RowEncoder {
    if (columns === this.#lastColumns && this.#last!.fits(formats)) return this.#last!;
    let known = this.#encoders.get(columns);
    if (known === undefined) this.#encoders.set(columns, (known = []));
    let encoder = known.find((one) => one.fits(formats));
    if (encoder === undefined) {
      encoder = new RowEncoder(columns, [...formats], this.outputs);
      if (known.length < 4) known.push(encoder);
    }
    this.#lastColumns = columns;
    this.#last = encoder;
    return encoder;
  }

  /** Writes RowDescription; the bytes of the format used last are kept with the columns. */
  describe(out: Output, columns: readonly OutputColumn[], formats: readonly number[]): void {
    const encoder = this.encoderFor(columns, formats);
    const known = this.#descriptions.get(columns);
    if (known !== undefined && known.encoder === encoder) {
      out.copy(known.bytes);
      return;
    }
    out.begin(backendTag.rowDescription);
    out.int16(columns.length);
    columns.forEach((column, index) => {
      out.cstring(column.name);
      out.int32(column.tableId ?? 0);
      out.int16(column.attribute ?? 0);
      out.int32(column.type.oid);
      out.int16(typeByOid(column.type.oid)?.length ?? -1);
      out.int32(column.type.typmod);
      out.int16(formatOf(formats, index));
    });
    this.#descriptions.set(columns, { encoder, bytes: out.endCopied() });
  }
}
