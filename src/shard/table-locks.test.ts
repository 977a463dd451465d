import fc from "fast-check";
import { expect, test } from "vitest";
import { DbError } from "../base/errors.js";
import { isWait } from "../base/wait.js";
import { WaitGraph } from "../mga/index.js";
import { SimClock } from "../sim/clock.js";
import { LockHolder, type LockMode, lockModes, TableLocks } from "./table-locks.js";

/** PostgreSQL 15 manual, table 13.2: the modes each mode conflicts with. */
const matrix: Readonly<Record<LockMode, readonly LockMode[]>> = {
  AccessShare: ["AccessExclusive"],
  RowShare: ["Exclusive", "AccessExclusive"],
  RowExclusive: ["Share", "ShareRowExclusive", "Exclusive", "AccessExclusive"],
  ShareUpdateExclusive: [
    "ShareUpdateExclusive",
    "Share",
    "ShareRowExclusive",
    "Exclusive",
    "AccessExclusive",
  ],
  Share: ["RowExclusive", "ShareUpdateExclusive", "ShareRowExclusive", "Exclusive", "AccessExclusive"],
  ShareRowExclusive: [
    "RowExclusive",
    "ShareUpdateExclusive",
    "Share",
    "ShareRowExclusive",
    "Exclusive",
    "AccessExclusive",
  ],
  Exclusive: [
    "RowShare",
    "RowExclusive",
    "ShareUpdateExclusive",
    "Share",
    "ShareRowExclusive",
    "Exclusive",
    "AccessExclusive",
  ],
  AccessExclusive: lockModes,
};

/** undefined: granted at once. */
function ask(
  locks: TableLocks,
  holder: LockHolder,
  mode: LockMode,
  { table = 1, timeout = 0 } = {},
): Promise<string> | undefined {
  try {
    locks.acquire(holder, table, mode, timeout, "t");
    return undefined;
  } catch (thrown) {
    if (!isWait(thrown)) throw thrown;
    return thrown.ready.then(
      () => "granted",
      (error: unknown) => (error instanceof DbError ? error.sqlstate : String(error)),
    );
  }
}

const graphed = (clock: SimClock, deadlockMs: number): TableLocks =>
  new TableLocks(clock, new WaitGraph(clock, deadlockMs));
const heldBy = (locks: TableLocks, pid: number): string[] =>
  [...locks.list()].filter((lock) => lock.pid === pid && lock.granted).map(({ mode }) => mode);

test.each(lockModes)("%s conflicts with what the manual says", (held) => {
  for (const wanted of lockModes) {
    const locks = new TableLocks(new SimClock());
    expect(ask(locks, new LockHolder(1), held)).toBeUndefined();
    const other = new LockHolder(2);
    if (matrix[held].includes(wanted)) {
      expect(() => locks.acquire(other, 1, wanted, -1, "t")).toThrow('could not obtain lock on relation "t"');
    } else expect(ask(locks, other, wanted)).toBeUndefined();
  }
});

test("a holder never conflicts with itself, and keeps what it has", () => {
  const locks = new TableLocks(new SimClock());
  const holder = new LockHolder(1);
  for (const mode of lockModes) expect(ask(locks, holder, mode)).toBeUndefined();
  expect(heldBy(locks, 1)).toEqual([...lockModes]);
  locks.releaseAll(holder);
  expect([...locks.list()]).toEqual([]);
});

test("a waiting exclusive lock is not starved by later weak ones", async () => {
  const locks = new TableLocks(new SimClock());
  const [reader, writer, late] = [new LockHolder(1), new LockHolder(2), new LockHolder(3)];
  ask(locks, reader, "AccessShare");
  const order: string[] = [];
  const exclusive = ask(locks, writer, "AccessExclusive")!.then(() => order.push("writer"));
  const weak = ask(locks, late, "AccessShare")!.then(() => order.push("late"));
  expect(() => locks.acquire(new LockHolder(4), 1, "AccessShare", -1, "t")).toThrow(DbError);
  // Who holds a lock already goes before the queue: it is what the queue waits for.
  expect(ask(locks, reader, "RowShare")).toBeUndefined();
  locks.releaseAll(reader);
  await exclusive;
  expect(heldBy(locks, 2)).toEqual(["AccessExclusive"]);
  expect(order).toEqual(["writer"]);
  locks.releaseAll(writer);
  await weak;
  expect(order).toEqual(["writer", "late"]);
});

