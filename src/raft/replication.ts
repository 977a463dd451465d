/**
 * The leader's log to everybody's: appends and their answers, commit, heartbeats, snapshots in chunks, changes of members.
 *
 * Invariants: a leader never changes its own log but by appending; a follower's committed entries are never cut; a set of
 * members is in force on a node from the moment it is in its log; who leaves the group gets the log up to the entry that
 * says so, and hears that it is committed, if it can be reached.
 */
import { assert } from "../base/errors.js";
import type {
  AppendAnswer,
  AppendRequest,
  Entry,
  Heartbeat,
  HeartbeatAnswer,
  MemberId,
  MemberTarget,
  SnapshotAnswer,
  SnapshotChunk,
} from "./contract.js";
import type { RaftNode } from "./core.js";
import { handOverTo } from "./election.js";
import { isJoint, isVoter, isWellFormed, leave, sameMembers, towards } from "./members.js";
import {
  becomeProbe,
  becomeReplicate,
  becomeSnapshot,
  newProgress,
  noteBeat,
  noteHeard,
  type Progress,
} from "./progress.js";
import { confirmReads } from "./reads.js";

// --- proposing ---------------------------------------------------------------------------------------------------

/** Whether this node may append anything new of its own. */
function takesOn({ isLeader, transferTarget, out }: RaftNode): boolean {
  if (isLeader && transferTarget === 0) return true;
  out.refused = isLeader ? "transferring" : "notLeader";
  return false;
}

export function onPropose(node: RaftNode, commands: readonly Uint8Array[]): void {
  const { out, log, limits } = node;
  if (!takesOn(node)) return;
  let bytes = 0;
  for (const command of commands) bytes += command.length + 32;
  // One proposal is taken whatever its size; who bounds that is the caller.
  if (node.uncommittedBytes > 0 && node.uncommittedBytes + bytes > limits.uncommittedBytesMax) {
    out.refused = "tooMuch";
    return;
  }
  out.accepted = { index: log.lastIndex + 1, term: node.term };
  for (const data of commands)
    node.appendOwn({ kind: "command", index: log.lastIndex + 1, term: node.term, data });
  broadcast(node);
  advanceCommit(node);
}

export function onChangeMembers(node: RaftNode, target: MemberTarget): void {
  const { out, log, rules } = node;
  if (!takesOn(node)) return;
  const underWay = rules.changeIsUnderWay(log.membersIndex, node.commit, isJoint(log.members));
  if (underWay || !rules.mayChangeMembers(log.termAt(node.commit) ?? 0, node.term)) {
    out.refused = "changing";
    return;
  }
  if (!isWellFormed(target)) {
    out.refused = "badMembers";
    return;
  }
  const from = isJoint(log.members) ? leave(log.members) : log.members;
  const members = towards(from, target);
  if (sameMembers(members, log.members)) {
    out.refused = "badMembers";
    return;
  }
  out.accepted = { index: log.lastIndex + 1, term: node.term };
  node.appendOwn({ kind: "members", index: log.lastIndex + 1, term: node.term, members });
  membersChanged(node);
  broadcast(node);
  advanceCommit(node);
}

/** A leader follows the set in its log: newcomers get a progress, who is gone loses it once it knows. */
function membersChanged(node: RaftNode): void {
  const peers = node.peers();
  for (const id of peers) {
    const progress = node.progress.get(id);
    if (progress === undefined) node.progress.set(id, newProgress(node.log.lastIndex));
    else progress.leaves = 0;
  }
  for (const [id, progress] of node.progress)
    if (!peers.includes(id) && progress.leaves === 0) progress.leaves = node.log.membersIndex;
  if (node.transferTarget !== 0 && !peers.includes(node.transferTarget)) node.transferTarget = 0;
  // A smaller set may be content with the answers there are; alone, nobody is left to answer.
  confirmReads(node);
}

/** Who holds the entry by which it leaves is told that it is committed, once, and forgotten. */
function sayFarewell(node: RaftNode): void {
  for (const [id, { leaves, match }] of node.progress) {
    if (leaves === 0 || leaves > node.commit || leaves > match) continue;
    beat(node, id, match, 0);
    node.progress.delete(id);
  }
}

// --- sending -----------------------------------------------------------------------------------------------------

function broadcast(node: RaftNode): void {
  for (const peer of node.progress.keys()) sendAppend(node, peer, false);
}

