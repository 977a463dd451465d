/**
 * The audit chain of this node as it grows: events are appended here, become durable with the page journal's next group, and
 * lie in the segments of `files.ts`.
 *
 *     append -> buffer -> next group of the journal (durable)          -> at open: back into the segment
 *                  \----> segment, unsynced -> synced before the half of the journal is written over
 *
 * An append is synchronous and waits for nothing: whoever must not go on before it is durable asks `durable`. The others'
 * events go with the next commit, or with a group of their own a moment later. Runs of events are signed each second, or each
 * thousand (chain.ts).
 *
 * Invariants (AUD-6, 26): an event is in the chain whole or not at all, and in order; nothing is appended to a chain that is
 * broken, and nothing is dropped: what cannot be appended is an error for whoever does what the event tells of. Memory is
 * bounded by the buffer. What the journal's control block remembers of the chain is there at every open, or the chain is broken.
 */
import { hash as hashWith } from "node:crypto";
import { assert, DbError } from "../base/errors.js";
import type { Clock, Disk, DiskFile, Random, Timer } from "../platform/index.js";
import type { JournalRider, RiderMark, RiderSeat } from "../storage/contract.js";
import { type ChainHead, headLine, readLine, runDigest, runLine, type Severity } from "./chain.js";
import { auditFolder, claimedSequence, lastHeadOf, listSegments, segmentPath } from "./files.js";
import { ChainVerifier } from "./verify.js";

/** Who signs: the node's key, and the certificate it has now. */
export interface RunSigner {
  /** SHA-256 of the certificate, hexadecimal. */
  readonly certFingerprint: string;
  /** Base64. */
  sign(digest: Uint8Array): string;
}

export interface AuditLogOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly cluster: string;
  readonly node: string;
  /** CRITICAL conditions: the chain takes no more events, for the reason that is told. */
  readonly onBroken?: ((reason: string) => void) | undefined;
  readonly bufferBytes?: number;
  /** A segment that has grown so large is the last but one, soon. */
  readonly segmentBytes?: number;
}

/** Most of an event's line besides type and payload. */
const lineOverhead = 640;
const eventsPerRun = 1000;
const runMs = 1000;
/** An event that nobody waits for is durable that much later at most. */
const groupMs = 100;
const writeBytes = 64 << 10;
const diskFullRetryMs = 500;
const uuidsDrawn = 256;
const noHash = new Uint8Array(32);

export class AuditLog implements JournalRider {
  readonly #options: AuditLogOptions;
  readonly #buffer: Buffer;
  readonly #segmentBytes: number;
  /** Offsets in the buffer: what no group has yet, what no file has yet, what is free. */
  #ungrouped = 0;
  #unwritten = 0;
  #end = 0;
  #sequence = 0;
  #hash: Uint8Array = noHash;
  #hashText = "-";
  #durable = 0;
  #grouped = 0;
  #signed = 0;
  #unsignedSince = 0;
  #signer: (() => RunSigner) | undefined;
  #file: DiskFile | undefined;
  #position = 0;
  #unsynced = false;
  #mark: RiderMark = { sequence: 0, hash: noHash };
  #problem: string | undefined;
  #diskFull: DbError | undefined;
  #seat: RiderSeat | undefined;
  #timer: Timer | undefined;
  #closed = false;
  /** Pieces that the journal's groups hold, while it is opened. */
  #replayed: Uint8Array[] = [];
  /** Hashes of events behind the mark, as the segment has them, while it is opened. */
  #found = new Map<number, string>();
  #timeMs = -1;
  #timeText = "";
  #uuids = Buffer.alloc(0);
  #uuidAt = 0;
  #uuidMs = -1;
  #uuidPrefix = "";
  /** Since start. */
  appended = 0;
  failures = 0;
  runs = 0;

  constructor(options: AuditLogOptions) {
    this.#options = options;
    this.#buffer = Buffer.alloc(options.bufferBytes ?? 4 << 20);
    this.#segmentBytes = options.segmentBytes ?? 8 << 20;
  }

