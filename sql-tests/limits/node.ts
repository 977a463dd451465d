/** A node in this process, on a folder of its own, with a Postgres port: limits are tested as clients meet them. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect as connectSocket, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { loadConfig } from "../../src/config.js";
import { type NodeDoors, openNode } from "../../src/node.js";
import type { Log, LogFields } from "../../src/observe/index.js";
import { HostDisk, hostClock, hostRandom } from "../../src/platform/host.js";
import type { Clock } from "../../src/platform/index.js";
import { HostNetwork } from "../../src/platform/network.js";

const password = "limits";
const cancelCode = 80877102;

export interface LimitsNode {
  readonly port: number;
  /** host:port */
  readonly http: string;
  /** Lines logged at info and above. */
  readonly logged: { readonly message: string; readonly fields: LogFields | undefined }[];
  client(user?: string): Promise<pg.Client>;
  /** A socket that has sent nothing yet. */
  socket(): Promise<Socket>;
  /** CancelRequest for what the client runs. */
  cancel(client: pg.Client): void;
  temporaryFiles(): string[];
  close(): Promise<void>;
}

export async function openLimitsNode(
  args: readonly string[] = [],
  clock: Clock = hostClock,
  doors: NodeDoors = {},
): Promise<LimitsNode> {
  const folder = mkdtempSync(join(tmpdir(), "scratchbird-limits-"));
  const config = loadConfig({
    args: ["--data", folder, "--port", "0", "--shards", "1", "--buffer-pool", "64MB", "--no-tls", ...args],
    environment: { SCRATCHBIRD_PASSWORD: password },
    readFile: () => "",
    remembered: () => ({}),
    machineMemoryBytes: 2 ** 31,
    isTerminal: false,
  });
  const logged: LimitsNode["logged"] = [];
  const note = (message: string, fields?: LogFields): void => {
    logged.push({ message, fields });
  };
  const log: Log = { debug() {}, info: note, warn: note, error: note, child: () => log };
  const platform = {
    clock,
    random: hostRandom,
    disk: new HostDisk(folder),
    network: new HostNetwork(),
  };
  const node = await openNode(config, platform, log, "start", doors);
  const port = Number(node.ready.pg.split(":").at(-1));
  const clients: pg.Client[] = [];
  return {
    port,
    http: node.ready.http!,
    logged,
    async client(user = "admin") {
      const client = new pg.Client({ host: "127.0.0.1", port, user, password, database: "scratchbird" });
      // Connections that the tests break or the server ends.
      client.on("error", () => {});
      await client.connect();
      clients.push(client);
      return client;
    },
    socket: () =>
      new Promise((resolve, reject) => {
        const socket = connectSocket(port, "127.0.0.1", () => resolve(socket));
        socket.once("error", reject);
      }),
    cancel(client) {
      const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
      const socket = connectSocket(port, "127.0.0.1", () => {
        const request = Buffer.alloc(16);
        request.writeInt32BE(16, 0);
        request.writeInt32BE(cancelCode, 4);
        request.writeInt32BE(processID, 8);
        request.writeInt32BE(secretKey, 12);
        socket.end(request);
      });
      socket.on("error", () => {});
    },
    temporaryFiles: () => readdirSync(join(folder, "tmp")),
    async close() {
      await Promise.all(clients.map((client) => client.end().catch(() => {})));
      await node.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The SQLSTATE that a query fails with; "00000" when it does not. */
export async function stateOf(query: Promise<unknown>): Promise<string> {
  try {
    await query;
    return "00000";
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === undefined) throw error;
    return code;
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