/** Sends what the peer lacks, as far as its window allows. `evenEmpty`: an append without entries is worth sending. */
export function sendAppend(node: RaftNode, to: MemberId, evenEmpty: boolean): void {
  const progress = node.progress.get(to);
  if (progress === undefined) return;
  let empty = evenEmpty;
  for (;;) {
    if (progress.state === "snapshot") return;
    if (progress.state === "probe" && progress.paused) return;
    if (progress.inflight.length >= node.limits.inflightMax) return;
    if (progress.next > node.log.lastIndex && !empty) return;
    const previousIndex = progress.next - 1;
    const previousTerm = node.log.termAt(previousIndex);
    if (previousTerm === undefined) {
      startSnapshot(node, to, progress);
      return;
    }
    const entries =
      progress.next > node.log.lastIndex ? [] : node.log.slice(progress.next, node.limits.appendBytesMax);
    node.send({
      kind: "append",
      from: node.id,
      to,
      term: node.term,
      previousIndex,
      previousTerm,
      entries,
      commit: node.commit,
    });
    empty = false;
    if (progress.state === "probe") {
      progress.paused = true;
      return;
    }
    if (entries.length === 0) return;
    progress.next += entries.length;
    progress.inflight.push(progress.next - 1);
  }
}

function startSnapshot(node: RaftNode, to: MemberId, progress: Progress): void {
  const { snapshot } = node.log;
  assert(snapshot !== undefined, "what is gone from the log is in a snapshot");
  becomeSnapshot(progress, snapshot);
  sendChunk(node, to, progress);
}

function sendChunk(node: RaftNode, to: MemberId, { snapshot, snapshotOffset }: Progress): void {
  assert(snapshot !== undefined, "a snapshot is sent because there is one");
  const { index, term, members, data } = snapshot;
  node.send({
    kind: "snapshot",
    from: node.id,
    to,
    term: node.term,
    index,
    snapshotTerm: term,
    members,
    offset: snapshotOffset,
    total: data.length,
    data: data.subarray(snapshotOffset, snapshotOffset + node.limits.snapshotChunkBytes),
  });
}

export function onHeartbeatTimeout(node: RaftNode): void {
  if (!node.isLeader) return;
  node.heartbeatElapsed = 0;
  for (const [to, progress] of node.progress) {
    noteBeat(progress);
    beat(node, to, progress.match, node.readRound);
  }
}

function beat(node: RaftNode, to: MemberId, match: number, round: number): void {
  const commit = node.rules.heartbeatCommit(node.commit, match);
  node.send({ kind: "heartbeat", from: node.id, to, term: node.term, commit, round });
}

export function onQuorumTimeout(node: RaftNode): void {
  if (!node.isLeader) return;
  node.elapsed = 0;
  const heard = node.isQuorum((id) => id === node.id || node.progress.get(id)?.active === true);
  for (const [id, progress] of node.progress) {
    if (!progress.active && progress.leaves > 0) node.progress.delete(id);
    if (!progress.active && progress.state === "snapshot") {
      // A snapshot is not kept for the dead; its next answer starts one anew.
      becomeProbe(progress);
      progress.paused = true;
    }
    progress.active = false;
  }
  if (!heard) node.becomeFollower(node.term, 0);
}

// --- at a follower -----------------------------------------------------------------------------------------------

function followLeader(node: RaftNode, leader: MemberId): void {
  assert(!node.isLeader, `two leaders in term ${node.term}: ${node.id} and ${leader}`);
  if (node.role !== "follower") node.becomeFollower(node.term, leader);
  node.leader = leader;
  node.elapsed = 0;
}

export function onAppend(node: RaftNode, request: AppendRequest): void {
  followLeader(node, request.from);
  const { log, rules } = node;
  if (request.previousIndex < node.commit) {
    // It knows less of us than is committed here, or the message is old.
    answerAppend(node, request.from, node.commit, true);
    return;
  }
  if (!rules.agrees(log.termAt(request.previousIndex), request.previousTerm)) {
    const hintIndex = log.lastAtMost(Math.min(request.previousIndex, log.lastIndex), request.previousTerm);
    node.send({
      kind: "appendAnswer",
      from: node.id,
      to: request.from,
      term: node.term,
      index: request.previousIndex,
      accepted: false,
      hintIndex,
      hintTerm: log.termAt(hintIndex) ?? 0,
    });
    return;
  }
  take(node, request.entries);
  if (node.incoming !== undefined && log.lastIndex >= node.incoming.index) node.incoming = undefined;
  const last = request.previousIndex + request.entries.length;
  node.commitTo(rules.followerCommit(request.commit, last, log.lastIndex));
  answerAppend(node, request.from, last, true);
}

