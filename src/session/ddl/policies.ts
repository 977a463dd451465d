/**
 * Row policies: CREATE, ALTER and DROP POLICY, their new names, and the row-security switches of tables.
 *
 * Invariants: a policy's expressions are bound and stored in the same change that makes it, so that what is stored always
 * binds; every change of a table's policies holds the table's exclusive lock, and no statement runs under two sets of them.
 */
import { DbError } from "../../base/errors.js";
import type { ObjectId, PolicyDesc, TableDesc } from "../../model/schema.js";
import { publicRoleId } from "../../security/privileges.js";
import type {
  AlterPolicy,
  CreatePolicy,
  Drop,
  Expr,
  ObjectName,
  QualifiedName,
  RoleSpec,
} from "../../sql/ast.js";
import { type DdlContext, nameText, wrongKind } from "./context.js";
import { dropTargets } from "./drop.js";
import { storedPolicy } from "./stored.js";

/** The table of a policy that is made or changed; its owner alone may. */
function policyTable(ddl: DdlContext, name: QualifiedName): TableDesc {
  const relation = ddl.relation(name);
  if (relation.kind === "virtual")
    throw new DbError("insufficientPrivilege", `permission denied: "${relation.name}" is a system catalog`);
  if (relation.kind !== "table") throw wrongKind(relation, "a table");
  ddl.mustOwn(relation, "table", relation.name);
  return relation;
}

function policyRoles(ddl: DdlContext, specs: readonly RoleSpec[]): readonly ObjectId[] {
  if (specs.some((spec) => spec.kind === "public")) {
    if (specs.length > 1) {
      ddl.warning(
        "ignoring specified roles other than PUBLIC",
        "22023",
        "All roles are members of the PUBLIC role.",
      );
    }
    return [publicRoleId];
  }
  return [...new Set(specs.map((spec) => ddl.role(spec).id))];
}

type Dependencies = PolicyDesc["dependsOn"];

function merged(...lists: readonly (Dependencies | undefined)[]): Dependencies {
  const out = new Map<string, Dependencies[number]>();
  for (const list of lists) for (const one of list ?? []) out.set(one.join("."), one);
  return [...out.values()];
}

export async function createPolicy(ddl: DdlContext, statement: CreatePolicy): Promise<void> {
  const { name, command, using, withCheck } = statement;
  if ((command === "select" || command === "delete") && withCheck !== undefined)
    throw new DbError("syntaxError", "WITH CHECK cannot be applied to SELECT or DELETE");
  if (command === "insert" && using !== undefined)
    throw new DbError("syntaxError", "only WITH CHECK expression allowed for INSERT");
  const roles = policyRoles(ddl, statement.roles);
  const { id } = policyTable(ddl, statement.table);
  const table = await lockedTable(ddl, id);
  const usingText = using === undefined ? undefined : storedPolicy(ddl, table, using);
  const checkText = withCheck === undefined ? undefined : storedPolicy(ddl, table, withCheck);
  if (ddl.draft.policyByName(table.id, name) !== undefined) throw alreadyThere(name, table);
  put(ddl, {
    kind: "policy",
    id: ddl.draft.draw(),
    name,
    tableId: table.id,
    permissive: statement.permissive,
    command,
    roles,
    usingSql: usingText?.sql,
    checkSql: checkText?.sql,
    dependsOn: merged(usingText?.dependsOn, checkText?.dependsOn),
  });
}

export async function alterPolicy(ddl: DdlContext, statement: AlterPolicy): Promise<void> {
  const { name, using, withCheck } = statement;
  const roles = statement.roles === undefined ? undefined : policyRoles(ddl, statement.roles);
  const { id } = policyTable(ddl, statement.table);
  const table = await lockedTable(ddl, id);
  const policy = ddl.draft.policyByName(table.id, name);
  if (policy === undefined) throw notThere(name, table);
  if ((policy.command === "select" || policy.command === "delete") && withCheck !== undefined)
    throw new DbError("syntaxError", "only USING expression allowed for SELECT, DELETE");
  if (policy.command === "insert" && using !== undefined)
    throw new DbError("syntaxError", "only WITH CHECK expression allowed for INSERT");
  const text = (expr: Expr | undefined, before: string | undefined) => {
    const source = expr ?? before;
    return source === undefined ? undefined : storedPolicy(ddl, table, source);
  };
  const usingText = text(using, policy.usingSql);
  const checkText = text(withCheck, policy.checkSql);
  put(ddl, {
    ...policy,
    roles: roles ?? policy.roles,
    usingSql: usingText?.sql,
    checkSql: checkText?.sql,
    dependsOn: merged(usingText?.dependsOn, checkText?.dependsOn),
  });
}

