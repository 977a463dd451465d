/** The engine alone, over a simulated disk: ns per point read, update and insert, ms per scan of 1M rows. */
import { isWait } from "../src/base/wait.js";
import type { RowId, Snapshot } from "../src/mga/contract.js";
import { indexSpec, openTestEngine, tableSpec, types } from "../src/mga/testing.js";
import type { Value } from "../src/model/value.js";

const rc = { isolation: "readCommitted", readOnly: false, lockTimeoutMs: 0 } as const;

async function settled<T>(work: () => T): Promise<T> {
  for (;;) {
    try {
      return work();
    } catch (thrown) {
      if (!isWait(thrown)) throw thrown;
      await thrown.ready;
    }
  }
}

export interface MgaFigures {
  readonly insertNs: number;
  readonly insertIndexedNs: number;
  readonly pointReadNs: number;
  readonly updateNs: number;
  readonly scan3ColumnsMs: number;
  readonly scanWithTextMs: number;
  readonly countMs: number;
  readonly scanAfterUpdatesMs: number;
  readonly rowsPerPage: number;
}

export async function run(rows = 1_000_000): Promise<MgaFigures> {
  const { engine } = openTestEngine({ frames: 16384 });
  const columns = [types.int8, types.int4, types.text, types.float8, types.timestamptz];
  const plain = tableSpec(100, columns);
  const indexed = tableSpec(200, columns, [indexSpec(201, columns, [0], true)]);
  engine.createTable(plain);
  engine.createTable(indexed);
  const table = engine.table(plain);
  const keyed = engine.table(indexed);
  const regions = Array.from({ length: 100 }, (_, n) =>
    `region ${n} of the northern hemisphere`.slice(0, 20 + (n % 16)),
  );
  const row: Value[] = [0, 0, "", 0, 0];
  const fill = (n: number): Value[] => {
    row[0] = n;
    row[1] = (n * 7919) % 10000;
    row[2] = regions[n % 100]!;
    row[3] = n * 0.5;
    row[4] = 1e15 + n;
    return row;
  };
  const ids: RowId[] = [];
  const time = async (count: number, work: (n: number) => void): Promise<number> => {
    const started = performance.now();
    let waited = 0;
    for (let n = 0; n < count; n++) {
      try {
        work(n);
      } catch (thrown) {
        if (!isWait(thrown)) throw thrown;
        // Time of the simulated disk and its journal is not the engine's.
        const from = performance.now();
        await thrown.ready;
        waited += performance.now() - from;
        n--;
      }
    }
    return ((performance.now() - started - waited) * 1e6) / count;
  };
  const t = engine.begin(rc);
  const insertNs = await time(rows, (n) => table.insert(t, fill(n)));
  await engine.commit(t);
  const u = engine.begin(rc);
  const indexedRows = rows / 4;
  const insertIndexedNs = await time(indexedRows, (n) => {
    ids[n] = keyed.insert(u, fill(n));
  });
  await engine.commit(u);

  const reader = engine.begin(rc);
  const look = (): Snapshot => engine.statementSnapshot(reader);
  const key: Value[] = [0];
  const range = { lower: key, lowerInclusive: true, upper: key, upperInclusive: true };
  const cells: Value[][] = columns.map(() => []);
  const all = columns.map((_, column) => column);
  const found: RowId[] = [];
  let snapshot = look();
  const readOnce = (n: number): void => {
    key[0] = (n * 104729) % indexedRows;
    const scan = keyed.indexScan(snapshot, 201, range, false);
    if (scan.next(found, 1) !== 1 || !keyed.read(snapshot, found[0]!, all, cells, 0))
      throw new Error("row not found");
  };
  await time(20_000, readOnce);
  const pointReadNs = await time(200_000, readOnce);

  const scanOf = async (wanted: readonly number[], count: boolean): Promise<number> => {
    let best = Number.POSITIVE_INFINITY;
    for (let turn = 0; turn < 7; turn++) {
      const into: Value[][] = wanted.map(() => []);
      const started = performance.now();
      const scan = table.scan(snapshot);
      let seen = 0;
      while (await settledNext(scan))
        seen += count ? scan.visibleCount : scan.materialize(wanted, into, 0, undefined);
      if (seen !== rows) throw new Error(`${seen} rows seen`);
      best = Math.min(best, performance.now() - started);
    }
    return best;
  };
  const settledNext = (scan: { next(): boolean }): boolean | Promise<boolean> => {
    try {
      return scan.next();
    } catch (thrown) {
      if (!isWait(thrown)) throw thrown;
      return settled(() => scan.next());
    }
  };
  const countMs = await scanOf([], true);
  const scan3ColumnsMs = await scanOf([0, 1, 3], false);
  const scanWithTextMs = await scanOf([0, 1, 2], false);
  engine.releaseSnapshot(reader);

  const w = engine.begin(rc);
  const change = [1];
  const value: Value[] = [0];
  const writeSnapshot = engine.statementSnapshot(w);
  const updates = indexedRows / 4;
  const updateNs = await time(updates, (n) => {
    value[0] = n;
    keyed.update(w, writeSnapshot, ids[(n * 7919) % indexedRows]!, change, value);
  });
  engine.releaseSnapshot(w);
  await engine.commit(w);
  snapshot = look();
  const started = performance.now();
  const into: Value[][] = [[], [], []];
  const scan = keyed.scan(snapshot);
  while (scan.next()) scan.materialize([0, 1, 3], into, 0, undefined);
  const scanAfterUpdatesMs = ((performance.now() - started) * rows) / indexedRows;
  return {
    insertNs,
    insertIndexedNs,
    pointReadNs,
    updateNs,
    scan3ColumnsMs,
    scanWithTextMs,
    countMs,
    scanAfterUpdatesMs,
    rowsPerPage: rows / table.pageCount,
  };
}
