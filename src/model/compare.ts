/**
 * Order, equality and hash of values, by type.
 *
 * Invariants: `compareOf` is the type's btree order (text by UTF-8 bytes, NaN above all numbers, char(n) without
 * padding); `equalsOf` is zero of it; equal values hash alike, and hashes are the same on every node and in every run.
 * Arguments are never null.
 */
import { assert, DbError } from "../base/errors.js";
import { compareBytes } from "./bytes.js";
import { compareWide } from "./int8.js";
import { compareInterval, intervalSpan } from "./interval.js";
import { compareJsonb, type JsonNode, parseJson } from "./json.js";
import { canonicalNumeric, compareNumeric, parseNumeric } from "./numeric.js";
import { compareBpchar, compareText, finishHash, hashText, trimBlanks } from "./text.js";
import { oids, typeByOid } from "./type-table.js";
import type { Interval, Numeric, PgArray, RowValue, TimeTz, Value, Wide } from "./value.js";

export type Compare = (a: Value, b: Value) => number;
export type Equals = (a: Value, b: Value) => boolean;
export type Hash = (value: Value) => number;

function compareFloat(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a === b) return 0;
  // At least one is NaN, which is above everything and equal to itself.
  return Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : -1;
}

function compareNumber(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareBoolean(a: boolean, b: boolean): number {
  return a === b ? 0 : a ? 1 : -1;
}

/** By UTC instant, then by zone. */
export function compareTimeTz(a: TimeTz, b: TimeTz): number {
  const order = compareNumber(a.micros + a.zoneSeconds * 1e6, b.micros + b.zoneSeconds * 1e6);
  return order !== 0 ? order : compareNumber(a.zoneSeconds, b.zoneSeconds);
}

function compareUuid(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareTid(a: string, b: string): number {
  const [blockA, offsetA] = a.slice(1, -1).split(",").map(Number) as [number, number];
  const [blockB, offsetB] = b.slice(1, -1).split(",").map(Number) as [number, number];
  return compareNumber(blockA, blockB) || compareNumber(offsetA, offsetB);
}

/** Elements in order (NULL above all), then count, dimensions and bounds. */
function compareArray(a: PgArray, b: PgArray): number {
  const compare = compareOf(a.elementType);
  const count = Math.min(a.elements.length, b.elements.length);
  for (let at = 0; at < count; at++) {
    const x = a.elements[at]!;
    const y = b.elements[at]!;
    if (x === null || y === null) {
      if (x === y) continue;
      return x === null ? 1 : -1;
    }
    const order = compare(x, y);
    if (order !== 0) return order;
  }
  if (a.elements.length !== b.elements.length) return compareNumber(a.elements.length, b.elements.length);
  if (a.dims.length !== b.dims.length) return compareNumber(a.dims.length, b.dims.length);
  for (let at = 0; at < a.dims.length; at++) {
    const order = compareNumber(a.dims[at]!, b.dims[at]!);
    if (order !== 0) return order;
  }
  for (let at = 0; at < a.dims.length; at++) {
    const order = compareNumber(a.lowerBounds[at]!, b.lowerBounds[at]!);
    if (order !== 0) return order;
  }
  return 0;
}

/** oidvector: shorter first, then elements. */
function compareVector(a: PgArray, b: PgArray): number {
  if (a.elements.length !== b.elements.length) return compareNumber(a.elements.length, b.elements.length);
  for (let at = 0; at < a.elements.length; at++) {
    const order = compareNumber(a.elements[at] as number, b.elements[at] as number);
    if (order !== 0) return order;
  }
  return 0;
}

/** Column by column, NULL above all. Rows of different width or types: 42804. */
export function compareRow(a: RowValue, b: RowValue): number {
  const columns = Math.min(a.values.length, b.values.length);
  for (let at = 0; at < columns; at++) {
    const type = a.types[at]!;
    if (type !== b.types[at]) {
      throw new DbError(
        "datatypeMismatch",
        `cannot compare dissimilar column types ${typeByOid(type)?.name} and ${typeByOid(b.types[at]!)?.name} at record column ${at + 1}`,
      );
    }
    const x = a.values[at]!;
    const y = b.values[at]!;
    if (x === null || y === null) {
      if (x === y) continue;
      return x === null ? 1 : -1;
    }
    const order = compareOf(type)(x, y);
    if (order !== 0) return order;
  }
  if (a.values.length !== b.values.length) {
    throw new DbError("datatypeMismatch", "cannot compare record types with different numbers of columns");
  }
  return 0;
}

const comparers = new Map<number, Compare>();
function order(list: readonly number[], compare: (a: never, b: never) => number): void {
  for (const oid of list) comparers.set(oid, compare as Compare);
}
const regTypes = [
  oids.regproc,
  oids.regprocedure,
  oids.regoper,
  oids.regoperator,
  oids.regclass,
  oids.regtype,
  oids.regrole,
  oids.regnamespace,
  oids.regcollation,
];
order([oids.bool], compareBoolean);
order([oids.int2, oids.int4, oids.oid, oids.xid, oids.cid, oids.date, oids.time, ...regTypes], compareNumber);
order([oids.int8, oids.timestamp, oids.timestamptz, oids.xid8], compareWide);
order([oids.float4, oids.float8], compareFloat);
order([oids.numeric], compareNumeric);
order(
  [
    oids.text,
    oids.varchar,
    oids.name,
    oids.char,
    oids.unknown,
    oids.cstring,
    oids.refcursor,
    oids.aclitem,
    oids.json,
    oids.pg_node_tree,
  ],
  compareText,
);
order([oids.bpchar], compareBpchar);
order([oids.bytea], compareBytes);
order([oids.uuid], compareUuid);
order([oids.timetz], compareTimeTz);
order([oids.interval], compareInterval);
order([oids.jsonb], compareJsonb);
order([oids.tid], compareTid);
order([oids.record], compareRow);
order([oids.oidvector, oids.int2vector], compareVector);
order([oids.anyarray, oids.anycompatiblearray], compareArray);
order([oids.void], () => 0);

/** The type's btree order, as a function of two non-null values. */
export function compareOf(oid: number): Compare {
  const known = comparers.get(oid);
  if (known !== undefined) return known;
  const type = typeByOid(oid);
  assert(type?.isArray === true, `type ${oid} has no order`);
  return compareArray as Compare;
}

const identical: Equals = (a, b) => a === b;
const identityTypes = new Set<number>([
  oids.bool,
  oids.int2,
  oids.int4,
  oids.int8,
  oids.oid,
  oids.xid,
  oids.cid,
  oids.xid8,
  oids.date,
  oids.time,
  oids.timestamp,
  oids.timestamptz,
  oids.text,
  oids.varchar,
  oids.name,
  oids.char,
  oids.uuid,
  oids.tid,
  oids.unknown,
  oids.cstring,
  ...regTypes,
]);

export function equalsOf(oid: number): Equals {
  if (identityTypes.has(oid)) return identical;
  const compare = compareOf(oid);
  return (a, b) => compare(a, b) === 0;
}

function hashNumber(value: number): number {
  if (value === (value | 0)) return finishHash(value | 0); // -0 becomes 0
  if (Number.isSafeInteger(value)) {
    const high = Math.floor(value / 4294967296);
    return finishHash(Math.imul(value - high * 4294967296, 0x9e3779b1) ^ high);
  }
  if (Number.isNaN(value)) return 0x7ff80000;
  scratch.setFloat64(0, value);
  return finishHash(Math.imul(scratch.getInt32(0), 0x9e3779b1) ^ scratch.getInt32(4));
}
const scratch = new DataView(new ArrayBuffer(8));

function hashWide(value: Wide): number {
  if (typeof value === "number") return hashNumber(value);
  const low = Number(BigInt.asIntN(32, value));
  return finishHash(Math.imul(low, 0x9e3779b1) ^ Number(BigInt.asIntN(32, value >> 32n)));
}

function hashBigInt(value: Wide): number {
  if (typeof value === "number") return hashNumber(value);
  return value >= -9223372036854775808n && value <= 9223372036854775807n
    ? hashWide(value)
    : hashText(value.toString(36));
}

function hashNumeric(value: Numeric): number {
  if (value.special !== "") return hashText(value.special);
  const canonical = canonicalNumeric(value);
  const hash = hashBigInt(canonical.coefficient);
  return canonical.scale === 0 ? hash : mix(hash, canonical.scale);
}

function mix(hash: number, next: number): number {
  return finishHash((Math.imul(hash, 31) + next) | 0);
}

function hashBytes(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < bytes.length; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  return finishHash(hash);
}

function hashJson(node: JsonNode): number {
  let hash = hashText(node.kind);
  if (node.kind === "number") return mix(hash, hashNumeric(parseNumeric(node.scalar as string)));
  if (node.scalar !== null) hash = mix(hash, hashText(String(node.scalar)));
  node.items.forEach((item, at) => {
    const key = node.keys[at];
    if (key !== undefined) hash = mix(hash, hashText(key));
    hash = mix(hash, hashJson(item));
  });
  return hash;
}

function hashArray(array: PgArray): number {
  const hash = hashOf(array.elementType);
  let result = 1;
  for (const element of array.elements) result = mix(result, element === null ? 0 : hash(element));
  return result;
}

function hashRow(row: RowValue): number {
  let result = 1;
  row.values.forEach((value, at) => {
    result = mix(result, value === null ? 0 : hashOf(row.types[at]!)(value));
  });
  return result;
}

const hashers = new Map<number, Hash>();
function hashed(list: readonly number[], hash: (value: never) => number): void {
  for (const oid of list) hashers.set(oid, hash as Hash);
}
hashed([oids.bool], (value: boolean) => (value ? 0x5bd1e995 : 0x1b873593));
hashed(
  [
    oids.int2,
    oids.int4,
    oids.oid,
    oids.xid,
    oids.cid,
    oids.date,
    oids.time,
    oids.float4,
    oids.float8,
    ...regTypes,
  ],
  hashNumber,
);
hashed([oids.int8, oids.timestamp, oids.timestamptz, oids.xid8], hashWide);
hashed([oids.numeric], hashNumeric);
hashed(
  [
    oids.text,
    oids.varchar,
    oids.name,
    oids.char,
    oids.unknown,
    oids.cstring,
    oids.uuid,
    oids.tid,
    oids.refcursor,
    oids.aclitem,
    oids.json,
  ],
  hashText,
);
hashed([oids.bpchar], (value: string) => hashText(trimBlanks(value)));
hashed([oids.bytea], hashBytes);
hashed([oids.timetz], (value: TimeTz) => mix(hashNumber(value.micros), value.zoneSeconds));
hashed([oids.interval], (value: Interval) => hashText(intervalSpan(value).toString(36)));
hashed([oids.jsonb], (value: string) => hashJson(parseJson(value)));
hashed([oids.record], hashRow);
hashed([oids.oidvector, oids.int2vector, oids.anyarray, oids.anycompatiblearray], hashArray);
hashed([oids.void], () => 0);

/** 32-bit signed hash; equal for equal values of the type. */
export function hashOf(oid: number): Hash {
  const known = hashers.get(oid);
  if (known !== undefined) return known;
  const type = typeByOid(oid);
  assert(type?.isArray === true, `type ${oid} has no hash`);
  return hashArray as Hash;
}

/** Types whose values have a btree order in PostgreSQL (ORDER BY, indexes, GROUP BY). */
export function isOrdered(oid: number): boolean {
  if (
    oid === oids.json ||
    oid === oids.xid ||
    oid === oids.cid ||
    oid === oids.aclitem ||
    oid === oids.pg_node_tree
  ) {
    return false;
  }
  if (
    oid === oids.int2vector ||
    oid === oids.unknown ||
    oid === oids.cstring ||
    oid === oids.refcursor ||
    oid === oids.void
  )
    return false;
  const type = typeByOid(oid);
  if (type === undefined) return false;
  return type.isArray ? isOrdered(type.elementOid) : comparers.has(oid);
}
