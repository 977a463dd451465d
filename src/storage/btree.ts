/**
 * B+tree over the pages of one shard: entries are (key bytes, row address), unique and ordered as the byte string
 * key . row (row big-endian). Keys come from `model/codec-key`: no key is a prefix of another, so byte order of the
 * whole is order by key, then row. Versions, uniqueness and NULLs are the callers' business.
 *
 * ## Page
 * | bytes                | what                                                                                   |
 * |----------------------|----------------------------------------------------------------------------------------|
 * | 0-127                | page head; 8-31 are `TreeHead`                                                           |
 * | 128 -                | the prefix that all entries share, cut off from each                                     |
 * | then, 2-aligned      | slots, u16 each in key order: where the entry lies (in units of 2 bytes for 128 KiB pages) |
 * | heapStart - pageSize | entries, newest lowest                                                                   |
 *
 * | entry          | bytes                                                              |
 * |----------------|--------------------------------------------------------------------|
 * | leaf, one key length for the whole tree | rest of key . row                         |
 * | leaf, other    | u16 length, rest of key . row                                      |
 * | inner          | u32 child, u16 length, rest of separator, zeros up to 4 bytes        |
 *
 * A child holds the entries at or above its separator and below the next one; `firstChild` holds those below the first.
 * Separators are cut to the shortest string that tells their two neighbours apart. Slots rather than entries in order:
 * an insert in the middle moves 2 bytes an entry, not the entry, which keeps the journal's lines few.
 *
 * ## Invariants
 * - The root page's number never changes: the root splits by pushing its content down.
 * - Leaves are all at level 0; no leaf but a root is empty: one that becomes empty is freed at once, with inner pages
 *   that lose their only child. The tree grows in height, and shrinks only when it is empty.
 * - There are no sibling links: a cursor goes on through the inner pages, from the last entry it gave.
 * - Rule M2: every page of a change is fetched (`prepareInsert`, `prepareRemove`) before the first byte is changed.
 * - `changes` of a tree rises with each of its changes; a cursor that finds it risen seeks its place anew, so it never
 *   touches a page that was freed or split meanwhile.
 */
import { assert, DbError } from "../base/errors.js";
import { layout, u8, u16, u32 } from "../base/layout.js";
import { isWait } from "../base/wait.js";
import { type BulkPages, type PageStore, PageType, type PoolMemory } from "./contract.js";
import { PageHead, pageBodyStart } from "./layouts.js";

/** The 24 bytes of the page head that belong to the tree, from byte 8 on. */
const TreeHead = layout("TreeHead", 24, {
  entries: u16,
  /** 0 leaf. */
  level: u8,
  rowBytes: u8,
  heapStart: u32,
  /** Bytes of the heap that no slot refers to. */
  garbage: u32,
  prefixLength: u16,
  /** Length of every key; 0 when they vary. */
  keyLength: u16,
  firstChild: u32,
  reserved: u32,
});
/** Held here: an imported binding is looked up at each use in some module loaders. */
const bodyAt = pageBodyStart;
const headAt = PageHead.typeFields;
const entriesAt = headAt + TreeHead.entries;
const levelAt = headAt + TreeHead.level;
const rowBytesAt = headAt + TreeHead.rowBytes;
const heapStartAt = headAt + TreeHead.heapStart;
const garbageAt = headAt + TreeHead.garbage;
const prefixLengthAt = headAt + TreeHead.prefixLength;
const keyLengthAt = headAt + TreeHead.keyLength;
const firstChildAt = headAt + TreeHead.firstChild;

const levelsMax = 16;
const innerOverhead = 6;

export interface TreeShape {
  /** Bytes of every key (keyEncoder.fixedLength); 0 when they vary. */
  readonly keyLength: number;
  readonly rowBytes: 6 | 8;
}

/** Longest key that a page of this size takes (a third of the page, less what goes with it); beyond it 54000. */
export function keyBytesMax(pageSize: number): number {
  return Math.floor((pageSize - bodyAt) / 3) - 32;
}

/** What the trees of one root share, however many BTree objects there are for it. */
interface TreeState {
  changes: number;
  /** The leaf at the right end, 0 when not known; valid while `rightmostAt` equals `splits`. */
  rightmostLeaf: number;
  rightmostType: PageType;
  splits: number;
  rightmostAt: number;
  /** Where the last insert went: a run of ascending keys splits at its end. */
  lastLeaf: number;
  lastPosition: number;
}

const states = new WeakMap<PageStore, Map<number, TreeState>>();

function freshState(): TreeState {
  return {
    changes: 0,
    rightmostLeaf: 0,
    rightmostType: PageType.btreeLeaf,
    splits: 0,
    rightmostAt: -1,
    lastLeaf: 0,
    lastPosition: -2,
  };
}

function stateOf(store: PageStore, rootPage: number): TreeState {
  let roots = states.get(store);
  if (roots === undefined) states.set(store, (roots = new Map()));
  let state = roots.get(rootPage);
  if (state === undefined) roots.set(rootPage, (state = freshState()));
  return state;
}

function commonLength(
  a: Uint8Array,
  aAt: number,
  aLength: number,
  b: Uint8Array,
  bAt: number,
  bLength: number,
): number {
  const length = Math.min(aLength, bLength);
  let same = 0;
  while (same < length && a[aAt + same] === b[bAt + same]) same++;
  return same;
}

/** Copies by words of four bytes, wherever they lie: short strings cost a third of a loop over bytes. */
function copyBytes(from: DataView, at: number, into: DataView, to: number, length: number): void {
  let byte = 0;
  for (; byte + 4 <= length; byte += 4) into.setUint32(to + byte, from.getUint32(at + byte, true), true);
  for (; byte < length; byte++) into.setUint8(to + byte, from.getUint8(at + byte));
}

function compareBytes(a: Uint8Array, aLength: number, b: Uint8Array, bLength: number): number {
  const same = commonLength(a, 0, aLength, b, 0, bLength);
  if (same < aLength && same < bLength) return a[same]! - b[same]!;
  return aLength - bLength;
}

function putRow(row: number, rowBytes: number, into: Uint8Array, at: number): number {
  const high = Math.floor(row / 0x100000000);
  if (rowBytes === 8) {
    into[at++] = high >>> 24;
    into[at++] = high >>> 16;
  }
  into[at] = high >>> 8;
  into[at + 1] = high;
  into[at + 2] = row >>> 24;
  into[at + 3] = row >>> 16;
  into[at + 4] = row >>> 8;
  into[at + 5] = row;
  return at + 6;
}

function readRow(bytes: Uint8Array, end: number, rowBytes: number): number {
  const low =
    bytes[end - 4]! * 0x1000000 + ((bytes[end - 3]! << 16) | (bytes[end - 2]! << 8) | bytes[end - 1]!);
  let high = (bytes[end - 6]! << 8) | bytes[end - 5]!;
  if (rowBytes === 8) high += bytes[end - 8]! * 0x1000000 + bytes[end - 7]! * 0x10000;
  return high * 0x100000000 + low;
}

/**
 * Entries on their way into pages: whole byte strings, end to end, with a child each when they are separators.
 * Grows as needed and is used again.
 */
class EntryList {
  bytes: Uint8Array;
  /** Over the same memory. */
  view: DataView;
  /** `ends[i]` is where entry i ends; it begins where its predecessor ends. */
  ends: Uint32Array;
  children: Uint32Array;
  count = 0;
  constructor(bytes: number) {
    this.bytes = new Uint8Array(bytes);
    this.view = new DataView(this.bytes.buffer);
    this.ends = new Uint32Array(256);
    this.children = new Uint32Array(256);
  }
  clear(): void {
    this.count = 0;
  }
  start(index: number): number {
    return index === 0 ? 0 : this.ends[index - 1]!;
  }
  length(index: number): number {
    return this.ends[index]! - this.start(index);
  }
  get used(): number {
    return this.count === 0 ? 0 : this.ends[this.count - 1]!;
  }
  /** Room for one more of `length` bytes; returns where to write them. */
  extend(length: number, child: number): number {
    const at = this.used;
    if (at + length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(2 * this.bytes.length, at + length));
      grown.set(this.bytes);
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    if (this.count === this.ends.length) {
      const ends = new Uint32Array(2 * this.count);
      ends.set(this.ends);
      this.ends = ends;
      const children = new Uint32Array(2 * this.count);
      children.set(this.children);
      this.children = children;
    }
    this.ends[this.count] = at + length;
    this.children[this.count] = child;
    this.count++;
    return at;
  }
  push(from: Uint8Array, at: number, length: number, child: number): void {
    const to = this.extend(length, child);
    for (let byte = 0; byte < length; byte++) this.bytes[to + byte] = from[at + byte]!;
  }
  pushView(from: DataView, at: number, length: number): void {
    const to = this.extend(length, 0);
    copyBytes(from, at, this.view, to, length);
  }
}

