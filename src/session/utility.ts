/**
 * Statements that are neither queries nor catalog changes: transactions, settings, prepared statements, cursors, COPY,
 * EXPLAIN, maintenance. Each answers a command tag, some with rows.
 */
import { DbError, notSupported } from "../base/errors.js";
import { settingDef as clusterSettingDef } from "../cluster/settings.js";
import type { Isolation } from "../mga/contract.js";
import type { TableDesc } from "../model/schema.js";
import { typeInput } from "../model/types.js";
import type { Value } from "../model/value.js";
import { hasRights, rolesOf } from "../security/privileges.js";
import type { LockMode } from "../shard/index.js";
import type {
  DeclareCursor,
  Execute,
  Explain,
  Fetch,
  LockTable,
  SettingValue,
  SetVariable,
  Statement,
  Sweep,
  TransactionModes,
  Vacuum,
} from "../sql/ast.js";
import type { OutputColumn } from "../sql/plan.js";
import { analyzeTable } from "./analyze.js";
import { clusterColumns, runCluster } from "./cluster.js";
import type { MaybePromise, ResultSink } from "./contract.js";
import { runCopy } from "./copy.js";
import { runCreateTableAs } from "./create-table-as.js";
import { DdlContext } from "./ddl/context.js";
import { placeIndex } from "./ddl/tables.js";
import { explain, explainColumns } from "./explain.js";
import { isPlannable, type Portal, type Prepared, portalFailed, type UtilityResult } from "./prepared.js";
import { constantArguments, resolveTypeName } from "./queries.js";
import type { ServerSession } from "./session.js";
import { retrying, type TransactionSettings } from "./transaction.js";

const textColumn = (name: string): OutputColumn => ({ name, type: { oid: 25, typmod: -1 } });
const column = (name: string, oid: number): OutputColumn => ({ name, type: { oid, typmod: -1 } });

const commitResult: UtilityResult = { tag: "COMMIT" };

const isolationNames: Readonly<Record<Isolation, string>> = {
  readCommitted: "read committed",
  repeatableRead: "repeatable read",
  serializable: "serializable",
};

const sweepColumns: readonly OutputColumn[] = [
  textColumn("shard"),
  column("oit", 20),
  column("oat", 20),
  column("ost", 20),
  column("next", 20),
  column("sweep_interval", 20),
  column("sweep_running", 16),
  column("last_sweep_at", 1184),
  column("last_duration_ms", 701),
  column("versions_removed", 20),
  column("records_backed_out", 20),
];

/** Columns of a statement that is not a query, before it runs; undefined: it returns no rows. */
export function utilityColumns(session: ServerSession, ast: Statement): readonly OutputColumn[] | undefined {
  switch (ast.kind) {
    case "show":
      return showColumns(session, ast.name);
    case "explain":
      return explainColumns(ast);
    case "sweep":
      return ast.status ? sweepColumns : undefined;
    case "cluster":
      return clusterColumns(ast);
    case "fetch": {
      if (ast.move) return undefined;
      const portal = session.portals.get(ast.cursor);
      if (portal === undefined) return undefined;
      return portal.planned?.plan.columns ?? portal.prepared.columns;
    }
    case "execute":
      return session.prepared.get(ast.name)?.columns;
    default:
      return undefined;
  }
}

function showColumns(_session: ServerSession, name: string | undefined): readonly OutputColumn[] {
  return name === undefined
    ? [textColumn("name"), textColumn("setting"), textColumn("description")]
    : [textColumn(canonicalSetting(name))];
}

const shownNames: Readonly<Record<string, string>> = {
  timezone: "TimeZone",
  datestyle: "DateStyle",
  intervalstyle: "IntervalStyle",
};
function canonicalSetting(name: string): string {
  return shownNames[name.toLowerCase()] ?? name.toLowerCase();
}

