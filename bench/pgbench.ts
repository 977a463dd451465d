/**
 * pgbench against both sides, the same binary over TCP: select-only and TPC-B at scale 10, single-row INSERT + COMMIT, and
 * point reads of a table ten times the memory for pages.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Outcome, RunOptions } from "./context.js";
import { messageOf, Pair } from "./context.js";
import { command, memoryMiB } from "./processes.js";
import { connect, libpqEnvironment, type Side } from "./sides.js";

type Mode = "simple" | "extended" | "prepared";

interface Load {
  readonly mode: Mode;
  readonly clients: number;
  /** Arguments that choose the script. */
  readonly script: readonly string[];
}

interface PgbenchResult {
  readonly tps: number;
  readonly transactions: number;
}

/** The figures of pgbench's summary. @throws Error when clients were aborted or there is no figure */
export function parsePgbench(code: number, stdout: string, stderr: string): PgbenchResult {
  const tps = /^tps = ([\d.]+)/m.exec(stdout);
  const transactions = /^number of transactions actually processed: (\d+)/m.exec(stdout);
  if (code !== 0 || tps === null || transactions === null) {
    const said = stderr
      .split("\n")
      .filter((line) => /error|fatal|killed|ERROR/.test(line))
      .slice(0, 3);
    throw new Error(
      `pgbench exit ${code}: ${(said.length > 0 ? said : [stderr.trim().slice(0, 300)]).join(" | ")}`,
    );
  }
  return { tps: Number(tps[1]), transactions: Number(transactions[1]) };
}

export async function pgbench(side: Side, load: Load, seconds: number): Promise<PgbenchResult> {
  const args = [
    ...["-n", "-M", load.mode, "-c", String(load.clients), "-j", String(Math.min(2, load.clients))],
    ...["-T", String(seconds), ...load.script],
  ];
  const { code, stdout, stderr } = await command("pgbench", args, {
    timeoutMs: seconds * 1000 + 60_000,
    env: libpqEnvironment(side),
  });
  return parsePgbench(code, stdout, stderr);
}

/** pgbench -i: milliseconds. @throws Error with what pgbench said */
export async function initialize(side: Side, scale: number): Promise<number> {
  const started = performance.now();
  const { code, stderr } = await command("pgbench", ["-i", "-q", "-s", String(scale)], {
    timeoutMs: 300_000,
    env: libpqEnvironment(side),
  });
  if (code !== 0) throw new Error(`pgbench -i exit ${code}: ${stderr.trim().split("\n").at(-1)}`);
  return performance.now() - started;
}

/** Transactions that pgbench counted, by side: what the tables must agree with. */
export type Counted = Map<Side, number>;

async function measureLoad(
  pair: Pair,
  id: string,
  title: string,
  load: Load,
  counted?: Counted,
): Promise<void> {
  await pair.compare(
    { id, title, unit: "tps" },
    async (side) => {
      const { tps, transactions } = await pgbench(side, load, pair.options.seconds);
      counted?.set(side, (counted.get(side) ?? 0) + transactions);
      return { value: tps, operations: transactions };
    },
    { awake: load.clients === 1 },
  );
}

/** A short run first: the server's caches, and for ours the compiler. */
export async function warmUp(pair: Pair, script: readonly string[], counted?: Counted): Promise<void> {
  for (const side of pair.sides) {
    for (const mode of ["simple", "prepared"] as const) {
      try {
        const { transactions } = await pgbench(side, { mode, clients: 8, script }, 1);
        counted?.set(side, (counted.get(side) ?? 0) + transactions);
      } catch (error) {
        console.log(`  warm-up of ${side.name}: ${messageOf(error)}`); // the measured runs report it again
      }
    }
  }
}

const clientCounts = [1, 8, 32] as const;
const plural = (clients: number): string => (clients === 1 ? "1 client" : `${clients} clients`);

/** Memory of both sides with 32 clients connected and busy. */
async function busyMemory(pair: Pair, when: string, load: Load): Promise<void> {
  const figures = new Map<Side, number | undefined>();
  for (const side of pair.sides) {
    const seconds = Math.max(2, pair.options.seconds);
    const run = pgbench(side, load, seconds).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, (seconds * 1000) / 2));
    figures.set(side, memoryMiB(side.pid));
    await run;
  }
  const postgres = pair.postgres === undefined ? undefined : figures.get(pair.postgres);
  pair.memory({ when, ours: figures.get(pair.ours), postgres });
}

async function selects(pair: Pair): Promise<void> {
  const script = ["-S"];
  await warmUp(pair, script);
  for (const mode of ["simple", "prepared"] as const) {
    for (const clients of clientCounts) {
      await measureLoad(pair, `select.${mode}.c${clients}`, `select-only, ${mode}, ${plural(clients)}`, {
        mode,
        clients,
        script,
      });
    }
  }
  await measureLoad(pair, "select.extended.c8", "select-only, extended, 8 clients", {
    mode: "extended",
    clients: 8,
    script,
  });
  if (pair.options.only === undefined && !pair.options.profile) {
    await busyMemory(pair, "select-only, 32 clients", { mode: "prepared", clients: 32, script });
  }
}

async function tpcb(pair: Pair): Promise<void> {
  const counted: Counted = new Map();
  await warmUp(pair, [], counted);
  for (const mode of ["simple", "prepared"] as const) {
    for (const clients of clientCounts) {
      await measureLoad(
        pair,
        `tpcb.${mode}.c${clients}`,
        `TPC-B, ${mode}, ${plural(clients)}`,
        { mode, clients, script: [] },
        counted,
      );
    }
  }
  for (const side of pair.sides) await checkBalances(pair, side, counted.get(side) ?? 0);
}

