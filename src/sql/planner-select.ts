/**
 * Planning of queries: the join tree below, then grouping, windows, set-returning calls, DISTINCT, ORDER BY, LIMIT, and
 * the projection on top; set operations, VALUES and WITH.
 *
 * Invariants: the top node's columns are the query's visible columns in order; a node that would only copy its input is
 * left out.
 */
import { assert } from "../base/errors.js";
import type { TypeRef } from "../model/schema.js";
import {
  clampRows,
  cpuOperatorCost,
  cpuTupleCost,
  hashAggregateCost,
  sortCost,
  sortedAggregateCost,
} from "./cost.js";
import type { AggregateExpr, Expr, SortKey, WindowCallExpr } from "./expr.js";
import type { AggregateCall, OutputColumn, PlanNode, WindowCall } from "./plan.js";
import {
  type Built,
  emptyLayout,
  Layout,
  type OrderKey,
  type Path,
  type PlannedQuery,
  PlanScope,
  type QueryHints,
  resolve,
  resolveSortKeys,
  withInitPlans,
} from "./planner-context.js";
import { cheapest, Equivalence, factsFor, type JoinHost, planTree } from "./planner-join.js";
import { expressionCost, filtered, type Rel, visitColumns } from "./planner-scan.js";
import { buildTree, pullUp, reduceOuterJoins, type Tree } from "./planner-tree.js";
import type {
  BoundCte,
  BoundModify,
  BoundQuery,
  BoundSelect,
  BoundSetOperation,
  BoundValues,
  RangeEntry,
  Target,
} from "./query.js";
import { rowIdColumn } from "./query.js";
import { simplify } from "./rules.js";
import { distinctOf, underlying } from "./statistics.js";
import { typeWidth } from "./type-facts.js";
import {
  boolType,
  conjunction,
  conjuncts,
  containsDeep,
  containsHere,
  containsInQuery,
  exprKey,
  forEachChild,
  isLeakproof,
  isVolatile,
  mapDeep,
  mapQuery,
  relationsOf,
  visitDeep,
  visitQuery,
} from "./walk.js";

export function planQuery(query: BoundQuery, scope: PlanScope, hints: QueryHints): PlannedQuery {
  return planWith(query.ctes, scope, (inner) => {
    switch (query.kind) {
      case "select":
        return new SelectPlanner(query, inner, hints).plan();
      case "setOperation":
        return planSetOperation(query, inner, hints);
      case "values":
        return planValues(query, inner);
    }
  });
}

// ------------------------------------------------------------------------------------------------------------ WITH

function isQuery(statement: BoundQuery | BoundModify): statement is BoundQuery {
  return statement.kind === "select" || statement.kind === "values" || statement.kind === "setOperation";
}

/** A CTE that is read once and has no effects is planned where it is read. */
function isInlined(cte: BoundCte): boolean {
  return (
    cte.recursive === undefined &&
    cte.materialized !== true &&
    cte.references === 1 &&
    isQuery(cte.query) &&
    !containsInQuery(cte.query, (expr) => isVolatile(expr)) &&
    !(cte.query.kind === "select" && cte.query.locks.length > 0)
  );
}

/** Plans what `body` plans with the CTEs around it. */
export function planWith(
  ctes: readonly BoundCte[],
  scope: PlanScope,
  body: (scope: PlanScope) => PlannedQuery,
): PlannedQuery {
  const needed = ctes.filter((cte) => !isInlined(cte) && (cte.references > 0 || !isQuery(cte.query)));
  if (needed.length === 0) return body(scope);
  const inner = new PlanScope(scope.statement, scope, true);
  const plans: (PlanNode & { kind: "with" })["ctes"][number][] = [];
  for (const cte of needed) {
    inner.ctes.add(cte.id);
    plans.push(planCte(cte, inner));
  }
  const planned = body(inner);
  const node = withInitPlans(planned.node, inner);
  let cost = 0;
  for (const { plan } of plans) cost += plan.estimate.totalCost;
  return {
    ...planned,
    node: {
      kind: "with",
      ctes: plans,
      body: node,
      columns: node.columns,
      estimate: {
        ...node.estimate,
        startupCost: node.estimate.startupCost + cost,
        totalCost: node.estimate.totalCost + cost,
      },
    },
  };
}

function planCte(cte: BoundCte, scope: PlanScope): (PlanNode & { kind: "with" })["ctes"][number] {
  const { statement } = scope;
  const own = new PlanScope(statement, scope, true);
  const plan = isQuery(cte.query) ? planQuery(cte.query, own, {}).node : statement.planModify(cte.query, own);
  const first = withInitPlans(plan, own);
  if (cte.recursive === undefined) {
    statement.ctes.set(cte.id, {
      rows: first.estimate.rows,
      width: first.estimate.width,
      columns: first.columns,
    });
    return { id: cte.id, name: cte.name, plan: first };
  }
  // PostgreSQL's guess: the working table is ten times the start.
  const rows = clampRows(first.estimate.rows * 10);
  statement.ctes.set(cte.id, {
    rows: first.estimate.rows,
    width: first.estimate.width,
    columns: first.columns,
  });
  const stepScope = new PlanScope(statement, scope, true);
  stepScope.ctes.add(cte.id);
  const step = withInitPlans(planQuery(cte.recursive.step, stepScope, {}).node, stepScope);
  statement.ctes.set(cte.id, { rows, width: first.estimate.width, columns: first.columns });
  return { id: cte.id, name: cte.name, plan: first, recursive: { step, all: cte.recursive.all } };
}

// ---------------------------------------------------------------------------------------------------------- SELECT

const noStatistics = new Set<number>();

function ruleFilters(security: readonly Expr[]): Expr[] {
  return security
    .flatMap((expr) => conjuncts(simplify(expr)))
    .filter((expr) => !(expr.kind === "const" && expr.value === true));
}

