import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { encodeKey, isIndexable, type KeyColumn, keyEncoder, keySuccessor } from "./codec-key.js";
import { oids } from "./type-table.js";
import { Interval, Numeric, PgArray, TimeTz, type Value, wide } from "./value.js";

const limit = { bytesMax: 5461 };
const column = (oid: number, descending = false, nullsFirst = false): KeyColumn => ({
  type: { oid, typmod: -1 },
  descending,
  nullsFirst,
});

function keyOf(columns: readonly KeyColumn[], values: readonly Value[]): Uint8Array {
  const into = new Uint8Array(6000).fill(0xaa);
  const end = keyEncoder(columns, limit).encode(values, into, 3);
  return into.slice(3, end);
}
const order = (a: Uint8Array, b: Uint8Array): number => Math.sign(Buffer.compare(a, b));
const compare = <T extends number | bigint>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);

/** SQL order of each type, written as plainly as possible: the naive twin. */
const floats = (a: number, b: number): number =>
  Number.isNaN(a) || Number.isNaN(b) ? Number(Number.isNaN(a)) - Number(Number.isNaN(b)) : compare(a, b);
const utf8 = (a: string, b: string): number => order(Buffer.from(a, "utf8"), Buffer.from(b, "utf8"));
function numerics(a: Numeric, b: Numeric): number {
  const rank = (n: Numeric): number => ["-Infinity", "", "Infinity", "NaN"].indexOf(n.special);
  if (a.special !== "" || b.special !== "") return compare(rank(a), rank(b));
  const scale = Math.max(a.scale, b.scale);
  const at = (n: Numeric): bigint => BigInt(n.coefficient) * 10n ** BigInt(scale - n.scale);
  return compare(at(a), at(b));
}
function spans(a: Interval, b: Interval): number {
  const span = (i: Interval): bigint => BigInt(i.months * 30 + i.days) * 86_400_000_000n + BigInt(i.micros);
  return compare(span(a), span(b));
}
function timeTzs(a: TimeTz, b: TimeTz): number {
  const instant = (t: TimeTz): number => t.micros + t.zoneSeconds * 1e6;
  return compare(instant(a), instant(b)) || compare(a.zoneSeconds, b.zoneSeconds);
}
const trimmed = (text: string): string => text.replace(/ +$/, "");

const int8s = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -300n, max: 300n }),
  fc.constantFrom(
    ...[-1n, 0n, 1n].flatMap((d) => [2n ** 31n + d, 2n ** 32n + d, 2n ** 53n + d, -(2n ** 53n) + d]),
  ),
);
const wides = int8s.map(wide);
// The instants a timestamp may be (4713 BC to 294276 AD), and the infinities around them, which end the 64-bit range.
const stamps = fc.oneof(
  fc.bigInt({ min: -211_813_488_000_000_000n, max: 9_223_371_331_199_999_999n }).map(wide),
  fc.integer({ min: -300, max: 300 }),
  fc.constantFrom(Infinity, -Infinity),
);
const texts = fc.oneof(
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.string({ unit: fc.constantFrom("a", "b", " ", "\u0001", "\u0002", "é", "\uffff", "𝒳"), maxLength: 5 }),
);
const numericValues = fc.oneof(
  fc
    .tuple(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }), fc.integer({ min: 0, max: 45 }))
    .map(([c, s]) => new Numeric(wide(c), s)),
  fc
    .tuple(fc.integer({ min: -1200, max: 1200 }), fc.integer({ min: 0, max: 4 }))
    .map(([c, s]) => new Numeric(c, s)),
  fc
    .tuple(
      fc.integer({ min: -99, max: 99 }),
      fc.integer({ min: 0, max: 220 }),
      fc.integer({ min: 0, max: 220 }),
    )
    .map(([c, up, s]) => new Numeric(wide(BigInt(c) * 10n ** BigInt(up)), s)),
  fc.constantFrom("NaN", "Infinity", "-Infinity").map((special) => new Numeric(0, 0, special as "NaN")),
);
const uuids = fc.uuid();

