/**
 * A session's transaction: the engine's rows, the catalog draft, table locks and settings, as one.
 *
 * States follow PostgreSQL: `none` between transactions; `implicit` around statements outside a block (one Query
 * message, or everything up to Sync); `block` after BEGIN; `failed` after an error inside a block, until it ends.
 *
 * Invariants: DDL changes only the draft; COMMIT proposes it once, and that entry is the commit point of the rows too
 * (D8): they wait in limbo until it is applied. Storage made for a draft that never commits is dropped; storage that a
 * committed change leaves behind is dropped after the commit.
 */
import { assert, DbError } from "../base/errors.js";
import { isWait } from "../base/wait.js";
import type { AuditHead } from "../cluster/contract.js";
import type { CatalogChange, CatalogDraft, CatalogState, ControlPlane, DraftMark } from "../cluster/index.js";
import type { Isolation, SavepointMark, Transaction } from "../mga/contract.js";
import type { CatalogObject, CatalogReader, ObjectId } from "../model/schema.js";
import type { Clock } from "../platform/index.js";
import { LockHolder, type LockMode, type Shard } from "../shard/index.js";
import type { MaybePromise } from "./contract.js";

export interface TransactionSettings {
  readonly isolation: Isolation;
  readonly readOnly: boolean;
  readonly deferrable: boolean;
}

export interface TransactionHooks {
  /** Settings follow the transaction: SET LOCAL ends with it, SET is undone by a rollback. */
  settingsBegin(): void;
  settingsEnd(committed: boolean): void;
  settingsMark(): unknown;
  settingsRollbackTo(mark: unknown): void;
  /** Portals and cursors that are there now; `portalsRollbackTo` closes those that came later. */
  portalsMark(): unknown;
  portalsRollbackTo(mark: unknown): void;
  /** Advisory locks of the transaction; `advisoryRollbackTo` gives back those that came later. */
  advisoryMark(): unknown;
  advisoryRollbackTo(mark: unknown): void;
  /** Values of the session's defaults for a new transaction. */
  defaults(): TransactionSettings;
  lockTimeoutMs(): number;
  /** Waits, unless the statement is cancelled first. */
  waitFor(ready: Promise<void>): Promise<void>;
  deadlockTimeoutMs(): number;
  /** W3C traceparent of the statement that runs. */
  trace(): string | undefined;
  /** What changes the catalog is told of durably before it is proposed. @throws DbError 58030, 53100: it cannot be */
  auditCatalog(): Promise<AuditHead>;
  /** It was told of, and not done. */
  auditUndone(head: AuditHead, error: unknown): void;
  /** Statements that were told of later than `auditMark` are undone. */
  auditMark(): number;
  auditRollbackTo(mark: number): void;
  /** After the end, whichever: temporary state of the transaction goes. */
  ended(committed: boolean): void;
}

interface SavepointEntry {
  readonly name: string;
  readonly rows: SavepointMark | undefined;
  readonly draft: DraftMark | undefined;
  readonly created: number;
  readonly deferred: number;
  readonly settings: unknown;
  readonly portals: unknown;
  readonly tables: ReadonlyMap<number, number>;
  readonly advisory: unknown;
  readonly audit: number;
}

interface DeferredCheck {
  readonly check: () => void;
  readonly constraintId: ObjectId;
  readonly tableId: ObjectId;
  /** It holds, unless a savepoint is gone back to. */
  done: boolean;
}

interface Difference {
  readonly before: CatalogObject | undefined;
  readonly after: CatalogObject | undefined;
}

export type BlockState = "none" | "implicit" | "block" | "failed";

/** Runs `work` again after each Wait: for statements that are not operators (DDL, utilities). */
export async function retrying<T>(work: () => T): Promise<T> {
  for (;;) {
    try {
      return work();
    } catch (thrown) {
      if (!isWait(thrown)) throw thrown;
      await thrown.ready;
    }
  }
}

