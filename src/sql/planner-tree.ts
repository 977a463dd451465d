/**
 * From a bound FROM and WHERE to a join tree that the search can order: subqueries and views are pulled up, EXISTS and IN
 * become semi and anti joins, outer joins that a condition makes inner are reduced.
 *
 * Invariants: each step keeps the result: a pull-up under the nullable side of an outer join takes only plain columns; a
 * sublink becomes a join only where a NULL answer and a false one are the same (top level of WHERE, or of an inner ON).
 */
import type { Expr, SubqueryExpr } from "./expr.js";
import type { BoundQuery, BoundSelect, FromNode, RangeEntry } from "./query.js";
import {
  boolType,
  conjuncts,
  containsDeep,
  isVolatile,
  mapFrom,
  mapRangeEntry,
  mapTargets,
  relationsOf,
  replaceDeep,
  visitQuery,
} from "./walk.js";

export type Tree =
  | { readonly kind: "rel"; readonly relation: number }
  | { readonly kind: "inner"; readonly items: readonly Tree[]; readonly quals: readonly Expr[] }
  | {
      readonly kind: "outer";
      readonly type: "left" | "full" | "semi" | "anti";
      readonly left: Tree;
      readonly right: Tree;
      readonly quals: readonly Expr[];
    };

/** FROM and WHERE with what else names their columns. */
export interface FromPart {
  readonly relations: readonly RangeEntry[];
  readonly from: readonly FromNode[];
  readonly where: Expr | undefined;
}

export function treeRelations(tree: Tree, into: Set<number> = new Set()): Set<number> {
  switch (tree.kind) {
    case "rel":
      into.add(tree.relation);
      break;
    case "inner":
      for (const item of tree.items) treeRelations(item, into);
      break;
    case "outer":
      treeRelations(tree.left, into);
      treeRelations(tree.right, into);
      break;
  }
  return into;
}

// ---------------------------------------------------------------------------------------------------------- pull-up

function isSimpleSelect(query: BoundQuery): query is BoundSelect {
  return (
    query.kind === "select" &&
    query.ctes.length === 0 &&
    !query.grouped &&
    !query.hasSetCalls &&
    query.distinct === "none" &&
    query.orderBy.length === 0 &&
    query.limit === undefined &&
    query.offset === undefined &&
    query.locks.length === 0 &&
    !query.targets.some((target) => containsDeep(target.expr, (expr) => expr.kind === "windowCall"))
  );
}

function nullableRelations(nodes: readonly FromNode[]): Set<number> {
  const out = new Set<number>();
  const walk = (node: FromNode, nullable: boolean): void => {
    if (node.kind === "relation") {
      if (nullable) out.add(node.relation);
      return;
    }
    walk(node.left, nullable || node.type === "right" || node.type === "full");
    walk(node.right, nullable || node.type === "left" || node.type === "full");
  };
  for (const node of nodes) walk(node, false);
  return out;
}

interface PulledUp {
  readonly relations: RangeEntry[];
  /** Trees of pulled-up subqueries by their relation. */
  readonly pulled: Map<number, FromPart>;
  readonly substitution: Map<number, readonly Expr[]>;
}

/**
 * Pulls simple subqueries of FROM up into the query around them. Answers the query with every reference to them replaced,
 * and for each the part that stands in its place.
 */
export function pullUp(query: BoundSelect): { query: BoundSelect; pulled: ReadonlyMap<number, FromPart> } {
  const state: PulledUp = { relations: [], pulled: new Map(), substitution: new Map() };
  collectPullUps(query, state, nullableRelations(query.from), false);
  if (state.pulled.size === 0) return { query, pulled: state.pulled };
  const map = substituter(state.substitution);
  for (const [relation, part] of state.pulled) {
    state.pulled.set(relation, {
      relations: part.relations,
      from: part.from.map((node) => mapFrom(node, map)),
      where: part.where === undefined ? undefined : map(part.where),
    });
  }
  return {
    query: {
      ...query,
      relations: state.relations.map((entry) => mapRangeEntry(entry, map)),
      from: query.from.map((node) => mapFrom(node, map)),
      where: query.where === undefined ? undefined : map(query.where),
      targets: mapTargets(query.targets, map),
      groupBy: query.groupBy.map(map),
      having: query.having === undefined ? undefined : map(query.having),
    },
    pulled: state.pulled,
  };
}

