import { describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { isWait, type Wait } from "../base/wait.js";
import type { Value } from "../model/value.js";
import { Interval, Numeric } from "../model/value.js";
import type { Clock, Timer } from "../platform/index.js";
import { SimDisk } from "../sim/disk.js";
import { openTestStorage } from "../storage/testing.js";
import type { EngineMemory } from "../wasm/index.js";
import type { RowId, Snapshot, Table, TableSpec, Transaction } from "./contract.js";
import { EngineCore } from "./engine.js";
import { indexSpec, openTestEngine, tableSpec, types } from "./testing.js";
import { verifyTable } from "./verify.js";

const rc = { isolation: "readCommitted", readOnly: false, lockTimeoutMs: 0 } as const;
const rr = { ...rc, isolation: "repeatableRead" } as const;
const serializable = { ...rc, isolation: "serializable" } as const;

/** Timers run when the test says so. */
class ManualClock implements Clock {
  time = 0;
  #timers: { at: number; run: () => void }[] = [];
  now(): number {
    return this.time;
  }
  monotonic(): number {
    return this.time;
  }
  after(delayMs: number, run: () => void): Timer {
    const timer = { at: this.time + delayMs, run };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((one) => one !== timer);
      },
    };
  }
  async yield(): Promise<void> {}
  advance(ms: number): void {
    this.time += ms;
    for (const timer of this.#timers.filter((one) => one.at <= this.time)) {
      this.#timers = this.#timers.filter((one) => one !== timer);
      timer.run();
    }
  }
}

function statement<T>(engine: EngineCore, transaction: Transaction, work: (snapshot: Snapshot) => T): T {
  const snapshot = engine.statementSnapshot(transaction);
  try {
    return work(snapshot);
  } finally {
    engine.releaseSnapshot(transaction);
  }
}
function waitOf(work: () => unknown): Wait {
  try {
    work();
  } catch (thrown) {
    if (isWait(thrown)) return thrown;
    throw thrown;
  }
  throw new Error("did not wait");
}
async function retrying<T>(work: () => T): Promise<T> {
  for (;;) {
    try {
      return work();
    } catch (thrown) {
      if (!isWait(thrown)) throw thrown;
      await thrown.ready;
    }
  }
}
function scanAll(table: Table, snapshot: Snapshot, width: number): Value[][] {
  const columns = Array.from({ length: width }, (_, column) => column);
  const into: Value[][] = columns.map(() => []);
  let count = 0;
  const scan = table.scan(snapshot);
  while (scan.next()) count += scan.materialize(columns, into, count, undefined);
  return Array.from({ length: count }, (_, row) => into.map((column) => column[row]!));
}
const keyed = [types.int4, types.int4] as const;
function keyedTable(engine: EngineCore): { table: Table; spec: TableSpec } {
  const spec = tableSpec(100, keyed, [indexSpec(101, keyed, [0], true)]);
  engine.createTable(spec);
  return { table: engine.table(spec), spec };
}

