/**
 * Join planning: puts the relations of one inner-join cluster in order and picks a method for each join.
 *
 * A cluster is everything under a chain of inner joins, with the right sides of left, semi and anti joins hanging on it as
 * attached items: those join once the items their condition names are there. Up to `exhaustiveMax` items all orders are
 * tried (dynamic programming over connected sets); beyond that the pair with the smallest result is joined first.
 *
 * Invariants: a condition is applied at the first join where all it names is present, exactly once; equalities that hold
 * transitively (equivalence classes) are applied once per join; the search is deterministic: ties go to the earlier item.
 */
import { assert, DbError } from "../base/errors.js";
import {
  clampRows,
  cpuOperatorCost,
  cpuTupleCost,
  hashJoinCost,
  mergeJoinCost,
  nestedLoopCost,
  rematerializeCost,
} from "./cost.js";
import type { Expr, SortKey } from "./expr.js";
import type { JoinType, OutputColumn, PlanNode } from "./plan.js";
import {
  type Built,
  emptyLayout,
  Layout,
  type OrderKey,
  type Path,
  PlanScope,
  resolve,
  resolveSortKeys,
} from "./planner-context.js";
import {
  buildScan,
  columnFacts,
  filterCost,
  filtered,
  otherPath,
  parameterizedScan,
  type Rel,
  type ScanOptions,
  tablePaths,
  visitColumns,
} from "./planner-scan.js";
import { type Tree, treeRelations } from "./planner-tree.js";
import { distinctOf, type FactsOf, joinEquality, selectivity, underlying } from "./statistics.js";
import { boolType, containsHere, exprKey, isVolatile, relationsOf } from "./walk.js";

const exhaustiveMax = 9;

/** What the select planner lends to the join search. */
export interface JoinHost {
  readonly scope: PlanScope;
  rel(relation: number): Rel;
  /** undefined: a relation of another query. */
  find(relation: number): Rel | undefined;
  /** Called once the equivalence classes are known, before paths are made. */
  settleOrders(): void;
  planSubquery(rel: Rel): { built: PlanNode; rows: number; rest: readonly Expr[] };
  readonly equivalence: Equivalence;
  /** Canonical keys of orders that the query above can use. */
  readonly wantedOrder: readonly OrderKey[];
  readonly usefulFirst: Set<string>;
  /** How many rows the query above will read; undefined: all. */
  readonly rowsWanted: number | undefined;
}

// ------------------------------------------------------------------------------------------------ equivalence classes

interface EquivalenceClass {
  readonly members: Map<string, Expr>;
  readonly constants: Expr[];
  readonly clauses: (Expr & { kind: "call" })[];
  readonly fn: (Expr & { kind: "call" })["fn"];
  readonly id: string;
}

/** Expressions known to be equal by the conditions of one query. */
export class Equivalence {
  readonly #byKey = new Map<string, EquivalenceClass>();

  /** Takes an equality between values of one type; false when it is not one that can be passed on. */
  add(clause: Expr & { kind: "call" }): boolean {
    const [left, right] = clause.args as [Expr, Expr];
    if (left.type.oid !== right.type.oid) return false;
    const leftConstant = relationsOf(left).size === 0;
    const rightConstant = relationsOf(right).size === 0;
    if (leftConstant && rightConstant) return false;
    const leftKey = exprKey(left);
    const rightKey = exprKey(right);
    if (leftKey === rightKey) return false;
    const a = leftConstant ? undefined : this.#byKey.get(leftKey);
    const b = rightConstant ? undefined : this.#byKey.get(rightKey);
    let target = a ?? b;
    if (target === undefined) {
      target = {
        members: new Map(),
        constants: [],
        clauses: [],
        fn: clause.fn,
        id: leftConstant ? rightKey : leftKey,
      };
    } else if (a !== undefined && b !== undefined && a !== b) {
      for (const [key, member] of b.members) {
        a.members.set(key, member);
        this.#byKey.set(key, a);
      }
      a.constants.push(...b.constants);
      a.clauses.push(...b.clauses);
      target = a;
    }
    target.clauses.push(clause);
    if (leftConstant) target.constants.push(left);
    else {
      target.members.set(leftKey, left);
      this.#byKey.set(leftKey, target);
    }
    if (rightConstant) target.constants.push(right);
    else {
      target.members.set(rightKey, right);
      this.#byKey.set(rightKey, target);
    }
    return true;
  }

