/**
 * A node's trust on a real machine: the certificate it shows, whom it believes, and the CA keys that it keeps. Each half of the
 * node (main, control worker) has one, made of the same data folder; the worker alone writes to it.
 *
 * Which of its certificates a node uses, the consensus log says: `follow` looks for the one that the member's record names.
 *
 * Invariants: a private key is used here and handed to nobody; a peer is believed by the rules of `checkPeer` and by nothing
 * else; a CA key is in memory only while something is signed with it.
 */
import { X509Certificate } from "node:crypto";
import { DbError } from "./base/errors.js";
import type { CertificateFacts, Pki, Signer, Authority as TrustedAuthority } from "./cluster/contract.js";
import {
  type CaService,
  type CertificateStore,
  type ClusterState,
  crlValidMs,
  firstBundle,
  signBundle,
} from "./cluster/index.js";
import type { Clock, Disk, Random } from "./platform/index.js";
import type { PeerCredentials, PeerVerdict } from "./rpc/contract.js";
import {
  Authority,
  authorityFacts,
  type CaStore,
  type ClientTrust,
  checkPeer,
  checkUser,
  combineShares,
  createAuthority,
  fingerprintOf,
  type NodeMaterial,
  type NodeSubject,
  nodeCertificateDays,
  nodeFacts,
  nodeRequest,
  promoteMaterial,
  type RevocationReason,
  readFormerMaterial,
  readNodeMaterials,
  readReturned,
  readShare,
  revocationList,
  revocationReasons,
  signerOf,
  splitKey,
  storeNextMaterial,
  storeNodeMaterial,
  storeReturned,
  type TrustedCa,
  verifyAuthoritySignature,
  verifySignature,
} from "./security/index.js";

/** A node's trust, as the control plane and the rpc port use it. The simulator has its own. */
export interface NodeTrust {
  readonly pki: Pki;
  /** Of the certificate in use. */
  readonly signer: Signer;
  /** What it says of itself; undefined: the simulator's says nothing. */
  readonly certificate: CertificateFacts | undefined;
  /** Of the CA that issued it. */
  readonly authorityPem: string;
  /** Where CA keys are kept; undefined: not here. */
  readonly authority: CaService | undefined;
  /** Certificates to come; undefined where they are another's business (main). */
  readonly store: CertificateStore | undefined;
  /** From here on the certificate is used that the state names. */
  follow(cluster: ClusterState): void;
  /** What to show, and whom to believe, while the state is as it is. */
  credentials(cluster: ClusterState, options: TrustOptions): PeerCredentials;
}

export interface TrustOptions {
  /** Removed a moment ago: still spoken to. */
  readonly leaving: ReadonlyMap<string, number>;
  /**
   * Members that the state does not name yet, as it is of a log on its way: when this node joined, or by the word of another
   * member. Each with its certificate's fingerprint.
   */
  readonly told: ReadonlyMap<string, string>;
}

/** CA-10, spec/03 R13: of the beginning of a certificate. */
export const clockToleranceMs = 60_000;

/** Of new CAs. Signatures of Ed25519 name no hash, so libpq could not bind SCRAM to a port's certificate (RFC 5929, 4.1). */
const caAlgorithm = "ECDSA-P256";

export const hostPki: Pki = {
  verify: verifySignature,
  readAuthority: authorityFacts,
  readNode: nodeFacts,
  readCrl: revocationList,
  verifyAuthority: verifyAuthoritySignature,
};

export interface HostTrustOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly subject: NodeSubject;
  /** Where the node's half may write. */
  readonly writes: boolean;
  readonly caStore: CaStore | undefined;
}

