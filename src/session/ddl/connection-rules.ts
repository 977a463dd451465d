/**
 * CREATE, ALTER and DROP CONNECTION RULE. Catalog objects like others: transactional, and in force on a node when it has applied
 * the commit.
 *
 * Invariants: ordinals run from 1 without gaps; the built-in rule is always the last and always there; two transactions that
 * change rules never both commit on the same list (the second is 40001), since their order is one thing; a change after which
 * the session's own user could not connect again as he is connected now is refused (55000) unless FORCE says so.
 */
import { DbError } from "../../base/errors.js";
import { type ClusterDesc, type ConnectionRuleDesc, defaultConnectionRuleId } from "../../model/schema.js";
import {
  decide,
  defaultConnectionRule,
  hostOf,
  networkText,
  orderedRules,
  parseNetwork,
} from "../../security/index.js";
import type { ConnectionRule } from "../../sql/ast.js";
import { holdsOnCluster } from "../cluster-call.js";
import type { DdlContext } from "./context.js";

/** Rules are gone through at every log-in. */
const rulesMax = 1000;

export async function changeConnectionRules(ddl: DdlContext, statement: ConnectionRule): Promise<void> {
  if (!holdsOnCluster(ddl.draft, ddl.roleId, "CLUSTER_SECURITY_ADMIN"))
    throw new DbError("insufficientPrivilege", "permission denied to change connection rules", {
      detail: "It takes a superuser, or the privilege CLUSTER_SECURITY_ADMIN on the cluster.",
    });
  serialize(ddl);
  switch (statement.verb) {
    case "create":
      create(ddl, statement);
      break;
    case "alter":
      alter(ddl, statement);
      break;
    case "drop":
      if (!drop(ddl, statement)) return;
      break;
  }
  if (!statement.force) refuseLockout(ddl);
}

/** Whoever changes rules changes this object too: of two that do, one finds it changed. */
function serialize(ddl: DdlContext): void {
  const cluster = [...ddl.draft.objects()].find((object): object is ClusterDesc => object.kind === "cluster");
  if (cluster === undefined) throw new DbError("undefinedObject", "the cluster object does not exist");
  ddl.draft.put(cluster);
}

/** Those that have a place among each other. */
function movable(ddl: DdlContext): ConnectionRuleDesc[] {
  return orderedRules(ddl.draft).slice(0, -1);
}

function find(ddl: DdlContext, name: string): ConnectionRuleDesc | undefined {
  return orderedRules(ddl.draft).find((rule) => rule.name === name);
}
function known(ddl: DdlContext, name: string): ConnectionRuleDesc {
  const rule = find(ddl, name);
  if (rule === undefined) throw new DbError("undefinedObject", `connection rule "${name}" does not exist`);
  return rule;
}
function refuseTaken(ddl: DdlContext, name: string): void {
  if (find(ddl, name) !== undefined)
    throw new DbError("duplicateObject", `connection rule "${name}" already exists`);
}

function create(ddl: DdlContext, statement: ConnectionRule): void {
  refuseTaken(ddl, statement.name);
  const others = movable(ddl);
  if (others.length >= rulesMax)
    throw new DbError("programLimitExceeded", `there are ${rulesMax} connection rules already`);
  const rule = withClauses(
    ddl,
    { ...defaultConnectionRule, id: ddl.draft.draw(), name: statement.name, method: statement.method! },
    statement,
  );
  arrange(ddl, others, rule, statement.place ?? { side: "before", other: lastName(ddl) });
}

function lastName(ddl: DdlContext): string {
  return orderedRules(ddl.draft).at(-1)!.name;
}

function alter(ddl: DdlContext, statement: ConnectionRule): void {
  const before = known(ddl, statement.name);
  const { newName, place } = statement;
  if (newName !== undefined) {
    refuseTaken(ddl, newName);
    ddl.draft.put({ ...before, name: newName });
    return;
  }
  const rule = withClauses(ddl, before, statement);
  if (place === undefined) {
    ddl.draft.put(rule);
    return;
  }
  if (rule.id === defaultConnectionRuleId) throw alwaysLast(rule.name);
  arrange(
    ddl,
    movable(ddl).filter((one) => one.id !== rule.id),
    rule,
    place,
  );
}

