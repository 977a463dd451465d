/**
 * What a node holds of the cluster's trust, in `tls/`: its own certificate and key, the CA's certificate, and on the node
 * that founded the cluster the CA's key.
 *
 *     node.crt node.key    ca.crt    ca.key
 *
 * Invariants: keys are readable by their owner alone and never leave the folder; material that was read belongs together.
 */
import { createPrivateKey, type KeyObject, sign, verify, X509Certificate } from "node:crypto";
import { DbError } from "../base/errors.js";
import type { Clock, Disk, Random } from "../platform/index.js";
import {
  createCa,
  createRequest,
  ed25519Key,
  fingerprintOf,
  issueNodeCertificate,
  type KeyAndCertificate,
  type NodeSubject,
  publicKeyOf,
} from "./node-identity.js";

const paths = {
  nodeCertificate: "tls/node.crt",
  nodeKey: "tls/node.key",
  authorityCertificate: "tls/ca.crt",
  authorityKey: "tls/ca.key",
} as const;

export interface NodeMaterial {
  readonly own: KeyAndCertificate;
  readonly authorityPem: string;
  /** Where the CA's key is. */
  readonly authority: KeyAndCertificate | undefined;
  readonly certFingerprint: string;
  /** Raw, base64. */
  readonly publicKey: string;
}

/** A founder's: a CA and a certificate of it. */
export async function createNodeMaterial(
  disk: Disk,
  subject: NodeSubject,
  clock: Clock,
  random: Random,
): Promise<NodeMaterial> {
  const authority = await createCa(subject.clusterUuid, clock, random);
  const { requestPem, keyPem } = await createRequest(subject);
  const certificatePem = await issueNodeCertificate(authority, requestPem, subject, clock, random);
  storeNodeMaterial(disk, { certificatePem, keyPem }, authority.certificatePem, authority.keyPem);
  return materialOf({ certificatePem, keyPem }, authority.certificatePem, authority);
}

/** Keys first, so that a certificate is never without its key. */
export function storeNodeMaterial(
  disk: Disk,
  own: KeyAndCertificate,
  authorityPem: string,
  authorityKeyPem?: string,
): void {
  disk.makeFolderSync("tls");
  const write = (path: string, text: string, mode: number): void =>
    disk.writeFileSync(path, Buffer.from(text), mode);
  if (authorityKeyPem !== undefined) write(paths.authorityKey, authorityKeyPem, 0o600);
  write(paths.authorityCertificate, authorityPem, 0o644);
  write(paths.nodeKey, own.keyPem, 0o600);
  write(paths.nodeCertificate, own.certificatePem, 0o644);
  disk.syncFolderSync("tls");
}

/**
 * Undefined: the folder holds none.
 * @throws DbError configFileError (F0000) when a file is missing, cannot be understood or is open to others (MEM-5), or when
 *   the files do not belong together
 */
export function readNodeMaterial(disk: Disk): NodeMaterial | undefined {
  if (!disk.existsSync(paths.nodeCertificate)) return undefined;
  const authorityPem = textOf(disk, paths.authorityCertificate);
  const own = { certificatePem: textOf(disk, paths.nodeCertificate), keyPem: keyOf(disk, paths.nodeKey) };
  const authority = disk.existsSync(paths.authorityKey)
    ? { certificatePem: authorityPem, keyPem: keyOf(disk, paths.authorityKey) }
    : undefined;
  return materialOf(own, authorityPem, authority);
}

const putBack = {
  hint: "Put back the files of this node; without them it has to join the cluster anew.",
};

function textOf(disk: Disk, path: string): string {
  if (!disk.existsSync(path)) throw new DbError("configFileError", `${path} is missing`, putBack);
  return Buffer.from(disk.readFileSync(path)).toString("utf8");
}
function keyOf(disk: Disk, path: string): string {
  const pem = textOf(disk, path);
  const mode = disk.modeOf?.(path) ?? 0o600;
  if ((mode & 0o077) !== 0)
    throw new DbError("configFileError", `the private key in ${path} is open to others`, {
      detail: `The file has mode ${mode.toString(8)}.`,
      hint: `Whoever has read it can pass for this node. If nobody has: chmod 600 ${path}`,
    });
  return pem;
}

