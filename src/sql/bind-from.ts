/**
 * Binding of FROM: relations, joins, subqueries, functions, CTE references and views.
 *
 * Invariants: every range entry is added to its scope's `relations` before anything can refer to it; after FROM is bound
 * no namespace item is lateral-only.
 */
import { DbError, notSupported } from "../base/errors.js";
import type { ViewDesc } from "../model/schema.js";
import type * as ast from "./ast.js";
import { bindFunctionInFrom } from "./bind-call.js";
import { bindExpr, coerceTo, equalityOf, requireBoolean } from "./bind-expr.js";
import { bindQuery } from "./bind-query.js";
import { columnMasks, maskedEntry } from "./bind-security.js";
import { type Binder, tableEntry } from "./binder.js";
import type { Expr } from "./expr.js";
import { parseQueryText } from "./parse-text.js";
import type { BoundJoinType, FromNode, RangeColumn, RangeEntry } from "./query.js";
import { commonTypeOf } from "./resolve.js";
import { checkAliases, findInItem, type NamespaceItem, type Scope, type ScopeColumn } from "./scope.js";
import { boolType, conjunction } from "./walk.js";

interface FromResult {
  readonly node: FromNode;
  readonly items: NamespaceItem[];
  /** Columns in the order of `*`. */
  readonly columns: readonly ScopeColumn[];
}

const viewDepthMax = 100;

/** Binds the comma-separated items of FROM into the scope; answers the join trees. */
export function bindFromList(binder: Binder, list: readonly ast.FromItem[], scope: Scope): FromNode[] {
  const nodes: FromNode[] = [];
  for (const item of list) {
    const result = bindFromItem(binder, item, scope);
    checkAliases(scope.items, result.items);
    for (const entry of result.items) {
      entry.lateralOnly = true;
      entry.lateralOk = true;
      scope.items.push(entry);
    }
    nodes.push(result.node);
  }
  for (const item of scope.items) item.lateralOnly = false;
  return nodes;
}

/** A namespace item and leaf for one range entry. */
export function addEntry(
  binder: Binder,
  entry: RangeEntry,
  scope: Scope,
  names: {
    readonly schema?: string | undefined;
    readonly relationName?: string | undefined;
    /** What columns stand for that are not shown as they are. */
    readonly masks?: ReadonlyMap<number, Expr> | undefined;
  } = {},
): FromResult {
  scope.relations.push(entry);
  binder.relationScopes.set(entry.id, scope);
  const columns: ScopeColumn[] = [];
  for (let column = 0; column < entry.columns.length; column++) {
    const described = entry.columns[column]!;
    if (described.dropped) continue;
    columns.push({
      name: described.name,
      expr: names.masks?.get(column) ?? {
        kind: "column",
        type: described.type,
        level: 0,
        relation: entry.id,
        column,
      },
    });
  }
  const item: NamespaceItem = {
    alias: entry.alias,
    schema: names.schema,
    relationName: names.relationName,
    columns,
    entry,
    relationVisible: true,
    columnsVisible: true,
    lateralOnly: false,
    lateralOk: true,
  };
  return { node: { kind: "relation", relation: entry.id }, items: [item], columns };
}

function bindFromItem(binder: Binder, item: ast.FromItem, scope: Scope): FromResult {
  switch (item.kind) {
    case "table":
      return bindTableRef(binder, item, scope);
    case "subqueryRef":
      return bindSubqueryRef(binder, item, scope);
    case "functionRef":
      return bindFunctionRef(binder, item, scope);
    case "join":
      return bindJoin(binder, item, scope);
  }
}

function checkColumnAliases(alias: ast.Alias | undefined, available: number): void {
  if (alias === undefined || alias.columns.length <= available) return;
  throw new DbError(
    "invalidColumnReference",
    `table "${alias.name}" has ${available} columns available but ${alias.columns.length} columns specified`,
    { position: alias.position },
  );
}

