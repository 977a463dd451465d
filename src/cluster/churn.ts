/**
 * How much the cluster changes (OBS-21, OBS-22): joins, leaves, failures, elections and moves of shards in the last hour,
 * and hour by hour since this node started. Pure: what time it is comes with each call.
 *
 * What became of members is seen by comparing them with what was last seen, so it does not matter whether they came entry
 * by entry or in a snapshot. The founder joined nobody; the first leader that a node sees after its start was not
 * necessarily elected just now: neither is counted, and a quiet cluster scores 1.
 *
 * Invariants: memory is bounded (slots of ten seconds for the last hour, 30 days of hours, one note a member); an event leaves the last hour
 * up to one slot early, never late; totals count only what happened since the node's start.
 */
import { assert } from "../base/errors.js";
import { type Member, type MemberState, stabilityScore } from "./membership.js";

const hourMs = 3_600_000;
const slotMs = 10_000;
/** OBS-31. */
const hoursKept = 30 * 24;

/** What is counted. A ring has a column for each, and two for the leaderships that ended: how long in all, how many. */
const kinds = ["join", "leave", "failure", "election", "move", "rebalance", "partition"] as const;
type ChurnKind = (typeof kinds)[number];
const tenure = kinds.length;
const tenures = kinds.length + 1;
const columns = kinds.length + 2;

/** MEM-28: forced is what the leader does to a node that has failed. */
export const leaveReasons = ["graceful", "forced"] as const;
export type LeaveReason = (typeof leaveReasons)[number];

/** A row of sys.churn_metrics. */
export interface ChurnHour {
  /** End of the hour, milliseconds since 1970. */
  readonly observedAt: number;
  readonly joins: number;
  readonly leaves: number;
  readonly failures: number;
  readonly elections: number;
  readonly moves: number;
  readonly rebalances: number;
  readonly partitions: number;
  /** Mean over the leaderships that ended in the hour; undefined: none did. */
  readonly averageTenureSeconds: number | undefined;
  readonly score: number;
}

export interface ChurnTotals {
  readonly joins: number;
  readonly failures: number;
  readonly leaves: Readonly<Record<LeaveReason, number>>;
}

/** Counts by period, the newest so many. */
class Ring {
  readonly #counts: Float64Array;
  /** Which period a row counts. */
  readonly #periods: Float64Array;

  constructor(
    readonly periodMs: number,
    readonly rows: number,
  ) {
    this.#counts = new Float64Array(rows * columns);
    this.#periods = new Float64Array(rows).fill(-1);
  }

  periodOf(at: number): number {
    return Math.floor(at / this.periodMs);
  }

  add(at: number, column: number, amount: number): void {
    const period = this.periodOf(at);
    const row = period % this.rows;
    // Its row counts a later period already: too old to be of interest.
    if (this.#periods[row]! > period) return;
    if (this.#periods[row]! < period) {
      this.#periods[row] = period;
      this.#counts.fill(0, row * columns, (row + 1) * columns);
    }
    this.#counts[row * columns + column]! += amount;
  }

  /** Of the periods from `first` to `last`. */
  sum(first: number, last: number): Float64Array {
    const sums = new Float64Array(columns);
    for (let row = 0; row < this.rows; row++) {
      const period = this.#periods[row]!;
      if (period < first || period > last) continue;
      for (let column = 0; column < columns; column++) sums[column]! += this.#counts[row * columns + column]!;
    }
    return sums;
  }
}

export class ChurnWindow {
  readonly #startedAt: number;
  readonly #slots = new Ring(slotMs, hourMs / slotMs);
  readonly #hours = new Ring(hourMs, hoursKept);
  readonly #seen = new Map<string, { readonly state: MemberState; readonly since: number }>();
  #leaderChanges = 0;
  #ledSince: number | undefined;
  #joins = 0;
  #failures = 0;
  readonly #leaves: Record<LeaveReason, number> = { graceful: 0, forced: 0 };

