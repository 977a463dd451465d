/**
 * One member of a Raft group as a pure state machine: `step` takes what happened and answers what must be done. No clock,
 * disk, socket or randomness but its own seed: the same state and input give the same effects.
 *
 * Read `contract.ts` for the words and `rules.ts` for what safety rests on; then `election.ts`, `replication.ts`,
 * `reads.ts`, which hold the handlers that are dispatched here, and `sanity.ts`, which messages have to pass first.
 *
 * Invariants, checked in every step: terms and commit never fall, nothing is committed that is not held, and committed
 * entries are handed to the state machine once, in order.
 */
import { assert } from "../base/errors.js";
import type {
  Effects,
  Entry,
  HardState,
  Input,
  LocalEvent,
  MemberId,
  MemberSet,
  Message,
  RaftLimits,
  Snapshot,
} from "./contract.js";
import { defaultLimits } from "./contract.js";
import {
  onElectionTimeout,
  onPeerDead,
  onTimeoutNow,
  onTransfer,
  onVoteAnswer,
  onVoteRequest,
} from "./election.js";
import { entryBytes, RaftLog } from "./log.js";
import { everybody, isVoter, memberSet } from "./members.js";
import { cloneProgress, newProgress, type Progress } from "./progress.js";
import {
  onAskRead,
  onReadAnswer,
  onReadRequest,
  onReadRound,
  onReadTimeout,
  type PendingRead,
  refuseAsked,
  refuseReads,
  wantsReadRound,
} from "./reads.js";
import {
  onAppend,
  onAppendAnswer,
  onChangeMembers,
  onHeartbeat,
  onHeartbeatAnswer,
  onHeartbeatTimeout,
  onPropose,
  onQuorumTimeout,
  onSnapshotAnswer,
  onSnapshotChunk,
} from "./replication.js";
import { type RaftRules, raftRules } from "./rules.js";
import { whatIsWrong } from "./sanity.js";

export type Role = "follower" | "preCandidate" | "candidate" | "leader";

/** A snapshot on its way in. */
export interface IncomingSnapshot {
  readonly index: number;
  readonly term: number;
  readonly members: MemberSet;
  readonly total: number;
  received: number;
  chunks: readonly Uint8Array[];
}

export interface RaftStart {
  readonly id: MemberId;
  readonly hard: HardState;
  /** What the log begins behind; of a new group index 0, term 0 and its first members. */
  readonly base: { readonly index: number; readonly term: number; readonly members: MemberSet };
  readonly snapshot?: Snapshot | undefined;
  readonly entries?: readonly Entry[];
  /** The state machine has applied up to here. */
  readonly applied: number;
  readonly limits?: RaftLimits | undefined;
  readonly rules?: RaftRules | undefined;
  /** Of the random election timeouts. */
  readonly seed: number;
}

const noBase = { index: 0, term: 0, members: memberSet([]) };

export class RaftNode {
  readonly id: MemberId;
  readonly limits: RaftLimits;
  readonly rules: RaftRules;
  log: RaftLog;
  term: number;
  vote: MemberId;
  role: Role = "follower";
  /** Of this term, as far as known; 0: nobody. */
  leader: MemberId = 0;
  commit: number;
  /** Entries up to this one are handed to the state machine. */
  handed: number;
  /** Ticks since a leader was heard or, leading, since the quorum was looked at. */
  elapsed = 0;
  heartbeatElapsed = 0;
  timeoutTicks = 0;
  /** Ticks of a hand-over that has not come to an end. */
  transferElapsed = 0;
  transferTarget: MemberId = 0;
  /** This candidacy was told to be one by the leader. */
  byTransfer = false;
  /** Answers to this candidacy. */
  votes = new Map<MemberId, boolean>();
  /** Of everybody else while leading, and of those who left and may not know it yet. */
  progress = new Map<MemberId, Progress>();
  uncommittedBytes = 0;
  readRound = 0;
  reads: PendingRead[] = [];
  /** Own reads that the leader was asked, by context, and ticks since it was asked last. */
  asked = new Set<number>();
  askedElapsed = 0;
  incoming: IncomingSnapshot | undefined;
  random: number;
  out: Effects = emptyEffects();

