/** Administrative statements over both protocols, against a control plane of plain Maps. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { ChurnWindow, roleBits } from "../cluster/index.js";
import { FakeClusterAdmin, fakeClusterUuid, fakeNodeUuid } from "../cluster/testing.js";
import { loadConfig } from "../config.js";
import type { Batch } from "../model/batch.js";
import { defaultSettings, typeOutput } from "../model/types.js";
import { type NodeCore, openCore } from "../node.js";
import type { Log } from "../observe/index.js";
import { hostClock, hostRandom } from "../platform/host.js";
import type { Clock, Platform } from "../platform/index.js";
import {
  fingerprintOf,
  type KeyAndCertificate,
  nodeRequest,
  readShare,
  splitKey,
} from "../security/index.js";
import { createCa, issueNodeCertificate } from "../security/testing.js";
import { simPlatform } from "../sim/platform.js";
import { simTrust } from "../sim/trust.js";
import type { OutputColumn } from "../sql/plan.js";
import type { Notice, ResultSink, Session } from "./index.js";
import { Server } from "./index.js";

const second = "0190a8c0-0000-7000-8000-000000000002";
const third = "0190a8c0-0000-7000-8000-000000000003";
const now = Date.parse("2030-01-01T00:00:00Z");

/** The same clock, showing another time. */
function clockAt(clock: Clock, at: number): Clock {
  return {
    now: () => at,
    monotonic: () => clock.monotonic(),
    after: (delayMs, run) => clock.after(delayMs, run),
    yield: () => clock.yield(),
  };
}

class Sink implements ResultSink {
  readonly tags: string[] = [];
  readonly notices: Notice[] = [];
  readonly rowsSeen: (string | null)[][] = [];
  described: readonly OutputColumn[] | undefined;
  suspended = 0;
  rowDescription(columns: readonly OutputColumn[]): void {
    this.described = columns;
  }
  rows(batch: Batch, columns: readonly OutputColumn[]): boolean {
    for (let row = 0; row < batch.length; row++)
      this.rowsSeen.push(
        columns.map(({ type }, at) => {
          const value = batch.columns[at]![row]!;
          return value === null ? null : typeOutput(type.oid, value, defaultSettings);
        }),
      );
    return true;
  }
  drained(): Promise<void> {
    return Promise.resolve();
  }
  complete(tag: string): void {
    this.tags.push(tag);
  }
  emptyQuery(): void {}
  portalSuspended(): void {
    this.suspended++;
  }
  notice(notice: Notice): void {
    this.notices.push(notice);
  }
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
});
afterAll(() => core.close());

let admin: FakeClusterAdmin;
let session: Session;
let server: Server;
let logged: { message: string; fields: Readonly<Record<string, unknown>> | undefined }[];

function start(options: ConstructorParameters<typeof FakeClusterAdmin>[0] = {}): void {
  admin = new FakeClusterAdmin({ now: () => now, ...options });
  logged = [];
  const churn = new ChurnWindow(now - 7_200_000);
  churn.noteMembers(admin.view.members, now);
  server = new Server({
    ...core.server.options,
    clock: clockAt(core.server.options.clock, now),
    admin,
    churn,
    log: (message, fields) => logged.push({ message, fields }),
  });
  session = open();
}
function open(remoteAddress = "", via?: string): Session {
  return server.openSession({
    user: "admin",
    database: "test",
    settings: new Map([["TimeZone", "UTC"]]),
    remoteAddress,
    encrypted: false,
    via,
  });
}

beforeEach(() => start());
afterEach(() => session.close());

async function simple(sql: string, by = session): Promise<Sink> {
  const sink = new Sink();
  try {
    await by.simpleQuery(sql, sink);
  } catch (error) {
    if (error instanceof DbError) by.failed(error);
    throw error;
  }
  return sink;
}

/** Parse, Describe, Bind, Describe, Execute, Sync. */
async function extended(sql: string, maxRows = 0): Promise<Sink> {
  const sink = new Sink();
  try {
    await session.parse("", sql, []);
    const described = await session.describeStatement("");
    expect(described.parameterTypes).toEqual([]);
    await session.bind("", "", [], [], []);
    expect(session.describePortal("").columns).toEqual(described.columns);
    sink.described = described.columns;
    await session.execute("", maxRows, sink);
    while (sink.tags.length === 0) await session.execute("", maxRows, sink);
    await session.sync();
  } catch (error) {
    if (error instanceof DbError) session.failed(error);
    throw error;
  }
  return sink;
}

async function failure(work: Promise<unknown>): Promise<DbError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof DbError) return error;
    throw error;
  }
  throw new Error("was accepted");
}
const shown = ({ sqlstate, message, fields }: DbError): string =>
  `${sqlstate} ${message}${fields.detail === undefined ? "" : ` (${fields.detail})`}`;
const names = (columns: readonly OutputColumn[] | undefined): string[] | undefined =>
  columns?.map((one) => one.name);

