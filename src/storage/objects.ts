/**
 * The storage objects of a shard (tables, indexes, sequences): storage id, kind and root page, kept as fixed-size
 * entries in a chain of `objects` pages that stay in the pool, and in a map made from them at open.
 *
 * Invariant: the map says exactly what the pages say; a slot is reused only by a later create.
 */
import { assert, DbError } from "../base/errors.js";
import { PageType } from "./contract.js";
import { FixedPage, ObjectEntry, ObjectsHead, pageBodyStart, readNumber, writeNumber } from "./layouts.js";
import type { ShardStore } from "./pager.js";

interface StorageObject {
  readonly storageId: number;
  readonly kind: number;
  rootPage: number;
  /** Address of the entry in its pinned page. */
  readonly at: number;
}

const entriesStart = pageBodyStart + ObjectsHead.size;

export class ObjectDirectory {
  readonly #store: ShardStore;
  readonly #byId = new Map<number, StorageObject>();
  readonly #pages: number[] = [];
  #freeEntries: number[] = [];
  readonly #perPage: number;

  constructor(store: ShardStore) {
    this.#store = store;
    this.#perPage = Math.floor((store.pageSize - entriesStart) / ObjectEntry.size);
  }

  load(): void {
    const view = this.#store.pool.view;
    const seen = new Set<number>();
    for (let page: number = FixedPage.objects; ; ) {
      if (seen.has(page)) throw this.#store.corrupted(page, "is in a cycle of objects pages");
      seen.add(page);
      const address = this.#store.pinned(page, PageType.objects);
      this.#addPage(address);
      const next = readNumber(view, address + pageBodyStart + ObjectsHead.next);
      if (next === 0) break;
      page = next;
    }
    // Lower slots first.
    this.#freeEntries.reverse();
  }

  #addPage(address: number): void {
    const view = this.#store.pool.view;
    this.#pages.push(address);
    for (let index = 0; index < this.#perPage; index++) {
      const at = address + entriesStart + index * ObjectEntry.size;
      if (view.getUint32(at + ObjectEntry.used, true) !== 1) {
        this.#freeEntries.push(at);
        continue;
      }
      const storageId = readNumber(view, at + ObjectEntry.storageId);
      const kind = view.getUint32(at + ObjectEntry.kind, true);
      const rootPage = readNumber(view, at + ObjectEntry.rootPage);
      this.#byId.set(storageId, { storageId, kind, rootPage, at });
    }
  }

  create(storageId: number, kind: number, rootPage: number): void {
    assert(Number.isSafeInteger(storageId) && storageId > 0, "a storage id is a positive integer");
    if (this.#byId.has(storageId)) {
      throw new DbError("duplicateObject", `storage object ${storageId} already exists`);
    }
    if (this.#freeEntries.length === 0) this.#extend();
    const at = this.#freeEntries.pop()!;
    const view = this.#store.pool.view;
    writeNumber(view, at + ObjectEntry.storageId, storageId);
    writeNumber(view, at + ObjectEntry.rootPage, rootPage);
    view.setUint32(at + ObjectEntry.kind, kind, true);
    view.setUint32(at + ObjectEntry.used, 1, true);
    this.#store.changed(at, 0, ObjectEntry.size);
    this.#byId.set(storageId, { storageId, kind, rootPage, at });
  }

  #extend(): void {
    const page = this.#store.allocate(PageType.objects, 0);
    const address = this.#store.pinned(page, PageType.objects);
    const last = this.#pages[this.#pages.length - 1]!;
    const at = last + pageBodyStart + ObjectsHead.next;
    writeNumber(this.#store.pool.view, at, page);
    this.#store.changed(at, 0, 8);
    this.#addPage(address);
    this.#freeEntries.reverse();
  }

  drop(storageId: number): void {
    const object = this.#byId.get(storageId);
    if (object === undefined)
      throw new DbError("undefinedObject", `storage object ${storageId} does not exist`);
    this.#store.pool.u8.fill(0, object.at, object.at + ObjectEntry.size);
    this.#store.changed(object.at, 0, ObjectEntry.size);
    this.#byId.delete(storageId);
    this.#freeEntries.push(object.at);
  }

  root(storageId: number): number | undefined {
    return this.#byId.get(storageId)?.rootPage;
  }

  setRoot(storageId: number, rootPage: number): void {
    const object = this.#byId.get(storageId);
    if (object === undefined)
      throw new DbError("undefinedObject", `storage object ${storageId} does not exist`);
    object.rootPage = rootPage;
    writeNumber(this.#store.pool.view, object.at + ObjectEntry.rootPage, rootPage);
    this.#store.changed(object.at, ObjectEntry.rootPage, 8);
  }

  values(): IterableIterator<StorageObject> {
    return this.#byId.values();
  }

  /** Page numbers of the directory, for verify. */
  *pageNumbers(): Generator<number> {
    for (const address of this.#pages) yield this.#store.pageNumberAt(address);
  }
}
