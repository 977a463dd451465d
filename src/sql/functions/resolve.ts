/**
 * Which function, operator or cast a call means: PostgreSQL's rules (manual, chapter 10 "Type Conversion").
 *
 * Invariants: resolution depends on names and types alone, so that every node resolves alike. Errors: 42883 (none fits),
 * 42725 (several fit), 42804 (types that cannot be matched), 42P18 (polymorphic without a known argument), 0A000
 * (resolved, but not implemented).
 */
import { DbError, notSupported } from "../../base/errors.js";
import type { AggregateDef, EvalContext, FunctionDef } from "../../model/functions.js";
import { arrayTypeOf, elementTypeOf, formatType, oids, typeByName, typeByOid } from "../../model/types.js";
import type { PgArray, Value } from "../../model/value.js";
import {
  aggregateDefOf,
  castBetween,
  type FunctionEntry,
  functionDefOf,
  functionEntry,
  functionsNamed,
  isForeignFunction,
  isPolymorphic,
  type OperatorDef,
  operatorsNamed,
} from "./registry.js";

export type CastContext = "implicit" | "assignment" | "explicit";

function categoryOf(oid: number): string {
  return typeByOid(oid)?.category ?? "U";
}

function isPreferred(oid: number): boolean {
  return typeByOid(oid)?.preferred ?? false;
}

// Casts -------------------------------------------------------------------------------------------------------------

export type Cast =
  | { readonly kind: "function"; readonly fn: FunctionDef }
  /** Same representation, other type. */
  | { readonly kind: "relabel" }
  /** Through the text forms. */
  | { readonly kind: "io" }
  | { readonly kind: "array"; readonly element: Cast };

const relabel: Cast = { kind: "relabel" };
const int2Array = 1005;
const oidArray = 1028;
const throughText: Cast = { kind: "io" };

function isOidLike(oid: number): boolean {
  return oid === oids.oid || (typeByOid(oid)?.name.startsWith("reg") ?? false);
}
function wrapping(returns: number, arg: number, wrap: (value: number) => number): Cast {
  const call = (_: EvalContext, value: number): number => wrap(value);
  const name = typeByOid(returns)!.name;
  return {
    kind: "function",
    fn: { oid: 0, name, args: [arg], returns, strict: true, volatility: "immutable", call },
  };
}
const toUnsigned = wrapping(oids.oid, oids.int4, (value) => value >>> 0);
const toSigned = wrapping(oids.int4, oids.oid, (value) => value | 0);

const contextRank: Readonly<Record<CastContext, number>> = { implicit: 0, assignment: 1, explicit: 2 };

/**
 * The way from one type to another in a context, undefined when there is none. The cast of `unknown` literals is `io`:
 * the caller reads the literal with the target's input function.
 */
export function findCast(from: number, to: number, context: CastContext): Cast | undefined {
  if (from === to) return relabel;
  if (from === oids.unknown) return throughText;
  // The vectors are arrays that count from 0; PostgreSQL lets them pass for the array types without a cast of their own.
  if ((from === oids.int2vector && to === int2Array) || (from === oids.oidvector && to === oidArray))
    return relabel;
  const path = castBetween(from, to);
  if (path !== undefined) {
    if (contextRank[path.context] > contextRank[context]) return undefined;
    // PostgreSQL shares the four bytes; our OIDs are unsigned numbers.
    if ((from === oids.int4 || from === oids.int2) && isOidLike(to)) return toUnsigned;
    if (to === oids.int4 && isOidLike(from)) return toSigned;
    if (path.method === "binary") return relabel;
    if (path.method === "inout") return throughText;
    const entry = functionEntry(path.function);
    return entry === undefined ? undefined : { kind: "function", fn: functionDefOf(entry) };
  }
  if (to === oids.any) return relabel;
  const fromElement = typeByOid(from)?.isArray === true ? elementTypeOf(from) : undefined;
  const toElement = typeByOid(to)?.isArray === true ? elementTypeOf(to) : undefined;
  if (fromElement !== undefined && toElement !== undefined) {
    const element = findCast(fromElement, toElement, context);
    return element === undefined || element.kind === "relabel" ? element : { kind: "array", element };
  }
  if (fromElement !== undefined && to === oids.anyarray) return relabel;
  if (context !== "implicit") {
    if (categoryOf(to) === "S" && from !== oids.void) return throughText;
    if (context === "explicit" && categoryOf(from) === "S" && typeByOid(to)?.kind === "b") return throughText;
  }
  return undefined;
}

