/**
 * Certificate revocation lists (RFC 5280 5): what a CA signs, and what a node believes of one it was handed (CA-23 to CA-25).
 *
 *     CertificateList { toBeSigned { v2, algorithm, issuer, thisUpdate, nextUpdate, [ { serial, date, reason } ],
 *                                    authorityKeyIdentifier, cRLNumber }, algorithm, signature }
 *
 * Invariants: a list is whole (never a delta, never another CA's entries) and says which one it is by its number; entries
 * are in the order of their serials, so the same facts are the same bytes; of a list that was read, every byte was covered
 * by the signature or is what it has to be. Which of two lists counts, and how old one may be, the caller decides (CA-25).
 */
import {
  createHash,
  createPublicKey,
  type KeyObject,
  verify as verifyWith,
  X509Certificate,
} from "node:crypto";
import { DbError } from "../base/errors.js";
import { type CaSigner, caAlgorithmOf } from "./ca-signer.js";
import { algorithms, extension, oid } from "./certificate-parts.js";
import {
  bitString,
  booleanOf,
  contentOf,
  contextTag,
  DerError,
  derOfPem,
  type Element,
  element,
  integer,
  integerOf,
  objectIdentifier,
  only,
  partsOf,
  pemOf,
  reading,
  sequence,
  tag,
  time,
  timeOf,
  unsigned,
  unsignedOf,
  wholeBitsOf,
} from "./der.js";

/** CRLReason (RFC 5280 5.3.1), without "unspecified", which is said by no reason, and without what only deltas have. */
export const revocationReasons = {
  keyCompromise: 1,
  caCompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 9,
  aaCompromise: 10,
} as const;
export type RevocationReason = keyof typeof revocationReasons;

/** What stands after an entry's date. */
const reasonExtensions: ReadonlyMap<string, Buffer> = new Map(
  Object.entries(revocationReasons).map(([name, code]) => [
    name,
    sequence(extension(oid.reasonCode, false, element(tag.enumerated, Buffer.from([code])))),
  ]),
);

export interface Revocation {
  /** Milliseconds since 1970; lists know whole seconds. */
  readonly revokedAt: number;
  readonly reason: RevocationReason;
}
export interface RevokedCertificate extends Revocation {
  /** Hexadecimal, at most 20 bytes. */
  readonly serial: string;
}
export interface RevocationFacts {
  /** Rises with every list of this CA (CA-25). */
  readonly number: number;
  readonly revoked: readonly RevokedCertificate[];
  /** Milliseconds since 1970. After `nextUpdate` OpenSSL refuses every certificate of this CA. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
}
export interface RevocationList {
  readonly number: number;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** By serial: lower-case hexadecimal, two digits a byte, as `X509Certificate.serialNumber` in lower case. */
  readonly revoked: ReadonlyMap<string, Revocation>;
}

export const revokedMax = 50_000;
const charactersMax = 8 * 1024 * 1024;
/** Milliseconds of the year 10000, which has one digit too many. */
const endOfTime = Date.UTC(10_000, 0);
/** RFC 5280 4.1.2.2. */
const serialForm = /^[0-9a-f]{1,40}$/i;

/** What a CA's certificate says that its lists and certificates repeat. */
export interface IssuerParts {
  /** DER of its subject. */
  readonly name: Buffer;
  readonly keyIdentifier: Buffer;
}

/** @throws DbError invalidParameterValue (22023) for a certificate without the parts */
export function issuerPartsOf(certificate: X509Certificate): IssuerParts {
  return reading("the CA's certificate", () => {
    const fields = partsOf(partsOf(only(certificate.raw))[0]);
    const at = fields[0]?.tag === contextTag(0, true) ? 1 : 0; // no version: one of 1988
    const [, , , , subject, spki, ...rest] = fields.slice(at);
    contentOf(subject, tag.sequence);
    const wrapped = rest.find((one) => one.tag === contextTag(3, true));
    for (const one of wrapped === undefined ? [] : partsOf(only(wrapped.content))) {
      const parts = partsOf(one);
      if (!objectIdentifier(oid.subjectKeyIdentifier).equals(parts[0]?.whole ?? new Uint8Array())) continue;
      const value = only(contentOf(parts.at(-1), tag.octetString));
      return {
        name: Buffer.from(subject!.whole),
        keyIdentifier: Buffer.from(contentOf(value, tag.octetString)),
      };
    }
    const bits = wholeBitsOf(partsOf(spki)[1]);
    return { name: Buffer.from(subject!.whole), keyIdentifier: keyIdentifierOf(bits) };
  });
}

/** Of a key: SHA-1 of its bits (RFC 5280 4.2.1.2). A name, not a protection. */
export const keyIdentifierOf = (keyBits: Uint8Array): Buffer => createHash("sha1").update(keyBits).digest();
export const authorityKeyIdentifier = (keyIdentifier: Uint8Array): Buffer =>
  extension(oid.authorityKeyIdentifier, false, sequence(element(contextTag(0, false), keyIdentifier)));

