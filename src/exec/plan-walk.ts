/**
 * Walks over plan trees: inputs and expressions of a node, and which execParams a subtree takes from outside.
 */

import type { Expr, SortKey } from "../sql/expr.js";
import type { PlanNode } from "../sql/plan.js";
import { visit } from "./expression.js";

/** Plans directly under a node, those inside its expressions not included. */
export function inputsOf(plan: PlanNode): readonly PlanNode[] {
  switch (plan.kind) {
    case "seqScan":
    case "indexScan":
    case "values":
    case "cteScan":
    case "functionScan":
    case "virtualScan":
      return [];
    case "append":
      return plan.inputs;
    case "nestedLoop":
    case "hashJoin":
    case "mergeJoin":
    case "setOperation":
      return [plan.left, plan.right];
    case "with": {
      const inputs: PlanNode[] = [];
      for (const cte of plan.ctes) {
        inputs.push(cte.plan);
        if (cte.recursive !== undefined) inputs.push(cte.recursive.step);
      }
      inputs.push(plan.body);
      return inputs;
    }
    case "initPlans":
      return [...plan.plans.map((init) => init.plan), plan.body];
    default:
      return [plan.input];
  }
}

const keyExprs = (keys: readonly SortKey[] | undefined): readonly Expr[] =>
  (keys ?? []).map(({ expr }) => expr);
const given = (...exprs: readonly (Expr | undefined)[]): readonly Expr[] =>
  exprs.filter((expr) => expr !== undefined);

/** Expressions a node evaluates itself. */
export function exprsOf(plan: PlanNode): readonly Expr[] {
  switch (plan.kind) {
    case "seqScan":
    case "indexScan": {
      const bounds = plan.index?.bounds;
      return given(
        ...(bounds?.equals ?? []),
        bounds?.anyOf,
        bounds?.lower?.value,
        bounds?.upper?.value,
        plan.filter,
      );
    }
    case "values":
      return plan.rows.flat();
    case "filter":
      return [plan.predicate];
    case "project":
      return plan.exprs;
    case "projectSet":
      return plan.exprs.flatMap((expr) => (expr.kind === "set" ? expr.args : [expr]));
    case "limit":
      return given(plan.limit, plan.offset, ...keyExprs(plan.withTies));
    case "sort":
      return keyExprs(plan.keys);
    case "topN":
      return given(plan.limit, plan.offset, ...keyExprs(plan.keys));
    case "unique":
      return plan.keys;
    case "nestedLoop":
      return given(plan.condition, ...plan.bindings.map(({ value }) => value));
    case "hashJoin":
      return given(plan.condition, ...plan.leftKeys, ...plan.rightKeys);
    case "mergeJoin":
      return given(plan.condition, ...keyExprs(plan.leftKeys), ...keyExprs(plan.rightKeys));
    case "aggregate":
      return [
        ...plan.groups,
        ...plan.aggregates.flatMap((call) => [
          ...call.args,
          ...call.directArgs,
          ...keyExprs(call.orderBy),
          ...given(call.filter),
        ]),
      ];
    case "functionScan":
      return plan.args;
    case "virtualScan":
      return given(plan.filter);
    case "modify":
      return [
        ...(plan.returning ?? []),
        ...plan.checks.map(({ expr }) => expr),
        ...(plan.onConflict?.set.map(({ value }) => value) ?? []),
        ...given(plan.onConflict?.where),
      ];
    default:
      return [];
  }
}

/** Every node of the tree, plans inside expressions included. */
export function visitPlans(plan: PlanNode, look: (plan: PlanNode) => void): void {
  look(plan);
  for (const expr of exprsOf(plan)) {
    visit(expr, (inner) => {
      if (inner.kind === "subplan") visitPlans(inner.plan, look);
    });
  }
  for (const input of inputsOf(plan)) visitPlans(input, look);
}

/** execParams read in the subtree and not set in it: when one of them changes, its rows may change. */
export function externalParams(plan: PlanNode): Set<number> {
  const read = new Set<number>();
  const bound = new Set<number>();
  const lookAt = (expr: Expr): void => {
    if (expr.kind === "execParam") read.add(expr.id);
    if (expr.kind === "subplan") for (const { id } of expr.bindings) bound.add(id);
  };
  visitPlans(plan, (node) => {
    for (const expr of exprsOf(node)) visit(expr, lookAt);
    if (node.kind === "nestedLoop") for (const { id } of node.bindings) bound.add(id);
    if (node.kind === "initPlans") for (const { id } of node.plans) bound.add(id);
  });
  for (const id of bound) read.delete(id);
  return read;
}

export function contains(plan: PlanNode, kind: PlanNode["kind"]): boolean {
  let found = false;
  visitPlans(plan, (node) => {
    if (node.kind === kind) found = true;
  });
  return found;
}
