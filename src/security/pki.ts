/**
 * What the consensus state asks of certificates when it applies a change: whether a text is a CA's certificate, a node's under a
 * certain CA, or a revocation list. Times are not looked at: the same text has the same answer on every node, whenever it is
 * asked.
 *
 * Invariants: no function here throws for whatever text it is given; an answer says only what a signature vouches for.
 */
import { createHash, X509Certificate } from "node:crypto";
import { DbError } from "../base/errors.js";
import { caAlgorithmOf } from "./ca-signer.js";
import { identityOf } from "./certificate-names.js";
import { fingerprintOf, publicKeyOf } from "./node-identity.js";
import { type RevocationList, readCrl } from "./revocation-list.js";

export interface AuthorityFacts {
  /** SHA-256 of the DER, hexadecimal. */
  readonly fingerprint: string;
  /** SHA-256 of its key's SubjectPublicKeyInfo, hexadecimal. */
  readonly keyHash: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}
export interface NodeFacts {
  readonly clusterUuid: string;
  readonly node: string;
  readonly fingerprint: string;
  /** Raw Ed25519, base64. */
  readonly publicKey: string;
  /** Hexadecimal, lower case. */
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Whatever OpenSSL has against a text, it may say so when it reads it, or only when it is asked for the key. */
function orNone<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Of a self-signed CA certificate with a key that CAs of ours have; undefined: it is none. */
export function authorityFacts(pem: string): AuthorityFacts | undefined {
  return orNone(() => {
    const certificate = new X509Certificate(pem);
    if (!certificate.ca || caAlgorithmOf(certificate.publicKey) === undefined) return undefined;
    if (!certificate.checkIssued(certificate) || !certificate.verify(certificate.publicKey)) return undefined;
    const spki = certificate.publicKey.export({ type: "spki", format: "der" });
    return {
      fingerprint: fingerprintOf(certificate),
      keyHash: createHash("sha256").update(spki).digest("hex"),
      notBefore: Date.parse(certificate.validFrom),
      notAfter: Date.parse(certificate.validTo),
    };
  });
}

/** Of a node's certificate that this CA has issued; undefined: it is none. */
export function nodeFacts(pem: string, authorityPem: string): NodeFacts | undefined {
  return orNone(() => {
    const certificate = new X509Certificate(pem);
    const authority = new X509Certificate(authorityPem);
    if (!certificate.checkIssued(authority) || !certificate.verify(authority.publicKey)) return undefined;
    const identity = identityOf(certificate);
    if (identity?.kind !== "node" || certificate.publicKey.asymmetricKeyType !== "ed25519") return undefined;
    return {
      clusterUuid: identity.clusterUuid,
      node: identity.name,
      fingerprint: fingerprintOf(certificate),
      publicKey: publicKeyOf(certificate),
      serial: certificate.serialNumber.toLowerCase(),
      notBefore: Date.parse(certificate.validFrom),
      notAfter: Date.parse(certificate.validTo),
    };
  });
}

/** Of a list that this CA has signed; undefined: it is none. */
export function revocationList(pem: string, authorityPem: string): RevocationList | undefined {
  try {
    return readCrl(pem, authorityPem);
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    return undefined;
  }
}
