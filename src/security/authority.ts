/**
 * A certificate authority of the cluster: what it issues to nodes, users, services and Postgres ports, and the lists of what
 * it takes back (spec/03). One object for each CA; while a CA is being replaced there are two.
 *
 *     request --- its key, checked (certificate-request.ts) ---+
 *     who it is for (certificate-names.ts) --------------------+--> Authority --> CaSigner --> certificate
 *
 * OpenSSL checks chains by names without regard to case, and takes a certificate whose issuer is called like its subject
 * for self-signed. So two CAs of a cluster never share a name (it ends with the digits of its key's hash), and neither is
 * called like anybody it issues to (they have no organisation).
 *
 * Invariants: of a request only its key gets into a certificate, the rest is what the caller says; a certificate never
 * outlives its CA; a serial number is drawn from 126 random bits and not used before as far as the caller knows (CA-17);
 * nothing leaves that the CA's own certificate does not verify.
 */
import { createHash, verify, X509Certificate } from "node:crypto";
import { assert, DbError } from "../base/errors.js";
import type { Clock, Random } from "../platform/index.js";
import { type CaAlgorithm, type CaSigner, caAlgorithmOf, generateSoftwareKey } from "./ca-signer.js";
import { type ClientKind, type Identity, identityOf, identityUri, usagesOf } from "./certificate-names.js";
import { type AltName, algorithms, altNames, extension, names, oid } from "./certificate-parts.js";
import { type CertificateRequest, type KeyKind, makeRequest, readRequest } from "./certificate-request.js";
import {
  bitString,
  boolean,
  contextTag,
  element,
  integer,
  namedBits,
  objectIdentifier,
  octetString,
  only,
  partsOf,
  pemOf,
  sequence,
  time,
  unsigned,
  wholeBitsOf,
} from "./der.js";
import { caCertificateDays, fingerprintOf, type NodeSubject, publicKeyOf } from "./node-identity.js";
import {
  authorityKeyIdentifier,
  type IssuerParts,
  issuerPartsOf,
  keyIdentifierOf,
  type RevocationFacts,
  readCertificate,
  signRevocationList,
} from "./revocation-list.js";
import { type CertificateNames, newSerial } from "./tls.js";

const dayMs = 86_400_000;
/** Clocks of those who check lag behind. */
const backdatedMs = dayMs;
/** "Cluster CA <uuid>"; with a blank and 16 digits it fills the 64 characters of RFC 5280 appendix A. */
const authorityNameMax = 47;
/** Bits of KeyUsage (RFC 5280 4.2.1.3). */
const digitalSignature = 0;
const keyCertSign = 5;
const crlSign = 6;

export interface IssuedCertificate {
  readonly certificatePem: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  /** SHA-256 of the DER, hexadecimal. */
  readonly fingerprint: string;
  /** base64: of Ed25519 the raw 32 bytes, as membership has them (MEM-6); of other keys SubjectPublicKeyInfo. */
  readonly publicKey: string;
  /** Milliseconds since 1970, whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface Validity {
  /** From now; less where the CA itself ends sooner. The policy's limit is the caller's business (CA-22). */
  readonly days: number;
}

export interface AuthorityOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Whether a serial (lower-case hexadecimal) was ever issued, as far as is known. */
  readonly isSerialUsed?: (serial: string) => boolean;
}

interface Draft {
  readonly subject: { readonly O?: string; readonly CN: string };
  readonly spki: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly extensions: readonly Uint8Array[];
}

async function signCertificate(
  draft: Draft,
  serial: string,
  issuerName: Uint8Array,
  signer: CaSigner,
): Promise<string> {
  const algorithm = algorithms[signer.algorithm];
  const signed = sequence(
    element(contextTag(0, true), integer(2)), // version 3
    unsigned(Buffer.from(serial, "hex")),
    algorithm,
    issuerName,
    sequence(time(draft.notBefore), time(draft.notAfter)),
    names(draft.subject),
    draft.spki,
    element(contextTag(3, true), sequence(...draft.extensions)),
  );
  return pemOf(sequence(signed, algorithm, bitString(await signer.sign(signed))), "CERTIFICATE");
}

/** A signer that answers with something else is broken, or is another key's. */
function checkSigned(certificate: X509Certificate, by: X509Certificate): void {
  if (!certificate.verify(by.publicKey))
    throw new DbError("ioError", "the CA's signer does not sign with the CA's key");
}

