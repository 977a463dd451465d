/**
 * A whole cluster under one seed: nodes on clocks, disks and a wire of the simulator, clients that change it, and faults. What
 * must hold is in `cluster-model.ts`, what must be seen somewhere in `cluster-events.ts`.
 *
 *     round: clients and faults for a while; then all is healed, and within ten election timeouts a proposal must be
 *     committed, and all members that live become equal
 *
 * `npm run sim` runs many seeds; `runSeed` is one. Invariant: two runs of one seed have the same digest.
 */
import xxhash, { type XXHashAPI } from "xxhash-wasm";
import type { DbError } from "../base/errors.js";
import { shareResults } from "../base/shared.js";
import type { FirstPeer } from "../cluster/contract.js";
import { type ControlPlane, roleBits } from "../cluster/index.js";
import { groupOf } from "../cluster/membership.js";
import { identityFormat, writeIdentity } from "../identity.js";
import type { SchemaDesc } from "../model/schema.js";
import { uuidFromBytes } from "../model/uuid.js";
import { SimClock } from "./clock.js";
import { Clients } from "./cluster-clients.js";
import { EventLog, type Violation } from "./cluster-events.js";
import { Faults, type Patients } from "./cluster-faults.js";
import { Model } from "./cluster-model.js";
import type { Mutation } from "./cluster-mutations.js";
import {
  addressesAt,
  type ControlProcess,
  counterId,
  nodeVersion,
  type SimMember,
  savedOf,
  type World,
} from "./cluster-process.js";
import { type Swarm, swarmOf } from "./cluster-swarm.js";
import { processOf, Sessions } from "./cluster-whole.js";
import { SimDisk } from "./disk.js";
import { SimWire } from "./peers.js";
import { SimRandom } from "./random.js";
import { simCertificate, simCertificatePath } from "./trust.js";

export interface RunOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly bug?: Mutation | undefined;
  /** Every line. */
  readonly trace?: ((line: string) => void) | undefined;
  /** In place of what the seed makes of it. */
  readonly swarm?: Partial<Swarm> | undefined;
}

export interface RunReport {
  readonly swarm: Swarm;
  readonly violation: Violation | undefined;
  readonly tail: readonly string[];
  readonly digest: string;
  readonly seen: ReadonlyMap<string, number>;
  readonly lines: number;
  readonly simulatedMs: number;
  readonly asked: number;
  readonly done: number;
  readonly entries: number;
}

/** Of what nodes decode, for one that decodes it next: entries of some runs. */
const sharedCharacters = 32 << 20;
const takesVotes = /^(moveMember|removeMember|setRoles|forceCutover)/;

const roundMs = 40_000;
/** A cluster that is whole again has become equal by then. */
const convergeMs = 45_000;

export async function runSeed(options: RunOptions): Promise<RunReport> {
  shareResults(sharedCharacters);
  const hash = await xxhash();
  const swarm = { ...swarmOf(options.seed), ...options.bug?.swarm, ...options.swarm };
  const cluster = new Cluster(swarm, options, hash);
  const undo = options.bug?.install?.(cluster);
  const lost = (error: unknown): void => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    cluster.log.violated("no broken invariant", text);
  };
  process.on("unhandledRejection", lost);
  process.on("uncaughtException", lost);
  try {
    await cluster.run(options.minutes * 60_000);
    cluster.clock.stop();
    // Whatever was thrown last is told of in the next turn of the host's loop.
    await new Promise<void>((resolve) => setImmediate(resolve));
    return cluster.report();
  } finally {
    process.off("unhandledRejection", lost);
    process.off("uncaughtException", lost);
    cluster.end();
    undo?.();
  }
}

/**
 * The first seed at which a seeded bug is noticed. A run that fails without the bug just so shows nothing of it, and is not counted.
 */
