/** The whole node in process, on a simulated disk and clock and without sockets, as a server of golden scripts. */
import { DbError } from "../../src/base/errors.js";
import { loadConfig } from "../../src/config.js";
import type { Batch } from "../../src/model/batch.js";
import { defaultSettings, typeOutput } from "../../src/model/types.js";
import type { Value } from "../../src/model/value.js";
import { type NodeCore, openCore } from "../../src/node.js";
import type { Log } from "../../src/observe/index.js";
import type { Platform } from "../../src/platform/index.js";
import type { Notice, ResultSink, Session } from "../../src/session/index.js";
import { simPlatform } from "../../src/sim/platform.js";
import { simTrust } from "../../src/sim/trust.js";
import type { OutputColumn } from "../../src/sql/plan.js";
import { errorLines, escapeField, type GoldenServer, type GoldenSession, messageLines } from "./runner.js";

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
    "golden",
  ],
  environment: { SCRATCHBIRD_PASSWORD: "golden" },
  readFile: () => "",
  remembered: () => ({}),
  machineMemoryBytes: 256 << 20,
  isTerminal: false,
});

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

const network: Platform["network"] = {
  listen: () => Promise.reject(new DbError("featureNotSupported", "scripts open no sockets")),
};

export interface GoldenNode extends GoldenServer {
  close(): Promise<void>;
}

export async function openGoldenNode(seed: number): Promise<GoldenNode> {
  const platform = simPlatform(seed);
  const core = await openCore(config, { ...platform, network }, silent, {
    trust: ({ clusterId, nodeId }) => simTrust(clusterId, nodeId),
  });
  const sessions: Session[] = [];
  return {
    session: async () => {
      const session = openSession(core);
      sessions.push(session);
      return new NodeSession(session);
    },
    settle: async () => {
      // Simulated time runs whenever nothing else does, so a bounded number of turns is enough.
      for (let turn = 0; turn < 40; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    },
    close: async () => {
      for (const session of sessions) session.close();
      await core.close();
    },
  };
}

function openSession(core: NodeCore): Session {
  return core.server.openSession({
    user: "admin",
    database: "golden",
    settings: new Map([["TimeZone", "UTC"]]),
    remoteAddress: "",
    encrypted: false,
  });
}

class NodeSession implements GoldenSession {
  constructor(private readonly session: Session) {}

  async run(sql: string): Promise<string[]> {
    const sink = new Lines(this.session);
    try {
      await this.session.simpleQuery(sql, sink);
      await this.session.sync();
    } catch (error) {
      if (!(error instanceof DbError)) {
        // A broken invariant is no answer to a client: shown, so that the script fails with it.
        sink.lines.push(`BROKEN ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
        return sink.lines;
      }
      sink.failed(error);
      this.session.failed(error);
    }
    return sink.lines;
  }
}

class Lines implements ResultSink {
  readonly lines: string[] = [];
  #rows = false;
  #rowsFrom = 0;
  constructor(private readonly session: Session) {}

  /** Rows that came before an error are how a statement was run, not what it answers. */
  failed(error: DbError): void {
    if (this.#rows) this.lines.length = this.#rowsFrom;
    this.lines.push(...errorLines(error));
  }

  rowDescription(columns: readonly OutputColumn[]): void {
    this.#rows = true;
    this.#rowsFrom = this.lines.length;
    this.lines.push(columns.map(({ name }) => name).join("\t"));
  }
  rows(batch: Batch, columns: readonly OutputColumn[]): boolean {
    const settings = this.session.ioSettings ?? defaultSettings;
    const text = (value: Value, column: OutputColumn): string | null =>
      value === null ? null : typeOutput(column.type.oid, value, settings);
    for (let row = 0; row < batch.length; row++) {
      this.lines.push(
        columns.map((column, at) => escapeField(text(batch.columns[at]![row]!, column))).join("\t"),
      );
    }
    return true;
  }
  drained(): Promise<void> {
    return Promise.resolve();
  }
  complete(tag: string): void {
    if (!this.#rows || !tag.startsWith("SELECT")) this.lines.push(tag);
    this.#rows = false;
  }
  emptyQuery(): void {
    this.lines.push("(empty)");
  }
  portalSuspended(): void {}
  notice({ severity, message, detail, hint }: Notice): void {
    this.lines.push(...messageLines(severity, message, detail, hint));
  }
  parameterStatus(): void {}
  notification(_pid: number, channel: string, payload: string): void {
    this.lines.push(`NOTIFY ${channel}: ${payload}`);
  }
  // biome-ignore lint/correctness/useYield: the contract wants an iterable, and scripts send no data
  async *copyIn(): AsyncIterable<Buffer> {
    throw new DbError("featureNotSupported", "scripts send no COPY data");
  }
  copyOutBegin(): void {}
  copyOutData(bytes: Uint8Array): boolean {
    this.lines.push(...Buffer.from(bytes).toString().trimEnd().split("\n"));
    return true;
  }
  copyOutDone(): void {}
}
