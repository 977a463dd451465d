/**
 * Kernels over column arrays (D5): a page's columns where they lie, or vectors in the arena.
 *
 * Conventions. A bitmap has one bit per row, lowest first, in whole 64-bit words; bits beyond the last row are zero,
 * except in null bits of pages, which end with their last byte and are read no further. A row list holds u16 positions.
 * `nulls` is 0 for a column without nulls. 64-bit constants come as two halves: an i64 argument would be a BigInt.
 *
 * Invariants: nothing beyond the given number of rows is read or written; selects only take rows away from a bitmap.
 */

// ---- bitmaps -------------------------------------------------------------------------------------------------------

/** Bits of a word that stand for rows. */
// @ts-ignore: decorator
@inline
function wordMask(word: u32, rows: u32): u64 {
  const left = rows - (word << 6);
  return left >= 64 ? ~(<u64>0) : ((<u64>1) << left) - 1;
}

/** A word of a bitmap that may end with its last byte. */
// @ts-ignore: decorator
@inline
function bitsOf(bitmap: usize, word: u32, rows: u32): u64 {
  const left = rows - (word << 6);
  if (left >= 64) return load<u64>(bitmap + (<usize>word << 3));
  let bits: u64 = 0;
  const bytes = (left + 7) >> 3;
  for (let byte: u32 = 0; byte < bytes; byte++)
    bits |= <u64>load<u8>(bitmap + (<usize>word << 3) + byte) << (<u64>byte << 3);
  return bits & (((<u64>1) << left) - 1);
}

// @ts-ignore: decorator
@inline
function isSet(bitmap: usize, row: u32): bool {
  return ((load<u8>(bitmap + (row >> 3)) >> <u8>(row & 7)) & 1) != 0;
}

export function bitmapFill(bitmap: usize, rows: u32): void {
  const words = (rows + 63) >> 6;
  for (let word: u32 = 0; word < words; word++) store<u64>(bitmap + (<usize>word << 3), wordMask(word, rows));
}

export function bitmapCount(bitmap: usize, rows: u32): u32 {
  const words = (rows + 63) >> 6;
  let count: u64 = 0;
  for (let word: u32 = 0; word < words; word++) count += popcnt<u64>(bitsOf(bitmap, word, rows));
  return <u32>count;
}

export function bitmapAnd(bitmap: usize, other: usize, rows: u32): void {
  const words = (rows + 63) >> 6;
  for (let word: u32 = 0; word < words; word++) {
    const at = bitmap + (<usize>word << 3);
    store<u64>(at, load<u64>(at) & bitsOf(other, word, rows));
  }
}

export function bitmapAndNot(bitmap: usize, other: usize, rows: u32): void {
  const words = (rows + 63) >> 6;
  for (let word: u32 = 0; word < words; word++) {
    const at = bitmap + (<usize>word << 3);
    store<u64>(at, load<u64>(at) & ~bitsOf(other, word, rows));
  }
}

export function bitmapOr(bitmap: usize, other: usize, rows: u32): void {
  const words = (rows + 63) >> 6;
  for (let word: u32 = 0; word < words; word++) {
    const at = bitmap + (<usize>word << 3);
    store<u64>(at, load<u64>(at) | bitsOf(other, word, rows));
  }
}

/** The bitmap's rows as a list of u16; returns how many. */
export function bitmapRows(bitmap: usize, rows: u32, list: usize): u32 {
  const words = (rows + 63) >> 6;
  let at = list;
  for (let word: u32 = 0; word < words; word++) {
    let bits = bitsOf(bitmap, word, rows);
    const first = word << 6;
    while (bits != 0) {
      store<u16>(at, <u16>(first + <u32>ctz<u64>(bits)));
      at += 2;
      bits &= bits - 1;
    }
  }
  return <u32>((at - list) >> 1);
}

/** Whether any of the flag bytes has a bit of `mask`. */
export function anyFlags(flags: usize, rows: u32, mask: u32): bool {
  let any: u32 = 0;
  let row: u32 = 0;
  if (rows >= 16) {
    let all = i8x16.splat(0);
    for (; row + 16 <= rows; row += 16) all = v128.or(all, v128.load(flags + row));
    if (v128.any_true(v128.and(all, i8x16.splat(<i8>mask)))) return true;
  }
  for (; row < rows; row++) any |= load<u8>(flags + row);
  return (any & mask) != 0;
}

/** Keeps rows whose writer (u32 above the page's base) is at most the bound (rule P1, second tier). */
export function selectWriters(writers: usize, rows: u32, bound: u32, bitmap: usize): void {
  const limit = i32x4.splat(<i32>bound);
  let row: u32 = 0;
  for (; row + 16 <= rows; row += 16) {
    const at = writers + (<usize>row << 2);
    const a = i32x4.le_u(v128.load(at), limit);
    const b = i32x4.le_u(v128.load(at, 16), limit);
    const c = i32x4.le_u(v128.load(at, 32), limit);
    const d = i32x4.le_u(v128.load(at, 48), limit);
    keep16(bitmap, row, a, b, c, d, 0);
  }
  for (; row < rows; row++) keep(bitmap, row, load<u32>(writers + (<usize>row << 2)) <= bound);
}

/** ANDs sixteen 32-bit lane masks into the bitmap. */
// @ts-ignore: decorator
@inline
function keep16(bitmap: usize, row: u32, a: v128, b: v128, c: v128, d: v128, flip: u32): void {
  const bits = i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
  const at = bitmap + (row >> 3);
  store<u16>(at, <u16>(<u32>load<u16>(at) & (<u32>bits ^ flip)));
}

