/**
 * ANALYZE: what the planner should know of a table's columns, from a sample of its pages.
 *
 * The sample is every n-th page, about `sampleRows` rows. Distinct values are estimated by the Duj1 estimator (Haas and
 * Stokes 1998, as PostgreSQL uses it); most common values are those clearly above the average; the rest becomes an
 * equi-depth histogram.
 */

import { isWait } from "../base/wait.js";
import type { Snapshot, Table } from "../mga/contract.js";
import type { ColumnStatistics, StatisticsDesc, TableDesc } from "../model/schema.js";
import { compareOf, isOrdered, typeOutput } from "../model/types.js";
import type { Value } from "../model/value.js";

const sampleRows = 30_000;
const targets = 100;
/** Wider values are counted but kept out of lists: statistics stay small. */
const widthMax = 1024;

export interface AnalyzeOptions {
  readonly table: TableDesc;
  readonly rows: Table;
  readonly snapshot: Snapshot;
  readonly id: number;
  /** Microseconds since 2000-01-01. */
  readonly now: number;
  readonly breathe: () => Promise<void>;
}

export async function analyzeTable(options: AnalyzeOptions): Promise<StatisticsDesc> {
  const { table, rows, snapshot } = options;
  const columns: number[] = [];
  table.columns.forEach((column, place) => {
    if (column.dropped !== true) columns.push(place);
  });
  const estimate = Math.max(rows.rowEstimate, 1);
  const stride = Math.max(1, Math.floor(estimate / sampleRows));
  const sample: Value[][] = columns.map(() => []);
  const scan = rows.scan(snapshot);
  let pages = 0;
  let sampled = 0;
  let total = 0;
  for (;;) {
    try {
      if (!scan.next()) break;
    } catch (thrown) {
      if (!isWait(thrown)) throw thrown;
      await thrown.ready;
      continue;
    }
    total += scan.visibleCount;
    if (pages % stride === 0) sampled += scan.materialize(columns, sample, sampled, undefined);
    pages++;
    if (pages % 4 === 0) await options.breathe();
  }
  const statistics: (ColumnStatistics | null)[] = table.columns.map(() => null);
  for (let at = 0; at < columns.length; at++) {
    const place = columns[at]!;
    sample[at]!.length = sampled;
    statistics[place] = await columnStatistics(
      table.columns[place]!.type.oid,
      sample[at]!,
      total,
      options.breathe,
    );
    await options.breathe();
  }
  return {
    kind: "statistics",
    id: options.id,
    tableId: table.id,
    rows: total,
    pages,
    columns: statistics,
    analyzedAt: options.now,
  };
}

function widthOf(value: Value): number {
  switch (typeof value) {
    case "string":
      return value.length + 1;
    case "number":
    case "bigint":
      return 8;
    case "boolean":
      return 1;
    default:
      return value instanceof Uint8Array ? value.length + 1 : 16;
  }
}

async function columnStatistics(
  typeOid: number,
  values: readonly Value[],
  totalRows: number,
  breathe: () => Promise<void>,
): Promise<ColumnStatistics | null> {
  // json and its like have no order: only widths and NULLs are known of them.
  const order = isOrdered(typeOid) ? compareOf(typeOid) : undefined;
  let present: Sampled[] = [];
  let width = 0;
  for (const value of values) {
    if (value === null) continue;
    width += widthOf(value);
    present.push({ value, place: present.length });
  }
  const sampled = values.length;
  if (sampled === 0) return null;
  const nullFraction = 1 - present.length / sampled;
  const averageWidth = present.length === 0 ? 0 : Math.round(width / present.length);
  if (present.length === 0 || order === undefined) {
    return {
      nullFraction,
      averageWidth,
      distinct: present.length === 0 ? 0 : -0.5,
      mostCommon: [],
      histogram: [],
      correlation: 0,
    };
  }
  present = await sortInSteps(present, (a, b) => order(a.value, b.value) || a.place - b.place, breathe);
  const groups: { first: number; count: number }[] = [];
  for (let at = 0; at < present.length; at++) {
    const last = groups.at(-1);
    if (last !== undefined && order(present[last.first]!.value, present[at]!.value) === 0) last.count++;
    else groups.push({ first: at, count: 1 });
  }
  const distinct = distinctEstimate(groups, present.length, sampled, totalRows);
  const text = (at: number): string => typeOutput(typeOid, present[at]!.value);
  const common = mostCommon(groups, present.length).filter(
    (group) => widthOf(present[group.first]!.value) <= widthMax,
  );
  const commonFirsts = new Set(common.map((group) => group.first));
  const rest: number[] = [];
  for (const group of groups) {
    if (commonFirsts.has(group.first) || widthOf(present[group.first]!.value) > widthMax) continue;
    for (let at = 0; at < group.count; at++) rest.push(group.first + at);
  }
  const histogram: string[] = [];
  const restDistinct = groups.length - common.length;
  if (restDistinct >= 2) {
    const buckets = Math.min(targets, restDistinct - 1);
    for (let bucket = 0; bucket <= buckets; bucket++)
      histogram.push(text(rest[Math.floor((bucket * (rest.length - 1)) / buckets)]!));
  }
  return {
    nullFraction,
    averageWidth,
    distinct,
    mostCommon: common.map((group) => [text(group.first), group.count / sampled] as const),
    histogram,
    correlation: correlation(present),
  };
}

