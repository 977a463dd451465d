/**
 * Random histories of several transactions against a naive twin: a list of versions per row, searched from the newest.
 * After every step some reader's view of the table, by page scan and by index, must be the twin's.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { isWait } from "../base/wait.js";
import type { Value } from "../model/value.js";
import type { RowId, Snapshot, Table, Transaction } from "./contract.js";
import type { EngineCore } from "./engine.js";
import { indexSpec, openTestEngine, tableSpec, types } from "./testing.js";
import { verifyTable } from "./verify.js";

const columns = [types.int4, types.text, types.int8, types.text] as const;
const all = [0, 1, 2, 3];

interface Version {
  readonly actor: Actor;
  /** Order among its transaction's changes. */
  readonly sequence: number;
  /** undefined: deleted. */
  readonly data: readonly Value[] | undefined;
}
interface Actor {
  readonly transaction: Transaction;
  readonly repeatable: boolean;
  sequence: number;
  commitNumber: number | undefined;
  state: "active" | "committed" | "aborted";
  /** Fixed view of REPEATABLE READ. */
  view: number | undefined;
  savepoint: { mark: { undoLength: number }; sequence: number } | undefined;
}
type Row = Version[];

const texts: readonly (string | null)[] = [
  null,
  "",
  "a",
  "grün",
  "x".repeat(40),
  "y".repeat(900),
  "z".repeat(5000),
];

class Twin {
  readonly rows = new Map<RowId, Row>();
  commits = 0;
  visible(row: Row, actor: Actor, view: number): readonly Value[] | undefined {
    for (const version of row) {
      if (version.actor === actor) return version.data;
      const number = version.actor.commitNumber;
      if (number !== undefined && number <= view) return version.data;
    }
    return undefined;
  }
  /** Newest version that is not aborted. */
  head(row: Row): Version | undefined {
    return row.find((version) => version.actor.state !== "aborted");
  }
}

const step = fc.record({
  kind: fc.integer({ min: 0, max: 15 }),
  actor: fc.integer({ min: 0, max: 3 }),
  key: fc.integer({ min: 0, max: 9 }),
  text: fc.integer({ min: 0, max: texts.length - 1 }),
  number: fc.integer({ min: 0, max: 3 }),
});