/** @throws DbError configFileError (F0000): the folder holds no certificate, or not this node's */
export function hostTrust(options: HostTrustOptions): NodeTrust {
  const { disk, clock, subject, writes, caStore } = options;
  const { clusterUuid, nodeUuid } = subject;
  let materials = readNodeMaterials(disk);
  const [first] = materials;
  if (first === undefined) throw new DbError("configFileError", "the folder tls/ holds no node certificate");
  let current = first;
  checkOwn(current, clusterUuid, nodeUuid);
  let former = readFormerMaterial(disk);
  let returned = readReturned(disk);
  let signer = signerOf(current);
  const use = (material: NodeMaterial): void => {
    current = material;
    signer = signerOf(material);
  };
  const follow = (cluster: ClusterState): void => {
    const wanted = cluster.members.get(nodeUuid)?.certFingerprint;
    if (wanted === current.certFingerprint && returned !== undefined) {
      returned = undefined;
      if (writes) storeReturned(disk, undefined);
    }
    if (wanted === undefined || wanted === current.certFingerprint) return;
    let next = materials.find((one) => one.certFingerprint === wanted);
    // The other half has written it meanwhile.
    if (next === undefined) {
      materials = readNodeMaterials(disk);
      next = materials.find((one) => one.certFingerprint === wanted);
    }
    if (next === undefined) return;
    // One that came twice in an exchange of CAs: whose log is behind knows that of the older one alone.
    if (
      former === undefined ||
      former.authorityPem === next.authorityPem ||
      current.authorityPem !== next.authorityPem
    )
      former = current;
    use(next);
    if (!writes) return;
    // Not before: one that is on its way to the log is still to come into use.
    promoteMaterial(disk, next, former);
    materials = [next];
  };
  return {
    pki: hostPki,
    signer: {
      get certFingerprint() {
        return signer.certFingerprint;
      },
      get publicKey() {
        return signer.publicKey;
      },
      sign: (digest) => signer.sign(digest),
    },
    get authorityPem() {
      return current.authorityPem;
    },
    get certificate() {
      return factsOf(current);
    },
    authority: caStore && caService(caStore, options),
    store: writes
      ? {
          request: async () => {
            const { requestPem, keyPem } = nodeRequest(subject);
            return {
              requestPem,
              keep: (certificatePem, authorityPem) => {
                const material = storeNextMaterial(disk, { certificatePem, keyPem }, authorityPem);
                checkOwn(material, clusterUuid, nodeUuid);
                materials = [...materials, material];
              },
            };
          },
        }
      : undefined,
    follow,
    credentials: (cluster, { leaving, told }) => {
      follow(cluster);
      const { own, authorityPem } = current;
      // Of one that its log does not name yet, or not by this certificate, what it was told when it joined, or came back, is newer.
      const known = cluster.members.get(nodeUuid);
      const isAhead = known !== undefined && told.size > 0 && returned === current.certFingerprint;
      const isNew = known === undefined || isAhead;
      const pinned = cluster.pinnedAuthorities.flatMap(trustedAuthority);
      const authorities = [...cluster.authorities.flatMap(trustedAuthority), ...pinned];
      const issuer = isNew ? untried(authorityPem) : undefined;
      if (issuer !== undefined && !authorities.some((one) => one.fingerprint === issuer.fingerprint))
        authorities.push(...trustedAuthority(issuer));
      return {
        own: {
          // With the CA behind it: who joins has nothing to check it by but the CA's fingerprint.
          certificatePem: `${own.certificatePem}${authorityPem}`,
          keyPem: own.keyPem,
        },
        former: former?.own,
        check: (der): PeerVerdict => {
          const certificate = new X509Certificate(der);
          const verdict = checkPeer(certificate, {
            clusterUuid,
            now: clock.now(),
            toleranceMs: clockToleranceMs,
            authorities,
            isRevoked: (authority, serial) => cluster.isRevoked(authority, serial),
            member: (uuid) => {
              const member = isNew && told.has(uuid) ? undefined : cluster.members.get(uuid);
              if (member !== undefined) {
                const removed = member.state === "REMOVED" && !leaving.has(uuid);
                return { fingerprints: cluster.pinnedOf(member).map((one) => one.certFingerprint), removed };
              }
              const known = told.get(uuid);
              return known === undefined ? undefined : { fingerprints: [known], removed: false };
            },
          });
          if ("condition" in verdict) return verdict;
          // Of a CA that was revoked in an emergency only what the log itself names counts.
          if (
            !cluster.members.has(verdict.node) &&
            pinned.some((one) => certificate.verify(one.certificate.publicKey))
          )
            return {
              condition: "UNTRUSTED_CA",
              message: "its CA was revoked in an emergency",
              node: verdict.node,
            };
          const certFingerprint = fingerprintOf(certificate);
          const { node } = verdict;
          const newest = cluster.members.get(node)?.certFingerprint ?? certFingerprint;
          return { node, certFingerprint, isFormer: certFingerprint !== newest };
        },
      };
    },
  };
}

/** As a node that has no log yet believes in the CA it was founded or admitted by. */
function untried(certificatePem: string): TrustedAuthority {
  return {
    fingerprint: fingerprintOf(new X509Certificate(certificatePem)),
    certificatePem,
    primary: true,
    trustedFrom: 0,
    trustedUntil: undefined,
    crlPem: undefined,
  };
}

