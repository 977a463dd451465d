/**
 * Bound queries: what Bind makes of a syntax tree and the planner makes a plan of. Names are resolved, types final.
 *
 * Relations are numbered statement-wide: `column.relation` in an expression names one range entry of the whole statement,
 * whatever the depth, so that subqueries can be pulled up or pushed around without renumbering. (`column.level` tells
 * how many queries out the entry was when bound; only aggregates need it.)
 *
 * Invariants: a relation id occurs in exactly one range entry; every column reference inside a query is either to one of
 * its own entries or to an entry of a query around it (correlation); target lists hold no `unknown` types at the top.
 */
import type { FunctionDef } from "../model/functions.js";
import type { ObjectId, TableDesc, TypeRef, ViewDesc, VirtualTableDesc } from "../model/schema.js";
import type { Expr } from "./expr.js";
import type { OutputColumn } from "./plan.js";

/** Column number of the row address of a table entry. */
export const rowIdColumn = -1;

export interface RangeColumn {
  readonly name: string;
  readonly type: TypeRef;
  /** A dropped column keeps its place and is never matched by a name. */
  readonly dropped?: boolean | undefined;
}

interface RangeBase {
  readonly id: number;
  /** Name that qualifies its columns, as the user sees it. */
  readonly alias: string;
  /** The alias was written (or the entry has no other name). */
  readonly explicitAlias: boolean;
  /** Column aliases were written. */
  readonly columnAliases?: boolean | undefined;
  readonly columns: readonly RangeColumn[];
}

export type RangeEntry = RangeBase &
  (
    | {
        readonly kind: "table";
        readonly table: TableDesc;
        /** Conditions of row rules: a row is nothing to the statement until it meets them all. Set once all is bound. */
        security?: readonly Expr[] | undefined;
      }
    | { readonly kind: "virtual"; readonly table: VirtualTableDesc; readonly schema: string }
    | {
        readonly kind: "subquery";
        readonly query: BoundQuery;
        readonly lateral: boolean;
        readonly view?: ViewDesc | undefined;
        /** Conditions from around it go in only if they are leakproof: a security_barrier view. */
        readonly barrier?: boolean | undefined;
        /** The table it stands for, whose columns are masked. */
        readonly masked?: TableDesc | undefined;
      }
    | {
        readonly kind: "function";
        readonly fn: FunctionDef;
        readonly args: readonly Expr[];
        readonly ordinality: boolean;
        readonly lateral: boolean;
      }
    | { readonly kind: "cte"; readonly cte: BoundCte }
    /** The row proposed for insertion, inside ON CONFLICT DO UPDATE. */
    | { readonly kind: "excluded"; readonly table: TableDesc }
  );

export type TableRangeEntry = RangeEntry & { readonly kind: "table" };

export type BoundJoinType = "inner" | "left" | "right" | "full" | "cross";

export type FromNode =
  | { readonly kind: "relation"; readonly relation: number }
  | {
      readonly kind: "join";
      readonly type: BoundJoinType;
      readonly left: FromNode;
      readonly right: FromNode;
      readonly on?: Expr | undefined;
      /** Merged column names, when the join was written USING or NATURAL (`on` is already made of them). */
      readonly using?: readonly string[] | undefined;
    };

export interface Target {
  readonly expr: Expr;
  readonly name: string;
  /** Only for ORDER BY, GROUP BY or DISTINCT ON; not part of the result. */
  readonly junk: boolean;
  /** Origin for RowDescription. */
  readonly tableId?: ObjectId | undefined;
  readonly attribute?: number | undefined;
}

