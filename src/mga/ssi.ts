/**
 * SERIALIZABLE by serializable snapshot isolation (rule P4), per shard, among serializable transactions only.
 *
 * Each remembers what it read: rows, pages once they are many, the table once pages are many; index ranges as key
 * intervals, exact whatever the tree does meanwhile. A write of something another concurrent one has read is a
 * rw-conflict from reader to writer; so is a read of a version that a concurrent one has overwritten. A transaction with
 * a conflict in and a conflict out, whose out-side committed first, may close a cycle: the pivot fails with 40001. A commit
 * counts from its beginning: while its group is on the way to the disk it can fail no more, so the others must.
 *
 * Read marks of committed transactions stay until every transaction that ran beside them is over.
 */
import { DbError } from "../base/errors.js";
import type { TransactionRecord } from "./transaction.js";

const rowsPerPageMax = 16;
const pagesPerTableMax = 256;
const rangesPerIndexMax = 64;

interface Range {
  /** undefined: open. */
  readonly from: Uint8Array | undefined;
  readonly to: Uint8Array | undefined;
}

interface TableReads {
  whole: boolean;
  /** Page to the rows read there; undefined: the whole page. */
  readonly pages: Map<number, Set<number> | undefined>;
}

export class SerializableState {
  readonly inConflicts = new Set<SerializableState>();
  readonly outConflicts = new Set<SerializableState>();
  readonly tables = new Map<number, TableReads>();
  readonly ranges = new Map<number, Range[] | undefined>();
  /** 0 until committed. */
  commitNumber = 0;
  /** Order of the commits' beginnings; 0 before. From then on it can no longer be made to fail, durable or not. */
  closing = 0;
  aborted = false;
  constructor(
    readonly transaction: TransactionRecord,
    /** Its snapshot's commit number. */
    readonly startNumber: number,
  ) {}
  get committed(): boolean {
    return this.commitNumber > 0;
  }
}

function failure(hint = "The transaction might succeed if retried."): DbError {
  return new DbError(
    "serializationFailure",
    "could not serialize access due to read/write dependencies among transactions",
    { hint },
  );
}

export class SerializableTracker {
  /** All that may still conflict: active ones, and committed ones beside an active one. */
  readonly #known = new Set<SerializableState>();
  #active = 0;
  #closings = 0;

  /** Nothing to note for the rest of the engine. */
  get idle(): boolean {
    return this.#active === 0;
  }

  begin(transaction: TransactionRecord, startNumber: number): SerializableState {
    const state = new SerializableState(transaction, startNumber);
    this.#known.add(state);
    this.#active++;
    return state;
  }

