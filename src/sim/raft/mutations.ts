/**
 * Seeded Raft bugs: each answers one of the rules wrongly, as an implementation once did or could; one more writes in the
 * wrong order. The explorer must notice every one; a checker that passes them would prove nothing about the rules as they are.
 */
import type { HardState, MemberId, MemberSet } from "../../raft/index.js";
import { RaftRules } from "../../raft/index.js";

export interface SeededRaftBug {
  readonly name: string;
  readonly rules: RaftRules;
  /** The script in `raft/testdata` that shows it, where chance alone would take too long. */
  readonly script: string | undefined;
  readonly writesTermLast?: boolean;
}

const bug = (name: string, change: Partial<RaftRules>, script?: string): SeededRaftBug => ({
  name,
  script,
  rules: Object.assign(new RaftRules(), change),
});

export const seededRaftBugs: readonly SeededRaftBug[] = [
  bug(
    "vote not persisted",
    { hardStateToPersist: (state: HardState) => ({ term: state.term, vote: 0 }) },
    "vote-after-restart",
  ),
  bug("term and vote not persisted", { hardStateToPersist: () => undefined }),
  bug("two votes in a term", { mayVoteFor: () => true }),
  bug("vote for a shorter log of the same term", {
    isUpToDate: (lastTerm: number, _lastIndex: number, ownTerm: number) => lastTerm >= ownTerm,
  }),
  bug("vote for a longer log of an earlier term", {
    isUpToDate: (_lastTerm: number, lastIndex: number, _ownTerm: number, ownIndex: number) =>
      lastIndex >= ownIndex,
  }),
  bug("vote for any log", { isUpToDate: () => true }),
  bug("votes of earlier terms counted", { countsVote: () => true }),
  bug("a leader goes on in spite of a higher term", { followsHigherTerm: (isLeader: boolean) => !isLeader }),
  bug("half is a majority", { majority: (size: number) => Math.max(1, Math.floor(size / 2)) }),
  bug(
    "joint sets decide by the new voters alone",
    { votersThatCount: ({ voters }: MemberSet) => [voters] },
    "joint-by-both",
  ),
  bug(
    "joint sets decide by the old voters alone",
    { votersThatCount: ({ voters, outgoing }: MemberSet) => [outgoing.length > 0 ? outgoing : voters] },
    "joint-by-both",
  ),
  bug(
    "joint sets decide by either half's union",
    {
      votersThatCount: ({ voters, outgoing }: MemberSet) => [
        [...new Set<MemberId>([...voters, ...outgoing])],
      ],
    },
    "joint-by-both",
  ),
  bug("appends taken without agreement", {
    agrees: (termHere: number | undefined) => termHere !== undefined,
  }),
  bug("conflicting entries kept", { contradicts: () => false }),
  bug("an old append cuts newer entries", { contradicts: () => true }),
  bug("heartbeats carry the leader's commit as it is", { heartbeatCommit: (commit: number) => commit }),
  bug("entries of earlier terms committed by count", { commitsByCount: () => true }, "entry-of-earlier-term"),
  bug("an answer proves all that was sent", { matched: (_answer: number, lastSent: number) => lastSent }),
  bug(
    "no entry of its term before a change of members",
    { mayChangeMembers: () => true },
    "change-before-first-commit",
  ),
  bug("two changes of members at once", { changeIsUnderWay: () => false }, "changes-at-once"),
  bug("the joint set left before it is committed", { mayLeaveJoint: () => true }),
  bug("a set that was cut off stays in force", { restoresMembersWhenCut: () => false }, "set-cut-off"),
  bug("reads without a round", { readNeedsRound: () => false }, "read"),
  bug("reads before the leader's first commit", { readNeedsOwnTerm: () => true }),
  bug("a snapshot keeps the log that contradicts it", { keepsLogBehindSnapshot: () => true }),
  { ...bug("term and vote behind the entries of a write", {}, "torn-write"), writesTermLast: true },
];
