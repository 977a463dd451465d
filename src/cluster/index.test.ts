/** What goes wrong beside an entry that is applied, and what is forgotten when. */
import { beforeAll, expect, test } from "vitest";
import xxhash, { type XXHashAPI } from "xxhash-wasm";
import type { SchemaDesc } from "../model/schema.js";
import { SimClock } from "../sim/clock.js";
import { SimDisk } from "../sim/disk.js";
import { ControlPlane } from "./index.js";

let hash: XXHashAPI;
beforeAll(async () => {
  hash = await xxhash();
});

function open(disk: SimDisk, snapshotAfterBytes?: number): { control: ControlPlane; troubles: string[] } {
  const troubles: string[] = [];
  const control = new ControlPlane({
    disk,
    hash,
    virtuals: [],
    snapshotAfterBytes,
    onTrouble: (what) => troubles.push(what),
  });
  return { control, troubles };
}

function putSchema(control: ControlPlane, name: string): Promise<void> {
  const draft = control.draft();
  const schema: SchemaDesc = { kind: "schema", id: draft.draw(), name, owner: 10 };
  draft.put(schema);
  return control.propose(draft.toCommand());
}

const names = (control: ControlPlane): string[] =>
  [...control.state.objects()].map((object) => ("name" in object ? object.name : ""));

test("a snapshot that finds no room fails no entry, and is made once there is room", async () => {
  const disk = new SimDisk({ clock: new SimClock(), seed: 3 });
  const { control, troubles } = open(disk, 4096);
  let made = 0;
  while (troubles.length === 0 && made < 200) {
    // Room for an entry, not for a snapshot of all of them.
    disk.capacity = disk.bytesUsed + 1024;
    await putSchema(control, `schema_${made++}`);
  }
  expect(troubles).toEqual(["the catalog snapshot could not be written"]);
  expect(names(control)).toHaveLength(made);
  expect(disk.existsSync("raft/snapshot")).toBe(false);
  control.close();

  disk.capacity = Number.POSITIVE_INFINITY;
  const again = open(disk, 4096);
  expect(names(again.control)).toHaveLength(made);
  await putSchema(again.control, "last");
  expect(disk.existsSync("raft/snapshot")).toBe(true);
  again.control.close();
  expect(names(open(disk).control)).toHaveLength(made + 1);
});

test("a snapshot is kept without the segment that should follow it, and the log goes on where it is", async () => {
  const disk = new SimDisk({ clock: new SimClock(), seed: 4 });
  const { control, troubles } = open(disk, 2048);
  let made = 0;
  while (!disk.existsSync("raft/snapshot")) {
    const { writeFileSync } = disk;
    // The snapshot has room, and takes the last of it.
    disk.writeFileSync = (path, content) => {
      writeFileSync.call(disk, path, content);
      disk.capacity = disk.bytesUsed;
    };
    await putSchema(control, `schema_${made++}`);
    disk.writeFileSync = writeFileSync;
  }
  disk.capacity = Number.POSITIVE_INFINITY;
  expect(troubles).toEqual([]);
  await putSchema(control, "behind");
  control.close();
  expect(names(open(disk).control)).toHaveLength(made + 1);
});

test("an entry is answered once storage has noted it, and not before", async () => {
  const disk = new SimDisk({ clock: new SimClock(), seed: 5 });
  const { control } = open(disk);
  const noted: number[] = [];
  let release = (): void => {};
  control.noteDurably = (index) => {
    noted.push(index);
    return new Promise((resolve) => {
      release = resolve;
    });
  };
  let answered = false;
  const proposed = putSchema(control, "one").then(() => {
    answered = true;
  });
  while (noted.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  expect(answered).toBe(false);
  release();
  await proposed;
  expect(noted).toEqual([1]);
});

test("an outcome goes with the entry after the one behind which its end was durable", async () => {
  const disk = new SimDisk({ clock: new SimClock(), seed: 6 });
  const { control } = open(disk);
  control.noteDurably = async () => {};
  const outcomes = (): number => [...control.state.decided()].length;
  for (let id = 1; id <= 20; id++) {
    const draft = control.draft();
    draft.put({ kind: "schema", id: draft.draw(), name: `s${id}`, owner: 10 });
    const transaction = { shard: 1, id };
    await control.propose(draft.toCommand(transaction));
    expect(control.state.outcomeOf(1, id)).toBe(true);
    control.noteResolved(transaction);
    expect(outcomes()).toBeLessThanOrEqual(3);
  }
  // Not durable as far as the catalog knows: kept.
  expect(control.state.outcomeOf(1, 20)).toBe(true);
  control.close();
  expect([...open(disk).control.state.decided()].length).toBeLessThanOrEqual(3);
});
