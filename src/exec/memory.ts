/**
 * Work memory of one statement: a count of bytes that operators say they hold.
 *
 * Invariants: `usedBytes` never goes below 0 nor above the limit; what all statements hold together stays below the
 * node's limit. Operators that can spill do so from `spillBytes` on, at most half of the limit, and when the node runs
 * short (`exhausted`), each keeping a small share whatever the others hold, so that the rest is left for structures that
 * cannot; these fail with 53200.
 */
import { assert, DbError } from "../base/errors.js";
import type { MemoryBudget } from "./contract.js";

export const defaultWorkMemoryBytes = 64 * 1024 * 1024;

/** What all statements of a node may hold together (M3); each draws its part in steps. */
export class WorkMemoryPool {
  #used = 0;
  constructor(readonly limitBytes: number) {
    assert(limitBytes > 0, "work memory must be a positive number of bytes");
  }
  get usedBytes(): number {
    return this.#used;
  }
  /** Little is left: who can spill should. */
  get tight(): boolean {
    return this.#used > this.limitBytes * 0.75;
  }
  draw(bytes: number): boolean {
    if (this.#used + bytes > this.limitBytes) return false;
    this.#used += bytes;
    return true;
  }
  giveBack(bytes: number): void {
    this.#used -= bytes;
    assert(this.#used >= 0, "more work memory given back than drawn");
  }
}

/** Statements draw from the pool in steps of this many bytes, and keep as much in hand. */
const drawBytes = 256 * 1024;

export class WorkMemory implements MemoryBudget {
  #used = 0;
  #drawn = 0;
  constructor(
    readonly limitBytes = defaultWorkMemoryBytes,
    /** Use above which operators spill. */
    readonly spillBytes = limitBytes / 2,
    readonly pool?: WorkMemoryPool,
  ) {
    assert(limitBytes > 0, "work memory must be a positive number of bytes");
  }
  get usedBytes(): number {
    return this.#used;
  }
  take(bytes: number): void {
    const used = this.#used + bytes;
    if (used > this.limitBytes) {
      throw new DbError("outOfMemory", "out of memory", {
        detail: `The statement needs more than its work memory of ${this.limitBytes} bytes.`,
      });
    }
    if (used > this.#drawn && this.pool !== undefined) this.#draw(used);
    this.#used = used;
  }
  #draw(used: number): void {
    const pool = this.pool!;
    const step = Math.ceil(used / drawBytes) * drawBytes - this.#drawn;
    if (!pool.draw(step)) {
      throw new DbError("outOfMemory", "out of memory", {
        detail: `The statements that run hold ${pool.usedBytes} of the node's work memory of ${pool.limitBytes} bytes.`,
        hint: "Try again when fewer statements run, or raise work-memory.",
      });
    }
    this.#drawn += step;
  }
  give(bytes: number): void {
    this.#used -= bytes;
    assert(this.#used >= 0, "more work memory given back than taken");
    if (this.#drawn - this.#used > 4 * drawBytes) this.settle();
  }
  get exhausted(): boolean {
    return this.#used > this.spillBytes || this.pool?.tight === true;
  }
  /** Gives back to the pool what is not in use: when a statement has ended. */
  settle(): void {
    if (this.pool === undefined) return;
    const keep = Math.ceil(this.#used / drawBytes) * drawBytes;
    if (keep < this.#drawn) this.pool.giveBack(this.#drawn - keep);
    this.#drawn = Math.min(this.#drawn, keep);
  }
  /** For the next statement, whatever the last one left behind after an error. */
  reset(): void {
    this.#used = 0;
    this.settle();
  }
}

/** One structure's part of the budget. `release` gives everything back; safe to call twice. */
export class Account {
  #budget: MemoryBudget | undefined;
  #held = 0;
  #shareBytes = 0;
  /** A new execution: `close` has released the last one's memory, unless its budget died with it. */
  open(budget: MemoryBudget): void {
    if (this.#budget === budget) this.release();
    this.#held = 0;
    this.#budget = budget;
    this.#shareBytes = (budget.spillBytes ?? budget.limitBytes / 2) / 16;
  }
  get held(): number {
    return this.#held;
  }
  take(bytes: number): void {
    this.#budget!.take(bytes);
    this.#held += bytes;
  }
  give(bytes: number): void {
    assert(bytes <= this.#held, "a structure gives back more memory than it holds");
    this.#held -= bytes;
    this.#budget!.give(bytes);
  }
  /** Time to spill: the statement is over half of its memory and this structure over its own share. */
  get full(): boolean {
    return this.#budget!.exhausted && this.#held > this.#shareBytes;
  }
  release(): void {
    if (this.#held > 0) this.#budget!.give(this.#held);
    this.#held = 0;
  }
}
