/**
 * Walking, rewriting and comparing bound expressions and queries.
 *
 * Invariants: rewriting never changes a node in place; a node whose parts did not change is returned as it is, so that
 * `===` tells whether anything happened. Two expressions with equal `exprKey` give equal values on the same row, unless
 * they are volatile.
 */
import { Interval, Numeric, PgArray, RowValue, TimeTz, type Value } from "../model/value.js";
import type { AggregateExpr, Expr, SortKey, SubqueryExpr } from "./expr.js";
import type { BoundCte, BoundModify, BoundQuery, FromNode, RangeEntry, Target } from "./query.js";

export type ExprMap = (expr: Expr) => Expr;

function mapList(list: readonly Expr[], map: ExprMap): readonly Expr[] {
  let out: Expr[] | undefined;
  for (let i = 0; i < list.length; i++) {
    const before = list[i]!;
    const after = map(before);
    if (out !== undefined) out.push(after);
    else if (after !== before) {
      out = list.slice(0, i);
      out.push(after);
    }
  }
  return out ?? list;
}

export function mapSortKeys(keys: readonly SortKey[], map: ExprMap): readonly SortKey[] {
  let changed = false;
  const out = keys.map((key) => {
    const expr = map(key.expr);
    if (expr === key.expr) return key;
    changed = true;
    return { ...key, expr };
  });
  return changed ? out : keys;
}

/** The node with `map` applied to each direct sub-expression; subqueries are left alone (see `mapDeep`). */
export function mapChildren(expr: Expr, map: ExprMap): Expr {
  switch (expr.kind) {
    case "const":
    case "param":
    case "column":
    case "slot":
    case "execParam":
    case "elementRef":
    case "caseTest":
    case "window":
      return expr;
    case "call":
    case "setCall":
    case "sequence": {
      const args = mapList(expr.args, map);
      return args === expr.args ? expr : { ...expr, args };
    }
    case "and":
    case "or":
    case "coalesce":
    case "greatest":
    case "least":
    case "row": {
      const args = mapList(expr.args, map);
      return args === expr.args ? expr : { ...expr, args };
    }
    case "relabel":
    case "ioCast":
    case "not":
    case "isNull":
    case "isTruth":
    case "field": {
      const arg = map(expr.arg);
      return arg === expr.arg ? expr : { ...expr, arg };
    }
    case "arrayCast": {
      const arg = map(expr.arg);
      return arg === expr.arg ? expr : { ...expr, arg };
    }
    case "isDistinct":
    case "arrayCompare": {
      const left = map(expr.left);
      const right = map(expr.right);
      return left === expr.left && right === expr.right ? expr : { ...expr, left, right };
    }
    case "nullIf": {
      const left = map(expr.left);
      const right = map(expr.right);
      const equal = map(expr.equal);
      return left === expr.left && right === expr.right && equal === expr.equal
        ? expr
        : { ...expr, left, right, equal };
    }
    case "case": {
      const operand = expr.operand === undefined ? undefined : map(expr.operand);
      let changed = operand !== expr.operand;
      const whens = expr.whens.map((arm) => {
        const when = map(arm.when);
        const then = map(arm.then);
        if (when === arm.when && then === arm.then) return arm;
        changed = true;
        return { when, then };
      });
      const otherwise = map(expr.otherwise);
      if (!changed && otherwise === expr.otherwise) return expr;
      return { ...expr, operand, whens, otherwise };
    }
    case "array": {
      const elements = mapList(expr.elements, map);
      return elements === expr.elements ? expr : { ...expr, elements };
    }
    case "subscript": {
      const arg = map(expr.arg);
      let changed = arg !== expr.arg;
      const indexes = expr.indexes.map((index) => {
        const lower = index.lower === undefined ? undefined : map(index.lower);
        const upper = index.upper === undefined ? undefined : map(index.upper);
        if (lower === index.lower && upper === index.upper) return index;
        changed = true;
        return { ...index, lower, upper };
      });
      return changed ? { ...expr, arg, indexes } : expr;
    }
    case "rowCompare": {
      const left = mapList(expr.left, map);
      const right = mapList(expr.right, map);
      return left === expr.left && right === expr.right ? expr : { ...expr, left, right };
    }
    case "aggregate": {
      const args = mapList(expr.args, map);
      const orderBy = mapSortKeys(expr.orderBy, map);
      const filter = expr.filter === undefined ? undefined : map(expr.filter);
      const directArgs = mapList(expr.directArgs, map);
      if (
        args === expr.args &&
        orderBy === expr.orderBy &&
        filter === expr.filter &&
        directArgs === expr.directArgs
      ) {
        return expr;
      }
      return { ...expr, args, orderBy, filter, directArgs };
    }
    case "windowCall": {
      const args = mapList(expr.args, map);
      const partitionBy = mapList(expr.partitionBy, map);
      const orderBy = mapSortKeys(expr.orderBy, map);
      const filter = expr.filter === undefined ? undefined : map(expr.filter);
      if (
        args === expr.args &&
        orderBy === expr.orderBy &&
        filter === expr.filter &&
        partitionBy === expr.partitionBy
      ) {
        return expr;
      }
      return { ...expr, args, partitionBy, orderBy, filter };
    }
    case "subquery":
    case "subplan": {
      if (expr.left === undefined) return expr;
      const left = mapList(expr.left, map);
      return left === expr.left ? expr : { ...expr, left };
    }
  }
}