export interface TreeReport {
  readonly entries: number;
  readonly leaves: number;
  readonly innerPages: number;
  readonly levels: number;
}

function corrupted(owner: number, page: number, what: string): DbError {
  return new DbError("indexCorrupted", `index storage ${owner}, page ${page}: ${what}`);
}

/** Reading and writing of single pages: shared by tree, cursor, loader and check. */
class TreePages {
  readonly pool: PoolMemory;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly view: DataView;
  readonly pageSize: number;
  /** Slots count in units of 1 << shift bytes. */
  readonly shift: number;
  readonly state: TreeState;
  /** Set by `find`: the position holds exactly the sought bytes. */
  exact = false;

  constructor(
    readonly store: PageStore,
    readonly rootPage: number,
    readonly owner: number,
    readonly shape: TreeShape,
  ) {
    this.pool = store.pool;
    this.u8 = this.pool.u8;
    this.u16 = this.pool.u16;
    this.u32 = this.pool.u32;
    this.view = this.pool.view;
    this.pageSize = store.pageSize;
    this.shift = store.pageSize > 65536 ? 1 : 0;
    this.state = stateOf(store, rootPage);
  }

  /** Root page, checked to be of this tree's shape. */
  root(): number {
    const address = this.store.page(this.rootPage, PageType.btreeRoot);
    if (
      this.u16[(address + keyLengthAt) >>> 1] !== this.shape.keyLength ||
      this.u8[address + rowBytesAt] !== this.shape.rowBytes
    )
      throw corrupted(this.owner, this.rootPage, "key or row length differs from the index's");
    return address;
  }
  /** A page below the root; the level says its type. */
  below(page: number, level: number): number {
    const address = this.store.page(page, level === 0 ? PageType.btreeLeaf : PageType.btreeInner);
    if (this.u8[address + levelAt] !== level) throw corrupted(this.owner, page, `is not at level ${level}`);
    return address;
  }
  entries(address: number): number {
    return this.u16[(address + entriesAt) >>> 1]!;
  }
  level(address: number): number {
    return this.u8[address + levelAt]!;
  }
  prefixLength(address: number): number {
    return this.u16[(address + prefixLengthAt) >>> 1]!;
  }
  slotsAt(address: number): number {
    return address + bodyAt + ((this.prefixLength(address) + 1) & ~1);
  }
  entryAt(address: number, index: number): number {
    return address + (this.u16[(this.slotsAt(address) >>> 1) + index]! << this.shift);
  }
  /** Bytes before an entry's own bytes. */
  overhead(level: number): number {
    return level > 0 ? innerOverhead : this.shape.keyLength > 0 ? 0 : 2;
  }
  /** Length of an entry's bytes behind the prefix; `at` is the entry's address. */
  restLength(address: number, at: number): number {
    if (this.u8[address + levelAt] !== 0) return this.u8[at + 4]! | (this.u8[at + 5]! << 8);
    if (this.shape.keyLength > 0)
      return this.shape.keyLength + this.shape.rowBytes - this.prefixLength(address);
    return this.u8[at]! | (this.u8[at + 1]! << 8);
  }
  /** Bytes that an entry takes in the heap. */
  entrySize(level: number, rest: number): number {
    const size = level > 0 ? innerOverhead + Math.max(rest, 4) : this.shape.keyLength > 0 ? rest : 2 + rest;
    return this.shift === 0 ? size : (size + 1) & ~1;
  }
  child(address: number, index: number): number {
    // -1: below the first separator.
    return index < 0
      ? this.u32[(address + firstChildAt) >>> 2]!
      : this.view.getUint32(this.entryAt(address, index), true);
  }

