/** User certificates: every reason to refuse one, in the order of the checks, and that nobody else's passes for one. */
import { X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { hostClock, hostRandom } from "../platform/host.js";
import { nodeRequest } from "./certificate-request.js";
import { checkPeer, fingerprintOf, type KeyAndCertificate } from "./node-identity.js";
import { createCa, issueNodeCertificate } from "./testing.js";
import { checkUser, type UserContext } from "./user-identity.js";
import { makeUserCertificate, type UserCertificateOptions, userUri } from "./user-testing.js";

const clusterUuid = "0190a8c0-0000-7000-8000-00000000000c";
const otherCluster = "0190a8c0-0000-7000-8000-00000000000d";
const nodeUuid = "0190a8c0-0000-7000-8000-000000000001";
const uri = userUri(clusterUuid, "alice");

let ca: KeyAndCertificate;
let otherCa: KeyAndCertificate;
beforeAll(async () => {
  ca = await createCa(clusterUuid, hostClock, hostRandom);
  otherCa = await createCa(clusterUuid, hostClock, hostRandom);
});

const trusted = ({ certificatePem }: KeyAndCertificate) => {
  const certificate = new X509Certificate(certificatePem);
  return { certificate, fingerprint: fingerprintOf(certificate) };
};
const context = (change: Partial<UserContext> = {}): UserContext => ({
  clusterUuid,
  now: hostClock.now(),
  toleranceMs: 5 * 60_000,
  authorities: [trusted(ca)],
  isRevoked: () => false,
  ...change,
});

async function user(options: Partial<UserCertificateOptions> = {}, by = ca): Promise<X509Certificate> {
  return new X509Certificate((await makeUserCertificate(by, { uris: [uri], ...options })).certificatePem);
}
function conditionOf(certificate: X509Certificate, change: Partial<UserContext> = {}): string {
  const verdict = checkUser(certificate, context(change));
  return "condition" in verdict ? verdict.condition : `role ${verdict.role}`;
}

describe("a user certificate", () => {
  it.each(["ed25519", "p256", "rsa"] as const)("names a role, with a key of %s", async (key) => {
    const certificate = await user({ key, commonName: "Alice" });
    expect(checkUser(certificate, context())).toEqual({
      role: "alice",
      issuer: fingerprintOf(new X509Certificate(ca.certificatePem)),
      serial: certificate.serialNumber.toLowerCase(),
      subjectName: "CN=Alice",
      issuerName: expect.stringContaining(clusterUuid),
    });
  });

  it.each(["alice", "Anna Lena", "zoë", "q\"u,o'te;(s)!*", "a/b%41", "角色"])("may name %s", async (role) => {
    const certificate = await user({ uris: [userUri(clusterUuid, role)] });
    expect(conditionOf(certificate)).toBe(`role ${role}`);
  });

  it.each([
    ["not valid yet", { from: 2 }, "NOT_YET_VALID"],
    ["expired", { from: -10, until: -2 }, "EXPIRED"],
    ["without a URI", { uris: [] }, "MISSING_URI_SAN"],
    ["of two users", { uris: [uri, userUri(clusterUuid, "bob")] }, "MISSING_URI_SAN"],
    ["of a node", { uris: [`sb://cluster/${clusterUuid}/node/${nodeUuid}`] }, "MISSING_URI_SAN"],
    ["of a service", { uris: [`sb://cluster/${clusterUuid}/service/x`] }, "MISSING_URI_SAN"],
    ["of a URI that goes on", { uris: [`${uri}/more`] }, "MISSING_URI_SAN"],
    ["of a name that is no UTF-8", { uris: [`sb://cluster/${clusterUuid}/user/%FF`] }, "MISSING_URI_SAN"],
    ["of a name with a zero", { uris: [`sb://cluster/${clusterUuid}/user/a%00b`] }, "MISSING_URI_SAN"],
    ["of a name that is too long", { uris: [userUri(clusterUuid, "é".repeat(32))] }, "MISSING_URI_SAN"],
    ["of another cluster", { uris: [userUri(otherCluster, "alice")] }, "WRONG_CLUSTER"],
    ["with a weak key", { key: "weak" }, "WEAK_KEY"],
    ["with another curve", { key: "p384" }, "ALGORITHM_DISALLOWED"],
    ["that is a CA's", { isCa: true }, "CHAIN_INVALID"],
    ["for both ends", { usages: ["server", "client"] }, "CHAIN_INVALID"],
    ["for servers", { usages: ["server"] }, "CHAIN_INVALID"],
    ["by the same key under another name", { issuerName: "CN=somebody" }, "CHAIN_INVALID"],
  ] as const)("%s is refused", async (_, options, condition) => {
    expect(conditionOf(await user(options))).toBe(condition);
  });

  it("is worth what its CA is, and no more once revoked", async () => {
    const certificate = await user();
    expect(conditionOf(await user({}, otherCa))).toBe("UNTRUSTED_CA");
    expect(conditionOf(certificate, { authorities: [] })).toBe("UNTRUSTED_CA");
    const authority = new X509Certificate(ca.certificatePem);
    const until = (at: number) => ({ authorities: [{ ...trusted(ca), trustedUntil: at }] });
    expect(conditionOf(certificate, until(hostClock.now() - 1))).toBe("UNTRUSTED_CA");
    expect(conditionOf(certificate, until(hostClock.now() + 1000))).toBe("role alice");
    const revoked = certificate.serialNumber.toLowerCase();
    const isRevoked = (issuer: string, serial: string): boolean =>
      issuer === fingerprintOf(authority) && serial === revoked;
    expect(conditionOf(certificate, { isRevoked })).toBe("REVOKED");
    expect(conditionOf(await user(), { isRevoked })).toBe("role alice");
  });

  it("tells whom a trusted CA has certified, though it is refused, and of nobody else", async () => {
    const certified = async (options: Partial<UserCertificateOptions>, by = ca) => {
      const verdict = checkUser(await user(options, by), context());
      return "condition" in verdict ? verdict.certified : "accepted";
    };
    expect(await certified({ from: -10, until: -2 })).toBe("alice");
    expect(await certified({ usages: ["server"] })).toBe("alice");
    expect(await certified({ from: -10, until: -2 }, otherCa)).toBeUndefined();
    expect(await certified({ uris: [userUri(otherCluster, "alice")] })).toBeUndefined();
  });

  it("is never a node's, nor a node's a user's (CA-18)", async () => {
    const subject = { clusterUuid, nodeUuid, nodeName: "node-1" };
    const { requestPem } = nodeRequest(subject);
    const node = new X509Certificate(
      await issueNodeCertificate(ca, requestPem, subject, hostClock, hostRandom),
    );
    expect(conditionOf(node)).toBe("MISSING_URI_SAN");
    const member = () => ({ fingerprints: [fingerprintOf(node)], removed: false });
    const peer = checkPeer(await user(), { ...context(), isRevoked: () => false, member });
    expect(peer).toMatchObject({ condition: "MISSING_URI_SAN" });
  });
});
