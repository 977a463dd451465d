/**
 * Types at work: which operator, function or cast an expression means, built as bound nodes.
 *
 * The rules are in `functions/`; this file turns their answers into expressions with explicit casts. Constants are
 * converted at once where the result depends on nothing but the text.
 */
import { DbError, notSupported } from "../base/errors.js";
import type { FunctionDef } from "../model/functions.js";
import type { TypeRef } from "../model/schema.js";
import {
  applyTypmod,
  arrayTypeOf as arrayOf,
  compareOf,
  defaultSettings,
  elementTypeOf,
  encodeTypmod,
  formatType,
  type IoSettings,
  isOrdered,
  type TypeDesc,
  typeByName,
  typeByOid,
  typeInput,
} from "../model/types.js";
import type { Value } from "../model/value.js";
import type * as ast from "./ast.js";
import type { CoerceContext } from "./bind-expr.js";
import { type Binder, unknownOid } from "./binder.js";
import type { Expr } from "./expr.js";
import {
  type Cast,
  findCast,
  functionByOid,
  resolveFunction,
  resolveOperator,
  selectCommonType,
} from "./functions/index.js";

const textOid = 25;

// ------------------------------------------------------------------------------------------------------------ types

/** Types whose text form does not depend on the session: their constants are read when bound. */
const plainInput = new Set([
  16, 17, 18, 19, 20, 21, 22, 23, 25, 26, 28, 29, 30, 114, 700, 701, 869, 1042, 1043, 1700, 2950, 3802, 5069,
]);

function isPlain(oid: number): boolean {
  if (plainInput.has(oid)) return true;
  const element = arrayElementType(oid);
  return element !== undefined && plainInput.has(element);
}

export function arrayTypeOf(oid: number): number | undefined {
  return arrayOf(oid) || undefined;
}

/** Element type of a true array, undefined for everything else (int2vector and oidvector count as arrays). */
export function arrayElementType(oid: number): number | undefined {
  const type = typeByOid(oid);
  if (type === undefined) return undefined;
  if (type.isArray || oid === 22 || oid === 30) return elementTypeOf(oid) || undefined;
  return undefined;
}

export function isSortable(oid: number): boolean {
  return oid === unknownOid || isOrdered(oid);
}

/** The type a name means; 42704 when there is none. */
export function resolveTypeName(_binder: Binder, node: ast.TypeName): TypeRef {
  if (node.percentType) throw notSupported("%TYPE", node.position);
  if (node.setOf) {
    throw new DbError("wrongObjectType", "type modifier cannot be SETOF here", { position: node.position });
  }
  const { name } = node;
  let type: TypeDesc | undefined;
  if (name.schema === undefined || name.schema === "pg_catalog") {
    // Names from keywords come as pg_catalog.char for char(n); a quoted "char" is the one-byte type.
    type = name.name === "char" && name.schema === undefined ? typeByOid(18) : typeByName(name.name);
    if (name.name === "bpchar") type = typeByOid(1042);
  }
  if (type === undefined) {
    const shown = name.schema === undefined ? name.name : `${name.schema}.${name.name}`;
    throw new DbError("undefinedObject", `type "${shown}" does not exist`, { position: node.position });
  }
  let typmod = -1;
  if (node.intervalFields !== undefined || node.typmods.length > 0) typmod = typmodOf(type.oid, node);
  if (type.oid === 1042 && node.typmods.length === 0 && name.name === "char") typmod = 5;
  let oid = type.oid;
  if (node.arrayBounds.length > 0) {
    const array = type.isArray ? type.oid : arrayOf(oid);
    if (array === undefined || array === 0) {
      throw new DbError("undefinedObject", `type "${name.name}[]" does not exist`, {
        position: node.position,
      });
    }
    oid = array;
  }
  return { oid, typmod };
}