export class SelectPlanner implements JoinHost {
  readonly #rels = new Map<number, Rel>();
  readonly equivalence = new Equivalence();
  wantedOrder: OrderKey[] = [];
  readonly usefulFirst = new Set<string>();
  readonly rowsWanted: number | undefined;
  #query: BoundSelect;
  #targets: readonly Target[] = [];
  #settled = false;

  constructor(
    query: BoundSelect,
    readonly scope: PlanScope,
    readonly hints: QueryHints,
    /** Entry written to: read in its newest version, its row address wanted. */
    readonly modified?: number | undefined,
  ) {
    this.#query = query;
    const limit = constantCount(query.limit);
    const offset = constantCount(query.offset) ?? 0;
    const own = limit === undefined ? undefined : limit + offset;
    this.rowsWanted =
      own === undefined
        ? hints.rowsWanted
        : hints.rowsWanted === undefined
          ? own
          : Math.min(own, hints.rowsWanted);
  }

  rel(relation: number): Rel {
    const rel = this.#rels.get(relation);
    assert(rel !== undefined, `relation ${relation} is not of this query`);
    return rel;
  }
  find(relation: number): Rel | undefined {
    return this.#rels.get(relation);
  }

  #addRel(entry: RangeEntry): void {
    const { env } = this.scope.statement;
    this.scope.own.add(entry.id);
    const table = entry.kind === "table" ? entry.table : undefined;
    const rules = entry.kind === "table" && entry.security !== undefined ? ruleFilters(entry.security) : [];
    const size = table === undefined ? { rows: 0, pages: 0 } : env.tableSize(table.id);
    let indexes = table === undefined ? [] : env.catalog.indexesOf(table.id);
    if (indexes.length > 1) indexes = [...indexes].sort((a, b) => a.id - b.id);
    let unique: Set<number> | undefined;
    for (const index of indexes) {
      if (
        !index.unique ||
        index.deferrable === true ||
        index.columns.length !== 1 ||
        index.predicateSql !== undefined
      )
        continue;
      const { column } = index.columns[0]!;
      if (column !== undefined) (unique ??= new Set()).add(column);
    }
    const modified = entry.id === this.modified;
    const locked = this.#query.locks.some((lock) => lock.relation === entry.id);
    const rel: Rel = {
      entry,
      id: entry.id,
      // Row rules come first and stay first: what is added later sees no row that they leave out.
      filters: rules,
      rules: rules.length,
      needed: new Set(),
      // PostgreSQL plans an empty or unknown table as if it had ten pages: it will grow.
      tableRows: size.rows,
      pages: Math.max(1, size.pages),
      rows: 0,
      statistics: table === undefined ? undefined : env.catalog.statisticsOf(table.id),
      indexes,
      scope: this.scope,
      uniqueColumns: unique ?? noStatistics,
      forUpdate: modified || locked,
    };
    if (modified || locked) rel.needed.add(rowIdColumn);
    this.#rels.set(entry.id, rel);
  }

  settleOrders(): void {
    if (this.#settled) return;
    this.#settled = true;
    const query = this.#query;
    const { equivalence } = this;
    const keysOf = (
      exprs: readonly { expr: Expr; descending: boolean; nullsFirst: boolean }[],
    ): OrderKey[] => {
      const out: OrderKey[] = [];
      for (const { expr, descending, nullsFirst } of exprs) {
        const key = equivalence.canonical(expr);
        if (key !== "" && !out.some((known) => known.key === key)) out.push({ key, descending, nullsFirst });
      }
      return out;
    };
    if (query.grouped) {
      for (const expr of query.groupBy) this.usefulFirst.add(equivalence.canonical(expr));
      this.usefulFirst.delete("");
      return;
    }
    const sorted = query.orderBy.map((item) => ({ ...item, expr: this.#targets[item.target]!.expr }));
    this.wantedOrder = keysOf(sorted);
    const first = this.wantedOrder[0];
    if (first !== undefined) this.usefulFirst.add(first.key);
  }

  plan(): PlannedQuery {
    const built = this.planRows();
    return this.#project(built);
  }

  /** Everything below the final projection, and what is left to do above it. */
  planRows(): Upper {
    const inlined = inlineCtes(this.#query);
    const { query: flat, pulled } = pullUp(inlined);
    let query = flat;
    if (this.hints.exists === true && !query.grouped && !query.hasSetCalls && query.limit === undefined) {
      query = { ...query, targets: [], orderBy: [], distinct: "none", columns: [] };
    }
    this.#targets = query.targets.map((target) => {
      const expr = simplify(target.expr);
      return expr === target.expr ? target : { ...target, expr };
    });
    const groupBy = query.groupBy.map(simplify);
    let having = query.having === undefined ? undefined : simplify(query.having);
    let { where } = query;
    if (having !== undefined && groupBy.length > 0) {
      // Conditions on the grouping columns alone drop rows before they are grouped.
      const below: Expr[] = [];
      const above: Expr[] = [];
      for (const part of conjuncts(having)) {
        const movable = !containsDeep(part, (expr) => expr.kind === "aggregate") && !isVolatile(part);
        (movable ? below : above).push(part);
      }
      if (below.length > 0) {
        where = conjunction([...conjuncts(where), ...below]);
        having = conjunction(above);
      }
    }
    this.#query = { ...query, targets: this.#targets, groupBy, having, where };
    this.scope.selects.add(query.id);
    for (const entry of query.relations) this.#addRel(entry);

    let tree: Tree = buildTree(query.from, where, {
      pulled,
      simplify,
      addRelation: (entry) => this.#addRel(entry),
      newRelation: () => this.scope.statement.newRelation(),
    });
    if (tree.kind !== "rel") tree = reduceOuterJoins(tree, new Set());
    this.#noteNeeded(having, groupBy);
    const planned = planTree(this, tree, this.scope);
    return this.#upper(planned.paths, having, groupBy);
  }

  /** Columns that the targets, grouping and sideways references read. */
  #noteNeeded(having: Expr | undefined, groupBy: readonly Expr[]): void {
    const note = (column: Expr & { kind: "column" }): void => {
      this.#rels.get(column.relation)?.needed.add(column.column);
    };
    for (const target of this.#targets) visitColumns(target.expr, note);
    for (const expr of groupBy) visitColumns(expr, note);
    if (having !== undefined) visitColumns(having, note);
    for (const rel of this.#rels.values()) {
      const { entry } = rel;
      if (entry.kind === "function") for (const arg of entry.args) visitColumns(arg, note);
      else if (entry.kind === "subquery" && entry.lateral) {
        visitQuery(entry.query, (expr) => {
          if (expr.kind === "column") note(expr);
        });
      }
    }
  }

  // ------------------------------------------------------------------------------------------------- FROM subqueries

  planSubquery(rel: Rel): { built: PlanNode; rows: number; rest: readonly Expr[] } {
    assert(rel.entry.kind === "subquery", "a subquery was expected");
    const { barrier } = rel.entry;
    let { query } = rel.entry;
    const rest: Expr[] = [];
    for (const filter of rel.filters) {
      const pushed = pushInto(query, filter, rel.id, barrier === true);
      if (pushed === undefined) rest.push(filter);
      else query = pushed;
    }
    const planned = planQuery(query, rel.scope, {});
    return { built: planned.node, rows: planned.node.estimate.rows, rest };
  }

  // ------------------------------------------------------------------------------------------------------ above joins

  #upper(paths: readonly Path[], having: Expr | undefined, groupBy: readonly Expr[]): Upper {
    const query = this.#query;
    let current: Built;
    let sorted: boolean;
    if (query.grouped) {
      const quick = this.#minMax(having);
      const { built } = this.#group(paths, having, groupBy);
      current =
        quick !== undefined && quick.node.estimate.totalCost < built.node.estimate.totalCost ? quick : built;
      sorted = query.orderBy.length === 0;
    } else {
      const path = this.#choose(paths);
      sorted = query.orderBy.length === 0 || covers(path.order, this.wantedOrder);
      current = path.build();
    }
    current = this.#windows(current);
    if (containsWindow(this.#targets)) sorted = query.orderBy.length === 0;
    current = this.#setCalls(current);
    return { current, sorted };
  }

  /** The path that is cheapest for as many rows as will be read, counting the sort it would still need. */
  #choose(paths: readonly Path[]): Path {
    if (paths.length === 1) return paths[0]!;
    const query = this.#query;
    const wanted = this.wantedOrder;
    const needsSort = query.orderBy.length > 0;
    const blocking = query.distinct !== "none";
    let best: Path | undefined;
    let bestCost = Number.POSITIVE_INFINITY;
    for (const path of paths) {
      const rows = path.rows;
      const { rowsWanted } = this;
      const fraction = rowsWanted === undefined || rows <= 0 ? 1 : Math.min(1, rowsWanted / rows);
      let cost: number;
      if (needsSort && !covers(path.order, wanted)) cost = sortCost(path, rows, rowsWanted).total;
      else if (blocking) cost = path.total;
      else cost = path.startup + (path.total - path.startup) * fraction;
      if (cost < bestCost - 1e-9) {
        best = path;
        bestCost = cost;
      }
    }
    return best!;
  }

  // --------------------------------------------------------------------------------------------------------- grouping

  #group(paths: readonly Path[], having: Expr | undefined, groupBy: readonly Expr[]): { built: Built } {
    const _query = this.#query;
    const { scope } = this;
    const groups = [...groupBy];
    const aggregates = this.#collectAggregates(having);
    if (groups.length > 0) this.#dependentColumns(groups, having);
    const best = cheapest(paths);
    const groupRows = groups.length === 0 ? 1 : this.#groupCount(groups, best.rows);
    const calls = aggregates.length;

    let path = best;
    let strategy: "plain" | "hash" | "sorted" = groups.length === 0 ? "plain" : "hash";
    let cost =
      strategy === "plain"
        ? {
            startup: best.total + best.rows * calls * cpuOperatorCost,
            total: best.total + best.rows * calls * cpuOperatorCost + cpuTupleCost,
          }
        : hashAggregateCost(best, best.rows, groupRows, groups.length, calls);
    if (groups.length > 0) {
      const names = new Set(groups.map((expr) => this.equivalence.canonical(expr)));
      names.delete("");
      for (const candidate of paths) {
        const leading = candidate.order.slice(0, names.size);
        if (leading.length < names.size || !leading.every((key) => names.has(key.key))) continue;
        const ordered = sortedAggregateCost(candidate, candidate.rows, groupRows, groups.length, calls);
        if (ordered.total < cost.total) {
          path = candidate;
          strategy = "sorted";
          cost = ordered;
        }
      }
    }
    const input = path.build();
    const layout = new Layout();
    const columns: OutputColumn[] = [];
    for (const expr of groups) {
      if (expr.kind === "column") layout.add(expr.relation, expr.column);
      else layout.addExpr(exprKey(expr));
      columns.push({ name: this.#nameOf(expr), type: expr.type });
    }
    const planned: AggregateCall[] = [];
    for (const aggregate of aggregates) {
      layout.addExpr(exprKey(aggregate));
      columns.push({ name: aggregate.fn.name, type: aggregate.type });
      planned.push({
        fn: aggregate.fn,
        args: aggregate.args.map((arg) => resolve(arg, input.layout, scope)),
        star: aggregate.star,
        distinct: aggregate.distinct,
        orderBy: resolveSortKeys(aggregate.orderBy, input.layout, scope),
        filter: aggregate.filter === undefined ? undefined : resolve(aggregate.filter, input.layout, scope),
        directArgs: aggregate.directArgs.map((arg) => resolve(arg, input.layout, scope)),
        type: aggregate.type,
      });
    }
    const node: PlanNode = {
      kind: "aggregate",
      input: input.node,
      strategy,
      groups: groups.map((expr) => resolve(expr, input.layout, scope)),
      aggregates: planned,
      columns,
      estimate: {
        startupCost: cost.startup,
        totalCost: cost.total,
        rows: clampRows(groupRows),
        width: widthOf(columns),
      },
    };
    if (having === undefined) return { built: { node, layout } };
    const conditions = conjuncts(having);
    return { built: filtered(node, layout, conditions, scope, clampRows(groupRows / 3)) };
  }

  #nameOf(expr: Expr): string {
    if (expr.kind !== "column") return "expr";
    return this.find(expr.relation)?.entry.columns[expr.column]?.name ?? "column";
  }

  /** Aggregates this query computes, wherever they stand, each once. */
  #collectAggregates(having: Expr | undefined): AggregateExpr[] {
    const out = new Map<string, AggregateExpr>();
    const visit = (expr: Expr): void => {
      visitDeep(expr, (inner) => {
        if (inner.kind === "aggregate" && inner.owner === this.#query.id) out.set(exprKey(inner), inner);
      });
    };
    for (const target of this.#targets) visit(target.expr);
    if (having !== undefined) visit(having);
    return [...out.values()];
  }

  /** Columns that depend on the grouping ones through a key ride along as further groups. */
  #dependentColumns(groups: Expr[], having: Expr | undefined): void {
    const keys = new Set(groups.map(exprKey));
    const visit = (expr: Expr): void => {
      if (keys.has(exprKey(expr))) return;
      if (expr.kind === "aggregate" && expr.owner === this.#query.id) return;
      if (expr.kind === "column") {
        if (this.find(expr.relation) === undefined) return;
        keys.add(exprKey(expr));
        groups.push(expr);
        return;
      }
      forEachChild(expr, visit);
      if (expr.kind === "subquery") {
        mapQuery(expr.query as BoundQuery, (child) => {
          visit(child);
          return child;
        });
      }
    };
    for (const target of this.#targets) visit(target.expr);
    if (having !== undefined) visit(having);
  }

  #groupCount(groups: readonly Expr[], rows: number): number {
    const factsOf = factsFor(this);
    let out = 1;
    for (const expr of groups) {
      const facts = factsOf(underlying(expr));
      if (facts !== undefined) out *= distinctOf(facts);
      else if (relationsOf(expr).size === 0) out *= 1;
      else out *= expr.type.oid === 16 ? 2 : 200;
      if (out > rows) break;
    }
    return clampRows(Math.min(out, rows));
  }

  /** min() and max() alone over an indexed column: the first row of the index, once for each. */
  #minMax(having: Expr | undefined): Built | undefined {
    const query = this.#query;
    if (query.groupBy.length > 0 || having !== undefined || query.relations.length !== 1) return undefined;
    const [entry] = query.relations;
    if (entry?.kind !== "table" || query.from.length !== 1) return undefined;
    if (this.rel(entry.id).indexes.length === 0) return undefined;
    const aggregates = this.#collectAggregates(undefined);
    if (aggregates.length === 0) return undefined;
    for (const { fn, args, distinct, filter, orderBy } of aggregates) {
      if ((fn.name !== "min" && fn.name !== "max") || args.length !== 1) return undefined;
      if (filter !== undefined || orderBy.length > 0 || distinct || isVolatile(args[0]!)) return undefined;
    }
    const layout = new Layout();
    const columns: OutputColumn[] = [];
    const row: Expr[] = [];
    let total = cpuTupleCost;
    const picked: { plan: PlanNode; query: BoundSelect }[] = [];
    for (const { fn, args, type } of aggregates) {
      const arg = args[0]!;
      const notNull: Expr = { kind: "isNull", type: boolType, arg, negated: true };
      const first: BoundSelect = {
        ...query,
        id: -query.id,
        where: conjunction([...conjuncts(query.where), notNull]),
        targets: [{ expr: arg, name: fn.name, junk: false }],
        columns: [{ name: fn.name, type }],
        grouped: false,
        having: undefined,
        orderBy: [{ target: 0, descending: fn.name === "max", nullsFirst: fn.name === "max" }],
        limit: { kind: "const", type: { oid: 20, typmod: -1 }, value: 1 },
        offset: undefined,
        distinct: "none",
        locks: [],
      };
      const { plan, scope } = this.scope.subplan(first, "scalar");
      if (scope.outer.size > 0 || usesSort(plan)) return undefined;
      total += plan.estimate.totalCost;
      picked.push({ plan, query: first });
      layout.addExpr(exprKey(aggregates[picked.length - 1]!));
      columns.push({ name: fn.name, type });
    }
    picked.forEach(({ plan, query: first }, index) => {
      const id = this.scope.initPlan(first, plan, "scalar");
      row.push({ kind: "execParam", type: aggregates[index]!.type, id });
    });
    return {
      layout,
      node: {
        kind: "values",
        rows: [row],
        columns,
        estimate: { startupCost: total, totalCost: total, rows: 1, width: widthOf(columns) },
      },
    };
  }

  // ---------------------------------------------------------------------------------------- windows, sets in the list

  #windows(input: Built): Built {
    const calls = new Map<string, WindowCallExpr>();
    for (const target of this.#targets) {
      visitHere(target.expr, (expr) => {
        if (expr.kind === "windowCall") calls.set(exprKey(expr), expr);
      });
    }
    if (calls.size === 0) return input;
    const { scope } = this;
    // Calls over the same partitions and order share a pass; longer orders first, so that shorter ones may follow them.
    const passes = new Map<string, WindowCallExpr[]>();
    for (const call of calls.values()) {
      const name = `${call.partitionBy.map(exprKey).join(",")};${call.orderBy
        .map((key) => `${exprKey(key.expr)}${key.descending}${key.nullsFirst}`)
        .join(",")}`;
      const known = passes.get(name);
      if (known === undefined) passes.set(name, [call]);
      else known.push(call);
    }
    let current = input;
    for (const pass of passes.values()) {
      const { partitionBy, orderBy } = pass[0]!;
      const keys: SortKey[] = [
        ...partitionBy.map((expr) => ({ expr, descending: false, nullsFirst: false })),
        ...orderBy,
      ];
      if (keys.length > 0) current = this.#sort(current, keys, undefined);
      const layout = Layout.concat(current.layout, emptyLayout);
      const planned: WindowCall[] = [];
      const columns = [...current.node.columns];
      const { layout: from, node: inputNode } = current;
      const at = (expr: Expr): Expr => resolve(expr, from, scope);
      for (const call of pass) {
        layout.addExpr(exprKey(call));
        columns.push({ name: call.builtin ?? call.aggregate?.name ?? "window", type: call.type });
        planned.push({
          builtin: call.builtin,
          aggregate: call.aggregate,
          args: call.args.map(at),
          star: call.star,
          filter: call.filter === undefined ? undefined : at(call.filter),
          frame: {
            ...call.frame,
            start: { ...call.frame.start, offset: call.frame.start.offset && at(call.frame.start.offset) },
            end: { ...call.frame.end, offset: call.frame.end.offset && at(call.frame.end.offset) },
          },
          type: call.type,
        });
      }
      const { estimate } = inputNode;
      current = {
        layout,
        node: {
          kind: "window",
          input: inputNode,
          partitionBy: partitionBy.map(at),
          orderBy: resolveSortKeys(orderBy, from, scope),
          calls: planned,
          columns,
          estimate: {
            ...estimate,
            totalCost: estimate.totalCost + estimate.rows * planned.length * cpuOperatorCost * 4,
            width: widthOf(columns),
          },
        },
      };
    }
    return current;
  }

  #setCalls(input: Built): Built {
    if (!this.#query.hasSetCalls) return input;
    const { scope } = this;
    let current = input;
    // A set inside the arguments of another is expanded first.
    for (;;) {
      const { layout: from, node } = current;
      const calls = new Map<string, Expr & { kind: "setCall" }>();
      for (const target of this.#targets) {
        visitHere(target.expr, (expr) => {
          if (expr.kind !== "setCall" || from.exprs?.has(exprKey(expr)) === true) return;
          const waits = expr.args.some((arg) =>
            containsHere(
              arg,
              (inner) => inner.kind === "setCall" && from.exprs?.has(exprKey(inner)) !== true,
            ),
          );
          if (!waits) calls.set(exprKey(expr), expr);
        });
      }
      if (calls.size === 0) return current;
      const layout = Layout.concat(from, emptyLayout);
      const columns = [...node.columns];
      const exprs: (PlanNode & { kind: "projectSet" })["exprs"][number][] = columns.map((column, slot) => ({
        kind: "slot",
        type: column.type,
        slot,
      }));
      for (const [key, call] of calls) {
        layout.addExpr(key);
        columns.push({ name: call.fn.name, type: call.type });
        exprs.push({
          kind: "set",
          fn: call.fn,
          args: call.args.map((arg) => resolve(arg, from, scope)),
          type: call.type,
        });
      }
      const rows = clampRows(node.estimate.rows * 10);
      current = {
        layout,
        node: {
          kind: "projectSet",
          input: node,
          exprs,
          columns,
          estimate: {
            startupCost: node.estimate.startupCost,
            totalCost: node.estimate.totalCost + rows * cpuTupleCost,
            rows,
            width: widthOf(columns),
          },
        },
      };
    }
  }

  // ------------------------------------------------------------------------------------- DISTINCT, ORDER BY, LIMIT

  #sort(
    input: Built,
    keys: readonly SortKey[],
    limit: { limit: Expr; offset: Expr | undefined } | undefined,
  ): Built {
    const { scope } = this;
    const { node, layout } = input;
    const seen = new Set<string>();
    const unique = keys.filter((key) => {
      const name = exprKey(key.expr);
      if (seen.has(name) || key.expr.kind === "const") return false;
      seen.add(name);
      return true;
    });
    const resolved = resolveSortKeys(unique, layout, scope);
    const { estimate } = node;
    const count = limit === undefined ? undefined : constantCount(limit.limit);
    const wanted = count === undefined ? undefined : count + (constantCount(limit?.offset) ?? 0);
    const cost = sortCost(
      { startup: estimate.startupCost, total: estimate.totalCost },
      estimate.rows,
      wanted,
    );
    const shared = {
      input: node,
      keys: resolved,
      columns: node.columns,
      estimate: {
        startupCost: cost.startup,
        totalCost: cost.total,
        rows: wanted === undefined ? estimate.rows : Math.min(estimate.rows, Math.max(1, wanted)),
        width: estimate.width,
      },
    };
    if (resolved.length === 0)
      return limit === undefined ? input : this.#limit(input, limit.limit, limit.offset);
    return {
      layout,
      node:
        limit === undefined
          ? { kind: "sort", ...shared }
          : { kind: "topN", ...shared, limit: limit.limit, offset: limit.offset },
    };
  }

  #limit(
    input: Built,
    limit: Expr | undefined,
    offset: Expr | undefined,
    withTies?: readonly SortKey[],
  ): Built {
    const { node, layout } = input;
    const count = constantCount(limit);
    const skip = constantCount(offset) ?? 0;
    const { estimate } = node;
    const rows =
      count === undefined ? Math.max(1, estimate.rows - skip) : Math.min(estimate.rows, Math.max(1, count));
    const share = estimate.rows <= 0 ? 1 : Math.min(1, (rows + skip) / estimate.rows);
    return {
      layout,
      node: {
        kind: "limit",
        input: node,
        limit,
        offset,
        withTies,
        columns: node.columns,
        estimate: {
          ...estimate,
          totalCost: estimate.startupCost + (estimate.totalCost - estimate.startupCost) * share,
          rows: clampRows(rows),
        },
      },
    };
  }

  #project({ current: input, sorted }: Upper): PlannedQuery {
    const query = this.#query;
    const { scope } = this;
    const targets = this.#targets;
    let current = input;
    const limit = query.limit === undefined ? undefined : resolve(simplify(query.limit), emptyLayout, scope);
    const offset =
      query.offset === undefined ? undefined : resolve(simplify(query.offset), emptyLayout, scope);
    const keyOf = (order: { target: number; descending: boolean; nullsFirst: boolean }): SortKey => ({
      expr: targets[order.target]!.expr,
      descending: order.descending,
      nullsFirst: order.nullsFirst,
    });
    const orderKeys = query.orderBy.map(keyOf);

    if (query.distinct === "all") {
      current = this.#projectTargets(current, targets);
      const { node, layout } = current;
      const rows = node.estimate.rows;
      const groups = clampRows(
        this.#groupCount(
          targets.map((target) => target.expr),
          rows,
        ),
      );
      const cost = hashAggregateCost(
        { startup: node.estimate.startupCost, total: node.estimate.totalCost },
        rows,
        groups,
        targets.length,
        0,
      );
      current = {
        layout,
        node: {
          kind: "aggregate",
          input: node,
          strategy: "hash",
          groups: node.columns.map((column, slot): Expr => ({ kind: "slot", type: column.type, slot })),
          aggregates: [],
          columns: node.columns,
          estimate: {
            startupCost: cost.startup,
            totalCost: cost.total,
            rows: groups,
            width: node.estimate.width,
          },
        },
      };
      sorted = orderKeys.length === 0;
    } else if (query.distinct !== "none") {
      const wanted = query.distinct.map((target) => targets[target]!.expr);
      const keys = [...orderKeys];
      for (const expr of wanted) {
        if (!keys.some((key) => exprKey(key.expr) === exprKey(expr))) {
          keys.push({ expr, descending: false, nullsFirst: false });
        }
      }
      if (!(sorted && keys.length === orderKeys.length && orderKeys.length > 0)) {
        current = this.#sort(this.#withSortable(current, keys), keys, undefined);
      }
      const { node, layout } = current;
      const unique = wanted.filter((expr) => expr.kind !== "const");
      const rows = this.#groupCount(wanted, node.estimate.rows);
      current = {
        layout,
        node: {
          kind: "unique",
          input: node,
          keys: unique.map((expr) => resolve(expr, layout, scope)),
          columns: node.columns,
          estimate: { ...node.estimate, rows },
        },
      };
      sorted = true;
    }

    const ties = query.withTies === true;
    if (!sorted) {
      current = this.#withSortable(current, orderKeys);
      const bounded = limit !== undefined && !ties && query.locks.length === 0;
      if (bounded) {
        current = this.#sort(current, orderKeys, { limit, offset });
        current = this.#locks(current);
        return this.#finish(current);
      }
      current = this.#sort(current, orderKeys, undefined);
    }
    current = this.#locks(current);
    if (limit !== undefined || offset !== undefined) {
      const tieKeys = ties ? resolveSortKeys(orderKeys, current.layout, scope) : undefined;
      current = this.#limit(current, limit, offset, tieKeys);
    }
    return this.#finish(current);
  }

  /** Sort keys that are worth computing once become columns of the input. */
  #withSortable(input: Built, keys: readonly SortKey[]): Built {
    const computed = keys
      .map((key) => key.expr)
      .filter(
        (expr) =>
          expr.kind !== "column" && expr.kind !== "const" && input.layout.exprs?.has(exprKey(expr)) !== true,
      );
    if (computed.length === 0) return input;
    const { node, layout: from } = input;
    const layout = Layout.concat(from, emptyLayout);
    const columns = [...node.columns];
    const exprs: Expr[] = columns.map((column, slot) => ({ kind: "slot", type: column.type, slot }));
    for (const expr of computed) {
      const key = exprKey(expr);
      if (layout.exprs?.has(key) === true) continue;
      layout.addExpr(key);
      columns.push({ name: "sort", type: expr.type });
      exprs.push(resolve(expr, from, this.scope));
    }
    return { layout, node: projectNode(node, exprs, columns, computed) };
  }

  #locks(input: Built): Built {
    const { locks } = this.#query;
    if (locks.length === 0) return input;
    const { node, layout } = input;
    return {
      layout,
      node: {
        kind: "lockRows",
        input: node,
        targets: locks.map((lock) => {
          const { entry } = this.rel(lock.relation);
          assert(entry.kind === "table", "only tables are locked");
          const slot = resolve(
            {
              kind: "column",
              type: { oid: 20, typmod: -1 },
              level: 0,
              relation: lock.relation,
              column: rowIdColumn,
            },
            layout,
            this.scope,
          );
          assert(slot.kind === "slot", "a locked table's row address is in the input");
          return {
            tableId: entry.table.id,
            rowIdSlot: slot.slot,
            strength: lock.strength,
            waitPolicy: lock.waitPolicy,
          };
        }),
        columns: node.columns,
        estimate: {
          ...node.estimate,
          totalCost: node.estimate.totalCost + node.estimate.rows * cpuTupleCost,
        },
      },
    };
  }

  #projectTargets(input: Built, targets: readonly Target[]): Built {
    const layout = new Layout();
    const columns: OutputColumn[] = [];
    for (const target of targets) {
      const { expr } = target;
      const slot = layout.addExpr(exprKey(expr));
      if (expr.kind === "column") layout.columns.set(expr.relation * 4096 + expr.column + 1, slot);
      columns.push(outputOf(target));
    }
    const exprs = targets.map((target) => resolve(target.expr, input.layout, this.scope));
    if (isIdentity(exprs, input.node.columns.length)) {
      return { layout, node: { ...input.node, columns } };
    }
    return {
      layout,
      node: projectNode(
        input.node,
        exprs,
        columns,
        targets.map((target) => target.expr),
      ),
    };
  }

  #finish(input: Built): PlannedQuery {
    const visible = this.#targets.filter((target) => !target.junk);
    const { node } = this.#projectTargets(input, visible);
    return { node, order: [] };
  }

  /** For UPDATE and DELETE: the rows with these values computed. */
  planTargets(): Built {
    const { current } = this.planRows();
    return this.#projectTargets(current, this.#targets);
  }
}

