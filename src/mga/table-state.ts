/**
 * What all uses of one table's storage share: its pages, row locks, where the next row goes, and how a reader finds
 * the version that his snapshot sees.
 *
 * A row is a chain, newest first: the bytes in its data page, then records that each hold what the version in front of
 * it changed (deltas). `resolve` walks it once and leaves in `records` the deltas to lay over the newest bytes.
 *
 * Invariants: a chain never holds a version of an aborted transaction behind its head (it is backed out before anybody
 * writes over it), nor two versions of one transaction (the second change overwrites), nor a stub behind its head.
 */
import { DbError } from "../base/errors.js";
import { type PageStore, PageType } from "../storage/contract.js";
import { formatOf, type PageFormat, RowImage, rowFlag } from "../storage/heap.js";
import { TableSpace } from "../storage/table-space.js";
import type { Snapshot } from "./contract.js";
import type { IndexState } from "./index-state.js";
import { type Inventory, prehistoric } from "./inventory.js";
import type { RowLock } from "./locks.js";
import type { EngineTable } from "./table.js";
import type { TransactionRecord } from "./transaction.js";
import { undoKind } from "./transaction.js";

/** Where the version that a snapshot sees is. */
export const Place = {
  /** No version, or a deleted one. */
  absent: 0,
  /** The newest, in the data page. */
  newest: 1,
  /** Behind it: `records[0..recordCount)` laid over the newest, in order. */
  older: 2,
  /** An earlier own image: undo images `ownChanges`, the first laid over last. */
  own: 3,
} as const;

const chainWarn = 100_000;

export class TableState {
  readonly locks = new Map<number, RowLock>();
  readonly space: TableSpace;
  /** Indexes under construction: every writer maintains them, whatever its catalog says. */
  readonly building: IndexState[] = [];

  // Where rows go.
  insertPage = 0;
  /** Pages with free slots, newest last. */
  readonly roomy: number[] = [];
  readonly roomySet = new Set<number>();
  /** Average heap bytes of a row: half the last page, half what was before (page-prototype, policy 1). */
  averageBytes = -1;
  updates = 0;
  relayouts = 0;
  /** Pages known to hold something to collect. */
  dropped = false;
  /** The newest description of the table in use: collection computes index keys with it. */
  view: EngineTable | undefined;

  // The result of `resolve`.
  readonly records: number[] = [];
  readonly recordPages: number[] = [];
  recordCount = 0;
  ownChanges: number[] | undefined;
  ownTransaction: TransactionRecord | undefined;

  // Reused images: one operation runs at a time.
  readonly image = new RowImage();
  readonly delta = new RowImage();
  readonly extension = new RowImage();

  constructor(
    readonly store: PageStore,
    readonly inventory: Inventory,
    readonly transactionOf: (id: number) => TransactionRecord | undefined,
    readonly storageId: number,
    readonly root: number,
  ) {
    this.space = new TableSpace(store, storageId, root);
  }

  get name(): string {
    return this.tableName;
  }
  tableName = "";

  pageAddress(page: number): number {
    return this.store.page(page, PageType.data);
  }
  formatAt(address: number): PageFormat {
    const id = formatOf(this.store.pool.u16, address);
    const format = this.space.formats[id];
    if (format === undefined)
      throw new DbError("dataCorrupted", `table "${this.tableName}": unknown page format ${id}`);
    return format;
  }

  writerOf(format: PageFormat, address: number, slot: number): number {
    const delta = format.writerDelta(address, slot);
    return delta === 0 ? 0 : format.writerBase(address) + delta;
  }

  /** Chain head behind an extension record, if there is one: sets `headPage`, `headSlot`. */
  headPage = 0;
  headSlot = 0;
  chainHead(format: PageFormat, address: number, slot: number, flags: number): void {
    this.headPage = format.backPage(address, slot);
    this.headSlot = format.backSlot(address, slot);
    if ((flags & rowFlag.extension) !== 0) {
      const record = this.space.record(this.headPage, this.headSlot);
      this.headPage = this.space.recordBackPage(record);
      this.headSlot = this.space.recordBackSlot(record);
    }
    if ((flags & rowFlag.chain) === 0) this.headPage = 0;
  }

