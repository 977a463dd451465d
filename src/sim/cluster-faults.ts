/**
 * What goes wrong in a simulated cluster: processes killed, stopped, paused; machines without power, with clocks that jump and
 * disks that are slow, torn or old; networks cut in every shape. Each fault ends by itself, or when all is healed.
 */
import { RaftStorage } from "../raft/index.js";
import { isBehind, type RaftFacts, type SimMember, type World } from "./cluster-process.js";
import type { Fault } from "./cluster-swarm.js";
import type { SimDisk } from "./disk.js";

/** What the faults need of the cluster. */
export interface Patients {
  readonly members: readonly SimMember[];
  start(member: SimMember): void;
  /** The machine loses power (true), or the process is killed. */
  crash(member: SimMember, power: boolean): void;
  stop(member: SimMember): Promise<void>;
  leader(): SimMember | undefined;
  /** Whether all are where the log says. */
  areFound(): boolean;
  /** Whether one more node may be lost for good. */
  mayLose(member: SimMember): boolean;
}

interface Image {
  readonly disk: SimDisk;
  readonly facts: RaftFacts;
  readonly atMs: number;
}

const imagesMax = 4;
const oldMs = 1500;
/** Longer than a leader counts on somebody whom it does not hear. */
const quietMs = 3000;

export class Faults {
  readonly #world: World;
  readonly #patients: Patients;
  #healing = false;
  /** Hosts that do not all reach each other, until when. */
  networkFaultUntil = 0;
  lastPaused = new Map<string, number>();
  /** Faults that last. */
  #active = 0;
  /** Its folder is being put back, and it has not been refused yet, or has caught up with what it had. */
  #proving: SimMember | undefined;
  /** Of each member, the oldest first. */
  readonly #images = new Map<string, Image[]>();

  constructor(world: World, patients: Patients) {
    this.#world = world;
    this.#patients = patients;
  }

  /** Until everything is healed. */
  async run(): Promise<void> {
    this.#healing = false;
    const { random, swarm } = this.#world;
    while (!this.#healing) {
      await this.#sleep(-Math.log(1 - random.fraction()) * swarm.faultEveryMs);
      if (this.#healing) return;
      if (this.#isProving()) continue;
      this.#takeImage();
      const fault = swarm.faults[random.below(swarm.faults.length)]!;
      this.#active++;
      void this.#inject(fault).finally(() => {
        this.#active--;
      });
    }
  }

  heal(): void {
    this.#healing = true;
    const { wire, clock } = this.#world;
    wire.healAll();
    this.networkFaultUntil = clock.monotonic();
    for (const member of this.#patients.members) {
      const { process, disk } = member;
      disk.syncMs = this.#world.swarm.syncMs;
      if (process === undefined || process.dead) continue;
      if (process.clock.paused) this.#resume(member);
      if (process.stalled) process.unstall();
    }
  }

