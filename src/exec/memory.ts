/**
 * Work memory of one statement: a count of bytes that operators say they hold.
 *
 * Invariants: `usedBytes` never goes below 0 nor above the limit. Operators that can spill do so from half of the limit
 * on (`exhausted`), each keeping a small share whatever the others hold, so that the other half is left for structures
 * that cannot; these fail with 53200.
 */
import { assert, DbError } from "../base/errors.js";
import type { MemoryBudget } from "./contract.js";

export const defaultWorkMemoryBytes = 64 * 1024 * 1024;

export class WorkMemory implements MemoryBudget {
  #used = 0;
  constructor(readonly limitBytes = defaultWorkMemoryBytes) {
    assert(limitBytes > 0, "work memory must be a positive number of bytes");
  }
  get usedBytes(): number {
    return this.#used;
  }
  take(bytes: number): void {
    if (this.#used + bytes > this.limitBytes) {
      throw new DbError("outOfMemory", "out of memory", {
        detail: `The statement needs more than its work memory of ${this.limitBytes} bytes.`,
      });
    }
    this.#used += bytes;
  }
  give(bytes: number): void {
    this.#used -= bytes;
    assert(this.#used >= 0, "more work memory given back than taken");
  }
  get exhausted(): boolean {
    return this.#used > this.limitBytes / 2;
  }
  /** For the next statement, whatever the last one left behind after an error. */
  reset(): void {
    this.#used = 0;
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
    this.#shareBytes = budget.limitBytes / 32;
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
