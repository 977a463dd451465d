/**
 * Where a node's chain lies: `audit/`, in segments named by the sequence of their first event, each a text of its own that
 * begins with a head line (`chain.ts`). One after the other they are the chain; only the newest one grows.
 *
 * Invariant: all segments but the newest are whole and synced.
 */
import { DbError } from "../base/errors.js";
import type { Disk } from "../platform/index.js";
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

const pieceBytes = 64 << 10;
/** No server writes a longer line. */
export const lineBytesMax = 4 << 20;

/** Where a line begins: in the segment whose first event is that one. */
export interface ChainPlace {
  readonly first: number;
  readonly offset: number;
}
export interface ChainPiece {
  /** Whole lines; only the last one of a chain that was cut has no end. */
  readonly text: string;
  /** Undefined: nothing follows. */
  readonly next: ChainPlace | undefined;
}

/** Begin of the segment that holds the event, or would. Undefined: there are no segments. */
export function placeOf(disk: Disk, from: number): ChainPlace | undefined {
  const segments = listSegments(disk);
  const segment = segments.findLast((one) => one.first <= from) ?? segments[0];
  return segment === undefined ? undefined : { first: segment.first, offset: 0 };
}

/** The next lines. Nothing stays open between two pieces. The chain is read as it is, right or wrong. */
export function readPiece(disk: Disk, { first, offset }: ChainPlace, bytesMax = pieceBytes): ChainPiece {
  const file = disk.openSync(segmentPath(first));
  try {
    const left = Math.max(0, file.size() - offset);
    for (let bytes = Math.min(bytesMax, left); ; bytes = Math.min(left, 4 * bytes)) {
      const buffer = Buffer.alloc(bytes);
      file.readSync(buffer, offset);
      const end = buffer.lastIndexOf(10) + 1;
      if (end === 0 && bytes < left && bytes < lineBytesMax) continue;
      const isLast = bytes === left || end === 0;
      const text = buffer.toString("utf8", 0, isLast ? bytes : end);
      if (!isLast) return { text, next: { first, offset: offset + end } };
      const following = listSegments(disk).find((one) => one.first > first);
      return { text, next: following && { first: following.first, offset: 0 } };
    }
  } finally {
    file.closeSync();
  }
}

/** Pieces from the segment that holds the event on. */
export function* readChain(disk: Disk, from = 1): Generator<string> {
  for (let place = placeOf(disk, from); place !== undefined; ) {
    const { text, next } = readPiece(disk, place);
    yield text;
    place = next;
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
