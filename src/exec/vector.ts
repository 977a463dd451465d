/**
 * Plan fragments that run by kernels over pages where they lie (D5), in place of their row operators:
 *
 * | fragment                                                  | operator          |
 * |-----------------------------------------------------------|-------------------|
 * | filtered seqScan                                          | VectorSeqScan     |
 * | aggregate (plain, hash) over [filtered] seqScan           | VectorAggregate   |
 * | aggregate over hashJoin of a seqScan with a small table   | VectorAggregate   |
 * | hashJoin of a seqScan with a small table                  | VectorHashJoin    |
 * | topN over [filtered] seqScan                              | VectorTopN        |
 *
 * Projects of plain columns in between are seen through. `tryVectorize` looks at shapes and types only; what the data does
 * not fit shows at run time and ends in the row operators (see `NotVector`).
 *
 * Invariant: results are those of the row operators, up to the order of rows where the plan promises none.
 */

import type { TypeRef } from "../model/schema.js";
import type { Expr } from "../sql/expr.js";
import type { HashJoinNode, PlanNode } from "../sql/plan.js";
import { keyKind } from "../wasm/index.js";
import { HashAggregate, SortedAggregate } from "./aggregate.js";
import type { Operator } from "./contract.js";
import { type ExprScope, mayWait } from "./expression.js";
import { type Instrumentation, SwallowedNodes } from "./instrument.js";
import { HashJoin } from "./join.js";
import { Project } from "./pipeline.js";
import { contains, externalParams } from "./plan-walk.js";
import { SeqScan } from "./scan.js";
import { TopN } from "./sort.js";
import { type Grouping, VectorAggregate } from "./vector-aggregate.js";
import { comparedAs, slotOf } from "./vector-filter.js";
import { AccumulatorPlan, type KeyColumn, keyKindOf } from "./vector-groups.js";
import { VectorHashJoin } from "./vector-hash-join.js";
import { JoinTable, joinKeys } from "./vector-join.js";
import { keysMax } from "./vector-memory.js";
import { RowColumns, type SeqScanNode, VectorScan, VectorSeqScan } from "./vector-scan.js";
import { hasThreshold, VectorTopN } from "./vector-top.js";

interface Scope extends ExprScope {
  readonly instrument?: Instrumentation | undefined;
}
type AggregateNode = Extract<PlanNode, { kind: "aggregate" }>;
type JoinNode = HashJoinNode & PlanNode;

/** Right inputs of more rows than this are left to the join that can spill. */
const buildRowsMax = 1_000_000;

export function tryVectorize(plan: PlanNode, scope: Scope): Operator | undefined {
  switch (plan.kind) {
    case "seqScan":
      return filteredScan(plan as SeqScanNode, scope);
    case "aggregate":
      return aggregate(plan, scope);
    case "topN":
      return top(plan, scope);
    case "hashJoin":
      return join(plan as JoinNode, scope);
    default:
      return undefined;
  }
}

function filteredScan(node: SeqScanNode, scope: Scope): Operator | undefined {
  if (node.filter === undefined) return undefined;
  const scan = VectorScan.of(node, [], true, scope);
  return scan === undefined || scan.tests === 0 ? undefined : new VectorSeqScan(scan.scan);
}

/** A node below projects that only pick columns. */
interface Base {
  readonly node: PlanNode;
  /** The node, and the projects above it. */
  readonly nodes: readonly PlanNode[];
  /** Slot of the node for a slot of what stands above it. */
  readonly place: (slot: number) => number;
  /** The same rows by row operators, given those of the node. */
  readonly above: (input: Operator) => Operator;
}

function baseOf(plan: PlanNode, scope: Scope): Base | undefined {
  if (plan.kind !== "project")
    return { node: plan, nodes: [plan], place: (slot) => slot, above: (input) => input };
  const inner = baseOf(plan.input, scope);
  if (inner === undefined) return undefined;
  const slots: number[] = [];
  for (const expr of plan.exprs) {
    if (expr.kind !== "slot") return undefined;
    slots.push(inner.place(expr.slot));
  }
  return {
    node: inner.node,
    nodes: [...inner.nodes, plan],
    place: (slot) => slots[slot]!,
    above: (input) => new Project(inner.above(input), plan.exprs, scope),
  };
}