/** Whether a cast exists, without needing its function to be implemented. */
export function canCast(from: number, to: number, context: CastContext): boolean {
  if (from === to || from === oids.unknown || to === oids.any) return true;
  const path = castBetween(from, to);
  if (path !== undefined) return contextRank[path.context] <= contextRank[context];
  if (typeByOid(from)?.isArray === true) {
    if (to === oids.anyarray) return true;
    const toElement = typeByOid(to)?.isArray === true ? elementTypeOf(to) : undefined;
    if (toElement !== undefined) return canCast(elementTypeOf(from)!, toElement, context);
  }
  if (context === "implicit") return false;
  if (categoryOf(to) === "S" && from !== oids.void) return true;
  return context === "explicit" && categoryOf(from) === "S" && typeByOid(to)?.kind === "b";
}

// Common types ------------------------------------------------------------------------------------------------------

/**
 * The type that all of several expressions become (UNION, CASE, IN, VALUES, ARRAY, GREATEST ...). All unknown gives
 * text. `what` names the construct in the 42804 message; undefined asks quietly.
 */
export function selectCommonType(types: readonly number[], what: string): number;
export function selectCommonType(types: readonly number[], what: undefined): number | undefined;
export function selectCommonType(types: readonly number[], what: string | undefined): number | undefined {
  let chosen = types[0] ?? oids.unknown;
  for (const type of types.slice(1)) {
    if (type === chosen || type === oids.unknown) continue;
    if (chosen === oids.unknown) {
      chosen = type;
      continue;
    }
    if (categoryOf(type) !== categoryOf(chosen)) {
      if (what === undefined) return undefined;
      throw new DbError(
        "datatypeMismatch",
        `${what} types ${formatType(chosen)} and ${formatType(type)} cannot be matched`,
      );
    }
    if (!isPreferred(chosen) && canCast(chosen, type, "implicit") && !canCast(type, chosen, "implicit")) {
      chosen = type;
    }
  }
  return chosen === oids.unknown ? oids.text : chosen;
}

// Candidates --------------------------------------------------------------------------------------------------------

interface Candidate {
  /** Declared types, one per actual argument (variadics expanded). */
  readonly types: readonly number[];
}

/** Whether actual types fit declared ones by implicit casts, polymorphic ones consistently. */
function fits(actual: readonly number[], declared: readonly number[]): boolean {
  let generic = false;
  for (let at = 0; at < actual.length; at++) {
    const to = declared[at]!;
    if (isPolymorphic(to)) {
      generic = true;
      continue;
    }
    if (!canCast(actual[at]!, to, "implicit")) return false;
  }
  return !generic || unify(actual, declared) !== undefined;
}

interface Unified {
  /** undefined: not needed, or only unknown arguments. */
  readonly element: number | undefined;
  readonly array: number | undefined;
  readonly compatible: number | undefined;
  readonly compatibleArray: number | undefined;
}

/** Types the polymorphic parameters stand for; undefined when the actual ones contradict each other. */
function unify(actual: readonly number[], declared: readonly number[]): Unified | undefined {
  let element: number | undefined;
  let array: number | undefined;
  let nonArray = false;
  let compatibleNonArray = false;
  const compatibles: number[] = [];
  let anyCompatible = false;
  for (let at = 0; at < declared.length; at++) {
    const from = actual[at]!;
    const to = declared[at]!;
    if (to === oids.anyelement || to === oids.anynonarray) {
      if (to === oids.anynonarray) nonArray = true;
      if (from === oids.unknown) continue;
      if (element !== undefined && element !== from) return undefined;
      element = from;
    } else if (to === oids.anyarray) {
      if (from === oids.unknown) continue;
      if (array !== undefined && array !== from) return undefined;
      if (from !== oids.anyarray && elementTypeOf(from) === undefined) return undefined;
      array = from;
    } else if (to === oids.anycompatible || to === oids.anycompatiblenonarray) {
      anyCompatible = true;
      if (to === oids.anycompatiblenonarray) compatibleNonArray = true;
      if (from !== oids.unknown) compatibles.push(from);
    } else if (to === oids.anycompatiblearray) {
      anyCompatible = true;
      if (from === oids.unknown) continue;
      const inner = elementTypeOf(from);
      if (inner === undefined) return undefined;
      compatibles.push(inner);
    }
  }
  if (array !== undefined && array !== oids.anyarray) {
    const inner = elementTypeOf(array)!;
    if (element !== undefined && element !== inner) return undefined;
    element = inner;
  } else if (element !== undefined) array = arrayTypeOf(element);
  if (nonArray && element !== undefined && typeByOid(element)?.isArray === true) return undefined;
  let compatible: number | undefined;
  if (anyCompatible && compatibles.length > 0) {
    compatible = selectCommonType(compatibles, undefined);
    if (compatible === undefined) return undefined;
    for (const type of compatibles) if (!canCast(type, compatible, "implicit")) return undefined;
    if (compatibleNonArray && typeByOid(compatible)?.isArray === true) return undefined;
  } else if (anyCompatible) compatible = oids.text;
  return {
    element,
    array,
    compatible,
    compatibleArray: compatible === undefined ? undefined : arrayTypeOf(compatible),
  };
}

