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

export class TransactionRecord implements Transaction {
  id = 0;
  state: "active" | "committing" | "limbo" | "committed" | "aborted" = "active";
  /** Own snapshot of REPEATABLE READ and SERIALIZABLE. */
  snapshot: HeldSnapshot | undefined;
  /** Statement snapshots now in use (nested statements stack up). */
  readonly statements: HeldSnapshot[] = [];
  readonly tables: TableState[] = [];

  undoLength = 0;
  undoKinds = new Uint8Array(16);
  undoTables = new Uint16Array(16);
  undoRows = new Float64Array(16);
  /** insert: rows; overwrite: start of the image in `undoBytes`. */
  undoExtras = new Float64Array(16);
  undoFlags = new Uint8Array(16);
  undoBytes: Buffer = Buffer.alloc(0);
  undoBytesUsed = 0;
  #sealed = 0;

  readonly orphans: Orphan[] = [];
  /** Overflow chains that only undo images name: freed at the end. */
  readonly chains: { readonly table: TableState; readonly page: number }[] = [];
  /** Pages where this transaction left garbage behind: looked at when it is over. */
  readonly garbage = new Map<TableState, Set<number>>();
  readonly locks = new Set<RowLock>();
  waiter: Waiter | undefined;
  serializable: SerializableState | undefined;
  /** Set when another transaction's check chose this one: its next call fails with it. */
  doomed: DbError | undefined;
  /** Neighbours in the engine's list of writers, in id order. */
  previous: TransactionRecord | undefined;
  following: TransactionRecord | undefined;

  // Where rows changed since `#seenFrom` stand in the undo log; built when a reader asks.
  #seenFrom = -1;
  #seenTo = 0;
  readonly #changes = new Map<number, Map<number, number[]>>();

  constructor(
    readonly options: TransactionOptions,
    readonly startedAt: number,
  ) {}

  get over(): boolean {
    return this.state === "committed" || this.state === "aborted";
  }

  #ended: Promise<void> | undefined;
  #tellEnded: (() => void) | undefined;
  /** Resolves when the transaction is over. */
  ended(): Promise<void> {
    this.#ended ??= new Promise((resolve) => {
      this.#tellEnded = resolve;
      if (this.over) resolve();
    });
    return this.#ended;
  }
  tellEnded(): void {
    this.#tellEnded?.();
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
    if (at === this.undoKinds.length) {
      const size = at * 2;
      const kinds = new Uint8Array(size);
      kinds.set(this.undoKinds);
      this.undoKinds = kinds;
      const tables = new Uint16Array(size);
      tables.set(this.undoTables);
      this.undoTables = tables;
      const rows = new Float64Array(size);
      rows.set(this.undoRows);
      this.undoRows = rows;
      const extras = new Float64Array(size);
      extras.set(this.undoExtras);
      this.undoExtras = extras;
      const undoFlags = new Uint8Array(size);
      undoFlags.set(this.undoFlags);
      this.undoFlags = undoFlags;
    }
    this.undoKinds[at] = kind;
    this.undoTables[at] = this.tableIndex(table);
    this.undoRows[at] = row;
    this.undoExtras[at] = extra;
    this.undoFlags[at] = flags;
    this.undoLength = at + 1;
  }

  noteInsert(table: TableState, row: number): void {
    const last = this.undoLength - 1;
    if (
      last >= this.#sealed &&
      last >= 0 &&
      this.undoKinds[last] === undoKind.insert &&
      this.undoRows[last]! + this.undoExtras[last]! === row &&
      this.tables[this.undoTables[last]!] === table &&
      last >= this.#seenTo
    ) {
      this.undoExtras[last] = this.undoExtras[last]! + 1;
      return;
    }
    this.#entry(undoKind.insert, table, row, 1, 0);
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
      const larger = Buffer.alloc(Math.max(needed, this.undoBytes.length * 2, 4096));
      larger.set(this.undoBytes.subarray(0, this.undoBytesUsed));
      this.undoBytes = larger;
    }
    this.undoBytes.writeUInt32LE(length, this.undoBytesUsed);
    this.undoBytes.set(image.subarray(0, length), this.undoBytesUsed + 4);
    this.#entry(undoKind.overwrite, table, row, this.undoBytesUsed, flags);
    this.undoBytesUsed = needed;
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
    this.#changes.clear();
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
    for (; this.#seenTo < this.undoLength; this.#seenTo++) {
      const at = this.#seenTo;
      const index = this.undoTables[at]!;
      let rows = this.#changes.get(index);
      if (rows === undefined) {
        rows = new Map();
        this.#changes.set(index, rows);
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
    const list = this.#changes.get(this.tables.lastIndexOf(table))?.get(row);
    if (list === undefined) return undefined;
    if (list[0]! >= sequence) return list;
    const later = list.filter((at) => at >= sequence);
    return later.length === 0 ? undefined : later;
  }

  /** Memory that the end frees at once. */
  dropUndo(): void {
    this.undoLength = 0;
    this.undoBytes = Buffer.alloc(0);
    this.undoBytesUsed = 0;
    this.#forgetSeen();
  }
}
