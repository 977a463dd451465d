/**
 * Who belongs to the cluster, in which roles and in which state (spec/02, MEM-1..42). Pure.
 *
 * | state    | votes, if VOTER | works        | gets the log |
 * |----------|-----------------|--------------|--------------|
 * | JOINING  |                 |              | as a learner |
 * | ENABLED  | yes             | by its roles | yes          |
 * | DISABLED |                 | status only  | yes          |
 * | FAILED   | yes             |              | yes          |
 * | REMOVED  |                 |              |              |
 *
 * FAILED takes a node out of data placement only: it stays a voter, and is ENABLED again by itself after a fresh
 * attestation (rule C1, which overrides MEM-37 and MEM-38).
 *
 * Invariants: a uuid, a name in use, a public key and a Raft id belong to one member, and are never given again; REMOVED is
 * final; no change leaves the voters without a quorum of those that are reachable.
 */
import type { MemberId } from "../raft/index.js";
import type { CertificateFacts } from "./certificates.js";

/** MEM-13: bits of a member's roles. */
export const roleBits = {
  VOTER: 0x01,
  LEARNER: 0x02,
  SHARD_OWNER: 0x04,
  COORDINATOR: 0x08,
  SCHEDULER_AGENT: 0x10,
  BACKUP_TARGET: 0x20,
  MONITOR: 0x40,
} as const;
export type Role = keyof typeof roleBits;

export const memberStates = ["JOINING", "ENABLED", "DISABLED", "REMOVED", "FAILED"] as const;
export type MemberState = (typeof memberStates)[number];

export interface Member {
  readonly uuid: string;
  readonly name: string;
  readonly raftId: MemberId;
  /** SHA-256 of the DER certificate, hexadecimal. */
  readonly certFingerprint: string;
  /** Raw Ed25519 key, base64. */
  readonly publicKey: string;
  /** Undefined: it was admitted with one that the cluster did not issue itself. */
  readonly certificate?: CertificateFacts | undefined;
  /** The one before: believed until the next, so that connections made with it live on. */
  readonly former?: Pick<Member, "certFingerprint" | "publicKey" | "certificate"> | undefined;
  /** Its certificate was revoked by a CA that is gone: it does not help itself to another one. */
  readonly isTakenBack?: boolean | undefined;
  readonly addresses: { readonly control: string; readonly rpc: string; readonly pg: string };
  readonly hostLabel: string;
  readonly roles: number;
  readonly state: MemberState;
  /** Packed, as in `epochs.ts`. */
  readonly version: number;
  readonly joinedAt: number;
  readonly addedBy: string;
  readonly stateChangedAt: number;
  readonly stateChangedBy: string;
  readonly stateReason: string;
  /**
   * How often it was started, and a random number of that start. A folder that is put back over a newer one counts on
   * from an older number, or comes with another random one: it has forgotten what it promised, and is refused.
   */
  readonly boot: { readonly count: number; readonly nonce: string };
}

/** MEM-17, with the ways back of spec/02 R6 and R7. */
const moves: Readonly<Record<MemberState, readonly MemberState[]>> = {
  JOINING: ["ENABLED", "REMOVED"],
  ENABLED: ["DISABLED", "FAILED"],
  DISABLED: ["ENABLED", "REMOVED"],
  FAILED: ["ENABLED", "REMOVED"],
  REMOVED: [],
};
export function mayBecome(from: MemberState, to: MemberState): boolean {
  return moves[from].includes(to);
}

/** Names of roles as SQL takes them; ENGINE is SHARD_OWNER. Undefined: no such role. */
export function roleOf(name: string): Role | undefined {
  const upper = name.toUpperCase();
  if (upper === "ENGINE") return "SHARD_OWNER";
  return upper in roleBits ? (upper as Role) : undefined;
}

/** A node without LEARNER or MONITOR is a VOTER unless stated (spec/02 R1). Undefined: VOTER with LEARNER (MEM-14). */
export function rolesFrom(roles: readonly Role[]): number | undefined {
  let bits = 0;
  for (const role of roles) bits |= roleBits[role];
  if ((bits & (roleBits.LEARNER | roleBits.MONITOR)) === 0) bits |= roleBits.VOTER;
  return (bits & roleBits.VOTER) !== 0 && (bits & roleBits.LEARNER) !== 0 ? undefined : bits;
}

