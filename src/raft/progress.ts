/**
 * What a leader knows of one peer's log, and how fast it may send.
 *
 * Invariants: `match` never falls within a leadership and `match < next`; at most one append is under way while probing,
 * `inflightMax` while replicating, one chunk while a snapshot is sent.
 */

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
  /** Highest round of reads it has confirmed. */
  round: number;
  /** While a snapshot is sent: of which entry, and how many bytes the peer has. */
  snapshotIndex: number;
  snapshotOffset: number;
}

export function newProgress(next: number): Progress {
  return {
    match: 0,
    next,
    state: "probe",
    paused: false,
    inflight: [],
    active: false,
    round: 0,
    snapshotIndex: 0,
    snapshotOffset: 0,
  };
}

export function cloneProgress(progress: Progress): Progress {
  return { ...progress, inflight: progress.inflight.slice() };
}

export function becomeProbe(progress: Progress): void {
  progress.next = progress.match + 1;
  progress.state = "probe";
  progress.paused = false;
  progress.inflight.length = 0;
}

export function becomeReplicate(progress: Progress): void {
  progress.next = progress.match + 1;
  progress.state = "replicate";
  progress.paused = false;
  progress.inflight.length = 0;
}

export function becomeSnapshot(progress: Progress, index: number): void {
  progress.state = "snapshot";
  progress.paused = false;
  progress.inflight.length = 0;
  progress.snapshotIndex = index;
  progress.snapshotOffset = 0;
}
