/**
 * Binding of calls: functions, aggregates, window functions, set-returning functions, and functions in FROM.
 *
 * Invariants: arguments come in parameter order, defaults filled in; an aggregate knows the query that computes it
 * (`owner`): the innermost one whose columns its arguments name.
 * Errors: 42883/42725 from resolution; 42803 for aggregates where none may stand; 42P20 for windows; 0A000 for
 * set-returning functions where none may stand.
 */
import { DbError, notSupported } from "../base/errors.js";
import type { TypeRef } from "../model/schema.js";
import type { Value } from "../model/value.js";
import type * as ast from "./ast.js";
import {
  bindExpr,
  coerceTo,
  figureColumnName,
  requireBoolean,
  requireSortable,
  settled,
} from "./bind-expr.js";
import { sortDirection } from "./bind-query.js";
import { type Binder, unknownOid } from "./binder.js";
import type { AggregateExpr, Expr, FrameBound, SortKey, WindowFrame } from "./expr.js";
import type { RangeColumn, RangeEntry } from "./query.js";
import { argument, arrayElementType, resolveFunction } from "./resolve.js";
import type { Clause, Scope } from "./scope.js";
import { containsHere, exprKey, visitDeep } from "./walk.js";

/** Where aggregates, windows and set-returning functions may not stand, in PostgreSQL's words. */
const clauseNames: Record<Clause, string> = {
  select: "SELECT",
  where: "WHERE",
  having: "HAVING",
  groupBy: "GROUP BY",
  orderBy: "ORDER BY",
  distinctOn: "DISTINCT ON",
  joinOn: "JOIN conditions",
  joinUsing: "JOIN conditions",
  limit: "LIMIT",
  offset: "OFFSET",
  values: "VALUES",
  insert: "VALUES",
  update: "UPDATE",
  returning: "RETURNING",
  fromFunction: "functions in FROM",
  fromSubselect: "FROM clause of their own query level",
  filter: "FILTER",
  aggregateArgument: "aggregate arguments",
  window: "window definitions",
  check: "check constraints",
  default: "DEFAULT expressions",
  indexExpression: "index expressions",
  indexPredicate: "index predicates",
  policy: "policy expressions",
  columnMask: "column masks",
  onConflict: "WHERE",
  execute: "EXECUTE parameters",
};

const aggregateClauses: ReadonlySet<Clause> = new Set([
  "select",
  "having",
  "orderBy",
  "distinctOn",
  "window",
]);
const windowClauses: ReadonlySet<Clause> = new Set(["select", "orderBy", "distinctOn"]);
const setClauses: ReadonlySet<Clause> = new Set([
  "select",
  "orderBy",
  "distinctOn",
  "groupBy",
  "insert",
  "fromFunction",
]);

function pgCatalogOnly(name: ast.QualifiedName): boolean {
  return name.schema === undefined || name.schema === "pg_catalog" || name.schema === "information_schema";
}

function missing(binder: Binder, node: ast.FunctionCall, types: readonly number[]): DbError {
  const shown = node.name.schema === undefined ? node.name.name : `${node.name.schema}.${node.name.name}`;
  if (node.name.schema !== undefined && binder.catalog.schemaByName(node.name.schema) === undefined) {
    return new DbError("invalidSchemaName", `schema "${node.name.schema}" does not exist`, {
      position: node.position,
    });
  }
  const list = types.map((oid) => binder.typeText({ oid, typmod: -1 })).join(", ");
  return new DbError("undefinedFunction", `function ${shown}(${list}) does not exist`, {
    position: node.position,
    hint: "No function matches the given name and argument types. You might need to add explicit type casts.",
  });
}

