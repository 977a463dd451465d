import { describe, expect, it } from "vitest";
import type { Isolation } from "../mga/contract.js";
import { findCycle, HistoryCheck, type HistoryTransaction, type Operation } from "./history.js";

/** "a1=2" appends 2 to key 1, "a1=2!" is taken back; "r1=2,3" reads. Times: [began, ended]. */
function transaction(
  text: string,
  began: number,
  ended: number,
  status: HistoryTransaction["status"] = "committed",
): HistoryTransaction {
  const operations = text.split(" ").map((word): Operation => {
    const key = Number(word[1]);
    const rest = word.slice(3);
    if (word[0] === "a")
      return { kind: "append", key, value: Number.parseInt(rest, 10), undone: rest.endsWith("!") };
    return { kind: "read", key, list: rest === "" ? [] : rest.split(",").map(Number), at: began };
  });
  return { connection: 0, operations, began, ended, status };
}

function names(
  isolation: Isolation,
  final: Record<number, number[]>,
  ...history: HistoryTransaction[]
): string[] {
  const lists = new Map(Object.entries(final).map(([key, list]) => [Number(key), list]));
  return [...new Set(new HistoryCheck(history, lists, isolation).run().map(({ name }) => name))];
}

describe("history checker", () => {
  it("finds nothing in a serial history", () => {
    const history = [
      transaction("r1= a1=1 r1=1", 0, 1),
      transaction("r1=1 a1=2 a2=3", 2, 3),
      transaction("r1=1,2 r2=3", 4, 5),
    ];
    expect(names("serializable", { 1: [1, 2], 2: [3] }, ...history)).toEqual([]);
  });

  it("tells write skew from what snapshot isolation refuses", () => {
    const skew = [transaction("r1= a2=1", 0, 10), transaction("r2= a1=2", 1, 11)];
    expect(names("repeatableRead", { 1: [2], 2: [1] }, ...skew)).toEqual([]);
    expect(names("serializable", { 1: [2], 2: [1] }, ...skew)).toEqual(["write skew (G2)"]);
  });

  it("finds lost updates, long forks and skewed reads", () => {
    const final = { 1: [1, 2], 2: [3] };
    expect(
      names("repeatableRead", { 1: [1, 2] }, transaction("r1= a1=1", 0, 10), transaction("r1= a1=2", 0, 10)),
    ).toContain("lost update");
    expect(
      names(
        "repeatableRead",
        { 1: [1], 2: [2] },
        transaction("a1=1 a2=2", 0, 10),
        transaction("r1=1 r2=", 0, 10),
      ),
    ).toEqual(["G-SI"]);
    expect(
      names(
        "repeatableRead",
        { 1: [1], 2: [2] },
        transaction("a1=1", 0, 10),
        transaction("a2=2", 0, 10),
        transaction("r1=1 r2=", 0, 10),
        transaction("r1= r2=2", 0, 10),
      ),
    ).toEqual(["G-SI"]);
    expect(
      names(
        "repeatableRead",
        final,
        transaction("a1=1", 0, 9),
        transaction("a1=2", 0, 9),
        transaction("a2=3", 0, 9),
        transaction("r1=1 r1=1,2", 0, 9),
      ),
    ).toContain("changed read");
  });

  it("finds what no level allows", () => {
    const rc = "readCommitted";
    expect(
      names(
        rc,
        { 1: [1] },
        transaction("a1=1", 0, 1),
        transaction("a1=2", 0, 1, "aborted"),
        transaction("r1=1,2", 0, 1),
      ),
    ).toEqual(["G1a aborted read"]);
    expect(names(rc, { 1: [1] }, transaction("a1=1 a1=2!", 0, 9), transaction("r1=1,2", 0, 9))).toEqual([
      "G1a aborted read",
    ]);
    expect(names(rc, { 1: [1, 2] }, transaction("a1=1 a1=2", 0, 9), transaction("r1=1", 0, 9))).toEqual([
      "G1b intermediate read",
    ]);
    expect(
      names(rc, { 1: [1, 4], 2: [3, 2] }, transaction("a1=1 a2=2", 0, 9), transaction("a2=3 a1=4", 0, 9)),
    ).toEqual(["G0", "G1c"]);
    expect(
      names(rc, { 1: [1], 2: [2] }, transaction("a1=1 r2=2", 0, 9), transaction("a2=2 r1=1", 0, 9)),
    ).toEqual(["G1c"]);
    expect(names(rc, { 1: [] }, transaction("a1=1", 0, 1))).toEqual(["lost write"]);
    expect(names(rc, { 1: [1] }, transaction("a1=1", 0, 1), transaction("r1=", 2, 3))).toEqual([
      "stale read",
    ]);
    expect(
      names(
        rc,
        { 1: [1, 2] },
        transaction("a1=1", 0, 9),
        transaction("a1=2", 0, 9),
        transaction("r1=2", 0, 9),
      ),
    ).toEqual(["incompatible order"]);
    expect(names(rc, { 1: [1, 1] }, transaction("a1=1", 0, 9))).toContain("doubled row or value");
  });

  it("takes an unanswered COMMIT as what the lists say", () => {
    expect(
      names(
        "serializable",
        { 1: [1] },
        transaction("a1=1", 0, 9, "unknown"),
        transaction("a1=2", 0, 9, "unknown"),
      ),
    ).toEqual([]);
    expect(
      names("serializable", { 1: [] }, transaction("a1=1", 0, 9, "unknown"), transaction("r1=1", 0, 9)),
    ).toEqual(["G1a aborted read"]);
    expect(names("serializable", { 1: [1], 2: [] }, transaction("a1=1 a2=2", 0, 9, "unknown"))).toEqual([
      "lost write",
    ]);
  });

  it("finds cycles", () => {
    const edges = [[1], [2], [0], []];
    expect(findCycle(4, (from) => edges[from]!)).toEqual([0, 1, 2]);
    expect(findCycle(3, (from) => (from < 2 ? [from + 1] : []))).toBeUndefined();
  });
});
