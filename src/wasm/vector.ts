/**
 * Kernels over column arrays: their interface and TypeScript twins. Column arrays lie in pages (storage/heap.ts) or in
 * the arena.
 *
 * Conventions. A bitmap has one bit per row, lowest first, in whole 64-bit words; bits beyond the last row are zero
 * (null bits of pages end with their last byte and are read no further). A row list holds u16 positions, a group list
 * u32 numbers. `nulls` is the address of null bits, 0 for none; a null's bytes are meaningless, so selects over a
 * nullable column are followed by `bitmapAndNot` with its null bits. 64-bit constants come as halves (u32 low, i32 high).
 *
 * Invariants: nothing beyond the given number of rows is read or written; selects only take rows away from a bitmap.
 */
import type { PoolMemory } from "../storage/contract.js";

/** Result bits of a comparison, to be allowed or not: `<` is less, `<=` less | equal, `<>` less | greater. */
export const orderBits = { less: 1, equal: 2, greater: 4 } as const;

export const keyKind = { i32: 0, i64: 1, f64: 2, u8: 3, i16: 4, text: 5 } as const;

/** A key column of `findGroups`, six u32: how to read it on the page at hand. */
export const GroupKey = { kind: 0, values: 4, nulls: 8, page: 12, shift: 16, size: 24 } as const;

/**
 * A table from key values to group numbers 0, 1, 2, ... in order of appearance; fields are u32.
 * `slots` is their number (a power of two), `slotArea` u32 each (group + 1, 0 free), `hashArea` u32 per group,
 * `keyArea` 8 bytes per group and key (integer; double with one zero and one NaN; text address and length), `nullArea`
 * a u32 mask per group, `textNext` and `textEnd` bound what is free for texts.
 */
export const GroupTable = {
  slots: 0,
  groups: 4,
  groupsMax: 8,
  keys: 12,
  slotArea: 16,
  hashArea: 20,
  keyArea: 24,
  nullArea: 28,
  textNext: 32,
  textEnd: 36,
  size: 48,
} as const;

/** Bytes per group of the accumulators: [i128 sum, i64 count], [f64 sum, i64 count], [i64 or f64, i64 count]. */
export const accumulatorBytes = { count: 8, sumInteger: 24, sumDouble: 16, extreme: 16 } as const;

type Range32 = (
  values: number,
  rows: number,
  low: number,
  high: number,
  negate: number,
  bitmap: number,
) => void;
type RangeFloat = (
  values: number,
  rows: number,
  low: number,
  high: number,
  /** 1 when NaN is in the range. */
  nan: number,
  negate: number,
  bitmap: number,
) => void;
type CompareColumns = (a: number, b: number, rows: number, allowed: number, bitmap: number) => void;
type Sum = (values: number, rows: number, bitmap: number, sum: number) => void;
type Extremes = (values: number, rows: number, bitmap: number, started: number, out: number) => number;
type GroupSum = (
  values: number,
  nulls: number,
  list: number,
  groups: number,
  count: number,
  into: number,
) => void;
type GroupExtreme = (
  values: number,
  nulls: number,
  list: number,
  groups: number,
  count: number,
  /** orderBits.less keeps the least, orderBits.greater the greatest. */
  sign: number,
  into: number,
) => void;

