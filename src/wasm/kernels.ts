/**
 * What a kernel is (the interface) and its TypeScript twin: the oracle of the property tests and the yardstick of the
 * benchmarks. The node runs the WebAssembly form (`index.ts`); both read and write the same memory, so either fits.
 *
 * Invariants: addresses and lengths are unsigned 32-bit numbers, also above 2 GiB; a kernel reads and writes only the
 * ranges its arguments name; none allocates. Twins are written for plainness, with BigInt where the algorithm is
 * 64-bit: none belongs on a hot path.
 */
import type { PoolMemory } from "../storage/contract.js";
import { twinVectorKernels, type VectorKernels } from "./vector.js";

/** Hashes and checksums. */
export interface ByteKernels {
  /** Writes XXH64 (seed 0) of the page, its 8 bytes at 112 left out, to address + 112 (rule V5). */
  pageChecksumStore(address: number, pageSize: number): void;
  /** Whether the stored checksum is that of the page. */
  pageChecksumMatches(address: number, pageSize: number): boolean;
  /** XXH64, seed 0; 8 bytes little-endian at `out`. */
  xxh64(address: number, length: number, out: number): void;
  /** XXH3-64, seed 0 (SHD-15); 8 bytes little-endian at `out`. */
  xxh3_64(address: number, length: number, out: number): void;
}

export interface Kernels extends ByteKernels, VectorKernels {}

const mask = 0xffffffffffffffffn;
const p32 = [0x9e3779b1n, 0x85ebca77n, 0xc2b2ae3dn] as const;
const p1 = 0x9e3779b185ebca87n;
const p2 = 0xc2b2ae3d27d4eb4fn;
const p3 = 0x165667b19e3779f9n;
const p4 = 0x85ebca77c2b2ae63n;
const p5 = 0x27d4eb2f165667c5n;
const mx1 = 0x165667919e3779f9n;
const mx2 = 0x9fb21c651e98df25n;

const rotate = (x: bigint, bits: bigint): bigint => ((x << bits) | (x >> (64n - bits))) & mask;
const round = (lane: bigint, input: bigint): bigint => (rotate((lane + input * p2) & mask, 31n) * p1) & mask;

function avalanche64(hash: bigint): bigint {
  hash = ((hash ^ (hash >> 33n)) * p2) & mask;
  hash = ((hash ^ (hash >> 29n)) * p3) & mask;
  return hash ^ (hash >> 32n);
}

/** XXH64 with seed 0, as the xxHash specification describes it. */
export function xxh64Of(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length;
  let at = 0;
  let hash: bigint;
  if (length >= 32) {
    const lanes = [(p1 + p2) & mask, p2, 0n, -p1 & mask];
    for (; at + 32 <= length; at += 32) {
      for (let lane = 0; lane < 4; lane++)
        lanes[lane] = round(lanes[lane]!, view.getBigUint64(at + 8 * lane, true));
    }
    hash = rotate(lanes[0]!, 1n) + rotate(lanes[1]!, 7n) + rotate(lanes[2]!, 12n) + rotate(lanes[3]!, 18n);
    for (const lane of lanes) hash = (((hash & mask) ^ round(0n, lane)) * p1 + p4) & mask;
  } else {
    hash = p5;
  }
  hash = (hash + BigInt(length)) & mask;
  for (; at + 8 <= length; at += 8)
    hash = (rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * p1 + p4) & mask;
  if (at + 4 <= length) {
    hash = (rotate(hash ^ ((BigInt(view.getUint32(at, true)) * p1) & mask), 23n) * p2 + p3) & mask;
    at += 4;
  }
  for (; at < length; at++) hash = (rotate(hash ^ ((BigInt(bytes[at]!) * p5) & mask), 11n) * p1) & mask;
  return avalanche64(hash);
}

const secretBytes = Uint8Array.from(
  (
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221" +
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8" +
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb" +
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
  ).match(/../g)!,
  (pair) => Number.parseInt(pair, 16),
);
const secretView = new DataView(secretBytes.buffer);
const secret = (at: number): bigint => secretView.getBigUint64(at, true);

function fold(x: bigint, y: bigint): bigint {
  const product = x * y;
  return (product >> 64n) ^ (product & mask);
}
function avalanche3(hash: bigint): bigint {
  hash = ((hash ^ (hash >> 37n)) * mx1) & mask;
  return hash ^ (hash >> 32n);
}

