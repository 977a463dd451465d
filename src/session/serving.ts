/**
 * Whether this node serves clients at all: only an ENABLED member that may coordinate does (MEM-15, MEM-26). Any other answers
 * for the cluster's and its own status: SHOW, SHOW CLUSTER, and queries that read nothing but the computed catalogs (sys,
 * pg_catalog, information_schema). Everything else is 57P03, so that a pool goes elsewhere.
 *
 * Invariants: transactions can always be ended; what is asked for here is asked at every statement, since a node is
 * disabled while its clients are connected.
 */
import { DbError } from "../base/errors.js";
import type { MemberState } from "../cluster/contract.js";
import { type Member, servesClients } from "../cluster/index.js";
import type { ObjectId } from "../model/schema.js";
import type { Statement, StatementKind } from "../sql/ast.js";

/** Nothing of it reads or changes what is stored, or what the cluster has decided. */
const always: ReadonlySet<StatementKind> = new Set<StatementKind>([
  "begin",
  "commit",
  "rollback",
  "savepoint",
  "releaseSavepoint",
  "rollbackToSavepoint",
  "setTransaction",
  "set",
  "reset",
  "show",
  "discard",
  // What is prepared, or a cursor's query, has its own check when it is run.
  "prepare",
  "execute",
  "deallocate",
  "declareCursor",
  "fetch",
  "close",
]);

const waysBack: Readonly<Record<MemberState, string>> = {
  JOINING: "It is enabled by itself once it has the cluster's log.",
  ENABLED: "Give it the role COORDINATOR: ALTER NODE … SET ROLES.",
  DISABLED: "To have it back: ENABLE NODE, on another node.",
  FAILED: "It is enabled by itself once the others hear it again.",
  REMOVED: "To take the machine back, join with a new data folder.",
};

/** What stands against this node's serving clients, or having them served. */
export function servingProblem(
  own: Pick<Member, "name" | "state" | "roles"> | undefined,
): DbError | undefined {
  if (own === undefined) return refusal("this node is not known to the cluster yet", waysBack.JOINING);
  const { name, state } = own;
  if (state !== "ENABLED") return refusal(`node ${name} is ${state} and serves no clients`, waysBack[state]);
  if (servesClients(own)) return undefined;
  return refusal(`node ${name} has no role to serve clients`, waysBack.ENABLED);
}

function refusal(message: string, wayBack: string): DbError {
  return new DbError("cannotConnectNow", message, {
    detail: "Only its status is shown: SHOW CLUSTER, and the views of schema sys.",
    hint: `Connect to another node. ${wayBack}`,
  });
}

/** Of a statement that is not planned. */
export function isStatusStatement(ast: Statement): boolean {
  return always.has(ast.kind) || (ast.kind === "cluster" && ast.command === "SHOW CLUSTER");
}

/** Of a query, by what it stands on. One that reads nothing at all tells a pool that the node is well, which it is not. */
export function isStatusQuery(
  { objects, readOnly }: { readonly objects: readonly ObjectId[]; readonly readOnly: boolean },
  catalog: { relationById(id: ObjectId): { readonly kind: string } | undefined },
): boolean {
  let computed = 0;
  for (const id of objects) {
    const kind = catalog.relationById(id)?.kind;
    if (kind === "table" || kind === "sequence") return false;
    if (kind === "virtual") computed++;
  }
  return readOnly && computed > 0;
}
