/** What sessions leave in the audit chain, over a real node without sockets. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type AuditEvent, claimedSequence, listSegments, readChain, readEvent } from "../audit/index.js";
import { DbError } from "../base/errors.js";
import { loadConfig } from "../config.js";
import { type NodeCore, openCore } from "../node.js";
import type { Log } from "../observe/index.js";
import type { Platform } from "../platform/index.js";
import { simPlatform } from "../sim/platform.js";
import { simTrust } from "../sim/trust.js";
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
const network: Platform["network"] = { listen: () => Promise.reject(new Error("no sockets here")) };

class Sink implements ResultSink {
  readonly rowsRead: (readonly unknown[])[] = [];
  rowDescription(): void {}
  rows(batch: { readonly length: number; readonly columns: readonly { [at: number]: unknown }[] }): boolean {
    for (let at = 0; at < batch.length; at++) this.rowsRead.push(batch.columns.map((column) => column[at]));
    return true;
  }
  async drained(): Promise<void> {}
  complete(): void {}
  emptyQuery(): void {}
  portalSuspended(): void {}
  notice(): void {}
  parameterStatus(): void {}
  notification(): void {}
  copyIn(): never {
    throw new Error("no COPY here");
  }
  copyOutBegin(): void {}
  copyOutData(): boolean {
    return true;
  }
  copyOutDone(): void {}
}

let platform: ReturnType<typeof simPlatform>;
let core: NodeCore;
let admin: Session;
const open = (user: string): Session =>
  core.server.openSession({
    user,
    database: "test",
    settings: new Map(),
    remoteAddress: "192.0.2.7:5000",
    encrypted: true,
  });

async function run(sql: string, by = admin): Promise<readonly (readonly unknown[])[]> {
  const sink = new Sink();
  try {
    await by.simpleQuery(sql, sink);
    return sink.rowsRead;
  } catch (error) {
    if (error instanceof DbError) by.failed(error);
    throw error;
  }
}
async function refused(sql: string, by = admin): Promise<string> {
  try {
    await run(sql, by);
  } catch (error) {
    return (error as DbError).sqlstate;
  }
  return "";
}

/** Events behind `from`. */
function events(from: number): AuditEvent[] {
  core.server.audit.log.flush();
  const found: AuditEvent[] = [];
  for (const piece of readChain(platform.disk))
    for (const line of piece.split("\n"))
      if (claimedSequence(line) > from) found.push(readEvent(line.slice(line.indexOf("{")))!);
  return found;
}
const shown = (from: number): string[] => events(from).map((one) => one.event_type);

let mark: number;

beforeAll(async () => {
  platform = simPlatform(1);
  core = await openCore(config, { ...platform, network }, silent, {
    trust: ({ clusterId, nodeId }) => simTrust(clusterId, nodeId),
  });
  admin = open("admin");
  await run("CREATE ROLE eve LOGIN PASSWORD 'quite secret'");
  await run("CREATE TABLE t (a int PRIMARY KEY, b text)");
  await run("INSERT INTO t VALUES (1, 'one'), (2, 'two')");
});
afterAll(() => core.close());
beforeEach(() => {
  mark = core.server.audit.log.sequence;
});

describe("a session", () => {
  it("tells of log-ins, log-outs and those that were refused", () => {
    const session = open("eve");
    session.close();
    expect(() => open("nobody")).toThrow();
    const [login, logout, failure] = events(mark);
    expect([login!.event_type, logout!.event_type, failure!.event_type]).toEqual([
      "LOGIN_SUCCESS",
      "LOGOUT",
      "LOGIN_FAILURE",
    ]);
    expect(login!.payload).toMatchObject({ user: "eve", ip_address: "192.0.2.7" });
    expect(login!.session_uuid).toBe(logout!.session_uuid);
    expect(failure!.user_uuid).toBeNull();
    expect(failure!.payload["username"]).toBe("nobody");
  });

  it("tells of what was denied", async () => {
    const eve = open("eve");
    expect(await refused("SELECT * FROM t", eve)).toBe("42501");
    eve.close();
    expect(shown(mark)).toContain("PERMISSION_DENIED");
  });
});

