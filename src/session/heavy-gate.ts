/**
 * Admission of heavy statements (M3): a bounded number runs at once, the others queue in the order they came.
 *
 * A statement holds its place only while it works: one that waits for a lock or for a slow client gives it up and goes
 * on without queueing again, so that no place is held by someone who waits for another in the queue.
 *
 * Invariants: first come, first served; who leaves hands the place on.
 */
import { assert } from "../base/errors.js";

/** Plans that cost more (PostgreSQL's units: about a read of half a million rows) are heavy. */
export const heavyCost = 10_000;

export interface GatePlace {
  readonly ready: Promise<void>;
}

interface Waiting extends GatePlace {
  readonly admit: () => void;
  admitted: boolean;
}

export class HeavyGate {
  #running = 0;
  readonly #queue: Waiting[] = [];

  constructor(readonly limit: number) {
    assert(limit > 0, "at least one heavy statement must be able to run");
  }
  get running(): number {
    return this.#running;
  }
  get queued(): number {
    return this.#queue.length;
  }

  /** undefined: admitted at once. Otherwise a place in the queue: admitted once `ready` resolves. */
  enter(): GatePlace | undefined {
    if (this.#running < this.limit && this.#queue.length === 0) {
      this.#running++;
      return undefined;
    }
    let admit: () => void = () => {};
    const ready = new Promise<void>((resolve) => {
      admit = resolve;
    });
    const place: Waiting = { ready, admit, admitted: false };
    this.#queue.push(place);
    return place;
  }

  /** A queued statement does not want its place any more; it may have just got it. */
  abandon(place: GatePlace): void {
    const at = this.#queue.indexOf(place as Waiting);
    if (at >= 0) this.#queue.splice(at, 1);
    else if ((place as Waiting).admitted) this.leave();
  }

  /** Back from a wait, without queueing. */
  comeBack(): void {
    this.#running++;
  }

  leave(): void {
    this.#running--;
    assert(this.#running >= 0, "a heavy statement left twice");
    while (this.#running < this.limit) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#running++;
      next.admitted = true;
      next.admit();
    }
  }
}