/** Runs a statement that is no query; the ends and beginnings of transactions without a promise where nothing waits. */
export function runUtility(
  session: ServerSession,
  ast: Statement,
  prepared: Prepared,
  sink: ResultSink,
): MaybePromise<UtilityResult> {
  const { transaction } = session;
  switch (ast.kind) {
    case "begin":
      if (transaction.state === "block")
        session.notice({
          severity: "WARNING",
          sqlstate: "25001",
          message: "there is already a transaction in progress",
        });
      else session.beginBlock();
      applyModes(session, ast.modes);
      return { tag: ast.start ? "START TRANSACTION" : "BEGIN" };
    case "commit":
      return commit(session, ast.chain);
    case "rollback":
      if (transaction.state === "implicit")
        session.notice({
          severity: "WARNING",
          sqlstate: "25P01",
          message: "there is no transaction in progress",
        });
      if (ast.chain && transaction.state === "implicit")
        throw new DbError(
          "noActiveSqlTransaction",
          "ROLLBACK AND CHAIN can only be used in transaction blocks",
        );
      endBlock(session, ast.chain, () => transaction.rollback());
      return { tag: "ROLLBACK" };
    default:
      return runOther(session, ast, prepared, sink);
  }
}

async function runOther(
  session: ServerSession,
  ast: Statement,
  prepared: Prepared,
  sink: ResultSink,
): Promise<UtilityResult> {
  const { transaction, settings } = session;
  switch (ast.kind) {
    case "savepoint":
      requireBlock(session, "SAVEPOINT");
      transaction.savepoint(ast.name);
      return { tag: "SAVEPOINT" };
    case "releaseSavepoint":
      requireBlock(session, "RELEASE SAVEPOINT");
      transaction.release(ast.name);
      return { tag: "RELEASE" };
    case "rollbackToSavepoint":
      requireBlock(session, "ROLLBACK TO SAVEPOINT");
      // Not to be cancelled half way: it ends what failed.
      await retrying(() => transaction.rollbackTo(ast.name));
      return { tag: "ROLLBACK" };
    case "prepareTransaction":
    case "commitPrepared":
    case "rollbackPrepared":
      throw notSupported("two-phase commit (PREPARE TRANSACTION)", ast.position);
    case "setTransaction":
      return setTransaction(session, ast.session, ast.modes);
    case "setTransactionSnapshot":
      throw notSupported("SET TRANSACTION SNAPSHOT", ast.position);
    case "setConstraints":
      return setConstraints(session, ast.constraints, ast.deferred);
    case "set":
      return set(session, ast);
    case "reset":
      if (ast.name === undefined) settings.resetAll();
      else if (ast.name === "role") setRole(session, undefined, false);
      else if (ast.name === "session_authorization") resetAuthorization(session);
      else settings.reset(ast.name);
      return { tag: "RESET" };
    case "show":
      return show(session, ast.name);
    case "alterSystem":
      refuseClusterKey(ast.set.name ?? "", "ALTER SYSTEM");
      throw notSupported("ALTER SYSTEM", ast.position);
    case "discard":
      return discard(session, ast.what);
    case "prepare":
      session.addPrepared({
        name: ast.name,
        text: prepared.text,
        parsed: { ast: ast.statement, start: ast.statementStart, end: ast.statementEnd },
        parameterTypes: ast.parameterTypes.map((type) => resolveTypeName(type).oid),
        fromSql: true,
        preparedAt: session.now(),
        planned: undefined,
        columns: undefined,
      });
      return { tag: "PREPARE" };
    case "execute":
      return execute(session, ast, sink);
    case "deallocate":
      if (ast.name === undefined) {
        session.prepared.clear();
        return { tag: "DEALLOCATE ALL" };
      }
      session.statement(ast.name);
      session.closeStatement(ast.name);
      return { tag: "DEALLOCATE" };
    case "declareCursor":
      return declare(session, ast, prepared);
    case "fetch":
      return fetch(session, ast, sink);
    case "close":
      if (ast.name === undefined) {
        for (const portal of [...session.portals.values()])
          if (portal.cursor !== undefined) session.closePortal(portal.name);
        return { tag: "CLOSE CURSOR ALL" };
      }
      if (session.portals.get(ast.name) === undefined)
        throw new DbError("invalidCursorName", `cursor "${ast.name}" does not exist`);
      session.closePortal(ast.name);
      return { tag: "CLOSE CURSOR" };
    case "copy":
      return runCopy(session, ast, sink);
    case "explain":
      return runExplain(session, ast);
    case "createTableAs":
      return runCreateTableAs(session, ast);
    case "vacuum":
    case "analyze":
      return maintain(session, ast);
    case "sweep":
      return sweep(session, ast);
    case "reindex":
      return reindex(session, ast);
    case "clusterTable":
      return { tag: "CLUSTER" };
    case "checkpoint":
      if (!session.role.superuser)
        throw new DbError(
          "insufficientPrivilege",
          "must be superuser or have privileges of pg_checkpoint to do CHECKPOINT",
        );
      await session.server.checkpoint();
      return { tag: "CHECKPOINT" };
    case "lockTable":
      return lockTable(session, ast);
    case "listen":
      throw notSupported("LISTEN", ast.position);
    case "unlisten":
      return { tag: "UNLISTEN" };
    case "notify":
      throw notSupported("NOTIFY", ast.position);
    case "alterDatabase":
      return alterDatabase(session, ast);
    case "cluster":
      return runCluster(session, ast);
    case "unsupported":
      throw notSupported(ast.feature, ast.position);
    default:
      throw notSupported(
        ast.kind.replace(/([A-Z])/g, " $1").toUpperCase(),
        "position" in ast ? ast.position : undefined,
      );
  }
}