describe("a change of the catalog", () => {
  it("is told of before it is proposed, and the cluster knows the event", async () => {
    await run("CREATE TABLE u (x int)");
    const [event] = events(mark);
    expect(event).toMatchObject({
      event_type: "DDL_EXECUTED",
      payload: { sql_text: "CREATE TABLE u (x int)", object_name: "u" },
    });
    const head = core.control.audit.headOf(core.identity.nodeId);
    expect(head).toEqual({ sequence: mark + 1, hash: core.server.audit.log.hashText });
  });

  it("has an event for each of its statements, and none for what was taken back", async () => {
    await run(
      "BEGIN; CREATE TABLE v1 (x int); SAVEPOINT s; CREATE TABLE v2 (x int); ROLLBACK TO s; GRANT SELECT ON t TO eve; COMMIT",
    );
    await run("BEGIN; CREATE TABLE v3 (x int); ROLLBACK");
    expect(shown(mark)).toEqual(["DDL_EXECUTED", "PERMISSION_GRANTED"]);
  });

  it("keeps no secret", async () => {
    await run("ALTER ROLE eve PASSWORD 'even more secret'");
    await run("SELECT create_join_token()");
    const text = JSON.stringify(events(0));
    expect(text).not.toContain("secret'");
    expect(text).not.toContain("SCRAM-SHA-256$");
    expect(text).not.toContain("sbjoin1");
  });

  it("fails when it cannot be told of, and reads go on", async () => {
    const { log } = core.server.audit;
    const append = log.append.bind(log);
    log.append = () => {
      throw new DbError("diskFull", "no space left");
    };
    try {
      expect(await refused("CREATE TABLE w (x int)")).toBe("53100");
      expect(await refused("ALTER CLUSTER SET audit.audit_all_queries = on")).toBe("53100");
      expect(await refused("COPY t TO STDOUT")).toBe("53100");
      expect(await run("SELECT count(*) FROM t")).toEqual([[2]]);
      open("eve").close();
    } finally {
      log.append = append;
    }
    expect(await refused("SELECT * FROM w")).toBe("42P01");
  });
});

describe("administration of the cluster", () => {
  it("is told of before, and when it is refused", async () => {
    await run("ALTER CLUSTER SET replication.factor = 3");
    expect(await refused("DISABLE NODE nowhere REASON 'x'")).toBe("42704");
    const told = events(mark).filter((one) => one.event_type === "CLUSTER_ADMIN");
    expect(told.map((one) => one.payload["outcome"])).toEqual(["begun", "refused"]);
    expect(shown(mark)).toContain("EPOCH_PUBLISHED");
    expect(core.control.audit.headOf(core.identity.nodeId)!.sequence).toBeGreaterThan(mark);
  });

  it("that the leader refuses is told of again", async () => {
    expect(await refused(`DISABLE NODE "node-1" REASON 'x'`)).toBe("55000");
    expect(shown(mark)).toEqual(expect.arrayContaining(["CLUSTER_ADMIN", "ACTION_FAILED"]));
  });
});

describe("COPY TO", () => {
  it("is an export", async () => {
    await run("COPY t TO STDOUT");
    const told = events(mark).filter((one) => one.event_type === "DATA_EXPORT");
    expect(told.length).toBe(2);
    expect(told[1]!.payload).toEqual({ event_sequence: mark + 1, row_count: 2 });
  });
});