async function run(
  steps: readonly { kind: number; actor: number; key: number; text: number; number: number }[],
): Promise<void> {
  const { engine } = openTestEngine({ pageSize: 8192, frames: 512 });
  const spec = tableSpec(100, columns, [indexSpec(101, columns, [0], true), indexSpec(102, columns, [1, 2])]);
  engine.createTable(spec);
  const table: Table = engine.table(spec);
  const twin = new Twin();
  const actors: (Actor | undefined)[] = [undefined, undefined, undefined, undefined];

  const open = (at: number, repeatable: boolean): Actor => {
    const actor: Actor = {
      transaction: engine.begin({
        isolation: repeatable ? "repeatableRead" : "readCommitted",
        readOnly: false,
        lockTimeoutMs: 0,
      }),
      repeatable,
      sequence: 0,
      commitNumber: undefined,
      state: "active",
      view: undefined,
      savepoint: undefined,
    };
    actors[at] = actor;
    return actor;
  };
  const viewOf = (actor: Actor): number => {
    if (!actor.repeatable) return twin.commits;
    return (actor.view ??= twin.commits);
  };
  const inStatement = (actor: Actor, work: (snapshot: Snapshot, view: number) => void): void => {
    const snapshot = engine.statementSnapshot(actor.transaction);
    const view = viewOf(actor);
    const mark = engine.savepoint(actor.transaction);
    try {
      work(snapshot, view);
    } catch (thrown) {
      if (!isWait(thrown) && !(thrown instanceof DbError)) throw thrown;
      engine.rollbackTo(actor.transaction, mark);
    } finally {
      engine.releaseSnapshot(actor.transaction);
    }
  };
  /** 23505, a wait, or neither, of giving `self` this key. */
  const keyFate = (actor: Actor, key: Value, self: RowId): { violates: boolean; waits: boolean } => {
    let violates = false;
    let waits = false;
    for (const [id, row] of twin.rows) {
      if (id === self) continue;
      const head = twin.head(row);
      if (head === undefined) continue;
      const before = row.find((one) => one.actor.state === "committed");
      if (head.actor === actor || head.actor.state === "committed") violates ||= head.data?.[0] === key;
      else {
        // What an active writer has replaced or deleted itself may come back with a savepoint.
        const own = row.some((one) => one.actor === head.actor && one.data?.[0] === key);
        waits ||= own || before?.data?.[0] === key;
      }
    }
    return { violates, waits };
  };
  const check = (actor: Actor): void => {
    inStatement(actor, (snapshot, view) => {
      const expected = new Map<RowId, readonly Value[]>();
      for (const [id, row] of twin.rows) {
        const data = twin.visible(row, actor, view);
        if (data !== undefined) expected.set(id, data);
      }
      compare(engine, table, snapshot, expected);
    });
  };

  for (const { kind, actor: at, key, text, number } of steps) {
    const actor = actors[at] ?? open(at, kind % 2 === 0);
    const values: readonly Value[] = [
      key,
      texts[text % 6]!,
      number === 3 ? 2n ** 60n : number,
      texts[(text + key) % 7]!,
    ];
    if (kind <= 3) {
      inStatement(actor, () => {
        const fate = keyFate(actor, key, -1);
        let id: RowId;
        try {
          id = table.insert(actor.transaction, values);
        } catch (thrown) {
          if (isWait(thrown)) expect(fate.waits, "waits").toBe(true);
          else if (thrown instanceof DbError) expect(fate.violates, thrown.message).toBe(true);
          throw thrown;
        }
        expect(fate).toEqual({ violates: false, waits: false });
        const before = twin.rows.get(id);
        if (before !== undefined) {
          // A slot comes back only when nobody can see anything of the row that had it.
          for (const other of actors) {
            if (other !== undefined && other.view !== undefined) {
              expect(twin.visible(before, other, other.view)).toBeUndefined();
            }
          }
          expect(twin.head(before)?.data).toBeUndefined();
        }
        twin.rows.set(id, [{ actor, sequence: actor.sequence++, data: values }]);
      });
    } else if (kind <= 9) {
      const ids = [...twin.rows.keys()];
      const id = ids[(key * 7 + text) % Math.max(1, ids.length)];
      if (id === undefined) continue;
      inStatement(actor, (snapshot, view) => {
        const row = twin.rows.get(id)!;
        const seen = twin.visible(row, actor, view);
        if (seen === undefined) return;
        const head = twin.head(row)!;
        const erase = kind === 9;
        const changed = kind <= 5 ? [1] : kind === 6 ? [0] : kind === 7 ? [2, 3] : [0, 1, 2, 3];
        const fate =
          changed.includes(0) && !erase ? keyFate(actor, key, id) : { violates: false, waits: false };
        let outcome: string;
        try {
          outcome = erase
            ? table.delete(actor.transaction, snapshot, id)
            : table.update(
                actor.transaction,
                snapshot,
                id,
                changed,
                changed.map((column) => values[column]!),
              );
        } catch (thrown) {
          const blocked = head.actor !== actor && head.actor.state === "active";
          if (isWait(thrown)) expect(blocked || fate.waits, "waits").toBe(true);
          else if (thrown instanceof DbError && thrown.sqlstate === "23505") expect(fate.violates).toBe(true);
          else if (thrown instanceof DbError && thrown.sqlstate === "40001") {
            expect(actor.repeatable && head.actor !== actor && (head.actor.commitNumber ?? 0) > view).toBe(
              true,
            );
          }
          throw thrown;
        }
        // The statement's own snapshot is of now, so under READ COMMITTED nothing can be newer.
        expect(outcome).toBe("done");
        expect(head.actor === actor || head.actor.state === "committed").toBe(true);
        const data = erase
          ? undefined
          : seen.map((value, column) => (changed.includes(column) ? values[column]! : value));
        row.unshift({ actor, sequence: actor.sequence++, data });
      });
    } else if (kind === 10) {
      engine.rollback(actor.transaction);
      actor.state = "aborted";
      for (const row of twin.rows.values()) {
        for (let index = row.length - 1; index >= 0; index--)
          if (row[index]!.actor === actor) row.splice(index, 1);
      }
      actors[at] = undefined;
    } else if (kind === 11 || kind === 12) {
      await engine.commit(actor.transaction);
      actor.state = "committed";
      actor.commitNumber = ++twin.commits;
      actors[at] = undefined;
    } else if (kind === 13) {
      actor.savepoint = { mark: engine.savepoint(actor.transaction), sequence: actor.sequence };
    } else if (kind === 14 && actor.savepoint !== undefined) {
      const { mark, sequence } = actor.savepoint;
      engine.rollbackTo(actor.transaction, mark);
      for (const row of twin.rows.values()) {
        for (let index = row.length - 1; index >= 0; index--) {
          if (row[index]!.actor === actor && row[index]!.sequence >= sequence) row.splice(index, 1);
        }
      }
    } else if (kind === 15) {
      for (let turn = 0; turn < 50 && engine.collect(); turn++);
    }
    for (const one of actors) if (one !== undefined) check(one);
  }
  for (const actor of actors) if (actor !== undefined) engine.rollback(actor.transaction);
  for (const row of twin.rows.values()) {
    for (let index = row.length - 1; index >= 0; index--)
      if (row[index]!.actor.state === "active") row.splice(index, 1);
  }
  const sweep = engine.sweep(false);
  while (!sweep.step());
  while (engine.collect());
  check(open(0, false));
  expect(await verifyTable(engine, spec)).toEqual([]);
  expect(engine.markers.oldestInteresting).toBe(engine.markers.next);
}