// --- transactions ---------------------------------------------------------------------------------------------------

function requireBlock(session: ServerSession, what: string): void {
  const { state } = session.transaction;
  if (state !== "block" && state !== "failed")
    throw new DbError("noActiveSqlTransaction", `${what} can only be used in transaction blocks`);
}

function commit(session: ServerSession, chain: boolean): MaybePromise<UtilityResult> {
  const { transaction } = session;
  switch (transaction.state) {
    case "implicit":
      if (chain)
        throw new DbError(
          "noActiveSqlTransaction",
          "COMMIT AND CHAIN can only be used in transaction blocks",
        );
      session.notice({
        severity: "WARNING",
        sqlstate: "25P01",
        message: "there is no transaction in progress",
      });
      return { tag: "COMMIT" };
    case "failed":
      endBlock(session, chain, () => transaction.rollback());
      return { tag: "ROLLBACK" };
    default: {
      const modes = chain ? transaction.settings : undefined;
      const durable = transaction.commit();
      return durable === undefined
        ? committed(session, modes)
        : durable.then(() => committed(session, modes));
    }
  }
}

function committed(session: ServerSession, chained: TransactionSettings | undefined): UtilityResult {
  if (chained !== undefined) {
    session.beginBlock();
    session.transaction.configure(chained);
  }
  return commitResult;
}

function endBlock(session: ServerSession, chain: boolean, end: () => void): void {
  const modes = session.transaction.settings;
  end();
  if (!chain) return;
  session.beginBlock();
  session.transaction.configure(modes);
}

function isolationOf(modes: TransactionModes): Isolation | undefined {
  switch (modes.isolation) {
    case undefined:
      return undefined;
    case "serializable":
      return "serializable";
    case "repeatableRead":
    case "snapshot":
      return "repeatableRead";
    case "snapshotTableStability":
      throw notSupported("SNAPSHOT TABLE STABILITY");
    default:
      return "readCommitted";
  }
}

