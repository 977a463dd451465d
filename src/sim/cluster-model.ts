/**
 * What must be true of a cluster whatever happens to it, held against everything its nodes show: one log, one state at each
 * entry, every answered change in it once, epochs that follow from each other and were attested where they need it.
 *
 * The model sees every entry that any control plane hands to its main, and applies it to one state of its own. It knows
 * nothing of Raft; two nodes that disagree about an entry are found as such, whatever led there.
 */
import { hash } from "node:crypto";
import type { EpochEntry, Origin } from "../cluster/contract.js";
import { ControlState, decodeProposal } from "../cluster/control-state.js";
import { chainHash, convergence, decodeEpoch, type EpochState } from "../cluster/epochs.js";
import type { MemberState } from "../cluster/membership.js";
import type { EventLog } from "./cluster-events.js";
import { simPki } from "./trust.js";

export type Outcome =
  /** Not answered yet. */
  | "open"
  | "done"
  /** Answered with an error that says it was not done. */
  | "refused"
  /** 08007. */
  | "unknown"
  /** Its node ended before it answered. */
  | "cut";

/** A change that a client has asked for. */
export interface Asked {
  readonly id: number;
  readonly node: string;
  readonly what: string;
  origin: string | undefined;
  outcome: Outcome;
  sqlstate: string | undefined;
}

interface Proposal {
  /** Entries that carry it. */
  copies: number;
  /** How often it changed anything. */
  accepted: number;
}

export const originKey = ({ stream, boot, number }: Origin): string => `${stream}.${boot}.${number}`;

const isSame = (one: Origin | undefined, other: Origin): boolean =>
  one !== undefined && originKey(one) === originKey(other);

const hashOf = (data: Uint8Array | string): string => hash("sha1", data, "hex").slice(0, 16);

/** State is compared at entries whose index this divides: writing it out costs more than applying it. */
const compareEvery = 32;

export class Model {
  readonly state = new ControlState([], simPki);
  readonly #log: EventLog;
  /** Entries by index, as whoever came first has shown them. */
  readonly #entries = new Map<number, Uint8Array>();
  readonly #order: number[] = [];
  readonly #places = new Map<number, number>();
  readonly #states = new Map<number, string>();
  readonly proposals = new Map<string, Proposal>();
  readonly asked: Asked[] = [];
  /** Who led in a term. */
  readonly #leaders = new Map<number, string>();
  readonly #memberStates = new Map<string, MemberState>();
  #wasFailed = new Set<string>();
  #wasDisabled = new Set<string>();
  #someRemoved = false;
  #rotations = 0;
  #emergencies = 0;
  /** Index of the entry by which a member was removed, and when the model saw it. */
  readonly removedAt = new Map<string, { readonly index: number; readonly atMs: number }>();

  constructor(log: EventLog) {
    this.#log = log;
  }

  get lastIndex(): number {
    return this.#order.at(-1) ?? 0;
  }

  // --- what nodes show ---------------------------------------------------------------------------------------------

