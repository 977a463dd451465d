/**
 * What the operators of one built plan share: the running statement's context, reached through one mutable holder,
 * so that a plan is built once and run many times.
 *
 * Invariants: `context` is set by the root's `open` before any operator is opened; nothing of the run before is read
 * after that. Operators call `tick()` between batches: it is the only place where a statement gives up the loop,
 * notices a cancel, and it comes before the step's first change, so the step can run again.
 */
import { assert } from "../base/errors.js";
import { isWait, Wait } from "../base/wait.js";
import type { EvalContext } from "../model/functions.js";
import type { Value } from "../model/value.js";
import type { PlanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";

/** Ticks between two looks at the clock: a batch costs 10 to 200 us. */
const ticksPerCheck = 4;
const resolved: Promise<void> = Promise.resolve();

/** Thrown when the time slice is used up; the driver yields to the loop and goes on. */
export class SliceEnd extends Wait {
  constructor() {
    super("slice", resolved);
  }
}

/**
 * A row changed under a READ COMMITTED statement (MGA-24): the statement is rolled back to its savepoint and runs again
 * with a new snapshot. Its row locks stay, so it gets on.
 */
export class StatementRestart {
  constructor(readonly reason: "updated" | "deleted") {}
}

export function isRestart(thrown: unknown): thrown is StatementRestart {
  return thrown instanceof StatementRestart;
}

/** Bound late: the context of the running statement and the parts of it that expressions read row by row. */
export class Runtime {
  #context: ExecContext | undefined;
  eval!: EvalContext;
  params: readonly Value[] = [];
  execParams: Value[] = [];
  /** Rises with each execution: what depends on its parameters alone is computed once in it. */
  execution = 0;
  /** Plans inside expressions, opened on first use in an execution. */
  readonly subplans: Resettable[] = [];
  /** execParams that keep one value during an execution (init plans): they never force a recomputation. */
  readonly constantParams = new Set<number>();
  #credit = ticksPerCheck;

  bind(context: ExecContext): void {
    this.#context = context;
    this.eval = context.eval;
    this.params = context.params;
    this.execParams = context.execParams;
    this.execution++;
    this.#credit = ticksPerCheck;
    for (const subplan of this.subplans) subplan.reset();
  }

  get context(): ExecContext {
    assert(this.#context !== undefined, "an operator ran before it was opened");
    return this.#context;
  }

  /** Call between batches, before the first change of a step. Throws SliceEnd, or DbError queryCanceled. */
  tick(): void {
    if (--this.#credit > 0) return;
    this.#credit = ticksPerCheck;
    const context = this.context;
    context.checkInterrupt();
    if (context.slice?.expired()) throw new SliceEnd();
  }

  /** As `tick`, for steps of a millisecond or more: looks at the clock at once. */
  tickLong(): void {
    this.#credit = 0;
    this.tick();
  }

  closeSubplans(): void {
    for (const subplan of this.subplans) subplan.close();
  }
}

export interface Resettable {
  reset(): void;
  close(): void;
}

/** Builds the operator of a plan node; handed down so that expressions can hold subplans without importing builders. */
export type Build = (plan: PlanNode) => Operator;

/** Closes as much as can be closed when an execution ends, also by error; the first failure is reported. */
export function closeAll(operators: readonly { close(): void }[]): void {
  let failure: unknown;
  for (const operator of operators) {
    try {
      operator.close();
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
}

export { isWait };
