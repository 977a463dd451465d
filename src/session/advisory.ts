/**
 * Advisory locks: numbers that applications lock by agreement (PostgreSQL manual, 13.3.5). Held by sessions, counted per
 * session; transaction-level ones end with the transaction, or with a savepoint before them.
 *
 * Invariant: whoever waits is told of every release of his lock and looks again; deadlocks with other locks are found by
 * the node's wait graph.
 */
import { DbError } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import { LockWait, type WaitGraph, type WaitParty } from "../mga/index.js";
import type { Wide } from "../model/value.js";
import type { Clock, Timer } from "../platform/index.js";
import type { Notice } from "./contract.js";

type Mode = "exclusive" | "shared";

interface Holder {
  readonly waitParty: WaitParty;
  notice(notice: Notice): void;
  lockTimeoutMs(): number;
}

interface Held {
  readonly holder: Holder;
  readonly mode: Mode;
  readonly scope: "session" | "transaction";
  count: number;
}

export type AdvisoryMark = ReadonlyMap<Held, number>;

class Waiting extends LockWait {
  readonly ready: Promise<void>;
  resolve!: () => void;
  reject!: (error: DbError) => void;
  /** lock_timeout. */
  limit: Timer | undefined;
  constructor(
    readonly locks: AdvisoryLocks,
    readonly holder: Holder,
    readonly name: string,
    readonly mode: Mode,
  ) {
    super(holder.waitParty);
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
    return `${this.mode === "exclusive" ? "ExclusiveLock" : "ShareLock"} on advisory lock [${this.name}]`;
  }
  fail(error: DbError): void {
    this.locks.fail(this, error);
  }
}

export class AdvisoryLocks {
  readonly #held = new Map<string, Held[]>();
  readonly #waiting = new Map<string, Waiting[]>();
  /** How many locks a session holds beyond its transaction. */
  readonly #ofSession = new Map<Holder, number>();

  constructor(
    private readonly clock: Clock,
    private readonly waits: WaitGraph,
  ) {}

  /** Throws Wait when it must be waited for. */
  lock(
    holder: Holder,
    key: readonly Wide[],
    mode: Mode,
    scope: "session" | "transaction",
    tryOnly: boolean,
  ): boolean {
    const name = key.join(",");
    const held = this.#held.get(name) ?? [];
    if (held.some((one) => blocks(one, holder, mode))) {
      if (tryOnly) return false;
      throw this.#wait(new Waiting(this, holder, name, mode));
    }
    const own = held.find((one) => one.holder === holder && one.mode === mode && one.scope === scope);
    if (own !== undefined) own.count++;
    else {
      held.push({ holder, mode, scope, count: 1 });
      if (scope === "session") this.#ofSession.set(holder, (this.#ofSession.get(holder) ?? 0) + 1);
    }
    this.#held.set(name, held);
    return true;
  }

  #wait(waiting: Waiting): Wait {
    const queue = this.#waiting.get(waiting.name) ?? [];
    queue.push(waiting);
    this.#waiting.set(waiting.name, queue);
    const timeoutMs = waiting.holder.lockTimeoutMs();
    if (timeoutMs > 0) {
      waiting.limit = this.clock.after(timeoutMs, () =>
        this.fail(waiting, new DbError("lockNotAvailable", "canceling statement due to lock timeout")),
      );
    }
    this.waits.begin(waiting);
    return new Wait("lock", waiting.ready);
  }

  #settle(waiting: Waiting): void {
    waiting.limit?.cancel();
    this.waits.end(waiting);
  }

  *blockersOf(waiting: Waiting): Generator<WaitParty> {
    for (const held of this.#held.get(waiting.name) ?? [])
      if (blocks(held, waiting.holder, waiting.mode)) yield held.holder.waitParty;
  }

  /** Ends a wait from outside: cancel, time-out, deadlock. */
  fail(waiting: Waiting, error: DbError): void {
    const queue = this.#waiting.get(waiting.name);
    const at = queue?.indexOf(waiting) ?? -1;
    if (queue === undefined || at < 0) return;
    queue.splice(at, 1);
    if (queue.length === 0) this.#waiting.delete(waiting.name);
    this.#settle(waiting);
    waiting.reject(error);
  }

  unlock(holder: Holder, key: readonly Wide[], mode: Mode): boolean {
    const name = key.join(",");
    const held = this.#held.get(name) ?? [];
    const own = held.find((one) => one.holder === holder && one.mode === mode && one.scope === "session");
    if (own === undefined) {
      holder.notice({
        severity: "WARNING",
        sqlstate: "01000",
        message: `you don't own a lock of type ${mode === "exclusive" ? "ExclusiveLock" : "ShareLock"}`,
      });
      return false;
    }
    if (--own.count === 0) this.#release(name, (one) => one !== own);
    return true;
  }

  /** Any that outlives the holder's transaction. */
  holds(holder: Holder): boolean {
    return this.#ofSession.has(holder);
  }

  unlockAll(holder: Holder, scope: "session" | "transaction" | "all"): void {
    if (this.#held.size === 0) return;
    for (const name of [...this.#held.keys()])
      this.#release(name, (one) => one.holder !== holder || (scope !== "all" && one.scope !== scope));
  }

  /** What the holder's transaction has now, for `releaseTo`. */
  mark(holder: Holder): AdvisoryMark {
    const mark = new Map<Held, number>();
    for (const held of this.#held.values())
      for (const one of held)
        if (one.holder === holder && one.scope === "transaction") mark.set(one, one.count);
    return mark;
  }

  /** Gives back what the transaction took since the mark, at a savepoint that is gone back to. */
  releaseTo(holder: Holder, mark: AdvisoryMark): void {
    for (const [name, held] of [...this.#held]) {
      for (const one of held) {
        if (one.holder === holder && one.scope === "transaction") one.count = mark.get(one) ?? 0;
      }
      this.#release(name, (one) => one.count > 0);
    }
  }

  #release(name: string, keep: (held: Held) => boolean): void {
    const before = this.#held.get(name);
    if (before === undefined) return;
    const rest = before.filter(keep);
    if (rest.length === before.length) return;
    if (rest.length === 0) this.#held.delete(name);
    else this.#held.set(name, rest);
    for (const { holder } of before.filter((one) => one.scope === "session" && !keep(one))) {
      const left = (this.#ofSession.get(holder) ?? 0) - 1;
      if (left > 0) this.#ofSession.set(holder, left);
      else this.#ofSession.delete(holder);
    }
    // All are woken: each looks again, and who does not get it waits anew.
    const queue = this.#waiting.get(name) ?? [];
    this.#waiting.delete(name);
    for (const waiting of queue) {
      this.#settle(waiting);
      waiting.resolve();
    }
  }
}

function blocks(held: Held, holder: Holder, mode: Mode): boolean {
  return held.holder !== holder && (mode === "exclusive" || held.mode === "exclusive");
}
