import fc from "fast-check";
import { expect, test } from "vitest";
import type { CatalogObject, SchemaDesc, TableDesc } from "../model/schema.js";
import { CatalogDraft, CatalogState, type Command, IdSource } from "./state.js";

const firstId = 16384;
const schema = (id: number, name: string): SchemaDesc => ({ kind: "schema", id, name, owner: 10 });
const table = (id: number, name: string, schemaId = 1): TableDesc => ({
  kind: "table",
  id,
  name,
  schemaId,
  owner: 10,
  storageId: id,
  format: 1,
  persistence: "permanent",
  columns: [],
});

function start(): { state: CatalogState; ids: IdSource } {
  const state = new CatalogState([], firstId);
  return { state, ids: new IdSource(state) };
}

function commit(state: CatalogState, ids: IdSource, change: (draft: CatalogDraft) => void): boolean {
  const draft = new CatalogDraft(state, ids);
  change(draft);
  return state.apply(draft.toCommand()).accepted;
}

test("a draft sees its own changes, the state only what was applied", () => {
  const { state, ids } = start();
  const draft = new CatalogDraft(state, ids);
  expect(draft.isEmpty).toBe(true);
  const id = draft.draw();
  draft.put(schema(id, "s"));
  expect(draft.schemaByName("s")?.id).toBe(id);
  expect(state.schemaByName("s")).toBeUndefined();
  expect(draft.version).not.toBe(state.version);
  expect(state.apply(draft.toCommand()).accepted).toBe(true);
  expect(state.schemaByName("s")?.id).toBe(id);
});

test("a name that was dropped or renamed is free again, and taken back by a rollback", () => {
  const { state, ids } = start();
  commit(state, ids, (draft) => draft.put(table(100, "a")));
  const draft = new CatalogDraft(state, ids);
  const mark = draft.mark();
  draft.put(table(100, "b"));
  expect(draft.relation(1, "a")).toBeUndefined();
  expect(draft.relation(1, "b")?.id).toBe(100);
  draft.put(table(101, "a"));
  expect(draft.relation(1, "a")?.id).toBe(101);
  draft.delete(100);
  expect(draft.relation(1, "b")).toBeUndefined();
  draft.rollbackTo(mark);
  expect(draft.relation(1, "a")?.id).toBe(100);
  expect(draft.isEmpty).toBe(true);
});

test("plans over a draft never pass for plans over a state, nor over the draft before a change", () => {
  const { state, ids } = start();
  const draft = new CatalogDraft(state, ids);
  const versions = new Set([state.version]);
  for (let at = 0; at < 20; at++) {
    draft.put(table(200 + at, `t${at}`));
    expect(versions.has(draft.version)).toBe(false);
    versions.add(draft.version);
  }
  const mark = draft.mark();
  draft.put(table(300, "x"));
  versions.add(draft.version);
  draft.rollbackTo(mark);
  expect(versions.has(draft.version)).toBe(false);
});

test("of two changes of one object the second is refused with 40001, and changes nothing", () => {
  const { state, ids } = start();
  commit(state, ids, (draft) => draft.put(table(100, "a")));
  const first = new CatalogDraft(state, ids);
  const second = new CatalogDraft(state, ids);
  first.put(table(100, "b"));
  second.put(table(100, "c"));
  second.put(schema(101, "other"));
  expect(state.apply(first.toCommand()).accepted).toBe(true);
  const result = state.apply(second.toCommand());
  expect(result.accepted).toBe(false);
  expect(result.error?.sqlstate).toBe("40001");
  expect(state.relation(1, "b")?.id).toBe(100);
  expect(state.schemaByName("other")).toBeUndefined();
});

test("what a change relies on must not have changed", () => {
  const { state, ids } = start();
  commit(state, ids, (draft) => draft.put(schema(50, "s")));
  const draft = new CatalogDraft(state, ids);
  draft.rely(50);
  draft.put(table(100, "a", 50));
  commit(state, ids, (other) => other.delete(50));
  expect(state.apply(draft.toCommand()).error?.sqlstate).toBe("40001");
  expect(state.get(100)).toBeUndefined();
});

test("a name that was taken meanwhile is refused; a swap of names is not", () => {
  const { state, ids } = start();
  const draft = new CatalogDraft(state, ids);
  draft.put(table(100, "same"));
  commit(state, ids, (other) => other.put(table(101, "same")));
  expect(state.apply(draft.toCommand()).error?.message).toContain("the name of object 100 was taken");
  commit(state, ids, (other) => other.put(table(102, "x")));
  expect(
    commit(state, ids, (other) => {
      other.put(table(101, "between"));
      other.put(table(102, "same"));
      other.put(table(101, "x"));
    }),
  ).toBe(true);
  expect(state.relation(1, "same")?.id).toBe(102);
  expect(state.relation(1, "x")?.id).toBe(101);
});

