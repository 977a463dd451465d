/**
 * Clients of one node whose sessions run at another: the home node, which holds the data. The node that a client is
 * connected to logs it in and ends its TLS; from then on it hands the bytes on, both ways, for as long as the home node is
 * there, and lets a session of its own answer while it is not.
 *
 *     local <-> opening -> relaying -> adrift -> (opening | local)
 *
 * - `opening`: a stream is asked for. The home node opens the session, as the user that has logged in here, and greets.
 *   When it cannot be reached in time, the client is served here (`local`). What it says to refuse the client (53300, 28000)
 *   is passed on to one that is logging in.
 * - `relaying`: bytes pass, and are followed message by message (`relay-exchange.ts`).
 * - `local`: a session of this node. Before a message that needs nothing of the session but its settings the client goes
 *   home again if it can; the settings go with it.
 * - `adrift`: the home node is lost. Every request under way is answered with one error, so that the client's count of
 *   answers stays right:
 *     08007 when it may have been committed, else 57P03, which is safe to repeat.
 *   Nothing more is said to an idle client: its next message is served by whoever is there then, with the settings that it
 *   had. A client inside a transaction block is told that the block has failed: by the error of the request under way, or
 *   else in place of its next one, so that a COMMIT cannot seem to have worked; until it ends the block, it stands as
 *   after any error (status E). A COPY fails like any other request. What bound a statement without a name is told 57P03
 *   instead of "does not exist".
 *   A session that held more than settings (named statements, advisory locks, another role) has no successor: the
 *   client is told of it with FATAL 57P01 and closed, at once, so that a pool connects anew. So is a client whose requests
 *   cannot be counted, and without a word one that has part of a large message.
 *
 * The home node ends a session on purpose by a FATAL error, which passes, and the client is closed behind it. A node that
 * stops closes its streams without one: for clients elsewhere it is gone, and they stay connected.
 *
 * The cancel key is the one of the session that greeted the client first; there is no message to give it another. When
 * the session has changed, the node it is connected to knows both and translates.
 *
 * Invariants: the client gets whole messages and exactly one ReadyForQuery for each request; only what the streams and
 * `Output` allow is held, and at most `pendingMax` requests are under way; at most one of stream and local session answers.
 */
import { assert, DbError } from "../base/errors.js";
import type { BundleStamp } from "../cluster/contract.js";
import type { Clock, Connection, Timer } from "../platform/index.js";
import type { PeerStream } from "../rpc/contract.js";
import type {
  ClientCertificate,
  MaybePromise,
  ResultSink,
  Session,
  TlsFacts,
  TransactionStatus,
} from "../session/contract.js";
import { bundleBytesMax, bundleMessage, type HeldBundle, readBundle } from "./bundle-gate.js";
import { fatal, fatalViolation, violation } from "./errors.js";
import { BodyReader } from "./input.js";
import { backendTag, frontendTag, relayTag } from "./messages.js";
import type { Output } from "./output.js";
import { Exchange, Fate, MessageCutter, type MessageVisitor, type Settings } from "./relay-exchange.js";

/** What a relay needs of a stream between nodes; bytes that come before `onData` is called are kept by the stream. */
export type RelayStream = Pick<
  PeerStream,
  "onData" | "onClose" | "write" | "drained" | "pause" | "resume" | "end" | "destroy"
>;

/** Whose session it is: what a client gave at start-up, and where it comes from. Plain data. */
export interface RelayHead {
  readonly user: string;
  readonly database: string;
  readonly settings: Settings;
  readonly remoteAddress: string;
  readonly encrypted: boolean;
  readonly tls?: TlsFacts | undefined;
  readonly certificate?: ClientCertificate | undefined;
  /** Milliseconds since 1970. */
  readonly authenticatedAt?: number | undefined;
  /** Said by who takes the stream: the node at its other end. */
  readonly via?: string | undefined;
}

/**
 * A head as another node has sent it. That node is a member, and its word for who has logged in there is taken; what is not of
 * this shape is not.
 * @throws DbError 08P01
 */
