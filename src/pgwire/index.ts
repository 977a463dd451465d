/**
 * The Postgres wire protocol: a listener that makes a connection of every client, and sessions of those that log in.
 *
 *   socket -> input (bytes to messages) -> connection (state machine) -> session
 *   session -> sink -> rows (values to DataRows) -> output (64 KiB pieces) -> socket
 *
 * Read `messages.ts` first (the protocol as two tables), then `connection.ts`. What SQL means is not here: the session does
 * that; who may log in and how many, the session host.
 *
 * On a node that does not hold the data (`PgWireOptions.relay`), a client that has logged in is handed on to the node that
 * does, and its session runs there: read `relay.ts`.
 *
 * Limits: the bytes a connection may hold on either side are bounded (`WireLimits`), an idle one holds no buffer, and
 * sockets that have not logged in are bounded in number and time.
 */
import { timingSafeEqual } from "node:crypto";
import { DbError } from "../base/errors.js";
import type { BundleStamp } from "../cluster/contract.js";
import type {
  Clock,
  Connection,
  Listener,
  Network,
  Random,
  TlsMaterial,
  TlsSource,
} from "../platform/index.js";
import { type ClientTrust, serverEndPoint } from "../security/index.js";
import type { SessionHost } from "../session/contract.js";
import type { HeldBundle } from "./bundle-gate.js";
import { PgConnection, type WireLimits, type WireServer } from "./connection.js";
import { defaultLoginPolicy, type FailureReason, type LoginMethod, type LoginPolicy } from "./login.js";
import { LoginFailures } from "./login-failures.js";
import { LoginTurns } from "./login-turns.js";
import { BufferPool } from "./output.js";
import { type Relay, type RelayHead, type RelayStream, StreamConnection } from "./relay.js";
import { RowFormats, type TypeOutputs } from "./rows.js";
import { typeOutputs } from "./type-outputs.js";

export { bundleStamp, type HeldBundle, isSameBundle } from "./bundle-gate.js";
export type { WireLimits } from "./connection.js";
export {
  defaultLoginPolicy,
  type FailureReason,
  failureReasons,
  type LoginMethod,
  type LoginPolicy,
  LoginRefused,
  loginMethods,
} from "./login.js";
export { homeUnreachable, type Relay, type RelayHead, type RelayStream, readHead } from "./relay.js";
export type { TypeOutputs } from "./rows.js";

export const defaultWireLimits: WireLimits = {
  messageBytesMax: 64 * 1024 * 1024,
  inputBytesMax: 1024 * 1024,
  outputBytesMax: 1024 * 1024,
  authenticationTimeoutMs: 10_000,
  sliceMs: 2,
};

/** Events worth a log line or a counter; the listener itself writes neither. */
export interface WireObserver {
  connected(remoteAddress: string): void;
  disconnected(remoteAddress: string): void;
  /** `reason` is the truth, which the client is not told: for the log, the metrics and the audit. */
  authenticationFailed(user: string, remoteAddress: string, error: DbError, reason: FailureReason): void;
  /** Something threw that is no DbError: a defect of the server. The client was told XX000. */
  internalError(error: Error): void;
}

export interface PgWireOptions {
  readonly host: SessionHost;
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly address: string;
  readonly port: number;
  /** undefined: SSLRequest is answered N. */
  readonly tls: TlsSource | undefined;
  readonly requireTls?: boolean | undefined;
  readonly limits?: Partial<WireLimits> | undefined;
  /** Sockets open at once, logged in or not; one more is closed unanswered. The host bounds sessions (53300). */
  readonly socketsMax?: number | undefined;
  /** Stable salt of log-ins of unknown roles; drawn anew when absent. */
  readonly mockSecret?: Uint8Array | undefined;
  readonly observer: WireObserver;
  /** What the cluster asks of log-ins now; absent: nothing beyond the rules. */
  readonly policy?: (() => LoginPolicy) | undefined;
  /** Whom client certificates are believed now; undefined: nobody. */
  readonly trust?: (() => ClientTrust | undefined) | undefined;
  /** Security bundles of this node and others; absent in tests that are not about them. */
  readonly bundles?: HeldBundle | undefined;
  /** The way to the node where sessions run; undefined: they run here. */
  readonly relay?: Relay | undefined;
  /** Text and binary forms of values; those of model/io.ts unless a test brings its own. */
  readonly outputs?: TypeOutputs | undefined;
}