/** Columns of a scan as keys; undefined when one has no kernel. */
function scanKeys(
  groups: readonly Expr[],
  place: (slot: number) => number,
  width: number,
): KeyColumn[] | undefined {
  if (groups.length > keysMax) return undefined;
  const keys: KeyColumn[] = [];
  for (const group of groups) {
    const column = slotOf(group);
    if (column === undefined) return undefined;
    const slot = place(column.slot);
    if (slot < 0 || slot >= width || keyKindOf(column.type) === undefined) return undefined;
    keys.push({ slot, type: column.type });
  }
  return keys;
}

/** EXPLAIN ANALYZE counts nodes without operators of their own, too. */
function swallow(nodes: readonly PlanNode[], scope: Scope): SwallowedNodes | undefined {
  const { instrument } = scope;
  return instrument === undefined ? undefined : new SwallowedNodes(instrument.clock, instrument.nodes, nodes);
}

function typesOf(plan: PlanNode): TypeRef[] {
  return plan.columns.map(({ type }) => type);
}

function rowAggregate(input: Operator, plan: AggregateNode, scope: Scope): Operator {
  return plan.groups.length > 0
    ? new HashAggregate(input, plan, scope)
    : new SortedAggregate(input, plan, scope);
}

function aggregate(plan: AggregateNode, scope: Scope): Operator | undefined {
  if (plan.groups.length > 0 && plan.strategy !== "hash") return undefined;
  const base = baseOf(plan.input, scope);
  if (base === undefined) return undefined;
  const { node, place, above } = base;
  if (node.kind === "hashJoin") return joinAggregate(plan, node as JoinNode, base, scope);
  if (node.kind !== "seqScan") return undefined;
  const scanNode = node as SeqScanNode;
  const width = scanNode.project.length;
  const keys = scanKeys(plan.groups, place, width);
  if (keys === undefined) return undefined;
  const accumulators = new AccumulatorPlan();
  const toScan = (slot: number): number => (place(slot) < width ? place(slot) : -1);
  for (const call of plan.aggregates) if (!accumulators.add(call, toScan)) return undefined;
  const used = [...keys.map(({ slot }) => slot), ...accumulators.slots];
  const source = VectorScan.of(scanNode, used, false, scope);
  if (source === undefined) return undefined;
  source.scan.swallowed = swallow(base.nodes, scope);
  return new VectorAggregate({
    node: plan,
    source: source.scan,
    encoder: new RowColumns(used, typesOf(scanNode)),
    join: undefined,
    rightStable: false,
    grouping: keys.length === 0 ? { by: "nothing" } : { by: "scan", keys },
    plan: accumulators,
    rows: () => rowAggregate(above(new SeqScan(scanNode, scope)), plan, scope),
    runtime: scope.runtime,
  });
}

/** A join that kernels can probe: its left side is a scan, its right side not too large. */
interface Probe {
  readonly scanNode: SeqScanNode;
  readonly nodes: readonly PlanNode[];
  /** Scan slot of a left slot. */
  readonly place: (slot: number) => number;
  readonly above: (input: Operator) => Operator;
  readonly node: JoinNode;
  readonly keys: NonNullable<ReturnType<typeof joinKeys>>;
  readonly rightStable: boolean;
}

function probeOf(node: JoinNode, scope: Scope): Probe | undefined {
  const { type } = node;
  if (type !== "inner" && type !== "left" && type !== "semi" && type !== "anti") return undefined;
  if (node.condition !== undefined || node.right.estimate.rows > buildRowsMax) return undefined;
  if (node.rightKeys.some(mayWait)) return undefined;
  const base = baseOf(node.left, scope);
  if (base === undefined || base.node.kind !== "seqScan") return undefined;
  const scanNode = base.node as SeqScanNode;
  const keys = joinKeys(node);
  if (keys === undefined) return undefined;
  const placed = keys.map((key) => ({ ...key, slot: base.place(key.slot) }));
  if (placed.some(({ slot }) => slot >= scanNode.project.length)) return undefined;
  return {
    scanNode,
    nodes: base.nodes,
    place: base.place,
    above: base.above,
    node,
    keys: placed,
    rightStable: externalParams(node.right).size === 0 && !contains(node.right, "cteScan"),
  };
}

function rowJoin(probe: Probe, right: Operator, scope: Scope): Operator {
  const left = probe.above(new SeqScan(probe.scanNode, scope));
  return new HashJoin(left, right, probe.node, probe.rightStable, scope);
}

