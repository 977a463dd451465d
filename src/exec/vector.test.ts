/**
 * Vector operators against the row operators: the same plan, the same snapshot, over tables with a past (updates seen and
 * not seen, deletes, columns added later, long texts), on small pages.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RowId, Transaction } from "../mga/contract.js";
import type { TypeRef } from "../model/schema.js";
import { Numeric, type Value } from "../model/value.js";
import type { Operator } from "./contract.js";
import { VectorAggregate } from "./vector-aggregate.js";
import { VectorHashJoin } from "./vector-hash-join.js";
import { Arena } from "./vector-memory.js";
import { VectorSeqScan } from "./vector-scan.js";
import { VectorDatabase } from "./vector-testing.js";
import { VectorTopN } from "./vector-top.js";

const numeric: TypeRef = { oid: 1700, typmod: ((12 << 16) | 2) + 4 };
const type = (oid: number): TypeRef => ({ oid, typmod: -1 });
const columns = [
  { name: "i4", type: type(23) },
  { name: "i8", type: type(20) },
  { name: "i2", type: type(21) },
  { name: "f8", type: type(701) },
  { name: "f4", type: type(700) },
  { name: "b", type: type(16) },
  { name: "t", type: type(25) },
  { name: "v", type: type(1043) },
  { name: "n", type: numeric },
  { name: "d", type: type(1082) },
  { name: "ts", type: type(1114) },
  { name: "k", type: type(23) },
];

function randomOf(seed: number): () => number {
  let state = (seed * 2 + 1) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Shape {
  readonly seed: number;
  readonly nulls: number;
  /** NaN, infinities, numbers at the ends of their range, long texts, a column added later. */
  readonly odd: boolean;
  /** 64: pages come and go, so that scans wait. */
  readonly frames: number;
}

