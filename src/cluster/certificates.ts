/**
 * Who the cluster trusts to issue certificates, which certificates it has revoked, and the exchange of one certificate
 * authority for another (spec/03). Pure: what certificates and revocation lists say is read by a `Pki` that is handed in.
 *
 *     EXCLUSIVE  --begin overlap-->  OVERLAP  --cut over-->  EXCLUSIVE
 *      old CA                      old and new CA             new CA
 *                          members take certificates of the new CA,
 *                         and see each other with them: then the gate is open
 *
 *     any  --emergency-->  EMERGENCY  --all have moved, or the time is over-->  EXCLUSIVE
 *                  new CA; of the others the certificates             new CA; who has not
 *                  that members are pinned to, and no more            moved is left behind
 *
 * Trust lies in the part `caPolicy` of the epoch, lists of revocations included, and nowhere else: no security bundle that is
 * brought back, and no older list, revives what was taken back (CA-25, SEC-35).
 *
 * Invariants: one authority is primary, and issues; a list's number only rises, and what is on it stays until it has expired
 * by itself; an authority that is gone never comes back; nothing here reads a clock.
 */
import { sharedByObject } from "../base/shared.js";
import type { ErrorRecord, VerifySignature } from "./contract.js";
import { type Hash, hashOf } from "./epochs.js";
import type { Member } from "./membership.js";

/** Of a certificate that the cluster has issued. Times are milliseconds since 1970. */
export interface CertificateFacts {
  /** Hexadecimal, lower case. */
  readonly serial: string;
  /** SHA-256 of the issuing authority's certificate. */
  readonly issuer: Hash;
  readonly notBefore: number;
  readonly notAfter: number;
}

export const certificateKinds = ["node", "user", "service", "server"] as const;
export type CertificateKind = (typeof certificateKinds)[number];

/** One in the register of what was issued (sys.certificates). */
export interface IssuedCertificate extends CertificateFacts {
  readonly kind: CertificateKind;
  /** Of a node and of its server certificate its uuid; else a name. */
  readonly subject: string;
  readonly fingerprint: Hash;
  readonly issuedAt: number;
  readonly by: string;
}

export interface Revocation {
  readonly revokedAt: number;
  /** As RFC 5280, 5.3.1 names it. */
  readonly reason: string;
}
/** What a certificate revocation list says. */
export interface RevocationList {
  readonly number: number;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** By serial, hexadecimal in lower case. */
  readonly revoked: ReadonlyMap<string, Revocation>;
}

/** A CA that is trusted, as the epoch has it. */
export interface Authority {
  /** SHA-256 of the DER certificate. */
  readonly fingerprint: Hash;
  readonly certificatePem: string;
  /** It issues; the others are only believed. */
  readonly primary: boolean;
  readonly trustedFrom: number;
  /** Undefined: no end. */
  readonly trustedUntil: number | undefined;
  /** X509 CRL; undefined: it has never revoked anything. */
  readonly crlPem: string | undefined;
}
/** A CA that was trusted: old signatures and old certificates are understood by it. */
export interface FormerAuthority {
  readonly fingerprint: Hash;
  readonly certificatePem: string;
  readonly trustedFrom: number;
  readonly until: number;
}

/** An exchange of CAs that is under way. */
export interface Rotation {
  readonly id: string;
  readonly from: Hash;
  readonly to: Hash;
  readonly startedAt: number;
  /** How long everything must have been in order before the old CA goes. */
  readonly windowMs: number;
  /** The leader cuts over by itself (ROTATE CA). */
  readonly automatic: boolean;
  readonly by: string;
  /** The older CA is believed no more, but of members that are pinned to its certificates; `windowMs`: for how long. */
  readonly emergency?: true | undefined;
}
/** One that is over. */
export interface PastRotation extends Rotation {
  readonly endedAt: number;
  readonly outcome: "DONE" | "CANCELED" | "EMERGENCY";
}

