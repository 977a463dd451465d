/**
 * How long the event loop keeps a due timer waiting: the measure of whether anything holds the loop (rule M2).
 *
 * A timer is due every 10 ms; how late it comes is counted in buckets of one second, a ring of a minute. Lateness grows
 * by steps of a tenth, from 0.1 ms.
 *
 * Invariants: constant memory; no allocation but the timer's.
 */
import type { Clock, Timer } from "../platform/index.js";

const periodMs = 10;
const seconds = 60;
const steps = 128;
const growth = Math.log(1.1);
const floorMs = 0.1;

export interface LoopDelays {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export class LoopDelay {
  readonly #clock: Clock;
  readonly #counts = new Uint32Array(seconds * steps);
  readonly #worst = new Float64Array(seconds);
  /** Second that a row of the ring counts. */
  readonly #second = new Float64Array(seconds).fill(-1);
  #due: number;
  #timer: Timer;
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#due = clock.monotonic() + periodMs;
    this.#timer = clock.after(periodMs, () => this.#tick());
  }

  #tick(): void {
    if (this.#stopped) return;
    const now = this.#clock.monotonic();
    // Timers count whole milliseconds: up to one of them is no delay.
    this.#record(now, Math.max(0, now - this.#due - 1));
    this.#due = now + periodMs;
    this.#timer = this.#clock.after(periodMs, () => this.#tick());
  }

  #record(now: number, lateMs: number): void {
    const second = Math.floor(now / 1000);
    const row = second % seconds;
    if (this.#second[row] !== second) {
      this.#second[row] = second;
      this.#worst[row] = 0;
      this.#counts.fill(0, row * steps, (row + 1) * steps);
    }
    const step = lateMs <= floorMs ? 0 : Math.min(steps - 1, Math.ceil(Math.log(lateMs / floorMs) / growth));
    const at = row * steps + step;
    this.#counts[at] = this.#counts[at]! + 1;
    if (lateMs > this.#worst[row]!) this.#worst[row] = lateMs;
  }

  /** Delays of the last seconds, at most 60; milliseconds. */
  last(count: number): LoopDelays {
    const now = Math.floor(this.#clock.monotonic() / 1000);
    const sums = new Float64Array(steps);
    let total = 0;
    let max = 0;
    for (let row = 0; row < seconds; row++) {
      const second = this.#second[row]!;
      if (second < 0 || second <= now - count) continue;
      max = Math.max(max, this.#worst[row]!);
      for (let step = 0; step < steps; step++) {
        const counted = this.#counts[row * steps + step]!;
        sums[step] = sums[step]! + counted;
        total += counted;
      }
    }
    const at = (share: number): number => {
      let seen = 0;
      for (let step = 0; step < steps; step++) {
        seen += sums[step]!;
        if (seen >= total * share) return step === 0 ? 0 : Math.min(max, floorMs * Math.exp(step * growth));
      }
      return max;
    };
    return { p50: at(0.5), p99: at(0.99), max };
  }

  stop(): void {
    this.#stopped = true;
    this.#timer.cancel();
  }
}
