/** What a node holds of the cluster's trust: wrong, missing and open files end the start, and each reason to refuse a peer is met. */
import { generateKeyPairSync, webcrypto, X509Certificate } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Member } from "../cluster/contract.js";
import { ClusterState } from "../cluster/index.js";
import { hostPki, hostTrust, type NodeTrust } from "../node-trust.js";
import { HostDisk, hostClock, hostRandom } from "../platform/host.js";
import type { Clock } from "../platform/index.js";
import { identityUri } from "./certificate-names.js";
import { fingerprintOf, type KeyAndCertificate, type NodeSubject } from "./node-identity.js";
import {
  type NodeMaterial,
  promoteMaterial,
  readNodeMaterial,
  readNodeMaterials,
  signerOf,
  storeNextMaterial,
  storeNodeMaterial,
  verifySignature,
} from "./node-material.js";
import { createCa, nodeIdentity } from "./testing.js";

const clusterUuid = "0190a8c0-0000-7000-8000-00000000000c";
const subjectOf = (at: number): NodeSubject => ({
  clusterUuid,
  nodeUuid: `0190a8c0-0000-7000-8000-00000000000${at}`,
  nodeName: `node-${at}`,
});
const own = subjectOf(1);
const peer = subjectOf(2);
const dayMs = 86_400_000;

let folder: string;
let disk: HostDisk;
let material: NodeMaterial;
let ca: KeyAndCertificate;
let otherCa: KeyAndCertificate;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "node-material-"));
  disk = new HostDisk(folder);
  ca = await createCa(clusterUuid, hostClock, hostRandom);
  storeNodeMaterial(disk, await issued(own), ca.certificatePem);
  material = readNodeMaterial(disk)!;
  otherCa = await createCa(clusterUuid, hostClock, hostRandom);
});
afterAll(() => rmSync(folder, { recursive: true }));

const put = (name: string, content: string): void => writeFileSync(join(folder, "tls", name), content);
const issued = (subject: NodeSubject, by = ca): Promise<KeyAndCertificate> =>
  nodeIdentity(by, subject, hostClock, hostRandom);