function take(node: RaftNode, entries: readonly Entry[]): void {
  const { log, rules } = node;
  for (const entry of entries) {
    const here = log.termAt(entry.index);
    if (entry.index <= log.lastIndex) {
      if (!rules.contradicts(here, entry.term)) continue;
      assert(entry.index > node.commit, `entry ${entry.index} is committed and contradicts the leader's`);
      const { members, membersIndex } = log;
      log.truncate(entry.index);
      if (!rules.restoresMembersWhenCut()) {
        log.members = members;
        log.membersIndex = Math.min(membersIndex, log.lastIndex);
      }
    }
    log.append(entry);
    node.out.append.push(entry);
  }
}

function answerAppend(node: RaftNode, to: MemberId, index: number, accepted: boolean): void {
  node.send({
    kind: "appendAnswer",
    from: node.id,
    to,
    term: node.term,
    index,
    accepted,
    hintIndex: 0,
    hintTerm: 0,
  });
}

export function onHeartbeat(node: RaftNode, beat: Heartbeat): void {
  followLeader(node, beat.from);
  if (beat.commit > node.log.lastIndex) {
    // What was lost here is found when the leader is greeted; here it is one peer's word, and ends nobody.
    node.out.dropped = `the leader knows entry ${beat.commit} to be here, but the log ends at ${node.log.lastIndex}`;
    return;
  }
  node.commitTo(beat.commit);
  node.send({ kind: "heartbeatAnswer", from: node.id, to: beat.from, term: node.term, round: beat.round });
}

export function onSnapshotChunk(node: RaftNode, chunk: SnapshotChunk): void {
  followLeader(node, chunk.from);
  const { log, rules } = node;
  if (chunk.index <= node.commit) {
    node.incoming = undefined;
    answerAppend(node, chunk.from, node.commit, true);
    return;
  }
  if (rules.keepsLogBehindSnapshot(log.termAt(chunk.index), chunk.snapshotTerm)) {
    // The log holds all of it: it was only not known to be committed.
    node.incoming = undefined;
    node.commitTo(chunk.index);
    answerAppend(node, chunk.from, chunk.index, true);
    return;
  }
  if (chunk.total > node.limits.snapshotBytesMax) return;
  if (
    node.incoming?.index !== chunk.index ||
    node.incoming.term !== chunk.snapshotTerm ||
    node.incoming.total !== chunk.total
  ) {
    node.incoming = {
      index: chunk.index,
      term: chunk.snapshotTerm,
      members: chunk.members,
      total: chunk.total,
      received: 0,
      chunks: [],
    };
  }
  const { incoming } = node;
  if (chunk.offset === incoming.received) {
    incoming.chunks = [...incoming.chunks, chunk.data];
    incoming.received += chunk.data.length;
  }
  if (incoming.received < incoming.total) {
    node.send({
      kind: "snapshotAnswer",
      from: node.id,
      to: chunk.from,
      term: node.term,
      index: incoming.index,
      offset: chunk.offset,
      received: incoming.received,
    });
    return;
  }
  const data = new Uint8Array(incoming.total);
  let at = 0;
  for (const part of incoming.chunks) {
    data.set(part, at);
    at += part.length;
  }
  const { index, term, members } = incoming;
  node.incoming = undefined;
  const snapshot = { index, term, members, data };
  log.install(snapshot);
  node.commit = index;
  node.out.install = snapshot;
  node.out.append.length = 0;
  answerAppend(node, chunk.from, index, true);
}

// --- answers at the leader ---------------------------------------------------------------------------------------

export function onAppendAnswer(node: RaftNode, answer: AppendAnswer): void {
  if (!node.isLeader) return;
  const progress = node.progress.get(answer.from);
  if (progress === undefined) return;
  noteHeard(progress);
  if (!answer.accepted) {
    refusedAppend(node, answer, progress);
    return;
  }
  const match = node.rules.matched(answer.index, Math.max(progress.next - 1, answer.index));
  if (match > node.log.lastIndex) return; // of no entry that this leader ever sent
  const moved = match > progress.match;
  if (moved) {
    progress.match = match;
    progress.next = Math.max(progress.next, match + 1);
  }
  while (progress.inflight.length > 0 && progress.inflight[0]! <= answer.index) progress.inflight.shift();
  if (progress.state === "probe") becomeReplicate(progress);
  else if (progress.state === "snapshot" && progress.match >= (progress.snapshot?.index ?? 0))
    becomeReplicate(progress);
  if (moved) {
    const committed = advanceCommit(node);
    sayFarewell(node);
    if (committed) broadcastCommit(node);
  }
  sendAppend(node, answer.from, false);
  if (node.transferTarget === answer.from && progress.match === node.log.lastIndex)
    handOverTo(node, answer.from);
}

