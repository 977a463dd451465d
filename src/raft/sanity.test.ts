/** Whatever a peer says, a node drops it or goes on; nothing of it reaches an assert. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Entry, MemberSet, Message } from "./contract.js";
import { RaftNode, step } from "./core.js";
import { memberSet } from "./members.js";

const entry = (index: number, term: number): Entry => ({ kind: "empty", index, term });
const head = { from: 1, to: 2, term: 3 };
const members = memberSet([1, 2, 3]);

/** Node 2 in term 3, with a log up to 2@2 that is committed up to 1. */
function follower(): RaftNode {
  const base = { index: 0, term: 0, members };
  return new RaftNode({
    id: 2,
    hard: { term: 3, vote: 0 },
    base,
    entries: [entry(1, 1), entry(2, 2)],
    applied: 1,
    seed: 5,
  });
}

function leader(): RaftNode {
  const node = follower();
  step(node, { kind: "electionTimeout" });
  step(node, { kind: "preVoteAnswer", from: 1, to: 2, term: 4, granted: true });
  step(node, { kind: "voteAnswer", from: 1, to: 2, term: 4, granted: true });
  expect(node.isLeader).toBe(true);
  return node;
}

const append = (entries: Entry[], previous = { index: 2, term: 2 }): Message => ({
  kind: "append",
  ...head,
  previousIndex: previous.index,
  previousTerm: previous.term,
  entries,
  commit: 0,
});
const chunk = (change: object): Message => ({
  kind: "snapshot",
  ...head,
  index: 9,
  snapshotTerm: 3,
  members,
  offset: 0,
  total: 4,
  data: new Uint8Array(4),
  ...change,
});
const wrongSets: MemberSet[] = [
  memberSet([]),
  { ...members, voters: [2, 1] },
  { ...members, voters: [1, 1] },
  { ...members, learners: [3] },
  { ...members, demoted: [3] },
  { ...members, voters: [0] },
  { ...members, learners: Array.from({ length: 1001 }, (_, at) => at + 10) },
];

const senseless: readonly (readonly [what: string, message: Message])[] = [
  ["for another node", { kind: "timeoutNow", ...head, to: 3 }],
  ["from itself", { kind: "timeoutNow", ...head, from: 2 }],
  ["from nobody", { kind: "timeoutNow", ...head, from: 0 }],
  ["of a term beyond all terms", { kind: "timeoutNow", ...head, term: 2 ** 52 }],
  ["a leader of term 0", { kind: "heartbeat", ...head, term: 0, commit: 0, round: 0 }],
  ["a gap between entries", append([entry(4, 3)])],
  ["an entry twice", append([entry(3, 3), entry(3, 3)])],
  ["an entry that is not behind the one before it", append([entry(2, 3)])],
  ["a term that falls", append([entry(3, 1)])],
  ["an entry of a later term than its message", append([entry(3, 4)])],
  ["agreement in a later term than the message's", append([], { index: 2, term: 4 })],
  ["agreement at entry 0 of a term", append([], { index: 0, term: 1 })],
  ["an entry 0", append([entry(0, 1)], { index: 0, term: 0 })],
  [
    "an entry that no log takes",
    append([{ ...entry(3, 3), kind: "command", data: new Uint8Array(1 << 26) }]),
  ],
  ...wrongSets.map(
    (set) =>
      ["members that none can be", append([{ ...entry(3, 3), kind: "members", members: set }])] as const,
  ),
  ["a commit that is no number", { ...append([]), commit: -1 } as Message],
  ["a part beyond its snapshot", chunk({ offset: 2 })],
  ["an empty part", chunk({ data: new Uint8Array(0) })],
  ["a snapshot of entry 0", chunk({ index: 0, snapshotTerm: 0 })],
  ["a snapshot of a later term than its message", chunk({ snapshotTerm: 4 })],
  ["a snapshot with members that none can be", chunk({ members: wrongSets[0] })],
  [
    "a candidate whose log is of its own term",
    { kind: "vote", ...head, term: 4, lastIndex: 3, lastTerm: 4, transfer: false },
  ],
];

describe("a message that makes no sense", () => {
  for (const [what, message] of senseless) {
    it(`is dropped: ${what}`, () => {
      const node = follower();
      const before = JSON.stringify([node.log, node.term, node.vote, node.leader, node.elapsed]);
      const effects = step(node, message);
      expect(effects.dropped).toBeTypeOf("string");
      expect(effects.send).toEqual([]);
      expect(JSON.stringify([node.log, node.term, node.vote, node.leader, node.elapsed])).toBe(before);
    });
  }

  it("is dropped: a second leader in a term", () => {
    for (const kind of ["timeoutNow", "heartbeat"] as const) {
      const heart = { commit: 0, round: 0 };
      const led = leader();
      expect(step(led, { kind, ...heart, from: 3, to: 2, term: led.term }).dropped).toMatch(/second leader/);
      expect(led.isLeader).toBe(true);
      const node = follower();
      expect(step(node, { kind: "heartbeat", ...heart, ...head }).dropped).toBeUndefined();
      expect(step(node, { kind, ...heart, ...head, from: 3 }).dropped).toMatch(/second leader/);
      expect(node.leader).toBe(1);
    }
  });
});