  readRow(reader: SerializableState, storageId: number, row: number): void {
    const reads = this.#reads(reader, storageId);
    if (reads.whole) return;
    const page = Math.floor(row / 4096);
    if (!reads.pages.has(page)) {
      if (reads.pages.size >= pagesPerTableMax) {
        this.readTable(reader, storageId);
        return;
      }
      reads.pages.set(page, new Set([row]));
      return;
    }
    const rows = reads.pages.get(page);
    if (rows === undefined) return;
    rows.add(row);
    if (rows.size > rowsPerPageMax) reads.pages.set(page, undefined);
  }
  readTable(reader: SerializableState, storageId: number): void {
    const reads = this.#reads(reader, storageId);
    reads.whole = true;
    reads.pages.clear();
  }
  readRange(
    reader: SerializableState,
    index: number,
    from: Uint8Array | undefined,
    to: Uint8Array | undefined,
  ): void {
    const ranges = reader.ranges.get(index);
    if (ranges === undefined) {
      if (!reader.ranges.has(index)) reader.ranges.set(index, [{ from, to }]);
      return;
    }
    if (ranges.length >= rangesPerIndexMax) reader.ranges.set(index, undefined);
    else ranges.push({ from, to });
  }
  #reads(reader: SerializableState, storageId: number): TableReads {
    let reads = reader.tables.get(storageId);
    if (reads === undefined) {
      reads = { whole: false, pages: new Map() };
      reader.tables.set(storageId, reads);
    }
    return reads;
  }

  /** `writer` changes a row (undefined: a new one) of the table: whoever read it has a conflict. */
  write(writer: SerializableState, storageId: number, row: number | undefined): void {
    for (const other of this.#known) {
      if (other === writer || !this.#concurrent(other, writer)) continue;
      const reads = other.tables.get(storageId);
      if (reads === undefined) continue;
      let hit = reads.whole;
      if (!hit && row !== undefined) {
        const page = Math.floor(row / 4096);
        if (reads.pages.has(page)) {
          const rows = reads.pages.get(page);
          hit = rows === undefined || rows.has(row);
        }
      }
      if (hit) this.#conflict(other, writer, writer);
    }
  }
  /** `writer` adds an index entry. */
  writeKey(writer: SerializableState, index: number, key: Uint8Array, length: number): void {
    for (const other of this.#known) {
      if (other === writer || !this.#concurrent(other, writer) || !other.ranges.has(index)) continue;
      const ranges = other.ranges.get(index);
      const entry = key.subarray(0, length);
      if (ranges === undefined || ranges.some((range) => within(range, entry))) {
        this.#conflict(other, writer, writer);
      }
    }
  }
  /** `reader` passed over a version that `writer` wrote and it does not see. */
  readOver(reader: SerializableState, writer: SerializableState): void {
    if (reader !== writer && this.#concurrent(writer, reader)) this.#conflict(reader, writer, reader);
  }

  #concurrent(a: SerializableState, b: SerializableState): boolean {
    if (a.aborted || b.aborted) return false;
    if (a.committed && a.commitNumber <= b.startNumber) return false;
    return !(b.committed && b.commitNumber <= a.startNumber);
  }

  #conflict(reader: SerializableState, writer: SerializableState, acting: SerializableState): void {
    reader.outConflicts.add(writer);
    writer.inConflicts.add(reader);
    // The writer as pivot: its own out-side committed already.
    for (const out of writer.outConflicts) {
      if (out.aborted || out.closing === 0) continue;
      if (writer.closing > 0 && writer.closing <= out.closing) continue;
      this.#abort(writer.closing > 0 ? reader : writer, acting);
    }
    // The reader as pivot: the writer committed before anybody else of the three.
    if (writer.closing > 0) {
      for (const into of reader.inConflicts) {
        if (into.aborted) continue;
        // Earlier than the writer; the writer itself (a cycle of two) is none.
        if (into.closing > 0 && into.closing < writer.closing) continue;
        this.#abort(reader.closing > 0 ? into : reader, acting);
      }
    }
  }

  #abort(victim: SerializableState, acting: SerializableState): void {
    if (victim === acting) throw failure();
    if (victim.closing > 0 || victim.aborted) throw failure();
    victim.transaction.doomed ??= failure();
  }

  /** Before a commit: the pivots that this one, committing first of their structure, would make unsafe fail. */
  beforeCommit(state: SerializableState): void {
    for (const pivot of state.inConflicts) {
      if (pivot.aborted || pivot.closing > 0 || pivot === state) continue;
      for (const into of pivot.inConflicts) {
        if (into.aborted || into.closing > 0) continue;
        pivot.transaction.doomed ??= failure();
        break;
      }
    }
    state.closing = ++this.#closings;
  }
  committed(state: SerializableState, commitNumber: number): void {
    state.commitNumber = commitNumber;
    this.#active--;
    this.#forget();
  }
  aborted(state: SerializableState): void {
    if (state.aborted || state.committed) return;
    state.aborted = true;
    this.#active--;
    this.#drop(state);
    this.#forget();
  }
  #drop(state: SerializableState): void {
    this.#known.delete(state);
    for (const other of state.inConflicts) other.outConflicts.delete(state);
    for (const other of state.outConflicts) other.inConflicts.delete(state);
  }
  #forget(): void {
    let oldest = Number.POSITIVE_INFINITY;
    for (const state of this.#known) if (!state.committed) oldest = Math.min(oldest, state.startNumber);
    for (const state of this.#known) {
      if (!state.committed || state.commitNumber > oldest) continue;
      // Its conflicts still count for those that ran beside it; its reads no longer do.
      this.#known.delete(state);
      state.tables.clear();
      state.ranges.clear();
    }
  }
}

function within(range: Range, key: Uint8Array): boolean {
  if (range.from !== undefined && Buffer.compare(key, range.from) < 0) return false;
  if (range.to === undefined) return true;
  // Bounds are keys or leading parts of keys: what begins with the upper one is inside.
  const head = key.length > range.to.length ? key.subarray(0, range.to.length) : key;
  return Buffer.compare(head, range.to) <= 0;
}
