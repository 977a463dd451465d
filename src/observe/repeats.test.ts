/** Floods are told of with few words, and every one of them is counted. */
import { expect, it } from "vitest";
import type { Timer } from "../platform/index.js";
import { Repeats } from "./repeats.js";

function setUp(bounds: { readonly kindsMax?: number; readonly variantsMax?: number } = {}) {
  const due = new Set<() => void>();
  const told: [string, number][] = [];
  const repeats = new Repeats<string>({
    clock: {
      after: (_ms, run): Timer => {
        due.add(run);
        return { cancel: () => void due.delete(run) };
      },
    },
    everyMs: 1000,
    kindsMax: 10,
    variantsMax: 3,
    ...bounds,
    others: "others",
    tell: (what, count) => told.push([what, count]),
  });
  const pass = (): void => {
    for (const run of [...due]) {
      due.delete(run);
      run();
    }
  };
  return { repeats, told, pass, due };
}

it("tells the first at once, and the rest with their count", () => {
  const { repeats, told, pass, due } = setUp();
  for (let at = 0; at < 500; at++) repeats.note("expired", "expired 10.0.0.1");
  expect(told).toEqual([["expired", 1]]);
  pass();
  expect(told).toEqual([
    ["expired", 1],
    ["expired", 499],
  ]);
  expect(due.size).toBe(0);
  repeats.note("expired", "expired 10.0.0.1", "", 5);
  pass();
  expect(told.slice(2)).toEqual([["expired", 5]]);
});

it("bounds variants of a kind, kinds, and loses none", () => {
  const { repeats, told, pass } = setUp();
  let noted = 0;
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at < 400; at++) {
      repeats.note("a", "a", `certificate ${at}`);
      repeats.note(`kind ${at}`, `kind ${at}`);
      noted += 2;
    }
    const before = told.length;
    // Three variants and the rest of them, kinds up to ten, and the others.
    expect(before).toBeLessThanOrEqual(12 * (2 * round + 1));
    pass();
  }
  expect(told.reduce((sum, [, count]) => sum + count, 0)).toBe(noted);
  expect(told.some(([what]) => what === "others")).toBe(true);
});

it("tells what it has counted when it stops", () => {
  const { repeats, told, due } = setUp();
  repeats.note("a", "a");
  repeats.note("a", "a");
  repeats.stop();
  expect(told).toEqual([
    ["a", 1],
    ["a", 1],
  ]);
  expect(due.size).toBe(0);
});
