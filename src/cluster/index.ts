/**
 * The control plane as the rest of a node sees it: the applied state, and proposals to change it.
 *
 * A DDL transaction builds a `CatalogDraft`, and `propose` hands it in once; its entry is the commit point (D8), also for
 * rows the transaction wrote. Who decides about entries is the control actor at the other end of the channel; here they are
 * applied to this thread's own copy (C2).
 *
 * Invariants: an entry that is applied is never reported as failed, whatever goes wrong behind it. A proposal is answered
 * when storage has durably noted that it saw the entry, and when every node has applied it or was silent for a lease (C5).
 * Storage of what another node has created is there before the entry is applied.
 */
import { hash as hashWith } from "node:crypto";
import { assert, DbError } from "../base/errors.js";
import type { CatalogObject, VirtualTableDesc } from "../model/schema.js";
import { uuidFromBytes } from "../model/uuid.js";
import type { Clock, Random } from "../platform/index.js";
import type { AuditState } from "./audit-state.js";
import { primaryOf } from "./certificates.js";
import type { ControlChannel, FromControl, LogEntry } from "./channel.js";
import { type ClusterState, errorOf } from "./cluster-state.js";
import type {
  AuditHead,
  ClusterAdmin,
  ClusterChange,
  ClusterView,
  ControlStatus,
  DraftAction,
  Member,
  NoteAuditCheckpoint,
  Origin,
  Pki,
} from "./contract.js";
import type { AuthorityAnswer, AuthorityRequest } from "./control-messages.js";
import { ControlState, decodeProposal, encodeProposal } from "./control-state.js";
import { RaftCounts, type RaftNumbers } from "./raft-counts.js";
import type { TransactionsResolved } from "./state.js";
import { type CatalogChange, CatalogDraft, type CatalogState, type Command, IdSource } from "./state.js";

export { type AuditState, checkpointDigest } from "./audit-state.js";
export {
  type CaService,
  type CertificateStore,
  certificateKey,
  certificateKinds,
  certificatesOf,
  consentDigest,
  crlValidMs,
  type FreshCertificate,
  fingerprintOfPem,
  isFaultOfMember,
  leftBehind,
  overlapEnd,
  overlapMaxMs,
  primaryOf,
  returnDigest,
  serverNamesOf,
} from "./certificates.js";
export type { ControlChannel, FromControl, ToControl } from "./channel.js";
export { type ChurnHour, type ChurnTotals, ChurnWindow, leaveReasons } from "./churn.js";
export { ClusterState, errorOf, recordOf } from "./cluster-state.js";
export type { ConsensusLog } from "./consensus.js";
export { openLocalLog } from "./consensus.js";
export {
  ControlActor,
  type ControlActorOptions,
  type ControlLinks,
  messageKind,
  method,
} from "./control-actor.js";
export {
  type AuthorityAnswer,
  type AuthorityRequest,
  type JoinAnswer,
  type JoinRequest,
  type Return,
  readMessage,
  returnKeysMax,
} from "./control-messages.js";
export { ControlState } from "./control-state.js";
export { brokenLink, convergence, epochStates, packVersion, versionText } from "./epochs.js";
export {
  isVoting,
  type Member,
  memberStates,
  quorumOf,
  roleBits,
  roleNames,
  roleOf,
  rolesFrom,
  servesClients,
  stabilityScore,
} from "./membership.js";
export { RaftCounts, type RaftNumbers } from "./raft-counts.js";
export {
  type BundleProblem,
  bundleDigest,
  bundleHash,
  canonicalBundle,
  descriptionMax,
  encodeBundle,
  enforcedSets,
  firstBundle,
  ruleSets,
  signBundle,
  unenforcedIn,
} from "./security-bundle.js";
export { settingDef } from "./settings.js";
export type { ApplyResult, CatalogChange, Command, DraftMark } from "./state.js";
export { CatalogDraft, CatalogState, IdSource } from "./state.js";

/** Storage behind the catalog: follows what other nodes have made of it. */
export interface CatalogFollower {
  /** Makes the storage of objects that the change creates; it is refused by nobody any more. */
  before(change: CatalogChange): Promise<void>;
  /** Drops what it has dropped. `before` and `after` of each object. */
  after(
    differences: readonly { before: CatalogObject | undefined; after: CatalogObject | undefined }[],
  ): void;
  /** Makes the storage of what a snapshot names, before it replaces everything. */
  replaced(catalog: CatalogState): Promise<void>;
}