/** Calls `visit` for each direct sub-expression; not into subqueries. */
export function forEachChild(expr: Expr, visit: (child: Expr) => void): void {
  mapChildren(expr, (child) => {
    visit(child);
    return child;
  });
}

/** Applies `map` to every expression of a query, also those of its subqueries in FROM and WITH (not inside expressions). */
export function mapQuery(query: BoundQuery, map: ExprMap): BoundQuery {
  const ctes = mapCtes(query.ctes, map);
  const limit = query.limit === undefined ? undefined : map(query.limit);
  const offset = query.offset === undefined ? undefined : map(query.offset);
  switch (query.kind) {
    case "values":
      return { ...query, ctes, limit, offset, rows: query.rows.map((row) => mapList(row, map)) };
    case "setOperation":
      return {
        ...query,
        ctes,
        limit,
        offset,
        left: mapQuery(query.left, map),
        right: mapQuery(query.right, map),
        leftCasts: query.leftCasts === undefined ? undefined : mapList(query.leftCasts, map),
        rightCasts: query.rightCasts === undefined ? undefined : mapList(query.rightCasts, map),
      };
    case "select":
      return {
        ...query,
        ctes,
        limit,
        offset,
        relations: query.relations.map((entry) => mapRangeEntry(entry, map)),
        from: query.from.map((node) => mapFrom(node, map)),
        where: query.where === undefined ? undefined : map(query.where),
        targets: mapTargets(query.targets, map),
        groupBy: mapList(query.groupBy, map),
        having: query.having === undefined ? undefined : map(query.having),
      };
  }
}

export function mapTargets(targets: readonly Target[], map: ExprMap): readonly Target[] {
  return targets.map((target) => {
    const expr = map(target.expr);
    return expr === target.expr ? target : { ...target, expr };
  });
}

function mapCtes(ctes: readonly BoundCte[], map: ExprMap): readonly BoundCte[] {
  if (ctes.length === 0) return ctes;
  // A CTE is shared by identity with the entries that read it: it is rewritten in place of its parts.
  for (const cte of ctes) {
    cte.query = mapStatement(cte.query, map);
    if (cte.recursive !== undefined) {
      cte.recursive = { ...cte.recursive, step: mapQuery(cte.recursive.step, map) };
    }
  }
  return ctes;
}

function mapStatement(statement: BoundQuery | BoundModify, map: ExprMap): BoundQuery | BoundModify {
  switch (statement.kind) {
    case "insert":
    case "update":
    case "delete":
      // Data-modifying statements stand at the top, where no enclosing relation can be pulled up under them.
      return statement;
    default:
      return mapQuery(statement, map);
  }
}

export function mapRangeEntry(entry: RangeEntry, map: ExprMap): RangeEntry {
  switch (entry.kind) {
    case "subquery":
      return { ...entry, query: mapQuery(entry.query, map) };
    case "function": {
      const args = mapList(entry.args, map);
      return args === entry.args ? entry : { ...entry, args };
    }
    default:
      return entry;
  }
}

export function mapFrom(node: FromNode, map: ExprMap): FromNode {
  if (node.kind === "relation") return node;
  return {
    ...node,
    left: mapFrom(node.left, map),
    right: mapFrom(node.right, map),
    on: node.on === undefined ? undefined : map(node.on),
  };
}

/** Rewrites bottom-up, everywhere: also inside subqueries. */
export function mapDeep(expr: Expr, map: ExprMap): Expr {
  const recurse: ExprMap = (child) => mapDeep(child, map);
  let out = mapChildren(expr, recurse);
  if (out.kind === "subquery") {
    out = { ...out, query: mapQuery(out.query as BoundQuery, recurse) };
  }
  return map(out);
}