/** Replaces columns of pulled-up relations by what they stand for, however deep the chain of them. */
function substituter(substitution: ReadonlyMap<number, readonly Expr[]>): (expr: Expr) => Expr {
  const map = (expr: Expr): Expr =>
    replaceDeep(expr, (inner) => {
      if (inner.kind !== "column") return undefined;
      const targets = substitution.get(inner.relation);
      return targets === undefined ? undefined : map(targets[inner.column]!);
    });
  return map;
}

function collectPullUps(
  query: { readonly relations: readonly RangeEntry[] },
  state: PulledUp,
  nullable: ReadonlySet<number>,
  allNullable: boolean,
): void {
  for (const entry of query.relations) {
    if (entry.kind !== "subquery" || entry.barrier === true || !isSimpleSelect(entry.query)) {
      state.relations.push(entry);
      continue;
    }
    const inner = entry.query;
    const isNullable = allNullable || nullable.has(entry.id);
    const visible = inner.targets.filter((target) => !target.junk).map((target) => target.expr);
    const own = new Set(inner.relations.map((item) => item.id));
    const plain = visible.every((expr) => expr.kind === "column" && own.has(expr.relation));
    if (
      (isNullable && (!plain || inner.from.length === 0)) ||
      visible.some((expr) => isVolatile(expr)) ||
      (inner.where !== undefined && isVolatile(inner.where)) ||
      visible.some(
        (expr) => !plain && containsDeep(expr, (part) => part.kind === "subquery") && own.size === 0,
      )
    ) {
      state.relations.push(entry);
      continue;
    }
    state.substitution.set(entry.id, visible);
    state.pulled.set(entry.id, { relations: inner.relations, from: inner.from, where: inner.where });
    collectPullUps(inner, state, nullableRelations(inner.from), isNullable);
  }
}

// ------------------------------------------------------------------------------------------------------ join trees

export interface TreeBuilder {
  readonly pulled: ReadonlyMap<number, FromPart>;
  /** Simplifies a condition (constant folding, normal forms). */
  readonly simplify: (expr: Expr) => Expr;
  /** Adds a relation made for a sublink. */
  readonly addRelation: (entry: RangeEntry) => void;
  readonly newRelation: () => number;
}

export function buildTree(from: readonly FromNode[], where: Expr | undefined, builder: TreeBuilder): Tree {
  const items = from.map((node) => nodeTree(node, builder));
  const quals = conjuncts(where === undefined ? undefined : builder.simplify(where));
  return withQuals(items, quals, builder);
}

/** An inner join of items under conditions, with sublinks among these turned into joins. */
function withQuals(items: readonly Tree[], quals: readonly Expr[], builder: TreeBuilder): Tree {
  let tree: Tree = { kind: "inner", items, quals: [] };
  const kept: Expr[] = [];
  const visible = treeRelations(tree);
  for (const qual of quals) {
    const joined = sublinkJoin(qual, tree, visible, builder);
    if (joined === undefined) kept.push(qual);
    else tree = joined;
  }
  if (tree.kind === "inner") return { ...tree, quals: kept };
  return kept.length === 0 ? tree : { kind: "inner", items: [tree], quals: kept };
}

function nodeTree(node: FromNode, builder: TreeBuilder): Tree {
  if (node.kind === "relation") {
    const part = builder.pulled.get(node.relation);
    if (part === undefined) return { kind: "rel", relation: node.relation };
    return buildTree(part.from, part.where, builder);
  }
  const left = nodeTree(node.left, builder);
  const right = nodeTree(node.right, builder);
  const quals = conjuncts(node.on === undefined ? undefined : builder.simplify(node.on)).filter(
    (qual) => !(qual.kind === "const" && qual.value === true),
  );
  switch (node.type) {
    case "inner":
    case "cross":
      return withQuals([left, right], quals, builder);
    case "left":
      return leftJoin(left, right, quals);
    case "right":
      return leftJoin(right, left, quals);
    case "full":
      return { kind: "outer", type: "full", left, right, quals };
  }
}

