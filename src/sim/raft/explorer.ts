/**
 * Explicit-state exploration of the real `step()`: every order of deliveries, losses, duplicates, timeouts, crashes,
 * proposals, reads, hand-overs, false or true news of a peer's death, snapshots and one change of members, within budgets
 * that keep the space finite.
 *
 * A world is a set of nodes, the messages under way and what has happened so far as the properties need it. A message
 * that is never delivered is a lost one, so loss needs no event of its own. A crash loses what `step` did not ask to be
 * made durable. Usually that is durable at once; a step that is "held" begins a batch, which further steps join until it is
 * written as one: nothing of them is sent or applied before, and a crash may leave any first part of the write.
 *
 * Properties: at most one leader in a term; logs that agree at an entry agree before it; a leader holds everything that
 * was committed in earlier terms; every node applies the same entry at an index; a read is answered with an index at
 * least as high as what was committed when it was asked; a snapshot arrives as it was made; no message of a member is
 * taken for senseless. Broken asserts of the core count as violations.
 *
 * Invariant: with the same options and seed the same worlds are visited in the same order.
 */
import type {
  Effects,
  Entry,
  HardState,
  Input,
  MemberId,
  MemberSet,
  MemberTarget,
  Message,
} from "../../raft/index.js";
import { memberSet, RaftNode, type RaftRules, type RaftStart, raftRules, step } from "../../raft/index.js";
import { SimRandom } from "../random.js";
import { hashMessage, hashNode, Mixer } from "./hash.js";

export interface Budgets {
  readonly terms: number;
  readonly timeouts: number;
  readonly heartbeats: number;
  readonly proposals: number;
  readonly crashes: number;
  readonly duplicates: number;
  readonly changes: number;
  readonly reads: number;
  readonly transfers: number;
  readonly compactions: number;
  /** News that a peer's process is gone, true or not. */
  readonly deaths: number;
  /** Writes of several steps. */
  readonly batches: number;
  /** Election timeouts of those who may not campaign. */
  readonly idleTimeouts: number;
  /** Messages under way; the oldest beyond it is lost. */
  readonly bag: number;
}

export interface Scenario {
  readonly name: string;
  readonly nodes: number;
  readonly members: MemberSet;
  readonly targets: readonly MemberTarget[];
  readonly budgets: Budgets;
}

export const budgets: Budgets = {
  terms: 3,
  timeouts: 4,
  heartbeats: 2,
  proposals: 2,
  crashes: 2,
  duplicates: 2,
  changes: 1,
  reads: 1,
  transfers: 1,
  compactions: 1,
  deaths: 1,
  batches: 1,
  idleTimeouts: 0,
  bag: 8,
};

/** What one walk may use up: more than can be explored exhaustively. */
const walkBudgets: Budgets = {
  terms: 6,
  timeouts: 9,
  heartbeats: 8,
  proposals: 4,
  crashes: 3,
  duplicates: 4,
  changes: 2,
  reads: 4,
  transfers: 1,
  compactions: 2,
  deaths: 2,
  batches: 2,
  idleTimeouts: 2,
  bag: 12,
};
const localKinds = new Set([
  "timeout",
  "heartbeat",
  "quorum",
  "crash",
  "restart",
  "compact",
  "transfer",
  "ask",
  "change",
  "reask",
  "dead",
]);

/** Three nodes; who votes at first, and what the one change may lead to. */
export const scenarios: readonly Scenario[] = [
  {
    name: "three voters",
    nodes: 3,
    members: memberSet([1, 2, 3]),
    targets: [
      { voters: [1, 2], learners: [] },
      { voters: [1], learners: [] },
      { voters: [2, 3], learners: [1] },
    ],
    budgets,
  },
  {
    name: "one voter of three nodes",
    nodes: 3,
    members: memberSet([1]),
    targets: [
      { voters: [1, 2, 3], learners: [] },
      { voters: [1], learners: [2, 3] },
      { voters: [2], learners: [] },
    ],
    budgets,
  },
  {
    name: "two voters and a learner",
    nodes: 3,
    members: memberSet([1, 2], [3]),
    targets: [
      { voters: [1, 2, 3], learners: [] },
      { voters: [1, 3], learners: [2] },
    ],
    budgets,
  },
];

