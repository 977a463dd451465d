import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DbError } from "../base/errors.js";
import { oids } from "../model/type-table.js";
import { defaultSettings } from "../model/types.js";
import type { Value } from "../model/value.js";
import { type CopyOptions, CopyReader, CopyWriter } from "./copy-format.js";

const textOptions: CopyOptions = {
  format: "text",
  delimiter: "\t",
  nullText: "\\N",
  header: false,
  quote: '"',
  escapeChar: '"',
  forceQuote: new Set(),
  forceNotNull: new Set(),
  forceNull: new Set(),
  freeze: false,
};
const csvOptions: CopyOptions = { ...textOptions, format: "csv", delimiter: ",", nullText: "" };

const textColumns = (count: number) =>
  Array.from({ length: count }, (_, at) => ({ name: `c${at + 1}`, type: { oid: oids.text, typmod: -1 } }));

/** Rows of a text, given in pieces cut at `cuts` (byte offsets). */
function readAll(
  bytes: Buffer,
  options: CopyOptions,
  columns: { name: string; type: { oid: number; typmod: number } }[],
  cuts: readonly number[] = [],
  max = 3,
): Value[][] {
  const reader = new CopyReader("t", columns, options, defaultSettings);
  const rows: Value[][] = [];
  const drain = (last: boolean): void => {
    for (;;) {
      const into: Value[][] = columns.map(() => []);
      const count = reader.read(into, max, last);
      for (let row = 0; row < count; row++) rows.push(into.map((column) => column[row]!));
      if (count < max) return;
    }
  };
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const place of [...places, bytes.length]) {
    reader.push(Buffer.from(bytes.subarray(from, place)));
    drain(false);
    from = place;
  }
  drain(true);
  return rows;
}

const field = fc.oneof(
  fc.constant(undefined),
  fc.constantFrom("", "\\N", "\\.", "\\", '"', '""', ",", "\t", "\n", "\r\n", "\\n", "NULL", " x ", "é€😀"),
  fc.string({ maxLength: 12, unit: "grapheme" }).map((text) => text.replaceAll("\0", "")),
  fc.string({ maxLength: 8, unit: fc.constantFrom("\\", '"', ",", "\t", "\n", "\r", "a", ".", "N", "'") }),
);
const table = fc
  .integer({ min: 1, max: 4 })
  .chain((width) =>
    fc.array(fc.array(field, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 8 }),
  );

// In text format a value equal to a plain null text reads as NULL, as it does in PostgreSQL: one with a backslash cannot
// be met by an escaped value.
const variants: readonly (readonly [string, CopyOptions])[] = [
  ["text", textOptions],
  ["text with a delimiter and a null text of its own", { ...textOptions, delimiter: "|", nullText: "\\X" }],
  ["csv", csvOptions],
  ["csv with another quote", { ...csvOptions, quote: "'", escapeChar: "'", delimiter: ";" }],
  ["csv with an escape character", { ...csvOptions, escapeChar: "\\" }],
  ["csv with every field quoted", { ...csvOptions, forceQuote: "all" }],
  ["csv with a null text", { ...csvOptions, nullText: "NULL" }],
];

describe.each(variants)("%s", (_, options) => {
  test("what the writer writes the reader reads, however it is cut", () => {
    fc.assert(
      fc.property(table, fc.array(fc.nat(500), { maxLength: 6 }), (rows, cuts) => {
        const writer = new CopyWriter(options);
        const bytes = Buffer.from(rows.map((row) => writer.row(row)).join(""));
        const read = readAll(bytes, options, textColumns(rows[0]!.length), cuts);
        expect(read).toEqual(rows.map((row) => row.map((text) => text ?? null)));
      }),
      { numRuns: 300 },
    );
  });

  test("byte by byte", () => {
    const rows = [
      ["a", undefined, "line\nbreak"],
      ["", 'quo"te', "back\\slash"],
      ["\\.", "x,y;z|", "'"],
    ];
    const writer = new CopyWriter(options);
    const bytes = Buffer.from(rows.map((row) => writer.row(row)).join(""));
    const cuts = Array.from({ length: bytes.length }, (_unused, at) => at);
    expect(readAll(bytes, options, textColumns(3), cuts)).toEqual(
      rows.map((row) => row.map((text) => text ?? null)),
    );
  });
});

test("text escapes: letters, octal, hexadecimal, and any other character for itself", () => {
  const line = "\\b\\f\\n\\r\\t\\v\\101\\x41\\x4\\q\\\\N\n";
  expect(readAll(Buffer.from(line), textOptions, textColumns(1))).toEqual([["\b\f\n\r\t\vAA\u0004q\\N"]]);
});

test("the last record needs no line end, and CR LF ends one", () => {
  expect(readAll(Buffer.from("a\tb\r\nc\td"), textOptions, textColumns(2))).toEqual([
    ["a", "b"],
    ["c", "d"],
  ]);
});

test("nothing is read behind the end marker", () => {
  expect(readAll(Buffer.from("a\n\\.\nb\n"), textOptions, textColumns(1), [3, 4])).toEqual([["a"]]);
});

test("a header is skipped, or compared", () => {
  const bytes = Buffer.from("c1,c2\n1,2\n");
  expect(readAll(bytes, { ...csvOptions, header: true }, textColumns(2))).toEqual([["1", "2"]]);
  expect(readAll(bytes, { ...csvOptions, header: "match" }, textColumns(2))).toEqual([["1", "2"]]);
  expect(() =>
    readAll(Buffer.from("c1,x\n1,2\n"), { ...csvOptions, header: "match" }, textColumns(2)),
  ).toThrow('column name mismatch in header line field 2: got "x", expected "c2"');
});

test("FORCE_NULL and FORCE_NOT_NULL", () => {
  const bytes = Buffer.from('"",\n');
  const columns = textColumns(2);
  expect(readAll(bytes, csvOptions, columns)).toEqual([["", null]]);
  expect(
    readAll(bytes, { ...csvOptions, forceNull: new Set([0]), forceNotNull: new Set([1]) }, columns),
  ).toEqual([[null, ""]]);
});

test("errors name the line and the column", () => {
  const columns = [
    { name: "n", type: { oid: oids.int4, typmod: -1 } },
    { name: "t", type: { oid: oids.text, typmod: -1 } },
  ];
  const failing = (text: string, options = textOptions): string => {
    try {
      readAll(Buffer.from(text), options, columns);
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      return `${error.sqlstate} ${error.message} | ${error.fields.where ?? ""}`;
    }
    return "no error";
  };
  expect(failing("1\ta\n2\n")).toBe('22P04 missing data for column "t" | COPY t, line 2: "2"');
  expect(failing("1\ta\tb\n")).toBe(
    '22P04 extra data after last expected column | COPY t, line 1: "1\ta\tb"',
  );
  expect(failing("1\ta\nx\tb\n")).toBe(
    '22P02 invalid input syntax for type integer: "x" | COPY t, line 2, column n: "x"',
  );
  expect(failing('1,"a\n', csvOptions)).toMatch(/^22P04 unterminated CSV quoted field/);
});

test("integers read in place are those that the type's input reads", () => {
  const column = [{ name: "n", type: { oid: oids.int8, typmod: -1 } }];
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (number) => {
      const [[value]] = readAll(Buffer.from(`${number}\n`), textOptions, column) as [[number | bigint]];
      expect(BigInt(value)).toBe(number);
    }),
  );
});