/** Conditions of a pulled-up LATERAL subquery that name the preserved side belong to the join. */
function leftJoin(left: Tree, right: Tree, quals: readonly Expr[]): Tree {
  if (right.kind !== "inner") return { kind: "outer", type: "left", left, right, quals };
  const outside = treeRelations(left);
  const own: Expr[] = [];
  const inside: Expr[] = [];
  for (const qual of right.quals) {
    ([...relationsOf(qual)].some((relation) => outside.has(relation)) ? own : inside).push(qual);
  }
  if (own.length === 0) return { kind: "outer", type: "left", left, right, quals };
  return { kind: "outer", type: "left", left, right: { ...right, quals: inside }, quals: [...quals, ...own] };
}

// --------------------------------------------------------------------------------------------------------- sublinks

/** A condition that is a sublink, as a semi or anti join of `tree`; undefined when it cannot be one. */
function sublinkJoin(
  qual: Expr,
  tree: Tree,
  visible: ReadonlySet<number>,
  builder: TreeBuilder,
): Tree | undefined {
  if (visible.size === 0) return undefined;
  let negated = false;
  let expr = qual;
  if (expr.kind === "not") {
    negated = true;
    expr = expr.arg;
  }
  if (expr.kind !== "subquery") return undefined;
  if (expr.form === "exists") return existsJoin(expr, negated, tree, visible, builder);
  if (expr.form === "any" && !negated) return anyJoin(expr, tree, visible, builder);
  return undefined;
}

/** EXISTS (SELECT .. FROM .. WHERE ..): its conditions that name outer columns become the join's. */
function existsJoin(
  expr: SubqueryExpr,
  negated: boolean,
  tree: Tree,
  visible: ReadonlySet<number>,
  builder: TreeBuilder,
): Tree | undefined {
  const query = expr.query as BoundQuery;
  if (query.kind !== "select" || query.ctes.length > 0 || query.grouped || query.hasSetCalls)
    return undefined;
  if (query.offset !== undefined || query.from.length === 0) return undefined;
  if (query.limit !== undefined) {
    const { limit } = query;
    if (limit.kind !== "const" || typeof limit.value !== "number" || limit.value < 1) return undefined;
  }
  if (query.distinct !== "none" && query.distinct !== "all") return undefined;
  if (query.targets.some((target) => isVolatile(target.expr))) return undefined;
  const correlated =
    query.where !== undefined && [...relationsOf(query.where)].some((relation) => visible.has(relation));
  if (!correlated) return undefined; // an init plan asks once
  return joinSimple(query, [], negated ? "anti" : "semi", tree, visible, builder);
}

function anyJoin(
  expr: SubqueryExpr,
  tree: Tree,
  visible: ReadonlySet<number>,
  builder: TreeBuilder,
): Tree | undefined {
  const query = expr.query as BoundQuery;
  const left = expr.left!;
  if (left.some((item) => isVolatile(item) || containsDeep(item, (part) => part.kind === "subquery")))
    return undefined;
  if (!left.some((item) => [...relationsOf(item)].some((relation) => visible.has(relation))))
    return undefined;
  const compare = (rights: readonly Expr[]): Expr[] =>
    left.map((item, index) => ({
      kind: "call",
      type: boolType,
      fn: expr.compare![index]!,
      args: [item, rights[index]!],
      operator: expr.operator,
    }));
  if (left.length > 1 && expr.operator !== "=") return undefined;
  if (isSimpleSelect(query) && query.from.length > 0) {
    const targets = query.targets.map((target) => target.expr);
    if (!targets.some((target) => isVolatile(target))) {
      const joined = joinSimple(query, compare(targets), "semi", tree, visible, builder);
      if (joined !== undefined) return joined;
    }
  }
  // Any other uncorrelated query is joined as it is.
  const outside = outerReferences(query);
  if ([...outside].some((relation) => visible.has(relation))) return undefined;
  const relation = builder.newRelation();
  const columns = query.columns.map((column) => ({ name: column.name, type: column.type }));
  builder.addRelation({
    kind: "subquery",
    id: relation,
    alias: "ANY_subquery",
    explicitAlias: true,
    columns,
    query,
    lateral: false,
  });
  return {
    kind: "outer",
    type: "semi",
    left: tree,
    right: { kind: "rel", relation },
    quals: compare(
      columns.map((column, index) => ({
        kind: "column",
        type: column.type,
        level: 0,
        relation,
        column: index,
      })),
    ),
  };
}

