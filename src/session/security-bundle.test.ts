/**
 * Security bundles by SQL, on a whole node that keeps its CA's key: publishing (versions, the rate, going back, what is refused and that
 * the draft survives it), rules in force and on trial, what DDL may not take from them, audit rules.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { loadConfig } from "../config.js";
import type { Batch } from "../model/batch.js";
import { defaultSettings, typeOutput } from "../model/types.js";
import { type NodeCore, openCore } from "../node.js";
import type { Log } from "../observe/index.js";
import { HostNetwork } from "../platform/network.js";
import { simPlatform } from "../sim/platform.js";
import { simTrust } from "../sim/trust.js";
import type { OutputColumn } from "../sql/plan.js";
import type { Notice, ResultSink, Session } from "./index.js";

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
    "bundles",
  ],
  environment: { SCRATCHBIRD_PASSWORD: "secret" },
  readFile: () => "",
  remembered: () => ({}),
  machineMemoryBytes: 256 << 20,
  isTerminal: false,
});

let core: NodeCore;
let session: Session;
const platform = { ...simPlatform(7), network: new HostNetwork() };
beforeAll(async () => {
  core = await openCore(config, platform, silent, {
    trust: ({ clusterId, nodeId }) => simTrust(clusterId, nodeId, { keepsCa: true }),
  });
  session = core.server.openSession({
    user: "admin",
    database: "bundles",
    settings: new Map(),
    remoteAddress: "test",
    encrypted: false,
  });
});
afterAll(() => core.close());

async function run(sql: string): Promise<{ rows: (string | null)[][]; tags: string[]; notices: string[] }> {
  const rows: (string | null)[][] = [];
  const tags: string[] = [];
  const notices: string[] = [];
  const sink: ResultSink = {
    rowDescription: () => {},
    rows: (batch: Batch, columns: readonly OutputColumn[]) => {
      for (let row = 0; row < batch.length; row++)
        rows.push(
          columns.map(({ type }, at) => {
            const value = batch.columns[at]![row]!;
            return value === null ? null : typeOutput(type.oid, value, defaultSettings);
          }),
        );
      return true;
    },
    drained: () => Promise.resolve(),
    complete: (tag) => void tags.push(tag),
    emptyQuery: () => {},
    portalSuspended: () => {},
    notice: (notice: Notice) => void notices.push(notice.message),
    parameterStatus: () => {},
    notification: () => {},
    copyIn: () => {
      throw new Error("no COPY here");
    },
    copyOutBegin: () => {},
    copyOutData: () => true,
    copyOutDone: () => {},
  };
  await session.simpleQuery(sql, sink);
  return { rows, tags, notices };
}
async function refused(sql: string): Promise<string> {
  try {
    await run(sql);
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    session.failed(error);
    return `${error.sqlstate} ${error.message} ${error.fields.detail ?? ""}`.trim();
  }
  throw new Error(`${sql} was not refused`);
}
const value = async (sql: string): Promise<string | null> => (await run(sql)).rows[0]![0]!;
/** The time of the node: it runs when somebody waits for it. */
const untilNext = () => new Promise<void>((resolve) => platform.clock.after(60_001, resolve));

