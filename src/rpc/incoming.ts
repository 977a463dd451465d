/**
 * The answering side of one accepted connection.
 *
 * Invariants: requests beyond the bound wait, and while any waits or the peer does not take its answers nothing is read;
 * who asks is who the certificate said, never what a payload says; a stranger reaches only what is open to strangers, and
 * is cut off when it tries anything else.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { MalformedBytes } from "../base/bytes.js";
import { DbError } from "../base/errors.js";
import { encodeError, type Frame, FrameDecoder, FrameEncoder, payloadBytesMax } from "./codec.js";
import type { PeerIdentity, PeerStream } from "./contract.js";
import type { LinkLimits } from "./limits.js";

export type MemberIdentity = Extract<PeerIdentity, { kind: "member" }>;
/** `payload` is lent. */
export type MessageHandler = (peer: MemberIdentity, kind: number, payload: Uint8Array) => void;
/** `payload` is the handler's. */
export type RequestHandler = (peer: PeerIdentity, payload: Uint8Array) => Promise<Uint8Array>;

export interface Method {
  readonly handler: RequestHandler;
  readonly strangers: boolean;
}

export interface IncomingOptions {
  readonly stream: PeerStream;
  readonly hash: XXHashAPI;
  readonly limits: LinkLimits;
  readonly method: (number: number) => Method | undefined;
  readonly onMessage: MessageHandler;
  readonly onHeard: () => void;
  /** A handler has failed with something that is no answer. */
  readonly onFault: (method: number, error: unknown) => void;
  /** Once. */
  readonly onOver: (why: string, malformed: boolean) => void;
}

interface Asked {
  readonly number: number;
  readonly id: number;
  readonly payload: Uint8Array;
}

export class Incoming {
  readonly #options: IncomingOptions;
  readonly #encoder: FrameEncoder;
  readonly #decoder: FrameDecoder;
  readonly #activeMax: number;
  readonly #waiting: Asked[] = [];
  #active = 0;
  /** The peer does not take its answers. */
  #slow = false;
  #paused = false;
  #silent = 0;
  #unsent = 0;
  #over = false;

  constructor(options: IncomingOptions) {
    this.#options = options;
    const { stream, hash, limits } = options;
    this.#encoder = new FrameEncoder(hash);
    const stranger = stream.peer.kind === "stranger";
    this.#decoder = new FrameDecoder(hash, stranger ? limits.strangerFrameBytesMax : limits.frameBytesMax);
    this.#activeMax = stranger ? limits.strangerRequestsMax : limits.requestsMax;
    stream.onClose(() => this.close("the connection was closed"));
    stream.onData((chunk) => this.#received(chunk));
  }

  get peer(): PeerIdentity {
    return this.#options.stream.peer;
  }
  get remoteAddress(): string {
    return this.#options.stream.remoteAddress;
  }
  get idle(): boolean {
    return this.#active === 0;
  }

  tick(elapsedMs: number): void {
    // What it does not take says as much of a peer as what it does not send, when we do not read.
    if (this.#slow) {
      const { unsent } = this.#options.stream;
      if (unsent < this.#unsent) this.#silent = 0;
      this.#unsent = unsent;
    } else if (this.#active > 0) return;
    this.#silent += elapsedMs;
    if (this.#silent >= this.#options.limits.incomingSilentMs) this.close("it has gone silent");
  }

  close(why: string, malformed = false): void {
    if (this.#over) return;
    this.#over = true;
    this.#waiting.length = 0;
    this.#options.stream.destroy();
    this.#options.onOver(why, malformed);
  }

  #received(chunk: Uint8Array): void {
    if (this.#over) return;
    this.#silent = 0;
    this.#options.onHeard();
    try {
      this.#decoder.push(chunk, (frame) => {
        this.#take(frame);
        return !this.#over;
      });
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      this.close(error.message, true);
    }
    this.#flow();
  }

  #take({ kind, number, id, payload }: Frame): void {
    switch (kind) {
      case "ping":
        this.#write(this.#encoder.encode("pong", 0, id));
        return;
      case "message": {
        const { peer } = this;
        if (peer.kind === "stranger") throw new MalformedBytes("a message from a stranger");
        this.#options.onMessage(peer, number, payload);
        return;
      }
      case "request": {
        if (this.peer.kind === "stranger" && this.#options.method(number)?.strangers !== true)
          throw new MalformedBytes(`method ${number} is not for strangers`);
        const asked: Asked = { number, id, payload: new Uint8Array(payload) };
        if (this.#active < this.#activeMax) this.#run(asked);
        else this.#waiting.push(asked);
        return;
      }
      default:
        throw new MalformedBytes(`a frame "${kind}" from the side that asks`);
    }
  }

  #run({ number, id, payload }: Asked): void {
    const method = this.#options.method(number);
    if (method === undefined) {
      this.#refuse(id, new DbError("featureNotSupported", `this node knows no method ${number}`));
      return;
    }
    this.#active++;
    // A handler that throws before its first await has failed like any other.
    (async () => method.handler(this.peer, payload))().then(
      (answer) => this.#done(() => this.#answer(id, answer)),
      (error: unknown) => this.#done(() => this.#refuse(id, this.#asAnswer(number, error))),
    );
  }

  #asAnswer(method: number, error: unknown): DbError {
    if (error instanceof DbError) return error;
    if (error instanceof MalformedBytes)
      return new DbError("protocolViolation", `the request cannot be read: ${error.message}`);
    this.#options.onFault(method, error);
    return new DbError("internalError", "internal error", { detail: "The log of the node has the cause." });
  }

  #done(reply: () => void): void {
    this.#active--;
    if (this.#over) return;
    reply();
    while (this.#active < this.#activeMax) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#run(next);
    }
    this.#flow();
  }

  #answer(id: number, answer: Uint8Array): void {
    if (answer.length <= payloadBytesMax(this.#options.limits.frameBytesMax))
      this.#write(this.#encoder.encode("answer", 0, id, answer));
    else {
      const message = `an answer of ${answer.length} bytes is too large`;
      this.#refuse(id, new DbError("programLimitExceeded", message));
    }
  }
  #refuse(id: number, error: DbError): void {
    this.#write(this.#encoder.encode("error", 0, id, encodeError(error)));
  }

  #write(bytes: Uint8Array): void {
    const { stream } = this.#options;
    if (stream.write(bytes) || this.#slow) return;
    this.#slow = true;
    void stream.drained().then(() => {
      this.#slow = false;
      this.#flow();
    });
  }

  #flow(): void {
    const pause = this.#slow || this.#waiting.length > 0;
    if (this.#over || pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.#options.stream.pause();
    else this.#options.stream.resume();
  }
}
