/**
 * Binding of queries: SELECT, VALUES, set operations and WITH.
 *
 * Order of work in a SELECT is PostgreSQL's, because it decides which error a wrong query gets: WITH, FROM, target list,
 * WHERE, HAVING, ORDER BY, GROUP BY, DISTINCT, LIMIT, windows, locking, then the grouping rules over the whole.
 *
 * Invariants: after Bind no visible column is of type unknown, unless the caller asked to keep it (INSERT, set operations)
 * and resolves it itself.
 */
import { DbError, notSupported } from "../base/errors.js";
import type { TypeRef } from "../model/schema.js";
import type * as ast from "./ast.js";
import {
  bindExpr,
  coerceTo,
  figureColumnName,
  isUnknown,
  requireBoolean,
  requireSortable,
} from "./bind-expr.js";
import { bindFromList } from "./bind-from.js";
import { checkGrouping } from "./bind-group.js";
import { bindModifyInCte } from "./bind-modify.js";
import { secureRelations } from "./bind-security.js";
import { type Binder, unknownOid } from "./binder.js";
import type { Expr } from "./expr.js";
import type { OutputColumn } from "./plan.js";
import type {
  BoundCte,
  BoundQuery,
  BoundSelect,
  BoundSetOperation,
  BoundValues,
  RangeColumn,
  RowLock,
  Target,
  TargetOrder,
} from "./query.js";
import { commonTypeOf, commonTypmod } from "./resolve.js";
import { findColumn, findRelation, missingRelation, type NamespaceItem, Scope } from "./scope.js";
import { exprKey } from "./walk.js";

export interface QueryOptions {
  /** Leave literals of unknown type as they are: the caller gives them their type. */
  readonly keepUnknown?: boolean | undefined;
  /** INSERT: allows DEFAULT in VALUES rows; expressions come back as `undefined` there. */
  readonly insertDefault?: ((row: number, column: number) => Expr) | undefined;
}

export function bindQuery(
  binder: Binder,
  query: ast.Query,
  parent: Scope | undefined,
  options: QueryOptions = {},
): BoundQuery {
  switch (query.kind) {
    case "select":
      return bindSelect(binder, query, parent, options);
    case "values":
      return bindValues(binder, query, parent, options);
    case "setOperation":
      return bindSetOperation(binder, query, parent, options);
  }
}

// ------------------------------------------------------------------------------------------------------------ WITH

const noCtes: readonly BoundCte[] = [];

/** Binds a WITH clause into the scope. */
export function bindWith(
  binder: Binder,
  clause: ast.WithClause | undefined,
  scope: Scope,
): readonly BoundCte[] {
  if (clause === undefined) return noCtes;
  const out: BoundCte[] = [];
  const names = new Set<string>();
  for (const item of clause.ctes) {
    if (names.has(item.name)) {
      throw new DbError("duplicateAlias", `WITH query name "${item.name}" specified more than once`, {
        position: item.position,
      });
    }
    names.add(item.name);
  }
  for (const item of clause.ctes) {
    if (item.search !== undefined) throw notSupported("SEARCH clause of WITH", item.search.position);
    if (item.cycle !== undefined) throw notSupported("CYCLE clause of WITH", item.cycle.position);
    const cte =
      clause.recursive && mentionsTable(item.statement, item.name)
        ? bindRecursiveCte(binder, item, scope)
        : bindPlainCte(binder, item, scope);
    scope.ctes.set(item.name, cte);
    out.push(cte);
  }
  return out;
}

function cteColumns(item: ast.CommonTableExpr, columns: readonly OutputColumn[]): RangeColumn[] {
  if (item.columns.length > columns.length) {
    throw new DbError(
      "invalidColumnReference",
      `WITH query "${item.name}" has ${columns.length} columns available but ${item.columns.length} columns specified`,
      { position: item.position },
    );
  }
  return columns.map((column, index) => ({ name: item.columns[index] ?? column.name, type: column.type }));
}

function bindPlainCte(binder: Binder, item: ast.CommonTableExpr, scope: Scope): BoundCte {
  const { statement } = item;
  const modifies = statement.kind === "insert" || statement.kind === "update" || statement.kind === "delete";
  if (modifies && scope.parent !== undefined) {
    throw new DbError(
      "featureNotSupported",
      "WITH clause containing a data-modifying statement must be at the top level",
      { position: item.position },
    );
  }
  const query = modifies ? bindModifyInCte(binder, statement, scope) : bindQuery(binder, statement, scope);
  return {
    id: binder.newCte(),
    name: item.name,
    columns: cteColumns(item, query.columns),
    query,
    materialized: item.materialized,
    references: 0,
  };
}

