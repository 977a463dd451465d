/** What happens to a CA's key and to a CA in an emergency, on whole nodes of one process over real sockets. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AuthorityAnswer, AuthorityRequest } from "./cluster/contract.js";
import { enabledIn, Neighbours } from "./join-testing.js";
import type { NodeCore } from "./node.js";
import { HostDisk, hostRandom } from "./platform/host.js";
import { CaStore, combineShares, nodeRequest, passphraseFrom } from "./security/index.js";

const neighbours = new Neighbours();
const nodes = new Map<string, NodeCore>();
const node = (name: string): NodeCore => nodes.get(name)!;
const ask = (name: string, request: AuthorityRequest): Promise<AuthorityAnswer> =>
  node(name).control.authority(request);
const by = "admin";

beforeAll(async () => {
  nodes.set("a", await neighbours.found("a"));
  for (const name of ["b", "c"]) nodes.set(name, await neighbours.join(name, node("a")));
  for (const one of nodes.values()) await one.control.until(() => enabledIn(one).length === 3);
}, 60_000);
afterAll(async () => {
  for (const one of nodes.values()) await one.close();
  neighbours.remove();
});

/** Everything in the nodes' folders. */
function* files(folder = neighbours.folder): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* files(path);
    else yield path;
  }
}
/** A new key of a node, as it would ask for a certificate. */
const requestOf = (name: string): string => {
  const { clusterId: clusterUuid, nodeId: nodeUuid, nodeName } = node(name).identity;
  return nodeRequest({ clusterUuid, nodeUuid, nodeName }).requestPem;
};

describe("the key of a CA", () => {
  let shares: readonly string[];
  let authorityPem: string;

  it("is split for whichever node asks", async () => {
    const answer = await ask("b", { kind: "splitKey", needed: 2, total: 3, by });
    shares = answer.shares!;
    authorityPem = answer.authorityPem!;
    expect(shares).toHaveLength(3);
    const other = (await ask("a", { kind: "splitKey", needed: 2, total: 3, by })).shares!;
    // One share too few, and shares of two splits.
    for (const given of [[shares[0]!], [shares[0]!, other[1]!]])
      await expect(
        ask("c", { kind: "recoverKey", node: node("c").identity.nodeId, shares: given, by }),
      ).rejects.toMatchObject({ condition: "invalidParameterValue" });
    expect(new HostDisk(join(neighbours.folder, "c")).listSync("ca")).toEqual([]);
  }, 30_000);

  it("comes back at any node, from any of the shares, and issues there", async () => {
    for (const [at, given] of [
      ["c", [shares[2]!, shares[0]!]],
      ["b", [shares[1]!, shares[2]!]],
    ] as const) {
      // Of another node it is asked for too: a session runs elsewhere than its client is.
      const answer = await ask("a", {
        kind: "recoverKey",
        node: node(at).identity.nodeId,
        shares: given,
        by,
      });
      expect(answer.authorityPem).toBe(authorityPem);
    }

    await node("a").close();
    nodes.delete("a");
    // Somebody leads again.
    await node("b").control.change({ kind: "set", key: "degraded_mode.max_duration", value: "1min" }, by);
    const { nodeId: name } = node("b").identity;
    const answer = await ask("b", { kind: "issue", requestPem: requestOf("b"), to: "node", name, by });
    expect(answer.certificate?.issuer).toBe(node("b").control.cluster.authorities[0]!.fingerprint);

    nodes.set("a", await neighbours.open("a"));
    await node("b").control.change({ kind: "set", key: "degraded_mode.max_duration", value: "2min" }, by);
    await node("a").control.until(
      () => node("a").control.cluster.settings.get("degraded_mode.max_duration") === "2min",
    );
  }, 60_000);

  it("is nowhere in the clear, and no share is anywhere", async () => {
    const disk = new HostDisk(join(neighbours.folder, "c"));
    const store = new CaStore(disk, hostRandom, passphraseFrom({ kept: { disk, random: hostRandom } }));
    const [fingerprint] = store.list();
    const key = Buffer.from(await combineShares(shares.slice(1), authorityPem));
    await store.withKey(fingerprint!, (kept) => expect(key.equals(kept)).toBe(true));
    // What is secret of an Ed25519 key is its last 32 bytes; of a share what stands before its sum.
    const secrets = [key.subarray(-32), ...shares.map((one) => one.split("-")[7]!)];
    const needles = secrets.flatMap((one) =>
      typeof one === "string" ? [one, Buffer.from(one, "hex")] : [one, one.toString("hex")],
    );
    let looked = 0;
    for (const path of files()) {
      const bytes = readFileSync(path);
      looked += bytes.length;
      for (const needle of needles) expect(bytes.includes(needle), path).toBe(false);
    }
    expect(looked).toBeGreaterThan(100_000);
    for (const line of neighbours.lines)
      for (const needle of needles) if (typeof needle === "string") expect(line).not.toContain(needle);
    expect(neighbours.lines.some((line) => line.includes("given out in shares"))).toBe(true);
  }, 30_000);
});
