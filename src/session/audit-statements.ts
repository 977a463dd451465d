/** Which event tells of a statement that changes the catalog. */
import type { EventType } from "../audit/index.js";
import type { RoleSpec, Statement } from "../sql/ast.js";
import { type AuditPayload, statementText } from "./audit.js";

/** `ast` undefined: nothing is known of the statement but its text. `by`: the role that it ran as. */
export function catalogEvent(
  ast: Statement | undefined,
  text: string,
  by: string,
): [type: EventType, payload: AuditPayload] {
  const common = { user: by, ...statementText(text) };
  switch (ast?.kind) {
    case "grant":
    case "grantRole": {
      const type = ast.kind === "grant" ? "PERMISSION" : "ROLE";
      const what =
        ast.kind === "grant"
          ? {
              objects: ast.objects.map(nameOf),
              object_type: ast.objectType,
              privileges: ast.privileges.map((one) => one.name ?? "all"),
            }
          : { roles: ast.roles.map((one) => one.name ?? "all") };
      const payload = { ...common, ...what, grantees: ast.grantees.map(roleName), grantor: by };
      return ast.grant ? [`${type}_GRANTED`, payload] : [`${type}_REVOKED`, payload];
    }
    case "alterAudit": {
      const { of, enable, what } = ast;
      const object =
        of.kind === "table" ? nameOf(of.name) : of.role === undefined ? "all" : roleName(of.role);
      return ["AUDIT_POLICY_CHANGED", { ...common, object_name: object, object_type: of.kind, enable, what }];
    }
    default:
      return ["DDL_EXECUTED", { ...common, ddl_type: ast?.kind ?? "other", object_name: objectOf(ast) }];
  }
}

function roleName(role: RoleSpec): string {
  return role.kind === "name" ? role.name : role.kind;
}

/** A name of whatever form the tree has for it. */
function nameOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(nameOf).join(".");
  if (typeof value !== "object" || value === null) return "";
  const { schema, name } = value as { readonly schema?: unknown; readonly name?: unknown };
  const own = nameOf(name);
  return typeof schema === "string" ? `${schema}.${own}` : own;
}

function objectOf(ast: Statement | undefined): string | null {
  if (ast === undefined) return null;
  const node = ast as unknown as Readonly<Record<string, unknown>>;
  for (const key of ["name", "table", "role", "object", "names", "objects", "tables", "roles"]) {
    const value = node[key];
    if (value === undefined) continue;
    const text = Array.isArray(value) ? value.map((one) => nameOf(objectIn(one))).join(", ") : nameOf(value);
    if (text !== "") return text;
  }
  return null;
}
const objectIn = (value: unknown): unknown =>
  typeof value === "object" && value !== null && "name" in value && typeof value.name === "object"
    ? value.name
    : value;
