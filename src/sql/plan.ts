/**
 * Physical plans: what the planner hands to the executor. Immutable trees of plain nodes, so that a plan can be
 * cached, printed (EXPLAIN) and, later, shipped.
 *
 * Each node says its output (`columns`: types and names of the batch it returns) and, where it has an input, its
 * expressions are in plan stage: `slot` is a column of that input. For joins the slots of the left input come first,
 * then those of the right.
 *
 * Invariants: `columns.length` is the width of the batches; costs are PostgreSQL's units (a sequential page read = 1).
 */
import type { AggregateDef, FunctionDef } from "../model/functions.js";
import type { ObjectId, TypeRef } from "../model/schema.js";
import type { Expr, SortKey, WindowFrame } from "./expr.js";

export interface OutputColumn {
  readonly name: string;
  readonly type: TypeRef;
  /** For RowDescription: the table column it comes from, 0 when none. */
  readonly tableId?: ObjectId | undefined;
  readonly attribute?: number | undefined;
}

export interface Estimate {
  readonly startupCost: number;
  readonly totalCost: number;
  readonly rows: number;
  readonly width: number;
}

interface NodeBase {
  readonly columns: readonly OutputColumn[];
  readonly estimate: Estimate;
}

export type JoinType = "inner" | "left" | "right" | "full" | "semi" | "anti";

/**
 * One side of an index range per key column: equalities first, then at most one range column.
 *
 * Values have the key's type, or another one of the same family: int2, int4 and int8 among each other (one beyond the key's
 * range lies below or above all keys, and equals none), text and varchar. They are evaluated when the scan starts.
 */
export interface IndexBounds {
  /** `= expr` on the leading key columns; a NULL value yields no rows (unless `nulls`). */
  readonly equals: readonly Expr[];
  /** IN (array) on the key column after `equals`: one probe per distinct element. */
  readonly anyOf?: Expr | undefined;
  readonly lower?: { readonly value: Expr; readonly inclusive: boolean } | undefined;
  readonly upper?: { readonly value: Expr; readonly inclusive: boolean } | undefined;
  /** Range column IS NULL / IS NOT NULL instead of lower and upper. */
  readonly nullTest?: "isNull" | "isNotNull" | undefined;
}

export interface AggregateCall {
  readonly fn: AggregateDef;
  readonly args: readonly Expr[];
  readonly star: boolean;
  readonly distinct: boolean;
  readonly orderBy: readonly SortKey[];
  readonly filter?: Expr | undefined;
  readonly directArgs: readonly Expr[];
  readonly type: TypeRef;
}

