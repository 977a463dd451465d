/**
 * The Raft explorer: states of the real `step()` visited without a violation, then every seeded bug noticed.
 *
 *   npm run model                         10^7 states over the scenarios, walks, all seeded bugs
 *   npm run model -- --states N --walks N --seed S
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { allScenarios, Explorer, scenarios, type Violation } from "../src/sim/raft/explorer.js";
import { seededRaftBugs } from "../src/sim/raft/mutations.js";
import { bugShownBy } from "../src/sim/raft/script.js";

const { values } = parseArgs({
  options: {
    states: { type: "string", default: "10000000" },
    walks: { type: "string", default: "20000" },
    seed: { type: "string", default: "1" },
  },
});
/** From here, or from where this is built to. */
const root = import.meta.url.includes("/dist/") ? "../../" : "../";
const statesWanted = Number(values.states);
const walks = Number(values.walks);
const seed = Number(values.seed);

let failed = false;
function report(violation: Violation | undefined): void {
  if (violation === undefined) return;
  failed = true;
  console.log(`VIOLATION: ${violation.property}\n  ${violation.trail.join("\n  ")}`);
}

const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;
let states = 0;
for (const [at, scenario] of scenarios.entries()) {
  const started = performance.now();
  const explorer = new Explorer({ scenario, seed: seed + at });
  const found = explorer.explore(Math.ceil(statesWanted / scenarios.length));
  states += found.states;
  console.log(
    `states: ${scenario.name}: ${found.states} states, ${found.transitions} steps, depth ${found.deepest}, ${found.passedOver} not gone on from, ${seconds(started)}`,
  );
  report(found.violation);
}
console.log(`states: ${states} in all`);

for (const [at, scenario] of allScenarios.entries()) {
  const started = performance.now();
  const explorer = new Explorer({ scenario, seed: seed + 100 + at });
  let steps = 0;
  for (let walk = 0; walk < walks && !failed; walk++) {
    const done = explorer.walk(150);
    steps += done.steps;
    report(done.violation);
  }
  const seen = [...explorer.seen].map(([what, times]) => `${what} ${times} times`).join(", ");
  console.log(
    `walks: ${scenario.name}: ${walks} walks, ${steps} steps, all healed; ${seen}; ${seconds(started)}`,
  );
}

let noticed = 0;
for (const bug of seededRaftBugs) {
  const started = performance.now();
  const script =
    bug.script === undefined
      ? undefined
      : readFileSync(new URL(`${root}src/raft/testdata/${bug.script}.txt`, import.meta.url), "utf8");
  const violation = bugShownBy(bug, 20_000, script);
  if (violation !== undefined) noticed++;
  console.log(
    `bugs: "${bug.name}" ${violation === undefined ? "NOT NOTICED" : `noticed: ${violation.property}`}, ${seconds(started)}`,
  );
}
console.log(`bugs: ${noticed} of ${seededRaftBugs.length} noticed`);
process.exit(failed || noticed < seededRaftBugs.length ? 1 : 0);
