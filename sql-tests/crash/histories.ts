/**
 * List-append histories: many connections append to and read a few hot lists; src/sim/history.ts judges what they saw.
 * In the simulator the node is crashed and opened again between lives; over sockets it is a process of its own.
 */
import pg from "pg";
import type { Isolation } from "../../src/mga/contract.js";
import type { NodeCore } from "../../src/node.js";
import { type Anomaly, HistoryCheck, type HistoryTransaction } from "../../src/sim/history.js";
import {
  openSimNode,
  platformOn,
  type QueryResult,
  type SimNode,
  type SqlClient,
} from "../../src/sim/node.js";
import { simPlatform } from "../../src/sim/platform.js";
import { SimRandom } from "../../src/sim/random.js";
import { startServer } from "../server.js";

export interface HistoryRun {
  readonly seed: number;
  readonly isolation: Isolation;
  readonly transactions: number;
  readonly connections: number;
  /** Simulator: crashes in between are one fewer. */
  readonly lives?: number;
  /** Simulator: changes the node's parts, each time it is opened. */
  readonly alter?: ((core: NodeCore) => void) | undefined;
}

export interface HistoryReport {
  readonly anomalies: readonly Anomaly[];
  readonly transactions: number;
  readonly committed: number;
  readonly aborted: number;
  readonly unknown: number;
  readonly edges: number;
  readonly ms: number;
}

const hotKeys = 8;
/** A list this long makes room for a new key: reads stay small. */
const listMax = 60;
/** What a transaction among others may be answered; it is given up then. */
const conflictStates = new Set(["40001", "40P01", "23505", "55P03"]);

const schema = `CREATE TABLE lists (k integer PRIMARY KEY, tag integer NOT NULL, changes integer NOT NULL, v text NOT NULL);
CREATE INDEX lists_tag ON lists (tag); CREATE INDEX lists_changes ON lists (changes)`;

const levels: Readonly<Record<Isolation, string>> = {
  readCommitted: "READ COMMITTED",
  repeatableRead: "REPEATABLE READ",
  serializable: "SERIALIZABLE",
};

function numbers(list: unknown): number[] {
  return String(list).split(",").filter(Boolean).map(Number);
}

function sqlstateOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("sqlstate" in error) return String(error.sqlstate);
  return "code" in error ? String(error.code) : undefined;
}

/** The keys in use and the history so far; shared by the connections of all lives. */
class Course {
  readonly history: HistoryTransaction[] = [];
  readonly anomalies: Anomaly[] = [];
  readonly #keys: number[] = [];
  readonly #appends = new Map<number, number>();
  #nextKey = 0;
  #nextValue = 1;
  #instant = 0;
  left: number;

  constructor(readonly run: HistoryRun) {
    this.left = run.transactions;
    for (let at = 0; at < hotKeys; at++) this.#keys.push(this.#nextKey++);
  }
  /** Rises with everything that happens. */
  get progress(): number {
    return this.#instant;
  }
  instant(): number {
    return ++this.#instant;
  }
  value(): number {
    return this.#nextValue++;
  }
  keyAt(place: number): number {
    const key = this.#keys[place]!;
    const appends = (this.#appends.get(key) ?? 0) + 1;
    this.#appends.set(key, appends);
    if (appends > listMax * 2) this.#keys[place] = this.#nextKey++;
    return key;
  }
  /** A crash: nobody was answered any more. */
  cutOff(): void {
    for (const one of this.history) {
      if (one.status === "committing") one.status = "unknown";
      else if (one.status === "open") one.status = "aborted";
      else continue;
      one.ended = this.instant();
    }
  }
  async finish(client: SqlClient, started: number): Promise<HistoryReport> {
    const final = new Map<number, number[]>();
    for (const [key, list] of (await client.query("SELECT k, v FROM lists")).rows) {
      if (final.has(Number(key)))
        this.anomalies.push({ name: "doubled row or value", what: `key ${String(key)} has two rows` });
      final.set(Number(key), numbers(list));
    }
    const check = new HistoryCheck(this.history, final, this.run.isolation);
    this.anomalies.push(...check.run());
    const count = (status: HistoryTransaction["status"]): number =>
      this.history.filter((one) => one.status === status).length;
    return {
      anomalies: this.anomalies,
      transactions: this.history.length,
      committed: count("committed"),
      aborted: count("aborted"),
      unknown: count("unknown"),
      edges: check.edges,
      ms: performance.now() - started,
    };
  }
}

/** One connection: transactions one after the other until the course is over or its node is dead. */
class Appender {
  dead = false;
  constructor(
    readonly course: Course,
    readonly connection: number,
    readonly client: SqlClient,
    readonly random: SimRandom,
  ) {}

