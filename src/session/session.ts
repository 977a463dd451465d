/**
 * One client's session: statements prepared and run, the transaction around them, settings, portals and cursors.
 *
 * How a statement runs: parse (or find it cached by shape), bind and plan (or find the plan), admit at the shard's door,
 * lock its tables, take a snapshot, run the operators, answer. Where nothing has to be waited for, all of it happens
 * inside the call that brought the message, without a promise (D3).
 *
 * Invariants: one statement runs at a time; an error inside a block fails the block until it ends; an answer is given
 * after the commit it reports is durable (V1).
 */
import { assert, DbError, notSupported } from "../base/errors.js";
import { traceId, traceparent, traceparentOf } from "../base/trace.js";
import { decodeUtf8 } from "../base/utf8.js";
import { isWait, Wait } from "../base/wait.js";
import type { AuditHead, BundleRules } from "../cluster/contract.js";
import type { ControlPlane } from "../cluster/index.js";
import {
  type BuildContext,
  buildPlan,
  type CheckQueue,
  defaultWorkMemoryBytes,
  Execution,
  runPlan,
  type SpillFile,
  WorkMemory,
} from "../exec/index.js";
import type { Engine, Isolation, Table } from "../mga/contract.js";
import type { WaitParty } from "../mga/index.js";
import type { Batch } from "../model/batch.js";
import {
  type CatalogReader,
  type ConstraintDesc,
  type DatabaseDesc,
  type ObjectId,
  pgCatalogSchemaId,
  type RoleDesc,
  type SchemaDesc,
  type TableDesc,
} from "../model/schema.js";
import type { SecurityRules } from "../model/security-rules.js";
import { defaultSettings, oids, typeInput, typeOutput, typeReceive } from "../model/types.js";
import type { Value } from "../model/value.js";
import type { Clock, Random, Timer } from "../platform/index.js";
import { RowSecurity } from "../security/row-security.js";
import type { LockMode, Shard } from "../shard/index.js";
import type { Statement } from "../sql/ast.js";
import { type BindEnv, bindTableExpression } from "../sql/index.js";
import {
  type InsertScan,
  type ParsedStatement,
  parseOne,
  parseStatements,
  scanInsertRows,
} from "../sql/parse.js";
import type { OutputColumn } from "../sql/plan.js";
import type { AdvisoryMark } from "./advisory.js";
import { statementHash } from "./audit.js";
import { type RuledUse, usesOf } from "./audit-rules.js";
import { catalogEvent } from "./audit-statements.js";
import { auditedUses, isAudited } from "./audited.js";
import { triedRules } from "./bundle-rules.js";
import type {
  MaybePromise,
  Notice,
  ResultSink,
  Session,
  SessionStart,
  StatementDescription,
  TransactionStatus,
} from "./contract.js";
import type { DdlSession } from "./ddl/context.js";
import { isDdl, runDdl } from "./ddl/index.js";
import { microsNow, SessionEvalContext } from "./eval-context.js";
import { type GatePlace, heavyCost } from "./heavy-gate.js";
import { InsertParts } from "./insert-parts.js";
import {
  type CursorInfo,
  isPlannable,
  type PlanKey,
  type Planned,
  type Portal,
  type Prepared,
  portalFailed,
  selectIntoTable,
  type TableLock,
  type UtilityResult,
} from "./prepared.js";
import { type PreparedPlan, parameterInput, planQuery } from "./queries.js";
import { shownText } from "./redact.js";
import { RunningContext, type RunningHost } from "./running.js";
import type { Server } from "./server.js";
import { provideServices } from "./services.js";
import { isStatusQuery, isStatusStatement } from "./serving.js";
import type { SessionSettings } from "./settings.js";
import { ShapeCache } from "./shape-cache.js";
import { SpillFiles } from "./spill-files.js";
import { SessionTransaction, type TransactionSettings } from "./transaction.js";
import { runUtility, utilityColumns } from "./utility.js";
import { type SessionInfo, virtualRows } from "./views/index.js";

const preparedMax = 10_000;
/** With audit_all_queries: transactions' bounds ask for nothing, and what runs a prepared statement is told of by that. */
const untold: ReadonlySet<Statement["kind"]> = new Set<Statement["kind"]>([
  "begin",
  "commit",
  "rollback",
  "savepoint",
  "releaseSavepoint",
  "rollbackToSavepoint",
  "prepare",
  "execute",
  "deallocate",
]);
const isolationLevels: Readonly<Record<string, Isolation>> = {
  "read committed": "readCommitted",
  "read uncommitted": "readCommitted",
  "repeatable read": "repeatableRead",
  serializable: "serializable",
};
/** Statement texts whose plans a session keeps for the next Parse of the same text. */
const parsedTextsMax = 256;
/** Longer texts rarely come twice. */
const parsedTextBytesMax = 8192;
/** Uses of a plan between two looks at the sizes of its tables, less one: a mask. */
const usesPerLook = 15;
/** A table that has grown by so many pages at most is read as fast as before. */
const pagesOfNoMatter = 4;
/** work_mem unless somebody set it; operators then spill from here on. */
const defaultWorkMemSetting = 4 << 20;
const defaultSpillBytes = defaultWorkMemoryBytes / 2;
/** Characters of a statement that the log shows. */
const loggedTextMax = 16_384;
/** INSERT .. VALUES texts longer than this are parsed and run some rows at a time (M3). */
const longInsertChars = 256 * 1024;
/** Rows passed over between two looks at the clock, and milliseconds that a part of a long INSERT should take. */
const skipRows = 256;
const insertPartMs = 4;
/** Work between two breaths of a long utility statement, milliseconds. */
const breathMs = 2;

export class ServerSession implements Session, DdlSession, RunningHost {
  readonly settings: SessionSettings;
  readonly transaction: SessionTransaction;
  readonly eval: SessionEvalContext;
  /** Row and column rules that its statements are bound under. */
  readonly access = new RowSecurity(this);
  readonly prepared = new Map<string, Prepared>();
  /** By name; the unnamed one, which nearly every statement has, is kept apart. */
  readonly portals = new Map<string, Portal>();
  #unnamed: Portal | undefined;
  readonly spills: SpillFiles;
  readonly #shapes = new ShapeCache();
  /** By declared parameter types and text: what drivers that parse the same statements again and again send. */
  readonly #parsedTexts = new Map<string, Prepared>();
  sessionRoleId: ObjectId;
  currentRoleId: ObjectId;
  /** Who has logged in. */
  readonly loginRoleId: ObjectId;
  readonly backendStart: number;
  /** In audit events. */
  readonly sessionUuid: string;
  userUuid: string;
  /** Statements that have changed the draft, to be told of before it is proposed. */
  #catalogStatements: { readonly ast: Statement; readonly text: string }[] = [];
  /** What pg_stat_activity shows. */
  activity = {
    state: "idle" as SessionInfo["state"],
    query: "",
    queryStart: null as number | null,
    stateChange: 0,
    waitEventType: null as string | null,
    waitEvent: null as string | null,
  };
  #sink: ResultSink | undefined;
  #cancelled: DbError | undefined;
  #cancelWaiters = new Set<(error: DbError) => void>();
  #timer: Timer | undefined;
  #idleTimer: Timer | undefined;
  #running = false;
  /** Version of the security bundle that is tried here; 0: none. */
  #triedBundle = 0;
  /** A Query message of several statements: they are one transaction, as if in a block. */
  #several = false;
  /** Client calls so far. */
  calls = 0;
  /** The running statement has a place among the heavy ones. */
  #heavyRunning = false;
  /** When the client's call began: `clock.monotonic`. */
  #begun = 0;
  /** What the security bundle's audit rules ask of the plan that runs. */
  #ruled: RuledUse | undefined;
  #closed = false;
  /** It has lived long enough, and ends when no transaction is open. */
  #isExpired = false;
  /** Milliseconds since 1970. */
  readonly authenticatedAt: number;
  #sliceStart = 0;
  #defaults: TransactionSettings = { isolation: "readCommitted", readOnly: false, deferrable: false };
  /** Of the settings that `#defaults` was read from. */
  #defaultsVersion = -1;
  #searchPathIds:
    | {
        readonly version: number;
        readonly settings: number;
        readonly role: ObjectId;
        readonly ids: readonly ObjectId[];
        readonly names: readonly string[];
      }
    | undefined;
  /** SET CONSTRAINTS of this transaction: by constraint id, or all. */
  deferral: { all: boolean | undefined; readonly one: Map<ObjectId, boolean> } = {
    all: undefined,
    one: new Map(),
  };