/** Rewrites top-down; `map` answers undefined to let the walk go on into the node. Also inside subqueries. */
export function replaceDeep(expr: Expr, map: (expr: Expr) => Expr | undefined): Expr {
  const replaced = map(expr);
  if (replaced !== undefined) return replaced;
  const recurse: ExprMap = (child) => replaceDeep(child, map);
  const out = mapChildren(expr, recurse);
  if (out.kind !== "subquery") return out;
  return containsInQuery(out.query as BoundQuery, (inner) => map(inner) !== undefined)
    ? { ...out, query: mapQuery(out.query as BoundQuery, recurse) }
    : out;
}

/** Whether `test` holds for any expression of a query, at any depth. */
export function containsInQuery(query: BoundQuery | BoundModify, test: (expr: Expr) => boolean): boolean {
  let found = false;
  visitQuery(query, (expr) => {
    if (!found && test(expr)) found = true;
  });
  return found;
}

/** Calls `visit` for every expression node of a query, at any depth. */
export function visitQuery(query: BoundQuery | BoundModify, visit: (expr: Expr) => void): void {
  const each = (expr: Expr | undefined): void => {
    if (expr !== undefined) visitDeep(expr, visit);
  };
  for (const cte of query.ctes) {
    visitQuery(cte.query, visit);
    if (cte.recursive !== undefined) visitQuery(cte.recursive.step, visit);
  }
  switch (query.kind) {
    case "select":
      each(query.limit);
      each(query.offset);
      query.relations.forEach((entry) => {
        visitEntry(entry, visit);
      });
      query.from.forEach((node) => {
        visitFrom(node, each);
      });
      each(query.where);
      for (const target of query.targets) each(target.expr);
      query.groupBy.forEach(each);
      each(query.having);
      return;
    case "setOperation":
      each(query.limit);
      each(query.offset);
      visitQuery(query.left, visit);
      visitQuery(query.right, visit);
      query.leftCasts?.forEach(each);
      query.rightCasts?.forEach(each);
      return;
    case "values":
      each(query.limit);
      each(query.offset);
      for (const row of query.rows) row.forEach(each);
      return;
    case "insert":
      if (query.source.kind === "rows") for (const row of query.source.rows) row.forEach(each);
      else {
        visitQuery(query.source.query, visit);
        query.source.values.forEach(each);
      }
      if (query.onConflict !== undefined) {
        for (const item of query.onConflict.set) each(item.value);
        each(query.onConflict.where);
      }
      query.returning?.forEach((target) => {
        each(target.expr);
      });
      return;
    case "update":
    case "delete":
      query.relations.forEach((entry) => {
        visitEntry(entry, visit);
      });
      query.from.forEach((node) => {
        visitFrom(node, each);
      });
      each(query.where);
      if (query.kind === "update") for (const item of query.set) each(item.value);
      query.returning?.forEach((target) => {
        each(target.expr);
      });
      return;
  }
}

function visitEntry(entry: RangeEntry, visit: (expr: Expr) => void): void {
  if (entry.kind === "subquery") visitQuery(entry.query, visit);
  else if (entry.kind === "function") for (const arg of entry.args) visitDeep(arg, visit);
}

function visitFrom(node: FromNode, each: (expr: Expr | undefined) => void): void {
  if (node.kind === "relation") return;
  visitFrom(node.left, each);
  visitFrom(node.right, each);
  each(node.on);
}

/** Calls `visit` for the node and everything below it, subqueries included. */
export function visitDeep(expr: Expr, visit: (expr: Expr) => void): void {
  visit(expr);
  forEachChild(expr, (child) => {
    visitDeep(child, visit);
  });
  if (expr.kind === "subquery") visitQuery(expr.query as BoundQuery, visit);
}

/** Whether `test` holds for the node or anything below it, subqueries included. */
export function containsDeep(expr: Expr, test: (expr: Expr) => boolean): boolean {
  let found = false;
  visitDeep(expr, (inner) => {
    if (!found && test(inner)) found = true;
  });
  return found;
}

/** Whether `test` holds for the node or anything below it in the same query. */
export function containsHere(expr: Expr, test: (expr: Expr) => boolean): boolean {
  if (test(expr)) return true;
  let found = false;
  forEachChild(expr, (child) => {
    if (!found && containsHere(child, test)) found = true;
  });
  return found;
}