  /** `lockTimeoutMs`: where time is real, deadlocks end sooner than by their own check after a second. */
  async run(lockTimeoutMs = 0): Promise<void> {
    await this.client.query(`SET lock_timeout = ${lockTimeoutMs}`);
    // Small tables are scanned whole, and a serializable scan conflicts with every write: most go by the indexes.
    if (this.connection % 4 !== 0) await this.client.query("SET enable_seqscan = off");
    while (!this.dead && this.course.left > 0) {
      this.course.left--;
      await this.#transaction();
    }
  }

  async #transaction(): Promise<void> {
    const { course, client, random } = this;
    const transaction: HistoryTransaction = {
      connection: this.connection,
      operations: [],
      began: course.instant(),
      ended: 0,
      status: "open",
    };
    course.history.push(transaction);
    const end = (status: HistoryTransaction["status"]): void => {
      if (this.dead) return;
      transaction.ended = course.instant();
      transaction.status = status;
    };
    try {
      await client.query(`BEGIN ISOLATION LEVEL ${levels[course.run.isolation]}`);
      for (let count = 1 + random.below(4); count > 0; count--) {
        if (this.dead) return;
        if (random.below(3) === 0) await this.#guarded(transaction);
        else await this.#operation(transaction);
      }
      if (this.dead) return;
      if (random.below(12) === 0) {
        await client.query("ROLLBACK");
        end("aborted");
        return;
      }
      transaction.status = "committing";
      await client.query("COMMIT");
      end("committed");
    } catch (error) {
      if (this.dead) return;
      const sqlstate = sqlstateOf(error);
      if (sqlstate === undefined || !conflictStates.has(sqlstate)) throw error;
      // A failed transaction has no effect, whatever it had sent.
      if (client.status !== "I") await client.query("ROLLBACK");
      end("aborted");
    }
  }