/** Declared types with polymorphic ones replaced, and the result type. */
function resolveGeneric(
  actual: readonly number[],
  declared: readonly number[],
  returns: number,
): { argTypes: number[]; returns: number } {
  const unified = unify(actual, declared);
  const undetermined = (): DbError =>
    new DbError("datatypeMismatch", "could not determine polymorphic type because input has type unknown");
  const replace = (type: number, own: number | undefined): number => {
    switch (type) {
      case oids.any:
        return own ?? oids.any;
      case oids.anyelement:
      case oids.anynonarray:
        if (unified?.element === undefined) throw undetermined();
        return unified.element;
      case oids.anyarray: {
        const array = unified?.array;
        if (array === undefined) {
          if (unified?.element === undefined) throw undetermined();
          throw new DbError(
            "undefinedObject",
            `could not find array type for data type ${formatType(unified.element)}`,
          );
        }
        return array;
      }
      case oids.anycompatible:
      case oids.anycompatiblenonarray:
        if (unified?.compatible === undefined) throw undetermined();
        return unified.compatible;
      case oids.anycompatiblearray: {
        const array = unified?.compatibleArray;
        if (array === undefined) throw undetermined();
        return array;
      }
      default:
        return type;
    }
  };
  const argTypes = declared.map((type, at) => replace(type, actual[at]));
  return { argTypes, returns: replace(returns, undefined) };
}

function keepBest<C extends Candidate>(candidates: readonly C[], score: (candidate: C) => number): C[] {
  let best = -1;
  let kept: C[] = [];
  for (const candidate of candidates) {
    const value = score(candidate);
    if (value > best) {
      best = value;
      kept = [candidate];
    } else if (value === best) kept.push(candidate);
  }
  return kept;
}

/** Chooses among candidates that all fit; undefined when several remain. */
function selectCandidate<C extends Candidate>(
  actual: readonly number[],
  fitting: readonly C[],
): C | undefined {
  const unknowns = actual.filter((type) => type === oids.unknown).length;
  let candidates = keepBest(fitting, (candidate) => {
    let exact = 0;
    for (let at = 0; at < actual.length; at++) {
      if (actual[at] !== oids.unknown && candidate.types[at] === actual[at]) exact++;
    }
    return exact;
  });
  if (candidates.length === 1) return candidates[0];
  candidates = keepBest(candidates, (candidate) => {
    let good = 0;
    for (let at = 0; at < actual.length; at++) {
      if (actual[at] === oids.unknown) continue;
      const type = candidate.types[at]!;
      if (type === actual[at] || (categoryOf(type) === categoryOf(actual[at]!) && isPreferred(type))) good++;
    }
    return good;
  });
  if (candidates.length === 1) return candidates[0];
  if (unknowns === 0) return undefined;

  const slots: { category: string; preferred: boolean }[] = [];
  let resolved = true;
  for (let at = 0; at < actual.length && resolved; at++) {
    if (actual[at] !== oids.unknown) {
      slots.push({ category: "", preferred: false });
      continue;
    }
    let category = "";
    let preferred = false;
    let conflict = false;
    for (const candidate of candidates) {
      const type = candidate.types[at]!;
      const own = categoryOf(type);
      if (category === "") {
        category = own;
        preferred = isPreferred(type);
      } else if (own === category) preferred ||= isPreferred(type);
      else if (own === "S") {
        category = "S";
        preferred = isPreferred(type);
      } else conflict = true;
    }
    if (conflict && category !== "S") resolved = false;
    slots.push({ category, preferred });
  }
  if (resolved) {
    const kept = candidates.filter((candidate) =>
      slots.every((slot, at) => {
        if (slot.category === "") return true;
        const type = candidate.types[at]!;
        return categoryOf(type) === slot.category && (!slot.preferred || isPreferred(type));
      }),
    );
    if (kept.length > 0) candidates = kept;
    if (candidates.length === 1) return candidates[0];
  }
  // Last: take the unknown arguments for the one type all the known ones have.
  const known = [...new Set(actual.filter((type) => type !== oids.unknown))];
  if (unknowns < actual.length && known.length === 1) {
    const assumed = known[0]!;
    const guess = actual.map((type) => (type === oids.unknown ? assumed : type));
    const kept = candidates.filter((candidate) => fits(guess, candidate.types));
    if (kept.length === 1) return kept[0];
  }
  return undefined;
}

