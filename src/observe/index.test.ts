import { describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { hostClock } from "../platform/host.js";
import { createLog, Metrics } from "./index.js";

function logInto(format: "json" | "pretty", level: "debug" | "info" = "info") {
  const lines: string[] = [];
  const clock = { ...hostClock, now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 678) };
  return { lines, log: createLog({ format, level, clock, write: (line) => lines.push(line) }) };
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
      shard: 3,
      msg: "slow\nread",
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

describe("metrics", () => {
  it("render in Prometheus' text format", () => {
    const metrics = new Metrics();
    metrics.counter("queries_total", "Queries.", { kind: 'a"b' }).add(3);
    metrics.counter("queries_total", "Queries.", { kind: "c" }).value += 1;
    metrics.gauge("connections", "Open.", () => 7);
    const histogram = metrics.histogram("latency_seconds", "Time.", [0.1, 1]);
    for (const value of [0.05, 0.1, 0.5, 2]) histogram.observe(value);
    expect(metrics.render()).toBe(
      [
        "# HELP queries_total Queries.",
        "# TYPE queries_total counter",
        'queries_total{kind="a\\"b"} 3',
        'queries_total{kind="c"} 1',
        "# HELP connections Open.",
        "# TYPE connections gauge",
        "connections 7",
        "# HELP latency_seconds Time.",
        "# TYPE latency_seconds histogram",
        'latency_seconds_bucket{le="0.1"} 2',
        'latency_seconds_bucket{le="1"} 3',
        'latency_seconds_bucket{le="+Inf"} 4',
        "latency_seconds_sum 2.65",
        "latency_seconds_count 4",
        "",
      ].join("\n"),
    );
    expect(() => metrics.gauge("connections", "Open.", () => 1)).toThrow("twice");
    expect(() => metrics.counter("connections", "Open.")).toThrow("is a gauge");
  });
});
