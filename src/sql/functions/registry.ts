/**
 * The one table of functions, operators, casts and aggregates: PostgreSQL's facts (facts.ts), and ours, joined with the
 * implementations that the other files of this folder register by signature.
 *
 * Invariants: every implementation names a fact (an unknown signature stops the program at start); a fact without
 * implementation resolves like any other and is then refused by name (0A000). Definitions are made once; those of
 * polymorphic functions once per combination of actual types.
 */
import { assert, notSupported } from "../../base/errors.js";
import type { AggregateDef, FunctionDef, Volatility } from "../../model/functions.js";
import { oids, typeByPgName, typeOf } from "../../model/types.js";
import type { Value } from "../../model/value.js";
import { castFacts, functionFacts, operatorFacts, otherFunctionNames } from "./facts.js";
import { ownFunctionFacts } from "./own-facts.js";

export type Call = FunctionDef["call"];
/** Makes the implementation for actual argument types and result type. */
export type TypedCall = (argTypes: readonly number[], returns: number) => Call;
export type AggregateImpl = Pick<AggregateDef, "init" | "step" | "merge" | "final" | "stateBytes"> & {
  /** Overrides the catalog's strictness of the transition, where our steps handle NULL otherwise. */
  readonly strict?: boolean;
};
export type TypedAggregate = (argTypes: readonly number[], returns: number) => AggregateImpl;

/** One pg_proc row and what implements it. */
export interface FunctionEntry {
  readonly oid: number;
  readonly name: string;
  readonly kind: "f" | "a" | "w";
  readonly returns: number;
  readonly strict: boolean;
  readonly volatility: Volatility;
  readonly leakproof: boolean;
  readonly returnsSet: boolean;
  readonly variadic: boolean;
  readonly args: readonly number[];
  readonly argNames: readonly string[] | undefined;
  readonly outColumns: readonly { readonly name: string; readonly type: number }[] | undefined;
  readonly defaults: readonly Value[];
  /** n normal, o ordered set, h hypothetical set; empty when no aggregate. */
  readonly aggregateKind: string;
  readonly directArgs: number;
  call: Call | undefined;
  typed: TypedCall | undefined;
  aggregate: TypedAggregate | undefined;
}

export interface OperatorDef {
  readonly oid: number;
  readonly symbol: string;
  /** 0 for a prefix operator. */
  readonly left: number;
  readonly right: number;
  readonly result: number;
  /** pg_proc OID of the function behind it. */
  readonly function: number;
  /** Operator OIDs; 0 for none. */
  readonly commutator: number;
  readonly negator: number;
  readonly hashes: boolean;
  readonly merges: boolean;
  readonly role: BtreeRole | undefined;
}

export type BtreeRole = "less" | "lessEqual" | "equal" | "greaterEqual" | "greater";
const strategies: readonly (BtreeRole | undefined)[] = [
  undefined,
  "less",
  "lessEqual",
  "equal",
  "greaterEqual",
  "greater",
];

export interface CastDef {
  readonly source: number;
  readonly target: number;
  /** pg_proc OID; 0 for none. */
  readonly function: number;
  readonly context: "implicit" | "assignment" | "explicit";
  readonly method: "function" | "inout" | "binary";
}

const volatilities: Readonly<Record<string, Volatility>> = { i: "immutable", s: "stable", v: "volatile" };
const entries = new Map<number, FunctionEntry>();
const byName = new Map<string, FunctionEntry[]>();
const bySignature = new Map<string, FunctionEntry>();
const operators = new Map<number, OperatorDef>();
const operatorsByName = new Map<string, OperatorDef[]>();
const operatorsByFunction = new Map<number, OperatorDef>();
const casts = new Map<number, CastDef>();

function rows(facts: string): string[][] {
  return facts
    .trim()
    .split("\n")
    .map((line) => line.split(";"));
}

function numbers(text: string): number[] {
  return text === "" ? [] : text.split(" ").map(Number);
}

function parseDefault(text: string): Value {
  if (text === "NULL") return null;
  if (text === "true" || text === "false") return text === "true";
  const quoted = /^'(.*)'::text$/.exec(text);
  if (quoted !== null) return quoted[1]!;
  const value = Number(text);
  assert(!Number.isNaN(value), `default ${text} is not understood`);
  return value;
}