describe("the files of a node", () => {
  beforeEach(() => {
    rmSync(join(folder, "tls"), { recursive: true });
    storeNodeMaterial(disk, material.own, material.authorityPem);
  });
  const problem = (): string => {
    try {
      readNodeMaterial(disk);
      return "none";
    } catch (error) {
      expect(error).toMatchObject({ name: "DbError", sqlstate: "F0000" });
      return (error as Error).message;
    }
  };

  it("are read as they were written, keys for their owner alone", () => {
    expect(readNodeMaterial(disk)).toEqual(material);
    expect(statSync(join(folder, "tls", "node.key")).mode & 0o777).toBe(0o600);
    expect(disk.modeOf("tls/node.crt")).toBe(0o644);
    rmSync(join(folder, "tls", "node.crt"));
    expect(readNodeMaterial(disk)).toBeUndefined();
  });

  it("must be there together", () => {
    for (const name of ["node.key", "ca.crt"]) {
      rmSync(join(folder, "tls", name));
      expect(problem()).toBe(`tls/${name} is missing`);
      storeNodeMaterial(disk, material.own, material.authorityPem);
    }
  });

  it("must be readable", () => {
    const whole: Record<string, string> = {
      "node.key": material.own.keyPem,
      "node.crt": material.own.certificatePem,
      "ca.crt": material.authorityPem,
    };
    for (const [name, pem] of Object.entries(whole)) {
      for (const bad of [
        "",
        "nothing",
        pem.slice(0, pem.length / 2),
        pem.replace(/\nM.{9}/, "\nM!!!!!!!!!"),
      ]) {
        put(name, bad);
        expect(problem(), `${name}: ${bad.slice(0, 30)}`).toBe(`tls/${name} cannot be read as PEM`);
      }
      put(name, pem);
    }
    expect(problem()).toBe("none");
  });

  it("must belong together", async () => {
    const other = await issued(own);
    put("node.key", other.keyPem);
    expect(problem()).toBe("tls/node.key does not belong to tls/node.crt");
    put("node.crt", other.certificatePem);
    expect(problem()).toBe("none");
    put("ca.crt", otherCa.certificatePem);
    expect(problem()).toBe("tls/node.crt does not belong to tls/ca.crt");
    put("ca.crt", material.authorityPem);
    // A key of another kind is nobody's.
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    put("node.key", privateKey.export({ type: "pkcs8", format: "pem" }).toString());
    expect(problem()).toBe("tls/node.key does not belong to tls/node.crt");
  });

  it("with a private key that is open to others refuse the start (MEM-5)", () => {
    for (const mode of [0o640, 0o604, 0o620, 0o601, 0o666]) {
      chmodSync(join(folder, "tls", "node.key"), mode);
      expect(problem()).toBe("the private key in tls/node.key is open to others");
      chmodSync(join(folder, "tls", "node.key"), 0o400);
      expect(problem()).toBe("none");
    }
    // Where the system has no such modes there is nothing to look at.
    chmodSync(join(folder, "tls", "node.key"), 0o666);
    const without = new Proxy(disk, {
      get: (target, key) => {
        const value = key === "modeOf" ? undefined : Reflect.get(target, key);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    expect(readNodeMaterial(without)).toEqual(material);
  });

  it("take in the next certificate at whatever moment the node dies", async () => {
    const next = storeNextMaterial(disk, await issued(own, otherCa), otherCa.certificatePem);
    const other = storeNextMaterial(disk, await issued(own), ca.certificatePem);
    expect(statSync(join(folder, "tls", `next-${next.certFingerprint.slice(0, 16)}.pem`)).mode & 0o777).toBe(
      0o600,
    );
    expect(readNodeMaterials(disk)).toEqual(expect.arrayContaining([material, next, other]));
    expect(readNodeMaterials(disk)[0]).toEqual(material);
    // After each write and removal of the promotion, the one that the log names is there.
    let left = 0;
    for (let stop = 1; left === 0; stop++) {
      rmSync(join(folder, "tls"), { recursive: true });
      storeNodeMaterial(disk, material.own, material.authorityPem);
      storeNextMaterial(disk, next.own, next.authorityPem);
      storeNextMaterial(disk, other.own, other.authorityPem);
      left = stop;
      const dying = new Proxy(disk, {
        get: (target, key) => {
          const value = Reflect.get(target, key);
          if (key !== "writeFileSync" && key !== "removeSync")
            return typeof value === "function" ? value.bind(target) : value;
          return (...args: unknown[]) => {
            if (left-- <= 0) throw new Error("dead");
            (value as (...all: unknown[]) => void).apply(target, args);
          };
        },
      });
      try {
        promoteMaterial(dying, next, material);
      } catch (error) {
        expect((error as Error).message).toBe("dead");
        left = 0;
      }
      expect(readNodeMaterials(disk), `dead at step ${stop}`).toContainEqual(next);
    }
    expect(readNodeMaterials(disk)).toEqual([next]);
    expect(disk.listSync("tls")).toEqual(["ca.crt", "former.pem", "node.crt", "node.key"]);
  });
});

describe("signatures", () => {
  it("of a node are verified by its raw key, and by no other", async () => {
    const signer = signerOf(material);
    const digest = Buffer.alloc(32, 7);
    const signature = signer.sign(digest);
    const key = Buffer.from(signer.publicKey, "base64");
    expect(verifySignature(key, digest, signature)).toBe(true);
    expect(verifySignature(key, Buffer.alloc(32, 8), signature)).toBe(false);
    for (let bit = 0; bit < 512; bit += 5) {
      const bytes = Buffer.from(signature, "base64");
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(verifySignature(key, digest, bytes.toString("base64"))).toBe(false);
    }
    for (const bad of ["", "x", signature.slice(4), `AAAA${signature}`])
      expect(verifySignature(key, digest, bad)).toBe(false);
    for (const length of [0, 1, 31, 33, 64])
      expect(verifySignature(Buffer.alloc(length), digest, signature)).toBe(false);
    // Points that are none, and more keys than are remembered.
    for (let at = 0; at < 1100; at++) {
      const other = Buffer.alloc(32, 255);
      other.writeUInt16BE(at);
      expect(verifySignature(other, digest, signature)).toBe(false);
    }
    expect(verifySignature(key, digest, signature)).toBe(true);
  });
});

describe("trust", () => {
  let shown: KeyAndCertificate;
  beforeAll(async () => {
    shown = await issued(peer);
  });

  const at = (shiftMs: number): Clock => ({ ...hostClock, now: () => hostClock.now() + shiftMs });
  const trustAt = (shiftMs = 0): NodeTrust =>
    hostTrust({
      disk,
      clock: at(shiftMs),
      random: hostRandom,
      subject: own,
      writes: false,
      caStore: undefined,
    });
  beforeEach(() => storeNodeMaterial(disk, material.own, material.authorityPem));

  /** A state in which the peer is a member with the certificate, as far as trust asks. */
  function clusterOf(
    members: Record<string, Partial<Member>>,
    authorities: readonly string[] = [material.authorityPem],
  ): ClusterState {
    const cluster = new ClusterState(hostPki);
    const all = new Map(Object.entries(members).map(([uuid, facts]) => [uuid, { uuid, ...facts } as Member]));
    Object.defineProperty(cluster, "members", { value: all });
    Object.defineProperty(cluster, "authorities", {
      value: authorities.map((certificatePem) => ({ certificatePem, fingerprint: "", trustedFrom: 0 })),
    });
    return cluster;
  }
  const pinned = (pem: string, facts: Partial<Member> = {}): Record<string, Partial<Member>> => ({
    [own.nodeUuid]: {},
    [peer.nodeUuid]: { certFingerprint: fingerprintOf(new X509Certificate(pem)), state: "ENABLED", ...facts },
  });
  const none = { leaving: new Map<string, number>(), told: new Map<string, string>() };
  const verdictOf = (
    pem: string,
    cluster: ClusterState,
    { trust = trustAt(), options = none } = {},
  ): string => {
    const verdict = trust.credentials(cluster, options).check(new X509Certificate(pem).raw);
    return "condition" in verdict ? verdict.condition : verdict.node;
  };

  it("takes a member with its certificate", () => {
    const cluster = clusterOf(pinned(shown.certificatePem));
    expect(verdictOf(shown.certificatePem, cluster)).toBe(peer.nodeUuid);
    for (const state of ["JOINING", "DISABLED", "FAILED"] as const)
      expect(verdictOf(shown.certificatePem, clusterOf(pinned(shown.certificatePem, { state })))).toBe(
        peer.nodeUuid,
      );
    const { own: ours } = trustAt().credentials(cluster, none);
    expect(ours).toEqual({
      certificatePem: `${material.own.certificatePem}${material.authorityPem}`,
      keyPem: material.own.keyPem,
    });
  });

  it("refuses by name: times", () => {
    const cluster = clusterOf(pinned(shown.certificatePem));
    expect(verdictOf(shown.certificatePem, cluster, { trust: trustAt(-2 * dayMs) })).toBe("NOT_YET_VALID");
    expect(verdictOf(shown.certificatePem, cluster, { trust: trustAt(366 * dayMs) })).toBe("EXPIRED");
    // Clocks differ.
    expect(verdictOf(shown.certificatePem, cluster, { trust: trustAt(-dayMs - 50_000) })).toBe(peer.nodeUuid);
    expect(verdictOf(shown.certificatePem, cluster, { trust: trustAt(-dayMs - 600_000) })).toBe(
      "NOT_YET_VALID",
    );
  });

  it("refuses by name: authorities", async () => {
    const stranger = await issued(peer, otherCa);
    expect(verdictOf(stranger.certificatePem, clusterOf(pinned(stranger.certificatePem)))).toBe(
      "UNTRUSTED_CA",
    );
    const both = clusterOf(pinned(stranger.certificatePem), [material.authorityPem, otherCa.certificatePem]);
    expect(verdictOf(stranger.certificatePem, both)).toBe(peer.nodeUuid);
    // The policy of the cluster counts, not the file.
    const replaced = clusterOf(pinned(shown.certificatePem), [otherCa.certificatePem]);
    expect(verdictOf(shown.certificatePem, replaced)).toBe("UNTRUSTED_CA");
    // One that nobody can read is nobody's.
    const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    expect(verdictOf(shown.certificatePem, clusterOf(pinned(shown.certificatePem), [broken]))).toBe(
      "UNTRUSTED_CA",
    );
    const beside = clusterOf(pinned(shown.certificatePem), [broken, material.authorityPem]);
    expect(verdictOf(shown.certificatePem, beside)).toBe(peer.nodeUuid);
  });

  it("refuses by name: what a certificate says", async () => {
    const foreign = await issued({ ...peer, clusterUuid: own.nodeUuid });
    expect(verdictOf(foreign.certificatePem, clusterOf(pinned(foreign.certificatePem)))).toBe(
      "WRONG_CLUSTER",
    );
    expect(verdictOf(material.authorityPem, clusterOf(pinned(material.authorityPem)))).toBe(
      "MISSING_URI_SAN",
    );
    const { x509, make } = await maker();
    const server = new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]);
    const both = new x509.ExtendedKeyUsageExtension([
      x509.ExtendedKeyUsage.serverAuth,
      x509.ExtendedKeyUsage.clientAuth,
    ]);
    const uri = {
      type: "url" as const,
      value: identityUri({ kind: "node", clusterUuid, name: peer.nodeUuid }),
    };
    const names = new x509.SubjectAlternativeNameExtension([uri]);
    const twice = new x509.SubjectAlternativeNameExtension([
      uri,
      { ...uri, value: identityUri({ kind: "node", clusterUuid, name: own.nodeUuid }) },
    ]);
    const rsa = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", publicExponent: new Uint8Array([1, 0, 1]) };
    const cases: [string, string][] = [
      [peer.nodeUuid, await make([names, both])],
      ["MISSING_URI_SAN", await make([both])],
      ["MISSING_URI_SAN", await make([twice, both])],
      ["CHAIN_INVALID", await make([names, server])],
      ["CHAIN_INVALID", await make([names])],
      ["CHAIN_INVALID", await make([names, both, new x509.BasicConstraintsExtension(true, 0, true)])],
      ["CHAIN_INVALID", await make([names, both], { by: "CN=somebody else" })],
      ["ALGORITHM_DISALLOWED", await make([names, both], { key: { name: "ECDSA", namedCurve: "P-256" } })],
      ["ALGORITHM_DISALLOWED", await make([names, both], { key: { ...rsa, modulusLength: 2048 } })],
      ["WEAK_KEY", await make([names, both], { key: { ...rsa, modulusLength: 1024 } })],
    ];
    for (const [verdict, pem] of cases) expect(verdictOf(pem, clusterOf(pinned(pem)))).toBe(verdict);
  });

  it("refuses by name: who is no member, is pinned otherwise, or was removed", async () => {
    const second = await issued(peer);
    const cluster = clusterOf(pinned(shown.certificatePem));
    expect(verdictOf(second.certificatePem, cluster)).toBe("NOT_PINNED");
    expect(verdictOf(shown.certificatePem, clusterOf({ [own.nodeUuid]: {} }))).toBe("NOT_A_MEMBER");
    const removed = clusterOf(pinned(shown.certificatePem, { state: "REMOVED" }));
    expect(verdictOf(shown.certificatePem, removed)).toBe("REMOVED");
    const leaving = { ...none, leaving: new Map([[peer.nodeUuid, 1]]) };
    expect(verdictOf(shown.certificatePem, removed, { options: leaving })).toBe(peer.nodeUuid);
    expect(verdictOf(second.certificatePem, removed, { options: leaving })).toBe("NOT_PINNED");
  });

  it("takes those it was told of, with the certificate they were told with, until the log names them", async () => {
    const second = await issued(peer);
    const fingerprint = fingerprintOf(new X509Certificate(shown.certificatePem));
    const options = { ...none, told: new Map([[peer.nodeUuid, fingerprint]]) };
    const empty = clusterOf({}, []);
    expect(verdictOf(shown.certificatePem, empty)).toBe("NOT_A_MEMBER");
    expect(verdictOf(shown.certificatePem, empty, { options })).toBe(peer.nodeUuid);
    expect(verdictOf(second.certificatePem, empty, { options })).toBe("NOT_PINNED");
    const named = clusterOf(pinned(second.certificatePem));
    expect(verdictOf(shown.certificatePem, named, { options })).toBe("NOT_PINNED");
    expect(verdictOf(second.certificatePem, named, { options })).toBe(peer.nodeUuid);
  });

  it("is not given to a certificate that is another node's", async () => {
    const start =
      (subject: NodeSubject, clock: Clock = hostClock): (() => NodeTrust) =>
      () =>
        hostTrust({ disk, clock, random: hostRandom, subject, writes: false, caStore: undefined });
    expect(start(own)).not.toThrow();
    for (const [subject, detail] of [
      [peer, /^NOT_A_MEMBER: /],
      [{ ...own, clusterUuid: own.nodeUuid }, /^WRONG_CLUSTER: /],
    ] as const) {
      expect(start(subject)).toThrowError(
        expect.objectContaining({
          sqlstate: "F0000",
          fields: expect.objectContaining({ detail: expect.stringMatching(detail) }),
        }),
      );
    }
    // Alone, one that has run out does no harm; it is the peers who refuse it.
    expect(start(own, at(500 * dayMs))).not.toThrow();
  });

  /** Certificates of the cluster's CA as it would never make them. */
  async function maker() {
    await import("reflect-metadata");
    const x509 = await import("@peculiar/x509");
    x509.cryptoProvider.set(webcrypto);
    const issuer = new x509.X509Certificate(material.authorityPem);
    const der = Buffer.from(ca.keyPem.replace(/-----[^-]+-----|\s/g, ""), "base64");
    const signingKey = await webcrypto.subtle.importKey("pkcs8", der, { name: "Ed25519" }, false, ["sign"]);
    const make = async (
      extensions: InstanceType<typeof x509.Extension>[],
      { by = issuer.subjectName.toString(), key = { name: "Ed25519" } as object } = {},
    ): Promise<string> => {
      const keys = (await webcrypto.subtle.generateKey(key as webcrypto.RsaHashedKeyGenParams, true, [
        "sign",
        "verify",
      ])) as webcrypto.CryptoKeyPair;
      const certificate = await x509.X509CertificateGenerator.create(
        {
          serialNumber: "4711",
          subject: `CN=${peer.nodeUuid}`,
          issuer: by,
          notBefore: new Date(hostClock.now() - dayMs),
          notAfter: new Date(hostClock.now() + dayMs),
          signingAlgorithm: { name: "Ed25519" },
          publicKey: keys.publicKey,
          signingKey,
          extensions,
        },
        webcrypto,
      );
      return certificate.toString("pem");
    };
    return { x509, make };
  }
});
