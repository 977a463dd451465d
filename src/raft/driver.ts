/**
 * Acts for the core: feeds it what arrives, makes durable what it says, then sends and applies.
 *
 * Inputs that arrive while a write is under way wait and are stepped together, and their effects become one write with one
 * sync: under load a sync carries many proposals, and so does a message. Reads that came together share one round of
 * heartbeats.
 *
 * Invariants: nothing of a step is sent or applied before all of it is durable; writes, messages and applied entries keep the
 * order of the steps; after a failed write the member says nothing more; every promise is settled, by `stop` at
 * the latest.
 */
import { assert, DbError } from "../base/errors.js";
import type { Clock, Timer } from "../platform/index.js";
import type {
  Effects,
  Entry,
  Input,
  LocalEvent,
  MemberId,
  MemberSet,
  MemberTarget,
  Message,
  RaftLimits,
  Refusal,
  Snapshot,
} from "./contract.js";
import { baseBehind, RaftNode, step } from "./core.js";
import { isVoter } from "./members.js";
import { commandBytesMax } from "./sanity.js";
import type { RaftStorage } from "./storage.js";

/** What the entries are applied to. Calls are in order and synchronous. */
export interface StateMachine {
  /** A command; members and empty entries are not shown. */
  apply(data: Uint8Array, index: number): void;
  /** Everything is replaced by the state as of `index`. */
  restore(data: Uint8Array, index: number): void;
  /** The state as it is now. */
  save(): Uint8Array;
}

export interface RaftDriverOptions {
  /** With `recovered` or just created. */
  readonly storage: RaftStorage;
  readonly clock: Clock;
  readonly machine: StateMachine;
  /** To a peer; may be lost. */
  readonly send: (message: Message) => void;
  readonly seed: number;
  /**
   * Number of the first read: no start of this member may use another's numbers, so that an answer meant for an earlier one
   * settles nothing. Drawn from `seed` where it is absent, which then must be another for each start.
   */
  readonly readBase?: number | undefined;
  readonly limits?: RaftLimits | undefined;
  /** Milliseconds of one tick; 0: a group of one, in which nothing ever times out. */
  readonly tickMs?: number;
  /** A snapshot is taken once so many bytes of records were written since the last: 2 MB, or as many as that one has. */
  readonly snapshotAfterBytes?: number;
  /** Entries kept behind a snapshot for members that are a little late, and how many bytes of them. */
  readonly entriesKept?: number;
  readonly entriesKeptBytes?: number;
  /** Role, leader or term have changed. */
  readonly onChange?: ((driver: RaftDriver) => void) | undefined;
  /** It is over with this member: a write failed. */
  readonly onFault?: ((error: DbError) => void) | undefined;
  /** Beside the point of an entry: a snapshot could not be written, a peer makes no sense (told once for each). */
  readonly onTrouble?: ((what: string, error: unknown) => void) | undefined;
}

export const raftTickMs = 50;
const snapshotAfterBytesLeast = 2 << 20;
const snapshotRetryBytes = 1 << 20;
const entriesKeptDefault = 1000;
const entriesKeptBytesDefault = 2 << 20;
/** Messages and events that wait for a write to end. */
const inputsMax = 20_000;
/** Numbers of reads of one start. */
const readsOfOneStart = 2 ** 20;

interface Promised {
  readonly resolve: (index: number) => void;
  readonly reject: (error: DbError) => void;
}

interface Waiting extends Promised {
  readonly term: number;
}

interface Asked {
  readonly event: LocalEvent;
  readonly answer: (effects: Pick<Effects, "accepted" | "refused">) => void;
  readonly reject: (error: DbError) => void;
}

type Proposal = Asked & { readonly event: { readonly kind: "propose" } };

/** A peer as its leader knows it. */
export interface PeerProgress {
  /** Its log is known to agree up to here. */
  readonly match: number;
  /** Heard from within the last election timeout. */
  readonly recentlyActive: boolean;
  readonly state: "probe" | "replicate" | "snapshot";
}

const refusals: Readonly<Record<Refusal, string>> = {
  notLeader: "this node does not lead the cluster",
  transferring: "the leader is handing over to another node",
  tooMuch: "too many changes wait to be committed",
  changing: "another change of the cluster's voters is under way",
  badMembers: "the change would leave the cluster without voters, or changes nothing",
};

