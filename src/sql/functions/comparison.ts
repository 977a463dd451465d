/**
 * Comparison operators, the min/max functions behind the aggregates, btree support functions and boolean logic: made
 * from each type's order in one loop.
 *
 * Invariants: the operators of a type agree with `compareOf`; pairs of number types compare by value.
 */
import { DbError } from "../../base/errors.js";
import type { EvalContext } from "../../model/functions.js";
import { compareNumeric, numericFromWide } from "../../model/numeric.js";
import { type Compare, compareOf, hashOf, oids, typeByOid, typeOf } from "../../model/types.js";
import type { Numeric, PgArray, RowValue, Value, Wide } from "../../model/value.js";
import { allOperators, type Call, define, isOpen } from "./registry.js";

/** Plain JavaScript comparison is right for these, and inlines better than a call. */
const plain = new Set<number>([
  oids.bool,
  oids.int2,
  oids.int4,
  oids.int8,
  oids.oid,
  oids.xid,
  oids.xid8,
  oids.cid,
  oids.date,
  oids.time,
  oids.timestamp,
  oids.timestamptz,
  oids.uuid,
]);

const plainCalls: Readonly<Record<string, Call>> = {
  "=": (_: EvalContext, a: Wide, b: Wide) => a === b,
  "<>": (_: EvalContext, a: Wide, b: Wide) => a !== b,
  "<": (_: EvalContext, a: Wide, b: Wide) => a < b,
  "<=": (_: EvalContext, a: Wide, b: Wide) => a <= b,
  ">": (_: EvalContext, a: Wide, b: Wide) => a > b,
  ">=": (_: EvalContext, a: Wide, b: Wide) => a >= b,
};

const texts = new Set<number>([oids.text, oids.varchar, oids.name]);
const textEquality: Readonly<Record<string, Call>> = {
  "=": (_: EvalContext, a: string, b: string) => a === b,
  "<>": (_: EvalContext, a: string, b: string) => a !== b,
};

function comparing(symbol: string, compare: Compare): Call | undefined {
  switch (symbol) {
    case "=":
      return (_: EvalContext, a: Value, b: Value) => compare(a, b) === 0;
    case "<>":
      return (_: EvalContext, a: Value, b: Value) => compare(a, b) !== 0;
    case "<":
      return (_: EvalContext, a: Value, b: Value) => compare(a, b) < 0;
    case "<=":
      return (_: EvalContext, a: Value, b: Value) => compare(a, b) <= 0;
    case ">":
      return (_: EvalContext, a: Value, b: Value) => compare(a, b) > 0;
    case ">=":
      return (_: EvalContext, a: Value, b: Value) => compare(a, b) >= 0;
    default:
      return undefined;
  }
}

const floats = new Set<number>([oids.float4, oids.float8]);
const integers = new Set<number>([oids.int2, oids.int4, oids.int8]);

/** text_pattern_ops: the same order under other names, since text is ordered by bytes. */
const patternSymbols: Readonly<Record<string, string>> = {
  "~<~": "<",
  "~<=~": "<=",
  "~>~": ">",
  "~>=~": ">=",
};

for (const operator of allOperators()) {
  if (operator.left === 0 || operator.result !== oids.bool) continue;
  const symbol = patternSymbols[operator.symbol] ?? operator.symbol;
  if (plainCalls[symbol] === undefined) continue;
  const signature = `${typeOf(operator.left).name} ${operator.symbol} ${typeOf(operator.right).name}`;
  if (!isOpen(signature)) continue;
  const { left, right } = operator;
  let call: Call | undefined;
  if (
    plain.has(left) &&
    plain.has(right) &&
    (left === right || (integers.has(left) && integers.has(right)))
  ) {
    call = plainCalls[symbol];
  } else if (floats.has(left) && floats.has(right)) call = comparing(symbol, compareOf(oids.float8));
  else if (texts.has(left) && texts.has(right)) {
    call = textEquality[symbol] ?? comparing(symbol, compareOf(oids.text));
  } else if (left === right && typeByOid(left)?.kind === "b") call = comparing(symbol, compareOf(left));
  else if (left === right && (left === oids.anyarray || left === oids.record)) {
    call = comparing(symbol, left === oids.record ? compareRows : compareArrays);
  }
  if (call !== undefined) define(signature, call);
}

function compareArrays(a: Value, b: Value): number {
  const left = a as PgArray;
  const right = b as PgArray;
  if (left.elementType !== right.elementType) {
    throw new DbError("datatypeMismatch", "cannot compare arrays of different element types");
  }
  return compareOf(oids.anyarray)(left, right);
}

function compareRows(a: Value, b: Value): number {
  return compareOf(oids.record)(a as RowValue, b as RowValue);
}

