/**
 * What every comparison needs: the options of the run, its two sides, and the loop that measures them in turn
 * (ours, PostgreSQL, ours, PostgreSQL ...) so that drift of the machine meets both alike.
 */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Check, type Line, type LineSpec, printLine, type Sample, type SideResult } from "./figures.js";
import { isAlive, settle, sleep, spin, treeSeconds, watchNoise } from "./processes.js";
import { nowUs, printReport, readProfile, report, type Window } from "./profile.js";
import { profileIn, type Side, type SideOptions, startPostgres, startScratchBird } from "./sides.js";

export interface RunOptions {
  /** Names asked for: of a group or of one of its parts. */
  readonly parts: ReadonlySet<string>;
  /** Only lines whose id contains this. */
  readonly only: string | undefined;
  readonly smoke: boolean;
  readonly reps: number;
  /** Seconds of each pgbench run. */
  readonly seconds: number;
  readonly rows: number;
  readonly scale: number;
  /** Folder under which data folders are made. */
  readonly folder: string;
  readonly withPostgres: boolean;
  readonly withPgbench: boolean;
  readonly profile: boolean;
  /** Where the raw profile is kept. */
  readonly profileOut: string | undefined;
}

export interface Measured {
  readonly value: number;
  /** Transactions, rows or statements that `value` is about. */
  readonly operations: number;
}

export interface CompareOptions {
  readonly reps?: number;
  /** Hold the cores awake meanwhile: for anything with one request under way. */
  readonly awake?: boolean;
  /** Around each measurement, outside its time and its profile. */
  readonly before?: (side: Side) => Promise<unknown>;
  readonly after?: (side: Side) => Promise<unknown>;
}

export interface MemoryFigure {
  readonly when: string;
  readonly ours: number | undefined;
  readonly postgres: number | undefined;
}

export interface Outcome {
  readonly lines: Line[];
  readonly checks: Check[];
  readonly memory: MemoryFigure[];
}

/** The servers of one group of benchmarks, started together and stopped together. */
export class Pair {
  readonly ours: Side;
  readonly postgres: Side | undefined;
  readonly options: RunOptions;
  readonly #outcome: Outcome;
  readonly #windows: Window[] = [];
  readonly #profileFolder: string | undefined;

  private constructor(
    options: RunOptions,
    outcome: Outcome,
    ours: Side,
    postgres: Side | undefined,
    profileFolder: string | undefined,
  ) {
    this.options = options;
    this.#outcome = outcome;
    this.ours = ours;
    this.postgres = postgres;
    this.#profileFolder = profileFolder;
  }

  static async start(options: RunOptions, outcome: Outcome, poolMiB?: number): Promise<Pair> {
    const profileFolder = options.profile ? mkdtempSync(join(options.folder, "bench-profile-")) : undefined;
    const sideOptions: SideOptions = {
      parent: options.folder,
      ...(poolMiB === undefined ? {} : { poolMiB }),
    };
    const ours = await startScratchBird(
      profileFolder === undefined ? sideOptions : { ...sideOptions, profileFolder },
    );
    try {
      const postgres = options.withPostgres ? await startPostgres(sideOptions) : undefined;
      return new Pair(options, outcome, ours, postgres, profileFolder);
    } catch (error) {
      await ours.stop();
      throw error;
    }
  }

  /** Of servers that run already: ours, and what it is compared with. They are stopped with it. */
  static of(options: RunOptions, outcome: Outcome, ours: Side, rival: Side): Pair {
    return new Pair(options, outcome, ours, rival, undefined);
  }

  get sides(): readonly Side[] {
    return this.postgres === undefined ? [this.ours] : [this.ours, this.postgres];
  }

  wants(id: string): boolean {
    return this.options.only === undefined || id.includes(this.options.only);
  }

  /** Measures a line: `reps` turns of both sides. A side that fails is not asked again. */
  async compare(
    spec: LineSpec,
    measure: (side: Side) => Promise<Measured>,
    options: CompareOptions = {},
  ): Promise<void> {
    if (!this.wants(spec.id)) return;
    const { reps = this.options.reps, awake = false, before, after } = options;
    const results = new Map<Side, { samples: Sample[]; error?: string }>();
    for (const side of this.sides) results.set(side, { samples: [] });
    for (let rep = 0; rep < reps; rep++) {
      for (const side of this.sides) {
        const result = results.get(side)!;
        if (result.error !== undefined) continue;
        if (!isAlive(side.pid)) {
          result.error = "the server is not running any more";
          continue;
        }
        try {
          await before?.(side);
          result.samples.push(await this.#sample(side, spec.id, awake, measure));
          await after?.(side);
        } catch (error) {
          result.error = messageOf(error);
        }
      }
    }
    const ours: SideResult = results.get(this.ours)!;
    const line: Line = {
      ...spec,
      ours,
      postgres: this.postgres === undefined ? undefined : results.get(this.postgres)!,
    };
    this.#outcome.lines.push(line);
    console.log(printLine(line));
    if (line.ours.error !== undefined) console.log(`    ours: ${line.ours.error}`);
    if (line.postgres?.error !== undefined) console.log(`    PostgreSQL: ${line.postgres.error}`);
  }

  async #sample(
    side: Side,
    title: string,
    awake: boolean,
    measure: (side: Side) => Promise<Measured>,
  ): Promise<Sample> {
    await settle(
      this.sides.map(({ pid }) => pid),
      3000,
    );
    const stopSpinning = awake ? await spin(120_000) : undefined;
    try {
      const noise = watchNoise();
      const cpu = treeSeconds(side.pid);
      const fromUs = nowUs();
      const { value, operations } = await measure(side);
      const toUs = nowUs();
      // Backends and workers that end are on their way from the process table into their parent's account.
      await sleep(30);
      const cpuSeconds = treeSeconds(side.pid) - cpu;
      if (side === this.ours) this.#windows.push({ title, fromUs, toUs, cpuSeconds });
      return { value, operations, cpuSeconds, noise: noise() };
    } finally {
      await stopSpinning?.();
    }
  }

  check(title: string, holds: boolean, detail: string): void {
    this.#outcome.checks.push({ title, holds, detail });
    if (!holds) console.log(`  CHECK FAILED: ${title}: ${detail}`);
  }

  memory(figure: MemoryFigure): void {
    this.#outcome.memory.push(figure);
  }

  /** Stops both, and prints the profile of our side when one was asked for. */
  async stop(): Promise<void> {
    // The profile is written by the stopping node; its own data folder goes with it.
    await this.ours.stop();
    await this.postgres?.stop();
    if (this.#profileFolder === undefined) return;
    try {
      const path = profileIn(this.#profileFolder);
      const profile = readProfile(path);
      const titles = new Set(this.#windows.map(({ title }) => title));
      for (const title of titles) {
        const windows = this.#windows.filter((window) => window.title === title);
        const cpuSeconds = windows.reduce((sum, window) => sum + window.cpuSeconds, 0);
        console.log(`\n${printReport(title, report(profile, windows), cpuSeconds)}`);
      }
      if (this.options.profileOut !== undefined) {
        copyFileSync(path, this.options.profileOut);
        console.log(`\nraw profile: ${this.options.profileOut}`);
      }
    } finally {
      rmSync(this.#profileFolder, { recursive: true, force: true });
    }
  }
}

export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as Error & { readonly code?: string };
  return code === undefined ? error.message : `${error.message} (${code})`;
}
