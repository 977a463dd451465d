/**
 * Who may do what: PostgreSQL's access control lists over catalog objects. Pure functions of a catalog.
 *
 * Invariants: a superuser passes every check; an owner holds every privilege of the object unless its list says
 * otherwise; a missing list means the kind's defaults (owner all; PUBLIC as PostgreSQL's `acldefault`).
 */
import { DbError } from "../base/errors.js";
import type { AclItem, CatalogReader, ObjectId, RoleDesc } from "../model/schema.js";

/** Letters as in aclitem text, per object kind. */
export const allPrivileges = {
  table: "arwdDxt",
  sequence: "rwU",
  schema: "UC",
  database: "CTc",
  function: "X",
  column: "arwx",
} as const;
export type AclKind = keyof typeof allPrivileges;

const publicDefaults: Record<AclKind, string> = {
  table: "",
  sequence: "",
  schema: "",
  database: "Tc",
  function: "X",
  column: "",
};

export const privilegeNames: Readonly<Record<string, string>> = {
  a: "INSERT",
  r: "SELECT",
  w: "UPDATE",
  d: "DELETE",
  D: "TRUNCATE",
  x: "REFERENCES",
  t: "TRIGGER",
  X: "EXECUTE",
  U: "USAGE",
  C: "CREATE",
  T: "TEMPORARY",
  c: "CONNECT",
};

export const publicRoleId = 0;

/** The role itself and every role it holds by inheritance (or by any membership, for SET ROLE). */
export function rolesOf(
  catalog: CatalogReader,
  roleId: ObjectId,
  inheritedOnly: boolean,
): ReadonlySet<ObjectId> {
  const held = new Set<ObjectId>([roleId]);
  const queue = [roleId];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const role = catalog.roleById(next);
    if (role === undefined || (inheritedOnly && !role.inherit)) continue;
    for (const { roleId: group } of role.memberOf) {
      if (held.has(group)) continue;
      held.add(group);
      queue.push(group);
    }
  }
  return held;
}

export function isSuperuser(catalog: CatalogReader, roleId: ObjectId): boolean {
  return catalog.roleById(roleId)?.superuser === true;
}

/** Acts with the rights of `owner`: is it, holds it, or is a superuser. */
export function hasRights(catalog: CatalogReader, roleId: ObjectId, owner: ObjectId): boolean {
  return roleId === owner || isSuperuser(catalog, roleId) || rolesOf(catalog, roleId, true).has(owner);
}

export function defaultAcl(kind: AclKind, owner: ObjectId): AclItem[] {
  const acl: AclItem[] = [];
  if (publicDefaults[kind] !== "") {
    acl.push({ grantee: publicRoleId, grantor: owner, privileges: publicDefaults[kind], grantable: "" });
  }
  if (kind !== "column") {
    acl.push({ grantee: owner, grantor: owner, privileges: allPrivileges[kind], grantable: "" });
  }
  return acl;
}

/** Whether the role holds every (or, with `any`, one) of the letters on an object with this list. */
export function holdsPrivileges(
  catalog: CatalogReader,
  roleId: ObjectId,
  kind: AclKind,
  owner: ObjectId,
  acl: readonly AclItem[] | undefined,
  letters: string,
  options: { readonly any?: boolean; readonly grantOption?: boolean } = {},
): boolean {
  if (isSuperuser(catalog, roleId)) return true;
  const roles = rolesOf(catalog, roleId, true);
  // The owner can always grant what he owns, whatever the list says.
  if (options.grantOption === true && roles.has(owner)) return true;
  let held = "";
  for (const item of acl ?? defaultAcl(kind, owner)) {
    if (item.grantee === publicRoleId || roles.has(item.grantee)) {
      held += options.grantOption === true ? item.grantable : item.privileges;
    }
  }
  return options.any === true
    ? [...letters].some((letter) => held.includes(letter))
    : [...letters].every((letter) => held.includes(letter));
}

/** What a statement needs of one relation; found by Bind, checked at the shard's door (D12). */
export interface PrivilegeNeed {
  readonly relationId: ObjectId;
  /** One letter of `allPrivileges.table` or `.sequence`. */
  readonly privilege: string;
  /** 0-based columns; empty: the whole relation. Column grants suffice when each column has one. */
  readonly columns: readonly number[];
  /** A view's owner, for what the view itself reads. */
  readonly asRole?: ObjectId | undefined;
}