export function bindCall(binder: Binder, node: ast.FunctionCall, scope: Scope): Expr {
  const named = node.args.some((arg) => arg.name !== undefined);
  checkNamedArguments(node);
  const isAggregateSyntax =
    node.star || node.distinct || node.orderBy.length > 0 || node.filter !== undefined || node.withinGroup;
  // Arguments of an aggregate are bound knowing that they are inside one: nesting is judged afterwards.
  const args: Expr[] = [];
  const positions: number[] = [];
  const _before = scope.hasSetCalls;
  for (const item of node.args) {
    args.push(bindExpr(binder, item.value, scope));
    positions.push(item.value.position);
  }
  if (node.withinGroup) {
    for (const item of node.orderBy) {
      args.push(bindExpr(binder, item.expr, scope));
      positions.push(item.expr.position);
    }
  }
  const types = args.map((arg) => arg.type.oid);
  if (!pgCatalogOnly(node.name)) throw missing(binder, node, types);
  let resolved: ReturnType<typeof resolveFunction>;
  try {
    resolved = resolveFunction(node.name.name, types, {
      variadic: node.variadic ? true : undefined,
      argNames: named ? node.args.map((arg) => arg.name) : undefined,
      shown: node.name.schema === undefined ? undefined : `${node.name.schema}.${node.name.name}`,
    });
  } catch (error) {
    throw error instanceof DbError ? error.at(node.position) : error;
  }
  const ordered = resolved.order.map((given, index): Expr => {
    const oid = resolved.argTypes[index]!;
    if (given < 0)
      return { kind: "const", type: { oid, typmod: -1 }, value: resolved.defaults[index] as Value };
    return settleAny(binder, argument(binder, args[given]!, oid, positions[given]!), positions[given]!);
  });
  const type: TypeRef = { oid: resolved.returns, typmod: -1 };

  switch (resolved.kind) {
    case "coercion":
      return coerceTo(binder, args[0]!, type, "explicit", node.position);
    case "aggregate": {
      if (node.over !== undefined) {
        return bindWindow(binder, node, scope, ordered, type, { aggregate: resolved.fn });
      }
      return bindAggregate(binder, node, scope, ordered, type, resolved.fn);
    }
    case "window":
      if (node.over === undefined) {
        throw new DbError("wrongObjectType", `window function ${node.name.name} requires an OVER clause`, {
          position: node.position,
        });
      }
      return bindWindow(binder, node, scope, ordered, type, { builtin: resolved.name });
    case "function": {
      if (node.over !== undefined) {
        throw new DbError(
          "wrongObjectType",
          `OVER specified, but ${node.name.name} is not a window function nor an aggregate function`,
          { position: node.position },
        );
      }
      if (isAggregateSyntax) refuseAggregateSyntax(node);
      const { fn } = resolved;
      if (fn.returnsSet === true) {
        refuseSet(node, scope);
        if (scope.clause !== "fromFunction") scope.hasSetCalls = true;
        return binder.at({ kind: "setCall", type, fn, args: ordered }, node.position);
      }
      return binder.at({ kind: "call", type, fn, args: ordered, position: node.position }, node.position);
    }
  }
}

/** `any` parameters leave literals unknown: they become text. */
function settleAny(binder: Binder, expr: Expr, position: number): Expr {
  return expr.type.oid === unknownOid ? settled(binder, expr, position) : expr;
}

function checkNamedArguments(node: ast.FunctionCall): void {
  let seen = false;
  const names = new Set<string>();
  for (const arg of node.args) {
    if (arg.name === undefined) {
      if (seen) {
        throw new DbError("syntaxError", "positional argument cannot follow named argument", {
          position: arg.value.position,
        });
      }
      continue;
    }
    seen = true;
    if (names.has(arg.name)) {
      throw new DbError("syntaxError", `argument name "${arg.name}" used more than once`, {
        position: arg.value.position,
      });
    }
    names.add(arg.name);
  }
}

function refuseAggregateSyntax(node: ast.FunctionCall): never {
  const refuse = (text: string): never => {
    throw new DbError("wrongObjectType", text, { position: node.position });
  };
  const { name } = node.name;
  if (node.star) refuse(`${name}(*) specified, but ${name} is not an aggregate function`);
  if (node.distinct) refuse(`DISTINCT specified, but ${name} is not an aggregate function`);
  if (node.withinGroup) refuse(`WITHIN GROUP specified, but ${name} is not an aggregate function`);
  if (node.orderBy.length > 0) refuse(`ORDER BY specified, but ${name} is not an aggregate function`);
  return refuse(`FILTER specified, but ${name} is not an aggregate function`);
}

function refuseSet(node: ast.FunctionCall, scope: Scope): void {
  if (scope.insideAggregate > 0) {
    throw new DbError(
      "featureNotSupported",
      "aggregate function calls cannot contain set-returning function calls",
      {
        position: node.position,
        hint: "You might be able to move the set-returning function into a LATERAL FROM item.",
      },
    );
  }
  if (setClauses.has(scope.clause)) return;
  throw new DbError(
    "featureNotSupported",
    `set-returning functions are not allowed in ${clauseNames[scope.clause]}`,
    { position: node.position },
  );
}

// ------------------------------------------------------------------------------------------------------- aggregates

function bindSortKeys(binder: Binder, items: readonly ast.SortItem[], scope: Scope): SortKey[] {
  return items.map((item) => {
    const expr = settled(binder, bindExpr(binder, item.expr, scope), item.expr.position);
    requireSortable(binder, expr.type, item.expr.position);
    return { expr, ...sortDirection(item) };
  });
}

