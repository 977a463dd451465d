/** What happens to a CA's key and to a CA in an emergency, on whole nodes of one process over real sockets. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AuthorityAnswer, AuthorityRequest } from "./cluster/contract.js";
import { enabledIn, Neighbours } from "./join-testing.js";
import type { NodeCore } from "./node.js";
import { clientTrustOf } from "./node-trust.js";
import { HostDisk, hostClock, hostRandom } from "./platform/host.js";
import { HostPeerNetwork } from "./platform/peers.js";
import {
  CaStore,
  combineShares,
  fingerprintOf,
  nodeRequest,
  passphraseFrom,
  readFormerMaterial,
  readNodeMaterials,
  storeNodeMaterial,
} from "./security/index.js";

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
    // What is secret of a key is its number d; of a share what stands before its sum.
    const { d } = createPrivateKey({ key, format: "der", type: "pkcs8" }).export({ format: "jwk" });
    const secrets = [Buffer.from(d!, "base64url"), ...shares.map((one) => one.split("-")[7]!)];
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

describe("a CA in an emergency", () => {
  const set = (key: string, value: string): Promise<void> =>
    node("a").control.change({ kind: "set", key, value }, by);
  const issuerOf = (name: string): string | undefined => {
    const { cluster } = node("a").control;
    return cluster.memberByName(name)?.certificate?.issuer;
  };
  const primary = (): string => node("a").control.cluster.authorities.find((one) => one.primary)!.fingerprint;
  const isOver = (): boolean => node("a").control.cluster.rotation === undefined;

  it("is out at once, and its nodes go over to another, wherever that one's key is", async () => {
    const old = primary();
    // Main loops have no connections here, by which they would see each other: the time ends it.
    await set("ca.emergency_window", "4s");
    const { control } = node("a");
    const user = { issuer: old, serial: "0a" };
    expect(clientTrustOf(control.cluster, hostClock).standing(user)).toBeUndefined();
    const { certificatePem: newcomer } = await ask("a", {
      kind: "issue",
      requestPem: requestOf("b"),
      to: "node",
      name: node("b").identity.nodeId,
      by,
    });

    const certificatePem = (await ask("a", { kind: "createCa", node: node("c").identity.nodeId, by }))
      .authorityPem!;
    const to = fingerprintOf(new X509Certificate(certificatePem));
    const urgent = { kind: "emergency", authority: old, certificatePem, by } as const;
    // Nobody has a certificate of it yet.
    await expect(ask("c", { ...urgent, immediate: true })).rejects.toMatchObject({
      condition: "objectNotInPrerequisiteState",
      fields: { detail: "NO_QUORUM: the cluster could not decide anything any more." },
    });
    await ask("c", { ...urgent, immediate: false });
    expect(primary()).toBe(to);
    expect(control.cluster.authorities).toHaveLength(1);
    expect(clientTrustOf(control.cluster, hostClock).standing(user)).toBe("UNTRUSTED_CA");
    // What it has issued before and nobody is pinned to is worth nothing.
    const consent = Buffer.alloc(64).toString("base64");
    await expect(
      node("b").control.change(
        { kind: "recertify", node: node("b").identity.nodeId, certificatePem: newcomer!, consent },
        "node b",
      ),
    ).rejects.toMatchObject({ fields: { detail: "CHAIN_INVALID: the certificate was not taken." } });
    await control.until(isOver);
    for (const name of ["a", "b", "c"]) expect(issuerOf(name)).toBe(to);
    expect(control.cluster.pinnedAuthorities).toEqual([]);
    // Nor is the very certificate by which a node was known a moment ago.
    const network = new HostPeerNetwork();
    network.use({
      own: readFormerMaterial(new HostDisk(join(neighbours.folder, "b")))!.own,
      check: (der) => ({
        node: node("a").identity.nodeId,
        certFingerprint: fingerprintOf(new X509Certificate(der)),
      }),
    });
    const target = { address: `127.0.0.1:${node("a").controlPort}`, node: node("a").identity.nodeId };
    await expect(network.dial(target, 5_000)).rejects.toMatchObject({
      fields: { detail: expect.stringContaining("UNTRUSTED_CA") },
    });
    network.close();
    expect(control.cluster.pastRotations.at(-1)).toMatchObject({ from: old, to, outcome: "EMERGENCY" });
    await set("degraded_mode.max_duration", "3min");
    // The key of the one that was revoked is destroyed wherever it was.
    for (const name of ["a", "b", "c"])
      await expect
        .poll(() => new HostDisk(join(neighbours.folder, name)).listSync("ca"), { timeout: 10_000 })
        .not.toContain(`${old}.key`);
  }, 60_000);

  it("leaves behind who is not there in time, and the others go on", async () => {
    await set("ca.emergency_window", "2s");
    await node("b").close();
    nodes.delete("b");
    const certificatePem = (await ask("c", { kind: "createCa", by })).authorityPem!;
    await ask("c", { kind: "emergency", authority: primary(), certificatePem, immediate: false, by });
    await node("a").control.until(isOver);
    const { cluster } = node("a").control;
    expect(cluster.memberByName("b")).toMatchObject({ state: "DISABLED" });
    expect([issuerOf("a"), issuerOf("c")]).toEqual([primary(), primary()]);
    await set("degraded_mode.max_duration", "4min");
    await expect(
      node("a").control.change(
        { kind: "moveMember", node: cluster.memberByName("b")!.uuid, to: "ENABLED", reason: "" },
        by,
      ),
    ).rejects.toMatchObject({ condition: "objectNotInPrerequisiteState" });
  }, 60_000);

  it("takes one back that was left behind, by a token and the key that it is known by", async () => {
    const [one, b] = [node("a").control, node("a").control.cluster.memberByName("b")!.uuid];
    // Nobody has a certificate left by which it has known the others.
    const { authorityPem: again } = await ask("c", { kind: "createCa", by });
    await ask("c", {
      kind: "emergency",
      authority: primary(),
      certificatePem: again!,
      immediate: false,
      by,
    });
    await one.until(isOver);
    // Started as it is, nobody takes it, and it says what helps.
    const stale = await neighbours.open("b");
    await expect
      .poll(() => neighbours.lines.some((line) => line.startsWith("b this node and a peer do not trust")), {
        timeout: 15_000,
      })
      .toBe(true);
    expect(issuerOf("b")).not.toBe(primary());
    await stale.close();

    // Neither is enough: a token in a folder without the key, and the key without a token.
    const disk = new HostDisk(join(neighbours.folder, "b"));
    const [own] = readNodeMaterials(disk);
    const unlock = disk.lockSync("lock");
    await expect(neighbours.rejoin("b", node("a"))).rejects.toMatchObject({ condition: "objectInUse" });
    unlock();
    const other = nodeRequest({
      clusterUuid: one.cluster.clusterUuid,
      nodeUuid: b,
      nodeName: "b",
    });
    const { certificatePem, authorityPem } = await ask("a", {
      kind: "issue",
      requestPem: other.requestPem,
      to: "node",
      name: b,
      by,
    });
    storeNodeMaterial(disk, { certificatePem: certificatePem!, keyPem: other.keyPem }, authorityPem!);
    await expect(neighbours.rejoin("b", node("a"))).rejects.toMatchObject({
      condition: "invalidAuthorizationSpecification",
      message: "this folder does not hold the key by which node b is known",
    });
    storeNodeMaterial(disk, own!.own, own!.authorityPem);
    const spent = await neighbours.tokenOf(node("a"));
    nodes.set("b", await neighbours.rejoin("b", node("a"), spent));
    await one.until(() => issuerOf("b") === primary());
    await expect(neighbours.rejoin("b", node("a"), spent)).rejects.toMatchObject({
      message: "the join token is not known, was used, or has expired",
    });

    // It catches up behind two exchanges, and is a member as before.
    await set("degraded_mode.max_duration", "5min");
    const { control } = node("b");
    await control.until(() => control.cluster.settings.get("degraded_mode.max_duration") === "5min");
    await expect
      .poll(
        () =>
          one.change({ kind: "moveMember", node: b, to: "ENABLED", reason: "" }, by).then(
            () => "done",
            (error: unknown) => (error as Error).message,
          ),
        { timeout: 15_000 },
      )
      .toBe("done");
    await control.until(() => enabledIn(node("b")).length === 3);

    // Who was removed does not come back.
    await node("b").close();
    nodes.delete("b");
    await one.change({ kind: "moveMember", node: b, to: "DISABLED", reason: "" }, by);
    await one.change({ kind: "removeMember", node: b, reason: "", force: false, allowDataLoss: false }, by);
    await expect(neighbours.rejoin("b", node("a"))).rejects.toMatchObject({
      condition: "objectNotInPrerequisiteState",
      message: "node b was removed from the cluster",
    });
  }, 60_000);
});
