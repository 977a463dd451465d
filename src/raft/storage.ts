/**
 * What a member must not forget, in one folder: term, vote, commit and log as one chain of records, and the newest
 * snapshot beside it. Whatever a step asks to be kept goes in one write with one sync.
 *
 *     log-0000000000000003    head, then records (`records.ts`): where the log begins, hard states, entries
 *     snapshot-0000000000001000    head, then the state machine's state as of entry 1000
 *
 * The first byte of a record is its kind. An entry at an index that is there already replaces it and all behind it. When a
 * snapshot makes entries superfluous, what is left goes to a new file under the next number, whole before it has its name. An
 * own snapshot is written while the log goes on; one of the leader's stands in for it.
 *
 * Invariants: nothing is answered before its sync returned; the snapshot that a log begins behind is durable before the
 * log; a torn end is dropped, damage with a whole later write behind it is XX001 and never guessed over; after a failed
 * write or sync of the log nothing is accepted any more (MGA-52): whether the bytes arrived only a restart can tell, and it
 * writes what it has read anew before it relies on it (`renew`). What fails before a snapshot and its new log have their names
 * costs nothing: the old log goes on.
 */
import type { XXHashAPI } from "xxhash-wasm";
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { assert, DbError } from "../base/errors.js";
import type { Disk, DiskFile } from "../platform/index.js";
import { entry as entryField, memberSetField } from "./codec.js";
import type { Entry, HardState, MemberId, MemberSet, Snapshot } from "./contract.js";
import { decodeRecord, encodeRecords, findRecord } from "./records.js";

const logMagic = 0x52424c53;
const snapshotMagic = 0x53424c53;
const formatVersion = 1;
const headBytes = 32;
const draftEnd = ".new";
const draftName = `log${draftEnd}`;

const recordKind = { base: 1, hard: 2, entry: 3 } as const;

/** Where a log begins. */
export interface LogBase {
  readonly index: number;
  readonly term: number;
  readonly members: MemberSet;
}

/** What opening found. */
export interface Recovered {
  readonly id: MemberId;
  readonly hard: HardState;
  /** Known to be committed; at least the snapshot's index. */
  readonly commit: number;
  readonly base: LogBase;
  readonly snapshot: Snapshot | undefined;
  readonly entries: readonly Entry[];
}

/** One step's share of a write. */
export interface Change {
  readonly hard?: HardState | undefined;
  readonly commit?: number | undefined;
  readonly install?: Snapshot | undefined;
  readonly append?: readonly Entry[] | undefined;
}

export interface RaftStorageOptions {
  readonly disk: Disk;
  readonly hash: XXHashAPI;
  readonly folder: string;
}

const padded = (number: number): string => String(number).padStart(16, "0");

export class RaftStorage {
  readonly #disk: Disk;
  readonly #hash: XXHashAPI;
  readonly #folder: string;
  #file: DiskFile | undefined;
  #generation = 0;
  #position = 0;
  #number = 0;
  #chain = 0n;
  #id: MemberId = 0;
  #hard: HardState = { term: 0, vote: 0 };
  #commit = 0;
  #fenced: DbError | undefined;
  #writing: Promise<void> | undefined;
  /** Written beside the log or being written, and without its name yet. */
  #prepared: { readonly index: number; readonly draft: string } | undefined;
  #preparing: Promise<void> | undefined;
  #bytesSinceSnapshot = 0;
  readonly recovered: Recovered | undefined;
  /** What `create` has written. */
  created: Recovered | undefined;

  /** Opens what is there; `recovered` is undefined in an empty folder. @throws DbError XX001, F0000 */
  constructor(options: RaftStorageOptions) {
    this.#disk = options.disk;
    this.#hash = options.hash;
    this.#folder = options.folder;
    this.#disk.makeFolderSync(this.#folder);
    this.recovered = this.#recover();
  }

  /** Bytes of records written since the last snapshot. */
  get bytesSinceSnapshot(): number {
    return this.#bytesSinceSnapshot;
  }

  /** Something failed, and nothing is accepted any more. */
  get isFenced(): boolean {
    return this.#fenced !== undefined;
  }

