/**
 * Who is subject to which row and column rules: PostgreSQL's decision on policies (superusers and BYPASSRLS roles are
 * exempt, owners unless FORCE), and the same for the rules of the security bundle. Pure functions of a catalog.
 *
 * Invariants: nothing is decided per row; the answer depends on catalog, role, `row_security` and the version of the
 * rules alone, all of which are part of a plan's key.
 */
import { DbError } from "../base/errors.js";
import type { CatalogReader, ObjectId, TableDesc } from "../model/schema.js";
import type {
  AppliedColumnRule,
  AppliedRowRule,
  AppliedRules,
  SecurityRules,
  TableAccess,
} from "../model/security-rules.js";
import { holdsPrivileges, isSuperuser, publicRoleId, rolesOf } from "./privileges.js";

const none: ReadonlyMap<number, AppliedColumnRule> = new Map();

/** Whether the table's policies bind the role. */
export function policiesBind(catalog: CatalogReader, roleId: ObjectId, table: TableDesc): boolean {
  if (table.rowSecurity !== true || bypasses(catalog, roleId)) return false;
  return table.forceRowSecurity === true || !owns(catalog, roleId, table);
}

function bypasses(catalog: CatalogReader, roleId: ObjectId): boolean {
  const role = catalog.roleById(roleId);
  return role?.superuser === true || role?.bypassRls === true;
}

function owns(catalog: CatalogReader, roleId: ObjectId, table: TableDesc): boolean {
  return rolesOf(catalog, roleId, true).has(table.owner);
}

/** What a session's statements are bound under; asked again for each. */
export interface AccessSource {
  readonly catalog: CatalogReader;
  readonly currentRoleId: ObjectId;
  readonly rowSecurity: boolean;
  readonly rules: SecurityRules;
}

export class RowSecurity implements TableAccess {
  constructor(readonly source: AccessSource) {}

  rulesFor(table: TableDesc, asRole: ObjectId | undefined): AppliedRules | undefined {
    const { catalog, currentRoleId, rowSecurity } = this.source;
    const roleId = asRole ?? currentRoleId;
    const applied = this.#applied(table, roleId);
    if (applied === undefined || rowSecurity) return applied;
    if (!leavesRowsOut(applied)) return applied;
    throw new DbError(
      "insufficientPrivilege",
      `query would be affected by row-level security policy for table "${table.name}"`,
      policiesBind(catalog, roleId, table) && owns(catalog, roleId, table)
        ? {
            hint: "To disable the policy for the table's owner, use ALTER TABLE NO FORCE ROW LEVEL SECURITY.",
          }
        : {},
    );
  }

  /**
   * Whose values the session's role may be told of besides the rows it reads (details of errors, statistics): a column it
   * may select that no rule hides, of a table whose rows no rule leaves out.
   */
  showsColumn(table: TableDesc, place: number): boolean {
    const { catalog, currentRoleId } = this.source;
    const applied = this.#applied(table, currentRoleId);
    if (applied !== undefined) {
      if (leavesRowsOut(applied)) return false;
      if (applied.columns.has(place)) return false;
    }
    const holds = (kind: "table" | "column", acl: TableDesc["acl"]): boolean =>
      holdsPrivileges(catalog, currentRoleId, kind, table.owner, acl, "r");
    return holds("table", table.acl) || holds("column", table.columns[place]?.acl ?? []);
  }

  /** Whether a rule puts something in the column's place. */
  hidesColumn(table: TableDesc, place: number): boolean {
    return this.#applied(table, this.source.currentRoleId)?.columns.has(place) === true;
  }

  /** Whether rules leave rows out. */
  hidesRows(table: TableDesc): boolean {
    const applied = this.#applied(table, this.source.currentRoleId);
    return applied !== undefined && leavesRowsOut(applied);
  }

  #applied(table: TableDesc, roleId: ObjectId): AppliedRules | undefined {
    const { catalog, rules } = this.source;
    const rowRules = rules.rowRulesOf(table);
    const columnRules = rules.columnRulesOf(table);
    const policed = policiesBind(catalog, roleId, table);
    if (!policed && rowRules.length === 0 && columnRules.length === 0) return undefined;

    const roles = rolesOf(catalog, roleId, true);
    const isNamed = (named: readonly ObjectId[]): boolean =>
      named.some((role) => role === publicRoleId || roles.has(role));
    const bound = bypasses(catalog, roleId)
      ? []
      : rowRules.filter((rule) => rule.bindsOwner || !owns(catalog, roleId, table));
    const named = bound.filter((rule) => isNamed(rule.roles));
    const restrictive = named.filter((rule) => !rule.permissive);
    // As with policies: where rows need a rule that lets them through, a role that none names gets nothing.
    const permissive = bound.some((rule) => rule.permissive) ? [named.filter((rule) => rule.permissive)] : [];
    const columns = isSuperuser(catalog, roleId)
      ? none
      : appliedColumns(
          table,
          columnRules.filter((rule) => !isNamed(rule.grantedRoles)),
        );
    if (!policed && permissive.length + restrictive.length + columns.size === 0) return undefined;
    const mine = policed ? catalog.policiesOf(table.id).filter((policy) => isNamed(policy.roles)) : [];
    return {
      permissive: policed ? [mine.filter((policy) => policy.permissive), ...permissive] : permissive,
      restrictive: [...mine.filter((policy) => !policy.permissive).sort(byName), ...restrictive],
      columns,
    };
  }
}

export function leavesRowsOut({ permissive, restrictive }: AppliedRules): boolean {
  return permissive.length + restrictive.length > 0;
}

function byName(a: AppliedRowRule, b: AppliedRowRule): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

const strictness = { deny: 0, redact: 1, mask: 2 } as const;

function appliedColumns(
  table: TableDesc,
  rules: ReturnType<SecurityRules["columnRulesOf"]>,
): ReadonlyMap<number, AppliedColumnRule> {
  const out = new Map<number, AppliedColumnRule>();
  for (const rule of rules) {
    const place = rule.column;
    const column = table.columns[place];
    // What was dropped is read no more; its place is never given again.
    if (column === undefined || column.dropped === true) continue;
    const known = out.get(place);
    if (known !== undefined && strictness[known.action] <= strictness[rule.action]) continue;
    out.set(
      place,
      rule.action === "mask"
        ? { action: "mask", expressionSql: rule.expressionSql, type: column.type }
        : { action: rule.action },
    );
  }
  return out;
}