describe("row waits", () => {
  it("queue first come first served, and go on when the writer ends", async () => {
    const clock = new ManualClock();
    const { engine } = openTestEngine({}, clock);
    const { table } = keyedTable(engine);
    const first = engine.begin(rc);
    const row = table.insert(first, [1, 0]);
    await engine.commit(first);
    const [a, b, c] = [engine.begin(rc), engine.begin(rc), engine.begin(rc)];
    statement(engine, a, (snapshot) => table.update(a, snapshot, row, [1], [1]));
    const order: string[] = [];
    const bSnapshot = engine.statementSnapshot(b);
    const bWait = waitOf(() => table.update(b, bSnapshot, row, [1], [2])).ready.then(() => order.push("b"));
    const cSnapshot = engine.statementSnapshot(c);
    void waitOf(() => table.update(c, cSnapshot, row, [1], [3])).ready.then(() => order.push("c"));
    await engine.commit(a);
    await bWait;
    expect(order).toEqual(["b"]);
    // A newcomer does not overtake.
    const d = engine.begin(rc);
    waitOf(() => statement(engine, d, (snapshot) => table.update(d, snapshot, row, [1], [4])));
    expect(table.update(b, bSnapshot, row, [1], [2])).toBe("updated");
    // As the executor does before it runs the statement again.
    expect(table.lock(b, engine.newestSnapshot(b), row, "update", false)).toBe("done");
    engine.releaseSnapshot(b);
    expect(statement(engine, b, (snapshot) => table.update(b, snapshot, row, [1], [2]))).toBe("done");
    expect(order).toEqual(["b"]);
    engine.rollback(b);
    engine.rollback(c);
    engine.rollback(d);
    expect(statement(engine, engine.begin(rc), (snapshot) => scanAll(table, snapshot, 2))).toEqual([[1, 1]]);
  });

  it("fail with 40P01 in a cycle, with 55P03 by timeout or NO WAIT", async () => {
    const clock = new ManualClock();
    const { engine } = openTestEngine({}, clock);
    const { table } = keyedTable(engine);
    const first = engine.begin(rc);
    const [x, y] = [table.insert(first, [1, 0]), table.insert(first, [2, 0])];
    await engine.commit(first);
    const [a, b] = [engine.begin(rc), engine.begin(rc)];
    statement(engine, a, (snapshot) => table.update(a, snapshot, x, [1], [1]));
    statement(engine, b, (snapshot) => table.update(b, snapshot, y, [1], [1]));
    const aSnapshot = engine.statementSnapshot(a);
    const aWaits = waitOf(() => table.update(a, aSnapshot, y, [1], [1])).ready;
    clock.advance(500);
    const bSnapshot = engine.statementSnapshot(b);
    const bWaits = waitOf(() => table.update(b, bSnapshot, x, [1], [1])).ready;
    clock.advance(600);
    await expect(bWaits).rejects.toMatchObject({ sqlstate: "40P01" });
    engine.rollback(b);
    await aWaits;
    expect(table.update(a, aSnapshot, y, [1], [1])).toBe("done");
    const c = engine.begin({ ...rc, lockTimeoutMs: 200 });
    const cWaits = waitOf(() => table.delete(c, engine.statementSnapshot(c), x)).ready;
    clock.advance(200);
    await expect(cWaits).rejects.toMatchObject({ sqlstate: "55P03" });
    const d = engine.begin({ ...rc, lockTimeoutMs: -1 });
    expect(() => table.delete(d, engine.statementSnapshot(d), x)).toThrow(/could not obtain lock on row/);
  });

  it("lock rows by PostgreSQL's four strengths", async () => {
    const { engine } = openTestEngine();
    const { table } = keyedTable(engine);
    const first = engine.begin(rc);
    const row = table.insert(first, [1, 0]);
    await engine.commit(first);
    const strengths = ["keyShare", "share", "noKeyUpdate", "update"] as const;
    const conflicts = ["0001", "0011", "0111", "1111"];
    for (const [held, one] of strengths.entries()) {
      for (const [wanted, other] of strengths.entries()) {
        const [a, b] = [engine.begin(rc), engine.begin(rc)];
        expect(statement(engine, a, (snapshot) => table.lock(a, snapshot, row, one, false))).toBe("done");
        expect(statement(engine, b, (snapshot) => table.lock(b, snapshot, row, other, true))).toBe(
          conflicts[held]![wanted] === "1" ? "skipped" : "done",
        );
        engine.rollback(a);
        engine.rollback(b);
      }
    }
    // An update of no key leaves KEY SHARE alone, one of the key does not.
    const [a, b] = [engine.begin(rc), engine.begin(rc)];
    statement(engine, a, (snapshot) => table.update(a, snapshot, row, [1], [5]));
    expect(statement(engine, b, (snapshot) => table.lock(b, snapshot, row, "keyShare", true))).toBe("done");
    engine.rollback(b);
    const c = engine.begin(rc);
    engine.rollback(a);
    statement(engine, c, (snapshot) => table.update(c, snapshot, row, [0], [5]));
    const d = engine.begin(rc);
    expect(statement(engine, d, (snapshot) => table.lock(d, snapshot, row, "keyShare", true))).toBe(
      "skipped",
    );
  });
});

