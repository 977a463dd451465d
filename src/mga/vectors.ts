/**
 * Where a scan's page keeps its columns, for kernels that read them where they lie.
 *
 * Addresses hold until the scan's next step. A column array has one entry per slot, visible or not: kernels take the
 * scan's bitmap (0: all rows) along.
 */

import type { Value } from "../model/value.js";
import { rowFlag } from "../storage/heap.js";
import type { PageScan } from "./contract.js";
import { EnginePageScan } from "./scan.js";

export interface ColumnArray {
  /** Byte address of the first entry. */
  readonly address: number;
  /** StorageKind of model/codec-column.ts. */
  readonly kind: number;
  /** Bytes per entry; 0: pairs of u16 offset and u16 length into the page (see heap.ts). */
  readonly width: number;
  /** Decimal places of scaled numerics. */
  readonly scale: number;
  /** Null bits, one per slot, little-endian; set means null. */
  readonly nulls: number;
}

/**
 * The array of a table column on the scan's page; undefined when kernels cannot read it there: the page is older than
 * the column, or rows have values outside the page (then `materialize` reads them).
 */
export function columnArray(scan: PageScan, column: number): ColumnArray | undefined {
  if (!(scan instanceof EnginePageScan)) return undefined;
  const { format, address } = scan;
  if (column >= scan.table.inPage(format) || (scan.flags & rowFlag.extension) !== 0) return undefined;
  return {
    address: format.columnAddress(address, column),
    kind: format.kinds[column]!,
    width: format.widths[column]!,
    scale: format.scales[column]!,
    nulls: format.nullsAddress(address, column),
  };
}

/** Writers of the page's rows: u32 above `base`, by slot. */
export function writerArray(scan: PageScan): { readonly address: number; readonly base: number } | undefined {
  if (!(scan instanceof EnginePageScan)) return undefined;
  return { address: scan.format.writers(scan.address) * 4, base: scan.format.writerBase(scan.address) };
}

/** Columns of a page in parallel arrays that the caller keeps: no object is made per page. */
export interface PageColumns {
  /** As in ColumnArray, by the caller's own numbering. */
  readonly addresses: number[];
  readonly nulls: number[];
  readonly kinds: number[];
  readonly scales: number[];
}

/**
 * Fills entry `at` for a table column of the scan's page; false when kernels cannot read it there. Other than
 * `columnArray` it refuses variable columns of pages with values in overflow chains.
 */
export function findColumn(scan: EnginePageScan, column: number, into: PageColumns, at: number): boolean {
  const { format, address, flags } = scan;
  if (column >= scan.table.inPage(format) || (flags & rowFlag.extension) !== 0) return false;
  if (format.widths[column] === 0 && (flags & rowFlag.overflow) !== 0) return false;
  into.addresses[at] = format.columnAddress(address, column);
  into.nulls[at] = format.nullsAddress(address, column);
  into.kinds[at] = format.kinds[column]!;
  into.scales[at] = format.scales[column]!;
  return true;
}

/** Bits to shift the offsets of variable columns by. */
export function offsetShift(scan: EnginePageScan): number {
  return scan.table.store.pageSize > 65_536 ? 1 : 0;
}

/**
 * Writes some slots' newest values of a column at `into[at..]`. The page has no extension records (its flags say so).
 * Throws Wait when a value lies in an overflow chain.
 */
export function decodeSlots(
  scan: EnginePageScan,
  column: number,
  slots: Int32Array,
  count: number,
  into: Value[],
  at: number,
): void {
  const { table, format, address } = scan;
  if (column < table.inPage(format)) {
    format.decode(address, column, slots, count, into, at, table.state.space.readChain);
    return;
  }
  const missing = table.spec.columns[column]!.missing;
  for (let row = 0; row < count; row++) into[at + row] = missing;
}

/** Whether `decodeSlots` gives the rows of the scan's page at once: all their values are in the page. */
export function isPlainPage(scan: EnginePageScan): boolean {
  return (scan.flags & (rowFlag.extension | rowFlag.overflow)) === 0;
}
