/**
 * This node's own link to one peer: dialled, kept alive, dialled again.
 *
 * A link that has stood for a while and breaks is dialled again at once: when the peer's process is gone the host answers
 * REFUSED within a round trip, and that is how a killed node is noticed in milliseconds. Failures back off, with jitter, up
 * to a second; a peer that connects to us is dialled without more waiting.
 *
 * Invariants: one dial or one connection at a time; "connected" and "disconnected" alternate; "dead" is said once between
 * two connections.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { DbError } from "../base/errors.js";
import type { Clock, Random, Timer } from "../platform/index.js";
import { Calls } from "./calls.js";
import type { PeerNetwork, PeerStream } from "./contract.js";
import type { LinkLimits } from "./limits.js";

/**
 * A process that dies closes its connections a moment before its listener: the first dial after it may reach the one and not
 * the other, which says nothing yet.
 */
const quickDials = 2;
const quickDialMs = 5;

/** Of a dial: the other side has proved who it is before it says so. */
const removedDetail = "UNREACHABLE: it refuses this node: REMOVED";
/** One side knows a CA that the other does not, or this node's certificate has ended. */
const distrustedDetail = /^UNREACHABLE( UNTRUSTED_CA: |: it refuses this node: (UNTRUSTED_CA|EXPIRED)$)/;

export interface PeerEvent {
  readonly node: string;
  /** dead: its host answers that nobody listens at its address. removed: it says that this node is no member any more. */
  readonly kind: "connected" | "disconnected" | "dead" | "removed" | "distrusted";
}

export interface OutgoingOptions {
  readonly network: PeerNetwork;
  readonly clock: Clock;
  readonly random: Random;
  readonly hash: XXHashAPI;
  readonly limits: LinkLimits;
  readonly onEvent: (event: PeerEvent) => void;
  readonly onHeard: (node: string) => void;
  /** For the log: why a link broke or could not be made. */
  readonly onTrouble: (node: string, what: string, malformed: boolean) => void;
}

export class Outgoing {
  readonly node: string;
  #address: string;
  readonly #options: OutgoingOptions;
  #calls: Calls | undefined;
  #dialledAt = 0;
  #connectedAt = 0;
  #failures = 0;
  /** Dials that may still follow a break without the usual pause. */
  #quick = 0;
  #deadSaid = false;
  #timer: Timer | undefined;
  /** Of the dial whose outcome counts. */
  #attempt = 0;
  #closed = false;

  constructor(node: string, address: string, options: OutgoingOptions) {
    this.node = node;
    this.#address = address;
    this.#options = options;
    this.#dial();
  }

  get calls(): Calls | undefined {
    return this.#calls;
  }

  /** Where the peer is now. */
  move(address: string): void {
    if (address === this.#address) return;
    this.#address = address;
    this.#failures = 0;
    if (this.#calls === undefined) this.#dial();
    else this.#calls.close("its address has changed");
  }

  /** The peer has shown that it is there. */
  nudge(): void {
    if (this.#closed || this.#calls !== undefined) return;
    const { clock, limits } = this.#options;
    // A dial that has had no answer yet may have been lost on the way; its next try could be seconds off.
    const stuck = clock.monotonic() - this.#dialledAt >= limits.dialMs / 4;
    if (this.#timer !== undefined || stuck) this.#dial();
  }

  close(why: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.#attempt++;
    this.#calls?.close(why);
  }

  #dial(): void {
    const { network, clock, limits } = this.#options;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#dialledAt = clock.monotonic();
    const attempt = ++this.#attempt;
    network.dial({ address: this.#address, node: this.node }, limits.dialMs).then(
      (stream) => {
        if (attempt === this.#attempt) this.#connected(stream);
        else stream.destroy();
      },
      (error: unknown) => {
        if (!(error instanceof DbError)) throw error; // ends the node: a broken invariant
        if (attempt === this.#attempt) this.#failed(error);
      },
    );
  }

  #connected(stream: PeerStream): void {
    const { hash, clock, limits, onEvent, onHeard } = this.#options;
    this.#deadSaid = false;
    this.#connectedAt = clock.monotonic();
    const calls = new Calls({
      stream,
      who: `node ${this.node}`,
      hash,
      clock,
      limits,
      onHeard: () => onHeard(this.node),
      onOver: (why, malformed) => this.#broke(why, malformed),
    });
    this.#calls = calls;
    onHeard(this.node);
    calls.ping();
    onEvent({ node: this.node, kind: "connected" });
  }

  #broke(why: string, malformed: boolean): void {
    const { clock, limits, onEvent, onTrouble } = this.#options;
    this.#calls = undefined;
    if (!this.#closed) {
      onTrouble(this.node, why, malformed);
      if (malformed || clock.monotonic() - this.#connectedAt < limits.stableMs) this.#backOff();
      else {
        this.#failures = 0;
        this.#quick = quickDials;
        this.#dial();
      }
    }
    onEvent({ node: this.node, kind: "disconnected" });
  }

  #failed(error: DbError): void {
    const { onEvent, onTrouble } = this.#options;
    const detail = error.fields.detail ?? "";
    if (this.#failures === 0) onTrouble(this.node, `${error.message} (${detail})`, false);
    if (this.#quick > 0 && detail.startsWith("UNREACHABLE")) {
      this.#quick--;
      this.#timer = this.#options.clock.after(quickDialMs, () => this.#dial());
    } else this.#backOff();
    if (detail.startsWith("REFUSED") && !this.#deadSaid) {
      this.#deadSaid = true;
      onEvent({ node: this.node, kind: "dead" });
    }
    if (detail === removedDetail) onEvent({ node: this.node, kind: "removed" });
    if (distrustedDetail.test(detail)) onEvent({ node: this.node, kind: "distrusted" });
  }

  #backOff(): void {
    const { clock, random, limits } = this.#options;
    const step = Math.min(limits.redialMaxMs, limits.redialMinMs * 2 ** Math.min(++this.#failures, 20));
    const delay = Math.max(limits.redialMinMs, step * (0.5 + random.fraction() / 2));
    this.#timer = clock.after(delay, () => this.#dial());
  }
}
