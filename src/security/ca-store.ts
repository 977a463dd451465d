/**
 * Where the private keys of CAs lie when no token keeps them: a folder of its own, one sealed file for each key, named by
 * the fingerprint of its certificate (CA-41, docs/decisions/ca-key-custody.md).
 *
 *     at  0  "SBCAKEY\n"                     the kind of file
 *         8  version 1, log2 N, r, p         4 bytes; scrypt (RFC 7914)
 *        12  salt                            16
 *        28  nonce                           12
 *        40  SHA-256 of the certificate      32
 *        72  length of the certificate, length of the sealed key: u32 BE each
 *        80  certificate, DER                public: with it the file needs nothing beside it to be used
 *            sealed key                      AES-256-GCM of PKCS #8 under scrypt(passphrase, salt); all above is its AAD
 *            tag                             16
 *            SHA-256 of all above            32: tells a damaged file from a wrong passphrase; anybody can write it anew
 *
 * Invariants: a key is on disk sealed or not at all; a file is written whole or not (`writeFileSync`), and read back before
 * the call that wrote it returns; bytes of keys and passphrases are zeroed once used, where the runtime lets go of them
 * (OpenSSL keeps its own copy as long as a signer lives, and strings cannot be zeroed).
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  scrypt,
  timingSafeEqual,
  type X509Certificate,
} from "node:crypto";
import { assert, DbError } from "../base/errors.js";
import type { Disk, Random } from "../platform/index.js";
import { type CaSigner, softwareSigner } from "./ca-signer.js";
import { pemOf } from "./der.js";
import { fingerprintOf } from "./node-identity.js";
import { readCertificate } from "./revocation-list.js";

/** Gives the passphrase anew each time: who asked zeroes what it got. */
export type PassphraseSource = () => Uint8Array | Promise<Uint8Array>;

export interface CaStoreOptions {
  /** Of the folder the keys lie in, below the disk's root. Another disk may be handed in for another place. */
  readonly folder?: string;
  /** log2 of scrypt's N, 15 to 18, of files written from now on; 15 does for a random passphrase: 16 takes 64 MiB and half a second. */
  readonly costLog2?: number;
}

/** Of nodes: passphrases that they draw have 256 bits and need no more, and an operator's waits a quarter of a second. */
export const caStoreOptions: CaStoreOptions = { costLog2: 15 };

const magic = Buffer.from("SBCAKEY\n");
const version = 1;
const at = { version: 8, salt: 12, nonce: 28, fingerprint: 40, lengths: 72, certificate: 80 } as const;
const tagBytes = 16;
const sumBytes = 32;
/** Of N: below, guessing is cheap; above, whoever can write the file makes its reader run out of memory. */
const cost = { least: 15, most: 18, usual: 16, r: 8, p: 1 } as const;
const partMax = 16_384;
/** An operator's; a generated one has 43. */
const passphraseBytesMin = 12;

const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();

function damaged(path: string, what: string): DbError {
  return new DbError("configFileError", `the sealed CA key in ${path} ${what}`, {
    hint: "Put back a copy of the file, or bring the key back from its shares: RECOVER CA KEY.",
  });
}

interface SealedFile {
  readonly certificate: X509Certificate;
  readonly cost: { readonly log2: number; readonly r: number; readonly p: number };
  readonly salt: Uint8Array;
  readonly nonce: Uint8Array;
  readonly associated: Uint8Array;
  readonly sealed: Uint8Array;
  readonly tag: Uint8Array;
}

