/**
 * The control plane's active half on one node (D2, C2): the Raft member, its peers, leases, and what the leader does by
 * itself. On a real machine it runs in the control worker, in the simulator beside the node; it shares nothing with the
 * rest of the node but the channel.
 *
 *     main  --propose-->  actor  --proposal-->  leader's actor  --entry-->  every actor  --apply-->  its main
 *
 * A proposal goes to whoever leads, and again to the next leader, until it is applied here: its number makes the second
 * copy harmless. Who leads builds the epochs, one entry under way at a time, so that no two of its own compete.
 *
 * Invariants: Raft's words are taken only from a peer whose newest start has been greeted, so that a data folder that was
 * put back cannot vote; an entry is handed to main in order, once; a proposal that was given up (57P03) was never handed
 * to anybody; a vote is taken from a member before an epoch tells it so; nothing here waits for main but barriers.
 */
import { timingSafeEqual } from "node:crypto";
import { sha256 } from "@noble/hashes/sha2.js";
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { DbError } from "../base/errors.js";
import { traceId, traceparent, traceparentLength } from "../base/trace.js";
import type { Log, LogFields } from "../observe/index.js";
import type { Clock, Random, Timer } from "../platform/index.js";
import {
  decodeMessage,
  encodeMessage,
  type MemberSet,
  type Message,
  memberSet,
  RaftDriver,
  type RaftStorage,
} from "../raft/index.js";
import { CertificateKeeper } from "./certificate-keeper.js";
import {
  type CaService,
  type CertificateStore,
  consentDigest,
  primaryOf,
  returnDigest,
} from "./certificates.js";
import type { FromControl, LogEntry, ToControl } from "./channel.js";
import { type ClusterState, errorOf, recordOf } from "./cluster-state.js";
import { epochEntryProblem } from "./commands.js";
import type {
  Attestation,
  ClusterChange,
  ControlStatus,
  EpochEntry,
  EpochRefused,
  ErrorRecord,
  FirstPeer,
  Genesis,
  JoinToken,
  Member,
  NewMember,
  Origin,
  PeerStatus,
  Pki,
  Signer,
} from "./contract.js";
import {
  type AuthorityAnswer,
  type AuthorityRequest,
  caKeysShownMax,
  type Hello,
  type JoinAnswer,
  type JoinRequest,
  type Return,
  readMessage,
  type Status,
} from "./control-messages.js";
import {
  type ControlCommand,
  ControlState,
  decodeProposal,
  encodeProposal,
  type StateRefusal,
} from "./control-state.js";
import { attestationDigest, versionText } from "./epochs.js";
import {
  groupOf,
  isCurrentBoot,
  isFollowing,
  isVoting,
  keepsQuorum,
  quorumOf,
  remembers,
  roleBits,
} from "./membership.js";
import { RaftCounts } from "./raft-counts.js";
import { durationMs } from "./settings.js";

/** Messages and methods between control workers. */
export const messageKind = { raft: 1, status: 2 } as const;
export const method = { hello: 1, propose: 2, change: 3, barrier: 4, join: 5, authority: 6 } as const;

/** Rule C3. */
export const leaseMs = 1200;
export const leaseMarginMs = 200;
export const leaseRenewMs = 200;
/** How long a proposal looks for a leader before it is given up (SQL-2). */
const proposeTimeoutMs = 10_000;
/** A node whose main has not applied anything of what it was given for so long renews no lease. */
const mainBehindMs = 5_000;
/** How long an answer to a DDL waits for the others: somebody whose main has stopped keeps his lease for a while. */
const barrierTimeoutMs = mainBehindMs + leaseMs + 1_000;
/** A node whom somebody refuses, and nobody admits, believes it after so long. */
const nobodyAdmitsMs = 30_000;
/** A join that has come no further than the admission is given up. */
const joinBrokenOffMs = 10 * 60_000;
/** No peer has lived through so many elections that this node has not heard of. */
const termLeapMax = 1_000_000;
/** A greeting that was not taken is said again after this long. */
const greetAgainMs = 500;
/** A removed node is spoken to for so long. */
const farewellMs = 2_000;
/** Another's word on where a peer is: longer than a dial may take. */
const hearsayEveryMs = 5_000;
/** Members that others may vouch for. */
const toldMax = 1000;
/** What a leader says that has become none, or has ended: the proposal may be in its log all the same. */
const undecided = new Set(["cannotConnectNow", "adminShutdown", "ioError", "dataCorrupted", "internalError"]);
/** Changes in one entry, and about how large they are together. */
const changesMax = 64;
const changesBytesMax = 4 << 20;
/** How long an entry waits for as many changes as the two before it had: as long as one of them takes, within these bounds. */
const gatherLeastMs = 5;
const gatherMostMs = 20;
/** A learner that is no further behind may vote. */
const keptUpEntries = 100;
/** Of one proposal: a frame between nodes has room for it. */
const proposalBytesMax = 16 << 20;