export type PlanNode = NodeBase &
  (
    | ScanNode
    /** One row without columns is `rows: [[]]`; expressions see no input. */
    | { readonly kind: "values"; readonly rows: readonly (readonly Expr[])[] }
    | { readonly kind: "filter"; readonly input: PlanNode; readonly predicate: Expr }
    | { readonly kind: "project"; readonly input: PlanNode; readonly exprs: readonly Expr[] }
    /** Set-returning calls in a select list: `sets[i]` is expanded in lock-step, others repeat. */
    | {
        readonly kind: "projectSet";
        readonly input: PlanNode;
        readonly exprs: readonly (
          | Expr
          | {
              readonly kind: "set";
              readonly fn: FunctionDef;
              readonly args: readonly Expr[];
              readonly type: TypeRef;
            }
        )[];
      }
    | {
        readonly kind: "limit";
        readonly input: PlanNode;
        readonly limit?: Expr | undefined;
        readonly offset?: Expr | undefined;
        readonly withTies?: readonly SortKey[] | undefined;
      }
    | { readonly kind: "sort"; readonly input: PlanNode; readonly keys: readonly SortKey[] }
    /** Sort and limit in one: only limit + offset rows are kept, those after `offset` are given. */
    | {
        readonly kind: "topN";
        readonly input: PlanNode;
        readonly keys: readonly SortKey[];
        readonly limit: Expr;
        readonly offset?: Expr | undefined;
      }
    | { readonly kind: "unique"; readonly input: PlanNode; readonly keys: readonly Expr[] }
    | NestedLoopNode
    | HashJoinNode
    | MergeJoinNode
    /** Output: group values, then aggregate results. `sorted`: input arrives ordered by the groups. No groups: one row. */
    | {
        readonly kind: "aggregate";
        readonly input: PlanNode;
        readonly strategy: "plain" | "hash" | "sorted";
        readonly groups: readonly Expr[];
        readonly aggregates: readonly AggregateCall[];
      }
    | { readonly kind: "append"; readonly inputs: readonly PlanNode[] }
    /** INTERSECT / EXCEPT [ALL]; UNION is append (+ aggregate for DISTINCT). */
    | {
        readonly kind: "setOperation";
        readonly operation: "intersect" | "except";
        readonly all: boolean;
        readonly left: PlanNode;
        readonly right: PlanNode;
      }
    /** Rows of a CTE, computed once per execution and shared by id. */
    | {
        readonly kind: "cteScan";
        readonly cteId: number;
        readonly name: string;
        readonly alias?: string | undefined;
      }
    /** Runs `body`, with `ctes` available to cteScan inside; a modifying CTE runs to its end even if nobody reads it. */
    | {
        readonly kind: "with";
        readonly ctes: readonly {
          readonly id: number;
          readonly name: string;
          readonly plan: PlanNode;
          readonly recursive?: { readonly step: PlanNode; readonly all: boolean } | undefined;
        }[];
        readonly body: PlanNode;
      }
    | {
        readonly kind: "functionScan";
        readonly fn: FunctionDef;
        readonly args: readonly Expr[];
        readonly withOrdinality: boolean;
        readonly alias?: string | undefined;
      }
    /** Rows of a computed catalog. `equals`: constant restrictions that the provider may use to skip work. */
    | {
        readonly kind: "virtualScan";
        readonly relationId: ObjectId;
        readonly schema: string;
        readonly name: string;
        readonly filter?: Expr | undefined;
        readonly project: readonly number[];
      }
    | { readonly kind: "materialize"; readonly input: PlanNode }
    /** FOR UPDATE and the like: `rowId` is the slot of the row address of each locked table. */
    | {
        readonly kind: "lockRows";
        readonly input: PlanNode;
        readonly targets: readonly {
          readonly tableId: ObjectId;
          readonly rowIdSlot: number;
          readonly strength: "update" | "noKeyUpdate" | "share" | "keyShare";
          readonly waitPolicy: "wait" | "noWait" | "skipLocked";
        }[];
      }
    | ModifyNode
    | WindowNode
    /** Runs once before the main plan; each value becomes an execParam (uncorrelated scalar subqueries). */
    | {
        readonly kind: "initPlans";
        readonly plans: readonly {
          readonly id: number;
          readonly plan: PlanNode;
          readonly form: "scalar" | "exists" | "array";
        }[];
        readonly body: PlanNode;
      }
  );

/**
 * Table access. Output: the listed table columns in that order, then, when `rowId` is set, the row address.
 * `filter` sees the output columns.
 */
export interface ScanNode {
  readonly kind: "seqScan" | "indexScan";
  readonly tableId: ObjectId;
  readonly alias: string;
  /** 0-based table columns to produce. */
  readonly project: readonly number[];
  readonly rowId: boolean;
  readonly filter?: Expr | undefined;
  readonly index?:
    | { readonly indexId: ObjectId; readonly bounds: IndexBounds; readonly backward: boolean }
    | undefined;
  /** DML and locking reads read the newest committed version under READ COMMITTED as their snapshot sees it. */
  readonly forUpdate?: boolean | undefined;
}

/** For each left row the right side runs with `bindings` set. `semi`/`anti` output left columns only. */
export interface NestedLoopNode {
  readonly kind: "nestedLoop";
  readonly type: JoinType;
  readonly left: PlanNode;
  readonly right: PlanNode;
  readonly condition?: Expr | undefined;
  readonly bindings: readonly { readonly id: number; readonly value: Expr }[];
}

