/**
 * Trust for simulated nodes: signatures that cost nothing and are the same for the same seed. A key is its own public key,
 * which is safe enough where every node is this program.
 */
import { createHash } from "node:crypto";
import type { NodeTrust } from "../control-host.js";

function signatureOf(publicKey: Uint8Array, digest: Uint8Array): string {
  return createHash("sha512").update(publicKey).update(digest).digest("base64");
}

const pem = (text: string): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(text).toString("base64")}\n-----END CERTIFICATE-----\n`;
const fingerprint = (text: string): string => createHash("sha256").update(text).digest("hex");

/** The "certificate" of a node is the text of who it is. */
export function simTrust(clusterUuid: string, nodeUuid: string): NodeTrust {
  const certificate = JSON.stringify({ clusterUuid, nodeUuid });
  const key = createHash("sha256").update(`key of ${nodeUuid}`).digest();
  const certFingerprint = fingerprint(certificate);
  return {
    signer: {
      certFingerprint,
      publicKey: key.toString("base64"),
      sign: (digest) => signatureOf(key, digest),
    },
    verify: (publicKey, digest, signature) => signatureOf(publicKey, digest) === signature,
    authorityPem: pem(`CA of ${clusterUuid}`),
    issue: undefined,
    credentials: (cluster, { leaving, firstPeers }) => ({
      own: { certificatePem: certificate, keyPem: "" },
      check: (der) => {
        const text = Buffer.from(der).toString();
        const shown = JSON.parse(text) as { clusterUuid: string; nodeUuid: string };
        const refuse = (condition: string) => ({ condition, message: condition, node: shown.nodeUuid });
        if (shown.clusterUuid !== clusterUuid) return refuse("WRONG_CLUSTER");
        const member = cluster.members.get(shown.nodeUuid);
        const accepted = { node: shown.nodeUuid, certFingerprint: fingerprint(text) };
        if (member === undefined)
          return cluster.members.has(nodeUuid) || !firstPeers.has(shown.nodeUuid)
            ? refuse("NOT_A_MEMBER")
            : firstPeers.get(shown.nodeUuid) === accepted.certFingerprint
              ? accepted
              : refuse("NOT_PINNED");
        if (member.certFingerprint !== fingerprint(text)) return refuse("NOT_PINNED");
        if (member.state === "REMOVED" && !leaving.has(shown.nodeUuid)) return refuse("REMOVED");
        return accepted;
      },
    }),
  };
}
