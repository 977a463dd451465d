/** Checks that are put off, to the end of the statement or to COMMIT: what their kinds have in common. */
import { DbError } from "../base/errors.js";
import type { ConstraintDesc } from "../model/schema.js";
import type { ExecContext } from "./contract.js";

/** Checks of one constraint that may wait for the commit: they outlive the statement's memory budget. */
const deferredMax = 4_000_000;

export function boundDeferred(count: number): void {
  if (count >= deferredMax) {
    throw new DbError("outOfMemory", "out of memory", {
      detail: `More than ${deferredMax} deferred checks of one constraint are queued.`,
    });
  }
}

/** Whether the constraint waits for COMMIT now. */
export function isDeferred(constraint: ConstraintDesc, context: ExecContext): boolean {
  if (context.atCommit === undefined) return false;
  if (context.isDeferred !== undefined) return context.isDeferred(constraint);
  return constraint.deferrable === true && constraint.initiallyDeferred === true;
}