/** For walks: five nodes, where majorities of neighbouring sets can miss each other. */
export const fiveNodes: Scenario = {
  name: "four voters of five nodes",
  nodes: 5,
  members: memberSet([1, 2, 3, 4]),
  targets: [
    { voters: [1, 2, 3, 4, 5], learners: [] },
    { voters: [2, 3, 4], learners: [] },
    { voters: [1, 2, 5], learners: [] },
  ],
  budgets,
};

export const allScenarios: readonly Scenario[] = [...scenarios, fiveNodes];

/** What a crash leaves. */
export interface Durable {
  readonly start: Omit<RaftStart, "rules" | "seed" | "limits">;
}

export interface Member {
  /** undefined: down. */
  readonly node: RaftNode | undefined;
  readonly durable: Durable;
  /** Steps that are not durable yet. */
  readonly batch: readonly Held[];
  readonly high: number;
  readonly low: number;
}

/** What a step asked for, and what the properties need to know of it. */
export interface Held {
  readonly effects: Effects;
  /** Term in which the step made it leader; 0: it did not. */
  readonly led: number;
  readonly commitBefore: number;
}

export interface Flight {
  readonly message: Message;
  readonly high: number;
  readonly low: number;
}

export interface Committed {
  readonly entry: Entry;
  /** Term of the leader that committed it. */
  readonly inTerm: number;
}

export interface World {
  readonly members: readonly Member[];
  readonly bag: readonly Flight[];
  readonly left: Budgets;
  readonly leaders: readonly MemberId[];
  readonly committed: readonly Committed[];
  /** By context: what was committed when the read was asked. */
  readonly asked: readonly number[];
  /** Reads that the last event settled. */
  readonly settled: readonly { readonly node: MemberId; readonly context: number; readonly index: number }[];
  readonly depth: number;
}

type Start = Durable["start"];

interface Trail {
  readonly what: string;
  readonly before: Trail | undefined;
}

export interface Violation {
  readonly property: string;
  readonly trail: readonly string[];
}

/** A property does not hold. */
export class Broken extends Error {}

export interface Choice {
  readonly what: string;
  readonly make: () => World;
}

const limits = {
  electionTicks: 2,
  heartbeatTicks: 1,
  // One entry a message: more of them, and more that can go wrong.
  appendBytesMax: 100,
  inflightMax: 2,
  uncommittedBytesMax: 1 << 20,
  snapshotChunkBytes: 4,
  snapshotBytesMax: 1 << 20,
  readsMax: 100,
};
/** Three chunks. */
const snapshotBytes = 10;
const batchMax = 3;

function sameEntry(a: Entry, b: Entry): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind || a.index !== b.index || a.term !== b.term) return false;
  if (a.kind === "command" && b.kind === "command") return a.data[0] === b.data[0];
  if (a.kind === "members" && b.kind === "members")
    return JSON.stringify(a.members) === JSON.stringify(b.members);
  return true;
}

function spend(world: World, what: keyof Budgets): World {
  return { ...world, left: { ...world.left, [what]: world.left[what] - 1 } };
}

function isWhole(data: Uint8Array, index: number): boolean {
  return data.length === snapshotBytes && data.every((byte) => byte === index);
}

function withRecord(start: Start, record: HardState | Entry): Start {
  if (!("kind" in record)) return { ...start, hard: record };
  return { ...start, entries: withEntries(start, [record]) };
}

function withEntries({ entries, base }: Start, append: readonly Entry[]): readonly Entry[] {
  return [...(entries ?? []).slice(0, append[0]!.index - base.index - 1), ...append];
}

function persisted(start: Start, { hard = start.hard, install, append }: Effects): Start {
  if (install !== undefined) {
    const { index, term, members } = install;
    const base = { index, term, members };
    return { ...start, hard, base, snapshot: install, entries: append, applied: index };
  }
  return append.length === 0 ? { ...start, hard } : { ...start, hard, entries: withEntries(start, append) };
}

function compacted(start: Start, { log }: RaftNode): Start {
  const { snapshot, entries, baseIndex: index, baseTerm: term, baseMembers: members } = log;
  const base = { index, term, members };
  return { ...start, base, snapshot, entries: entries.slice(), applied: snapshot!.index };
}

export interface ExploreOptions {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly rules?: RaftRules;
  /** A seeded bug of the driver's: term and vote behind the entries of a write. */
  readonly writesTermLast?: boolean;
}

