/**
 * The parts that certificates, requests and revocation lists share (RFC 5280 4.1, 4.2): names, algorithms, extensions.
 * Pure: text and bytes in, DER out.
 */
import { DbError } from "../base/errors.js";
import {
  boolean,
  contextTag,
  element,
  objectIdentifier,
  octetString,
  sequence,
  tag,
  utf8String,
} from "./der.js";

/** Identifiers of extensions. */
export const oid = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  crlNumber: "2.5.29.20",
  reasonCode: "2.5.29.21",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
} as const;

/** AlgorithmIdentifier of a signature: Ed25519 (RFC 8410 3), the others with SHA-256 (RFC 5758 3.2, RFC 4055 5). */
export const algorithms = {
  Ed25519: sequence(objectIdentifier("1.3.101.112")),
  "ECDSA-P256": sequence(objectIdentifier("1.2.840.10045.4.3.2")),
  RSA: sequence(objectIdentifier("1.2.840.113549.1.1.11"), element(tag.null)),
} as const;

/** A Name of one attribute each: O before CN, as trees are written from their root. */
export function names(one: { readonly O?: string; readonly CN: string }): Buffer {
  const attribute = (type: string, value: string): Buffer =>
    element(tag.set, sequence(objectIdentifier(type), utf8String(value)));
  const organisation = one.O === undefined ? [] : [attribute("2.5.4.10", one.O)];
  return sequence(...organisation, attribute("2.5.4.3", one.CN));
}

export function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  return sequence(objectIdentifier(id), ...(critical ? [boolean(true)] : []), octetString(value));
}

export interface AltName {
  readonly type: "uri" | "dns" | "ip";
  readonly value: string;
}

/** GeneralNames (RFC 5280 4.2.1.6). @throws DbError invalidParameterValue (22023) for a name of another form */
export const altNames = (list: readonly AltName[]): Buffer => sequence(...list.map(altName));

function altName({ type, value }: AltName): Buffer {
  switch (type) {
    case "uri":
      if (!/^[\x21-\x7e]+$/.test(value)) throw new DbError("invalidParameterValue", "not a URI in ASCII");
      return element(contextTag(6, false), Buffer.from(value, "latin1"));
    case "dns":
      // Of letters only: a node's name may hold two dots in a row, and its certificate is issued all the same.
      if (!/^(\*\.)?[a-z0-9_.-]{1,253}$/i.test(value))
        throw new DbError("invalidParameterValue", `"${value}" is no DNS name`);
      return element(contextTag(2, false), Buffer.from(value, "latin1"));
    case "ip":
      return element(contextTag(7, false), addressBytes(value));
  }
}

/** 4 or 16 bytes of an address. */
function addressBytes(text: string): Buffer {
  const refuse = (): never => {
    throw new DbError("invalidParameterValue", `"${text}" is no IP address`);
  };
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    const bytes = text.split(".").map(Number);
    return bytes.every((byte) => byte < 256) ? Buffer.from(bytes) : refuse();
  }
  // URLs know how addresses of version 6 are written, and write them in one way, without numbers of version 4 in them.
  if (!/^[0-9a-f:.]+$/i.test(text) || !URL.canParse(`http://[${text}]/`)) return refuse();
  const plain = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const [head = [], tail = []] = plain
    .split("::")
    .map((part) => part.split(":").filter((group) => group !== ""));
  const between = Array.from({ length: 8 - head.length - tail.length }, () => "0");
  return Buffer.from([...head, ...between, ...tail].map((group) => group.padStart(4, "0")).join(""), "hex");
}
