/**
 * What /metrics shows: one table with a row for each metric, read when somebody asks (spec/10). docs/operations/metrics.md
 * is this table in words; a test compares the two.
 *
 * Invariants: names follow OBS-2, label values are names of nodes, states and the like, never a UUID or what a user wrote
 * (OBS-3); reading changes nothing and waits for nothing.
 */
import type { ClusterView, ControlStatus, EpochRecord, Member, PeerStatus } from "../cluster/contract.js";
import {
  type ChurnTotals,
  convergence,
  epochStates,
  isVoting,
  leaveReasons,
  leftBehind,
  memberStates,
  primaryOf,
  type RaftNumbers,
} from "../cluster/index.js";
import type { DurationCounts, LoopDelays } from "../observe/index.js";
import type { ProcessUsage } from "../platform/index.js";
import type { StorageCounters } from "../storage/index.js";

export interface SessionCounts {
  readonly open: number;
  /** With a statement under way. */
  readonly active: number;
  readonly workMemoryUsedBytes: number;
  readonly workMemoryLimitBytes: number;
  readonly heavyRunning: number;
  readonly heavyQueued: number;
}

/** Counted by the Postgres port since the node's start. */
export interface AuthenticationCounts {
  /** By `result method`. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly failures: ReadonlyMap<string, number>;
  /** Connections now that have not logged in. */
  readonly unauthenticated: number;
}

/** Of this node's audit chain. */
export interface AuditNumbers {
  readonly appended: number;
  readonly failures: number;
  readonly unsigned: number;
  readonly broken: boolean;
  readonly checkpointAgeSeconds: number;
}

/** Where the numbers are. Each is asked at every scrape, and answers at once. */
export interface MetricSources {
  readonly control: () => ControlStatus;
  readonly raft: () => RaftNumbers;
  readonly view: () => ClusterView;
  readonly churn: () => { readonly totals: ChurnTotals; readonly score: number };
  readonly storage: () => StorageCounters;
  readonly audit: () => AuditNumbers;
  /** Of the last seconds; undefined: not measured. */
  readonly loopDelay: (seconds: number) => LoopDelays | undefined;
  readonly sessions: () => SessionCounts;
  readonly authentication: () => AuthenticationCounts;
  /** Certificates that were refused, by port and reason. */
  readonly refusals: () => Iterable<readonly [readonly [port: string, reason: string], number]>;
  readonly process: () => ProcessUsage;
  /** When certificates end, by kind: node, server, ca; milliseconds since 1970. */
  readonly certificateEnds: () => Iterable<readonly [kind: string, end: number]>;
  /** Alerts that fire on this node, by severity. */
  readonly alerts: () => ReadonlyMap<string, number>;
}