/**
 * Builds and signs a list.
 * @throws DbError invalidParameterValue (22023) for facts that no list can state; ioError (58030) when the signer fails or lies
 */
export async function signRevocationList(
  facts: RevocationFacts,
  issuer: IssuerParts,
  signer: CaSigner,
): Promise<string> {
  const refuse = (message: string): never => {
    throw new DbError("invalidParameterValue", message);
  };
  const { number, revoked, thisUpdate, nextUpdate } = facts;
  if (!Number.isSafeInteger(number) || number < 0) refuse(`a revocation list cannot have number ${number}`);
  for (const ms of [thisUpdate, nextUpdate, ...revoked.map((one) => one.revokedAt)])
    if (!(ms >= 0 && ms < endOfTime)) refuse(`a revocation list cannot state the moment ${ms}`);
  if (!(thisUpdate < nextUpdate)) refuse("a revocation list must end after it begins");
  if (revoked.length > revokedMax) refuse(`a revocation list holds at most ${revokedMax} certificates`);
  const entries = revoked.map((one) => {
    if (!serialForm.test(one.serial)) refuse(`"${one.serial}" is no certificate's serial number`);
    return { ...one, serial: one.serial.replace(/^0+(?=.)/, "").toLowerCase() };
  });
  entries.sort((a, b) => a.serial.length - b.serial.length || (a.serial < b.serial ? -1 : 1));
  const encoded = entries.map(({ serial, revokedAt, reason }, at) => {
    if (at > 0 && entries[at - 1]!.serial === serial) refuse(`certificate ${serial} is listed twice`);
    const why = reasonExtensions.get(reason) ?? refuse(`"${reason}" is no reason to revoke a certificate`);
    return sequence(
      unsigned(Buffer.from(serial.padStart(serial.length + (serial.length % 2), "0"), "hex")),
      time(revokedAt),
      why,
    );
  });
  const algorithm = algorithms[signer.algorithm];
  const extensions = sequence(
    authorityKeyIdentifier(issuer.keyIdentifier),
    extension(oid.crlNumber, false, integer(number)),
  );
  const signed = sequence(
    integer(1),
    algorithm,
    issuer.name,
    time(thisUpdate),
    time(nextUpdate),
    ...(encoded.length === 0 ? [] : [sequence(...encoded)]), // an empty list is left out (RFC 5280 5.1.2.6)
    element(contextTag(0, true), extensions),
  );
  const signature = await signer.sign(signed);
  const key = createPublicKey({ key: Buffer.from(signer.publicKeySpki), format: "der", type: "spki" });
  if (!isSigned(key, signed, signature))
    throw new DbError("ioError", "the CA's signer does not sign with the CA's key");
  return pemOf(sequence(signed, algorithm, bitString(signature)), "X509 CRL");
}

// --- reading -----------------------------------------------------------------------------------------------------