/** False: there is none, which IF EXISTS allows. */
function drop(ddl: DdlContext, statement: ConnectionRule): boolean {
  if (statement.ifExists && find(ddl, statement.name) === undefined) {
    ddl.notice(`connection rule "${statement.name}" does not exist, skipping`);
    return false;
  }
  const rule = known(ddl, statement.name);
  if (rule.id === defaultConnectionRuleId)
    throw new DbError(
      "objectNotInPrerequisiteState",
      `connection rule "${rule.name}" is built in and cannot be dropped`,
      { hint: `To have nobody admitted by it: ALTER CONNECTION RULE ${rule.name} METHOD REJECT.` },
    );
  ddl.draft.delete(rule.id);
  renumber(ddl, movable(ddl));
  return true;
}

function alwaysLast(name: string): DbError {
  return new DbError("objectNotInPrerequisiteState", `connection rule "${name}" is always the last`);
}

function arrange(
  ddl: DdlContext,
  others: readonly ConnectionRuleDesc[],
  rule: ConnectionRuleDesc,
  { side, other }: NonNullable<ConnectionRule["place"]>,
): void {
  const beside = known(ddl, other);
  if (beside.id === rule.id)
    throw new DbError("invalidParameterValue", "a connection rule has no place beside itself");
  const isLast = beside.id === defaultConnectionRuleId;
  if (isLast && side === "after") throw alwaysLast(other);
  const at = isLast ? others.length : others.indexOf(beside) + (side === "after" ? 1 : 0);
  const order = others.toSpliced(at, 0, { ...rule, ordinal: 0 });
  renumber(ddl, order);
}

function renumber(ddl: DdlContext, order: readonly ConnectionRuleDesc[]): void {
  order.forEach((rule, place) => {
    if (rule.ordinal !== place + 1) ddl.draft.put({ ...rule, ordinal: place + 1 });
  });
}

function withClauses(
  ddl: DdlContext,
  before: ConnectionRuleDesc,
  { roles, databases, addresses, tls, method }: ConnectionRule,
): ConnectionRuleDesc {
  let rule = before;
  if (roles === "all") rule = { ...without(rule, "roles"), members: false };
  else if (roles !== undefined)
    rule = { ...rule, members: roles.members, roles: unique(roles.specs.map((spec) => ddl.role(spec).id)) };
  if (databases === "all") rule = without(rule, "databases");
  else if (databases !== undefined)
    rule = { ...rule, databases: unique(databases.map((name) => databaseId(ddl, name))) };
  if (addresses === "all") rule = without(rule, "addresses");
  else if (addresses !== undefined)
    rule = { ...rule, addresses: unique(addresses.map((text) => networkText(parseNetwork(text)))) };
  rule = { ...rule, tls: tls ?? rule.tls, method: method ?? rule.method };
  if (rule.method !== "scram" && rule.method !== "reject" && rule.tls === "none")
    throw new DbError("invalidParameterValue", `this method needs TLS`, {
      detail: "A certificate is shown, and a password is bound, in a TLS handshake.",
    });
  return rule;
}

function without(rule: ConnectionRuleDesc, key: "roles" | "databases" | "addresses"): ConnectionRuleDesc {
  const { [key]: _, ...rest } = rule;
  return rest;
}
function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

function databaseId(ddl: DdlContext, name: string): number {
  for (const object of ddl.draft.objects())
    if (object.kind === "database" && object.name === name) return object.id;
  throw new DbError("invalidCatalogName", `database "${name}" does not exist`);
}

function refuseLockout(ddl: DdlContext): void {
  const { start, sessionRoleId, database } = ddl.session;
  const role = ddl.draft.roleById(sessionRoleId);
  if (role === undefined) return;
  const { encrypted, certificate } = start;
  const { rule, method } = decide(ddl.draft, {
    user: role.name,
    database: database.name,
    address: hostOf(start.remoteAddress),
    encrypted,
  });
  const hasPassword = role.password !== undefined;
  const hasCertificate = certificate?.role === role.name;
  const able = {
    scram: hasPassword,
    plus: hasPassword && encrypted,
    certificate: hasCertificate,
    scramAndCertificate: hasPassword && hasCertificate,
    reject: false,
  }[method];
  if (able) return;
  throw new DbError(
    "objectNotInPrerequisiteState",
    `after this, role "${role.name}" could not connect again as this session is connected`,
    {
      detail:
        rule === undefined
          ? "No rule would match."
          : `Rule "${rule.name}" would decide: ${methodText[method]}.`,
      hint: "Admit yourself by a rule in front of it, or add FORCE at the end of the statement.",
    },
  );
}

/** As METHOD takes it. */
export const methodText: Readonly<Record<ConnectionRuleDesc["method"], string>> = {
  scram: "SCRAM",
  plus: "SCRAM PLUS",
  certificate: "CERTIFICATE",
  scramAndCertificate: "SCRAM AND CERTIFICATE",
  reject: "REJECT",
};