// @ts-ignore: decorator
@inline
function keep(bitmap: usize, row: u32, kept: bool): void {
  const at = bitmap + (row >> 3);
  store<u8>(at, <u8>(<u32>load<u8>(at) & ~(<u32>!kept << (row & 7))));
}

// ---- compare with constants: every comparison is a range, negated or not ------------------------------------------------

export function rangeI32(values: usize, rows: u32, low: i32, high: i32, negate: u32, bitmap: usize): void {
  const from = i32x4.splat(low);
  const to = i32x4.splat(high);
  const flip: u32 = negate != 0 ? 0xffff : 0;
  let row: u32 = 0;
  for (; row + 16 <= rows; row += 16) {
    const at = values + (<usize>row << 2);
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    keep16(
      bitmap,
      row,
      v128.and(i32x4.ge_s(a, from), i32x4.le_s(a, to)),
      v128.and(i32x4.ge_s(b, from), i32x4.le_s(b, to)),
      v128.and(i32x4.ge_s(c, from), i32x4.le_s(c, to)),
      v128.and(i32x4.ge_s(d, from), i32x4.le_s(d, to)),
      flip,
    );
  }
  for (; row < rows; row++) {
    const value = load<i32>(values + (<usize>row << 2));
    keep(bitmap, row, (value >= low && value <= high) != (negate != 0));
  }
}

export function rangeI16(values: usize, rows: u32, low: i32, high: i32, negate: u32, bitmap: usize): void {
  for (let row: u32 = 0; row < rows; row++) {
    const value = <i32>load<i16>(values + (<usize>row << 1));
    keep(bitmap, row, (value >= low && value <= high) != (negate != 0));
  }
}

export function rangeU8(values: usize, rows: u32, low: u32, high: u32, negate: u32, bitmap: usize): void {
  const from = i8x16.splat(<i8>low);
  const to = i8x16.splat(<i8>high);
  const flip: u32 = negate != 0 ? 0xffff : 0;
  let row: u32 = 0;
  for (; row + 16 <= rows; row += 16) {
    const value = v128.load(values + row);
    const bits = i8x16.bitmask(v128.and(i8x16.ge_u(value, from), i8x16.le_u(value, to)));
    const at = bitmap + (row >> 3);
    store<u16>(at, <u16>(<u32>load<u16>(at) & (<u32>bits ^ flip)));
  }
  for (; row < rows; row++) {
    const value = <u32>load<u8>(values + row);
    keep(bitmap, row, (value >= low && value <= high) != (negate != 0));
  }
}

// @ts-ignore: decorator
@inline
function halves(low: u32, high: i32): i64 {
  return (<i64>high << 32) | <i64>low;
}

export function rangeI64(
  values: usize,
  rows: u32,
  lowLow: u32,
  lowHigh: i32,
  highLow: u32,
  highHigh: i32,
  negate: u32,
  bitmap: usize,
): void {
  const low = halves(lowLow, lowHigh);
  const high = halves(highLow, highHigh);
  const from = i64x2.splat(low);
  const to = i64x2.splat(high);
  const flip: u32 = negate != 0 ? 0xff : 0;
  let row: u32 = 0;
  for (; row + 8 <= rows; row += 8) {
    const at = values + (<usize>row << 3);
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    const bits =
      i64x2.bitmask(v128.and(i64x2.ge_s(a, from), i64x2.le_s(a, to))) |
      (i64x2.bitmask(v128.and(i64x2.ge_s(b, from), i64x2.le_s(b, to))) << 2) |
      (i64x2.bitmask(v128.and(i64x2.ge_s(c, from), i64x2.le_s(c, to))) << 4) |
      (i64x2.bitmask(v128.and(i64x2.ge_s(d, from), i64x2.le_s(d, to))) << 6);
    const byte = bitmap + (row >> 3);
    store<u8>(byte, <u8>(<u32>load<u8>(byte) & (<u32>bits ^ flip)));
  }
  for (; row < rows; row++) {
    const value = load<i64>(values + (<usize>row << 3));
    keep(bitmap, row, (value >= low && value <= high) != (negate != 0));
  }
}

/** `nan`: whether NaN is in the range (it is the greatest value, equal to itself). */
export function rangeF64(
  values: usize,
  rows: u32,
  low: f64,
  high: f64,
  nan: u32,
  negate: u32,
  bitmap: usize,
): void {
  const from = f64x2.splat(low);
  const to = f64x2.splat(high);
  const nans = i64x2.splat(nan != 0 ? -1 : 0);
  const flip: u32 = negate != 0 ? 0xff : 0;
  let row: u32 = 0;
  for (; row + 8 <= rows; row += 8) {
    const at = values + (<usize>row << 3);
    let bits: u32 = 0;
    for (let pair: u32 = 0; pair < 4; pair++) {
      const value = v128.load(at + (<usize>pair << 4));
      const inside = v128.and(f64x2.ge(value, from), f64x2.le(value, to));
      bits |= <u32>i64x2.bitmask(v128.or(inside, v128.and(f64x2.ne(value, value), nans))) << (pair << 1);
    }
    const byte = bitmap + (row >> 3);
    store<u8>(byte, <u8>(<u32>load<u8>(byte) & (bits ^ flip)));
  }
  for (; row < rows; row++) {
    const value = load<f64>(values + (<usize>row << 3));
    keep(bitmap, row, ((value >= low && value <= high) || (nan != 0 && value != value)) != (negate != 0));
  }
}

