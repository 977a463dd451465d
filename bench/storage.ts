/**
 * Storage figures: what a page hit costs, how many groups of eight TPC-B-like transactions a second become durable on
 * the real disk, and how long a restart takes over a full journal.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isWait } from "../src/base/wait.js";
import { HostDisk, hostClock, hostRandom } from "../src/platform/host.js";
import {
  openStorage,
  PageType,
  type ShardStore,
  type Storage,
  type StorageOptions,
} from "../src/storage/index.js";
import { EngineMemory, loadKernels } from "../src/wasm/index.js";
import { kernelBytes } from "../src/wasm/testing.js";

const pageSize = 16384;
const accountPages = 7700;

function open(folder: string, create: boolean, extra: Partial<StorageOptions> = {}): Storage {
  const memory = new EngineMemory({ pageSize, poolBytes: 512 << 20 });
  return openStorage({
    platform: { clock: hostClock, random: hostRandom, disk: new HostDisk(folder) },
    memory,
    kernels: loadKernels(memory, kernelBytes()),
    pageSize,
    shardCount: 1,
    create,
    ...extra,
  });
}

async function retrying(run: () => void): Promise<void> {
  for (;;) {
    try {
      run();
      return;
    } catch (thrown) {
      if (!isWait(thrown)) throw thrown;
      await thrown.ready;
    }
  }
}

interface Pages {
  readonly accounts: readonly number[];
  readonly small: readonly number[];
}

async function load(store: ShardStore): Promise<Pages> {
  const accounts: number[] = [];
  const small: number[] = [];
  for (let page = 0; page < accountPages + 20; page++) {
    await retrying(() => {
      store.beginOperation();
      store.reserve(1);
      (page < accountPages ? accounts : small).push(store.allocate(PageType.data, 1));
    });
  }
  await store.durable();
  return { accounts, small };
}

let seed = 12345;
function random(below: number): number {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return Math.floor((seed / 4294967296) * below);
}

/** Five distant lines of an account page; teller, branch, history, three old versions, TIP: a few lines each. */
function transaction(store: ShardStore, pages: Pages): void {
  store.beginOperation();
  store.reserve(8);
  const change = (page: number, lines: number, spread: number): void => {
    const address = store.page(page, PageType.data);
    for (let line = 0; line < lines; line++) {
      const offset = 128 + ((line * 3200 + spread * 64) % (pageSize - 192));
      store.pool.u32[(address + offset) >>> 2] = random(1 << 30);
      store.changed(address, offset, 8);
    }
  };
  change(pages.accounts[random(accountPages)]!, 5, random(40));
  change(pages.small[random(4)]!, 5, random(40));
  change(pages.small[4]!, 5, random(4));
  change(pages.small[5 + random(8)]!, 3, random(200));
  change(pages.small[14]!, 2, random(200));
  change(pages.small[15]!, 1, random(8));
}

export async function run(): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  const folder = mkdtempSync(join(tmpdir(), "scratchbird-bench-"));
  try {
    let storage = open(folder, true);
    let store = storage.shards[0]!;
    const pages = await load(store);
    await storage.checkpoint();
    const probe = new Int32Array(4096);
    for (let i = 0; i < probe.length; i++) probe[i] = pages.accounts[random(accountPages)]!;
    let sum = 0;
    for (let round = 0; round < 60; round++) {
      const started = hostClock.monotonic();
      store.beginOperation();
      for (let i = 0; i < 100_000; i++) sum += store.page(probe[i & 4095]!, PageType.data);
      const ns = ((hostClock.monotonic() - started) * 1e6) / 100_000;
      figures["page_hit_ns"] = Math.min(figures["page_hit_ns"] ?? Number.POSITIVE_INFINITY, ns);
    }
    const one = probe[0]!;
    for (let round = 0; round < 20; round++) {
      const started = hostClock.monotonic();
      for (let i = 0; i < 100_000; i++) sum += store.page(one, PageType.data);
      const ns = ((hostClock.monotonic() - started) * 1e6) / 100_000;
      figures["page_hit_hot_ns"] = Math.min(figures["page_hit_hot_ns"] ?? Number.POSITIVE_INFINITY, ns);
    }
    if (sum === 0) throw new Error("no page was found");
    const address = store.page(one, PageType.data);
    let started = hostClock.monotonic();
    for (let i = 0; i < 1_000_000; i++) store.changed(address, 128 + (i & 127) * 64, 8);
    figures["changed_ns"] = ((hostClock.monotonic() - started) * 1000) / 1000;
    await store.durable();

    const groups = 3000;
    let bytes = storage.counters.groupBytes;
    let latencies = 0;
    started = hostClock.monotonic();
    for (let group = 0; group < groups; group++) {
      for (let t = 0; t < 8; t++) await retrying(() => transaction(store, pages));
      const waited = hostClock.monotonic();
      await store.durable();
      latencies += hostClock.monotonic() - waited;
    }
    const seconds = (hostClock.monotonic() - started) / 1000;
    figures["groups_per_s"] = groups / seconds;
    figures["transactions_per_s"] = (groups * 8) / seconds;
    figures["group_kib"] = (storage.counters.groupBytes - bytes) / groups / 1024;
    figures["durable_us"] = (latencies / groups) * 1000;

    // A half begins when the other is full, and its checkpoint follows: what is written from then on until the half is
    // full itself is the most that a restart usually finds.
    const fillUntil = async (done: () => boolean): Promise<void> => {
      while (!done()) {
        for (let t = 0; t < 100; t++) await retrying(() => transaction(store, pages));
        await store.durable();
      }
    };
    await storage.checkpoint();
    const passes = storage.counters.checkpoints;
    await fillUntil(() => storage.counters.checkpoints > passes);
    bytes = storage.counters.groupBytes;
    await fillUntil(() => storage.counters.groupBytes - bytes > 56 << 20);
    figures["journal_mib_before_restart"] = (storage.counters.groupBytes - bytes) / (1 << 20);
    storage.abandon();
    started = hostClock.monotonic();
    storage = open(folder, false);
    figures["restart_ms"] = hostClock.monotonic() - started;
    figures["restart_pages"] = storage.recovery.pagesRecovered;
    figures["restart_groups"] = storage.recovery.groupsApplied;
    store = storage.shards[0]!;
    await storage.close();
    return figures;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
