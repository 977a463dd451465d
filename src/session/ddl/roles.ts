/** Roles, membership, GRANT and REVOKE. */
import { DbError, notSupported } from "../../base/errors.js";
import type {
  AclItem,
  CatalogObject,
  ClusterDesc,
  ObjectId,
  RoleDesc,
  TableDesc,
  ViewDesc,
} from "../../model/schema.js";
import {
  type AclKind,
  type AclTarget,
  aclKindOf,
  allPrivileges,
  bestGrantor,
  defaultAcl,
  granted,
  hasRights,
  holdsPrivileges,
  privilegeNames,
  publicRoleId,
  revoked,
  rolesOf,
  withoutRole,
} from "../../security/privileges.js";
import type {
  AlterGroup,
  AlterRole,
  AlterRoleSet,
  CreateRole,
  Drop,
  DropOwned,
  Grant,
  GrantRole,
  Privilege,
  ReassignOwned,
  RoleOption,
  RoleSpec,
} from "../../sql/ast.js";
import { changeOwner } from "./alter.js";
import { type DdlContext, nameText } from "./context.js";
import { describe, dropTargets, type Target } from "./drop.js";
import { dropFromPolicies } from "./policies.js";

const newRole = {
  superuser: false,
  inherit: true,
  createRole: false,
  createDb: false,
  login: false,
  replication: false,
  bypassRls: false,
  connectionLimit: -1,
  memberOf: [],
} as const;

function self(ddl: DdlContext): RoleDesc {
  return ddl.draft.roleById(ddl.roleId)!;
}

export async function createRole(ddl: DdlContext, statement: CreateRole): Promise<void> {
  const me = self(ddl);
  if (!me.superuser && !me.createRole)
    throw new DbError("insufficientPrivilege", "permission denied to create role");
  if (ddl.draft.roleByName(statement.name) !== undefined) {
    throw new DbError("duplicateObject", `role "${statement.name}" already exists`);
  }
  if (statement.name.startsWith("pg_")) {
    throw new DbError("reservedName", `role name "${statement.name}" is reserved`, {
      detail: 'Role names starting with "pg_" are reserved.',
    });
  }
  if (statement.name === "public" || statement.name === "none")
    throw new DbError("reservedName", `role name "${statement.name}" is reserved`);
  const role: RoleDesc = {
    kind: "role",
    id: ddl.draft.draw(),
    name: statement.name,
    ...newRole,
    login: statement.roleKind === "user",
  };
  await applyOptions(ddl, role, statement.options, true);
}

/** Puts the role with its options; memberships named in the options change the other roles. */
async function applyOptions(
  ddl: DdlContext,
  before: RoleDesc,
  options: readonly RoleOption[],
  creating: boolean,
): Promise<void> {
  const me = self(ddl);
  const seen = new Set<string>();
  let role = before;
  for (const option of options) {
    if (seen.has(option.kind))
      throw new DbError("syntaxError", "conflicting or redundant options", { position: option.position });
    seen.add(option.kind);
    switch (option.kind) {
      case "superuser":
        if (!me.superuser && (option.value || before.superuser))
          throw new DbError(
            "insufficientPrivilege",
            creating
              ? "must be superuser to create superusers"
              : "must be superuser to alter superuser roles or change superuser attribute",
          );
        role = { ...role, superuser: option.value };
        break;
      case "replication":
      case "bypassRls":
        if (!me.superuser)
          throw new DbError(
            "insufficientPrivilege",
            creating
              ? `must be superuser to create ${option.kind === "replication" ? "replication" : "bypassrls"} users`
              : attributeRefusals[option.kind],
          );
        role = { ...role, [option.kind]: option.value };
        break;
      case "createDb":
      case "createRole":
      case "inherit":
      case "login":
        role = { ...role, [option.kind]: option.value };
        break;
      case "password": {
        const { password: _, ...rest } = role;
        role =
          option.password === undefined
            ? rest
            : { ...rest, password: await verifierOf(ddl, option.password) };
        break;
      }
      case "connectionLimit":
        if (option.limit < -1)
          throw new DbError("invalidParameterValue", `invalid connection limit: ${option.limit}`);
        role = { ...role, connectionLimit: option.limit };
        break;
      case "validUntil":
        role = { ...role, validUntil: validUntil(ddl, option.timestamp) };
        break;
      case "sysId":
        ddl.notice("SYSID can no longer be specified");
        break;
      case "inRole":
      case "role":
      case "admin":
        break;
    }
  }
  ddl.draft.put(role);
  for (const option of options) {
    if (option.kind === "inRole")
      for (const group of option.roles) addMember(ddl, ddl.role(group).id, role.id, false);
    else if (option.kind === "role" || option.kind === "admin")
      for (const member of option.roles)
        addMember(ddl, role.id, ddl.role(member).id, option.kind === "admin");
  }
}

