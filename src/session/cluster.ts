/**
 * Statements that administer the cluster (spec/15): members, settings, a forced cutover, SHOW CLUSTER; and join tokens.
 *
 * A statement is understood and checked here against the state as this node has it, so that what is wrong is told with the
 * names that were used; the leader checks the change again, and its word counts. It is answered once the change is applied
 * on this node (SQL-1).
 *
 * Checks come in this order: 0A000, 25001, 25006, 42501, then names (42704, 42710), values (22023, 28000), states (55000).
 * Invariants: a change is handed in once, outside any transaction (SQL-3); neither keys nor tokens reach the log.
 */
import { X509Certificate } from "node:crypto";
import type { EventType } from "../audit/index.js";
import { assert, DbError, notSupported } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import type {
  AuthorityAnswer,
  AuthorityRequest,
  CertificateFacts,
  ClusterChange,
  ClusterView,
  Member,
  Role,
  Rotation,
} from "../cluster/contract.js";
import {
  isVoting,
  leftBehind,
  overlapEnd,
  overlapMaxMs,
  quorumOf,
  roleBits,
  roleOf,
  rolesFrom,
} from "../cluster/index.js";
import { durationMs, nearestSetting, normalizeSetting, settingDef } from "../cluster/settings.js";
import type { ObjectId } from "../model/schema.js";
import { sysSchemaId } from "../model/schema.js";
import { parseUuid } from "../model/uuid.js";
import type { Interval, PgArray, Value } from "../model/value.js";
import {
  checkPeer,
  checkShare,
  fingerprintOf,
  publicKeyOf,
  readShare,
  usualShares,
} from "../security/index.js";
import type { ClusterStatement } from "../sql/ast.js";
import type { OutputColumn } from "../sql/plan.js";
import { statementText } from "./audit.js";
import {
  answered,
  ask,
  Call,
  type ClusterPrivilege,
  type Errand,
  type Rows,
  requirePrivilege,
  textOf,
} from "./cluster-call.js";
import { postgresEpochMs } from "./eval-context.js";
import type { UtilityResult } from "./prepared.js";
import { bundleErrands } from "./security-bundle.js";
import type { ServerSession } from "./session.js";
import { settingDefOf } from "./settings.js";
import { virtualRelations, virtualRows } from "./views/index.js";

/** A token serves one node; who wants more time says so. */
const tokenTtlMs = 3_600_000;
const tokenTtlMaxMs = 30 * 86_400_000;
/** Characters of a reason: every node keeps it for ever. */
const reasonMax = 1000;
/** CA-10, spec/03 R13: of the beginning of a certificate. */
const toleranceMs = 60_000;
/** Ports of a node (contract.md); a node that differs in one of them differs in all by as much. */
const ports = { control: 6433, rpc: 7433, pg: 5433 } as const;

// --- SHOW CLUSTER ----------------------------------------------------------------------------------------------------

const column = (name: string, oid: number): OutputColumn => ({ name, type: { oid, typmod: -1 } });

const statusColumns: readonly OutputColumn[] = [
  column("cluster_name", 25),
  column("cluster_uuid", 2950),
  column("epoch", 20),
  column("epoch_state", 25),
  column("leader", 25),
  column("term", 20),
  column("nodes_enabled", 23),
  column("voters", 23),
  column("quorum", 23),
  column("shards", 23),
  column("stability_score", 701),
  column("degraded", 16),
];
const tokenColumns: readonly OutputColumn[] = [column("join_token", 25), column("command", 25)];
const rotationColumns: readonly OutputColumn[] = [column("rotation_uuid", 2950), column("fingerprint", 25)];
const authorityColumns: readonly OutputColumn[] = [column("fingerprint", 25), column("certificate", 25)];
const shareColumns: readonly OutputColumn[] = [
  column("number", 23),
  column("share", 25),
  column("share_set", 25),
  column("fingerprint", 25),
];
const keyColumns: readonly OutputColumn[] = [column("fingerprint", 25), column("node_name", 25)];
const issuedColumns: readonly OutputColumn[] = [
  column("serial", 25),
  column("not_after", 1184),
  column("certificate", 25),
];

/** Views that SHOW CLUSTER shows, by the word that names them. */
const shownViews: Readonly<Record<string, string>> = {
  nodes: "nodes",
  epochs: "epochs",
  settings: "settings",
  certificates: "certificates",
};

function viewOf(name: string): { readonly id: ObjectId; readonly columns: readonly OutputColumn[] } {
  const relation = virtualRelations.find((one) => one.schemaId === sysSchemaId && one.name === name)!;
  return {
    id: relation.id,
    columns: relation.columns.map(({ name: label, type }) => ({ name: label, type })),
  };
}