/** A value of the sample and its rank by position. */
interface Sampled {
  readonly value: Value;
  readonly place: number;
}

const stepItems = 1024;

/** Merge sort that lets others have the loop after every thousand items or so. */
async function sortInSteps<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
  breathe: () => Promise<void>,
): Promise<T[]> {
  let from: T[] = [];
  for (let at = 0; at < items.length; at += stepItems) {
    for (const item of items.slice(at, at + stepItems).sort(compare)) from.push(item);
    await breathe();
  }
  for (let run = stepItems; run < items.length; run *= 2) {
    const into: T[] = [];
    for (let start = 0; start < from.length; start += 2 * run) {
      const middle = Math.min(start + run, from.length);
      const end = Math.min(middle + run, from.length);
      let left = start;
      let right = middle;
      while (left < middle || right < end) {
        const takeLeft = right >= end || (left < middle && compare(from[left]!, from[right]!) <= 0);
        into.push(takeLeft ? from[left++]! : from[right++]!);
        if (into.length % stepItems === 0) await breathe();
      }
    }
    from = into;
  }
  return from;
}

function distinctEstimate(
  groups: readonly { count: number }[],
  present: number,
  sampled: number,
  totalRows: number,
): number {
  const d = groups.length;
  const once = groups.filter((group) => group.count === 1).length;
  if (once === present) return -(present / sampled);
  if (once === 0 || sampled >= totalRows) return asDistinct(d, totalRows);
  const n = present;
  const rows = totalRows * (present / sampled);
  const estimate = (n * d) / (n - once + (once * n) / rows);
  return asDistinct(Math.min(Math.max(Math.round(estimate), d), rows), totalRows);
}

/** Counts that grow with the table are told as a fraction of it. */
function asDistinct(count: number, totalRows: number): number {
  return count > 0.1 * totalRows ? -(count / Math.max(totalRows, 1)) : count;
}

function mostCommon(
  groups: readonly { first: number; count: number }[],
  present: number,
): { first: number; count: number }[] {
  // All values, when there are few: then the list is the whole truth.
  if (groups.length <= targets && groups.every((group) => group.count > 1))
    return [...groups].sort((a, b) => b.count - a.count || a.first - b.first);
  const average = present / groups.length;
  return groups
    .filter((group) => group.count > 1 && group.count > average * 1.25)
    .sort((a, b) => b.count - a.count || a.first - b.first)
    .slice(0, targets);
}

/** Between physical position and value order, Pearson's coefficient over ranks. */
function correlation(sorted: readonly { readonly place: number }[]): number {
  const n = sorted.length;
  if (n < 2) return 1;
  let sumPlace = 0;
  let sumPlaceSquare = 0;
  let product = 0;
  for (let rank = 0; rank < n; rank++) {
    const { place } = sorted[rank]!;
    sumPlace += place;
    sumPlaceSquare += place * place;
    product += rank * place;
  }
  const mean = sumPlace / n;
  const variance = sumPlaceSquare / n - mean * mean;
  return variance === 0 ? 1 : (product / n - mean * mean) / variance;
}
