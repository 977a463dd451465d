/**
 * Where a scan's page keeps its columns, for kernels that read them where they lie.
 *
 * Addresses hold until the scan's next step. A column array has one entry per slot, visible or not: kernels take the
 * scan's bitmap (0: all rows) along.
 */
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
