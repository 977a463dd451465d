/**
 * A cluster behind a network that is cut, slowed down and made to flap, under a stream of changes at every node. Never are
 * there two leaders of a term, never is an acknowledged change lost, and soon after the network is whole again changes are
 * made everywhere.
 */
import { SimRandom } from "../../src/sim/random.js";
import { audit, Book, type ChangeStream, nextCommit, startStreams, stopStreams } from "./changes.js";
import { type FaultyNetwork, foundBehindProxies } from "./network.js";
import { type ClusterNode, sleep, type TestCluster, until } from "./nodes.js";

export interface PartitionRun {
  readonly seed: number;
  /** Shortens the long waits. */
  readonly scale?: number;
  readonly progress?: (line: string) => void;
  readonly parent?: string;
  readonly only?: string | undefined;
}

export interface PartitionReport {
  readonly scenarios: number;
  /** From healing to a change that each node has made. */
  readonly healMs: readonly number[];
  readonly summary: string;
  readonly failures: readonly string[];
}

/** Ten of the shortest election timeouts. */
const healLimitMs = 10_000;
const statementLimitMs = 15_000;

class Scene {
  readonly failures: string[] = [];
  constructor(
    readonly cluster: TestCluster,
    readonly network: FaultyNetwork,
    readonly book: Book,
    readonly scale: number,
    readonly random: SimRandom,
  ) {}

  fail(problem: string): void {
    this.failures.push(problem);
  }
  wait(ms: number): Promise<void> {
    return sleep(ms * this.scale);
  }
  async term(node: ClusterNode): Promise<number> {
    return (await node.metrics()).get("raft_term")!;
  }

  /** A change at each of the nodes, each within the limit. The longest. */
  async commits(nodes: readonly ClusterNode[], limitMs: number, when: string): Promise<number> {
    const all = await Promise.all(
      nodes.map(async (node) => {
        const since = performance.now();
        const client = await node.connect(statementLimitMs);
        const commit = await nextCommit([{ node, client }], this.book, limitMs);
        await client.end().catch(() => undefined);
        if (commit === undefined) this.fail(`${when}: no change was made at ${node.name} in ${limitMs} ms`);
        return performance.now() - since;
      }),
    );
    return Math.max(...all);
  }

  /** The node alone can decide nothing: what it is asked is refused or left open, and nothing is acknowledged. */
  async decidesNothing(node: ClusterNode, when: string): Promise<string> {
    const client = await node.connect(statementLimitMs);
    const change = await this.book.attempt(client, "set", node.name);
    await client.end().catch(() => undefined);
    const ms = Math.round(change.endedAt - change.sentAt);
    if (change.outcome === "acknowledged") this.fail(`${when}: ${node.name} acknowledged a change by itself`);
    if (change.outcome === "unknown" && change.error?.startsWith("08007") !== true)
      this.fail(`${when}: ${node.name} left a change open with ${change.error} after ${ms} ms`);
    return `${change.error?.slice(0, 5)} after ${ms} ms`;
  }

  async untilLeader(among: readonly ClusterNode[], limitMs: number): Promise<ClusterNode> {
    return until(() => this.cluster.leader(among), limitMs, "a leader on the side of most");
  }
}

type Act = (scene: Scene, leader: ClusterNode, followers: readonly ClusterNode[]) => Promise<string>;

