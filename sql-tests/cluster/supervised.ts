/**
 * A local cluster under its supervisor, `scratchbird start --nodes N`, as a user has it.
 *
 * Invariants: one signal goes to the supervisor, and `kill` to a node by the pid of its ready line; whatever ends the test, the
 * supervisor ends, and its nodes with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type pg from "pg";
import { executable, password } from "../server.js";
import { connectClient, type LogLine, until } from "./nodes.js";

export interface SupervisedNode {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  readonly folder: string;
}

const readyMs = 60_000;
const stopMs = 40_000;
const linesMax = 20_000;

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class SupervisedCluster {
  readonly nodes: SupervisedNode[] = [];
  /** Of all nodes, with the name of the node in front; `event` lines of the supervisor without. */
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;
  /** Milliseconds from the command to the last ready line. */
  startMs = 0;

  private constructor(
    readonly data: string,
    count: number,
    args: readonly string[],
  ) {
    const ports = ["--port", "--http-port", "--rpc-port", "--control-port"].flatMap((flag) => [flag, "0"]);
    this.#child = spawn(
      process.execPath,
      [executable, "start", "--nodes", String(count), "--data", data, ...ports, ...args],
      { env: { ...process.env, SCRATCHBIRD_PASSWORD: password }, stdio: ["ignore", "pipe", "pipe"] },
    );
    running.add(this.#child);
    this.#ended = new Promise((resolve) =>
      this.#child.once("close", (code) => {
        running.delete(this.#child);
        resolve(code ?? -1);
      }),
    );
    createInterface({ input: this.#child.stdout! }).on("line", (line) => {
      if (!line.startsWith('{"event":"ready"')) return;
      const ready = JSON.parse(line) as { readonly pid: number; readonly pg: string; readonly data: string };
      this.nodes.push({
        name: ready.data.split("/").at(-1)!,
        pid: ready.pid,
        port: Number(ready.pg.split(":").at(-1)),
        folder: ready.data,
      });
    });
    createInterface({ input: this.#child.stderr! }).on("line", (line) => {
      this.lines.push(line);
      if (this.lines.length > linesMax) this.lines.splice(0, linesMax / 2);
    });
  }

  /** Resolves when all nodes are ready. @throws Error with what was said, when they are not in a minute */
  static async start(data: string, count: number, args: readonly string[] = []): Promise<SupervisedCluster> {
    const started = performance.now();
    const cluster = new SupervisedCluster(data, count, args);
    try {
      await until(
        async () => (cluster.nodes.length === count || !cluster.isRunning ? true : undefined),
        readyMs,
        `${count} nodes are ready`,
        10,
      );
      if (cluster.nodes.length < count) throw new Error("the supervisor has ended");
    } catch (error) {
      await cluster.stop();
      throw new Error(`${String(error)}\n${cluster.lines.slice(-30).join("\n")}`);
    }
    cluster.startMs = performance.now() - started;
    cluster.nodes.sort((a, b) => a.name.localeCompare(b.name));
    return cluster;
  }

  get pid(): number {
    return this.#child.pid!;
  }
  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }
  node(place: number): SupervisedNode {
    return this.nodes.find(({ folder }) => folder === join(this.data, `node-${place}`))!;
  }
  connect(place: number, limitMs?: number): Promise<pg.Client> {
    const { port } = this.node(place);
    return connectClient(`postgres://admin:${password}@127.0.0.1:${port}/scratchbird`, limitMs);
  }

  /** SIGKILL to one node. */
  kill(place: number): void {
    process.kill(this.node(place).pid, "SIGKILL");
  }
  /** SIGTERM to the supervisor, SIGKILL when that takes too long; the exit code. */
  async stop(): Promise<number> {
    if (this.isRunning) this.#child.kill("SIGTERM");
    const late = setTimeout(() => this.#child.kill("SIGKILL"), stopMs);
    const code = await this.#ended;
    clearTimeout(late);
    return code;
  }

  /** Log lines of a node, or of all. */
  logged(words: readonly string[], place?: number): LogLine[] {
    const found: LogLine[] = [];
    for (const line of this.lines) {
      const [, name, text] = /^(\S+) \| (\{.*\})$/.exec(line) ?? [];
      if (text === undefined || (place !== undefined && name !== `node-${place}`)) continue;
      if (words.every((word) => text.includes(word))) found.push(JSON.parse(text) as LogLine);
    }
    return found;
  }
  /** Who was said to lead, by term. */
  leaders(): Map<number, Set<string>> {
    const leaders = new Map<number, Set<string>>();
    for (const line of this.logged(["leads the cluster"])) {
      const { term, leader } = line as unknown as { readonly term: number; readonly leader: string | number };
      // Numbers stand for names until a node has read the log.
      if (typeof leader === "string") leaders.set(term, (leaders.get(term) ?? new Set()).add(leader));
    }
    return leaders;
  }
}