function renamed(columns: readonly RangeColumn[], aliases: readonly string[]): RangeColumn[] {
  return columns.map((column, index) => ({ ...column, name: aliases[index] ?? column.name }));
}

function bindTableRef(binder: Binder, item: ast.TableRef, scope: Scope): FromResult {
  if (item.sample !== undefined) throw notSupported("TABLESAMPLE", item.sample.position);
  const { name, alias } = item;
  if (name.schema === undefined) {
    const cte = scope.findCte(name.name);
    if (cte !== undefined) {
      if ("returning" in cte.query && cte.columns.length === 0) {
        throw new DbError(
          "featureNotSupported",
          `WITH query "${cte.name}" does not have a RETURNING clause`,
          {
            position: name.position,
          },
        );
      }
      cte.references++;
      checkColumnAliases(alias, cte.columns.length);
      return addEntry(
        binder,
        {
          kind: "cte",
          id: binder.newRelation(),
          alias: alias?.name ?? name.name,
          explicitAlias: alias !== undefined,
          columnAliases: (alias?.columns.length ?? 0) > 0,
          columns: renamed(cte.columns, alias?.columns ?? []),
          cte,
        },
        scope,
      );
    }
  }
  const relation = binder.relation(name);
  const live = relation.kind === "sequence" ? 3 : relation.columns.filter((column) => !column.dropped).length;
  checkColumnAliases(alias, live);
  if (relation.kind === "sequence") throw notSupported("reading a sequence as a table", name.position);
  const names = {
    schema: binder.catalog.schemaById(relation.schemaId)?.name,
    relationName: relation.name,
  };
  if (relation.kind === "view") {
    const entry = viewEntry(binder, relation, alias);
    binder.needRead(entry.id, relation);
    return addEntry(binder, entry, scope, names);
  }
  const entry = tableEntry(binder, relation, alias?.name, alias?.columns);
  binder.needRead(entry.id, relation);
  const masks = columnMasks(binder, entry);
  if (masks === undefined || entry.kind !== "table") return addEntry(binder, entry, scope, names);
  if (scope.nullable > 0) return addEntry(binder, maskedEntry(binder, entry, masks), scope, names);
  return addEntry(binder, entry, scope, { ...names, masks });
}

/** Whether a boolean option of the view is on. */
function isOn(view: ViewDesc, option: string): boolean {
  const value = view.options?.[option];
  return value !== undefined && /^(t(r(ue?)?)?|y(es?)?|on|1)$/i.test(value);
}

/** A view stands for its query, bound anew with its owner's rights, or with those of who uses it (security_invoker). */
function viewEntry(binder: Binder, view: ViewDesc, alias: ast.Alias | undefined): RangeEntry {
  if (binder.viewDepth >= viewDepthMax) {
    throw new DbError("invalidRecursion", `infinite recursion detected in rules for relation "${view.name}"`);
  }
  const savedRole = binder.asRole;
  const savedPath = binder.searchPath;
  const id = binder.newRelation();
  binder.asRole = isOn(view, "security_invoker") ? undefined : view.owner;
  binder.searchPath = [];
  binder.viewDepth++;
  const query = bindQuery(binder, parseQueryText(view.querySql), undefined);
  binder.viewDepth--;
  binder.asRole = savedRole;
  binder.searchPath = savedPath;
  return {
    kind: "subquery",
    id,
    alias: alias?.name ?? view.name,
    explicitAlias: alias !== undefined,
    columnAliases: (alias?.columns.length ?? 0) > 0,
    columns: query.columns.map((column, index) => ({
      name: alias?.columns[index] ?? view.columns[index]?.name ?? column.name,
      type: column.type,
    })),
    query,
    lateral: false,
    barrier: isOn(view, "security_barrier") ? true : undefined,
    view,
  };
}

