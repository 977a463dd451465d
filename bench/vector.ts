/**
 * The analytical queries of the measurements (Q1 to Q5) over a million rows in process, by kernels and by the row
 * operators: milliseconds per execution, the best and the middle of several. No wire, no plan cache, no disk reads.
 */

import { VectorDatabase } from "../src/exec/vector-testing.js";
import type { TypeRef } from "../src/model/schema.js";
import { Numeric, type Value } from "../src/model/value.js";

export interface VectorFigure {
  readonly name: string;
  readonly bestMs: number;
  readonly medianMs: number;
  /** By row operators, once. */
  readonly rowsMs: number;
}

const type = (oid: number): TypeRef => ({ oid, typmod: -1 });
const numeric: TypeRef = { oid: 1700, typmod: ((12 << 16) | 2) + 4 };

export const queries: readonly (readonly [string, string])[] = [
  ["Q1 count(*)", "select count(*) from fact"],
  ["Q2 group by int", "select region, sum(amount) from fact group by region"],
  ["Q2 group by text", "select rtext, count(*), sum(amount) from fact group by rtext"],
  ["Q3 filter and sum", "select count(*), sum(amount) from fact where amount < 100 and ts >= '2024-06-01'"],
  [
    "Q4 join and group",
    "select d.tier, count(*), sum(f.amount) from fact f join dim d on f.cust = d.id group by d.tier",
  ],
  ["Q5 top 10", "select * from fact order by amount desc, id limit 10"],
  ["group by 10 000 keys", "select cust, count(*), sum(amount) from fact group by cust"],
  ["filter to 100 rows", "select id, name from fact where cust = 77"],
  ["filter by text", "select count(*) from fact where rtext = 'region 5 of the northern xxxxx'"],
  ["extremes", "select min(ts), max(id), avg(amount) from fact"],
];

/** A repeatable generator: the figures of two runs are of the same rows. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export async function open(rows: number): Promise<VectorDatabase> {
  const database = new VectorDatabase({ frames: 14_000, arenaBytes: 64 << 20 });
  const random = randomOf(5);
  database.createTable(
    "fact",
    [
      { name: "id", type: type(20) },
      { name: "name", type: type(25) },
      { name: "amount", type: numeric },
      { name: "ts", type: type(1184) },
      { name: "region", type: type(23) },
      { name: "cust", type: type(23) },
      { name: "rtext", type: type(25) },
    ],
    rows,
  );
  database.createTable(
    "dim",
    [
      { name: "id", type: type(23) },
      { name: "tier", type: type(23) },
      { name: "name", type: type(25) },
    ],
    10_000,
  );
  const writer = database.begin();
  const insert = async (name: string, count: number, row: (n: number) => Value[]): Promise<void> => {
    const table = database.table(name);
    for (let n = 0; n < count; n++) {
      const values = row(n);
      await database.settled(() => table.insert(writer, values));
    }
  };
  const start = 757_382_400_000_000;
  await insert("fact", rows, (n) => {
    const region = Math.floor(random() * 100);
    return [
      n,
      `name of item number ${String(Math.floor(random() * 1e9)).padStart(12, "0")}`,
      new Numeric(Math.floor(random() * 100_000), 2),
      start + Math.floor(random() * 366) * 86_400_000_000,
      region,
      Math.floor(random() * 10_000),
      `region ${region} of the northern ${"x".repeat(region % 13)}`,
    ];
  });
  await insert("dim", 10_000, (n) => [n, n % 10, `dim ${n}`]);
  await database.engine.commit(writer);
  return database;
}

export async function run(rows = 1_000_000, times = 15): Promise<VectorFigure[]> {
  const database = await open(rows);
  const reader = database.begin();
  const snapshot = await database.settled(() => database.engine.statementSnapshot(reader));
  const figures: VectorFigure[] = [];
  for (const [name, sql] of queries) {
    const plan = database.plan(sql);
    const time = async (vectorize: boolean, turns: number): Promise<number[]> => {
      const operator = database.build(plan, vectorize);
      const context = database.context(reader, snapshot, 512 << 20);
      const took: number[] = [];
      for (let turn = 0; turn < turns; turn++) {
        const from = performance.now();
        await database.rows(operator, plan, context);
        took.push(performance.now() - from);
      }
      return took.sort((a, b) => a - b);
    };
    const took = await time(true, times);
    const [rowsMs] = await time(false, 1);
    figures.push({ name, bestMs: took[0]!, medianMs: took[took.length >> 1]!, rowsMs: rowsMs! });
  }
  return figures;
}

if (process.argv[1]?.endsWith("vector.ts")) console.table(await run());
