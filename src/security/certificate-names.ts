/**
 * Whom a certificate of the cluster names, and what it is good for (CA-15, CA-18):
 *
 *     node     sb://cluster/<uuid>/node/<uuid>                     serverAuth, clientAuth    between nodes
 *     user     sb://cluster/<uuid>/user/<role, percent-encoded>     clientAuth                client authentication
 *     service  sb://cluster/<uuid>/service/<name, percent-encoded>  clientAuth, our own usage external programs
 *     server   no URI; DNS names and addresses                      serverAuth                the Postgres port
 *
 * Invariants: no two kinds share their set of usages or their form of URI, and `identityOf` wants both to agree, so none
 * passes for another; one name has one spelling.
 */
import type { X509Certificate } from "node:crypto";
import { DbError } from "../base/errors.js";

export type ClientKind = "node" | "user" | "service";
export interface Identity {
  readonly kind: ClientKind;
  readonly clusterUuid: string;
  /** A node's uuid, a role, a service's name. */
  readonly name: string;
}

/** RFC 5280 4.2.1.12; the last is ours, under the arc of a UUID (ITU-T X.667), which nobody has to register. */
export const usage = {
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  service: "2.25.168017141791830524594389023352021964622",
} as const;
export const usagesOf: Readonly<Record<ClientKind | "server", readonly string[]>> = {
  node: [usage.serverAuth, usage.clientAuth],
  user: [usage.clientAuth],
  service: [usage.clientAuth, usage.service],
  server: [usage.serverAuth],
};

const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const uriForm = new RegExp(`^sb://cluster/(${uuid})/(?:(node)/(${uuid})|(user|service)/([^/]+))$`);
const uuidForm = new RegExp(`^${uuid}$`);
/** RFC 5280 appendix A: a common name's characters. A role's name is no longer. */
const nameCharactersMax = 64;

/** All but letters, digits and -._~ (RFC 3986 2.3), of UTF-8. */
const percentEncoded = (name: string): string =>
  encodeURIComponent(name).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

/**
 * The URI of a node, a user or a service.
 * @throws DbError invalidParameterValue (22023) for a name that cannot stand in a certificate
 */
export function identityUri({ kind, clusterUuid, name }: Identity): string {
  for (const one of kind === "node" ? [clusterUuid, name] : [clusterUuid])
    if (!uuidForm.test(one)) throw new DbError("invalidParameterValue", `"${one}" is no uuid in lower case`);
  const printable = !/[\p{Cc}\p{Cs}]/u.test(name);
  if (name === "" || [...name].length > nameCharactersMax || !printable)
    throw new DbError(
      "invalidParameterValue",
      `a certificate cannot name this ${kind}: it wants 1 to ${nameCharactersMax} printable characters`,
    );
  return `sb://cluster/${clusterUuid}/${kind}/${percentEncoded(name)}`;
}

/** What a URI names; undefined: it is not of the cluster's, or not spelled as `identityUri` spells it. */
export function parseIdentityUri(uri: string): Identity | undefined {
  const match = uriForm.exec(uri);
  if (match === null) return undefined;
  const [, clusterUuid = "", node, nodeUuid, other, encoded = ""] = match;
  if (node !== undefined) return { kind: "node", clusterUuid, name: nodeUuid! };
  if (!/^(?:[\w.~-]|%[0-9A-F]{2})+$/.test(encoded)) return undefined;
  let name: string;
  try {
    name = decodeURIComponent(encoded);
  } catch (error) {
    if (error instanceof URIError) return undefined; // escapes that are no UTF-8 spell no name
    throw error;
  }
  const wellFormed = name !== "" && [...name].length <= nameCharactersMax && !/\p{Cc}/u.test(name);
  return wellFormed && percentEncoded(name) === encoded
    ? { kind: other as "user" | "service", clusterUuid, name }
    : undefined;
}

/** URIs of a certificate's subject alternative names. */
export function urisOf(certificate: X509Certificate): string[] {
  const names = certificate.subjectAltName ?? "";
  // Node quotes a name that holds a separator; ours never do, so a quoted one is not ours.
  return names
    .split(", ")
    .filter((name) => name.startsWith("URI:"))
    .map((name) => name.slice(4));
}

/**
 * Whom a certificate names: its one URI and its usages agree (CA-18). Undefined: nobody of the cluster's. Whether a trusted
 * CA issued it, when it is valid and whether it is revoked, the caller has to ask.
 */
export function identityOf(certificate: X509Certificate): Identity | undefined {
  const uris = urisOf(certificate);
  const identity = uris.length === 1 ? parseIdentityUri(uris[0]!) : undefined;
  if (identity === undefined || certificate.ca) return undefined;
  const usages = certificate.keyUsage ?? []; // Node's name for the extended ones
  const expected = usagesOf[identity.kind];
  const same = usages.length === expected.length && expected.every((one) => usages.includes(one));
  return same ? identity : undefined;
}