export class Explorer {
  readonly #scenario: Scenario;
  readonly #rules: RaftRules;
  readonly #writesTermLast: boolean;
  readonly #random: SimRandom;
  readonly #mixer = new Mixer();
  /** Events that happened at least once: an exploration that never saw one of them proves little. */
  readonly seen = new Map<string, number>();

  constructor(options: ExploreOptions) {
    this.#scenario = options.scenario;
    this.#rules = options.rules ?? raftRules;
    this.#writesTermLast = options.writesTermLast ?? false;
    this.#random = new SimRandom(options.seed);
  }

  initial(): World {
    const members: Member[] = [];
    for (let id = 1; id <= this.#scenario.nodes; id++) {
      const start = {
        id,
        hard: { term: 0, vote: 0 },
        base: { index: 0, term: 0, members: this.#scenario.members },
        applied: 0,
      };
      members.push(this.#member(this.#open({ start }), { start }, []));
    }
    return {
      members,
      bag: [],
      left: this.#scenario.budgets,
      leaders: [],
      committed: [],
      asked: [],
      settled: [],
      depth: 0,
    };
  }

  #open({ start }: Durable): RaftNode {
    return new RaftNode({ ...start, limits, rules: this.#rules, seed: 1 });
  }

  #member(node: RaftNode | undefined, durable: Durable, batch: readonly Held[]): Member {
    const mixer = this.#mixer.reset();
    hashNode(
      mixer,
      node,
      durable.start,
      batch.map(({ effects }) => effects),
    );
    return { node, durable, batch, high: mixer.high, low: mixer.low };
  }

  /** The two halves of a world's hash, left in the mixer. */
  hash(world: World): Mixer {
    const mixer = this.#mixer.reset();
    for (const { high, low } of world.members) mixer.add(high).add(low);
    let high = 0;
    let low = 0;
    for (const flight of world.bag) {
      high = (high + flight.high) | 0;
      low = (low + flight.low) | 0;
    }
    mixer.add(high).add(low);
    const { left } = world;
    mixer.add(left.timeouts | (left.heartbeats << 4) | (left.proposals << 8) | (left.crashes << 12));
    mixer.add(left.duplicates | (left.changes << 4) | (left.reads << 8) | (left.transfers << 12));
    mixer.add(left.compactions | (left.deaths << 4) | (left.batches << 8) | (left.idleTimeouts << 12));
    for (const leader of world.leaders) mixer.add(leader ?? 0);
    mixer.add(world.committed.length);
    for (const { entry, inTerm } of world.committed) mixer.add(entry.term * 16 + inTerm);
    for (const index of world.asked) mixer.add(index ?? 0);
    return mixer;
  }

  /** Everything that may happen next, by number. */
  *choices(world: World): Generator<Choice> {
    const { members, bag, left } = world;
    for (let at = 0; at < members.length; at++) {
      const member = members[at]!;
      if (member.node === undefined) {
        yield { what: `restart ${at + 1}`, make: () => this.#restart(world, at) };
        continue;
      }
      yield* this.#timeouts(world, at, member.node);
      if (member.node.isLeader) yield* this.#asLeader(world, at, member.node);
      yield* this.#reads(world, at, member.node);
      if (left.deaths > 0)
        for (const peer of member.node.isLeader ? member.node.progress.keys() : [member.node.leader])
          if (peer !== 0)
            yield* this.#offer(world, at, `dead ${at + 1}: ${peer}`, { kind: "peerDead", peer }, "deaths");
      if (member.batch.length === 0) yield* this.#compactions(world, at, member.node);
      else yield { what: `sync ${at + 1}`, make: () => this.#sync(world, at) };
      if (left.crashes > 0) yield* this.#crashes(world, at);
    }
    for (let place = 0; place < bag.length; place++) {
      const { message } = bag[place]!;
      const to = message.to - 1;
      if (to >= members.length || members[to]!.node === undefined) continue;
      const what = `${message.kind} ${message.from}->${message.to}`;
      const { batch } = members[to]!;
      // A part of a snapshot is written by itself.
      if (batch.length === 0 || message.kind !== "snapshot")
        yield* this.#offer(world, to, what, message, undefined, place);
      if (left.duplicates > 0 && batch.length === 0)
        yield {
          what: `${what}, and again later`,
          make: () => this.#on(spend(world, "duplicates"), to, message),
        };
    }
  }

  /** An input, of the message at `place` under way, that is written at once or begins a batch; or joins the one there is. */
  *#offer(
    world: World,
    at: number,
    what: string,
    input: Input,
    cost?: keyof Budgets,
    place?: number,
  ): Generator<Choice> {
    const { batch } = world.members[at]!;
    const paid = (): World => {
      if (place !== undefined) return { ...world, bag: world.bag.filter((_, n) => n !== place) };
      return cost === undefined ? world : spend(world, cost);
    };
    if (batch.length > 0) {
      if (batch.length < batchMax) yield { what, make: () => this.#on(paid(), at, input, true) };
      return;
    }
    yield { what, make: () => this.#on(paid(), at, input) };
    if (world.left.batches > 0 && input.kind !== "snapshot")
      yield { what: `${what}, held`, make: () => this.#on(spend(paid(), "batches"), at, input, true) };
  }

  *#timeouts(world: World, at: number, node: RaftNode): Generator<Choice> {
    const { left } = world;
    if (node.isLeader) return;
    const input = { kind: "electionTimeout" } as const;
    if (!node.mayCampaign) {
      if (left.idleTimeouts > 0 && node.leader !== 0)
        yield* this.#offer(world, at, `timeout ${at + 1}`, input, "idleTimeouts");
    } else if (left.timeouts > 0 && node.term < left.terms)
      yield* this.#offer(world, at, `timeout ${at + 1}`, input, "timeouts");
  }

  *#asLeader(world: World, at: number, node: RaftNode): Generator<Choice> {
    const { left } = world;
    const id = at + 1;
    if (left.heartbeats > 0) {
      yield* this.#offer(world, at, `heartbeat ${id}`, { kind: "heartbeatTimeout" }, "heartbeats");
      yield* this.#offer(world, at, `quorum ${id}`, { kind: "quorumTimeout" }, "heartbeats");
    }
    if (left.proposals > 0) {
      const commands = [new Uint8Array([left.proposals * 16 + id])];
      yield* this.#offer(world, at, `propose ${id}`, { kind: "propose", commands }, "proposals");
    }
    if (left.changes > 0)
      for (const target of this.#scenario.targets) {
        const what = `change ${id} to ${target.voters}+${target.learners}`;
        yield* this.#offer(world, at, what, { kind: "changeMembers", target }, "changes");
      }
    if (left.transfers > 0)
      for (const target of node.members.voters)
        if (target !== id)
          yield* this.#offer(
            world,
            at,
            `transfer ${id} to ${target}`,
            { kind: "transfer", target },
            "transfers",
          );
  }

  *#reads(world: World, at: number, node: RaftNode): Generator<Choice> {
    const { left } = world;
    const id = at + 1;
    if (left.reads > 0) {
      const asked = [...world.asked, world.committed.length];
      const context = asked.length - 1;
      yield* this.#offer({ ...world, asked }, at, `ask ${id}`, { kind: "askRead", context }, "reads");
    }
    if (node.wantsReadRound) yield* this.#offer(world, at, `round ${id}`, { kind: "readRound" });
    if (node.asked.size > 0 && left.heartbeats > 0)
      yield* this.#offer(world, at, `reask ${id}`, { kind: "readTimeout" }, "heartbeats");
  }

  *#compactions(world: World, at: number, node: RaftNode): Generator<Choice> {
    if (world.left.compactions === 0 || node.handed <= node.log.baseIndex) return;
    const index = node.handed;
    if (index <= (node.log.snapshot?.index ?? 0)) return;
    const data = new Uint8Array(snapshotBytes).fill(index);
    for (let keep = 0; keep < 2; keep++)
      yield {
        what: `compact ${at + 1}${keep > 0 ? ` keep ${keep}` : ""}`,
        make: () =>
          this.#on(spend(world, "compactions"), at, { kind: "compact", index, data, keep, keepBytes: 1000 }),
      };
  }

  /** What one write of these steps consists of, in order: term and vote as they are at the end, then the entries. */
  #recordsOf(batch: readonly Held[]): (HardState | Entry)[] {
    const hard = batch.findLast(({ effects }) => effects.hard !== undefined)?.effects.hard;
    const entries = batch.flatMap(({ effects }) => effects.append);
    if (hard === undefined) return entries;
    return this.#writesTermLast ? [...entries, hard] : [hard, ...entries];
  }

