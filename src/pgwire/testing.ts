/**
 * For tests of the wire: a session host whose sessions answer from a script instead of a database, and a connection whose
 * peer is the test. No part of the server imports this file.
 */
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import { DbError } from "../base/errors.js";
import type { BundleStamp } from "../cluster/contract.js";
import { Batch } from "../model/batch.js";
import { oids } from "../model/type-table.js";
import type { Value } from "../model/value.js";
import type { Clock, Connection, Random, Timer, TlsState } from "../platform/index.js";
import type { LoginAttempt, LoginDecision } from "../security/index.js";
import { formatVerifier } from "../security/scram.js";
import type {
  MaybePromise,
  ResultSink,
  Session,
  SessionHost,
  SessionStart,
  StatementDescription,
  TransactionStatus,
} from "../session/contract.js";
import type { OutputColumn } from "../sql/plan.js";
import type { HeldBundle } from "./bundle-gate.js";
import { PgWire, type Relay, type RelayHead, type RelayStream, type WireLimits } from "./index.js";
import type { TypeOutputs } from "./rows.js";

export const column = (name: string, oid: number): OutputColumn => ({ name, type: { oid, typmod: -1 } });

/** What a scripted statement does: rows with a tag, an error, or anything a function does with the sink. */
export interface Scripted {
  readonly parameters?: readonly number[];
  readonly columns?: readonly OutputColumn[];
  readonly rows?: readonly (readonly Value[])[];
  readonly tag?: string;
  readonly error?: DbError;
  readonly run?: (sink: ResultSink, session: FakeSession) => MaybePromise<void>;
}

function batchOf(rows: readonly (readonly Value[])[], width: number): Batch {
  const batch = new Batch(width);
  batch.length = rows.length;
  for (let position = 0; position < width; position++) {
    batch.columns[position] = rows.map((row) => row[position]!);
  }
  return batch;
}

interface FakePortal {
  readonly scripted: Scripted;
  readonly formats: readonly number[];
  readonly parameters: readonly (string | null)[];
  sent: number;
}

export class FakeSession implements Session {
  status: TransactionStatus = "I";
  readonly events: string[] = [];
  changed: [string, string][] = [];
  /** Settings that were changed; see `Session.carried`. */
  readonly settings: [string, string][] = [];
  #carried: readonly (readonly [string, string])[] = [];
  readonly #statements = new Map<string, Scripted>();
  readonly #portals = new Map<string, FakePortal>();
  cancelled: DbError | undefined;
  onCancel: (reason: DbError) => void = () => {};

  constructor(
    readonly pid: number,
    readonly start: SessionStart,
    private readonly script: (text: string) => Scripted | undefined,
  ) {}

