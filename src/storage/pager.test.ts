import { describe, expect, it } from "vitest";
import { PageType } from "./contract.js";
import { openTestStore } from "./testing.js";

describe("pages in the pool", () => {
  it("allocates, changes, frees", () => {
    const store = openTestStore({ frames: 256 });
    store.beginOperation();
    store.reserve(10);
    const page = store.allocate(PageType.data, 77);
    const address = store.page(page, PageType.data);
    store.pool.u8[address + 5000] = 9;
    store.changed(address, 5000, 1);
    expect(store.page(page, PageType.data)).toBe(address);
    expect(() => store.page(page, PageType.tip)).toThrow(/type/);
    store.createObject(5, 1, page);
    expect(store.objectRoot(5)).toBe(page);
    expect([...store.objects()].length).toBe(1);
    store.dropObject(5);
    expect(store.objectRoot(5)).toBeUndefined();
    const before = store.pagesAllocated;
    store.free(page);
    expect(store.pagesAllocated).toBe(before - 1);
    expect(() => store.page(1_000_000, PageType.data)).toThrow(/beyond the end/);
  });
});
