/**
 * Statements about the security bundle (spec/04, SQL-29..33): its draft, the rules that go into it, PUBLISH and ROLLBACK.
 *
 * A rule is bound when its statement runs: tables, columns and roles become numbers, expressions are checked against the
 * table and kept as text with qualified names. It goes into the one draft there is in the cluster, and has no effect on anybody
 * until that is published.
 *
 * Invariants: no rule is made outside a draft (rule C6: PostgreSQL's CREATE POLICY is another thing); a draft is its creator's,
 * and a superuser's; the state checks again whatever is checked here.
 */
import { DbError } from "../base/errors.js";
import { nearest } from "../base/nearest.js";
import type {
  AuditRule,
  BundleDraft,
  BundleRules,
  BundleSource,
  ColumnRule,
  DraftAction,
  DraftRule,
  MaskingFunction,
  RowRule,
  RuleSet,
} from "../cluster/contract.js";
import { descriptionMax, unenforcedIn } from "../cluster/index.js";
import type { ObjectId, TableDesc, TypeRef } from "../model/schema.js";
import { formatType } from "../model/types.js";
import { uuidFromBytes } from "../model/uuid.js";
import { isSuperuser, publicRoleId } from "../security/privileges.js";
import type { ClusterValue, Expr, QualifiedName } from "../sql/ast.js";
import { storeTableExpression } from "../sql/index.js";
import { answered, ask, type Call, type Errand, textOf } from "./cluster-call.js";
import { DdlContext } from "./ddl/context.js";
import { columnRuleProblem, rowRuleProblem } from "./ddl/kept-rules.js";
import { storedPolicy } from "./ddl/stored.js";
import { resolveTypeName } from "./queries.js";

const security = (run: Errand["run"]): Errand => ({
  privilege: "CLUSTER_SECURITY_ADMIN",
  columns: undefined,
  run,
});

/** By the statement's leading words. */
export const bundleErrands: Readonly<Record<string, Errand>> = {
  "CREATE SECURITY BUNDLE": security(createDraft),
  "DROP SECURITY BUNDLE": security(async (call) => {
    await draftAction(call, { kind: "abandon", draft: draftOf(call).id });
  }),
  "PUBLISH SECURITY BUNDLE": security(publish),
  "ROLLBACK SECURITY BUNDLE": security(async (call) => {
    const version = numberIn(call, "to version");
    refuseRollback(call, version);
    await publishFrom(call, { kind: "version", version }, undefined);
  }),
  "CREATE RLS POLICY": security(createRowRule),
  "ALTER RLS POLICY": security(alterRowRule),
  "DROP RLS POLICY": security((call) => dropOfTable(call, "rls", "RLS policy")),
  "CREATE CLS POLICY": security(createColumnRule),
  "DROP CLS POLICY": security((call) => dropOfTable(call, "cls", "CLS policy")),
  "CREATE MASKING FUNCTION": security(createMasking),
  "DROP MASKING FUNCTION": security((call) => dropNamed(call, "masking", "masking function")),
  "CREATE AUDIT RULE": security(createAuditRule),
  "DROP AUDIT RULE": security((call) => dropNamed(call, "audit", "audit rule")),
};

// --- drafts ----------------------------------------------------------------------------------------------------------

function numberIn(call: Call, clause: string): number {
  const text = call.text(clause);
  const version = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (version > 0) return version;
  throw new DbError("invalidParameterValue", `invalid version of a security bundle: ${text}`);
}

async function draftAction(call: Call, action: DraftAction): Promise<void> {
  const { server, role } = call.session;
  const head = await call.record();
  await answered(call.session, () => server.admin.draftBundle(action, role.name, head));
}