async function verifierOf(ddl: DdlContext, password: string): Promise<string> {
  if (/^SCRAM-SHA-256\$\d+:[^$]+\$[^:]+:.+$/.test(password)) return password;
  if (/^md5[0-9a-f]{32}$/.test(password)) {
    throw new DbError("featureNotSupported", "MD5 passwords are not supported", {
      hint: "Give the password itself; it is stored as a SCRAM-SHA-256 verifier.",
    });
  }
  return ddl.session.passwordVerifier(password);
}

/** Kept as microseconds since 2000-01-01, or "infinity". */
function validUntil(ddl: DdlContext, text: string): string {
  const value = ddl.session.timestamp(text);
  return value === Number.POSITIVE_INFINITY ? "infinity" : String(value);
}

/** Attributes that only a superuser may give or take, and whose bearers only he may change. */
const attributeRefusals = {
  superuser: "must be superuser to alter superuser roles or change superuser attribute",
  replication: "must be superuser to alter replication roles or change replication attribute",
  bypassRls: "must be superuser to change bypassrls attribute",
} as const;

export async function alterRole(ddl: DdlContext, statement: AlterRole): Promise<void> {
  const role = ddl.role(statement.role);
  const me = self(ddl);
  const onlyOwnPassword =
    role.id === me.id && statement.options.every((option) => option.kind === "password");
  if (!me.superuser) {
    for (const attribute of ["superuser", "replication", "bypassRls"] as const) {
      if (role[attribute] || statement.options.some((option) => option.kind === attribute))
        throw new DbError("insufficientPrivilege", attributeRefusals[attribute]);
    }
    if (!me.createRole && !onlyOwnPassword) throw new DbError("insufficientPrivilege", "permission denied");
  }
  await applyOptions(ddl, role, statement.options, false);
}

export async function alterRoleSet(ddl: DdlContext, statement: AlterRoleSet): Promise<void> {
  if (statement.database !== undefined) throw notSupported("ALTER ROLE IN DATABASE");
  if (statement.role === undefined) throw notSupported("ALTER ROLE ALL");
  const role = ddl.role(statement.role);
  const me = self(ddl);
  if (role.superuser && !me.superuser)
    throw new DbError("insufficientPrivilege", "must be superuser to alter superusers");
  if (!me.superuser && role.id !== me.id && !me.createRole)
    throw new DbError("insufficientPrivilege", "permission denied");
  const settings: Record<string, string> = { ...role.settings };
  const { set } = statement;
  if (set.kind === "reset") {
    if (set.name === undefined) for (const name of Object.keys(settings)) delete settings[name];
    else delete settings[set.name];
  } else if (set.values === undefined) delete settings[set.name];
  else
    settings[set.name] = ddl.session.checkedSetting(
      set.name,
      set.values.map((value) => value.text),
    );
  ddl.draft.put({ ...role, settings });
}

export async function alterGroup(ddl: DdlContext, statement: AlterGroup): Promise<void> {
  const group = ddl.role(statement.group);
  requireAdmin(ddl, group);
  for (const member of statement.members) {
    const role = ddl.role(member);
    if (statement.add) addMember(ddl, group.id, role.id, false);
    else ddl.draft.put({ ...role, memberOf: role.memberOf.filter((one) => one.roleId !== group.id) });
  }
}

function requireAdmin(ddl: DdlContext, group: RoleDesc): void {
  const me = self(ddl);
  if (group.superuser && !me.superuser)
    throw new DbError("insufficientPrivilege", "must be superuser to alter superusers");
  if (me.superuser || me.createRole) return;
  const admin = [...rolesOf(ddl.draft, me.id, true)].some(
    (id) => ddl.draft.roleById(id)?.memberOf.some((one) => one.roleId === group.id && one.admin) === true,
  );
  if (!admin) throw new DbError("insufficientPrivilege", `must have admin option on role "${group.name}"`);
}

