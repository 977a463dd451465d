/**
 * What a node counts of its consensus log, for metrics (spec/10). Pure: the time comes with each call, from a clock that never
 * goes back. It lives where Raft does; what the control worker sends of it is its plain fields.
 *
 * Invariants: a time without a leader is counted once, when it ends; a snapshot that was there at the start is not counted.
 */
import { type DurationCounts, Durations } from "../observe/index.js";

/** What arrives at the other end of a thread. */
export interface RaftNumbers {
  /** From the loss of a leader, or the start, until one was known again. */
  readonly elections: DurationCounts;
  /** From proposal to commit, on the leader. */
  readonly replication: DurationCounts;
  /** Snapshots behind which the log was cut. */
  readonly compactions: number;
}

export class RaftCounts implements RaftNumbers {
  readonly elections = new Durations();
  readonly replication = new Durations();
  compactions = 0;
  #leaderlessSince: number | undefined;
  #snapshotIndex: number;

  constructor(snapshotIndex: number, now: number) {
    this.#snapshotIndex = snapshotIndex;
    this.#leaderlessSince = now;
  }

  /** Whenever leader, term or role have changed. */
  noteLeader(isKnown: boolean, now: number): void {
    if (!isKnown) this.#leaderlessSince ??= now;
    else if (this.#leaderlessSince !== undefined) {
      this.elections.observe((now - this.#leaderlessSince) / 1000);
      this.#leaderlessSince = undefined;
    }
  }

  noteCommit(proposedAt: number, now: number): void {
    this.replication.observe((now - proposedAt) / 1000);
  }

  /** Whenever there may be a newer snapshot. */
  noteSnapshot(index: number): void {
    if (index <= this.#snapshotIndex) return;
    this.#snapshotIndex = index;
    this.compactions++;
  }
}