test("ids are never given twice, whether the change that drew them is applied or not", () => {
  const { state, ids } = start();
  const draft = new CatalogDraft(state, ids);
  const drawn = [draft.draw(), draft.draw()];
  expect(drawn[0]).toBeGreaterThanOrEqual(firstId);
  draft.rely(5);
  const command = draft.toCommand();
  state.apply({ ...command, expect: [[5, 77]] });
  const later = new IdSource(state).draw();
  expect(later).toBeGreaterThan(drawn[1]!);
});

test("nodes that draw ids at the same time stay apart", () => {
  const { state } = start();
  const drawn = [1, 2, 3].flatMap((node) => {
    const ids = new IdSource(state, () => node);
    return [ids.draw(), ids.draw(), ids.draw()];
  });
  expect(new Set(drawn).size).toBe(drawn.length);
  expect(Math.max(...drawn)).toBeLessThan(firstId + 4 * 32);
});

test("an object that came and went in one draft leaves nothing", () => {
  const { state, ids } = start();
  const draft = new CatalogDraft(state, ids);
  draft.put(table(100, "a"));
  draft.delete(100);
  const command = draft.toCommand();
  expect(command.puts).toEqual([]);
  expect(command.deletes).toEqual([]);
});

test("whichever entry comes first decides a transaction in limbo", () => {
  const { state, ids } = start();
  const transaction = { shard: 1, id: 9 };
  const draft = new CatalogDraft(state, ids);
  draft.put(schema(100, "s"));
  state.apply({ type: "abort", transaction });
  expect(state.outcomeOf(1, 9)).toBe(false);
  expect(state.apply(draft.toCommand(transaction)).accepted).toBe(false);
  expect(state.schemaByName("s")).toBeUndefined();

  const other = { shard: 1, id: 10 };
  const second = new CatalogDraft(state, ids);
  second.put(schema(101, "t"));
  expect(state.apply(second.toCommand(other)).accepted).toBe(true);
  state.apply({ type: "abort", transaction: other });
  expect(state.outcomeOf(1, 10)).toBe(true);
  state.apply({ type: "resolved", transactions: [transaction, other] });
  expect(state.outcomeOf(1, 9)).toBeUndefined();
  expect([...state.decided()]).toEqual([]);
});

test("the same entries give the same state, also from a snapshot in between; look-ups agree with a naive twin", () => {
  const step = fc.record({
    id: fc.integer({ min: 100, max: 106 }),
    name: fc.constantFrom("a", "b", "c", "d"),
    remove: fc.boolean(),
    stale: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.nat(25), (steps, cut) => {
      const { state, ids } = start();
      const commands: Command[] = [];
      const twin = new Map<number, CatalogObject>();
      let before = new CatalogDraft(state, ids).toCommand();
      for (const { id, name, remove, stale } of steps) {
        const draft = new CatalogDraft(state, ids);
        const holder = [...twin.values()].find((object) => "name" in object && object.name === name);
        if (remove) draft.delete(id);
        else draft.put(table(id, name));
        const command = stale ? before : draft.toCommand();
        before = draft.toCommand();
        commands.push(command);
        const { accepted } = state.apply(command);
        if (!stale) expect(accepted).toBe(remove || holder === undefined || holder.id === id);
        if (accepted) {
          for (const gone of command.deletes) twin.delete(gone);
          for (const object of command.puts) twin.set(object.id, object);
        }
      }
      const sorted = (objects: Iterable<CatalogObject>) => [...objects].sort((a, b) => a.id - b.id);
      expect(sorted(state.objects())).toEqual(sorted(twin.values()));
      for (const name of ["a", "b", "c", "d"]) {
        const wanted = [...twin.values()].find((object) => "name" in object && object.name === name);
        expect(state.relation(1, name)?.id).toBe(wanted?.id);
      }
      const other = new CatalogState([], firstId);
      for (const command of commands.slice(0, cut)) other.apply(command);
      const restored = new CatalogState([], firstId);
      restored.restoreFrom(JSON.parse(JSON.stringify(other.saved())));
      for (const command of commands.slice(cut)) restored.apply(command);
      expect(JSON.stringify(restored.saved())).toBe(JSON.stringify(state.saved()));
    }),
    { numRuns: 150 },
  );
});
