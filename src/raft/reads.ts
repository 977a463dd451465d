/**
 * Reads of the newest committed state without an entry in the log (6.4): the leader notes its commit index, makes sure by
 * a round of heartbeats that it still leads, and the read may be answered once that index is applied.
 *
 * Reads that came together begin together: the driver steps what has arrived and then asks for one round for all of them.
 * A follower asks the leader it knows, again after an election timeout, and refuses its reads when that is not the leader
 * any more.
 *
 * Invariants: a read is answered with an index that was committed when it was asked, or later; a round that began before
 * the read was asked confirms nothing; in `node.reads` those that have begun stand before those that have not.
 */
import type { MemberId, ReadAnswer, ReadRequest } from "./contract.js";
import type { RaftNode } from "./core.js";
import { isVoter } from "./members.js";

export interface PendingRead {
  readonly from: MemberId;
  readonly context: number;
  /** undefined: has not begun. */
  index: number | undefined;
  /** The round that has to be confirmed. */
  round: number;
}

export function onAskRead(node: RaftNode, context: number): void {
  if (node.isLeader) {
    enter(node, node.id, context);
    return;
  }
  if (node.leader === 0 || node.asked.size >= node.limits.readsMax) {
    node.out.reads.push({ context, index: 0 });
    return;
  }
  if (node.asked.size === 0) node.askedElapsed = 0;
  node.asked.add(context);
  ask(node, context);
}

function ask(node: RaftNode, context: number): void {
  node.send({ kind: "read", from: node.id, to: node.leader, term: node.term, context });
}

export function onReadTimeout(node: RaftNode): void {
  node.askedElapsed = 0;
  for (const context of node.asked) ask(node, context);
}

export function onReadRequest(node: RaftNode, request: ReadRequest): void {
  if (node.isLeader) {
    enter(node, request.from, request.context);
    return;
  }
  answer(node, request.from, request.context, 0);
}

export function onReadAnswer(node: RaftNode, { context, index }: ReadAnswer): void {
  // What is not waited for was answered before, or asked by this node's process before a restart.
  if (node.asked.delete(context)) node.out.reads.push({ context, index });
}

/** Whom they were asked of leads no more, as far as this node knows. */
export function refuseAsked(node: RaftNode): void {
  for (const context of node.asked) node.out.reads.push({ context, index: 0 });
  node.asked.clear();
}

function enter(node: RaftNode, from: MemberId, context: number): void {
  if (node.reads.length >= node.limits.readsMax) answer(node, from, context, 0);
  else node.reads.push({ from, context, index: undefined, round: 0 });
}

/** Whether reads wait that a round would bring on. */
export function wantsReadRound({ reads, rules, log, commit, term }: RaftNode): boolean {
  const last = reads.at(-1);
  if (last === undefined || last.index !== undefined) return false;
  // The leader's first commit tells it what is committed.
  return rules.readNeedsOwnTerm(log.termAt(commit) ?? 0, term);
}

export function onReadRound(node: RaftNode): void {
  if (!wantsReadRound(node)) return;
  const round = ++node.readRound;
  for (let at = node.reads.length - 1; at >= 0 && node.reads[at]!.index === undefined; at--) {
    const read = node.reads[at]!;
    read.index = node.commit;
    read.round = round;
  }
  for (const [to, { match }] of node.progress) {
    if (!isVoter(node.members, to)) continue;
    const commit = node.rules.heartbeatCommit(node.commit, match);
    node.send({ kind: "heartbeat", from: node.id, to, term: node.term, commit, round });
  }
  confirmReads(node);
}

export function confirmReads(node: RaftNode): void {
  const { reads } = node;
  let done = 0;
  for (; done < reads.length; done++) {
    const { from, context, index, round } = reads[done]!;
    if (index === undefined || !isConfirmed(node, round)) break;
    answer(node, from, context, index);
  }
  if (done > 0) reads.splice(0, done);
}

function isConfirmed(node: RaftNode, round: number): boolean {
  if (!node.rules.readNeedsRound()) return true;
  return node.isQuorum((id) => id === node.id || (node.progress.get(id)?.round ?? 0) >= round);
}

export function refuseReads(node: RaftNode): void {
  for (const { from, context } of node.reads) answer(node, from, context, 0);
  node.reads.length = 0;
}

function answer(node: RaftNode, to: MemberId, context: number, index: number): void {
  if (to === node.id) node.out.reads.push({ context, index });
  else node.send({ kind: "readAnswer", from: node.id, to, term: node.term, context, index });
}
