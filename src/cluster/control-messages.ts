/**
 * The JSON messages between control workers, and the door for them: greeting, status, barrier, and what one who joins asks and
 * is told. Raft's own messages have their door in `raft/sanity.ts`, commands and changes theirs in `commands.ts`.
 *
 * A peer has a valid certificate and may be faulty all the same, and a joiner is anybody with a token. What is no message is
 * refused here (08P01), so that nothing behind has to doubt what it is handed.
 *
 * Invariants: whatever the bytes are, `readMessage` answers a message or throws a DbError; a text has a bound, a number is
 * finite and within what its reader can take. A field that this version does not know is passed over: the peer may be newer.
 */
import { DbError } from "../base/errors.js";
import {
  address,
  addresses,
  anything,
  atLeast,
  bundleSource,
  type Check,
  type ChecksOf,
  certificateFacts,
  count,
  flag,
  hash,
  id,
  list,
  nodeName,
  oneOf,
  optional,
  pem,
  serial,
  signature,
  tagged,
  text,
  tuple,
  uuid,
  version,
  who,
  whole,
  windowMs,
} from "./commands.js";
import type { BundleSource, CertificateFacts, FirstPeer, Hash, Member } from "./contract.js";
import type { BootShown } from "./membership.js";

/** How a node stands, every 200 ms and after each batch that it has applied. */
export interface Status {
  readonly boot: number;
  readonly epoch: number;
  readonly applied: number;
  readonly version: number;
  /** The sender's monotonic clock; sent back by the receiver. */
  readonly sentAt: number;
  /** Where it is reached, when it knows: nobody else could tell the log of it. */
  readonly control?: string | undefined;
  /** Others that it has met elsewhere than the log says: two that have both moved find each other by a third. */
  readonly met?: readonly (readonly [node: string, from: string, to: string])[] | undefined;
  /** Fingerprints of the CAs whose keys it keeps. */
  readonly caKeys?: readonly Hash[] | undefined;
  /** What it has counted that is wrong with certificates of members; it says something when it changes. */
  readonly faults?: number | undefined;
  /** To one whose epoch is behind: the other members, of whom it may not know. */
  readonly members?: readonly FirstPeer[] | undefined;
  /** The receiver's own `sentAt`, as heard last; 0: nothing heard yet. */
  readonly heard: number;
  readonly term: number;
  /** Of the leader: how long its own lease still is, which no other outlives. Milliseconds. */
  readonly lease: number;
}

/** The first word on a connection. */
export interface Hello {
  readonly boot: BootShown;
  readonly version: number;
  readonly lastIndex: number;
  readonly term: number;
}

export interface BarrierRequest {
  readonly index: number;
}

/** What whoever keeps a CA's key is asked for. */
export type AuthorityRequest =
  /** A certificate for the node that asks. */
  | { readonly kind: "renew"; readonly requestPem: string; readonly node: string }
  /** For the Postgres port of the node that asks; its names are those of the log. */
  | { readonly kind: "server"; readonly requestPem: string; readonly node: string }
  /** For one that is about to become a member: who asks has looked at its token. */
  | { readonly kind: "admit"; readonly requestPem: string; readonly node: string; readonly name: string }
  | {
      readonly kind: "issue";
      readonly requestPem: string;
      readonly to: "node" | "user" | "service";
      /** A node's uuid, a role, a service's name. */
      readonly name: string;
      readonly by: string;
    }
  | {
      readonly kind: "revoke";
      /** One of both. */
      readonly serial?: string | undefined;
      readonly node?: string | undefined;
      readonly reason: string;
      readonly by: string;
    }
  /** `node`: where it is to be made; undefined: where the key of the CA is that issues now. */
  | { readonly kind: "createCa"; readonly node?: string | undefined; readonly by: string }
  | { readonly kind: "rotate"; readonly windowMs: number; readonly by: string }
  | {
      readonly kind: "beginOverlap";
      readonly certificatePem: string;
      readonly windowMs: number;
      readonly by: string;
    }
  /** A security bundle: made, signed and published. */
  | {
      readonly kind: "publishBundle";
      readonly from: BundleSource;
      /** As which version; undefined: whichever comes next. */
      readonly version?: number | undefined;
      readonly by: string;
      /** UUID of that role. */
      readonly creator: string;
    }
  /** A CA is believed no more (CA-37), and another one takes its place, whose key is kept by whoever is asked. */
  | {
      readonly kind: "emergency";
      readonly authority: Hash;
      readonly certificatePem: string;
      readonly immediate: boolean;
      readonly by: string;
    }
  /** The key of the CA that issues now, in shares. They are in the answer and nowhere else. */
  | { readonly kind: "splitKey"; readonly needed: number; readonly total: number; readonly by: string }
  /** For the node that is named: it keeps the key from here on. */
  | {
      readonly kind: "recoverKey";
      readonly node: string;
      readonly shares: readonly string[];
      readonly by: string;
    };