  /** The first file of a member. A member of a group that exists has `commit` 0 and gets everything from its leader. */
  create(id: MemberId, base: LogBase): void {
    assert(this.recovered === undefined && this.#file === undefined, "a member is created once");
    this.#id = id;
    const { index: commit } = base;
    this.#startFile(base, this.#hard, commit, []);
    this.created = { id, hard: this.#hard, commit, base, snapshot: undefined, entries: [] };
  }

  /**
   * Writes anew what was read, before anybody relies on it: a process that was killed as it wrote, or whose sync had failed, has
   * left bytes in the system's memory that a later power failure takes back, and a vote or an acknowledgement with them. A
   * second sync of the same file may say that all is well; it has to do where there is no room for another file.
   * @throws DbError ioError (58030): nothing is accepted
   */
  renew(): void {
    assert(this.recovered !== undefined && this.#file !== undefined, "there is a log");
    const { base, snapshot, entries } = this.recovered;
    try {
      this.#startFile(base, this.#hard, this.#commit, entries);
      this.#removeOthers(snapshot?.index ?? 0);
    } catch (error) {
      if (this.#fenced !== undefined || !(error instanceof DbError) || error.condition !== "diskFull")
        throw this.#fence(error);
      try {
        this.#removeDrafts();
        this.#file.syncSync();
      } catch (cause) {
        throw this.#fence(cause);
      }
    }
  }

  /**
   * Makes changes durable, in order. Resolves when they are.
   * @throws DbError ioError (58030): nothing is accepted any more. Whatever a snapshot's files met before they had their
   *   names (53100: no room): then nothing is changed, and more is accepted (`isFenced`)
   */
  async write(changes: readonly Change[]): Promise<void> {
    if (this.#fenced !== undefined) throw this.#fenced;
    assert(this.#writing === undefined, "one write at a time");
    const writing = this.#write(changes);
    this.#writing = writing.catch(() => {});
    try {
      await writing;
    } finally {
      this.#writing = undefined;
    }
  }

  async #write(changes: readonly Change[]): Promise<void> {
    const at = changes.findLastIndex(({ install }) => install !== undefined);
    const { install, append } = changes[at] ?? {};
    if (install !== undefined) {
      // What came before is in the snapshot, but for term and vote.
      const hard = changes.slice(0, at + 1).findLast((one) => one.hard !== undefined)?.hard ?? this.#hard;
      // The leader's is newer than one of its own that is on its way.
      this.#dropPrepared();
      this.#removeDrafts();
      this.#disk.writeFileSync(this.#snapshotPath(install.index), this.#encodeSnapshot(install));
      this.#replaceLog(install.index, install, hard, install.index, append ?? []);
    }
    try {
      await this.#append(changes.slice(at + 1));
    } catch (cause) {
      throw this.#fence(cause);
    }
  }

  async #append(changes: readonly Change[]): Promise<void> {
    const payloads = new Payloads();
    let { hard } = { hard: this.#hard };
    let commit = this.#commit;
    for (const change of changes) {
      if (change.hard !== undefined) hard = change.hard;
      if (change.commit !== undefined) commit = Math.max(commit, change.commit);
    }
    // Torn behind any record, a write leaves no entry of a term that is not known, and no commit of an entry that is not there.
    if (hard !== this.#hard) payloads.hard(hard, this.#commit);
    for (const { append } of changes) for (const one of append ?? []) payloads.entry(one);
    if (commit !== this.#commit) payloads.hard(hard, commit);
    if (payloads.length === 0) return;
    const { bytes, chain } = encodeRecords(this.#hash, this.#number, 0, this.#chain, payloads.all());
    const file = this.#file;
    assert(file !== undefined, "a member has its log");
    try {
      await file.write(bytes, this.#position);
    } catch (error) {
      // A write that met a full disk is begun anew once there is room; what a sync has met nobody can tell.
      if (!(error instanceof DbError) || error.condition !== "diskFull" || this.#prepared === undefined)
        throw error;
      this.#dropPrepared();
      if (this.#preparing !== undefined) await this.#preparing;
      await file.write(bytes, this.#position);
    }
    await file.sync();
    this.#position += bytes.length;
    this.#bytesSinceSnapshot += bytes.length;
    this.#chain = chain;
    this.#number += payloads.length;
    this.#hard = hard;
    this.#commit = commit;
  }

  /**
   * Writes a snapshot of the own state machine beside the log, which is written on meanwhile; durable when it resolves. It takes
   * the place of no entry before `compact`, and gives its room to the log where that finds none.
   * @throws DbError ioError (58030), diskFull (53100): nothing is changed
   */
  async prepare(snapshot: Snapshot): Promise<void> {
    if (this.#fenced !== undefined) throw this.#fenced;
    assert(this.#preparing === undefined, "one snapshot at a time");
    this.#dropPrepared();
    this.#removeDrafts();
    const preparing = this.#writeBeside(snapshot);
    this.#preparing = preparing.catch(() => {});
    try {
      await preparing;
      if (this.#prepared === undefined) throw this.#gaveWay();
    } catch (error) {
      this.#dropPrepared();
      throw error;
    } finally {
      this.#preparing = undefined;
    }
  }

  /** The file is closed when it resolves: one that is removed keeps its room until then. */
  async #writeBeside(snapshot: Snapshot): Promise<void> {
    const draft = `${this.#snapshotPath(snapshot.index)}${draftEnd}`;
    const file = this.#disk.openSync(draft, { create: true });
    this.#prepared = { index: snapshot.index, draft };
    try {
      // To the system at once: where there is no room for it, it takes none from the log's next write. The disk takes its time.
      file.writeSync(this.#encodeSnapshot(snapshot), 0);
    } catch (error) {
      file.closeSync();
      this.#dropPrepared();
      throw error;
    }
    try {
      await file.sync();
    } finally {
      file.closeSync();
    }
  }
  #gaveWay(): DbError {
    return new DbError("diskFull", "a snapshot has made room for the consensus log, or for a newer one");
  }
  #dropPrepared(): void {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    if (prepared !== undefined) this.#disk.removeSync(prepared.draft);
  }

  /** The snapshot that was prepared is not needed any more. @throws what the disk throws: nothing is changed */
  discard(): void {
    this.#dropPrepared();
  }

  /**
   * The log goes on behind `base` with `kept`, and what was prepared has the rest. Blocks.
   * @throws what `write` throws; diskFull (53100): what was prepared has given its room to the log
   */
  compact(base: LogBase, kept: readonly Entry[]): void {
    if (this.#fenced !== undefined) throw this.#fenced;
    assert(this.#writing === undefined, "one write at a time");
    assert(this.#preparing === undefined, "a snapshot was prepared");
    if (this.#prepared === undefined) throw this.#gaveWay();
    const { index, draft } = this.#prepared;
    assert(base.index <= index, "a log begins where its snapshot ends, or before");
    this.#prepared = undefined;
    this.#disk.renameSync(draft, this.#snapshotPath(index));
    this.#disk.syncFolderSync(this.#folder);
    this.#replaceLog(index, base, this.#hard, Math.max(this.#commit, index), kept);
  }

  /** Behind a snapshot that is there. */
  #replaceLog(
    snapshotIndex: number,
    base: LogBase,
    hard: HardState,
    commit: number,
    entries: readonly Entry[],
  ): void {
    this.#removeDrafts();
    this.#startFile(base, hard, commit, entries, () =>
      this.#disk.removeSync(this.#snapshotPath(snapshotIndex)),
    );
    try {
      this.#removeOthers(snapshotIndex);
    } catch (cause) {
      throw this.#fence(cause);
    }
    this.#bytesSinceSnapshot = 0;
  }

  /** Nothing more is accepted; resolves when a write under way has ended and the file is closed. */
  async close(): Promise<void> {
    this.#fenced ??= new DbError("adminShutdown", "the consensus log is closed");
    if (this.#writing !== undefined) await this.#writing;
    if (this.#preparing !== undefined) await this.#preparing;
    this.#dropPrepared();
    this.#file?.closeSync();
    this.#file = undefined;
  }

  #fence(cause: unknown): DbError {
    this.#fenced ??= new DbError(
      "ioError",
      "the consensus log failed to write; the node takes no part until it is restarted",
      {},
      cause,
    );
    return this.#fenced;
  }

  // --- files -----------------------------------------------------------------------------------------------------

  /** `takeBack`: what to undo when the file cannot be written; the one before goes on then. */
  #startFile(
    base: LogBase,
    hard: HardState,
    commit: number,
    entries: readonly Entry[],
    takeBack = (): void => {},
  ): void {
    const generation = this.#generation + 1;
    const path = `${this.#folder}/log-${padded(generation)}`;
    const draft = `${this.#folder}/${draftName}`;
    const { bytes, number, chain } = this.#encodeFile(generation, base, hard, commit, entries);
    try {
      this.#writeDraft(draft, bytes);
    } catch (cause) {
      if (this.#disk.existsSync(draft)) this.#disk.removeSync(draft);
      takeBack();
      throw cause;
    }
    try {
      this.#disk.renameSync(draft, path);
      this.#disk.syncFolderSync(this.#folder);
      this.#file?.closeSync();
      this.#file = this.#disk.openSync(path);
    } catch (cause) {
      throw this.#fence(cause);
    }
    this.#generation = generation;
    this.#position = bytes.length;
    this.#number = number;
    this.#chain = chain;
    this.#hard = hard;
    this.#commit = commit;
  }

  #encodeFile(
    generation: number,
    base: LogBase,
    hard: HardState,
    commit: number,
    entries: readonly Entry[],
  ): { bytes: Uint8Array; number: number; chain: bigint } {
    const head = Buffer.alloc(headBytes);
    head.writeUInt32LE(logMagic, 0);
    head.writeUInt32LE(formatVersion, 4);
    head.writeBigUInt64LE(BigInt(generation), 8);
    head.writeUInt32LE(this.#id, 16);
    const headSum = this.#hash.h64Raw(head.subarray(0, 24));
    head.writeBigUInt64LE(headSum, 24);
    const payloads = new Payloads();
    payloads.base(base);
    payloads.hard(hard, commit);
    for (const one of entries) payloads.entry(one);
    const { bytes, chain } = encodeRecords(this.#hash, 0, 0, headSum, payloads.all());
    return { bytes: Buffer.concat([head, bytes]), number: payloads.length, chain };
  }

  #writeDraft(draft: string, bytes: Uint8Array): void {
    if (this.#disk.existsSync(draft)) this.#disk.removeSync(draft);
    const file = this.#disk.openSync(draft, { create: true });
    try {
      file.writeSync(bytes, 0);
      file.syncSync();
    } finally {
      file.closeSync();
    }
  }

  #snapshotPath(index: number): string {
    return `${this.#folder}/snapshot-${padded(index)}`;
  }

  #encodeSnapshot(snapshot: Snapshot): Uint8Array {
    const writer = new ByteWriter(snapshot.data.length + 128);
    writer.u64(snapshot.index).u64(snapshot.term);
    memberSetField.write(writer, snapshot.members);
    writer.bytes(snapshot.data);
    const head = Buffer.alloc(16);
    head.writeUInt32LE(snapshotMagic, 0);
    head.writeUInt32LE(formatVersion, 4);
    head.writeBigUInt64LE(this.#hash.h64Raw(writer.written), 8);
    return Buffer.concat([head, writer.written]);
  }

  /** What a write that did not come to its end has left takes room, and nothing else. */
  #removeDrafts(): void {
    for (const name of this.#disk.listSync(this.#folder))
      if (name.endsWith(draftEnd)) this.#disk.removeSync(`${this.#folder}/${name}`);
  }

  /** Logs and snapshots that the newest ones replace. */
  #removeOthers(snapshotIndex: number): void {
    for (const name of this.#disk.listSync(this.#folder)) {
      const [kind, number] = [name.slice(0, name.indexOf("-")), Number(name.slice(name.indexOf("-") + 1))];
      if (kind === "log" ? number < this.#generation : kind === "snapshot" && number !== snapshotIndex)
        this.#disk.removeSync(`${this.#folder}/${name}`);
    }
  }

  // --- opening ---------------------------------------------------------------------------------------------------

  #recover(): Recovered | undefined {
    this.#removeDrafts();
    const names = this.#disk.listSync(this.#folder).filter((name) => /^log-\d{16}$/.test(name));
    const name = names.at(-1);
    if (name === undefined) return undefined;
    const path = `${this.#folder}/${name}`;
    const file = this.#disk.openSync(path);
    const bytes = Buffer.alloc(file.size());
    file.readSync(bytes, 0);
    if (
      bytes.length < headBytes ||
      bytes.readUInt32LE(0) !== logMagic ||
      bytes.readBigUInt64LE(24) !== this.#hash.h64Raw(bytes.subarray(0, 24))
    )
      throw new DbError("dataCorrupted", `the head of the consensus log ${path} is damaged`);
    checkFormat(path, bytes.readUInt32LE(4));
    this.#generation = Number(bytes.readBigUInt64LE(8));
    this.#id = bytes.readUInt32LE(16);
    this.#chain = bytes.readBigUInt64LE(24);
    const found = this.#replay(file, path, bytes);
    const snapshot = this.#findSnapshot(found.base, found.entries);
    this.#commit = Math.max(this.#commit, snapshot?.index ?? 0);
    this.#file = file;
    const last = found.base.index + found.entries.length;
    if (this.#commit > last)
      throw new DbError(
        "dataCorrupted",
        `the consensus log ${path} ends at entry ${last}, but entry ${this.#commit} was committed`,
      );
    return { id: this.#id, hard: this.#hard, commit: this.#commit, snapshot, ...found };
  }

  #replay(file: DiskFile, path: string, bytes: Buffer): { base: LogBase; entries: Entry[] } {
    let base: LogBase | undefined;
    const entries: Entry[] = [];
    let at = headBytes;
    for (;;) {
      const record = decodeRecord(this.#hash, bytes, at, this.#number + 1, this.#chain);
      if (record === undefined) break;
      try {
        const reader = new ByteReader(record.payload);
        const kind = reader.u8();
        if (kind === recordKind.base) {
          base = { index: reader.u64(), term: reader.u64(), members: memberSetField.read(reader) };
        } else if (kind === recordKind.hard) {
          this.#hard = { term: reader.u64(), vote: reader.u32() };
          this.#commit = reader.u64();
        } else if (kind === recordKind.entry && base !== undefined) {
          const entry = entryField.read(reader);
          const place = entry.index - base.index - 1;
          if (place < 0 || place > entries.length)
            throw new MalformedBytes(`entry ${entry.index} has no place`);
          entries.length = place;
          entries.push(entry);
        } else throw new MalformedBytes(`kind ${kind}`);
        reader.end();
      } catch (error) {
        if (!(error instanceof MalformedBytes)) throw error;
        // Its checksum holds: it was written so.
        throw new DbError(
          "dataCorrupted",
          `the consensus log ${path} holds nonsense at byte ${at}: ${error.message}`,
        );
      }
      this.#number++;
      this.#chain = record.chain;
      at = record.end;
    }
    // The first records were whole before the file had its name.
    if (base === undefined) throw new DbError("dataCorrupted", `the consensus log ${path} has no beginning`);
    if (at < bytes.length) {
      const behind = findRecord(this.#hash, bytes, at, this.#number + 1, this.#chain);
      if (behind !== undefined)
        throw new DbError(
          "dataCorrupted",
          `the consensus log ${path} is damaged at byte ${at}: record ${this.#number + 1} does not verify, but record ${behind} behind it is whole`,
          { hint: "Remove this node from the cluster and join it anew: what it acknowledged is lost here." },
        );
      file.truncateSync(at);
      file.syncSync();
    }
    this.#position = at;
    this.#bytesSinceSnapshot = at;
    return { base, entries };
  }

  /**
   * The newest snapshot that belongs to the log. One that does not was on its way in when the node ended: it was written,
   * and the log that begins behind it was not.
   */
  #findSnapshot(base: LogBase, entries: readonly Entry[]): Snapshot | undefined {
    const names = this.#disk.listSync(this.#folder).filter((name) => /^snapshot-\d{16}$/.test(name));
    for (const name of names.reverse()) {
      const snapshot = this.#readSnapshot(`${this.#folder}/${name}`);
      const term = snapshot.index === base.index ? base.term : entries[snapshot.index - base.index - 1]?.term;
      if (term === snapshot.term) return snapshot;
    }
    if (base.index === 0) return undefined;
    throw new DbError(
      "dataCorrupted",
      `the consensus log begins behind entry ${base.index}, but its snapshot is missing`,
    );
  }

  #readSnapshot(path: string): Snapshot {
    const bytes = Buffer.from(this.#disk.readFileSync(path));
    if (
      bytes.length < 16 ||
      bytes.readUInt32LE(0) !== snapshotMagic ||
      bytes.readBigUInt64LE(8) !== this.#hash.h64Raw(bytes.subarray(16))
    )
      throw new DbError("dataCorrupted", `the snapshot of the consensus log ${path} is damaged`);
    checkFormat(path, bytes.readUInt32LE(4));
    const reader = new ByteReader(bytes.subarray(16));
    const index = reader.u64();
    const term = reader.u64();
    return { index, term, members: memberSetField.read(reader), data: reader.bytes() };
  }
}

function checkFormat(path: string, format: number): void {
  if (format === formatVersion) return;
  throw new DbError("configFileError", `${path} has format ${format}; this version reads ${formatVersion}`);
}

/** Payloads of records that are written together, in one piece of memory. */
class Payloads {
  readonly #writer = new ByteWriter(4096);
  readonly #ends: number[] = [];

  get length(): number {
    return this.#ends.length;
  }
  base({ index, term, members }: LogBase): void {
    this.#writer.u8(recordKind.base).u64(index).u64(term);
    memberSetField.write(this.#writer, members);
    this.#ends.push(this.#writer.length);
  }
  hard({ term, vote }: HardState, commit: number): void {
    this.#writer.u8(recordKind.hard).u64(term).u32(vote).u64(commit);
    this.#ends.push(this.#writer.length);
  }
  entry(entry: Entry): void {
    this.#writer.u8(recordKind.entry);
    entryField.write(this.#writer, entry);
    this.#ends.push(this.#writer.length);
  }
  /** Lent until the next payload. */
  all(): Uint8Array[] {
    const { written } = this.#writer;
    return this.#ends.map((end, at) => written.subarray(this.#ends[at - 1] ?? 0, end));
  }
}
