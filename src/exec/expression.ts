/**
 * Bound expressions compiled to closures, once per plan. A closure takes the input batch's columns and a row number; it
 * reaches parameters and the running context through the plan's `Runtime`.
 *
 * Invariants: only plan-stage expressions are accepted (asserted). Evaluation makes no object per row beyond values.
 * A closure may throw Wait only when it is marked `mayWait` (subplans, volatile functions); evaluating the same row again
 * then goes on with the subplan where it stood.
 */
import { assert, DbError, unreachable } from "../base/errors.js";
import { type Batch, batchRowsMax } from "../model/batch.js";
import type { FunctionDef } from "../model/functions.js";
import type { TypeRef } from "../model/schema.js";
import { PgArray, RowValue, type Value } from "../model/value.js";
import type { Expr, SubplanExpr } from "../sql/expr.js";
import type { Operator } from "./contract.js";
import { KeyTable } from "./keys.js";
import { Account } from "./memory.js";
import type { Build, Resettable, Runtime } from "./runtime.js";
import { bytesOf } from "./spill.js";
import { compareOf, elementTypeOf, ioCastOf, isIdentityType, isOrderedNumberType } from "./values.js";

export type Evaluate = (columns: Value[][], row: number) => Value;

/** What an expression is compiled for. */
export interface ExprScope {
  readonly runtime: Runtime;
  readonly build: Build;
}

export const noColumns: Value[][] = [];

/** Values of CASE operands and array elements while their inner expressions run; made at compile time. */
interface Holder {
  value: Value;
}

interface Frame {
  readonly scope: ExprScope;
  readonly caseTest: Holder | undefined;
  readonly element: Holder | undefined;
}

export function compileExpr(expr: Expr, scope: ExprScope): Evaluate {
  return compile(expr, { scope, caseTest: undefined, element: undefined });
}

/** Whether evaluating may throw Wait: it holds a subplan or calls a volatile function (sequences wait for pages). */
export function mayWait(expr: Expr): boolean {
  let found = false;
  visit(expr, (inner) => {
    if (inner.kind === "subplan" || inner.kind === "sequence") found = true;
    if (inner.kind === "call" && inner.fn.volatility === "volatile") found = true;
    if (inner.kind === "arrayCompare" && inner.fn.volatility === "volatile") found = true;
  });
  return found;
}

/** Every expression inside, the expression itself first; subplans are not entered. */
export function visit(expr: Expr, look: (expr: Expr) => void): void {
  look(expr);
  for (const child of childrenOf(expr)) visit(child, look);
}

export function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case "call":
    case "and":
    case "or":
    case "coalesce":
    case "greatest":
    case "least":
    case "row":
    case "setCall":
    case "sequence":
      return expr.args;
    case "relabel":
    case "ioCast":
    case "not":
    case "isNull":
    case "isTruth":
    case "field":
      return [expr.arg];
    case "arrayCast":
      return [expr.arg, expr.element];
    case "isDistinct":
    case "arrayCompare":
      return [expr.left, expr.right];
    case "nullIf":
      return [expr.left, expr.right, expr.equal];
    case "case": {
      const children: Expr[] = expr.operand === undefined ? [] : [expr.operand];
      for (const { when, then } of expr.whens) children.push(when, then);
      children.push(expr.otherwise);
      return children;
    }
    case "array":
      return expr.elements;
    case "subscript": {
      const children: Expr[] = [expr.arg];
      for (const { lower, upper } of expr.indexes) {
        if (lower !== undefined) children.push(lower);
        if (upper !== undefined) children.push(upper);
      }
      return children;
    }
    case "rowCompare":
      return [...expr.left, ...expr.right];
    case "subplan":
      return [...(expr.left ?? []), ...expr.bindings.map((binding) => binding.value)];
    default:
      return [];
  }
}