const wholeSeconds = (ms: number): number => Math.floor(ms / 1000) * 1000;
const keyBitsOf = (spki: Uint8Array): Uint8Array => wholeBitsOf(partsOf(only(spki))[1]);

export interface NewAuthority {
  readonly certificatePem: string;
  readonly signer: CaSigner;
  readonly authority: Authority;
  /** SHA-256 of the certificate's DER, hexadecimal: the CA's name in the policy (CA-4). */
  readonly fingerprint: string;
  /** The key's bytes (PKCS #8, DER), to be sealed by `CaStore` and zeroed; undefined where the signer was handed in. */
  readonly pkcs8: Uint8Array | undefined;
}

/**
 * A new self-signed CA of a cluster: ten years, no CA below it.
 * @param options.name what its common name begins with, at most 47 characters; by default "Cluster CA <cluster uuid>"
 * @param options.signer the key where somebody keeps it already (a token); by default a new key in memory
 * @param options.algorithm of that new key; by default Ed25519
 * @throws DbError invalidParameterValue (22023) for a name too long or not printable
 */
export async function createAuthority(
  options: AuthorityOptions & {
    readonly clusterUuid: string;
    readonly name?: string;
    readonly signer?: CaSigner;
    readonly algorithm?: CaAlgorithm;
  },
): Promise<NewAuthority> {
  const { clock, random, clusterUuid, name = `Cluster CA ${clusterUuid}` } = options;
  if (name.trim() === "" || [...name].length > authorityNameMax || /[\p{Cc}\p{Cs}]/u.test(name))
    throw new DbError(
      "invalidParameterValue",
      `a CA's name has 1 to ${authorityNameMax} printable characters`,
    );
  const made = options.signer === undefined ? generateSoftwareKey(options.algorithm) : undefined;
  const signer = options.signer ?? made!.signer;
  const spki = signer.publicKeySpki;
  const digits = createHash("sha256").update(spki).digest("hex").slice(0, 16);
  const now = clock.now();
  const subject = { O: "ScratchBird", CN: `${name} ${digits}` };
  const certificatePem = await signCertificate(
    {
      subject,
      spki,
      notBefore: wholeSeconds(now - backdatedMs),
      notAfter: wholeSeconds(now + caCertificateDays * dayMs),
      extensions: [
        extension(oid.basicConstraints, true, sequence(boolean(true), integer(0))),
        extension(oid.keyUsage, true, namedBits(keyCertSign, crlSign)),
        extension(oid.subjectKeyIdentifier, false, octetString(keyIdentifierOf(keyBitsOf(spki)))),
      ],
    },
    newSerial(random),
    names(subject),
    signer,
  );
  const certificate = new X509Certificate(certificatePem);
  checkSigned(certificate, certificate);
  const authority = new Authority(certificatePem, signer, options);
  return { certificatePem, signer, authority, fingerprint: fingerprintOf(certificate), pkcs8: made?.pkcs8 };
}

export class Authority {
  /** SHA-256 of the certificate's DER, hexadecimal. */
  readonly fingerprint: string;
  readonly certificate: X509Certificate;
  readonly #signer: CaSigner;
  readonly #parts: IssuerParts;
  readonly #options: AuthorityOptions;

  /**
   * @throws DbError invalidParameterValue (22023) when the certificate is no CA's (or may not sign certificates), has a key that is neither Ed25519 nor ECDSA
   *   P-256, or is not the signer's
   */
  constructor(
    readonly certificatePem: string,
    signer: CaSigner,
    options: AuthorityOptions,
  ) {
    this.certificate = readCertificate(certificatePem);
    const spki = this.certificate.publicKey.export({ type: "spki", format: "der" });
    const refuse = (message: string): never => {
      throw new DbError("invalidParameterValue", message);
    };
    if (!this.certificate.ca) refuse("the certificate is not a CA's");
    const algorithm = caAlgorithmOf(this.certificate.publicKey);
    if (algorithm === undefined) refuse("the CA's key is neither Ed25519 nor ECDSA P-256");
    if (algorithm !== signer.algorithm || !spki.equals(signer.publicKeySpki))
      refuse("the private key is not that of the CA's certificate");
    this.#parts = issuerPartsOf(this.certificate);
    this.#signer = signer;
    this.#options = options;
    this.fingerprint = fingerprintOf(this.certificate);
  }

