/**
 * Sets of members and what counts as a quorum of one.
 *
 * One voter more or less is one step: any two majorities of the sets before and after meet (Ongaro 2014, 4.1). Larger
 * changes go through a joint set (4.3): first `voters` and `outgoing` must both agree, and once that set is committed it is
 * left for `voters` alone.
 *
 * Invariants: a set has at least one voter; nobody is voter and learner at once; ids are sorted and each stands once.
 */
import { assert } from "../base/errors.js";
import type { MemberId, MemberSet, MemberTarget } from "./contract.js";

const sorted = (ids: Iterable<MemberId>): MemberId[] => [...new Set(ids)].sort((a, b) => a - b);

export function memberSet(voters: readonly MemberId[], learners: readonly MemberId[] = []): MemberSet {
  return { voters: sorted(voters), outgoing: [], learners: sorted(learners), demoted: [] };
}

export const isJoint = (members: MemberSet): boolean => members.outgoing.length > 0;

export function isVoter(members: MemberSet, id: MemberId): boolean {
  return members.voters.includes(id) || members.outgoing.includes(id);
}

/** Everybody who gets the log, sorted. */
export function everybody({ voters, outgoing, learners }: MemberSet): MemberId[] {
  return sorted([...voters, ...outgoing, ...learners]);
}

/** Whether a target can be a set at all. */
export function isWellFormed({ voters, learners }: MemberTarget): boolean {
  const all = [...voters, ...learners];
  return (
    voters.length > 0 &&
    new Set(all).size === all.length &&
    all.every((id) => Number.isSafeInteger(id) && id > 0)
  );
}

/** The set to append on the way to `target`: joint when more than one voter differs. */
export function towards(members: MemberSet, target: MemberTarget): MemberSet {
  assert(!isJoint(members), "one change of members at a time");
  const voters = sorted(target.voters);
  const learners = sorted(target.learners);
  const added = voters.filter((id) => !members.voters.includes(id)).length;
  const removed = members.voters.filter((id) => !voters.includes(id)).length;
  if (added + removed <= 1) return { voters, outgoing: [], learners, demoted: [] };
  const demoted = learners.filter((id) => members.voters.includes(id));
  return {
    voters,
    outgoing: members.voters,
    learners: learners.filter((id) => !demoted.includes(id)),
    demoted,
  };
}

/** What a joint set is left for. */
export function leave(members: MemberSet): MemberSet {
  assert(isJoint(members), "only a joint set is left");
  return {
    voters: members.voters,
    outgoing: [],
    learners: sorted([...members.learners, ...members.demoted]),
    demoted: [],
  };
}

export function sameMembers(a: MemberSet, b: MemberSet): boolean {
  const same = (x: readonly MemberId[], y: readonly MemberId[]): boolean =>
    x.length === y.length && x.every((id, at) => id === y[at]);
  return (
    same(a.voters, b.voters) &&
    same(a.outgoing, b.outgoing) &&
    same(a.learners, b.learners) &&
    same(a.demoted, b.demoted)
  );
}
