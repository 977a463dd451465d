/**
 * One start of one node of a simulated cluster: its clock, its network, the control half and main's half of it, joined by two
 * lanes that keep their order and may be slow. Everything that passes between the halves is shown to the model.
 *
 * Invariant: nothing of a process runs once it is dead, and nothing of main while it is stalled.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { DbError } from "../base/errors.js";
import type { FromControl, ToControl } from "../cluster/channel.js";
import type { ControlActor, Member } from "../cluster/index.js";
import { ControlPlane, packVersion, roleBits } from "../cluster/index.js";
import { type ControlHalf, type ControlStart, startControl } from "../control-host.js";
import {
  addressesOf,
  announcedBy,
  countBoot,
  type NodeIdentity,
  noteAnnounced,
  readIdentity,
  writeIdentity,
} from "../identity.js";
import type { CatalogObject } from "../model/schema.js";
import type { StartedControl } from "../node.js";
import type { Log, LogFields } from "../observe/index.js";
import { decodeMessage } from "../raft/index.js";
import type { SimClock } from "./clock.js";
import { NodeClock } from "./cluster-clock.js";
import type { EventLog } from "./cluster-events.js";
import type { Model } from "./cluster-model.js";
import type { Mutation } from "./cluster-mutations.js";
import type { Swarm } from "./cluster-swarm.js";
import type { SimDisk } from "./disk.js";
import type { SimPeerNetwork, SimWire } from "./peers.js";
import { SimRandom } from "./random.js";
import { simCertificate, simFirstBundle, simPki, simTrust } from "./trust.js";

export const nodeVersion = packVersion("1.0.0");
const mainSilenceMs = 5_000;

/** What all processes share. */
export interface World {
  readonly clock: SimClock;
  readonly wire: SimWire;
  readonly random: SimRandom;
  readonly log: EventLog;
  readonly model: Model;
  readonly swarm: Swarm;
  readonly hash: XXHashAPI;
  readonly clusterUuid: string;
  readonly bug: Mutation | undefined;
  /** The newest entry that was answered as seen by everybody. */
  answered: number;
  /** A node was lost for good a moment ago: nobody takes another one's vote before the leader can know. */
  quietUntil: number;
  /** Every process that lives. */
  processes(): Iterable<ControlProcess>;
  /** The one of that node, if it lives. */
  processOf(node: string): ControlProcess | undefined;
  /** It is over with the process: it says why, and is about to end. */
  failed(process: ControlProcess, error: DbError): void;
  leads(process: ControlProcess, term: number): void;
}

/** A node, over all its starts. */
export interface SimMember {
  readonly name: string;
  readonly uuid: string;
  readonly founder: boolean;
  raftId: number;
  disk: SimDisk;
  port: number;
  /** Of its clocks. */
  readonly rate: number;
  skewMs: number;
  process: ControlProcess | undefined;
  /** Since when its folder is an old one. */
  putBack: PutBack | undefined;
  /** It will not be started again. */
  gone: boolean;
  /** The disk of which a sync was made to fail. */
  failing: SimDisk | undefined;
}

export interface PutBack {
  /** What the node had in its log and promised when the folder was put back. */
  readonly lastIndex: number;
  readonly term: number;
  /** What the old folder has. */
  readonly oldIndex: number;
  readonly oldTerm: number;
}

export interface RaftFacts {
  readonly lastIndex: number;
  readonly term: number;
}

/** Messages in order, each behind the one before, after a while. */
class Lane<T> {
  readonly #waiting: T[] = [];
  #scheduled = false;
  readonly #delay: () => number;
  readonly #process: ControlProcess;
  readonly #deliver: (message: T) => void;