// Larger and smaller: the steps of max and min.
for (const [name, type] of [
  ["int2", oids.int2],
  ["int4", oids.int4],
  ["int8", oids.int8],
  ["float4", oids.float4],
  ["float8", oids.float8],
  ["numeric_", oids.numeric],
  ["text_", oids.text],
  ["bpchar_", oids.bpchar],
  ["date_", oids.date],
  ["time_", oids.time],
  ["timetz_", oids.timetz],
  ["timestamp_", oids.timestamp],
  ["timestamptz_", oids.timestamptz],
  ["interval_", oids.interval],
  ["oid", oids.oid],
  ["array_", oids.anyarray],
  ["tid", oids.tid],
] as const) {
  const pgName = typeOf(type).name;
  const compare = compareOf(type);
  const larger = `${name}larger(${pgName},${pgName})`;
  const smaller = `${name}smaller(${pgName},${pgName})`;
  if (isOpen(larger)) define(larger, (_: EvalContext, a: Value, b: Value) => (compare(a, b) >= 0 ? a : b));
  if (isOpen(smaller)) define(smaller, (_: EvalContext, a: Value, b: Value) => (compare(a, b) <= 0 ? a : b));
}

// btree support: -1, 0, 1.
for (const [name, type, other] of [
  ["btboolcmp", oids.bool, oids.bool],
  ["btint2cmp", oids.int2, oids.int2],
  ["btint4cmp", oids.int4, oids.int4],
  ["btint8cmp", oids.int8, oids.int8],
  ["btint24cmp", oids.int2, oids.int4],
  ["btint42cmp", oids.int4, oids.int2],
  ["btint48cmp", oids.int4, oids.int8],
  ["btint84cmp", oids.int8, oids.int4],
  ["btint28cmp", oids.int2, oids.int8],
  ["btint82cmp", oids.int8, oids.int2],
  ["btfloat4cmp", oids.float4, oids.float4],
  ["btfloat8cmp", oids.float8, oids.float8],
  ["btoidcmp", oids.oid, oids.oid],
  ["bttextcmp", oids.text, oids.text],
  ["btnamecmp", oids.name, oids.name],
  ["btcharcmp", oids.char, oids.char],
  ["bpcharcmp", oids.bpchar, oids.bpchar],
  ["byteacmp", oids.bytea, oids.bytea],
  ["date_cmp", oids.date, oids.date],
  ["time_cmp", oids.time, oids.time],
  ["timetz_cmp", oids.timetz, oids.timetz],
  ["timestamp_cmp", oids.timestamp, oids.timestamp],
  ["timestamptz_cmp", oids.timestamptz, oids.timestamptz],
  ["interval_cmp", oids.interval, oids.interval],
  ["numeric_cmp", oids.numeric, oids.numeric],
  ["uuid_cmp", oids.uuid, oids.uuid],
  ["jsonb_cmp", oids.jsonb, oids.jsonb],
  ["btarraycmp", oids.anyarray, oids.anyarray],
  ["btrecordcmp", oids.record, oids.record],
] as const) {
  const signature = `${name}(${typeOf(type).name},${typeOf(other).name})`;
  const compare = type === other ? compareOf(type) : compareOf(oids.int8);
  if (isOpen(signature)) define(signature, (_: EvalContext, a: Value, b: Value) => compare(a, b));
}

// Dates against timestamps: compared as timestamps; see datetime.ts for the zone's part.

define("booland_statefunc(bool,bool)", (_: EvalContext, a: boolean, b: boolean) => a && b);
define("boolor_statefunc(bool,bool)", (_: EvalContext, a: boolean, b: boolean) => a || b);

/** Equality of integer and numeric values, for callers that mix them. */
export function compareWideNumeric(a: Wide, b: Numeric): number {
  return compareNumeric(numericFromWide(a), b);
}

// Hash support: our own 32-bit hashes (stable across nodes); PostgreSQL's values are not promised by its manual.
for (const [name, type] of [
  ["hashint2", oids.int2],
  ["hashint4", oids.int4],
  ["hashint8", oids.int8],
  ["hashoid", oids.oid],
  ["hashfloat4", oids.float4],
  ["hashfloat8", oids.float8],
  ["hashtext", oids.text],
  ["hashname", oids.name],
  ["hashchar", oids.char],
  ["hashbpchar", oids.bpchar],
  ["hash_numeric", oids.numeric],
  ["uuid_hash", oids.uuid],
  ["timestamp_hash", oids.timestamp],
  ["interval_hash", oids.interval],
  ["time_hash", oids.time],
  ["timetz_hash", oids.timetz],
  ["jsonb_hash", oids.jsonb],
  ["hash_array", oids.anyarray],
  ["hash_record", oids.record],
] as const) {
  const signature = `${name}(${typeOf(type).name})`;
  if (isOpen(signature)) define(signature, (_: EvalContext, value: Value) => hashOf(type)(value));
}