test("those who do not conflict with each other are granted together", async () => {
  const locks = new TableLocks(new SimClock());
  const first = new LockHolder(1);
  ask(locks, first, "AccessExclusive");
  const waits = [2, 3, 4].map((pid) => ask(locks, new LockHolder(pid), "RowExclusive")!);
  locks.releaseAll(first);
  expect(await Promise.all(waits)).toEqual(["granted", "granted", "granted"]);
});

test("lock_timeout is 55P03 and lets those behind go on", async () => {
  const clock = new SimClock();
  const locks = new TableLocks(clock);
  const reader = new LockHolder(1);
  ask(locks, reader, "AccessShare");
  const began = clock.monotonic();
  const exclusive = ask(locks, new LockHolder(2), "AccessExclusive", { timeout: 50 })!;
  const behind = ask(locks, new LockHolder(3), "AccessShare")!;
  expect(await exclusive).toBe("55P03");
  expect(clock.monotonic() - began).toBe(50);
  expect(await behind).toBe("granted");
});

test("a circle ends with 40P01 for one of its members", async () => {
  const locks = graphed(new SimClock(), 100);
  const [a, b] = [new LockHolder(1), new LockHolder(2)];
  ask(locks, a, "Exclusive", { table: 1 });
  ask(locks, b, "Exclusive", { table: 2 });
  const waits = [
    ask(locks, a, "Exclusive", { table: 2 })!.then((result) => [a, result] as const),
    ask(locks, b, "Exclusive", { table: 1 })!.then((result) => [b, result] as const),
  ];
  const [victim, result] = await Promise.race(waits);
  expect(result).toBe("40P01");
  locks.releaseAll(victim);
  const results = await Promise.all(waits);
  expect(results.map(([, one]) => one).sort()).toEqual(["40P01", "granted"]);
});

test("a long wait without a circle is no deadlock", async () => {
  const clock = new SimClock();
  const locks = graphed(clock, 10);
  const [a, b, c] = [new LockHolder(1), new LockHolder(2), new LockHolder(3)];
  ask(locks, a, "Exclusive");
  const second = ask(locks, b, "Exclusive")!;
  const third = ask(locks, c, "Exclusive")!;
  await new Promise<void>((resolve) => clock.after(1000, resolve));
  locks.releaseAll(a);
  expect(await second).toBe("granted");
  locks.releaseAll(b);
  expect(await third).toBe("granted");
});

test("a cancelled wait leaves the queue", async () => {
  const locks = new TableLocks(new SimClock());
  const [a, b, c] = [new LockHolder(1), new LockHolder(2), new LockHolder(3)];
  ask(locks, a, "AccessShare");
  const wait = ask(locks, b, "AccessExclusive")!;
  b.waitingFor!.fail(new DbError("queryCanceled", "canceled"));
  expect(await wait).toBe("57014");
  expect(b.waitingFor).toBeUndefined();
  expect(ask(locks, c, "AccessShare")).toBeUndefined();
});

test("whatever is asked and released, no two holders have locks that conflict, and nobody is left behind", async () => {
  const step = fc.record({
    holder: fc.integer({ min: 0, max: 3 }),
    table: fc.integer({ min: 1, max: 2 }),
    mode: fc.constantFrom(...lockModes),
    release: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const locks = graphed(new SimClock(), 1e9);
      const holders = [1, 2, 3, 4].map((pid) => new LockHolder(pid));
      const check = (): void => {
        const granted = [...locks.list()].filter((lock) => lock.granted);
        for (const one of granted) {
          for (const other of granted) {
            if (one.pid === other.pid || one.table !== other.table) continue;
            expect(matrix[one.mode]).not.toContain(other.mode);
          }
        }
      };
      for (const { holder: at, table, mode, release } of steps) {
        const holder = holders[at]!;
        if (holder.waitingFor !== undefined) holder.waitingFor.fail(new DbError("queryCanceled", "canceled"));
        if (release) locks.releaseAll(holder);
        else void ask(locks, holder, mode, { table });
        check();
      }
      for (const holder of holders) {
        if (holder.waitingFor !== undefined) holder.waitingFor.fail(new DbError("queryCanceled", "canceled"));
        locks.releaseAll(holder);
        check();
      }
      expect([...locks.list()]).toEqual([]);
    }),
    { numRuns: 200 },
  );
});
