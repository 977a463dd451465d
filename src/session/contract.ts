/**
 * Between wire and session: what a connection asks, and the sink that results go to. The connection knows the
 * protocol's bytes, the session knows SQL; neither knows the other's part.
 *
 * Calls that may have to wait return a Promise, and plain results otherwise: an answer that needs no wait costs no
 * promise (D3). Errors are thrown (or rejected with) DbError; the connection writes ErrorResponse and skips to Sync.
 */

import type { DbError } from "../base/errors.js";
import type { Batch } from "../model/batch.js";
import type { IoSettings } from "../model/io-settings.js";
import type { TypeRef } from "../model/schema.js";
import type { LoginAttempt, LoginDecision } from "../security/index.js";
import type { OutputColumn } from "../sql/plan.js";

export type MaybePromise<T> = T | Promise<T>;

export interface Notice {
  readonly severity: "NOTICE" | "WARNING" | "INFO" | "LOG" | "DEBUG";
  readonly sqlstate: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  readonly position?: number | undefined;
}

/** Where a statement's results go. Bytes are buffered; `rows` answers false when the client is slow. */
export interface ResultSink {
  /** Simple protocol only: before the first row. */
  rowDescription(columns: readonly OutputColumn[]): void;
  /** Rows of the columns described (or bound); formats by column, 0 text, 1 binary. The batch is read before return. */
  rows(batch: Batch, columns: readonly OutputColumn[], formats: readonly number[]): boolean;
  drained(): Promise<void>;
  complete(tag: string): void;
  emptyQuery(): void;
  portalSuspended(): void;
  notice(notice: Notice): void;
  parameterStatus(name: string, value: string): void;
  notification(pid: number, channel: string, payload: string): void;
  /** COPY FROM STDIN: the client's data, chunk by chunk, undefined at CopyDone; throws on CopyFail. */
  copyIn(format: "text" | "binary", columns: number): AsyncIterable<Buffer>;
  copyOutBegin(format: "text" | "binary", columns: number): void;
  /** False when the client is slow. */
  copyOutData(bytes: Uint8Array): boolean;
  copyOutDone(): void;
}

export type TransactionStatus = "I" | "T" | "E";

export interface StatementDescription {
  readonly parameterTypes: readonly number[];
  /** undefined: the statement returns no rows (NoData). */
  readonly columns: readonly OutputColumn[] | undefined;
}

export interface SessionStart {
  readonly user: string;
  readonly database: string;
  /** Start-up parameters other than user, database and replication; `options` already split into them. */
  readonly settings: ReadonlyMap<string, string>;
  readonly remoteAddress: string;
  readonly encrypted: boolean;
  /** What it is encrypted with; undefined: nothing, or nobody knows. */
  readonly tls?: TlsFacts | undefined;
  /** That the client has shown and that was believed, whether or not it was asked for. */
  readonly certificate?: ClientCertificate | undefined;
  /** When it logged in, milliseconds since 1970; undefined: now. */
  readonly authenticatedAt?: number | undefined;
  /** The node that the client is connected to, where it is another one. */
  readonly via?: string | undefined;
  /** The connection, for what reaches a client outside a statement. Always given by the wire listener. */
  readonly client?: ClientChannel | undefined;
}

/** For pg_stat_ssl. Plain data. */
export interface TlsFacts {
  readonly version: string;
  readonly cipher: string;
  readonly bits: number;
}

/** A user's certificate that was checked. Plain data. */
export interface ClientCertificate {
  /** The role that its URI names. */
  readonly role: string;
  /** SHA-256 of the issuing CA's certificate, hexadecimal. */
  readonly issuer: string;
  /** Hexadecimal, lower case. */
  readonly serial: string;
  readonly subjectName: string;
  readonly issuerName: string;
  /** The log-in rests on it: when it is revoked, the session ends. */
  readonly isNeeded: boolean;
}

/** What a session may do to its connection at any time, idle or not. */
export interface ClientChannel {
  /** Ends the connection with this error (FATAL), at once when idle, else when the running call has ended. */
  terminate(reason: DbError): void;
  /** Sent now when the client is idle, else with the next ReadyForQuery. */
  notification(pid: number, channel: string, payload: string): void;
}

/** One client's session. Calls come one at a time, in the order of its messages. */
export interface Session {
  readonly pid: number;
  /** Values reported by ParameterStatus at start. */
  reportedSettings(): Iterable<readonly [name: string, value: string]>;
  /** Reported settings whose value has changed since the last call; asked before every ReadyForQuery, so keep it cheap. */
  changedSettings?(): readonly (readonly [name: string, value: string])[];
  /**
   * What a new session of the same user needs to stand where this one does between transactions: the settings that were
   * changed. Undefined: it holds more than settings (named statements, locks, another role). The same array while
   * nothing has changed. Absent: nobody knows.
   */
  carried?(): readonly (readonly [name: string, value: string])[] | undefined;
  /** Display settings for values sent as text; storage's own when absent. */
  readonly ioSettings?: IoSettings | undefined;
  readonly status: TransactionStatus;

  /** A Query message: all its statements, each ended by `complete`; stops at the first error. */
  simpleQuery(text: string, sink: ResultSink): MaybePromise<void>;
  parse(name: string, text: string, parameterTypes: readonly number[]): MaybePromise<void>;
  bind(
    portal: string,
    statement: string,
    parameterFormats: readonly number[],
    /** Views into the message: decoded before return. */
    parameters: readonly (Uint8Array | null)[],
    resultFormats: readonly number[],
  ): MaybePromise<void>;
  describeStatement(name: string): MaybePromise<StatementDescription>;
  describePortal(name: string): {
    readonly columns: readonly OutputColumn[] | undefined;
    readonly formats: readonly number[];
  };
  /** `maxRows` 0: all. Ends with `complete`, `emptyQuery` or `portalSuspended`. */
  execute(portal: string, maxRows: number, sink: ResultSink): MaybePromise<void>;
  closeStatement(name: string): void;
  closePortal(name: string): void;
  /** Sync: ends an implicit transaction (commits it, or rolls back after an error). */
  sync(): MaybePromise<void>;
  /** An error was reported to the client: the transaction is failed or gone. */
  failed(error: DbError): void;
  /** From another connection (CancelRequest) or a time-out. */
  cancel(reason: DbError): void;
  /** The connection is gone: roll back, release everything. */
  close(): void;
}

/** What the listener needs of the server around the sessions. */
export interface SessionHost {
  /** SCRAM verifier text of a role that may log in; undefined for unknown ones (the caller answers alike). */
  passwordOf(user: string): string | undefined;
  /** What the connection rules ask of him; absent: a password of everybody. */
  decideLogin?(attempt: LoginAttempt): LoginDecision;
  /** Throws DbError (unknown role or database, no login, too many connections). */
  openSession(start: SessionStart): Session;
  /**
   * A place among the connections for a client whose session another node runs; what is answered gives it back. Throws as
   * `openSession`. Absent: such clients are not counted.
   */
  reserve?(start: SessionStart): () => void;
  /** Secret key for BackendKeyData; `cancel` is constant-time in the key. */
  cancelKeyOf(session: Session): Uint8Array;
  /** Resolves once what was told of log-ins is recorded durably, so that they can be answered; undefined: it is already. */
  recorded?(): Promise<void> | undefined;
  /** False: no session here has that pid and key. */
  cancel(pid: number, key: Uint8Array): boolean;
}

export type { TypeRef };
