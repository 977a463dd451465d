/**
 * Raw streams between nodes, for sessions that are relayed: one frame with a head that says what the stream is for, one
 * frame that accepts it or says why not, then bytes as they are, both ways, with the back-pressure of the connection.
 *
 * Invariants: raw bytes begin after the acceptor's answer, on both sides, and none is lost that came together with a frame;
 * connections that have not brought their head are bounded in number, size and time.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { MalformedBytes } from "../base/bytes.js";
import { assert, DbError } from "../base/errors.js";
import { type Log, silentLog } from "../observe/index.js";
import type { Clock, Listener } from "../platform/index.js";
import { timedOut } from "./calls.js";
import { decodeError, encodeError, FrameDecoder, FrameEncoder, FrameHead } from "./codec.js";
import type { DialTarget, PeerNetwork, PeerStream } from "./contract.js";
import type { MemberIdentity } from "./incoming.js";

export interface StreamOptions {
  readonly network: PeerNetwork;
  readonly clock: Clock;
  readonly hash: XXHashAPI;
  readonly log?: Log | undefined;
  /** Of a head. */
  readonly headBytesMax?: number | undefined;
  /** From the connection to its head. */
  readonly headMs?: number | undefined;
  /** Connections whose stream is not accepted yet. */
  readonly pendingMax?: number | undefined;
}

const headBytesMaxDefault = 64 * 1024;
/** Of the acceptor's answer: room for any error. */
const answerBytesMax = 128 * 1024;
const headMsDefault = 5_000;
const pendingMaxDefault = 256;

/** A connection as a stream that first hands over what had come along with a frame. */
class RawStream implements PeerStream {
  readonly #inner: PeerStream;
  #rest: Uint8Array | undefined;
  #onData: ((chunk: Uint8Array) => void) | undefined;
  #onClose: () => void = () => {};
  /** Told only after the bytes that came before it. */
  #closed = false;
  #paused = false;
  #handing = false;

