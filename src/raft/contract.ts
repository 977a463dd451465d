/**
 * The vocabulary of consensus: members, entries, messages, and what one step asks for. The words are those of the Raft
 * papers (Ongaro 2014); deviations are named where they are made.
 *
 * Invariants: everything here is data, never changed once made; indexes count from 1, terms from 1, member ids from 1
 * (0: none).
 */

/** A small number given to a node when it joins, never given again. */
export type MemberId = number;

/**
 * Who decides. While `outgoing` is not empty the set is joint: a decision needs a majority of `voters` and one of
 * `outgoing` (the voters before). Ids are sorted.
 */
export interface MemberSet {
  readonly voters: readonly MemberId[];
  readonly outgoing: readonly MemberId[];
  /** Get the log, decide nothing. */
  readonly learners: readonly MemberId[];
  /** Voters of `outgoing` that become learners when the joint set is left. */
  readonly demoted: readonly MemberId[];
}

/** What a change of members wants to reach. */
export interface MemberTarget {
  readonly voters: readonly MemberId[];
  readonly learners: readonly MemberId[];
}

export type Entry =
  /** A new leader's first: what earlier terms left is committed with it. */
  | { readonly kind: "empty"; readonly index: number; readonly term: number }
  | { readonly kind: "command"; readonly index: number; readonly term: number; readonly data: Uint8Array }
  /** In force from the moment it is in a log, committed or not. */
  | { readonly kind: "members"; readonly index: number; readonly term: number; readonly members: MemberSet };

/** The state machine's state as of an entry, and the members as of it. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly members: MemberSet;
  readonly data: Uint8Array;
}

/** What must never be forgotten, besides the log. */
export interface HardState {
  readonly term: number;
  /** Whom this node gave its vote of `term`; 0: nobody. */
  readonly vote: MemberId;
}

interface Head {
  readonly from: MemberId;
  readonly to: MemberId;
  /** The sender's; of a pre-vote and a granted answer to it, the term that would be campaigned in. */
  readonly term: number;
}

export interface VoteRequest extends Head {
  readonly kind: "vote" | "preVote";
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** Asked for by the leader itself, which hands over: a voter that hears from a leader answers all the same. */
  readonly transfer: boolean;
}
export interface VoteAnswer extends Head {
  readonly kind: "voteAnswer" | "preVoteAnswer";
  readonly granted: boolean;
}
export interface AppendRequest extends Head {
  readonly kind: "append";
  readonly previousIndex: number;
  readonly previousTerm: number;
  readonly entries: readonly Entry[];
  readonly commit: number;
}
export interface AppendAnswer extends Head {
  readonly kind: "appendAnswer";
  /** Accepted: the last entry that agrees with the leader's. Refused: the `previousIndex` that did not agree. */
  readonly index: number;
  readonly accepted: boolean;
  /** Of a refusal: the last place where agreement is possible, and the term there. */
  readonly hintIndex: number;
  readonly hintTerm: number;
}
export interface Heartbeat extends Head {
  readonly kind: "heartbeat";
  readonly commit: number;
  /** Number of the round of reads that an answer to this confirms. */
  readonly round: number;
}
export interface HeartbeatAnswer extends Head {
  readonly kind: "heartbeatAnswer";
  readonly round: number;
}
export interface SnapshotChunk extends Head {
  readonly kind: "snapshot";
  readonly index: number;
  readonly snapshotTerm: number;
  readonly members: MemberSet;
  readonly offset: number;
  readonly total: number;
  readonly data: Uint8Array;
}
export interface SnapshotAnswer extends Head {
  readonly kind: "snapshotAnswer";
  readonly index: number;
  /** Of the chunk that is answered. */
  readonly offset: number;
  /** Bytes held from the start: where the next chunk begins. */
  readonly received: number;
}
/** The leader tells a follower that has everything to campaign at once. */
export interface TimeoutNow extends Head {
  readonly kind: "timeoutNow";
}
export interface ReadRequest extends Head {
  readonly kind: "read";
  readonly context: number;
}
export interface ReadAnswer extends Head {
  readonly kind: "readAnswer";
  readonly context: number;
  /** 0: not leader any more, ask again. */
  readonly index: number;
}