function applyModes(session: ServerSession, modes: TransactionModes): void {
  const isolation = isolationOf(modes);
  const { transaction, settings } = session;
  if (modes.reserving.length > 0) throw notSupported("RESERVING");
  transaction.configure({
    ...(isolation === undefined ? {} : { isolation }),
    ...(modes.readOnly === undefined ? {} : { readOnly: modes.readOnly }),
    ...(modes.deferrable === undefined ? {} : { deferrable: modes.deferrable }),
  });
  if (isolation !== undefined)
    settings.setInternal("transaction_isolation", isolationNames[isolation], { local: true });
  if (modes.readOnly !== undefined)
    settings.setInternal("transaction_read_only", modes.readOnly, { local: true });
  if (modes.deferrable !== undefined)
    settings.setInternal("transaction_deferrable", modes.deferrable, { local: true });
  if (modes.wait === false && modes.lockTimeoutSeconds !== undefined) {
    throw new DbError("invalidParameterValue", "LOCK TIMEOUT cannot be combined with NO WAIT");
  }
  // NO WAIT fails within a millisecond of waiting: the shortest timeout there is.
  if (modes.wait === false) settings.set("lock_timeout", ["1"], { local: true });
  else if (modes.lockTimeoutSeconds !== undefined)
    settings.set("lock_timeout", [String(modes.lockTimeoutSeconds * 1000)], { local: true });
}

function setTransaction(
  session: ServerSession,
  wholeSession: boolean,
  modes: TransactionModes,
): UtilityResult {
  if (wholeSession) {
    const isolation = isolationOf(modes);
    if (isolation !== undefined)
      session.settings.set("default_transaction_isolation", [isolationNames[isolation]]);
    if (modes.readOnly !== undefined)
      session.settings.set("default_transaction_read_only", [modes.readOnly ? "on" : "off"]);
    if (modes.deferrable !== undefined)
      session.settings.set("default_transaction_deferrable", [modes.deferrable ? "on" : "off"]);
    return { tag: "SET" };
  }
  if (session.transaction.state !== "block") {
    session.notice({
      severity: "WARNING",
      sqlstate: "25P01",
      message: "SET TRANSACTION can only be used in transaction blocks",
    });
    return { tag: "SET" };
  }
  applyModes(session, modes);
  return { tag: "SET" };
}

async function setConstraints(
  session: ServerSession,
  names: readonly { readonly schema?: string | undefined; readonly name: string }[],
  deferred: boolean,
): Promise<UtilityResult> {
  if (session.transaction.state !== "block") {
    session.notice({
      severity: "WARNING",
      sqlstate: "25P01",
      message: "SET CONSTRAINTS can only be used in transaction blocks",
    });
  }
  if (names.length === 0) {
    session.deferral.all = deferred;
    session.deferral.one.clear();
  }
  for (const { name } of names) {
    const found = [...session.catalog.objects()].filter(
      (object) => object.kind === "constraint" && object.name === name,
    );
    if (found.length === 0) throw new DbError("undefinedObject", `constraint "${name}" does not exist`);
    for (const constraint of found) {
      if (constraint.kind !== "constraint" || constraint.deferrable !== true)
        throw new DbError("wrongObjectType", `constraint "${name}" is not deferrable`);
      session.deferral.one.set(constraint.id, deferred);
    }
  }
  if (!deferred) {
    await session.transaction.runDeferred((id) => {
      const constraint = session.catalog.get(id);
      return constraint?.kind !== "constraint" || !session.isDeferred(constraint);
    });
  }
  return { tag: "SET CONSTRAINTS" };
}

// --- settings -------------------------------------------------------------------------------------------------------

function set(session: ServerSession, ast: SetVariable): UtilityResult {
  const name = ast.name.toLowerCase();
  const values = ast.values?.map(valueText);
  if (ast.local && session.transaction.state !== "block") {
    session.notice({
      severity: "WARNING",
      sqlstate: "25P01",
      message: "SET LOCAL can only be used in transaction blocks",
    });
  }
  switch (name) {
    case "role":
      setRole(session, values?.[0] === "none" || values === undefined ? undefined : values[0], ast.local);
      break;
    case "session_authorization":
      if (values === undefined || values[0] === "default") resetAuthorization(session);
      else setAuthorization(session, values[0]!);
      break;
    case "transaction_isolation":
    case "transaction_read_only":
    case "transaction_deferrable": {
      const value = values?.[0]?.toLowerCase() ?? "";
      applyModes(session, {
        reserving: [],
        ...(name === "transaction_isolation"
          ? {
              isolation: (
                {
                  serializable: "serializable",
                  "repeatable read": "repeatableRead",
                  "read committed": "readCommitted",
                  "read uncommitted": "readUncommitted",
                } as const
              )[value],
            }
          : name === "transaction_read_only"
            ? { readOnly: ["on", "true", "yes", "1"].includes(value) }
            : { deferrable: ["on", "true", "yes", "1"].includes(value) }),
      });
      break;
    }
    default:
      refuseClusterKey(name, "SET");
      if (name === "scratchbird.test_bundle_version" && Number(values?.[0]) > 0)
        session.tryBundle(Number(values![0]));
      session.settings.set(name, values ?? [], { local: ast.local });
  }
  return { tag: "SET" };
}

