/**
 * Runs one operator tree for a client: the only part of the executor that waits (D3).
 *
 * Operators run synchronously until they are done, throw Wait, or the slice of 2 ms is used up; then the driver awaits
 * what the Wait names and goes on. A statement that never waits costs no promise.
 *
 * Invariants: the operator is closed when the run ends, by success or error, and stays open when it is suspended. End-of-
 * statement checks (foreign keys) run before the first row of a modifying statement is handed on.
 */
import { assert, DbError } from "../base/errors.js";
import { isWait, type Wait } from "../base/wait.js";
import { Batch } from "../model/batch.js";
import type { ExecContext, Operator, TimeSlice } from "./contract.js";
import { isRestart, SliceEnd } from "./runtime.js";

export type MaybePromise<T> = T | Promise<T>;

export const sliceMs = 2;
/** Each restart has locked the row it stumbled over; so many mean that rows keep coming. */
const restartsMax = 10_000;

/** The part of the platform's clock that the driver needs. */
export interface DriverClock {
  /** Milliseconds that never go back. */
  monotonic(): number;
  /** Resolves after other pending work of the loop. */
  yield(): Promise<void>;
  /** Resolves when this statement's turn has come among all that have work left. */
  turn?(): Promise<void>;
}

class ClockSlice implements TimeSlice {
  #end: number;
  constructor(readonly clock: DriverClock) {
    this.#end = clock.monotonic() + sliceMs;
  }
  restart(): void {
    this.#end = this.clock.monotonic() + sliceMs;
  }
  expired(): boolean {
    return this.clock.monotonic() >= this.#end;
  }
}

export interface RunOptions {
  readonly clock: DriverClock;
  /** Takes a batch before it returns; false when the client is slow. */
  readonly onBatch: (batch: Batch) => boolean;
  /** Awaited after `onBatch` answered false. */
  readonly drained?: (() => Promise<void>) | undefined;
  /**
   * READ COMMITTED restart: undoes the statement's changes (to its savepoint, row locks stay), clears its queued checks
   * and takes a new snapshot. Without it a restart is a bug.
   */
  readonly restart?: (() => void) | undefined;
  /**
   * The checks queued by `context.afterStatement`, in order; the driver runs and empties it. Left out when the caller
   * runs them itself.
   */
  readonly checks?: CheckQueue | undefined;
}

/** What `afterStatement` queues. A check is run again after a Wait; it may queue further ones. */
export class CheckQueue {
  readonly #checks: (() => void)[] = [];
  #at = 0;
  push(check: () => void): void {
    this.#checks.push(check);
  }
  get isEmpty(): boolean {
    return this.#at >= this.#checks.length;
  }
  /** Runs all that is queued; throws Wait and goes on with the same check when called again. */
  run(): void {
    while (this.#at < this.#checks.length) {
      this.#checks[this.#at]!();
      this.#at++;
    }
    this.clear();
  }
  clear(): void {
    if (this.#checks.length > 0) this.#checks.length = 0;
    this.#at = 0;
  }
}

/** Runs a synchronous step that may throw Wait until it is through. */
export function runSteps<T>(clock: DriverClock, context: ExecContext, step: () => T): MaybePromise<T> {
  const slice = new ClockSlice(clock);
  context.slice = slice;
  try {
    const result = step();
    context.slice = undefined;
    return result;
  } catch (thrown) {
    if (!isWait(thrown)) {
      context.slice = undefined;
      throw thrown;
    }
    return goOn(clock, context, slice, step, thrown);
  }
}

async function goOn<T>(
  clock: DriverClock,
  context: ExecContext,
  slice: ClockSlice,
  step: () => T,
  first: Wait,
): Promise<T> {
  try {
    for (let wait = first; ; ) {
      if (wait instanceof SliceEnd) await (clock.turn?.() ?? clock.yield());
      else await (context.waitFor?.(wait.ready, wait.reason) ?? wait.ready);
      // A cancel that came while waiting is noticed before any more work is done.
      context.checkInterrupt();
      slice.restart();
      context.slice = slice;
      try {
        return step();
      } catch (thrown) {
        if (!isWait(thrown)) throw thrown;
        wait = thrown;
      }
    }
  } finally {
    context.slice = undefined;
  }
}

/** One execution of a plan, which may be suspended after some rows and continued. */
export class Execution {
  #opened = false;
  #ended = false;
  #checked = false;
  /** A batch that went over the row limit, and how much of it has gone out. */
  #held: Batch | undefined;
  #heldFrom = 0;
  #sent = 0;
  #restarts = 0;
  /** Between a conflict and the second run: what the first run did is being taken back. */
  #restarting = false;
  readonly #part: Batch;

