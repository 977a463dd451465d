/** The parts of the benchmark runner that decide what a figure means. */
import { describe, expect, it } from "vitest";
import { factRows } from "../bench/data.js";
import { cpuPerOperation, type Line, median, ratioOf, verdictOf } from "../bench/figures.js";
import { parsePgbench } from "../bench/pgbench.js";
import { type CpuProfile, report } from "../bench/profile.js";

const sample = (value: number) => ({ value, noise: 0, operations: 10, cpuSeconds: 0.001 });
const line = (id: string, unit: Line["unit"], ours: number[], postgres: number[]): Line => ({
  id,
  title: id,
  unit,
  ours: { samples: ours.map(sample) },
  postgres: { samples: postgres.map(sample) },
});

describe("figures", () => {
  it("takes the middle value, or the mean of the two in the middle", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(() => median([])).toThrow(RangeError);
  });

  it("turns ratios so that more is better", () => {
    expect(ratioOf(line("select.simple.c8", "tps", [200, 100, 300], [100]))).toBe(2);
    expect(ratioOf(line("query.count", "ms", [10], [50]))).toBe(5);
    expect(ratioOf({ ...line("query.count", "ms", [10], []) })).toBeUndefined();
  });

  it("judges by the goals of the line, and a failure before all", () => {
    expect(verdictOf(line("select.simple.c8", "tps", [180], [100]))).toBe("aim");
    expect(verdictOf(line("select.simple.c8", "tps", [100], [100]))).toBe("pass");
    expect(verdictOf(line("select.simple.c8", "tps", [99], [100]))).toBe("miss");
    expect(verdictOf(line("query.count", "ms", [10], [49]))).toBe("miss");
    expect(verdictOf(line("no.goal", "ms", [10], [49]))).toBe("");
    const failed: Line = { ...line("query.count", "ms", [], [1]), ours: { samples: [], error: "gone" } };
    expect(verdictOf(failed)).toBe("failed");
  });

  it("weighs processor time by operations, not by samples", () => {
    const rate: Line = {
      ...line("select.simple.c8", "tps", [], []),
      ours: {
        samples: [
          { value: 1, noise: 0, operations: 1000, cpuSeconds: 0.01 },
          { value: 1, noise: 0, operations: 3000, cpuSeconds: 0.09 },
        ],
      },
    };
    expect(cpuPerOperation(rate, rate.ours)).toBeCloseTo(25);
  });
});

describe("pgbench's summary", () => {
  const summary =
    "number of transactions actually processed: 2003\nlatency average = 7.8 ms\ntps = 1017.335333 (without initial connection time)\n";
  it("gives rate and count", () => {
    expect(parsePgbench(0, summary, "")).toEqual({ tps: 1017.335333, transactions: 2003 });
  });
  it("is a failure when clients were aborted, whatever rate it prints", () => {
    expect(() => parsePgbench(2, summary, "pgbench: error: client 3 aborted\nmore")).toThrow(
      "client 3 aborted",
    );
    expect(() => parsePgbench(0, "", "")).toThrow("exit 0");
  });
});

describe("generated rows", () => {
  it("are the same every time, and as the questions expect them", () => {
    const text = Buffer.concat(factRows(20_000)).toString();
    expect(Buffer.concat(factRows(20_000, 1000)).toString()).toBe(text);
    const rows = text
      .trimEnd()
      .split("\n")
      .map((each) => each.split("\t"));
    expect(rows).toHaveLength(20_000);
    expect(new Set(rows.map((row) => row[4])).size).toBe(100);
    expect(rows.every((row) => row[1]!.length === 32 && Number(row[5]) < 10_000)).toBe(true);
    const kept = rows.filter((row) => Number(row[2]) < 100 && row[3]! >= "2024-06-01").length / rows.length;
    expect(kept).toBeGreaterThan(0.05);
    expect(kept).toBeLessThan(0.07);
  });
});

describe("profiles", () => {
  // root > work > (leaf, work again, native call); idle beside.
  const frame = (functionName: string, url = "") => ({ functionName, url, lineNumber: 0, columnNumber: 0 });
  const profile: CpuProfile = {
    nodes: [
      { id: 1, callFrame: frame("(root)"), children: [2, 6] },
      { id: 2, callFrame: frame("work", "file:///elsewhere/work.js"), children: [3, 4] },
      { id: 3, callFrame: frame("leaf", "node:net") },
      { id: 4, callFrame: frame("work", "file:///elsewhere/work.js"), children: [5] },
      { id: 5, callFrame: frame("writeBuffer") },
      { id: 6, callFrame: frame("(idle)") },
    ],
    startTime: 1000,
    endTime: 1100,
    samples: [2, 3, 5, 6, 4],
    timeDeltas: [0, 10, 20, 30, 20],
  };
  const whole = { fromUs: 1000, toUs: 1100 };

  it("sums self times to the window, idle apart", () => {
    const of = report(profile, [whole]);
    expect(of.windowUs).toBe(100);
    expect(of.idleUs).toBe(20);
    expect(of.functions.reduce((sum, { selfUs }) => sum + selfUs, 0)).toBe(80);
    expect(of.parts.reduce((sum, [, us]) => sum + us, 0)).toBe(80);
  });

  it("counts recursion once, and names the project's caller of native code", () => {
    const of = report(profile, [whole]);
    const find = (name: string) => of.functions.find((each) => each.name === name)!;
    expect(find("work")).toMatchObject({ selfUs: 30, totalUs: 80 });
    expect(find("writeBuffer")).toMatchObject({ selfUs: 30, totalUs: 30, part: "native", caller: "work" });
    expect(find("leaf")).toMatchObject({ selfUs: 20, part: "node", place: "node:net:1" });
  });

  it("cuts samples at the edges of windows", () => {
    const of = report(profile, [
      { fromUs: 1005, toUs: 1020 },
      { fromUs: 1090, toUs: 2000 },
    ]);
    expect(of.windowUs).toBe(25);
    const self = new Map(of.functions.map(({ name, selfUs }) => [name, selfUs]));
    expect(self.get("work")).toBe(15);
    expect(self.get("leaf")).toBe(10);
  });
});
