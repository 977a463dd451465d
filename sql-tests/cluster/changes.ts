/**
 * A stream of changes that can be told apart, a book of what was answered to each, and the comparison of that book with
 * what every node says at the end.
 *
 * A setting is set to a value that is used once, so its epoch is found by its description; tables and schemas have names
 * that are used once. What was acknowledged stands exactly once on every node; what was refused nowhere; what was cut off
 * may stand, once.
 */
import type pg from "pg";
import { ask, type ClusterNode, sleep, type TestCluster, until } from "./nodes.js";

export type ChangeKind = "set" | "table" | "schema";

export interface Change {
  readonly kind: ChangeKind;
  /** The setting's value in milliseconds, or the object's name. */
  readonly name: string;
  readonly by: string;
  readonly sentAt: number;
  endedAt: number;
  outcome: "waiting" | "acknowledged" | "refused" | "unknown";
  error: string | undefined;
}

const settingKey = "degraded_mode.max_duration";

/** What says that nothing was changed: no quorum, and changes of two nodes that meet. What leaves it open. */
const refusals = new Set(["57P03", "40001"]);
const openEnds = new Set(["08007", "08006", "57P01", "57P02", "ECONNRESET", "ECONNREFUSED", "EPIPE"]);

export class Book {
  readonly changes: Change[] = [];
  readonly unexpected: string[] = [];
  #next = 0;

  /** Carries out the next change of a kind. What the client threw is in the change, and the client may be of no use. */
  async attempt(client: pg.Client, kind: ChangeKind, by: string): Promise<Change> {
    const number = ++this.#next;
    // Never whole seconds, which would be written in another unit.
    const name =
      kind === "set" ? String(1000 + number + Math.floor((number - 1) / 999)) : `${kind}_${number}`;
    const sql =
      kind === "set"
        ? `ALTER CLUSTER SET ${settingKey} = '${name}ms'`
        : kind === "table"
          ? `CREATE TABLE ${name} (id integer PRIMARY KEY, note text)`
          : `CREATE SCHEMA ${name}`;
    const change: Change = {
      kind,
      name,
      by,
      sentAt: performance.now(),
      endedAt: 0,
      outcome: "waiting",
      error: undefined,
    };
    this.changes.push(change);
    try {
      await client.query(sql);
      change.outcome = "acknowledged";
    } catch (error) {
      const { code = "", message } = error as Error & { readonly code?: string };
      change.error = `${code} ${message}`.trim();
      change.outcome = refusals.has(code) ? "refused" : "unknown";
      // Without a code it is the client's own: the connection ended, or its time is up.
      if (code !== "" && !refusals.has(code) && !openEnds.has(code))
        this.unexpected.push(`${by}: ${sql}: ${change.error}`);
    }
    change.endedAt = performance.now();
    return change;
  }

  count(outcome: Change["outcome"], kind?: ChangeKind): number {
    return this.changes.filter((one) => one.outcome === outcome && (kind === undefined || one.kind === kind))
      .length;
  }
  /** What changes that were not acknowledged were told, with how many. */
  get troubles(): string {
    const told = new Map<string, number>();
    for (const { error } of this.changes)
      if (error !== undefined) told.set(error, (told.get(error) ?? 0) + 1);
    return [...told].map(([error, count]) => `${count} x ${error}`).join("; ");
  }
  get summary(): string {
    const of = (kind: ChangeKind): string =>
      `${this.count("acknowledged", kind)} ${kind === "set" ? "settings" : `${kind}s`}`;
    return (
      `${of("set")}, ${of("table")} and ${of("schema")} acknowledged, ` +
      `${this.count("refused")} refused, ${this.count("unknown")} cut off`
    );
  }
}

export interface StreamOptions {
  readonly kinds: readonly ChangeKind[];
  /** Between an answer and the next change. */
  readonly pauseMs: number;
  /** Longest time of a statement. */
  readonly limitMs?: number;
}

/** A client of one node that makes changes one after the other, and connects anew when it must. */
export class ChangeStream {
  readonly #done: Promise<void>;
  #stopped = false;

  constructor(
    readonly node: ClusterNode,
    readonly book: Book,
    readonly options: StreamOptions,
  ) {
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    const { kinds, pauseMs, limitMs } = this.options;
    let client: pg.Client | undefined;
    for (let at = 0; !this.#stopped; at++) {
      try {
        client ??= await this.node.connect(limitMs);
      } catch {
        await sleep(50);
        continue;
      }
      const change = await this.book.attempt(client, kinds[at % kinds.length]!, this.node.name);
      if (!isUsable(change)) {
        await client.end().catch(() => undefined);
        client = undefined;
      }
      await sleep(pauseMs);
    }
    await client?.end().catch(() => undefined);
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return this.#done;
  }
}

/** Streams of settings and of DDL at every node. */
export function startStreams(cluster: TestCluster, book: Book, pauseMs = 40): ChangeStream[] {
  return cluster.nodes.flatMap((node) => [
    new ChangeStream(node, book, { kinds: ["set"], pauseMs }),
    new ChangeStream(node, book, { kinds: ["table", "schema"], pauseMs: pauseMs * 4 }),
  ]);
}

export const stopStreams = (streams: readonly ChangeStream[]): Promise<unknown> =>
  Promise.all(streams.map((one) => one.stop()));

/** Whether the client can be used again behind a change. */
function isUsable({ outcome, error }: Change): boolean {
  return outcome !== "unknown" || error?.startsWith("08007") === true;
}

