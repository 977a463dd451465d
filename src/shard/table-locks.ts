/**
 * Table locks of one shard: PostgreSQL's eight modes and conflict matrix (its manual, 13.3.1), held to the end of the
 * transaction or until a savepoint before them is gone back to. Queued first come, first served: a waiting exclusive lock is not starved by later weak ones.
 *
 * Invariants: a lock is granted only if it conflicts with no granted lock of another holder and no earlier waiter; a
 * holder never conflicts with itself. Taking a lock that is already held costs one look-up.
 */
import { assert, DbError } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import { LockWait, WaitGraph, WaitParty } from "../mga/index.js";
import type { Clock, Timer } from "../platform/index.js";

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

const rowExclusive = lockModes.indexOf("RowExclusive");
const idleTablesMax = 1024;

export class LockHolder {
  /** Table id -> bits of the modes held. */
  readonly held = new Map<number, number>();
  waitingFor: Request | undefined;
  readonly party: WaitParty;
  /** `timeoutMs`: its deadlock_timeout. */
  constructor(
    readonly pid: number,
    timeoutMs?: () => number,
  ) {
    this.party = new WaitParty(`Process ${pid}`, timeoutMs);
  }
}

class Request extends LockWait {
  readonly ready: Promise<void>;
  resolve!: () => void;
  reject!: (error: DbError) => void;
  /** lock_timeout. */
  limit: Timer | undefined;
  constructor(
    readonly locks: TableLocks,
    readonly holder: LockHolder,
    readonly table: number,
    readonly mode: number,
    readonly name: string,
  ) {
    super(holder.party);
    this.ready = new Promise<void>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // A statement cancelled meanwhile has nobody awaiting.
    this.ready.catch(() => undefined);
  }
  *blockers(): Generator<WaitParty> {
    yield* this.locks.blockersOf(this);
  }
  describe(): string {
    return `${lockModes[this.mode]}Lock on relation "${this.name}"`;
  }
  fail(error: DbError): void {
    this.locks.fail(this, error);
  }
}

interface TableState {
  /** Holders per mode bit, counted, so that a weak lock is granted without a walk. */
  readonly granted: Map<LockHolder, number>;
  readonly queue: Request[];
}

export class TableLocks {
  readonly #tables = new Map<number, TableState>();
  readonly #clock: Clock;

  constructor(
    clock: Clock,
    /** Shared with all other locks of the node: it finds the deadlocks. */
    readonly waits = new WaitGraph(clock),
  ) {
    this.#clock = clock;
  }

  /**
   * Returns when granted at once, else throws Wait: run again once it is ready. `timeoutMs` -1: do not wait (55P03),
   * 0: no limit.
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
    throw this.#wait(state, new Request(this, holder, table, bit, name), timeoutMs);
  }

  /** What the holder has now, for `releaseTo`. */
  mark(holder: LockHolder): ReadonlyMap<number, number> {
    return new Map(holder.held);
  }

  /**
   * Gives back what was taken since the mark, at a savepoint that is gone back to. RowExclusive stays: rows written since
   * leave traces in the table until the transaction is over, and nobody may change it under them.
   */
  releaseTo(holder: LockHolder, mark: ReadonlyMap<number, number>): void {
    for (const [table, bits] of [...holder.held]) {
      const kept = (mark.get(table) ?? 0) | (bits & (1 << rowExclusive));
      if (kept === bits) continue;
      const state = this.#tables.get(table);
      if (kept === 0) {
        holder.held.delete(table);
        state?.granted.delete(holder);
      } else {
        holder.held.set(table, kept);
        state?.granted.set(holder, kept);
      }
      if (state !== undefined && state.queue.length > 0) this.#advance(table, state);
    }
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

  #wait(state: TableState, request: Request, timeoutMs: number): Wait {
    const { holder } = request;
    assert(holder.waitingFor === undefined, "a session waits for one lock at a time");
    holder.waitingFor = request;
    state.queue.push(request);
    if (timeoutMs > 0) {
      request.limit = this.#clock.after(timeoutMs, () =>
        this.fail(request, new DbError("lockNotAvailable", "canceling statement due to lock timeout")),
      );
    }
    this.waits.begin(request);
    return new Wait("lock", request.ready);
  }

  #settle(request: Request): void {
    request.holder.waitingFor = undefined;
    request.limit?.cancel();
    this.waits.end(request);
  }

  /** Ends a wait from outside: cancel, time-out, deadlock, lost connection. */
  fail(request: Request, error: DbError): void {
    const { table } = request;
    const state = this.#tables.get(table);
    const place = state?.queue.indexOf(request) ?? -1;
    if (state === undefined || place < 0) return;
    this.#settle(request);
    state.queue.splice(place, 1);
    this.#advance(table, state);
    request.reject(error);
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
      this.#settle(request);
      request.resolve();
    }
  }

  /** Who holds what conflicts, and who asked before for what conflicts. */
  *blockersOf(request: Request): Generator<WaitParty> {
    const state = this.#tables.get(request.table);
    if (state === undefined) return;
    const mask = conflicts[request.mode]!;
    for (const [other, bits] of state.granted) {
      if (other !== request.holder && (bits & mask) !== 0) yield other.party;
    }
    for (const earlier of state.queue) {
      if (earlier === request) break;
      if ((mask & (1 << earlier.mode)) !== 0) yield earlier.party;
    }
  }
}