function compile(expr: Expr, frame: Frame): Evaluate {
  const { runtime } = frame.scope;
  switch (expr.kind) {
    case "const": {
      const value = expr.value;
      return () => value;
    }
    case "param": {
      const index = expr.index;
      return () => runtime.params[index]!;
    }
    case "slot": {
      const slot = expr.slot;
      return (columns, row) => columns[slot]![row]!;
    }
    case "execParam": {
      const id = expr.id;
      return () => runtime.execParams[id]!;
    }
    case "call":
    case "sequence":
      return compileCall(expr.fn, expr.args, frame, expr.kind === "call" ? expr : undefined);
    case "relabel":
      return compile(expr.arg, frame);
    case "ioCast": {
      const arg = compile(expr.arg, frame);
      const convert = ioCastOf(expr.arg.type, expr.type);
      return (columns, row) => {
        const value = arg(columns, row);
        return value === null ? null : convert(value, runtime.eval);
      };
    }
    case "arrayCast": {
      const arg = compile(expr.arg, frame);
      const holder: Holder = { value: null };
      const element = compile(expr.element, { ...frame, element: holder });
      const elementType = expr.element.type.oid;
      return (columns, row) => {
        const array = arg(columns, row);
        if (array === null) return null;
        assert(array instanceof PgArray, "an array cast met a value that is no array");
        const cast: Value[] = [];
        for (const value of array.elements) {
          holder.value = value;
          cast.push(element(columns, row));
        }
        return new PgArray(elementType, cast, array.dims, array.lowerBounds);
      };
    }
    case "elementRef": {
      const holder = frame.element;
      assert(holder !== undefined, "an element reference stands outside an array cast");
      return () => holder.value;
    }
    case "and":
    case "or":
      return compileLogic(expr.kind === "and", expr.args, frame);
    case "not": {
      const arg = compile(expr.arg, frame);
      return (columns, row) => {
        const value = arg(columns, row);
        return value === null ? null : value === false;
      };
    }
    case "isNull": {
      const arg = compile(expr.arg, frame);
      const negated = expr.negated;
      if (expr.arg.kind === "row" || expr.arg.type.oid === 2249) {
        // A row is NULL when all its fields are, NOT NULL when none is.
        return (columns, row) => {
          const value = arg(columns, row);
          if (!(value instanceof RowValue)) return (value === null) !== negated;
          return negated ? !value.values.includes(null) : value.values.every((field) => field === null);
        };
      }
      return negated
        ? (columns, row) => arg(columns, row) !== null
        : (columns, row) => arg(columns, row) === null;
    }
    case "isTruth": {
      const arg = compile(expr.arg, frame);
      const wanted = expr.test === "unknown" ? null : expr.test === "true";
      const negated = expr.negated;
      return (columns, row) => (arg(columns, row) === wanted) !== negated;
    }
    case "isDistinct": {
      const left = compile(expr.left, frame);
      const right = compile(expr.right, frame);
      const equal = binary(expr.equal);
      const negated = expr.negated;
      return (columns, row) => {
        const a = left(columns, row);
        const b = right(columns, row);
        const distinct = a === null || b === null ? a !== b : equal(runtime.eval, a, b) !== true;
        return distinct !== negated;
      };
    }
    case "case":
      return compileCase(expr, frame);
    case "caseTest": {
      const holder = frame.caseTest;
      assert(holder !== undefined, "a CASE operand reference stands outside its CASE");
      return () => holder.value;
    }
    case "coalesce": {
      const args = expr.args.map((arg) => compile(arg, frame));
      return (columns, row) => {
        for (let i = 0; i < args.length; i++) {
          const value = args[i]!(columns, row);
          if (value !== null) return value;
        }
        return null;
      };
    }
    case "nullIf": {
      const left = compile(expr.left, frame);
      const equal = compile(expr.equal, frame);
      return (columns, row) => (equal(columns, row) === true ? null : left(columns, row));
    }
    case "greatest":
    case "least": {
      const args = expr.args.map((arg) => compile(arg, frame));
      const compare = compareOf(expr.type.oid);
      const sign = expr.kind === "greatest" ? 1 : -1;
      return (columns, row) => {
        let best: Value = null;
        for (let i = 0; i < args.length; i++) {
          const value = args[i]!(columns, row);
          if (value !== null && (best === null || compare(value, best) * sign > 0)) best = value;
        }
        return best;
      };
    }
    case "arrayCompare":
      return compileArrayCompare(expr, frame);
    case "array":
      return compileArray(expr.type, expr.elements, frame);
    case "subscript":
      return compileSubscript(expr, frame);
    case "row": {
      const args = expr.args.map((arg) => compile(arg, frame));
      const types = expr.args.map((arg) => arg.type.oid);
      const { names } = expr;
      return (columns, row) =>
        new RowValue(
          types,
          args.map((arg) => arg(columns, row)),
          names,
        );
    }
    case "rowCompare":
      return compileRowCompare(expr, frame);
    case "field": {
      const arg = compile(expr.arg, frame);
      const index = expr.index;
      return (columns, row) => {
        const value = arg(columns, row);
        if (value === null) return null;
        assert(value instanceof RowValue, "a field was asked of a value that is no row");
        return value.values[index] ?? null;
      };
    }
    case "subplan":
      return compileSubplan(expr, frame);
    case "column":
    case "aggregate":
    case "setCall":
    case "subquery":
    case "window":
    case "windowCall":
      throw new DbError("internalError", `the plan holds an expression of an earlier stage (${expr.kind})`);
    default:
      return unreachable(expr, "expression");
  }
}

type Call0 = (context: unknown) => Value;
type Call1 = (context: unknown, a: Value) => Value;
type Call2 = (context: unknown, a: Value, b: Value) => Value;
type Call3 = (context: unknown, a: Value, b: Value, c: Value) => Value;
type CallN = (context: unknown, ...args: Value[]) => Value;

function binary(fn: FunctionDef): Call2 {
  return fn.call as unknown as Call2;
}

const comparisons = new Set(["=", "<>", "<", "<=", ">", ">="]);