  constructor(
    readonly operator: Operator,
    readonly context: ExecContext,
    width: number,
    readonly options: RunOptions,
  ) {
    this.#part = new Batch(width);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Up to `maxRows` rows (0: all). Answers how many went out; `ended` tells whether there are more. */
  run(maxRows: number): MaybePromise<number> {
    assert(!this.#ended, "a finished execution was run again");
    this.#sent = 0;
    const { clock } = this.options;
    let result: MaybePromise<"done" | "slow">;
    try {
      result = runSteps(clock, this.context, () => this.#step(maxRows));
    } catch (thrown) {
      this.#fail();
      throw thrown;
    }
    if (result === "done") return this.#sent;
    return this.#finish(maxRows, result);
  }
  async #finish(maxRows: number, first: MaybePromise<"done" | "slow">): Promise<number> {
    try {
      for (let result = await first; result === "slow"; ) {
        await this.options.drained?.();
        result = await runSteps(this.options.clock, this.context, () => this.#step(maxRows));
      }
      return this.#sent;
    } catch (thrown) {
      this.#fail();
      throw thrown;
    }
  }
  #fail(): void {
    this.#ended = true;
    if (this.#opened) this.operator.close();
    this.#opened = false;
  }

  /** Synchronous work until the limit, the end, or a slow client. Throws Wait. */
  #step(maxRows: number): "done" | "slow" {
    const { operator, context, options } = this;
    if (this.#restarting) this.#undo();
    for (;;) {
      if (maxRows > 0 && this.#sent >= maxRows) return "done";
      let batch: Batch | undefined;
      if (this.#held !== undefined) batch = this.#held;
      else {
        try {
          if (!this.#opened) {
            this.#opened = true;
            operator.open(context);
          }
          batch = operator.next();
          if (!this.#checked || batch === undefined) {
            this.#held = batch;
            this.#heldFrom = 0;
            options.checks?.run();
            this.#checked = true;
          }
        } catch (thrown) {
          if (!isRestart(thrown)) throw thrown;
          this.#restart();
          continue;
        }
        this.#heldFrom = 0;
      }
      if (batch === undefined) {
        this.#ended = true;
        operator.close();
        this.#opened = false;
        return "done";
      }
      if (!this.#checked) {
        // Came back from a Wait inside the checks.
        options.checks?.run();
        this.#checked = true;
      }
      if (!this.#send(batch, maxRows)) return "slow";
    }
  }
  #restart(): void {
    assert(this.options.restart !== undefined, "a statement that may restart was run without a way to");
    assert(this.#sent === 0, "a statement restarted after it had sent rows");
    if (++this.#restarts > restartsMax) {
      throw new DbError("serializationFailure", "could not serialize access due to concurrent update");
    }
    this.operator.close();
    this.#opened = false;
    this.#held = undefined;
    this.#checked = false;
    this.options.checks?.clear();
    this.#restarting = true;
    this.#undo();
  }
  /** Takes back what the statement did; throws Wait, and is called again until it is through. */
  #undo(): void {
    this.options.restart!();
    this.#restarting = false;
  }
  #send(batch: Batch, maxRows: number): boolean {
    const rest = batch.length - this.#heldFrom;
    const count = maxRows > 0 ? Math.min(rest, maxRows - this.#sent) : rest;
    let out = batch;
    if (count < batch.length) {
      out = this.#part;
      for (let c = 0; c < batch.columns.length; c++) {
        const column = out.columns[c]!;
        const source = batch.columns[c]!;
        for (let i = 0; i < count; i++) column[i] = source[this.#heldFrom + i]!;
      }
      out.length = count;
    }
    this.#sent += count;
    this.#heldFrom += count;
    this.#held = this.#heldFrom < batch.length ? batch : undefined;
    return this.options.onBatch(out);
  }

  /** Ends a suspended execution. */
  close(): void {
    if (this.#opened) this.operator.close();
    this.#opened = false;
    this.#ended = true;
  }
}

/** Runs a plan to its end; answers the number of rows handed to `onBatch`. */
export function runPlan(
  operator: Operator,
  context: ExecContext,
  width: number,
  options: RunOptions,
): MaybePromise<number> {
  return new Execution(operator, context, width, options).run(0);
}
