/**
 * A cluster of real processes, one a node, for tests and measurements: founded, joined, killed and brought back one by one,
 * and what each has logged.
 *
 * Invariants: only processes that were started here are ended, by their own pid; every wait has an end; what a node says of
 * leaders is kept from its first line on, over all its starts, so that two leaders of one term cannot be missed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, type WriteStream } from "node:fs";
import { connect as connectTo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";
import { executable, password } from "../server.js";

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export interface NodePorts {
  readonly pg: number;
  readonly http: number;
  readonly rpc: number;
  readonly control: number;
}

export interface LogLine {
  readonly level: string;
  readonly time: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A node was said to lead a term. */
export interface LeaderWord {
  readonly by: string;
  readonly term: number;
  /** UUID, or the number in the consensus group. */
  readonly leader: string;
  readonly at: number;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines on standard error. */
  readonly errors: string;
}

const readyMs = 30_000;
const errorLinesMax = 40;
const logLinesMax = 20_000;

/** Small pools: three nodes share the machine with their clients. */
const usualArgs = ["--buffer-pool", "64MB", "--journal-size", "8MB", "--log-format", "json"];

/** Where a node runs. */
export interface Place {
  /** It listens there, and clients reach it there. */
  readonly host: string;
  /** A command before its own, such as one that enters a network namespace and becomes the node. */
  readonly enter: readonly string[];
}
const here: Place = { host: "127.0.0.1", enter: [] };

/** One node's data folder, and the process on it when there is one. */
export class ClusterNode {
  readonly logLines: LogLine[] = [];
  readonly leaderWords: LeaderWord[] = [];
  readonly #log: WriteStream;
  #child: ChildProcess | undefined;
  #ended: Promise<Ended> = Promise.resolve({ code: 0, signal: null, errors: "" });

  constructor(
    readonly name: string,
    readonly folder: string,
    readonly ports: NodePorts,
    /** Options of its own, given at every start. */
    readonly args: readonly string[],
    logFile: string,
    readonly nodeArgs: readonly string[] = [],
    readonly place: Place = here,
  ) {
    this.#log = createWriteStream(logFile, { flags: "a" });
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error(`${this.name} is not running`);
    return this.#child.pid;
  }
  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }
  get ended(): Promise<Ended> {
    return this.#ended;
  }
  get url(): string {
    return `postgres://admin:${password}@${this.place.host}:${this.ports.pg}/scratchbird`;
  }
  /** As the node itself has it. */
  get identity(): { readonly nodeId: string; readonly raftId: number; readonly clusterId: string } {
    return JSON.parse(readFileSync(join(this.folder, "node.json"), "utf8"));
  }

  /** Runs `start`, or the command given, on the folder. Milliseconds to the ready line. */
  async start(command: readonly string[] = ["start"], portsToo = true): Promise<number> {
    const started = performance.now();
    const ended = this.launch(command, portsToo);
    const ready = new Promise<void>((resolve, reject) => {
      const limit = setTimeout(() => {
        this.#child?.kill("SIGKILL");
        reject(new Error(`${this.name} was not ready in ${readyMs} ms\n${this.tail()}`));
      }, readyMs);
      void ended.then(({ code, signal, errors }) => {
        clearTimeout(limit);
        reject(new Error(`${this.name} ended with ${signal ?? code} before it was ready\n${errors}`));
      });
      createInterface({ input: this.#child!.stdout! }).on("line", (line) => {
        if (!line.startsWith('{"event":"ready"')) return;
        clearTimeout(limit);
        resolve();
      });
    });
    await ready;
    return performance.now() - started;
  }

  /** Starts a process that is not expected to become ready. */
  launch(command: readonly string[] = ["start"], portsToo = true): Promise<Ended> {
    if (this.isRunning) throw new Error(`${this.name} is running`);
    const { pg: pgPort, http, rpc, control } = this.ports;
    const [verb, ...rest] = command;
    const ports = ["--port", pgPort, "--http-port", http, "--rpc-port", rpc, "--control-port", control];
    const [file, ...args] = [
      ...this.place.enter,
      process.execPath,
      ...this.nodeArgs,
      executable,
      verb!,
      ...["--data", this.folder, ...usualArgs, ...this.args, ...rest],
      ...(portsToo ? ["--node-name", this.name, "--host", this.place.host, ...ports.map(String)] : []),
    ];
    const child = spawn(file!, args, {
      env: { ...process.env, SCRATCHBIRD_PASSWORD: password },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    running.add(child);
    const errors: string[] = [];
    createInterface({ input: child.stderr }).on("line", (line) => {
      errors.push(line);
      if (errors.length > errorLinesMax) errors.shift();
      this.#log.write(`${line}\n`);
      this.#note(line);
    });
    this.#ended = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        running.delete(child);
        resolve({ code, signal, errors: errors.join("\n") });
      });
    });
    return this.#ended;
  }

  /** SIGKILL, and waits for the end. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#ended;
  }
  /** SIGTERM, and SIGKILL when that takes too long; the exit code. */
  async stop(): Promise<Ended> {
    this.#child?.kill("SIGTERM");
    const late = setTimeout(() => this.#child?.kill("SIGKILL"), 20_000);
    const ended = await this.#ended;
    clearTimeout(late);
    return ended;
  }

  /** Lines that hold all the words given, since a moment or at all. */
  logged(words: readonly string[], since = 0): LogLine[] {
    return this.logLines.filter((line) => {
      if (Date.parse(line.time) < since) return false;
      const text = JSON.stringify(line);
      return words.every((word) => text.includes(word));
    });
  }
  tail(): string {
    return this.logLines
      .slice(-15)
      .map((line) => JSON.stringify(line))
      .join("\n");
  }

  #note(text: string): void {
    if (!text.startsWith("{")) return;
    let line: LogLine;
    try {
      line = JSON.parse(text) as LogLine;
    } catch {
      return; // cut off by a kill
    }
    this.logLines.push(line);
    if (this.logLines.length > logLinesMax) this.logLines.splice(0, logLinesMax / 2);
    if (line.message !== "this node leads the cluster" && line.message !== "a node leads the cluster") return;
    const { term, leader } = line as unknown as { readonly term: number; readonly leader: string | number };
    this.leaderWords.push({ by: this.name, term, leader: String(leader), at: Date.parse(line.time) });
  }

  /** Numbers of /metrics, as this very node has them: SQL of a node that holds no data is answered elsewhere. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const response = await fetch(`http://${this.place.host}:${this.ports.http}/metrics`, {
      signal: AbortSignal.timeout(3_000),
    });
    const numbers = new Map<string, number>();
    for (const line of (await response.text()).split("\n")) {
      const match = /^scratchbird_(\w+)(?:\{[^}]*\})? ([-+.eE\d]+|NaN)$/.exec(line);
      if (match !== null && !numbers.has(match[1]!)) numbers.set(match[1]!, Number(match[2]));
    }
    return numbers;
  }

  connect(limitMs = 15_000): Promise<pg.Client> {
    return connectClient(this.url, limitMs);
  }

  close(): void {
    this.#log.end();
  }
}

/** `limitMs` bounds the connect and each statement. */
export async function connectClient(url: string, limitMs = 15_000): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: limitMs,
    query_timeout: limitMs,
  });
  client.on("error", () => undefined); // the statement under way reports it
  await client.connect();
  return client;
}

