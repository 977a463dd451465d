/** Stores for tests of the layers above: over a simulated disk, with the node's real pool and journal. */
import { SimDisk } from "../sim/disk.js";
import { SimRandom } from "../sim/random.js";
import { EngineMemory, type Kernels, twinKernels } from "../wasm/index.js";
import { openStorage, type ShardStore, type Storage, type StorageOptions } from "./index.js";

export interface TestStoreOptions {
  /** 16384 by default. */
  readonly pageSize?: number;
  /** Frames of the pool; 2048 by default. */
  readonly frames?: number;
  readonly seed?: number;
  readonly shards?: number;
  /** A disk that already holds a database is opened, an empty one gets a new database. */
  readonly disk?: SimDisk;
  /** Kernels over the store's memory; TypeScript twins by default. */
  readonly kernels?: (memory: EngineMemory) => Kernels;
  readonly storage?: Partial<StorageOptions>;
  /** Buffers of journal and checkpoint together; small ones split groups into parts. 4 MiB by default. */
  readonly groupBytes?: number;
  readonly arenaBytes?: number;
}

export function openTestStorage(options: TestStoreOptions = {}): Storage & { readonly disk: SimDisk } {
  const pageSize = options.pageSize ?? 16384;
  const disk = options.disk ?? new SimDisk({ seed: options.seed ?? 1 });
  const memory = new EngineMemory({
    pageSize,
    poolBytes: (options.frames ?? 2048) * pageSize,
    scratchBytes: 1 << 20,
    arenaBytes: options.arenaBytes ?? 32 << 20,
    groupBytes: options.groupBytes ?? 4 << 20,
  });
  const storage = openStorage({
    // The disk's own time: how long a read took must not depend on what else this machine does (rule M2 acts on it).
    platform: { clock: disk.clock, random: new SimRandom((options.seed ?? 1) + 17), disk },
    memory,
    kernels: (options.kernels ?? twinKernels)(memory),
    pageSize,
    shardCount: options.shards ?? 1,
    create: !disk.existsSync("journal/groups"),
    journalHalfBytes: 4 << 20,
    doublewriteBytes: 4 << 20,
    ...options.storage,
  });
  return Object.assign(storage, { disk });
}

/** One shard's store in a new database. */
export function openTestStore(options: TestStoreOptions = {}): ShardStore {
  return openTestStorage(options).shards[0]!;
}
