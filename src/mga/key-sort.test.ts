/** Sorting of index entries against a plain sort: any keys, in one run or in many files, in bounded steps. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KeySort, rowOf, type SpillRun } from "./key-sort.js";

class MemoryFile implements SpillRun {
  #bytes = Buffer.alloc(0);
  closed = false;
  write(bytes: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
  }
  read(into: Uint8Array, position: number): number {
    return this.#bytes.copy(into, 0, position);
  }
  get size(): number {
    return this.#bytes.length;
  }
  close(): void {
    this.closed = true;
  }
}

function sorted(keys: readonly Uint8Array[], runBytes: number, files: MemoryFile[] | undefined): string[] {
  const sort = new KeySort(
    files === undefined
      ? undefined
      : () => {
          const file = new MemoryFile();
          files.push(file);
          return file;
        },
    runBytes,
  );
  const drain = (steps: Generator<void>): void => {
    while (steps.next().done !== true) {}
  };
  keys.forEach((key, row) => {
    // Rows beyond 32 bits, in ascending order.
    sort.add(Buffer.from(key), key.length, 0xfffffff0 + row);
    if (sort.isFull) drain(sort.closeRun(false));
  });
  drain(sort.closeRun(true));
  sort.open();
  const found: string[] = [];
  for (let top = sort.top; top !== undefined; top = sort.top) {
    found.push(`${top.buffer.toString("hex", top.at, top.at + top.length)} ${rowOf(top)}`);
    sort.advance();
  }
  sort.close();
  return found;
}

function plainly(keys: readonly Uint8Array[]): string[] {
  return keys
    .map((key, row) => ({ key, row: 0xfffffff0 + row }))
    .sort((a, b) => Buffer.compare(a.key, b.key) || a.row - b.row)
    .map(({ key, row }) => `${Buffer.from(key).toString("hex")} ${row}`);
}

const key = fc.oneof(
  fc.uint8Array({ minLength: 0, maxLength: 20 }),
  // Long common beginnings, many equal keys, keys that are the beginning of others, zeros at the end.
  fc
    .tuple(
      fc.constantFrom("", "text of row ", "text of row text of row "),
      fc.stringMatching(/^[ab\0]{0,9}$/),
    )
    .map(([head, tail]) => new Uint8Array(Buffer.from(head + tail))),
  fc.integer({ min: 0, max: 40 }).map((value) => Uint8Array.of(1, 0, 0, 0, value)),
);

describe("the sort of index entries", () => {
  it("gives the order of a plain sort, with equal keys in the order of their rows", () => {
    fc.assert(
      fc.property(fc.array(key, { maxLength: 400 }), (keys) => {
        expect(sorted(keys, 1 << 30, undefined)).toEqual(plainly(keys));
      }),
      { numRuns: 150 },
    );
  });

  it("gives it from files, too, and closes them", () => {
    fc.assert(
      fc.property(fc.array(key, { minLength: 100, maxLength: 600 }), (keys) => {
        const files: MemoryFile[] = [];
        // A chunk of key bytes counts a megabyte: a run is full with the first entry beyond it.
        expect(sorted(keys, (1 << 20) + 40 * 28, files)).toEqual(plainly(keys));
        expect(files.length).toBeGreaterThan(1);
        expect(files.every(({ closed }) => closed)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it("works in bounded steps", () => {
    const count = 200_000;
    const sort = new KeySort(undefined);
    const bytes = Buffer.alloc(16);
    for (let row = 0; row < count; row++) {
      // Ten thousand values, twenty rows each, behind eight bytes that all share.
      bytes.write("shared: ", 0);
      bytes.writeDoubleBE(1 + ((row * 7919) % 10_007), 8);
      sort.add(bytes, 16, row);
    }
    let steps = 0;
    const steppers = sort.closeRun(true);
    while (steppers.next().done !== true) steps++;
    expect(steps).toBeGreaterThan(count / 16_384);
    sort.open();
    let before = -1;
    let given = 0;
    for (let top = sort.top; top !== undefined; top = sort.top) {
      const value = top.buffer.readDoubleBE(top.at + 8);
      expect(value).toBeGreaterThanOrEqual(before);
      before = value;
      given++;
      sort.advance();
    }
    expect(given).toBe(count);
  });
});
