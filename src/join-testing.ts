/** For tests: nodes of one process over real sockets, in folders of their own, that found a cluster and join it. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import xxhash from "xxhash-wasm";
import { roleBits } from "./cluster/index.js";
import { type Config, loadConfig } from "./config.js";
import { joinCluster, rejoinCluster } from "./join.js";
import { type NodeCore, openCore } from "./node.js";
import type { Log, LogFields } from "./observe/index.js";
import { HostDisk, hostClock, hostRandom } from "./platform/host.js";
import { freePort } from "./platform/network.js";
import { HostPeerNetwork } from "./platform/peers.js";

const network = { listen: () => Promise.reject(new Error("no clients")) };

/** Several nodes; everything they have logged, one line each. */
export class Neighbours {
  readonly folder = mkdtempSync(join(tmpdir(), "join-test-"));
  readonly lines: string[] = [];
  /** Control ports: whoever comes back is found where it was. */
  readonly #ports = new Map<string, number>();

  logOf(name: string): Log {
    const note = (message: string, fields: LogFields = {}): void => {
      this.lines.push(`${name} ${message} ${JSON.stringify(fields)}`);
    };
    const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
    return log;
  }

  configOf(name: string): Config {
    return loadConfig({
      args: [
        ...["--shards", "1", "--page-size", "8KB", "--buffer-pool", "16MB", "--node-name", name],
        ...["--data", join(this.folder, name), "--rpc-port", "0"],
        ...["--control-port", String(this.#ports.get(name) ?? 0)],
      ],
      environment: { SCRATCHBIRD_PASSWORD: "x" },
      readFile: () => "",
      remembered: () => ({}),
      machineMemoryBytes: 256 << 20,
      isTerminal: false,
    });
  }
  platformOf(name: string) {
    mkdirSync(join(this.folder, name), { recursive: true });
    const disk = new HostDisk(join(this.folder, name));
    return { clock: hostClock, random: hostRandom, disk, network };
  }

  open(name: string): Promise<NodeCore> {
    const config = { ...this.configOf(name), journalSize: 4 << 20 };
    return openCore(config, this.platformOf(name), this.logOf(name), {
      controlNetwork: new HostPeerNetwork(),
    });
  }

  async found(name: string): Promise<NodeCore> {
    this.#ports.set(name, await freePort("127.0.0.1", 0, false));
    const node = await this.open(name);
    const addresses = { control: `127.0.0.1:${node.controlPort}`, rpc: "127.0.0.1:1", pg: "127.0.0.1:2" };
    node.control.announce(addresses, []);
    await node.control.until(() => node.control.cluster.latest!.epoch.number > 1);
    return node;
  }

  tokenOf(node: NodeCore): Promise<string> {
    return node.control.createJoinToken({
      by: "admin",
      ttlMs: 60_000,
      roles: roleBits.VOTER | roleBits.COORDINATOR | roleBits.SHARD_OWNER,
    });
  }

  async join(name: string, through: NodeCore): Promise<NodeCore> {
    const token = await this.tokenOf(through);
    const { clock, random, disk } = this.platformOf(name);
    this.#ports.set(name, await freePort("127.0.0.1", 0, false));
    const config = this.configOf(name);
    await joinCluster({
      config,
      token,
      peer: `127.0.0.1:${through.controlPort}`,
      clock,
      random,
      disk,
      hash: await xxhash(),
      network: new HostPeerNetwork(),
      freePort: (wanted, insisted) => freePort(config.host, wanted, insisted),
    });
    return this.open(name);
  }

  /** Of one that is closed: a certificate again. */
  async rejoin(name: string, through: NodeCore, token?: string): Promise<NodeCore> {
    const { clock, disk } = this.platformOf(name);
    await rejoinCluster({
      config: this.configOf(name),
      token: token ?? (await this.tokenOf(through)),
      peer: `127.0.0.1:${through.controlPort}`,
      clock,
      disk,
      hash: await xxhash(),
      network: new HostPeerNetwork(),
    });
    return this.open(name);
  }

  remove(): void {
    if (process.env["SHOW"] !== undefined) console.log(this.lines.join("\n"));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const enabledIn = (node: NodeCore): string[] =>
  [...node.control.cluster.members.values()].filter((one) => one.state === "ENABLED").map((one) => one.name);
