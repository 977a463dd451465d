/**
 * Publishing security bundles by SQL, on a whole node that keeps its CA's key: versions, the rate, going back, what is refused and
 * that the draft survives it, views and audit.
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

  it("does not publish what nobody would keep", async () => {
    await run("CREATE TABLE t (a int, b text)");
    await untilNext();
    await run("CREATE SECURITY BUNDLE");
    await run("CREATE RLS POLICY p ON t USING (a > 0)");
    expect(await refused("PUBLISH SECURITY BUNDLE")).toMatch(
      /^0A000 publishing RLS policies is not supported yet BUNDLE_NOT_ENFORCED/,
    );
    // Whoever asks the keeper of the key without this node's checks is told the same.
    const from = { kind: "draft", draft: core.control.cluster.bundleDraft!.id } as const;
    const creator = core.server.audit.userUuid(10);
    await expect(
      core.control.authority({ kind: "publishBundle", from, by: "x", creator }),
    ).rejects.toMatchObject({
      sqlstate: "0A000",
    });
    expect(core.control.cluster.bundle.version).toBe(5);
    await run("DROP SECURITY BUNDLE DRAFT");
  });

  it("leaves an event for each statement, done or refused", async () => {
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
