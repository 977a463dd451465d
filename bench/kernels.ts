/**
 * What the kernels gain over their TypeScript twins, and what a scan of a million rows costs in kernels alone: pages of
 * 232 rows laid out as in storage/heap.ts, in random frame order. Figures are medians; twins run over fewer rows.
 */
import {
  accumulatorBytes,
  EngineMemory,
  GroupKey,
  GroupTable,
  type Kernels,
  keyKind,
  loadKernels,
  orderBits,
  twinKernels,
} from "../src/wasm/index.js";
import { kernelBytes } from "../src/wasm/testing.js";

const pageSize = 16_384;
const rowsPerPage = 232;
const pages = 4_311;
const rows = rowsPerPage * pages;
const twinPages = 40;

/** Column places, as multiples of the capacity behind the page head. */
const column = { id: 0, amount: 8, cust: 16, writer: 20, region: 28 } as const;
const place = (page: number, offset: number): number => page + 128 + rowsPerPage * offset;

export interface BenchLine {
  readonly name: string;
  /** Milliseconds per million rows (or nanoseconds per call where the name says so). */
  readonly wasm: number;
  readonly twin: number;
}

function median(run: () => void, times: number): number {
  const took: number[] = [];
  for (let n = 0; n < times; n++) {
    const start = performance.now();
    run();
    took.push(performance.now() - start);
  }
  took.sort((a, b) => a - b);
  return took[times >> 1]!;
}

/** A table's pages, with random but repeatable content; returns their addresses in scan order. */
function build(memory: EngineMemory): number[] {
  let state = 7;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const order = Array.from({ length: pages }, (_, n) => n);
  for (let n = pages - 1; n > 0; n--) {
    const other = Math.floor(random() * (n + 1));
    [order[n], order[other]] = [order[other]!, order[n]!];
  }
  const regions = Array.from({ length: 100 }, (_, n) =>
    Buffer.from(`region number ${n} ${"x".repeat(n % 24)}`),
  );
  const addresses = order.map((frame) => memory.frames.start + frame * pageSize);
  let id = 0;
  for (const page of addresses) {
    let heap = pageSize;
    for (let row = 0; row < rowsPerPage; row++) {
      const amount = Math.floor(random() * 1_000_000);
      memory.view.setInt32(place(page, column.id) + 8 * row, id++, true);
      memory.view.setInt32(place(page, column.amount) + 8 * row, amount, true);
      memory.view.setInt32(place(page, column.cust) + 4 * row, Math.floor(random() * 10_000), true);
      memory.view.setUint32(place(page, column.writer) + 4 * row, row & 7, true);
      const text = regions[Math.floor(random() * 100)]!;
      heap -= text.length;
      memory.u8.set(text, page + heap);
      memory.view.setUint16(place(page, column.region) + 4 * row, heap, true);
      memory.view.setUint16(place(page, column.region) + 4 * row + 2, text.length, true);
    }
  }
  return addresses;
}

/** The arena's use in this benchmark. */
interface Work {
  readonly bitmap: number;
  readonly list: number;
  readonly outList: number;
  readonly groups: number;
  readonly sum: number;
  readonly table: number;
  readonly key: number;
  readonly accumulators: number;
  readonly dense: number;
}

function makeTable(memory: EngineMemory, work: Work, slots: number, base: number): void {
  const { view } = memory;
  const field = (offset: number, value: number): void => view.setUint32(work.table + offset, value, true);
  memory.u8.fill(0, base, base + 4 * slots);
  field(GroupTable.slots, slots);
  field(GroupTable.groups, 0);
  field(GroupTable.groupsMax, slots >> 1);
  field(GroupTable.keys, 1);
  field(GroupTable.slotArea, base);
  field(GroupTable.hashArea, base + 4 * slots);
  field(GroupTable.nullArea, base + 8 * slots);
  field(GroupTable.keyArea, base + 12 * slots);
  field(GroupTable.textNext, base + 20 * slots);
  field(GroupTable.textEnd, base + 20 * slots + 65_536);
}