  reportedSettings(): Iterable<readonly [string, string]> {
    return [
      ["server_version", "15.0 (ScratchBird test)"],
      ["client_encoding", "UTF8"],
      ["DateStyle", "ISO, MDY"],
      ["integer_datetimes", "on"],
      ["standard_conforming_strings", "on"],
    ];
  }
  changedSettings(): readonly (readonly [string, string])[] {
    return this.changed.splice(0);
  }
  carried(): readonly (readonly [string, string])[] | undefined {
    if ([...this.#statements.keys()].some((name) => name !== "")) return undefined;
    if (this.#carried.length !== this.settings.length) this.#carried = [...this.settings];
    return this.#carried;
  }
  #find(text: string): Scripted {
    const scripted = this.script(text.trim().replace(/;$/, ""));
    if (scripted === undefined) {
      throw new DbError("syntaxError", `syntax error at or near "${text.slice(0, 20)}"`, { position: 1 });
    }
    return scripted;
  }
  simpleQuery(text: string, sink: ResultSink): MaybePromise<void> {
    this.events.push(`query ${text.slice(0, 40)}`);
    if (text.trim() === "") {
      sink.emptyQuery();
      return;
    }
    const scripted = this.#find(text);
    return this.#run(scripted, sink, () => {
      if (scripted.columns !== undefined) sink.rowDescription(scripted.columns);
      this.#send(scripted, sink, []);
    });
  }
  #run(scripted: Scripted, sink: ResultSink, send: () => void): MaybePromise<void> {
    if (scripted.error !== undefined) throw scripted.error;
    if (scripted.run !== undefined) return scripted.run(sink, this);
    send();
  }
  #send(scripted: Scripted, sink: ResultSink, formats: readonly number[]): void {
    const { columns, rows } = scripted;
    if (columns !== undefined && rows !== undefined && rows.length > 0) {
      sink.rows(batchOf(rows, columns.length), columns, formats);
    }
    sink.complete(scripted.tag ?? `SELECT ${rows?.length ?? 0}`);
  }
  parse(name: string, text: string): void {
    this.events.push(`parse ${name}`);
    if (name !== "" && this.#statements.has(name)) {
      throw new DbError("duplicatePreparedStatement", `prepared statement "${name}" already exists`);
    }
    this.#statements.set(name, text.trim() === "" ? { tag: "" } : this.#find(text));
  }
  #statement(name: string): Scripted {
    const scripted = this.#statements.get(name);
    if (scripted === undefined) {
      throw new DbError("invalidSqlStatementName", `prepared statement "${name}" does not exist`);
    }
    return scripted;
  }
  bind(
    portal: string,
    statement: string,
    _formats: readonly number[],
    parameters: readonly (Uint8Array | null)[],
    resultFormats: readonly number[],
  ): void {
    this.events.push(`bind ${portal}`);
    const texts = parameters.map((value) => (value === null ? null : Buffer.from(value).toString()));
    this.#portals.set(portal, {
      scripted: this.#statement(statement),
      formats: resultFormats,
      parameters: texts,
      sent: 0,
    });
  }
  describeStatement(name: string): StatementDescription {
    const scripted = this.#statement(name);
    return { parameterTypes: scripted.parameters ?? [], columns: scripted.columns };
  }
  #portal(name: string): FakePortal {
    const portal = this.#portals.get(name);
    if (portal === undefined) throw new DbError("invalidCursorName", `portal "${name}" does not exist`);
    return portal;
  }
  describePortal(name: string) {
    const { scripted, formats } = this.#portal(name);
    return { columns: scripted.columns, formats };
  }
  execute(name: string, maxRows: number, sink: ResultSink): MaybePromise<void> {
    this.events.push(`execute ${name}`);
    const portal = this.#portal(name);
    const { scripted } = portal;
    if (scripted.tag === "") {
      sink.emptyQuery();
      return;
    }
    return this.#run(scripted, sink, () => {
      const rows = scripted.rows ?? [];
      if (maxRows === 0 || rows.length - portal.sent <= maxRows) {
        const left = rows.slice(portal.sent);
        const echo = scripted.columns?.map((_, index) => portal.parameters[index] ?? null);
        const sent = scripted.rows === undefined && echo !== undefined ? [echo] : left;
        this.#send({ ...scripted, rows: sent }, sink, portal.formats);
        portal.sent = rows.length;
        return;
      }
      const piece = rows.slice(portal.sent, portal.sent + maxRows);
      portal.sent += maxRows;
      sink.rows(batchOf(piece, scripted.columns!.length), scripted.columns!, portal.formats);
      sink.portalSuspended();
    });
  }
  closeStatement(name: string): void {
    this.#statements.delete(name);
  }
  closePortal(name: string): void {
    this.#portals.delete(name);
  }
  sync(): void {
    this.events.push("sync");
  }
  failed(error: DbError): void {
    this.events.push(`failed ${error.sqlstate}`);
    if (this.status === "T") this.status = "E";
  }
  cancel(reason: DbError): void {
    this.events.push(`cancel ${reason.sqlstate}`);
    this.cancelled = reason;
    this.onCancel(reason);
  }
  close(): void {
    this.events.push("close");
  }
}

