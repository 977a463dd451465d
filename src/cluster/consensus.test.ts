import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import xxhash, { type XXHashAPI } from "xxhash-wasm";
import { DbError } from "../base/errors.js";
import { SimClock } from "../sim/clock.js";
import { SimDisk } from "../sim/disk.js";
import { type ConsensusLog, openLocalLog } from "./consensus.js";

let hash: XXHashAPI;
beforeAll(async () => {
  hash = await xxhash();
});

const folder = "log";
const newDisk = (): SimDisk => new SimDisk({ clock: new SimClock(), seed: 7 });

/** A log whose state is the list of its entries. */
function open(disk: SimDisk, segmentBytesMax?: number): { log: ConsensusLog; entries: string[] } {
  const entries: string[] = [];
  const log = openLocalLog({
    disk,
    hash,
    folder,
    restore: (state) => {
      entries.splice(0, entries.length, ...(JSON.parse(Buffer.from(state).toString()) as string[]));
    },
    apply: (command, index) => {
      entries.push(Buffer.from(command).toString());
      expect(index).toBe(entries.length);
    },
    ...(segmentBytesMax === undefined ? {} : { segmentBytesMax }),
  });
  return { log, entries };
}

const propose = (log: ConsensusLog, text: string): Promise<number> => log.propose(Buffer.from(text));
const segments = (disk: SimDisk): string[] => disk.listSync(folder).filter((name) => name.endsWith(".log"));

/** Rewrites a file as `change` makes it. */
function damage(disk: SimDisk, name: string, change: (bytes: Buffer) => Buffer): void {
  const path = `${folder}/${name}`;
  disk.writeFileSync(path, change(Buffer.from(disk.readFileSync(path))));
}

async function written(texts: readonly string[], segmentBytesMax?: number): Promise<SimDisk> {
  const disk = newDisk();
  const { log } = open(disk, segmentBytesMax);
  for (const text of texts) await propose(log, text);
  log.close();
  return disk;
}