export class SessionTransaction {
  #locks: LockHolder;
  state: BlockState = "none";
  /** Microseconds since 2000-01-01: now() of the transaction. */
  startedAt = 0;
  #settings: TransactionSettings | undefined;
  #rows: Transaction | undefined;
  #draft: CatalogDraft | undefined;
  #savepoints: SavepointEntry[] = [];
  /** Storage ids made by this transaction, in order. */
  #created: number[] = [];
  #committing = false;
  /** Checks that wait for COMMIT (deferred constraints), in order. */
  #deferred: DeferredCheck[] = [];

  constructor(
    readonly control: ControlPlane,
    readonly shard: Shard,
    readonly clock: Clock,
    readonly hooks: TransactionHooks,
    readonly pid: number,
  ) {
    this.#locks = new LockHolder(pid, hooks.deadlockTimeoutMs);
  }

  get locks(): LockHolder {
    return this.#locks;
  }

  /** The catalog as this transaction sees it. */
  get catalog(): CatalogState | CatalogDraft {
    return this.#draft ?? this.control.state;
  }
  get reader(): CatalogReader {
    return this.catalog;
  }
  get hasRows(): boolean {
    return this.#rows !== undefined && this.#rows.id !== 0;
  }
  get engineTransaction(): Transaction | undefined {
    return this.#rows;
  }
  get settings(): TransactionSettings {
    this.#settings ??= this.hooks.defaults();
    return this.#settings;
  }
  get savepointDepth(): number {
    return this.#savepoints.length;
  }

  /** SET TRANSACTION: only before the first statement that reads or writes. */
  configure(changes: Partial<TransactionSettings>): void {
    if (
      changes.isolation !== undefined &&
      changes.isolation !== this.settings.isolation &&
      this.#rows !== undefined
    ) {
      throw new DbError(
        "activeSqlTransaction",
        "SET TRANSACTION ISOLATION LEVEL must be called before any query",
      );
    }
    if (changes.readOnly === false && this.settings.readOnly && this.#rows !== undefined) {
      throw new DbError("activeSqlTransaction", "transaction read-write mode must be set before any query");
    }
    this.#settings = { ...this.settings, ...changes };
    if (changes.readOnly !== undefined && this.#rows !== undefined) {
      // Reading on after SET TRANSACTION READ ONLY: the session refuses writes itself.
      this.#settings = { ...this.#settings, readOnly: changes.readOnly };
    }
  }

  begin(state: "implicit" | "block", now: number): void {
    if (this.state === "none") {
      this.startedAt = now;
      this.#settings = undefined;
      this.hooks.settingsBegin();
    }
    this.state = state;
  }