  /** An operation behind a savepoint: a conflict takes it back alone, and the transaction goes on without it. */
  async #guarded(transaction: HistoryTransaction): Promise<void> {
    const { operations } = transaction;
    const before = operations.length;
    await this.client.query("SAVEPOINT guard");
    try {
      await this.#operation(transaction);
    } catch (error) {
      if (this.dead) return;
      const sqlstate = sqlstateOf(error);
      if (sqlstate === undefined || !conflictStates.has(sqlstate)) throw error;
      await this.client.query("ROLLBACK TO SAVEPOINT guard");
      // What it read was seen all the same; what it wrote is gone.
      for (let at = before; at < operations.length; at++) {
        const one = operations[at]!;
        if (one.kind === "append") operations[at] = { ...one, undone: true };
      }
    }
  }

  /**
   * Under READ COMMITTED a statement that locks and finds its row deleted meanwhile has nothing to say, though a new row
   * with the key stands beside it (PostgreSQL answers the same): no read of the list, and the transaction goes on to fail
   * at its INSERT.
   */
  #lockingRead(
    transaction: HistoryTransaction,
    key: number,
    rows: QueryResult["rows"],
    at: number,
  ): number[] {
    if (rows.length === 0 && this.course.run.isolation === "readCommitted") return [];
    return this.#read(transaction, key, rows, at);
  }

  #read(transaction: HistoryTransaction, key: number, rows: QueryResult["rows"], at: number): number[] {
    if (rows.length > 1)
      this.course.anomalies.push({
        name: "doubled row or value",
        what: `a read of key ${key} gave ${rows.length} rows`,
      });
    const list = rows.length === 0 ? [] : numbers(rows[0]![1]);
    if (!this.dead) transaction.operations.push({ kind: "read", key, list, at });
    return list;
  }

  async #operation(transaction: HistoryTransaction): Promise<void> {
    const { course, client, random } = this;
    const { operations } = transaction;
    const roll = random.below(20);
    const at = course.instant();
    if (roll < 5) {
      const key = course.keyAt(random.below(hotKeys));
      const by = roll < 3 ? `k = ${key}` : roll === 3 ? `tag = ${key}` : `k + 0 = ${key}`;
      const { rows } = await client.query(`SELECT k, v FROM lists WHERE ${by}`);
      this.#read(transaction, key, rows, at);
      return;
    }
    if (roll < 8) {
      const first = course.keyAt(random.below(hotKeys));
      const second = course.keyAt(random.below(hotKeys));
      const { rows } = await client.query(`SELECT k, v FROM lists WHERE k IN (${first}, ${second})`);
      for (const key of new Set([first, second]))
        this.#read(
          transaction,
          key,
          rows.filter((row) => Number(row[0]) === key),
          at,
        );
      return;
    }
    const key = course.keyAt(random.below(hotKeys));
    const value = course.value();
    const append = { kind: "append", key, value, undone: false } as const;
    const upsert = (value: number): Promise<QueryResult> =>
      client.query(
        `INSERT INTO lists VALUES (${key}, ${key}, 0, ',${value}') ON CONFLICT (k) DO UPDATE SET v = lists.v || ',${value}', changes = lists.changes + 1`,
      );
    const done = (): void => {
      if (!this.dead) operations.push({ ...append });
    };
    if (roll < 11) {
      await upsert(value);
      done();
    } else if (roll < 14) {
      const { tag } = await client.query(
        `UPDATE lists SET v = v || ',${value}', changes = changes + 1 WHERE k = ${key}`,
      );
      if (tag === "UPDATE 0") await client.query(`INSERT INTO lists VALUES (${key}, ${key}, 0, ',${value}')`);
      done();
    } else if (roll < 16) {
      // What the client computes is right only because the row is locked meanwhile.
      const { rows } = await client.query(`SELECT k, v FROM lists WHERE k = ${key} FOR UPDATE`);
      const list = this.#lockingRead(transaction, key, rows, at);
      if (list.length === 0) await client.query(`INSERT INTO lists VALUES (${key}, ${key}, 0, ',${value}')`);
      else await client.query(`UPDATE lists SET v = ',${[...list, value].join(",")}' WHERE k = ${key}`);
      done();
    } else if (roll < 18) {
      // The row goes away and comes back as another one.
      const { rows } = await client.query(`DELETE FROM lists WHERE tag = ${key} RETURNING k, v`);
      const list = this.#lockingRead(transaction, key, rows, at);
      await client.query(`INSERT INTO lists VALUES (${key}, ${key}, 0, ',${[...list, value].join(",")}')`);
      done();
    } else {
      await client.query("SAVEPOINT back");
      await upsert(value);
      if (!this.dead) operations.push({ ...append, undone: true });
      await client.query("ROLLBACK TO SAVEPOINT back");
      if (roll === 18) {
        const kept = course.value();
        await upsert(kept);
        if (!this.dead) operations.push({ ...append, value: kept });
      }
    }
  }
}

