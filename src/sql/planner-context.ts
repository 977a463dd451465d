/**
 * What all parts of the planner share: where a value is found at run time.
 *
 * A `Layout` says in which slot of a batch each column (or already computed expression) lies. A `PlanScope` is one unit of
 * execution: the statement, a subquery in an expression, a FROM item that runs once per outer row. `resolve` rewrites a
 * bound expression for a layout; a column that the layout does not have comes from around the scope and becomes an
 * execParam, which whoever runs the scope sets first (`bindings`).
 *
 * Invariants: an execParam id is given to one value at one place; a scope's outer values are complete once its plan is
 * built, and only then may its bindings be made.
 */
import { assert } from "../base/errors.js";
import type { CatalogReader, IndexDesc, ObjectId } from "../model/schema.js";
import type { Expr, SubqueryExpr } from "./expr.js";
import type { OutputColumn, PlanNode } from "./plan.js";
import type { BoundModify, BoundQuery, RangeEntry } from "./query.js";
import { exprKey, mapChildren, mapSortKeys, visitQuery } from "./walk.js";

export interface PlanEnv {
  readonly catalog: CatalogReader;
  /** Live size of a table. */
  tableSize(id: ObjectId): { readonly rows: number; readonly pages: number };
}

const columnsMax = 4096;

export function columnKey(relation: number, column: number): number {
  return relation * columnsMax + column + 1;
}

export class Layout {
  readonly columns = new Map<number, number>();
  /** Slots of computed expressions, by `exprKey`. */
  exprs: Map<string, number> | undefined;
  width = 0;

  add(relation: number, column: number): number {
    this.columns.set(columnKey(relation, column), this.width);
    return this.width++;
  }
  addExpr(key: string): number {
    this.exprs ??= new Map();
    if (!this.exprs.has(key)) this.exprs.set(key, this.width);
    return this.width++;
  }
  static concat(left: Layout, right: Layout): Layout {
    const out = new Layout();
    for (const [key, slot] of left.columns) out.columns.set(key, slot);
    for (const [key, slot] of right.columns) out.columns.set(key, slot + left.width);
    if (left.exprs !== undefined || right.exprs !== undefined) {
      out.exprs = new Map(left.exprs);
      if (right.exprs !== undefined) {
        for (const [key, slot] of right.exprs) out.exprs.set(key, slot + left.width);
      }
    }
    out.width = left.width + right.width;
    return out;
  }
}

export const emptyLayout = new Layout();

export interface Built {
  readonly node: PlanNode;
  readonly layout: Layout;
}

/** Order of a path's rows: canonical keys of expressions. */
export interface OrderKey {
  readonly key: string;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

export interface Path {
  readonly startup: number;
  readonly total: number;
  readonly rows: number;
  readonly width: number;
  readonly order: readonly OrderKey[];
  build(): Built;
}

export interface PlannedQuery {
  readonly node: PlanNode;
  /** Order of the visible output columns, by position, as far as it is known. */
  readonly order: readonly {
    readonly column: number;
    readonly descending: boolean;
    readonly nullsFirst: boolean;
  }[];
  /** Output columns that together are unique. */
  readonly unique?: readonly number[] | undefined;
}

export interface QueryHints {
  /** How many rows will be read, when not all. */
  readonly rowsWanted?: number | undefined;
  /** Only whether there is a row matters. */
  readonly exists?: boolean | undefined;
}

export interface CtePlan {
  readonly rows: number;
  readonly width: number;
  readonly columns: readonly OutputColumn[];
}

/** Numbers and memories of one planning run. */
export class PlanStatement {
  #nextParam = 0;
  readonly ctes = new Map<number, CtePlan>();
  /** Bound index expressions and predicates, by index and relation. */
  readonly indexKeys = new Map<string, readonly Expr[]>();
  readonly predicates = new Map<string, Expr | undefined>();
  #nextRelation: number;
  #nextCte: number;

