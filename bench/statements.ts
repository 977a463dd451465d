/**
 * Statements through a session in this process, without wire or sockets: what the engine itself costs for each message
 * round of TPC-B and for a point read. One client, real disk; the figure is processor time of the loop.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../src/config.js";
import { openCore } from "../src/node.js";
import type { Log } from "../src/observe/index.js";
import { HostDisk, hostClock, hostRandom } from "../src/platform/host.js";
import type { Platform } from "../src/platform/index.js";
import type { ResultSink, Session } from "../src/session/index.js";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const network: Platform["network"] = { listen: () => Promise.reject(new Error("no sockets here")) };

class NoClient implements ResultSink {
  rowDescription(): void {}
  rows(): boolean {
    return true;
  }
  drained(): Promise<void> {
    return Promise.resolve();
  }
  complete(): void {}
  emptyQuery(): void {}
  portalSuspended(): void {}
  notice(): void {}
  parameterStatus(): void {}
  notification(): void {}
  // biome-ignore lint/correctness/useYield: the contract wants an iterable, and nothing is copied here
  async *copyIn(): AsyncIterable<Buffer> {
    throw new Error("nothing to copy");
  }
  copyOutBegin(): void {}
  copyOutData(): boolean {
    return true;
  }
  copyOutDone(): void {}
}
const sink = new NoClient();
const statements: Readonly<Record<string, string>> = {
  begin: "BEGIN",
  account: "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2",
  read: "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
  teller: "UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2",
  branch: "UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2",
  history:
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
  commit: "END",
};

/** Microseconds of each statement of TPC-B, the mean of `transactions`. */
export async function runStatements(transactions: number, print: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "scratchbird-statements-"));
  const config = loadConfig({
    args: ["--buffer-pool", "512MB"],
    environment: { SCRATCHBIRD_PASSWORD: "bench" },
    readFile: () => "",
    remembered: () => ({}),
    machineMemoryBytes: 4 << 30,
    isTerminal: false,
  });
  const core = await openCore(
    config,
    { clock: hostClock, random: hostRandom, disk: new HostDisk(folder), network },
    silent,
  );
  const session: Session = core.server.openSession({
    user: "admin",
    database: "scratchbird",
    settings: new Map(),
    remoteAddress: "",
    encrypted: false,
  });
  try {
    for (const text of [
      "create table pgbench_branches (bid int primary key, bbalance int, filler char(88))",
      "create table pgbench_tellers (tid int primary key, bid int, tbalance int, filler char(84))",
      "create table pgbench_accounts (aid int primary key, bid int, abalance int, filler char(84))",
      "create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
      "insert into pgbench_branches select g, 0, '' from generate_series(1, 10) g",
      "insert into pgbench_tellers select g, (g - 1) / 10 + 1, 0, '' from generate_series(1, 100) g",
      "insert into pgbench_accounts select g, (g - 1) / 100000 + 1, 0, '' from generate_series(1, 100000) g",
      "analyze",
    ])
      await session.simpleQuery(text, sink);
    for (const [name, text] of Object.entries(statements)) {
      await session.parse(name, text, []);
      await session.sync();
    }
    const spent = new Map<string, number>();
    const run = async (name: string, values: readonly number[]): Promise<void> => {
      const parameters = values.map((value) => Buffer.from(String(value)));
      const from = performance.now();
      const bound = session.bind("", name, [], parameters, []);
      if (bound instanceof Promise) await bound;
      session.describePortal("");
      const executed = session.execute("", 0, sink);
      if (executed instanceof Promise) await executed;
      const synced = session.sync();
      if (synced instanceof Promise) await synced;
      spent.set(name, (spent.get(name) ?? 0) + performance.now() - from);
    };
    let seed = 1;
    const draw = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return 1 + ((seed >>> 8) % below);
    };
    for (const part of ["warm-up", "measured"]) {
      spent.clear();
      const cpu = process.cpuUsage();
      const from = performance.now();
      for (let one = 0; one < transactions; one++) {
        const [aid, tid, bid, delta] = [draw(100000), draw(100), draw(10), draw(5000)];
        await run("begin", []);
        await run("account", [delta, aid]);
        await run("read", [aid]);
        await run("teller", [delta, tid]);
        await run("branch", [delta, bid]);
        await run("history", [tid, bid, aid, delta]);
        await run("commit", []);
      }
      if (part === "warm-up") continue;
      const { user, system } = process.cpuUsage(cpu);
      for (const [name, ms] of spent)
        print(`${name.padEnd(10)}${((ms * 1000) / transactions).toFixed(2).padStart(8)} us`);
      print(
        `together  ${(((performance.now() - from) * 1000) / transactions).toFixed(1).padStart(8)} us, processor ${((user + system) / transactions).toFixed(1)} us`,
      );
    }
  } finally {
    session.close();
    await core.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1]?.endsWith("statements.js") === true)
  await runStatements(Number(process.argv[2] ?? 20_000), console.log);
