/**
 * UTF-8 checks at the edges: what clients send as text is decoded here or refused as PostgreSQL does (22021).
 *
 * Invariants: a string returned by `decodeUtf8` came from well-formed UTF-8 (RFC 3629) without the zero byte, which
 * no text value may hold.
 */
import { isUtf8 } from "node:buffer";
import { DbError } from "./errors.js";

/** Below this length a loop beats the call into the host's validator. */
const shortBytes = 48;

function isShortAscii(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte >= 0x80 || byte === 0) return false;
  }
  return true;
}

/**
 * The text in bytes [start, end).
 * @throws DbError characterNotInRepertoire (22021) naming the first bad byte sequence.
 */
export function decodeUtf8(bytes: Buffer, start = 0, end = bytes.length): string {
  if (end - start <= shortBytes) {
    if (isShortAscii(bytes, start, end)) return bytes.latin1Slice(start, end);
  }
  const part = bytes.subarray(start, end);
  if (!isUtf8(part) || part.indexOf(0) >= 0) throw invalidUtf8(part);
  return part.utf8Slice(0, part.length);
}

/** Length of the well-formed character at `at`, or 0 (RFC 3629, table 3-7 of Unicode: no overlong forms, no surrogates). */
export function utf8CharacterLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  if (lead < 0x80) return 1;
  const second = bytes[at + 1] ?? 0;
  if (lead >= 0xc2 && lead <= 0xdf) return (second & 0xc0) === 0x80 ? 2 : 0;
  const third = bytes[at + 2] ?? 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if ((second & 0xc0) !== 0x80 || (third & 0xc0) !== 0x80) return 0;
    if (lead === 0xe0 && second < 0xa0) return 0;
    return lead === 0xed && second > 0x9f ? 0 : 3;
  }
  if (lead < 0xf0 || lead > 0xf4) return 0;
  const fourth = bytes[at + 3] ?? 0;
  if ((second & 0xc0) !== 0x80 || (third & 0xc0) !== 0x80 || (fourth & 0xc0) !== 0x80) return 0;
  if (lead === 0xf0 && second < 0x90) return 0;
  return lead === 0xf4 && second > 0x8f ? 0 : 4;
}

/** The error for bytes that are not text, showing as many bytes as the lead byte announces. */
export function invalidUtf8(bytes: Uint8Array): DbError {
  let at = 0;
  while (at < bytes.length && bytes[at] !== 0) {
    const length = utf8CharacterLength(bytes, at);
    if (length === 0) break;
    at += length;
  }
  const lead = bytes[at] ?? 0;
  const announced = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 1;
  const shown = Array.from(
    bytes.subarray(at, at + announced),
    (byte) => `0x${byte.toString(16).padStart(2, "0")}`,
  );
  return new DbError(
    "characterNotInRepertoire",
    `invalid byte sequence for encoding "UTF8": ${shown.join(" ") || "0x00"}`,
  );
}