export interface VectorKernels {
  /** All rows. */
  bitmapFill(bitmap: number, rows: number): void;
  bitmapCount(bitmap: number, rows: number): number;
  bitmapAnd(bitmap: number, other: number, rows: number): void;
  bitmapAndNot(bitmap: number, other: number, rows: number): void;
  bitmapOr(bitmap: number, other: number, rows: number): void;
  /** Writes the row list; returns its length. */
  bitmapRows(bitmap: number, rows: number, list: number): number;
  anyFlags(flags: number, rows: number, mask: number): boolean;
  /** u32 values at most `bound` (rule P1). */
  selectWriters(writers: number, rows: number, bound: number, bitmap: number): void;
  /** low <= value <= high, or the rest when `negate` is 1. */
  rangeI32: Range32;
  rangeI16: Range32;
  rangeU8: Range32;
  rangeI64(
    values: number,
    rows: number,
    lowLow: number,
    lowHigh: number,
    highLow: number,
    highHigh: number,
    negate: number,
    bitmap: number,
  ): void;
  rangeF64: RangeFloat;
  rangeF32: RangeFloat;
  /** `allowed`: orderBits. Doubles order as in SQL: NaN equals itself and is the greatest. */
  compareI32: CompareColumns;
  compareI64: CompareColumns;
  compareF64: CompareColumns;
  /** Text (u16 offset, u16 length pairs into the page) against `keyLength` bytes at `key`, in byte order. */
  selectText(
    pairs: number,
    page: number,
    shift: number,
    rows: number,
    key: number,
    keyLength: number,
    allowed: number,
    bitmap: number,
  ): void;
  /** Adds the selected values to the 128-bit number at `sum`; at most 4096 rows. */
  sumI64: Sum;
  sumI32: Sum;
  sumI16: Sum;
  /** Adds the selected values to the double at `sum`, in row order. */
  sumF64: Sum;
  /**
   * Least and greatest selected value (i64, or f64 in SQL's order) into the 16 bytes at `out`; with `started` 1 those
   * already there count, too. Returns the number of selected rows; with none, `out` stays as it is.
   */
  extremesI64: Extremes;
  extremesI32: Extremes;
  extremesI16: Extremes;
  extremesF64: Extremes;
  extremesF32: Extremes;
  /** Whether any value is the lowest i64: NaN among scaled numerics. */
  anyLowestI64(values: number, rows: number): boolean;
  /** The group of each listed row; returns how many were done, fewer than `count` when the table is full. */
  findGroups(table: number, keys: number, list: number, count: number, groups: number): number;
  /** Keeps the listed rows whose keys (none NULL) have a group; returns how many. Output holds `count` entries. */
  lookupGroups(
    table: number,
    keys: number,
    list: number,
    count: number,
    outList: number,
    groups: number,
  ): number;
  /** Fills zeroed slots from the stored hashes, after the arrays were moved. */
  rehashGroups(table: number): void;
  /** Like lookupGroups for an integer key, by a dense u32 array of entries + 1, index value - base. */
  lookupDense(
    values: number,
    wide: number,
    nulls: number,
    list: number,
    count: number,
    baseLow: number,
    baseHigh: number,
    size: number,
    dense: number,
    outList: number,
    found: number,
  ): number;
  /** Replaces each of the groups by the entry of the u32 array at `map` that it names. */
  mapGroups(groups: number, count: number, map: number): void;
  groupCount(groups: number, count: number, into: number): void;
  groupCountNotNull(list: number, groups: number, count: number, nulls: number, into: number): void;
  groupSumI64: GroupSum;
  groupSumI32: GroupSum;
  groupSumI16: GroupSum;
  groupSumF64: GroupSum;
  groupExtremeI64: GroupExtreme;
  groupExtremeI32: GroupExtreme;
  groupExtremeI16: GroupExtreme;
  groupExtremeF64: GroupExtreme;
  groupExtremeF32: GroupExtreme;
}

/** SQL order of two numbers: NaN equals itself and is the greatest. */
function orderBit(a: number | bigint, b: number | bigint): number {
  const aNaN = Number.isNaN(a);
  const bNaN = Number.isNaN(b);
  if (aNaN || bNaN) return aNaN ? (bNaN ? orderBits.equal : orderBits.greater) : orderBits.less;
  return a < b ? orderBits.less : a > b ? orderBits.greater : orderBits.equal;
}

/** Which of its bits a computed NaN has differs between processors; results do not. */
const oneNaN = (value: number): number => (Number.isNaN(value) ? Number.NaN : value);

