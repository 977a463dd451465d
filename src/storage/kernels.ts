/**
 * The hashing that storage needs from the wasm module, as an interface: whoever opens the storage hands it in.
 * Addresses are bytes in the engine's memory.
 */
export interface PageKernels {
  /** Writes the page's XXH64 (over all but the field itself) into its head. */
  pageChecksumStore(address: number, pageSize: number): void;
  pageChecksumMatches(address: number, pageSize: number): boolean;
  /** XXH64 with seed 0 of [address, address + length), 8 bytes little-endian at `outAddress`. */
  xxh64(address: number, length: number, outAddress: number): void;
}