const knownAuthorities = new Map<string, X509Certificate | undefined>();
/** None: what cannot be read is trusted by nobody, and keeps nobody from trusting the others. */
function trustedAuthority({
  fingerprint,
  certificatePem,
  trustedFrom,
  trustedUntil,
}: TrustedAuthority): TrustedCa[] {
  if (!knownAuthorities.has(certificatePem)) {
    let certificate: X509Certificate | undefined;
    try {
      certificate = new X509Certificate(certificatePem);
    } catch {
      certificate = undefined;
    }
    knownAuthorities.set(certificatePem, certificate);
  }
  const certificate = knownAuthorities.get(certificatePem);
  return certificate === undefined ? [] : [{ certificate, fingerprint, trustedFrom, trustedUntil }];
}

/**
 * Whom client certificates are believed: the twin of `credentials` for the Postgres port. Revocation is one question, asked in
 * one place: `isRevoked`.
 */
export function clientTrustOf(
  cluster: Pick<ClusterState, "clusterUuid" | "authorities" | "isRevoked">,
  clock: Clock,
): ClientTrust {
  const authorities = cluster.authorities.flatMap(trustedAuthority);
  const isRevoked = (issuer: string, serial: string): boolean => cluster.isRevoked(issuer, serial);
  return {
    check: (der) => {
      let certificate: X509Certificate;
      try {
        certificate = new X509Certificate(der);
      } catch {
        // OpenSSL has read it in the handshake; what it takes and Node does not is believed by nobody.
        return { condition: "CHAIN_INVALID", message: "it cannot be read", certified: undefined };
      }
      const { clusterUuid } = cluster;
      return checkUser(certificate, {
        clusterUuid,
        now: clock.now(),
        toleranceMs: clockToleranceMs,
        authorities,
        isRevoked,
      });
    },
    standing: ({ issuer, serial }) => {
      const authority = authorities.find((one) => one.fingerprint === issuer);
      const until = authority?.trustedUntil ?? Number.POSITIVE_INFINITY;
      if (authority === undefined || until < clock.now()) return "UNTRUSTED_CA";
      return isRevoked(issuer, serial) ? "REVOKED" : undefined;
    },
  };
}

/** Whether the certificate is this node's, as a peer would see it. When it ends is the peers' business: alone it does no harm. */
function checkOwn({ own, authorityPem }: NodeMaterial, clusterUuid: string, nodeUuid: string): void {
  const certificate = new X509Certificate(own.certificatePem);
  const verdict = checkPeer(certificate, {
    clusterUuid,
    now: Date.parse(certificate.validFrom),
    toleranceMs: clockToleranceMs,
    authorities: [{ certificate: new X509Certificate(authorityPem), fingerprint: "" }],
    isRevoked: () => false,
    member: (uuid) =>
      uuid === nodeUuid ? { fingerprints: [fingerprintOf(certificate)], removed: false } : undefined,
  });
  if ("condition" in verdict)
    throw new DbError("configFileError", "the certificate in tls/node.crt is not this node's", {
      detail: `${verdict.condition}: ${verdict.message}.`,
      hint: "Put back the tls/ folder of this node; without it the node has to join the cluster anew.",
    });
}