/** Columns of a statement before it runs; undefined: it returns no rows. */
export function clusterColumns(ast: ClusterStatement): readonly OutputColumn[] | undefined {
  if (ast.command === "SHOW CLUSTER") {
    const first = ast.clauses[0]?.name;
    if (first === undefined || first === "status") return statusColumns;
    const view = shownViews[first];
    return view === undefined ? undefined : viewOf(view).columns;
  }
  return asked[headOf(ast)]?.columns;
}

function show(session: ServerSession, ast: ClusterStatement): UtilityResult {
  const first = ast.clauses[0]?.name ?? "status";
  if (first === "status") return { tag: "SHOW", columns: statusColumns, rows: [statusRow(session)] };
  const name = shownViews[first];
  if (name === undefined) throw notSupported(`SHOW CLUSTER ${first.toUpperCase()}`, ast.position);
  const { id, columns } = viewOf(name);
  let rows = [...virtualRows(session, id)];
  // The view has the session's settings too.
  if (first === "settings") rows = rows.filter(([key]) => settingDef(String(key)) !== undefined);
  return { tag: "SHOW", columns, rows };
}

function statusRow(session: ServerSession): Value[] {
  const { server } = session;
  const { view, status } = server.admin;
  const members = [...view.members.values()];
  const latest = view.epochs.at(-1);
  const voters = members.filter(isVoting).length;
  const leader = status.leader === undefined ? undefined : view.members.get(status.leader);
  return [
    view.clusterName,
    view.clusterUuid,
    latest?.epoch.number ?? null,
    latest?.state ?? null,
    leader?.name ?? null,
    status.term,
    members.filter((one) => one.state === "ENABLED").length,
    voters,
    quorumOf(voters),
    server.shards.length,
    server.options.churn?.score(session.clock.now()) ?? null,
    !status.hasQuorum || status.epochMismatch || members.some((one) => one.state === "FAILED"),
  ];
}

// --- statements that change ------------------------------------------------------------------------------------------

interface Action {
  readonly privilege: ClusterPrivilege;
  /** What is to be changed; undefined: nothing is, and the client was told. */
  readonly change: (call: Call) => ClusterChange | undefined;
}

const membership = (change: Action["change"]): Action => ({ privilege: "CLUSTER_MEMBERSHIP_ADMIN", change });
const configuration = (change: Action["change"]): Action => ({ privilege: "CLUSTER_CONFIG_ADMIN", change });

/** By the statement's leading words and, where there are several, the words of its first clause. */
const actions: Readonly<Record<string, Action>> = {
  "ADD NODE": membership(addNode),
  "ENABLE NODE": membership((call) => move(call, "ENABLED", ["DISABLED", "FAILED"], "enabled")),
  "DISABLE NODE": membership((call) => move(call, "DISABLED", ["ENABLED"], "disabled")),
  "REMOVE NODE": membership((call) => remove(call, call.object)),
  "ALTER NODE SET ROLES": membership((call) => {
    const member = present(call, call.object);
    return member && { kind: "setRoles", node: member.uuid, roles: rolesOfTexts(call.texts("set roles")) };
  }),
  "ALTER NODE SET ADDRESSES": membership((call) => {
    const member = present(call, call.object);
    return (
      member && {
        kind: "setAddresses",
        node: member.uuid,
        addresses: addressesOf(call.texts("set addresses")),
      }
    );
  }),
  "ALTER CLUSTER REMOVE NODE": membership((call) => remove(call, call.text("remove node"))),
  "ALTER CLUSTER SET": configuration(setSetting),
  "ALTER CLUSTER RESET": configuration((call) => ({ kind: "reset", key: knownKey(call.text("reset")) })),
  "ALTER CLUSTER FORCE CUTOVER TO EPOCH": configuration(forceCutover),
  "ALTER CLUSTER CA POLICY CUTOVER TO NEW CA": { privilege: "CLUSTER_CA_ADMIN", change: cutOverCa },
  "ALTER CLUSTER CA POLICY CANCEL OVERLAP": {
    privilege: "CLUSTER_CA_ADMIN",
    change: (call) => ({ kind: "cancelOverlap", id: runningRotation(call).id }),
  },
  "ALTER CLUSTER CA POLICY EXTEND OVERLAP BY": { privilege: "CLUSTER_CA_ADMIN", change: extendOverlap },
};

