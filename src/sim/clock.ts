/**
 * Simulated time: an event queue in which the next event is always due at once. Time stands still while code runs and
 * jumps to the next event when nothing else is left to do, so a test of hours takes milliseconds.
 *
 * Invariant: events run in order of time, then of scheduling; the same calls give the same history.
 */
import type { Clock, Timer } from "../platform/index.js";

interface Event {
  readonly at: number;
  readonly order: number;
  run: (() => void) | undefined;
}

export class SimClock implements Clock {
  #time = 0;
  #order = 0;
  readonly #origin: number;
  /** Binary heap by (at, order). */
  readonly #events: Event[] = [];
  /** Turns of the host's loop that are asked for and not taken. */
  #turns = 0;
  readonly #turnsAtOnce: number;
  #stopped = false;

  /**
   * `turnsAtOnce`: turns that are asked for together, and follow each other without a look at sockets and the like in between.
   * More are faster where nothing but the clock moves anything.
   */
  constructor(originMs = defaultOriginMs, turnsAtOnce = 1) {
    this.#origin = originMs;
    this.#turnsAtOnce = turnsAtOnce;
  }

  now(): number {
    return this.#origin + this.#time;
  }

  monotonic(): number {
    return this.#time;
  }

  after(delayMs: number, run: () => void): Timer {
    const event: Event = { at: this.#time + Math.max(0, delayMs), order: this.#order++, run };
    if (!this.#stopped) this.#push(event);
    if (this.#turns === 0) this.#askForTurns();
    return {
      cancel: () => {
        event.run = undefined;
      },
    };
  }

  yield(): Promise<void> {
    return new Promise((resolve) => this.after(0, resolve));
  }

  /** Nothing that was scheduled happens any more: whoever lived by this clock is dead. */
  stop(): void {
    this.#stopped = true;
    this.#events.length = 0;
  }

  /** Time passes while synchronous code waits for something (an inline read of a slow disk). */
  advance(ms: number): void {
    this.#time += ms;
  }

  #askForTurns(): void {
    this.#turns = this.#turnsAtOnce;
    for (let turn = 0; turn < this.#turnsAtOnce; turn++) setImmediate(this.#takeTurn);
  }

  /** The host drains every promise between two turns: only then is nothing left to do at this instant. */
  readonly #takeTurn = (): void => {
    this.#turns--;
    let event = this.#pop();
    while (event !== undefined && event.run === undefined) event = this.#pop();
    if (event === undefined) return;
    // Also for what an event throws: time goes on.
    if (this.#turns === 0) this.#askForTurns();
    this.#time = Math.max(this.#time, event.at);
    event.run!();
  };

  #before(a: Event, b: Event): boolean {
    return a.at < b.at || (a.at === b.at && a.order < b.order);
  }

  #push(event: Event): void {
    const heap = this.#events;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!this.#before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#events;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#before(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

/** The time as one process among several sees it: what it had scheduled dies with it. */
export class ProcessClock implements Clock {
  readonly #world: SimClock;
  #stopped = false;

  constructor(world: SimClock) {
    this.#world = world;
  }
  now(): number {
    return this.#world.now();
  }
  monotonic(): number {
    return this.#world.monotonic();
  }
  after(delayMs: number, run: () => void): Timer {
    return this.#world.after(delayMs, () => {
      if (!this.#stopped) run();
    });
  }
  yield(): Promise<void> {
    return new Promise((resolve) => this.after(0, resolve));
  }
  stop(): void {
    this.#stopped = true;
  }
}

/** 2030-01-01T00:00:00Z: any fixed instant does, as long as it is no host's present. */
const defaultOriginMs = 1_893_456_000_000;
