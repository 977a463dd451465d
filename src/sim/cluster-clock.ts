/**
 * The time as one machine of a simulated cluster sees it: it drifts, its wall clock jumps, and it stands still for a process
 * that is paused. All machines share one `SimClock`, which says in which order things happen.
 *
 * Invariants: monotonic time never goes back; of a process that is paused or dead nothing runs, and what became due in a
 * pause runs behind it, in order.
 */
import type { Timer } from "../platform/index.js";
import type { SimClock } from "./clock.js";
import type { DiskClock } from "./disk.js";

export interface NodeClockOptions {
  /** Its milliseconds in one of the world's. */
  readonly rate: number;
  /** What its monotonic clock showed when the process began. */
  readonly origin: number;
  /** Of its wall clock, against the world's. */
  readonly skewMs: number;
}

export class NodeClock implements DiskClock {
  readonly #world: SimClock;
  readonly #rate: number;
  readonly #origin: number;
  readonly #startedAt: number;
  #skewMs: number;
  #stopped = false;
  #paused = false;
  #due: (() => void)[] = [];

  constructor(world: SimClock, { rate, origin, skewMs }: NodeClockOptions) {
    this.#world = world;
    this.#rate = rate;
    this.#origin = origin;
    this.#skewMs = skewMs;
    this.#startedAt = world.monotonic();
  }

  now(): number {
    return this.#world.now() + this.#skewMs + (this.#rate - 1) * (this.#world.monotonic() - this.#startedAt);
  }
  monotonic(): number {
    return this.#origin + (this.#world.monotonic() - this.#startedAt) * this.#rate;
  }
  after(delayMs: number, run: () => void): Timer {
    let cancelled = false;
    const fire = (): void => {
      if (cancelled || this.#stopped) return;
      if (this.#paused) this.#due.push(fire);
      else run();
    };
    const timer = this.#world.after(delayMs / this.#rate, fire);
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  }
  yield(): Promise<void> {
    return new Promise((resolve) => this.after(0, resolve));
  }
  /** A synchronous wait of this process is everybody's: one loop runs them all. */
  advance(ms: number): void {
    this.#world.advance(ms);
  }

  get skewMs(): number {
    return this.#skewMs;
  }
  get stopped(): boolean {
    return this.#stopped;
  }
  get paused(): boolean {
    return this.#paused;
  }
  /** Somebody sets the wall clock. */
  jump(ms: number): void {
    this.#skewMs += ms;
  }
  pause(): void {
    this.#paused = true;
  }
  resume(): void {
    this.#paused = false;
    const due = this.#due;
    this.#due = [];
    for (const fire of due) this.#world.after(0, fire);
  }
  /** The process is gone. */
  stop(): void {
    this.#stopped = true;
    this.#due = [];
  }
}