function bindRecursiveCte(binder: Binder, item: ast.CommonTableExpr, scope: Scope): BoundCte {
  const { statement } = item;
  if (
    statement.kind !== "setOperation" ||
    statement.operation !== "union" ||
    mentionsTable(statement.left, item.name)
  ) {
    throw new DbError(
      "invalidRecursion",
      `recursive query "${item.name}" does not have the form non-recursive-term UNION [ALL] recursive-term`,
      { position: item.position },
    );
  }
  if (statement.orderBy.length > 0) throw notSupported("ORDER BY in a recursive query", statement.position);
  if (statement.offset !== undefined) throw notSupported("OFFSET in a recursive query", statement.position);
  if (statement.limit !== undefined) throw notSupported("LIMIT in a recursive query", statement.position);
  if (statement.locking.length > 0) {
    throw notSupported("FOR UPDATE/SHARE in a recursive query", statement.position);
  }
  const inner = new Scope(scope, binder.newSelect());
  const ctes = bindWith(binder, statement.with, inner);
  if (ctes.length > 0) throw notSupported("WITH inside a recursive query", statement.position);
  const start = bindQuery(binder, statement.left, inner);
  const cte: BoundCte = {
    id: binder.newCte(),
    name: item.name,
    columns: cteColumns(item, start.columns),
    query: start,
    references: 0,
  };
  inner.ctes.set(item.name, cte);
  const step = bindQuery(binder, statement.right, inner, { keepUnknown: true });
  if (step.columns.length !== start.columns.length) {
    throw new DbError("syntaxError", "each UNION query must have the same number of columns", {
      position: statement.right.position,
    });
  }
  for (let i = 0; i < start.columns.length; i++) {
    const a = start.columns[i]!.type;
    const b = step.columns[i]!.type;
    if (b.oid === unknownOid || a.oid === b.oid) continue;
    throw new DbError(
      "datatypeMismatch",
      `recursive query "${item.name}" column ${i + 1} has type ${binder.typeText(a)} in non-recursive term but type ${binder.typeText(b)} overall`,
      { position: item.position, hint: "Cast the output of the non-recursive term to the correct type." },
    );
  }
  const retyped = retypeUnknown(
    binder,
    step,
    start.columns.map((column) => column.type),
  );
  if (cte.references > 1) {
    throw new DbError(
      "invalidRecursion",
      `recursive reference to query "${item.name}" must not appear more than once`,
      { position: item.position },
    );
  }
  cte.recursive = { step: retyped, all: statement.all };
  cte.references = 0;
  return cte;
}

/** Whether a syntax tree names a table without schema: looks at every node. */
function mentionsTable(node: unknown, name: string): boolean {
  if (node === null || typeof node !== "object") return false;
  if (Array.isArray(node)) return node.some((item) => mentionsTable(item, name));
  const record = node as { readonly kind?: unknown; readonly name?: unknown };
  if (record.kind === "table" && typeof record.name === "object" && record.name !== null) {
    const written = record.name as ast.QualifiedName;
    if (written.schema === undefined && written.name === name) return true;
  }
  return Object.values(node).some((item) => mentionsTable(item, name));
}

// ---------------------------------------------------------------------------------------------------------- SELECT

interface MutableTarget {
  expr: Expr;
  readonly name: string;
  readonly junk: boolean;
  readonly tableId?: number | undefined;
  readonly attribute?: number | undefined;
  readonly position: number;
}

/** Result columns at most, as in PostgreSQL. */
const targetsMax = 1664;

export function bindTargets(binder: Binder, targets: readonly ast.Target[], scope: Scope): MutableTarget[] {
  const out: MutableTarget[] = [];
  for (const target of targets) {
    const { expr } = target;
    if (expr.kind === "columnRef" && expr.star) {
      expandStar(binder, expr.parts, scope, expr.position, out);
      continue;
    }
    if (expr.kind === "fieldSelect" && expr.field === undefined) {
      throw notSupported("expansion of a composite value", expr.position);
    }
    const bound = bindExpr(binder, expr, scope);
    const name = target.alias ?? figureColumnName(expr);
    out.push({ expr: bound, name, junk: false, ...originOf(binder, bound), position: target.position });
  }
  if (out.length > targetsMax) {
    throw new DbError("tooManyColumns", `target lists can have at most ${targetsMax} entries`);
  }
  return out;
}