export async function findBug(
  bug: Mutation,
  { from, seeds, minutes }: { readonly from: number; readonly seeds: number; readonly minutes: number },
): Promise<{ readonly seed: number; readonly violation: Violation; readonly passed: number } | undefined> {
  let passed = 0;
  for (let seed = from; seed < from + seeds; seed++) {
    const { violation } = await runSeed({ seed, minutes, bug });
    if (violation === undefined) continue;
    const without = await runSeed({ seed, minutes, swarm: bug.swarm });
    if (without.violation === undefined || without.violation.atMs > violation.atMs)
      return { seed, violation, passed };
    passed++;
  }
  return undefined;
}

class Cluster implements World, Patients {
  readonly swarm: Swarm;
  readonly hash: XXHashAPI;
  readonly bug: Mutation | undefined;
  readonly clock = new SimClock(undefined, 32);
  readonly random: SimRandom;
  readonly wire: SimWire;
  readonly log: EventLog;
  readonly model: Model;
  readonly clusterUuid: string;
  answered = 0;
  quietUntil = 0;
  readonly members: SimMember[] = [];
  readonly #clients: Clients;
  readonly #faults: Faults;
  readonly #sessions: Sessions;
  #lastLeader: ControlProcess | undefined;
  #healed = false;
  #adding = false;

