/**
 * The cost model, in PostgreSQL's units: one sequential page read is 1.
 *
 * Random reads cost less than on its spinning-disk default, because pages live in the pool (D4). Every function is pure;
 * estimates are finite and never negative.
 */

export const seqPageCost = 1;
export const randomPageCost = 1.5;
/** A page of a look-up by a whole unique key: the one leaf and the one data page, mostly in the pool already. */
export const lookUpPageCost = 0.3;
export const cpuTupleCost = 0.01;
export const cpuIndexTupleCost = 0.005;
export const cpuOperatorCost = 0.0025;

export interface Cost {
  readonly startup: number;
  readonly total: number;
}

export function clampRows(rows: number): number {
  if (!(rows > 1)) return 1;
  return rows > 1e100 ? 1e100 : Math.round(rows);
}

export function seqScanCost(pages: number, rows: number, qualCost: number): Cost {
  return { startup: 0, total: pages * seqPageCost + rows * (cpuTupleCost + qualCost) };
}

/** Heap pages touched by `tuples` random fetches of a table of `pages` (Mackert and Lohman, without cache limit). */
export function pagesFetched(tuples: number, pages: number): number {
  const total = Math.max(pages, 1);
  const fetched = (2 * total * tuples) / (2 * total + tuples);
  return Math.min(fetched, total);
}

export interface IndexCostInput {
  readonly tableRows: number;
  readonly tablePages: number;
  /** Fraction of the index that is read. */
  readonly indexSelectivity: number;
  /** Correlation of key order and row order, -1 to 1. */
  readonly correlation: number;
  /** Descents: more than one for IN lists. */
  readonly probes: number;
  /** Expected repetitions of the scan, as the inner side of a loop. */
  readonly loops: number;
  /** At most one row has the key. */
  readonly single?: boolean;
  readonly boundCost: number;
  readonly filterCost: number;
}

export function indexScanCost(input: IndexCostInput): Cost {
  const { tableRows, tablePages, indexSelectivity, loops } = input;
  const tuples = Math.max(1, tableRows * indexSelectivity);
  const indexPages = Math.max(1, Math.ceil(tableRows / 300));
  const height = indexPages > 1 ? Math.max(1, Math.ceil(Math.log(indexPages) / Math.log(200))) : 0;
  const descent =
    input.probes *
    (Math.ceil(Math.log2(Math.max(2, tableRows))) * cpuOperatorCost + (height + 1) * 50 * cpuOperatorCost);
  const cpu = tuples * (cpuIndexTupleCost + input.boundCost) + tuples * (cpuTupleCost + input.filterCost);
  if (input.single === true && loops === 1 && input.probes === 1)
    return { startup: descent, total: descent + 2 * lookUpPageCost + cpu };
  const leafPages = Math.max(1, Math.ceil(indexPages * indexSelectivity));
  const leafIo = (pagesFetched(leafPages * input.probes * loops, indexPages) * randomPageCost) / loops;
  const maxIo = (pagesFetched(tuples * loops, tablePages) * randomPageCost) / loops;
  const minPages = Math.ceil(indexSelectivity * tablePages);
  const minIo = minPages <= 0 ? 0 : Math.min(maxIo, randomPageCost + (minPages - 1) * seqPageCost);
  const squared = input.correlation * input.correlation;
  const heapIo = maxIo + squared * (minIo - maxIo);
  return { startup: descent, total: descent + leafIo + heapIo + cpu };
}

/** Sorting `rows` rows; with a limit only that many are kept in a heap. */
export function sortCost(input: Cost, rows: number, limitRows?: number | undefined): Cost {
  const compares = 2 * cpuOperatorCost;
  const n = Math.max(2, rows);
  const kept = limitRows === undefined || limitRows >= n ? n : Math.max(2, limitRows * 2);
  const startup = input.total + compares * n * Math.log2(kept);
  return {
    startup,
    total: startup + cpuOperatorCost * (limitRows === undefined ? n : Math.min(n, limitRows)),
  };
}

export function hashJoinCost(
  outer: Cost,
  outerRows: number,
  inner: Cost,
  innerRows: number,
  innerWidth: number,
  keys: number,
  outputRows: number,
  qualCost: number,
): Cost {
  const startup = outer.startup + inner.total + innerRows * (keys * cpuOperatorCost + cpuTupleCost);
  // A table beyond work memory costs writing and reading both sides once.
  const innerPages = (innerRows * innerWidth) / 8192;
  const spill = innerPages > 8192 ? 2 * innerPages * seqPageCost : 0;
  const total =
    startup +
    (outer.total - outer.startup) +
    outerRows * keys * cpuOperatorCost +
    outputRows * (cpuTupleCost + qualCost) +
    spill;
  return { startup, total };
}

export function mergeJoinCost(
  outer: Cost,
  outerRows: number,
  inner: Cost,
  innerRows: number,
  outputRows: number,
  qualCost: number,
): Cost {
  const startup = outer.startup + inner.startup;
  return {
    startup,
    total:
      outer.total +
      inner.total +
      (outerRows + innerRows) * cpuOperatorCost * 2 +
      outputRows * (cpuTupleCost + qualCost),
  };
}

/** `rescan` is the cost of one further run of the inner side. */
export function nestedLoopCost(
  outer: Cost,
  outerRows: number,
  inner: Cost,
  rescan: number,
  pairs: number,
  outputRows: number,
  qualCost: number,
): Cost {
  return {
    startup: outer.startup + inner.startup,
    total:
      outer.total +
      inner.total +
      Math.max(0, outerRows - 1) * rescan +
      pairs * qualCost +
      Math.max(outputRows, outerRows * 0.1) * cpuTupleCost,
  };
}

/** Reading a materialised result of `rows` again. */
export function rematerializeCost(rows: number, width: number): number {
  const pages = (rows * width) / 8192;
  return rows * cpuOperatorCost + (pages > 4096 ? pages * seqPageCost : 0);
}

export function hashAggregateCost(
  input: Cost,
  inputRows: number,
  groups: number,
  keys: number,
  calls: number,
): Cost {
  const startup = input.total + inputRows * (keys + calls) * cpuOperatorCost;
  return { startup, total: startup + groups * (cpuTupleCost + calls * cpuOperatorCost) };
}

export function sortedAggregateCost(
  input: Cost,
  inputRows: number,
  groups: number,
  keys: number,
  calls: number,
): Cost {
  return {
    startup: input.startup,
    total:
      input.total +
      inputRows * (keys + calls) * cpuOperatorCost +
      groups * (cpuTupleCost + calls * cpuOperatorCost),
  };
}