const ofCa = (
  run: Errand["run"],
  columns?: readonly OutputColumn[],
  event: EventType = "CLUSTER_ADMIN",
): Errand => ({ privilege: "CLUSTER_CA_ADMIN", columns, run, event });
const asked: Readonly<Record<string, Errand>> = {
  "ALTER CLUSTER ADD NODE": { privilege: "CLUSTER_MEMBERSHIP_ADMIN", columns: tokenColumns, run: invite },
  "ROTATE CA": ofCa(rotateCa, rotationColumns),
  "CREATE CA": ofCa(createCa, authorityColumns),
  "REVOKE CERTIFICATE": ofCa(revokeCertificate),
  "ISSUE CERTIFICATE": ofCa(issueCertificate, issuedColumns),
  "ALTER CLUSTER CA POLICY BEGIN OVERLAP WITH NEW CA CERTIFICATE": ofCa(beginOverlap, rotationColumns),
  ...bundleErrands,
  "ALTER CLUSTER CA POLICY EMERGENCY REVOKE CA": ofCa(replaceCa, rotationColumns, "CA_EMERGENCY"),
  "BACKUP CA KEY": ofCa(backupKey, shareColumns, "CA_KEY_CUSTODY"),
  "RECOVER CA KEY": ofCa(recoverKey, keyColumns, "CA_KEY_CUSTODY"),
};

function headOf({ command, clauses }: ClusterStatement): string {
  const first = clauses[0];
  return first !== undefined && (command === "ALTER NODE" || command === "ALTER CLUSTER")
    ? `${command} ${first.name.toUpperCase()}`
    : command;
}

export async function runCluster(session: ServerSession, ast: ClusterStatement): Promise<UtilityResult> {
  if (ast.command === "SHOW CLUSTER") return show(session, ast);
  const head = headOf(ast);
  const action = actions[head];
  const errand = asked[head];
  if (action === undefined && errand === undefined) throw notSupported(head, ast.position);
  // Not the text of a certificate or a request: it is long, and says nothing to who reads the log. Shares are secrets.
  const target =
    ast.name ??
    ast.clauses
      .filter(({ name }) => !/csr|certificate$|replace with|shares/.test(name))
      .flatMap(({ values }) => values.flatMap((value) => ("text" in value ? [value.text] : [])))[0];
  const fields = { user: session.role.name, target, pid: session.pid, ...session.traceFields };
  const { audit } = session.server;
  const told = {
    action: head,
    target: target ?? null,
    user: session.role.name,
    ...statementText(session.activity.query),
  };
  const call = new Call(session, ast, () =>
    audit.written(errand?.event ?? "CLUSTER_ADMIN", { ...told, outcome: "begun" }, session),
  );
  try {
    session.refuseInBlock(ast.command);
    refuseReadOnly(session, ast.command);
    requirePrivilege(session, (action ?? errand)!.privilege);
    const row = errand === undefined ? await carryOut(call, action!) : await errand.run(call);
    session.server.log(`administration: ${head}`, fields);
    const columns = errand?.columns;
    if (row === undefined || columns === undefined) return { tag: ast.command };
    const rows = "rows" in row ? row.rows.map((one) => [...one]) : [[...row]];
    return { tag: ast.command, columns, rows };
  } catch (error) {
    // SQL-8: refused ones are recorded too.
    if (error instanceof DbError) {
      session.server.log(`administration: ${head} was refused`, { ...fields, sqlstate: error.sqlstate });
      if (call.head !== undefined) audit.undone(call.head, error, session);
      else audit.note("CLUSTER_ADMIN", { ...told, outcome: "refused", sqlstate: error.sqlstate }, session);
    }
    throw error;
  }
}

async function carryOut(call: Call, { change }: Action): Promise<undefined> {
  const wanted = change(call);
  const { server, role, trace } = call.session;
  if (wanted === undefined) return;
  const head = await call.record();
  await answered(call.session, () => server.admin.change(wanted, role.name, trace, head));
}

function refuseReadOnly(session: ServerSession, what: string): void {
  if (session.transaction.settings.readOnly)
    throw new DbError("readOnlySqlTransaction", `cannot execute ${what} in a read-only transaction`);
}

// --- members ---------------------------------------------------------------------------------------------------------

function addNode(call: Call): ClusterChange | undefined {
  const uuid = uuidOf(call.object);
  const name = call.text("with name");
  const known = call.view.members.get(uuid) ?? nameHolder(call.view, name);
  if (known !== undefined) {
    const what = known.uuid === uuid ? `node with uuid ${uuid}` : `node "${name}"`;
    if (!call.ast.ifExists)
      throw new DbError("duplicateObject", `${what} already exists`, removedHint(known));
    call.notice("42710", `${what} already exists, skipping`);
    return undefined;
  }
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name))
    throw new DbError("invalidParameterValue", `invalid node name: "${name}"`, {
      detail: "It takes letters, digits, '-', '_' and '.', at most 63.",
    });
  const addresses = addressesOf(call.texts("addresses"));
  const roles = rolesOfTexts(call.texts("roles"));
  const certificate = certificateOf(call, call.text("certificate"), uuid);
  return {
    kind: "addMember",
    member: {
      uuid,
      name,
      certFingerprint: fingerprintOf(certificate),
      publicKey: publicKeyOf(certificate),
      certificate: factsOf(call, certificate),
      addresses,
      hostLabel: hostAndPort(addresses.control).host,
      roles,
      // It says its own when it starts.
      version: call.self.version,
    },
  };
}

