/**
 * Properties of types against naive twins: exact decimals against BigInt fractions, text order against UTF-8 bytes, time
 * zones against Temporal, binary and text forms against themselves. What PostgreSQL answers is in sql/functions/golden.txt.
 */
import fc from "fast-check";
import { Temporal } from "temporal-polyfill";
import { describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { civilFromDays, daysFromCivil, formatTimestamp, parseTimestamp } from "./datetime.js";
import { compareWide, wideAdd, wideDivide, wideModulo, wideMultiply, wideSubtract } from "./int8.js";
import { formatInterval, parseInterval } from "./interval.js";
import { canonicalJsonb } from "./json.js";
import {
  addNumeric,
  compareNumeric,
  divideNumeric,
  formatNumeric,
  multiplyNumeric,
  numericFromGroups,
  numericGroups,
  parseNumeric,
  roundNumeric,
  subtractNumeric,
} from "./numeric.js";
import { charLength, compareText, sliceChars } from "./text.js";
import { timeZoneOf } from "./timezone.js";
import {
  allTypes,
  applyTypmod,
  arrayTypeOf,
  compareOf,
  decodeTypmod,
  defaultSettings,
  encodeTypmod,
  equalsOf,
  formatType,
  hashOf,
  intervalRange,
  oids,
  typeByName,
  typeInput,
  typeOutput,
  typeReceive,
  typeSend,
} from "./types.js";
import { Interval, Numeric, PgArray, type Value, wide } from "./value.js";

const runs = { numRuns: 300 };
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const someInt64 = fc.oneof(int64, fc.maxSafeInteger().map(BigInt), fc.integer().map(BigInt));
const numeric = fc
  .tuple(fc.oneof(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.integer().map(BigInt)), fc.nat(20))
  .map(([coefficient, scale]) => new Numeric(wide(coefficient), scale));
const ten = (power: number): bigint => 10n ** BigInt(power);

describe("int8", () => {
  const twins = [
    [wideAdd, (a: bigint, b: bigint) => a + b],
    [wideSubtract, (a: bigint, b: bigint) => a - b],
    [wideMultiply, (a: bigint, b: bigint) => a * b],
    [wideDivide, (a: bigint, b: bigint) => a / b],
    [wideModulo, (a: bigint, b: bigint) => a % b],
  ] as const;
  it("computes as 64-bit integers do, in canonical form", () => {
    fc.assert(
      fc.property(someInt64, someInt64, (a, b) => {
        for (const [fast, twin] of twins) {
          let expected: unknown;
          try {
            const exact = twin(a, b);
            expected = exact > 2n ** 63n - 1n || exact < -(2n ** 63n) ? "22003" : wide(exact);
          } catch {
            expected = "22012";
          }
          let got: unknown;
          try {
            got = fast(wide(a), wide(b));
          } catch (error) {
            got = (error as DbError).sqlstate;
          }
          expect(got).toBe(expected);
        }
        expect(compareWide(wide(a), wide(b))).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
      runs,
    );
  });
});

describe("numeric", () => {
  const scaledTo = (a: Numeric, scale: number): bigint => BigInt(a.coefficient) * ten(scale - a.scale);
  it("adds, subtracts, multiplies and compares exactly", () => {
    fc.assert(
      fc.property(numeric, numeric, (a, b) => {
        const scale = Math.max(a.scale, b.scale);
        expect(addNumeric(a, b)).toEqual(new Numeric(wide(scaledTo(a, scale) + scaledTo(b, scale)), scale));
        expect(subtractNumeric(a, b)).toEqual(
          new Numeric(wide(scaledTo(a, scale) - scaledTo(b, scale)), scale),
        );
        const product = BigInt(a.coefficient) * BigInt(b.coefficient);
        expect(multiplyNumeric(a, b)).toEqual(new Numeric(wide(product), a.scale + b.scale));
        const order = scaledTo(a, scale) - scaledTo(b, scale);
        expect(compareNumeric(a, b)).toBe(order < 0n ? -1 : order > 0n ? 1 : 0);
      }),
      runs,
    );
  });
  it("divides within half a unit of the last place", () => {
    fc.assert(
      fc.property(numeric, numeric, (a, b) => {
        fc.pre(b.coefficient !== 0);
        const quotient = divideNumeric(a, b);
        // |a - q*b| * 2 <= |b| / 10^scale, all brought to one scale
        const scale = a.scale + b.scale + quotient.scale;
        const error = scaledTo(a, scale) - scaledTo(multiplyNumeric(quotient, b), scale);
        const bound = scaledTo(b, scale) / ten(quotient.scale);
        const abs = (value: bigint): bigint => (value < 0n ? -value : value);
        expect(abs(error) * 2n <= abs(bound) + 1n).toBe(true);
      }),
      runs,
    );
  });
  it("rounds halves away from zero, and reads back what it shows", () => {
    fc.assert(
      fc.property(numeric, fc.integer({ min: -3, max: 25 }), (a, digits) => {
        const rounded = roundNumeric(a, digits);
        const unit = digits >= 0 ? 1n : ten(-digits);
        const scale = Math.max(digits, 0);
        const shift = Math.max(a.scale - scale, 0);
        const exact = BigInt(a.coefficient) * ten(Math.max(scale - a.scale, 0));
        const divisor = ten(shift) * unit;
        const magnitude = exact < 0n ? -exact : exact;
        const expected = ((magnitude * 2n + divisor) / (divisor * 2n)) * unit;
        expect(BigInt(rounded.coefficient)).toBe(exact < 0n ? -expected : expected);
        expect(parseNumeric(formatNumeric(a))).toEqual(a);
        const groups = numericGroups(a);
        expect(numericFromGroups(a.coefficient < 0, groups.weight, groups.digits, a.scale)).toEqual(a);
      }),
      runs,
    );
  });
  it("ends quickly on hostile arguments", () => {
    for (const text of ["1e140000", `1${"0".repeat(200000)}`, "1e-20000"]) {
      expect(() => parseNumeric(text)).toThrow(DbError);
    }
  });
});

describe("text", () => {
  const any = fc.string({ unit: "binary", maxLength: 8 });
  it("is ordered by UTF-8 bytes and counted in characters", () => {
    fc.assert(
      fc.property(any, any, (a, b) => {
        expect(compareText(a, b)).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(charLength(a)).toBe([...a].length);
        expect(sliceChars(a, 1, 3)).toBe([...a].slice(1, 4).join(""));
      }),
      runs,
    );
  });
});

describe("calendar", () => {
  it("counts days as Temporal does", () => {
    fc.assert(
      fc.property(fc.integer({ min: -1000000, max: 1000000 }), (days) => {
        const twin = Temporal.PlainDate.from("2000-01-01").add({ days });
        const civil = civilFromDays(days);
        expect(civil).toEqual({ year: twin.year, month: twin.month, day: twin.day });
        expect(daysFromCivil(civil.year, civil.month, civil.day)).toBe(days);
      }),
      runs,
    );
  });
  it("reads back every timestamp and interval it shows", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -211813488000000000n, max: 9223371331199999999n }), (micros) => {
        const value = wide(micros);
        expect(parseTimestamp(formatTimestamp(value, defaultSettings), defaultSettings)).toBe(value);
      }),
      runs,
    );
    fc.assert(
      fc.property(
        fc.integer({ min: -100000, max: 100000 }),
        fc.integer({ min: -100000, max: 100000 }),
        fc.bigInt({ min: -(10n ** 17n), max: 10n ** 17n }),
        (months, days, micros) => {
          const value = new Interval(months, days, wide(micros));
          for (const style of ["postgres", "postgres_verbose", "sql_standard", "iso_8601"]) {
            // sql_standard drops signs it shares between fields; the reader must know the style.
            expect(parseInterval(formatInterval(value, style), undefined, style)).toEqual(value);
          }
        },
      ),
      runs,
    );
  });
});