  /**
   * For the connections between nodes. Ed25519 alone (D15). Who may have one is the caller's business (CA-16).
   * @throws DbError invalidParameterValue (22023) for a request that is none, or asks for somebody else's certificate;
   *   objectNotInPrerequisiteState (55000) when the CA has ended
   */
  issueNode(requestPem: string, subject: NodeSubject, validity: Validity): Promise<IssuedCertificate> {
    const { clusterUuid, nodeUuid, nodeName } = subject;
    const dns = `${nodeName}.cluster.${clusterUuid}.scratchbird.local`.toLowerCase();
    const identity: Identity = { kind: "node", clusterUuid, name: nodeUuid };
    return this.#issueClient(requestPem, identity, ["Ed25519"], [{ type: "dns", value: dns }], validity);
  }

  /** For a client that shows who it is by a certificate: of a role. Throws as `issueNode`. */
  issueUser(
    requestPem: string,
    subject: { readonly clusterUuid: string; readonly role: string },
    validity: Validity,
  ): Promise<IssuedCertificate> {
    const identity: Identity = { kind: "user", clusterUuid: subject.clusterUuid, name: subject.role };
    return this.#issueClient(requestPem, identity, ["Ed25519", "ECDSA-P256", "RSA"], [], validity);
  }

  /** For a program outside of the cluster. Throws as `issueNode`. */
  issueService(
    requestPem: string,
    subject: { readonly clusterUuid: string; readonly service: string },
    validity: Validity,
  ): Promise<IssuedCertificate> {
    const identity: Identity = { kind: "service", clusterUuid: subject.clusterUuid, name: subject.service };
    return this.#issueClient(requestPem, identity, ["Ed25519", "ECDSA-P256", "RSA"], [], validity);
  }

  /**
   * For the Postgres port: ECDSA P-256, which libpq can bind SCRAM-SHA-256-PLUS to. Names come from the caller, never from
   * the request. Throws as `issueNode`.
   */
  async issueServer(
    requestPem: string,
    subject: CertificateNames,
    validity: Validity,
  ): Promise<IssuedCertificate> {
    const request = wanted(readRequest(requestPem), ["ECDSA-P256"], undefined);
    const alternatives: AltName[] = [
      ...subject.dns.map((value) => ({ type: "dns", value }) as const),
      ...subject.addresses.map((value) => ({ type: "ip", value }) as const),
    ];
    if (alternatives.length === 0)
      throw new DbError("invalidParameterValue", "a server's certificate names at least one host");
    return this.#issue(request, subject.commonName, "server", alternatives, validity);
  }

  /**
   * Issues a node certificate to nobody, and looks at it as a peer would: what CA-28 asks of a CA that is to take over.
   * @throws DbError ioError (58030) when the signer fails or signs with another key; objectNotInPrerequisiteState (55000) when the
   *   CA has ended
   */
  async rehearse(clusterUuid: string): Promise<void> {
    const nodeUuid = "00000000-0000-4000-8000-000000000000";
    const identity: Identity = { kind: "node", clusterUuid, name: nodeUuid };
    const uri = identityUri(identity);
    const { requestPem } = makeRequest({ keyKind: "Ed25519", commonName: nodeUuid, uris: [uri] });
    const subject = { clusterUuid, nodeUuid, nodeName: "rehearsal" };
    const { certificatePem } = await this.issueNode(requestPem, subject, { days: 1 });
    const certificate = new X509Certificate(certificatePem);
    const named = identityOf(certificate);
    assert(
      named?.kind === "node" && named.name === nodeUuid && named.clusterUuid === clusterUuid,
      "a certificate that was issued to a node names it",
    );
  }

