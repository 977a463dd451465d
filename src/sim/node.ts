/**
 * One node on the simulated platform, and clients that speak SQL to it: everything below the wire, the same code as on a
 * real machine. A crash is opening the disk that is left, by the same call.
 *
 * Invariant: with the same seed, disk and statements the same history comes out.
 */
import { DbError } from "../base/errors.js";
import { type Config, loadConfig } from "../config.js";
import type { EngineCore } from "../mga/index.js";
import type { Batch } from "../model/batch.js";
import type { Value } from "../model/value.js";
import { type NodeCore, openCore } from "../node.js";
import type { Log, LogFields } from "../observe/index.js";
import type { Platform } from "../platform/index.js";
import type { ResultSink, Session, TransactionStatus } from "../session/contract.js";
import { EngineMemory } from "../wasm/index.js";
import { SimClock } from "./clock.js";
import type { SimDisk } from "./disk.js";
import type { SimPlatform } from "./platform.js";
import { SimRandom } from "./random.js";
import { simTrust } from "./trust.js";

/** Small enough that a thousand nodes can be opened one after the other. */
export function simConfig(args: readonly string[] = []): Config {
  const config = loadConfig({
    args: ["--shards", "2", "--page-size", "8KB", "--buffer-pool", "16MB", ...args],
    environment: { SCRATCHBIRD_PASSWORD: "simulated" },
    readFile: () => "",
    remembered: () => ({}),
    machineMemoryBytes: 256 << 20,
    isTerminal: false,
  });
  // Below what an operator may ask for: the halves turn over within a short run.
  return { ...config, journalSize: 2 << 20 };
}

/** Memory for `openSimNode`, to be lent to one node after the other. */
export function simMemory(config: Config): EngineMemory {
  return new EngineMemory({ pageSize: config.pageSize, poolBytes: config.bufferPool });
}

/** Keeps the lines that say something is wrong; the rest is not looked at. */
export class QuietLog implements Log {
  readonly errors: string[] = [];
  debug(): void {}
  info(): void {}
  warn(): void {}
  error(message: string, fields: LogFields = {}): void {
    const { error } = fields;
    this.errors.push(error instanceof Error ? `${message}: ${error.message}` : message);
  }
  child(): Log {
    return this;
  }
}

/** A platform on a disk that a crash left behind: time goes on, what the dead node had scheduled does not. */
export function platformOn(disk: SimDisk, seed: number): SimPlatform {
  const clock = new SimClock(disk.clock.now());
  disk.clock = clock;
  return { clock, random: new SimRandom(seed), disk };
}

export type Row = readonly Value[];

export interface QueryResult {
  readonly rows: Row[];
  readonly tag: string;
}

/** Collects rows and tags; a simulated client is never slow. */
class Collector implements ResultSink {
  rowsRead: Row[] = [];
  tag = "";
  rowDescription(): void {
    this.rowsRead = [];
  }
  rows(batch: Batch): boolean {
    for (let row = 0; row < batch.length; row++)
      this.rowsRead.push(batch.columns.map((column) => column[row]!));
    return true;
  }
  drained(): Promise<void> {
    return Promise.resolve();
  }
  complete(tag: string): void {
    this.tag = tag;
  }
  emptyQuery(): void {}
  portalSuspended(): void {}
  notice(): void {}
  parameterStatus(): void {}
  notification(): void {}
  // biome-ignore lint/correctness/useYield: the contract wants an iterable, and this client has nothing to send
  async *copyIn(): AsyncIterable<Buffer> {
    throw new DbError("featureNotSupported", "simulated clients send no COPY data");
  }
  copyOutBegin(): void {}
  copyOutData(): boolean {
    return true;
  }
  copyOutDone(): void {}
}

/** What a client sees of a server: the simulated session below, a driver over a socket elsewhere. */
export interface SqlClient {
  /** Rows of the last statement of `text`. Rejects with an Error that has `sqlstate`. */
  query(text: string): Promise<QueryResult>;
  readonly status: TransactionStatus;
  close(): void;
}

/** A client as the wire's listener treats it: one message at a time, errors told to the session. */
export class SimClient implements SqlClient {
  readonly #session: Session;

  constructor(core: NodeCore) {
    this.#session = core.server.openSession({
      user: "admin",
      database: "scratchbird",
      settings: new Map(),
      remoteAddress: "",
      encrypted: false,
    });
  }

  get status(): TransactionStatus {
    return this.#session.status;
  }

  async query(text: string): Promise<QueryResult> {
    const sink = new Collector();
    try {
      await this.#session.simpleQuery(text, sink);
    } catch (error) {
      // Anything else is a broken invariant: not an answer to a client.
      if (!(error instanceof DbError)) throw error;
      this.#session.failed(error);
      throw error;
    }
    return { rows: sink.rowsRead, tag: sink.tag };
  }

  close(): void {
    this.#session.close();
  }
}

export interface SimNode {
  readonly core: NodeCore;
  readonly platform: SimPlatform;
  readonly log: QuietLog;
  client(): SimClient;
  /** Ends it and its clock as a crash would: nothing is written. The disk may be looked at afterwards. */
  abandon(): void;
}

/** `lent`: memory that no living node uses; it is filled with rubbish first, so that nothing of the last one helps. */
export async function openSimNode(
  platform: SimPlatform,
  config: Config = simConfig(),
  lent?: EngineMemory,
): Promise<SimNode> {
  const log = new QuietLog();
  if (lent !== undefined) {
    const { start, bytes } = lent.frames;
    lent.u8.fill(0xa5, start, start + bytes);
  }
  // Below the wire nothing asks for a socket.
  const core = await openCore(config, { ...platform, network: noNetwork }, log, {
    lent,
    trust: ({ clusterId, nodeId }) => simTrust(clusterId, nodeId, { disk: platform.disk, keepsCa: true }),
  });
  return {
    core,
    platform,
    log,
    client: () => new SimClient(core),
    abandon: () => {
      for (const { engine } of core.shards) (engine as EngineCore).close();
      core.storage.abandon();
      platform.clock.stop();
    },
  };
}

const noNetwork: Platform["network"] = {
  listen: () => Promise.reject(new DbError("featureNotSupported", "a simulated node has no sockets")),
};
