/** Storage of a node: pages of its shards over one frame pool and one journal. */
import { assert } from "../base/errors.js";
import type { Platform } from "../platform/index.js";
import type { EngineMemory } from "../wasm/index.js";
import { adoptIdentity, createShardFile, shardFolder, shardPath } from "./create.js";
import type { PageKernels } from "./kernels.js";
import { FixedPage, PageHead } from "./layouts.js";
import { type NodeStorage, ShardStore } from "./pager.js";
import { FramePool } from "./pool.js";
import { ReadTimes, ShardFile } from "./shard-file.js";

export { type BulkPages, type PageStore, PageType, type PoolMemory } from "./contract.js";
export type { PageKernels } from "./kernels.js";
export { PageHead, pageBodyStart } from "./layouts.js";

export interface StorageOptions {
  readonly platform: Pick<Platform, "clock" | "random" | "disk">;
  readonly memory: EngineMemory;
  readonly kernels: PageKernels;
  readonly pageSize: number;
  readonly shardCount: number;
  readonly create?: boolean;
  readonly databaseUuid?: Uint8Array;
}

export interface Storage {
  readonly shards: readonly ShardStore[];
  close(): Promise<void>;
}

export function openStorage(options: StorageOptions): Storage {
  const { memory, kernels, pageSize } = options;
  const { disk, clock, random } = options.platform;
  const frames = new FramePool(memory, pageSize);
  const readTimes = new ReadTimes(0.2);
  const stores: ShardStore[] = [];
  const node: NodeStorage = {
    frames,
    readTimes,
    reserve: () => undefined,
    framesFreed: () => clock.yield(),
    durable: () => Promise.resolve(),
    writeBulkPages: async () => undefined,
    inPlace: () => undefined,
  };
  for (let shard = 1; shard <= options.shardCount; shard++) {
    if (options.create === true) {
      disk.makeFolderSync(shardFolder(shard));
      createShardFile(disk, random, memory, kernels, {
        shard,
        pageSize,
        databaseUuid: options.databaseUuid ?? new Uint8Array(16),
        createdAtMs: clock.now(),
      });
    }
    const file = new ShardFile(
      shard,
      disk.openSync(shardPath(shard)),
      pageSize,
      memory,
      kernels,
      clock,
      readTimes,
    );
    const address = memory.scratch.start;
    file.file.readSync(memory.u8.subarray(address, address + pageSize), FixedPage.header);
    file.tagLow = memory.view.getUint32(address + PageHead.databaseTag, true);
    file.tagHigh = memory.view.getUint32(address + PageHead.databaseTag + 4, true);
    adoptIdentity(file, memory, address, options.databaseUuid);
    const store = new ShardStore(node, file);
    store.load();
    stores.push(store);
  }
  assert(stores.length > 0, "a node has a shard");
  return { shards: stores, close: async () => undefined };
}
