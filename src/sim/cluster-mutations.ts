/**
 * Bugs to seed into whole clusters, to show that the simulator would notice them: `npm run sim -- --bugs`. Each takes one rule
 * away, as a slip in the code would: for all nodes, and where it is a rule of applying entries for the model as well, which
 * uses the same code.
 *
 * A bug whose rule has moved elsewhere goes unnoticed, and the run says so.
 */
import type { FromControl, ToControl } from "../cluster/channel.js";
import type { EpochEntry } from "../cluster/contract.js";
import { encodeProposal } from "../cluster/control-state.js";
import { decodeEpoch } from "../cluster/epochs.js";
import { CatalogState, ClusterState, type ControlActor, ControlState, errorOf } from "../cluster/index.js";
import { RaftStorage } from "../raft/index.js";
import type { ControlProcess, World } from "./cluster-process.js";
import type { Swarm } from "./cluster-swarm.js";
import { simTrust } from "./trust.js";

export interface Mutation {
  readonly name: string;
  /** What makes it likely to show. */
  readonly swarm?: Partial<Swarm>;
  readonly leaseTooLongMs?: number;
  /** Takes something away from the code as long as the run lasts. */
  install?(world: World): () => void;
  onActor?(process: ControlProcess, actor: ControlActor): void;
  /** What main is told instead. */
  fromControl?(process: ControlProcess, message: FromControl): readonly FromControl[] | undefined;
  /** What main is answered at once; the message goes nowhere. */
  toControl?(process: ControlProcess, message: ToControl): readonly FromControl[] | undefined;
}

/** Puts a method in place of another until the answer is called. */
function replaced<T extends object, K extends keyof T>(
  target: T,
  name: K,
  make: (original: T[K]) => T[K],
): () => void {
  const original = target[name];
  target[name] = make(original);
  return () => {
    target[name] = original;
  };
}

const json = (bytes: Uint8Array): Record<string, unknown> =>
  JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>;

const busy: Partial<Swarm> = {
  level: "control",
  nodes: 3,
  operationEveryMs: 150,
  faultEveryMs: 1000,
  failureTimeoutMs: 30_000,
  removalGraceMs: 0,
  lossChance: 0.01,
};
const whole: Partial<Swarm> = {
  level: "whole",
  nodes: 3,
  faults: ["kill", "isolateLeader"],
  operations: ["set"],
  operationEveryMs: 1500,
};
/** Proposals that are handed to a second leader. */
const copies: Partial<Swarm> = {
  ...busy,
  faults: ["isolateLeader", "killLeader", "flap", "partition"],
  operations: ["set", "schema", "token", "roles"],
};

/** Have just been given a snapshot. */
const skipping = new WeakSet<ControlProcess>();

