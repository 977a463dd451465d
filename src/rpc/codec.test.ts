/** Frames: whatever the pieces they come in, and whatever is wrong with them. */
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import xxhash, { type XXHashAPI } from "xxhash-wasm";
import { MalformedBytes } from "../base/bytes.js";
import { DbError } from "../base/errors.js";
import {
  decodeError,
  encodeError,
  type Frame,
  FrameDecoder,
  FrameEncoder,
  FrameHead,
  type FrameKind,
  frameKinds,
} from "./codec.js";

let hash: XXHashAPI;
beforeAll(async () => {
  hash = await xxhash();
});

const limit = 256 * 1024;
const kinds = Object.keys(frameKinds) as FrameKind[];
const frames = fc.array(
  fc.record({
    kind: fc.constantFrom(...kinds),
    number: fc.integer({ min: 0, max: 0xffff }),
    id: fc.integer({ min: 0, max: 0xffffffff }),
    payload: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(new Uint8Array(70_000).fill(7))),
  }),
  { maxLength: 8 },
);

function encodeAll(list: readonly Frame[]): Uint8Array {
  const encoder = new FrameEncoder(hash);
  return Buffer.concat(
    list.map(({ kind, number, id, payload }) => Buffer.from(encoder.encode(kind, number, id, payload))),
  );
}
/** Comparing long arrays item by item takes seconds. */
function shown({ kind, number, id, payload }: Frame): string {
  return `${kind} ${number} ${id} ${Buffer.from(payload).toString("base64")}`;
}
/** Lent bytes are overwritten afterwards, as a socket's buffer is. */
function pushLent(decoder: FrameDecoder, bytes: Uint8Array, out: Frame[]): number {
  const lent = Buffer.from(bytes);
  const taken = decoder.push(lent, (frame) => {
    out.push({ ...frame, payload: Uint8Array.from(frame.payload) });
    return true;
  });
  lent.fill(0xee);
  return taken;
}

describe("frames", () => {
  it("come out as they went in, whatever the pieces", () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { maxLength: 12 }), (list, cuts) => {
        const bytes = encodeAll(list);
        const places = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
        const decoder = new FrameDecoder(hash, limit);
        const out: Frame[] = [];
        let at = 0;
        for (const place of [...places, bytes.length]) {
          pushLent(decoder, bytes.subarray(at, place), out);
          at = place;
        }
        expect(out.map(shown)).toEqual(list.map(shown));
      }),
      { numRuns: 300 },
    );
  });

  it("come out byte by byte", () => {
    const list: Frame[] = [
      { kind: "request", number: 3, id: 9, payload: Uint8Array.of(1, 2, 3) },
      { kind: "ping", number: 0, id: 1, payload: new Uint8Array(0) },
      { kind: "message", number: 65535, id: 0, payload: new Uint8Array(300).fill(5) },
    ];
    const decoder = new FrameDecoder(hash, limit);
    const out: Frame[] = [];
    for (const byte of encodeAll(list)) pushLent(decoder, Uint8Array.of(byte), out);
    expect(out).toEqual(list);
  });

  it("say where they stopped, so that what follows can be something else", () => {
    fc.assert(
      fc.property(fc.nat({ max: 30 }), fc.uint8Array({ maxLength: 30 }), (cut, rest) => {
        const head = encodeAll([{ kind: "stream", number: 0, id: 0, payload: new Uint8Array(14) }]);
        const bytes = Buffer.concat([head, rest]);
        const decoder = new FrameDecoder(hash, limit);
        let seen = 0;
        const take = (): boolean => {
          seen++;
          return false;
        };
        const first = bytes.subarray(0, Math.min(cut, head.length - 1));
        expect(decoder.push(first, take)).toBe(first.length);
        const second = bytes.subarray(first.length);
        const taken = decoder.push(second, take);
        expect(seen).toBe(1);
        expect([...second.subarray(taken)]).toEqual([...rest]);
      }),
    );
  });
});

describe("bytes that are no frames", () => {
  const good = (): Buffer =>
    Buffer.from(encodeAll([{ kind: "request", number: 1, id: 2, payload: new Uint8Array(20).fill(9) }]));
  const push = (bytes: Uint8Array, max = limit): Frame[] => {
    const out: Frame[] = [];
    pushLent(new FrameDecoder(hash, max), bytes, out);
    return out;
  };

  it("are refused for any byte that is changed", () => {
    for (let at = 0; at < good().length; at++) {
      const bad = good();
      bad[at] = bad[at]! ^ 0x10;
      let out: Frame[] = [];
      try {
        out = push(bad);
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedBytes);
      }
      expect(out, `byte ${at}`).toEqual([]); // a longer length waits for more
    }
  });

  it("are refused as soon as their head is there: too long, too short, another version", () => {
    const long = good();
    long.writeUInt32LE(1 << 30, FrameHead.length);
    expect(() => push(long.subarray(0, FrameHead.size))).toThrow(/1073741832 bytes, where 262144/);
    const short = good();
    short.writeUInt32LE(3, FrameHead.length);
    expect(() => push(short.subarray(0, FrameHead.size))).toThrow(MalformedBytes);
    const newer = good();
    newer[FrameHead.version] = 2;
    expect(() => push(newer.subarray(0, FrameHead.size))).toThrow(/version 2/);
    expect(() => push(good(), good().length - 1)).toThrow(MalformedBytes);
    expect(push(good(), good().length)).toHaveLength(1);
  });

  it("leave the decoder broken", () => {
    const decoder = new FrameDecoder(hash, limit);
    const bad = good();
    bad[bad.length - 1] = 0;
    expect(() => decoder.push(bad, () => true)).toThrow(MalformedBytes);
    expect(() => decoder.push(good(), () => true)).toThrow(MalformedBytes);
  });

  it("of any kind do nothing but throw MalformedBytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          expect(push(bytes)).toEqual([]);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedBytes);
        }
      }),
    );
  });
});

describe("errors", () => {
  it("arrive with condition, message, detail and hint", () => {
    const error = new DbError("objectNotInPrerequisiteState", "kann nicht: ß", { detail: "d", hint: "h" });
    expect(decodeError(encodeError(error))).toEqual(error);
    const bare = new DbError("undefinedObject", "no such node");
    const back = decodeError(encodeError(bare));
    expect(back).toMatchObject({ condition: "undefinedObject", message: "no such node", sqlstate: "42704" });
    expect(back.fields.detail).toBeUndefined();
  });

  it("of an unknown condition are internal errors that still say what they say", () => {
    const bytes = Buffer.from(encodeError(new DbError("configFileError", "newer"))).toString("latin1");
    for (const unknown of ["someOtherError!", "toString"]) {
      const length = String.fromCharCode(unknown.length);
      const changed = bytes.replace("configFileError", unknown);
      const payload = Buffer.from(length + changed.slice(1), "latin1");
      expect(decodeError(payload)).toMatchObject({ condition: "internalError", message: "newer" });
    }
    expect(() => decodeError(Uint8Array.of(1, 2))).toThrow(MalformedBytes);
  });
});
