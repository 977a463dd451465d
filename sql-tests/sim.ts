/**
 * Whole clusters in the simulator: `npm run sim`. Each seed is a run of its own; a failure prints what replays it. Ends with 1
 * when anything was wrong. docs/testing.md says what is checked.
 *
 *   npm run sim -- --seeds N [--from S] [--minutes M]     N seeds from S on, M simulated minutes each
 *   npm run sim -- --seed S [--minutes M] [--trace]       one seed; all its events
 *   npm run sim -- --bugs | --bug NAME                    seeded bugs: each must be noticed within 30 seeds
 *
 *   --keep-going: on to the next seed behind a failure. --quiet: failures and sums only.
 */
import { parseArgs } from "node:util";
import { findBug, runSeed } from "../src/sim/cluster.js";
import { sometimes } from "../src/sim/cluster-events.js";
import { mutations } from "../src/sim/cluster-mutations.js";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "30" },
    from: { type: "string", default: "1" },
    minutes: { type: "string", default: "1" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    bug: { type: "string" },
    bugs: { type: "boolean", default: false },
    "keep-going": { type: "boolean", default: false },
    quiet: { type: "boolean", default: false },
  },
});
const minutes = Number(values.minutes);
const from = Number(values.from);
const seeds = Number(values.seeds);
const say = (line: string): void => console.log(line);
const started = performance.now();
const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;

const right = await (values.bugs || (values.bug !== undefined && values.seed === undefined)
  ? runBugs()
  : runSeeds());
process.exit(right ? 0 : 1);

async function runSeeds(): Promise<boolean> {
  const first = Number(values.seed ?? from);
  const count = values.seed === undefined ? seeds : 1;
  const bug = values.bug === undefined ? undefined : bugNamed(values.bug);
  const seen = new Map<string, number>();
  let failures = 0;
  let run = 0;
  let simulated = 0;
  let asked = 0;
  let done = 0;
  for (let seed = first; seed < first + count; seed++) {
    const since = performance.now();
    const report = await runSeed({ seed, minutes, bug, trace: values.trace ? say : undefined });
    run++;
    simulated += report.simulatedMs;
    asked += report.asked;
    done += report.done;
    for (const [what, times] of report.seen) seen.set(what, (seen.get(what) ?? 0) + times);
    const { swarm, entries, digest } = report;
    if (!values.quiet)
      say(
        `seed ${seed}: ${swarm.level}, ${swarm.nodes} nodes, ${entries} entries, ${report.done} of ${report.asked} changes done, ${(report.simulatedMs / 60_000).toFixed(1)} min in ${seconds(since)}, ${digest.slice(0, 12)}`,
      );
    if (report.violation === undefined) continue;
    failures++;
    const { property, what, atMs } = report.violation;
    say(`FAILED seed ${seed} at ${(atMs / 1000).toFixed(3)} s: ${property}: ${what}`);
    say(`  ${JSON.stringify(swarm)}`);
    if (!values.trace) for (const line of report.tail) say(`  ${line}`);
    say(`  replay: npm run sim -- --seed ${seed} --minutes ${minutes} --trace`);
    if (!values["keep-going"]) break;
  }
  const never = sometimes.filter((what) => !seen.has(what));
  if (!values.quiet) for (const what of sometimes) say(`${String(seen.get(what) ?? 0).padStart(7)}  ${what}`);
  // Fewer seeds need not show everything, nor does a run that was cut off.
  const blind = run >= 30 && never.length > 0;
  if (blind) for (const what of never) say(`NEVER SEEN: ${what}: what is to bring it about has no effect`);
  say(
    `${run} seeds, ${(simulated / 60_000).toFixed(0)} simulated minutes in ${seconds(started)}, ${done} of ${asked} changes done, ${sometimes.length - never.length} of ${sometimes.length} properties seen, ${failures} failures`,
  );
  return failures === 0 && !blind;
}

async function runBugs(): Promise<boolean> {
  const chosen = values.bug === undefined ? mutations : [bugNamed(values.bug)];
  let noticed = 0;
  for (const bug of chosen) {
    const since = performance.now();
    const found = await findBug(bug, { from, seeds, minutes });
    if (found === undefined) {
      say(`NOT NOTICED in ${seeds} seeds, ${seconds(since)}: ${bug.name}`);
      continue;
    }
    noticed++;
    const { seed, violation, passed } = found;
    const more = passed === 0 ? "" : ` (${passed} seeds fail without it too)`;
    say(
      `noticed by seed ${seed} at ${(violation.atMs / 1000).toFixed(1)} s, in ${seconds(since)}: ${bug.name}: ${violation.property}${more}`,
    );
    if (!values.quiet) say(`  ${violation.what.split("\n")[0]!.slice(0, 200)}`);
  }
  say(`${noticed} of ${chosen.length} seeded bugs noticed in ${seconds(started)}`);
  return noticed === chosen.length;
}

function bugNamed(name: string): (typeof mutations)[number] {
  const bug = mutations.find((one) => one.name === name) ?? mutations[Number(name) - 1];
  if (bug !== undefined) return bug;
  say(`no such bug: ${name}; those there are:`);
  for (const [at, one] of mutations.entries()) say(`  ${at + 1}  ${one.name}`);
  process.exit(2);
}