describe("isolation", () => {
  it("fails a repeatable writer whose row was changed", async () => {
    const { engine } = openTestEngine();
    const { table } = keyedTable(engine);
    const first = engine.begin(rc);
    const row = table.insert(first, [1, 0]);
    await engine.commit(first);
    const a = engine.begin(rr);
    statement(engine, a, () => undefined);
    const b = engine.begin(rc);
    statement(engine, b, (snapshot) => table.update(b, snapshot, row, [1], [9]));
    await engine.commit(b);
    expect(() => statement(engine, a, (snapshot) => table.update(a, snapshot, row, [1], [1]))).toThrow(
      /could not serialize access due to concurrent update/,
    );
  });

  it("shows a statement neither its own new rows nor its own changes", async () => {
    const { engine } = openTestEngine();
    const { table } = keyedTable(engine);
    const t = engine.begin(rc);
    for (let key = 0; key < 10; key++) table.insert(t, [key, key]);
    statement(engine, t, (snapshot) => {
      const seen = scanAll(table, snapshot, 2);
      for (const [key] of seen) table.insert(t, [(key as number) + 100, 0]);
      expect(scanAll(table, snapshot, 2)).toEqual(seen);
      const index = table.indexScan(snapshot, 101, { lowerInclusive: true, upperInclusive: true }, false);
      const ids: RowId[] = [];
      for (let round = 0; round < 40; round++) {
        const batch: RowId[] = [];
        if (index.next(batch, 1) === 0) break;
        ids.push(batch[0]!);
        expect(table.update(t, snapshot, batch[0]!, [0, 1], [200 + round, 1])).toBe("done");
      }
      expect(ids).toHaveLength(10);
      expect(scanAll(table, snapshot, 2)).toEqual(seen);
      expect(table.update(t, snapshot, ids[0]!, [1], [5])).toBe("self");
    });
    expect(statement(engine, t, (snapshot) => scanAll(table, snapshot, 2))).toHaveLength(20);
  });

  it("prevents write skew under SERIALIZABLE and allows it below", async () => {
    for (const [level, fails] of [
      [serializable, true],
      [rr, false],
    ] as const) {
      const { engine } = openTestEngine();
      const { table } = keyedTable(engine);
      const first = engine.begin(rc);
      const [x, y] = [table.insert(first, [1, 1]), table.insert(first, [2, 1])];
      await engine.commit(first);
      const [a, b] = [engine.begin(level), engine.begin(level)];
      statement(engine, a, (snapshot) => scanAll(table, snapshot, 2));
      statement(engine, b, (snapshot) => scanAll(table, snapshot, 2));
      let failures = 0;
      const attempt = async (t: Transaction, row: RowId): Promise<void> => {
        try {
          statement(engine, t, (snapshot) => table.update(t, snapshot, row, [1], [0]));
          await engine.commit(t);
        } catch (error) {
          expect(error).toMatchObject({ sqlstate: "40001" });
          engine.rollback(t);
          failures++;
        }
      };
      await attempt(a, x);
      await attempt(b, y);
      expect(failures > 0).toBe(fails);
      // A retry goes through.
      const c = engine.begin(level);
      statement(engine, c, (snapshot) => scanAll(table, snapshot, 2));
      statement(engine, c, (snapshot) => table.update(c, snapshot, y, [1], [7]));
      await engine.commit(c);
    }
  });

  it("prevents the read-only anomaly and phantoms by index range", async () => {
    const { engine } = openTestEngine();
    const { table } = keyedTable(engine);
    const first = engine.begin(rc);
    table.insert(first, [5, 1]);
    await engine.commit(first);
    const count = (t: Transaction, lower: number, upper: number): number =>
      statement(engine, t, (snapshot) => {
        const scan = table.indexScan(
          snapshot,
          101,
          { lower: [lower], lowerInclusive: true, upper: [upper], upperInclusive: true },
          false,
        );
        const batch: RowId[] = [];
        let rows = 0;
        for (let got = scan.next(batch, 10); got > 0; got = scan.next(batch, 10)) rows += got;
        return rows;
      });
    const [a, b] = [engine.begin(serializable), engine.begin(serializable)];
    count(a, 0, 10);
    count(b, 20, 30);
    table.insert(a, [25, 1]);
    await expect(
      (async () => {
        table.insert(b, [7, 1]);
        await engine.commit(a);
        await engine.commit(b);
      })(),
    ).rejects.toMatchObject({ sqlstate: "40001" });
    // Ranges apart do not meet.
    const { engine: other } = openTestEngine();
    const { table: apart } = keyedTable(other);
    const [c, d] = [other.begin(serializable), other.begin(serializable)];
    const look = (t: Transaction, at: number): number =>
      statement(other, t, (snapshot) =>
        apart
          .indexScan(
            snapshot,
            101,
            { lower: [at], lowerInclusive: true, upper: [at + 9], upperInclusive: true },
            false,
          )
          .next([], 10),
      );
    look(c, 0);
    look(d, 20);
    apart.insert(c, [5, 1]);
    apart.insert(d, [25, 1]);
    await other.commit(c);
    await other.commit(d);
  });
});

