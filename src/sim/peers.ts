/**
 * Streams between simulated nodes: one wire for all of them in one loop, everything that happens on it drawn from a seed.
 *
 * A stream behaves as TCP does. Bytes arrive in order or not at all, in other pieces than they were written in; a cut holds
 * them back until it is healed; the writer gives up after a while without progress. What is under way when a process dies
 * may still arrive or not; when a host loses power, nobody is told.
 *
 * A certificate is a small JSON text, which stands for the DER that `PeerCredentials.check` judges; nobody forges one here.
 *
 * Invariants: the same seed and the same calls give the same history; nothing is called of a process that was killed.
 */
import { createHash } from "node:crypto";
import { assert, DbError } from "../base/errors.js";
import type { Listener } from "../platform/index.js";
import {
  type DialTarget,
  mayKnowFormer,
  type PeerCredentials,
  type PeerIdentity,
  type PeerNetwork,
  type PeerRefusal,
  type PeerStream,
  type PeerVerdict,
} from "../rpc/contract.js";
import type { SimClock } from "./clock.js";
import { SimRandom } from "./random.js";

export interface SimWireOptions {
  readonly clock: SimClock;
  readonly seed: number;
  /** One way, at least. */
  readonly latencyMs?: number;
  /** On top, evenly spread. */
  readonly jitterMs?: number;
  /** How often a piece is late, and by how much at most. */
  readonly spikeChance?: number;
  readonly spikeMs?: number;
  /** Without progress, a writer closes its stream. */
  readonly tcpTimeoutMs?: number;
}

/** Bytes under way above which a writer is asked to wait. */
const windowBytes = 64 * 1024;
const lingerMs = 5_000;
const firstFreePort = 40_000;

/** A machine with one process, which may have several networks (main and control). */
class Host {
  readonly networks = new Set<SimPeerNetwork>();
  readonly streams = new Set<SimPeerStream>();
  paused = false;
  off = false;
  constructor(readonly name: string) {}
}

interface Listening {
  readonly host: Host;
  readonly network: SimPeerNetwork;
  readonly strangers: boolean;
  readonly accept: (stream: PeerStream) => void;
}

export class SimWire {
  readonly clock: SimClock;
  readonly #random: SimRandom;
  readonly #options: Required<Omit<SimWireOptions, "clock" | "seed">>;
  readonly #hosts = new Map<string, Host>();
  readonly #listening = new Map<string, Listening>();
  /** Who listened there last: a host without power answers nothing. */
  readonly #owners = new Map<string, Host>();
  readonly #cuts = new Set<string>();
  /** What waits for a way to open, in order. */
  #parked: { readonly from: Host; readonly to: Host; readonly run: () => void }[] = [];
  #nextPort = firstFreePort;

