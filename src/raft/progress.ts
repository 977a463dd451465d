/**
 * What a leader knows of one peer's log, and how fast it may send.
 *
 * Invariants: `match` never falls within a leadership and `match < next`; at most one append is under way while probing,
 * `inflightMax` while replicating, one chunk while a snapshot is sent; what was sent is sent again at most once for each
 * heartbeat that the clock asked for, however many answers come.
 */
import type { Snapshot } from "./contract.js";

export interface Progress {
  /** The peer's log agrees up to here. */
  match: number;
  /** The next entry to send. */
  next: number;
  state: "probe" | "replicate" | "snapshot";
  /** Probing: an append is under way. Resumed by an answer, or by the next heartbeat's. */
  paused: boolean;
  /** Last indexes of appends under way, oldest first. */
  inflight: number[];
  /** Heard from since the last look at the quorum. */
  active: boolean;
  /** Ticks since it was heard; infinite: not in this leadership. */
  silentTicks: number;
  /** Highest round of reads it has confirmed. */
  round: number;
  /** The one that is sent. It stays the one until it has arrived, though there may be newer ones. */
  snapshot: Snapshot | undefined;
  /** Bytes of it that the peer has. */
  snapshotOffset: number;
  /**
   * A heartbeat is under way, and how things stood when it was sent. Links keep their order: what was sent before it and is
   * not answered when the heartbeat is, is lost.
   */
  beaten: boolean;
  beatNext: number;
  beatOffset: number;
  /** Index of the entry by which it leaves the group; 0: it stays. It is forgotten once it knows that to be committed. */
  leaves: number;
}

export function newProgress(next: number): Progress {
  return {
    match: 0,
    next,
    state: "probe",
    paused: false,
    inflight: [],
    active: true,
    silentTicks: Number.POSITIVE_INFINITY,
    round: 0,
    snapshot: undefined,
    snapshotOffset: 0,
    beaten: false,
    beatNext: 0,
    beatOffset: 0,
    leaves: 0,
  };
}

export function cloneProgress(progress: Progress): Progress {
  return { ...progress, inflight: progress.inflight.slice() };
}

export function noteHeard(progress: Progress): void {
  progress.active = true;
  progress.silentTicks = 0;
}

export function noteBeat(progress: Progress): void {
  // One that was not answered yet still tells of what was sent before it.
  if (progress.beaten) return;
  progress.beaten = true;
  progress.beatNext = progress.next;
  progress.beatOffset = progress.snapshotOffset;
}

function become(progress: Progress, state: Progress["state"], snapshot?: Snapshot): void {
  progress.next = progress.match + 1;
  progress.state = state;
  progress.paused = false;
  progress.inflight.length = 0;
  progress.snapshot = snapshot;
  progress.snapshotOffset = 0;
  progress.beaten = false;
}

export function becomeProbe(progress: Progress): void {
  become(progress, "probe");
}

export function becomeReplicate(progress: Progress): void {
  become(progress, "replicate");
}

export function becomeSnapshot(progress: Progress, snapshot: Snapshot): void {
  become(progress, "snapshot", snapshot);
}
