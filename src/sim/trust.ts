/**
 * Trust for simulated nodes: signatures that cost nothing and are the same for the same seed. A key is its own public key,
 * which is safe enough where every node is this program.
 */
import { hash } from "node:crypto";
import type { NodeTrust } from "../control-host.js";

function signatureOf(publicKey: Uint8Array, digest: Uint8Array): string {
  return hash("sha512", Buffer.concat([publicKey, digest]), "base64");
}

/** Signatures that were found good, by the digest: every node looks at the same ones. */
const good = new WeakMap<Uint8Array, { readonly publicKey: Uint8Array; readonly signature: string }>();
function verify(publicKey: Uint8Array, digest: Uint8Array, signature: string): boolean {
  const known = good.get(digest);
  if (known?.signature === signature && Buffer.compare(known.publicKey, publicKey) === 0) return true;
  if (signatureOf(publicKey, digest) !== signature) return false;
  good.set(digest, { publicKey, signature });
  return true;
}

const pem = (text: string): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(text).toString("base64")}\n-----END CERTIFICATE-----\n`;
const fingerprint = (text: string): string => hash("sha256", text, "hex");

interface Shown {
  readonly clusterUuid: string;
  readonly nodeUuid: string;
  readonly certFingerprint: string;
}
/** By the bytes of a stream: whoever trusts anew looks again at all that are open. */
const seen = new WeakMap<Uint8Array, Shown>();
function readShown(der: Uint8Array): Shown {
  let shown = seen.get(der);
  if (shown === undefined) {
    const text = Buffer.from(der).toString();
    shown = { ...(JSON.parse(text) as Omit<Shown, "certFingerprint">), certFingerprint: fingerprint(text) };
    seen.set(der, shown);
  }
  return shown;
}

/** The "certificate" of a node is the text of who it is. */
export function simTrust(clusterUuid: string, nodeUuid: string): NodeTrust {
  const certificate = JSON.stringify({ clusterUuid, nodeUuid });
  const key = Buffer.from(hash("sha256", `key of ${nodeUuid}`, "hex"), "hex");
  return {
    signer: {
      certFingerprint: fingerprint(certificate),
      publicKey: key.toString("base64"),
      sign: (digest) => signatureOf(key, digest),
    },
    verify,
    authorityPem: pem(`CA of ${clusterUuid}`),
    issue: undefined,
    credentials: (cluster, { leaving, told }) => ({
      own: { certificatePem: certificate, keyPem: "" },
      check: (der) => {
        const shown = readShown(der);
        const { certFingerprint } = shown;
        const refuse = (condition: string) => ({ condition, message: condition, node: shown.nodeUuid });
        if (shown.clusterUuid !== clusterUuid) return refuse("WRONG_CLUSTER");
        const member = cluster.members.get(shown.nodeUuid);
        const accepted = { node: shown.nodeUuid, certFingerprint };
        if (member === undefined)
          return !told.has(shown.nodeUuid)
            ? refuse("NOT_A_MEMBER")
            : told.get(shown.nodeUuid) === certFingerprint
              ? accepted
              : refuse("NOT_PINNED");
        if (member.certFingerprint !== certFingerprint) return refuse("NOT_PINNED");
        if (member.state === "REMOVED" && !leaving.has(shown.nodeUuid)) return refuse("REMOVED");
        return accepted;
      },
    }),
  };
}
