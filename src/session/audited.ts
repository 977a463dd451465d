/**
 * Which uses of a plan are audited for themselves: of tables by ALTER TABLE … ENABLE AUDIT, of all that a user touches by ALTER USER
 * … ENABLE AUDIT ALL. What a view reads counts as what it is: a table that is reached through it.
 */
import type { CatalogReader, ObjectId } from "../model/schema.js";
import { type AuditedLetter, auditedActions } from "./ddl/audit.js";

export interface AuditedUses {
  readonly objects: readonly string[];
  readonly actions: readonly string[];
}

export function isAudited(catalog: CatalogReader, sessionRole: ObjectId, currentRole: ObjectId): boolean {
  return (
    catalog.roleById(currentRole)?.audit === true ||
    (sessionRole !== currentRole && catalog.roleById(sessionRole)?.audit === true)
  );
}

/** `all`: also of tables that are not audited themselves. Undefined: there is nothing to tell. */
export function auditedUses(
  catalog: CatalogReader,
  needs: readonly { readonly relationId: ObjectId; readonly privilege: string }[],
  all: boolean,
): AuditedUses | undefined {
  // Asked at every execution, and mostly for nothing.
  const isOne = ({ relationId, privilege }: (typeof needs)[number]): boolean => {
    const relation = catalog.relationById(relationId);
    return relation?.kind === "table" && relation.audit?.includes(privilege) === true;
  };
  if (!all && !needs.some(isOne)) return undefined;
  const objects = new Set<string>();
  const actions = new Set<string>();
  for (const need of needs) {
    const { relationId, privilege } = need;
    const relation = catalog.relationById(relationId);
    if (relation === undefined || !(privilege in auditedActions) || (!all && !isOne(need))) continue;
    objects.add(`${catalog.schemaById(relation.schemaId)?.name ?? ""}.${relation.name}`);
    actions.add(auditedActions[privilege as AuditedLetter]);
  }
  return { objects: [...objects].sort(), actions: [...actions].sort() };
}