/** The table column a result column shows, if it is one. */
function originOf(
  binder: Binder,
  expr: Expr,
): { readonly tableId?: number | undefined; readonly attribute?: number | undefined } {
  if (expr.kind !== "column" || expr.column < 0) return {};
  const scope = binder.relationScopes.get(expr.relation);
  const entry = scope?.relations.find((item) => item.id === expr.relation);
  if (entry === undefined) return {};
  if (entry.kind === "table" || entry.kind === "virtual") {
    return { tableId: entry.table.id, attribute: expr.column + 1 };
  }
  if (entry.kind === "subquery") {
    if (entry.view !== undefined) return { tableId: entry.view.id, attribute: expr.column + 1 };
    const column = entry.query.columns[expr.column];
    return column === undefined ? {} : { tableId: column.tableId, attribute: column.attribute };
  }
  return {};
}

function expandStar(
  binder: Binder,
  parts: readonly string[],
  scope: Scope,
  position: number,
  out: MutableTarget[],
): void {
  const add = (item: NamespaceItem): void => {
    for (const column of item.columns) {
      const expr = binder.at({ ...column.expr }, position);
      binder.markRead(expr);
      out.push({ expr, name: column.name, junk: false, ...originOf(binder, expr), position });
    }
  };
  if (parts.length === 0) {
    let any = false;
    for (const item of scope.items) {
      if (!item.columnsVisible) continue;
      any = true;
      add(item);
    }
    if (!any) {
      throw new DbError("syntaxError", "SELECT * with no tables specified is not valid", { position });
    }
    return;
  }
  const name = parts[parts.length - 1]!;
  const schema = parts.length > 1 ? parts[parts.length - 2] : undefined;
  const found = findRelation(scope, schema, name, position);
  if (found === undefined) throw missingRelation(scope, schema, name, position);
  add(found.item);
}

function bindSelect(
  binder: Binder,
  select: ast.Select,
  parent: Scope | undefined,
  options: QueryOptions,
): BoundSelect {
  if (select.into !== undefined) {
    throw new DbError("syntaxError", "SELECT ... INTO is not allowed here", {
      position: select.into.table.position,
    });
  }
  const scope = new Scope(parent, binder.newSelect());
  const ctes = bindWith(binder, select.with, scope);
  const from = select.from.length === 0 ? [] : bindFromList(binder, select.from, scope);
  scope.clause = "select";
  scope.windows = select.windows;
  const targets = bindTargets(binder, select.targets, scope);

  let where: Expr | undefined;
  if (select.where !== undefined) {
    scope.clause = "where";
    where = requireBoolean(binder, bindExpr(binder, select.where, scope), "WHERE", select.where);
  }
  let having: Expr | undefined;
  if (select.having !== undefined) {
    scope.clause = "having";
    having = requireBoolean(binder, bindExpr(binder, select.having, scope), "HAVING", select.having);
  }
  const orderBy = bindOrderBy(binder, select.orderBy, targets, scope);
  const groupBy = bindGroupBy(binder, select, targets, scope);
  const distinct = bindDistinct(binder, select, targets, orderBy, scope);
  const { limit, offset } = bindLimits(binder, select, scope);
  if (!options.keepUnknown) resolveUnknowns(binder, targets);

  const grouped = groupBy.length > 0 || having !== undefined || scope.hasAggregates;
  checkGrouping(binder, scope, {
    grouped,
    groupBy,
    having,
    targets: targets.map((target) => target.expr),
  });
  const locks = bindLocking(binder, select, scope, grouped, distinct !== "none");
  secureRelations(binder, scope.relations, locks);
  return {
    kind: "select",
    id: scope.id,
    ctes,
    recursiveWith: select.with?.recursive,
    relations: scope.relations,
    from,
    where,
    targets: targets.map(({ expr, name, junk, tableId, attribute }) =>
      tableId === undefined ? { expr, name, junk } : { expr, name, junk, tableId, attribute },
    ),
    columns: outputColumns(targets),
    groupBy,
    having,
    grouped,
    hasSetCalls: scope.hasSetCalls,
    distinct: distinct === "none" || distinct === "all" ? distinct : distinct.targets,
    orderBy: distinct === "none" || distinct === "all" ? orderBy : distinct.orderBy,
    limit,
    offset,
    withTies: select.withTies ? checkTies(select) : undefined,
    locks,
  };
}