describe("time zones", () => {
  const zones = [
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Apia",
  ];
  const epoch = 946684800;
  it("have Temporal's offsets, at instants and at wall clocks", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.integer({ min: -2208988800, max: 2524608000 }),
        (name, unixSeconds) => {
          const zone = timeZoneOf(name)!;
          const twin = Temporal.Instant.fromEpochMilliseconds(unixSeconds * 1000).toZonedDateTimeISO(name);
          expect(zone.offsetAt(unixSeconds - epoch)).toBe(twin.offsetNanoseconds / 1e9);
          const wall = twin.toPlainDateTime();
          const local = unixSeconds - epoch + twin.offsetNanoseconds / 1e9;
          const [first, second] = [
            wall.toZonedDateTime(name, { disambiguation: "earlier" }),
            wall.toZonedDateTime(name, { disambiguation: "later" }),
          ];
          // A wall clock that came from an instant exists; when twice, the later is PostgreSQL's choice.
          expect([first, second].length).toBe(2);
          expect(zone.offsetAtLocal(local)).toBe(second.offsetNanoseconds / 1e9);
        },
      ),
      { numRuns: 60 },
    );
  });
  it("answers for any year without remembering more of them than it covers", () => {
    const zone = timeZoneOf("Europe/Berlin")!;
    for (const year of [-4000, 0, 1700, 2500, 100000, 290000]) {
      const summer = daysFromCivil(year, 7, 1) * 86400;
      expect(zone.offsetAt(summer)).toBe(year < 1893 ? 3208 : 7200);
    }
    expect(timeZoneOf("Nowhere/City")).toBeUndefined();
    expect(timeZoneOf("europe/berlin")?.name).toBe("Europe/Berlin");
    expect(timeZoneOf("<+05>-05")?.offsetAt(0)).toBe(18000);
  });
});

