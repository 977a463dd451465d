/**
 * Who may do what: PostgreSQL's access control lists over catalog objects. Pure functions of a catalog.
 *
 * Invariants: a superuser passes every check; an owner holds every privilege of the object unless its list says
 * otherwise; a missing list means the kind's defaults (owner all; PUBLIC as PostgreSQL's `acldefault`).
 */
import { DbError } from "../base/errors.js";
import type { AclItem, CatalogObject, CatalogReader, ObjectId, RoleDesc } from "../model/schema.js";

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

/** What kind of list an object that has one carries. */
export function aclKindOf({ kind }: CatalogObject): AclKind {
  return kind === "sequence" || kind === "schema" || kind === "database" ? kind : "table";
}

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

/** What lists are changed for: one kind of object and its owner. */
export interface AclTarget {
  readonly catalog: CatalogReader;
  readonly kind: AclKind;
  readonly owner: ObjectId;
}

/** Of the letters, those that the role itself may grant, whatever it is a member of. */
function ownOptions(acl: readonly AclItem[], roleId: ObjectId, owner: ObjectId, letters: string): string {
  if (roleId === owner) return letters;
  const items = acl.filter((item) => item.grantee === roleId);
  return [...letters].filter((letter) => items.some((item) => item.grantable.includes(letter))).join("");
}

/** The same with what it holds by inheritance. */
function heldOptions(
  { catalog, owner }: AclTarget,
  acl: readonly AclItem[],
  roleId: ObjectId,
  letters: string,
): string {
  if (hasRights(catalog, roleId, owner)) return letters;
  const roles = rolesOf(catalog, roleId, true);
  const items = acl.filter((item) => roles.has(item.grantee));
  return [...letters].filter((letter) => items.some((item) => item.grantable.includes(letter))).join("");
}

/**
 * In whose name the role grants or revokes the letters, and which of them: the owner for whoever acts with his rights,
 * else the first role it holds that may grant all of them, or the one that may grant most.
 */
export function bestGrantor(
  target: AclTarget,
  acl: readonly AclItem[],
  roleId: ObjectId,
  letters: string,
): { readonly grantor: ObjectId; readonly letters: string } {
  const { catalog, owner } = target;
  if (roleId === owner || isSuperuser(catalog, roleId)) return { grantor: owner, letters };
  let best = { grantor: roleId, letters: "" };
  for (const role of rolesOf(catalog, roleId, true)) {
    const options = ownOptions(acl, role, owner, letters);
    if (options.length > best.letters.length) best = { grantor: role, letters: options };
    if (options.length === letters.length) break;
  }
  return best;
}

/** The list after a grant. Throws 0LP01 for a grant option given back to whom the grantor has his own from. */
export function granted(
  target: AclTarget,
  existing: readonly AclItem[] | undefined,
  grantee: ObjectId,
  grantor: ObjectId,
  letters: string,
  grantOption: boolean,
): AclItem[] {
  const { kind, owner } = target;
  const acl = [...(existing ?? defaultAcl(kind, owner))];
  if (grantOption && grantor !== owner) {
    // What the grantor has without all that hangs on the grantee's options.
    let without: AclItem[] = acl;
    for (const item of acl) {
      if (item.grantee === grantee && item.grantable !== "")
        without = taken(target, without, grantee, item.grantor, "", item.grantable, true);
    }
    if (heldOptions(target, without, grantor, letters).length < letters.length) {
      throw new DbError("invalidGrantOperation", "grant options cannot be granted back to your own grantor");
    }
  }
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

/**
 * The list after what `grantor` granted is taken back. What the grantee granted on by an option that goes and that he has
 * from nobody else goes with it (`cascade`), or stands in the way (2BP01).
 */
export function revoked(
  target: AclTarget,
  existing: readonly AclItem[] | undefined,
  grantee: ObjectId,
  grantor: ObjectId,
  letters: string,
  grantOptionOnly: boolean,
  cascade: boolean,
): AclItem[] {
  const acl = [...(existing ?? defaultAcl(target.kind, target.owner))];
  return taken(target, acl, grantee, grantor, grantOptionOnly ? "" : letters, letters, cascade);
}

function taken(
  target: AclTarget,
  acl: AclItem[],
  grantee: ObjectId,
  grantor: ObjectId,
  privileges: string,
  options: string,
  cascade: boolean,
): AclItem[] {
  const place = acl.findIndex((item) => item.grantee === grantee && item.grantor === grantor);
  const before = acl[place];
  if (before === undefined) return acl;
  const after = {
    ...before,
    privileges: without(before.privileges, privileges),
    grantable: without(before.grantable, options),
  };
  const gone = after.privileges === "" && after.grantable === "";
  let rest = gone
    ? acl.filter((item) => item !== before)
    : acl.map((item) => (item === before ? after : item));
  // The owner can always grant; everybody else may have the option from another grantor too.
  const lost = without(before.grantable, after.grantable);
  if (lost === "" || grantee === target.owner || grantee === publicRoleId) return rest;
  const dead = without(lost, heldOptions(target, rest, grantee, lost));
  for (;;) {
    const hanging = rest.find(
      (item) => item.grantor === grantee && [...dead].some((letter) => item.privileges.includes(letter)),
    );
    if (hanging === undefined) return rest;
    if (!cascade) {
      throw new DbError("dependentObjectsStillExist", "dependent privileges exist", {
        hint: "Use CASCADE to revoke them too.",
      });
    }
    rest = taken(target, rest, hanging.grantee, grantee, dead, dead, true);
  }
}

function without(held: string, letters: string): string {
  return [...held].filter((letter) => !letters.includes(letter)).join("");
}

/** The list without anything that was granted to the role, or by it. */
export function withoutRole(
  target: AclTarget,
  existing: readonly AclItem[],
  roleId: ObjectId,
): readonly AclItem[] {
  let acl = [...existing];
  for (const item of existing) {
    if (item.grantee === roleId)
      acl = taken(target, acl, roleId, item.grantor, item.privileges, item.grantable, true);
  }
  return acl;
}

/** The list when the object has a new owner: he takes the place of the old one, who granted what the owner granted. */
export function withOwner(
  kind: AclKind,
  existing: readonly AclItem[] | undefined,
  before: ObjectId,
  after: ObjectId,
): readonly AclItem[] | undefined {
  if (existing === undefined || before === after) return existing;
  const named = (id: ObjectId): ObjectId => (id === before ? after : id);
  const acl: AclItem[] = [];
  for (const item of existing) {
    const grantee = named(item.grantee);
    const grantor = named(item.grantor);
    const place = acl.findIndex((one) => one.grantee === grantee && one.grantor === grantor);
    const same = acl[place];
    if (same === undefined) acl.push({ ...item, grantee, grantor });
    else {
      acl[place] = {
        ...same,
        privileges: inOrder(kind, same.privileges + item.privileges),
        grantable: inOrder(kind, same.grantable + item.grantable),
      };
    }
  }
  return acl;
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