export function rangeF32(
  values: usize,
  rows: u32,
  low: f64,
  high: f64,
  nan: u32,
  negate: u32,
  bitmap: usize,
): void {
  for (let row: u32 = 0; row < rows; row++) {
    const value = <f64>load<f32>(values + (<usize>row << 2));
    keep(bitmap, row, ((value >= low && value <= high) || (nan != 0 && value != value)) != (negate != 0));
  }
}

// ---- compare columns: `allowed` has bit 0 for less, 1 for equal, 2 for greater -----------------------------------------

// @ts-ignore: decorator
@inline
function orderBit<T>(a: T, b: T): u32 {
  if (isFloat<T>()) {
    const aNaN = a != a;
    const bNaN = b != b;
    if (aNaN || bNaN) return aNaN ? (bNaN ? 2 : 4) : 1;
  }
  return a < b ? 1 : a == b ? 2 : 4;
}

// @ts-ignore: decorator
@inline
function compareColumns<T>(a: usize, b: usize, rows: u32, allowed: u32, bitmap: usize): void {
  for (let row: u32 = 0; row < rows; row++) {
    const at = <usize>row * sizeof<T>();
    keep(bitmap, row, (orderBit<T>(load<T>(a + at), load<T>(b + at)) & allowed) != 0);
  }
}

export function compareI32(a: usize, b: usize, rows: u32, allowed: u32, bitmap: usize): void {
  compareColumns<i32>(a, b, rows, allowed, bitmap);
}
export function compareI64(a: usize, b: usize, rows: u32, allowed: u32, bitmap: usize): void {
  compareColumns<i64>(a, b, rows, allowed, bitmap);
}
export function compareF64(a: usize, b: usize, rows: u32, allowed: u32, bitmap: usize): void {
  compareColumns<f64>(a, b, rows, allowed, bitmap);
}

// ---- text in a page's heap: u16 offset (in units of 1 << shift), u16 length per row -------------------------------------

/** Order of two byte strings as -1, 0, 1; nothing beyond their ends is read. */
// @ts-ignore: decorator
@inline
function compareBytes(a: usize, aLength: u32, b: usize, bLength: u32): i32 {
  const shared = min<u32>(aLength, bLength);
  let at: u32 = 0;
  for (; at + 8 <= shared; at += 8) {
    const x = load<u64>(a + at);
    const y = load<u64>(b + at);
    if (x != y) return bswap<u64>(x) < bswap<u64>(y) ? -1 : 1;
  }
  for (; at < shared; at++) {
    const x = load<u8>(a + at);
    const y = load<u8>(b + at);
    if (x != y) return x < y ? -1 : 1;
  }
  return aLength < bLength ? -1 : aLength > bLength ? 1 : 0;
}

// @ts-ignore: decorator
@inline
function sameBytes(a: usize, b: usize, length: u32): bool {
  if (length >= 8) {
    const last = length - 8;
    let differ = (load<u64>(a) ^ load<u64>(b)) | (load<u64>(a + last) ^ load<u64>(b + last));
    if (length <= 16) return differ == 0;
    // Up to 32 bytes without a loop: its end is a branch that lengths at random make the processor miss.
    const inner = length - 16;
    differ |= (load<u64>(a, 8) ^ load<u64>(b, 8)) | (load<u64>(a + inner) ^ load<u64>(b + inner));
    if (length <= 32 || differ != 0) return differ == 0;
    for (let at: u32 = 16; at < inner; at += 8) if (load<u64>(a + at) != load<u64>(b + at)) return false;
    return true;
  }
  if (length >= 4)
    return load<u32>(a) == load<u32>(b) && load<u32>(a + length - 4) == load<u32>(b + length - 4);
  for (let at: u32 = 0; at < length; at++) if (load<u8>(a + at) != load<u8>(b + at)) return false;
  return true;
}

/** Keeps rows whose text compares with the constant as `allowed` says (bits as above). Only rows still set are read. */
export function selectText(
  pairs: usize,
  page: usize,
  shift: u32,
  rows: u32,
  key: usize,
  keyLength: u32,
  allowed: u32,
  bitmap: usize,
): void {
  const words = (rows + 63) >> 6;
  for (let word: u32 = 0; word < words; word++) {
    const at = bitmap + (<usize>word << 3);
    const bits = load<u64>(at);
    let left = bits;
    let kept: u64 = 0;
    while (left != 0) {
      const bit = ctz<u64>(left);
      left &= left - 1;
      const pair = pairs + (<usize>((word << 6) + <u32>bit) << 2);
      const length = <u32>load<u16>(pair, 2);
      let order: u32;
      if (allowed == 2 || allowed == 5) {
        const text = page + (<usize>load<u16>(pair) << shift);
        order = length == keyLength && sameBytes(text, key, length) ? 2 : 1;
      } else {
        const sign = compareBytes(page + (<usize>load<u16>(pair) << shift), length, key, keyLength);
        order = sign < 0 ? 1 : sign == 0 ? 2 : 4;
      }
      kept |= <u64>((order & allowed) != 0) << bit;
    }
    store<u64>(at, bits & kept);
  }
}

// ---- aggregates over a bitmap ------------------------------------------------------------------------------------------

/** Adds a signed 128-bit amount, given as high * 2^32 + low, to the one at `sum`. */
// @ts-ignore: decorator
@inline
function addParts(sum: usize, low: i64, high: i64): void {
  addWide(sum, high << 32, high >> 32);
  addWide(sum, low, low >> 63);
}

