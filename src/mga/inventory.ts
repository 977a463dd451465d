/**
 * Transaction inventory: what became of each transaction, on disk two bits in TIP pages, in memory a commit number.
 *
 * | TIP bits | 00 active | 01 committed | 10 aborted | 11 limbo |
 *
 * A TIP page is found by arithmetic: page index = id div (4 x body bytes), looked up in a ring of page numbers in the
 * system page. Pages of ids below the oldest interesting transaction are given back, so the ring never grows.
 *
 * In memory `outcome(id)` is one number that is compared with a snapshot: commit numbers, 1 for "committed before
 * anybody looked" (prehistoric), and three values above every snapshot for active, limbo and aborted. Blocks of 65536
 * ids that are all prehistoric take no memory; blocks that are over but hold aborted ids take two bits an id.
 *
 * Invariants: an id is given out only below the durable bound or a bound changed in the same group, so no id is used
 * twice after a crash; an id that reads active on open is aborted (MGA-7); committed and aborted never change.
 */
import { assert, DbError } from "../base/errors.js";
import { type PageStore, PageType } from "../storage/contract.js";

export const stateActive = Number.MAX_SAFE_INTEGER;
export const stateLimbo = stateActive - 1;
export const stateAborted = stateActive - 2;
/** Every commit number is below this, every state above. */
export const commitNumberEnd = stateActive - 3;
export const prehistoric = 1;

export const firstTransactionId = 3;
const idBlock = 4096;
const blockIds = 65536;

const systemMagic = 0x3141474d;
const field = {
  magic: 0,
  sweepInterval: 4,
  idBound: 8,
  oldestInteresting: 16,
  oldestActive: 24,
  oldestSnapshot: 32,
  firstTip: 40,
  tipCount: 48,
  catalogIndex: 56,
  ring: 64,
} as const;
const bodyStart = 128;
const sweepIntervalDefault = 20000;

export const tipBits = { active: 0, committed: 1, aborted: 2, limbo: 3 } as const;
const stateOfBits: readonly number[] = [stateAborted, prehistoric, stateAborted, stateLimbo];

export class Inventory {
  /** The next id to be given. */
  next = firstTransactionId;
  /** Newest commit number given: what a new snapshot sees. */
  commitNumber = prehistoric;
  /** Rises when any transaction ends: cached "not all visible" verdicts are void. */
  endings = 0;
  oldestInteresting = firstTransactionId;
  readonly limbo = new Set<number>();
  readonly #store: PageStore;
  readonly #perPage: number;
  readonly #ringSize: number;
  #bound = firstTransactionId;
  #firstTip = 0;
  #tipCount = 0;
  /** Blocks from `#firstBlock` on: commit numbers, or (over) two bits each, or neither: prehistoric. */
  #firstBlock = 0;
  readonly #hot: (Float64Array | undefined)[] = [];
  readonly #cold: (Uint8Array | undefined)[] = [];
  #last: Float64Array = new Float64Array(0);
  #lastStart = Number.MAX_SAFE_INTEGER;
  #loadedIds = 0;

  constructor(store: PageStore) {
    this.#store = store;
    this.#perPage = (store.pageSize - bodyStart) * 4;
    this.#ringSize = (store.pageSize - bodyStart - field.ring) >>> 2;
  }

