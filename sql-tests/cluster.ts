/**
 * Suites of clusters of real processes: `npm run cluster`. Each part prints what it did; ends with 1 when anything was wrong.
 * docs/testing.md says what is checked.
 *
 *   npm run cluster                          all parts in full
 *   npm run cluster -- --part failover       one part
 *   npm run cluster -- --scale 0.1           a tenth of everything
 *   npm run cluster -- --part partitions --network proxies    without network namespaces (--seed N, --only NAME)
 */
import { parseArgs } from "node:util";
import { runFailover } from "./cluster/failover.js";
import { runLoad } from "./cluster/load.js";
import { runPartitions } from "./cluster/partitions.js";
import { runRefusals } from "./cluster/refusals.js";
import { runTrust } from "./cluster/trust.js";

const { values } = parseArgs({
  options: {
    part: { type: "string" },
    scale: { type: "string", default: "1" },
    folder: { type: "string" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
    profile: { type: "string" },
    network: { type: "string" },
  },
});
const scale = Number(values.scale);
const say = (line: string): void => console.log(line);
const scaled = (count: number): number => Math.max(1, Math.ceil(count * scale));
const place = values.folder === undefined ? {} : { parent: values.folder };
let failures = 0;

function fail(lines: readonly string[]): void {
  failures += lines.length;
  for (const line of lines) say(`FAILED ${line}`);
}

function quantiles(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!);
  return `p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, max ${at(1)} ms`;
}

async function failover(): Promise<void> {
  const report = await runFailover({ rounds: scaled(50), progress: say, ...place });
  fail(report.failures);
  if (report.rounds === 0) return;
  say(`failover: ${report.rounds} rounds (${report.homeRounds} of the node with the data)`);
  say(`failover: setting: ${quantiles(report.commitMs)}`);
  say(`failover: DDL: ${quantiles(report.ddlMs)}`);
  say(`failover: restart: ${quantiles(report.startMs)}; ${report.summary}`);
  const sorted = [...report.commitMs].sort((a, b) => a - b);
  const [p50, max] = [sorted[Math.floor(sorted.length / 2)]!, sorted.at(-1)!];
  if (p50 > 800 || max > 2500)
    fail([`failover: p50 ${Math.round(p50)} ms of 800, max ${Math.round(max)} ms of 2500`]);
}

const networks = ["namespaces", "proxies"] as const;

async function partitions(): Promise<void> {
  for (const network of networks) {
    if (values.network !== undefined && values.network !== network) continue;
    const report = await runPartitions({
      seed: Number(values.seed),
      scale,
      only: values.only,
      network,
      progress: (line) => say(line.replace("partitions:", `partitions (${network}):`)),
      ...place,
    });
    fail(report.failures);
    if (report.scenarios > 0)
      say(
        `partitions (${network}): ${report.scenarios} scenarios, healed: ${quantiles(report.healMs)}; ${report.summary}`,
      );
  }
}

async function refusals(): Promise<void> {
  const report = await runRefusals({ progress: say, only: values.only, scale, ...place });
  fail(report.failures);
  say(`refusals: ${report.cases} cases`);
}

async function trust(): Promise<void> {
  const report = await runTrust({ progress: say, only: values.only, scale, ...place });
  fail(report.failures);
  say(`trust: ${report.cases} cases`);
}

/** Committed changes in a second, of 32 sessions, on three nodes of one machine. */
const loadFloor = 500;

async function load(): Promise<void> {
  const report = await runLoad({
    seconds: Math.max(2, Math.round(10 * scale)),
    progress: say,
    only: values.only,
    nodeArgs: () => (values.profile === undefined ? [] : ["--cpu-prof", "--cpu-prof-dir", values.profile]),
    ...place,
  });
  fail(report.failures);
  for (const { what, rate } of report.lines)
    if (rate < loadFloor) fail([`load: ${what}: ${Math.round(rate)}/s of ${loadFloor}`]);
}

if (values.network !== undefined && !networks.some((one) => one === values.network))
  throw new Error(`unknown network ${values.network}; there are ${networks.join(", ")}`);
const parts: Readonly<Record<string, () => Promise<void>>> = { failover, partitions, refusals, trust, load };
if (values.part !== undefined && parts[values.part] === undefined)
  throw new Error(`unknown part ${values.part}; there are ${Object.keys(parts).join(", ")}`);
for (const [name, part] of Object.entries(parts)) {
  if (values.part !== undefined && name !== values.part) continue;
  const started = performance.now();
  await part();
  say(`${name}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
}
say(failures === 0 ? "everything held" : `${failures} failures`);
process.exit(failures === 0 ? 0 : 1);
