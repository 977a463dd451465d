/** Three nodes of one process over real sockets: founding, joining, changes from any node, leaving. */
import { afterAll, describe, expect, it } from "vitest";
import { enabledIn, Neighbours } from "./join-testing.js";
import type { NodeCore } from "./node.js";

const neighbours = new Neighbours();
const nodes: NodeCore[] = [];
afterAll(async () => {
  for (const node of nodes) await node.close();
  neighbours.remove();
});

describe("a cluster", () => {
  it("takes in new nodes, which become voters", async () => {
    const a = await neighbours.found("a");
    nodes.push(a);
    if (process.env["SHOW"] !== undefined)
      setInterval(
        () => neighbours.lines.push(JSON.stringify(nodes.map((n) => n.control.status))),
        3000,
      ).unref();
    const b = await neighbours.join("b", a);
    nodes.push(b);
    const c = await neighbours.join("c", a);
    nodes.push(c);
    for (const node of nodes) await node.control.until(() => enabledIn(node).length === 3);
    for (const node of nodes) expect(enabledIn(node)).toEqual(["a", "b", "c"]);
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
    const again = await neighbours.open("c");
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
