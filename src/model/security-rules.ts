/**
 * Rules on rows and columns beyond the catalog's policies: what the cluster's security bundle says of a table, and what
 * Bind is told of all rules together when a statement reads or writes one.
 *
 * Whoever has the bundle implements `SecurityRules`. A row must pass the table's policies and the bundle's row rules; a
 * column rule decides what a statement gets in the place of the column's value, before anything else looks at it.
 *
 * Invariants: `version` rises with every change of what the other two answer, and plans are keyed by it; expressions are
 * SQL text over the table's columns with qualified names, read under an empty search path. An expression that does not
 * bind refuses the statement: a broken rule never lets a value through.
 */
import type { ObjectId, PolicyCommand, TableDesc, TypeRef } from "./schema.js";

/**
 * A condition on rows, also without ENABLE ROW LEVEL SECURITY. Superusers and BYPASSRLS roles are exempt. A restrictive rule
 * must let a row through; of the permissive ones of a table, where there are any, one must.
 */
export interface RowRule {
  readonly name: string;
  readonly permissive: boolean;
  readonly command: PolicyCommand;
  /** Whom it binds, by membership; 0 is everybody. */
  readonly roles: readonly ObjectId[];
  /** The table's owner too. */
  readonly bindsOwner: boolean;
  /** Rows that are seen, changed and deleted; absent: all of them. */
  readonly usingSql?: string | undefined;
  /** Rows as they are written; absent: those of `usingSql`. */
  readonly checkSql?: string | undefined;
}

/**
 * What becomes of a column outside the granted roles. Superusers are exempt; the table's owner is when a granted role.
 * Of several rules on one column the strictest counts: deny, redact, then the first mask.
 */
export type ColumnRule = {
  readonly name: string;
  /** 0-based place in the table, which it keeps whatever it is called. */
  readonly column: number;
  /** Who sees the value, by membership. */
  readonly grantedRoles: readonly ObjectId[];
} & (
  | /** 42501 wherever a statement reads it. */ { readonly action: "deny" }
  | /** NULL in its place. */ {
      readonly action: "redact";
    } /** An expression over `value`, the column's, in its place; of a type that can be assigned to the column's. */
  | {
      readonly action: "mask";
      readonly expressionSql: string;
    }
);

export interface SecurityRules {
  readonly version: number;
  rowRulesOf(table: TableDesc): readonly RowRule[];
  columnRulesOf(table: TableDesc): readonly ColumnRule[];
}

/** One policy or row rule as it binds one role. */
export interface AppliedRowRule {
  readonly name: string;
  readonly command: PolicyCommand;
  readonly usingSql?: string | undefined;
  readonly checkSql?: string | undefined;
}

/** What stands in the place of a column: nothing may, NULL, or an expression. */
export type AppliedColumnRule =
  | { readonly action: "deny" | "redact" }
  | { readonly action: "mask"; readonly expressionSql: string; readonly type: TypeRef };

/** All rules of one table for one role. */
export interface AppliedRules {
  /** Of each list, the table's policies and the bundle's rules, one must let a row through. No list: rows need none. */
  readonly permissive: readonly (readonly AppliedRowRule[])[];
  /** Policies in the order of their names, then the bundle's rules: all must let a row through. */
  readonly restrictive: readonly AppliedRowRule[];
  /** By 0-based column. */
  readonly columns: ReadonlyMap<number, AppliedColumnRule>;
}

/** What Bind asks about a table. */
export interface TableAccess {
  /**
   * The rules that bind the role (the session's when undefined); undefined: none. Throws 42501 when rows would be left out
   * and the session would rather fail (`row_security = off`).
   */
  rulesFor(table: TableDesc, asRole: ObjectId | undefined): AppliedRules | undefined;
}
