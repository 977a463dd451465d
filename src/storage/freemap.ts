/**
 * Which pages of a shard are allocated: one bit per page, in free-map pages that stay in the pool.
 *
 * Free-map page k covers pages [k * coverage, (k + 1) * coverage) and lies at page 3 (k = 0) or at the first page of
 * its range. Bit set: allocated. Bits change with the operation and are journaled like any line.
 *
 * Invariants:
 * - A page given back is not given out again before the group that freed it is durable (`withheld`): until then
 *   something durable may point to it.
 * - The file is extended before pages of the new stretch can be taken: allocating never meets a full disk.
 * - Every page below the total has its map page: a range begins with it.
 * - Pages of a bulk load are taken in memory only; their bits are set by the operation that links them, so that a
 *   crash before it leaves them free.
 */
import { assert, DbError } from "../base/errors.js";
import { PageType } from "./contract.js";
import { FixedPage, pageBodyStart } from "./layouts.js";
import type { ShardStore } from "./pager.js";
import { popCount } from "./pool.js";

const extendPagesMin = 8;
const extendPagesMax = 64;
/** Page numbers are 32 bits in the pool and the journal. */
const pagesMax = 2 ** 32 - 2;

export class FreeMap {
  readonly coverage: number;
  /** Frame address of each free-map page. */
  readonly #maps: number[] = [];
  /** Free bits below pagesTotal of each map page, withheld and bulk pages included. */
  readonly #free: number[] = [];
  readonly #store: ShardStore;
  #cursor = 0;
  /** Freed (or taken for bulk), not to be given out: pages whose bit says free. */
  readonly #withheld = new Set<number>();
  #freed: number[] = [];
  #freedInGroup: number[] = [];
  /** Pages of bulk loads not yet linked. */
  readonly bulk = new Set<number>();
  allocated = 0;
  #freeTotal = 0;

  constructor(store: ShardStore) {
    this.#store = store;
    this.coverage = (store.pageSize - pageBodyStart) * 8;
  }

