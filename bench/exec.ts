/**
 * The row executor alone, over an engine of plain arrays: what operators cost per row, and what one execution of a small
 * cached plan costs beyond the engine's own work.
 */

import { buildPlan, type Operator } from "../src/exec/index.js";
import {
  aggregates,
  constant,
  estimate,
  int4,
  int8,
  op,
  output,
  param,
  scanOf,
  slot,
  TestDatabase,
} from "../src/exec/testing.js";
import type { Table } from "../src/mga/contract.js";
import type { Batch } from "../src/model/batch.js";
import type { Value } from "../src/model/value.js";
import type { AggregateCall, PlanNode, ScanNode } from "../src/sql/plan.js";

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** A table whose scan copies from columns: the engine's part is a plain loop. */
function columnTable(spec: Table["spec"], rows: readonly (readonly Value[])[], indexed: number): Table {
  const pageRows = 256;
  const columns = spec.columns.map((_, c) => rows.map((row) => row[c]!));
  const byKey = new Map(rows.map((row, at) => [row[indexed]!, at]));
  const table = {
    spec,
    pageCount: Math.ceil(rows.length / pageRows),
    rowEstimate: rows.length,
    scan: () => {
      let page = -1;
      return {
        next: () => ++page * pageRows < rows.length,
        materialize: (wanted: readonly number[], into: Value[][], at: number) => {
          const from = page * pageRows;
          const count = Math.min(pageRows, rows.length - from);
          for (let c = 0; c < wanted.length; c++) {
            const source = columns[wanted[c]!]!;
            const target = into[c]!;
            for (let i = 0; i < count; i++) target[at + i] = source[from + i]!;
          }
          return count;
        },
      };
    },
    indexScan: (_snapshot: unknown, _index: number, range: { readonly lower?: readonly Value[] }) => {
      let row = byKey.get(range.lower![0]!) ?? -1;
      return {
        next: (into: number[]) => {
          if (row < 0) return 0;
          into[0] = row;
          row = -1;
          return 1;
        },
      };
    },
    read: (_snapshot: unknown, row: number, wanted: readonly number[], into: Value[][], at: number) => {
      for (let c = 0; c < wanted.length; c++) into[c]![at] = columns[wanted[c]!]![row]!;
      return true;
    },
  };
  return table as unknown as Table;
}

/** Runs for at least `ms` and answers nanoseconds per call of `step`. */
function nanoseconds(step: () => void, ms: number, clock: () => number): number {
  for (let i = 0; i < 3; i++) step();
  let calls = 0;
  const start = clock();
  let now = start;
  while (now - start < ms) {
    step();
    calls++;
    now = clock();
  }
  return ((now - start) * 1e6) / calls;
}

export function run(clock: () => number = () => performance.now()): readonly Figure[] {
  const rowCount = 200_000;
  const database = new TestDatabase();
  const desc = database.createTable("t", [
    { name: "id", type: int4 },
    { name: "k", type: int4 },
    { name: "v", type: int4 },
  ]);
  const indexId = database.createIndex(desc, [0], { unique: true });
  const rows = Array.from({ length: rowCount }, (_, i) => [i, (i * 7919) % 1000, (i * 104729) % 1_000_003]);
  const spec = database.engine.tables.get(desc.id)!.spec;
  const table = columnTable(spec, rows, 0);
  const context = database.context();
  context.table = () => table;

  const drain = (operator: Operator): number => {
    operator.open(context);
    let count = 0;
    for (let batch: Batch | undefined = operator.next(); batch !== undefined; batch = operator.next()) {
      count += batch.length;
    }
    operator.close();
    return count;
  };
  const scan = scanOf(desc);
  const filter = scanOf(desc, { filter: op("<", slot(1), constant(100)) });
  const call = (fn: AggregateCall["fn"], args: AggregateCall["args"]): AggregateCall => ({
    fn,
    args,
    star: args.length === 0,
    distinct: false,
    orderBy: [],
    directArgs: [],
    type: int8,
  });
  const aggregate: PlanNode = {
    kind: "aggregate",
    input: scan,
    strategy: "hash",
    groups: [slot(1)],
    aggregates: [call(aggregates.countAll, []), call(aggregates.sum, [slot(2)])],
    columns: output(int4, int8, int8),
    estimate,
  };
  const join: PlanNode = {
    kind: "hashJoin",
    type: "inner",
    left: scan,
    right: scan,
    leftKeys: [slot(0)],
    rightKeys: [slot(0)],
    columns: output(int4, int4, int4, int4, int4, int4),
    estimate,
  };
  const sort: PlanNode = {
    kind: "sort",
    input: scan,
    keys: [{ expr: slot(2), descending: false, nullsFirst: false }],
    columns: scan.columns,
    estimate,
  };
  const point: PlanNode = {
    kind: "project",
    input: {
      ...(scan as ScanNode & PlanNode),
      kind: "indexScan",
      index: {
        indexId,
        bounds: { equals: [{ kind: "param", type: int4, index: 0 }] },
        backward: false,
      },
    },
    exprs: [slot(0), slot(2)],
    columns: output(int4, int4),
    estimate,
  };
  const inner: PlanNode = {
    ...(scan as ScanNode & PlanNode),
    kind: "indexScan",
    index: { indexId, bounds: { equals: [param(0)] }, backward: false },
  };
  const lookups: PlanNode = {
    kind: "nestedLoop",
    type: "inner",
    left: scan,
    right: inner,
    bindings: [{ id: 0, value: slot(0) }],
    columns: output(int4, int4, int4, int4, int4, int4),
    estimate,
  };
  const figures: Figure[] = [];
  const perRow = (name: string, plan: PlanNode): void => {
    const operator = buildPlan(plan, { catalog: database.catalog, vectorize: false });
    const ns = nanoseconds(() => drain(operator), 400, clock) / rowCount;
    figures.push({ name, value: Math.round(ns * 10) / 10, unit: "ns/row" });
  };
  perRow("scan", scan);
  perRow("scan and filter", filter);
  perRow("hash aggregate, 1000 groups, count and sum", aggregate);
  perRow("hash join, 200k x 200k on a unique int", join);
  perRow("sort by int", sort);
  perRow("nested loop of index look-ups", lookups);

  const one = buildPlan(point, { catalog: database.catalog, vectorize: false });
  const params: Value[] = [0];
  context.params = params;
  const ns = nanoseconds(
    () => {
      for (let i = 0; i < 1000; i++) {
        params[0] = (i * 7919) % rowCount;
        drain(one);
      }
    },
    400,
    clock,
  );
  figures.push({ name: "one-row plan, opened, run and closed", value: Math.round(ns / 1000), unit: "ns" });
  const build = nanoseconds(() => void buildPlan(point, { catalog: database.catalog }), 200, clock);
  figures.push({ name: "the same plan, built", value: Math.round(build), unit: "ns" });
  return figures;
}