/** What the actor needs of the links to its peers (`rpc/`). */
export interface ControlLinks {
  setPeers(peers: ReadonlyMap<string, string>): void;
  isConnected(node: string): boolean;
  roundTripMs(node: string): number | undefined;
  /** The certificate by which all connections with a node stand; undefined: there are none, or not all by the same. */
  certificateOf(node: string): string | undefined;
  send(node: string, kind: number, payload: Uint8Array): boolean;
  request(node: string, method: number, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
}

export interface ControlActorOptions {
  readonly self: {
    readonly uuid: string;
    readonly raftId: number;
    readonly boot: Member["boot"];
    readonly version: number;
  };
  readonly clock: Clock;
  readonly log: Log;
  readonly storage: RaftStorage;
  readonly seed: number;
  readonly random: Random;
  readonly signer: Signer;
  readonly pki: Pki;
  readonly links: ControlLinks | undefined;
  /** Of those who found a cluster; everybody else finds it in the log. */
  readonly genesis?: Genesis | undefined;
  /** Until the log says more: who may be spoken to. */
  readonly firstPeers?: readonly FirstPeer[] | undefined;
  /** Where CA keys are kept. */
  readonly authority?: CaService | undefined;
  readonly store?: CertificateStore | undefined;
  readonly joinFacts?: unknown;
  /** Members or trust have changed. */
  /** This node shows what the state names from here on; of hosts whose certificates are exchanged. */
  readonly follow?: ((cluster: ClusterState) => void) | undefined;
  readonly onTrust: (
    state: ControlState,
    leaving: ReadonlyMap<string, number>,
    /** Fingerprints of those whom the state does not name yet. */
    told: ReadonlyMap<string, string>,
  ) => void;
  readonly toMain: (message: FromControl) => void;
  /** Monotonic milliseconds until which this node may count on being heard. */
  readonly publishLease?: ((until: number) => void) | undefined;
  /** Main has shown life lately; false: leases are not renewed. */
  readonly mainIsAlive?: (() => boolean) | undefined;
  readonly tickMs?: number | undefined;
  readonly snapshotAfterBytes?: number | undefined;
  readonly entriesKept?: number | undefined;
}

type AskedChange = Pick<EpochEntry, "change" | "by" | "audit">;

interface Pending {
  readonly origin: Origin;
  /** One of both. */
  readonly command: Uint8Array | undefined;
  readonly change: AskedChange | undefined;
  readonly trace: string | undefined;
  readonly deadline: number;
  readonly reject: (error: DbError) => void;
  applied: (() => void) | undefined;
  /** It may be in somebody's log. */
  handed: boolean;
  /** Term in which it was handed over last, and whether that is still under way. */
  term: number;
  asking: boolean;
}

interface WaitingChange extends AskedChange {
  readonly origin: Origin;
  readonly trace: string | undefined;
  /** Taken in this term, and published in no other. */
  readonly term: number;
  /** Without an error once its entry is applied. */
  readonly answer: (error?: DbError) => void;
}

interface PeerFacts {
  boot: number;
  nonce: string;
  lastSeenAt: number;
  lastSeenMonotonic: number;
  /** When it asked for a lease last: Raft goes on beside a main that does not. */
  leasedAt: number;
  epoch: number;
  /** The furthest it ever was, which its log must hold; and where it is in this start. */
  appliedIndex: number;
  appliedNow: number;
  version: number;
  /** Terms it has spoken in: it must not have forgotten them. */
  term: number;
  /** Where it is now, in place of what the log says: by its own word, or by that of another who has met it. */
  moved: { readonly from: string; readonly to: string } | undefined;
  byHearsay: boolean;
  /** When that of another was taken last, monotonic. */
  hearsayAt: number;
  /** Its clock when it sent its last status; and ours, as it heard last. */
  sentAt: number;
  heard: number;
  /** Until when it has given this node a lease, as the leader. */
  granted: number;
  /** It has sent what makes no sense, and was told of. */
  senseless: boolean;
  /** CA keys that it says it keeps. */
  caKeys: readonly string[];
  /** What it has counted that is wrong with certificates of members; undefined: nothing heard yet in this start. */
  faults: number | undefined;
}

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

export class ControlActor {
  readonly state: ControlState;
  readonly #options: ControlActorOptions;
  readonly #raft: RaftDriver;
  readonly #counts: RaftCounts;
  readonly #keeper: CertificateKeeper;
  /** Certificates by which main's connections stand. */
  #seenByMain: Pick<ToControl & { readonly kind: "seen" }, "own" | "certificates" | "refused"> = {
    own: "",
    certificates: new Map(),
    refused: 0,
  };
  /** Of main: number in main's stream; of the actor: in its own. */
  readonly #pending = new Map<string, Pending>();
  #ownNumber = 0;
  readonly #peers = new Map<string, PeerFacts>();
  /** Peers that have taken our greeting on the link as it is: Raft may speak to them. */
  readonly #admitted = new Set<string>();
  /** Peers that refuse this node, and why. */
  readonly #refusals = new Map<string, DbError>();
  /** Since when somebody does and nobody admits it. */
  #refusedSince: number | undefined;
  /** JOINING members, and since when this leader knows of them. */
  readonly #joiningSince = new Map<string, number>();
  readonly #names = new Map<number, string>();
  /** Their hosts refuse connections: their processes are gone, and serve nobody. */
  readonly #dead = new Set<string>();
  #outbox: LogEntry[] = [];
  /** Of the entry that is being applied. */
  #signaturesHold = true;
  #flushing = false;
  #mainApplied = 0;
  /** Of the last entry that main was given, and since when it has not got anywhere with what it has. */
  #handedIndex = 0;
  #mainBehindSince: number | undefined;
  /** When this node asked for leases last. */
  #leasedAt = Number.NEGATIVE_INFINITY;
  #mainEpoch = 0;
  /** Changes that wait for the epoch entry under way. */
  #changes: WaitingChange[] = [];
  #publishing = false;
  /** Changes in the two entries before, and what ends the wait for as many as the larger had. */
  #gathered: readonly [number, number] = [0, 0];
  /** From the proposal of the last one to its commit. */
  #entryMs = 0;
  #gather: (() => void) | undefined;
  /** Term in which this leader has applied all that was committed before it. */
  #caughtUpIn = 0;
  /** Everybody who has a lease has applied up to here: so clients were told, by this leader or one before it. */
  #toldIndex = 0;
  #barriers: {
    index: number;
    resolve: (leftOut: number) => void;
    reject: (error: DbError) => void;
    deadline: number;
  }[] = [];
  #leaderSince = 0;
  #leaderChanges = 0;
  /** As of when leases and barriers were begun anew. */
  #noted = { leader: 0, term: 0 };
  /** Of this leader: who led in the term just before, and longer than leases are; 0: that is not known. */
  #deposed = 0;
  #committed = 0;
  #failed = 0;
  #timer: Timer | undefined;
  #over = false;
  #opened = false;
  #bootNoted = false;
  /** Epochs that the own word is under way for, and that are being made effective. */
  #attesting = 0;
  #effecting = 0;
  /** Members that the log does not name yet: as they were when this node joined, or by the word of others. By uuid. */
  readonly #told = new Map<string, FirstPeer>();
  #fingerprints: ReadonlyMap<string, string> = new Map();
  /** Removed members, and until when they are still spoken to: they are to hear of it. */
  readonly #leaving = new Map<string, number>();
  #stateVersion = -1;
  #overdue = 0;
  #changingGroup = false;
  /** Raft ids of members whose votes are taken for the epoch that is being made: nobody raises them. */
  #losing: readonly number[] = [];
  /** Where this node is reached, when that is known; and whether it is being told to the others. */
  #addresses:
    | { readonly now: Member["addresses"]; readonly before: readonly Member["addresses"][] }
    | undefined;
  /** The same, for those who must find this node before the log can tell them. */
  #reached:
    | { readonly now: Member["addresses"]; readonly before: readonly Member["addresses"][] }
    | undefined;
  #moving = false;
  /** Control addresses of peers that the log may have, by uuid. */
  readonly #hints = new Map<string, string>();
  #behindSince: number | undefined;
  #epochMismatch = false;

  constructor(options: ControlActorOptions) {
    this.#options = options;
    const { storage, self, clock, log } = options;
    for (const one of options.firstPeers ?? []) this.#told.set(one.uuid, one);
    this.state = new ControlState([], {
      ...options.pki,
      verify: (key, digest, signature) => {
        const holds = options.pki.verify(key, digest, signature);
        if (!holds) this.#signaturesHold = false;
        return holds;
      },
    });
    this.#keeper = new CertificateKeeper({
      self: self.uuid,
      clock,
      random: options.random,
      log,
      pki: options.pki,
      signer: options.signer,
      authority: options.authority,
      store: options.store,
      cluster: () => this.state.cluster,
      isLeader: () => this.#raft.isLeader,
      catchUp: async () => {
        await this.#raft.read();
      },
      change: (change, by) => this.#makeChange(change, by),
      command: (command) => this.#makeCommand(command),
      isReachable: (node) => this.#isReachable(node),
      keysOf: (node) => this.#peers.get(node)?.caKeys ?? [],
      faultsOf: (node) => this.#peers.get(node)?.faults,
      ask: async (node, request) =>
        readMessage(
          "answer of the CA",
          await options.links!.request(node, method.authority, json(request), proposeTimeoutMs),
        ),
      seenWith: (node) => {
        const { own, certificates } = this.#seenByMain;
        // Main goes over to a new certificate by itself, a moment later.
        if (own !== options.signer.certFingerprint) return undefined;
        const ours = options.links?.certificateOf(node);
        return certificates.has(node) && certificates.get(node) !== ours ? undefined : ours;
      },
    });
    this.#counts = new RaftCounts(storage.recovered?.snapshot?.index ?? 0, clock.monotonic());
    if (storage.recovered === undefined && storage.created === undefined) {
      const voters = options.genesis === undefined ? [] : [self.raftId];
      storage.create(self.raftId, { index: 0, term: 0, members: memberSet(voters) });
    }
    this.#raft = new RaftDriver({
      storage,
      clock,
      seed: options.seed,
      // Alone nothing ever times out.
      ...(options.links === undefined
        ? { tickMs: 0 }
        : options.tickMs === undefined
          ? {}
          : { tickMs: options.tickMs }),
      ...(options.snapshotAfterBytes === undefined ? {} : { snapshotAfterBytes: options.snapshotAfterBytes }),
      ...(options.entriesKept === undefined ? {} : { entriesKept: options.entriesKept }),
      machine: {
        apply: (data, index) => this.#apply(data, index),
        restore: (data, index) => this.#restore(data, index),
        save: () => this.state.save(),
      },
      send: (message) => this.#sendRaft(message),
      onChange: () => this.#leaderChanged(),
      onFault: (error) => this.#fault(error),
      onTrouble: (what, error) => log.warn(what, { error }),
    });
  }

  // --- main --------------------------------------------------------------------------------------------------------

  receive(message: ToControl): void {
    if (this.#over) return;
    switch (message.kind) {
      case "open":
        this.#open(message.seen);
        return;
      case "propose":
        this.#submit(this.#originOfMain(message.number), message.command, undefined, message.trace);
        return;
      case "change":
        this.#submit(this.#originOfMain(message.number), undefined, message, message.trace);
        return;
      case "barrier":
        void this.#pass(message.ticket, message.index);
        return;
      case "catchUp":
        void this.#catchUp(message.ticket);
        return;
      case "applied":
        if (message.index > this.#mainApplied) this.#mainBehindSince = undefined;
        this.#mainApplied = message.index;
        this.#mainEpoch = message.epoch;
        this.#tryBarriers();
        this.#sendStatus();
        return;
      case "addresses":
        this.#addresses = { now: message.addresses, before: message.before };
        this.#reached = this.#addresses;
        this.#sendStatus();
        return;
      case "authority":
        void this.#askAuthority(message.ticket, message.request);
        return;
      case "seen":
        for (let at = this.#seenByMain.refused; at < message.refused; at++) this.#keeper.memberRefused();
        this.#seenByMain = message;
        return;
      case "stop":
        void this.stop().then(() => this.#options.toMain({ kind: "stopped" }));
        return;
    }
  }

  #originOfMain(number: number): Origin {
    const { raftId, boot } = this.#options.self;
    return { stream: raftId * 2, boot: boot.count, number };
  }

  #open(seen: number): void {
    const { genesis, clock, toMain } = this.#options;
    try {
      this.#raft.commitAtLeast(seen);
    } catch (error) {
      this.#fault(error as DbError);
      return;
    }
    this.#opened = true;
    this.#flush();
    this.#noteHints();
    this.#trustChanged();
    this.#raft.start();
    if (genesis !== undefined && this.state.cluster.latest === undefined) this.#found(genesis);
    const opened = (): void => {
      this.#flush();
      toMain({ kind: "opened", lastIndex: this.#raft.lastIndex });
      this.#tellStatus();
    };
    // Alone, whatever is in the log is committed: main begins with all of it.
    const { voters, outgoing } = this.#raft.members;
    if (voters.length === 1 && voters[0] === this.#options.self.raftId && outgoing.length === 0)
      this.#raft.read().then(opened, (error: DbError) => this.#fault(error));
    else opened();
    if (this.#options.links === undefined) return;
    const tick = (): void => {
      if (this.#over) return;
      this.#timer = clock.after(leaseRenewMs, () => {
        this.#tick();
        tick();
      });
    };
    tick();
  }

  #found(genesis: Genesis): void {
    this.#raft.propose(encodeProposal(genesis, this.#ownOrigin())).catch((error: unknown) => {
      if (!this.#over) this.#fault(error as DbError);
    });
  }

  #ownOrigin(): Origin {
    const { raftId, boot } = this.#options.self;
    return { stream: raftId * 2 + 1, boot: boot.count, number: ++this.#ownNumber };
  }

  async stop(): Promise<void> {
    if (this.#over) return;
    await this.#handOver();
    this.#end(new DbError("adminShutdown", "the node is stopping"));
    await this.#options.storage.close();
  }

  /** To whoever has most of the log, and is not about to lose its vote. Who leads then shows whether anybody took it. */
  async #handOver(losing: readonly number[] = []): Promise<void> {
    const { clock, self, links } = this.#options;
    if (!this.#raft.isLeader || links === undefined) return;
    const { voters } = this.#raft.members;
    let best: Member | undefined;
    let bestMatch = -1;
    for (const member of this.state.cluster.members.values()) {
      if (member.uuid === self.uuid || !voters.includes(member.raftId) || losing.includes(member.raftId))
        continue;
      if (!isVoting(member) || !links.isConnected(member.uuid)) continue;
      const match = this.#raft.matchOf(member.raftId)?.match ?? 0;
      if (match > bestMatch) [best, bestMatch] = [member, match];
    }
    if (best === undefined) return;
    const deadline = clock.monotonic() + 1000;
    try {
      await this.#raft.transfer(best.raftId);
    } catch (error) {
      this.#options.log.debug("the lead was not handed over", { error });
      return;
    }
    while (this.#raft.isLeader && clock.monotonic() < deadline)
      await new Promise<void>((resolve) => clock.after(10, resolve));
  }

  #end(error: DbError): void {
    this.#over = true;
    this.#timer?.cancel();
    // Nobody hands it entries any more: from here on it is behind, while what it was granted may still run.
    this.#options.publishLease?.(Number.NEGATIVE_INFINITY);
    this.#raft.stop(error);
    for (const pending of [...this.#pending.values()]) this.#giveUp(pending, error);
    for (const one of this.#barriers) one.reject(error);
    this.#barriers = [];
  }

  #fault(error: DbError): void {
    if (this.#over) return;
    this.#options.log.error("the control plane has ended on this node", { error });
    // What was applied is no failure, whatever has ended this node: main is to know it first.
    this.#flush();
    this.#end(error);
    this.#options.toMain({ kind: "fault", error: recordOf(error) });
  }

  // --- applying ----------------------------------------------------------------------------------------------------

  #apply(data: Uint8Array, index: number): void {
    this.#signaturesHold = true;
    const { refusedEpochs } = this.state.cluster;
    const outcomes = this.state.apply(data);
    this.#tellRefused(refusedEpochs, index);
    this.#outbox.push({ index, data, signaturesHold: this.#signaturesHold });
    this.#scheduleFlush();
    for (const { origin, error } of outcomes) {
      if (/^(MALFORMED|NEWER_VERSION|WRONG_SENDER): /.test(error?.fields.detail ?? ""))
        this.#options.log.error("an entry of the consensus log makes no sense here", {
          index,
          origin,
          error,
        });
      if (origin === undefined) continue;
      const pending = this.#pending.get(keyOf(origin));
      if (pending === undefined) continue;
      this.#pending.delete(keyOf(origin));
      this.#committed++;
      if (error !== undefined) pending.reject(error);
      else pending.applied?.();
    }
    if (this.state.cluster.version !== this.#stateVersion && !this.#trustIsSettled()) this.#trustChanged();
  }

  /** A rival of another leader, or an epoch that somebody has tampered with. */
  #tellRefused(before: readonly EpochRefused[], index: number): void {
    const { refusedEpochs } = this.state.cluster;
    if (refusedEpochs === before) return;
    for (const one of refusedEpochs)
      if (!before.includes(one))
        this.#options.log.warn("an epoch was refused", {
          epoch: one.number,
          condition: one.condition,
          reason: one.message,
          index,
        });
  }

  #restore(data: Uint8Array, index: number): void {
    try {
      this.state.restore(data);
    } catch (error) {
      // At the start whoever opens the log is told.
      if (!this.#opened || !(error instanceof DbError)) throw error;
      this.#fault(error);
      return;
    }
    this.#outbox = [];
    this.#handedIndex = index;
    this.#options.toMain({ kind: "restore", index, state: data });
    this.#trustChanged();
  }

  #scheduleFlush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => this.#flush());
  }
  #flush(): void {
    this.#flushing = false;
    const entries = this.#outbox;
    if (entries.length === 0) return;
    this.#outbox = [];
    this.#handedIndex = entries.at(-1)!.index;
    this.#options.toMain({ kind: "apply", entries });
  }

  /** What trust was made of last, where nothing but that decides about it. */
  #trusted: Pick<ControlState["cluster"], "members" | "authorities"> & { readonly version: number } = {
    members: new Map(),
    authorities: [],
    version: -1,
  };
  get #isAnyLeaving(): boolean {
    for (const until of this.#leaving.values()) if (until > Number.NEGATIVE_INFINITY) return true;
    return false;
  }
  /** The change was one of settings, epochs and the like. */
  #trustIsSettled(): boolean {
    const { members, authorities, version } = this.#trusted;
    const { cluster } = this.state;
    if (this.#isAnyLeaving || cluster.members !== members || cluster.authorities !== authorities)
      return false;
    if (version !== (cluster.latest?.epoch.minNodeVersion ?? 0)) return false;
    this.#stateVersion = cluster.version;
    return true;
  }

  #trustChanged(): void {
    const { self, links, onTrust } = this.#options;
    const { cluster } = this.state;
    this.#stateVersion = cluster.version;
    this.#trusted = { members: new Map(), authorities: [], version: -1 };
    this.#names.clear();
    const peers = new Map<string, string>();
    for (const member of cluster.members.values()) {
      this.#names.set(member.raftId, member.uuid);
      if (member.uuid === self.uuid) continue;
      if (!isFollowing(member) && !this.#isLeaving(member)) continue;
      peers.set(member.uuid, this.#addressOf(member.uuid, member.addresses.control));
    }
    if (this.#endIfRemoved()) return;
    this.#options.follow?.(cluster);
    const own = this.#isAhead() ? undefined : cluster.members.get(self.uuid);
    const needed = cluster.latest?.epoch.minNodeVersion ?? 0;
    if (self.version < needed && this.#opened) {
      this.#fault(
        new DbError("objectNotInPrerequisiteState", "this node's version is too old for the cluster", {
          detail: `INCOMPATIBLE_VERSION: ${versionText(needed)} is needed, this is ${versionText(self.version)}.`,
          hint: "Start the data folder with a newer version of ScratchBird.",
        }),
      );
      return;
    }
    const now = this.#options.clock.monotonic();
    // Where a newcomer's log does not name it yet, what it was told is newer than that log.
    const isNew = !cluster.members.has(self.uuid);
    const spokenTo = isNew && this.#told.size > 0 ? new Map<string, string>() : peers;
    for (const { uuid, address, raftId } of this.#told.values()) {
      if (own !== undefined && cluster.members.has(uuid)) this.#told.delete(uuid);
      else {
        this.#names.set(raftId, uuid);
        spokenTo.set(uuid, this.#addressOf(uuid, address));
      }
    }
    onTrust(this.state, leavingAt(this.#leaving, now), this.#fingerprintsTold());
    links?.setPeers(spokenTo);
    for (const uuid of this.#refusals.keys()) if (!spokenTo.has(uuid)) this.#refusals.delete(uuid);
    for (const uuid of this.#peers.keys()) if (!spokenTo.has(uuid)) this.#peers.delete(uuid);
    if (own?.state !== "REMOVED")
      this.#trusted = { members: cluster.members, authorities: cluster.authorities, version: needed };
  }

  /** The log that this node has does not name the certificate that it has joined, or come back, with. */
  #isAhead(): boolean {
    const { self, signer } = this.#options;
    const own = this.state.cluster.members.get(self.uuid);
    return own === undefined || (this.#told.size > 0 && own.certFingerprint !== signer.certFingerprint);
  }

  /** The same map while nothing has changed: credentials hang on it. */
  #fingerprintsTold(): ReadonlyMap<string, string> {
    const now = [...this.#told.values()].map((one) => [one.uuid, one.certFingerprint] as const);
    if (
      now.length !== this.#fingerprints.size ||
      now.some(([uuid, fingerprint]) => this.#fingerprints.get(uuid) !== fingerprint)
    )
      this.#fingerprints = new Map(now);
    return this.#fingerprints;
  }

  /** For one whose log is behind: it may lack the very member that leads, and nobody else brings it that log. */
  #vouchedFor(node: string): Status["members"] {
    const { cluster } = this.state;
    if ((this.#peers.get(node)?.epoch ?? 0) >= (cluster.latest?.epoch.number ?? 0)) return undefined;
    return peersIn(cluster, node).filter(({ uuid }) => uuid !== this.#options.self.uuid);
  }

  /** A member's word is enough to speak to another one: the cluster's CA has to have signed its certificate in any case. */
  #noteVouched(by: string, members: readonly FirstPeer[]): void {
    const { self } = this.#options;
    const known = this.state.cluster.members;
    const voucher = known.get(by);
    if (voucher === undefined ? !this.#told.has(by) : !isFollowing(voucher)) return;
    let isNews = false;
    for (const one of members) {
      if (one.uuid === self.uuid || (known.has(one.uuid) && !this.#isAhead())) continue;
      const before = this.#told.get(one.uuid);
      if (before === undefined ? this.#told.size >= toldMax : !isSamePeer(before, one)) continue;
      if (before?.address === one.address) continue;
      this.#told.set(one.uuid, one);
      isNews = true;
    }
    if (isNews) this.#trustChanged();
  }

  /** Its vote counts until the group is without it, and those who are left may be too few before. */
  #endIfRemoved(): boolean {
    const { self } = this.#options;
    const own = this.state.cluster.members.get(self.uuid);
    if (own?.state !== "REMOVED" || !this.#opened) return false;
    if (this.#raft.counts(self.raftId)) {
      if (this.#raft.isLeader) this.#alignGroup();
      return false;
    }
    this.#fault(
      new DbError("adminShutdown", "this node was removed from the cluster", {
        detail: `REMOVED: ${own.stateReason}`,
        hint: "To take the machine back, join with a new data folder.",
      }),
    );
    return true;
  }

  /** Removed while this node looked on, a moment ago; or its vote is still asked for. */
  #isLeaving(member: Member): boolean {
    const { uuid, raftId } = member;
    if (!this.#opened) return false;
    if (this.#raft.counts(raftId) || (this.#peers.has(uuid) && !this.#leaving.has(uuid)))
      this.#leaving.set(uuid, this.#options.clock.monotonic() + farewellMs);
    return (this.#leaving.get(uuid) ?? 0) > this.#options.clock.monotonic();
  }
  #closeFarewells(): void {
    let over = false;
    for (const [node, until] of this.#leaving) {
      const member = this.state.cluster.members.get(node);
      if (member !== undefined && this.#isLeaving(member)) continue;
      if (until === Number.NEGATIVE_INFINITY) continue;
      this.#leaving.set(node, Number.NEGATIVE_INFINITY);
      over = true;
    }
    if (over) this.#trustChanged();
  }

  // --- peers -------------------------------------------------------------------------------------------------------

  peerConnected(node: string): void {
    if (this.#over) return;
    void this.#greet(node);
  }
  peerDisconnected(node: string): void {
    this.#admitted.delete(node);
  }
  /** Its process is gone: a follower need not wait for its silence. */
  peerDead(node: string): void {
    // Where only another one says that it is, nobody need be.
    if (this.#over || this.#peers.get(node)?.byHearsay === true) return;
    this.#dead.add(node);
    this.#tryBarriers();
    const member = this.state.cluster.members.get(node);
    if (member !== undefined) this.#raft.peerDead(member.raftId);
  }

  /** Said again at every dial. */
  peerSaysRemoved(node: string): void {
    if (this.#over) return;
    const name = this.state.cluster.members.get(node)?.name ?? node;
    this.#refusedBy(
      node,
      new DbError("adminShutdown", "this node was removed from the cluster", {
        detail: `REMOVED: node ${name} says so.`,
        hint: "To take the machine back, join with a new data folder.",
      }),
    );
  }

  /** It may be that log of one of both that is behind, and passes by itself: it is said once. */
  peerDistrusts(node: string): void {
    const { log } = this.#options;
    if (this.#over || this.#distrustSaid || this.#admitted.size > 0) return;
    this.#distrustSaid = true;
    log.warn("this node and a peer do not trust the CAs of each other's certificates, or its own has ended", {
      peer: node,
      hint: "If that goes on, the CA was replaced while this node was down: stop it, and give it a certificate with scratchbird rejoin.",
    });
  }
  #distrustSaid = false;

  /** That it was removed, or has an old folder. One faulty peer ends nobody; whom it is true of, all others refuse as well. */
  #refusedBy(node: string, error: DbError): void {
    const { clock, log } = this.#options;
    const isNew = !this.#refusals.has(node);
    this.#refusals.set(node, error);
    if (this.#admitted.size === 0) this.#refusedSince ??= clock.monotonic();
    if (this.#isRefused(node)) this.#fault(error);
    else if (isNew)
      log.warn("a peer refuses this node; it is for the others to confirm", { peer: node, error });
  }

  /**
   * Whether a refusal is to be believed: the leader says so; or those voters who do not are no quorum, so that nothing is
   * decided without one who does; or nobody else has had a word for long, as where all other voters of an old log are gone.
   */
  #isRefused(by: string): boolean {
    const { clock } = this.#options;
    const { leader } = this.#raft;
    if (leader !== 0 && this.#names.get(leader) === by) return true;
    const voters = [...this.state.cluster.members.values()].filter(isVoting).map((one) => one.uuid);
    // A newcomer's log names none yet.
    const judges = voters.length > 0 ? voters : [...this.#told.keys()];
    const others = judges.filter((uuid) => !this.#refusals.has(uuid)).length;
    if (others < quorumOf(judges.length)) return true;
    const since = this.#refusedSince;
    return since !== undefined && clock.monotonic() - since > nobodyAdmitsMs;
  }

  /** @throws DbError 57P03: who it is is known, but not yet whether its folder is the newest */
  requireGreeted(node: string): void {
    if ((this.#peers.get(node)?.boot ?? 0) > 0) return;
    throw new DbError("cannotConnectNow", `node ${node} has not been greeted yet`);
  }

  async #greet(node: string): Promise<void> {
    const { self, links, log } = this.#options;
    const hello: Hello = {
      boot: self.boot,
      version: self.version,
      lastIndex: this.#raft.lastIndex,
      term: this.#raft.term,
    };
    try {
      await links!.request(node, method.hello, json(hello), 2000);
    } catch (error) {
      if (this.#over) return;
      log.debug("a peer did not take the greeting", { peer: node, error });
      const why = error instanceof DbError ? (error.fields.detail ?? "") : "";
      if (why.startsWith("REMOVED: ")) this.peerSaysRemoved(node);
      else if (why.startsWith("STALE_NODE: ")) this.#refusedBy(node, error as DbError);
      if (links!.isConnected(node)) this.#options.clock.after(greetAgainMs, () => this.#greetAgain(node));
      return;
    }
    this.#admitted.add(node);
    this.#refusals.delete(node);
    this.#refusedSince = undefined;
    log.debug("a peer has taken the greeting", { peer: node });
    this.#sendStatusTo(node);
  }
  #greetAgain(node: string): void {
    if (this.#over || this.#admitted.has(node) || !this.#options.links!.isConnected(node)) return;
    void this.#greet(node);
  }

  /** A peer's greeting. @throws DbError 28000: it has forgotten what it promised; 08P01: it is none */
  hello(node: string, payload: Uint8Array): Uint8Array {
    const shown = readMessage("greeting", payload);
    const member = this.state.cluster.members.get(node);
    const known = this.#peers.get(node);
    const stale = (why: string): never => {
      this.#options.log.error("a peer was refused: its data folder is older than what it promised", {
        peer: node,
        reason: why,
      });
      throw new DbError(
        "invalidAuthorizationSpecification",
        `node ${member?.name ?? node} was refused: ${why}`,
        {
          detail: "STALE_NODE: its data folder was put back, or it runs twice.",
          hint: "Remove the node from the cluster and join with a new data folder.",
        },
      );
    };
    // In the time in which it is still spoken to: it ran on, or it has not heard of it and was started again.
    if (member?.state === "REMOVED" && known?.boot !== shown.boot.count && !this.#raft.counts(member.raftId))
      throw new DbError("invalidAuthorizationSpecification", `node ${member.name} was removed`, {
        detail: `REMOVED: ${member.stateReason}`,
        hint: "To take the machine back, join with a new data folder.",
      });
    if (member !== undefined && member.boot.count > 0 && !isCurrentBoot(member.boot, shown.boot))
      stale(`start ${shown.boot.count} is not newer than start ${member.boot.count}`);
    // A count alone rises with every try.
    if (member !== undefined && member.boot.count > 0 && !remembers(shown.boot, member.boot.nonce))
      stale(`its folder does not know start ${member.boot.count}`);
    if (known !== undefined) {
      if (shown.boot.count < known.boot) stale(`start ${shown.boot.count} is older than start ${known.boot}`);
      // The log need not have the newest start yet.
      if (shown.boot.count === known.boot && shown.boot.nonce !== known.nonce)
        stale(`start ${shown.boot.count} was seen, and this is another one`);
      if (shown.lastIndex < known.appliedIndex)
        stale(`its log ends at entry ${shown.lastIndex}, and it had applied ${known.appliedIndex}`);
      if (shown.term < known.term) stale(`it knows term ${shown.term}, and had spoken in term ${known.term}`);
    }
    // In the leader's own term its log only grows.
    const match = shown.term === this.#raft.term ? this.#raft.matchOf(member?.raftId ?? 0)?.match : undefined;
    if (match !== undefined && shown.lastIndex < match)
      stale(`its log ends at entry ${shown.lastIndex}, and it had acknowledged entry ${match}`);
    const facts = this.#factsOf(node);
    if (facts.boot !== shown.boot.count) {
      facts.boot = shown.boot.count;
      facts.senseless = false;
      facts.nonce = shown.boot.nonce;
      facts.appliedNow = 0;
      // Of another process's clock.
      facts.sentAt = 0;
    }
    return json({});
  }

  #factsOf(node: string): PeerFacts {
    let facts = this.#peers.get(node);
    if (facts === undefined) {
      facts = {
        boot: 0,
        nonce: "",
        lastSeenAt: 0,
        lastSeenMonotonic: Number.NEGATIVE_INFINITY,
        leasedAt: Number.NEGATIVE_INFINITY,
        epoch: 0,
        appliedIndex: 0,
        appliedNow: 0,
        version: 0,
        term: 0,
        moved: undefined,
        byHearsay: false,
        hearsayAt: Number.NEGATIVE_INFINITY,
        sentAt: 0,
        heard: Number.NEGATIVE_INFINITY,
        granted: Number.NEGATIVE_INFINITY,
        senseless: false,
        caKeys: [],
        faults: undefined,
      };
      this.#peers.set(node, facts);
    }
    return facts;
  }

  /** A one-way message of a member; who it is its certificate says (MEM-10). */
  message(node: string, kind: number, payload: Uint8Array): void {
    if (this.#over || !this.#opened) return;
    const facts = this.#peers.get(node);
    if (facts === undefined || payload.length < 4) return;
    const boot = (payload[0]! | (payload[1]! << 8) | (payload[2]! << 16) | (payload[3]! << 24)) >>> 0;
    // Not greeted, or of a start that a later one has replaced.
    if (facts.boot === 0 || boot !== facts.boot) return;
    const { clock } = this.#options;
    facts.lastSeenAt = clock.now();
    facts.lastSeenMonotonic = clock.monotonic();
    this.#dead.delete(node);
    const body = payload.subarray(4);
    try {
      if (kind === messageKind.status) this.#statusOf(node, facts, readMessage("status", body));
      else if (kind === messageKind.raft) this.#raftMessage(node, facts, decodeMessage(body));
    } catch (error) {
      const isSenseless =
        error instanceof MalformedBytes ||
        (error instanceof DbError && error.condition === "protocolViolation");
      if (!isSenseless) throw error;
      this.#dropped(node, facts, error);
    }
  }

  /** Told once in each start of the peer: it may send many. */
  #dropped(peer: string, facts: PeerFacts, error: unknown): void {
    if (facts.senseless) return;
    facts.senseless = true;
    this.#options.log.warn("a malformed message of a peer was dropped, as are others like it", {
      peer,
      error,
    });
  }

  #raftMessage(node: string, facts: PeerFacts, message: Message): void {
    const member = this.state.cluster.members.get(node);
    // A node that has not applied the member yet takes the peer's word: its certificate was pinned by somebody.
    if (member !== undefined && member.raftId !== message.from) return;
    if (message.to !== this.#options.self.raftId) return;
    if (member === undefined && this.#names.get(message.from) !== node) return;
    const { term } = this.#raft;
    if (term > 0 && message.term > term + termLeapMax)
      throw new DbError("protocolViolation", `a leap from term ${term} to term ${message.term}`);
    if (message.kind !== "preVote" && message.kind !== "preVoteAnswer")
      facts.term = Math.max(facts.term, message.term);
    this.#raft.receive(message);
  }

  #sendRaft(message: Message): void {
    const node = this.#names.get(message.to);
    if (node === undefined || !this.#admitted.has(node)) return;
    this.#send(node, messageKind.raft, encodeMessage(message));
  }

  #send(node: string, kind: number, body: Uint8Array): void {
    const payload = Buffer.allocUnsafe(body.length + 4);
    payload.writeUInt32LE(this.#options.self.boot.count, 0);
    payload.set(body, 4);
    this.#options.links?.send(node, kind, payload);
  }

  /** Main shows life, and does not stick at an entry. */
  #mainKeepsUp(): boolean {
    const { clock, mainIsAlive } = this.#options;
    const now = clock.monotonic();
    if (this.#mainApplied >= this.#handedIndex) this.#mainBehindSince = undefined;
    else this.#mainBehindSince ??= now;
    return (
      mainIsAlive?.() !== false &&
      (this.#mainBehindSince === undefined || now - this.#mainBehindSince < mainBehindMs)
    );
  }

  /** By the network, of a member: something is wrong with its certificate, or with what is known of it. */
  memberRefused(): void {
    this.#keeper.memberRefused();
  }

  #sendStatus(): void {
    this.#noteLeader();
    this.#leasedAt = this.#options.clock.monotonic();
    for (const node of this.#admitted) this.#sendStatusTo(node);
  }
  #sendStatusTo(node: string): void {
    const { clock, self } = this.#options;
    const isRemoved = this.state.cluster.members.get(node)?.state === "REMOVED";
    const status: Status = {
      boot: self.boot.count,
      epoch: this.#mainEpoch,
      applied: this.#mainApplied,
      version: self.version,
      control: this.#reachedAt(),
      // Of those too that nobody trusts yet: whoever is to bring one in looks for its keeper.
      caKeys: this.#options.authority
        ?.keys()
        .filter((key) => !this.state.cluster.formerAuthorities.some((one) => one.fingerprint === key))
        .slice(0, caKeysShownMax),
      faults: this.#keeper.faults,
      met: this.#met(node),
      members: this.#vouchedFor(node),
      sentAt: clock.monotonic(),
      heard: this.#peers.get(node)?.sentAt ?? 0,
      term: this.#raft.term,
      lease: this.#raft.isLeader && !isRemoved ? Math.max(0, this.#leaseUntil() - clock.monotonic()) : 0,
    };
    this.#send(node, messageKind.status, json(status));
  }

  #met(receiver: string): Status["met"] {
    const met: (readonly [string, string, string])[] = [];
    for (const [node, { moved }] of this.#peers) {
      if (moved === undefined || node === receiver || this.#addressInLog(node) !== moved.from) continue;
      if (this.#options.links?.isConnected(node) === true) met.push([node, moved.from, moved.to]);
    }
    return met.length === 0 ? undefined : met;
  }

  #reachedAt(): string | undefined {
    const own = this.state.cluster.members.get(this.#options.self.uuid);
    const told = this.#reached;
    return own === undefined || told === undefined ? undefined : addressOf(own, told, "control");
  }

  #statusOf(node: string, facts: PeerFacts, status: Status): void {
    this.#noteLeader();
    facts.epoch = status.epoch;
    facts.appliedNow = status.applied;
    facts.appliedIndex = Math.max(facts.appliedIndex, status.applied);
    facts.version = status.version;
    facts.caKeys = status.caKeys ?? [];
    facts.faults = status.faults;
    // A lease is for those who have what clients were told that everybody has.
    if (!this.#raft.isLeader || status.applied >= this.#toldIndex) {
      facts.leasedAt = this.#options.clock.monotonic();
      facts.sentAt = status.sentAt;
    }
    // Zero: nothing heard yet in that start of the peer. Of another term: it knows of another leader, or of none.
    const isHeard = status.heard > 0 && status.heard <= this.#options.clock.monotonic();
    if (isHeard && status.term === this.#raft.term) {
      facts.heard = Math.max(facts.heard, status.heard);
      const lease = Math.min(status.lease, leaseMs - leaseMarginMs);
      if (lease > 0) facts.granted = Math.max(facts.granted, status.heard + lease);
    }
    this.#tryBarriers();
    this.#noteMoved(node, facts, status.control);
    for (const [other, from, to] of status.met ?? []) this.#noteHearsay(other, from, to);
    if (status.members !== undefined) this.#noteVouched(node, status.members);
  }

  #addressOf(node: string, known: string): string {
    const moved = this.#peers.get(node)?.moved;
    return moved?.from === known ? moved.to : known;
  }
  /** While a newcomer's log does not name it yet, what it was told when it joined is newer. */
  #addressInLog(node: string): string | undefined {
    return this.#told.get(node)?.address ?? this.state.cluster.members.get(node)?.addresses.control;
  }

  /** Of one that this node does not reach itself. Who answers there must prove who it is in any case. */
  #noteHearsay(node: string, from: string, to: string): void {
    const { self, links, clock } = this.#options;
    if (node === self.uuid || from !== this.#addressInLog(node) || links?.isConnected(node) === true) return;
    const member = this.state.cluster.members.get(node);
    if (member !== undefined && !isFollowing(member)) return;
    const facts = this.#factsOf(node);
    const now = clock.monotonic();
    if (now - facts.hearsayAt < hearsayEveryMs) return;
    facts.hearsayAt = now;
    // It may be wrong, or a lie: the next turn is that of the address in the log.
    facts.moved = facts.byHearsay ? undefined : { from, to };
    facts.byHearsay = !facts.byHearsay;
    this.#trustChanged();
  }

  /**
   * Entries that this start does not know to be committed may say where others are: two that have both moved would look for each
   * other in vain, and never commit them.
   */
  #noteHints(): void {
    const { entries = [] } = this.#options.storage.recovered ?? {};
    for (const one of entries) {
      if (one.kind !== "command" || one.index <= this.#raft.appliedIndex) continue;
      const { command } = decodeProposal(one.data);
      if (command.type !== "epochs") continue;
      for (const entry of command.entries) {
        if (epochEntryProblem(entry) !== undefined || entry.change.kind !== "setAddresses") continue;
        this.#hints.set(entry.change.node, entry.change.addresses.control);
      }
    }
  }
  #followHints(): void {
    for (const [node, to] of this.#hints) {
      const from = this.#addressInLog(node);
      if (from === undefined || from === to || this.#options.links?.isConnected(node) === true)
        this.#hints.delete(node);
      else this.#noteHearsay(node, from, to);
    }
  }

  /** A peer that nobody can call any more has called: it is found before the log knows where it went. */
  #noteMoved(node: string, facts: PeerFacts, to: string | undefined): void {
    const from = this.#addressInLog(node);
    if (to === undefined || from === undefined) return;
    facts.byHearsay = false;
    if (to === (facts.moved?.from === from ? facts.moved.to : from)) return;
    facts.moved = { from, to };
    this.#trustChanged();
  }

  // --- proposals ---------------------------------------------------------------------------------------------------

  #submit(
    origin: Origin,
    command: Uint8Array | undefined,
    change: AskedChange | undefined,
    trace: string | undefined = undefined,
    reject: (error: DbError) => void = (error) =>
      this.#options.toMain({ kind: "refused", number: origin.number, error: recordOf(error) }),
  ): Pending {
    const { clock } = this.#options;
    const pending: Pending = {
      origin,
      command,
      change: change && { change: change.change, by: change.by, audit: change.audit },
      trace,
      deadline: clock.monotonic() + proposeTimeoutMs,
      reject,
      applied: undefined,
      handed: false,
      term: -1,
      asking: false,
    };
    const size = command?.length ?? sizeOf(pending.change!.change);
    if (size > proposalBytesMax) {
      reject(
        new DbError("programLimitExceeded", `a change of ${size} bytes is too large for the consensus log`, {
          detail: `The limit is ${proposalBytesMax} bytes.`,
        }),
      );
      return pending;
    }
    this.#pending.set(keyOf(origin), pending);
    this.#hand(pending);
    return pending;
  }

  /** To whoever leads now, if it has not been there in this term. */
  #hand(pending: Pending): void {
    const { links, self } = this.#options;
    const { leader, term } = this.#raft;
    if (leader === 0 || pending.asking || pending.term === term) return;
    if (leader === self.raftId) {
      pending.term = term;
      this.#take(pending, (error) => this.#notTaken(pending, error));
      pending.handed = true;
      return;
    }
    const node = this.#names.get(leader);
    if (node === undefined || links === undefined || !links.isConnected(node)) return;
    pending.term = term;
    pending.asking = true;
    const before = pending.handed;
    pending.handed = true;
    const body = pending.command ?? json({ origin: pending.origin, ...pending.change! });
    // Taken in this term alone: what was refused by a later leader is published by no earlier one that it still reaches.
    const payload = inTerm(term, pending.trace, body);
    const how = pending.command === undefined ? method.change : method.propose;
    links.request(node, how, payload, proposeTimeoutMs).then(
      () => {
        pending.asking = false;
      },
      (error: DbError) => {
        pending.asking = false;
        if (error.condition === "connectionFailure" || error.condition === "queryCanceled") {
          if (error.fields.detail === "not sent") pending.handed = before;
          // Another leader, or this one again once it is back.
          pending.term = -1;
          return;
        }
        this.#notTaken(pending, error);
      },
    );
  }

  #notTaken(pending: Pending, error: DbError): void {
    if (!this.#pending.has(keyOf(pending.origin))) return;
    if (!undecided.has(error.condition)) {
      this.#pending.delete(keyOf(pending.origin));
      pending.reject(error);
      return;
    }
    // The leader has changed, is busy or has ended: the next tick hands it over again.
    pending.term = -1;
  }

  #giveUp(pending: Pending, cause?: DbError): void {
    if (!this.#pending.delete(keyOf(pending.origin))) return;
    this.#failed++;
    pending.reject(
      pending.handed
        ? new DbError(
            "transactionResolutionUnknown",
            "it is not known whether the change was made: no quorum of the cluster's nodes answers",
            {
              detail: "NO_QUORUM: a leader had it, and did not confirm it.",
              hint: "Look before you try again.",
            },
            cause,
          )
        : (cause ??
            new DbError("cannotConnectNow", "the cluster has no leader", {
              detail: "NO_LEADER: nothing was changed.",
              hint: "A quorum of the voting nodes must be up and reach each other. Try again.",
            })),
    );
  }

  /**
   * A peer's proposal. Resolves when it is in the log and committed.
   * @throws DbError 57P03: not the leader of the term that it is meant for; 28000, 22023, 08P01: not the peer's to propose, or
   *   none; 55000: the peer is not enabled
   */
  async propose(node: string, payload: Uint8Array): Promise<Uint8Array> {
    const { body: command, trace } = this.#askedOfLeader(payload);
    this.#noteAsked(node, "proposal", trace);
    const refusal = this.state.foreignProposal(node, command);
    if (refusal !== undefined) throw refusal;
    await this.#requireEnabled(() => this.state.proposalByState(node, command));
    await this.#proposeTimed(new Uint8Array(command));
    return json({});
  }
  /** A peer's change, for an epoch. @throws DbError as `propose`, and why it cannot be made */
  async change(node: string, payload: Uint8Array): Promise<Uint8Array> {
    const { body: asked, trace } = this.#askedOfLeader(payload);
    this.#noteAsked(node, "change", trace);
    const { term } = this.#raft;
    const refusal = this.state.foreignChange(node, asked);
    if (refusal !== undefined) throw refusal;
    const { origin, ...request } = JSON.parse(Buffer.from(asked).toString()) as Omit<EpochEntry, "epoch">;
    const { change } = request;
    await this.#requireEnabled(() => this.state.changeByState(node, origin, change));
    if (this.#raft.term !== term) throw otherTerm();
    await new Promise<void>((resolve, reject) => {
      this.#takeChange(origin, request, trace, (error) => (error === undefined ? resolve() : reject(error)));
    });
    return json({});
  }

  /** What is asked of the leader of a term, and of no other. */
  #askedOfLeader(payload: Uint8Array): { readonly trace: string | undefined; readonly body: Uint8Array } {
    const { term, trace, body } = readAsked(payload);
    if (!this.#raft.isLeader || term !== this.#raft.term) throw otherTerm();
    return { trace, body };
  }
  #noteAsked(peer: string, what: string, trace: string | undefined): void {
    this.#options.log.debug(`a peer's ${what} is taken`, { peer, ...traceFields(trace) });
  }

  /** A refusal is an answer: it is given by whoever surely leads, on all that was committed, and not to what was made. */
  async #requireEnabled(refused: () => StateRefusal | undefined): Promise<void> {
    if (refused() === undefined) return;
    await this.#leadSurely();
    const refusal = refused();
    if (refusal !== undefined && !this.state.knows(refusal.origin)) throw refusal.error;
  }

  async #proposeTimed(entry: Uint8Array): Promise<void> {
    const { clock } = this.#options;
    const since = clock.monotonic();
    await this.#raft.propose(entry);
    this.#counts.noteCommit(since, clock.monotonic());
  }

  /** As the leader. */
  #take({ origin, command, change, trace }: Pending, failed: (error: DbError) => void): void {
    if (command !== undefined) {
      this.#proposeTimed(command).catch((error: DbError) => failed(error));
      return;
    }
    this.#takeChange(origin, change!, trace, (error) => {
      if (error !== undefined) failed(error);
    });
  }

  #takeChange(
    origin: Origin,
    asked: AskedChange,
    trace: string | undefined,
    answer: (error?: DbError) => void,
  ): void {
    this.#changes.push({ origin, ...asked, trace, term: this.#raft.term, answer });
    if (this.#changes.length >= Math.max(...this.#gathered)) this.#gather?.();
    void this.#publish();
  }

  /** Builds epochs of the changes that wait, and proposes them as one entry; one entry at a time. */
  async #publish(): Promise<void> {
    if (this.#publishing) return;
    this.#publishing = true;
    try {
      while (this.#changes.length > 0 && !this.#over) {
        // Sessions that were answered together come back one by one: the first is not to have an entry for itself.
        if (this.#changes.length < Math.max(...this.#gathered)) await this.#gatherSome();
        await this.#publishSome();
      }
    } finally {
      this.#publishing = false;
    }
  }

  async #gatherSome(): Promise<void> {
    await new Promise<void>((resolve) => {
      const ms = Math.min(Math.max(this.#entryMs, gatherLeastMs), gatherMostMs);
      const timer = this.#options.clock.after(ms, resolve);
      this.#gather = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#gather = undefined;
  }

  async #publishSome(): Promise<void> {
    const { log, clock } = this.#options;
    let bytes = 0;
    let count = 0;
    for (const { change } of this.#changes.slice(0, changesMax)) {
      bytes += sizeOf(change);
      if (count > 0 && bytes > changesBytesMax) break;
      count++;
    }
    let taken = this.#changes.splice(0, count);
    this.#gathered = [count, this.#gathered[0]];
    try {
      // What earlier leaders have committed is the base of what this one builds.
      if (this.#caughtUpIn !== this.#raft.term) await this.#leadSurely();
      taken = this.#news(this.#ofThisTerm(taken));
      let made = this.#draft(taken);
      if (made.some((one) => "condition" in one)) {
        // A refusal is an answer: it is given by whoever surely leads, on everything that was committed.
        await this.#leadSurely();
        taken = this.#news(taken);
        made = this.#draft(taken);
      }
      const losing = this.#votesLost(taken, made);
      if (losing.length > 0) {
        await this.#takeVotes(losing);
        await this.#leadSurely();
        taken = this.#news(this.#ofThisTerm(taken));
        made = this.#draft(taken);
      }
      const entries: EpochEntry[] = [];
      const asked: WaitingChange[] = [];
      for (const [at, one] of made.entries()) {
        if ("condition" in one) {
          log.info("a change of the cluster was refused", {
            change: taken[at]!.change.kind,
            reason: one.message,
            ...traceFields(taken[at]!.trace),
          });
          taken[at]!.answer(errorOf(one));
        } else {
          entries.push(one);
          asked.push(taken[at]!);
        }
      }
      if (entries.length === 0) return;
      const since = clock.monotonic();
      await this.#proposeTimed(encodeProposal({ type: "epochs", entries }));
      this.#entryMs = clock.monotonic() - since;
      for (const one of asked) one.answer();
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      for (const one of taken) one.answer(error);
    } finally {
      this.#losing = [];
    }
  }

  /** Whoever asked in an earlier term has asked another leader since, and may have been refused by it. */
  #ofThisTerm(changes: readonly WaitingChange[]): WaitingChange[] {
    const { term } = this.#raft;
    return changes.filter((one) => {
      if (one.term !== term) one.answer(otherTerm());
      return one.term === term;
    });
  }

  /**
   * Without the second copies of what an earlier leader has made, or this one: nothing is refused for being done already, and
   * no epoch is built on one that will be passed over. Who has proposed it sees it applied.
   */
  #news(changes: readonly WaitingChange[]): WaitingChange[] {
    const keys = new Set<string>();
    return changes.filter((one) => {
      const key = keyOf(one.origin);
      const isNew = !this.state.knows(one.origin) && !keys.has(key);
      keys.add(key);
      if (!isNew) one.answer();
      return isNew;
    });
  }

  /** Everything that was committed is applied here, and nobody else leads. */
  async #leadSurely(): Promise<void> {
    const { term } = this.#raft;
    await this.#raft.read();
    if (!this.#raft.isLeader || this.#raft.term !== term)
      throw new DbError("cannotConnectNow", "this node does not lead the cluster");
    this.#caughtUpIn = term;
  }

  /** Raft ids of those whose votes the changes take that are to be made, whether the group counts them already or would soon. */
  #votesLost(changes: readonly WaitingChange[], made: readonly (EpochEntry | ErrorRecord)[]): number[] {
    const { members } = this.state.cluster;
    return changes.flatMap(({ change }, at) =>
      "condition" in made[at]! ? [] : votesTakenBy(change).flatMap((uuid) => members.get(uuid)?.raftId ?? []),
    );
  }

  /**
   * The group goes on without them before the epoch says so: whoever is told that it was removed or disabled may end at once,
   * and nobody waits for its vote. Until the epoch is there they learn, and whatever keeps it away, they vote again.
   * @throws DbError 57P03: this node is one of them, and leaves the lead to another
   */
  async #takeVotes(losing: readonly number[]): Promise<void> {
    const { self, clock } = this.#options;
    const { term } = this.#raft;
    this.#losing = losing;
    while (this.#changingGroup) await new Promise<void>((resolve) => clock.after(10, resolve));
    if (losing.includes(self.raftId)) {
      // Whoever takes the lead is asked next; while nobody does, this one.
      await this.#handOver(losing);
      throw otherTerm();
    }
    if (!this.#raft.isLeader || this.#raft.term !== term) throw otherTerm();
    this.#changingGroup = true;
    try {
      for (;;) {
        const { voters, learners, outgoing } = this.#raft.members;
        const next = voters.find((id) => losing.includes(id));
        if (outgoing.length > 0) {
          // An earlier leader's change is not over.
          await new Promise<void>((resolve) => clock.after(10, resolve));
          if (!this.#raft.isLeader || this.#raft.term !== term) throw otherTerm();
          continue;
        }
        if (next === undefined) return;
        const left = voters.filter((id) => id !== next);
        await this.#raft.changeMembers({ voters: left, learners: sorted([...learners, next]) });
      }
    } finally {
      this.#changingGroup = false;
    }
  }

  #draft(changes: readonly WaitingChange[]): (EpochEntry | ErrorRecord)[] {
    const { self, signer, clock } = this.#options;
    const possible: WaitingChange[] = [];
    const refused = new Map<WaitingChange, ErrorRecord>();
    const leaving = new Set<string>();
    for (const one of changes) {
      const refusal = this.#quorumRefusal(one.change, leaving) ?? this.#keeper.refusalOf(one.change);
      if (refusal === undefined) possible.push(one);
      else refused.set(one, recordOf(refusal));
    }
    const made = this.state.cluster.draftEpochs(possible, self.uuid, signer, Math.floor(clock.now()));
    let at = 0;
    return changes.map((one) => refused.get(one) ?? made[at++]!);
  }

  /** What the leader alone can tell: whether those who are left are reachable (spec/02, R8). */
  #quorumRefusal(change: ClusterChange, leaving: Set<string>): DbError | undefined {
    const { members } = this.state.cluster;
    const voters = votesTakenBy(change).flatMap((uuid) => {
      const member = members.get(uuid);
      return member !== undefined && isVoting(member) ? [member] : [];
    });
    const newcomer = voteGivenBy(change, members);
    if (voters.length === 0 && newcomer === undefined) return undefined;
    const left = [...members.values()].filter(
      (one) => !leaving.has(one.uuid) && !voters.includes(one) && one.uuid !== newcomer?.uuid,
    );
    if (newcomer !== undefined) left.push(newcomer);
    if (keepsQuorum(left, "", (uuid) => this.#isReachable(uuid))) {
      for (const { uuid } of voters) leaving.add(uuid);
      return undefined;
    }
    const how =
      newcomer === undefined
        ? `without node ${voters.map((one) => one.name).join(", ")}`
        : `with node ${newcomer.name} as a voter`;
    return new DbError("objectNotInPrerequisiteState", `${how} the reachable voters would be no quorum`, {
      detail: "NO_QUORUM: the cluster could not decide anything any more.",
      hint: "Bring other nodes back first.",
    });
  }

  #isReachable(uuid: string): boolean {
    const { self, clock } = this.#options;
    if (uuid === self.uuid) return true;
    const facts = this.#peers.get(uuid);
    return facts !== undefined && clock.monotonic() - facts.lastSeenMonotonic < leaseMs;
  }

  // --- barriers (C5) -----------------------------------------------------------------------------------------------

  /** Main's: answered by whoever leads, again and again while the lead changes. */
  async #pass(ticket: number, index: number): Promise<void> {
    const { clock, links, self, toMain, log } = this.#options;
    const deadline = clock.monotonic() + barrierTimeoutMs;
    while (!this.#over && clock.monotonic() < deadline) {
      const { leader } = this.#raft;
      try {
        if (leader === self.raftId) {
          await this.#awaitAll(index);
          break;
        }
        const node = this.#names.get(leader);
        if (node !== undefined && links?.isConnected(node) === true) {
          await links.request(node, method.barrier, json({ index }), barrierTimeoutMs);
          break;
        }
      } catch (error) {
        if (!(error instanceof DbError)) throw error;
        log.debug("a barrier is asked for again", { error });
      }
      await new Promise<void>((resolve) => clock.after(20, resolve));
    }
    if (this.#over) return;
    if (clock.monotonic() >= deadline)
      log.warn("not every node is known to have applied a change", { index });
    toMain({ kind: "passed", ticket });
  }

  async #catchUp(ticket: number): Promise<void> {
    const { clock, toMain } = this.#options;
    while (!this.#over) {
      try {
        await this.#raft.read();
        break;
      } catch (error) {
        if (!(error instanceof DbError)) throw error;
        await new Promise<void>((resolve) => clock.after(100, resolve));
      }
    }
    if (this.#over) return;
    this.#flush();
    toMain({ kind: "passed", ticket });
  }

  async barrier(payload: Uint8Array): Promise<Uint8Array> {
    const { index } = readMessage("barrier", payload);
    // Whoever asks has applied it, and a leader holds all that was committed.
    if (this.#raft.isLeader && index > this.#raft.lastIndex)
      throw new DbError("protocolViolation", `a barrier at entry ${index}, which is in no log`);
    await this.#awaitAll(index);
    return json({});
  }

  async #awaitAll(index: number): Promise<void> {
    if (!this.#raft.isLeader) throw new DbError("cannotConnectNow", "this node does not lead the cluster");
    const leftOut = await new Promise<number>((resolve, reject) => {
      const deadline = this.#options.clock.monotonic() + barrierTimeoutMs;
      this.#barriers.push({ index, resolve, reject, deadline });
      this.#tryBarriers();
    });
    // Who is left out for his silence has no lease only while nobody else leads: a leader that was asleep may be none any more.
    if (leftOut > 0) {
      await this.#raft.read();
      if (!this.#raft.isLeader) throw new DbError("cannotConnectNow", "this node does not lead the cluster");
    }
  }

  /** Members that have not applied the entry: those to wait for, and those who were silent for a lease or are dead. */
  #laggards(index: number): { readonly behind: number; readonly leftOut: number } {
    const { self, clock } = this.#options;
    this.#noteLeader();
    const now = clock.monotonic();
    let behind = 0;
    let leftOut = 0;
    for (const member of this.state.cluster.members.values()) {
      // One that was removed may have a lease from before.
      const leaving = (this.#leaving.get(member.uuid) ?? Number.NEGATIVE_INFINITY) > now;
      if ((!isFollowing(member) && !leaving) || member.state === "JOINING") continue;
      const facts = this.#peers.get(member.uuid);
      const applied = member.uuid === self.uuid ? this.#mainApplied : (facts?.appliedNow ?? 0);
      if (applied >= index) continue;
      // A new leader waits one lease for those whose leases it does not know.
      const seen = member.uuid === self.uuid ? this.#leasedAt : (facts?.leasedAt ?? Number.NEGATIVE_INFINITY);
      const isGone =
        now - Math.max(seen, this.#leaderSince) >= leaseMs ||
        (this.#dead.has(member.uuid) && this.#isDeathCertain(member, now));
      if (isGone) leftOut++;
      else behind++;
    }
    return { behind, leftOut };
  }

  /**
   * A process that was found dead may run again, and have a lease of an earlier leader that this one has not heard of. None can
   * have given it one once this node has led for as long as leases are; nor to the leader just before this one, whose death made
   * the election: in no term between could anybody lead.
   */
  #isDeathCertain({ raftId }: Member, now: number): boolean {
    return now - this.#leaderSince >= leaseMs || raftId === this.#deposed;
  }

  #tryBarriers(): void {
    if (this.#barriers.length === 0) return;
    const now = this.#options.clock.monotonic();
    this.#barriers = this.#barriers.filter((one) => {
      const { behind, leftOut } = this.#laggards(one.index);
      if (!this.#raft.isLeader) one.reject(new DbError("cannotConnectNow", "another node leads"));
      else if (behind === 0) {
        // From here on nobody is given a lease who does not have it.
        this.#toldIndex = Math.max(this.#toldIndex, one.index);
        one.resolve(leftOut);
      } else if (now > one.deadline) one.reject(new DbError("cannotConnectNow", "nodes are behind"));
      else return true;
      return false;
    });
  }

  // --- time --------------------------------------------------------------------------------------------------------

  /** Raft knows its leader before it says so, as long as its disk takes: whoever reads what hangs on the leader comes here first. */
  #noteLeader(): void {
    const { leader, isLeader, term } = this.#raft;
    if (leader === 0 || (leader === this.#noted.leader && term === this.#noted.term)) return;
    const now = this.#options.clock.monotonic();
    const wasNext = this.#noted.term === term - 1 && now - this.#leaderSince >= leaseMs;
    this.#deposed = isLeader && wasNext ? this.#noted.leader : 0;
    this.#noted = { leader, term };
    this.#leaderChanges++;
    this.#leaderSince = now;
    // Leases are the leader's, and what was heard before it led asks it for none.
    for (const facts of this.#peers.values()) {
      facts.heard = Number.NEGATIVE_INFINITY;
      facts.granted = Number.NEGATIVE_INFINITY;
      if (isLeader) facts.sentAt = 0;
    }
    this.#toldIndex = isLeader ? this.#raft.lastIndex : 0;
    this.#options.log.info(isLeader ? "this node leads the cluster" : "a node leads the cluster", {
      leader: this.#names.get(leader) ?? leader,
      term,
    });
  }

  #leaderChanged(): void {
    this.#counts.noteLeader(this.#raft.leader !== 0, this.#options.clock.monotonic());
    this.#noteLeader();
    if (this.#endIfRemoved()) return;
    this.#handAll();
    this.#tryBarriers();
    this.#tellStatus();
  }

  #handAll(): void {
    const now = this.#options.clock.monotonic();
    for (const pending of [...this.#pending.values()]) {
      if (now > pending.deadline && !pending.asking) this.#giveUp(pending);
      else this.#hand(pending);
    }
  }

  #tick(): void {
    if (this.#endIfRemoved()) return;
    if (this.#mainKeepsUp()) this.#sendStatus();
    if (this.#hints.size > 0) this.#followHints();
    this.#handAll();
    this.#tryBarriers();
    this.#ownDuties();
    if (this.#raft.isLeader) this.#leaderDuties();
    this.#renewLease();
    this.#closeFarewells();
    this.#tellStatus();
  }

  #leaseUntil(): number {
    const { self } = this.#options;
    this.#noteLeader();
    if (this.#raft.leader === 0) return Number.NEGATIVE_INFINITY;
    if (!this.#raft.isLeader) {
      const node = this.#names.get(this.#raft.leader);
      return this.#peers.get(node ?? "")?.granted ?? Number.NEGATIVE_INFINITY;
    }
    if (this.#mainApplied < this.#toldIndex) return Number.NEGATIVE_INFINITY;
    const { voters, outgoing } = this.#raft.members;
    let heardByQuorum = Number.POSITIVE_INFINITY;
    for (const group of outgoing.length === 0 ? [voters] : [voters, outgoing]) {
      const heard = group.map((id) =>
        id === self.raftId
          ? this.#leasedAt
          : (this.#peers.get(this.#names.get(id) ?? "")?.heard ?? Number.NEGATIVE_INFINITY),
      );
      heard.sort((a, b) => b - a);
      heardByQuorum = Math.min(
        heardByQuorum,
        heard[Math.floor(heard.length / 2)] ?? Number.NEGATIVE_INFINITY,
      );
    }
    return heardByQuorum + leaseMs - leaseMarginMs;
  }
  #renewLease(): void {
    this.#options.publishLease?.(this.#leaseUntil());
  }

  /** What every node owes: its start, and its word on the epoch. */
  #ownDuties(): void {
    const { self } = this.#options;
    const { cluster } = this.state;
    const own = cluster.members.get(self.uuid);
    if (own === undefined || this.#raft.leader === 0) return;
    if (!this.#bootNoted && (own.boot.count !== self.boot.count || own.boot.nonce !== self.boot.nonce)) {
      this.#bootNoted = true;
      const { count, nonce } = self.boot;
      const boot = { count, nonce };
      this.#submitOwn({ type: "boot", node: self.uuid, boot, version: self.version }, (error) => {
        if (error.condition === "objectNotInPrerequisiteState") this.#fault(error);
        else this.#bootNoted = false;
      });
    }
    this.#tellAddresses(own);
    this.#keeper.tick();
    this.#compareEpochs();
    const latest = cluster.latest;
    if (latest === undefined || this.#mainEpoch !== latest.epoch.number) return;
    const enabled = own.state === "ENABLED";
    const wanted = enabled ? latest.state === "CONVERGING" : own.state !== "REMOVED";
    const given = enabled
      ? cluster.attestations.has(self.uuid)
      : cluster.readyEpochOf(self.uuid) === latest.epoch.number;
    if (!wanted || given || this.#attesting === latest.epoch.number) return;
    const attestation = this.#attestation(latest.epoch.number, enabled);
    if (attestation === undefined) return;
    this.#attesting = latest.epoch.number;
    this.#submitOwn({ type: "attest", attestation }, () => {
      this.#attesting = 0;
    });
  }

  /** CCE-32: most of the others have gone on to an epoch that this node does not have. */
  #compareEpochs(): void {
    const own = this.state.cluster.latest?.epoch.number ?? 0;
    let ahead = 0;
    let enabled = 0;
    for (const member of this.state.cluster.members.values()) {
      if (member.state !== "ENABLED") continue;
      enabled++;
      if (this.#isReachable(member.uuid) && (this.#peers.get(member.uuid)?.epoch ?? 0) > own) ahead++;
    }
    const now = this.#options.clock.monotonic();
    if (ahead * 2 <= enabled) this.#behindSince = undefined;
    else this.#behindSince ??= now;
    const mismatch = this.#behindSince !== undefined && now - this.#behindSince > leaseMs;
    if (mismatch && !this.#epochMismatch)
      this.#options.log.error("EPOCH_MISMATCH: most nodes have a newer epoch", {
        epoch: own,
        ahead,
        enabled,
      });
    this.#epochMismatch = mismatch;
  }

  /** Ports that were left to the system are others after a restart. What an administrator has set stays. */
  #tellAddresses(own: Member): void {
    const told = this.#addresses;
    if (told === undefined || this.#moving || own.state === "REMOVED") return;
    const addresses = {
      control: addressOf(own, told, "control"),
      rpc: addressOf(own, told, "rpc"),
      pg: addressOf(own, told, "pg"),
    };
    this.#addresses = undefined;
    if (
      JSON.stringify(addresses) ===
      JSON.stringify({ control: own.addresses.control, rpc: own.addresses.rpc, pg: own.addresses.pg })
    )
      return;
    this.#moving = true;
    this.#changeByself({ kind: "setAddresses", node: own.uuid, addresses }, (made) => {
      this.#moving = false;
      if (!made) this.#addresses ??= told;
    });
  }

  /** Undefined: not all of the others were seen at the epoch yet. */
  #attestation(epoch: number, enabled: boolean): Attestation | undefined {
    const { self, clock, signer } = this.#options;
    const observations = [];
    for (const member of enabled ? this.state.cluster.members.values() : []) {
      if (member.state !== "ENABLED" || member.uuid === self.uuid) continue;
      const facts = this.#peers.get(member.uuid);
      if (facts === undefined || facts.epoch !== epoch || !this.#isReachable(member.uuid)) return undefined;
      observations.push({
        peer: member.uuid,
        certFingerprint: member.certFingerprint,
        epoch,
        observedAt: Math.floor(facts.lastSeenAt),
        valid: true,
      });
    }
    const content = { node: self.uuid, epoch, activatedAt: Math.floor(clock.now()), observations };
    return { ...content, signature: signer.sign(attestationDigest(content)) };
  }

  #submitOwn(command: ControlCommand, reject: (error: DbError) => void): void {
    const origin = this.#ownOrigin();
    this.#submit(origin, encodeProposal(command, origin), undefined, undefined, reject);
  }

  #changeByself(change: ClusterChange, ended?: (made: boolean) => void): void {
    const name = this.state.cluster.members.get(this.#options.self.uuid)?.name ?? "";
    const submitted = this.#submit(
      this.#ownOrigin(),
      undefined,
      { change, by: `node ${name}` },
      undefined,
      (error) => {
        this.#options.log.warn("a change by the node itself was not made", { change: change.kind, error });
        ended?.(false);
      },
    );
    if (ended !== undefined) submitted.applied = () => ended(true);
  }

  /** Resolves once applied here. */
  #makeChange(change: ClusterChange, by: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#submit(this.#ownOrigin(), undefined, { change, by }, undefined, reject).applied = resolve;
    });
  }
  #makeCommand(command: ControlCommand): Promise<void> {
    const origin = this.#ownOrigin();
    return new Promise((resolve, reject) => {
      const bytes = encodeProposal(command, origin);
      this.#submit(origin, bytes, undefined, undefined, reject).applied = resolve;
    });
  }

  /** Of main. */
  async #askAuthority(ticket: number, request: AuthorityRequest): Promise<void> {
    const { toMain, self, clock } = this.#options;
    const deadline = clock.monotonic() + proposeTimeoutMs;
    for (;;) {
      try {
        const answer: AuthorityAnswer = await this.#keeper.do(request, self.uuid);
        // What was made of it is to be seen here when it is answered.
        await this.#raft.read();
        this.#flush();
        this.#keeper.checkDone(request, answer);
        toMain({ kind: "authorized", ticket, answer });
        return;
      } catch (error) {
        if (!(error instanceof DbError)) throw error;
        // Nothing was done yet, and a leader may be found in time.
        const again = error.condition === "cannotConnectNow" && clock.monotonic() < deadline;
        if (!again || this.#over) {
          toMain({ kind: "notAuthorized", ticket, error: recordOf(error) });
          return;
        }
      }
      await new Promise<void>((resolve) => clock.after(100, resolve));
    }
  }
  /** Of a peer. @throws DbError as `CertificateKeeper.do` */
  async authority(node: string, payload: Uint8Array): Promise<Uint8Array> {
    return json(await this.#keeper.do(readMessage("request to the CA", payload), node));
  }

  /** One change at a time is enough: the next tick looks again. */
  #leaderDuties(): void {
    const { clock, log } = this.#options;
    const { cluster } = this.state;
    this.#alignGroup();
    const now = clock.monotonic();
    const waiting = [...this.#pending.values()].some((one) => one.change?.by.startsWith("node ") === true);
    const latest = cluster.latest;
    if (latest === undefined) return;
    if (latest.state === "CONVERGING") {
      if (cluster.missing().size === 0 && this.#effecting !== latest.epoch.number) {
        this.#effecting = latest.epoch.number;
        const at = Math.floor(clock.now());
        this.#submitOwn({ type: "effective", epoch: latest.epoch.number, at }, () => {
          this.#effecting = 0;
        });
      }
      const limit = durationMs(cluster.setting("epoch.convergence_timeout"));
      if (clock.now() - latest.epoch.publishedAt > limit && this.#overdue !== latest.epoch.number) {
        this.#overdue = latest.epoch.number;
        log.error("CONVERGENCE_TIMEOUT: an epoch is not attested by all nodes", {
          epoch: latest.epoch.number,
          missing: Object.fromEntries(cluster.missing()),
        });
      }
    }
    if (waiting) return;
    const silence = durationMs(cluster.setting("membership.failure_timeout"));
    const grace = durationMs(cluster.setting("membership.removal_grace"));
    for (const uuid of this.#joiningSince.keys())
      if (cluster.members.get(uuid)?.state !== "JOINING") this.#joiningSince.delete(uuid);
    for (const member of cluster.members.values()) {
      const { uuid, state } = member;
      const facts = this.#peers.get(uuid);
      if (state === "JOINING" && this.#isJoinBrokenOff(member)) {
        log.warn("a node that was admitted has not come: it is removed", { member: member.name });
        this.#changeByself({
          kind: "removeMember",
          node: uuid,
          reason: "its join was broken off",
          force: false,
          allowDataLoss: false,
        });
        return;
      }
      if ((state === "JOINING" || state === "FAILED") && this.#isReady(member)) {
        const reason = state === "JOINING" ? "has the log and the epoch" : "is back";
        this.#changeByself({ kind: "moveMember", node: uuid, to: "ENABLED", reason });
        return;
      }
      if (uuid === this.#options.self.uuid) continue;
      const seen = Math.max(facts?.lastSeenMonotonic ?? 0, this.#leaderSince);
      if (state === "ENABLED" && now - seen > silence && uuid !== cluster.home) {
        log.warn("POTENTIAL_FAILURE: a node is silent", { member: member.name, ms: Math.round(now - seen) });
        this.#changeByself({ kind: "moveMember", node: uuid, to: "FAILED", reason: "silent for too long" });
        return;
      }
      if (state === "FAILED" && grace > 0 && clock.now() - member.stateChangedAt > grace) {
        this.#changeByself({
          kind: "removeMember",
          node: uuid,
          reason: "failed for longer than membership.removal_grace",
          force: true,
          allowDataLoss: false,
        });
        return;
      }
    }
  }

  /** It was admitted and never started, for as long as this leader has been waiting for it. */
  #isJoinBrokenOff({ uuid, boot }: Member): boolean {
    const now = this.#options.clock.monotonic();
    const since = this.#joiningSince.get(uuid) ?? now;
    this.#joiningSince.set(uuid, since);
    const heard = this.#peers.get(uuid)?.lastSeenMonotonic ?? Number.NEGATIVE_INFINITY;
    return boot.count === 0 && now - Math.max(since, heard, this.#leaderSince) > joinBrokenOffMs;
  }

  #isReady(member: Member): boolean {
    const { cluster } = this.state;
    if (cluster.readyEpochOf(member.uuid) === undefined) return false;
    // The others went on without it, and it leads all the same: it has everything.
    if (member.uuid === this.#options.self.uuid) return this.#mainEpoch === cluster.latest?.epoch.number;
    const facts = this.#peers.get(member.uuid);
    return (
      facts !== undefined &&
      this.#isReachable(member.uuid) &&
      facts.epoch === cluster.latest?.epoch.number &&
      facts.appliedNow + keptUpEntries >= this.#raft.commitIndex
    );
  }

  /** The Raft group follows the members, one step at a time: as they are once all is applied that an earlier leader had begun. */
  #alignGroup(): void {
    if (this.#changingGroup || this.#losing.length > 0) return;
    if (this.#caughtUpIn !== this.#raft.term) {
      this.#leadSurely().catch((error: unknown) =>
        this.#options.log.debug("the voters cannot be looked at yet", { error }),
      );
      return;
    }
    const target = groupOf(this.state.cluster.members.values());
    const { voters, learners, outgoing } = this.#raft.members;
    if (outgoing.length > 0 || target.voters.length === 0) return;
    // Who is away, or far behind, is asked for its vote once it is there: until then it would count and not answer.
    const late = target.voters.filter((id) => !voters.includes(id) && !this.#keepsUp(id));
    if (late.length > 0) {
      target.voters = target.voters.filter((id) => !late.includes(id));
      target.learners = sorted([...target.learners, ...late]);
    }
    if (target.voters.length === 0) return;
    if (same(voters, target.voters) && same(learners, target.learners)) return;
    this.#changingGroup = true;
    this.#raft.changeMembers(nextGroup({ voters, learners }, target)).then(
      () => {
        this.#changingGroup = false;
        if (this.#raft.isLeader && !this.#over) this.#alignGroup();
      },
      (error: unknown) => {
        this.#changingGroup = false;
        this.#options.log.debug("the voters could not be changed yet", { error });
      },
    );
  }

  #keepsUp(raftId: number): boolean {
    const progress = this.#raft.matchOf(raftId);
    // Not in the group at all yet: it learns first.
    if (progress === undefined) return true;
    return progress.recentlyActive && progress.match + keptUpEntries >= this.#raft.commitIndex;
  }

  // --- joining -----------------------------------------------------------------------------------------------------

  /** A stranger with a token. @throws DbError 28000, 42710, 55000, 57P03, 08P01 */
  async join(payload: Uint8Array): Promise<Uint8Array> {
    const { self, clock, log } = this.#options;
    const asked = readMessage("join request", payload);
    const { cluster } = this.state;
    const token = cluster.tokens.get(asked.token);
    if (token === undefined || !isSecretOf(token, asked.secret) || token.expiresAt < clock.now()) {
      log.warn("a node was not admitted: its join token is not valid", {
        token: asked.token,
        member: asked.name,
      });
      throw new DbError(
        "invalidAuthorizationSpecification",
        "the join token is not known, was used, or has expired",
        { hint: "Make a new one: SELECT create_join_token()." },
      );
    }
    if (asked.again !== undefined) return json(await this.#takeBack(asked, asked.again, token));
    if (cluster.members.has(asked.uuid))
      throw new DbError("duplicateObject", `there is a node ${asked.uuid} already`, {
        hint: "Join with a new data folder.",
      });
    const { uuid, name, requestPem } = asked;
    const issued = await this.#keeper.do({ kind: "admit", requestPem, node: uuid, name }, self.uuid);
    const { certificatePem, authorityPem, certFingerprint, publicKey, certificate } = issued;
    if (!(certificatePem && authorityPem && certFingerprint && publicKey))
      throw new DbError("protocolViolation", "the answer to a request for a certificate holds none");
    const member: NewMember = {
      uuid: asked.uuid,
      name: asked.name,
      certFingerprint,
      publicKey,
      certificate,
      addresses: asked.addresses,
      hostLabel: asked.hostLabel,
      roles: token.roles,
      version: asked.version,
    };
    await this.#makeChange({ kind: "addMember", member, token: token.id }, token.by);
    return json(this.#joined(asked.uuid, certificatePem, authorityPem));
  }
  #joined(node: string, certificatePem: string, authorityPem: string): JoinAnswer {
    const { cluster } = this.state;
    const record = cluster.members.get(node);
    if (record === undefined) throw new DbError("cannotConnectNow", "the member is not applied here yet");
    return {
      certificatePem,
      authorityPem,
      clusterUuid: cluster.clusterUuid,
      clusterName: cluster.clusterName,
      raftId: record.raftId,
      facts: this.#options.joinFacts,
      peers: peersIn(cluster, node),
    };
  }

  /**
   * A member whose certificate nobody takes any more: an administrator's token and the key that the node is known by, both, get it
   * another one. First it is given one, then it has signed for it.
   */
  async #takeBack(asked: JoinRequest, { proofs, given }: Return, token: JoinToken): Promise<JoinAnswer> {
    const { self, pki, log } = this.#options;
    const { cluster } = this.state;
    const { uuid, requestPem } = asked;
    const member = cluster.members.get(uuid);
    if (member === undefined || member.state === "REMOVED")
      throw new DbError(
        "objectNotInPrerequisiteState",
        member === undefined
          ? `there is no node ${uuid} in this cluster`
          : `node ${member.name} was removed from the cluster`,
        { detail: member === undefined ? "NOT_A_MEMBER" : "REMOVED", hint: "Join with a new data folder." },
      );
    const key = Buffer.from(member.publicKey, "base64");
    const signedBy = (digest: Uint8Array, signatures: readonly string[]): string | undefined =>
      signatures.find((one) => pki.verify(key, digest, one));
    if (signedBy(returnDigest(cluster.clusterUuid, uuid, token.id, requestPem), proofs) === undefined) {
      log.warn("a node got no certificate: it has not the key that it is known by", { member: member.name });
      throw new DbError(
        "invalidAuthorizationSpecification",
        `this folder does not hold the key by which node ${member.name} is known`,
        {
          detail: "SIGNATURE_INVALID: nothing was changed.",
          hint: "Remove the node from the cluster, and join with a new data folder.",
        },
      );
    }
    if (given === undefined) {
      const issued = await this.#keeper.do(
        { kind: "issue", requestPem, to: "node", name: uuid, by: token.by },
        self.uuid,
      );
      if (!(issued.certificatePem && issued.authorityPem))
        throw new DbError("protocolViolation", "the answer to a request for a certificate holds none");
      return this.#joined(uuid, issued.certificatePem, issued.authorityPem);
    }
    const { certificatePem, consents } = given;
    const consent =
      signedBy(consentDigest(cluster.clusterUuid, uuid, certificatePem), consents) ?? consents[0];
    if (consent === undefined)
      throw new DbError("protocolViolation", "nobody has signed for the certificate");
    await this.#makeChange(
      { kind: "recertify", node: uuid, certificatePem, consent, token: token.id },
      token.by,
    );
    log.warn("a node that was left behind has a certificate again", { member: member.name, by: token.by });
    return this.#joined(uuid, certificatePem, primaryOf(cluster)!.certificatePem);
  }

  // --- what it looks like ------------------------------------------------------------------------------------------

  #toldMain: { readonly status: ControlStatus; readonly second: number } | undefined;
  #tellStatus(): void {
    if (!this.#opened || this.#over) return;
    const status = this.status();
    // Times of silence change always; they are told with what else has changed, or each second.
    const second = Math.floor(this.#options.clock.monotonic() / 1000);
    if (this.#toldMain?.second === second && isSame(this.#toldMain.status, status)) return;
    this.#toldMain = { status, second };
    const { compactions, elections, replication } = this.#counts;
    this.#options.toMain({
      kind: "status",
      status,
      raft: { compactions, elections: { ...elections }, replication: { ...replication } },
    });
  }

  /** Who decides, as far as this node's log goes. */
  get group(): MemberSet {
    return this.#raft.members;
  }
  /** Proposals, changes and barriers that are not answered. */
  get underWay(): number {
    return this.#pending.size + this.#changes.length + this.#barriers.length;
  }

  status(): ControlStatus {
    const { self, clock, links } = this.#options;
    const raft = this.#raft;
    this.#counts.noteSnapshot(raft.snapshotIndex);
    const own = this.state.cluster.members.get(self.uuid);
    const peers: PeerStatus[] = [];
    for (const member of this.state.cluster.members.values()) {
      if (member.uuid === self.uuid || !isFollowing(member)) continue;
      const facts = this.#peers.get(member.uuid);
      peers.push({
        node: member.uuid,
        connected: links?.isConnected(member.uuid) ?? false,
        lastSeenAt: facts === undefined || facts.lastSeenAt === 0 ? undefined : facts.lastSeenAt,
        epoch: facts?.epoch ?? 0,
        appliedIndex: facts?.appliedNow ?? 0,
        version: facts?.version ?? member.version,
        roundTripMs: links?.roundTripMs(member.uuid),
      });
    }
    return {
      node: self.uuid,
      role: raft.node.isLeader
        ? "leader"
        : raft.node.role === "follower" && (own === undefined || !isVoting(own))
          ? "learner"
          : (raft.node.role as ControlStatus["role"]),
      leader: raft.leader === 0 ? undefined : this.#names.get(raft.leader),
      term: raft.term,
      lastIndex: raft.lastIndex,
      commitIndex: raft.commitIndex,
      appliedIndex: raft.appliedIndex,
      epochMismatch: this.#epochMismatch,
      hasQuorum: raft.leader !== 0 && clock.monotonic() < this.#leaseUntil() + leaseMarginMs,
      leaderChanges: this.#leaderChanges,
      proposalsCommitted: this.#committed,
      proposalsFailed: this.#failed,
      snapshotIndex: raft.snapshotIndex,
      bytesSinceSnapshot: this.#options.storage.bytesSinceSnapshot,
      state: own?.state ?? "JOINING",
      peers,
    };
  }
}

