/**
 * Prepared statements, plans and portals of one session.
 *
 * A `Planned` is a plan with its operators, built once and run many times (D3). It is good for one state of what it was
 * made from: catalog version, search path and role. A portal that stays open while its plan is wanted again keeps its
 * operators; the plan gets new ones.
 */
import { DbError } from "../base/errors.js";
import type { Execution, Operator } from "../exec/index.js";
import type { Value } from "../model/value.js";
import type { LockMode } from "../shard/index.js";
import type { Statement } from "../sql/ast.js";
import type { ParsedStatement } from "../sql/parse.js";
import type { OutputColumn } from "../sql/plan.js";
import type { ResultSink } from "./contract.js";
import type { PreparedPlan } from "./queries.js";
import type { RunningContext } from "./running.js";

export interface TableLock {
  readonly id: number;
  readonly name: string;
  readonly mode: LockMode;
}

export interface Planned {
  readonly plan: PreparedPlan;
  readonly key: PlanKey;
  readonly locks: readonly TableLock[];
  readonly context: RunningContext;
  readonly operator: Operator;
  /** Command tag without the count: SELECT, INSERT 0, UPDATE, DELETE. */
  readonly tag: string;
  readonly returnsRows: boolean;
  readonly modifies: boolean;
  /** Its cost calls for admission (M3). */
  readonly heavy: boolean;
  /** An open portal is using the operators. */
  busy: boolean;
  /** Pages of the tables of `locks` when the plan was made, in their order. */
  readonly pages: readonly number[];
  /** Looked at now and then to see whether the tables have outgrown the plan. */
  uses: number;
}

/** What a plan was made for. */
export interface PlanKey {
  readonly catalogVersion: number;
  readonly settingsVersion: number;
  readonly roleId: number;
  /** Of the security bundle's row and column rules. */
  readonly rulesVersion: number;
}

export interface Prepared {
  readonly name: string;
  readonly text: string;
  /** undefined: an empty statement. */
  readonly parsed: ParsedStatement | undefined;
  /** As given by the client; 0 where it left them open. Settled at the first plan. */
  parameterTypes: number[];
  readonly fromSql: boolean;
  /** A Query message has no parameters: its `$1` is 42P02. */
  readonly parametersFixed?: boolean | undefined;
  readonly preparedAt: number;
  planned: Planned | undefined;
  /** SHA-256 of the text, once somebody asked for it. */
  textHash?: string | undefined;
  /** Result columns as described to the client: a later plan may not differ (0A000). */
  columns: readonly OutputColumn[] | undefined;
}

export interface Portal {
  readonly name: string;
  readonly prepared: Prepared;
  readonly params: readonly Value[];
  readonly formats: readonly number[];
  planned: Planned | undefined;
  state: "ready" | "open" | "done" | "failed";
  rows: number;
  execution: Execution | undefined;
  /** Where its rows go now: the sink of the running call. */
  sink: ResultSink | undefined;
  /** Simple protocol: its columns are told before its first row, once its locks hold them as they are. */
  describes?: boolean;
  /** Results of a utility statement that returns rows. */
  utility: UtilityResult | undefined;
  /** A cursor made by DECLARE. */
  readonly cursor?: CursorInfo | undefined;
}

export function portalFailed(name: string): DbError {
  return new DbError("objectNotInPrerequisiteState", `portal "${name}" cannot be run`);
}

export interface CursorInfo {
  readonly text: string;
  readonly hold: boolean;
  readonly scroll: boolean | undefined;
  readonly binary: boolean;
  readonly createdAt: number;
}

export interface UtilityResult {
  readonly tag: string;
  readonly columns?: readonly OutputColumn[] | undefined;
  readonly rows?: readonly (readonly Value[])[] | undefined;
}

/** SELECT ... INTO at the top of a statement is CREATE TABLE AS. */
export function selectIntoTable(parsed: ParsedStatement): ParsedStatement {
  const { ast } = parsed;
  if (ast.kind !== "select" || ast.into === undefined) return parsed;
  const { into, ...query } = ast;
  return {
    ...parsed,
    ast: {
      kind: "createTableAs",
      name: into.table,
      materialized: false,
      persistence: into.persistence,
      ifNotExists: false,
      columns: [],
      with: [],
      source: query,
      withData: true,
      position: ast.position,
    },
  };
}

export function isPlannable(ast: Statement): boolean {
  switch (ast.kind) {
    case "select":
    case "setOperation":
    case "values":
    case "insert":
    case "update":
    case "delete":
    case "merge":
      return true;
    default:
      return false;
  }
}
