/**
 * Three members on simulated disks, clocks and wires: crashes with torn writes, lost, delayed, doubled and reordered
 * messages, partitions. Whatever was answered is applied once, everywhere, in one order. Then one member by itself, whose
 * peers are the test.
 */
import { beforeAll, describe, expect, it } from "vitest";
import xxhash, { type XXHashAPI } from "xxhash-wasm";
import { DbError } from "../base/errors.js";
import type { DiskFile, OpenOptions } from "../platform/index.js";
import { ProcessClock, SimClock } from "../sim/clock.js";
import { SimDisk } from "../sim/disk.js";
import { SimRandom } from "../sim/random.js";
import { decodeMessage, encodeMessage } from "./codec.js";
import { defaultLimits, type Entry, type MemberId, type Message } from "./contract.js";
import { RaftDriver, type RaftDriverOptions, type StateMachine } from "./driver.js";
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

  add(
    id: MemberId,
    disk: SimDisk | undefined,
    voters: readonly MemberId[],
    more: Partial<RaftDriverOptions> = {},
  ): Member {
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
      ...more,
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

interface Life {
  readonly answered: number;
  readonly crashes: number;
  readonly installed: number;
  readonly reads: number;
}

async function life(seed: number): Promise<Life> {
  const group = new Group(seed);
  const { random } = group;
  const voters = [1, 2, 3];
  for (const id of voters) group.add(id, undefined, voters);
  const answered = new Map<string, number>();
  const down = new Map<MemberId, SimDisk>();
  let number = 0;
  let crashes = 0;
  let reads = 0;
  /** Promises that are not settled. */
  let open = 0;
  const stale: number[] = [];
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
      if (member === undefined) continue;
      open++;
      const refused = (error: unknown): void => {
        open--;
        expect(error).toBeInstanceOf(DbError);
      };
      if (random.below(4) === 0) {
        const least = Math.max(0, ...answered.values());
        member.driver.read().then((index) => {
          open--;
          reads++;
          if (index < least) stale.push(index);
        }, refused);
        continue;
      }
      const text = `c${++number}`;
      member.driver.propose(Buffer.from(text)).then((index) => {
        open--;
        answered.set(text, index);
      }, refused);
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
  expect([open, stale]).toEqual([0, []]);
  const installed = [...group.members.values()].filter(
    ({ driver }) => driver.node.log.snapshot !== undefined,
  ).length;
  for (const id of voters) group.crash(id);
  return { answered: answered.size, crashes, installed, reads };
}

describe("three members", () => {
  it("lose nothing they answered and agree, whatever happens to disks and wires", async () => {
    let answered = 0;
    let crashes = 0;
    let installed = 0;
    let reads = 0;
    for (let seed = 1; seed <= 25; seed++) {
      const done = await life(seed);
      answered += done.answered;
      crashes += done.crashes;
      installed += done.installed;
      reads += done.reads;
    }
    expect(answered).toBeGreaterThan(1000);
    expect(reads).toBeGreaterThan(500);
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

describe("a removed member", () => {
  it("hears of it: by the entry that says so, and that it is committed", async () => {
    const group = new Group(21);
    for (const id of [1, 2, 3, 4]) group.add(id, undefined, [1, 2, 3, 4]);
    await group.pass(3000);
    const leader = group.leader()!;
    const gone = [...group.members.values()].find((member) => member !== leader)!;
    const voters = [1, 2, 3, 4].filter((id) => id !== gone.id);
    const index = await leader.driver.changeMembers({ voters, learners: [] });
    await group.pass(200);
    expect(gone.driver.members).toEqual(memberSet(voters));
    expect(gone.driver.commitIndex).toBeGreaterThanOrEqual(index);
    expect(leader.driver.matchOf(gone.id)).toBeUndefined();
    await group.pass(3000);
    expect([gone.driver.node.role, gone.driver.leader]).toEqual(["follower", 0]);
    expect(group.leader()).toBe(leader);
  });
});

describe("what a leader knows of its members", () => {
  it("is how far they are and whether they were heard", async () => {
    const group = new Group(31);
    for (const id of [1, 2, 3]) group.add(id, undefined, [1, 2, 3]);
    await group.pass(3000);
    const { driver, id } = group.leader()!;
    const [a, b] = [1, 2, 3].filter((one) => one !== id) as [number, number];
    const index = await driver.propose(Buffer.from("x"));
    await group.pass(200);
    for (const member of [id, a, b])
      expect(driver.matchOf(member)).toEqual({ match: index, recentlyActive: true, state: "replicate" });
    expect(driver.matchOf(9)).toBeUndefined();
    expect(group.members.get(a)!.driver.matchOf(b)).toBeUndefined();
    expect([driver.lastIndex, driver.commitIndex, driver.appliedIndex]).toEqual([index, index, index]);
    expect([driver.logEntries, driver.snapshotIndex]).toEqual([index, 0]);
    expect(driver.bytesSinceSnapshot).toBeGreaterThan(0);
    expect(driver.members).toEqual(memberSet([1, 2, 3]));
    group.crash(a);
    await group.pass(600);
    expect(driver.matchOf(a)).toMatchObject({ match: index, recentlyActive: false });
    expect(driver.matchOf(b)).toMatchObject({ recentlyActive: true });
  });
});

/** Counts what a sync costs. */
class CountingDisk extends SimDisk {
  syncs = 0;
  override openSync(path: string, options?: OpenOptions): DiskFile {
    const file = super.openSync(path, options);
    const sync = file.sync.bind(file);
    file.sync = () => {
      this.syncs++;
      return sync();
    };
    return file;
  }
}

describe("a single voter", () => {
  it("writes and syncs once for a batch, what is committed with it", async () => {
    const group = new Group(41);
    const disk = new CountingDisk({ clock: group.wall, seed: 1 });
    const { driver } = group.add(1, disk, [1], { snapshotAfterBytes: 1 << 20 });
    await driver.read();
    const before = disk.syncs;
    for (let turn = 0; turn < 100; turn++) await driver.propose(Buffer.from(`x${turn}`));
    expect(disk.syncs - before).toBe(100);
    const together = Array.from({ length: 100 }, (_, turn) => driver.propose(Buffer.from(`y${turn}`)));
    await Promise.all(together);
    // The first by itself, the others while its write was under way.
    expect(disk.syncs - before).toBe(102);
    const last = await driver.proposeMany([Buffer.from("a"), Buffer.from("b"), Buffer.from("c")]);
    expect(last).toBe(driver.lastIndex);
    expect(disk.syncs - before).toBe(103);
    driver.stop();
    const found = new RaftStorage({ disk, hash, folder: "raft" }).recovered!;
    expect(found.commit).toBe(last);
  });
});

/** Member 2 of three; 1 and 3 are what the test says. */
class Lone {
  readonly wall = new SimClock();
  readonly sent: Message[] = [];
  readonly trouble: string[] = [];
  readonly faults: string[] = [];
  readonly list = new List();
  driver!: RaftDriver;
  storage!: RaftStorage;

  constructor(
    readonly disk = new SimDisk(),
    more: Partial<RaftDriverOptions> = {},
  ) {
    disk.clock = this.wall;
    this.open(1, more);
  }

  open(seed: number, more: Partial<RaftDriverOptions> = {}): void {
    this.storage = new RaftStorage({ disk: this.disk, hash, folder: "raft" });
    if (this.storage.recovered === undefined)
      this.storage.create(2, { index: 0, term: 0, members: memberSet([1, 2, 3]) });
    this.driver = new RaftDriver({
      storage: this.storage,
      clock: this.wall,
      machine: this.list,
      seed,
      send: (message) => this.sent.push(message),
      onTrouble: (what, error) => this.trouble.push(`${what}: ${(error as DbError).message}`),
      onFault: (error) => this.faults.push(error.message),
      tickMs: 10,
      ...more,
    });
  }

  async pass(ms = 0.1): Promise<void> {
    await new Promise<void>((resolve) => this.wall.after(ms, resolve));
  }
  async restart(seed: number): Promise<void> {
    this.driver.stop();
    await this.storage.close();
    this.open(seed);
  }

  /** Member 1 leads. */
  async follow(term = 1, from = 1): Promise<void> {
    this.driver.receive({ kind: "heartbeat", from, to: 2, term, commit: 0, round: 0 });
    await this.pass();
  }
  async append(entries: Entry[], commit: number, term = 1, previousTerm = 0): Promise<void> {
    const previousIndex = entries[0]!.index - 1;
    const head = { from: 1, to: 2, term } as const;
    this.driver.receive({ kind: "append", ...head, previousIndex, previousTerm, entries, commit });
    await this.pass();
  }
  /** Member 2 leads: 3 has voted for it. */
  async lead(): Promise<void> {
    while (this.driver.node.role === "follower") await this.pass(5);
    const term = this.driver.term + 1;
    this.driver.receive({ kind: "preVoteAnswer", from: 3, to: 2, term, granted: true });
    await this.pass();
    this.driver.receive({ kind: "voteAnswer", from: 3, to: 2, term, granted: true });
    await this.pass();
    expect(this.driver.isLeader).toBe(true);
  }
  async acknowledge(index = this.driver.lastIndex): Promise<void> {
    const head = { from: 3, to: 2, term: this.driver.term } as const;
    this.driver.receive({ kind: "appendAnswer", ...head, index, accepted: true, hintIndex: 0, hintTerm: 0 });
    await this.pass();
  }
  of<Kind extends Message["kind"]>(kind: Kind): (Message & { kind: Kind })[] {
    return this.sent.filter((one): one is Message & { kind: Kind } => one.kind === kind);
  }
}

const command = (index: number, term = 1): Entry => ({
  kind: "command",
  index,
  term,
  data: Buffer.from(`c${index}`),
});
const refused = { sqlstate: "57P03" };

/** What becomes of a promise, to be looked at later. */
function watch(promise: Promise<unknown>): { outcome: string } {
  const watched = { outcome: "open" };
  promise.then(
    (value) => {
      watched.outcome = String(value);
    },
    (error: DbError) => {
      watched.outcome = error.sqlstate;
    },
  );
  return watched;
}

describe("a read at a follower", () => {
  it("has a number that no earlier start of the member had, so that an answer to that settles nothing", async () => {
    const lone = new Lone();
    lone.driver.start();
    await lone.follow();
    watch(lone.driver.read());
    await lone.pass();
    await lone.restart(2);
    lone.driver.start();
    await lone.follow();
    const reading = watch(lone.driver.read());
    await lone.pass();
    const [old, now] = lone.of("read").map(({ context }) => context) as [number, number];
    expect(old).not.toBe(now);
    const answer = { kind: "readAnswer", from: 1, to: 2, term: 1, index: 0 } as const;
    lone.driver.receive({ ...answer, context: old });
    await lone.pass();
    expect(reading.outcome).toBe("open");
    lone.driver.receive({ ...answer, context: now });
    await lone.pass();
    expect(reading.outcome).toBe("57P03");
    lone.driver.stop();
  });

  it("begins at the number it is handed", async () => {
    const lone = new Lone(new SimDisk(), { readBase: 700 });
    await lone.follow();
    for (let count = 0; count < 2; count++) watch(lone.driver.read());
    await lone.pass();
    expect(lone.of("read").map(({ context }) => context)).toEqual([700, 701]);
    lone.driver.stop();
  });

  it("is asked again after an election timeout without an answer", async () => {
    const lone = new Lone();
    lone.driver.start();
    await lone.follow();
    const reading = watch(lone.driver.read());
    for (let beats = 0; beats < 25; beats++) {
      await lone.pass(10);
      await lone.follow();
    }
    const asked = lone.of("read");
    expect(asked.length).toBe(3);
    expect(new Set(asked.map(({ context }) => context)).size).toBe(1);
    for (let times = 0; times < 2; times++)
      lone.driver.receive({ ...asked[0]!, kind: "readAnswer", from: 1, to: 2, index: 1 });
    await lone.pass();
    expect(reading.outcome).toBe("open"); // not applied yet
    await lone.append([command(1)], 1);
    expect(reading.outcome).toBe("1");
    lone.driver.stop();
  });

  it("is refused when the leader is another, or nobody", async () => {
    const lone = new Lone();
    lone.driver.start();
    const early = watch(lone.driver.read());
    await lone.follow();
    const first = watch(lone.driver.read());
    await lone.pass();
    expect([early.outcome, first.outcome]).toEqual(["57P03", "open"]);
    await lone.follow(2, 3);
    expect(first.outcome).toBe("57P03");
    const second = watch(lone.driver.read());
    await lone.pass(250);
    expect([second.outcome, lone.driver.leader]).toEqual(["57P03", 0]);
    lone.driver.stop();
  });
});

describe("reads at a leader", () => {
  it("that come together share a round of heartbeats", async () => {
    const lone = new Lone();
    lone.driver.start();
    await lone.lead();
    await lone.acknowledge();
    lone.sent.length = 0;
    const reads = Array.from({ length: 20 }, () => watch(lone.driver.read()));
    for (let context = 0; context < 5; context++)
      lone.driver.receive({ kind: "read", from: 3, to: 2, term: lone.driver.term, context });
    await lone.pass();
    const beats = lone.of("heartbeat");
    // The first alone, and all others while it was looked after.
    expect(beats.length).toBeLessThanOrEqual(4);
    const round = Math.max(...beats.map((beat) => beat.round));
    lone.driver.receive({ kind: "heartbeatAnswer", from: 3, to: 2, term: lone.driver.term, round });
    await lone.pass();
    expect(new Set(reads.map(({ outcome }) => outcome))).toEqual(new Set(["1"]));
    expect(lone.of("readAnswer").map(({ context, index }) => [context, index])).toEqual(
      [0, 1, 2, 3, 4].map((context) => [context, 1]),
    );
    lone.driver.stop();
  });
});

describe("proposals that come together", () => {
  it("travel as one and are answered each with its own index", async () => {
    const lone = new Lone();
    lone.driver.start();
    await lone.lead();
    await lone.acknowledge();
    lone.sent.length = 0;
    const first = watch(lone.driver.propose(Buffer.from("first")));
    const others = Array.from({ length: 40 }, (_, n) => watch(lone.driver.propose(Buffer.from(`n${n}`))));
    await lone.pass();
    const appends = lone.of("append").filter(({ to, entries }) => to === 3 && entries.length > 0);
    expect(appends.map(({ entries }) => entries.length)).toEqual([1, 40]);
    await lone.acknowledge();
    expect([first, ...others].map(({ outcome }) => outcome)).toEqual(
      Array.from({ length: 41 }, (_, n) => `${n + 2}`),
    );
    expect(lone.list.items.map(([, text]) => text)).toEqual(["first", ...others.map((_, n) => `n${n}`)]);
    lone.driver.stop();
  });

  it("are taken as far as there is room for what is not committed", async () => {
    const lone = new Lone(new SimDisk(), { limits: { ...defaultLimits, uncommittedBytesMax: 2000 } });
    lone.driver.start();
    await lone.lead();
    await lone.acknowledge();
    const all = Array.from({ length: 40 }, () => watch(lone.driver.propose(Buffer.alloc(68))));
    await lone.pass();
    const isRefused = all.map(({ outcome }) => outcome === "57P03");
    expect(isRefused).toEqual(all.map((_, n) => n >= 20));
    await lone.acknowledge();
    expect(all[19]!.outcome).toBe("21");
    lone.driver.stop();
  });
});

describe("what is asked of a member", () => {
  it("is answered when it stops: queued, proposed, read, or to be read once it is applied", async () => {
    const lone = new Lone();
    lone.driver.start();
    await lone.follow();
    const waiting = watch(lone.driver.read());
    await lone.pass();
    const { context } = lone.of("read")[0]!;
    lone.driver.receive({ kind: "readAnswer", from: 1, to: 2, term: 1, context, index: 7 });
    const asked = watch(lone.driver.read());
    await lone.pass();
    lone.disk.syncMs = 50;
    lone.driver.receive({
      ...{ kind: "append", from: 1, to: 2, term: 1, previousIndex: 0, previousTerm: 0, commit: 0 },
      entries: [command(1)],
    });
    // A write is under way: these are queued.
    const queued = [
      watch(lone.driver.propose(Buffer.from("x"))),
      watch(lone.driver.proposeMany([Buffer.from("y"), Buffer.from("z")])),
      watch(lone.driver.changeMembers({ voters: [2], learners: [] })),
      watch(lone.driver.transfer(3)),
      watch(lone.driver.read()),
    ];
    lone.driver.stop();
    await lone.pass(100);
    for (const { outcome } of [waiting, asked, ...queued]) expect(outcome).toBe("57P01");
    await expect(lone.driver.propose(Buffer.from("late"))).rejects.toMatchObject({ sqlstate: "57P01" });
    await expect(lone.driver.read()).rejects.toMatchObject({ sqlstate: "57P01" });
  });

  it("is answered when another proposal of its own takes its place", async () => {
    const lone = new Lone();
    lone.driver.start();
    await lone.lead();
    const first = watch(lone.driver.propose(Buffer.from("first")));
    const second = watch(lone.driver.propose(Buffer.from("second")));
    await lone.pass();
    expect(lone.driver.lastIndex).toBe(3);
    // Another leads, cuts the log to its own first entry, and is gone.
    const term = lone.driver.term + 1;
    await lone.append([{ kind: "empty", index: 1, term }], 0, term);
    expect(lone.driver.lastIndex).toBe(1);
    await lone.lead();
    expect([first.outcome, second.outcome]).toEqual(["open", "open"]);
    const third = watch(lone.driver.propose(Buffer.from("third")));
    await lone.pass();
    expect([first.outcome, second.outcome, third.outcome]).toEqual(["open", "57P03", "open"]);
    await lone.acknowledge();
    expect([first.outcome, second.outcome, third.outcome]).toEqual(["57P03", "57P03", "3"]);
    lone.driver.stop();
  });

  it("is not taken beyond what can wait", async () => {
    const lone = new Lone();
    lone.driver.start();
    await lone.follow();
    lone.disk.syncMs = 50;
    lone.driver.receive({ kind: "vote", from: 3, to: 2, term: 9, lastIndex: 5, lastTerm: 8, transfer: true });
    for (let count = 0; count < 20_000; count++) await Promise.resolve(lone.driver.peerDead(3));
    await expect(lone.driver.propose(Buffer.from("x"))).rejects.toMatchObject(refused);
    lone.driver.stop();
  });
});

it("a message that makes no sense is dropped and told of once for each peer, and the member goes on", async () => {
  const lone = new Lone();
  lone.driver.start();
  await lone.follow();
  for (let times = 0; times < 3; times++) await lone.append([command(1), command(3)], 0);
  lone.driver.receive({ kind: "heartbeat", from: 3, to: 2, term: 1, commit: 0, round: 0 });
  await lone.append([command(1)], 1);
  expect(lone.list.items).toEqual([[1, "c1"]]);
  expect(lone.faults).toEqual([]);
  expect(lone.trouble.map((one) => one.slice(0, 21))).toEqual([
    "a message of member 1",
    "a message of member 3",
  ]);
  lone.driver.stop();
});

it("a snapshot that does not fit on the disk was never received, and is taken when there is room", async () => {
  const lone = new Lone();
  lone.driver.start();
  await lone.append([command(1)], 1);
  const part = (offset: number): Message => ({
    ...{ kind: "snapshot", from: 1, to: 2, term: 2, index: 9, snapshotTerm: 2, offset, total: data.length },
    members: memberSet([1, 2, 3]),
    data: data.subarray(offset, offset + 10),
  });
  const data = Buffer.from(JSON.stringify([[9, "c9"]]));
  lone.sent.length = 0;
  const deliver = async (): Promise<void> => {
    for (let offset = 0; offset < data.length; offset += 10) {
      lone.driver.receive(part(offset));
      lone.driver.receive({ kind: "heartbeat", from: 1, to: 2, term: 2, commit: 1, round: 0 });
    }
    await lone.pass();
  };
  // The term is written before, with the first part.
  lone.disk.capacity = lone.disk.bytesUsed + 64;
  await deliver();
  expect(lone.faults).toEqual([]);
  expect(lone.trouble).toEqual([expect.stringMatching(/could not be written: .*no space/)]);
  expect(lone.of("appendAnswer")).toEqual([]);
  expect([lone.driver.lastIndex, lone.driver.snapshotIndex, lone.list.items.length]).toEqual([1, 0, 1]);
  lone.disk.capacity = Number.POSITIVE_INFINITY;
  await deliver();
  expect(lone.of("appendAnswer").map(({ index }) => index)).toContain(9);
  expect([lone.driver.lastIndex, lone.driver.snapshotIndex]).toEqual([9, 9]);
  expect(lone.list.items).toEqual([[9, "c9"]]);
  await lone.restart(3);
  expect([lone.driver.lastIndex, lone.driver.appliedIndex, lone.driver.term]).toEqual([9, 9, 2]);
});

it("what is known to be committed from elsewhere is applied before the start, and must be there", async () => {
  const lone = new Lone();
  lone.driver.start();
  await lone.append([command(1), command(2), command(3)], 1);
  await lone.restart(2);
  expect(lone.driver.appliedIndex).toBeLessThanOrEqual(1);
  lone.driver.commitAtLeast(2);
  lone.driver.commitAtLeast(1);
  expect([lone.driver.appliedIndex, lone.driver.commitIndex]).toEqual([2, 2]);
  expect(lone.list.items.at(-1)).toEqual([2, "c2"]);
  expect(() => lone.driver.commitAtLeast(4)).toThrow(
    expect.objectContaining({
      sqlstate: "XX001",
      message: "the consensus log ends at entry 3, but storage has seen entry 4",
    }),
  );
  lone.driver.start();
  await lone.append([command(4)], 4, 1, 1);
  expect(lone.driver.appliedIndex).toBe(4);
  lone.driver.stop();
});

describe("a snapshot of its own", () => {
  it("leaves entries behind it by number and by bytes", async () => {
    for (const [entriesKeptBytes, kept] of [
      [1 << 20, 5],
      [400, 3],
      [0, 0],
    ] as const) {
      const group = new Group(51);
      const { driver } = group.add(1, undefined, [1], { entriesKeptBytes, snapshotAfterBytes: 2000 });
      while (driver.snapshotIndex === 0) await driver.propose(Buffer.alloc(100));
      // And those that came while it was written.
      expect(driver.logEntries).toBe(kept + driver.lastIndex - driver.snapshotIndex);
      expect(driver.node.log.baseIndex).toBe(driver.snapshotIndex - kept);
      driver.stop();
    }
  });

  it("that does not fit on the disk is told of, and the log goes on without it", async () => {
    const trouble: string[] = [];
    const group = new Group(52);
    const onTrouble = (what: string): number => trouble.push(what);
    const { driver, disk, list } = group.add(1, undefined, [1], { snapshotAfterBytes: 2000, onTrouble });
    for (let turn = 0; turn < 5; turn++) await driver.propose(Buffer.from(`x${turn}`.padEnd(100, ".")));
    // For entries, but not for what all of them make together.
    disk.capacity = disk.bytesUsed + 2200;
    while (trouble.length === 0) await driver.propose(Buffer.from("y".padEnd(100, ".")));
    const index = await driver.propose(Buffer.from("still here"));
    expect(list.items.at(-1)).toEqual([index, "still here"]);
    expect([driver.snapshotIndex, group.faults]).toEqual([0, []]);
    driver.stop();
  });
});