function bindAggregate(
  binder: Binder,
  node: ast.FunctionCall,
  scope: Scope,
  args: readonly Expr[],
  type: TypeRef,
  fn: AggregateExpr["fn"],
): Expr {
  const { position } = node;
  if (fn.orderedSet === true && !node.withinGroup) {
    throw new DbError("wrongObjectType", `WITHIN GROUP is required for ordered-set aggregate ${fn.name}`, {
      position,
    });
  }
  if (fn.orderedSet !== true && node.withinGroup) {
    throw new DbError(
      "wrongObjectType",
      `${fn.name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP`,
      { position },
    );
  }
  if (args.length === 0 && !node.star && fn.orderedSet !== true) {
    throw new DbError(
      "wrongObjectType",
      `${fn.name}(*) must be used to call a parameterless aggregate function`,
      {
        position,
      },
    );
  }
  for (const arg of args) {
    if (binder.hasSetCall(arg)) {
      throw new DbError(
        "featureNotSupported",
        "aggregate function calls cannot contain set-returning function calls",
        { position, hint: "You might be able to move the set-returning function into a LATERAL FROM item." },
      );
    }
  }
  const directCount = fn.orderedSet === true ? node.args.length : 0;
  const directArgs = args.slice(0, directCount);
  const plainArgs = args.slice(directCount);
  let orderBy: SortKey[];
  if (node.withinGroup) {
    orderBy = node.orderBy.map((item, index) => ({ expr: plainArgs[index]!, ...sortDirection(item) }));
    for (const key of orderBy) requireSortable(binder, key.expr.type, position);
  } else orderBy = bindSortKeys(binder, node.orderBy, scope);
  if (node.distinct) {
    for (const arg of plainArgs) requireSortable(binder, arg.type, position);
    for (const key of orderBy) {
      if (!plainArgs.some((arg) => sameText(arg, key.expr))) {
        throw new DbError(
          "invalidColumnReference",
          "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
          { position },
        );
      }
    }
  }
  let filter: Expr | undefined;
  if (node.filter !== undefined) {
    const saved = scope.clause;
    scope.clause = "filter";
    filter = requireBoolean(binder, bindExpr(binder, node.filter, scope), "FILTER", node.filter);
    scope.clause = saved;
  }

  // The query it belongs to: the innermost scope that its arguments name columns of.
  const chain: Scope[] = [];
  for (let at: Scope | undefined = scope; at !== undefined; at = at.parent) chain.push(at);
  let level = -1;
  const consider = (expr: Expr): void => {
    visitDeep(expr, (inner) => {
      if (inner.kind === "column") {
        const home = binder.relationScopes.get(inner.relation);
        const at = home === undefined ? -1 : chain.indexOf(home);
        if (at >= 0 && (level < 0 || at < level)) level = at;
      } else if (inner.kind === "aggregate") {
        const at = chain.findIndex((candidate) => candidate.id === inner.owner);
        if (at >= 0 && (level < 0 || at < level)) level = at;
      }
    });
  };
  for (const arg of args) consider(arg);
  for (const key of orderBy) consider(key.expr);
  if (filter !== undefined) consider(filter);
  if (level < 0) level = 0;
  const owner = chain[level]!;
  const refuseNested = (expr: Expr): void => {
    containsHere(expr, (inner) => {
      if (inner.kind === "aggregate" && inner.owner === owner.id) {
        throw new DbError("groupingError", "aggregate function calls cannot be nested", {
          position: binder.positionOf(inner) ?? position,
        });
      }
      return false;
    });
  };
  args.forEach(refuseNested);
  for (const key of orderBy) refuseNested(key.expr);
  if (filter !== undefined) refuseNested(filter);
  if (args.some((arg) => containsHere(arg, (inner) => inner.kind === "windowCall"))) {
    throw new DbError("groupingError", "aggregate function calls cannot contain window function calls", {
      position,
    });
  }
  if (!aggregateClauses.has(owner.clause)) {
    const where = clauseNames[owner.clause];
    throw new DbError("groupingError", `aggregate functions are not allowed in ${where}`, { position });
  }
  owner.hasAggregates = true;
  return binder.at(
    {
      kind: "aggregate",
      type,
      fn,
      args: plainArgs,
      star: node.star,
      distinct: node.distinct,
      orderBy,
      filter,
      directArgs,
      level,
      owner: owner.id,
    },
    position,
  );
}

function sameText(a: Expr, b: Expr): boolean {
  return a === b || exprKey(a) === exprKey(b);
}

