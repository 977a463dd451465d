/**
 * Log-ins take turns: a handshake and a proof are work on the one loop, and many at once must keep neither sessions nor other
 * log-ins waiting for all of them.
 *
 * A few are under way at a time; those that wait do so by address, and addresses take turns. Within one they come in their order:
 * newest first would serve a flood's last wave and starve who waits behind it. In front of all go those that are known for
 * good log-ins.
 *
 * A turn ends when the log-in is decided, and after `turnMs` in any case: who lets the server wait holds nobody up.
 *
 * Invariants: `run` is called once for each that enters and has not left before; with nobody waiting, it is called at once.
 */
import type { Clock, Timer } from "../platform/index.js";

const atOnceMax = 4;
const turnMs = 5;
/** Begun without letting the loop go on. */
const roundMax = 16;

interface Waiting {
  readonly run: () => void;
  timer: Timer | undefined;
  state: "waiting" | "running" | "over";
}

export class LoginTurns {
  readonly #first: Waiting[] = [];
  /** By address, in the order in which they have their turn. */
  readonly #queues = new Map<string, Waiting[]>();
  #running = 0;
  #isStarting = false;
  #isYielding = false;

  constructor(private readonly clock: Clock) {}

  /** Answers what ends the turn, or the wait for it; it may be called again. */
  enter(address: string, run: () => void, isFirst = false): () => void {
    const one: Waiting = { run, timer: undefined, state: "waiting" };
    const queue = isFirst ? this.#first : this.#queues.get(address);
    if (queue === undefined) this.#queues.set(address, [one]);
    else queue.push(one);
    this.#next();
    return () => this.#leave(one);
  }

  get waiting(): number {
    let count = 0;
    for (const queue of [this.#first, ...this.#queues.values()])
      for (const { state } of queue) if (state === "waiting") count++;
    return count;
  }

  #leave(one: Waiting): void {
    const wasRunning = one.state === "running";
    one.state = "over";
    one.timer?.cancel();
    if (!wasRunning) return; // its place in the queue is passed over
    this.#running--;
    this.#next();
  }

  /** A log-in may be over before `run` returns: the loop goes on, it is not entered again. */
  #next(): void {
    if (this.#isStarting || this.#isYielding) return;
    this.#isStarting = true;
    let begun = 0;
    while (this.#running < atOnceMax && begun < roundMax) {
      const one = this.#take();
      if (one === undefined) break;
      begun++;
      this.#running++;
      one.state = "running";
      one.timer = this.clock.after(turnMs, () => this.#leave(one));
      one.run();
    }
    this.#isStarting = false;
    if (begun < roundMax || this.waiting === 0) return;
    this.#isYielding = true;
    void this.clock.yield().then(() => {
      this.#isYielding = false;
      this.#next();
    });
  }

  #take(): Waiting | undefined {
    const first = nextOf(this.#first);
    if (first !== undefined) return first;
    for (const [address, queue] of this.#queues) {
      this.#queues.delete(address);
      const one = nextOf(queue);
      if (queue.length > 0) this.#queues.set(address, queue);
      if (one !== undefined) return one;
    }
    return undefined;
  }
}

function nextOf(queue: Waiting[]): Waiting | undefined {
  for (let one = queue.shift(); one !== undefined; one = queue.shift()) if (one.state !== "over") return one;
  return undefined;
}
