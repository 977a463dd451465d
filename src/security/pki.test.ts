/** What applying a change asks of certificates: no text ends anybody. */
import { describe, expect, it } from "vitest";
import { hostClock, hostRandom } from "../platform/host.js";
import { derOfPem, pemOf } from "./der.js";
import { authorityFacts, nodeFacts, revocationList } from "./pki.js";
import { createCa, nodeIdentity } from "./testing.js";

const clusterUuid = "0190a8c0-0000-7000-8000-00000000000c";
const nodeUuid = "0190a8c0-0000-7000-8000-000000000001";

describe("whatever the text is", async () => {
  const ca = await createCa(clusterUuid, hostClock, hostRandom);
  const subject = { clusterUuid, nodeUuid, nodeName: "n1" };
  const { certificatePem } = await nodeIdentity(ca, subject, hostClock, hostRandom);

  it("what is sound is read", () => {
    expect(authorityFacts(ca.certificatePem)?.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(nodeFacts(certificatePem, ca.certificatePem)).toMatchObject({ clusterUuid, node: nodeUuid });
    expect(authorityFacts(certificatePem)).toBeUndefined();
    expect(nodeFacts(ca.certificatePem, ca.certificatePem)).toBeUndefined();
  });

  it("a byte that was changed makes it none, and throws nothing: keys of unknown kinds among them", () => {
    for (const pem of [certificatePem, ca.certificatePem]) {
      const der = derOfPem(pem, "CERTIFICATE", 100_000);
      for (let at = 0; at < der.length; at++) {
        const changed = Buffer.from(der);
        changed[at]! ^= 1 << (at % 8);
        const text = pemOf(changed, "CERTIFICATE");
        expect(nodeFacts(text, ca.certificatePem), `byte ${at}`).toBeUndefined();
        expect(authorityFacts(text), `byte ${at}`).toBeUndefined();
        expect(nodeFacts(certificatePem, text)?.node ?? nodeUuid).toBe(nodeUuid);
      }
    }
    for (const text of ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]) {
      expect(authorityFacts(text)).toBeUndefined();
      expect(nodeFacts(text, text)).toBeUndefined();
      expect(revocationList(text, text)).toBeUndefined();
    }
  });
});
