/**
 * Relayed clients with real sessions: what a session carries when it is lost and taken over, with the pg driver over
 * sockets. Both listeners serve the sessions of one node, so that each statement tells only what moved with the client.
 */
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../src/config.js";
import { type NodeCore, openCore } from "../src/node.js";
import type { Log } from "../src/observe/index.js";
import { PgWire } from "../src/pgwire/index.js";
import { FakeRelay } from "../src/pgwire/testing.js";
import { hostClock, hostRandom } from "../src/platform/host.js";
import { HostNetwork } from "../src/platform/network.js";
import { simPlatform } from "../src/sim/platform.js";
import { simTrust } from "../src/sim/trust.js";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const config = loadConfig({
  args: [
    "--shards",
    "1",
    "--page-size",
    "8KB",
    "--buffer-pool",
    "16MB",
    "--journal-size",
    "4MB",
    "--name",
    "relay",
  ],
  environment: { SCRATCHBIRD_PASSWORD: "secret" },
  readFile: () => "",
  remembered: () => ({}),
  machineMemoryBytes: 256 << 20,
  isTerminal: false,
});

let core: NodeCore;
let home: PgWire;
let here: PgWire;
let relay: FakeRelay;
let port: number;
const internalErrors: Error[] = [];

beforeAll(async () => {
  core = await openCore(config, { ...simPlatform(1), network: new HostNetwork() }, silent, {
    trust: ({ clusterId, nodeId }) => simTrust(clusterId, nodeId),
  });
  const options = {
    host: core.server,
    clock: hostClock,
    random: hostRandom,
    network: new HostNetwork(),
    address: "127.0.0.1",
    port: 0,
    tls: undefined,
    observer: {
      connected: () => {},
      disconnected: () => {},
      authenticationFailed: () => {},
      internalError: (error: Error) => internalErrors.push(error),
    },
  };
  home = new PgWire(options);
  relay = new FakeRelay(home);
  here = new PgWire({ ...options, relay });
  port = await here.listen();
}, 60_000);
beforeEach(() => {
  relay.isUp = true;
});
afterAll(async () => {
  await here.stopAccepting();
  here.terminateAll();
  home.terminateAll();
  await core.close();
  expect(internalErrors).toEqual([]);
});

async function connect() {
  const client = new pg.Client({
    host: "127.0.0.1",
    port,
    user: "admin",
    password: "secret",
    database: "relay",
  });
  const ended = new Promise<Error>((resolve) => client.on("error", resolve));
  await client.connect();
  const ask = async (text: string): Promise<unknown[][]> =>
    (await client.query({ text, rowMode: "array" })).rows as unknown[][];
  return { client, ask, ended };
}
/** The home node is gone; those who wait for their streams hear of it. */
async function crash() {
  relay.crash();
  await new Promise((resolve) => setTimeout(resolve, 20));
}

describe("a session that is too old", () => {
  it("is ended at home: idle at once, in a transaction with it", async () => {
    const idle = await connect();
    const busy = await connect();
    await busy.ask("BEGIN");
    core.server.endOldSessions(Number.NEGATIVE_INFINITY);
    expect(await idle.ended).toMatchObject({
      code: "57P01",
      message: "terminating connection because the session is too old",
    });
    expect(await busy.ask("SELECT 1")).toEqual([[1]]);
    await busy.ask("COMMIT");
    expect(await busy.ended).toMatchObject({ code: "57P01" });
  });
});

describe("a session that takes over", () => {
  it("has the settings that were changed, and goes home with those changed since", async () => {
    const { client, ask } = await connect();
    await ask("SET search_path = pg_catalog, public");
    await ask("SET TimeZone = 'Europe/Vienna'");
    await ask("SET work_mem = '8MB'");
    await ask("SET my.note = 'a, b''c'");
    await ask("BEGIN");
    await ask("SET LOCAL DateStyle = 'SQL'");
    await ask("COMMIT");
    const shown = async (): Promise<unknown[]> => {
      const all: unknown[] = [];
      for (const name of ["search_path", "TimeZone", "work_mem", "my.note", "DateStyle"])
        all.push((await ask(`SHOW ${name}`))[0]![0]);
      return all;
    };
    const before = await shown();
    expect(before).toEqual(["pg_catalog, public", "Europe/Vienna", "8MB", "a, b'c", "ISO, MDY"]);
    await crash();
    expect(await shown()).toEqual(before);
    expect(here.relayed.connections).toBe(0);
    await ask("SET statement_timeout = '90s'");
    relay.isUp = true;
    expect(await shown()).toEqual(before);
    expect(here.relayed.connections).toBe(1);
    expect(await ask("SHOW statement_timeout")).toEqual([["90s"]]);
    await client.end();
  });

  it("stands in the block that was lost until it ends", async () => {
    const { client, ask } = await connect();
    await ask("CREATE TABLE t (a int)");
    await ask("BEGIN");
    await ask("INSERT INTO t VALUES (1)");
    await crash();
    await expect(ask("INSERT INTO t VALUES (2)")).rejects.toMatchObject({ code: "57P03" });
    relay.isUp = true;
    await expect(ask("INSERT INTO t VALUES (3)")).rejects.toMatchObject({ code: "25P02" });
    await ask("ROLLBACK");
    expect(await ask("SELECT count(*) FROM t")).toEqual([["0"]]);
    await ask("BEGIN");
    await ask("INSERT INTO t VALUES (4)");
    await crash();
    await expect(ask("COMMIT")).rejects.toMatchObject({ code: "57P03" });
    expect(await ask("SELECT count(*) FROM t")).toEqual([["0"]]);
    await client.end();
  });

  it.each([
    ["statements prepared in SQL", ["PREPARE p AS SELECT 1"], ["DEALLOCATE p"]],
    ["advisory locks", ["SELECT pg_advisory_lock(1)"], ["SELECT pg_advisory_unlock(1)"]],
    ["another role", ["CREATE ROLE other", "GRANT other TO admin", "SET ROLE other"], ["RESET ROLE"]],
  ])("is not there for one that held %s", async (_, hold, release) => {
    const holding = await connect();
    for (const text of hold) await holding.ask(text);
    await crash();
    expect(await holding.ended).toMatchObject({ code: "57P01" });
    relay.isUp = true;
    const released = await connect();
    for (const text of [...hold.filter((text) => !/CREATE|GRANT/.test(text)), ...release])
      await released.ask(text);
    await crash();
    expect(await released.ask("SELECT 1")).toEqual([[1]]);
    await released.client.end();
  });

  it("is not there for the driver's named statements, and is for its others", async () => {
    const named = await connect();
    await named.client.query({ name: "n", text: "SELECT $1::int", values: [1] });
    const plain = await connect();
    await plain.client.query({ text: "SELECT $1::int AS a", values: [1] });
    await crash();
    expect(await named.ended).toMatchObject({ code: "57P01" });
    expect((await plain.client.query({ text: "SELECT $1::int AS a", values: [2] })).rows).toEqual([{ a: 2 }]);
    await plain.client.end();
  });

  it("counts among the connections while it is elsewhere", async () => {
    const { client, ask } = await connect();
    await ask("CREATE ROLE one LOGIN PASSWORD 'secret' CONNECTION LIMIT 2");
    // Both nodes' sessions are in one count here: the place at this node, and the session at home.
    const options = { host: "127.0.0.1", port, user: "one", password: "secret", database: "relay" };
    const first = new pg.Client(options);
    await first.connect();
    await expect(new pg.Client(options).connect()).rejects.toMatchObject({ code: "53300" });
    await first.end();
    await ask("DROP ROLE one");
    await client.end();
  });
});