describe("PUBLISH SECURITY BUNDLE", () => {
  it("takes the number of the next epoch, or says which it would be; the draft survives", async () => {
    expect(await value("SELECT description FROM sys.security_bundle_history")).toBe(
      "the initial, empty security bundle",
    );
    await run("ALTER CLUSTER SET replication.factor = 3");
    expect((await run("CREATE SECURITY BUNDLE VERSION 9 DESCRIPTION 'one' FROM CURRENT")).tags).toEqual([
      "CREATE SECURITY BUNDLE",
    ]);
    expect(await refused("PUBLISH SECURITY BUNDLE VERSION 9")).toMatch(
      /^55000 .* BUNDLE_VERSION_CONFLICT: .*9 was asked for, 3 is expected/,
    );
    expect(await value("SELECT description FROM sys.security_bundle_draft")).toBe("one");
    const { tags, notices } = await run("PUBLISH SECURITY BUNDLE VERSION 3");
    expect(tags).toEqual(["PUBLISH SECURITY BUNDLE"]);
    expect(notices).toEqual(["the security bundle was published as version 3"]);
    expect(
      (await run("SELECT bundle_version, created_by, superseded_at IS NULL FROM sys.security_bundle_history"))
        .rows,
    ).toEqual([
      ["1", "genesis", "f"],
      ["3", "admin", "t"],
    ]);
    expect(await value("SELECT count(*) FROM sys.security_bundle_draft")).toBe("0");
    // Nobody attests: this node has no control port, and its duties rest.
    expect((await run("SELECT version, status FROM sys.security_bundle_convergence")).rows).toEqual([
      ["1", "CONVERGING"],
    ]);
  });

  it("comes once a minute, and a rollback at any time", async () => {
    await run("CREATE SECURITY BUNDLE DESCRIPTION 'two'");
    expect(await refused("PUBLISH SECURITY BUNDLE")).toMatch(
      /^55000 .* BUNDLE_RATE_LIMIT: the next one can be published in \d+ s/,
    );
    expect(await refused("ROLLBACK SECURITY BUNDLE TO VERSION 3")).toMatch(/is the current one/);
    expect((await run("ROLLBACK SECURITY BUNDLE TO VERSION 1")).tags).toEqual(["ROLLBACK SECURITY BUNDLE"]);
    expect(
      await value("SELECT description FROM sys.security_bundle_history WHERE superseded_at IS NULL"),
    ).toBe("ROLLBACK to version 1");
    expect(await value("SELECT description FROM sys.security_bundle_draft")).toBe("two");
    await untilNext();
    await run("PUBLISH SECURITY BUNDLE");
    expect(await value("SELECT max(bundle_version) FROM sys.security_bundle_history")).toBe("5");
  });

  it("is not what anybody else says: the keeper of the key has the draft's name for it", async () => {
    await run("CREATE TABLE t (a int, b text)");
    const from = { kind: "draft", draft: "00000000-0000-4000-8000-00000000beef" } as const;
    const creator = core.server.audit.userUuid(10);
    await expect(
      core.control.authority({ kind: "publishBundle", from, by: "x", creator }),
    ).rejects.toMatchObject({ sqlstate: "55000" });
    expect(core.control.cluster.bundle.version).toBe(5);
  });

  it("leaves an event for each statement, before it is carried out", async () => {
    const { rows } = await run(
      "SELECT payload->>'action', payload->>'outcome' FROM sys.audit_events WHERE event_type = 'CLUSTER_ADMIN' AND payload->>'action' LIKE '%BUNDLE%' ORDER BY event_sequence LIMIT 4",
    );
    expect(rows).toEqual([
      ["CREATE SECURITY BUNDLE", "begun"],
      ["PUBLISH SECURITY BUNDLE", "begun"],
      ["PUBLISH SECURITY BUNDLE", "begun"],
      ["CREATE SECURITY BUNDLE", "begun"],
    ]);
  });
});