function typmodOf(oid: number, node: ast.TypeName): number {
  const numbers = node.typmods.map((item) => {
    if (item.kind === "number" && item.class === "int4") return Number(item.text);
    if (item.kind === "unary" && item.operator.name === "-" && item.arg.kind === "number") {
      return -Number(item.arg.text);
    }
    throw new DbError("invalidParameterValue", "type modifiers must be simple constants or identifiers", {
      position: item.position,
    });
  });
  if (node.intervalFields !== undefined) return intervalTypmodOf(node.intervalFields, numbers[0]);
  try {
    return encodeTypmod(oid, numbers);
  } catch (error) {
    throw error instanceof DbError ? error.at(node.position) : error;
  }
}

const fieldBits = { year: 4, month: 2, day: 8, hour: 1024, minute: 2048, second: 4096 } as const;
const fieldOrder = ["year", "month", "day", "hour", "minute", "second"] as const;

/** PostgreSQL's encoding of interval fields and precision. */
function intervalTypmodOf(fields: ast.IntervalFields, precision: number | undefined): number {
  const [from, to] = fields.split(" to ") as [keyof typeof fieldBits, (keyof typeof fieldBits)?];
  let mask = 0;
  const last = fieldOrder.indexOf(to ?? from);
  for (let at = fieldOrder.indexOf(from); at <= last; at++) mask |= fieldBits[fieldOrder[at]!];
  return (mask << 16) | (precision ?? 0xffff);
}

/** Common type of several expressions; unknown when all are. `what` undefined: no common type answers `undefined` as 0. */
export function commonTypeOf(
  _binder: Binder,
  list: readonly Expr[],
  what: string | undefined,
  positions: readonly number[],
): number {
  let first = list[0]!.type.oid;
  let same = true;
  for (let i = 1; i < list.length; i++) {
    if (list[i]!.type.oid !== first) {
      same = false;
      break;
    }
  }
  if (same) return first;
  const types = list.map((expr) => expr.type.oid);
  if (what === undefined) return selectCommonType(types, undefined) ?? 0;
  try {
    return selectCommonType(types, what);
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    // Blame the first one that does not fit what came before it.
    let at = 1;
    while (at < types.length && selectCommonType(types.slice(0, at + 1), undefined) !== undefined) at++;
    first = at;
    throw error.at(positions[at]);
  }
}

/** The typmod all have in common, when all are of the type and agree. */
export function commonTypmod(list: readonly Expr[], oid: number): number {
  const first = list[0]!.type;
  if (first.oid !== oid || first.typmod === -1) return -1;
  return list.every((expr) => expr.type.oid === oid && expr.type.typmod === first.typmod) ? first.typmod : -1;
}

// -------------------------------------------------------------------------------------------------------- constants

/** A constant from its text; where the text's meaning depends on the session, a cast from text at run time. */
export function constantOf(binder: Binder, type: TypeRef, text: string, position: number): Expr {
  const settings: IoSettings | undefined = isPlain(type.oid) ? defaultSettings : undefined;
  if (settings === undefined) return sessionConstant(binder, type, text, position);
  try {
    return { kind: "const", type, value: typeInput(type.oid, text, settings, type.typmod) };
  } catch (error) {
    throw error instanceof DbError ? error.at(position) : error;
  }
}

/**
 * Dates, intervals and reg* names: read now to report errors at their place, kept as text where a plan that outlives the
 * session's settings would otherwise freeze their meaning.
 */
function sessionConstant(binder: Binder, type: TypeRef, text: string, position: number): Expr {
  if (type.oid === 2205) {
    const relation = binder.regclass(text, position);
    if (relation !== undefined) return { kind: "const", type, value: relation };
  }
  const context = binder.env.evalContext;
  if (context === undefined) {
    return {
      kind: "ioCast",
      type,
      arg: { kind: "const", type: { oid: textOid, typmod: -1 }, value: text },
      cast: "implicit",
      position,
    };
  }
  let value: Value;
  try {
    value = typeInput(type.oid, text, context, type.typmod);
  } catch (error) {
    throw error instanceof DbError ? error.at(position) : error;
  }
  return { kind: "const", type, value };
}

// ------------------------------------------------------------------------------------------------------------ casts

