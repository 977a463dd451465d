/**
 * Node certificates (spec/02 MEM-4, spec/03): the cluster's CA, a node's key and request, what the CA issues, and the
 * check of a peer that every connection between nodes goes through.
 *
 *     subject CN = node uuid    URI sb://cluster/<cluster uuid>/node/<node uuid>
 *     DNS <node name>.cluster.<cluster uuid>.scratchbird.local    server and client authentication    Ed25519
 *
 * OpenSSL checks chains by names, and takes a certificate whose issuer differs from its subject in case alone for
 * self-signed; so the CA's name never looks like a node's.
 *
 * Invariants: a private key never leaves the node that drew it; who a peer is, its certificate says and nobody else; the
 * first check that fails decides (CA-10, then MEM-8), and names itself.
 */
import { createHash, createPublicKey, webcrypto, type X509Certificate } from "node:crypto";
import { DbError } from "../base/errors.js";
import type { Clock, Random } from "../platform/index.js";
import { newSerial } from "./tls.js";

const dayMs = 86_400_000;
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

async function library(): Promise<typeof import("@peculiar/x509")> {
  await import("reflect-metadata"); // the library needs it first
  const x509 = await import("@peculiar/x509");
  x509.cryptoProvider.set(webcrypto);
  return x509;
}

const ed25519 = { name: "Ed25519" } as const;

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  return pemOf(der, "PRIVATE KEY");
}
function pemOf(der: Uint8Array, label: string): string {
  const lines = Buffer.from(der)
    .toString("base64")
    .match(/.{1,64}/g)!;
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");
}

export function nodeUri(clusterUuid: string, nodeUuid: string): string {
  return `sb://cluster/${clusterUuid}/node/${nodeUuid}`;
}

/** A cluster's first CA: self-signed Ed25519. */
export async function createCa(
  clusterUuid: string,
  clock: Clock,
  random: Random,
): Promise<KeyAndCertificate> {
  const x509 = await library();
  const keys = (await webcrypto.subtle.generateKey(ed25519, true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
  const now = clock.now();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: newSerial(random),
      name: [{ O: ["ScratchBird"], CN: [`Cluster CA ${clusterUuid}`] }],
      notBefore: new Date(now - dayMs),
      notAfter: new Date(now + caCertificateDays * dayMs),
      signingAlgorithm: ed25519,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    },
    webcrypto,
  );
  return { certificatePem: `${certificate.toString("pem")}\n`, keyPem: await keyPem(keys.privateKey) };
}

/** A node's key, and its request for a certificate. The key stays. */
export async function createRequest(subject: NodeSubject): Promise<{ requestPem: string; keyPem: string }> {
  const x509 = await library();
  const keys = (await webcrypto.subtle.generateKey(ed25519, true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    {
      name: [{ CN: [subject.nodeUuid] }],
      keys,
      signingAlgorithm: ed25519,
      extensions: [
        new x509.SubjectAlternativeNameExtension([
          { type: "url", value: nodeUri(subject.clusterUuid, subject.nodeUuid) },
        ]),
      ],
    },
    webcrypto,
  );
  return { requestPem: `${request.toString("pem")}\n`, keyPem: await keyPem(keys.privateKey) };
}

/**
 * Issues a node certificate for a request. Who may have one is the caller's business; what it says is not the request's.
 * @throws DbError invalidParameterValue (22023) for a request that is none, is not signed by its key, or has another key type
 */
export async function issueNodeCertificate(
  ca: KeyAndCertificate,
  requestPem: string,
  subject: NodeSubject,
  clock: Clock,
  random: Random,
): Promise<string> {
  const x509 = await library();
  let request: InstanceType<typeof x509.Pkcs10CertificateRequest>;
  let sound = false;
  try {
    request = new x509.Pkcs10CertificateRequest(requestPem);
    sound = request.publicKey.algorithm.name === "Ed25519" && (await request.verify(webcrypto));
  } catch (error) {
    throw new DbError("invalidParameterValue", "the certificate request cannot be read", {}, error);
  }
  if (!sound)
    throw new DbError(
      "invalidParameterValue",
      "the certificate request is not signed by its own Ed25519 key",
    );
  const issuer = new x509.X509Certificate(ca.certificatePem);
  const signingKey = await webcrypto.subtle.importKey("pkcs8", derOf(ca.keyPem), ed25519, false, ["sign"]);
  const now = clock.now();
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: newSerial(random),
      subject: [{ CN: [subject.nodeUuid] }],
      issuer: issuer.subjectName,
      notBefore: new Date(now - dayMs),
      notAfter: new Date(now + nodeCertificateDays * dayMs),
      signingAlgorithm: ed25519,
      publicKey: request.publicKey,
      signingKey: signingKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
        new x509.SubjectAlternativeNameExtension([
          { type: "url", value: nodeUri(subject.clusterUuid, subject.nodeUuid) },
          {
            type: "dns",
            value: `${subject.nodeName}.cluster.${subject.clusterUuid}.scratchbird.local`.toLowerCase(),
          },
        ]),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ],
    },
    webcrypto,
  );
  return `${certificate.toString("pem")}\n`;
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
  /** Milliseconds since 1970; undefined: no end. */
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
  /** Clocks of two hosts are never equal. */
  readonly toleranceMs: number;
  readonly authorities: readonly TrustedCa[];
  isRevoked(serial: string): boolean;
  member(nodeUuid: string): PinnedMember | undefined;
}

export type PeerVerdict =
  | { readonly node: string }
  | { readonly condition: PeerCondition; readonly message: string; readonly node: string | undefined };

const uuidPattern = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const uriPattern = new RegExp(`^sb://cluster/(${uuidPattern})/node/(${uuidPattern})$`);

/** URIs of a certificate's subject alternative names. */
export function urisOf(certificate: X509Certificate): string[] {
  const names = certificate.subjectAltName ?? "";
  // Node quotes a name that holds a separator; ours never do, so a quoted one is not ours.
  return names
    .split(", ")
    .filter((name) => name.startsWith("URI:"))
    .map((name) => name.slice(4));
}

/** Who a peer is, or why it is nobody. The caller logs, counts and audits the reason, and closes the connection. */
export function checkPeer(certificate: X509Certificate, context: PeerContext): PeerVerdict {
  let node: string | undefined;
  const refuse = (condition: PeerCondition, message: string): PeerVerdict => ({ condition, message, node });
  const { now, toleranceMs } = context;
  if (Date.parse(certificate.validFrom) > now + toleranceMs)
    return refuse("NOT_YET_VALID", `the certificate is valid from ${certificate.validFrom}`);
  if (Date.parse(certificate.validTo) < now - toleranceMs)
    return refuse("EXPIRED", `the certificate was valid until ${certificate.validTo}`);
  const authority = context.authorities.find((one) => certificate.verify(one.certificate.publicKey));
  if (authority === undefined)
    return refuse("UNTRUSTED_CA", `issued by ${certificate.issuer}, which is not trusted`);
  if (authority.trustedUntil !== undefined && authority.trustedUntil < now)
    return refuse("UNTRUSTED_CA", `its CA ${certificate.issuer} is trusted no more`);
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
  if (context.isRevoked(certificate.serialNumber.toLowerCase()))
    return refuse("REVOKED", `certificate ${certificate.serialNumber.toLowerCase()} is revoked`);
  if (certificate.ca || !certificate.checkIssued(authority.certificate) || !mayBeBoth(certificate))
    return refuse("CHAIN_INVALID", "not a node certificate of its CA");
  const member = context.member(node);
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
