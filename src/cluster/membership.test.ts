/** Membership: states, roles and quorum as tables. */
import { describe, expect, it } from "vitest";
import {
  groupOf,
  isCurrentBoot,
  joinRefusal,
  keepsQuorum,
  type Member,
  type MemberState,
  mayBecome,
  memberStates,
  quorumOf,
  roleNames,
  roleOf,
  rolesFrom,
  stabilityScore,
} from "./membership.js";

const voter = rolesFrom(["SHARD_OWNER", "COORDINATOR"])!;
const learner = rolesFrom(["LEARNER", "COORDINATOR"])!;

function member(raftId: number, state: MemberState, roles = voter): Member {
  return {
    uuid: `u${raftId}`,
    name: `node-${raftId}`,
    raftId,
    certFingerprint: "",
    publicKey: `k${raftId}`,
    addresses: { control: "", rpc: "", pg: "" },
    hostLabel: "",
    roles,
    state,
    version: 0,
    joinedAt: 0,
    addedBy: "",
    stateChangedAt: 0,
    stateChangedBy: "",
    stateReason: "",
    boot: { count: 1, nonce: "n" },
  };
}

describe("states", () => {
  it("move as in MEM-17, and REMOVED is final", () => {
    const table = memberStates.map((from) =>
      `${from}: ${memberStates.filter((to) => mayBecome(from, to)).join(" ")}`.trim(),
    );
    expect(table).toEqual([
      "JOINING: ENABLED REMOVED",
      "ENABLED: DISABLED FAILED",
      "DISABLED: ENABLED REMOVED",
      "REMOVED:",
      "FAILED: ENABLED REMOVED",
    ]);
  });

  it("say who votes and who gets the log", () => {
    const members = [
      member(1, "ENABLED"),
      member(2, "FAILED"),
      member(3, "DISABLED"),
      member(4, "JOINING"),
      member(5, "REMOVED"),
      member(6, "ENABLED", learner),
    ];
    expect(groupOf(members)).toEqual({ voters: [1, 2], learners: [3, 4, 6] });
  });
});

describe("roles", () => {
  it("have two vocabularies", () => {
    expect(roleOf("engine")).toBe("SHARD_OWNER");
    expect(roleOf("Backup_Target")).toBe("BACKUP_TARGET");
    expect(roleOf("KING")).toBeUndefined();
  });
  it("make a voter unless they say otherwise, never both voter and learner", () => {
    expect(roleNames(voter)).toEqual(["VOTER", "SHARD_OWNER", "COORDINATOR"]);
    expect(roleNames(rolesFrom(["MONITOR"])!)).toEqual(["MONITOR"]);
    expect(rolesFrom(["VOTER", "LEARNER"])).toBeUndefined();
  });
});

describe("quorum", () => {
  it("is more than half", () => {
    expect([1, 2, 3, 4, 5].map(quorumOf)).toEqual([1, 2, 2, 3, 3]);
  });
  it("is kept by a change only if those who are left and reachable are one", () => {
    const three = [member(1, "ENABLED"), member(2, "ENABLED"), member(3, "ENABLED")];
    const all = (): boolean => true;
    expect(keepsQuorum(three, "u3", all)).toBe(true);
    expect(keepsQuorum(three, "u3", (uuid) => uuid !== "u2")).toBe(false); // 1 of 2
    expect(keepsQuorum(three, "u2", (uuid) => uuid !== "u2")).toBe(true); // the dead one goes
    expect(keepsQuorum([member(1, "ENABLED")], "u1", all)).toBe(false);
    expect(keepsQuorum([member(1, "ENABLED"), member(2, "ENABLED", learner)], "u2", all)).toBe(true);
  });
});

describe("newcomers", () => {
  const known = [member(1, "ENABLED"), member(2, "REMOVED")];
  it("bring nothing that was there before, but the name of one who left", () => {
    expect(joinRefusal(known, { uuid: "u9", name: "node-9", publicKey: "k9" })).toBeUndefined();
    expect(joinRefusal(known, { uuid: "u2", name: "node-9", publicKey: "k9" })).toBe("uuid");
    expect(joinRefusal(known, { uuid: "u9", name: "node-9", publicKey: "k2" })).toBe("key");
    expect(joinRefusal(known, { uuid: "u9", name: "node-1", publicKey: "k9" })).toBe("name");
    expect(joinRefusal(known, { uuid: "u9", name: "node-2", publicKey: "k9" })).toBeUndefined();
  });
});

it("a folder put back over a newer one shows by its starts", () => {
  const known = { count: 5, nonce: "x" };
  expect(isCurrentBoot(known, { count: 6, nonce: "y" })).toBe(true);
  expect(isCurrentBoot(known, known)).toBe(true);
  expect(isCurrentBoot(known, { count: 4, nonce: "w" })).toBe(false);
  expect(isCurrentBoot(known, { count: 5, nonce: "y" })).toBe(false); // counted on from an older folder
});

it("stability is 1 in a quiet hour and falls with what happens", () => {
  const quiet = { joins: 0, leaves: 0, failures: 0, elections: 0, moves: 0 };
  expect(stabilityScore(quiet)).toBeCloseTo(1);
  expect(stabilityScore({ ...quiet, elections: 5 })).toBeCloseTo(0.6);
  expect(stabilityScore({ joins: 5, leaves: 5, failures: 5, elections: 9, moves: 30 })).toBeCloseTo(0);
});