  /** Position of the first entry not below the sought bytes; `exact` when it equals them. */
  find(address: number, sought: Uint8Array, length: number): number {
    const { u8, u16, view, shift } = this;
    const count = u16[(address + entriesAt) >>> 1]!;
    const prefix = u16[(address + prefixLengthAt) >>> 1]!;
    this.exact = false;
    for (let byte = 0; byte < prefix; byte++) {
      if (byte >= length) return 0;
      const difference = sought[byte]! - u8[address + bodyAt + byte]!;
      if (difference !== 0) return difference < 0 ? 0 : count;
    }
    const rest = length - prefix;
    // The first four bytes as one number, zeros behind a shorter string: unequal heads order like the strings.
    const head =
      ((rest > 0 ? sought[prefix]! << 24 : 0) |
        (rest > 1 ? sought[prefix + 1]! << 16 : 0) |
        (rest > 2 ? sought[prefix + 2]! << 8 : 0) |
        (rest > 3 ? sought[prefix + 3]! : 0)) >>>
      0;
    const slots = (address + bodyAt + ((prefix + 1) & ~1)) >>> 1;
    const start = address + this.overhead(u8[address + levelAt]!);
    // Entries up to `low` are below the sought one, from `high` on they are not.
    let low = -1;
    let high = count;
    if (count >= 16) {
      // Guess from the heads at both ends, then stride away from the guess: a probe costs two cache misses, and halving
      // a full page takes ten. Keys in arithmetic progression take two or three.
      const first = view.getUint32(start + (u16[slots]! << shift));
      if (head < first) return 0;
      const last = view.getUint32(start + (u16[slots + count - 1]! << shift));
      if (head > last) return count;
      if (first < last) {
        const guess = Math.floor(((head - first) / (last - first)) * (count - 1));
        let step = 2;
        if (this.#isBelow(address, start + (u16[slots + guess]! << shift), head, sought, prefix, rest)) {
          low = guess;
          for (let probe = guess + step; probe < high; probe += step) {
            if (!this.#isBelow(address, start + (u16[slots + probe]! << shift), head, sought, prefix, rest)) {
              high = probe;
              break;
            }
            low = probe;
            step *= 4;
          }
        } else {
          high = guess;
          for (let probe = guess - step; probe > low; probe -= step) {
            if (this.#isBelow(address, start + (u16[slots + probe]! << shift), head, sought, prefix, rest)) {
              low = probe;
              break;
            }
            high = probe;
            step *= 4;
          }
        }
      }
    }
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#isBelow(address, start + (u16[slots + middle]! << shift), head, sought, prefix, rest))
        low = middle;
      else high = middle;
    }
    return high;
  }
  /** Whether the entry with its bytes at `at` lies below the sought one; sets `exact` when they are equal. */
  #isBelow(
    address: number,
    at: number,
    head: number,
    sought: Uint8Array,
    prefix: number,
    rest: number,
  ): boolean {
    const other = this.view.getUint32(at);
    if (other !== head) return other < head;
    const order = this.#compareRest(address, at, sought, prefix, rest);
    if (order === 0) this.exact = true;
    return order < 0;
  }
  /** Whether entry `index` of the page lies below the given bytes. */
  isEntryBelow(address: number, index: number, bytes: Uint8Array, length: number): boolean {
    const { u8 } = this;
    const prefix = this.prefixLength(address);
    for (let byte = 0; byte < prefix; byte++) {
      if (byte >= length) return false;
      const difference = u8[address + bodyAt + byte]! - bytes[byte]!;
      if (difference !== 0) return difference < 0;
    }
    const entry = this.entryAt(address, index);
    const rest = this.restLength(address, entry);
    const at = entry + this.overhead(u8[address + levelAt]!);
    for (let byte = 0; byte < rest && prefix + byte < length; byte++) {
      const difference = u8[at + byte]! - bytes[prefix + byte]!;
      if (difference !== 0) return difference < 0;
    }
    return prefix + rest < length;
  }
  /** Entry bytes at `at` (heads equal) against the sought bytes from `prefix` on. */
  #compareRest(address: number, at: number, sought: Uint8Array, prefix: number, rest: number): number {
    const { u8 } = this;
    const length = this.restLength(address, at - this.overhead(u8[address + levelAt]!));
    const shorter = Math.min(length, rest);
    for (let byte = 4; byte < shorter; byte++) {
      const difference = u8[at + byte]! - sought[prefix + byte]!;
      if (difference !== 0) return difference;
    }
    return length - rest;
  }

  /** Copies the whole bytes of an entry, prefix included; returns their length. */
  copyEntry(address: number, index: number, into: Uint8Array, to: number): number {
    const { u8 } = this;
    const prefix = this.prefixLength(address);
    for (let byte = 0; byte < prefix; byte++) into[to + byte] = u8[address + bodyAt + byte]!;
    const entry = this.entryAt(address, index);
    const rest = this.restLength(address, entry);
    const at = entry + this.overhead(this.level(address));
    for (let byte = 0; byte < rest; byte++) into[to + prefix + byte] = u8[at + byte]!;
    return prefix + rest;
  }
  entryLength(address: number, index: number): number {
    return this.prefixLength(address) + this.restLength(address, this.entryAt(address, index));
  }

  freeBytes(address: number): number {
    return (
      this.u32[(address + heapStartAt) >>> 2]! - (this.slotsAt(address) - address) - 2 * this.entries(address)
    );
  }

  /** Puts an entry that shares the page's prefix at `position`; there must be room. Marks what it changed. */
  place(address: number, position: number, bytes: Uint8Array, length: number, child: number): void {
    const { u8, u16, u32 } = this;
    const level = this.level(address);
    const prefix = this.prefixLength(address);
    const rest = length - prefix;
    const size = this.entrySize(level, rest);
    const count = this.entries(address);
    const heapStart = u32[(address + heapStartAt) >>> 2]! - size;
    const slots = this.slotsAt(address);
    assert(heapStart >= slots - address + 2 * (count + 1), "no room in the tree page");
    let at = address + heapStart;
    if (level > 0) {
      this.view.setUint32(at, child, true);
      u8[at + 4] = rest;
      u8[at + 5] = rest >>> 8;
      at += innerOverhead;
      for (let byte = rest; byte < 4; byte++) u8[at + byte] = 0;
    } else if (this.shape.keyLength === 0) {
      u8[at] = rest;
      u8[at + 1] = rest >>> 8;
      at += 2;
    }
    for (let byte = 0; byte < rest; byte++) u8[at + byte] = bytes[prefix + byte]!;
    const slot = slots >>> 1;
    if (count - position > 24) u16.copyWithin(slot + position + 1, slot + position, slot + count);
    else for (let index = count; index > position; index--) u16[slot + index] = u16[slot + index - 1]!;
    u16[slot + position] = heapStart >>> this.shift;
    u16[(address + entriesAt) >>> 1] = count + 1;
    u32[(address + heapStartAt) >>> 2] = heapStart;
    this.store.changed(address, headAt, TreeHead.size);
    this.store.changed(address, slots - address + 2 * position, 2 * (count + 1 - position));
    this.store.changed(address, heapStart, size);
  }

  /** Takes the entry at `position` out; its bytes become garbage. */
  take(address: number, position: number): void {
    const { u16, u32 } = this;
    const entry = this.entryAt(address, position);
    const size = this.entrySize(this.level(address), this.restLength(address, entry));
    const count = this.entries(address);
    const slots = this.slotsAt(address);
    const slot = slots >>> 1;
    if (count - position > 24) u16.copyWithin(slot + position, slot + position + 1, slot + count);
    else for (let index = position; index < count - 1; index++) u16[slot + index] = u16[slot + index + 1]!;
    u16[(address + entriesAt) >>> 1] = count - 1;
    const heapStart = u32[(address + heapStartAt) >>> 2]!;
    // The lowest entry of the heap gives its room back at once: an aborted append leaves no garbage.
    if (entry - address === heapStart) u32[(address + heapStartAt) >>> 2] = heapStart + size;
    else u32[(address + garbageAt) >>> 2]! += size;
    this.store.changed(address, headAt, TreeHead.size);
    if (count - 1 > position)
      this.store.changed(address, slots - address + 2 * position, 2 * (count - 1 - position));
  }

  /** Appends the entries [from, to) of a page, whole, to the list. */
  collect(address: number, from: number, to: number, list: EntryList): void {
    const inner = this.level(address) > 0;
    for (let index = from; index < to; index++) {
      const at = list.extend(this.entryLength(address, index), inner ? this.child(address, index) : 0);
      this.copyEntry(address, index, list.bytes, at);
    }
  }

  /** The prefix that entries [from, to) of a list may share: what first and last have in common, rows left out. */
  sharedPrefix(list: EntryList, from: number, to: number, level: number): number {
    if (to - from < 2) return 0;
    const row = level > 0 ? 0 : this.shape.rowBytes;
    const [first, last] = [list.start(from), list.start(to - 1)];
    return commonLength(
      list.bytes,
      first,
      list.length(from) - row,
      list.bytes,
      last,
      list.length(to - 1) - row,
    );
  }
  /** Bytes of a page that holds entries [from, to) of a list, from the body's start on. */
  measure(list: EntryList, from: number, to: number, level: number): number {
    const prefix = this.sharedPrefix(list, from, to, level);
    let total = ((prefix + 1) & ~1) + 2 * (to - from);
    for (let index = from; index < to; index++) total += this.entrySize(level, list.length(index) - prefix);
    return total;
  }
  get room(): number {
    return this.pageSize - bodyAt;
  }

  /** Writes a page anew with entries [from, to) of the list; the page head's common part stays. */
  rebuild(
    address: number,
    level: number,
    firstChild: number,
    list: EntryList,
    from: number,
    to: number,
  ): void {
    const { u8, u16, u32, view } = this;
    const prefix = this.sharedPrefix(list, from, to, level);
    const first = from < to ? list.start(from) : 0;
    for (let byte = 0; byte < prefix; byte++) u8[address + bodyAt + byte] = list.bytes[first + byte]!;
    const slots = address + bodyAt + ((prefix + 1) & ~1);
    let heap = this.pageSize;
    for (let index = from; index < to; index++) {
      const start = list.start(index) + prefix;
      const rest = list.length(index) - prefix;
      heap -= this.entrySize(level, rest);
      let at = address + heap;
      if (level > 0) {
        view.setUint32(at, list.children[index]!, true);
        u8[at + 4] = rest;
        u8[at + 5] = rest >>> 8;
        at += innerOverhead;
        for (let byte = rest; byte < 4; byte++) u8[at + byte] = 0;
      } else if (this.shape.keyLength === 0) {
        u8[at] = rest;
        u8[at + 1] = rest >>> 8;
        at += 2;
      }
      copyBytes(list.view, start, view, at, rest);
      u16[(slots >>> 1) + index - from] = heap >>> this.shift;
    }
    assert(address + heap >= slots + 2 * (to - from), "the entries do not fit their tree page");
    u16[(address + entriesAt) >>> 1] = to - from;
    u8[address + levelAt] = level;
    u8[address + rowBytesAt] = this.shape.rowBytes;
    u32[(address + heapStartAt) >>> 2] = heap;
    u32[(address + garbageAt) >>> 2] = 0;
    u16[(address + prefixLengthAt) >>> 1] = prefix;
    u16[(address + keyLengthAt) >>> 1] = this.shape.keyLength;
    u32[(address + firstChildAt) >>> 2] = firstChild;
    this.store.changed(address, headAt, TreeHead.size);
    if (from === to) return;
    this.store.changed(address, bodyAt, slots - address - bodyAt + 2 * (to - from));
    this.store.changed(address, heap, this.pageSize - heap);
  }
}

/** Lists used by splits: one operation runs at a time, so all trees of a page size share them. */
const splitLists: EntryList[] = [];
function splitList(level: number): EntryList {
  const list = (splitLists[level] ??= new EntryList(65536));
  list.clear();
  return list;
}

export class BTree {
  readonly #pages: TreePages;
  readonly #store: PageStore;
  readonly #state: TreeState;
  readonly #keyMax: number;
  /** Key and row of the operation at hand. */
  readonly #full: Uint8Array;
  #fullLength = 0;
  /** The way down to the last leaf: index is the level. `pathIndex` is the child taken there, -1 the first. */
  readonly #pathPage = new Uint32Array(levelsMax);
  readonly #pathAddress = new Float64Array(levelsMax);
  readonly #pathIndex = new Int32Array(levelsMax);
  #rootLevel = 0;
  /** No separator lies right of the way down: the leaf is the last one. */
  #rightmost = false;
  #preparedAt = -1;
  #preparedPosition = 0;
  #preparedExact = false;
  readonly #preparedFull: Uint8Array;
  #preparedLength = 0;
  readonly #separator: Uint8Array;
  #lookupCursor: TreeCursor | undefined;