describe("the views", () => {
  it("show events to those who may, and tell of it", async () => {
    const rows = await run(
      "SELECT event_sequence, event_type, payload->>'sql_text' FROM sys.audit_events WHERE event_type = 'DDL_EXECUTED' ORDER BY 1 LIMIT 1",
    );
    expect(rows[0]!.slice(1)).toEqual(["DDL_EXECUTED", "CREATE ROLE eve LOGIN PASSWORD '***'"]);
    expect(shown(mark)).toEqual(["AUDIT_READ"]);
    const [[count]] = (await run("SELECT count(*) FROM sys.audit_log")) as [[number]];
    expect(count).toBe(core.server.audit.log.sequence);
    const [first] = await run(
      "SELECT event_timestamp > now() - interval '1 day', prev_event_hash, length(event_hash) FROM sys.audit_events WHERE event_sequence = 1",
    );
    expect(first!.slice(1)).toEqual([null, 64]);
  });

  it("are closed to others, but for auditors", async () => {
    const eve = open("eve");
    for (const sql of [
      "SELECT * FROM sys.audit_events",
      "SELECT * FROM sys.audit_checkpoints",
      "SELECT * FROM sys.verify_audit_chain_detail",
      "SELECT verify_audit_chain()",
    ])
      expect([sql, await refused(sql, eve)]).toEqual([sql, "42501"]);
    await run("GRANT AUDITOR ON CLUSTER TO eve");
    expect(await run("SELECT verify_audit_chain()", eve)).toEqual([[true]]);
    eve.close();
  });

  it.each([
    "UPDATE sys.audit_events SET severity = 'INFO'",
    "DELETE FROM sys.audit_events",
    "INSERT INTO sys.audit_events VALUES (1)",
    "TRUNCATE sys.audit_events",
    "DROP TABLE sys.audit_events",
    "DROP VIEW sys.audit_log",
    "ALTER TABLE sys.audit_events DROP COLUMN severity",
    "ALTER TABLE sys.audit_events RENAME TO other",
    "COPY sys.audit_events FROM STDIN",
    "CREATE TABLE sys.audit_events (x int)",
    "DELETE FROM sys.audit_checkpoints",
    "ALTER SCHEMA sys RENAME TO sis",
  ])("cannot be changed by anybody: %s", async (sql) => {
    expect(await refused(sql)).toBe("42501");
  });
});

describe("verification", () => {
  it("takes ranges, and finds what was changed", async () => {
    const { log } = core.server.audit;
    log.sign();
    log.flush();
    const last = log.sequence;
    expect(await run("SELECT verify_audit_chain(start_sequence => 3, end_sequence => 7)")).toEqual([[true]]);
    expect(await run("SELECT verify_audit_chain(node => 'node-1')")).toEqual([[true]]);
    expect(await run(`SELECT verify_audit_chain(1, ${last + 1000})`)).toEqual([[false]]);
    expect(await refused("SELECT verify_audit_chain(5, 4)")).toBe("22023");
    expect(await refused("SELECT verify_audit_chain(node => 'nowhere')")).toBe("42704");
    await core.storage.checkpoint();
    const path = listSegments(platform.disk)[0]!.path;
    const at = Buffer.from(platform.disk.bytesOf(path)).indexOf('"event_sequence":5,') + 40;
    platform.disk.flipBit(path, at);
    expect(await run("SELECT verify_audit_chain()")).toEqual([[false]]);
    expect(await run("SELECT node_name, event_sequence, kind FROM sys.verify_audit_chain_detail")).toEqual([
      ["node-1", 5, "HASH_INVALID"],
    ]);
    expect(await run("SELECT verify_audit_chain(start_sequence => 9)")).toEqual([[true]]);
    platform.disk.flipBit(path, at);
    expect(await run("SELECT verify_audit_chain()")).toEqual([[true]]);
    expect(await run("SELECT * FROM sys.verify_audit_chain_detail")).toEqual([]);
  });
});

describe("audit_all_queries", () => {
  it("tells of every statement, but for its text", async () => {
    await run("ALTER CLUSTER SET audit.audit_all_queries = on");
    const from = core.server.audit.log.sequence;
    await run("SELECT b FROM t WHERE a = 1");
    await run("UPDATE t SET b = 'changed' WHERE a = 1");
    expect(await refused("SELECT 1 / 0")).toBe("22012");
    await run("BEGIN; COMMIT");
    const told = events(from).map(({ event_type, payload }) => [
      event_type,
      payload["rows_affected"],
      payload["query_hash"],
    ]);
    const hash = (sql: string): string => createHash("sha256").update(sql).digest("hex");
    expect(told).toEqual([
      ["QUERY_EXECUTED", 1, hash("SELECT b FROM t WHERE a = 1")],
      ["DML_EXECUTED", 1, hash("UPDATE t SET b = 'changed' WHERE a = 1")],
      ["QUERY_EXECUTED", 0, hash("SELECT 1 / 0")],
    ]);
    await run("ALTER CLUSTER RESET audit.audit_all_queries");
    const after = core.server.audit.log.sequence;
    await run("SELECT b FROM t WHERE a = 1");
    expect(events(after)).toEqual([]);
  });
});

