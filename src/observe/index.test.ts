import { describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { hostClock } from "../platform/host.js";
import { createLog, Durations, durationBounds } from "./index.js";

function logInto(format: "json" | "pretty", level: "debug" | "info" = "info") {
  const lines: string[] = [];
  const clock = { ...hostClock, now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 678) };
  const source = { node: "node-7", component: "main" };
  return { lines, log: createLog({ format, level, clock, source, write: (line) => lines.push(line) }) };
}

describe("log", () => {
  it("writes one JSON object a line, with time, level, fields and errors", () => {
    const { log, lines } = logInto("json");
    log.debug("not shown");
    log.child({ shard: 3 }).warn("slow\nread", { ms: 12, password: "x", role: { password: "y" } });
    log.error("failed", { error: new DbError("diskFull", "no space", {}, new Error("ENOSPC")) });
    expect(lines).toHaveLength(2);
    expect(lines.every((line) => line.indexOf("\n") === line.length - 1)).toBe(true);
    expect(JSON.parse(lines[0]!)).toEqual({
      level: "warn",
      time: "2026-01-02T03:04:05.678Z",
      node: "node-7",
      component: "main",
      shard: 3,
      message: "slow\nread",
      ms: 12,
      password: "[hidden]",
      role: { password: "[hidden]" },
    });
    expect(JSON.parse(lines[1]!).error).toMatchObject({
      message: "no space",
      sqlstate: "53100",
      cause: { message: "ENOSPC" },
    });
  });
  it("is readable on a terminal", () => {
    const { log, lines } = logInto("pretty");
    log.info("listening", { address: "127.0.0.1:5433", what: "a b" });
    expect(lines).toEqual(['03:04:05.678 info  listening address=127.0.0.1:5433 what="a b"\n']);
  });
});

describe("durations", () => {
  it("are counted under the first bound they do not exceed", () => {
    const durations = new Durations();
    for (const seconds of [0, 0.001, 0.0011, 0.5, 30, 31, 1000]) durations.observe(seconds);
    expect(durations.counts).toEqual([2, 1, 0, 1, 0, 0, 0, 1, 2]);
    expect(durations.counts).toHaveLength(durationBounds.length + 1);
    expect(durations.count).toBe(7);
    expect(durations.sum).toBeCloseTo(1061.5021);
    expect({ ...structuredClone(durations) }).toEqual({ ...durations });
  });
});
