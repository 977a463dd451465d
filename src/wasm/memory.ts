/**
 * The node's one WebAssembly memory (M1): allocated whole at start, never grown, so its views never detach.
 *
 * | region  | from             | what                                                                     |
 * |---------|------------------|--------------------------------------------------------------------------|
 * | static  | 0                | the kernels' own constants (1 MiB)                                        |
 * | scratch | 1 MiB            | short-lived buffers of one call: bitmaps, keys, rebuilt pages             |
 * | arena   | after scratch    | operators' hash tables and vectors; handed out by `Arena`                 |
 * | groups  | after arena      | journal group and checkpoint buffers (page-aligned, written with O_DIRECT) |
 * | frames  | last             | page frames, aligned to 4096                                              |
 *
 * Invariants: offsets are unsigned and may lie above 2 GiB; a region never moves.
 */
import { assert } from "../base/errors.js";
import type { PoolMemory } from "../storage/contract.js";

const MiB = 1 << 20;
const wasmPage = 65536;

export interface MemoryPlan {
  readonly pageSize: number;
  readonly poolBytes: number;
  readonly scratchBytes?: number;
  readonly arenaBytes?: number;
  readonly groupBytes?: number;
}

export interface Region {
  readonly start: number;
  readonly bytes: number;
}

export class EngineMemory implements PoolMemory {
  readonly memory: WebAssembly.Memory;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  readonly view: DataView;
  readonly scratch: Region;
  readonly arena: Region;
  readonly groups: Region;
  readonly frames: Region;
  readonly frameCount: number;

  constructor(plan: MemoryPlan) {
    const align = (value: number): number => Math.ceil(value / wasmPage) * wasmPage;
    const scratchBytes = align(plan.scratchBytes ?? 4 * MiB);
    const arenaBytes = align(plan.arenaBytes ?? 64 * MiB);
    const groupBytes = align(plan.groupBytes ?? 16 * MiB);
    this.frameCount = Math.floor(plan.poolBytes / plan.pageSize);
    assert(this.frameCount >= 64, "the buffer pool needs at least 64 pages");
    let at = MiB;
    const region = (bytes: number): Region => {
      const start = at;
      at += bytes;
      return { start, bytes };
    };
    this.scratch = region(scratchBytes);
    this.arena = region(arenaBytes);
    this.groups = region(groupBytes);
    this.frames = region(this.frameCount * plan.pageSize);
    const pages = Math.ceil(at / wasmPage);
    // Below 65536 pages: then no end address of a region wraps to 0 in the kernels' 32-bit arithmetic.
    assert(pages < 65536, "the buffer pool and its regions exceed 4 GiB");
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const buffer = this.memory.buffer;
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.view = new DataView(buffer);
  }
}
