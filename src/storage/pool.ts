/**
 * The node's frame pool: which page lies in which frame, which of its 64-byte lines wait for the journal, and which
 * frame gives way when another page comes in. One pool serves all shards of the node.
 *
 * Invariants:
 * - All metadata are typed arrays made once; finding, touching, marking and evicting allocate nothing.
 * - A frame touched since `beginOperation` is never evicted; nor is one that is *held*: being loaded, pinned, with
 *   unjournaled lines, behind (journaled but not in place), or under way to its place.
 * - `unjournaled` lists exactly the frames with marked lines that belong to the journal; `unjournaledLines` is their sum.
 *
 * Replacement is 2Q: a page comes in on probation and is evicted first in, first out, unless it was used again long
 * after it came in; one that returns soon after its eviction was missed and becomes hot. Hot frames go round a clock.
 * So one scan of a big table passes through a quarter of the frames and leaves the hot pages alone.
 */
import { assert } from "../base/errors.js";
import type { EngineMemory } from "../wasm/index.js";
import { lineBytes } from "./layouts.js";

export const FrameFlag = {
  used: 1,
  /** An asynchronous read fills it. */
  loading: 2,
  /** Its base is all zeros: no group has carried it since it was allocated. */
  fresh: 4,
  /** Has lines that no group carries yet. */
  unjournaled: 8,
  pinned: 16,
  /** Written in place without lines: nothing durable points to it yet (V2). */
  bulk: 32,
  hot: 64,
  /** Copied for a checkpoint; the copy is not in place yet. */
  writing: 128,
  /** Some group carries lines that are not in place. */
  behind: 256,
  /** Bulk page changed since it was last written. */
  bulkDirty: 512,
} as const;

const heldMask =
  FrameFlag.loading | FrameFlag.unjournaled | FrameFlag.pinned | FrameFlag.writing | FrameFlag.behind;

const frameMask = 0xfffff;
const shardMask = 0x7ff;
const loadingBit = 0x80000000;

/** Uses within so many operations of coming in count as one: a scan step that returns to its page is not a habit. */
const correlatedOperations = 64;

export class FramePool {
  readonly memory: EngineMemory;
  readonly pageSize: number;
  readonly pageShift: number;
  readonly frameCount: number;
  /** Address of frame 0. */
  readonly base: number;
  /** 32-bit words of a frame's change bitmap. */
  readonly wordsPerFrame: number;

  readonly pageOf: Uint32Array;
  readonly shardOf: Uint16Array;
  readonly epochOf: Uint32Array;
  readonly flags: Uint16Array;
  /** The operation that used the frame last; compared for equality and small distances only, so it may wrap. */
  readonly touched: Int32Array;
  /** First and last group with lines of the page that are not in place; 0 none. */
  readonly firstGroup: Float64Array;
  readonly lastGroup: Float64Array;
  readonly dirtyLines: Uint32Array;

  readonly unjournaled: Int32Array;
  unjournaledCount = 0;
  unjournaledLines = 0;
  /** Frames behind: what a checkpoint has to write. */
  behindCount = 0;
  heldCount = 0;
  operation = 1;
  /** Counters for monitoring and tests. */
  evictions = 0;

  /**
   * Open-addressing map in pairs: page number; then shard (11 bits from 20) and frame + 1 (20 bits), bit 31 while the
   * page is being read, so that the one comparison of a hit leaves such pages out. 0 in the second: empty.
   */
  readonly #slots: Uint32Array;
  readonly #slotMask: number;
  readonly #slotShift: number;
  readonly #free: Int32Array;
  #freeCount: number;
  /** Doubly linked lists over frames; `frameCount` heads the probation list, `frameCount + 1` the hot one. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #probation: number;
  readonly #hot: number;
  #probationCount = 0;
  #hotCount = 0;
  readonly #probationTarget: number;
  readonly #loadedAt: Int32Array;
  readonly #seen: Int32Array;
  readonly #unjournaledAt: Int32Array;
  readonly #ghostPage: Uint32Array;
  readonly #ghostShard: Uint16Array;
  readonly #ghostAge: Uint32Array;

  /** Writes a changed bulk page to its place so that its frame can be given away; set by the node's storage. */
  writeBulk: (frame: number) => void = () => assert(false, "no writer for bulk pages");