function bindSubqueryRef(binder: Binder, item: ast.SubqueryRef, scope: Scope): FromResult {
  // A LATERAL subquery sees the items to its left; others only what is around this query.
  const saved = scope.lateralActive;
  scope.lateralActive = item.lateral;
  const savedClause = scope.clause;
  scope.clause = "fromSubselect";
  const before = binder.relationCount;
  const query = bindQuery(binder, item.query, hideUnlessLateral(scope));
  scope.clause = savedClause;
  scope.lateralActive = saved;
  checkColumnAliases(item.alias, query.columns.length);
  const aliases = item.alias?.columns ?? [];
  return addEntry(
    binder,
    {
      kind: "subquery",
      id: binder.newRelation(),
      alias: item.alias?.name ?? `unnamed_subquery_${before}`,
      explicitAlias: true,
      columnAliases: aliases.length > 0,
      columns: renamed(
        query.columns.map((column) => ({ name: column.name, type: column.type })),
        aliases,
      ),
      query,
      lateral: item.lateral,
    },
    scope,
  );
}

/** The scope a FROM subquery is nested in: this one, whose lateral items are guarded by `lateralActive`. */
function hideUnlessLateral(scope: Scope): Scope {
  return scope;
}

function bindFunctionRef(binder: Binder, item: ast.FunctionRef, scope: Scope): FromResult {
  if (item.rowsFrom && item.functions.length !== 1) throw notSupported("ROWS FROM", item.position);
  const columnDefs = item.columns.length > 0 ? item.columns : item.functions[0]!.columns;
  if (columnDefs.length > 0) {
    throw notSupported("column definition lists of functions in FROM", item.position);
  }
  const savedLateral = scope.lateralActive;
  const savedClause = scope.clause;
  scope.lateralActive = true; // arguments of a function in FROM may always refer sideways
  scope.clause = "fromFunction";
  const entry = bindFunctionInFrom(binder, item, scope);
  scope.clause = savedClause;
  scope.lateralActive = savedLateral;
  checkColumnAliases(item.alias, entry.columns.length);
  return addEntry(binder, entry, scope);
}

const joinTypes: Record<ast.Join["type"], BoundJoinType> = {
  inner: "inner",
  left: "left",
  right: "right",
  full: "full",
  cross: "cross",
};

