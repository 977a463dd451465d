/**
 * The server around the sessions of one node: who is connected, who may log in, cancel keys, background sweep.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { assert, DbError } from "../base/errors.js";
import { isWait } from "../base/wait.js";
import type { ClusterAdmin } from "../cluster/contract.js";
import type { ChurnWindow, ControlPlane } from "../cluster/index.js";
import { WorkMemoryPool } from "../exec/index.js";
import type { SweepReport } from "../mga/contract.js";
import type { DatabaseDesc, RoleDesc, TableDesc, ViewDesc } from "../model/schema.js";
import type { SecurityRules } from "../model/security-rules.js";
import type { Alert } from "../observe/index.js";
import type { Clock, Disk, Random } from "../platform/index.js";
import { createVerifier, decide, type LoginAttempt, type LoginDecision } from "../security/index.js";
import { holdsPrivileges } from "../security/privileges.js";
import type { Shard } from "../shard/index.js";
import type { Expr as AstExpr } from "../sql/ast.js";
import type { Expr } from "../sql/expr.js";
import { viewText } from "../sql/index.js";
import { AdvisoryLocks } from "./advisory.js";
import type { Audit, AuditPayload } from "./audit.js";
import { BundleAuditRules } from "./audit-rules.js";
import { BundleSecurityRules, TriedBundles } from "./bundle-rules.js";
import type { Session, SessionHost, SessionStart } from "./contract.js";
import { microsNow } from "./eval-context.js";
import { HeavyGate } from "./heavy-gate.js";
import { bindColumnExpression } from "./queries.js";
import { servingProblem } from "./serving.js";
import { ServerSession } from "./session.js";
import { parseValue, SessionSettings, settingDefOf } from "./settings.js";

export interface ServerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly control: ControlPlane;
  /** What administrative statements change and sys views show. */
  readonly admin: ClusterAdmin;
  /** Absent: nobody counts changes of the cluster. */
  readonly churn?: Pick<ChurnWindow, "rows" | "score"> | undefined;
  readonly audit: Audit;
  readonly shards: readonly Shard[];
  readonly maxConnections: number;
  readonly reservedConnections: number;
  /** Of the wire's; shown in seconds. */
  readonly authenticationTimeoutMs: number;
  readonly pageSize: number;
  readonly poolPages: number;
  /** Bytes: of one statement, and of all together. */
  readonly statementMemory: number;
  readonly workMemory: number;
  /** Heavy statements that run at once. */
  readonly heavyStatements: number;
  readonly tempFileLimit: number;
  /** Connection rules are set aside until the next start. */
  readonly ignoreConnectionRules?: boolean | undefined;
  readonly counters: () => Iterable<Metric>;
  readonly checkpoint: () => Promise<void>;
  readonly log: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

/** A row of sys.performance. */
export interface Metric {
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  /** What it covers: the node since its start, or the last seconds. */
  readonly scope: string;
}