  constructor(memory: EngineMemory, pageSize: number) {
    assert((pageSize & (pageSize - 1)) === 0 && pageSize >= 2048, "the page size must be a power of two");
    this.memory = memory;
    this.pageSize = pageSize;
    this.pageShift = 31 - Math.clz32(pageSize);
    this.base = memory.frames.start;
    const count = Math.floor(memory.frames.bytes / pageSize);
    assert(count === memory.frameCount, "the memory was planned for another page size");
    assert(count < frameMask, "frame numbers have 20 bits");
    this.frameCount = count;
    this.wordsPerFrame = pageSize / lineBytes / 32;
    this.pageOf = new Uint32Array(count);
    this.shardOf = new Uint16Array(count);
    this.epochOf = new Uint32Array(count);
    this.flags = new Uint16Array(count);
    this.touched = new Int32Array(count);
    this.firstGroup = new Float64Array(count);
    this.lastGroup = new Float64Array(count);
    this.dirtyLines = new Uint32Array(count * this.wordsPerFrame);
    this.unjournaled = new Int32Array(count);
    this.#unjournaledAt = new Int32Array(count).fill(-1);
    this.#loadedAt = new Int32Array(count);
    this.#seen = new Int32Array(count);
    const slots = 1 << (32 - Math.clz32(count * 2 - 1));
    this.#slots = new Uint32Array(slots * 2);
    this.#slotMask = slots - 1;
    this.#slotShift = 32 - (31 - Math.clz32(slots));
    this.#free = new Int32Array(count);
    for (let frame = 0; frame < count; frame++) this.#free[frame] = count - 1 - frame;
    this.#freeCount = count;
    this.#next = new Int32Array(count + 2);
    this.#previous = new Int32Array(count + 2);
    this.#probation = count;
    this.#hot = count + 1;
    for (const head of [this.#probation, this.#hot]) {
      this.#next[head] = head;
      this.#previous[head] = head;
    }
    this.#probationTarget = Math.max(8, count >>> 2);
    this.#ghostPage = new Uint32Array(slots);
    this.#ghostShard = new Uint16Array(slots);
    this.#ghostAge = new Uint32Array(slots);
  }

  beginOperation(): void {
    this.operation = (this.operation + 1) | 0;
  }

  addressOf(frame: number): number {
    return this.base + frame * this.pageSize;
  }

  frameOf(address: number): number {
    return (address - this.base) >>> this.pageShift;
  }

  /** The frame of a page that can be used, -1 when it is absent or being read. Does not touch it. */
  findReady(shard: number, page: number): number {
    const slots = this.#slots;
    const mask = this.#slotMask;
    let slot = Math.imul(page ^ (shard << 24), 0x9e3779b1) >>> this.#slotShift;
    for (;;) {
      const entry = slots[slot * 2 + 1]!;
      if (entry === 0) return -1;
      if (slots[slot * 2] === page && entry >>> 20 === shard) return (entry & frameMask) - 1;
      slot = (slot + 1) & mask;
    }
  }

  /** The frame of a page, being read or not; -1 when absent. */
  find(shard: number, page: number): number {
    const slot = this.#slotOf(shard, page);
    return slot < 0 ? -1 : (this.#slots[slot * 2 + 1]! & frameMask) - 1;
  }

  #slotOf(shard: number, page: number): number {
    const slots = this.#slots;
    let slot = this.#home(shard, page);
    for (;;) {
      const entry = slots[slot * 2 + 1]!;
      if (entry === 0) return -1;
      if (slots[slot * 2] === page && ((entry >>> 20) & shardMask) === shard) return slot;
      slot = (slot + 1) & this.#slotMask;
    }
  }

  #home(shard: number, page: number): number {
    return Math.imul(page ^ (shard << 24), 0x9e3779b1) >>> this.#slotShift;
  }

