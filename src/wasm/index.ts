/**
 * The node's memory and the kernels that work in it (D4): `loadKernels` binds the compiled module (assembly/, built to
 * dist/kernels.wasm) to an `EngineMemory`; `twinKernels` gives the same interface in TypeScript.
 *
 * Where the module's bytes are read is the caller's business. Loading is synchronous: it happens once, at start.
 */
import { assert } from "../base/errors.js";
import type { Kernels } from "./kernels.js";
import type { EngineMemory } from "./memory.js";

export { type ByteKernels, type Kernels, twinKernels } from "./kernels.js";
export { EngineMemory, type MemoryPlan, type Region } from "./memory.js";
export { accumulatorBytes, GroupKey, GroupTable, keyKind, orderBits, type VectorKernels } from "./vector.js";

type Raw = (...args: number[]) => number;

/**
 * Every kernel, and how its raw 32-bit result is to be read: wasm hands integers back signed.
 * `number`: a count below 2^31, `boolean`, `void`.
 */
const results = {
  pageChecksumStore: "void",
  pageChecksumMatches: "boolean",
  xxh64: "void",
  xxh3_64: "void",
  bitmapFill: "void",
  bitmapCount: "number",
  bitmapAnd: "void",
  bitmapAndNot: "void",
  bitmapOr: "void",
  bitmapRows: "number",
  anyFlags: "boolean",
  selectWriters: "void",
  rangeI32: "void",
  rangeI16: "void",
  rangeU8: "void",
  rangeI64: "void",
  rangeF64: "void",
  rangeF32: "void",
  compareI32: "void",
  compareI64: "void",
  compareF64: "void",
  selectText: "void",
  sumI64: "void",
  sumI32: "void",
  sumI16: "void",
  sumF64: "void",
  extremesI64: "number",
  extremesI32: "number",
  extremesI16: "number",
  extremesF64: "number",
  extremesF32: "number",
  anyLowestI64: "boolean",
  findGroups: "number",
  lookupGroups: "number",
  rehashGroups: "void",
  lookupDense: "number",
  mapGroups: "void",
  groupCount: "void",
  groupCountNotNull: "void",
  groupSumI64: "void",
  groupSumI32: "void",
  groupSumI16: "void",
  groupSumF64: "void",
  groupExtremeI64: "void",
  groupExtremeI32: "void",
  groupExtremeI16: "void",
  groupExtremeF64: "void",
  groupExtremeF32: "void",
} as const satisfies { readonly [Name in keyof Kernels]: "void" | "boolean" | "number" };

export function loadKernels(memory: EngineMemory, wasmBytes: Uint8Array): Kernels {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(wasmBytes), {
    env: { memory: memory.memory },
  });
  const bound: Record<string, unknown> = {};
  for (const [name, result] of Object.entries(results) as [string, "void" | "boolean" | "number"][]) {
    const raw = instance.exports[name];
    assert(typeof raw === "function", `kernels.wasm lacks ${name}: it is older than the program`);
    const call = raw as Raw;
    // void and number kernels are called without a wrapper: a call costs 3 ns, a closure around it as much again.
    if (result === "boolean") bound[name] = (...args: number[]): boolean => call(...args) !== 0;
    else bound[name] = call;
  }
  return bound as unknown as Kernels;
}