/** Throws insufficientPrivilege (42501) for the first need that is not met. */
export function checkNeeds(catalog: CatalogReader, roleId: ObjectId, needs: readonly PrivilegeNeed[]): void {
  for (const need of needs) {
    const role = need.asRole ?? roleId;
    const relation = catalog.relationById(need.relationId);
    // Computed catalogs are open to everybody; their providers hide what is not the reader's.
    if (relation === undefined || relation.kind === "virtual") continue;
    const schema = catalog.schemaById(relation.schemaId);
    if (
      schema !== undefined &&
      need.asRole === undefined &&
      !holdsPrivileges(catalog, role, "schema", schema.owner, schema.acl, "U")
    ) {
      throw new DbError("insufficientPrivilege", `permission denied for schema ${schema.name}`);
    }
    const kind = relation.kind === "sequence" ? "sequence" : "table";
    if (holdsPrivileges(catalog, role, kind, relation.owner, relation.acl, need.privilege)) continue;
    const columns = relation.kind === "sequence" ? [] : relation.columns;
    const holdsOn = (column: { readonly acl?: readonly AclItem[] | undefined } | undefined): boolean =>
      column?.acl !== undefined &&
      holdsPrivileges(catalog, role, "column", relation.owner, column.acl, need.privilege);
    // A statement that names no column (count(*), FOR UPDATE) is content with any.
    const byColumn =
      need.columns.length > 0
        ? need.columns.every((column) => holdsOn(columns[column]))
        : need.privilege !== "d" && columns.some(holdsOn);
    if (!byColumn)
      throw new DbError("insufficientPrivilege", `permission denied for ${relation.kind} ${relation.name}`);
  }
}

/** The list after a grant. `existing` undefined: the kind's defaults stand before it. */
export function granted(
  kind: AclKind,
  owner: ObjectId,
  existing: readonly AclItem[] | undefined,
  grantee: ObjectId,
  grantor: ObjectId,
  letters: string,
  grantOption: boolean,
): AclItem[] {
  const acl = [...(existing ?? defaultAcl(kind, owner))];
  const place = acl.findIndex((item) => item.grantee === grantee && item.grantor === grantor);
  const before = acl[place] ?? { grantee, grantor, privileges: "", grantable: "" };
  const item = {
    ...before,
    privileges: inOrder(kind, before.privileges + letters),
    grantable: inOrder(kind, before.grantable + (grantOption ? letters : "")),
  };
  if (place < 0) acl.push(item);
  else acl[place] = item;
  return acl;
}

export function revoked(
  kind: AclKind,
  owner: ObjectId,
  existing: readonly AclItem[] | undefined,
  grantee: ObjectId,
  letters: string,
  grantOptionOnly: boolean,
): AclItem[] {
  const without = (held: string): string => [...held].filter((letter) => !letters.includes(letter)).join("");
  return (existing ?? defaultAcl(kind, owner))
    .map((item) =>
      item.grantee === grantee
        ? {
            ...item,
            privileges: grantOptionOnly ? item.privileges : without(item.privileges),
            grantable: without(item.grantable),
          }
        : item,
    )
    .filter((item) => item.privileges !== "");
}

function inOrder(kind: AclKind, letters: string): string {
  return [...allPrivileges[kind]].filter((letter) => letters.includes(letter)).join("");
}

/** PostgreSQL's text of one item: `grantee=letters*…/grantor`. */
export function aclItemText(catalog: CatalogReader, item: AclItem): string {
  const name = (id: ObjectId): string => {
    if (id === publicRoleId) return "";
    const role: RoleDesc | undefined = catalog.roleById(id);
    const text = role?.name ?? String(id);
    return /^[a-z0-9_]+$/i.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
  };
  const letters = [...item.privileges]
    .map((letter) => (item.grantable.includes(letter) ? `${letter}*` : letter))
    .join("");
  return `${name(item.grantee)}=${letters}/${name(item.grantor)}`;
}
