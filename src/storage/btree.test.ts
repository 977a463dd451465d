import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DbError } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import { EngineMemory } from "../wasm/index.js";
import { BTree, keyBytesMax, type TreeShape } from "./btree.js";
import { type PageStore, PageType } from "./contract.js";
import { PageHead } from "./layouts.js";

/**
 * A store that is as unpleasant as the contract allows: each operation finds its pages in other frames, a page's first
 * fetch of an operation may throw Wait, and what was not marked as changed is lost when the operation ends.
 */
class HostileStore {
  readonly shard = 1;
  readonly memory: EngineMemory;
  readonly pages = new Map<number, Uint8Array>();
  readonly frames = new Map<number, number>();
  readonly marked = new Map<number, Uint8Array>();
  readonly freed = new Set<number>();
  #nextPage = 10;
  #nextFrame = 0;
  #random: () => number;
  #waitChance: number;
  changesAllowed = true;
  #waited = new Set<number>();

  constructor(
    readonly pageSize: number,
    seed: number,
    waitChance: number,
    frameCount = 4096,
  ) {
    this.memory = new EngineMemory({
      pageSize,
      poolBytes: frameCount * pageSize,
      arenaBytes: 1,
      scratchBytes: 1,
      groupBytes: 1,
    });
    let state = seed >>> 0 || 1;
    this.#random = () => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) / 2 ** 32;
    };
    this.#waitChance = waitChance;
  }
  get pool(): EngineMemory {
    return this.memory;
  }
  #frame(): number {
    const frame = this.#nextFrame++;
    if (frame >= this.memory.frameCount) throw new Error("the operation touches too many pages");
    return this.memory.frames.start + frame * this.pageSize;
  }
  beginOperation(): void {
    for (const [page, address] of this.frames) {
      const kept = this.pages.get(page);
      if (kept === undefined) continue;
      const lines = this.marked.get(page);
      for (let line = 0; line < this.pageSize / 64; line++)
        if (lines?.[line] === 1)
          kept.set(this.memory.u8.subarray(address + 64 * line, address + 64 * line + 64), 64 * line);
      this.memory.u8.fill(0xee, address, address + this.pageSize);
    }
    this.frames.clear();
    this.marked.clear();
    this.freed.clear();
    this.#nextFrame = Math.floor(this.#random() * 3);
  }
  page(page: number, type: number): number {
    const known = this.frames.get(page);
    if (known !== undefined) {
      expect(this.memory.view.getUint16(known + PageHead.type, true)).toBe(type);
      return known;
    }
    const bytes = this.pages.get(page);
    if (bytes === undefined) throw new Error(`page ${page} is not there`);
    if (this.#waitChance > 0 && !this.#waited.has(page) && this.#random() < this.#waitChance) {
      this.#waited.add(page);
      if (this.marked.size > 0) throw new Error("a page was fetched after the first change");
      throw new Wait("page", Promise.resolve());
    }
    const address = this.#frame();
    this.memory.u8.set(bytes, address);
    this.frames.set(page, address);
    expect(this.memory.view.getUint16(address + PageHead.type, true)).toBe(type);
    return address;
  }
  changed(address: number, offset: number, length: number): void {
    expect(length > 0 && offset + length <= this.pageSize).toBe(true);
    for (const [page, at] of this.frames) {
      if (at !== address) continue;
      let lines = this.marked.get(page);
      if (lines === undefined) this.marked.set(page, (lines = new Uint8Array(this.pageSize / 64)));
      lines.fill(1, offset >>> 6, ((offset + length - 1) >>> 6) + 1);
      return;
    }
    throw new Error("changed a page that is not here");
  }
  allocate(type: number, owner: number): number {
    const page = this.#nextPage++;
    const address = this.#frame();
    this.memory.u8.fill(0, address, address + this.pageSize);
    this.memory.view.setUint16(address + PageHead.type, type, true);
    this.memory.view.setUint32(address + PageHead.pageNumber, page, true);
    this.memory.view.setUint32(address + PageHead.owner, owner, true);
    this.pages.set(page, new Uint8Array(this.pageSize));
    this.frames.set(page, address);
    this.changed(address, 0, PageHead.size);
    return page;
  }
  free(page: number): void {
    expect(this.pages.delete(page)).toBe(true);
    this.frames.delete(page);
  }
  reserve(): void {}
  /** The driver's part: an operation, run again after each Wait. */
  run<T>(operation: () => T): T {
    this.#waited.clear();
    for (let attempt = 0; attempt < 50; attempt++) {
      this.beginOperation();
      try {
        return operation();
      } catch (thrown) {
        if (!(thrown instanceof Wait)) throw thrown;
      }
    }
    throw new Error("the operation never ran");
  }
}
const asStore = (store: HostileStore): PageStore => store as unknown as PageStore;