/** Keys of the epoch are nobody's own (SQL-20). */
function refuseClusterKey(name: string, statement: string): void {
  if (clusterSettingDef(name.toLowerCase()) === undefined) return;
  throw new DbError("cantChangeRuntimeParam", `parameter "${name}" cannot be changed by ${statement}`, {
    detail: "It is a setting of the whole cluster.",
    hint: `Use ALTER CLUSTER SET ${name.toLowerCase()} = ...`,
  });
}

function valueText(value: SettingValue): string {
  return value.text;
}

function setRole(session: ServerSession, name: string | undefined, local: boolean): void {
  if (name === undefined) {
    changeRole(session, "none", local);
    return;
  }
  const role = session.catalog.roleByName(name);
  if (role === undefined) throw new DbError("invalidParameterValue", `role "${name}" does not exist`);
  const me = session.catalog.roleById(session.sessionRoleId);
  if (me?.superuser !== true && !rolesOf(session.catalog, session.sessionRoleId, false).has(role.id)) {
    throw new DbError("insufficientPrivilege", `permission denied to set role "${name}"`);
  }
  changeRole(session, name, local);
}

/** The settings' listeners make the change, so that a rollback takes it back too. */
function changeRole(session: ServerSession, shown: string, local: boolean): void {
  session.settings.setInternal("role", shown, { local });
}

function setAuthorization(session: ServerSession, name: string): void {
  const role = session.catalog.roleByName(name);
  if (role === undefined) throw new DbError("undefinedObject", `role "${name}" does not exist`);
  const login = session.catalog.roleByName(session.start.user);
  if (login?.superuser !== true && role.id !== login?.id) {
    throw new DbError("insufficientPrivilege", "permission denied to set session authorization");
  }
  session.settings.setInternal("session_authorization", name);
  changeRole(session, "none", false);
}

function resetAuthorization(session: ServerSession): void {
  setAuthorization(session, session.start.user);
}

function show(session: ServerSession, name: string | undefined): UtilityResult {
  const columns = showColumns(session, name);
  if (name === undefined)
    return { tag: "SHOW", columns, rows: session.settings.showAll().map((row) => [...row]) };
  const special = specialSetting(session, name);
  return { tag: "SHOW", columns, rows: [[special ?? session.settings.showExisting(name)]] };
}

function specialSetting(session: ServerSession, name: string): string | undefined {
  const { transaction } = session;
  switch (name.toLowerCase()) {
    case "transaction_isolation":
      return isolationNames[transaction.settings.isolation];
    case "transaction_read_only":
      return transaction.settings.readOnly ? "on" : "off";
    case "transaction_deferrable":
      return transaction.settings.deferrable ? "on" : "off";
    default:
      return clusterSettingDef(name.toLowerCase()) === undefined
        ? undefined
        : session.server.admin.view.setting(name.toLowerCase());
  }
}

function discard(session: ServerSession, what: "all" | "plans" | "sequences" | "temp"): UtilityResult {
  if (what === "all") {
    session.refuseInBlock("DISCARD ALL");
    for (const portal of [...session.portals.values()])
      if (portal.cursor !== undefined) session.closePortal(portal.name);
    session.prepared.clear();
    session.settings.resetAll();
    resetAuthorization(session);
  }
  if (what === "plans")
    for (const prepared of session.prepared.values())
      if (prepared.planned?.busy !== true) prepared.planned = undefined;
  return { tag: what === "all" ? "DISCARD ALL" : `DISCARD ${what.toUpperCase()}` };
}

