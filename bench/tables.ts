/**
 * COPY of a million rows, five questions over them, index builds and an update of every row: milliseconds as one client
 * sees them over one warm connection. Answers of both sides are compared: a time counts only for the same answer.
 */
import type pg from "pg";
import type { Measured, Outcome, RunOptions } from "./context.js";
import { messageOf, Pair } from "./context.js";
import { copyIn } from "./copy-in.js";
import { dimRows, dimTable, factRows, factTable } from "./data.js";
import { memoryMiB } from "./processes.js";
import { connect, type Side } from "./sides.js";

const queries = [
  { id: "query.count", title: "count(*)", text: "SELECT count(*) FROM fact" },
  {
    id: "query.group",
    title: "GROUP BY of 100 groups, sum(numeric)",
    text: "SELECT region, sum(amount) FROM fact GROUP BY region",
  },
  {
    id: "query.filter",
    title: "filter of 6 %, count and sum",
    text: "SELECT count(*), sum(amount) FROM fact WHERE amount < 100 AND ts >= '2024-06-01 00:00:00+00'",
  },
  {
    id: "query.join",
    title: "hash join with 10 k, GROUP BY 10",
    text: "SELECT d.tier, count(*), sum(f.amount) FROM fact f JOIN dim d ON d.cust = f.cust GROUP BY d.tier",
  },
  {
    id: "query.top10",
    title: "ORDER BY amount DESC, id LIMIT 10",
    text: "SELECT * FROM fact ORDER BY amount DESC, id LIMIT 10",
    ordered: true,
  },
] as const;

const indexes = [
  { id: "index.int4", title: "CREATE INDEX on int4", column: "cust" },
  { id: "index.text", title: "CREATE INDEX on text", column: "name" },
] as const;

/** One warm connection a side, renewed after a failure. */
class Connections {
  readonly #clients = new Map<Side, pg.Client>();

