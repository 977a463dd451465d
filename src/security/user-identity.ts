/**
 * User certificates (CA-15, CA-18): who the holder of a client certificate is. The twin of the check of a node in
 * node-identity.ts, in the same order (CA-10).
 *
 *     URI sb://cluster/<cluster uuid>/user/<role, percent-encoded>    client authentication and nothing else
 *     Ed25519, P-256, or RSA of 2048 bits and more
 *
 * That the client has the key, TLS has shown; that it is nobody's node or service, the URI and the extended key usage say.
 *
 * Invariants: pure; the first check that fails decides and names itself; what is no user's certificate of this cluster names no
 * role.
 */
import type { X509Certificate } from "node:crypto";
import { parseIdentityUri, urisOf } from "./certificate-names.js";
import type { TrustedCa } from "./node-identity.js";

export type UserCondition =
  | "NOT_YET_VALID"
  | "EXPIRED"
  | "UNTRUSTED_CA"
  | "MISSING_URI_SAN"
  | "WRONG_CLUSTER"
  | "WEAK_KEY"
  | "ALGORITHM_DISALLOWED"
  | "REVOKED"
  | "CHAIN_INVALID";

export interface UserContext {
  readonly clusterUuid: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Clocks of two hosts are never equal. */
  readonly toleranceMs: number;
  readonly authorities: readonly TrustedCa[];
  /** `issuer`: SHA-256 of the CA's certificate; `serial`: both hexadecimal, in lower case. */
  isRevoked(issuer: string, serial: string): boolean;
}

/** What a certificate that was believed says. */
export interface UserIdentity {
  readonly role: string;
  readonly issuer: string;
  readonly serial: string;
  /** Distinguished names, as RFC 4514 would have them in one line. */
  readonly subjectName: string;
  readonly issuerName: string;
}

export type UserVerdict =
  | UserIdentity
  | {
      readonly condition: UserCondition;
      readonly message: string;
      /**
       * The role that a trusted CA has named in it. Its holder knows that name, so why it was refused can be told; of any other
       * certificate nothing is.
       */
      readonly certified: string | undefined;
    };

/** Whom client certificates are believed, as the cluster has it now. */
export interface ClientTrust {
  /** Also of what cannot be read as a certificate. */
  check(certificateDer: Uint8Array): UserVerdict;
  /** What stands by now against a certificate that was believed: it was revoked, or its CA is trusted no more. */
  standing(certificate: Pick<UserIdentity, "issuer" | "serial">): "REVOKED" | "UNTRUSTED_CA" | undefined;
}

const clientAuthentication = "1.3.6.1.5.5.7.3.2";
const identifierBytesMax = 63;

interface NamedUser {
  readonly cluster: string;
  readonly role: string;
}

function namedBy(certificate: X509Certificate): NamedUser | undefined {
  const uris = urisOf(certificate);
  const identity = uris.length === 1 ? parseIdentityUri(uris[0]!) : undefined;
  // Roles have names that fit.
  if (identity?.kind !== "user" || Buffer.byteLength(identity.name) > identifierBytesMax) return undefined;
  return { cluster: identity.clusterUuid, role: identity.name };
}

const oneLine = (name: string | undefined): string => (name ?? "").split("\n").reverse().join(",");

export function checkUser(certificate: X509Certificate, context: UserContext): UserVerdict {
  const { now, toleranceMs, clusterUuid } = context;
  const authority = context.authorities.find((one) => certificate.verify(one.certificate.publicKey));
  const named = namedBy(certificate);
  const certified = authority !== undefined && named?.cluster === clusterUuid ? named.role : undefined;
  const refuse = (condition: UserCondition, message: string): UserVerdict => ({
    condition,
    message,
    certified,
  });
  if (Date.parse(certificate.validFrom) > now + toleranceMs)
    return refuse("NOT_YET_VALID", `the certificate is valid from ${certificate.validFrom}`);
  if (Date.parse(certificate.validTo) < now)
    return refuse("EXPIRED", `the certificate was valid until ${certificate.validTo}`);
  const issuerName = oneLine(certificate.issuer);
  if (authority === undefined) return refuse("UNTRUSTED_CA", `issued by ${issuerName}, which is not trusted`);
  if (authority.trustedUntil !== undefined && authority.trustedUntil < now)
    return refuse("UNTRUSTED_CA", `its CA ${issuerName} is trusted no more`);
  if (named === undefined)
    return refuse("MISSING_URI_SAN", `no user's URI: ${certificate.subjectAltName ?? "none"}`);
  if (named.cluster !== clusterUuid)
    return refuse("WRONG_CLUSTER", `a certificate of cluster ${named.cluster}`);
  const problem = keyProblem(certificate);
  if (problem !== undefined) return refuse(...problem);
  const issuer = authority.fingerprint;
  const serial = certificate.serialNumber.toLowerCase();
  if (context.isRevoked(issuer, serial)) return refuse("REVOKED", `certificate ${serial} is revoked`);
  const usages = certificate.keyUsage ?? [];
  const isClients = usages.length === 1 && usages[0] === clientAuthentication;
  if (certificate.ca || !isClients || !certificate.checkIssued(authority.certificate))
    return refuse("CHAIN_INVALID", "not a user certificate of its CA");
  return { role: named.role, issuer, serial, subjectName: oneLine(certificate.subject), issuerName };
}

function keyProblem({
  publicKey: { asymmetricKeyType: type, asymmetricKeyDetails: details },
}: X509Certificate): [UserCondition, string] | undefined {
  switch (type) {
    case "ed25519":
      return undefined;
    case "ec":
      return details?.namedCurve === "prime256v1"
        ? undefined
        : ["ALGORITHM_DISALLOWED", `a key on curve ${details?.namedCurve}`];
    case "rsa":
      return (details?.modulusLength ?? 0) < 2048
        ? ["WEAK_KEY", "an RSA key of less than 2048 bits"]
        : undefined;
    default:
      return ["ALGORITHM_DISALLOWED", `a key of type ${type}`];
  }
}
