import { describe, expect, it } from "vitest";
import { RaftCounts } from "./raft-counts.js";

describe("counts of consensus", () => {
  it("measure each time without a leader once, from the start or the loss of one", () => {
    const counts = new RaftCounts(0, 1000);
    counts.noteLeader(false, 1100);
    counts.noteLeader(true, 1400);
    counts.noteLeader(true, 2000);
    expect([counts.elections.count, counts.elections.sum]).toEqual([1, 0.4]);
    counts.noteLeader(false, 10_000);
    counts.noteLeader(false, 10_500);
    counts.noteLeader(true, 12_000);
    expect([counts.elections.count, counts.elections.sum]).toEqual([2, 2.4]);
  });

  it("measure commits, and count newer snapshots", () => {
    const counts = new RaftCounts(50, 0);
    counts.noteCommit(100, 104);
    for (const index of [50, 40, 90, 90, 120]) counts.noteSnapshot(index);
    expect(counts.replication.sum).toBeCloseTo(0.004);
    expect(counts.compactions).toBe(2);
  });

  it("cross a thread as plain numbers", () => {
    const counts = new RaftCounts(0, 0);
    counts.noteLeader(true, 700);
    counts.noteSnapshot(3);
    const { compactions, elections, replication } = structuredClone(counts);
    expect([compactions, elections.count, elections.counts[4], replication.count]).toEqual([1, 1, 1, 0]);
  });
});