/** What is noted of a certificate that one of the cluster's CAs has issued. */
function factsOf({ view }: Call, certificate: X509Certificate): CertificateFacts {
  const issuer = view.authorities.find(({ certificatePem }) => {
    const authority = new X509Certificate(certificatePem);
    return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
  });
  assert(issuer !== undefined, "it was checked by the cluster's CAs");
  return {
    serial: certificate.serialNumber.toLowerCase(),
    issuer: issuer.fingerprint,
    notBefore: Date.parse(certificate.validFrom),
    notAfter: Date.parse(certificate.validTo),
  };
}

/** Names of removed nodes are free again; uuids are not (MEM-1). */
function nameHolder(view: ClusterView, name: string): Member | undefined {
  const holder = view.memberByName(name);
  return holder?.state === "REMOVED" ? undefined : holder;
}

function removedHint({ state }: Member): { readonly hint?: string } {
  return state === "REMOVED"
    ? { hint: "A removed node does not come back: join with a new data folder." }
    : {};
}

/** The member, unless it is removed. */
function present(call: Call, nameOrUuid: string): Member | undefined {
  const member = call.find(nameOrUuid);
  if (member?.state === "REMOVED")
    throw new DbError("objectNotInPrerequisiteState", `node "${member.name}" is REMOVED`);
  return member;
}

function move(
  call: Call,
  to: "ENABLED" | "DISABLED",
  from: readonly Member["state"][],
  done: string,
): ClusterChange | undefined {
  const member = call.find(call.object);
  if (member === undefined) return undefined;
  if (!from.includes(member.state))
    throw new DbError("objectNotInPrerequisiteState", `node "${member.name}" is ${member.state}`, {
      detail: `Only a node that is ${from.join(" or ")} can be ${done}.`,
    });
  const reason = reasonOf(call) ?? `${done} by ${call.session.role.name}`;
  return { kind: "moveMember", node: member.uuid, to, reason };
}

function remove(call: Call, nameOrUuid: string): ClusterChange | undefined {
  const force = call.has("force");
  const refuse = (clause: string, message: string): never => {
    throw new DbError("syntaxError", message, { position: call.clause(clause).position });
  };
  if (force && call.has("graceful")) refuse("force", "GRACEFUL and FORCE exclude each other");
  const allowDataLoss = call.has("allow data loss");
  if (allowDataLoss && !force) refuse("allow data loss", "ALLOW DATA LOSS needs FORCE");
  const member = present(call, nameOrUuid);
  if (member === undefined) return undefined;
  const reason = reasonOf(call) ?? `removed by ${call.session.role.name}`;
  return { kind: "removeMember", node: member.uuid, reason, force, allowDataLoss };
}

function reasonOf(call: Call): string | undefined {
  if (!call.has("reason")) return undefined;
  const reason = call.text("reason");
  if (reason.length > reasonMax)
    throw new DbError("invalidParameterValue", `a reason has at most ${reasonMax} characters`);
  return reason;
}

/** ALTER CLUSTER ADD NODE: what to run on the new node's host. */
async function invite(call: Call): Promise<Value[]> {
  const { session, view, self } = call;
  const given = call.text("add node");
  const { host, port } = hostAndPort(given);
  for (const member of view.members.values()) {
    if (member.state === "REMOVED" || port === undefined) continue;
    if (member.addresses.control === `${host}:${port}`)
      throw new DbError("duplicateObject", `node "${member.name}" is at ${given} already`);
  }
  const roles = call.has("with roles") ? rolesOfTexts(call.texts("with roles")) : usualRoles;
  const audit = await call.record();
  const token = await answered(session, () =>
    session.server.admin.createJoinToken({ by: session.role.name, ttlMs: tokenTtlMs, roles, audit }),
  );
  const command = ["scratchbird join", "--token", token, "--peer", self.addresses.control];
  command.push("--host", host.replace(/^\[|\]$/g, ""));
  if (port !== undefined) command.push("--control-port", String(port));
  return [token, command.join(" ")];
}

// --- settings and epochs -----------------------------------------------------------------------------------------------

function knownKey(key: string): string {
  if (settingDef(key) !== undefined) return key;
  const near = nearestSetting(key);
  const hint =
    settingDefOf(key) !== undefined
      ? "It is a setting of sessions: use SET, ALTER ROLE or ALTER DATABASE."
      : near === undefined
        ? "SHOW CLUSTER SETTINGS lists them."
        : `Perhaps you meant "${near}".`;
  throw new DbError("undefinedObject", `unrecognized cluster setting "${key}"`, { hint });
}

