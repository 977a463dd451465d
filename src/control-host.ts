/**
 * The control plane's half of a node, put together: log, links to the peers, actor. `control.ts` does it in the control
 * worker, `node.ts` in its own loop where there is no worker (the simulator, tests).
 *
 * Invariant: what crosses between the two halves is plain data; each reads the node's trust from the data folder by itself.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { DbError } from "./base/errors.js";
import type { FirstPeer, Genesis, NewMember } from "./cluster/contract.js";
import {
  ClusterState,
  ControlActor,
  type ControlChannel,
  type ControlState,
  type FromControl,
  isFaultOfMember,
  type Member,
  method,
  recordOf,
  type ToControl,
} from "./cluster/index.js";
import type { NodeTrust, TrustOptions } from "./node-trust.js";
import type { Log } from "./observe/index.js";
import { watchRefusals } from "./peer-refusals.js";
import type { Clock, Disk, Random } from "./platform/index.js";
import { RaftStorage } from "./raft/index.js";
import type { PeerNetwork } from "./rpc/contract.js";
import { PeerLinks } from "./rpc/index.js";

export type { NodeTrust, TrustOptions } from "./node-trust.js";

/** All that the control half is told when it starts. */
export interface ControlStart {
  readonly self: {
    readonly uuid: string;
    readonly name: string;
    readonly raftId: number;
    readonly boot: Member["boot"];
    readonly version: number;
  };
  readonly clusterUuid: string;
  readonly host: string;
  readonly port: number;
  /** Takes any port when that one is in use. */
  readonly anyPort: boolean;
  /** Of who founds the cluster in this start. */
  readonly founds:
    | {
        readonly clusterName: string;
        readonly member: NewMember;
        readonly crl: string | undefined;
        /** Undefined: none was signed, which only a simulated node does without. */
        readonly bundle?: string | undefined;
      }
    | undefined;
  /** The log must be there: the node has promised things. */
  readonly established: boolean;
  readonly firstPeers: readonly FirstPeer[];
  readonly joinFacts: unknown;
}

/** Room for the largest proposal, and for what a slow peer has not taken yet. */
const limits = { frameBytesMax: 24 << 20, queueBytesMax: 64 << 20 };
/**
 * Keeps a network's credentials as the state has them. New ones cost milliseconds (keys, a check of every open stream), and most
 * epochs change nothing that they depend on: members and authorities are replaced, never written to.
 */
export function trustFollower(
  network: PeerNetwork,
  trust: Pick<NodeTrust, "credentials">,
): (cluster: ClusterState, leaving: TrustOptions["leaving"], told: TrustOptions["told"]) => void {
  let last: readonly unknown[] = [];
  return (cluster, leaving, told) => {
    const now = [cluster, cluster.members, cluster.authorities, told, ...leaving.keys()];
    if (now.length === last.length && now.every((one, at) => one === last[at])) return;
    network.use(trust.credentials(cluster, { leaving, told }));
    last = now;
  };
}

export interface ControlParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly hash: XXHashAPI;
  readonly log: Log;
  readonly trust: NodeTrust;
  /** Undefined: this node is and stays alone. */
  readonly network: PeerNetwork | undefined;
  readonly toMain: (message: FromControl) => void;
  readonly publishLease?: ((until: number) => void) | undefined;
  readonly mainIsAlive?: (() => boolean) | undefined;
  readonly tickMs?: number | undefined;
  readonly snapshotAfterBytes?: number | undefined;
  readonly entriesKept?: number | undefined;
}

export interface ControlHalf {
  receive(message: ToControl): void;
  readonly actor: ControlActor;
  close(): void;
}