interface Kind {
  readonly oid: number;
  readonly values: fc.Arbitrary<Exclude<Value, null>>;
  readonly compare: (a: never, b: never) => number;
}
const f32 = fc.oneof(fc.float(), fc.constantFrom(0, -0, NaN, Infinity, -Infinity));
const kinds: Record<string, Kind> = {
  bool: { oid: oids.bool, values: fc.boolean(), compare: (a: boolean, b: boolean) => Number(a) - Number(b) },
  int2: { oid: oids.int2, values: fc.integer({ min: -32768, max: 32767 }), compare },
  int4: { oid: oids.int4, values: fc.oneof(fc.integer(), fc.integer({ min: -3, max: 3 })), compare },
  int8: { oid: oids.int8, values: wides, compare },
  oid: { oid: oids.oid, values: fc.nat(0xffffffff), compare },
  float4: { oid: oids.float4, values: f32, compare: floats },
  float8: { oid: oids.float8, values: fc.oneof(fc.double(), f32), compare: floats },
  numeric: { oid: oids.numeric, values: numericValues, compare: numerics },
  text: { oid: oids.text, values: texts, compare: utf8 },
  bpchar: {
    oid: oids.bpchar,
    values: texts,
    compare: (a: string, b: string) => utf8(trimmed(a), trimmed(b)),
  },
  bytea: {
    oid: oids.bytea,
    values: fc.oneof(fc.uint8Array({ maxLength: 6 }), fc.uint8Array({ maxLength: 4, max: 3 })),
    compare: order,
  },
  // The days a date may be (4713 BC to 5874897 AD), and the infinities around them.
  date: {
    oid: oids.date,
    values: fc.oneof(fc.integer({ min: -2451545, max: 2145031948 }), fc.constantFrom(Infinity, -Infinity)),
    compare,
  },
  timestamp: { oid: oids.timestamp, values: stamps, compare },
  timetz: {
    oid: oids.timetz,
    values: fc
      .tuple(fc.nat(86_400_000_000), fc.integer({ min: -57599, max: 57599 }))
      .map(([micros, zone]) => new TimeTz(micros, zone)),
    compare: timeTzs,
  },
  interval: {
    oid: oids.interval,
    values: fc.oneof(
      fc.tuple(fc.integer(), fc.integer(), wides).map(([m, d, u]) => new Interval(m, d, u)),
      fc
        .tuple(
          fc.integer({ min: -2, max: 2 }),
          fc.integer({ min: -60, max: 60 }),
          fc.integer({ min: -2, max: 2 }),
        )
        .map(([m, d, u]) => new Interval(m, d, u * 86_400_000_000)),
    ),
    compare: spans,
  },
  uuid: { oid: oids.uuid, values: uuids, compare: utf8 },
};

describe.each(Object.entries(kinds))("%s", (_name, kind) => {
  it("keeps the SQL order, ascending and descending", () => {
    fc.assert(
      fc.property(kind.values, kind.values, (a, b) => {
        const expected = Math.sign(kind.compare(a as never, b as never));
        const up = [column(kind.oid)];
        expect(order(keyOf(up, [a]), keyOf(up, [b]))).toBe(expected);
        const down = [column(kind.oid, true)];
        expect(order(keyOf(down, [a]), keyOf(down, [b]))).toBe(expected === 0 ? 0 : -expected);
      }),
      { numRuns: 300 },
    );
  });
});

it("orders keys of several columns with NULLs column by column", () => {
  const names = Object.keys(kinds);
  const specs = fc.array(
    fc.record({ kind: fc.constantFrom(...names), descending: fc.boolean(), nullsFirst: fc.boolean() }),
    { minLength: 1, maxLength: 3 },
  );
  const cases = specs.chain((columns) => {
    const row = fc.tuple(
      ...columns.map((c) => fc.option(fc.oneof(kinds[c.kind]!.values, sample(c.kind)), { freq: 3 })),
    );
    return fc.tuple(fc.constant(columns), row, row);
  });
  fc.assert(
    fc.property(cases, ([specs, a, b]) => {
      const columns = specs.map((c) => column(kinds[c.kind]!.oid, c.descending, c.nullsFirst));
      let expected = 0;
      for (let i = 0; i < specs.length && expected === 0; i++) {
        const [x, y] = [a[i] as Value, b[i] as Value];
        const { kind, descending, nullsFirst } = specs[i]!;
        if (x === null || y === null) {
          if (x !== y) expected = (x === null) === nullsFirst ? -1 : 1;
        } else {
          expected = Math.sign(kinds[kind]!.compare(x as never, y as never)) * (descending ? -1 : 1);
        }
      }
      const ka = keyOf(columns, a as Value[]);
      const kb = keyOf(columns, b as Value[]);
      expect(order(ka, kb)).toBe(expected + 0);
      const fixed = keyEncoder(columns, limit).fixedLength;
      if (fixed > 0) expect([ka.length, kb.length]).toEqual([fixed, fixed]);
      // The first column alone is a prefix, and the only one of its value.
      const prefix = keyOf(columns, [a[0] as Value]);
      expect(order(prefix, ka.slice(0, prefix.length))).toBe(0);
    }),
    { numRuns: 1500 },
  );
});

/** Few values, so that equal columns are common. */
function sample(name: string): fc.Arbitrary<Value> {
  return fc.constantFrom(...fc.sample(kinds[name]!.values, { numRuns: 3, seed: 11 }));
}