/** What of it there is depends on what was asked for. */
export interface AuthorityAnswer {
  readonly certificatePem?: string | undefined;
  readonly authorityPem?: string | undefined;
  readonly certFingerprint?: Hash | undefined;
  /** Raw Ed25519 of a node, base64. */
  readonly publicKey?: string | undefined;
  readonly certificate?: CertificateFacts | undefined;
  /** Serials that were not revoked before. */
  readonly revoked?: readonly string[] | undefined;
  /** Of a rotation. */
  readonly id?: string | undefined;
  /** Of a security bundle. */
  readonly version?: number | undefined;
  /** Of a key: secrets of whoever gets them. */
  readonly shares?: readonly string[] | undefined;
}

export interface JoinRequest {
  readonly token: string;
  /** What the token says; the log has its hash only. */
  readonly secret: string;
  readonly uuid: string;
  readonly name: string;
  readonly requestPem: string;
  readonly addresses: Member["addresses"];
  readonly hostLabel: string;
  readonly version: number;
  /** Of a member that was left behind: it asks for a certificate, and then, with the one that it was given, to be known by it. */
  readonly again?: Return | undefined;
}
export interface Return {
  /** Over `returnDigest`, by each key that it has: it cannot know which of them the cluster knows it by. Base64. */
  readonly proofs: readonly string[];
  readonly given?: { readonly certificatePem: string; readonly consents: readonly string[] } | undefined;
}
export interface JoinAnswer {
  readonly certificatePem: string;
  readonly authorityPem: string;
  readonly clusterUuid: string;
  readonly clusterName: string;
  readonly raftId: number;
  /** What a member is created with, by the caller's own rules (`node.json`). */
  readonly facts: unknown;
  /** The members as they are now. */
  readonly peers: readonly FirstPeer[];
}

/** As in `raft/sanity.ts`. */
const termMax = 2 ** 52;
/** Of a clock, milliseconds: a year has 3e10. */
const clockMax = 2 ** 50;
/** Longer than any lease is. */
const leaseMax = 60_000;
/** A node keeps fewer. */
export const caKeysShownMax = 16;
/** Names of earlier starts that a node shows; `identity.ts` keeps 4096. */
const earlierMax = 10_000;
const membersMax = 1000;
/** Keys that a folder holds: the one in use, and what tries that were broken off have left. */
export const returnKeysMax = 8;
const requestChars = 20_000;

function milliseconds(max: number): Check {
  return (value, at) =>
    typeof value === "number" && Number.isFinite(value) && value >= 0 && value <= max
      ? undefined
      : { text: `${at} must be a number of milliseconds from 0 to ${max}` };
}
const clock = milliseconds(clockMax);
const term = whole(0, termMax);

const firstPeer = atLeast({
  uuid,
  address,
  certFingerprint: hash,
  raftId: id,
} satisfies ChecksOf<FirstPeer>);

interface Messages {
  readonly "request to the CA": AuthorityRequest;
  readonly "answer of the CA": AuthorityAnswer;
  readonly status: Status;
  readonly greeting: Hello;
  readonly barrier: BarrierRequest;
  readonly "join request": JoinRequest;
  readonly "answer to a join request": JoinAnswer;
}

const requestPem = text(requestChars);
const by = who;
/** A share of a key: no check that says what it has found. */
const share = text(4096);
type Asked<Kind extends AuthorityRequest["kind"]> = ChecksOf<
  Omit<Extract<AuthorityRequest, { kind: Kind }>, "kind">
