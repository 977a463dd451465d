/**
 * What the pages of one shard offer to the layers above (`mga/`, `btree`): the contract of `PageStore`.
 *
 * The engine is synchronous and one operation runs at a time (D3), so there are no pins to give back: every page
 * fetched stays in its frame until the next `beginOperation()`. An operation fetches every page it will change
 * before it changes one (rule M2): `page()` may throw `Wait`, and then nothing has been changed.
 *
 * Changes go straight to the frame's bytes, followed by `changed()`, which marks 64-byte lines for the journal (D6).
 * A group is cut only between operations.
 */

import type { DbError } from "../base/errors.js";

/** Page types; each has its layout in `layouts.ts`. 0 is never valid. */
export const PageType = {
  fileHeader: 1,
  system: 2,
  objects: 3,
  freeMap: 4,
  tip: 5,
  pointer: 6,
  data: 7,
  version: 8,
  overflow: 9,
  btreeRoot: 10,
  btreeInner: 11,
  btreeLeaf: 12,
  sequence: 13,
  extension: 14,
} as const;
export type PageType = (typeof PageType)[keyof typeof PageType];

/** The one memory that holds pool, arena and scratch (M1). The views never detach: the memory never grows. */
export interface PoolMemory {
  readonly memory: WebAssembly.Memory;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  readonly view: DataView;
}

/** How far the rider's text is on storage of its own. */
export interface RiderMark {
  /** Of the last record; 0: none. */
  readonly sequence: number;
  /** 32 bytes; zeros when there is none. */
  readonly hash: Uint8Array;
}

/** What the journal does for its rider. */
export interface RiderSeat {
  /** Resolves when all that waits now is durable; rejects (58030) when the node is or gets fenced. */
  durable(): Promise<void>;
  /** Whether so many bytes more may wait: there is always room for a group, and a checkpoint is never starved. */
  hasRoom(bytes: number): boolean;
  /** Resolves when a group became durable or room was made. */
  progress(): Promise<void>;
  readonly fence: DbError | undefined;
}

/**
 * Text that rides in the groups beside the pages (the audit chain): durable with the commit that comes after it, at the price
 * of no write more. It is copied to files of its own later, before the half that holds it is written over.
 *
 * At open: `found` once, `replay` for each piece that complete groups have, in order, then `settled`. None of them throws for
 * what is wrong with the text itself: that is the rider's to tell, and no reason to keep the pages closed.
 */
export interface JournalRider {
  /** Bytes that no group has yet. */
  readonly waitingBytes: number;
  /** Copies what waits into the buffer, as much as fits; bytes copied. */
  take(into: Uint8Array): number;
  /** Everything taken is durable. */
  groupDurable(): void;
  /** Everything taken until the call is on storage of the rider's own and synced; what to remember of it. */
  settle(): Promise<RiderMark>;
  found(mark: RiderMark): void;
  replay(piece: Uint8Array): void;
  /** As `settle`, before the journal begins anew. @throws DbError ioError, diskFull: the node does not open */
  settled(): RiderMark;
  /** Storage is open. */
  seated(seat: RiderSeat): void;
}

export interface PageStore {
  readonly shard: number;
  readonly pageSize: number;
  readonly pool: PoolMemory;

  /** Ends the pages' stay of the operation before. Every engine call and every scan step starts with it. */
  beginOperation(): void;
  /**
   * Makes sure that `pages` further pages can be brought in and changed; throws Wait when frames or journal room are
   * short (V2). Called once, before the first change of an operation.
   */
  reserve(pages: number): void;
  /** Byte address of the page in the pool. Throws Wait (absent) or DbError dataCorrupted (checksum, identity, type). */
  page(pageNumber: number, type: PageType): number;
  /** Hint: will be wanted soon. */
  readAhead(pageNumbers: readonly number[]): void;
  /** Marks the 64-byte lines of [offset, offset + length) of the page at `address` as changed. */
  changed(address: number, offset: number, length: number): void;
  /** A new page, zero but for its head (type, number, owner filled in), in its frame and marked whole. */
  allocate(type: PageType, owner: number): number;
  /** Gives a page back; its content is gone after the group of this operation. */
  free(pageNumber: number): void;
  /** A number that tells frames apart and dies with them: per-frame caches of upper layers (highest commit number). */
  frameOf(address: number): number;
  readonly frameCount: number;
  /** Rises each time the frame gets another page. */
  frameEpoch(frame: number): number;

  /** Storage objects of this shard (tables, indexes, sequences), by storage id. Kept in `objects` pages. */
  createObject(storageId: number, kind: number, rootPage: number): void;
  dropObject(storageId: number): void;
  objectRoot(storageId: number): number | undefined;
  setObjectRoot(storageId: number, rootPage: number): void;
  objects(): Iterable<{ readonly storageId: number; readonly kind: number; readonly rootPage: number }>;
  /** Address of the system page's free area (markers of `mga`): a fixed page, always in memory. */
  systemPage(): number;

  /**
   * Resolves when every change made so far is durable; rejects when the node is fenced. The journal batches: all
   * callers of one group share one sync (V1).
   */
  durable(): Promise<void>;
  readonly pagesAllocated: number;
}

/**
 * Pages that nothing durable points to yet (bulk load, index build): written in place without the journal (V2). A
 * store offers it when it has `allocateBulk`; others are filled by `allocate`.
 */
export interface BulkPages {
  /** Like `allocate`, but changes of the page are not journaled. A crash before the link leaves it free. */
  allocateBulk(type: PageType, owner: number): number;
  /**
   * Writes this store's bulk pages in place and syncs them; then, in one operation, makes them ordinary pages and
   * runs `link`, which makes them reachable. The load's pages may not change while it is under way. Rejects with the
   * I/O error.
   */
  finishBulk(link: () => void): Promise<void>;
}
