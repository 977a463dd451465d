/**
 * Crash and history suites of the whole node: `npm run crash`. Each part prints what it did; a failure prints the seed and
 * number that replay it alone. Ends with 1 when anything was wrong. docs/testing.md says what is checked.
 *
 *   npm run crash                                  all parts in full
 *   npm run crash -- --part images                 one part: images, kills, flips, histories, bugs
 *   npm run crash -- --seed S --image N            one crash image
 *   npm run crash -- --seed S --trial N            one damaged file
 *   npm run crash -- --scale 0.1                   a tenth of everything
 */
import { parseArgs } from "node:util";
import type { Isolation } from "../src/mga/contract.js";
import { runFlips } from "./crash/flips.js";
import { type HistoryReport, runSimHistory, runWireHistory } from "./crash/histories.js";
import { runImages } from "./crash/images.js";
import { runKills } from "./crash/kill.js";
import { runMutation, seededBugs } from "./crash/mutations.js";

const { values } = parseArgs({
  options: {
    part: { type: "string" },
    seed: { type: "string" },
    image: { type: "string" },
    trial: { type: "string" },
    scale: { type: "string", default: "1" },
  },
});
const scale = Number(values.scale);
const seed = values.seed === undefined ? undefined : Number(values.seed);
const say = (line: string): void => console.log(line);
const scaled = (count: number): number => Math.max(1, Math.ceil(count * scale));
let failures = 0;

function fail(lines: readonly string[]): void {
  failures += lines.length;
  for (const line of lines) say(`FAILED ${line}`);
}

/** Over 20,000 images, of twelve seeds: what a trace holds before its first acknowledged transaction is no image. */
async function images(): Promise<void> {
  const total = { images: 0, ahead: 0, again: 0, verified: 0 };
  for (let one = seed ?? 1; one <= (seed ?? 12); one++) {
    const started = performance.now();
    const report = await runImages({
      seed: one,
      images: scaled(2100),
      image: values.image === undefined ? undefined : Number(values.image),
    });
    fail(report.failures);
    total.images += report.images;
    total.ahead += report.ahead;
    total.again += report.again;
    total.verified += report.verified;
    say(
      `images: seed ${one}: ${report.images} of ${report.events} events, ${report.committed} transactions, ${seconds(started)}`,
    );
  }
  say(
    `images: ${total.images} opened; ${total.ahead} showed a COMMIT that was under way, ${total.again} were crashed again, ${total.verified} verified page by page`,
  );
}

async function kills(): Promise<void> {
  const report = await runKills({ seed: seed ?? 1, rounds: scaled(50), progress: say });
  fail(report.failures);
  const slowest = Math.max(...report.startMs);
  if (slowest > 2000) fail([`kills: a start after a kill took ${Math.round(slowest)} ms`]);
  say(
    `kills: ${report.rounds} rounds, ${report.answered} transfers answered, ${report.unanswered} unanswered ones found done, slowest start ${Math.round(slowest)} ms`,
  );
}

async function flips(): Promise<void> {
  const trial = values.trial === undefined ? undefined : Number(values.trial);
  for (let one = seed ?? 1; one <= (seed ?? 4); one++) {
    const report = await runFlips({ seed: one, trials: scaled(500), trial });
    fail(report.failures);
    const shown = [...report.outcomes].sort().map(([key, count]) => `${key} ${count}`);
    say(`flips: seed ${one}: ${report.trials} damaged files; ${shown.join(", ")}`);
  }
}

const isolations: readonly Isolation[] = ["readCommitted", "repeatableRead", "serializable"];

async function histories(): Promise<void> {
  const show = (where: string, isolation: Isolation, report: HistoryReport): void => {
    fail(report.anomalies.map(({ name, what }) => `history (${where}, ${isolation}): ${name}: ${what}`));
    say(
      `histories: ${where}, ${isolation}: ${report.transactions} transactions, ${report.committed} committed, ${report.unknown} cut off, ${report.edges} dependencies, ${report.anomalies.length} anomalies, ${(report.ms / 1000).toFixed(1)} s`,
    );
  };
  for (const isolation of isolations) {
    // In courses of their own: a history is judged as a whole, and a crash belongs to each.
    for (let course = 0; course < 10; course++) {
      const run = { seed: (seed ?? 1) + course, isolation, transactions: scaled(10_000), connections: 32 };
      show(`simulator, seed ${run.seed}`, isolation, await runSimHistory({ ...run, lives: 5 }));
    }
    show(
      "sockets",
      isolation,
      await runWireHistory({ seed: seed ?? 1, isolation, transactions: scaled(100_000), connections: 32 }),
    );
  }
}

async function bugs(): Promise<void> {
  for (const bug of seededBugs) {
    const report = await runMutation(bug);
    if (report.caughtBy === undefined) fail([`seeded bug "${bug.name}" was not noticed`]);
    else
      say(
        `bugs: "${bug.name}" caught by ${report.caughtBy} after ${report.transactions} transactions, ${(report.ms / 1000).toFixed(1)} s: ${report.what.slice(0, 160)}`,
      );
  }
}

function seconds(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}

const parts: Readonly<Record<string, () => Promise<void>>> = { images, kills, flips, histories, bugs };
const chosen =
  values.part ?? (values.image !== undefined ? "images" : values.trial !== undefined ? "flips" : undefined);
if (chosen !== undefined && parts[chosen] === undefined) throw new Error(`unknown part ${chosen}`);
for (const [name, part] of Object.entries(parts)) {
  if (chosen !== undefined && name !== chosen) continue;
  const started = performance.now();
  await part();
  say(`${name}: ${seconds(started)}`);
}
say(failures === 0 ? "everything held" : `${failures} failures`);
process.exit(failures === 0 ? 0 : 1);
