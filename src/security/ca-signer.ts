/**
 * Who signs for a CA: certificates and revocation lists are built elsewhere and signed here, by a key in memory or by one
 * that never leaves its token (`pkcs11.ts`).
 *
 *     authority.ts --- bytes to sign ---> CaSigner --- signature ---> authority.ts puts it under them, and checks it
 *
 * Invariants: a private key cannot be had through a signer, nor seen by printing it; what it says of its key is true.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signWith,
} from "node:crypto";
import { DbError } from "../base/errors.js";

/** Of a CA's key: CA-5, less RSA, whose signatures would make every certificate eight times as long to no end. */
export type CaAlgorithm = "Ed25519" | "ECDSA-P256";

export interface CaSigner {
  readonly algorithm: CaAlgorithm;
  /** DER of SubjectPublicKeyInfo (RFC 5280 4.1). */
  readonly publicKeySpki: Uint8Array;
  /**
   * The signature as a certificate holds it: 64 bytes of Ed25519 over `data` (RFC 8032, RFC 8410), or DER of r and s over its
   * SHA-256 (RFC 5758).
   * @throws DbError ioError (58030) or another of the signer's, when the key cannot be reached
   */
  sign(data: Uint8Array): Promise<Uint8Array>;
}

/** What kind of CA key this is; undefined: none that a CA of ours has. */
export function caAlgorithmOf(key: KeyObject): CaAlgorithm | undefined {
  if (key.asymmetricKeyType === "ed25519") return "Ed25519";
  const onP256 = key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1";
  return onP256 ? "ECDSA-P256" : undefined;
}

class SoftwareSigner implements CaSigner {
  readonly #key: KeyObject;
  constructor(
    key: KeyObject,
    readonly algorithm: CaAlgorithm,
    readonly publicKeySpki: Uint8Array,
  ) {
    this.#key = key;
  }
  async sign(data: Uint8Array): Promise<Uint8Array> {
    return signWith(this.algorithm === "Ed25519" ? null : "sha256", data, this.#key);
  }
}

/**
 * A signer that holds its key in memory. The bytes handed in are copied by OpenSSL: zero them afterwards.
 * @param pkcs8 DER of PrivateKeyInfo (RFC 5208)
 * @throws DbError invalidParameterValue (22023) for bytes that are no key, or a key of another kind
 */
export function softwareSigner(pkcs8: Uint8Array): CaSigner {
  let key: KeyObject;
  try {
    // Not a copy: where the caller zeroes its bytes, these are zeroed.
    const view = Buffer.from(pkcs8.buffer, pkcs8.byteOffset, pkcs8.length);
    key = createPrivateKey({ key: view, format: "der", type: "pkcs8" });
  } catch (error) {
    throw new DbError("invalidParameterValue", "the CA's private key cannot be read as PKCS #8", {}, error);
  }
  const algorithm = caAlgorithmOf(key);
  if (algorithm === undefined)
    throw new DbError("invalidParameterValue", "the CA's private key is neither Ed25519 nor ECDSA P-256");
  return new SoftwareSigner(key, algorithm, createPublicKey(key).export({ format: "der", type: "spki" }));
}

/** A new key: a signer for it, and its bytes for whoever keeps it, to be zeroed once they are kept. */
export function generateSoftwareKey(algorithm: CaAlgorithm = "Ed25519"): {
  readonly signer: CaSigner;
  /** DER of PrivateKeyInfo. */
  readonly pkcs8: Uint8Array;
} {
  const { privateKey } =
    algorithm === "Ed25519"
      ? generateKeyPairSync("ed25519")
      : generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const pkcs8 = privateKey.export({ format: "der", type: "pkcs8" });
  return { signer: softwareSigner(pkcs8), pkcs8 };
}
