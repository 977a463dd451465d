/**
 * What a cluster costs: a local cluster of three nodes against one node alone, in the same run and in turn. Clients speak to the
 * node that holds the data, so what differs is the control plane beside it: three logs, leases, statuses. Both run all the
 * time; what the idle ones take meanwhile is measured by itself.
 */
import type { Outcome, RunOptions } from "./context.js";
import { Pair } from "./context.js";
import { type Counted, checkBalances, initialize, pgbench, warmUp } from "./pgbench.js";
import { memoryMiB, sleep, treeSeconds } from "./processes.js";
import { type Side, startCluster, startScratchBird } from "./sides.js";

const nodes = 3;
const readyMsMax = 10_000;
/** The median of so many tells what a machine shared with others can. */
const repsMin = 5;
const rival = "one node alone";
const clients = 8;

/** From the command to the last node's ready line, on new folders. The last cluster goes on. */
async function starts(options: RunOptions, outcome: Outcome, count: number): Promise<Side> {
  for (let at = 1; ; at++) {
    const cluster = await startCluster({ parent: options.folder }, nodes);
    outcome.checks.push({
      title: `${nodes} new nodes are ready within ${readyMsMax / 1000} s`,
      holds: cluster.startMs <= readyMsMax,
      detail: `${Math.round(cluster.startMs)} ms`,
    });
    console.log(`  ${nodes} new nodes were ready after ${Math.round(cluster.startMs)} ms`);
    if (at === count) return cluster;
    await cluster.stop();
  }
}

export async function runCluster(options: RunOptions, outcome: Outcome): Promise<void> {
  const isShort = options.smoke || options.profile;
  const cluster = await starts(options, outcome, isShort ? 1 : 3);
  let alone: Side;
  try {
    alone = await startScratchBird({ parent: options.folder });
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  const pair = Pair.of(options, outcome, cluster, alone);
  const reps = isShort ? 1 : Math.max(repsMin, options.reps);
  try {
    await idle(pair, isShort ? 1 : 10);
    for (const side of pair.sides) await initialize(side, options.scale);
    for (const { id, title, script } of [
      { id: "cluster.select.c8", title: "3 nodes | 1: select-only, prepared", script: ["-S"] },
      { id: "cluster.tpcb.c8", title: "3 nodes | 1: TPC-B, prepared", script: [] },
    ]) {
      if (!pair.wants(id)) continue;
      const counted: Counted = new Map();
      await warmUp(pair, script, counted);
      await pair.compare(
        { id, title, unit: "tps", rival },
        async (side) => {
          const { tps, transactions } = await pgbench(
            side,
            { mode: "prepared", clients, script },
            options.seconds,
          );
          counted.set(side, (counted.get(side) ?? 0) + transactions);
          return { value: tps, operations: transactions };
        },
        { reps },
      );
      if (script.length > 0) continue;
      for (const side of pair.sides) await checkBalances(pair, side, counted.get(side) ?? 0);
    }
    for (const side of pair.sides)
      console.log(`  memory of ${side.name}: ${memoryMiB(side.pid)?.toFixed(0) ?? "-"} MiB (PSS)`);
  } finally {
    await pair.stop();
  }
}

/** Processor time of servers that nobody asks anything. */
async function idle(pair: Pair, seconds: number): Promise<void> {
  await sleep(1000);
  await pair.compare(
    { id: "cluster.idle", title: "3 nodes | 1: processor time when idle", unit: "ms/s", rival },
    async (side) => {
      const before = treeSeconds(side.pid);
      await sleep(seconds * 1000);
      const used = treeSeconds(side.pid) - before;
      return { value: (used * 1000) / seconds, operations: seconds };
    },
    { reps: 1 },
  );
}