/** Every TPC-B transaction adds its delta to one account, one teller, one branch and one history row. */
export async function checkBalances(pair: Pair, side: Side, transactions: number): Promise<void> {
  const title = `TPC-B on ${side.name}: balances and history agree`;
  try {
    const client = await connect(side);
    const ask = async (text: string): Promise<string> =>
      String((await client.query<string[]>({ text, rowMode: "array" })).rows[0]![0] ?? 0);
    const accounts = await ask("SELECT sum(abalance) FROM pgbench_accounts");
    const tellers = await ask("SELECT sum(tbalance) FROM pgbench_tellers");
    const branches = await ask("SELECT sum(bbalance) FROM pgbench_branches");
    const deltas = await ask("SELECT sum(delta) FROM pgbench_history");
    const rows = await ask("SELECT count(*) FROM pgbench_history");
    await client.end();
    const holds = accounts === tellers && tellers === branches && branches === deltas;
    pair.check(
      title,
      holds && Number(rows) >= transactions,
      `accounts ${accounts}, tellers ${tellers}, branches ${branches}, history ${deltas}; ` +
        `${rows} history rows for ${transactions} transactions counted by pgbench`,
    );
  } catch (error) {
    pair.check(title, false, messageOf(error));
  }
}

const insertTable =
  "CREATE TABLE bench_insert (id bigserial PRIMARY KEY, who int4 NOT NULL, note text NOT NULL, at timestamptz DEFAULT now())";
const insertScript = `\\set who random(1, 100000)
INSERT INTO bench_insert (who, note) VALUES (:who, 'a note of some forty characters, as is usual');
`;

async function inserts(pair: Pair, scriptFile: string): Promise<void> {
  writeFileSync(scriptFile, insertScript);
  for (const side of pair.sides) {
    const client = await connect(side);
    await client.query(insertTable);
    await client.end();
  }
  const script = ["-f", scriptFile];
  const counted: Counted = new Map();
  await warmUp(pair, script, counted);
  for (const clients of clientCounts) {
    await measureLoad(
      pair,
      `insert.prepared.c${clients}`,
      `INSERT + COMMIT, prepared, ${plural(clients)}`,
      { mode: "prepared", clients, script },
      counted,
    );
  }
  for (const side of pair.sides) {
    const title = `INSERT on ${side.name}: every acknowledged row is there`;
    try {
      const client = await connect(side);
      const { rows } = await client.query<string[]>({
        text: "SELECT count(*), count(DISTINCT id) FROM bench_insert",
        rowMode: "array",
      });
      await client.end();
      const [all, distinct] = rows[0]!.map(Number);
      const expected = counted.get(side) ?? 0;
      pair.check(
        title,
        all! >= expected && all === distinct,
        `${all} rows, ${distinct} keys, ${expected} transactions counted by pgbench`,
      );
    } catch (error) {
      pair.check(title, false, messageOf(error));
    }
  }
}

export async function runPgbench(options: RunOptions, outcome: Outcome): Promise<void> {
  const pair = await Pair.start(options, outcome);
  const scriptFile = join(options.folder, `bench-insert-${process.pid}.sql`);
  const removeScript = (): void => rmSync(scriptFile, { force: true });
  process.once("exit", removeScript);
  try {
    pair.memory({
      when: "just started",
      ours: memoryMiB(pair.ours.pid),
      postgres: pair.postgres === undefined ? undefined : memoryMiB(pair.postgres.pid),
    });
    if (options.parts.has("select") || options.parts.has("tpcb")) {
      const init = { id: "pgbench.init", title: `pgbench -i, scale ${options.scale}`, unit: "ms" } as const;
      if (pair.wants(init.id))
        await pair.compare(
          init,
          async (side) => ({ value: await initialize(side, options.scale), operations: 1 }),
          { reps: 1 },
        );
      else for (const side of pair.sides) await initialize(side, options.scale);
    }
    if (options.parts.has("select")) await selects(pair);
    if (options.parts.has("tpcb")) await tpcb(pair);
    if (options.parts.has("insert")) await inserts(pair, scriptFile);
  } finally {
    removeScript();
    await pair.stop();
  }
}

/** Megabytes of memory for pages, and the pgbench scale whose accounts and key are about ten times that. */
const poolMiB = 16;
const poolScale = 11;

export async function runPool(options: RunOptions, outcome: Outcome): Promise<void> {
  const pair = await Pair.start(options, outcome, poolMiB);
  try {
    for (const side of pair.sides) await initialize(side, poolScale);
    for (const side of pair.sides) {
      const client = await connect(side);
      try {
        const { rows } = await client.query<string[]>({
          text: "SELECT pg_total_relation_size('pgbench_accounts')",
          rowMode: "array",
        });
        console.log(
          `  ${side.name}: ${(Number(rows[0]![0]) / 2 ** 20).toFixed(0)} MiB of accounts, ${poolMiB} MiB of memory for pages`,
        );
      } catch (error) {
        console.log(`  ${side.name}: size of the accounts unknown: ${messageOf(error)}`);
      } finally {
        await client.end();
      }
    }
    await warmUp(pair, ["-S"]);
    for (const clients of [1, 8] as const) {
      await measureLoad(pair, `pool.select.c${clients}`, `point reads at 10x the pool, ${plural(clients)}`, {
        mode: "prepared",
        clients,
        script: ["-S"],
      });
    }
    pair.memory({
      when: `${poolMiB} MiB for pages`,
      ours: memoryMiB(pair.ours.pid),
      postgres: pair.postgres === undefined ? undefined : memoryMiB(pair.postgres.pid),
    });
  } finally {
    await pair.stop();
  }
}