export function readHead(value: unknown): RelayHead {
  const head = (typeof value === "object" && value !== null ? value : {}) as Partial<Record<string, unknown>>;
  const certificate = head["certificate"] as Partial<Record<string, unknown>> | undefined;
  const tls = head["tls"] as Partial<Record<string, unknown>> | undefined;
  const areTexts = (...values: readonly unknown[]): boolean => values.every((one) => typeof one === "string");
  const isSound =
    areTexts(head["user"], head["database"], head["remoteAddress"]) &&
    typeof head["encrypted"] === "boolean" &&
    Array.isArray(head["settings"]) &&
    head["settings"].every((pair) => Array.isArray(pair) && pair.length === 2 && areTexts(...pair)) &&
    (head["authenticatedAt"] === undefined || Number.isFinite(head["authenticatedAt"])) &&
    (tls === undefined || (areTexts(tls?.["version"], tls?.["cipher"]) && Number.isFinite(tls["bits"]))) &&
    (certificate === undefined ||
      (areTexts(
        ...["role", "issuer", "serial", "subjectName", "issuerName"].map((key) => certificate?.[key]),
      ) &&
        /^[0-9a-f]{1,64}$/.test(String(certificate["serial"])) &&
        typeof certificate["isNeeded"] === "boolean"));
  if (!isSound) throw violation("the head of a session is not understood");
  return value as RelayHead;
}

/** The way to the home node. */
export interface Relay {
  /** False: it is known to be away, and nobody need try. */
  available(): boolean;
  /** A stream whose other end was given to `PgWire.acceptRelayed`. Rejects when it cannot be had. */
  open(head: RelayHead): Promise<RelayStream>;
  /** UUID of the home node. */
  home(): string;
  /** `PgWire.cancelRelayed` at the home node. Settles when it was told, or cannot be; bounded in time. */
  cancel(pid: number, key: Uint8Array): Promise<void>;
}

/** What the clients of one listener share. */
export interface RelayGate {
  readonly relay: Relay;
  readonly clock: Clock;
  readonly bundles: HeldBundle | undefined;
  /** `clock.monotonic`: nobody tries before. */
  retryAt: number;
}

/** What the home node said of the session that it opened. */
export interface Greeting {
  readonly settings: Settings;
  readonly pid: number;
  readonly key: Uint8Array;
}

/** What a relayed client asks of its connection. */
export interface RelayOwner {
  readonly connection: Connection;
  readonly output: Output;
  flush(): void;
  writeError(severity: "ERROR" | "FATAL", error: DbError): void;
  writeReady(status: TransactionStatus): void;
  /** The home node answers from now on; what was received meanwhile is to be handed over (`fromClient`). */
  wentHome(greeting: Greeting): void;
  stayedHere(): void;
  /** The home node does not want this client: `message` says why, as it is. */
  refused(message: Buffer): void;
  /**
   * Somebody must answer the client from `rest` on. `failedBlock`: the client is inside a transaction block that has
   * failed.
   */
  takeOver(rest: Buffer, failedBlock: boolean): void;
  fail(error: DbError): void;
  shut(): void;
}

/** A client does not wait longer than this for a stream to the home node, and for its greeting. */
const openMsMax = 1_000;
const greetingMsMax = 5_000;
/** After a failure nobody tries for this long. */
const retryMs = 500;
/** A home node that was reached and refused this client is not asked again by it for this long. */
const refusedRetryMs = 5_000;
/** More requests sent ahead than this wait. */
const pendingMax = 10_000;
const greetingBytesMax = 65_536;

export function homeUnreachable(detail?: string): DbError {
  return new DbError("cannotConnectNow", "the node that holds the data is not reachable", { detail });
}
function homeLost(mayHaveCommitted: boolean): DbError {
  if (mayHaveCommitted)
    return new DbError(
      "transactionResolutionUnknown",
      "the node that holds the data was lost during this request",
      { detail: "It is not known whether the transaction was committed." },
    );
  return homeUnreachable("It was lost during this request; nothing of it is committed.");
}
function blockLost(): DbError {
  return homeUnreachable("It was lost with the transaction in progress; nothing of it is committed.");
}
function sessionLost(): DbError {
  return fatal("adminShutdown", "terminating connection because the node that holds the data was lost", {
    detail: "The session held more than settings, such as prepared statements; they are lost with it.",
  });
}

type Phase = "local" | "opening" | "relaying" | "adrift" | "closed";

export class RelayedClient {
  #phase: Phase = "local";
  #stream: RelayStream | undefined;
  #exchange: Exchange;
  #timer: Timer | undefined;
  #retryAt = 0;
  #head: RelayHead;
  /** Values of the settings that the client was told. */
  #told = new Map<string, string>();
  #greeting: GreetingReader | undefined;

