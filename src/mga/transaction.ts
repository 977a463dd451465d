/**
 * One transaction: its snapshots, what it changed, and whom it waits for.
 *
 * The undo log lives in memory and serves savepoints, failed statements and readers of earlier own states (cursors, the
 * statement that does the changing). ROLLBACK of the whole transaction does not use it: that is one TIP change (MGA-27).
 *
 * | undo entry | meaning                                                  | extra                        |
 * |------------|----------------------------------------------------------|------------------------------|
 * | insert     | `count` new rows from `row` on, in consecutive slots     | count                        |
 * | change     | first change of another's version; that one is in the chain |                           |
 * | overwrite  | a further change of an own version                       | image of the columns before  |
 * | erase      | an own version deleted                                   |                              |
 *
 * Invariants: `sequence` of a snapshot is the undo length when it was taken: an entry at or behind it is a change that
 * the snapshot does not see. Entries made before a snapshot are never widened after it.
 */
import type { DbError } from "../base/errors.js";
import type { Snapshot, Transaction, TransactionOptions } from "./contract.js";
import type { RowLock, Waiter } from "./locks.js";
import type { SerializableState } from "./ssi.js";
import type { TableState } from "./table-state.js";
import { WaitParty } from "./wait-graph.js";

export const undoKind = { insert: 1, change: 2, overwrite: 3, erase: 4 } as const;

/** A snapshot in the engine's list, oldest first. */
export class HeldSnapshot implements Snapshot {
  previous: HeldSnapshot | undefined;
  next: HeldSnapshot | undefined;
  constructor(
    readonly commitNumber: number,
    readonly self: number,
    readonly selfSequence: number,
    /** Oldest id active when it was taken. */
    readonly oldestActive: number,
    readonly owner: TransactionRecord,
  ) {}
}

/** A key that may have lost its row version: checked once the transaction is over. */
export interface Orphan {
  readonly table: TableState;
  readonly indexStorageId: number;
  readonly key: Uint8Array;
  readonly row: number;
}

/**
 * Arrays of undo entries, lent to a transaction at its first change and given back at its end: most transactions read,
 * or change a few rows, and memory outside the heap for each of them costs more than all else they do.
 */
class UndoArrays {
  readonly kinds: Uint8Array;
  readonly tables: Uint16Array;
  readonly rows: Float64Array;
  readonly extras: Float64Array;
  readonly flags: Uint8Array;
  constructor(size: number) {
    this.kinds = new Uint8Array(size);
    this.tables = new Uint16Array(size);
    this.rows = new Float64Array(size);
    this.extras = new Float64Array(size);
    this.flags = new Uint8Array(size);
  }
}
const noUndo = new UndoArrays(0);
const noBytes: Buffer = Buffer.alloc(0);
const firstUndoEntries = 32;
const firstUndoBytes = 4096;
/** Spare arrays of the first size; larger ones are left to the collector. */
const spareMax = 64;
const spareArrays: UndoArrays[] = [];
const spareBytes: Buffer[] = [];

export class TransactionRecord implements Transaction {
  id = 0;
  state: "active" | "committing" | "limbo" | "committed" | "aborted" = "active";
  /** Own snapshot of REPEATABLE READ and SERIALIZABLE. */
  snapshot: HeldSnapshot | undefined;
  /** Statement snapshots now in use (nested statements stack up). */
  readonly statements: HeldSnapshot[] = [];
  readonly tables: TableState[] = [];

  undoLength = 0;
  #undo = noUndo;
  undoKinds = noUndo.kinds;
  undoTables = noUndo.tables;
  undoRows = noUndo.rows;
  /** insert: rows; overwrite: start of the image in `undoBytes`. */
  undoExtras = noUndo.extras;
  undoFlags = noUndo.flags;
  undoBytes: Buffer = noBytes;
  undoBytesUsed = 0;
  #sealed = 0;