for (const row of [...rows(functionFacts), ...rows(ownFunctionFacts)]) {
  const flags = row[4]!;
  const strict = flags.startsWith("S");
  const volatility = volatilities[flags[strict ? 1 : 0]!];
  assert(volatility !== undefined, `flags ${flags}`);
  const outs = row[7]!;
  const rest = flags.slice(strict ? 2 : 1);
  const entry: FunctionEntry = {
    oid: Number(row[0]),
    name: row[1]!,
    kind: row[2] as "f" | "a" | "w",
    returns: Number(row[3]),
    strict,
    volatility,
    leakproof: rest.includes("l"),
    returnsSet: rest.includes("r"),
    variadic: rest.includes("v"),
    args: numbers(row[5]!),
    argNames: row[6] === "" ? undefined : row[6]!.split(" "),
    outColumns:
      outs === ""
        ? undefined
        : outs.split(" ").map((column) => {
            const [name, type] = column.split(":") as [string, string];
            return { name, type: Number(type) };
          }),
    defaults: row[8] === "" ? [] : row[8]!.split(", ").map(parseDefault),
    aggregateKind: row[9]!,
    directArgs: Number(row[10]),
    call: undefined,
    typed: undefined,
    aggregate: undefined,
  };
  entries.set(entry.oid, entry);
  const same = byName.get(entry.name);
  if (same === undefined) byName.set(entry.name, [entry]);
  else same.push(entry);
  bySignature.set(`${entry.name}(${entry.args.map((oid) => typeOf(oid).name).join(",")})`, entry);
}

for (const row of rows(operatorFacts)) {
  const symbol = row[1]!;
  const strategy = ["<", "<=", "=", ">=", ">"].includes(symbol) ? Number(row[9] === "" ? 0 : row[9]) : 0;
  const operator: OperatorDef = {
    oid: Number(row[0]),
    symbol,
    left: Number(row[2]),
    right: Number(row[3]),
    result: Number(row[4]),
    function: Number(row[5]),
    commutator: Number(row[6]),
    negator: Number(row[7]),
    hashes: row[8]!.includes("h"),
    merges: row[8]!.includes("m"),
    role: strategies[strategy],
  };
  if (!entries.has(operator.function)) continue; // its function's types are not ours
  operators.set(operator.oid, operator);
  const same = operatorsByName.get(symbol);
  if (same === undefined) operatorsByName.set(symbol, [operator]);
  else same.push(operator);
  if (!operatorsByFunction.has(operator.function)) operatorsByFunction.set(operator.function, operator);
}

const contexts: Readonly<Record<string, CastDef["context"]>> = {
  i: "implicit",
  a: "assignment",
  e: "explicit",
};
const methods: Readonly<Record<string, CastDef["method"]>> = { f: "function", i: "inout", b: "binary" };

/** A pair of type OIDs (each below 2^16) as one key. */
function pairKey(source: number, target: number): number {
  return source * 65536 + target;
}

for (const row of rows(castFacts)) {
  const cast: CastDef = {
    source: Number(row[0]),
    target: Number(row[1]),
    function: Number(row[2]),
    context: contexts[row[3]!]!,
    method: methods[row[4]!]!,
  };
  casts.set(pairKey(cast.source, cast.target), cast);
}

// Registration ------------------------------------------------------------------------------------------------------

function entryOf(signature: string): FunctionEntry {
  const entry = bySignature.get(signature) ?? operatorEntry(signature);
  assert(entry !== undefined, `no built-in function ${signature}`);
  assert(
    entry.call === undefined && entry.typed === undefined && entry.aggregate === undefined,
    `${signature} is implemented twice`,
  );
  return entry;
}

/** "int4 + int4", or "- int4" for a prefix operator: the function behind it. */
function operatorEntry(signature: string): FunctionEntry | undefined {
  const words = signature.split(" ");
  if (words.length < 2 || words.length > 3) return undefined;
  const left = words.length === 3 ? typeByPgName(words[0]!)?.oid : 0;
  const right = typeByPgName(words[words.length - 1]!)?.oid;
  const symbol = words[words.length - 2]!;
  const operator = operatorsByName
    .get(symbol)
    ?.find((candidate) => candidate.left === left && candidate.right === right);
  return operator === undefined ? undefined : entries.get(operator.function);
}

/** Registers an implementation for each signature, "name(type,type)" or "left op right", pg_type names. */
export function define(signatures: string | readonly string[], call: Call): void {
  for (const signature of typeof signatures === "string" ? [signatures] : signatures) {
    entryOf(signature).call = call;
  }
}

/** For functions that must know the actual types of polymorphic or "any" arguments. */
export function defineTyped(signatures: string | readonly string[], typed: TypedCall): void {
  for (const signature of typeof signatures === "string" ? [signatures] : signatures) {
    entryOf(signature).typed = typed;
  }
}

export function defineAggregate(signatures: string | readonly string[], typed: TypedAggregate): void {
  for (const signature of typeof signatures === "string" ? [signatures] : signatures) {
    const entry = entryOf(signature);
    assert(entry.kind === "a", `${signature} is no aggregate`);
    entry.aggregate = typed;
  }
}

/** Whether a signature is a fact that nothing implements yet: for loops that register families of functions. */
export function isOpen(signature: string): boolean {
  const entry = bySignature.get(signature) ?? operatorEntry(signature);
  return (
    entry !== undefined &&
    entry.call === undefined &&
    entry.typed === undefined &&
    entry.aggregate === undefined
  );
}

