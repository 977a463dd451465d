/**
 * Lines of a benchmark run: goals, medians, ratios, the printed table and the JSON.
 *
 * A ratio above 1 always means that ScratchBird is better: ours/PostgreSQL of a rate, PostgreSQL/ours of a time.
 */

/** Ratios a line must reach (floor) and is meant to reach (aim). */
interface Goal {
  readonly floor: number;
  readonly aim: number;
}

const goals: Readonly<Record<string, Goal>> = {
  "select.prepared.c8": { floor: 0.9, aim: 1.4 },
  "select.simple.c8": { floor: 1.0, aim: 1.8 },
  "tpcb.prepared.c8": { floor: 1.0, aim: 2 },
  "insert.prepared.c32": { floor: 0.7, aim: 1.5 },
  "copy.in": { floor: 0.7, aim: 1.5 },
  "query.count": { floor: 5, aim: 20 },
  "query.group": { floor: 3, aim: 8 },
  "query.filter": { floor: 4, aim: 10 },
  "query.join": { floor: 4, aim: 10 },
  "query.top10": { floor: 5, aim: 20 },
  "index.int4": { floor: 0.7, aim: 1.5 },
  "index.text": { floor: 0.7, aim: 1.5 },
  // Against one node alone: what the control plane may cost.
  "cluster.select.c8": { floor: 0.85, aim: 0.95 },
  "cluster.tpcb.c8": { floor: 0.85, aim: 0.95 },
};

export type Unit = "tps" | "rows/s" | "ms" | "ms/s" | "MiB";
const higherIsBetter: Readonly<Record<Unit, boolean>> = {
  tps: true,
  "rows/s": true,
  ms: false,
  "ms/s": false,
  MiB: false,
};

export interface LineSpec {
  /** Stable name, for --only and for reading the JSON. */
  readonly id: string;
  readonly title: string;
  readonly unit: Unit;
  /** What is in the other column, when it is not PostgreSQL. */
  readonly rival?: string;
}

export interface Sample {
  readonly value: number;
  /** Cores that others kept busy meanwhile. */
  readonly noise: number;
  /** Operations (transactions, rows, statements) of the sample. */
  readonly operations: number;
  /** Processor time of the server meanwhile, all its processes and threads. */
  readonly cpuSeconds: number;
}

/** What one side did on one line: its samples, or why there are none. */
export interface SideResult {
  readonly samples: readonly Sample[];
  readonly error?: string;
}

export interface Line extends LineSpec {
  readonly ours: SideResult;
  readonly postgres: SideResult | undefined;
}

/** A condition that must hold for the figures to mean anything (equal answers, balances). */
export interface Check {
  readonly title: string;
  readonly holds: boolean;
  readonly detail: string;
}

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("no median of nothing");
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const medianOf = (result: SideResult | undefined): number | undefined =>
  result === undefined || result.samples.length === 0
    ? undefined
    : median(result.samples.map(({ value }) => value));

/**
 * Processor time of the server for one operation: milliseconds for statements that are timed, else microseconds. Load of
 * others moves it far less than it moves rates and times.
 */
export function cpuPerOperation(line: LineSpec, result: SideResult | undefined): number | undefined {
  if (result === undefined || result.samples.length === 0) return undefined;
  let seconds = 0;
  let operations = 0;
  for (const sample of result.samples) {
    seconds += sample.cpuSeconds;
    operations += sample.operations;
  }
  return (seconds / operations) * (line.unit === "ms" ? 1e3 : 1e6);
}

export function ratioOf(line: Line): number | undefined {
  const ours = medianOf(line.ours);
  const postgres = medianOf(line.postgres);
  if (ours === undefined || postgres === undefined) return undefined;
  return higherIsBetter[line.unit] ? ours / postgres : postgres / ours;
}

export type Verdict = "aim" | "pass" | "miss" | "failed" | "";

/** Against the goals: `failed` when our side has no figure, nothing when the line has no goal or no rival. */
export function verdictOf(line: Line): Verdict {
  if (line.ours.error !== undefined) return "failed";
  const goal = goals[line.id];
  const ratio = ratioOf(line);
  if (goal === undefined || ratio === undefined) return "";
  return ratio >= goal.aim ? "aim" : ratio >= goal.floor ? "pass" : "miss";
}

