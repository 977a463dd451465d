/** Three nodes of one process over real sockets: founding, joining, changes from any node, leaving. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import xxhash from "xxhash-wasm";
import { roleBits } from "./cluster/index.js";
import { type Config, loadConfig } from "./config.js";
import { joinCluster } from "./join.js";
import { type NodeCore, openCore } from "./node.js";
import type { Log, LogFields } from "./observe/index.js";
import { HostDisk, hostClock, hostRandom } from "./platform/host.js";
import { freePort } from "./platform/network.js";
import { HostPeerNetwork } from "./platform/peers.js";

const folder = mkdtempSync(join(tmpdir(), "join-test-"));
const lines: string[] = [];

function logOf(name: string): Log {
  const note = (message: string, fields: LogFields = {}): void => {
    lines.push(`${name} ${message} ${JSON.stringify(fields)}`);
  };
  const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
  return log;
}

function configOf(name: string): Config {
  return loadConfig({
    args: [
      ...["--shards", "1", "--page-size", "8KB", "--buffer-pool", "16MB", "--node-name", name],
      ...["--data", join(folder, name), "--rpc-port", "0", "--control-port", "0"],
    ],
    environment: { SCRATCHBIRD_PASSWORD: "x" },
    readFile: () => "",
    remembered: () => ({}),
    machineMemoryBytes: 256 << 20,
    isTerminal: false,
  });
}

const network = { listen: () => Promise.reject(new Error("no clients")) };
const platformOf = (name: string) => ({
  clock: hostClock,
  random: hostRandom,
  disk: new HostDisk(join(folder, name)),
  network,
});

function openMember(name: string): Promise<NodeCore> {
  const config = { ...configOf(name), journalSize: 4 << 20 };
  return openCore(config, platformOf(name), logOf(name), { controlNetwork: new HostPeerNetwork() });
}

async function joinMember(name: string, through: NodeCore): Promise<NodeCore> {
  const token = await through.control.createJoinToken({
    by: "admin",
    ttlMs: 60_000,
    roles: roleBits.VOTER | roleBits.COORDINATOR | roleBits.SHARD_OWNER,
  });
  const { clock, random, disk } = platformOf(name);
  const config = configOf(name);
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
  return openMember(name);
}

const nodes: NodeCore[] = [];
beforeAll(async () => {
  const { mkdirSync } = await import("node:fs");
  for (const name of ["a", "b", "c"]) mkdirSync(join(folder, name));
});
afterAll(async () => {
  if (process.env["SHOW"] !== undefined) console.log(lines.join("\n"));
  for (const node of nodes) await node.close();
  rmSync(folder, { recursive: true, force: true });
});

const enabled = (node: NodeCore): string[] =>
  [...node.control.cluster.members.values()].filter((one) => one.state === "ENABLED").map((one) => one.name);

describe("a cluster", () => {
  it("takes in new nodes, which become voters", async () => {
    const a = await openMember("a");
    nodes.push(a);
    // The port was left to the system.
    const addresses = { control: `127.0.0.1:${a.controlPort}`, rpc: "127.0.0.1:1", pg: "127.0.0.1:2" };
    a.control.announce(addresses, []);
    await a.control.until(() => a.control.cluster.latest!.epoch.number > 1);
    if (process.env["SHOW"] !== undefined)
      setInterval(() => lines.push(JSON.stringify(nodes.map((n) => n.control.status))), 3000).unref();
    const b = await joinMember("b", a);
    nodes.push(b);
    const c = await joinMember("c", a);
    nodes.push(c);
    for (const node of nodes) await node.control.until(() => enabled(node).length === 3);
    for (const node of nodes) expect(enabled(node)).toEqual(["a", "b", "c"]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(nodes.map((node) => node.control.status.role).sort()).toEqual(["follower", "follower", "leader"]);
  }, 30_000);

  it("takes changes from any node, and shows them on all", async () => {
    const [a, b, c] = nodes as [NodeCore, NodeCore, NodeCore];
    for (const [at, node] of [a, b, c].entries()) {
      await node.control.change(
        { kind: "set", key: "degraded_mode.max_duration", value: `${at + 1}min` },
        "admin",
      );
      for (const other of [a, b, c])
        expect(other.control.cluster.settings.get("degraded_mode.max_duration")).toBe(`${at + 1}min`);
    }
    const { epochs } = c.control.cluster;
    expect(epochs.at(-1)!.state).toBe("EFFECTIVE");
    expect(a.control.cluster.historyProblems()).toEqual([]);
    await expect(
      b.control.change({ kind: "set", key: "no.such", value: "1" }, "admin"),
    ).rejects.toMatchObject({
      condition: "undefinedObject",
    });
  }, 30_000);

  it("goes on without one of three, and takes it back", async () => {
    const [a, b, c] = nodes as [NodeCore, NodeCore, NodeCore];
    const leader = nodes.find((node) => node.control.status.role === "leader")!;
    expect(leader).toBeDefined();
    await c.close();
    nodes.pop();
    await a.control.change({ kind: "set", key: "degraded_mode.max_duration", value: "9min" }, "admin");
    expect(b.control.cluster.settings.get("degraded_mode.max_duration")).toBe("9min");
    const again = await openMember("c");
    nodes.push(again);
    await again.control.until(
      () => again.control.cluster.settings.get("degraded_mode.max_duration") === "9min",
    );
  }, 30_000);

  it("expels a node, which learns of it and is refused", async () => {
    const [a, b, c] = nodes as [NodeCore, NodeCore, NodeCore];
    const { nodeId } = c.identity;
    await b.control.change(
      { kind: "removeMember", node: nodeId, reason: "test", force: false, allowDataLoss: false },
      "admin",
    );
    expect((await c.control.failed).message).toBe("this node was removed from the cluster");
    await c.close();
    nodes.pop();
    expect(a.control.cluster.members.get(nodeId)?.state).toBe("REMOVED");
    await a.control.change({ kind: "set", key: "degraded_mode.max_duration", value: "3min" }, "admin");
    expect(b.control.cluster.settings.get("degraded_mode.max_duration")).toBe("3min");
  }, 30_000);
});