  #mapPage(k: number): number {
    return k === 0 ? FixedPage.freeMap : k * this.coverage;
  }

  /** Brings the map pages in and counts; at open. */
  load(): void {
    const total = this.#store.pagesTotal;
    for (let k = 0; k * this.coverage < total; k++) {
      const address = this.#store.pinned(this.#mapPage(k), PageType.freeMap);
      const covered = Math.min(this.coverage, total - k * this.coverage);
      let used = 0;
      const u32 = this.#store.pool.u32;
      const words = (address + pageBodyStart) >>> 2;
      for (let word = 0; word < covered >>> 5; word++) used += popCount(u32[words + word]!);
      for (let bit = covered & ~31; bit < covered; bit++) if (this.#bit(address, bit)) used++;
      this.#maps.push(address);
      this.#free.push(covered - used);
      this.allocated += used;
      this.#freeTotal += covered - used;
    }
  }

  #bit(address: number, index: number): boolean {
    return (this.#store.pool.u8[address + pageBodyStart + (index >>> 3)]! & (1 << (index & 7))) !== 0;
  }

  *pageNumbers(): Generator<number> {
    for (let k = 0; k < this.#maps.length; k++) yield this.#mapPage(k);
  }

  isAllocated(page: number): boolean {
    const k = Math.floor(page / this.coverage);
    const map = this.#maps[k];
    return map !== undefined && page < this.#store.pagesTotal && this.#bit(map, page % this.coverage);
  }

  /** Pages that could be taken now without extending the file. */
  get available(): number {
    return this.#freeTotal - this.#withheld.size;
  }

  /** Makes sure that `pages` can be taken. Throws DbError diskFull (53100), having changed nothing. */
  ensure(pages: number): void {
    while (this.available < pages) {
      const total = this.#store.pagesTotal;
      const growth = Math.max(
        Math.min(extendPagesMax, Math.max(extendPagesMin, total >>> 2)),
        Math.min(pages - this.available, extendPagesMax),
      );
      if (total + growth > pagesMax) {
        throw new DbError("programLimitExceeded", `file "${this.#store.path}" cannot have more pages`);
      }
      this.#store.extendFile(growth);
      this.#grow(total + growth);
    }
  }

  #grow(total: number): void {
    let from = this.#store.pagesTotal;
    while (from < total) {
      const k = Math.floor(from / this.coverage);
      const end = Math.min(total, (k + 1) * this.coverage);
      if (this.#maps[k] === undefined) {
        // May wait for a frame: before anything says that the range is there.
        const address = this.#store.makePinned(this.#mapPage(k), PageType.freeMap);
        this.#store.setPagesTotal(end);
        this.#maps.push(address);
        this.#free.push(end - from);
        this.#freeTotal += end - from;
        this.set(this.#mapPage(k));
      } else {
        this.#store.setPagesTotal(end);
        this.#free[k] = this.#free[k]! + end - from;
        this.#freeTotal += end - from;
      }
      from = end;
    }
  }

  /** Marks a page as allocated. */
  set(page: number): void {
    const k = Math.floor(page / this.coverage);
    const index = page % this.coverage;
    const at = this.#maps[k]! + pageBodyStart + (index >>> 3);
    const u8 = this.#store.pool.u8;
    assert((u8[at]! & (1 << (index & 7))) === 0, `page ${page} is allocated twice`);
    u8[at] = u8[at]! | (1 << (index & 7));
    this.#store.changed(at, 0, 1);
    this.#free[k] = this.#free[k]! - 1;
    this.#freeTotal--;
    this.allocated++;
  }

  /** The next page that can be taken, without taking it. `reserve` has made sure that there is one. */
  peek(accept: ((page: number) => boolean) | undefined = undefined): number {
    const found = this.#search(this.#cursor, accept);
    const page = found >= 0 ? found : this.#search(0, accept);
    if (page >= 0) return page;
    this.ensure(this.available + 1);
    const grown = this.#search(0, accept);
    assert(grown >= 0, "a file just extended has a free page");
    return grown;
  }

  #search(from: number, accept: ((page: number) => boolean) | undefined): number {
    const total = this.#store.pagesTotal;
    const u32 = this.#store.pool.u32;
    for (let k = Math.floor(from / this.coverage); k < this.#maps.length; k++) {
      if (this.#free[k] === 0) continue;
      const start = k * this.coverage;
      const words = (this.#maps[k]! + pageBodyStart) >>> 2;
      const end = Math.min(this.coverage, total - start);
      const first = Math.max(from - start, 0);
      for (let word = first >>> 5; word * 32 < end; word++) {
        let free = ~u32[words + word]!;
        if (word === first >>> 5) free &= -1 << (first & 31);
        while (free !== 0) {
          const index = word * 32 + (31 - Math.clz32(free & -free));
          if (index >= end) break;
          const page = start + index;
          if (!this.#withheld.has(page) && (accept === undefined || accept(page))) {
            this.#cursor = page;
            return page;
          }
          free &= free - 1;
        }
      }
    }
    return -1;
  }

  /** Takes a page for a bulk load: no bit yet. */
  takeBulk(page: number): void {
    this.#withheld.add(page);
    this.bulk.add(page);
  }

  /** A bulk page becomes an ordinary one: its bit is set. */
  linkBulk(page: number): void {
    this.bulk.delete(page);
    this.#withheld.delete(page);
    this.set(page);
  }

  clear(page: number): void {
    const k = Math.floor(page / this.coverage);
    const index = page % this.coverage;
    const at = this.#maps[k]! + pageBodyStart + (index >>> 3);
    const u8 = this.#store.pool.u8;
    assert((u8[at]! & (1 << (index & 7))) !== 0, `page ${page} is freed twice`);
    u8[at] = u8[at]! & ~(1 << (index & 7));
    this.#store.changed(at, 0, 1);
    this.#free[k] = this.#free[k]! + 1;
    this.#freeTotal++;
    this.allocated--;
    this.#withheld.add(page);
    this.#freed.push(page);
  }

  /** A bulk page given back before it was linked: nothing durable knows it. */
  dropBulk(page: number): boolean {
    if (!this.bulk.delete(page)) return false;
    this.#withheld.delete(page);
    return true;
  }

  /** A group was cut: what was freed until now waits for it. */
  groupCut(): void {
    if (this.#freed.length === 0) return;
    this.#freedInGroup =
      this.#freedInGroup.length === 0 ? this.#freed : this.#freedInGroup.concat(this.#freed);
    this.#freed = [];
  }

  groupDurable(): void {
    if (this.#freedInGroup.length === 0) return;
    for (const page of this.#freedInGroup) {
      this.#withheld.delete(page);
      if (page < this.#cursor) this.#cursor = page;
    }
    this.#freedInGroup = [];
  }
}