/** Relations an expression refers to, at any depth (those of its own subqueries' entries included). */
export function relationsOf(expr: Expr, into: Set<number> = new Set()): Set<number> {
  if (expr.kind === "column") {
    into.add(expr.relation);
    return into;
  }
  if (expr.kind === "const" || expr.kind === "param") return into;
  visitDeep(expr, (inner) => {
    if (inner.kind === "column") into.add(inner.relation);
  });
  return into;
}

/** A call that may give another value each time, or has effects. */
export function isVolatile(expr: Expr): boolean {
  return containsDeep(
    expr,
    (inner) =>
      ((inner.kind === "call" || inner.kind === "setCall") && inner.fn.volatility === "volatile") ||
      inner.kind === "sequence",
  );
}

/**
 * Whether evaluating the condition tells nothing of the columns it reads but by its result: no error shows a value, no
 * function of somebody's own sees one (PostgreSQL's `proleakproof`). What is not known to be so is not.
 */
export function isLeakproof(expr: Expr): boolean {
  switch (expr.kind) {
    case "const":
    case "param":
    case "execParam":
    case "column":
    case "slot":
    case "elementRef":
    case "caseTest":
      return true;
    case "relabel":
    case "and":
    case "or":
    case "not":
    case "isNull":
    case "isTruth":
    case "case":
    case "coalesce":
    case "array":
    case "row":
    case "field":
      break;
    case "call":
      if (expr.fn.leakproof === true) break;
      return !containsDeep(expr, (inner) => inner.kind === "column");
    case "arrayCompare":
      if (expr.fn.leakproof !== true) return false;
      break;
    case "isDistinct":
      if (expr.equal.leakproof !== true) return false;
      break;
    case "rowCompare":
      if (![...expr.equal, ...expr.less].every((fn) => fn === undefined || fn.leakproof === true))
        return false;
      break;
    default:
      return false;
  }
  let safe = true;
  forEachChild(expr, (child) => {
    safe &&= isLeakproof(child);
  });
  return safe;
}

export function isAggregate(expr: Expr): expr is AggregateExpr {
  return expr.kind === "aggregate";
}

export function isSubquery(expr: Expr): expr is SubqueryExpr {
  return expr.kind === "subquery";
}

let identities = 0;
const identityOf = new WeakMap<object, number>();
function identity(object: object): number {
  let id = identityOf.get(object);
  if (id === undefined) {
    id = ++identities;
    identityOf.set(object, id);
  }
  return id;
}

export function valueKey(value: Value): string {
  if (value === null) return "null";
  switch (typeof value) {
    case "boolean":
      return value ? "t" : "f";
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "bigint":
      return `${value}`;
    case "string":
      return JSON.stringify(value);
  }
  if (value instanceof Uint8Array) return `x${Buffer.from(value).toString("hex")}`;
  if (value instanceof Numeric) return `N${value.coefficient}:${value.scale}${value.special}`;
  if (value instanceof Interval) return `I${value.months}:${value.days}:${value.micros}`;
  if (value instanceof TimeTz) return `T${value.micros}:${value.zoneSeconds}`;
  if (value instanceof PgArray) {
    return `A${value.dims.join("x")}/${value.lowerBounds.join(",")}[${value.elements.map(valueKey).join(",")}]`;
  }
  if (value instanceof RowValue) return `R(${value.values.map(valueKey).join(",")})`;
  return `?${identity(value as object)}`;
}

function typeKey(expr: Expr): string {
  return expr.type.typmod === -1 ? String(expr.type.oid) : `${expr.type.oid}/${expr.type.typmod}`;
}

function keysOf(list: readonly Expr[]): string {
  return list.map(exprKey).join(",");
}

function sortKeysKey(keys: readonly SortKey[]): string {
  return keys.map((key) => `${exprKey(key.expr)}${key.descending ? "v" : "^"}${key.nullsFirst}`).join(",");
}