/**
 * The expression as `target`, or undefined when the context allows no such cast. Unknown literals are read by the type's
 * input function; open parameters take the type.
 */
export function coerce(
  binder: Binder,
  expr: Expr,
  target: TypeRef,
  context: CoerceContext,
  position: number,
): Expr | undefined {
  const from = expr.type.oid;
  const to = target.oid;
  if (from === to) {
    return expr.type.typmod === target.typmod ? expr : withLength(expr, target, context);
  }
  if (from === unknownOid) {
    if (expr.kind === "const") {
      if (expr.value === null) return { kind: "const", type: target, value: null };
      const at = binder.positionOf(expr) ?? position;
      if (to === 2276 || to === 2283 || to === 5077) {
        return { kind: "const", type: { oid: textOid, typmod: -1 }, value: expr.value };
      }
      const constant = constantOf(
        binder,
        { oid: to, typmod: to === 1186 ? target.typmod : -1 },
        String(expr.value),
        at,
      );
      return withLength(constant, target, context);
    }
    if (expr.kind === "param") {
      const type = binder.settleParam(expr.index, to, binder.positionOf(expr) ?? position);
      return withLength({ kind: "param", type, index: expr.index }, target, context);
    }
    if (expr.kind === "column" || expr.kind === "subquery" || expr.kind === "field") {
      return { kind: "ioCast", type: target, arg: retyped(expr), cast: context, position };
    }
    return { kind: "ioCast", type: target, arg: expr, cast: context, position };
  }
  const cast = findCast(from, to, context);
  if (cast === undefined) {
    if (expr.kind === "row" && to === 2249) return expr;
    return undefined;
  }
  const out = applyCast(expr, { oid: to, typmod: -1 }, cast, context, position, target.typmod);
  return withLength(out, target, context);
}

function retyped(expr: Expr): Expr {
  return { ...expr, type: { oid: textOid, typmod: -1 } } as Expr;
}

function applyCast(
  expr: Expr,
  type: TypeRef,
  cast: Cast,
  context: CoerceContext,
  position: number,
  typmod: number,
): Expr {
  switch (cast.kind) {
    case "relabel":
      if (expr.kind === "const") return { kind: "const", type, value: expr.value };
      return { kind: "relabel", type, arg: expr, cast: context };
    case "io":
      return { kind: "ioCast", type, arg: expr, cast: context, position };
    case "function": {
      const args: Expr[] = [expr];
      if (cast.fn.args.length > 1) args.push(constant(23, typmod));
      if (cast.fn.args.length > 2) args.push(constant(16, context === "explicit"));
      return { kind: "call", type, fn: cast.fn, args, cast: context, position };
    }
    case "array": {
      const from = arrayElementType(expr.type.oid)!;
      const to = arrayElementType(type.oid)!;
      const element = applyCast(
        { kind: "elementRef", type: { oid: from, typmod: -1 } },
        { oid: to, typmod: -1 },
        cast.element,
        context,
        position,
        typmod,
      );
      return { kind: "arrayCast", type, arg: expr, element };
    }
  }
}

function constant(oid: number, value: Value): Expr {
  return { kind: "const", type: { oid, typmod: -1 }, value };
}

const lengthFunctions = new Map<number, FunctionDef>();

/** pg_proc OIDs of the length coercions. */
const lengthOids = new Map([
  [1043, 669],
  [1042, 668],
  [1700, 1703],
  [1186, 1200],
  [1083, 1968],
  [1266, 1969],
  [1114, 1961],
  [1184, 1967],
]);

/** value, typmod, explicit -> the value as the type's modifiers want it. */
export function lengthFunction(oid: number): FunctionDef {
  let fn = lengthFunctions.get(oid);
  if (fn === undefined) {
    fn = {
      oid: lengthOids.get(oid) ?? 0,
      name: typeByOid(oid)?.name ?? "length_coercion",
      args: [oid, 23, 16],
      returns: oid,
      strict: true,
      volatility: "immutable",
      call: (_: unknown, value: Value, typmod: number, explicit: boolean): Value =>
        applyTypmod({ oid, typmod }, value, explicit),
    } as FunctionDef;
    lengthFunctions.set(oid, fn);
  }
  return fn;
}

