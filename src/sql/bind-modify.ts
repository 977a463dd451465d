/**
 * Binding of INSERT, UPDATE and DELETE.
 *
 * Invariants: every value is cast to its column's type in assignment context; an INSERT names every live column of its
 * table, with defaults filled in; CHECK constraints of the table come bound over the target entry.
 */
import { DbError, notSupported } from "../base/errors.js";
import type { ColumnDesc, IndexDesc, TableDesc } from "../model/schema.js";
import type * as ast from "./ast.js";
import { bindExpr, coerceTo, requireBoolean } from "./bind-expr.js";
import { addEntry, bindFromList } from "./bind-from.js";
import { bindQuery, bindTargets, bindWith, outputColumns, resolveUnknowns } from "./bind-query.js";
import { columnMasks, conflictChecks, rowChecks, secureRelations, secureTarget } from "./bind-security.js";
import { bindTableExpression, indexPredicate } from "./bind-table.js";
import { type Binder, tableEntry } from "./binder.js";
import type { Expr } from "./expr.js";
import type { OutputColumn } from "./plan.js";
import type {
  BoundCheck,
  BoundDelete,
  BoundInsert,
  BoundModify,
  BoundOnConflict,
  BoundQuery,
  BoundUpdate,
  RangeEntry,
  Target,
} from "./query.js";
import { Scope } from "./scope.js";
import { conjuncts, exprKey } from "./walk.js";

type ModifyStatement = ast.Insert | ast.Update | ast.Delete;

export function bindModify(
  binder: Binder,
  statement: ModifyStatement,
  parent: Scope | undefined,
): BoundModify {
  switch (statement.kind) {
    case "insert":
      return bindInsert(binder, statement, parent);
    case "update":
      return bindUpdate(binder, statement, parent);
    case "delete":
      return bindDelete(binder, statement, parent);
  }
}

/** A data-modifying WITH item: sees the earlier items of the same clause. */
export function bindModifyInCte(binder: Binder, statement: ModifyStatement, scope: Scope): BoundModify {
  return bindModify(binder, statement, scope);
}

/** The table a statement writes to; other kinds of relation are refused as PostgreSQL does. */
export function targetTable(binder: Binder, name: ast.QualifiedName, verb: string): TableDesc {
  const relation = binder.relation(name);
  switch (relation.kind) {
    case "table":
      return relation;
    case "view":
      throw notSupported(`${verb} through a view`, name.position);
    case "sequence":
      throw new DbError("wrongObjectType", `cannot change sequence "${relation.name}"`, {
        position: name.position,
      });
    case "virtual":
      throw new DbError(
        "insufficientPrivilege",
        `permission denied: "${relation.name}" is a system catalog`,
        {
          position: name.position,
        },
      );
  }
}

function columnNumber(table: TableDesc, name: string, position: number): number {
  const at = table.columns.findIndex((column) => column.name === name && !column.dropped);
  if (at < 0) {
    throw new DbError("undefinedColumn", `column "${name}" of relation "${table.name}" does not exist`, {
      position,
    });
  }
  return at;
}

function plainColumn(table: TableDesc, target: ast.AssignTarget): number {
  const column = columnNumber(table, target.column, target.position);
  if (target.path.length > 0) throw notSupported("assignment to a part of a column", target.position);
  return column;
}

/** A value as its column stores it; 42804 when there is no assignment cast. */
export function assign(binder: Binder, expr: Expr, column: ColumnDesc, position: number): Expr {
  return coerceTo(binder, expr, column.type, "assignment", position, column.name, () => {
    throw new DbError(
      "datatypeMismatch",
      `column "${column.name}" is of type ${binder.typeText({ oid: column.type.oid, typmod: -1 })} but expression is of type ${binder.typeText({ oid: expr.type.oid, typmod: -1 })}`,
      { position, hint: "You will need to rewrite or cast the expression." },
    );
  });
}

/** What a column holds when nothing is said: its default, its identity's next value, or NULL. */
export function defaultOf(binder: Binder, table: TableDesc, index: number): Expr {
  const column = table.columns[index]!;
  if (column.identity !== undefined && column.sequenceId !== undefined) {
    const sequence: Expr = { kind: "const", type: { oid: 2205, typmod: -1 }, value: column.sequenceId };
    return assign(binder, binder.callByName("nextval", [sequence], 0), column, 0);
  }
  if (column.defaultSql === undefined) return { kind: "const", type: column.type, value: null };
  return assign(binder, bindTableExpression(binder, column.defaultSql, undefined, "default"), column, 0);
}