  constructor(start: RaftStart) {
    this.id = start.id;
    this.limits = start.limits ?? defaultLimits;
    this.rules = start.rules ?? raftRules;
    this.log = new RaftLog(start.base, start.entries);
    this.log.snapshot = start.snapshot;
    this.term = start.hard.term;
    this.vote = start.hard.vote;
    assert(
      start.applied >= start.base.index && start.applied <= this.log.lastIndex,
      "applied entries are held",
    );
    assert(this.log.lastTerm <= this.term, "no entry is of a term that never was");
    this.commit = start.applied;
    this.handed = start.applied;
    this.random = (start.seed ^ Math.imul(start.id, 0x9e3779b1)) | 1;
    this.drawTimeout();
  }

  clone(): RaftNode {
    // Made like any other, so that all nodes have one shape: explorers make a great many.
    const { id, limits, rules } = this;
    const hard = { term: 0, vote: 0 };
    const copy = new RaftNode({ id, limits, rules, hard, base: noBase, applied: 0, seed: 0 });
    Object.assign(copy, this);
    copy.log = this.log.clone();
    copy.votes = new Map(this.votes);
    copy.progress = new Map();
    for (const [id, progress] of this.progress) copy.progress.set(id, cloneProgress(progress));
    copy.reads = this.reads.map((read) => ({ ...read }));
    copy.asked = new Set(this.asked);
    if (this.incoming !== undefined) copy.incoming = { ...this.incoming };
    copy.out = emptyEffects();
    return copy;
  }

  get members(): MemberSet {
    return this.log.members;
  }
  get isLeader(): boolean {
    return this.role === "leader";
  }
  get mayCampaign(): boolean {
    return this.rules.mayCampaign(this.isElectable()) && this.incoming === undefined;
  }
  /**
   * One whom its newest set does not name still campaigns until that set is known to be committed: the others may need its
   * log to get there (4.2.2).
   */
  isElectable(): boolean {
    return this.counts(this.id);
  }
  /** Whether the member's vote is asked for: in the newest set, or in the one before while the newest is not committed. */
  counts(id: MemberId): boolean {
    const { members, membersIndex } = this.log;
    if (isVoter(members, id)) return true;
    if (membersIndex <= this.commit || membersIndex <= this.log.baseIndex) return false;
    return isVoter(this.log.membersAt(membersIndex - 1), id);
  }
  get wantsReadRound(): boolean {
    return wantsReadRound(this);
  }
  /** A leader that is known and was heard within the shortest election timeout: nobody else is listened to. */
  get hearsLeader(): boolean {
    return this.leader !== 0 && this.elapsed < this.limits.electionTicks;
  }

  send(message: Message): void {
    this.out.send.push(message);
  }

  /** The peers of this node, in order. */
  peers(): MemberId[] {
    return everybody(this.members).filter((id) => id !== this.id);
  }

  /** Whether those for whom `agrees` holds are a quorum. */
  isQuorum(agrees: (id: MemberId) => boolean): boolean {
    for (const voters of this.rules.votersThatCount(this.members)) {
      let count = 0;
      for (const id of voters) if (agrees(id)) count++;
      if (count < this.rules.majority(voters.length)) return false;
    }
    return true;
  }

  /** xorshift32. */
  drawTimeout(): void {
    let x = this.random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.random = x | 0;
    this.timeoutTicks = this.limits.electionTicks + ((x >>> 0) % this.limits.electionTicks);
  }

  becomeFollower(term: number, leader: MemberId): void {
    if (term !== this.term) {
      this.term = term;
      this.vote = 0;
      // What another leader was sending does not come to an end.
      this.incoming = undefined;
    }
    if (this.role === "leader") refuseReads(this);
    this.role = "follower";
    this.leader = leader;
    this.rest();
  }

  becomePreCandidate(): void {
    assert(this.role !== "leader", "a leader does not campaign");
    this.role = "preCandidate";
    this.leader = 0;
    this.votes.clear();
    this.elapsed = 0;
    this.drawTimeout();
  }

  becomeCandidate(): void {
    assert(this.role !== "leader", "a leader does not campaign");
    this.term++;
    this.vote = this.id;
    this.role = "candidate";
    this.leader = 0;
    this.rest();
  }

