/**
 * Records of a log that is only ever appended to: `length u32 | place u32 | number u64 | checksum u64 | payload | padding
 * to 8`. The checksum is XXH64 over number, the checksum before it, and the payload, so records form a chain, and a record
 * of another log or place cannot pass. `place` counts the records of one write: a write is made of several when they came
 * together.
 *
 * Invariant: a write begins only when the one before it is synced. So a damaged record with a whole one of a later write
 * behind it is corruption, and a damaged end is a torn write that nobody was told of.
 */
import type { XXHashAPI } from "xxhash-wasm";

export const recordHeadBytes = 24;
export const recordBytesMax = 64 * 1024 * 1024;

const sumHeadBytes = 20;
/** What is summed, in one piece: one call costs less than a state and two updates. Larger records go in parts. */
const summed = Buffer.alloc(16 * 1024);
const summedView = new DataView(summed.buffer, summed.byteOffset, summed.length);

function recordChecksum(hash: XXHashAPI, number: number, chain: bigint, payload: Uint8Array): bigint {
  summedView.setUint32(0, number % 4294967296, true);
  summedView.setUint32(4, Math.floor(number / 4294967296), true);
  summedView.setBigUint64(8, chain, true);
  summedView.setUint32(16, payload.length, true);
  const size = sumHeadBytes + payload.length;
  if (size > summed.length)
    return hash.create64().update(summed.subarray(0, sumHeadBytes)).update(payload).digest();
  summed.set(payload, sumHeadBytes);
  return hash.h64Raw(summed.subarray(0, size));
}

/**
 * Records of these payloads, back to back: numbered behind `number`, chained to `chain`, of one write whose first record has
 * the place `place`.
 */
export function encodeRecords(
  hash: XXHashAPI,
  number: number,
  place: number,
  chain: bigint,
  payloads: readonly Uint8Array[],
): { bytes: Uint8Array; chain: bigint } {
  let size = 0;
  for (const { length } of payloads) size += recordHeadBytes + Math.ceil(length / 8) * 8;
  const bytes = Buffer.alloc(size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  let last = chain;
  let at = 0;
  for (const [index, payload] of payloads.entries()) {
    const own = number + 1 + index;
    last = recordChecksum(hash, own, last, payload);
    view.setUint32(at, payload.length, true);
    view.setUint32(at + 4, place + index, true);
    view.setUint32(at + 8, own % 4294967296, true);
    view.setUint32(at + 12, Math.floor(own / 4294967296), true);
    view.setBigUint64(at + 16, last, true);
    bytes.set(payload, at + recordHeadBytes);
    at += recordHeadBytes + Math.ceil(payload.length / 8) * 8;
  }
  return { bytes, chain: last };
}

/** The record at `at` if it is whole, carries `number` and follows `chain`. */
export function decodeRecord(
  hash: XXHashAPI,
  bytes: Buffer,
  at: number,
  number: number,
  chain: bigint,
): { payload: Uint8Array; end: number; chain: bigint } | undefined {
  if (at + recordHeadBytes > bytes.length) return undefined;
  const length = bytes.readUInt32LE(at);
  const end = at + recordHeadBytes + Math.ceil(length / 8) * 8;
  if (length > recordBytesMax || end > bytes.length) return undefined;
  if (bytes.readUInt32LE(at + 8) + bytes.readUInt32LE(at + 12) * 4294967296 !== number) return undefined;
  const payload = bytes.subarray(at + recordHeadBytes, at + recordHeadBytes + length);
  const checksum = bytes.readBigUInt64LE(at + 16);
  if (recordChecksum(hash, number, chain, payload) !== checksum) return undefined;
  return { payload, end, chain: checksum };
}

/**
 * Number of a record that stands whole somewhere behind a damaged one, which begins at `from` and should be `damaged`. That it
 * was written after it is proven
 *
 * - by two neighbouring records that chain: the first one's checksum is known, because records lie back to back;
 * - by one that chains to the damaged record itself (of which `chain` is the predecessor), be it by the checksum that stands
 *   there or by the one that its content should have,
 *
 * unless it was written together with the damaged one: then all of them are one torn write.
 */
export function findRecord(
  hash: XXHashAPI,
  bytes: Buffer,
  from: number,
  damaged = 0,
  chain?: bigint,
): number | undefined {
  const isLater = (place: number, number: number): boolean =>
    number - bytes.readUInt32LE(place + 4) > damaged;
  const start = Math.ceil(from / 8) * 8;
  const chains = chain === undefined ? [] : chainsOf(hash, bytes, start, damaged, chain);
  for (let at = start; at + recordHeadBytes <= bytes.length; at += 8) {
    for (const one of chains)
      if (decodeRecord(hash, bytes, at, damaged + 1, one) !== undefined && isLater(at, damaged + 1))
        return damaged + 1;
    const length = bytes.readUInt32LE(at);
    if (length === 0 || length > recordBytesMax) continue;
    const next = at + recordHeadBytes + Math.ceil(length / 8) * 8;
    if (next + recordHeadBytes > bytes.length) continue;
    const number = Number(bytes.readBigUInt64LE(at + 8));
    if (!Number.isSafeInteger(number)) continue;
    if (decodeRecord(hash, bytes, next, number + 1, bytes.readBigUInt64LE(at + 16)) === undefined) continue;
    if (isLater(next, number + 1)) return number + 1;
  }
  return undefined;
}

/** What the successor of a damaged record may chain to. */
function chainsOf(hash: XXHashAPI, bytes: Buffer, at: number, number: number, chain: bigint): bigint[] {
  if (at + recordHeadBytes > bytes.length) return [];
  const stored = bytes.readBigUInt64LE(at + 16);
  const end = at + recordHeadBytes + bytes.readUInt32LE(at);
  if (end > bytes.length) return [stored];
  return [stored, recordChecksum(hash, number, chain, bytes.subarray(at + recordHeadBytes, end))];
}