function compileCall(
  fn: FunctionDef,
  args: readonly Expr[],
  frame: Frame,
  call: { readonly operator?: string | undefined; readonly position?: number | undefined } | undefined,
): Evaluate {
  const { runtime } = frame.scope;
  if (call?.operator !== undefined && comparisons.has(call.operator) && args.length === 2) {
    const fast = compileComparison(call.operator, args[0]!, args[1]!, frame);
    if (fast !== undefined) return fast;
  }
  const compiled = args.map((arg) => compile(arg, frame));
  if (fn.strict) {
    switch (compiled.length) {
      case 0:
        break;
      case 1: {
        const f = fn.call as unknown as Call1;
        const a = compiled[0]!;
        return (columns, row) => {
          const x = a(columns, row);
          return x === null ? null : f(runtime.eval, x);
        };
      }
      case 2: {
        const f = binary(fn);
        const a = compiled[0]!;
        const b = compiled[1]!;
        return (columns, row) => {
          const x = a(columns, row);
          if (x === null) return null;
          const y = b(columns, row);
          return y === null ? null : f(runtime.eval, x, y);
        };
      }
      case 3: {
        const f = fn.call as unknown as Call3;
        const a = compiled[0]!;
        const b = compiled[1]!;
        const c = compiled[2]!;
        return (columns, row) => {
          const x = a(columns, row);
          const y = b(columns, row);
          const z = c(columns, row);
          return x === null || y === null || z === null ? null : f(runtime.eval, x, y, z);
        };
      }
      default: {
        const f = fn.call as unknown as CallN;
        return (columns, row) => {
          const values: Value[] = [];
          for (let i = 0; i < compiled.length; i++) {
            const value = compiled[i]!(columns, row);
            if (value === null) return null;
            values.push(value);
          }
          return f(runtime.eval, ...values);
        };
      }
    }
  }
  switch (compiled.length) {
    case 0: {
      const f = fn.call as unknown as Call0;
      return () => f(runtime.eval);
    }
    case 1: {
      const f = fn.call as unknown as Call1;
      const a = compiled[0]!;
      return (columns, row) => f(runtime.eval, a(columns, row));
    }
    case 2: {
      const f = binary(fn);
      const a = compiled[0]!;
      const b = compiled[1]!;
      return (columns, row) => f(runtime.eval, a(columns, row), b(columns, row));
    }
    default: {
      const f = fn.call as unknown as CallN;
      return (columns, row) => f(runtime.eval, ...compiled.map((arg) => arg(columns, row)));
    }
  }
}

/** The family in which two types compare as their values stand; cross-type integers are one family. */
function familyOf(oid: number): string | undefined {
  if (oid === 20 || oid === 21 || oid === 23) return "integer";
  if (isOrderedNumberType(oid)) return String(oid);
  return undefined;
}

/** Comparisons of integers, dates and times as machine comparisons; equality of other identity types by `===`. */
function compileComparison(operator: string, left: Expr, right: Expr, frame: Frame): Evaluate | undefined {
  const family = familyOf(left.type.oid);
  const ordered = family !== undefined && family === familyOf(right.type.oid);
  const texts = (oid: number): boolean => oid === 25 || oid === 1043 || oid === 19;
  const identity =
    ordered ||
    (texts(left.type.oid) && texts(right.type.oid)) ||
    (left.type.oid === right.type.oid && (left.type.oid === 16 || left.type.oid === 2950));
  if (operator === "=" || operator === "<>" ? !identity : !ordered) return undefined;
  const a = compile(left, frame);
  const b = compile(right, frame);
  const slot = left.kind === "slot" ? left.slot : -1;
  if (slot >= 0 && right.kind === "const") {
    const bound = right.value as number | null;
    if (bound === null) return () => null;
    switch (operator) {
      case "=":
        return (columns, row) => {
          const x = columns[slot]![row]!;
          return x === null ? null : x === bound;
        };
      case "<>":
        return (columns, row) => {
          const x = columns[slot]![row]!;
          return x === null ? null : x !== bound;
        };
      case "<":
        return (columns, row) => {
          const x = columns[slot]![row] as number | null;
          return x === null ? null : x < bound;
        };
      case "<=":
        return (columns, row) => {
          const x = columns[slot]![row] as number | null;
          return x === null ? null : x <= bound;
        };
      case ">":
        return (columns, row) => {
          const x = columns[slot]![row] as number | null;
          return x === null ? null : x > bound;
        };
      default:
        return (columns, row) => {
          const x = columns[slot]![row] as number | null;
          return x === null ? null : x >= bound;
        };
    }
  }
  switch (operator) {
    case "=":
      return (columns, row) => {
        const x = a(columns, row);
        if (x === null) return null;
        const y = b(columns, row);
        return y === null ? null : x === y;
      };
    case "<>":
      return (columns, row) => {
        const x = a(columns, row);
        if (x === null) return null;
        const y = b(columns, row);
        return y === null ? null : x !== y;
      };
    case "<":
      return (columns, row) => {
        const x = a(columns, row) as number | null;
        if (x === null) return null;
        const y = b(columns, row) as number | null;
        return y === null ? null : x < y;
      };
    case "<=":
      return (columns, row) => {
        const x = a(columns, row) as number | null;
        if (x === null) return null;
        const y = b(columns, row) as number | null;
        return y === null ? null : x <= y;
      };
    case ">":
      return (columns, row) => {
        const x = a(columns, row) as number | null;
        if (x === null) return null;
        const y = b(columns, row) as number | null;
        return y === null ? null : x > y;
      };
    default:
      return (columns, row) => {
        const x = a(columns, row) as number | null;
        if (x === null) return null;
        const y = b(columns, row) as number | null;
        return y === null ? null : x >= y;
      };
  }
}