export function roleNames(bits: number): Role[] {
  return (Object.keys(roleBits) as Role[]).filter((role) => (bits & roleBits[role]) !== 0);
}
export function hasRole({ roles }: Pick<Member, "roles">, role: Role): boolean {
  return (roles & roleBits[role]) !== 0;
}

/** Whether clients are served there, and change things from there: MONITOR alone shows its status (MEM-15). */
export function servesClients(member: Pick<Member, "roles">): boolean {
  return hasRole(member, "COORDINATOR") || hasRole(member, "SHARD_OWNER");
}

/** Whether it counts for elections and quorum. */
export function isVoting(member: Pick<Member, "roles" | "state">): boolean {
  return hasRole(member, "VOTER") && (member.state === "ENABLED" || member.state === "FAILED");
}
/** Whether it gets the log at all. */
export function isFollowing({ state }: Pick<Member, "state">): boolean {
  return state !== "REMOVED";
}

/** MEM-29. */
export function quorumOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/** The Raft group that the members ask for; one change at a time leads there. */
export function groupOf(members: Iterable<Member>): { voters: MemberId[]; learners: MemberId[] } {
  const voters: MemberId[] = [];
  const learners: MemberId[] = [];
  for (const member of members) {
    if (isVoting(member)) voters.push(member.raftId);
    else if (isFollowing(member)) learners.push(member.raftId);
  }
  return { voters: voters.sort((a, b) => a - b), learners: learners.sort((a, b) => a - b) };
}

/**
 * Whether a member's vote may be taken away: those voters that are left and reachable must be a quorum of all that are
 * left (spec/02 R8).
 */
export function keepsQuorum(
  members: Iterable<Member>,
  leaving: string,
  isReachable: (uuid: string) => boolean,
): boolean {
  let voters = 0;
  let reachable = 0;
  for (const member of members) {
    if (!isVoting(member) || member.uuid === leaving) continue;
    voters++;
    if (isReachable(member.uuid)) reachable++;
  }
  return voters > 0 && reachable >= quorumOf(voters);
}

export type JoinRefusal = "uuid" | "name" | "key";

/** What stands against a newcomer: MEM-1, MEM-3. History counts: nothing of a removed member comes back. */
export function joinRefusal(
  members: Iterable<Member>,
  newcomer: Pick<Member, "uuid" | "name" | "publicKey">,
): JoinRefusal | undefined {
  for (const member of members) {
    if (member.uuid === newcomer.uuid) return "uuid";
    if (member.publicKey === newcomer.publicKey) return "key";
    if (member.name === newcomer.name && member.state !== "REMOVED") return "name";
  }
  return undefined;
}

/** What a node shows of its start: the names of those before it too. */
export interface BootShown {
  readonly count: number;
  readonly nonce: string;
  readonly earlier?: readonly string[] | undefined;
}

/** Whether the folder has seen a start of its own: one that was put back, or copied before, has not. */
export function remembers(shown: BootShown, nonce: string): boolean {
  return shown.nonce === nonce || shown.earlier?.includes(nonce) === true;
}

/** Whether a start of a member is its newest: a folder that was put back is not. */
export function isCurrentBoot(known: Member["boot"], shown: Member["boot"]): boolean {
  if (shown.count !== known.count) return shown.count > known.count;
  return shown.nonce === known.nonce;
}

/** OBS-22: how calm the last hour was, from 0 to 1. */
export function stabilityScore(hour: {
  readonly joins: number;
  readonly leaves: number;
  readonly failures: number;
  readonly elections: number;
  readonly moves: number;
}): number {
  const members = 1 - Math.min(1, (hour.joins + hour.leaves + hour.failures) / 10);
  const leaders = 1 - Math.min(1, hour.elections / 5);
  const shards = 1 - Math.min(1, hour.moves / 20);
  return 0.4 * members + 0.4 * leaders + 0.2 * shards;
}
