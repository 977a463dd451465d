/**
 * What operators need to know of types: equality, order, hash, and which types are plain numbers or identities.
 * The only file of this folder that asks `model/types.ts`.
 *
 * Invariant: functions returned here expect non-null values; NULL is the caller's business.
 */
import type { EvalContext } from "../model/functions.js";
import type { TypeRef } from "../model/schema.js";
import { codecOf, compareOf, elementTypeOf, equalsOf, hashOf, textOutputOf } from "../model/types.js";
import type { Value } from "../model/value.js";
import type { SortKey } from "../sql/expr.js";

export { compareOf, elementTypeOf, equalsOf, hashOf, textOutputOf };

/** `===` is equality (value.ts: canonical values); bpchar (padding), numeric, json and structured types are not here. */
const identityTypes = new Set([
  16, 18, 19, 20, 21, 23, 24, 25, 26, 28, 29, 700, 701, 1043, 1082, 1083, 1114, 1184, 2202, 2203, 2204, 2205,
  2206, 2278, 2950, 3734, 3769, 4089, 4096,
]);
export function isIdentityType(oid: number): boolean {
  return identityTypes.has(oid);
}

/** Order is that of JavaScript's `<` for number and bigint: no NaN among them. */
const orderedNumberTypes = new Set([20, 21, 23, 26, 28, 29, 1082, 1083, 1114, 1184]);
export function isOrderedNumberType(oid: number): boolean {
  return orderedNumberTypes.has(oid);
}

export type Comparator = (a: Value, b: Value) => number;

function compareNumbers(a: Value, b: Value): number {
  return (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0;
}

/** Total order of one sort key, NULL included. */
export function comparatorOf(key: SortKey): Comparator {
  const plain = isOrderedNumberType(key.expr.type.oid) ? compareNumbers : compareOf(key.expr.type.oid);
  const nullSign = key.nullsFirst ? -1 : 1;
  if (key.descending) {
    return (a, b) => {
      if (a === null) return b === null ? 0 : nullSign;
      return b === null ? -nullSign : plain(b, a);
    };
  }
  return (a, b) => {
    if (a === null) return b === null ? 0 : nullSign;
    return b === null ? -nullSign : plain(a, b);
  };
}

/** Equality in which NULL equals NULL (grouping, DISTINCT, set operations). */
export function groupEqualsOf(oid: number): (a: Value, b: Value) => boolean {
  if (isIdentityType(oid)) return (a, b) => a === b || (Number.isNaN(a) && Number.isNaN(b));
  const equals = equalsOf(oid);
  return (a, b) => (a === null || b === null ? a === b : equals(a, b));
}

/** A cast by text forms; errors are those of the target's input. */
export function ioCastOf(from: TypeRef, to: TypeRef): (value: Value, context: EvalContext) => Value {
  const output = textOutputOf(from.oid);
  const { input } = codecOf(to.oid);
  const { typmod } = to;
  return (value, context) => input(output(value, context), context, typmod);
}
