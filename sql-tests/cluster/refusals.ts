/**
 * Nodes that must not come in: removed ones, impostors, folders that were put back, copied or emptied. Each is refused with a
 * reason in its own log and, where it got so far, in the log of those who refused it; the cluster goes on under the same
 * leader, and the real node comes back.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HostDisk, hostClock, hostRandom } from "../../src/platform/host.js";
import {
  Authority,
  CaStore,
  createAuthority,
  nodeRequest,
  passphraseFrom,
} from "../../src/security/index.js";
import { ask, ClusterNode, type Ended, freePorts, isListening, sleep, TestCluster, until } from "./nodes.js";
import { findEpoch, tamperEach, tamperLog } from "./tamper.js";

export interface RefusalRun {
  readonly progress?: (line: string) => void;
  readonly parent?: string;
  /** Of what is tried many times. */
  readonly scale?: number;
  /** Only cases whose name contains this. */
  readonly only?: string | undefined;
}

export interface RefusalReport {
  readonly cases: number;
  readonly failures: readonly string[];
}

/** Longest time until a node that is refused has ended, or is known to stay outside. */
const refusedMs = 15_000;

class Case {
  readonly failures: string[] = [];
  readonly since = Date.now();
  said = "";
  constructor(
    readonly cluster: TestCluster,
    readonly scale: number,
  ) {}

  say(words: string): void {
    this.said = `, ${words}`;
  }
  fail(problem: string): void {
    this.failures.push(problem);
  }
  holds(what: string, condition: boolean, detail = ""): void {
    if (!condition) this.fail(`${what}${detail === "" ? "" : `: ${detail}`}`);
  }

  /** The node that ran on a folder has ended by itself, not with 0, and said why. */
  async ends(node: ClusterNode, words: readonly string[]): Promise<Ended | undefined> {
    const ended = await Promise.race([node.ended, sleep(refusedMs).then(() => undefined)]);
    if (ended === undefined) {
      this.fail(`${node.name} still runs after ${refusedMs} ms\n${node.tail()}`);
      await node.kill();
      return undefined;
    }
    this.holds(
      "it ends with a code that is not 0",
      ended.code !== 0 && ended.signal === null,
      `${ended.code}`,
    );
    for (const word of words)
      this.holds(`its last words name "${word}"`, ended.errors.includes(word), `\n${ended.errors}`);
    return ended;
  }
  /** Some other node has logged all of the words since the case began. */
  async othersSay(words: readonly string[], but?: ClusterNode): Promise<void> {
    const others = this.cluster.nodes.filter((one) => one !== but);
    await until(
      async () => (others.some((one) => one.logged(words, this.since).length > 0) ? true : undefined),
      refusedMs,
      `a log of the others has ${words.join(", ")}`,
    ).catch((error: unknown) => this.fail(String(error)));
  }
  /** It runs, and is no part of the cluster. */
  async staysOutside(node: ClusterNode): Promise<void> {
    if (!node.isRunning) return;
    const numbers = await until(() => node.metrics(), refusedMs, `${node.name} shows its metrics`);
    this.holds(
      `${node.name} has no leader`,
      numbers.get("raft_quorum") === 0 && numbers.get("raft_leader") === 0,
    );
  }
}

/** Somebody who runs on a folder beside the real nodes, on ports of its own. */
async function strangerOn(cluster: TestCluster, folder: string, name: string): Promise<ClusterNode> {
  return new ClusterNode(name, folder, await freePorts(), [], join(cluster.folder, "logs", `${name}.log`));
}

/** A certificate for the node of a folder, of a CA, in place of its own. */
export async function forge(folder: string, authority: Authority): Promise<void> {
  const { nodeId, clusterId, nodeName } = JSON.parse(readFileSync(join(folder, "node.json"), "utf8")) as {
    readonly nodeId: string;
    readonly clusterId: string;
    readonly nodeName: string;
  };
  const subject = { clusterUuid: clusterId, nodeUuid: nodeId, nodeName };
  const { requestPem, keyPem } = nodeRequest(subject);
  const { certificatePem } = await authority.issueNode(requestPem, subject, { days: 365 });
  writeFileSync(join(folder, "tls/node.key"), keyPem, { mode: 0o600 });
  writeFileSync(join(folder, "tls/node.crt"), certificatePem);
  writeFileSync(join(folder, "tls/ca.crt"), authority.certificatePem);
}

/** Not one that anybody trusts. */
export async function anotherCa(clusterUuid: string): Promise<Authority> {
  return (await createAuthority({ clusterUuid, clock: hostClock, random: hostRandom })).authority;
}
/** That of the cluster, by the key that its founder keeps. */
async function ownCa(folder: string): Promise<Authority> {
  const disk = new HostDisk(folder);
  const store = new CaStore(disk, hostRandom, passphraseFrom({ kept: { disk, random: hostRandom } }));
  const [fingerprint] = store.list();
  const signer = await store.open(fingerprint!);
  return new Authority(store.certificateOf(fingerprint!), signer, { clock: hostClock, random: hostRandom });
}

