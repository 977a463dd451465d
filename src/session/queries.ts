/** Between the session and SQL: plans with what the session must know of them, parameters from bytes and literals. */
import { DbError } from "../base/errors.js";
import { type ExecContext, evaluateConstant } from "../exec/index.js";
import type { EvalContext } from "../model/functions.js";
import type { ObjectId, TableDesc, TypeRef } from "../model/schema.js";
import { applyTypmod, typeInput } from "../model/types.js";
import type { Value } from "../model/value.js";
import type { Expr as AstExpr, PreparableStatement, Statement, TypeName } from "../sql/ast.js";
import type { Expr } from "../sql/expr.js";
import {
  type BindEnv,
  bindStatement,
  bindTableExpression,
  bindTypeName,
  type PrepareEnv,
  prepareStatement,
  type PreparedPlan as SqlPlan,
  slotExpression,
} from "../sql/index.js";
import type { PlanNode } from "../sql/plan.js";

export interface PreparedPlan extends SqlPlan {
  /** Command tag without the count. */
  readonly commandTag: string;
  /** The statement itself writes: its count is what the tag says. */
  readonly modifies: boolean;
  readonly modifiedTables: readonly ObjectId[];
  readonly lockedTables: readonly ObjectId[];
}

/** Who knows how large tables are: the planner's only look at data. */
export interface SizeEnv {
  tableSizeOf(id: ObjectId): ReturnType<PrepareEnv["tableSize"]>;
}

/** Binds and plans a query or a write. */
export function planQuery(ast: Statement, env: BindEnv, sizes: SizeEnv): PreparedPlan {
  const plan = prepareStatement(ast as PreparableStatement, {
    ...env,
    tableSize: (id) => sizes.tableSizeOf(id),
  });
  const modified = new Set<ObjectId>();
  const locked = new Set<ObjectId>();
  visit(plan.plan, (node) => {
    if (node.kind === "modify") modified.add(node.tableId);
    else if (node.kind === "lockRows") for (const target of node.targets) locked.add(target.tableId);
  });
  return {
    ...plan,
    commandTag: plan.command === "INSERT" ? "INSERT 0" : plan.command,
    modifies: plan.command !== "SELECT",
    modifiedTables: [...modified],
    lockedTables: [...locked],
  };
}

function visit(plan: PlanNode, look: (node: PlanNode) => void): void {
  look(plan);
  if ("input" in plan) visit(plan.input, look);
  if ("left" in plan) {
    visit(plan.left, look);
    visit(plan.right, look);
  }
  if ("inputs" in plan) for (const input of plan.inputs) visit(input, look);
  if ("body" in plan) visit(plan.body, look);
  if (plan.kind === "with") {
    for (const cte of plan.ctes) {
      visit(cte.plan, look);
      if (cte.recursive !== undefined) visit(cte.recursive.step, look);
    }
  }
  if (plan.kind === "initPlans") for (const init of plan.plans) visit(init.plan, look);
}

const noCatalogEnv = { searchPath: [], parameterTypes: [] as number[] };

/** Types are built in: no catalog is asked. */
export function resolveTypeName(node: TypeName): TypeRef {
  return bindTypeName(node, noCatalogEnv as unknown as BindEnv);
}

/** A text parameter of the extended protocol. */
export function parameterInput(oid: number, text: string, settings: EvalContext): Value {
  return typeInput(oid, text, settings);
}

/** A literal that the fingerprint stripped, as the type its shared plan gave it. */
export function literalValue(literal: string | number, oid: number, settings: EvalContext): Value {
  if (
    typeof literal === "number" &&
    (oid === 23 || oid === 21 || oid === 20 || oid === 26 || oid === 701 || oid === 700)
  )
    return literal;
  return typeInput(oid, String(literal), settings);
}

/** EXECUTE's arguments: expressions without columns, as the parameters' types. */
export function constantArguments(
  args: readonly AstExpr[],
  types: readonly number[],
  env: BindEnv,
  context: ExecContext,
): Value[] {
  return args.map((arg, at) => {
    const type: TypeRef = { oid: types[at]!, typmod: -1 };
    const { expr } = bindTableExpression(arg, undefined, "default", env, type);
    if (expr.type.oid !== type.oid) {
      throw new DbError("datatypeMismatch", `parameter $${at + 1} cannot be coerced to the expected type`, {
        hint: "You will need to rewrite or cast the expression.",
        position: arg.position,
      });
    }
    return evaluateConstant(expr, context);
  });
}

export function bindColumnExpression(expr: AstExpr, table: TableDesc, env: BindEnv): Expr {
  return slotExpression(bindTableExpression(expr, table, "check", env).expr);
}

export { applyTypmod, bindStatement };