export class PgWire {
  readonly #connections = new Set<PgConnection>();
  /** Those that have not logged in, the oldest first. */
  readonly #unauthenticated = new Set<PgConnection>();
  readonly #policy: () => LoginPolicy;
  /** Log-ins by outcome and method, `success scram` for one; and refusals by reason. */
  readonly authentications = new Map<`${"success" | "failure"} ${LoginMethod}`, number>();
  readonly authenticationFailures = new Map<FailureReason, number>();
  readonly #server: WireServer;
  readonly #hashes = new EndPointHashes();
  #listener: Listener | undefined;
  #refusal: DbError | undefined;
  /** Those whose session is not the one that their client's cancel key is of. */
  readonly #switched = new Set<PgConnection>();

  constructor(private readonly options: PgWireOptions) {
    const { host, clock, random, tls, observer, relay } = options;
    let mockSecret = options.mockSecret;
    if (mockSecret === undefined) random.fill((mockSecret = new Uint8Array(32)));
    this.#policy = options.policy ?? (() => defaultLoginPolicy);
    this.#server = {
      host,
      clock,
      random,
      limits: { ...defaultWireLimits, ...options.limits },
      pool: new BufferPool(),
      formats: new RowFormats(options.outputs ?? typeOutputs),
      mockSecret,
      certificateHash: tls && ((state) => this.#hashes.of(state?.material ?? tls.current)),
      requireTls: options.requireTls ?? false,
      refuse: () => this.#refusal,
      internalError: (error) => observer.internalError(error),
      turns: new LoginTurns(clock),
      failures: new LoginFailures(clock),
      policy: this.#policy,
      trust: options.trust ?? (() => undefined),
      authenticated: (connection, method) => {
        this.#unauthenticated.delete(connection);
        addOne(this.authentications, `success ${method}`);
      },
      authenticationFailed: (user, address, error, reason, method) => {
        addOne(this.authentications, `failure ${method}`);
        addOne(this.authenticationFailures, reason);
        observer.authenticationFailed(user, address, error, reason);
      },
      bundles: options.bundles,
      gate:
        relay === undefined
          ? undefined
          : { relay, clock, bundles: options.bundles, retryAt: Number.NEGATIVE_INFINITY },
      cancel: (pid, key) => this.#cancel(pid, key),
      switched: (connection) => this.#switched.add(connection),
      closed: (connection) => {
        this.#connections.delete(connection);
        this.#unauthenticated.delete(connection);
        this.#switched.delete(connection);
        observer.disconnected(connection.remoteAddress);
      },
    };
  }

  /** Starts to accept clients; answers the port (which the system chose when 0 was asked). */
  async listen(): Promise<number> {
    const { network, address, port, tls } = this.options;
    this.#listener = await network.listen(address, port, tls, (connection) => this.accept(connection));
    return this.#listener.port;
  }

