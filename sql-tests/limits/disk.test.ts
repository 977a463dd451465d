/** A disk that is slow, or full: the whole node on a simulated one. */
import { afterEach, describe, expect, test } from "vitest";
import { openSimNode, type SimClient, type SimNode, simConfig } from "../../src/sim/node.js";
import { simPlatform } from "../../src/sim/platform.js";
import { stateOf } from "./node.js";

let node: SimNode | undefined;
afterEach(() => node?.abandon());

const stateOfSim = (query: Promise<unknown>): Promise<string> =>
  stateOf(
    query.catch((error: { sqlstate?: string }) => {
      throw Object.assign(error, { code: error.sqlstate });
    }),
  );

describe("a disk that takes 5 ms for a page", () => {
  const rows = 50_000;
  const reads = 40;

  async function readAtRandom(client: SimClient, seed: number): Promise<void> {
    let key = seed;
    for (let at = 0; at < reads; at++) {
      key = (key * 48271 + 11) % rows;
      const { rows: found } = await client.query(`select filler from slow where id = ${key}`);
      expect(found.length).toBe(1);
    }
  }

  test("eight readers are served four times as fast as one, and nothing holds the loop", async () => {
    const platform = simPlatform(7);
    node = await openSimNode(platform, simConfig());
    const clients = Array.from({ length: 8 }, () => node!.client());
    await clients[0]!.query("create table slow (id int primary key, filler text)");
    await clients[0]!.query(
      `insert into slow select g, repeat('x', 900) || g from generate_series(0, ${rows - 1}) g`,
    );
    await clients[0]!.query("checkpoint");
    platform.disk.readMs = 5;
    // The first reads teach the node that its disk is slow.
    await readAtRandom(clients[0]!, 3);
    const { clock } = platform;
    let started = clock.monotonic();
    await readAtRandom(clients[0]!, 5);
    const alone = clock.monotonic() - started;

    let worst = 0;
    let due = clock.monotonic();
    let watching = true;
    const tick = (): void => {
      worst = Math.max(worst, clock.monotonic() - due);
      due = clock.monotonic() + 1;
      if (watching) clock.after(1, tick);
    };
    tick();
    started = clock.monotonic();
    await Promise.all(clients.map((client, at) => readAtRandom(client, 1000 + 97 * at)));
    const together = clock.monotonic() - started;
    watching = false;
    // Pages were really read: most of the table does not fit into the pool.
    expect(alone).toBeGreaterThan(reads * 5 * 0.5);
    expect((8 * alone) / together).toBeGreaterThan(4);
    expect(worst).toBeLessThan(20);
  });
});

describe("a disk that is full", () => {
  test("fails the statement that spills, and nothing else", async () => {
    const platform = simPlatform(11);
    node = await openSimNode(platform, simConfig());
    const client = node.client();
    await client.query("create table kept (a int primary key)");
    await client.query("insert into kept values (1)");
    await client.query("set work_mem = '1MB'");
    const used = platform.disk.paths.reduce((sum, path) => sum + platform.disk.bytesOf(path).length, 0);
    platform.disk.capacity = used + (1 << 20);
    const sort =
      "select count(*) from (select g from generate_series(1, 100000) g order by md5(g::text) offset 0) x";
    const join =
      "select count(*) from generate_series(1, 150000) a join generate_series(1, 150000) b on a::text = b::text";
    expect(await stateOfSim(client.query(sort))).toBe("53100");
    expect(await stateOfSim(client.query(join))).toBe("53100");
    expect(platform.disk.paths.filter((path) => path.startsWith("tmp/"))).toEqual([]);
    await client.query("insert into kept values (2)");
    platform.disk.capacity = Number.POSITIVE_INFINITY;
    expect((await client.query(sort)).rows).toEqual([[100000]]);
    expect((await client.query(join)).rows).toEqual([[150000]]);
    expect((await client.query("select count(*) from kept")).rows).toEqual([[2]]);
    expect(node.log.errors).toEqual([]);
  });
});
