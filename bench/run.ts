/**
 * `npm run bench`: ScratchBird and PostgreSQL side by side in one run, and the parts of the engine alone.
 * How to run it and how to read it: docs/benchmarks.md.
 *
 * Exit code: 0 when the run came to its end; with --check 1 when a line is below its floor or a check does not hold.
 */
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { runCluster } from "./cluster.js";
import type { Outcome, RunOptions } from "./context.js";
import { alignTable, lineJson, printLines, verdictOf } from "./figures.js";
import { runPgbench, runPool } from "./pgbench.js";
import { guardExit, stopAll } from "./processes.js";
import { type CpuProfile, printReport, report } from "./profile.js";
import { versionOf } from "./sides.js";
import { runTables } from "./tables.js";

/** Comparisons: servers are started once for a group, and its parts run on them. */
const groups = [
  { name: "pgbench", parts: ["select", "tpcb", "insert"], needsPgbench: true, run: runPgbench },
  { name: "tables", parts: ["copy", "queries", "index", "update"], needsPgbench: false, run: runTables },
  { name: "pool", parts: ["pool"], needsPgbench: true, run: runPool },
  { name: "cluster", parts: ["cluster"], needsPgbench: true, run: runCluster },
] as const;

/** Parts of the engine alone, without a server: by name only. */
const engines: Readonly<Record<string, () => Promise<unknown>>> = {
  storage: async () => (await import("./storage.js")).run(),
  kernels: async () => (await import("./kernels.js")).run(() => {}),
  mga: async () => (await import("./mga.js")).run(),
  exec: async () => (await import("./exec.js")).run(),
};

const help = `usage: npm run bench [-- NAME...] [OPTIONS]

names of comparisons (all of them when none is given):
${groups.map(({ name, parts }) => `  ${name.padEnd(10)} ${parts.join(", ")}`).join("\n")}
names of parts of the engine alone: ${Object.keys(engines).join(", ")}

  --smoke            quick: one repetition of a second, 100 000 rows
  --profile NAME     our side alone under the CPU profiler: where the time of each line goes
  --profile-out FILE keep the raw .cpuprofile (for Chrome's developer tools)
  --only TEXT        only lines whose id contains TEXT (select.prepared.c8, query.join, ...)
  --json FILE        write the figures
  --check            exit 1 when a line is below its floor or a check does not hold
  --ours             without PostgreSQL
  --reps N  --seconds N  --rows N  --scale N
  --folder DIR       where data folders are made (default: the system's folder for temporary files)
  --limit MINUTES    longest time of the whole run (default 40)
`;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    smoke: { type: "boolean", default: false },
    profile: { type: "string", multiple: true, default: [] },
    "profile-out": { type: "string" },
    only: { type: "string" },
    json: { type: "string" },
    check: { type: "boolean", default: false },
    ours: { type: "boolean", default: false },
    reps: { type: "string" },
    seconds: { type: "string" },
    rows: { type: "string" },
    scale: { type: "string" },
    folder: { type: "string" },
    limit: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

function count(
  name: "reps" | "seconds" | "rows" | "scale" | "limit",
  otherwise: number,
  most: number,
): number {
  const text = flags[name];
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw new RangeError(`--${name} is a whole number from 1 to ${most}, not "${text}"`);
  }
  return value;
}

/** @throws RangeError for a name that is none */
function partsOf(names: readonly string[]): Set<string> {
  const parts = new Set<string>();
  for (const name of names) {
    if (name in engines) continue;
    const chosen = groups.flatMap((group) =>
      group.name === name ? [...group.parts] : group.parts.filter((part) => part === name),
    );
    if (chosen.length === 0) throw new RangeError(`unknown benchmark "${name}"\n\n${help}`);
    for (const part of chosen) parts.add(part);
  }
  return parts;
}

async function comparisons(options: RunOptions): Promise<Outcome> {
  const outcome: Outcome = { lines: [], checks: [], memory: [] };
  for (const group of groups) {
    if (!group.parts.some((part) => options.parts.has(part))) continue;
    if (group.needsPgbench && !options.withPgbench) {
      console.log(`${group.name}: skipped, pgbench is not on the PATH`);
      continue;
    }
    console.log(`\n${group.name}`);
    try {
      await group.run(options, outcome);
    } catch (error) {
      // The other groups have servers of their own and still tell something.
      const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
      console.log(`  ${group.name} ended early: ${detail}`);
      outcome.checks.push({ title: `${group.name} ran to its end`, holds: false, detail });
    }
  }
  return outcome;
}

function printOutcome(outcome: Outcome): void {
  if (outcome.lines.length > 0) console.log(`\n${printLines(outcome.lines)}`);
  if (outcome.memory.length > 0) {
    const mib = (value: number | undefined): string => (value === undefined ? "-" : value.toFixed(0));
    const rows = outcome.memory.map(({ when, ours, postgres }) => [when, mib(ours), mib(postgres)]);
    console.log(`\n${alignTable([["memory in MiB (PSS)", "ours", "PostgreSQL"], ...rows])}`);
  }
  for (const { title, holds, detail } of outcome.checks) {
    console.log(`${holds ? "holds " : "FAILED"} ${title}${holds ? "" : `: ${detail}`}`);
  }
  const verdicts = outcome.lines.map(verdictOf);
  const of = (verdict: string): number => verdicts.filter((each) => each === verdict).length;
  console.log(
    `\n${of("aim")} at their aim, ${of("pass")} above their floor, ${of("miss")} below it, ${of("failed")} failed`,
  );
}