function joinSimple(
  query: BoundSelect,
  quals: readonly Expr[],
  type: "semi" | "anti",
  tree: Tree,
  visible: ReadonlySet<number>,
  builder: TreeBuilder,
): Tree | undefined {
  const plain: BoundSelect = { ...query, targets: [], orderBy: [], distinct: "none", limit: undefined };
  const { query: flat, pulled } = pullUp(plain);
  const map = substituterOf(query, pulled);
  const own = new Set<number>();
  for (const entry of flat.relations) own.add(entry.id);
  // Nothing inside FROM may depend on the outer rows: only WHERE may.
  const outside = (expr: Expr): boolean => [...relationsOf(expr)].some((relation) => visible.has(relation));
  for (const entry of flat.relations) {
    if (
      entry.kind === "subquery" &&
      [...outerReferences(entry.query)].some((relation) => visible.has(relation))
    ) {
      return undefined;
    }
    if (entry.kind === "function" && entry.args.some(outside)) return undefined;
  }
  let onOutside = false;
  const checkFrom = (node: FromNode): void => {
    if (node.kind === "relation") return;
    if (node.on !== undefined && outside(node.on)) onOutside = true;
    checkFrom(node.left);
    checkFrom(node.right);
  };
  flat.from.forEach(checkFrom);
  for (const part of pulled.values()) {
    part.from.forEach(checkFrom);
    if (part.where !== undefined && outside(part.where)) onOutside = true;
  }
  if (onOutside) return undefined;
  const all = [
    ...quals.map(map),
    ...conjuncts(flat.where === undefined ? undefined : builder.simplify(flat.where)),
  ];
  const inside: Expr[] = [];
  const joining: Expr[] = [];
  for (const qual of all) {
    if (!outside(qual)) inside.push(qual);
    else if (isVolatile(qual)) return undefined;
    else joining.push(qual);
  }
  if (joining.length === 0) return undefined;
  for (const entry of flat.relations) builder.addRelation(entry);
  const inner: TreeBuilder = { ...builder, pulled };
  const items = flat.from.map((node) => nodeTree(node, inner));
  const right = withQuals(items, inside, inner);
  return { kind: "outer", type, left: tree, right, quals: joining };
}

function substituterOf(query: BoundSelect, pulled: ReadonlyMap<number, FromPart>): (expr: Expr) => Expr {
  if (pulled.size === 0) return (expr) => expr;
  const substitution = new Map<number, readonly Expr[]>();
  const collect = (entries: readonly RangeEntry[]): void => {
    for (const entry of entries) {
      if (!pulled.has(entry.id) || entry.kind !== "subquery" || entry.query.kind !== "select") continue;
      substitution.set(
        entry.id,
        entry.query.targets.filter((target) => !target.junk).map((target) => target.expr),
      );
      collect(entry.query.relations);
    }
  };
  collect(query.relations);
  return substituter(substitution);
}

/** Relations a query names but does not have. */
export function outerReferences(query: BoundQuery): Set<number> {
  const used = relationsOf({ kind: "subquery", type: boolType, form: "exists", query });
  for (const relation of ownRelations(query)) used.delete(relation);
  return used;
}

function ownRelations(query: BoundQuery, into: Set<number> = new Set()): Set<number> {
  const visit = (inner: BoundQuery): void => {
    for (const cte of inner.ctes) {
      if (cte.query.kind === "select" || cte.query.kind === "values" || cte.query.kind === "setOperation")
        visit(cte.query);
      if (cte.recursive !== undefined) visit(cte.recursive.step);
    }
    if (inner.kind === "select") {
      for (const entry of inner.relations) {
        into.add(entry.id);
        if (entry.kind === "subquery") visit(entry.query);
      }
    } else if (inner.kind === "setOperation") {
      into.add(inner.leftRelation);
      into.add(inner.rightRelation);
      visit(inner.left);
      visit(inner.right);
    }
  };
  visit(query);
  // Subqueries inside expressions have relations of their own, too.
  visitQuery(query, (expr) => {
    if (expr.kind === "subquery") visit(expr.query as BoundQuery);
  });
  return into;
}

