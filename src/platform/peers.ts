/**
 * Streams between nodes over real sockets: TLS 1.3, both sides with a certificate (D15).
 *
 * OpenSSL proves that a peer has the key of the certificate it shows, and no more: who that is and whether it may come in
 * decides `credentials.check`, on every connection, of both sides. Nothing is ever resumed, since a resumed session skips
 * the handshake's proof (design/dependencies.md 1.4): no tickets, no cache, keys of its own for every set of credentials.
 *
 * TLS 1.3 lets a client finish before the server has looked at its certificate. So the server's first bytes are its
 * verdict, `length u8 | condition`, length 0 for a peer that may come in; `dial` waits for it.
 *
 * A certificate is replaced while streams are open. TLS 1.3 has no way to show another one in the same connection, so a node
 * makes one more, by the name `sb-renew` (ALPN): with the new certificates on both sides it names the streams that it keeps by
 * their exporter values (RFC 8446, 7.5), which only their two ends know. From then on they stand by the new certificates.
 *
 *     length u16 | exporter values of 32 bytes    ->    <-    how many of them were known, u16
 *
 * A peer whose log is behind may know this node by the certificate before the newest alone, or by a CA that is gone. The name
 * that a client asks for (SNI) says which of both the server is to show; and a client that is refused shows its former one.
 *
 * Invariants: a stream is handed over after the check by both sides, and nothing of the peer was read before; a stream
 * whose peer fails the check after `use` is closed; sockets that have not passed yet are bounded in number and time, and
 * the oldest makes room, so that idlers keep nobody out.
 */
import { constants, createHash, type X509Certificate } from "node:crypto";
import net from "node:net";
import tls from "node:tls";
import { assert, DbError, InvariantError } from "../base/errors.js";
import {
  type DialTarget,
  mayKnowFormer,
  type PeerCredentials,
  type PeerIdentity,
  type PeerNetwork,
  type PeerRefusal,
  type PeerStream,
  type PeerVerdict,
  type ShownIdentity,
} from "../rpc/contract.js";
import type { Listener } from "./index.js";

export interface HostPeerOptions {
  /** From the first byte to the verdict, of who connects to us. */
  readonly handshakeMs?: number;
  /** Sockets on their way to a verdict. */
  readonly pendingMax?: number;
  /** Wall clock for the certificates of a cluster that is being joined; what is tolerated between two clocks. */
  readonly now?: () => number;
  readonly toleranceMs?: number;
}

const handshakeMsDefault = 10_000;
const pendingMaxDefault = 100;
const toleranceMsDefault = 5 * 60_000;
const keepAliveMs = 10_000;
/** After one side has ended, a peer that takes nothing for this long is cut off. */
const lingerMs = 5_000;
/** Long enough for a refusal to arrive. */
const refusalLingerMs = 1_000;
/** Bytes not taken, above which `write` asks to wait. */
const unsentMax = 256 * 1024;
/** Of a connection by which streams go over to newer certificates. */
const renewalProtocol = "sb-renew";
const streamProtocol = "sb";
const exporterLabel = "EXPORTER-scratchbird-stream";
const exporterBytes = 32;
/** Streams of one renewal; others come with the next. */
const renewedMax = 1024;
/** The other side may have to apply first what this one has applied. */
const renewAgainMs = 250;
const renewalMs = 5_000;
const suites = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
const nothing = Buffer.alloc(0);

class TlsPeerStream implements PeerStream {
  readonly peer: PeerIdentity;
  readonly remoteAddress: string;
  readonly #socket: tls.TLSSocket;
  #onData: ((chunk: Uint8Array) => void) | undefined;
  #onClose: () => void = () => {};
  readonly #draining = new Set<() => void>();
  #paused = false;
  #ended = false;
  #lingering = false;
  #closed = false;