export class RaftDriver {
  readonly node: RaftNode;
  readonly #storage: RaftStorage;
  readonly #options: RaftDriverOptions;
  readonly #inputs: (Input | Asked)[] = [];
  /** Proposals by index: decided when an entry is applied there. */
  readonly #waiting = new Map<number, Waiting>();
  readonly #reads = new Map<number, Promised>();
  /** Reads that may be answered once their index is applied. */
  #readable: (Promised & { readonly index: number })[] = [];
  #nextRead: number;
  #busy = false;
  #timer: Timer | undefined;
  #over: DbError | undefined;
  #applied: number;
  /** Term of the last entry that was applied. */
  #appliedTerm = 0;
  #snapshotAt: number;
  #told = "";
  /** A snapshot of the state as of its index: being written, or waiting to take the place of entries. */
  #saving: { readonly snapshot: Snapshot; written: boolean } | undefined;
  /** Peers that were told of as senseless. */
  readonly #senseless = new Set<MemberId>();

  constructor(options: RaftDriverOptions) {
    this.#options = options;
    this.#storage = options.storage;
    const found = options.storage.recovered ?? options.storage.created;
    assert(found !== undefined, "a member has its log before it takes part");
    const { snapshot, commit, base, entries, hard, id } = found;
    this.#nextRead = options.readBase ?? (options.seed >>> 0) * readsOfOneStart;
    this.#snapshotAt = this.#snapshotAfter(snapshot?.data.length ?? 0);
    if (snapshot !== undefined) options.machine.restore(snapshot.data, snapshot.index);
    this.#applied = snapshot?.index ?? base.index;
    this.node = new RaftNode({
      id,
      hard,
      base,
      snapshot,
      entries,
      applied: this.#applied,
      limits: options.limits,
      seed: options.seed,
    });
    // What was known to be committed is so for ever: it need not wait for a leader.
    for (let index = this.#applied + 1; index <= commit; index++)
      this.#apply(entries[index - base.index - 1]!);
    this.node.commit = commit;
    this.node.handed = commit;
  }

  /** Begins to take part. A member that is the only voter leads at once. */
  start(): void {
    const { voters, outgoing } = this.node.members;
    if (outgoing.length === 0 && voters.length === 1 && isVoter(this.node.members, this.node.id))
      this.#enter({ kind: "electionTimeout" });
    this.#tick();
  }

  /**
   * The caller knows from elsewhere that entries up to `index` are committed: they are applied. Before `start`.
   * @throws DbError XX001: the log does not reach that far
   */
  commitAtLeast(index: number): void {
    const { lastIndex, node } = this;
    if (index > lastIndex)
      throw new DbError(
        "dataCorrupted",
        `the consensus log ends at entry ${lastIndex}, but storage has seen entry ${index}`,
        { hint: "Restore the folder raft/ of this node from a backup: it was cut, damaged or replaced." },
      );
    for (let at = this.#applied + 1; at <= index; at++)
      this.#apply(node.log.entries[at - node.log.baseIndex - 1]!);
    if (index > node.commit) {
      node.commit = index;
      node.handed = index;
    }
  }

  get appliedIndex(): number {
    return this.#applied;
  }
  get lastIndex(): number {
    return this.node.log.lastIndex;
  }
  get commitIndex(): number {
    return this.node.commit;
  }
  /** Entries held, in memory and in the log. */
  get logEntries(): number {
    return this.node.log.entries.length;
  }
  get bytesSinceSnapshot(): number {
    return this.#storage.bytesSinceSnapshot;
  }
  get snapshotIndex(): number {
    return this.node.log.snapshot?.index ?? 0;
  }
  /** In force: as of the last entry that changes them, committed or not. */
  get members(): MemberSet {
    return this.node.members;
  }
  /** Whether this group may still need the member's vote. */
  counts(member: MemberId): boolean {
    return this.node.counts(member);
  }
  /** A member as this leader knows it; undefined: this node does not lead, or knows nobody of that id. */
  matchOf(member: MemberId): PeerProgress | undefined {
    const { node } = this;
    if (member === node.id && node.isLeader)
      return { match: node.log.lastIndex, recentlyActive: true, state: "replicate" };
    const progress = node.progress.get(member);
    if (progress === undefined) return undefined;
    const { match, silentTicks, state } = progress;
    return { match, recentlyActive: silentTicks < node.limits.electionTicks, state };
  }
  get isLeader(): boolean {
    return this.node.isLeader && this.#over === undefined;
  }
  /** Of the current term, as far as known; 0: nobody. */
  get leader(): MemberId {
    return this.node.leader;
  }
  get term(): number {
    return this.node.term;
  }

  receive(message: Message): void {
    this.#enter(message);
  }

  /** The peer's process is gone. */
  peerDead(peer: MemberId): void {
    this.#enter({ kind: "peerDead", peer });
  }

  /**
   * Resolves with the entry's index once it is applied here.
   * @throws DbError cannotConnectNow (57P03): another node leads. Unless the message says otherwise the change will never be
   *   made; a proposal that knows itself again may be made to the next leader in any case
   * @throws DbError programLimitExceeded; ioError, adminShutdown: this member is over, and the rest is not known
   */
  propose(data: Uint8Array): Promise<number> {
    return this.proposeMany([data]);
  }

  /**
   * Entries that follow each other. Resolves with the last one's index once all are applied here; what `propose` throws, where
   * some of the first may have been made.
   */
  proposeMany(commands: readonly Uint8Array[]): Promise<number> {
    assert(commands.length > 0, "something is proposed");
    for (const { length } of commands)
      if (length > commandBytesMax)
        return Promise.reject(
          new DbError(
            "programLimitExceeded",
            `a change of ${length} bytes is too large for the consensus log`,
          ),
        );
    return this.#append({ kind: "propose", commands }, commands.length);
  }

  /** Resolves with the index of the entry once it is applied here; a joint set is left by itself. */
  changeMembers(target: MemberTarget): Promise<number> {
    return this.#append({ kind: "changeMembers", target }, 1);
  }

  /** Resolves once the last of the entries is applied that the event makes. */
  #append(event: LocalEvent, count: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const answer: Asked["answer"] = ({ accepted, refused }) => {
        if (accepted === undefined) {
          reject(refuse(refused ?? "notLeader"));
          return;
        }
        const index = accepted.index + count - 1;
        const before = this.#waiting.get(index);
        // What stood there is cut off here; another node may still have it, and lead.
        if (before !== undefined) this.#drop(index, before);
        this.#waiting.set(index, { term: accepted.term, resolve, reject });
      };
      this.#enter({ event, answer, reject });
    });
  }

  /** Asks the leader to hand over; whether it did shows in who leads. */
  transfer(target: MemberId): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#enter({
        event: { kind: "transfer", target },
        answer: ({ refused }) => (refused === undefined ? resolve() : reject(refuse(refused))),
        reject,
      });
    });
  }

  /** Resolves when everything is applied here that was committed when it was asked. @throws DbError 57P03: ask again */
  read(): Promise<number> {
    return new Promise((resolve, reject) => {
      const context = this.#nextRead++;
      this.#enter({
        event: { kind: "askRead", context },
        // Its answer comes with the effects of this step, or of a later one.
        answer: () => this.#reads.set(context, { resolve, reject }),
        reject,
      });
    });
  }

  /** Ends without a word to anybody. */
  stop(error = new DbError("adminShutdown", "the node is stopping")): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    this.#timer?.cancel();
    for (const input of this.#inputs) if ("event" in input) input.reject(error);
    for (const { reject } of this.#waiting.values()) reject(error);
    for (const { reject } of this.#reads.values()) reject(error);
    for (const { reject } of this.#readable) reject(error);
    this.#inputs.length = 0;
    this.#waiting.clear();
    this.#reads.clear();
    this.#readable = [];
  }

  #tick(): void {
    if (this.#over !== undefined || this.#options.tickMs === 0) return;
    this.#timer = this.#options.clock.after(this.#options.tickMs ?? raftTickMs, () => {
      this.#enter({ kind: "tick" });
      this.#tick();
    });
  }

  #enter(input: Input | Asked): void {
    const asked = "event" in input;
    if (this.#over !== undefined) {
      if (asked) input.reject(this.#over);
      return;
    }
    if (this.#inputs.length >= inputsMax) {
      // Messages may be lost, and ticks as well.
      if (asked) input.reject(refuse("tooMuch"));
      return;
    }
    this.#inputs.push(input);
    if (!this.#busy) void this.#work();
  }

  /** Everything that waits; but a part of a snapshot by itself, so that it can be taken back. */
  #take(): (Input | Asked)[] {
    const inputs = this.#inputs;
    const chunk = inputs.findIndex((input) => !("event" in input) && input.kind === "snapshot");
    return inputs.splice(0, chunk < 0 ? inputs.length : Math.max(1, chunk));
  }

  async #work(): Promise<void> {
    this.#busy = true;
    const { node } = this;
    while (this.#inputs.length > 0 && this.#over === undefined) {
      const taken = this.#take();
      const first = taken[0]!;
      const before = "event" in first || first.kind !== "snapshot" ? undefined : node.clone();
      const done = this.#stepAll(taken);
      if (node.wantsReadRound) done.push(step(node, { kind: "readRound" }));
      try {
        await this.#makeDurable(done);
      } catch (error) {
        if (before !== undefined && !this.#storage.isFenced) this.#takeBack(before, error);
        else this.#fail(error as DbError);
        continue;
      }
      if (this.#over !== undefined) break;
      for (const effects of done) if (this.#over === undefined) this.#perform(effects);
      if (this.#over !== undefined) break;
      this.#tellChange();
      this.#snapshotSometimes();
    }
    this.#busy = false;
  }

  /** Proposals that came together go last, as one, so that they travel as one. */
  #stepAll(taken: readonly (Input | Asked)[]): Effects[] {
    const done: Effects[] = [];
    const proposals: Proposal[] = [];
    for (const input of taken) {
      if ("event" in input && input.event.kind === "propose") proposals.push(input as Proposal);
      else done.push(this.#step(input));
    }
    if (proposals.length < 2) {
      for (const one of proposals) done.push(this.#step(one));
      return done;
    }
    const commands = proposals.flatMap(({ event }) => event.commands);
    const effects = step(this.node, { kind: "propose", commands });
    const { accepted, refused } = effects;
    if (refused === "tooMuch") {
      // Not all of them: as many as go.
      for (const one of proposals) done.push(this.#step(one));
      return done;
    }
    let before = 0;
    for (const { event, answer } of proposals) {
      answer({ refused, accepted: accepted && { ...accepted, index: accepted.index + before } });
      before += event.commands.length;
    }
    done.push(effects);
    return done;
  }

  #step(input: Input | Asked): Effects {
    if ("event" in input) {
      const effects = step(this.node, input.event);
      input.answer(effects);
      return effects;
    }
    const effects = step(this.node, input);
    if (effects.dropped !== undefined && "from" in input) this.#tellSenseless(input, effects.dropped);
    return effects;
  }

  async #makeDurable(done: readonly Effects[]): Promise<void> {
    const changes = done.filter(
      ({ hard, install, append }) => hard !== undefined || install !== undefined || append.length > 0,
    );
    if (changes.length === 0) return;
    await this.#storage.write([
      ...changes.map(({ hard, install, append }) => ({ hard, install, append })),
      { commit: this.node.commit },
    ]);
  }

  /** A snapshot for which there is no room was never received. The leader sends it again, from its start. */
  #takeBack(before: RaftNode, error: unknown): void {
    Object.assign(this.node, before, { incoming: undefined });
    this.#options.onTrouble?.("a snapshot of the control plane from the leader could not be written", error);
  }

  #tellSenseless(message: Message, reason: string): void {
    if (this.#senseless.has(message.from)) return;
    this.#senseless.add(message.from);
    const what = `a message of member ${message.from} makes no sense and is dropped, as are others like it`;
    this.#options.onTrouble?.(what, new DbError("protocolViolation", `${message.kind}: ${reason}`));
  }

  #perform(effects: Effects): void {
    for (const message of effects.send) this.#options.send(message);
    if (effects.install !== undefined) {
      const { data, index } = effects.install;
      this.#options.machine.restore(data, index);
      this.#applied = index;
      this.#appliedTerm = effects.install.term;
      this.#snapshotAt = this.#snapshotAfter(data.length);
      // Which of them are in the snapshot is not known any more.
      for (const [at, waiting] of this.#waiting) if (at <= index) this.#drop(at, waiting);
    }
    for (const entry of effects.apply) {
      // The state machine may have ended it.
      if (this.#over !== undefined) return;
      this.#apply(entry);
    }
    for (const { context, index } of effects.reads) {
      const read = this.#reads.get(context);
      if (read === undefined) continue;
      this.#reads.delete(context);
      if (index === 0)
        read.reject(DbError.answer("cannotConnectNow", "the cluster has no leader, or another now"));
      else this.#readable.push({ index, ...read });
    }
    if (this.#readable.length === 0) return;
    this.#readable = this.#readable.filter(({ index, resolve }) => {
      if (index > this.#applied) return true;
      resolve(this.#applied);
      return false;
    });
  }

  #drop(index: number, { reject }: Waiting): void {
    this.#waiting.delete(index);
    reject(
      new DbError("cannotConnectNow", "another node leads, and it is not known whether the change was made"),
    );
  }

  #apply(entry: Entry): void {
    assert(entry.index === this.#applied + 1, `entry ${entry.index} does not follow ${this.#applied}`);
    if (entry.kind === "command") this.#options.machine.apply(entry.data, entry.index);
    this.#applied = entry.index;
    if (entry.term > this.#appliedTerm) this.#dropCutOff(entry);
    const waiting = this.#waiting.get(entry.index);
    if (waiting === undefined) return;
    this.#waiting.delete(entry.index);
    if (waiting.term === entry.term) waiting.resolve(entry.index);
    else waiting.reject(new DbError("cannotConnectNow", "another node leads; the change was not made"));
  }

  /** Terms never fall along a log: what an earlier leader had proposed behind this entry is cut off for good. */
  #dropCutOff({ index, term }: Entry): void {
    this.#appliedTerm = term;
    for (const [at, waiting] of this.#waiting) {
      if (at <= index || waiting.term >= term) continue;
      this.#waiting.delete(at);
      waiting.reject(new DbError("cannotConnectNow", "another node leads; the change was not made"));
    }
  }

  #tellChange(): void {
    const { role, leader, term } = this.node;
    const now = `${role} ${leader} ${term}`;
    if (now === this.#told) return;
    this.#told = now;
    this.#options.onChange?.(this);
  }

  /** Between two writes of the log. The state is taken at once, and written while the log goes on. */
  #snapshotSometimes(): void {
    if (this.#saving !== undefined) {
      if (this.#saving.written) this.#compact(this.#saving.snapshot);
      return;
    }
    if (this.#storage.bytesSinceSnapshot < this.#snapshotAt) return;
    const { log } = this.node;
    const index = this.#applied;
    if (index <= (log.snapshot?.index ?? 0)) return;
    const saving = { snapshot: { ...log.baseAt(index), data: this.#options.machine.save() }, written: false };
    this.#saving = saving;
    this.#storage.prepare(saving.snapshot).then(
      () => {
        saving.written = true;
        if (!this.#busy && this.#over === undefined) this.#snapshotSometimes();
      },
      (error: unknown) => this.#notSaved(error),
    );
  }

  #compact(snapshot: Snapshot): void {
    this.#saving = undefined;
    const { entriesKept, entriesKeptBytes } = this.#options;
    const { index, data } = snapshot;
    const { log } = this.node;
    const limits = {
      keep: entriesKept ?? entriesKeptDefault,
      keepBytes: entriesKeptBytes ?? entriesKeptBytesDefault,
    };
    try {
      if (index <= (log.snapshot?.index ?? 0)) {
        // The leader's was newer.
        this.#storage.discard();
        return;
      }
      const base = baseBehind(this.node, { index, ...limits });
      this.#storage.compact(log.baseAt(base), log.behind(base));
    } catch (error) {
      this.#notSaved(error);
      return;
    }
    step(this.node, { kind: "compact", index, data, ...limits });
    this.#snapshotAt = this.#snapshotAfter(data.length);
  }

  /** The log as it was still has everything. */
  #notSaved(error: unknown): void {
    this.#saving = undefined;
    this.#snapshotAt = this.#storage.bytesSinceSnapshot + snapshotRetryBytes;
    if (this.#over === undefined)
      this.#options.onTrouble?.("a snapshot of the control plane could not be written", error);
  }

  /**
   * A start reads a snapshot and what is behind it; so it is no more than about twice the state, and written no more than twice.
   * Members take theirs at different times: while one is at it, the others go on.
   */
  #snapshotAfter(bytes: number): number {
    const { snapshotAfterBytes, storage } = this.#options;
    const own = ((storage.recovered ?? storage.created)!.id % 4) / 8;
    return snapshotAfterBytes ?? Math.round(Math.max(snapshotAfterBytesLeast, bytes) * (1 + own));
  }

  #fail(error: DbError): void {
    this.stop(error);
    this.#options.onFault?.(error);
  }
}

function refuse(refusal: Refusal): DbError {
  return new DbError("cannotConnectNow", refusals[refusal], {
    hint: refusal === "badMembers" ? undefined : "Try again.",
  });
}