// @ts-ignore: decorator
@inline
function addWide(sum: usize, low: i64, high: i64): void {
  const before = load<u64>(sum);
  const after = before + <u64>low;
  store<u64>(sum, after);
  store<i64>(sum, load<i64>(sum, 8) + high + <i64>(after < before), 8);
}

/** Sum of the selected values, added to the signed 128-bit number at `sum` (low half first). */
export function sumI64(values: usize, rows: u32, bitmap: usize, sum: usize): void {
  const words = (rows + 63) >> 6;
  // Low and high halves are summed apart: 4096 rows of 32 bits each stay far from 64.
  let low: i64 = 0;
  let high: i64 = 0;
  const lowMask = i64x2.splat(0xffffffff);
  let lows = i64x2.splat(0);
  let highs = i64x2.splat(0);
  for (let word: u32 = 0; word < words; word++) {
    let bits = bitsOf(bitmap, word, rows);
    const at = values + (<usize>word << 9);
    if (bits == ~(<u64>0)) {
      for (let pair: usize = 0; pair < 512; pair += 16) {
        const value = v128.load(at + pair);
        lows = i64x2.add(lows, v128.and(value, lowMask));
        highs = i64x2.add(highs, i64x2.shr_s(value, 32));
      }
      continue;
    }
    while (bits != 0) {
      const value = load<i64>(at + (<usize>ctz<u64>(bits) << 3));
      low += value & 0xffffffff;
      high += value >> 32;
      bits &= bits - 1;
    }
  }
  low += i64x2.extract_lane(lows, 0) + i64x2.extract_lane(lows, 1);
  high += i64x2.extract_lane(highs, 0) + i64x2.extract_lane(highs, 1);
  addParts(sum, low, high);
}

// @ts-ignore: decorator
@inline
function sumNarrow<T>(values: usize, rows: u32, bitmap: usize, sum: usize): void {
  const words = (rows + 63) >> 6;
  let total: i64 = 0;
  for (let word: u32 = 0; word < words; word++) {
    let bits = bitsOf(bitmap, word, rows);
    const at = values + (<usize>word << 6) * sizeof<T>();
    if (bits == ~(<u64>0)) {
      for (let row: usize = 0; row < 64; row++) total += <i64>load<T>(at + row * sizeof<T>());
      continue;
    }
    while (bits != 0) {
      total += <i64>load<T>(at + <usize>ctz<u64>(bits) * sizeof<T>());
      bits &= bits - 1;
    }
  }
  addWide(sum, total, total >> 63);
}
export function sumI32(values: usize, rows: u32, bitmap: usize, sum: usize): void {
  sumNarrow<i32>(values, rows, bitmap, sum);
}
export function sumI16(values: usize, rows: u32, bitmap: usize, sum: usize): void {
  sumNarrow<i16>(values, rows, bitmap, sum);
}

/** Which of its bits a computed NaN has differs between processors; results do not. */
// @ts-ignore: decorator
@inline
function oneNaN(value: f64): f64 {
  return value != value ? NaN : value;
}

/** Adds the selected values to the double at `sum` one by one, in row order: the same rounding as row by row. */
export function sumF64(values: usize, rows: u32, bitmap: usize, sum: usize): void {
  const words = (rows + 63) >> 6;
  let total = load<f64>(sum);
  for (let word: u32 = 0; word < words; word++) {
    let bits = bitsOf(bitmap, word, rows);
    while (bits != 0) {
      total += load<f64>(values + (<usize>((word << 6) + <u32>ctz<u64>(bits)) << 3));
      bits &= bits - 1;
    }
  }
  store<f64>(sum, oneNaN(total));
}

/** Extremes are kept as [i64 or f64 minimum, maximum]; the first call for a set starts from its own first row. */
// @ts-ignore: decorator
@inline
function extremes<T, W>(values: usize, rows: u32, bitmap: usize, started: u32, out: usize): u32 {
  const words = (rows + 63) >> 6;
  let count: u32 = 0;
  let least: W = load<W>(out);
  let greatest: W = load<W>(out, 8);
  for (let word: u32 = 0; word < words; word++) {
    let bits = bitsOf(bitmap, word, rows);
    const at = values + (<usize>word << 6) * sizeof<T>();
    while (bits != 0) {
      const value = <W>load<T>(at + <usize>ctz<u64>(bits) * sizeof<T>());
      bits &= bits - 1;
      if (count == 0 && started == 0) {
        least = value;
        greatest = value;
      } else {
        if (orderBit<W>(value, least) == 1) least = value;
        if (orderBit<W>(value, greatest) == 4) greatest = value;
      }
      count++;
    }
  }
  store<W>(out, least);
  store<W>(out, greatest, 8);
  return count;
}
export function extremesI64(values: usize, rows: u32, bitmap: usize, started: u32, out: usize): u32 {
  return extremes<i64, i64>(values, rows, bitmap, started, out);
}
export function extremesI32(values: usize, rows: u32, bitmap: usize, started: u32, out: usize): u32 {
  return extremes<i32, i64>(values, rows, bitmap, started, out);
}
export function extremesI16(values: usize, rows: u32, bitmap: usize, started: u32, out: usize): u32 {
  return extremes<i16, i64>(values, rows, bitmap, started, out);
}
export function extremesF64(values: usize, rows: u32, bitmap: usize, started: u32, out: usize): u32 {
  return extremes<f64, f64>(values, rows, bitmap, started, out);
}
export function extremesF32(values: usize, rows: u32, bitmap: usize, started: u32, out: usize): u32 {
  return extremes<f32, f64>(values, rows, bitmap, started, out);
}

