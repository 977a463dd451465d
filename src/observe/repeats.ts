/**
 * What happens again and again: told at once the first time, and then counted, with one more word for all of it at the end of a
 * while. So whoever knocks without end fills neither log nor audit chain, and nothing goes uncounted.
 *
 * Kinds are told of apart, and within a kind a few variants: who can make up variants (certificates, say) has that many
 * lines and no more.
 *
 * Invariants: the counts told add up to what was noted; what is told in a while, and what is kept, has a bound.
 */
import type { Clock, Timer } from "../platform/index.js";

export interface RepeatsOptions<What> {
  readonly clock: Pick<Clock, "after">;
  /** From the first word of a kind to the next. */
  readonly everyMs: number;
  /** Told apart at the same time. */
  readonly kindsMax: number;
  readonly variantsMax: number;
  /** Stands for all that come when as many as that are told apart. */
  readonly others: What;
  readonly tell: (what: What, count: number) => void;
}

interface Known<What> {
  readonly what: What;
  count: number;
  readonly timer: Timer;
}

export class Repeats<What> {
  readonly #options: RepeatsOptions<What>;
  readonly #known = new Map<string, Known<What>>();
  /** How many of a kind are told apart. */
  readonly #variants = new Map<string, number>();

  constructor(options: RepeatsOptions<What>) {
    this.#options = options;
  }

  note(what: What, kind: string, variant = "", count = 1): void {
    const { variantsMax, kindsMax, others } = this.#options;
    const key = JSON.stringify([kind, variant]);
    if (this.#counted(key, count)) return;
    if ((this.#variants.get(kind) ?? 0) >= variantsMax) this.#told(what, JSON.stringify([kind]), count);
    else if (this.#known.size >= kindsMax) this.#told(others, "others", count);
    else {
      this.#variants.set(kind, (this.#variants.get(kind) ?? 0) + 1);
      this.#told(what, key, count, () => {
        const left = this.#variants.get(kind)! - 1;
        if (left === 0) this.#variants.delete(kind);
        else this.#variants.set(kind, left);
      });
    }
  }

  #counted(key: string, count: number): boolean {
    const known = this.#known.get(key);
    if (known !== undefined) known.count += count;
    return known !== undefined;
  }

  #told(what: What, key: string, count: number, over: () => void = () => {}): void {
    if (this.#counted(key, count)) return;
    const { clock, everyMs, tell } = this.#options;
    const timer = clock.after(everyMs, () => {
      const { count } = this.#known.get(key)!;
      this.#known.delete(key);
      over();
      if (count > 0) tell(what, count);
    });
    this.#known.set(key, { what, count: 0, timer });
    tell(what, count);
  }

  /** What was counted is told now. */
  stop(): void {
    for (const { what, count, timer } of this.#known.values()) {
      timer.cancel();
      if (count > 0) this.#options.tell(what, count);
    }
    this.#known.clear();
    this.#variants.clear();
  }
}
