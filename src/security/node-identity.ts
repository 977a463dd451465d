/**
 * Who a node is by its certificate (spec/02 MEM-4, spec/03), and the check of a peer that every connection between nodes goes
 * through. What issues the certificates is `authority.ts`.
 *
 *     subject CN = node uuid    URI sb://cluster/<cluster uuid>/node/<node uuid>
 *     DNS <node name>.cluster.<cluster uuid>.scratchbird.local    server and client authentication    Ed25519
 *
 * Invariants: who a peer is, its certificate says and nobody else; the first check that fails decides (CA-10, then MEM-8),
 * and names itself.
 */
import { createHash, createPublicKey, type X509Certificate } from "node:crypto";
import { urisOf } from "./certificate-names.js";

/** MEM R3, CA-22. */
export const nodeCertificateDays = 365;
export const caCertificateDays = 3650;

export interface KeyAndCertificate {
  readonly certificatePem: string;
  readonly keyPem: string;
}
export interface NodeSubject {
  readonly clusterUuid: string;
  readonly nodeUuid: string;
  readonly nodeName: string;
}

/** SHA-256 of the DER, hexadecimal: what a member's record pins (MEM-6). */
export function fingerprintOf(certificate: X509Certificate): string {
  return createHash("sha256").update(certificate.raw).digest("hex");
}
/** The raw Ed25519 key, base64. */
export function publicKeyOf(certificate: X509Certificate): string {
  return certificate.publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("base64");
}
/** The key object of a raw Ed25519 key, for verifying signatures. */
export function ed25519Key(raw: Uint8Array): ReturnType<typeof createPublicKey> {
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw]);
  return createPublicKey({ key: spki, format: "der", type: "spki" });
}

// --- the check of a peer -----------------------------------------------------------------------------------------

export type PeerCondition =
  | "NOT_YET_VALID"
  | "EXPIRED"
  | "UNTRUSTED_CA"
  | "MISSING_URI_SAN"
  | "WRONG_CLUSTER"
  | "WEAK_KEY"
  | "ALGORITHM_DISALLOWED"
  | "REVOKED"
  | "CHAIN_INVALID"
  | "NOT_A_MEMBER"
  | "NOT_PINNED"
  | "REMOVED";

export interface TrustedCa {
  readonly certificate: X509Certificate;
  /** SHA-256 of its DER, hexadecimal. */
  readonly fingerprint: string;
  /** Milliseconds since 1970; undefined: no beginning, no end. */
  readonly trustedFrom?: number | undefined;
  readonly trustedUntil?: number | undefined;
}

/** What is known of a member, as far as its certificate is concerned. */
export interface PinnedMember {
  readonly fingerprints: readonly string[];
  readonly removed: boolean;
}

export interface PeerContext {
  readonly clusterUuid: string;
  readonly now: number;
  /** Of the beginning of a certificate: the clock of who issued it may be ahead. */
  readonly toleranceMs: number;
  readonly authorities: readonly TrustedCa[];
  /** By the CA's fingerprint, and the serial in lower case. */
  isRevoked(authority: string, serial: string): boolean;
  member(nodeUuid: string): PinnedMember | undefined;
}

export type PeerVerdict =
  | { readonly node: string }
  | { readonly condition: PeerCondition; readonly message: string; readonly node: string | undefined };

const uuidPattern = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const uriPattern = new RegExp(`^sb://cluster/(${uuidPattern})/node/(${uuidPattern})$`);

/** Who a peer is, or why it is nobody. The caller logs, counts and audits the reason, and closes the connection. */
export function checkPeer(certificate: X509Certificate, context: PeerContext): PeerVerdict {
  let node: string | undefined;
  const refuse = (condition: PeerCondition, message: string): PeerVerdict => ({ condition, message, node });
  const { now, toleranceMs } = context;
  if (Date.parse(certificate.validFrom) > now + toleranceMs)
    return refuse("NOT_YET_VALID", `the certificate is valid from ${certificate.validFrom}`);
  if (Date.parse(certificate.validTo) < now)
    return refuse("EXPIRED", `the certificate was valid until ${certificate.validTo}`);
  const authority = context.authorities.find((one) => certificate.verify(one.certificate.publicKey));
  if (authority === undefined)
    return refuse("UNTRUSTED_CA", `issued by ${certificate.issuer}, which is not trusted`);
  if (authority.trustedUntil !== undefined && authority.trustedUntil < now)
    return refuse("UNTRUSTED_CA", `its CA ${certificate.issuer} is trusted no more`);
  if (authority.trustedFrom !== undefined && authority.trustedFrom > now + toleranceMs)
    return refuse("UNTRUSTED_CA", `its CA ${certificate.issuer} is not trusted yet`);
  const uris = urisOf(certificate);
  const match = uris.length === 1 ? uriPattern.exec(uris[0]!) : null;
  if (match === null)
    return refuse("MISSING_URI_SAN", `no node's URI: ${certificate.subjectAltName ?? "none"}`);
  if (match[1] !== context.clusterUuid)
    return refuse("WRONG_CLUSTER", `a certificate of cluster ${match[1]}`);
  node = match[2]!;
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  if (asymmetricKeyType === "rsa" && (asymmetricKeyDetails?.modulusLength ?? 0) < 2048)
    return refuse("WEAK_KEY", "an RSA key of less than 2048 bits");
  if (asymmetricKeyType !== "ed25519")
    return refuse("ALGORITHM_DISALLOWED", `a key of type ${asymmetricKeyType}`);
  const member = context.member(node);
  // Of a member that was removed they are revoked too: what it is to hear is that it was removed.
  const isRemoved = member?.removed === true && member.fingerprints.includes(fingerprintOf(certificate));
  if (!isRemoved && context.isRevoked(authority.fingerprint, certificate.serialNumber.toLowerCase()))
    return refuse("REVOKED", `certificate ${certificate.serialNumber.toLowerCase()} is revoked`);
  if (certificate.ca || !certificate.checkIssued(authority.certificate) || !mayBeBoth(certificate))
    return refuse("CHAIN_INVALID", "not a node certificate of its CA");
  if (member === undefined) return refuse("NOT_A_MEMBER", `node ${node} is no member`);
  if (!member.fingerprints.includes(fingerprintOf(certificate)))
    return refuse("NOT_PINNED", `node ${node} is known by another certificate`);
  if (member.removed) return refuse("REMOVED", `node ${node} was removed`);
  return { node };
}

/** Node certificates are for both ends of a connection; a user's or a service's is not (CA-18). */
function mayBeBoth(certificate: X509Certificate): boolean {
  const usages = certificate.keyUsage ?? [];
  return usages.includes("1.3.6.1.5.5.7.3.1") && usages.includes("1.3.6.1.5.5.7.3.2");
}
