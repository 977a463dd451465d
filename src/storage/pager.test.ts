import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isWait } from "../base/wait.js";
import { SimDisk } from "../sim/disk.js";
import { EngineMemory } from "../wasm/index.js";
import { PageType } from "./contract.js";
import { FrameFlag, FramePool } from "./pool.js";
import { openTestStorage, openTestStore } from "./testing.js";

describe("pages in the pool", () => {
  it("allocates, changes, frees", () => {
    const store = openTestStore({ frames: 256 });
    store.beginOperation();
    store.reserve(10);
    const page = store.allocate(PageType.data, 77);
    const address = store.page(page, PageType.data);
    store.pool.u8[address + 5000] = 9;
    store.changed(address, 5000, 1);
    expect(store.page(page, PageType.data)).toBe(address);
    expect(() => store.page(page, PageType.tip)).toThrow(/type/);
    store.createObject(5, 1, page);
    expect(store.objectRoot(5)).toBe(page);
    expect([...store.objects()].length).toBe(1);
    store.dropObject(5);
    expect(store.objectRoot(5)).toBeUndefined();
    const before = store.pagesAllocated;
    store.free(page);
    expect(store.pagesAllocated).toBe(before - 1);
    expect(() => store.page(1_000_000, PageType.data)).toThrow(/beyond the end/);
  });

  it("works with a pool above 2 GiB", async () => {
    const disk = new SimDisk();
    const storage = openTestStorage({ disk, pageSize: 8192, frames: 128, arenaBytes: 2200 * 2 ** 20 });
    const store = storage.shards[0]!;
    const pages: number[] = [];
    for (let i = 0; i < 100; i++) {
      for (;;) {
        try {
          store.beginOperation();
          store.reserve(1);
          break;
        } catch (thrown) {
          if (!isWait(thrown)) throw thrown;
          await thrown.ready;
        }
      }
      const page = store.allocate(PageType.data, 3);
      const address = store.page(page, PageType.data);
      expect(address).toBeGreaterThan(2 ** 31);
      store.pool.u8[address + 8000] = i;
      store.changed(address, 8000, 1);
      expect(store.frameOf(address)).toBe(storage.frames.find(1, page));
      pages.push(page);
    }
    await storage.close();
    const again = openTestStorage({ disk, pageSize: 8192, frames: 128 });
    for (const [i, page] of pages.entries()) {
      again.shards[0]!.beginOperation();
      const address = again.shards[0]!.page(page, PageType.data);
      expect(again.shards[0]!.pool.u8[address + 8000]).toBe(i);
    }
    again.abandon();
  });
});

describe("the frame map", () => {
  it("agrees with a plain map under random assigning, dropping and loading", () => {
    const memory = new EngineMemory({
      pageSize: 8192,
      poolBytes: 64 * 8192,
      scratchBytes: 65536,
      arenaBytes: 65536,
      groupBytes: 65536,
    });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 3 }), fc.nat(90)), {
          maxLength: 400,
        }),
        (steps) => {
          const pool = new FramePool(memory, 8192);
          const model = new Map<string, number>();
          for (const [action, shard, page] of steps) {
            pool.beginOperation();
            const name = `${shard}:${page}`;
            const frame = pool.find(shard, page);
            const loading = frame >= 0 && (pool.flags[frame]! & FrameFlag.loading) !== 0;
            expect(pool.findReady(shard, page)).toBe(loading ? -1 : frame);
            if (model.has(name)) expect(frame).toBe(model.get(name));
            if (frame < 0 && action < 2) {
              const given = pool.assign(shard, page);
              if (given < 0) continue;
              // Whoever had the frame was evicted.
              for (const [other, held] of model) if (held === given) model.delete(other);
              model.set(name, given);
            } else if (frame >= 0 && action === 2) {
              pool.drop(frame);
              model.delete(name);
            } else if (frame >= 0 && action === 3) pool.setLoading(frame, !loading);
          }
          let held = 0;
          for (const [name, frame] of model) {
            const [shard, page] = name.split(":").map(Number) as [number, number];
            expect(pool.find(shard, page)).toBe(frame);
            if ((pool.flags[frame]! & FrameFlag.loading) !== 0) held++;
          }
          expect(pool.heldCount).toBe(held);
        },
      ),
      { numRuns: 60, seed: 7 },
    );
  });
});