async function lockedTable(ddl: DdlContext, id: ObjectId): Promise<TableDesc> {
  await ddl.lock(id, "AccessExclusive", ddl.draft.relationById(id)!.name);
  return ddl.draft.relationById(id) as TableDesc;
}

/** What the policy reads must be there when it comes to be. */
function put(ddl: DdlContext, policy: PolicyDesc): void {
  ddl.draft.rely(policy.tableId);
  for (const [id] of policy.dependsOn) ddl.draft.rely(id);
  for (const role of policy.roles) if (role !== publicRoleId) ddl.draft.rely(role);
  ddl.draft.put(policy);
}

function alreadyThere(name: string, table: TableDesc): DbError {
  return new DbError("duplicateObject", `policy "${name}" for table "${table.name}" already exists`);
}
export function notThere(name: string, table: { readonly name: string }): DbError {
  return new DbError("undefinedObject", `policy "${name}" for table "${table.name}" does not exist`);
}

export async function renamePolicy(ddl: DdlContext, name: ObjectName, newName: string): Promise<void> {
  const { id } = policyTable(ddl, name.on!);
  const table = await lockedTable(ddl, id);
  if (ddl.draft.policyByName(table.id, newName) !== undefined) throw alreadyThere(newName, table);
  const policy = ddl.draft.policyByName(table.id, name.name.name);
  if (policy === undefined) throw notThere(name.name.name, table);
  ddl.draft.put({ ...policy, name: newName });
}

export async function dropPolicy(ddl: DdlContext, statement: Drop): Promise<void> {
  for (const { name, on } of statement.names) {
    const relation = ddl.findRelation(on!);
    if (relation === undefined) {
      const message = `relation "${nameText(on!)}" does not exist`;
      if (!statement.ifExists) throw new DbError("undefinedTable", message);
      ddl.notice(`${message}, skipping`);
      continue;
    }
    const policy = ddl.draft.policyByName(relation.id, name.name);
    if (policy === undefined) {
      if (!statement.ifExists) throw notThere(name.name, relation);
      ddl.notice(`policy "${name.name}" for relation "${relation.name}" does not exist, skipping`);
      continue;
    }
    ddl.mustOwn(relation, "relation", relation.name);
    await dropTargets(ddl, [{ kind: "object", id: policy.id }], statement.cascade);
  }
}

/** The role's name goes from the policies; one that was for nobody else goes with it. */
export function dropFromPolicies(ddl: DdlContext, roleId: ObjectId): void {
  for (const object of [...ddl.draft.objects()]) {
    if (object.kind !== "policy" || !object.roles.includes(roleId)) continue;
    const roles = object.roles.filter((role) => role !== roleId);
    if (roles.length === 0) ddl.draft.delete(object.id);
    else ddl.draft.put({ ...object, roles });
  }
}

const switches = {
  enable: { rowSecurity: true },
  disable: { rowSecurity: undefined },
  force: { forceRowSecurity: true },
  noForce: { forceRowSecurity: undefined },
} as const;

export type RowSecuritySwitch = keyof typeof switches;

export function switchRowSecurity(ddl: DdlContext, table: TableDesc, mode: RowSecuritySwitch): void {
  const { rowSecurity, forceRowSecurity, ...rest } = { ...table, ...switches[mode] };
  ddl.draft.put({
    ...rest,
    ...(rowSecurity === true ? { rowSecurity } : {}),
    ...(forceRowSecurity === true ? { forceRowSecurity } : {}),
  });
}

const modeWords: Readonly<Record<RowSecuritySwitch, string>> = {
  enable: "ENABLE",
  disable: "DISABLE",
  force: "FORCE",
  noForce: "NO FORCE",
};

/** ALTER TABLE of what is no table. */
export function refuseRowSecurity(name: string, kind: string, mode: RowSecuritySwitch): DbError {
  return new DbError(
    "wrongObjectType",
    `ALTER action ${modeWords[mode]} ROW SECURITY cannot be performed on relation "${name}"`,
    { detail: `This operation is not supported for ${kind}s.` },
  );
}