const worstNoise = (line: Line): number =>
  Math.max(0, ...[...line.ours.samples, ...(line.postgres?.samples ?? [])].map(({ noise }) => noise));

/** "~" above a tenth of a core of other load, "~~" above half a core. */
function noiseMark(line: Line): string {
  const noise = worstNoise(line);
  return noise > 0.5 ? "~~" : noise > 0.1 ? "~" : "";
}

function figure(value: number | undefined): string {
  if (value === undefined) return "-";
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  // Thousands apart by a blank: 43 700.
  return value.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))/g, " ");
}

function spread(result: SideResult | undefined): string {
  if (result === undefined || result.samples.length < 2) return "";
  const values = result.samples.map(({ value }) => value);
  return `${figure(Math.min(...values))}..${figure(Math.max(...values))}`;
}

const columns = [
  ...["line", "unit", "ours", "", "PostgreSQL", "", "ratio", "floor", "aim", ""],
  ...["cpu ours", "cpu PG", "", "noise"],
];

function cells(line: Line): string[] {
  const goal = goals[line.id];
  const ratio = ratioOf(line);
  return [
    line.title,
    line.unit,
    line.ours.error === undefined ? figure(medianOf(line.ours)) : "failed",
    spread(line.ours),
    line.postgres?.error === undefined ? figure(medianOf(line.postgres)) : "failed",
    spread(line.postgres),
    ratio === undefined ? "-" : `${ratio.toFixed(2)}x`,
    goal === undefined ? "" : String(goal.floor),
    goal === undefined ? "" : String(goal.aim),
    verdictOf(line),
    figure(cpuPerOperation(line, line.ours)),
    figure(cpuPerOperation(line, line.postgres)),
    line.unit === "ms" ? "ms" : "us",
    noiseMark(line),
  ];
}

/** Aligned columns: the first to the left, the others to the right. */
export function alignTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export function printLines(lines: readonly Line[]): string {
  const table = alignTable([columns, ...lines.map(cells)]);
  const errors = lines.flatMap((line) => [
    ...(line.ours.error === undefined ? [] : [`${line.id}, ours: ${line.ours.error}`]),
    ...(line.postgres?.error === undefined ? [] : [`${line.id}, PostgreSQL: ${line.postgres.error}`]),
  ]);
  return errors.length === 0 ? table : `${table}\n\n${errors.join("\n")}`;
}

/** One line as it is finished, for the progress output. */
export function printLine(line: Line): string {
  const [title, unit, ours, , postgres, , ratio, , , verdict, cpuOurs, cpuPostgres, cpuUnit, noise] =
    cells(line);
  const cpu = `cpu ${cpuOurs} | ${cpuPostgres} ${cpuUnit}`;
  return `  ${title!.padEnd(42)} ${ours!.padStart(10)} | ${postgres!.padStart(10)} ${unit!.padEnd(6)} ${ratio!.padStart(8)}  ${cpu.padEnd(26)} ${verdict} ${noise}`;
}

function sideJson(line: LineSpec, result: SideResult | undefined): unknown {
  if (result === undefined) return null;
  return {
    median: medianOf(result) ?? null,
    values: result.samples.map(({ value }) => value),
    cpuPerOperation: cpuPerOperation(line, result) ?? null,
    noiseCores: result.samples.map(({ noise }) => Number(noise.toFixed(2))),
    ...(result.error === undefined ? {} : { error: result.error }),
  };
}

export function lineJson(line: Line): unknown {
  return {
    id: line.id,
    title: line.title,
    unit: line.unit,
    rival: line.rival ?? "PostgreSQL",
    ours: sideJson(line, line.ours),
    postgres: sideJson(line, line.postgres),
    ratio: ratioOf(line) ?? null,
    floor: goals[line.id]?.floor ?? null,
    aim: goals[line.id]?.aim ?? null,
    verdict: verdictOf(line),
  };
}