export function bindChecks(binder: Binder, table: TableDesc, target: RangeEntry): BoundCheck[] {
  const out: BoundCheck[] = [];
  for (const constraint of binder.catalog.constraintsOf(table.id)) {
    if (constraint.type !== "check") continue;
    out.push({
      name: constraint.name,
      expr: bindTableExpression(binder, constraint.expressionSql, target, "check"),
    });
  }
  // PostgreSQL checks them in the order of their names.
  return out.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function bindReturning(
  binder: Binder,
  list: readonly ast.Target[],
  scope: Scope,
): { returning: readonly Target[] | undefined; columns: readonly OutputColumn[] } {
  if (list.length === 0) return { returning: undefined, columns: [] };
  scope.clause = "returning";
  const targets = bindTargets(binder, list, scope);
  resolveUnknowns(binder, targets);
  return {
    returning: targets.map(({ expr, name, tableId, attribute }) =>
      tableId === undefined ? { expr, name, junk: false } : { expr, name, junk: false, tableId, attribute },
    ),
    columns: outputColumns(targets),
  };
}

// ---------------------------------------------------------------------------------------------------------- INSERT

function bindInsert(binder: Binder, insert: ast.Insert, parent: Scope | undefined): BoundInsert {
  const scope = new Scope(parent, binder.newSelect());
  const ctes = bindWith(binder, insert.with, scope);
  const table = targetTable(binder, insert.into.name, "INSERT");
  const target = tableEntry(binder, table, insert.into.alias);
  binder.readLazily(target.id, table);

  const live: number[] = [];
  table.columns.forEach((column, index) => {
    if (!column.dropped) live.push(index);
  });
  let given: number[] = live;
  if (insert.columns !== undefined) {
    given = [];
    for (const column of insert.columns) {
      const index = plainColumn(table, column);
      if (given.includes(index)) {
        throw new DbError("duplicateColumn", `column "${column.column}" specified more than once`, {
          position: column.position,
        });
      }
      given.push(index);
    }
  }
  const source = bindInsertSource(binder, insert, scope, table, given, live);
  binder.need(table, "a", source.written);

  const seen = new Scope(parent, binder.newSelect());
  for (const [name, cte] of scope.ctes) seen.ctes.set(name, cte);
  const masks = columnMasks(binder, target);
  const { items } = addEntry(binder, target, seen, { relationName: table.name, masks });
  seen.items.push(...items);
  const onConflict =
    insert.onConflict === undefined
      ? undefined
      : bindOnConflict(binder, insert.onConflict, table, target, seen);
  const { returning, columns } = bindReturning(binder, insert.returning, seen);
  return {
    kind: "insert",
    ctes,
    recursiveWith: insert.with?.recursive,
    table,
    target,
    insertColumns: live,
    givenColumns: source.written,
    source: source.source,
    onConflict:
      onConflict?.action === "update"
        ? {
            ...onConflict,
            existingChecks: conflictChecks(binder, target),
            rowChecks: rowChecks(binder, target, "update"),
          }
        : onConflict,
    returning,
    columns,
    checks: bindChecks(binder, table, target),
    rowChecks: rowChecks(binder, target, "insert"),
  };
}

function bindInsertSource(
  binder: Binder,
  insert: ast.Insert,
  scope: Scope,
  table: TableDesc,
  given: readonly number[],
  live: readonly number[],
): { source: BoundInsert["source"]; written: readonly number[] } {
  const defaults = new Map<number, Expr>();
  const byDefault = (column: number): Expr => {
    let expr = defaults.get(column);
    if (expr === undefined) {
      expr = defaultOf(binder, table, column);
      defaults.set(column, expr);
    }
    return expr;
  };
  const query = insert.source;
  if (query === undefined) {
    return { source: { kind: "rows", rows: [live.map(byDefault)] }, written: [] };
  }
  const explicitList = insert.columns !== undefined;
  const refuseIdentity = (index: number, position: number): void => {
    const column = table.columns[index]!;
    if (column.identity !== "always" || insert.overriding === "system") return;
    throw new DbError("generatedAlways", `cannot insert a non-DEFAULT value into column "${column.name}"`, {
      position,
      detail: `Column "${column.name}" is an identity column defined as GENERATED ALWAYS.`,
      hint: "Use OVERRIDING SYSTEM VALUE to override.",
    });
  };
  const overridden = (index: number): boolean =>
    insert.overriding === "user" && table.columns[index]!.identity !== undefined;

  const plainRows =
    query.kind === "values" &&
    query.with === undefined &&
    query.orderBy.length === 0 &&
    query.limit === undefined &&
    query.offset === undefined &&
    query.locking.length === 0;
  if (plainRows) {
    scope.clause = query.rows.length === 1 ? "insert" : "values";
    const width = query.rows[0]!.length;
    const rows: Expr[][] = [];
    for (const row of query.rows) {
      if (row.length !== width) {
        throw new DbError("syntaxError", "VALUES lists must all be the same length", {
          position: row[0]?.position ?? query.position,
        });
      }
      if (row.length > given.length) {
        throw new DbError("syntaxError", "INSERT has more expressions than target columns", {
          position: row[given.length]!.position,
        });
      }
      if (explicitList && row.length < given.length) {
        throw new DbError("syntaxError", "INSERT has more target columns than expressions", {
          position: insert.columns![row.length]!.position,
        });
      }
      const values = new Array<Expr | undefined>(table.columns.length);
      for (let i = 0; i < row.length; i++) {
        const node = row[i]!;
        const index = given[i]!;
        if (node.kind === "default" || overridden(index)) {
          values[index] = byDefault(index);
          continue;
        }
        const bound = bindExpr(binder, node, scope);
        refuseIdentity(index, node.position);
        values[index] = assign(binder, bound, table.columns[index]!, node.position);
      }
      rows.push(live.map((index) => values[index] ?? byDefault(index)));
    }
    return { source: { kind: "rows", rows }, written: given.slice(0, width) };
  }

  const bound = bindQuery(binder, query, scope, { keepUnknown: true });
  const width = bound.columns.length;
  if (width > given.length) {
    throw new DbError("syntaxError", "INSERT has more expressions than target columns", {
      position: query.kind === "select" ? query.targets[given.length]?.position : query.position,
    });
  }
  if (explicitList && width < given.length) {
    throw new DbError("syntaxError", "INSERT has more target columns than expressions", {
      position: insert.columns![width]!.position,
    });
  }
  const relation = binder.newRelation();
  const typed = retypeForInsert(binder, bound, given, table);
  const values = new Map<number, Expr>();
  for (let i = 0; i < width; i++) {
    const index = given[i]!;
    if (overridden(index)) continue;
    const position =
      query.kind === "select" ? (query.targets[i]?.expr.position ?? query.position) : query.position;
    refuseIdentity(index, position);
    const column: Expr = {
      kind: "column",
      type: typed.columns[i]!.type,
      level: 0,
      relation,
      column: i,
    };
    values.set(index, assign(binder, column, table.columns[index]!, position));
  }
  return {
    source: {
      kind: "query",
      relation,
      query: typed,
      values: live.map((index) => values.get(index) ?? byDefault(index)),
    },
    written: given.slice(0, width),
  };
}

/** Literals of unknown type in the source's target list take the columns' types. */
function retypeForInsert(
  binder: Binder,
  query: BoundQuery,
  given: readonly number[],
  table: TableDesc,
): BoundQuery {
  return binder.retype(
    query,
    query.columns.map((_, index) => ({ oid: table.columns[given[index]!]!.type.oid, typmod: -1 })),
  );
}

// ------------------------------------------------------------------------------------------------------ ON CONFLICT

function bindOnConflict(
  binder: Binder,
  clause: ast.OnConflictClause,
  table: TableDesc,
  target: RangeEntry,
  scope: Scope,
): BoundOnConflict {
  const excluded: RangeEntry = {
    kind: "excluded",
    id: binder.newRelation(),
    alias: "excluded",
    explicitAlias: true,
    columns: target.columns,
    table,
  };
  const indexIds = arbiterIndexes(binder, clause, table, target, scope);
  if (clause.action === "nothing")
    return { action: "nothing", indexIds, excluded, set: [], existingChecks: [], rowChecks: [] };
  if (clause.columns === undefined && clause.constraint === undefined) {
    throw new DbError(
      "syntaxError",
      "ON CONFLICT DO UPDATE requires inference specification or constraint name",
      { position: clause.position, hint: "For example, ON CONFLICT (column_name)." },
    );
  }
  const inner = new Scope(scope.parent, binder.newSelect());
  for (const [name, cte] of scope.ctes) inner.ctes.set(name, cte);
  inner.items.push(...scope.items);
  inner.relations.push(target);
  const added = addEntry(binder, excluded, inner);
  inner.items.push(...added.items);
  const set = bindSet(binder, clause.set, table, inner);
  binder.need(
    table,
    "w",
    set.map((item) => item.column),
  );
  inner.clause = "onConflict";
  const where =
    clause.where === undefined
      ? undefined
      : requireBoolean(binder, bindExpr(binder, clause.where, inner), "WHERE", clause.where);
  return { action: "update", indexIds, excluded, set, where, existingChecks: [], rowChecks: [] };
}

function arbiterIndexes(
  binder: Binder,
  clause: ast.OnConflictClause,
  table: TableDesc,
  target: RangeEntry,
  scope: Scope,
): number[] {
  if (clause.constraint !== undefined) {
    const constraint = binder.catalog
      .constraintsOf(table.id)
      .find((candidate) => candidate.name === clause.constraint);
    if (constraint === undefined) {
      throw new DbError(
        "undefinedObject",
        `constraint "${clause.constraint}" for table "${table.name}" does not exist`,
        { position: clause.position },
      );
    }
    if (constraint.type !== "primaryKey" && constraint.type !== "unique") {
      throw new DbError("wrongObjectType", "constraint in ON CONFLICT clause has no associated index", {
        position: clause.position,
      });
    }
    if (constraint.deferrable === true) throw deferrableArbiter();
    for (const index of constraint.columns) binder.markRead(keyColumn(table, target, index));
    return [constraint.indexId];
  }
  if (clause.columns === undefined) {
    if (binder.catalog.indexesOf(table.id).some((index) => index.deferrable === true))
      throw deferrableArbiter();
    return [];
  }
  const wanted = new Set<string>();
  for (const element of clause.columns) {
    if (element.column !== undefined) {
      const name = element.column;
      const index = table.columns.findIndex((column) => column.name === name && !column.dropped);
      if (index < 0) {
        throw new DbError("undefinedColumn", `column "${name}" does not exist`, {
          position: element.position,
        });
      }
      binder.markRead(keyColumn(table, target, index));
      wanted.add(`r${target.id}.${index}`);
    } else if (element.expr !== undefined) {
      const saved = scope.clause;
      scope.clause = "indexExpression";
      wanted.add(exprKey(bindExpr(binder, element.expr, scope)));
      scope.clause = saved;
    }
  }
  const given =
    clause.targetWhere === undefined
      ? []
      : conjuncts(
          requireBoolean(binder, bindExpr(binder, clause.targetWhere, scope), "WHERE", clause.targetWhere),
        ).map(exprKey);
  const matches = (index: IndexDesc): boolean => {
    if (!index.unique || index.state !== "ready") return false;
    const keys = new Set(
      index.columns.map((column) =>
        column.column !== undefined
          ? `r${target.id}.${column.column}`
          : exprKey(bindTableExpression(binder, column.expressionSql!, target, "indexExpression")),
      ),
    );
    if (keys.size !== wanted.size || ![...keys].every((key) => wanted.has(key))) return false;
    if (index.predicateSql === undefined) return true;
    const predicate = indexPredicate(binder, index, target);
    return conjuncts(predicate).every((part) => given.includes(exprKey(part)));
  };
  const found = binder.catalog.indexesOf(table.id).filter(matches);
  if (found.length === 0) {
    throw new DbError(
      "invalidColumnReference",
      "there is no unique or exclusion constraint matching the ON CONFLICT specification",
      { position: undefined },
    );
  }
  if (found.some((index) => index.deferrable === true)) throw deferrableArbiter();
  return found.map((index) => index.id);
}

/** Whether a key is there is something to know of its columns: they are read. */
function keyColumn(table: TableDesc, target: RangeEntry, column: number): Expr {
  return { kind: "column", type: table.columns[column]!.type, level: 0, relation: target.id, column };
}

function deferrableArbiter(): DbError {
  return new DbError(
    "objectNotInPrerequisiteState",
    "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters",
  );
}

// ---------------------------------------------------------------------------------------------------- UPDATE, DELETE

function bindSet(
  binder: Binder,
  items: readonly ast.SetItem[],
  table: TableDesc,
  scope: Scope,
): { column: number; value: Expr }[] {
  const out: { column: number; value: Expr }[] = [];
  scope.clause = "update";
  const add = (target: ast.AssignTarget, value: (column: number) => Expr, isDefault: boolean): void => {
    const column = plainColumn(table, target);
    const described = table.columns[column]!;
    if (out.some((item) => item.column === column)) {
      throw new DbError("syntaxError", `multiple assignments to same column "${described.name}"`, {
        position: target.position,
      });
    }
    if (described.identity === "always" && !isDefault) {
      throw new DbError("generatedAlways", `column "${described.name}" can only be updated to DEFAULT`, {
        position: target.position,
        detail: `Column "${described.name}" is an identity column defined as GENERATED ALWAYS.`,
      });
    }
    out.push({ column, value: value(column) });
  };
  const valueFor =
    (node: ast.Expr) =>
    (column: number): Expr =>
      node.kind === "default"
        ? defaultOf(binder, table, column)
        : assign(binder, bindExpr(binder, node, scope), table.columns[column]!, node.position);
  for (const item of items) {
    if (item.kind === "set") {
      add(item.target, valueFor(item.value), item.value.kind === "default");
      continue;
    }
    const { targets, value } = item;
    if (value.kind === "row") {
      if (value.args.length !== targets.length) {
        throw new DbError("syntaxError", "number of columns does not match number of values", {
          position: item.position,
        });
      }
      targets.forEach((target, index) => {
        const node = value.args[index]!;
        add(target, valueFor(node), node.kind === "default");
      });
      continue;
    }
    if (value.kind !== "subquery") {
      throw new DbError(
        "featureNotSupported",
        "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
        { position: value.position },
      );
    }
    targets.forEach((target, index) => {
      const query = bindQuery(binder, value.query, scope);
      if (query.columns.length !== targets.length) {
        throw new DbError("syntaxError", "number of columns does not match number of values", {
          position: item.position,
        });
      }
      const picked = binder.pickColumn(query, index);
      const expr: Expr = {
        kind: "subquery",
        type: query.columns[index]!.type,
        form: "scalar",
        query: picked,
      };
      add(target, (column) => assign(binder, expr, table.columns[column]!, target.position), false);
    });
  }
  return out.sort((a, b) => a.column - b.column);
}

function bindUpdate(binder: Binder, update: ast.Update, parent: Scope | undefined): BoundUpdate {
  const scope = new Scope(parent, binder.newSelect());
  const ctes = bindWith(binder, update.with, scope);
  const table = targetTable(binder, update.table.name, "UPDATE");
  const target = tableEntry(binder, table, update.table.alias);
  binder.readLazily(target.id, table);
  const masks = columnMasks(binder, target);
  const own = addEntry(binder, target, scope, { relationName: table.name, masks });
  scope.items.push(...own.items);
  const from = bindFromList(binder, update.from, scope);
  const set = bindSet(binder, update.set, table, scope);
  binder.need(
    table,
    "w",
    set.map((item) => item.column),
  );
  const where = bindWhere(binder, update.where, scope);
  const { returning, columns } = bindReturning(binder, update.returning, scope);
  secureRelations(binder, scope.relations, [], target.id);
  secureTarget(binder, target, "update");
  return {
    kind: "update",
    ctes,
    recursiveWith: update.with?.recursive,
    table,
    target,
    relations: scope.relations,
    from: [{ kind: "relation", relation: target.id }, ...from],
    where,
    set,
    returning,
    columns,
    checks: bindChecks(binder, table, target),
    rowChecks: rowChecks(binder, target, "update"),
  };
}

function bindDelete(binder: Binder, del: ast.Delete, parent: Scope | undefined): BoundDelete {
  const scope = new Scope(parent, binder.newSelect());
  const ctes = bindWith(binder, del.with, scope);
  const table = targetTable(binder, del.table.name, "DELETE");
  const target = tableEntry(binder, table, del.table.alias);
  binder.readLazily(target.id, table);
  binder.need(table, "d");
  const masks = columnMasks(binder, target);
  const own = addEntry(binder, target, scope, { relationName: table.name, masks });
  scope.items.push(...own.items);
  const from = bindFromList(binder, del.using, scope);
  const where = bindWhere(binder, del.where, scope);
  const { returning, columns } = bindReturning(binder, del.returning, scope);
  secureRelations(binder, scope.relations, [], target.id);
  secureTarget(binder, target, "delete");
  return {
    kind: "delete",
    ctes,
    recursiveWith: del.with?.recursive,
    table,
    target,
    relations: scope.relations,
    from: [{ kind: "relation", relation: target.id }, ...from],
    where,
    returning,
    columns,
    checks: [],
    rowChecks: [],
  };
}

function bindWhere(binder: Binder, node: ast.Expr | undefined, scope: Scope): Expr | undefined {
  if (node === undefined) return undefined;
  scope.clause = "where";
  return requireBoolean(binder, bindExpr(binder, node, scope), "WHERE", node);
}