/** Takes a file apart; nothing in it is trusted yet but its form. */
function parse(path: string, bytes: Buffer): SealedFile {
  if (bytes.length < at.certificate || !bytes.subarray(0, magic.length).equals(magic))
    throw damaged(path, bytes.length < at.certificate ? "is cut short" : "is no sealed CA key");
  if (bytes[at.version]! > version)
    throw new DbError("featureNotSupported", `${path} was written by a newer version of this program`, {
      detail: `Its format is ${bytes[at.version]}, this program knows formats up to ${version}.`,
    });
  const certificateLength = bytes.readUInt32BE(at.lengths);
  const sealedLength = bytes.readUInt32BE(at.lengths + 4);
  const length = at.certificate + certificateLength + sealedLength + tagBytes + sumBytes;
  if (bytes.length < length && certificateLength <= partMax && sealedLength <= partMax)
    throw damaged(path, "is cut short");
  const sumAt = bytes.length - sumBytes;
  const [log2 = 0, r, p] = bytes.subarray(at.version + 1);
  const whole =
    bytes.length === length &&
    sha256(bytes.subarray(0, sumAt)).equals(bytes.subarray(sumAt)) &&
    bytes[at.version] === version &&
    log2 >= cost.least &&
    log2 <= cost.most &&
    r === cost.r &&
    p === cost.p;
  if (!whole) throw damaged(path, "is damaged");
  const sealedAt = at.certificate + certificateLength;
  const der = bytes.subarray(at.certificate, sealedAt);
  if (!sha256(der).equals(bytes.subarray(at.fingerprint, at.lengths))) throw damaged(path, "is damaged");
  return {
    certificate: readCertificate(pemOf(der, "CERTIFICATE")),
    cost: { log2, r, p },
    salt: bytes.subarray(at.salt, at.nonce),
    nonce: bytes.subarray(at.nonce, at.fingerprint),
    associated: bytes.subarray(0, sealedAt),
    sealed: bytes.subarray(sealedAt, sealedAt + sealedLength),
    tag: bytes.subarray(sealedAt + sealedLength, sumAt),
  };
}

/** 32 bytes for AES, to be zeroed. Off the loop: it takes a while by design. */
function derive(passphrase: Uint8Array, salt: Uint8Array, by: SealedFile["cost"]): Promise<Buffer> {
  const N = 2 ** by.log2;
  const options = { N, r: by.r, p: by.p, maxmem: 2 * 128 * N * by.r };
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, 32, options, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}

/** The key, to be zeroed; undefined: another passphrase, or bytes put in by somebody who does not know it. */
function unseal(file: SealedFile, key: Uint8Array): Buffer | undefined {
  const decipher = createDecipheriv("aes-256-gcm", key, file.nonce);
  decipher.setAAD(file.associated).setAuthTag(file.tag);
  const pkcs8 = decipher.update(file.sealed);
  try {
    decipher.final();
    return pkcs8;
  } catch (error) {
    pkcs8.fill(0); // not authentic: nobody may see it
    if (error instanceof Error) return undefined; // OpenSSL's one reason to fail here is the tag
    throw error;
  }
}

export class CaStore {
  readonly #disk: Disk;
  readonly #random: Random;
  readonly #folder: string;
  readonly #costLog2: number;
  readonly #passphrase: PassphraseSource;

  constructor(disk: Disk, random: Random, passphrase: PassphraseSource, options: CaStoreOptions = {}) {
    const { folder = "ca", costLog2 = cost.usual } = options;
    assert(costLog2 >= cost.least && costLog2 <= cost.most, `log2 of N is ${cost.least} to ${cost.most}`);
    this.#disk = disk;
    this.#random = random;
    this.#passphrase = passphrase;
    this.#folder = folder;
    this.#costLog2 = costLog2;
  }