function setSetting(call: Call): ClusterChange {
  const [first, ...rest] = call.clause("set").values;
  const key = knownKey(textOf(first!));
  const isDefault = rest.length === 1 && rest[0]!.kind === "word" && textOf(rest[0]!) === "default";
  if (isDefault) return { kind: "reset", key };
  return { kind: "set", key, value: normalizeSetting(settingDef(key)!, rest.map(textOf).join(" ")) };
}

function forceCutover(call: Call): ClusterChange {
  const text = call.text("force cutover to epoch");
  if (!/^\d{1,15}$/.test(text)) throw new DbError("invalidParameterValue", `invalid epoch number: ${text}`);
  const epoch = Number(text);
  const disabling = call.texts("disabling nodes").map((name) => call.member(name).uuid);
  const latest = call.view.epochs.at(-1);
  if (latest?.epoch.number !== epoch || latest.state !== "CONVERGING")
    throw new DbError("objectNotInPrerequisiteState", `epoch ${epoch} is not converging`, {
      detail:
        latest === undefined ? undefined : `The newest epoch is ${latest.epoch.number}, and ${latest.state}.`,
    });
  return { kind: "forceCutover", epoch, disabling: [...new Set(disabling)] };
}

// --- certificates ------------------------------------------------------------------------------------------------------

/** Of ROTATE CA and BEGIN OVERLAP (CA-33). */
const windowMsUsual = 3_600_000;
const windowMsMax = 366 * 86_400_000;

function windowOf(call: Call): number {
  if (!call.has("stability window")) return windowMsUsual;
  const ms = durationIn(call, "stability window", "stability window");
  if (ms >= 0 && ms <= windowMsMax) return ms;
  throw new DbError("invalidParameterValue", "a stability window lasts from 0 to 366 days");
}
function durationIn(call: Call, clause: string, what: string): number {
  const text = call.text(clause);
  try {
    return durationMs(text);
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    throw new DbError(
      "invalidParameterValue",
      `invalid ${what}: "${text}"`,
      { hint: "It is a duration, such as '10 s' or '1 hour'." },
      error,
    );
  }
}

async function rotateCa(call: Call): Promise<Value[]> {
  const answer = await ask(call, { kind: "rotate", windowMs: windowOf(call), by: call.session.role.name });
  return rotationRow(answer);
}
async function beginOverlap(call: Call): Promise<Value[]> {
  const clause = "ca policy begin overlap with new ca certificate";
  const certificatePem = pemIn(call, clause, "CERTIFICATE");
  const by = call.session.role.name;
  return rotationRow(await ask(call, { kind: "beginOverlap", certificatePem, windowMs: windowOf(call), by }));
}
function rotationRow({ id, authorityPem }: AuthorityAnswer): Value[] {
  return [id ?? null, authorityPem === undefined ? null : fingerprintOf(new X509Certificate(authorityPem))];
}

async function createCa(call: Call): Promise<Value[]> {
  const by = call.session.role.name;
  const node = call.has("on node") ? call.member(call.text("on node")).uuid : undefined;
  const { authorityPem } = await ask(call, { kind: "createCa", by, ...(node !== undefined && { node }) });
  if (authorityPem === undefined)
    throw new DbError("protocolViolation", "the node that keeps the CA's key has made no CA");
  return [fingerprintOf(new X509Certificate(authorityPem)), authorityPem];
}

/** CA-37, CA-38. */
async function replaceCa(call: Call): Promise<Value[]> {
  const { view, session } = call;
  const clause = "ca policy emergency revoke ca";
  const authority = call.text(clause).toLowerCase().replaceAll(":", "");
  if (![...view.authorities, ...view.pinnedAuthorities].some((one) => one.fingerprint === authority))
    throw new DbError("undefinedObject", `certificate authority "${call.text(clause)}" is not trusted`, {
      hint: "sys.certificate_authorities lists the fingerprints.",
    });
  const certificatePem = pemIn(call, "replace with", "CERTIFICATE");
  const immediate = call.has("force immediate");
  const by = session.role.name;
  const answer = await ask(call, { kind: "emergency", authority, certificatePem, immediate, by });
  if (!immediate)
    call.notice(
      "01000",
      `nodes without a certificate of the new CA are left behind in ${view.setting("ca.emergency_window")}`,
    );
  return rotationRow(answer);
}

function runningRotation(call: Call): Rotation {
  const { rotation } = call.view;
  if (rotation !== undefined) return rotation;
  throw new DbError("objectNotInPrerequisiteState", "no rotation of the certificate authority is under way");
}

