/**
 * Row locks and row waits of one shard, in memory only (rule P3).
 *
 * A writer's new version is itself a lock: the row's flags say how strong. Locks without a version (SELECT FOR ...,
 * foreign keys) and queues stand here, by row, only while somebody holds or waits.
 *
 * | conflicts     | keyShare | share | noKeyUpdate | update |
 * |---------------|----------|-------|-------------|--------|
 * | keyShare      |          |       |             | x      |
 * | share         |          |       | x           | x      |
 * | noKeyUpdate   |          | x     | x           | x      |
 * | update        | x        | x     | x           | x      |
 *
 * Waiters queue per row, first come first served: whose turn it is holds a reservation until his statement has used or
 * left it. Deadlocks are found by the graph that all kinds of locks share (`wait-graph.ts`).
 *
 * Invariants: a transaction waits at one row at a time; its end wakes whoever may go on; no entry outlives its last
 * holder and waiter.
 */
import { DbError } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import type { Clock, Timer } from "../platform/index.js";
import type { LockStrength } from "./contract.js";
import type { TransactionRecord } from "./transaction.js";
import { LockWait, type WaitGraph, type WaitParty } from "./wait-graph.js";

export const strengthOf: Record<LockStrength, number> = { keyShare: 0, share: 1, noKeyUpdate: 2, update: 3 };
/** Bit s of entry r: strengths r and s conflict. */
const conflicts: readonly number[] = [0b1000, 0b1100, 0b1110, 0b1111];

export function conflict(a: number, b: number): boolean {
  return (conflicts[a]! & (1 << b)) !== 0;
}

export class Waiter extends LockWait {
  readonly promise: Promise<void>;
  resolve!: () => void;
  reject!: (error: DbError) => void;
  /** lock_timeout. */
  limit: Timer | undefined;
  constructor(
    readonly manager: LockManager,
    readonly transaction: TransactionRecord,
    readonly strength: number,
    readonly lock: RowLock,
  ) {
    super(transaction.party);
    this.promise = new Promise<void>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Whoever waits gets the rejection from his own await; a statement cancelled meanwhile has nobody awaiting.
    this.promise.catch(() => undefined);
  }
  *blockers(): Generator<WaitParty> {
    for (const blocker of this.manager.blockersOf(this)) yield blocker.party;
  }
  describe(): string {
    return `a row of relation "${this.lock.tableName}"`;
  }
  fail(error: DbError): void {
    this.manager.fail(this, error);
  }
}

interface Holder {
  readonly transaction: TransactionRecord;
  strength: number;
}

export class RowLock {
  readonly holders: Holder[] = [];
  readonly queue: Waiter[] = [];
  /** Whose turn it is: woken, not yet run. */
  reserved: Holder[] = [];
  /** Writer of the row's newest version, while it is active and somebody waits for it. */
  writer: TransactionRecord | undefined;
  constructor(
    readonly map: Map<number, RowLock>,
    readonly row: number,
    readonly tableName: string,
  ) {}

  get idle(): boolean {
    return this.holders.length === 0 && this.queue.length === 0 && this.reserved.length === 0;
  }
}

export class LockManager {
  readonly #clock: Clock;
  readonly #waits: WaitGraph;
  constructor(clock: Clock, waits: WaitGraph) {
    this.#clock = clock;
    this.#waits = waits;
  }