  /** The frame's page is being read, or has been. */
  setLoading(frame: number, loading: boolean): void {
    const at = this.#slotOf(this.shardOf[frame]!, this.pageOf[frame]!) * 2 + 1;
    const entry = this.#slots[at]!;
    this.#slots[at] = loading ? entry | loadingBit : entry & ~loadingBit;
    if (loading) this.raise(frame, FrameFlag.loading);
    else this.lower(frame, FrameFlag.loading);
  }

  /** Frames that could take further pages: neither held nor (counted by the caller's margin) in use. */
  get available(): number {
    return this.frameCount - this.heldCount;
  }

  /**
   * A frame for the page, its bytes undefined, or -1 when every frame is held or in use by this operation. The
   * frame counts as used by the current operation.
   */
  assign(shard: number, page: number): number {
    let frame: number;
    if (this.#freeCount > 0) frame = this.#free[--this.#freeCount]!;
    else {
      frame = this.#victim();
      if (frame < 0) return -1;
    }
    this.pageOf[frame] = page;
    this.shardOf[frame] = shard;
    this.epochOf[frame] = this.epochOf[frame]! + 1;
    this.touched[frame] = this.operation;
    this.#loadedAt[frame] = this.operation;
    this.#seen[frame] = this.operation;
    this.firstGroup[frame] = 0;
    this.lastGroup[frame] = 0;
    this.#insert(shard, page, frame);
    const ghost = this.#home(shard, page);
    const missed =
      this.#ghostShard[ghost] === shard &&
      this.#ghostPage[ghost] === page &&
      this.evictions - this.#ghostAge[ghost]! < this.frameCount >>> 1;
    if (missed) {
      this.#ghostShard[ghost] = 0;
      this.flags[frame] = FrameFlag.used | FrameFlag.hot;
      this.#append(this.#hot, frame);
      this.#hotCount++;
    } else {
      this.flags[frame] = FrameFlag.used;
      this.#append(this.#probation, frame);
      this.#probationCount++;
    }
    return frame;
  }

  /** Forgets the frame's page and whatever was marked on it. */
  drop(frame: number): void {
    assert(
      (this.flags[frame]! & FrameFlag.writing) === 0,
      "a frame under way to its place cannot be dropped",
    );
    this.clearLines(frame);
    this.setInPlace(frame);
    this.lower(frame, FrameFlag.loading | FrameFlag.pinned | FrameFlag.bulkDirty);
    this.#remove(frame);
    this.#free[this.#freeCount++] = frame;
  }

  /**
   * The frame's page is nobody's any more while a read still fills it: the page is forgotten, the frame stays held until
   * `reclaim`.
   */
  abandon(frame: number): void {
    assert(
      (this.flags[frame]! & heldMask) === FrameFlag.loading,
      "only a frame that is being read is abandoned",
    );
    // It goes on counting as held: only its flags are gone.
    this.#remove(frame);
  }
  /** The read of an abandoned frame has ended. */
  reclaim(frame: number): void {
    assert(this.flags[frame] === 0, "an abandoned frame is nobody's");
    this.heldCount--;
    this.#free[this.#freeCount++] = frame;
  }

  raise(frame: number, bits: number): void {
    const before = this.flags[frame]!;
    const after = before | bits;
    this.flags[frame] = after;
    if ((before & heldMask) === 0 && (after & heldMask) !== 0) this.heldCount++;
  }

  lower(frame: number, bits: number): void {
    const before = this.flags[frame]!;
    const after = before & ~bits;
    this.flags[frame] = after;
    if ((before & heldMask) !== 0 && (after & heldMask) === 0) this.heldCount--;
  }

  /** Marks the lines of [at, at + length), absolute addresses within one frame. */
  mark(at: number, length: number): void {
    const relative = at - this.base;
    const frame = relative >>> this.pageShift;
    const inside = relative & (this.pageSize - 1);
    const first = inside >>> 6;
    const last = (inside + length - 1) >>> 6;
    const word = frame * this.wordsPerFrame + (first >>> 5);
    if (first === last) {
      const bit = 1 << (first & 31);
      const bits = this.dirtyLines[word]!;
      if ((bits & bit) !== 0) return;
      this.dirtyLines[word] = bits | bit;
      if ((this.flags[frame]! & FrameFlag.unjournaled) !== 0) this.unjournaledLines++;
      else this.#firstMark(frame, 1);
      return;
    }
    assert(length > 0 && inside + length <= this.pageSize, "a change must lie within its page");
    let added = 0;
    for (let line = first; line <= last; line++) {
      const index = frame * this.wordsPerFrame + (line >>> 5);
      const bit = 1 << (line & 31);
      const bits = this.dirtyLines[index]!;
      if ((bits & bit) === 0) {
        this.dirtyLines[index] = bits | bit;
        added++;
      }
    }
    if (added === 0) return;
    if ((this.flags[frame]! & FrameFlag.unjournaled) !== 0) this.unjournaledLines += added;
    else this.#firstMark(frame, added);
  }

  #firstMark(frame: number, lines: number): void {
    const flags = this.flags[frame]!;
    assert((flags & FrameFlag.used) !== 0, "only a page in the pool can change");
    if ((flags & FrameFlag.bulk) !== 0) {
      this.raise(frame, FrameFlag.bulkDirty);
      return;
    }
    this.raise(frame, FrameFlag.unjournaled);
    this.#unjournaledAt[frame] = this.unjournaledCount;
    this.unjournaled[this.unjournaledCount++] = frame;
    this.unjournaledLines += lines;
  }