/** The first acknowledgement of a change sent from now on, at any of the nodes: milliseconds, and where. */
export async function nextCommit(
  nodes: readonly { readonly node: ClusterNode; readonly client: pg.Client }[],
  book: Book,
  limitMs: number,
  kind: ChangeKind = "set",
): Promise<{ readonly ms: number; readonly by: string } | undefined> {
  const since = performance.now();
  const state = { over: false };
  const tries = nodes.map(async ({ node, client }) => {
    let usable = true;
    while (!state.over && performance.now() - since < limitMs) {
      if (!usable) {
        await client.end().catch(() => undefined);
        client = await node.connect(limitMs);
      }
      const change = await book.attempt(client, kind, node.name);
      if (change.outcome === "acknowledged") return { ms: change.endedAt - since, by: node.name };
      usable = isUsable(change);
      await sleep(5);
    }
    throw new Error("no commit");
  });
  try {
    return await Promise.any(tries);
  } catch {
    return undefined;
  } finally {
    state.over = true;
    await Promise.allSettled(tries);
  }
}

interface EpochRow {
  readonly epoch_number: string;
  readonly state: string;
  readonly hash: string;
  readonly previous_hash: string;
  readonly description: string;
}

/** What one node says, by itself: the chain of hashes, for comparison with the others. */
async function auditNode(
  node: ClusterNode,
  book: Book,
): Promise<{ readonly problems: string[]; readonly chain: string }> {
  const problems: string[] = [];
  const say = (problem: string): number => problems.push(`${node.name}: ${problem}`);
  const epochs = await ask<EpochRow>(
    node,
    "SELECT epoch_number, state, hash, previous_hash, description FROM sys.epochs ORDER BY epoch_number",
    60_000,
  );
  const seen = new Map<string, number>();
  epochs.forEach(({ epoch_number, hash, previous_hash, description }, at) => {
    if (Number(epoch_number) !== at + 1) say(`epoch ${epoch_number} stands in place ${at + 1}`);
    const before = epochs[at - 1];
    if (before !== undefined && previous_hash !== before.hash) say(`epoch ${epoch_number} breaks the chain`);
    if (at === epochs.length - 1 && hash.length !== 64) say(`a hash of ${hash.length} characters`);
    const match = /^set (\S+) = (\d+)ms$/.exec(description);
    if (match?.[1] === settingKey) seen.set(match[2]!, (seen.get(match[2]!) ?? 0) + 1);
  });
  const relations = await ask<{ name: string }>(
    node,
    "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relname ~ '^table_[0-9]+$'",
    60_000,
  );
  const schemas = await ask<{ name: string }>(
    node,
    "SELECT nspname AS name FROM pg_namespace WHERE nspname ~ '^schema_[0-9]+$'",
    60_000,
  );
  for (const { name } of [...relations, ...schemas]) seen.set(name, (seen.get(name) ?? 0) + 1);
  for (const { name, outcome, kind, error } of book.changes) {
    const times = seen.get(name) ?? 0;
    seen.delete(name);
    if (times > 1) say(`${kind} ${name} stands ${times} times`);
    if (outcome === "acknowledged" && times === 0) say(`${kind} ${name} was acknowledged and is gone`);
    if (outcome === "refused" && times > 0) say(`${kind} ${name} was refused (${error}) and is there`);
  }
  for (const name of seen.keys()) say(`${name} was never asked for`);
  const last = epochs.at(-1);
  return { problems, chain: `${last?.epoch_number} ${last?.hash}` };
}

/**
 * Compares the book with every node. Clients of a node that holds no data are answered by the one that does, so that
 * one is stopped for a while; all are running afterwards.
 */
export async function audit(cluster: TestCluster, book: Book): Promise<string[]> {
  const problems = [...book.unexpected.slice(0, 20)];
  if (book.count("waiting") > 0) problems.push(`${book.count("waiting")} changes still wait for an answer`);
  await sameIndex(cluster);
  const home = cluster.node(1);
  const chains = new Map<string, string>();
  const take = async (node: ClusterNode): Promise<void> => {
    const found = await auditNode(node, book);
    problems.push(...found.problems.slice(0, 20));
    chains.set(node.name, found.chain);
  };
  await take(home);
  await home.stop();
  for (const node of cluster.others(home)) await take(node);
  if (new Set(chains.values()).size !== 1)
    problems.push(`the nodes end at different epochs: ${JSON.stringify([...chains])}`);
  await home.start();
  await cluster.settled();
  problems.push(...(await tryTables(cluster.node(2), book)), ...cluster.doubleLeaders());
  return problems;
}

/** A table is more than its name: each takes a row and gives it back, wherever it was made, also while the data was away. */
async function tryTables(node: ClusterNode, book: Book): Promise<string[]> {
  const problems: string[] = [];
  const client = await node.connect(60_000);
  for (const { kind, name, outcome } of book.changes) {
    if (kind !== "table" || outcome !== "acknowledged") continue;
    try {
      await client.query(`INSERT INTO ${name} VALUES (1, 'here')`);
      const { rows } = await client.query(`SELECT note FROM ${name}`);
      if (rows.length !== 1 || rows[0]?.note !== "here")
        problems.push(`table ${name} holds ${rows.length} rows`);
    } catch (error) {
      problems.push(`table ${name} cannot be used: ${String(error)}`);
    }
  }
  await client.end();
  return problems.slice(0, 20);
}

/** Everybody has applied everything. */
async function sameIndex(cluster: TestCluster): Promise<void> {
  await until(
    async () => {
      const numbers = await Promise.all(cluster.nodes.map((one) => one.metrics()));
      const at = numbers.map((one) => one.get("raft_applied_index"));
      return new Set(at).size === 1 ? true : undefined;
    },
    15_000,
    "all nodes have applied the same entries",
  );
}
