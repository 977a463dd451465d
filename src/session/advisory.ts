/**
 * Advisory locks: numbers that applications lock by agreement (PostgreSQL manual, 13.3.5). Held by sessions, counted per
 * session; transaction-level ones end with the transaction.
 */
import { Wait } from "../base/wait.js";
import type { Wide } from "../model/value.js";
import type { Notice } from "./contract.js";

interface Holder {
  notice(notice: Notice): void;
}

interface Held {
  readonly holder: Holder;
  readonly mode: "exclusive" | "shared";
  readonly scope: "session" | "transaction";
  count: number;
}

export class AdvisoryLocks {
  readonly #held = new Map<string, Held[]>();
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Throws Wait when it must be waited for. */
  lock(
    holder: Holder,
    key: readonly Wide[],
    mode: "exclusive" | "shared",
    scope: "session" | "transaction",
    tryOnly: boolean,
  ): boolean {
    const name = key.join(",");
    const held = this.#held.get(name) ?? [];
    const blocked = held.some(
      (one) => one.holder !== holder && (mode === "exclusive" || one.mode === "exclusive"),
    );
    if (blocked) {
      if (tryOnly) return false;
      throw new Wait(
        "lock",
        new Promise((resolve) => {
          const queue = this.#waiting.get(name) ?? [];
          queue.push(resolve);
          this.#waiting.set(name, queue);
        }),
      );
    }
    const own = held.find((one) => one.holder === holder && one.mode === mode && one.scope === scope);
    if (own !== undefined) own.count++;
    else held.push({ holder, mode, scope, count: 1 });
    this.#held.set(name, held);
    return true;
  }

  unlock(holder: Holder, key: readonly Wide[], mode: "exclusive" | "shared"): boolean {
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

  unlockAll(holder: Holder, scope: "session" | "transaction" | "all"): void {
    if (this.#held.size === 0) return;
    for (const name of [...this.#held.keys()])
      this.#release(name, (one) => one.holder !== holder || (scope !== "all" && one.scope !== scope));
  }

  #release(name: string, keep: (held: Held) => boolean): void {
    const before = this.#held.get(name);
    if (before === undefined) return;
    const rest = before.filter(keep);
    if (rest.length === before.length) return;
    if (rest.length === 0) this.#held.delete(name);
    else this.#held.set(name, rest);
    // All are woken: each looks again, and who does not get it waits anew.
    const queue = this.#waiting.get(name) ?? [];
    this.#waiting.delete(name);
    for (const wake of queue) wake();
  }
}