function setKey(memory: EngineMemory, work: Work, kind: number, values: number, page: number): void {
  memory.view.setUint32(work.key + GroupKey.kind, kind, true);
  memory.view.setUint32(work.key + GroupKey.values, values, true);
  memory.view.setUint32(work.key + GroupKey.nulls, 0, true);
  memory.view.setUint32(work.key + GroupKey.page, page, true);
  memory.view.setUint32(work.key + GroupKey.shift, 0, true);
}

/** One query's work per page; `start` prepares a run. */
interface Query {
  readonly name: string;
  readonly start: (memory: EngineMemory, work: Work) => void;
  readonly page: (kernels: Kernels, memory: EngineMemory, work: Work, page: number) => void;
}

const clearSums = (memory: EngineMemory, work: Work): void => {
  memory.u8.fill(0, work.sum, work.sum + 32);
  memory.u8.fill(0, work.accumulators, work.accumulators + 200_000 * accumulatorBytes.sumInteger);
};

const queries: readonly Query[] = [
  {
    name: "count, writers within the bound",
    start: clearSums,
    page: (k, _memory, w, page) => {
      k.bitmapFill(w.bitmap, rowsPerPage);
      k.selectWriters(place(page, column.writer), rowsPerPage, 9, w.bitmap);
      k.bitmapCount(w.bitmap, rowsPerPage);
    },
  },
  {
    name: "filter amount (6 %) and sum",
    start: clearSums,
    page: (k, _memory, w, page) => {
      k.bitmapFill(w.bitmap, rowsPerPage);
      k.rangeI64(place(page, column.amount), rowsPerPage, 0, 0, 58_000, 0, 0, w.bitmap);
      k.sumI64(place(page, column.amount), rowsPerPage, w.bitmap, w.sum);
    },
  },
  {
    name: "sum of all amounts",
    start: clearSums,
    page: (k, _memory, w, page) => {
      k.bitmapFill(w.bitmap, rowsPerPage);
      k.sumI64(place(page, column.amount), rowsPerPage, w.bitmap, w.sum);
    },
  },
  {
    name: "least and greatest amount",
    start: clearSums,
    page: (k, _memory, w, page) => {
      k.bitmapFill(w.bitmap, rowsPerPage);
      k.extremesI64(place(page, column.amount), rowsPerPage, w.bitmap, 1, w.sum);
    },
  },
  {
    name: "text equals a constant",
    start: (memory, w) => {
      clearSums(memory, w);
      memory.u8.set(Buffer.from("region number 7 xxxxxxx"), w.sum + 64);
    },
    page: (k, _memory, w, page) => {
      k.bitmapFill(w.bitmap, rowsPerPage);
      k.selectText(
        place(page, column.region),
        page,
        0,
        rowsPerPage,
        w.sum + 64,
        23,
        orderBits.equal,
        w.bitmap,
      );
    },
  },
  {
    name: "group by text (100), sum",
    start: (memory, w) => {
      clearSums(memory, w);
      makeTable(memory, w, 1024, w.dense + 1_000_000);
    },
    page: (k, memory, w, page) => {
      k.bitmapFill(w.bitmap, rowsPerPage);
      const count = k.bitmapRows(w.bitmap, rowsPerPage, w.list);
      setKey(memory, w, keyKind.text, place(page, column.region), page);
      k.findGroups(w.table, w.key, w.list, count, w.groups);
      k.groupSumI64(place(page, column.amount), 0, w.list, w.groups, count, w.accumulators);
    },
  },
  {
    name: "group by int (10 000), sum",
    start: (memory, w) => {
      clearSums(memory, w);
      makeTable(memory, w, 32_768, w.dense + 1_000_000);
    },
    page: (k, memory, w, page) => {
      k.bitmapFill(w.bitmap, rowsPerPage);
      const count = k.bitmapRows(w.bitmap, rowsPerPage, w.list);
      setKey(memory, w, keyKind.i32, place(page, column.cust), page);
      k.findGroups(w.table, w.key, w.list, count, w.groups);
      k.groupSumI64(place(page, column.amount), 0, w.list, w.groups, count, w.accumulators);
    },
  },
  {
    name: "join a dense key (10 000), sum per group",
    start: (memory, w) => {
      clearSums(memory, w);
      for (let n = 0; n < 10_000; n++) memory.view.setUint32(w.dense + 4 * n, 1 + (n % 10), true);
    },
    page: (k, _memory, w, page) => {
      k.bitmapFill(w.bitmap, rowsPerPage);
      const count = k.bitmapRows(w.bitmap, rowsPerPage, w.list);
      const values = place(page, column.cust);
      const kept = k.lookupDense(values, 0, 0, w.list, count, 0, 0, 10_000, w.dense, w.outList, w.groups);
      k.groupSumI64(place(page, column.amount), 0, w.outList, w.groups, kept, w.accumulators);
    },
  },
  {
    name: "top 10, filter by the threshold",
    start: clearSums,
    page: (k, _memory, w, page) => {
      k.bitmapFill(w.bitmap, rowsPerPage);
      k.rangeI64(place(page, column.amount), rowsPerPage, 999_990, 0, 0xffffffff, 0x7fffffff, 0, w.bitmap);
      k.bitmapRows(w.bitmap, rowsPerPage, w.list);
    },
  },
];

