/**
 * One shard's data file: where its pages lie, what tells them from any other bytes, and how long reading takes.
 *
 * Invariants: bytes read from disk are believed only after magic, checksum, page number, database tag and version
 * agree (MGA-51); a page goes out only with all of them set. Failures name file and page (XX001).
 */
import { DbError } from "../base/errors.js";
import type { Clock, DiskFile } from "../platform/index.js";
import type { EngineMemory } from "../wasm/index.js";
import type { PageKernels } from "./kernels.js";
import { PageHead, pageMagic, pageVersion, readNumber } from "./layouts.js";

/** Moving average of page read times, shared by the node's shards: decides inline or through the thread pool (M2). */
export class ReadTimes {
  averageMs = 0;
  /** Reads above this average leave the loop. */
  readonly limitMs: number;
  constructor(limitMs: number) {
    this.limitMs = limitMs;
  }
  note(elapsedMs: number): void {
    this.averageMs += (elapsedMs - this.averageMs) / 8;
  }
  get slow(): boolean {
    return this.averageMs > this.limitMs;
  }
}

export class ShardFile {
  readonly shard: number;
  readonly path: string;
  readonly file: DiskFile;
  readonly pageSize: number;
  /** Identity, from page 0; the tag and incarnation as two 32-bit halves, low first. */
  tagLow = 0;
  tagHigh = 0;
  incarnationLow = 0;
  incarnationHigh = 0;
  readonly #memory: EngineMemory;
  readonly #kernels: PageKernels;
  readonly #clock: Clock;
  readonly #times: ReadTimes;
  /** Pages written in place since the last sync. */
  unsynced = false;

  constructor(
    shard: number,
    file: DiskFile,
    pageSize: number,
    memory: EngineMemory,
    kernels: PageKernels,
    clock: Clock,
    times: ReadTimes,
  ) {
    this.shard = shard;
    this.file = file;
    this.path = file.path;
    this.pageSize = pageSize;
    this.#memory = memory;
    this.#kernels = kernels;
    this.#clock = clock;
    this.#times = times;
  }

  /** Reads a page to `address` and checks it. Throws DbError dataCorrupted or ioError. */
  readSync(page: number, address: number): void {
    const started = this.#clock.monotonic();
    const got = this.file.readSync(this.#at(address), page * this.pageSize);
    this.#times.note(this.#clock.monotonic() - started);
    this.#check(page, address, got);
  }

  async read(page: number, address: number): Promise<void> {
    const started = this.#clock.monotonic();
    const got = await this.file.read(this.#at(address), page * this.pageSize);
    this.#times.note(this.#clock.monotonic() - started);
    this.#check(page, address, got);
  }

  /** What is wrong with the page image at `address`, undefined when nothing is. */
  flaw(page: number, address: number): string | undefined {
    const view = this.#memory.view;
    const magic = view.getUint32(address + PageHead.magic, true);
    if (magic !== pageMagic) return magic === 0 ? "is empty" : "has no page magic";
    if (!this.#kernels.pageChecksumMatches(address, this.pageSize)) return "has a wrong checksum";
    const number = readNumber(view, address + PageHead.pageNumber);
    if (number !== page) return `holds page ${number}`;
    if (
      view.getUint32(address + PageHead.databaseTag, true) !== this.tagLow ||
      view.getUint32(address + PageHead.databaseTag + 4, true) !== this.tagHigh
    ) {
      return "belongs to another file";
    }
    const version = view.getUint16(address + PageHead.version, true);
    if (version > pageVersion) return `has version ${version}, newer than this program's`;
    return undefined;
  }

  corrupted(page: number, flaw: string): DbError {
    return new DbError("dataCorrupted", `page ${page} of file "${this.path}" ${flaw}`, {
      hint: "Restore the page from a backup or another copy of the shard.",
    });
  }

  writeSync(page: number, pages: number, address: number): void {
    this.unsynced = true;
    this.file.writeSync(
      this.#memory.u8.subarray(address, address + pages * this.pageSize),
      page * this.pageSize,
    );
  }

  #at(address: number): Uint8Array {
    return this.#memory.u8.subarray(address, address + this.pageSize);
  }

  #check(page: number, address: number, got: number): void {
    if (got !== this.pageSize) throw this.corrupted(page, "lies beyond the end of the file");
    const flaw = this.flaw(page, address);
    if (flaw !== undefined) throw this.corrupted(page, flaw);
  }
}
