import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  EngineMemory,
  GroupKey,
  GroupTable,
  type Kernels,
  keyKind,
  loadKernels,
  orderBits,
  twinKernels,
} from "./index.js";
import { kernelBytes } from "./testing.js";

/** Two memories with the same content: the kernel works in one, its twin in the other, and they must stay the same. */
const plan = {
  pageSize: 8192,
  poolBytes: 64 * 8192,
  scratchBytes: 1 << 18,
  arenaBytes: 1 << 18,
  groupBytes: 1,
};
const ours = new EngineMemory(plan);
const theirs = new EngineMemory(plan);
const sides: [EngineMemory, Kernels][] = [
  [ours, loadKernels(ours, kernelBytes())],
  [theirs, twinKernels(theirs)],
];
const region = ours.scratch;

function reset(): void {
  for (const [memory] of sides) memory.u8.fill(0xa5, region.start, region.start + region.bytes);
}
function write(put: (memory: EngineMemory) => void): void {
  for (const [memory] of sides) put(memory);
}
function both<T>(call: (kernels: Kernels, memory: EngineMemory) => T): T {
  const [a, b] = sides.map(([memory, kernels]) => call(kernels, memory));
  expect(a).toEqual(b);
  return a as T;
}
function expectSame(): void {
  const part = (memory: EngineMemory): Uint8Array =>
    memory.u8.subarray(region.start, region.start + region.bytes);
  expect(Buffer.compare(part(ours), part(theirs))).toBe(0);
}

const at = {
  bitmap: region.start + 64,
  other: region.start + 1024,
  a: region.start + 4096,
  b: region.start + 12_288,
  out: region.start + 20_480,
  list: region.start + 21_000,
  groups: region.start + 24_000,
  accumulators: region.start + 30_000,
  table: region.start + 60_000,
  keys: region.start + 60_100,
  keyArea: region.start + 61_000,
  nullArea: region.start + 80_000,
  textArea: region.start + 90_000,
  page: region.start + 120_000,
  key: region.start + 150_000,
  // What only the compiled table uses.
  slots: ours.arena.start,
  hashes: ours.arena.start + 65_536,
};

const rowCount = fc.oneof(
  fc.nat(40),
  fc.constantFrom(63, 64, 65, 128, 232),
  fc.integer({ min: 41, max: 330 }),
);
interface Case {
  readonly rows: number;
  readonly seed: number;
  readonly density: number;
}
const cases = fc.record({
  rows: rowCount,
  seed: fc.nat(0xffffff),
  density: fc.constantFrom(0, 0.03, 0.5, 0.97, 1),
});