  constructor(swarm: Swarm, { seed, trace, bug }: RunOptions, hash: XXHashAPI) {
    this.swarm = swarm;
    this.hash = hash;
    this.bug = bug;
    this.random = new SimRandom(seed);
    this.log = new EventLog(() => this.clock.monotonic(), trace);
    this.model = new Model(this.log);
    this.wire = new SimWire({
      clock: this.clock,
      seed: this.random.bits(),
      latencyMs: swarm.latencyMs,
      jitterMs: swarm.jitterMs,
      spikeChance: swarm.spikeChance,
      spikeMs: swarm.spikeMs,
      tcpTimeoutMs: swarm.tcpTimeoutMs,
    });
    this.clusterUuid = this.#uuid();
    this.#clients = new Clients(this);
    this.#faults = new Faults(this, this);
    this.#sessions = new Sessions(
      this,
      (member) => void this.#faults.crash(member, this.random.below(2) === 0),
    );
  }

  *processes(): Iterable<ControlProcess> {
    for (const { process } of this.members) if (process !== undefined && !process.dead) yield process;
  }

  processOf(node: string): ControlProcess | undefined {
    const process = this.members.find(({ uuid }) => uuid === node)?.process;
    return process?.dead === false ? process : undefined;
  }

  // --- the run -----------------------------------------------------------------------------------------------------

  async run(ms: number): Promise<void> {
    const { swarm, log } = this;
    log.note(JSON.stringify(swarm));
    await this.#found();
    while (this.clock.monotonic() < ms && log.violation === undefined) {
      await this.#chaos(Math.min(roundMs, Math.max(10_000, ms - this.clock.monotonic() - 10_000)));
      if (log.violation === undefined) await this.#heal();
    }
  }

  async #found(): Promise<void> {
    this.#healed = true;
    const founder = this.#newMember(true);
    this.#create(founder, 1, []);
    this.start(founder);
    const founded = (): boolean => founder.process?.ready === true;
    if (await this.#until(founded, 10_000)) {
      if (this.swarm.level === "whole") {
        this.crash(founder, false);
        this.start(founder);
      }
    }
    if (!(await this.#until(founded, 10_000)))
      return this.log.violated("a cluster can be founded", this.#picture());
    const { failureTimeoutMs, removalGraceMs } = this.swarm;
    for (const [key, value] of [
      ["membership.failure_timeout", `${failureTimeoutMs}ms`],
      ["membership.removal_grace", `${removalGraceMs}ms`],
      ...(this.swarm.operations.includes("emergency")
        ? [["ca.emergency_window", this.swarm.seed % 3 === 0 ? "6s" : "1s"] as const]
        : []),
    ] as const)
      await this.#clients.change(founder.process!, { kind: "set", key, value });
    while (this.#following().length < this.swarm.nodes && this.log.violation === undefined)
      await this.#grow();
    await this.#until(() => this.#following().every((one) => one.process?.ready === true), 20_000);
    this.log.note("founded");
  }

  async #chaos(ms: number): Promise<void> {
    this.#healed = false;
    this.#clients.resume();
    this.#sessions.resume();
    const until = this.clock.monotonic() + ms;
    void this.#faults.run();
    while (this.clock.monotonic() < until && this.log.violation === undefined) {
      await this.#sleep(250);
      this.#startKnown();
      if (!this.#adding && this.#following().length < this.swarm.nodes && this.random.below(4) === 0)
        void this.#grow();
    }
    this.#clients.pause();
    this.#sessions.pause();
  }

  async #heal(): Promise<void> {
    const { log, clock, swarm } = this;
    log.note("heal");
    this.#healed = true;
    this.#faults.heal();
    const since = clock.monotonic();
    for (const member of this.members) this.start(member);
    // Ten election timeouts, of the longest that are drawn.
    const limit = Math.max(10_000, 10 * 20 * swarm.tickMs);
    let made = false;
    void (async () => {
      while (!made && clock.monotonic() - since < limit) {
        // Who was removed and has not heard of it finds nobody.
        const able = [...this.processes()].filter(
          (one) => one.ready && one.isUp && !this.model.removedAt.has(one.member.uuid),
        );
        const process = able[this.random.below(able.length)];
        await this.#sleep(50);
        if (process === undefined) continue;
        const asked = this.#clients.setting(process).then(({ outcome }) => {
          made ||= outcome === "done";
        });
        // One that ends, since its disk had failed before, answers nobody.
        await Promise.race([asked, this.#until(() => process.dead, limit)]);
      }
    })();
    if (!(await this.#until(() => made, limit)))
      return log.violated("a cluster that is whole again decides", this.#picture());
    await this.#removeGone();
    await this.#converge();
  }

  /** Who is lost for good makes room. */
  async #removeGone(): Promise<void> {
    for (const { uuid, gone } of this.members) {
      const known = this.model.state.cluster.members.get(uuid);
      if (!gone || known === undefined || known.state === "REMOVED") continue;
      for (let turn = 0; turn < 20; turn++) {
        const process = [...this.processes()].find(
          (one) => one.ready && one.isUp && one.member.uuid !== uuid,
        );
        if (process !== undefined) await this.#clients.remove(process, { uuid }, 0);
        if (this.model.state.cluster.members.get(uuid)?.state === "REMOVED") break;
        await this.#sleep(500);
      }
    }
  }

  async #converge(): Promise<void> {
    const { log, model } = this;
    let why = "";
    const equal = await this.#until(() => {
      why = this.#whyUnequal() ?? "";
      return why === "";
    }, convergeMs);
    if (!equal) return log.violated("all that live become equal", `${why}\n${this.#picture()}`);
    const text = Buffer.from(model.state.save()).toString();
    const states = new Map<string, string>();
    for (const process of this.#live()) {
      const { plane, actor, name } = process;
      const state = Buffer.from(actor!.state.save()).toString();
      states.set(name, state);
      // As `save` writes it, without the streams.
      if (!state.startsWith(`${JSON.stringify(savedOf(plane!)).slice(0, -1)},"streams":`))
        log.violated("both halves of a node are equal", name);
    }
    const whole = JSON.stringify({
      catalog: model.state.catalog.saved(),
      cluster: model.state.cluster.save(),
    });
    for (const [name, state] of states) {
      if (state !== text) log.violated("one state", `${name} has another state than the model`);
    }
    log.note(`equal at ${model.lastIndex}: ${whole.length} bytes`);
    // Who was taken back with an old folder has again what it had.
    for (const { member } of this.#live()) member.putBack = undefined;
    model.checkAnswers();
    this.#checkCounter();
    if (this.swarm.level === "whole") await this.#sessions.check(this.members[0]?.process);
  }

  /** Every count that was answered is in it, none twice. */
  #checkCounter(): void {
    const { name } = this.model.state.catalog.get(counterId) as SchemaDesc;
    const counted = Number(name.slice("counter_".length));
    let made = 0;
    // Asked of one with an old folder, which may have used its number before.
    let unclear = 0;
    for (const { what, origin, outcome } of this.model.asked) {
      if (!what.startsWith("counter ")) continue;
      if (origin === undefined && outcome !== "open") unclear++;
      if ((this.model.proposals.get(origin ?? "")?.accepted ?? 0) > 0) made++;
    }
    if (counted < made || counted > made + unclear)
      this.log.violated("no update is lost", `the counter is at ${counted} after ${made} counts`);
  }

  #live(): ControlProcess[] {
    const { members } = this.model.state.cluster;
    return [...this.processes()].filter(
      ({ member, fault }) =>
        fault === undefined && (members.get(member.uuid)?.state ?? "REMOVED") !== "REMOVED" && !member.gone,
    );
  }

  /** Whether somebody is where the node looks for him. Whom nobody looks for, and who finds nobody, hears nothing. */
  #findsAny({ cluster }: Pick<ControlPlane, "cluster">): boolean {
    return this.#live().some(({ member: { uuid, name, port } }) => {
      const known = cluster.members.get(uuid);
      return known?.addresses.control === addressesAt(name, port).control;
    });
  }

  /** An exchange that goes on by itself ends once everybody is back. */
  #laggards(): string {
    const { laggards } = this.model.state.cluster.rotationProgress()!;
    return [...laggards].map(([node, why]) => `${node} ${why}`).join(", ");
  }

  #whyUnequal(): string | undefined {
    const { model } = this;
    const { cluster } = model.state;
    this.#startKnown();
    const live = this.#live();
    const leaders = live.filter(({ role }) => role === "leader");
    if (leaders.length !== 1) return `${leaders.length} lead`;
    if (cluster.rotation !== undefined) return `CAs are being exchanged: ${this.#laggards()}`;
    const group = groupOf(cluster.members.values());
    for (const { plane, actor, name, ready, leader } of live) {
      if (!ready || plane === undefined || actor === undefined) return `${name} is not ready`;
      if (plane.appliedIndex !== model.lastIndex)
        return `${name} is at ${plane.appliedIndex}, not ${model.lastIndex}`;
      if (leader !== leaders[0]!.member.uuid) return `${name} follows ${leader}`;
      const { voters, learners, outgoing } = actor.group;
      if (JSON.stringify([voters, learners, outgoing]) !== JSON.stringify([group.voters, group.learners, []]))
        return `${name} has the voters ${voters} and the learners ${learners}, not ${group.voters} and ${group.learners}`;
      const under = plane.underWay + actor.underWay;
      if (under > 0) return `${under} things are under way on ${name}`;
      if (actor.status().epochMismatch) return `${name} has an epoch mismatch`;
    }
    for (const { name, member, ready, plane } of this.processes()) {
      const known = cluster.members.get(member.uuid);
      // Whose CA is gone is anybody's word to those it calls: it is told nothing.
      const isHeard = cluster.authorities.some((one) => one.fingerprint === known?.certificate?.issuer);
      if (ready && known?.state === "REMOVED" && isHeard && this.#findsAny(plane!))
        return `${name} is removed and goes on`;
    }
    for (const { uuid, name, state } of cluster.members.values()) {
      if (state === "REMOVED" || state === "ENABLED" || state === "DISABLED") continue;
      return `${name} (${uuid}) is ${state}`;
    }
    const { latest } = cluster;
    if (latest?.state !== "EFFECTIVE") return `epoch ${latest?.epoch.number} is ${latest?.state}`;
    return undefined;
  }

  // --- members -----------------------------------------------------------------------------------------------------

  #uuid(): string {
    const bytes = new Uint8Array(16);
    this.random.fill(bytes);
    bytes[6] = (bytes[6]! & 0x0f) | 0x70;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    return uuidFromBytes(bytes);
  }

  #newMember(founder: boolean): SimMember {
    const { random, swarm } = this;
    const member: SimMember = {
      name: `n${this.members.length + 1}`,
      uuid: this.#uuid(),
      founder,
      raftId: 0,
      disk: new SimDisk({ clock: this.clock, seed: random.bits() }),
      port: 6433,
      rate: 1 + (random.fraction() * 2 - 1) * swarm.drift,
      skewMs: (random.fraction() * 2 - 1) * swarm.skewMs,
      process: undefined,
      putBack: undefined,
      gone: false,
      failing: undefined,
    };
    this.members.push(member);
    return member;
  }

  /** Its data folder, as joining leaves it. */
  #create(member: SimMember, raftId: number, peers: readonly FirstPeer[]): void {
    const { name, uuid, founder, port } = member;
    member.raftId = raftId;
    writeIdentity(member.disk, {
      format: identityFormat,
      nodeId: uuid,
      nodeName: name,
      clusterId: this.clusterUuid,
      clusterName: "sim",
      createdAt: Math.floor(this.clock.now()),
      host: name,
      hostLabel: name,
      ports: { pg: 5433, http: 8433, rpc: 7433, control: port },
      creation: { shards: 2, pageSize: 8192, encryption: false },
      mockSecret: Buffer.alloc(32, 7).toString("base64"),
      raftId,
      founder,
      established: false,
      peers,
    });
  }

  /** Members as the log has them, that were not removed. */
  #following(): SimMember[] {
    const { members } = this.model.state.cluster;
    return this.members.filter(({ uuid }) => {
      const known = members.get(uuid);
      return known !== undefined && known.state !== "REMOVED";
    });
  }

  async #grow(): Promise<void> {
    this.#adding = true;
    const able = [...this.processes()].filter((one) => one.ready);
    const process = able[this.random.below(able.length)];
    if (process === undefined) {
      await this.#sleep(100);
      this.#adding = false;
      return;
    }
    const member = this.#newMember(false);
    const primary = this.model.state.cluster.authorities.find((one) => one.primary)?.fingerprint;
    const issued = simCertificate(this.clusterUuid, member.uuid, primary);
    const { certFingerprint, publicKey, certificate } = issued;
    member.disk.makeFolderSync("tls");
    member.disk.writeFileSync(simCertificatePath, Buffer.from(issued.text));
    const asked = this.#clients.change(process, {
      kind: "addMember",
      member: {
        uuid: member.uuid,
        name: member.name,
        certFingerprint,
        publicKey,
        certificate,
        addresses: addressesAt(member.name, member.port),
        hostLabel: member.name,
        roles: this.random.below(6) === 0 ? roleBits.LEARNER : roleBits.VOTER | roleBits.COORDINATOR,
        version: nodeVersion,
      },
    });
    // It may never be answered.
    await Promise.race([asked, this.#sleep(15_000)]);
    this.#startKnown();
    this.#adding = false;
  }

  /** Whose CA is gone is let in by nobody: an administrator brings it back, or removes it. */
  #noteLeftBehind(): void {
    const { cluster } = this.model.state;
    for (const member of this.members) {
      const known = cluster.members.get(member.uuid);
      const issuer = known?.certificate?.issuer;
      if (member.gone || issuer === undefined || known?.state === "REMOVED") continue;
      const trusted = [...cluster.authorities, ...cluster.pinnedAuthorities];
      if (trusted.some((one) => one.fingerprint === issuer)) continue;
      this.log.sometimes("member left behind by an emergency");
      this.log.note(`${member.name} is left behind`);
      if (known?.state === "ENABLED" || member.founder)
        this.log.violated("who is left behind has no vote", `${member.name} is ${known?.state}`);
      member.gone = true;
      this.crash(member, false);
    }
  }

  /** Newcomers that the log has taken in. */
  #startKnown(): void {
    this.#noteLeftBehind();
    const { members } = this.model.state.cluster;
    for (const member of this.members) {
      const known = members.get(member.uuid);
      if (member.raftId !== 0 || known === undefined || known.state === "REMOVED") continue;
      const peers = [...members.values()].filter(
        (one) => one.state !== "REMOVED" && one.uuid !== member.uuid,
      );
      this.#create(
        member,
        known.raftId,
        peers.map(({ uuid, addresses, certFingerprint, raftId }) => ({
          uuid,
          address: addresses.control,
          certFingerprint,
          raftId,
        })),
      );
      this.start(member);
    }
  }

  start(member: SimMember): void {
    const { process, name, gone, raftId } = member;
    if (gone || raftId === 0 || (process !== undefined && !process.dead)) return;
    if (this.model.state.cluster.members.get(member.uuid)?.state === "REMOVED" && this.#healed) return;
    this.wire.powerOn(name);
    this.log.note(`start ${name}`);
    const next = processOf(this, member);
    void next.run();
    void this.#clients.serve(next);
    void this.#sessions.serve(next);
  }

  crash(member: SimMember, power: boolean): void {
    const { process, name } = member;
    if (process === undefined || process.dead) return;
    this.log.note(`${power ? "power off" : "kill"} ${name}`);
    process.kill();
    if (power) {
      this.wire.powerOff(name);
      member.disk = member.disk.crash();
    } else {
      member.disk.processKilled();
      this.wire.kill(name);
    }
  }

  async stop(member: SimMember): Promise<void> {
    const { process, name } = member;
    if (process === undefined || process.dead || process.stopping) return;
    this.log.note(`stop ${name}`);
    const stopped = process.stop().then(() => this.log.note(`${name} has stopped`));
    await Promise.race([stopped, this.#sleep(8_000)]);
    if (process.dead) return;
    process.half?.close();
    this.wire.kill(name);
    process.kill();
  }

  leader(): SimMember | undefined {
    let best: ControlProcess | undefined;
    for (const process of this.processes())
      if (process.role === "leader" && process.isUp && process.term > (best?.term ?? 0)) best = process;
    return best?.member;
  }

  areFound(): boolean {
    const following = this.#following();
    // By what each of them knew last, and by the log, which not all of them need have.
    const views = [
      this.model.state.cluster,
      ...following.flatMap(({ process }) => process?.plane?.cluster ?? []),
    ];
    const allHear = following.every(({ process }) => process?.isUp === true && process.ready);
    return (
      allHear &&
      views.every(({ members }) =>
        following.every(({ name, uuid, port }) => {
          const known = members.get(uuid);
          return known === undefined || known.addresses.control === addressesAt(name, port).control;
        }),
      )
    );
  }

  mayLose(member: SimMember): boolean {
    const { members } = this.model.state.cluster;
    const following = this.#following();
    if (following.some((one) => one.gone || one.putBack !== undefined)) return false;
    const voters = [...members.values()].filter(
      (one) => (one.state === "ENABLED" || one.state === "FAILED") && (one.roles & roleBits.VOTER) !== 0,
    );
    // The group follows the members, and may be behind; what is being asked for may be about to shrink it. What the leader alone
    // has of it may be lost with the leader.
    for (const { process } of following) {
      const group = process?.actor?.group;
      if (group === undefined || group.voters.length < 3 || group.outgoing.length > 0) return false;
    }
    const lately = this.model.asked.slice(-8);
    if (lately.some(({ what, outcome }) => outcome === "open" && takesVotes.test(what))) return false;
    return !member.founder && voters.length >= 3 && voters.every((one) => one.state === "ENABLED");
  }

  // --- what processes tell -----------------------------------------------------------------------------------------

  leads(process: ControlProcess, term: number): void {
    const { log, model } = this;
    log.note(`${process.name} leads in term ${term}`);
    model.leads(process.name, term);
    const removed = model.removedAt.get(process.member.uuid);
    if (removed !== undefined && (process.plane?.appliedIndex ?? 0) >= removed.index)
      log.violated("a removed member never leads", `${process.name} in term ${term}`);
    const last = this.#lastLeader;
    this.#lastLeader = process;
    if (last === undefined || last === process) return;
    const now = this.clock.monotonic();
    if (last.stopping) log.sometimes("leader changed by transfer at stop");
    else if (last.dead) log.sometimes("leader changed by crash");
    else if ((this.#faults.lastPaused.get(last.name) ?? Number.NEGATIVE_INFINITY) > now - 2000)
      log.sometimes("leader changed by pause");
    else if (this.#faults.networkFaultUntil > now - 500) log.sometimes("leader changed by partition");
  }

  failed(process: ControlProcess, error: DbError): void {
    const { log, model } = this;
    const { member } = process;
    const isStale = /was refused|from an older data folder/.test(error.message);
    let again = false;
    if (/was removed/.test(error.message)) {
      log.sometimes("removed member learned of it");
      if (!model.removedAt.has(member.uuid))
        log.violated("no fault without a cause", `${member.name}: ${error.message}`);
      member.gone = true;
    } else if (isStale && member.putBack !== undefined) {
      log.sometimes("stale folder refused");
      member.gone = true;
    } else if (error.condition === "ioError" && member.failing === member.disk) {
      log.sometimes("failed sync fenced a member");
      again = true;
    } else log.violated("no fault without a cause", `${member.name}: ${error.message}`);
    // A process that is over ends.
    void (async () => {
      await this.#sleep(20);
      if (process.dead) return;
      // The next start may read from the system's memory what the disk has refused.
      this.crash(member, !again || this.random.below(2) === 0);
      await this.#sleep(500);
      if (again) this.start(member);
    })();
  }

  // --- time --------------------------------------------------------------------------------------------------------

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(ms, resolve));
  }
  async #until(condition: () => boolean, ms: number): Promise<boolean> {
    const until = this.clock.monotonic() + ms;
    while (!condition()) {
      if (this.clock.monotonic() >= until || this.log.violation !== undefined) return condition();
      await this.#sleep(25);
    }
    return true;
  }

  /** For those who look for the cause. */
  #picture(): string {
    const lines: string[] = [];
    for (const { name, uuid, process, gone, raftId } of this.members) {
      const known = this.model.state.cluster.members.get(uuid);
      const status = process?.actor?.status();
      const group = process?.actor?.group;
      lines.push(
        `  ${name} (${raftId}) ${known?.state ?? "-"}${gone ? " gone" : ""} ${process === undefined ? "not started" : process.dead ? "dead" : process.fault ? "over" : process.ready ? "ready" : "starting"}` +
          (status === undefined || process?.dead
            ? ""
            : ` ${status.role} term ${status.term} leader ${this.#nameOf(status.leader)} log ${status.lastIndex}/${status.commitIndex}/${status.appliedIndex} main ${process?.plane?.appliedIndex} group ${JSON.stringify(group)} under way ${process?.actor?.underWay}/${process?.plane?.underWay} peers ${status.peers.map((one) => `${this.#nameOf(one.node)}${one.connected ? "+" : "-"}${one.epoch}`).join(" ")}`),
      );
    }
    return lines.join("\n");
  }
  #nameOf(uuid: string | undefined): string {
    return this.members.find((one) => one.uuid === uuid)?.name ?? "-";
  }

  report(): RunReport {
    const { log, model, swarm, clock } = this;
    return {
      swarm,
      violation: log.violation,
      tail: log.tail,
      digest: log.digest(),
      seen: log.seen,
      lines: log.lines,
      simulatedMs: clock.monotonic(),
      asked: model.asked.length,
      done: model.asked.filter((one) => one.outcome === "done").length,
      entries: model.lastIndex,
    };
  }

  end(): void {
    for (const process of this.processes()) process.kill();
    this.clock.stop();
  }
}
