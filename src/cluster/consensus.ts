/**
 * The log that the control plane's state is applied from, as an interface (D14), and its one-node provider: entries in
 * checksummed segments under `raft/`, each synced before it is applied. A cluster's Raft is the other provider.
 *
 * Segment file: header (magic, format, index of its first entry, chain value before it), then records as in
 * `raft/records.ts`, numbered by index.
 *
 * Invariants: an entry is applied only after its sync returned; entries are applied in index order, once. At open a
 * torn tail is dropped (it was never acknowledged); a damaged record with a whole one of a later write behind it is
 * corruption (XX001), since a write begins when the one before it is synced: nothing is guessed. After a failed sync nothing is accepted any more (MGA-52).
 */
import type { XXHashAPI } from "xxhash-wasm";
import { assert, DbError } from "../base/errors.js";
import type { Disk, DiskFile } from "../platform/index.js";
import { decodeRecord, encodeRecords, findRecord, recordBytesMax } from "../raft/index.js";

export interface ConsensusLog {
  /** Index of the last entry applied here. */
  readonly appliedIndex: number;
  /**
   * Resolves with the entry's index once it is committed and applied on this node. Rejects with 57P03 where no quorum
   * is reached, ioError once the log is fenced.
   */
  propose(command: Uint8Array): Promise<number>;
  /** State as of `appliedIndex`, taken now: entries up to it are no longer needed. */
  saveSnapshot(state: Uint8Array): void;
  /** Bytes of entries since the last snapshot. */
  readonly bytesSinceSnapshot: number;
  close(): void;
}

export interface LocalLogOptions {
  readonly disk: Disk;
  readonly hash: XXHashAPI;
  readonly folder: string;
  readonly restore: (state: Uint8Array, index: number) => void;
  readonly apply: (command: Uint8Array, index: number) => void;
  readonly segmentBytesMax?: number;
}

const segmentMagic = 0x4c434253; // "SBCL"
const snapshotMagic = 0x53434253; // "SBCS"
const formatVersion = 1;
const headerBytes = 32;
/** A segment being made; what a crash leaves of it is written over by the next. */
const draftName = "segment.new";

export function openLocalLog(options: LocalLogOptions): ConsensusLog {
  return new LocalLog(options);
}

class LocalLog implements ConsensusLog {
  readonly #disk: Disk;
  readonly #hash: XXHashAPI;
  readonly #folder: string;
  readonly #apply: (command: Uint8Array, index: number) => void;
  readonly #segmentBytesMax: number;
  #file: DiskFile;
  #position = headerBytes;
  #chain = 0n;
  #appliedIndex = 0;
  #bytesSinceSnapshot = 0;
  #fenced: DbError | undefined;
  /** Proposals wait here while a write is under way; one write and one sync take them all. */
  #waiting: { command: Uint8Array; resolve: (index: number) => void; reject: (error: unknown) => void }[] =
    [];
  #writing = false;