export function run(print: (line: string) => void = console.log): BenchLine[] {
  const memory = new EngineMemory({ pageSize, poolBytes: pages * pageSize, arenaBytes: 32 << 20 });
  const addresses = build(memory);
  const wasm = loadKernels(memory, kernelBytes());
  const twin = twinKernels(memory);
  const at = memory.arena.start;
  const work: Work = {
    bitmap: at,
    list: at + 1024,
    outList: at + 16_384,
    groups: at + 32_768,
    sum: at + 65_536,
    table: at + 66_000,
    key: at + 67_000,
    accumulators: at + 70_000,
    dense: at + 70_000 + 200_000 * accumulatorBytes.sumInteger,
  };
  const lines: BenchLine[] = [];
  const report = (line: BenchLine, unit: string): void => {
    lines.push(line);
    print(
      `${line.name.padEnd(44)} ${line.wasm.toFixed(2).padStart(9)} ${unit}   twin ${line.twin.toFixed(1).padStart(9)} (${(line.twin / line.wasm).toFixed(0)}x)`,
    );
  };
  for (const query of queries) {
    const time = (kernels: Kernels, count: number, times: number): number =>
      median(() => {
        query.start(memory, work);
        for (let n = 0; n < count; n++) query.page(kernels, memory, work, addresses[n]!);
      }, times);
    const prepare = median(() => query.start(memory, work), 9);
    report(
      {
        name: query.name,
        wasm: ((time(wasm, pages, 9) - prepare) / rows) * 1e6,
        twin: ((time(twin, twinPages, 3) - prepare) / (twinPages * rowsPerPage)) * 1e6,
      },
      "ms/1M rows",
    );
  }
  const perCall = (call: (page: number) => void, count: number): number =>
    (median(() => {
      for (let n = 0; n < count; n++) call(addresses[n]!);
    }, 3) /
      count) *
    1e6;
  report(
    {
      name: "page checksum, 16 KiB",
      wasm: perCall((page) => wasm.pageChecksumMatches(page, pageSize), pages),
      twin: perCall((page) => twin.pageChecksumMatches(page, pageSize), 20),
    },
    "ns/page   ",
  );
  report(
    {
      name: "XXH3-64 of 16 bytes",
      wasm: perCall((page) => wasm.xxh3_64(page, 16, work.sum), pages),
      twin: perCall((page) => twin.xxh3_64(page, 16, work.sum), 500),
    },
    "ns        ",
  );
  return lines;
}