async function createDraft(call: Call): Promise<undefined> {
  const { view } = call;
  const version = call.has("version") ? numberIn(call, "version") : undefined;
  const description = call.has("description") ? call.text("description") : "";
  if (description.length > descriptionMax)
    throw new DbError("invalidParameterValue", `a description has at most ${descriptionMax} characters`);
  // What is not asked to begin with something else begins with what is there: leaving rules out takes them back.
  const from = call.has("from version") ? numberIn(call, "from version") : view.bundle.version;
  if (view.bundleRules(from) === undefined) throw unknownVersion(from);
  if (version !== undefined && version <= view.bundle.version)
    throw new DbError("objectNotInPrerequisiteState", `version ${version} would not follow the current one`, {
      detail: `BUNDLE_VERSION_CONFLICT: the current security bundle has version ${view.bundle.version}.`,
    });
  if (view.bundleDraft !== undefined)
    throw new DbError("objectInUse", "a draft of a security bundle is open already", {
      detail: `BUNDLE_DRAFT_OPEN: it is of ${view.bundleDraft.by}.`,
      hint: "Publish it, or give it up: DROP SECURITY BUNDLE DRAFT.",
    });
  await draftAction(call, { kind: "open", draft: newId(call), version, description, from });
  return undefined;
}

function unknownVersion(version: number): DbError {
  return new DbError(
    "undefinedObject",
    `security bundle ${version} does not exist, or is not kept any more`,
    {
      hint: "sys.security_bundle_history lists them.",
    },
  );
}

/** The open one, of whoever asks. */
function draftOf(call: Call): BundleDraft {
  const { session, view } = call;
  const draft = view.bundleDraft;
  if (draft === undefined)
    throw new DbError("objectNotInPrerequisiteState", "no draft of a security bundle is open", {
      detail:
        "BUNDLE_NO_DRAFT: rules of the bundle are made in a draft, and take effect when it is published.",
      hint: "CREATE SECURITY BUNDLE opens one.",
    });
  if (draft.by !== session.role.name && !isSuperuser(session.catalog, session.currentRoleId))
    throw new DbError("insufficientPrivilege", `the draft of the security bundle is of ${draft.by}`, {
      detail: "BUNDLE_DRAFT_OPEN: only its creator or a superuser changes, publishes or gives it up.",
    });
  return draft;
}

function newId({ session }: Call): string {
  const bytes = new Uint8Array(16);
  session.random.fill(bytes);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return uuidFromBytes(bytes);
}

// --- publishing ------------------------------------------------------------------------------------------------------

async function publish(call: Call): Promise<undefined> {
  const draft = draftOf(call);
  const { id } = draft;
  const version = call.has("version") ? numberIn(call, "version") : undefined;
  refuseUnenforced(unenforcedIn(draft.rules));
  refuseBroken(call, draft.rules);
  await leaveOut(call, draft);
  return publishFrom(call, { kind: "draft", draft: id }, version);
}

async function publishFrom(call: Call, from: BundleSource, version: number | undefined): Promise<undefined> {
  const { session } = call;
  const by = session.role.name;
  const creator = session.server.audit.userUuid(session.currentRoleId);
  const answer = await ask(call, { kind: "publishBundle", from, version, by, creator });
  call.notice("00000", `the security bundle was published as version ${answer.version}`);
  return undefined;
}

/** Texts that mean nothing any more, or something else (spec/04 item 20). */
function refuseBroken({ session }: Call, { rls, cls, masking }: BundleRules): void {
  const env = { ...session.bindEnv([]), searchPath: [], parametersFixed: true };
  const inputs = new Map(masking.map((one) => [one.id, one.input]));
  const broken = (what: string, name: string, detail: string): DbError =>
    new DbError("objectNotInPrerequisiteState", `${what} "${name}" cannot be put into effect`, { detail });
  for (const rule of rls) {
    const problem = rowRuleProblem(rule, env);
    if (problem !== undefined) throw broken("RLS policy", rule.name, problem);
  }
  for (const rule of cls) {
    const problem = columnRuleProblem(rule, session.catalog, inputs);
    if (problem !== undefined) throw broken("CLS policy", rule.name, problem);
  }
}