// Operators ---------------------------------------------------------------------------------------------------------

export interface ResolvedOperator {
  readonly operator: OperatorDef;
  readonly fn: FunctionDef;
  /** Types to cast the operands to: one for a prefix operator. */
  readonly argTypes: readonly number[];
  readonly returns: number;
}

function operatorMissing(symbol: string, left: number | undefined, right: number): DbError {
  return left === undefined
    ? new DbError("undefinedFunction", `operator does not exist: ${symbol} ${formatType(right)}`, {
        hint: "No operator matches the given name and argument type. You might need to add an explicit type cast.",
      })
    : new DbError(
        "undefinedFunction",
        `operator does not exist: ${formatType(left)} ${symbol} ${formatType(right)}`,
        {
          hint: "No operator matches the given name and argument types. You might need to add explicit type casts.",
        },
      );
}

function findOperator(symbol: string, left: number | undefined, right: number): OperatorDef | undefined {
  const named = operatorsNamed(symbol);
  const prefix = left === undefined;
  let exactLeft = left ?? 0;
  let exactRight = right;
  if (!prefix) {
    if (exactLeft === oids.unknown) exactLeft = right;
    if (exactRight === oids.unknown) exactRight = left;
  }
  if (exactRight !== oids.unknown) {
    const exact = named.find((operator) => operator.left === exactLeft && operator.right === exactRight);
    if (exact !== undefined) return exact;
  }
  const actual = prefix ? [right] : [left, right];
  const candidates = named
    .filter((operator) => (operator.left === 0) === prefix)
    .map((operator) => ({
      operator,
      types: prefix ? [operator.right] : [operator.left, operator.right],
    }))
    .filter((candidate) => fits(actual, candidate.types));
  if (candidates.length === 0) return undefined;
  if (candidates.length === 1) return candidates[0]!.operator;
  const chosen = selectCandidate(actual, candidates);
  if (chosen === undefined) {
    const shown = prefix
      ? `${symbol} ${formatType(right)}`
      : `${formatType(left)} ${symbol} ${formatType(right)}`;
    throw new DbError("ambiguousFunction", `operator is not unique: ${shown}`, {
      hint: "Could not choose a best candidate operator. You might need to add explicit type casts.",
    });
  }
  return chosen.operator;
}

/** `left` undefined for a prefix operator. Types may be `unknown` for untyped literals and parameters. */
export function resolveOperator(symbol: string, left: number | undefined, right: number): ResolvedOperator {
  // != is another spelling of <>.
  const operator = findOperator(symbol === "!=" ? "<>" : symbol, left, right);
  if (operator === undefined) throw operatorMissing(symbol === "!=" ? "<>" : symbol, left, right);
  const actual = left === undefined ? [right] : [left, right];
  const declared = left === undefined ? [operator.right] : [operator.left, operator.right];
  const { argTypes, returns } = resolveGeneric(actual, declared, operator.result);
  const entry = functionEntry(operator.function)!;
  return { operator, fn: functionDefOf(entry, argTypes, returns), argTypes, returns };
}

// Functions ---------------------------------------------------------------------------------------------------------

export interface ResolveOptions {
  /** VARIADIC was written before the last argument: it is the array itself. */
  readonly variadic?: boolean | undefined;
  /** Names of arguments given as name => value; undefined for positional ones. */
  readonly argNames?: readonly (string | undefined)[] | undefined;
  /** Name as written, for messages; defaults to `name`. */
  readonly shown?: string | undefined;
}

