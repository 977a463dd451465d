/**
 * Requests for certificates (PKCS #10, RFC 2986): reading what somebody sent, and making one's own.
 *
 *     CertificationRequest { info { version 0, subject, key, [0] attributes }, algorithm, signature by that key over info }
 *
 * Invariants: a request that was read is signed by the key it brings; a key too weak for a certificate is refused here, so
 * nobody has to ask again; what the request says of its sender is a wish, the issuer decides.
 */
import {
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signWith,
  verify as verifyWith,
} from "node:crypto";
import { DbError } from "../base/errors.js";
import { identityUri } from "./certificate-names.js";
import { algorithms, altNames, extension, names, oid } from "./certificate-parts.js";
import {
  bitString,
  contentOf,
  contextTag,
  DerError,
  derOfPem,
  element,
  elements,
  integer,
  integerOf,
  objectIdentifier,
  only,
  partsOf,
  pemOf,
  reading,
  sequence,
  tag,
  wholeBitsOf,
} from "./der.js";
import type { NodeSubject } from "./node-identity.js";

export type KeyKind = "Ed25519" | "ECDSA-P256" | "RSA";
export interface CertificateRequest {
  readonly keyKind: KeyKind;
  readonly key: KeyObject;
  /** DER of SubjectPublicKeyInfo, in its usual spelling. */
  readonly publicKeySpki: Buffer;
  /** Alternative names that are URIs, as they stand there. */
  readonly uris: readonly string[];
}

const charactersMax = 16_384;
/** CA-5; above, checking one signature takes longer than a handshake may. */
const rsaBits = { least: 2048, most: 8192 } as const;

/** Who may sign a request: the algorithms by their identifier, and the hash handed to OpenSSL. */
const signatures: readonly (readonly [algorithm: string, kind: KeyKind, hash: string | null])[] = [
  ["1.3.101.112", "Ed25519", null],
  ["1.2.840.10045.4.3.2", "ECDSA-P256", "sha256"],
  ["1.2.840.10045.4.3.3", "ECDSA-P256", "sha384"],
  ["1.2.840.10045.4.3.4", "ECDSA-P256", "sha512"],
  ["1.2.840.113549.1.1.11", "RSA", "sha256"],
  ["1.2.840.113549.1.1.12", "RSA", "sha384"],
  ["1.2.840.113549.1.1.13", "RSA", "sha512"],
];

function refuse(message: string, detail?: string): never {
  throw new DbError("invalidParameterValue", message, { detail });
}

/** What kind of key this is, where a certificate may have it. */
function kindOf(key: KeyObject): KeyKind {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "ed25519") return "Ed25519";
  if (type === "ec" && details?.namedCurve === "prime256v1") return "ECDSA-P256";
  if (type !== "rsa")
    refuse("the request's key is neither Ed25519 nor ECDSA P-256 nor RSA", `It is of type ${type}.`);
  const bits = details?.modulusLength ?? 0;
  if (bits < rsaBits.least || bits > rsaBits.most)
    refuse(
      `the request's RSA key has ${bits} bits`,
      `It has to have ${rsaBits.least} to ${rsaBits.most}: a shorter one can be broken, a longer one takes too long.`,
    );
  // 3 with a careless padding check elsewhere lets signatures be forged; every maker of keys takes 65537.
  if ((details?.publicExponent ?? 0n) < 65_537n) refuse("the request's RSA key has an exponent below 65537");
  return "RSA";
}

/** URIs among the names of the request's wish for a subjectAltName (RFC 2985 5.4.2). */
function urisWished(attributes: Uint8Array): string[] {
  const uris: string[] = [];
  const wish = objectIdentifier("1.2.840.113549.1.9.14");
  for (const attribute of elements(attributes)) {
    const [type, values] = partsOf(attribute);
    if (!wish.equals(type?.whole ?? wish.subarray(1))) continue;
    const lists = partsOf(values, tag.set);
    const extensions = lists.flatMap((list) => partsOf(list));
    for (const one of extensions) {
      const parts = partsOf(one);
      if (!objectIdentifier(oid.subjectAltName).equals(parts[0]?.whole ?? wish)) continue;
      const value = contentOf(parts.at(-1), tag.octetString);
      for (const name of partsOf(only(value)))
        if (name.tag === contextTag(6, false)) uris.push(Buffer.from(name.content).toString("latin1"));
    }
  }
  return uris;
}