interface Extension {
  readonly id: Uint8Array;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

function extensionsOf(list: Element): Extension[] {
  return partsOf(list).map((one) => {
    const parts = partsOf(one);
    const [id, middle] = parts;
    contentOf(id, tag.objectIdentifier);
    const critical = parts.length === 3 && booleanOf(middle!);
    if (parts.length > 3 || (parts.length === 3 && !critical))
      throw new DerError("an extension of another form");
    return { id: id!.whole, critical, value: contentOf(parts.at(-1), tag.octetString) };
  });
}

const ids = {
  reason: objectIdentifier(oid.reasonCode),
  number: objectIdentifier(oid.crlNumber),
  authority: objectIdentifier(oid.authorityKeyIdentifier),
};
const reasonNames = new Map(
  Object.entries(revocationReasons).map(([name, code]) => [code as number, name as RevocationReason]),
);
/** Extensions as we write them, without reading what is in them: there may be thousands. */
const ownExtensions = new Map(
  [...reasonExtensions].map(([name, der]) => [der.toString("latin1"), name as RevocationReason]),
);

/** The extensions by their identifier; what is not known and critical changes what the list means (RFC 5280 5.2). */
function known(list: Element, wanted: readonly Buffer[]): (Uint8Array | undefined)[] {
  const extensions = extensionsOf(list);
  const stranger = extensions.find((one) => one.critical && !wanted.some((id) => id.equals(one.id)));
  if (stranger !== undefined) throw new DerError("it has a critical extension that is not understood");
  return wanted.map((id) => {
    const found = extensions.filter((one) => id.equals(one.id));
    if (found.length > 1) throw new DerError("an extension stands there twice");
    return found[0]?.value;
  });
}

function reasonOf(extensions: Element | undefined): RevocationReason {
  // Of another's making an entry may lack its reason; that it is revoked is what counts.
  if (extensions === undefined) return "cessationOfOperation";
  const own = ownExtensions.get(Buffer.from(extensions.whole).toString("latin1"));
  if (own !== undefined) return own;
  const [why] = known(extensions, [ids.reason]);
  const code = why === undefined ? 0 : (contentOf(only(why), tag.enumerated)[0] ?? 0);
  if (code === 8) throw new DerError("an entry that takes back another is a delta's");
  return reasonNames.get(code) ?? "cessationOfOperation";
}

function entriesOf(list: Element): Map<string, Revocation> {
  const revoked = new Map<string, Revocation>();
  const entries = partsOf(list, tag.sequence, revokedMax);
  if (entries.length === 0) throw new DerError("an empty list that should be left out");
  for (const entry of entries) {
    const [number, date, extensions, ...more] = partsOf(entry);
    if (more.length > 0) throw new DerError("an entry of another form");
    const serial = Buffer.from(unsignedOf(number)).toString("hex");
    if (serial.length > 40) throw new DerError("a serial number of more than 20 bytes");
    if (revoked.has(serial)) throw new DerError(`certificate ${serial} stands there twice`);
    revoked.set(serial, { revokedAt: timeOf(date), reason: reasonOf(extensions) });
  }
  return revoked;
}

/** Whether `signature` is one of `key` over `signed`. */
function isSigned(key: KeyObject, signed: Uint8Array, signature: Uint8Array): boolean {
  return verifyWith(caAlgorithmOf(key) === "Ed25519" ? null : "sha256", signed, key, signature);
}

/**
 * What a list of this CA says. Its dates are not compared with any clock.
 * @param pem one block "X509 CRL" of at most 8 MiB and 50,000 entries
 * @param authority the CA's certificate, Ed25519 or ECDSA P-256: PEM, or read
 * @throws DbError invalidParameterValue (22023) for what is no whole list, is another CA's, or is not signed by this one
 */
export function readCrl(pem: string, authority: X509Certificate | string): RevocationList {
  const certificate = typeof authority === "string" ? readCertificate(authority) : authority;
  const issuer = issuerPartsOf(certificate);
  const algorithm = caAlgorithmOf(certificate.publicKey);
  if (algorithm === undefined)
    throw new DbError("invalidParameterValue", "the CA's key is neither Ed25519 nor ECDSA P-256");
  const refuse = (message: string): never => {
    throw new DbError("invalidParameterValue", message, {
      detail: `Its CA was to be ${certificate.subject.replaceAll("\n", ", ")}.`,
    });
  };
  const outer = reading("the revocation list", () => {
    const [signed, outside, signature, ...more] = partsOf(only(derOfPem(pem, "X509 CRL", charactersMax)));
    if (more.length > 0) throw new DerError("parts after its signature");
    contentOf(outside, tag.sequence);
    const [version, inside, name] = partsOf(signed);
    if (integerOf(version) !== 1) throw new DerError("it is not of version 2");
    contentOf(name, tag.sequence);
    return {
      signed: signed!,
      outside: outside!,
      inside: inside!,
      name: name!,
      signature: wholeBitsOf(signature),
    };
  });
  if (!issuer.name.equals(outer.name.whole)) refuse("the revocation list is another CA's");
  const expected = algorithms[algorithm];
  const isOurs = expected.equals(outer.outside.whole) && expected.equals(outer.inside.whole);
  if (!isOurs || !isSigned(certificate.publicKey, outer.signed.whole, outer.signature))
    refuse("the revocation list is not signed by its CA");
  // Only now is it worth reading: what follows is as its CA wrote it.
  return reading("the revocation list", () => {
    const [, , , begins, ends, ...rest] = partsOf(outer.signed);
    const revoked = rest[0]?.tag === tag.sequence ? entriesOf(rest.shift()!) : new Map<string, Revocation>();
    const wrapped = rest.shift();
    if (rest.length > 0) throw new DerError("parts after its extensions");
    const [number, identifier] = known(only(contentOf(wrapped, contextTag(0, true))), [
      ids.number,
      ids.authority,
    ]);
    if (number === undefined) throw new DerError("it has no number");
    const keyId = identifier === undefined ? undefined : partsOf(only(identifier))[0];
    if (keyId?.tag === contextTag(0, false) && !issuer.keyIdentifier.equals(keyId.content))
      throw new DerError("it names another key of its CA");
    const list = {
      number: integerOf(only(number)),
      thisUpdate: timeOf(begins),
      nextUpdate: timeOf(ends),
      revoked,
    };
    if (list.nextUpdate <= list.thisUpdate) throw new DerError("it ends before it begins");
    return list;
  });
}

/** @throws DbError invalidParameterValue (22023) for what is no certificate */
export function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new DbError("invalidParameterValue", "the certificate cannot be read", {}, error);
  }
}