async function joined(cluster: TestCluster, place: number): Promise<ClusterNode> {
  const node = await cluster.make(place);
  const peer = `127.0.0.1:${cluster.node(1).ports.control}`;
  await node.start(["join", "--token", await cluster.token(), "--peer", peer]);
  return node;
}

const changes = (cluster: TestCluster, count: number): Promise<unknown> =>
  (async () => {
    const client = await cluster.node(1).connect();
    try {
      for (let at = 0; at < count; at++)
        await client.query(`ALTER CLUSTER SET degraded_mode.max_duration = '${60_001 + at}ms'`);
    } finally {
      await client.end();
    }
  })();

const cases: Readonly<Record<string, (test: Case) => Promise<void>>> = {
  "a removed node": async (test) => {
    const { cluster } = test;
    const node = await joined(cluster, 4);
    await ask(cluster.node(1), "REMOVE NODE 'node-4' REASON 'not needed'");
    await test.ends(node, ["REMOVED"]);
    void node.launch();
    await test.ends(node, ["REMOVED", "new data folder"]);
    const [row] = await ask<{ state: string; state_change_reason: string }>(
      cluster.node(1),
      "SELECT state, state_change_reason FROM sys.nodes WHERE node_name = 'node-4'",
    );
    test.holds("sys.nodes keeps it", row?.state === "REMOVED" && row.state_change_reason === "not needed");
    node.close();
  },

  "a node that was removed while it was down": async (test) => {
    const { cluster } = test;
    const node = await joined(cluster, 5);
    await node.kill();
    await ask(cluster.node(1), "REMOVE NODE 'node-5' REASON 'gone' FORCE");
    await sleep(2_500); // behind the farewell
    void node.launch();
    await test.othersSay(["a peer was refused", "REMOVED"]);
    await test.ends(node, ["REMOVED"]);
    node.close();
  },

  "an impostor with a certificate of another CA": async (test) => {
    const { cluster } = test;
    const folder = join(cluster.folder, "impostor-ca");
    cpSync(cluster.node(3).folder, folder, { recursive: true });
    rmSync(join(folder, "lock"), { force: true });
    await forge(folder, await anotherCa(cluster.node(3).identity.clusterId));
    const impostor = await strangerOn(cluster, folder, "impostor-ca");
    void impostor.launch();
    await test.othersSay(["a peer was refused", "UNTRUSTED_CA"]);
    await test.staysOutside(impostor);
    await impostor.kill();
    impostor.close();
  },

  "an impostor with a key of its own, certified by the cluster's CA": async (test) => {
    const { cluster } = test;
    const folder = join(cluster.folder, "impostor-key");
    cpSync(cluster.node(3).folder, folder, { recursive: true });
    rmSync(join(folder, "lock"), { force: true });
    await forge(folder, await ownCa(cluster.node(1).folder));
    const impostor = await strangerOn(cluster, folder, "impostor-key");
    void impostor.launch();
    await test.othersSay(["a peer was refused", "NOT_PINNED"]);
    await test.staysOutside(impostor);
    await impostor.kill();
    impostor.close();
  },

  "an old data folder over a newer one": async (test) => {
    const { cluster } = test;
    const node = cluster.node(3);
    const [old, newer] = [`${node.folder}.old`, `${node.folder}.newer`];
    await node.stop();
    cpSync(node.folder, old, { recursive: true });
    await node.start();
    await changes(cluster, 20);
    await until(
      async () => ((await node.metrics()).get("raft_quorum") === 1 ? true : undefined),
      10_000,
      "node-3 follows",
    );
    await sleep(500);
    await node.stop();
    renameSync(node.folder, newer);
    renameSync(old, node.folder);
    // However often it is tried.
    for (let start = 1; start <= 3; start++) {
      void node.launch();
      await test.ends(node, ["STALE_NODE", "new data folder"]);
    }
    await test.othersSay(["a peer was refused", "older than what it promised"], node);
    // Nor by those who have forgotten what they saw of it.
    await cluster.node(2).stop();
    await cluster.node(2).start();
    void node.launch();
    await test.ends(node, ["STALE_NODE"]);
    rmSync(node.folder, { recursive: true });
    renameSync(newer, node.folder);
    await node.start();
  },

  "a folder started twice": async (test) => {
    const { cluster } = test;
    const node = cluster.node(3);
    await node.stop();
    const folder = join(cluster.folder, "twin");
    cpSync(node.folder, folder, { recursive: true });
    await node.start();
    await cluster.settled();
    await sleep(500);
    const twin = await strangerOn(cluster, folder, "twin");
    for (let start = 1; start <= 2; start++) {
      void twin.launch();
      await test.ends(twin, ["STALE_NODE"]);
    }
    await test.othersSay(["a peer was refused", "older than what it promised"]);
    test.holds("the first still runs", node.isRunning);
    twin.close();
  },

  "a folder that is in use": async (test) => {
    const node = test.cluster.node(2);
    const second = await strangerOn(test.cluster, node.folder, "second");
    void second.launch();
    await test.ends(second, []);
    test.holds("the first still runs", node.isRunning);
    second.close();
  },

  "a folder without its consensus log": async (test) => {
    const { cluster } = test;
    const node = cluster.node(2);
    await node.stop();
    renameSync(join(node.folder, "raft"), join(cluster.folder, "raft-aside"));
    void node.launch();
    await test.ends(node, ["raft/", "missing", "new data folder"]);
    rmSync(join(node.folder, "raft"), { recursive: true, force: true });
    renameSync(join(cluster.folder, "raft-aside"), join(node.folder, "raft"));
    await node.start();
  },

  "a folder with the consensus log of another node": async (test) => {
    const { cluster } = test;
    const [node, other] = [cluster.node(2), cluster.node(3)];
    await Promise.all([node.stop(), other.stop()]);
    renameSync(join(node.folder, "raft"), join(cluster.folder, "raft-aside"));
    cpSync(join(other.folder, "raft"), join(node.folder, "raft"), { recursive: true });
    void node.launch();
    await test.ends(node, ["another node"]);
    rmSync(join(node.folder, "raft"), { recursive: true, force: true });
    renameSync(join(cluster.folder, "raft-aside"), join(node.folder, "raft"));
    await Promise.all([node.start(), other.start()]);
  },

  "a tampered epoch": async (test) => {
    const { cluster, scale } = test;
    const node = cluster.node(3);
    await changes(cluster, 4);
    await cluster.settled();
    await node.stop();
    const place = await findEpoch(node.folder);
    // Each byte in turn, as the node's start would take it; and some of them with a real start.
    const each = await tamperEach(node.folder, place);
    for (const problem of each.problems.slice(0, 10)) test.fail(problem);
    const conditions = [...each.conditions].map(([condition, count]) => `${count} ${condition}`).join(", ");
    const starts = Math.max(3, Math.ceil(24 * scale));
    for (let start = 0; start < starts; start++) {
      const at = Math.floor((place.length * (start + 0.5)) / starts);
      await tamperLog(node.folder, place, { at, mask: 1 << (start % 8) });
      const since = Date.now();
      void node.launch();
      const said = await until(
        async () => node.logged(["an epoch was refused"], since)[0],
        refusedMs,
        `${node.name} refuses an epoch with byte ${at} changed`,
      ).catch((error: unknown) => test.fail(String(error)));
      if (said !== undefined)
        test.holds("the log has the reason", typeof said["condition"] === "string" && said["reason"] !== "");
      // It goes on without the epoch, and knows that it is behind.
      await until(
        async () => node.logged(["EPOCH_MISMATCH"], since)[0],
        refusedMs,
        `${node.name} tells that others have a newer epoch`,
      ).catch((error: unknown) => test.fail(String(error)));
      await node.stop();
    }
    test.say(`${each.tried} bytes in turn: ${conditions}; ${starts} starts`);
    await tamperLog(node.folder, place);
    await node.start();
  },

  "a join without a good token": async (test) => {
    const { cluster } = test;
    const used = await cluster.token();
    const peer = `127.0.0.1:${cluster.node(1).ports.control}`;
    const good = await cluster.make(6);
    await good.start(["join", "--token", used, "--peer", peer]);
    const late = await cluster.make(7);
    void late.launch(["join", "--token", used, "--peer", peer]);
    await test.ends(late, ["token"]);
    test.holds("nothing is written", !existsSync(join(late.folder, "node.json")));
    test.holds("nobody listens", !(await isListening(late.ports.pg)));
    await ask(cluster.node(1), "REMOVE NODE 'node-6' REASON 'it was for a test'");
    await good.ended;
    for (const one of [good, late]) one.close();
  },
};

export async function runRefusals(run: RefusalRun = {}): Promise<RefusalReport> {
  const { progress = () => {} } = run;
  const failures: string[] = [];
  let count = 0;
  const cluster = await TestCluster.found(run.parent === undefined ? {} : { parent: run.parent });
  try {
    mkdirSync(join(cluster.folder, "logs"), { recursive: true });
    for (const [name, act] of Object.entries(cases)) {
      if (run.only !== undefined && !name.includes(run.only)) continue;
      await cluster.settled();
      const started = performance.now();
      const test = new Case(cluster, run.scale ?? 1);
      await act(test);
      // Nothing of it has harmed the cluster.
      await cluster.settled();
      await changes(cluster, 1);
      test.failures.push(...cluster.doubleLeaders());
      count++;
      progress(
        `refusals: ${name}: ${test.failures.length === 0 ? "refused" : "FAILED"}${test.said}, ${((performance.now() - started) / 1000).toFixed(1)} s`,
      );
      failures.push(...test.failures.map((failure) => `${name}: ${failure}`));
    }
  } catch (error) {
    failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    for (const node of cluster.nodes) progress(`${node.name}: ${node.tail()}`);
  } finally {
    await cluster.remove();
  }
  return { cases: count, failures };
}