  /** Allocates an empty tree and returns its root page; one page is changed. */
  static create(store: PageStore, owner: number, shape: TreeShape): number {
    const rootPage = store.allocate(PageType.btreeRoot, owner);
    const address = store.page(rootPage, PageType.btreeRoot);
    states.get(store)?.delete(rootPage);
    assert(shape.keyLength <= keyBytesMax(store.pageSize), "fixed keys exceed a third of a page");
    const pages = new TreePages(store, rootPage, owner, shape);
    pages.rebuild(address, 0, 0, splitList(0), 0, 0);
    return rootPage;
  }

  /** A tree whose index is no longer known (a dropped one's pages are to be freed): its root says its shape. */
  static stored(store: PageStore, rootPage: number, owner: number): BTree {
    const address = store.page(rootPage, PageType.btreeRoot);
    const rowBytes = store.pool.u8[address + rowBytesAt]!;
    if (rowBytes !== 6 && rowBytes !== 8) throw corrupted(owner, rootPage, "has an unknown row length");
    return new BTree(store, rootPage, owner, {
      keyLength: store.pool.u16[(address + keyLengthAt) >>> 1]!,
      rowBytes,
    });
  }

  /** `owner` is the index's storage id, `shape` that of `create`. Nothing is read yet. */
  constructor(
    store: PageStore,
    readonly rootPage: number,
    readonly owner: number,
    readonly shape: TreeShape,
  ) {
    this.#pages = new TreePages(store, rootPage, owner, shape);
    this.#store = store;
    this.#state = this.#pages.state;
    this.#keyMax = keyBytesMax(store.pageSize);
    this.#full = new Uint8Array(this.#keyMax + 8);
    this.#preparedFull = new Uint8Array(this.#keyMax + 8);
    this.#separator = new Uint8Array(this.#keyMax + 8);
  }

  /** Rises with every change of the tree, through whichever object. */
  get changes(): number {
    return this.#state.changes;
  }

  #load(key: Uint8Array, at: number, length: number, row: number): void {
    const { keyLength, rowBytes } = this.shape;
    if (length > this.#keyMax)
      throw new DbError("programLimitExceeded", `index row size ${length} exceeds maximum ${this.#keyMax}`);
    assert(keyLength === 0 || keyLength === length, "a key differs from the tree's key length");
    const full = this.#full;
    for (let byte = 0; byte < length; byte++) full[byte] = key[at + byte]!;
    this.#fullLength = putRow(row, rowBytes, full, length);
  }