/** What is cut off from what, and what must hold meanwhile; healing and what follows is the same for all. */
const acts: Readonly<Record<string, Act>> = {
  "isolated leader": async (scene, leader, followers) => {
    scene.network.split([leader], followers);
    const next = await scene.untilLeader(followers, healLimitMs);
    const ms = await scene.commits(followers, healLimitMs, "leader isolated");
    const alone = await scene.decidesNothing(leader, "leader isolated");
    return `${next.name} took over, changes after ${Math.round(ms)} ms; at ${leader.name}: ${alone}`;
  },

  "leader is not heard": async (scene, leader, followers) => {
    scene.network.cut([leader], followers);
    const next = await scene.untilLeader(followers, healLimitMs);
    const ms = await scene.commits(followers, healLimitMs, "leader not heard");
    const alone = await scene.decidesNothing(leader, "leader not heard");
    return `${next.name} took over, changes after ${Math.round(ms)} ms; at ${leader.name}: ${alone}`;
  },

  "leader hears nothing": async (scene, leader, followers) => {
    scene.network.cut(followers, [leader]);
    const next = await scene.untilLeader(followers, healLimitMs);
    const ms = await scene.commits(followers, healLimitMs, "leader deaf");
    const alone = await scene.decidesNothing(leader, "leader deaf");
    return `${next.name} took over, changes after ${Math.round(ms)} ms; at ${leader.name}: ${alone}`;
  },

  "follower comes back": async (scene, leader, [follower, other]) => {
    const term = await scene.term(leader);
    scene.network.split([follower!], [leader, other!]);
    await scene.wait(20_000);
    const alone = await scene.decidesNothing(follower!, "follower isolated");
    scene.network.heal();
    await scene.wait(5_000);
    const [now, after] = [await scene.cluster.leader(), await scene.term(leader)];
    if (now !== leader || after !== term)
      scene.fail(
        `follower comes back: ${leader.name} led term ${term}, now ${now?.name} leads term ${after}`,
      );
    return `term ${term} before and ${after} after; at ${follower!.name}: ${alone}`;
  },

  "follower is not heard": async (scene, leader, [follower, other]) => {
    const term = await scene.term(leader);
    scene.network.cut([follower!], [leader, other!]);
    await scene.wait(10_000);
    scene.network.heal();
    await scene.wait(3_000);
    const [now, after] = [await scene.cluster.leader(), await scene.term(leader)];
    if (now !== leader || after !== term)
      scene.fail(`follower not heard: ${leader.name} led term ${term}, now ${now?.name} leads term ${after}`);
    return `term ${term} before and ${after} after`;
  },

  "follower hears nothing": async (scene, leader, [follower, other]) => {
    const term = await scene.term(leader);
    scene.network.cut([leader, other!], [follower!]);
    await scene.wait(10_000);
    scene.network.heal();
    await scene.wait(3_000);
    const [now, after] = [await scene.cluster.leader(), await scene.term(leader)];
    if (now !== leader || after !== term)
      scene.fail(`follower deaf: ${leader.name} led term ${term}, now ${now?.name} leads term ${after}`);
    return `term ${term} before and ${after} after`;
  },

  "link flaps": async (scene, leader, [follower]) => flap(scene, [leader], [follower!], "link"),
  "link breaks": async (scene, leader, [follower]) => flap(scene, [leader], [follower!], "link", true),
  "follower flaps": async (scene, leader, [follower, other]) =>
    flap(scene, [follower!], [leader, other!], "follower"),

  "nobody reaches anybody": async (scene, leader, followers) => {
    scene.network.split([leader], followers);
    scene.network.split([followers[0]!], [followers[1]!]);
    const alone = await Promise.all(
      [leader, ...followers].map((one) => scene.decidesNothing(one, "all apart")),
    );
    return alone.join(", ");
  },

  "slow network": async (scene, leader) => {
    const [term, since] = [await scene.term(leader), Date.now()];
    scene.network.delay(100);
    const ms = await scene.commits(scene.cluster.nodes, healLimitMs, "slow network");
    await scene.wait(10_000);
    const elections = scene.cluster.electionsSince(since);
    if (elections > 0) scene.fail(`slow network: ${elections} elections since term ${term}`);
    return `100 ms each way: changes after ${Math.round(ms)} ms, ${elections} elections`;
  },

  "short stalls": async (scene, leader, followers) => {
    const since = Date.now();
    for (let stall = 0; stall < 10; stall++) {
      scene.network.split([leader], followers);
      await sleep(500);
      scene.network.heal();
      await sleep(500);
    }
    const elections = scene.cluster.electionsSince(since);
    if (elections > 0) scene.fail(`short stalls: ${elections} elections`);
    return `10 stalls of 500 ms: ${elections} elections`;
  },
};

async function flap(
  scene: Scene,
  some: readonly ClusterNode[],
  others: readonly ClusterNode[],
  what: string,
  breaks = false,
): Promise<string> {
  const [since, forMs] = [Date.now(), 60_000 * scene.scale];
  const fraction = (): number => scene.random.below(1000) / 1000;
  const cuts = await scene.network.flap(some, others, forMs, [500, 2_000], fraction, breaks);
  const elections = scene.cluster.electionsSince(since);
  const allowed = Math.max(1, Math.floor(forMs / 10_000));
  if (elections > allowed)
    scene.fail(`${what} ${breaks ? "breaks" : "flaps"}: ${elections} elections in ${forMs} ms`);
  return `${cuts} cuts in ${Math.round(forMs / 1000)} s: ${elections} elections`;
}

export async function runPartitions(run: PartitionRun): Promise<PartitionReport> {
  const { progress = () => {}, scale = 1 } = run;
  const failures: string[] = [];
  const healMs: number[] = [];
  const book = new Book();
  const { cluster, network } = await foundBehindProxies(run.parent);
  let streams: ChangeStream[] = [];
  try {
    streams = startStreams(cluster, book, 100);
    for (const [name, act] of Object.entries(acts)) {
      if (run.only !== undefined && !name.includes(run.only)) continue;
      const leader = await cluster.settled(30_000);
      const scene = new Scene(cluster, network, book, scale, new SimRandom(run.seed));
      const started = performance.now();
      const said = await act(scene, leader, cluster.others(leader));
      network.heal();
      const healed = performance.now();
      await scene.commits(cluster.nodes, healLimitMs, `${name}, healed`);
      healMs.push(performance.now() - healed);
      failures.push(...scene.failures, ...cluster.doubleLeaders());
      progress(
        `partitions: ${name}: ${said}; healed: changes everywhere after ${Math.round(healMs.at(-1)!)} ms (${((healed - started) / 1000).toFixed(1)} s)`,
      );
      for (const failure of scene.failures) progress(`partitions: FAILED ${failure}`);
    }
    await stopStreams(streams);
    failures.push(...(await audit(cluster, book)));
  } catch (error) {
    failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    for (const node of cluster.nodes) progress(`${node.name}: ${node.tail()}`);
    void stopStreams(streams);
  } finally {
    await cluster.remove();
    network.close();
  }
  progress(`partitions: told: ${book.troubles}`);
  return { scenarios: healMs.length, healMs, summary: book.summary, failures };
}
