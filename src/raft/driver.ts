/**
 * Acts for the core: feeds it what arrives, makes durable what it says, then sends and applies.
 *
 * Inputs that arrive while a write is under way wait and are stepped together, and their effects become one write with one
 * sync: under load a sync carries many proposals.
 *
 * Invariants: nothing of a step is sent or applied before all of it is durable; steps, writes, messages and applied entries
 * keep their order; after a failed write or a fault the member says nothing more.
 */
import { assert, DbError } from "../base/errors.js";
import type { Clock, Timer } from "../platform/index.js";
import type {
  Effects,
  Entry,
  Input,
  LocalEvent,
  MemberId,
  MemberTarget,
  Message,
  RaftLimits,
  Refusal,
} from "./contract.js";
import { RaftNode, step } from "./core.js";
import { isVoter } from "./members.js";
import { recordBytesMax } from "./records.js";
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
  readonly limits?: RaftLimits | undefined;
  /** Milliseconds of one tick. */
  readonly tickMs?: number;
  /** A snapshot is taken once so many bytes of records were written since the last. */
  readonly snapshotAfterBytes?: number;
  /** Entries kept behind a snapshot for members that are a little late. */
  readonly entriesKept?: number;
  /** Role, leader or term have changed. */
  readonly onChange?: ((driver: RaftDriver) => void) | undefined;
  /** It is over with this member: a write failed, or it was found to have lost what it had acknowledged. */
  readonly onFault?: ((error: DbError) => void) | undefined;
  /** Beside the point of an entry: a snapshot could not be written. */
  readonly onTrouble?: ((what: string, error: unknown) => void) | undefined;
}

export const raftTickMs = 50;
/** A record of the log holds it, with what stands around it. */
const proposalBytesMax = recordBytesMax - 64;
const snapshotAfterBytesDefault = 8 << 20;
const snapshotRetryBytes = 1 << 20;
const entriesKeptDefault = 1000;

interface Waiting {
  readonly term: number;
  readonly resolve: (index: number) => void;
  readonly reject: (error: DbError) => void;
}

interface Asked {
  readonly event: LocalEvent;
  readonly answer: (effects: Effects) => void;
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
  readonly #reads = new Map<number, { resolve: (index: number) => void; reject: (error: DbError) => void }>();
  /** Reads that may be answered once their index is applied. */
  #readable: { readonly index: number; readonly resolve: (index: number) => void }[] = [];
  #nextRead = 1;
  #busy = false;
  #timer: Timer | undefined;
  #over: DbError | undefined;
  #applied: number;
  #snapshotAt: number;
  #told = "";