const nobody: ReadonlyMap<string, number> = new Map();
function leavingAt(leaving: ReadonlyMap<string, number>, now: number): ReadonlyMap<string, number> {
  return leaving.size === 0 ? nobody : new Map([...leaving].filter(([, until]) => until > now));
}

/** But for what changes with every message. */
function isSame(a: ControlStatus, b: ControlStatus): boolean {
  for (const key of Object.keys(a) as (keyof ControlStatus)[])
    if (key !== "peers" && a[key] !== b[key]) return false;
  return (
    a.peers.length === b.peers.length &&
    a.peers.every((one, at) => {
      const { node, connected, epoch } = b.peers[at]!;
      return one.node === node && one.connected === connected && one.epoch === epoch;
    })
  );
}

/** The members that `node` is to know. */
function peersIn({ members }: ControlState["cluster"], node: string): FirstPeer[] {
  return [...members.values()]
    .filter((one) => isFollowing(one) && one.uuid !== node)
    .map(({ uuid, addresses, certFingerprint, raftId }) => ({
      uuid,
      address: addresses.control,
      certFingerprint,
      raftId,
    }));
}

function isSamePeer(a: FirstPeer, b: FirstPeer): boolean {
  return a.certFingerprint === b.certFingerprint && a.raftId === b.raftId;
}