function failure(work: () => unknown): DbError {
  try {
    work();
  } catch (error) {
    if (error instanceof DbError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

test("entries come back in order, over segments", async () => {
  const texts = Array.from({ length: 50 }, (_, at) => `entry ${at}`);
  const disk = await written(texts, 256);
  expect(segments(disk).length).toBeGreaterThan(5);
  const { log, entries } = open(disk, 256);
  expect(entries).toEqual(texts);
  expect(log.appliedIndex).toBe(50);
  expect(await propose(log, "more")).toBe(51);
});

test("proposals made together keep their order and get their own indexes", async () => {
  const { log, entries } = open(newDisk());
  const indexes = await Promise.all(["a", "b", "c", "d"].map((text) => propose(log, text)));
  expect(indexes).toEqual([1, 2, 3, 4]);
  expect(entries).toEqual(["a", "b", "c", "d"]);
});

test("a torn tail is dropped, wherever it is torn, and the log goes on", async () => {
  const whole = await written(["one", "two"]);
  const keep = Buffer.from(whole.readFileSync(`${folder}/${segments(whole)[0]}`)).length;
  const longer = await written(["one", "two", "three, which is torn"]);
  const size = Buffer.from(longer.readFileSync(`${folder}/${segments(longer)[0]}`)).length;
  for (let cut = keep; cut < size; cut++) {
    const disk = await written(["one", "two", "three, which is torn"]);
    damage(disk, segments(disk)[0]!, (bytes) => bytes.subarray(0, cut));
    const { log, entries } = open(disk);
    expect(entries).toEqual(["one", "two"]);
    expect(await propose(log, "again")).toBe(3);
    log.close();
    expect(open(disk).entries).toEqual(["one", "two", "again"]);
  }
});

test("a damaged last entry is a torn tail; one with whole entries behind it is XX001", async () => {
  const texts = ["first", "second", "third", "fourth", "fifth"];
  const disk = await written(texts);
  const name = segments(disk)[0]!;
  const recordBytes = 24 + 8;
  const flipped = (at: number) => (bytes: Buffer) => {
    const copy = Buffer.from(bytes);
    copy[at] = copy[at]! ^ 1;
    return copy;
  };
  for (let entry = 0; entry < texts.length; entry++) {
    const copy = await written(texts);
    damage(copy, name, flipped(32 + entry * recordBytes + 24));
    if (entry === texts.length - 1) expect(open(copy).entries).toEqual(texts.slice(0, -1));
    else if (entry < texts.length - 2) {
      // Two neighbouring records that chain prove that the log went on behind the damaged one.
      const error = failure(() => open(copy));
      expect(error.sqlstate).toBe("XX001");
      expect(error.message).toContain(`entry ${entry + 1} does not verify`);
    }
  }
});

test("a damaged segment that is not the last is XX001", async () => {
  const texts = Array.from({ length: 20 }, (_, at) => `entry ${at}`);
  const disk = await written(texts, 200);
  const [first] = segments(disk);
  damage(disk, first!, (bytes) => bytes.subarray(0, bytes.length - 8));
  expect(failure(() => open(disk, 200)).sqlstate).toBe("XX001");
});

test("a missing segment is XX001", async () => {
  const disk = await written(
    Array.from({ length: 20 }, (_, at) => `entry ${at}`),
    200,
  );
  disk.removeSync(`${folder}/${segments(disk)[1]!}`);
  const error = failure(() => open(disk, 200));
  expect(error.sqlstate).toBe("XX001");
  expect(error.message).toContain("misses the entries");
});

test("a segment of another format is refused by its number", async () => {
  const disk = await written(["one"]);
  damage(disk, segments(disk)[0]!, (bytes) => {
    const copy = Buffer.from(bytes);
    copy.writeUInt32LE(99, 4);
    copy.writeBigUInt64LE(hash.h64Raw(copy.subarray(0, 24)), 24);
    return copy;
  });
  expect(failure(() => open(disk)).message).toContain("format 99");
});

test("a snapshot replaces the entries before it", async () => {
  const disk = newDisk();
  const { log, entries } = open(disk);
  for (const text of ["a", "b", "c"]) await propose(log, text);
  expect(log.bytesSinceSnapshot).toBeGreaterThan(0);
  log.saveSnapshot(Buffer.from(JSON.stringify(entries)));
  expect(log.bytesSinceSnapshot).toBe(0);
  expect(segments(disk)).toHaveLength(1);
  await propose(log, "d");
  log.close();
  const again = open(disk);
  expect(again.entries).toEqual(["a", "b", "c", "d"]);
  expect(await propose(again.log, "e")).toBe(5);
});

test("a damaged snapshot is XX001, never skipped", async () => {
  const disk = newDisk();
  const { log, entries } = open(disk);
  await propose(log, "a");
  log.saveSnapshot(Buffer.from(JSON.stringify(entries)));
  log.close();
  const size = Buffer.from(disk.readFileSync(`${folder}/snapshot`)).length;
  fc.assert(
    fc.property(fc.nat(size - 1), fc.nat(7), (at, bit) => {
      const before = Buffer.from(disk.readFileSync(`${folder}/snapshot`));
      damage(disk, "snapshot", (bytes) => {
        const copy = Buffer.from(bytes);
        copy[at] = copy[at]! ^ (1 << bit);
        return copy;
      });
      expect(failure(() => open(disk)).sqlstate).toBe("XX001");
      disk.writeFileSync(`${folder}/snapshot`, before);
    }),
    { numRuns: 60 },
  );
  expect(open(disk).entries).toEqual(["a"]);
});

test("a closed log accepts nothing, and an entry may not be too large", async () => {
  const { log } = open(newDisk());
  await expect(log.propose(new Uint8Array(64 * 1024 * 1024 + 1))).rejects.toThrow("is too large");
  log.close();
  await expect(propose(log, "late")).rejects.toThrow("the catalog log is closed");
});
