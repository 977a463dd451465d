/**
 * The bytes of every page and journal record that storage itself owns, in one place (little-endian).
 *
 * Every page opens with the same 128-byte head (design: page-prototype, "Recommended page"). The fields that row work
 * changes lie in its first 64-byte line; checksum and generation are set when the page goes in place and are not
 * journaled as lines of their own. Bodies begin at 128; those of heap, TIP and b-tree pages are declared by their owners.
 */
import { bytes, layout, u8, u16, u32, u64 } from "../base/layout.js";

export const pageMagic = 0x53425244;
/** Journal granularity: what one bit of a frame's change bitmap stands for. */
export const lineBytes = 64;
/** Alignment of everything written past the cache. */
export const blockBytes = 4096;

export const PageHead = layout("PageHead", 128, {
  magic: u32,
  type: u16,
  version: u16,
  /** 8..32 belong to the page's type (rows, capacity, heap bounds, writer base). */
  typeFields: bytes(24),
  /** A page read from the wrong place is refused. */
  pageNumber: u64,
  /** Times the page went in place. */
  generation: u64,
  reserved: bytes(8),
  nonce: bytes(24),
  tag: bytes(16),
  /** Storage id of the table or index (u64 in the first half); 0 for the file's own pages. */
  owner: bytes(16),
  checksum: u64,
  /** Random per shard file: a page of another file is refused. */
  databaseTag: u64,
});

export const pageBodyStart = PageHead.size;
export const pageVersion = 1;

/** Pages whose number is fixed for ever. */
export const FixedPage = { header: 0, system: 1, objects: 2, freeMap: 3 } as const;
export const firstFreePage = 6;

export const formatVersion = 1;

/** Body of page 0. */
export const FileHeader = layout("FileHeader", 128, {
  formatVersion: u32,
  /** Oldest program format that may open the file. */
  minimumReader: u32,
  pageSize: u32,
  shard: u32,
  databaseUuid: bytes(16),
  shardUuid: bytes(16),
  /** New at create, copy and reload: journal entries of another incarnation are skipped (V3). */
  incarnation: u64,
  createdAtMs: u64,
  /** 0 none; others are refused. */
  encryption: u32,
  reserved32: u32,
  /** Pages the file has been extended to; free ones included. */
  pagesTotal: u64,
  reserved: bytes(48),
});

/** Body of an objects page: then entries up to the end of the page. */
export const ObjectsHead = layout("ObjectsHead", 64, {
  /** Next objects page, 0 = last. */
  next: u64,
  reserved: bytes(56),
});
export const ObjectEntry = layout("ObjectEntry", 32, {
  storageId: u64,
  rootPage: u64,
  kind: u32,
  /** 1 in use. */
  used: u32,
  reserved: bytes(8),
});

/** A journal group's head; entries follow, zeros up to a multiple of 4 KiB. */
export const GroupHead = layout("GroupHead", 64, {
  magic: u32,
  version: u16,
  /** See groupFlags. */
  flags: u16,
  number: u64,
  /** Checksum of the group before: the chain. */
  predecessor: u64,
  journalId: u64,
  /** Bytes in use, head included. */
  length: u32,
  entries: u32,
  reserved: bytes(16),
  /** XXH64 over [0, length) with this field zero. */
  checksum: u64,
});
export const groupMagic = 0x47504253;
/** Without `final` a group takes effect only together with the next ones, up to a final one. */
export const groupFlags = { final: 1 } as const;

/** One page's changes: then `runs` pairs (first line u16, lines u16), padding to 8, then the lines' bytes. */
export const GroupEntry = layout("GroupEntry", 24, {
  incarnation: u64,
  pageNumber: u32,
  shard: u16,
  flags: u8,
  reserved: u8,
  runs: u32,
  lines: u32,
});
export const entryFlags = {
  /** The page begins as zeros: what is on disk does not matter. */
  fresh: 1,
  /** The page was written and synced in place without lines; earlier entries of it are void. */
  inPlace: 2,
  /** No page: `pageNumber` bytes of the rider's text (JournalRider), padded with zeros to whole lines. */
  rider: 4,
} as const;

/** Two alternating blocks at the head of the journal file say where a replay begins. */
export const ControlBlock = layout("ControlBlock", 128, {
  magic: u32,
  version: u32,
  sequence: u64,
  journalId: u64,
  halfBytes: u64,
  pageSize: u32,
  shardCount: u32,
  /** First group that may not be in place. */
  replayNumber: u64,
  replayPosition: u64,
  /** The predecessor checksum that this group carries. */
  replaySeed: u64,
  /** Double-write batches of earlier rounds are void. */
  doublewriteRound: u64,
  databaseUuid: bytes(16),
  /** 1: nothing was written behind the replay's start when this block was, and the files were closed. */
  closed: u32,
  reserved: bytes(28),
  checksum: u64,
});
/**
 * Behind the control block, with a checksum of its own: where the rider's text stood when the block was written. Zeros: no
 * rider was there.
 */
export const RiderMark = layout("RiderMark", 64, {
  sequence: u64,
  hash: bytes(32),
  reserved: bytes(16),
  checksum: u64,
});
export const riderMarkAt = 128;
export const controlMagic = 0x434a4253;
export const controlVersion = 1;
/** Room for the control blocks before the first half. */
export const controlBytes = 65536;

/** A double-write batch: head, list of pages, zeros up to a multiple of 4 KiB, then the page images. */
export const BatchHead = layout("BatchHead", 64, {
  magic: u32,
  pageSize: u32,
  journalId: u64,
  round: u64,
  sequence: u64,
  count: u32,
  /** Bytes before the first image. */
  headBytes: u32,
  reserved: bytes(16),
  /** XXH64 over [0, headBytes) with this field zero. */
  checksum: u64,
});
export const BatchEntry = layout("BatchEntry", 16, {
  incarnation: u64,
  pageNumber: u32,
  shard: u32,
});
export const batchMagic = 0x57444253;

export const pageSizes: readonly number[] = [8192, 16384, 32768, 65536, 131072];

/** Unsigned 64-bit fields as checked 53-bit numbers. */
export function readNumber(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 4294967296;
}
export function writeNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 4294967296), true);
}