export const mutations: readonly Mutation[] = [
  {
    name: "what a killed process had not synced is relied upon",
    swarm: {
      ...busy,
      syncMs: 8,
      faults: ["failSync", "stop", "stallMain", "isolateLeader"],
      faultEveryMs: 300,
    },
    install: () => replaced(RaftStorage.prototype, "renew", () => () => {}),
  },
  { name: "a lease is longer than those who wait for it believe", leaseTooLongMs: 3000, swarm: busy },
  {
    name: "a change is answered before the others have applied it",
    swarm: busy,
    toControl: (_process, message) =>
      message.kind === "barrier" ? [{ kind: "passed", ticket: message.ticket }] : undefined,
  },
  {
    name: "an entry is reported as applied when main is handed it",
    swarm: { ...busy, channelMs: 5, followMs: 60 },
    fromControl: ({ half }, message) => {
      const index = message.kind === "apply" ? (message.entries.at(-1)?.index ?? 0) : 0;
      const epoch = half?.actor.state.cluster.latest?.epoch.number ?? 0;
      if (index > 0) half?.receive({ kind: "applied", index, epoch });
      return undefined;
    },
  },
  {
    name: "a proposal that a leader had is answered as never handed out",
    swarm: copies,
    fromControl: (_process, message) =>
      message.kind === "refused" && message.error.condition === "transactionResolutionUnknown"
        ? [{ ...message, error: { ...message.error, condition: "cannotConnectNow" } }]
        : undefined,
  },
  {
    name: "a read asks nobody",
    swarm: { ...busy, operations: ["set", "schema", "read"], faults: ["isolateLeader", "slowDisk", "pause"] },
    toControl: (_process, message) =>
      message.kind === "catchUp" ? [{ kind: "passed", ticket: message.ticket }] : undefined,
  },
  {
    name: "a second copy of a proposal is applied",
    swarm: copies,
    install: () => {
      const undo = [
        replaced(ControlState.prototype, "knows", () => () => false),
        replaced(ControlState.prototype, "applyCommand", (apply) => {
          return function (this: ControlState, command, origin) {
            if (command.type !== "epochs")
              return apply.call(this, command, undefined).map((one) => ({ ...one, origin }));
            return command.entries.map((entry) => {
              const { error } = this.cluster.applyEpoch(entry);
              return { origin: entry.origin, error: error && errorOf(error) };
            });
          };
        }),
      ];
      return () => {
        for (const one of undo) one();
      };
    },
  },
  {
    name: "a leader builds an epoch for a change that was made already",
    swarm: { ...copies, operations: ["disable", "enable", "roles"] },
    onActor: (_process, { state }) => {
      state.knows = () => false;
    },
  },
  {
    name: "a change of the catalog does not say which versions it was made on",
    swarm: { ...busy, operations: ["counter"], channelMs: 5, latencyMs: 15 },
    install: () =>
      replaced(CatalogState.prototype, "apply", (apply) => {
        return function (this: CatalogState, command) {
          return apply.call(this, command.type === "catalog" ? { ...command, expect: [] } : command);
        };
      }),
  },
  {
    name: "an epoch is in effect once a quorum has attested it",
    swarm: { ...busy, operations: ["policy"], faults: ["pause", "isolateLeader", "stallMain"] },
    install: () =>
      replaced(ClusterState.prototype, "missing", (missing) => {
        return function (this: ClusterState) {
          const those = missing.call(this);
          let enabled = 0;
          for (const { state } of this.members.values()) if (state === "ENABLED") enabled++;
          return those.size * 2 < enabled ? new Map() : those;
        };
      }),
  },
  {
    name: "a snapshot does not have the numbers of proposals",
    swarm: { ...copies, snapshotAfterBytes: 8000, entriesKept: 2 },
    install: () =>
      replaced(ControlState.prototype, "restore", (restore) => {
        return function (this: ControlState, bytes) {
          restore.call(this, Buffer.from(JSON.stringify({ ...json(bytes), streams: [] })));
        };
      }),
  },
  {
    name: "the first entry behind a snapshot is passed over",
    swarm: {
      ...busy,
      snapshotAfterBytes: 8000,
      entriesKept: 2,
      faults: ["isolateLeader", "partition", "oneWay"],
    },
    fromControl: (process, message) => {
      if (message.kind === "restore" && process.opened) skipping.add(process);
      if (message.kind !== "apply" || !skipping.delete(process)) return undefined;
      return [{ ...message, entries: message.entries.slice(1) }];
    },
  },
  {
    name: "applying reads the clock",
    swarm: { ...busy, operations: ["policy"] },
    install: ({ clock }) =>
      replaced(ClusterState.prototype, "apply", (apply) => {
        return function (this: ClusterState, command) {
          const at = Math.floor(clock.now());
          return apply.call(this, command.type === "effective" ? { ...command, at } : command);
        };
      }),
  },
  {
    name: "a data folder that was put back is greeted",
    swarm: {
      ...busy,
      faultEveryMs: 2000,
      faults: ["putBack", "putBack", "isolateLeader"],
      operations: ["set", "schema"],
    },
    onActor: (_process, actor) => {
      const hello = actor.hello.bind(actor);
      actor.hello = (node, payload) => {
        const shown = json(payload) as { boot: object };
        const earlier = [actor.state.cluster.members.get(node)?.boot.nonce];
        const most = Number.MAX_SAFE_INTEGER;
        const text = { ...shown, boot: { ...shown.boot, earlier }, lastIndex: most, term: most };
        return hello(node, Buffer.from(JSON.stringify(text)));
      };
    },
  },
  {
    name: "an epoch is applied without a look at the one it follows",
    swarm: { ...busy, operations: ["set", "rival"] },
    install: () =>
      replaced(ClusterState.prototype, "applyEpoch", (applyEpoch) => {
        return function (this: ClusterState, entry: EpochEntry) {
          const { number } = decodeEpoch(Buffer.from(entry.epoch, "base64"));
          const followed = this.epochs[number - 2];
          if (followed === undefined || number > this.epochs.length) return applyEpoch.call(this, entry);
          Object.defineProperty(this, "latest", { configurable: true, get: () => followed });
          try {
            return applyEpoch.call(this, entry);
          } finally {
            Reflect.deleteProperty(this, "latest");
          }
        };
      }),
  },
  {
    name: "main is not told that its node was removed",
    swarm: { ...busy, operations: ["set", "remove"] },
    fromControl: (_process, message) =>
      message.kind === "fault" && /was removed/.test(message.error.message) ? [] : undefined,
  },
  {
    name: "the voters who are left need not be a quorum",
    swarm: {
      ...busy,
      faults: ["putBack"],
      operationEveryMs: 600,
      operations: ["set", "set", "disable", "enable", "enable", "enable"],
    },
    // Epochs are a leader's own work: the next one does not take them, and would say so.
    fromControl: (_process, message) =>
      message.kind === "refused" && message.error.condition === "invalidAuthorizationSpecification"
        ? [{ ...message, error: { ...message.error, condition: "transactionResolutionUnknown" } }]
        : undefined,
    toControl: (process, message) => {
      const { actor, role, member, boot, clock, world } = process;
      if (message.kind !== "change" || actor === undefined || role !== "leader") return undefined;
      const { change, by, number } = message;
      if (change.kind !== "removeMember" && change.kind !== "moveMember") return undefined;
      const [entry] = actor.state.cluster.draftEpochs(
        [{ origin: { stream: member.raftId * 2, boot, number }, change, by }],
        member.uuid,
        simTrust(world.clusterUuid, member.uuid, { disk: member.disk }).signer,
        Math.floor(clock.now()),
      );
      if (entry === undefined || "condition" in entry) return undefined;
      actor.receive({
        kind: "propose",
        number,
        command: encodeProposal({ type: "epochs", entries: [entry] }),
      });
      return [];
    },
  },
  {
    name: "a transaction in limbo of which the log says nothing is committed",
    swarm: whole,
    install: () =>
      replaced(CatalogState.prototype, "outcomeOf", (outcomeOf) => {
        return function (this: CatalogState, shard, transaction) {
          return outcomeOf.call(this, shard, transaction) ?? true;
        };
      }),
  },
  {
    name: "a transaction in limbo is aborted at the start, whatever the log says",
    swarm: whole,
    install: (world) =>
      replaced(CatalogState.prototype, "outcomeOf", (outcomeOf) => {
        return function (this: CatalogState, shard, transaction) {
          const starting = [...world.processes()].some(({ member, ready }) => member.founder && !ready);
          return starting ? false : outcomeOf.call(this, shard, transaction);
        };
      }),
  },
  {
    name: "in an emergency the pins do not hold for a moment",
    swarm: { ...busy, faults: ["kill", "pauseLeader"], operations: ["set", "emergency"] },
    install: () => {
      const own = Object.getOwnPropertyDescriptor(ClusterState.prototype, "pinnedAuthorities")!;
      Object.defineProperty(ClusterState.prototype, "pinnedAuthorities", { ...own, get: () => [] });
      return () => Object.defineProperty(ClusterState.prototype, "pinnedAuthorities", own);
    },
  },
  {
    name: "storage does not follow what other nodes make",
    swarm: whole,
    fromControl: ({ plane }) => {
      if (plane?.follower !== undefined) plane.follower = { ...plane.follower, before: async () => {} };
      return undefined;
    },
  },
];