  /** Of a write under way any first part may be there. */
  *#crashes(world: World, at: number): Generator<Choice> {
    const { durable, batch } = world.members[at]!;
    const records = this.#recordsOf(batch);
    for (let kept = 0; kept <= records.length; kept++)
      yield {
        what: `crash ${at + 1}${kept > 0 ? ` torn ${kept}` : ""}`,
        make: () => {
          const start = records.slice(0, kept).reduce(withRecord, durable.start);
          const members = world.members.with(at, this.#member(undefined, { start }, []));
          return { ...spend(world, "crashes"), members, settled: [], depth: world.depth + 1 };
        },
      };
  }

  #restart(world: World, at: number): World {
    const { durable } = world.members[at]!;
    const members = world.members.with(at, this.#member(this.#open(durable), durable, []));
    return { ...world, members, settled: [], depth: world.depth + 1 };
  }

  #on(world: World, at: number, input: Input, held = false): World {
    const members = world.members.slice();
    if (input.kind === "electionTimeout") {
      // Long enough for one election timeout is long enough for everybody's belief in a leader to lapse.
      for (let other = 0; other < members.length; other++) {
        const { node, durable, batch } = members[other]!;
        if (node === undefined || node.isLeader || other === at || node.elapsed >= limits.electionTicks)
          continue;
        const copy = node.clone();
        copy.elapsed = limits.electionTicks;
        members[other] = this.#member(copy, durable, batch);
      }
    }
    const before = members[at]!;
    const node = before.node!.clone();
    const wasLeader = node.isLeader;
    const commitBefore = node.commit;
    const effects = step(node, input);
    const { dropped, install, accepted } = effects;
    if (dropped !== undefined) throw new Broken(`node ${at + 1} dropped a message: ${dropped}`);
    if (effects.append.length > 0) this.#checkMatching(node, members);
    if (install !== undefined && !isWhole(install.data, install.index))
      throw new Broken(`snapshot ${install.index} did not arrive as it was made`);
    if (node.members.outgoing.length > 0) this.#count("a joint set");
    if (install !== undefined) this.#count("a snapshot installed");
    if (accepted !== undefined && input.kind === "changeMembers") this.#count("a change accepted");