// ----------------------------------------------------------------------------------------------- outer-join reduction

/** Relations all of whose columns being NULL makes the expression NULL. */
function strictRelations(expr: Expr): Set<number> {
  switch (expr.kind) {
    case "column":
      return new Set([expr.relation]);
    case "call": {
      const out = new Set<number>();
      if (expr.fn.strict) for (const arg of expr.args) for (const item of strictRelations(arg)) out.add(item);
      return out;
    }
    case "relabel":
    case "ioCast":
    case "arrayCast":
    case "not":
      return strictRelations(expr.arg);
    case "arrayCompare":
      return expr.fn.strict ? strictRelations(expr.left) : new Set();
    default:
      return new Set();
  }
}

/** Relations that must have a row (not be null-extended) for the condition to be true. */
export function nonNullRelations(expr: Expr): Set<number> {
  switch (expr.kind) {
    case "and": {
      const out = new Set<number>();
      for (const arg of expr.args) for (const item of nonNullRelations(arg)) out.add(item);
      return out;
    }
    case "or": {
      let out: Set<number> | undefined;
      for (const arg of expr.args) {
        const one = nonNullRelations(arg);
        out = out === undefined ? one : new Set([...out].filter((item) => one.has(item)));
      }
      return out ?? new Set();
    }
    case "isNull":
      return expr.negated ? strictRelations(expr.arg) : new Set();
    case "isTruth":
      if (expr.test !== "unknown" && !expr.negated) return strictRelations(expr.arg);
      return expr.test === "unknown" && expr.negated ? strictRelations(expr.arg) : new Set();
    case "rowCompare": {
      const out = new Set<number>();
      if (expr.operator !== "=") return out;
      for (const arg of [...expr.left, ...expr.right]) for (const item of strictRelations(arg)) out.add(item);
      return out;
    }
    default:
      return strictRelations(expr);
  }
}

/** Outer joins whose null-extended rows a condition above throws away become simpler ones. */
export function reduceOuterJoins(tree: Tree, nonNull: ReadonlySet<number>): Tree {
  switch (tree.kind) {
    case "rel":
      return tree;
    case "inner": {
      const inside = new Set(nonNull);
      for (const qual of tree.quals) for (const item of nonNullRelations(qual)) inside.add(item);
      return { ...tree, items: tree.items.map((item) => reduceOuterJoins(item, inside)) };
    }
    case "outer": {
      const own = new Set<number>();
      for (const qual of tree.quals) for (const item of nonNullRelations(qual)) own.add(item);
      const has = (side: Tree): boolean => [...treeRelations(side)].some((item) => nonNull.has(item));
      if (tree.type === "left") {
        if (has(tree.right)) {
          const inside = new Set([...nonNull, ...own]);
          return {
            kind: "inner",
            items: [reduceOuterJoins(tree.left, inside), reduceOuterJoins(tree.right, inside)],
            quals: tree.quals,
          };
        }
        return {
          ...tree,
          left: reduceOuterJoins(tree.left, nonNull),
          right: reduceOuterJoins(tree.right, own),
        };
      }
      if (tree.type === "full") {
        const left = has(tree.left);
        const right = has(tree.right);
        if (left && right) {
          return reduceOuterJoins(
            { kind: "inner", items: [tree.left, tree.right], quals: tree.quals },
            nonNull,
          );
        }
        if (left) return reduceOuterJoins({ ...tree, type: "left" }, nonNull);
        if (right) {
          return reduceOuterJoins({ ...tree, type: "left", left: tree.right, right: tree.left }, nonNull);
        }
        return {
          ...tree,
          left: reduceOuterJoins(tree.left, new Set()),
          right: reduceOuterJoins(tree.right, new Set()),
        };
      }
      const inside = tree.type === "semi" ? new Set([...nonNull, ...own]) : nonNull;
      return {
        ...tree,
        left: reduceOuterJoins(tree.left, inside),
        right: reduceOuterJoins(tree.right, own),
      };
    }
  }
}