describe("a table that is audited", () => {
  const told = (from: number): unknown[] =>
    events(from)
      .filter(({ event_type }) => event_type.endsWith("_EXECUTED") && event_type !== "DDL_EXECUTED")
      .map(({ event_type, payload }) => [event_type, payload["objects"], payload["actions"]]);
  const of = async (sql: string): Promise<unknown[]> => {
    const from = core.server.audit.log.sequence;
    await run(sql);
    return told(from);
  };
  const reads = [["QUERY_EXECUTED", ["public.pay"], ["SELECT"]]];
  beforeAll(async () => {
    await run("CREATE TABLE pay (id int PRIMARY KEY, sum int); INSERT INTO pay VALUES (1, 10), (2, 20)");
    await run("CREATE VIEW pays AS SELECT sum FROM pay");
    await run("ALTER TABLE pay ENABLE AUDIT ALL");
  });

  it("is told of by name, on every way to its rows, before one is read", async () => {
    for (const sql of [
      "SELECT sum FROM pay WHERE id = 1",
      "SELECT * FROM pays",
      "SELECT 1 WHERE EXISTS (SELECT FROM pay WHERE id = 9)",
      "WITH p AS (SELECT * FROM pay) SELECT count(*) FROM p",
      "EXPLAIN (ANALYZE) SELECT * FROM pay",
      "COPY pay TO STDOUT",
      "COPY (SELECT sum FROM pays) TO STDOUT",
      "CREATE TABLE copied AS SELECT * FROM pay",
      "BEGIN; DECLARE c CURSOR FOR SELECT * FROM pay; COMMIT",
      "PREPARE p AS SELECT * FROM pay; EXECUTE p; DEALLOCATE p",
      "INSERT INTO copied SELECT * FROM pay WHERE id > 100",
    ])
      expect([sql, (await of(sql)).slice(0, 1).map((one) => (one as unknown[]).slice(1))]).toEqual([
        sql,
        reads.map((one) => one.slice(1)),
      ]);
    const from = core.server.audit.log.sequence;
    expect(await refused("SELECT 1 / (sum - 20) FROM pay ORDER BY id")).toBe("22012");
    expect(told(from)).toEqual(reads);
    expect(await of("SELECT * FROM t")).toEqual([]);
    expect(await of("EXPLAIN SELECT * FROM pay")).toEqual([]);
  });

  it("tells of what changes it", async () => {
    expect(await of("INSERT INTO pay VALUES (3, 30)")).toEqual([
      ["DML_EXECUTED", ["public.pay"], ["INSERT"]],
    ]);
    expect(await of("DELETE FROM pay WHERE id = 3")).toEqual([
      ["DML_EXECUTED", ["public.pay"], ["DELETE", "SELECT"]],
    ]);
  });

  it("only of what it is audited for, from the change on, also for plans that are kept", async () => {
    await run("PREPARE kept AS SELECT * FROM pay");
    expect(await of("EXECUTE kept")).toEqual(reads);
    await run("ALTER TABLE pay DISABLE AUDIT SELECT");
    expect(await of("EXECUTE kept")).toEqual([]);
    expect(await of("UPDATE pay SET sum = 1 WHERE id = 9")).toEqual([
      ["DML_EXECUTED", ["public.pay"], ["UPDATE"]],
    ]);
    expect(await run("SELECT * FROM sys.audited_objects")).toMatchObject([["table", "public", "pay", {}]]);
    await run("ALTER TABLE pay DISABLE AUDIT ALL");
    expect(await of("DELETE FROM pay WHERE id = 9")).toEqual([]);
    expect(await run("SELECT * FROM sys.audited_objects")).toEqual([]);
    await run("BEGIN; ALTER TABLE pay ENABLE AUDIT SELECT; ROLLBACK");
    expect(await of("SELECT * FROM pay")).toEqual([]);
  });

  it("is not its owner's to decide, and a change leaves an event", async () => {
    await run("CREATE ROLE owner_of_pay LOGIN; ALTER TABLE pay OWNER TO owner_of_pay");
    const owner = open("owner_of_pay");
    expect(await refused("ALTER TABLE pay DISABLE AUDIT ALL", owner)).toBe("42501");
    expect(await run("SELECT * FROM sys.audited_objects", owner)).toEqual([]);
    owner.close();
    const from = core.server.audit.log.sequence;
    await run("ALTER TABLE pay ENABLE AUDIT SELECT; ALTER TABLE pay DISABLE AUDIT SELECT");
    expect(
      events(from).map(({ event_type, severity, payload }) => [event_type, severity, payload["enable"]]),
    ).toEqual([
      ["AUDIT_POLICY_CHANGED", "CRITICAL", true],
      ["AUDIT_POLICY_CHANGED", "CRITICAL", false],
    ]);
    for (const sql of [
      "ALTER TABLE pay ENABLE AUDIT SELECT (sum)",
      "ALTER TABLE pay ENABLE AUDIT SELECT WHERE sum > 1",
      "ALTER USER eve ENABLE AUDIT SELECT",
      "ALTER ROLE ALL ENABLE AUDIT ALL",
    ])
      expect([sql, await refused(sql)]).toEqual([sql, "0A000"]);
    expect(await refused("ALTER TABLE pays ENABLE AUDIT ALL")).toBe("42809");
    expect(await refused("ALTER TABLE pg_class ENABLE AUDIT ALL")).toBe("42501");
    expect(await refused("ALTER TABLE none ENABLE AUDIT ALL")).toBe("42P01");
  });

  it("or a user: all that he does is told of, also in another role", async () => {
    await run(
      "CREATE ROLE watched LOGIN; CREATE ROLE mask; GRANT mask TO watched; GRANT SELECT ON t TO PUBLIC",
    );
    await run("ALTER USER watched ENABLE AUDIT ALL");
    const watched = open("watched");
    const of = async (sql: string, client = watched): Promise<unknown[]> => {
      const from = core.server.audit.log.sequence;
      await run(sql, client);
      return told(from);
    };
    expect((await of("SELECT * FROM t"))[0]).toEqual(["QUERY_EXECUTED", ["public.t"], ["SELECT"]]);
    await run("SET ROLE mask", watched);
    expect((await of("SELECT * FROM t"))[0]).toEqual(["QUERY_EXECUTED", ["public.t"], ["SELECT"]]);
    const from = core.server.audit.log.sequence;
    expect(await refused("SELECT 1 / 0", watched)).toBe("22012");
    expect(told(from).length).toBeGreaterThan(0);
    expect(await of("SELECT * FROM t", admin)).toEqual([]);
    await run("ALTER USER watched DISABLE AUDIT ALL");
    expect(await of("SELECT * FROM t")).toEqual([]);
    watched.close();
  });
});