    const led = node.isLeader && !wasLeader ? node.term : 0;
    const one: Held = { effects, led, commitBefore };
    if (held) {
      members[at] = this.#member(node, before.durable, [...before.batch, one]);
      return { ...world, members, settled: [], depth: world.depth + 1 };
    }
    let { durable } = before;
    if (effects.hard !== undefined || install !== undefined || effects.append.length > 0)
      durable = { start: persisted(durable.start, effects) };
    if (input.kind === "compact") durable = { start: compacted(durable.start, node) };
    members[at] = this.#member(node, durable, []);
    return this.#perform({ ...world, members, depth: world.depth + 1 }, node, [one]);
  }

  /** The batch is durable: it is sent and applied. */
  #sync(world: World, at: number): World {
    const { node, durable, batch } = world.members[at]!;
    const start = this.#recordsOf(batch).reduce(withRecord, durable.start);
    const members = world.members.with(at, this.#member(node, { start }, []));
    if (batch.length > 1) this.#count("a write of several steps");
    return this.#perform({ ...world, members, depth: world.depth + 1 }, node!, batch);
  }

  #perform(world: World, node: RaftNode, done: readonly Held[]): World {
    let { bag, leaders, committed } = world;
    const settled: World["settled"][number][] = [];
    for (const { effects, led } of done) {
      for (const { context, index } of effects.reads) {
        const least = world.asked[context]!;
        if (index > 0 && index < least)
          throw new Broken(`stale read: index ${index}, but ${least} was committed when it was asked`);
        this.#count(index > 0 ? "a read confirmed" : "a read refused");
        settled.push({ node: node.id, context, index });
      }
      if (effects.send.length > 0) bag = this.#send(bag, effects.send, world.left.bag);
      if (led === 0) continue;
      const known = leaders[led];
      if (known !== undefined && known !== 0 && known !== node.id)
        throw new Broken(`election safety: ${known} and ${node.id} lead in term ${led}`);
      leaders = leaders.slice();
      (leaders as MemberId[])[led] = node.id;
      if (node.isLeader && node.term === led) this.#checkComplete(node, committed);
    }
    const from = done[0]!.commitBefore;
    if (node.commit > from || done.some(({ effects }) => effects.install !== undefined))
      committed = this.#commit(node, from, committed);
    return { ...world, bag, leaders, committed, settled };
  }

  #count(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  #send(bag: readonly Flight[], messages: readonly Message[], most: number): readonly Flight[] {
    const next = bag.slice();
    for (const message of messages) {
      if (message.to > this.#scenario.nodes) continue;
      const mixer = this.#mixer.reset();
      hashMessage(mixer, message);
      const { high, low } = mixer;
      if (next.some((flight) => flight.high === high && flight.low === low)) continue;
      next.push({ message, high, low });
    }
    if (next.length > most) next.splice(0, next.length - most);
    return next;
  }

  #checkComplete(node: RaftNode, committed: readonly Committed[]): void {
    for (const { entry, inTerm } of committed) {
      if (inTerm >= node.term || entry.index < node.log.baseIndex) continue;
      if (node.log.termAt(entry.index) !== entry.term)
        throw new Broken(
          `leader completeness: ${node.id} leads term ${node.term} without entry ${entry.index}`,
        );
    }
  }

  #commit(node: RaftNode, from: number, committed: readonly Committed[]): readonly Committed[] {
    let next: Committed[] | undefined;
    for (let index = Math.max(from, node.log.baseIndex) + 1; index <= node.commit; index++) {
      const entry = node.log.at(index)!;
      const known = committed[index - 1] ?? next?.[index - 1];
      if (known !== undefined) {
        if (!sameEntry(known.entry, entry))
          throw new Broken(
            `state machine safety: entry ${index} is of term ${known.entry.term} and, at ${node.id}, of ${entry.term}`,
          );
        continue;
      }
      next ??= committed.slice();
      if (next.length !== index - 1)
        throw new Broken(`entry ${index} is committed before ${next.length + 1}`);
      next.push({ entry, inTerm: node.term });
    }
    const { baseIndex, baseTerm } = node.log;
    const base = committed[baseIndex - 1];
    if (baseIndex > 0 && base?.entry.term !== baseTerm)
      throw new Broken(`a snapshot of entry ${baseIndex}, which is not committed as it says`);
    return next ?? committed;
  }

  #checkMatching(node: RaftNode, members: readonly Member[]): void {
    for (const { node: other } of members) {
      if (other === undefined || other === node) continue;
      const low = Math.max(node.log.baseIndex, other.log.baseIndex);
      let index = Math.min(node.log.lastIndex, other.log.lastIndex);
      while (index > low && node.log.termAt(index) !== other.log.termAt(index)) index--;
      for (; index > low; index--) {
        if (!sameEntry(node.log.at(index)!, other.log.at(index)!))
          throw new Broken(
            `log matching: ${node.id} and ${other.id} differ at entry ${index}, and agree behind it`,
          );
      }
    }
  }

  /**
   * Follows random choices. Each walk draws what it is fond of (swarm testing), and now and then a set of nodes that the
   * others do not hear: that is how deep corners are reached.
   */
  walk(stepsMax: number): { violation: Violation | undefined; steps: number } {
    const random = this.#random;
    let world: World = { ...this.initial(), left: walkBudgets };
    let trail: Trail | undefined;
    const fondness = new Map<string, number>();
    const weightOf = (what: string): number => {
      const kind = what.slice(0, what.indexOf(" "));
      let weight = fondness.get(kind);
      if (weight === undefined) {
        weight = (localKinds.has(kind) ? 0.3 : 3) * 4 ** (random.fraction() * 2 - 1);
        fondness.set(kind, weight);
      }
      return /later$|held$|torn \d$/.test(what) ? weight * 0.1 : weight;
    };
    let island = 0;
    let steps = 0;
    for (; steps < stepsMax; steps++) {
      if (random.below(12) === 0)
        island = random.below(3) === 0 ? 0 : random.below(1 << world.members.length);
      const choices: Choice[] = [];
      const weights: number[] = [];
      let total = 0;
      for (const choice of this.choices(world)) {
        const arrow = choice.what.indexOf("->");
        if (arrow > 0) {
          const from = Number(choice.what[arrow - 1]);
          const to = Number(choice.what[arrow + 2]);
          if (((island >> (from - 1)) & 1) !== ((island >> (to - 1)) & 1)) continue;
        }
        const weight = weightOf(choice.what);
        choices.push(choice);
        weights.push(weight);
        total += weight;
      }
      if (choices.length === 0) {
        if (island === 0) break;
        island = 0;
        continue;
      }
      let draw = random.fraction() * total;
      let pick = 0;
      while (pick < choices.length - 1 && draw >= weights[pick]!) draw -= weights[pick++]!;
      const { what, make } = choices[pick]!;
      trail = { what, before: trail };
      try {
        world = make();
      } catch (error) {
        return { violation: { property: messageOf(error), trail: unroll(trail) }, steps };
      }
    }
    let property: string | undefined;
    try {
      property = this.#heals(world);
    } catch (error) {
      property = messageOf(error);
    }
    const violation = property === undefined ? undefined : { property, trail: unroll(trail) };
    return { violation, steps };
  }

  /**
   * Liveness: with nothing lost and enough members up, though perhaps not all, a leader comes, everybody who is up gets what
   * it has, and every read is answered or refused.
   */
  #heals(from: World): string | undefined {
    const left: Budgets = {
      ...walkBudgets,
      terms: 99,
      timeouts: 15,
      heartbeats: 15,
      idleTimeouts: 15,
      batches: 0,
      bag: 999,
    };
    const nodes = from.members.length;
    const down = this.#staysDown(from);
    const isDown = (id: MemberId): boolean => ((down >> (id - 1)) & 1) === 1;
    if (down !== 0) this.#count("healed with members down");
    const members = from.members.map(({ node, durable, batch }, at) =>
      this.#member(isDown(at + 1) ? undefined : node, durable, isDown(at + 1) ? [] : batch),
    );
    let world: World = { ...from, left, members };
    const happen = (what: string): void => {
      for (const choice of this.choices(world)) {
        if (choice.what !== what) continue;
        world = { ...choice.make(), left };
        return;
      }
    };
    for (let round = 0; round < 12 * nodes; round++) {
      for (let id = 1; id <= nodes; id++)
        for (const what of isDown(id) ? [] : ["sync", "restart", "reask", "round"]) happen(`${what} ${id}`);
      const leaders = world.members.filter(({ node }) => node?.isLeader === true);
      if (leaders.length === 0) happen(`timeout ${(round % nodes) + 1}`);
      for (const { node } of leaders) happen(`heartbeat ${node!.id}`);
      for (let turn = 0; turn < 400 && world.bag.length > 0; turn++) {
        const { kind, from: sender, to } = world.bag[0]!.message;
        if (isDown(to)) world = { ...world, bag: world.bag.slice(1) };
        else happen(`${kind} ${sender}->${to}`);
      }
      if (isSettled(world)) return undefined;
      if (round % 4 !== 3) continue;
      // Who leads without a quorum finds out, and who hears of no leader.
      for (const { node } of leaders) happen(`quorum ${node!.id}`);
      for (const { node } of world.members)
        if (node !== undefined && !node.mayCampaign && isDown(node.leader)) happen(`timeout ${node.id}`);
    }
    return `does not heal${down === 0 ? "" : `, ${members.flatMap((_, at) => (isDown(at + 1) ? [at + 1] : []))} down`}`;
  }

  /** Some that the others can do without, whichever set of members is in force or may come to be; as bits. */
  #staysDown({ members }: World): number {
    const sets: MemberSet[] = [];
    for (const { node, durable } of members) {
      const { base, entries = [] } = durable.start;
      sets.push(base.members);
      if (node !== undefined) sets.push(node.log.baseMembers);
      for (const entry of [...entries, ...(node?.log.entries ?? [])])
        if (entry.kind === "members") sets.push(entry.members);
    }
    let down = 0;
    for (let tries = this.#random.below(3); tries > 0; tries--) {
      const more = down | (1 << this.#random.below(members.length));
      const isEnough = (voters: readonly MemberId[]): boolean =>
        voters.filter((id) => ((more >> (id - 1)) & 1) === 1).length * 2 < Math.max(1, voters.length);
      if (sets.every(({ voters, outgoing }) => isEnough(voters) && isEnough(outgoing))) down = more;
    }
    return down;
  }

  /**
   * Visits worlds that were not visited before, until `statesMax` of them or none are left. Of those that wait, the
   * shallowest, the deepest and any others take turns: the space is swept from its beginning, and reached to its end.
   */
  explore(statesMax: number, onProgress?: (states: number) => void): Exploration {
    const visited = new HashSet(statesMax);
    const waiting = new Waiting(this.#random, 400_000);
    let deepest = 0;
    let transitions = 0;
    const first = this.initial();
    const { high, low } = this.hash(first);
    visited.add(high, low);
    waiting.add(first);
    while (waiting.size > 0 && visited.size < statesMax) {
      const world = waiting.take();
      if (world.depth > deepest) deepest = world.depth;
      for (const { what, make } of this.choices(world)) {
        let next: World;
        try {
          next = make();
        } catch (error) {
          return {
            states: visited.size,
            transitions,
            deepest,
            passedOver: waiting.passedOver,
            complete: false,
            violation: { property: messageOf(error), trail: [`... ${world.depth} steps`, what] },
          };
        }
        transitions++;
        const mixer = this.hash(next);
        if (!visited.add(mixer.high, mixer.low)) continue;
        if (onProgress !== undefined && visited.size % 100_000 === 0) onProgress(visited.size);
        waiting.add(next);
        if (visited.size >= statesMax) break;
      }
    }
    return {
      states: visited.size,
      transitions,
      deepest,
      passedOver: waiting.passedOver,
      complete: waiting.size === 0 && waiting.passedOver === 0,
      violation: undefined,
    };
  }
}

