/**
 * The words between the control plane and those who use it: what it is asked to change, what is written into the
 * consensus log, what it shows. Only types, but for the small tables that name them.
 *
 * Everything that changes the cluster is an entry of the log and is applied on every node alike. A change of members,
 * settings or policies is carried by a configuration epoch (rule C1); what only notes a fact (a catalog change, an
 * attestation, a start of a node) is an entry without one.
 */
import type { DbError } from "../base/errors.js";
import type {
  Authority,
  CertificateFacts,
  CertificateSighting,
  FormerAuthority,
  IssuedCertificate,
  PastRotation,
  RevocationList,
  Rotation,
  RotationProgress,
} from "./certificates.js";
import type { AuthorityAnswer, AuthorityRequest } from "./control-messages.js";
import type { Attestation, Epoch, EpochState, Hash, PartType } from "./epochs.js";
import type { Member, MemberState } from "./membership.js";
import type {
  AuditRule,
  BundleDraft,
  BundleRules,
  BundleStamp,
  ColumnRule,
  MaskingFunction,
  PastBundle,
  RowRule,
  RuleSet,
  SignedBundle,
} from "./security-bundle.js";

export type {
  Authority,
  CertificateFacts,
  CertificateSighting,
  FormerAuthority,
  IssuedCertificate,
  PastRotation,
  Pki,
  RevocationList,
  Rotation,
  RotationProgress,
} from "./certificates.js";
export type { AuthorityAnswer, AuthorityRequest } from "./control-messages.js";
export type { Attestation, Epoch, EpochState, Hash, PartType } from "./epochs.js";
export type { Member, MemberState, Role } from "./membership.js";
export type {
  AuditRule,
  BundleDraft,
  BundleRules,
  BundleStamp,
  ColumnRule,
  MaskingFunction,
  PastBundle,
  RowRule,
  RuleSet,
  SecurityBundle,
  SignedBundle,
} from "./security-bundle.js";

/** What a newcomer says of itself; the rest of its record the entry makes. */
export interface NewMember {
  readonly uuid: string;
  readonly name: string;
  /** SHA-256 of the DER certificate, hexadecimal. */
  readonly certFingerprint: string;
  /** Raw Ed25519 key, base64. */
  readonly publicKey: string;
  readonly certificate?: CertificateFacts | undefined;
  readonly addresses: Member["addresses"];
  readonly hostLabel: string;
  /** Bits, `roleBits`. */
  readonly roles: number;
  readonly version: number;
}

/** A member as a newcomer is told of it: whom to call before its own log can say so, and by which certificate to know it. */
export interface FirstPeer {
  readonly uuid: string;
  /** Control address, host:port. */
  readonly address: string;
  readonly certFingerprint: string;
  readonly raftId: number;
}

/** What an epoch changes. */
export type ClusterChange =
  /** A cluster setting (`settings.ts`), as text that its type accepts. */
  | { readonly kind: "set"; readonly key: string; readonly value: string }
  | { readonly kind: "reset"; readonly key: string }
  /** JOINING; ENABLED by the leader once it has the log and has attested. */
  | {
      readonly kind: "addMember";
      readonly member: NewMember;
      /** Used up by it. */
      readonly token?: string | undefined;
    }
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
  /** A part of the epoch that administrators own: a security bundle, signed (`encodeBundle`), and where its rules are from. */
  | {
      readonly kind: "policy";
      readonly part: PartType;
      readonly content: string;
      readonly from: BundleSource;
    }
  /** A member has a new key and a certificate for it, of the CA that issues now (CA-17). */
  | {
      readonly kind: "recertify";
      readonly node: string;
      readonly certificatePem: string;
      /** By the key that the node is known by: nobody else can put a certificate in its place. Over `consentDigest`. */
      readonly consent: string;
      /** Of a node that was left behind, and is let in by nobody without: it is used up. */
      readonly token?: string | undefined;
    }
  /** A newer list of what a CA has revoked, signed by it: `serials` are new on it. */
  | {
      readonly kind: "revoke";
      readonly authority: Hash;
      readonly serials: readonly string[];
      readonly crlPem: string;
    }
  /** A second CA is trusted, and issues from here on (CA-27). `automatic`: the leader goes on by itself. */
  | {
      readonly kind: "beginOverlap";
      readonly id: string;
      readonly certificatePem: string;
      readonly crlPem: string;
      readonly windowMs: number;
      readonly automatic: boolean;
    }
  /** The older CA goes (CA-34). `leaving`: those who have no certificate of the new one become DISABLED; undefined: nobody may. */
  | { readonly kind: "cutOver"; readonly id: string; readonly leaving: readonly string[] | undefined }
  /** The newer CA goes again: while nobody has a certificate of it (CA-35). */
  | { readonly kind: "cancelOverlap"; readonly id: string }
  /** The older CA is believed until later (CA-35). */
  | { readonly kind: "extendOverlap"; readonly id: string; readonly until: number }
  /**
   * A CA is believed no more, at once (CA-37, CA-38). `leaving` as of a cut-over: nobody is believed by a pin either, and these are
   * left behind now; undefined: the pins hold for the window. `crlPem`: of a CA that is not trusted yet.
   */
  | {
      readonly kind: "emergency";
      readonly id: string;
      readonly authority: Hash;
      readonly certificatePem: string;
      readonly crlPem: string | undefined;
      readonly windowMs: number;
      readonly leaving: readonly string[] | undefined;
    }
  /** The nodes that have not converged become DISABLED, and the epoch effective (CCE-34). */
  | { readonly kind: "forceCutover"; readonly epoch: number; readonly disabling: readonly string[] };