/** One statement on a connection of its own. */
export async function ask<Row extends pg.QueryResultRow = pg.QueryResultRow>(
  node: Pick<ClusterNode, "connect">,
  sql: string,
  limitMs?: number,
): Promise<Row[]> {
  const client = await node.connect(limitMs);
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

const running = new Set<ChildProcess>();
// Whatever ends the test, nothing it started goes on.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

export interface ClusterOptions {
  readonly nodes?: number;
  /** Of node `place`, from 1. */
  readonly args?: (place: number, ports: NodePorts) => readonly string[] | Promise<readonly string[]>;
  /** Control address under which node 1 is joined through. */
  readonly peer?: (ports: NodePorts) => string;
  readonly nodeArgs?: (place: number) => readonly string[];
  readonly placeOf?: ((place: number) => Place) | undefined;
  /** Before the node is started. */
  readonly made?: (node: ClusterNode) => unknown;
  /** Where data folders and logs are made. */
  readonly parent?: string;
}

export class TestCluster {
  constructor(
    readonly folder: string,
    readonly nodes: readonly ClusterNode[],
  ) {}

  node(place: number): ClusterNode {
    return this.nodes[place - 1]!;
  }
  byName(name: string): ClusterNode {
    return this.nodes.find((one) => one.name === name)!;
  }
  others(node: ClusterNode): ClusterNode[] {
    return this.nodes.filter((one) => one !== node);
  }

  /** Founds with node 1, joins the others one after the other. */
  static async found(options: ClusterOptions = {}): Promise<TestCluster> {
    const folder = mkdtempSync(join(options.parent ?? tmpdir(), "scratchbird-cluster-"));
    const nodes: ClusterNode[] = [];
    const cluster = new TestCluster(folder, nodes);
    try {
      for (let place = 1; place <= (options.nodes ?? 3); place++) {
        const node = await cluster.make(place, options);
        nodes.push(node);
        options.made?.(node);
        if (place === 1) await node.start(["start", "--shards", "2"]);
        else {
          const token = await cluster.token();
          const { ports } = cluster.node(1);
          const peer = options.peer?.(ports) ?? `${cluster.node(1).place.host}:${ports.control}`;
          await node.start(["join", "--token", token, "--peer", peer]);
        }
      }
      await cluster.settled();
      return cluster;
    } catch (error) {
      await cluster.remove();
      throw error;
    }
  }

  async make(place: number, options: ClusterOptions = {}): Promise<ClusterNode> {
    const ports = await freePorts();
    const logs = join(this.folder, "logs");
    mkdirSync(logs, { recursive: true });
    return new ClusterNode(
      `node-${place}`,
      join(this.folder, `node-${place}`),
      ports,
      (await options.args?.(place, ports)) ?? [],
      join(logs, `node-${place}.log`),
      options.nodeArgs?.(place),
      options.placeOf?.(place),
    );
  }

  async token(): Promise<string> {
    const [row] = await ask<{ token: string }>(this.node(1), "SELECT create_join_token() AS token");
    return row!.token;
  }

  /** All running nodes are ENABLED and one of them leads. */
  async settled(limitMs = 15_000): Promise<ClusterNode> {
    const alive = this.nodes.filter((one) => one.isRunning);
    return until(
      async () => {
        const [row] = await ask<{ nodes_enabled: number }>(alive[0]!, "SHOW CLUSTER", 3_000);
        if (Number(row!.nodes_enabled) < alive.length) return undefined;
        const leader = await this.leader();
        if (leader === undefined) return undefined;
        const numbers = await Promise.all(alive.map((one) => one.metrics()));
        return numbers.every((one) => one.get("raft_quorum") === 1) ? leader : undefined;
      },
      limitMs,
      "the nodes are enabled and one of them leads",
    );
  }

  /** Who leads, as all running nodes agree; undefined: they do not. */
  async leader(among: readonly ClusterNode[] = this.nodes): Promise<ClusterNode | undefined> {
    const alive = among.filter((one) => one.isRunning);
    const numbers = await Promise.all(alive.map((one) => one.metrics()));
    const leaders = alive.filter((_, at) => numbers[at]!.get("raft_leader") === 1);
    const terms = new Set(numbers.map((one) => one.get("raft_term")));
    return leaders.length === 1 && terms.size === 1 ? leaders[0] : undefined;
  }

  /** Terms that were led by more than one node, as any node has ever logged. */
  doubleLeaders(): string[] {
    const uuids = new Map<string, string>();
    for (const { identity } of this.nodes) uuids.set(String(identity.raftId), identity.nodeId);
    const leaders = new Map<number, Set<string>>();
    for (const node of this.nodes)
      for (const { term, leader } of node.leaderWords) {
        const set = leaders.get(term) ?? new Set<string>();
        leaders.set(term, set.add(uuids.get(leader) ?? leader));
      }
    return [...leaders]
      .filter(([, set]) => set.size > 1)
      .map(([term, set]) => `term ${term} was led by ${[...set].join(" and ")}`);
  }
  /** The highest term that any running node knows: every election begins a new one, whether or not somebody is elected. */
  async term(): Promise<number> {
    const alive = this.nodes.filter((one) => one.isRunning);
    const numbers = await Promise.all(alive.map((one) => one.metrics()));
    return Math.max(...numbers.map((one) => one.get("raft_term")!));
  }
  /** Different terms that had a leader since then. */
  electionsSince(at: number): number {
    const terms = new Set<number>();
    for (const { leaderWords } of this.nodes)
      for (const word of leaderWords) if (word.at >= at) terms.add(word.term);
    return terms.size;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((one) => one.stop()));
  }
  async remove(keep = false): Promise<void> {
    await Promise.all(this.nodes.map((one) => one.kill()));
    for (const node of this.nodes) node.close();
    if (!keep) rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Tries until it answers something; what it throws counts as nothing. */
export async function until<T>(
  look: () => Promise<T | undefined>,
  limitMs: number,
  what: string,
  everyMs = 50,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  let last: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined) return found;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline)
      throw new Error(`not within ${limitMs} ms: ${what}${last === undefined ? "" : `: ${String(last)}`}`);
    await sleep(everyMs);
  }
}

let nextPort = 20_000 + (process.pid % 200) * 40;

/** Below the ports that the system gives to clients: a node that was down a while finds its own free again. */
export async function freePorts(): Promise<NodePorts> {
  const ports: number[] = [];
  while (ports.length < 4) {
    const port = nextPort;
    nextPort = nextPort >= 31_000 ? 20_000 : nextPort + 1;
    if (await isFree(port)) ports.push(port);
  }
  return { pg: ports[0]!, http: ports[1]!, rpc: ports[2]!, control: ports[3]! };
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

/** Whether somebody listens there. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTo(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