interface Entry {
  readonly key: Uint8Array;
  readonly row: number;
}
const compareEntries = (a: Entry, b: Entry): number => Buffer.compare(a.key, b.key) || a.row - b.row;

/** The naive twin. */
class SortedArray {
  entries: Entry[] = [];
  #position(entry: Entry): number {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareEntries(this.entries[middle]!, entry) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  has(entry: Entry): boolean {
    const found = this.entries[this.#position(entry)];
    return found !== undefined && compareEntries(found, entry) === 0;
  }
  insert(entry: Entry): boolean {
    if (this.has(entry)) return false;
    this.entries.splice(this.#position(entry), 0, entry);
    return true;
  }
  remove(entry: Entry): boolean {
    if (!this.has(entry)) return false;
    this.entries.splice(this.#position(entry), 1);
    return true;
  }
}

function checkTree(store: HostileStore, tree: BTree): { entries: number; levels: number; pages: number } {
  const check = tree.check();
  const seen = new Set<number>();
  for (let step = 0; step < 100_000; step++) {
    const done = store.run(() => check.step((page) => seen.add(page)));
    if (done) break;
  }
  expect(seen.size).toBe(store.pages.size);
  return { entries: check.report.entries, levels: check.report.levels, pages: seen.size };
}

function readAll(store: HostileStore, tree: BTree, backward: boolean): Entry[] {
  const cursor = tree.cursor();
  cursor.openAll(backward);
  const found: Entry[] = [];
  while (store.run(() => cursor.nextEntry()))
    found.push({ key: cursor.key.slice(0, cursor.keyLength), row: cursor.row });
  return found;
}

/** Keys of several kinds, none a prefix of another: of one length, or ended by a zero byte. */
const fixedKey =
  (length: number) =>
  (n: number): Uint8Array => {
    const key = new Uint8Array(length);
    key[0] = 1;
    for (let byte = length - 1, rest = n; byte > 0 && rest > 0; byte--, rest = Math.floor(rest / 256))
      key[byte] = rest % 256;
    return key;
  };
const textKey =
  (stem: string, pad: number) =>
  (n: number): Uint8Array =>
    Buffer.from(`${n % 3 === 0 ? stem : "k"}${n.toString(36)}${"x".repeat((n * 7) % (pad + 1))}\0`);

interface Trial {
  readonly name: string;
  readonly pageSize: number;
  readonly shape: TreeShape;
  readonly key: (n: number) => Uint8Array;
}
const trials: Trial[] = [
  { name: "dense int8 keys", pageSize: 8192, shape: { keyLength: 9, rowBytes: 6 }, key: fixedKey(9) },
  {
    name: "dense keys, wide rows",
    pageSize: 16384,
    shape: { keyLength: 17, rowBytes: 8 },
    key: fixedKey(17),
  },
  {
    name: "short text",
    pageSize: 8192,
    shape: { keyLength: 0, rowBytes: 6 },
    key: textKey("commonstem", 30),
  },
  {
    name: "long text",
    pageSize: 8192,
    shape: { keyLength: 0, rowBytes: 8 },
    key: textKey("s".repeat(300), 2200),
  },
  { name: "big pages", pageSize: 131072, shape: { keyLength: 0, rowBytes: 6 }, key: textKey("abc", 3001) },
  {
    name: "one key, many rows",
    pageSize: 8192,
    shape: { keyLength: 9, rowBytes: 6 },
    key: () => fixedKey(9)(7),
  },
];

describe.each(trials)("$name", ({ pageSize, shape, key }) => {
  const rowLimit = shape.rowBytes === 6 ? 2 ** 48 : 2 ** 53;

  it("agrees with a sorted array through inserts and removes in any order", () => {
    const command = fc.record({
      remove: fc.boolean(),
      from: fc.nat(5000),
      count: fc.integer({ min: 1, max: 120 }),
      step: fc.constantFrom(1, -1, 37, 0),
      rows: fc.constantFrom(1, 3),
    });
    fc.assert(
      fc.property(fc.array(command, { minLength: 1, maxLength: 12 }), fc.nat(1e6), (commands, seed) => {
        const store = new HostileStore(pageSize, seed + 1, 0.1, 512);
        const root = store.run(() => BTree.create(asStore(store), 77, shape));
        const tree = new BTree(asStore(store), root, 77, shape);
        const other = new BTree(asStore(store), root, 77, shape);
        const twin = new SortedArray();
        for (const { remove, from, count, step, rows } of commands) {
          for (let n = 0; n < count; n++) {
            const number = Math.abs(from + n * step);
            const bytes = key(number);
            for (let r = 0; r < rows; r++) {
              const row = (number * 4096 + n * (step === 0 ? 1 : 0) + r * 0x123456789) % rowLimit;
              const entry = { key: bytes, row };
              const used = n % 5 === 0 ? other : tree;
              if (remove) {
                expect(store.run(() => used.remove(bytes, 0, bytes.length, row))).toBe(twin.remove(entry));
              } else {
                const prepare = n % 2 === 0;
                const inserted = store.run(() => {
                  if (prepare) used.prepareInsert(bytes, 0, bytes.length, row);
                  return used.insert(bytes, 0, bytes.length, row);
                });
                expect(inserted).toBe(twin.insert(entry));
              }
            }
          }
        }
        store.beginOperation();
        expect(checkTree(store, tree).entries).toBe(twin.entries.length);
        const all = readAll(store, tree, false);
        expect(all.length).toBe(twin.entries.length);
        for (let i = 0; i < all.length; i++) expect(compareEntries(all[i]!, twin.entries[i]!)).toBe(0);
        const reversed = readAll(store, tree, true).reverse();
        for (let i = 0; i < all.length; i++) expect(compareEntries(reversed[i]!, twin.entries[i]!)).toBe(0);
        const rows: number[] = [];
        for (let n = 0; n < 60; n++) {
          const bytes = key(Math.floor((n * 5000) / 60) + (n % 3));
          const count = store.run(() => tree.lookup(bytes, 0, bytes.length, rows, 1, n % 4 === 0 ? 2 : 1e6));
          const expected = twin.entries.filter((e) => Buffer.compare(e.key, bytes) === 0).map((e) => e.row);
          expect(rows.slice(1, 1 + count)).toEqual(n % 4 === 0 ? expected.slice(0, 2) : expected);
        }
        for (const { key } of twin.entries.slice(0, 40))
          expect(store.run(() => tree.lookup(key, 0, key.length, rows, 0, 1e6))).toBeGreaterThan(0);
        for (const entry of twin.entries.slice())
          expect(store.run(() => tree.remove(entry.key, 0, entry.key.length, entry.row))).toBe(true);
        expect(checkTree(store, tree)).toEqual({ entries: 0, levels: 1, pages: 1 });
      }),
      { numRuns: 12 },
    );
  });

  it("loads in bulk what a twin holds, and goes on from there", () => {
    const store = new HostileStore(pageSize, 5, 0.02);
    const root = store.run(() => BTree.create(asStore(store), 77, shape));
    const tree = new BTree(asStore(store), root, 77, shape);
    const twin = new SortedArray();
    for (let n = 0; n < 3000; n++) twin.entries.push({ key: key(n), row: n * 4097 });
    twin.entries.sort(compareEntries);
    const loader = tree.loader();
    store.beginOperation();
    for (const { key, row } of twin.entries) {
      if (loader.add(key, 0, key.length, row)) store.beginOperation();
      expect(loader.add(key, 0, key.length, row)).toBe(false);
    }
    expect(loader.entries).toBe(3000);
    expect(readAll(store, tree, false).length).toBe(0);
    store.run(() => loader.finish());
    store.beginOperation();
    expect(checkTree(store, tree).entries).toBe(3000);
    expect(
      readAll(store, tree, true)
        .reverse()
        .map((e) => e.row),
    ).toEqual(twin.entries.map((e) => e.row));
    for (let n = 0; n < 300; n++) {
      const entry = { key: key(n * 11 + 1), row: n };
      expect(store.run(() => tree.insert(entry.key, 0, entry.key.length, n))).toBe(twin.insert(entry));
    }
    store.beginOperation();
    expect(checkTree(store, tree).entries).toBe(twin.entries.length);
  });

  it("keeps a cursor's place while others change the tree", () => {
    fc.assert(
      fc.property(fc.nat(1e6), fc.boolean(), (seed, backward) => {
        const store = new HostileStore(pageSize, seed + 1, 0.05, 512);
        const root = store.run(() => BTree.create(asStore(store), 77, shape));
        const tree = new BTree(asStore(store), root, 77, shape);
        let random = seed;
        const next = (below: number): number => {
          random = (Math.imul(random, 1103515245) + 12345) >>> 0;
          return (random >>> 8) % below;
        };
        // Rows with even numbers stay, odd ones come and go while the cursor is on its way.
        const stay = Array.from({ length: 900 }, (_, n) => ({ key: key(n), row: 2 * n })).sort(
          compareEntries,
        );
        for (const { key, row } of stay) store.run(() => tree.insert(key, 0, key.length, row));
        const cursor = tree.cursor();
        cursor.openAll(backward);
        const seen: number[] = [];
        const batch: number[] = [];
        for (;;) {
          const count = store.run(() => cursor.next(batch, 0, 1 + next(200)));
          if (count === 0) break;
          seen.push(...batch.slice(0, count));
          for (let change = next(60); change > 0; change--) {
            const n = next(900);
            const bytes = key(n);
            const row = 2 * n + 1;
            if (next(2) === 0) store.run(() => tree.insert(bytes, 0, bytes.length, row));
            else store.run(() => tree.remove(bytes, 0, bytes.length, row));
          }
        }
        const kept = seen.filter((row) => row % 2 === 0);
        expect(kept).toEqual((backward ? stay.slice().reverse() : stay).map((e) => e.row));
        expect(new Set(seen).size).toBe(seen.length);
      }),
      { numRuns: 4 },
    );
  });
});

it("reads ranges of key prefixes, inclusive and exclusive, both ways", () => {
  const shape: TreeShape = { keyLength: 3, rowBytes: 6 };
  const store = new HostileStore(8192, 3, 0.05);
  const root = store.run(() => BTree.create(asStore(store), 1, shape));
  const tree = new BTree(asStore(store), root, 1, shape);
  const entries: Entry[] = [];
  for (let a = 0; a < 256; a += 5)
    for (let b = 0; b < 60; b++) entries.push({ key: Uint8Array.of(a, b >> 4, b * 17), row: a * 64 + b });
  entries.sort(compareEntries);
  for (const { key, row } of entries) store.run(() => tree.insert(key, 0, 3, row));
  const bound = fc.option(fc.uint8Array({ minLength: 0, maxLength: 3 }));
  const below = (e: Entry, b: Uint8Array): number => Buffer.compare(e.key.subarray(0, b.length), b);
  fc.assert(
    fc.property(
      bound,
      fc.boolean(),
      bound,
      fc.boolean(),
      fc.boolean(),
      (low, lowIn, high, highIn, backward) => {
        const expected = entries.filter(
          (e) =>
            (low === null || (lowIn ? below(e, low) >= 0 : below(e, low) > 0)) &&
            (high === null || (highIn ? below(e, high) <= 0 : below(e, high) < 0)),
        );
        if (backward) expected.reverse();
        const cursor = tree.cursor();
        const none = new Uint8Array(0);
        cursor.open(
          low ?? none,
          low?.length ?? -1,
          lowIn,
          high ?? none,
          high?.length ?? -1,
          highIn,
          backward,
        );
        const rows: number[] = [];
        for (;;) {
          const count = store.run(() => cursor.next(rows, rows.length, 1000));
          if (count === 0) break;
        }
        expect(rows).toEqual(expected.map((e) => e.row));
      },
    ),
    { numRuns: 150 },
  );
});

it("fills pages when keys ascend, and keeps them small for keys with a common prefix", () => {
  const shape: TreeShape = { keyLength: 9, rowBytes: 6 };
  const store = new HostileStore(16384, 3, 0);
  const root = store.run(() => BTree.create(asStore(store), 1, shape));
  const tree = new BTree(asStore(store), root, 1, shape);
  const key = fixedKey(9);
  for (let n = 0; n < 20_000; n++) store.run(() => tree.insert(key(n), 0, 9, n));
  store.beginOperation();
  expect(checkTree(store, tree).pages).toBeLessThanOrEqual(20_000 / 950 + 2);
});

it("refuses keys longer than a third of a page with 54000, and takes the longest", () => {
  const shape: TreeShape = { keyLength: 0, rowBytes: 8 };
  const store = new HostileStore(8192, 3, 0);
  const root = store.run(() => BTree.create(asStore(store), 1, shape));
  const tree = new BTree(asStore(store), root, 1, shape);
  const longest = keyBytesMax(8192);
  expect(longest).toBeGreaterThan(8192 / 3 - 100);
  for (let n = 0; n < 200; n++) {
    const key = new Uint8Array(longest).fill(n + 2);
    key[n % 5] = (n * 91) % 256;
    store.run(() => tree.insert(key, 0, longest, n));
  }
  store.beginOperation();
  expect(checkTree(store, tree).entries).toBe(200);
  const over = new Uint8Array(longest + 1);
  for (const attempt of [
    (): unknown => tree.prepareInsert(over, 0, over.length, 1),
    () => tree.insert(over, 0, over.length, 1),
    () => tree.loader().add(over, 0, over.length, 1),
  ]) {
    try {
      store.run(attempt);
      expect.unreachable();
    } catch (error) {
      expect((error as DbError).sqlstate).toBe("54000");
    }
  }
});

it("gives every page back", () => {
  const shape: TreeShape = { keyLength: 9, rowBytes: 6 };
  const store = new HostileStore(8192, 3, 0.05);
  const root = store.run(() => BTree.create(asStore(store), 1, shape));
  const tree = new BTree(asStore(store), root, 1, shape);
  const key = fixedKey(9);
  for (let n = 0; n < 8_000; n++) store.run(() => tree.insert(key((n * 7919) % 8000), 0, 9, n));
  expect(store.pages.size).toBeGreaterThan(10);
  const release = tree.release();
  for (let step = 0; step < 1000 && !store.run(() => release.step(4)); step++);
  expect(store.pages.size).toBe(0);
});

it("finds damage", () => {
  const shape: TreeShape = { keyLength: 9, rowBytes: 6 };
  const slot = (view: DataView, index: number): number =>
    128 + ((view.getUint16(PageHead.typeFields + 12, true) + 1) & ~1) + 2 * index;
  const damage: ((view: DataView, u8: Uint8Array) => void)[] = [
    (view) => view.setUint16(PageHead.typeFields, 60_000, true),
    (view) => view.setUint32(PageHead.typeFields + 8, 1, true),
    (view) => view.setUint16(slot(view, 1), view.getUint16(slot(view, 2), true), true),
    (view) => view.setUint16(slot(view, 1), 9, true),
    (_view, u8) => (u8[u8.length - 15] = 0xff),
  ];
  for (const [index, harm] of damage.entries()) {
    const store = new HostileStore(8192, 3, 0);
    const root = store.run(() => BTree.create(asStore(store), 1, shape));
    const tree = new BTree(asStore(store), root, 1, shape);
    const key = fixedKey(9);
    for (let n = 0; n < 3000; n++) store.run(() => tree.insert(key(n), 0, 9, n));
    store.beginOperation();
    const leaf = [...store.pages].find(([, bytes]) => bytes[PageHead.type] === PageType.btreeLeaf)![1];
    harm(new DataView(leaf.buffer), leaf);
    let thrown: unknown;
    try {
      checkTree(store, tree);
    } catch (error) {
      thrown = error;
    }
    expect((thrown as DbError | undefined)?.sqlstate, `damage ${index}`).toBe("XX002");
  }
});