function checkTies(query: ast.Query): true {
  if (query.orderBy.length === 0) {
    throw new DbError("syntaxError", "WITH TIES cannot be specified without ORDER BY clause");
  }
  return true;
}

export function outputColumns(targets: readonly MutableTarget[]): OutputColumn[] {
  const out: OutputColumn[] = [];
  for (const target of targets) {
    if (target.junk) continue;
    const column = { name: target.name, type: target.expr.type };
    out.push(
      target.tableId === undefined
        ? column
        : { ...column, tableId: target.tableId, attribute: target.attribute },
    );
  }
  return out;
}

/** Literals that nothing gave a type to become text. */
export function resolveUnknowns(binder: Binder, targets: MutableTarget[]): void {
  for (const target of targets) {
    if (isUnknown(target.expr)) {
      target.expr = coerceTo(binder, target.expr, { oid: 25, typmod: -1 }, "implicit", target.position);
    }
  }
}

// ------------------------------------------------------------------------------------- ORDER BY, GROUP BY, DISTINCT

type SortClause = "ORDER BY" | "GROUP BY" | "DISTINCT ON";

/** The target an ORDER BY, GROUP BY or DISTINCT ON item means; adds a hidden one when it is a new expression. */
function findTarget(
  binder: Binder,
  node: ast.Expr,
  clause: SortClause,
  targets: MutableTarget[],
  scope: Scope,
): number {
  if (node.kind === "columnRef" && !node.star && node.parts.length === 1) {
    const name = node.parts[0]!;
    // In GROUP BY an input column hides an output name; elsewhere the output name wins.
    const hidden = clause === "GROUP BY" && findInOwnScope(scope, name, node.position);
    if (!hidden) {
      let found = -1;
      for (let i = 0; i < targets.length; i++) {
        const target = targets[i]!;
        if (target.junk || target.name !== name) continue;
        if (found < 0) found = i;
        else if (exprKey(targets[found]!.expr) !== exprKey(target.expr)) {
          throw new DbError("ambiguousColumn", `${clause} "${name}" is ambiguous`, {
            position: node.position,
          });
        }
      }
      if (found >= 0) return found;
    }
  }
  if (node.kind === "number" && node.class === "int4") {
    const wanted = Number(node.text);
    let position = 0;
    for (let i = 0; i < targets.length; i++) {
      if (targets[i]!.junk) continue;
      if (++position === wanted) return i;
    }
    throw new DbError("invalidColumnReference", `${clause} position ${wanted} is not in select list`, {
      position: node.position,
    });
  }
  if (node.kind === "number" || node.kind === "string" || node.kind === "boolean" || node.kind === "null") {
    if (node.kind !== "null") {
      throw new DbError("syntaxError", `non-integer constant in ${clause}`, { position: node.position });
    }
  }
  const expr = bindExpr(binder, node, scope);
  const key = exprKey(expr);
  for (let i = 0; i < targets.length; i++) if (exprKey(targets[i]!.expr) === key) return i;
  targets.push({ expr, name: figureColumnName(node), junk: true, position: node.position });
  return targets.length - 1;
}

function findInOwnScope(scope: Scope, name: string, position: number): boolean {
  return findColumn(scope, name, position)?.level === 0;
}

function bindOrderBy(
  binder: Binder,
  items: readonly ast.SortItem[],
  targets: MutableTarget[],
  scope: Scope,
): TargetOrder[] {
  if (items.length === 0) return [];
  scope.clause = "orderBy";
  const out: TargetOrder[] = [];
  for (const item of items) {
    const target = findTarget(binder, item.expr, "ORDER BY", targets, scope);
    const chosen = targets[target]!;
    if (isUnknown(chosen.expr)) {
      chosen.expr = coerceTo(binder, chosen.expr, { oid: 25, typmod: -1 }, "implicit", item.position);
    }
    requireSortable(binder, chosen.expr.type, item.expr.position);
    if (out.some((earlier) => earlier.target === target)) continue; // a later mention changes nothing
    out.push({ target, ...sortDirection(item) });
  }
  return out;
}