  /** `inner` is paused. `rest` is kept. */
  constructor(inner: PeerStream, rest: Uint8Array | undefined) {
    this.#inner = inner;
    this.#rest = rest;
    inner.onData((chunk) => this.#onData?.(chunk));
    inner.onClose(() => {
      this.#closed = true;
      if (this.#rest === undefined) this.#onClose();
    });
  }

  get peer(): PeerStream["peer"] {
    return this.#inner.peer;
  }
  get remoteAddress(): string {
    return this.#inner.remoteAddress;
  }
  get unsent(): number {
    return this.#inner.unsent;
  }
  onData(handler: (chunk: Uint8Array) => void): void {
    this.#onData = handler;
    this.#flow();
  }
  onClose(handler: () => void): void {
    this.#onClose = handler;
    if (this.#closed && this.#rest === undefined) queueMicrotask(handler);
  }
  write(bytes: Uint8Array): boolean {
    return this.#inner.write(bytes);
  }
  drained(): Promise<void> {
    return this.#inner.drained();
  }
  pause(): void {
    this.#paused = true;
    this.#inner.pause();
  }
  resume(): void {
    this.#paused = false;
    this.#flow();
  }
  end(): void {
    this.#dropRest();
    this.#inner.end();
  }
  destroy(): void {
    this.#dropRest();
    this.#inner.destroy();
  }

  #dropRest(): void {
    if (this.#rest === undefined) return;
    this.#rest = undefined;
    if (this.#closed) queueMicrotask(() => this.#onClose());
  }

  #flow(): void {
    if (this.#paused || this.#onData === undefined || this.#handing) return;
    if (this.#rest === undefined) {
      this.#inner.resume();
      return;
    }
    // Later, as with any other bytes: who sets a handler has not finished its own work yet.
    this.#handing = true;
    queueMicrotask(() => {
      this.#handing = false;
      const rest = this.#rest;
      if (this.#paused || rest === undefined) return;
      this.#rest = undefined;
      this.#onData?.(rest);
      if (this.#closed) this.#onClose();
      else this.#flow();
    });
  }
}

/**
 * Opens a stream to a node; `timeoutMs` until it is accepted.
 * @throws DbError connectionFailure (08006): no connection, see `PeerNetwork.dial`, or it broke before the answer;
 *   queryCanceled (57014): no answer in time; whatever the acceptor refused it with
 */
export async function openStream(
  options: Pick<StreamOptions, "network" | "clock" | "hash" | "headBytesMax">,
  target: DialTarget,
  head: Uint8Array,
  timeoutMs: number,
): Promise<PeerStream> {
  const { network, clock, hash } = options;
  const headBytesMax = options.headBytesMax ?? headBytesMaxDefault;
  assert(head.length <= headBytesMax, "a stream's head is too large");
  const start = clock.monotonic();
  const stream = await network.dial(target, timeoutMs);
  const who = stream.peer.kind === "member" ? `node ${stream.peer.node}` : target.address;
  const decoder = new FrameDecoder(hash, answerBytesMax);
  return new Promise((resolve, reject) => {
    let settled = false;
    let accepted = false;
    const settle = (act: () => void): void => {
      if (settled) return;
      settled = true;
      timer.cancel();
      act();
    };
    const fail = (error: DbError): void =>
      settle(() => {
        stream.destroy();
        reject(error);
      });
    const broke = (why: string): DbError =>
      new DbError("connectionFailure", `the connection to ${who} broke: ${why}`);
    const timer = clock.after(Math.max(0, timeoutMs - (clock.monotonic() - start)), () =>
      fail(timedOut(who, timeoutMs, "it has not accepted the stream")),
    );
    stream.onClose(() => fail(broke("the connection was closed")));
    stream.onData((chunk) => {
      if (settled) return;
      try {
        const taken = decoder.push(chunk, ({ kind, payload }) => {
          if (kind === "error") fail(decodeError(payload));
          else if (kind !== "accepted") throw new MalformedBytes(`a frame "${kind}" for a stream's answer`);
          else
            settle(() => {
              stream.pause();
              accepted = true;
            });
          return false;
        });
        if (accepted) resolve(new RawStream(stream, restOf(chunk, taken)));
      } catch (error) {
        if (!(error instanceof MalformedBytes)) throw error;
        fail(broke(error.message));
      }
    });
    stream.write(new FrameEncoder(hash).encode("stream", 0, 0, head));
  });
}

/**
 * Decides on a stream that a member has opened. It calls `accept` for the stream, which is its own from then on; or throws a
 * DbError, which the opener gets. What it throws after `accept` ends the stream. `head` is the handler's.
 */
export type StreamHandler = (
  peer: MemberIdentity,
  head: Uint8Array,
  accept: () => PeerStream,
) => void | Promise<void>;

/**
 * Takes streams of members at an address.
 * @throws DbError ioError: the address cannot be bound
 */
export function acceptStreams(
  options: StreamOptions,
  host: string,
  port: number,
  handler: StreamHandler,
): Promise<Listener> {
  const pending = new Set<PeerStream>();
  return options.network.listen(host, port, false, (stream) => {
    const [oldest] = pending;
    if (oldest !== undefined && pending.size >= (options.pendingMax ?? pendingMaxDefault)) {
      pending.delete(oldest);
      oldest.destroy();
    }
    takeHead(options, stream, pending, handler);
  });
}

function takeHead(
  options: StreamOptions,
  stream: PeerStream,
  pending: Set<PeerStream>,
  handler: StreamHandler,
): void {
  const { hash, clock } = options;
  const log = options.log ?? silentLog;
  const decoder = new FrameDecoder(hash, FrameHead.size + (options.headBytesMax ?? headBytesMaxDefault));
  const timer = clock.after(options.headMs ?? headMsDefault, () => stream.destroy());
  pending.add(stream);
  const settle = (): void => {
    timer.cancel();
    pending.delete(stream);
  };
  stream.onClose(settle);
  stream.onData((chunk) => {
    let head: Uint8Array | undefined;
    try {
      const taken = decoder.push(chunk, ({ kind, payload }) => {
        if (kind !== "stream") throw new MalformedBytes(`a frame "${kind}" for a stream's head`);
        head = new Uint8Array(payload);
        return false;
      });
      if (head === undefined) return;
      timer.cancel();
      stream.pause();
      void decide(options, stream, restOf(chunk, taken), head, settle, handler);
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      const { peer, remoteAddress } = stream;
      const node = peer.kind === "member" ? peer.node : undefined;
      log.warn("a stream that made no sense was closed", {
        peer: node,
        remoteAddress,
        reason: error.message,
      });
      stream.destroy();
    }
  });
}

async function decide(
  options: StreamOptions,
  stream: PeerStream,
  rest: Uint8Array | undefined,
  head: Uint8Array,
  settle: () => void,
  handler: StreamHandler,
): Promise<void> {
  const { peer } = stream;
  assert(peer.kind === "member", "streams are for members");
  const encoder = new FrameEncoder(options.hash);
  let raw: RawStream | undefined;
  const accept = (): PeerStream => {
    assert(raw === undefined, "a stream is accepted once");
    settle();
    stream.write(encoder.encode("accepted", 0, 0));
    raw = new RawStream(stream, rest);
    return raw;
  };
  let refusal: DbError;
  try {
    await handler(peer, head, accept);
    if (raw !== undefined) return;
    refusal = new DbError("internalError", "the stream was not accepted");
  } catch (error) {
    const known = error instanceof DbError;
    if (!known || raw !== undefined)
      (options.log ?? silentLog).error("a stream of a peer failed", { node: peer.node, error });
    if (raw !== undefined) {
      stream.destroy();
      return;
    }
    refusal = known
      ? error
      : new DbError("internalError", "internal error", { detail: "The log of the node has the cause." });
  }
  settle();
  stream.write(encoder.encode("error", 0, 0, encodeError(refusal)));
  stream.end();
}

/** What of a chunk, which is lent, has not been taken. */
function restOf(chunk: Uint8Array, taken: number): Uint8Array | undefined {
  return taken === chunk.length ? undefined : new Uint8Array(chunk.subarray(taken));
}
