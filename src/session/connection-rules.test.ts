/** CREATE, ALTER and DROP CONNECTION RULE, and what they decide, over a catalog of its own. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../config.js";
import type { Batch } from "../model/batch.js";
import { defaultSettings, typeOutput } from "../model/types.js";
import { type NodeCore, openCore } from "../node.js";
import type { Log } from "../observe/index.js";
import type { Platform } from "../platform/index.js";
import { decide } from "../security/connection-rules.js";
import { simPlatform } from "../sim/platform.js";
import { simTrust } from "../sim/trust.js";
import type { OutputColumn } from "../sql/plan.js";
import type { ResultSink, Session } from "./index.js";

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
    "test",
  ],
  environment: { SCRATCHBIRD_PASSWORD: "test" },
  readFile: () => "",
  remembered: () => ({}),
  machineMemoryBytes: 256 << 20,
  isTerminal: false,
});
const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

let core: NodeCore;
beforeAll(async () => {
  const network: Platform["network"] = { listen: () => Promise.reject(new Error("no sockets here")) };
  core = await openCore(config, { ...simPlatform(1), network }, silent, {
    trust: ({ clusterId, nodeId }) => simTrust(clusterId, nodeId),
  });
  const admin = connect("admin");
  await run(admin, "create role alice login password 'a'");
  await run(admin, "create role bob login password 'b'");
  await run(admin, "create role carol login password 'c'");
  await run(admin, "create role staff");
  await run(admin, "create role everybody_else");
  await run(admin, "grant everybody_else to staff");
  await run(admin, "grant staff to bob");
});
afterAll(() => core.close());

function connect(user: string, remoteAddress = "127.0.0.1:4000", encrypted = false): Session {
  return core.server.openSession({ user, database: "test", settings: new Map(), remoteAddress, encrypted });
}

/** The last result's rows as texts; the tag when there are none. */
async function run(session: Session, text: string): Promise<string[][] | string> {
  const rows: string[][] = [];
  let tag = "";
  const sink: ResultSink = {
    rowDescription: () => {},
    rows: (batch: Batch, columns: readonly OutputColumn[]) => {
      for (let row = 0; row < batch.length; row++)
        rows.push(
          columns.map(({ type }, at) => {
            const value = batch.columns[at]![row]!;
            return value === null ? "" : typeOutput(type.oid, value, defaultSettings);
          }),
        );
      return true;
    },
    drained: () => Promise.resolve(),
    complete: (word) => {
      tag = word;
    },
    emptyQuery: () => {},
    portalSuspended: () => {},
    notice: () => {},
    parameterStatus: () => {},
    notification: () => {},
    copyIn: () => {
      throw new Error("no COPY here");
    },
    copyOutBegin: () => {},
    copyOutData: () => true,
    copyOutDone: () => {},
  };
  try {
    await session.simpleQuery(text, sink);
  } catch (error) {
    session.failed(error as never);
    throw error;
  }
  return rows.length > 0 ? rows : tag;
}

const method = (user: string, address = "10.1.2.3", encrypted = false, database = "test"): string =>
  decide(core.control.state, { user, database, address, encrypted }).method;
const shown = (address = "10.1.2.3", encrypted = false): string[] =>
  [...decide(core.control.state, { user: "nobody", database: "test", address, encrypted }).shown].sort();

let admin: Session;
const names = async (): Promise<string> =>
  ((await run(admin, "select name from sys.connection_rules order by ordinal")) as string[][]).join(" ");

beforeEach(async () => {
  admin = connect("admin");
  const rows = (await run(admin, "select name from sys.connection_rules where not built_in")) as string[][];
  if (Array.isArray(rows)) for (const [name] of rows) await run(admin, `drop connection rule ${name} force`);
  await run(
    admin,
    "alter connection rule default_rule for all on database all from all tls optional method scram",
  );
});