/** XXH3-64 with seed 0 and the default secret. */
export function xxh3Of(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length;
  const read = (at: number): bigint => view.getBigUint64(at, true);
  const mix = (at: number, key: number): bigint =>
    fold(read(at) ^ secret(key), read(at + 8) ^ secret(key + 8));
  if (length === 0) return avalanche64(secret(56) ^ secret(64));
  if (length <= 3) {
    const combined = (bytes[0]! << 16) | (bytes[length >> 1]! << 24) | bytes[length - 1]! | (length << 8);
    const flip = secretView.getUint32(0, true) ^ secretView.getUint32(4, true);
    return avalanche64(BigInt((combined ^ flip) >>> 0));
  }
  if (length <= 8) {
    const first = BigInt(view.getUint32(0, true));
    const last = BigInt(view.getUint32(length - 4, true));
    let hash = (last + (first << 32n)) ^ secret(8) ^ secret(16);
    hash ^= rotate(hash, 49n) ^ rotate(hash, 24n);
    hash = (hash * mx2) & mask;
    hash ^= (hash >> 35n) + BigInt(length);
    hash = (hash * mx2) & mask;
    return hash ^ (hash >> 28n);
  }
  if (length <= 16) {
    const low = read(0) ^ secret(24) ^ secret(32);
    const high = read(length - 8) ^ secret(40) ^ secret(48);
    let swapped = 0n;
    for (let byte = 0n; byte < 64n; byte += 8n) swapped = (swapped << 8n) | ((low >> byte) & 0xffn);
    return avalanche3((BigInt(length) + swapped + high + fold(low, high)) & mask);
  }
  let hash = BigInt(length) * p1;
  if (length <= 128) {
    for (let step = (length - 1) >> 5; step >= 0; step--)
      hash += mix(16 * step, 32 * step) + mix(length - 16 * (step + 1), 32 * step + 16);
    return avalanche3(hash & mask);
  }
  if (length <= 240) {
    for (let step = 0; step < 8; step++) hash += mix(16 * step, 16 * step);
    hash = avalanche3(hash & mask) + mix(length - 16, 119);
    for (let step = 8; step < length >> 4; step++) hash += mix(16 * step, 16 * (step - 8) + 3);
    return avalanche3(hash & mask);
  }
  const lanes = [p32[2], p1, p2, p3, p4, p32[1], p5, p32[0]];
  const accumulate = (at: number, key: number): void => {
    for (let lane = 0; lane < 8; lane++) {
      const value = read(at + 8 * lane);
      const keyed = value ^ secret(key + 8 * lane);
      lanes[lane ^ 1] = (lanes[lane ^ 1]! + value) & mask;
      lanes[lane] = (lanes[lane]! + (keyed & 0xffffffffn) * (keyed >> 32n)) & mask;
    }
  };
  const blocks = (length - 1) >> 10;
  for (let block = 0; block < blocks; block++) {
    for (let stripe = 0; stripe < 16; stripe++) accumulate(1024 * block + 64 * stripe, 8 * stripe);
    for (let lane = 0; lane < 8; lane++) {
      const value = lanes[lane]!;
      lanes[lane] = ((value ^ (value >> 47n) ^ secret(128 + 8 * lane)) * p32[0]) & mask;
    }
  }
  const stripes = (length - 1 - 1024 * blocks) >> 6;
  for (let stripe = 0; stripe < stripes; stripe++) accumulate(1024 * blocks + 64 * stripe, 8 * stripe);
  accumulate(length - 64, 121);
  for (let lane = 0; lane < 8; lane += 2)
    hash += fold(lanes[lane]! ^ secret(11 + 8 * lane), lanes[lane + 1]! ^ secret(19 + 8 * lane));
  return avalanche3(hash & mask);
}

/** Where a page keeps its checksum; the field is left out of the sum. */
const checksumAt = 112;

function pageSum(memory: PoolMemory, address: number, pageSize: number): bigint {
  const bytes = new Uint8Array(pageSize - 8);
  bytes.set(memory.u8.subarray(address, address + checksumAt));
  bytes.set(memory.u8.subarray(address + checksumAt + 8, address + pageSize), checksumAt);
  return xxh64Of(bytes);
}

export function twinByteKernels(memory: PoolMemory): ByteKernels {
  const { u8, view } = memory;
  return {
    pageChecksumStore(address, pageSize) {
      view.setBigUint64(address + checksumAt, pageSum(memory, address, pageSize), true);
    },
    pageChecksumMatches(address, pageSize) {
      return view.getBigUint64(address + checksumAt, true) === pageSum(memory, address, pageSize);
    },
    xxh64(address, length, out) {
      view.setBigUint64(out, xxh64Of(u8.subarray(address, address + length)), true);
    },
    xxh3_64(address, length, out) {
      view.setBigUint64(out, xxh3Of(u8.subarray(address, address + length)), true);
    },
  };
}

export function twinKernels(memory: PoolMemory): Kernels {
  return { ...twinByteKernels(memory), ...twinVectorKernels(memory) };
}