describe("columns", () => {
  it("of every class keep their values", async () => {
    const { engine } = openTestEngine();
    const list = [
      types.bool,
      { oid: 18, typmod: -1 },
      types.int2,
      types.int4,
      types.int8,
      { oid: 700, typmod: -1 },
      types.float8,
      { oid: 1082, typmod: -1 },
      types.timestamptz,
      { oid: 1700, typmod: ((18 << 16) | 4) + 4 },
      types.numeric,
      types.uuid,
      types.text,
      types.bytea,
      { oid: 1186, typmod: -1 },
    ];
    const spec = tableSpec(100, list);
    engine.createTable(spec);
    const table = engine.table(spec);
    const rows: Value[][] = [
      [
        true,
        "x",
        -5,
        2147483647,
        2n ** 62n,
        1.5,
        Math.PI,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
        new Numeric(-123456789012345678n, 4),
        new Numeric(10n ** 40n, 12),
        "00112233-4455-6677-8899-aabbccddeeff",
        "héllo",
        new Uint8Array([0, 255]),
        new Interval(1, 2, 3),
      ],
      [
        false,
        "",
        32767,
        -2147483648,
        -9007199254740991,
        -0.25,
        -0,
        -730119,
        1234567890123456,
        new Numeric(0, 0, "NaN"),
        new Numeric(0, 0, "Infinity"),
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "",
        new Uint8Array([]),
        new Interval(0, 0, -(2n ** 60n)),
      ],
      list.map(() => null),
    ];
    const t = engine.begin(rc);
    for (const row of rows) table.insert(t, row);
    await engine.commit(t);
    expect(statement(engine, engine.begin(rc), (snapshot) => scanAll(table, snapshot, list.length))).toEqual(
      rows,
    );
  });

  it("are added without rewriting, wide ones lie outside the page", async () => {
    const { engine } = openTestEngine({ pageSize: 8192 });
    const before = tableSpec(100, keyed, [indexSpec(101, keyed, [0], true)]);
    engine.createTable(before);
    const old = engine.table(before);
    const t = engine.begin(rc);
    const ids = Array.from({ length: 700 }, (_, key) => old.insert(t, [key, key]));
    await engine.commit(t);
    const columns = [...keyed, types.text, types.int8];
    const after = tableSpec(100, columns, [indexSpec(101, columns, [0], true)], [null, null, "default", 7]);
    const table = engine.table(after);
    expect(statement(engine, engine.begin(rc), (snapshot) => scanAll(table, snapshot, 4))[699]).toEqual([
      699,
      699,
      "default",
      7,
    ]);
    const reader = engine.begin(rr);
    statement(engine, reader, () => undefined);
    const u = engine.begin(rc);
    statement(engine, u, (snapshot) => table.update(u, snapshot, ids[3]!, [2], ["new"]));
    statement(engine, u, (snapshot) => table.update(u, snapshot, ids[4]!, [1, 3], [-4, 2n ** 60n]));
    table.insert(u, [1000, 1, "inserted", 1]);
    await engine.commit(u);
    const v = engine.begin(rc);
    statement(engine, v, (snapshot) => table.update(v, snapshot, ids[3]!, [3], [9]));
    statement(engine, v, (snapshot) => table.update(v, snapshot, ids[4]!, [2], ["gone"]));
    engine.rollback(v);
    const rows = statement(engine, engine.begin(rc), (snapshot) => scanAll(table, snapshot, 4));
    expect(rows.find((row) => row[0] === 3)).toEqual([3, 3, "new", 7]);
    expect(rows.find((row) => row[0] === 4)).toEqual([4, -4, "default", 2n ** 60n]);
    expect(rows.find((row) => row[0] === 1000)).toEqual([1000, 1, "inserted", 1]);
    const seen = statement(engine, reader, (snapshot) => scanAll(table, snapshot, 4));
    expect(seen.find((row) => row[0] === 3)).toEqual([3, 3, "default", 7]);
    await engine.commit(reader);
    while (engine.collect());
    expect(await verifyTable(engine, after)).toEqual([]);
    // The draft that added them is rolled back, and others take their place.
    const other = tableSpec(
      100,
      [...keyed, types.float8],
      [indexSpec(101, keyed, [0], true)],
      [null, null, 0.5],
    );
    const third = statement(engine, engine.begin(rc), (snapshot) =>
      scanAll(engine.table(other), snapshot, 3),
    );
    expect(third.find((row) => row[0] === 5)).toEqual([5, 5, 0.5]);

    const many = Array.from({ length: 1200 }, (_, column) => (column % 3 === 0 ? types.int8 : types.text));
    const wide = tableSpec(200, many);
    engine.createTable(wide);
    const w = engine.begin(rc);
    const values = many.map((_, column) =>
      column % 3 === 0 ? column : column % 3 === 1 ? null : `v${column}`,
    );
    const row = engine.table(wide).insert(w, values);
    statement(engine, w, (snapshot) =>
      engine.table(wide).update(w, snapshot, row, [1100, 2], ["changed", "z".repeat(9000)]),
    );
    await engine.commit(w);
    const cells: Value[][] = [[], [], [], []];
    expect(
      statement(engine, engine.begin(rc), (snapshot) =>
        engine.table(wide).read(snapshot, row, [0, 2, 1100, 1199], cells, 0),
      ),
    ).toBe(true);
    expect(cells.map((cell) => cell[0])).toEqual([0, "z".repeat(9000), "changed", values[1199]]);
  });
});

