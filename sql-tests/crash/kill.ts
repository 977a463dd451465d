/**
 * kill -9 over and over: clients move money and keep a ledger of what was answered; after each kill the node must come
 * back in time with every answered transfer, at most one unanswered per client, and balances that follow from the ledger.
 */
import { spawn } from "node:child_process";
import pg from "pg";
import { SimRandom } from "../../src/sim/random.js";
import { executable, startServer, type TestServer } from "../server.js";

export interface KillRun {
  readonly seed: number;
  readonly rounds: number;
  readonly clients?: number;
  readonly progress?: (line: string) => void;
}

export interface KillReport {
  readonly rounds: number;
  readonly answered: number;
  /** Transfers whose COMMIT was under way at a kill, and that were there afterwards. */
  readonly unanswered: number;
  /** Milliseconds from the command to the ready line, after each kill. */
  readonly startMs: readonly number[];
  readonly failures: readonly string[];
}

const accounts = 40;
const opening = 1000;

/** A client's own book: numbers of the transfers that were answered, and the one that may be. */
interface Book {
  answered: number;
  sent: number;
}

export async function runKills(run: KillRun): Promise<KillReport> {
  const random = new SimRandom(run.seed);
  const options = {
    args: ["--shards", "2", "--buffer-pool", "64MB", "--journal-size", "8MB", "--log-level", "error"],
  };
  const books: Book[] = Array.from({ length: run.clients ?? 8 }, () => ({ answered: 0, sent: 0 }));
  const startMs: number[] = [];
  const failures: string[] = [];
  let unanswered = 0;
  let server = await startServer(options);
  const { data } = server;
  try {
    await withClient(server, async (client) => {
      await client.query("CREATE TABLE accounts (id integer PRIMARY KEY, balance bigint NOT NULL)");
      await client.query(
        "CREATE TABLE ledger (client integer, number integer, source integer, target integer, amount integer, memo text, PRIMARY KEY (client, number))",
      );
      await client.query("CREATE INDEX ledger_source ON ledger (source)");
      await client.query(
        `INSERT INTO accounts SELECT id, ${opening} FROM generate_series(0, ${accounts - 1}) AS id`,
      );
    });
    for (let round = 0; round < run.rounds && failures.length === 0; round++) {
      const before = answeredBy(books);
      const loads = books.map((book, id) => load(server, id, book, new SimRandom(random.bits())));
      await new Promise((resolve) => setTimeout(resolve, 100 + random.below(500)));
      // A kill before anything was answered would prove little, however slow the machine is.
      for (let waited = 0; waited < patienceMs && answeredBy(books) - before < leastAnswered; waited += 20)
        await new Promise((resolve) => setTimeout(resolve, 20));
      await server.kill();
      for (const error of await Promise.all(loads))
        if (error !== undefined) failures.push(`round ${round}: ${error}`);
      server = await startServer({ ...options, data });
      startMs.push(server.startMs);
      const problems = await withClient(server, (client) => audit(client, books));
      for (const problem of problems.failures) failures.push(`seed ${run.seed} round ${round}: ${problem}`);
      unanswered += problems.unanswered;
      run.progress?.(
        `kill ${round + 1}: ready after ${Math.round(server.startMs)} ms, ${answeredBy(books)} transfers answered`,
      );
    }
    await server.stop();
    const code = await verify(data);
    if (code !== 0) failures.push(`scratchbird verify ended with ${code}`);
  } finally {
    await server.kill();
    server.remove();
  }
  return {
    rounds: startMs.length,
    answered: answeredBy(books),
    unanswered,
    startMs,
    failures,
  };
}

/** Transfers a round waits for before its kill, and how long it waits for them at most. */
const leastAnswered = 10;
const patienceMs = 10_000;

function answeredBy(books: readonly Book[]): number {
  return books.reduce((sum, { answered }) => sum + answered, 0);
}

async function withClient<T>(server: TestServer, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Transfers until the connection breaks; answers an error that a kill does not explain. */
async function load(
  server: TestServer,
  id: number,
  book: Book,
  random: SimRandom,
): Promise<string | undefined> {
  const client = new pg.Client({ connectionString: server.url });
  client.on("error", () => undefined);
  try {
    await client.connect();
    for (;;) {
      const number = book.sent + 1;
      const amount = 1 + random.below(20);
      const [low, high] = [random.below(accounts - 1), accounts - 1];
      const source = low;
      const target = source + 1 + random.below(high - source);
      const memo = "m".repeat(random.below(20) === 0 ? 3000 : random.below(60));
      // Always the lower account first: no deadlocks, only waits.
      await client.query("BEGIN");
      await client.query("UPDATE accounts SET balance = balance - $1 WHERE id = $2", [amount, source]);
      await client.query("UPDATE accounts SET balance = balance + $1 WHERE id = $2", [amount, target]);
      await client.query("INSERT INTO ledger VALUES ($1, $2, $3, $4, $5, $6)", [
        id,
        number,
        source,
        target,
        amount,
        memo,
      ]);
      if (random.below(10) === 0) {
        await client.query("ROLLBACK");
        continue;
      }
      book.sent = number;
      await client.query("COMMIT");
      book.answered = number;
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    // An SQLSTATE is an answer of the node: none is expected here.
    return /^[0-9A-Z]{5}$/.test(code) && code !== "57P01" && code !== "EPIPE"
      ? `client ${id}: ${code} ${String(error)}`
      : undefined;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function audit(
  client: pg.Client,
  books: readonly Book[],
): Promise<{ readonly failures: string[]; readonly unanswered: number }> {
  const failures: string[] = [];
  let unanswered = 0;
  const balances = new Map<number, number>();
  for (let id = 0; id < accounts; id++) balances.set(id, opening);
  const numbers = books.map(() => new Set<number>());
  const ledger = await client.query<{
    client: number;
    number: number;
    source: number;
    target: number;
    amount: number;
  }>("SELECT client, number, source, target, amount FROM ledger");
  for (const row of ledger.rows) {
    const own = numbers[row.client]!;
    if (own.has(row.number)) failures.push(`transfer ${row.number} of client ${row.client} stands twice`);
    own.add(row.number);
    balances.set(row.source, balances.get(row.source)! - row.amount);
    balances.set(row.target, balances.get(row.target)! + row.amount);
  }
  books.forEach((book, id) => {
    const own = numbers[id]!;
    for (let number = 1; number <= book.answered; number++)
      if (!own.has(number)) failures.push(`transfer ${number} of client ${id} was answered and is gone`);
    for (const number of own)
      if (number > book.sent) failures.push(`transfer ${number} of client ${id} was never sent`);
    if (own.has(book.answered + 1)) unanswered++;
    // What the kill cut off is settled now: it is there for good, or its number is used again.
    book.answered = own.has(book.sent) ? book.sent : book.answered;
    book.sent = book.answered;
  });
  const found = await client.query<{ id: number; balance: string }>("SELECT id, balance FROM accounts");
  if (found.rows.length !== accounts) failures.push(`${found.rows.length} accounts, not ${accounts}`);
  for (const { id, balance } of found.rows)
    if (Number(balance) !== balances.get(id))
      failures.push(`account ${id} has ${balance}, its ledger says ${balances.get(id)}`);
  const bySource = await client.query<{ count: string }>("SELECT count(*) FROM ledger WHERE source >= 0");
  if (Number(bySource.rows[0]!.count) !== ledger.rows.length)
    failures.push(`the index has ${bySource.rows[0]!.count} transfers, the table ${ledger.rows.length}`);
  return { failures, unanswered };
}

function verify(data: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [executable, "verify", "--data", data], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? -1));
  });
}