  /** The frame's lines are in a group (or void): takes it off the list. */
  clearLines(frame: number): void {
    const words = this.wordsPerFrame;
    const from = frame * words;
    if ((this.flags[frame]! & FrameFlag.unjournaled) === 0) {
      this.dirtyLines.fill(0, from, from + words);
      return;
    }
    let lines = 0;
    for (let word = from; word < from + words; word++) {
      lines += popCount(this.dirtyLines[word]!);
      this.dirtyLines[word] = 0;
    }
    this.unjournaledLines -= lines;
    const at = this.#unjournaledAt[frame]!;
    const moved = this.unjournaled[--this.unjournaledCount]!;
    this.unjournaled[at] = moved;
    this.#unjournaledAt[moved] = at;
    this.#unjournaledAt[frame] = -1;
    this.lower(frame, FrameFlag.unjournaled);
  }

  /** Group `number` carries lines of the frame. */
  setBehind(frame: number, number: number): void {
    if (this.firstGroup[frame] === 0) {
      this.firstGroup[frame] = number;
      this.raise(frame, FrameFlag.behind);
      this.behindCount++;
    }
    this.lastGroup[frame] = number;
  }

  /** What the groups carry of the frame is copied or void. */
  setInPlace(frame: number): void {
    if (this.firstGroup[frame] === 0) return;
    this.firstGroup[frame] = 0;
    this.lower(frame, FrameFlag.behind);
    this.behindCount--;
  }

  /** Frames of a shard, in no order; for closing and verifying. */
  *framesOf(shard: number): Generator<number> {
    for (let frame = 0; frame < this.frameCount; frame++) {
      if ((this.flags[frame]! & FrameFlag.used) !== 0 && this.shardOf[frame] === shard) yield frame;
    }
  }