  #get(at: number): number {
    const base = (this.#store.systemPage() + at) >>> 2;
    const { u32 } = this.#store.pool;
    return u32[base]! + u32[base + 1]! * 4294967296;
  }
  #set(at: number, value: number): void {
    const base = this.#store.systemPage() + at;
    const { u32 } = this.#store.pool;
    u32[base >>> 2] = value >>> 0;
    u32[(base >>> 2) + 1] = Math.floor(value / 4294967296);
    this.#store.changed(this.#store.systemPage() - bodyStart, bodyStart + at, 8);
  }
  #set32(at: number, value: number): void {
    this.#store.pool.u32[(this.#store.systemPage() + at) >>> 2] = value;
    this.#store.changed(this.#store.systemPage() - bodyStart, bodyStart + at, 4);
  }
  #get32(at: number): number {
    return this.#store.pool.u32[(this.#store.systemPage() + at) >>> 2]!;
  }

  get sweepInterval(): number {
    return this.#get32(field.sweepInterval);
  }
  set sweepInterval(value: number) {
    this.#set32(field.sweepInterval, value);
  }

  /** Entry of the catalog's log that this shard has seen applied; never ahead of what the log holds durably. */
  get catalogIndex(): number {
    return this.#get(field.catalogIndex);
  }
  set catalogIndex(index: number) {
    this.#set(field.catalogIndex, index);
  }

  /** Reads the TIP at open. May throw Wait; called again it goes on. */
  load(): void {
    const store = this.#store;
    if (this.#get32(field.magic) === 0) {
      store.beginOperation();
      store.reserve(1);
      this.#set32(field.magic, systemMagic);
      this.#set32(field.sweepInterval, sweepIntervalDefault);
      this.#set(field.idBound, firstTransactionId);
      this.#set(field.oldestInteresting, firstTransactionId);
    } else if (this.#get32(field.magic) !== systemMagic) {
      throw new DbError("dataCorrupted", "the system page has no transaction inventory");
    }
    if (this.#loadedIds === 0) {
      this.#bound = this.#get(field.idBound);
      this.#firstTip = this.#get(field.firstTip);
      this.#tipCount = this.#get32(field.tipCount);
      this.oldestInteresting = this.#get(field.oldestInteresting);
      if (this.#tipCount > this.#ringSize)
        throw new DbError("dataCorrupted", "too many inventory pages noted");
      this.next = this.#bound;
      this.#firstBlock = Math.floor(this.oldestInteresting / blockIds);
      this.#loadedIds = this.oldestInteresting;
    }
    while (this.#loadedIds < this.#bound) {
      const index = Math.floor(this.#loadedIds / this.#perPage);
      const end = Math.min(this.#bound, (index + 1) * this.#perPage);
      store.beginOperation();
      // The bound may reach into a page that no id has needed yet: all of those were never given.
      const unused = index >= this.#firstTip + this.#tipCount;
      const address = unused ? 0 : this.#tipPage(index);
      for (let id = this.#loadedIds; id < end; id++) {
        const offset = id - index * this.#perPage;
        const bits = unused
          ? tipBits.active
          : (store.pool.u8[address + bodyStart + (offset >>> 2)]! >>> ((offset & 3) * 2)) & 3;
        if (bits === tipBits.committed) continue;
        if (bits === tipBits.limbo) this.limbo.add(id);
        const block = this.#blockFor(id);
        block[id % blockIds] = stateOfBits[bits]!;
      }
      this.#loadedIds = end;
    }
    store.beginOperation();
    this.#useBlockOf(this.next);
  }

  #tipPage(index: number): number {
    if (index < this.#firstTip || index >= this.#firstTip + this.#tipCount) {
      throw new DbError("dataCorrupted", `inventory page ${index} is not noted in the system page`);
    }
    const page = this.#get32(field.ring + (index % this.#ringSize) * 4);
    return this.#store.page(page, PageType.tip);
  }

  #blockFor(id: number): Float64Array {
    const index = Math.floor(id / blockIds) - this.#firstBlock;
    assert(index >= 0, "an id below the oldest interesting one changes");
    while (this.#hot.length <= index) {
      this.#hot.push(undefined);
      this.#cold.push(undefined);
    }
    let block = this.#hot[index];
    if (block === undefined) {
      block = new Float64Array(blockIds).fill(prehistoric);
      const cold = this.#cold[index];
      if (cold !== undefined) {
        for (let at = 0; at < blockIds; at++) block[at] = coldState(cold, at);
        this.#cold[index] = undefined;
      }
      this.#hot[index] = block;
    }
    return block;
  }

  #useBlockOf(id: number): void {
    this.#last = this.#blockFor(id);
    this.#lastStart = id - (id % blockIds);
    // Ids of this block that were given before the crash keep their state; those from `next` on are to come.
    for (let at = id; at < this.#lastStart + blockIds; at++) this.#last[at - this.#lastStart] = stateActive;
  }

  /** A commit number, or a state above all of them. */
  outcome(id: number): number {
    if (id >= this.#lastStart) return this.#last[id - this.#lastStart]!;
    const index = Math.floor(id / blockIds) - this.#firstBlock;
    if (index < 0) return prehistoric;
    const block = this.#hot[index];
    if (block !== undefined) return block[id % blockIds]!;
    const cold = this.#cold[index];
    return cold === undefined ? prehistoric : coldState(cold, id % blockIds);
  }

  setOutcome(id: number, outcome: number): void {
    this.#blockFor(id)[id % blockIds] = outcome;
    this.endings++;
  }

  /**
   * A new id; what it needs on disk (bound, TIP page) is changed here. Throws Wait before any change; 54000 when the
   * inventory is full of transactions that no sweep has passed.
   */
  allocate(): number {
    const id = this.next;
    const index = Math.floor(id / this.#perPage);
    if (id >= this.#bound || index >= this.#firstTip + this.#tipCount) {
      this.#store.beginOperation();
      this.#store.reserve(2);
      if (index >= this.#firstTip + this.#tipCount) {
        if (this.#tipCount === this.#ringSize) {
          throw new DbError("programLimitExceeded", "the transaction inventory is full", {
            hint: "Run SWEEP, and end transactions that have been open for long.",
          });
        }
        const page = this.#store.allocate(PageType.tip, 0);
        if (this.#tipCount === 0) {
          this.#firstTip = index;
          this.#set(field.firstTip, index);
        }
        this.#set32(field.ring + (index % this.#ringSize) * 4, page);
        this.#tipCount++;
        this.#set32(field.tipCount, this.#tipCount);
      }
      if (id >= this.#bound) {
        this.#bound = id + idBlock;
        this.#set(field.idBound, this.#bound);
        this.#set(field.oldestInteresting, this.oldestInteresting);
      }
    }
    if (id >= this.#lastStart + blockIds) this.#useBlockOf(id);
    this.next = id + 1;
    return id;
  }

  /** Sets the two bits of `id`. Throws Wait before the change. The outcome in memory is the caller's to set. */
  writeBits(id: number, bits: number): void {
    this.#store.beginOperation();
    this.#store.reserve(1);
    const index = Math.floor(id / this.#perPage);
    const address = this.#tipPage(index);
    const offset = id - index * this.#perPage;
    const at = bodyStart + (offset >>> 2);
    const shift = (offset & 3) * 2;
    const { u8 } = this.#store.pool;
    u8[address + at] = (u8[address + at]! & ~(3 << shift)) | (bits << shift);
    this.#store.changed(address, at, 1);
  }

  /** Moves the oldest interesting id over committed ones; `swept`: aborted ones below it have left no trace. */
  advance(limit: number, swept: number): void {
    let id = this.oldestInteresting;
    while (id < limit) {
      const outcome = this.outcome(id);
      if (outcome > commitNumberEnd && !(outcome === stateAborted && id < swept)) break;
      id++;
    }
    this.oldestInteresting = id;
  }

  /** Drops what no snapshot from `horizon` (a commit number) on needs; gives back TIP pages. May throw Wait. */
  forget(horizon: number, swept: boolean): void {
    const lastIndex = Math.floor(this.#lastStart / blockIds) - this.#firstBlock;
    for (let index = 0; index < lastIndex && index < this.#hot.length; index++) {
      const block = this.#hot[index];
      if (block === undefined) continue;
      let plain = true;
      let over = true;
      const first = (this.#firstBlock + index) * blockIds;
      for (let at = 0; at < blockIds; at++) {
        const outcome = block[at]!;
        if (outcome <= horizon || first + at < this.oldestInteresting) continue;
        plain = false;
        if (outcome !== stateAborted && outcome !== stateLimbo) {
          over = false;
          break;
        }
      }
      if (!over) continue;
      this.#hot[index] = undefined;
      if (!plain) {
        const cold = new Uint8Array(blockIds / 4);
        for (let at = 0; at < blockIds; at++) {
          const outcome = first + at < this.oldestInteresting ? prehistoric : block[at]!;
          const bits =
            outcome === stateAborted
              ? tipBits.aborted
              : outcome === stateLimbo
                ? tipBits.limbo
                : tipBits.committed;
          cold[at >>> 2] = cold[at >>> 2]! | (bits << ((at & 3) * 2));
        }
        this.#cold[index] = cold;
      }
    }
    if (!swept) return;
    const keep = Math.floor(this.oldestInteresting / this.#perPage);
    while (this.#tipCount > 1 && this.#firstTip < keep) {
      this.#store.beginOperation();
      this.#store.reserve(2);
      const page = this.#get32(field.ring + (this.#firstTip % this.#ringSize) * 4);
      this.#store.page(page, PageType.tip);
      // The marker goes with the page: a restart must not look for it.
      this.#set(field.oldestInteresting, this.oldestInteresting);
      this.#firstTip++;
      this.#tipCount--;
      this.#set(field.firstTip, this.#firstTip);
      this.#set32(field.tipCount, this.#tipCount);
      this.#store.free(page);
    }
    const block = Math.floor(this.oldestInteresting / blockIds);
    while (this.#firstBlock < block && this.#hot.length > 1) {
      this.#hot.shift();
      this.#cold.shift();
      this.#firstBlock++;
    }
  }

  /** Writes the markers; they may lag on disk, never lead. */
  writeMarkers(oldestActive: number, oldestSnapshot: number): void {
    this.#store.beginOperation();
    this.#store.reserve(1);
    this.#set(field.oldestInteresting, this.oldestInteresting);
    this.#set(field.oldestActive, oldestActive);
    this.#set(field.oldestSnapshot, oldestSnapshot);
  }
}

function coldState(cold: Uint8Array, at: number): number {
  return stateOfBits[(cold[at >>> 2]! >>> ((at & 3) * 2)) & 3]!;
}