/** Whether any of the values is the lowest there is: NaN among scaled numerics. */
export function anyLowestI64(values: usize, rows: u32): bool {
  const lowest = i64x2.splat(i64.MIN_VALUE);
  let any = i64x2.splat(0);
  let row: u32 = 0;
  for (; row + 4 <= rows; row += 4) {
    const at = values + (<usize>row << 3);
    any = v128.or(any, v128.or(i64x2.eq(v128.load(at), lowest), i64x2.eq(v128.load(at, 16), lowest)));
  }
  if (v128.any_true(any)) return true;
  for (; row < rows; row++) if (load<i64>(values + (<usize>row << 3)) == i64.MIN_VALUE) return true;
  return false;
}

// ---- groups: a hash table from key values to numbers 0, 1, 2, ... ---------------------------------------------------------

/**
 * Table: u32 slots (a power of two), groups, groupsMax, keys per group; addresses of: slots (u32 group + 1), hashes
 * (u32 per group), key values (8 bytes per key: integer, double, or text address and length), null masks (u32 per
 * group); then next free byte and end of the text area. Twelve u32 in all with two spare.
 * Keys: per key column six u32: kind, values, nulls, page, shift, spare.
 */
const KIND_I32: u32 = 0;
const KIND_I64: u32 = 1;
const KIND_F64: u32 = 2;
const KIND_U8: u32 = 3;
const KIND_I16: u32 = 4;
const KIND_TEXT: u32 = 5;
const KEY_BYTES: usize = 24;

const MIX: u64 = 0x9e3779b97f4a7c15;

// @ts-ignore: decorator
@inline
function mix(hash: u64, value: u64): u64 {
  const product = (hash ^ value) * MIX;
  return product ^ (product >> 29);
}

// @ts-ignore: decorator
@inline
function hashText(hash: u64, text: usize, length: u32): u64 {
  if (length >= 8) {
    const last = load<u64>(text + length - 8);
    hash = mix(hash ^ <u64>length, load<u64>(text));
    if (length <= 16) return mix(hash, last);
    // Two chains side by side, and no loop up to 32 bytes (see sameBytes).
    const inner = length - 16;
    let other = mix(mix(MIX, load<u64>(text, 8)), load<u64>(text + inner));
    for (let at: u32 = 16; at < inner; at += 8) other = mix(other, load<u64>(text + at));
    return mix(mix(hash, last), other);
  }
  hash = mix(hash, <u64>length);
  if (length >= 4) return mix(hash, <u64>load<u32>(text) | (<u64>load<u32>(text + length - 4) << 32));
  let bytes: u64 = 0;
  for (let at: u32 = 0; at < length; at++) bytes = (bytes << 8) | <u64>load<u8>(text + at);
  return mix(hash, bytes);
}

/** A key value as 64 bits, equal for equal values. */
// @ts-ignore: decorator
@inline
function keyBits(kind: u32, values: usize, row: u32): u64 {
  if (kind == KIND_I32) return <u64>(<i64>load<i32>(values + (<usize>row << 2)));
  if (kind == KIND_I64) return load<u64>(values + (<usize>row << 3));
  if (kind == KIND_F64) {
    const value = load<f64>(values + (<usize>row << 3));
    // One zero, one NaN.
    return value == 0 ? 0 : value != value ? 0x7ff8000000000000 : reinterpret<u64>(value);
  }
  if (kind == KIND_U8) return <u64>load<u8>(values + row);
  return <u64>(<i64>load<i16>(values + (<usize>row << 1)));
}

// @ts-ignore: decorator
@inline
function hashRow(keys: usize, keyCount: u32, row: u32): u64 {
  let hash: u64 = 0;
  for (let key: u32 = 0; key < keyCount; key++) {
    const at = keys + <usize>key * KEY_BYTES;
    const kind = load<u32>(at);
    const values = <usize>load<u32>(at, 4);
    const nulls = <usize>load<u32>(at, 8);
    if (nulls != 0 && isSet(nulls, row)) {
      hash = mix(hash, 0x5bd1e995);
    } else if (kind == KIND_TEXT) {
      const pair = values + (<usize>row << 2);
      hash = hashText(
        hash,
        <usize>load<u32>(at, 12) + (<usize>load<u16>(pair) << load<u32>(at, 16)),
        <u32>load<u16>(pair, 2),
      );
    } else {
      hash = mix(hash, keyBits(kind, values, row));
    }
  }
  return hash ^ (hash >> 32);
}

// @ts-ignore: decorator
@inline
function sameKeys(keys: usize, keyCount: u32, row: u32, stored: usize, nullMask: u32): bool {
  for (let key: u32 = 0; key < keyCount; key++) {
    const at = keys + <usize>key * KEY_BYTES;
    const kind = load<u32>(at);
    const values = <usize>load<u32>(at, 4);
    const nulls = <usize>load<u32>(at, 8);
    const isNull = nulls != 0 && isSet(nulls, row);
    if (isNull != (((nullMask >> key) & 1) != 0)) return false;
    if (isNull) continue;
    const value = stored + (<usize>key << 3);
    if (kind == KIND_TEXT) {
      const pair = values + (<usize>row << 2);
      const length = <u32>load<u16>(pair, 2);
      if (length != load<u32>(value, 4)) return false;
      const text = <usize>load<u32>(at, 12) + (<usize>load<u16>(pair) << load<u32>(at, 16));
      if (!sameBytes(text, <usize>load<u32>(value), length)) return false;
    } else if (keyBits(kind, values, row) != load<u64>(value)) return false;
  }
  return true;
}

