/** What nodes of one process share: only when they are told to, never what another could change, and never without bound. */
import { afterEach, describe, expect, it } from "vitest";
import { ByteWriter } from "./bytes.js";
import { sharedByBytes, sharedByObject, sharedByText, shareResults } from "./shared.js";

afterEach(() => shareResults(0));

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

describe("shared results", () => {
  it("are made anew each time unless sharing is on", () => {
    const read = sharedByText((text) => ({ text }));
    expect(read("a")).not.toBe(read("a"));
    expect(Object.isFrozen(read("a"))).toBe(false);
  });

  it("are the same object for the same text or bytes, and frozen to their depth", () => {
    shareResults(1000);
    const byText = sharedByText((text) => ({ list: [{ text }] }));
    expect(byText("a")).toBe(byText("a"));
    expect(byText("a")).not.toBe(byText("b"));
    expect(Object.isFrozen(byText("a").list[0])).toBe(true);
    const byBytes = sharedByBytes((bytes) => ({ text: Buffer.from(bytes).toString() }));
    expect(byBytes(bytesOf("one"))).toBe(byBytes(bytesOf("one")));
  });

  it("tell bytes apart that differ where the key does not look", () => {
    shareResults(100_000);
    const read = sharedByBytes((bytes) => ({ text: Buffer.from(bytes).toString() }));
    const end = "x".repeat(200);
    expect(read(bytesOf(`a${end}`)).text).toBe(`a${end}`);
    expect(read(bytesOf(`b${end}`)).text).toBe(`b${end}`);
    expect(read(bytesOf(`a${end}`)).text).toBe(`a${end}`);
  });

  it("do not depend on bytes that their owner uses again for something else", () => {
    shareResults(1000);
    const read = sharedByBytes((bytes) => ({ text: Buffer.from(bytes).toString() }));
    const lent = bytesOf("one");
    read(lent);
    lent.fill(0);
    expect(read(bytesOf("one")).text).toBe("one");
  });

  it("are given up, oldest first, and what is thrown is not kept", () => {
    shareResults(10);
    let made = 0;
    const read = sharedByText((text) => {
      if (text === "bad") throw new Error("bad");
      return { text, number: made++ };
    });
    const first = read("aaaa");
    read("bbbb");
    read("cccc");
    expect(read("aaaa")).not.toBe(first);
    expect(() => read("bad")).toThrow("bad");
    expect(() => read("bad")).toThrow("bad");
  });

  it("of an object are kept for one that is shared itself, and for no other", () => {
    shareResults(1000);
    const read = sharedByText((text) => ({ text }));
    const sized = sharedByObject(({ text }: { text: string }) => ({ size: text.length }));
    expect(sized(read("abc"))).toBe(sized(read("abc")));
    const own = { text: "abc" };
    expect(sized(own).size).toBe(3);
    own.text = "abcd";
    expect(sized(own).size).toBe(4);
  });
});

describe("a writer of bytes", () => {
  it("leaves what was taken alone, and can go on", () => {
    const first = new ByteWriter().u32(1);
    const taken = first.take();
    const second = new ByteWriter().u32(2);
    first.u8(3).u8(4);
    expect([...taken]).toEqual([1, 0, 0, 0]);
    expect([...second.take()]).toEqual([2, 0, 0, 0]);
    expect([...first.take()]).toEqual([3, 4]);
  });
});