function compileLogic(isAnd: boolean, args: readonly Expr[], frame: Frame): Evaluate {
  const compiled = args.map((arg) => compile(arg, frame));
  const decisive = !isAnd;
  if (compiled.length === 2) {
    const a = compiled[0]!;
    const b = compiled[1]!;
    return (columns, row) => {
      const x = a(columns, row);
      if (x === decisive) return decisive;
      const y = b(columns, row);
      if (y === decisive) return decisive;
      return x === null || y === null ? null : !decisive;
    };
  }
  return (columns, row) => {
    let unknown = false;
    for (let i = 0; i < compiled.length; i++) {
      const value = compiled[i]!(columns, row);
      if (value === decisive) return decisive;
      if (value === null) unknown = true;
    }
    return unknown ? null : !decisive;
  };
}

function compileCase(expr: Extract<Expr, { kind: "case" }>, frame: Frame): Evaluate {
  const holder: Holder = { value: null };
  const operand = expr.operand === undefined ? undefined : compile(expr.operand, frame);
  const inner: Frame = operand === undefined ? frame : { ...frame, caseTest: holder };
  const whens = expr.whens.map(({ when }) => compile(when, inner));
  // The results stand outside the operand's reach, but inside an outer CASE's.
  const thens = expr.whens.map(({ then }) => compile(then, frame));
  const otherwise = compile(expr.otherwise, frame);
  return (columns, row) => {
    if (operand !== undefined) holder.value = operand(columns, row);
    for (let i = 0; i < whens.length; i++) {
      if (whens[i]!(columns, row) === true) return thens[i]!(columns, row);
    }
    return otherwise(columns, row);
  };
}

function compileArrayCompare(expr: Extract<Expr, { kind: "arrayCompare" }>, frame: Frame): Evaluate {
  const { runtime } = frame.scope;
  const left = compile(expr.left, frame);
  const right = compile(expr.right, frame);
  const { fn, all } = expr;
  const call = binary(fn);
  // Values of one array are hashed once: a constant or a parameter stays the same object from row to row.
  const member = (expr.operator === "=" && !all) || (expr.operator === "<>" && all);
  let known: PgArray | undefined;
  let members: Set<Value> | undefined;
  let hasNull = false;
  const hashable = member && isIdentityType(expr.left.type.oid);
  return (columns, row) => {
    const array = right(columns, row);
    if (array === null) return null;
    assert(array instanceof PgArray, "ANY or ALL met a value that is no array");
    if (array.elements.length === 0) return all;
    const value = left(columns, row);
    if (
      hashable &&
      (array.elements.length > 4 || members !== undefined) &&
      sameRepresentation(expr.left.type.oid, array.elementType)
    ) {
      if (value === null) return null;
      if (array !== known) {
        known = array;
        members = new Set(array.elements);
        hasNull = members.delete(null);
      }
      if (members!.has(value)) return !all;
      return hasNull ? null : all;
    }
    if (value === null && fn.strict) return null;
    let unknown = false;
    for (const element of array.elements) {
      const verdict = element === null && fn.strict ? null : call(runtime.eval, value, element);
      if (verdict === null) unknown = true;
      else if ((verdict === true) !== all) return !all;
    }
    return unknown ? null : all;
  };
}

function sameRepresentation(left: number, element: number): boolean {
  if (left === element) return true;
  const text = (oid: number): boolean => oid === 25 || oid === 1043 || oid === 19;
  return (text(left) && text(element)) || (familyOf(left) === "integer" && familyOf(element) === "integer");
}

/** ARRAY[...]; elements that are arrays themselves make one more dimension. */
function compileArray(type: TypeRef, elements: readonly Expr[], frame: Frame): Evaluate {
  const compiled = elements.map((element) => compile(element, frame));
  const elementType = elementOid(type.oid);
  const make: Evaluate = (columns, row) =>
    makeArray(
      elementType,
      compiled.map((element) => element(columns, row)),
    );
  if (!elements.every(isOfExecution)) return make;
  // One array for all rows of an execution, so that who looks for members makes one set of it.
  const { runtime } = frame.scope;
  let execution = -1;
  let array: Value = null;
  return (columns, row) => {
    if (execution !== runtime.execution) {
      array = make(columns, row);
      execution = runtime.execution;
    }
    return array;
  };
}

/** The expression has one value in an execution: it is made of constants and parameters. */
function isOfExecution(expr: Expr): boolean {
  switch (expr.kind) {
    case "const":
    case "param":
      return true;
    case "relabel":
    case "ioCast":
      return isOfExecution(expr.arg);
    case "call":
      return expr.fn.volatility !== "volatile" && expr.args.every(isOfExecution);
    default:
      return false;
  }
}