  /**
   * A node has applied an entry. `before`: index of the one it applied before, or of its snapshot; -1: not known.
   */
  entry(node: string, index: number, data: Uint8Array, before: number): void {
    const known = this.#entries.get(index);
    if (known === undefined) {
      if (index < this.lastIndex) {
        this.#log.violated("one log", `${node} applied entry ${index}, which others passed over`);
        return;
      }
      this.#entries.set(index, Buffer.from(data));
      this.#places.set(index, this.#order.push(index) - 1);
      this.#apply(data, index);
    } else if (Buffer.compare(known, data) !== 0) {
      this.#log.violated(
        "one log",
        `${node} applied another entry ${index} than others: ${hashOf(data)}, not ${hashOf(known)}`,
      );
      return;
    }
    if (before < 0) return;
    const expected = this.#order[this.#places.get(index)! - 1] ?? 0;
    if (before < expected)
      this.#log.violated("no entry is passed over", `${node} applied entry ${index} behind ${before}`);
  }

  /** The newest entry at or before `index`. */
  lastAt(index: number): number {
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#order[middle]! <= index) low = middle + 1;
      else high = middle;
    }
    return this.#order[low - 1] ?? 0;
  }

  /** Whether a state is to be compared there. */
  compares(index: number): boolean {
    return index % compareEvery === 0 && this.#entries.has(index);
  }
  /** `catalog` and `cluster` of a node as of the entry. */
  compare(node: string, index: number, saved: () => { catalog: unknown; cluster: unknown }): void {
    const known = this.#states.get(index);
    if (known === undefined) return;
    if (JSON.stringify(saved()) !== known)
      this.#log.violated("one state", `${node} has another state than others as of entry ${index}`);
  }

  /** A node leads. */
  leads(node: string, term: number): void {
    const known = this.#leaders.get(term);
    if (known !== undefined && known !== node)
      this.#log.violated("one leader in a term", `${known} and ${node} in term ${term}`);
    this.#leaders.set(term, node);
  }

  // --- applying ----------------------------------------------------------------------------------------------------

  #apply(data: Uint8Array, index: number): void {
    const { command, origin, audit } = decodeProposal(data);
    const { cluster } = this.state;
    const epochsBefore = cluster.epochs.length;
    const latest = cluster.latest;
    const attestations = cluster.attestations;
    const refusedBefore = cluster.refusedEpochs.at(-1);
    const outcomes = this.state.applyCommand(command, origin, audit);
    if (command.type === "epochs") {
      for (const { origin } of command.entries)
        this.#noteProposal(
          origin,
          outcomes.some((one) => one.error === undefined && isSame(one.origin, origin)),
        );
      this.#checkEpochs(epochsBefore, command.entries);
      const refused = cluster.refusedEpochs.at(-1);
      if (refused !== undefined && refused !== refusedBefore)
        if (/GAP|CHAIN/.test(refused.condition)) this.#log.sometimes("rival epoch refused at apply");
    } else {
      if (origin !== undefined)
        this.#noteProposal(
          origin,
          outcomes.some(({ error }) => error === undefined),
        );
      if (
        cluster.latest !== undefined &&
        latest?.state === "CONVERGING" &&
        cluster.latest.state === "EFFECTIVE"
      )
        this.#checkConverged(latest.epoch.number, this.#enabled(), attestations);
    }
    this.#noteMembers(index);
    const urgent = cluster.pastRotations.filter((one) => one.outcome === "EMERGENCY").length;
    if (urgent > this.#emergencies) {
      this.#emergencies = urgent;
      this.#log.sometimes("CA replaced in an emergency");
    }
    const past = cluster.pastRotations.filter((one) => one.outcome === "DONE").length;
    if (past > this.#rotations) {
      this.#rotations = past;
      this.#log.sometimes("CAs exchanged");
      if (past > 1) this.#log.sometimes("CAs exchanged again");
    }
    this.#noteBundle();
    if (index % compareEvery === 0) {
      const saved = { catalog: this.state.catalog.saved(), cluster: cluster.save() };
      this.#states.set(index, JSON.stringify(saved));
    }
  }

  /** Numbers only rise, and each is the epoch's that has brought it. */
  #noteBundle(): void {
    const { cluster } = this.state;
    const { version } = cluster.bundle;
    if (version === this.#bundle) return;
    if (version < this.#bundle)
      this.#log.violated("no security bundle comes again", `${version} follows ${this.#bundle}`);
    this.#bundle = version;
    if (version === 1) return;
    const { description } = cluster.epochs[version - 1]!.epoch;
    this.#log.sometimes(
      description === "publish securityBundle" ? "security bundle published" : "security bundle brought back",
    );
  }
  #bundle = 0;

  #noteProposal(origin: Origin, accepted: boolean): void {
    const key = originKey(origin);
    const known = this.proposals.get(key);
    if (known === undefined) {
      this.proposals.set(key, { copies: 1, accepted: accepted ? 1 : 0 });
      return;
    }
    known.copies++;
    if (accepted) known.accepted++;
    if (known.accepted > 1)
      this.#log.violated("a change is made once", `proposal ${key} was accepted ${known.accepted} times`);
    this.#log.sometimes("proposal handed to a second leader and applied once");
  }

  #enabled(): string[] {
    const members = [...this.state.cluster.members.values()];
    return members.filter((one) => one.state === "ENABLED").map((one) => one.uuid);
  }

  /** Rule C1: what changes trust or access is in effect once all have attested it, and not before. */
  #checkEpochs(from: number, entries: readonly EpochEntry[]): void {
    const { epochs } = this.state.cluster;
    for (let at = Math.max(1, from); at < epochs.length; at++) {
      const { epoch, state } = epochs[at]!;
      const before = epochs[at - 1]!;
      if (epoch.number !== at + 1 || epoch.previousHash !== before.hash)
        this.#log.violated("epochs follow from each other", `epoch ${epoch.number} at place ${at + 1}`);
      if (before.state !== "SUPERSEDED")
        this.#log.violated("epochs follow from each other", `epoch ${at} is ${before.state}`);
      const entry = entries.find(
        (one) => chainHash(decodeEpoch(Buffer.from(one.epoch, "base64"))) === epochs[at]!.hash,
      );
      if (entry?.change.kind === "forceCutover") {
        this.#log.sometimes("forced cutover");
        continue;
      }
      const moved = (["caPolicy", "securityBundle"] as const).some(
        (part) => epoch.parts[part] !== before.epoch.parts[part],
      );
      const waits = moved || this.#waited.get(at) === "CONVERGING";
      this.#waited.set(at + 1, waits ? "CONVERGING" : "EFFECTIVE");
      if (waits && state === "EFFECTIVE")
        this.#log.violated(
          "attested before it is in effect (C1)",
          `epoch ${epoch.number} was EFFECTIVE at once`,
        );
      if (!waits && state !== "EFFECTIVE" && state !== "SUPERSEDED")
        this.#log.violated("a setting blocks nothing (C1)", `epoch ${epoch.number} is ${state}`);
    }
  }
  /** How epochs stood when the next one came. */
  readonly #waited = new Map<number, EpochState>();

  #checkConverged(
    epoch: number,
    enabled: readonly string[],
    attestations: Parameters<typeof convergence>[2],
  ): void {
    this.#waited.set(epoch, "EFFECTIVE");
    const { missing } = convergence(epoch, enabled, attestations);
    if (missing.size > 0)
      this.#log.violated(
        "attested before it is in effect (C1)",
        `epoch ${epoch}: ${[...missing].map(([node, why]) => `${node} ${why}`).join(", ")}`,
      );
    else if (enabled.length > 1) this.#log.sometimes("epoch converged by attestation");
  }

  #noteMembers(index: number): void {
    for (const { uuid, name, state } of this.state.cluster.members.values()) {
      const before = this.#memberStates.get(uuid);
      if (before === state) continue;
      this.#memberStates.set(uuid, state);
      this.#log.note(`model ${index}: ${name} ${before ?? "-"} -> ${state}`);
      if (before === "REMOVED") this.#log.violated("REMOVED is final", `${name} became ${state}`);
      if (state === "FAILED") this.#wasFailed.add(uuid);
      if (state === "DISABLED") this.#wasDisabled.add(uuid);
      if (state === "ENABLED") {
        if (this.#wasFailed.delete(uuid)) this.#log.sometimes("member FAILED and back");
        if (this.#wasDisabled.delete(uuid)) this.#log.sometimes("member DISABLED and back");
        if (this.#someRemoved && before === "JOINING") this.#log.sometimes("member removed and replaced");
      }
      if (state === "REMOVED") {
        this.#someRemoved = true;
        this.removedAt.set(uuid, { index, atMs: this.#log.now });
      }
    }
  }

  // --- what clients were told --------------------------------------------------------------------------------------

  ask(node: string, what: string): Asked {
    const asked: Asked = {
      id: this.asked.length + 1,
      node,
      what,
      origin: undefined,
      outcome: "open",
      sqlstate: undefined,
    };
    this.asked.push(asked);
    return asked;
  }

  /** Answered: it must be in the log by now. */
  done(asked: Asked): void {
    asked.outcome = "done";
    const proposal = asked.origin === undefined ? undefined : this.proposals.get(asked.origin);
    // Whoever keeps the CA's key makes it of its own.
    if (asked.what === "rotate" || asked.what === "publish" || asked.what === "emergency") return;
    if (proposal?.accepted !== 1)
      this.#log.violated("an answered change is made", `${asked.what} of ${asked.node} (${asked.origin})`);
  }

  /** At the end, and whenever everything is calm. */
  checkAnswers(): void {
    for (const { what, node, origin, outcome, sqlstate } of this.asked) {
      if (origin === undefined) continue;
      const proposal = this.proposals.get(origin);
      const text = `${what} of ${node} (${origin}), answered ${sqlstate ?? outcome}`;
      if (outcome === "done" && proposal?.accepted !== 1)
        this.#log.violated("an answered change is kept", text);
      if (outcome !== "refused") continue;
      if (sqlstate === "57P03" && proposal !== undefined)
        this.#log.violated("what was refused with 57P03 is never in the log", text);
      if ((proposal?.accepted ?? 0) > 0) this.#log.violated("a refused change is never made", text);
    }
    for (const problem of this.state.cluster.historyProblems())
      this.#log.violated("the history of epochs holds", problem);
  }
}
