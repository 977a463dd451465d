/**
 * Keys to dense numbers: the hash table under joins, grouping, DISTINCT, set operations and hashed subplans.
 *
 * Each key column interns its values (equal values get equal numbers 0, 1, 2, ...); several columns are combined pair by
 * pair, each pair interned again. So no hash of a whole row is ever made, strings use the hash V8 keeps in them, and
 * equality is exact. NULL is a value here (one of its own); joins leave NULL keys out before they ask.
 *
 * Invariants: numbers are given in order of first appearance; a table only grows until `clear`.
 */
import { assert } from "../base/errors.js";
import type { Value } from "../model/value.js";
import { bytesOf } from "./spill.js";
import { equalsOf, hashOf, isIdentityType } from "./values.js";

interface Interner {
  readonly size: number;
  /** -1 when unknown. */
  find(value: Value): number;
  intern(value: Value): number;
  clear(): void;
  readonly bytes: number;
}

const emptySlot = -1;

/** Numbers by open addressing over typed arrays; the one place where rows of integers meet a hash table. */
export class NumberInterner {
  size = 0;
  #mask: number;
  #slots: Int32Array;
  #values: Float64Array;

  constructor(capacity = 64) {
    this.#mask = capacity * 2 - 1;
    this.#slots = new Int32Array(capacity * 2).fill(emptySlot);
    this.#values = new Float64Array(capacity);
  }
  get bytes(): number {
    return this.#slots.byteLength + this.#values.byteLength;
  }
  find(value: number): number {
    const slots = this.#slots;
    const values = this.#values;
    const mask = this.#mask;
    let at = hashNumber(value) & mask;
    for (;;) {
      const id = slots[at]!;
      if (id === emptySlot || values[id] === value) return id;
      at = (at + 1) & mask;
    }
  }
  intern(value: number): number {
    const slots = this.#slots;
    const values = this.#values;
    const mask = this.#mask;
    let at = hashNumber(value) & mask;
    for (;;) {
      const id = slots[at]!;
      if (id === emptySlot) break;
      if (values[id] === value) return id;
      at = (at + 1) & mask;
    }
    const id = this.size++;
    slots[at] = id;
    values[id] = value;
    if (this.size === values.length) this.#grow();
    return id;
  }
  #grow(): void {
    const capacity = this.#values.length * 2;
    const values = new Float64Array(capacity);
    values.set(this.#values);
    const slots = new Int32Array(capacity * 2).fill(emptySlot);
    const mask = capacity * 2 - 1;
    for (let id = 0; id < this.size; id++) {
      let at = hashNumber(values[id]!) & mask;
      while (slots[at] !== emptySlot) at = (at + 1) & mask;
      slots[at] = id;
    }
    this.#values = values;
    this.#slots = slots;
    this.#mask = mask;
  }
  clear(): void {
    if (this.size === 0) return;
    this.size = 0;
    if (this.#values.length > 4096) {
      this.#mask = 127;
      this.#slots = new Int32Array(128).fill(emptySlot);
      this.#values = new Float64Array(64);
    } else this.#slots.fill(emptySlot);
  }
}

const doubles = new Float64Array(1);
const words = new Uint32Array(doubles.buffer);

