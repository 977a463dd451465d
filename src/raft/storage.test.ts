/** Messages and entries as bytes, and the folder of a member: crashes at every write, and damage. */
import fc from "fast-check";
import { beforeAll, describe, expect, it, test } from "vitest";
import xxhash, { type XXHashAPI } from "xxhash-wasm";
import { DbError } from "../base/errors.js";
import { SimClock } from "../sim/clock.js";
import { SimDisk } from "../sim/disk.js";
import { SimRandom } from "../sim/random.js";
import { decodeMessage, encodeMessage } from "./codec.js";
import type { Entry, HardState, Message } from "./contract.js";
import { RaftNode } from "./core.js";
import { memberSet } from "./members.js";
import { type Change, RaftStorage, type Recovered } from "./storage.js";

let hash: XXHashAPI;
beforeAll(async () => {
  hash = await xxhash();
});

const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const ids = fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { maxLength: 5 });
const members = fc.record({ voters: ids, outgoing: ids, learners: ids, demoted: ids });
const data = fc.uint8Array({ maxLength: 40 });
const entry = fc.oneof(
  fc.record({ kind: fc.constant("empty" as const), index: number, term: number }),
  fc.record({ kind: fc.constant("command" as const), index: number, term: number, data }),
  fc.record({ kind: fc.constant("members" as const), index: number, term: number, members }),
);
const id = fc.integer({ min: 1, max: 0xffffffff });
const head = { from: id, to: id, term: number };
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    ...head,
    kind: fc.constantFrom("vote" as const, "preVote" as const),
    lastIndex: number,
    lastTerm: number,
    transfer: fc.boolean(),
  }),
  fc.record({
    ...head,
    kind: fc.constantFrom("voteAnswer" as const, "preVoteAnswer" as const),
    granted: fc.boolean(),
  }),
  fc.record({
    ...head,
    kind: fc.constant("append" as const),
    previousIndex: number,
    previousTerm: number,
    commit: number,
    entries: fc.array(entry, { maxLength: 4 }),
  }),
  fc.record({
    ...head,
    kind: fc.constant("appendAnswer" as const),
    index: number,
    accepted: fc.boolean(),
    hintIndex: number,
    hintTerm: number,
  }),
  fc.record({ ...head, kind: fc.constant("heartbeat" as const), commit: number, round: number }),
  fc.record({ ...head, kind: fc.constant("heartbeatAnswer" as const), round: number }),
  fc.record({
    ...head,
    kind: fc.constant("snapshot" as const),
    index: number,
    snapshotTerm: number,
    members,
    offset: number,
    total: number,
    data,
  }),
  fc.record({
    ...head,
    kind: fc.constant("snapshotAnswer" as const),
    index: number,
    offset: number,
    received: number,
  }),
  fc.record({ ...head, kind: fc.constant("timeoutNow" as const) }),
  fc.record({ ...head, kind: fc.constant("read" as const), context: number }),
  fc.record({ ...head, kind: fc.constant("readAnswer" as const), context: number, index: number }),
);

describe("messages", () => {
  it("come back as they were", () => {
    fc.assert(
      fc.property(message, (one) => {
        const bytes = Buffer.from(encodeMessage(one));
        const read = decodeMessage(bytes);
        bytes.fill(0xff); // lent: nothing of it may be kept
        expect(read).toEqual(one);
      }),
    );
  });
  it("cut short or changed are refused or other messages, and nothing worse", () => {
    fc.assert(
      fc.property(
        message,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        (one, place, change, cut) => {
          const bytes = encodeMessage(one);
          const at = place % bytes.length;
          if (!cut) bytes[at] = bytes[at]! ^ change;
          try {
            decodeMessage(cut ? bytes.subarray(0, at) : bytes);
            expect(cut).toBe(false);
          } catch (error) {
            expect((error as Error).name).toBe("MalformedBytes");
          }
        },
      ),
    );
  });
});

const folder = "raft";
const open = (disk: SimDisk): RaftStorage => new RaftStorage({ disk, hash, folder });
const firstBase = { index: 0, term: 0, members: memberSet([1, 2, 3]) };