function refusedAppend(node: RaftNode, answer: AppendAnswer, progress: Progress): void {
  if (answer.index <= progress.match || answer.index >= progress.next) return; // old
  if (progress.state === "snapshot") return;
  if (progress.state === "probe" && progress.next - 1 !== answer.index) return;
  // Neither log can agree behind the hint, nor where ours is of a later term than the hint's.
  const candidate = node.log.lastAtMost(answer.hintIndex, answer.hintTerm);
  if (progress.state === "replicate") becomeProbe(progress);
  else progress.paused = false;
  progress.next = Math.max(progress.match + 1, Math.min(answer.index, candidate + 1));
  sendAppend(node, answer.from, true);
}

export function onHeartbeatAnswer(node: RaftNode, answer: HeartbeatAnswer): void {
  if (!node.isLeader) return;
  const progress = node.progress.get(answer.from);
  if (progress === undefined) return;
  noteHeard(progress);
  if (answer.round > progress.round) {
    progress.round = answer.round;
    confirmReads(node);
  }
  if (!progress.beaten) return;
  progress.beaten = false;
  sendAgain(node, answer.from, progress);
}

/** What was sent before a heartbeat, and is not answered though the heartbeat is. */
function sendAgain(node: RaftNode, to: MemberId, progress: Progress): void {
  switch (progress.state) {
    case "snapshot":
      if (progress.snapshotOffset === progress.beatOffset) sendChunk(node, to, progress);
      return;
    case "probe":
      progress.paused = false;
      // One with nothing to carry still finds out where the logs agree.
      if (progress.match < node.log.lastIndex) sendAppend(node, to, true);
      return;
    case "replicate": {
      const lost = progress.match < progress.beatNext - 1;
      if (lost) becomeProbe(progress);
      sendAppend(node, to, lost);
    }
  }
}

export function onSnapshotAnswer(node: RaftNode, answer: SnapshotAnswer): void {
  if (!node.isLeader) return;
  const progress = node.progress.get(answer.from);
  if (progress === undefined) return;
  noteHeard(progress);
  const { snapshot, snapshotOffset } = progress;
  if (snapshot === undefined || answer.index !== snapshot.index) return;
  // One to an older chunk tells nothing new; one to this chunk counts, also where the peer was restarted and has less again.
  if (answer.offset !== snapshotOffset || answer.received === snapshotOffset) return;
  progress.snapshotOffset = Math.min(answer.received, snapshot.data.length);
  sendChunk(node, answer.from, progress);
}

/** Followers hear of a commit with the next entries or heartbeat; now, when there is nothing else to send. */
function broadcastCommit(node: RaftNode): void {
  for (const [peer, { state, next }] of node.progress)
    sendAppend(node, peer, state === "replicate" && next > node.log.lastIndex);
}

/** The highest index that a quorum holds. */
function quorumIndex({ id: self, rules, log, members, progress }: RaftNode): number {
  let lowest = Number.POSITIVE_INFINITY;
  for (const voters of rules.votersThatCount(members)) {
    const held = voters.map((id) => (id === self ? log.lastIndex : (progress.get(id)?.match ?? 0)));
    held.sort((a, b) => b - a);
    lowest = Math.min(lowest, held[rules.majority(held.length) - 1] ?? 0);
  }
  return lowest;
}

/** True when more is committed than before. */
export function advanceCommit(node: RaftNode): boolean {
  const index = quorumIndex(node);
  const moved = index > node.commit && node.rules.commitsByCount(node.log.termAt(index)!, node.term);
  if (moved) node.commitTo(index);
  leaveJoint(node);
  return moved;
}

function leaveJoint(node: RaftNode): void {
  const { log, rules } = node;
  if (!node.isLeader) return;
  if (isJoint(log.members)) {
    if (!rules.mayLeaveJoint(log.membersIndex, node.commit)) return;
    node.appendOwn({
      kind: "members",
      index: log.lastIndex + 1,
      term: node.term,
      members: leave(log.members),
    });
    membersChanged(node);
    broadcast(node);
    advanceCommit(node);
    return;
  }
  if (log.membersIndex <= node.commit && !isVoter(log.members, node.id)) {
    // Its successors are told that the change is committed before it leaves.
    for (const [peer, { match }] of node.progress) beat(node, peer, match, 0);
    node.becomeFollower(node.term, 0);
  }
}
