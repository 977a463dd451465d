/**
 * The two servers of a comparison: a node of ScratchBird (or a cluster of them), and a PostgreSQL that is started here on a
 * folder of its own with its default settings (fsync on). All listen on 127.0.0.1 alone, ask for SCRAM-SHA-256, and are spoken to without
 * TLS by the same clients.
 */
import { spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { SupervisedCluster } from "../sql-tests/cluster/supervised.js";
import { password, startServer } from "../sql-tests/server.js";
import { command, isAlive, own } from "./processes.js";

export interface Side {
  readonly name: "scratchbird" | "postgres" | "cluster";
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly pid: number;
  readonly data: string;
  /** Milliseconds from the command to the first accepted statement. */
  readonly startMs: number;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
}

export interface SideOptions {
  /** Folder in which the data folders are made. */
  readonly parent: string;
  /** Memory for pages in MiB; absent: the default of either server. */
  readonly poolMiB?: number;
  /** Our node writes a CPU profile into this folder when it stops. */
  readonly profileFolder?: string;
}

/** Longest time a statement of a benchmark may take. */
const statementLimitMs = 300_000;

export async function connect(side: Side): Promise<pg.Client> {
  const client = new pg.Client({
    host: side.host,
    port: side.port,
    user: side.user,
    password: side.password,
    database: side.database,
    ssl: false,
    connectionTimeoutMillis: 10_000,
    query_timeout: statementLimitMs,
  });
  // A server that ends takes its idle connections along; the statement after it reports that.
  client.on("error", () => {});
  await client.connect();
  return client;
}

/** What pgbench and other libpq programs need to reach a side. */
export function libpqEnvironment(side: Side): Record<string, string> {
  return {
    PGHOST: side.host,
    PGPORT: String(side.port),
    PGUSER: side.user,
    PGPASSWORD: side.password,
    PGDATABASE: side.database,
    PGSSLMODE: "disable",
    PGGSSENCMODE: "disable",
    PGCONNECT_TIMEOUT: "10",
  };
}

export async function startScratchBird(options: SideOptions): Promise<Side> {
  const data = mkdtempSync(join(options.parent, "bench-scratchbird-"));
  const server = await startServer({
    data,
    args: [
      "--log-level",
      "warn",
      ...(options.poolMiB === undefined ? [] : ["--buffer-pool", `${options.poolMiB}MB`]),
    ],
    ...(options.profileFolder === undefined
      ? {}
      : { nodeArgs: ["--cpu-prof", "--cpu-prof-interval", "500", "--cpu-prof-dir", options.profileFolder] }),
  });
  const stopChild = async (): Promise<void> => {
    if (!isAlive(server.pid)) return;
    // A profile of a long run takes a while to write.
    const late = setTimeout(() => void server.kill(), options.profileFolder === undefined ? 20_000 : 90_000);
    await server.stop();
    clearTimeout(late);
  };
  return {
    name: "scratchbird",
    host: "127.0.0.1",
    port: server.port,
    user: "admin",
    password,
    database: "scratchbird",
    pid: server.pid,
    data,
    startMs: server.startMs,
    stop: own({ pid: server.pid, stop: stopChild, lastSignal: "SIGKILL", folder: data }),
  };
}

/** A new local cluster; clients of it are those of its first node, which holds the data. `pid` is its supervisor's. */
export async function startCluster(options: SideOptions, nodes: number): Promise<Side> {
  const data = mkdtempSync(join(options.parent, "bench-cluster-"));
  const cluster = await SupervisedCluster.start(data, nodes, ["--log-level", "warn"]);
  const { pid } = cluster;
  return {
    name: "cluster",
    host: "127.0.0.1",
    port: cluster.node(1).port,
    user: "admin",
    password,
    database: "scratchbird",
    pid,
    data,
    startMs: cluster.startMs,
    stop: own({ pid, stop: () => cluster.stop(), lastSignal: "SIGKILL", folder: data }),
  };
}

/** A user that PostgreSQL consents to run as: it refuses root. */
function unprivilegedUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .filter((fields) => Number(fields[2]) > 0)
    .map(([name, , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }));
  const user =
    users.find(({ name }) => name === "postgres") ?? users.find(({ name }) => name === "nobody") ?? users[0];
  if (user === undefined) throw new Error("no unprivileged user to run PostgreSQL as");
  return user;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() =>
        address === null || typeof address === "string"
          ? reject(new Error("the probe for a free port has no address"))
          : resolve(address.port),
      );
    });
  });
}

/** First line of what a program says of its version; undefined when it is not on the PATH. */
export async function versionOf(program: string): Promise<string | undefined> {
  try {
    const { code, stdout } = await command(program, ["--version"], { timeoutMs: 10_000 });
    return code === 0 ? stdout.trim().split("\n")[0] : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

export async function startPostgres(options: SideOptions): Promise<Side> {
  const folder = mkdtempSync(join(options.parent, "bench-postgres-"));
  const user = unprivilegedUser();
  const data = join(folder, "data");
  const passwordFile = join(folder, "password");
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  for (const path of [folder, data, passwordFile]) {
    if (user !== undefined) chownSync(path, user.uid, user.gid);
  }
  chmodSync(folder, 0o700);
  const rights = user === undefined ? {} : { uid: user.uid, gid: user.gid };
  const environment = { HOME: folder, LC_ALL: "C" };
  // Bytewise collation is PostgreSQL's fastest; the comparison gives it that.
  const made = await command(
    "initdb",
    [
      "-D",
      data,
      "-U",
      "postgres",
      "-A",
      "scram-sha-256",
      "--pwfile",
      passwordFile,
      "-E",
      "UTF8",
      "--locale=C",
    ],
    { timeoutMs: 120_000, env: environment, cwd: folder, ...rights },
  );
  if (made.code !== 0) throw new Error(`initdb failed: ${made.stderr.trim()}`);

  const port = await freePort();
  const started = performance.now();
  const child = spawn(
    "postgres",
    [
      ...[
        "-D",
        data,
        "-p",
        String(port),
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "unix_socket_directories=",
      ],
      ...(options.poolMiB === undefined ? [] : ["-c", `shared_buffers=${options.poolMiB}MB`]),
    ],
    { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...environment }, cwd: folder, ...rights },
  );
  const messages: string[] = [];
  child.stderr.on("data", (chunk: Buffer) => {
    messages.push(chunk.toString());
    if (messages.length > 100) messages.shift();
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stopChild = async (): Promise<void> => {
    child.kill("SIGINT"); // fast shutdown: ends sessions, flushes
    const late = setTimeout(() => child.kill("SIGQUIT"), 20_000);
    await ended;
    clearTimeout(late);
  };
  const side: Side = {
    name: "postgres",
    host: "127.0.0.1",
    port,
    user: "postgres",
    password,
    database: "postgres",
    pid: child.pid!,
    data,
    startMs: 0,
    stop: own({ pid: child.pid!, stop: stopChild, lastSignal: "SIGQUIT", folder }),
  };
  for (;;) {
    try {
      const client = await connect(side);
      await client.end();
      break;
    } catch (error) {
      if (!isAlive(side.pid) || performance.now() - started > 30_000) {
        await side.stop();
        throw new Error(`PostgreSQL did not start: ${messages.join("").trim()}`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  return { ...side, startMs: performance.now() - started };
}

/** The newest .cpuprofile of a folder. */
export function profileIn(folder: string): string {
  const name = readdirSync(folder).find((file) => file.endsWith(".cpuprofile"));
  if (name === undefined) throw new Error("the node left no CPU profile: it did not end in order");
  return join(folder, name);
}