describe("connection rules", () => {
  it("there is one that admits everybody with a password", async () => {
    expect(await run(admin, "select * from sys.connection_rules")).toEqual([
      ["1", "default_rule", "{all}", "{all}", "{all}", "optional", "SCRAM", "t"],
    ]);
    expect([method("alice"), method("nobody")]).toEqual(["scram", "scram"]);
    expect(shown()).toEqual(["scram"]);
  });

  it("stand in an order, and the first that matches decides", async () => {
    expect(await run(admin, "create connection rule one for alice method reject")).toBe(
      "CREATE CONNECTION RULE",
    );
    await run(admin, "create connection rule two before one for alice from '10.0.0.0/8' method scram plus");
    await run(
      admin,
      "create connection rule three after one for members of staff tls required method certificate",
    );
    await run(admin, "create connection rule four method scram");
    expect(await names()).toBe("two one three four default_rule");
    expect([method("alice"), method("alice", "11.0.0.1"), method("nobody")]).toEqual([
      "plus",
      "reject",
      "scram",
    ]);
    // By membership; in the clear the rule is not about him.
    expect([method("bob"), method("bob", "10.1.2.3", true)]).toEqual(["scram", "certificate"]);
    expect(method("staff", "10.1.2.3", true)).toBe("certificate");
    await run(admin, "alter connection rule two after four");
    expect([await names(), method("alice")]).toEqual(["one three four two default_rule", "reject"]);
    await run(admin, "drop connection rule one");
    expect([await names(), method("alice")]).toEqual(["three four two default_rule", "scram"]);
    expect(
      await run(admin, "select ordinal, roles, addresses, tls, method from sys.connection_rules order by 1"),
    ).toEqual([
      ["1", '{"members of staff"}', "{all}", "required", "CERTIFICATE"],
      ["2", "{all}", "{all}", "optional", "SCRAM"],
      ["3", "{alice}", "{10.0.0.0/8}", "optional", "SCRAM PLUS"],
      ["4", "{all}", "{all}", "optional", "SCRAM"],
    ]);
  });

  it("say what users of any name might meet, and no more", async () => {
    await run(admin, "create connection rule one for alice tls required method certificate");
    await run(admin, "create connection rule two from '10.9.0.0/16' method reject");
    expect(shown("10.1.2.3", true)).toEqual(["certificate", "scram"]);
    expect(shown("10.1.2.3", false)).toEqual(["scram"]);
    expect(shown("10.9.2.3", true)).toEqual(["certificate", "reject"]);
    expect(shown("10.9.2.3", false)).toEqual(["reject"]);
  });

  it("match nothing else when an object is gone, and hold roles", async () => {
    await run(admin, "create role passing login");
    await run(admin, "create connection rule one for passing method reject");
    await expect(run(admin, "drop role passing")).rejects.toMatchObject({
      sqlstate: "2BP01",
      fields: { detail: "named in connection rule one" },
    });
    await run(admin, "alter role passing rename to renamed");
    expect([method("passing"), method("renamed")]).toEqual(["scram", "reject"]);
    await run(admin, "drop connection rule one");
    await run(admin, "drop role renamed");
    await run(admin, "alter connection rule default_rule on database test");
    expect([method("alice"), method("alice", "10.1.2.3", false, "other")]).toEqual(["scram", "reject"]);
  });

  it("are transactional", async () => {
    await run(admin, "begin");
    await run(admin, "create connection rule one for alice method reject");
    expect(method("alice")).toBe("scram");
    await run(admin, "rollback");
    expect(await names()).toBe("default_rule");
    const other = connect("admin");
    await run(admin, "begin");
    await run(admin, "create connection rule one for alice method reject");
    await run(other, "create connection rule two for bob method reject");
    await expect(run(admin, "commit")).rejects.toMatchObject({ sqlstate: "40001" });
    expect(await names()).toBe("two default_rule");
    other.close();
  });

  it("do not lock out who makes them", async () => {
    const refused = { sqlstate: "55000", message: /could not connect again/ };
    for (const text of [
      "create connection rule one method reject",
      "create connection rule one for admin from '127.0.0.0/8' method scram plus",
      "create connection rule one for admin tls optional method certificate",
      "alter connection rule default_rule method reject",
      "alter connection rule default_rule from '10.0.0.0/8'",
      "alter connection rule default_rule tls required",
    ])
      await expect(run(admin, text), text).rejects.toMatchObject(refused);
    await run(admin, "create connection rule mine for admin from '127.0.0.0/8' method scram");
    await run(admin, "alter connection rule default_rule method reject");
    await expect(run(admin, "drop connection rule mine")).rejects.toMatchObject(refused);
    await expect(run(admin, "alter connection rule mine for alice")).rejects.toMatchObject(refused);
    expect(await run(admin, "drop connection rule mine force")).toBe("DROP CONNECTION RULE");
    expect(method("admin")).toBe("reject");
    // Set aside for a start (--reset-connection-rules).
    const attempt = { user: "admin", database: "test", address: "127.0.0.1", encrypted: false };
    expect(decide(core.control.state, attempt, true)).toMatchObject({ method: "scram" });
  });

  it("are for those who may", async () => {
    const alice = connect("alice");
    await expect(run(alice, "create connection rule one method reject")).rejects.toMatchObject({
      sqlstate: "42501",
    });
    expect(await run(alice, "select * from sys.connection_rules")).toBe("SELECT 0");
    await run(admin, "grant cluster_security_admin on cluster to alice");
    expect(await run(alice, "create connection rule one for bob method reject")).toBe(
      "CREATE CONNECTION RULE",
    );
    await run(admin, "revoke cluster_security_admin on cluster from alice");
    alice.close();
  });

  it.each([
    ["create connection rule default_rule method reject", "42710"],
    ["drop connection rule default_rule force", "55000"],
    ["drop connection rule missing", "42704"],
    ["alter connection rule missing method reject", "42704"],
    ["alter connection rule default_rule before default_rule", "55000"],
    ["create connection rule one after default_rule method scram", "55000"],
    ["create connection rule one after missing method scram", "42704"],
    ["create connection rule one for missing method scram", "42704"],
    ["create connection rule one on database missing method scram", "3D000"],
    ["create connection rule one from '10.0.0.1/8' method scram", "22023"],
    ["create connection rule one tls none method scram plus", "22023"],
    ["create connection rule one", "42601"],
    ["create connection rule one method trust", "42601"],
    ["create connection rule one method scram for alice", "42601"],
    ["alter connection rule default_rule", "42601"],
    ["drop connection rule default_rule cascade", "42601"],
  ])("%s is %s", async (text, sqlstate) => {
    await expect(run(admin, text)).rejects.toMatchObject({ sqlstate });
  });

  it("are renamed, and dropped only if they exist", async () => {
    await run(admin, "create connection rule one method scram");
    await run(admin, "alter connection rule one rename to rule");
    expect(await names()).toBe("rule default_rule");
    expect(await run(admin, "drop connection rule if exists one")).toBe("DROP CONNECTION RULE");
    await run(admin, "alter connection rule default_rule rename to others");
    expect(await names()).toBe("rule others");
    await run(admin, "alter connection rule others rename to default_rule");
    // The words stay names.
    await run(admin, "create table connection (rule int, method int, scram int, plus int)");
    await run(admin, "drop table connection");
  });
});