  constructor(process: ControlProcess, delay: () => number, deliver: (message: T) => void) {
    this.#process = process;
    this.#delay = delay;
    this.#deliver = deliver;
  }
  push(message: T): void {
    this.#waiting.push(message);
    this.go();
  }
  /** Main runs again. */
  go(): void {
    if (this.#scheduled || this.#waiting.length === 0 || !this.#runs) return;
    this.#scheduled = true;
    const wait = this.#delay();
    if (wait === 0) void Promise.resolve().then(() => this.#next());
    else this.#process.clock.after(wait, () => this.#next());
  }
  get #runs(): boolean {
    const { dead, stalled, half } = this.#process;
    return !dead && !stalled && half !== undefined;
  }
  #next(): void {
    this.#scheduled = false;
    if (!this.#runs) return;
    const message = this.#waiting.shift();
    if (message !== undefined) this.#deliver(message);
    this.go();
  }
}

export class ControlProcess {
  readonly world: World;
  readonly member: SimMember;
  readonly clock: NodeClock;
  readonly random: SimRandom;
  readonly network: SimPeerNetwork;
  readonly log: Log;
  boot = 0;
  plane: ControlPlane | undefined;
  actor: ControlActor | undefined;
  half: ControlHalf | undefined;
  dead = false;
  stopping = false;
  /** Why it is over with it, though it still runs. */
  fault: DbError | undefined;
  opened = false;
  /** Serves clients. */
  ready = false;
  stalled = false;
  #stalledAt = 0;
  leaseUntil = Number.NEGATIVE_INFINITY;
  role = "";
  term = 0;
  leader: string | undefined;
  /** Of the entries that were handed to main. */
  lastIndex = -1;
  lastSubmitted: string | undefined;
  /** Terms in which peers have spoken, before their folders were put back. */
  readonly #heardIn = new Map<string, number>();
  readonly #tickets = new Map<number, { readonly index: number; readonly at: number }>();
  readonly #toMain: Lane<FromControl>;
  readonly #toControl: Lane<ToControl>;
  #handler: (message: FromControl) => void = () => {};

  constructor(world: World, member: SimMember) {
    this.world = world;
    this.member = member;
    const { random, swarm } = world;
    this.random = new SimRandom(random.bits());
    this.clock = new NodeClock(world.clock, {
      rate: member.rate,
      origin: 1_000 + random.below(1_000_000),
      skewMs: member.skewMs,
    });
    member.disk.clock = this.clock;
    member.disk.writeMs = 0.05;
    member.disk.syncMs = swarm.syncMs;
    this.network = world.wire.network(member.name);
    this.log = this.#logOf();
    const delay = (): number => (swarm.channelMs === 0 ? 0 : this.random.fraction() * swarm.channelMs);
    this.#toMain = new Lane(this, delay, (message) => this.#deliver(message));
    this.#toControl = new Lane(this, delay, (message) => this.half?.receive(message));
    member.process = this;
  }

  get name(): string {
    return this.member.name;
  }
  get isUp(): boolean {
    return !this.dead && this.fault === undefined;
  }

  // --- starting and ending -----------------------------------------------------------------------------------------

  /** Resolves once it serves, or is over. */
  async run(): Promise<void> {
    try {
      await this.open();
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      this.over(error);
    }
  }

  protected async open(): Promise<void> {
    const { member } = this;
    const known = readIdentity(member.disk);
    if (known === undefined) throw new Error("a node is created before it is started");
    const identity: NodeIdentity = {
      ...known,
      ports: { ...known.ports, control: member.port },
      announced: announcedBy(known),
    };
    if (known.ports.control !== member.port) writeIdentity(member.disk, identity);
    const boot = countBoot(member.disk, this.random);
    const started = this.connect(controlStartOf(identity, boot));
    const plane = new ControlPlane({
      channel: started.channel,
      virtuals: [],
      pki: simPki,
      clock: this.clock,
      random: this.random,
      self: { uuid: member.uuid, raftId: member.raftId, boot: boot.count },
      onTrouble: (what, error) => this.log.warn(what, { error }),
    });
    this.plane = plane;
    await plane.open(this.#noted());
    this.#follow(plane);
    if (identity.established && plane.cluster.members.size > 1)
      await Promise.race([plane.catchUp(), new Promise<void>((done) => this.clock.after(1500, done))]);
    if (identity.founder && plane.isNew) {
      await plane.until(() => plane.cluster.latest !== undefined);
      await plane.bootstrap(this.firstObjects());
    }
    if (!identity.founder) await plane.until(() => plane.cluster.members.has(member.uuid) && !plane.isNew);
    if (identity.founder) this.#establish();
    this.announce(plane, identity);
    if (!identity.established)
      await plane.until(() => plane.cluster.members.get(member.uuid)?.state !== "JOINING");
    this.#establish();
    this.nowReady();
  }

  protected firstObjects(): CatalogObject[] {
    return [
      { kind: "schema", id: counterId, name: "counter_0", owner: 10 },
      { kind: "schema", id: counterId + 1, name: "public", owner: 10 },
    ];
  }

  protected announce(plane: ControlPlane, identity: NodeIdentity): void {
    const addresses = addressesOf(identity, identity.ports);
    plane.announce(addresses, noteAnnounced(this.member.disk, addresses));
  }

  protected nowReady(): void {
    this.ready = true;
    this.world.log.note(`${this.name} is ready`);
  }

  #establish(): void {
    const { disk } = this.member;
    const now = readIdentity(disk);
    if (now?.established === false) writeIdentity(disk, { ...now, established: true });
  }