it("a heartbeat that speaks of entries which are not here ends nobody, and commits nothing", () => {
  const node = follower();
  const { lastIndex } = node.log;
  const { commit } = node;
  const beat = { kind: "heartbeat", ...head, round: 0 } as const;
  const effects = step(node, { ...beat, commit: lastIndex + 1 });
  expect(effects.dropped).toMatch(/the log ends at/);
  expect([effects.send, node.commit]).toEqual([[], commit]);
  expect(step(node, { ...beat, commit: lastIndex }).dropped).toBeUndefined();
  expect(node.commit).toBe(lastIndex);
});

const number = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 6 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }) },
);
const ids = fc.oneof(
  fc.constant([1, 2, 3]),
  fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }),
);
const set = fc.record({ voters: ids, outgoing: fc.oneof(fc.constant([]), ids), learners: ids, demoted: ids });
const data = fc.uint8Array({ maxLength: 6 });
const anyEntry = fc.oneof(
  fc.record({ kind: fc.constant("empty" as const), index: number, term: number }),
  fc.record({ kind: fc.constant("command" as const), index: number, term: number, data }),
  fc.record({ kind: fc.constant("members" as const), index: number, term: number, members: set }),
);
const from = { from: fc.integer({ min: 0, max: 4 }), to: fc.constant(2), term: number };
const flags = { transfer: fc.boolean(), granted: fc.boolean(), accepted: fc.boolean() };
const kinds = [
  ...(["vote", "preVote", "voteAnswer", "preVoteAnswer", "append", "appendAnswer", "heartbeat"] as const),
  ...(["heartbeatAnswer", "snapshot", "snapshotAnswer", "timeoutNow", "read", "readAnswer"] as const),
];
/** Fields of all kinds. Most messages are made to make sense, as far as one of them alone can be. */
const anyMessage = fc
  .record({
    ...from,
    ...flags,
    kind: fc.constantFrom(...kinds),
    lastIndex: number,
    lastTerm: number,
    previousIndex: number,
    previousTerm: number,
    commit: number,
    entries: fc.array(anyEntry, { maxLength: 3 }),
    index: number,
    hintIndex: number,
    hintTerm: number,
    round: number,
    snapshotTerm: number,
    members: set,
    offset: number,
    total: number,
    data,
    received: number,
    context: number,
    sane: fc.integer({ min: 0, max: 3 }),
  })
  .map((one) => {
    if (one.sane === 0) return one as unknown as Message;
    const upTo = (term: number): number => Math.min(term, one.term);
    const previousTerm = upTo(one.previousIndex === 0 ? 0 : Math.max(1, one.previousTerm));
    const entries = one.entries.map((each, at) => ({
      ...each,
      index: one.previousIndex + 1 + at,
      term: Math.max(previousTerm, one.term - 1, 1),
      ...(each.kind === "members" ? { members: memberSet([1, 2, 3].slice(0, one.sane)) } : {}),
    }));
    const snapshotTerm = upTo(Math.max(1, one.snapshotTerm));
    const total = one.offset + one.data.length;
    return { ...one, previousTerm, entries, members, snapshotTerm, total } as unknown as Message;
  });

it("any run of messages, of which a faulty peer may make up all, ends no node", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.boolean(), fc.array(anyMessage, { maxLength: 12 }), (leads, messages) => {
      const node = leads ? leader() : follower();
      for (const message of messages) {
        const { dropped } = step(node, message);
        seen.add(`${message.kind} ${dropped === undefined ? "taken" : "dropped"}`);
        step(node, { kind: "tick" });
        if (node.isLeader) step(node, { kind: "propose", commands: [new Uint8Array([1])] });
        if (node.handed > (node.log.snapshot?.index ?? node.log.baseIndex))
          step(node, {
            kind: "compact",
            index: node.handed,
            data: new Uint8Array(9),
            keep: 1,
            keepBytes: 200,
          });
      }
    }),
    { numRuns: 4000, seed: 1 },
  );
  for (const kind of kinds)
    for (const what of ["taken", "dropped"]) expect(seen).toContain(`${kind} ${what}`);
});
