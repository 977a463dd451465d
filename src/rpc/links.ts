/**
 * What connects a node with its peers: one link of its own to each, which carries its messages and requests, and the links
 * that they have to it. Between two nodes there are so two connections, each asked over by one side only; which side is
 * which never has to be agreed.
 *
 * Messages may be lost, are never doubled and keep their order as long as a connection stands. A request is answered, or
 * refused with the handler's error, or fails with one that says whether the peer may have got it.
 *
 * Invariants: every queue has a bound (`limits.ts`); bytes that are no frames end their connection and are counted; time
 * in which this process did not run is held against nobody.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { assert } from "../base/errors.js";
import { type Log, silentLog } from "../observe/index.js";
import type { Clock, Listener, Random, Timer } from "../platform/index.js";
import { Calls, linkDown, notSent, timedOut } from "./calls.js";
import type { DialTarget, PeerNetwork, PeerStream } from "./contract.js";
import { Incoming, type MessageHandler, type Method, type RequestHandler } from "./incoming.js";
import { defaultLinkLimits, type LinkLimits } from "./limits.js";
import { Outgoing, type PeerEvent } from "./outgoing.js";

export interface RequestOnceOptions {
  readonly network: PeerNetwork;
  readonly clock: Clock;
  readonly hash: XXHashAPI;
  readonly limits?: Partial<LinkLimits> | undefined;
}

export interface PeerLinksOptions extends RequestOnceOptions {
  readonly random: Random;
  readonly log?: Log | undefined;
}

export class PeerLinks {
  readonly #options: PeerLinksOptions;
  readonly #limits: LinkLimits;
  readonly #log: Log;
  readonly #outgoing = new Map<string, Outgoing>();
  /** In order of arrival. */
  readonly #incoming = new Set<Incoming>();
  readonly #listeners: Listener[] = [];
  readonly #methods = new Map<number, Method>();
  #onMessage: MessageHandler = () => {};
  readonly #onPeer: ((event: PeerEvent) => void)[] = [];
  /** Wall clock. */
  readonly #lastSeen = new Map<string, number>();
  #timer: Timer | undefined;
  #tickedAt: number;
  #closed = false;
  /** Since the start. */
  readonly counts = { malformed: 0, connected: 0, broken: 0, messagesDropped: 0, incomingRefused: 0 };

  constructor(options: PeerLinksOptions) {
    this.#options = options;
    this.#limits = { ...defaultLinkLimits, ...options.limits };
    this.#log = options.log ?? silentLog;
    this.#tickedAt = options.clock.monotonic();
    this.#tickLater();
  }

  /**
   * The port. `strangers`: also takes those without a certificate, for the methods that are open to them.
   * @throws DbError ioError: the address cannot be bound
   */
  async listen(host: string, port: number, strangers: boolean): Promise<number> {
    const { network } = this.#options;
    const listener = await network.listen(host, port, strangers, (stream) => this.#accepted(stream));
    if (this.#closed) void listener.close();
    else this.#listeners.push(listener);
    return listener.port;
  }

  /** Addresses (host:port) by node; without this node itself. New ones are dialled, those gone are closed. */
  setPeers(peers: ReadonlyMap<string, string>): void {
    if (this.#closed) return;
    for (const [node, link] of [...this.#outgoing]) {
      if (peers.has(node)) continue;
      this.#outgoing.delete(node);
      this.#lastSeen.delete(node);
      link.close("it is no peer any more");
    }
    for (const [node, address] of peers) {
      const known = this.#outgoing.get(node);
      if (known !== undefined) known.move(address);
      else this.#outgoing.set(node, this.#dial(node, address));
    }
  }

  #dial(node: string, address: string): Outgoing {
    const { network, clock, random, hash } = this.#options;
    return new Outgoing(node, address, {
      network,
      clock,
      random,
      hash,
      limits: this.#limits,
      onEvent: (event) => this.#peerChanged(event),
      onHeard: (peer) => this.#heard(peer),
      onTrouble: (peer, what, malformed) => {
        if (malformed) this.counts.malformed++;
        this.#log.info("link to a peer is down", { peer, reason: what });
      },
    });
  }

  /** One way, over our link. False: there is none, or too much waits on it. */
  send(node: string, kind: number, payload: Uint8Array): boolean {
    const done = this.#outgoing.get(node)?.calls?.send(kind, payload) ?? false;
    if (!done) this.counts.messagesDropped++;
    return done;
  }

  /**
   * @throws DbError connectionFailure (08006): the link is down or broke; queryCanceled (57014): no answer in time; for
   *   both `fields.detail` is "not sent" when the peer cannot have got it, else "sent". What the handler threw, as
   *   condition, message, detail and hint.
   */
  request(node: string, method: number, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const calls = this.#outgoing.get(node)?.calls;
    if (calls === undefined) return Promise.reject(linkDown(`node ${node}`));
    return calls.request(method, payload, timeoutMs);
  }

  /** To somebody who is no peer yet: dials, asks once, closes. */
  requestOnce(
    target: DialTarget,
    method: number,
    payload: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array> {
    return requestOnce(this.#options, target, method, payload, timeoutMs);
  }

  onMessage(handler: MessageHandler): void {
    this.#onMessage = handler;
  }
  /** `strangers`: also answers who has shown no certificate. */
  onRequest(method: number, handler: RequestHandler, options: { readonly strangers?: boolean } = {}): void {
    assert(!this.#methods.has(method), `method ${method} has a handler`);
    this.#methods.set(method, { handler, strangers: options.strangers ?? false });
  }
  onPeer(handler: (event: PeerEvent) => void): void {
    this.#onPeer.push(handler);
  }

  /** Of all connections with a node; undefined: none, or not all by the same. */
  certificateOf(node: string): string | undefined {
    return this.#options.network.standing().get(node);
  }
  isConnected(node: string): boolean {
    return this.#outgoing.get(node)?.calls !== undefined;
  }
  /** Undefined: no link, or not yet measured. */
  roundTripMs(node: string): number | undefined {
    return this.#outgoing.get(node)?.calls?.roundTripMs;
  }
  /** Wall clock, milliseconds; undefined: never since it became a peer. */
  lastSeenAt(node: string): number | undefined {
    return this.#lastSeen.get(node);
  }

  /** Ends all links; what waits for an answer fails. No events follow. The network stays open: it is its owner's. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    for (const listener of this.#listeners) void listener.close();
    for (const link of this.#outgoing.values()) link.close("this node is closing");
    for (const one of [...this.#incoming]) one.close("this node is closing");
    this.#outgoing.clear();
  }

  #peerChanged(event: PeerEvent): void {
    if (event.kind === "connected") this.counts.connected++;
    if (event.kind === "disconnected") this.counts.broken++;
    if (this.#closed) return;
    for (const handler of this.#onPeer) handler(event);
  }

  #heard(node: string): void {
    if (this.#outgoing.has(node)) this.#lastSeen.set(node, this.#options.clock.now());
  }

  #accepted(stream: PeerStream): void {
    if (this.#closed || !this.#makeRoom(stream)) {
      this.counts.incomingRefused++;
      stream.destroy();
      return;
    }
    const { peer, remoteAddress } = stream;
    const node = peer.kind === "member" ? peer.node : undefined;
    const incoming = new Incoming({
      stream,
      hash: this.#options.hash,
      limits: this.#limits,
      method: (number) => this.#methods.get(number),
      onMessage: (from, kind, payload) => this.#onMessage(from, kind, payload),
      onHeard: () => {
        if (node !== undefined) this.#heard(node);
      },
      onFault: (method, error) =>
        this.#log.error("a request of a peer failed", { method, peer: node, error }),
      onOver: (why, malformed) => {
        this.#incoming.delete(incoming);
        if (!malformed) return;
        this.counts.malformed++;
        this.#log.warn("a connection that made no sense was closed", {
          peer: node,
          remoteAddress,
          reason: why,
        });
      },
    });
    this.#incoming.add(incoming);
    if (node === undefined) return;
    this.#heard(node);
    this.#outgoing.get(node)?.nudge();
  }

  /** An idle stranger gives way to a new one. */
  #makeRoom(stream: PeerStream): boolean {
    if (stream.peer.kind === "stranger") {
      const strangers = [...this.#incoming].filter(({ peer }) => peer.kind === "stranger");
      if (strangers.length >= this.#limits.strangersMax) {
        const idle = strangers.find((one) => one.idle);
        if (idle === undefined) return false;
        idle.close("it made room for another");
      }
    }
    return this.#incoming.size < this.#limits.incomingMax;
  }

  #tickLater(): void {
    const every = this.#limits.pingEveryMs / 4;
    this.#timer = this.#options.clock.after(every, () => {
      const now = this.#options.clock.monotonic();
      // After a pause of this process, what came meanwhile is still to be read.
      const elapsed = Math.min(now - this.#tickedAt, every * 2);
      this.#tickedAt = now;
      for (const link of [...this.#outgoing.values()]) link.calls?.tick(elapsed);
      for (const one of [...this.#incoming]) one.tick(elapsed);
      if (!this.#closed) this.#tickLater();
    });
  }
}

/**
 * Dials, asks once, closes: for who is no peer, or is asked as none (joining).
 * @throws DbError as `PeerLinks.request`, and as `PeerNetwork.dial`
 */
export async function requestOnce(
  options: RequestOnceOptions,
  target: DialTarget,
  method: number,
  payload: Uint8Array,
  timeoutMs: number,
): Promise<Uint8Array> {
  const { network, clock, hash } = options;
  const start = clock.monotonic();
  const stream = await network.dial(target, timeoutMs);
  const who = stream.peer.kind === "member" ? `node ${stream.peer.node}` : target.address;
  const left = timeoutMs - (clock.monotonic() - start);
  if (left <= 0) {
    stream.destroy();
    throw timedOut(who, timeoutMs, notSent);
  }
  const limits = { ...defaultLinkLimits, ...options.limits };
  const calls = new Calls({ stream, who, hash, clock, limits, onOver: () => {} });
  try {
    return await calls.request(method, payload, left);
  } finally {
    calls.close("the request is over");
  }
}
