/**
 * Row and column rules in a bound statement: USING conditions become conditions of the table's range entry that are met
 * before any other is looked at, WITH CHECK conditions become checks of the rows written, and a hidden column's name means
 * what a column rule puts in its place.
 *
 * Which policies count for which command is PostgreSQL's (rowsecurity.c): a write that reads its table, too, must be
 * allowed to see the rows; INSERT .. ON CONFLICT DO UPDATE is checked as an insert and as an update, and refuses
 * where an update would leave rows out.
 *
 * Invariants: rules are bound over the table's own names whatever aliases the statement gives; the statement's user needs
 * no privilege for what they read of the table itself, but does for other tables in their subqueries; a policy whose
 * subqueries come back to its own table is refused (42P17), so that binding ends.
 */
import { DbError } from "../base/errors.js";
import type { TableDesc } from "../model/schema.js";
import type { AppliedRowRule, AppliedRules } from "../model/security-rules.js";
import type * as ast from "./ast.js";
import { bindExpr, coerceTo, requireBoolean } from "./bind-expr.js";
import { addEntry } from "./bind-from.js";
import { bindTableExpression } from "./bind-table.js";
import type { Binder } from "./binder.js";
import type { Expr } from "./expr.js";
import { parseExpression } from "./parse-text.js";
import type { BoundQuery, BoundRowCheck, RangeEntry, RowLock, TableRangeEntry } from "./query.js";
import { Scope } from "./scope.js";
import { boolType, falseExpr } from "./walk.js";

export type RuledCommand = "select" | "insert" | "update" | "delete";

/** Conditions of a FROM list's tables; called when all of the query is bound, since row locks count as updates. */
export function secureRelations(
  binder: Binder,
  relations: readonly RangeEntry[],
  locks: readonly RowLock[] = [],
  /** The table written to has rules of its own (`secureTarget`). */
  target?: number,
): void {
  if (binder.env.access === undefined) return;
  for (const entry of relations) {
    if (entry.kind !== "table" || entry.id === target || entry.security !== undefined) continue;
    const isLocked = locks.some((lock) => lock.relation === entry.id);
    secureEntry(binder, entry, isLocked ? ["update", "select"] : ["select"]);
  }
}

/** Conditions under which rows of an UPDATE's or DELETE's table are touched. */
export function secureTarget(binder: Binder, entry: RangeEntry, command: "update" | "delete"): void {
  if (entry.kind !== "table") return;
  secureEntry(binder, entry, binder.isRead(entry.id) ? ["select", command] : [command]);
}

function secureEntry(binder: Binder, entry: TableRangeEntry, commands: readonly RuledCommand[]): void {
  const rules = binder.rulesFor(entry.table);
  if (rules === undefined) return;
  const seen = new Set<string>();
  const out: Expr[] = [];
  for (const command of commands) {
    for (const { key, expr } of conditions(binder, entry, rules, command, false)) {
      if (seen.has(key)) continue;
      seen.add(key);
      out.push(expr());
    }
  }
  if (out.length > 0) entry.security = out;
}

/** What a row written by INSERT or UPDATE must meet. */
export function rowChecks(
  binder: Binder,
  entry: RangeEntry,
  command: "insert" | "update",
): readonly BoundRowCheck[] {
  return checksOf(binder, entry, [
    { command, useCheck: true },
    ...(binder.isRead(entry.id) ? [{ command: "select", useCheck: false } as const] : []),
  ]);
}

/** What the existing row must meet that INSERT .. ON CONFLICT DO UPDATE is about to change. */
export function conflictChecks(binder: Binder, entry: RangeEntry): readonly BoundRowCheck[] {
  return checksOf(binder, entry, [
    { command: "update", useCheck: false },
    ...(binder.isRead(entry.id) ? [{ command: "select", useCheck: false } as const] : []),
  ]);
}

function checksOf(
  binder: Binder,
  entry: RangeEntry,
  parts: readonly { readonly command: RuledCommand; readonly useCheck: boolean }[],
): readonly BoundRowCheck[] {
  if (entry.kind !== "table") return [];
  const rules = binder.rulesFor(entry.table);
  if (rules === undefined) return [];
  const out = new Map<string, BoundRowCheck>();
  for (const { command, useCheck } of parts) {
    const found = conditions(binder, entry, rules, command, useCheck);
    // That no permissive policy lets the row through is told before any restrictive one, as by PostgreSQL.
    for (const isPermissive of [true, false]) {
      for (const { key, policy, expr } of found) {
        if ((policy === undefined) === isPermissive && !out.has(key)) out.set(key, { policy, expr: expr() });
      }
    }
  }
  return [...out.values()];
}

interface Condition {
  /** Equal conditions of one statement are met once. */
  readonly key: string;
  /** The restrictive rule it is of. */
  readonly policy: string | undefined;
  readonly expr: () => Expr;
}

/** Restrictive rules one by one, then the permissive ones of each list as one. */
function conditions(
  binder: Binder,
  entry: TableRangeEntry,
  rules: AppliedRules,
  command: RuledCommand,
  useCheck: boolean,
): Condition[] {
  const text = (rule: AppliedRowRule): string | undefined =>
    useCheck ? (rule.checkSql ?? rule.usingSql) : rule.usingSql;
  const texts = (list: readonly AppliedRowRule[]): { readonly name: string; readonly sql: string }[] =>
    list.flatMap((rule) => {
      const sql = rule.command === "all" || rule.command === command ? text(rule) : undefined;
      return sql === undefined ? [] : [{ name: rule.name, sql }];
    });
  const permissive = rules.permissive.map(texts);
  if (permissive.some((list) => list.length === 0))
    return [{ key: "none", policy: undefined, expr: () => falseExpr }];
  const out = texts(rules.restrictive).map(
    ({ name, sql }): Condition => ({
      key: JSON.stringify(["restrictive", name, sql]),
      policy: name,
      expr: () => bindRule(binder, entry, sql),
    }),
  );
  for (const list of permissive) {
    out.push({
      key: JSON.stringify(["permissive", ...list.map(({ sql }) => sql)]),
      policy: undefined,
      expr: () => {
        const args = list.map(({ sql }) => bindRule(binder, entry, sql));
        return args.length === 1 ? args[0]! : { kind: "or", type: boolType, args };
      },
    });
  }
  return out;
}