function addMember(ddl: DdlContext, groupId: ObjectId, memberId: ObjectId, admin: boolean): void {
  const group = ddl.draft.roleById(groupId)!;
  const member = ddl.draft.roleById(memberId)!;
  if (groupId === memberId || rolesOf(ddl.draft, groupId, false).has(memberId)) {
    throw new DbError("invalidGrantOperation", `role "${group.name}" is a member of role "${member.name}"`);
  }
  if (group.superuser && !ddl.isSuperuser)
    throw new DbError("insufficientPrivilege", "must be superuser to alter superusers");
  const before = member.memberOf.find((one) => one.roleId === groupId);
  if (before !== undefined && (before.admin || !admin)) {
    ddl.notice(`role "${member.name}" is already a member of role "${group.name}"`);
    return;
  }
  ddl.draft.put({
    ...member,
    memberOf: [
      ...member.memberOf.filter((one) => one.roleId !== groupId),
      { roleId: groupId, admin, grantor: ddl.roleId },
    ],
  });
}

export async function grantRole(ddl: DdlContext, statement: GrantRole): Promise<void> {
  for (const { name } of statement.roles) {
    const group = name === undefined ? undefined : ddl.draft.roleByName(name);
    if (group === undefined) throw new DbError("undefinedObject", `role "${name}" does not exist`);
    requireAdmin(ddl, group);
    for (const grantee of statement.grantees) {
      const member = ddl.role(grantee);
      if (statement.grant) {
        addMember(ddl, group.id, member.id, statement.adminOption);
        continue;
      }
      const held = member.memberOf.find((one) => one.roleId === group.id);
      if (held === undefined) ddl.warning(`role "${member.name}" is not a member of role "${group.name}"`);
      else if (statement.adminOption)
        ddl.draft.put({
          ...member,
          memberOf: member.memberOf.map((one) => (one === held ? { ...one, admin: false } : one)),
        });
      else ddl.draft.put({ ...member, memberOf: member.memberOf.filter((one) => one !== held) });
    }
  }
}

export async function dropRole(ddl: DdlContext, statement: Drop): Promise<void> {
  const me = self(ddl);
  for (const { name } of statement.names) {
    const role = ddl.draft.roleByName(name.name);
    if (!me.superuser && !me.createRole)
      throw new DbError("insufficientPrivilege", "permission denied to drop role");
    if (role === undefined) {
      if (!statement.ifExists) throw new DbError("undefinedObject", `role "${name.name}" does not exist`);
      ddl.notice(`role "${name.name}" does not exist, skipping`);
      continue;
    }
    if (role.id === ddl.roleId) throw new DbError("objectInUse", "current user cannot be dropped");
    if (role.id === ddl.session.sessionRoleId)
      throw new DbError("objectInUse", "session user cannot be dropped");
    if (role.superuser && !me.superuser)
      throw new DbError("insufficientPrivilege", "must be superuser to drop superusers");
    const lines = roleUses(ddl, role.id);
    if (lines.length > 0) {
      throw new DbError(
        "dependentObjectsStillExist",
        `role "${role.name}" cannot be dropped because some objects depend on it`,
        { detail: lines.join("\n") },
      );
    }
    for (const other of [...ddl.draft.objects()]) {
      if (other.kind === "role" && other.memberOf.some((one) => one.roleId === role.id)) {
        ddl.draft.put({ ...other, memberOf: other.memberOf.filter((one) => one.roleId !== role.id) });
      }
    }
    ddl.draft.delete(role.id);
  }
}

function roleUses(ddl: DdlContext, roleId: ObjectId): string[] {
  const lines: string[] = [];
  for (const object of ddl.draft.objects()) {
    if (object.kind === "connectionRule" && object.roles?.includes(roleId) === true)
      lines.push(`named in connection rule ${object.name}`);
    if (object.kind === "policy" && object.roles.includes(roleId))
      lines.push(`target of ${describe(ddl, { kind: "object", id: object.id })}`);
    if (!("owner" in object) || !("name" in object)) continue;
    const label = describe(ddl, { kind: "object", id: object.id });
    if (object.owner === roleId) lines.push(`owner of ${label}`);
    else if (
      "acl" in object &&
      object.acl?.some((item) => item.grantee === roleId || item.grantor === roleId) === true
    )
      lines.push(`privileges for ${label}`);
    else if (
      object.kind === "table" &&
      object.columns.some(
        (column) => column.acl?.some((item) => item.grantee === roleId || item.grantor === roleId) === true,
      )
    )
      lines.push(`privileges for ${label}`);
  }
  return lines;
}