function rowOf(random: () => number, { nulls, odd }: Shape): Value[] {
  const pick = <T>(...values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const small = (n: number): number => Math.floor(random() * n);
  const row: Value[] = [
    small(9) - 4,
    odd && random() < 0.1 ? pick<Value>(9223372036854775807n, -9223372036854775808n, 2 ** 40) : small(9) - 4,
    small(7) - 3,
    odd && random() < 0.05 ? pick(Number.NaN, Number.POSITIVE_INFINITY, -1e300) : (small(40) - 20) / 4,
    odd && random() < 0.05 ? pick(Number.NaN, Number.NEGATIVE_INFINITY) : (small(40) - 20) / 4,
    random() < 0.5,
    odd && random() < 0.02
      ? "long ".repeat(900)
      : pick("", "a", "b", "grün", "text of some length", "text of some other length"),
    pick("", "x", "y"),
    odd && random() < 0.02 ? new Numeric(0, 0, "NaN") : new Numeric(small(2000) - 1000, 2),
    odd && random() < 0.1 ? pick(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY) : 8000 + small(6),
    odd && random() < 0.1 ? Number.POSITIVE_INFINITY : 700_000_000_000_000 + small(5) * 3_600_000_000,
    small(30),
  ];
  return row.map((value) => (random() < nulls ? null : value));
}

/** A table with a past, and snapshots from along it. */
async function build(
  shape: Shape,
  rows: number,
): Promise<{ database: VectorDatabase; readers: Transaction[] }> {
  const random = randomOf(shape.seed);
  const database = new VectorDatabase({
    pageSize: 8192,
    frames: 512,
    arenaBytes: 4 << 20,
    groupBytes: 1 << 20,
  });
  database.createTable("f", columns, 100_000);
  database.createTable(
    "dim",
    [
      { name: "id", type: type(23) },
      { name: "tier", type: type(23) },
      { name: "name", type: type(25) },
      { name: "big", type: type(20) },
    ],
    30,
  );
  const writer = database.begin();
  const ids: RowId[] = [];
  const sparse = random() < 0.4;
  for (let id = 0; id < 24; id++) {
    const row = [sparse ? id * 1_000_003 : id, random() < 0.1 ? null : id % 5, `n${id % 3}`, id % 4];
    await database.settled(() => database.table("dim").insert(writer, row));
  }
  const insert = async (count: number, width: number): Promise<void> => {
    for (let n = 0; n < count; n++) {
      const row = rowOf(random, shape);
      if (width > columns.length) row.push(random() < 0.2 ? null : Math.floor(random() * 5));
      ids.push(await database.settled(() => database.table("f").insert(writer, row)));
    }
  };
  await insert(rows >> 1, columns.length);
  await database.engine.commit(writer);
  const readers = [database.begin()];
  await database.settled(() => database.engine.statementSnapshot(readers[0]!));
  if (shape.odd) database.addColumn("f", { name: "late", type: type(23) }, 3);
  const width = columns.length + (shape.odd ? 1 : 0);
  const second = database.begin();
  const changes = random() < 0.3 ? 0 : rows >> 2;
  for (let n = 0; n < changes; n++) {
    const id = ids[Math.floor(random() * ids.length)]!;
    const snapshot = database.engine.statementSnapshot(second);
    if (random() < 0.3) await database.settled(() => database.table("f").delete(second, snapshot, id));
    else {
      const row = rowOf(random, shape);
      const column = Math.floor(random() * columns.length);
      await database.settled(() =>
        database.table("f").update(second, snapshot, id, [column], [row[column]!]),
      );
    }
  }
  for (let n = 0; n < rows >> 1; n++) {
    const row = rowOf(random, shape);
    if (width > columns.length) row.push(random() < 0.2 ? null : Math.floor(random() * 5));
    await database.settled(() => database.table("f").insert(second, row));
  }
  // Its own view, uncommitted.
  readers.push(second);
  if (random() < 0.7) {
    await database.engine.commit(second);
    readers[1] = database.begin();
  }
  return { database, readers };
}

const conditions = [
  "i4 > 0",
  "i4 between -2 and 2",
  "i4 <> 1",
  "2 >= i4",
  "i8 = 2",
  "i8 < 3000000000",
  "i8 > -9223372036854775808",
  "i2 <= 1",
  "i2 = any (array[1, 2, -3]::int2[])",
  "i4 in (1, 3, -4)",
  "f8 < 1.5",
  "f8 >= 'NaN'",
  "f8 <> 'NaN'",
  "f8 > 0 and f8 <= 3",
  "f4 > -1.25",
  "b",
  "not b",
  "b is true",
  "t = 'grün'",
  "t < 'b'",
  "v = 'x'",
  "v <> ''",
  "t in ('a', '', 'zzz')",
  "n < 1.505",
  "n >= 1.50",
  "n = 2.5",
  "n > 'NaN'",
  "n <= 'NaN'",
  "n between -3 and 3.999",
  "n <> 1",
  "d >= '2021-11-28'",
  "d = 'infinity'",
  "d < 'infinity'",
  "ts > '2022-03-08 00:00'",
  "i4 is null",
  "t is not null",
  "i4 = 1 or t = 'a'",
  "i4 < 0 or (b and i8 > 0) or f8 is null",
  "i4 + i2 > 1",
  "length(t) = 1",
  "i4 = k",
  "i4 < null",
  "not (i4 < 2)",
];
const values = [
  "count(*)",
  "count(i4)",
  "count(t)",
  "sum(i4)",
  "sum(i8)",
  "sum(i2)",
  "sum(f8)",
  "sum(n)",
  "avg(i4)",
  "avg(n)",
  "avg(f8)",
  "avg(i8)",
  "min(i4)",
  "max(i8)",
  "min(i2)",
  "max(f8)",
  "min(f4)",
  "max(n)",
  "min(d)",
  "max(ts)",
  "min(ts)",
];
const keys = ["i4", "i8", "i2", "b", "t", "v", "n", "d", "ts", "k", "f8"];
const orders = ["i4", "i8 desc", "n desc nulls last", "f8", "f8 desc", "d desc", "ts nulls first", "i2"];

const some = (list: readonly string[], max: number, min = 0): fc.Arbitrary<string[]> =>
  fc.array(fc.constantFrom(...list), { minLength: min, maxLength: max });
const where = some(conditions, 3).map((parts) =>
  parts.length === 0 ? "" : ` where ${parts.map((p) => `(${p})`).join(" and ")}`,
);
const single = fc.oneof(
  fc.tuple(some(values, 4, 1), where).map(([v, w]) => `select ${v.join(", ")} from f${w}`),
  fc.tuple(some(keys, 3, 1), some(values, 4, 1), where).map(([k, v, w]) => {
    const by = [...new Set(k)].join(", ");
    return `select ${by}, ${v.join(", ")} from f${w} group by ${by}`;
  }),
  fc
    .tuple(where, fc.constantFrom("*", "t, i8", "n, b, f4", "i4 + 1, v"))
    .map(([w, c]) => `select ${c} from f${w}`),
);
const top = fc
  .tuple(some(orders, 2, 1), where, fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 9 }))
  // Every column is an order key or fixed by them, so that ties look alike.
  .map(([o, w, limit, offset]) => {
    const cells = o.map((key) => key.split(" ")[0]!).join(", ");
    return `select ${cells} from f${w} order by ${o.join(", ")} limit ${limit} offset ${offset}`;
  });