>;

const checks: { readonly [Name in keyof Messages]: Check } = {
  "request to the CA": tagged("kind", {
    renew: atLeast({ requestPem, node: uuid } satisfies Asked<"renew">),
    server: atLeast({ requestPem, node: uuid } satisfies Asked<"server">),
    admit: atLeast({ requestPem, node: uuid, name: nodeName } satisfies Asked<"admit">),
    issue: atLeast({
      requestPem,
      to: oneOf("node", "user", "service"),
      name: text(300),
      by,
    } satisfies Asked<"issue">),
    revoke: atLeast({
      serial: optional(serial),
      node: optional(uuid),
      reason: text(100),
      by,
    } satisfies Asked<"revoke">),
    createCa: atLeast({ node: optional(uuid), by } satisfies Asked<"createCa">),
    emergency: atLeast({
      authority: hash,
      certificatePem: pem,
      immediate: flag,
      by,
    } satisfies Asked<"emergency">),
    rotate: atLeast({ windowMs, by } satisfies Asked<"rotate">),
    beginOverlap: atLeast({ certificatePem: pem, windowMs, by } satisfies Asked<"beginOverlap">),
    publishBundle: atLeast({
      from: bundleSource,
      version: optional(count),
      by,
      creator: uuid,
    } satisfies Asked<"publishBundle">),
    splitKey: atLeast({ needed: whole(2, 255), total: whole(2, 255), by } satisfies Asked<"splitKey">),
    recoverKey: atLeast({ node: uuid, shares: list(share, 255), by } satisfies Asked<"recoverKey">),
  }),
  "answer of the CA": atLeast({
    certificatePem: optional(pem),
    authorityPem: optional(pem),
    certFingerprint: optional(hash),
    publicKey: optional(text(2000)),
    certificate: optional(certificateFacts),
    revoked: optional(list(serial, 10_000)),
    id: optional(uuid),
    version: optional(count),
    shares: optional(list(share, 255)),
  } satisfies ChecksOf<AuthorityAnswer>),
  status: atLeast({
    boot: id,
    epoch: count,
    applied: count,
    version,
    sentAt: clock,
    control: optional(address),
    caKeys: optional(list(hash, caKeysShownMax)),
    faults: optional(count),
    met: optional(list(tuple(uuid, address, address), membersMax)),
    members: optional(list(firstPeer, membersMax)),
    heard: clock,
    term,
    lease: milliseconds(leaseMax),
  } satisfies ChecksOf<Status>),
  greeting: atLeast({
    boot: atLeast({
      count: id,
      nonce: text(100),
      earlier: optional(list(text(100), earlierMax)),
    } satisfies ChecksOf<BootShown>),
    version,
    lastIndex: count,
    term,
  } satisfies ChecksOf<Hello>),
  barrier: atLeast({ index: count } satisfies ChecksOf<BarrierRequest>),
  "join request": atLeast({
    token: uuid,
    secret: text(100, /^\S+$/, "a secret"),
    uuid,
    name: nodeName,
    requestPem,
    addresses,
    hostLabel: text(300),
    version,
    again: optional(
      atLeast({
        proofs: list(signature, returnKeysMax),
        given: optional(atLeast({ certificatePem: pem, consents: list(signature, returnKeysMax) })),
      } satisfies ChecksOf<Return>),
    ),
  } satisfies ChecksOf<JoinRequest>),
  "answer to a join request": atLeast({
    certificatePem: pem,
    authorityPem: pem,
    clusterUuid: uuid,
    clusterName: text(300),
    raftId: whole(1, 0xffff_ffff),
    facts: anything,
    peers: list(firstPeer, membersMax),
  } satisfies ChecksOf<JoinAnswer>),
};

/** @throws DbError protocolViolation (08P01): it is none of that name */
export function readMessage<Name extends keyof Messages>(name: Name, bytes: Uint8Array): Messages[Name] {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString());
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw malformed(name, "it is no JSON");
  }
  const problem = checks[name](value, "it");
  if (problem !== undefined) throw malformed(name, problem.text);
  return value as Messages[Name];
}

function malformed(name: string, why: string): DbError {
  return new DbError("protocolViolation", `a ${name} makes no sense: ${why}`);
}