/** Stores a new group's keys; false when the text area has no room. */
// @ts-ignore: decorator
@inline
function storeKeys(table: usize, keys: usize, keyCount: u32, row: u32, group: u32): bool {
  const stored = <usize>load<u32>(table, 24) + (<usize>(group * keyCount) << 3);
  let nullMask: u32 = 0;
  let next = load<u32>(table, 32);
  const end = load<u32>(table, 36);
  for (let key: u32 = 0; key < keyCount; key++) {
    const at = keys + <usize>key * KEY_BYTES;
    const kind = load<u32>(at);
    const values = <usize>load<u32>(at, 4);
    const nulls = <usize>load<u32>(at, 8);
    const value = stored + (<usize>key << 3);
    if (nulls != 0 && isSet(nulls, row)) {
      nullMask |= 1 << key;
      store<u64>(value, 0);
    } else if (kind == KIND_TEXT) {
      const pair = values + (<usize>row << 2);
      const length = <u32>load<u16>(pair, 2);
      if (length > end - next) return false;
      memory.copy(next, <usize>load<u32>(at, 12) + (<usize>load<u16>(pair) << load<u32>(at, 16)), length);
      store<u32>(value, next);
      store<u32>(value, length, 4);
      next += length;
    } else {
      store<u64>(value, keyBits(kind, values, row));
    }
  }
  store<u32>(table, next, 32);
  store<u32>(<usize>load<u32>(table, 28) + (<usize>group << 2), nullMask);
  return true;
}

/** Slot of the row's group if it has one, else of the free place for it (any number of keys, NULLs included). */
function probe(table: usize, keys: usize, keyCount: u32, row: u32, hash: u32): u32 {
  const mask = load<u32>(table) - 1;
  const slots = <usize>load<u32>(table, 16);
  const hashes = <usize>load<u32>(table, 20);
  const stored = <usize>load<u32>(table, 24);
  const nullMasks = <usize>load<u32>(table, 28);
  let slot = hash & mask;
  let entry = load<u32>(slots + (<usize>slot << 2));
  while (entry != 0) {
    const group = entry - 1;
    if (
      load<u32>(hashes + (<usize>group << 2)) == hash &&
      sameKeys(
        keys,
        keyCount,
        row,
        stored + (<usize>(group * keyCount) << 3),
        load<u32>(nullMasks + (<usize>group << 2)),
      )
    )
      break;
    slot = (slot + 1) & mask;
    entry = load<u32>(slots + (<usize>slot << 2));
  }
  return slot;
}

/** A new group for the row at a free slot; -1 when the table is full. */
function addGroup(table: usize, keys: usize, keyCount: u32, row: u32, hash: u32, slot: u32): i32 {
  const group = load<u32>(table, 4);
  if (group >= load<u32>(table, 8) || group >= (load<u32>(table) >> 2) * 3) return -1;
  if (!storeKeys(table, keys, keyCount, row, group)) return -1;
  store<u32>(<usize>load<u32>(table, 20) + (<usize>group << 2), hash);
  store<u32>(<usize>load<u32>(table, 16) + (<usize>slot << 2), group + 1);
  store<u32>(table, group + 1, 4);
  return <i32>group;
}

/**
 * Slot for the row by one key that is not NULL; `kind` is a constant where this is inlined. Integers and doubles are
 * compared with the stored key at once, which spares the stored hash; the null mask matters only when there is a group
 * of NULL, whose stored key is zero.
 */
// @ts-ignore: decorator
@inline
function probeOne(
  kind: u32,
  table: usize,
  bits: u64,
  text: usize,
  length: u32,
  hash: u32,
): u32 {
  const mask = load<u32>(table) - 1;
  const slots = <usize>load<u32>(table, 16);
  const hashes = <usize>load<u32>(table, 20);
  const stored = <usize>load<u32>(table, 24);
  const nullMasks = <usize>load<u32>(table, 28);
  let slot = hash & mask;
  let entry = load<u32>(slots + (<usize>slot << 2));
  while (entry != 0) {
    const group = entry - 1;
    const key = stored + (<usize>group << 3);
    if (kind == KIND_TEXT) {
      if (
        load<u32>(hashes + (<usize>group << 2)) == hash &&
        load<u32>(key, 4) == length &&
        sameBytes(<usize>load<u32>(key), text, length) &&
        load<u32>(nullMasks + (<usize>group << 2)) == 0
      )
        break;
    } else if (load<u64>(key) == bits && (bits != 0 || load<u32>(nullMasks + (<usize>group << 2)) == 0)) {
      break;
    }
    slot = (slot + 1) & mask;
    entry = load<u32>(slots + (<usize>slot << 2));
  }
  return slot;
}