describe.each([
  ["simple", (sql: string) => simple(sql)],
  ["extended", (sql: string) => extended(sql)],
])("over the %s protocol", (_protocol, run) => {
  beforeEach(() => {
    admin.addMember({ uuid: second, name: "node-2" });
    admin.addMember({ uuid: third, name: "n3", state: "DISABLED" });
  });

  it.each([
    [
      "ENABLE NODE n3",
      "ENABLE NODE",
      { kind: "moveMember", node: third, to: "ENABLED", reason: "enabled by admin" },
    ],
    [
      `DISABLE NODE '${second}' REASON 'disk'`,
      "DISABLE NODE",
      { kind: "moveMember", node: second, to: "DISABLED", reason: "disk" },
    ],
    [
      `REMOVE NODE "node-2" REASON 'old'`,
      "REMOVE NODE",
      { kind: "removeMember", node: second, reason: "old", force: false, allowDataLoss: false },
    ],
    [
      `REMOVE NODE IF EXISTS "node-2" REASON 'old' FORCE ALLOW DATA LOSS`,
      "REMOVE NODE",
      { kind: "removeMember", node: second, reason: "old", force: true, allowDataLoss: true },
    ],
    [
      "ALTER CLUSTER REMOVE NODE n3 GRACEFUL",
      "ALTER CLUSTER",
      { kind: "removeMember", node: third, reason: "removed by admin", force: false, allowDataLoss: false },
    ],
    [
      "ALTER CLUSTER REMOVE NODE n3 REASON 'dead' FORCE",
      "ALTER CLUSTER",
      { kind: "removeMember", node: third, reason: "dead", force: true, allowDataLoss: false },
    ],
    [
      "ALTER NODE n3 SET ROLES engine, 'Learner'",
      "ALTER NODE",
      { kind: "setRoles", node: third, roles: roleBits.SHARD_OWNER | roleBits.LEARNER },
    ],
    [
      "ALTER NODE n3 SET ADDRESSES 'h:6435'",
      "ALTER NODE",
      { kind: "setAddresses", node: third, addresses: { control: "h:6435", rpc: "h:7435", pg: "h:5435" } },
    ],
    [
      "ALTER CLUSTER SET epoch.convergence_timeout = '600 s'",
      "ALTER CLUSTER",
      { kind: "set", key: "epoch.convergence_timeout", value: "10min" },
    ],
    [
      "ALTER CLUSTER SET epoch.convergence_timeout TO DEFAULT",
      "ALTER CLUSTER",
      { kind: "reset", key: "epoch.convergence_timeout" },
    ],
    [
      "ALTER CLUSTER RESET epoch.convergence_timeout",
      "ALTER CLUSTER",
      { kind: "reset", key: "epoch.convergence_timeout" },
    ],
  ])("%s", async (sql, tag, change) => {
    const sink = await run(sql);
    expect(sink.tags).toEqual([tag]);
    expect(sink.described).toBeUndefined();
    expect(sink.rowsSeen).toEqual([]);
    expect(admin.changes).toEqual([{ change, by: "admin" }]);
    expect(logged.at(-1)?.message).toMatch(/^administration: /);
  });

  it("a forced cutover names the nodes, and only a converging epoch takes one", async () => {
    const sql = `ALTER CLUSTER FORCE CUTOVER TO EPOCH 2 DISABLING NODES ("node-2", '${third}', n3)`;
    expect(shown(await failure(run(sql)))).toBe(
      "55000 epoch 2 is not converging (The newest epoch is 1, and EFFECTIVE.)",
    );
    admin.publish("new CA", "admin", "CONVERGING");
    expect((await run(sql)).tags).toEqual(["ALTER CLUSTER"]);
    expect(admin.changes).toEqual([
      { change: { kind: "forceCutover", epoch: 2, disabling: [second, third] }, by: "admin" },
    ]);
  });

  it("ALTER CLUSTER ADD NODE answers a token and what to run", async () => {
    const sink = await run("ALTER CLUSTER ADD NODE 'db4.example.com:6533'");
    expect(sink.tags).toEqual(["ALTER CLUSTER"]);
    expect(names(sink.described)).toEqual(["join_token", "command"]);
    expect(sink.rowsSeen).toEqual([
      [
        "token-1",
        "scratchbird join --token token-1 --peer 127.0.0.1:6433 --host db4.example.com --control-port 6533",
      ],
    ]);
    expect(admin.tokens).toEqual([
      { by: "admin", ttlMs: 3_600_000, roles: roleBits.VOTER | roleBits.SHARD_OWNER | roleBits.COORDINATOR },
    ]);
    const other = await run("ALTER CLUSTER ADD NODE '[::1]' WITH ROLES = ['monitor']");
    expect(other.rowsSeen[0]![1]).toBe("scratchbird join --token token-2 --peer 127.0.0.1:6433 --host ::1");
    expect(admin.tokens[1]?.roles).toBe(roleBits.MONITOR);
    expect(shown(await failure(run("ALTER CLUSTER ADD NODE '127.0.0.1:6433'")))).toBe(
      '42710 node "node-1" is at 127.0.0.1:6433 already',
    );
    expect(JSON.stringify(logged)).not.toContain("token-");
  });

  it("SHOW CLUSTER has one row", async () => {
    const columns =
      "cluster_name cluster_uuid epoch epoch_state leader term nodes_enabled voters quorum shards stability_score degraded";
    for (const sql of ["SHOW CLUSTER", "show cluster status"]) {
      const sink = await run(sql);
      expect(names(sink.described)).toEqual(columns.split(" "));
      expect(sink.rowsSeen).toEqual([
        ["fake", fakeClusterUuid, "1", "EFFECTIVE", "node-1", "1", "2", "2", "2", "1", "1", "f"],
      ]);
      expect(sink.tags).toEqual(["SHOW"]);
    }
    admin.status = { ...admin.status, leader: undefined, hasQuorum: false };
    expect(
      (await run("SHOW CLUSTER")).rowsSeen[0]!.map((value, at) => (at === 4 || at === 11 ? value : "")),
    ).toEqual(columns.split(" ").map((name) => (name === "leader" ? null : name === "degraded" ? "t" : "")));
  });

  it.each(["nodes", "epochs", "settings"])("SHOW CLUSTER %s is the view", async (word) => {
    const sink = await run(`SHOW CLUSTER ${word}`);
    const view = await run(
      `SELECT * FROM sys.${word}${word === "settings" ? " WHERE name ~ '^[a-z_]+[.]' AND name !~ '^scratchbird'" : ""}`,
    );
    expect(sink.tags).toEqual(["SHOW"]);
    expect(sink.described).toEqual(view.described?.map(({ name, type }) => ({ name, type })));
    expect(sink.rowsSeen).toEqual(view.rowsSeen);
    expect(sink.rowsSeen.length).toBeGreaterThan(0);
  });

  it.each([
    ["SHOW CLUSTER SHARDS", "0A000 SHOW CLUSTER SHARDS is not supported yet"],
    ["ALTER NODE n3 DRAIN SHARDS", "0A000 ALTER NODE DRAIN SHARDS is not supported yet"],
    ["ROTATE CA STABILITY WINDOW 'soon'", '22023 invalid stability window: "soon"'],
    ["REVOKE CERTIFICATE 'serial'", '22023 "serial" is no serial number'],
    ["REVOKE CERTIFICATE FOR NODE n4", '42704 node "n4" does not exist'],
    ["REVOKE CERTIFICATE REASON 'x'", '42601 syntax error at or near "REASON"'],
    ["ISSUE CERTIFICATE FROM CSR 'AAAA'", "42601 a certificate is issued FOR NODE, FOR USER or FOR SERVICE"],
    ["ISSUE CERTIFICATE FROM CSR 'AAAA' FOR USER nobody", '42704 role "nobody" does not exist'],
    [
      "ISSUE CERTIFICATE FROM CSR '' FOR USER admin",
      "22023 the certificate request cannot be read (It takes PEM, or the base64 of the DER.)",
    ],
    [
      "ALTER CLUSTER CA POLICY EXTEND OVERLAP BY '1 day'",
      "55000 no rotation of the certificate authority is under way",
    ],
    [
      "ALTER CLUSTER CA POLICY CUTOVER TO NEW CA",
      "55000 no rotation of the certificate authority is under way",
    ],
    [
      "ALTER CLUSTER CA POLICY EMERGENCY REVOKE CA 'x' REPLACE WITH 'y'",
      '42704 certificate authority "x" is not trusted',
    ],
    [
      "BACKUP CA KEY SHARES 1 OF 5",
      "22023 a key is not split into 5 shares of which 1 suffice (SHARES m OF n takes m from 2 to n, and n up to 255.)",
    ],
    [
      "BACKUP CA KEY SHARES 3 OF 256",
      "22023 a key is not split into 256 shares of which 3 suffice (SHARES m OF n takes m from 2 to n, and n up to 255.)",
    ],
    ["BACKUP CA KEY SHARES 3", "42601 syntax error at end of input"],
    ["RECOVER CA KEY FROM SHARES 'a'", "22023 the share given as number 1 is mistyped"],
    ["ALTER CLUSTER SET replication.factor = $1", '42601 syntax error at or near "$1"'],
    ["DISABLE NODE n3", "42601 syntax error at end of input"],
    ["ALTER CLUSTER REMOVE NODE n3 GRACEFUL FORCE", "42601 GRACEFUL and FORCE exclude each other"],
    ["DISABLE NODE n4 REASON 'x'", '42704 node "n4" does not exist'],
    [
      "DISABLE NODE n3 REASON 'x'",
      '55000 node "n3" is DISABLED (Only a node that is ENABLED can be disabled.)',
    ],
    ["ALTER CLUSTER RESET replication.fakter", '42704 unrecognized cluster setting "replication.fakter"'],
  ])("%s is refused", async (sql, error) => {
    expect(shown(await failure(run(sql)))).toBe(error);
    expect(admin.changes).toEqual([]);
    expect((await run("SELECT 1")).tags).toEqual(["SELECT 1"]);
  });

  it("what only the keeper of the CA's key can do is asked of it", async () => {
    const serial = "4a".repeat(16);
    const certificate = { serial, issuer: "ab".repeat(32), notBefore: 0, notAfter: Date.UTC(2030, 0, 1) };
    const id = "0190a8c0-0000-7000-8000-0000000000aa";
    admin.answer = { id, certificate, certificatePem: "the certificate", revoked: [serial] };
    const request = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    const by = "admin";
    for (const [sql, asked, row] of [
      ["ROTATE CA", { kind: "rotate", windowMs: 3_600_000, by }, [id, null]],
      ["ROTATE CA STABILITY WINDOW '10 s'", { kind: "rotate", windowMs: 10_000, by }, [id, null]],
      [
        `REVOKE CERTIFICATE '${serial.toUpperCase()}'`,
        { kind: "revoke", serial, reason: "cessationOfOperation", by },
      ],
      [
        "REVOKE CERTIFICATE FOR NODE n3 REASON 'key compromised'",
        { kind: "revoke", node: admin.view.memberByName("n3")!.uuid, reason: "keyCompromise", by },
      ],
      [
        "ISSUE CERTIFICATE FROM CSR 'AAAA' FOR USER admin",
        { kind: "issue", requestPem: request, to: "user", name: "admin", by },
        [serial, "2030-01-01 00:00:00+00", "the certificate"],
      ],
      [
        `ISSUE CERTIFICATE FROM CSR '${request}' FOR SERVICE 'kafka sink'`,
        { kind: "issue", requestPem: request, to: "service", name: "kafka sink", by },
        [serial, "2030-01-01 00:00:00+00", "the certificate"],
      ],
    ] as const) {
      const sink = await run(sql);
      expect(admin.asked.at(-1)).toEqual(asked);
      expect(sink.rowsSeen).toEqual(row === undefined ? [] : [row]);
      expect(sink.tags).toEqual([sql.split(" ").slice(0, 2).join(" ")]);
    }
    admin.answer = { revoked: [] };
    expect((await run(`REVOKE CERTIFICATE '${serial}'`)).notices.map(({ message }) => message)).toEqual([
      "the certificate is revoked already",
    ]);
  });

  it("revokes a CA in an emergency, which the audit tells of as critical", async () => {
    const ca = await createCa(fakeClusterUuid, hostClock, hostRandom);
    const { certificatePem } = ca;
    admin.answer = { id: second, authorityPem: certificatePem };
    const authority = "ab".repeat(32);
    const trusted = { certificatePem, primary: true, trustedFrom: 0, trustedUntil: undefined };
    Object.assign(admin.view, {
      authorities: [{ ...trusted, fingerprint: authority, crlPem: undefined }],
    });
    const spelled = authority.toUpperCase().match(/../g)!.join(":");
    const urgent = { kind: "emergency", authority, certificatePem, by: "admin" };
    const row = [second, fingerprintOf(new X509Certificate(certificatePem))];
    const plain = `ALTER CLUSTER CA POLICY EMERGENCY REVOKE CA '${spelled}' REPLACE WITH '${certificatePem}'`;
    const sink = await run(plain);
    expect(admin.asked.at(-1)).toEqual({ ...urgent, immediate: false });
    expect(sink.rowsSeen).toEqual([row]);
    expect(sink.notices.map(({ message }) => message)).toEqual([
      "nodes without a certificate of the new CA are left behind in 10min",
    ]);
    expect((await run(`${plain} FORCE IMMEDIATE`)).notices).toEqual([]);
    expect(admin.asked.at(-1)).toEqual({ ...urgent, immediate: true });
    for (const uuid of [second, third]) admin.view.members.delete(uuid);
    const events = "SELECT severity, event_type FROM sys.audit_events ORDER BY event_sequence DESC LIMIT 20";
    expect((await simple(events)).rowsSeen).toContainEqual(["CRITICAL", "CA_EMERGENCY"]);
  });

  it("extends an overlap from its end on, or from now if that is over", async () => {
    const id = "0190a8c0-0000-7000-8000-0000000000aa";
    const one = { certificatePem: "", trustedFrom: 0, crlPem: undefined };
    const day = 86_400_000;
    for (const [end, until] of [
      [now + day, now + 8 * day],
      [now - day, now + 7 * day],
    ] as const) {
      Object.assign(admin.view, {
        rotation: { id },
        authorities: [
          { ...one, fingerprint: "aa", primary: false, trustedUntil: end },
          { ...one, fingerprint: "bb", primary: true, trustedUntil: undefined },
        ],
      });
      await run("ALTER CLUSTER CA POLICY EXTEND OVERLAP BY '7 days'");
      expect(admin.changes.at(-1)!.change).toEqual({ kind: "extendOverlap", id, until });
    }
    for (const [text, message] of [
      ["soon", 'invalid extension: "soon"'],
      ["0s", "an overlap is extended by more than 0 and at most 366 days"],
      ["367 days", "an overlap is extended by more than 0 and at most 366 days"],
    ])
      await expect(run(`ALTER CLUSTER CA POLICY EXTEND OVERLAP BY '${text}'`)).rejects.toMatchObject({
        message,
      });
  });

  it("makes a CA where it is told", async () => {
    const ca = await createCa(fakeClusterUuid, hostClock, hostRandom);
    admin.answer = { authorityPem: ca.certificatePem };
    await run('CREATE CA ON NODE "node-2"');
    expect(admin.asked.at(-1)).toEqual({ kind: "createCa", node: second, by: "admin" });
  });

  it("gives shares of the CA's key out and takes them, and shows them nowhere else", async () => {
    const ca = await createCa(fakeClusterUuid, hostClock, hostRandom);
    const pkcs8 = createPrivateKey(ca.keyPem).export({ format: "der", type: "pkcs8" });
    const split = (needed: number, total: number): Promise<string[]> =>
      splitKey(pkcs8, ca.certificatePem, hostRandom, { needed, total });
    const shares = await split(3, 5);
    const by = "admin";
    admin.answer = { authorityPem: ca.certificatePem, shares };
    for (const sql of ["BACKUP CA KEY", "BACKUP CA KEY SHARES 3 OF 5"]) {
      const sink = await run(sql);
      expect(admin.asked.at(-1)).toEqual({ kind: "splitKey", needed: 3, total: 5, by });
      expect(names(sink.described)).toEqual(["number", "share", "share_set", "fingerprint"]);
      const { set, fingerprint } = readShare(shares[0]!);
      expect(sink.rowsSeen).toEqual(shares.map((share, at) => [String(at + 1), share, set, fingerprint]));
    }

    const list = shares.slice(0, 3).map((one) => `'${one}'`);
    const node = fakeNodeUuid;
    for (const sql of [
      `RECOVER CA KEY FROM SHARES ${list.join(", ")}`,
      `recover /* as told */ ca key from shares (${list.join(", ")})`,
    ]) {
      const sink = await run(sql);
      expect(admin.asked.at(-1)).toEqual({ kind: "recoverKey", node, shares: shares.slice(0, 3), by });
      expect(sink.rowsSeen).toEqual([[readShare(shares[0]!).fingerprint, "node-1"]]);
    }

    // What somebody mistypes is a share all the same.
    const wrong = shares[1]!.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
    const statements = [
      [`RECOVER CA KEY FROM SHARES '${shares[0]}', '${wrong}'`, "22023 share 2 is mistyped"],
      [`RECOVER CA KEY FROM SHARES '${shares[0]}' '${shares[1]}'`, '42601 syntax error at or near "***"'],
      [`RECOVER CA KEY FROM SHARES ${shares[0]}`, /^42601 /],
      [`RECOVER CA KEY SHARES '${shares[0]}'`, '42601 syntax error at or near "SHARES"'],
      [`RECOVER CA KEY FROM SHARES '${shares[0]}`, "42601 unterminated quoted string"],
      [`SELECT '${shares[0]}'::int`, /^22P02 /],
    ] as const;
    const said: string[] = [];
    const watcher = open();
    for (const [sql, wanted] of statements) {
      await simple("SET log_min_duration_statement = 0");
      const error = await failure(run(sql));
      if (typeof wanted === "string") expect(shown(error)).toBe(wanted);
      else expect(shown(error)).toMatch(wanted);
      if (!sql.startsWith("SELECT")) said.push(shown(error), JSON.stringify(error.fields));
      for (const view of ["pg_stat_activity", "sys.sessions"])
        said.push(JSON.stringify((await simple(`SELECT * FROM ${view}`, watcher)).rowsSeen));
    }
    watcher.close();
    said.push(JSON.stringify(logged));
    // The others' chains are not here.
    for (const uuid of [second, third]) admin.view.members.delete(uuid);
    said.push(JSON.stringify((await simple("SELECT * FROM sys.audit_events")).rowsSeen));
    for (const share of shares) {
      const secret = share.split("-")[7]!;
      for (const text of said) expect(text).not.toContain(secret.slice(0, 24));
    }
    for (const text of said.slice(-2)) expect(text).toContain("RECOVER CA KEY");
  });

  it("gives no shares to who can be read along", async () => {
    session.close();
    session = open("192.0.2.1:4711");
    const error = await failure(run("BACKUP CA KEY"));
    expect(shown(error)).toBe("55000 shares of a key are not sent over a connection without TLS");
    expect(admin.asked).toEqual([]);
  });

  it("brings the key to the node that the client is connected to", async () => {
    const ca = await createCa(fakeClusterUuid, hostClock, hostRandom);
    const pkcs8 = createPrivateKey(ca.keyPem).export({ format: "der", type: "pkcs8" });
    const shares = await splitKey(pkcs8, ca.certificatePem, hostRandom, { needed: 2, total: 2 });
    admin.answer = { authorityPem: ca.certificatePem };
    session.close();
    session = open("192.0.2.1:4711", second);
    const sink = await run(`RECOVER CA KEY FROM SHARES '${shares[0]}', '${shares[1]}'`);
    expect(admin.asked.at(-1)).toEqual({ kind: "recoverKey", node: second, shares, by: "admin" });
    expect(sink.rowsSeen).toEqual([[readShare(shares[0]!).fingerprint, "node-2"]]);
    expect(sink.notices.map(({ message }) => message)).toEqual([
      "the shares came over a connection without TLS: replace the CA (ROTATE CA)",
    ]);
  });

  it("tells what the control plane refuses, and goes on", async () => {
    admin.refusal = new DbError("cannotConnectNow", "no leader is known", {
      detail: "NO_LEADER: try again.",
    });
    const sql = "ALTER CLUSTER SET replication.factor = 3";
    expect(shown(await failure(run(sql)))).toBe("57P03 no leader is known (NO_LEADER: try again.)");
    expect(logged.at(-1)).toEqual({
      message: "administration: ALTER CLUSTER SET was refused",
      fields: { user: "admin", target: "replication.factor", pid: session.pid, sqlstate: "57P03" },
    });
    expect((await run(sql)).tags).toEqual(["ALTER CLUSTER"]);
  });

  it("create_join_token() waits for the control plane", async () => {
    let enter: () => void = () => {};
    admin.gate = new Promise((resolve) => {
      enter = resolve;
    });
    const asked = run("SELECT create_join_token('2 hours', '{learner}')");
    await new Promise((resolve) => setImmediate(resolve));
    enter();
    expect((await asked).rowsSeen).toEqual([["token-1"]]);
    expect(admin.tokens).toEqual([{ by: "admin", ttlMs: 7_200_000, roles: roleBits.LEARNER }]);
    admin.refusal = new DbError("cannotConnectNow", "no leader is known");
    expect((await failure(run("SELECT create_join_token()"))).sqlstate).toBe("57P03");
    expect((await run("SELECT create_join_token()")).rowsSeen).toEqual([["token-3"]]);
    expect(JSON.stringify(logged)).not.toContain("token-");
  });
});