function randomOf(seed: number): () => number {
  let state = (seed * 2 + 1) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
function fillBits(
  address: number,
  rows: number,
  density: number,
  random: () => number,
  wholeWords: boolean,
): void {
  const bytes = new Uint8Array(wholeWords ? ((rows + 63) >> 6) * 8 : (rows + 7) >> 3);
  for (let row = 0; row < rows; row++) if (random() < density) bytes[row >> 3]! |= 1 << (row & 7);
  write((memory) => memory.u8.set(bytes, address));
}
type Width = "i32" | "i64" | "f64" | "i16" | "u8" | "f32";
const bytesOf: Record<Width, number> = { i32: 4, i64: 8, f64: 8, i16: 2, u8: 1, f32: 4 };
function value(width: Width, random: () => number): number | bigint {
  const r = random();
  if (width === "u8") return Math.floor(r * 256);
  if (width === "i16") return r < 0.5 ? Math.floor(random() * 7) - 3 : Math.floor(random() * 65536) - 32768;
  if (width === "i32")
    return r < 0.5
      ? Math.floor(random() * 7) - 3
      : r < 0.6
        ? -(2 ** 31)
        : r < 0.7
          ? 2 ** 31 - 1
          : Math.floor((random() - 0.5) * 2 ** 32);
  if (width === "i64") {
    if (r < 0.4) return BigInt(Math.floor(random() * 7) - 3);
    if (r < 0.5) return -(2n ** 63n);
    if (r < 0.6) return 2n ** 63n - 1n;
    return BigInt.asIntN(
      64,
      (BigInt(Math.floor(random() * 2 ** 32)) << 32n) | BigInt(Math.floor(random() * 2 ** 32)),
    );
  }
  if (r < 0.1) return Number.NaN;
  if (r < 0.2) return random() < 0.5 ? Infinity : -Infinity;
  if (r < 0.3) return -0;
  if (r < 0.6) return Math.floor(random() * 5) - 2;
  return width === "f32" ? Math.fround((random() - 0.5) * 1e6) : (random() - 0.5) * 1e15;
}
function put(view: DataView, address: number, width: Width, v: number | bigint): void {
  if (width === "i32") view.setInt32(address, v as number, true);
  else if (width === "i64") view.setBigInt64(address, v as bigint, true);
  else if (width === "f64") view.setFloat64(address, v as number, true);
  else if (width === "f32") view.setFloat32(address, v as number, true);
  else if (width === "i16") view.setInt16(address, v as number, true);
  else view.setUint8(address, v as number);
}
function fillColumn(address: number, width: Width, rows: number, random: () => number): void {
  for (let row = 0; row < rows; row++) {
    const v = value(width, random);
    write((memory) => put(memory.view, address + row * bytesOf[width], width, v));
  }
}
function check(test: (given: Case, random: () => number) => void, numRuns = 60): void {
  fc.assert(
    fc.property(cases, (given) => {
      const random = randomOf(given.seed);
      reset();
      fillBits(at.bitmap, given.rows, given.density, random, true);
      test(given, random);
      expectSame();
    }),
    { numRuns },
  );
}
const low32 = (v: bigint): number => Number(BigInt.asUintN(32, v));
const high32 = (v: bigint): number => Number(BigInt.asIntN(32, v >> 32n));

describe("bitmaps", () => {
  it.each(["bitmapAnd", "bitmapAndNot", "bitmapOr"] as const)("%s", (name) => {
    check(({ rows }, random) => {
      // Null bits end with their last byte, anywhere, and may have garbage behind the last row.
      fillBits(at.other + 3, rows, 0.4, random, false);
      both((kernels) => kernels[name](at.bitmap, at.other + 3, rows));
    });
  });
  it("fills, counts and lists", () => {
    check(({ rows }) => {
      const count = both((kernels) => kernels.bitmapCount(at.bitmap, rows));
      expect(both((kernels) => kernels.bitmapRows(at.bitmap, rows, at.list))).toBe(count);
      both((kernels) => kernels.bitmapFill(at.other, rows));
      expect(both((kernels) => kernels.bitmapCount(at.other, rows))).toBe(rows);
    });
  });
  it("looks for flags and bounds writers", () => {
    check(({ rows, density }, random) => {
      for (let row = 0; row < rows; row++) {
        const flag = random() < density / 20 ? 0x0f : 0x40;
        write((memory) => memory.view.setUint8(at.a + row, flag));
      }
      both((kernels) => kernels.anyFlags(at.a, rows, 0x08));
      fillColumn(at.b, "i32", rows, random);
      for (const bound of [0, 3, 0x7fffffff, 0x80000000, 0xffffffff])
        both((kernels) => kernels.selectWriters(at.b, rows, bound, at.bitmap));
    });
  });
});

describe("selects", () => {
  it.each([
    ["rangeI32", "i32"],
    ["rangeI16", "i16"],
    ["rangeU8", "u8"],
  ] as const)("%s", (name, width) => {
    check(({ rows }, random) => {
      fillColumn(at.a, width, rows, random);
      const [x, y] = [value(width, random) as number, value(width, random) as number];
      const negate = random() < 0.3 ? 1 : 0;
      const bounds = random() < 0.8 ? [Math.min(x, y), Math.max(x, y)] : [x, y];
      both((kernels) => kernels[name](at.a, rows, bounds[0]!, bounds[1]!, negate, at.bitmap));
    });
  });
  it("rangeI64", () => {
    check(({ rows }, random) => {
      fillColumn(at.a, "i64", rows, random);
      const x = value("i64", random) as bigint;
      const y = random() < 0.2 ? x : (value("i64", random) as bigint);
      const [low, high] = x < y || random() < 0.1 ? [x, y] : [y, x];
      const negate = random() < 0.3 ? 1 : 0;
      both((k) =>
        k.rangeI64(at.a, rows, low32(low), high32(low), low32(high), high32(high), negate, at.bitmap),
      );
    });
  });
  it.each([
    ["rangeF64", "f64"],
    ["rangeF32", "f32"],
  ] as const)("%s", (name, width) => {
    check(({ rows }, random) => {
      fillColumn(at.a, width, rows, random);
      const [x, y] = [value(width, random) as number, value(width, random) as number];
      const [nan, negate] = [random() < 0.5 ? 1 : 0, random() < 0.3 ? 1 : 0];
      both((kernels) => kernels[name](at.a, rows, Math.min(x, y), Math.max(x, y), nan, negate, at.bitmap));
    });
  });
  it.each([
    ["compareI32", "i32"],
    ["compareI64", "i64"],
    ["compareF64", "f64"],
  ] as const)("%s", (name, width) => {
    check(({ rows }, random) => {
      fillColumn(at.a, width, rows, random);
      fillColumn(at.b, width, rows, random);
      const allowed = 1 + Math.floor(random() * 6);
      both((kernels) => kernels[name](at.a, at.b, rows, allowed, at.bitmap));
    });
  });
  it("selectText, with every comparison", () => {
    check(({ rows }, random) => {
      fillTexts(at.a, rows, random);
      const key = text(random);
      write((memory) => memory.u8.set(key, at.key));
      for (const allowed of [1, 2, 3, 4, 5, 6])
        if (random() < 0.4)
          both((k) => k.selectText(at.a, at.page, 0, rows, at.key, key.length, allowed, at.bitmap));
    });
  });
});

const stems = ["", "a", "abc", "abcd", "abcdefg", "abcdefgh", "abcdefghijklmnop", "é".repeat(9)];
function text(random: () => number): Uint8Array {
  const stem = stems[Math.floor(random() * stems.length)]!;
  return Buffer.from(random() < 0.5 ? stem : stem + String.fromCharCode(97 + Math.floor(random() * 3)));
}
/** Pairs at `pairs`, texts in the "page". */
function fillTexts(pairs: number, rows: number, random: () => number): void {
  let next = 16;
  for (let row = 0; row < rows; row++) {
    const bytes = text(random);
    const offset = next;
    write((memory) => {
      memory.u8.set(bytes, at.page + offset);
      memory.view.setUint16(pairs + 4 * row, offset, true);
      memory.view.setUint16(pairs + 4 * row + 2, bytes.length, true);
    });
    next += bytes.length;
  }
}

describe("sums and extremes", () => {
  it.each([
    ["sumI64", "i64"],
    ["sumI32", "i32"],
    ["sumI16", "i16"],
    ["sumF64", "f64"],
  ] as const)("%s", (name, width) => {
    check(({ rows }, random) => {
      fillColumn(at.a, width, rows, random);
      write((memory) => memory.u8.fill(0, at.out, at.out + 16));
      // Twice: the sum goes on from what is there, and 128 bits carry.
      both((kernels) => kernels[name](at.a, rows, at.bitmap, at.out));
      both((kernels) => kernels[name](at.a, rows, at.bitmap, at.out));
    });
  });
  it.each([
    ["extremesI64", "i64"],
    ["extremesI32", "i32"],
    ["extremesI16", "i16"],
    ["extremesF64", "f64"],
    ["extremesF32", "f32"],
  ] as const)("%s", (name, width) => {
    check(({ rows }, random) => {
      fillColumn(at.a, width, rows, random);
      write((memory) => memory.u8.fill(0, at.out, at.out + 16));
      const seen = both((kernels) => kernels[name](at.a, rows, at.bitmap, 0, at.out));
      fillColumn(at.a, width, rows, random);
      both((kernels) => kernels[name](at.a, rows, at.bitmap, seen > 0 ? 1 : 0, at.out));
    });
  });
});

it("finds the lowest number", () => {
  check(({ rows }, random) => {
    fillColumn(at.a, "i64", rows, random);
    if (rows > 0 && random() < 0.5) {
      const row = Math.floor(random() * rows);
      write((memory) => memory.view.setBigInt64(at.a + 8 * row, -(2n ** 63n), true));
      expect(both((kernels) => kernels.anyLowestI64(at.a, rows))).toBe(true);
    } else both((kernels) => kernels.anyLowestI64(at.a, rows));
  });
});

it("maps groups", () => {
  check(({ rows }, random) => {
    for (let entry = 0; entry < 10; entry++)
      write((memory) => memory.view.setUint32(at.b + 4 * entry, 1000 + entry * 7, true));
    for (let index = 0; index < rows; index++) {
      const group = Math.floor(random() * 10);
      write((memory) => memory.view.setUint32(at.groups + 4 * index, group, true));
    }
    both((kernels) => kernels.mapGroups(at.groups, rows, at.b));
  });
});

interface KeySpec {
  readonly kind: number;
  readonly width: Width | "text";
}
const keySpecs: KeySpec[] = [
  { kind: keyKind.i32, width: "i32" },
  { kind: keyKind.i64, width: "i64" },
  { kind: keyKind.f64, width: "f64" },
  { kind: keyKind.u8, width: "u8" },
  { kind: keyKind.i16, width: "i16" },
  { kind: keyKind.text, width: "text" },
];

/** A table for up to `groupsMax` groups of these keys. */
function makeTable(slots: number, groupsMax: number, keys: number, textBytes: number): void {
  write((memory) => {
    const field = (offset: number, v: number): void => memory.view.setUint32(at.table + offset, v, true);
    memory.u8.fill(0, at.slots, at.slots + 4 * slots);
    field(GroupTable.slots, slots);
    field(GroupTable.groups, 0);
    field(GroupTable.groupsMax, groupsMax);
    field(GroupTable.keys, keys);
    field(GroupTable.slotArea, at.slots);
    field(GroupTable.hashArea, at.hashes);
    field(GroupTable.keyArea, at.keyArea);
    field(GroupTable.nullArea, at.nullArea);
    field(GroupTable.textNext, at.textArea);
    field(GroupTable.textEnd, at.textArea + textBytes);
  });
}
/** Random columns for the keys, at most two; returns nothing but fills `at.keys`. */
function makeKeys(specs: readonly KeySpec[], rows: number, random: () => number): void {
  specs.forEach((spec, index) => {
    const values = index === 0 ? at.a : at.b;
    if (spec.width === "text") fillTexts(values, rows, random);
    else fillColumn(values, spec.width, rows, random);
    const nullable = random() < 0.5;
    const nulls = at.other + 64 * index + index;
    if (nullable) fillBits(nulls, rows, 0.2, random, false);
    write((memory) => {
      const descriptor = at.keys + index * GroupKey.size;
      memory.view.setUint32(descriptor + GroupKey.kind, spec.kind, true);
      memory.view.setUint32(descriptor + GroupKey.values, values, true);
      memory.view.setUint32(descriptor + GroupKey.nulls, nullable ? nulls : 0, true);
      memory.view.setUint32(descriptor + GroupKey.page, at.page, true);
      memory.view.setUint32(descriptor + GroupKey.shift, 0, true);
    });
  });
}
/** What lies behind the kept entries of an output list is no part of the result. */
function wipeTail(count: number, kept: number): void {
  write((memory) => {
    memory.u8.fill(0, at.list + 2 * kept, at.list + 2 * count);
    memory.u8.fill(0, at.groups + 4 * kept, at.groups + 4 * count);
  });
}

describe("groups", () => {
  it.each(
    keySpecs.flatMap(
      (a) =>
        [
          [a.width, [a]],
          [`${a.width} and text`, [a, keySpecs[5]!]],
        ] as [string, KeySpec[]][],
    ),
  )("finds and looks up %s", (_name, specs) => {
    if (specs.length === 2 && specs[0]!.width === "text") specs = [specs[0]!, keySpecs[0]!];
    check(({ rows }, random) => {
      makeTable(1024, 700, specs.length, 20_000);
      makeKeys(specs, rows, random);
      const listed = both((k) => k.bitmapRows(at.bitmap, rows, at.list));
      const done = both((k) => k.findGroups(at.table, at.keys, at.list, listed, at.groups));
      expect(done).toBe(listed);
      expectSame();
      // Other rows: some have groups, some not; rows with NULL keys never match.
      makeKeys(specs, rows, random);
      both((k) => k.bitmapFill(at.bitmap, rows));
      both((k) => k.bitmapRows(at.bitmap, rows, at.list));
      const kept = both((k) => k.lookupGroups(at.table, at.keys, at.list, rows, at.list, at.groups));
      wipeTail(rows, kept);
    }, 25);
  });

  it("stops at a full table, and goes on after it has grown", () => {
    check(({ rows }, random) => {
      const specs = [keySpecs[5]!];
      makeTable(16, 12, 1, 60);
      makeKeys(specs, rows, random);
      const listed = both((k) => k.bitmapRows(at.bitmap, rows, at.list));
      const done = both((k) => k.findGroups(at.table, at.keys, at.list, listed, at.groups));
      write((memory) => {
        memory.u8.fill(0, at.slots, at.slots + 4 * 1024);
        memory.view.setUint32(at.table + GroupTable.slots, 1024, true);
        memory.view.setUint32(at.table + GroupTable.groupsMax, 700, true);
        memory.view.setUint32(at.table + GroupTable.textEnd, at.textArea + 20_000, true);
      });
      both((k) => k.rehashGroups(at.table));
      const rest = both((k) =>
        k.findGroups(at.table, at.keys, at.list + 2 * done, listed - done, at.groups + 4 * done),
      );
      expect(done + rest).toBe(listed);
    });
  });

  it("looks integer keys up in a dense array", () => {
    check(({ rows }, random) => {
      const wide = random() < 0.5;
      fillColumn(at.a, wide ? "i64" : "i32", rows, random);
      const nullable = random() < 0.5;
      if (nullable) fillBits(at.other, rows, 0.2, random, false);
      for (let place = 0; place < 5; place++)
        write((memory) => memory.view.setUint32(at.b + 4 * place, place === 2 ? 0 : 100 + place, true));
      both((k) => k.bitmapFill(at.bitmap, rows));
      both((k) => k.bitmapRows(at.bitmap, rows, at.list));
      const kept = both((k) =>
        k.lookupDense(
          at.a,
          wide ? 1 : 0,
          nullable ? at.other : 0,
          at.list,
          rows,
          low32(-2n),
          -1,
          5,
          at.b,
          at.list,
          at.groups,
        ),
      );
      wipeTail(rows, kept);
    });
  });

  it("accumulates counts, sums and extremes by group", () => {
    check(({ rows }, random) => {
      const groups = 1 + Math.floor(random() * 9);
      write((memory) => memory.u8.fill(0, at.accumulators, at.accumulators + 4096));
      fillBits(at.other, rows, 0.3, random, false);
      const listed = both((k) => k.bitmapRows(at.bitmap, rows, at.list));
      for (let index = 0; index < listed; index++) {
        const group = Math.floor(random() * groups);
        write((memory) => memory.view.setUint32(at.groups + 4 * index, group, true));
      }
      const nulls = random() < 0.5 ? at.other : 0;
      both((k) => k.groupCount(at.groups, listed, at.accumulators));
      both((k) => k.groupCountNotNull(at.list, at.groups, listed, at.other, at.accumulators + 100));
      let into = at.accumulators + 200;
      for (const [name, width] of [
        ["groupSumI64", "i64"],
        ["groupSumI32", "i32"],
        ["groupSumI16", "i16"],
        ["groupSumF64", "f64"],
      ] as const) {
        fillColumn(at.a, width, rows, random);
        both((k) => k[name](at.a, nulls, at.list, at.groups, listed, into));
        into += 300;
      }
      for (const [name, width] of [
        ["groupExtremeI64", "i64"],
        ["groupExtremeI32", "i32"],
        ["groupExtremeI16", "i16"],
        ["groupExtremeF64", "f64"],
        ["groupExtremeF32", "f32"],
      ] as const) {
        fillColumn(at.a, width, rows, random);
        for (const sign of [orderBits.less, orderBits.greater]) {
          both((k) => k[name](at.a, nulls, at.list, at.groups, listed, sign, into));
          into += 200;
        }
      }
    });
  });
});