function otherTerm(): DbError {
  return new DbError("cannotConnectNow", "this node does not lead the cluster, or does so in another term");
}

/** A proposal for the leader of a term: that term, a trace context or none (length first), then the rest. */
export function inTerm(term: number, trace: string | undefined, body: Uint8Array): Uint8Array {
  const context = Buffer.from(trace ?? "", "latin1");
  return new ByteWriter(body.length + context.length + 9)
    .u64(term)
    .u8(context.length)
    .raw(context)
    .raw(body)
    .take();
}
/** @throws DbError 08P01 */
function readAsked(payload: Uint8Array): {
  readonly term: number;
  readonly trace: string | undefined;
  readonly body: Uint8Array;
} {
  const contextAt = 9;
  const length = payload[contextAt - 1];
  if (length === undefined || (length !== 0 && length !== traceparentLength))
    throw new DbError("protocolViolation", "a proposal without a term or with a malformed trace context");
  const bodyAt = contextAt + length;
  const trace = traceparent(Buffer.from(payload.subarray(contextAt, bodyAt)).toString("latin1"));
  return { term: new ByteReader(payload).u64(), trace, body: payload.subarray(bodyAt) };
}
function traceFields(trace: string | undefined): LogFields {
  return trace === undefined ? {} : { trace_id: traceId(trace) };
}

