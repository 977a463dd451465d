/**
 * The shape of built-in functions, operators, casts and aggregates. The table itself is `sql/functions/`; this is the
 * vocabulary that binder, planner and executor share.
 *
 * Invariants: `call` is never invoked with a NULL argument when `strict`; arguments arrive already cast to `args`.
 * An immutable function depends on its arguments alone.
 */
import type { Value } from "./value.js";

/** What a function may ask of the running statement; made once per session, its fields change. */
export interface EvalContext {
  /** Microseconds since 2000-01-01 UTC: transaction start, statement start, and now. */
  readonly transactionTimestamp: number;
  readonly statementTimestamp: number;
  clockTimestamp(): number;
  readonly timeZone: string;
  readonly dateStyle: string;
  readonly intervalStyle: string;
  readonly extraFloatDigits: number;
  readonly byteaOutput: "hex" | "escape";
  readonly currentUser: string;
  readonly sessionUser: string;
  readonly currentDatabase: string;
  readonly backendPid: number;
  random(): number;
  setting(name: string, missingOk: boolean): string | null;
  setSetting(name: string, value: string, local: boolean): string;
  searchPath(includeImplicit: boolean): readonly string[];
  /** Session-level services by name (sequences, catalogs, advisory locks, ...); supplied by the session. */
  service<Name extends keyof SessionServices>(name: Name): SessionServices[Name];
}

/** Extended by declaration merging where a service is defined. */
// biome-ignore lint/suspicious/noEmptyInterface: filled by declaration merging
export interface SessionServices {}

export type Volatility = "immutable" | "stable" | "volatile";

export interface FunctionDef {
  /** pg_proc OID where PostgreSQL has one. */
  readonly oid: number;
  readonly name: string;
  /** Declared argument type OIDs (may be polymorphic: anyelement 2283, anyarray 2277, any 2276, ...). */
  readonly args: readonly number[];
  /** The last argument's element type repeats. */
  readonly variadic?: boolean | undefined;
  /** How many trailing arguments may be left out, and the values they then take. */
  readonly defaults?: readonly Value[] | undefined;
  readonly argNames?: readonly string[] | undefined;
  /** Declared result type (may be polymorphic). */
  readonly returns: number;
  readonly returnsSet?: boolean | undefined;
  /** Columns of a set- or record-returning function, when it has several. */
  readonly outColumns?: readonly { readonly name: string; readonly type: number }[] | undefined;
  readonly strict: boolean;
  readonly volatility: Volatility;
  /** It tells nothing of its arguments but by its result: no error shows them. */
  readonly leakproof?: boolean | undefined;
  readonly call: (context: EvalContext, ...args: never[]) => Value | Iterable<Value>;
}

/** State is opaque to callers; `merge` exists wherever a distributed or parallel form does. */
export interface AggregateDef {
  readonly oid: number;
  readonly name: string;
  readonly args: readonly number[];
  readonly returns: number;
  /** Rows with a NULL argument are left out before `step`. */
  readonly strict: boolean;
  readonly variadic?: boolean | undefined;
  /** Direct arguments before WITHIN GROUP; 0 for plain aggregates. */
  readonly directArgs?: number | undefined;
  readonly orderedSet?: boolean | undefined;
  readonly init: () => unknown;
  /** Returns the state (the same object, or a new primitive). */
  readonly step: (state: unknown, context: EvalContext, ...args: Value[]) => unknown;
  readonly merge?: ((into: unknown, from: unknown) => unknown) | undefined;
  readonly final: (state: unknown, context: EvalContext, ...directArgs: Value[]) => Value;
  /** Approximate bytes a state holds beyond a few words; asked now and then for the memory budget. */
  readonly stateBytes?: ((state: unknown) => number) | undefined;
}