  /** Which version of the row the snapshot sees. Throws Wait. */
  resolve(snapshot: Snapshot, format: PageFormat, address: number, slot: number, row: number): number {
    const flags = format.flags(address, slot);
    if ((flags & rowFlag.free) !== 0) return Place.absent;
    this.recordCount = 0;
    const delta = format.writerDelta(address, slot);
    if (delta === 0) return (flags & rowFlag.stub) !== 0 ? Place.absent : Place.newest;
    const writer = format.writerBase(address) + delta;
    if (writer === snapshot.self) {
      const transaction = this.transactionOf(writer);
      const changes = transaction?.changesSince(this, row, snapshot.selfSequence);
      if (changes === undefined) return (flags & rowFlag.stub) !== 0 ? Place.absent : Place.newest;
      const first = changes[0]!;
      const kind = transaction!.undoKinds[first];
      if (kind === undoKind.insert) return Place.absent;
      if (kind !== undoKind.change) {
        if ((transaction!.undoFlags[first]! & rowFlag.stub) !== 0) return Place.absent;
        this.ownChanges = changes;
        this.ownTransaction = transaction;
        return Place.own;
      }
    } else if (this.inventory.outcome(writer) <= snapshot.commitNumber) {
      return (flags & rowFlag.stub) !== 0 ? Place.absent : Place.newest;
    }
    if ((flags & rowFlag.chain) === 0) return Place.absent;
    this.chainHead(format, address, slot, flags);
    return this.#walk(snapshot.commitNumber);
  }

  #walk(commitNumber: number): number {
    let page = this.headPage;
    let slot = this.headSlot;
    while (page !== 0) {
      const record = this.space.record(page, slot);
      this.#push(page, record);
      if (this.outcome(this.space.recordWriter(record)) <= commitNumber) return Place.older;
      page = this.space.recordBackPage(record);
      slot = this.space.recordBackSlot(record);
    }
    return Place.absent;
  }

  #push(page: number, record: number): void {
    if (this.recordCount > chainWarn) {
      throw new DbError("dataCorrupted", `table "${this.tableName}": a version chain does not end`);
    }
    this.records[this.recordCount] = record;
    this.recordPages[this.recordCount] = page;
    this.recordCount++;
  }

  /** Reads the whole chain into `records`. */
  walkAll(format: PageFormat, address: number, slot: number): void {
    this.recordCount = 0;
    this.chainHead(format, address, slot, format.flags(address, slot));
    let page = this.headPage;
    let at = this.headSlot;
    while (page !== 0) {
      const record = this.space.record(page, at);
      this.#push(page, record);
      page = this.space.recordBackPage(record);
      at = this.space.recordBackSlot(record);
    }
  }

  outcome(writer: number): number {
    return writer === 0 ? prehistoric : this.inventory.outcome(writer);
  }

  noteRoomy(page: number): void {
    if (this.roomySet.has(page) || page === this.insertPage) return;
    this.roomySet.add(page);
    this.roomy.push(page);
  }

  /** Heap bytes to expect of the next row. */
  expectedBytes(format: PageFormat): number {
    return this.averageBytes >= 0 ? this.averageBytes : 32 * format.variable.length;
  }
  /** A page is full: learn from it. */
  learn(format: PageFormat, address: number): void {
    const rows = format.rows(address) - format.holes(address);
    if (rows <= 0) return;
    const average = format.heapUsed(address) / rows;
    this.averageBytes = this.averageBytes < 0 ? average : (this.averageBytes + average) / 2;
  }
  fill(): number {
    let compactions = 0;
    for (const format of this.space.formats) compactions += format.compactions;
    return this.updates > 1000 && compactions * 20 > this.updates ? 0.9 : 0.95;
  }
}
