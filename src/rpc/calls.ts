/**
 * The asking side of one connection: messages, requests and their answers, pings.
 *
 * The other side works on a bounded number of requests at once and stops reading beyond it, pings included. So this side
 * keeps to the same number: what is above it waits here. A request that has run out of time still holds its place until
 * its answer comes, since the other side is still at work on it.
 *
 * Invariants: every request is settled exactly once; "not sent" is said only of what never was written.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { MalformedBytes } from "../base/bytes.js";
import { assert, DbError } from "../base/errors.js";
import type { Clock, Timer } from "../platform/index.js";
import { decodeError, type Frame, FrameDecoder, FrameEncoder, payloadBytesMax } from "./codec.js";
import type { PeerStream } from "./contract.js";
import type { LinkLimits } from "./limits.js";

/** Details of errors that say whether the peer may have got a request. */
export const notSent = "not sent";
export const sent = "sent";

interface Call {
  readonly method: number;
  /** While it waits for its turn. */
  payload: Uint8Array | undefined;
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (error: DbError) => void;
  readonly timer: Timer;
  settled: boolean;
}

export interface CallsOptions {
  readonly stream: PeerStream;
  /** As messages name the other side: "node ...". */
  readonly who: string;
  readonly hash: XXHashAPI;
  readonly clock: Clock;
  readonly limits: LinkLimits;
  /** Something came. */
  readonly onHeard?: (() => void) | undefined;
  /** Once; nothing goes over this connection any more. */
  readonly onOver: (why: string, malformed: boolean) => void;
}

export class Calls {
  readonly #options: CallsOptions;
  readonly #encoder: FrameEncoder;
  readonly #decoder: FrameDecoder;
  readonly #sent = new Map<number, Call>();
  readonly #waiting: Call[] = [];
  #nextId = 1;
  #over = false;
  #ping: { readonly id: number; readonly at: number } | undefined;
  #sincePing = 0;
  #silent = 0;
  #roundTripMs: number | undefined;