// ---------------------------------------------------------------------------------------------------------- windows

function bindWindow(
  binder: Binder,
  node: ast.FunctionCall,
  scope: Scope,
  args: readonly Expr[],
  type: TypeRef,
  what: { readonly aggregate?: AggregateExpr["fn"]; readonly builtin?: string },
): Expr {
  const { position } = node;
  if (!windowClauses.has(scope.clause)) {
    throw new DbError("windowingError", `window functions are not allowed in ${clauseNames[scope.clause]}`, {
      position,
    });
  }
  if (node.distinct) throw notSupported("DISTINCT for window functions", position);
  if (node.withinGroup) throw notSupported("OVER for ordered-set aggregates", position);
  if (node.orderBy.length > 0) throw notSupported("aggregate ORDER BY for window functions", position);
  if (args.some((arg) => containsHere(arg, (inner) => inner.kind === "windowCall"))) {
    throw new DbError("windowingError", "window function calls cannot be nested", { position });
  }
  if (node.filter !== undefined && what.builtin !== undefined) {
    throw notSupported("FILTER for non-aggregate window functions", position);
  }
  const filter =
    node.filter === undefined
      ? undefined
      : requireBoolean(binder, bindExpr(binder, node.filter, scope), "FILTER", node.filter);
  const spec = effectiveWindow(node.over!, scope);
  const saved = scope.clause;
  scope.clause = "window";
  const partitionBy = spec.partitionBy.map((item) => {
    const expr = settled(binder, bindExpr(binder, item, scope), item.position);
    requireSortable(binder, expr.type, item.position);
    return expr;
  });
  const orderBy = bindSortKeys(binder, spec.orderBy, scope);
  const frame = bindFrame(binder, spec.frame, orderBy, scope);
  scope.clause = saved;
  scope.hasWindows = true;
  return binder.at(
    {
      kind: "windowCall",
      type,
      builtin: what.builtin,
      aggregate: what.aggregate,
      args,
      star: node.star,
      filter,
      partitionBy,
      orderBy,
      frame,
    },
    position,
  );
}

/** A window specification with what it takes from named ones. */
function effectiveWindow(spec: ast.WindowSpec, scope: Scope): ast.WindowSpec {
  const find = (name: string): ast.WindowSpec => {
    const found = scope.windows.find((item) => item.name === name);
    if (found === undefined) {
      throw new DbError("undefinedObject", `window "${name}" does not exist`, { position: spec.position });
    }
    return effectiveWindow(found, scope);
  };
  if (spec.reference !== undefined) return find(spec.reference);
  if (spec.base === undefined) return spec;
  const base = find(spec.base);
  if (spec.partitionBy.length > 0) {
    throw new DbError("windowingError", `cannot override PARTITION BY clause of window "${spec.base}"`, {
      position: spec.position,
    });
  }
  if (spec.orderBy.length > 0 && base.orderBy.length > 0) {
    throw new DbError("windowingError", `cannot override ORDER BY clause of window "${spec.base}"`, {
      position: spec.position,
    });
  }
  if (base.frame !== undefined) {
    throw new DbError("windowingError", `cannot copy window "${spec.base}" because it has a frame clause`, {
      position: spec.position,
    });
  }
  return {
    ...spec,
    partitionBy: base.partitionBy,
    orderBy: spec.orderBy.length > 0 ? spec.orderBy : base.orderBy,
  };
}

function bindFrame(
  binder: Binder,
  frame: ast.WindowFrame | undefined,
  orderBy: readonly SortKey[],
  scope: Scope,
): WindowFrame {
  if (frame === undefined) {
    return { mode: "range", start: { kind: "unboundedPreceding" }, end: { kind: "currentRow" } };
  }
  if (frame.mode === "groups" && orderBy.length === 0) {
    throw new DbError("windowingError", "GROUPS mode requires an ORDER BY clause", {
      position: frame.position,
    });
  }
  const bound = (item: ast.FrameBound): FrameBound => {
    if (item.kind !== "preceding" && item.kind !== "following") return { kind: item.kind };
    const offset = bindExpr(binder, item.offset, scope);
    if (frame.mode !== "range") {
      return {
        kind: item.kind,
        offset: coerceTo(binder, offset, { oid: 20, typmod: -1 }, "assignment", item.offset.position),
      };
    }
    if (orderBy.length !== 1) {
      throw new DbError(
        "windowingError",
        "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
        { position: frame.position },
      );
    }
    const key = orderBy[0]!.expr.type.oid;
    // Dates and times move by intervals, numbers by their own type.
    const oid = [1082, 1083, 1114, 1184, 1266].includes(key) ? 1186 : key;
    return {
      kind: item.kind,
      offset: coerceTo(binder, offset, { oid, typmod: -1 }, "implicit", item.offset.position),
    };
  };
  const start = bound(frame.start);
  const end: FrameBound = frame.end === undefined ? { kind: "currentRow" } : bound(frame.end);
  return { mode: frame.mode, start, end, exclude: frame.exclude };
}

