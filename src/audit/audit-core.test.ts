import { hash as hashWith } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Canonical, canonicalJson, isWellFormed, wellFormed } from "./canonical.js";
import { isOnPath, MerkleRoot, merklePath, merkleRoot } from "./merkle.js";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("canonical JSON", () => {
  it("sorts by UTF-16 code units and escapes as little as RFC 8785 does", () => {
    const euro = '\u20ac$\u000f\nA\'B"\\\\"/';
    expect(canonicalJson({ text: euro, list: [null, true, false, -7] })).toBe(
      '{"list":[null,true,false,-7],"text":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
    const keys = { "\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\u{1f600}": 5, "\u0080": 6, "\u00f6": 7 };
    expect([...canonicalJson(keys).matchAll(/:(\d)/g)].map(([, digit]) => digit).join("")).toBe("2467153");
    expect(canonicalJson({ b: undefined, a: {} })).toBe('{"a":{}}');
  });
  it("is what it was after it was read, and refuses what has no one form", () => {
    const value = fc.letrec<{ value: Canonical }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.constant(null),
        fc.boolean(),
        fc.maxSafeInteger().map((one) => one + 0),
        fc.string({ unit: "grapheme" }),
        fc.array(tie("value")),
        fc.dictionary(fc.string({ unit: "grapheme" }), tie("value")),
      ),
    })).value;
    fc.assert(
      fc.property(value, (one) => {
        const text = canonicalJson(one);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
      }),
    );
    for (const bad of [0.5, Number.NaN, 2 ** 53, -0, "\ud800", "\udc00x", { "\ud800": 1 }])
      expect(() => canonicalJson(bad as Canonical)).toThrow();
  });
  it("mends text of any origin", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(isWellFormed(wellFormed(text))).toBe(true);
        if (isWellFormed(text)) expect(wellFormed(text)).toBe(text);
      }),
    );
    expect(wellFormed("a\ud800b")).toBe("a\ufffdb");
  });
});

describe("Merkle trees", () => {
  /** Leaves and roots that implementations of RFC 6962 are tested with. */
  const leaves = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
  ];
  const contents = leaves.map((text) => new Uint8Array(Buffer.from(text, "hex")));

  it("have the roots that others have", () => {
    expect(hex(merkleRoot([]))).toBe(hashWith("sha256", "", "hex"));
    expect(hex(merkleRoot(contents.slice(0, 1)))).toBe(
      "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    );
    expect(hex(merkleRoot(contents.slice(0, 2)))).toBe(
      "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    );
    expect(hex(merkleRoot(contents))).toBe(
      "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    );
  });

  it("grow leaf by leaf to the tree that RFC 6962 defines", () => {
    const defined = (leaves: readonly Uint8Array[]): Uint8Array => {
      if (leaves.length <= 1)
        return hashWith("sha256", Buffer.concat([Uint8Array.of(0), ...leaves]), "buffer");
      let split = 1;
      while (split * 2 < leaves.length) split *= 2;
      const halves = [defined(leaves.slice(0, split)), defined(leaves.slice(split))];
      return hashWith("sha256", Buffer.concat([Uint8Array.of(1), ...halves]), "buffer");
    };
    const tree = new MerkleRoot();
    const all: Uint8Array[] = [];
    for (let count = 1; count <= 70; count++) {
      all.push(Uint8Array.of(count, count >> 3));
      tree.add(all.at(-1)!);
      expect(hex(tree.root()), String(count)).toBe(hex(defined(all)));
    }
  });

  it("prove each leaf at its place, and nothing else", () => {
    for (let count = 1; count <= 33; count++) {
      const all = Array.from({ length: count }, (_, at) => Uint8Array.of(at));
      const root = merkleRoot(all);
      for (let at = 0; at < count; at++) {
        const path = merklePath(all, at);
        expect(isOnPath(all[at]!, at, count, path, root), `${at} of ${count}`).toBe(true);
        expect(isOnPath(Uint8Array.of(99), at, count, path, root)).toBe(false);
        expect(isOnPath(all[at]!, at + 1, count, path, root)).toBe(false);
        expect(isOnPath(all[at]!, at, count, [...path, root], root)).toBe(false);
        if (path.length > 0) expect(isOnPath(all[at]!, at, count, path.slice(1), root)).toBe(false);
      }
    }
  });
});