export async function reassignOwned(ddl: DdlContext, statement: ReassignOwned): Promise<void> {
  const to = ddl.role(statement.to).id;
  for (const spec of statement.roles) {
    const role = ddl.role(spec);
    if (!hasRights(ddl.draft, ddl.roleId, role.id))
      throw new DbError("insufficientPrivilege", "permission denied to reassign objects");
    for (const object of [...ddl.draft.objects()])
      if ("owner" in object && object.owner === role.id) changeOwner(ddl, object, to);
  }
}

export async function dropOwned(ddl: DdlContext, statement: DropOwned): Promise<void> {
  for (const spec of statement.roles) {
    const role = ddl.role(spec);
    if (!hasRights(ddl.draft, ddl.roleId, role.id))
      throw new DbError("insufficientPrivilege", "permission denied to drop objects");
    for (const object of [...ddl.draft.objects()]) dropGrants(ddl, object, role.id);
    dropFromPolicies(ddl, role.id);
    const owned: Target[] = [...ddl.draft.objects()]
      .filter((object) => "owner" in object && object.owner === role.id && object.kind !== "database")
      .map((object) => ({ kind: "object", id: object.id }));
    if (owned.length > 0) await dropTargets(ddl, owned, statement.cascade);
  }
}

/** What was granted to the role, on the object and its columns, and what it granted on. */
function dropGrants(ddl: DdlContext, object: CatalogObject, roleId: ObjectId): void {
  if (!("owner" in object)) return;
  const names = (item: AclItem): boolean => item.grantee === roleId;
  const { owner } = object;
  let changed: CatalogObject = object;
  if ("acl" in object && object.acl?.some(names) === true) {
    const acl = withoutRole({ catalog: ddl.draft, kind: aclKindOf(object), owner }, object.acl, roleId);
    changed = { ...object, acl } as CatalogObject;
  }
  if (
    (changed.kind === "table" || changed.kind === "view") &&
    changed.columns.some((column) => column.acl?.some(names) === true)
  ) {
    const target = { catalog: ddl.draft, kind: "column", owner } as const;
    changed = {
      ...changed,
      columns: changed.columns.map((column) =>
        column.acl === undefined ? column : { ...column, acl: withoutRole(target, column.acl, roleId) },
      ),
    };
  }
  if (changed !== object) ddl.draft.put(changed);
}

// --- GRANT and REVOKE on objects ------------------------------------------------------------------------------------

/** Privileges on the cluster (SQL-9 and spec/15's area headings). */
const clusterPrivileges = [
  "CLUSTER_MEMBERSHIP_ADMIN",
  "CLUSTER_CONFIG_ADMIN",
  "CLUSTER_CA_ADMIN",
  "CLUSTER_SECURITY_ADMIN",
  "CLUSTER_SHARD_ADMIN",
  "AUDITOR",
  "BACKUP",
  "RESTORE",
];

const letterOf = new Map(
  Object.entries(privilegeNames).map(([letter, name]) => [name.toLowerCase(), letter]),
);
letterOf.set("temp", "T");

function lettersOf(
  kind: AclKind,
  privileges: readonly Privilege[],
  label: string,
): { letters: string; columns: readonly string[] }[] {
  return privileges.map(({ name, columns }) => {
    if (name === undefined)
      return { letters: columns.length > 0 ? allPrivileges.column : allPrivileges[kind], columns };
    const letter = letterOf.get(name);
    if (letter === undefined) throw new DbError("syntaxError", `unrecognized privilege type "${name}"`);
    const legal: string = columns.length > 0 ? allPrivileges.column : allPrivileges[kind];
    if (!legal.includes(letter)) {
      throw new DbError(
        "invalidGrantOperation",
        `invalid privilege type ${name.toUpperCase()} for ${columns.length > 0 ? "column" : label}`,
      );
    }
    return { letters: letter, columns };
  });
}