  #schemaFirst: SchemaDesc | undefined;
  /** Settings changed when no transaction was open, at `#carriedVersion` of the settings. */
  #carried: readonly (readonly [name: string, value: string])[] | undefined;
  #carriedVersion = -1;

  constructor(
    readonly server: Server,
    readonly start: SessionStart,
    readonly pid: number,
    readonly database: DatabaseDesc,
    role: RoleDesc,
    settings: SessionSettings,
  ) {
    this.settings = settings;
    this.sessionRoleId = role.id;
    this.currentRoleId = role.id;
    this.loginRoleId = role.id;
    this.backendStart = this.now();
    this.authenticatedAt = start.authenticatedAt ?? server.clock.now();
    this.sessionUuid = server.audit.newSessionUuid();
    this.userUuid = server.audit.userUuid(role.id);
    this.activity.stateChange = this.backendStart;
    this.eval = new SessionEvalContext(
      server.clock,
      server.random,
      settings,
      database.name,
      pid,
      (implicit) => this.searchPathNames(implicit),
    );
    this.eval.sessionUser = role.name;
    this.eval.currentUser = role.name;
    this.spills = new SpillFiles(server.disk, pid);
    this.transaction = new SessionTransaction(
      server.control,
      server.home,
      server.clock,
      {
        settingsBegin: () => settings.begin(),
        settingsEnd: (committed) => (committed ? settings.commit() : settings.rollback()),
        settingsMark: () => settings.mark(),
        settingsRollbackTo: (mark) => settings.rollbackTo(mark as number),
        portalsMark: () => new Set(this.#allPortals()),
        portalsRollbackTo: (mark) => {
          const earlier = mark as ReadonlySet<Portal>;
          for (const portal of this.#allPortals()) if (!earlier.has(portal)) this.#dropPortal(portal);
        },
        advisoryMark: () => server.advisory.mark(this),
        advisoryRollbackTo: (mark) => server.advisory.releaseTo(this, mark as AdvisoryMark),
        defaults: () => this.#transactionDefaults(),
        lockTimeoutMs: () => this.lockTimeoutMs(),
        waitFor: (ready) => this.waitFor(ready, "Lock", "transactionid"),
        deadlockTimeoutMs: () => settings.number("deadlock_timeout"),
        trace: () => this.trace,
        auditCatalog: () => this.#auditCatalog(),
        auditUndone: (head, error) => server.audit.undone(head, error, this),
        auditMark: () => this.#catalogStatements.length,
        auditRollbackTo: (mark) => {
          this.#catalogStatements.length = Math.min(this.#catalogStatements.length, mark);
        },
        ended: () => this.#transactionEnded(),
      },
      pid,
    );
    settings.onChange("session_authorization", (value) => {
      this.sessionRoleId = this.catalog.roleByName(String(value))?.id ?? this.sessionRoleId;
      this.eval.sessionUser = String(value);
      this.userUuid = server.audit.userUuid(this.sessionRoleId);
      this.#followRole();
    });
    settings.onChange("role", () => this.#followRole());
    this.#triedBundle = settings.number("scratchbird.test_bundle_version");
    if (this.#triedBundle !== 0) this.#tellTried(this.#triedBundle);
    settings.onChange("scratchbird.test_bundle_version", (value) => {
      this.#triedBundle = Number(value);
    });
    provideServices(this);
  }

  /** SET ROLE and SET SESSION AUTHORIZATION, and what takes them back. */
  #followRole(): void {
    const name = this.settings.text("role");
    const role = name === "none" ? undefined : this.catalog.roleByName(name);
    this.currentRoleId = role?.id ?? this.sessionRoleId;
    this.eval.currentUser = role?.name ?? this.eval.sessionUser;
  }

  get control(): ControlPlane {
    return this.server.control;
  }
  get shard(): Shard {
    return this.server.home;
  }
  get clock(): Clock {
    return this.server.clock;
  }
  get random(): Random {
    return this.server.random;
  }
  get engine(): Engine {
    return this.shard.engine;
  }
  /** In whose name the session waits for locks of any kind. */
  get waitParty(): WaitParty {
    return this.transaction.locks.party;
  }
  lockTimeoutMs(): number {
    return this.settings.number("lock_timeout");
  }
  get catalog() {
    return this.transaction.catalog;
  }
  now(): number {
    return microsNow(this.server.clock);
  }

  // --- Session: start and state -----------------------------------------------------------------------------------

  reportedSettings(): Iterable<readonly [name: string, value: string]> {
    return this.settings.reported();
  }

  changedSettings(): readonly (readonly [name: string, value: string])[] {
    return this.settings.takeChanged();
  }
  carried(): readonly (readonly [name: string, value: string])[] | undefined {
    // The unnamed statement lives until the next Parse or Query in any case.
    const unnamed = this.prepared.has("") ? 1 : 0;
    if (this.prepared.size > unnamed || this.server.advisory.holds(this)) return undefined;
    if (this.transaction.state === "none" && this.#carriedVersion !== this.settings.version) {
      this.#carried = this.settings.changedInSession();
      this.#carriedVersion = this.settings.version;
    }
    return this.#carried;
  }
  get ioSettings() {
    return this.eval;
  }

  get status(): TransactionStatus {
    switch (this.transaction.state) {
      case "block":
        return "T";
      case "failed":
        return "E";
      default:
        return "I";
    }
  }

  get role(): RoleDesc {
    const role = this.catalog.roleById(this.currentRoleId);
    if (role === undefined) throw new DbError("undefinedObject", "the session's role was dropped");
    return role;
  }

  #transactionDefaults(): TransactionSettings {
    if (this.#defaultsVersion !== this.settings.version) {
      this.#defaults = {
        isolation: isolationLevels[this.settings.text("transaction_isolation")] ?? "readCommitted",
        readOnly: this.settings.bool("transaction_read_only"),
        deferrable: this.settings.bool("transaction_deferrable"),
      };
      this.#defaultsVersion = this.settings.version;
    }
    return this.#defaults;
  }

  /** An event for each statement whose work is about to be proposed; the newest vouches for those before it. */
  async #auditCatalog(): Promise<AuditHead> {
    const { audit } = this.server;
    const told = this.#catalogStatements;
    const events =
      told.length > 0
        ? told.map(({ ast, text }) => catalogEvent(ast, text, this.role.name))
        : [catalogEvent(undefined, this.activity.query, this.role.name)];
    for (const [type, payload] of events.slice(0, -1)) audit.event(type, payload, this);
    return audit.written(...events.at(-1)!, this);
  }

  #transactionEnded(): void {
    if (this.#catalogStatements.length > 0) this.#catalogStatements = [];
    if (this.deferral.all !== undefined || this.deferral.one.size > 0) {
      this.deferral = { all: undefined, one: new Map() };
    }
    this.server.advisory.unlockAll(this, "transaction");
    if (this.#unnamed !== undefined) this.#dropPortal(this.#unnamed);
    if (this.portals.size === 0) return;
    for (const portal of this.portals.values()) {
      if (portal.cursor?.hold === true && portal.utility !== undefined) continue;
      this.#dropPortal(portal);
    }
  }

  // --- search path ------------------------------------------------------------------------------------------------

  #path() {
    const { catalog } = this;
    const known = this.#searchPathIds;
    if (
      known !== undefined &&
      known.version === catalog.version &&
      known.settings === this.settings.planVersion &&
      known.role === this.currentRoleId
    )
      return known;
    const first = this.#schemaFirst;
    const names: string[] = first === undefined ? [] : [first.name];
    const ids: ObjectId[] = first === undefined ? [] : [first.id];
    for (const entry of this.settings.list("search_path")) {
      const name = entry === "$user" ? this.role.name : entry;
      const schema = catalog.schemaByName(name);
      if (schema === undefined || ids.includes(schema.id)) continue;
      names.push(schema.name);
      ids.push(schema.id);
    }
    const path = {
      version: catalog.version,
      settings: this.settings.planVersion,
      role: this.currentRoleId,
      names,
      ids: ids.includes(pgCatalogSchemaId) ? ids : [pgCatalogSchemaId, ...ids],
    };
    this.#searchPathIds = path;
    return path;
  }