export interface Upper {
  readonly current: Built;
  readonly sorted: boolean;
}

function usesSort(plan: PlanNode): boolean {
  if (plan.kind === "sort" || plan.kind === "topN" || plan.kind === "aggregate") return true;
  if (plan.kind === "project" || plan.kind === "limit" || plan.kind === "filter") return usesSort(plan.input);
  return false;
}

function containsWindow(targets: readonly Target[]): boolean {
  return targets.some((target) => containsHere(target.expr, (expr) => expr.kind === "windowCall"));
}

function visitHere(expr: Expr, visit: (expr: Expr) => void): void {
  visit(expr);
  forEachChild(expr, (child) => {
    visitHere(child, visit);
  });
}

function covers(order: readonly OrderKey[], wanted: readonly OrderKey[]): boolean {
  return (
    order.length >= wanted.length &&
    wanted.every((key, index) => {
      const have = order[index]!;
      return have.key === key.key && have.descending === key.descending && have.nullsFirst === key.nullsFirst;
    })
  );
}

function isIdentity(exprs: readonly Expr[], width: number): boolean {
  return exprs.length === width && exprs.every((expr, index) => expr.kind === "slot" && expr.slot === index);
}

function outputOf(target: Target): OutputColumn {
  const column = { name: target.name, type: target.expr.type };
  return target.tableId === undefined
    ? column
    : { ...column, tableId: target.tableId, attribute: target.attribute };
}

