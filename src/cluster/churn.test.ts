import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChurnWindow } from "./churn.js";
import { type Member, type MemberState, stabilityScore } from "./membership.js";

const hour = 3_600_000;
const start = Date.UTC(2026, 0, 2, 10, 20, 0);

function member(
  n: number,
  state: MemberState,
  joinedAt: number,
  stateChangedAt = joinedAt,
): [string, Member] {
  const uuid = `00000000-0000-7000-8000-00000000000${n}`;
  return [
    uuid,
    {
      uuid,
      name: `node-${n}`,
      raftId: n,
      certFingerprint: "",
      publicKey: `key-${n}`,
      addresses: { control: "", rpc: "", pg: "" },
      hostLabel: "",
      roles: 1,
      state,
      version: 1,
      joinedAt,
      addedBy: "test",
      stateChangedAt,
      stateChangedBy: "test",
      stateReason: "",
      boot: { count: 1, nonce: "" },
    },
  ];
}

describe("churn", () => {
  it("of a quiet cluster is nothing: its founder and the leader that was found are no changes", () => {
    const churn = new ChurnWindow(start);
    churn.noteMembers(new Map([member(1, "ENABLED", start)]), start + 1);
    churn.noteLeaderChanges(1, start + 1000);
    expect(churn.lastHour(start + 5000)).toEqual({
      observedAt: start + 5000,
      joins: 0,
      leaves: 0,
      failures: 0,
      elections: 0,
      moves: 0,
      rebalances: 0,
      partitions: 0,
      averageTenureSeconds: undefined,
      score: 1,
    });
    expect(churn.totals).toEqual({ joins: 0, failures: 0, leaves: { graceful: 0, forced: 0 } });
  });

  it("follows members by comparing: joins, failures each time, leaves with their reason", () => {
    const churn = new ChurnWindow(start);
    const at = (minutes: number): number => start + minutes * 60_000;
    const see = (minutes: number, ...members: [string, Member][]): void =>
      churn.noteMembers(new Map([member(1, "ENABLED", start), ...members]), at(minutes));
    see(1, member(2, "JOINING", at(1)));
    see(2, member(2, "ENABLED", at(1), at(2)), member(3, "JOINING", at(2)));
    see(2, member(2, "ENABLED", at(1), at(2)), member(3, "JOINING", at(2)));
    expect(churn.totals).toEqual({ joins: 2, failures: 0, leaves: { graceful: 0, forced: 0 } });
    see(3, member(2, "FAILED", at(1), at(3)), member(3, "ENABLED", at(2), at(3)));
    see(4, member(2, "ENABLED", at(1), at(4)), member(3, "DISABLED", at(2), at(4)));
    see(5, member(2, "FAILED", at(1), at(5)), member(3, "REMOVED", at(2), at(5)));
    // Back and failed again between two looks.
    see(7, member(2, "FAILED", at(1), at(7)), member(3, "REMOVED", at(2), at(5)));
    expect(churn.totals).toEqual({ joins: 2, failures: 3, leaves: { graceful: 1, forced: 0 } });
    see(8, member(2, "REMOVED", at(1), at(8)), member(3, "REMOVED", at(2), at(5)));
    expect(churn.totals).toEqual({ joins: 2, failures: 3, leaves: { graceful: 1, forced: 1 } });
    expect(churn.lastHour(at(9))).toMatchObject({ joins: 2, leaves: 2, failures: 3 });
    expect(churn.score(at(9))).toBeCloseTo(0.4 * 0.3 + 0.4 + 0.2);
  });

  it("after a start takes the last hour from the members, and counts none of it as seen", () => {
    const churn = new ChurnWindow(start);
    churn.noteMembers(
      new Map([
        member(1, "ENABLED", start - 9 * hour),
        member(2, "ENABLED", start - 2 * hour),
        member(3, "FAILED", start - 3 * hour, start - 60_000),
        member(4, "ENABLED", start - 120_000),
        member(5, "REMOVED", start - hour / 2, start - 1),
      ]),
      start + 10,
    );
    expect(churn.lastHour(start + 10)).toMatchObject({ joins: 2, failures: 1, leaves: 1 });
    expect(churn.totals).toEqual({ joins: 0, failures: 0, leaves: { graceful: 0, forced: 0 } });
  });

  it("forgets after an hour, up to ten seconds early and never late", () => {
    const churn = new ChurnWindow(start);
    churn.note("move", start + 4_000);
    expect(churn.lastHour(start + 4_000).moves).toBe(1);
    expect(churn.lastHour(start + hour - 6_001).moves).toBe(1);
    expect(churn.lastHour(start + hour + 4_000).moves).toBe(0);
    churn.note("move", start + 3 * hour);
    expect(churn.lastHour(start + 3 * hour).moves).toBe(1);
  });

  it("knows elections and how long leaders stayed", () => {
    const churn = new ChurnWindow(start);
    churn.noteLeaderChanges(1, start);
    churn.noteLeaderChanges(1, start + 100_000);
    churn.noteLeaderChanges(2, start + 600_000);
    churn.noteLeaderChanges(3, start + 800_000);
    expect(churn.lastHour(start + 900_000)).toMatchObject({ elections: 2, averageTenureSeconds: 400 });
    expect(churn.score(start + 900_000)).toBeCloseTo(0.4 + 0.4 * 0.6 + 0.2);
    // Two that came and went between two looks.
    churn.noteLeaderChanges(5, start + 1_000_000);
    expect(churn.lastHour(start + 1_000_000)).toMatchObject({ elections: 4, averageTenureSeconds: 250 });
  });

  it("keeps a row for each whole hour since the start, thirty days at most", () => {
    const churn = new ChurnWindow(start);
    churn.note("partition", start + 1);
    churn.note("rebalance", start + hour);
    for (let n = 0; n < 7; n++) churn.note("move", start + hour + n);
    const rows = churn.rows(start + 2 * hour);
    expect(rows.map((row) => new Date(row.observedAt).toISOString().slice(11, 16))).toEqual([
      "12:20",
      "12:00",
      "11:00",
    ]);
    expect(rows[2]).toMatchObject({ partitions: 1, moves: 0, score: 1 });
    expect(rows[1]).toMatchObject({ partitions: 0, rebalances: 1, moves: 7, score: 1 - 0.2 * (7 / 20) });
    expect(rows[0]).toMatchObject({ partitions: 0, rebalances: 0, moves: 0 });
    expect(churn.rows(start + 10_000 * hour)).toHaveLength(720);
    expect(churn.rows(start)).toHaveLength(1);
  });

  it("takes another node's time for its own where that is ahead", () => {
    const churn = new ChurnWindow(start);
    churn.noteMembers(new Map([member(2, "JOINING", start + 5 * hour)]), start + 1000);
    expect(churn.lastHour(start + 2000).joins).toBe(1);
    expect(churn.totals.joins).toBe(1);
    expect(churn.lastHour(start + 2 * hour).joins).toBe(0);
  });

  it("agrees with a list of events", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 8_000 }), { maxLength: 60 }), (steps) => {
        const churn = new ChurnWindow(start);
        const events: number[] = [];
        let now = start;
        for (const step of steps) {
          now += step * 100;
          churn.note("move", now);
          events.push(now);
          const inside = events.filter((at) => at > now - hour + 10_000).length;
          const atMost = events.filter((at) => at > now - hour).length;
          const { moves, score } = churn.lastHour(now);
          expect(moves).toBeGreaterThanOrEqual(inside);
          expect(moves).toBeLessThanOrEqual(atMost);
          expect(score).toBe(stabilityScore({ joins: 0, leaves: 0, failures: 0, elections: 0, moves }));
        }
      }),
      { numRuns: 200, seed: 1 },
    );
  });
});
