/**
 * `scratchbird start --nodes N`: a local cluster, one process a node. The first node makes the cluster, the others join it with
 * tokens; later starts just start them all.
 *
 * Invariants: the supervisor starts processes and passes signals and lines on, nothing else: a node that ends is reported
 * and not started again; no child outlives the supervisor; each ready line is printed as the node wrote it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DbError } from "./base/errors.js";
import { SqlClient } from "./cli/client.js";
import type { Config } from "./config.js";
import { hostRandom } from "./platform/host.js";

export interface SupervisorOptions {
  readonly config: Config;
  /** Absolute. */
  readonly data: string;
  /** How this program was started: executable, its own options, script. */
  readonly command: readonly string[];
  /** Options that every node gets as they were given. */
  readonly passed: readonly string[];
  /** Those that only matter when the cluster is made. */
  readonly creating: readonly string[];
  readonly print: (line: string) => void;
  readonly printError: (line: string) => void;
}

const stopMs = 30_000;
/** Where `scratchbird join` finds a token that is not among its arguments. */
export const joinTokenVariable = "SCRATCHBIRD_JOIN_TOKEN";

class Child {
  readonly process: ChildProcess;
  readonly ready: Promise<{ readonly pg: string }>;
  readonly ended: Promise<number>;

  constructor(
    readonly name: string,
    options: SupervisorOptions,
    args: readonly string[],
    environment: Readonly<Record<string, string>>,
  ) {
    const [file, ...rest] = [...options.command, ...args];
    // A group of its own: Ctrl-C reaches the supervisor, which passes it on once. The channel tells the child if we die.
    this.process = spawn(file!, rest, {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      detached: true,
      env: { ...process.env, ...environment },
    });
    let toldReady: (ready: { pg: string }) => void;
    let failed: (error: Error) => void;
    this.ready = new Promise((resolve, reject) => {
      toldReady = resolve;
      failed = reject;
    });
    this.ready.catch(() => {});
    let last = "";
    lines(this.process.stdout!, (line) => {
      if (line.includes('"event":"ready"')) {
        options.print(line);
        toldReady(JSON.parse(line) as { pg: string });
      } else options.print(`${name} | ${line}`);
    });
    lines(this.process.stderr!, (line) => {
      last = line;
      options.printError(`${name} | ${line}`);
    });
    this.ended = new Promise((resolve) => {
      this.process.on("error", (error) => {
        failed(error);
        resolve(1);
      });
      this.process.on("exit", (code, signal) => {
        options.printError(
          JSON.stringify({ event: "ended", node: name, pid: this.process.pid, code, signal }),
        );
        failed(new DbError("ioError", `${name} has ended before it was ready: ${last}`));
        resolve(code ?? 1);
      });
    });
  }

  get isRunning(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }
  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.process.kill(signal);
  }
}

function lines(stream: NodeJS.ReadableStream, take: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop()!;
    for (const line of parts) take(line);
  });
  stream.on("end", () => {
    if (rest !== "") take(rest);
  });
}

/** Serves until a signal; the exit code. */
export async function superviseCluster(options: SupervisorOptions): Promise<number> {
  const { config, printError } = options;
  const children: Child[] = [];
  let stopping = false;
  const stopAll = (signal: NodeJS.Signals): void => {
    for (const child of children) child.signal(signal);
  };
  const onSignal = (): void => {
    if (stopping) {
      stopAll("SIGKILL");
      return;
    }
    stopping = true;
    stopAll("SIGTERM");
    setTimeout(() => stopAll("SIGKILL"), stopMs).unref();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  process.on("SIGHUP", () => {});

  const folder = (place: number): string => join(options.data, `node-${place}`);
  const argsOf = (place: number): string[] => {
    const port = (base: number): string => String(base === 0 ? 0 : base + place - 1);
    return [
      "--data",
      folder(place),
      "--node-name",
      `node-${place}`,
      "--host",
      config.host,
      "--port",
      port(config.port),
      "--http-port",
      port(config.httpPort),
      "--rpc-port",
      port(config.rpcPort),
      "--control-port",
      port(config.controlPort),
      ...options.passed,
    ];
  };
  const start = (place: number, args: readonly string[], environment = {}): Child => {
    const child = new Child(`node-${place}`, options, args, environment);
    children.push(child);
    return child;
  };
  try {
    const isThere = (place: number): boolean => existsSync(join(folder(place), "node.json"));
    const first = start(1, ["start", ...argsOf(1), ...(isThere(1) ? [] : options.creating)]);
    const known: Child[] = [];
    const newcomers: number[] = [];
    for (let place = 2; place <= config.nodes; place++) {
      if (isThere(place)) known.push(start(place, ["start", ...argsOf(place)]));
      else newcomers.push(place);
    }
    const { pg } = await first.ready;
    if (newcomers.length > 0) {
      const tokens = await joinTokens(pg, folder(1), config, newcomers.length);
      const peer = readPeer(folder(1));
      for (const [at, place] of newcomers.entries()) {
        if (stopping) break;
        // Not among the arguments, which everybody on the machine may read.
        const environment = { [joinTokenVariable]: tokens[at]! };
        known.push(start(place, ["join", "--peer", peer, ...argsOf(place)], environment));
      }
    }
    // One that does not come was reported; the others serve without it.
    await Promise.allSettled(known.map((child) => child.ready));
  } catch (error) {
    if (!stopping) {
      onSignal();
      await Promise.all(children.map((child) => child.ended));
      throw error;
    }
  }
  const codes = await Promise.all(children.map((child) => child.ended));
  if (!stopping) printError("every node has ended");
  return stopping && codes.every((code) => code === 0) ? 0 : 1;
}

function readPeer(folder: string): string {
  const { host, ports } = JSON.parse(readFileSync(join(folder, "node.json"), "utf8")) as {
    host: string;
    ports: { control: number };
  };
  return `${host}:${ports.control}`;
}

/** The password of the first user, as an operator on this machine has it. Undefined: nobody has left it here. */
export function adminPassword(folder: string, given: string | undefined): string | undefined {
  if (given !== undefined) return given;
  const kept = join(folder, "admin-password");
  return existsSync(kept) ? readFileSync(kept, "utf8").trim() : undefined;
}

/** Asks a node for join tokens, as its first user. @throws DbError 28P01 when there is no password */
export async function joinTokens(
  pg: string,
  folder: string,
  config: Pick<Config, "password" | "name">,
  count: number,
): Promise<string[]> {
  const colon = pg.lastIndexOf(":");
  const password = adminPassword(folder, config.password);
  if (password === undefined)
    throw new DbError("invalidPassword", `no password of user admin: ${folder} holds none`, {
      hint: "Set SCRATCHBIRD_PASSWORD, or run SELECT create_join_token() as an administrator.",
    });
  const client = await SqlClient.connect(
    {
      host: pg.slice(0, colon),
      port: Number(pg.slice(colon + 1)),
      user: "admin",
      password,
      database: config.name,
      tls: "prefer",
    },
    hostRandom,
  );
  try {
    const tokens: string[] = [];
    let failure = "";
    for (let at = 0; at < count; at++) {
      await client.query("SELECT create_join_token()", {
        columns: () => {},
        row: ([token]) => tokens.push(token!),
        complete: () => {},
        copyOut: () => {},
        notice: () => {},
        error: (error) => {
          failure = error.message;
        },
      });
    }
    if (failure !== "") throw new DbError("connectionException", `no join token was made: ${failure}`);
    return tokens;
  } finally {
    client.close();
  }
}