export function constantCount(expr: Expr | undefined): number | undefined {
  if (expr === undefined || expr.kind !== "const") return undefined;
  return typeof expr.value === "number" && expr.value >= 0 ? expr.value : undefined;
}

export function widthOf(columns: readonly { readonly type: TypeRef }[]): number {
  let out = 0;
  for (const column of columns) out += typeWidth(column.type);
  return out;
}

export function projectNode(
  input: PlanNode,
  exprs: readonly Expr[],
  columns: readonly OutputColumn[],
  written: readonly Expr[],
): PlanNode {
  const { estimate } = input;
  let cost = 0;
  for (const expr of written) cost += expressionCost(expr);
  // Over a single row without columns the values can stand in the row itself.
  if (input.kind === "values" && input.rows.length === 1 && input.columns.length === 0) {
    return {
      kind: "values",
      rows: [exprs],
      columns,
      estimate: { ...estimate, totalCost: estimate.totalCost + cost, width: widthOf(columns) },
    };
  }
  return {
    kind: "project",
    input,
    exprs,
    columns,
    estimate: { ...estimate, totalCost: estimate.totalCost + estimate.rows * cost, width: widthOf(columns) },
  };
}

/** CTEs that are read once, put where they are read. */
function inlineCtes(query: BoundSelect): BoundSelect {
  if (!query.relations.some((entry) => entry.kind === "cte" && isInlined(entry.cte))) return query;
  return {
    ...query,
    relations: query.relations.map((entry): RangeEntry => {
      if (entry.kind !== "cte" || !isInlined(entry.cte)) return entry;
      const { cte, ...base } = entry;
      return { ...base, kind: "subquery", query: cte.query as BoundQuery, lateral: false };
    }),
  };
}