export type ResolvedFunction = {
  /** Types to cast the arguments to, one per argument of the call as completed by `order`. */
  readonly argTypes: readonly number[];
  readonly returns: number;
  /** Per parameter: position of the argument given for it, or -1 for the default `defaults` has at that place. */
  readonly order: readonly number[];
  /** Values of defaulted parameters, in step with `order`; undefined where an argument was given. */
  readonly defaults: readonly unknown[];
} & (
  | { readonly kind: "function"; readonly fn: FunctionDef }
  | { readonly kind: "aggregate"; readonly fn: AggregateDef }
  /** row_number and its like: no FunctionDef, the executor knows them by name. */
  | { readonly kind: "window"; readonly name: string; readonly oid: number }
  /** A type's name called as a function: a cast to `returns`. */
  | { readonly kind: "coercion" }
);

interface FunctionCandidate extends Candidate {
  readonly entry: FunctionEntry;
  readonly order: readonly number[];
  /** Order of the actual types in step with `types`. */
  readonly actual: readonly number[];
  readonly expanded: boolean;
  readonly defaulted: number;
}

/** How a call's arguments meet a function's parameters; undefined when they cannot. */
function arrange(
  entry: FunctionEntry,
  actual: readonly number[],
  options: ResolveOptions,
): FunctionCandidate | undefined {
  const names = options.argNames;
  const count = actual.length;
  if (names?.some((name) => name !== undefined) === true) {
    if (entry.argNames === undefined || count > entry.args.length) return undefined;
    const order: number[] = entry.args.map(() => -1);
    for (let at = 0; at < count; at++) {
      const name = names[at];
      const position = name === undefined ? at : entry.argNames.indexOf(name);
      if (position < 0 || order[position] !== -1) return undefined;
      order[position] = at;
    }
    const firstDefault = entry.args.length - entry.defaults.length;
    if (order.some((given, position) => given === -1 && position < firstDefault)) return undefined;
    const filled = order.map((given, position) => (given === -1 ? entry.args[position]! : actual[given]!));
    const defaulted = order.filter((given) => given === -1).length;
    return { entry, types: entry.args, order, actual: filled, expanded: false, defaulted };
  }
  const identity = actual.map((_, at) => at);
  const last = entry.args[entry.args.length - 1];
  if (entry.variadic && options.variadic !== true && last !== undefined && count >= entry.args.length) {
    const element =
      last === oids.any
        ? oids.any
        : last === oids.anyarray
          ? oids.anyelement
          : last === oids.anycompatiblearray
            ? oids.anycompatible
            : elementTypeOf(last)!;
    const types = [...entry.args.slice(0, -1)];
    while (types.length < count) types.push(element);
    return { entry, types, order: identity, actual, expanded: true, defaulted: 0 };
  }
  if (options.variadic === true && !entry.variadic) return undefined;
  if (count === entry.args.length) {
    return { entry, types: entry.args, order: identity, actual, expanded: false, defaulted: 0 };
  }
  const missing = entry.args.length - count;
  if (missing < 0 || missing > entry.defaults.length) return undefined;
  const order = entry.args.map((_, position) => (position < count ? position : -1));
  const filled = entry.args.map((type, position) => (position < count ? actual[position]! : type));
  return { entry, types: entry.args, order, actual: filled, expanded: false, defaulted: missing };
}

function describeCall(name: string, actual: readonly number[], options: ResolveOptions): string {
  const args = actual.map((type, at) => {
    const argName = options.argNames?.[at];
    return `${argName === undefined ? "" : `${argName} => `}${formatType(type)}`;
  });
  return `function ${options.shown ?? name}(${args.join(", ")})`;
}

/** f(VARIADIC array) of a function of "any" arguments: the array's elements stand for the arguments. */
function spreadCall(entry: FunctionEntry, argTypes: readonly number[], returns: number): FunctionDef {
  const fixed = argTypes.slice(0, -1);
  const elementType = elementTypeOf(argTypes[argTypes.length - 1]!);
  if (elementType === undefined) {
    throw new DbError("datatypeMismatch", "VARIADIC argument must be an array");
  }
  return {
    ...functionDefOf(entry, argTypes, returns),
    call: (context, ...args: Value[]) => {
      const array = args[args.length - 1] as PgArray | null;
      if (array === null) return null;
      const types = [...fixed, ...array.elements.map(() => elementType)];
      const call = entry.typed!(types, returns) as (context: EvalContext, ...args: Value[]) => Value;
      return call(context, ...args.slice(0, -1), ...array.elements);
    },
  };
}