function hashNumber(value: number): number {
  let hash = value | 0;
  if (hash !== value) {
    doubles[0] = value;
    hash = words[0]! ^ Math.imul(words[1]!, 0x85ebca6b);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
  hash = Math.imul(hash ^ (hash >>> 15), 0x846ca68b);
  return hash ^ (hash >>> 16);
}

/** Types whose equality is `===` (value.ts). Numbers go to typed arrays, the rest to a Map. */
class IdentityInterner implements Interner {
  readonly #numbers = new NumberInterner();
  /** number id -> id; the identity while nothing but numbers came. */
  #numberIds: number[] | undefined;
  readonly #others = new Map<Value, number>();
  #otherBytes = 0;
  size = 0;
  get bytes(): number {
    return this.#numbers.bytes + this.#otherBytes;
  }
  find(value: Value): number {
    if (typeof value === "number" && !Number.isNaN(value)) {
      const id = this.#numbers.find(value);
      return id < 0 || this.#numberIds === undefined ? id : this.#numberIds[id]!;
    }
    return this.#others.get(value) ?? -1;
  }
  intern(value: Value): number {
    if (typeof value === "number" && !Number.isNaN(value)) {
      const before = this.#numbers.size;
      // -0 and 0 are one key; comparing doubles makes them so, the sum makes their hashes equal.
      const id = this.#numbers.intern(value + 0);
      if (id === before) {
        if (this.#numberIds !== undefined) this.#numberIds.push(this.size);
        return this.size++;
      }
      return this.#numberIds === undefined ? id : this.#numberIds[id]!;
    }
    const known = this.#others.get(value);
    if (known !== undefined) return known;
    if (this.#numberIds === undefined) {
      this.#numberIds = [];
      for (let id = 0; id < this.#numbers.size; id++) this.#numberIds.push(id);
    }
    this.#otherBytes += 48 + bytesOf(value);
    this.#others.set(value, this.size);
    return this.size++;
  }
  clear(): void {
    this.#numbers.clear();
    this.#others.clear();
    this.#numberIds = undefined;
    this.#otherBytes = 0;
    this.size = 0;
  }
}

/** Any other type, by its own hash and equality. */
class TypedInterner implements Interner {
  readonly #hash: (value: Value) => number;
  readonly #equals: (a: Value, b: Value) => boolean;
  readonly #heads = new NumberInterner();
  readonly #headIds: number[] = [];
  readonly #values: Value[] = [];
  readonly #next: number[] = [];
  #nullId = -1;
  #valueBytes = 0;
  constructor(type: number) {
    this.#hash = hashOf(type);
    this.#equals = equalsOf(type);
  }
  get size(): number {
    return this.#values.length;
  }
  get bytes(): number {
    return this.#heads.bytes + this.#valueBytes;
  }
  find(value: Value): number {
    if (value === null) return this.#nullId;
    const head = this.#heads.find(this.#hash(value));
    return head < 0 ? -1 : this.#walk(head, value);
  }
  #walk(head: number, value: Value): number {
    for (let id = this.#headIds[head]!; id >= 0; id = this.#next[id]!) {
      if (this.#equals(this.#values[id]!, value)) return id;
    }
    return -1;
  }
  intern(value: Value): number {
    if (value === null) {
      if (this.#nullId < 0) this.#nullId = this.#add(null, -1);
      return this.#nullId;
    }
    const known = this.#heads.size;
    const head = this.#heads.intern(this.#hash(value));
    if (head === known) {
      const id = this.#add(value, -1);
      this.#headIds.push(id);
      return id;
    }
    const found = this.#walk(head, value);
    if (found >= 0) return found;
    return (this.#headIds[head] = this.#add(value, this.#headIds[head]!));
  }
  #add(value: Value, next: number): number {
    this.#values.push(value);
    this.#next.push(next);
    this.#valueBytes += 32 + bytesOf(value);
    return this.#values.length - 1;
  }
  clear(): void {
    this.#heads.clear();
    this.#headIds.length = 0;
    this.#values.length = 0;
    this.#next.length = 0;
    this.#nullId = -1;
    this.#valueBytes = 0;
  }
}

/** Pairs of dense numbers stay exact in a double: 2^26 distinct values a column at most. */
const pairFactor = 2 ** 26;

export class KeyTable {
  readonly #columns: Interner[];
  readonly #pairs: NumberInterner[] = [];
  #emptyUsed = false;

  constructor(types: readonly number[]) {
    this.#columns = types.map((type) =>
      isIdentityType(type) ? new IdentityInterner() : new TypedInterner(type),
    );
    for (let pair = 1; pair < types.length; pair++) this.#pairs.push(new NumberInterner());
  }
  /** Distinct keys so far. */
  get size(): number {
    if (this.#pairs.length > 0) return this.#pairs[this.#pairs.length - 1]!.size;
    return this.#columns.length === 0 ? (this.#emptyUsed ? 1 : 0) : this.#columns[0]!.size;
  }
  get bytes(): number {
    let sum = 0;
    for (const column of this.#columns) sum += column.bytes;
    for (const pair of this.#pairs) sum += pair.bytes;
    return sum;
  }
  /** Number of the key in row `row` of the key columns; -1 when absent. */
  find(keys: readonly Value[][], row: number): number {
    const columns = this.#columns;
    if (columns.length === 0) return this.#emptyUsed ? 0 : -1;
    let id = columns[0]!.find(keys[0]![row]!);
    for (let c = 1; c < columns.length && id >= 0; c++) {
      const other = columns[c]!.find(keys[c]![row]!);
      if (other < 0) return -1;
      id = this.#pairs[c - 1]!.find(id * pairFactor + other);
    }
    return id;
  }
  /** The same, adding the key; a new one gets the old `size` as its number. */
  intern(keys: readonly Value[][], row: number): number {
    const columns = this.#columns;
    if (columns.length === 0) {
      this.#emptyUsed = true;
      return 0;
    }
    let id = columns[0]!.intern(keys[0]![row]!);
    for (let c = 1; c < columns.length; c++) {
      const other = columns[c]!.intern(keys[c]![row]!);
      assert(other < pairFactor && id < pairFactor, "too many distinct keys in memory");
      id = this.#pairs[c - 1]!.intern(id * pairFactor + other);
    }
    return id;
  }
  clear(): void {
    this.#emptyUsed = false;
    for (const column of this.#columns) column.clear();
    for (const pair of this.#pairs) pair.clear();
  }
}

/**
 * Hash of one row's key for splitting rows into partitions: equal keys, equal hashes. `seed` differs per depth, so that
 * a partition which is split again spreads.
 */
export class KeyHasher {
  readonly #hashes: ((value: Value) => number)[];
  constructor(types: readonly number[]) {
    this.#hashes = types.map((type) => (isIdentityType(type) ? hashIdentity : hashOf(type)));
  }
  hash(keys: readonly Value[][], row: number, seed: number): number {
    let hash = Math.imul(seed + 1, 0x9e3779b1);
    for (let c = 0; c < this.#hashes.length; c++) {
      const value = keys[c]![row]!;
      hash = Math.imul(hash ^ (value === null ? 0x51ed270b : this.#hashes[c]!(value)), 0x85ebca6b);
      hash ^= hash >>> 13;
    }
    return hash >>> 0;
  }
}

function hashIdentity(value: Value): number {
  if (typeof value === "number") return hashNumber(value + 0);
  const text = String(value);
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}
