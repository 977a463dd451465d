/**
 * From a bound statement to a physical plan.
 *
 * The way of a SELECT: subqueries are pulled up and sublinks become joins (`planner-tree`), conditions sink to where they
 * can be applied (`planner-join`), each relation gets its access paths (`planner-scan`), joins are ordered and methods
 * picked by cost, then grouping, sorting and projection go on top (`planner-select`). `planner-modify` puts writes over it.
 *
 * Invariants: pure and deterministic: the same bound statement, catalog and sizes give the same plan.
 */
import type { IndexDesc, ObjectId } from "../model/schema.js";
import type { Expr } from "./expr.js";
import type { OutputColumn, PlanNode } from "./plan.js";
import { type PlanEnv, PlanScope, PlanStatement, withInitPlans } from "./planner-context.js";
import { planModify } from "./planner-modify.js";
import { planQuery } from "./planner-select.js";
import type { Bound, BoundStatement, PrivilegeNeed, RangeEntry } from "./query.js";

export interface PreparedPlan {
  readonly plan: PlanNode;
  /** Columns a client sees; empty for a write without RETURNING. */
  readonly columns: readonly OutputColumn[];
  readonly parameterTypes: readonly number[];
  /** Word of the command tag, and whether rows are returned. */
  readonly command: "SELECT" | "INSERT" | "UPDATE" | "DELETE";
  readonly returnsRows: boolean;
  /** Ids of relations it stands on: a plan is stale when one of their versions rises (rule C5). */
  readonly objects: readonly ObjectId[];
  readonly privileges: readonly PrivilegeNeed[];
  /** execParam ids are 0 .. paramCount - 1. */
  readonly paramCount: number;
  /** No writes and no row locks. */
  readonly readOnly: boolean;
}

export interface IndexBinder {
  keys(index: IndexDesc, entry: RangeEntry): readonly Expr[];
  predicate(index: IndexDesc, entry: RangeEntry): Expr | undefined;
}

export function planStatement(bound: Bound, env: PlanEnv, indexes: IndexBinder): PreparedPlan {
  const { statement } = bound;
  const run = new PlanStatement(
    env,
    bound.nextRelation,
    bound.nextCte,
    planQuery,
    planModify,
    (index, entry) => indexes.keys(index, entry),
    (index, entry) => indexes.predicate(index, entry),
  );
  const scope = new PlanScope(run, undefined, false);
  const modifies = statement.kind === "insert" || statement.kind === "update" || statement.kind === "delete";
  const node = modifies ? planModify(statement, scope) : planQuery(statement, scope, {}).node;
  const plan = withInitPlans(node, scope);
  return {
    plan,
    columns: statement.columns,
    parameterTypes: bound.parameterTypes,
    command: modifies ? commands[statement.kind] : "SELECT",
    returnsRows: modifies ? statement.returning !== undefined : true,
    objects: bound.objects,
    privileges: bound.privileges,
    paramCount: run.paramCount,
    readOnly: !modifies && !writes(statement),
  };
}

const commands = { insert: "INSERT", update: "UPDATE", delete: "DELETE" } as const;

function writes(statement: BoundStatement): boolean {
  if (statement.kind === "insert" || statement.kind === "update" || statement.kind === "delete") return true;
  if (statement.kind === "select" && statement.locks.length > 0) return true;
  if (statement.ctes.some((cte) => writes(cte.query))) return true;
  if (statement.kind === "setOperation") return writes(statement.left) || writes(statement.right);
  if (statement.kind === "select") {
    return statement.relations.some((entry) => entry.kind === "subquery" && writes(entry.query));
  }
  return false;
}