// --- EXECUTE, cursors -----------------------------------------------------------------------------------------------

async function execute(session: ServerSession, ast: Execute, sink: ResultSink): Promise<UtilityResult> {
  const prepared = session.statement(ast.name);
  if (ast.args.length !== prepared.parameterTypes.length) {
    throw new DbError("syntaxError", `wrong number of parameters for prepared statement "${ast.name}"`, {
      detail: `Expected ${prepared.parameterTypes.length} parameters but got ${ast.args.length}.`,
    });
  }
  const params = constantArguments(
    ast.args,
    prepared.parameterTypes,
    session.bindEnv([]),
    session.constantContext(),
  );
  if (prepared.parsed === undefined) return { tag: "" };
  if (!isPlannable(prepared.parsed.ast)) return runUtility(session, prepared.parsed.ast, prepared, sink);
  const portal = newPortal("", prepared, params);
  const planned = session.planOf(prepared);
  portal.planned = planned;
  if (planned.returnsRows) sink.rowDescription(planned.plan.columns);
  await session.runPortal(portal, 0, sink);
  return { tag: `${planned.tag} ${portal.rows}` };
}

function newPortal(name: string, prepared: Prepared, params: readonly Value[]): Portal {
  return {
    name,
    prepared,
    params,
    formats: [],
    planned: undefined,
    state: "ready",
    rows: 0,
    utility: undefined,
    execution: undefined,
    sink: undefined,
  };
}

async function declare(
  session: ServerSession,
  ast: DeclareCursor,
  prepared: Prepared,
): Promise<UtilityResult> {
  if (!ast.hold) requireBlock(session, "DECLARE CURSOR");
  if (ast.hold) throw notSupported("DECLARE CURSOR WITH HOLD", ast.position);
  const inner: Prepared = {
    ...prepared,
    name: "",
    parsed: { ast: ast.query, start: 0, end: 0 },
    planned: undefined,
    columns: undefined,
    parameterTypes: [],
  };
  const planned = session.plan(inner);
  inner.planned = planned;
  inner.columns = planned.plan.columns;
  const portal = session.addCursor(ast.name, inner, {
    text: prepared.text,
    hold: ast.hold,
    scroll: ast.scroll,
    binary: ast.binary,
    createdAt: session.now(),
  });
  try {
    await session.openCursor(portal);
  } catch (error) {
    session.closePortal(ast.name);
    throw error;
  }
  return { tag: "DECLARE CURSOR" };
}

/** Rows of a cursor that have gone by are kept when it may scroll back. */
async function fetch(session: ServerSession, ast: Fetch, sink: ResultSink): Promise<UtilityResult> {
  const portal = session.portals.get(ast.cursor);
  if (portal === undefined) throw new DbError("invalidCursorName", `cursor "${ast.cursor}" does not exist`);
  if (ast.direction !== "forward" || (ast.count ?? 1) < 0)
    throw notSupported("scrolling cursors", ast.position);
  if (portal.state === "failed") throw portalFailed(ast.cursor);
  const word = ast.move ? "MOVE" : "FETCH";
  if (ast.count === 0) throw notSupported(`${word} 0`, ast.position);
  const planned = portal.planned ?? portal.prepared.planned!;
  const before = portal.rows;
  const target = ast.move ? quietSink(sink) : sink;
  if (!ast.move) sink.rowDescription(planned.plan.columns);
  if (portal.state !== "done") await session.runPortal(portal, ast.count ?? 0, target);
  return { tag: `${word} ${portal.rows - before}` };
}

/** MOVE: rows go by unseen. */
function quietSink(sink: ResultSink): ResultSink {
  return Object.assign(Object.create(sink) as ResultSink, { rows: () => true });
}

// --- EXPLAIN, maintenance -------------------------------------------------------------------------------------------

function runExplain(session: ServerSession, ast: Explain): Promise<UtilityResult> {
  return explain(session, ast);
}

