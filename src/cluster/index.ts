/**
 * The control plane on this node: the consensus log and the state applied from it.
 *
 * A DDL transaction builds a `CatalogDraft`, and `commit` proposes it once; that entry is the commit point (D8), also
 * for rows the transaction wrote. Everybody else reads `state`.
 *
 * Invariants: an entry that is applied is never reported as failed, whatever goes wrong behind it (snapshot, note). A
 * proposal is answered when storage has durably noted that it saw the entry: a log that was damaged or cut behind an
 * answered entry is known for it at the next open, and never taken for a torn one.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { DbError } from "../base/errors.js";
import type { CatalogObject, VirtualTableDesc } from "../model/schema.js";
import { firstUserObjectId } from "../model/schema.js";
import type { Disk } from "../platform/index.js";
import { type ConsensusLog, openLocalLog } from "./consensus.js";
import {
  type ApplyResult,
  CatalogDraft,
  CatalogState,
  type Command,
  IdSource,
  type TransactionsResolved,
} from "./state.js";

export type { ConsensusLog } from "./consensus.js";
export { openLocalLog } from "./consensus.js";
export type { ApplyResult, CatalogChange, Command, DraftMark } from "./state.js";
export { CatalogDraft, CatalogState, IdSource } from "./state.js";

/** A snapshot is worth its cost once the entries since the last one are larger than this. */
const snapshotAfterBytes = 8 * 1024 * 1024;
/** One that failed (a full disk) is tried again after so many further bytes. */
const snapshotRetryBytes = 1024 * 1024;

export interface ControlPlaneOptions {
  readonly disk: Disk;
  readonly hash: XXHashAPI;
  readonly virtuals: Iterable<VirtualTableDesc>;
  readonly snapshotAfterBytes?: number | undefined;
  /** Told what went wrong beside an entry that is applied all the same. */
  readonly onTrouble?: ((what: string, error: unknown) => void) | undefined;
}

type ShardTransaction = TransactionsResolved["transactions"][number];

export class ControlPlane {
  readonly state: CatalogState;
  readonly ids: IdSource;
  readonly #log: ConsensusLog;
  readonly #results = new Map<number, ApplyResult>();
  readonly #snapshotAfterBytes: number;
  readonly #onTrouble: ((what: string, error: unknown) => void) | undefined;
  #snapshotAt: number;
  #proposing = 0;
  /** Resolves when storage has made durable that it saw the entry; awaited before its proposer goes on. */
  noteDurably: ((index: number) => Promise<void>) | undefined;
  /** Decided transactions whose end their shard has written, and those of them whose end is known to be durable. */
  #ended: ShardTransaction[] = [];
  #endedDurably: ShardTransaction[] = [];

  constructor(options: ControlPlaneOptions) {
    this.#snapshotAfterBytes = options.snapshotAfterBytes ?? snapshotAfterBytes;
    this.#snapshotAt = this.#snapshotAfterBytes;
    this.#onTrouble = options.onTrouble;
    this.state = new CatalogState(options.virtuals, firstUserObjectId);
    this.ids = new IdSource(this.state);
    this.#log = openLocalLog({
      disk: options.disk,
      hash: options.hash,
      folder: "raft",
      restore: (bytes) => this.state.restore(bytes),
      apply: (bytes, index) => {
        const result = this.state.apply(decodeCommand(bytes));
        if (this.#proposing > 0) this.#results.set(index, result);
      },
    });
  }

  get isNew(): boolean {
    return this.#log.appliedIndex === 0;
  }

  /** Entries up to this one are applied. */
  get appliedIndex(): number {
    return this.#log.appliedIndex;
  }

  draft(): CatalogDraft {
    return new CatalogDraft(this.state, this.ids);
  }

  /** Resolves once applied and noted; rejects with the refusal (40001) or the log's failure. */
  async propose(command: Command): Promise<void> {
    this.#proposing++;
    let index: number;
    let result: ApplyResult | undefined;
    try {
      index = await this.#log.propose(encodeCommand(this.#withResolved(command)));
      result = this.#results.get(index);
      this.#results.delete(index);
    } finally {
      this.#proposing--;
    }
    await this.#note(index);
    this.#saveSometimes();
    if (result?.error !== undefined) throw result.error;
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
      this.#onTrouble?.("storage could not note a catalog entry", error);
    }
  }

  #saveSometimes(): void {
    if (this.#log.bytesSinceSnapshot <= this.#snapshotAt) return;
    try {
      this.#log.saveSnapshot(this.state.save());
      this.#snapshotAt = this.#snapshotAfterBytes;
    } catch (error) {
      this.#snapshotAt = this.#log.bytesSinceSnapshot + snapshotRetryBytes;
      this.#onTrouble?.("the catalog snapshot could not be written", error);
    }
  }

  /** A shard has written a decided transaction's end; the next entries drop its outcome, once that end is durable. */
  noteResolved(transaction: ShardTransaction): void {
    this.#ended.push(transaction);
  }
  #withResolved(command: Command): Command {
    if (command.type !== "catalog" || this.#endedDurably.length === 0) return command;
    return { ...command, resolved: this.#endedDurably.splice(0) };
  }
  /** Drops the outcomes of all that is resolved; call it when the shards' ends of these transactions are durable. */
  async forgetResolved(): Promise<void> {
    const transactions = [...this.#endedDurably.splice(0), ...this.#ended.splice(0)];
    if (transactions.length > 0) await this.propose({ type: "resolved", transactions });
  }

  /** The first entry of a new cluster: its schemas, the first role and database. */
  async bootstrap(objects: readonly CatalogObject[]): Promise<void> {
    if (!this.isNew) throw new DbError("objectNotInPrerequisiteState", "the catalog is not empty");
    const draft = this.draft();
    for (const object of objects) draft.put(object);
    await this.propose(draft.toCommand());
  }

  close(): void {
    this.#log.close();
  }
}

function encodeCommand(command: Command): Uint8Array {
  return Buffer.from(JSON.stringify(command));
}

function decodeCommand(bytes: Uint8Array): Command {
  return JSON.parse(Buffer.from(bytes).toString()) as Command;
}