  /** The engine's transaction, begun at the first statement that needs rows. */
  rows(): Transaction {
    assert(this.state !== "none" && this.state !== "failed", "rows are read inside a transaction");
    if (this.#rows === undefined) {
      const { isolation, readOnly, deferrable } = this.settings;
      this.#rows = this.shard.engine.begin({
        isolation,
        readOnly,
        deferrable,
        lockTimeoutMs: this.hooks.lockTimeoutMs(),
        party: this.locks.party,
      });
    }
    this.#rows.options.lockTimeoutMs = this.hooks.lockTimeoutMs();
    return this.#rows;
  }

  /** The draft that this transaction's DDL changes. */
  draft(): CatalogDraft {
    if (this.settings.readOnly) {
      throw new DbError("readOnlySqlTransaction", "cannot execute DDL in a read-only transaction");
    }
    this.#draft ??= this.control.draft();
    return this.#draft;
  }

  storageCreated(storageId: number): void {
    this.#created.push(storageId);
  }

  deferToCommit(check: () => void, constraintId: ObjectId, tableId: ObjectId): void {
    this.#deferred.push({ check, constraintId, tableId, done: false });
  }

  /** Runs now what was put off of the constraints that `due` names: SET CONSTRAINTS IMMEDIATE, and COMMIT for all. */
  async runDeferred(due: (constraintId: ObjectId) => boolean): Promise<void> {
    for (const one of this.#deferred) {
      if (one.done || !due(one.constraintId)) continue;
      // Dropped meanwhile, and what it asked for with it.
      if (this.catalog.get(one.constraintId) !== undefined) await this.#runCheck(one.check);
      one.done = true;
    }
  }
  /** Rows of the table wait to be checked: it must stay as it is until then. */
  hasPendingChecks(tableId: ObjectId): boolean {
    return this.#deferred.some((one) => one.tableId === tableId && !one.done);
  }
  async #runCheck(check: () => void): Promise<void> {
    for (;;) {
      try {
        check();
        return;
      } catch (thrown) {
        if (!isWait(thrown)) throw thrown;
        await this.hooks.waitFor(thrown.ready);
      }
    }
  }

  lock(tableId: number, mode: LockMode, name: string, noWait = false): void {
    this.shard.locks.acquire(this.locks, tableId, mode, noWait ? -1 : this.hooks.lockTimeoutMs(), name);
  }

  // --- savepoints -------------------------------------------------------------------------------------------------

  savepoint(name: string): void {
    const rows = this.rows();
    this.#savepoints.push({
      name,
      rows: this.shard.engine.savepoint(rows, true),
      draft: this.#draft?.mark(),
      created: this.#created.length,
      deferred: this.#deferred.length,
      settings: this.hooks.settingsMark(),
      portals: this.hooks.portalsMark(),
      tables: this.shard.locks.mark(this.locks),
      advisory: this.hooks.advisoryMark(),
      audit: this.hooks.auditMark(),
    });
  }

  #find(name: string): number {
    for (let place = this.#savepoints.length - 1; place >= 0; place--) {
      if (this.#savepoints[place]!.name === name) return place;
    }
    throw new DbError("invalidSavepointSpecification", `savepoint "${name}" does not exist`);
  }

  release(name: string): void {
    this.#savepoints.length = this.#find(name);
  }

  rollbackTo(name: string): void {
    const place = this.#find(name);
    const entry = this.#savepoints[place]!;
    this.#savepoints.length = place + 1;
    this.#undoTo(entry);
    this.state = "block";
  }

  /** What `portalsMark` answered at the newest savepoint. */
  get newestPortals(): unknown {
    return this.#savepoints.at(-1)?.portals;
  }

  #undoTo(entry: SavepointEntry): void {
    // Their snapshots count the transaction's own changes, some of which go now.
    this.hooks.portalsRollbackTo(entry.portals);
    if (this.#rows !== undefined && entry.rows !== undefined)
      this.shard.engine.rollbackTo(this.#rows, entry.rows);
    if (this.#draft !== undefined) {
      if (entry.draft === undefined) this.#draft = undefined;
      else this.#draft.rollbackTo(entry.draft);
    }
    this.#dropStorage(this.#created.splice(entry.created));
    this.#deferred.length = Math.min(this.#deferred.length, entry.deferred);
    // What they have seen may be undone now.
    for (const one of this.#deferred) one.done = false;
    this.hooks.settingsRollbackTo(entry.settings);
    this.hooks.advisoryRollbackTo(entry.advisory);
    this.hooks.auditRollbackTo(entry.audit);
    this.shard.locks.releaseTo(this.locks, entry.tables);
  }

  // --- the end ----------------------------------------------------------------------------------------------------

  /** A failing statement inside a block: until ROLLBACK (TO) nothing else is done. */
  fail(): void {
    if (this.state === "block") this.state = "failed";
  }

  /** Answers without a promise when there was nothing to make durable. */
  commit(): MaybePromise<void> {
    assert(this.state === "implicit" || this.state === "block", "only a live transaction commits");
    if (
      this.#deferred.length > 0 ||
      (this.#draft !== undefined && !this.#draft.isEmpty) ||
      this.#created.length > 0
    ) {
      return this.#commitSlowly();
    }
    const rows = this.#rows;
    let durable: Promise<void> | undefined;
    try {
      durable = rows === undefined ? undefined : this.shard.engine.commit(rows);
    } catch (error) {
      // The journal is full, or the inventory page is not there: nothing has changed, the commit goes on after it.
      if (isWait(error)) return this.#commitSlowly(error.ready);
      // A serializable transaction may find at its end that it cannot be placed among the others.
      this.rollback();
      throw error;
    }
    if (durable === undefined) {
      this.#end(true);
      return;
    }
    this.#committing = true;
    return durable.then(
      () => {
        this.#committing = false;
        this.#end(true);
      },
      (error: unknown) => {
        this.#committing = false;
        this.#end(false);
        throw error;
      },
    );
  }

  async #commitSlowly(after?: Promise<void>): Promise<void> {
    const { store } = this.shard;
    this.#committing = true;
    let audit: AuditHead | undefined;
    try {
      await after;
      await this.runDeferred(() => true);
      const draft = this.#draft;
      if (draft === undefined || draft.isEmpty) {
        await this.#commitRows();
        this.#end(true);
        return;
      }
      const differences = [...draft.differences()];
      this.#requireHere(differences);
      audit = await this.hooks.auditCatalog();
      // With others in the cluster whether an entry is in the log may stay open for long: what it stands for then needs a
      // transaction that can be aborted by another entry, rows or not (C4).
      const mayStayOpen = this.shard.isHere && this.control.isAlone === false;
      if (this.hasRows || mayStayOpen) {
        const rows = this.rows();
        if (rows.id === 0) await retrying(() => this.shard.engine.assignId(rows));
        await this.#commitWithCatalog(rows, draft, differences, audit);
      } else {
        // New storage holds no rows of this transaction, but built indexes must be there when the entry names them.
        if (this.#created.length > 0) await store.durable();
        // It only read: if it cannot be placed among the others it must fail before the entry that commits.
        await this.#commitRows();
        await this.#propose(draft.toCommand(), audit);
      }
      this.#created = [];
      this.#dropReplaced(differences);
      this.#end(true);
    } catch (error) {
      this.#committing = false;
      if (audit !== undefined) this.hooks.auditUndone(audit, error);
      this.rollback();
      throw error;
    } finally {
      this.#committing = false;
    }
  }

  async #commitRows(): Promise<void> {
    const rows = this.#rows;
    if (rows !== undefined) await retrying(() => this.shard.engine.commit(rows));
  }

  /** The entry is the commit point of the rows too: they wait in limbo until it is applied (D8). */
  async #commitWithCatalog(
    rows: Transaction,
    draft: CatalogDraft,
    differences: readonly Difference[],
    audit: AuditHead,
  ): Promise<void> {
    const { engine } = this.shard;
    const transaction = { shard: engine.shard, id: rows.id };
    const created = this.#created;
    await retrying(() => engine.prepare(rows));
    let undone = false;
    try {
      await this.#propose(draft.toCommand(transaction), audit);
    } catch (error) {
      undone = error instanceof DbError && error.condition === "cannotConnectNow";
      throw error;
    } finally {
      // An entry that was handed to nobody never commits.
      const outcome = undone ? false : this.control.state.outcomeOf(transaction.shard, transaction.id);
      if (outcome === undefined) {
        // Its locks go on protecting what it has checked; the session goes on with others.
        const locks = this.#locks;
        this.#locks = new LockHolder(this.pid, this.hooks.deadlockTimeoutMs);
        void this.#resolveLater({ transaction, differences, created, locks });
      } else {
        // What a committed entry names stays, whatever happens to the rest of this.
        if (outcome) this.#created = [];
        await retrying(() => engine.resolve(rows.id, outcome));
        if (!undone) this.control.noteResolved(transaction);
      }
    }
  }

  /**
   * Whether the entry is in the log is not known. The rows stay in limbo, and the locks stay taken; whichever entry is first
   * decides, this one or the one that says "abort" (C4). A node that ends before leaves it to its next start.
   */
  async #resolveLater(open: {
    readonly transaction: { readonly shard: number; readonly id: number };
    readonly differences: readonly Difference[];
    readonly created: readonly number[];
    readonly locks: LockHolder;
  }): Promise<void> {
    const { transaction, differences, created, locks } = open;
    const { engine } = this.shard;
    const { control } = this;
    const outcome = (): boolean | undefined => control.state.outcomeOf(transaction.shard, transaction.id);
    while (outcome() === undefined) {
      try {
        await control.propose({ type: "abort", transaction });
      } catch (error) {
        if (!(error instanceof DbError)) throw error;
        if (error.condition === "cannotConnectNow" || error.condition === "transactionResolutionUnknown") {
          await new Promise<void>((resolve) => this.clock.after(100, resolve));
          continue;
        }
        // The node's part in the cluster is over: nothing is decided here any more.
        const why = "whether the transaction waited for is committed shows after a restart";
        engine.lose(transaction.id, new DbError("ioError", why));
        return;
      }
    }
    const committed = outcome()!;
    await retrying(() => engine.resolve(transaction.id, committed));
    if (committed) this.#dropReplaced(differences);
    else this.#dropStorage(created);
    this.shard.locks.releaseAll(locks);
    control.noteResolved(transaction);
  }

  /** A refusal is an answer; any other failure leaves open whether the entry is in the log. */
  async #propose(command: CatalogChange, audit: AuditHead): Promise<void> {
    try {
      await this.control.propose(command, this.hooks.trace(), audit);
    } catch (error) {
      if (error instanceof DbError) {
        const { condition } = error;
        if (condition === "serializationFailure" || condition === "cannotConnectNow") throw error;
        if (condition === "programLimitExceeded") throw error;
      }
      // What the entry names must be there if it turns out to be committed.
      this.#created = [];
      // The cluster says why nobody knows.
      if (error instanceof DbError && error.condition === "transactionResolutionUnknown") throw error;
      throw new DbError(
        "transactionResolutionUnknown",
        "the catalog log failed while the transaction was being committed",
        { detail: "Whether it is committed shows when the node is started again." },
        error,
      );
    }
  }

  /** Without the shard only what is new can be named: nobody holds a lock on it, and nothing of it is stored yet. */
  #requireHere(differences: readonly Difference[]): void {
    if (this.shard.isHere) return;
    for (const { before } of differences) {
      if (storageOf(before) === undefined) continue;
      throw new DbError("cannotConnectNow", "the node that holds the data is not reachable", {
        detail: "SHARD_UNAVAILABLE: stored objects are changed and dropped where they are.",
        hint: "Try again once that node is up; SHOW CLUSTER NODES tells which are.",
      });
    }
  }

  /** Storage that the committed change no longer names. */
  #dropReplaced(differences: readonly Difference[]): void {
    const replaced: number[] = [];
    for (const { before, after } of differences) {
      const old = storageOf(before);
      if (old !== undefined && storageOf(after) !== old) replaced.push(old);
      if (before?.kind === "table") this.shard.forget(before.id);
    }
    this.#dropStorage(replaced);
  }

  /** Drops storage now, or as soon as the pool has room. What a failing node leaves is dropped at the next open. */
  #dropStorage(storageIds: readonly number[]): void {
    const { engine } = this.shard;
    for (let place = 0; place < storageIds.length; place++) {
      try {
        engine.dropObject(storageIds[place]!);
      } catch (thrown) {
        if (!isWait(thrown)) throw thrown;
        const rest = storageIds.slice(place);
        thrown.ready.then(
          () => this.#dropStorage(rest),
          () => undefined,
        );
        return;
      }
    }
  }

  /** Once a commit is under way it alone ends the transaction. */
  rollback(): void {
    if (this.state === "none" || this.#committing) return;
    const rows = this.#rows;
    try {
      if (rows?.state === "active") this.shard.engine.rollback(rows);
      this.#dropStorage(this.#created);
    } finally {
      // A fenced node drops nothing; whoever waits for this transaction's locks is to learn it by himself.
      this.#end(false);
    }
  }

  #end(committed: boolean): void {
    this.state = "none";
    this.#rows = undefined;
    this.#draft = undefined;
    if (this.#savepoints.length > 0) this.#savepoints = [];
    if (this.#created.length > 0) this.#created = [];
    if (this.#deferred.length > 0) this.#deferred = [];
    this.#settings = undefined;
    this.shard.locks.releaseAll(this.locks);
    this.hooks.settingsEnd(committed);
    this.hooks.ended(committed);
  }
}

export function storageOf(object: CatalogObject | undefined): number | undefined {
  if (object === undefined) return undefined;
  return object.kind === "table" || object.kind === "index" || object.kind === "sequence"
    ? object.storageId
    : undefined;
}