function byName<Rule extends { readonly name: string }>(rules: readonly Rule[]): Rule[] {
  return [...rules].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What bears on a table or column that is gone: it could not even be named any more. */
async function leaveOut(call: Call, { id: draft, rules }: BundleDraft): Promise<void> {
  const { catalog } = call.session;
  const isThere = (table: ObjectId, column = 0): boolean => {
    const relation = catalog.relationById(table);
    return relation?.kind === "table" && (column === 0 || relation.columns[column - 1]?.dropped !== true);
  };
  for (const { id, name, table } of byName(rules.rls)) {
    if (isThere(table)) continue;
    await draftAction(call, { kind: "drop", draft, set: "rls", id });
    call.notice("00000", `RLS policy "${name}" is left out: its table is gone`);
  }
  for (const { id, name, table, column } of byName(rules.cls)) {
    if (isThere(table, column)) continue;
    await draftAction(call, { kind: "drop", draft, set: "cls", id });
    call.notice("00000", `CLS policy "${name}" is left out: its column is gone`);
  }
}

/** SEC-19. */
function refuseRollback(call: Call, version: number): void {
  const { view } = call;
  if (version === view.bundle.version)
    throw new DbError("objectNotInPrerequisiteState", `security bundle ${version} is the current one`);
  const rules = view.bundleRules(version);
  if (rules === undefined) throw unknownVersion(version);
  refuseUnenforced(unenforcedIn(rules));
  refuseBroken(call, rules);
}

function refuseUnenforced(open: string | undefined): void {
  if (open === undefined) return;
  throw new DbError("featureNotSupported", `publishing ${open} is not supported yet`, {
    detail:
      "BUNDLE_NOT_ENFORCED: nobody would put them into effect, and a rule that is not kept is worse than none.",
  });
}

// --- rules -----------------------------------------------------------------------------------------------------------

async function put(call: Call, draft: BundleDraft, rule: DraftRule): Promise<undefined> {
  await draftAction(call, { kind: "put", draft: draft.id, rule });
  return undefined;
}

/** Tables keep their numbers when they are renamed: rules that name one are bound to it for ever. */
function tableOf(call: Call, name: QualifiedName): TableDesc {
  return new DdlContext(call.session).table(name);
}

function roleIds(call: Call, clause: string): ObjectId[] {
  const { session } = call;
  const ids = call.texts(clause).map((name): ObjectId => {
    switch (name) {
      case "public":
        return publicRoleId;
      case "currentUser":
      case "currentRole":
        return session.currentRoleId;
      case "sessionUser":
        return session.sessionRoleId;
      default: {
        const role = session.catalog.roleByName(name);
        if (role === undefined) throw new DbError("undefinedObject", `role "${name}" does not exist`);
        return role.id;
      }
    }
  });
  return [...new Set(ids)].sort((a, b) => a - b);
}

function exprIn(call: Call, clause: string): Expr | undefined {
  const value = call.has(clause) ? call.clause(clause).values[0] : undefined;
  return value?.kind === "expr" ? value.expr : undefined;
}

/** As the catalog stores policies: checked against the table, with qualified names. */
function stored(call: Call, table: TableDesc, expr: Expr | undefined): string | undefined {
  return expr === undefined ? undefined : storedPolicy(new DdlContext(call.session), table, expr).sql;
}

function taken(what: string, name: string, table?: TableDesc): DbError {
  const where = table === undefined ? "" : ` for table "${table.name}"`;
  return new DbError("duplicateObject", `${what} "${name}"${where} already exists in the draft`);
}

async function createRowRule(call: Call): Promise<undefined> {
  const draft = draftOf(call);
  const table = tableOf(call, call.ast.table!);
  const name = call.object;
  if (draft.rules.rls.some((one) => one.table === table.id && one.name === name))
    throw taken("RLS policy", name, table);
  const command = call.text("for") as RowRule["command"];
  const rule: RowRule = {
    id: newId(call),
    table: table.id,
    name,
    kind: call.has("as") ? "restrictive" : "permissive",
    command,
    ...withTexts(stored(call, table, exprIn(call, "using")), stored(call, table, exprIn(call, "with check"))),
    roles: roleIds(call, "to"),
    // Whoever owns a table does not get out of what the cluster's security administrator has set.
    appliesToOwner: true,
  };
  return put(call, draft, { set: "rls", rule });
}
function withTexts(using: string | undefined, check: string | undefined): Pick<RowRule, "using" | "check"> {
  return { ...(using !== undefined && { using }), ...(check !== undefined && { check }) };
}

async function alterRowRule(call: Call): Promise<undefined> {
  const draft = draftOf(call);
  const table = tableOf(call, call.ast.table!);
  const known = draft.rules.rls.find((one) => one.table === table.id && one.name === call.object);
  if (known === undefined) throw unknownRule(draft, "rls", "RLS policy", call.object);
  const using = stored(call, table, exprIn(call, "using")) ?? known.using;
  const check = stored(call, table, exprIn(call, "with check")) ?? known.check;
  const rule: RowRule = {
    id: known.id,
    table: known.table,
    name: call.has("rename to") ? call.text("rename to") : known.name,
    kind: known.kind,
    command: known.command,
    ...withTexts(using, check),
    roles: call.has("to") ? roleIds(call, "to") : known.roles,
    appliesToOwner: known.appliesToOwner,
  };
  return put(call, draft, { set: "rls", rule });
}

async function createColumnRule(call: Call): Promise<undefined> {
  const draft = draftOf(call);
  const table = tableOf(call, call.ast.table!);
  const name = call.object;
  const columnName = call.text("column");
  const place = table.columns.findIndex((one) => one.name === columnName && one.dropped !== true);
  if (place < 0)
    throw new DbError("undefinedColumn", `column "${columnName}" of relation "${table.name}" does not exist`);
  const others = draft.rules.cls.filter((one) => one.table === table.id);
  if (others.some((one) => one.name === name)) throw taken("CLS policy", name, table);
  const other = others.find((one) => one.column === place + 1);
  if (other !== undefined)
    throw new DbError("duplicateObject", `column "${columnName}" has the CLS policy "${other.name}" already`);
  const rule: ColumnRule = {
    id: newId(call),
    table: table.id,
    column: place + 1,
    name,
    action: call.text("action") as ColumnRule["action"],
    granted: call.has("to") ? roleIds(call, "to") : [],
    ...(call.has("with") && { mask: maskFor(draft, call.text("with"), table, place).id }),
  };
  return put(call, draft, { set: "cls", rule });
}

/** SEC-33: of a type that the column has. */
function maskFor(draft: BundleDraft, name: string, table: TableDesc, place: number): MaskingFunction {
  const mask = draft.rules.masking.find((one) => one.name === name);
  if (mask === undefined) throw unknownRule(draft, "masking", "masking function", name);
  const { name: column, type } = table.columns[place]!;
  for (const [what, { oid }] of [
    ["takes", mask.input],
    ["returns", mask.output],
  ] as const)
    if (oid !== type.oid)
      throw new DbError(
        "datatypeMismatch",
        `column "${column}" is of type ${formatType(type.oid, -1)}, and masking function "${name}" ${what} ${formatType(oid, -1)}`,
      );
  return mask;
}

/** What a masking function is bound against: the value that it masks. */
function valueTable(input: TypeRef): TableDesc {
  return {
    kind: "table",
    id: 0,
    name: "masked",
    schemaId: 0,
    owner: 0,
    columns: [{ name: "value", type: input, notNull: false }],
    storageId: 0,
    format: 1,
    persistence: "temporary",
  };
}

async function createMasking(call: Call): Promise<undefined> {
  const draft = draftOf(call);
  const name = call.object;
  if (draft.rules.masking.some((one) => one.name === name)) throw taken("masking function", name);
  const typeIn = (value: ClusterValue | undefined): TypeRef => {
    if (value?.kind === "type") return resolveTypeName(value.type);
    throw new DbError("syntaxError", "a type is expected", { position: call.ast.position });
  };
  const list = call.clause("arguments").values[0];
  const [first, ...more] = list?.kind === "list" ? list.items : [];
  if (more.length > 0)
    throw new DbError("featureNotSupported", "masking functions of several arguments are not supported");
  const input = typeIn(first);
  const output = typeIn(call.clause("returns").values[0]);
  const expr = exprIn(call, "as");
  if (expr === undefined) throw new DbError("syntaxError", "AS is missing", { position: call.ast.position });
  const env = { ...call.session.bindEnv([]), parametersFixed: true };
  const { sql, type } = storeTableExpression(expr, valueTable(input), "indexExpression", env);
  if (type.oid !== output.oid)
    throw new DbError(
      "datatypeMismatch",
      `the expression is of type ${formatType(type.oid, -1)}, not ${formatType(output.oid, -1)}`,
      { hint: "Cast it. The value to be masked is called value." },
    );
  const given = call.has("classification") ? call.text("classification").toUpperCase() : "CUSTOM";
  const rule: MaskingFunction = {
    id: newId(call),
    name,
    input,
    output,
    body: sql,
    classification: oneOf("classification", given, ["PII", "PCI", "HIPAA", "GDPR", "CUSTOM"] as const),
  };
  return put(call, draft, { set: "masking", rule });
}

function oneOf<Word extends string>(what: string, given: string, words: readonly Word[]): Word {
  const word = words.find((one) => one === given);
  if (word !== undefined) return word;
  throw new DbError("invalidParameterValue", `invalid ${what}: ${given}`, {
    hint: `One of ${words.join(", ")}.`,
  });
}

async function createAuditRule(call: Call): Promise<undefined> {
  const draft = draftOf(call);
  const name = call.object;
  if (draft.rules.audit.some((one) => one.name === name)) throw taken("audit rule", name);
  const word = (clause: string, usual: string): string =>
    call.has(clause) ? call.text(clause).toUpperCase() : usual;
  const logged = call.has("log") ? call.texts("log").map((one) => one.toLowerCase()) : ["success", "failure"];
  for (const one of logged) oneOf("LOG", one, ["success", "failure", "parameters", "row_count"] as const);
  const objects = call.has("on") ? call.clause("on").values.map((one) => tableOf(call, nameIn(one)).id) : [];
  const rule: AuditRule = {
    id: newId(call),
    name,
    level: oneOf("LEVEL", word("level", "STATEMENT"), ["STATEMENT", "OBJECT", "COLUMN"] as const),
    scope: oneOf("SCOPE", word("scope", "ALL"), ["DDL", "DML", "DCL", "ALL"] as const),
    objects: [...new Set(objects)].sort((a, b) => a - b),
    users: call.has("for") ? roleIds(call, "for") : [],
    success: logged.includes("success"),
    failure: logged.includes("failure"),
    parameters: logged.includes("parameters"),
    rowCounts: logged.includes("row_count"),
  };
  return put(call, draft, { set: "audit", rule });
}
function nameIn(value: ClusterValue): QualifiedName {
  const parts = textOf(value).split(".");
  const [name, schema] = parts.reverse();
  return { name: name!, schema, position: value.position };
}

function unknownRule(draft: BundleDraft, set: RuleSet, what: string, name: string): DbError {
  const near = nearest(
    name,
    draft.rules[set].map((one) => one.name),
  );
  return new DbError("undefinedObject", `${what} "${name}" does not exist in the draft`, {
    ...(near !== undefined && { hint: `Perhaps you meant "${near}".` }),
  });
}

async function drop(
  call: Call,
  draft: BundleDraft,
  set: RuleSet,
  what: string,
  id?: string,
): Promise<undefined> {
  if (id !== undefined) {
    await draftAction(call, { kind: "drop", draft: draft.id, set, id });
    return undefined;
  }
  if (!call.ast.ifExists) throw unknownRule(draft, set, what, call.object);
  call.notice("42704", `${what} "${call.object}" does not exist in the draft, skipping`);
  return undefined;
}
async function dropNamed(call: Call, set: "masking" | "audit", what: string): Promise<undefined> {
  const draft = draftOf(call);
  const known = draft.rules[set].find((one) => one.name === call.object);
  const user = known && draft.rules.cls.find((one) => one.mask === known.id);
  if (user !== undefined)
    throw new DbError("dependentObjectsStillExist", `cannot drop ${what} "${call.object}"`, {
      detail: `CLS policy "${user.name}" depends on it.`,
    });
  return drop(call, draft, set, what, known?.id);
}
async function dropOfTable(call: Call, set: "rls" | "cls", what: string): Promise<undefined> {
  const draft = draftOf(call);
  const table = tableOf(call, call.ast.table!);
  const known = draft.rules[set].find((one) => one.table === table.id && one.name === call.object);
  return drop(call, draft, set, what, known?.id);
}
