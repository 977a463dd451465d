/**
 * The words between the control plane and those who use it: what it is asked to change, what is written into the
 * consensus log, what it shows. Only types, but for the small tables that name them.
 *
 * Everything that changes the cluster is an entry of the log and is applied on every node alike. A change of members,
 * settings or policies is carried by a configuration epoch (rule C1); what only notes a fact (a catalog change, an
 * attestation, a start of a node) is an entry without one.
 */
import type { DbError } from "../base/errors.js";
import type { Attestation, Epoch, EpochState, Hash, PartType } from "./epochs.js";
import type { Member, MemberState } from "./membership.js";

export type { Attestation, Epoch, EpochState, Hash, PartType } from "./epochs.js";
export type { Member, MemberState, Role } from "./membership.js";

/** What a newcomer says of itself; the rest of its record the entry makes. */
export interface NewMember {
  readonly uuid: string;
  readonly name: string;
  /** SHA-256 of the DER certificate, hexadecimal. */
  readonly certFingerprint: string;
  /** Raw Ed25519 key, base64. */
  readonly publicKey: string;
  readonly addresses: Member["addresses"];
  readonly hostLabel: string;
  /** Bits, `roleBits`. */
  readonly roles: number;
  readonly version: number;
}

/** What an epoch changes. */
export type ClusterChange =
  /** A cluster setting (`settings.ts`), as text that its type accepts. */
  | { readonly kind: "set"; readonly key: string; readonly value: string }
  | { readonly kind: "reset"; readonly key: string }
  /** JOINING; ENABLED by the leader once it has the log and has attested. */
  | { readonly kind: "addMember"; readonly member: NewMember }
  | {
      readonly kind: "moveMember";
      readonly node: string;
      readonly to: "ENABLED" | "DISABLED" | "FAILED";
      readonly reason: string;
    }
  /** From any state. `allowDataLoss`: also when it holds the only copy of a shard. */
  | {
      readonly kind: "removeMember";
      readonly node: string;
      readonly reason: string;
      readonly force: boolean;
      readonly allowDataLoss: boolean;
    }
  | { readonly kind: "setRoles"; readonly node: string; readonly roles: number }
  | { readonly kind: "setAddresses"; readonly node: string; readonly addresses: Member["addresses"] }
  /** A part of the epoch that administrators own; base64. */
  | { readonly kind: "policy"; readonly part: PartType; readonly content: string }
  /** The nodes that have not converged become DISABLED, and the epoch effective (CCE-34). */
  | { readonly kind: "forceCutover"; readonly epoch: number; readonly disabling: readonly string[] };

/** Who asked for what, and in which of a node's proposals: a change that is proposed twice is applied once. */
export interface Origin {
  /** Raft id of the node that proposes, and the count of its start. */
  readonly node: number;
  readonly boot: number;
  /** From 1, rising in each start. */
  readonly number: number;
}

/** One epoch as the log carries it. */
export interface EpochEntry {
  readonly origin: Origin;
  readonly change: ClusterChange;
  /** A role's name, or "node NAME" for what the leader does by itself. */
  readonly by: string;
  /** `encodeEpoch`, base64. */
  readonly epoch: string;
  /** Content of parts that are not in the store yet, by hash, base64. */
  readonly parts: Readonly<Record<Hash, string>>;
}

/** A published epoch and what has become of it. */
export interface EpochRecord {
  readonly epoch: Epoch;
  readonly hash: Hash;
  readonly state: EpochState;
  /** Milliseconds since 1970; undefined: not yet. */
  readonly effectiveAt: number | undefined;
  readonly by: string;
}

/** An epoch that was proposed and refused when it was applied. */
export interface EpochRefused {
  readonly number: number;
  readonly hash: Hash;
  readonly condition: string;
  readonly message: string;
  readonly at: number;
}

export interface JoinToken {
  readonly id: string;
  /** SHA-256 of the secret, hexadecimal. */
  readonly secretHash: Hash;
  readonly expiresAt: number;
  readonly by: string;
  readonly roles: number;
}

/** The applied state, read by everybody (`ClusterState`). Maps are not to be changed. */
export interface ClusterView {
  readonly clusterUuid: string;
  readonly clusterName: string;
  readonly members: ReadonlyMap<string, Member>;
  memberByName(nameOrUuid: string): Member | undefined;
  /** By number, from 1; genesis is the first. */
  readonly epochs: readonly EpochRecord[];
  readonly refusedEpochs: readonly EpochRefused[];
  /** Of the newest epoch. */
  readonly attestations: ReadonlyMap<string, Attestation>;
  /** Cluster settings that differ from their default. */
  readonly settings: ReadonlyMap<string, string>;
  /** Value of a cluster setting, its default where nobody has set it. */
  setting(key: string): string;
  /** UUID of the node that holds all shards, until there is a shard map. */
  readonly home: string;
  /** Hex SHA-256 of the CA certificate and its PEM. */
  readonly authorities: readonly { readonly fingerprint: Hash; readonly certificatePem: string }[];
}

export type RaftRole = "leader" | "follower" | "candidate" | "preCandidate" | "learner";

/** What this node knows of another without asking the log. */
export interface PeerStatus {
  readonly node: string;
  readonly connected: boolean;
  /** Wall clock, milliseconds; undefined: never in this start. */
  readonly lastSeenAt: number | undefined;
  /** What it reported last. */
  readonly epoch: number;
  readonly appliedIndex: number;
  readonly version: number;
  readonly roundTripMs: number | undefined;
}

/** How this node stands in the control plane now. */
export interface ControlStatus {
  readonly node: string;
  readonly role: RaftRole;
  /** UUID; undefined: nobody is known to lead. */
  readonly leader: string | undefined;
  readonly term: number;
  readonly lastIndex: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  /** Whether the leader is known and was heard within a lease (the leader: whether a quorum was). */
  readonly hasQuorum: boolean;
  /** Since start: terms in which this node has seen a new leader. */
  readonly leaderChanges: number;
  readonly proposalsCommitted: number;
  readonly proposalsFailed: number;
  readonly snapshotIndex: number;
  readonly bytesSinceSnapshot: number;
  /** Clients may be served: not removed, not disabled. */
  readonly state: MemberState;
  readonly peers: readonly PeerStatus[];
}

/** Administration, as the statements of a session ask for it. Resolves once applied on this node and seen by the others (C5). */
export interface ClusterAdmin {
  readonly view: ClusterView;
  readonly status: ControlStatus;
  /**
   * @throws DbError 42704 (no such node or setting), 42710 (node exists), 55000 (wrong state, quorum), 22023 (bad value),
   *   57P03 (no leader, no quorum), 08007 (not known whether it was done)
   */
  change(change: ClusterChange, by: string): Promise<void>;
  /** The text for `scratchbird join --token`; valid once, for `ttlMs`. */
  createJoinToken(options: {
    readonly by: string;
    readonly ttlMs: number;
    readonly roles: number;
  }): Promise<string>;
}

/** An error as it travels between threads and nodes. */
export interface ErrorRecord {
  readonly condition: DbError["condition"];
  readonly message: string;
  readonly fields: DbError["fields"];
}