describe("checkpoints", () => {
  it("follow one another, and verification begins with them", async () => {
    const first = (await core.checkpoints.run())!;
    expect([first.first, first.last]).toEqual([1, first.count]);
    expect(shown(mark)).toEqual(["CHECKPOINT_CREATED"]);
    await core.server.audit.recorded();
    const second = (await core.checkpoints.run())!;
    expect(second.first).toBe(first.last + 1);
    const rows = await run("SELECT start_sequence, end_sequence, merkle_root FROM sys.audit_checkpoints");
    expect(rows).toEqual([first, second].map((one) => [one.first, one.last, one.merkleRoot]));
    expect(await run(`SELECT verify_audit_chain(start_sequence => ${second.first})`)).toEqual([[true]]);
  });

  it("are not made of a chain that was changed", async () => {
    await run("CREATE TABLE checked (x int)");
    await core.storage.checkpoint();
    const path = listSegments(platform.disk)[0]!.path;
    const at = Buffer.from(platform.disk.bytesOf(path)).lastIndexOf("CREATE TABLE checked");
    platform.disk.flipBit(path, at);
    await expect(core.checkpoints.run()).rejects.toMatchObject({ sqlstate: "XX001" });
    expect(await refused("CREATE TABLE other (x int)")).toBe("58030");
    expect(await run("SELECT count(*) FROM t")).toEqual([[2]]);
  });
});
