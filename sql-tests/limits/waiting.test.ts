/** Time-outs and cancels, wherever a statement may be waiting or working; admission of heavy statements. */
import type { Socket } from "node:net";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LimitsNode, openLimitsNode, pause, stateOf } from "./node.js";

let node: LimitsNode;
let client: pg.Client;
/** Holds locks that `client` waits for. */
let holder: pg.Client;
beforeAll(async () => {
  node = await openLimitsNode(["--heavy-statements", "1", "--work-memory", "48MB"]);
  client = await node.client();
  holder = await node.client();
  await client.query("create table waiting (a int primary key, b text)");
  await client.query("insert into waiting select g, 'row ' || g from generate_series(1, 50000) g");
});
afterAll(() => node.close());

const big = "generate_series(1, 3000000)";
/** What may last long, and what the holder does to make it wait. */
const long: readonly (readonly [name: string, text: string, held: string | undefined])[] = [
  ["a row", "update waiting set b = 'y' where a = 5", "update waiting set b = 'x' where a = 5"],
  ["a table", "alter table waiting add column z int", "select 1 from waiting limit 1"],
  [
    "an index build behind a writer",
    "create index waiting_b on waiting (b)",
    "update waiting set b = 'x' where a = 5",
  ],
  ["an advisory lock", "select pg_advisory_lock(1)", "select pg_advisory_xact_lock(1)"],
  ["a sleep", "select pg_sleep(30)", undefined],
  ["a sort", `select g from ${big} g order by md5(g::text)`, undefined],
  ["a hash join", `select count(*) from ${big} a join ${big} b on a::text = b::text`, undefined],
  ["an aggregate", `select count(*) from ${big} g, ${big} h`, undefined],
  [
    "a recursion",
    "with recursive r(n) as (select 1 union all select n + 1 from r) select count(*) from r",
    undefined,
  ],
  ["an insert", `insert into waiting select g + 100000 from ${big} g`, undefined],
];

describe("a statement that lasts", () => {
  test.each(long)("%s: is cancelled, and times out", async (_name, text, held) => {
    if (held !== undefined) {
      await holder.query("begin");
      await holder.query(held);
    }
    setTimeout(() => node.cancel(client), 60);
    let started = performance.now();
    expect(await stateOf(client.query(text))).toBe("57014");
    await client.query("set statement_timeout = '60ms'");
    expect(await stateOf(client.query(text))).toBe("57014");
    expect(performance.now() - started).toBeLessThan(3000);
    await client.query("reset statement_timeout");
    if (held !== undefined) {
      if (!/index|advisory/.test(text)) {
        await client.query("set lock_timeout = '60ms'");
        started = performance.now();
        expect(await stateOf(client.query(text))).toBe("55P03");
        expect(performance.now() - started).toBeLessThan(1500);
        await client.query("reset lock_timeout");
      }
      await holder.query("rollback");
    }
    expect((await client.query("select count(*)::int as n from waiting")).rows).toEqual([{ n: 50_000 }]);
    expect(node.temporaryFiles()).toEqual([]);
  });

  test("COPY that waits for its client", async () => {
    const copying = await node.client();
    const { connection } = copying as unknown as {
      connection: {
        stream: Socket;
        once(event: string, listener: (message: { code: string }) => void): void;
      };
    };
    const failed = new Promise<string>((resolve) =>
      connection.once("errorMessage", ({ code }) => resolve(code)),
    );
    copying.query("copy waiting (a) from stdin").catch(() => {});
    await pause(100);
    node.cancel(copying);
    expect(await Promise.race([failed, pause(3000)])).toBe("57014");
    connection.stream.destroy();
  });

  test("an idle transaction is ended", async () => {
    const idle = await node.client();
    const ended = new Promise<void>((resolve) => idle.once("end", () => resolve()));
    await idle.query("set idle_in_transaction_session_timeout = '60ms'");
    await idle.query("begin");
    await idle.query("lock table waiting");
    await ended;
    await client.query("set lock_timeout = '1s'");
    expect(await stateOf(client.query("select 1 from waiting limit 1"))).toBe("00000");
    await client.query("reset lock_timeout");
  });

  test("is logged with its duration when that is asked for", async () => {
    await client.query("set log_min_duration_statement = 20");
    await client.query("select 'short'");
    await client.query("select pg_sleep(0.03)");
    await client.query("reset log_min_duration_statement");
    const lines = node.logged.filter(({ message }) => message.startsWith("duration: "));
    expect(lines.map(({ message }) => message.replace(/[0-9.]+ ms/, "N ms"))).toEqual([
      "duration: N ms  statement: select pg_sleep(0.03)",
    ]);
  });
});