/** Worlds to go on from, by depth. */
class Waiting {
  readonly #random: SimRandom;
  readonly #sizeMax: number;
  readonly #levels: World[][] = [];
  #turn = 0;
  size = 0;
  passedOver = 0;

  constructor(random: SimRandom, sizeMax: number) {
    this.#random = random;
    this.#sizeMax = sizeMax;
  }

  add(world: World): void {
    this.#levels[world.depth] ??= [];
    const level = this.#levels[world.depth]!;
    if (this.size < this.#sizeMax) {
      level.push(world);
      this.size++;
      return;
    }
    // Memory has a bound: one of the same depth makes room.
    this.passedOver++;
    if (level.length > 0) level[this.#random.below(level.length)] = world;
  }

  take(): World {
    const levels = this.#levels;
    const turn = this.#turn++ % 3;
    let at = turn === 0 ? 0 : turn === 1 ? levels.length - 1 : this.#random.below(levels.length);
    const step = turn === 1 ? -1 : 1;
    while ((levels[at]?.length ?? 0) === 0) at = (at + step + levels.length) % levels.length;
    const level = levels[at]!;
    const pick = this.#random.below(level.length);
    const world = level[pick]!;
    level[pick] = level[level.length - 1]!;
    level.pop();
    this.size--;
    return world;
  }
}

export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  readonly deepest: number;
  /** Worlds that were seen and checked, but not gone on from, for want of memory. */
  readonly passedOver: number;
  readonly complete: boolean;
  readonly violation: Violation | undefined;
}