/** A condition on a subquery's columns as a condition inside it; undefined when it must stay outside. */
/** `barrier`: it may tell nothing of rows that the query itself would leave out. */
function pushInto(
  query: BoundQuery,
  filter: Expr,
  relation: number,
  barrier: boolean,
): BoundQuery | undefined {
  if (isVolatile(filter) || containsDeep(filter, (expr) => expr.kind === "subquery")) return undefined;
  if (query.limit !== undefined || query.offset !== undefined) return undefined;
  switch (query.kind) {
    case "values":
      return undefined;
    case "setOperation": {
      if (query.leftCasts !== undefined || query.rightCasts !== undefined || query.ctes.length > 0)
        return undefined;
      const left = pushInto(query.left, filter, relation, barrier);
      const right = pushInto(query.right, filter, relation, barrier);
      return left === undefined || right === undefined ? undefined : { ...query, left, right };
    }
    case "select": {
      if (query.hasSetCalls || query.locks.length > 0 || Array.isArray(query.distinct)) return undefined;
      const visible = query.targets.filter((target) => !target.junk);
      if (containsWindow(visible)) return undefined;
      let usable = true;
      const inside = mapDeep(filter, (expr) => {
        if (expr.kind !== "column" || expr.relation !== relation) return expr;
        const target = visible[expr.column]!.expr;
        if (isVolatile(target) || containsDeep(target, (inner) => inner.kind === "subquery")) usable = false;
        return target;
      });
      if (!usable || (barrier && !isLeakproof(inside))) return undefined;
      if (!query.grouped) return { ...query, where: conjunction([...conjuncts(query.where), inside]) };
      return { ...query, having: conjunction([...conjuncts(query.having), inside]) };
    }
  }
}

