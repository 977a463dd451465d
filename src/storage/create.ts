/**
 * Making a shard's file: the fixed pages, written and synced before anything refers to the file.
 *
 * Layout: `shards/shard_NNN/pages`; page 0 header, 1 system, 2 objects, 3 free map; pages 4 and 5 are reserved.
 */
import { DbError } from "../base/errors.js";
import type { Disk, DiskFile, Random } from "../platform/index.js";
import type { EngineMemory } from "../wasm/index.js";
import { PageType } from "./contract.js";
import type { PageKernels } from "./kernels.js";
import {
  FileHeader,
  FixedPage,
  firstFreePage,
  formatVersion,
  PageHead,
  pageBodyStart,
  pageMagic,
  pageSizes,
  pageVersion,
  writeNumber,
} from "./layouts.js";
import type { ShardFile } from "./shard-file.js";

export function shardFolder(shard: number): string {
  return `shards/shard_${String(shard).padStart(3, "0")}`;
}
export function shardPath(shard: number): string {
  return `${shardFolder(shard)}/pages`;
}

export interface NewShard {
  readonly shard: number;
  readonly pageSize: number;
  readonly databaseUuid: Uint8Array;
  readonly createdAtMs: number;
}

/** Writes and syncs a new file of the fixed pages. Throws DbError (ioError, diskFull). */
export function createShardFile(
  disk: Disk,
  random: Random,
  memory: EngineMemory,
  kernels: PageKernels,
  plan: NewShard,
): void {
  const { pageSize } = plan;
  const identity = new Uint8Array(32);
  random.fill(identity);
  const file = disk.openSync(shardPath(plan.shard), { create: true });
  // The scratch region serves: nothing else runs while a shard is made.
  const at = memory.scratch.start;
  const view = memory.view;
  const types: readonly PageType[] = [
    PageType.fileHeader,
    PageType.system,
    PageType.objects,
    PageType.freeMap,
  ];
  for (let page = 0; page < firstFreePage; page++) {
    memory.u8.fill(0, at, at + pageSize);
    const type = types[page];
    if (type !== undefined) {
      view.setUint32(at + PageHead.magic, pageMagic, true);
      view.setUint16(at + PageHead.type, type, true);
      view.setUint16(at + PageHead.version, pageVersion, true);
      writeNumber(view, at + PageHead.pageNumber, page);
      memory.u8.set(identity.subarray(0, 8), at + PageHead.databaseTag);
    }
    const body = at + pageBodyStart;
    if (page === FixedPage.header) {
      view.setUint32(body + FileHeader.formatVersion, formatVersion, true);
      view.setUint32(body + FileHeader.minimumReader, formatVersion, true);
      view.setUint32(body + FileHeader.pageSize, pageSize, true);
      view.setUint32(body + FileHeader.shard, plan.shard, true);
      memory.u8.set(plan.databaseUuid, body + FileHeader.databaseUuid);
      memory.u8.set(identity.subarray(8, 24), body + FileHeader.shardUuid);
      memory.u8.set(identity.subarray(24, 32), body + FileHeader.incarnation);
      writeNumber(view, body + FileHeader.createdAtMs, Math.floor(plan.createdAtMs));
      writeNumber(view, body + FileHeader.pagesTotal, firstFreePage);
    } else if (page === FixedPage.freeMap) {
      memory.u8[body] = (1 << firstFreePage) - 1;
    }
    if (type !== undefined) kernels.pageChecksumStore(at, pageSize);
    file.writeSync(memory.u8.subarray(at, at + pageSize), page * pageSize);
  }
  file.syncSync();
  file.closeSync();
}

/** Page size said by a file's header, so that a wrong one is named before any page is read. */
export function readHeaderSize(file: DiskFile): number {
  const head = new Uint8Array(pageBodyStart + FileHeader.size);
  const damaged = (what: string): DbError =>
    new DbError("dataCorrupted", `page 0 of file "${file.path}" ${what}`, {
      hint: "Restore the file from a backup or another copy of the shard.",
    });
  if (file.readSync(head, 0) !== head.length) throw damaged("lies beyond the end of the file");
  const view = new DataView(head.buffer);
  if (view.getUint32(PageHead.magic, true) !== pageMagic) throw damaged("has no page magic");
  const size = view.getUint32(pageBodyStart + FileHeader.pageSize, true);
  if (!pageSizes.includes(size)) throw damaged(`names an impossible page size, ${size}`);
  return size;
}

/** Takes a file's identity from its header page at `address`. Throws DbError dataCorrupted or featureNotSupported. */
export function adoptIdentity(
  file: ShardFile,
  memory: EngineMemory,
  address: number,
  databaseUuid: Uint8Array | undefined,
): void {
  const view = memory.view;
  const body = address + pageBodyStart;
  const format = view.getUint32(body + FileHeader.minimumReader, true);
  if (format > formatVersion) {
    throw new DbError(
      "featureNotSupported",
      `file "${file.path}" needs storage format ${format}; this program knows up to ${formatVersion}`,
      { hint: "Start the version that wrote the file, or a newer one." },
    );
  }
  if (view.getUint32(body + FileHeader.encryption, true) !== 0) {
    throw new DbError("featureNotSupported", `file "${file.path}" is encrypted, which is not supported yet`);
  }
  const shard = view.getUint32(body + FileHeader.shard, true);
  if (shard !== file.shard) throw file.corrupted(FixedPage.header, `is that of shard ${shard}`);
  if (databaseUuid !== undefined) {
    for (let i = 0; i < 16; i++) {
      if (memory.u8[body + FileHeader.databaseUuid + i] !== databaseUuid[i]) {
        throw file.corrupted(FixedPage.header, "belongs to another database");
      }
    }
  }
  file.incarnationLow = view.getUint32(body + FileHeader.incarnation, true);
  file.incarnationHigh = view.getUint32(body + FileHeader.incarnation + 4, true);
}