describe("the type table", () => {
  const samples: readonly (readonly [number, readonly string[]])[] = [
    [oids.bool, ["t", "f"]],
    [oids.int2, ["-32768", "7"]],
    [oids.int4, ["-2147483648", "7"]],
    [oids.int8, ["-9223372036854775808", "9007199254740993", "5"]],
    [oids.float4, ["1.5", "NaN", "-Infinity", "3.4028235e+38"]],
    [oids.float8, ["0.1", "NaN", "1e-300"]],
    [oids.numeric, ["1.50", "-0.001", "NaN", "Infinity", "12345678901234567890.5"]],
    [oids.text, ["", "h€llo😀"]],
    [oids.varchar, ["abc"]],
    [oids.name, ["abc"]],
    [oids.char, ["a"]],
    [oids.bytea, ["\\x", "\\x00ff"]],
    [oids.uuid, ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]],
    [oids.json, ['{"a": [1]}']],
    [oids.jsonb, ['{"a": [1, 2.50]}', "null"]],
    [oids.date, ["2024-02-29", "infinity", "4713-01-01 BC"]],
    [oids.time, ["12:34:56.789", "24:00:00"]],
    [oids.timetz, ["12:34:56+05:30"]],
    [oids.timestamp, ["2024-02-29 12:00:00.000001", "-infinity", "290000-01-01 00:00:00"]],
    [oids.timestamptz, ["2024-02-29 12:00:00+00"]],
    [oids.interval, ["1 mon -2 days +03:00:00"]],
    [oids.oid, ["4294967295"]],
    [oids.tid, ["(1,2)"]],
    [oids.int2vector, ["1 2"]],
    [oids.xid8, ["5"]],
  ];
  it("has text and binary forms that read back, arrays of them too", () => {
    for (const [oid, texts] of samples) {
      const values = texts.map((text) => typeInput(oid, text));
      values.forEach((value, at) => {
        expect(typeOutput(oid, value)).toBe(texts[at]);
        const back = typeReceive(oid, typeSend(oid, value));
        expect(back).toEqual(value);
        expect(equalsOf(oid)(value, back)).toBe(true);
        expect(hashOf(oid)(value)).toBe(hashOf(oid)(back));
      });
      const arrayOid = arrayTypeOf(oid)!;
      const array = PgArray.of(oid, [...values, null]);
      expect(typeInput(arrayOid, typeOutput(arrayOid, array))).toEqual(array);
      expect(typeReceive(arrayOid, typeSend(arrayOid, array))).toEqual(array);
    }
  });
  it("orders totally, in agreement with equality", () => {
    for (const [oid, texts] of samples) {
      const compare = compareOf(oid);
      const values: Value[] = texts.map((text) => typeInput(oid, text));
      for (const a of values) {
        for (const b of values) {
          expect(Math.sign(compare(a, b)) + Math.sign(compare(b, a))).toBe(0);
          expect(equalsOf(oid)(a, b)).toBe(compare(a, b) === 0);
        }
      }
    }
  });
  it("gives equal values equal hashes", () => {
    const alike: readonly (readonly [number, string, string])[] = [
      [oids.numeric, "1.0", "1.000"],
      [oids.numeric, "100", "100.00"],
      [oids.float8, "0", "-0"],
      [oids.interval, "1 mon", "30 days"],
      [oids.jsonb, '{"a":1.0}', '{"a":1}'],
      [oids.bpchar, "a", "a  "],
    ];
    for (const [oid, a, b] of alike) {
      const [x, y] = [typeInput(oid, a), typeInput(oid, b)];
      expect(compareOf(oid)(x, y)).toBe(0);
      expect(hashOf(oid)(x)).toBe(hashOf(oid)(y));
    }
  });
  it("knows names and modifiers", () => {
    for (const type of allTypes()) {
      const shown = formatType(type.oid);
      if (type.kind === "b") expect(typeByName(shown)?.oid, shown).toBe(type.oid);
    }
    for (const [oid, modifiers] of [
      [oids.varchar, [10]],
      [oids.numeric, [10, 2]],
      [oids.numeric, [5, -3]],
      [oids.timestamptz, [3]],
      [oids.interval, [intervalRange("day", "second"), 3]],
    ] as const) {
      expect(decodeTypmod(oid, encodeTypmod(oid, modifiers))).toEqual(modifiers);
    }
    expect(formatType(oids.interval, encodeTypmod(oids.interval, [intervalRange("day", "second"), 3]))).toBe(
      "interval day to second(3)",
    );
    expect(() => encodeTypmod(oids.varchar, [0])).toThrow("length for type varchar must be at least 1");
    expect(() => applyTypmod({ oid: oids.varchar, typmod: 7 }, "abcd", false)).toThrow(
      "value too long for type character varying(3)",
    );
  });
  it("refuses hostile binary input with an error of its own", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        for (const [oid] of samples) {
          for (const type of [oid, arrayTypeOf(oid)!]) {
            try {
              typeReceive(type, bytes);
            } catch (error) {
              expect(error).toBeInstanceOf(DbError);
            }
          }
        }
      }),
      { numRuns: 100 },
    );
  });
  it("refuses hostile text with an error of its own", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ maxLength: 20 }), fc.stringMatching(/^[-+0-9:. TZapmdaysBC{}[\],"\\]{0,24}$/)),
        (text) => {
          for (const [oid] of samples) {
            for (const type of [oid, arrayTypeOf(oid)!]) {
              try {
                const value = typeInput(type, text);
                if (oid !== oids.float4) expect(typeInput(type, typeOutput(type, value))).toEqual(value);
              } catch (error) {
                if (!(error instanceof DbError))
                  throw new Error(`${formatType(type)} ${text}: ${String(error)}`);
              }
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });
  it("keeps jsonb canonical", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
        const text = canonicalJsonb(JSON.stringify(value));
        expect(canonicalJsonb(text)).toBe(text);
      }),
      { numRuns: 200 },
    );
  });
});