describe("the rules of a bundle", () => {
  const rows = async (sql: string): Promise<string> =>
    (await run(sql)).rows.map((row) => row.map((one) => one ?? "-").join("|")).join(", ");
  /** As somebody who is bound by them. */
  const asClerk = async (sql: string): Promise<string> => {
    await run("SET ROLE clerk");
    try {
      return await rows(sql);
    } finally {
      await run("RESET ROLE");
    }
  };
  const publish = async (...rules: string[]): Promise<string[]> => {
    await run("CREATE SECURITY BUNDLE");
    for (const rule of rules) await run(rule);
    await untilNext();
    return (await run("PUBLISH SECURITY BUNDLE")).notices.slice(0, -1);
  };
  const all = "SELECT id, card, pay FROM people ORDER BY id";

  it("bind from the moment of their publication, and not before", async () => {
    await run(
      "CREATE ROLE clerk; CREATE ROLE chief; CREATE TABLE people (id int PRIMARY KEY, dept int, card text, pay int); CREATE TABLE depts (id int, open bool)",
    );
    await run(
      "GRANT ALL ON people, depts TO clerk; INSERT INTO depts VALUES (1, true), (2, false); INSERT INTO people VALUES (1, 1, '1111', 10), (2, 1, '2222', 20), (3, 2, '3333', 30)",
    );
    await run("CREATE SECURITY BUNDLE DESCRIPTION 'people'");
    await run(
      "CREATE RLS POLICY opened ON people USING (EXISTS (SELECT 1 FROM depts d WHERE d.id = dept AND d.open))",
    );
    await run("CREATE RLS POLICY small ON people AS RESTRICTIVE FOR UPDATE TO clerk USING (pay < 20)");
    await run("CREATE MASKING FUNCTION last2(text) RETURNS text AS '**' || right(value, 2)");
    await run("CREATE CLS POLICY cards ON people (card) MASK WITH last2 TO chief");
    await run("CREATE CLS POLICY pays ON people (pay) REDACT TO chief");
    expect(await asClerk(all)).toBe("1|1111|10, 2|2222|20, 3|3333|30");
    await untilNext();
    await run("PUBLISH SECURITY BUNDLE");
    expect(await asClerk(all)).toBe("1|**11|-, 2|**22|-");
    expect(await rows(all)).toBe("1|1111|10, 2|2222|20, 3|3333|30");
    expect(await asClerk("UPDATE people SET dept = 1 RETURNING id")).toBe("1");
    await run("SET ROLE clerk");
    expect(await refused("INSERT INTO people VALUES (4, 2, '4444', 40)")).toMatch(
      /^42501 new row violates row-level security policy for table "people"/,
    );
    await run("RESET ROLE; GRANT chief TO clerk");
    expect(await asClerk(all)).toBe("1|1111|10, 2|2222|20");
    await run("REVOKE chief FROM clerk");
  });

  it("are tried by an administrator before they bind anybody", async () => {
    for (const sql of [
      "CREATE SECURITY BUNDLE",
      "DROP CLS POLICY cards ON people",
      "DROP RLS POLICY small ON people",
    ])
      await run(sql);
    const version = core.control.cluster.latest!.epoch.number + 1;
    expect(await refused("SET scratchbird.test_bundle_version = 999")).toMatch(
      /^22023 there is no security bundle 999 to be tried The draft has version \d+/,
    );
    await run(`SET scratchbird.test_bundle_version = ${version}`);
    expect(await asClerk(all)).toBe("1|1111|-, 2|2222|-");
    await run("DROP CLS POLICY pays ON people");
    expect(await asClerk(all)).toBe("1|1111|10, 2|2222|20");
    await run("SET scratchbird.test_bundle_version = 1");
    expect(await asClerk(all)).toBe("1|1111|10, 2|2222|20, 3|3333|30");
    expect(await refused("INSERT INTO people VALUES (9, 1, '9', 9)")).toMatch(
      /^25006 cannot execute INSERT while a security bundle is tried/,
    );
    expect(await refused("CREATE TABLE stolen AS SELECT * FROM people")).toMatch(/^25006/);
    expect(
      await value(
        "SELECT count(*) FROM sys.audit_events WHERE payload->>'action' = 'TRY SECURITY BUNDLE' AND payload->>'user' = 'admin'",
      ),
    ).toBe("2");
    await run("RESET ALL");
    expect(await asClerk(all)).toBe("1|**11|-, 2|**22|-");
    await run("CREATE ROLE nosy LOGIN");
    const other = core.server.openSession({
      user: "nosy",
      database: "bundles",
      settings: new Map([["scratchbird.test_bundle_version", "1"]]),
      remoteAddress: "test",
      encrypted: false,
    });
    const mine = session;
    session = other;
    try {
      expect(await refused("SELECT 1 FROM people")).toMatch(
        /^42501 permission denied to try a security bundle/,
      );
      await run("RESET scratchbird.test_bundle_version; SET scratchbird.test_bundle_version = 0");
      expect(await refused("SET scratchbird.test_bundle_version = 1")).toMatch(/^42501/);
    } finally {
      other.close();
      session = mine;
    }
    await run("DROP SECURITY BUNDLE DRAFT");
  });

  it("keep what they name from being renamed, dropped or changed", async () => {
    for (const [sql, what] of [
      ["ALTER TABLE people RENAME COLUMN dept TO department", 'RLS policy "opened"'],
      ["ALTER TABLE people DROP COLUMN dept CASCADE", 'RLS policy "opened"'],
      ["ALTER TABLE depts RENAME TO departments", 'RLS policy "opened"'],
      ["DROP TABLE depts CASCADE", 'RLS policy "opened"'],
      ["ALTER TABLE people ALTER COLUMN card TYPE varchar(10)", 'CLS policy "cards"'],
    ] as const)
      expect(await refused(sql)).toMatch(
        new RegExp(`^2BP01 cannot be done because ${what} of the security bundle depends on it`),
      );
    await run("ALTER TABLE people RENAME COLUMN card TO pan");
    expect(await asClerk("SELECT pan FROM people ORDER BY id")).toBe("**11, **22");
    await run("ALTER TABLE people RENAME COLUMN pan TO card");
  });

  it("are taken back by a rollback, and left out when their table is gone", async () => {
    const { version } = core.control.cluster.bundle;
    await run("ROLLBACK SECURITY BUNDLE TO VERSION 1");
    expect(await asClerk(all)).toBe("1|1111|10, 2|2222|20, 3|3333|30");
    await run(`ROLLBACK SECURITY BUNDLE TO VERSION ${version}`);
    expect(await asClerk(all)).toBe("1|**11|-, 2|**22|-");
    await run("DROP TABLE people; DROP TABLE depts");
    expect(await publish("CREATE RLS POLICY other ON t USING (a > 0)")).toEqual([
      'RLS policy "opened" is left out: its table is gone',
      'RLS policy "small" is left out: its table is gone',
      'CLS policy "cards" is left out: its column is gone',
      'CLS policy "pays" is left out: its column is gone',
    ]);
    expect(
      await value("SELECT string_agg(rule_name, ' ' ORDER BY rule_name) FROM sys.security_bundle_rules"),
    ).toBe("last2 other");
  });

  it("that mean nothing any more are not published", async () => {
    await run("CREATE TABLE u (a int)");
    await run("CREATE SECURITY BUNDLE");
    await run("CREATE RLS POLICY broken ON u USING (a > 1)");
    await run("ALTER TABLE u RENAME COLUMN a TO b");
    await untilNext();
    expect(await refused("PUBLISH SECURITY BUNDLE")).toBe(
      '55000 RLS policy "broken" cannot be put into effect column "a" does not exist.',
    );
    await run("DROP SECURITY BUNDLE DRAFT");
  });
});

