/**
 * Reads of the newest committed state without an entry in the log (6.4): the leader notes its commit index, makes sure by
 * a round of heartbeats that it still leads, and the read may be answered once that index is applied.
 *
 * Invariants: a read is answered with an index that was committed when it was asked, or later; a round that began before
 * the read was asked confirms nothing.
 */
import type { MemberId, ReadAnswer, ReadRequest } from "./contract.js";
import type { RaftNode } from "./core.js";
import { sendHeartbeats } from "./replication.js";

export interface PendingRead {
  readonly from: MemberId;
  readonly context: number;
  /** undefined: waits for the leader's first commit. */
  index: number | undefined;
  /** The round that has to be confirmed. */
  round: number;
}

export function onAskRead(node: RaftNode, context: number): void {
  if (node.isLeader) {
    enter(node, node.id, context);
    return;
  }
  if (node.leader === 0) {
    node.out.reads.push({ context, index: 0 });
    return;
  }
  node.send({ kind: "read", from: node.id, to: node.leader, term: node.term, context });
}

export function onReadRequest(node: RaftNode, request: ReadRequest): void {
  if (node.isLeader) {
    enter(node, request.from, request.context);
    return;
  }
  answer(node, request.from, request.context, 0);
}

export function onReadAnswer(node: RaftNode, { context, index }: ReadAnswer): void {
  node.out.reads.push({ context, index });
}

function enter(node: RaftNode, from: MemberId, context: number): void {
  const read: PendingRead = { from, context, index: undefined, round: 0 };
  node.reads.push(read);
  if (!node.rules.readNeedsOwnTerm(node.log.termAt(node.commit) ?? 0, node.term)) return;
  begin(node, [read]);
}

/** The leader's first commit tells it what is committed. */
export function releaseWaitingReads(node: RaftNode): void {
  const waiting = node.reads.filter((read) => read.index === undefined);
  if (waiting.length === 0) return;
  if (!node.rules.readNeedsOwnTerm(node.log.termAt(node.commit) ?? 0, node.term)) return;
  begin(node, waiting);
}

function begin(node: RaftNode, reads: readonly PendingRead[]): void {
  const round = ++node.readRound;
  for (const read of reads) {
    read.index = node.commit;
    read.round = round;
  }
  sendHeartbeats(node);
  confirmReads(node);
}

/** The round that heartbeats carry: what they confirm was asked before they were sent. */
export function roundToConfirm(node: RaftNode): number {
  return node.readRound;
}

export function confirmReads(node: RaftNode): void {
  const left: PendingRead[] = [];
  for (const read of node.reads) {
    if (read.index !== undefined && isConfirmed(node, read.round))
      answer(node, read.from, read.context, read.index);
    else left.push(read);
  }
  node.reads = left;
}

function isConfirmed(node: RaftNode, round: number): boolean {
  if (!node.rules.readNeedsRound()) return true;
  return node.isQuorum((id) => id === node.id || (node.progress.get(id)?.round ?? 0) >= round);
}

export function refuseReads(node: RaftNode): void {
  for (const { from, context } of node.reads) answer(node, from, context, 0);
  node.reads = [];
}

function answer(node: RaftNode, to: MemberId, context: number, index: number): void {
  if (to === node.id) node.out.reads.push({ context, index });
  else node.send({ kind: "readAnswer", from: node.id, to, term: node.term, context, index });
}