  /** Work inside a schema that is being created: names are looked up there first. */
  async withSchemaFirst(schema: SchemaDesc, work: () => Promise<void>): Promise<void> {
    this.#schemaFirst = schema;
    this.#searchPathIds = undefined;
    try {
      await work();
    } finally {
      this.#schemaFirst = undefined;
      this.#searchPathIds = undefined;
    }
  }

  searchPathIds(): readonly ObjectId[] {
    return this.#path().ids;
  }
  /** Names of existing schemas; pg_catalog first when it is implied. */
  searchPathNames(implicit: boolean): readonly string[] {
    const { names } = this.#path();
    return implicit && !names.includes("pg_catalog") ? ["pg_catalog", ...names] : names;
  }

  // --- messages ---------------------------------------------------------------------------------------------------

  /** A client call begins: timers, activity, the clock of the statement. */
  #begin(query: string | undefined, sink: ResultSink | undefined): void {
    this.#sink = sink;
    this.#cancelled = undefined;
    this.#idleTimer?.cancel();
    this.#idleTimer = undefined;
    const now = this.now();
    this.eval.statementTimestamp = now;
    if (query !== undefined) this.activity.query = query;
    this.activity.state = "active";
    this.activity.queryStart = now;
    this.activity.stateChange = now;
    const limit = this.settings.number("statement_timeout");
    if (limit > 0 && this.#timer === undefined) {
      this.#timer = this.clock.after(limit, () =>
        this.cancel(new DbError("queryCanceled", "canceling statement due to statement timeout")),
      );
    }
    this.#begun = this.clock.monotonic();
    this.#ruled = undefined;
    this.#running = true;
    this.calls++;
  }

  /** log_min_duration_statement. */
  #logDuration(query: string): void {
    const limit = this.settings.number("log_min_duration_statement");
    if (limit < 0) return;
    const duration = this.clock.monotonic() - this.#begun;
    if (duration < limit) return;
    this.server.log(
      `duration: ${duration.toFixed(3)} ms  statement: ${shownText(query).slice(0, loggedTextMax)}`,
      {
        pid: this.pid,
        user: this.eval.sessionUser,
        database: this.database.name,
        ...this.traceFields,
      },
    );
  }

  /** W3C traceparent of the statement: its own comment's, or what the session has set. */
  get trace(): string | undefined {
    return (
      traceparentOf(this.activity.query) ?? traceparent(String(this.settings.get("scratchbird.traceparent")))
    );
  }
  /** For log lines. */
  get traceFields(): { readonly trace_id?: string } {
    const { trace } = this;
    return trace === undefined ? {} : { trace_id: traceId(trace) };
  }

  #end(): void {
    this.#running = false;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#cancelled = undefined;
    this.activity.state =
      this.transaction.state === "block"
        ? "idle in transaction"
        : this.transaction.state === "failed"
          ? "idle in transaction (aborted)"
          : "idle";
    this.activity.stateChange = this.now();
    if (this.#isExpired) this.#endExpired();
    const limit =
      this.transaction.state === "block" || this.transaction.state === "failed"
        ? this.settings.number("idle_in_transaction_session_timeout")
        : this.settings.number("idle_session_timeout");
    if (limit > 0 && !this.#closed) {
      const inside = this.transaction.state !== "none";
      this.#idleTimer = this.clock.after(limit, () =>
        this.start.client?.terminate(
          inside
            ? new DbError(
                "idleInTransactionSessionTimeout",
                "terminating connection due to idle-in-transaction timeout",
              )
            : new DbError(
                "idleInTransactionSessionTimeout",
                "terminating connection due to idle-session timeout",
              ),
        ),
      );
    }
  }

  /** The session is older than sessions may be. */
  expire(): void {
    if (this.#isExpired) return;
    this.#isExpired = true;
    if (!this.#running) this.#endExpired();
  }

  /** When the answer to the running call is out, and only if no other has begun. */
  #endExpired(): void {
    if (this.transaction.state !== "none" || this.#closed) return;
    this.clock.after(0, () => {
      if (this.#running || this.#closed || this.transaction.state !== "none") return;
      this.start.client?.terminate(
        new DbError("adminShutdown", "terminating connection because the session is too old", {
          detail: "It has logged in longer ago than authentication.session_lifetime allows.",
          hint: "Connect again.",
        }),
      );
    });
  }

  /** Runs `work` as a client call: `#end` follows whichever way it goes. */
  #call<T>(
    query: string | undefined,
    sink: ResultSink | undefined,
    work: () => MaybePromise<T>,
  ): MaybePromise<T> {
    this.#begin(query, sink);
    let result: MaybePromise<T>;
    try {
      result = work();
    } catch (error) {
      this.#end();
      throw error;
    }
    if (!(result instanceof Promise)) {
      if (query !== undefined) this.#logDuration(query);
      this.#end();
      return result;
    }
    return result
      .then((value) => {
        if (query !== undefined) this.#logDuration(query);
        return value;
      })
      .finally(() => this.#end());
  }

  simpleQuery(text: string, sink: ResultSink): MaybePromise<void> {
    return this.#call(text, sink, () => {
      const shaped = this.#shapes.find(this, text);
      if (shaped !== undefined) return this.#runShaped(shaped.prepared, shaped.params, sink);
      if (text.length > longInsertChars) {
        const scan = scanInsertRows(text);
        if (scan !== undefined) return this.#longInsert(text, scan, sink);
      }
      return this.#parsed(text, sink);
    });
  }

  #parsed(text: string, sink: ResultSink): MaybePromise<void> {
    const statements = parseStatements(text, {
      onNotice: (notice) => this.notice({ severity: "NOTICE", ...notice }),
    });
    if (statements.length === 0) {
      sink.emptyQuery();
      return undefined;
    }
    return this.#runStatements(text, statements.map(selectIntoTable), sink);
  }

  /**
   * An INSERT with a long list of VALUES: some rows are parsed, planned and run at a time, so that neither memory nor the
   * loop's delay grows with the text. One statement all the same: checks come at its end, it fails as a whole, and with
   * the error that it would fail with if it were read as a whole before anything is run.
   */
  async #longInsert(text: string, scan: InsertScan, sink: ResultSink): Promise<void> {
    while (!scan.skip(skipRows)) await this.breathe();
    const list = scan.open();
    if (list === undefined) return this.#parsed(text, sink);
    this.#refuseWhenFailed(list.insert);
    this.#refuseUnserved(false);
    if (this.transaction.state === "none") this.#beginTransaction("implicit");
    const parts = new InsertParts(list, (insert) => planQuery(insert, this.bindEnv([]), this));
    let rows: number;
    try {
      rows = await this.#runParts(parts, sink);
    } catch (error) {
      throw this.#cancelled === undefined ? await parts.toldFirst(error, () => this.breathe()) : error;
    }
    return this.#finishSimple(`INSERT 0 ${rows}`, sink);
  }

  async #runParts(parts: InsertParts, sink: ResultSink): Promise<number> {
    const checks: CheckQueue[] = [];
    let rows = 0;
    let described = false;
    let partRows = 16;
    for (;;) {
      const started = this.clock.monotonic();
      let plan = parts.next(partRows);
      if (plan === undefined) break;
      let planned = this.plannedOf(plan);
      for (;;) {
        for (const lock of planned.locks) await this.lockTable(lock.id, lock.mode, lock.name);
        if (this.isCurrent(planned.key)) break;
        plan = parts.again();
        planned = this.plannedOf(plan);
      }
      if (!described) this.auditUse(plan);
      const { context } = planned;
      const { columns } = plan;
      if (!described && planned.returnsRows) sink.rowDescription(columns);
      described = true;
      if (this.transaction.settings.readOnly)
        throw new DbError("readOnlySqlTransaction", "cannot execute INSERT in a read-only transaction");
      context.transaction = this.transaction.rows();
      context.snapshot = this.engine.statementSnapshot(context.transaction);
      try {
        await runPlan(planned.operator, context, columns.length, {
          clock: this.clock,
          onBatch: (batch) => sink.rows(batch, columns, []),
          drained: () => sink.drained(),
        });
      } finally {
        context.memory.settle?.();
      }
      if (context.transaction.state === "active") this.engine.releaseSnapshot(context.transaction);
      rows += context.rowsAffected;
      if (!context.checks.isEmpty) checks.push(context.checks);
      await this.breathe();
      const spent = this.clock.monotonic() - started;
      partRows = Math.max(1, Math.min(1024, Math.round((partRows * insertPartMs) / Math.max(spent, 0.5))));
    }
    for (const queue of checks) await this.retrying(() => queue.run());
    return rows;
  }

  #runShaped(prepared: Prepared, params: readonly Value[], sink: ResultSink): MaybePromise<void> {
    this.#refuseWhenFailed(prepared.parsed!.ast);
    if (this.transaction.state === "none") this.#beginTransaction("implicit");
    return this.#finishSimple(this.#runPlannable(prepared, params, sink), sink);
  }

  /** After the last statement of a message: commits an implicit transaction, then tells the client. */
  #finishSimple(tag: MaybePromise<string>, sink: ResultSink): MaybePromise<void> {
    if (typeof tag !== "string") return tag.then((text) => this.#finishSimple(text, sink));
    if (this.transaction.state !== "implicit") {
      sink.complete(tag);
      return undefined;
    }
    const committed = this.transaction.commit();
    if (committed === undefined) {
      sink.complete(tag);
      return undefined;
    }
    return committed.then(() => sink.complete(tag));
  }

  #runStatements(text: string, statements: readonly ParsedStatement[], sink: ResultSink): MaybePromise<void> {
    if (statements.length === 1) {
      const tag = this.#runSimple(text, statements[0]!, sink, false);
      return this.#finishSimple(tag, sink);
    }
    return this.#runSeveral(text, statements, sink);
  }

  async #runSeveral(text: string, statements: readonly ParsedStatement[], sink: ResultSink): Promise<void> {
    this.#several = true;
    try {
      for (let place = 0; place < statements.length; place++) {
        const tag = await this.#runSimple(text, statements[place]!, sink, true);
        if (place === statements.length - 1) await this.#finishSimple(tag, sink);
        else sink.complete(tag);
      }
    } finally {
      this.#several = false;
    }
  }

  #runSimple(
    text: string,
    parsed: ParsedStatement,
    sink: ResultSink,
    several: boolean,
  ): MaybePromise<string> {
    const { ast } = parsed;
    this.#refuseWhenFailed(ast);
    if (this.transaction.state === "none") this.#beginTransaction("implicit");
    const prepared: Prepared = {
      name: "",
      text: text.slice(parsed.start, parsed.end),
      parsed,
      parameterTypes: [],
      parametersFixed: true,
      fromSql: true,
      preparedAt: 0,
      planned: undefined,
      columns: undefined,
    };
    if (isPlannable(ast)) {
      const tag = this.#runPlannable(prepared, [], sink);
      if (!several) this.#shapes.offer(this, text, prepared);
      return tag;
    }
    return this.#runUtilitySimple(prepared, sink);
  }

  #runUtilitySimple(prepared: Prepared, sink: ResultSink): MaybePromise<string> {
    const result = this.#utility(prepared, sink);
    if (!(result instanceof Promise) && result.rows === undefined) return result.tag;
    return this.#answerUtility(result, sink);
  }
  async #answerUtility(running: MaybePromise<UtilityResult>, sink: ResultSink): Promise<string> {
    const result = await running;
    if (result.columns !== undefined && result.rows !== undefined) {
      sink.rowDescription(result.columns);
      await this.#sendRows(result.rows, 0, result.rows.length, result.columns, [], sink);
    }
    return result.tag;
  }

  #refuseWhenFailed(ast: Statement): void {
    if (this.transaction.state !== "failed") return;
    switch (ast.kind) {
      case "commit":
      case "rollback":
      case "rollbackToSavepoint":
      case "prepareTransaction":
        return;
      default:
        throw new DbError(
          "inFailedSqlTransaction",
          "current transaction is aborted, commands ignored until end of transaction block",
        );
    }
  }

  /** `isStatus`: it is allowed where nothing else is. */
  #refuseUnserved(isStatus: boolean): void {
    const problem = isStatus ? undefined : this.server.unserved;
    if (problem !== undefined) throw problem;
  }

  #beginTransaction(state: "implicit" | "block"): void {
    this.transaction.begin(state, this.eval.statementTimestamp);
    this.eval.transactionTimestamp = this.transaction.startedAt;
  }

  beginBlock(): void {
    this.#beginTransaction("block");
  }

  // --- plans ------------------------------------------------------------------------------------------------------

  bindEnv(parameterTypes: number[], literalBase?: number, parametersFixed = false): BindEnv {
    return {
      catalog: this.catalog,
      searchPath: this.#path().names,
      parameterTypes,
      database: this.database.name,
      evalContext: this.eval,
      access: this.access,
      parametersFixed,
      ...(literalBase === undefined ? {} : { literalBase }),
    };
  }

  get rules(): SecurityRules {
    return this.#triedBundle === 0 ? this.server.securityRules : triedRules(this, this.#triedBundle);
  }
  /** SEC-17. @throws DbError as `triedRules`; 58030, 53100: it could not be told of */
  tryBundle(version: number): void {
    triedRules(this, version);
    this.#tellTried(version);
  }
  #tellTried(version: number): void {
    const { name: user } = this.role;
    const { audit } = this.server;
    audit.event(
      "CLUSTER_ADMIN",
      { action: "TRY SECURITY BUNDLE", target: String(version), user, outcome: "begun" },
      this,
    );
  }
  /** Rows are written under the current rules alone. */
  refuseWhileTrying(what: string): void {
    if (this.#triedBundle === 0) return;
    throw new DbError("readOnlySqlTransaction", `cannot execute ${what} while a security bundle is tried`, {
      hint: "RESET scratchbird.test_bundle_version.",
    });
  }
  get bundleRules(): BundleRules | undefined {
    const { view } = this.server.admin;
    return view.bundleRules(view.bundle.version);
  }
  get committed(): CatalogReader {
    return this.control.state;
  }
  get rowSecurity(): boolean {
    return this.settings.bool("row_security");
  }

  /** What operators need of the catalog. */
  buildContext(): BuildContext {
    return {
      catalog: this.catalog,
      // Stored texts are qualified: they are bound under an empty path.
      bindTableExpression: (tableId, sql, column) => {
        const table = this.catalog.relationById(tableId);
        assert(table?.kind === "table", "defaults belong to tables");
        const env: BindEnv = { ...this.bindEnv([]), searchPath: [] };
        return bindTableExpression(sql, undefined, "default", env, table.columns[column]!.type).expr;
      },
    };
  }

  planKey(): PlanKey {
    return {
      catalogVersion: this.catalog.version,
      settingsVersion: this.settings.planVersion,
      roleId: this.currentRoleId,
      rulesVersion: this.rules.version,
    };
  }

  isCurrent(key: PlanKey): boolean {
    return (
      key.catalogVersion === this.catalog.version &&
      key.settingsVersion === this.settings.planVersion &&
      key.roleId === this.currentRoleId &&
      key.rulesVersion === this.rules.version
    );
  }

  /** The operators are free, and a plan made now would not be another because of names, settings, or much more data. */
  isUsable(planned: Planned): boolean {
    if (planned.busy || !this.isCurrent(planned.key)) return false;
    if ((++planned.uses & usesPerLook) !== 0) return true;
    const { locks, pages } = planned;
    for (let at = 0; at < locks.length; at++) {
      const now = this.shard.table(this.catalog, locks[at]!.id).pageCount;
      if (now > 2 * pages[at]! + pagesOfNoMatter) return false;
    }
    return true;
  }

  /** Bind, plan, admit, build: everything that can be kept. */
  plan(prepared: Prepared, literalBase?: number): Planned {
    const types = [...prepared.parameterTypes];
    const plan = planQuery(
      prepared.parsed!.ast,
      this.bindEnv(types, literalBase, prepared.parametersFixed),
      this,
    );
    prepared.parameterTypes = [...plan.parameterTypes];
    return this.plannedOf(plan);
  }

  /**
   * A plan whose tables are locked: made anew when the catalog, the role's rights or the rules changed while a lock was awaited.
   * `make` plans, and checks whatever else depends on these.
   */
  async lockedPlan(make: () => PreparedPlan): Promise<PreparedPlan> {
    for (;;) {
      const key = this.planKey();
      const plan = make();
      this.shard.admit(this.catalog, this.currentRoleId, plan.privileges);
      for (const lock of locksOf(plan, this.catalog)) await this.lockTable(lock.id, lock.mode, lock.name);
      if (this.isCurrent(key)) return plan;
    }
  }

  plannedOf(plan: PreparedPlan): Planned {
    this.shard.admit(this.catalog, this.currentRoleId, plan.privileges);
    const locks = locksOf(plan, this.catalog);
    const context = new RunningContext(this, this.workMemory());
    const operator = buildPlan(plan.plan, this.buildContext());
    return {
      plan,
      key: this.planKey(),
      locks,
      context,
      operator,
      tag: plan.commandTag,
      returnsRows: plan.columns.length > 0 || plan.commandTag === "SELECT",
      modifies: plan.modifies,
      heavy: plan.plan.estimate.totalCost >= heavyCost,
      busy: false,
      pages: locks.map(({ id }) => this.shard.table(this.catalog, id).pageCount),
      uses: 0,
    };
  }

  /** Memory for one statement, drawn from the node's. A work_mem that was set is where operators begin to spill. */
  workMemory(): WorkMemory {
    const { statementMemory, workMemory } = this.server;
    const setting = this.settings.number("work_mem") * 1024;
    const spillBytes = setting === defaultWorkMemSetting ? defaultSpillBytes : setting;
    return new WorkMemory(statementMemory, Math.min(spillBytes, statementMemory / 2), workMemory);
  }

  tableSizeOf(id: ObjectId): { readonly rows: number; readonly pages: number } {
    const relation = this.catalog.relationById(id);
    if (relation?.kind !== "table") return { rows: 1000, pages: 10 };
    return this.tableSize(relation);
  }

  tableSize(table: TableDesc): { readonly rows: number; readonly pages: number } {
    const rows = this.shard.table(this.catalog, table.id);
    return { rows: rows.rowEstimate, pages: rows.pageCount };
  }

  #planned(prepared: Prepared): Planned {
    const known = prepared.planned;
    if (known !== undefined && this.isUsable(known)) return known;
    const planned = this.plan(prepared);
    if (prepared.columns !== undefined && !sameColumns(prepared.columns, planned.plan.columns)) {
      throw new DbError("featureNotSupported", "cached plan must not change result type");
    }
    if (known === undefined || !known.busy) prepared.planned = planned;
    return planned;
  }

  // --- running a plan ---------------------------------------------------------------------------------------------

  #runPlannable(prepared: Prepared, params: readonly Value[], sink: ResultSink): MaybePromise<string> {
    const planned = this.#planned(prepared);
    const portal: Portal = {
      name: "",
      prepared,
      params,
      formats: [],
      planned,
      state: "ready",
      rows: 0,
      utility: undefined,
      execution: undefined,
      sink: undefined,
    };
    portal.describes = planned.returnsRows;
    const done = this.runPortal(portal, 0, sink);
    if (done instanceof Promise) return done.then(() => tagOf(portal));
    return tagOf(portal);
  }

  /** Runs up to `maxRows` rows (0: all). Resolves true when the portal is finished. */
  runPortal(portal: Portal, maxRows: number, sink: ResultSink): MaybePromise<boolean> {
    const planned = portal.planned ?? this.#planned(portal.prepared);
    if (planned.heavy && portal.state !== "done") return this.#runHeavy(portal, maxRows, sink);
    return this.#runAdmitted(portal, maxRows, sink);
  }

  /** Heavy statements run when there is a place for them; while suspended they have none. */
  async #runHeavy(portal: Portal, maxRows: number, sink: ResultSink): Promise<boolean> {
    const { heavy } = this.server;
    const place = heavy.enter();
    if (place !== undefined) await this.#queue(place);
    this.#heavyRunning = true;
    try {
      return await this.#runAdmitted(portal, maxRows, sink);
    } finally {
      this.#heavyRunning = false;
      heavy.leave();
    }
  }

  async #queue(place: GatePlace): Promise<void> {
    try {
      await this.waitFor(place.ready, "Resource", "HeavyStatements");
    } catch (error) {
      this.server.heavy.abandon(place);
      throw error;
    }
  }

  /** Waits for something that does not depend on this statement's working: a heavy one leaves its place meanwhile. */
  async #aside(wait: Promise<void>): Promise<void> {
    const { heavy } = this.server;
    heavy.leave();
    try {
      await wait;
    } finally {
      heavy.comeBack();
    }
  }

  #runAdmitted(portal: Portal, maxRows: number, sink: ResultSink): MaybePromise<boolean> {
    let started: MaybePromise<void>;
    try {
      started = this.#open(portal);
    } catch (thrown) {
      if (!isWait(thrown)) throw thrown;
      started = this.waitFor(thrown.ready, "Lock", "relation").then(() => this.#openSlowly(portal));
    }
    if (started instanceof Promise) return started.then(() => this.#drive(portal, maxRows, sink));
    return this.#drive(portal, maxRows, sink);
  }

  async #openSlowly(portal: Portal): Promise<void> {
    for (;;) {
      try {
        return this.#open(portal);
      } catch (thrown) {
        if (!isWait(thrown)) throw thrown;
        await this.waitFor(thrown.ready, "Lock", "relation");
      }
    }
  }

  /** A cursor sees what was there when it was declared, whenever its rows are fetched. */
  openCursor(portal: Portal): Promise<void> {
    return this.#openSlowly(portal);
  }

  /** Locks, snapshot, operators. Throws Wait for a table lock; running it again goes on. */
  #open(portal: Portal): void {
    if (portal.state !== "ready") return;
    let planned = portal.planned ?? this.#planned(portal.prepared);
    const { unserved, audit } = this.server;
    const isTold = this.#audits || !this.server.auditRules.isEmpty;
    if (isTold && audit.log.isPressed && audit.log.problem === undefined)
      throw new Wait("journal", audit.log.progress());
    if (unserved !== undefined && !isStatusQuery(planned.plan, this.catalog)) throw unserved;
    if (planned.modifies && this.transaction.settings.readOnly) {
      throw new DbError(
        "readOnlySqlTransaction",
        `cannot execute ${planned.tag.split(" ")[0]} in a read-only transaction`,
      );
    }
    const { locks } = this.transaction;
    for (;;) {
      for (const lock of planned.locks)
        this.shard.locks.acquire(locks, lock.id, lock.mode, this.settings.number("lock_timeout"), lock.name);
      if (!planned.busy && this.isCurrent(planned.key)) break;
      // A table changed while its lock was awaited, or the operators are in another portal.
      planned = this.plan(portal.prepared);
    }
    this.auditUse(planned.plan, this.#hashOf(portal.prepared), portal);
    const { context } = planned;
    context.reset();
    context.params = portal.params;
    context.transaction = this.transaction.rows();
    context.snapshot = this.engine.statementSnapshot(context.transaction);
    planned.busy = true;
    portal.planned = planned;
    portal.state = "open";
    portal.execution = this.#execution(portal, planned);
  }

  /** Resolves true when the portal is finished. */
  #drive(portal: Portal, maxRows: number, sink: ResultSink): MaybePromise<boolean> {
    const { execution } = portal;
    if (execution === undefined || execution.ended) return true;
    portal.sink = sink;
    if (portal.describes === true) {
      portal.describes = false;
      sink.rowDescription(portal.planned!.plan.columns);
    }
    const sent = execution.run(maxRows);
    if (sent instanceof Promise) {
      return sent.then(
        () => this.#driven(portal),
        (error: unknown) => {
          this.#failPortal(portal);
          throw error;
        },
      );
    }
    return this.#driven(portal);
  }

  #execution(portal: Portal, planned: Planned): Execution {
    const { context } = planned;
    const { columns } = planned.plan;
    const { formats } = portal;
    const rows = context.transaction;
    const restarts = planned.modifies || planned.plan.lockedTables.length > 0;
    const mark = restarts ? this.engine.savepoint(rows) : undefined;
    return new Execution(planned.operator, context, columns.length, {
      clock: this.clock,
      onBatch: (batch) => {
        portal.rows += batch.length;
        return portal.sink!.rows(batch, columns, formats);
      },
      drained: () => (this.#heavyRunning ? this.#aside(portal.sink!.drained()) : portal.sink!.drained()),
      checks: context.checks,
      restart:
        mark === undefined
          ? undefined
          : () => {
              this.engine.rollbackTo(rows, mark);
              this.engine.releaseSnapshot(rows);
              context.reset();
              context.snapshot = this.engine.statementSnapshot(rows);
            },
    });
  }

  #driven(portal: Portal): boolean {
    const finished = portal.execution!.ended;
    if (finished) {
      if (portal.planned!.modifies) portal.rows = portal.planned!.context.rowsAffected;
      if (this.server.audit.queries || this.#ruled?.rowCounts === true) this.#auditQuery(portal);
      this.#closePortal(portal);
    }
    return finished;
  }

  #closePortal(portal: Portal): void {
    if (portal.state !== "open") {
      portal.state = "done";
      return;
    }
    portal.state = "done";
    const planned = portal.planned!;
    planned.busy = false;
    if (!portal.execution!.ended) portal.execution!.close();
    planned.context.memory.settle?.();
    const rows = this.transaction.engineTransaction;
    if (rows !== undefined && planned.context.transaction === rows && rows.state === "active")
      this.engine.releaseSnapshot(rows);
  }

  /** Its query failed, or went down with the savepoint behind which it was opened. */
  #failPortal(portal: Portal): void {
    this.#closePortal(portal);
    portal.state = "failed";
  }

  #dropPortal(portal: Portal): void {
    this.#closePortal(portal);
    if (portal.name === "") this.#unnamed = undefined;
    else this.portals.delete(portal.name);
  }

  /** Waits, unless the statement is cancelled first. */
  waitFor(ready: Promise<void>, type: string, event: string): Promise<void> {
    if (this.#heavyRunning && type === "Lock") return this.#aside(this.#waitFor(ready, type, event));
    return this.#waitFor(ready, type, event);
  }

  #waitFor(ready: Promise<void>, type: string, event: string): Promise<void> {
    const { activity } = this;
    if (this.#cancelled !== undefined) return Promise.reject(this.#cancelled);
    activity.waitEventType = type;
    activity.waitEvent = event;
    return new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        activity.waitEventType = null;
        activity.waitEvent = null;
        this.#cancelWaiters.delete(stop);
      };
      const stop = (error: DbError): void => {
        leave();
        this.waitParty.waiting?.fail(error);
        reject(error);
      };
      this.#cancelWaiters.add(stop);
      ready.then(
        () => {
          leave();
          resolve();
        },
        (error: unknown) => {
          leave();
          reject(error);
        },
      );
    });
  }

  // --- extended protocol ------------------------------------------------------------------------------------------

  parse(name: string, text: string, parameterTypes: readonly number[]): MaybePromise<void> {
    return this.#call(text, undefined, () => {
      const key = parameterTypes.length === 0 ? text : `${parameterTypes.join()}:${text}`;
      const before = this.#parsedTexts.get(key);
      const parsed = before === undefined ? parseOne(text) : before.parsed;
      if (parsed !== undefined) this.#refuseWhenFailed(parsed.ast);
      const prepared: Prepared = {
        name,
        text,
        parsed: parsed === undefined ? undefined : selectIntoTable(parsed),
        parameterTypes: [...parameterTypes],
        fromSql: false,
        preparedAt: this.eval.statementTimestamp,
        planned: undefined,
        columns: undefined,
      };
      if (before?.planned !== undefined && this.isUsable(before.planned)) {
        prepared.parameterTypes = before.parameterTypes;
        prepared.planned = before.planned;
      }
      this.addPrepared(prepared);
      if (prepared.planned === before?.planned || text.length > parsedTextBytesMax) return;
      if (before === undefined && this.#parsedTexts.size >= parsedTextsMax) {
        this.#parsedTexts.delete(this.#parsedTexts.keys().next().value!);
      }
      this.#parsedTexts.set(key, prepared);
    });
  }

  addPrepared(prepared: Prepared): void {
    const { name } = prepared;
    if (name !== "") {
      if (this.prepared.has(name))
        throw new DbError("duplicatePreparedStatement", `prepared statement "${name}" already exists`);
      if (this.prepared.size >= preparedMax)
        throw new DbError(
          "configurationLimitExceeded",
          `a session may hold at most ${preparedMax} prepared statements`,
        );
    }
    // Parameter types and names are settled now, so that errors show here and not at the first run.
    if (prepared.parsed !== undefined && isPlannable(prepared.parsed.ast)) {
      if (this.transaction.state === "none") this.#beginTransaction("implicit");
      prepared.planned ??= this.plan(prepared);
      prepared.columns = prepared.planned.plan.columns;
    } else if (prepared.parameterTypes.length > 0)
      prepared.parameterTypes = prepared.parameterTypes.map((oid) => (oid === 0 ? 25 : oid));
    this.prepared.set(name, prepared);
  }

  statement(name: string): Prepared {
    const prepared = this.prepared.get(name);
    if (prepared === undefined) {
      throw new DbError(
        "invalidSqlStatementName",
        name === ""
          ? "unnamed prepared statement does not exist"
          : `prepared statement "${name}" does not exist`,
      );
    }
    return prepared;
  }

  bind(
    portalName: string,
    statementName: string,
    parameterFormats: readonly number[],
    parameters: readonly (Uint8Array | null)[],
    resultFormats: readonly number[],
  ): MaybePromise<void> {
    const prepared = this.statement(statementName);
    if (this.transaction.state === "failed" && prepared.parsed !== undefined)
      this.#refuseWhenFailed(prepared.parsed.ast);
    const count = prepared.parameterTypes.length;
    if (parameterFormats.length > 1 && parameterFormats.length !== parameters.length) {
      throw new DbError(
        "protocolViolation",
        `bind message has ${parameterFormats.length} parameter formats but ${parameters.length} parameters`,
      );
    }
    if (parameters.length !== count) {
      throw new DbError(
        "protocolViolation",
        `bind message supplies ${parameters.length} parameters, but prepared statement "${statementName}" requires ${count}`,
      );
    }
    if (portalName !== "" && this.portals.has(portalName)) {
      throw new DbError("duplicateCursor", `cursor "${portalName}" already exists`);
    }
    const params: Value[] = [];
    for (let at = 0; at < count; at++) {
      const bytes = parameters[at]!;
      if (bytes === null) {
        params.push(null);
        continue;
      }
      const format =
        parameterFormats.length === 0
          ? 0
          : parameterFormats.length === 1
            ? parameterFormats[0]!
            : parameterFormats[at]!;
      params.push(this.#parameter(prepared.parameterTypes[at]!, bytes, format));
    }
    const width = prepared.columns?.length ?? 0;
    if (resultFormats.length > 1 && resultFormats.length !== width) {
      throw new DbError(
        "protocolViolation",
        `bind message has ${resultFormats.length} result formats but query has ${width} columns`,
      );
    }
    const portal: Portal = {
      name: portalName,
      prepared,
      params,
      formats: resultFormats,
      planned: undefined,
      state: "ready",
      rows: 0,
      utility: undefined,
      execution: undefined,
      sink: undefined,
    };
    if (portalName === "") {
      if (this.#unnamed !== undefined) this.#dropPortal(this.#unnamed);
      this.#unnamed = portal;
    } else this.portals.set(portalName, portal);
  }

  #parameter(oid: number, bytes: Uint8Array, format: number): Value {
    if (format === 1) return typeReceive(oid, bytes, this.eval);
    return parameterInput(oid, decodeUtf8(bytes as Buffer), this.eval);
  }

  describeStatement(name: string): MaybePromise<StatementDescription> {
    const prepared = this.statement(name);
    return { parameterTypes: prepared.parameterTypes, columns: this.#columnsOf(prepared) };
  }

  #columnsOf(prepared: Prepared): readonly OutputColumn[] | undefined {
    if (prepared.parsed === undefined) return undefined;
    if (prepared.columns !== undefined)
      return prepared.planned?.returnsRows === false ||
        (prepared.columns.length === 0 && prepared.planned?.tag !== "SELECT")
        ? undefined
        : prepared.columns;
    return utilityColumns(this, prepared.parsed.ast);
  }

  describePortal(name: string): {
    readonly columns: readonly OutputColumn[] | undefined;
    readonly formats: readonly number[];
  } {
    const portal = this.portal(name);
    return { columns: this.#columnsOf(portal.prepared), formats: portal.formats };
  }

  #allPortals(): Portal[] {
    return this.#unnamed === undefined
      ? [...this.portals.values()]
      : [this.#unnamed, ...this.portals.values()];
  }
  #portalNamed(name: string): Portal | undefined {
    return name === "" ? this.#unnamed : this.portals.get(name);
  }

  portal(name: string): Portal {
    const portal = this.#portalNamed(name);
    if (portal === undefined) throw new DbError("invalidCursorName", `portal "${name}" does not exist`);
    return portal;
  }

  execute(name: string, maxRows: number, sink: ResultSink): MaybePromise<void> {
    const portal = this.portal(name);
    return this.#call(portal.prepared.text, sink, () => this.#execute(portal, maxRows, sink));
  }

  #execute(portal: Portal, maxRows: number, sink: ResultSink): MaybePromise<void> {
    const { parsed } = portal.prepared;
    if (parsed === undefined) {
      sink.emptyQuery();
      return undefined;
    }
    if (this.transaction.state === "failed") this.#refuseWhenFailed(parsed.ast);
    if (this.transaction.state === "none") this.#beginTransaction("implicit");
    // A statement that has a plan is one that is planned.
    if (portal.prepared.planned === undefined && !isPlannable(parsed.ast))
      return this.#executeUtility(portal, maxRows, sink);
    if (portal.state === "done") {
      sink.complete(tagOf(portal, 0));
      return undefined;
    }
    if (portal.state === "failed") throw portalFailed(portal.name);
    const before = portal.rows;
    const finished = this.runPortal(portal, maxRows, sink);
    if (finished instanceof Promise)
      return finished.then((done) => this.#executed(portal, done, before, sink));
    return this.#executed(portal, finished, before, sink);
  }

  #executed(portal: Portal, finished: boolean, before: number, sink: ResultSink): void {
    if (!finished) sink.portalSuspended();
    else sink.complete(tagOf(portal, portal.planned!.modifies ? portal.rows : portal.rows - before));
  }

  #executeUtility(portal: Portal, maxRows: number, sink: ResultSink): MaybePromise<void> {
    const result = portal.utility ?? this.#utility(portal.prepared, sink);
    if (result instanceof Promise || result.rows !== undefined) {
      return this.#answerPortal(portal, result, maxRows, sink);
    }
    portal.state = "done";
    sink.complete(result.tag);
    return undefined;
  }
  async #answerPortal(
    portal: Portal,
    running: MaybePromise<UtilityResult>,
    maxRows: number,
    sink: ResultSink,
  ): Promise<void> {
    const result = await running;
    if (result.rows === undefined || result.columns === undefined) {
      portal.state = "done";
      sink.complete(result.tag);
      return;
    }
    portal.utility = result;
    const end = maxRows === 0 ? result.rows.length : Math.min(result.rows.length, portal.rows + maxRows);
    await this.#sendRows(result.rows, portal.rows, end, result.columns, portal.formats, sink);
    portal.rows = end;
    if (end < result.rows.length) sink.portalSuspended();
    else sink.complete(result.tag);
  }

  async #sendRows(
    rows: readonly (readonly Value[])[],
    from: number,
    to: number,
    columns: readonly OutputColumn[],
    formats: readonly number[],
    sink: ResultSink,
  ): Promise<void> {
    const width = columns.length;
    for (let at = from; at < to; at += 1024) {
      const count = Math.min(1024, to - at);
      const batch: Batch = Object.assign(Object.create(batchPrototype) as Batch, {
        length: count,
        columns: columns.map((_, column) => rows.slice(at, at + count).map((row) => row[column]!)),
      });
      assert(batch.columns.length === width, "a batch has the described width");
      if (!sink.rows(batch, columns, formats)) await sink.drained();
    }
  }

  closeStatement(name: string): void {
    this.prepared.delete(name);
  }
  closePortal(name: string): void {
    const portal = this.#portalNamed(name);
    if (portal !== undefined) this.#dropPortal(portal);
  }

  sync(): MaybePromise<void> {
    if (this.transaction.state !== "implicit") return undefined;
    return this.transaction.commit();
  }

  failed(error: DbError): void {
    this.#cancelled = undefined;
    this.#auditFailure(error);
    if (this.transaction.state === "implicit") this.transaction.rollback();
    else if (this.transaction.state === "block") {
      // What was opened before the newest savepoint is there again after ROLLBACK TO, unless it is what failed.
      const earlier = this.transaction.newestPortals as ReadonlySet<Portal> | undefined;
      for (const portal of this.#allPortals()) {
        if (portal.state !== "open") continue;
        if (portal.execution!.ended || earlier?.has(portal) !== true) this.#failPortal(portal);
      }
      this.transaction.fail();
    }
  }

  /** A statement without a plan is told of as it begins: how it ends, its own events and its failure say. */
  #auditUtility(text: string): void {
    this.server.audit.query(false, statementHash(text), 0, 0, this);
  }

  /** What a client sends again and again under a name is hashed once. */
  #hashOf(prepared: Prepared): () => string {
    return () => {
      if (prepared.textHash !== undefined) return prepared.textHash;
      const { query } = this.activity;
      const hash = statementHash(this.#several || prepared.name !== "" ? prepared.text : query);
      if (prepared.name !== "") prepared.textHash = hash;
      return hash;
    };
  }

  /** All that this session does is told of: because of its user, or because everybody's is. */
  get #audits(): boolean {
    return this.server.audit.queries || this.#isAuditedUser;
  }
  get #isAuditedUser(): boolean {
    return isAudited(this.catalog, this.sessionRoleId, this.currentRoleId);
  }

  /** Before a row is read: who breaks off has seen some, and so has who never comes to the end. */
  auditUse(
    plan: PreparedPlan,
    hash: () => string = () => statementHash(this.activity.query),
    portal?: Portal,
  ): void {
    if (plan.modifies) this.refuseWhileTrying(plan.command);
    const { audit, auditRules } = this.server;
    const ruled = auditRules.isEmpty ? undefined : auditRules.ofPlan(plan.privileges, this.#auditedRoles);
    this.#ruled = ruled;
    const uses = auditedUses(this.catalog, plan.privileges, this.#isAuditedUser);
    if (uses === undefined && ruled?.success !== true) return;
    const { name } = this.role;
    const asked = ruled && {
      ...usesOf(this.catalog, plan.privileges, ruled.detail),
      rules: ruled.rules,
      ...(ruled.parameters && portal !== undefined && { parameters: parameterTexts(portal) }),
    };
    audit.use(plan.modifies, { user: name, query_hash: hash(), ...uses, ...asked }, this);
  }
  get #auditedRoles(): readonly ObjectId[] {
    return [this.sessionRoleId, this.currentRoleId];
  }

  /** In the journal's next group with what it has changed, which is answered behind that. */
  #auditQuery({ planned, prepared, rows }: Portal): void {
    const hash = this.#hashOf(prepared)();
    this.server.audit.query(planned!.modifies, hash, rows, this.clock.monotonic() - this.#begun, this);
  }

  get #isRuledFailure(): boolean {
    const { auditRules } = this.server;
    if (auditRules.isEmpty) return false;
    return (this.#ruled ?? auditRules.ofFailed(this.#auditedRoles))?.failure === true;
  }

  /** What was refused is told of, and with audit_all_queries or by a rule whatever else failed. */
  #auditFailure(error: DbError): void {
    const { audit } = this.server;
    const denied = error.condition === "insufficientPrivilege";
    if (!denied && !this.#audits && !this.#isRuledFailure) return;
    const query_hash = statementHash(this.activity.query);
    if (denied)
      audit.note(
        "PERMISSION_DENIED",
        { action: "statement", policy_violated: "privileges", query_hash, resource: error.message },
        this,
      );
    else audit.note("QUERY_EXECUTED", { query_hash, rows_affected: 0, sqlstate: error.sqlstate }, this);
  }

  cancel(reason: DbError): void {
    if (!this.#running) return;
    this.#cancelled = reason;
    for (const stop of [...this.#cancelWaiters]) stop(reason);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.#idleTimer?.cancel();
    const end = (): void => {
      for (const portal of this.#allPortals()) this.#dropPortal(portal);
      this.transaction.rollback();
      this.server.closed(this);
    };
    if (this.#running) {
      // The running call ends by this and leaves the transaction to us.
      this.cancel(new DbError("connectionFailure", "the client's connection is gone"));
    }
    end();
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  // --- what plans and statements ask of the session ---------------------------------------------------------------

  notice(notice: Notice): void {
    this.#sink?.notice(notice);
  }
  get sink(): ResultSink | undefined {
    return this.#sink;
  }

  checkInterrupt(): void {
    if (this.#cancelled !== undefined) throw this.#cancelled;
  }

  /** Between steps of long utility statements: yields to the loop after 2 ms, and notices a cancel. */
  async breathe(): Promise<void> {
    this.checkInterrupt();
    const now = this.clock.monotonic();
    if (now - this.#sliceStart < breathMs) return;
    await (this.clock.turn?.() ?? this.clock.yield());
    this.#sliceStart = this.clock.monotonic();
    this.checkInterrupt();
  }

  async retrying<T>(work: () => T): Promise<T> {
    for (;;) {
      try {
        return work();
      } catch (thrown) {
        if (!isWait(thrown)) throw thrown;
        await this.waitFor(thrown.ready, thrown.reason === "lock" ? "Lock" : "IO", thrown.reason);
      }
    }
  }

  async lockTable(tableId: ObjectId, mode: LockMode, name: string, noWait = false): Promise<void> {
    for (;;) {
      try {
        this.transaction.lock(tableId, mode, name, noWait);
        return;
      } catch (thrown) {
        if (!isWait(thrown)) throw thrown;
        await this.waitFor(thrown.ready, "Lock", "relation");
      }
    }
  }

  /** For expressions that stand outside any query. */
  constantContext(): RunningContext {
    const context = new RunningContext(this, this.workMemory());
    context.transaction = this.transaction.rows();
    context.snapshot = this.engine.newestSnapshot!(context.transaction);
    return context;
  }

  planOf(prepared: Prepared): Planned {
    return this.#planned(prepared);
  }

  table(id: ObjectId): Table {
    return this.shard.table(this.catalog, id);
  }
  virtualRows(relationId: ObjectId): Iterable<readonly Value[]> {
    return virtualRows(this, relationId);
  }
  openSpill(): SpillFile {
    const limit = this.settings.number("temp_file_limit");
    const { tempFileLimit } = this.server.options;
    this.spills.limit = limit < 0 ? tempFileLimit : Math.min(limit * 1024, tempFileLimit);
    return this.spills.open();
  }
  deferToCommit(check: () => void, constraint: ConstraintDesc, tableId: ObjectId): void {
    this.transaction.deferToCommit(check, constraint.id, tableId);
  }
  isDeferred(constraint: ConstraintDesc): boolean {
    if (constraint.deferrable !== true) return false;
    return this.deferral.one.get(constraint.id) ?? this.deferral.all ?? constraint.initiallyDeferred === true;
  }

  setting(name: string): string {
    return this.settings.showExisting(name);
  }
  checkedSetting(name: string, values: readonly string[]): string {
    return this.server.checkSetting(name, values);
  }
  timestamp(text: string): number {
    return typeInput(1184, text, this.eval) as number;
  }
  passwordVerifier(password: string): Promise<string> {
    return this.server.passwordVerifier(password);
  }

  /** SQL of our own inside the running transaction: no privilege checks, no portal, rows to `each`. */
  internal(
    sql: string,
    params: readonly Value[],
    each?: (batch: Batch) => MaybePromise<void>,
  ): Promise<number> {
    const parsed = parseOne(sql);
    assert(parsed !== undefined && isPlannable(parsed.ast), "internal statements are queries");
    const plan = planQuery(parsed.ast, { ...this.bindEnv([]), access: undefined }, this);
    return this.runPlanned(plan, each, params);
  }

  /** Runs a plan once, to its end; answers the number of rows. */
  async runPlanned(
    plan: PreparedPlan,
    each?: (batch: Batch) => MaybePromise<void>,
    params: readonly Value[] = [],
  ): Promise<number> {
    const context = new RunningContext(this, this.workMemory());
    const operator = buildPlan(plan.plan, this.buildContext());
    context.params = params;
    context.transaction = this.transaction.rows();
    context.snapshot = this.engine.statementSnapshot(context.transaction);
    let rows = 0;
    let pending: Promise<void> | undefined;
    try {
      await runPlan(operator, context, plan.columns.length, {
        clock: this.clock,
        checks: context.checks,
        onBatch: (batch) => {
          rows += batch.length;
          const step = each?.(batch);
          if (step === undefined) return true;
          pending = step;
          return false;
        },
        drained: () => pending ?? Promise.resolve(),
      });
    } finally {
      if (context.transaction.state === "active") this.engine.releaseSnapshot(context.transaction);
    }
    return plan.modifies ? context.rowsAffected : rows;
  }

  #utility(prepared: Prepared, sink: ResultSink): MaybePromise<UtilityResult> {
    const { ast } = prepared.parsed!;
    this.#refuseUnserved(isStatusStatement(ast));
    if (this.#audits && !untold.has(ast.kind)) this.#auditUtility(prepared.text);
    if (isDdl(ast)) {
      return runDdl(this, ast).then((tag) => {
        this.#catalogStatements.push({ ast, text: prepared.text });
        return { tag };
      });
    }
    return runUtility(this, ast, prepared, sink);
  }

  info(): SessionInfo {
    const role = this.catalog.roleById(this.sessionRoleId);
    const rows = this.transaction.engineTransaction;
    return {
      pid: this.pid,
      user: role?.name ?? this.eval.sessionUser,
      userId: this.sessionRoleId,
      database: this.database.name,
      applicationName: this.settings.text("application_name"),
      clientAddress: this.start.remoteAddress === "" ? null : this.start.remoteAddress.replace(/:\d+$/, ""),
      clientPort: Number(/:(\d+)$/.exec(this.start.remoteAddress)?.[1] ?? -1),
      backendStart: this.backendStart,
      transactionStart: this.transaction.state === "none" ? null : this.transaction.startedAt,
      queryStart: this.activity.queryStart,
      stateChange: this.activity.stateChange,
      state: this.activity.state,
      waitEventType: this.activity.waitEventType,
      waitEvent: this.activity.waitEvent,
      query: shownText(this.activity.query),
      transactionId: rows?.id ?? 0,
      isolation: this.transaction.state === "none" ? "readCommitted" : this.transaction.settings.isolation,
      readOnly: this.transaction.state !== "none" && this.transaction.settings.readOnly,
      encrypted: this.start.encrypted,
      tls: this.start.tls,
      certificate: this.start.certificate,
    };
  }

  addCursor(name: string, prepared: Prepared, cursor: CursorInfo): Portal {
    if (this.portals.has(name)) throw new DbError("duplicateCursor", `cursor "${name}" already exists`);
    const portal: Portal = {
      name,
      prepared,
      params: [],
      formats: [],
      planned: undefined,
      state: "ready",
      rows: 0,
      utility: undefined,
      execution: undefined,
      sink: undefined,
      cursor,
    };
    this.portals.set(name, portal);
    return portal;
  }

  /** For statements that do their work outside the transaction: nothing of it may depend on them. */
  refuseInBlock(what: string): void {
    if (this.transaction.state === "block" || this.#several)
      throw new DbError("activeSqlTransaction", `${what} cannot run inside a transaction block`);
    if (this.transaction.hasRows || this.catalog !== this.control.state)
      throw new DbError("activeSqlTransaction", `${what} cannot be executed within a pipeline`);
  }
}

const batchPrototype = {
  get width(): number {
    return (this as unknown as Batch).columns.length;
  },
};

function tagOf(portal: Portal, rows = portal.rows): string {
  const { tag } = portal.planned!;
  return `${tag} ${rows}`;
}

function sameColumns(left: readonly OutputColumn[], right: readonly OutputColumn[]): boolean {
  return (
    left.length === right.length &&
    left.every((column, at) => column.name === right[at]!.name && column.type.oid === right[at]!.type.oid)
  );
}

function locksOf(
  plan: PreparedPlan,
  catalog: { relationById(id: ObjectId): { kind: string; name: string } | undefined },
): TableLock[] {
  const locks: TableLock[] = [];
  for (const id of plan.objects) {
    const relation = catalog.relationById(id);
    if (relation?.kind !== "table") continue;
    const mode = plan.modifiedTables.includes(id)
      ? "RowExclusive"
      : plan.lockedTables.includes(id)
        ? "RowShare"
        : "AccessShare";
    locks.push({ id, name: relation.name, mode });
  }
  return locks;
}

export { notSupported };

/** Of a statement's parameters, as they are written; NULL as null. */
function parameterTexts({ params, prepared }: Portal): (string | null)[] {
  return params.map((value, at) =>
    value === null ? null : typeOutput(prepared.parameterTypes[at] ?? oids.text, value, defaultSettings),
  );
}