/** From its end on, or from now if that is over. */
function extendOverlap(call: Call): ClusterChange {
  const { id } = runningRotation(call);
  const ms = durationIn(call, "ca policy extend overlap by", "extension");
  if (ms <= 0 || ms > overlapMaxMs)
    throw new DbError("invalidParameterValue", "an overlap is extended by more than 0 and at most 366 days");
  const now = Math.floor(call.session.clock.now());
  return { kind: "extendOverlap", id, until: Math.max(now, overlapEnd(call.view)) + ms };
}

function cutOverCa(call: Call): ClusterChange {
  const rotation = runningRotation(call);
  const requires = call.has("require convergence") ? call.text("require convergence").toLowerCase() : "true";
  if (requires !== "true" && requires !== "false")
    throw new DbError("invalidParameterValue", "REQUIRE CONVERGENCE takes TRUE or FALSE");
  if (requires === "true") return { kind: "cutOver", id: rotation.id, leaving: undefined };
  const leaving = leftBehind(rotation, call.view.members.values());
  for (const { name } of leaving)
    call.notice("01000", `node "${name}" has no certificate of the new CA, and is left behind`);
  return { kind: "cutOver", id: rotation.id, leaving: leaving.map((one) => one.uuid) };
}

/** Words as an administrator writes them, for what a list knows. */
const reasons: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/compromise|stolen|leak|theft/i, "keyCompromise"],
  [/supersede|replace|renew/i, "superseded"],
  [/privilege|right/i, "privilegeWithdrawn"],
  [/affiliation|moved/i, "affiliationChanged"],
];

async function revokeCertificate(call: Call): Promise<undefined> {
  const { role } = call.session;
  const text = reasonOf(call);
  const reason =
    text === undefined
      ? "cessationOfOperation"
      : (reasons.find(([pattern]) => pattern.test(text))?.[1] ?? "cessationOfOperation");
  const by = role.name;
  let request: AuthorityRequest;
  if (call.has("for node")) {
    const member = call.member(call.text("for node"));
    request = { kind: "revoke", node: member.uuid, reason, by };
  } else {
    const serial = call.text("serial").toLowerCase().replaceAll(":", "");
    if (!/^[0-9a-f]{2,40}$/.test(serial))
      throw new DbError("invalidParameterValue", `"${call.text("serial")}" is no serial number`, {
        hint: "It is hexadecimal: sys.certificates lists them.",
      });
    request = { kind: "revoke", serial, reason, by };
  }
  const { revoked = [] } = await ask(call, request);
  if (revoked.length === 0) call.notice("42710", "the certificate is revoked already");
  return undefined;
}

async function issueCertificate(call: Call): Promise<Value[]> {
  const by = call.session.role.name;
  const requestPem = pemIn(call, "from csr", "CERTIFICATE REQUEST");
  const whom = (["node", "user", "service"] as const).filter((one) => call.has(`for ${one}`));
  const [to] = whom;
  if (to === undefined || whom.length > 1)
    throw new DbError("syntaxError", "a certificate is issued FOR NODE, FOR USER or FOR SERVICE", {
      position: call.ast.position,
    });
  const given = call.text(`for ${to}`);
  if (to === "user") requireRole(call, given);
  const name = to === "node" ? call.member(given).uuid : given;
  const { certificatePem, certificate } = await ask(call, { kind: "issue", requestPem, to, name, by });
  if (certificatePem === undefined || certificate === undefined)
    throw new DbError("protocolViolation", "the node that keeps the CA's key has issued nothing");
  return [certificate.serial, Math.round((certificate.notAfter - postgresEpochMs) * 1000), certificatePem];
}

/** Of BACKUP CA KEY (spec/03, 15). */
async function backupKey(call: Call): Promise<Rows> {
  const { start, role } = call.session;
  const count = (clause: string, usual: number): number => {
    const text = call.has("shares") ? call.text(clause) : String(usual);
    if (/^\d{1,3}$/.test(text)) return Number(text);
    throw new DbError("invalidParameterValue", `"${text}" is no number of shares`);
  };
  const needed = count("shares", usualShares.needed);
  const total = count("of", usualShares.total);
  if (needed < 2 || needed > total || total > 255)
    throw new DbError(
      "invalidParameterValue",
      `a key is not split into ${total} shares of which ${needed} suffice`,
      {
        detail: "SHARES m OF n takes m from 2 to n, and n up to 255.",
      },
    );
  if (!isPrivate(start))
    throw new DbError(
      "objectNotInPrerequisiteState",
      "shares of a key are not sent over a connection without TLS",
      {
        hint: "Connect with sslmode=require.",
      },
    );
  const { shares, authorityPem } = await ask(call, { kind: "splitKey", needed, total, by: role.name });
  if (shares?.length !== total || authorityPem === undefined)
    throw new DbError("protocolViolation", "the node that keeps the CA's key has not split it");
  const facts = shares.map(readShare);
  call.session.server.log("administration: the CA's key was given out in shares", {
    user: role.name,
    needed,
    total,
    share_set: facts[0]!.set,
    fingerprint: facts[0]!.fingerprint,
  });
  return { rows: shares.map((share, at) => [at + 1, share, facts[at]!.set, facts[at]!.fingerprint]) };
}