  constructor(options: RaftDriverOptions) {
    this.#options = options;
    this.#storage = options.storage;
    const found = options.storage.recovered ?? options.storage.created;
    assert(found !== undefined, "a member has its log before it takes part");
    const { snapshot, commit, base, entries, hard, id } = found;
    this.#snapshotAt = options.snapshotAfterBytes ?? snapshotAfterBytesDefault;
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

  get appliedIndex(): number {
    return this.#applied;
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
   * @throws DbError cannotConnectNow (57P03): it is certain that it never will be; ioError when this member is over
   */
  propose(data: Uint8Array): Promise<number> {
    if (data.length > proposalBytesMax) {
      return Promise.reject(
        new DbError(
          "programLimitExceeded",
          `a change of ${data.length} bytes is too large for the consensus log`,
        ),
      );
    }
    return new Promise((resolve, reject) => {
      this.#ask({ kind: "propose", commands: [data] }, reject, ({ index, term }) =>
        this.#waiting.set(index, { term, resolve, reject }),
      );
    });
  }

  /** Resolves with the index of the entry once it is applied here; a joint set is left by itself. */
  changeMembers(target: MemberTarget): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#ask({ kind: "changeMembers", target }, reject, ({ index, term }) =>
        this.#waiting.set(index, { term, resolve, reject }),
      );
    });
  }

  /** Asks the leader to hand over; whether it did shows in who leads. */
  transfer(target: MemberId): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#over !== undefined) {
        reject(this.#over);
        return;
      }
      this.#enter({
        event: { kind: "transfer", target },
        answer: ({ refused }) => (refused === undefined ? resolve() : reject(refuse(refused))),
      });
    });
  }

  /** Resolves when everything is applied here that was committed when it was asked. @throws DbError 57P03: ask again */
  read(): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#over !== undefined) {
        reject(this.#over);
        return;
      }
      const context = this.#nextRead++;
      this.#reads.set(context, { resolve, reject });
      this.#enter({ kind: "askRead", context });
    });
  }

  /** Ends without a word to anybody. */
  stop(error = new DbError("adminShutdown", "the node is stopping")): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    this.#timer?.cancel();
    for (const { reject } of this.#waiting.values()) reject(error);
    for (const { reject } of this.#reads.values()) reject(error);
    this.#waiting.clear();
    this.#reads.clear();
    this.#inputs.length = 0;
  }

  #tick(): void {
    if (this.#over !== undefined) return;
    this.#timer = this.#options.clock.after(this.#options.tickMs ?? raftTickMs, () => {
      this.#enter({ kind: "tick" });
      this.#tick();
    });
  }

  #ask(
    event: LocalEvent,
    reject: (error: DbError) => void,
    accepted: (place: { index: number; term: number }) => void,
  ): void {
    if (this.#over !== undefined) {
      reject(this.#over);
      return;
    }
    this.#enter({
      event,
      answer: (effects) => {
        if (effects.accepted !== undefined) accepted(effects.accepted);
        else reject(refuse(effects.refused ?? "notLeader"));
      },
    });
  }

  #enter(input: Input | Asked): void {
    if (this.#over !== undefined) return;
    this.#inputs.push(input);
    if (!this.#busy) void this.#work();
  }

  async #work(): Promise<void> {
    this.#busy = true;
    while (this.#inputs.length > 0 && this.#over === undefined) {
      const taken = this.#inputs.splice(0);
      const done: Effects[] = [];
      for (const input of taken) {
        const asked = "event" in input;
        const effects = step(this.node, asked ? input.event : input);
        if (asked) input.answer(effects);
        done.push(effects);
        if (effects.fault !== undefined) break;
      }
      const fault = done.at(-1)?.fault;
      if (fault !== undefined) {
        this.#fail(new DbError("dataCorrupted", `this node has lost acknowledged entries: ${fault}`));
        break;
      }
      if (
        done.some(
          ({ hard, install, append }) => hard !== undefined || install !== undefined || append.length > 0,
        )
      ) {
        const { commit } = this.node;
        try {
          await this.#storage.write([
            ...done.map(({ hard, install, append }) => ({ hard, install, append })),
            { commit },
          ]);
        } catch (error) {
          this.#fail(error as DbError);
          break;
        }
        if (this.#over !== undefined) break;
      }
      for (const effects of done) this.#perform(effects);
      this.#tellChange();
      this.#snapshotSometimes();
    }
    this.#busy = false;
  }

  #perform(effects: Effects): void {
    for (const message of effects.send) this.#options.send(message);
    if (effects.install !== undefined) {
      const { data, index } = effects.install;
      this.#options.machine.restore(data, index);
      this.#applied = index;
      // Which of them are in the snapshot is not known any more.
      for (const [at, waiting] of this.#waiting) if (at <= index) this.#drop(at, waiting);
    }
    for (const entry of effects.apply) this.#apply(entry);
    for (const { context, index } of effects.reads) {
      const read = this.#reads.get(context);
      if (read === undefined) continue;
      this.#reads.delete(context);
      if (index === 0) read.reject(new DbError("cannotConnectNow", "the cluster has no leader"));
      else this.#readable.push({ index, resolve: read.resolve });
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
    // Terms never fall along a log: what an earlier leader had proposed behind this entry is cut off for good.
    for (const [at, waiting] of this.#waiting) {
      if (at <= entry.index || waiting.term >= entry.term) continue;
      this.#waiting.delete(at);
      waiting.reject(new DbError("cannotConnectNow", "another node leads; the change was not made"));
    }
    const waiting = this.#waiting.get(entry.index);
    if (waiting === undefined) return;
    this.#waiting.delete(entry.index);
    if (waiting.term === entry.term) waiting.resolve(entry.index);
    else waiting.reject(new DbError("cannotConnectNow", "another node leads; the change was not made"));
  }

  #tellChange(): void {
    const { role, leader, term } = this.node;
    const now = `${role} ${leader} ${term}`;
    if (now === this.#told) return;
    this.#told = now;
    this.#options.onChange?.(this);
  }

  #snapshotSometimes(): void {
    const { machine, snapshotAfterBytes, entriesKept, onTrouble } = this.#options;
    if (this.#storage.bytesSinceSnapshot < this.#snapshotAt) return;
    const { node } = this;
    const index = this.#applied;
    if (index <= (node.log.snapshot?.index ?? 0)) return;
    const before = node.clone();
    step(node, { kind: "compact", index, data: machine.save(), keep: entriesKept ?? entriesKeptDefault });
    const { log } = node;
    try {
      this.#storage.compact(
        log.snapshot!,
        { index: log.baseIndex, term: log.baseTerm, members: log.baseMembers },
        log.entries,
      );
      this.#snapshotAt = snapshotAfterBytes ?? snapshotAfterBytesDefault;
    } catch (error) {
      // The log as it was still has everything.
      node.log = before.log;
      this.#snapshotAt = this.#storage.bytesSinceSnapshot + snapshotRetryBytes;
      onTrouble?.("a snapshot of the control plane could not be written", error);
    }
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
