/** The table of cluster settings: spellings, limits, and that a default is what it would be normalized to. */
import { describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import {
  clusterSettings,
  durationMs,
  nearestSetting,
  normalizeSetting,
  plainSetting,
  settingDef,
} from "./settings.js";

const defs = Object.values(clusterSettings);
const def = (key: string) => settingDef(key)!;
const failure = (work: () => unknown): DbError => {
  try {
    work();
  } catch (error) {
    if (error instanceof DbError) return error;
    throw error;
  }
  throw new Error("was accepted");
};

describe("the table", () => {
  it("spells its defaults as it would spell them, within their limits", () => {
    for (const one of defs)
      expect([one.name, normalizeSetting(one, one.default)]).toEqual([one.name, one.default]);
  });

  it("is in order of names, and every key has a prefix and a description", () => {
    const names = defs.map((one) => one.name);
    expect(names).toEqual([...names].sort());
    for (const one of defs) {
      expect(one.name).toMatch(/^[a-z_]+\.[a-z_]+$/);
      expect(one.description).toMatch(/\.$/);
    }
  });

  it("puts each key into the part of its prefix", () => {
    const parts = Object.fromEntries(defs.map((one) => [one.name.split(".")[0], one.part]));
    expect(parts).toEqual({
      audit: "observabilityPolicy",
      // Not the security bundle: settings are in effect when they are applied (C1).
      authentication: "capabilityMatrix",
      backup: "backupPolicy",
      ca: "capabilityMatrix",
      cluster: "capabilityMatrix",
      degraded_mode: "capabilityMatrix",
      epoch: "capabilityMatrix",
      membership: "capabilityMatrix",
      observability: "observabilityPolicy",
      rebalance: "capabilityMatrix",
      replication: "replicationPolicy",
      scheduler: "schedulerPolicy",
      security_bundle: "capabilityMatrix",
    });
  });

  it("knows no key of Object's own, and tells which one may have been meant", () => {
    expect(settingDef("constructor")).toBeUndefined();
    expect(settingDef("toString")).toBeUndefined();
    expect(settingDef("replication.factors")).toBeUndefined();
    expect(nearestSetting("replication.factors")).toBe("replication.factor");
    expect(nearestSetting("membership.failure_timout")).toBe("membership.failure_timeout");
    expect(nearestSetting("x")).toBeUndefined();
  });
});

describe("values", () => {
  it.each([
    ["replication.factor", " 3 ", "3"],
    ["replication.factor", "+03", "3"],
    ["observability.trace_sample_rate", ".50", "0.5"],
    ["observability.trace_sample_rate", "1e-3", "0.001"],
    ["observability.trace_sample_rate", "-0", "0"],
    ["degraded_mode.max_duration", "1 hour", "1h"],
    ["degraded_mode.max_duration", "90 m", "90min"],
    ["degraded_mode.max_duration", "1:30:00", "90min"],
    ["degraded_mode.max_duration", "60 M", "1h"],
    ["degraded_mode.max_duration", "7200", "2h"],
    ["degraded_mode.max_duration", "120s", "2min"],
    ["degraded_mode.max_duration", "1 day 1 h", "25h"],
    ["degraded_mode.max_duration", "1500 ms", "1500ms"],
    ["degraded_mode.max_duration", "1.5 s", "1500ms"],
    ["degraded_mode.max_duration", "2 D", "2d"],
    ["degraded_mode.max_duration", "3 SECONDS", "3s"],
    ["membership.removal_grace", "off", "0"],
    ["membership.removal_grace", "0 s", "0"],
    ["epoch.bytes_max", "20mb", "20MB"],
    ["epoch.bytes_max", "1048577", "1048577B"],
    ["epoch.bytes_max", "1.5 MB", "1536kB"],
    ["epoch.require_quorum", "TRUE", "on"],
    ["epoch.require_quorum", "0", "off"],
    ["replication.sync", "Quorum", "quorum"],
    ["cluster.min_node_version", "01.2.003", "1.2.3"],
  ])("%s = %s is %s", (key, given, canonical) => {
    expect(normalizeSetting(def(key), given)).toBe(canonical);
    expect(normalizeSetting(def(key), canonical)).toBe(canonical);
  });

  it.each([
    ["replication.factor", "0", "a whole number from 1 to 7"],
    ["replication.factor", "8", "a whole number from 1 to 7"],
    ["replication.factor", "2.5", "a whole number from 1 to 7"],
    ["replication.factor", "two", "a whole number from 1 to 7"],
    ["observability.trace_sample_rate", "1.01", "a number from 0 to 1"],
    ["observability.trace_sample_rate", "-0.1", "a number from 0 to 1"],
    ["observability.trace_sample_rate", "NaN", "a number from 0 to 1"],
    ["degraded_mode.max_duration", "31 days", "a duration from 1s to 30d, such as '90 s' or '1 hour'"],
    ["degraded_mode.max_duration", "1 month", "a duration from 1s to 30d, such as '90 s' or '1 hour'"],
    ["degraded_mode.max_duration", "-1 s", "a duration from 1s to 30d, such as '90 s' or '1 hour'"],
    ["degraded_mode.max_duration", "off", "a duration from 1s to 30d, such as '90 s' or '1 hour'"],
    ["degraded_mode.max_duration", "1.0001 s", "a duration from 1s to 30d, such as '90 s' or '1 hour'"],
    ["degraded_mode.max_duration", "", "a duration from 1s to 30d, such as '90 s' or '1 hour'"],
    ["epoch.bytes_max", "1 kB", "a size from 1MB to 100MB, such as '20MB'"],
    ["epoch.bytes_max", "20 parsecs", "a size from 1MB to 100MB, such as '20MB'"],
    ["epoch.require_quorum", "maybe", "on or off"],
    ["replication.sync", "sync", "async or quorum"],
    ["cluster.min_node_version", "1.100.0", "a version such as 1.2.0"],
    ["cluster.min_node_version", "1.2", "a version such as 1.2.0"],
  ])("%s = %s is refused", (key, given, takes) => {
    const error = failure(() => normalizeSetting(def(key), given));
    expect(error.sqlstate).toBe("22023");
    expect(error.message).toBe(`invalid value for cluster setting "${key}": "${given}"`);
    expect(error.fields.detail).toBe(`It takes ${takes}.`);
  });

  it("are read as numbers", () => {
    expect(def("membership.failure_timeout").read("30s")).toBe(30_000);
    expect(def("epoch.bytes_max").read("15MB")).toBe(15_728_640);
    expect(def("epoch.require_quorum").read("on")).toBe(1);
    expect(def("replication.sync").read("quorum")).toBe(1);
    expect(def("cluster.min_node_version").read("1.2.3")).toBe(102_003);
  });

  it("durations are milliseconds, spelled as they are kept or not", () => {
    expect(durationMs("0")).toBe(0);
    expect(durationMs("250ms")).toBe(250);
    expect(durationMs("5min")).toBe(300_000);
    expect(durationMs("2d")).toBe(172_800_000);
    expect(durationMs("1 hour")).toBe(3_600_000);
    expect(failure(() => durationMs("soon")).sqlstate).toBe("22023");
  });

  it("are shown in their unit", () => {
    expect(plainSetting(def("epoch.convergence_timeout"), "5min")).toBe("300");
    expect(plainSetting(def("epoch.convergence_timeout"), "1500ms")).toBe("1.5");
    expect(plainSetting(def("epoch.bytes_max"), "15MB")).toBe("15728640");
    expect(plainSetting(def("membership.removal_grace"), "0")).toBe("0");
    expect(plainSetting(def("replication.sync"), "async")).toBe("async");
    expect(def("epoch.bytes_max").unit).toBe("B");
    expect(def("replication.factor").unit).toBeUndefined();
  });
});