function understood<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new DbError("configFileError", `${path} cannot be read as PEM`, putBack, error);
  }
}

function materialOf(
  own: KeyAndCertificate,
  authorityPem: string,
  authority: KeyAndCertificate | undefined,
): NodeMaterial {
  const certificate = understood(paths.nodeCertificate, () => new X509Certificate(own.certificatePem));
  const issuer = understood(paths.authorityCertificate, () => new X509Certificate(authorityPem));
  const key = understood(paths.nodeKey, () => createPrivateKey(own.keyPem));
  const refuse = (path: string, other: string): never => {
    throw new DbError("configFileError", `${path} does not belong to ${other}`, putBack);
  };
  if (certificate.publicKey.asymmetricKeyType !== "ed25519" || !certificate.checkPrivateKey(key))
    refuse(paths.nodeKey, paths.nodeCertificate);
  if (!certificate.verify(issuer.publicKey)) refuse(paths.nodeCertificate, paths.authorityCertificate);
  if (authority !== undefined) {
    const authorityKey = understood(paths.authorityKey, () => createPrivateKey(authority.keyPem));
    if (!issuer.checkPrivateKey(authorityKey)) refuse(paths.authorityKey, paths.authorityCertificate);
  }
  return {
    own,
    authorityPem,
    authority,
    certFingerprint: fingerprintOf(certificate),
    publicKey: publicKeyOf(certificate),
  };
}

/** Signs with the node's key. */
export function signerOf({ own, certFingerprint, publicKey }: NodeMaterial): {
  readonly certFingerprint: string;
  readonly publicKey: string;
  sign(digest: Uint8Array): string;
} {
  const key = createPrivateKey(own.keyPem);
  const raw = Buffer.from(publicKey, "base64");
  return {
    certFingerprint,
    publicKey,
    sign: (digest) => {
      const signature = sign(null, digest, key).toString("base64");
      hold(triple(raw, digest, signature));
      return signature;
    },
  };
}

const keys = new Map<string, KeyObject>();
/** Signatures that hold, of late: a leader checks what it has just signed, and again when it applies it. */
const held = new Set<string>();
const heldMax = 1000;
/** Of a key, a digest and 64 bytes in base64: whatever else base64 lets stand between its letters is not kept. */
const tripleMax = 200;

const triple = (publicKey: Uint8Array, digest: Uint8Array, signature: string): string =>
  `${Buffer.from(publicKey).toString("base64")} ${Buffer.from(digest).toString("base64")} ${signature}`;

function hold(whole: string): void {
  if (whole.length > tripleMax) return;
  if (held.size >= heldMax) held.clear();
  held.add(whole);
}

/** Ed25519 by raw key. */
export function verifySignature(publicKey: Uint8Array, digest: Uint8Array, signature: string): boolean {
  const name = Buffer.from(publicKey).toString("base64");
  const whole = triple(publicKey, digest, signature);
  if (held.has(whole)) return true;
  let key = keys.get(name);
  if (key === undefined) {
    if (publicKey.length !== 32) return false;
    key = ed25519Key(publicKey);
    if (keys.size > 1000) keys.clear();
    keys.set(name, key);
  }
  if (!verify(null, digest, key, Buffer.from(signature, "base64"))) return false;
  hold(whole);
  return true;
}

/** Issues for those who join, as the holder of the CA's key. */
export function issuerOf(
  authority: KeyAndCertificate,
  clock: Clock,
  random: Random,
): (
  requestPem: string,
  subject: NodeSubject,
) => Promise<{ certificatePem: string; certFingerprint: string; publicKey: string }> {
  return async (requestPem, subject) => {
    const certificatePem = await issueNodeCertificate(authority, requestPem, subject, clock, random);
    const certificate = new X509Certificate(certificatePem);
    return {
      certificatePem,
      certFingerprint: fingerprintOf(certificate),
      publicKey: publicKeyOf(certificate),
    };
  };
}