  /** As storage does: entries it has seen are noted before their proposer goes on. */
  #noted(): number {
    const { disk, founder } = this.member;
    return founder && disk.existsSync("noted")
      ? Number(Buffer.from(disk.readFileSync("noted")).toString())
      : 0;
  }
  #follow(plane: ControlPlane): void {
    const { disk, founder } = this.member;
    const { followMs } = this.world.swarm;
    const sleep = (ms: number): Promise<void> => new Promise((done) => this.clock.after(ms, done));
    if (founder) {
      let highest = this.#noted();
      plane.noteDurably = async (index) => {
        await sleep(disk.syncMs);
        if (index <= highest) return;
        highest = index;
        disk.writeFileSync("noted", Buffer.from(String(index)));
      };
    }
    if (followMs === 0) return;
    plane.follower = {
      before: () => sleep(this.random.fraction() * followMs),
      after: () => {},
      replaced: () => sleep(this.random.fraction() * followMs),
    };
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.ready = false;
    await this.plane?.close();
  }

  /** The process is no more; what it had on its disk is `member.disk`'s business. */
  kill(): void {
    this.dead = true;
    this.ready = false;
    this.clock.stop();
  }

  stall(): void {
    this.stalled = true;
    this.#stalledAt = this.clock.monotonic();
  }
  unstall(): void {
    this.stalled = false;
    this.#toMain.go();
    this.#toControl.go();
  }

  /** Ended by itself. */
  over(error: DbError): void {
    if (this.dead || this.fault !== undefined || this.stopping) return;
    this.fault = error;
    this.ready = false;
    this.world.log.note(`${this.name} is over: ${error.message}`);
    this.world.failed(this, error);
  }

  // --- the two halves ----------------------------------------------------------------------------------------------

  connect(start: ControlStart): StartedControl {
    const { world, member } = this;
    const { swarm } = world;
    this.boot = start.self.boot.count;
    const sizeBefore = logBytes(member.disk);
    const half = startControl(start, {
      clock: this.clock,
      random: this.random,
      disk: member.disk,
      hash: world.hash,
      log: this.log,
      trust: simTrust(world.clusterUuid, member.uuid, { disk: member.disk, keepsCa: member.founder }),
      network: this.network,
      toMain: (message) => this.#fromControl(message),
      publishLease: (until) => {
        this.leaseUntil = until + (world.bug?.leaseTooLongMs ?? 0);
        this.#checkLease();
      },
      mainIsAlive: () => !this.stalled || this.clock.monotonic() - this.#stalledAt < mainSilenceMs,
      tickMs: swarm.tickMs,
      snapshotAfterBytes: swarm.snapshotAfterBytes,
      entriesKept: swarm.entriesKept,
    });
    if (sizeBefore !== undefined && logBytes(member.disk)! < sizeBefore) {
      world.log.note(`${this.name} dropped a torn tail`);
      world.log.sometimes("torn tail recovered");
    }
    half.then(
      (made) => {
        this.half = made;
        this.actor = made.actor;
        this.#overhear(made.actor);
        world.bug?.onActor?.(this, made.actor);
        this.#toMain.go();
        this.#toControl.go();
      },
      (error: unknown) => {
        if (error instanceof DbError) this.over(error);
        else throw error;
      },
    );
    return {
      channel: {
        send: (message) => this.#fromMain(message),
        onMessage: (handler) => {
          this.#handler = handler;
        },
      },
      close: async () => {
        (await half).close();
      },
    };
  }

  /** Raft's messages as they arrive: lost and doubled on the way, and looked at. */
  #overhear(actor: ControlActor): void {
    const { world, random } = this;
    const { lossChance, duplicateChance } = world.swarm;
    const message = actor.message.bind(actor);
    actor.message = (node, kind, payload) => {
      if (this.dead) return;
      if (kind === 1 && payload.length > 4) {
        if (lossChance > 0 && random.fraction() < lossChance) return;
        this.#look(node, payload);
        this.#hear(node, payload);
        if (duplicateChance > 0 && random.fraction() < duplicateChance) {
          const copy = new Uint8Array(payload);
          this.clock.after(random.fraction() * 40, () => message(node, kind, copy));
        }
      }
      message(node, kind, payload);
    };
  }

  #hear(node: string, payload: Uint8Array): void {
    const { swarm } = this.world;
    const member = swarm.faults.includes("putBack") ? this.world.processOf(node)?.member : undefined;
    if (member === undefined || member.putBack !== undefined) return;
    const { kind, term } = decodeMessage(payload.subarray(4));
    if (kind === "preVote" || kind === "preVoteAnswer") return;
    this.#heardIn.set(node, Math.max(term, this.#heardIn.get(node) ?? 0));
  }

  /** Whose folder was put back must not vote before it has again what it had. */
  #look(node: string, payload: Uint8Array): void {
    const other = this.world.processOf(node);
    const putBack = other?.member.putBack;
    if (other === undefined || putBack === undefined) return;
    const message = decodeMessage(payload.subarray(4));
    const shown = new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
    if (shown !== other.boot || (message.kind !== "voteAnswer" && message.kind !== "preVoteAnswer")) return;
    if (!message.granted || this.actor === undefined || !isBehind(putBack)) return;
    if (this.role !== "candidate" && this.role !== "preCandidate") return;
    const { lastIndex, oldTerm, term } = putBack;
    const has = other.actor?.status().lastIndex ?? 0;
    // Who was started meanwhile cannot know in which terms it had spoken.
    const heard = this.#heardIn.get(node) ?? 0;
    if (message.term < term || (oldTerm < heard && message.kind === "voteAnswer" && has < lastIndex))
      this.world.log.violated(
        "a stale folder decides nothing",
        `${other.name} voted for ${this.name} in term ${message.term} with ${has} entries, and had ${lastIndex} in term ${term}`,
      );
  }

  #fromControl(message: FromControl): void {
    if (this.dead) return;
    const changed = this.world.bug?.fromControl?.(this, message);
    for (const one of changed ?? [message]) {
      this.#observe(one);
      this.#toMain.push(one);
    }
  }

  #observe(message: FromControl): void {
    const { world, name } = this;
    switch (message.kind) {
      case "apply":
        for (const { index, data } of message.entries) {
          world.model.entry(name, index, data, this.lastIndex);
          this.lastIndex = index;
        }
        return;
      case "restore":
        if (this.opened) {
          world.log.note(`${name} installed a snapshot of entry ${message.index}`);
          world.log.sometimes("snapshot installed at a lagging member");
        }
        this.lastIndex = message.index;
        return;
      case "opened":
        this.opened = true;
        return;
      case "status": {
        const { role, term, leader } = message.status;
        if (role === this.role && term === this.term && leader === this.leader) return;
        this.role = role;
        this.term = term;
        this.leader = leader;
        if (role === "leader") world.leads(this, term);
        return;
      }
      case "fault":
        this.over(new DbError(message.error.condition, message.error.message, message.error));
        return;
      default:
        return;
    }
  }

  #deliver(message: FromControl): void {
    this.#handler(message);
    // Main has no connections of its own here; that it has gone over to a new certificate it says all the same.
    if (message.kind === "status" && this.plane?.cluster.rotation !== undefined)
      this.plane.noteSeen(
        this.plane.cluster.members.get(this.member.uuid)?.certFingerprint ?? "",
        new Map(),
        0,
      );
    if (message.kind !== "passed") return;
    const barrier = this.#tickets.get(message.ticket);
    this.#tickets.delete(message.ticket);
    if (barrier !== undefined) this.#checkSeen(barrier.index, this.clock.monotonic() - barrier.at);
  }

  /** C5, at the moment in which a lease is renewed: it is for those who have what was answered. */
  #checkLease(): void {
    const { plane, clock, world } = this;
    if (plane === undefined || this.dead || world.model.removedAt.has(this.member.uuid)) return;
    const rest = this.leaseUntil - clock.monotonic();
    if (rest <= 0 || plane.appliedIndex >= world.answered) return;
    const state = plane.cluster.members.get(this.member.uuid)?.state;
    if (state === undefined || state === "JOINING") return;
    world.log.violated(
      "an answered change is seen by every node that has a lease (C5)",
      `${this.name} has a lease for ${rest.toFixed(0)} ms and is at ${plane.appliedIndex}, behind the answered ${world.answered}`,
    );
  }

  /** C5, at the moment in which the change is answered. */
  #checkSeen(index: number, tookMs: number): void {
    const { world } = this;
    world.answered = Math.max(world.answered, index);
    let left = false;
    for (const other of world.processes()) {
      const { plane, clock, leaseUntil } = other;
      if (other.fault !== undefined || plane === undefined || plane.appliedIndex >= index) continue;
      const own = plane.cluster.members.get(other.member.uuid);
      if (own === undefined || own.state === "JOINING") continue;
      // One that was removed is no node of the cluster any more, and may not know it yet.
      if (world.model.removedAt.has(other.member.uuid)) continue;
      left = true;
      const rest = leaseUntil - clock.monotonic();
      if (rest > 0)
        world.log.violated(
          "an answered change is seen by every node that has a lease (C5)",
          `${this.name} answered entry ${index}; ${other.name} is at ${plane.appliedIndex} and has a lease for ${rest.toFixed(0)} ms`,
        );
    }
    if (left && tookMs > 500) world.log.sometimes("barrier waited out a lease");
  }

  #fromMain(message: ToControl): void {
    if (this.dead) return;
    const { model, bug } = this.world;
    switch (message.kind) {
      case "propose":
      case "change":
        this.lastSubmitted = `${this.member.raftId * 2}.${this.boot}.${message.number}`;
        break;
      case "barrier":
        this.#tickets.set(message.ticket, { index: message.index, at: this.clock.monotonic() });
        break;
      case "applied":
        if (model.compares(message.index) && this.plane !== undefined) {
          const { plane } = this;
          if (plane.appliedIndex === message.index)
            model.compare(this.name, message.index, () => savedOf(plane));
        }
        break;
    }
    const answer = bug?.toControl?.(this, message);
    if (answer === undefined) this.#toControl.push(message);
    else for (const one of answer) this.#toMain.push(one);
  }

  #logOf(): Log {
    const { world } = this;
    const say =
      (level: string) =>
      (message: string, fields: LogFields = {}) => {
        if (this.dead) return;
        const { error } = fields;
        const cause = error instanceof Error ? `: ${error.message}` : "";
        world.log.note(`${this.name} ${level}: ${message}${cause}`);
        if (/^(internal error|a request of a peer failed)/.test(message))
          world.log.violated("no broken invariant", `${this.name}: ${message}${cause}`);
        this.said(message, fields);
      };
    const quiet = (message: string, fields: LogFields = {}): void => {
      if (!this.dead) this.said(message, fields);
    };
    const log: Log = { debug: quiet, info: quiet, warn: say("warn"), error: say("error"), child: () => log };
    return log;
  }
  /** For those who look for a line of the log. */
  protected said(_message: string, _fields: LogFields): void {}
}