/** Whether a syntax tree holds a query anywhere. */
function hasQuery(node: unknown): boolean {
  if (node === null || typeof node !== "object") return false;
  if (Array.isArray(node)) return node.some(hasQuery);
  const { kind } = node as { readonly kind?: unknown };
  if (kind === "select" || kind === "values" || kind === "setOperation") return true;
  return Object.values(node).some(hasQuery);
}

function bindRule(binder: Binder, entry: TableRangeEntry, sql: string): Expr {
  const node = parseExpression(sql);
  const { table } = entry;
  if (!hasQuery(node)) return bindPolicyNode(binder, node, entry);
  if (binder.policed.has(table.id)) {
    throw new DbError(
      "invalidObjectDefinition",
      `infinite recursion detected in policy for relation "${table.name}"`,
    );
  }
  binder.policed.add(table.id);
  try {
    return bindPolicyNode(binder, node, entry);
  } finally {
    binder.policed.delete(table.id);
  }
}

/** An entry's columns under the table's own names. */
function ownNames(entry: RangeEntry, table: TableDesc): RangeEntry {
  return {
    ...entry,
    alias: table.name,
    columns: entry.columns.map((column, place) => ({ ...column, name: table.columns[place]!.name })),
  };
}

/** What a mask is bound over: the column that it masks, under the name of all of them. No name is empty in a text. */
function onlyValue(entry: RangeEntry, place: number): RangeEntry {
  return {
    ...entry,
    alias: "",
    columns: entry.columns.map((column, at) => ({ ...column, name: at === place ? "value" : "" })),
  };
}

/** Binds a policy's expression over a table entry; subqueries are allowed in it. */
export function bindPolicyNode(binder: Binder, node: ast.Expr, entry: TableRangeEntry): Expr {
  const { table } = entry;
  const scope = new Scope(undefined, binder.newSelect());
  const owner = binder.relationScopes.get(entry.id);
  const { items } = addEntry(binder, ownNames(entry, table), scope);
  scope.items.push(...items);
  if (owner !== undefined) binder.relationScopes.set(entry.id, owner);
  scope.clause = "policy";
  return binder.unread(entry.id, () => requireBoolean(binder, bindExpr(binder, node, scope), "POLICY", node));
}

// --------------------------------------------------------------------------------------------------------- columns

/** What stands in the place of an entry's columns, by column; undefined: they are all as they are. */
export function columnMasks(binder: Binder, entry: RangeEntry): ReadonlyMap<number, Expr> | undefined {
  if (entry.kind !== "table") return undefined;
  const { table } = entry;
  const rules = binder.rulesFor(table);
  if (rules === undefined || rules.columns.size === 0) return undefined;
  const out = new Map<number, Expr>();
  for (const [place, rule] of rules.columns) {
    const column: Expr = {
      kind: "column",
      type: table.columns[place]!.type,
      level: 0,
      relation: entry.id,
      column: place,
    };
    switch (rule.action) {
      case "deny":
        binder.deny(
          entry.id,
          place,
          `permission denied for column ${table.columns[place]!.name} of table ${table.name}`,
        );
        break;
      case "redact":
        // Never the value; but who reads it needs SELECT on the column all the same.
        out.set(place, {
          kind: "case",
          type: column.type,
          // biome-ignore lint/suspicious/noThenProperty: the arm of a CASE, never awaited
          whens: [{ when: falseExpr, then: column }],
          otherwise: { kind: "const", type: column.type, value: null },
        });
        break;
      case "mask": {
        const bound = bindTableExpression(binder, rule.expressionSql, onlyValue(entry, place), "columnMask");
        out.set(place, coerceTo(binder, bound, rule.type, "assignment", 0, rule.expressionSql));
        break;
      }
    }
  }
  return out.size === 0 ? undefined : out;
}

/**
 * A table with masked columns where an outer join may add rows without it: a query of its own, so that a mask of NULL
 * is not taken for the mask of a row that is not there. Its columns have the table's numbers.
 */
export function maskedEntry(
  binder: Binder,
  entry: TableRangeEntry,
  masks: ReadonlyMap<number, Expr>,
): RangeEntry {
  const { table } = entry;
  const id = binder.newRelation();
  const targets = entry.columns.map((column, place) => ({
    expr:
      masks.get(place) ??
      ({ kind: "column", type: column.type, level: 0, relation: entry.id, column: place } satisfies Expr),
    name: column.name,
    junk: false,
  }));
  secureRelations(binder, [entry]);
  binder.moveRead(entry.id, id);
  const query: BoundQuery = {
    kind: "select",
    id: binder.newSelect(),
    ctes: [],
    columns: targets.map(({ name, expr }) => ({ name, type: expr.type })),
    relations: [entry],
    from: [{ kind: "relation", relation: entry.id }],
    targets,
    groupBy: [],
    grouped: false,
    hasSetCalls: false,
    distinct: "none",
    orderBy: [],
    locks: [],
  };
  return {
    kind: "subquery",
    id,
    alias: entry.alias,
    explicitAlias: entry.explicitAlias,
    columnAliases: entry.columnAliases,
    columns: entry.columns,
    query,
    lateral: false,
    masked: table,
  };
}