function compare(
  engine: EngineCore,
  table: Table,
  snapshot: Snapshot,
  expected: ReadonlyMap<RowId, readonly Value[]>,
): void {
  void engine;
  const scan = table.scan(snapshot);
  const into: Value[][] = [[], [], [], []];
  const ids: Value[] = [];
  let count = 0;
  while (scan.next()) count += scan.materialize(all, into, count, ids);
  const found = new Map<RowId, Value[]>();
  for (let row = 0; row < count; row++) {
    expect(found.has(ids[row] as RowId), "row given twice").toBe(false);
    found.set(
      ids[row] as RowId,
      into.map((column) => column[row]!),
    );
  }
  expect(sorted(found)).toEqual(sorted(expected));
  const indexed: RowId[] = [];
  for (const index of [101, 102]) {
    indexed.length = 0;
    const entries = table.indexScan(snapshot, index, { lowerInclusive: true, upperInclusive: true }, false);
    const batch: RowId[] = [];
    for (let got = entries.next(batch, 3); got > 0; got = entries.next(batch, 3))
      indexed.push(...batch.slice(0, got));
    expect([...indexed].sort((a, b) => a - b)).toEqual([...expected.keys()].sort((a, b) => a - b));
  }
  const cells: Value[][] = [[], []];
  for (const [id, data] of expected) {
    expect(table.read(snapshot, id, [1, 2], cells, 0)).toBe(true);
    expect([cells[0]![0], cells[1]![0]]).toEqual([data[1], data[2]]);
  }
}
function sorted(rows: ReadonlyMap<RowId, readonly Value[]>): unknown[] {
  return [...rows].sort((a, b) => a[0] - b[0]);
}

describe("random histories", () => {
  it("read as a list of versions does", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 90 }), (steps) => run(steps)),
      {
        numRuns: Number(process.env["RUNS"] ?? 40),
        seed: Number(process.env["SEED"] ?? 7),
        endOnFailure: true,
      },
    );
  }, 30_000);
});