/** A leader has committed all of its log, all of its members that are up hold and know it, and no read waits. */
function isSettled(world: World): boolean {
  const leader = world.members.findLast(({ node }) => node?.isLeader === true)?.node;
  if (leader === undefined || leader.commit < leader.log.lastIndex) return false;
  if (world.members.some(({ node }) => node !== undefined && node.asked.size + node.reads.length > 0))
    return false;
  const { voters, outgoing, learners } = leader.members;
  if (outgoing.length > 0) return false;
  return [...voters, ...learners].every((id) => {
    const node = world.members[id - 1]?.node;
    return node === undefined || node.commit === leader.commit;
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function unroll(trail: Trail | undefined): string[] {
  const steps: string[] = [];
  for (let at = trail; at !== undefined; at = at.before) steps.push(at.what);
  return steps.reverse();
}

/** 64-bit hashes, open addressing. */
class HashSet {
  readonly #high: Int32Array;
  readonly #low: Int32Array;
  readonly #mask: number;
  size = 0;

  constructor(most: number) {
    let slots = 1024;
    while (slots < most * 1.6) slots *= 2;
    this.#high = new Int32Array(slots);
    this.#low = new Int32Array(slots);
    this.#mask = slots - 1;
  }

  /** False: it was there. */
  add(high: number, low: number): boolean {
    const h = high | 0;
    const l = (low | 0) === 0 && h === 0 ? 1 : low | 0;
    let at = (Math.imul(l, 0x9e3779b1) ^ h) & this.#mask;
    for (;;) {
      const hereHigh = this.#high[at]!;
      const hereLow = this.#low[at]!;
      if (hereHigh === 0 && hereLow === 0) break;
      if (hereHigh === h && hereLow === l) return false;
      at = (at + 1) & this.#mask;
    }
    this.#high[at] = h;
    this.#low[at] = l;
    this.size++;
    return true;
  }
}
