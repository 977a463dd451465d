/**
 * Byte layouts declared once as tables: offsets follow from the order of fields, the total is asserted at load.
 * Little-endian throughout. Code uses the offsets as plain numbers, so a field access costs a typed-array load.
 */
import { assert } from "./errors.js";

export interface Field {
  readonly bytes: number;
}
export const u8: Field = { bytes: 1 };
export const u16: Field = { bytes: 2 };
export const u32: Field = { bytes: 4 };
/** 64-bit integers are held as two halves or as a checked 53-bit number, never as BigInt on a hot path. */
export const u64: Field = { bytes: 8 };
export const bytes = (count: number): Field => ({ bytes: count });

/** Offsets by field name; the fields fill exactly `size` bytes and each is aligned to its own size (up to 8). */
export function layout<const Fields extends Record<string, Field>>(
  name: string,
  size: number,
  fields: Fields,
): { readonly [Name in keyof Fields]: number } & { readonly size: number } {
  const offsets: Record<string, number> = {};
  let at = 0;
  for (const [field, { bytes }] of Object.entries(fields)) {
    const alignment = bytes <= 8 && (bytes & (bytes - 1)) === 0 ? bytes : 1;
    assert(at % alignment === 0, `${name}.${field} at ${at} is not aligned`);
    offsets[field] = at;
    at += bytes;
  }
  assert(at === size, `${name} fills ${at} bytes, not ${size}`);
  return { ...offsets, size } as { readonly [Name in keyof Fields]: number } & { readonly size: number };
}
