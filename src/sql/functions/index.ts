/**
 * Built-in functions, operators, casts and aggregates: one table, PostgreSQL's names, OIDs and rules of choice.
 *
 * `resolveFunction("abs", [oids.int4])` gives the definition to call; `resolveOperator`, `findCast` and
 * `selectCommonType` are its companions. Read `registry.ts` for how facts and implementations meet, `resolve.ts` for
 * how a call finds its function, then any of the others for what functions do.
 *
 * Not here: syntax that looks like functions (COALESCE, CASE, IN) and window functions, which are expression nodes.
 */
import "./arithmetic.js";
import "./comparison.js";
import "./strings.js";
import "./casts.js";
import "./aggregates.js";
import "./arrays.js";
import "./datetimes.js";
import "./system.js";
import "./formatting.js";
import "./jsons.js";

export { lengthCoercionOf } from "./casts.js";
export { type SqlValueName, sqlValueFunctions } from "./datetimes.js";
export { likePrefix } from "./pattern.js";
export {
  allCasts,
  allFunctions,
  allOperators,
  type BtreeRole,
  type CastDef,
  castBetween,
  type FunctionEntry,
  functionByOid,
  functionEntry,
  functionsNamed,
  isImplemented,
  isPolymorphic,
  type OperatorDef,
  operatorByOid,
  operatorOf,
  operatorsNamed,
} from "./registry.js";
export {
  type Cast,
  type CastContext,
  canCast,
  findCast,
  type ResolvedFunction,
  type ResolvedOperator,
  type ResolveOptions,
  resolveFunction,
  resolveOperator,
  selectCommonType,
} from "./resolve.js";
export type * from "./services.js";
export { quoteIdentifier, quoteLiteral } from "./strings.js";