describe("audit rules of a bundle", () => {
  const told = async (sql: string, role = "NONE"): Promise<unknown[]> => {
    const from = await value("SELECT max(event_sequence) FROM sys.audit_events");
    await run(`SET ROLE ${role}`);
    await run(sql).catch((error: unknown) => {
      if (!(error instanceof DbError)) throw error;
      session.failed(error);
    });
    await run("RESET ROLE");
    const { rows } = await run(
      `SELECT event_type, payload FROM sys.audit_events WHERE event_sequence > ${from} AND event_type IN ('QUERY_EXECUTED', 'DML_EXECUTED') ORDER BY event_sequence`,
    );
    return rows.map(([type, payload]) => {
      const {
        query_hash: _,
        duration_ms: __,
        user: ___,
        ...rest
      } = JSON.parse(payload!) as Record<string, unknown>;
      return [type, rest];
    });
  };

  it("tell of what they name, in the detail that they ask for", async () => {
    await run(
      "CREATE ROLE spy; CREATE TABLE logged (a int, b text); CREATE TABLE quiet (a int); GRANT ALL ON logged, quiet TO spy",
    );
    await run("CREATE SECURITY BUNDLE");
    await run("CREATE AUDIT RULE reads LEVEL 'COLUMN' SCOPE 'DML' ON logged LOG (success, parameters)");
    await run("CREATE AUDIT RULE counts LEVEL 'STATEMENT' SCOPE 'DML' ON logged LOG (row_count)");
    await run("CREATE AUDIT RULE errors LEVEL 'STATEMENT' SCOPE 'ALL' FOR spy LOG (failure)");
    await untilNext();
    await run("PUBLISH SECURITY BUNDLE");
    const rules = ["counts", "reads"];
    const objects = ["public.logged"];
    expect(await told("INSERT INTO logged VALUES (1, 'x'), (2, 'y')")).toEqual([
      [
        "DML_EXECUTED",
        {
          objects,
          actions: ["INSERT"],
          columns: ["public.logged.a", "public.logged.b"],
          rules,
          parameters: [],
        },
      ],
      ["DML_EXECUTED", { rows_affected: 2 }],
    ]);
    expect(await told("PREPARE p AS SELECT a FROM logged WHERE b = $1; EXECUTE p('y')")).toMatchObject([
      [
        "QUERY_EXECUTED",
        { actions: ["SELECT"], columns: ["public.logged.a", "public.logged.b"], parameters: ["y"] },
      ],
      ["QUERY_EXECUTED", { rows_affected: 1 }],
    ]);
    expect(await told("SELECT * FROM quiet")).toEqual([]);
    expect(await told("SELECT 1 / 0")).toEqual([]);
    expect(await told("SELECT 1 / 0", "spy")).toEqual([
      ["QUERY_EXECUTED", { rows_affected: 0, sqlstate: "22012" }],
    ]);
    expect(await told("SELECT * FROM nowhere", "spy")).toEqual([
      ["QUERY_EXECUTED", { rows_affected: 0, sqlstate: "42P01" }],
    ]);
    expect(await told("SELECT * FROM quiet", "spy")).toEqual([]);
  });
});