export async function grant(ddl: DdlContext, statement: Grant): Promise<void> {
  if (statement.grantedBy !== undefined && ddl.role(statement.grantedBy).id !== ddl.roleId)
    throw new DbError("featureNotSupported", "grantor must be current user");
  const grantees = statement.grantees.map((spec) => granteeOf(ddl, spec));
  if (statement.grantOption && statement.grant && grantees.includes(publicRoleId)) {
    throw new DbError("invalidGrantOperation", "grant options can only be granted to roles");
  }
  if (statement.objectType === "cluster") {
    grantCluster(ddl, statement, grantees);
    return;
  }
  for (const object of grantTargets(ddl, statement)) grantOne(ddl, statement, object, grantees);
}

function granteeOf(ddl: DdlContext, spec: RoleSpec): ObjectId {
  return spec.kind === "public" ? publicRoleId : ddl.role(spec).id;
}

type Grantable = Extract<
  CatalogObject,
  { owner: ObjectId; acl?: readonly AclItem[] | undefined; name: string }
>;

function grantTargets(ddl: DdlContext, statement: Grant): Grantable[] {
  if (statement.allInSchemas.length > 0) {
    const found: Grantable[] = [];
    for (const name of statement.allInSchemas) {
      const schema = ddl.schema(name);
      for (const object of ddl.draft.objects()) {
        if (object.kind !== "sequence" && object.kind !== "table" && object.kind !== "view") continue;
        if (
          (statement.objectType === "sequence") === (object.kind === "sequence") &&
          object.schemaId === schema.id
        )
          found.push(object);
      }
    }
    return found;
  }
  return statement.objects.map(({ name }): Grantable => {
    switch (statement.objectType) {
      case "table":
      case "view":
      case "sequence": {
        const relation = ddl.relation(name);
        if (relation.kind === "virtual")
          throw new DbError(
            "insufficientPrivilege",
            `permission denied: "${relation.name}" is a system catalog`,
          );
        if (statement.objectType === "sequence" && relation.kind !== "sequence")
          throw new DbError("wrongObjectType", `"${relation.name}" is not a sequence`);
        return relation;
      }
      case "schema":
        return ddl.schema(name.name);
      case "database":
        if (name.name !== ddl.session.database.name)
          throw new DbError("invalidCatalogName", `database "${name.name}" does not exist`);
        return ddl.draft.get(ddl.session.database.id) as Grantable;
      default:
        throw notSupported(`GRANT ON ${statement.objectType} ${nameText(name)}`);
    }
  });
}

/** Letters of the whole object, and by column. */
interface Wanted {
  readonly whole: string;
  readonly columns: ReadonlyMap<number, string>;
  /** ALL: what cannot be granted of it is passed over in silence. */
  readonly all: boolean;
}

function wantedOf(statement: Grant, object: Grantable, kind: AclKind): Wanted {
  const label = object.kind === "view" ? "relation" : object.kind;
  let whole = "";
  const columns = new Map<number, string>();
  for (const { letters, columns: names } of lettersOf(kind, statement.privileges, label)) {
    if (names.length === 0) whole += letters;
    for (const name of names) {
      const relation = object as TableDesc | ViewDesc;
      const place = relation.columns.findIndex((column) => column.name === name && column.dropped !== true);
      if (place < 0) {
        throw new DbError(
          "undefinedColumn",
          `column "${name}" of relation "${relation.name}" does not exist`,
        );
      }
      columns.set(place, (columns.get(place) ?? "") + letters);
    }
  }
  return { whole, columns, all: statement.privileges.some((one) => one.name === undefined) };
}

function grantOne(ddl: DdlContext, statement: Grant, object: Grantable, grantees: readonly ObjectId[]): void {
  const kind = aclKindOf(object);
  const wanted = wantedOf(statement, object, kind);
  let current: Grantable = object;
  if (wanted.whole !== "") {
    const target = { catalog: ddl.draft, kind, owner: object.owner };
    const what = { name: `"${object.name}"`, refused: `${object.kind} ${object.name}` };
    const acl = object.acl ?? defaultAcl(kind, object.owner);
    const by = mayGrant(ddl, target, acl, wanted.whole, wanted.all, statement.grant, what);
    if (by.letters !== "")
      current = { ...current, acl: changed(target, object.acl, statement, grantees, by) };
  }
  if (current.kind === "table" || current.kind === "view") {
    current = grantColumns(ddl, statement, current, wanted, grantees);
  }
  ddl.draft.put(current);
}