// ------------------------------------------------------------------------------------------------------- SQL values

const sqlFunctions: Record<
  ast.SqlValueName,
  { readonly fn: string; readonly type: number; readonly precision: boolean }
> = {
  currentDate: { fn: "now", type: 1082, precision: false },
  currentTime: { fn: "now", type: 1266, precision: true },
  currentTimestamp: { fn: "now", type: 1184, precision: true },
  localTime: { fn: "now", type: 1083, precision: true },
  localTimestamp: { fn: "now", type: 1114, precision: true },
  currentRole: { fn: "current_user", type: 19, precision: false },
  currentUser: { fn: "current_user", type: 19, precision: false },
  user: { fn: "current_user", type: 19, precision: false },
  sessionUser: { fn: "session_user", type: 19, precision: false },
  currentCatalog: { fn: "current_database", type: 19, precision: false },
  currentSchema: { fn: "current_schema", type: 19, precision: false },
};

/** CURRENT_DATE and its kin: the function behind it, cast to the type SQL gives it. */
export function bindSqlValue(binder: Binder, node: ast.Expr & { kind: "sqlValue" }): Expr {
  const { fn, type, precision } = sqlFunctions[node.name];
  const call = binder.at(binder.callByName(fn, [], node.position), node.position);
  const typmod = precision && node.precision !== undefined ? node.precision : -1;
  return coerceTo(binder, call, { oid: type, typmod }, "explicit", node.position);
}

// ------------------------------------------------------------------------------------------------ functions in FROM

export function bindFunctionInFrom(binder: Binder, item: ast.FunctionRef, scope: Scope): RangeEntry {
  const { call } = item.functions[0]!;
  const bound = bindExpr(binder, call, scope);
  const name = item.alias?.name ?? figureColumnName(call);
  const aliases = item.alias?.columns ?? [];
  const ordinality: RangeColumn[] = item.ordinality
    ? [{ name: "ordinality", type: { oid: 20, typmod: -1 } }]
    : [];
  const base = {
    id: binder.newRelation(),
    alias: name,
    explicitAlias: item.alias !== undefined,
    columnAliases: aliases.length > 0,
  };
  if (bound.kind !== "setCall" && bound.kind !== "call") {
    // Any other expression (CURRENT_DATE, a cast) is a one-row relation of its value.
    const column = { name: aliases[0] ?? name, type: bound.type };
    return {
      ...base,
      kind: "subquery",
      columns: [column],
      lateral: true,
      query: {
        kind: "select",
        id: binder.newSelect(),
        ctes: [],
        columns: [column],
        relations: [],
        from: [],
        targets: [{ expr: bound, name: column.name, junk: false }],
        groupBy: [],
        grouped: false,
        hasSetCalls: false,
        distinct: "none",
        orderBy: [],
        locks: [],
      },
    };
  }
  const { fn } = bound;
  let columns: RangeColumn[];
  if (fn.outColumns !== undefined && fn.outColumns.length > 0) {
    const element = elementOfPolymorphic(bound);
    columns = fn.outColumns.map((column) => ({
      name: column.name,
      type: { oid: column.type === 2283 && element !== undefined ? element : column.type, typmod: -1 },
    }));
  } else {
    if (bound.type.oid === 2249) {
      throw new DbError(
        "syntaxError",
        'a column definition list is required for functions returning "record"',
        { position: call.position },
      );
    }
    // A scalar function's column takes the relation's alias.
    columns = [{ name, type: bound.type }];
  }
  columns = [...columns, ...ordinality].map((column, index) => ({
    ...column,
    name: aliases[index] ?? column.name,
  }));
  return {
    ...base,
    kind: "function",
    columns,
    fn,
    args: bound.args,
    ordinality: item.ordinality,
    lateral: bound.args.some((arg) => binder.hasColumns(arg)),
  };
}

function elementOfPolymorphic(call: Expr & { kind: "call" | "setCall" }): number | undefined {
  for (const arg of call.args) {
    const element = arrayElementType(arg.type.oid);
    if (element !== undefined) return element;
  }
  return undefined;
}
