/**
 * EXPLAIN ANALYZE: a wrapper around each operator that counts rows, loops and time.
 *
 * Invariant: time of a node includes its inputs', as PostgreSQL shows it; a Wait counts as time outside.
 */
import type { Batch } from "../model/batch.js";
import type { PlanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";

export interface NodeStatistics {
  rows: number;
  /** Times the node was started: opened or rescanned, and then asked for rows. */
  loops: number;
  /** Milliseconds until the first batch of each loop, and in all. */
  startupMs: number;
  totalMs: number;
}

export interface Instrumentation {
  /** Milliseconds, monotonic. */
  readonly clock: () => number;
  readonly nodes: Map<PlanNode, NodeStatistics>;
}

export class Instrumented implements Operator {
  readonly #statistics: NodeStatistics = { rows: 0, loops: 0, startupMs: 0, totalMs: 0 };
  #fresh = true;
  constructor(
    readonly inner: Operator,
    node: PlanNode,
    readonly clock: () => number,
    nodes: Map<PlanNode, NodeStatistics>,
  ) {
    nodes.set(node, this.#statistics);
  }
  open(context: ExecContext): void {
    this.#fresh = true;
    Object.assign(this.#statistics, { rows: 0, loops: 0, startupMs: 0, totalMs: 0 });
    this.inner.open(context);
  }
  rescan(): void {
    this.#fresh = true;
    this.inner.rescan();
  }
  next(): Batch | undefined {
    const start = this.clock();
    const statistics = this.#statistics;
    const first = this.#fresh;
    let done = false;
    try {
      const batch = this.inner.next();
      done = true;
      if (batch !== undefined) statistics.rows += batch.length;
      return batch;
    } finally {
      const took = this.clock() - start;
      statistics.totalMs += took;
      if (first) {
        statistics.startupMs += took;
        if (done) {
          statistics.loops++;
          this.#fresh = false;
        }
      }
    }
  }
  close(): void {
    this.inner.close();
  }
}

/** Counts for nodes that have no operator of their own: one that does the work of several counts them as it goes. */
export class SwallowedNodes {
  readonly #statistics: NodeStatistics[];
  #start = 0;
  constructor(
    readonly clock: () => number,
    nodes: Map<PlanNode, NodeStatistics>,
    swallowed: readonly PlanNode[],
  ) {
    this.#statistics = swallowed.map((node) => {
      const statistics = { rows: 0, loops: 0, startupMs: 0, totalMs: 0 };
      nodes.set(node, statistics);
      return statistics;
    });
  }
  open(): void {
    for (const statistics of this.#statistics) statistics.loops++;
  }
  begin(): void {
    this.#start = this.clock();
  }
  /** What has happened since `begin` gave so many rows. */
  end(rows: number): void {
    const took = this.clock() - this.#start;
    for (const statistics of this.#statistics) {
      statistics.rows += rows;
      statistics.totalMs += took;
    }
  }
}