/** A history in the simulator; `lives` - 1 crashes, each at a random instant with commits under way. */
export async function runSimHistory(run: HistoryRun): Promise<HistoryReport> {
  const started = performance.now();
  const random = new SimRandom(run.seed * 31 + 7);
  const course = new Course(run);
  const lives = run.lives ?? 3;
  const latency = { writeMs: 0.1, syncMs: 0.5 };
  // Waits that are given up take savepoints back that would otherwise be kept.
  const lockTimeoutMs = run.seed % 2 === 0 ? 30 : 0;
  let platform = simPlatform(run.seed, latency);
  let node: SimNode = await openSimNode(platform);
  const setup = node.client();
  for (const statement of schema.split(";")) await setup.query(statement);
  setup.close();
  for (let life = 0; life < lives; life++) {
    run.alter?.(node.core);
    const appenders: Appender[] = [];
    for (let at = 0; at < run.connections; at++)
      appenders.push(new Appender(course, at, node.client(), new SimRandom(random.bits())));
    const target = Math.floor((run.transactions * (lives - 1 - life)) / lives);
    const all = Promise.all(appenders.map((one) => one.run(lockTimeoutMs)));
    const { clock } = platform;
    if (life === lives - 1) {
      await Promise.race([all, standstill(course, clock)]);
      break;
    }
    const lifeOver = new Promise<void>((resolve) => {
      const look = (): void => {
        if (course.left <= target) resolve();
        else clock.after(0.3 + random.fraction(), look);
      };
      look();
    });
    await Promise.race([lifeOver, all, standstill(course, clock)]);
    for (const one of appenders) one.dead = true;
    const left = platform.disk.crash();
    course.cutOff();
    node.abandon();
    // What the dead node still says is nobody's answer.
    all.catch(() => undefined);
    Object.assign(left, latency);
    platform = platformOn(left, run.seed + life + 1);
    node = await openSimNode(platform);
  }
  if (run.alter !== undefined) {
    // What the altered node left behind is read by a sound one.
    node.abandon();
    node = await openSimNode(platformOn(platform.disk.crash(), run.seed + 1000));
  }
  const reader = node.client();
  const report = await course.finish(reader, started);
  node.abandon();
  return report;
}

/** Rejects when simulated minutes go by and nobody gets on: a deadlock that nobody noticed, a wake-up that was lost. */
function standstill(course: Course, clock: SimNode["platform"]["clock"]): Promise<never> {
  return new Promise((_, reject) => {
    let before = course.progress;
    const look = (): void => {
      if (course.progress === before) {
        reject(new Error(`nothing has moved for five minutes; ${course.left} transactions are left`));
        return;
      }
      before = course.progress;
      clock.after(300_000, look);
    };
    clock.after(300_000, look);
  });
}

/** The pg driver as a client of histories. */
export class WireClient implements SqlClient {
  status: SqlClient["status"] = "I";
  constructor(readonly client: pg.Client) {}
  async query(text: string): Promise<QueryResult> {
    try {
      const result = await this.client.query<unknown[]>({ text, rowMode: "array" });
      this.#follow(text);
      return { rows: result.rows as QueryResult["rows"], tag: `${result.command} ${result.rowCount ?? 0}` };
    } catch (error) {
      if (this.status === "T") this.status = text === "COMMIT" ? "I" : "E";
      throw error;
    }
  }
  #follow(text: string): void {
    if (text.startsWith("BEGIN")) this.status = "T";
    else if (text === "COMMIT" || text === "ROLLBACK") this.status = "I";
  }
  close(): void {
    void this.client.end();
  }
}

/** The same over sockets, to a node that is a process of its own. */
export async function runWireHistory(run: HistoryRun): Promise<HistoryReport> {
  const server = await startServer({ args: ["--shards", "2", "--buffer-pool", "64MB"] });
  const clients: pg.Client[] = [];
  try {
    const connect = async (): Promise<SqlClient> => {
      const client = new pg.Client({ connectionString: server.url });
      await client.connect();
      clients.push(client);
      return new WireClient(client);
    };
    const setup = await connect();
    for (const statement of schema.split(";")) await setup.query(statement);
    const started = performance.now();
    const random = new SimRandom(run.seed);
    const course = new Course(run);
    const appenders: Appender[] = [];
    for (let at = 0; at < run.connections; at++)
      appenders.push(new Appender(course, at, await connect(), new SimRandom(random.bits())));
    await Promise.all(appenders.map((one) => one.run(30)));
    return await course.finish(setup, started);
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
    await server.stop();
    server.remove();
  }
}