/** Nobody on the way can read along. */
function isPrivate({ encrypted, remoteAddress }: ServerSession["start"]): boolean {
  return encrypted || /^(127\.[\d.]+(:\d+)?|\[?::1\]?(:\d+)?|)$/.test(remoteAddress);
}

async function recoverKey(call: Call): Promise<Value[]> {
  const { start, role } = call.session;
  const shares = call.texts("from shares");
  if (shares.length > 255) throw new DbError("invalidParameterValue", "no set has more than 255 shares");
  // Each by itself: what is wrong with them is to be told here, and not to be sent about.
  for (const [at, text] of shares.entries()) checkShare(text, at + 1);
  if (!isPrivate(start))
    call.notice("01000", "the shares came over a connection without TLS: replace the CA (ROTATE CA)");
  // Where the client is: its session may run at another node.
  const node = start.via ?? call.self.uuid;
  const { authorityPem } = await ask(call, { kind: "recoverKey", node, shares, by: role.name });
  if (authorityPem === undefined)
    throw new DbError("protocolViolation", "the node has not brought the CA's key back");
  const name = call.view.members.get(node)?.name ?? node;
  return [fingerprintOf(new X509Certificate(authorityPem)), name];
}

function requireRole(call: Call, name: string): void {
  for (const object of call.session.catalog.objects())
    if (object.kind === "role" && object.name === name) return;
  throw new DbError("undefinedObject", `role "${name}" does not exist`);
}

