/**
 * Configuration epochs: numbered, hash-chained, signed descriptions of the whole cluster (spec/01, CCE-1..41). Pure: what
 * an epoch is checked against is handed in.
 *
 * An epoch names its parts by SHA-256; the parts themselves lie beside it, by hash. Administrators sign before the time
 * of publication is known, so there are two digests over the same canonical bytes: the sign digest, with that time as
 * zero, and the chain hash, with the real one, which the leader signs and the next epoch names (spec/01, R2).
 *
 *     epoch 1 (genesis) <- epoch 2 <- epoch 3 ...        each carries the chain hash of the one before
 *
 * Invariants: numbers rise by one; nothing that is hashed changes once an epoch is published; a state only moves forward.
 */
import { hash as hashWith } from "node:crypto";
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { assert } from "../base/errors.js";
import { sharedByObject } from "../base/shared.js";
import { uuidBytes, uuidFromHex } from "../model/uuid.js";

/** In the order in which they are hashed; the number is the type of a part in the store (CCE-9, CCE-12). */
export const partTypes = {
  caPolicy: 1,
  securityBundle: 2,
  shardMap: 3,
  replicationPolicy: 4,
  backupPolicy: 5,
  schedulerPolicy: 6,
  capabilityMatrix: 7,
  observabilityPolicy: 8,
} as const;
export type PartType = keyof typeof partTypes;
export const partNames = Object.keys(partTypes) as PartType[];

/** SHA-256 in lower-case hexadecimal. */
export type Hash = string;
export const zeroHash: Hash = "0".repeat(64);

export const epochStates = ["DRAFTED", "PUBLISHED", "CONVERGING", "EFFECTIVE", "SUPERSEDED"] as const;
export type EpochState = (typeof epochStates)[number];

export interface AdministratorSignature {
  readonly administrator: string;
  /** Ed25519 over the sign digest, base64. */
  readonly signature: string;
}

/** What is hashed. Times are whole milliseconds since 1970. */
export interface EpochContent {
  readonly number: number;
  readonly clusterUuid: string;
  readonly previousHash: Hash;
  /** A part that is absent counts as zeros. */
  readonly parts: { readonly [Type in PartType]?: Hash | undefined };
  readonly createdAt: number;
  /** Set by the leader, in the entry. */
  readonly publishedAt: number;
  readonly administrators: readonly string[];
  readonly description: string;
  /** Packed: major * 100000 + minor * 1000 + patch. */
  readonly minNodeVersion: number;
}