  constructor(options: CallsOptions) {
    this.#options = options;
    this.#encoder = new FrameEncoder(options.hash);
    this.#decoder = new FrameDecoder(options.hash, options.limits.frameBytesMax);
    options.stream.onClose(() => this.#end("the connection was closed"));
    options.stream.onData((chunk) => this.#received(chunk));
  }

  /** Smoothed; undefined: not yet measured. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  /** False: it was not sent. */
  send(kind: number, payload: Uint8Array): boolean {
    const { stream, limits } = this.#options;
    assert(payload.length <= payloadBytesMax(limits.frameBytesMax), "a message is too large for a frame");
    if (this.#over || stream.unsent > limits.queueBytesMax) return false;
    stream.write(this.#encoder.encode("message", kind, 0, payload));
    return true;
  }

  request(method: number, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const { stream, limits, who, clock } = this.#options;
    if (this.#over) return Promise.reject(linkDown(who));
    if (payload.length > payloadBytesMax(limits.frameBytesMax)) {
      const message = `a request of ${payload.length} bytes is too large`;
      return Promise.reject(new DbError("programLimitExceeded", message));
    }
    if (stream.unsent > limits.queueBytesMax || this.#waiting.length >= limits.waitingMax) {
      const message = `too much is on its way to ${who}`;
      return Promise.reject(new DbError("connectionFailure", message, { detail: notSent }));
    }
    return new Promise((resolve, reject) => {
      const timer = clock.after(timeoutMs, () => this.#timeUp(call, timeoutMs));
      const call: Call = { method, payload: undefined, resolve, reject, timer, settled: false };
      if (this.#sent.size < limits.requestsMax) this.#write(call, payload);
      else {
        call.payload = new Uint8Array(payload);
        this.#waiting.push(call);
      }
    });
  }

  /** Measures the round trip, and whether anybody is there. */
  ping(): void {
    if (this.#over || this.#ping !== undefined) return;
    this.#ping = { id: this.#newId(), at: this.#options.clock.monotonic() };
    this.#sincePing = 0;
    this.#silent = 0;
    this.#options.stream.write(this.#encoder.encode("ping", 0, this.#ping.id));
  }

  /** `elapsedMs` in which this loop was running: what the host slept through proves nothing of the peer. */
  tick(elapsedMs: number): void {
    const { limits } = this.#options;
    this.#sincePing += elapsedMs;
    this.#silent += elapsedMs;
    if (this.#ping === undefined) {
      if (this.#sincePing >= limits.pingEveryMs) this.ping();
    } else if (this.#silent >= limits.silentMs) this.#end(`nothing was heard for ${limits.silentMs} ms`);
  }

  close(why: string): void {
    this.#end(why);
  }

  #newId(): number {
    const id = this.#nextId;
    this.#nextId = id === 0xffffffff ? 1 : id + 1;
    return id;
  }

  #write(call: Call, payload: Uint8Array): void {
    const id = this.#newId();
    call.payload = undefined;
    this.#sent.set(id, call);
    this.#options.stream.write(this.#encoder.encode("request", call.method, id, payload));
  }

  #timeUp(call: Call, timeoutMs: number): void {
    if (call.settled) return;
    call.settled = true;
    const at = this.#waiting.indexOf(call);
    if (at >= 0) this.#waiting.splice(at, 1);
    call.reject(timedOut(this.#options.who, timeoutMs, at >= 0 ? notSent : sent));
  }

  #received(chunk: Uint8Array): void {
    if (this.#over) return;
    this.#silent = 0;
    this.#options.onHeard?.();
    try {
      this.#decoder.push(chunk, (frame) => {
        this.#take(frame);
        return !this.#over;
      });
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      this.#end(error.message, true);
    }
  }

  #take({ kind, id, payload }: Frame): void {
    switch (kind) {
      case "pong": {
        if (this.#ping?.id !== id) throw new MalformedBytes("a pong to no ping");
        const took = this.#options.clock.monotonic() - this.#ping.at;
        const before = this.#roundTripMs;
        this.#roundTripMs = before === undefined ? took : before + (took - before) / 4;
        this.#ping = undefined;
        return;
      }
      case "answer":
      case "error": {
        const call = this.#sent.get(id);
        if (call === undefined) throw new MalformedBytes("an answer to no request");
        const error = kind === "error" ? decodeError(payload) : undefined;
        this.#sent.delete(id);
        this.#settle(call, () => {
          if (error === undefined) call.resolve(new Uint8Array(payload));
          else call.reject(error);
        });
        const next = this.#waiting.shift();
        if (next !== undefined) this.#write(next, next.payload!);
        return;
      }
      default:
        throw new MalformedBytes(`a frame "${kind}" from the side that answers`);
    }
  }

  #settle(call: Call, act: () => void): void {
    if (call.settled) return;
    call.settled = true;
    call.timer.cancel();
    act();
  }

  #end(why: string, malformed = false): void {
    if (this.#over) return;
    this.#over = true;
    const { stream, who, onOver } = this.#options;
    stream.destroy();
    const broke = (detail: string): DbError =>
      new DbError("connectionFailure", `the connection to ${who} broke: ${why}`, { detail });
    for (const call of this.#sent.values()) this.#settle(call, () => call.reject(broke(sent)));
    for (const call of this.#waiting) this.#settle(call, () => call.reject(broke(notSent)));
    this.#sent.clear();
    this.#waiting.length = 0;
    onOver(why, malformed);
  }
}

export function linkDown(who: string): DbError {
  return new DbError("connectionFailure", `there is no connection to ${who}`, { detail: notSent });
}
export function timedOut(who: string, timeoutMs: number, detail: string): DbError {
  return new DbError("queryCanceled", `${who} did not answer within ${timeoutMs} ms`, { detail });
}
