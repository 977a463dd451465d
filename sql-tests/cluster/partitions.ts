/**
 * A cluster behind a network that is cut, slowed down and made to flap, under a stream of changes at every node. Never are
 * there two leaders of a term, never is an acknowledged change lost, and soon after the network is whole again changes are
 * made everywhere.
 */
import { SimRandom } from "../../src/sim/random.js";
import { audit, Book, type ChangeStream, nextCommit, startStreams, stopStreams } from "./changes.js";
import { canMakeNamespaces, foundInNamespaces } from "./namespaces.js";
import { flap, foundBehindProxies, type Network, split } from "./network.js";
import { type ClusterNode, sleep, type TestCluster, until } from "./nodes.js";

export interface PartitionRun {
  readonly seed: number;
  /** Shortens the long waits. */
  readonly scale?: number;
  readonly progress?: (line: string) => void;
  readonly parent?: string;
  readonly only?: string | undefined;
  readonly network?: "namespaces" | "proxies" | undefined;
}

export interface PartitionReport {
  readonly scenarios: number;
  /** From healing to a change that each node has made. */
  readonly healMs: readonly number[];
  readonly summary: string;
  readonly failures: readonly string[];
}

/** Ten of the shortest election timeouts (`raft/contract.ts`: ten ticks of 50 ms). */
const healLimitMs = 5_000;
/** Until somebody else leads: the lease of the leader, two rounds, and the machine's own pauses. */
const takeOverMs = 10_000;
const statementLimitMs = 15_000;
/** Shorter than any election timeout. */
const stallMs = 300;

class Scene {
  readonly failures: string[] = [];
  constructor(
    readonly cluster: TestCluster,
    readonly network: Network,
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
        const ms = performance.now() - since;
        // The client's way in counts as well.
        if (commit === undefined || ms > limitMs)
          this.fail(`${when}: no change was made at ${node.name} in ${limitMs} ms (${Math.round(ms)} ms)`);
        return ms;
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

/** Scenes that need more of a network than cuts. */
const fullOnly = new Set(["link breaks", "slow network"]);

type Act = (scene: Scene, leader: ClusterNode, followers: readonly ClusterNode[]) => Promise<string>;

/** What is cut off from what, and what must hold meanwhile; healing and what follows is the same for all. */
const acts: Readonly<Record<string, Act>> = {
  "isolated leader": async (scene, leader, followers) => {
    split(scene.network, [leader], followers);
    const next = await scene.untilLeader(followers, takeOverMs);
    const ms = await scene.commits(followers, takeOverMs, "leader isolated");
    const alone = await scene.decidesNothing(leader, "leader isolated");
    return `${next.name} took over, changes after ${Math.round(ms)} ms; at ${leader.name}: ${alone}`;
  },

  "leader is not heard": async (scene, leader, followers) => {
    scene.network.cut([leader], followers);
    const next = await scene.untilLeader(followers, takeOverMs);
    const ms = await scene.commits(followers, takeOverMs, "leader not heard");
    const alone = await scene.decidesNothing(leader, "leader not heard");
    return `${next.name} took over, changes after ${Math.round(ms)} ms; at ${leader.name}: ${alone}`;
  },

  "leader hears nothing": async (scene, leader, followers) => {
    scene.network.cut(followers, [leader]);
    const next = await scene.untilLeader(followers, takeOverMs);
    const ms = await scene.commits(followers, takeOverMs, "leader deaf");
    const alone = await scene.decidesNothing(leader, "leader deaf");
    return `${next.name} took over, changes after ${Math.round(ms)} ms; at ${leader.name}: ${alone}`;
  },

  "follower comes back": async (scene, leader, [follower, other]) => {
    const term = await scene.term(leader);
    split(scene.network, [follower!], [leader, other!]);
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

  "link flaps": async (scene, leader, [follower]) => flaps(scene, [leader], [follower!], "link"),
  "link breaks": async (scene, leader, [follower]) => flaps(scene, [leader], [follower!], "link", true),
  "follower flaps": async (scene, leader, [follower, other]) =>
    flaps(scene, [follower!], [leader, other!], "follower"),
  "leader flaps": async (scene, leader, followers) => flaps(scene, [leader], followers, "leader"),

  "nobody reaches anybody": async (scene, leader, followers) => {
    split(scene.network, [leader], followers);
    split(scene.network, [followers[0]!], [followers[1]!]);
    const alone = await Promise.all(
      [leader, ...followers].map((one) => scene.decidesNothing(one, "all apart")),
    );
    return alone.join(", ");
  },

  "slow network": async (scene) => {
    const term = await scene.cluster.term();
    scene.network.delay(100);
    const ms = await scene.commits(scene.cluster.nodes, takeOverMs, "slow network");
    await scene.wait(10_000);
    const elections = (await scene.cluster.term()) - term;
    if (elections > 0) scene.fail(`slow network: ${elections} elections since term ${term}`);
    return `100 ms each way: changes after ${Math.round(ms)} ms, ${elections} elections`;
  },

  "short stalls": async (scene, leader, followers) => {
    const term = await scene.cluster.term();
    for (let stall = 0; stall < 10; stall++) {
      split(scene.network, [leader], followers);
      await sleep(stallMs);
      scene.network.heal();
      await sleep(1000 - stallMs);
    }
    const elections = (await scene.cluster.term()) - term;
    // The kernel's TCP sends again 200, 600, 1400 ms behind what was lost: a stall may last twice as long for those who wait.
    if (elections > (scene.network.isFull ? 0 : 1)) scene.fail(`short stalls: ${elections} elections`);
    return `10 stalls of ${stallMs} ms: ${elections} elections`;
  },
};

/** Cut and whole in turn, shorter and longer than an election timeout. */
async function flaps(
  scene: Scene,
  some: readonly ClusterNode[],
  others: readonly ClusterNode[],
  what: string,
  breaks = false,
): Promise<string> {
  const { network, random, cluster } = scene;
  const forMs = Math.max(10_000, 60_000 * scene.scale);
  const term = await cluster.term();
  const fraction = (): number => random.below(1000) / 1000;
  const cuts = await flap(network, some, others, forMs, [500, 6_000], fraction, breaks);
  const elections = (await cluster.term()) - term;
  const allowed = Math.floor(forMs / 10_000);
  if (elections > allowed)
    scene.fail(`${what} ${breaks ? "breaks" : "flaps"}: ${elections} elections in ${forMs} ms`);
  return `${cuts} cuts in ${Math.round(forMs / 1000)} s: ${elections} elections`;
}

export async function runPartitions(run: PartitionRun): Promise<PartitionReport> {
  const { progress = () => {}, scale = 1 } = run;
  const failures: string[] = [];
  const healMs: number[] = [];
  const book = new Book();
  const inNamespaces = run.network === "namespaces";
  if (inNamespaces && !canMakeNamespaces()) {
    progress("partitions: network namespaces cannot be made here: left out");
    return { scenarios: 0, healMs, summary: "", failures };
  }
  const founded = await (inNamespaces ? foundInNamespaces : foundBehindProxies)(run.parent).catch(
    (error: unknown) => void failures.push(`no cluster was founded: ${String(error)}`),
  );
  if (founded === undefined) return { scenarios: 0, healMs, summary: "", failures };
  const { cluster, network } = founded;
  let streams: ChangeStream[] = [];
  try {
    streams = startStreams(cluster, book, 100);
    for (const [name, act] of Object.entries(acts)) {
      if (run.only !== undefined && !name.includes(run.only)) continue;
      if (fullOnly.has(name) && !network.isFull) continue;
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
