/**
 * Planning of INSERT, UPDATE and DELETE: their input is a query plan like any other, with the new values (and for updates
 * and deletes the row's address) as its columns.
 *
 * Invariants: RETURNING and CHECK expressions see the table's full row first (one slot per attribute, dropped ones too),
 * then the input's further columns in the order of `extraSlots`.
 */
import type { Expr } from "./expr.js";
import type { ModifyNode, OnConflict, OutputColumn, PlanNode, RowCheck } from "./plan.js";
import { Layout, type PlanScope, resolve } from "./planner-context.js";
import { columnOf, rowIdType } from "./planner-scan.js";
import { planQuery, planWith, projectNode, SelectPlanner, valuesNode } from "./planner-select.js";
import {
  type BoundDelete,
  type BoundInsert,
  type BoundModify,
  type BoundRowCheck,
  type BoundSelect,
  type BoundUpdate,
  type RangeEntry,
  rowIdColumn,
  type Target,
} from "./query.js";
import { simplify } from "./rules.js";
import { visitDeep } from "./walk.js";

export function planModify(statement: BoundModify, scope: PlanScope): PlanNode {
  return planWith(statement.ctes, scope, (inner) => ({ node: planBody(statement, inner), order: [] })).node;
}

function planBody(statement: BoundModify, scope: PlanScope): PlanNode {
  return statement.kind === "insert" ? planInsert(statement, scope) : planWrite(statement, scope);
}

/** The table's row as expressions see it. */
function rowLayout(target: RangeEntry): Layout {
  const layout = new Layout();
  for (let column = 0; column < target.columns.length; column++) layout.add(target.id, column);
  return layout;
}

function finish(
  statement: BoundModify,
  input: PlanNode,
  layout: Layout,
  scope: PlanScope,
  parts: Pick<
    ModifyNode,
    "operation" | "targetColumns" | "givenColumns" | "rowIdSlot" | "extraSlots" | "onConflict"
  >,
): PlanNode {
  const { returning, checks, table, columns } = statement;
  const node: ModifyNode = {
    kind: "modify",
    tableId: table.id,
    input,
    ...parts,
    returning: returning?.map((target) => resolve(simplify(target.expr), layout, scope)),
    checks: checks.map((check) => ({ name: check.name, expr: resolve(simplify(check.expr), layout, scope) })),
    rowChecks: planRowChecks(statement.rowChecks, layout, scope),
  };
  return {
    ...node,
    columns: columns.map((column) => ({ ...column })),
    estimate: { ...input.estimate, rows: returning === undefined ? 0 : input.estimate.rows },
  };
}

function planRowChecks(
  checks: readonly BoundRowCheck[],
  layout: Layout,
  scope: PlanScope,
): readonly RowCheck[] {
  return checks.map(({ policy, expr }) => ({ policy, expr: resolve(simplify(expr), layout, scope) }));
}

function planInsert(statement: BoundInsert, scope: PlanScope): PlanNode {
  const { source, insertColumns, target } = statement;
  const columns: OutputColumn[] = insertColumns.map((column) => columnOf(target, column));
  let input: PlanNode;
  if (source.kind === "rows") input = valuesNode(source.rows, columns, scope);
  else {
    const { node } = planQuery(source.query, scope, {});
    const layout = new Layout();
    for (let column = 0; column < source.query.columns.length; column++) layout.add(source.relation, column);
    const exprs = source.values.map((value) => resolve(simplify(value), layout, scope));
    const same =
      exprs.length === node.columns.length &&
      exprs.every((expr, index) => expr.kind === "slot" && expr.slot === index);
    input = same ? { ...node, columns } : projectNode(node, exprs, columns, source.values);
  }
  return finish(statement, input, rowLayout(target), scope, {
    operation: "insert",
    targetColumns: insertColumns,
    givenColumns: statement.givenColumns,
    rowIdSlot: undefined,
    extraSlots: [],
    onConflict: planOnConflict(statement, scope),
  });
}

function planOnConflict(statement: BoundInsert, scope: PlanScope): OnConflict | undefined {
  const { onConflict, target } = statement;
  if (onConflict === undefined) return undefined;
  const layout = rowLayout(target);
  for (let column = 0; column < target.columns.length; column++) layout.add(onConflict.excluded.id, column);
  return {
    action: onConflict.action,
    indexIds: onConflict.indexIds,
    set: onConflict.set.map((item) => ({
      column: item.column,
      value: resolve(simplify(item.value), layout, scope),
    })),
    where: onConflict.where === undefined ? undefined : resolve(simplify(onConflict.where), layout, scope),
    existingChecks: planRowChecks(onConflict.existingChecks, layout, scope),
    rowChecks: planRowChecks(onConflict.rowChecks, layout, scope),
  };
}

function planWrite(statement: BoundUpdate | BoundDelete, scope: PlanScope): PlanNode {
  const { target } = statement;
  const set = statement.kind === "update" ? statement.set : [];
  // Columns of FROM and USING that RETURNING reads come behind the row address.
  const extra = new Map<string, Expr & { kind: "column" }>();
  const note = (expr: Expr): void => {
    if (expr.kind !== "column" || expr.relation === target.id) return;
    if (!statement.relations.some((entry) => entry.id === expr.relation)) return;
    extra.set(`${expr.relation}.${expr.column}`, expr);
  };
  for (const item of statement.returning ?? []) visitDeep(item.expr, note);

  const targets: Target[] = set.map((item) => ({
    expr: item.value,
    name: target.columns[item.column]!.name,
    junk: false,
  }));
  targets.push({
    expr: { kind: "column", type: rowIdType, level: 0, relation: target.id, column: rowIdColumn },
    name: "ctid",
    junk: false,
  });
  for (const expr of extra.values()) targets.push({ expr, name: "extra", junk: false });
  const query: BoundSelect = {
    kind: "select",
    id: 0,
    ctes: [],
    columns: [],
    relations: statement.relations,
    from: statement.from,
    where: statement.where,
    targets,
    groupBy: [],
    grouped: false,
    hasSetCalls: false,
    distinct: "none",
    orderBy: [],
    locks: [],
  };
  const { node: input } = new SelectPlanner(query, scope, {}, target.id).planTargets();
  const layout = rowLayout(target);
  const extraSlots: number[] = [];
  let slot = set.length + 1;
  for (const expr of extra.values()) {
    layout.add(expr.relation, expr.column);
    extraSlots.push(slot++);
  }
  return finish(statement, input, layout, scope, {
    operation: statement.kind,
    targetColumns: set.map((item) => item.column),
    rowIdSlot: set.length,
    extraSlots,
    onConflict: undefined,
  });
}