/** Direction of a sort item; NULLs are larger than everything unless said otherwise. */
export function sortDirection(item: ast.SortItem): { descending: boolean; nullsFirst: boolean } {
  let descending = item.direction === "desc";
  if (item.using !== undefined) {
    const { name } = item.using;
    if (name !== "<" && name !== ">") {
      throw new DbError("wrongObjectType", `operator ${name} is not a valid ordering operator`, {
        position: item.position,
        hint: 'Ordering operators must be "<" or ">" members of btree operator families.',
      });
    }
    descending = name === ">";
  }
  const nullsFirst = item.nulls === undefined ? descending : item.nulls === "first";
  return { descending, nullsFirst };
}

function bindGroupBy(binder: Binder, select: ast.Select, targets: MutableTarget[], scope: Scope): Expr[] {
  if (select.groupBy.length === 0) return [];
  scope.clause = "groupBy";
  const out: Expr[] = [];
  const seen = new Set<string>();
  const add = (node: ast.Expr): void => {
    if (node.kind === "row" && !node.explicit) {
      node.args.forEach(add);
      return;
    }
    const index = findTarget(binder, node, "GROUP BY", targets, scope);
    const target = targets[index]!;
    if (isUnknown(target.expr)) {
      target.expr = coerceTo(binder, target.expr, { oid: 25, typmod: -1 }, "implicit", node.position);
    }
    requireSortable(binder, target.expr.type, node.position);
    const key = exprKey(target.expr);
    if (!seen.has(key)) out.push(target.expr);
    seen.add(key);
    // A hidden target made only for GROUP BY need not be computed as an output.
    if (target.junk && index === targets.length - 1) targets.pop();
  };
  const hiddenBefore = targets.length;
  for (const item of select.groupBy) {
    if (item.kind !== "expr") throw notSupported("grouping sets", item.position);
    add(item.expr);
  }
  if (targets.length < hiddenBefore) throw new DbError("internalError", "GROUP BY dropped a target");
  return out;
}

function bindDistinct(
  binder: Binder,
  select: ast.Select,
  targets: MutableTarget[],
  orderBy: TargetOrder[],
  scope: Scope,
): "none" | "all" | { readonly targets: number[]; readonly orderBy: TargetOrder[] } {
  const { distinct } = select;
  if (distinct === undefined) return "none";
  if (distinct.on.length === 0) {
    for (const item of orderBy) {
      if (targets[item.target]!.junk) {
        throw new DbError(
          "invalidColumnReference",
          "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
          { position: targets[item.target]!.position },
        );
      }
    }
    for (const target of targets) {
      if (!target.junk && !isUnknown(target.expr)) requireSortable(binder, target.expr.type, target.position);
    }
    return "all";
  }
  scope.clause = "distinctOn";
  const wanted: number[] = [];
  for (const node of distinct.on) {
    const index = findTarget(binder, node, "DISTINCT ON", targets, scope);
    requireSortable(binder, targets[index]!.expr.type, node.position);
    if (!wanted.includes(index)) wanted.push(index);
  }
  // The DISTINCT ON expressions must be the first of ORDER BY, in any order.
  const order = [...orderBy];
  const left = new Set(wanted);
  for (let i = 0; i < order.length && left.size > 0; i++) {
    if (!left.delete(order[i]!.target)) {
      throw new DbError(
        "invalidColumnReference",
        "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
        { position: distinct.on[wanted.indexOf([...left][0]!)]!.position },
      );
    }
  }
  return { targets: wanted, orderBy: order };
}

function bindLimits(
  binder: Binder,
  query: ast.Query,
  scope: Scope,
): { limit: Expr | undefined; offset: Expr | undefined } {
  return {
    limit: query.limit === undefined ? undefined : bindCount(binder, query.limit, "LIMIT", "limit", scope),
    offset:
      query.offset === undefined ? undefined : bindCount(binder, query.offset, "OFFSET", "offset", scope),
  };
}