function joinAggregate(plan: AggregateNode, node: JoinNode, base: Base, scope: Scope): Operator | undefined {
  const probe = probeOf(node, scope);
  if (probe === undefined) return undefined;
  const { scanNode } = probe;
  const leftWidth = node.left.columns.length;
  const width = scanNode.project.length;
  const toScan = (slot: number): number => {
    const joined = base.place(slot);
    if (joined >= leftWidth) return -1;
    const placed = probe.place(joined);
    return placed < width ? placed : -1;
  };
  const accumulators = new AccumulatorPlan();
  for (const call of plan.aggregates) if (!accumulators.add(call, toScan)) return undefined;
  let grouping: Grouping | undefined;
  if (plan.groups.length === 0) grouping = { by: "nothing" };
  else {
    const keys = scanKeys(plan.groups, toScan, width);
    if (keys !== undefined) grouping = { by: "scan", keys };
    else {
      const columns: number[] = [];
      for (const group of plan.groups) {
        const column = slotOf(group);
        const slot = column === undefined ? -1 : base.place(column.slot) - leftWidth;
        if (slot < 0) return undefined;
        columns.push(slot);
      }
      grouping = { by: "right", columns, types: plan.groups.map(({ type }) => type.oid) };
    }
  }
  const used = [...probe.keys.map(({ slot }) => slot), ...accumulators.slots];
  if (grouping.by === "scan") used.push(...grouping.keys.map(({ slot }) => slot));
  const source = VectorScan.of(scanNode, used, false, scope);
  if (source === undefined) return undefined;
  const right = scope.build(node.right);
  const table = new JoinTable(right, node, probe.keys, scope);
  source.scan.swallowed = swallow(probe.nodes, scope);
  source.scan.above = table.swallowed = swallow(base.nodes, scope);
  return new VectorAggregate({
    node: plan,
    source: source.scan,
    encoder: new RowColumns(used, typesOf(scanNode)),
    join: table,
    rightStable: probe.rightStable,
    grouping,
    plan: accumulators,
    rows: () => rowAggregate(base.above(rowJoin(probe, right, scope)), plan, scope),
    runtime: scope.runtime,
  });
}

function join(node: JoinNode, scope: Scope): Operator | undefined {
  const probe = probeOf(node, scope);
  if (probe === undefined) return undefined;
  // A text too long for the encoder would show when rows have gone up already.
  if (probe.keys.some(({ kind }) => kind === keyKind.text)) return undefined;
  const used = probe.keys.map(({ slot }) => slot);
  const source = VectorScan.of(probe.scanNode, used, true, scope);
  if (source === undefined) return undefined;
  const right = scope.build(node.right);
  source.scan.swallowed = swallow(probe.nodes, scope);
  const output = node.left.columns.map((_, slot) => probe.place(slot));
  return new VectorHashJoin({
    source: source.scan,
    encoder: new RowColumns(used, typesOf(probe.scanNode)),
    join: new JoinTable(right, node, probe.keys, scope),
    rightStable: probe.rightStable,
    output,
    rows: () => rowJoin(probe, right, scope),
    runtime: scope.runtime,
  });
}

function top(plan: Extract<PlanNode, { kind: "topN" }>, scope: Scope): Operator | undefined {
  const base = baseOf(plan.input, scope);
  if (base === undefined || base.node.kind !== "seqScan") return undefined;
  const scanNode = base.node as SeqScanNode;
  const width = scanNode.project.length;
  const slots: number[] = [];
  for (const { expr } of plan.keys) {
    if (expr.kind !== "slot") return undefined;
    const slot = base.place(expr.slot);
    if (slot >= width) return undefined;
    slots.push(slot);
  }
  const as = comparedAs(plan.keys[0]!.expr.type);
  if (!hasThreshold(as)) return undefined;
  const addressed = scanNode.rowId ? scanNode : { ...scanNode, rowId: true };
  const source = VectorScan.of(addressed, [slots[0]!], true, scope);
  if (source === undefined) return undefined;
  source.scan.swallowed = swallow(base.nodes, scope);
  const output = plan.columns.map((_, slot) => base.place(slot));
  const rows = (): Operator =>
    new TopN(
      base.above(new SeqScan(scanNode, scope)),
      plan.keys,
      plan.limit,
      plan.offset,
      plan.columns.length,
      false,
      scope,
    );
  return new VectorTopN(plan, source.scan, plan.keys, slots, as, output, rows, scope);
}