/** What a member holds, in short. */
function shortOf(found: Recovered): string {
  const entries = found.entries.map(({ index, term, kind }) => `${index}@${term}${kind[0]}`).join(" ");
  return `term ${found.hard.term} vote ${found.hard.vote} base ${found.base.index}@${found.base.term} snapshot ${found.snapshot?.index ?? 0} [${entries}]`;
}

/** A member that follows a made-up leader: appends, cuts, votes, takes and installs snapshots. */
class Follower {
  hard: HardState = { term: 0, vote: 0 };
  base = firstBase as Recovered["base"];
  snapshot: Recovered["snapshot"];
  entries: Entry[] = [];
  commit = 0;
  /** States between the last write's beginning and its end: it may be torn behind any of its records. */
  between: string[] = [];
  #installed: string[] = [];
  /** A snapshot that is being written beside the log. */
  #saving:
    | { readonly snapshot: NonNullable<Recovered["snapshot"]>; readonly written: Promise<void> }
    | undefined;
  constructor(
    public storage: RaftStorage,
    readonly random: SimRandom,
  ) {}

  restarted(storage: RaftStorage): void {
    this.storage = storage;
    this.#saving = undefined;
  }

  get short(): string {
    const { hard, base, snapshot, entries, commit } = this;
    return shortOf({ id: 1, hard, base, snapshot, entries, commit });
  }
  get lastIndex(): number {
    return this.base.index + this.entries.length;
  }

  async step(): Promise<void> {
    const { random } = this;
    const roll = random.below(12);
    this.between = [];
    this.#installed = [];
    const before = this.short;
    if (roll === 0 && this.#saving === undefined && this.commit > (this.snapshot?.index ?? 0)) {
      const at = this.commit - this.base.index;
      const snapshot = this.#snapshot(this.commit, this.entries[at - 1]?.term ?? this.base.term);
      // One of the leader's may take its place.
      this.#saving = { snapshot, written: this.storage.prepare(snapshot).catch(() => {}) };
      return;
    }
    if (this.#saving !== undefined && random.below(2) === 0) {
      const { snapshot, written } = this.#saving;
      await written;
      this.#saving = undefined;
      if (snapshot.index <= (this.snapshot?.index ?? 0)) {
        this.storage.discard();
        return;
      }
      this.snapshot = snapshot;
      this.between.push(this.short);
      const index = Math.max(this.base.index, snapshot.index - random.below(3));
      const term = this.entries[index - this.base.index - 1]?.term ?? this.base.term;
      this.entries = this.entries.slice(index - this.base.index);
      this.base = { index, term, members: this.base.members };
      this.storage.compact(this.base, this.entries);
      return;
    }
    const changes: Change[] = [];
    for (let count = 1 + random.below(3); count > 0; count--) changes.push(this.#change());
    changes.push({ commit: this.commit });
    // Term and vote, as they are at the end, go before the entries.
    const { term, vote } = this.hard;
    const last = (text: string): string => text.replace(/^term \d+ vote \d+/, `term ${term} vote ${vote}`);
    this.between = [before, last(before), ...this.#installed, ...this.between.map(last)];
    await this.storage.write(changes);
  }

  #snapshot(index: number, term: number): NonNullable<Recovered["snapshot"]> {
    return { index, term, members: this.base.members, data: new Uint8Array(random8(this.random)) };
  }

  #change(): Change {
    const { random } = this;
    let hard: HardState | undefined;
    if (random.below(3) === 0) {
      hard = { term: this.hard.term + random.below(2), vote: random.below(4) };
      this.hard = hard;
    }
    if (random.below(15) === 0) {
      const install = this.#snapshot(this.lastIndex + random.below(5) + 1, this.hard.term);
      this.snapshot = install;
      this.base = install;
      this.entries = [];
      this.commit = install.index;
      this.between = [this.short];
      this.#installed = [this.short];
      return { hard, install };
    }
    const append: Entry[] = [];
    const from = this.commit + 1 + random.below(this.lastIndex - this.commit + 1);
    this.entries.length = from - this.base.index - 1;
    for (let count = 1 + random.below(3); count > 0; count--) {
      const place = { index: this.lastIndex + 1, term: this.hard.term };
      const one: Entry =
        random.below(4) === 0
          ? { ...place, kind: "empty" }
          : { ...place, kind: "command", data: new Uint8Array(random8(random)) };
      append.push(one);
      this.entries.push(one);
      this.between.push(this.short);
    }
    if (random.below(2) === 0) this.commit = Math.max(this.commit, this.lastIndex - random.below(3));
    return { hard, append };
  }
}
const random8 = (random: SimRandom): Uint8Array => {
  const bytes = new Uint8Array(random.below(random.below(10) === 0 ? 3000 : 40));
  random.fill(bytes);
  return bytes;
};

