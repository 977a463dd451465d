/**
 * Three members on simulated disks, clocks and wires: crashes with torn writes, lost, delayed, doubled and reordered
 * messages, partitions. Whatever was answered is applied once, everywhere, in one order.
 */
import { beforeAll, describe, expect, it } from "vitest";
import xxhash, { type XXHashAPI } from "xxhash-wasm";
import { DbError } from "../base/errors.js";
import { ProcessClock, SimClock } from "../sim/clock.js";
import { SimDisk } from "../sim/disk.js";
import { SimRandom } from "../sim/random.js";
import { decodeMessage, encodeMessage } from "./codec.js";
import type { MemberId, Message } from "./contract.js";
import { RaftDriver, type StateMachine } from "./driver.js";
import { memberSet } from "./members.js";
import { RaftStorage } from "./storage.js";

let hash: XXHashAPI;
beforeAll(async () => {
  hash = await xxhash();
});

/** The list of commands applied, each with its index. */
class List implements StateMachine {
  items: [number, string][] = [];
  apply(data: Uint8Array, index: number): void {
    this.items.push([index, Buffer.from(data).toString()]);
  }
  restore(data: Uint8Array): void {
    this.items = JSON.parse(Buffer.from(data).toString()) as [number, string][];
  }
  save(): Uint8Array {
    return Buffer.from(JSON.stringify(this.items));
  }
}

interface Member {
  readonly id: MemberId;
  disk: SimDisk;
  clock: ProcessClock;
  driver: RaftDriver;
  list: List;
}

class Group {
  readonly wall = new SimClock();
  readonly random: SimRandom;
  readonly members = new Map<MemberId, Member>();
  /** Members that do not hear each other: by id, the side. */
  sides = new Map<MemberId, number>();
  lossPercent = 0;
  readonly leaders = new Map<number, MemberId>();
  readonly faults: string[] = [];

  constructor(readonly seed: number) {
    this.random = new SimRandom(seed);
  }

  add(id: MemberId, disk: SimDisk | undefined, voters: readonly MemberId[]): Member {
    const clock = new ProcessClock(this.wall);
    const used = disk ?? new SimDisk({ clock: this.wall, seed: this.seed * 10 + id });
    Object.assign(used, { clock: this.wall, writeMs: 0.1, syncMs: 0.6 });
    const storage = new RaftStorage({ disk: used, hash, folder: "raft" });
    if (storage.recovered === undefined)
      storage.create(id, { index: 0, term: 0, members: memberSet(voters) });
    const list = new List();
    const driver = new RaftDriver({
      storage,
      clock,
      machine: list,
      seed: this.seed * 100 + this.random.below(1000),
      snapshotAfterBytes: 4000,
      entriesKept: 5,
      limits: {
        electionTicks: 10,
        heartbeatTicks: 2,
        appendBytesMax: 300,
        inflightMax: 4,
        uncommittedBytesMax: 100_000,
        snapshotChunkBytes: 200,
        snapshotBytesMax: 1 << 20,
        readsMax: 100,
      },
      send: (message) => this.#send(message),
      onChange: ({ node }) => {
        if (!node.isLeader) return;
        const known = this.leaders.get(node.term);
        if (known !== undefined && known !== id) this.faults.push(`two leaders in term ${node.term}`);
        this.leaders.set(node.term, id);
      },
      onFault: (error) => this.faults.push(`${id}: ${error.message}`),
    });
    const member = { id, disk: used, clock, driver, list };
    this.members.set(id, member);
    driver.start();
    return member;
  }

  #send(message: Message): void {
    const bytes = encodeMessage(message);
    const { random } = this;
    for (let copies = random.below(40) === 0 ? 2 : 1; copies > 0; copies--) {
      if (random.below(100) < this.lossPercent) continue;
      this.wall.after(0.2 + random.fraction() * (random.below(20) === 0 ? 120 : 2), () => {
        const { from, to } = message;
        if ((this.sides.get(from) ?? 0) !== (this.sides.get(to) ?? 0)) return;
        this.members.get(to)?.driver.receive(decodeMessage(bytes));
      });
    }
  }

  crash(id: MemberId): SimDisk {
    const member = this.members.get(id)!;
    this.members.delete(id);
    member.driver.stop();
    member.clock.stop();
    return member.disk.crash();
  }

  async pass(ms: number): Promise<void> {
    await new Promise<void>((resolve) => this.wall.after(ms, resolve));
  }

  leader(): Member | undefined {
    const leading = [...this.members.values()].filter(({ driver }) => driver.isLeader);
    return leading.sort((a, b) => b.driver.term - a.driver.term)[0];
  }
}

/** Every answered command once, in the same order everywhere. */
function check(group: Group, answered: ReadonlyMap<string, number>): void {
  expect(group.faults).toEqual([]);
  const lists = [...group.members.values()].map(({ list }) => list.items);
  const longest = lists.reduce((a, b) => (a.length >= b.length ? a : b));
  for (const list of lists) expect(list).toEqual(longest.slice(0, list.length));
  const texts = longest.map(([, text]) => text);
  expect(new Set(texts).size).toBe(texts.length);
  const places = new Map(longest.map(([index, text]) => [text, index]));
  for (const [text, index] of answered) expect(places.get(text), `${text} was answered`).toBe(index);
}