describe("objects", () => {
  it("indexes are built while writers go on", async () => {
    const { engine } = openTestEngine();
    const before = engine.store.pagesAllocated;
    const columns = [types.int4, types.text] as const;
    const spec = tableSpec(100, columns);
    engine.createTable(spec);
    const table = engine.table(spec);
    const t = engine.begin(rc);
    const ids: RowId[] = [];
    for (let key = 0; key < 5000; key++) {
      ids.push(await retrying(() => table.insert(t, [(key * 7919) % 5000, `k${key % 50}`])));
    }
    await engine.commit(t);
    const index = indexSpec(101, columns, [0], true);
    engine.createIndex(spec, index);
    const writer = engine.begin(rc);
    statement(engine, writer, (snapshot) => table.update(writer, snapshot, ids[0]!, [0], [9000]));
    const build = engine.buildIndex(spec, index);
    expect(() => build.step()).toThrow(expect.objectContaining({ reason: "lock" }));
    await engine.commit(writer);
    build.step();
    const late = engine.begin(rc);
    table.insert(late, [9001, "late"]);
    statement(engine, late, (snapshot) => table.delete(late, snapshot, ids[1]!));
    await engine.commit(late);
    for (let turn = 0; turn < 10_000 && !(await retrying(() => build.step())); turn++)
      await retrying(() => engine.collect());
    const indexed = { ...spec, indexes: [index] };
    expect(await verifyTable(engine, indexed)).toEqual([]);
    const found: RowId[] = [];
    statement(engine, engine.begin(rc), (snapshot) =>
      engine
        .table(indexed)
        .indexScan(snapshot, 101, { lower: [8999], lowerInclusive: true, upperInclusive: true }, false)
        .next(found, 10),
    );
    expect(found).toHaveLength(2);
    const again = indexSpec(102, columns, [1], true);
    engine.createIndex(spec, again);
    const failing = engine.buildIndex(spec, again);
    await expect(
      (async () => {
        while (!(await retrying(() => failing.step())));
      })(),
    ).rejects.toThrow(/could not create unique index "i102"/);
    engine.dropObject(102);
    engine.dropObject(101);
    engine.dropObject(100);
    expect(engine.store.pagesAllocated).toBeGreaterThan(before + 10);
    while (await retrying(() => engine.collect()));
    // What is left is the inventory's page.
    expect(engine.store.pagesAllocated).toBe(before + 1);
  });

  it("collection leaves entries of own images that a savepoint may bring back", async () => {
    for (const viaOrphan of [false, true]) {
      const { engine } = openTestEngine();
      const { table, spec } = keyedTable(engine);
      const first = engine.begin(rc);
      const row = table.insert(first, [1, 0]);
      await engine.commit(first);
      const change = (transaction: Transaction, key: number): void =>
        statement(engine, transaction, (snapshot) => {
          expect(table.update(transaction, snapshot, row, [0], [key])).toBe("done");
        });
      const second = engine.begin(rc);
      if (viaOrphan) change(second, 7);
      change(second, 2);
      await engine.commit(second);
      // Its own image has a key whose entry was there before: garbage of the others, if it were not for the savepoint.
      const third = engine.begin(rc);
      const key = viaOrphan ? 7 : 1;
      change(third, key);
      const mark = engine.savepoint(third);
      change(third, 3);
      for (let step = 0; step < 100 && engine.collect(); step++);
      const specs = engine.sweep(false);
      for (let step = 0; step < 100 && !specs.step(); step++);
      engine.rollbackTo(third, mark);
      expect(table.findNewest(third, 101, [key])).toBe(row);
      expect(() => table.insert(third, [key, 1])).toThrow("duplicate key");
      await engine.commit(third);
      for (let step = 0; step < 100 && engine.collect(); step++);
      const reader = engine.begin(rc);
      expect(table.findNewest(reader, 101, [key])).toBe(row);
      engine.rollback(reader);
      expect(await verifyTable(engine, spec)).toEqual([]);
    }
  });

  it("background collection outlives a full disk and ends with a fenced node", async () => {
    const clock = new ManualClock();
    const { storage } = openTestEngine();
    const store = storage.shards[0]!;
    const engine = new EngineCore({ store, clock, memory: store.pool as EngineMemory, collectEveryMs: 10 });
    engine.load();
    const { table } = keyedTable(engine);
    const aborted = engine.begin(rc);
    table.insert(aborted, [1, 0]);
    let failure: DbError | undefined = new DbError("diskFull", "no space left on device");
    const reserve = store.reserve.bind(store);
    store.reserve = (pages) => {
      if (failure !== undefined) throw failure;
      reserve(pages);
    };
    failure = undefined;
    engine.rollback(aborted);
    failure = new DbError("diskFull", "no space left on device");
    clock.advance(10);
    expect(engine.collector.recordsBackedOut).toBe(0);
    failure = undefined;
    clock.advance(500);
    expect(engine.collector.recordsBackedOut).toBe(1);
    const other = engine.begin(rc);
    table.insert(other, [2, 0]);
    engine.rollback(other);
    failure = new DbError("ioError", "storage is fenced");
    clock.advance(10);
    clock.advance(5000);
    expect(engine.collector.recordsBackedOut).toBe(1);
    engine.close();
  });

  it("a sweep beside an index build does not forget who was aborted", async () => {
    const { engine, storage } = openTestEngine();
    const { table, spec } = keyedTable(engine);
    const first = engine.begin(rc);
    table.insert(first, [1, 0]);
    await engine.commit(first);
    const aborted = engine.begin(rc);
    table.insert(aborted, [2, 0]);
    engine.rollback(aborted);
    const last = engine.begin(rc);
    table.insert(last, [3, 0]);
    await engine.commit(last);
    const index = indexSpec(102, keyed, [1]);
    engine.createIndex(spec, index);
    const build = engine.buildIndex(spec, index);
    build.step();
    const sweep = engine.sweep(false);
    for (let step = 0; step < 100 && !sweep.step(); step++);
    await engine.store.durable();
    const second = openTestEngine({ disk: storage.disk.crash() }).engine;
    const again = second.table(spec);
    const reader = second.begin(rc);
    const keys = statement(second, reader, (snapshot) => scanAll(again, snapshot, 1)).flat();
    expect(keys).toEqual([1, 3]);
  });

  it("a value of a sequence is answered for only when its block is on the disk", async () => {
    const { engine } = openTestEngine();
    engine.createSequence(110, "1");
    await engine.store.durable();
    const step = { name: "s", increment: 1n, minimum: 1n, maximum: 1000n, cycle: false };
    const sequence = engine.sequence(110);
    const [one, two] = [engine.begin(rc), engine.begin(rc)];
    expect(sequence.next(step)).toBe(1n);
    const first = engine.commit(one);
    expect(sequence.next(step)).toBe(2n);
    const second = engine.commit(two);
    expect(first).toBeDefined();
    expect(second).toBeDefined();
    await Promise.all([first, second]);
    expect(engine.commit(engine.begin(rc))).toBeUndefined();
  });

  it("a transaction of a fenced node can be rolled back and lets go of its rows", async () => {
    const { engine, storage } = openTestEngine();
    const { table } = keyedTable(engine);
    const first = engine.begin(rc);
    const row = table.insert(first, [1, 0]);
    await engine.commit(first);
    const holder = engine.begin(rc);
    statement(engine, holder, (snapshot) => table.update(holder, snapshot, row, [1], [1]));
    const waiter = engine.begin(rc);
    const snapshot = engine.statementSnapshot(waiter);
    const wait = waitOf(() => table.update(waiter, snapshot, row, [1], [2]));
    storage.abandon();
    engine.rollback(holder);
    await wait.ready;
    engine.rollback(waiter);
  });

  it("sequences skip after a crash and never repeat", async () => {
    const first = openTestEngine();
    const step = { increment: 1n, minimum: 1n, maximum: 40n, cycle: false, name: "s" };
    first.engine.createSequence(300, "1");
    const sequence = first.engine.sequence(300);
    expect([sequence.next(step), sequence.next(step)]).toEqual([1n, 2n]);
    await first.engine.commit(first.engine.begin(rc));
    const second = openTestEngine({ disk: first.storage.disk });
    const after = second.engine.sequence(300).next(step);
    expect(after > 2n && after <= 40n).toBe(true);
    sequence.set(39n, true);
    expect(sequence.next(step)).toBe(40n);
    expect(() => sequence.next(step)).toThrow('nextval: reached maximum value of sequence "s" (40)');
    expect(sequence.next({ ...step, cycle: true })).toBe(1n);
    expect(sequence.read()).toEqual({ lastValue: 1n, isCalled: true });
  });

  it("an unfinished transaction reads as aborted after a crash, limbo stays", async () => {
    const first = openTestEngine();
    const { table, spec } = keyedTable(first.engine);
    const a = first.engine.begin(rc);
    table.insert(a, [1, 1]);
    await first.engine.commit(a);
    const b = first.engine.begin(rc);
    table.insert(b, [2, 2]);
    const c = first.engine.begin(rc);
    table.insert(c, [3, 3]);
    await first.engine.prepare(c);
    const id = c.id;
    const second = openTestEngine({ disk: first.storage.disk });
    expect(second.engine.limbo).toEqual([id]);
    const again = second.engine.table(spec);
    const look = (): Value[][] =>
      statement(second.engine, second.engine.begin(rc), (snapshot) => scanAll(again, snapshot, 2));
    expect(look()).toEqual([[1, 1]]);
    const d = second.engine.begin(rc);
    again.insert(d, [2, 5]);
    expect(() => again.insert(d, [3, 5])).toThrow(expect.objectContaining({ reason: "row" }));
    second.engine.resolve(id, true);
    expect(look()).toEqual([
      [1, 1],
      [3, 3],
    ]);
    await second.engine.commit(d);
    expect(d.id).toBeGreaterThan(id);
    const sweep = second.engine.sweep(false);
    expect(() => second.engine.sweep(false)).toThrow(/running already/);
    while (!sweep.step());
    expect(sweep.report.recordsBackedOut).toBe(1);
    expect(await verifyTable(second.engine, spec)).toEqual([]);
    expect(second.engine.markers.oldestInteresting).toBe(second.engine.markers.next);
  });
});

