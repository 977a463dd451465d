/**
 * What a seed makes of a run. Each seed switches on its own few faults and operations (swarm testing, Groce et al. 2012): a
 * run with everything at once hides what needs one thing often and another never.
 */
import { SimRandom } from "./random.js";

export const faults = [
  /** kill -9, the page cache survives. */
  "kill",
  /** Power lost: unsynced writes lost or torn, and nobody is told. */
  "power",
  "killLeader",
  /** SIGTERM. */
  "stop",
  "pause",
  "pauseLeader",
  "stallMain",
  "partition",
  "isolateLeader",
  "oneWay",
  "bridge",
  "flap",
  "jump",
  "slowDisk",
  "failSync",
  "putBack",
  "move",
] as const;
export type Fault = (typeof faults)[number];

export const operations = [
  "set",
  "schema",
  "counter",
  "token",
  "rotate",
  "policy",
  "cutover",
  "disable",
  "enable",
  "remove",
  "roles",
  "rival",
  "read",
  "nonsense",
  "emergency",
] as const;
export type Operation = (typeof operations)[number];

/** They leave fewer who decide. */
export const takesVotes: ReadonlySet<Operation> = new Set([
  "cutover",
  "disable",
  "remove",
  "roles",
  "emergency",
]);

export interface Swarm {
  readonly seed: number;
  /** control: the control plane of each node alone. whole: with storage and sessions. */
  readonly level: "control" | "whole";
  /** Members that the cluster is kept at. */
  readonly nodes: number;
  readonly tickMs: number;
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly spikeChance: number;
  readonly spikeMs: number;
  readonly tcpTimeoutMs: number;
  readonly syncMs: number;
  readonly snapshotAfterBytes: number;
  readonly entriesKept: number;
  /** Of Raft messages, besides what the wire does. */
  readonly lossChance: number;
  readonly duplicateChance: number;
  /** At most, between the halves of a node. */
  readonly channelMs: number;
  /** At most, for main to follow a change of the catalog. */
  readonly followMs: number;
  /** Largest difference of a clock's rate from 1. */
  readonly drift: number;
  readonly skewMs: number;
  readonly failureTimeoutMs: number;
  /** 0: nobody is removed for being FAILED. */
  readonly removalGraceMs: number;
  readonly operationEveryMs: number;
  readonly faultEveryMs: number;
  readonly faults: readonly Fault[];
  readonly operations: readonly Operation[];
}

export function swarmOf(seed: number): Swarm {
  const random = new SimRandom(Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995);
  const one = <T>(...from: readonly T[]): T => from[random.below(from.length)]!;
  const some = <T>(from: readonly T[], chance: number): T[] => from.filter(() => random.fraction() < chance);
  const chosenFaults = some(faults, 0.45);
  const usual: readonly Operation[] = operations.filter((one) => one !== "emergency");
  const chosenOperations = some(usual, 0.6);
  const isWhole = seed % 10 === 0;
  // A folder may be lost only where nothing else takes votes.
  const losesFolder = seed % 5 === 3;
  // An old folder shows a certificate of a CA that is gone, and is refused before it says anything.
  const mayRotate = !losesFolder && !chosenFaults.includes("putBack");
  const isChosen = (one: Operation): boolean =>
    (!losesFolder || !takesVotes.has(one)) && (mayRotate || one !== "rotate");
  // Drawn from a stream of its own: what other seeds are was known before there were emergencies.
  const isEmergency = new SimRandom(Math.imul(seed, 0x85ebca6b) ^ 0x1b873593).below(4) === 0;
  if (isEmergency && mayRotate) chosenOperations.push("emergency");
  if (losesFolder) chosenFaults.push("putBack", "putBack", "putBack");
  const spikes = one([0, 0], [0.01, 20], [0.05, 20], [0.01, 200], [0.001, 1500]);
  return {
    seed,
    level: isWhole ? "whole" : "control",
    // Whole nodes cost ten times as much.
    nodes: isWhole || losesFolder ? 3 : one(3, 3, 3, 3, 3, 3, 3, 5, 5, 4, 4, 2, 2, 1),
    tickMs: one(50, 50, 50, 30, 80),
    latencyMs: one(0.1, 0.1, 1, 5, 15),
    jitterMs: one(0.3, 0.3, 2, 20),
    // Everything behind a late piece is late: often and long together is no network.
    spikeChance: spikes[0]!,
    spikeMs: spikes[1]!,
    tcpTimeoutMs: one(2_000, 20_000, 120_000),
    syncMs: one(0.3, 0.3, 1, 8),
    snapshotAfterBytes: one(8_000, 40_000, 200_000, 8 << 20),
    entriesKept: one(2, 10, 100, 1000),
    lossChance: one(0, 0, 0.01, 0.1),
    duplicateChance: one(0, 0, 0.02),
    channelMs: one(0, 0, 0, 0.5, 5),
    followMs: one(0, 0, 3, 60),
    drift: one(0, 0.0001, 0.01),
    skewMs: one(0, 50, 10_000),
    failureTimeoutMs: losesFolder ? 30_000 : one(2_000, 3_000, 5_000, 30_000),
    removalGraceMs: one(0, 0, 0, 0, 4_000),
    operationEveryMs: one(150, 300, 300, 600, 1500),
    faultEveryMs: one(1_000, 2_000, 2_000, 4_000, 8_000),
    faults: chosenFaults.length === 0 ? [one(...faults)] : chosenFaults,
    operations: [...new Set<Operation>(["set", one("schema", "counter"), ...chosenOperations])].filter(
      isChosen,
    ),
  };
}