export interface ControlPlaneOptions {
  readonly channel: ControlChannel;
  readonly virtuals: Iterable<VirtualTableDesc>;
  readonly pki: Pki;
  readonly clock: Clock;
  readonly random: Random;
  readonly self: { readonly uuid: string; readonly raftId: number; readonly boot: number };
  /** Told what went wrong beside an entry that is applied all the same. */
  readonly onTrouble?: ((what: string, error: unknown) => void) | undefined;
  /** The control port is bound. */
  readonly onStatus?: ((status: ControlStatus) => void) | undefined;
  readonly onPeerRefused?: ((refusal: FromControl & { readonly kind: "peerRefused" }) => void) | undefined;
  readonly onListening?: ((port: number) => void) | undefined;
  /** Members, settings or trust have changed. */
  readonly onCluster?: ((cluster: ClusterState) => void) | undefined;
}

type ShardTransaction = TransactionsResolved["transactions"][number];

interface Waiting {
  readonly resolve: (index: number) => void;
  readonly reject: (error: DbError) => void;
}

export class ControlPlane implements ClusterAdmin {
  readonly ids: IdSource;
  readonly #state: ControlState;
  readonly #options: ControlPlaneOptions;
  /** Proposals by number, and questions by ticket, that are not answered. */
  readonly #waiting = new Map<number, Waiting>();
  readonly #tickets = new Map<number, { resolve: () => void; reject: (error: DbError) => void }>();
  /** What whoever keeps the CA's key is asked for. */
  readonly #asked = new Map<
    number,
    { resolve: (answer: AuthorityAnswer) => void; reject: (error: DbError) => void }
  >();
  #nextNumber = 0;
  #nextTicket = 0;
  #queue: LogEntry[] = [];
  /** What the worker says of the entry that is being applied. */
  #signaturesHold = false;
  #restoring: { index: number; state: Uint8Array } | undefined;
  #working = false;
  #appliedIndex = 0;
  #clusterVersion = -1;
  #status: ControlStatus | undefined;
  #raftNumbers: RaftNumbers | undefined;
  #opened: Waiting | undefined;
  #watchers: (() => void)[] = [];
  #over: DbError | undefined;
  #stopped: (() => void) | undefined;
  #fail: (error: DbError) => void = () => {};
  /** Resolves when it is over with this node's part in the cluster. */
  readonly failed: Promise<DbError>;
  /** Resolves when storage has made durable that it saw the entry; awaited before its proposer goes on. */
  noteDurably: ((index: number) => Promise<void>) | undefined;
  follower: CatalogFollower | undefined;
  /** Decided transactions whose end their shard has written, and those of them whose end is known to be durable. */
  #ended: ShardTransaction[] = [];
  #endedDurably: ShardTransaction[] = [];

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    this.#state = new ControlState(options.virtuals, {
      ...options.pki,
      verify: (key, digest, signature) => this.#signaturesHold || options.pki.verify(key, digest, signature),
    });
    this.ids = new IdSource(this.#state.catalog, () =>
      this.cluster.members.size > 1 ? options.self.raftId : undefined,
    );
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    options.channel.onMessage((message) => this.#receive(message));
  }

  get state(): CatalogState {
    return this.#state.catalog;
  }
  get view(): ClusterView {
    return this.#state.cluster;
  }
  get audit(): AuditState {
    return this.#state.audit;
  }
  get cluster(): ClusterState {
    return this.#state.cluster;
  }
  get status(): ControlStatus {
    return this.#status ?? unknownStatus(this.#options.self.uuid);
  }
  /** Counted in the control worker, for metrics. */
  get raftNumbers(): RaftNumbers {
    return this.#raftNumbers ?? new RaftCounts(0, 0);
  }
  /** Proposals and questions that are not answered, and entries that wait to be applied. */
  get underWay(): number {
    return this.#waiting.size + this.#tickets.size + this.#queue.length;
  }
  /** No other node belongs to the cluster: what the log has is decided. */
  get isAlone(): boolean {
    let others = 0;
    for (const member of this.cluster.members.values()) if (member.state !== "REMOVED") others++;
    return others <= 1;
  }
  /** Nothing was ever put into the catalog. */
  get isNew(): boolean {
    return this.state.version === 0;
  }
  /** Entries up to this one are applied. */
  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  draft(): CatalogDraft {
    return new CatalogDraft(this.state, this.ids);
  }

  // --- opening and ending ------------------------------------------------------------------------------------------

  /**
   * Resolves once everything is applied that is known to be committed, at least up to `seen`.
   * @throws DbError XX001 when the log does not reach that far
   */
  async open(seen: number): Promise<void> {
    if (this.#over !== undefined) throw this.#over;
    const opened = new Promise<number>((resolve, reject) => {
      this.#opened = { resolve, reject };
    });
    this.#options.channel.send({ kind: "open", seen });
    await opened;
    await this.#until(() => this.#hasAppliedAll);
  }

  /** Resolves once the condition holds behind some entry, or some change of status. */
  async until(condition: () => boolean): Promise<void> {
    await this.#until(condition);
  }
  #until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (this.#over !== undefined) reject(this.#over);
        else if (condition()) resolve();
        else this.#watchers.push(look);
      };
      look();
    });
  }
  #wake(): void {
    if (this.#watchers.length === 0) return;
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const look of watchers) look();
  }

  /** Tells the cluster where this node is reached, in place of what it had said `before`. */
  announce(addresses: Member["addresses"], before: readonly Member["addresses"][]): void {
    this.#options.channel.send({ kind: "addresses", addresses, before });
  }

  async close(): Promise<void> {
    if (this.#over !== undefined) return;
    const stopped = new Promise<void>((resolve) => {
      this.#stopped = resolve;
    });
    this.#options.channel.send({ kind: "stop" });
    await stopped;
    this.#end(new DbError("adminShutdown", "the node is stopping"));
  }

  #end(error: DbError): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    // The control actor has answered what it could: of the rest it may have applied some.
    const unknown = new DbError(
      "transactionResolutionUnknown",
      "it is not known whether the change was made: the node has ended",
      { hint: "Look before you try again." },
      error,
    );
    for (const { reject } of this.#waiting.values()) reject(unknown);
    this.#waiting.clear();
    for (const { reject } of this.#tickets.values()) reject(error);
    this.#tickets.clear();
    for (const { reject } of this.#asked.values()) reject(unknown);
    this.#asked.clear();
    this.#stopped?.();
    this.#opened?.reject(error);
    this.#wake();
  }

  // --- entries -----------------------------------------------------------------------------------------------------

  #receive(message: FromControl): void {
    switch (message.kind) {
      case "apply":
        if (this.#queue.length === 0) this.#queue = [...message.entries];
        else this.#queue.push(...message.entries);
        this.#work();
        return;
      case "restore":
        this.#queue = [];
        this.#restoring = message;
        this.#work();
        return;
      case "listening":
        this.#options.onListening?.(message.port);
        return;
      case "peerRefused":
        this.#options.onPeerRefused?.(message);
        return;
      case "opened": {
        const opened = this.#opened;
        this.#opened = undefined;
        opened?.resolve(message.lastIndex);
        return;
      }
      case "refused": {
        const waiting = this.#waiting.get(message.number);
        this.#waiting.delete(message.number);
        waiting?.reject(errorOf(message.error));
        return;
      }
      case "passed": {
        const ticket = this.#tickets.get(message.ticket);
        this.#tickets.delete(message.ticket);
        ticket?.resolve();
        return;
      }
      case "authorized":
      case "notAuthorized": {
        const asked = this.#asked.get(message.ticket);
        this.#asked.delete(message.ticket);
        if (message.kind === "authorized") asked?.resolve(message.answer);
        else asked?.reject(errorOf(message.error));
        return;
      }
      case "status":
        this.#status = message.status;
        this.#raftNumbers = message.raft;
        this.#options.onStatus?.(message.status);
        this.#wake();
        return;
      case "fault": {
        const error = errorOf(message.error);
        this.#end(error);
        this.#fail(error);
        return;
      }
      case "stopped":
        this.#stopped?.();
        return;
    }
  }

  /** Applies what has come. Synchronous unless storage has to follow somebody else's change. */
  #work(): void {
    if (this.#working) return;
    if (this.#restoring !== undefined) {
      this.#working = true;
      void this.#restore(this.#restoring);
      return;
    }
    const queue = this.#queue;
    let at = 0;
    for (; at < queue.length; at++) {
      const { index, data, signaturesHold } = queue[at]!;
      this.#signaturesHold = signaturesHold;
      const { command, origin, audit } = decodeProposal(data);
      if (this.#mustFollow(command, origin)) {
        this.#queue = queue.slice(at + 1);
        this.#working = true;
        void this.#applyFollowed(command as CatalogChange, origin, audit, index);
        break;
      }
      this.#settle(this.#state.applyCommand(command, origin, audit), index);
    }
    if (at === queue.length) this.#queue = [];
    this.#applied();
  }

  #isOwn(origin: Origin | undefined): boolean {
    const { raftId, boot } = this.#options.self;
    return origin !== undefined && origin.stream === raftId * 2 && origin.boot === boot;
  }

  #mustFollow(command: { readonly type: string }, origin: Origin | undefined): boolean {
    return this.follower !== undefined && command.type === "catalog" && !this.#isOwn(origin);
  }

  async #applyFollowed(
    change: CatalogChange,
    origin: Origin | undefined,
    audit: AuditHead | undefined,
    index: number,
  ): Promise<void> {
    const { follower } = this;
    assert(follower !== undefined, "somebody follows");
    try {
      // A second copy, or one of an earlier start, does nothing at all.
      const isNew = origin === undefined || !this.#state.knows(origin);
      if (isNew && this.state.refusal(change) === undefined) await follower.before(change);
      const differences = [...change.puts.map((after) => ({ before: this.#object(after.id), after }))];
      const dropped = change.deletes.map((id) => ({ before: this.#object(id), after: undefined }));
      const outcomes = this.#state.applyCommand(change, origin, audit);
      this.#settle(outcomes, index);
      if (outcomes.some(({ error }) => error === undefined)) follower.after([...differences, ...dropped]);
    } catch (error) {
      this.#cannotFollow(error);
      return;
    }
    this.#working = false;
    this.#work();
  }

  /** The catalog and its storage differ from here on: only a new start brings them together. */
  #cannotFollow(error: unknown): void {
    const fault = new DbError("ioError", "storage could not follow a change of the catalog", {}, error);
    this.#end(fault);
    this.#fail(fault);
  }

  /** Runs between two entries: none is applied meanwhile. */
  async exclusively(run: () => Promise<void>): Promise<void> {
    await this.#until(() => !this.#working);
    this.#working = true;
    try {
      await run();
    } finally {
      this.#working = false;
      this.#work();
    }
  }

  #object(id: number): CatalogObject | undefined {
    const object = this.state.get(id);
    return object === undefined || object.kind === "virtual" ? undefined : object;
  }

  /** Storage of what is new is there before the catalog names it, as with single entries. */
  async #restore({ index, state }: { index: number; state: Uint8Array }): Promise<void> {
    this.#restoring = undefined;
    try {
      if (this.follower !== undefined) {
        const next = new ControlState(this.#options.virtuals, this.#options.pki);
        next.restore(state);
        await this.follower.replaced(next.catalog);
      }
      const before = [...this.state.objects()];
      this.#state.restore(state);
      this.#appliedIndex = index;
      this.follower?.after(before.map((object) => ({ before: object, after: this.#object(object.id) })));
    } catch (error) {
      this.#cannotFollow(error);
      return;
    }
    // What of ours is in the snapshot was decided, but a snapshot does not say how: it may have been refused.
    for (const [number, { reject }] of this.#waiting) {
      if (!this.#state.knows(this.#originOf(number))) continue;
      this.#waiting.delete(number);
      reject(
        new DbError(
          "transactionResolutionUnknown",
          "it is not known whether the change was made: the node was given a snapshot in place of its entry",
          { hint: "Look before you try again." },
        ),
      );
    }
    this.#working = false;
    this.#applied();
    this.#work();
  }

  #settle(
    outcomes: readonly { origin: Origin | undefined; error: DbError | undefined }[],
    index: number,
  ): void {
    this.#appliedIndex = index;
    for (const { origin, error } of outcomes) {
      if (!this.#isOwn(origin)) continue;
      const waiting = this.#waiting.get(origin!.number);
      this.#waiting.delete(origin!.number);
      if (error === undefined) waiting?.resolve(index);
      else waiting?.reject(error);
    }
  }

  #applied(): void {
    const epoch = this.cluster.latest?.epoch.number ?? 0;
    this.#options.channel.send({ kind: "applied", index: this.#appliedIndex, epoch });
    if (this.cluster.version !== this.#clusterVersion) {
      this.#clusterVersion = this.cluster.version;
      this.#options.onCluster?.(this.cluster);
    }
    this.#wake();
  }

  // --- proposals ---------------------------------------------------------------------------------------------------

  #handIn(send: (number: number) => void): Promise<number> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    return new Promise((resolve, reject) => {
      const number = ++this.#nextNumber;
      this.#waiting.set(number, { resolve, reject });
      send(number);
    });
  }

  #originOf(number: number): Origin {
    const { raftId, boot } = this.#options.self;
    return { stream: raftId * 2, boot, number };
  }

  /**
   * Resolves once applied, noted, and seen by the other nodes. @throws DbError 40001 (refused when applied), 57P03 (nothing was
   * changed), 08007 (not known)
   */
  async propose(command: Command | NoteAuditCheckpoint, trace?: string, audit?: AuditHead): Promise<void> {
    const complete = this.#withResolved(command);
    const index = await this.#handIn((number) => {
      const bytes = encodeProposal(complete, this.#originOf(number), audit);
      this.#options.channel.send({ kind: "propose", number, command: bytes, trace });
    });
    await this.#note(index);
    if (command.type === "catalog") await this.#everywhere(index);
  }

  async change(change: ClusterChange, by: string, trace?: string, audit?: AuditHead): Promise<void> {
    const index = await this.#handIn((number) =>
      this.#options.channel.send({ kind: "change", number, change, by, trace, audit }),
    );
    await this.#everywhere(index);
  }

  /** @throws DbError 55000 (nobody keeps the key), and what the request deserves; 08007: the node has ended meanwhile */
  authority(request: AuthorityRequest): Promise<AuthorityAnswer> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    return new Promise((resolve, reject) => {
      const ticket = ++this.#nextTicket;
      this.#asked.set(ticket, { resolve, reject });
      this.#options.channel.send({ kind: "authority", ticket, request });
    });
  }
  async draftBundle(action: DraftAction, by: string, audit?: AuditHead): Promise<void> {
    const at = Math.floor(this.#options.clock.now());
    const index = await this.#handIn((number) => {
      const command = { type: "bundleDraft", by, at, action } as const;
      this.#options.channel.send({
        kind: "propose",
        number,
        command: encodeProposal(command, this.#originOf(number), audit),
      });
    });
    await this.#everywhere(index);
  }

  /** Tells the worker by which certificates main's connections stand, and how many certificates of members main has refused. */
  noteSeen(own: string, certificates: ReadonlyMap<string, string | undefined>, refused: number): void {
    this.#options.channel.send({ kind: "seen", own, certificates, refused });
  }

  async createJoinToken(options: Parameters<ClusterAdmin["createJoinToken"]>[0]): Promise<string> {
    const { random, clock } = this.#options;
    const secret = new Uint8Array(24);
    random.fill(secret);
    const idBytes = new Uint8Array(16);
    random.fill(idBytes);
    const id = uuidFromBytes(idBytes);
    const secretText = Buffer.from(secret).toString("base64url");
    const at = Math.floor(clock.now());
    const token = {
      id,
      secretHash: secretHashOf(secretText),
      expiresAt: at + options.ttlMs,
      by: options.by,
      roles: options.roles,
    };
    const index = await this.#handIn((number) => {
      const bytes = encodeProposal({ type: "token", token, at }, this.#originOf(number), options.audit);
      this.#options.channel.send({ kind: "propose", number, command: bytes });
    });
    await this.#everywhere(index);
    return encodeToken({
      cluster: this.cluster.clusterUuid,
      authority: primaryOf(this.cluster)!.fingerprint,
      id,
      secret: secretText,
    });
  }

  /** Rule C5. Alone there is nobody to wait for. @throws DbError 08007: the node has ended before it knew */
  async #everywhere(index: number): Promise<void> {
    if (this.isAlone) return;
    try {
      if (this.#over !== undefined) throw this.#over;
      await this.#ask((ticket) => this.#options.channel.send({ kind: "barrier", ticket, index }));
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      throw new DbError(
        "transactionResolutionUnknown",
        "the change was made, and it is not known whether every node has it: the node has ended",
        { hint: "Look before you try again." },
        error,
      );
    }
  }

  /** Resolves once everything is applied here that was committed when it was asked; false: nobody leads. */
  async catchUp(): Promise<void> {
    if (this.#over !== undefined) throw this.#over;
    await this.#ask((ticket) => this.#options.channel.send({ kind: "catchUp", ticket }));
    await this.#until(() => this.#hasAppliedAll);
  }
  get #hasAppliedAll(): boolean {
    return !this.#working && this.#queue.length === 0 && this.#restoring === undefined;
  }

  #ask(send: (ticket: number) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const ticket = ++this.#nextTicket;
      this.#tickets.set(ticket, { resolve, reject });
      send(ticket);
    });
  }

  async #note(index: number): Promise<void> {
    if (this.noteDurably === undefined) return;
    const ended = this.#ended;
    this.#ended = [];
    try {
      await this.noteDurably(index);
      this.#endedDurably.push(...ended);
    } catch (error) {
      // The entry is in the log, and that decides; storage that can note nothing any more has fenced itself.
      this.#ended.push(...ended);
      this.#options.onTrouble?.("storage could not note a catalog entry", error);
    }
  }

  /** A shard has written a decided transaction's end; the next entries drop its outcome, once that end is durable. */
  noteResolved(transaction: ShardTransaction): void {
    this.#ended.push(transaction);
  }
  #withResolved<C extends Command | NoteAuditCheckpoint>(command: C): C {
    if (command.type !== "catalog" || this.#endedDurably.length === 0) return command;
    return { ...command, resolved: this.#endedDurably.splice(0) };
  }
  /** Drops the outcomes of all that is resolved; call it when the shards' ends of these transactions are durable. */
  async forgetResolved(): Promise<void> {
    const transactions = [...this.#endedDurably.splice(0), ...this.#ended.splice(0)];
    if (transactions.length > 0) await this.propose({ type: "resolved", transactions });
  }

  /** The first catalog of a new cluster: its schemas, the first role and database. */
  async bootstrap(objects: readonly CatalogObject[]): Promise<void> {
    if (!this.isNew) throw new DbError("objectNotInPrerequisiteState", "the catalog is not empty");
    const draft = this.draft();
    for (const object of objects) draft.put(object);
    await this.propose(draft.toCommand());
  }
}

function unknownStatus(node: string): ControlStatus {
  return {
    node,
    role: "follower",
    leader: undefined,
    term: 0,
    lastIndex: 0,
    commitIndex: 0,
    appliedIndex: 0,
    hasQuorum: false,
    epochMismatch: false,
    leaderChanges: 0,
    proposalsCommitted: 0,
    proposalsFailed: 0,
    snapshotIndex: 0,
    bytesSinceSnapshot: 0,
    state: "JOINING",
    peers: [],
  };
}

// --- join tokens -----------------------------------------------------------------------------------------------------

/** What a newcomer is told: which cluster, how to know it, and what to show. */
export interface TokenText {
  readonly cluster: string;
  /** SHA-256 of the CA certificate, hexadecimal. */
  readonly authority: string;
  readonly id: string;
  readonly secret: string;
}

const tokenPrefix = "sbjoin1.";

export function encodeToken({ cluster, authority, id, secret }: TokenText): string {
  return `${tokenPrefix}${Buffer.from(JSON.stringify([cluster, authority, id, secret])).toString("base64url")}`;
}

/** @throws DbError invalidParameterValue (22023) */
export function decodeToken(text: string): TokenText {
  const wrong = new DbError(
    "invalidParameterValue",
    "the join token is not complete or not one of ScratchBird",
    {
      hint: "Copy all of what SELECT create_join_token() or scratchbird token has printed.",
    },
  );
  if (!text.startsWith(tokenPrefix)) throw wrong;
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(text.slice(tokenPrefix.length), "base64url").toString());
  } catch {
    throw wrong;
  }
  if (!Array.isArray(parts) || parts.length !== 4 || !parts.every((part) => typeof part === "string"))
    throw wrong;
  const [cluster, authority, id, secret] = parts as [string, string, string, string];
  return { cluster, authority, id, secret };
}

/** SHA-256, hexadecimal: what the cluster keeps of a token's secret. */
export function secretHashOf(secret: string): string {
  return hashWith("sha256", secret, "hex");
}