describe("damage met by background collection", () => {
  for (const readMs of [0, 5]) {
    it(`is told and left where it is, and the rest goes on (reads of ${readMs} ms)`, async () => {
      const disk = new SimDisk();
      const specs = [100, 200].map((id) => tableSpec(id, [types.int4, types.text]));
      const first = openTestEngine({ disk });
      const pages: number[] = [];
      for (const spec of specs) {
        first.engine.createTable(spec);
        const table = first.engine.table(spec);
        const writer = first.engine.begin(rc);
        const row = table.insert(writer, [1, "x".repeat(9000)]);
        await first.engine.commit(writer);
        const deleter = first.engine.begin(rc);
        statement(first.engine, deleter, (snapshot) => table.delete(deleter, snapshot, row));
        await first.engine.commit(deleter);
        pages.push(Math.floor(row / 4096));
      }
      await first.storage.close();
      disk.flipBit("shards/shard_001/pages", pages[0]! * 16384 + 6000, 1);
      disk.readMs = readMs;
      const storage = openTestStorage({ disk, storage: { inlineReadMs: readMs === 0 ? 1000 : 0 } });
      const told: string[] = [];
      const engine = new EngineCore({
        store: storage.shards[0]!,
        clock: disk.clock,
        memory: storage.frames.memory,
        collectEveryMs: 10,
        onDamage: (error) => told.push(error.sqlstate),
      });
      await retrying(() => engine.load());
      const tables = [];
      for (const spec of specs) tables.push(await retrying(() => engine.engineTable(spec)));
      for (const [at, table] of tables.entries()) engine.noteGarbage(table, pages[at]!);
      for (let turn = 0; turn < 100 && engine.collector.versionsRemoved === 0; turn++)
        await new Promise<void>((resolve) => disk.clock.after(10, resolve));
      expect(told).toEqual(["XX001"]);
      expect(engine.collector.versionsRemoved).toBe(2);
      // A sweep that fails ends: another may begin, and fails for the same reason.
      for (let round = 0; round < 2; round++) {
        const sweep = engine.sweep(false);
        const run = async (): Promise<void> => {
          try {
            while (!(await retrying(() => sweep.step())));
          } finally {
            sweep.abandon();
          }
        };
        await expect(run()).rejects.toThrow(/damaged|checksum/);
      }
      engine.close();
      storage.abandon();
    });
  }
});