interface EngineFigure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** The results of the engine's own benchmarks differ in form: a record of numbers, or rows with a name and numbers. */
function engineFigures(result: unknown): EngineFigure[] {
  if (typeof result !== "object" || result === null) throw new TypeError("a benchmark answers figures");
  if (!Array.isArray(result)) {
    return Object.entries(result)
      .filter((entry): entry is [string, number] => typeof entry[1] === "number")
      .map(([name, value]) => ({ name, value, unit: "" }));
  }
  return (result as readonly Readonly<Record<string, unknown>>[]).flatMap((row) => {
    const unit = typeof row["unit"] === "string" ? row["unit"] : "";
    const numbers = Object.entries(row).filter(
      (entry): entry is [string, number] => typeof entry[1] === "number",
    );
    return numbers.map(([key, value]) => ({
      name: numbers.length === 1 ? String(row["name"]) : `${String(row["name"])}, ${key}`,
      value,
      unit,
    }));
  });
}

async function runEngines(
  names: readonly string[],
  profiled: boolean,
): Promise<Record<string, EngineFigure[]>> {
  const results: Record<string, EngineFigure[]> = {};
  for (const name of names) {
    const run = engines[name];
    if (run === undefined) continue;
    const figures = engineFigures(profiled ? await profileHere(name, run) : await run());
    results[name] = figures;
    const rows = figures.map(({ name: title, value, unit }) => [title, value.toPrecision(5), unit]);
    console.log(`\n${alignTable([[name, "", ""], ...rows])}`);
  }
  return results;
}

/** Profiles this very process: the engine's own benchmarks have no server. */
async function profileHere(title: string, run: () => Promise<unknown>): Promise<unknown> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: 500 });
  await session.post("Profiler.start");
  const before = process.cpuUsage();
  const result = await run();
  const used = process.cpuUsage(before);
  const { profile } = await session.post("Profiler.stop");
  session.disconnect();
  const { samples, timeDeltas } = profile;
  if (samples === undefined || timeDeltas === undefined) throw new Error("the profiler took no samples");
  const whole: CpuProfile = { ...profile, samples, timeDeltas };
  console.log(
    `\n${printReport(title, report(whole, [{ fromUs: profile.startTime, toUs: profile.endTime }]), (used.user + used.system) / 1e6)}`,
  );
  return result;
}

async function main(): Promise<number> {
  if (flags.help) {
    console.log(help);
    return 0;
  }
  guardExit(count("limit", 40, 600) * 60_000);
  const profiled = flags.profile.length > 0;
  const names = profiled ? [...flags.profile, ...positionals] : positionals;
  const parts = names.length === 0 ? partsOf(groups.map(({ name }) => name)) : partsOf(names);
  const versions = {
    postgres: await versionOf("postgres"),
    initdb: await versionOf("initdb"),
    pgbench: await versionOf("pgbench"),
  };
  const missing = Object.entries(versions)
    .filter(([, version]) => version === undefined)
    .map(([name]) => name);
  const withPostgres =
    versions.postgres !== undefined && versions.initdb !== undefined && !flags.ours && !profiled;
  const options: RunOptions = {
    parts,
    only: flags.only,
    smoke: flags.smoke,
    reps: count("reps", flags.smoke || profiled ? 1 : 3, 100),
    seconds: count("seconds", flags.smoke ? 1 : 3, 600),
    rows: count("rows", flags.smoke ? 100_000 : 1_000_000, 100_000_000),
    scale: count("scale", 10, 1000),
    folder: flags.folder ?? tmpdir(),
    withPostgres,
    withPgbench: versions.pgbench !== undefined,
    profile: profiled,
    profileOut: flags["profile-out"],
  };
  const machine = {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Number((totalmem() / 2 ** 30).toFixed(1)),
    kernel: release(),
    node: process.version,
    postgres: versions.postgres ?? null,
  };
  console.log(
    `${machine.cores} x ${machine.cpu}, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, node ${machine.node}`,
  );
  if (parts.size > 0 && !withPostgres) {
    const why = profiled
      ? "a profile is of our side"
      : flags.ours
        ? "--ours"
        : `not on the PATH: ${missing.filter((name) => name !== "pgbench").join(", ")}`;
    console.log(`without PostgreSQL: ${why}`);
  } else if (parts.size > 0) console.log(`against ${versions.postgres}`);

  const started = new Date().toISOString();
  const engineResults = await runEngines(names, profiled);
  const outcome = await comparisons(options);
  if (parts.size > 0 && !profiled) printOutcome(outcome);
  if (flags.json !== undefined) {
    const { reps, seconds, rows, scale, smoke } = options;
    const written = {
      started,
      machine,
      options: { reps, seconds, rows, scale, smoke },
      lines: outcome.lines.map(lineJson),
      memoryMiB: outcome.memory,
      checks: outcome.checks,
      engine: engineResults,
    };
    writeFileSync(flags.json, `${JSON.stringify(written, null, 2)}\n`);
  }
  const bad =
    outcome.checks.some(({ holds }) => !holds) ||
    outcome.lines.some((line) => verdictOf(line) === "miss" || verdictOf(line) === "failed");
  return flags.check && bad ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof RangeError ? error.message : error);
  process.exitCode = 2;
}
await stopAll();
process.exit();