function withLength(expr: Expr, target: TypeRef, context: CoerceContext): Expr {
  if (target.typmod === -1 || expr.type.typmod === target.typmod) {
    if (expr.type.typmod === target.typmod || expr.type.oid !== target.oid) return expr;
    // Dropping a modifier changes no byte.
    return context === "implicit" ? expr : relabelTo(expr, target, context);
  }
  if (expr.kind === "const" && expr.value === null) return { kind: "const", type: target, value: null };
  if (expr.kind === "const" && context === "explicit" && isPlain(target.oid)) {
    return { kind: "const", type: target, value: applyTypmod(target, expr.value, true) };
  }
  return {
    kind: "call",
    type: target,
    fn: lengthFunction(target.oid),
    args: [expr, constant(23, target.typmod), constant(16, context === "explicit")],
    cast: context,
  };
}

function relabelTo(expr: Expr, target: TypeRef, context: CoerceContext): Expr {
  if (expr.kind === "const") return { kind: "const", type: target, value: expr.value };
  return { kind: "relabel", type: target, arg: expr, cast: context };
}

// -------------------------------------------------------------------------------------------------------- operators

/** An operator's call with its arguments cast. 42883, 42725 at `position`. */
export function operatorCall(
  binder: Binder,
  operator: string,
  left: Expr | undefined,
  right: Expr,
  position: number,
): Expr {
  let resolved: ReturnType<typeof resolveOperator>;
  try {
    resolved = resolveOperator(operator, left?.type.oid, right.type.oid);
  } catch (error) {
    throw error instanceof DbError ? error.at(position) : error;
  }
  const { argTypes, fn, returns } = resolved;
  const args: Expr[] = [];
  if (left !== undefined) args.push(argument(binder, left, argTypes[0]!, position));
  args.push(argument(binder, right, argTypes[left === undefined ? 0 : 1]!, position));
  return { kind: "call", type: { oid: returns, typmod: -1 }, fn, args, operator, position };
}

/** An argument as its parameter wants it. */
export function argument(binder: Binder, expr: Expr, oid: number, position: number): Expr {
  if (expr.type.oid === oid) return expr;
  const out = coerce(binder, expr, { oid, typmod: -1 }, "implicit", position);
  if (out !== undefined) return out;
  if (typeByOid(oid)?.kind === "p") return expr; // pseudo types take what they are given
  throw new DbError("cannotCoerce", `cannot cast type ${formatType(expr.type.oid)} to ${formatType(oid)}`, {
    position,
  });
}

/** Equality of one type. */
export function equalityFunction(oid: number): FunctionDef {
  return resolveOperator("=", oid, oid).fn;
}

export function lessFunction(oid: number): FunctionDef {
  return resolveOperator("<", oid, oid).fn;
}

// ------------------------------------------------------------------------------------------------------- statistics

/** A statistics text as a value; undefined when the type's text depends on the session or does not read. */
export function textToValue(text: string, type: TypeRef): Value | undefined {
  try {
    return typeInput(type.oid, text, defaultSettings, -1);
  } catch (error) {
    if (error instanceof DbError) return undefined; // written under another format: no estimate from it
    throw error;
  }
}

/** Order of a statistics value and a constant; undefined when their types do not compare. */
export function compareForStatistics(a: Value, b: Value, type: TypeRef, other: TypeRef): number | undefined {
  if (type.oid === other.oid || (typeof a === "number" && typeof b === "number")) {
    if (typeof a === "number" && typeof b === "number") return a < b ? -1 : a > b ? 1 : 0;
    if (!isOrdered(type.oid)) return undefined;
    return compareOf(type.oid)(a, b);
  }
  if (typeof a === "string" && typeof b === "string") return compareOf(textOid)(a, b);
  return undefined;
}

export { functionByOid, resolveFunction };