/** PEM, or base64 of the DER, as PEM of one block. */
function pemIn(call: Call, clause: string, label: string): string {
  const text = call.text(clause).trim();
  const body = text.includes("-----BEGIN")
    ? new RegExp(`-----BEGIN (?:NEW )?${label}-----([A-Za-z0-9+/=\\s]+)-----END (?:NEW )?${label}-----`).exec(
        text,
      )?.[1]
    : text;
  const der = body === undefined ? Buffer.alloc(0) : Buffer.from(body.replace(/\s/g, ""), "base64");
  if (der.length === 0 || der.length > 15_000)
    throw new DbError("invalidParameterValue", `the ${label.toLowerCase()} cannot be read`, {
      detail: "It takes PEM, or the base64 of the DER.",
    });
  const lines = der.toString("base64").match(/.{1,64}/g)!;
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

// --- values ----------------------------------------------------------------------------------------------------------

function uuidOf(text: string): string {
  try {
    return parseUuid(text);
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    throw new DbError("invalidParameterValue", `"${text}" is not a uuid`, {}, error);
  }
}

/** As a founder has them. */
const usualRoles = roleBits.VOTER | roleBits.SHARD_OWNER | roleBits.COORDINATOR;

function rolesOfTexts(texts: readonly string[]): number {
  const roles = texts.map((text): Role => {
    const role = roleOf(text);
    if (role !== undefined) return role;
    throw new DbError("invalidParameterValue", `there is no role "${text}" of nodes`, {
      hint: `Available roles: ENGINE, ${Object.keys(roleBits).join(", ")}.`,
    });
  });
  const bits = rolesFrom(roles);
  if (bits === undefined)
    throw new DbError("invalidParameterValue", "a node is either a VOTER or a LEARNER, not both");
  return bits;
}

function badAddress(text: string, detail: string): DbError {
  return new DbError("invalidParameterValue", `invalid address: "${text}"`, { detail });
}

/** host, host:port or [v6 address]:port. The characters are those that a shell takes as they are. */
function hostAndPort(text: string): { readonly host: string; readonly port: number | undefined } {
  const match = /^([A-Za-z0-9](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::(\d{1,5}))?$/.exec(text);
  if (match === null) throw badAddress(text, "It takes host:port, or [address]:port for an IPv6 address.");
  const port = match[2] === undefined ? undefined : Number(match[2]);
  if (port !== undefined && (port < 1 || port > 65_535)) throw badAddress(text, "Ports are from 1 to 65535.");
  return { host: match[1]!, port };
}

/** Up to three, in the order control, rpc, pg; those left out are as far from the usual ports as the first. */
function addressesOf(texts: readonly string[]): Member["addresses"] {
  if (texts.length > 3)
    throw new DbError(
      "invalidParameterValue",
      "a node has three addresses: control, rpc and pg, in this order",
    );
  const control = hostAndPort(texts[0]!);
  const offset = (control.port ?? ports.control) - ports.control;
  const address = (at: number, usual: number): string => {
    const given = texts[at];
    const { host, port = usual } =
      given === undefined ? { host: control.host, port: usual + offset } : hostAndPort(given);
    if (port < 1 || port > 65_535)
      throw badAddress(
        `${host}:${port}`,
        "It follows from the first address; give all three: control, rpc, pg.",
      );
    return `${host}:${port}`;
  };
  return { control: address(0, ports.control), rpc: address(1, ports.rpc), pg: address(2, ports.pg) };
}

/** PEM, or base64 of the DER; checked as that of a peer would be (MEM-20). */
function certificateOf(call: Call, text: string, uuid: string): X509Certificate {
  const isPem = text.includes("-----BEGIN");
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(isPem ? text : Buffer.from(text.replace(/\s/g, ""), "base64"));
  } catch (error) {
    throw new DbError(
      "invalidParameterValue",
      "the certificate cannot be read",
      { detail: "It takes PEM, or the base64 of a DER certificate." },
      error,
    );
  }
  const verdict = checkPeer(certificate, {
    clusterUuid: call.view.clusterUuid,
    now: call.session.clock.now(),
    toleranceMs,
    authorities: call.view.authorities.map(({ certificatePem, fingerprint, trustedFrom, trustedUntil }) => ({
      certificate: new X509Certificate(certificatePem),
      fingerprint,
      trustedFrom,
      trustedUntil,
    })),
    isRevoked: (authority, serial) => call.view.revocations(authority)?.revoked.has(serial) === true,
    // It is about to become one.
    member: () => ({ fingerprints: [fingerprintOf(certificate)], removed: false }),
  });
  if ("condition" in verdict)
    throw new DbError("invalidAuthorizationSpecification", "the certificate is not accepted", {
      detail: `${verdict.condition}: ${verdict.message}.`,
    });
  if (verdict.node !== uuid)
    throw new DbError("invalidParameterValue", `the certificate is of node ${verdict.node}, not of ${uuid}`);
  return certificate;
}

// --- create_join_token() -----------------------------------------------------------------------------------------------

interface Making {
  readonly ready: Promise<void>;
  token: string | undefined;
  error: unknown;
}
/** Of a client's call: expressions are evaluated anew after each wait, and must find what was made for them. */
const making = new WeakMap<ServerSession, { readonly call: number; readonly tokens: Map<string, Making> }>();

/**
 * Waits by throwing a Wait. Calls with the same arguments get the same token within one message of a client: whether it is
 * asked again or anew cannot be told.
 */
export function createJoinToken(session: ServerSession, ttl: Interval | null, roles: PgArray | null): string {
  refuseReadOnly(session, "create_join_token()");
  requirePrivilege(session, "CLUSTER_MEMBERSHIP_ADMIN");
  const { unserved } = session.server;
  if (unserved !== undefined) throw unserved;
  const ttlMs = ttl === null ? tokenTtlMs : ttlOf(ttl);
  const bits = roles === null ? usualRoles : rolesOfArray(roles);
  let made = making.get(session);
  if (made?.call !== session.calls) {
    made = { call: session.calls, tokens: new Map() };
    making.set(session, made);
  }
  const key = `${ttlMs} ${bits}`;
  let one = made.tokens.get(key);
  if (one === undefined) {
    one = startMaking(session, ttlMs, bits);
    made.tokens.set(key, one);
  }
  if (one.error !== undefined) throw one.error;
  if (one.token === undefined) throw new Wait("lock", one.ready);
  return one.token;
}

function startMaking(session: ServerSession, ttlMs: number, roles: number): Making {
  const asked = makeToken(session, ttlMs, roles);
  const one: Making = {
    ready: asked.then(
      (token) => {
        one.token = token;
      },
      (error: unknown) => {
        one.error = error;
      },
    ),
    token: undefined,
    error: undefined,
  };
  return one;
}

async function makeToken(session: ServerSession, ttlMs: number, roles: number): Promise<string> {
  const { audit, admin } = session.server;
  const by = session.role.name;
  const told = { action: "CREATE JOIN TOKEN", outcome: "begun", roles, ttl_ms: ttlMs, user: by };
  const head = await audit.written("CLUSTER_ADMIN", told, session);
  try {
    return await admin.createJoinToken({ by, ttlMs, roles, audit: head });
  } catch (error) {
    audit.undone(head, error, session);
    throw error;
  }
}

function ttlOf({ months, days, micros }: Interval): number {
  const ms = Math.floor((months * 30 + days) * 86_400_000 + Number(micros) / 1000);
  if (ms >= 1000 && ms <= tokenTtlMaxMs) return ms;
  throw new DbError(
    "invalidParameterValue",
    "a join token is valid for 1 second at least and 30 days at most",
  );
}

function rolesOfArray({ elements }: PgArray): number {
  if (elements.includes(null)) throw new DbError("nullValueNotAllowed", "roles of a node are not null");
  return rolesOfTexts(elements.map(String));
}