/** Role `ann` with password `secret`. */
const verifier = (() => {
  const salt = Buffer.from("0123456789abcdef");
  const salted = pbkdf2Sync("secret", salt, 4096, 32, "sha256");
  const hmac = (key: Buffer, text: string) => createHmac("sha256", key).update(text).digest();
  const clientKey = hmac(salted, "Client Key");
  const storedKey = createHash("sha256").update(clientKey).digest();
  return formatVerifier({ iterations: 4096, salt, storedKey, serverKey: hmac(salted, "Server Key") });
})();

export class FakeHost implements SessionHost {
  readonly sessions: FakeSession[] = [];
  sessionsMax = Number.POSITIVE_INFINITY;
  /** Places held by clients whose session is elsewhere. */
  places = 0;
  /** `pidBase`: pids begin behind it, and the keys differ from those of other hosts. */
  constructor(
    readonly script: (text: string) => Scripted | undefined,
    readonly pidBase = 0,
  ) {}
  /** What is asked of everybody. */
  login: LoginDecision = { rule: undefined, method: "scram", shown: new Set(["scram"]) };
  decideLogin(_attempt: LoginAttempt): LoginDecision {
    return this.login;
  }
  passwordOf(user: string): string | undefined {
    return user === "ann" ? verifier : undefined;
  }
  openSession(start: SessionStart): Session {
    if (start.database === "absent") {
      throw new DbError("invalidCatalogName", 'database "absent" does not exist');
    }
    if (this.sessions.length >= this.sessionsMax) {
      throw new DbError("tooManyConnections", "sorry, too many clients already");
    }
    const session = new FakeSession(this.pidBase + this.sessions.length + 1, start, this.script);
    this.sessions.push(session);
    return session;
  }
  reserve(start: SessionStart): () => void {
    if (start.database === "full") throw new DbError("tooManyConnections", "sorry, too many clients already");
    this.places++;
    return () => this.places--;
  }
  cancelKeyOf(): Uint8Array {
    return Uint8Array.of(1, 2, 3, 4 + this.pidBase);
  }
  cancel(pid: number, key: Uint8Array): boolean {
    const session = this.sessions[pid - this.pidBase - 1];
    if (session === undefined || !Buffer.from(key).equals(Buffer.from(this.cancelKeyOf()))) return false;
    session.cancel(new DbError("queryCanceled", "canceling statement due to user request"));
    return true;
  }
}

/** A clock whose timers the test fires; yields are immediate. */
export class FakeClock implements Clock {
  time = 0;
  readonly timers: { at: number; run: () => void }[] = [];
  now(): number {
    return this.time;
  }
  monotonic(): number {
    return this.time;
  }
  after(delayMs: number, run: () => void): Timer {
    const timer = { at: this.time + delayMs, run };
    this.timers.push(timer);
    return {
      cancel: () => {
        const index = this.timers.indexOf(timer);
        if (index >= 0) this.timers.splice(index, 1);
      },
    };
  }
  yield(): Promise<void> {
    return Promise.resolve();
  }
  advance(ms: number): void {
    this.time += ms;
    for (const timer of [...this.timers].filter(({ at }) => at <= this.time)) {
      this.timers.splice(this.timers.indexOf(timer), 1);
      timer.run();
    }
  }
}

/** Repeats: exchanges with it can be replayed byte by byte. */
export class FakeRandom implements Random {
  #state = 1;
  fill(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at++) {
      this.#state = (this.#state * 1103515245 + 12345) & 0x7fffffff;
      bytes[at] = this.#state >>> 16;
    }
  }
  fraction(): number {
    const bytes = new Uint8Array(2);
    this.fill(bytes);
    return ((bytes[0]! << 8) | bytes[1]!) / 65536;
  }
}