  becomeLeader(): void {
    assert(this.role === "candidate", "only a candidate is elected");
    this.role = "leader";
    this.leader = this.id;
    this.rest();
    for (const id of this.peers()) this.progress.set(id, newProgress(this.log.lastIndex + 1));
  }

  /** Nothing of the role before is left. */
  rest(): void {
    this.elapsed = 0;
    this.heartbeatElapsed = 0;
    this.transferElapsed = 0;
    this.transferTarget = 0;
    this.byTransfer = false;
    this.uncommittedBytes = 0;
    if (this.votes.size > 0) this.votes.clear();
    if (this.progress.size > 0) this.progress.clear();
    this.readRound = 0;
    this.reads.length = 0;
    this.drawTimeout();
  }

  appendOwn(entry: Entry): void {
    this.log.append(entry);
    this.out.append.push(entry);
    this.uncommittedBytes += entryBytes(entry);
  }

  commitTo(index: number): void {
    if (index <= this.commit) return;
    assert(index <= this.log.lastIndex, `cannot commit ${index}: the log ends at ${this.log.lastIndex}`);
    this.commit = index;
  }
}

export function emptyEffects(): Effects {
  return {
    hard: undefined,
    install: undefined,
    append: [],
    send: [],
    apply: [],
    reads: [],
    accepted: undefined,
    refused: undefined,
    dropped: undefined,
  };
}

/** Reads no clock, disk or socket: the same state and input give the same effects. */
export function step(node: RaftNode, input: Input): Effects {
  const out = emptyEffects();
  node.out = out;
  const { term, vote, commit, leader } = node;
  if ("from" in input) receive(node, input);
  else locally(node, input);
  if (node.leader !== leader || node.term !== term) refuseAsked(node);
  assert(node.term >= term, "terms never fall");
  assert(node.commit >= commit, "what is committed stays so");
  assert(node.commit <= node.log.lastIndex, "cannot commit what is not held");
  if (node.term !== term || node.vote !== vote)
    out.hard = node.rules.hardStateToPersist({ term: node.term, vote: node.vote });
  handOver(node, out);
  return out;
}

function handOver(node: RaftNode, out: Effects): void {
  if (out.install !== undefined) node.handed = Math.max(node.handed, out.install.index);
  while (node.handed < node.commit) {
    const entry = node.log.at(++node.handed);
    assert(entry !== undefined, "committed entries are held until they are applied");
    out.apply.push(entry);
    if (node.isLeader) node.uncommittedBytes = Math.max(0, node.uncommittedBytes - entryBytes(entry));
  }
}

function receive(node: RaftNode, message: Message): void {
  // A peer may be faulty: nothing behind this door asserts anything of what it says.
  node.out.dropped = whatIsWrong(node, message);
  if (node.out.dropped !== undefined) return;
  if (message.term > node.term) {
    if (!heedsHigherTerm(node, message)) return;
  } else if (message.term < node.term) {
    answerStale(node, message);
    return;
  }
  dispatch(node, message);
}

/** False: the message is passed over. */
function heedsHigherTerm(node: RaftNode, message: Message): boolean {
  switch (message.kind) {
    case "preVote":
      return true;
    case "preVoteAnswer":
      if (message.granted) return true; // of the term that would be campaigned in
      break;
    case "vote":
      // Who hears a leader is not drawn into an election by one who does not (4.2.3).
      if (node.hearsLeader && !message.transfer) return false;
      break;
    case "read":
    case "readAnswer":
      return true;
    default:
      break;
  }
  if (!node.rules.followsHigherTerm(node.isLeader)) return true;
  const fromLeader = message.kind === "append" || message.kind === "heartbeat" || message.kind === "snapshot";
  node.becomeFollower(message.term, fromLeader ? message.from : 0);
  return true;
}