/**
 * A request's key and wishes, once its signature is checked.
 * @param pem one block "CERTIFICATE REQUEST" (or "NEW CERTIFICATE REQUEST") of at most 16,384 characters
 * @throws DbError invalidParameterValue (22023) for what is none, is not signed by its own key, or brings a key that is too weak
 */
export function readRequest(pem: string): CertificateRequest {
  const label = pem.includes("BEGIN NEW CERTIFICATE") ? "NEW CERTIFICATE REQUEST" : "CERTIFICATE REQUEST";
  const parsed = reading("the certificate request", () => {
    const [info, algorithm, signature, ...more] = partsOf(only(derOfPem(pem, label, charactersMax)));
    const [version, subject, spki, attributes] = partsOf(info);
    contentOf(subject, tag.sequence);
    contentOf(spki, tag.sequence);
    if (integerOf(version) !== 0 || more.length > 0) throw new DerError("another version");
    const uris = attributes === undefined ? [] : urisWished(contentOf(attributes, contextTag(0, true)));
    const identifier = partsOf(algorithm)[0]?.whole ?? new Uint8Array();
    return { signed: info!.whole, spki: spki!.whole, uris, identifier, signature: wholeBitsOf(signature) };
  });
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(parsed.spki), format: "der", type: "spki" });
  } catch (error) {
    throw new DbError("invalidParameterValue", "the certificate request's key cannot be read", {}, error);
  }
  const keyKind = kindOf(key);
  const how = signatures.find(([one]) => objectIdentifier(one).equals(parsed.identifier));
  if (how === undefined || how[1] !== keyKind)
    refuse("the certificate request is signed in a way that is not understood", `Its key is ${keyKind}.`);
  if (!verifyWith(how[2], parsed.signed, key, parsed.signature))
    refuse("the certificate request is not signed by its own key");
  // Curves may be spelled out and points compressed, which others refuse: into a certificate goes the usual spelling.
  const plain = createPublicKey({ key: key.export({ format: "jwk" }), format: "jwk" });
  const publicKeySpki = plain.export({ format: "der", type: "spki" });
  return { keyKind, key: plain, publicKeySpki, uris: parsed.uris };
}

/** What a new request is to say. */
export interface RequestWish {
  readonly keyKind: KeyKind;
  readonly commonName: string;
  /** Alternative names; none for one that leaves its name to the issuer. */
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
}

function newKey(kind: KeyKind): KeyObject {
  switch (kind) {
    case "Ed25519":
      return generateKeyPairSync("ed25519").privateKey;
    case "ECDSA-P256":
      return generateKeyPairSync("ec", { namedCurve: "prime256v1" }).privateKey;
    case "RSA":
      return generateKeyPairSync("rsa", { modulusLength: rsaBits.least }).privateKey;
  }
}

/** A new key, and the request for a certificate of it, signed by it. `keyPem` is PKCS #8. */
export function makeRequest(wish: RequestWish): { readonly requestPem: string; readonly keyPem: string } {
  const key = newKey(wish.keyKind);
  const alternatives = [
    ...(wish.uris ?? []).map((value) => ({ type: "uri", value }) as const),
    ...(wish.dns ?? []).map((value) => ({ type: "dns", value }) as const),
  ];
  const extensions =
    alternatives.length === 0 ? [] : [extension(oid.subjectAltName, false, altNames(alternatives))];
  const attributes = extensions.map((one) =>
    sequence(objectIdentifier("1.2.840.113549.1.9.14"), element(tag.set, sequence(one))),
  );
  const info = sequence(
    integer(0),
    names({ CN: wish.commonName }),
    createPublicKey(key).export({ format: "der", type: "spki" }),
    element(contextTag(0, true), ...attributes),
  );
  const signature = signWith(wish.keyKind === "Ed25519" ? null : "sha256", info, key);
  return {
    requestPem: pemOf(sequence(info, algorithms[wish.keyKind], bitString(signature)), "CERTIFICATE REQUEST"),
    keyPem: key.export({ format: "pem", type: "pkcs8" }).toString(),
  };
}

/** A node's key, and its request for a certificate. The key stays. */
export function nodeRequest({ clusterUuid, nodeUuid }: NodeSubject): {
  readonly requestPem: string;
  readonly keyPem: string;
} {
  const uri = identityUri({ kind: "node", clusterUuid, name: nodeUuid });
  return makeRequest({ keyKind: "Ed25519", commonName: nodeUuid, uris: [uri] });
}