/** One node's word on whose certificates it sees (CA-30). */
export interface CertificateSighting {
  readonly node: string;
  readonly rotation: string;
  readonly seen: readonly {
    readonly peer: string;
    readonly certFingerprint: Hash;
    readonly observedAt: number;
  }[];
  /** Ed25519 over `sightingDigest`, base64. */
  readonly signature: string;
}

export interface CaTrust {
  /** Rises with each change. */
  readonly version: number;
  /** Of the epoch that brought this version (CA-9). */
  readonly authorities: readonly Authority[];
  readonly rotation: Rotation | undefined;
  /** Of an emergency: CAs of which nothing counts any more but the very certificates by which members are known. */
  readonly pinned?: readonly Authority[] | undefined;
}

/** Reads and checks certificates and lists; the simulator has its own. No member throws for whatever text it is given. */
export interface Pki {
  readonly verify: VerifySignature;
  /** Of a CA certificate, self-signed and fit to be one. Undefined: it is none. */
  readAuthority(pem: string):
    | {
        readonly fingerprint: Hash;
        /** SHA-256 of its key: another certificate of the same key is no other CA (CA-28). */
        readonly keyHash: Hash;
        readonly notBefore: number;
        readonly notAfter: number;
      }
    | undefined;
  /** Of a node's certificate that this authority has signed. Undefined: it is none. */
  readNode(
    pem: string,
    authorityPem: string,
  ):
    | {
        readonly clusterUuid: string;
        readonly node: string;
        readonly fingerprint: Hash;
        /** Raw Ed25519, base64. */
        readonly publicKey: string;
        readonly serial: string;
        readonly notBefore: number;
        readonly notAfter: number;
      }
    | undefined;
  /** Of a list that this authority has signed. Undefined: it is none. */
  readCrl(pem: string, authorityPem: string): RevocationList | undefined;
  /** Whether the signature (base64) is by the key of that CA's certificate. */
  verifyAuthority(authorityPem: string, digest: Uint8Array, signature: string): boolean;
}

/** As it was issued a moment ago. */
export interface FreshCertificate extends Omit<CertificateFacts, "issuer"> {
  readonly certificatePem: string;
  readonly fingerprint: Hash;
  /** Of a node: raw Ed25519, base64. */
  readonly publicKey: string;
}
/** Signs for the CAs whose keys are kept on this node. @throws DbError what the store of keys says, or 22023 of a request */
export interface CaService {
  /** Fingerprints. */
  keys(): readonly Hash[];
  issueNode(by: CaName, requestPem: string, node: string, nodeName: string): Promise<FreshCertificate>;
  issueUser(by: CaName, requestPem: string, role: string): Promise<FreshCertificate>;
  issueService(by: CaName, requestPem: string, service: string): Promise<FreshCertificate>;
  /** For a Postgres port. @throws DbError objectNotInPrerequisiteState (55000): what this CA signs clients cannot bind to */
  issueServer(by: CaName, requestPem: string, names: ServerNames): Promise<FreshCertificate>;
  signList(by: CaName, list: RevocationList): Promise<string>;
  /** Of a security bundle's hash; base64. */
  signBundle(by: CaName, digest: Uint8Array): Promise<string>;
  /** A new CA; its key stays. PEM. */
  create(): Promise<string>;
  /** Its key is destroyed. */
  forget(fingerprint: Hash): void;
  /** Its key in shares, of which `needed` bring it back. */
  split(by: CaName, plan: { readonly needed: number; readonly total: number }): Promise<string[]>;
  /** The key of one of these from its shares: it is kept from here on. Answers whose it is. */
  recover(of: readonly CaName[], shares: readonly string[]): Promise<Hash>;
}
export type CaName = Pick<Authority, "fingerprint" | "certificatePem">;

/** By which clients reach a Postgres port. */
export interface ServerNames {
  readonly commonName: string;
  readonly dns: readonly string[];
  readonly addresses: readonly string[];
}

/**
 * What a node's port is called, as the log has it: a node has no say in this, or it could pass for another one. On its own machine
 * everybody is localhost.
 */
