/**
 * Name scopes: which relations and columns a name may mean at a place in a query.
 *
 * A scope belongs to one SELECT (or one data-modifying statement). FROM items add namespace items to it; a join hides the
 * columns of its sides behind its own list, so that merged columns of USING are found once. Unqualified names are looked
 * up from the innermost scope outwards; the first scope that knows the name decides.
 *
 * Errors are PostgreSQL's: 42703 (no such column, with a hint where a near name exists), 42702 (ambiguous), 42P01 (no
 * such FROM entry), 42712 (alias twice).
 */
import { DbError } from "../base/errors.js";
import type { WindowSpec } from "./ast.js";
import type { Expr } from "./expr.js";
import type { BoundCte, RangeEntry } from "./query.js";

export interface ScopeColumn {
  readonly name: string;
  readonly expr: Expr;
}

/** One name that FROM makes known, with its columns. */
export interface NamespaceItem {
  /** undefined: an unnamed join. */
  readonly alias: string | undefined;
  /** Schema and name of the relation behind it, when the alias is its own name. */
  readonly schema?: string | undefined;
  readonly relationName?: string | undefined;
  readonly columns: readonly ScopeColumn[];
  readonly entry?: RangeEntry | undefined;
  /** May be named as a qualifier. */
  relationVisible: boolean;
  /** Its columns may be named without qualifier. */
  columnsVisible: boolean;
  /** Seen only from LATERAL items to its right (while FROM is being bound). */
  lateralOnly: boolean;
  /** false: to the left of a RIGHT or FULL join, so LATERAL may not refer to it. */
  lateralOk: boolean;
}

/** Where in a statement an expression stands; PostgreSQL names it in its refusals. */
export type Clause =
  | "select"
  | "where"
  | "having"
  | "groupBy"
  | "orderBy"
  | "distinctOn"
  | "joinOn"
  | "joinUsing"
  | "limit"
  | "offset"
  | "values"
  | "insert"
  | "update"
  | "returning"
  | "fromFunction"
  | "fromSubselect"
  | "filter"
  | "aggregateArgument"
  | "window"
  | "check"
  | "default"
  | "indexExpression"
  | "indexPredicate"
  | "policy"
  | "columnMask"
  | "onConflict"
  | "execute";

export class Scope {
  readonly items: NamespaceItem[] = [];
  readonly ctes = new Map<string, BoundCte>();
  hasAggregates = false;
  hasSetCalls = false;
  hasWindows = false;
  /** The WINDOW clause. */
  windows: readonly WindowSpec[] = [];
  clause: Clause = "select";
  /** While binding the arguments of an aggregate of this scope. */
  insideAggregate = 0;
  insideWindow = 0;
  /** LATERAL item being bound inside FROM of this scope. */
  lateralActive = false;
  /** Above 0 while a side of an outer join is bound whose rows may be missing. */
  nullable = 0;
  /** Relations of the FROM clause, collected as they are bound. */
  readonly relations: RangeEntry[] = [];

  constructor(
    readonly parent: Scope | undefined,
    readonly id: number,
  ) {}

  findCte(name: string): BoundCte | undefined {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.parent) {
      const cte = scope.ctes.get(name);
      if (cte !== undefined) return cte;
    }
    return undefined;
  }
}

export interface Found {
  readonly expr: Expr;
  readonly item: NamespaceItem;
  readonly level: number;
}

function usable(item: NamespaceItem, scope: Scope): boolean {
  return !item.lateralOnly || scope.lateralActive;
}

function refuseLateral(item: NamespaceItem, position: number): never {
  throw new DbError(
    "invalidColumnReference",
    `invalid reference to FROM-clause entry for table "${item.alias}"`,
    {
      position,
      detail: "The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
    },
  );
}

