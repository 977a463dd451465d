/**
 * Raft: scripts with golden output (`REWRITE=1` refreshes them; the diff is the review), the short form of the
 * exploration (`npm run model` is the long one), and every seeded bug noticed.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { allScenarios, Explorer, scenarios } from "../sim/raft/explorer.js";
import { seededRaftBugs } from "../sim/raft/mutations.js";
import { bugShownBy, runScript } from "../sim/raft/script.js";

const folder = fileURLToPath(new URL("testdata/", import.meta.url));
const scripts = readdirSync(folder).filter((name) => name.endsWith(".txt"));

describe("scripts", () => {
  for (const name of scripts) {
    it(name, () => {
      const path = folder + name;
      const text = readFileSync(path, "utf8");
      const output = runScript(text);
      if (process.env["REWRITE"] === "1") writeFileSync(path, output);
      else expect(output).toBe(text);
    });
  }
});

describe("exploration", () => {
  for (const [at, scenario] of scenarios.entries()) {
    it(`${scenario.name}: worlds without a violation`, () => {
      const { states, violation } = new Explorer({ scenario, seed: at + 1 }).explore(35_000);
      expect(violation).toBeUndefined();
      expect(states).toBeGreaterThanOrEqual(35_000);
    });
  }

  it("walks over larger budgets, with partitions, meet everything that can happen and no violation", () => {
    const seen = new Set<string>();
    for (const [at, scenario] of allScenarios.entries()) {
      const explorer = new Explorer({ scenario, seed: 100 + at });
      for (let walk = 0; walk < 300; walk++) expect(explorer.walk(150).violation).toBeUndefined();
      for (const what of explorer.seen.keys()) seen.add(what);
    }
    expect([...seen].sort()).toEqual([
      "a change accepted",
      "a joint set",
      "a read confirmed",
      "a read refused",
      "a snapshot installed",
      "a write of several steps",
      "healed with members down",
    ]);
  });

  for (const bug of seededRaftBugs) {
    it(`notices: ${bug.name}`, () => {
      const script =
        bug.script === undefined ? undefined : readFileSync(`${folder}${bug.script}.txt`, "utf8");
      expect(bugShownBy(bug, 4000, script)?.property).toBeDefined();
    });
  }
});
