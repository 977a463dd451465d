/**
 * How long things took, counted by size: what a histogram of durations is made of.
 *
 * Plain fields, so that one can be sent from thread to thread as it is; what arrives has no methods and is read only.
 *
 * Invariants: one more count than bounds, the last for what is above all of them; `count` is the sum of the counts.
 */

/** Upper bounds, seconds (OBS-5). */
export const durationBounds: readonly number[] = [0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30];

/** What is left of it on the other side of a thread. */
export type DurationCounts = Pick<Durations, "counts" | "count" | "sum">;

export class Durations {
  readonly counts: number[] = new Array<number>(durationBounds.length + 1).fill(0);
  count = 0;
  sum = 0;

  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < durationBounds.length && seconds > durationBounds[bucket]!) bucket++;
    this.counts[bucket]!++;
    this.count++;
    this.sum += seconds;
  }
}