async function maintain(session: ServerSession, ast: Vacuum): Promise<UtilityResult> {
  const option = (name: string): boolean =>
    ast.options.some((one) => one.name === name && !(one.value?.kind === "boolean" && !one.value.value));
  if (ast.kind === "vacuum") {
    session.refuseInBlock("VACUUM");
    if (option("full")) throw notSupported("VACUUM FULL", ast.position);
  }
  const ddl = new DdlContext(session);
  const tables: TableDesc[] = [];
  if (ast.targets.length === 0) {
    for (const object of session.catalog.objects())
      if (object.kind === "table" && hasRights(session.catalog, session.currentRoleId, object.owner))
        tables.push(object);
  } else {
    for (const target of ast.targets) {
      const relation = ddl.relation(target.table);
      if (relation.kind !== "table") {
        session.notice({
          severity: "WARNING",
          sqlstate: "01000",
          message: `skipping "${relation.name}" --- cannot ${ast.kind} non-tables or special system tables`,
        });
        continue;
      }
      for (const name of target.columns) {
        if (!relation.columns.some((one) => one.name === name && one.dropped !== true))
          throw new DbError(
            "undefinedColumn",
            `column "${name}" of relation "${relation.name}" does not exist`,
          );
      }
      if (!hasRights(session.catalog, session.currentRoleId, relation.owner)) {
        session.notice({
          severity: "WARNING",
          sqlstate: "01000",
          message: `permission denied to ${ast.kind} "${relation.name}", skipping it`,
        });
        continue;
      }
      tables.push(relation);
    }
  }
  if (ast.kind === "vacuum") await runSweep(session);
  if (ast.kind === "analyze" || option("analyze"))
    for (const table of tables) await analyze(session, ddl, table);
  return { tag: ast.kind === "vacuum" ? "VACUUM" : "ANALYZE" };
}

async function analyze(session: ServerSession, ddl: DdlContext, table: TableDesc): Promise<void> {
  await session.lockTable(table.id, "ShareUpdateExclusive", table.name);
  const rows = session.transaction.rows();
  const snapshot = session.engine.statementSnapshot(rows);
  try {
    const before = session.catalog.statisticsOf(table.id);
    const statistics = await analyzeTable({
      table,
      rows: session.table(table.id),
      snapshot,
      id: before?.id ?? ddl.draft.draw(),
      now: session.now(),
      breathe: () => session.breathe(),
    });
    ddl.draft.put(statistics);
  } finally {
    session.engine.releaseSnapshot(rows);
  }
}

async function runSweep(session: ServerSession): Promise<void> {
  await session.server.sweeper.run(() => session.breathe());
}

async function sweep(session: ServerSession, ast: Sweep): Promise<UtilityResult> {
  if (ast.status) {
    const rows = session.server.sweeper
      .status()
      .map((one): Value[] => [
        one.shard,
        one.oldestInteresting,
        one.oldestActive,
        one.oldestSnapshot,
        one.next,
        one.sweepInterval,
        one.running,
        one.lastSweepAt,
        one.lastDurationMs,
        one.versionsRemoved,
        one.recordsBackedOut,
      ]);
    return { tag: "SWEEP", columns: sweepColumns, rows };
  }
  session.refuseInBlock("SWEEP");
  const report = await session.server.sweeper.run(() => session.breathe());
  if (report === undefined)
    session.notice({
      severity: "NOTICE",
      sqlstate: "00000",
      message: "a sweep is already running, nothing was done",
    });
  else if (ast.verbose) {
    session.notice({
      severity: "INFO",
      sqlstate: "00000",
      message: `swept ${report.pagesVisited} pages in ${Math.round(report.durationMs)} ms: ${report.versionsRemoved} versions removed, ${report.recordsBackedOut} records backed out, ${report.entriesRemoved} index entries removed`,
    });
  }
  if (ast.analyze) {
    const ddl = new DdlContext(session);
    for (const object of [...session.catalog.objects()])
      if (object.kind === "table") await analyze(session, ddl, object);
  }
  return { tag: "SWEEP" };
}

