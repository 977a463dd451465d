/** A short share of `npm run sim`: some seeds, the same seed twice, and some of the seeded bugs. */
import { expect, test } from "vitest";
import { findBug, runSeed } from "./cluster.js";
import { mutations } from "./cluster-mutations.js";

const minutes = 1;

/** Of both levels; the last one has whole nodes. */
test.each([1, 2, 8, 9, 18, 10])(
  "seed %i keeps its promises",
  async (seed) => {
    const { violation, tail } = await runSeed({ seed, minutes });
    expect(violation, tail.join("\n")).toBeUndefined();
  },
  60_000,
);

test.each([8, 20])(
  "seed %i gives the same events twice",
  async (seed) => {
    const [first, second] = [await runSeed({ seed, minutes: 0.3 }), await runSeed({ seed, minutes: 0.3 })];
    expect(first.lines).toBeGreaterThan(50);
    expect(second.digest).toBe(first.digest);
    const other = await runSeed({ seed: seed + 1, minutes: 0.3 });
    expect(other.digest).not.toBe(first.digest);
  },
  60_000,
);

test.each([
  "a change is answered before the others have applied it",
  "a second copy of a proposal is applied",
  "the first entry behind a snapshot is passed over",
])(
  "noticed: %s",
  async (name) => {
    const bug = mutations.find((one) => one.name === name)!;
    expect(await findBug(bug, { from: 1, seeds: 5, minutes })).toBeDefined();
  },
  60_000,
);

test("a seeded bug is there only as long as its run", async () => {
  const bug = mutations.find((one) => one.name === "a second copy of a proposal is applied")!;
  const before = await runSeed({ seed: 8, minutes: 0.2, swarm: bug.swarm });
  await runSeed({ seed: 8, minutes: 0.2, bug });
  const after = await runSeed({ seed: 8, minutes: 0.2, swarm: bug.swarm });
  expect(after.digest).toBe(before.digest);
}, 60_000);