// @ts-ignore: decorator
@inline
function findByOne(kind: u32, table: usize, keys: usize, list: usize, count: u32, groups: usize): u32 {
  const values = <usize>load<u32>(keys, 4);
  const nulls = <usize>load<u32>(keys, 8);
  const page = <usize>load<u32>(keys, 12);
  const shift = load<u32>(keys, 16);
  const slots = <usize>load<u32>(table, 16);
  for (let index: u32 = 0; index < count; index++) {
    const row = <u32>load<u16>(list + (<usize>index << 1));
    let hash: u32;
    let slot: u32;
    if (nulls != 0 && isSet(nulls, row)) {
      hash = <u32>hashRow(keys, 1, row);
      slot = probe(table, keys, 1, row, hash);
    } else {
      let wide: u64;
      let bits: u64 = 0;
      let text: usize = 0;
      let length: u32 = 0;
      if (kind == KIND_TEXT) {
        const pair = values + (<usize>row << 2);
        text = page + (<usize>load<u16>(pair) << shift);
        length = <u32>load<u16>(pair, 2);
        wide = hashText(0, text, length);
      } else {
        bits = keyBits(kind, values, row);
        wide = mix(0, bits);
      }
      hash = <u32>(wide ^ (wide >> 32));
      slot = probeOne(kind, table, bits, text, length, hash);
    }
    let group = <i32>load<u32>(slots + (<usize>slot << 2)) - 1;
    if (group < 0) {
      group = addGroup(table, keys, 1, row, hash, slot);
      if (group < 0) return index;
    }
    store<u32>(groups + (<usize>index << 2), group);
  }
  return count;
}

/**
 * The group of each listed row, into `groups` (u32); new keys get new groups. Returns how many rows were done: fewer
 * than asked when the table is full (groups, three quarters of the slots, or text): it is grown, and called again.
 */
export function findGroups(table: usize, keys: usize, list: usize, count: u32, groups: usize): u32 {
  const keyCount = load<u32>(table, 12);
  if (keyCount == 1) {
    const kind = load<u32>(keys);
    if (kind == KIND_TEXT) return findByOne(KIND_TEXT, table, keys, list, count, groups);
    if (kind == KIND_I32) return findByOne(KIND_I32, table, keys, list, count, groups);
    if (kind == KIND_I64) return findByOne(KIND_I64, table, keys, list, count, groups);
  }
  const slots = <usize>load<u32>(table, 16);
  for (let index: u32 = 0; index < count; index++) {
    const row = <u32>load<u16>(list + (<usize>index << 1));
    const hash = <u32>hashRow(keys, keyCount, row);
    const slot = probe(table, keys, keyCount, row, hash);
    let group = <i32>load<u32>(slots + (<usize>slot << 2)) - 1;
    if (group < 0) {
      group = addGroup(table, keys, keyCount, row, hash, slot);
      if (group < 0) return index;
    }
    store<u32>(groups + (<usize>index << 2), group);
  }
  return count;
}

/** The listed rows whose keys have a group: kept in `outList` (u16) and `groups` (u32); NULL keys never match. */
export function lookupGroups(
  table: usize,
  keys: usize,
  list: usize,
  count: u32,
  outList: usize,
  groups: usize,
): u32 {
  const keyCount = load<u32>(table, 12);
  const slots = <usize>load<u32>(table, 16);
  let kept: u32 = 0;
  for (let index: u32 = 0; index < count; index++) {
    const row = <u32>load<u16>(list + (<usize>index << 1));
    let anyNull = false;
    for (let key: u32 = 0; key < keyCount; key++) {
      const nulls = <usize>load<u32>(keys + <usize>key * KEY_BYTES, 8);
      if (nulls != 0 && isSet(nulls, row)) anyNull = true;
    }
    if (anyNull) continue;
    const slot = probe(table, keys, keyCount, row, <u32>hashRow(keys, keyCount, row));
    const entry = load<u32>(slots + (<usize>slot << 2));
    if (entry == 0) continue;
    store<u16>(outList + (<usize>kept << 1), <u16>row);
    store<u32>(groups + (<usize>kept << 2), entry - 1);
    kept++;
  }
  return kept;
}

/** Fills the (zeroed) slots of a table from its stored hashes, after its arrays were moved to larger ones. */
export function rehashGroups(table: usize): void {
  const mask = load<u32>(table) - 1;
  const groups = load<u32>(table, 4);
  const slots = <usize>load<u32>(table, 16);
  const hashes = <usize>load<u32>(table, 20);
  for (let group: u32 = 0; group < groups; group++) {
    let slot = load<u32>(hashes + (<usize>group << 2)) & mask;
    while (load<u32>(slots + (<usize>slot << 2)) != 0) slot = (slot + 1) & mask;
    store<u32>(slots + (<usize>slot << 2), group + 1);
  }
}

/**
 * The listed rows whose integer key minus `base` has a non-zero entry in a dense array of u32: kept in `outList`, the
 * entry less one in `found`. `wide`: values are i64, else i32.
 */
export function lookupDense(
  values: usize,
  wide: u32,
  nulls: usize,
  list: usize,
  count: u32,
  baseLow: u32,
  baseHigh: i32,
  size: u32,
  dense: usize,
  outList: usize,
  found: usize,
): u32 {
  const base = halves(baseLow, baseHigh);
  let kept: u32 = 0;
  for (let index: u32 = 0; index < count; index++) {
    const row = <u32>load<u16>(list + (<usize>index << 1));
    const value =
      wide != 0 ? load<i64>(values + (<usize>row << 3)) : <i64>load<i32>(values + (<usize>row << 2));
    const place = <u64>(value - base);
    if (place >= <u64>size) continue;
    const entry = load<u32>(dense + (<usize>place << 2));
    // Written in any case, kept only when it counts: no branch to mispredict.
    store<u16>(outList + (<usize>kept << 1), <u16>row);
    store<u32>(found + (<usize>kept << 2), entry - 1);
    kept += <u32>(entry != 0 && !(nulls != 0 && isSet(nulls, row)));
  }
  return kept;
}

