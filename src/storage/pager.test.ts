import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isWait, Wait } from "../base/wait.js";
import { SimDisk } from "../sim/disk.js";
import { EngineMemory } from "../wasm/index.js";
import { PageType } from "./contract.js";
import { FreeMap } from "./freemap.js";
import { pageBodyStart } from "./layouts.js";
import type { ShardStore } from "./pager.js";
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

describe("pages freed while they are read", () => {
  const slowDisk = async (pages: number) => {
    const disk = new SimDisk();
    const first = openTestStorage({ disk, frames: 256 });
    const made = first.shards[0]!;
    const numbers: number[] = [];
    made.beginOperation();
    made.reserve(pages);
    for (let at = 0; at < pages; at++) numbers.push(made.allocate(PageType.data, 77));
    await first.close();
    disk.readMs = 5;
    const storage = openTestStorage({ disk, frames: 256, storage: { inlineReadMs: 0 } });
    const store = storage.shards[0]!;
    // The first read tells that the disk is slow.
    expect(storage.readTimes.slow).toBe(true);
    return { storage, store, numbers };
  };

  it("leave nothing behind, and the page may be made anew before the read is over", async () => {
    const { storage, store, numbers } = await slowDisk(8);
    const held = storage.frames.heldCount;
    store.readAhead(numbers);
    expect(store.loadsRunning).toBe(8);
    store.beginOperation();
    store.reserve(2);
    for (const page of numbers.slice(0, 4)) store.free(page);
    await storage.durable();
    // The same numbers, while the reads of what they were are under way.
    store.beginOperation();
    store.reserve(4);
    const again = Array.from({ length: 4 }, () => store.allocate(PageType.tip, 5));
    for (const page of again) {
      const address = store.page(page, PageType.tip);
      store.pool.u8[address + 3000] = 7;
      store.changed(address, 3000, 1);
    }
    await store.loadsDone();
    for (const page of again) {
      store.beginOperation();
      expect(store.pool.u8[store.page(page, PageType.tip) + 3000]).toBe(7);
    }
    for (const page of numbers.slice(4)) {
      store.beginOperation();
      store.page(page, PageType.data);
    }
    await storage.checkpoint();
    expect(storage.frames.heldCount).toBe(held);
    await storage.close();
  });

  it("do not fail for what the read finds", async () => {
    const { storage, store, numbers } = await slowDisk(2);
    storage.disk.flipBit(store.path, numbers[0]! * store.pageSize + 900, 1);
    store.readAhead(numbers);
    store.beginOperation();
    store.reserve(1);
    store.free(numbers[0]!);
    await store.loadsDone();
    await storage.close();
  });
});

describe("the free map", () => {
  it("says that a range is there only when its map page is, whatever has to be waited for", () => {
    // Map pages of 8 bytes: 64 pages each.
    const pageSize = pageBodyStart + 8;
    const pool = new Uint8Array(16 * 256);
    let frames = 1;
    const starts: number[] = [];
    const store = {
      pageSize,
      path: "shard",
      pagesTotal: 60,
      pool: { u8: pool, u32: new Uint32Array(pool.buffer) },
      pinned: () => 0,
      extendFile: () => undefined,
      changed: () => undefined,
      setPagesTotal: (pages: number) => {
        store.pagesTotal = pages;
      },
      makePinned: (page: number) => {
        if (frames-- <= 0) throw new Wait("frames", Promise.resolve());
        starts.push(page);
        return starts.length * 256;
      },
    };
    const map = new FreeMap(store as unknown as ShardStore);
    map.load();
    frames = 0;
    let waited: unknown;
    try {
      map.ensure(70);
    } catch (thrown) {
      waited = thrown;
    }
    expect(isWait(waited)).toBe(true);
    expect(store.pagesTotal).toBe(64);
    for (let page = map.peek(); page !== 63; page = map.peek()) map.set(page);
    frames = 9;
    map.ensure(70);
    expect(starts).toEqual([64, 128]);
    expect(map.isAllocated(64)).toBe(true);
    const taken: number[] = [];
    for (let at = 0; at < 70 && map.available > 0; at++) {
      const page = map.peek();
      map.set(page);
      taken.push(page);
    }
    expect(taken.slice(0, 3)).toEqual([63, 65, 66]);
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