  /**
   * A folder that was put back has lost what its member promised. Only those who heard it promise can tell: with another of them
   * away, more is lost than a quorum of three can bear.
   */
  #isProving(): boolean {
    const member = this.#proving;
    if (member === undefined) return false;
    const { putBack, process, gone } = member;
    const caughtUp =
      putBack !== undefined &&
      process?.isUp === true &&
      process.lastIndex >= putBack.lastIndex &&
      process.term >= putBack.term;
    if (gone || caughtUp || this.#world.model.removedAt.has(member.uuid)) this.#proving = undefined;
    return this.#proving !== undefined;
  }
  #isCalm(): boolean {
    const { model, clock } = this.#world;
    return (
      this.#active === 1 &&
      this.networkFaultUntil < clock.monotonic() &&
      this.#patients.members.every(
        ({ uuid, gone, raftId, process }) =>
          gone || raftId === 0 || model.removedAt.has(uuid) || (process?.isUp === true && process.ready),
      )
    );
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#world.clock.after(ms, resolve));
  }
  #between(least: number, most: number): number {
    return least + this.#world.random.fraction() * (most - least);
  }

  #alive(): SimMember[] {
    return this.#patients.members.filter(({ process }) => process?.isUp === true && !process.stopping);
  }
  #any(): SimMember | undefined {
    const alive = this.#alive();
    return alive[this.#world.random.below(alive.length)];
  }

  #anyWithImage(): SimMember | undefined {
    const able = this.#alive().filter((one) => this.#images.has(one.name) && this.#patients.mayLose(one));
    return able[this.#world.random.below(able.length)];
  }

  async #inject(fault: Fault): Promise<void> {
    const { random, log } = this.#world;
    const toLeader = fault === "killLeader" || fault === "pauseLeader" || fault === "isolateLeader";
    const member = toLeader
      ? (this.#patients.leader() ?? this.#any())
      : ((fault === "putBack" ? this.#anyWithImage() : undefined) ?? this.#any());
    if (member === undefined) return;
    log.note(`fault ${fault} ${member.name}`);
    switch (fault) {
      case "kill":
        return this.crash(member, false);
      case "power":
        return this.crash(member, true);
      case "killLeader":
        return this.crash(member, random.below(2) === 0);
      case "stop":
        return this.#stop(member);
      case "pause":
      case "pauseLeader":
        return this.#pause(member);
      case "stallMain":
        return this.#stallMain(member);
      case "partition":
        return this.#partition();
      case "isolateLeader":
        return this.#isolate(member);
      case "oneWay":
        return this.#oneWay(member);
      case "bridge":
        return this.#bridge();
      case "flap":
        return this.#flap(member);
      case "jump":
        return this.#jump(member);
      case "slowDisk":
        return this.#slowDisk(member);
      case "failSync":
        return this.#failSync(member);
      case "putBack":
        return this.#putBack(member);
      case "move":
        return this.#move(member);
    }
  }

  // --- processes ---------------------------------------------------------------------------------------------------

  #downtime(): number {
    const { random } = this.#world;
    return [0, this.#between(5, 300), this.#between(300, 3000), this.#between(2000, 15_000)][
      random.below(4)
    ]!;
  }

  /** Down, and up again after a while. */
  async crash(member: SimMember, power: boolean): Promise<void> {
    const { process } = member;
    // Power is lost in the middle of a write, where there is most to lose.
    if (power && this.#world.random.below(2) === 0)
      for (let turn = 0; turn < 100 && !member.disk.isWriting("raft/"); turn++) await this.#sleep(0.25);
    if (this.#healing || member.process !== process || process?.dead !== false) return;
    this.#patients.crash(member, power);
    await this.#sleep(this.#downtime());
    this.#patients.start(member);
  }

  async #stop(member: SimMember): Promise<void> {
    await this.#patients.stop(member);
    // Whoever heals has started all others by then.
    if (!this.#healing) await this.#sleep(this.#downtime());
    this.#patients.start(member);
  }

  async #pause(member: SimMember): Promise<void> {
    const { wire, log, swarm } = this.#world;
    const process = member.process!;
    if (process.clock.paused) return;
    const ms = this.#world.random.below(3) === 0 ? this.#between(10, 500) : this.#between(500, 8000);
    wire.pause(member.name);
    process.clock.pause();
    this.lastPaused.set(member.name, Number.POSITIVE_INFINITY);
    if (ms > swarm.tickMs * 20) log.sometimes("pause longer than an election");
    await this.#sleep(ms);
    if (member.process === process && process.clock.paused && !process.dead) this.#resume(member);
  }
  #resume(member: SimMember): void {
    const { wire, clock, log } = this.#world;
    log.note(`resume ${member.name}`);
    this.lastPaused.set(member.name, clock.monotonic());
    member.process!.clock.resume();
    wire.resume(member.name);
  }

  async #stallMain(member: SimMember): Promise<void> {
    const process = member.process!;
    if (process.stalled) return;
    process.stall();
    this.#world.log.sometimes("main stalled");
    const { random } = this.#world;
    await this.#sleep(
      [this.#between(50, 500), this.#between(500, 4000), this.#between(4000, 9000)][random.below(3)]!,
    );
    if (process.stalled && !process.dead) process.unstall();
  }

  // --- network -----------------------------------------------------------------------------------------------------

  #hosts(): string[] {
    return this.#patients.members.filter((one) => !one.gone).map(({ name }) => name);
  }
  async #cutFor(what: string): Promise<void> {
    const { random, wire, log, clock } = this.#world;
    const ms = [this.#between(50, 700), this.#between(700, 4000), this.#between(3000, 12_000)][
      random.below(3)
    ]!;
    const until = clock.monotonic() + ms;
    this.networkFaultUntil = Math.max(this.networkFaultUntil, until);
    log.note(`network: ${what} for ${ms.toFixed(0)} ms`);
    await this.#sleep(ms);
    if (this.networkFaultUntil <= until && !this.#healing) {
      log.note("network: healed");
      wire.healAll();
    }
  }

  #split(): [string[], string[]] {
    const { random } = this.#world;
    const hosts = this.#hosts();
    for (let at = hosts.length - 1; at > 0; at--) {
      const other = random.below(at + 1);
      [hosts[at], hosts[other]] = [hosts[other]!, hosts[at]!];
    }
    const size = 1 + random.below(Math.max(1, hosts.length - 1));
    return [hosts.slice(0, size), hosts.slice(size)];
  }

  #partition(): Promise<void> {
    const [left, right] = this.#split();
    this.#world.wire.partition(left, right);
    return this.#cutFor(`${left.join(" ")} | ${right.join(" ")}`);
  }
  #isolate({ name }: SimMember): Promise<void> {
    const others = this.#hosts().filter((one) => one !== name);
    this.#world.wire.partition([name], others);
    return this.#cutFor(`${name} | ${others.join(" ")}`);
  }
  /** One hears the others and is not heard, or the other way round; all of them or one. */
  #oneWay({ name }: SimMember): Promise<void> {
    const { random, wire, log } = this.#world;
    const others = this.#hosts().filter((one) => one !== name);
    const those = random.below(2) === 0 ? others : others.slice(0, 1);
    const deaf = random.below(2) === 0;
    for (const other of those) {
      if (deaf) wire.cut(other, name);
      else wire.cut(name, other);
    }
    log.sometimes("asymmetric partition");
    return this.#cutFor(`${name} ${deaf ? "does not hear" : "is not heard by"} ${those.join(" ")}`);
  }
  /** Two groups that see each other only through one node; or a ring. */
  #bridge(): Promise<void> {
    const { wire, log, random } = this.#world;
    const hosts = this.#hosts();
    if (hosts.length < 3) return this.#partition();
    log.sometimes("partial partition");
    if (hosts.length > 3 && random.below(2) === 0) {
      for (const [at, from] of hosts.entries())
        for (const [other, to] of hosts.entries()) {
          const distance = Math.abs(at - other);
          if (distance > 1 && distance < hosts.length - 1) wire.cut(from, to);
        }
      return this.#cutFor(`ring ${hosts.join(" ")}`);
    }
    const [left, right] = this.#split();
    const middle = left.length > 1 ? left.shift()! : right.shift()!;
    wire.partition(left, right);
    return this.#cutFor(`${left.join(" ")} | ${right.join(" ")}, and ${middle} sees all`);
  }
  async #flap({ name }: SimMember): Promise<void> {
    const { wire, random, log, clock } = this.#world;
    const others = this.#hosts().filter((one) => one !== name);
    const other = others[random.below(others.length)];
    if (other === undefined) return;
    log.sometimes("flapping link");
    const until = clock.monotonic() + this.#between(1000, 8000);
    while (!this.#healing && clock.monotonic() < until) {
      wire.partition([name], [other]);
      await this.#sleep(this.#between(20, 900));
      wire.heal(name, other);
      wire.heal(other, name);
      await this.#sleep(this.#between(20, 900));
    }
  }

  // --- clocks and disks --------------------------------------------------------------------------------------------

  #jump(member: SimMember): void {
    const { random, log } = this.#world;
    const size = [this.#between(1, 1000), this.#between(1000, 120_000), 86_400_000 * this.#between(0.1, 400)];
    const ms = size[random.below(3)]! * (random.below(2) === 0 ? 1 : -1);
    member.process!.clock.jump(ms);
    member.skewMs = member.process!.clock.skewMs;
    log.note(`the clock of ${member.name} jumps by ${ms.toFixed(0)} ms`);
    log.sometimes("wall clock jumped");
  }

  async #slowDisk({ disk }: SimMember): Promise<void> {
    const { swarm } = this.#world;
    disk.syncMs = this.#between(20, 1200);
    await this.#sleep(this.#between(500, 6000));
    disk.syncMs = swarm.syncMs;
  }

  #failSync(member: SimMember): void {
    member.failing = member.disk;
    member.disk.failSync("raft/");
  }

  /** Sometimes a copy of a folder is kept, as it would be found after a crash. */
  #takeImage(): void {
    const { random, swarm } = this.#world;
    if (!swarm.faults.includes("putBack") || random.below(2) === 0) return;
    const member = this.#any();
    if (member === undefined || member.founder || member.process?.ready !== true) return;
    const image = this.#imageOf(member);
    if (image === undefined) return;
    const kept = this.#images.get(member.name) ?? [];
    this.#images.set(member.name, [...kept.slice(-(imagesMax - 1)), image]);
  }

  #imageOf(member: SimMember): Image | undefined {
    const disk = member.disk.crash();
    const facts = this.#factsOf(disk);
    return facts && { disk, facts, atMs: this.#world.clock.monotonic() };
  }

  #factsOf(disk: SimDisk): RaftFacts | undefined {
    // On a copy: opening cuts a torn end.
    const { recovered } = new RaftStorage({ disk: disk.crash(), hash: this.#world.hash, folder: "raft" });
    if (recovered === undefined) return undefined;
    return { lastIndex: recovered.base.index + recovered.entries.length, term: recovered.hard.term };
  }

  async #putBack(member: SimMember): Promise<void> {
    const { log, random, clock } = this.#world;
    const images = this.#images.get(member.name) ?? [];
    // Seldom one that was taken a moment ago: as a rule it has forgotten nothing.
    const old = images.filter(({ atMs }) => atMs < clock.monotonic() - oldMs);
    const image =
      random.below(3) === 0 && !member.founder ? this.#imageOf(member) : old[random.below(old.length)];
    // Where nobody has heard yet of where it has moved, none of those whom its old folder knows would meet it, to refuse it.
    const mayBe = this.#isCalm() && this.#patients.areFound() && this.#patients.mayLose(member);
    if (image === undefined || !mayBe) return this.crash(member, true);
    this.#proving = member;
    // It may be lost for good, and no other vote with it.
    this.#world.quietUntil = Number.POSITIVE_INFINITY;
    this.#patients.crash(member, true);
    await this.#sleep(random.below(2) === 0 ? 0 : this.#downtime());
    const facts = member.process?.dead === true ? this.#factsOf(member.disk) : undefined;
    if (facts === undefined) {
      this.#proving = undefined;
      this.#world.quietUntil = 0;
      return this.#patients.start(member);
    }
    const disk = image.disk.crash();
    member.putBack = {
      lastIndex: facts.lastIndex,
      term: facts.term,
      oldIndex: image.facts.lastIndex,
      oldTerm: image.facts.term,
    };
    member.disk = disk;
    log.note(`the folder of ${member.name} is put back: ${JSON.stringify(member.putBack)}`);
    if (!isBehind(member.putBack)) log.sometimes("stale folder that was not behind");
    this.#world.quietUntil = clock.monotonic() + quietMs;
    // What it has forgotten counts most while somebody asks for its vote.
    const leader = random.below(2) === 0 ? this.#patients.leader() : undefined;
    this.#patients.start(member);
    if (leader !== undefined && leader !== member) await this.crash(leader, false);
  }

  /** Comes back on another port. */
  async #move(member: SimMember): Promise<void> {
    // Two that have lost each other are found by nobody; one that everybody knows finds the others.
    if (!this.#patients.areFound() || member.process?.ready !== true) return this.crash(member, false);
    this.#patients.crash(member, false);
    member.port++;
    await this.#sleep(this.#downtime());
    this.#patients.start(member);
  }
}