function finishFunction(candidate: FunctionCandidate, spreads: boolean): ResolvedFunction {
  const { entry, order } = candidate;
  const { argTypes, returns } = resolveGeneric(candidate.actual, candidate.types, entry.returns);
  const firstDefault = entry.args.length - entry.defaults.length;
  const defaults = order.map((given, at) => (given === -1 ? entry.defaults[at - firstDefault] : undefined));
  const shape = { argTypes, returns, order, defaults };
  if (entry.kind === "w") return { kind: "window", name: entry.name, oid: entry.oid, ...shape };
  if (entry.kind === "a") {
    return { kind: "aggregate", fn: aggregateDefOf(entry, argTypes, returns), ...shape };
  }
  if (spreads && entry.typed !== undefined && entry.args[entry.args.length - 1] === oids.any) {
    return { kind: "function", fn: spreadCall(entry, argTypes, returns), ...shape };
  }
  return { kind: "function", fn: functionDefOf(entry, argTypes, returns), ...shape };
}

/**
 * Finds the function a call means. `argTypes` are the actual types (`unknown` for untyped literals); for ordered-set
 * aggregates the direct arguments first, then those of WITHIN GROUP.
 */
export function resolveFunction(
  name: string,
  argTypes: readonly number[],
  options: ResolveOptions = {},
): ResolvedFunction {
  const arranged: FunctionCandidate[] = [];
  for (const entry of functionsNamed(name)) {
    const candidate = arrange(entry, argTypes, options);
    if (candidate !== undefined) arranged.push(candidate);
  }
  const exact = arranged.filter((candidate) =>
    candidate.types.every((type, at) => candidate.actual[at] === type),
  );
  if (exact.length > 0) {
    const chosen = exact.find((candidate) => !candidate.expanded) ?? exact[0]!;
    return finishFunction(chosen, options.variadic === true);
  }
  if (argTypes.length === 1 && options.argNames?.[0] === undefined) {
    const target = typeByName(name)?.name === name ? typeByName(name) : undefined;
    const from = argTypes[0]!;
    if (target !== undefined && target.kind === "b") {
      const cast = from === oids.unknown ? throughText : findCast(from, target.oid, "explicit");
      if (cast !== undefined && cast.kind !== "function" && from !== target.oid) {
        return {
          kind: "coercion",
          argTypes: [from],
          returns: target.oid,
          order: [0],
          defaults: [undefined],
        };
      }
    }
  }
  const fitting = arranged.filter((candidate) => fits(candidate.actual, candidate.types));
  if (fitting.length === 0) {
    if (isForeignFunction(name)) throw notSupported(`function ${name}`);
    throw new DbError("undefinedFunction", `${describeCall(name, argTypes, options)} does not exist`, {
      hint: "No function matches the given name and argument types. You might need to add explicit type casts.",
    });
  }
  let chosen: FunctionCandidate | undefined = fitting.length === 1 ? fitting[0] : undefined;
  if (chosen === undefined) {
    // A function taken as it stands goes before one with defaults or variadics filled in.
    const same = new Map<string, FunctionCandidate>();
    for (const candidate of fitting) {
      const key = candidate.types.slice(0, argTypes.length).join();
      const other = same.get(key);
      if (other === undefined || rankOf(candidate) < rankOf(other)) same.set(key, candidate);
    }
    const distinct = [...same.values()];
    chosen =
      distinct.length === 1
        ? distinct[0]
        : selectCandidate(argTypes, distinct.map(inCallOrder(argTypes.length)))?.candidate;
  }
  if (chosen === undefined) {
    throw new DbError("ambiguousFunction", `${describeCall(name, argTypes, options)} is not unique`, {
      hint: "Could not choose a best candidate function. You might need to add explicit type casts.",
    });
  }
  return finishFunction(chosen, options.variadic === true);
}

function rankOf(candidate: FunctionCandidate): number {
  return (candidate.expanded ? 100 : 0) + candidate.defaulted;
}

/** A candidate's types in the order of the call's arguments: named ones may stand anywhere. */
function inCallOrder(
  count: number,
): (candidate: FunctionCandidate) => { types: readonly number[]; candidate: FunctionCandidate } {
  return (candidate) => {
    const types: number[] = new Array<number>(count).fill(oids.any);
    candidate.order.forEach((given, position) => {
      if (given >= 0) types[given] = candidate.types[position]!;
    });
    return { types, candidate };
  };
}