/** ORDER BY and DISTINCT ON entries refer to targets. */
export interface TargetOrder {
  readonly target: number;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

export type LockStrength = "update" | "noKeyUpdate" | "share" | "keyShare";

export interface RowLock {
  readonly relation: number;
  readonly strength: LockStrength;
  readonly waitPolicy: "wait" | "noWait" | "skipLocked";
}

export interface BoundCte {
  readonly id: number;
  readonly name: string;
  readonly columns: readonly RangeColumn[];
  /** For a recursive CTE, the non-recursive arm; filled in after its columns are known. */
  query: BoundQuery | BoundModify;
  recursive?: { readonly step: BoundQuery; readonly all: boolean } | undefined;
  /** MATERIALIZED, NOT MATERIALIZED, or neither. */
  readonly materialized?: boolean | undefined;
  references: number;
}

interface QueryBase {
  readonly ctes: readonly BoundCte[];
  readonly recursiveWith?: boolean | undefined;
  /** Visible columns. */
  readonly columns: readonly OutputColumn[];
  readonly orderBy: readonly TargetOrder[];
  readonly limit?: Expr | undefined;
  readonly offset?: Expr | undefined;
  readonly withTies?: boolean | undefined;
}

export interface BoundSelect extends QueryBase {
  readonly kind: "select";
  /** Statement-wide number of this select; aggregates name it as their owner. */
  readonly id: number;
  readonly relations: readonly RangeEntry[];
  readonly from: readonly FromNode[];
  readonly where?: Expr | undefined;
  readonly targets: readonly Target[];
  readonly groupBy: readonly Expr[];
  readonly having?: Expr | undefined;
  /** Aggregates occur, or GROUP BY or HAVING was written. */
  readonly grouped: boolean;
  readonly hasSetCalls: boolean;
  /** all: DISTINCT; a list: DISTINCT ON these targets. */
  readonly distinct: "none" | "all" | readonly number[];
  readonly locks: readonly RowLock[];
}

export interface BoundSetOperation extends QueryBase {
  readonly kind: "setOperation";
  readonly operation: "union" | "intersect" | "except";
  readonly all: boolean;
  /** Arms whose column types are not the common ones carry casts: one expression per column over `leftRelation`. */
  readonly left: BoundQuery;
  readonly right: BoundQuery;
  readonly leftRelation: number;
  readonly rightRelation: number;
  readonly leftCasts?: readonly Expr[] | undefined;
  readonly rightCasts?: readonly Expr[] | undefined;
}

export interface BoundValues extends QueryBase {
  readonly kind: "values";
  readonly rows: readonly (readonly Expr[])[];
}

export type BoundQuery = BoundSelect | BoundSetOperation | BoundValues;

export interface BoundCheck {
  readonly name: string;
  /** Over the target relation's columns. */
  readonly expr: Expr;
}

/** A row rule over a row that is written; false and NULL both refuse it. */
export interface BoundRowCheck {
  /** The restrictive rule it is of; undefined: no permissive policy let the row through. */
  readonly policy: string | undefined;
  /** Over the target relation's columns. */
  readonly expr: Expr;
}

interface ModifyBase {
  readonly ctes: readonly BoundCte[];
  readonly recursiveWith?: boolean | undefined;
  readonly table: TableDesc;
  /** Range entry of the target. */
  readonly target: RangeEntry;
  readonly returning?: readonly Target[] | undefined;
  /** RETURNING columns; empty when there is none. */
  readonly columns: readonly OutputColumn[];
  readonly checks: readonly BoundCheck[];
  /** Row rules for the rows written, as the statement's own command writes them. */
  readonly rowChecks: readonly BoundRowCheck[];
}

export interface BoundOnConflict {
  readonly action: "nothing" | "update";
  readonly indexIds: readonly ObjectId[];
  readonly excluded: RangeEntry;
  readonly set: readonly { readonly column: number; readonly value: Expr }[];
  readonly where?: Expr | undefined;
  /** Row rules for the existing row that is to be changed, and for what it becomes. */
  readonly existingChecks: readonly BoundRowCheck[];
  readonly rowChecks: readonly BoundRowCheck[];
}

export interface BoundInsert extends ModifyBase {
  readonly kind: "insert";
  /** Positions of the table's columns given a value, in table order. */
  readonly insertColumns: readonly number[];
  /** Those of them that the statement names. */
  readonly givenColumns: readonly number[];
  /** rows: one expression per insert column. query: `values` over the columns of `relation`. */
  readonly source:
    | { readonly kind: "rows"; readonly rows: readonly (readonly Expr[])[] }
    | {
        readonly kind: "query";
        readonly relation: number;
        readonly query: BoundQuery;
        readonly values: readonly Expr[];
      };
  readonly onConflict?: BoundOnConflict | undefined;
}

export interface BoundUpdate extends ModifyBase {
  readonly kind: "update";
  readonly relations: readonly RangeEntry[];
  readonly from: readonly FromNode[];
  readonly where?: Expr | undefined;
  readonly set: readonly { readonly column: number; readonly value: Expr }[];
}

export interface BoundDelete extends ModifyBase {
  readonly kind: "delete";
  readonly relations: readonly RangeEntry[];
  readonly from: readonly FromNode[];
  readonly where?: Expr | undefined;
}

export type BoundModify = BoundInsert | BoundUpdate | BoundDelete;
export type BoundStatement = BoundQuery | BoundModify;

/** What the statement's user must be allowed to do (D12: the shard's door checks it, not Bind). */
export interface PrivilegeNeed {
  readonly relationId: ObjectId;
  readonly name: string;
  readonly relationKind: "table" | "view" | "sequence" | "virtual";
  /** PostgreSQL's privilege letter: r select, a insert, w update, d delete. */
  readonly privilege: "r" | "a" | "w" | "d";
  /** 0-based columns; a privilege on each suffices. Empty: the privilege on the relation or any column. */
  readonly columns: readonly number[];
  /** Checked as this role (the owner of the view it is reached through) and not as the session's. */
  readonly asRole?: ObjectId | undefined;
}

/** A statement after Bind, with what it stands on. */
export interface Bound {
  readonly statement: BoundStatement;
  readonly parameterTypes: readonly number[];
  readonly privileges: readonly PrivilegeNeed[];
  /** Ids of every relation and view it was bound against. */
  readonly objects: readonly ObjectId[];
  /** execParam-free count of relations and selects numbered so far; the planner goes on from it. */
  readonly nextRelation: number;
  readonly nextCte: number;
}
