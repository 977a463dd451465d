import { describe, expect, it } from "vitest";
import { BodyReader } from "./input.js";
import { backendMessages, frontendMessages, frontendTag, sizeClassOfTag } from "./messages.js";

describe("message tables", () => {
  it.each([
    ["frontend", Object.values(frontendMessages)],
    ["backend", Object.values(backendMessages)],
  ])("%s type bytes are single characters and unique", (_, messages) => {
    const tags = messages.map(({ tag }) => tag);
    expect(tags.every((tag) => tag.length === 1)).toBe(true);
    expect(new Set(tags).size).toBe(tags.length);
  });

  it("gives every frontend message a size class, and nothing else one", () => {
    const known = Object.values(frontendTag);
    for (let tag = 0; tag < 256; tag++) expect(sizeClassOfTag[tag]! > 0).toBe(known.includes(tag));
  });
});

describe("BodyReader", () => {
  const over = (...bytes: number[]) => new BodyReader().over(Buffer.from(bytes), 0, bytes.length);
  it("reads integers with their sign", () => {
    expect(over(255, 254).int16()).toBe(-2);
    expect(over(255, 254).uint16()).toBe(65534);
    expect(over(255, 255, 255, 255).int32()).toBe(-1);
  });
  it("never reads past its body, whatever the buffer behind it holds", () => {
    const buffer = Buffer.from([1, 0, 2, 0, 3]);
    expect(() => new BodyReader().over(buffer, 0, 3).int32()).toThrow("insufficient data left in message");
    expect(() => new BodyReader().over(buffer, 2, 3).cstring()).toThrow("invalid string in message");
    expect(() => new BodyReader().over(buffer, 1, 1).cstring()).toThrow("invalid string in message");
    expect(() => new BodyReader().over(buffer, 0, 3).bytes(4)).toThrow("insufficient data left in message");
    expect(() => new BodyReader().over(buffer, 0, 3).bytes(-1)).toThrow("insufficient data left in message");
  });
});