  #insert(shard: number, page: number, frame: number): void {
    const slots = this.#slots;
    let slot = this.#home(shard, page);
    while (slots[slot * 2 + 1] !== 0) slot = (slot + 1) & this.#slotMask;
    slots[slot * 2] = page;
    slots[slot * 2 + 1] = (shard << 20) | (frame + 1);
  }

  /** Takes the frame out of map and list; entries behind it in its probe chain move up. */
  #remove(frame: number): void {
    const slots = this.#slots;
    const mask = this.#slotMask;
    let hole = this.#slotOf(this.shardOf[frame]!, this.pageOf[frame]!);
    assert(hole >= 0, "a used frame is in the map");
    let probe = hole;
    for (;;) {
      slots[hole * 2 + 1] = 0;
      for (;;) {
        probe = (probe + 1) & mask;
        const entry = slots[probe * 2 + 1]!;
        if (entry === 0) {
          this.#unlink(frame);
          return;
        }
        const home = this.#home((entry >>> 20) & shardMask, slots[probe * 2]!);
        // It may move up unless its home lies behind the hole (cyclically).
        if (((probe - home) & mask) >= ((probe - hole) & mask)) break;
      }
      slots[hole * 2] = slots[probe * 2]!;
      slots[hole * 2 + 1] = slots[probe * 2 + 1]!;
      hole = probe;
    }
  }

  #append(head: number, frame: number): void {
    const last = this.#previous[head]!;
    this.#next[last] = frame;
    this.#previous[frame] = last;
    this.#next[frame] = head;
    this.#previous[head] = frame;
  }

  #unlink(frame: number): void {
    const next = this.#next[frame]!;
    const previous = this.#previous[frame]!;
    this.#next[previous] = next;
    this.#previous[next] = previous;
    if ((this.flags[frame]! & FrameFlag.hot) !== 0) this.#hotCount--;
    else this.#probationCount--;
    this.flags[frame] = 0;
  }

  #toTail(head: number, frame: number): void {
    const next = this.#next[frame]!;
    const previous = this.#previous[frame]!;
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.#append(head, frame);
  }

  #victim(): number {
    const fromProbation = this.#probationCount > this.#probationTarget || this.#hotCount === 0;
    let frame = fromProbation ? this.#probationVictim() : this.#hotVictim();
    if (frame < 0) frame = fromProbation ? this.#hotVictim() : this.#probationVictim();
    if (frame < 0) return -1;
    this.evictions++;
    this.#remove(frame);
    return frame;
  }

  #probationVictim(): number {
    for (let steps = this.#probationCount; steps > 0; steps--) {
      const frame = this.#next[this.#probation]!;
      if (this.#busy(frame)) {
        this.#toTail(this.#probation, frame);
        continue;
      }
      if (((this.touched[frame]! - this.#loadedAt[frame]!) | 0) > correlatedOperations) {
        const next = this.#next[frame]!;
        this.#next[this.#probation] = next;
        this.#previous[next] = this.#probation;
        this.#probationCount--;
        this.#hotCount++;
        this.flags[frame] = this.flags[frame]! | FrameFlag.hot;
        this.#seen[frame] = this.touched[frame]!;
        this.#append(this.#hot, frame);
        continue;
      }
      const ghost = this.#home(this.shardOf[frame]!, this.pageOf[frame]!);
      this.#ghostPage[ghost] = this.pageOf[frame]!;
      this.#ghostShard[ghost] = this.shardOf[frame]!;
      this.#ghostAge[ghost] = this.evictions;
      return frame;
    }
    return -1;
  }

  #hotVictim(): number {
    for (let steps = this.#hotCount * 2; steps > 0; steps--) {
      const frame = this.#next[this.#hot]!;
      if (!this.#busy(frame)) {
        if (this.touched[frame] === this.#seen[frame]) return frame;
        this.#seen[frame] = this.touched[frame]!;
      }
      this.#toTail(this.#hot, frame);
    }
    return -1;
  }

  /** In use by this operation or held. A changed bulk page is written to its place and then free to go. */
  #busy(frame: number): boolean {
    if (this.touched[frame] === this.operation) return true;
    const flags = this.flags[frame]!;
    if ((flags & heldMask) !== 0) return true;
    if ((flags & FrameFlag.bulkDirty) !== 0) this.writeBulk(frame);
    return false;
  }
}

export function popCount(bits: number): number {
  bits -= (bits >>> 1) & 0x55555555;
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return (((bits + (bits >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}
