/**
 * Bound expressions: names resolved, types known, functions chosen, casts explicit.
 *
 * Two stages share the type. After Bind a column reference is `column` (range-table entry and column). The planner
 * rewrites it to `slot` (position in the operator's input batch) and correlated references to `execParam`. The
 * executor accepts only the second form; it asserts that.
 *
 * Invariants: every node's `type` is final (no unknown-typed node survives Bind except a bare literal cast to text);
 * argument types equal the function's after casts; AND/OR are flat lists of at least two.
 */
import type { AggregateDef, FunctionDef } from "../model/functions.js";
import type { TypeRef } from "../model/schema.js";
import type { Value } from "../model/value.js";
import type { PlanNode } from "./plan.js";

export type Expr =
  | { readonly kind: "const"; readonly type: TypeRef; readonly value: Value }
  /** Client parameter $n; index from 0. */
  | { readonly kind: "param"; readonly type: TypeRef; readonly index: number }
  /** Bind stage. `level` 0 is this query, 1 the one around it, ... */
  | {
      readonly kind: "column";
      readonly type: TypeRef;
      readonly level: number;
      readonly relation: number;
      readonly column: number;
    }
  /** Plan stage: column of the input batch. */
  | { readonly kind: "slot"; readonly type: TypeRef; readonly slot: number }
  /** Plan stage: a value set by an enclosing operator (correlation, nested-loop key, init plan). */
  | { readonly kind: "execParam"; readonly type: TypeRef; readonly id: number }
  /** Functions, operators and casts alike. `operator` keeps the symbol for deparsing and planning. */
  | {
      readonly kind: "call";
      readonly type: TypeRef;
      readonly fn: FunctionDef;
      readonly args: readonly Expr[];
      readonly operator?: string | undefined;
      /** This call is a cast: implicit ones are not shown when deparsed. */
      readonly cast?: "implicit" | "assignment" | "explicit" | undefined;
      readonly position?: number | undefined;
    }
  /** Same bytes, other type (binary-coercible cast). */
  | {
      readonly kind: "relabel";
      readonly type: TypeRef;
      readonly arg: Expr;
      readonly cast: "implicit" | "assignment" | "explicit";
    }
  /** Cast by the types' text forms (unknown literals of parameters, I/O conversion casts). */
  | {
      readonly kind: "ioCast";
      readonly type: TypeRef;
      readonly arg: Expr;
      readonly cast: "implicit" | "assignment" | "explicit";
      readonly position?: number | undefined;
    }
  /** Array cast: applies `element` to each element; the element is slot-less `elementRef`. */
  | { readonly kind: "arrayCast"; readonly type: TypeRef; readonly arg: Expr; readonly element: Expr }
  | { readonly kind: "elementRef"; readonly type: TypeRef }
  | { readonly kind: "and" | "or"; readonly type: TypeRef; readonly args: readonly Expr[] }
  | { readonly kind: "not"; readonly type: TypeRef; readonly arg: Expr }
  | { readonly kind: "isNull"; readonly type: TypeRef; readonly arg: Expr; readonly negated: boolean }
  | {
      readonly kind: "isTruth";
      readonly type: TypeRef;
      readonly arg: Expr;
      readonly test: "true" | "false" | "unknown";
      readonly negated: boolean;
    }
  /** IS [NOT] DISTINCT FROM; `equal` is the equality function of the common type. */
  | {
      readonly kind: "isDistinct";
      readonly type: TypeRef;
      readonly left: Expr;
      readonly right: Expr;
      readonly equal: FunctionDef;
      readonly negated: boolean;
    }
  /** CASE; with an operand, Bind has turned it into conditions over `caseTest`. */
  | {
      readonly kind: "case";
      readonly type: TypeRef;
      readonly operand?: Expr | undefined;
      readonly whens: readonly { readonly when: Expr; readonly then: Expr }[];
      readonly otherwise: Expr;
    }
  | { readonly kind: "caseTest"; readonly type: TypeRef }
  | { readonly kind: "coalesce"; readonly type: TypeRef; readonly args: readonly Expr[] }
  | {
      readonly kind: "nullIf";
      readonly type: TypeRef;
      readonly left: Expr;
      readonly right: Expr;
      readonly equal: Expr;
    }
  | { readonly kind: "greatest" | "least"; readonly type: TypeRef; readonly args: readonly Expr[] }
  /** x op ANY/ALL (array): IN lists become this with a constant array where they can. `fn` is op's function. */
  | {
      readonly kind: "arrayCompare";
      readonly type: TypeRef;
      readonly left: Expr;
      readonly right: Expr;
      readonly fn: FunctionDef;
      readonly operator: string;
      readonly all: boolean;
    }
  /** x IN (a, b, c) whose items are not all constants of one type: equality calls over the items. */
  | { readonly kind: "array"; readonly type: TypeRef; readonly elements: readonly Expr[] }
  | {
      readonly kind: "subscript";
      readonly type: TypeRef;
      readonly arg: Expr;
      readonly indexes: readonly {
        readonly lower?: Expr | undefined;
        readonly upper?: Expr | undefined;
        readonly slice: boolean;
      }[];
    }
  | {
      readonly kind: "row";
      readonly type: TypeRef;
      readonly args: readonly Expr[];
      /** Field names of a whole-row reference; f1, f2, ... without. */
      readonly names?: readonly string[] | undefined;
    }
  /** (a, b) op (c, d): lexicographic for order, element-wise for = and <>. `compare` per element: [less, equal] functions. */
  | {
      readonly kind: "rowCompare";
      readonly type: TypeRef;
      readonly operator: string;
      readonly left: readonly Expr[];
      readonly right: readonly Expr[];
      readonly equal: readonly FunctionDef[];
      readonly less: readonly (FunctionDef | undefined)[];
    }
  | { readonly kind: "field"; readonly type: TypeRef; readonly arg: Expr; readonly index: number }
  /** Bind stage only: an aggregate of the query at `level`. The planner replaces it by a slot. */
  | AggregateExpr
  | WindowCallExpr
  /** Bind stage only: a set-returning call in a select list; the planner makes a projectSet of it. */
  | {
      readonly kind: "setCall";
      readonly type: TypeRef;
      readonly fn: FunctionDef;
      readonly args: readonly Expr[];
    }
  /** Bind stage: a subquery. */
  | SubqueryExpr
  /** Plan stage: a subquery. */
  | SubplanExpr
  | {
      readonly kind: "sequence";
      readonly type: TypeRef;
      readonly fn: FunctionDef;
      readonly args: readonly Expr[];
    }
  /** Plan stage: result `index` of the window node below. */
  | { readonly kind: "window"; readonly type: TypeRef; readonly index: number };