const joins = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("join", "left join"),
      some(values, 3, 1),
      fc.constantFrom("tier", "dim.name", "tier, dim.name", "b", "i4, b"),
      where,
    )
    .map(
      ([j, v, by, w]) => `select ${by}, ${v.join(", ")} from f ${j} dim on f.k = dim.id${w} group by ${by}`,
    ),
  fc
    .tuple(
      fc.constantFrom("join", "left join"),
      fc.constantFrom("k", "i8", "i2"),
      fc.constantFrom("id", "big"),
      where,
    )
    .map(([j, a, b, w]) => `select count(*), sum(n), min(i4) from f ${j} dim on f.${a} = dim.${b}${w}`),
  fc
    .tuple(fc.constantFrom("join", "left join"), where)
    .map(([j, w]) => `select f.t, f.i8, dim.name, dim.tier from f ${j} dim on f.k = dim.id${w}`),
  fc
    .tuple(fc.constantFrom("exists", "not exists"), where, fc.constantFrom("count(*), sum(i4)", "t, k, n"))
    .map(
      ([e, w, c]) =>
        `select ${c} from f${w === "" ? " where" : `${w} and`} ${e} (select 1 from dim where dim.id = f.k)`,
    ),
  where.map((w) => `select count(*) from f join dim on f.k = dim.id and f.t = dim.name${w}`),
);

async function same(
  database: VectorDatabase,
  reader: Transaction,
  sql: string,
  ordered: boolean,
): Promise<void> {
  const plan = database.plan(sql);
  const snapshot = await database.settled(() => database.engine.statementSnapshot(reader));
  const run = async (operator: Operator, memoryBytes: number): Promise<string[] | string> => {
    let ticks = 0;
    const slice = { expired: () => ++ticks % 3 === 0 };
    const context = database.context(reader, snapshot, memoryBytes, slice);
    try {
      const rows = await database.rows(operator, plan, context);
      expect(context.memory.usedBytes).toBe(0);
      return ordered ? rows : rows.sort();
    } catch (error) {
      return String(error);
    }
  };
  const expected = await run(database.build(plan, false), 64 << 20);
  // The one error there is: doubles whose squares overflow.
  if (typeof expected === "string") expect(expected).toContain("value out of range: overflow");
  const operator = database.build(plan, true);
  // The second time with hardly any memory: then the row operators take over.
  for (const memoryBytes of [64 << 20, 64 << 10, 64 << 20]) {
    const rows = await run(operator, memoryBytes);
    if (typeof rows === "string" && rows.includes("out of memory")) {
      // Then it is too little for the row operators, too.
      expect(await run(database.build(plan, false), memoryBytes)).toBe(rows);
    } else expect({ sql, rows }).toEqual({ sql, rows: expected });
  }
}

