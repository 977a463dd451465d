/**
 * One client connection: the protocol as a state machine over messages.
 *
 *   startup -> (tls -> startup) -> authentication -> messages -> closed
 *
 * Messages are handled in a plain loop as long as the session answers at once; when it answers with a promise, the loop
 * stops and goes on when that settles, so one connection never has two calls in its session. Output is collected and
 * handed to the socket when the loop stops, after ReadyForQuery or Flush: a pipelined batch costs one write.
 *
 * After an error in the extended protocol everything up to Sync is skipped. Input that piles up behind a running call
 * pauses the socket; a slow reader is reported to the session through the sink.
 *
 * Invariants: every Query and every Sync is answered by exactly one ReadyForQuery; the session is closed exactly once,
 * and never while one of its calls is running; nothing is written after the connection is closed.
 */
import { assert, DbError, notSupported } from "../base/errors.js";
import { decodeUtf8 } from "../base/utf8.js";
import type { BundleStamp } from "../cluster/contract.js";
import type { Batch } from "../model/batch.js";
import { defaultSettings } from "../model/io-settings.js";
import type { Clock, Connection, Random, Timer, TlsState } from "../platform/index.js";
import { type ClientTrust, hostOf } from "../security/index.js";
import type {
  ClientCertificate,
  ClientChannel,
  MaybePromise,
  Notice,
  ResultSink,
  Session,
  SessionHost,
  SessionStart,
  StatementDescription,
  TransactionStatus,
} from "../session/contract.js";
import type { OutputColumn } from "../sql/plan.js";
import { GuestGate, type HeldBundle, writeBundle } from "./bundle-gate.js";
import { asDbError, fatal, fatalViolation, isFatal, violation } from "./errors.js";
import { BodyReader, Input } from "./input.js";
import { type FailureReason, Login, type LoginMethod, type LoginPolicy, LoginRefused } from "./login.js";
import type { LoginFailures } from "./login-failures.js";
import type { LoginTurns } from "./login-turns.js";
import {
  authenticationCode,
  backendTag,
  errorField,
  type FrontendName,
  frontendMessages,
  frontendTag,
} from "./messages.js";
import { type BufferPool, Output } from "./output.js";
import { failBlock, type Greeting, RelayedClient, type RelayGate, type RelayHead } from "./relay.js";
import { type Settings, writeSessionState } from "./relay-exchange.js";
import type { RowFormats } from "./rows.js";
import { type Opening, readOpening } from "./startup.js";

export interface WireLimits {
  /** Largest Query, Parse, Bind, CopyData body; larger ones are passed over and refused with 54000. */
  readonly messageBytesMax: number;
  /** Unread input behind a running call above which the socket is paused. */
  readonly inputBytesMax: number;
  /** Unsent output above which the session is told to wait. */
  readonly outputBytesMax: number;
  readonly authenticationTimeoutMs: number;
  /** How long pipelined messages may hold the loop before others have their turn. */
  readonly sliceMs: number;
}

/** What connections of one listener share. */
export interface WireServer {
  readonly host: SessionHost;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: WireLimits;
  readonly pool: BufferPool;
  readonly formats: RowFormats;
  readonly mockSecret: Uint8Array;
  /** SHA-256 of the certificate; undefined: TLS is off and SSLRequest is answered N. */
  /** Of what a connection's TLS has shown: what log-ins bind to. Undefined: no TLS here; its answer: nothing can be bound to. */
  readonly certificateHash: ((state: TlsState | undefined) => Uint8Array | undefined) | undefined;
  /** Refuse clients that do not encrypt. */
  readonly requireTls: boolean;
  /** Set while the node stops: new sessions are refused with 57P03. */
  readonly refuse: () => DbError | undefined;
  /** The server's own fault; the node decides whether to go on. */
  readonly internalError: (error: Error) => void;
  readonly turns: LoginTurns;
  readonly failures: LoginFailures;
  readonly policy: () => LoginPolicy;
  readonly trust: () => ClientTrust | undefined;
  readonly authenticated: (connection: PgConnection, method: LoginMethod) => void;
  readonly authenticationFailed: (
    user: string,
    remoteAddress: string,
    error: DbError,
    reason: FailureReason,
    method: LoginMethod,
  ) => void;
  readonly closed: (connection: PgConnection) => void;
  /** Security bundles of this node and others; undefined: nobody compares them. */
  readonly bundles: HeldBundle | undefined;
  /** The way to the node that runs the sessions of clients; undefined: this one does. */
  readonly gate: RelayGate | undefined;
  /** CancelRequest. A promise: somebody else has to be asked. */
  readonly cancel: (pid: number, key: Uint8Array) => Promise<void> | undefined;
  /** The client's session is not the one whose cancel key it has. */
  readonly switched: (connection: PgConnection) => void;
}

export interface CancelKey {
  readonly pid: number;
  readonly key: Uint8Array;
}

/** What remains to be said when a call of the session has answered. */
enum Step {
  query,
  parse,
  bind,
  describe,
  execute,
  sync,
}

type Phase = "startup" | "tls" | "authentication" | "messages" | "closed";

const runsSomething: ReadonlySet<number> = new Set([
  frontendTag.query,
  frontendTag.parse,
  frontendTag.bind,
  frontendTag.execute,
  frontendTag.functionCall,
]);

/** A client that stays in a transaction block receives none; beyond this it is not listening any more. */
const notificationsMax = 10_000;

const noChanges: readonly (readonly [string, string])[] = [];
const readerScratch = new BodyReader();

export class PgConnection {
  readonly #input: Input;
  readonly output: Output;
  readonly #sink: Sink;
  #phase: Phase = "startup";
  #session: Session | undefined;
  #login: Login | undefined;
  #inTurn = false;
  /** Ends this log-in's turn among the others. */
  #leaveTurn: (() => void) | undefined;
  /** The answer to a log-in is ready, or nearly, and comes later. */
  #held: { readonly refusal: LoginRefused | undefined; readonly timer: Timer } | undefined;
  /** Before the proof was looked at. */
  #waitedMs = 0;
  /** The log-in rests on it. */
  #certificate: ClientCertificate | undefined;
  #opening: Extract<Opening, { kind: "start" }> | undefined;
  #timer: Timer | undefined;
  #sslAsked = false;
  #gssAsked = false;