  constructor(options: SimWireOptions) {
    this.clock = options.clock;
    this.#random = new SimRandom(options.seed);
    this.#options = {
      latencyMs: options.latencyMs ?? 0.1,
      jitterMs: options.jitterMs ?? 0.4,
      spikeChance: options.spikeChance ?? 0.01,
      spikeMs: options.spikeMs ?? 20,
      tcpTimeoutMs: options.tcpTimeoutMs ?? 20_000,
    };
  }

  /** A network of the process that runs on `host` now. After `kill`, a new one belongs to the next process. */
  network(host: string): SimPeerNetwork {
    const where = this.host(host);
    assert(!where.off, `${host} has no power`);
    const network = new SimPeerNetwork(this, where);
    where.networks.add(network);
    return network;
  }

  // --- faults ------------------------------------------------------------------------------------------------------

  /** Nothing gets from one host to the other any more; the way back stays open. */
  cut(from: string, to: string): void {
    this.#cuts.add(way(from, to));
  }
  /** Both ways, between hosts of different groups. */
  partition(...groups: readonly (readonly string[])[]): void {
    for (const group of groups)
      for (const other of groups)
        if (group !== other) for (const from of group) for (const to of other) this.cut(from, to);
  }
  heal(from: string, to: string): void {
    this.#cuts.delete(way(from, to));
    this.#unpark();
  }
  healAll(): void {
    this.#cuts.clear();
    this.#unpark();
  }

  /** The process is stopped (SIGSTOP). Its timers are its owner's business. */
  pause(host: string): void {
    this.host(host).paused = true;
  }
  resume(host: string): void {
    this.host(host).paused = false;
    this.#unpark();
  }
  /** The process is gone: peers see its streams close, dials are refused. */
  kill(host: string): void {
    this.#endProcess(this.host(host), (stream) => stream.die(this.chance(0.5)));
  }
  /** The machine is gone: peers see nothing, dials run out of time. */
  powerOff(host: string): void {
    const where = this.host(host);
    this.#endProcess(where, (stream) => stream.vanish());
    where.off = true;
  }
  /** It runs again, and no process on it yet. */
  powerOn(host: string): void {
    this.host(host).off = false;
    this.#unpark();
  }

  #endProcess(host: Host, end: (stream: SimPeerStream) => void): void {
    for (const network of host.networks) network.dead = true;
    host.networks.clear();
    for (const [address, listening] of [...this.#listening])
      if (listening.host === host) this.#listening.delete(address);
    for (const stream of [...host.streams]) end(stream);
    host.streams.clear();
    host.paused = false;
    this.#unpark();
  }

  // --- for the networks on it --------------------------------------------------------------------------------------

  host(name: string): Host {
    let host = this.#hosts.get(name);
    if (host === undefined) this.#hosts.set(name, (host = new Host(name)));
    return host;
  }

  listen(listening: Listening, host: string, port: number): Listener {
    const bound = port === 0 ? this.#nextPort++ : port;
    const address = `${host}:${bound}`;
    if (this.#listening.has(address)) throw new DbError("ioError", `port ${bound} on ${host} is in use`);
    this.#listening.set(address, listening);
    this.#owners.set(address, listening.host);
    return {
      port: bound,
      close: async () => {
        if (this.#listening.get(address) === listening) this.#listening.delete(address);
      },
    };
  }
  listeningAt(address: string): Listening | undefined {
    return this.#listening.get(address);
  }
  ownerOf(address: string): Host | undefined {
    return this.#owners.get(address);
  }
  stopListening(network: SimPeerNetwork): void {
    for (const [address, listening] of [...this.#listening])
      if (listening.network === network) this.#listening.delete(address);
  }

  get tcpTimeoutMs(): number {
    return this.#options.tcpTimeoutMs;
  }
  chance(of: number): boolean {
    return this.#random.fraction() < of;
  }
  below(count: number): number {
    return this.#random.below(count);
  }
  delay(): number {
    const { latencyMs, jitterMs, spikeChance, spikeMs } = this.#options;
    const spike = this.chance(spikeChance) ? this.#random.fraction() * spikeMs : 0;
    return latencyMs + this.#random.fraction() * jitterMs + spike;
  }
  isBlocked(from: Host, to: Host): boolean {
    return this.#cuts.has(way(from.name, to.name)) || from.paused || to.paused || from.off || to.off;
  }
  /** `run` once the way is open; at once if it is. */
  whenOpen(from: Host, to: Host, run: () => void): void {
    if (this.isBlocked(from, to)) this.#parked.push({ from, to, run });
    else run();
  }
  /** One step of a handshake. */
  travel(from: Host, to: Host, arrive: () => void): void {
    this.clock.after(this.delay(), () => this.whenOpen(from, to, arrive));
  }

  #unpark(): void {
    const waiting = this.#parked;
    this.#parked = [];
    for (const one of waiting) {
      if (this.isBlocked(one.from, one.to)) this.#parked.push(one);
      else this.clock.after(this.delay(), () => this.whenOpen(one.from, one.to, one.run));
    }
  }
}

function way(from: string, to: string): string {
  return `${from} > ${to}`;
}

// --- streams -----------------------------------------------------------------------------------------------------------

type Segment =
  | { readonly kind: "data"; bytes: Uint8Array; at: number }
  | { readonly kind: "end" | "reset"; readonly at: number };

/** What is under way lies in common pieces: it is small, much, and soon over. */
const pieceBytes = 64 * 1024;
let piece = new ArrayBuffer(pieceBytes);
let pieceUsed = 0;
function copyOf(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (length > pieceBytes / 8) return new Uint8Array(bytes);
  if (pieceUsed + length > pieceBytes) {
    piece = new ArrayBuffer(pieceBytes);
    pieceUsed = 0;
  }
  const copy = new Uint8Array(piece, pieceUsed, length);
  pieceUsed += length;
  copy.set(bytes);
  return copy;
}

/** One direction of a stream. */
class Pipe {
  readonly #wire: SimWire;
  readonly #from: SimPeerStream;
  readonly #to: SimPeerStream;
  #segments: Segment[] = [];
  #lastAt = 0;
  /** A delivery is scheduled or waits for the way to open. */
  #moving = false;
  #written = 0;
  #arrived = 0;
  #drains: { readonly upTo: number; readonly resolve: () => void }[] = [];

  constructor(wire: SimWire, from: SimPeerStream, to: SimPeerStream) {
    this.#wire = wire;
    this.#from = from;
    this.#to = to;
  }

  get unsent(): number {
    return this.#written - this.#arrived;
  }

  write(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#written += bytes.length;
    const last = this.#segments.at(-1);
    if (last?.kind !== "data" || !this.#wire.chance(0.2)) {
      this.#push({ kind: "data", bytes: copyOf(bytes), at: this.#due() });
      return;
    }
    // Together with what was written before.
    const both = new Uint8Array(last.bytes.length + bytes.length);
    both.set(last.bytes);
    both.set(bytes, last.bytes.length);
    last.bytes = both;
    last.at = this.#due();
  }
  end(): void {
    this.#push({ kind: "end", at: this.#due() });
  }
  /** `lossy`: what is under way does not arrive. */
  reset(lossy: boolean): void {
    if (lossy) this.drop();
    this.#push({ kind: lossy ? "reset" : "end", at: this.#due() });
  }
  drop(): void {
    this.#segments = [];
    this.#arrived = this.#written;
    this.#drain();
  }
  drained(): Promise<void> {
    if (this.unsent === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drains.push({ upTo: this.#written, resolve }));
  }
  /** The reader takes bytes again. */
  resumed(): void {
    this.#move();
  }

  #due(): number {
    return (this.#lastAt = Math.max(this.#lastAt, this.#wire.clock.monotonic() + this.#wire.delay()));
  }
  #push(segment: Segment): void {
    this.#segments.push(segment);
    this.#move();
  }

  #move(): void {
    const next = this.#segments[0];
    if (this.#moving || next === undefined) return;
    if (next.kind !== "reset" && !this.#to.reads) return; // until `resumed`
    this.#moving = true;
    const { clock } = this.#wire;
    clock.after(next.at - clock.monotonic(), () => {
      const { host } = this.#from;
      if (this.#wire.isBlocked(host, this.#to.host)) this.#giveUpLater();
      this.#wire.whenOpen(host, this.#to.host, () => {
        this.#moving = false;
        this.#deliver();
        this.#move();
      });
    });
  }

  #deliver(): void {
    const next = this.#segments[0];
    if (next === undefined || (next.kind !== "reset" && !this.#to.reads)) return;
    if (next.at > this.#wire.clock.monotonic()) return; // another than was to be delivered now
    if (next.kind !== "data") {
      this.#segments.shift();
      this.#to.arrivedEnd(next.kind === "reset");
      return;
    }
    // Any piece of it may come first.
    const whole = next.bytes;
    const cut = whole.length > 1 && this.#wire.chance(0.1) ? 1 + this.#wire.below(whole.length - 1) : 0;
    const bytes = cut === 0 ? whole : whole.subarray(0, cut);
    if (cut === 0) this.#segments.shift();
    else next.bytes = whole.subarray(cut);
    this.#arrived += bytes.length;
    this.#drain();
    this.#to.arrivedData(bytes);
    bytes.fill(0xee); // it was lent: who kept it has nothing
  }

  #drain(): void {
    while (this.#drains[0] !== undefined && this.#drains[0].upTo <= this.#arrived)
      this.#drains.shift()!.resolve();
  }

  /** A writer whose bytes get nowhere closes in the end. */
  #giveUpLater(): void {
    const stuckAt = this.#arrived;
    const stuck = this.#segments[0];
    this.#wire.clock.after(this.#wire.tcpTimeoutMs, () => {
      if (stuck !== undefined && this.#segments[0] === stuck && this.#arrived === stuckAt)
        this.#from.timedOut();
    });
  }
}

class SimPeerStream implements PeerStream {
  readonly network: SimPeerNetwork;
  readonly host: Host;
  readonly peer: PeerIdentity;
  readonly remoteAddress: string;
  /** As `use` looks at it again; undefined: not for the credentials to judge. */
  readonly certificate: Uint8Array | undefined;
  readonly #wire: SimWire;
  #far: SimPeerStream | undefined;
  #out: Pipe | undefined;
  #in: Pipe | undefined;
  #onData: ((chunk: Uint8Array) => void) | undefined;
  #onClose: () => void = () => {};
  #paused = false;
  #ended = false;
  #closed = false;
  #closeTold = false;
  /** Its process is gone: nothing is called any more. */
  #dead = false;

  constructor(
    wire: SimWire,
    network: SimPeerNetwork,
    peer: PeerIdentity,
    remoteAddress: string,
    certificate: Uint8Array | undefined,
  ) {
    this.#wire = wire;
    this.network = network;
    const { host } = network;
    this.host = host;
    this.peer = peer;
    this.remoteAddress = remoteAddress;
    this.certificate = certificate;
    host.streams.add(this);
  }

  /** As its other end shows itself now: on real sockets streams go over to newer certificates. */
  get shown(): readonly Uint8Array[] {
    if (this.certificate === undefined) return [];
    const now = this.#far?.network.all ?? [];
    return now.length === 0 ? [this.certificate] : now;
  }
  get isOpen(): boolean {
    return !this.#dead && !this.#closed;
  }

  static join(wire: SimWire, a: SimPeerStream, b: SimPeerStream): void {
    a.#far = b;
    b.#far = a;
    a.#out = b.#in = new Pipe(wire, a, b);
    b.#out = a.#in = new Pipe(wire, b, a);
  }

  /** What arrives is taken: by the handler, or because it is of no interest any more. */
  get reads(): boolean {
    return this.#dead || this.#ended || this.#closed || (this.#onData !== undefined && !this.#paused);
  }

  onData(handler: (chunk: Uint8Array) => void): void {
    this.#onData = handler;
    this.#in?.resumed();
  }
  onClose(handler: () => void): void {
    this.#onClose = handler;
    if (this.#closeTold) this.#wire.clock.after(0, () => this.#call(handler));
  }
  write(bytes: Uint8Array): boolean {
    if (this.#dead || this.#ended || this.#closed) return true;
    this.#out!.write(bytes);
    return this.#out!.unsent < windowBytes;
  }
  drained(): Promise<void> {
    if (this.#closed || this.#ended) return Promise.resolve();
    return this.#out!.drained();
  }
  get unsent(): number {
    return this.#out!.unsent;
  }
  pause(): void {
    this.#paused = true;
  }
  resume(): void {
    this.#paused = false;
    this.#in!.resumed();
  }
  end(): void {
    if (this.#dead || this.#ended || this.#closed) return;
    this.#ended = true;
    this.#out!.end();
    this.#in!.resumed();
    this.#wire.clock.after(lingerMs, () => this.destroy());
  }
  destroy(): void {
    if (this.#dead || this.#closed) return;
    this.#ended = true;
    this.#out!.reset(this.#wire.chance(0.5));
    this.#close();
  }

  // --- the wire's side ---------------------------------------------------------------------------------------------

  arrivedData(bytes: Uint8Array): void {
    if (this.#dead) {
      // The host knows of no such connection.
      this.#out!.reset(true);
      return;
    }
    if (!this.#ended && !this.#closed) this.#onData?.(bytes);
  }
  arrivedEnd(reset: boolean): void {
    if (this.#dead || this.#closed) return;
    if (reset) this.#out!.drop();
    else if (!this.#ended) this.#out!.end();
    this.#ended = true;
    this.#close();
  }
  /** As a writer whose segments nobody acknowledges. */
  timedOut(): void {
    if (this.#dead || this.#closed) return;
    this.#ended = true;
    this.#out!.reset(true);
    this.#close();
  }
  die(lossy: boolean): void {
    const open = !this.#closed;
    this.#dead = true;
    this.#closed = true;
    if (open) this.#out!.reset(lossy);
    this.#in!.resumed();
  }
  vanish(): void {
    this.#dead = true;
    this.#closed = true;
    this.#out!.drop();
    this.#in!.resumed();
  }

  #close(): void {
    this.#closed = true;
    this.#in!.resumed();
    this.#wire.clock.after(0, () => {
      this.host.streams.delete(this);
      this.#closeTold = true;
      this.#call(this.#onClose);
    });
  }
  #call(handler: () => void): void {
    if (!this.#dead) handler();
  }
}

// --- a process's network -------------------------------------------------------------------------------------------

type Refused = Pick<PeerRefusal, "condition" | "message" | "node">;

export class SimPeerNetwork implements PeerNetwork {
  /** Its process was killed. */
  dead = false;
  readonly #wire: SimWire;
  readonly host: Host;
  #credentials: PeerCredentials | undefined;
  #onRefusal: (refusal: PeerRefusal) => void = () => {};
  #closed = false;

  constructor(wire: SimWire, host: Host) {
    this.#wire = wire;
    this.host = host;
  }

  onRefusal(handler: (refusal: PeerRefusal) => void): void {
    this.#onRefusal = handler;
  }

  use(credentials: PeerCredentials): void {
    this.#credentials = credentials;
    for (const stream of this.#streams()) {
      const { shown } = stream;
      if (shown.length === 0) continue;
      const verdict = firstOf(shown, (one) => credentials.check(one));
      if (!("condition" in verdict)) continue;
      this.#refused(verdict, stream.remoteAddress);
      stream.destroy();
    }
  }

  standing(): ReadonlyMap<string, string | undefined> {
    const by = new Map<string, string | undefined>();
    for (const { peer, shown, isOpen } of this.#streams()) {
      if (peer.kind !== "member" || shown.length === 0 || !isOpen) continue;
      const verdict = firstOf(shown, (one) => this.#credentials!.check(one));
      const fingerprint = "condition" in verdict ? undefined : verdict.certFingerprint;
      by.set(peer.node, by.has(peer.node) && by.get(peer.node) !== fingerprint ? undefined : fingerprint);
    }
    return by;
  }

  drop(node: string): void {
    for (const stream of this.#streams())
      if (stream.peer.kind === "member" && stream.peer.node === node) stream.destroy();
  }

  close(): void {
    this.#closed = true;
    this.#wire.stopListening(this);
    for (const stream of this.#streams()) stream.destroy();
  }

  #streams(): SimPeerStream[] {
    return [...this.host.streams].filter(({ network }) => network === this);
  }

  async listen(
    host: string,
    port: number,
    strangers: boolean,
    accept: (stream: PeerStream) => void,
  ): Promise<Listener> {
    if (this.dead) return new Promise(() => {});
    return this.#wire.listen({ host: this.host, network: this, strangers, accept }, host, port);
  }

  dial(target: DialTarget, timeoutMs: number): Promise<PeerStream> {
    const { address } = target;
    const wire = this.#wire;
    const from = this.host;
    assert(this.#credentials !== undefined, "credentials come before connections");
    assert(target.node !== undefined || target.authority !== undefined, "a dial knows whom it wants");
    return new Promise((resolve, reject) => {
      let settled = false;
      const settle = (act: () => void): void => {
        if (settled || this.dead) return;
        settled = true;
        timer.cancel();
        act();
      };
      const fail = (outcome: string, why: string): void =>
        settle(() => {
          const detail = `${outcome}: ${why}`;
          reject(DbError.answer("connectionFailure", `no connection to the node at ${address}`, { detail }));
        });
      const timer = wire.clock.after(timeoutMs, () => fail("TIMEOUT", `no answer within ${timeoutMs} ms`));
      const over = (): boolean => {
        if (this.#closed) fail("UNREACHABLE", "the network is closed");
        return settled || this.dead;
      };
      if (over()) return;
      const to = wire.ownerOf(address);
      if (to === undefined) {
        wire.clock.after(wire.delay(), () => fail("REFUSED", "nobody listens there"));
        return;
      }
      const back = (arrive: () => void): void => wire.travel(to, from, arrive);

      wire.travel(from, to, () => {
        const listening = wire.listeningAt(address);
        const shown = listening?.network.shown;
        if (listening === undefined) return back(() => fail("REFUSED", "nobody listens there"));
        if (shown === undefined) return back(() => fail("UNREACHABLE", "the connection was closed"));
        back(() => {
          if (over()) return;
          const server = firstOf(listening.network.all, (one) => this.#judgeServer(one, target));
          if ("condition" in server) {
            this.#refused(server, address);
            fail("UNREACHABLE", `${server.condition}: ${server.message}`);
            return;
          }
          const own = this.shown;
          wire.travel(from, to, () => {
            if (this.dead) return;
            if (wire.listeningAt(address) !== listening)
              return back(() => fail("UNREACHABLE", "the connection was closed"));
            const client =
              own === undefined
                ? listening.network.#judgeClient(own, listening.strangers)
                : firstOf(this.all, (one) => listening.network.#judgeClient(one, listening.strangers));
            if ("condition" in client) {
              listening.network.#refused(client, from.name);
              return back(() => fail("UNREACHABLE", `it refuses this node: ${client.condition}`));
            }
            const judged = target.authority === undefined ? shown : undefined;
            // `use` looks at both from here on.
            const near = new SimPeerStream(wire, this, server, address, judged);
            const far = new SimPeerStream(wire, listening.network, client, from.name, own);
            SimPeerStream.join(wire, near, far);
            listening.accept(far);
            back(() => {
              if (over() || !from.streams.has(near)) {
                near.destroy();
                fail("UNREACHABLE", "the connection was closed");
              } else settle(() => resolve(near));
            });
          });
        });
      });
    });
  }

  /** The certificates that it may show, the newest first. On real sockets the older one takes another dial. */
  get all(): Uint8Array[] {
    const { own, former } = this.#credentials ?? {};
    return [own, former].flatMap((one) =>
      one === undefined ? [] : [Buffer.from(one.certificatePem, "utf8")],
    );
  }
  /** Its certificate, as peers see it. */
  get shown(): Uint8Array | undefined {
    const own = this.#credentials?.own;
    return own === undefined ? undefined : Buffer.from(own.certificatePem, "utf8");
  }

  #refused({ condition, message, node }: Refused, remoteAddress: string): void {
    if (!this.dead) this.#onRefusal({ condition, message, node, fingerprint: undefined, remoteAddress });
  }

  #judgeClient(certificate: Uint8Array | undefined, strangers: boolean): PeerIdentity | Refused {
    if (certificate === undefined)
      return strangers
        ? { kind: "stranger" }
        : { condition: "NO_CERTIFICATE", message: "the peer showed no certificate", node: undefined };
    const verdict = this.#credentials!.check(certificate);
    return "condition" in verdict ? verdict : member(verdict);
  }

  #judgeServer(certificate: Uint8Array, target: DialTarget): PeerIdentity | Refused {
    const verdict =
      target.authority === undefined
        ? this.#credentials!.check(certificate)
        : underAuthority(certificate, target.authority);
    if ("condition" in verdict) return verdict;
    const { node } = verdict;
    if (target.node !== undefined && node !== target.node)
      return { condition: "WRONG_NODE", message: `node ${node} is there, not node ${target.node}`, node };
    return member(verdict);
  }
}

/** The first that passes; the refusal of the first where none does. */
function firstOf<T extends object>(shown: readonly Uint8Array[], judge: (one: Uint8Array) => T): T {
  let refusal: T | undefined;
  for (const one of shown) {
    const verdict = judge(one);
    if (!("condition" in verdict)) return verdict;
    refusal ??= verdict;
    if (!mayKnowFormer.has(String(verdict.condition))) break;
  }
  assert(refusal !== undefined, "something was shown");
  return refusal;
}

function member({ node, certFingerprint }: { node: string; certFingerprint: string }): PeerIdentity {
  return { kind: "member", node, certFingerprint };
}

// --- certificates ----------------------------------------------------------------------------------------------------

export interface SimCertificate {
  readonly cluster: string;
  readonly node: string;
  /** Fingerprint of the CA. */
  readonly authority: string;
  readonly serial: string;
}

/** As `PeerCredentials.own` has it. */
export function simCertificate(certificate: SimCertificate): { certificatePem: string; keyPem: string } {
  const { cluster, node, authority, serial } = certificate;
  return { certificatePem: JSON.stringify({ cluster, node, authority, serial }), keyPem: "" };
}
export function readSimCertificate(shown: Uint8Array): SimCertificate {
  return JSON.parse(Buffer.from(shown).toString("utf8")) as SimCertificate;
}
export function simFingerprint(shown: Uint8Array | string): string {
  return createHash("sha256").update(shown).digest("hex");
}

function underAuthority(shown: Uint8Array, authority: string): PeerVerdict {
  const { node, authority: issuer } = readSimCertificate(shown);
  if (issuer === authority) return { node, certFingerprint: simFingerprint(shown) };
  return { condition: "UNTRUSTED_CA", message: `its CA is ${issuer}`, node };
}

/** What a node knows, as far as certificates are concerned: the order of checks is that of `checkPeer`. */
export interface SimTrust {
  readonly cluster: string;
  readonly authorities: readonly string[];
  isRevoked?(serial: string): boolean;
  member(node: string): { readonly fingerprints: readonly string[]; readonly removed: boolean } | undefined;
}

/** `PeerCredentials.check` over simulated certificates. */
export function simCheck(trust: SimTrust): (shown: Uint8Array) => PeerVerdict {
  return (shown) => {
    const { cluster, node, authority, serial } = readSimCertificate(shown);
    const refuse = (condition: string, message: string): PeerVerdict => ({ condition, message, node });
    if (!trust.authorities.includes(authority)) return refuse("UNTRUSTED_CA", `issued by ${authority}`);
    if (cluster !== trust.cluster) return refuse("WRONG_CLUSTER", `a certificate of cluster ${cluster}`);
    if (trust.isRevoked?.(serial) === true) return refuse("REVOKED", `certificate ${serial} is revoked`);
    const known = trust.member(node);
    if (known === undefined) return refuse("NOT_A_MEMBER", `node ${node} is no member`);
    const certFingerprint = simFingerprint(shown);
    if (!known.fingerprints.includes(certFingerprint))
      return refuse("NOT_PINNED", `node ${node} is known by another certificate`);
    if (known.removed) return refuse("REMOVED", `node ${node} was removed`);
    return { node, certFingerprint };
  };
}