  get head(): ChainHead {
    return { sequence: this.#sequence, hash: this.#sequence === 0 ? undefined : this.#hash };
  }
  get sequence(): number {
    return this.#sequence;
  }
  /** Hexadecimal, of the last event. */
  get hashText(): string {
    return this.#hashText;
  }
  get unsigned(): number {
    return this.#sequence - this.#signed;
  }
  get durableSequence(): number {
    return this.#durable;
  }
  /** Why nothing is appended any more; undefined: all is well. */
  get problem(): string | undefined {
    return this.#problem ?? this.#seat?.fence?.message;
  }

  get isStopped(): boolean {
    return this.#closed;
  }

  // --- appending -----------------------------------------------------------------------------------------------------

  /**
   * Appends an event and answers its sequence; `hashText` is its hash then.
   * @param payload canonical JSON
   * @throws DbError 58030 (the chain is broken, the node is fenced, the journal does not keep up), 53100 (disk full)
   */
  append(
    type: string,
    severity: Severity,
    user: string | null,
    session: string | null,
    payload: string,
  ): number {
    this.#makeRoom((payload.length + type.length) * 3 + lineOverhead);
    const buffer = this.#buffer;
    const sequence = this.#sequence + 1;
    let at = this.#end;
    at += buffer.write(`E ${this.#hashText} `, at, "latin1");
    const hashAt = at;
    at += 65;
    // Keys in their canonical order: `eventText` of the same event is the same text.
    const text = `{"event_sequence":${sequence},"event_type":"${type}","event_uuid":"${this.#uuid()}","node_uuid":"${this.#options.node}","payload":${payload},"session_uuid":${session === null ? "null" : `"${session}"`},"severity":"${severity}","timestamp":"${this.#time()}","user_uuid":${user === null ? "null" : `"${user}"`}}`;
    const end = at + buffer.write(text, at, "utf8");
    // The hash before goes where the next line will be, so that what is hashed lies in one piece.
    if (sequence > 1) buffer.set(this.#hash, end);
    const hashText = hashWith("sha256", buffer.subarray(at, sequence > 1 ? end + 32 : end), "hex");
    buffer.write(hashText, hashAt, "latin1");
    buffer[at - 1] = 32;
    const hash = Buffer.from(hashText, "hex");
    buffer[end] = 10;
    this.#end = end + 1;
    if (this.#signed === this.#sequence) this.#unsignedSince = this.#options.clock.monotonic();
    this.#sequence = sequence;
    this.#hash = hash;
    this.#hashText = hashText;
    this.appended++;
    if (sequence - this.#signed >= eventsPerRun) this.sign();
    this.#touch();
    return sequence;
  }

  #makeRoom(bytes: number): void {
    const refusal = this.refusal(bytes);
    if (refusal === undefined) return;
    this.failures++;
    throw refusal;
  }

  /** Why an event of that size cannot be appended now. */
  refusal(bytes = lineOverhead): DbError | undefined {
    if (this.#problem !== undefined) return brokenChain(this.#problem);
    const seat = this.#seat;
    assert(seat !== undefined, "the chain is appended to when storage is open");
    if (this.#closed) return new DbError("adminShutdown", "the audit chain is closed: the node is stopping");
    if (seat.fence !== undefined) return seat.fence;
    if (this.#end + bytes > this.#buffer.length) {
      this.#write();
      this.#compact();
      if (this.#end + bytes > this.#buffer.length) {
        this.#hurry();
        return this.#diskFull ?? behind();
      }
    }
    return seat.hasRoom(bytes) ? undefined : behind();
  }

  /** Half full: whoever can wait does, on `progress`. */
  get isPressed(): boolean {
    return this.#end - Math.min(this.#ungrouped, this.#unwritten) > this.#buffer.length >>> 1;
  }
  /** Resolves when a group took what waits. */
  progress(): Promise<void> {
    this.#hurry();
    return this.#seat!.progress();
  }
  /** A group soon; who fails with it is told by the fence. */
  #hurry(): void {
    this.#seat!.durable().catch(() => undefined);
  }

  /** Resolves once the event is durable. @throws DbError 58030: the node is fenced */
  durable(sequence: number): Promise<void> {
    return sequence <= this.#durable ? Promise.resolve() : this.#seat!.durable();
  }

  #compact(): void {
    const from = Math.min(this.#ungrouped, this.#unwritten);
    if (from === 0) return;
    this.#buffer.copyWithin(0, from, this.#end);
    this.#ungrouped -= from;
    this.#unwritten -= from;
    this.#end -= from;
  }

  #time(): string {
    const now = this.#options.clock.now();
    const ms = Math.floor(now);
    if (ms !== this.#timeMs) {
      this.#timeMs = ms;
      this.#timeText = new Date(ms).toISOString().slice(0, -1);
    }
    const micros = Math.floor((now - ms) * 1000);
    return `${this.#timeText}${micros < 10 ? "00" : micros < 100 ? "0" : ""}${micros}Z`;
  }

  /** UUID v7. */
  #uuid(): string {
    const ms = Math.floor(this.#options.clock.now());
    if (ms !== this.#uuidMs) {
      this.#uuidMs = ms;
      const hex = ms.toString(16).padStart(12, "0");
      this.#uuidPrefix = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7`;
    }
    if (this.#uuidAt === this.#uuids.length) {
      if (this.#uuids.length === 0) this.#uuids = Buffer.alloc(uuidsDrawn * 10);
      this.#options.random.fill(this.#uuids);
      this.#uuidAt = 0;
    }
    const at = this.#uuidAt;
    this.#uuidAt = at + 10;
    const hex = this.#uuids.toString("hex", at, at + 10);
    const variant = "89ab"[this.#uuids[at]! & 3]!;
    return `${this.#uuidPrefix}${hex.slice(1, 4)}-${variant}${hex.slice(5, 8)}-${hex.slice(8, 20)}`;
  }

  // --- signatures ----------------------------------------------------------------------------------------------------

  /** From here on runs are signed, with what `signer` answers then. */
  signWith(signer: () => RunSigner): void {
    this.#signer = signer;
    if (this.unsigned > 0) this.#touch();
  }

  /** Signs all events that are not. */
  sign(): void {
    if (this.#signer === undefined || this.#signed === this.#sequence) return;
    // A signature that finds no room comes later, with the next one.
    if (this.refusal(lineOverhead) !== undefined) return;
    const { certFingerprint, sign } = this.#signer();
    const line = runLine(this.#sequence, certFingerprint, sign(runDigest(this.#options.node, this.head)));
    this.#end += this.#buffer.write(line, this.#end, "latin1");
    this.#signed = this.#sequence;
    this.runs++;
  }

  // --- time ----------------------------------------------------------------------------------------------------------

  #touch(): void {
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = this.#options.clock.after(groupMs, () => {
      this.#timer = undefined;
      this.#tick();
    });
  }

  #tick(): void {
    if (this.#closed || this.problem !== undefined) return;
    const { clock } = this.#options;
    if (this.unsigned > 0 && clock.monotonic() - this.#unsignedSince >= runMs) this.sign();
    if (this.#end - this.#unwritten >= writeBytes || this.#unwritten < this.#ungrouped) this.#write();
    if (this.waitingBytes > 0) this.#hurry();
    if (
      this.waitingBytes > 0 ||
      this.#unwritten < this.#end ||
      (this.unsigned > 0 && this.#signer !== undefined)
    )
      this.#touch();
  }

  /** Signs and writes all; nothing is appended any more. Storage is closed behind this, and makes it durable. */
  stop(): void {
    if (this.#closed) return;
    if (this.problem === undefined) {
      this.sign();
      this.#write();
    }
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
  close(): void {
    this.stop();
    this.#file?.closeSync();
    this.#file = undefined;
  }

  // --- files ---------------------------------------------------------------------------------------------------------

  /** Brings what is appended into the segment, so that it can be read there. */
  flush(): void {
    this.#write();
  }

  #write(): void {
    if (this.#unwritten === this.#end || this.#problem !== undefined || this.#file === undefined) return;
    const bytes = this.#buffer.subarray(this.#unwritten, this.#end);
    try {
      this.#file.writeSync(bytes, this.#position);
    } catch (error) {
      if (!(error instanceof DbError && error.condition === "diskFull")) {
        this.#break(`the segment cannot be written: ${messageOf(error)}`);
        return;
      }
      // It stays in the buffer until there is space, and the buffer has its bound.
      this.#diskFull = error;
      return;
    }
    this.#diskFull = undefined;
    this.#position += bytes.length;
    this.#unwritten = this.#end;
    this.#unsynced = true;
    if (this.#ungrouped === this.#end) {
      this.#ungrouped = 0;
      this.#unwritten = 0;
      this.#end = 0;
    }
  }

  #break(reason: string): void {
    if (this.#problem !== undefined) return;
    this.#problem = reason;
    this.#options.onBroken?.(reason);
  }
  /** What a check of the older part has found: from here on nothing is appended. */
  refuse(reason: string): void {
    this.#break(reason);
  }

  #startSegment(first: number): void {
    const { disk, cluster, node } = this.#options;
    this.#file?.closeSync();
    this.#file = disk.openSync(segmentPath(first), { create: true });
    const head = Buffer.from(headLine(cluster, node));
    this.#file.writeSync(head, 0);
    this.#file.syncSync();
    disk.syncFolderSync(auditFolder);
    this.#position = head.length;
  }

  // --- JournalRider --------------------------------------------------------------------------------------------------

  get waitingBytes(): number {
    return this.#end - this.#ungrouped;
  }

  take(into: Uint8Array): number {
    const bytes = Math.min(into.length, this.#end - this.#ungrouped);
    into.set(this.#buffer.subarray(this.#ungrouped, this.#ungrouped + bytes));
    this.#ungrouped += bytes;
    if (this.#ungrouped === this.#end) this.#grouped = this.#sequence;
    return bytes;
  }

  groupDurable(): void {
    this.#durable = this.#grouped;
  }

  seated(seat: RiderSeat): void {
    this.#seat = seat;
  }

  async settle(): Promise<RiderMark> {
    const { clock } = this.#options;
    for (;;) {
      if (this.#problem !== undefined) return this.#mark;
      this.#write();
      if (this.#diskFull === undefined) break;
      await new Promise<void>((resolve) => clock.after(diskFullRetryMs, resolve));
      if (this.#seat?.fence !== undefined) throw this.#seat.fence;
    }
    const mark = this.#here();
    if (this.#unsynced) {
      this.#unsynced = false;
      await this.#file!.sync();
    }
    this.#mark = mark;
    if (this.#position >= this.#segmentBytes) this.#roll();
    return mark;
  }

  #here(): RiderMark {
    return { sequence: this.#sequence, hash: this.#hash };
  }

  #roll(): void {
    // Events came meanwhile: another time, unless that would go on for ever.
    if (this.#unsynced || this.#unwritten < this.#end) {
      if (this.#position < 2 * this.#segmentBytes) return;
      this.#write();
      if (this.#diskFull !== undefined || this.#problem !== undefined) return;
      this.#file!.syncSync();
      this.#unsynced = false;
    }
    this.#startSegment(this.#sequence + 1);
  }

  // --- opening -------------------------------------------------------------------------------------------------------

  found(mark: RiderMark): void {
    this.#mark = mark;
    try {
      this.#load(mark);
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      this.#break(error.message);
    }
  }

  /** Reads and checks the newest segment: up to where it is whole it counts, if that is no less than what was synced. */
  #load(mark: RiderMark): void {
    const { disk, cluster, node } = this.#options;
    const segments = listSegments(disk);
    const newest = segments.at(-1);
    if (newest === undefined) {
      if (mark.sequence > 0) throw lost(mark.sequence, "its files are missing");
      disk.makeFolderSync(auditFolder);
      return;
    }
    const before = segments.at(-2);
    let from: ChainHead = { sequence: 0, hash: undefined };
    if (before !== undefined) from = lastHeadOf(disk, before);
    if (from.sequence + 1 !== newest.first)
      throw new DbError(
        "dataCorrupted",
        `the segment before "${newest.path}" ends with event ${from.sequence}`,
      );
    const file = disk.openSync(newest.path);
    this.#file = file;
    const bytes = Buffer.alloc(file.size());
    file.readSync(bytes, 0);
    let hash = from.hash;
    const verifier = new ChainVerifier({
      cluster,
      node,
      from,
      // What its certificates were only the cluster's state tells: signatures are verified when that is there.
      keyOf: () => noHash,
      verify: () => true,
      onEvent: (event, its) => {
        hash = its;
        if (event.event_sequence >= mark.sequence) this.#found.set(event.event_sequence, hexOf(its));
      },
    });
    let whole = 0;
    for (let at = 0; at < bytes.length; ) {
      const end = bytes.indexOf(10, at) + 1;
      if (end === 0 || !verifier.take(bytes.toString("utf8", at, end))) break;
      at = whole = end;
    }
    const { sequence } = verifier.head;
    const atMark = mark.sequence === from.sequence ? hexOf(from.hash) : this.#found.get(mark.sequence);
    if (sequence < mark.sequence)
      throw lost(mark.sequence, verifier.fault?.reason ?? `it ends with event ${sequence}`);
    if (mark.sequence >= newest.first - 1 && mark.sequence > 0 && atMark !== hexOf(mark.hash))
      throw lost(mark.sequence, `event ${mark.sequence} is another one`);
    this.#position = whole;
    this.#setHead({ sequence, hash });
    this.#signed = verifier.signedTo;
  }

  #setHead({ sequence, hash }: ChainHead): void {
    this.#sequence = sequence;
    this.#hash = hash ?? noHash;
    this.#hashText = hexOf(hash);
  }

  replay(piece: Uint8Array): void {
    this.#replayed.push(piece);
  }

  settled(): RiderMark {
    const text = Buffer.concat(this.#replayed);
    this.#replayed = [];
    const { disk, clock } = this.#options;
    const added = this.#problem === undefined ? this.#attach(text.toString("utf8")) : undefined;
    this.#found.clear();
    if (added === undefined) {
      // The journal begins anew: what it had and the chain does not take is kept for people to look at.
      if (text.length > 0) disk.writeFileSync(`${auditFolder}/unattached-${Math.floor(clock.now())}`, text);
      return this.#mark;
    }
    if (this.#file === undefined) this.#startSegment(1);
    const file = this.#file!;
    if (this.#position === 0) {
      const head = Buffer.from(headLine(this.#options.cluster, this.#options.node));
      file.writeSync(head, 0);
      this.#position = head.length;
    }
    if (file.size() > this.#position) file.truncateSync(this.#position);
    const bytes = Buffer.from(added);
    if (bytes.length > 0) file.writeSync(bytes, this.#position);
    this.#position += bytes.length;
    file.syncSync();
    this.#durable = this.#grouped = this.#sequence;
    this.#mark = this.#here();
    return this.#mark;
  }

  /** Those of the journal's lines that the segment does not have; undefined: they do not follow from it. */
  #attach(text: string): string | undefined {
    const { cluster, node } = this.#options;
    let added = "";
    const verifier = new ChainVerifier({
      cluster,
      node,
      from: this.head,
      keyOf: () => noHash,
      verify: () => true,
    });
    for (const line of text.split("\n")) {
      if (line === "") continue;
      const read = readLine(line);
      const sequence = read?.kind === "run" ? read.sequence : claimedSequence(line);
      if (read?.kind === "event" && sequence <= this.#sequence) {
        const known = this.#found.get(sequence);
        if (known !== undefined && known !== hexOf(read.hash)) {
          this.#break(`event ${sequence} in the segment is another one than the journal has`);
          return undefined;
        }
        continue;
      }
      if (read?.kind === "run" && (sequence <= this.#signed || sequence < verifier.head.sequence)) continue;
      if (!verifier.take(`${line}\n`)) {
        this.#break(
          `the journal's events do not follow from event ${this.#sequence}: ${verifier.fault!.reason}`,
        );
        return undefined;
      }
      if (read?.kind === "run") this.#signed = sequence;
      added += `${line}\n`;
    }
    this.#setHead(verifier.head);
    return added;
  }
}

const hexOf = (hash: Uint8Array | undefined): string =>
  hash === undefined ? "-" : Buffer.from(hash).toString("hex");
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function lost(sequence: number, why: string): DbError {
  return new DbError("dataCorrupted", `the chain was known to reach event ${sequence}, and does not: ${why}`);
}
function brokenChain(reason: string): DbError {
  return new DbError("ioError", "the audit chain of this node takes no more events", {
    detail: `${reason[0]!.toUpperCase()}${reason.slice(1)}.`,
    hint: "What must be audited is refused until the chain is whole: see docs/operations/audit.md.",
  });
}
function behind(): DbError {
  return new DbError("ioError", "the audit chain cannot be written as fast as it grows", {
    hint: "Try again.",
  });
}