  constructor(
    readonly env: PlanEnv,
    nextRelation: number,
    nextCte: number,
    readonly planQuery: (query: BoundQuery, scope: PlanScope, hints: QueryHints) => PlannedQuery,
    readonly planModify: (query: BoundModify, scope: PlanScope) => PlanNode,
    readonly bindIndexKeys: (index: IndexDesc, entry: RangeEntry) => readonly Expr[],
    readonly bindIndexPredicate: (index: IndexDesc, entry: RangeEntry) => Expr | undefined,
  ) {
    this.#nextRelation = nextRelation;
    this.#nextCte = nextCte;
  }
  newParam(): number {
    return this.#nextParam++;
  }
  newRelation(): number {
    return this.#nextRelation++;
  }
  newCte(): number {
    return this.#nextCte++;
  }
  get paramCount(): number {
    return this.#nextParam;
  }
}

interface InitPlan {
  readonly id: number;
  readonly plan: PlanNode;
  readonly form: "scalar" | "exists" | "array";
}

interface OuterValue {
  readonly id: number;
  readonly expr: Expr;
}

export class PlanScope {
  /** Relations whose rows this scope produces itself. */
  readonly own = new Set<number>();
  /** Selects planned in this scope: their aggregates are not outer values. */
  readonly selects = new Set<number>();
  readonly outer = new Map<string, OuterValue>();
  readonly initPlans: InitPlan[] = [];
  readonly #initByQuery = new Map<object, number>();
  readonly #subplans = new Map<object, { plan: PlanNode; scope: PlanScope }>();
  /** CTEs that can be read only inside this scope's plan. */
  readonly ctes = new Set<number>();

  constructor(
    readonly statement: PlanStatement,
    readonly parent: PlanScope | undefined,
    /** Runs as part of its parent: values from further out are the parent's own parameters. */
    readonly inline: boolean,
  ) {}

  /** The parameter that holds a value from around this scope. */
  outerParam(expr: Expr & { kind: "column" | "aggregate" }): Expr {
    const { parent } = this;
    assert(
      parent !== undefined,
      expr.kind === "column"
        ? `column ${expr.relation}.${expr.column} is not in the input`
        : `aggregate ${expr.fn.name} is not in the input`,
    );
    if (expr.kind === "column") {
      assert(!this.own.has(expr.relation), `column ${expr.relation}.${expr.column} is not in the input`);
    }
    if (this.inline) {
      const local = expr.kind === "column" ? parent.own.has(expr.relation) : parent.selects.has(expr.owner);
      if (!local) return parent.outerParam(expr);
    }
    const key = exprKey(expr);
    let value = this.outer.get(key);
    if (value === undefined) {
      value = { id: this.statement.newParam(), expr };
      this.outer.set(key, value);
    }
    return { kind: "execParam", type: expr.type, id: value.id };
  }

  /** What must be set before this scope runs, over a row of the scope around it. */
  bindings(layout: Layout, around: PlanScope): { readonly id: number; readonly value: Expr }[] {
    const out: { id: number; value: Expr }[] = [];
    for (const { id, expr } of this.outer.values()) out.push({ id, value: resolve(expr, layout, around) });
    return out;
  }

  subplan(query: BoundQuery, form: SubqueryExpr["form"]): { plan: PlanNode; scope: PlanScope } {
    let known = this.#subplans.get(query);
    if (known === undefined) {
      const scope = new PlanScope(this.statement, this, false);
      const hints: QueryHints = form === "exists" ? { exists: true, rowsWanted: 1 } : {};
      const planned = this.statement.planQuery(query, scope, hints);
      known = { plan: withInitPlans(planned.node, scope), scope };
      this.#subplans.set(query, known);
    }
    return known;
  }