  readonly orphans: Orphan[] = [];
  /** Overflow chains that only undo images name: freed at the end. */
  readonly chains: { readonly table: TableState; readonly page: number }[] = [];
  /** Pages where this transaction left garbage behind: looked at when it is over. */
  garbage: Map<TableState, Set<number>> | undefined;
  /** Row locks and queues that its end has to do with. */
  #locks: Set<RowLock> | undefined;
  get locks(): Set<RowLock> {
    this.#locks ??= new Set();
    return this.#locks;
  }
  get hasLocks(): boolean {
    return this.#locks !== undefined && this.#locks.size > 0;
  }
  /** Row locks taken or made stronger since the first savepoint that gives them back, and what was held before (-1: none). */
  lockLog: { readonly lock: RowLock; readonly before: number }[] | undefined;
  waiter: Waiter | undefined;
  #party: WaitParty | undefined;
  /** In whose name it waits: its session's, else its own. */
  get party(): WaitParty {
    this.#party ??= this.options.party ?? new WaitParty(`Transaction ${this.id}`);
    return this.#party;
  }
  serializable: SerializableState | undefined;
  /** Set when another transaction's check chose this one: its next call fails with it. */
  doomed: DbError | undefined;
  /** Neighbours in the engine's list of writers, in id order. */
  previous: TransactionRecord | undefined;
  following: TransactionRecord | undefined;

  // Where rows changed since `#seenFrom` stand in the undo log; built when a reader asks.
  #seenFrom = -1;
  #seenTo = 0;
  #changes: Map<number, Map<number, number[]>> | undefined;

  constructor(
    readonly options: TransactionOptions,
    readonly startedAt: number,
  ) {}

  get over(): boolean {
    return this.state === "committed" || this.state === "aborted";
  }