  get classes(): EquivalenceClass[] {
    return [...new Set(this.#byKey.values())];
  }
  find(expr: Expr): EquivalenceClass | undefined {
    return this.#byKey.size === 0 ? undefined : this.#byKey.get(exprKey(expr));
  }
  /** One name for all equal expressions; "" when the value is the same in every row. */
  canonical(expr: Expr): string {
    if (expr.kind === "const" || expr.kind === "param") return "";
    const known = this.find(expr);
    if (known === undefined) return exprKey(expr);
    return known.constants.length > 0 ? "" : known.id;
  }
}

// ------------------------------------------------------------------------------------------------------------- items

interface Item {
  readonly index: number;
  readonly rels: ReadonlySet<number>;
  readonly type: "inner" | "left" | "semi" | "anti";
  /** Items that must be joined before an attached or lateral one. */
  readonly required: Set<number>;
  /** Its own ON conditions, when attached. */
  readonly quals: Expr[];
  readonly rel: Rel | undefined;
  readonly tree: Tree;
  /** Conditions from above on this item alone, when it is a tree. */
  readonly pushed: Expr[];
  /** Runs anew per outer row. */
  lateral: boolean;
  scope: PlanScope;
}

interface Qual {
  readonly expr: Expr;
  readonly items: readonly number[];
}

interface JoinSet {
  readonly members: readonly boolean[];
  readonly count: number;
  readonly rows: number;
  readonly paths: Path[];
  /** The single item it is, if any. */
  readonly item: Item | undefined;
}

export interface PlannedTree {
  readonly rows: number;
  readonly paths: readonly Path[];
}

/** Plans a join tree: conditions are handed down, clusters ordered. */
export function planTree(host: JoinHost, tree: Tree, scope: PlanScope): PlannedTree {
  if (tree.kind === "outer" && tree.type === "full") return planFull(host, tree, scope);
  return new Cluster(host, tree, scope).plan();
}

function planFull(host: JoinHost, tree: Tree & { kind: "outer" }, scope: PlanScope): PlannedTree {
  const left = planTree(host, tree.left, scope);
  const right = planTree(host, tree.right, scope);
  for (const qual of tree.quals) needColumns(host, qual);
  const leftRels = treeRelations(tree.left);
  const { keys, rest } = splitKeys(tree.quals, leftRels, treeRelations(tree.right));
  const factsOf = factsFor(host);
  let fraction = 1;
  for (const qual of tree.quals) fraction *= selectivity(qual, factsOf);
  const rows = clampRows(Math.max(left.rows, right.rows, left.rows * right.rows * fraction));
  const l = cheapest(left.paths);
  const r = cheapest(right.paths);
  if (keys.length === 0) {
    if (tree.quals.length > 0) {
      throw new DbError(
        "featureNotSupported",
        "FULL JOIN is only supported with merge-joinable or hash-joinable join conditions",
      );
    }
    const cost = nestedLoopCost(l, l.rows, r, rematerializeCost(r.rows, r.width), l.rows * r.rows, rows, 0);
    return {
      rows,
      paths: [
        pathOf(cost, rows, l, r, [], () =>
          buildNestedLoop("full", l.build(), materialized(r.build()), [], [], scope, cost, rows),
        ),
      ],
    };
  }
  const cost = hashJoinCost(l, l.rows, r, r.rows, r.width, keys.length, rows, filterCost(rest));
  return {
    rows,
    paths: [
      pathOf(cost, rows, l, r, [], () =>
        buildHashJoin("full", l.build(), r.build(), keys, rest, scope, cost, rows),
      ),
    ],
  };
}

function pathOf(
  cost: { startup: number; total: number },
  rows: number,
  left: Path,
  right: Path,
  order: readonly OrderKey[],
  build: () => Built,
): Path {
  return { ...cost, rows, width: left.width + right.width, order, build };
}

export function factsFor(host: JoinHost): FactsOf {
  return (expr) => {
    if (expr.kind !== "column" || expr.column < 0) return undefined;
    const rel = host.find(expr.relation);
    return rel === undefined ? undefined : columnFacts(rel, expr.column);
  };
}

function needColumns(host: JoinHost, expr: Expr): void {
  visitColumns(expr, (column) => {
    host.find(column.relation)?.needed.add(column.column);
  });
}

interface KeyPair {
  readonly left: Expr;
  readonly right: Expr;
  /** The condition it was. */
  readonly source: Expr;
}

/** Equalities between the two sides, and the other conditions. */
function splitKeys(
  quals: readonly Expr[],
  left: ReadonlySet<number>,
  right: ReadonlySet<number>,
): { keys: KeyPair[]; rest: Expr[] } {
  const keys: KeyPair[] = [];
  const rest: Expr[] = [];
  for (const qual of quals) {
    const pair = hashable(qual, left, right);
    if (pair === undefined) rest.push(qual);
    else keys.push(pair);
  }
  return { keys, rest };
}

const integers = new Set([20, 21, 23]);

function hashable(qual: Expr, left: ReadonlySet<number>, right: ReadonlySet<number>): KeyPair | undefined {
  if (qual.kind !== "call" || qual.operator !== "=" || qual.args.length !== 2) return undefined;
  const [a, b] = qual.args as [Expr, Expr];
  // Keys meet by value: both sides must have the same form of it.
  if (a.type.oid !== b.type.oid && !(integers.has(a.type.oid) && integers.has(b.type.oid))) return undefined;
  const aRels = relationsOf(a);
  const bRels = relationsOf(b);
  const within = (
    rels: ReadonlySet<number>,
    side: ReadonlySet<number>,
    other: ReadonlySet<number>,
  ): boolean => {
    let any = false;
    for (const relation of rels) {
      if (other.has(relation)) return false;
      if (side.has(relation)) any = true;
    }
    return any;
  };
  if (within(aRels, left, right) && within(bRels, right, left)) return { left: a, right: b, source: qual };
  if (within(aRels, right, left) && within(bRels, left, right)) return { left: b, right: a, source: qual };
  return undefined;
}

export function cheapest(paths: readonly Path[]): Path {
  let best = paths[0]!;
  for (const path of paths) if (path.total < best.total) best = path;
  return best;
}

function orderCovers(order: readonly OrderKey[], wanted: readonly OrderKey[]): boolean {
  if (order.length < wanted.length) return false;
  return wanted.every((key, index) => {
    const have = order[index]!;
    return have.key === key.key && have.descending === key.descending && have.nullsFirst === key.nullsFirst;
  });
}

// ----------------------------------------------------------------------------------------------------------- cluster

class Cluster {
  readonly #items: Item[] = [];
  readonly #itemOf = new Map<number, number>();
  readonly #quals: Qual[] = [];
  readonly #classes: {
    readonly fn: Expr & { kind: "call" };
    readonly members: { item: number; expr: Expr }[];
  }[] = [];
  /** Conditions on no relation of the cluster. */
  readonly #gates: Expr[] = [];
  readonly #factsOf: FactsOf;

  constructor(
    readonly host: JoinHost,
    tree: Tree,
    readonly scope: PlanScope,
  ) {
    this.#factsOf = factsFor(host);
    const quals: Expr[] = [];
    this.#flatten(tree, quals);
    for (const item of this.#items) for (const relation of item.rels) this.#itemOf.set(relation, item.index);
    for (const item of this.#items) this.#settleItem(item, quals);
    this.#distribute(quals);
  }

  #flatten(tree: Tree, quals: Expr[]): void {
    switch (tree.kind) {
      case "rel":
        this.#addItem("inner", tree, []);
        return;
      case "inner":
        for (const item of tree.items) this.#flatten(item, quals);
        quals.push(...tree.quals);
        return;
      case "outer":
        if (tree.type === "full") {
          this.#addItem("inner", tree, []);
          return;
        }
        this.#flatten(tree.left, quals);
        this.#addAttached(tree);
        return;
    }
  }

  #addItem(type: Item["type"], tree: Tree, quals: readonly Expr[]): Item {
    const bare = unwrap(tree);
    const rels = treeRelations(tree);
    const item: Item = {
      index: this.#items.length,
      rels,
      type,
      required: new Set(),
      quals: [...quals],
      rel: bare === undefined ? undefined : this.host.rel(bare.relation),
      tree,
      pushed: bare === undefined ? [] : [...bare.quals],
      lateral: false,
      scope: this.scope,
    };
    this.#items.push(item);
    return item;
  }

  #addAttached(tree: Tree & { kind: "outer" }): void {
    const rightRels = treeRelations(tree.right);
    const leftRels = treeRelations(tree.left);
    const own: Expr[] = [];
    const inside: Expr[] = [];
    for (const qual of tree.quals) {
      const rels = relationsOf(qual);
      const onlyRight =
        [...rels].some((relation) => rightRels.has(relation)) &&
        ![...rels].some((relation) => leftRels.has(relation));
      // Conditions on the right side alone are its filters.
      if (onlyRight && !isVolatile(qual)) inside.push(qual);
      else own.push(qual);
    }
    const item = this.#addItem(
      tree.type as "left" | "semi" | "anti",
      inside.length === 0 ? tree.right : { kind: "inner", items: [tree.right], quals: inside },
      own,
    );
    for (const qual of own) {
      for (const relation of relationsOf(qual)) {
        const at = this.#items.findIndex((other) => other !== item && other.rels.has(relation));
        if (at >= 0) item.required.add(at);
      }
    }
    if (item.required.size === 0) {
      // Nothing ties it to a part of the left side: it waits for all of it.
      for (const other of this.#items) {
        if (other !== item && [...other.rels].some((relation) => leftRels.has(relation)))
          item.required.add(other.index);
      }
    }
  }

  /** Lateral references, and equalities with constants carried over a left join. */
  #settleItem(item: Item, _quals: readonly Expr[]): void {
    const references = lateralReferences(this.host, item.tree, item.rels);
    for (const relation of references) {
      const at = this.#itemOf.get(relation);
      if (at === undefined || at === item.index) continue;
      item.required.add(at);
      item.lateral = true;
    }
    if (item.lateral) {
      item.scope = new PlanScope(this.scope.statement, this.scope, true);
      for (const relation of item.rels) item.scope.own.add(relation);
      // What its conditions read of the outer row must be in that row.
      const note = (part: Tree): void => {
        if (part.kind === "rel") return;
        for (const qual of part.quals) needColumns(this.host, qual);
        if (part.kind === "inner") part.items.forEach(note);
        else {
          note(part.left);
          note(part.right);
        }
      };
      note(item.tree);
    }
  }

  #itemsOf(expr: Expr): number[] {
    const out = new Set<number>();
    for (const relation of relationsOf(expr)) {
      const at = this.#itemOf.get(relation);
      if (at !== undefined) out.add(at);
    }
    return [...out].sort((a, b) => a - b);
  }

  #push(item: Item, qual: Expr): void {
    if (item.rel !== undefined) item.rel.filters.push(qual);
    else item.pushed.push(qual);
  }

  #distribute(quals: readonly Expr[]): void {
    const { equivalence } = this.host;
    const others: { expr: Expr; items: number[] }[] = [];
    for (const item of this.#items)
      if (item.rel !== undefined) item.rel.filters.push(...item.pushed.splice(0));
    const own = new Set<Expr>();
    for (const qual of quals) {
      const items = this.#itemsOf(qual);
      if (
        qual.kind === "call" &&
        qual.operator === "=" &&
        qual.args.length === 2 &&
        items.length > 0 &&
        items.every((at) => this.#items[at]!.type === "inner") &&
        !isVolatile(qual) &&
        !hasSubquery(qual) &&
        equivalence.add(qual)
      ) {
        own.add(qual);
      } else others.push({ expr: qual, items });
    }
    for (const known of equivalence.classes) {
      if (!known.clauses.some((clause) => own.has(clause))) continue;
      this.#distributeClass(known, own);
    }
    for (const { expr, items } of others) this.#distributeQual(expr, items);
    // A left join's own equality passes a constant on to the nullable side.
    for (const item of this.#items) {
      if (item.type === "inner") continue;
      for (const qual of item.quals) {
        if (qual.kind !== "call" || qual.operator !== "=" || qual.args.length !== 2) continue;
        const [a, b] = qual.args as [Expr, Expr];
        if (a.type.oid !== b.type.oid) continue;
        for (const [outer, inner] of [
          [a, b],
          [b, a],
        ] as const) {
          const value = equivalence.find(outer)?.constants[0];
          const rels = relationsOf(inner);
          if (
            value === undefined ||
            rels.size === 0 ||
            ![...rels].every((relation) => item.rels.has(relation))
          )
            continue;
          this.#push(item, {
            kind: "call",
            type: boolType,
            fn: qual.fn,
            args: [inner, value],
            operator: "=",
          });
        }
      }
    }
    for (const item of this.#items) for (const qual of item.quals) needColumns(this.host, qual);
    for (const qual of this.#quals) needColumns(this.host, qual.expr);
    for (const known of this.#classes)
      for (const member of known.members) needColumns(this.host, member.expr);
  }

  #distributeQual(expr: Expr, items: readonly number[]): void {
    if (items.length === 0) {
      this.#gates.push(expr);
      return;
    }
    const only = items.length === 1 ? this.#items[items[0]!]! : undefined;
    if (only !== undefined && only.type === "inner" && !isVolatile(expr)) this.#push(only, expr);
    else if (only !== undefined && this.#items.length === 1) this.#push(only, expr);
    else this.#quals.push({ expr, items });
  }

  #distributeClass(known: EquivalenceClass, own: ReadonlySet<Expr>): void {
    const equal = (left: Expr, right: Expr): Expr & { kind: "call" } => ({
      kind: "call",
      type: boolType,
      fn: known.fn,
      args: [left, right],
      operator: "=",
    });
    const { clauses } = known;
    const members = [...known.members.values()].map((expr) => ({ expr, items: this.#itemsOf(expr) }));
    const simple = members.every((member) => member.items.length === 1);
    if (!simple) {
      for (const clause of clauses) if (own.has(clause)) this.#distributeQual(clause, this.#itemsOf(clause));
      return;
    }
    if (known.constants.length > 0) {
      const first = known.constants[0]!;
      for (const member of members) {
        const written = clauses.find(
          (clause) => clause.args.includes(member.expr) && clause.args.includes(first),
        );
        this.#push(this.#items[member.items[0]!]!, written ?? equal(member.expr, first));
      }
      for (const other of known.constants.slice(1)) {
        if (exprKey(other) !== exprKey(first)) this.#gates.push(equal(first, other));
      }
      return;
    }
    // Members of one item must be equal there; between items the class makes one condition per join.
    const byItem = new Map<number, Expr>();
    for (const { expr, items } of members) {
      const at = items[0]!;
      const earlier = byItem.get(at);
      if (earlier === undefined) byItem.set(at, expr);
      else this.#push(this.#items[at]!, equal(earlier, expr));
    }
    if (byItem.size < 2) return;
    this.#classes.push({
      fn: clauses[0]!,
      members: [...byItem].map(([item, expr]) => ({ item, expr })),
    });
    for (const expr of byItem.values()) this.host.usefulFirst.add(this.host.equivalence.canonical(expr));
  }

  // ---------------------------------------------------------------------------------------------------- the search

  plan(): PlannedTree {
    this.host.settleOrders();
    const built = this.#search();
    if (this.#gates.length === 0) return built;
    // Conditions on no row at all: evaluated over whatever comes out.
    const cost = filterCost(this.#gates);
    const { scope } = this;
    const gates = this.#gates;
    if (gates.some((gate) => gate.kind === "const" && gate.value !== true)) {
      return { rows: 1, paths: [this.#empty(cheapest(built.paths))] };
    }
    return {
      rows: built.rows,
      paths: built.paths.map((path) => ({
        ...path,
        total: path.total + path.rows * cost,
        build: () => {
          const inner = path.build();
          return filtered(inner.node, inner.layout, gates, scope, path.rows);
        },
      })),
    };
  }

  /** Nothing comes out, whatever the relations hold. */
  #empty(path: Path): Path {
    return {
      startup: 0,
      total: 0,
      rows: 0,
      width: path.width,
      order: path.order,
      build: () => {
        const { node, layout } = path.build();
        return {
          layout,
          node: {
            kind: "values",
            rows: [],
            columns: node.columns,
            estimate: { startupCost: 0, totalCost: 0, rows: 0, width: node.estimate.width },
          },
        };
      },
    };
  }

  #search(): PlannedTree {
    const items = this.#items;
    if (items.length === 0) {
      const node: PlanNode = {
        kind: "values",
        rows: [[]],
        columns: [],
        estimate: { startupCost: 0, totalCost: cpuTupleCost, rows: 1, width: 0 },
      };
      return {
        rows: 1,
        paths: [
          {
            startup: 0,
            total: cpuTupleCost,
            rows: 1,
            width: 0,
            order: [],
            build: () => ({ node, layout: emptyLayout }),
          },
        ],
      };
    }
    const singles = items.map((item) => this.#single(item));
    if (singles.length === 1) return { rows: singles[0]!.rows, paths: singles[0]!.paths };
    const whole = items.length <= exhaustiveMax ? this.#exhaustive(singles) : this.#greedy(singles);
    return { rows: whole.rows, paths: whole.paths };
  }

  #single(item: Item): JoinSet {
    const members = new Array<boolean>(this.#items.length).fill(false);
    members[item.index] = true;
    const planned = this.#itemPaths(item);
    return { members, count: 1, rows: planned.rows, paths: [...planned.paths], item };
  }

  #itemPaths(item: Item): PlannedTree {
    const { rel, scope } = item;
    if (rel !== undefined) {
      const useful = this.host.usefulFirst;
      const options: ScanOptions = {
        canonical: (expr) => this.host.equivalence.canonical(expr),
        factsOf: this.#factsOf,
        usefulFirst: useful,
      };
      const relation = scope === rel.scope ? rel : { ...rel, scope };
      if (rel.entry.kind === "table") {
        let fraction = 1;
        if (rel.filters.length > 0) {
          fraction = selectivity(
            rel.filters.length === 1 ? rel.filters[0]! : { kind: "and", type: boolType, args: rel.filters },
            this.#factsOf,
          );
        }
        rel.rows = clampRows(rel.tableRows * fraction);
        relation.rows = rel.rows;
        const paths = prune(tablePaths(relation, options), this.host.wantedOrder);
        return { rows: rel.rows, paths };
      }
      const path = otherPath(relation, this.#factsOf, (inner) => this.host.planSubquery(inner));
      rel.rows = relation.rows;
      rel.tableRows = relation.tableRows;
      return { rows: path.rows, paths: [path] };
    }
    const tree: Tree =
      item.pushed.length === 0 ? item.tree : { kind: "inner", items: [item.tree], quals: item.pushed };
    // An item is a full join or a tree of its own: conditions from above go over a full join, into anything else.
    if (item.tree.kind === "outer" && item.tree.type === "full") {
      const planned = planFull(this.host, item.tree, scope);
      if (item.pushed.length === 0) return planned;
      for (const qual of item.pushed) needColumns(this.host, qual);
      let fraction = 1;
      for (const qual of item.pushed) fraction *= selectivity(qual, this.#factsOf);
      const rows = clampRows(planned.rows * fraction);
      const cost = filterCost(item.pushed);
      return {
        rows,
        paths: planned.paths.map((path) => ({
          ...path,
          rows,
          total: path.total + path.rows * cost,
          build: () => {
            const inner = path.build();
            return filtered(inner.node, inner.layout, item.pushed, scope, rows);
          },
        })),
      };
    }
    return planTree(this.host, tree, scope);
  }

  #exhaustive(singles: readonly JoinSet[]): JoinSet {
    const n = singles.length;
    const full = (1 << n) - 1;
    const sets: (JoinSet | undefined)[] = new Array(full + 1);
    const adjacent = new Array<number>(n).fill(0);
    const link = (items: readonly number[]): void => {
      for (const a of items) for (const b of items) if (a !== b) adjacent[a]! |= 1 << b;
    };
    for (const qual of this.#quals) link(qual.items);
    for (const known of this.#classes) link(known.members.map((member) => member.item));
    for (const item of this.#items) for (const at of item.required) link([item.index, at]);
    for (let i = 0; i < n; i++) sets[1 << i] = singles[i]!;
    const bySize: number[][] = [];
    for (let mask = 1; mask <= full; mask++) {
      let size = 0;
      for (let rest = mask; rest !== 0; rest &= rest - 1) size++;
      (bySize[size] ??= []).push(mask);
    }
    // Sets that no condition connects are joined only where there is no other way: first as few as possible, and where
    // that leads nowhere (an attached item that waits for two unconnected ones) wherever one is missing.
    for (const everywhere of [false, true]) {
      for (let size = 2; size <= n; size++) {
        for (const mask of bySize[size]!) {
          if (sets[mask] !== undefined) continue;
          let found = this.#joinSplits(mask, sets, adjacent, false);
          if (found === undefined && (everywhere || size === n || !this.#connectable(mask, adjacent, full))) {
            found = this.#joinSplits(mask, sets, adjacent, true);
          }
          sets[mask] = found;
        }
      }
      if (sets[full] !== undefined) break;
    }
    const whole = sets[full];
    assert(whole !== undefined, "the join search found no order");
    return whole;
  }

  /** Whether a condition leads from the set to items outside of it. */
  #connectable(mask: number, adjacent: readonly number[], full: number): boolean {
    let around = 0;
    for (let i = 0; i < adjacent.length; i++) if ((mask >> i) & 1) around |= adjacent[i]!;
    return (around & ~mask & full) !== 0;
  }

  #joinSplits(
    mask: number,
    sets: readonly (JoinSet | undefined)[],
    adjacent: readonly number[],
    crossing: boolean,
  ): JoinSet | undefined {
    let result: JoinSet | undefined;
    const low = mask & -mask;
    for (let left = (mask - 1) & mask; left !== 0; left = (left - 1) & mask) {
      if ((left & low) === 0) continue; // each split once
      const right = mask & ~left;
      const a = sets[left];
      const b = sets[right];
      if (a === undefined || b === undefined) continue;
      if (!crossing) {
        let around = 0;
        for (let i = 0; i < adjacent.length; i++) if ((left >> i) & 1) around |= adjacent[i]!;
        if ((around & right) === 0) continue;
      }
      const joined = this.#join(a, b, result);
      if (joined !== undefined) result = joined;
    }
    return result;
  }

  /** Joins the pair with the smallest result first, again and again. */
  #greedy(singles: readonly JoinSet[]): JoinSet {
    const components: JoinSet[] = [...singles];
    const linked = (a: JoinSet, b: JoinSet): boolean => {
      const across = (items: readonly number[]): boolean => {
        let left = false;
        let right = false;
        for (const item of items) {
          if (a.members[item]) left = true;
          else if (b.members[item]) right = true;
        }
        return left && right;
      };
      if (this.#quals.some((qual) => across(qual.items))) return true;
      if (this.#classes.some((known) => across(known.members.map((member) => member.item)))) return true;
      for (const single of [a, b]) {
        if (single.item !== undefined && single.item.required.size > 0) {
          if (across([single.item.index, ...single.item.required])) return true;
        }
      }
      return false;
    };
    const known = new Map<JoinSet, Map<JoinSet, number | undefined>>();
    const rowsOf = (a: JoinSet, b: JoinSet): number | undefined => {
      let mine = known.get(a);
      if (mine === undefined) {
        mine = new Map();
        known.set(a, mine);
      }
      if (!mine.has(b)) mine.set(b, linked(a, b) ? this.#pairRows(a, b) : undefined);
      return mine.get(b);
    };
    while (components.length > 1) {
      let best: { a: number; b: number; rows: number } | undefined;
      for (let i = 0; i < components.length; i++) {
        for (let j = i + 1; j < components.length; j++) {
          const rows = rowsOf(components[i]!, components[j]!);
          if (rows !== undefined && (best === undefined || rows < best.rows)) best = { a: i, b: j, rows };
        }
      }
      if (best === undefined) {
        // No condition connects what is left: the smallest product.
        for (let i = 0; i < components.length; i++) {
          for (let j = i + 1; j < components.length; j++) {
            const rows = this.#pairRows(components[i]!, components[j]!);
            if (rows !== undefined && (best === undefined || rows < best.rows)) best = { a: i, b: j, rows };
          }
        }
      }
      assert(best !== undefined, "the join search found no pair");
      const a = components[best.a]!;
      const b = components[best.b]!;
      const joined = this.#join(a, b, undefined);
      assert(joined !== undefined, "a pair that could be joined could not");
      known.delete(a);
      known.delete(b);
      components.splice(best.b, 1);
      components[best.a] = joined;
    }
    return components[0]!;
  }

  /** The attached item of a pair with the side it joins to; undefined when the pair may not join. */
  #roles(a: JoinSet, b: JoinSet): { outer: JoinSet; inner: JoinSet; attached: Item | undefined } | undefined {
    const waiting = (set: JoinSet): Item | undefined =>
      set.item !== undefined && (set.item.type !== "inner" || set.item.required.size > 0)
        ? set.item
        : undefined;
    const attachedA = waiting(a);
    const attachedB = waiting(b);
    const ready = (item: Item, other: JoinSet): boolean => {
      if (other.item !== undefined && other.item.type !== "inner") return false;
      for (const at of item.required) if (!other.members[at]) return false;
      return true;
    };
    // An item that still waits can only be the inner side.
    if (attachedA !== undefined && attachedB !== undefined) return undefined;
    if (attachedB !== undefined) {
      return ready(attachedB, a) ? { outer: a, inner: b, attached: attachedB } : undefined;
    }
    if (attachedA !== undefined) {
      return ready(attachedA, b) ? { outer: b, inner: a, attached: attachedA } : undefined;
    }
    return { outer: a, inner: b, attached: undefined };
  }

  /** Conditions that the join of two sets applies. */
  #conditions(a: JoinSet, b: JoinSet): Expr[] {
    const out: Expr[] = [];
    for (const known of this.#classes) {
      let left: Expr | undefined;
      let right: Expr | undefined;
      for (const member of known.members) {
        if (left === undefined && a.members[member.item]) left = member.expr;
        if (right === undefined && b.members[member.item]) right = member.expr;
      }
      if (left === undefined || right === undefined) continue;
      const [first, second] = known.fn.args as [Expr, Expr];
      out.push(
        (left === first && right === second) || (left === second && right === first)
          ? known.fn
          : { kind: "call", type: boolType, fn: known.fn.fn, args: [left, right], operator: "=" },
      );
    }
    for (const qual of this.#quals) {
      let left = false;
      let right = false;
      let all = true;
      for (const item of qual.items) {
        if (a.members[item]) left = true;
        else if (b.members[item]) right = true;
        else {
          all = false;
          break;
        }
      }
      if (!all) continue;
      // A condition on an attached item alone waits until that is joined.
      const alone = (set: JoinSet): boolean => set.item !== undefined && set.item.type !== "inner";
      if ((left && right) || (left && alone(a)) || (right && alone(b))) out.push(qual.expr);
      else if (left && a.count === 1 && isVolatile(qual.expr)) out.push(qual.expr);
      else if (right && b.count === 1 && isVolatile(qual.expr)) out.push(qual.expr);
    }
    return out;
  }

  #fraction(quals: readonly Expr[]): number {
    let out = 1;
    for (const qual of quals) out *= this.#joinSelectivity(qual);
    return out;
  }

  #joinSelectivity(qual: Expr): number {
    if (qual.kind === "call" && qual.operator === "=" && qual.args.length === 2) {
      const a = this.#factsOf(underlying(qual.args[0]!));
      const b = this.#factsOf(underlying(qual.args[1]!));
      if (a !== undefined && b !== undefined) return joinEquality(a, b);
    }
    return selectivity(qual, this.#factsOf);
  }

  #pairRows(a: JoinSet, b: JoinSet): number | undefined {
    const roles = this.#roles(a, b);
    if (roles === undefined) return undefined;
    return this.#rows(roles.outer, roles.inner, roles.attached, this.#conditions(a, b));
  }

  #rows(outer: JoinSet, inner: JoinSet, attached: Item | undefined, conditions: readonly Expr[]): number {
    const pairs = outer.rows * inner.rows;
    if (attached === undefined || attached.type === "inner")
      return clampRows(pairs * this.#fraction(conditions));
    const own = this.#fraction(attached.quals);
    switch (attached.type) {
      case "left":
        return clampRows(Math.max(outer.rows, pairs * own) * this.#fraction(conditions));
      case "semi":
      case "anti": {
        const share = this.#matchShare(attached, inner.rows);
        return clampRows(outer.rows * (attached.type === "semi" ? share : Math.max(0.01, 1 - share)));
      }
    }
  }

  /** Share of outer rows that find a match. */
  #matchShare(item: Item, innerRows: number): number {
    let share = 1;
    for (const qual of item.quals) {
      if (qual.kind !== "call" || qual.operator !== "=" || qual.args.length !== 2) {
        share *= Math.min(1, selectivity(qual, this.#factsOf) * Math.max(1, innerRows));
        continue;
      }
      const [a, b] = (qual.args as [Expr, Expr]).map((arg) => underlying(arg));
      const inner = [...relationsOf(a!)].some((relation) => item.rels.has(relation)) ? a! : b!;
      const outer = inner === a ? b! : a!;
      const innerFacts = this.#factsOf(inner);
      const outerFacts = this.#factsOf(outer);
      if (innerFacts === undefined || outerFacts === undefined) {
        share *= 0.5;
        continue;
      }
      const innerDistinct = Math.min(distinctOf(innerFacts), innerRows);
      share *= Math.min(1, innerDistinct / Math.max(1, distinctOf(outerFacts)));
    }
    return share;
  }

  #join(a: JoinSet, b: JoinSet, into: JoinSet | undefined): JoinSet | undefined {
    const roles = this.#roles(a, b);
    if (roles === undefined) return into;
    const { outer, inner, attached } = roles;
    const conditions = this.#conditions(a, b);
    const rows = into?.rows ?? this.#rows(outer, inner, attached, conditions);
    const found: Path[] = into === undefined ? [] : into.paths;
    if (attached === undefined) {
      this.#innerJoin(a, b, conditions, rows, found);
      this.#innerJoin(b, a, conditions, rows, found);
    } else if (attached.type === "inner") {
      this.#innerJoin(outer, inner, conditions, rows, found);
    } else this.#attachedJoin(outer, inner, attached, conditions, rows, found);
    if (found.length === 0) return into;
    const paths = prune(found, this.host.wantedOrder);
    if (into !== undefined) {
      into.paths.length = 0;
      into.paths.push(...paths);
      return into;
    }
    return {
      members: a.members.map((member, index) => member || b.members[index]!),
      count: a.count + b.count,
      rows,
      paths: [...paths],
      item: undefined,
    };
  }

  #rels(set: JoinSet): Set<number> {
    const out = new Set<number>();
    for (const item of this.#items)
      if (set.members[item.index]) for (const relation of item.rels) out.add(relation);
    return out;
  }

  #innerJoin(left: JoinSet, right: JoinSet, conditions: readonly Expr[], rows: number, out: Path[]): void {
    const { scope } = this;
    const lateral = right.item?.lateral === true ? right.item : undefined;
    if (left.item?.lateral === true) return; // a lateral item can only be the right side
    const { keys, rest } = splitKeys(conditions, this.#rels(left), this.#rels(right));
    if (lateral === undefined) {
      if (keys.length > 0) {
        const l = cheapest(left.paths);
        const r = cheapest(right.paths);
        const cost = hashJoinCost(l, l.rows, r, r.rows, r.width, keys.length, rows, filterCost(rest));
        out.push(
          pathOf(cost, rows, l, r, [], () =>
            buildHashJoin("inner", l.build(), r.build(), keys, rest, scope, cost, rows),
          ),
        );
        this.#mergeJoin("inner", left, right, keys, rest, rows, out);
      }
      this.#indexLoop("inner", left, right, conditions, rows, out);
    }
    this.#plainLoop("inner", left, right, conditions, rows, out, lateral);
  }

  #attachedJoin(
    left: JoinSet,
    right: JoinSet,
    item: Item,
    filters: readonly Expr[],
    rows: number,
    out: Path[],
  ): void {
    const { scope } = this;
    const type = item.type as "left" | "semi" | "anti";
    const found: Path[] = [];
    const { keys, rest } = splitKeys(item.quals, this.#rels(left), item.rels);
    const lateral = item.lateral ? item : undefined;
    if (lateral === undefined) {
      if (keys.length > 0) {
        const l = cheapest(left.paths);
        const r = cheapest(right.paths);
        const cost = hashJoinCost(l, l.rows, r, r.rows, r.width, keys.length, rows, filterCost(rest));
        found.push(
          pathOf(cost, rows, l, r, [], () =>
            buildHashJoin(type, l.build(), r.build(), keys, rest, scope, cost, rows),
          ),
        );
        if (type === "left") {
          // The table may be built of the preserved side instead.
          const swapped = hashJoinCost(r, r.rows, l, l.rows, l.width, keys.length, rows, filterCost(rest));
          const mirrored = keys.map((key) => ({ ...key, left: key.right, right: key.left }));
          found.push(
            pathOf(swapped, rows, l, r, [], () =>
              buildHashJoin("right", r.build(), l.build(), mirrored, rest, scope, swapped, rows),
            ),
          );
        }
        this.#mergeJoin(type, left, right, keys, rest, rows, found);
        if (type === "semi") this.#uniqueInner(left, right, item, keys, rest, rows, found);
      }
      this.#indexLoop(type, left, right, item.quals, rows, found);
    }
    this.#plainLoop(type, left, right, item.quals, rows, found, lateral);
    if (filters.length === 0) {
      out.push(...found);
      return;
    }
    const cost = filterCost(filters);
    for (const path of found) {
      out.push({
        ...path,
        total: path.total + path.rows * cost,
        build: () => {
          const inner = path.build();
          return filtered(inner.node, inner.layout, filters, scope, rows);
        },
      });
    }
  }

  /** A semi join as an inner one from the distinct keys of its right side, when the left can be probed by index. */
  #uniqueInner(
    left: JoinSet,
    right: JoinSet,
    _item: Item,
    keys: readonly KeyPair[],
    rest: readonly Expr[],
    rows: number,
    out: Path[],
  ): void {
    if (rest.length > 0 || left.item?.rel === undefined || left.item.lateral) return;
    if (keys.some((key) => key.right.kind !== "column")) return;
    const { scope } = this;
    const r = cheapest(right.paths);
    let groups = r.rows;
    for (const key of keys) {
      const facts = this.#factsOf(underlying(key.right));
      if (facts !== undefined) groups = Math.min(groups, distinctOf(facts));
    }
    groups = clampRows(groups);
    const startup = r.total + r.rows * keys.length * cpuOperatorCost;
    const unique: Path = {
      startup,
      total: startup + groups * cpuTupleCost,
      rows: groups,
      width: r.width,
      order: [],
      build: () => {
        const inner = r.build();
        const exprs = keys.map((key) => resolve(key.right, inner.layout, scope));
        const layout = new Layout();
        const columns: OutputColumn[] = [];
        for (const key of keys) {
          if (key.right.kind === "column") layout.add(key.right.relation, key.right.column);
          columns.push({ name: "key", type: key.right.type });
        }
        return {
          layout,
          node: {
            kind: "aggregate",
            input: inner.node,
            strategy: "hash",
            groups: exprs,
            aggregates: [],
            columns,
            estimate: {
              startupCost: startup,
              totalCost: startup + groups * cpuTupleCost,
              rows: groups,
              width: r.width,
            },
          },
        };
      },
    };
    const set: JoinSet = { members: right.members, count: 1, rows: groups, paths: [unique], item: undefined };
    const conditions = keys.map((key) => key.source);
    this.#indexLoop("inner", set, left, conditions, rows, out);
  }

  #mergeJoin(
    type: JoinType,
    left: JoinSet,
    right: JoinSet,
    keys: readonly KeyPair[],
    rest: readonly Expr[],
    rows: number,
    out: Path[],
  ): void {
    const { scope } = this;
    for (const key of keys) {
      if (key.left.type.oid !== key.right.type.oid) return;
    }
    // Both inputs in the order of the first key already: worth a look. Sorting for a merge is left to hashing.
    const first = keys[0]!;
    const leftName = this.host.equivalence.canonical(first.left);
    const rightName = this.host.equivalence.canonical(first.right);
    const starts = (path: Path, name: string): boolean =>
      path.order[0] !== undefined &&
      path.order[0].key === name &&
      !path.order[0].descending &&
      !path.order[0].nullsFirst;
    for (const l of left.paths) {
      if (!starts(l, leftName)) continue;
      for (const r of right.paths) {
        if (!starts(r, rightName)) continue;
        const others = keys.slice(1).map((key) => key.source);
        const conditions = [...others, ...rest];
        const cost = mergeJoinCost(l, l.rows, r, r.rows, rows, filterCost(conditions));
        out.push(
          pathOf(
            cost,
            rows,
            l,
            r,
            type === "inner" || type === "left" || type === "semi" || type === "anti" ? l.order : [],
            () => {
              const lb = l.build();
              const rb = r.build();
              return buildMergeJoin(type, lb, rb, first, conditions, scope, cost, rows);
            },
          ),
        );
      }
    }
  }

  /** For each left row, a look-up in an index of the right side. */
  #indexLoop(
    type: "inner" | "left" | "semi" | "anti",
    left: JoinSet,
    right: JoinSet,
    conditions: readonly Expr[],
    rows: number,
    out: Path[],
  ): void {
    const rel = right.item?.rel;
    if (rel === undefined || rel.entry.kind !== "table" || rel.indexes.length === 0) return;
    const usable = conditions.filter((condition) => !hasSubquery(condition));
    if (usable.length === 0) return;
    const l = cheapest(left.paths);
    const inner = parameterizedScan(rel, usable, this.#factsOf, Math.max(1, l.rows));
    if (inner === undefined) return;
    const { scope } = this;
    const rest = conditions.filter((condition) => !inner.match.consumed.has(condition));
    for (const path of left.paths) {
      if (path !== l && path.order.length === 0) continue;
      const cost = nestedLoopCost(
        path,
        path.rows,
        inner,
        inner.total,
        path.rows * inner.rows,
        rows,
        filterCost(rest),
      );
      out.push({
        ...cost,
        rows,
        width: path.width + right.paths[0]!.width,
        order: path.order,
        build: () => {
          const lb = path.build();
          const around = new PlanScope(scope.statement, scope, true);
          around.own.add(rel.id);
          const rb = buildScan(
            rel,
            around,
            [...rel.filters, ...conditions.filter((condition) => inner.match.consumed.has(condition))],
            inner.match,
            false,
            inner.startup,
            inner.total,
            inner.rows,
          );
          const bindings = around.bindings(lb.layout, scope);
          return buildNestedLoop(type, lb, rb, rest, bindings, scope, cost, rows);
        },
      });
    }
  }

  #plainLoop(
    type: "inner" | "left" | "semi" | "anti",
    left: JoinSet,
    right: JoinSet,
    conditions: readonly Expr[],
    rows: number,
    out: Path[],
    lateral: Item | undefined,
  ): void {
    const { scope } = this;
    const r = cheapest(right.paths);
    for (const l of left.paths) {
      if (l !== cheapest(left.paths) && l.order.length === 0) continue;
      const rescan = lateral === undefined ? rematerializeCost(r.rows, r.width) : r.total;
      const pairs = l.rows * r.rows;
      const cost = nestedLoopCost(
        l,
        l.rows,
        r,
        rescan,
        pairs,
        rows,
        filterCost(conditions) + cpuOperatorCost,
      );
      out.push(
        pathOf(cost, rows, l, r, l.order, () => {
          const lb = l.build();
          if (lateral === undefined) {
            return buildNestedLoop(type, lb, materialized(r.build()), conditions, [], scope, cost, rows);
          }
          const rb = r.build();
          return buildNestedLoop(
            type,
            lb,
            rb,
            conditions,
            lateral.scope.bindings(lb.layout, scope),
            scope,
            cost,
            rows,
          );
        }),
      );
    }
  }
}

/** The single relation of a tree, with the conditions wrapped around it. */
function unwrap(tree: Tree): { relation: number; quals: readonly Expr[] } | undefined {
  if (tree.kind === "rel") return { relation: tree.relation, quals: [] };
  if (tree.kind !== "inner" || tree.items.length !== 1) return undefined;
  const inner = unwrap(tree.items[0]!);
  return inner === undefined
    ? undefined
    : { relation: inner.relation, quals: [...inner.quals, ...tree.quals] };
}

function hasSubquery(expr: Expr): boolean {
  return containsHere(expr, (inner) => inner.kind === "subquery");
}

/** Relations outside the set that entries of the set refer to (LATERAL). */
function lateralReferences(host: JoinHost, tree: Tree, rels: ReadonlySet<number>): Set<number> {
  const out = new Set<number>();
  const conditions = (part: Tree): void => {
    if (part.kind === "rel") return;
    for (const qual of part.quals) for (const item of relationsOf(qual)) if (!rels.has(item)) out.add(item);
    if (part.kind === "inner") part.items.forEach(conditions);
    else {
      conditions(part.left);
      conditions(part.right);
    }
  };
  conditions(tree);
  for (const relation of rels) {
    const { entry } = host.rel(relation);
    if (entry.kind === "function") {
      for (const arg of entry.args) for (const item of relationsOf(arg)) if (!rels.has(item)) out.add(item);
    } else if (entry.kind === "subquery" && entry.lateral) {
      const inner = relationsOf({ kind: "subquery", type: boolType, form: "exists", query: entry.query });
      for (const item of inner) if (!rels.has(item)) out.add(item);
    }
  }
  return out;
}

/** Keeps the cheapest path, the one that starts cheapest, and the cheapest of each useful order. */
function prune(paths: readonly Path[], _wanted: readonly OrderKey[]): Path[] {
  if (paths.length <= 1) return [...paths];
  const best = cheapest(paths);
  const kept = new Map<string, Path>();
  for (const path of paths) {
    if (path === best || path.order.length === 0) continue;
    const key = path.order.map((item) => `${item.key}${item.descending}${item.nullsFirst}`).join("|");
    const known = kept.get(key);
    if (known === undefined || path.total < known.total) kept.set(key, path);
  }
  const out = [best];
  let quickest = best;
  for (const path of paths) if (path.startup < quickest.startup * 0.5) quickest = path;
  for (const path of kept.values()) {
    if (orderCovers(best.order, path.order)) continue;
    out.push(path);
  }
  if (quickest !== best && !out.includes(quickest)) out.push(quickest);
  return out;
}

// ---------------------------------------------------------------------------------------------------------- building

function conditionOf(conditions: readonly Expr[], layout: Layout, scope: PlanScope): Expr | undefined {
  if (conditions.length === 0) return undefined;
  const parts = conditions.map((condition) => resolve(condition, layout, scope));
  return parts.length === 1 ? parts[0]! : { kind: "and", type: boolType, args: parts };
}

function outputOf(
  type: JoinType,
  left: Built,
  right: Built,
): { layout: Layout; columns: readonly OutputColumn[] } {
  if (type === "semi" || type === "anti") return { layout: left.layout, columns: left.node.columns };
  return {
    layout: Layout.concat(left.layout, right.layout),
    columns: [...left.node.columns, ...right.node.columns],
  };
}

function joinEstimate(
  type: JoinType,
  left: Built,
  right: Built,
  cost: { startup: number; total: number },
  rows: number,
): PlanNode["estimate"] {
  const width =
    left.node.estimate.width + (type === "semi" || type === "anti" ? 0 : right.node.estimate.width);
  return { startupCost: cost.startup, totalCost: cost.total, rows: clampRows(rows), width };
}

function buildHashJoin(
  type: JoinType,
  left: Built,
  right: Built,
  keys: readonly KeyPair[],
  rest: readonly Expr[],
  scope: PlanScope,
  cost: { startup: number; total: number },
  rows: number,
): Built {
  const { layout, columns } = outputOf(type, left, right);
  const pairs = type === "semi" || type === "anti" ? Layout.concat(left.layout, right.layout) : layout;
  return {
    layout,
    node: {
      kind: "hashJoin",
      type,
      left: left.node,
      right: right.node,
      leftKeys: keys.map((key) => resolve(key.left, left.layout, scope)),
      rightKeys: keys.map((key) => resolve(key.right, right.layout, scope)),
      condition: conditionOf(rest, pairs, scope),
      columns,
      estimate: joinEstimate(type, left, right, cost, rows),
    },
  };
}

function buildMergeJoin(
  type: JoinType,
  left: Built,
  right: Built,
  key: KeyPair,
  rest: readonly Expr[],
  scope: PlanScope,
  cost: { startup: number; total: number },
  rows: number,
): Built {
  const { layout, columns } = outputOf(type, left, right);
  const pairs = type === "semi" || type === "anti" ? Layout.concat(left.layout, right.layout) : layout;
  const sortKey = (expr: Expr): SortKey => ({ expr, descending: false, nullsFirst: false });
  return {
    layout,
    node: {
      kind: "mergeJoin",
      type,
      left: left.node,
      right: right.node,
      leftKeys: resolveSortKeys([sortKey(key.left)], left.layout, scope),
      rightKeys: resolveSortKeys([sortKey(key.right)], right.layout, scope),
      condition: conditionOf(rest, pairs, scope),
      columns,
      estimate: joinEstimate(type, left, right, cost, rows),
    },
  };
}

function buildNestedLoop(
  type: JoinType,
  left: Built,
  right: Built,
  conditions: readonly Expr[],
  bindings: readonly { readonly id: number; readonly value: Expr }[],
  scope: PlanScope,
  cost: { startup: number; total: number },
  rows: number,
): Built {
  const { layout, columns } = outputOf(type, left, right);
  const pairs = type === "semi" || type === "anti" ? Layout.concat(left.layout, right.layout) : layout;
  return {
    layout,
    node: {
      kind: "nestedLoop",
      type,
      left: left.node,
      right: right.node,
      condition: conditionOf(conditions, pairs, scope),
      bindings,
      columns,
      estimate: joinEstimate(type, left, right, cost, rows),
    },
  };
}

/** Keeps a result for being read again; what is cheap to read again stays as it is. */
function materialized(built: Built): Built {
  const { node, layout } = built;
  if (node.kind === "materialize" || node.kind === "values" || node.kind === "cteScan") return built;
  const { estimate } = node;
  return {
    layout,
    node: {
      kind: "materialize",
      input: node,
      columns: node.columns,
      estimate: {
        ...estimate,
        totalCost: estimate.totalCost + rematerializeCost(estimate.rows, estimate.width),
      },
    },
  };
}