  /** What the home node was told of this node's security bundle. */
  #bundleTold: BundleStamp | undefined;
  #unwatchBundle: (() => void) | undefined;

  // Flow: who waits for whom.
  #streamIsSlow = false;
  #clientPaused = false;
  #streamPaused = false;

  // Adrift.
  /** The client stands inside a block that is lost. */
  #inBlock = false;
  /** It has not been told; its next request is answered with this error. */
  #owed: DbError | undefined;
  /** An error was told; silence until Sync. */
  #skipToSync = false;

  constructor(
    private readonly owner: RelayOwner,
    private readonly gate: RelayGate,
    head: RelayHead,
  ) {
    this.#head = head;
    this.#exchange = new Exchange(this.#told);
  }

  get head(): RelayHead {
    return this.#head;
  }
  get isOpening(): boolean {
    return this.#phase === "opening";
  }
  get isRelaying(): boolean {
    return this.#phase === "relaying";
  }
  /** What the client sends is for `fromClient`. */
  get takesInput(): boolean {
    return this.#phase === "relaying" || this.#phase === "adrift";
  }
  /** The client waits for the home node. */
  get isAwaited(): boolean {
    return this.#phase === "relaying" && this.#exchange.isAwaited;
  }
  /** The client has a part of a message: nothing else can be said to it. */
  get isInsideMessage(): boolean {
    return this.#phase === "relaying" && this.#exchange.server.isInside;
  }
  get mayOpen(): boolean {
    const { relay, clock, retryAt } = this.gate;
    return relay.available() && clock.monotonic() >= Math.max(retryAt, this.#retryAt);
  }

  /** What differs for the client when a session takes over that reports these; all of it at the first. */
  takeDifferences(settings: Iterable<readonly [string, string]>): Settings {
    const differences = [...settings].filter(([name, value]) => this.#told.get(name) !== value);
    for (const [name, value] of differences) this.#told.set(name, value);
    return differences;
  }

  // ---------------------------------------------------------------------------------------------- opening

  /** `local`: the session that serves the client now and goes on if the home node cannot be reached. */
  open(local: Session | undefined): void {
    if (local !== undefined) {
      for (const [name, value] of local.reportedSettings()) this.#told.set(name, value);
      this.#carry(local.carried?.() ?? []);
    }
    this.#phase = "opening";
    this.#greeting = undefined;
    this.#timer = this.gate.clock.after(openMsMax, () => this.#notReached());
    const attempt = this.#timer;
    const isOver = (): boolean => this.#timer !== attempt;
    this.gate.relay.open(this.#head).then(
      (stream) => {
        if (isOver()) stream.destroy();
        else this.#greet(stream);
      },
      // Why is the relay's to log; here it is all the same.
      () => {
        if (!isOver()) this.#notReached();
      },
    );
  }

  #carry(settings: Settings): void {
    if (settings.length === 0) return;
    const names = new Set(settings.map(([name]) => name.toLowerCase()));
    const others = this.#head.settings.filter(([name]) => !names.has(name.toLowerCase()));
    this.#head = { ...this.#head, settings: [...others, ...settings] };
  }

  #greet(stream: RelayStream): void {
    this.#stream = stream;
    this.#exchange = new Exchange(this.#told);
    this.#greeting = new GreetingReader(this.#exchange.fromServer);
    this.#timer?.cancel();
    this.#timer = this.gate.clock.after(greetingMsMax, () => this.#notReached());
    stream.onClose(() => {
      if (this.#stream === stream) this.#streamClosed();
    });
    stream.onData((chunk) => {
      if (this.#stream === stream) this.#fromHome(asBuffer(chunk));
    });
  }

  #notReached(): void {
    this.gate.retryAt = this.gate.clock.monotonic() + retryMs;
    this.#endOpening();
    this.owner.stayedHere();
  }

  #endOpening(): void {
    this.#phase = "local";
    this.#greeting = undefined;
    this.#stopTimer();
    this.#leaveStream();
  }

