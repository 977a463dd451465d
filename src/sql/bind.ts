/**
 * Bind: a syntax tree against a catalog. Names become relations and columns, types become final, privileges and objects
 * are noted. Nothing is decided here about how the statement will run.
 *
 * Errors carry PostgreSQL's SQLSTATE, message and position (see the files of each part).
 */
import { DbError, notSupported } from "../base/errors.js";
import type * as ast from "./ast.js";
import { bindModify } from "./bind-modify.js";
import { bindQuery } from "./bind-query.js";
import { type BindEnv, Binder, unknownOid } from "./binder.js";
import type { Bound, BoundStatement } from "./query.js";

export interface BoundWithBinder extends Bound {
  /** For expressions of indexes bound later, by the planner. */
  readonly binder: Binder;
}

/** Binds a query or a data-modifying statement. Throws DbError; 42P18 for a parameter nothing gives a type. */
export function bindStatement(statement: ast.PreparableStatement, env: BindEnv): BoundWithBinder {
  const binder = new Binder(env);
  let bound: BoundStatement;
  switch (statement.kind) {
    case "select":
    case "values":
    case "setOperation":
      bound = bindQuery(binder, statement, undefined);
      break;
    case "insert":
    case "update":
    case "delete":
      bound = bindModify(binder, statement, undefined);
      break;
    case "merge":
      throw notSupported("MERGE", statement.position);
  }
  const literalBase = env.literalBase ?? Number.POSITIVE_INFINITY;
  env.parameterTypes.forEach((oid, index) => {
    if (oid !== 0 && oid !== unknownOid) return;
    if (index >= literalBase) {
      env.parameterTypes[index] = 25;
      return;
    }
    throw new DbError("indeterminateDatatype", `could not determine data type of parameter $${index + 1}`);
  });
  return {
    statement: bound,
    parameterTypes: env.parameterTypes,
    privileges: binder.privileges(),
    objects: [...binder.objects],
    nextRelation: binder.relationCount,
    nextCte: binder.cteCount,
    binder,
  };
}