// ------------------------------------------------------------------------------------------------- set operations

function planSetOperation(query: BoundSetOperation, scope: PlanScope, hints: QueryHints): PlannedQuery {
  let node = setNode(query, scope, hints);
  const limit = query.limit === undefined ? undefined : resolve(simplify(query.limit), emptyLayout, scope);
  const offset = query.offset === undefined ? undefined : resolve(simplify(query.offset), emptyLayout, scope);
  node = orderAndLimit(node, query, limit, offset);
  return { node, order: [] };
}

/** ORDER BY and LIMIT over output columns. */
function orderAndLimit(
  input: PlanNode,
  query: BoundSetOperation | BoundValues,
  limit: Expr | undefined,
  offset: Expr | undefined,
): PlanNode {
  let node = input;
  const keys = query.orderBy.map(
    (item): SortKey => ({
      expr: { kind: "slot", type: query.columns[item.target]!.type, slot: item.target },
      descending: item.descending,
      nullsFirst: item.nullsFirst,
    }),
  );
  const count = constantCount(limit);
  const wanted = count === undefined ? undefined : count + (constantCount(offset) ?? 0);
  if (keys.length > 0) {
    const { estimate } = node;
    const cost = sortCost(
      { startup: estimate.startupCost, total: estimate.totalCost },
      estimate.rows,
      wanted,
    );
    const shared = {
      input: node,
      keys,
      columns: node.columns,
      estimate: { ...estimate, startupCost: cost.startup, totalCost: cost.total },
    };
    if (limit !== undefined && query.withTies !== true) {
      return {
        kind: "topN",
        ...shared,
        limit,
        offset,
        estimate: { ...shared.estimate, rows: Math.min(estimate.rows, Math.max(1, wanted ?? estimate.rows)) },
      };
    }
    node = { kind: "sort", ...shared };
  }
  if (limit === undefined && offset === undefined) return node;
  return {
    kind: "limit",
    input: node,
    limit,
    offset,
    withTies: query.withTies === true ? keys : undefined,
    columns: node.columns,
    estimate: {
      ...node.estimate,
      rows: Math.min(node.estimate.rows, Math.max(1, wanted ?? node.estimate.rows)),
    },
  };
}

