/**
 * What a node holds of the cluster's trust, in `tls/`: its own certificate and key, and the certificate of the CA that issued
 * it.
 *
 *     node.crt node.key ca.crt        the certificate in use
 *     next-<16 digits>.pem            one that was issued and is not in use yet: key, certificate, CA in one file
 *     former.pem                      the one before it, for peers whose logs are behind
 *     returned                        fingerprint of the one that the node has come back with; until its log names it
 *     ca.key                          of a CA founded by versions that kept its key in the clear (`ca-store.ts` takes it in)
 *
 * A new certificate comes into use when the consensus log says that it is the node's. It lies whole in one file until then, and
 * until the three files have followed; so whenever the node dies it has the one that the log names.
 *
 * Invariants: keys are readable by their owner alone and never leave the folder; material that was read belongs together.
 */
import { createPrivateKey, type KeyObject, sign, verify, X509Certificate } from "node:crypto";
import { DbError } from "../base/errors.js";
import type { Disk } from "../platform/index.js";
import { ed25519Key, fingerprintOf, type KeyAndCertificate, publicKeyOf } from "./node-identity.js";

const paths = {
  nodeCertificate: "tls/node.crt",
  nodeKey: "tls/node.key",
  authorityCertificate: "tls/ca.crt",
} as const;
const formerPath = "tls/former.pem";
const returnedPath = "tls/returned";
const nextPattern = /^next-[0-9a-f]{16}\.pem$/;

export interface NodeMaterial {
  readonly own: KeyAndCertificate;
  readonly authorityPem: string;
  readonly certFingerprint: string;
  /** Raw, base64. */
  readonly publicKey: string;
}

/** Keys first, so that a certificate is never without its key. */
export function storeNodeMaterial(disk: Disk, own: KeyAndCertificate, authorityPem: string): void {
  disk.makeFolderSync("tls");
  const write = (path: string, text: string, mode: number): void =>
    disk.writeFileSync(path, Buffer.from(text), mode);
  write(paths.authorityCertificate, authorityPem, 0o644);
  write(paths.nodeKey, own.keyPem, 0o600);
  write(paths.nodeCertificate, own.certificatePem, 0o644);
  disk.syncFolderSync("tls");
}

/** One that the log does not know of yet. */
export function storeNextMaterial(disk: Disk, own: KeyAndCertificate, authorityPem: string): NodeMaterial {
  const material = materialOf(own, authorityPem);
  const path = `tls/next-${material.certFingerprint.slice(0, 16)}.pem`;
  disk.writeFileSync(path, Buffer.from(`${own.keyPem}${own.certificatePem}${authorityPem}`), 0o600);
  disk.syncFolderSync("tls");
  return material;
}

/** The certificate that the log names takes the place of the one before; others that were issued are of no use any more. */
export function promoteMaterial(
  disk: Disk,
  { own, authorityPem, certFingerprint }: NodeMaterial,
  former: NodeMaterial,
): void {
  const present = disk.listSync("tls").filter((name) => nextPattern.test(name));
  if (present.length === 0) return;
  const before = `${former.own.keyPem}${former.own.certificatePem}${former.authorityPem}`;
  disk.writeFileSync(formerPath, Buffer.from(before), 0o600);
  storeNodeMaterial(disk, own, authorityPem);
  // The one in use last: until the three files are there it is all there is.
  const kept = `next-${certFingerprint.slice(0, 16)}.pem`;
  for (const name of [...present.filter((one) => one !== kept), ...present.filter((one) => one === kept)])
    disk.removeSync(`tls/${name}`);
  disk.syncFolderSync("tls");
}

/** Undefined from when the node's log names it. */
export function storeReturned(disk: Disk, certFingerprint: string | undefined): void {
  if (certFingerprint !== undefined) disk.writeFileSync(returnedPath, Buffer.from(certFingerprint), 0o644);
  else if (disk.existsSync(returnedPath)) disk.removeSync(returnedPath);
  disk.syncFolderSync("tls");
}
export function readReturned(disk: Disk): string | undefined {
  return disk.existsSync(returnedPath) ? textOf(disk, returnedPath) : undefined;
}

/**
 * All that the folder holds, the one in use first; empty: none.
 * @throws DbError configFileError (F0000) when a file is missing, cannot be understood or is open to others (MEM-5), or when
 *   the files do not belong together and there is no other certificate
 */
export function readNodeMaterials(disk: Disk): NodeMaterial[] {
  const next = disk
    .listSync("tls")
    .filter((name) => nextPattern.test(name))
    .map((name) => readNext(disk, `tls/${name}`));
  if (next.length === 0) {
    const material = readNodeMaterial(disk);
    return material === undefined ? [] : [material];
  }
  // Their place was being taken: some may be the new ones already.
  let current: NodeMaterial | undefined;
  try {
    current = readNodeMaterial(disk);
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
  }
  const others = next.filter((one) => one.certFingerprint !== current?.certFingerprint);
  return current === undefined ? others : [current, ...others];
}

/** Undefined: there was none before. @throws DbError configFileError (F0000) as `readNodeMaterials` */
export function readFormerMaterial(disk: Disk): NodeMaterial | undefined {
  return disk.existsSync(formerPath) ? readNext(disk, formerPath) : undefined;
}

/** The certificate in use, as `readNodeMaterials`. */
export function readNodeMaterial(disk: Disk): NodeMaterial | undefined {
  if (!disk.existsSync(paths.nodeCertificate)) return undefined;
  const authorityPem = textOf(disk, paths.authorityCertificate);
  const own = { certificatePem: textOf(disk, paths.nodeCertificate), keyPem: keyOf(disk, paths.nodeKey) };
  return materialOf(own, authorityPem);
}

function readNext(disk: Disk, path: string): NodeMaterial {
  const blocks = keyOf(disk, path).match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----\n?/g) ?? [];
  const [keyPem = "", certificatePem = "", authorityPem = ""] = blocks;
  return materialOf({ certificatePem, keyPem }, authorityPem, path);
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

/** `path`: of a file that holds all of it. */
function materialOf(own: KeyAndCertificate, authorityPem: string, path?: string): NodeMaterial {
  const at = {
    certificate: path ?? paths.nodeCertificate,
    authority: path ?? paths.authorityCertificate,
    key: path ?? paths.nodeKey,
  };
  const certificate = understood(at.certificate, () => new X509Certificate(own.certificatePem));
  const issuer = understood(at.authority, () => new X509Certificate(authorityPem));
  const key = understood(at.key, () => createPrivateKey(own.keyPem));
  const refuse = (one: string, other: string): never => {
    throw new DbError("configFileError", `${one} does not belong to ${other}`, putBack);
  };
  if (certificate.publicKey.asymmetricKeyType !== "ed25519" || !certificate.checkPrivateKey(key))
    refuse(at.key, at.certificate);
  if (!certificate.verify(issuer.publicKey)) refuse(at.certificate, at.authority);
  return {
    own,
    authorityPem,
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

/** By the key of a CA's certificate: Ed25519, or ECDSA P-256 over the data's SHA-256. No text makes it throw. */
export function verifyAuthoritySignature(authorityPem: string, data: Uint8Array, signature: string): boolean {
  let key: KeyObject;
  try {
    key = new X509Certificate(authorityPem).publicKey;
  } catch {
    return false;
  }
  const algorithm = key.asymmetricKeyType === "ed25519" ? null : "sha256";
  return verify(algorithm, data, key, Buffer.from(signature, "base64"));
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
