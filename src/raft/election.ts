/**
 * Elections: pre-vote (9.6), votes (3.4), hand-over (3.10).
 *
 * Invariants: a node gives one vote in a term; it gives none, and asks for none, while it hears a leader, unless the leader
 * itself hands over.
 */
import { assert } from "../base/errors.js";
import type { MemberId, VoteAnswer, VoteRequest } from "./contract.js";
import type { RaftNode } from "./core.js";
import { isVoter } from "./members.js";
import { becomeProbe } from "./progress.js";
import { advanceCommit, sendAppend } from "./replication.js";

export function onElectionTimeout(node: RaftNode): void {
  if (node.isLeader) return;
  node.elapsed = 0;
  node.drawTimeout();
  node.leader = 0; // whether or not it may campaign itself, it stands in nobody's way
  if (!node.mayCampaign) return;
  campaign(node, "preVote", false);
}

/** Whoever leads and is dead need not be waited for. */
export function onPeerDead(node: RaftNode, peer: MemberId): void {
  if (node.isLeader) {
    const progress = node.progress.get(peer);
    // Where its log ends has to be found anew; and nobody knows for how long a snapshot would be kept for it.
    if (progress !== undefined && progress.state !== "probe") becomeProbe(progress);
    return;
  }
  if (node.leader !== peer) return;
  node.leader = 0;
  // Spread by the random timeout, so that the survivors do not split their votes.
  const { electionTicks } = node.limits;
  node.elapsed = Math.max(node.elapsed, Math.max(0, electionTicks - 1));
}

function campaign(node: RaftNode, kind: "preVote" | "vote", transfer: boolean): void {
  if (kind === "preVote") node.becomePreCandidate();
  else node.becomeCandidate();
  node.byTransfer = transfer;
  const term = kind === "preVote" ? node.term + 1 : node.term;
  node.votes.set(node.id, true);
  for (const voters of [node.members.voters, node.members.outgoing]) {
    for (const to of voters) {
      if (to === node.id || (voters === node.members.outgoing && node.members.voters.includes(to))) continue;
      const { lastIndex, lastTerm } = node.log;
      node.send({ kind, from: node.id, to, term, lastIndex, lastTerm, transfer });
    }
  }
  count(node);
}

export function onVoteRequest(node: RaftNode, request: VoteRequest): void {
  const { rules, log } = node;
  const isPre = request.kind === "preVote";
  const from = node.id;
  const to = request.from;
  if (isPre && node.hearsLeader && !request.transfer) {
    node.send({ kind: "preVoteAnswer", from, to, term: node.term, granted: false });
    return;
  }
  // A pre-vote promises nothing: it may be given to any number of candidates.
  const free = isPre ? request.term > node.term : rules.mayVoteFor(request.from, node.vote);
  const granted =
    free &&
    (isPre || node.leader === 0 || node.vote === request.from) &&
    rules.isUpToDate(request.lastTerm, request.lastIndex, log.lastTerm, log.lastIndex);
  if (isPre) {
    node.send({ kind: "preVoteAnswer", from, to, term: granted ? request.term : node.term, granted });
    return;
  }
  if (granted) {
    node.vote = request.from;
    node.elapsed = 0;
  }
  node.send({ kind: "voteAnswer", from, to, term: node.term, granted });
}

export function onVoteAnswer(node: RaftNode, answer: VoteAnswer): void {
  const isPre = answer.kind === "preVoteAnswer";
  if (node.role !== (isPre ? "preCandidate" : "candidate")) return;
  if (
    isPre ? answer.granted && answer.term !== node.term + 1 : !node.rules.countsVote(answer.term, node.term)
  )
    return;
  if (!node.votes.has(answer.from)) node.votes.set(answer.from, answer.granted);
  count(node);
}

function count(node: RaftNode): void {
  if (node.isQuorum((id) => node.votes.get(id) === true)) {
    if (node.role === "preCandidate") campaign(node, "vote", node.byTransfer);
    else win(node);
    return;
  }
  if (node.isQuorum((id) => node.votes.get(id) !== false)) return;
  // It cannot be won any more.
  node.becomeFollower(node.term, 0);
}

function win(node: RaftNode): void {
  node.becomeLeader();
  node.appendOwn({ kind: "empty", index: node.log.lastIndex + 1, term: node.term });
  for (const peer of node.peers()) sendAppend(node, peer, true);
  advanceCommit(node);
}

export function onTransfer(node: RaftNode, target: MemberId): void {
  if (!node.isLeader) {
    node.out.refused = "notLeader";
    return;
  }
  if (target === node.id || !isVoter(node.members, target)) {
    node.out.refused = "badMembers";
    return;
  }
  node.transferTarget = target;
  node.transferElapsed = 0;
  const progress = node.progress.get(target);
  assert(progress !== undefined, "every voter has its progress");
  if (progress.match === node.log.lastIndex) handOverTo(node, target);
  else sendAppend(node, target, false);
}

export function handOverTo(node: RaftNode, target: MemberId): void {
  node.send({ kind: "timeoutNow", from: node.id, to: target, term: node.term });
}

export function onTimeoutNow(node: RaftNode): void {
  if (node.isLeader || !node.mayCampaign) return;
  campaign(node, "vote", true);
}