  accept(connection: Connection): void {
    if (this.#connections.size >= (this.options.socketsMax ?? 2200)) {
      connection.destroy();
      return;
    }
    this.#makeRoom(this.#policy().unauthenticatedMax);
    const accepted = new PgConnection(connection, this.#server);
    this.#connections.add(accepted);
    this.#unauthenticated.add(accepted);
    this.options.observer.connected(connection.remoteAddress);
  }

  /**
   * Too many that have not logged in: the oldest goes (THR-8), those first that have said nothing yet. Those that have failed and
   * wait to hear of it are counted apart, as many again: if they made room, who is let go early would be back early.
   */
  #makeRoom(max: number): void {
    if (this.#unauthenticated.size < max) return;
    const all = [...this.#unauthenticated];
    const held = all.filter((one) => one.isHeld);
    if (held.length >= max) held[0]!.evict();
    if (all.length - held.length < max) return;
    const active = all.filter((one) => !one.isHeld);
    (active.find((one) => one.isSilent) ?? active[0])?.evict();
  }

  /** When revocations or authorities have changed: ends the sessions that rest on a certificate that is good no more. */
  sweep(trust: ClientTrust): void {
    for (const connection of [...this.#connections]) connection.sweep(trust);
  }

  get unauthenticatedCount(): number {
    return this.#unauthenticated.size;
  }

  /**
   * At the home node: a client of another one, which has logged it in and is trusted in that. Its session opens at once
   * and greets; the host bounds them as all sessions. While this node stops, the stream is closed unanswered.
   * `theirs`: the security bundle that the other node has opened the stream under.
   */
  acceptRelayed(stream: RelayStream, head: RelayHead, theirs: BundleStamp): void {
    if (this.#refusal !== undefined) {
      stream.destroy();
      return;
    }
    const guest = new StreamConnection(stream, head);
    const connection = new PgConnection(guest, this.#server);
    guest.onBundle = (stamp) => connection.heardBundle(stamp);
    this.#connections.add(connection);
    this.options.observer.connected(connection.remoteAddress);
    connection.welcomeGuest(head, theirs);
  }

  /** At the home node: a CancelRequest that came to another one. Unknown ones are dropped. */
  cancelRelayed(pid: number, key: Uint8Array): void {
    this.options.host.cancel(pid, key);
  }

  #cancel(pid: number, key: Uint8Array): Promise<void> | undefined {
    const { host, relay } = this.options;
    if (host.cancel(pid, key) || relay === undefined) return undefined;
    for (const connection of this.#switched) {
      const told = connection.keyTold;
      if (told?.pid === pid && told.key.length === key.length && timingSafeEqual(told.key, key))
        return connection.cancelNow();
    }
    return relay.cancel(pid, key);
  }

  get connectionCount(): number {
    return this.#connections.size;
  }
  /** Clients whose sessions run at the home node, and how many of them await an answer. */
  get relayed(): { readonly connections: number; readonly awaiting: number } {
    let connections = 0;
    let awaiting = 0;
    for (const connection of this.#connections) {
      if (connection.isRelaying) connections++;
      if (connection.awaitsHome) awaiting++;
    }
    return { connections, awaiting };
  }

  /** No new sessions from here on: whoever asks is told `reason`, and the port is closed. */
  async stopAccepting(
    reason = new DbError("cannotConnectNow", "the database system is shutting down"),
  ): Promise<void> {
    this.#refusal = reason;
    const listener = this.#listener;
    this.#listener = undefined;
    await listener?.close();
  }

  /**
   * Ends every connection with a FATAL error: idle ones at once, others when their call has been cancelled. Clients of
   * other nodes stay connected there (`PgConnection.leave`).
   */
  terminateAll(
    reason = new DbError("adminShutdown", "terminating connection due to administrator command"),
  ): void {
    for (const connection of [...this.#connections]) connection.leave(reason);
  }
}

function addOne<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** What SCRAM-SHA-256-PLUS binds to, of each certificate that was shown. */
class EndPointHashes {
  readonly #known = new WeakMap<TlsMaterial, { readonly hash: Uint8Array | undefined }>();

  of(material: TlsMaterial): Uint8Array | undefined {
    let known = this.#known.get(material);
    if (known === undefined) {
      known = { hash: serverEndPoint(material.certificatePem) };
      this.#known.set(material, known);
    }
    return known.hash;
  }
}