/** The log has the secret's hash alone; whoever reads it does not know what to show. */
function isSecretOf({ secretHash }: Pick<JoinToken, "secretHash">, secret: string): boolean {
  return timingSafeEqual(Buffer.from(secretHash, "hex"), sha256(Buffer.from(secret)));
}

/** About, in bytes: only a policy's content is ever large. */
function sizeOf(change: ClusterChange): number {
  return change.kind === "policy" ? change.content.length : 512;
}

/** Where a member is reached: what an administrator has set, or what the node itself has found. */
function addressOf(
  own: Member,
  told: { readonly now: Member["addresses"]; readonly before: readonly Member["addresses"][] },
  kind: keyof Member["addresses"],
): string {
  const known = own.addresses[kind];
  // Port 0 is any: nobody can have set it.
  const isOurs = known.endsWith(":0") || told.before.some((one) => one[kind] === known);
  return isOurs ? told.now[kind] : known;
}

/** What an earlier start has left in the log is not what this one has proposed under the same number. */
const keyOf = ({ stream, boot, number }: Origin): string => `${stream} ${boot} ${number}`;

/** Members who do not vote any more once the change is made. */
function votesTakenBy(change: ClusterChange): readonly string[] {
  switch (change.kind) {
    case "removeMember":
      return [change.node];
    case "moveMember":
      return change.to === "DISABLED" ? [change.node] : [];
    case "setRoles":
      return (change.roles & roleBits.VOTER) === 0 ? [change.node] : [];
    case "forceCutover":
      return change.disabling;
    case "cutOver":
    case "emergency":
      return change.leaving ?? [];
    default:
      return [];
  }
}

