/** DER: what is written is read back, what could be written otherwise is refused, and OpenSSL writes the same. */
import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bitString,
  boolean,
  booleanOf,
  contextTag,
  DerError,
  derOfPem,
  element,
  elements,
  integer,
  integerOf,
  namedBits,
  objectIdentifier,
  octetString,
  only,
  partsOf,
  pemOf,
  reading,
  sequence,
  tag,
  time,
  timeOf,
  unsigned,
  unsignedOf,
  utf8String,
  wholeBitsOf,
} from "./der.js";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const refused = (bytes: string, read: (one: ReturnType<typeof only>) => unknown = () => undefined) =>
  expect(() => read(only(hex(bytes))), bytes).toThrow(DerError);

describe("DER", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(Number.MAX_SAFE_INTEGER), (bytes, number) => {
        expect(Buffer.from(only(octetString(bytes)).content).equals(bytes)).toBe(true);
        expect(Buffer.from(wholeBitsOf(only(bitString(bytes)))).equals(bytes)).toBe(true);
        expect(integerOf(only(integer(number)))).toBe(number);
        const digits = Buffer.from(bytes)
          .toString("hex")
          .replace(/^(00)+/, "");
        expect(
          Buffer.from(unsignedOf(only(unsigned(bytes))))
            .toString("hex")
            .replace(/^00$/, ""),
        ).toBe(digits);
        const both = partsOf(only(sequence(octetString(bytes), integer(number))));
        expect(both.map((one) => one.tag)).toEqual([tag.octetString, tag.integer]);
      }),
    );
    for (const value of [true, false]) expect(booleanOf(only(boolean(value)))).toBe(value);
  });

  it("writes moments to the second, and reads only those that there are", () => {
    // 1950 to 9999: what RFC 5280 can state.
    const seconds = fc.integer({ min: -631_152_000, max: 253_402_300_799 });
    fc.assert(
      fc.property(seconds, fc.nat(999), (second, more) => {
        expect(timeOf(only(time(second * 1000 + more)))).toBe(second * 1000);
      }),
    );
    const at = (kind: number, text: string) => only(element(kind, Buffer.from(text)));
    expect(timeOf(at(tag.utcTime, "490228235959Z"))).toBe(Date.UTC(2049, 1, 28, 23, 59, 59));
    expect(timeOf(at(tag.utcTime, "500101000000Z"))).toBe(Date.UTC(1950, 0, 1));
    for (const text of [
      "490229000000Z",
      "491301000000Z",
      "490100000000Z",
      "490101240000Z",
      "490101000060Z",
      "4901010000Z",
    ])
      expect(() => timeOf(at(tag.utcTime, text)), text).toThrow(DerError);
    for (const text of ["20490101000000Z", "20500101000000.5Z", "20500101000000+0100", "20500101000000"])
      expect(() => timeOf(at(tag.generalizedTime, text)), text).toThrow(DerError);
    expect(() => timeOf(only(utf8String("490101000000Z")))).toThrow(DerError);
  });

  it("has one encoding for one value", () => {
    refused("04 81 01 00"); // a long length for a short one
    refused("04 82 00 80"); // zeros in front of a length
    refused("30 80 00 00"); // no length at all (BER)
    refused("04 85 00 00 00 00 01 00");
    refused("04 02 00"); // it ends before its end
    refused("04 00 00"); // something after it
    refused("1f 81 00 00"); // a tag of several bytes
    refused("02 02 00 01", unsignedOf);
    refused("02 01 ff", unsignedOf);
    refused("02 00", unsignedOf);
    refused("02 08 20 00 00 00 00 00 00 00", integerOf); // 2^61
    refused("01 01 01", booleanOf);
    refused("03 02 01 80", wholeBitsOf);
    refused("03 00", wholeBitsOf);
    expect(() => elements(hex("04 00 04"))).toThrow(DerError);
    expect(() => elements(Buffer.alloc(130))).toThrow(/more than 64 parts/);
    expect(elements(Buffer.alloc(130), 65)).toHaveLength(65);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          const parts = elements(bytes);
          expect(Buffer.concat(parts.map((one) => element(one.tag, one.content))).equals(bytes)).toBe(true);
        } catch (error) {
          if (!(error instanceof DerError)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("is what OpenSSL reads", () => {
    const uuidArc = "2.25.340282366920938463463374607431768211455";
    const whole = sequence(
      objectIdentifier("1.2.840.113549.1.1.11"),
      objectIdentifier(uuidArc),
      namedBits(5, 6),
      integer(300),
      unsigned(hex("80")),
      time(Date.UTC(2050, 0, 1)),
      element(contextTag(3, true), boolean(true)),
    );
    const { stdout, error } = spawnSync("openssl", ["asn1parse", "-inform", "DER"], {
      input: whole,
      encoding: "utf8",
    });
    if (error !== undefined) return console.log("skipped: there is no openssl here");
    expect(stdout).toContain("sha256WithRSAEncryption");
    expect(stdout).toContain(uuidArc);
    expect(stdout).toMatch(/INTEGER +:012C/);
    expect(stdout).toMatch(/INTEGER +:80/);
    expect(stdout).toMatch(/GENERALIZEDTIME +:20500101000000Z/);
    expect(namedBits(5, 6)).toEqual(hex("03 02 01 06")); // as every CA of the world has it
  });
});

describe("PEM", () => {
  it("is one block of honest base64", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const pem = pemOf(bytes, "X");
        expect(derOfPem(pem, "X", 1000).equals(bytes)).toBe(true);
        expect(derOfPem(`\r\n${pem.replaceAll("\n", "\r\n")} `, "X", 1000).equals(bytes)).toBe(true);
        for (const line of pem.split("\n")) expect(line.length).toBeLessThanOrEqual(64);
      }),
    );
    const pem = pemOf(hex("00"), "X"); // "AA=="
    expect(() => derOfPem(pem.replace("AA==", "AB=="), "X", 1000)).toThrow(/base64/);
    expect(() => derOfPem(pem.replace("AA==", "AA"), "X", 1000)).toThrow(/base64/);
    expect(() => derOfPem(pem.replace("AA==", "AA-=="), "X", 1000)).toThrow(/base64/);
    expect(() => derOfPem(pem, "Y", 1000)).toThrow(/no PEM block/);
    expect(() => derOfPem(pem, "X", 10)).toThrow(/more than 10/);
    expect(() => derOfPem("-----BEGIN X----------END X-----", "X", 1000)).toThrow(/base64/);
    expect(() => derOfPem("-----BEGIN X-----", "X", 1000)).toThrow(/no PEM block/);
  });

  it("that cannot be read is told to who sent it; a slip of ours is not his", () => {
    expect(() => reading("it", () => only(hex("04")))).toThrow(
      expect.objectContaining({ sqlstate: "22023", message: "it cannot be read" }),
    );
    expect(() =>
      reading("it", () => {
        throw new RangeError("ours");
      }),
    ).toThrow(RangeError);
  });
});