/** Looks an unqualified column name up; undefined when no scope has it. */
export function findColumn(start: Scope, name: string, position: number): Found | undefined {
  let level = 0;
  for (let scope: Scope | undefined = start; scope !== undefined; scope = scope.parent, level++) {
    let found: Found | undefined;
    for (const item of scope.items) {
      if (!item.columnsVisible || !usable(item, scope)) continue;
      for (const column of item.columns) {
        if (column.name !== name) continue;
        if (found !== undefined) {
          throw new DbError("ambiguousColumn", `column reference "${name}" is ambiguous`, { position });
        }
        if (item.lateralOnly && !item.lateralOk) refuseLateral(item, position);
        found = { expr: column.expr, item, level };
      }
    }
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Looks a FROM entry up by its name (and schema, if written). */
export function findRelation(
  start: Scope,
  schema: string | undefined,
  name: string,
  position: number,
): { readonly item: NamespaceItem; readonly level: number } | undefined {
  let level = 0;
  for (let scope: Scope | undefined = start; scope !== undefined; scope = scope.parent, level++) {
    let found: NamespaceItem | undefined;
    for (const item of scope.items) {
      if (!item.relationVisible || !usable(item, scope)) continue;
      if (item.alias !== name) continue;
      if (schema !== undefined && (item.schema !== schema || item.relationName !== name)) continue;
      if (found !== undefined) {
        throw new DbError("ambiguousAlias", `table reference "${name}" is ambiguous`, { position });
      }
      if (item.lateralOnly && !item.lateralOk) refuseLateral(item, position);
      found = item;
    }
    if (found !== undefined) return { item: found, level };
  }
  return undefined;
}

export function findInItem(item: NamespaceItem, name: string, position: number): Expr | undefined {
  let found: Expr | undefined;
  for (const column of item.columns) {
    if (column.name !== name) continue;
    if (found !== undefined) {
      throw new DbError("ambiguousColumn", `column reference "${name}" is ambiguous`, { position });
    }
    found = column.expr;
  }
  return found;
}

/** The error for a qualifier that no FROM entry answers to. */
export function missingRelation(
  start: Scope,
  schema: string | undefined,
  name: string,
  position: number,
): DbError {
  const shown = schema === undefined ? name : `${schema}.${name}`;
  for (let scope: Scope | undefined = start; scope !== undefined; scope = scope.parent) {
    for (const item of scope.items) {
      if (item.alias === name || (item.relationName === name && item.alias !== name)) {
        const invisible = item.alias === name;
        const hint = invisible
          ? `There is an entry for table "${name}", but it cannot be referenced from this part of the query.`
          : `Perhaps you meant to reference the table alias "${item.alias}".`;
        return new DbError("undefinedTable", `invalid reference to FROM-clause entry for table "${shown}"`, {
          position,
          hint,
        });
      }
    }
  }
  return new DbError("undefinedTable", `missing FROM-clause entry for table "${shown}"`, { position });
}

const fuzzyDistanceMax = 3;

/** Edit distance, or `limit + 1` when it is greater. */
export function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let best = i;
    for (let j = 1; j <= b.length; j++) {
      const value = Math.min(
        previous[j]! + 1,
        row[j - 1]! + 1,
        previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
      row.push(value);
      if (value < best) best = value;
    }
    if (best > limit) return limit + 1;
    previous = row;
  }
  return previous[b.length]!;
}

/** 42703 for a column nobody has, with PostgreSQL's hint when a near or a hidden one exists. */
export function missingColumn(
  start: Scope,
  qualifier: string | undefined,
  name: string,
  position: number,
): DbError {
  const message =
    qualifier === undefined
      ? `column "${name}" does not exist`
      : `column ${qualifier}.${name} does not exist`;
  let best = fuzzyDistanceMax + 1;
  let near: string[] = [];
  let hidden: NamespaceItem | undefined;
  for (let scope: Scope | undefined = start; scope !== undefined; scope = scope.parent) {
    for (const item of scope.items) {
      if (item.alias === undefined) continue;
      const penalty =
        qualifier === undefined || qualifier === item.alias
          ? 0
          : editDistance(qualifier, item.alias, fuzzyDistanceMax);
      if (penalty > fuzzyDistanceMax) continue;
      for (const column of item.columns) {
        if (column.name === name && qualifier === undefined) hidden ??= item;
        const distance = penalty + editDistance(name, column.name, fuzzyDistanceMax);
        if (distance > fuzzyDistanceMax || distance > name.length / 2) continue;
        if (distance < best) {
          best = distance;
          near = [`${item.alias}.${column.name}`];
        } else if (distance === best) near.push(`${item.alias}.${column.name}`);
      }
    }
  }
  if (hidden !== undefined && best === 0) {
    return new DbError("undefinedColumn", message, {
      position,
      hint: `There is a column named "${name}" in table "${hidden.alias}", but it cannot be referenced from this part of the query.`,
    });
  }
  const hint =
    near.length === 1
      ? `Perhaps you meant to reference the column "${near[0]}".`
      : near.length === 2
        ? `Perhaps you meant to reference the column "${near[0]}" or the column "${near[1]}".`
        : undefined;
  return new DbError("undefinedColumn", message, { position, hint });
}

/** 42712 when the same name would be visible twice. */
export function checkAliases(left: readonly NamespaceItem[], right: readonly NamespaceItem[]): void {
  for (const a of right) {
    if (!a.relationVisible || a.alias === undefined) continue;
    for (const b of left) {
      if (!b.relationVisible || b.alias !== a.alias) continue;
      // The same table name from two schemas, both unaliased, may stand side by side.
      if (a.schema !== undefined && b.schema !== undefined && a.schema !== b.schema) continue;
      throw new DbError("duplicateAlias", `table name "${a.alias}" specified more than once`);
    }
  }
}
