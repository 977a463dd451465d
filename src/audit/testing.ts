/** Keys for tests of the chain: raw Ed25519, as the cluster's state keeps them. */
import { createPublicKey, type KeyObject, verify } from "node:crypto";

const prefix = Buffer.from("302a300506032b6570032100", "hex");
const known = new Map<string, KeyObject>();

/** The 32 bytes of a public key. */
export function createVerifierKey(key: KeyObject): Uint8Array {
  return key.export({ format: "der", type: "spki" }).subarray(-32);
}

export function verifyWithRaw(key: Uint8Array, digest: Uint8Array, signature: string): boolean {
  const name = Buffer.from(key).toString("hex");
  let one = known.get(name);
  if (one === undefined) {
    one = createPublicKey({ key: Buffer.concat([prefix, key]), format: "der", type: "spki" });
    known.set(name, one);
  }
  return verify(null, digest, one, Buffer.from(signature, "base64"));
}