function elementOid(arrayOid: number): number {
  const element = elementTypeOf(arrayOid);
  assert(element !== undefined, "an array expression's type is no array type");
  return element;
}

function makeArray(elementType: number, values: readonly Value[]): Value {
  const first = values.find((value) => value instanceof PgArray);
  if (first === undefined) return PgArray.of(elementType, values);
  const flat: Value[] = [];
  for (const value of values) {
    const same =
      value instanceof PgArray &&
      value.dims.length === first.dims.length &&
      value.dims.every((length, dim) => length === first.dims[dim]);
    if (!same) {
      throw new DbError(
        "arraySubscriptError",
        "multidimensional arrays must have array expressions with matching dimensions",
      );
    }
    for (const element of value.elements) flat.push(element);
  }
  if (flat.length === 0) return new PgArray(elementType, [], [], []);
  const dims = [values.length, ...first.dims];
  return new PgArray(
    elementType,
    flat,
    dims,
    dims.map(() => 1),
  );
}

function compileSubscript(expr: Extract<Expr, { kind: "subscript" }>, frame: Frame): Evaluate {
  const arg = compile(expr.arg, frame);
  const indexes = expr.indexes.map(({ lower, upper, slice }) => ({
    lower: lower === undefined ? undefined : compile(lower, frame),
    upper: upper === undefined ? undefined : compile(upper, frame),
    slice,
  }));
  const slicing = indexes.some(({ slice }) => slice);
  if (!slicing) {
    return (columns, row) => {
      const array = arg(columns, row);
      if (array === null) return null;
      assert(array instanceof PgArray, "a subscript was asked of a value that is no array");
      let at = 0;
      const fits = array.dims.length === indexes.length;
      let inside = fits;
      for (let dim = 0; dim < indexes.length; dim++) {
        const { lower, upper } = indexes[dim]!;
        const index = (upper ?? lower)!(columns, row);
        if (index === null) return null;
        if (!inside) continue;
        const position = (index as number) - array.lowerBounds[dim]!;
        if (position < 0 || position >= array.dims[dim]!) inside = false;
        at = at * array.dims[dim]! + position;
      }
      return inside ? (array.elements[at] ?? null) : null;
    };
  }
  return (columns, row) => {
    const array = arg(columns, row);
    if (array === null) return null;
    assert(array instanceof PgArray, "a slice was asked of a value that is no array");
    const from: number[] = [];
    const to: number[] = [];
    let empty = indexes.length > array.dims.length;
    for (let dim = 0; dim < array.dims.length || dim < indexes.length; dim++) {
      const index = indexes[dim];
      const first = array.lowerBounds[dim] ?? 1;
      const last = first + (array.dims[dim] ?? 0) - 1;
      let low = first;
      let high = last;
      if (index !== undefined) {
        // In a slice, a plain subscript n means 1:n.
        const lower = index.lower?.(columns, row);
        const upper = index.upper?.(columns, row);
        if (lower === null || upper === null) return null;
        if (lower !== undefined) low = index.slice ? (lower as number) : 1;
        else if (!index.slice) low = 1;
        if (upper !== undefined) high = upper as number;
        else if (!index.slice && lower !== undefined) high = lower as number;
      }
      from.push(Math.max(low, first));
      to.push(Math.min(high, last));
      if (from[dim]! > to[dim]!) empty = true;
    }
    if (empty) return new PgArray(array.elementType, [], [], []);
    const dims = from.map((low, dim) => to[dim]! - low + 1);
    const elements: Value[] = [];
    const collect = (dim: number, base: number): void => {
      for (let i = from[dim]!; i <= to[dim]!; i++) {
        const at = base * array.dims[dim]! + (i - array.lowerBounds[dim]!);
        if (dim + 1 === array.dims.length) elements.push(array.elements[at]!);
        else collect(dim + 1, at);
      }
    };
    collect(0, 0);
    return new PgArray(
      array.elementType,
      elements,
      dims,
      dims.map(() => 1),
    );
  };
}

function compileRowCompare(expr: Extract<Expr, { kind: "rowCompare" }>, frame: Frame): Evaluate {
  const { runtime } = frame.scope;
  const left = expr.left.map((arg) => compile(arg, frame));
  const right = expr.right.map((arg) => compile(arg, frame));
  const equal = expr.equal.map(binary);
  const less = expr.less.map((fn) => (fn === undefined ? undefined : binary(fn)));
  const { operator } = expr;
  if (operator === "=" || operator === "<>") {
    const differs = operator === "<>";
    return (columns, row) => {
      let unknown = false;
      for (let i = 0; i < left.length; i++) {
        const a = left[i]!(columns, row);
        const b = right[i]!(columns, row);
        if (a === null || b === null) unknown = true;
        else if (equal[i]!(runtime.eval, a, b) !== true) return differs;
      }
      return unknown ? null : !differs;
    };
  }
  const below = operator === "<" || operator === "<=";
  const orEqual = operator === "<=" || operator === ">=";
  return (columns, row) => {
    for (let i = 0; i < left.length; i++) {
      const a = left[i]!(columns, row);
      const b = right[i]!(columns, row);
      if (a === null || b === null) return null;
      if (equal[i]!(runtime.eval, a, b) === true) continue;
      const isLess = less[i];
      assert(isLess !== undefined, "a row comparison lacks the order of an element");
      return (isLess(runtime.eval, a, b) === true) === below;
    }
    return orEqual;
  };
}