function setNode(query: BoundSetOperation, scope: PlanScope, hints: QueryHints): PlanNode {
  const columns = query.columns.map((column) => ({ name: column.name, type: column.type }));
  if (query.operation === "union") {
    const inputs: PlanNode[] = [];
    collectArms(query, query.all, scope, hints, inputs);
    let rows = 0;
    let total = 0;
    let startup = 0;
    for (const input of inputs) {
      rows += input.estimate.rows;
      total += input.estimate.totalCost;
      startup = inputs[0] === input ? input.estimate.startupCost : startup;
    }
    const append: PlanNode = {
      kind: "append",
      inputs,
      columns,
      estimate: { startupCost: startup, totalCost: total, rows: clampRows(rows), width: widthOf(columns) },
    };
    return query.all ? append : distinctNode(append);
  }
  const left = arm(query.left, query.leftCasts, query.leftRelation, scope, {});
  const right = arm(query.right, query.rightCasts, query.rightRelation, scope, {});
  const rows =
    query.operation === "intersect" ? Math.min(left.estimate.rows, right.estimate.rows) : left.estimate.rows;
  const total =
    left.estimate.totalCost +
    right.estimate.totalCost +
    (left.estimate.rows + right.estimate.rows) * columns.length * cpuOperatorCost;
  return {
    kind: "setOperation",
    operation: query.operation,
    all: query.all,
    left,
    right,
    columns,
    estimate: {
      startupCost: total,
      totalCost: total + rows * cpuTupleCost,
      rows: clampRows(rows),
      width: widthOf(columns),
    },
  };
}