// Look-up -----------------------------------------------------------------------------------------------------------

export function functionsNamed(name: string): readonly FunctionEntry[] {
  return byName.get(name) ?? [];
}

const others: ReadonlySet<string> = new Set(otherFunctionNames.trim().split("\n"));

/** Whether PostgreSQL has a function of the name that this product knows nothing else of. */
export function isForeignFunction(name: string): boolean {
  return others.has(name);
}

export function operatorsNamed(symbol: string): readonly OperatorDef[] {
  return operatorsByName.get(symbol) ?? [];
}

export function operatorByOid(oid: number): OperatorDef | undefined {
  return operators.get(oid);
}

export function functionEntry(oid: number): FunctionEntry | undefined {
  return entries.get(oid);
}

/** The operator a function stands behind; undefined for plain functions. */
export function operatorOf(fn: FunctionDef): OperatorDef | undefined {
  return operatorsByFunction.get(fn.oid);
}

export function castBetween(source: number, target: number): CastDef | undefined {
  return casts.get(pairKey(source, target));
}

export function allFunctions(): Iterable<FunctionEntry> {
  return entries.values();
}

export function allOperators(): Iterable<OperatorDef> {
  return operators.values();
}

export function allCasts(): Iterable<CastDef> {
  return casts.values();
}

/** Whether calls of it can run (catalog listings show only these). */
export function isImplemented(entry: FunctionEntry): boolean {
  return (
    entry.call !== undefined ||
    entry.typed !== undefined ||
    entry.aggregate !== undefined ||
    entry.kind === "w"
  );
}

const polymorphic = new Set<number>([
  oids.any,
  oids.anyelement,
  oids.anyarray,
  oids.anynonarray,
  oids.anycompatible,
  oids.anycompatiblearray,
  oids.anycompatiblenonarray,
]);

export function isPolymorphic(oid: number): boolean {
  return polymorphic.has(oid);
}

const madeFunctions = new Map<string, FunctionDef>();
const madeAggregates = new Map<string, AggregateDef>();
const madeMax = 10000;

export function signatureText(entry: FunctionEntry): string {
  return `${entry.name}(${entry.args.map((oid) => typeOf(oid).name).join(", ")})`;
}

/** The definition for actual argument types; the same object for the same types. */
export function functionDefOf(
  entry: FunctionEntry,
  argTypes: readonly number[] = entry.args,
  returns: number = entry.returns,
): FunctionDef {
  const key = entry.typed === undefined ? String(entry.oid) : `${entry.oid}:${argTypes.join()}:${returns}`;
  const made = madeFunctions.get(key);
  if (made !== undefined) return made;
  const call = entry.typed === undefined ? entry.call : entry.typed(argTypes, returns);
  if (call === undefined) throw notSupported(`function ${signatureText(entry)}`);
  const definition: FunctionDef = {
    oid: entry.oid,
    name: entry.name,
    args: entry.args,
    variadic: entry.variadic ? true : undefined,
    defaults: entry.defaults.length === 0 ? undefined : entry.defaults,
    argNames: entry.argNames,
    returns: entry.returns,
    returnsSet: entry.returnsSet ? true : undefined,
    outColumns: entry.outColumns,
    strict: entry.strict,
    volatility: entry.volatility,
    leakproof: entry.leakproof ? true : undefined,
    call,
  };
  if (madeFunctions.size >= madeMax) madeFunctions.clear();
  madeFunctions.set(key, definition);
  return definition;
}

export function aggregateDefOf(
  entry: FunctionEntry,
  argTypes: readonly number[] = entry.args,
  returns: number = entry.returns,
): AggregateDef {
  const key = `${entry.oid}:${argTypes.join()}:${returns}`;
  const made = madeAggregates.get(key);
  if (made !== undefined) return made;
  if (entry.aggregate === undefined) throw notSupported(`aggregate ${signatureText(entry)}`);
  const implementation = entry.aggregate(argTypes, returns);
  const definition: AggregateDef = {
    oid: entry.oid,
    name: entry.name,
    args: entry.args,
    returns: entry.returns,
    strict: implementation.strict ?? true,
    variadic: entry.variadic ? true : undefined,
    directArgs: entry.directArgs,
    orderedSet: entry.aggregateKind === "n" ? undefined : true,
    init: implementation.init,
    step: implementation.step,
    merge: implementation.merge,
    final: implementation.final,
    stateBytes: implementation.stateBytes,
  };
  if (madeAggregates.size >= madeMax) madeAggregates.clear();
  madeAggregates.set(key, definition);
  return definition;
}

/** A built-in function by OID with its declared types; undefined when there is none or it has no implementation. */
export function functionByOid(oid: number): FunctionDef | undefined {
  const entry = entries.get(oid);
  return entry === undefined || (entry.call === undefined && entry.typed === undefined)
    ? undefined
    : functionDefOf(entry);
}
