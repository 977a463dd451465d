/**
 * Where a node's chain lies: `audit/`, in segments named by the sequence of their first event, each a text of its own that
 * begins with a head line (`chain.ts`). One after the other they are the chain; only the newest one grows.
 *
 * Invariant: all segments but the newest are whole and synced.
 */
import { DbError } from "../base/errors.js";
import type { Disk, DiskFile } from "../platform/index.js";
import { type ChainHead, emptyChain, readLine } from "./chain.js";

export const auditFolder = "audit";
const nameDigits = 16;

export interface Segment {
  readonly path: string;
  /** Sequence of its first event. */
  readonly first: number;
}

export function segmentPath(first: number): string {
  return `${auditFolder}/${String(first).padStart(nameDigits, "0")}.chain`;
}

/** In order. */
export function listSegments(disk: Disk): Segment[] {
  const segments: Segment[] = [];
  for (const name of disk.listSync(auditFolder)) {
    const match = /^(\d{16})\.chain$/.exec(name);
    if (match !== null) segments.push({ path: `${auditFolder}/${name}`, first: Number(match[1]) });
  }
  return segments;
}

const pieceBytes = 256 << 10;
/** No server writes a longer line. */
export const lineBytesMax = 4 << 20;

/** Whole lines of a file, in pieces. A last line without its end is given as it is. */
function* linesOf(file: DiskFile): Generator<string> {
  let rest = Buffer.alloc(0);
  const buffer = Buffer.alloc(pieceBytes);
  for (let position = 0; ; ) {
    const got = file.readSync(buffer, position);
    if (got === 0) break;
    position += got;
    const bytes = Buffer.concat([rest, buffer.subarray(0, got)]);
    const end = bytes.lastIndexOf(10) + 1;
    if (end > 0) yield bytes.toString("utf8", 0, end);
    rest = Buffer.from(bytes.subarray(end));
    if (rest.length > lineBytesMax) break;
  }
  if (rest.length > 0) yield rest.toString("utf8");
}

/** Pieces of whole lines, from the segment that holds the event on. The chain is read as it is, right or wrong. */
export function* readChain(disk: Disk, from = 1): Generator<string> {
  const segments = listSegments(disk);
  for (const [at, segment] of segments.entries()) {
    const next = segments[at + 1];
    if (next !== undefined && next.first <= from) continue;
    const file = disk.openSync(segment.path);
    try {
      yield* linesOf(file);
    } finally {
      file.closeSync();
    }
  }
}

/** Sequence that an event's line claims; 0: the line is no event's. Unchecked. */
export function claimedSequence(line: string): number {
  if (line.charCodeAt(0) !== 69) return 0;
  const match = /^E \S+ \S+ \{"event_sequence":(\d{1,16})[,}]/.exec(line);
  return match === null ? 0 : Number(match[1]);
}

/** The last event that a finished segment holds, as its line says. @throws DbError dataCorrupted: there is none */
export function lastHeadOf(disk: Disk, { path }: Segment): ChainHead {
  const file = disk.openSync(path);
  try {
    const size = file.size();
    for (let bytes = 64 << 10; ; bytes *= 4) {
      const from = Math.max(0, size - bytes);
      const buffer = Buffer.alloc(size - from);
      file.readSync(buffer, from);
      const lines = buffer.toString("utf8").split("\n");
      for (const line of lines.slice(from === 0 ? 0 : 1).reverse()) {
        const sequence = claimedSequence(line);
        const read = sequence === 0 ? undefined : readLine(line);
        if (read?.kind === "event") return { sequence, hash: read.hash };
      }
      if (from === 0 || bytes > lineBytesMax) break;
    }
  } finally {
    file.closeSync();
  }
  throw new DbError("dataCorrupted", `file "${path}" ends with no event`);
}

/** The event before the one that verification begins with, as the chain itself has it (AUD-12). Undefined: it is not there. */
export function headBefore(disk: Disk, sequence: number): ChainHead | undefined {
  if (sequence <= 1) return emptyChain;
  for (const piece of readChain(disk, sequence - 1)) {
    for (const line of piece.split("\n")) {
      const claimed = claimedSequence(line);
      if (claimed < sequence - 1) continue;
      const read = readLine(line);
      return claimed === sequence - 1 && read?.kind === "event"
        ? { sequence: claimed, hash: read.hash }
        : undefined;
    }
  }
  return undefined;
}