describe("admission", () => {
  const heavy = "select count(*) from generate_series(1, 100000) a, generate_series(1, 1000000) b";
  const state = async (): Promise<Record<string, number>> => {
    const { rows } = await client.query<{ metric: string; value: number }>(
      "select metric, value from sys.performance where metric like 'heavy%' or metric like 'work_memory%'",
    );
    return Object.fromEntries(rows.map(({ metric, value }) => [metric, value]));
  };

  test("one heavy statement runs, others queue and can be cancelled there; light ones pass", async () => {
    const first = await node.client();
    const second = await node.client();
    const third = await node.client();
    const order: string[] = [];
    const run = (name: string, one: pg.Client, text: string): Promise<string> =>
      stateOf(one.query(text)).finally(() => order.push(name));
    const running = run("first", first, heavy);
    await pause(50);
    const cancelled = run("cancelled", second, heavy);
    await pause(20);
    const queued = run("queued", third, heavy.replace("100000)", "2)"));
    await pause(50);
    expect(await state()).toMatchObject({ heavy_statements_running: 1, heavy_statements_queued: 2 });
    node.cancel(second);
    expect(await cancelled).toBe("57014");
    expect((await client.query("select count(*)::int as n from waiting where a = 7")).rows).toEqual([
      { n: 1 },
    ]);
    node.cancel(first);
    expect(await running).toBe("57014");
    expect(await queued).toBe("00000");
    expect(order).toEqual(["cancelled", "first", "queued"]);
    expect(await state()).toMatchObject({ heavy_statements_running: 0, heavy_statements_queued: 0 });
  });

  test("a heavy statement that waits for a lock leaves its place", async () => {
    await holder.query("begin");
    await holder.query("update waiting set b = 'held' where a = 5");
    const writer = await node.client();
    const updating = stateOf(
      writer.query(`update waiting set b = 'w' where a = 5 and a < (${heavy.replace("100000)", "2)")})`),
    );
    for (let at = 0; at < 200; at++) {
      const { rows } = await client.query("select 1 from pg_stat_activity where wait_event_type = 'Lock'");
      if (rows.length > 0) break;
      await pause(20);
    }
    // The holder's own heavy statement gets the place, or both would wait for ever.
    expect(await stateOf(holder.query(heavy.replace("100000)", "2)")))).toBe("00000");
    await holder.query("rollback");
    expect(await updating).toBe("00000");
    expect(await state()).toMatchObject({ heavy_statements_running: 0, heavy_statements_queued: 0 });
  });

  test("all statements together are bounded in memory", async () => {
    // Open cursors keep what they have aggregated.
    const holding: pg.Client[] = [];
    const states: string[] = [];
    for (let at = 0; at < 12 && !states.includes("53200"); at++) {
      const one = await node.client();
      holding.push(one);
      await one.query("begin");
      await one.query(
        "declare held cursor for select g % 2, array_agg(g) from generate_series(1, 400000) g group by 1",
      );
      states.push(await stateOf(one.query("fetch 1 from held")));
    }
    expect(states.length).toBeGreaterThan(1);
    expect(states[0]).toBe("00000");
    expect(states.at(-1)).toBe("53200");
    expect((await state()).work_memory_used).toBeGreaterThan(16 << 20);
    for (const one of holding) await one.query("rollback");
    expect(
      await stateOf(holder.query("select length(string_agg('x', '')) from generate_series(1, 1000)")),
    ).toBe("00000");
    expect(await state()).toMatchObject({ work_memory_used: 0 });
  });
});

describe("temporary files", () => {
  test("are bounded by temp_file_limit", async () => {
    await client.query("set work_mem = '1MB'; set temp_file_limit = '1MB'");
    const sort =
      "select count(*) from (select g from generate_series(1, 400000) g order by md5(g::text) offset 0) x";
    const join =
      "select count(*) from generate_series(1, 300000) a join generate_series(1, 300000) b on a::text = b::text";
    expect(await stateOf(client.query(sort))).toBe("53400");
    expect(await stateOf(client.query(join))).toBe("53400");
    expect(node.temporaryFiles()).toEqual([]);
    await client.query("reset temp_file_limit");
    expect((await client.query(sort)).rows).toEqual([{ count: "400000" }]);
    expect((await client.query(join)).rows).toEqual([{ count: "300000" }]);
    await client.query("reset work_mem");
    expect(node.temporaryFiles()).toEqual([]);
  });
});