  /** Fetches the way to the leaf for the given bytes; returns the leaf's address. Throws Wait. */
  #descend(sought: Uint8Array, length: number): number {
    const pages = this.#pages;
    let address = pages.root();
    let level = pages.level(address);
    assert(level < levelsMax, "the tree has too many levels");
    this.#rootLevel = level;
    this.#pathPage[level] = this.rootPage;
    this.#pathAddress[level] = address;
    this.#rightmost = true;
    while (level > 0) {
      const position = pages.find(address, sought, length);
      const index = pages.exact ? position : position - 1;
      this.#pathIndex[level] = index;
      if (index + 1 < pages.entries(address)) this.#rightmost = false;
      const page = pages.child(address, index);
      level--;
      address = pages.below(page, level);
      this.#pathPage[level] = page;
      this.#pathAddress[level] = address;
    }
    return address;
  }

  /** Finds the entry loaded; sets the path. Position is that of the first entry not below it. */
  #locate(): number {
    this.#preparedAt = -1;
    const leaf = this.#descend(this.#full, this.#fullLength);
    const position = this.#pages.find(leaf, this.#full, this.#fullLength);
    this.#pathIndex[0] = position;
    return leaf;
  }

  /**
   * First half of an insert: fetches every page it will change, changes nothing. Returns how many further pages the
   * insert may allocate, for the caller's `reserve`. Throws Wait, and 54000 for a key that is too long.
   */
  prepareInsert(key: Uint8Array, at: number, length: number, row: number): number {
    this.#load(key, at, length, row);
    const pages = this.#pages;
    const last = this.#appendLeaf();
    if (last >= 0 && this.#fits(last)) {
      this.#pathPage[0] = this.#state.rightmostLeaf;
      this.#pathAddress[0] = last;
      this.#pathIndex[0] = pages.entries(last);
      this.#rootLevel = this.#state.rightmostType === PageType.btreeRoot ? 0 : 1;
      this.#rightmost = true;
      pages.exact = false;
      this.#remember();
      return 0;
    }
    const leaf = this.#locate();
    this.#remember();
    const size = pages.entrySize(0, this.#fullLength);
    if (pages.freeBytes(leaf) + pages.u32[(leaf + garbageAt) >>> 2]! >= size + 2 && this.#sharesPrefix(leaf))
      return 0;
    return this.#rootLevel + 2;
  }

  #remember(): void {
    this.#preparedAt = this.#state.changes;
    this.#preparedPosition = this.#pathIndex[0]!;
    this.#preparedExact = this.#pages.exact;
    this.#preparedLength = this.#fullLength;
    this.#preparedFull.set(this.#full.subarray(0, this.#fullLength));
  }
  /** Whether the path at hand is the loaded entry's, from a prepare of this same operation. */
  #isPrepared(): boolean {
    return (
      this.#preparedAt === this.#state.changes &&
      this.#preparedLength === this.#fullLength &&
      commonLength(this.#full, 0, this.#fullLength, this.#preparedFull, 0, this.#fullLength) ===
        this.#fullLength
    );
  }
  #leafType(): PageType {
    return this.#rootLevel === 0 ? PageType.btreeRoot : PageType.btreeLeaf;
  }

  #sharesPrefix(address: number): boolean {
    const prefix = this.#pages.prefixLength(address);
    return (
      prefix === 0 ||
      commonLength(this.#full, 0, this.#fullLength, this.#pages.u8, address + bodyAt, prefix) === prefix
    );
  }

  /**
   * Adds an entry; false when it is there already. Alone in its operation, or after `prepareInsert` of the same entry
   * (and `reserve`): then it throws nothing.
   */
  insert(key: Uint8Array, at: number, length: number, row: number): boolean {
    this.#load(key, at, length, row);
    const pages = this.#pages;
    const state = this.#state;
    let leaf = -1;
    let position = 0;
    let located = true;
    if (this.#isPrepared()) {
      leaf = this.#store.page(this.#pathPage[0]!, this.#leafType());
      position = this.#preparedPosition;
      pages.exact = this.#preparedExact;
      // The frames of an earlier operation may hold other pages now.
      if (leaf !== this.#pathAddress[0]) leaf = -1;
    } else {
      leaf = this.#appendLeaf();
      if (leaf >= 0) {
        position = pages.entries(leaf);
        pages.exact = false;
        located = false;
      }
    }
    if (leaf < 0) {
      leaf = this.#locate();
      position = this.#pathIndex[0]!;
      located = true;
    }
    if (pages.exact) return false;
    if (this.#fits(leaf)) {
      if (located) this.#noteRightmost();
      state.changes++;
      pages.place(leaf, position, this.#full, this.#fullLength, 0);
      state.lastLeaf = located ? this.#pathPage[0]! : state.rightmostLeaf;
      state.lastPosition = position;
      return true;
    }
    leaf = this.#locate();
    this.#insertAt(0, this.#pathIndex[0]!, this.#full, this.#fullLength, 0);
    return true;
  }

  /** The last leaf, when the loaded entry lies above all that it holds; else -1. Spares appends the way down. */
  #appendLeaf(): number {
    const state = this.#state;
    if (state.rightmostLeaf === 0 || state.rightmostAt !== state.splits) return -1;
    const pages = this.#pages;
    const leaf = this.#store.page(state.rightmostLeaf, state.rightmostType);
    const count = pages.entries(leaf);
    return count > 0 && pages.isEntryBelow(leaf, count - 1, this.#full, this.#fullLength) ? leaf : -1;
  }

  #noteRightmost(): void {
    if (!this.#rightmost) return;
    this.#state.rightmostLeaf = this.#pathPage[0]!;
    this.#state.rightmostType = this.#leafType();
    this.#state.rightmostAt = this.#state.splits;
  }

  #fits(leaf: number): boolean {
    const pages = this.#pages;
    if (!this.#sharesPrefix(leaf)) return false;
    const size = pages.entrySize(0, this.#fullLength - pages.prefixLength(leaf));
    return pages.freeBytes(leaf) >= size + 2;
  }

  /** Adds an entry to the page of the path at `level`, rebuilding or splitting it; every page is at hand. */
  #insertAt(level: number, position: number, bytes: Uint8Array, length: number, child: number): void {
    const pages = this.#pages;
    const state = this.#state;
    const address = this.#pathAddress[level]!;
    const prefix = pages.prefixLength(address);
    state.changes++;
    const shares = commonLength(bytes, 0, length, pages.u8, address + bodyAt, prefix) === prefix;
    if (shares && pages.freeBytes(address) >= pages.entrySize(level, length - prefix) + 2) {
      pages.place(address, position, bytes, length, child);
      return;
    }
    const count = pages.entries(address);
    // Appends at the end of the tree, and at the end of a run, leave the left page full.
    const run =
      level === 0 &&
      position > 0 &&
      state.lastLeaf === this.#pathPage[0] &&
      state.lastPosition === position - 1;
    const append = position > 0 && (run || (this.#rightmost && position === count));
    if (
      append &&
      level === 0 &&
      position === count &&
      this.#rootLevel > 0 &&
      this.#isTight(address, bytes, length)
    ) {
      this.#splitOff(address, bytes, length);
      return;
    }
    const list = splitList(level);
    pages.collect(address, 0, position, list);
    list.push(bytes, 0, length, child);
    pages.collect(address, position, count, list);
    const firstChild = pages.child(address, -1);
    // Only when it gains a sixteenth of the page: else a full page would be rewritten at every change.
    if (pages.measure(list, 0, count + 1, level) + (pages.room >>> 4) <= pages.room) {
      pages.rebuild(address, level, level > 0 ? firstChild : 0, list, 0, count + 1);
      return;
    }
    const cut = this.#chooseCut(list, level, position, append);
    // An inner page gives its middle separator to the parent; its child becomes the right page's first.
    const rightFrom = level > 0 ? cut + 1 : cut;
    const rightFirst = level > 0 ? list.children[cut]! : 0;
    let separatorLength: number;
    if (level > 0) {
      separatorLength = list.length(cut);
      this.#separator.set(list.bytes.subarray(list.start(cut), list.start(cut) + separatorLength));
    } else {
      const common = commonLength(
        list.bytes,
        list.start(cut - 1),
        list.length(cut - 1),
        list.bytes,
        list.start(cut),
        list.length(cut),
      );
      separatorLength = common + 1;
      this.#separator.set(list.bytes.subarray(list.start(cut), list.start(cut) + separatorLength));
    }
    state.splits++;
    const type = level === 0 ? PageType.btreeLeaf : PageType.btreeInner;
    if (level === this.#rootLevel) {
      const left = this.#allocate(type);
      const right = this.#allocate(type);
      pages.rebuild(left, level, level > 0 ? firstChild : 0, list, 0, cut);
      pages.rebuild(right, level, rightFirst, list, rightFrom, count + 1);
      const root = splitList(level + 1);
      root.push(this.#separator, 0, separatorLength, this.#numberOf(right));
      pages.rebuild(address, level + 1, this.#numberOf(left), root, 0, 1);
      return;
    }
    const right = this.#allocate(type);
    pages.rebuild(right, level, rightFirst, list, rightFrom, count + 1);
    pages.rebuild(address, level, level > 0 ? firstChild : 0, list, 0, cut);
    const separator = this.#separator.slice(0, separatorLength);
    this.#insertAt(
      level + 1,
      this.#pathIndex[level + 1]! + 1,
      separator,
      separatorLength,
      this.#numberOf(right),
    );
  }

  /** Whether writing the full leaf anew, with an entry added at its end, would gain less than a sixteenth of it. */
  #isTight(address: number, bytes: Uint8Array, length: number): boolean {
    const pages = this.#pages;
    const first = pages.copyEntry(address, 0, this.#separator, 0);
    const row = this.shape.rowBytes;
    const common = commonLength(this.#separator, 0, first - row, bytes, 0, length - row);
    const gain = (common - pages.prefixLength(address)) * pages.entries(address);
    return gain + pages.u32[(address + garbageAt) >>> 2]! < pages.room >>> 4;
  }

  /** Puts an entry above all of a full leaf into a leaf of its own; the old one stays as it is. */
  #splitOff(address: number, bytes: Uint8Array, length: number): void {
    const pages = this.#pages;
    const last = pages.copyEntry(address, pages.entries(address) - 1, this.#separator, 0);
    const separatorLength = 1 + commonLength(this.#separator, 0, last, bytes, 0, length);
    const right = this.#allocate(PageType.btreeLeaf);
    const list = splitList(0);
    list.push(bytes, 0, length, 0);
    pages.rebuild(right, 0, 0, list, 0, 1);
    this.#state.splits++;
    const separator = bytes.slice(0, separatorLength);
    this.#insertAt(1, this.#pathIndex[1]! + 1, separator, separatorLength, this.#numberOf(right));
  }

  /** A new page's address; it stays in its frame for this operation. */
  #allocate(type: PageType): number {
    return this.#store.page(this.#store.allocate(type, this.owner), type);
  }
  #numberOf(address: number): number {
    return this.#pages.view.getUint32(address + PageHead.pageNumber, true);
  }

  /**
   * How many entries of the list (the page's with the new one) go left. Halves by bytes, or, for appends, all but the
   * new one. Where prefixes make a half too long, the new entry stands alone: it then lies at an end of the page.
   */
  #chooseCut(list: EntryList, level: number, position: number, append: boolean): number {
    const pages = this.#pages;
    const last = list.count - 1;
    const leaf = level === 0;
    const fits = (cut: number): boolean =>
      cut >= (leaf ? 1 : 0) &&
      cut <= last &&
      pages.measure(list, 0, cut, level) <= pages.room &&
      pages.measure(list, leaf ? cut : cut + 1, list.count, level) <= pages.room;
    if (append && leaf && position > 0) {
      const cut = position === last ? position : position + 1;
      if (fits(cut)) return cut;
    }
    if (append && !leaf && position === last && last >= 2 && fits(last - 1)) return last - 1;
    const half = list.used / 2;
    let cut = 1;
    while (cut < last && list.ends[cut]! <= half) cut++;
    for (let step = 0; step <= list.count; step++) {
      if (fits(cut - step)) return cut - step;
      if (fits(cut + step)) return cut + step;
    }
    throw corrupted(this.owner, this.#pathPage[level]!, "entries exceed what two pages hold");
  }

  /** First half of a remove: fetches its pages. Returns whether the entry exists. Throws Wait. */
  prepareRemove(key: Uint8Array, at: number, length: number, row: number): boolean {
    this.#load(key, at, length, row);
    this.#locate();
    this.#remember();
    return this.#pages.exact;
  }

  /** Takes an entry out; false when it is not there. An empty leaf is freed and forgotten by its parents. */
  remove(key: Uint8Array, at: number, length: number, row: number): boolean {
    this.#load(key, at, length, row);
    const pages = this.#pages;
    const leaf = this.#locate();
    if (!pages.exact) return false;
    const state = this.#state;
    state.changes++;
    state.lastPosition = -2;
    pages.take(leaf, this.#pathIndex[0]!);
    if (pages.entries(leaf) > 0 || this.#rootLevel === 0) {
      if (pages.entries(leaf) === 0) pages.rebuild(leaf, 0, 0, splitList(0), 0, 0);
      return true;
    }
    state.splits++;
    let level = 0;
    for (;;) {
      this.#store.free(this.#pathPage[level]!);
      level++;
      const address = this.#pathAddress[level]!;
      const count = pages.entries(address);
      if (count === 0) {
        // That was its only child.
        if (level < this.#rootLevel) continue;
        pages.rebuild(address, 0, 0, splitList(0), 0, 0);
        return true;
      }
      const index = this.#pathIndex[level]!;
      if (index < 0) {
        // The next child takes the first one's place, and with it all that is below the next separator.
        pages.u32[(address + firstChildAt) >>> 2] = pages.child(address, 0);
        pages.take(address, 0);
      } else {
        pages.take(address, index);
      }
      return true;
    }
  }

  /** Entries that a count along one way down suggests: an estimate, of at least the right order. Throws Wait. */
  get entryEstimate(): number {
    const pages = this.#pages;
    let address = pages.root();
    let level = pages.level(address);
    let estimate = 1;
    while (level > 0) {
      const count = pages.entries(address);
      estimate *= count + 1;
      level--;
      address = pages.below(pages.child(address, (count >>> 1) - 1), level);
    }
    return estimate * pages.entries(address);
  }

  /**
   * Rows whose key is exactly `key[at..at + length)`, lowest first, at most `max`, into `into[to..]`; how many. The
   * quick way to what `openKey` gives. Throws Wait.
   */
  lookup(key: Uint8Array, at: number, length: number, into: number[], to: number, max: number): number {
    if (length > this.#keyMax) return 0;
    const pages = this.#pages;
    const { u8, u16, shift } = pages;
    const { keyLength, rowBytes } = this.shape;
    const sought = this.#full;
    for (let byte = 0; byte < length; byte++) sought[byte] = key[at + byte]!;
    let address = pages.root();
    let level = pages.level(address);
    while (level > 0) {
      const position = pages.find(address, sought, length);
      level--;
      address = pages.below(pages.child(address, pages.exact ? position : position - 1), level);
    }
    const count = pages.entries(address);
    const prefix = pages.prefixLength(address);
    const slots = pages.slotsAt(address) >>> 1;
    const overhead = keyLength > 0 ? 0 : 2;
    let found = 0;
    let position = pages.find(address, sought, length);
    for (; position < count && found < max; position++) {
      const entry = address + (u16[slots + position]! << shift);
      const rest = pages.restLength(address, entry);
      if (prefix + rest !== length + rowBytes) return found;
      let byte = prefix;
      if (found === 0) {
        // `find` gives 0 for a key below the prefix, too.
        byte = 0;
        while (byte < prefix && u8[address + bodyAt + byte] === sought[byte]) byte++;
        if (byte < prefix) return 0;
      }
      const start = entry + overhead - prefix;
      while (byte < length && u8[start + byte] === sought[byte]) byte++;
      if (byte < length) return found;
      into[to + found++] = readRow(u8, entry + overhead + rest, rowBytes);
    }
    if (found === max || position < count) return found;
    // The key may go on in the next leaf.
    const cursor = (this.#lookupCursor ??= new TreeCursor(pages));
    cursor.openKey(sought, length);
    let total = 0;
    while (total < max) {
      const more = cursor.next(into, to + total, max - total);
      if (more === 0) break;
      total += more;
    }
    return total;
  }

  cursor(): TreeCursor {
    return new TreeCursor(this.#pages);
  }
  /**
   * For a tree that is still empty; pages are filled to `fill`. With `bulk` its pages skip the journal (V2): after the
   * last entry, `loader.finishPages()`, then `bulk.finishBulk(() => loader.link())`.
   */
  loader(fill = 1, bulk?: BulkPages): TreeLoader {
    return new TreeLoader(this.#pages, fill, bulk);
  }
  check(): TreeCheck {
    return new TreeCheck(this.#pages);
  }
  release(): TreeRelease {
    return new TreeRelease(this.#pages);
  }
}

/**
 * Reads the entries of a range in order, forward or backward, a leaf at a time. Lives across operations: it keeps its
 * place while the tree stays as it is, and finds it again from the last entry it gave when the tree has changed.
 *
 * A bound is the bytes of the leading key columns. Inclusive bounds take in every key that begins with them.
 */
export class TreeCursor {
  readonly #pages: TreePages;
  #backward = false;
  /** The range is [from, to) as byte strings; -1 is open. */
  readonly #from: Uint8Array;
  #fromLength = -1;
  readonly #to: Uint8Array;
  #toLength = -1;
  /** Entry given last (the bytes of `key`); -1 before the first. */
  readonly #last: Uint8Array;
  #lastLength = -1;
  #ended = true;
  /** Place: entries [#low, #high) of the leaf are still to be given. */
  #leaf = 0;
  #leafType: PageType = PageType.btreeLeaf;
  #low = 0;
  #high = 0;
  #seenChanges = -1;
  /** The leaf's range goes on beyond its end (forward) or start (backward). */
  #more = false;
  /** Row and key of the entry that `nextEntry` gave; valid until the next call. */
  row = 0;
  readonly key: Uint8Array;
  keyLength = 0;

  constructor(pages: TreePages) {
    this.#pages = pages;
    const bytes = keyBytesMax(pages.pageSize) + 16;
    this.#from = new Uint8Array(bytes);
    this.#to = new Uint8Array(bytes);
    this.#last = new Uint8Array(bytes);
    this.key = this.#last;
  }

  /**
   * Sets range and direction and starts over; reads nothing yet. Lengths of -1 leave a side open. The bounds are
   * copied from `lowerBytes[0..]` and `upperBytes[0..]`.
   */
  open(
    lowerBytes: Uint8Array,
    lowerLength: number,
    lowerInclusive: boolean,
    upperBytes: Uint8Array,
    upperLength: number,
    upperInclusive: boolean,
    backward: boolean,
  ): void {
    this.#backward = backward;
    this.#fromLength = lowerLength;
    this.#toLength = upperLength;
    this.#ended = false;
    this.#lastLength = -1;
    this.#seenChanges = -1;
    assert(
      lowerLength <= this.#from.length && upperLength <= this.#to.length,
      "a bound is longer than any key",
    );
    for (let byte = 0; byte < lowerLength; byte++) this.#from[byte] = lowerBytes[byte]!;
    for (let byte = 0; byte < upperLength; byte++) this.#to[byte] = upperBytes[byte]!;
    if (lowerLength >= 0 && !lowerInclusive) {
      this.#fromLength = successor(this.#from, lowerLength);
      // Nothing lies above all keys that begin with ff ff ...
      if (this.#fromLength < 0) this.#ended = true;
    }
    if (upperLength >= 0 && upperInclusive) this.#toLength = successor(this.#to, upperLength);
  }
  /** All entries. */
  openAll(backward: boolean): void {
    this.open(this.#from, -1, true, this.#to, -1, true, backward);
  }
  /** The entries of exactly this key (or of all keys that begin with it). */
  openKey(bytes: Uint8Array, length: number, backward = false): void {
    this.open(bytes, length, true, bytes, length, true, backward);
  }

  /** Rows of the next entries into `into[at..]`, at most `max` and at most a leaf's; 0 at the end. Throws Wait. */
  next(into: number[], at: number, max: number): number {
    if (!this.#arrive()) return 0;
    const pages = this.#pages;
    const address = pages.store.page(this.#leaf, this.#leafType);
    const { u8, u16, shift } = pages;
    const { rowBytes, keyLength } = pages.shape;
    const available = this.#high - this.#low;
    const count = Math.min(available, max);
    const slots = pages.slotsAt(address) >>> 1;
    const fixedEnd = keyLength > 0 ? keyLength + rowBytes - pages.prefixLength(address) : 0;
    let index = this.#backward ? this.#high - 1 : this.#low;
    const step = this.#backward ? -1 : 1;
    for (let entry = 0; entry < count; entry++, index += step) {
      const start = address + (u16[slots + index]! << shift);
      const end = fixedEnd > 0 ? start + fixedEnd : start + 2 + (u8[start]! | (u8[start + 1]! << 8));
      into[at + entry] = readRow(u8, end, rowBytes);
    }
    this.#advance(address, count);
    return count;
  }

  /** The next entry into `row`, `key` and `keyLength`; false at the end. Throws Wait. */
  nextEntry(): boolean {
    if (!this.#arrive()) return false;
    const pages = this.#pages;
    const address = pages.store.page(this.#leaf, this.#leafType);
    const index = this.#backward ? this.#high - 1 : this.#low;
    const length = pages.copyEntry(address, index, this.key, 0);
    this.row = readRow(this.key, length, pages.shape.rowBytes);
    this.keyLength = length - pages.shape.rowBytes;
    this.#lastLength = length;
    if (this.#backward) this.#high--;
    else this.#low++;
    return true;
  }

  #advance(address: number, count: number): void {
    const last = this.#backward ? this.#high - count : this.#low + count - 1;
    this.#lastLength = this.#pages.copyEntry(address, last, this.#last, 0);
    if (this.#backward) this.#high -= count;
    else this.#low += count;
  }

  /** Makes sure that the place holds an entry to give; false at the end of the range. */
  #arrive(): boolean {
    if (this.#ended) return false;
    if (this.#seenChanges === this.#pages.state.changes) {
      if (this.#low < this.#high) return true;
      if (!this.#more) {
        this.#ended = true;
        return false;
      }
    }
    this.#seek();
    if (this.#low < this.#high) return true;
    this.#ended = true;
    return false;
  }

  /** Goes to the first leaf with an entry of the range behind the last one given. State changes only at the end. */
  #seek(): void {
    const pages = this.#pages;
    const started = this.#lastLength >= 0;
    const sought = this.#backward ? (started ? this.#last : this.#to) : started ? this.#last : this.#from;
    const length = started ? this.#lastLength : this.#backward ? this.#toLength : this.#fromLength;
    // Where to go on when the leaf has nothing: the nearest neighbour of the way down.
    let neighbour = 0;
    let neighbourLevel = 0;
    let address = pages.root();
    let level = pages.level(address);
    let page = pages.rootPage;
    while (level > 0) {
      const count = pages.entries(address);
      let index: number;
      if (length < 0) {
        index = this.#backward ? count - 1 : -1;
      } else {
        const position = pages.find(address, sought, length);
        index = pages.exact ? position : position - 1;
      }
      if (this.#backward ? index >= 0 : index + 1 < count) {
        neighbour = pages.child(address, this.#backward ? index - 1 : index + 1);
        neighbourLevel = level - 1;
      }
      page = pages.child(address, index);
      level--;
      address = pages.below(page, level);
    }
    const count = pages.entries(address);
    let low = 0;
    let high = count;
    if (length >= 0) {
      const position = pages.find(address, sought, length);
      if (this.#backward) high = position;
      else low = started && pages.exact ? position + 1 : position;
    }
    if (low >= high && neighbour > 0) {
      // No page is empty, so the neighbour's near end is the next entry.
      page = neighbour;
      level = neighbourLevel;
      address = pages.below(page, level);
      while (level > 0) {
        page = pages.child(address, this.#backward ? pages.entries(address) - 1 : -1);
        level--;
        address = pages.below(page, level);
      }
      low = 0;
      high = pages.entries(address);
    }
    // The other side of the range.
    let more = true;
    if (low < high) {
      if (this.#backward && this.#fromLength >= 0) {
        const bound = pages.find(address, this.#from, this.#fromLength);
        if (bound > low) low = bound;
        more = bound === 0;
      } else if (!this.#backward && this.#toLength >= 0) {
        // Most ranges end right here, or beyond the leaf.
        if (pages.isEntryBelow(address, high - 1, this.#to, this.#toLength)) {
          more = true;
        } else {
          more = false;
          if (!pages.isEntryBelow(address, low, this.#to, this.#toLength)) high = low;
          else if (!pages.isEntryBelow(address, low + 1, this.#to, this.#toLength)) high = low + 1;
          else high = pages.find(address, this.#to, this.#toLength);
        }
      }
    }
    this.#leaf = page;
    this.#leafType = page === pages.rootPage ? PageType.btreeRoot : PageType.btreeLeaf;
    this.#low = low;
    this.#high = high;
    this.#more = more;
    this.#seenChanges = pages.state.changes;
  }
}

/** Least string above all that begin with these bytes; its length, or -1 when there is none. */
function successor(bytes: Uint8Array, length: number): number {
  while (length > 0 && bytes[length - 1] === 0xff) length--;
  if (length === 0) return -1;
  bytes[length - 1]!++;
  return length;
}

/**
 * Builds an empty tree from entries in ascending order: pages are written once, full, from left to right. The root is
 * written last, by `finish`; until then the tree is empty. Each page written is an operation's worth of change: `add`
 * says when it wrote, and the caller may then end its operation.
 */
export class TreeLoader {
  readonly #pages: TreePages;
  readonly #room: number;
  readonly #bulk: BulkPages | undefined;
  /** Entries that wait for their page, by level. At inner levels the first separator is the low end and is not stored. */
  readonly #waiting: EntryList[] = [];
  readonly #sizes: number[] = [];
  /** An entry given in parts. */
  readonly #full: Uint8Array;
  readonly #fullView: DataView;
  /** Bytes that all entries of the leaf being filled share, rows left out. */
  #prefix = 0;
  #entries = 0;

  constructor(pages: TreePages, fill: number, bulk: BulkPages | undefined) {
    this.#pages = pages;
    this.#bulk = bulk;
    assert(fill > 0.4 && fill <= 1, "a page is filled by 40 to 100 percent");
    this.#room = Math.floor(pages.room * fill);
    const bytes = keyBytesMax(pages.pageSize) + 8;
    this.#full = new Uint8Array(bytes);
    this.#fullView = new DataView(this.#full.buffer);
  }
  get entries(): number {
    return this.#entries;
  }

  /**
   * Adds an entry that lies above all before it (an equal one is left out). Returns whether a page was written.
   * Throws Wait before anything is changed: then call again with the same entry.
   */
  add(key: Uint8Array, at: number, length: number, row: number): boolean {
    const full = this.#full;
    if (length > full.length - 8) throw this.#tooLong(length);
    for (let byte = 0; byte < length; byte++) full[byte] = key[at + byte]!;
    return this.addEntry(this.#fullView, 0, putRow(row, this.#pages.shape.rowBytes, full, length));
  }
  #tooLong(length: number): DbError {
    return new DbError(
      "programLimitExceeded",
      `index row size ${length} exceeds maximum ${this.#full.length - 8}`,
    );
  }

  /** The same for an entry as it is stored: the key's bytes, then the row's (`rowBytes` of them, high ones first). */
  addEntry(bytes: DataView, at: number, length: number): boolean {
    const { rowBytes, keyLength } = this.#pages.shape;
    const keyBytes = length - rowBytes;
    if (keyBytes > this.#full.length - 8) throw this.#tooLong(keyBytes);
    assert(keyLength === 0 || keyLength === keyBytes, "a key differs from the tree's key length");
    const list = this.#level(0);
    let prefix = keyBytes;
    let wrote = false;
    if (list.count > 0) {
      const last = list.count - 1;
      const start = list.start(last);
      const lastLength = list.length(last);
      const before = list.view;
      const least = Math.min(length, lastLength);
      let same = 0;
      while (same + 4 <= least && before.getUint32(start + same) === bytes.getUint32(at + same)) same += 4;
      while (same < least && before.getUint8(start + same) === bytes.getUint8(at + same)) same++;
      if (same === length && same === lastLength) return false;
      const above =
        same < least ? bytes.getUint8(at + same) > before.getUint8(start + same) : length > lastLength;
      assert(above, "the entries to load are not in order");
      // What the page's entries would still share with this one among them: no more than it shares with the last one.
      prefix = Math.min(this.#prefix, same, keyBytes);
      wrote = !this.#leafHasRoom(list.count, prefix, length);
      if (wrote) {
        this.#pages.store.reserve(this.#waiting.length + 1);
        this.#flush(0, 1 + same);
        prefix = keyBytes;
      }
    }
    this.#prefix = prefix;
    this.#sizes[0]! += this.#pages.entrySize(0, length);
    list.pushView(bytes, at, length);
    this.#entries++;
    return wrote;
  }

  /** Whether a leaf of `stored` entries takes one more of `bytes`, when all then share `prefix` bytes. */
  #leafHasRoom(stored: number, prefix: number, bytes: number): boolean {
    const pages = this.#pages;
    // Whole sizes, less the prefix that the entries lose.
    const total =
      ((prefix + 1) & ~1) +
      2 * (stored + 1) +
      this.#sizes[0]! +
      pages.entrySize(0, bytes) -
      prefix * (stored + 1);
    return total + (pages.shift === 0 ? 0 : stored + 1) <= this.#room;
  }

  /** Writes what waits and links it all under the root. One operation; throws Wait before it changes anything. */
  finish(): void {
    this.finishPages();
    this.link();
  }

  /** Writes every page but the root. One operation; throws Wait before it changes anything. */
  finishPages(): void {
    const pages = this.#pages;
    pages.store.reserve(2 * this.#waiting.length + 2);
    const root = pages.root();
    assert(pages.level(root) === 0 && pages.entries(root) === 0, "only an empty tree can be loaded");
    // Every level but the last gives its rest to the one above; the last is the root's content.
    let level = 0;
    while (level + 1 < this.#waiting.length) this.#flush(level++);
    this.#level(level);
  }

  /** Writes the root: the tree has its entries. Fetches the root page before it changes anything. */
  link(): void {
    const pages = this.#pages;
    const level = Math.max(0, this.#waiting.length - 1);
    const list = this.#level(level);
    const root = pages.root();
    assert(pages.level(root) === 0 && pages.entries(root) === 0, "only an empty tree can be loaded");
    pages.state.changes++;
    pages.state.splits++;
    if (level === 0) {
      pages.rebuild(root, 0, 0, list, 0, list.count);
    } else {
      assert(list.count > 1, "a level of one page is the root itself");
      pages.rebuild(root, level, list.children[0]!, list, 1, list.count);
    }
  }

  #level(level: number): EntryList {
    const list = this.#waiting[level];
    if (list !== undefined) return list;
    this.#sizes[level] = 0;
    return (this.#waiting[level] = new EntryList(2 * this.#pages.pageSize));
  }

  /** First entry that the page will store: at inner levels number 0 only names the first child. */
  #firstStored(level: number): number {
    return level > 0 ? 1 : 0;
  }

  /** Whether the inner page takes one more separator: these are padded, so they count in full. */
  #roomFor(level: number, bytes: Uint8Array, length: number): boolean {
    const pages = this.#pages;
    const list = this.#level(level);
    const first = this.#firstStored(level);
    const stored = list.count - first;
    if (stored < 1) return true;
    const prefix = commonLength(list.bytes, list.start(first), list.length(first), bytes, 0, length);
    const total =
      ((prefix + 1) & ~1) + 2 * (stored + 1) + this.#sizes[level]! + pages.entrySize(level, length);
    return total + (pages.shift === 0 ? 0 : stored + 1) <= pages.room;
  }

  #append(level: number, bytes: Uint8Array, length: number, child: number): void {
    const list = this.#level(level);
    if (list.count >= this.#firstStored(level)) this.#sizes[level]! += this.#pages.entrySize(level, length);
    list.push(bytes, 0, length, child);
  }

  /**
   * Writes the level's waiting entries as a page and tells the level above of it. `separatorLength`: bytes that tell the
   * first entry of the next leaf from the last of this one.
   */
  #flush(level: number, separatorLength = 0): void {
    const pages = this.#pages;
    const list = this.#level(level);
    const first = this.#firstStored(level);
    assert(list.count > 0, "a level to be written is empty");
    const type = level === 0 ? PageType.btreeLeaf : PageType.btreeInner;
    const page =
      this.#bulk === undefined
        ? pages.store.allocate(type, pages.owner)
        : this.#bulk.allocateBulk(type, pages.owner);
    const address = pages.store.page(page, type);
    pages.rebuild(address, level, level > 0 ? list.children[0]! : 0, list, first, list.count);
    const above = this.#level(level + 1);
    // The page's low end: for a leaf, what tells its first entry from the last of the leaf before.
    let length = list.length(0);
    const separator = list.bytes.subarray(0, length);
    if (level === 0 && this.#leavesWritten > 0) length = this.#separatorLength;
    if (level === 0) {
      this.#leavesWritten++;
      this.#separatorLength = separatorLength;
    }
    if (above.count > 1 && !this.#roomFor(level + 1, separator, length)) this.#flush(level + 1);
    this.#append(level + 1, separator, length, page);
    list.clear();
    this.#sizes[level] = 0;
  }
  #leavesWritten = 0;
  /** How many bytes of the first entry of the leaf being filled tell it from the last entry before. */
  #separatorLength = 0;
}

/** Checks a whole tree, a page a step: order, separators, levels, heaps. Throws XX002 at the first fault. */
export class TreeCheck {
  readonly #pages: TreePages;
  readonly #stack: {
    page: number;
    level: number;
    low: Uint8Array | undefined;
    high: Uint8Array | undefined;
  }[] = [];
  #entries = 0;
  #leaves = 0;
  #inner = 0;
  #levels = 0;
  #changes = -1;

  constructor(pages: TreePages) {
    this.#pages = pages;
  }
  get report(): TreeReport {
    return { entries: this.#entries, leaves: this.#leaves, innerPages: this.#inner, levels: this.#levels };
  }

  /** Checks one page; true when the tree is done. The tree must not change meanwhile. Throws Wait, or XX002. */
  step(visit?: (page: number) => void): boolean {
    const pages = this.#pages;
    const started = this.#changes >= 0;
    assert(!started || this.#changes === pages.state.changes, "the tree was changed while it was checked");
    const top = started
      ? this.#stack.at(-1)
      : { page: pages.rootPage, level: -1, low: undefined, high: undefined };
    if (top === undefined) return true;
    const { page, low, high } = top;
    const address = top.level < 0 ? pages.root() : pages.below(page, top.level);
    const level = pages.level(address);
    if (started) this.#stack.pop();
    else this.#levels = level + 1;
    this.#changes = pages.state.changes;
    visit?.(page);
    this.#checkPage(page, address, level, low, high);
    return this.#stack.length === 0;
  }

  #checkPage(
    page: number,
    address: number,
    level: number,
    low: Uint8Array | undefined,
    high: Uint8Array | undefined,
  ): void {
    const pages = this.#pages;
    const fault = (what: string): DbError => corrupted(pages.owner, page, what);
    const count = pages.entries(address);
    const heapStart = pages.u32[(address + heapStartAt) >>> 2]!;
    const slotsEnd = pages.slotsAt(address) - address + 2 * count;
    if (heapStart > pages.pageSize || slotsEnd > heapStart) throw fault("slots and entries overlap");
    if (count === 0 && level === 0 && page !== pages.rootPage) throw fault("is an empty leaf");
    const extents: [number, number][] = [];
    const bytes: Uint8Array[] = [];
    for (let index = 0; index < count; index++) {
      const at = pages.entryAt(address, index) - address;
      if (at < heapStart || at + pages.overhead(level) > pages.pageSize)
        throw fault(`slot ${index} points astray`);
      const rest = pages.restLength(address, address + at);
      const size = pages.entrySize(level, rest);
      if (at + size > pages.pageSize) throw fault(`entry ${index} passes the end of the page`);
      extents.push([at, size]);
      const whole = new Uint8Array(pages.entryLength(address, index));
      pages.copyEntry(address, index, whole, 0);
      bytes.push(whole);
      const previous = bytes[index - 1];
      if (previous !== undefined && compareBytes(previous, previous.length, whole, whole.length) >= 0)
        throw fault(`entry ${index} is out of order`);
    }
    const first = bytes[0];
    const last = bytes[count - 1];
    if (first !== undefined && low !== undefined && compareBytes(first, first.length, low, low.length) < 0)
      throw fault("holds an entry below its separator");
    if (last !== undefined && high !== undefined && compareBytes(last, last.length, high, high.length) >= 0)
      throw fault("holds an entry at or above the next separator");
    extents.sort((a, b) => a[0] - b[0]);
    let used = 0;
    let end = heapStart;
    for (const [at, size] of extents) {
      if (at < end) throw fault("entries overlap");
      end = at + size;
      used += size;
    }
    if (used + pages.u32[(address + garbageAt) >>> 2]! !== pages.pageSize - heapStart)
      throw fault("its count of garbage is wrong");
    if (level === 0) {
      this.#leaves++;
      this.#entries += count;
      return;
    }
    this.#inner++;
    for (let index = count - 1; index >= -1; index--) {
      this.#stack.push({
        page: pages.child(address, index),
        level: level - 1,
        low: index < 0 ? low : bytes[index],
        high: index + 1 < count ? bytes[index + 1] : high,
      });
    }
  }
}

/** Gives all pages of a tree back, in steps; the tree must be out of use. */
export class TreeRelease {
  readonly #pages: TreePages;
  readonly #stack: { page: number; level: number }[] = [];
  #started = false;
  constructor(pages: TreePages) {
    this.#pages = pages;
  }

  /** Frees about `pagesMax` pages or the children of one inner page; true when all are gone, the root too. Throws Wait. */
  step(pagesMax: number): boolean {
    const pages = this.#pages;
    let freed = 0;
    while (freed < pagesMax) {
      const top = this.#started ? this.#stack.pop() : undefined;
      if (this.#started && top === undefined) return true;
      const page = top?.page ?? pages.rootPage;
      if (top !== undefined && top.level === 0) {
        pages.store.free(page);
        freed++;
        continue;
      }
      let address: number;
      try {
        address = top === undefined ? pages.root() : pages.below(page, top.level);
      } catch (thrown) {
        if (top !== undefined) this.#stack.push(top);
        // What this step freed stays freed: the wait is left to the next step, whose first page it is.
        if (freed > 0 && isWait(thrown)) return false;
        throw thrown;
      }
      const level = pages.level(address);
      const count = pages.entries(address);
      if (level > 0)
        for (let index = -1; index < count; index++)
          this.#stack.push({ page: pages.child(address, index), level: level - 1 });
      this.#started = true;
      pages.state.changes++;
      pages.state.splits++;
      pages.store.free(page);
      freed++;
    }
    return this.#stack.length === 0;
  }
}
