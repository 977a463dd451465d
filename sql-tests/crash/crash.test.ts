/** The crash and history suites in small: the whole of them is `npm run crash` (docs/testing.md). */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Isolation } from "../../src/mga/contract.js";
import { projectRoot } from "../server.js";
import { runFlips } from "./flips.js";
import { runSimHistory } from "./histories.js";
import { runImages } from "./images.js";
import { runKills } from "./kill.js";
import { runMutation, seededBugs } from "./mutations.js";

describe("crash images of a whole node", () => {
  for (const seed of [1, 2]) {
    it(`show what was acknowledged, whole (seed ${seed})`, async () => {
      const report = await runImages({ seed, images: 280, transactions: 40 });
      expect(report.failures).toEqual([]);
      expect(report.images).toBeGreaterThanOrEqual(250);
      // A run in which no COMMIT was ever cut off would prove little.
      expect(report.ahead).toBeGreaterThan(0);
      expect(report.verified).toBeGreaterThan(20);
    }, 60_000);
  }
});

describe("kill -9", () => {
  // A node as a process needs the build, which `npm ci` makes.
  it.skipIf(!existsSync(join(projectRoot, "dist/src/main.js")))(
    "keeps every answered transfer",
    async () => {
      const report = await runKills({ seed: 1, rounds: 3, clients: 4 });
      expect(report.failures).toEqual([]);
      expect(report.rounds).toBe(3);
      expect(report.answered).toBeGreaterThan(20);
    },
    60_000,
  );
});

describe("damaged files", () => {
  it("are named or do no harm", async () => {
    const report = await runFlips({ seed: 1, trials: 100 });
    expect(report.failures).toEqual([]);
    expect(report.outcomes.size).toBeGreaterThan(6);
  }, 60_000);
});

describe("histories", () => {
  const shares: readonly [Isolation, number][] = [
    ["readCommitted", 600],
    ["repeatableRead", 600],
    ["serializable", 800],
  ];
  for (const [isolation, transactions] of shares) {
    it(`of ${isolation} transactions show none of the anomalies it excludes`, async () => {
      const report = await runSimHistory({ seed: 1, isolation, transactions, connections: 32, lives: 3 });
      expect(report.anomalies).toEqual([]);
      expect(report.transactions).toBe(transactions);
      expect(report.edges).toBeGreaterThan(100);
      expect(report.unknown).toBeGreaterThan(0);
    }, 60_000);
  }

  for (const bug of seededBugs.filter((_, at) => at % 5 === 1)) {
    it(`notice a seeded bug: ${bug.name}`, async () => {
      expect((await runMutation(bug, 400)).caughtBy).toBeDefined();
    }, 70_000);
  }
});