describe("a member's folder", () => {
  it("is found as it was acknowledged, or as the write under way left it, after a crash anywhere", async () => {
    let images = 0;
    for (let seed = 1; seed <= 6; seed++) {
      const disk = new SimDisk({ clock: new SimClock(), seed, trace: true });
      const storage = open(disk);
      storage.create(1, firstBase);
      const follower = new Follower(storage, new SimRandom(seed));
      // By acknowledged turn: what may be found until the next one is.
      const states: string[][] = [];
      for (let turn = 0; turn < 60; turn++) {
        disk.note(turn);
        const before = follower.short;
        await follower.step();
        states.push([before, ...follower.between, follower.short]);
      }
      for (const image of disk.traceImages()) {
        if (image.note < 0) continue;
        images++;
        const found = open(image.open()).recovered;
        expect(found, `${seed} ${image.number} ${image.variant}`).toBeDefined();
        const { commit: applied, ...start } = found!;
        expect(() => new RaftNode({ ...start, applied, seed: 1 })).not.toThrow();
        expect(states[image.note], `${seed} ${image.number} ${image.variant}`).toContain(shortOf(found!));
      }
    }
    expect(images).toBeGreaterThan(1000);
  });

  it("goes on where it was after a restart", async () => {
    const disk = new SimDisk({ clock: new SimClock(), seed: 3 });
    let storage = open(disk);
    storage.create(1, firstBase);
    const follower = new Follower(storage, new SimRandom(99));
    for (let turn = 0; turn < 200; turn++) {
      await follower.step();
      if (turn % 7 !== 0) continue;
      await storage.close();
      storage = open(disk);
      expect(shortOf(storage.recovered!)).toBe(follower.short);
      expect(storage.recovered!.commit).toBe(follower.commit);
      expect(Buffer.from(storage.recovered!.snapshot?.data ?? [])).toEqual(
        Buffer.from(follower.snapshot?.data ?? []),
      );
      follower.restarted(storage);
    }
  });
});

/** Twenty entries, each a write of its own and of one record. */
async function writtenOneByOne(): Promise<SimDisk> {
  const disk = new SimDisk({ clock: new SimClock(), seed: 5 });
  const storage = open(disk);
  storage.create(1, firstBase);
  for (let index = 1; index <= 20; index++)
    await storage.write([
      { append: [{ kind: "command", index, term: 1, data: new Uint8Array(100).fill(index) }] },
    ]);
  return disk;
}