/** The server's end of a connection whose other end is the test. */
export class FakeConnection implements Connection {
  encrypted = false;
  /** What the handshake brought; set it before the client starts. */
  tls: TlsState | undefined;
  readonly sent: Buffer[] = [];
  writes = 0;
  ended = false;
  paused = false;
  /** While set, writes are held as if the peer did not read. */
  stalled = false;
  #waiting: (() => void)[] = [];
  #onData: (chunk: Buffer) => void = () => {};
  #onClose: () => void = () => {};

  constructor(readonly remoteAddress = "test:1") {}

  onData(handler: (chunk: Buffer) => void): void {
    this.#onData = handler;
  }
  onClose(handler: () => void): void {
    this.#onClose = handler;
  }
  write(bytes: Uint8Array): boolean {
    this.writes++;
    this.sent.push(Buffer.from(bytes));
    return !this.stalled;
  }
  drained(): Promise<void> {
    if (!this.stalled) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
  unstall(): void {
    this.stalled = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  end(): void {
    this.ended = true;
  }
  destroy(): void {
    this.ended = true;
    this.#onClose();
  }
  async startTls(): Promise<void> {
    this.encrypted = true;
  }

  receive(bytes: Buffer): void {
    // Lent, like a socket's: whoever looks at it later sees rubbish.
    const lent = Buffer.from(bytes);
    this.#onData(lent);
    lent.fill(0xa5);
  }
  hangUp(): void {
    this.#onClose();
  }
  /** Everything the server has sent since the last call. */
  take(): Buffer {
    return Buffer.concat(this.sent.splice(0));
  }
}

export const plainOutputs: TypeOutputs = {
  textOutputOf: () => (value) => String(value),
  binaryOutputOf: (oid) => (oid === oids.numeric ? undefined : (value) => Buffer.from(String(value))),
};

/** A listener over fakes; `accept` a FakeConnection to talk to it. */
export function fakeWire(
  script: (text: string) => Scripted | undefined,
  limits: Partial<WireLimits> = {},
): { wire: PgWire; host: FakeHost; clock: FakeClock; internalErrors: Error[] } {
  const host = new FakeHost(script);
  const clock = new FakeClock();
  const internalErrors: Error[] = [];
  const wire = new PgWire({
    host,
    clock,
    random: new FakeRandom(),
    network: {
      listen: () => {
        throw new Error("the fake wire accepts connections by hand");
      },
    },
    address: "test",
    port: 0,
    tls: undefined,
    limits,
    mockSecret: new Uint8Array(32),
    outputs: plainOutputs,
    observer: {
      connected: () => {},
      disconnected: () => {},
      authenticationFailed: () => {},
      internalError: (error) => internalErrors.push(error),
    },
  });
  return { wire, host, clock, internalErrors };
}

/** One end of a stream in memory: a few pieces late, bounded, and it can die. */
export class FakeStream implements RelayStream {
  peer!: FakeStream;
  unsent = 0;
  paused = false;
  isClosed = false;
  /** Most that was ever waiting here. */
  unsentMax = 0;
  #queue: Buffer[] = [];
  #ended = false;
  #delivering = false;
  #waiting: (() => void)[] = [];
  #onData: ((chunk: Uint8Array) => void) | undefined;
  #onClose: () => void = () => {};

  /** `pieceBytes`: what the peer gets at once. */
  constructor(
    private readonly slowBytes: number,
    private readonly pieceBytes: () => number,
  ) {}

  onData(handler: (chunk: Uint8Array) => void): void {
    this.#onData = handler;
    this.peer.#deliver();
  }
  onClose(handler: () => void): void {
    this.#onClose = handler;
  }
  write(bytes: Uint8Array): boolean {
    if (this.isClosed || this.#ended) return true;
    this.#queue.push(Buffer.from(bytes));
    this.unsent += bytes.length;
    this.unsentMax = Math.max(this.unsentMax, this.unsent);
    this.#deliver();
    return this.unsent <= this.slowBytes;
  }
  async drained(): Promise<void> {
    if (this.unsent === 0 || this.isClosed) return;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
    this.peer.#deliver();
  }
  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    setImmediate(() => {
      this.#delivering = false;
      const { peer } = this;
      if (this.isClosed || peer.paused || peer.#onData === undefined) return;
      const first = this.#queue.shift();
      if (first === undefined) {
        if (this.#ended) this.kill();
        return;
      }
      const piece = first.subarray(0, this.pieceBytes());
      if (piece.length < first.length) this.#queue.unshift(first.subarray(piece.length));
      this.unsent -= piece.length;
      const lent = Buffer.from(piece);
      peer.#onData(lent);
      lent.fill(0xa5);
      if (this.unsent === 0) for (const resolve of this.#waiting.splice(0)) resolve();
      this.#deliver();
    });
  }
  end(): void {
    this.#ended = true;
    this.#deliver();
  }
  destroy(): void {
    this.kill();
  }
  /** Both ends close; what is under way is lost. */
  kill(): void {
    for (const end of [this, this.peer]) {
      if (end.isClosed) continue;
      end.isClosed = true;
      for (const resolve of end.#waiting.splice(0)) resolve();
      setImmediate(() => end.#onClose());
    }
  }
}

export function streamPair(
  slowBytes = 65_536,
  pieceBytes: () => number = () => Number.POSITIVE_INFINITY,
): readonly [FakeStream, FakeStream] {
  const ends = [new FakeStream(slowBytes, pieceBytes), new FakeStream(slowBytes, pieceBytes)] as const;
  ends[0].peer = ends[1];
  ends[1].peer = ends[0];
  return ends;
}

/** The way to a home node in the same process; it can be away, silent or refusing. */
/** Which security bundle a node holds: what the test says. */
export class FakeBundles implements HeldBundle {
  readonly told: string[] = [];
  readonly #watchers = new Set<() => void>();
  #stamp = stampOf(1);

  stamp(): BundleStamp {
    return this.#stamp;
  }
  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }
  mismatch(peer: string, theirs: BundleStamp): DbError {
    this.told.push(`${peer} has ${theirs.version}`);
    return new DbError("objectNotInPrerequisiteState", "different security bundles");
  }
  publish(version: number, fill?: string): void {
    this.#stamp = stampOf(version, fill);
    for (const changed of [...this.#watchers]) changed();
  }
  get watchers(): number {
    return this.#watchers.size;
  }
}
export const stampOf = (version: number, fill = String(version % 10)): BundleStamp => ({
  version,
  hash: fill.repeat(64),
});

export class FakeRelay implements Relay {
  isUp = true;
  /** What the node believes; undefined: the truth. */
  believed: boolean | undefined;
  /** Streams are promised and never come. */
  hangs = false;
  opened = 0;
  cancels = 0;
  slowBytes = 65_536;
  pieceBytes: () => number = () => Number.POSITIVE_INFINITY;
  readonly streams = new Set<FakeStream>();

  /** What the relaying node says it holds when it opens a stream. */
  bundle = (): BundleStamp => stampOf(1);

  constructor(public homeWire: PgWire) {}

  available(): boolean {
    return this.believed ?? this.isUp;
  }
  home(): string {
    return "home";
  }
  async open(head: RelayHead): Promise<RelayStream> {
    this.opened++;
    if (this.hangs) await new Promise<never>(() => {});
    if (!this.isUp) throw new DbError("connectionFailure", "nobody listens there");
    const [here, there] = streamPair(this.slowBytes, this.pieceBytes);
    this.streams.add(here);
    const sent = JSON.parse(JSON.stringify(head)) as RelayHead;
    this.homeWire.acceptRelayed(there, { ...sent, via: "here" }, this.bundle());
    return here;
  }
  async cancel(pid: number, key: Uint8Array): Promise<void> {
    this.cancels++;
    this.homeWire.cancelRelayed(pid, key);
  }
  /** The home node dies. */
  crash(): void {
    this.isUp = false;
    for (const stream of this.streams) stream.kill();
    this.streams.clear();
  }
}
