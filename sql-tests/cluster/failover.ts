/**
 * The leader is killed, over and over, under a stream of changes at the others: how long until the next change is
 * acknowledged, and whether every acknowledged one is there in the end, on every node, once.
 */
import { audit, Book, nextCommit, startStreams, stopStreams } from "./changes.js";
import { sleep, TestCluster, until } from "./nodes.js";

export interface FailoverRun {
  readonly rounds: number;
  readonly progress?: (line: string) => void;
  /** Longest wait for the next commit. */
  readonly limitMs?: number;
  readonly parent?: string;
}

export interface FailoverReport {
  readonly rounds: number;
  /** From the kill to the next acknowledged setting, and to the next acknowledged DDL, of clients of other nodes. */
  readonly commitMs: readonly number[];
  readonly ddlMs: readonly number[];
  /** Rounds in which the node that holds the data was the leader that died. */
  readonly homeRounds: number;
  readonly startMs: readonly number[];
  readonly summary: string;
  readonly failures: readonly string[];
}

const usualLimitMs = 15_000;

export async function runFailover(run: FailoverRun): Promise<FailoverReport> {
  const { progress = () => {}, limitMs = usualLimitMs } = run;
  const failures: string[] = [];
  const commitMs: number[] = [];
  const ddlMs: number[] = [];
  const startMs: number[] = [];
  let homeRounds = 0;
  const book = new Book();
  const cluster = await TestCluster.found(run.parent === undefined ? {} : { parent: run.parent });
  try {
    const streams = startStreams(cluster, book);
    for (let round = 1; round <= run.rounds && failures.length === 0; round++) {
      await sleep(300 + (round % 7) * 50);
      const leader = await cluster.settled();
      if (leader === cluster.node(1)) homeRounds++;
      const staying = cluster.others(leader);
      const clients = (): Promise<
        { node: (typeof staying)[number]; client: Awaited<ReturnType<(typeof leader)["connect"]>> }[]
      > => Promise.all(staying.map(async (node) => ({ node, client: await node.connect(limitMs) })));
      const [setters, definers] = [await clients(), await clients()];
      const termBefore = (await leader.metrics()).get("raft_term")!;
      const killedAt = Date.now();
      const dead = leader.kill();
      const [commit, ddl] = await Promise.all([
        nextCommit(setters, book, limitMs),
        nextCommit(definers, book, limitMs, "table"),
      ]);
      await dead;
      for (const { client } of [...setters, ...definers]) await client.end().catch(() => undefined);
      if (commit === undefined || ddl === undefined) {
        failures.push(
          `round ${round}: no ${commit === undefined ? "setting" : "DDL"} was committed in ${limitMs} ms`,
        );
        break;
      }
      commitMs.push(commit.ms);
      ddlMs.push(ddl.ms);
      const next = await cluster.leader(staying);
      startMs.push(await leader.start());
      await follows(cluster, leader);
      progress(
        `failover ${round}: ${leader.name} killed, ${next?.name ?? "?"} leads; commit after ${Math.round(commit.ms)} ms (${commit.by}), ` +
          `DDL after ${Math.round(ddl.ms)} ms (${ddl.by}), ${cluster.electionsSince(killedAt)} elections since term ${termBefore}, back after ${Math.round(startMs.at(-1)!)} ms`,
      );
      failures.push(...cluster.doubleLeaders());
    }
    await stopStreams(streams);
    if (failures.length === 0) failures.push(...(await audit(cluster, book)));
  } catch (error) {
    failures.push(String(error));
    for (const node of cluster.nodes) progress(`${node.name}: ${node.tail()}`);
  } finally {
    await cluster.remove();
  }
  progress(`failover: told: ${book.troubles}`);
  return { rounds: commitMs.length, commitMs, ddlMs, homeRounds, startMs, summary: book.summary, failures };
}

/** It has a leader, and all that was committed when it came. */
async function follows(cluster: TestCluster, node: TestCluster["nodes"][number]): Promise<void> {
  const committed = await Promise.all(cluster.others(node).map((one) => one.metrics()));
  const index = Math.max(...committed.map((one) => one.get("raft_commit_index")!));
  await until(
    async () => {
      const numbers = await node.metrics();
      return numbers.get("raft_quorum") === 1 && numbers.get("raft_applied_index")! >= index
        ? true
        : undefined;
    },
    10_000,
    `${node.name} follows again`,
  );
}
