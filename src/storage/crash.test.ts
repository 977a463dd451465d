/**
 * Random page operations against a plain model on a disk that forgets. Every crash image must open and show exactly
 * the state after some group at or behind the last acknowledged one.
 */
import { describe, expect, it } from "vitest";
import { isWait } from "../base/wait.js";
import { SimDisk } from "../sim/disk.js";
import { SimRandom } from "../sim/random.js";
import { PageType, type ShardStore, type Storage } from "./index.js";
import { openTestStorage } from "./testing.js";

const pageSize = 8192;

/** What the test remembers of a database: pages by shard and number, each with a few bytes; objects by id. */
interface State {
  readonly pages: ReadonlyMap<string, ReadonlyMap<number, number>>;
}

class Model {
  readonly pages = new Map<string, Map<number, number>>();

  copy(): State {
    return { pages: new Map([...this.pages].map(([key, bytes]) => [key, new Map(bytes)])) };
  }
}

function key(store: ShardStore, page: number): string {
  return `${store.shard}:${page}`;
}

/** One operation: changes a few pages together, so that a half of it would show. */
function operate(store: ShardStore, model: Model, random: SimRandom): void {
  store.beginOperation();
  store.reserve(4);
  const mine = [...model.pages.keys()].filter((name) => name.startsWith(`${store.shard}:`));
  const touched: { page: number; address: number }[] = [];
  for (let i = 0; i < 3 && mine.length > 0; i++) {
    const page = Number(mine[random.below(mine.length)]!.split(":")[1]);
    touched.push({ page, address: store.page(page, PageType.data) });
  }
  const roll = random.below(10);
  if (roll < 3 || mine.length === 0) {
    const page = store.allocate(PageType.data, 7);
    touched.push({ page, address: store.page(page, PageType.data) });
    model.pages.set(key(store, page), new Map());
  } else if (roll === 3 && mine.length > 8) {
    const { page } = touched[0]!;
    store.free(page);
    model.pages.delete(key(store, page));
  }
  for (const { page, address } of touched) {
    const bytes = model.pages.get(key(store, page));
    if (bytes === undefined) continue;
    for (let change = random.below(4); change >= 0; change--) {
      const offset = 128 + random.below(pageSize - 128);
      const value = random.below(256);
      store.pool.u8[address + offset] = value;
      store.changed(address, offset, 1);
      bytes.set(offset, value);
    }
  }
}

/** Throws what does not agree. */
function compare(storage: Storage, state: State): string | undefined {
  const allocated = new Set<string>();
  for (const store of storage.shards) {
    for (let page = 6; page < store.pagesTotal; page++) {
      if (store.map.isAllocated(page)) allocated.add(key(store, page));
    }
  }
  if (allocated.size !== state.pages.size) return `${allocated.size} pages, not ${state.pages.size}`;
  for (const [name, bytes] of state.pages) {
    if (!allocated.has(name)) return `page ${name} is not allocated`;
    const [shard, page] = name.split(":").map(Number) as [number, number];
    const store = storage.shards[shard - 1]!;
    store.beginOperation();
    const address = store.page(page, PageType.data);
    let sum = 0;
    for (const [offset, value] of bytes) {
      if (store.pool.u8[address + offset] !== value) return `page ${name} differs at ${offset}`;
      if (value !== 0) sum++;
    }
    for (let at = address + 128; at < address + pageSize; at++) if (store.pool.u8[at] !== 0) sum--;
    if (sum !== 0) return `page ${name} has bytes that nobody wrote`;
  }
  return undefined;
}

async function scenario(
  seed: number,
  steps: number,
  options: { frames: number; half: number },
): Promise<void> {
  const random = new SimRandom(seed);
  const disk = new SimDisk({ seed });
  const open = (on: SimDisk, variant: number): Storage =>
    openTestStorage({
      disk: on,
      pageSize,
      frames: options.frames,
      shards: 2,
      seed: seed + variant,
      storage: {
        platform: { clock: on.clock, random: new SimRandom(seed + variant), disk: on },
        journalHalfBytes: options.half,
        doublewriteBytes: 1 << 20,
        idleCheckpointMs: 1e9,
      },
    });
  const storage = open(disk, 0);
  disk.startTrace();
  const model = new Model();
  const states: State[] = [model.copy()];
  disk.note(0);
  for (let step = 0; step < steps; step++) {
    for (let i = random.below(6); i >= 0; i--) {
      try {
        operate(storage.shards[random.below(2)]!, model, random);
      } catch (thrown) {
        if (!isWait(thrown)) throw thrown;
        await thrown.ready;
      }
    }
    states.push(model.copy());
    if (random.below(12) === 0) await storage.checkpoint();
    await storage.durable();
    disk.note(states.length - 1);
  }
  await storage.close();
  let images = 0;
  // About 150 images, spread over the whole run.
  const every = Math.max(1, Math.floor(disk.eventCount / 50));
  for (const image of disk.traceImages({ every })) {
    const label = `seed ${seed}, after ${image.events} events, ${image.variant}`;
    let found: Storage;
    try {
      found = open(image.open(), 1);
    } catch (error) {
      throw new Error(label, { cause: error });
    }
    images++;
    // States between acknowledgements may show (a group that was cut early); never one before the acknowledged.
    let problem: string | undefined = "nothing to compare with";
    let matched = -1;
    for (let at = Math.max(image.note, 0); at < states.length; at++) {
      problem = compare(found, states[at]!);
      if (problem === undefined) {
        matched = at;
        break;
      }
      if (at > image.note + 1) break;
    }
    if (matched < 0) throw new Error(`${label}: ${problem} (acknowledged ${image.note})`);
    expect(found.recovery.damaged, label).toEqual([]);
    if (images % 16 === 0) {
      const report = await found.verify();
      expect(report.problems, label).toEqual([]);
    }
    found.abandon();
  }
  expect(images).toBeGreaterThan(50);
}

describe("crash images", () => {
  it("show a prefix with everything acknowledged", async () => {
    await scenario(1, 60, { frames: 256, half: 2 << 20 });
  });
});