/** Of an earlier term: whoever may still believe in it is told, everything else is passed over. */
function answerStale(node: RaftNode, message: Message): void {
  const { id: from, term } = node;
  switch (message.kind) {
    case "append":
    case "heartbeat":
    case "snapshot":
      node.send({
        kind: "appendAnswer",
        from,
        to: message.from,
        term,
        index: 0,
        accepted: false,
        hintIndex: 0,
        hintTerm: 0,
      });
      return;
    case "preVote":
      node.send({ kind: "preVoteAnswer", from, to: message.from, term, granted: false });
      return;
    case "read":
      node.send({ kind: "readAnswer", from, to: message.from, term, context: message.context, index: 0 });
      return;
    case "readAnswer":
      onReadAnswer(node, message);
      return;
    case "voteAnswer":
    case "preVoteAnswer":
      onVoteAnswer(node, message);
      return;
    default:
      return;
  }
}

const onMessage: {
  readonly [Kind in Message["kind"]]: (node: RaftNode, message: Message & { kind: Kind }) => void;
} = {
  preVote: onVoteRequest,
  vote: onVoteRequest,
  preVoteAnswer: onVoteAnswer,
  voteAnswer: onVoteAnswer,
  append: onAppend,
  appendAnswer: onAppendAnswer,
  heartbeat: onHeartbeat,
  heartbeatAnswer: onHeartbeatAnswer,
  snapshot: onSnapshotChunk,
  snapshotAnswer: onSnapshotAnswer,
  timeoutNow: onTimeoutNow,
  read: onReadRequest,
  readAnswer: onReadAnswer,
};

function dispatch(node: RaftNode, message: Message): void {
  (onMessage[message.kind] as (node: RaftNode, message: Message) => void)(node, message);
}

const onEvent: {
  readonly [Kind in LocalEvent["kind"]]: (node: RaftNode, event: LocalEvent & { kind: Kind }) => void;
} = {
  tick: onTick,
  electionTimeout: onElectionTimeout,
  heartbeatTimeout: onHeartbeatTimeout,
  quorumTimeout: onQuorumTimeout,
  propose: (node, { commands }) => onPropose(node, commands),
  changeMembers: (node, { target }) => onChangeMembers(node, target),
  askRead: (node, { context }) => onAskRead(node, context),
  readRound: onReadRound,
  readTimeout: onReadTimeout,
  transfer: (node, { target }) => onTransfer(node, target),
  peerDead: (node, { peer }) => onPeerDead(node, peer),
  compact: onCompact,
};

function locally(node: RaftNode, event: LocalEvent): void {
  (onEvent[event.kind] as (node: RaftNode, event: LocalEvent) => void)(node, event);
}

function onTick(node: RaftNode): void {
  const { limits } = node;
  node.elapsed++;
  if (!node.isLeader) {
    if (node.elapsed >= node.timeoutTicks) onElectionTimeout(node);
    if (node.asked.size > 0 && ++node.askedElapsed >= limits.electionTicks) onReadTimeout(node);
    return;
  }
  node.heartbeatElapsed++;
  for (const progress of node.progress.values()) progress.silentTicks++;
  if (node.transferTarget !== 0 && ++node.transferElapsed >= limits.electionTicks) node.transferTarget = 0;
  if (node.elapsed >= limits.electionTicks) onQuorumTimeout(node);
  if (node.isLeader && node.heartbeatElapsed >= limits.heartbeatTicks) onHeartbeatTimeout(node);
}

type Compaction = Omit<LocalEvent & { kind: "compact" }, "kind" | "data">;

/** Behind which entry the log is to begin once there is a snapshot as of `index`. */
export function baseBehind(node: RaftNode, { index, keep, keepBytes }: Compaction): number {
  const { log, progress } = node;
  let wanted = index - keep;
  for (const { snapshot } of progress.values())
    if (snapshot !== undefined) wanted = Math.min(wanted, snapshot.index);
  let base = index;
  for (let bytes = 0; base > wanted && base > log.baseIndex; base--) {
    bytes += entryBytes(log.at(base)!);
    if (bytes > keepBytes) break;
  }
  return base;
}

function onCompact(node: RaftNode, event: LocalEvent & { kind: "compact" }): void {
  const { index, data } = event;
  assert(index <= node.handed, "a snapshot is of applied entries");
  const { log } = node;
  if (log.snapshot !== undefined && index <= log.snapshot.index) return;
  const term = log.termAt(index);
  assert(term !== undefined, "a snapshot is of an entry that is held");
  const base = baseBehind(node, event);
  log.snapshot = { index, term, members: log.membersAt(index), data };
  log.compact(base);
}