export function serverNamesOf(member: Pick<Member, "name" | "addresses">, clusterUuid: string): ServerNames {
  const dns = new Set(["localhost", `${member.name}.cluster.${clusterUuid}.scratchbird.local`.toLowerCase()]);
  const addresses = new Set(["127.0.0.1", "::1"]);
  for (const one of Object.values(member.addresses)) {
    const host = one.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
    if (host === "" || host === "0.0.0.0" || host === "::") continue;
    (/^[0-9.]+$|:/.test(host) ? addresses : dns).add(host.toLowerCase());
  }
  return { commonName: member.name, dns: [...dns], addresses: [...addresses] };
}

/** Those of Postgres ports, by the node's uuid. */
const serversBySubject = new WeakMap<object, ReadonlyMap<string, readonly IssuedCertificate[]>>();
export function serverCertificatesOf(
  certificates: ReadonlyMap<string, IssuedCertificate>,
  node: string,
): readonly IssuedCertificate[] {
  let known = serversBySubject.get(certificates);
  if (known === undefined) {
    const made = new Map<string, IssuedCertificate[]>();
    for (const one of certificates.values()) {
      if (one.kind !== "server") continue;
      const of = made.get(one.subject);
      if (of === undefined) made.set(one.subject, [one]);
      else of.push(one);
    }
    serversBySubject.set(certificates, (known = made));
  }
  return known.get(node) ?? [];
}

/** Keeps certificates of this node that are not in use yet. */
export interface CertificateStore {
  /** A new key, and the request for a certificate of it. */
  request(): Promise<{
    readonly requestPem: string;
    /** Durable when it returns. */
    keep(certificatePem: string, authorityPem: string): void;
  }>;
}

/** What the old CA is trusted for at most while both are (spec/03, R2). */
export const overlapTrustMs = 14 * 86_400_000;
export const overlapMaxMs = 366 * 86_400_000;
/** Before the older CA ends, the leader sees to it that a quorum can do without. */
export const overlapCareMs = 2 * 86_400_000;
/** Sightings count for so long (CA-31). */
export const sightingMaxAgeMs = 5 * 60_000;
/** CRLs are for so long, and made anew at half of it. */
export const crlValidMs = 30 * 86_400_000;
/** A list of revocations, as text: 5,000 entries have some 300 kB. */
export const crlCharsMax = 4_000_000;
/** Two authorities overlap; nobody needs many. */
export const authoritiesMax = 4;
export const formerAuthoritiesMax = 1000;
export const certificatesMax = 100_000;
/** Of users and services; the rest is for nodes. */
export const clientCertificatesMax = 90_000;
/** By the clock of who signs, before that of who leads. */
const listAheadMs = 10 * 60_000;
/** Expired certificates are forgotten after so long: nobody accepts them, revoked or not. */
const forgottenAfterMs = 30 * 86_400_000;

const fail = (
  condition: ErrorRecord["condition"],
  message: string,
  detail?: string,
  hint?: string,
): ErrorRecord => ({ condition, message, ...(detail && { detail }), ...(hint && { hint }) });

/** What the part of the epoch says: the same text on every node. */
export const trustText = sharedByObject(({ version, authorities, rotation, pinned }: CaTrust): string =>
  JSON.stringify([
    version,
    authorities.map(authorityRow),
    rotation === undefined
      ? null
      : [
          rotation.id,
          rotation.from,
          rotation.to,
          rotation.startedAt,
          rotation.windowMs,
          rotation.automatic,
          rotation.by,
          ...(rotation.emergency ? ["emergency"] : []),
        ],
    ...(pinned === undefined ? [] : [pinned.map(authorityRow)]),
  ]),
);
function authorityRow(one: Authority): unknown {
  return [
    one.fingerprint,
    one.certificatePem,
    one.primary,
    one.trustedFrom,
    one.trustedUntil ?? null,
    one.crlPem ?? null,
  ];
}