export interface Epoch extends EpochContent {
  /** One for each administrator, in the same order; none when the epoch is the leader's own. */
  readonly signatures: readonly AdministratorSignature[];
  readonly leader: {
    readonly node: string;
    readonly certFingerprint: Hash;
    /** Ed25519 over the chain hash, base64. */
    readonly signature: string;
  };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

export function hashOf(content: Uint8Array | string): Hash {
  return hashWith("sha256", content, "hex");
}

const fixedBytes = 8 + 16 + 32 + partNames.length * 32 + 16 + 4;

/** CCE-9: the bytes that are hashed and signed, big-endian. `publishedAt` undefined: as administrators sign it. */
export function canonicalBytes(epoch: EpochContent, publishedAt: number | undefined): Uint8Array {
  const { administrators, description } = epoch;
  // A copy: the stored order pairs with the signatures (CCE-11).
  const ordered = Buffer.concat(administrators.map(uuidBytes).sort(Buffer.compare));
  const descriptionBytes = Buffer.byteLength(description, "utf8");
  const bytes = Buffer.alloc(fixedBytes + ordered.length + 4 + descriptionBytes + 4);
  let at = bytes.writeBigUInt64BE(BigInt(epoch.number), 0);
  at += bytes.write(epoch.clusterUuid.replaceAll("-", ""), at, "hex");
  at += bytes.write(epoch.previousHash, at, "hex");
  for (const type of partNames) at += bytes.write(epoch.parts[type] ?? zeroHash, at, "hex");
  at = bytes.writeBigInt64BE(BigInt(epoch.createdAt) * 1_000_000n, at);
  at = bytes.writeBigInt64BE(BigInt(publishedAt ?? 0) * 1_000_000n, at);
  at = bytes.writeUInt32BE(administrators.length, at);
  assert(at === fixedBytes, "every fixed field is written");
  at += ordered.copy(bytes, at);
  at = bytes.writeUInt32BE(descriptionBytes, at);
  at += bytes.write(description, at, "utf8");
  bytes.writeUInt32BE(epoch.minNodeVersion, at);
  return bytes;
}

/** What administrators sign: 32 bytes. */
export function signDigest(epoch: EpochContent): Uint8Array {
  return Buffer.from(hashOf(canonicalBytes(epoch, undefined)), "hex");
}

/** Of an epoch it is asked for again and again, and nothing that is hashed of one ever changes. */
const chained = new WeakMap<EpochContent, { readonly hash: Hash; readonly digest: Uint8Array }>();

function chainOf(epoch: EpochContent): { readonly hash: Hash; readonly digest: Uint8Array } {
  let found = chained.get(epoch);
  if (found === undefined) {
    const hash = hashOf(canonicalBytes(epoch, epoch.publishedAt));
    found = { hash, digest: Buffer.from(hash, "hex") };
    chained.set(epoch, found);
  }
  return found;
}

/** What the leader signs, and the next epoch names. */
export function chainDigest(epoch: EpochContent): Uint8Array {
  return chainOf(epoch).digest;
}
export function chainHash(epoch: EpochContent): Hash {
  return chainOf(epoch).hash;
}

// --- on the wire and in the store -----------------------------------------------------------------------------------

const signatureBytes = 64;
/** Canonical times are nanoseconds in 63 bits. */
export const latestMs = 9_223_372_036_854;

/** Every byte says something: an epoch in which one was changed is malformed, or refused by a check. */
export function encodeEpoch(epoch: Epoch): Uint8Array {
  const writer = new ByteWriter(1024);
  const uuid = (text: string): unknown => writer.raw(uuidBytes(text));
  const signature = (text: string): unknown => writer.raw(Buffer.from(text, "base64"));
  writer.u64(epoch.number);
  uuid(epoch.clusterUuid);
  // In one piece: a snapshot encodes every epoch there ever was.
  let hashes = epoch.previousHash;
  for (const type of partNames) hashes += epoch.parts[type] ?? zeroHash;
  writer.raw(Buffer.from(hashes, "hex"));
  writer.u64(epoch.createdAt).u64(epoch.publishedAt);
  writer.list(epoch.administrators, uuid);
  writer.bytes(Buffer.from(epoch.description, "utf8")).u32(epoch.minNodeVersion);
  writer.list(epoch.signatures, (one) => {
    uuid(one.administrator);
    signature(one.signature);
  });
  uuid(epoch.leader.node);
  writer.raw(Buffer.from(epoch.leader.certFingerprint, "hex"));
  signature(epoch.leader.signature);
  return writer.take();
}

/** `encodeEpoch`, base64. */
export const epochText = sharedByObject((epoch: Epoch) => Buffer.from(encodeEpoch(epoch)).toString("base64"));

/** @throws MalformedBytes */
export function decodeEpoch(bytes: Uint8Array): Epoch {
  const reader = new ByteReader(bytes);
  const uuid = (): string => uuidFromHex(hex(reader.raw(16)));
  const hash = (): Hash => hex(reader.raw(32));
  const signature = (): string => Buffer.from(reader.raw(signatureBytes)).toString("base64");
  const number = reader.u64();
  const clusterUuid = uuid();
  const previousHash = hash();
  const parts: { [Type in PartType]?: Hash } = {};
  for (const type of partNames) {
    const part = hash();
    if (part !== zeroHash) parts[type] = part;
  }
  const time = (): number => {
    const ms = reader.u64();
    if (ms > latestMs) throw new MalformedBytes(`${ms} ms are beyond the year 2262`);
    return ms;
  };
  const createdAt = time();
  const publishedAt = time();
  const administrators = reader.list(16, uuid);
  const description = utf8(reader.bytes());
  const minNodeVersion = reader.u32();
  const signatures = reader.list(16 + signatureBytes, () => ({
    administrator: uuid(),
    signature: signature(),
  }));
  const leader = { node: uuid(), certFingerprint: hash(), signature: signature() };
  reader.end();
  return {
    number,
    clusterUuid,
    previousHash,
    parts,
    createdAt,
    publishedAt,
    administrators,
    description,
    minNodeVersion,
    signatures,
    leader,
  };
}

function utf8(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString("utf8");
  if (!Buffer.from(text, "utf8").equals(bytes)) throw new MalformedBytes("text is not UTF-8");
  return text;
}

// --- checks ------------------------------------------------------------------------------------------------------

export type EpochCondition =
  | "EPOCH_NUMBER_GAP"
  | "INVALID_HASH_CHAIN"
  | "SIGNATURE_INVALID"
  | "BUNDLE_UNAVAILABLE"
  | "INCOMPATIBLE_VERSION"
  | "EPOCH_TOO_LARGE"
  | "CLUSTER_UUID_MISMATCH";

export interface EpochRefusal {
  readonly condition: EpochCondition;
  readonly message: string;
}

/** CCE-15. */
export interface SigningPolicy {
  readonly minSignatures: number;
  readonly authorizedSigners: readonly string[];
  /** A majority of the authorized signers. */
  readonly requireQuorum: boolean;
}

/** What an epoch is held against. */
export interface EpochContext {
  readonly clusterUuid: string;
  /** The latest one published; undefined before genesis. */
  readonly latest: Epoch | undefined;
  /** Size of a part that is in the store or comes with the entry; undefined: it is in neither. */
  partBytes(type: PartType, hash: Hash): number | undefined;
  readonly bytesMax: number;
  /** The oldest version of an enabled node. */
  readonly oldestVersion: number;
  readonly policy: SigningPolicy;
  /** Ed25519 key that the administrator had when the epoch was made; undefined: nobody of that name. */
  administratorKey(uuid: string): Uint8Array | undefined;
  /** Ed25519 key that the node had under that certificate, past ones too (CCE-R4). */
  nodeKey(uuid: string, certFingerprint: Hash): Uint8Array | undefined;
  verify(key: Uint8Array, digest: Uint8Array, signature: string): boolean;
}

/**
 * Whether an epoch may follow the latest: run by the leader before it proposes, and by every node when it applies, with
 * the same outcome (CCE-21, CCE-22).
 */
export function refusalOf(epoch: Epoch, context: EpochContext): EpochRefusal | undefined {
  const { latest } = context;
  const refuse = (condition: EpochCondition, message: string): EpochRefusal => ({ condition, message });
  const next = (latest?.number ?? 0) + 1;
  if (epoch.number !== next)
    return refuse("EPOCH_NUMBER_GAP", `epoch ${epoch.number} cannot follow ${next - 1}`);
  if (epoch.clusterUuid !== context.clusterUuid)
    return refuse("CLUSTER_UUID_MISMATCH", `epoch ${epoch.number} is of cluster ${epoch.clusterUuid}`);
  const previous = latest === undefined ? zeroHash : chainHash(latest);
  if (epoch.previousHash !== previous)
    return refuse(
      "INVALID_HASH_CHAIN",
      `epoch ${epoch.number} follows ${epoch.previousHash}, not ${previous}`,
    );
  let bytes = 0;
  for (const type of partNames) {
    const hash = epoch.parts[type];
    if (hash === undefined) continue;
    const size = context.partBytes(type, hash);
    if (size === undefined)
      return refuse("BUNDLE_UNAVAILABLE", `epoch ${epoch.number} names a ${type} that is nowhere: ${hash}`);
    bytes += size;
  }
  if (bytes > context.bytesMax)
    return refuse(
      "EPOCH_TOO_LARGE",
      `epoch ${epoch.number} is of ${bytes} bytes; the limit is ${context.bytesMax}`,
    );
  if (context.oldestVersion < epoch.minNodeVersion)
    return refuse(
      "INCOMPATIBLE_VERSION",
      `epoch ${epoch.number} needs version ${versionText(epoch.minNodeVersion)}, and a node has ${versionText(context.oldestVersion)}`,
    );
  return signatureRefusal(epoch, context);
}

const nobodys = new Uint8Array(0);

function signatureRefusal(epoch: Epoch, context: EpochContext): EpochRefusal | undefined {
  const refuse = (message: string): EpochRefusal => ({ condition: "SIGNATURE_INVALID", message });
  const { policy } = context;
  const needed = policyChanges(epoch, context.latest);
  if (epoch.administrators.length !== epoch.signatures.length)
    return refuse(`${epoch.signatures.length} signatures of ${epoch.administrators.length} administrators`);
  if (needed || epoch.signatures.length > 0) {
    const digest = epoch.signatures.length > 0 ? signDigest(epoch) : nobodys;
    const signers = new Set<string>();
    for (let at = 0; at < epoch.signatures.length; at++) {
      const { administrator, signature } = epoch.signatures[at]!;
      if (administrator !== epoch.administrators[at])
        return refuse(`signature ${at + 1} is not of administrator ${epoch.administrators[at]}`);
      if (!policy.authorizedSigners.includes(administrator))
        return refuse(`administrator ${administrator} may not sign epochs`);
      const key = context.administratorKey(administrator);
      // One bad signature is enough, however many good ones there are (CCE-14).
      if (key === undefined || !context.verify(key, digest, signature))
        return refuse(`the signature of administrator ${administrator} does not verify`);
      signers.add(administrator);
    }
    const majority = policy.requireQuorum ? Math.floor(policy.authorizedSigners.length / 2) + 1 : 0;
    const least = Math.max(policy.minSignatures, majority);
    if (needed && signers.size < least)
      return refuse(`${signers.size} of ${least} administrators have signed`);
  }
  const { node, certFingerprint, signature } = epoch.leader;
  const key = context.nodeKey(node, certFingerprint);
  if (key === undefined || !context.verify(key, chainDigest(epoch), signature))
    return refuse(`the signature of leader ${node} does not verify`);
  return undefined;
}

/** Whether administrators have to sign: trust and access change (spec/01, R1). What is placed or set is the leader's. */
export function policyChanges(epoch: EpochContent, before: EpochContent | undefined): boolean {
  if (before === undefined) return false; // genesis: there is nobody yet who could sign
  return (["caPolicy", "securityBundle"] as const).some((type) => epoch.parts[type] !== before.parts[type]);
}

/**
 * Whether nodes have to attest before the epoch is in effect (rule C1): trust, access, or which key lies on which shard.
 * `keysMove` says the last: a shard map that only places the same shards elsewhere is safe by lease and generation.
 */
export function needsAttestation(
  epoch: EpochContent,
  before: EpochContent | undefined,
  keysMove: boolean,
): boolean {
  return policyChanges(epoch, before) || keysMove;
}

export function versionText(packed: number): string {
  return `${Math.floor(packed / 100_000)}.${Math.floor(packed / 1000) % 100}.${packed % 1000}`;
}
export function packVersion(text: string): number {
  const [major = 0, minor = 0, patch = 0] = text.split(/[.+-]/).map((part) => Number.parseInt(part, 10) || 0);
  assert(minor < 100 && patch < 1000, `version ${text} does not fit`);
  return major * 100_000 + minor * 1000 + patch;
}

// --- life --------------------------------------------------------------------------------------------------------

const moves: Readonly<Record<EpochState, readonly EpochState[]>> = {
  DRAFTED: ["PUBLISHED"],
  PUBLISHED: ["CONVERGING", "EFFECTIVE", "SUPERSEDED"],
  CONVERGING: ["EFFECTIVE", "SUPERSEDED"],
  EFFECTIVE: ["SUPERSEDED"],
  SUPERSEDED: [],
};

/** CCE-19; PUBLISHED to EFFECTIVE at once for what needs no attestation (C1). */
export function mayMove(from: EpochState, to: EpochState): boolean {
  return moves[from].includes(to);
}

export interface Observation {
  readonly peer: string;
  readonly certFingerprint: Hash;
  readonly epoch: number;
  readonly observedAt: number;
  readonly valid: boolean;
}

/** One node's word that it has activated an epoch and sees the others do so (CCE-25). */
export interface Attestation {
  readonly node: string;
  readonly epoch: number;
  readonly activatedAt: number;
  readonly observations: readonly Observation[];
  /** Ed25519 over `attestationDigest`, base64. */
  readonly signature: string;
}

export const attestationDigest = sharedByObject((attestation: Omit<Attestation, "signature">): Uint8Array => {
  const { node, epoch, activatedAt, observations } = attestation;
  const ordered = [...observations].sort((a, b) => (a.peer < b.peer ? -1 : 1));
  const parts = ordered.map((one) => [one.peer, one.certFingerprint, one.epoch, one.observedAt, one.valid]);
  return Buffer.from(hashOf(JSON.stringify(["attestation", node, epoch, activatedAt, parts])), "hex");
});

export interface Convergence {
  readonly effective: boolean;
  /** Enabled nodes whose word is missing, and why, by node. */
  readonly missing: ReadonlyMap<string, string>;
}

/** CCE-26, CCE-27: every enabled node has attested, and has seen every other at this epoch. */
export function convergence(
  epoch: number,
  enabled: readonly string[],
  attestations: ReadonlyMap<string, Attestation>,
): Convergence {
  const missing = new Map<string, string>();
  for (const node of enabled) {
    const word = attestations.get(node);
    if (word === undefined || word.epoch !== epoch) {
      missing.set(node, "has not activated it");
      continue;
    }
    const seen = new Map(word.observations.map((one) => [one.peer, one]));
    for (const peer of enabled) {
      if (peer === node) continue;
      const one = seen.get(peer);
      if (one === undefined || !one.valid || one.epoch !== epoch) {
        missing.set(node, `has not seen ${peer} at it`);
        break;
      }
    }
  }
  return { effective: missing.size === 0, missing };
}

/** Walks a history from genesis; the number of the first epoch that does not follow from the one before, if any. */
export function brokenLink(history: readonly Epoch[]): number | undefined {
  let previous = zeroHash;
  for (const [at, epoch] of history.entries()) {
    if (epoch.number !== at + 1 || epoch.previousHash !== previous) return at + 1;
    previous = chainHash(epoch);
  }
  return undefined;
}