  /** Parameter with the result of a subquery that depends on nothing; computed once per statement. */
  initPlan(query: BoundQuery, plan: PlanNode, form: InitPlan["form"]): number {
    let home: PlanScope = this;
    const used = ctesOf(query);
    while (home.parent !== undefined && ![...home.ctes].some((cte) => used.has(cte))) home = home.parent;
    let id = home.#initByQuery.get(query);
    if (id === undefined) {
      id = this.statement.newParam();
      home.#initByQuery.set(query, id);
      home.initPlans.push({ id, plan, form });
    }
    return id;
  }
}

function ctesOf(query: BoundQuery): Set<number> {
  const out = new Set<number>();
  const walk = (inner: BoundQuery | BoundModify): void => {
    if (inner.kind === "setOperation") {
      walk(inner.left);
      walk(inner.right);
    }
    if (inner.kind === "insert" && inner.source.kind === "query") walk(inner.source.query);
    for (const cte of inner.ctes) {
      walk(cte.query);
      if (cte.recursive !== undefined) walk(cte.recursive.step);
    }
    if ("relations" in inner) {
      for (const entry of inner.relations) {
        if (entry.kind === "cte") out.add(entry.cte.id);
        if (entry.kind === "subquery") walk(entry.query);
      }
    }
  };
  walk(query);
  visitQuery(query, (expr) => {
    if (expr.kind === "subquery") walk(expr.query as BoundQuery);
  });
  return out;
}

/** The plan under the init plans its scope collected. */
export function withInitPlans(node: PlanNode, scope: PlanScope): PlanNode {
  if (scope.initPlans.length === 0) return node;
  const plans = scope.initPlans.splice(0);
  let extra = 0;
  for (const { plan } of plans) extra += plan.estimate.totalCost;
  return {
    kind: "initPlans",
    plans,
    body: node,
    columns: node.columns,
    estimate: {
      ...node.estimate,
      startupCost: node.estimate.startupCost + extra,
      totalCost: node.estimate.totalCost + extra,
    },
  };
}

/** A bound expression for an operator whose input has this layout. */
export function resolve(expr: Expr, layout: Layout, scope: PlanScope): Expr {
  switch (expr.kind) {
    case "const":
    case "param":
    case "execParam":
    case "elementRef":
    case "caseTest":
    case "slot":
      return expr;
    case "column": {
      const slot = layout.columns.get(columnKey(expr.relation, expr.column));
      if (slot !== undefined) return { kind: "slot", type: expr.type, slot };
      const computed = layout.exprs?.get(exprKey(expr));
      if (computed !== undefined) return { kind: "slot", type: expr.type, slot: computed };
      return scope.outerParam(expr);
    }
    default:
      break;
  }
  if (layout.exprs !== undefined) {
    const slot = layout.exprs.get(exprKey(expr));
    if (slot !== undefined) return { kind: "slot", type: expr.type, slot };
  }
  if (expr.kind === "aggregate") return scope.outerParam(expr);
  assert(expr.kind !== "windowCall", "a window call is not in the input");
  assert(expr.kind !== "setCall", "a set-returning call is not in the input");
  if (expr.kind === "subquery") return resolveSubquery(expr, layout, scope);
  return mapChildren(expr, (child) => resolve(child, layout, scope));
}

function resolveSubquery(expr: SubqueryExpr, layout: Layout, scope: PlanScope): Expr {
  const query = expr.query as BoundQuery;
  const { plan, scope: inner } = scope.subplan(query, expr.form);
  const correlated = inner.outer.size > 0;
  if (!correlated && expr.form !== "any" && expr.form !== "all") {
    return { kind: "execParam", type: expr.type, id: scope.initPlan(query, plan, expr.form) };
  }
  const bindings = inner.bindings(layout, scope);
  const left = expr.left?.map((item) => resolve(item, layout, scope));
  const hashed =
    !correlated &&
    ((expr.form === "any" && expr.operator === "=") || (expr.form === "all" && expr.operator === "<>"));
  return {
    kind: "subplan",
    type: expr.type,
    form: expr.form,
    left,
    operator: expr.operator,
    compare: expr.compare,
    plan,
    bindings,
    hashed,
  };
}

export function resolveSortKeys(
  keys: readonly { readonly expr: Expr; readonly descending: boolean; readonly nullsFirst: boolean }[],
  layout: Layout,
  scope: PlanScope,
): readonly { readonly expr: Expr; readonly descending: boolean; readonly nullsFirst: boolean }[] {
  return mapSortKeys(keys, (expr) => resolve(expr, layout, scope));
}