  #entry(map: Map<number, RowLock>, row: number, tableName: string): RowLock {
    let lock = map.get(row);
    if (lock === undefined) {
      lock = new RowLock(map, row, tableName);
      map.set(row, lock);
    }
    return lock;
  }

  /** Whether `transaction` may have the row at `strength` as far as locks and the queue go. */
  free(map: Map<number, RowLock>, row: number, transaction: TransactionRecord, strength: number): boolean {
    if (map.size === 0) return true;
    const lock = map.get(row);
    return lock === undefined || this.#freeIn(lock, transaction, strength);
  }

  #freeIn(lock: RowLock, transaction: TransactionRecord, strength: number): boolean {
    for (const holder of lock.holders) {
      if (holder.transaction !== transaction && conflict(holder.strength, strength)) return false;
    }
    // One who holds the row already goes before the queue: else a holder that wants more would wait for its waiters.
    for (const holder of lock.holders) if (holder.transaction === transaction) return true;
    for (const turn of lock.reserved) {
      if (turn.transaction === transaction) return true;
    }
    for (const turn of lock.reserved) if (conflict(turn.strength, strength)) return false;
    for (const waiter of lock.queue) {
      if (waiter.transaction === transaction) break;
      if (conflict(waiter.strength, strength)) return false;
    }
    return true;
  }

  /** Notes that `transaction` holds the row; the caller has checked `free`. */
  hold(
    map: Map<number, RowLock>,
    row: number,
    tableName: string,
    transaction: TransactionRecord,
    strength: number,
  ): void {
    const lock = this.#entry(map, row, tableName);
    const mine = lock.holders.find((holder) => holder.transaction === transaction);
    if (mine === undefined || mine.strength < strength)
      transaction.lockLog?.push({ lock, before: mine?.strength ?? -1 });
    if (mine === undefined) lock.holders.push({ transaction, strength });
    else if (mine.strength < strength) mine.strength = strength;
    transaction.locks.add(lock);
    this.#leaveTurn(lock, transaction);
  }

  /** The row was written by `transaction`: its turn is used. Others go on waiting, for it now. */
  written(map: Map<number, RowLock>, row: number, transaction: TransactionRecord): void {
    if (map.size === 0) return;
    const lock = map.get(row);
    if (lock === undefined) return;
    if (lock.queue.length > 0) {
      lock.writer = transaction;
      transaction.locks.add(lock);
    }
    this.#leaveTurn(lock, transaction);
  }

  #leaveTurn(lock: RowLock, transaction: TransactionRecord): void {
    if (lock.reserved.length === 0) return;
    lock.reserved = lock.reserved.filter((turn) => turn.transaction !== transaction);
    this.#advance(lock);
  }

  /**
   * Makes `transaction` wait for the row: for `writer` (an active writer of its newest version), or for the holders.
   * Never returns: throws Wait, or DbError: 55P03 from one who does not wait, 58030 for a writer whose outcome is lost.
   */
  wait(
    map: Map<number, RowLock>,
    row: number,
    tableName: string,
    transaction: TransactionRecord,
    strength: number,
    writer: TransactionRecord | undefined,
  ): never {
    if (transaction.options.lockTimeoutMs === -1) {
      throw new DbError("lockNotAvailable", `could not obtain lock on row in relation "${tableName}"`);
    }
    if (writer?.lost !== undefined) throw writer.lost;
    const lock = this.#entry(map, row, tableName);
    if (writer !== undefined && lock.writer !== writer) {
      lock.writer = writer;
      writer.locks.add(lock);
    }
    const before = transaction.waiter;
    if (before !== undefined) {
      if (before.lock === lock && before.strength === strength && lock.queue.includes(before)) {
        throw new Wait("row", before.promise);
      }
      this.leave(transaction);
    }
    // Whose turn it is at another row does not keep it while he waits here: he looks again at everything afterwards.
    for (const other of transaction.locks) {
      if (other !== lock && other.reserved.some((turn) => turn.transaction === transaction))
        this.#leaveTurn(other, transaction);
    }
    const waiter = new Waiter(this, transaction, strength, lock);
    // A reservation that could not be used (the row was changed under it) keeps its place at the head.
    const turn = lock.reserved.findIndex((holder) => holder.transaction === transaction);
    if (turn >= 0) {
      lock.reserved.splice(turn, 1);
      lock.queue.unshift(waiter);
    } else lock.queue.push(waiter);
    transaction.waiter = waiter;
    transaction.locks.add(lock);
    if (transaction.options.lockTimeoutMs > 0) {
      waiter.limit = this.#clock.after(transaction.options.lockTimeoutMs, () =>
        this.fail(waiter, new DbError("lockNotAvailable", "canceling statement due to lock timeout")),
      );
    }
    this.#waits.begin(waiter);
    throw new Wait("row", waiter.promise);
  }

  #settle(waiter: Waiter): void {
    waiter.limit?.cancel();
    this.#waits.end(waiter);
    if (waiter.transaction.waiter === waiter) waiter.transaction.waiter = undefined;
  }

  /** Ends a wait from outside. */
  fail(waiter: Waiter, error: DbError): void {
    const at = waiter.lock.queue.indexOf(waiter);
    if (at < 0) return;
    waiter.lock.queue.splice(at, 1);
    this.#settle(waiter);
    waiter.reject(error);
    this.#advance(waiter.lock);
  }

  /** The statement of `transaction` is over, or does something else: it waits no more and gives up unused turns. */
  leave(transaction: TransactionRecord): void {
    const waiter = transaction.waiter;
    if (waiter !== undefined) {
      const at = waiter.lock.queue.indexOf(waiter);
      if (at >= 0) waiter.lock.queue.splice(at, 1);
      this.#settle(waiter);
      waiter.resolve();
      this.#advance(waiter.lock);
    }
    if (!transaction.hasLocks) return;
    for (const lock of transaction.locks) {
      if (lock.reserved.some((turn) => turn.transaction === transaction)) this.#leaveTurn(lock, transaction);
    }
  }

  /** A savepoint is gone back to: locks that were taken since it go, and who waited for them goes on. */
  releaseTo(transaction: TransactionRecord, mark: number): void {
    const log = transaction.lockLog;
    if (log === undefined) return;
    while (log.length > mark) {
      const { lock, before } = log.pop()!;
      const at = lock.holders.findIndex((holder) => holder.transaction === transaction);
      if (at < 0) continue;
      if (before < 0) lock.holders.splice(at, 1);
      else lock.holders[at]!.strength = before;
      this.#advance(lock);
    }
  }
  /** What `transaction` wrote on the row is undone: who waits for it looks again. */
  unwritten(map: Map<number, RowLock>, row: number, transaction: TransactionRecord): void {
    if (map.size === 0) return;
    const lock = map.get(row);
    if (lock?.writer !== transaction) return;
    lock.writer = undefined;
    this.#advance(lock);
  }

  /** The transaction is over: its locks go, and who waited for it goes on. `error`: its outcome is not known. */
  release(transaction: TransactionRecord, error?: DbError): void {
    if (transaction.waiter !== undefined) this.leave(transaction);
    if (!transaction.hasLocks) return;
    for (const lock of transaction.locks) {
      if (lock.writer === transaction) lock.writer = undefined;
      const at = lock.holders.findIndex((holder) => holder.transaction === transaction);
      if (at >= 0) lock.holders.splice(at, 1);
      lock.reserved = lock.reserved.filter((turn) => turn.transaction !== transaction);
      if (error !== undefined) for (const waiter of [...lock.queue]) this.fail(waiter, error);
      this.#advance(lock);
    }
    transaction.locks.clear();
  }

  /**
   * Wakes whoever conflicts with no holder, no turn and nobody before him in the queue: the same that `blockersOf` says,
   * or a wait would be in no graph.
   */
  #advance(lock: RowLock): void {
    /** Bit per strength of those who go on waiting before `at`. */
    let before = 0;
    for (let at = 0; at < lock.queue.length && lock.writer === undefined; ) {
      const waiter = lock.queue[at]!;
      const blocked =
        (conflicts[waiter.strength]! & before) !== 0 ||
        lock.holders.some(
          (holder) => holder.transaction !== waiter.transaction && conflict(holder.strength, waiter.strength),
        ) ||
        lock.reserved.some((turn) => conflict(turn.strength, waiter.strength));
      if (blocked) {
        before |= 1 << waiter.strength;
        at++;
        continue;
      }
      lock.queue.splice(at, 1);
      lock.reserved.push({ transaction: waiter.transaction, strength: waiter.strength });
      this.#settle(waiter);
      waiter.resolve();
    }
    if (lock.idle && lock.map.get(lock.row) === lock) lock.map.delete(lock.row);
  }

  /** Whom a wait has to do with before it can end. */
  blockersOf(waiter: Waiter): TransactionRecord[] {
    const { lock } = waiter;
    const found: TransactionRecord[] = [];
    if (lock.writer !== undefined) found.push(lock.writer);
    for (const holder of lock.holders) {
      if (conflict(holder.strength, waiter.strength)) found.push(holder.transaction);
    }
    for (const turn of lock.reserved)
      if (conflict(turn.strength, waiter.strength)) found.push(turn.transaction);
    for (const other of lock.queue) {
      if (other === waiter) break;
      if (conflict(other.strength, waiter.strength)) found.push(other.transaction);
    }
    return found.filter((one) => one !== waiter.transaction);
  }
}