function changed(
  target: AclTarget,
  existing: readonly AclItem[] | undefined,
  { grant, grantOption, cascade }: Grant,
  grantees: readonly ObjectId[],
  { grantor, letters }: { readonly grantor: ObjectId; readonly letters: string },
): AclItem[] {
  let acl = existing;
  for (const grantee of grantees) {
    acl = grant
      ? granted(target, acl, grantee, grantor, letters, grantOption)
      : revoked(target, acl, grantee, grantor, letters, grantOption, cascade);
  }
  return [...(acl ?? [])];
}

/** In whose name, and which of the letters; says so when it is not all of them. Throws 42501 for who has nothing there. */
function mayGrant(
  ddl: DdlContext,
  target: AclTarget,
  acl: readonly AclItem[],
  letters: string,
  all: boolean,
  granting: boolean,
  what: { readonly name: string; readonly refused: string },
): ReturnType<typeof bestGrantor> {
  const by = bestGrantor(target, acl, ddl.roleId, letters);
  const { catalog, kind, owner } = target;
  if (
    by.letters === "" &&
    !holdsPrivileges(catalog, ddl.roleId, kind, owner, acl, allPrivileges[kind], { any: true })
  ) {
    throw new DbError("insufficientPrivilege", `permission denied for ${what.refused}`);
  }
  const done = granting ? "were granted" : "could be revoked";
  const code = granting ? "01007" : "01006";
  if (by.letters === "") ddl.warning(`no privileges ${done} for ${what.name}`, code);
  else if (!all && by.letters.length < new Set(letters).size)
    ddl.warning(`not all privileges ${done} for ${what.name}`, code);
  return by;
}

/** Grants on columns rest on the table's grant options too; what is taken from the whole is taken from its columns. */
function grantColumns(
  ddl: DdlContext,
  statement: Grant,
  relation: TableDesc | ViewDesc,
  wanted: Wanted,
  grantees: readonly ObjectId[],
): TableDesc | ViewDesc {
  const { owner } = relation;
  const target = { catalog: ddl.draft, kind: "column", owner } as const;
  const whole = relation.acl ?? defaultAcl("table", owner);
  const implied = statement.grant
    ? ""
    : [...allPrivileges.column].filter((letter) => wanted.whole.includes(letter)).join("");
  if (implied === "" && wanted.columns.size === 0) return relation;
  const columns = relation.columns.map((column, place) => {
    const named = wanted.columns.get(place) ?? "";
    const both = [...(column.acl ?? []), ...whole];
    let { acl } = column;
    if (implied !== "" && acl !== undefined) {
      const by = bestGrantor(target, both, ddl.roleId, implied);
      if (by.letters !== "") acl = changed(target, acl, statement, grantees, by);
    }
    if (named !== "") {
      const what = `column "${column.name}" of relation "${relation.name}"`;
      const all = new Set(named).size === allPrivileges.column.length;
      const by = mayGrant(ddl, target, both, named, all, statement.grant, { name: what, refused: what });
      if (by.letters !== "") acl = changed(target, acl, statement, grantees, by);
    }
    return acl === column.acl ? column : { ...column, acl };
  });
  return { ...relation, columns };
}

function grantCluster(ddl: DdlContext, statement: Grant, grantees: readonly ObjectId[]): void {
  if (!ddl.isSuperuser)
    throw new DbError("insufficientPrivilege", "must be superuser to grant privileges on the cluster");
  const cluster = [...ddl.draft.objects()].find((object): object is ClusterDesc => object.kind === "cluster");
  if (cluster === undefined) throw new DbError("undefinedObject", "the cluster object does not exist");
  const wanted = statement.privileges.flatMap(({ name }) => {
    if (name === undefined) return clusterPrivileges;
    const known = clusterPrivileges.find((one) => one.toLowerCase() === name);
    if (known === undefined) throw new DbError("syntaxError", `unrecognized privilege type "${name}"`);
    return [known];
  });
  const acl = cluster.acl.filter(
    (item) => !(grantees.includes(item.grantee) && wanted.includes(item.privilege)),
  );
  if (statement.grant)
    for (const grantee of grantees) for (const privilege of wanted) acl.push({ grantee, privilege });
  ddl.draft.put({ ...cluster, acl });
}
