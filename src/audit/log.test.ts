import { generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { isWait } from "../base/wait.js";
import { SimDisk } from "../sim/disk.js";
import { SimRandom } from "../sim/random.js";
import { PageType, type Storage } from "../storage/index.js";
import { openTestStorage } from "../storage/testing.js";
import {
  AuditLog,
  type AuditLogOptions,
  ChainVerifier,
  canonicalJson,
  eventText,
  headBefore,
  listSegments,
  type RunSigner,
  readChain,
} from "./index.js";
import { createVerifierKey, verifyWithRaw } from "./testing.js";

const cluster = "0190a8c0-0000-7000-8000-00000000000c";
const node = "0190a8c0-0000-7000-8000-000000000001";
const certificate = "ab".repeat(32);
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const rawKey = createVerifierKey(publicKey);
const signer = (): RunSigner => ({
  certFingerprint: certificate,
  sign: (digest) => sign(null, digest, privateKey).toString("base64"),
});

interface Opened {
  readonly storage: Storage;
  readonly log: AuditLog;
  readonly disk: SimDisk;
  readonly broken: string[];
}

function open(disk: SimDisk, options: Partial<AuditLogOptions> = {}, seed = 1): Opened {
  const broken: string[] = [];
  const log = new AuditLog({
    disk,
    clock: disk.clock,
    random: new SimRandom(seed + 5),
    cluster,
    node,
    onBroken: (reason) => broken.push(reason),
    ...options,
  });
  const storage = openTestStorage({
    disk,
    pageSize: 8192,
    frames: 128,
    seed,
    groupBytes: 128 << 10,
    arenaBytes: 2 << 20,
    storage: {
      platform: { clock: disk.clock, random: new SimRandom(seed), disk },
      journalHalfBytes: 2 << 20,
      doublewriteBytes: 512 << 10,
      rider: log,
    },
  });
  log.signWith(signer);
  return { storage, log, disk, broken };
}

const note = (log: AuditLog, payload: object): number =>
  log.append("LOGIN_SUCCESS", "INFO", null, null, canonicalJson(payload as never));

function verifyAll(disk: SimDisk, onHash?: (sequence: number, hash: string) => void): ChainVerifier {
  const verifier = new ChainVerifier({
    cluster,
    node,
    keyOf: (name) => (name === certificate ? rawKey : undefined),
    verify: verifyWithRaw,
    onEvent: ({ event_sequence }, hash) => onHash?.(event_sequence, Buffer.from(hash).toString("hex")),
  });
  for (const piece of readChain(disk)) if (!verifier.take(piece)) break;
  verifier.end();
  return verifier;
}

async function close({ storage, log }: Opened): Promise<void> {
  log.stop();
  await storage.close();
  log.close();
}

describe("the audit log", () => {
  it("writes canonical events, signs them and goes on after a stop", async () => {
    const disk = new SimDisk({ seed: 3 });
    const first = open(disk);
    for (let i = 1; i <= 20; i++) expect(note(first.log, { user: `ä"${i}`, i })).toBe(i);
    await first.log.durable(20);
    expect(first.log.durableSequence).toBe(20);
    await close(first);
    const second = open(disk, {}, 2);
    expect(second.log.head.sequence).toBe(20);
    expect(second.log.unsigned).toBe(0);
    expect(note(second.log, { again: true })).toBe(21);
    await close(second);
    const verifier = verifyAll(disk);
    expect(verifier.fault).toBeUndefined();
    expect([verifier.head.sequence, verifier.signedTo]).toEqual([21, 21]);
  });

  it("builds the text that canonicalJson builds", async () => {
    const disk = new SimDisk({ seed: 4 });
    const opened = open(disk);
    const user = "0190a8c0-0000-7000-8000-0000000000aa";
    opened.log.append(
      "DDL_EXECUTED",
      "WARNING",
      user,
      user,
      canonicalJson({ sql_text: 'a\u2028"\\\u0001ä😀', b: null, a: [1, "x"] }),
    );
    note(opened.log, {});
    opened.log.flush();
    const texts = [...readChain(disk)]
      .join("")
      .split("\n")
      .filter((line) => line.startsWith("E "));
    expect(texts.length).toBe(2);
    for (const line of texts) {
      const text = line.slice(line.indexOf("{"));
      expect(eventText(JSON.parse(text))).toBe(text);
      expect(JSON.parse(text).event_uuid).toMatch(
        /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      );
      expect(JSON.parse(text).timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    }
    await close(opened);
  });

  it("needs no write of its own for what nobody waits for", async () => {
    const disk = new SimDisk({ seed: 5 });
    const opened = open(disk);
    await opened.log.durable(note(opened.log, {}));
    const groups = opened.storage.journal.groupsWritten;
    for (let i = 0; i < 50; i++) note(opened.log, { i });
    await opened.storage.durable();
    expect(opened.log.durableSequence).toBe(51);
    expect(opened.storage.journal.groupsWritten).toBe(groups + 1);
    await close(opened);
  });

  it("is durable a moment later when nobody commits", async () => {
    const disk = new SimDisk({ seed: 6 });
    const opened = open(disk);
    note(opened.log, {});
    await new Promise<void>((resolve) => disk.clock.after(400, resolve));
    expect(opened.log.durableSequence).toBe(1);
    await close(opened);
  });

  it("refuses what finds no room, and drops nothing", async () => {
    const disk = new SimDisk({ seed: 7 });
    const opened = open(disk, { bufferBytes: 16 << 10 });
    const payload = { text: "x".repeat(500) };
    let refused = "";
    let last = 0;
    for (let i = 0; i < 100 && refused === ""; i++) {
      try {
        last = note(opened.log, payload);
      } catch (error) {
        refused = (error as { sqlstate: string }).sqlstate;
      }
    }
    expect(refused).toBe("58030");
    expect(opened.log.failures).toBe(1);
    await opened.log.progress();
    expect(note(opened.log, payload)).toBe(last + 1);
    await close(opened);
    expect(verifyAll(disk).head.sequence).toBe(last + 1);
  });

  it("finds the event before a range, over segments", async () => {
    const disk = new SimDisk({ seed: 8 });
    const opened = open(disk, { segmentBytes: 4096 });
    const hashes: string[] = [];
    for (let i = 1; i <= 60; i++) {
      note(opened.log, { i });
      hashes.push(opened.log.hashText);
      if (i % 10 === 0) await opened.storage.checkpoint();
    }
    opened.log.flush();
    expect(listSegments(disk).length).toBeGreaterThan(3);
    for (const sequence of [1, 2, 20, 31, 60, 61]) {
      const head = headBefore(disk, sequence);
      expect(head?.sequence).toBe(sequence - 1);
      if (sequence > 1) expect(Buffer.from(head!.hash!).toString("hex")).toBe(hashes[sequence - 2]);
    }
    await close(opened);
    expect(verifyAll(disk).head.sequence).toBe(60);
  });

  it.each([
    ["a byte changed", (disk: SimDisk, path: string) => disk.flipBit(path, 300)],
    ["the tail cut off", (disk: SimDisk, path: string) => disk.cut(path, disk.sizeOf(path) - 2)],
    ["the segment removed", (disk: SimDisk, path: string) => disk.removeSync(path)],
  ])("takes nothing more after %s while the node was down", async (_what, tamper) => {
    const disk = new SimDisk({ seed: 9 });
    const first = open(disk);
    for (let i = 1; i <= 5; i++) note(first.log, { i });
    await close(first);
    // The last line is a signature, which the mark does not know of: cut below it.
    const path = listSegments(disk)[0]!.path;
    if (_what.startsWith("the tail")) {
      const text = Buffer.from(disk.bytesOf(path)).toString();
      disk.cut(path, text.lastIndexOf("\nS ") + 1);
    }
    tamper(disk, path);
    const second = open(disk, {}, 2);
    expect(second.broken.length).toBe(1);
    expect(() => note(second.log, {})).toThrow("the audit chain of this node takes no more events");
    // Pages are served all the same.
    await second.storage.checkpoint();
    await close(second);
    const third = open(disk, {}, 3);
    expect(third.broken.length).toBe(1);
    await close(third);
  });
});

describe("a crash", () => {
  it.each([11, 12])("leaves whole events, all that were durable among them (seed %i)", async (seed) => {
    const disk = new SimDisk({ seed });
    const random = new SimRandom(seed);
    const opened = open(disk, { segmentBytes: 6000, bufferBytes: 64 << 10 }, seed);
    const hashes = new Map<number, string>();
    disk.startTrace();
    disk.note(0);
    const store = opened.storage.shards[0]!;
    for (let step = 0; step < 60; step++) {
      for (let i = random.below(12); i > 0; i--) {
        const sequence = note(opened.log, { step, text: "ü".repeat(random.below(900)) });
        hashes.set(sequence, opened.log.hashText);
      }
      if (random.below(5) === 0) opened.log.sign();
      if (random.below(3) === 0) opened.log.flush();
      if (random.below(2) === 0) {
        for (;;) {
          try {
            store.beginOperation();
            store.reserve(1);
            store.allocate(PageType.data, 1);
            break;
          } catch (thrown) {
            if (!isWait(thrown)) throw thrown;
            await thrown.ready;
          }
        }
      }
      if (random.below(8) === 0) await opened.storage.checkpoint();
      else if (random.below(2) === 0) {
        const { sequence } = opened.log;
        await opened.log.durable(sequence);
        disk.note(sequence);
      }
    }
    await close(opened);
    let images = 0;
    const every = Math.max(1, Math.floor((disk.eventCount * 3) / 60));
    for (const image of disk.traceImages({ every })) {
      const label = `seed ${seed}, after ${image.events} of ${disk.eventCount} events, ${image.variant}`;
      images++;
      const left = image.open();
      const found = open(left, { segmentBytes: 6000 }, seed + images);
      expect(found.broken, label).toEqual([]);
      expect(found.log.sequence, label).toBeGreaterThanOrEqual(image.note);
      if (found.log.sequence > 0) expect(found.log.hashText, label).toBe(hashes.get(found.log.sequence));
      const { sequence } = found.log;
      note(found.log, { after: "the crash" });
      if (images % 2 === 0) {
        found.storage.abandon();
        const again = open(left.crash(), {}, seed);
        expect(again.broken, label).toEqual([]);
        expect(again.log.sequence, label).toBeGreaterThanOrEqual(sequence);
        again.storage.abandon();
        continue;
      }
      await close(found);
      const verifier = verifyAll(left, (at, hash) => {
        if (at <= sequence) expect(hash, label).toBe(hashes.get(at));
      });
      expect(verifier.fault, label).toBeUndefined();
      expect([verifier.head.sequence, verifier.signedTo], label).toEqual([sequence + 1, sequence + 1]);
    }
    expect(images).toBeGreaterThan(30);
  });
});