export function twinVectorKernels(memory: PoolMemory): VectorKernels {
  const { u8, view } = memory;
  const bit = (bitmap: number, row: number): boolean => (u8[bitmap + (row >> 3)]! & (1 << (row & 7))) !== 0;
  const setBit = (bitmap: number, row: number, on: boolean): void => {
    const at = bitmap + (row >> 3);
    u8[at] = on ? u8[at]! | (1 << (row & 7)) : u8[at]! & ~(1 << (row & 7));
  };
  const keep = (bitmap: number, rows: number, test: (row: number) => boolean): void => {
    for (let row = 0; row < rows; row++) if (bit(bitmap, row) && !test(row)) setBit(bitmap, row, false);
  };
  const f64 = (values: number, row: number): number => view.getFloat64(values + 8 * row, true);
  const f32 = (values: number, row: number): number => view.getFloat32(values + 4 * row, true);
  const i64 = (values: number, row: number): bigint => view.getBigInt64(values + 8 * row, true);
  const i32 = (values: number, row: number): number => view.getInt32(values + 4 * row, true);
  const i16 = (values: number, row: number): number => view.getInt16(values + 2 * row, true);
  const listed = (list: number, index: number): number => view.getUint16(list + 2 * index, true);
  const groupOf = (groups: number, index: number): number => view.getUint32(groups + 4 * index, true);
  const joined = (low: number, high: number): bigint => (BigInt(high | 0) << 32n) | BigInt(low >>> 0);
  const integerRange =
    (read: (values: number, row: number) => number): Range32 =>
    (values, rows, low, high, negate, bitmap) =>
      keep(bitmap, rows, (row) => {
        const value = read(values, row);
        return (value >= low && value <= high) !== (negate !== 0);
      });
  const floatRange =
    (read: (values: number, row: number) => number): RangeFloat =>
    (values, rows, low, high, nan, negate, bitmap) =>
      keep(bitmap, rows, (row) => {
        const value = read(values, row);
        return ((value >= low && value <= high) || (nan !== 0 && Number.isNaN(value))) !== (negate !== 0);
      });
  const columns =
    (read: (values: number, row: number) => number | bigint): CompareColumns =>
    (a, b, rows, allowed, bitmap) =>
      keep(bitmap, rows, (row) => (orderBit(read(a, row), read(b, row)) & allowed) !== 0);
  const addWide = (at: number, amount: bigint): void => {
    const total = (view.getBigInt64(at + 8, true) << 64n) + view.getBigUint64(at, true) + amount;
    view.setBigUint64(at, BigInt.asUintN(64, total), true);
    view.setBigInt64(at + 8, BigInt.asIntN(64, total >> 64n), true);
  };
  const integerSum =
    (read: (values: number, row: number) => number | bigint): Sum =>
    (values, rows, bitmap, sum) => {
      for (let row = 0; row < rows; row++) if (bit(bitmap, row)) addWide(sum, BigInt(read(values, row)));
    };
  const readF64 = (at: number): number => view.getFloat64(at, true);
  const readI64 = (at: number): bigint => view.getBigInt64(at, true);
  const writeAny = (at: number, value: number | bigint): void => {
    if (typeof value === "bigint") view.setBigInt64(at, value, true);
    else view.setFloat64(at, value, true);
  };
  const extremes =
    (
      read: (values: number, row: number) => number | bigint,
      stored: (at: number) => number | bigint,
    ): Extremes =>
    (values, rows, bitmap, started, out) => {
      let count = 0;
      for (let row = 0; row < rows; row++) {
        if (!bit(bitmap, row)) continue;
        const value = read(values, row);
        const first = count++ === 0 && started === 0;
        if (first || orderBit(value, stored(out)) === orderBits.less) writeAny(out, value);
        if (first || orderBit(value, stored(out + 8)) === orderBits.greater) writeAny(out + 8, value);
      }
      return count;
    };
  const isNull = (nulls: number, row: number): boolean => nulls !== 0 && bit(nulls, row);
  const bump = (at: number): void => view.setBigUint64(at, view.getBigUint64(at, true) + 1n, true);
  const groupSum =
    (read: (values: number, row: number) => number | bigint): GroupSum =>
    (values, nulls, list, groups, count, into) => {
      for (let index = 0; index < count; index++) {
        const row = listed(list, index);
        if (isNull(nulls, row)) continue;
        const at = into + 24 * groupOf(groups, index);
        addWide(at, BigInt(read(values, row)));
        bump(at + 16);
      }
    };
  const groupExtreme =
    (
      read: (values: number, row: number) => number | bigint,
      stored: (at: number) => number | bigint,
    ): GroupExtreme =>
    (values, nulls, list, groups, count, sign, into) => {
      for (let index = 0; index < count; index++) {
        const row = listed(list, index);
        if (isNull(nulls, row)) continue;
        const at = into + 16 * groupOf(groups, index);
        const value = read(values, row);
        if (view.getBigUint64(at + 8, true) === 0n || orderBit(value, stored(at)) === sign)
          writeAny(at, value);
        bump(at + 8);
      }
    };

  const u32 = (at: number): number => view.getUint32(at, true);
  /** Start and length of a row's text. */
  const textOf = (pairs: number, page: number, shift: number, row: number): [number, number] => [
    page + (view.getUint16(pairs + 4 * row, true) << shift),
    view.getUint16(pairs + 4 * row + 2, true),
  ];
  const bytesEqual = (a: number, b: number, length: number): boolean =>
    Buffer.compare(u8.subarray(a, a + length), u8.subarray(b, b + length)) === 0;
  const keyBits = (kind: number, values: number, row: number): bigint => {
    switch (kind) {
      case keyKind.i32:
        return BigInt.asUintN(64, BigInt(i32(values, row)));
      case keyKind.i64:
        return view.getBigUint64(values + 8 * row, true);
      case keyKind.f64: {
        const value = f64(values, row);
        if (value === 0) return 0n;
        return Number.isNaN(value) ? 0x7ff8000000000000n : view.getBigUint64(values + 8 * row, true);
      }
      case keyKind.u8:
        return BigInt(u8[values + row]!);
      default:
        return BigInt.asUintN(64, BigInt(i16(values, row)));
    }
  };
  /** Whether the row's keys are those stored for the group. */
  const matches = (table: number, keys: number, row: number, group: number): boolean => {
    const keyCount = u32(table + GroupTable.keys);
    const mask = u32(u32(table + GroupTable.nullArea) + 4 * group);
    for (let key = 0; key < keyCount; key++) {
      const at = keys + GroupKey.size * key;
      const isNullKey = isNull(u32(at + GroupKey.nulls), row);
      if (isNullKey !== ((mask & (1 << key)) !== 0)) return false;
      if (isNullKey) continue;
      const stored = u32(table + GroupTable.keyArea) + 8 * (group * keyCount + key);
      const values = u32(at + GroupKey.values);
      if (u32(at) === keyKind.text) {
        const [start, length] = textOf(values, u32(at + GroupKey.page), u32(at + GroupKey.shift), row);
        if (length !== u32(stored + 4) || !bytesEqual(start, u32(stored), length)) return false;
      } else if (keyBits(u32(at), values, row) !== view.getBigUint64(stored, true)) return false;
    }
    return true;
  };
  const find = (table: number, keys: number, row: number): number => {
    const groups = u32(table + GroupTable.groups);
    for (let group = 0; group < groups; group++) if (matches(table, keys, row, group)) return group;
    return -1;
  };
  const add = (table: number, keys: number, row: number): number => {
    const group = u32(table + GroupTable.groups);
    if (group >= u32(table + GroupTable.groupsMax) || group >= (u32(table) >>> 2) * 3) return -1;
    const keyCount = u32(table + GroupTable.keys);
    let mask = 0;
    let next = u32(table + GroupTable.textNext);
    for (let key = 0; key < keyCount; key++) {
      const at = keys + GroupKey.size * key;
      const stored = u32(table + GroupTable.keyArea) + 8 * (group * keyCount + key);
      const values = u32(at + GroupKey.values);
      if (isNull(u32(at + GroupKey.nulls), row)) {
        mask |= 1 << key;
        view.setBigUint64(stored, 0n, true);
      } else if (u32(at) === keyKind.text) {
        const [start, length] = textOf(values, u32(at + GroupKey.page), u32(at + GroupKey.shift), row);
        if (next + length > u32(table + GroupTable.textEnd)) return -1;
        u8.copyWithin(next, start, start + length);
        view.setUint32(stored, next, true);
        view.setUint32(stored + 4, length, true);
        next += length;
      } else {
        view.setBigUint64(stored, keyBits(u32(at), values, row), true);
      }
    }
    view.setUint32(table + GroupTable.textNext, next, true);
    view.setUint32(u32(table + GroupTable.nullArea) + 4 * group, mask, true);
    view.setUint32(table + GroupTable.groups, group + 1, true);
    return group;
  };

  return {
    bitmapFill(bitmap, rows) {
      for (let row = 0; row < ((rows + 63) >> 6) << 6; row++) setBit(bitmap, row, row < rows);
    },
    bitmapCount(bitmap, rows) {
      let count = 0;
      for (let row = 0; row < rows; row++) if (bit(bitmap, row)) count++;
      return count;
    },
    bitmapAnd: (bitmap, other, rows) => keep(bitmap, rows, (row) => bit(other, row)),
    bitmapAndNot: (bitmap, other, rows) => keep(bitmap, rows, (row) => !bit(other, row)),
    bitmapOr(bitmap, other, rows) {
      for (let row = 0; row < rows; row++) if (bit(other, row)) setBit(bitmap, row, true);
    },
    bitmapRows(bitmap, rows, list) {
      let count = 0;
      for (let row = 0; row < rows; row++)
        if (bit(bitmap, row)) view.setUint16(list + 2 * count++, row, true);
      return count;
    },
    anyFlags(flags, rows, mask) {
      for (let row = 0; row < rows; row++) if ((u8[flags + row]! & mask) !== 0) return true;
      return false;
    },
    selectWriters: (writers, rows, bound, bitmap) =>
      keep(bitmap, rows, (row) => u32(writers + 4 * row) <= bound >>> 0),
    rangeI32: integerRange(i32),
    rangeI16: integerRange(i16),
    rangeU8: integerRange((values, row) => u8[values + row]!),
    rangeI64(values, rows, lowLow, lowHigh, highLow, highHigh, negate, bitmap) {
      const low = joined(lowLow, lowHigh);
      const high = joined(highLow, highHigh);
      keep(bitmap, rows, (row) => {
        const value = i64(values, row);
        return (value >= low && value <= high) !== (negate !== 0);
      });
    },
    rangeF64: floatRange(f64),
    rangeF32: floatRange(f32),
    compareI32: columns(i32),
    compareI64: columns(i64),
    compareF64: columns(f64),
    selectText(pairs, page, shift, rows, key, keyLength, allowed, bitmap) {
      const constant = u8.subarray(key, key + keyLength);
      keep(bitmap, rows, (row) => {
        const [start, length] = textOf(pairs, page, shift, row);
        const order = Buffer.compare(u8.subarray(start, start + length), constant);
        return (
          ((order < 0 ? orderBits.less : order > 0 ? orderBits.greater : orderBits.equal) & allowed) !== 0
        );
      });
    },
    sumI64: integerSum(i64),
    sumI32: integerSum(i32),
    sumI16: integerSum(i16),
    sumF64(values, rows, bitmap, sum) {
      let total = readF64(sum);
      for (let row = 0; row < rows; row++) if (bit(bitmap, row)) total += f64(values, row);
      view.setFloat64(sum, oneNaN(total), true);
    },
    extremesI64: extremes(i64, readI64),
    extremesI32: extremes((values, row) => BigInt(i32(values, row)), readI64),
    extremesI16: extremes((values, row) => BigInt(i16(values, row)), readI64),
    extremesF64: extremes(f64, readF64),
    extremesF32: extremes(f32, readF64),
    anyLowestI64(values, rows) {
      for (let row = 0; row < rows; row++) if (i64(values, row) === -(2n ** 63n)) return true;
      return false;
    },
    findGroups(table, keys, list, count, groups) {
      for (let index = 0; index < count; index++) {
        const row = listed(list, index);
        let group = find(table, keys, row);
        if (group < 0) group = add(table, keys, row);
        if (group < 0) return index;
        view.setUint32(groups + 4 * index, group, true);
      }
      return count;
    },
    lookupGroups(table, keys, list, count, outList, groups) {
      const keyCount = u32(table + GroupTable.keys);
      let kept = 0;
      for (let index = 0; index < count; index++) {
        const row = listed(list, index);
        let anyNull = false;
        for (let key = 0; key < keyCount; key++)
          if (isNull(u32(keys + GroupKey.size * key + GroupKey.nulls), row)) anyNull = true;
        const group = anyNull ? -1 : find(table, keys, row);
        if (group < 0) continue;
        view.setUint16(outList + 2 * kept, row, true);
        view.setUint32(groups + 4 * kept++, group, true);
      }
      return kept;
    },
    // The twin finds groups by looking at each: it has no slots to fill.
    rehashGroups: () => undefined,
    lookupDense(values, wide, nulls, list, count, baseLow, baseHigh, size, dense, outList, found) {
      const base = joined(baseLow, baseHigh);
      let kept = 0;
      for (let index = 0; index < count; index++) {
        const row = listed(list, index);
        if (isNull(nulls, row)) continue;
        const place = BigInt(wide !== 0 ? i64(values, row) : i32(values, row)) - base;
        if (place < 0n || place >= BigInt(size)) continue;
        const entry = u32(dense + 4 * Number(place));
        if (entry === 0) continue;
        view.setUint16(outList + 2 * kept, row, true);
        view.setUint32(found + 4 * kept++, entry - 1, true);
      }
      return kept;
    },
    mapGroups(groups, count, map) {
      for (let index = 0; index < count; index++)
        view.setUint32(groups + 4 * index, u32(map + 4 * groupOf(groups, index)), true);
    },
    groupCount(groups, count, into) {
      for (let index = 0; index < count; index++) bump(into + 8 * groupOf(groups, index));
    },
    groupCountNotNull(list, groups, count, nulls, into) {
      for (let index = 0; index < count; index++)
        if (!isNull(nulls, listed(list, index))) bump(into + 8 * groupOf(groups, index));
    },
    groupSumI64: groupSum(i64),
    groupSumI32: groupSum(i32),
    groupSumI16: groupSum(i16),
    groupSumF64(values, nulls, list, groups, count, into) {
      for (let index = 0; index < count; index++) {
        const row = listed(list, index);
        if (isNull(nulls, row)) continue;
        const at = into + 16 * groupOf(groups, index);
        view.setFloat64(at, oneNaN(readF64(at) + f64(values, row)), true);
        bump(at + 8);
      }
    },
    groupExtremeI64: groupExtreme(i64, readI64),
    groupExtremeI32: groupExtreme((values, row) => BigInt(i32(values, row)), readI64),
    groupExtremeI16: groupExtreme((values, row) => BigInt(i16(values, row)), readI64),
    groupExtremeF64: groupExtreme(f64, readF64),
    groupExtremeF32: groupExtreme(f32, readF64),
  };
}