/**
 * One subplan. Between executions it is closed; it opens at the first row that needs it. `running`: a Wait came out of
 * it, and the next call for the same row goes on.
 */
class Subplan implements Resettable {
  readonly #plan: Operator;
  #open = false;
  running = false;
  constructor(
    readonly scope: ExprScope,
    readonly expr: SubplanExpr,
    readonly bindings: readonly { readonly id: number; readonly value: Evaluate }[],
  ) {
    this.#plan = scope.build(expr.plan);
    scope.runtime.subplans.push(this);
  }
  reset(): void {
    this.#open = false;
    this.running = false;
    this.forget();
  }
  /** Results kept from row to row. */
  forget(): void {}
  close(): void {
    if (this.#open) this.#plan.close();
    this.#open = false;
  }
  /** Sets the bindings and starts over, unless it is to go on after a Wait. */
  start(columns: Value[][], row: number): void {
    if (this.running) return;
    const { runtime } = this.scope;
    for (const { id, value } of this.bindings) runtime.execParams[id] = value(columns, row);
    if (this.#open) this.#plan.rescan();
    else {
      this.#open = true;
      this.#plan.open(runtime.context);
    }
    this.running = true;
    this.begin();
  }
  begin(): void {}
  next(): Batch | undefined {
    return this.#plan.next();
  }
}

class ScalarSubplan extends Subplan {
  #rows = 0;
  #value: Value = null;
  #known = false;
  override forget(): void {
    this.#known = false;
  }
  override begin(): void {
    this.#rows = 0;
    this.#value = null;
  }
  evaluate(columns: Value[][], row: number): Value {
    if (this.#known) return this.#value;
    this.start(columns, row);
    for (;;) {
      const batch = this.next();
      if (batch === undefined) break;
      this.#rows += batch.length;
      if (this.#rows > 1) {
        this.running = false;
        throw moreThanOneRow();
      }
      this.#value = batch.columns[0]![0]!;
    }
    this.running = false;
    this.#known = this.bindings.length === 0;
    return this.#value;
  }
}

export function moreThanOneRow(): DbError {
  return new DbError(
    "cardinalityViolation",
    "more than one row returned by a subquery used as an expression",
  );
}

class ExistsSubplan extends Subplan {
  #value = false;
  #known = false;
  override forget(): void {
    this.#known = false;
  }
  evaluate(columns: Value[][], row: number): Value {
    if (this.#known) return this.#value;
    this.start(columns, row);
    this.#value = this.next() !== undefined;
    this.running = false;
    this.#known = this.bindings.length === 0;
    return this.#value;
  }
}

class ArraySubplan extends Subplan {
  #values: Value[] = [];
  #bytes = new Account();
  override begin(): void {
    this.#values = [];
    this.#bytes.open(this.scope.runtime.context.memory);
  }
  override close(): void {
    super.close();
    this.#bytes.release();
  }
  evaluate(columns: Value[][], row: number): Value {
    this.start(columns, row);
    for (;;) {
      const batch = this.next();
      if (batch === undefined) break;
      const column = batch.columns[0]!;
      for (let i = 0; i < batch.length; i++) {
        this.#bytes.take(8 + bytesOf(column[i]!));
        this.#values.push(column[i]!);
      }
    }
    this.running = false;
    this.#bytes.release();
    return makeArray(elementOid(this.expr.type.oid), this.#values);
  }
}

/** left op ANY/ALL (subquery). Rows are compared until one decides. */
class QuantifiedSubplan extends Subplan {
  readonly #left: Evaluate[];
  readonly #compare: Call2[];
  readonly #all: boolean;
  readonly #values: Value[] = [];
  #unknown = false;
  constructor(scope: ExprScope, expr: SubplanExpr, bindings: Subplan["bindings"], left: Evaluate[]) {
    super(scope, expr, bindings);
    this.#left = left;
    this.#compare = (expr.compare ?? []).map(binary);
    this.#all = expr.form === "all";
    assert(
      this.#compare.length === left.length && left.length > 0,
      "a quantified subquery lacks its comparison",
    );
  }
  override begin(): void {
    this.#unknown = false;
  }
  evaluate(columns: Value[][], row: number): Value {
    const values = this.#values;
    for (let i = 0; i < this.#left.length; i++) values[i] = this.#left[i]!(columns, row);
    this.start(columns, row);
    const all = this.#all;
    for (;;) {
      const batch = this.next();
      if (batch === undefined) break;
      for (let at = 0; at < batch.length; at++) {
        const verdict = this.#verdict(batch, at);
        if (verdict === null) this.#unknown = true;
        else if (verdict !== all) {
          this.running = false;
          return !all;
        }
      }
    }
    this.running = false;
    return this.#unknown ? null : all;
  }
  #verdict(batch: Batch, at: number): boolean | null {
    const { runtime } = this.scope;
    let unknown = false;
    const negated = this.expr.operator === "<>";
    for (let i = 0; i < this.#compare.length; i++) {
      const a = this.#values[i]!;
      const b = batch.columns[i]![at]!;
      const verdict = a === null || b === null ? null : this.#compare[i]!(runtime.eval, a, b);
      if (verdict === null) unknown = true;
      // Rows differ as soon as one element does; otherwise all elements must agree.
      else if (negated ? verdict === true : verdict !== true) return negated;
    }
    return unknown ? null : !negated;
  }
}

/** `= ANY` over an uncorrelated subquery: its rows are hashed once per execution. */
class HashedSubplan extends Subplan {
  readonly #left: Evaluate[];
  readonly #keys: Value[][];
  readonly #table: KeyTable;
  readonly #memory = new Account();
  /** Rows with a NULL in them, by column: they make a miss unknown, when the other columns could match. */
  readonly #nullRows: Value[][] = [];
  readonly #compare: Call2[];
  #rows = 0;
  #built = false;
  constructor(scope: ExprScope, expr: SubplanExpr, left: Evaluate[]) {
    super(scope, expr, []);
    this.#left = left;
    this.#keys = left.map(() => [null]);
    this.#compare = (expr.compare ?? []).map(binary);
    this.#table = new KeyTable(expr.plan.columns.map(({ type }) => type.oid));
  }
  override forget(): void {
    this.#built = false;
  }
  override close(): void {
    super.close();
    this.#clear();
  }
  #clear(): void {
    this.#memory.release();
    this.#table.clear();
    this.#nullRows.length = 0;
    this.#rows = 0;
  }
  override begin(): void {
    this.#clear();
    this.#memory.open(this.scope.runtime.context.memory);
  }
  #build(columns: Value[][], row: number): void {
    this.start(columns, row);
    for (;;) {
      const batch = this.next();
      if (batch === undefined) break;
      this.#rows += batch.length;
      for (let at = 0; at < batch.length; at++) {
        if (hasNull(batch.columns, at)) {
          // One row per pattern is enough for a single column; several columns need the values.
          if (this.#left.length === 1 && this.#nullRows.length > 0) continue;
          this.#memory.take(64);
          this.#nullRows.push(batch.columns.map((column) => column[at]!));
        } else this.#table.intern(batch.columns, at);
      }
      const bytes = this.#table.bytes;
      if (bytes > this.#memory.held) this.#memory.take(bytes - this.#memory.held);
    }
    this.running = false;
    this.#built = true;
  }
  evaluate(columns: Value[][], row: number): Value {
    if (!this.#built) this.#build(columns, row);
    if (this.#rows === 0) return false;
    let unknown = false;
    for (let i = 0; i < this.#left.length; i++) {
      const value = this.#left[i]!(columns, row);
      if (value === null) unknown = true;
      this.#keys[i]![0] = value;
    }
    if (unknown) {
      if (this.#left.length === 1) return null;
      throw new DbError("internalError", "a row with NULL met a hashed subquery of several columns");
    }
    if (this.#table.find(this.#keys, 0) >= 0) return true;
    for (const nullRow of this.#nullRows) if (this.#couldMatch(nullRow)) return null;
    return false;
  }
  #couldMatch(nullRow: readonly Value[]): boolean {
    for (let i = 0; i < nullRow.length; i++) {
      const value = nullRow[i]!;
      if (value === null) continue;
      if (this.#compare[i]!(this.scope.runtime.eval, this.#keys[i]![0]!, value) !== true) return false;
    }
    return true;
  }
}

function hasNull(columns: readonly Value[][], row: number): boolean {
  for (let c = 0; c < columns.length; c++) if (columns[c]![row] === null) return true;
  return false;
}

function compileSubplan(expr: SubplanExpr, frame: Frame): Evaluate {
  const { scope } = frame;
  const bindings = expr.bindings.map(({ id, value }) => ({ id, value: compile(value, frame) }));
  switch (expr.form) {
    case "scalar": {
      const subplan = new ScalarSubplan(scope, expr, bindings);
      return (columns, row) => subplan.evaluate(columns, row);
    }
    case "exists": {
      const subplan = new ExistsSubplan(scope, expr, bindings);
      return (columns, row) => subplan.evaluate(columns, row);
    }
    case "array": {
      const subplan = new ArraySubplan(scope, expr, bindings);
      return (columns, row) => subplan.evaluate(columns, row);
    }
    case "any":
    case "all": {
      const left = (expr.left ?? []).map((arg) => compile(arg, frame));
      const sameTypes = (expr.left ?? []).every(({ type }, i) =>
        sameRepresentation(type.oid, expr.plan.columns[i]!.type.oid),
      );
      // Several columns with a NULL on the left need every row; the plain form handles that.
      if (expr.hashed && expr.form === "any" && bindings.length === 0 && sameTypes && left.length === 1) {
        const subplan = new HashedSubplan(scope, expr, left);
        return (columns, row) => subplan.evaluate(columns, row);
      }
      const subplan = new QuantifiedSubplan(scope, expr, bindings, left);
      return (columns, row) => subplan.evaluate(columns, row);
    }
  }
}

/**
 * Several expressions over one batch, into columns of its own; slots are passed through without copying. After a Wait it
 * goes on with the same batch at the row that waited.
 */
export class ExprList {
  readonly columns: Value[][] = [];
  readonly #slots: number[] = [];
  readonly #evaluate: Evaluate[] = [];
  readonly #own: Value[][] = [];
  readonly #rowWise: boolean;
  /** Where a Wait came: what was evaluated before it is not evaluated again, for it may have had effects. */
  #row = 0;
  #column = 0;

  constructor(exprs: readonly Expr[], scope: ExprScope) {
    this.#rowWise = exprs.some(mayWait);
    for (const expr of exprs) {
      const inner = stripRelabel(expr);
      this.#slots.push(inner.kind === "slot" && !this.#rowWise ? inner.slot : -1);
      this.#evaluate.push(compileExpr(expr, scope));
      this.#own.push([]);
      this.columns.push(this.#own[this.#own.length - 1]!);
    }
  }
  get width(): number {
    return this.#evaluate.length;
  }
  reset(): void {
    this.#row = 0;
    this.#column = 0;
  }
  evaluate(columns: Value[][], length: number): Value[][] {
    const count = this.#evaluate.length;
    if (this.#rowWise) {
      for (; this.#row < length; this.#row++) {
        for (; this.#column < count; this.#column++) {
          this.#own[this.#column]![this.#row] = this.#evaluate[this.#column]!(columns, this.#row);
        }
        this.#column = 0;
      }
      this.#row = 0;
      return this.columns;
    }
    for (let c = 0; c < count; c++) {
      const slot = this.#slots[c]!;
      if (slot >= 0) this.columns[c] = columns[slot]!;
      else {
        const into = this.#own[c]!;
        const evaluate = this.#evaluate[c]!;
        for (let row = 0; row < length; row++) into[row] = evaluate(columns, row);
      }
    }
    return this.columns;
  }
}

function stripRelabel(expr: Expr): Expr {
  return expr.kind === "relabel" ? stripRelabel(expr.arg) : expr;
}

/** A condition over batches: which rows it is true for. After a Wait, call again with the same batch. */
export class Predicate {
  /** Row numbers kept by the last `select`. */
  selection = new Int32Array(batchRowsMax);
  readonly #conjuncts: Evaluate[];
  #row = 0;
  #kept = 0;
  readonly #rowWise: boolean;

  constructor(expr: Expr, scope: ExprScope) {
    this.#rowWise = mayWait(expr);
    const parts = expr.kind === "and" && !this.#rowWise ? expr.args : [expr];
    this.#conjuncts = parts.map((part) => compileExpr(part, scope));
  }
  reset(): void {
    this.#row = 0;
    this.#kept = 0;
  }
  select(columns: Value[][], length: number): number {
    if (this.selection.length < length) this.selection = new Int32Array(length);
    const selection = this.selection;
    const first = this.#conjuncts[0]!;
    if (this.#rowWise) {
      if (this.#row === 0) this.#kept = 0;
      for (; this.#row < length; this.#row++) {
        if (first(columns, this.#row) === true) selection[this.#kept++] = this.#row;
      }
      this.#row = 0;
      return this.#kept;
    }
    let kept = 0;
    for (let row = 0; row < length; row++) {
      if (first(columns, row) === true) selection[kept++] = row;
    }
    // Each further condition sees only what the ones before left, so none runs on a row already dropped.
    for (let c = 1; c < this.#conjuncts.length && kept > 0; c++) {
      const conjunct = this.#conjuncts[c]!;
      let left = 0;
      for (let i = 0; i < kept; i++) {
        const row = selection[i]!;
        if (conjunct(columns, row) === true) selection[left++] = row;
      }
      kept = left;
    }
    return kept;
  }
}

/** The condition as a function that fills a selection, for callers that hold no state. */
export function compilePredicate(
  expr: Expr,
  scope: ExprScope,
): (columns: Value[][], length: number, selection: Int32Array) => number {
  const predicate = new Predicate(expr, scope);
  return (columns, length, selection) => {
    const kept = predicate.select(columns, length);
    selection.set(predicate.selection.subarray(0, kept));
    return kept;
  };
}

/** Copies the selected rows of some columns to the start of others. */
export function gather(
  from: readonly Value[][],
  into: readonly Value[][],
  selection: Int32Array,
  count: number,
): void {
  for (let c = 0; c < into.length; c++) {
    const source = from[c]!;
    const target = into[c]!;
    for (let i = 0; i < count; i++) target[i] = source[selection[i]!]!;
  }
}
