/**
 * Real clusters in small: the whole of it is `npm run cluster` (docs/testing.md). One cluster under its supervisor, as a user
 * starts it: made, changed from every side, its leader killed, joined by an impostor, stopped and started again.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isBuilt } from "../server.js";
import { ClusterNode, freePorts, until } from "./nodes.js";
import { anotherCa, forge } from "./refusals.js";
import { SupervisedCluster } from "./supervised.js";

const args = ["--shards", "2", "--buffer-pool", "32MB", "--journal-size", "8MB", "--log-format", "json"];

// Nodes as processes need the build, which `npm ci` makes.
describe.skipIf(!isBuilt)("a cluster under its supervisor", () => {
  let folder: string;
  let cluster: SupervisedCluster;
  const clients = new Set<pg.Client>();
  const connect = async (place: number): Promise<pg.Client> => {
    const client = await cluster.connect(place, 30_000);
    clients.add(client);
    return client;
  };
  const asks = async <Row extends pg.QueryResultRow>(place: number, sql: string): Promise<Row[]> => {
    const client = await connect(place);
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      clients.delete(client);
      await client.end();
    }
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "scratchbird-supervised-"));
    cluster = await SupervisedCluster.start(join(folder, "data"), 3, args);
  }, 90_000);
  afterAll(async () => {
    for (const client of clients) await client.end().catch(() => undefined);
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  it("has three nodes that are enabled", async () => {
    const states = async () =>
      (await asks<{ state: string }>(2, "SELECT state FROM sys.nodes")).map(({ state }) => state);
    await until(
      async () => ((await states()).every((state) => state === "ENABLED") ? true : undefined),
      20_000,
      "all nodes are ENABLED",
    );
    expect(await states()).toHaveLength(3);
  }, 60_000);

  it("shows at one node what was made at another", async () => {
    await asks(2, "CREATE TABLE made_at_two (id integer PRIMARY KEY, note text)");
    await asks(3, "INSERT INTO made_at_two VALUES (1, 'from three')");
    expect(await asks(1, "SELECT * FROM made_at_two")).toEqual([{ id: 1, note: "from three" }]);
    await asks(3, "ALTER CLUSTER SET degraded_mode.max_duration = '1234ms'");
    const rows = await asks<{ description: string }>(
      2,
      "SELECT description FROM sys.epochs ORDER BY epoch_number DESC LIMIT 1",
    );
    expect(rows[0]!.description).toContain("1234ms");
  }, 60_000);

  it("refuses an impostor with a copied identity, and says why", async () => {
    const copy = join(folder, "impostor");
    cpSync(cluster.node(3).folder, copy, { recursive: true });
    rmSync(join(copy, "lock"), { force: true });
    const logs = join(folder, "logs");
    mkdirSync(logs);
    const impostor = new ClusterNode("impostor", copy, await freePorts(), [], join(logs, "impostor.log"));
    try {
      await forge(copy, await anotherCa(impostor.identity.clusterId));
      void impostor.launch();
      await until(
        async () => cluster.logged(["a peer was refused", "UNTRUSTED_CA"])[0],
        20_000,
        "a node has refused the impostor",
      );
    } finally {
      await impostor.kill();
      impostor.close();
    }
    expect(await asks(2, "SELECT count(*)::int AS count FROM made_at_two")).toEqual([{ count: 1 }]);
  }, 60_000);

  it("goes on when its leader is killed: nothing acknowledged is lost, and no term has two leaders", async () => {
    const numbers = [...cluster.leaders()].sort(([a], [b]) => b - a);
    // Whoever founds it leads it, unless there was an election meanwhile: then there is nothing else to kill.
    const first = numbers[0]![1];
    const place = [1, 2, 3].find(
      (one) => cluster.logged(["this node leads the cluster", `"term":${numbers[0]![0]},`], one).length > 0,
    );
    expect([first.size, place]).not.toContain(undefined);
    const others = [1, 2, 3].filter((one) => one !== place);
    const [setter, definer] = [await connect(others[0]!), await connect(others[1]!)];
    cluster.kill(place!);
    // A value for each try: what was cut off may stand as well.
    let tries = 0;
    await until(
      async () => {
        await setter.query(`ALTER CLUSTER SET degraded_mode.max_duration = '${2345 + ++tries}ms'`);
        return true;
      },
      20_000,
      "a setting is changed",
    );
    await until(
      async () => {
        await definer.query("CREATE TABLE IF NOT EXISTS made_without (id integer PRIMARY KEY)");
        return true;
      },
      20_000,
      "a table is made",
    );
    const [epoch] = await asks<{ count: number }>(
      others[1]!,
      `SELECT count(*)::int AS count FROM sys.epochs WHERE description LIKE '%${2345 + tries}ms%'`,
    );
    expect(epoch).toEqual({ count: 1 });
    for (const other of others)
      expect(
        await asks(
          other,
          "SELECT relname FROM pg_class WHERE relname LIKE 'made_%' AND relkind = 'r' ORDER BY 1",
        ),
      ).toEqual([{ relname: "made_at_two" }, { relname: "made_without" }]);
    for (const set of cluster.leaders().values()) expect([...set]).toHaveLength(1);
    expect(cluster.lines.some((line) => line.includes('"event":"ended"'))).toBe(true);
  }, 90_000);

  it("comes back as a whole, with all that was made", async () => {
    for (const client of clients) await client.end().catch(() => undefined);
    clients.clear();
    await cluster.stop();
    cluster = await SupervisedCluster.start(join(folder, "data"), 3, args);
    await asks(2, "INSERT INTO made_without VALUES (7)");
    expect(await asks(3, "SELECT id FROM made_without")).toEqual([{ id: 7 }]);
    expect(await asks(1, "SELECT note FROM made_at_two")).toEqual([{ note: "from three" }]);
    expect(await cluster.stop()).toBe(0);
  }, 120_000);
});