function bindCount(
  binder: Binder,
  node: ast.Expr,
  name: "LIMIT" | "OFFSET",
  clause: "limit" | "offset",
  scope: Scope,
): Expr {
  const saved = scope.clause;
  scope.clause = clause;
  const bound = bindExpr(binder, node, scope);
  scope.clause = saved;
  const int8: TypeRef = { oid: 20, typmod: -1 };
  const count = coerceTo(binder, bound, int8, "assignment", node.position, undefined, () => {
    throw new DbError(
      "datatypeMismatch",
      `argument of ${name} must be type bigint, not type ${binder.typeText(bound.type)}`,
      { position: node.position },
    );
  });
  const own = new Set(scope.relations.map((entry) => entry.id));
  binder.forEachColumn(count, (column) => {
    if (own.has(column.relation)) {
      throw new DbError("invalidColumnReference", `argument of ${name} must not contain variables`, {
        position: binder.positionOf(column) ?? node.position,
      });
    }
  });
  return count;
}

// ---------------------------------------------------------------------------------------------------------- locking

const lockNames: Record<ast.LockingClause["strength"], string> = {
  update: "FOR UPDATE",
  noKeyUpdate: "FOR NO KEY UPDATE",
  share: "FOR SHARE",
  keyShare: "FOR KEY SHARE",
};

function bindLocking(
  binder: Binder,
  select: ast.Select,
  scope: Scope,
  grouped: boolean,
  distinct: boolean,
): RowLock[] {
  const out: RowLock[] = [];
  for (const clause of select.locking) {
    const name = lockNames[clause.strength];
    const refuse = (what: string): never => {
      throw new DbError("featureNotSupported", `${name} is not allowed with ${what}`, {
        position: clause.position,
      });
    };
    if (distinct) refuse("DISTINCT clause");
    if (select.groupBy.length > 0) refuse("GROUP BY clause");
    if (select.having !== undefined) refuse("HAVING clause");
    if (scope.hasAggregates || grouped) refuse("aggregate functions");
    if (scope.hasWindows) refuse("window functions");
    if (scope.hasSetCalls) refuse("set-returning functions in the target list");
    const lock = (relation: number): void => {
      const entry = scope.relations.find((item) => item.id === relation)!;
      if (entry.kind === "subquery" && entry.masked !== undefined) {
        throw new DbError(
          "featureNotSupported",
          `${name} cannot be applied to the nullable side of an outer join`,
          { position: clause.position },
        );
      }
      if (entry.kind !== "table") return;
      binder.need(entry.table, "w");
      const at = out.findIndex((item) => item.relation === relation);
      const wanted = { relation, strength: clause.strength, waitPolicy: clause.waitPolicy };
      if (at < 0) out.push(wanted);
      else if (lockRank[wanted.strength] > lockRank[out[at]!.strength]) out[at] = wanted;
    };
    if (clause.tables.length === 0) for (const entry of scope.relations) lock(entry.id);
    for (const table of clause.tables) {
      if (table.schema !== undefined) {
        throw new DbError("syntaxError", `${name} must specify unqualified relation names`, {
          position: table.position,
        });
      }
      const entry = scope.relations.find((item) => item.alias === table.name);
      if (entry === undefined) {
        throw new DbError(
          "undefinedTable",
          `relation "${table.name}" in ${name} clause not found in FROM clause`,
          {
            position: table.position,
          },
        );
      }
      if (entry.kind === "cte") {
        throw new DbError("featureNotSupported", `${name} cannot be applied to a WITH query`, {
          position: table.position,
        });
      }
      if (entry.kind === "function") {
        throw new DbError("featureNotSupported", `${name} cannot be applied to a function`, {
          position: table.position,
        });
      }
      lock(entry.id);
    }
  }
  return out;
}

const lockRank = { keyShare: 0, share: 1, noKeyUpdate: 2, update: 3 } as const;

// ---------------------------------------------------------------------------------------------------------- VALUES

