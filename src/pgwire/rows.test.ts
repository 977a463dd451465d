import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Batch } from "../model/batch.js";
import { defaultSettings } from "../model/io-settings.js";
import { oids } from "../model/type-table.js";
import { type Value, wide } from "../model/value.js";
import { BufferPool, Output, writeInteger, writeText } from "./output.js";
import { RowFormats } from "./rows.js";
import { column, FakeConnection, plainOutputs } from "./testing.js";

/** What the encoder should write, put together the slow way. */
function naive(rows: readonly (readonly (Buffer | null)[])[]): Buffer {
  const parts: Buffer[] = [];
  for (const row of rows) {
    const values = row.flatMap((value) => {
      const length = Buffer.alloc(4);
      length.writeInt32BE(value === null ? -1 : value.length);
      return value === null ? [length] : [length, value];
    });
    const body = Buffer.concat(values);
    const head = Buffer.alloc(7);
    head.write("D");
    head.writeInt32BE(body.length + 6, 1);
    head.writeInt16BE(row.length, 5);
    parts.push(head, body);
  }
  return Buffer.concat(parts);
}

const binaryOf: Readonly<Record<number, (value: Value) => Buffer>> = {
  [oids.int2]: (value) => {
    const bytes = Buffer.alloc(2);
    bytes.writeInt16BE(value as number);
    return bytes;
  },
  [oids.int4]: (value) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value as number);
    return bytes;
  },
  [oids.int8]: (value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(BigInt(value as number | bigint));
    return bytes;
  },
  [oids.float8]: (value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value as number);
    return bytes;
  },
  [oids.float4]: (value) => {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatBE(value as number);
    return bytes;
  },
  [oids.bool]: (value) => Buffer.from([value === true ? 1 : 0]),
};
const textOf = (oid: number, value: Value): Buffer =>
  Buffer.from(oid === oids.bool ? (value === true ? "t" : "f") : String(value));

const types: readonly (readonly [oid: number, values: fc.Arbitrary<Value>])[] = [
  [oids.int2, fc.integer({ min: -32768, max: 32767 })],
  [oids.int4, fc.integer()],
  [oids.int8, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(wide)],
  [oids.int8, fc.maxSafeInteger()],
  [oids.float8, fc.double({ noNaN: true })],
  [oids.float4, fc.float({ noNaN: true })],
  [oids.bool, fc.boolean()],
  [oids.text, fc.string({ unit: "grapheme", maxLength: 60 })],
  [oids.text, fc.string({ minLength: 20, maxLength: 40 })],
  [oids.date, fc.integer({ min: 0, max: 1000 })],
];

describe("DataRow", () => {
  it("agrees with the naive writer for every type and format", () => {
    const tables = fc
      .array(fc.tuple(fc.constantFrom(...types), fc.boolean()), { minLength: 1, maxLength: 6 })
      .chain((columns) =>
        fc.tuple(
          fc.constant(columns),
          fc.array(fc.tuple(...columns.map(([[, values]]) => fc.option(values, { nil: null }))), {
            maxLength: 20,
          }),
        ),
      );
    fc.assert(
      fc.property(tables, ([columns, rows]) => {
        const described = columns.map(([[oid]], index) => column(`c${index}`, oid));
        const formats = columns.map(([, binary]) => (binary ? 1 : 0));
        const batch = new Batch(columns.length);
        batch.length = rows.length;
        columns.forEach((_, index) => {
          batch.columns[index] = rows.map((row) => row[index]!);
        });
        const client = new FakeConnection();
        const out = new Output(client, new BufferPool(), 1 << 20);
        new RowFormats(plainOutputs).encoderFor(described, formats).encode(out, batch, defaultSettings);
        out.flush();
        const expected = naive(
          rows.map((row) =>
            row.map((value, index) => {
              if (value === null) return null;
              const [[oid], binary] = columns[index]!;
              return binary ? (binaryOf[oid]?.(value) ?? Buffer.from(String(value))) : textOf(oid, value);
            }),
          ),
        );
        expect(client.take().equals(expected)).toBe(true);
      }),
    );
  });

  it("writes rows of many kilobytes whole, and only whole messages leave", () => {
    const described = [column("a", oids.text), column("b", oids.text)];
    const values = ["x".repeat(70_000), "é".repeat(50_000), "", "y".repeat(65_500), null];
    const batch = new Batch(2);
    batch.length = values.length;
    batch.columns[0] = values;
    batch.columns[1] = [...values].reverse();
    const client = new FakeConnection();
    const out = new Output(client, new BufferPool(), 1 << 20);
    out.bare(49);
    new RowFormats(plainOutputs).encoderFor(described, []).encode(out, batch, defaultSettings);
    out.flush();
    const expected = naive(
      values.map((value, row) =>
        [value, batch.columns[1]![row]!].map((one) => (one === null ? null : Buffer.from(String(one)))),
      ),
    );
    expect(client.take().subarray(5).equals(expected)).toBe(true);
  });

  it("leaves out zero bytes in strings that a zero byte would end", () => {
    const client = new FakeConnection();
    const out = new Output(client, new BufferPool(), 1 << 20);
    out.begin(67);
    out.cstring("SEL\0ECT 1");
    out.end();
    out.flush();
    expect(client.take().toString("latin1")).toBe("C\0\0\0\x0dSELECT 1\0");
  });

  it("refuses a type without a binary form", () => {
    expect(() => new RowFormats(plainOutputs).encoderFor([column("n", oids.numeric)], [1])).toThrow(
      "no binary output function available for type numeric",
    );
  });
});

describe("numbers and text", () => {
  it("writes integers as decimal text", () => {
    const buffer = Buffer.alloc(32);
    fc.assert(
      fc.property(
        fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.integer({ min: -1000, max: 1000 })),
        (value) => {
          expect(buffer.toString("latin1", 0, writeInteger(buffer, 0, value))).toBe(String(value));
        },
      ),
    );
    for (let digits = 0; digits < 16; digits++) {
      for (const value of [10 ** digits, 10 ** digits - 1, -(10 ** digits)]) {
        expect(buffer.toString("latin1", 0, writeInteger(buffer, 0, value))).toBe(String(value));
      }
    }
  });
  it("writes text as UTF-8", () => {
    const buffer = Buffer.alloc(400);
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), (text) => {
        fc.pre(Buffer.byteLength(text) < 400);
        expect(buffer.toString("utf8", 0, writeText(buffer, 0, text))).toBe(text);
      }),
    );
  });
});

describe("output", () => {
  it("gives buffers back once the client has read, and holds none while idle", async () => {
    const pool = new BufferPool();
    const client = new FakeConnection();
    const out = new Output(client, pool, 100_000);
    client.stalled = true;
    const buffers = new Set<Buffer>();
    for (let piece = 0; piece < 3; piece++) {
      out.begin(100);
      out.bytes(Buffer.alloc(60_000));
      buffers.add(out.buffer);
      out.end();
      out.flush();
    }
    expect([out.isSlow, out.pendingBytes, buffers.size]).toEqual([true, 180_015, 3]);
    client.unstall();
    await out.drained();
    expect([out.isSlow, out.pendingBytes, out.buffer.length]).toEqual([false, 0, 0]);
    expect(buffers.has(pool.take(1))).toBe(true);
  });
});