export class Server implements SessionHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly control: ControlPlane;
  readonly audit: Audit;
  readonly shards: readonly Shard[];
  readonly advisory: AdvisoryLocks;
  readonly sweeper: Sweeper;
  readonly workMemory: WorkMemoryPool;
  readonly heavy: HeavyGate;
  readonly startedAt: number;
  /** Where clients reach it, once it listens. */
  address: { readonly address: string; readonly port: number } | null = null;
  /** Row and column rules of the cluster's security bundle. Their version only rises. */
  securityRules: SecurityRules;
  readonly #bundleRules: BundleSecurityRules;
  readonly triedBundles = new TriedBundles();
  readonly auditRules: BundleAuditRules;
  /** Those that fire on this node; replaced by whoever looks for them. */
  alerts: () => Iterable<Alert> = () => [];
  readonly #sessions = new Map<number, ServerSession>();
  readonly #keys = new Map<number, Uint8Array>();
  /** Clients whose session another node runs. */
  readonly #places = new Set<{ readonly roleId: number }>();
  #nextPid = 1;

  constructor(readonly options: ServerOptions) {
    this.clock = options.clock;
    this.random = options.random;
    this.disk = options.disk;
    this.control = options.control;
    this.audit = options.audit;
    this.shards = options.shards;
    this.startedAt = microsNow(options.clock);
    this.advisory = new AdvisoryLocks(options.clock, this.home.locks.waits);
    this.sweeper = new Sweeper(this);
    this.workMemory = new WorkMemoryPool(options.workMemory);
    this.heavy = new HeavyGate(options.heavyStatements);
    this.#bundleRules = new BundleSecurityRules(options.admin);
    this.securityRules = this.#bundleRules;
    this.auditRules = new BundleAuditRules(options.admin);
  }

  get admin(): ClusterAdmin {
    return this.options.admin;
  }
  /** Why this node serves no clients now, but for its status. */
  get unserved(): DbError | undefined {
    const { admin } = this.options;
    return servingProblem(admin.view.members.get(admin.status.node)) ?? this.#bundleRules.problem;
  }
  /** Unsharded tables live on the first shard. */
  get home(): Shard {
    return this.shards[0]!;
  }
  get statementMemory(): number {
    return Math.min(this.options.statementMemory, this.options.workMemory);
  }
  /** What sys.performance shows. */
  *performance(): Iterable<Metric> {
    yield* this.options.counters();
    const now = (metric: string, value: number, unit: string): Metric => ({
      metric,
      value,
      unit,
      scope: "now",
    });
    let active = 0;
    for (const session of this.#sessions.values()) if (session.activity.state === "active") active++;
    yield now("sessions", this.#sessions.size, "sessions");
    yield now("sessions_active", active, "sessions");
    yield now("work_memory_used", this.workMemory.usedBytes, "bytes");
    yield now("work_memory_limit", this.workMemory.limitBytes, "bytes");
    yield now("heavy_statements_running", this.heavy.running, "statements");
    yield now("heavy_statements_queued", this.heavy.queued, "statements");
  }
  /** For metrics. */
  loadNumbers() {
    let active = 0;
    for (const session of this.#sessions.values()) if (session.activity.state === "active") active++;
    return {
      open: this.#sessions.size,
      active,
      workMemoryUsedBytes: this.workMemory.usedBytes,
      workMemoryLimitBytes: this.workMemory.limitBytes,
      heavyRunning: this.heavy.running,
      heavyQueued: this.heavy.queued,
    };
  }
  sessions(): Iterable<ServerSession> {
    return this.#sessions.values();
  }
  get sessionCount(): number {
    return this.#sessions.size;
  }

  // --- SessionHost ------------------------------------------------------------------------------------------------

  passwordOf(user: string): string | undefined {
    const role = this.control.state.roleByName(user);
    if (role === undefined || !role.login) return undefined;
    const until = role.validUntil;
    if (until !== undefined && until !== "infinity" && Number(until) < microsNow(this.clock))
      return undefined;
    return role.password;
  }

  decideLogin(attempt: LoginAttempt): LoginDecision {
    return decide(this.control.state, attempt, this.options.ignoreConnectionRules);
  }

  /** Ends what logged in more than so many milliseconds ago: idle sessions at once, others with their transaction (SEC-7). */
  endOldSessions(lifetimeMs: number): void {
    const before = this.clock.now() - lifetimeMs;
    for (const session of [...this.#sessions.values()])
      if (session.authenticatedAt < before) session.expire();
  }

  database(name: string): DatabaseDesc | undefined {
    for (const object of this.control.state.objects())
      if (object.kind === "database" && object.name === name) return object;
    return undefined;
  }

  #admit(start: SessionStart): { readonly role: RoleDesc; readonly database: DatabaseDesc } {
    try {
      return this.#admitted(start);
    } catch (error) {
      if (error instanceof DbError)
        this.audit.note("LOGIN_FAILURE", {
          username: start.user,
          database: start.database,
          ip_address: addressOf(start),
          failure_reason: error.message,
          sqlstate: error.sqlstate,
        });
      throw error;
    }
  }

  /** Who wants to connect, if he may and there is room for him. */
  #admitted(start: SessionStart): { readonly role: RoleDesc; readonly database: DatabaseDesc } {
    const { state } = this.control;
    const role = state.roleByName(start.user);
    if (role === undefined)
      throw new DbError("invalidAuthorizationSpecification", `role "${start.user}" does not exist`);
    if (!role.login)
      throw new DbError(
        "invalidAuthorizationSpecification",
        `role "${start.user}" is not permitted to log in`,
      );
    const database = this.database(start.database);
    if (database === undefined)
      throw new DbError("invalidCatalogName", `database "${start.database}" does not exist`);
    if (!holdsPrivileges(state, role.id, "database", database.owner, database.acl, "c")) {
      throw new DbError("insufficientPrivilege", `permission denied for database "${database.name}"`, {
        detail: "User does not have CONNECT privilege.",
      });
    }
    const { maxConnections, reservedConnections } = this.options;
    const connected = this.#sessions.size + this.#places.size;
    if (connected >= maxConnections)
      throw new DbError("tooManyConnections", "sorry, too many clients already");
    if (!role.superuser && connected >= maxConnections - reservedConnections) {
      throw new DbError(
        "tooManyConnections",
        "remaining connection slots are reserved for non-replication superuser connections",
      );
    }
    if (role.connectionLimit >= 0 && !role.superuser) {
      let held = 0;
      for (const session of this.#sessions.values()) if (session.sessionRoleId === role.id) held++;
      for (const { roleId } of this.#places) if (roleId === role.id) held++;
      if (held >= role.connectionLimit)
        throw new DbError("tooManyConnections", `too many connections for role "${role.name}"`);
    }
    return { role, database };
  }

  reserve(start: SessionStart): () => void {
    const { role } = this.#admit(start);
    const place = { roleId: role.id };
    this.#places.add(place);
    const who = { userUuid: this.audit.userUuid(role.id), sessionUuid: this.audit.newSessionUuid() };
    const told = { ...loginPayload(start, role), relayed: true };
    this.audit.note("LOGIN_SUCCESS", told, who);
    return () => {
      if (this.#places.delete(place)) this.audit.note("LOGOUT", told, who);
    };
  }

  recorded(): Promise<void> | undefined {
    return this.audit.recorded();
  }

  openSession(start: SessionStart): Session {
    const { role, database } = this.#admit(start);
    const { maxConnections, authenticationTimeoutMs } = this.options;
    const pid = this.#newPid();
    let session: ServerSession | undefined;
    // What stands with the database and the role somebody who might has put there; the rest the client asks for.
    let byAdministrator = true;
    const settings = new SessionSettings({
      isSuperuser: () =>
        session === undefined
          ? byAdministrator || role.superuser
          : session.control.state.roleById(session.currentRoleId)?.superuser === true,
      server: [
        ["max_connections", maxConnections],
        ["authentication_timeout", Math.ceil(authenticationTimeoutMs / 1000)],
        ["session_authorization", role.name],
        ["is_superuser", role.superuser],
      ],
    });
    for (const [name, value] of Object.entries(database.settings ?? {}))
      settings.setText(name, value, { source: "database" });
    for (const [name, value] of Object.entries(role.settings ?? {}))
      settings.setText(name, value, { source: "user" });
    byAdministrator = false;
    for (const [name, value] of start.settings) settings.setText(name, value, { source: "client" });
    settings.startUpDone();
    session = new ServerSession(this, start, pid, database, role, settings);
    const key = new Uint8Array(4);
    this.random.fill(key);
    this.#sessions.set(pid, session);
    this.#keys.set(pid, key);
    this.audit.note("LOGIN_SUCCESS", loginPayload(start, role), session);
    return session;
  }

  #newPid(): number {
    while (this.#sessions.has(this.#nextPid)) this.#nextPid++;
    const pid = this.#nextPid++;
    if (this.#nextPid > 0x3fffffff) this.#nextPid = 1;
    return pid;
  }

  cancelKeyOf(session: Session): Uint8Array {
    const key = this.#keys.get(session.pid);
    assert(key !== undefined, "a live session has a cancel key");
    return key;
  }

  cancel(pid: number, key: Uint8Array): boolean {
    const session = this.#sessions.get(pid);
    const known = this.#keys.get(pid) ?? new Uint8Array(4);
    // Compared as hashes, so that neither length nor content shows in the time it takes.
    const same = timingSafeEqual(
      createHash("sha256").update(known).digest(),
      createHash("sha256").update(key).digest(),
    );
    if (session === undefined || !same) return false;
    session.cancel(new DbError("queryCanceled", "canceling statement due to user request"));
    return true;
  }

  closed(session: ServerSession): void {
    this.advisory.unlockAll(session, "all");
    if (this.#sessions.has(session.pid))
      this.audit.note("LOGOUT", { user: session.start.user, ip_address: addressOf(session.start) }, session);
    this.#sessions.delete(session.pid);
    this.#keys.delete(session.pid);
  }

  /** pg_cancel_backend, pg_terminate_backend. */
  signal(by: ServerSession, pid: number, what: "cancel" | "terminate"): boolean {
    const session = this.#sessions.get(pid);
    if (session === undefined) {
      by.notice({
        severity: "WARNING",
        sqlstate: "01000",
        message: `PID ${pid} is not a PostgreSQL backend process`,
      });
      return false;
    }
    const me = by.catalog.roleById(by.currentRoleId);
    if (me?.superuser !== true && session.sessionRoleId !== by.currentRoleId) {
      throw new DbError(
        "insufficientPrivilege",
        `must be a member of the role whose ${what === "cancel" ? "query is being canceled" : "process is being terminated"}`,
      );
    }
    if (what === "cancel")
      session.cancel(new DbError("queryCanceled", "canceling statement due to user request"));
    else
      session.start.client?.terminate(
        new DbError("adminShutdown", "terminating connection due to administrator command"),
      );
    return true;
  }

  // --- for sessions -----------------------------------------------------------------------------------------------

  passwordVerifier(password: string): Promise<string> {
    return createVerifier(password, this.random);
  }

  checkSetting(name: string, values: readonly string[]): string {
    const def = settingDefOf(name);
    if (def === undefined)
      throw new DbError("undefinedObject", `unrecognized configuration parameter "${name}"`);
    const text = values.join(", ");
    parseValue(def, text);
    return text;
  }

  checkpoint(): Promise<void> {
    return this.options.checkpoint();
  }

  databaseBytes(): number {
    let pages = 0;
    for (const shard of this.shards) pages += shard.store.pagesAllocated;
    return pages * this.options.pageSize;
  }

  viewText(session: ServerSession, view: ViewDesc, pretty: boolean): string {
    return viewText(view, session.bindEnv([]), pretty);
  }

  tableExpression(session: ServerSession, table: TableDesc, expr: AstExpr): Expr {
    return bindColumnExpression(expr, table, session.bindEnv([]));
  }

  role(name: string): RoleDesc | undefined {
    return this.control.state.roleByName(name);
  }

  log(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.options.log(message, fields);
  }
}

/** Without the port. */
const addressOf = ({ remoteAddress }: SessionStart): string => remoteAddress.replace(/:\d+$/, "");

function loginPayload(start: SessionStart, role: RoleDesc): AuditPayload {
  return {
    user: role.name,
    database: start.database,
    ip_address: addressOf(start),
    auth_method: "scram-sha-256",
    encrypted: start.encrypted,
  };
}

export interface SweepStatus {
  readonly shard: string;
  readonly oldestInteresting: number;
  readonly oldestActive: number;
  readonly oldestSnapshot: number;
  readonly next: number;
  readonly sweepInterval: number;
  readonly running: boolean;
  readonly lastSweepAt: number | null;
  readonly lastDurationMs: number | null;
  readonly versionsRemoved: number;
  readonly recordsBackedOut: number;
}

/** SWEEP over all shards, one at a time (MGA-32). */
export class Sweeper {
  #running = false;
  readonly #last = new Map<Shard, { readonly at: number; readonly report: SweepReport }>();

  constructor(readonly server: Server) {}

  /** undefined: one was running already, nothing was done. */
  async run(breathe: () => Promise<void>): Promise<SweepReport | undefined> {
    if (this.#running) return undefined;
    this.#running = true;
    try {
      const total = {
        versionsRemoved: 0,
        recordsBackedOut: 0,
        entriesRemoved: 0,
        pagesVisited: 0,
        durationMs: 0,
      };
      for (const shard of this.server.shards) {
        const report = await this.#sweep(shard, breathe);
        this.#last.set(shard, { at: microsNow(this.server.clock), report });
        total.versionsRemoved += report.versionsRemoved;
        total.recordsBackedOut += report.recordsBackedOut;
        total.entriesRemoved += report.entriesRemoved;
        total.pagesVisited += report.pagesVisited;
        total.durationMs += report.durationMs;
      }
      return total;
    } finally {
      this.#running = false;
    }
  }

  async #sweep(shard: Shard, breathe: () => Promise<void>): Promise<SweepReport> {
    const sweep = shard.engine.sweep(false);
    try {
      for (;;) {
        let done: boolean;
        try {
          done = sweep.step();
        } catch (thrown) {
          if (!isWait(thrown)) throw thrown;
          await thrown.ready;
          continue;
        }
        if (done) return sweep.report;
        await breathe();
      }
    } finally {
      sweep.abandon();
    }
  }

  setSweepInterval(interval: number): void {
    for (const shard of this.server.shards) shard.engine.setSweepInterval?.(interval);
  }

  /** Whether a shard's markers call for a sweep (MGA-30). */
  get isDue(): boolean {
    return this.server.shards.some(({ engine }) => {
      const { oldestSnapshot, oldestInteresting, sweepInterval } = engine.markers;
      return sweepInterval > 0 && oldestSnapshot - oldestInteresting > sweepInterval;
    });
  }

  status(): SweepStatus[] {
    return this.server.shards.map((shard): SweepStatus => {
      const { markers } = shard.engine;
      const last = this.#last.get(shard);
      return {
        shard: shard.name,
        oldestInteresting: markers.oldestInteresting,
        oldestActive: markers.oldestActive,
        oldestSnapshot: markers.oldestSnapshot,
        next: markers.next,
        sweepInterval: markers.sweepInterval,
        running: this.#running,
        lastSweepAt: last?.at ?? null,
        lastDurationMs: last?.report.durationMs ?? null,
        versionsRemoved: last?.report.versionsRemoved ?? 0,
        recordsBackedOut: last?.report.recordsBackedOut ?? 0,
      };
    });
  }
}
