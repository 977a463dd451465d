/**
 * How many changes three nodes on one machine commit in a second, from 32 sessions; and that a statement which keeps the
 * leader's processor busy for ten seconds brings no election.
 */
import { readFileSync } from "node:fs";
import type pg from "pg";
import { type ClusterNode, sleep, TestCluster } from "./nodes.js";

export interface LoadRun {
  readonly seconds: number;
  readonly progress?: (line: string) => void;
  readonly parent?: string;
  readonly sessions?: number;
  /** Only lines whose name contains this. */
  readonly only?: string | undefined;
  /** Options of Node.js for the nodes, such as --cpu-prof. */
  readonly nodeArgs?: (place: number) => readonly string[];
}

export interface LoadLine {
  readonly what: string;
  /** Committed changes in a second. */
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  readonly failed: number;
  readonly elections: number;
}

export interface LoadReport {
  readonly lines: readonly LoadLine[];
  readonly failures: readonly string[];
}

const clockTicks = 100;

/** Processor seconds of a process so far, all its threads. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / clockTicks;
}

/** `run`: of the measurement, since what the one before created last is still there. */
type Statements = (run: number, session: number, step: number) => string;

const settings: Statements = (_run, session, step) =>
  `ALTER CLUSTER SET degraded_mode.max_duration = '${1001 + ((session * 1000 + step) % 100_000) * 7}ms'`;
const schemas: Statements = (run, session, step) =>
  step % 2 === 0
    ? `CREATE SCHEMA load_${run}_${session}_${step}`
    : `DROP SCHEMA load_${run}_${session}_${step - 1}`;
const tables: Statements = (run, session, step) =>
  step % 2 === 0
    ? `CREATE TABLE load_${run}_${session}_${step} (id integer)`
    : `DROP TABLE load_${run}_${session}_${step - 1}`;

let runs = 0;

async function measure(
  cluster: TestCluster,
  nodes: readonly ClusterNode[],
  what: string,
  statements: Statements,
  { seconds, sessions = 32, progress = () => {} }: LoadRun,
): Promise<LoadLine> {
  const clients: pg.Client[] = [];
  for (let at = 0; at < sessions; at++) clients.push(await nodes[at % nodes.length]!.connect());
  const warmUp = Math.min(2_000, seconds * 500);
  const begin = performance.now() + warmUp;
  const end = begin + seconds * 1000;
  const term = await cluster.term();
  const times: number[] = [];
  const run = ++runs;
  let failed = 0;
  const problems = new Set<string>();
  const work = clients.map(async (client, session) => {
    for (let step = 0; performance.now() < end; step++) {
      const started = performance.now();
      try {
        await client.query(statements(run, session, step));
      } catch (error) {
        failed++;
        problems.add(String(error));
        await sleep(10);
        continue;
      }
      const now = performance.now();
      if (started >= begin && now <= end) times.push(now - started);
    }
  });
  await sleep(warmUp);
  const before = cluster.nodes.map(({ pid }) => cpuSeconds(pid));
  const own = process.cpuUsage();
  await sleep(seconds * 1000);
  const used = cluster.nodes.map(({ pid }, at) => cpuSeconds(pid) - before[at]!);
  const { user, system } = process.cpuUsage(own);
  await Promise.all(work);
  for (const client of clients) await client.end();
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? 0;
  const line = {
    what,
    rate: times.length / seconds,
    p50: at(0.5),
    p99: at(0.99),
    failed,
    elections: (await cluster.term()) - term,
  };
  const share = (value: number): string => `${Math.round((value / seconds) * 100)} %`;
  progress(
    `load: ${what}: ${Math.round(line.rate)}/s, p50 ${line.p50.toFixed(1)} ms, p99 ${line.p99.toFixed(1)} ms, ${failed} failed, ` +
      `${line.elections} elections; processor: ${used.map((one, place) => `node-${place + 1} ${share(one)}`).join(", ")}, clients ${share((user + system) / 1e6)}`,
  );
  for (const problem of problems) progress(`load: ${what}: ${problem}`);
  return line;
}

/** Rows of the cross join: about ten seconds on the machine as it is now. */
async function busyQuery(client: pg.Client, seconds: number): Promise<string> {
  const query = (rows: number): string =>
    `SELECT count(*), sum(a.i * b.j % 7) FROM generate_series(1, ${rows}) AS a(i), generate_series(1, 1000) AS b(j)`;
  let rows = 200;
  for (;;) {
    const started = performance.now();
    await client.query(query(rows));
    const ms = performance.now() - started;
    if (ms > 300) return query(Math.ceil((rows * seconds * 1000) / ms));
    rows *= 4;
  }
}

const busySeconds = 10;

/** The node that holds the data, where queries run wherever they are asked, leads. */
async function leadsFrom(cluster: TestCluster, home: ClusterNode): Promise<void> {
  for (let tries = 0; tries < 10; tries++) {
    const leader = await cluster.settled();
    if (leader === home) return;
    // A leader that stops hands over to one of the others.
    await leader.stop();
    await leader.start();
  }
  throw new Error(`${home.name} was not elected in ten elections`);
}

export async function runLoad(run: LoadRun): Promise<LoadReport> {
  const { progress = () => {} } = run;
  const failures: string[] = [];
  const lines: LoadLine[] = [];
  const { parent, nodeArgs } = run;
  const cluster = await TestCluster.found({
    ...(parent === undefined ? {} : { parent }),
    ...(nodeArgs === undefined ? {} : { nodeArgs }),
  });
  try {
    const [home] = cluster.nodes as readonly [ClusterNode];
    for (const [kind, statements] of [
      ["settings", settings],
      ["schemas", schemas],
      ["tables", tables],
    ] as const)
      for (const [where, nodes] of [
        ["at the leader", [home]],
        ["at all nodes", cluster.nodes],
      ] as const) {
        const what = `${kind}, sessions ${where}`;
        if (run.only !== undefined && !what.includes(run.only)) continue;
        lines.push(await measure(cluster, nodes, what, statements, run));
      }
    for (const { what, elections } of lines)
      if (elections > 0) failures.push(`${what}: ${elections} elections`);

    await leadsFrom(cluster, home);
    const term = await cluster.term();
    const busy = await home.connect(120_000);
    const query = await busyQuery(busy, busySeconds);
    const before = cpuSeconds(home.pid);
    const started = performance.now();
    await busy.query(query);
    const seconds = (performance.now() - started) / 1000;
    const used = cpuSeconds(home.pid) - before;
    await busy.end();
    const now = await cluster.settled();
    const termNow = await cluster.term();
    progress(
      `load: a query of ${seconds.toFixed(1)} s (${used.toFixed(1)} s of processor time) on ${home.name}, the leader of term ${term}: ${now.name} leads term ${termNow}`,
    );
    if (now !== home || term !== termNow)
      failures.push(
        `a busy leader lost the lead: ${home.name} in term ${term}, ${now.name} in term ${termNow}`,
      );
    // Too short a query proves nothing.
    if (seconds < busySeconds / 2) failures.push(`the query took ${seconds.toFixed(1)} s of ${busySeconds}`);
  } catch (error) {
    failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    await cluster.stop(); // profiles are written by nodes that stop
    await cluster.remove();
  }
  return { lines, failures };
}
