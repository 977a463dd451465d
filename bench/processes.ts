/**
 * Processes and folders that a benchmark owns, and what /proc says of them: processor time, memory.
 *
 * Invariants: a signal goes only to a process started here, by its pid; every folder and process is gone when the run ends,
 * however it ends (end, error, SIGINT, time limit).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { cpus } from "node:os";

/** Clock ticks a second of /proc/PID/stat; 100 on every Linux that Node runs on (USER_HZ). */
const ticksPerSecond = 100;

interface Owned {
  readonly pid: number;
  /** Ends the process without loss; awaited on the ordinary way out. */
  readonly stop: () => Promise<unknown>;
  /** What ends it at once when there is no time to wait. */
  readonly lastSignal: NodeJS.Signals;
  readonly folder: string | undefined;
}

const owned = new Set<Owned>();

/** Registers a process; the answer stops it and removes its folder. */
export function own(entry: Owned): () => Promise<void> {
  owned.add(entry);
  return async () => {
    if (!owned.has(entry)) return;
    await entry.stop();
    owned.delete(entry);
    if (entry.folder !== undefined) rmSync(entry.folder, { recursive: true, force: true });
  };
}

export async function stopAll(): Promise<void> {
  for (const entry of [...owned]) await own(entry)();
}

/** The way out without promises: signals, a short wait, then SIGKILL for what is left of the trees we started. */
function endNow(): void {
  const trees = [...owned].map((entry) => ({ entry, pids: treeOf(entry.pid) }));
  for (const { entry } of trees) signal(entry.pid, entry.lastSignal);
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (let turn = 0; turn < 40 && trees.some(({ pids }) => pids.some(isAlive)); turn++) {
    Atomics.wait(cell, 0, 0, 50);
  }
  for (const { entry, pids } of trees) {
    for (const pid of pids) if (isAlive(pid)) signal(pid, "SIGKILL");
    if (entry.folder !== undefined) rmSync(entry.folder, { recursive: true, force: true, maxRetries: 3 });
  }
  owned.clear();
}

/** Ends the whole run after `limitMs`, and cleans up on every way out of the process. */
export function guardExit(limitMs: number): void {
  process.on("exit", endNow);
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => process.exit(130));
  setTimeout(() => {
    console.error(`the run took longer than ${limitMs / 60_000} minutes: ended`);
    process.exit(3);
  }, limitMs).unref();
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

interface Stat {
  readonly parent: number;
  readonly state: string;
  /** Ticks of the process and of its children that have ended and were waited for. */
  readonly ticks: number;
}

/** proc(5), /proc/PID/stat; undefined when the process is gone. */
function statOf(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined; // gone between listing and reading
  }
  // The command name, in parentheses, may hold blanks and parentheses itself.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]) + Number(fields[13]) + Number(fields[14]);
  return { state: fields[0]!, parent: Number(fields[1]), ticks };
}

export function isAlive(pid: number): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.state !== "Z";
}

/** A process and all its descendants. */
export function treeOf(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const stat = statOf(pid);
    if (stat === undefined) continue;
    const siblings = children.get(stat.parent);
    if (siblings === undefined) children.set(stat.parent, [pid]);
    else siblings.push(pid);
  }
  const tree = [root];
  for (let at = 0; at < tree.length; at++) tree.push(...(children.get(tree[at]!) ?? []));
  return tree;
}

/** Seconds of processor time of a tree since its processes started. */
export function treeSeconds(root: number): number {
  let ticks = 0;
  for (const pid of treeOf(root)) ticks += statOf(pid)?.ticks ?? 0;
  return ticks / ticksPerSecond;
}

/** Seconds all cores together were busy or stolen since boot. */
function machineSeconds(): number {
  const line = readFileSync("/proc/stat", "latin1").split("\n", 1)[0]!;
  const [user, nice, system, , , irq, softirq, steal] = line.trim().split(/\s+/).slice(1).map(Number);
  return (user! + nice! + system! + irq! + softirq! + steal!) / ticksPerSecond;
}

/**
 * Starts watching for load that is not ours: the answer gives the mean number of cores that processes outside this run
 * kept busy meanwhile (servers and clients of the run are children of this process).
 */
export function watchNoise(): () => number {
  const started = performance.now();
  const machine = machineSeconds();
  const self = treeSeconds(process.pid);
  return () => {
    const seconds = (performance.now() - started) / 1000;
    const foreign = machineSeconds() - machine - (treeSeconds(process.pid) - self);
    return Math.max(0, foreign / Math.max(seconds, 0.05));
  };
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until the trees do next to nothing (flushing, sweeping, autovacuum of the turn before), `limitMs` at most. */
export async function settle(roots: readonly number[], limitMs: number): Promise<void> {
  const until = performance.now() + limitMs;
  const sum = (): number => roots.reduce((seconds, root) => seconds + treeSeconds(root), 0);
  let before = sum();
  while (performance.now() < until) {
    await sleep(100);
    const now = sum();
    if (now - before <= 0.011) return;
    before = now;
  }
}

/**
 * Proportional set size of a tree in MiB: pages shared between processes count once, so that a pool seen by forty
 * processes is not counted forty times. undefined where /proc does not tell.
 */
export function memoryMiB(root: number): number | undefined {
  let kib = 0;
  for (const pid of treeOf(root)) {
    try {
      kib += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1] ?? 0);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EACCES" || code === "EPERM") return undefined;
      if (code !== "ENOENT" && code !== "ESRCH") throw error;
    }
  }
  return kib / 1024;
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly cwd?: string;
}

/** Runs a command to its end; after `timeoutMs` it is killed and the answer is a failure. */
export function command(name: string, args: readonly string[], options: CommandOptions): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(name, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.gid ?? options.uid }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const entry: Owned = {
      pid: child.pid ?? 0,
      stop: async () => child.kill("SIGKILL"),
      lastSignal: "SIGKILL",
      folder: undefined,
    };
    if (child.pid !== undefined) owned.add(entry);
    let stdout = "";
    let stderr = "";
    child.stdout!.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr!.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const timer = setTimeout(() => {
      stderr += `\nkilled after ${options.timeoutMs} ms`;
      child.kill("SIGKILL");
    }, options.timeoutMs);
    child.once("error", (error) => {
      clearTimeout(timer);
      owned.delete(entry);
      reject(error);
    });
    child.once("close", (code) => {
      clearTimeout(timer);
      owned.delete(entry);
      resolve({ code: code ?? -1, stdout, stderr });
    });
  });
}

/**
 * Keeps the cores awake at the lowest priority there is (SCHED_IDLE), one spinner a core: a sleeping virtual core takes
 * tens of microseconds to wake, and a client with one request under way would measure that. The answer ends them; each
 * ends by itself after `limitMs`. undefined when the machine has no chrt.
 */
export async function spin(limitMs: number): Promise<(() => Promise<void>) | undefined> {
  const probe = await command("chrt", ["-i", "0", "true"], { timeoutMs: 5000 }).catch(() => undefined);
  if (probe === undefined || probe.code !== 0) return undefined;
  const loop = `const end = Date.now() + ${limitMs}; while (Date.now() < end);`;
  const stops = cpus().map(() => {
    const child = spawn("chrt", ["-i", "0", process.execPath, "-e", loop], { stdio: "ignore" });
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    const stop = async (): Promise<void> => {
      child.kill("SIGKILL");
      await ended;
    };
    return own({ pid: child.pid!, stop, lastSignal: "SIGKILL", folder: undefined });
  });
  return async () => {
    for (const stop of stops) await stop();
  };
}