function bindJoin(binder: Binder, join: ast.Join, scope: Scope): FromResult {
  const leftNullable = join.type === "right" || join.type === "full" ? 1 : 0;
  const rightNullable = join.type === "left" || join.type === "full" ? 1 : 0;
  scope.nullable += leftNullable;
  const left = bindFromItem(binder, join.left, scope);
  scope.nullable -= leftNullable;
  // The right side may refer to the left laterally, unless the join would null-extend the left.
  const lateralOk = join.type === "inner" || join.type === "left" || join.type === "cross";
  const mark = scope.items.length;
  for (const item of left.items) {
    item.lateralOnly = true;
    item.lateralOk = lateralOk;
    scope.items.push(item);
  }
  scope.nullable += rightNullable;
  const right = bindFromItem(binder, join.right, scope);
  scope.nullable -= rightNullable;
  scope.items.length = mark;
  checkAliases(left.items, right.items);

  let using = join.using;
  if (join.natural) {
    const rightNames = new Set(right.columns.map((column) => column.name));
    using = left.columns.filter((column) => rightNames.has(column.name)).map((column) => column.name);
  }
  let columns: ScopeColumn[];
  let on: Expr | undefined;
  const merged: ScopeColumn[] = [];
  if (using !== undefined) {
    const conditions: Expr[] = [];
    const seen = new Set<string>();
    for (const name of using) {
      if (seen.has(name)) {
        throw new DbError("duplicateColumn", `column name "${name}" appears more than once in USING clause`, {
          position: join.position,
        });
      }
      seen.add(name);
      const l = usingColumn(left, name, "left", join.position);
      const r = usingColumn(right, name, "right", join.position);
      binder.markRead(l);
      binder.markRead(r);
      conditions.push(equalityOf(binder, l, r, join.position));
      merged.push({ name, expr: mergeColumns(binder, l, r, join, name) });
    }
    on = conjunction(conditions);
    columns = [
      ...merged,
      ...left.columns.filter((column) => !seen.has(column.name)),
      ...right.columns.filter((column) => !seen.has(column.name)),
    ];
  } else columns = [...left.columns, ...right.columns];

  const items = [...left.items, ...right.items];
  for (const item of items) item.lateralOnly = false;
  if (join.on !== undefined) {
    // ON sees the two sides of this join (and, in a LATERAL item, nothing more than they do).
    const savedItems = scope.items.splice(0);
    scope.items.push(...savedItems.filter((item) => item.lateralOnly), ...items);
    const savedClause = scope.clause;
    scope.clause = "joinOn";
    on = requireBoolean(binder, bindExpr(binder, join.on, scope), "JOIN/ON", join.on);
    scope.clause = savedClause;
    scope.items.length = 0;
    scope.items.push(...savedItems);
  }
  if (on === undefined && join.type !== "inner" && join.type !== "cross") {
    on = { kind: "const", type: boolType, value: true };
  }
  for (const item of items) item.columnsVisible = false;
  if (join.alias !== undefined) {
    checkColumnAliases(join.alias, columns.length);
    columns = columns.map((column, index) => ({
      name: join.alias!.columns[index] ?? column.name,
      expr: column.expr,
    }));
  }
  const node: FromNode = {
    kind: "join",
    type: joinTypes[join.type],
    left: left.node,
    right: right.node,
    on,
    using,
  };
  const own: NamespaceItem = {
    alias: join.alias?.name,
    columns,
    relationVisible: join.alias !== undefined,
    columnsVisible: true,
    lateralOnly: false,
    lateralOk: true,
  };
  const extra: NamespaceItem[] = [own];
  if (join.usingAlias !== undefined) {
    extra.push({
      alias: join.usingAlias,
      columns: merged,
      relationVisible: true,
      columnsVisible: false,
      lateralOnly: false,
      lateralOk: true,
    });
  }
  if (join.alias !== undefined) {
    // An aliased join hides what it is made of.
    for (const item of items) item.relationVisible = false;
  }
  return { node, items: [...items, ...extra], columns };
}

function usingColumn(side: FromResult, name: string, which: "left" | "right", position: number): Expr {
  const item = { alias: undefined, columns: side.columns } as NamespaceItem;
  let found: Expr | undefined;
  try {
    found = findInItem(item, name, position);
  } catch (error) {
    if (error instanceof DbError && error.condition === "ambiguousColumn") {
      throw new DbError(
        "ambiguousColumn",
        `common column name "${name}" appears more than once in ${which} table`,
        { position },
      );
    }
    throw error;
  }
  if (found === undefined) {
    throw new DbError(
      "undefinedColumn",
      `column "${name}" specified in USING clause does not exist in ${which} table`,
      { position },
    );
  }
  return found;
}

/** The one column that USING shows: that of the side which is never null-extended, or the first that is not null. */
function mergeColumns(binder: Binder, l: Expr, r: Expr, join: ast.Join, name: string): Expr {
  const common = commonTypeOf(binder, [l, r], "JOIN/USING", [join.position, join.position]);
  const typmod = l.type.oid === r.type.oid && l.type.typmod === r.type.typmod ? l.type.typmod : -1;
  const type = { oid: common, typmod };
  const left = coerceTo(binder, l, type, "implicit", join.position, name);
  const right = coerceTo(binder, r, type, "implicit", join.position, name);
  switch (join.type) {
    case "inner":
    case "cross":
    case "left":
      return join.type === "inner" && left !== l && right === r ? right : left;
    case "right":
      return right;
    case "full":
      return { kind: "coalesce", type, args: [left, right] };
  }
}