describe("vector operators give what row operators give", () => {
  const shapes = fc.record({
    seed: fc.nat(0xffffff),
    nulls: fc.constantFrom(0, 0.1, 0.5),
    odd: fc.boolean(),
    frames: fc.constantFrom(64, 512),
  });
  it.each([
    ["scans and aggregates", single, false],
    ["top rows", top, true],
    ["joins", joins, false],
  ] as const)("%s", { timeout: 60_000 }, async (_name, queries, ordered) => {
    await fc.assert(
      fc.asyncProperty(
        shapes,
        fc.array(queries, { minLength: 12, maxLength: 12 }),
        fc.integer({ min: 0, max: 700 }),
        async (shape, list, rows) => {
          const { database, readers } = await build(shape, rows);
          const before = database.arenaBytes;
          for (const sql of list) {
            await same(database, readers[list.indexOf(sql) % 2]!, sql, ordered);
            expect(database.arenaBytes).toBe(before);
          }
        },
      ),
      { numRuns: Number(process.env["VECTOR_RUNS"] ?? 12) },
    );
  });
});

describe("what becomes of plans", () => {
  const operatorsIn = (operator: object, found: object[] = []): object[] => {
    found.push(operator);
    for (const key of ["inner", "input"] as const) {
      const inner = (operator as Partial<Record<typeof key, object>>)[key];
      if (inner !== undefined) operatorsIn(inner, found);
    }
    return found;
  };
  it.each([
    ["select count(*) from f", VectorAggregate, false],
    [
      "select i4, t, sum(n), avg(i8), min(ts) from f where f8 < 3 and length(t) = 1 group by i4, t",
      VectorAggregate,
      false,
    ],
    ["select avg(i4) + 1 from f where i4 in (1, 2) or t = 'a' order by 1", VectorAggregate, false],
    ["select tier, count(*), sum(n) from f join dim on f.k = dim.id group by tier", VectorAggregate, false],
    [
      "select dim.name, count(*) from f left join dim on f.k = dim.id group by dim.name",
      VectorAggregate,
      false,
    ],
    ["select count(*) from f where exists (select 1 from dim where dim.id = f.k)", VectorAggregate, false],
    ["select f.t, dim.name from f join dim on f.k = dim.id", VectorHashJoin, false],
    ["select t, n from f where k = 7", VectorSeqScan, false],
    ["select * from f order by n desc, i4 limit 5", VectorTopN, false],
    // The key is not unique on the build side; the limit is beyond the candidates.
    ["select count(*) from f join dim on f.k = dim.big", VectorAggregate, true],
    ["select i4 from f order by i4 limit 5000", VectorTopN, true],
  ] as const)("%s", async (sql, expected, usesRows) => {
    const { database, readers } = await build({ seed: 3, nulls: 0.1, odd: false, frames: 512 }, 300);
    const plan = database.plan(sql);
    const root = database.build(plan, true);
    const found = operatorsIn(root).find((operator) => operator instanceof expected);
    expect(found).toBeDefined();
    const snapshot = await database.settled(() => database.engine.statementSnapshot(readers[1]!));
    await database.rows(root, plan, database.context(readers[1]!, snapshot));
    if (!(found instanceof VectorSeqScan)) expect((found as VectorAggregate).usesRows).toBe(usesRows);
  });
});

describe("the arena", () => {
  it("gives blocks that do not overlap, and joins what comes back", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 5000 })), { maxLength: 100 }),
        (steps) => {
          const arena = new Arena({ start: 1000, bytes: 65_536 });
          const blocks = new Map<number, number>();
          for (const [take, size] of steps) {
            if (take) {
              const at = arena.allocate(size);
              if (at === 0) continue;
              expect(at >= 1000 && at + size <= 66_536).toBe(true);
              for (const [other, bytes] of blocks)
                expect(at + size <= other || other + bytes <= at).toBe(true);
              blocks.set(at, size);
            } else {
              const first = [...blocks.keys()][size % Math.max(1, blocks.size)];
              if (first === undefined) continue;
              arena.free(first);
              blocks.delete(first);
            }
          }
          for (const at of blocks.keys()) arena.free(at);
          expect(arena.usedBytes).toBe(0);
          expect(arena.allocate(64_000)).toBeGreaterThan(0);
        },
      ),
    );
  });
});
