/**
 * Point reads beside heavy statements: `npm run load -- [--rows N] [--seconds N] [--readers N]`.
 *
 * Starts a node, fills tables, lets readers fetch single rows by key while others scan, sort, join, build an index and
 * write, and prints the readers' latencies, the server's own event-loop delay (sys.performance) and what each heavy
 * statement got done. Ends with 1 when a point read's p99 is above 15 ms or the loop was held longer than 50 ms.
 *
 * The readers run in a process of their own, so that neither measures the other's event loop.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import pg from "pg";
import { startServer } from "./server.js";

const pointReadP99Ms = 15;
const loopDelayMs = 50;

interface ReaderReport {
  readonly reads: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}

/** Point reads of `readers` clients until the parent says so; the latencies go to the parent. */
async function read(url: string, readers: number, rows: number): Promise<void> {
  let running = true;
  process.once("message", () => {
    running = false;
  });
  const latencies: number[] = [];
  await Promise.all(
    Array.from({ length: readers }, async (_, reader) => {
      const client = await connect(url);
      let key = reader * 7919;
      while (running) {
        key = (key * 48271 + 12345) % rows;
        const started = performance.now();
        const found = await client.query({
          name: "point",
          text: "select v from load_a where id = $1",
          values: [key],
        });
        latencies.push(performance.now() - started);
        if (found.rows.length !== 1) throw new Error(`row ${key} is missing`);
      }
      await client.end();
    }),
  );
  latencies.sort((left, right) => left - right);
  const at = (share: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))]!;
  const report: ReaderReport = { reads: latencies.length, p50: at(0.5), p99: at(0.99), max: at(1) };
  process.send!(report, () => process.exit(0));
}

export interface LoadOptions {
  readonly rows: number;
  readonly seconds: number;
  readonly readers: number;
  /** Names of heavy statements to run; all when empty. */
  readonly heavy: readonly string[];
  readonly print: (line: string) => void;
  readonly nodeArgs?: readonly string[];
}

export interface LoadReport extends ReaderReport {
  readonly loopDelayP99: number;
  readonly loopDelayMax: number;
}

/** One client of each, its statement again and again. */
const heavyStatements: Readonly<Record<string, readonly string[]>> = {
  scan1: ["select count(*), sum(v) from load_a where v % 7 = 3"],
  scan2: ["select count(*) from load_b where t like '%99%'"],
  scan3: ["select max(id + v), min(t) from load_b"],
  scan4: ["select v % 100 as g, count(*) from load_a group by 1 order by 2 limit 5"],
  sort: ["set work_mem = '4MB'", "select id from load_b order by t desc, v limit 1 offset 500000"],
  join: ["select count(*) from load_a a join load_b b on a.v = b.id where b.v > 100"],
  index: ["create index load_build on load_b (v, t)", "drop index load_build"],
  write: [
    "update load_w set v = v + 1",
    "delete from load_w where id % 3 = 0",
    "insert into load_w select g, g from generate_series(1, 100000) g on conflict do nothing",
  ],
};

export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const { rows, seconds, readers, print } = options;
  const server = await startServer({
    args: ["--buffer-pool", "512MB"],
    ...(options.nodeArgs === undefined ? {} : { nodeArgs: options.nodeArgs }),
  });
  try {
    const setup = await connect(server.url);
    await setup.query("create table load_a (id int primary key, v int, t text)");
    await setup.query("create table load_b (id int primary key, v int, t text)");
    await setup.query("create table load_w (id int primary key, v int)");
    for (const table of ["load_a", "load_b"])
      await setup.query(
        `insert into ${table} select g, (g::bigint * 7919 % 1000003)::int, 'text of row ' || (g::bigint * 104729 % 1000003) from generate_series(0, ${rows - 1}) g`,
      );
    await setup.query("insert into load_w select g, g from generate_series(1, 100000) g");
    await setup.query("checkpoint");
    print(`filled: 2 tables of ${rows} rows`);

    let running = true;
    const names = Object.keys(heavyStatements).filter(
      (name) => options.heavy.length === 0 || options.heavy.includes(name),
    );
    const done = new Map<string, number>();
    const failures: string[] = [];
    const heavy = names.map(async (name) => {
      const client = await connect(server.url);
      while (running) {
        for (const statement of heavyStatements[name]!) {
          try {
            await client.query(statement);
          } catch (error) {
            if (running) failures.push(`${name}: ${(error as Error).message}`);
          }
        }
        done.set(name, (done.get(name) ?? 0) + 1);
      }
      await client.end();
    });
    const child = fork(fileURLToPath(import.meta.url), [
      "--reader",
      server.url,
      String(readers),
      String(rows),
    ]);
    const report = new Promise<ReaderReport>((resolve, reject) => {
      child.once("message", (message) => resolve(message as ReaderReport));
      child.once("exit", (code) => reject(new Error(`the readers ended with ${code}`)));
    });
    let loopDelayMax = 0;
    let loopDelayP99 = 0;
    const watch = await connect(server.url);
    for (let left = seconds; left > 0; left -= 5) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(5, left) * 1000));
      const { rows: metrics } = await watch.query<{ metric: string; value: number }>(
        "select metric, value from sys.performance where scope = 'last 5 s' and metric like 'event_loop_delay%'",
      );
      for (const { metric, value } of metrics) {
        if (metric === "event_loop_delay_max") loopDelayMax = Math.max(loopDelayMax, value);
        if (metric === "event_loop_delay_p99") loopDelayP99 = Math.max(loopDelayP99, value);
      }
    }
    await watch.end();
    child.send("stop");
    const reading = await report;
    running = false;
    await setup.query(
      "select pg_cancel_backend(pid) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()",
    );
    await Promise.all(heavy);
    await setup.end();
    for (const name of names) print(`${name.padEnd(8)} ${done.get(name) ?? 0} times`);
    for (const failure of [...new Set(failures)]) print(`failed: ${failure}`);
    return { ...reading, loopDelayMax, loopDelayP99 };
  } finally {
    await server.stop();
    server.remove();
  }
}

if (process.argv[2] === "--reader") {
  await read(process.argv[3]!, Number(process.argv[4]), Number(process.argv[5]));
} else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      rows: { type: "string", default: "1000000" },
      seconds: { type: "string", default: "60" },
      readers: { type: "string", default: "8" },
      heavy: { type: "string", default: "" },
      "node-args": { type: "string", default: "" },
    },
  });
  const report = await runLoad({
    rows: Number(values.rows),
    seconds: Number(values.seconds),
    readers: Number(values.readers),
    heavy: values.heavy === "" ? [] : values.heavy.split(","),
    ...(values["node-args"] === "" ? {} : { nodeArgs: values["node-args"].split(",") }),
    print: (line) => process.stdout.write(`${line}\n`),
  });
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  process.stdout.write(
    `point reads: ${report.reads}, p50 ${ms(report.p50)}, p99 ${ms(report.p99)}, max ${ms(report.max)}\n` +
      `event loop delay: p99 ${ms(report.loopDelayP99)}, max ${ms(report.loopDelayMax)}\n`,
  );
  if (report.p99 > pointReadP99Ms || report.loopDelayMax > loopDelayMs) process.exitCode = 1;
}