  /** `socket` is paused. */
  constructor(socket: tls.TLSSocket, peer: PeerIdentity, remoteAddress: string) {
    this.#socket = socket;
    this.peer = peer;
    this.remoteAddress = remoteAddress;
    // The peer has ended: what we still have for it may take a while, but not for ever.
    socket.once("end", () => this.#linger());
    socket.once("close", () => {
      this.#closed = true;
      for (const resolve of this.#draining) resolve();
      this.#draining.clear();
      this.#onClose();
    });
  }

  onData(handler: (chunk: Uint8Array) => void): void {
    const first = this.#onData === undefined;
    this.#onData = handler;
    if (!first) return;
    this.#socket.on("data", (chunk: Buffer) => {
      if (!this.#ended) this.#onData?.(chunk);
    });
    if (!this.#paused) this.#socket.resume();
  }
  onClose(handler: () => void): void {
    this.#onClose = handler;
    if (this.#closed) queueMicrotask(handler);
  }

  write(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    if (this.#ended || socket.destroyed) return true;
    // Encrypted at once when nothing waits; else the queue would keep the caller's memory.
    socket.write(socket.writableLength === 0 ? bytes : new Uint8Array(bytes));
    return socket.writableLength < unsentMax;
  }
  drained(): Promise<void> {
    const socket = this.#socket;
    if (socket.writableLength === 0 || socket.destroyed || this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#draining.delete(done);
        resolve();
      };
      this.#draining.add(done);
      socket.write(nothing, done); // done after those before it
    });
  }
  get unsent(): number {
    return this.#socket.writableLength;
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }
  resume(): void {
    this.#paused = false;
    if (this.#onData !== undefined) this.#socket.resume();
  }
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.end();
    this.#socket.resume(); // what the peer still sends is dropped, so that its end is seen
    this.#linger();
  }
  destroy(): void {
    this.#ended = true;
    this.#socket.destroy();
  }

  /** What is still to be sent may take its time as long as the peer takes some of it. */
  #linger(): void {
    if (this.#lingering) return;
    this.#lingering = true;
    const socket = this.#socket;
    let before = Number.POSITIVE_INFINITY;
    const look = (): void => {
      const left = socket.writableLength;
      if (left === 0 || left >= before) socket.destroy();
      else {
        before = left;
        timer = setTimeout(look, lingerMs).unref();
      }
    };
    let timer = setTimeout(look, lingerMs).unref();
    socket.once("close", () => clearTimeout(timer));
  }
}

/** Asked for by name. */
const formerName = "former.scratchbird.invalid";
/** Of a dial: which of its certificates the server is asked for, and which of ours it sees; one after the other. */
const ways = [
  { wantsFormer: false, showsFormer: false },
  { wantsFormer: true, showsFormer: false },
  { wantsFormer: false, showsFormer: true },
  { wantsFormer: true, showsFormer: true },
] as const;

function contextOf(own: ShownIdentity | undefined): tls.SecureContext {
  return tls.createSecureContext({
    ...(own === undefined ? {} : { cert: own.certificatePem, key: own.keyPem }),
    ca: [], // nobody is trusted by OpenSSL's rules: our own check decides
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    ciphers: suites,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  });
}

/** RFC 8446, 7.5. */
function idOf(socket: tls.TLSSocket): string {
  return socket.exportKeyingMaterial(exporterBytes, exporterLabel, nothing).toString("latin1");
}

type Refused = Pick<PeerRefusal, "condition" | "message" | "node">;

/** A stream that `use` looks at again. */
interface Live {
  readonly socket: tls.TLSSocket;
  /** The name that its two ends alone know, as latin1; taken while it lives, for a socket that has ended tells nothing. */
  readonly id: string;
  readonly remoteAddress: string;
  /** DER; undefined where it is not for the credentials to judge: a stranger's, or that of a cluster being joined. */
  certificate: Buffer | undefined;
  /** SHA-256 of it; and whether its node is known by a newer one. */
  fingerprint?: string | undefined;
  isFormer?: boolean | undefined;
  /** Of our own, as the peer has seen it. */
  own: string;
  /** Where we have dialled: host:port. It is the dialling side that renews. */
  readonly dialled?: string | undefined;
  /** Once there is a stream. */
  peer?: PeerIdentity;
}

export class HostPeerNetwork implements PeerNetwork {
  readonly #handshakeMs: number;
  readonly #pendingMax: number;
  readonly #now: () => number;
  readonly #toleranceMs: number;
  #credentials: PeerCredentials | undefined;
  #context: tls.SecureContext | undefined;
  /** With the certificate before; undefined: there is none. */
  #formerContext: tls.SecureContext | undefined;
  #formerOwn = "";
  /** How a node is dialled next, where the usual way was refused: see `ways`. */
  readonly #ways = new Map<string, number>();
  #onRefusal: (refusal: PeerRefusal) => void = () => {};
  readonly #servers = new Set<net.Server>();
  /** In order of arrival. */
  readonly #pending = new Set<net.Socket>();
  readonly #dials = new Set<(error: DbError) => void>();
  readonly #live = new Set<Live>();
  /** SHA-256 of the certificate we show. */
  #own = "";
  /** Addresses to which a renewal is under way, or is about to be tried again. */
  readonly #renewing = new Set<string>();
  #closed = false;
  /** Connections that ended before a verdict: no TLS 1.3, garbage, too slow, pushed out. */
  handshakesFailed = 0;

  constructor(options: HostPeerOptions = {}) {
    this.#handshakeMs = options.handshakeMs ?? handshakeMsDefault;
    this.#pendingMax = options.pendingMax ?? pendingMaxDefault;
    this.#now = options.now ?? Date.now;
    this.#toleranceMs = options.toleranceMs ?? toleranceMsDefault;
  }

  onRefusal(handler: (refusal: PeerRefusal) => void): void {
    this.#onRefusal = handler;
  }

  /** @throws DbError configFileError (F0000) when certificate or key cannot be used; all stays as it was then */
  use(credentials: PeerCredentials): void {
    const { own, former } = credentials;
    try {
      this.#context = contextOf(own);
      this.#formerContext = former && contextOf(former);
    } catch (error) {
      throw new DbError("configFileError", "the node's certificate or key cannot be used", {}, error);
    }
    this.#credentials = credentials;
    this.#formerOwn = former === undefined ? "" : fingerprintOfPem(former.certificatePem);
    this.#own = own === undefined ? "" : fingerprintOfPem(own.certificatePem);
    for (const live of [...this.#live]) {
      if (live.certificate === undefined) continue;
      const verdict = this.#check(live.certificate);
      if ("condition" in verdict) {
        this.#refused(verdict, live.certificate, live.remoteAddress);
        live.socket.destroy();
      } else live.isFormer = verdict.isFormer === true;
    }
    this.#renewSome();
  }

  standing(): ReadonlyMap<string, string | undefined> {
    const by = new Map<string, string | undefined>();
    for (const { peer, fingerprint } of this.#live) {
      if (peer?.kind !== "member") continue;
      const known = by.has(peer.node);
      by.set(peer.node, known && by.get(peer.node) !== fingerprint ? undefined : fingerprint);
    }
    return by;
  }

  // --- streams that outlive a certificate --------------------------------------------------------------------------

  #isStale(live: Live): boolean {
    return live.certificate !== undefined && (live.isFormer === true || live.own !== this.#own);
  }

  #renewSome(): void {
    for (const live of this.#live)
      if (live.dialled !== undefined && live.peer?.kind === "member" && this.#isStale(live))
        this.#renew(live.peer.node, live.dialled);
  }

  #renew(node: string, address: string): void {
    if (this.#renewing.has(address) || this.#closed) return;
    this.#renewing.add(address);
    const again = (): void => {
      this.#renewing.delete(address);
      this.#renewSome();
    };
    this.#connect({ address, node }, renewalMs, renewalProtocol).then(
      ({ socket, live }) => {
        const stale = [...this.#live].filter(
          (one) => one.dialled === address && one.peer?.kind === "member" && this.#isStale(one),
        );
        void this.#nameStreams(socket, live, stale.slice(0, renewedMax)).then((done) => {
          socket.destroy();
          if (done && stale.length <= renewedMax && !stale.some((one) => this.#isStale(one)))
            this.#renewing.delete(address);
          else setTimeout(again, renewAgainMs).unref();
        });
      },
      (error: unknown) => {
        if (!(error instanceof DbError)) throw error; // ends the node: a broken invariant
        setTimeout(again, renewAgainMs).unref();
      },
    );
  }

  /** True: the other side has answered, and the streams stand by the certificates of this connection. */
  #nameStreams(
    socket: tls.TLSSocket,
    { certificate, fingerprint, own }: Live,
    streams: Live[],
  ): Promise<boolean> {
    const message = Buffer.alloc(2 + streams.length * exporterBytes);
    message.writeUInt16BE(streams.length, 0);
    for (const [at, { id }] of streams.entries()) message.write(id, 2 + at * exporterBytes, "latin1");
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), renewalMs).unref();
      socket.once("close", () => {
        clearTimeout(timer);
        resolve(false);
      });
      let answer = nothing;
      socket.on("data", (chunk: Buffer) => {
        answer = Buffer.concat([answer, chunk]);
        if (answer.length < 2) return;
        clearTimeout(timer);
        // A stream that the other side does not know any more is about to close.
        for (const one of streams) this.#standBy(one, certificate, fingerprint, own);
        resolve(true);
      });
      socket.write(message);
      socket.resume();
    });
  }

  #standBy(live: Live, certificate: Buffer | undefined, fingerprint: string | undefined, own: string): void {
    live.certificate = certificate;
    live.fingerprint = fingerprint;
    live.own = own;
    const verdict = certificate === undefined ? undefined : this.#check(certificate);
    if (verdict !== undefined && "condition" in verdict) {
      this.#refused(verdict, certificate, live.remoteAddress);
      live.socket.destroy();
      return;
    }
    live.isFormer = verdict?.isFormer === true;
  }

  /** The other side keeps streams that it has dialled, and has newer certificates for them. */
  #renewedBy(socket: tls.TLSSocket, node: string, certificate: Buffer, fingerprint: string): void {
    const own = this.#own;
    const timer = setTimeout(() => socket.destroy(), renewalMs).unref();
    socket.once("close", () => clearTimeout(timer));
    let said = nothing;
    socket.on("data", (chunk: Buffer) => {
      said = Buffer.concat([said, chunk]);
      if (said.length < 2) return;
      const count = said.readUInt16BE(0);
      if (count > renewedMax) {
        socket.destroy();
        return;
      }
      if (said.length < 2 + count * exporterBytes) return;
      const named = new Set<string>();
      for (let at = 2; at < 2 + count * exporterBytes; at += exporterBytes)
        named.add(said.toString("latin1", at, at + exporterBytes));
      let known = 0;
      for (const live of this.#live) {
        if (live.dialled !== undefined || live.peer?.kind !== "member" || live.peer.node !== node) continue;
        if (!named.has(live.id)) continue;
        this.#standBy(live, certificate, fingerprint, own);
        known++;
      }
      const answer = Buffer.alloc(2);
      answer.writeUInt16BE(known, 0);
      socket.end(answer);
      said = nothing;
    });
    socket.resume();
  }

  drop(node: string): void {
    for (const { peer, socket } of [...this.#live])
      if (peer?.kind === "member" && peer.node === node) socket.destroy();
  }

  close(): void {
    this.#closed = true;
    for (const server of this.#servers) server.close();
    this.#servers.clear();
    for (const socket of this.#pending) socket.destroy();
    for (const fail of [...this.#dials]) fail(failure("UNREACHABLE", "", "the network is closed"));
    for (const { socket } of this.#live) socket.destroy();
  }

  #check(certificate: Buffer): PeerVerdict {
    assert(this.#credentials !== undefined, "credentials come before connections");
    try {
      return this.#credentials.check(certificate);
    } catch (error) {
      if (error instanceof InvariantError) throw error;
      // What a stranger put into its certificate must not end the node.
      return { condition: "UNREADABLE", message: `the check failed: ${String(error)}`, node: undefined };
    }
  }

  #refused(refusal: Refused, certificate: Uint8Array | undefined, remoteAddress: string): void {
    const { condition, message, node } = refusal;
    const fingerprint =
      certificate === undefined ? undefined : createHash("sha256").update(certificate).digest("hex");
    this.#onRefusal({ condition, message, node, fingerprint, remoteAddress });
  }

  #stream(socket: tls.TLSSocket, peer: PeerIdentity, live: Live): PeerStream {
    live.peer = peer;
    this.#live.add(live);
    socket.once("close", () => this.#live.delete(live));
    return new TlsPeerStream(socket, peer, live.remoteAddress);
  }

  // --- who connects to us ------------------------------------------------------------------------------------------

  listen(
    host: string,
    port: number,
    strangers: boolean,
    accept: (stream: PeerStream) => void,
  ): Promise<Listener> {
    const server = net.createServer({
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveMs,
      pauseOnConnect: true,
    });
    server.on("connection", (raw) => this.#arrived(raw, strangers, accept));
    return new Promise((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(host, port, error)));
      server.listen({ host, port, backlog: 1024 }, () => {
        server.removeAllListeners("error");
        // A failed accept (out of file descriptors, say) concerns one peer; the listener goes on.
        server.on("error", () => {});
        this.#servers.add(server);
        const address = server.address();
        assert(address !== null && typeof address === "object", "a TCP listener has a port");
        resolve({
          port: address.port,
          // Open streams live on: their owner ends them.
          close: async () => {
            this.#servers.delete(server);
            server.close();
          },
        });
      });
    });
  }

  #arrived(raw: net.Socket, strangers: boolean, accept: (stream: PeerStream) => void): void {
    raw.on("error", () => raw.destroy());
    // Before it has a certificate of its own, a node is nobody's server.
    if (this.#closed || this.#context === undefined || this.#credentials?.own === undefined) {
      raw.destroy();
      return;
    }
    const [oldest] = this.#pending;
    if (oldest !== undefined && this.#pending.size >= this.#pendingMax) {
      this.#pending.delete(oldest);
      oldest.destroy();
    }
    const remoteAddress = `${raw.remoteAddress ?? "?"}:${raw.remotePort ?? 0}`;
    let own = this.#own;
    const socket = new tls.TLSSocket(raw, {
      isServer: true,
      secureContext: this.#context,
      SNICallback: (name, choose) => {
        const former = name === formerName ? this.#formerContext : undefined;
        if (former !== undefined) own = this.#formerOwn;
        choose(null, former);
      },
      ALPNProtocols: [renewalProtocol, streamProtocol],
      requestCert: true,
      rejectUnauthorized: false,
    });
    this.#pending.add(socket);
    const timer = setTimeout(() => socket.destroy(), this.#handshakeMs).unref();
    let judged = false;
    const settle = (): void => {
      clearTimeout(timer);
      this.#pending.delete(socket);
    };
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      settle();
      if (!judged) this.handshakesFailed++;
    });
    socket.once("secure", () => {
      judged = true;
      socket.pause();
      const certificate = socket.getPeerX509Certificate()?.raw;
      const verdict = this.#verdictOfClient(socket, certificate, strangers);
      if ("condition" in verdict) {
        this.#refused(verdict, certificate, remoteAddress);
        this.#sendAway(socket, verdict.condition);
        return;
      }
      settle();
      socket.write(Buffer.from([0]));
      const fingerprint = verdict.kind === "member" ? verdict.certFingerprint : undefined;
      if (socket.alpnProtocol === renewalProtocol) {
        if (verdict.kind === "member") this.#renewedBy(socket, verdict.node, certificate!, fingerprint!);
        else socket.destroy();
        return;
      }
      const isFormer = verdict.kind === "member" && verdict.isFormer;
      accept(
        this.#stream(socket, verdict, {
          socket,
          id: idOf(socket),
          remoteAddress,
          certificate,
          fingerprint,
          isFormer,
          own,
        }),
      );
    });
  }

  #verdictOfClient(
    socket: tls.TLSSocket,
    certificate: Buffer | undefined,
    strangers: boolean,
  ): PeerIdentity | Refused {
    if (socket.isSessionReused())
      return { condition: "RESUMED", message: "the session was resumed", node: undefined };
    if (certificate === undefined)
      return strangers
        ? { kind: "stranger" }
        : { condition: "NO_CERTIFICATE", message: "the peer showed no certificate", node: undefined };
    const verdict = this.#check(certificate);
    return "condition" in verdict ? verdict : { kind: "member", ...identityOf(verdict) };
  }

  /** Says why and closes; the socket counts as pending until it is gone. */
  #sendAway(socket: tls.TLSSocket, condition: string): void {
    const reason = Buffer.from(condition.slice(0, conditionMax), "latin1");
    socket.end(Buffer.concat([Buffer.from([reason.length]), reason]));
    socket.resume(); // to see its end; nobody hears what it says
    const timer = setTimeout(() => socket.destroy(), refusalLingerMs).unref();
    socket.once("close", () => clearTimeout(timer));
  }

  // --- whom we connect to ------------------------------------------------------------------------------------------

  async dial(target: DialTarget, timeoutMs: number): Promise<PeerStream> {
    const { socket, peer, live } = await this.#connect(target, timeoutMs, streamProtocol);
    const stream = this.#stream(socket, peer, live);
    // Shown before either side was to show another.
    if (this.#isStale(live) && peer.kind === "member") this.#renew(peer.node, target.address);
    return stream;
  }

  /** Resolves once both sides have checked each other; the socket is paused. */
  #connect(
    target: DialTarget,
    timeoutMs: number,
    protocol: string,
  ): Promise<{ readonly socket: tls.TLSSocket; readonly peer: PeerIdentity; readonly live: Live }> {
    const { address } = target;
    const where = hostAndPort(address);
    const way = ways[protocol === streamProtocol ? (this.#ways.get(address) ?? 0) : 0]!;
    const showsFormer = way.showsFormer && this.#formerContext !== undefined;
    const context = showsFormer ? this.#formerContext : this.#context;
    assert(context !== undefined, "credentials come before connections");
    assert(target.node !== undefined || target.authority !== undefined, "a dial knows whom it wants");
    return new Promise((resolve, reject) => {
      if (this.#closed || where === undefined) {
        const why = this.#closed ? "the network is closed" : "the address is not host:port";
        reject(failure("UNREACHABLE", address, why));
        return;
      }
      const own = showsFormer ? this.#formerOwn : this.#own;
      const nextWay = (condition: string): void => {
        if (target.authority === undefined && mayKnowFormer.has(condition))
          this.#ways.set(address, ((this.#ways.get(address) ?? 0) + 1) % ways.length);
      };
      const socket = tls.connect({
        ...where,
        ...(way.wantsFormer ? { servername: formerName } : {}),
        secureContext: context,
        ALPNProtocols: [protocol],
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
      });
      socket.setNoDelay(true);
      socket.setKeepAlive(true, keepAliveMs);
      let live: Live | undefined;
      const settle = (): void => {
        clearTimeout(timer);
        this.#dials.delete(fail);
        socket.removeListener("close", closed);
        socket.removeListener("data", verdictArrived);
      };
      const fail = (error: DbError): void => {
        settle();
        socket.destroy();
        if (live !== undefined) this.#live.delete(live);
        reject(error);
      };
      const closed = (): void => fail(failure("UNREACHABLE", address, "the connection was closed"));
      const timer = setTimeout(
        () => fail(failure("TIMEOUT", address, `no answer within ${timeoutMs} ms`)),
        timeoutMs,
      );
      this.#dials.add(fail);
      socket.on("error", (error) => fail(connectFailure(address, error)));
      socket.once("close", closed);
      let peer: PeerIdentity | undefined;
      socket.once("secureConnect", () => {
        const remoteAddress = `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`;
        const certificate = socket.getPeerX509Certificate();
        const verdict = this.#verdictOfServer(socket, certificate, target);
        if ("condition" in verdict) {
          nextWay(verdict.condition);
          this.#refused(verdict, certificate?.raw, remoteAddress);
          fail(failure("UNREACHABLE", address, verdict.message, verdict.condition));
          return;
        }
        peer = verdict;
        const judged = target.authority === undefined ? certificate?.raw : undefined;
        // From here on `use` may find that the peer does not pass any more.
        const isMember = verdict.kind === "member";
        live = {
          socket,
          id: idOf(socket),
          remoteAddress,
          certificate: judged,
          fingerprint: isMember ? verdict.certFingerprint : undefined,
          isFormer: isMember && verdict.isFormer,
          own,
          dialled: judged === undefined || protocol !== streamProtocol ? undefined : address,
        };
        this.#live.add(live);
        socket.on("data", verdictArrived);
      });
      let said: Buffer = nothing;
      const verdictArrived = (chunk: Buffer): void => {
        said = said.length === 0 ? chunk : Buffer.concat([said, chunk]);
        const length = said[0]!;
        if (said.length < 1 + length && length <= conditionMax) return;
        if (length > 0) {
          const condition = said.toString("latin1", 1, 1 + length);
          nextWay(condition);
          const message = /^[A-Z_]+$/.test(condition)
            ? `it refuses this node: ${condition}`
            : "no node is there";
          fail(failure("UNREACHABLE", address, message));
          return;
        }
        assert(peer !== undefined && live !== undefined, "the peer was checked");
        if (protocol === streamProtocol) this.#ways.delete(address);
        socket.pause();
        settle();
        const rest = said.subarray(1);
        if (rest.length > 0) socket.unshift(rest);
        if (protocol !== streamProtocol) this.#live.delete(live);
        resolve({ socket, peer, live });
      };
    });
  }

  #verdictOfServer(
    socket: tls.TLSSocket,
    certificate: X509Certificate | undefined,
    target: DialTarget,
  ): PeerIdentity | Refused {
    if (socket.isSessionReused())
      return { condition: "RESUMED", message: "the session was resumed", node: undefined };
    if (certificate === undefined)
      return { condition: "NO_CERTIFICATE", message: "the peer showed no certificate", node: undefined };
    const verdict =
      target.authority === undefined
        ? this.#check(certificate.raw)
        : checkUnderAuthority(certificate, target.authority, this.#now(), this.#toleranceMs);
    if ("condition" in verdict) return verdict;
    if (target.node !== undefined && verdict.node !== target.node) {
      const message = `node ${verdict.node} is there, not node ${target.node}`;
      return { condition: "WRONG_NODE", message, node: verdict.node };
    }
    return { kind: "member", ...identityOf(verdict) };
  }
}

/** Longest name of a condition in a verdict. */
const conditionMax = 64;

type Judged = Extract<PeerVerdict, { readonly node: string; readonly certFingerprint: string }>;
function identityOf({ node, certFingerprint, isFormer }: Judged): Judged {
  return isFormer === true ? { node, certFingerprint, isFormer } : { node, certFingerprint };
}

function fingerprintOfPem(pem: string): string {
  const [, first = ""] = /-----BEGIN CERTIFICATE-----([^-]+)-----END/.exec(pem) ?? [];
  return createHash("sha256").update(Buffer.from(first, "base64")).digest("hex");
}

const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const nodeUri = new RegExp(`^URI:sb://cluster/${uuid}/node/(${uuid})$`);

/**
 * What one who joins can know of the node it talks to: its certificate comes from the CA that the token names. Whether the
 * node is still a member it cannot know; a node that was removed has nothing to give.
 */
function checkUnderAuthority(
  certificate: X509Certificate,
  authority: string,
  now: number,
  toleranceMs: number,
): PeerVerdict {
  let node: string | undefined;
  const refuse = (condition: string, message: string): PeerVerdict => ({ condition, message, node });
  for (const one of [certificate, certificate.issuerCertificate]) {
    if (one === undefined) return refuse("CHAIN_INVALID", "the peer showed no certificate of its CA");
    // Written so that a date that cannot be read refuses.
    if (!(Date.parse(one.validFrom) <= now + toleranceMs))
      return refuse("NOT_YET_VALID", `the certificate of ${one.subject} is valid from ${one.validFrom}`);
    if (!(Date.parse(one.validTo) >= now - toleranceMs))
      return refuse("EXPIRED", `the certificate of ${one.subject} was valid until ${one.validTo}`);
  }
  const issuer = certificate.issuerCertificate!;
  const fingerprint = createHash("sha256").update(issuer.raw).digest("hex");
  if (fingerprint !== authority.toLowerCase())
    return refuse("UNTRUSTED_CA", `its CA has the fingerprint ${fingerprint}, the token names ${authority}`);
  if (certificate.ca || !issuer.ca || !certificate.checkIssued(issuer))
    return refuse("CHAIN_INVALID", "not a node certificate of its CA");
  if (!certificate.verify(issuer.publicKey)) return refuse("UNTRUSTED_CA", "its CA has not signed it");
  const names = (certificate.subjectAltName ?? "").split(", ").filter((name) => name.startsWith("URI:"));
  node = names.length === 1 ? nodeUri.exec(names[0]!)?.[1] : undefined;
  if (node === undefined)
    return refuse("MISSING_URI_SAN", `no node's URI: ${certificate.subjectAltName ?? "none"}`);
  if (!(certificate.keyUsage ?? []).includes(serverAuthentication))
    return refuse("CHAIN_INVALID", "not a certificate for servers");
  return { node, certFingerprint: createHash("sha256").update(certificate.raw).digest("hex") };
}

const serverAuthentication = "1.3.6.1.5.5.7.3.1";

/** `host:port`, `[v6]:port`. */
function hostAndPort(address: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

type DialOutcome = "REFUSED" | "TIMEOUT" | "UNREACHABLE";

function failure(
  outcome: DialOutcome,
  address: string,
  why: string,
  condition?: string,
  cause?: unknown,
): DbError {
  const detail = `${outcome}${condition === undefined ? "" : ` ${condition}`}: ${why}`;
  return new DbError("connectionFailure", `no connection to the node at ${address}`, { detail }, cause);
}

function connectFailure(address: string, error: Error): DbError {
  // A name with several addresses fails with one error for each; gone is who refuses on all.
  const errors: readonly Error[] = error instanceof AggregateError ? error.errors : [error];
  const codes = errors.map((one) => ("code" in one ? one.code : undefined));
  const outcome = codes.every((code) => code === "ECONNREFUSED")
    ? "REFUSED"
    : codes.includes("ETIMEDOUT")
      ? "TIMEOUT"
      : "UNREACHABLE";
  return failure(outcome, address, errors[0]?.message ?? error.message, undefined, error);
}

function listenError(host: string, port: number, error: NodeJS.ErrnoException): DbError {
  switch (error.code) {
    case "EADDRINUSE":
      return new DbError("ioError", `port ${port} on ${host} is in use`, {
        hint: "Stop the program that uses it, or choose another port (0 takes any free one).",
      });
    case "EACCES":
      return new DbError("ioError", `no permission to listen on ${host}:${port}`, {
        hint: "Choose a port above 1023.",
      });
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new DbError("ioError", `${host} is not an address of this host`, {
        hint: "Choose an address of this host, such as 127.0.0.1 or 0.0.0.0.",
      });
    default:
      return new DbError("ioError", `cannot listen on ${host}:${port}: ${error.message}`, {}, error);
  }
}