/** @throws DbError XX001, F0000: the log cannot be used; ioError: the port cannot be bound */
export async function startControl(start: ControlStart, parts: ControlParts): Promise<ControlHalf> {
  const { clock, random, disk, hash, log, trust, network, toMain } = parts;
  const storage = new RaftStorage({ disk, hash, folder: "raft" });
  if (storage.recovered === undefined && start.established)
    throw new DbError("dataCorrupted", "the consensus log of this node, raft/, is missing", {
      hint: "What the node has promised is lost with it: remove the node from the cluster and join with a new data folder.",
    });
  if (storage.recovered !== undefined && storage.recovered.id !== start.self.raftId)
    throw new DbError("dataCorrupted", "the consensus log in raft/ is of another node", {
      hint: "Restore raft/ and node.json from the same backup of this node.",
    });
  if (storage.recovered !== undefined) storage.renew();
  const links =
    network === undefined ? undefined : new PeerLinks({ network, clock, random, hash, log, limits });
  const { firstPeers } = start;
  const refusals =
    network &&
    watchRefusals({
      network,
      port: "control",
      clock,
      log,
      tell: (refusal) => {
        toMain({ kind: "peerRefused", ...refusal });
        if (isFaultOfMember(actor.state.cluster, refusal.condition, refusal.node)) actor.memberRefused();
      },
    });
  const follow = network === undefined ? undefined : trustFollower(network, trust);
  const told = new Map(firstPeers.map((one) => [one.uuid, one.certFingerprint]));
  follow?.(new ClusterState(trust.pki), new Map(), told);
  const seedBytes = new Uint8Array(4);
  random.fill(seedBytes);
  const actor = new ControlActor({
    self: start.self,
    clock,
    log,
    storage,
    seed: Buffer.from(seedBytes).readUInt32LE(0),
    random,
    signer: trust.signer,
    pki: trust.pki,
    links,
    genesis: genesisOf(start, trust, clock),
    firstPeers,
    authority: trust.authority,
    store: trust.store,
    joinFacts: start.joinFacts,
    follow: (cluster) => trust.follow(cluster),
    onTrust: (state: ControlState, leaving, now) => {
      trust.follow(state.cluster);
      follow?.(state.cluster, leaving, now);
    },
    toMain,
    publishLease: parts.publishLease,
    mainIsAlive: parts.mainIsAlive,
    tickMs: parts.tickMs,
    snapshotAfterBytes: parts.snapshotAfterBytes,
    entriesKept: parts.entriesKept,
  });
  if (links !== undefined) {
    links.onPeer(({ node, kind }) => {
      if (kind === "connected") actor.peerConnected(node);
      else if (kind === "disconnected") actor.peerDisconnected(node);
      else if (kind === "dead") actor.peerDead(node);
      else if (kind === "distrusted") actor.peerDistrusts(node);
      else actor.peerSaysRemoved(node);
    });
    links.onMessage(({ node }, kind, payload) => actor.message(node, kind, payload));
    const ofMember = (
      number: number,
      answer: (node: string, payload: Uint8Array) => Promise<Uint8Array>,
    ): void =>
      links.onRequest(number, async (peer, payload) => {
        if (peer.kind !== "member")
          throw new DbError("invalidAuthorizationSpecification", "only members may ask this");
        return answer(peer.node, payload);
      });
    ofMember(method.hello, async (node, payload) => actor.hello(node, payload));
    const ofGreeted: typeof ofMember = (number, answer) =>
      ofMember(number, (node, payload) => {
        actor.requireGreeted(node);
        return answer(node, payload);
      });
    ofGreeted(method.propose, async (node, payload) => actor.propose(node, payload));
    ofGreeted(method.change, async (node, payload) => actor.change(node, payload));
    ofGreeted(method.authority, async (node, payload) => actor.authority(node, payload));
    ofGreeted(method.barrier, async (_node, payload) => actor.barrier(payload));
    links.onRequest(method.join, async (_peer, payload) => actor.join(payload), { strangers: true });
    const port = await listen(links, start, log);
    toMain({ kind: "listening", port });
  }
  return {
    receive: (message) => actor.receive(message),
    actor,
    close: () => {
      links?.close();
      network?.close();
      refusals?.stop();
    },
  };
}

async function listen(links: PeerLinks, start: ControlStart, log: Log): Promise<number> {
  try {
    return await links.listen(start.host, start.port, true);
  } catch (error) {
    if (!start.anyPort) throw error;
    const port = await links.listen(start.host, 0, true);
    log.info("the control port is in use; another was taken", { wanted: start.port, port });
    return port;
  }
}

function genesisOf(start: ControlStart, trust: NodeTrust, clock: Clock): Genesis | undefined {
  const { founds, self, clusterUuid } = start;
  if (founds === undefined) return undefined;
  return ClusterState.genesis(
    {
      clusterUuid,
      clusterName: founds.clusterName,
      member: founds.member,
      boot: { count: self.boot.count, nonce: self.boot.nonce },
      authority: trust.authorityPem,
      crl: founds.crl,
      bundle: founds.bundle,
      at: Math.floor(clock.now()),
    },
    trust.signer,
    trust.pki,
  );
}

/** The control half in the same loop: each message is handed over behind what is running. */
export function controlInLoop(
  start: ControlStart,
  parts: Omit<ControlParts, "toMain">,
): { readonly channel: ControlChannel; readonly half: Promise<ControlHalf>; close(): void } {
  let handler: (message: FromControl) => void = () => {};
  let closed = false;
  const toMain = (message: FromControl): void =>
    queueMicrotask(() => {
      if (!closed) handler(message);
    });
  const half = startControl(start, { ...parts, toMain });
  half.catch((error: unknown) => {
    if (error instanceof DbError) toMain({ kind: "fault", error: recordOf(error) });
    else throw error;
  });
  return {
    half,
    channel: {
      send: (message) => {
        void half.then(
          (one) => {
            if (!closed) one.receive(message);
          },
          () => undefined,
        );
      },
      onMessage: (take) => {
        handler = take;
      },
    },
    close: () => {
      closed = true;
      void half.then(
        (one) => one.close(),
        () => undefined,
      );
    },
  };
}
