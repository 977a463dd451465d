/**
 * How synchronous code says "not now". The engine never awaits (D3): code that cannot go on throws a `Wait`, every
 * change of the current operation not yet begun, and the statement's driver awaits `ready` and runs the step again.
 *
 * Invariant: a Wait is thrown only before the first change of an operation (rule M2), so running again is safe.
 */
export class Wait {
  /** `ready` never rejects for reasons of the waiter's own; a rejection is the statement's error. */
  constructor(
    readonly reason: "page" | "frames" | "row" | "lock" | "journal" | "slice",
    readonly ready: Promise<void>,
  ) {}
}

export function isWait(thrown: unknown): thrown is Wait {
  return thrown instanceof Wait;
}