/** Builds a table of the right input, probes with the left. Keys: equal by `equal[i]`, null keys never match. */
export interface HashJoinNode {
  readonly kind: "hashJoin";
  readonly type: JoinType;
  readonly left: PlanNode;
  readonly right: PlanNode;
  readonly leftKeys: readonly Expr[];
  /** Slots of these count from the right input's own first column. */
  readonly rightKeys: readonly Expr[];
  readonly condition?: Expr | undefined;
}

export interface MergeJoinNode {
  readonly kind: "mergeJoin";
  readonly type: JoinType;
  readonly left: PlanNode;
  readonly right: PlanNode;
  readonly leftKeys: readonly SortKey[];
  readonly rightKeys: readonly SortKey[];
  readonly condition?: Expr | undefined;
}

export interface WindowNode {
  readonly kind: "window";
  readonly input: PlanNode;
  readonly partitionBy: readonly Expr[];
  readonly orderBy: readonly SortKey[];
  /** Output: the input's columns, then one per call. The input is sorted by `partitionBy`, then `orderBy`. */
  readonly calls: readonly WindowCall[];
}

export interface WindowCall {
  /** A built-in window function by name (row_number, rank, lag, ...), or an aggregate. */
  readonly builtin?: string | undefined;
  readonly aggregate?: AggregateDef | undefined;
  readonly args: readonly Expr[];
  readonly star: boolean;
  readonly filter?: Expr | undefined;
  /** Offsets are evaluated once per partition. */
  readonly frame: WindowFrame;
  readonly type: TypeRef;
}

/**
 * INSERT, UPDATE, DELETE. Output: RETURNING expressions (none: no columns, only a count).
 *
 * Input batches: insert: one column per entry of `targetColumns` (table positions), already cast and defaulted.
 * update: new values of `targetColumns` in order, then the row address (`rowIdSlot`). delete: the row address. The old row
 * is read by the executor where it is needed; further input columns are named by `extraSlots`.
 * `returning` and `checks` see the full new row (old row for delete) as slots 0..table.columns.length-1, followed by the
 * input's remaining columns (those of FROM/USING).
 */
export interface ModifyNode {
  readonly kind: "modify";
  readonly operation: "insert" | "update" | "delete";
  readonly tableId: ObjectId;
  readonly input: PlanNode;
  /** Table positions written; apart from `columns`, which every node has (RETURNING's output). */
  readonly targetColumns: readonly number[];
  /** Those of an INSERT that the statement names; the others get their defaults. */
  readonly givenColumns?: readonly number[] | undefined;
  readonly rowIdSlot?: number | undefined;
  /** Input slots holding FROM/USING columns that RETURNING needs, appended after the row. */
  readonly extraSlots: readonly number[];
  readonly returning?: readonly Expr[] | undefined;
  /** CHECK constraints over the new row. */
  readonly checks: readonly { readonly name: string; readonly expr: Expr }[];
  /** Row rules over the new row, met before any constraint is looked at. */
  readonly rowChecks: readonly RowCheck[];
  readonly onConflict?: OnConflict | undefined;
}

export interface OnConflict {
  readonly action: "nothing" | "update";
  /** Arbiter indexes; empty: any unique index (DO NOTHING only). */
  readonly indexIds: readonly ObjectId[];
  /** DO UPDATE: over the existing row (slots 0..n-1) followed by the excluded row (slots n..2n-1). */
  readonly set: readonly { readonly column: number; readonly value: Expr }[];
  readonly where?: Expr | undefined;
  /** Row rules over the existing row, before it is changed, and over what it becomes. */
  readonly existingChecks: readonly RowCheck[];
  readonly rowChecks: readonly RowCheck[];
}

/** A row rule: anything but true refuses the row (42501). */
export interface RowCheck {
  /** The restrictive rule it is of, for the message. */
  readonly policy: string | undefined;
  readonly expr: Expr;
}
