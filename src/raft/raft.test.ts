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
import { defaultLimits, type Effects } from "./contract.js";
import { RaftNode, step } from "./core.js";
import { memberSet } from "./members.js";

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

it("a snapshot goes on from what the peer has, though that be less than it had: an old part came after a restart", () => {
  const members = memberSet([1, 2]);
  const base = { index: 5, term: 1, members };
  const snapshot = { ...base, data: new Uint8Array(10) };
  const limits = { ...defaultLimits, snapshotChunkBytes: 4 };
  const hard = { term: 1, vote: 0 };
  const node = new RaftNode({ id: 1, hard, base, snapshot, applied: 5, limits, seed: 1 });
  const from2 = { from: 2, to: 1, term: 2 } as const;
  step(node, { kind: "electionTimeout" });
  step(node, { kind: "preVoteAnswer", ...from2, granted: true });
  step(node, { kind: "voteAnswer", ...from2, granted: true });
  const refusal = { index: 5, accepted: false, hintIndex: 0, hintTerm: 0 };
  const offsets = ({ send }: Effects): unknown[] => send.map((one) => one.kind === "snapshot" && one.offset);
  expect(offsets(step(node, { kind: "appendAnswer", ...from2, ...refusal }))).toEqual([0]);
  const answer = (offset: number, received: number): unknown[] =>
    offsets(step(node, { kind: "snapshotAnswer", ...from2, index: 5, offset, received }));
  expect(answer(0, 4)).toEqual([4]);
  expect(answer(0, 4)).toEqual([]);
  expect(answer(4, 8)).toEqual([8]);
  expect(answer(0, 4)).toEqual([]);
  expect(answer(8, 8)).toEqual([]);
  expect(answer(8, 4)).toEqual([4]);
  expect(answer(4, 8)).toEqual([8]);
  expect(answer(8, 0)).toEqual([0]);
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