  #greeted({ settings, pid, key, refusal }: GreetingReader): void {
    if (refusal !== undefined || pid === undefined || key === undefined) {
      this.#retryAt = this.gate.clock.monotonic() + refusedRetryMs;
      this.#endOpening();
      if (refusal === undefined) this.owner.stayedHere();
      else this.owner.refused(refusal);
      return;
    }
    this.#stopTimer();
    this.#greeting = undefined;
    this.#phase = "relaying";
    this.#bundleTold = undefined;
    this.#unwatchBundle = this.gate.bundles?.watch(() => {
      this.#tellBundle();
      if (!this.#checkBundle()) this.#streamClosed();
    });
    this.#tellBundle();
    this.owner.wentHome({ settings, pid, key });
  }

  // ---------------------------------------------------------------------------------------------- relaying

  fromClient(chunk: Buffer): void {
    if (this.#phase === "adrift") {
      this.#whileAdrift(chunk);
      return;
    }
    const stream = this.#stream;
    if (this.#phase !== "relaying" || stream === undefined) return;
    this.#tellBundle();
    this.#exchange.client.feed(chunk, this.#exchange.fromClient, (bytes) => {
      if (!stream.write(bytes) && !this.#streamIsSlow) this.#awaitStream(stream);
    });
    this.#tellBundle();
    if (this.#exchange.isForged) {
      this.owner.fail(fatalViolation(`invalid frontend message type ${relayTag.bundle}`));
      return;
    }
    this.#steerClient();
  }

  /** Not into the middle of a message of the client; then when it is over. */
  #tellBundle(): void {
    const stream = this.#stream;
    const stamp = this.gate.bundles?.stamp();
    if (stamp === undefined || stamp === this.#bundleTold || this.#phase !== "relaying") return;
    if (stream === undefined || this.#exchange.client.isInside) return;
    this.#bundleTold = stamp;
    if (!stream.write(bundleMessage(stamp)) && !this.#streamIsSlow) this.#awaitStream(stream);
  }

  /** False: the home node holds another bundle under the same number, and is not believed any more. */
  #checkBundle(): boolean {
    const { relay, bundles } = this.gate;
    const theirs = this.#exchange.homeBundle;
    const own = bundles?.stamp();
    if (theirs === undefined || own === undefined) return true;
    if (theirs.version !== own.version || theirs.hash === own.hash) return true;
    bundles!.mismatch(relay.home(), theirs);
    return false;
  }

  #awaitStream(stream: RelayStream): void {
    this.#streamIsSlow = true;
    void stream.drained().then(() => {
      if (this.#stream !== stream) return;
      this.#streamIsSlow = false;
      this.#steerClient();
    });
  }

  #steerClient(): void {
    const mustWait = this.#streamIsSlow || this.#exchange.pending > pendingMax;
    if (mustWait === this.#clientPaused) return;
    this.#clientPaused = mustWait;
    if (mustWait) this.owner.connection.pause();
    else this.owner.connection.resume();
  }

  #fromHome(chunk: Buffer): void {
    const { output } = this.owner;
    const { server, fromServer } = this.#exchange;
    try {
      let rest = chunk;
      if (this.#greeting !== undefined) {
        const greeting = this.#greeting;
        rest = server.feed(chunk, greeting, () => {});
        if (!greeting.isDone) return;
        this.#greeted(greeting);
        if (this.#phase !== "relaying") return;
      }
      if (rest.length > 0) server.feed(rest, fromServer, (bytes) => writePieces(output, bytes));
      if (!this.#checkBundle()) {
        this.#streamClosed();
        return;
      }
    } catch (error) {
      // What no home node would send: it is as good as lost.
      if (!(error instanceof DbError)) throw error;
      this.#streamClosed();
      return;
    }
    this.owner.flush();
    const stream = this.#stream;
    if (output.isSlow && !this.#streamPaused && stream !== undefined) {
      this.#streamPaused = true;
      stream.pause();
      void output.drained().then(() => {
        if (this.#stream !== stream) return;
        this.#streamPaused = false;
        stream.resume();
      });
    }
    if (this.#clientPaused) this.#steerClient();
  }

  // ---------------------------------------------------------------------------------------------- the end of it

  #streamClosed(): void {
    if (this.#phase === "opening") {
      this.#notReached();
      return;
    }
    const exchange = this.#exchange;
    this.#leaveStream();
    if (exchange.wasEnded || exchange.hasLeft || exchange.server.isInside) {
      this.owner.shut();
      return;
    }
    const isUncountable = exchange.isConfused || exchange.client.isBroken;
    const { carried } = exchange;
    if (isUncountable || carried === undefined || exchange.hasNewStatements) {
      if (!isUncountable) this.#answerPending();
      this.owner.fail(sessionLost());
      return;
    }
    this.#carry(carried);
    this.#phase = "adrift";
    this.#inBlock = exchange.status !== "I";
    this.#skipToSync = exchange.isOpen;
    const isIdle = !exchange.isAwaited;
    this.#answerPending();
    // A large message, of which a part is lost with the home node, is answered when the rest of it has come.
    this.#owed = undefined;
    if (isIdle && this.#inBlock) this.#owed = blockLost();
    else if (exchange.isInsideRequest && !this.#skipToSync) this.#owed = homeLost(false);
    this.owner.flush();
  }

  #answerPending(): void {
    const exchange = this.#exchange;
    const requests = exchange.pendingRequests();
    requests.forEach(({ mayHaveCommitted, endsBlock }, index) => {
      this.owner.writeError("ERROR", homeLost(mayHaveCommitted));
      if (endsBlock) this.#inBlock = false;
      const isOpen = exchange.isOpen && index === requests.length - 1;
      if (!isOpen) this.#ready();
    });
  }

  #ready(): void {
    this.owner.writeReady(this.#inBlock ? "E" : "I");
  }

  /** What the client sends while nobody is behind it; the first message that a session can answer ends it. */
  #whileAdrift(chunk: Buffer): void {
    const { client } = this.#exchange;
    const rest = client.feed(chunk, this.#adriftVisitor, () => {});
    this.owner.flush();
    if (this.#phase !== "adrift") return;
    if (rest.length > 0) {
      this.#phase = "local";
      this.owner.takeOver(rest, this.#inBlock);
    }
  }

  readonly #adriftVisitor: MessageVisitor = {
    begin: (tag, bodyBytes) => {
      const isAnswered = this.#owed !== undefined || this.#skipToSync;
      const begins =
        tag === frontendTag.query || tag === frontendTag.parse || tag === frontendTag.functionCall;
      if (begins && !isAnswered) return false;
      return this.#exchange.fromClient.begin(tag, bodyBytes);
    },
    body: (bytes, start, end) => this.#exchange.fromClient.body(bytes, start, end),
    end: (tag) => {
      this.#adriftMessage(tag);
      return Fate.withhold;
    },
  };

  #adriftMessage(tag: number): void {
    if (this.#phase !== "adrift") return;
    const error = this.#owed ?? homeUnreachable();
    switch (tag) {
      case frontendTag.terminate:
        this.owner.shut();
        return;
      case frontendTag.sync:
        if (!this.#skipToSync && this.#owed !== undefined) this.owner.writeError("ERROR", error);
        this.#owed = undefined;
        this.#skipToSync = false;
        this.#ready();
        return;
      case frontendTag.query:
      case frontendTag.functionCall:
        if (this.#skipToSync) return;
        this.#owed = undefined;
        if (this.#exchange.lastTextEndsBlock) this.#inBlock = false;
        this.owner.writeError("ERROR", error);
        this.#ready();
        return;
      case frontendTag.parse:
      case frontendTag.bind:
      case frontendTag.execute:
      case frontendTag.describe:
      case frontendTag.close:
        if (this.#skipToSync) return;
        this.#owed = undefined;
        if (tag === frontendTag.parse && this.#exchange.lastTextEndsBlock) this.#inBlock = false;
        this.#skipToSync = true;
        this.owner.writeError("ERROR", error);
        return;
    }
  }

  #leaveStream(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#unwatchBundle?.();
    this.#unwatchBundle = undefined;
    this.#streamIsSlow = this.#streamPaused = false;
    if (this.#clientPaused) {
      this.#clientPaused = false;
      this.owner.connection.resume();
    }
    stream?.destroy();
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** The client is gone, or is closed by us. */
  close(): void {
    this.#phase = "closed";
    this.#greeting = undefined;
    this.#clientPaused = false;
    this.#stopTimer();
    this.#leaveStream();
  }
}

/** A full buffer at a time, so that they come from the pool. */
const pieceBytes = 65_536;
function writePieces(output: Output, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; at += pieceBytes) output.copy(bytes.subarray(at, at + pieceBytes));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Reads what the home node says before it serves the client: up to ReadyForQuery, or an error in its place. */
class GreetingReader implements MessageVisitor {
  readonly settings: (readonly [name: string, value: string])[] = [];
  pid: number | undefined;
  key: Uint8Array | undefined;
  /** The ErrorResponse, whole. */
  refusal: Buffer | undefined;
  isDone = false;
  #bytes = 0;
  #tag = 0;
  #body: Buffer[] = [];

  constructor(private readonly exchange: MessageVisitor) {}

  begin(tag: number, bodyBytes: number): boolean {
    this.#bytes += bodyBytes;
    if (this.#bytes > greetingBytesMax) throw violation("the greeting of a session is too long");
    this.#tag = tag;
    return this.exchange.begin(tag, bodyBytes);
  }
  body(bytes: Buffer, start: number, end: number): void {
    if (
      this.#tag === backendTag.readyForQuery ||
      this.#tag === relayTag.sessionState ||
      this.#tag === relayTag.bundle
    )
      this.exchange.body(bytes, start, end);
    this.#body.push(Buffer.from(bytes.subarray(start, end)));
  }
  end(tag: number): Fate {
    const bytes = Buffer.concat(this.#body.splice(0));
    const body = new BodyReader().over(bytes, 0, bytes.length);
    switch (tag) {
      case backendTag.parameterStatus: {
        const name = body.cstring();
        this.settings.push([name, body.cstring()]);
        break;
      }
      case backendTag.backendKeyData:
        this.pid = body.int32();
        this.key = body.rest();
        break;
      case backendTag.errorResponse: {
        const head = Buffer.alloc(5);
        head[0] = tag;
        head.writeInt32BE(bytes.length + 4, 1);
        this.refusal = Buffer.concat([head, bytes]);
        this.isDone = true;
        break;
      }
      case backendTag.readyForQuery:
        this.isDone = true;
        break;
    }
    return this.isDone ? Fate.last : Fate.withhold;
  }
}

/** Brings a new session into a transaction block that has failed. */
export function failBlock(session: Session): MaybePromise<void> {
  const begun = session.simpleQuery("BEGIN", silentSink);
  const fail = (): void => session.failed(blockLost());
  if (begun instanceof Promise) return begun.then(fail);
  fail();
}

const silentSink: ResultSink = {
  rowDescription: () => {},
  rows: () => true,
  drained: () => Promise.resolve(),
  complete: () => {},
  emptyQuery: () => {},
  portalSuspended: () => {},
  notice: () => {},
  parameterStatus: () => {},
  notification: () => {},
  copyIn: () => {
    assert(false, "BEGIN takes no data");
  },
  copyOutBegin: () => {},
  copyOutData: () => true,
  copyOutDone: () => {},
};

/** At the home node: the stream as the connection of a client that has logged in elsewhere. */
export class StreamConnection implements Connection {
  readonly remoteAddress: string;
  readonly encrypted: boolean;
  /** The other node tells of its security bundle, at once and wherever the client's messages stand. */
  onBundle: (theirs: BundleStamp) => void = () => {};
  readonly #cutter = new MessageCutter();

  constructor(
    private readonly stream: RelayStream,
    head: RelayHead,
  ) {
    this.remoteAddress = head.remoteAddress;
    this.encrypted = head.encrypted;
  }
  onData(handler: (chunk: Buffer) => void): void {
    this.stream.onData((chunk) => this.#cutter.feed(asBuffer(chunk), this.#visitor, handler));
  }
  readonly #visitor: MessageVisitor = {
    begin: (tag, bodyBytes) => {
      // What no node of this version sends: nobody who does is listened to any longer.
      if (tag !== relayTag.bundle || bodyBytes <= bundleBytesMax) return true;
      this.stream.destroy();
      return false;
    },
    body: (bytes, start, end) => {
      if (this.#cutter.tag !== relayTag.bundle) return;
      const theirs = readBundle(new BodyReader().over(bytes, start, end));
      if (theirs !== undefined) this.onBundle(theirs);
      else this.stream.destroy();
    },
    end: (tag) => (tag === relayTag.bundle ? Fate.withhold : Fate.pass),
  };
  onClose(handler: () => void): void {
    this.stream.onClose(handler);
  }
  write(bytes: Uint8Array): boolean {
    return this.stream.write(bytes);
  }
  drained(): Promise<void> {
    return this.stream.drained();
  }
  pause(): void {
    this.stream.pause();
  }
  resume(): void {
    this.stream.resume();
  }
  end(): void {
    this.stream.end();
  }
  destroy(): void {
    this.stream.destroy();
  }
  async startTls(): Promise<void> {
    assert(false, "the node that the client is connected to ends its TLS");
  }
}
