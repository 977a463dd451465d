/**
 * What the vector operators of one node work in: its kernels, and the arena of its memory (wasm/memory.ts).
 *
 * The arena gives blocks that operators hold from step to step (hash tables, accumulators, rows put into columns); the
 * fixed areas below are for one step, in which nothing else runs.
 *
 * Invariants: blocks never move; a block is given back once; an area's content is not kept from one step to the next.
 */
import { assert } from "../base/errors.js";
import { slotsPerPageMax } from "../mga/contract.js";
import type { PoolMemory } from "../storage/contract.js";
import { type EngineMemory, GroupKey, type Kernels, type Region } from "../wasm/index.js";

const alignment = 64;

/** First fit over a list of gaps in address order: operators ask seldom, for large blocks. */
export class Arena {
  readonly #starts: number[] = [];
  readonly #sizes: number[] = [];
  readonly #blocks = new Map<number, number>();
  usedBytes = 0;

  constructor(region: Region) {
    const start = Math.ceil(region.start / alignment) * alignment;
    this.#starts.push(start);
    this.#sizes.push(region.start + region.bytes - start);
  }

  /** Address of a block with any content; 0 when there is no room. */
  allocate(bytes: number): number {
    const size = Math.max(alignment, Math.ceil(bytes / alignment) * alignment);
    const gap = this.#sizes.findIndex((available) => available >= size);
    if (gap < 0) return 0;
    const start = this.#starts[gap]!;
    if (this.#sizes[gap] === size) {
      this.#starts.splice(gap, 1);
      this.#sizes.splice(gap, 1);
    } else {
      this.#starts[gap] = start + size;
      this.#sizes[gap]! -= size;
    }
    this.#blocks.set(start, size);
    this.usedBytes += size;
    return start;
  }

  free(start: number): void {
    const size = this.#blocks.get(start);
    assert(size !== undefined, "a block of the arena is given back twice");
    this.#blocks.delete(start);
    this.usedBytes -= size;
    let gap = this.#starts.findIndex((other) => other > start);
    if (gap < 0) gap = this.#starts.length;
    this.#starts.splice(gap, 0, start);
    this.#sizes.splice(gap, 0, size);
    this.#join(gap);
    if (gap > 0) this.#join(gap - 1);
  }

  #join(gap: number): void {
    if (gap + 1 >= this.#starts.length) return;
    if (this.#starts[gap]! + this.#sizes[gap]! !== this.#starts[gap + 1]) return;
    this.#sizes[gap]! += this.#sizes[gap + 1]!;
    this.#starts.splice(gap + 1, 1);
    this.#sizes.splice(gap + 1, 1);
  }
}

export const bitmapBytes = slotsPerPageMax / 8;
/** Conditions nest this deep in kernels; deeper ones are judged row by row. */
export const bitmapDepth = 6;
export const keysMax = 16;

export class VectorEngine {
  readonly arena: Arena;
  /** The selected rows of the page at hand. */
  readonly bitmap: number;
  /** For parts of conditions: two per depth. */
  readonly depths: number;
  /** A bitmap for the short term: rows without NULLs. */
  readonly spare: number;
  /** u16 0, 1, 2, ...: the list of all rows. */
  readonly identity: number;
  readonly list: number;
  readonly outList: number;
  readonly groups: number;
  /** u32 zeros: everything belongs to group 0. */
  readonly zeros: number;
  /** Key descriptors of `findGroups`. */
  readonly keys: number;
  /** All bytes of the memory, for text. */
  readonly bytes: Buffer;

  constructor(
    readonly memory: EngineMemory,
    readonly kernels: Kernels,
  ) {
    this.arena = new Arena(memory.arena);
    const area = (bytes: number): number => {
      const start = this.arena.allocate(bytes);
      assert(start > 0, "the arena is too small for its fixed areas");
      return start;
    };
    this.bitmap = area(bitmapBytes);
    this.depths = area(2 * bitmapDepth * bitmapBytes);
    this.spare = area(bitmapBytes);
    this.identity = area(2 * slotsPerPageMax);
    this.list = area(2 * slotsPerPageMax);
    this.outList = area(2 * slotsPerPageMax);
    this.groups = area(4 * slotsPerPageMax);
    this.zeros = area(4 * slotsPerPageMax);
    this.keys = area(keysMax * GroupKey.size);
    for (let row = 0; row < slotsPerPageMax; row++) memory.u16[(this.identity >>> 1) + row] = row;
    memory.u8.fill(0, this.zeros, this.zeros + 4 * slotsPerPageMax);
    this.bytes = Buffer.from(memory.memory.buffer);
  }
}

/** A process may hold several nodes (tests, simulation): a table's pages say which engine they belong to. */
const engines = new WeakMap<PoolMemory, VectorEngine>();

export function addVectorEngine(memory: EngineMemory, kernels: Kernels): VectorEngine {
  const engine = new VectorEngine(memory, kernels);
  engines.set(memory, engine);
  return engine;
}

export function vectorEngineOf(pool: PoolMemory): VectorEngine | undefined {
  return engines.get(pool);
}