async function reindex(
  session: ServerSession,
  ast: Extract<Statement, { kind: "reindex" }>,
): Promise<UtilityResult> {
  const ddl = new DdlContext(session);
  const rebuild = async (table: TableDesc, only?: number): Promise<void> => {
    ddl.mustOwnRelation(table);
    await session.lockTable(table.id, "AccessExclusive", table.name);
    for (const index of ddl.draft.indexesOf(table.id)) {
      if (only !== undefined && index.id !== only) continue;
      await placeIndex(ddl, table, { ...index, storageId: ddl.draft.draw() }, false);
    }
  };
  switch (ast.target) {
    case "table":
      await rebuild(ddl.table(ast.name));
      break;
    case "index": {
      const index = ddl.findIndex(ast.name);
      if (index === undefined) {
        const relation = ddl.findRelation(ast.name);
        if (relation !== undefined)
          throw new DbError("wrongObjectType", `"${relation.name}" is not an index`);
        throw new DbError("undefinedTable", `relation "${ast.name.name}" does not exist`);
      }
      await rebuild(ddl.draft.relationById(index.tableId) as TableDesc, index.id);
      break;
    }
    default: {
      session.refuseInBlock(`REINDEX ${ast.target.toUpperCase()}`);
      for (const object of [...ddl.draft.objects()]) {
        if (
          object.kind === "table" &&
          (ast.target !== "schema" || object.schemaId === ddl.schema(ast.name.name).id)
        )
          await rebuild(object);
      }
    }
  }
  return { tag: "REINDEX" };
}

async function lockTable(session: ServerSession, ast: LockTable): Promise<UtilityResult> {
  requireBlock(session, "LOCK TABLE");
  const ddl = new DdlContext(session);
  const mode = (ast.mode[0]!.toUpperCase() + ast.mode.slice(1)) as LockMode;
  for (const item of ast.tables) {
    const relation = ddl.relation(item.name);
    if (relation.kind === "virtual" || relation.kind === "view") continue;
    const letters =
      ast.mode === "accessShare"
        ? "r"
        : ast.mode === "rowShare" || ast.mode === "rowExclusive"
          ? "awdD"
          : "wdD";
    if (relation.kind === "table") {
      const held = [...letters].some((letter) => {
        try {
          ddl.need(
            "table",
            relation.owner,
            relation.acl,
            letter,
            `permission denied for table ${relation.name}`,
          );
          return true;
        } catch (error) {
          if (error instanceof DbError) return false;
          throw error;
        }
      });
      if (!held) throw new DbError("insufficientPrivilege", `permission denied for table ${relation.name}`);
    }
    await session.lockTable(relation.id, mode, relation.name, ast.noWait);
  }
  return { tag: "LOCK TABLE" };
}

function alterDatabase(
  session: ServerSession,
  ast: Extract<Statement, { kind: "alterDatabase" }>,
): UtilityResult {
  const ddl = new DdlContext(session);
  if (ast.name !== undefined && ast.name !== session.database.name)
    throw new DbError("invalidCatalogName", `database "${ast.name}" does not exist`);
  const database = ddl.draft.get(session.database.id);
  if (database?.kind !== "database") throw new DbError("invalidCatalogName", "the database was dropped");
  ddl.mustOwn(database, "database", database.name);
  switch (ast.action.kind) {
    case "sweepInterval":
      session.server.sweeper.setSweepInterval(ast.action.interval);
      return { tag: "ALTER DATABASE" };
    case "set": {
      const { set: change } = ast.action;
      const settings: Record<string, string> = { ...database.settings };
      if (change.kind === "reset") {
        if (change.name === undefined) for (const name of Object.keys(settings)) delete settings[name];
        else delete settings[change.name];
      } else if (change.values === undefined) delete settings[change.name];
      else settings[change.name] = session.checkedSetting(change.name, change.values.map(valueText));
      ddl.draft.put({ ...database, settings });
      return { tag: "ALTER DATABASE" };
    }
    default:
      throw notSupported(`ALTER DATABASE ${ast.action.kind}`);
  }
}

export { textColumn, typeInput };