/** What is published: the open draft of that id, or the rules of an older version once more. */
export type BundleSource =
  | { readonly kind: "draft"; readonly draft: string }
  | { readonly kind: "version"; readonly version: number };

/** Which proposal of whom: one that is handed to two leaders in turn is applied once. */
export interface Origin {
  /** Twice the node's Raft id; and one more for what its control worker proposes by itself. */
  readonly stream: number;
  /** Count of the node's start. */
  readonly boot: number;
  /** From 1, rising in each start. */
  readonly number: number;
}

/** An event of the proposer's audit chain that was durable before the proposal was handed in (AUD-8). */
export interface AuditHead {
  readonly sequence: number;
  /** SHA-256, hexadecimal. */
  readonly hash: Hash;
}

/** A stretch of one node's audit chain (AUD-14); no two have a gap between them. */
export interface AuditCheckpoint {
  readonly node: string;
  readonly first: number;
  readonly last: number;
  readonly count: number;
  readonly firstHash: Hash;
  readonly lastHash: Hash;
  /** Over the hashes of its events. */
  readonly merkleRoot: Hash;
  /** Milliseconds since 1970, by the node's clock. */
  readonly at: number;
  /** The node's certificate then. */
  readonly certFingerprint: Hash;
  /** By its key, over `checkpointDigest`; base64. */
  readonly signature: string;
}

/** One epoch as the log carries it. */
export interface EpochEntry {
  readonly origin: Origin;
  readonly change: ClusterChange;
  /** A role's name, or "node NAME" for what the leader does by itself. */
  readonly by: string;
  /** `encodeEpoch`, base64. Its parts follow from the change, on every node alike. */
  readonly epoch: string;
  /** Of whoever has asked for it. */
  readonly audit?: AuditHead | undefined;
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
  /** The CAs that are trusted; one is primary. */
  readonly authorities: readonly Authority[];
  readonly formerAuthorities: readonly FormerAuthority[];
  /** Of an emergency: believed of members that are pinned to their certificates, and of nobody else. They are former ones too. */
  readonly pinnedAuthorities: readonly Authority[];
  /** What a CA has revoked; undefined: nothing, or it is none of ours. */
  revocations(authority: Hash): RevocationList | undefined;
  /** By issuer and serial (`certificateKey`). */
  readonly certificates: ReadonlyMap<string, IssuedCertificate>;
  readonly rotation: Rotation | undefined;
  readonly pastRotations: readonly PastRotation[];
  /** Of the rotation under way. */
  rotationProgress(): RotationProgress | undefined;
  /** The security bundle that is in force here. */
  readonly bundle: BundleStamp;
  /** All of it; undefined: the cluster was founded by a version that signed none. */
  readonly signedBundle: SignedBundle | undefined;
  readonly bundleDraft: BundleDraft | undefined;
  /** Those before, the oldest first. */
  readonly pastBundles: readonly PastBundle[];
  /** Rules of the current version, or of one that is kept whole. */
  bundleRules(version: number): BundleRules | undefined;
  /** By node: the newest bundle that it has attested, and when it put it into effect. */
  readonly bundleWords: ReadonlyMap<string, BundleWord>;
}

