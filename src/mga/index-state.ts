/**
 * One index of a table, bound to its tree: keys to bytes, unique checks' cursor.
 *
 * Entries name the row, not the version (MGA-40): an entry may lead to a row none of whose versions a reader sees, or
 * sees with another key, so readers compare.
 */

import { type KeyEncoder, keyEncoder } from "../model/codec-key.js";
import type { Value } from "../model/value.js";
import { BTree, keyBytesMax, type TreeCursor } from "../storage/btree.js";
import type { PageStore } from "../storage/contract.js";
import type { IndexSpec } from "./contract.js";

export class IndexState {
  readonly tree: BTree;
  readonly encoder: KeyEncoder;
  readonly cursor: TreeCursor;
  /** The key of the operation at hand, and a second one to compare with. */
  readonly key: Buffer;
  keyLength = 0;
  readonly other: Buffer;
  otherLength = 0;
  readonly dependsOn: readonly number[];
  /** While the index is built: entries to be added after the load, instead of going to the tree. */
  pending: { readonly key: Buffer; readonly row: number }[] | undefined;
  /** Entries whose versions went away while the index was built. */
  readonly lost: { readonly key: Buffer; readonly row: number }[] = [];
  /** Whether the key at hand holds a null (then it is unique unless NULLS NOT DISTINCT). */
  hasNull = false;

  constructor(
    readonly store: PageStore,
    readonly spec: IndexSpec,
    rootPage: number,
  ) {
    this.encoder = encoderOf(store, spec);
    this.tree = new BTree(store, rootPage, spec.storageId, {
      keyLength: this.encoder.fixedLength,
      rowBytes: 6,
    });
    this.cursor = this.tree.cursor();
    const bytes = keyBytesMax(store.pageSize) + 16;
    this.key = Buffer.alloc(bytes);
    this.other = Buffer.alloc(bytes);
    this.dependsOn = spec.dependsOn;
  }

  /** Puts the row's key into `key`; false when a partial index leaves the row out. */
  setKey(row: readonly Value[]): boolean {
    const positions = this.spec.tableColumns;
    if (positions !== undefined) {
      this.hasNull = false;
      for (const position of positions) if (row[position] === null) this.hasNull = true;
      this.keyLength = this.encoder.encodeFrom(row, positions, this.key, 0);
      return true;
    }
    const values = this.spec.key(row);
    if (values === undefined) return false;
    this.hasNull = values.includes(null);
    this.keyLength = this.encoder.encode(values, this.key, 0);
    return true;
  }
  /** The same into `other`. */
  setOther(row: readonly Value[]): boolean {
    const positions = this.spec.tableColumns;
    if (positions !== undefined) {
      this.otherLength = this.encoder.encodeFrom(row, positions, this.other, 0);
      return true;
    }
    const values = this.spec.key(row);
    if (values === undefined) return false;
    this.otherLength = this.encoder.encode(values, this.other, 0);
    return true;
  }
  get keysEqual(): boolean {
    if (this.keyLength !== this.otherLength) return false;
    for (let byte = 0; byte < this.keyLength; byte++) if (this.key[byte] !== this.other[byte]) return false;
    return true;
  }
  otherEquals(key: Uint8Array, length: number): boolean {
    if (length !== this.otherLength) return false;
    for (let byte = 0; byte < length; byte++) if (key[byte] !== this.other[byte]) return false;
    return true;
  }
  /** First half of adding the key at hand for `row`; returns the pages it may allocate. */
  prepareAdd(row: number): number {
    return this.pending === undefined ? this.tree.prepareInsert(this.key, 0, this.keyLength, row) : 0;
  }
  /** Second half: nothing fails. */
  add(row: number): void {
    if (this.pending === undefined) this.tree.insert(this.key, 0, this.keyLength, row);
    else this.pending.push({ key: Buffer.from(this.key.subarray(0, this.keyLength)), row });
  }
  /** Takes an entry out, as an operation of its own. Throws Wait before any change. */
  remove(key: Buffer, row: number): void {
    const { pending, store } = this;
    if (pending !== undefined) {
      this.lost.push({ key, row });
      return;
    }
    store.beginOperation();
    if (!this.tree.prepareRemove(key, 0, key.length, row)) return;
    store.reserve(2);
    this.tree.remove(key, 0, key.length, row);
  }
  readonly #cursors: TreeCursor[] = [];
  /** Cursors hold buffers of a key's length: used again. */
  takeCursor(): TreeCursor {
    return this.#cursors.pop() ?? this.tree.cursor();
  }
  giveCursor(cursor: TreeCursor): void {
    if (this.#cursors.length < 16) this.#cursors.push(cursor);
  }
  dependsOnAny(columns: readonly number[]): boolean {
    for (const column of columns) if (this.dependsOn.includes(column)) return true;
    return false;
  }
}

export function encoderOf(store: PageStore, spec: IndexSpec): KeyEncoder {
  return keyEncoder(spec.columns, { bytesMax: keyBytesMax(store.pageSize), indexName: spec.name });
}
