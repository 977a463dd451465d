/**
 * Merkle trees over event hashes (AUD-15), as RFC 6962 has them: a leaf is SHA-256 of 0x00 and its content, a node of 0x01 and
 * both halves, and a tree of n leaves splits at the largest power of two below n. One event is proved to belong to a
 * checkpoint by the hashes beside its path, without the others.
 *
 * Invariant: no leaf can pass for a node, and no two lists of leaves have the same root.
 */
import { hash as hashWith } from "node:crypto";
import { assert } from "../base/errors.js";

const leafMark = Uint8Array.of(0);
const nodeMark = Uint8Array.of(1);

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return hashWith("sha256", Buffer.concat(parts), "buffer");
}

export function leafHash(content: Uint8Array): Uint8Array {
  return sha256(leafMark, content);
}
function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(nodeMark, left, right);
}

/** Takes leaves one after the other, and holds as many hashes as the number of leaves has binary digits. */
export class MerkleRoot {
  /** Roots of whole subtrees, larger ones first; their sizes are the binary digits of `count`. */
  readonly #whole: Uint8Array[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(content: Uint8Array): void {
    let hash = leafHash(content);
    for (let digits = this.#count; digits % 2 === 1; digits = Math.floor(digits / 2))
      hash = nodeHash(this.#whole.pop()!, hash);
    this.#whole.push(hash);
    this.#count++;
  }

  /** 32 bytes; of no leaves SHA-256 of nothing. */
  root(): Uint8Array {
    const last = this.#whole.at(-1);
    if (last === undefined) return sha256();
    return this.#whole.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last);
  }
}

export function merkleRoot(contents: Iterable<Uint8Array>): Uint8Array {
  const tree = new MerkleRoot();
  for (const one of contents) tree.add(one);
  return tree.root();
}

/** The largest power of two below `count`. */
function splitOf(count: number): number {
  let size = 1;
  while (size * 2 < count) size *= 2;
  return size;
}

/** Hashes beside the path of leaf `at`, from the leaf upwards (RFC 6962, 2.1.1). */
export function merklePath(contents: readonly Uint8Array[], at: number): Uint8Array[] {
  assert(at >= 0 && at < contents.length, `leaf ${at} of ${contents.length}`);
  if (contents.length === 1) return [];
  const split = splitOf(contents.length);
  const [left, right] = [contents.slice(0, split), contents.slice(split)];
  return at < split
    ? [...merklePath(left, at), merkleRoot(right)]
    : [...merklePath(right, at - split), merkleRoot(left)];
}

/** Whether the leaf stands at that place of a tree of `count` leaves with that root. */
export function isOnPath(
  content: Uint8Array,
  at: number,
  count: number,
  path: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!(at >= 0 && at < count)) return false;
  // From the leaf upwards a node is a right one, a left one, or has no brother on its level.
  let hash = leafHash(content);
  let place = at;
  let last = count - 1;
  for (const beside of path) {
    if (last === 0) return false;
    if (place % 2 === 1 || place === last) {
      hash = nodeHash(beside, hash);
      while (place % 2 === 0 && place > 0) {
        place = Math.floor(place / 2);
        last = Math.floor(last / 2);
      }
    } else hash = nodeHash(hash, beside);
    place = Math.floor(place / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && Buffer.compare(hash, root) === 0;
}
