import { describe, expect, it } from "vitest";
import { LoginTurns } from "./login-turns.js";
import { FakeClock } from "./testing.js";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("turns", () => {
  it("are had at once while few want one, and then one after the other: by address, in their order", () => {
    const clock = new FakeClock();
    const turns = new LoginTurns(clock);
    const begun: string[] = [];
    const leave = new Map<string, () => void>();
    const enter = (name: string, isFirst = false): void => {
      leave.set(
        name,
        turns.enter(name[0]!, () => void begun.push(name), isFirst),
      );
    };
    for (const name of ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "b1", "b2"]) enter(name);
    enter("c1", true);
    expect(begun).toEqual(["a1", "a2", "a3", "a4"]);
    expect(turns.waiting).toBe(6);
    leave.get("a6")!(); // it has given up
    for (const name of ["a1", "a2", "a3", "a1"]) leave.get(name)!();
    expect(begun.slice(4)).toEqual(["c1", "a5", "b1"]);
    // Who lets the server wait is not waited for.
    clock.advance(5);
    expect(begun.slice(7)).toEqual(["a7", "b2"]);
    expect(turns.waiting).toBe(0);
    for (const one of leave.values()) one();
  });

  it("that are over before they have begun do not nest, and let the loop go on", async () => {
    const turns = new LoginTurns(new FakeClock());
    const held = Array.from({ length: 4 }, () => turns.enter("a", () => {}));
    let begun = 0;
    for (let one = 0; one < 10_000; one++) {
      const leave: { now: () => void } = { now: () => {} };
      leave.now = turns.enter("a", () => {
        begun++;
        leave.now();
      });
    }
    expect(begun).toBe(0);
    held[0]!();
    expect(begun).toBe(16);
    for (let rounds = 0; begun < 10_000 && rounds < 1000; rounds++) await turn();
    expect(begun).toBe(10_000);
  });
});