  /** `startedAt`: when this node started, wall clock. */
  constructor(startedAt: number) {
    assert(startedAt >= 0, "the clock shows a time after 1970");
    this.#startedAt = startedAt;
  }

  /** The members as they are now: whenever they may have changed, and first when the node has read its log. */
  noteMembers(members: ReadonlyMap<string, Member>, now: number): void {
    for (const member of members.values()) {
      const { uuid, state, stateChangedAt } = member;
      const before = this.#seen.get(uuid);
      if (before?.state === state && before.since === stateChangedAt) continue;
      this.#seen.set(uuid, { state, since: stateChangedAt });
      if (before === undefined && member.raftId !== 1) {
        const at = this.#count("join", member.joinedAt, now);
        if (at >= this.#startedAt) this.#joins++;
      }
      if (state === "FAILED") {
        const at = this.#count("failure", stateChangedAt, now);
        if (at >= this.#startedAt) this.#failures++;
      } else if (state === "REMOVED" && before?.state !== "REMOVED") {
        const at = this.#count("leave", stateChangedAt, now);
        if (at >= this.#startedAt) this.#leaves[before?.state === "FAILED" ? "forced" : "graceful"]++;
      }
    }
  }

  /** `ControlStatus.leaderChanges` whenever it may have changed. */
  noteLeaderChanges(total: number, now: number): void {
    for (; this.#leaderChanges < total; this.#leaderChanges++) {
      if (this.#ledSince !== undefined) {
        this.#count("election", now, now);
        this.#add(now, tenure, Math.max(0, now - this.#ledSince));
        this.#add(now, tenures, 1);
      }
      this.#ledSince = now;
    }
  }

  /** What happens to shards and to the network. */
  note(kind: "move" | "rebalance" | "partition", now: number): void {
    this.#count(kind, now, now);
  }

  /** When it happened by this node's clock: others' may be ahead. */
  #count(kind: ChurnKind, at: number, now: number): number {
    const when = Math.min(at, now);
    this.#add(when, kinds.indexOf(kind), 1);
    return when;
  }

  #add(at: number, column: number, amount: number): void {
    this.#slots.add(at, column, amount);
    if (at >= this.#startedAt) this.#hours.add(at, column, amount);
  }

  /** Seen since the node's start. */
  get totals(): ChurnTotals {
    return { joins: this.#joins, failures: this.#failures, leaves: { ...this.#leaves } };
  }

  /** The last sixty minutes. */
  lastHour(now: number): ChurnHour {
    const last = this.#slots.periodOf(now);
    return rowOf(now, this.#slots.sum(last - this.#slots.rows + 1, last));
  }

  score(now: number): number {
    return this.lastHour(now).score;
  }

  /** The last sixty minutes, then each whole hour of the clock back to the one of the node's start. */
  rows(now: number): ChurnHour[] {
    const hours = this.#hours;
    const current = hours.periodOf(now);
    const first = Math.max(hours.periodOf(this.#startedAt), current - hours.rows + 1);
    const rows = [this.lastHour(now)];
    for (let hour = current - 1; hour >= first; hour--)
      rows.push(rowOf((hour + 1) * hourMs, hours.sum(hour, hour)));
    return rows;
  }
}

function rowOf(observedAt: number, sums: Float64Array): ChurnHour {
  const of = (kind: ChurnKind): number => sums[kinds.indexOf(kind)]!;
  const counts = {
    joins: of("join"),
    leaves: of("leave"),
    failures: of("failure"),
    elections: of("election"),
    moves: of("move"),
  };
  const ended = sums[tenures]!;
  return {
    observedAt,
    ...counts,
    rebalances: of("rebalance"),
    partitions: of("partition"),
    averageTenureSeconds: ended === 0 ? undefined : sums[tenure]! / ended / 1000,
    score: stabilityScore(counts),
  };
}