  #path(fingerprint: string): string {
    assert(/^[0-9a-f]{64}$/.test(fingerprint), "a CA is named by the SHA-256 of its certificate");
    return `${this.#folder}/${fingerprint}.key`;
  }

  /** Fingerprints of the CAs whose keys are here, sorted. */
  list(): string[] {
    const names = this.#disk.listSync(this.#folder);
    return names.filter((name) => /^[0-9a-f]{64}\.key$/.test(name)).map((name) => name.slice(0, 64));
  }
  has(fingerprint: string): boolean {
    return this.#disk.existsSync(this.#path(fingerprint));
  }

  /**
   * The certificate that lies with a key, PEM; no passphrase is needed.
   * @throws DbError as `open`, but for the passphrase
   */
  certificateOf(fingerprint: string): string {
    return pemOf(this.#read(fingerprint).certificate.raw, "CERTIFICATE");
  }

  /**
   * Seals a key and keeps it, in place of what there was of this CA. Zeroes `pkcs8`, whatever happens.
   * @throws DbError invalidParameterValue (22023) when the key is not that of the certificate, or the passphrase is too short
   */
  async seal(certificatePem: string, pkcs8: Uint8Array): Promise<{ readonly fingerprint: string }> {
    try {
      const certificate = readCertificate(certificatePem);
      checkBelongs(certificate, pkcs8);
      await this.#write(certificate, pkcs8, this.#passphrase);
      return { fingerprint: fingerprintOf(certificate) };
    } finally {
      pkcs8.fill(0);
    }
  }

  /**
   * A signer for a CA. It holds the key in memory as long as it lives: let go of it when there is nothing to sign.
   * @throws DbError undefinedObject (42704) when the key is not here; configFileError (F0000) when its file is damaged, cut
   *   short, not a sealed key, another CA's or open to others; featureNotSupported (0A000) when a newer version wrote it;
   *   invalidAuthorizationSpecification (28000) when the passphrase does not open it
   */
  open(fingerprint: string): Promise<CaSigner> {
    return this.withKey(fingerprint, softwareSigner);
  }

  /**
   * What `use` makes of a key's bytes (PKCS #8), which are zeroed when it is done. Only for what a signer cannot do: splitting
   * a key into shares. Throws as `open`.
   */
  async withKey<T>(fingerprint: string, use: (pkcs8: Uint8Array) => T | Promise<T>): Promise<T> {
    return this.#withKey(fingerprint, this.#passphrase, use);
  }

  /**
   * Seals every key under another passphrase. A key that is so already stays as it is: after a crash, call it again.
   * @throws DbError as `open`
   */
  async changePassphrase(to: PassphraseSource): Promise<void> {
    for (const fingerprint of this.list()) {
      const already = await this.#withKey(fingerprint, to, () => true).catch((error: unknown) => {
        if (error instanceof DbError && error.condition === "invalidAuthorizationSpecification") return false;
        throw error;
      });
      if (already) continue;
      const { certificate } = this.#read(fingerprint);
      await this.withKey(fingerprint, (pkcs8) => this.#write(certificate, pkcs8, to));
    }
  }

  /** Overwrites and removes a CA's key: nobody here can issue for it again. */
  remove(fingerprint: string): void {
    const path = this.#path(fingerprint);
    if (!this.#disk.existsSync(path)) return;
    destroyFile(this.#disk, path);
    this.#disk.syncFolderSync(this.#folder);
  }

  /**
   * Takes in a key that lies in the clear, as versions up to 0.1 kept it: seals it, and once that can be opened again
   * overwrites the clear file and removes it. Undefined: there is none. After a crash in between, call it again.
   * @throws DbError configFileError (F0000) when the files cannot be read or do not belong together
   */
  async adoptPlain(
    from: Disk,
    keyPath = "tls/ca.key",
    certificatePath = "tls/ca.crt",
  ): Promise<{ readonly fingerprint: string } | undefined> {
    if (!from.existsSync(keyPath)) return undefined;
    const clear = Buffer.from(from.readFileSync(keyPath));
    let pkcs8: Buffer;
    try {
      pkcs8 = createPrivateKey(clear).export({ format: "der", type: "pkcs8" });
    } catch (error) {
      throw new DbError("configFileError", `${keyPath} cannot be read as PEM`, {}, error);
    } finally {
      clear.fill(0);
    }
    try {
      if (!from.existsSync(certificatePath))
        throw new DbError("configFileError", `${certificatePath} is missing`);
      const certificatePem = Buffer.from(from.readFileSync(certificatePath)).toString("utf8");
      const kept = await this.seal(certificatePem, pkcs8);
      destroyFile(from, keyPath);
      from.syncFolderSync(keyPath.slice(0, Math.max(keyPath.lastIndexOf("/"), 0)));
      return kept;
    } catch (error) {
      if (!(error instanceof DbError) || error.condition !== "invalidParameterValue") throw error;
      throw new DbError("configFileError", `${keyPath} and ${certificatePath}: ${error.message}`, {}, error);
    } finally {
      pkcs8.fill(0);
    }
  }

  #read(fingerprint: string): SealedFile {
    const path = this.#path(fingerprint);
    if (!this.#disk.existsSync(path))
      throw new DbError("undefinedObject", `the private key of CA ${fingerprint} is not kept here`, {
        detail: `There is no ${path}.`,
      });
    const mode = this.#disk.modeOf?.(path) ?? 0o600;
    if ((mode & 0o077) !== 0)
      throw new DbError("configFileError", `the sealed CA key in ${path} is open to others`, {
        detail: `The file has mode ${mode.toString(8)}.`,
        hint: `Whoever has read it can try passphrases on it. If nobody has: chmod 600 ${path}`,
      });
    const file = parse(path, Buffer.from(this.#disk.readFileSync(path)));
    if (fingerprintOf(file.certificate) !== fingerprint) throw damaged(path, "is another CA's");
    return file;
  }

  async #withKey<T>(
    fingerprint: string,
    source: PassphraseSource,
    use: (pkcs8: Uint8Array) => T | Promise<T>,
  ): Promise<T> {
    const file = this.#read(fingerprint);
    const key = await this.#derive(source, file.salt, file.cost);
    const pkcs8 = unseal(file, key);
    key.fill(0);
    if (pkcs8 === undefined)
      throw new DbError(
        "invalidAuthorizationSpecification",
        `the sealed CA key in ${this.#path(fingerprint)} does not open with this passphrase`,
      );
    try {
      return await use(pkcs8);
    } finally {
      pkcs8.fill(0);
    }
  }

  async #derive(source: PassphraseSource, salt: Uint8Array, by: SealedFile["cost"]): Promise<Buffer> {
    const passphrase = await source();
    try {
      if (passphrase.length < passphraseBytesMin)
        throw new DbError(
          "invalidParameterValue",
          `a passphrase for CA keys has at least ${passphraseBytesMin} bytes`,
        );
      return await derive(passphrase, salt, by);
    } finally {
      passphrase.fill(0);
    }
  }

  async #write(certificate: X509Certificate, pkcs8: Uint8Array, source: PassphraseSource): Promise<void> {
    const fingerprint = fingerprintOf(certificate);
    const head = Buffer.alloc(at.certificate);
    magic.copy(head);
    head.set([version, this.#costLog2, cost.r, cost.p], at.version);
    this.#random.fill(head.subarray(at.salt, at.fingerprint)); // salt and nonce, new with every file
    head.write(fingerprint, at.fingerprint, "hex");
    head.writeUInt32BE(certificate.raw.length, at.lengths);
    head.writeUInt32BE(pkcs8.length, at.lengths + 4);
    const by = { log2: this.#costLog2, r: cost.r, p: cost.p };
    const key = await this.#derive(source, head.subarray(at.salt, at.nonce), by);
    try {
      const associated = Buffer.concat([head, certificate.raw]);
      const cipher = createCipheriv("aes-256-gcm", key, head.subarray(at.nonce, at.fingerprint));
      cipher.setAAD(associated);
      const sealed = Buffer.concat([cipher.update(pkcs8), cipher.final()]);
      const content = Buffer.concat([associated, sealed, cipher.getAuthTag()]);
      this.#disk.makeFolderSync(this.#folder);
      this.#disk.writeFileSync(this.#path(fingerprint), Buffer.concat([content, sha256(content)]), 0o600);
      this.#disk.syncFolderSync(this.#folder);
      const back = unseal(this.#read(fingerprint), key);
      const same = back !== undefined && back.length === pkcs8.length && timingSafeEqual(back, pkcs8);
      back?.fill(0);
      if (!same) throw damaged(this.#path(fingerprint), "is not what was written");
    } finally {
      key.fill(0);
    }
  }
}

/** @throws DbError invalidParameterValue (22023) */
function checkBelongs(certificate: X509Certificate, pkcs8: Uint8Array): void {
  const { publicKeySpki } = softwareSigner(pkcs8);
  const spki = certificate.publicKey.export({ format: "der", type: "spki" });
  if (!spki.equals(publicKeySpki))
    throw new DbError("invalidParameterValue", "the private key is not that of the CA's certificate");
}

/**
 * Zeros over a file, on the disk before it is removed. What the file system, the disk or a backup keeps of older blocks it
 * does not reach: a key that lay in the clear is best replaced (ROTATE CA).
 */
function destroyFile(disk: Disk, path: string): void {
  const file = disk.openSync(path);
  try {
    file.writeSync(new Uint8Array(file.size()), 0);
    file.syncSync();
  } finally {
    file.closeSync();
  }
  disk.removeSync(path);
}

// --- where a passphrase comes from ---------------------------------------------------------------------------------

/** What the environment of the program says; a function, so that it is asked when it is wanted. */
export const passphraseVariable = "SCRATCHBIRD_CA_PASSPHRASE";

export interface PassphrasePlaces {
  /** The value of SCRATCHBIRD_CA_PASSPHRASE, where it is set. */
  readonly variable?: string | undefined;
  /** An operator's file, as configured: its text without the end of the line. Mode 0600. */
  readonly file?: { readonly disk: Disk; readonly path: string } | undefined;
  /**
   * Where none of these is given: a random one of 256 bits, made once. It lies beside the keys, so it guards a copy of the
   * key folder alone (a backup of it, a disk of its own), not against who reads the data folder.
   */
  readonly kept: { readonly disk: Disk; readonly random: Random; readonly path?: string };
}

export const keptPassphrasePath = "ca-passphrase";

/**
 * The first of: the variable, the operator's file, the one that is kept.
 * @returns a source that throws DbError configFileError (F0000) when a file is missing, empty or open to others
 */
export function passphraseFrom(places: PassphrasePlaces): PassphraseSource {
  const { variable, file, kept } = places;
  if (variable !== undefined && variable !== "") return () => Buffer.from(variable, "utf8");
  if (file !== undefined) return () => passphraseIn(file.disk, file.path);
  return () => {
    const path = kept.path ?? keptPassphrasePath;
    if (!kept.disk.existsSync(path)) {
      const drawn = new Uint8Array(32);
      kept.random.fill(drawn);
      kept.disk.writeFileSync(path, Buffer.from(`${Buffer.from(drawn).toString("base64url")}\n`), 0o600);
      kept.disk.syncFolderSync(path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ".");
      drawn.fill(0);
    }
    return passphraseIn(kept.disk, path);
  };
}

function passphraseIn(disk: Disk, path: string): Uint8Array {
  if (!disk.existsSync(path))
    throw new DbError("configFileError", `the file ${path} with the passphrase of the CA keys is missing`);
  const mode = disk.modeOf?.(path) ?? 0o600;
  if ((mode & 0o077) !== 0)
    throw new DbError("configFileError", `the passphrase in ${path} is open to others`, {
      detail: `The file has mode ${mode.toString(8)}.`,
      hint: `chmod 600 ${path}`,
    });
  const text = Buffer.from(disk.readFileSync(path));
  let end = text.length;
  while (end > 0 && (text[end - 1] === 0x0a || text[end - 1] === 0x0d)) end--;
  if (end === 0) throw new DbError("configFileError", `the passphrase in ${path} is empty`);
  const passphrase = Buffer.from(text.subarray(0, end));
  text.fill(0);
  return passphrase;
}