export interface AggregateExpr {
  readonly kind: "aggregate";
  readonly type: TypeRef;
  readonly fn: AggregateDef;
  readonly args: readonly Expr[];
  readonly star: boolean;
  readonly distinct: boolean;
  readonly orderBy: readonly SortKey[];
  readonly filter?: Expr | undefined;
  readonly directArgs: readonly Expr[];
  readonly level: number;
  /** `BoundSelect.id` of the query it is computed in, statement-wide. */
  readonly owner: number;
}

/** Bind stage: a window function or an aggregate with OVER. The planner replaces it by a slot. */
export interface WindowCallExpr {
  readonly kind: "windowCall";
  readonly type: TypeRef;
  /** Name of a built-in window function (row_number, rank, lag, ...), or an aggregate. */
  readonly builtin?: string | undefined;
  readonly aggregate?: AggregateDef | undefined;
  readonly args: readonly Expr[];
  readonly star: boolean;
  readonly filter?: Expr | undefined;
  readonly partitionBy: readonly Expr[];
  readonly orderBy: readonly SortKey[];
  readonly frame: WindowFrame;
}

export interface WindowFrame {
  readonly mode: "rows" | "range" | "groups";
  readonly start: FrameBound;
  readonly end: FrameBound;
  readonly exclude?: "currentRow" | "group" | "ties" | undefined;
}

export interface FrameBound {
  readonly kind: "unboundedPreceding" | "preceding" | "currentRow" | "following" | "unboundedFollowing";
  readonly offset?: Expr | undefined;
}

export interface SubqueryExpr {
  readonly kind: "subquery";
  readonly type: TypeRef;
  readonly form: "scalar" | "exists" | "any" | "all" | "array";
  /** For any/all: the left side's expressions and the comparison function of each column. */
  readonly left?: readonly Expr[] | undefined;
  readonly operator?: string | undefined;
  readonly compare?: readonly FunctionDef[] | undefined;
  /** The bound query (sql/query.ts); opaque here so that expressions do not depend on queries. */
  readonly query: unknown;
}

export interface SubplanExpr {
  readonly kind: "subplan";
  readonly type: TypeRef;
  readonly form: "scalar" | "exists" | "any" | "all" | "array";
  readonly left?: readonly Expr[] | undefined;
  readonly operator?: string | undefined;
  readonly compare?: readonly FunctionDef[] | undefined;
  readonly plan: PlanNode;
  /** Values to set before it runs: execParam id <- expression over the outer row. Empty: uncorrelated. */
  readonly bindings: readonly { readonly id: number; readonly value: Expr }[];
  /** Uncorrelated `= ANY`: the result may be kept in a hash table. */
  readonly hashed: boolean;
}

export interface SortKey {
  readonly expr: Expr;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}