  /** Set when the outcome shows only after a restart: it never ends here, and nobody may wait for it. */
  lost: DbError | undefined;
  #ended: Promise<void> | undefined;
  #tellEnded: (() => void) | undefined;
  #tellLost: ((error: DbError) => void) | undefined;
  /** Resolves when the transaction is over; rejects when its outcome is lost. */
  ended(): Promise<void> {
    if (this.lost !== undefined) return Promise.reject(this.lost);
    this.#ended ??= new Promise((resolve, reject) => {
      this.#tellEnded = resolve;
      this.#tellLost = reject;
      if (this.over) resolve();
    });
    return this.#ended;
  }
  tellEnded(): void {
    this.#tellEnded?.();
  }
  lose(error: DbError): void {
    this.lost = error;
    this.#tellLost?.(error);
  }

  tableIndex(table: TableState): number {
    const found = this.tables.lastIndexOf(table);
    if (found >= 0) return found;
    this.tables.push(table);
    return this.tables.length - 1;
  }

  seal(): void {
    this.#sealed = this.undoLength;
  }

  #entry(kind: number, table: TableState, row: number, extra: number, flags: number): void {
    const at = this.undoLength;
    if (at === this.undoKinds.length) this.#growUndo();
    this.undoKinds[at] = kind;
    this.undoTables[at] = this.tableIndex(table);
    this.undoRows[at] = row;
    this.undoExtras[at] = extra;
    this.undoFlags[at] = flags;
    this.undoLength = at + 1;
  }

  #growUndo(): void {
    const before = this.#undo;
    const size = before.kinds.length;
    let next: UndoArrays;
    if (size === 0) next = spareArrays.pop() ?? new UndoArrays(firstUndoEntries);
    else {
      next = new UndoArrays(size * 2);
      next.kinds.set(before.kinds);
      next.tables.set(before.tables);
      next.rows.set(before.rows);
      next.extras.set(before.extras);
      next.flags.set(before.flags);
    }
    this.#useUndo(next);
  }
  #useUndo(arrays: UndoArrays): void {
    this.#undo = arrays;
    this.undoKinds = arrays.kinds;
    this.undoTables = arrays.tables;
    this.undoRows = arrays.rows;
    this.undoExtras = arrays.extras;
    this.undoFlags = arrays.flags;
  }

  noteInsert(table: TableState, row: number, count = 1): void {
    const last = this.undoLength - 1;
    if (
      last >= this.#sealed &&
      last >= 0 &&
      this.undoKinds[last] === undoKind.insert &&
      this.undoRows[last]! + this.undoExtras[last]! === row &&
      this.tables[this.undoTables[last]!] === table &&
      last >= this.#seenTo
    ) {
      this.undoExtras[last] = this.undoExtras[last]! + count;
      return;
    }
    this.#entry(undoKind.insert, table, row, count, 0);
  }
  /** `flags`: the row's flags before. */
  noteChange(table: TableState, row: number, flags: number): void {
    this.#entry(undoKind.change, table, row, 0, flags);
  }
  noteErase(table: TableState, row: number, flags: number): void {
    this.#entry(undoKind.erase, table, row, 0, flags);
  }
  noteOverwrite(table: TableState, row: number, flags: number, image: Uint8Array, length: number): void {
    const needed = this.undoBytesUsed + length + 4;
    if (needed > this.undoBytes.length) {
      const size = Math.max(needed, this.undoBytes.length * 2, firstUndoBytes);
      const larger = (size === firstUndoBytes ? spareBytes.pop() : undefined) ?? Buffer.alloc(size);
      larger.set(this.undoBytes.subarray(0, this.undoBytesUsed));
      this.undoBytes = larger;
    }
    this.undoBytes.writeUInt32LE(length, this.undoBytesUsed);
    this.undoBytes.set(image.subarray(0, length), this.undoBytesUsed + 4);
    this.#entry(undoKind.overwrite, table, row, this.undoBytesUsed, flags);
    this.undoBytesUsed = needed;
  }
  /** Whether going back in the undo log may restore an own version of the row that is not its newest any more. */
  mayBringBack(table: TableState, row: number): boolean {
    for (let at = this.undoLength - 1; at >= 0; at--) {
      const kind = this.undoKinds[at]!;
      if ((kind === undoKind.erase || kind === undoKind.overwrite) && this.undoRows[at] === row)
        if (this.tables[this.undoTables[at]!] === table) return true;
    }
    return false;
  }
  /** Drops the last entry. */
  popUndo(): void {
    this.undoLength--;
    if (this.undoKinds[this.undoLength] === undoKind.overwrite) {
      this.undoBytesUsed = this.undoExtras[this.undoLength]!;
    }
    if (this.undoLength < this.#seenTo) this.#forgetSeen();
    if (this.#sealed > this.undoLength) this.#sealed = this.undoLength;
  }
  #forgetSeen(): void {
    this.#seenFrom = -1;
    this.#seenTo = 0;
    this.#changes = undefined;
  }

  /**
   * Positions in the undo log, ascending, of changes of `row` at or behind `sequence`; undefined when there are none.
   */
  changesSince(table: TableState, row: number, sequence: number): number[] | undefined {
    if (sequence >= this.undoLength) return undefined;
    if (this.#seenFrom < 0 || sequence < this.#seenFrom) {
      this.#forgetSeen();
      this.#seenFrom = sequence;
      this.#seenTo = sequence;
    }
    this.#changes ??= new Map();
    const changes = this.#changes;
    for (; this.#seenTo < this.undoLength; this.#seenTo++) {
      const at = this.#seenTo;
      const index = this.undoTables[at]!;
      let rows = changes.get(index);
      if (rows === undefined) {
        rows = new Map();
        changes.set(index, rows);
      }
      // Ranges of inserted rows stand under each row of theirs: the reader comes by row.
      const count = this.undoKinds[at] === undoKind.insert ? this.undoExtras[at]! : 1;
      for (let offset = 0; offset < count; offset++) {
        const key = this.undoRows[at]! + offset;
        const list = rows.get(key);
        if (list === undefined) rows.set(key, [at]);
        else list.push(at);
      }
    }
    const list = changes.get(this.tables.lastIndexOf(table))?.get(row);
    if (list === undefined) return undefined;
    if (list[0]! >= sequence) return list;
    const later = list.filter((at) => at >= sequence);
    return later.length === 0 ? undefined : later;
  }

  /** Memory that the end frees at once. */
  dropUndo(): void {
    if (this.#undo.kinds.length === firstUndoEntries && spareArrays.length < spareMax) {
      spareArrays.push(this.#undo);
    }
    if (this.undoBytes.length === firstUndoBytes && spareBytes.length < spareMax) {
      spareBytes.push(this.undoBytes);
    }
    this.undoLength = 0;
    this.#sealed = 0;
    this.#useUndo(noUndo);
    this.undoBytes = noBytes;
    this.undoBytesUsed = 0;
    this.#forgetSeen();
  }
}