function bindValues(
  binder: Binder,
  values: ast.Values,
  parent: Scope | undefined,
  options: QueryOptions,
): BoundValues {
  const scope = new Scope(parent, binder.newSelect());
  const ctes = bindWith(binder, values.with, scope);
  scope.clause = "values";
  const width = values.rows[0]!.length;
  const rows: Expr[][] = [];
  for (let i = 0; i < values.rows.length; i++) {
    const row = values.rows[i]!;
    if (row.length !== width) {
      throw new DbError("syntaxError", "VALUES lists must all be the same length", {
        position: row[0]?.position ?? values.position,
      });
    }
    rows.push(
      row.map((node) => {
        if (node.kind === "default") {
          throw new DbError("syntaxError", "DEFAULT is not allowed in this context", {
            position: node.position,
          });
        }
        return bindExpr(binder, node, scope);
      }),
    );
  }
  const types: TypeRef[] = [];
  for (let column = 0; column < width; column++) {
    const list = rows.map((row) => row[column]!);
    const positions = values.rows.map((row) => row[column]!.position);
    let oid = commonTypeOf(binder, list, "VALUES", positions);
    if (oid === unknownOid && !options.keepUnknown) oid = 25;
    if (oid === unknownOid) {
      types.push({ oid, typmod: -1 });
      continue;
    }
    const type = { oid, typmod: commonTypmod(list, oid) };
    rows.forEach((row, index) => {
      row[column] = coerceTo(binder, row[column]!, { oid, typmod: -1 }, "implicit", positions[index]!);
    });
    types.push(type);
  }
  const columns = types.map((type, index) => ({ name: `column${index + 1}`, type }));
  const targets = columns.map(
    (column): MutableTarget => ({
      expr: { kind: "const", type: column.type, value: null },
      name: column.name,
      junk: false,
      position: values.position,
    }),
  );
  const orderBy = orderByNames(binder, values, targets);
  const { limit, offset } = bindLimits(binder, values, scope);
  if (values.locking.length > 0) {
    throw new DbError(
      "featureNotSupported",
      `${lockNames[values.locking[0]!.strength]} cannot be applied to VALUES`,
      { position: values.locking[0]!.position },
    );
  }
  return {
    kind: "values",
    ctes,
    recursiveWith: values.with?.recursive,
    columns,
    rows,
    orderBy,
    limit,
    offset,
    withTies: values.withTies ? checkTies(values) : undefined,
  };
}

/** ORDER BY of a query without a target list of its own: output names and positions alone. */
function orderByNames(binder: Binder, query: ast.Query, targets: readonly MutableTarget[]): TargetOrder[] {
  const out: TargetOrder[] = [];
  for (const item of query.orderBy) {
    const node = item.expr;
    let target = -1;
    if (node.kind === "columnRef" && node.parts.length === 1 && !node.star) {
      const name = node.parts[0]!;
      const matches = targets.flatMap((candidate, index) => (candidate.name === name ? [index] : []));
      if (matches.length > 1) {
        throw new DbError("ambiguousColumn", `ORDER BY "${name}" is ambiguous`, { position: node.position });
      }
      if (matches.length === 0) {
        throw new DbError("undefinedColumn", `column "${name}" does not exist`, { position: node.position });
      }
      target = matches[0]!;
    } else if (node.kind === "number" && node.class === "int4") {
      target = Number(node.text) - 1;
      if (target < 0 || target >= targets.length) {
        throw new DbError("invalidColumnReference", `ORDER BY position ${node.text} is not in select list`, {
          position: node.position,
        });
      }
    } else {
      throw new DbError(
        "featureNotSupported",
        query.kind === "values"
          ? "ORDER BY expressions over VALUES are not supported yet"
          : "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
        {
          position: node.position,
          detail: "Only result column names can be used, not expressions or functions.",
          hint: "Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
        },
      );
    }
    requireSortable(binder, targets[target]!.expr.type, node.position);
    if (!out.some((earlier) => earlier.target === target)) out.push({ target, ...sortDirection(item) });
  }
  return out;
}

// ------------------------------------------------------------------------------------------------- set operations

