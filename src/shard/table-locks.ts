/**
 * Table locks of one shard: PostgreSQL's eight modes and conflict matrix (its manual, 13.3.1), held to the end of the
 * transaction. Queued first come, first served: a waiting exclusive lock is not starved by later weak ones.
 *
 * Invariants: a lock is granted only if it conflicts with no granted lock of another holder and no earlier waiter; a
 * holder never conflicts with itself. Taking a lock that is already held costs one look-up.
 */
import { assert, DbError } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import type { Clock } from "../platform/index.js";

export const lockModes = [
  "AccessShare",
  "RowShare",
  "RowExclusive",
  "ShareUpdateExclusive",
  "Share",
  "ShareRowExclusive",
  "Exclusive",
  "AccessExclusive",
] as const;
export type LockMode = (typeof lockModes)[number];

/** Bit i: conflicts with mode i. */
const conflicts: readonly number[] = [
  0b10000000, // AccessShare: AccessExclusive
  0b11000000, // RowShare: Exclusive up
  0b11110000, // RowExclusive: Share up
  0b11111000, // ShareUpdateExclusive: itself up
  0b11101100, // Share: RowExclusive, ShareUpdateExclusive, ShareRowExclusive up
  0b11111100, // ShareRowExclusive: RowExclusive up
  0b11111110, // Exclusive: all but AccessShare
  0b11111111, // AccessExclusive: all
];

const idleTablesMax = 1024;

export class LockHolder {
  /** Table id -> bits of the modes held. */
  readonly held = new Map<number, number>();
  waitingFor: Request | undefined;
  constructor(readonly pid: number) {}
}

interface Request {
  readonly holder: LockHolder;
  readonly table: number;
  readonly mode: number;
  readonly grant: () => void;
  readonly fail: (error: DbError) => void;
}

interface TableState {
  /** Holders per mode bit, counted, so that a weak lock is granted without a walk. */
  readonly granted: Map<LockHolder, number>;
  readonly queue: Request[];
}

export class TableLocks {
  readonly #tables = new Map<number, TableState>();
  readonly #clock: Clock;
  readonly #deadlockMs: number;

  constructor(clock: Clock, deadlockMs = 1000) {
    this.#clock = clock;
    this.#deadlockMs = deadlockMs;
  }

  /**
   * Returns when granted at once, else throws Wait: run again once it is ready. `timeoutMs` -1: do not wait (55P03),
   * 0: no limit. A deadlock ends the one who closes the circle (40P01).
   */
  acquire(holder: LockHolder, table: number, mode: LockMode, timeoutMs: number, name: string): void {
    const bit = lockModes.indexOf(mode);
    const held = holder.held.get(table) ?? 0;
    if ((held & (1 << bit)) !== 0) return;
    let state = this.#tables.get(table);
    if (state === undefined) {
      state = { granted: new Map(), queue: [] };
      this.#tables.set(table, state);
    }
    // Who already holds a lock on the table goes before the queue: waiting behind those who wait for it is a deadlock.
    const mask = conflicts[bit]!;
    const behind = held === 0 && state.queue.some((request) => (mask & (1 << request.mode)) !== 0);
    if (!behind && !this.#conflicts(state, holder, mask)) {
      this.#give(state, holder, table, bit);
      return;
    }
    if (timeoutMs < 0) throw new DbError("lockNotAvailable", `could not obtain lock on relation "${name}"`);
    throw this.#wait(state, holder, table, bit, timeoutMs);
  }

  releaseAll(holder: LockHolder): void {
    if (holder.held.size === 0) return;
    for (const table of holder.held.keys()) {
      const state = this.#tables.get(table);
      if (state === undefined) continue;
      state.granted.delete(holder);
      if (state.queue.length > 0) this.#advance(table, state);
      if (state.granted.size === 0 && state.queue.length === 0) this.#idle(table);
    }
    holder.held.clear();
  }

  /** Nobody holds or wants the table: what it would cost to set up again is kept, as long as that is little. */
  #idle(table: number): void {
    if (this.#tables.size > idleTablesMax) this.#tables.delete(table);
  }

