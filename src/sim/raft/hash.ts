/**
 * 64-bit hashes of nodes and messages, for telling explored states apart. What takes no part in decisions (random state,
 * counters of ticks beyond what they are compared with) stays out, so that states which behave alike count once.
 */
import type { Effects, Entry, MemberSet, Message, RaftNode, RaftStart } from "../../raft/index.js";

/** Two lanes of 32 bits, mixed as in MurmurHash3 (Appleby). */
export class Mixer {
  high = 0;
  low = 0;

  reset(): this {
    this.high = 0x2545f491;
    this.low = 0x9e3779b9 | 0;
    return this;
  }

  add(value: number): this {
    let k = Math.imul(value | 0, 0xcc9e2d51);
    k = (k << 15) | (k >>> 17);
    k = Math.imul(k, 0x1b873593);
    let high = this.high ^ k;
    high = (high << 13) | (high >>> 19);
    this.high = (Math.imul(high, 5) + 0xe6546b64) | 0;
    let low = (this.low + Math.imul(value | 0, 0x85ebca6b)) | 0;
    low ^= low >>> 15;
    low = Math.imul(low, 0xc2b2ae35);
    low ^= low >>> 13;
    this.low = (low + this.high) | 0;
    return this;
  }
}

const kinds: Readonly<Record<Message["kind"] | Entry["kind"], number>> = {
  vote: 1,
  preVote: 2,
  voteAnswer: 3,
  preVoteAnswer: 4,
  append: 5,
  appendAnswer: 6,
  heartbeat: 7,
  heartbeatAnswer: 8,
  snapshot: 9,
  snapshotAnswer: 10,
  timeoutNow: 11,
  read: 12,
  readAnswer: 13,
  empty: 14,
  command: 15,
  members: 16,
};
const roles = { follower: 1, preCandidate: 2, candidate: 3, leader: 4 } as const;
const states = { probe: 1, replicate: 2, snapshot: 3 } as const;

function addMembers(mixer: Mixer, { voters, outgoing, learners, demoted }: MemberSet): void {
  for (const ids of [voters, outgoing, learners, demoted]) {
    let bits = 0;
    for (const id of ids) bits |= 1 << id;
    mixer.add(bits);
  }
}

function addEntry(mixer: Mixer, entry: Entry): void {
  mixer.add(kinds[entry.kind] | (entry.term << 8) | (entry.index << 16));
  if (entry.kind === "command") mixer.add(entry.data[0] ?? 0);
  else if (entry.kind === "members") addMembers(mixer, entry.members);
}

export function hashMessage(mixer: Mixer, message: Message): void {
  mixer.add(kinds[message.kind] | (message.from << 8) | (message.to << 12) | (message.term << 16));
  switch (message.kind) {
    case "vote":
    case "preVote":
      mixer
        .add(message.lastIndex)
        .add(message.lastTerm)
        .add(message.transfer ? 1 : 0);
      return;
    case "voteAnswer":
    case "preVoteAnswer":
      mixer.add(message.granted ? 1 : 0);
      return;
    case "append":
      mixer.add(message.previousIndex).add(message.previousTerm).add(message.commit);
      for (const entry of message.entries) addEntry(mixer, entry);
      return;
    case "appendAnswer":
      mixer
        .add(message.index)
        .add(message.accepted ? 1 : 0)
        .add(message.hintIndex)
        .add(message.hintTerm);
      return;
    case "heartbeat":
      mixer.add(message.commit).add(message.round);
      return;
    case "heartbeatAnswer":
      mixer.add(message.round);
      return;
    case "snapshot":
      mixer.add(message.index).add(message.snapshotTerm).add(message.offset).add(message.total);
      addMembers(mixer, message.members);
      return;
    case "snapshotAnswer":
      mixer.add(message.index).add(message.offset).add(message.received);
      return;
    case "timeoutNow":
      return;
    case "read":
      mixer.add(message.context);
      return;
    case "readAnswer":
      mixer.add(message.context).add(message.index);
      return;
  }
}

export function hashNode(
  mixer: Mixer,
  node: RaftNode | undefined,
  durable: Pick<RaftStart, "hard" | "base" | "entries">,
  /** Effects of steps that are not durable yet. */
  batch: readonly Effects[],
): void {
  mixer.add(durable.hard.term).add(durable.hard.vote).add(durable.base.index);
  if (node === undefined || batch.length > 0) {
    mixer.add(0x0d);
    for (const entry of durable.entries ?? []) addEntry(mixer, entry);
  }
  for (const { send, append, apply } of batch) {
    mixer.add(append.length | (apply.length << 8));
    for (const message of send) hashMessage(mixer, message);
    for (const entry of append) addEntry(mixer, entry);
  }
  if (node === undefined) return;
  mixer.add(node.term | (node.vote << 8) | (roles[node.role] << 12) | (node.leader << 16));
  mixer.add(node.commit | (node.handed << 8) | (node.transferTarget << 16) | (node.byTransfer ? 1 << 24 : 0));
  mixer.add(node.elapsed >= node.limits.electionTicks ? 1 : 0);
  for (const entry of node.log.entries) addEntry(mixer, entry);
  mixer.add(node.log.snapshot?.index ?? 0);
  addMembers(mixer, node.log.members);
  for (const [id, granted] of node.votes) mixer.add(id * 2 + (granted ? 1 : 0));
  for (const [id, progress] of node.progress) {
    mixer.add(id | (progress.match << 8) | (progress.next << 16) | (states[progress.state] << 24));
    mixer.add((progress.paused ? 1 : 0) | (progress.active ? 2 : 0) | (progress.round << 8));
    mixer.add((progress.snapshot?.index ?? 0) | (progress.snapshotOffset << 8) | (progress.leaves << 16));
    if (progress.beaten) mixer.add(progress.beatNext | (progress.beatOffset << 8));
    for (const index of progress.inflight) mixer.add(index);
  }
  for (const { from, context, index, round } of node.reads)
    mixer.add(from | (context << 8) | ((index ?? 0) << 16) | (round << 24));
  mixer.add(node.readRound);
  for (const context of node.asked) mixer.add(context | (1 << 30));
  if (node.incoming !== undefined) mixer.add(node.incoming.index).add(node.incoming.received);
}