describe("join tokens", () => {
  it("are the same within one message, for the same arguments", async () => {
    const sink = await simple(
      "SELECT create_join_token() || create_join_token() || create_join_token('5 min') FROM generate_series(1, 2)",
    );
    expect(sink.rowsSeen).toEqual([["token-1token-1token-2"], ["token-1token-1token-2"]]);
    expect((await simple("SELECT create_join_token()")).rowsSeen).toEqual([["token-3"]]);
  });

  it("may be made inside a transaction", async () => {
    await simple("BEGIN");
    expect((await simple("SELECT create_join_token()")).rowsSeen).toEqual([["token-1"]]);
    await simple("COMMIT");
  });

  it("a statement that is cancelled while one is made goes on to the next", async () => {
    admin.gate = new Promise(() => {});
    const asked = failure(simple("SELECT create_join_token()"));
    await new Promise((resolve) => setImmediate(resolve));
    session.cancel(new DbError("queryCanceled", "canceling statement due to user request"));
    expect((await asked).sqlstate).toBe("57014");
    admin.gate = Promise.resolve();
    expect((await simple("SELECT create_join_token()")).rowsSeen).toEqual([["token-2"]]);
  });
});

describe("transactions", () => {
  const sql = "ALTER CLUSTER SET replication.factor = 3";

  it("are no place for changes of the cluster", async () => {
    await simple("BEGIN");
    expect(shown(await failure(simple(sql)))).toBe(
      "25001 ALTER CLUSTER cannot run inside a transaction block",
    );
    await simple("ROLLBACK");
    expect(shown(await failure(simple(`${sql}; SELECT 1`)))).toBe(
      "25001 ALTER CLUSTER cannot run inside a transaction block",
    );
    expect(admin.changes).toEqual([]);
    expect((await simple(sql)).tags).toEqual(["ALTER CLUSTER"]);
  });

  it("that a pipeline has begun are none either", async () => {
    await simple("CREATE TABLE IF NOT EXISTS piped (a int)");
    const sink = new Sink();
    const send = async (text: string): Promise<void> => {
      await session.parse("", text, []);
      await session.bind("", "", [], [], []);
      await session.execute("", 0, sink);
    };
    await send("SELECT 1");
    await send(sql);
    await send("INSERT INTO piped VALUES (1)");
    const error = await failure(send(sql));
    session.failed(error);
    expect(shown(error)).toBe("25001 ALTER CLUSTER cannot be executed within a pipeline");
    expect(sink.tags).toEqual(["SELECT 1", "ALTER CLUSTER", "INSERT 0 1"]);
    await session.sync();
    expect((await simple("SELECT count(*) FROM piped")).rowsSeen).toEqual([["0"]]);
  });

  it("may look", async () => {
    await simple("BEGIN");
    expect((await simple("SHOW CLUSTER")).tags).toEqual(["SHOW"]);
    expect((await simple("SHOW CLUSTER NODES")).tags).toEqual(["SHOW"]);
    await simple("COMMIT");
    expect((await simple("SHOW CLUSTER; SHOW CLUSTER EPOCHS")).tags).toEqual(["SHOW", "SHOW"]);
  });
});