export type Message =
  | VoteRequest
  | VoteAnswer
  | AppendRequest
  | AppendAnswer
  | Heartbeat
  | HeartbeatAnswer
  | SnapshotChunk
  | SnapshotAnswer
  | TimeoutNow
  | ReadRequest
  | ReadAnswer;

/** What happens on the node itself. */
export type LocalEvent =
  | { readonly kind: "tick" }
  /** The election timeout has passed, however many ticks that takes: what `tick` calls, and scripts directly. */
  | { readonly kind: "electionTimeout" }
  | { readonly kind: "heartbeatTimeout" }
  /** A leader that has not heard from a quorum since the last time stands down. */
  | { readonly kind: "quorumTimeout" }
  | { readonly kind: "propose"; readonly commands: readonly Uint8Array[] }
  | { readonly kind: "changeMembers"; readonly target: MemberTarget }
  /** `context` is a number that no other read of this node has or had, before a restart either. */
  | { readonly kind: "askRead"; readonly context: number }
  /** Reads asked of this leader lately may begin, all with one round of heartbeats (`RaftNode.wantsReadRound`). */
  | { readonly kind: "readRound" }
  /** The leader has not answered this node's reads for an election timeout: they are asked again. */
  | { readonly kind: "readTimeout" }
  | { readonly kind: "transfer"; readonly target: MemberId }
  /** The connection to a peer is gone and its host refuses new ones: it is dead, not slow. */
  | { readonly kind: "peerDead"; readonly peer: MemberId }
  /**
   * The state machine's state as of an applied entry. What is before it may go, but for `keep` entries; more are kept when
   * a snapshot under way to somebody will need them next. In no case more than `keepBytes` of them.
   */
  | {
      readonly kind: "compact";
      readonly index: number;
      readonly data: Uint8Array;
      readonly keep: number;
      readonly keepBytes: number;
    };

export type Input = Message | LocalEvent;

export type Refusal =
  | "notLeader"
  /** The leader is handing over. */
  | "transferring"
  /** Too many bytes are proposed and not committed. */
  | "tooMuch"
  /** Another change of members is under way, or the leader has committed nothing in its term yet. */
  | "changing"
  /** The change would leave no voter, or name one twice. */
  | "badMembers";

/** One step's whole answer. Fields are in the order in which they must happen. */
export interface Effects {
  /** 1. Durable, with `install` and `append`, before anything is sent or applied. */
  hard: HardState | undefined;
  /** A snapshot that replaces the whole log. */
  install: Snapshot | undefined;
  /** Entries from the first of these on are replaced by them. */
  append: Entry[];
  /** 2. */
  send: Message[];
  /** 3. Committed: to the state machine, in order. */
  apply: Entry[];
  /** Reads that may be answered once the state machine has applied `index`; index 0: ask again. */
  reads: { readonly context: number; readonly index: number }[];
  /** Indexes of the proposed commands, in order, or why there are none. */
  accepted: { readonly index: number; readonly term: number } | undefined;
  refused: Refusal | undefined;
  /** The message made no sense and changed nothing: why. */
  dropped: string | undefined;
}

/** Limits, in bytes unless they say otherwise. */
export interface RaftLimits {
  /** Ticks without a leader until a follower campaigns: drawn from [electionTicks, 2 * electionTicks). */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly appendBytesMax: number;
  /** Append messages to one follower that are not answered yet. */
  readonly inflightMax: number;
  readonly uncommittedBytesMax: number;
  readonly snapshotChunkBytes: number;
  /** A snapshot larger than this is not received. */
  readonly snapshotBytesMax: number;
  /** Reads that wait, at the leader for a round and at a follower for the leader. */
  readonly readsMax: number;
}

export const defaultLimits: RaftLimits = {
  electionTicks: 10,
  heartbeatTicks: 2,
  appendBytesMax: 1 << 20,
  inflightMax: 64,
  uncommittedBytesMax: 64 << 20,
  snapshotChunkBytes: 256 << 10,
  snapshotBytesMax: 1 << 30,
  readsMax: 10_000,
};
