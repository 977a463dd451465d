/**
 * ALTER TABLE … and ALTER USER … ENABLE | DISABLE AUDIT: whose use is told of in the audit chain, whatever audit.audit_all_queries says.
 *
 * Invariants: owners do not decide about it, who administers security does; a table's settings change under its exclusive
 * lock, so that no statement runs under two of them; turning it off is an event of its own (AUDIT_POLICY_CHANGED) before it is so.
 */
import { DbError, notSupported } from "../../base/errors.js";
import type { AlterAudit, QualifiedName } from "../../sql/ast.js";
import { holdsOnCluster } from "../cluster-call.js";
import { type DdlContext, nameText, wrongKind } from "./context.js";

/** In the order in which they are kept. */
export const auditedActions = { r: "SELECT", a: "INSERT", w: "UPDATE", d: "DELETE" } as const;
export type AuditedLetter = keyof typeof auditedActions;

const lettersOf: Readonly<Record<AlterAudit["what"], string>> = {
  all: "rawd",
  select: "r",
  insert: "a",
  update: "w",
  delete: "d",
};

export async function alterAudit(ddl: DdlContext, statement: AlterAudit): Promise<void> {
  if (!holdsOnCluster(ddl.draft, ddl.roleId, "CLUSTER_SECURITY_ADMIN"))
    throw new DbError("insufficientPrivilege", "permission denied to change what is audited", {
      detail: "It takes a superuser, or the privilege CLUSTER_SECURITY_ADMIN on the cluster.",
    });
  const { of, columns, where, position } = statement;
  if (columns.length > 0) throw notSupported("AUDIT of single columns", position);
  if (where !== undefined) throw notSupported("AUDIT … WHERE", where.position);
  if (of.kind === "table") await ofTable(ddl, of.name, of.ifExists, statement);
  else ofRole(ddl, of.role, statement);
}

async function ofTable(
  ddl: DdlContext,
  name: QualifiedName,
  ifExists: boolean,
  { enable, what }: AlterAudit,
): Promise<void> {
  const relation = ifExists ? ddl.findRelation(name) : ddl.relation(name);
  if (relation === undefined) {
    ddl.notice(`relation "${nameText(name)}" does not exist, skipping`);
    return;
  }
  if (relation.kind === "virtual")
    throw new DbError("insufficientPrivilege", `permission denied: "${relation.name}" is a system catalog`);
  if (relation.kind !== "table") throw wrongKind(relation, "a table");
  await ddl.lockWhole(relation.id, "AccessExclusive", relation.name, "ALTER TABLE");
  const table = ddl.draft.relationById(relation.id);
  if (table?.kind !== "table") throw wrongKind(relation, "a table");
  const { audit = "", ...rest } = table;
  const changed = lettersOf[what];
  const letters = Object.keys(auditedActions).filter((letter) =>
    changed.includes(letter) ? enable : audit.includes(letter),
  );
  ddl.draft.put(letters.length === 0 ? rest : { ...rest, audit: letters.join("") });
}

function ofRole(
  ddl: DdlContext,
  spec: Extract<AlterAudit["of"], { kind: "role" }>["role"],
  { enable, what, position }: AlterAudit,
): void {
  if (spec === undefined) throw notSupported("ALTER ROLE ALL … AUDIT", position);
  if (what !== "all") throw notSupported(`ALTER USER … AUDIT ${what.toUpperCase()}`, position);
  const { audit: _, ...rest } = ddl.role(spec);
  ddl.draft.put(enable ? { ...rest, audit: true } : rest);
}