/** A member as it would be that has no vote now, and would have one. */
function voteGivenBy(change: ClusterChange, members: ReadonlyMap<string, Member>): Member | undefined {
  if (change.kind !== "moveMember" && change.kind !== "setRoles") return undefined;
  const member = members.get(change.node);
  if (member === undefined || isVoting(member)) return undefined;
  const after =
    change.kind === "setRoles" ? { ...member, roles: change.roles } : { ...member, state: change.to };
  return isVoting(after) ? after : undefined;
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((one, at) => one === b[at]);
}

interface Group {
  readonly voters: readonly number[];
  readonly learners: readonly number[];
}

/** One voter more or less at a time needs no joint set; a newcomer learns before it votes (MEM-22). */
function nextGroup(now: Group, target: Group): Group {
  const known = [...now.voters, ...now.learners];
  const newcomers = [...target.voters, ...target.learners].filter((one) => !known.includes(one));
  if (newcomers.length > 0) return { voters: now.voters, learners: sorted([...now.learners, ...newcomers]) };
  const rising = target.voters.find((one) => !now.voters.includes(one));
  if (rising !== undefined)
    return {
      voters: sorted([...now.voters, rising]),
      learners: now.learners.filter((one) => one !== rising),
    };
  const falling = now.voters.find((one) => !target.voters.includes(one));
  if (falling !== undefined) {
    const learners = target.learners.includes(falling) ? sorted([...now.learners, falling]) : now.learners;
    return { voters: now.voters.filter((one) => one !== falling), learners };
  }
  return target;
}

const sorted = (ids: number[]): number[] => ids.sort((a, b) => a - b);

/** For those outside who speak of errors as data. */
export type { ErrorRecord };