it("orders arrays element by element, NULL elements last, then by shape", () => {
  const element = fc.option(fc.integer({ min: -2, max: 2 }), { freq: 4 });
  const arrays = fc.array(element, { maxLength: 4 }).map((e) => PgArray.of(oids.int4, e));
  fc.assert(
    fc.property(arrays, arrays, (a, b) => {
      let expected = 0;
      for (let i = 0; i < Math.min(a.elements.length, b.elements.length) && expected === 0; i++)
        expected = compare((a.elements[i] ?? Infinity) as number, (b.elements[i] ?? Infinity) as number);
      expected ||= compare(a.elements.length, b.elements.length);
      expect(order(keyOf([column(1007)], [a]), keyOf([column(1007)], [b]))).toBe(expected);
    }),
    { numRuns: 300 },
  );
  const square = new PgArray(oids.int4, [1, 2], [1, 2], [1, 1]);
  expect(order(keyOf([column(1007)], [PgArray.of(oids.int4, [1, 2])]), keyOf([column(1007)], [square]))).toBe(
    -1,
  );
});

it("writes equal values as equal bytes", () => {
  const same = (oid: number, a: Value, b: Value): void =>
    expect(keyOf([column(oid)], [a])).toEqual(keyOf([column(oid)], [b]));
  same(oids.numeric, new Numeric(10, 1), new Numeric(100, 2));
  same(oids.numeric, new Numeric(1, 0), new Numeric(10n ** 30n, 30));
  same(oids.float8, 0, -0);
  same(oids.interval, new Interval(1, 0, 0), new Interval(0, 30, 0));
  same(oids.interval, new Interval(0, 1, -1), new Interval(0, 0, 86_399_999_999));
  same(oids.bpchar, "a", "a   ");
});

it("refuses keys above the limit with 54000 and takes those at it", () => {
  const encoder = keyEncoder([column(oids.text)], { bytesMax: 100, indexName: "t_a_idx" });
  const into = new Uint8Array(100);
  expect(encoder.encode(["x".repeat(98)], into, 0)).toBe(100);
  expect(encoder.encode(["é".repeat(49)], into, 0)).toBe(100);
  for (const text of ["x".repeat(99), "é".repeat(50), "\u0001".repeat(50), "x".repeat(1_000_000)]) {
    try {
      encoder.encode([text], into, 0);
      expect.unreachable();
    } catch (error) {
      expect((error as DbError).sqlstate).toBe("54000");
      expect((error as DbError).message).toContain('index row size exceeds maximum 100 for index "t_a_idx"');
    }
  }
  for (const value of [new Uint8Array(98).fill(9), new Uint8Array(49)])
    expect(keyEncoder([column(oids.bytea)], { bytesMax: 100 }).encode([value], into, 0)).toBe(100);
  expect(() =>
    keyEncoder([column(oids.bytea)], { bytesMax: 100 }).encode([new Uint8Array(50)], into, 0),
  ).toThrow(DbError);
  expect(() =>
    keyEncoder([column(oids.numeric)], { bytesMax: 100 }).encode([new Numeric(10n ** 300n + 1n, 0)], into, 0),
  ).toThrow(DbError);
});

it("names what it cannot order", () => {
  expect(() => keyEncoder([column(oids.jsonb)], limit)).toThrow(
    "an index on type jsonb is not supported yet",
  );
  expect(isIndexable(oids.jsonb)).toBe(false);
  expect(isIndexable(1009)).toBe(true);
});

it("takes columns from a row by position, and remembers encoders by their columns", () => {
  const columns = [column(oids.int4), column(oids.text)];
  const into = new Uint8Array(6000);
  const end = keyEncoder(columns, limit).encodeFrom(["b", null, 7], [2, 0], into, 0);
  const other = new Uint8Array(6000);
  expect(encodeKey(columns, [7, "b"], other, 0)).toBe(end);
  expect(other).toEqual(into);
});

it("finds the end of a prefix range", () => {
  const bytes = Uint8Array.of(9, 1, 0xff, 0xff, 9);
  expect(keySuccessor(bytes, 1, 4)).toBe(2);
  expect(bytes[1]).toBe(2);
  expect(keySuccessor(Uint8Array.of(0xff, 0xff), 0, 2)).toBe(-1);
});

describe("text from its bytes", () => {
  it("has the key of the string, ascending and descending, and the same limit", () => {
    fc.assert(
      fc.property(texts, fc.boolean(), fc.integer({ min: 4, max: 40 }), (text, descending, bytesMax) => {
        const columns = [{ type: { oid: oids.text, typmod: -1 }, descending, nullsFirst: false }];
        const encoder = keyEncoder(columns, { bytesMax });
        expect(encoder.isText).toBe(true);
        const [from, whole] = [Buffer.alloc(200), Buffer.alloc(200)];
        const bytes = Buffer.concat([Buffer.from("??"), Buffer.from(text, "utf8"), Buffer.from("!")]);
        const ends = [
          () => encoder.encodeText(bytes, 2, bytes.length - 3, from, 1),
          () => encoder.encode([text], whole, 1),
        ].map((encode) => {
          try {
            return encode();
          } catch (error) {
            return (error as Error).message;
          }
        });
        expect(ends[0]).toEqual(ends[1]);
        if (typeof ends[0] === "number")
          expect(from.subarray(1, ends[0])).toEqual(whole.subarray(1, ends[0]));
      }),
      { numRuns: 500 },
    );
  });
});