/** Puts what a u32 array holds for each entry in its place. */
export function mapGroups(groups: usize, count: u32, map: usize): void {
  for (let index: u32 = 0; index < count; index++) {
    const at = groups + (<usize>index << 2);
    store<u32>(at, load<u32>(map + (<usize>load<u32>(at) << 2)));
  }
}

// ---- accumulators by group; each row list entry has its group ------------------------------------------------------------

/** Adds one to the i64 of each row's group. */
export function groupCount(groups: usize, count: u32, into: usize): void {
  for (let index: u32 = 0; index < count; index++) {
    const at = into + (<usize>load<u32>(groups + (<usize>index << 2)) << 3);
    store<u64>(at, load<u64>(at) + 1);
  }
}

/** The same for rows where the column is not NULL. */
export function groupCountNotNull(list: usize, groups: usize, count: u32, nulls: usize, into: usize): void {
  for (let index: u32 = 0; index < count; index++) {
    const row = <u32>load<u16>(list + (<usize>index << 1));
    const at = into + (<usize>load<u32>(groups + (<usize>index << 2)) << 3);
    store<u64>(at, load<u64>(at) + <u64>!isSet(nulls, row));
  }
}

/** Sums per group: signed 128 bits and an i64 count of values, 24 bytes a group. */
// @ts-ignore: decorator
@inline
function groupSum<T>(values: usize, nulls: usize, list: usize, groups: usize, count: u32, into: usize): void {
  for (let index: u32 = 0; index < count; index++) {
    const row = <u32>load<u16>(list + (<usize>index << 1));
    if (nulls != 0 && isSet(nulls, row)) continue;
    const value = <i64>load<T>(values + <usize>row * sizeof<T>());
    const at = into + <usize>load<u32>(groups + (<usize>index << 2)) * 24;
    addWide(at, value, value >> 63);
    store<u64>(at, load<u64>(at, 16) + 1, 16);
  }
}
export function groupSumI64(values: usize, nulls: usize, list: usize, groups: usize, count: u32, into: usize): void {
  groupSum<i64>(values, nulls, list, groups, count, into);
}
export function groupSumI32(values: usize, nulls: usize, list: usize, groups: usize, count: u32, into: usize): void {
  groupSum<i32>(values, nulls, list, groups, count, into);
}
export function groupSumI16(values: usize, nulls: usize, list: usize, groups: usize, count: u32, into: usize): void {
  groupSum<i16>(values, nulls, list, groups, count, into);
}

/** Sums of doubles per group, in row order: f64 and an i64 count, 16 bytes a group. */
export function groupSumF64(values: usize, nulls: usize, list: usize, groups: usize, count: u32, into: usize): void {
  for (let index: u32 = 0; index < count; index++) {
    const row = <u32>load<u16>(list + (<usize>index << 1));
    if (nulls != 0 && isSet(nulls, row)) continue;
    const at = into + (<usize>load<u32>(groups + (<usize>index << 2)) << 4);
    store<f64>(at, oneNaN(load<f64>(at) + load<f64>(values + (<usize>row << 3))));
    store<u64>(at, load<u64>(at, 8) + 1, 8);
  }
}

/** Least (`sign` 1) or greatest (4) value per group: i64 or f64 and an i64 count, 16 bytes a group. */
// @ts-ignore: decorator
@inline
function groupExtreme<T, W>(
  values: usize,
  nulls: usize,
  list: usize,
  groups: usize,
  count: u32,
  sign: u32,
  into: usize,
): void {
  for (let index: u32 = 0; index < count; index++) {
    const row = <u32>load<u16>(list + (<usize>index << 1));
    if (nulls != 0 && isSet(nulls, row)) continue;
    const value = <W>load<T>(values + <usize>row * sizeof<T>());
    const at = into + (<usize>load<u32>(groups + (<usize>index << 2)) << 4);
    const seen = load<u64>(at, 8);
    if (seen == 0 || orderBit<W>(value, load<W>(at)) == sign) store<W>(at, value);
    store<u64>(at, seen + 1, 8);
  }
}
export function groupExtremeI64(
  values: usize,
  nulls: usize,
  list: usize,
  groups: usize,
  count: u32,
  sign: u32,
  into: usize,
): void {
  groupExtreme<i64, i64>(values, nulls, list, groups, count, sign, into);
}
export function groupExtremeI32(
  values: usize,
  nulls: usize,
  list: usize,
  groups: usize,
  count: u32,
  sign: u32,
  into: usize,
): void {
  groupExtreme<i32, i64>(values, nulls, list, groups, count, sign, into);
}
export function groupExtremeI16(
  values: usize,
  nulls: usize,
  list: usize,
  groups: usize,
  count: u32,
  sign: u32,
  into: usize,
): void {
  groupExtreme<i16, i64>(values, nulls, list, groups, count, sign, into);
}
export function groupExtremeF32(
  values: usize,
  nulls: usize,
  list: usize,
  groups: usize,
  count: u32,
  sign: u32,
  into: usize,
): void {
  groupExtreme<f32, f64>(values, nulls, list, groups, count, sign, into);
}
export function groupExtremeF64(
  values: usize,
  nulls: usize,
  list: usize,
  groups: usize,
  count: u32,
  sign: u32,
  into: usize,
): void {
  groupExtreme<f64, f64>(values, nulls, list, groups, count, sign, into);
}
