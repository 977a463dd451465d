/** Node certificates: what is issued (OpenSSL agrees where it is there), and every reason to refuse a peer. */
import { spawnSync } from "node:child_process";
import { createPrivateKey, sign, verify, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { hostClock, hostRandom } from "../platform/host.js";
import { nodeRequest } from "./certificate-request.js";
import {
  checkPeer,
  ed25519Key,
  fingerprintOf,
  type KeyAndCertificate,
  type NodeSubject,
  type PeerContext,
  publicKeyOf,
} from "./node-identity.js";
import { createCa, issueNodeCertificate } from "./testing.js";

const clusterUuid = "0190a8c0-0000-7000-8000-00000000000c";
const subject: NodeSubject = {
  clusterUuid,
  nodeUuid: "0190a8c0-0000-7000-8000-000000000001",
  nodeName: "node-1",
};
const dayMs = 86_400_000;

let ca: KeyAndCertificate;
let key: string;
let pem: string;
let certificate: X509Certificate;
beforeAll(async () => {
  ca = await createCa(clusterUuid, hostClock, hostRandom);
  const { requestPem, keyPem } = nodeRequest(subject);
  key = keyPem;
  pem = await issueNodeCertificate(ca, requestPem, subject, hostClock, hostRandom);
  certificate = new X509Certificate(pem);
});

function context(change: Partial<PeerContext> = {}): PeerContext {
  return {
    clusterUuid,
    now: hostClock.now(),
    toleranceMs: 5 * 60_000,
    authorities: [{ certificate: new X509Certificate(ca.certificatePem), fingerprint: "ca" }],
    isRevoked: () => false,
    member: (uuid) =>
      uuid === subject.nodeUuid ? { fingerprints: [fingerprintOf(certificate)], removed: false } : undefined,
    ...change,
  };
}
const conditionOf = (one: X509Certificate, change: Partial<PeerContext> = {}): string => {
  const verdict = checkPeer(one, context(change));
  return "condition" in verdict ? verdict.condition : "accepted";
};

describe("a node certificate", () => {
  it("says who it is for, and how long", () => {
    expect(certificate.subject).toBe(`CN=${subject.nodeUuid}`);
    expect(certificate.subjectAltName).toBe(
      `URI:sb://cluster/${clusterUuid}/node/${subject.nodeUuid}, DNS:node-1.cluster.${clusterUuid}.scratchbird.local`,
    );
    expect(certificate.publicKey.asymmetricKeyType).toBe("ed25519");
    expect(certificate.ca).toBe(false);
    const days = (Date.parse(certificate.validTo) - hostClock.now()) / dayMs;
    expect(Math.round(days)).toBe(365);
  });

  it("goes with the key that asked for it", () => {
    expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true);
    const text = Buffer.from("attested");
    const signature = sign(null, text, createPrivateKey(key));
    const raw = Buffer.from(publicKeyOf(certificate), "base64");
    expect(verify(null, text, ed25519Key(raw), signature)).toBe(true);
  });

  it("is one that OpenSSL verifies", () => {
    const folder = mkdtempSync(join(tmpdir(), "node-identity-"));
    try {
      writeFileSync(join(folder, "ca.pem"), ca.certificatePem);
      writeFileSync(join(folder, "node.pem"), pem);
      const args = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "node.pem"];
      const { status, stdout, stderr, error } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" });
      if (error !== undefined) {
        console.log("skipped: there is no openssl here");
        return;
      }
      expect(`${stdout}${stderr}`.trim()).toBe("node.pem: OK");
      expect(status).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("is not issued for a request that is broken or not signed by its key", async () => {
    const { requestPem } = nodeRequest(subject);
    const der = Buffer.from(requestPem.replace(/-----[^-]+-----|\s/g, ""), "base64");
    der[der.length - 1] = der[der.length - 1]! ^ 1;
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
    for (const bad of [forged, "x"])
      await expect(issueNodeCertificate(ca, bad, subject, hostClock, hostRandom)).rejects.toMatchObject({
        sqlstate: "22023",
      });
  });
});

describe("a peer", () => {
  it("that is a member with the pinned certificate is who it says", () => {
    expect(checkPeer(certificate, context())).toEqual({ node: subject.nodeUuid });
  });

  it("is refused for the first thing that is wrong, by name", async () => {
    const now = hostClock.now();
    expect(conditionOf(certificate, { now: now - 2 * dayMs })).toBe("NOT_YET_VALID");
    expect(conditionOf(certificate, { now: now + 366 * dayMs })).toBe("EXPIRED");
    const otherCa = await createCa(clusterUuid, hostClock, hostRandom);
    const other = [{ certificate: new X509Certificate(otherCa.certificatePem), fingerprint: "other" }];
    expect(conditionOf(certificate, { authorities: other })).toBe("UNTRUSTED_CA");
    const ended = [
      { certificate: new X509Certificate(ca.certificatePem), fingerprint: "ca", trustedUntil: now - 1 },
    ];
    expect(conditionOf(certificate, { authorities: ended })).toBe("UNTRUSTED_CA");
    expect(conditionOf(certificate, { authorities: [...other, ...context().authorities] })).toBe("accepted");
    expect(conditionOf(new X509Certificate(ca.certificatePem))).toBe("MISSING_URI_SAN");
    expect(conditionOf(certificate, { clusterUuid: subject.nodeUuid })).toBe("WRONG_CLUSTER");
    const serial = certificate.serialNumber.toLowerCase();
    expect(conditionOf(certificate, { isRevoked: (by, one) => by === "ca" && one === serial })).toBe(
      "REVOKED",
    );
    expect(conditionOf(certificate, { member: () => undefined })).toBe("NOT_A_MEMBER");
    const pinned = { fingerprints: [fingerprintOf(certificate)], removed: true };
    expect(conditionOf(certificate, { member: () => pinned })).toBe("REMOVED");
  });

  it("with a certificate of its own for a copied uuid is an impostor", async () => {
    const { requestPem } = nodeRequest(subject);
    const second = new X509Certificate(
      await issueNodeCertificate(ca, requestPem, subject, hostClock, hostRandom),
    );
    expect(conditionOf(second)).toBe("NOT_PINNED");
    // While a key is changed, both are known.
    const both = { fingerprints: [fingerprintOf(certificate), fingerprintOf(second)], removed: false };
    expect(conditionOf(second, { member: () => both })).toBe("accepted");
  });
});
