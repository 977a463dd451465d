/** When alerts fire and clear: a script of numbers, and what was told of them. */
import { describe, expect, it } from "vitest";
import { AlertBook, type AlertRule, type Series } from "./alerts.js";

const base = { name: "Rule", severity: "WARNING", metric: "m", summary: "" } as const;

/** `looks`: at which second, which value (undefined: the series is not there). Answers what was told, as `+12` and `-30`. */
function told(
  rule: Partial<AlertRule>,
  looks: readonly (readonly [second: number, value: number | undefined])[],
) {
  const said: string[] = [];
  let at = 0;
  const book = new AlertBook([{ ...base, forMs: 0, clearForMs: 0, ...rule }], (_alert, firing) =>
    said.push(`${firing ? "+" : "-"}${at}`),
  );
  for (const [second, value] of looks) {
    at = second;
    const series: Series[] = value === undefined ? [] : [{ labels: {}, value }];
    book.look(() => series, second * 1000, second * 1000 + 5);
  }
  return said;
}

describe("an alert", () => {
  it("fires once while its condition holds, and clears once", () => {
    expect(
      told({ above: 5 }, [
        [0, 5],
        [1, 6],
        [2, 7],
        [3, 5],
        [4, 5],
        [5, 6],
      ]),
    ).toEqual(["+1", "-3", "+5"]);
    expect(
      told({ below: 5 }, [
        [0, 5],
        [1, 4],
        [2, 5],
      ]),
    ).toEqual(["+1", "-2"]);
  });

  it("fires only when it holds for the whole duration: one false look begins anew", () => {
    const rule = { above: 0, forMs: 10_000 };
    expect(
      told(rule, [
        [0, 1],
        [5, 1],
        [9, 1],
        [10, 1],
      ]),
    ).toEqual(["+10"]);
    expect(
      told(rule, [
        [0, 1],
        [5, 0],
        [6, 1],
        [15, 1],
        [16, 1],
      ]),
    ).toEqual(["+16"]);
    expect(
      told(rule, [
        [0, 1],
        [5, undefined],
        [6, 1],
        [15, 1],
      ]),
    ).toEqual([]);
  });

  it("clears only when it is over for the whole duration, and far enough", () => {
    expect(
      told({ above: 0, clearForMs: 10_000 }, [
        [0, 1],
        [5, 0],
        [14, 1],
        [15, 0],
        [24, 0],
        [25, 0],
      ]),
    ).toEqual(["+0", "-25"]);
    expect(
      told({ above: 10, clearAt: 5 }, [
        [0, 11],
        [1, 8],
        [2, 6],
        [3, 11],
        [4, 5],
      ]),
    ).toEqual(["+0", "-4"]);
    expect(
      told({ below: 10, clearAt: 20 }, [
        [0, 9],
        [1, 15],
        [2, 20],
      ]),
    ).toEqual(["+0", "-2"]);
  });

  it("clears when its series is gone, after as long as otherwise", () => {
    expect(
      told({ above: 0, clearForMs: 3_000 }, [
        [0, 1],
        [1, undefined],
        [3, undefined],
        [4, undefined],
      ]),
    ).toEqual(["+0", "-4"]);
  });

  it("of a counter is about what came in the last while", () => {
    const rule = { above: 10, growthMs: 60_000 };
    // What was counted before the first look does not count.
    expect(
      told(rule, [
        [0, 500],
        [10, 505],
        [20, 511],
        [70, 511],
        [90, 511],
      ]),
    ).toEqual(["+20", "-70"]);
    // A process that began anew.
    expect(
      told(rule, [
        [0, 500],
        [10, 0],
        [20, 9],
        [30, 11],
      ]),
    ).toEqual(["+30"]);
    // A series that was not there before began at 0.
    expect(
      told(rule, [
        [0, undefined],
        [10, 11],
      ]),
    ).toEqual(["+10"]);
  });

  it("is one for each series, and what is not known fires nothing", () => {
    const said: string[] = [];
    const rule: AlertRule = { ...base, where: { kind: "node" }, below: 1, forMs: 0, clearForMs: 0 };
    const book = new AlertBook([rule], ({ labels }) => said.push(labels["target"]!));
    const series = (kind: string, target: string, value: number): Series => ({
      labels: { kind, target },
      value,
    });
    const all = [
      series("node", "a", 0),
      series("node", "b", 1),
      series("ca", "c", 0),
      series("node", "d", Number.NaN),
    ];
    book.look(() => all, 0, 7);
    expect(said).toEqual(["a"]);
    expect(book.firing).toEqual([{ rule, labels: { kind: "node", target: "a" }, value: 0, since: 7 }]);
  });
});