/** Of the catalog, an object that everybody counts up. */
export const counterId = 7;

export function savedOf(plane: ControlPlane): { catalog: unknown; cluster: unknown } {
  return { catalog: plane.state.saved(), cluster: plane.cluster.save() };
}

export function isBehind({ lastIndex, term, oldIndex, oldTerm }: PutBack): boolean {
  return oldIndex < lastIndex || oldTerm < term;
}

function logBytes(disk: SimDisk): number | undefined {
  const name = disk
    .listSync("raft")
    .filter((one) => /^log-\d/.test(one))
    .at(-1);
  return name === undefined ? undefined : disk.sizeOf(`raft/${name}`);
}

export function addressesAt(name: string, port: number): Member["addresses"] {
  return { control: `${name}:${port}`, rpc: `${name}:7433`, pg: `${name}:5433` };
}

/** As `node.ts` tells it. */
function controlStartOf(identity: NodeIdentity, boot: Member["boot"]): ControlStart {
  const { nodeId, nodeName, raftId, clusterId, host, ports, founder, established, peers } = identity;
  const { certFingerprint, publicKey, certificate } = simCertificate(clusterId, nodeId);
  return {
    self: { uuid: nodeId, name: nodeName, raftId, boot, version: nodeVersion },
    clusterUuid: clusterId,
    host,
    port: ports.control,
    anyPort: false,
    founds:
      !founder || established
        ? undefined
        : {
            crl: undefined,
            bundle: simFirstBundle(clusterId),
            clusterName: identity.clusterName,
            member: {
              uuid: nodeId,
              name: nodeName,
              certFingerprint,
              publicKey,
              certificate,
              addresses: addressesOf(identity, ports),
              hostLabel: identity.hostLabel,
              roles: roleBits.VOTER | roleBits.SHARD_OWNER | roleBits.COORDINATOR,
              version: nodeVersion,
            },
          },
    established,
    firstPeers: peers,
    joinFacts: {},
  };
}