function bindSetOperation(
  binder: Binder,
  query: ast.SetOperation,
  parent: Scope | undefined,
  _options: QueryOptions,
): BoundSetOperation {
  const scope = new Scope(parent, binder.newSelect());
  const ctes = bindWith(binder, query.with, scope);
  // Without a WITH of its own the arms are nested in what is around: one scope less to look through.
  const around = query.with === undefined ? parent : scope;
  const name = query.operation.toUpperCase();
  let left = bindArm(binder, query.left, around);
  let right = bindArm(binder, query.right, around);
  if (left.columns.length !== right.columns.length) {
    throw new DbError("syntaxError", `each ${name} query must have the same number of columns`, {
      position: firstPosition(query.right),
    });
  }
  const types: TypeRef[] = [];
  for (let i = 0; i < left.columns.length; i++) {
    const a: Expr = { kind: "const", type: left.columns[i]!.type, value: null };
    const b: Expr = { kind: "const", type: right.columns[i]!.type, value: null };
    let oid = commonTypeOf(binder, [a, b], name, [firstPosition(query.left), firstPosition(query.right)]);
    if (oid === unknownOid) oid = 25;
    const typmod =
      a.type.oid === b.type.oid && a.type.oid === oid && a.type.typmod === b.type.typmod ? a.type.typmod : -1;
    types.push({ oid, typmod });
  }
  left = retypeUnknown(binder, left, types);
  right = retypeUnknown(binder, right, types);
  const leftRelation = binder.newRelation();
  const rightRelation = binder.newRelation();
  const leftCasts = armCasts(binder, left, leftRelation, types, query.position);
  const rightCasts = armCasts(binder, right, rightRelation, types, query.position);
  if (!(query.operation === "union" && query.all)) {
    for (const type of types) requireSortable(binder, type, query.position);
  }
  const columns = left.columns.map((column, index) => ({ name: column.name, type: types[index]! }));
  const targets = columns.map(
    (column): MutableTarget => ({
      expr: { kind: "const", type: column.type, value: null },
      name: column.name,
      junk: false,
      position: query.position,
    }),
  );
  const orderBy = orderByNames(binder, query, targets);
  const { limit, offset } = bindLimits(binder, query, scope);
  if (query.locking.length > 0) {
    throw new DbError(
      "featureNotSupported",
      `${lockNames[query.locking[0]!.strength]} is not allowed with UNION/INTERSECT/EXCEPT`,
      { position: query.locking[0]!.position },
    );
  }
  return {
    kind: "setOperation",
    operation: query.operation,
    all: query.all,
    ctes,
    recursiveWith: query.with?.recursive,
    columns,
    left,
    right,
    leftRelation,
    rightRelation,
    leftCasts,
    rightCasts,
    orderBy,
    limit,
    offset,
    withTies: query.withTies ? checkTies(query) : undefined,
  };
}

function bindArm(binder: Binder, arm: ast.Query, parent: Scope | undefined): BoundQuery {
  return bindQuery(binder, arm, parent, { keepUnknown: true });
}

function firstPosition(query: ast.Query): number {
  switch (query.kind) {
    case "select":
      return query.targets[0]?.expr.position ?? query.position;
    case "values":
      return query.rows[0]?.[0]?.position ?? query.position;
    case "setOperation":
      return firstPosition(query.left);
  }
}

/** Gives the unknown literals of a query's visible columns the wanted types, where they stand. */
export function retypeUnknown(binder: Binder, query: BoundQuery, types: readonly TypeRef[]): BoundQuery {
  if (!query.columns.some((column) => column.type.oid === unknownOid)) return query;
  const typeOf = (index: number): TypeRef => ({ oid: types[index]!.oid, typmod: -1 });
  const coerce = (expr: Expr, index: number): Expr =>
    isUnknown(expr) ? coerceTo(binder, expr, typeOf(index), "implicit", binder.positionOf(expr) ?? 0) : expr;
  const columns = query.columns.map((column, index) =>
    column.type.oid === unknownOid ? { ...column, type: typeOf(index) } : column,
  );
  switch (query.kind) {
    case "values":
      return { ...query, columns, rows: query.rows.map((row) => row.map(coerce)) };
    case "select": {
      let visible = -1;
      const targets = query.targets.map((target): Target => {
        if (target.junk) return target;
        visible++;
        return { ...target, expr: coerce(target.expr, visible) };
      });
      return { ...query, columns, targets };
    }
    case "setOperation":
      return query; // its columns were settled when it was bound
  }
}

function armCasts(
  binder: Binder,
  arm: BoundQuery,
  relation: number,
  types: readonly TypeRef[],
  position: number,
): Expr[] | undefined {
  if (arm.columns.every((column, index) => column.type.oid === types[index]!.oid)) return undefined;
  return arm.columns.map((column, index) =>
    coerceTo(
      binder,
      { kind: "column", type: column.type, level: 0, relation, column: index },
      { oid: types[index]!.oid, typmod: -1 },
      "implicit",
      position,
    ),
  );
}

export type { MutableTarget };
