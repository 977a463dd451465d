/**
 * Who waits for whom, over all kinds of locks: rows, tables, advisory locks. One graph per node.
 *
 * Each kind of lock has its own queue and says, of each of its waits, who stands in the way (`blockers`) and how it ends
 * from outside (`fail`). A cycle of such waits never ends by itself: whoever has waited for `deadlock_timeout` looks for
 * one through himself, and the youngest wait of it, the one that closed it, fails with 40P01.
 *
 * Invariants: a party waits for one thing at a time, so a new wait takes the place of the one before. A wait is in the
 * graph from `begin` until `end`, whatever ends it. Blockers are asked for when a cycle is looked for and never kept.
 */
import { DbError } from "../base/errors.js";
import type { Clock, Timer } from "../platform/index.js";

/** deadlock_timeout unless the party has its own. */
const defaultTimeoutMs = 1000;

/** Whoever may hold locks and wait for one: a session, or a transaction that belongs to none. */
export class WaitParty {
  waiting: LockWait | undefined;
  constructor(
    /** As error details call it. */
    readonly name: string,
    readonly timeoutMs?: () => number,
  ) {}
}

export abstract class LockWait {
  /** Rises from wait to wait; 0 until begun. */
  order = 0;
  timer: Timer | undefined;
  constructor(readonly party: WaitParty) {}
  /** Those who must let go, or go on, before this wait can end. May name `party` itself. */
  abstract blockers(): Iterable<WaitParty>;
  /** "ShareLock on relation ..", "a row of relation ..": what is waited for. */
  abstract describe(): string;
  /** Ends the wait with an error; nothing when it is over. */
  abstract fail(error: DbError): void;
}

export class WaitGraph {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #order = 0;

  constructor(clock: Clock, timeoutMs = defaultTimeoutMs) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  begin(wait: LockWait): void {
    const { party } = wait;
    if (party.waiting !== undefined) this.end(party.waiting);
    wait.order = ++this.#order;
    party.waiting = wait;
    this.#arm(wait);
  }

  end(wait: LockWait): void {
    wait.timer?.cancel();
    wait.timer = undefined;
    if (wait.party.waiting === wait) wait.party.waiting = undefined;
  }

  #arm(wait: LockWait): void {
    wait.timer = this.#clock.after(wait.party.timeoutMs?.() ?? this.#timeoutMs, () => this.#check(wait));
  }

  #check(wait: LockWait): void {
    const cycle = cycleThrough(wait);
    if (cycle !== undefined) {
      const victim = cycle.reduce((youngest, one) => (one.order > youngest.order ? one : youngest));
      const detail = cycle
        .map((one, at) => {
          const blocker = cycle[(at + 1) % cycle.length]!;
          return `${one.party.name} waits for ${one.describe()}; blocked by ${lowerFirst(blocker.party.name)}.`;
        })
        .join("\n");
      victim.fail(
        new DbError("deadlockDetected", "deadlock detected", {
          detail,
          hint: "See server log for query details.",
        }),
      );
    }
    // Who stands in the way may change while the wait goes on.
    if (wait.party.waiting === wait) this.#arm(wait);
  }
}

/** The waits of a cycle that `start` is part of, each blocked by the next. */
function cycleThrough(start: LockWait): LockWait[] | undefined {
  const path: LockWait[] = [];
  const seen = new Set<LockWait>([start]);
  const search = (at: LockWait): boolean => {
    path.push(at);
    for (const blocker of at.blockers()) {
      const next = blocker.waiting;
      if (next === undefined || blocker === at.party) continue;
      if (next === start) return true;
      if (seen.has(next)) continue;
      seen.add(next);
      if (search(next)) return true;
    }
    path.pop();
    return false;
  };
  return search(start) ? path : undefined;
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