/** By its attestation of an epoch. */
export interface BundleWord extends BundleStamp {
  readonly node: string;
  readonly appliedAt: number;
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
  /** Most of the other nodes have an epoch that this one does not have yet: it works for itself only (CCE-32). */
  readonly epochMismatch: boolean;
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
   *
   * `trace`: W3C traceparent of the request behind it. `audit`: the event that tells of it.
   */
  change(change: ClusterChange, by: string, trace?: string, audit?: AuditHead): Promise<void>;
  /** Of whoever keeps the CA's key. @throws DbError 55000: nobody who does can be reached; and what the request deserves */
  authority(request: AuthorityRequest): Promise<AuthorityAnswer>;
  /**
   * Opens, changes or gives up the draft of a security bundle.
   * @throws DbError 55006 (another is open), 55000 (it is not open any more), 22023, 42704, 57P03, 08007
   */
  draftBundle(action: DraftAction, by: string, audit?: AuditHead): Promise<void>;
  /** The text for `scratchbird join --token`; valid once, for `ttlMs`. */
  createJoinToken(options: {
    readonly by: string;
    readonly ttlMs: number;
    readonly roles: number;
    readonly audit?: AuditHead | undefined;
  }): Promise<string>;
}

/** An error as it travels between threads and nodes, and in what is applied. */
export interface ErrorRecord {
  readonly condition: DbError["condition"];
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
}

/** Signs and checks for a node: Ed25519 (`security/`), or the simulator's stand-in. */
export interface Signer {
  readonly certFingerprint: Hash;
  /** Raw, base64. */
  readonly publicKey: string;
  /** Base64. */
  sign(digest: Uint8Array): string;
}
export type VerifySignature = (publicKey: Uint8Array, digest: Uint8Array, signature: string) => boolean;

/** The first entry of a cluster. */
export interface Genesis {
  readonly type: "genesis";
  readonly clusterUuid: string;
  readonly clusterName: string;
  readonly member: NewMember;
  readonly boot: Member["boot"];
  /** PEM of the first certificate authority, and its first list of revocations. */
  readonly authority: string;
  readonly crl?: string | undefined;
  /** The first security bundle; absent in logs of versions that signed none. */
  readonly bundle?: string | undefined;
  /** `encodeEpoch`, base64. */
  readonly epoch: string;
  readonly at: number;
}
export interface PublishEpochs {
  readonly type: "epochs";
  readonly entries: readonly EpochEntry[];
}
/** Of the converging epoch; from a node that is not enabled: that it is ready to be (MEM-21). */
export interface Attest {
  readonly type: "attest";
  readonly attestation: Attestation;
}
/** The leader has found the epoch attested by all (CCE-27). */
export interface MakeEffective {
  readonly type: "effective";
  readonly epoch: number;
  readonly at: number;
}
/** A node has started: what it is now, and which of its starts this is. */
export interface NoteBoot {
  readonly type: "boot";
  readonly node: string;
  readonly boot: Member["boot"];
  readonly version: number;
}
export interface NoteToken {
  readonly type: "token";
  readonly token: JoinToken;
  readonly at: number;
}
export interface NoteAdministrator {
  readonly type: "administrator";
  readonly uuid: string;
  readonly name: string;
  /** Raw Ed25519, base64; undefined: may not sign any more. */
  readonly publicKey: string | undefined;
}
/** A user's, a service's or a server's certificate was issued. Those of nodes are noted with the member. */
export interface NoteCertificate {
  readonly type: "certificate";
  readonly certificate: IssuedCertificate;
}
/** Whose certificates a node sees while CAs are exchanged. */
export interface NoteSighting {
  readonly type: "sighting";
  readonly sighting: CertificateSighting;
}
/** The draft of a security bundle is opened, changed or given up (SEC-14). */
export interface NoteBundleDraft {
  readonly type: "bundleDraft";
  readonly by: string;
  readonly at: number;
  readonly action: DraftAction;
}
export type DraftAction =
  | {
      readonly kind: "open";
      readonly draft: string;
      readonly version: number | undefined;
      readonly description: string;
      /** Whose rules it begins with. */
      readonly from: number;
    }
  /** A rule, in place of that of the same uuid. */
  | { readonly kind: "put"; readonly draft: string; readonly rule: DraftRule }
  | { readonly kind: "drop"; readonly draft: string; readonly set: RuleSet; readonly id: string }
  | { readonly kind: "abandon"; readonly draft: string };
/** Domain constraints have no statement. */
export type DraftRule =
  | { readonly set: "rls"; readonly rule: RowRule }
  | { readonly set: "cls"; readonly rule: ColumnRule }
  | { readonly set: "masking"; readonly rule: MaskingFunction }
  | { readonly set: "audit"; readonly rule: AuditRule };

/** By the node itself, over its own chain. */
export interface NoteAuditCheckpoint {
  readonly type: "auditCheckpoint";
  readonly checkpoint: AuditCheckpoint;
}
export type ClusterCommand =
  | Genesis
  | PublishEpochs
  | Attest
  | MakeEffective
  | NoteBoot
  | NoteToken
  | NoteAdministrator
  | NoteCertificate
  | NoteSighting
  | NoteBundleDraft
  | NoteAuditCheckpoint;