  constructor(options: LocalLogOptions) {
    this.#disk = options.disk;
    this.#hash = options.hash;
    this.#folder = options.folder;
    this.#apply = options.apply;
    this.#segmentBytesMax = options.segmentBytesMax ?? 16 * 1024 * 1024;
    this.#disk.makeFolderSync(this.#folder);
    const snapshot = this.#readSnapshot();
    if (snapshot !== undefined) {
      options.restore(snapshot.state, snapshot.index);
      this.#appliedIndex = snapshot.index;
      this.#chain = snapshot.chain;
    }
    this.#file = this.#replay();
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  get bytesSinceSnapshot(): number {
    return this.#bytesSinceSnapshot;
  }

  propose(command: Uint8Array): Promise<number> {
    if (this.#fenced !== undefined) return Promise.reject(this.#fenced);
    if (command.length > recordBytesMax) {
      return Promise.reject(
        new DbError("programLimitExceeded", `catalog change of ${command.length} bytes is too large`),
      );
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ command, resolve, reject });
      if (!this.#writing) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0 && this.#fenced === undefined) {
      const group = this.#waiting;
      this.#waiting = [];
      const commands = group.map(({ command }) => command);
      const { bytes, chain } = encodeRecords(this.#hash, this.#appliedIndex, 0, this.#chain, commands);
      try {
        if (this.#position + bytes.length > this.#segmentBytesMax && this.#position > headerBytes)
          this.#roll();
        await this.#file.write(bytes, this.#position);
        await this.#file.sync();
      } catch (cause) {
        // Whether the bytes arrived is unknown: only a restart, reading the file, can tell.
        const fence = this.#fence(cause);
        for (const waiter of group) waiter.reject(fence);
        break;
      }
      this.#position += bytes.length;
      this.#bytesSinceSnapshot += bytes.length;
      this.#chain = chain;
      for (const waiter of group) {
        this.#appliedIndex++;
        this.#apply(waiter.command, this.#appliedIndex);
        waiter.resolve(this.#appliedIndex);
      }
    }
    this.#writing = false;
    if (this.#fenced !== undefined) {
      for (const waiter of this.#waiting) waiter.reject(this.#fenced);
      this.#waiting = [];
    }
  }

  saveSnapshot(state: Uint8Array): void {
    if (this.#fenced !== undefined) throw this.#fenced;
    const head = Buffer.alloc(headerBytes);
    head.writeUInt32LE(snapshotMagic, 0);
    head.writeUInt32LE(formatVersion, 4);
    head.writeBigUInt64LE(BigInt(this.#appliedIndex), 8);
    head.writeBigUInt64LE(this.#chain, 16);
    head.writeBigUInt64LE(this.#hash.h64Raw(Buffer.concat([head.subarray(0, 24), state])), 24);
    this.#disk.writeFileSync(`${this.#folder}/snapshot`, Buffer.concat([head, state]));
    this.#bytesSinceSnapshot = 0;
    if (!this.#writing) {
      try {
        this.#roll();
      } catch (cause) {
        this.#fence(cause);
        throw this.#fenced;
      }
    }
    for (const name of this.#segments().slice(0, -1)) this.#disk.removeSync(`${this.#folder}/${name}`);
  }

  #fence(cause: unknown): DbError {
    this.#fenced ??= new DbError(
      "ioError",
      "the catalog log failed to sync; the node refuses changes until it is restarted",
      {},
      cause,
    );
    return this.#fenced;
  }

  close(): void {
    this.#fenced ??= new DbError("adminShutdown", "the catalog log is closed");
    this.#file.closeSync();
  }

  #segments(): string[] {
    return this.#disk.listSync(this.#folder).filter((name) => name.endsWith(".log"));
  }

  #readSnapshot(): { state: Uint8Array; index: number; chain: bigint } | undefined {
    const path = `${this.#folder}/snapshot`;
    if (!this.#disk.existsSync(path)) return undefined;
    const bytes = Buffer.from(this.#disk.readFileSync(path));
    const damaged =
      bytes.length < headerBytes ||
      bytes.readUInt32LE(0) !== snapshotMagic ||
      bytes.readBigUInt64LE(24) !==
        this.#hash.h64Raw(Buffer.concat([bytes.subarray(0, 24), bytes.subarray(headerBytes)]));
    if (damaged) throw new DbError("dataCorrupted", `the catalog snapshot ${path} is damaged`);
    if (bytes.readUInt32LE(4) !== formatVersion) {
      throw new DbError(
        "configFileError",
        `the catalog snapshot ${path} has format ${bytes.readUInt32LE(4)}; this version reads ${formatVersion}`,
      );
    }
    return {
      index: Number(bytes.readBigUInt64LE(8)),
      chain: bytes.readBigUInt64LE(16),
      state: bytes.subarray(headerBytes),
    };
  }

  #replay(): DiskFile {
    const names = this.#segments();
    if (names.length === 0) return this.#create();
    let file: DiskFile | undefined;
    names.forEach((name, place) => {
      file?.closeSync();
      const path = `${this.#folder}/${name}`;
      file = this.#disk.openSync(path);
      this.#replaySegment(file, path, place === names.length - 1);
    });
    assert(file !== undefined, "a log has at least one segment");
    return file;
  }

  #replaySegment(file: DiskFile, path: string, last: boolean): void {
    const size = file.size();
    const bytes = Buffer.alloc(size);
    file.readSync(bytes, 0);
    const headerWhole =
      size >= headerBytes &&
      bytes.readUInt32LE(0) === segmentMagic &&
      bytes.readBigUInt64LE(24) === this.#hash.h64Raw(bytes.subarray(0, 24));
    if (!headerWhole) {
      // A segment is synced with its header before its first entry: a torn header means no entry was accepted.
      if (last && findRecord(this.#hash, bytes, headerBytes) === undefined) {
        this.#writeHeader(file);
        this.#position = headerBytes;
        return;
      }
      throw new DbError("dataCorrupted", `the head of the catalog log segment ${path} is damaged`);
    }
    if (bytes.readUInt32LE(4) !== formatVersion) {
      throw new DbError(
        "configFileError",
        `the catalog log ${path} has format ${bytes.readUInt32LE(4)}; this version reads ${formatVersion}`,
      );
    }
    let index = Number(bytes.readBigUInt64LE(8)) - 1;
    let chain = bytes.readBigUInt64LE(16);
    if (index > this.#appliedIndex) {
      throw new DbError(
        "dataCorrupted",
        `the catalog log misses the entries ${this.#appliedIndex + 1} to ${index} before ${path}`,
      );
    }
    let at = headerBytes;
    for (;;) {
      const record = decodeRecord(this.#hash, bytes, at, index + 1, chain);
      if (record === undefined) break;
      index++;
      chain = record.chain;
      if (index > this.#appliedIndex) {
        this.#apply(record.payload, index);
        this.#appliedIndex = index;
        this.#chain = chain;
        this.#bytesSinceSnapshot += record.end - at;
      }
      at = record.end;
    }
    if (at < size) {
      const behind = findRecord(this.#hash, bytes, at + 8, index + 1);
      if (behind !== undefined || !last) {
        throw new DbError(
          "dataCorrupted",
          `the catalog log ${path} is damaged at byte ${at}: entry ${index + 1} does not verify${behind === undefined ? "" : `, but entry ${behind} behind it is whole`}`,
        );
      }
      file.truncateSync(at);
    }
    // What a killed process had written and not synced is relied upon from here on.
    if (last) file.syncSync();
    this.#position = at;
  }

  /** Written under another name first: a segment that has its name has its header. */
  #create(): DiskFile {
    const path = `${this.#folder}/${String(this.#appliedIndex + 1).padStart(16, "0")}.log`;
    const draftPath = `${this.#folder}/${draftName}`;
    const draft = this.#disk.openSync(draftPath, { create: true });
    try {
      this.#writeHeader(draft);
    } finally {
      draft.closeSync();
    }
    this.#disk.renameSync(draftPath, path);
    this.#disk.syncFolderSync(this.#folder);
    const file = this.#disk.openSync(path);
    this.#position = headerBytes;
    return file;
  }

  #writeHeader(file: DiskFile): void {
    const head = Buffer.alloc(headerBytes);
    head.writeUInt32LE(segmentMagic, 0);
    head.writeUInt32LE(formatVersion, 4);
    head.writeBigUInt64LE(BigInt(this.#appliedIndex + 1), 8);
    head.writeBigUInt64LE(this.#chain, 16);
    head.writeBigUInt64LE(this.#hash.h64Raw(head.subarray(0, 24)), 24);
    file.truncateSync(0);
    file.writeSync(head, 0);
    file.syncSync();
  }

  /** Goes on in a new segment, which is there before the old one is left: on a full disk the old one grows on. */
  #roll(): void {
    if (this.#position === headerBytes) return;
    const before = this.#file;
    try {
      this.#file = this.#create();
    } catch (error) {
      if (error instanceof DbError && error.condition === "diskFull") return;
      throw error;
    }
    before.closeSync();
  }
}
