/**
 * The audit chain of one node (AUD-1..15): events in order, each with the hash of the one before in its own hash, and now and
 * then a signature over the run of events that ends there. It is text, one line each, so that it can be read and checked
 * with nothing but SHA-256 and Ed25519.
 *
 *     A 1 <cluster uuid> <node uuid>                      head of a file: format, whose it is
 *     E <previous hash> <hash> <canonical JSON>           hash = SHA-256(JSON, then the previous hash's 32 bytes)
 *     S <sequence> <certificate> <signature>              of all events up to that one, by the key of that certificate
 *
 * Hashes and certificates are 64 hexadecimal digits, signatures base64; before the first event the previous hash is `-`, and
 * nothing is appended to the JSON (AUD-2). What is not in the JSON is not protected by the hash, so there is nothing else.
 *
 * Invariants: sequence numbers begin at 1 and rise by 1, also over restarts; a line is only ever appended; every byte of a
 * file belongs to a field that is checked.
 */
import { hash as hashWith } from "node:crypto";
import { assert } from "../base/errors.js";
import { type Canonical, canonicalJson } from "./canonical.js";

export const auditFormat = 1;

export const severities = ["INFO", "WARNING", "CRITICAL"] as const;
export type Severity = (typeof severities)[number];

/** What is hashed; names are those of the specification. */
export interface AuditEvent {
  readonly event_uuid: string;
  readonly event_sequence: number;
  readonly event_type: string;
  readonly severity: Severity;
  readonly node_uuid: string;
  readonly user_uuid: string | null;
  readonly session_uuid: string | null;
  /** ISO 8601 in UTC with microseconds, by the node's clock: the order is that of the sequence alone (AUD-25). */
  readonly timestamp: string;
  readonly payload: { readonly [key: string]: Canonical | undefined };
}

/** Where a chain ends: nothing yet is 0 and no hash. */
export interface ChainHead {
  readonly sequence: number;
  readonly hash: Uint8Array | undefined;
}
export const emptyChain: ChainHead = { sequence: 0, hash: undefined };

export function eventText(event: AuditEvent): string {
  return canonicalJson(event as unknown as Canonical);
}

/** 32 bytes (AUD-1). */
export function eventHash(text: string, previous: Uint8Array | undefined): Uint8Array {
  const json = Buffer.from(text, "utf8");
  return hashWith("sha256", previous === undefined ? json : Buffer.concat([json, previous]), "buffer");
}

/** The next line of a chain, and where the chain ends with it. */
export function appendEvent(
  head: ChainHead,
  event: AuditEvent,
): { readonly line: string; readonly head: ChainHead } {
  assert(event.event_sequence === head.sequence + 1, `event ${event.event_sequence} behind ${head.sequence}`);
  const text = eventText(event);
  const hash = eventHash(text, head.hash);
  return {
    line: `E ${hexOf(head.hash)} ${hexOf(hash)} ${text}\n`,
    head: { sequence: event.event_sequence, hash },
  };
}

/** What is signed for all events up to the head: 32 bytes. A signature is of one node's chain and of no other. */
export function runDigest(node: string, { sequence, hash }: ChainHead): Uint8Array {
  assert(hash !== undefined, "there are events to sign");
  const text = canonicalJson(["scratchbird audit run", node, sequence, hexOf(hash)]);
  return hashWith("sha256", text, "buffer");
}

export function headLine(cluster: string, node: string): string {
  return `A ${auditFormat} ${cluster} ${node}\n`;
}
export function runLine(sequence: number, certificate: string, signature: string): string {
  return `S ${sequence} ${certificate} ${signature}\n`;
}

// --- reading ---------------------------------------------------------------------------------------------------------

export type AuditLine =
  | { readonly kind: "head"; readonly format: number; readonly cluster: string; readonly node: string }
  | {
      readonly kind: "event";
      readonly previous: Uint8Array | undefined;
      readonly hash: Uint8Array;
      readonly text: string;
    }
  | {
      readonly kind: "run";
      readonly sequence: number;
      readonly certificate: string;
      readonly signature: string;
    };

const digits = "[0-9a-f]{64}";
const uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const headPattern = new RegExp(`^A ([1-9]\\d{0,3}) (${uuid}) (${uuid})$`);
const eventPattern = new RegExp(`^E (-|${digits}) (${digits}) (\\{.*\\})$`);
const runPattern = new RegExp(`^S ([1-9]\\d{0,15}) (${digits}) ([A-Za-z0-9+/]{86}==)$`);

/** Without its end. Undefined: it is none. */
export function readLine(line: string): AuditLine | undefined {
  switch (line[0]) {
    case "A": {
      const [, format, cluster, node] = headPattern.exec(line) ?? [];
      return node === undefined
        ? undefined
        : { kind: "head", format: Number(format), cluster: cluster!, node };
    }
    case "E": {
      const [, previous, hash, text] = eventPattern.exec(line) ?? [];
      if (text === undefined) return undefined;
      return { kind: "event", previous: bytesOf(previous!), hash: bytesOf(hash!)!, text };
    }
    case "S": {
      const [, sequence, certificate, signature] = runPattern.exec(line) ?? [];
      if (signature === undefined || !isCanonicalBase64(signature)) return undefined;
      return { kind: "run", sequence: Number(sequence), certificate: certificate!, signature };
    }
    default:
      return undefined;
  }
}

/** The last character of a signature has four bits that mean nothing: they are zero. */
function isCanonicalBase64(text: string): boolean {
  return Buffer.from(text, "base64").toString("base64") === text;
}

const hexOf = (bytes: Uint8Array | undefined): string =>
  bytes === undefined ? "-" : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
const bytesOf = (text: string): Uint8Array | undefined =>
  text === "-" ? undefined : Buffer.from(text, "hex");

/** Undefined: no event, or not in its canonical form. */
export function readEvent(text: string): AuditEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const event = value as AuditEvent;
  const isEvent =
    Number.isSafeInteger(event.event_sequence) &&
    event.event_sequence > 0 &&
    [event.event_uuid, event.event_type, event.node_uuid, event.timestamp].every(isText) &&
    [event.user_uuid, event.session_uuid].every((one) => one === null || isText(one)) &&
    severities.includes(event.severity) &&
    typeof event.payload === "object" &&
    event.payload !== null &&
    !Array.isArray(event.payload);
  return isEvent ? event : undefined;
}
const isText = (value: unknown): boolean => typeof value === "string";
