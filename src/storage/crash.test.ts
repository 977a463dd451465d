/**
 * Random page operations against a plain model on a disk that forgets. Every crash image must open and show exactly
 * the state after some operation at or behind the last acknowledged one.
 */
import { describe, expect, it } from "vitest";
import { assert } from "../base/errors.js";
import { isWait } from "../base/wait.js";
import { SimDisk } from "../sim/disk.js";
import { SimRandom } from "../sim/random.js";
import { PageType, pageBodyStart, type ShardStore, type Storage } from "./index.js";
import { openTestStorage } from "./testing.js";

const pageSize = 8192;
const bodyBytes = pageSize - pageBodyStart;

/** Bodies of all allocated pages by "shard:page"; bodies are never changed, only replaced. */
type State = ReadonlyMap<string, Uint8Array>;

interface Shape {
  readonly steps: number;
  readonly frames: number;
  /** Changes of a whole page instead of some bytes, in percent. */
  readonly large: number;
  readonly groupBytes: number;
  readonly images: number;
  /** Pages of a shard below which none is freed; twice as many at most. */
  readonly pages: number;
}

class Run {
  readonly random: SimRandom;
  readonly disk: SimDisk;
  readonly model = new Map<string, Uint8Array>();
  readonly states: State[] = [];
  readonly #seed: number;
  readonly #shape: Shape;

  constructor(seed: number, shape: Shape) {
    this.random = new SimRandom(seed);
    this.disk = new SimDisk({ seed });
    this.#seed = seed;
    this.#shape = shape;
  }