  /** For pg_locks: every granted and awaited lock. */
  *list(): Iterable<{ pid: number; table: number; mode: LockMode; granted: boolean }> {
    for (const [table, state] of this.#tables) {
      for (const [holder, bits] of state.granted) {
        for (let bit = 0; bit < lockModes.length; bit++) {
          if ((bits & (1 << bit)) !== 0)
            yield { pid: holder.pid, table, mode: lockModes[bit]!, granted: true };
        }
      }
      for (const request of state.queue) {
        yield { pid: request.holder.pid, table, mode: lockModes[request.mode]!, granted: false };
      }
    }
  }

  #conflicts(state: TableState, holder: LockHolder, mask: number): boolean {
    for (const [other, bits] of state.granted) {
      if (other !== holder && (bits & mask) !== 0) return true;
    }
    return false;
  }

  #give(state: TableState, holder: LockHolder, table: number, bit: number): void {
    const bits = (state.granted.get(holder) ?? 0) | (1 << bit);
    state.granted.set(holder, bits);
    holder.held.set(table, bits);
  }

  #wait(state: TableState, holder: LockHolder, table: number, bit: number, timeoutMs: number): Wait {
    assert(holder.waitingFor === undefined, "a session waits for one lock at a time");
    const timers: { cancel(): void }[] = [];
    const ready = new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        holder.waitingFor = undefined;
        for (const timer of timers) timer.cancel();
      };
      const request: Request = {
        holder,
        table,
        mode: bit,
        grant: () => {
          leave();
          resolve();
        },
        fail: (error) => {
          leave();
          const place = state.queue.indexOf(request);
          if (place >= 0) state.queue.splice(place, 1);
          this.#advance(table, state);
          reject(error);
        },
      };
      holder.waitingFor = request;
      state.queue.push(request);
      if (timeoutMs > 0) {
        timers.push(
          this.#clock.after(timeoutMs, () =>
            request.fail(new DbError("lockNotAvailable", "canceling statement due to lock timeout")),
          ),
        );
      }
      timers.push(
        this.#clock.after(this.#deadlockMs, () => {
          if (this.#isCircle(holder))
            request.fail(
              new DbError("deadlockDetected", "deadlock detected", {
                detail: `Process ${holder.pid} waits for a lock in a circle of waiting processes.`,
                hint: "See server log for query details.",
              }),
            );
        }),
      );
    });
    return new Wait("lock", ready);
  }

  /** Ends a wait from outside: cancel, time-out, lost connection. */
  cancel(holder: LockHolder, error: DbError): void {
    holder.waitingFor?.fail(error);
  }

  #advance(table: number, state: TableState): void {
    for (let place = 0; place < state.queue.length; ) {
      const request = state.queue[place]!;
      const mask = conflicts[request.mode]!;
      const earlier = state.queue.slice(0, place).some((other) => (mask & (1 << other.mode)) !== 0);
      if (earlier || this.#conflicts(state, request.holder, mask)) {
        place++;
        continue;
      }
      state.queue.splice(place, 1);
      this.#give(state, request.holder, table, request.mode);
      request.grant();
    }
  }

  #isCircle(start: LockHolder): boolean {
    const seen = new Set<LockHolder>();
    const stack = [start];
    for (let holder = stack.pop(); holder !== undefined; holder = stack.pop()) {
      const request = holder.waitingFor;
      if (request === undefined) continue;
      const state = this.#tables.get(request.table)!;
      const mask = conflicts[request.mode]!;
      const blockers = [...state.granted]
        .filter(([other, bits]) => other !== holder && (bits & mask) !== 0)
        .map(([other]) => other);
      for (const earlier of state.queue) {
        if (earlier === request) break;
        if ((mask & (1 << earlier.mode)) !== 0) blockers.push(earlier.holder);
      }
      for (const blocker of blockers) {
        if (blocker === start) return true;
        if (!seen.has(blocker)) {
          seen.add(blocker);
          stack.push(blocker);
        }
      }
    }
    return false;
  }
}