async function life(seed: number): Promise<{ answered: number; crashes: number; installed: number }> {
  const group = new Group(seed);
  const { random } = group;
  const voters = [1, 2, 3];
  for (const id of voters) group.add(id, undefined, voters);
  const answered = new Map<string, number>();
  const down = new Map<MemberId, SimDisk>();
  let number = 0;
  let crashes = 0;
  for (let turn = 0; turn < 120; turn++) {
    const roll = random.below(20);
    if (roll === 0 && down.size < 1) {
      const id = 1 + random.below(3);
      down.set(id, group.crash(id));
      crashes++;
    } else if (roll < 3) {
      for (const [id, disk] of down) group.add(id, disk, voters);
      down.clear();
    } else if (roll === 3) group.sides = new Map([[1 + random.below(3), 1]]);
    else if (roll === 4) group.sides.clear();
    else if (roll === 5) group.lossPercent = random.below(30);
    for (let burst = random.below(5); burst > 0; burst--) {
      const members = [...group.members.values()];
      const member = random.below(4) === 0 ? members[random.below(members.length)] : group.leader();
      const text = `c${++number}`;
      member?.driver.propose(Buffer.from(text)).then(
        (index) => answered.set(text, index),
        (error: unknown) => expect(error).toBeInstanceOf(DbError),
      );
    }
    await group.pass(random.below(150));
  }
  group.sides.clear();
  group.lossPercent = 0;
  for (const [id, disk] of down) group.add(id, disk, voters);
  await group.pass(4000);
  const leader = group.leader();
  expect(leader).toBeDefined();
  const last = await leader!.driver.propose(Buffer.from("last"));
  answered.set("last", last);
  await group.pass(500);
  for (const { driver } of group.members.values()) expect(driver.appliedIndex).toBeGreaterThanOrEqual(last);
  check(group, answered);
  const installed = [...group.members.values()].filter(
    ({ driver }) => driver.node.log.snapshot !== undefined,
  ).length;
  for (const id of voters) group.crash(id);
  return { answered: answered.size, crashes, installed };
}

describe("three members", () => {
  it("lose nothing they answered and agree, whatever happens to disks and wires", async () => {
    let answered = 0;
    let crashes = 0;
    let installed = 0;
    for (let seed = 1; seed <= 25; seed++) {
      const done = await life(seed);
      answered += done.answered;
      crashes += done.crashes;
      installed += done.installed;
    }
    expect(answered).toBeGreaterThan(1000);
    expect(crashes).toBeGreaterThan(30);
    expect(installed).toBeGreaterThan(10);
  });

  it("replace a killed leader within two election timeouts, sooner when its death is known", async () => {
    for (const told of [false, true]) {
      const group = new Group(77);
      for (const id of [1, 2, 3]) group.add(id, undefined, [1, 2, 3]);
      await group.pass(3000);
      const { id } = group.leader()!;
      group.crash(id);
      const from = group.wall.monotonic();
      // What it had sent is still on its way.
      if (told) await group.pass(130);
      if (told) for (const { driver } of group.members.values()) driver.peerDead(id);
      while (group.leader() === undefined) await group.pass(5);
      const took = group.wall.monotonic() - from;
      expect(took).toBeLessThan(told ? 750 : 1300);
      const index = await group.leader()!.driver.read();
      expect(index).toBeGreaterThan(0);
    }
  });

  it("answer a read with everything that was committed before it", async () => {
    const group = new Group(5);
    for (const id of [1, 2, 3]) group.add(id, undefined, [1, 2, 3]);
    await group.pass(3000);
    const leader = group.leader()!;
    for (const { driver } of group.members.values()) {
      const index = await leader.driver.propose(Buffer.from(`for ${driver.node.id}`));
      expect(await driver.read()).toBeGreaterThanOrEqual(index);
    }
  });

  it("a member alone leads at once, and its state is there again after a crash", async () => {
    const group = new Group(9);
    let member = group.add(1, undefined, [1]);
    for (let turn = 0; turn < 100; turn++)
      await member.driver.propose(Buffer.from(`x${turn}`.padEnd(100, ".")));
    expect(member.disk.listSync("raft").length).toBe(2);
    const items = member.list.items;
    member = group.add(1, group.crash(1), [1]);
    await member.driver.propose(Buffer.from("after"));
    expect(member.list.items.slice(0, -1)).toEqual(items);
  });

  it("grow from one, and hand over", async () => {
    const group = new Group(11);
    const first = group.add(1, undefined, [1]);
    await first.driver.propose(Buffer.from("before"));
    for (const id of [2, 3]) group.add(id, undefined, [1]);
    await first.driver.changeMembers({ voters: [1, 2, 3], learners: [] });
    const index = await first.driver.propose(Buffer.from("after"));
    await group.pass(300);
    for (const { driver, list } of group.members.values()) {
      expect(driver.appliedIndex).toBeGreaterThanOrEqual(index);
      expect(list.items.map(([, text]) => text)).toEqual(["before", "after"]);
    }
    await first.driver.transfer(2);
    await group.pass(300);
    expect(group.leader()!.id).toBe(2);
    await expect(first.driver.propose(Buffer.from("late"))).rejects.toMatchObject({ sqlstate: "57P03" });
  });
});