  async of(side: Side): Promise<pg.Client> {
    let client = this.#clients.get(side);
    if (client === undefined) {
      client = await connect(side);
      // Columns come as the text of the wire: nothing is made of them in the client.
      await client.query("SET timezone = 'UTC'");
      this.#clients.set(side, client);
    }
    return client;
  }
  /** Milliseconds of some work on the side's connection. */
  async time(side: Side, work: (client: pg.Client) => Promise<unknown>): Promise<number> {
    const client = await this.of(side);
    const started = performance.now();
    try {
      await work(client);
    } catch (error) {
      this.#clients.delete(side);
      void client.end().catch(() => {}); // a failed connection is given up; the failure itself is thrown
      throw error;
    }
    return performance.now() - started;
  }
  async end(): Promise<void> {
    for (const client of this.#clients.values()) await client.end();
    this.#clients.clear();
  }
}

/** A sample of a query is as many executions as fit: a single one of ten milliseconds says more about the machine. */
const sampleMs = 300;

const statement = (ms: number): Measured => ({ value: ms, operations: 1 });
const textTypes = { getTypeParser: () => (text: unknown) => text };

async function rowsOf(client: pg.Client, text: string): Promise<string[][]> {
  const { rows } = await client.query<string[]>({ text, rowMode: "array", types: textTypes });
  return rows;
}

export async function runTables(options: RunOptions, outcome: Outcome): Promise<void> {
  const pair = await Pair.start(options, outcome);
  const connections = new Connections();
  try {
    await load(pair, connections);
    if (options.parts.has("queries")) await ask(pair, connections);
    if (options.parts.has("index")) await buildIndexes(pair, connections);
    if (options.parts.has("update")) await updateAll(pair, connections);
    pair.memory({
      when: `after queries over ${options.rows} rows`,
      ours: memoryMiB(pair.ours.pid),
      postgres: pair.postgres === undefined ? undefined : memoryMiB(pair.postgres.pid),
    });
  } finally {
    await connections.end();
    await pair.stop();
  }
}

async function load(pair: Pair, connections: Connections): Promise<void> {
  const { rows, parts } = pair.options;
  const chunks = factRows(rows);
  const empty = (side: Side): Promise<number> =>
    connections.time(side, async (client) => {
      await client.query("DROP TABLE IF EXISTS fact");
      await client.query(factTable);
    });
  const copy = (side: Side): Promise<number> =>
    connections.time(side, (client) => copyIn(client, "COPY fact FROM STDIN", chunks));
  const measured = parts.has("copy") && pair.wants("copy.in");
  if (measured) {
    await pair.compare(
      { id: "copy.in", title: `COPY of ${rows} rows, 6 columns`, unit: "rows/s" },
      async (side) => ({ value: rows / ((await copy(side)) / 1000), operations: rows }),
      { before: empty },
    );
  }
  for (const side of pair.sides) {
    if (!measured) {
      await empty(side);
      await copy(side);
    }
    await connections.time(side, async (client) => {
      await client.query(dimTable);
      await copyIn(client, "COPY dim FROM STDIN", dimRows());
      await client.query("VACUUM ANALYZE fact");
      await client.query("VACUUM ANALYZE dim");
    });
  }
  await sameAnswers(
    pair,
    connections,
    "the rows after COPY",
    "SELECT count(*), count(DISTINCT id), sum(amount), min(ts), max(ts), min(name), max(name), sum(cust) FROM fact",
  );
}

/** Rows as one text, in an order of its own where the question leaves the order open. */
function textOf(rows: readonly (readonly string[])[], ordered: boolean): string {
  const lines = rows.map((row) => row.join("|"));
  return (ordered ? lines : lines.sort()).join("\n");
}

/** The first line in which two answers differ. */
function difference(left: string, right: string): string {
  const others = right.split("\n");
  const at = left.split("\n").findIndex((line, n) => line !== others[n]);
  return at < 0
    ? `${others.length} rows`
    : `row ${at + 1}: ${left.split("\n")[at]!.slice(0, 150)} / ${(others[at] ?? "none").slice(0, 150)}`;
}

/** Asks both sides the same; answers what PostgreSQL said, or ours without it. */
async function sameAnswers(
  pair: Pair,
  connections: Connections,
  title: string,
  text: string,
  ordered = false,
): Promise<string | undefined> {
  const answers: string[] = [];
  for (const side of pair.sides) {
    try {
      answers.push(textOf(await rowsOf(await connections.of(side), text), ordered));
    } catch (error) {
      pair.check(`same answer: ${title}`, false, `${side.name}: ${messageOf(error)}`);
      return undefined;
    }
  }
  const [ours, theirs] = answers;
  if (theirs === undefined) return ours;
  pair.check(`same answer: ${title}`, ours === theirs, `ours, PostgreSQL: ${difference(ours!, theirs)}`);
  return theirs;
}

async function ask(pair: Pair, connections: Connections): Promise<void> {
  const reps = pair.options.profile ? 8 : pair.options.smoke ? 3 : 7;
  for (const query of queries) {
    if (!pair.wants(query.id)) continue;
    const ordered = "ordered" in query;
    const expected = await sameAnswers(pair, connections, query.title, query.text, ordered);
    for (const side of pair.sides) {
      // Twice more before measuring: caches, hint bits, and for ours the compiler.
      for (let turn = 0; turn < 2; turn++) {
        await connections.time(side, (client) => rowsOf(client, query.text)).catch(() => 0);
      }
    }
    let answer: string[][] = [];
    const wrong: string[] = [];
    await pair.compare(
      { id: query.id, title: query.title, unit: "ms" },
      async (side) => {
        let executions = 0;
        const ms = await connections.time(side, async (client) => {
          const until = performance.now() + sampleMs;
          do {
            answer = await rowsOf(client, query.text);
            executions++;
          } while (performance.now() < until);
        });
        return { value: ms / executions, operations: executions };
      },
      {
        reps,
        after: async (side) => {
          const text = textOf(answer, ordered);
          if (expected !== undefined && text !== expected) {
            wrong.push(`${side.name}, expected: ${difference(text, expected)}`);
          }
        },
      },
    );
    pair.check(`same answer each time: ${query.title}`, wrong.length === 0, wrong.slice(0, 3).join("; "));
  }
}

async function buildIndexes(pair: Pair, connections: Connections): Promise<void> {
  for (const { id, title, column } of indexes) {
    if (!pair.wants(id)) continue;
    const run = (side: Side, text: string): Promise<number> =>
      connections.time(side, (client) => client.query(text));
    await pair.compare(
      { id, title, unit: "ms" },
      async (side) => statement(await run(side, `CREATE INDEX fact_bench ON fact (${column})`)),
      { after: (side) => run(side, "DROP INDEX fact_bench") },
    );
  }
}

async function updateAll(pair: Pair, connections: Connections): Promise<void> {
  const run = (side: Side, text: string): Promise<number> =>
    connections.time(side, (client) => client.query(text));
  await pair.compare(
    { id: "update.all", title: "UPDATE of all rows, no index", unit: "ms" },
    async (side) => statement(await run(side, "UPDATE fact SET amount = amount + 1")),
    { after: (side) => run(side, "VACUUM fact") },
  );
  // A table whose every row has an old version: VACUUM removes those.
  await pair.compare(
    { id: "update.vacuum", title: "VACUUM after it", unit: "ms" },
    async (side) => statement(await run(side, "VACUUM fact")),
    { before: (side) => run(side, "UPDATE fact SET amount = amount - 1"), reps: 1 },
  );
  if (pair.wants("update.all")) {
    await sameAnswers(
      pair,
      connections,
      "the rows after UPDATE",
      "SELECT count(*), sum(amount), sum(id) FROM fact",
    );
  }
}
