import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import xxhash from "xxhash-wasm";
import { EngineMemory, type Kernels, loadKernels, twinKernels } from "./index.js";
import { kernelBytes } from "./testing.js";

const pageSize = 16384;
const memory = new EngineMemory({
  pageSize,
  poolBytes: 64 * pageSize,
  scratchBytes: 1,
  arenaBytes: 1,
  groupBytes: 1,
});
const compiled = loadKernels(memory, kernelBytes());
const both: [string, Kernels][] = [
  ["wasm", compiled],
  ["twin", twinKernels(memory)],
];

function stream(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let x = 0x12345678;
  for (let at = 0; at < length; at++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes[at] = x >>> 24;
  }
  return bytes;
}
const hex = (at: number): string => memory.view.getBigUint64(at, true).toString(16).padStart(16, "0");

describe.each(both)("%s", (_name, kernels) => {
  it("hashes as xxhsum -H3 does, for every length from 0 to 1024", () => {
    const text = readFileSync(new URL("./testdata/xxh3.txt", import.meta.url), "utf8");
    const expected = text.trimEnd().split("\n").slice(1);
    expect(expected.length).toBe(1025);
    const at = memory.frames.start + 1;
    memory.u8.set(stream(1024), at);
    const got = expected.map((_, length) => {
      kernels.xxh3_64(at, length, memory.scratch.start);
      return hex(memory.scratch.start);
    });
    expect(got).toEqual(expected);
  });

  it("gives the vectors that SHD-15 names", () => {
    kernels.xxh3_64(memory.scratch.start, 0, memory.scratch.start);
    expect(hex(memory.scratch.start)).toBe("2d06800538d394c2");
    memory.u8.set([97, 98, 99], memory.scratch.start + 64);
    kernels.xxh3_64(memory.scratch.start + 64, 3, memory.scratch.start);
    expect(hex(memory.scratch.start)).toBe("78af5f94892f3950");
    kernels.xxh64(memory.scratch.start, 0, memory.scratch.start);
    expect(hex(memory.scratch.start)).toBe("ef46db3751d8e999");
    kernels.xxh64(memory.scratch.start + 64, 3, memory.scratch.start);
    expect(hex(memory.scratch.start)).toBe("44bc2cf5ad770999");
  });

  it("agrees with xxhash-wasm on XXH64", async () => {
    const { h64Raw } = await xxhash();
    const bytes = stream(700);
    const at = memory.frames.start + 3;
    memory.u8.set(bytes, at);
    for (let length = 0; length <= 700; length += length < 130 ? 1 : 37) {
      kernels.xxh64(at, length, memory.scratch.start);
      expect(memory.view.getBigUint64(memory.scratch.start, true)).toBe(h64Raw(bytes.subarray(0, length)));
    }
  });

  it.each([4096, 8192, 16384, 65536])("sums a page of %i bytes without its checksum field", async (size) => {
    const { h64Raw } = await xxhash();
    const page = memory.frames.start;
    const bytes = stream(size);
    memory.u8.set(bytes, page);
    kernels.pageChecksumStore(page, size);
    const cut = new Uint8Array(size - 8);
    cut.set(bytes.subarray(0, 112));
    cut.set(bytes.subarray(120), 112);
    expect(memory.view.getBigUint64(page + 112, true)).toBe(h64Raw(cut));
    expect(kernels.pageChecksumMatches(page, size)).toBe(true);
    for (const at of [0, 95, 96, 111, 112, 119, 120, 135, 136, size - 1]) {
      memory.u8[page + at]! ^= 1;
      expect(kernels.pageChecksumMatches(page, size), `byte ${at}`).toBe(false);
      memory.u8[page + at]! ^= 1;
    }
    expect(kernels.pageChecksumMatches(page, size)).toBe(true);
  });
});

it("works above 2 GiB (rule M1)", () => {
  const high = new EngineMemory({ pageSize, poolBytes: 2 ** 31 + 64 * pageSize });
  const kernels = loadKernels(high, kernelBytes());
  const page = high.frames.start + (high.frameCount - 1) * pageSize;
  expect(page).toBeGreaterThan(2 ** 31);
  high.u8.set(stream(pageSize), page);
  kernels.pageChecksumStore(page, pageSize);
  expect(kernels.pageChecksumMatches(page, pageSize)).toBe(true);
  memory.u8.set(stream(pageSize), memory.frames.start);
  compiled.pageChecksumStore(memory.frames.start, pageSize);
  expect(high.view.getBigUint64(page + 112, true)).toBe(
    memory.view.getBigUint64(memory.frames.start + 112, true),
  );
});
