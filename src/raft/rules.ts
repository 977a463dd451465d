/**
 * The decisions that Raft's safety rests on, each by itself and by name. The core asks here and nowhere else, so each can
 * be read against the paper, and a seeded bug is one of them answered wrongly (`sim/raft/mutations.ts`).
 *
 * Source: Ongaro, "Consensus: bridging theory and practice" (2014); sections are named where the rule is.
 */
import type { HardState, MemberId, MemberSet } from "./contract.js";

export class RaftRules {
  /** 3.6.1: a voter refuses a candidate whose log is behind its own. */
  isUpToDate(lastTerm: number, lastIndex: number, ownTerm: number, ownIndex: number): boolean {
    return lastTerm > ownTerm || (lastTerm === ownTerm && lastIndex >= ownIndex);
  }

  /** 3.4: one vote in a term; asked again by the same candidate it is the same vote. */
  mayVoteFor(candidate: MemberId, vote: MemberId): boolean {
    return vote === 0 || vote === candidate;
  }

  /** 3.8: term and vote are durable before anybody hears of them. */
  hardStateToPersist(state: HardState): HardState | undefined {
    return state;
  }

  /** 3.4: an answer counts only in the term it was asked in. */
  countsVote(answerTerm: number, term: number): boolean {
    return answerTerm === term;
  }

  /** 3.3: who sees a higher term follows it. */
  followsHigherTerm(_isLeader: boolean): boolean {
    return true;
  }

  /** 3.3: more than half. */
  majority(size: number): number {
    return Math.floor(size / 2) + 1;
  }

  /** 4.3: a joint set decides by both of its halves. */
  votersThatCount(members: MemberSet): readonly (readonly MemberId[])[] {
    return members.outgoing.length > 0 ? [members.voters, members.outgoing] : [members.voters];
  }

  /** 3.5: entries are taken only behind an entry that agrees. */
  agrees(termHere: number | undefined, previousTerm: number): boolean {
    return termHere === previousTerm;
  }

  /** 3.5: what contradicts the leader is cut off, and only that: an old message cuts nothing. */
  contradicts(termHere: number | undefined, term: number): boolean {
    return termHere !== undefined && termHere !== term;
  }

  /** 3.5: a follower commits no further than what it knows to agree with the leader. */
  followerCommit(leaderCommit: number, lastAgreed: number, _lastIndex: number): number {
    return Math.min(leaderCommit, lastAgreed);
  }

  /** A heartbeat carries no more than the peer is known to hold. */
  heartbeatCommit(commit: number, match: number): number {
    return Math.min(commit, match);
  }

  /** 3.6.2: entries of earlier terms are not committed by counting. */
  commitsByCount(entryTerm: number, term: number): boolean {
    return entryTerm === term;
  }

  /** What an accepted append proves. */
  matched(answerIndex: number, _lastSent: number): number {
    return answerIndex;
  }

  /** Ongaro's correction of 2015: no change of members before the leader has committed an entry of its term. */
  mayChangeMembers(committedTerm: number, term: number): boolean {
    return committedTerm === term;
  }

  /** 4.1: one change at a time. */
  changeIsUnderWay(membersIndex: number, commit: number, isJoint: boolean): boolean {
    return membersIndex > commit || isJoint;
  }

  /** 4.3: the old voters lose their say only once the joint set is committed. */
  mayLeaveJoint(membersIndex: number, commit: number): boolean {
    return membersIndex <= commit;
  }

  /** 4.1: a set is in force when it is in the log; cut off, it is in force no more. */
  restoresMembersWhenCut(): boolean {
    return true;
  }

  /** 6.4: a read waits for a round that a quorum confirms. */
  readNeedsRound(): boolean {
    return true;
  }

  /** 6.4: and for an entry committed in the leader's term, before which it does not know what is committed. */
  readNeedsOwnTerm(committedTerm: number, term: number): boolean {
    return committedTerm === term;
  }

  /** 4.2.1: learners are neither asked nor counted. */
  mayCampaign(isVoter: boolean): boolean {
    return isVoter;
  }

  /** A snapshot replaces a log that does not hold its last entry. */
  keepsLogBehindSnapshot(termHere: number | undefined, snapshotTerm: number): boolean {
    return termHere === snapshotTerm;
  }
}

export const raftRules = new RaftRules();
