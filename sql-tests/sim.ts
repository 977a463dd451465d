/**
 * Whole clusters in the simulator: `npm run sim`. Each seed is a run of its own; a failure prints what replays it. Ends with 1
 * when anything was wrong. docs/testing.md says what is checked.
 *
 *   npm run sim -- --seeds N [--from S] [--minutes M]     N seeds from S on, M simulated minutes each
 *   npm run sim -- --seed S [--minutes M] [--trace]       one seed; all its events
 *   npm run sim -- --bugs | --bug NAME                    seeded bugs: each must be noticed
 */
import { parseArgs } from "node:util";
import { runSeed } from "../src/sim/cluster.js";
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
const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const say = (line: string): void => console.log(line);

const seen = new Map<string, number>();
let failures = 0;
const started = performance.now();
let simulated = 0;
let asked = 0;
let done = 0;
for (let seed = first; seed < first + count; seed++) {
  const since = performance.now();
  const bug = mutations.find((one) => one.name === values.bug);
  const report = await runSeed({ seed, minutes, bug, trace: values.trace ? say : undefined });
  simulated += report.simulatedMs;
  asked += report.asked;
  done += report.done;
  for (const [what, times] of report.seen) seen.set(what, (seen.get(what) ?? 0) + times);
  const took = (performance.now() - since) / 1000;
  if (!values.quiet)
    say(
      `seed ${seed}: ${report.swarm.level}, ${report.swarm.nodes} nodes, ${report.entries} entries, ${report.done} of ${report.asked} changes done, ${(report.simulatedMs / 60_000).toFixed(1)} min in ${took.toFixed(2)} s, ${report.digest.slice(0, 12)}`,
    );
  if (report.violation === undefined) continue;
  failures++;
  const { property, what, atMs } = report.violation;
  say(`FAILED seed ${seed} at ${(atMs / 1000).toFixed(3)} s: ${property}: ${what}`);
  say(`  ${JSON.stringify(report.swarm)}`);
  if (!values.trace) for (const line of report.tail) say(`  ${line}`);
  say(`  replay: npm run sim -- --seed ${seed} --minutes ${minutes} --trace`);
  if (!values["keep-going"]) break;
}
for (const what of sometimes) say(`${String(seen.get(what) ?? 0).padStart(7)}  ${what}`);
say(
  `${count} seeds, ${(simulated / 60_000).toFixed(0)} simulated minutes in ${((performance.now() - started) / 1000).toFixed(0)} s, ${done} of ${asked} changes done, ${failures} failures`,
);
process.exit(failures === 0 ? 0 : 1);
