/**
 * Streams between nodes: authenticated on both sides, encrypted, in order (D15). `platform/peers.ts` makes them of
 * mutual TLS 1.3, `sim/peers.ts` of nothing but a seed; what is spoken over them is `rpc/`.
 *
 * Invariants: `accept` and `dial` hand over a stream only when the peer has passed the check of the credentials in force;
 * a stream whose peer does not pass any more is closed by `use`.
 */
import type { Listener } from "../platform/index.js";

/** Who is at the other end. A stranger has shown no certificate of a member: it may join, and nothing else. */
export type PeerIdentity =
  | {
      readonly kind: "member";
      readonly node: string;
      /** As it was when the stream was made, and whether the node was known by a newer one then. */
      readonly certFingerprint: string;
      readonly isFormer?: boolean;
    }
  | { readonly kind: "stranger" };

export interface PeerStream {
  readonly peer: PeerIdentity;
  readonly remoteAddress: string;
  /**
   * `chunk` is lent: what the handler wants to keep it copies before it returns. Nothing is read before there is a handler;
   * a later one takes the place of the first.
   */
  onData(handler: (chunk: Uint8Array) => void): void;
  /** Exactly once; also when it is closed already. A later handler takes the place of the first. */
  onClose(handler: () => void): void;
  /** False: the peer is slow, wait for `drained`. The memory is the caller's again in any case: it is copied if need be. */
  write(bytes: Uint8Array): boolean;
  /** Once all that was written before is taken, or the stream is closed. Never rejects. */
  drained(): Promise<void>;
  /** Bytes written that the peer has not taken. */
  readonly unsent: number;
  pause(): void;
  resume(): void;
  end(): void;
  destroy(): void;
}

/** Why a peer was refused: logged, counted, audited. */
export interface PeerRefusal {
  readonly condition: string;
  readonly message: string;
  readonly node: string | undefined;
  /** SHA-256 of the certificate that was shown, hexadecimal; undefined: none was. */
  readonly fingerprint: string | undefined;
  readonly remoteAddress: string;
}

/** A certificate, as far as the check of a peer asks; the host's is a node:crypto X509Certificate in DER. */
export type PeerVerdict =
  | {
      readonly node: string;
      readonly certFingerprint: string;
      /** It is known by a newer one, which it will show. */
      readonly isFormer?: boolean;
    }
  | { readonly condition: string; readonly message: string; readonly node: string | undefined };

export interface ShownIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
}
/** Of a refusal: the peer, or this node, may know the other by an older certificate. */
export const mayKnowFormer: ReadonlySet<string> = new Set(["NOT_PINNED", "UNTRUSTED_CA"]);

export interface PeerCredentials {
  /**
   * What this node shows: its certificate, then that of its CA, by which one who joins knows it. Undefined: nothing yet, it
   * is about to join.
   */
  readonly own: ShownIdentity | undefined;
  /**
   * What this node showed before. One whose log is behind knows it by nothing else, and could never be told of the newer one: to
   * who asks for it, or refuses the other, it is shown.
   */
  readonly former?: ShownIdentity | undefined;
  /** Of a peer's certificate (DER). */
  check(certificate: Uint8Array): PeerVerdict;
}

export interface DialTarget {
  /** host:port */
  readonly address: string;
  /** The node that must answer there; undefined with `authority`: whoever has a certificate of that CA (joining). */
  readonly node: string | undefined;
  /** SHA-256 of the CA certificate (hex) that a server must show to one who joins. */
  readonly authority?: string | undefined;
}

export interface PeerNetwork {
  /** `strangers`: also takes those who show no certificate. @throws DbError ioError: the address cannot be bound */
  listen(
    host: string,
    port: number,
    strangers: boolean,
    accept: (stream: PeerStream) => void,
  ): Promise<Listener>;
  /**
   * Resolves once both sides have checked each other.
   * @throws DbError connectionFailure (08006); its `fields.detail` begins with REFUSED when the host is there and nobody
   *   listens on the port: the process is gone; with TIMEOUT when there was no answer; else with UNREACHABLE, and says
   *   which condition failed on which side
   */
  dial(target: DialTarget, timeoutMs: number): Promise<PeerStream>;
  /**
   * Certificate, members or revocations have changed: new connections take it up, live ones that fail are closed. Before the
   * first dial or listener.
   */
  use(credentials: PeerCredentials): void;
  /**
   * By which certificate the streams with each node stand, of nodes that there are streams with; undefined: not all by the same.
   * A stream lives on under a newer certificate of the same node once the node has shown, over a connection made with that,
   * that it knows the stream's secret: nobody is cut off for a renewal.
   */
  standing(): ReadonlyMap<string, string | undefined>;
  /** Closes every stream with a node: it is known to be out of reach, which a silent network would not tell for long. */
  drop(node: string): void;
  onRefusal(handler: (refusal: PeerRefusal) => void): void;
  close(): void;
}