describe("waiting", () => {
  it("a cancelled statement says that its change may come all the same", async () => {
    let enter: () => void = () => {};
    admin.gate = new Promise((resolve) => {
      enter = resolve;
    });
    const asked = failure(simple("ALTER CLUSTER SET replication.factor = 3"));
    // It is told of durably before it is asked for.
    const other = open();
    const waits = async () =>
      (
        await simple(
          "SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE wait_event IS NOT NULL",
          other,
        )
      ).rowsSeen;
    while ((await waits()).length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(await waits()).toEqual([["IPC", "ClusterChange"]]);
    session.cancel(new DbError("queryCanceled", "canceling statement due to user request"));
    expect(shown(await asked)).toBe(
      "57014 canceling statement due to user request (The change was under way, and may be carried out all the same.)",
    );
    enter();
    await new Promise((resolve) => setImmediate(resolve));
    expect((await simple("SHOW replication.factor")).rowsSeen).toEqual([["3"]]);
  });

  it("a long list is sent in the portions asked for", async () => {
    const sink = await extended("SHOW CLUSTER SETTINGS", 5);
    expect(sink.suspended).toBe(Math.ceil(sink.rowsSeen.length / 5) - 1);
    expect(sink.suspended).toBeGreaterThan(1);
  });
});

describe("ADD NODE", () => {
  const clock = clockAt(hostClock, now);
  let ca: KeyAndCertificate;
  const issued = async (
    by: KeyAndCertificate,
    clusterUuid: string,
    nodeUuid: string,
    at = clock,
  ): Promise<string> => {
    const subject = { clusterUuid, nodeUuid, nodeName: "n2" };
    const { requestPem } = nodeRequest(subject);
    return issueNodeCertificate(by, requestPem, subject, at, hostRandom);
  };
  const statement = (certificate: string, more = ""): string =>
    `ADD NODE ${more}'${second}' WITH NAME n2 ADDRESSES 'h2:6434', 'h2:7000' ROLES engine, coordinator CERTIFICATE '${certificate}'`;

  beforeEach(async () => {
    session.close();
    ca ??= await createCa(fakeClusterUuid, clock, hostRandom);
    start({
      authorities: [
        {
          fingerprint: "",
          certificatePem: ca.certificatePem,
          primary: true,
          trustedFrom: 0,
          trustedUntil: undefined,
          crlPem: undefined,
        },
      ],
    });
  });

  it("takes a certificate of the cluster's CA, as PEM and as base64", async () => {
    const pem = await issued(ca, fakeClusterUuid, second);
    for (const text of [pem, pem.replace(/-----[^-]+-----/g, "")]) {
      expect((await simple(statement(text))).tags).toEqual(["ADD NODE"]);
      const { change } = admin.changes.at(-1)!;
      expect(change).toMatchObject({
        kind: "addMember",
        member: {
          uuid: second,
          name: "n2",
          addresses: { control: "h2:6434", rpc: "h2:7000", pg: "h2:5434" },
          hostLabel: "h2",
          roles: roleBits.VOTER | roleBits.SHARD_OWNER | roleBits.COORDINATOR,
          version: 1000,
        },
      });
      if (change.kind !== "addMember") throw new Error("another change");
      expect(change.member.certFingerprint).toMatch(/^[0-9a-f]{64}$/);
      expect(Buffer.from(change.member.publicKey, "base64")).toHaveLength(32);
      expect(admin.view.members.get(second)?.state).toBe("JOINING");
      expect(shown(await failure(simple(statement(text))))).toBe(
        `42710 node with uuid ${second} already exists`,
      );
      expect((await simple(statement(text, "IF NOT EXISTS "))).notices.map((one) => one.message)).toEqual([
        `node with uuid ${second} already exists, skipping`,
      ]);
      expect(shown(await failure(simple("ENABLE NODE n2")))).toBe(
        '55000 node "n2" is JOINING (Only a node that is DISABLED or FAILED can be enabled.)',
      );
      admin.view.members.delete(second);
    }
    expect(JSON.stringify(logged)).not.toContain("MII");
  });

  it("does not take others", async () => {
    const otherCa = await createCa(fakeClusterUuid, clock, hostRandom);
    const old = clockAt(hostClock, now - 400 * 86_400_000);
    const detail = async (pem: string): Promise<string> => {
      const { sqlstate, message, fields } = await failure(simple(statement(pem)));
      return `${sqlstate} ${message} ${fields.detail?.split(":")[0]}`;
    };
    expect(await detail(await issued(otherCa, fakeClusterUuid, second))).toBe(
      "28000 the certificate is not accepted UNTRUSTED_CA",
    );
    expect(await detail(await issued(ca, third, second))).toBe(
      "28000 the certificate is not accepted WRONG_CLUSTER",
    );
    expect(await detail(await issued(ca, fakeClusterUuid, second, old))).toBe(
      "28000 the certificate is not accepted EXPIRED",
    );
    expect(shown(await failure(simple(statement(await issued(ca, fakeClusterUuid, third)))))).toBe(
      `22023 the certificate is of node ${third}, not of ${second}`,
    );
    expect(shown(await failure(simple(statement("AAAA"))))).toBe(
      "22023 the certificate cannot be read (It takes PEM, or the base64 of a DER certificate.)",
    );
    expect(admin.changes).toEqual([]);
  });

  it("never takes a uuid twice, but the name of a removed node", async () => {
    admin.addMember({ uuid: second, name: "n2", state: "REMOVED" });
    const error = await failure(simple(statement("AAAA")));
    expect(shown(error)).toBe(`42710 node with uuid ${second} already exists`);
    expect(error.fields.hint).toContain("does not come back");
    for (const sql of ["REMOVE NODE n2 REASON 'x'", "ALTER NODE n2 SET ROLES engine"])
      expect(shown(await failure(simple(sql)))).toBe('55000 node "n2" is REMOVED');
    const pem = await issued(ca, fakeClusterUuid, third);
    expect((await simple(statement(pem).replace(second, third))).tags).toEqual(["ADD NODE"]);
  });
});

describe("views", () => {
  beforeEach(() => {
    admin.addMember({ uuid: second, name: "node-2" });
    admin.addMember({ uuid: third, name: "node-3", state: "FAILED", stateReason: "silent" });
    admin.publish("set x", "admin");
    admin.addPeer({ node: second, epoch: 1, lastSeenAt: now - 20_000, roundTripMs: 2500 });
    admin.addPeer({ node: third, connected: false, epoch: 0, lastSeenAt: undefined, roundTripMs: undefined });
  });

  it("sys.nodes knows what was heard of others", async () => {
    const { rowsSeen } = await simple(
      "SELECT node_name, state, epoch, last_seen_at, state_change_reason, is_leader FROM sys.nodes",
    );
    expect(rowsSeen).toEqual([
      ["node-1", "ENABLED", "2", "2030-01-01 00:00:00+00", "joined", "t"],
      ["node-2", "ENABLED", "1", "2029-12-31 23:59:40+00", "joined", "f"],
      ["node-3", "FAILED", null, null, "silent", "f"],
    ]);
  });

  it("sys.epoch_convergence tells who has the newest epoch", async () => {
    const rows = "SELECT node_uuid, version, hash IS NULL, applied_at, status FROM sys.epoch_convergence";
    expect((await simple(rows)).rowsSeen).toEqual([
      [fakeNodeUuid, "2", "f", null, "CONVERGED"],
      [second, "1", "f", null, "BEHIND"],
      [third, null, "t", null, "UNKNOWN"],
    ]);
    admin.publish("new CA", "admin", "CONVERGING");
    admin.view.attestations.set(fakeNodeUuid, {
      node: fakeNodeUuid,
      epoch: 3,
      activatedAt: now,
      observations: [{ peer: second, certFingerprint: "", epoch: 3, observedAt: now, valid: true }],
      signature: "",
    });
    expect((await simple(rows)).rowsSeen).toEqual([
      [fakeNodeUuid, "3", "f", "2030-01-01 00:00:00+00", "CONVERGED"],
      [second, "1", "f", null, "CONVERGING"],
      [third, null, "t", null, "UNKNOWN"],
    ]);
  });

  it("sys.peer_health tells why", async () => {
    const rows = "SELECT peer_name, status, round_trip_ms, epoch, version, reason FROM sys.peer_health";
    expect((await simple(rows)).rowsSeen).toEqual([
      ["node-2", "DEGRADED", "2500", "1", "0.1.0", "silent"],
      ["node-3", "UNREACHABLE", null, null, "0.1.0", "not connected"],
    ]);
  });

  it("sys.churn_metrics counts", async () => {
    const { rowsSeen } = await simple(
      "SELECT node_join_count, cluster_stability_score FROM sys.churn_metrics",
    );
    expect(rowsSeen[0]).toEqual(["0", "1"]);
  });

  it("sys.cluster_events tells what was refused", async () => {
    admin.view.refusedEpochs.push({
      number: 3,
      hash: "",
      condition: "EPOCH_NUMBER_GAP",
      message: "late",
      at: now + 1000,
    });
    const { rowsSeen } = await simple(
      "SELECT event_type, to_state, epoch_number, detail->>'message' FROM sys.cluster_events ORDER BY occurred_at DESC LIMIT 1",
    );
    expect(rowsSeen).toEqual([["EPOCH_REFUSED", null, "3", "late"]]);
    expect((await simple("SHOW CLUSTER")).rowsSeen[0]!.at(-1)).toBe("t");
  });
});

describe.each([
  ["simple", (sql: string) => simple(sql)],
  ["extended", (sql: string) => extended(sql)],
])("on a node that is not enabled, over the %s protocol", (_protocol, run) => {
  const become = (facts: Partial<ReturnType<FakeClusterAdmin["addMember"]>>): void => {
    const own = admin.view.members.get(fakeNodeUuid)!;
    admin.view.members.set(fakeNodeUuid, { ...own, ...facts });
  };
  const others = [
    "SELECT 1",
    "SELECT version()",
    "SELECT a FROM kept",
    "INSERT INTO kept VALUES (1)",
    "SELECT count(*) FROM kept, sys.nodes",
    "CREATE TABLE t (a int)",
    "EXPLAIN SELECT * FROM sys.nodes",
    "ENABLE NODE 'node-1'",
    "ANALYZE",
    "CHECKPOINT",
    "SELECT create_join_token() FROM sys.nodes",
  ];

  beforeAll(async () => {
    start();
    await simple("CREATE TABLE IF NOT EXISTS kept (a int)");
  });

  it.each(["DISABLED", "JOINING", "FAILED"] as const)("shows its status alone: %s", async (state) => {
    become({ state });
    for (const sql of others) {
      const error = await failure(run(sql));
      expect(shown(error), sql).toBe(
        `57P03 node node-1 is ${state} and serves no clients (Only its status is shown: SHOW CLUSTER, and the views of schema sys.)`,
      );
      expect(error.fields.hint).toMatch(/^Connect to another node\. /);
    }
    for (const sql of ["SHOW CLUSTER", "SHOW CLUSTER NODES", "SHOW server_version", "SET work_mem = '8MB'"])
      expect((await run(sql)).tags, sql).toHaveLength(1);
    const nodes = await run("SELECT node_name, state FROM sys.nodes");
    expect(nodes.rowsSeen).toContainEqual(["node-1", state]);
    await run("SELECT relname FROM pg_class WHERE relname = 'kept'");
  });

  it("asks at every statement, also of a plan that is kept, and lets transactions end", async () => {
    await run("SELECT a FROM kept");
    await simple("BEGIN");
    await simple("SELECT a FROM kept");
    become({ state: "DISABLED" });
    expect((await failure(run("SELECT a FROM kept"))).sqlstate).toBe("57P03");
    expect((await simple("COMMIT")).tags).toEqual(["ROLLBACK"]);
    expect((await failure(run("SELECT a FROM kept"))).sqlstate).toBe("57P03");
    become({ state: "ENABLED" });
    await run("SELECT a FROM kept");
  });

  it("refuses work without a role for it", async () => {
    become({ roles: roleBits.VOTER | roleBits.MONITOR });
    expect((await failure(run("SELECT a FROM kept"))).message).toBe(
      "node node-1 has no role to serve clients",
    );
    await run("SELECT node_name FROM sys.nodes");
    become({ roles: roleBits.COORDINATOR });
    await run("SELECT a FROM kept");
  });
});