/** What the rows read. */
export interface Facts extends MetricSources {
  /** Names, not UUIDs. */
  readonly node: string;
  readonly version: string;
  readonly isReady: () => boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Undefined: not known now, not shown. */
type Value = number | undefined;

interface Row {
  readonly name: string;
  readonly help: string;
  /** In this order; `node` is filled in with the name of this node. */
  readonly labels: readonly string[];
}
export interface NumberRow extends Row {
  readonly type: "counter" | "gauge";
  /** One series, or one for each value of the last label, or for each value of the labels behind `node`. */
  readonly read: (facts: Facts) => Value | Iterable<readonly [label: string | readonly string[], Value]>;
}
export interface HistogramRow extends Row {
  readonly type: "histogram";
  readonly read: (facts: Facts) => DurationCounts;
}
export type MetricRow = NumberRow | HistogramRow;

const ofNode = ["node"];
const counter = (
  name: string,
  help: string,
  read: NumberRow["read"],
  ...labels: readonly string[]
): NumberRow => ({
  name: `scratchbird_${name}`,
  type: "counter",
  help,
  labels: labels.length === 0 ? ofNode : [...ofNode, ...labels],
  read,
});
const gauge = (
  name: string,
  help: string,
  read: NumberRow["read"],
  ...labels: readonly string[]
): NumberRow => ({
  ...counter(name, help, read, ...labels),
  type: "gauge",
});
const histogram = (name: string, help: string, read: HistogramRow["read"]): HistogramRow => ({
  name: `scratchbird_${name}`,
  type: "histogram",
  help,
  labels: ofNode,
  read,
});

const flag = (value: boolean): number => (value ? 1 : 0);

/** Other nodes, by the names that the cluster has for them. */
const perPeer = (name: string, help: string, read: (peer: PeerStatus, facts: Facts) => Value): NumberRow =>
  gauge(
    name,
    help,
    function* (facts) {
      const { members } = facts.view();
      for (const peer of facts.control().peers) {
        const member = members.get(peer.node);
        if (member !== undefined && member.state !== "REMOVED") yield [member.name, read(peer, facts)];
      }
    },
    "target",
  );

const delay = (which: string, help: string, read: (delays: LoopDelays) => number): NumberRow =>
  gauge(
    `event_loop_delay_${which}_seconds`,
    help,
    function* (facts) {
      for (const seconds of [5, 60]) {
        const delays = facts.loopDelay(seconds);
        yield [`${seconds}s`, delays && read(delays) / 1000];
      }
    },
    "window",
  );

function* present({ members }: ClusterView): Iterable<Member> {
  for (const member of members.values()) if (member.state !== "REMOVED") yield member;
}

const newest = (view: ClusterView): EpochRecord | undefined => view.epochs.at(-1);

/** Enabled nodes that keep the newest epoch from being in effect. */
function unconverged(view: ClusterView): number {
  const record = newest(view);
  if (record?.state !== "CONVERGING") return 0;
  const enabled = [...present(view)].filter(({ state }) => state === "ENABLED").map(({ uuid }) => uuid);
  return convergence(record.epoch.number, enabled, view.attestations).missing.size;
}

function primaryList(view: ClusterView) {
  const primary = primaryOf(view);
  return primary && view.revocations(primary.fingerprint);
}

function rotationPhase({ rotation, pastRotations, epochs }: ClusterView): number {
  if (rotation !== undefined) return 1;
  const isEnding = pastRotations.at(-1)?.outcome === "DONE" && epochs.at(-1)?.state === "CONVERGING";
  return isEnding ? 2 : 0;
}

function observationShare(view: ClusterView): Value {
  const progress = view.rotationProgress();
  if (progress === undefined) return undefined;
  const counted = [...present(view)].length;
  return counted === 0 ? 1 : 1 - progress.laggards.size / counted;
}

const counted = new WeakMap<object, readonly (readonly [readonly string[], number])[]>();
/** Counted once for each register: it may be long, and scrapes are many. */
function issuedCounts({ certificates }: ClusterView): Iterable<readonly [readonly string[], number]> {
  let known = counted.get(certificates);
  if (known === undefined) {
    const counts = new Map<string, number>();
    for (const { issuer, kind } of certificates.values()) {
      const key = `${issuer.slice(0, 8)} ${kind}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    counted.set(certificates, (known = [...counts].map(([key, count]) => [key.split(" "), count] as const)));
  }
  return known;
}

export const metricTable: readonly MetricRow[] = [
  gauge("build_info", "Always 1; the version of the program.", ({ version }) => [[version, 1]], "version"),
  gauge("ready", "1 when the node would answer /readyz with 200.", ({ isReady }) => flag(isReady())),

  // Raft
  gauge("raft_leader", "1 on the node that leads the cluster, else 0.", ({ control }) =>
    flag(control().role === "leader"),
  ),
  gauge(
    "raft_quorum",
    "1 when the leader is known and was heard within a lease; on the leader, when a quorum was.",
    ({ control }) => flag(control().hasQuorum),
  ),
  gauge("raft_term", "Current term.", ({ control }) => control().term),
  gauge("raft_last_index", "Last entry of the log.", ({ control }) => control().lastIndex),
  gauge("raft_commit_index", "Last entry known to be committed.", ({ control }) => control().commitIndex),
  gauge("raft_applied_index", "Last entry applied.", ({ control }) => control().appliedIndex),
  gauge("raft_log_entries", "Entries of the log since the last snapshot.", ({ control }) => {
    const { lastIndex, snapshotIndex } = control();
    return lastIndex - snapshotIndex;
  }),
  gauge(
    "raft_log_bytes",
    "Bytes written to the log since the last snapshot.",
    ({ control }) => control().bytesSinceSnapshot,
  ),
  counter(
    "raft_compactions_total",
    "Snapshots behind which the log was cut.",
    ({ raft }) => raft().compactions,
  ),
  counter(
    "raft_elections_total",
    "Terms in which this node has seen a new leader.",
    ({ control }) => control().leaderChanges,
  ),
  histogram(
    "raft_election_duration_seconds",
    "Time without a known leader, until there was one again.",
    ({ raft }) => raft().elections,
  ),
  histogram(
    "raft_replication_latency_seconds",
    "Time from proposal to commit, counted on the leader.",
    ({ raft }) => raft().replication,
  ),
  counter(
    "raft_proposals_total",
    "Changes that this node has proposed, by outcome: committed or failed.",
    ({ control }) => [
      ["committed", control().proposalsCommitted],
      ["failed", control().proposalsFailed],
    ],
    "outcome",
  ),

  // Members and epochs
  gauge(
    "cluster_members",
    "Members of the cluster that are not removed.",
    ({ view }) => [...present(view())].length,
  ),
  gauge(
    "cluster_members_by_state",
    "The same by state; removed ones too.",
    function* ({ view }) {
      const counts = new Map<string, number>(memberStates.map((state) => [state, 0]));
      for (const { state } of view().members.values()) counts.set(state, counts.get(state)! + 1);
      yield* counts;
    },
    "state",
  ),
  gauge(
    "cluster_voters",
    "Members whose vote counts.",
    ({ view }) => [...present(view())].filter(isVoting).length,
  ),
  {
    name: "scratchbird_cluster_stability_score",
    type: "gauge",
    help: "How calm the last hour was, from 0 to 1: few joins, leaves, failures, elections and moves of shards.",
    labels: [],
    read: ({ churn }) => churn().score,
  },
  counter("node_join_total", "Nodes that joined.", ({ churn }) => churn().totals.joins),
  counter(
    "node_leave_total",
    "Nodes that were removed, by reason: graceful, or forced after a failure.",
    function* ({ churn }) {
      const { leaves } = churn().totals;
      for (const reason of leaveReasons) yield [reason, leaves[reason]];
    },
    "reason",
  ),
  counter(
    "node_failure_total",
    "Times that a member was marked FAILED.",
    ({ churn }) => churn().totals.failures,
  ),
  gauge(
    "epoch_number",
    "Number of the newest configuration epoch.",
    ({ view }) => newest(view())?.epoch.number,
  ),
  gauge(
    "epoch_state",
    "1 for the state that the newest epoch is in, 0 for the others.",
    function* ({ view }) {
      const current = newest(view())?.state;
      for (const state of epochStates) yield [state, flag(state === current)];
    },
    "state",
  ),
  gauge("epoch_unconverged_nodes", "Enabled nodes that the newest epoch still waits for.", ({ view }) =>
    unconverged(view()),
  ),
  gauge(
    "epochs_refused",
    "Proposed epochs that were refused, of which the newest 1000 are kept.",
    ({ view }) => view().refusedEpochs.length,
  ),

  // Other nodes, as this one sees them
  perPeer("peer_health", "1 when there is a connection to the peer, else 0.", ({ connected }) =>
    flag(connected),
  ),
  perPeer("peer_last_seen_age_seconds", "Time since the peer was last heard.", ({ lastSeenAt }, { now }) =>
    lastSeenAt === undefined ? undefined : Math.max(0, now() - lastSeenAt) / 1000,
  ),
  perPeer("peer_rtt_seconds", "Round trip to the peer, as last measured.", ({ roundTripMs }) =>
    roundTripMs === undefined ? undefined : roundTripMs / 1000,
  ),
  perPeer("peer_epoch", "Epoch that the peer reported last.", ({ epoch }) => epoch),
  perPeer(
    "peer_applied_index",
    "Last entry that the peer reported as applied.",
    ({ appliedIndex }) => appliedIndex,
  ),

  // Sessions
  gauge("sessions", "Client sessions.", ({ sessions }) => sessions().open),
  gauge("active_queries", "Sessions with a statement under way.", ({ sessions }) => sessions().active),
  gauge(
    "work_memory_used_bytes",
    "Memory that statements hold for sorting, hashing and the like.",
    ({ sessions }) => sessions().workMemoryUsedBytes,
  ),
  gauge(
    "work_memory_limit_bytes",
    "The most that they may hold.",
    ({ sessions }) => sessions().workMemoryLimitBytes,
  ),
  gauge(
    "heavy_statements",
    "Heavy statements, by state: running or queued.",
    ({ sessions }) => [
      ["running", sessions().heavyRunning],
      ["queued", sessions().heavyQueued],
    ],
    "state",
  ),

  // Log-ins
  counter(
    "authentication_total",
    "Log-ins that were decided here, by result (success or failure) and method.",
    ({ authentication }) =>
      [...authentication().outcomes].map(([key, count]) => [key.split(" "), count] as const),
    "result",
    "method",
  ),
  counter(
    "authentication_failures_total",
    "Of these the refused ones, by reason.",
    ({ authentication }) => authentication().failures,
    "reason",
  ),
  gauge(
    "unauthenticated_connections",
    "Client connections that have not logged in.",
    ({ authentication }) => authentication().unauthenticated,
  ),

  // Certificates
  gauge(
    "certificate_expiry_seconds",
    "Time until a certificate ends, by kind: this node's own, its Postgres port's (server), the CA that issues (ca).",
    ({ certificateEnds, now }) =>
      [...certificateEnds()].map(([kind, end]) => [kind, (end - now()) / 1000] as const),
    "kind",
  ),
  gauge("crl_age_seconds", "Age of the revocation list of the CA that issues.", ({ view, now }) => {
    const list = primaryList(view());
    return list && (now() - list.thisUpdate) / 1000;
  }),
  gauge("crl_expiry_seconds", "Time until that list ends.", ({ view, now }) => {
    const list = primaryList(view());
    return list && (list.nextUpdate - now()) / 1000;
  }),
  gauge("crl_entries", "Certificates on that list.", ({ view }) => primaryList(view())?.revoked.size),
  gauge(
    "ca_rotation_phase",
    "0 while one CA is trusted, 1 while an older and a newer one are, 2 until the end of the older one is in effect everywhere.",
    ({ view }) => rotationPhase(view()),
  ),
  gauge("ca_overlap_duration_seconds", "How long two CAs have been trusted.", ({ view, now }) => {
    const { rotation } = view();
    return rotation && (now() - rotation.startedAt) / 1000;
  }),
  gauge(
    "ca_peer_observations_completed",
    "While CAs are exchanged: the share, from 0 to 1, of the members that have all been seen by all with new certificates.",
    ({ view }) => observationShare(view()),
  ),
  gauge(
    "ca_nodes_with_old_certs",
    "Members without a certificate of the CA that issues while CAs are exchanged.",
    ({ view }) => {
      const { rotation, members } = view();
      return rotation === undefined ? 0 : leftBehind(rotation, members.values()).length;
    },
  ),
  gauge(
    "ca_certificates_issued_by_ca",
    "Certificates in the register, by the first digits of their CA's fingerprint, and their kind.",
    ({ view }) => issuedCounts(view()),
    "ca",
    "kind",
  ),
  counter(
    "ca_validation_failures_total",
    "Certificates that were refused, by the port that they were shown to and the reason.",
    ({ refusals }) => refusals(),
    "port",
    "reason",
  ),

  // Alerts
  gauge("alerts_firing", "Alerts that fire on this node, by severity.", ({ alerts }) => alerts(), "severity"),

  // The event loop
  delay("p50", "Delay of due timers, median over the window.", ({ p50 }) => p50),
  delay("p99", "Delay of due timers, 99th percentile over the window.", ({ p99 }) => p99),
  delay("max", "Delay of due timers, longest in the window.", ({ max }) => max),

  // Storage
  counter("audit_events_total", "Events appended to the audit chain.", ({ audit }) => audit().appended),
  counter(
    "audit_append_failures_total",
    "Events that could not be written into the audit chain.",
    ({ audit }) => audit().failures,
  ),
  gauge(
    "audit_unsigned_events",
    "Events of the audit chain that are not signed yet.",
    ({ audit }) => audit().unsigned,
  ),
  gauge("audit_broken", "1 when the audit chain takes no more events.", ({ audit }) =>
    audit().broken ? 1 : 0,
  ),
  gauge(
    "audit_checkpoint_age_seconds",
    "Time since the last checkpoint of the audit chain; since 1970 when there is none.",
    ({ audit }) => audit().checkpointAgeSeconds,
  ),
  gauge("pool_frames", "Page frames of the pool.", ({ storage }) => storage().frames),
  gauge(
    "pool_frames_held",
    "Frames that cannot be given to another page now.",
    ({ storage }) => storage().framesHeld,
  ),
  gauge(
    "pool_frames_behind",
    "Frames whose page is not in place yet.",
    ({ storage }) => storage().framesBehind,
  ),
  counter("pool_evictions_total", "Pages that made room for others.", ({ storage }) => storage().evictions),
  gauge(
    "page_read_average_seconds",
    "Moving average of the time of a page read.",
    ({ storage }) => storage().averageReadMs / 1000,
  ),
  counter("journal_groups_total", "Groups written to the page journal.", ({ storage }) => storage().groups),
  counter("journal_bytes_total", "Bytes written to the page journal.", ({ storage }) => storage().groupBytes),
  counter("checkpoints_total", "Checkpoints.", ({ storage }) => storage().checkpoints),
  counter("checkpoint_pages_total", "Pages put in place.", ({ storage }) => storage().checkpointPages),

  // The process
  counter(
    "process_cpu_seconds_total",
    "Processor time, by mode: user or system.",
    (facts) => {
      const { userSeconds, systemSeconds } = facts.process();
      return [
        ["user", userSeconds],
        ["system", systemSeconds],
      ];
    },
    "mode",
  ),
  gauge("process_resident_memory_bytes", "Resident memory.", (facts) => facts.process().residentBytes),
  gauge("process_heap_bytes", "V8's heap.", (facts) => facts.process().heapBytes),
  gauge("process_heap_used_bytes", "What of it is in use.", (facts) => facts.process().heapUsedBytes),
  gauge(
    "process_external_memory_bytes",
    "Buffers and WebAssembly memory.",
    (facts) => facts.process().externalBytes,
  ),
  gauge(
    "process_uptime_seconds",
    "Time since the process started.",
    (facts) => facts.process().uptimeSeconds,
  ),
];
