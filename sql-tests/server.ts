/**
 * A node as a child process, for tests and benchmarks: started on a fresh folder, reached through its ready line, ended
 * by its own pid and nothing else.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const projectRoot = findRoot();

/** Built code lies in dist/, sources do not: the project is where package.json is. */
function findRoot(): string {
  const here = fileURLToPath(new URL("..", import.meta.url));
  return here.endsWith("dist/") ? join(here, "..") : here;
}

/** The executable: the built program as it is delivered. */
export const executable = join(projectRoot, "scripts/scratchbird.cjs");
/** The same as separate files, which a profile can lead back to the sources. */
const separateFiles = join(projectRoot, "dist/src/main.js");
export const isBuilt = existsSync(join(projectRoot, "dist/scratchbird.cjs"));

export const password = "benchmark";

export interface TestServer {
  readonly data: string;
  readonly port: number;
  readonly pid: number;
  readonly url: string;
  /** Milliseconds from the command to the ready line. */
  readonly startMs: number;
  /** What the node has logged, the newest lines of it. */
  log(): string;
  /** SIGTERM, and waits for the end. */
  stop(): Promise<number>;
  /** SIGKILL, and waits for the end. The folder stays. */
  kill(): Promise<void>;
  remove(): void;
}

export interface StartOptions {
  readonly data?: string;
  readonly args?: readonly string[];
  readonly nodeArgs?: readonly string[];
}

export async function startServer(options: StartOptions = {}): Promise<TestServer> {
  const data = options.data ?? mkdtempSync(join(tmpdir(), "scratchbird-"));
  const started = performance.now();
  const child = spawn(
    process.execPath,
    [
      ...(options.nodeArgs ?? []),
      options.nodeArgs === undefined ? executable : separateFiles,
      "start",
      "--data",
      data,
      "--port",
      "0",
      ...(options.args ?? []),
    ],
    {
      env: { ...process.env, SCRATCHBIRD_PASSWORD: password },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const errors: string[] = [];
  child.stderr.on("data", (chunk: Buffer) => {
    errors.push(chunk.toString());
    if (errors.length > 200) errors.shift();
  });
  const port = await new Promise<number>((resolve, reject) => {
    const limit = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`the node was not ready in 30 s\n${errors.join("")}`));
    }, 30_000);
    child.once("exit", (code) => {
      clearTimeout(limit);
      reject(new Error(`the node ended with ${code} before it was ready\n${errors.join("")}`));
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (!line.startsWith('{"event":"ready"')) return;
      clearTimeout(limit);
      child.removeAllListeners("exit");
      resolve(Number((JSON.parse(line) as { pg: string }).pg.split(":").at(-1)));
    });
  });
  const ended = endOf(child);
  return {
    data,
    port,
    pid: child.pid!,
    url: `postgres://admin:${password}@127.0.0.1:${port}/scratchbird`,
    startMs: performance.now() - started,
    log: () => errors.join(""),
    stop: async () => {
      child.kill("SIGTERM");
      return ended;
    },
    kill: async () => {
      child.kill("SIGKILL");
      await ended;
    },
    remove: () => rmSync(data, { recursive: true, force: true }),
  };
}

function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => child.once("exit", (code) => resolve(code ?? -1)));
}

/** Runs a command to its end with its output on ours; answers the exit code. */
export function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...env } });
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}