/** A text that two structurally equal expressions share. How a cast was written does not matter. */
export function exprKey(expr: Expr): string {
  switch (expr.kind) {
    case "const":
      return `c${typeKey(expr)}:${valueKey(expr.value)}`;
    case "param":
      return `$${expr.index}`;
    case "column":
      return `r${expr.relation}.${expr.column}`;
    case "slot":
      return `s${expr.slot}`;
    case "execParam":
      return `e${expr.id}`;
    case "elementRef":
      return "element";
    case "caseTest":
      return "casetest";
    case "window":
      return `w${expr.index}`;
    case "call":
    case "setCall":
    case "sequence":
      return `${expr.fn.name}#${expr.fn.oid}:${typeKey(expr)}(${keysOf(expr.args)})`;
    case "relabel":
      return `relabel:${typeKey(expr)}(${exprKey(expr.arg)})`;
    case "ioCast":
      return `io:${typeKey(expr)}(${exprKey(expr.arg)})`;
    case "arrayCast":
      return `acast:${typeKey(expr)}(${exprKey(expr.arg)},${exprKey(expr.element)})`;
    case "and":
    case "or":
    case "coalesce":
    case "greatest":
    case "least":
    case "row":
      return `${expr.kind}:${typeKey(expr)}(${keysOf(expr.args)})`;
    case "not":
      return `not(${exprKey(expr.arg)})`;
    case "isNull":
      return `${expr.negated ? "notnull" : "isnull"}(${exprKey(expr.arg)})`;
    case "isTruth":
      return `is${expr.negated ? "not" : ""}${expr.test}(${exprKey(expr.arg)})`;
    case "field":
      return `field${expr.index}(${exprKey(expr.arg)})`;
    case "isDistinct":
      return `distinct${expr.negated}(${exprKey(expr.left)},${exprKey(expr.right)})`;
    case "arrayCompare":
      return `any${expr.all}${expr.fn.oid}${expr.operator}(${exprKey(expr.left)},${exprKey(expr.right)})`;
    case "nullIf":
      return `nullif(${exprKey(expr.left)},${exprKey(expr.right)})`;
    case "case":
      return `case:${typeKey(expr)}(${expr.operand === undefined ? "" : exprKey(expr.operand)};${expr.whens
        .map((arm) => `${exprKey(arm.when)}>${exprKey(arm.then)}`)
        .join(",")};${exprKey(expr.otherwise)})`;
    case "array":
      return `array:${typeKey(expr)}(${keysOf(expr.elements)})`;
    case "subscript":
      return `sub(${exprKey(expr.arg)};${expr.indexes
        .map(
          (index) =>
            `${index.lower === undefined ? "" : exprKey(index.lower)}:${
              index.upper === undefined ? "" : exprKey(index.upper)
            }${index.slice}`,
        )
        .join(",")})`;
    case "rowCompare":
      return `rowcmp${expr.operator}(${keysOf(expr.left)};${keysOf(expr.right)})`;
    case "aggregate":
      return `agg${expr.owner}:${expr.fn.name}#${expr.fn.oid}:${typeKey(expr)}(${expr.star ? "*" : ""}${
        expr.distinct ? "distinct " : ""
      }${keysOf(expr.args)};${sortKeysKey(expr.orderBy)};${
        expr.filter === undefined ? "" : exprKey(expr.filter)
      };${keysOf(expr.directArgs)})`;
    case "windowCall":
      return `win${expr.aggregate?.oid ?? ""}${expr.builtin ?? ""}:${typeKey(expr)}(${expr.star ? "*" : ""}${keysOf(
        expr.args,
      )};${keysOf(expr.partitionBy)};${sortKeysKey(expr.orderBy)};${JSON.stringify(expr.frame, (_, value) =>
        typeof value === "bigint" ? `${value}n` : value,
      )};${expr.filter === undefined ? "" : exprKey(expr.filter)})`;
    case "subquery":
      return `q${expr.form}${identity(expr.query as object)}(${expr.left === undefined ? "" : keysOf(expr.left)})`;
    case "subplan":
      return `p${identity(expr.plan)}(${expr.left === undefined ? "" : keysOf(expr.left)})`;
  }
}

export function sameExpr(a: Expr, b: Expr): boolean {
  return a === b || (a.kind === b.kind && exprKey(a) === exprKey(b));
}

export const boolType = { oid: 16, typmod: -1 } as const;
export const trueExpr: Expr = { kind: "const", type: boolType, value: true };
export const falseExpr: Expr = { kind: "const", type: boolType, value: false };

/** The conjuncts of a condition. */
export function conjuncts(expr: Expr | undefined): readonly Expr[] {
  if (expr === undefined) return [];
  return expr.kind === "and" ? expr.args.flatMap(conjuncts) : [expr];
}

/** AND over a list; undefined when it is empty. */
export function conjunction(list: readonly Expr[]): Expr | undefined {
  if (list.length === 0) return undefined;
  return list.length === 1 ? list[0]! : { kind: "and", type: boolType, args: list };
}
