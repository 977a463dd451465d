/**
 * Runtime values: what a SQL value is while a statement runs.
 *
 * | SQL type                      | value                                                                     |
 * |-------------------------------|---------------------------------------------------------------------------|
 * | NULL                          | null                                                                      |
 * | bool                          | boolean                                                                   |
 * | int2 int4 oid reg*, float4/8  | number                                                                    |
 * | int8                          | number when it is a safe integer, else bigint (canonical: never both)     |
 * | numeric                       | Numeric                                                                   |
 * | text varchar bpchar name json | string (json keeps its text; jsonb holds its canonical text)              |
 * | "char"                        | string of at most one character                                           |
 * | bytea                         | Uint8Array                                                                |
 * | uuid                          | string, 36 lower-case characters (its order is the byte order)            |
 * | date                          | number: days since 2000-01-01; +-Infinity                                 |
 * | time                          | number: microseconds since midnight                                       |
 * | timetz                        | TimeTz                                                                    |
 * | timestamp, timestamptz        | microseconds since 2000-01-01 (UTC), like int8; +-Infinity                |
 * | interval                      | Interval                                                                  |
 * | T[]                           | PgArray                                                                   |
 * | record, row types             | RowValue                                                                  |
 *
 * Invariants: values are immutable; int8-like values are canonical (`wide()` makes them so), so `===` is equality for
 * every value held as boolean, number, bigint or string. Text order is the byte order of UTF-8 (collation C).
 */

export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Numeric
  | TimeTz
  | Interval
  | PgArray
  | RowValue;

/** A 64-bit integer in its canonical form. */
export type Wide = number | bigint;

export function wide(value: bigint): Wide {
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
}

/**
 * Exact decimal: coefficient x 10^-scale. The coefficient is canonical like int8 (number when safe).
 * `special` marks NaN and the infinities, whose coefficient and scale are 0.
 */
export class Numeric {
  constructor(
    readonly coefficient: Wide,
    /** Digits after the point, as displayed; 0 to 16383. */
    readonly scale: number,
    readonly special: "" | "NaN" | "Infinity" | "-Infinity" = "",
  ) {}
}

export class Interval {
  constructor(
    readonly months: number,
    readonly days: number,
    readonly micros: Wide,
  ) {}
}

export class TimeTz {
  constructor(
    readonly micros: number,
    /** Seconds west of UTC, PostgreSQL's sign. */
    readonly zoneSeconds: number,
  ) {}
}

/** Elements in row-major order; `dims` and `lowerBounds` are empty for an empty array. */
export class PgArray {
  constructor(
    readonly elementType: number,
    readonly elements: readonly Value[],
    readonly dims: readonly number[],
    readonly lowerBounds: readonly number[],
  ) {}
  static of(elementType: number, elements: readonly Value[]): PgArray {
    return elements.length === 0
      ? new PgArray(elementType, [], [], [])
      : new PgArray(elementType, elements, [elements.length], [1]);
  }
}

export class RowValue {
  constructor(
    readonly types: readonly number[],
    readonly values: readonly Value[],
    /** Column names, where the row has any: JSON shows them, nothing compares them. */
    readonly names: readonly string[] | undefined = undefined,
  ) {}
}