  /**
   * Signs the list of what was taken back: PEM "X509 CRL". 5,000 entries take some 60 to 110 ms.
   * @throws DbError invalidParameterValue (22023) for a serial that is none or stands there twice, or another number or date
   */
  async crl(facts: RevocationFacts): Promise<string> {
    return signRevocationList(facts, this.#parts, this.#signer);
  }

  /**
   * Signs what is no certificate and no list: the hash of a security bundle, which nobody could take for either.
   * @throws DbError ioError (58030): the signer does not sign with the CA's key
   */
  async sign(data: Uint8Array): Promise<Uint8Array> {
    const signature = await this.#signer.sign(data);
    const algorithm = this.#signer.algorithm === "Ed25519" ? null : "sha256";
    if (!verify(algorithm, data, this.certificate.publicKey, signature))
      throw new DbError("ioError", "the CA's signer does not sign with the CA's key");
    return signature;
  }

  async #issueClient(
    requestPem: string,
    identity: Identity,
    keyKinds: readonly KeyKind[],
    more: readonly AltName[],
    validity: Validity,
  ): Promise<IssuedCertificate> {
    const uri = identityUri(identity);
    const request = wanted(readRequest(requestPem), keyKinds, uri);
    return this.#issue(
      request,
      identity.name,
      identity.kind,
      [{ type: "uri", value: uri }, ...more],
      validity,
    );
  }

  async #issue(
    request: CertificateRequest,
    commonName: string,
    kind: ClientKind | "server",
    alternatives: readonly AltName[],
    { days }: Validity,
  ): Promise<IssuedCertificate> {
    if (!Number.isInteger(days) || days < 1 || days > caCertificateDays)
      throw new DbError("invalidParameterValue", `a certificate is valid for 1 to ${caCertificateDays} days`);
    if (commonName === "" || [...commonName].length > 64)
      throw new DbError("invalidParameterValue", "a certificate's common name has 1 to 64 characters");
    const now = this.#options.clock.now();
    const end = Date.parse(this.certificate.validTo);
    if (end <= now)
      throw new DbError("objectNotInPrerequisiteState", `the CA was valid until ${this.certificate.validTo}`);
    const usages = usagesOf[kind].map(objectIdentifier);
    const draft: Draft = {
      subject: { CN: commonName },
      spki: request.publicKeySpki,
      notBefore: wholeSeconds(now - backdatedMs),
      notAfter: Math.min(wholeSeconds(now + days * dayMs), end),
      extensions: [
        extension(oid.basicConstraints, true, sequence()), // no CA, by the default that DER leaves out
        extension(oid.keyUsage, true, namedBits(digitalSignature)),
        extension(oid.extendedKeyUsage, false, sequence(...usages)),
        extension(oid.subjectAltName, false, altNames(alternatives)),
        extension(
          oid.subjectKeyIdentifier,
          false,
          octetString(keyIdentifierOf(keyBitsOf(request.publicKeySpki))),
        ),
        authorityKeyIdentifier(this.#parts.keyIdentifier),
      ],
    };
    const serial = this.#newSerial();
    const certificatePem = await signCertificate(draft, serial, this.#parts.name, this.#signer);
    const certificate = new X509Certificate(certificatePem);
    checkSigned(certificate, this.certificate);
    assert(certificate.checkIssued(this.certificate), "a certificate names the CA that issued it");
    return {
      certificatePem,
      serial,
      fingerprint: fingerprintOf(certificate),
      publicKey:
        request.keyKind === "Ed25519" ? publicKeyOf(certificate) : request.publicKeySpki.toString("base64"),
      notBefore: draft.notBefore,
      notAfter: draft.notAfter,
    };
  }

  #newSerial(): string {
    for (let round = 0; round < 8; round++) {
      const serial = newSerial(this.#options.random);
      if (this.#options.isSerialUsed?.(serial) !== true) return serial;
    }
    // Two of 2^126 alike happen to nobody: the generator repeats itself, and whatever it draws is known to others.
    throw new DbError("internalError", "random serial numbers repeat");
  }
}

/** The request, if its key and its wish are such that this certificate may be issued for it. */
function wanted(
  request: CertificateRequest,
  keyKinds: readonly KeyKind[],
  uri: string | undefined,
): CertificateRequest {
  if (!keyKinds.includes(request.keyKind))
    throw new DbError("invalidParameterValue", `the certificate wants a key of ${keyKinds.join(", ")}`, {
      detail: `The request's is ${request.keyKind}.`,
    });
  if (request.uris.some((one) => one !== uri))
    throw new DbError("invalidParameterValue", "the certificate request asks for another certificate", {
      detail: `It names ${request.uris.join(", ")}; ${uri === undefined ? "no URI" : uri} was to be issued.`,
    });
  return request;
}