  open(on: SimDisk, variant: number): Storage {
    return openTestStorage({
      disk: on,
      pageSize,
      frames: this.#shape.frames,
      shards: 2,
      seed: this.#seed + variant,
      groupBytes: this.#shape.groupBytes,
      arenaBytes: 2 << 20,
      storage: {
        platform: { clock: on.clock, random: new SimRandom(this.#seed + variant), disk: on },
        journalHalfBytes: 2 << 20,
        doublewriteBytes: 512 << 10,
        idleCheckpointMs: 1e9,
      },
    });
  }

  done(): void {
    this.states.push(new Map(this.model));
  }

  pagesOf(store: ShardStore): number[] {
    const prefix = `${store.shard}:`;
    return [...this.model.keys()]
      .filter((name) => name.startsWith(prefix))
      .map((name) => Number(name.slice(2)));
  }

  /** Changes bytes in memory, marks and remembers them. */
  change(store: ShardStore, page: number, address: number): void {
    const { random } = this;
    const body = (this.model.get(`${store.shard}:${page}`) ?? new Uint8Array(bodyBytes)).slice();
    if (random.below(100) < this.#shape.large) {
      random.fill(body);
      store.pool.u8.set(body, address + pageBodyStart);
      store.changed(address, pageBodyStart, bodyBytes);
    } else if (random.below(8) === 0) {
      // Back to zeros: lines that say nothing on a new page, but not on an old one.
      const from = random.below(bodyBytes >>> 1);
      body.fill(0, from, from + 2048);
      store.pool.u8.fill(0, address + pageBodyStart + from, address + pageBodyStart + from + 2048);
      store.changed(address, pageBodyStart + from, 2048);
    } else {
      for (let change = random.below(4); change >= 0; change--) {
        const offset = random.below(bodyBytes);
        body[offset] = random.below(256);
        store.pool.u8[address + pageBodyStart + offset] = body[offset]!;
        store.changed(address, pageBodyStart + offset, 1);
      }
    }
    this.model.set(`${store.shard}:${page}`, body);
  }

  /** One operation: changes a few pages together, so that a half of it would show. */
  operate(store: ShardStore): void {
    const { random } = this;
    store.beginOperation();
    store.reserve(4);
    const mine = this.pagesOf(store);
    const touched = new Map<number, number>();
    for (let i = 0; i < 3 && mine.length > 0; i++) {
      const page = mine[random.below(mine.length)]!;
      touched.set(page, store.page(page, PageType.data));
    }
    const roll = random.below(10);
    if ((roll < 3 && mine.length < this.#shape.pages * 2) || mine.length === 0) {
      const page = store.allocate(PageType.data, 7);
      touched.set(page, store.page(page, PageType.data));
    } else if (roll < 5 && mine.length > this.#shape.pages) {
      const page = [...touched.keys()][0]!;
      touched.delete(page);
      store.free(page);
      this.model.delete(`${store.shard}:${page}`);
    }
    for (const [page, address] of touched) this.change(store, page, address);
    this.done();
  }

  async bulk(store: ShardStore): Promise<void> {
    const bodies = new Map<number, Uint8Array>();
    for (let i = this.random.below(12); i >= 0; i--) {
      store.beginOperation();
      await this.retrying(() => store.reserve(2));
      const page = store.allocateBulk(PageType.data, 9);
      const address = store.page(page, PageType.data);
      const body = new Uint8Array(bodyBytes);
      this.random.fill(body);
      store.pool.u8.set(body, address + pageBodyStart);
      store.changed(address, pageBodyStart, bodyBytes);
      bodies.set(page, body);
    }
    await store.finishBulk(() => {
      for (const [page, body] of bodies) this.model.set(`${store.shard}:${page}`, body);
      this.done();
    });
  }

  async retrying(run: () => void): Promise<void> {
    for (let tries = 0; ; tries++) {
      assert(tries < 1000, "waits end");
      try {
        run();
        return;
      } catch (thrown) {
        if (!isWait(thrown)) throw thrown;
        await thrown.ready;
      }
    }
  }

  async drive(): Promise<Storage> {
    const { random, disk } = this;
    const storage = this.open(disk, 0);
    disk.startTrace();
    this.done();
    disk.note(0);
    let acknowledged: Promise<void> = Promise.resolve();
    for (let step = 0; step < this.#shape.steps; step++) {
      const store = storage.shards[random.below(2)]!;
      for (let i = random.below(8); i >= 0; i--) await this.retrying(() => this.operate(store));
      if (random.below(6) === 0) await this.bulk(store);
      if (random.below(12) === 0) await storage.checkpoint();
      const last = this.states.length - 1;
      await acknowledged;
      acknowledged = storage.durable().then(() => disk.note(last));
      if (random.below(3) > 0) await acknowledged;
    }
    await acknowledged;
    return storage;
  }

  /** What does not agree, or undefined. */
  compare(storage: Storage, state: State): string | undefined {
    let allocated = 0;
    for (const store of storage.shards) {
      for (let page = 6; page < store.pagesTotal; page++) {
        if (!store.map.isAllocated(page)) continue;
        allocated++;
        if (!state.has(`${store.shard}:${page}`)) return `page ${store.shard}:${page} is allocated`;
      }
    }
    if (allocated !== state.size) return `${allocated} pages, not ${state.size}`;
    for (const [name, body] of state) {
      const [shard, page] = name.split(":").map(Number) as [number, number];
      const store = storage.shards[shard - 1]!;
      store.beginOperation();
      const address = store.page(page, PageType.data);
      if (Buffer.compare(store.pool.u8.subarray(address + pageBodyStart, address + pageSize), body) !== 0) {
        return `page ${name} differs`;
      }
    }
    return undefined;
  }

  async check(): Promise<number> {
    const { disk, states } = this;
    let images = 0;
    const every = Math.max(1, Math.floor((disk.eventCount * 3) / this.#shape.images));
    for (const image of disk.traceImages({ every })) {
      const label = `seed ${this.#seed}, after ${image.events} of ${disk.eventCount} events, ${image.variant}`;
      images++;
      const left = image.open();
      let found: Storage;
      try {
        found = this.open(left, images);
      } catch (error) {
        throw new Error(label, { cause: error });
      }
      let problem: string | undefined = "nothing to compare with";
      let matched = -1;
      for (let at = image.note; at < Math.min(states.length, image.note + 80); at++) {
        problem = this.compare(found, states[at]!);
        if (problem === undefined) {
          matched = at;
          break;
        }
      }
      if (matched < 0) {
        throw new Error(
          `${label}: ${problem}, compared with ${image.note}: ${this.compare(found, states[image.note]!)}`,
        );
      }
      expect(found.recovery.damaged, label).toEqual([]);
      if (images % 8 === 0) {
        expect((await found.verify()).problems, label).toEqual([]);
        await found.close();
      } else {
        found.abandon();
        // A crash right after the recovery, nothing of it synced but what it synced itself.
        const again = this.open(left.crash(), images + 1);
        expect(this.compare(again, states[matched]!), label).toBeUndefined();
        again.abandon();
      }
    }
    return images;
  }
}

async function crashes(seed: number, shape: Shape): Promise<void> {
  const run = new Run(seed, shape);
  const storage = await run.drive();
  await storage.close();
  expect(await run.check()).toBeGreaterThanOrEqual(Math.min(shape.images, run.disk.eventCount) / 2);
}

describe("crash images show a prefix with everything acknowledged", () => {
  it("with small changes", async () => {
    await crashes(1, { steps: 60, frames: 256, large: 5, groupBytes: 1 << 20, images: 18, pages: 8 });
  });

  it("with whole pages, a journal that turns over and groups in parts", async () => {
    await crashes(2, { steps: 60, frames: 512, large: 70, groupBytes: 128 << 10, images: 18, pages: 20 });
  });

  it("with every group in parts", async () => {
    await crashes(4, { steps: 2, frames: 512, large: 100, groupBytes: 128 << 10, images: 1000, pages: 20 });
  });

  it("with a pool smaller than the data", async () => {
    await crashes(3, { steps: 60, frames: 64, large: 30, groupBytes: 256 << 10, images: 18, pages: 60 });
  });
});
