/**
 * The control plane on this node: the consensus log and the state applied from it.
 *
 * A DDL transaction builds a `CatalogDraft`, and `commit` proposes it once; that entry is the commit point (D8), also
 * for rows the transaction wrote. Everybody else reads `state`.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { DbError } from "../base/errors.js";
import type { CatalogObject, VirtualTableDesc } from "../model/schema.js";
import { firstUserObjectId } from "../model/schema.js";
import type { Disk } from "../platform/index.js";
import { type ConsensusLog, openLocalLog } from "./consensus.js";
import { type ApplyResult, CatalogDraft, CatalogState, type Command, IdSource } from "./state.js";

export type { ConsensusLog } from "./consensus.js";
export { openLocalLog } from "./consensus.js";
export type { ApplyResult, CatalogChange, Command, DraftMark } from "./state.js";
export { CatalogDraft, CatalogState, IdSource } from "./state.js";

/** A snapshot is worth its cost once the entries since the last one are larger than this. */
const snapshotAfterBytes = 8 * 1024 * 1024;

export interface ControlPlaneOptions {
  readonly disk: Disk;
  readonly hash: XXHashAPI;
  readonly virtuals: Iterable<VirtualTableDesc>;
}

export class ControlPlane {
  readonly state: CatalogState;
  readonly ids: IdSource;
  readonly #log: ConsensusLog;
  readonly #results = new Map<number, ApplyResult>();
  #proposing = 0;
  /** Called when an entry has been applied, before its proposer goes on: the entry is durable. */
  onApplied: ((index: number) => void) | undefined;

  constructor(options: ControlPlaneOptions) {
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
        this.onApplied?.(index);
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

  /** Resolves once applied; rejects with the refusal (40001) or the log's failure. */
  async propose(command: Command): Promise<void> {
    this.#proposing++;
    let result: ApplyResult | undefined;
    try {
      const index = await this.#log.propose(encodeCommand(command));
      result = this.#results.get(index);
      this.#results.delete(index);
    } finally {
      this.#proposing--;
    }
    if (result?.error !== undefined) throw result.error;
    if (this.#log.bytesSinceSnapshot > snapshotAfterBytes) this.#log.saveSnapshot(this.state.save());
  }

  readonly #resolved: { readonly shard: number; readonly id: number }[] = [];

  /** A shard has written a decided transaction's end; its outcome is dropped from the state after a while. */
  noteResolved(transaction: { readonly shard: number; readonly id: number }): void {
    this.#resolved.push(transaction);
  }
  /** Drops the outcomes of what is resolved; call it when the shards' ends of these transactions are durable. */
  async forgetResolved(): Promise<void> {
    if (this.#resolved.length === 0) return;
    await this.propose({ type: "resolved", transactions: this.#resolved.splice(0) });
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
