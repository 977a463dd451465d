/** Restarts: every acknowledged transaction is there, none that was not committed, and everything is sound. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isWait } from "../base/wait.js";
import type { Value } from "../model/value.js";
import type { RowId } from "./contract.js";
import { indexSpec, openTestEngine, tableSpec, types } from "./testing.js";

const rc = { isolation: "readCommitted", readOnly: false, lockTimeoutMs: 0 } as const;
const columns = [types.int4, types.text] as const;
const spec = tableSpec(100, columns, [indexSpec(101, columns, [0], true)]);

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

describe("restart", () => {
  it("shows exactly what was acknowledged, through several lives", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            writes: fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 3000 })), {
              maxLength: 8,
            }),
            end: fc.constantFrom("commit", "commit", "rollback", "crash", "crashLater", "crashInCommit"),
          }),
          { minLength: 3, maxLength: 14 },
        ),
        async (lives) => {
          let current = openTestEngine({ pageSize: 8192, frames: 512 });
          current.engine.createTable(spec);
          await current.engine.store.durable();
          let acknowledged = new Map<number, string>();
          let ids = new Map<number, RowId>();
          for (const { writes, end } of lives) {
            const { engine } = current;
            const table = await settled(() => engine.table(spec));
            const transaction = engine.begin(rc);
            const draft = new Map(acknowledged);
            const draftIds = new Map(ids);
            for (const [key, size] of writes) {
              const text = String(key).repeat(Math.ceil(size / 2));
              const snapshot = engine.statementSnapshot(transaction);
              const id = draftIds.get(key);
              if (id === undefined)
                draftIds.set(key, await settled(() => table.insert(transaction, [key, text])));
              else if (size % 5 === 0) {
                expect(await settled(() => table.delete(transaction, snapshot, id))).toBe("done");
                draftIds.delete(key);
                draft.delete(key);
              } else
                expect(await settled(() => table.update(transaction, snapshot, id, [1], [text]))).toBe(
                  "done",
                );
              if (draftIds.has(key)) draft.set(key, text);
              engine.releaseSnapshot(transaction);
            }
            if (end === "commit") {
              await engine.commit(transaction);
              acknowledged = draft;
              ids = draftIds;
            } else if (end === "rollback") engine.rollback(transaction);
            else {
              // What was written so far may be on disk: the transaction is not in the inventory as committed.
              if (end === "crashLater") await engine.store.durable();
              if (end === "crashInCommit") {
                void engine.commit(transaction)?.catch(() => undefined);
                for (let turn = 0; turn < writes.length; turn++) await current.storage.disk.clock.yield();
              }
              engine.close();
              current = openTestEngine({ pageSize: 8192, frames: 512, disk: current.storage.disk.crash() });
            }
            for (let turn = 0; turn < 5; turn++) await settled(() => current.engine.collect());
            const again = await settled(() => current.engine.table(spec));
            const reader = current.engine.begin(rc);
            const scan = again.scan(current.engine.statementSnapshot(reader));
            const into: Value[][] = [[], []];
            let count = 0;
            while (await settled(() => scan.next())) {
              const start = count;
              count += await settled(() => scan.materialize([0, 1], into, start, undefined));
            }
            const found = new Map<number, string>();
            for (let row = 0; row < count; row++) found.set(into[0]![row] as number, into[1]![row] as string);
            if (
              end === "crashInCommit" &&
              found.size === draft.size &&
              [...draft].every(([k, v]) => found.get(k) === v)
            ) {
              // Not acknowledged, but it had reached the disk.
              acknowledged = draft;
              ids = draftIds;
            }
            expect(found).toEqual(acknowledged);
            current.engine.releaseSnapshot(reader);
          }
          expect(await current.engine.verify([spec])).toEqual([]);
          await current.storage.close();
        },
      ),
      { numRuns: 12, seed: 11, endOnFailure: true },
    );
  }, 20_000);
});