  /** A call of the session is under way, or the loop has been given up for a moment. */
  #busy = false;
  #pumping = false;
  #paused = false;
  #skipToSync = false;
  /** Something that the client waits for is in the output. */
  #flushDue = false;
  #flushQueued = false;
  readonly #flushQueue = (): void => {
    this.#flushQueued = false;
    this.#flush();
  };
  #terminating: DbError | undefined;
  #copy: CopyIn | undefined;
  readonly #notifications: (readonly [pid: number, channel: string, payload: string])[] = [];

  // On a node that is not the home of the data.
  #relayed: RelayedClient | undefined;
  /** Gives back the client's place among this node's connections while it has no session here. */
  #leavePlace: (() => void) | undefined;
  #keyTold: CancelKey | undefined;
  #keyNow: CancelKey | undefined;

  // On the home node, for a client of another.
  #isGuest = false;
  #guestGate: GuestGate | undefined;
  #bundleTold: BundleStamp | undefined;
  /** The message found waits for the gate. */
  #isGated = false;
  #isSilent = false;
  /** What the other node knows of the session's state; null: nothing yet. */
  #stateTold: Settings | undefined | null = null;

  constructor(
    private readonly connection: Connection,
    private readonly server: WireServer,
  ) {
    const { limits } = server;
    this.#input = new Input(limits.messageBytesMax);
    this.output = new Output(connection, server.pool, limits.outputBytesMax);
    this.#sink = new Sink(this, this.output, server.formats);
    this.#timer = server.clock.after(limits.authenticationTimeoutMs, () => {
      this.#timer = undefined;
      this.#outOfTime();
    });
    connection.onData((chunk) => this.#received(chunk));
    connection.onClose(() => this.#gone());
  }

  #outOfTime(): void {
    if (this.#held?.refusal !== undefined) {
      this.#fatal(this.#held.refusal);
      return;
    }
    const login = this.#login;
    if (this.#phase !== "authentication" || login === undefined) {
      this.#shut();
      return;
    }
    const refusal = new LoginRefused(
      "timeout",
      login.method,
      "queryCanceled",
      "canceling authentication due to timeout",
    );
    this.#noteRefusal(refusal);
    this.#fatal(refusal);
  }

  /** Not logged in, and waits for nothing but its answer. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }
  /** It has said nothing yet. */
  get isSilent(): boolean {
    return this.#phase === "startup" && !this.#inTurn;
  }
  /** There are too many that have not logged in. */
  evict(): void {
    const refusal = new LoginRefused(
      "overload",
      this.#login?.method ?? "none",
      "tooManyConnections",
      "too many connections have not logged in",
    );
    this.#noteRefusal(refusal);
    if (this.#held?.refusal !== undefined) this.#fatal(this.#held.refusal);
    else if (this.#phase === "authentication") this.#fatal(refusal);
    else this.#shut();
  }
  /** Ends the session if the certificate that it rests on is good no more. */
  sweep(trust: ClientTrust): void {
    const certificate = this.#certificate;
    const problem = certificate === undefined ? undefined : trust.standing(certificate);
    if (problem === undefined) return;
    const what = problem === "REVOKED" ? "certificate revoked" : "certificate not trusted any more";
    this.terminate(
      fatal("invalidAuthorizationSpecification", what, {
        detail: `${problem}: certificate ${certificate!.serial} of user "${certificate!.role}".`,
      }),
    );
  }

  get remoteAddress(): string {
    return this.connection.remoteAddress;
  }
  get session(): Session | undefined {
    return this.#session;
  }
  get isOpen(): boolean {
    return this.#phase !== "closed";
  }
  /** The client waits for an answer of the home node. */
  get awaitsHome(): boolean {
    return this.#relayed?.isAwaited === true;
  }
  get isRelaying(): boolean {
    return this.#relayed?.isRelaying === true;
  }

  #received(chunk: Buffer): void {
    if (this.#phase === "closed") return;
    // The first decrypted bytes may come before the promise of the handshake is heard of.
    if (this.#phase === "tls" && this.connection.encrypted) this.#phase = "startup";
    this.#input.push(chunk);
    if (this.#copy?.isWaiting === true) this.#copy.wake();
    else if (!this.#busy && !this.#pumping) this.#pump();
    this.#input.keep();
    this.#limitInput();
  }

  #limitInput(): void {
    const { inputBytesMax } = this.server.limits;
    if (!this.#paused && (this.#busy || this.#isGated) && this.#input.waitingBytes > inputBytesMax) {
      this.#paused = true;
      this.connection.pause();
    } else if (this.#paused && this.#input.waitingBytes <= inputBytesMax) {
      this.#paused = false;
      this.connection.resume();
    }
  }

  /** A client of another node waits with a message that runs something until both hold the same security bundle. */
  #nextMessage(): boolean {
    const gate = this.#guestGate;
    const input = this.#input;
    if (gate === undefined) return input.next();
    if (this.#isGated) {
      this.#isGated = !gate.isOpen();
      return !this.#isGated;
    }
    if (!input.next()) return false;
    if (!runsSomething.has(input.tag) || gate.isOpen()) return true;
    this.#isGated = true;
    input.hold();
    return false;
  }

  /** Handles messages until one has to wait, none is whole, or the slice is over. */
  #pump(): void {
    assert(!this.#pumping && !this.#busy, "one loop per connection");
    this.#pumping = true;
    let handled = 0;
    let sliceEnd = 0;
    try {
      while (!this.#busy && this.#phase !== "closed" && this.#nextMessage()) {
        this.#handle();
        if (this.#terminating !== undefined && !this.#busy) throw this.#terminating;
        if (this.output.isSlow && !this.#busy) this.#waitForReader();
        handled++;
        if ((handled & 15) === 0 && !this.#busy && this.#phase === "messages") {
          const now = this.server.clock.monotonic();
          if (sliceEnd === 0) sliceEnd = now + this.server.limits.sliceMs;
          else if (now >= sliceEnd) this.#giveWay();
        }
      }
    } catch (error) {
      this.#pumping = false;
      this.#fatal(asDbError(error, this.server.internalError));
      return;
    }
    this.#pumping = false;
    // A running call may add to what is there; only what a client waits for goes out before it ends.
    if (this.#flushDue || !this.#busy) this.#flushSoon();
  }

  /** With the answers of all connections that were heard in this round of the loop. */
  #flushSoon(): void {
    this.#flushDue = false;
    if (this.#flushQueued || this.output.isEmpty) return;
    const { clock } = this.server;
    if (clock.soon === undefined) {
      this.#flush();
      return;
    }
    this.#flushQueued = true;
    clock.soon(this.#flushQueue);
  }

  /** The client sends on without reading: no more is answered, and read, until it does. */
  #waitForReader(): void {
    this.#busy = true;
    void this.output.drained().then(() => this.#resume());
  }

  #giveWay(): void {
    this.#busy = true;
    void this.server.clock.yield().then(() => this.#resume());
  }

  #resume(): void {
    this.#busy = false;
    if (this.#phase === "closed") {
      this.#release();
      return;
    }
    if (this.#terminating !== undefined) {
      this.#fatal(this.#terminating);
      return;
    }
    this.#pump();
    if (this.#paused) this.#limitInput();
  }

  #flush(): void {
    this.#flushDue = false;
    this.output.flush();
  }

  // ---------------------------------------------------------------------------------------------- start-up

  #handle(): void {
    const input = this.#input;
    const body = readerScratch.over(input.buffer, input.start, input.end);
    switch (this.#phase) {
      case "messages":
        if (input.oversizeBytes > 0) this.#refuseOversize(input.tag, input.oversizeBytes);
        else this.#message(input.tag, body);
        return;
      case "startup":
        this.#openInTurn(readOpening(body));
        return;
      case "authentication":
        this.#authenticate(body);
        return;
      case "tls":
        throw fatalViolation("received unencrypted data after SSL request");
      case "closed":
        return;
    }
  }

  /** What costs something is done when this log-in has its turn. */
  #openInTurn(opening: Opening): void {
    if (this.#inTurn || (opening.kind !== "ssl" && opening.kind !== "start")) {
      this.#open(opening);
      return;
    }
    this.#inTurn = true;
    const { turns, failures } = this.server;
    const address = hostOf(this.remoteAddress);
    const isWelcome = opening.kind === "start" && failures.isWelcome(opening.user, address);
    let isNow = true;
    this.#busy = true;
    const begin = (): void => {
      this.#busy = false;
      if (isNow) return;
      this.#guarded(() => this.#open(opening));
      if (this.isOpen && !this.#busy) this.#resume();
    };
    this.#leaveTurn = turns.enter(address, begin, isWelcome);
    isNow = false;
    if (!this.#busy) this.#open(opening);
  }

  #open(opening: Opening): void {
    const { server } = this;
    switch (opening.kind) {
      case "cancel": {
        const told = server.cancel(opening.pid, opening.key);
        if (told === undefined) this.#shut();
        else {
          // The client waits for the end of this connection; whether anything was cancelled it is never told.
          this.#busy = true;
          const end = (): void => this.#shut();
          told.then(end, end);
        }
        return;
      }
      case "gssEncryption":
        if (this.#gssAsked) throw fatalViolation("GSSAPI encryption was refused already");
        this.#gssAsked = true;
        this.output.copy(Buffer.from("N"));
        return;
      case "ssl":
        if (this.#sslAsked) throw fatalViolation("SSL was negotiated already");
        this.#sslAsked = true;
        if (server.certificateHash === undefined) {
          this.output.copy(Buffer.from("N"));
          return;
        }
        if (this.#input.bufferedBytes > 0) {
          throw fatalViolation(
            "received unencrypted data after SSL request",
            "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
          );
        }
        this.#phase = "tls";
        this.output.copy(Buffer.from("S"));
        this.#flush();
        this.connection.startTls().then(
          () => {
            if (this.#phase === "tls") this.#phase = "startup";
          },
          () => this.#shut(), // the peer does not speak TLS: nothing it could read
        );
        return;
      case "start":
        this.#start(opening);
        return;
    }
  }

  #start(opening: Extract<Opening, { kind: "start" }>): void {
    const { server, connection, output } = this;
    if (opening.minor > 0 || opening.protocolOptions.length > 0) {
      output.begin(backendTag.negotiateProtocolVersion);
      output.int32(0);
      output.int32(opening.protocolOptions.length);
      for (const option of opening.protocolOptions) output.cstring(option);
      output.end();
    }
    const refusal = server.refuse();
    if (refusal !== undefined) throw refusal;
    if (server.requireTls && !connection.encrypted) {
      throw fatal("invalidAuthorizationSpecification", "the server accepts encrypted connections only", {
        hint: "Connect with sslmode=require.",
      });
    }
    this.#opening = opening;
    this.#phase = "authentication";
    this.#input.phase = "authentication";
    try {
      this.#login = new Login(
        {
          host: server.host,
          random: server.random,
          mockSecret: server.mockSecret,
          certificateHash: server.certificateHash?.(connection.tls),
          policy: server.policy(),
          trust: server.trust(),
        },
        connection,
        opening.user,
        opening.database,
      );
      if (this.#login.begin(output)) this.#admitted(this.#login);
    } catch (error) {
      this.#refuseLogin(error);
    }
  }

  #authenticate(body: BodyReader): void {
    const { server } = this;
    const login = this.#login!;
    const bytes = body.rest();
    const wait = login.isProving
      ? server.failures.before(login.user, login.address, server.policy().failureBackoffMs)
      : 0;
    if (wait === 0) {
      this.#prove(login, bytes);
      return;
    }
    const proof = Buffer.from(bytes);
    this.#waitedMs = wait;
    this.#hold(wait, undefined, () => {
      this.#busy = false;
      this.#guarded(() => this.#prove(login, proof));
      if (this.isOpen && !this.#busy) this.#resume();
    });
  }

  #prove(login: Login, bytes: Buffer): void {
    try {
      if (login.step(bytes, this.output)) this.#admitted(login);
    } catch (error) {
      this.#refuseLogin(error);
    }
  }

  /** The client hears no more for so long; nor does the server listen. */
  #hold(delayMs: number, refusal: LoginRefused | undefined, then: () => void): void {
    this.#busy = true;
    this.#leaveTurn?.();
    const timer = this.server.clock.after(delayMs, () => {
      this.#held = undefined;
      then();
    });
    this.#held = { refusal, timer };
  }

  #noteRefusal(refusal: LoginRefused): void {
    const { reason, method } = refusal;
    this.server.authenticationFailed(this.#opening?.user ?? "", this.remoteAddress, refusal, reason, method);
  }

  #refuseLogin(error: unknown): void {
    // A session may be refused too, to who has logged in: it has had its answer.
    if (!(error instanceof LoginRefused) || this.#phase !== "authentication") throw error;
    const { server } = this;
    const user = this.#opening!.user;
    this.#noteRefusal(error);
    const whole = server.failures.failed(user, hostOf(this.remoteAddress), server.policy().failureBackoffMs);
    // Together as long as where the proof was looked at at once: who has logged in from here before is nobody's business.
    const delay = whole - this.#waitedMs;
    const answer = (): void => this.#fatal(error);
    // What was told of it is durable before the client is answered (AUD-9).
    const recorded = server.host.recorded?.();
    const answerLater = recorded === undefined ? answer : () => void recorded.then(answer, answer);
    if (delay > 0) this.#hold(delay, error, answerLater);
    else if (recorded === undefined) throw error;
    else {
      this.#busy = true;
      answerLater();
    }
  }

  #admitted(login: Login): void {
    const { server, output, connection } = this;
    const opening = this.#opening!;
    // It may have been revoked since it was shown, and who has not logged in is not swept.
    login.checkAgain(server.trust());
    this.#login = undefined;
    this.#opening = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#leaveTurn?.();
    server.failures.succeeded(login.user, login.address);
    server.authenticated(this, login.method);
    output.begin(backendTag.authentication);
    output.int32(authenticationCode.ok);
    output.end();
    this.#phase = "messages";
    this.#input.phase = "messages";
    const { certificate } = login;
    const { tls } = connection;
    const head: RelayHead = {
      user: opening.user,
      database: opening.database,
      settings: [...opening.settings],
      remoteAddress: this.remoteAddress,
      encrypted: connection.encrypted,
      tls: tls && { version: tls.version, cipher: tls.cipher, bits: tls.bits },
      certificate,
      authenticatedAt: server.clock.now(),
    };
    this.#certificate = certificate?.isNeeded === true ? certificate : undefined;
    if (server.gate === undefined) this.#welcome(head);
    else this.#startRelaying(server.gate, head);
  }

  #startOf(head: RelayHead): SessionStart {
    const client: ClientChannel = {
      terminate: (reason) => this.terminate(reason),
      notification: (pid, name, payload) => this.#notify(pid, name, payload),
    };
    return { ...head, settings: new Map(head.settings), client };
  }

  /** Opens a session and greets the client with it. */
  #welcome(head: RelayHead): void {
    const { host } = this.server;
    const session = host.openSession(this.#startOf(head));
    this.#session = session;
    const answer = (): void => {
      this.#greet(session.reportedSettings(), { pid: session.pid, key: host.cancelKeyOf(session) });
      this.#ready();
    };
    const recorded = host.recorded?.();
    if (recorded === undefined) {
      answer();
      return;
    }
    this.#busy = true;
    recorded.then(
      () => {
        if (this.isOpen) this.#guarded(answer);
        this.#resume();
      },
      (error: unknown) => {
        this.#fatal(asDbError(error, this.server.internalError));
        this.#resume();
      },
    );
  }

  #greet(settings: Iterable<readonly [string, string]>, { pid, key }: CancelKey): void {
    const { output } = this;
    for (const [name, value] of settings) this.#sink.parameterStatus(name, value);
    output.begin(backendTag.backendKeyData);
    output.int32(pid);
    output.bytes(key);
    output.end();
  }

  // ---------------------------------------------------------------------------------------------- relaying

  /** A client of another node, which has logged it in. */
  welcomeGuest(head: RelayHead, theirs: BundleStamp): void {
    this.#isGuest = true;
    const { bundles, clock } = this.server;
    if (bundles !== undefined)
      this.#guestGate = new GuestGate(bundles, clock, head.via ?? "unknown", theirs, () => {
        if (this.#phase !== "messages" || this.#busy || this.#pumping) return;
        this.#pump();
        this.#limitInput();
      });
    this.#certificate = head.certificate?.isNeeded === true ? head.certificate : undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#phase = "messages";
    this.#input.phase = "messages";
    try {
      this.#welcome(head);
    } catch (error) {
      this.#fatal(asDbError(error, this.server.internalError));
      return;
    }
    this.#flush();
  }

  /** The node that relays holds another security bundle now. */
  heardBundle(theirs: BundleStamp): void {
    this.#guestGate?.heard(theirs);
  }

  /** The client has logged in, and its session is to run at the home node if that can be reached. */
  #startRelaying(gate: RelayGate, head: RelayHead): void {
    const relayed = new RelayedClient(
      {
        connection: this.connection,
        output: this.output,
        flush: () => this.#flush(),
        writeError: (severity, error) => this.writeError(severity, error),
        writeReady: (status) => this.#writeReady(status),
        wentHome: (greeting) => this.#wentHome(greeting),
        stayedHere: () => {
          this.#guarded(() => {
            if (this.#session === undefined) this.#serveHere();
          });
          if (this.isOpen) this.#resume();
        },
        refused: (message) => {
          if (this.#session !== undefined) {
            this.#resume();
            return;
          }
          this.output.copy(message);
          this.#shut();
        },
        takeOver: (rest, failedBlock) => this.#takeOver(rest, failedBlock),
        fail: (error) => this.#fatal(error),
        shut: () => this.#shut(),
      },
      gate,
      head,
    );
    this.#leavePlace = this.server.host.reserve?.(this.#startOf(head));
    this.#relayed = relayed;
    this.connection.onData((chunk) => this.#receivedAsRelay(chunk));
    if (!relayed.mayOpen) {
      this.#serveHere();
      return;
    }
    this.#busy = true;
    this.#flush();
    const recorded = this.server.host.recorded?.();
    if (recorded === undefined) relayed.open(undefined);
    else
      recorded.then(
        () => relayed.open(undefined),
        (error: unknown) => this.#fatal(asDbError(error, this.server.internalError)),
      );
  }

  #receivedAsRelay(chunk: Buffer): void {
    if (this.#phase === "closed") return;
    const relayed = this.#relayed!;
    if (relayed.takesInput) {
      this.#guarded(() => relayed.fromClient(chunk));
      return;
    }
    if (relayed.mayOpen && this.#mayLeaveSession(chunk)) {
      this.#busy = true;
      relayed.open(this.#session);
    }
    this.#received(chunk);
  }

  /** What comes needs nothing of the session but its settings: portals and the unnamed statement are begun anew. */
  #mayLeaveSession(chunk: Buffer): boolean {
    const session = this.#session;
    return (
      (chunk[0] === frontendTag.query || chunk[0] === frontendTag.parse) &&
      !this.#busy &&
      !this.#pumping &&
      !this.#skipToSync &&
      this.#input.isBetweenMessages &&
      session?.status === "I" &&
      session.carried?.() !== undefined
    );
  }

  /** A session of this node takes over from the home node, or serves the client from the start. */
  #serveHere(): void {
    const relayed = this.#relayed!;
    const { host } = this.server;
    this.#giveBackPlace();
    const session = host.openSession(this.#startOf(relayed.head));
    this.#session = session;
    this.#changedServer(relayed.takeDifferences(session.reportedSettings()), {
      pid: session.pid,
      key: host.cancelKeyOf(session),
    });
  }

  #wentHome(greeting: Greeting): void {
    this.#guarded(() => {
      const relayed = this.#relayed!;
      if (this.#session !== undefined) {
        this.#release();
        this.#leavePlace = this.server.host.reserve?.(this.#startOf(relayed.head));
      }
      this.#changedServer(relayed.takeDifferences(greeting.settings), greeting);
      this.#busy = false;
      const waiting = this.#input.takeAll();
      if (this.#paused) {
        this.#paused = false;
        this.connection.resume();
      }
      for (const piece of waiting) relayed.fromClient(piece);
    });
  }

  /** A client that is greeted is told all; one that was before, only what differs: there is no message for a new key. */
  #changedServer(settings: Settings, key: CancelKey): void {
    this.#keyNow = key;
    if (this.#keyTold === undefined) {
      this.#keyTold = key;
      this.#greet(settings, key);
      this.#writeReady("I");
    } else {
      for (const [name, value] of settings) this.#sink.parameterStatus(name, value);
      this.server.switched(this);
    }
    this.#flush();
  }

  #takeOver(rest: Buffer, failedBlock: boolean): void {
    const relayed = this.#relayed!;
    this.#input.push(rest);
    if (!failedBlock && relayed.mayOpen) {
      this.#busy = true;
      relayed.open(undefined);
    } else {
      this.#serveHere();
      const failed = failedBlock ? failBlock(this.#session!) : undefined;
      if (failed !== undefined) {
        this.#busy = true;
        failed.then(
          () => this.#resume(),
          (error) => {
            this.#busy = false;
            this.#fatal(asDbError(error, this.server.internalError));
          },
        );
      } else this.#pump();
    }
    this.#input.keep();
    this.#limitInput();
  }

  /** Whatever is thrown ends the connection. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#busy = false;
      this.#fatal(asDbError(error, this.server.internalError));
    }
  }

  #giveBackPlace(): void {
    this.#leavePlace?.();
    this.#leavePlace = undefined;
  }

  get keyTold(): CancelKey | undefined {
    return this.#keyTold;
  }
  /** CancelRequest with the key that the client was told. */
  cancelNow(): Promise<void> | undefined {
    if (this.#session !== undefined) {
      this.#session.cancel(new DbError("queryCanceled", "canceling statement due to user request"));
      return undefined;
    }
    const { gate } = this.server;
    if (gate === undefined || this.#keyNow === undefined || !this.isRelaying) return undefined;
    return gate.relay.cancel(this.#keyNow.pid, this.#keyNow.key);
  }

  // ---------------------------------------------------------------------------------------------- messages

  #message(tag: number, body: BodyReader): void {
    if (this.#skipToSync && tag !== frontendTag.sync && tag !== frontendTag.terminate) return;
    const session = this.#session!;
    let step: Step;
    let answer: unknown;
    try {
      if (this.#guestGate?.refusal !== undefined && runsSomething.has(tag)) throw this.#guestGate.refusal;
      switch (tag) {
        case frontendTag.bind: {
          step = Step.bind;
          answer = this.#bind(session, body);
          break;
        }
        case frontendTag.execute: {
          step = Step.execute;
          const portal = body.cstring();
          const maxRows = body.int32();
          body.done();
          answer = session.execute(portal, Math.max(maxRows, 0), this.#sink);
          break;
        }
        case frontendTag.sync:
          step = Step.sync;
          this.#skipToSync = false;
          body.done();
          answer = session.sync();
          break;
        case frontendTag.query: {
          step = Step.query;
          const text = body.cstring();
          body.done();
          answer = session.simpleQuery(text, this.#sink);
          break;
        }
        case frontendTag.parse: {
          step = Step.parse;
          const name = body.cstring();
          const text = body.cstring();
          const types: number[] = [];
          for (let count = body.uint16(); count > 0; count--) types.push(body.int32() >>> 0);
          body.done();
          answer = session.parse(name, text, types);
          break;
        }
        case frontendTag.describe: {
          step = Step.describe;
          const what = body.byte();
          const name = body.cstring();
          body.done();
          if (what === 80) {
            const { columns, formats } = session.describePortal(name);
            this.#describeRows(columns, formats);
            return;
          }
          if (what !== 83) throw violation(`invalid DESCRIBE message subtype ${what}`);
          answer = session.describeStatement(name);
          break;
        }
        case frontendTag.close: {
          step = Step.parse;
          const what = body.byte();
          const name = body.cstring();
          body.done();
          if (what === 83) session.closeStatement(name);
          else if (what === 80) session.closePortal(name);
          else throw violation(`invalid CLOSE message subtype ${what}`);
          this.output.bare(backendTag.closeComplete);
          return;
        }
        case frontendTag.flush:
          this.#flushDue = true;
          return;
        case frontendTag.functionCall:
          step = Step.query;
          throw notSupported("the function call protocol");
        case frontendTag.terminate:
          this.#shut();
          return;
        case frontendTag.copyData:
        case frontendTag.copyDone:
        case frontendTag.copyFail:
          return; // left over from a COPY that failed
        default:
          throw fatalViolation(`unexpected message type ${tag}`);
      }
    } catch (error) {
      this.#stepFailed(
        tag === frontendTag.query || tag === frontendTag.functionCall ? Step.query : stepOf(tag),
        error,
      );
      return;
    }
    if (answer instanceof Promise) this.#await(step, answer);
    else this.#finish(step, answer);
  }

  #bind(session: Session, body: BodyReader): MaybePromise<void> {
    const portal = body.cstring();
    const statement = body.cstring();
    const formats: number[] = [];
    for (let count = body.uint16(); count > 0; count--) formats.push(readFormat(body));
    const parameters: (Buffer | null)[] = [];
    const count = body.uint16();
    for (let index = 0; index < count; index++) {
      const length = body.int32();
      if (length < -1) throw violation("insufficient data left in message");
      parameters.push(length === -1 ? null : body.bytes(length));
    }
    if (formats.length > 1 && formats.length !== count) {
      throw violation(`bind message has ${formats.length} parameter formats but ${count} parameters`);
    }
    const resultFormats: number[] = [];
    for (let left = body.uint16(); left > 0; left--) resultFormats.push(readFormat(body));
    body.done();
    return session.bind(portal, statement, formats, parameters, resultFormats);
  }

  #await(step: Step, answer: Promise<unknown>): void {
    this.#busy = true;
    answer
      .then(
        (value) => {
          if (this.#phase !== "closed" && this.#terminating === undefined) this.#finish(step, value);
        },
        (error) => {
          if (this.#phase !== "closed" && this.#terminating === undefined) this.#stepFailed(step, error);
        },
      )
      .then(
        () => this.#resume(),
        (error) => {
          this.#busy = false;
          this.#fatal(asDbError(error, this.server.internalError));
        },
      );
  }

  #finish(step: Step, answer: unknown): void {
    switch (step) {
      case Step.bind:
        this.output.bare(backendTag.bindComplete);
        return;
      case Step.execute:
        return;
      case Step.parse:
        this.output.bare(backendTag.parseComplete);
        return;
      case Step.describe: {
        const { parameterTypes, columns } = answer as StatementDescription;
        const { output } = this;
        output.begin(backendTag.parameterDescription);
        output.int16(parameterTypes.length);
        for (const type of parameterTypes) output.int32(type);
        output.end();
        this.#describeRows(columns, []);
        return;
      }
      case Step.query:
      case Step.sync:
        this.#ready();
        return;
    }
  }

  #describeRows(columns: readonly OutputColumn[] | undefined, formats: readonly number[]): void {
    if (columns === undefined) this.output.bare(backendTag.noData);
    else this.server.formats.describe(this.output, columns, formats);
  }

  /** An error of one message: told to client and session; then silence until Sync, except after Query and Sync. */
  #stepFailed(step: Step, thrown: unknown): void {
    const error = asDbError(thrown, this.server.internalError);
    if (isFatal(error)) {
      this.#fatal(error);
      return;
    }
    this.#copy?.end();
    this.output.rewind();
    this.writeError("ERROR", error);
    this.#session!.failed(error);
    if (step === Step.query || step === Step.sync) this.#ready();
    else {
      this.#skipToSync = true;
      this.#flushDue = true;
    }
  }

  /** The body was too large to be kept and has been passed over. */
  #refuseOversize(tag: number, bytes: number): void {
    if (this.#skipToSync || tag === frontendTag.copyData) return;
    this.#stepFailed(
      tag === frontendTag.query || tag === frontendTag.functionCall ? Step.query : Step.parse,
      oversize(tag, bytes, this.server.limits.messageBytesMax),
    );
  }

  #ready(): void {
    const session = this.#session!;
    for (const [name, value] of session.changedSettings?.() ?? noChanges)
      this.#sink.parameterStatus(name, value);
    if (this.#notifications.length > 0 && session.status === "I") this.#sendNotifications();
    if (this.#isGuest) {
      this.#tellState(session);
      this.#tellBundle();
    }
    this.#writeReady(session.status);
    this.#flushDue = true;
  }

  /** What the node that relays would need to go on without this one. */
  #tellState(session: Session): void {
    const carried = session.carried?.();
    if (carried === this.#stateTold) return;
    this.#stateTold = carried;
    writeSessionState(this.output, carried);
  }

  #tellBundle(): void {
    const stamp = this.server.bundles?.stamp();
    if (stamp === undefined || stamp === this.#bundleTold) return;
    this.#bundleTold = stamp;
    writeBundle(this.output, stamp);
  }

  #writeReady(status: TransactionStatus): void {
    const { output } = this;
    output.reserve(6);
    const { buffer, at } = output;
    buffer[at] = backendTag.readyForQuery;
    buffer[at + 1] = buffer[at + 2] = buffer[at + 3] = 0;
    buffer[at + 4] = 5;
    buffer[at + 5] = status.charCodeAt(0);
    output.written(6);
  }

  #notify(pid: number, channel: string, payload: string): void {
    if (this.#phase !== "messages") return;
    this.#notifications.push([pid, channel, payload]);
    if (this.#notifications.length > notificationsMax) {
      this.terminate(
        new DbError("programLimitExceeded", "too many notifications are waiting for this session"),
      );
      return;
    }
    if (this.#busy || this.#pumping || this.#session!.status !== "I") return;
    this.#sendNotifications();
    this.#flush();
  }

  #sendNotifications(): void {
    for (const [pid, channel, payload] of this.#notifications.splice(0)) {
      this.#sink.notification(pid, channel, payload);
    }
  }

  /** What was written is for now, not for the end of the running call. */
  urge(): void {
    if (this.#pumping) this.#flushDue = true;
    else this.#flush();
  }

  // ---------------------------------------------------------------------------------------------- COPY

  copyIn(format: "text" | "binary", columns: number): AsyncIterable<Buffer> {
    assert(this.#copy === undefined, "one COPY at a time");
    const { output } = this;
    writeCopyResponse(output, backendTag.copyInResponse, format, columns);
    this.#flush();
    const copy = new CopyIn(this.#input, this.server.limits, () => {
      this.#copy = undefined;
    });
    copy.beforeWait = () => {
      if (this.#paused) this.#limitInput();
    };
    this.#copy = copy;
    return copy;
  }

  // ---------------------------------------------------------------------------------------------- the end

  writeError(severity: "ERROR" | "FATAL", error: DbError): void {
    const { output } = this;
    const { fields } = error;
    output.begin(backendTag.errorResponse);
    writeField(output, errorField.severity, severity);
    writeField(output, errorField.severityNotLocalized, severity);
    writeField(output, errorField.code, error.sqlstate);
    writeField(output, errorField.message, error.message);
    writeField(output, errorField.detail, fields.detail);
    writeField(output, errorField.hint, fields.hint);
    writeField(
      output,
      errorField.position,
      fields.position === undefined ? undefined : String(fields.position),
    );
    writeField(output, errorField.where, fields.where);
    writeField(output, errorField.schema, fields.schema);
    writeField(output, errorField.table, fields.table);
    writeField(output, errorField.column, fields.column);
    writeField(output, errorField.dataType, fields.dataType);
    writeField(output, errorField.constraint, fields.constraint);
    output.byte(0);
    output.end();
  }

  /** Ends the connection with an error, at once or when the running call has ended (which is cancelled). */
  terminate(reason: DbError): void {
    if (this.#phase === "closed" || this.#terminating !== undefined) return;
    // Of who has not logged in nothing is under way that could not be left.
    const isWaiting = this.#phase !== "messages" && !this.#pumping;
    if (isWaiting || (!this.#busy && !this.#pumping) || this.#relayed?.isOpening === true) {
      this.#fatal(reason);
      return;
    }
    this.#terminating = reason;
    this.#session?.cancel(reason);
  }

  /**
   * As `terminate`, because this node stops. For a client of another node only its home node goes: the connection is
   * closed without a word, and the other node tells it what there is to tell.
   */
  leave(reason: DbError): void {
    if (this.#isGuest) this.#isSilent = true;
    this.terminate(reason);
  }

  /** The one way a connection ends with an error. */
  #fatal(error: DbError): void {
    if (this.#phase === "closed") return;
    const spoke = this.#phase !== "tls" && !this.#isSilent && this.#relayed?.isInsideMessage !== true;
    this.output.rewind();
    if (spoke) {
      this.writeError("FATAL", error);
      this.#flush();
    }
    this.#shut();
  }

  /** Our side closes: what is in the output still goes out. */
  #shut(): void {
    if (this.#phase === "closed") return;
    this.#flush();
    this.connection.end();
    this.#gone();
  }

  /** The socket is closed, by either side. */
  #gone(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#held?.timer.cancel();
    this.#held = undefined;
    this.#leaveTurn?.();
    this.output.close();
    if (this.#copy !== undefined) this.#copy.abort(connectionLost());
    const isCalling = this.#busy && this.#relayed?.isOpening !== true;
    this.#relayed?.close();
    this.#guestGate?.close();
    this.#giveBackPlace();
    if (!isCalling) this.#release();
    else this.#session?.cancel(connectionLost());
    this.server.closed(this);
  }

  #release(): void {
    const session = this.#session;
    this.#session = undefined;
    try {
      session?.close();
    } catch (error) {
      asDbError(error, this.server.internalError);
    }
  }
}

function connectionLost(): DbError {
  return new DbError("connectionFailure", "connection to client lost");
}

function oversize(tag: number, bytes: number, bytesMax: number): DbError {
  const name = nameOfTag(tag);
  return new DbError("programLimitExceeded", `${name} message of ${bytes} bytes is too long`, {
    detail: `The largest message accepted has ${bytesMax} bytes.`,
    hint: name === "copyData" ? "Send the data in smaller pieces." : "Use COPY or parameters for bulk data.",
  });
}

function nameOfTag(tag: number): FrontendName {
  const names = Object.keys(frontendMessages) as FrontendName[];
  const name = names.find((one) => frontendTag[one] === tag);
  assert(name !== undefined, `tag ${tag} is in the table`);
  return name;
}

/** Errors of Query and FunctionCall are followed by ReadyForQuery, those of Sync too; all others skip to Sync. */
function stepOf(tag: number): Step {
  return tag === frontendTag.sync ? Step.sync : Step.parse;
}

function readFormat(body: BodyReader): number {
  const format = body.int16();
  if (format !== 0 && format !== 1) {
    throw new DbError("invalidParameterValue", `unsupported format code: ${format}`);
  }
  return format;
}

function writeField(output: Output, letter: string, value: string | undefined): void {
  if (value === undefined) return;
  output.byte(letter.charCodeAt(0));
  output.cstring(value);
}

function writeCopyResponse(output: Output, tag: number, format: "text" | "binary", columns: number): void {
  const code = format === "binary" ? 1 : 0;
  output.begin(tag);
  output.byte(code);
  output.int16(columns);
  for (let column = 0; column < columns; column++) output.int16(code);
  output.end();
}

/** What results are written through: one per connection. */
class Sink implements ResultSink {
  constructor(
    private readonly owner: PgConnection,
    private readonly output: Output,
    private readonly formats: RowFormats,
  ) {}

  rowDescription(columns: readonly OutputColumn[]): void {
    this.formats.describe(this.output, columns, []);
  }
  rows(batch: Batch, columns: readonly OutputColumn[], formats: readonly number[]): boolean {
    const settings = this.owner.session?.ioSettings ?? defaultSettings;
    this.formats.encoderFor(columns, formats).encode(this.output, batch, settings);
    return !this.output.isSlow;
  }
  drained(): Promise<void> {
    return this.output.drained();
  }
  complete(tag: string): void {
    const { output } = this;
    output.begin(backendTag.commandComplete);
    output.cstring(tag);
    output.end();
  }
  emptyQuery(): void {
    this.output.bare(backendTag.emptyQueryResponse);
  }
  portalSuspended(): void {
    this.output.bare(backendTag.portalSuspended);
  }
  notice(notice: Notice): void {
    const { output } = this;
    output.begin(backendTag.noticeResponse);
    writeField(output, errorField.severity, notice.severity);
    writeField(output, errorField.severityNotLocalized, notice.severity);
    writeField(output, errorField.code, notice.sqlstate);
    writeField(output, errorField.message, notice.message);
    writeField(output, errorField.detail, notice.detail);
    writeField(output, errorField.hint, notice.hint);
    writeField(
      output,
      errorField.position,
      notice.position === undefined ? undefined : String(notice.position),
    );
    output.byte(0);
    output.end();
    this.owner.urge();
  }
  parameterStatus(name: string, value: string): void {
    const { output } = this;
    output.begin(backendTag.parameterStatus);
    output.cstring(name);
    output.cstring(value);
    output.end();
  }
  notification(pid: number, channel: string, payload: string): void {
    const { output } = this;
    output.begin(backendTag.notificationResponse);
    output.int32(pid);
    output.cstring(channel);
    output.cstring(payload);
    output.end();
  }
  copyIn(format: "text" | "binary", columns: number): AsyncIterable<Buffer> {
    return this.owner.copyIn(format, columns);
  }
  copyOutBegin(format: "text" | "binary", columns: number): void {
    writeCopyResponse(this.output, backendTag.copyOutResponse, format, columns);
  }
  copyOutData(bytes: Uint8Array): boolean {
    const { output } = this;
    output.begin(backendTag.copyData);
    output.bytes(bytes);
    output.end();
    return !output.isSlow;
  }
  copyOutDone(): void {
    this.output.bare(backendTag.copyDone);
  }
}

/** Payloads handed on in one piece, so that a client sending a line per message does not cost a promise a line. */
const copyPieceBytes = 65_536;
const noPiece = Buffer.alloc(0);
/** Up to here a loop is faster than the call that copies. */
const shortMessageBytes = 48;

/**
 * COPY FROM STDIN: the client's data as the session asks for it. Reading a piece takes all whole CopyData messages that
 * have arrived, up to 64 KiB; each piece is memory of its own.
 */
class CopyIn implements AsyncIterable<Buffer>, AsyncIterator<Buffer> {
  #wake: (() => void) | undefined;
  #ended = false;
  #aborted: DbError | undefined;
  /** The piece being filled: rows come in messages of their own, so bytes are copied once and no view is made. */
  #piece: Buffer = noPiece;
  #pieceBytes = 0;
  beforeWait: () => void = () => {};

  constructor(
    private readonly input: Input,
    private readonly limits: WireLimits,
    private readonly over: () => void,
  ) {}

  [Symbol.asyncIterator](): this {
    return this;
  }
  get isWaiting(): boolean {
    return this.#wake !== undefined;
  }
  wake(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
  abort(error: DbError): void {
    this.#aborted = error;
    this.end();
  }
  end(): void {
    if (!this.#ended) this.over();
    this.#ended = true;
    this.wake();
  }

  async next(): Promise<IteratorResult<Buffer>> {
    for (;;) {
      if (this.#aborted !== undefined) throw this.#aborted;
      const piece = this.#gather();
      if (piece !== undefined) return { done: false, value: piece };
      if (this.#ended) return { done: true, value: undefined };
      this.beforeWait();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The consumer stops early: what the client still sends is passed over by the message loop. */
  async return(): Promise<IteratorResult<Buffer>> {
    this.end();
    return { done: true, value: undefined };
  }

  #gather(): Buffer | undefined {
    const { input } = this;
    while (!this.#ended && this.#pieceBytes < copyPieceBytes && input.next()) {
      switch (input.tag) {
        case frontendTag.copyData:
          if (input.oversizeBytes > 0) {
            this.end();
            throw oversize(input.tag, input.oversizeBytes, this.limits.messageBytesMax);
          }
          this.#append(input.buffer, input.start, input.end);
          break;
        case frontendTag.copyDone:
          this.end();
          break;
        case frontendTag.copyFail: {
          this.end();
          const reason = decodeUtf8(input.buffer, input.start, Math.max(input.start, input.end - 1));
          throw new DbError("queryCanceled", `COPY from stdin failed: ${reason}`);
        }
        case frontendTag.flush:
        case frontendTag.sync:
          break; // clients that do not know whether it is a COPY send these too
        default:
          this.end();
          throw violation(
            `unexpected message type 0x${input.tag.toString(16).toUpperCase().padStart(2, "0")} during COPY from stdin`,
          );
      }
    }
    if (this.#pieceBytes === 0) return undefined;
    const piece = this.#piece.subarray(0, this.#pieceBytes);
    this.#piece = noPiece;
    this.#pieceBytes = 0;
    return piece;
  }

  #append(from: Buffer, start: number, end: number): void {
    const bytes = end - start;
    let at = this.#pieceBytes;
    if (at + bytes > this.#piece.length) {
      // The first message alone tells nothing of how many follow: what is still unread does.
      const room = at === 0 ? Math.min(copyPieceBytes, bytes + this.input.bufferedBytes) : 2 * at;
      const larger = Buffer.allocUnsafeSlow(Math.max(at + bytes, room));
      this.#piece.copy(larger, 0, 0, at);
      this.#piece = larger;
    }
    this.#pieceBytes = at + bytes;
    const into = this.#piece;
    if (bytes > shortMessageBytes) from.copy(into, at, start, end);
    else for (let byte = start; byte < end; byte++) into[at++] = from[byte]!;
  }
}
