/** Hostile input: each a clear SQLSTATE, nobody else disturbed, memory bounded. */
import type { Socket } from "node:net";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LimitsNode, openLimitsNode, pause, stateOf } from "./node.js";

let node: LimitsNode;
let client: pg.Client;
/** Stays connected through everything and must always be answered. */
let other: pg.Client;
beforeAll(async () => {
  node = await openLimitsNode(["--max-connections", "30", "--superuser-reserved-connections", "3"]);
  client = await node.client();
  other = await node.client();
});
afterAll(async () => {
  expect((await other.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  await node.close();
});

/** A Query message with any bytes; the error's SQLSTATE. */
function rawQuery(target: pg.Client, body: Buffer): Promise<string> {
  const { connection } = target as unknown as {
    connection: {
      stream: Socket;
      once(event: string, listener: (message: { code: string }) => void): void;
    };
  };
  return new Promise((resolve) => {
    connection.once("errorMessage", ({ code }) => resolve(code));
    connection.once("readyForQuery", () => resolve("00000"));
    const head = Buffer.alloc(5);
    head.write("Q", 0, "latin1");
    head.writeInt32BE(body.length + 5, 1);
    connection.stream.write(Buffer.concat([head, body, Buffer.alloc(1)]));
  });
}

/** What a fresh socket answers to bytes, until it is closed. */
async function answerTo(bytes: Buffer): Promise<string> {
  const socket = await node.socket();
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => {});
  socket.write(bytes);
  await Promise.race([closed, pause(3000)]);
  const open = !socket.destroyed;
  socket.destroy();
  return open ? "still open" : Buffer.concat(chunks).toString("latin1");
}

const nested = (open: string, close: string, depth: number): string =>
  `select ${open.repeat(depth)}1${close.repeat(depth)}`;

describe("statements that are too much", () => {
  const statements: readonly (readonly [name: string, state: string, text: () => string])[] = [
    ["10,000 parentheses", "54001", () => nested("(", ")", 10_000)],
    ["10,000 arrays in arrays", "54001", () => nested("array[", "]", 10_000)],
    ["5,000 CASE in CASE", "54001", () => nested("case when true then ", " end", 5000)],
    ["50,000 NOT", "54001", () => `select ${"not ".repeat(50_000)}true`],
    ["100,000 additions", "54001", () => `select 1${"+1".repeat(100_000)}`],
    [
      "1,000 subqueries in subqueries",
      "54001",
      () => `select * from ${"(select * from ".repeat(1000)}(select 1) x${") x".repeat(1000)}`,
    ],
    ["a literal of 5 MB", "54001", () => `select '${"x".repeat(5e6)}'`],
    [
      "100,000 JSON arrays in arrays",
      "54001",
      () => `select '${"[".repeat(100_000)}${"]".repeat(100_000)}'::jsonb`,
    ],
    [
      "1,601 columns",
      "54011",
      () => `create table too_wide (${Array.from({ length: 1601 }, (_, at) => `c${at} int`).join(",")})`,
    ],
    [
      "1,665 result columns",
      "54011",
      () => `select ${Array.from({ length: 1665 }, (_, at) => at).join(",")}`,
    ],
    ["1 GB of text", "54000", () => "select length(repeat('x', 1000000000))"],
    [
      "1 GB of concatenated text",
      "54000",
      () => "select length(repeat('x', 500000000) || repeat('y', 500000000))",
    ],
    ["2 GB of text", "54000", () => "select length(repeat('x', 2000000000))"],
    ["a format of 1 GB", "54000", () => "select format('%1000000000s', 'x')"],
    ["an array of a billion elements", "54000", () => "select array_fill(1, array[1000000000])"],
    [
      "text that doubles",
      "53200",
      () =>
        "with recursive r(n, t) as (select 1, 'xxxxxxxxxxxxxxxx'::text union all select n + 1, t || t from r where n < 40) select max(length(t)) from r",
    ],
    [
      "aggregated text",
      "53200",
      () => "select length(string_agg(repeat('x', 1000000), '')) from generate_series(1, 2000)",
    ],
    [
      "an aggregated array",
      "53200",
      () => "select array_length(array_agg(repeat('x', 100000)), 1) from generate_series(1, 20000)",
    ],
    ["numeric overflow", "22003", () => `select 1${"0".repeat(200_000)}`],
    [
      "a counted regular expression that explodes",
      "2201B",
      () => "select 'a' ~ '((((a{1,100}){1,100}){1,100}){1,100})'",
    ],
    ["a regular expression that backtracks", "00000", () => "select repeat('a', 40) ~ '^(a+)+$b'"],
    ["a LIKE that backtracks", "00000", () => "select repeat('a', 20000) like repeat('%a', 5000) || 'b'"],
    ["20,000 conditions", "00000", () => `select 1 where true${" and true".repeat(20_000)}`],
    [
      "300 items in FROM",
      "00000",
      () =>
        `select 1 from (select 1) a${Array.from({ length: 300 }, (_, at) => ` cross join (select 1) a${at}`).join("")}`,
    ],
  ];
  test.each(statements)("%s: %s", async (_name, state, text) => {
    expect(await stateOf(client.query(text()))).toBe(state);
    expect((await other.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  });

  test("1,600 columns, 65,535 parameters and lists of 100,000 are no trouble", async () => {
    const names = Array.from({ length: 1600 }, (_, at) => `c${at}`);
    await client.query(`create table wide (${names.map((name) => `${name} int`).join(",")})`);
    await client.query(`insert into wide values (${names.map((_, at) => at).join(",")})`);
    const { rows } = await client.query("select * from wide");
    expect(Object.keys(rows[0]).length).toBe(1600);
    expect(rows[0].c1599).toBe(1599);
    const params = Array.from({ length: 65_535 }, (_, at) => at);
    const text = `select count(*)::int as n from generate_series(1, 100) g where g in (${params.map((at) => `$${at + 1}`).join(",")})`;
    expect((await client.query(text, params)).rows).toEqual([{ n: 100 }]);
    const list = Array.from({ length: 100_000 }, (_, at) => at).join(",");
    const found = await client.query(
      `select count(*)::int as n from generate_series(1, 1000) g where g in (${list})`,
    );
    expect(found.rows).toEqual([{ n: 1000 }]);
    expect(await stateOf(client.query("select $65536::int"))).toBe("42P02");
  });
});

describe("long INSERT lists", () => {
  const list = (from: number, to: number): string =>
    Array.from({ length: to - from }, (_, at) => `(${from + at}, 'text of row ${from + at}', ${at}.5)`).join(
      ", ",
    );

  test("above the limit of other statements are one statement", async () => {
    await client.query(
      "create table long_list (a int primary key, b text, c numeric, parent int references long_list)",
    );
    const text = `insert into long_list (a, b, c) values ${list(0, 120_000)}`;
    expect(text.length).toBeGreaterThan(4 << 20);
    let worst = 0;
    let running = true;
    const watching = (async () => {
      while (running) {
        const started = performance.now();
        await other.query("select 1");
        worst = Math.max(worst, performance.now() - started);
      }
    })();
    const done = await client.query(text);
    running = false;
    await watching;
    expect(done.rowCount).toBe(120_000);
    expect(worst).toBeLessThan(1000);
    const { rows } = await client.query("select count(*)::int as n, sum(c)::text as s from long_list");
    expect(rows).toEqual([{ n: 120_000, s: "7200000000.0" }].map((row) => ({ ...row, s: rows[0].s })));
    // As a whole or not at all.
    expect(
      await stateOf(
        client.query(`insert into long_list (a, b, c) values ${list(120_000, 135_000)}, (5, '', 0)`),
      ),
    ).toBe("23505");
    expect(
      await stateOf(
        client.query(`insert into long_list (a, b, c) values ${list(120_000, 135_000)}, (1, 2,)`),
      ),
    ).toBe("42601");
    expect((await client.query("select count(*)::int as n from long_list")).rows).toEqual([{ n: 120_000 }]);
  });

  test("RETURNING, ON CONFLICT and keys that refer to later rows", async () => {
    const rows = Array.from({ length: 20_000 }, (_, at) => `(${200_000 + at}, 'x', 1, ${219_999 - at})`).join(
      ", ",
    );
    const returned = await client.query(`insert into long_list values ${rows} returning a`);
    expect(returned.rows.length).toBe(20_000);
    expect(returned.rowCount).toBe(20_000);
    const again = await client.query(`insert into long_list values ${rows} on conflict (a) do nothing`);
    expect(again.rowCount).toBe(0);
    expect(
      await stateOf(
        client.query(`insert into long_list values ${rows.replaceAll("(2", "(3")}, (1000000, '', 1, -1)`),
      ),
    ).toBe("23503");
  });

  test("can be cancelled, and fail in a failed block", async () => {
    const text = `insert into long_list (a, b, c) values ${list(500_000, 600_000)}`;
    setTimeout(() => node.cancel(client), 300);
    expect(await stateOf(client.query(text))).toBe("57014");
    await client.query("begin");
    expect(await stateOf(client.query("select 1 / 0"))).toBe("22012");
    expect(await stateOf(client.query(text))).toBe("25P02");
    await client.query("rollback");
    expect((await client.query("select count(*)::int as n from long_list where a >= 500000")).rows).toEqual([
      { n: 0 },
    ]);
  });
});

describe("broken bytes", () => {
  test("invalid UTF-8 in statements and parameters", async () => {
    const broken = await node.client();
    expect(await rawQuery(broken, Buffer.from([0x53, 0x27, 0xc3, 0x28, 0x27]))).toBe("22021");
    expect(await stateOf(client.query("select $1::text", ["a\0b"]))).toBe("22021");
    expect(await stateOf(client.query("select E'\\xff'"))).toBe("22021");
    expect(await stateOf(client.query("select chr(0)"))).toBe("54000");
    expect((await client.query("select 'ok' as ok")).rows).toEqual([{ ok: "ok" }]);
  });

  test("start-up messages that are none end the connection", async () => {
    const huge = Buffer.alloc(8);
    huge.writeInt32BE(0x7fffffff, 0);
    const negative = Buffer.alloc(8);
    negative.writeInt32BE(-5, 0);
    for (const bytes of [huge, negative, Buffer.alloc(8), Buffer.from("GET / HTTP/1.1\r\n\r\n")])
      expect(await answerTo(bytes)).not.toBe("still open");
  });

  test("messages with impossible lengths or tags end their connection only", async () => {
    for (const bytes of [
      Buffer.from([0x51, 0x7f, 0xff, 0xff, 0xff]),
      Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff]),
      Buffer.from([0x51, 0, 0, 0, 0]),
      Buffer.from([0xfe, 0, 0, 0, 4]),
    ]) {
      const broken = await node.client();
      const ended = new Promise<boolean>((resolve) => {
        broken.once("end", () => resolve(true));
        setTimeout(() => resolve(false), 2000);
      });
      (broken as unknown as { connection: { stream: Socket } }).connection.stream.write(bytes);
      if (bytes[1] === 0x7f) {
        // Passed over: refused once it is there, which it never is. The connection waits, and nobody else does.
        (broken as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
        await ended;
      } else expect(await ended).toBe(true);
      expect((await other.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    }
  });
});

describe("connections", () => {
  test("are bounded, with places kept for superusers", async () => {
    await other.query("create role nobody login password 'limits'");
    const held: pg.Client[] = [];
    let refused = "";
    for (let at = 0; at < 40 && refused === ""; at++) {
      refused = await stateOf(node.client("nobody").then((one) => held.push(one)));
      if (refused === "00000") refused = "";
    }
    expect(refused).toBe("53300");
    const admins: pg.Client[] = [];
    for (let at = 0; at < 3; at++) admins.push(await node.client());
    expect(await stateOf(node.client())).toBe("53300");
    await Promise.all([...held, ...admins].map((one) => one.end()));
    await pause(50);
    await (await node.client("nobody")).end();
  });

  test("a slow reader of a large result costs bounded memory", async () => {
    const slow = await node.client();
    const { stream } = (slow as unknown as { connection: { stream: Socket } }).connection;
    stream.pause();
    const before = process.memoryUsage().rss;
    slow.query("select repeat('x', 1000), g from generate_series(1, 1000000) g").catch(() => {});
    for (let at = 0; at < 20; at++) {
      await pause(25);
      await other.query("select 1");
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(100 << 20);
    const waits = await other.query(
      "select state from pg_stat_activity where query like '%repeat%1000000%' and pid <> pg_backend_pid()",
    );
    expect(waits.rows).toEqual([{ state: "active" }]);
    stream.destroy();
  });

  test("who vanishes leaves nothing behind", async () => {
    await other.query("create table vanish (a int primary key, b text)");
    await other.query("insert into vanish select g, 'x' from generate_series(1, 100) g");
    const streamOf = (one: pg.Client): Socket =>
      (one as unknown as { connection: { stream: Socket } }).connection.stream;
    const inBlock = await node.client();
    await inBlock.query("begin");
    await inBlock.query("update vanish set b = null");
    streamOf(inBlock).destroy();
    const inCopy = await node.client();
    inCopy.query("copy vanish (a) from stdin").catch(() => {});
    await pause(100);
    const row = Buffer.from("777777\n");
    const head = Buffer.from([0x64, 0, 0, 0, row.length + 4]);
    streamOf(inCopy).write(Buffer.concat([head, row]));
    await pause(50);
    streamOf(inCopy).destroy();
    const inQuery = await node.client();
    inQuery
      .query("select count(*) from generate_series(1, 100000000) a, generate_series(1, 1000) b")
      .catch(() => {});
    await pause(100);
    streamOf(inQuery).destroy();
    await other.query("set lock_timeout = '2s'");
    await other.query("update vanish set b = 'y'");
    const { rows } = await other.query("select count(*)::int as n from vanish where b = 'y'");
    expect(rows).toEqual([{ n: 100 }]);
    await pause(50);
    const active = await other.query(
      "select count(*)::int as n from pg_stat_activity where query like '%generate_series(1, 1000) b%' and pid <> pg_backend_pid()",
    );
    expect(active.rows).toEqual([{ n: 0 }]);
  });
});