/** Signs for the CAs whose keys are kept here. */
function caService(store: CaStore, { clock, random, subject: { clusterUuid } }: HostTrustOptions): CaService {
  const open = async ({
    fingerprint,
    certificatePem,
  }: Pick<TrustedAuthority, "fingerprint" | "certificatePem">) =>
    new Authority(certificatePem, await store.open(fingerprint), { clock, random });
  const years = { days: nodeCertificateDays };
  return {
    keys: () => store.list(),
    issueNode: async (authority, requestPem, node, nodeName) =>
      (await open(authority)).issueNode(requestPem, { clusterUuid, nodeUuid: node, nodeName }, years),
    issueUser: async (authority, requestPem, role) =>
      (await open(authority)).issueUser(requestPem, { clusterUuid, role }, years),
    issueService: async (authority, requestPem, service) =>
      (await open(authority)).issueService(requestPem, { clusterUuid, service }, years),
    issueServer: async (by, requestPem, names) => {
      const authority = await open(by);
      if (authority.certificate.publicKey.asymmetricKeyType !== "ec")
        throw new DbError(
          "objectNotInPrerequisiteState",
          "the CA signs with Ed25519, and clients of Postgres cannot bind passwords to what it signs",
          {
            detail: "CA_ALGORITHM: ports go on with certificates of their own.",
            hint: "ROTATE CA makes one on P-256.",
          },
        );
      return authority.issueServer(requestPem, names, years);
    },
    signList: async (authority, { number, thisUpdate, nextUpdate, revoked }) =>
      (await open(authority)).crl({
        number,
        thisUpdate,
        nextUpdate,
        revoked: [...revoked].map(([serial, { revokedAt, reason }]) => ({
          serial,
          revokedAt,
          reason: reason in revocationReasons ? (reason as RevocationReason) : "cessationOfOperation",
        })),
      }),
    signBundle: async (authority, digest) =>
      Buffer.from(await (await open(authority)).sign(digest)).toString("base64"),
    create: async () => {
      const { certificatePem, pkcs8 } = await createAuthority({
        clock,
        random,
        clusterUuid,
        algorithm: caAlgorithm,
      });
      await store.seal(certificatePem, pkcs8!);
      return certificatePem;
    },
    forget: (fingerprint) => store.remove(fingerprint),
    split: ({ fingerprint, certificatePem }, plan) =>
      store.withKey(fingerprint, (key) => splitKey(key, certificatePem, random, plan)),
    recover: async (of, shares) => {
      const facts = shares.map(readShare);
      const [first] = facts;
      const authority = of.find((one) => one.fingerprint === first?.fingerprint);
      if (authority === undefined)
        throw new DbError("invalidParameterValue", "the shares are of no CA that is trusted now", {
          detail: first === undefined ? undefined : `They are of CA ${first.fingerprint}.`,
          hint: "A key that was replaced is of no use. sys.certificate_authorities lists the CAs.",
        });
      // It zeroes the key.
      await store.seal(authority.certificatePem, await combineShares(shares, authority.certificatePem));
      return authority.fingerprint;
    },
  };
}

function factsOf({ own, authorityPem }: NodeMaterial): CertificateFacts {
  const { serialNumber, validFrom, validTo } = new X509Certificate(own.certificatePem);
  return {
    serial: serialNumber.toLowerCase(),
    issuer: fingerprintOf(new X509Certificate(authorityPem)),
    notBefore: Date.parse(validFrom),
    notAfter: Date.parse(validTo),
  };
}

/** What a founder begins with, beside its certificate. */
export interface FoundedTrust {
  /** The CA's first list of revocations, which is empty. */
  readonly crl: string | undefined;
  /** The first security bundle, which holds no rule. */
  readonly bundle: string;
}

/** What a founder begins with: a CA, whose key is sealed, and a certificate of it; a start that was broken off goes on. */
export async function foundTrust({
  disk,
  clock,
  random,
  subject,
  caStore,
}: Pick<HostTrustOptions, "disk" | "clock" | "random" | "subject"> & {
  readonly caStore: CaStore;
}): Promise<FoundedTrust> {
  const { clusterUuid } = subject;
  const thisUpdate = Math.floor(clock.now() / 1000) * 1000;
  const list = { number: 1, thisUpdate, nextUpdate: thisUpdate + crlValidMs, revoked: [] };
  const signedBy = async (authority: Authority): Promise<FoundedTrust> => ({
    crl: await authority.crl(list),
    bundle: await signBundle(firstBundle(clusterUuid, thisUpdate), authority.certificatePem, async (digest) =>
      Buffer.from(await authority.sign(digest)).toString("base64"),
    ),
  });
  const [known] = readNodeMaterials(disk);
  if (known !== undefined) {
    const fingerprint = fingerprintOf(new X509Certificate(known.authorityPem));
    await caStore.adoptPlain(disk);
    const signer = await caStore.open(fingerprint);
    return signedBy(new Authority(known.authorityPem, signer, { clock, random }));
  }
  const {
    certificatePem: authorityPem,
    authority,
    pkcs8,
  } = await createAuthority({ clock, random, clusterUuid, algorithm: caAlgorithm });
  const first = await signedBy(authority);
  const { requestPem, keyPem } = nodeRequest(subject);
  const { certificatePem } = await authority.issueNode(requestPem, subject, { days: nodeCertificateDays });
  // The CA's key first: a node whose CA has none could admit nobody.
  await caStore.seal(authorityPem, pkcs8!);
  storeNodeMaterial(disk, { certificatePem, keyPem }, authorityPem);
  return first;
}