/** Arms of a chain of UNIONs of one sort: nested ones that change nothing are flattened. */
function collectArms(
  query: BoundSetOperation,
  all: boolean,
  scope: PlanScope,
  hints: QueryHints,
  into: PlanNode[],
): void {
  for (const side of ["left", "right"] as const) {
    const inner = query[side];
    const casts = side === "left" ? query.leftCasts : query.rightCasts;
    const flat =
      inner.kind === "setOperation" &&
      inner.operation === "union" &&
      // Duplicates vanish at the top anyway, unless the top keeps them.
      (inner.all || !all) &&
      inner.ctes.length === 0 &&
      inner.limit === undefined &&
      inner.offset === undefined &&
      casts === undefined;
    if (flat) collectArms(inner, all, scope, hints, into);
    else {
      const relation = side === "left" ? query.leftRelation : query.rightRelation;
      into.push(arm(inner, casts, relation, scope, all && query.limit === undefined ? hints : {}));
    }
  }
}

function arm(
  query: BoundQuery,
  casts: readonly Expr[] | undefined,
  relation: number,
  scope: PlanScope,
  hints: QueryHints,
): PlanNode {
  const { node } = planQuery(query, scope, { rowsWanted: hints.rowsWanted });
  if (casts === undefined) return node;
  const layout = new Layout();
  for (let column = 0; column < query.columns.length; column++) layout.add(relation, column);
  const exprs = casts.map((cast) => resolve(cast, layout, scope));
  const columns = casts.map((cast, index) => ({ name: query.columns[index]!.name, type: cast.type }));
  return projectNode(node, exprs, columns, casts);
}

function distinctNode(input: PlanNode): PlanNode {
  const { estimate } = input;
  const cost = hashAggregateCost(
    { startup: estimate.startupCost, total: estimate.totalCost },
    estimate.rows,
    estimate.rows,
    input.columns.length,
    0,
  );
  return {
    kind: "aggregate",
    input,
    strategy: "hash",
    groups: input.columns.map((column, slot): Expr => ({ kind: "slot", type: column.type, slot })),
    aggregates: [],
    columns: input.columns,
    estimate: { ...estimate, startupCost: cost.startup, totalCost: cost.total },
  };
}

// ---------------------------------------------------------------------------------------------------------- VALUES

export function valuesNode(
  rows: readonly (readonly Expr[])[],
  columns: readonly OutputColumn[],
  scope: PlanScope,
): PlanNode {
  const planned = rows.map((row) => row.map((expr) => resolve(simplify(expr), emptyLayout, scope)));
  return {
    kind: "values",
    rows: planned,
    columns,
    estimate: {
      startupCost: 0,
      totalCost: rows.length * cpuTupleCost,
      rows: clampRows(rows.length),
      width: widthOf(columns),
    },
  };
}

function planValues(query: BoundValues, scope: PlanScope): PlannedQuery {
  const limit = query.limit === undefined ? undefined : resolve(simplify(query.limit), emptyLayout, scope);
  const offset = query.offset === undefined ? undefined : resolve(simplify(query.offset), emptyLayout, scope);
  const node = orderAndLimit(valuesNode(query.rows, query.columns, scope), query, limit, offset);
  return { node, order: [] };
}