export function primaryOf({ authorities }: Pick<CaTrust, "authorities">): Authority | undefined {
  return authorities.find((one) => one.primary);
}

export function fingerprintOfPem(pem: string): Hash {
  return hashOf(Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64"));
}

/** A node's first CA. */
export function genesisTrust(certificatePem: string, crlPem: string | undefined, at: number): CaTrust {
  const fingerprint = fingerprintOfPem(certificatePem);
  const authority = { fingerprint, certificatePem, primary: true, trustedFrom: at, trustedUntil: undefined };
  return { version: 1, authorities: [{ ...authority, crlPem }], rotation: undefined };
}

function withAuthorities(
  trust: CaTrust,
  authorities: readonly Authority[],
  rotation: Rotation | undefined,
  pinned?: readonly Authority[] | undefined,
): CaTrust {
  return { version: trust.version + 1, authorities, rotation, ...(pinned && { pinned }) };
}

// --- certificates ----------------------------------------------------------------------------------------------------

/** What a node signs that goes over to another certificate. */
export function consentDigest(clusterUuid: string, node: string, certificatePem: string): Uint8Array {
  return Buffer.from(hashOf(JSON.stringify(["new certificate", clusterUuid, node, certificatePem])), "hex");
}

/** What a node that was left behind signs with the key that it is known by, to be given a certificate for a request. */
export function returnDigest(
  clusterUuid: string,
  node: string,
  token: string,
  requestPem: string,
): Uint8Array {
  const text = JSON.stringify(["certificate again", clusterUuid, node, token, requestPem]);
  return Buffer.from(hashOf(text), "hex");
}

/** What a member's new certificate makes of its record; or why it is not taken. */
export function recertified(
  trust: CaTrust,
  pki: Pki,
  clusterUuid: string,
  member: Member,
  { certificatePem, consent }: { readonly certificatePem: string; readonly consent: string },
  isKeyKnown: (publicKey: string) => boolean,
): Member | ErrorRecord {
  const refuse = (condition: string, message: string): ErrorRecord =>
    fail("invalidAuthorizationSpecification", message, `${condition}: the certificate was not taken.`);
  const primary = primaryOf(trust)!;
  const read = pki.readNode(certificatePem, primary.certificatePem);
  if (read === undefined)
    return refuse("CHAIN_INVALID", "it is no node certificate of the CA that issues now");
  if (read.clusterUuid !== clusterUuid)
    return refuse("WRONG_CLUSTER", `it is a certificate of cluster ${read.clusterUuid}`);
  const key = Buffer.from(member.publicKey, "base64");
  if (!pki.verify(key, consentDigest(clusterUuid, member.uuid, certificatePem), consent))
    return refuse("SIGNATURE_INVALID", "the node has not signed for it with the key that it is known by");
  // Whom an administrator has cut off does not help itself to another one.
  const standing = issuerOf(trust, member.certificate?.issuer);
  const isTakenBack =
    standing !== undefined && listOf(standing, pki)?.revoked.has(member.certificate!.serial) === true;
  if (member.isTakenBack === true || isTakenBack)
    return refuse("REVOKED", `the certificate before, ${member.certificate?.serial}, is revoked`);
  if (read.node !== member.uuid) return refuse("WRONG_NODE", `it is a certificate of node ${read.node}`);
  if (listOf(primary, pki)?.revoked.has(read.serial) === true)
    return refuse("REVOKED", `certificate ${read.serial} is revoked`);
  // A key that somebody has, or had, says nothing about who shows it (CA-17, THR-13).
  if (isKeyKnown(read.publicKey))
    return refuse("DUPLICATE_KEY", "the key of the certificate is or was in use already");
  const { certFingerprint, publicKey, certificate } = member;
  // One that came twice in an exchange: whose log is behind knows that of the older CA alone.
  const { former } = member;
  const isSecond =
    certificate?.issuer === primary.fingerprint &&
    trust.authorities.some((one) => !one.primary && one.fingerprint === former?.certificate?.issuer);
  return {
    ...member,
    certFingerprint: read.fingerprint,
    publicKey: read.publicKey,
    certificate: {
      serial: read.serial,
      issuer: primary.fingerprint,
      notBefore: read.notBefore,
      notAfter: read.notAfter,
    },
    former: isSecond ? former : { certFingerprint, publicKey, certificate },
  };
}

/** A CA whose certificates may be shown: of members that are pinned to them at least. */
export function issuerOf(
  { authorities, pinned = [] }: Pick<CaTrust, "authorities" | "pinned">,
  fingerprint: Hash | undefined,
): Authority | undefined {
  return [...authorities, ...pinned].find((one) => one.fingerprint === fingerprint);
}

/** The certificates that a node has, the newest first. */
export function certificatesOf(
  member: Member,
): readonly Pick<Member, "certFingerprint" | "publicKey" | "certificate">[] {
  return member.former === undefined ? [member] : [member, member.former];
}

/** The register with one more, and without those that nobody asks for any more, or the oldest. `at`: what time the log has. */
export function registered(
  certificates: ReadonlyMap<string, IssuedCertificate>,
  one: IssuedCertificate,
  at: number,
): ReadonlyMap<string, IssuedCertificate> {
  const next = new Map<string, IssuedCertificate>();
  for (const [key, other] of certificates) if (other.notAfter + forgottenAfterMs > at) next.set(key, other);
  next.set(certificateKey(one), one);
  for (const key of next.keys()) {
    if (next.size <= certificatesMax) break;
    next.delete(key);
  }
  return next;
}
export const certificateKey = ({ issuer, serial }: Pick<CertificateFacts, "issuer" | "serial">): string =>
  `${issuer} ${serial}`;

// --- revocation ------------------------------------------------------------------------------------------------------

/** Undefined: nothing was ever revoked. */
export function listOf(authority: Authority, pki: Pki): RevocationList | undefined {
  const { crlPem, certificatePem } = authority;
  return crlPem === undefined ? undefined : readList(authority, pki, crlPem, certificatePem);
}
const lists = new WeakMap<Authority, RevocationList>();
/** A list that is in force was read before it was. */
function readList(
  authority: Authority,
  pki: Pki,
  crlPem: string,
  certificatePem: string,
): RevocationList | undefined {
  let list = lists.get(authority);
  if (list === undefined) {
    list = pki.readCrl(crlPem, certificatePem);
    if (list !== undefined) lists.set(authority, list);
  }
  return list;
}

/** A newer list of an authority in place of the one before; or why it is not taken. */
export function withList(
  trust: CaTrust,
  pki: Pki,
  fingerprint: Hash,
  crlPem: string,
  certificates: ReadonlyMap<string, IssuedCertificate>,
  at: number,
): CaTrust | ErrorRecord {
  const authority = trust.authorities.find((one) => one.fingerprint === fingerprint);
  if (authority === undefined)
    return fail("undefinedObject", `certificate authority ${fingerprint} is not trusted`);
  const list = pki.readCrl(crlPem, authority.certificatePem);
  if (list === undefined)
    return fail(
      "invalidParameterValue",
      "the revocation list cannot be read, or its CA has not signed it",
      "CRL_INVALID: nothing was changed.",
    );
  // By a clock that is ahead, certificates would seem to have expired, and their revocations be forgotten.
  if (list.thisUpdate > at + listAheadMs)
    return fail(
      "invalidParameterValue",
      "the revocation list is from the future",
      "CRL_INVALID: the clock of the node that keeps the CA's key is ahead.",
    );
  const before = listOf(authority, pki);
  const number = (before?.number ?? 0) + 1;
  if (list.number !== number)
    return fail(
      "objectNotInPrerequisiteState",
      `revocation list ${list.number} cannot follow list ${number - 1}`,
      "CRL_NUMBER: another one has come first.",
    );
  for (const serial of before?.revoked.keys() ?? []) {
    if (list.revoked.has(serial)) continue;
    const known = certificates.get(certificateKey({ issuer: fingerprint, serial }));
    if (known === undefined || known.notAfter >= Math.min(list.thisUpdate, at))
      return fail(
        "invalidParameterValue",
        `certificate ${serial} is missing in the revocation list`,
        "CRL_INVALID: what is revoked stays so until it has expired.",
      );
  }
  const authorities = trust.authorities.map((one) => (one === authority ? { ...one, crlPem } : one));
  return withAuthorities(trust, authorities, trust.rotation, trust.pinned);
}

// --- exchange of CAs -------------------------------------------------------------------------------------------------

export interface NewAuthority {
  readonly certificatePem: string;
  readonly crlPem: string | undefined;
}

/** Why a CA cannot become one of the cluster's. */
function newAuthorityProblem(
  trust: CaTrust,
  former: readonly FormerAuthority[],
  pki: Pki,
  { certificatePem, crlPem }: NewAuthority,
  at: number,
): ErrorRecord | undefined {
  const read = pki.readAuthority(certificatePem);
  const refuse = (condition: string, message: string): ErrorRecord =>
    fail("invalidParameterValue", message, `${condition}: nothing was changed.`);
  if (read === undefined)
    return refuse("CHAIN_INVALID", "it is no certificate of a certificate authority (CA:TRUE, self-signed)");
  if (read.notAfter <= at) return refuse("EXPIRED", "the certificate of the new CA has expired");
  for (const one of [...trust.authorities, ...former]) {
    if (
      one.fingerprint === read.fingerprint ||
      pki.readAuthority(one.certificatePem)?.keyHash === read.keyHash
    )
      return refuse("DUPLICATE_KEY", "the key of the new CA is or was that of a CA of this cluster");
  }
  if (crlPem !== undefined && pki.readCrl(crlPem, certificatePem)?.number !== 1)
    return refuse("CRL_INVALID", "the first revocation list of the new CA cannot be read");
  return undefined;
}

export function withOverlap(
  trust: CaTrust,
  former: readonly FormerAuthority[],
  pki: Pki,
  added: NewAuthority,
  rotation: Pick<Rotation, "id" | "windowMs" | "automatic" | "by">,
  at: number,
): CaTrust | ErrorRecord {
  if (trust.rotation !== undefined)
    return fail(
      "objectInUse",
      "a rotation of the certificate authority is under way already",
      `ROTATION_RUNNING: it has the id ${trust.rotation.id}.`,
      "See sys.ca_rotation.",
    );
  const problem = newAuthorityProblem(trust, former, pki, added, at);
  if (problem !== undefined) return problem;
  const old = primaryOf(trust)!;
  const to = fingerprintOfPem(added.certificatePem);
  const authorities: Authority[] = [
    ...trust.authorities.map((one) => ({
      ...one,
      primary: false,
      trustedUntil: one.trustedUntil ?? at + Math.max(overlapTrustMs, rotation.windowMs * 2),
    })),
    {
      fingerprint: to,
      certificatePem: added.certificatePem,
      primary: true,
      trustedFrom: at,
      trustedUntil: undefined,
      crlPem: added.crlPem,
    },
  ];
  const { id, windowMs, automatic, by } = rotation;
  return withAuthorities(trust, authorities, {
    id,
    from: old.fingerprint,
    to,
    startedAt: at,
    windowMs,
    automatic,
    by,
  });
}

/** CA-35: until later, and never until earlier: somebody may count on it. */
export function withLongerOverlap(
  trust: CaTrust,
  rotation: Rotation,
  until: number,
  at: number,
): CaTrust | ErrorRecord {
  if (rotation.emergency === true)
    return fail(
      "objectNotInPrerequisiteState",
      "a CA that was revoked in an emergency is believed no longer",
      "UNTRUSTED_CA: nothing was changed.",
    );
  if (until > at + overlapMaxMs)
    return fail("invalidParameterValue", "an overlap lasts for at most 366 days from now");
  if (until <= overlapEnd(trust))
    return fail("invalidParameterValue", "the older CA is trusted until then already");
  const authorities = trust.authorities.map((one) => (one.primary ? one : { ...one, trustedUntil: until }));
  return withAuthorities(trust, authorities, trust.rotation);
}
/** When the last of those that do not issue is believed no more. */
export function overlapEnd({ authorities }: Pick<CaTrust, "authorities">): number {
  return Math.max(0, ...authorities.filter((one) => !one.primary).map((one) => one.trustedUntil ?? 0));
}

export interface CutOver {
  readonly trust: CaTrust;
  readonly former: readonly FormerAuthority[];
}

/** Whatever is not the primary CA is believed no more. */
export function cutOver(trust: CaTrust, former: readonly FormerAuthority[], at: number): CutOver {
  const kept = trust.authorities.filter((one) => one.primary);
  const gone = trust.authorities.filter((one) => !one.primary);
  return { trust: withAuthorities(trust, kept, undefined), former: withFormer(former, gone, at) };
}

/** The exchange is called off: the older CA issues again, and the newer one is believed no more. */
export function withoutOverlap(
  trust: CaTrust,
  former: readonly FormerAuthority[],
  { from, to }: Rotation,
  at: number,
): CutOver {
  const authorities = trust.authorities.map((one) => ({
    ...one,
    primary: one.fingerprint === from,
    trustedUntil: one.fingerprint === to ? one.trustedUntil : undefined,
  }));
  return cutOver({ ...trust, authorities }, former, at);
}

/**
 * A CA that must not be believed any more, and one in its place at once (CA-37, CA-38): a new one, or one that is trusted
 * already. All others go with it. A pin names one certificate, whose key its node alone has: who has stolen the CA's key cannot make
 * another of it, so pinned members may still speak, and the cluster can decide who is left behind (CA-39).
 */
export function withEmergency(
  trust: CaTrust,
  former: readonly FormerAuthority[],
  pki: Pki,
  fingerprint: Hash,
  added: NewAuthority,
  rotation: Pick<Rotation, "id" | "windowMs" | "by">,
  at: number,
): CutOver | ErrorRecord {
  const { pinned = [], rotation: running } = trust;
  const to = fingerprintOfPem(added.certificatePem);
  if (issuerOf(trust, fingerprint) === undefined)
    return fail("undefinedObject", `certificate authority ${fingerprint} is not trusted`);
  if (to === fingerprint)
    return fail("invalidParameterValue", "a certificate authority is not replaced by itself");
  const standing = trust.authorities.find((one) => one.fingerprint === to);
  const problem = standing === undefined ? newAuthorityProblem(trust, former, pki, added, at) : undefined;
  if (problem !== undefined) return problem;
  const dropped = trust.authorities.filter((one) => one !== standing);
  if (pinned.length + dropped.length > authoritiesMax)
    return fail("configurationLimitExceeded", "too many CAs are being replaced at once");
  const { id, windowMs, by } = rotation;
  // Said once more of the same two: it goes on, or ends now.
  const isSame = running?.emergency === true && running.to === to && dropped.length === 0;
  const { crlPem } = added;
  return {
    trust: withAuthorities(
      trust,
      [
        standing === undefined
          ? {
              fingerprint: to,
              certificatePem: added.certificatePem,
              primary: true,
              trustedFrom: at,
              trustedUntil: undefined,
              crlPem,
            }
          : { ...standing, primary: true, trustedUntil: undefined },
      ],
      isSame
        ? running
        : { id, from: fingerprint, to, startedAt: at, windowMs, automatic: true, by, emergency: true },
      [...pinned, ...dropped.map((one) => ({ ...one, primary: false, trustedUntil: undefined }))],
    ),
    former: withFormer(former, dropped, at),
  };
}

function withFormer(
  former: readonly FormerAuthority[],
  gone: readonly Authority[],
  at: number,
): readonly FormerAuthority[] {
  const added = gone.map(({ fingerprint, certificatePem, trustedFrom }) => ({
    fingerprint,
    certificatePem,
    trustedFrom,
    until: at,
  }));
  return [...former, ...added].slice(-formerAuthoritiesMax);
}

// --- the gate --------------------------------------------------------------------------------------------------------

export const sightingDigest = sharedByObject(
  ({ node, rotation, seen }: Omit<CertificateSighting, "signature">): Uint8Array => {
    const rows = seen.map((one) => [one.peer, one.certFingerprint, one.observedAt]);
    return Buffer.from(hashOf(JSON.stringify(["certificates seen", node, rotation, rows])), "hex");
  },
);

export interface RotationProgress {
  /** Members that keep the old CA from going, and why. */
  readonly laggards: ReadonlyMap<string, string>;
  /** By the clocks of those who look: when the last one saw what was missing; undefined: something is. */
  readonly completeSince: number | undefined;
}

/** Whose certificates count: whoever may come back, one that is FAILED, disabled or on its way too: it would find all doors shut. */
export function countsForGate({ state }: Pick<Member, "state">): boolean {
  return state !== "REMOVED";
}
/** Whose word on the others counts: those who take part. */
export function looksForGate({ state }: Pick<Member, "state">): boolean {
  return state === "ENABLED" || state === "FAILED";
}
/**
 * Whether a refusal says that something is wrong between members (CA-33). Only what the cluster's CA has signed names a node, so no
 * stranger holds an exchange up; who was removed, or whose certificate was taken back, may knock as long as he likes.
 */
export function isFaultOfMember(
  { members }: { readonly members: ReadonlyMap<string, Member> },
  condition: string,
  node: string | undefined,
): boolean {
  const member = node === undefined ? undefined : members.get(node);
  return member !== undefined && countsForGate(member) && condition !== "REVOKED" && condition !== "REMOVED";
}
/** Members that a cut-over would leave behind. */
export function leftBehind({ to }: Pick<Rotation, "to">, members: Iterable<Member>): Member[] {
  return [...members].filter((one) => countsForGate(one) && one.certificate?.issuer !== to);
}

/**
 * CA-31: each of these members has a certificate of the new CA, and was seen with it by each of the others. How long ago is not
 * looked at here: clocks differ, and what a log says is the same on every node (`CertificateKeeper` measures it).
 */
export function rotationProgress(
  { id, to, startedAt }: Rotation,
  members: Iterable<Member>,
  sightings: ReadonlyMap<string, CertificateSighting>,
): RotationProgress {
  const counted = [...members].filter(countsForGate);
  const laggards = new Map<string, string>();
  let since = startedAt;
  for (const { uuid } of leftBehind({ to }, counted)) laggards.set(uuid, "has no certificate of the new CA");
  for (const member of counted) {
    const { uuid } = member;
    if (laggards.has(uuid) || !looksForGate(member)) continue;
    const word = sightings.get(uuid);
    const seen = new Map(word?.rotation === id ? word.seen.map((one) => [one.peer, one]) : []);
    for (const peer of counted) {
      if (peer.uuid === uuid) continue;
      const one = seen.get(peer.uuid);
      if (one?.certFingerprint !== peer.certFingerprint) {
        laggards.set(uuid, `has not seen ${peer.name} with its new certificate`);
        break;
      }
      since = Math.max(since, one.observedAt);
    }
  }
  return { laggards, completeSince: laggards.size === 0 ? since : undefined };
}

/** Why the old CA cannot go yet, without anybody being left behind. */
export function gateProblem(
  { laggards }: RotationProgress,
  nameOf: (node: string) => string,
): ErrorRecord | undefined {
  if (laggards.size === 0) return undefined;
  const names = [...laggards].map(([node, why]) => `${nameOf(node)} ${why}`);
  return fail(
    "objectNotInPrerequisiteState",
    "not every node has been seen with a certificate of the new CA",
    `CONVERGENCE_TIMEOUT: ${names.join("; ")}.`,
    "Wait, repair the nodes, or leave them behind with REQUIRE CONVERGENCE FALSE.",
  );
}