async function written(): Promise<SimDisk> {
  const disk = new SimDisk({ clock: new SimClock(), seed: 5 });
  const storage = open(disk);
  storage.create(1, firstBase);
  for (let index = 1; index <= 20; index++) {
    await storage.write([
      { append: [{ kind: "command", index, term: 1, data: new Uint8Array([index]) }], commit: index - 1 },
    ]);
  }
  return disk;
}
function failure(work: () => unknown): DbError {
  try {
    work();
  } catch (error) {
    if (error instanceof DbError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

test("a flipped bit is refused by name, but for the last write, which may have been torn", async () => {
  const size = (await written()).bytesOf("raft/log-0000000000000001").length;
  let dropped = 0;
  for (let at = 0; at < size; at += 7) {
    const disk = await written();
    disk.flipBit("raft/log-0000000000000001", at, at % 8);
    let entries = 0;
    try {
      entries = open(disk).recovered!.entries.length;
    } catch (error) {
      expect((error as DbError).sqlstate).toMatch(/XX001|F0000/);
      continue;
    }
    // Padding is nobody's.
    if (entries === 20) continue;
    expect(entries).toBe(19);
    dropped++;
  }
  expect(dropped).toBeGreaterThan(0);
  expect(dropped).toBeLessThan(20);
});

test("damage in the record before the last is told from a torn end, wherever it lies", async () => {
  const path = "raft/log-0000000000000001";
  const bytes = Buffer.from((await writtenOneByOne()).bytesOf(path));
  const lastWrite = bytes.lastIndexOf(Buffer.alloc(100, 20)) - 24 - 22;
  const before = bytes.lastIndexOf(Buffer.alloc(100, 19)) - 24 - 22;
  expect(bytes.readBigUInt64LE(lastWrite + 8)).toBe(22n);
  expect(bytes.readBigUInt64LE(before + 8)).toBe(21n);
  const payload = bytes.readUInt32LE(before);
  for (let at = before; at < lastWrite; at++) {
    // Not covered: the place in the write, of which nothing depends in a whole record, and the padding.
    const counts = (at < before + 4 || at >= before + 8) && at < before + 24 + payload;
    const disk = await writtenOneByOne();
    disk.flipBit(path, at, at % 8);
    if (counts) expect(failure(() => open(disk)).message).toMatch(/record 21 does not verify, but record 22/);
    else expect(open(disk).recovered!.entries.length).toBe(20);
  }
  for (let at = lastWrite + 8; at < bytes.length - 24; at++) {
    const disk = await writtenOneByOne();
    disk.flipBit(path, at, at % 8);
    expect(open(disk).recovered!.entries.length).toBe(19);
  }
  // Both of its checksums are gone, the one that stands there and the one that its content has: nothing can be told.
  const disk = await writtenOneByOne();
  disk.flipBit(path, before + 16);
  disk.flipBit(path, before + 40);
  expect(open(disk).recovered!.entries.length).toBe(18);
});

test("a log that ends before what was committed, and a snapshot that is gone or damaged, are refused", async () => {
  const disk = await written();
  const storage = open(disk);
  const { entries } = storage.recovered!;
  const snapshot = { index: 15, term: 1, members: firstBase.members, data: new Uint8Array([1, 2, 3]) };
  await storage.prepare(snapshot);
  storage.compact({ index: 15, term: 1, members: firstBase.members }, entries.slice(15));
  await storage.close();
  expect(disk.listSync(folder)).toEqual(["log-0000000000000002", "snapshot-0000000000000015"]);
  expect(open(disk).recovered!.entries.length).toBe(5);
  const path = "raft/snapshot-0000000000000015";
  disk.flipBit(path, 40);
  expect(failure(() => open(disk)).message).toMatch(/snapshot .* is damaged/);
  disk.removeSync(path);
  expect(failure(() => open(disk)).message).toMatch(/its snapshot is missing/);
});

test("after a failed sync nothing is accepted any more", async () => {
  const disk = await written();
  const storage = open(disk);
  disk.failSync("raft/");
  const change: Change = { append: [{ kind: "empty", index: 21, term: 1 }] };
  await expect(storage.write([change])).rejects.toMatchObject({ sqlstate: "58030" });
  await expect(storage.write([change])).rejects.toMatchObject({ sqlstate: "58030" });
});

describe("a folder that has no room", () => {
  const entryOf = (index: number): Entry => ({
    kind: "command",
    index,
    term: 1,
    data: new Uint8Array(100).fill(index),
  });
  const snapshotOf = (index: number, bytes: number): NonNullable<Recovered["snapshot"]> => ({
    index,
    term: 1,
    members: firstBase.members,
    data: new Uint8Array(bytes),
  });
  const base = { index: 10, term: 1, members: firstBase.members };

  for (const [what, room, file] of [
    ["a snapshot", 100, /snapshot-/],
    ["the new log", 550, /log\.new/],
  ] as const) {
    it(`goes on as it was without ${what}`, async () => {
      const disk = await writtenOneByOne();
      const storage = open(disk);
      const { entries } = storage.recovered!;
      disk.capacity = disk.bytesUsed + room;
      const noRoom = { sqlstate: "53100", message: expect.stringMatching(file) };
      for (let times = 0; times < 3; times++) {
        const compacting = async (): Promise<void> => {
          await storage.prepare(snapshotOf(15, 400));
          storage.compact(base, entries.slice(10));
        };
        await expect(compacting()).rejects.toMatchObject(noRoom);
        await expect(storage.write([{ install: snapshotOf(30, 400) }])).rejects.toMatchObject(noRoom);
        expect(storage.isFenced).toBe(false);
        const names = disk.listSync(folder).filter((name) => !name.endsWith(".new"));
        expect(names).toEqual(["log-0000000000000001"]);
      }
      disk.capacity = Number.POSITIVE_INFINITY;
      await storage.write([{ append: [entryOf(21)], commit: 20 }]);
      await storage.prepare(snapshotOf(15, 400));
      storage.compact(base, [...entries.slice(10), entryOf(21)]);
      expect(disk.listSync(folder)).toEqual(["log-0000000000000002", "snapshot-0000000000000015"]);
      await storage.close();
      const found = open(disk).recovered!;
      expect([found.base.index, found.entries.length, found.commit]).toEqual([10, 11, 20]);
    });
  }

  it("has forgotten nothing of a snapshot that did not fit: term, vote and commit are what they were", async () => {
    const disk = await writtenOneByOne();
    const storage = open(disk);
    await storage.write([{ hard: { term: 2, vote: 3 }, commit: 4 }]);
    disk.capacity = disk.bytesUsed;
    const change = { hard: { term: 5, vote: 1 }, install: snapshotOf(30, 400) };
    await expect(storage.write([change])).rejects.toMatchObject({ sqlstate: "53100" });
    disk.capacity = Number.POSITIVE_INFINITY;
    await storage.write([{ append: [{ ...entryOf(21), term: 2 }] }]);
    await storage.close();
    const { hard, commit } = open(disk).recovered!;
    expect([hard, commit]).toEqual([{ term: 2, vote: 3 }, 4]);
  });

  it("takes no more once the log itself could not be written", async () => {
    const disk = await writtenOneByOne();
    const storage = open(disk);
    disk.capacity = disk.bytesUsed;
    await expect(storage.write([{ append: [entryOf(21)] }])).rejects.toMatchObject({ sqlstate: "58030" });
    expect(storage.isFenced).toBe(true);
  });
});

test("closing waits for a write that is under way, and refuses the next", async () => {
  const clock = new SimClock();
  const disk = new SimDisk({ clock, seed: 5, writeMs: 5, syncMs: 10 });
  const storage = open(disk);
  storage.create(1, firstBase);
  const order: string[] = [];
  const change = (index: number): Change => ({ append: [{ kind: "empty", index, term: 1 }] });
  const writing = storage
    .write([{ hard: { term: 1, vote: 1 } }, change(1)])
    .then(() => order.push("written"));
  const closing = storage.close().then(() => order.push("closed"));
  await expect(storage.write([change(2)])).rejects.toMatchObject({ sqlstate: "57P01" });
  await Promise.all([writing, closing]);
  expect(order).toEqual(["written", "closed"]);
  expect(open(disk).recovered!.entries.length).toBe(1);
});

describe("a snapshot that is written beside the log", () => {
  const base = { index: 10, term: 1, members: firstBase.members };
  const snapshotOf = (index: number, bytes: number): NonNullable<Recovered["snapshot"]> => ({
    ...{ index, term: 1, members: firstBase.members, data: new Uint8Array(bytes).fill(7) },
  });
  const entryOf = (index: number): Entry => ({ kind: "command", index, term: 1, data: new Uint8Array(100) });

  for (const call of ["openSync", "renameSync", "removeSync"] as const)
    it(`is taken again after a failed ${call}`, async () => {
      const disk = await writtenOneByOne();
      const storage = open(disk);
      const { entries } = storage.recovered!;
      const works = disk[call].bind(disk) as (...args: unknown[]) => unknown;
      let failures = 1;
      const failing = (...args: unknown[]): unknown => {
        if (failures-- > 0) throw new DbError("ioError", "not now");
        return works(...args);
      };
      Object.assign(disk, { [call]: failing });
      const saved = async (index: number): Promise<void> => {
        await storage.prepare(snapshotOf(index, 400));
        if (call === "removeSync") storage.discard();
        else storage.compact(base, entries.slice(10));
      };
      await expect(saved(14)).rejects.toMatchObject({ sqlstate: "58030" });
      Object.assign(disk, { [call]: works });
      await storage.prepare(snapshotOf(15, 400));
      storage.compact(base, entries.slice(10));
      await storage.close();
      expect(open(disk).recovered!.snapshot?.index).toBe(15);
      expect(disk.listSync(folder).filter((name) => name.endsWith(".new"))).toEqual([]);
    });

  it("gives its room to the log, written or not, and leaves nothing when the member stops", async () => {
    for (const isWritten of [false, true]) {
      const clock = new SimClock();
      const disk = new SimDisk({ clock, seed: 5, syncMs: 10 });
      const storage = open(disk);
      storage.create(1, firstBase);
      for (let index = 1; index <= 20; index++)
        await storage.write([{ append: [entryOf(index)], commit: index }]);
      disk.capacity = disk.bytesUsed + 500;
      const preparing = storage.prepare(snapshotOf(15, 380)).then(
        () => "written",
        (error: DbError) => error.sqlstate,
      );
      if (isWritten) expect(await preparing).toBe("written");
      await storage.write([{ append: [entryOf(21)] }]);
      expect(storage.isFenced).toBe(false);
      if (!isWritten) expect(await preparing).toBe("53100");
      expect(failure(() => storage.compact(base, []))).toMatchObject({ sqlstate: "53100" });
      disk.capacity = Number.POSITIVE_INFINITY;
      void storage.prepare(snapshotOf(16, 380)).catch(() => {});
      await storage.close();
      expect(disk.listSync(folder)).toEqual(["log-0000000000000001"]);
      expect(open(disk).recovered!.entries.length).toBe(21);
    }
  });

  it("makes room for the leader's, which is newer", async () => {
    const disk = await writtenOneByOne();
    const storage = open(disk);
    const preparing = storage.prepare(snapshotOf(15, 400)).catch((error: DbError) => error.sqlstate);
    await storage.write([{ install: snapshotOf(30, 400) }]);
    expect(await preparing).toBe("53100");
    storage.discard();
    await storage.close();
    expect(disk.listSync(folder)).toEqual(["log-0000000000000002", "snapshot-0000000000000030"]);
    expect(open(disk).recovered!.snapshot?.index).toBe(30);
  });
});

describe("what an earlier process has left unsynced", () => {
  const change: Change = { hard: { term: 7, vote: 2 }, append: [{ kind: "empty", index: 21, term: 7 }] };
  const found = (disk: SimDisk): string => {
    const { hard, entries } = open(disk).recovered!;
    return `term ${hard.term} vote ${hard.vote}, ${entries.length} entries`;
  };
  const all = "term 7 vote 2, 21 entries";

  for (const [what, leave] of [
    [
      "since it was killed",
      (storage: RaftStorage, disk: SimDisk) => {
        void storage.write([change]).catch(() => {});
        disk.processKilled();
      },
    ],
    [
      "since a sync has failed",
      async (storage: RaftStorage, disk: SimDisk) => {
        disk.failSync("raft/");
        await expect(storage.write([change])).rejects.toMatchObject({ sqlstate: "58030" });
      },
    ],
  ] as const)
    it(`${what} is durable once it is relied upon`, async () => {
      const disk = await writtenOneByOne();
      await leave(open(disk), disk);
      const next = open(disk);
      expect(found(disk)).toBe(all);
      // Without it a power failure takes it all back.
      const lost = new Set(Array.from({ length: 20 }, () => found(disk.crash())));
      expect(lost).toContain("term 0 vote 0, 20 entries");
      next.renew();
      for (let times = 0; times < 20; times++) expect(found(disk.crash())).toBe(all);
      expect(disk.listSync(folder)).toEqual(["log-0000000000000002"]);
    });

  it("is synced in its place where there is no room for another file", async () => {
    const disk = await writtenOneByOne();
    const storage = open(disk);
    void storage.write([change]).catch(() => {});
    disk.processKilled();
    const next = open(disk);
    disk.capacity = disk.bytesUsed + 10;
    next.renew();
    expect(next.isFenced).toBe(false);
    for (let times = 0; times < 20; times++) expect(found(disk.crash())).toBe(all);
  });
});
