import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { HostDisk, hostClock, hostRandom } from "./host.js";

const folder = mkdtempSync(join(tmpdir(), "scratchbird-host-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("host disk", () => {
  const disk = new HostDisk(folder);

  it("reads back what it wrote, past the cache or not", async () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const block = new Uint8Array(memory.buffer, 0, 8192).fill(7);
    for (const durableWrites of [false, true]) {
      const file = disk.openSync("a", { create: true, durableWrites });
      file.writeSync(block, 4096);
      await file.write(block, 12288);
      await file.sync();
      expect(file.size()).toBe(20480);
      const into = new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer, 0, 8192);
      expect(file.readSync(into, 4096)).toBe(8192);
      expect(into.every((byte) => byte === 7)).toBe(true);
      expect(await file.read(into, 16384)).toBe(4096);
      file.closeSync();
    }
  });

  it("names the file in errors, and never leaves its folder", () => {
    expect(() => disk.openSync("none/there")).toThrowError(/could not open file "none\/there"/);
    expect(() => disk.openSync("../outside", { create: true })).toThrowError(/leaves the data folder/);
    expect(() => disk.readFileSync("missing")).toThrowError(
      expect.objectContaining({ condition: "ioError" }),
    );
  });

  it("replaces small files whole", () => {
    disk.makeFolderSync("x/y");
    disk.writeFileSync("x/y/f", new Uint8Array([1, 2, 3]));
    disk.writeFileSync("x/y/f", new Uint8Array([4]));
    expect([...disk.readFileSync("x/y/f")]).toEqual([4]);
    expect(disk.listSync("x/y")).toEqual(["f"]);
    expect(disk.listSync("nowhere")).toEqual([]);
  });

  it("locks once, and takes over a dead holder's lock", () => {
    const unlock = disk.lockSync("lock");
    expect(() => disk.lockSync("lock")).toThrowError(expect.objectContaining({ condition: "objectInUse" }));
    unlock();
    expect(disk.existsSync("lock")).toBe(false);
    // No process has this id: the kernel's largest is 2^22.
    writeFileSync(join(folder, "lock"), "99999999 1\n");
    disk.lockSync("lock")();
    // This process's id, but not its start: an id used again.
    writeFileSync(join(folder, "lock"), `${process.pid} 1\n`);
    disk.lockSync("lock")();
    expect(disk.listSync("")).not.toContain("lock");
  });
});

describe("host clock and random", () => {
  it("goes forward, waits, cancels", async () => {
    const before = hostClock.monotonic();
    let ran = false;
    const timer = hostClock.after(1, () => {
      ran = true;
    });
    timer.cancel();
    await new Promise<void>((resolve) => hostClock.after(15, resolve));
    expect(ran).toBe(false);
    expect(hostClock.monotonic() - before).toBeGreaterThanOrEqual(14);
    expect(Math.abs(hostClock.now() - Date.now())).toBeLessThan(1000);
    const bytes = new Uint8Array(64);
    hostRandom.fill(bytes);
    expect(bytes.some((byte) => byte !== 0)).toBe(true);
    const fraction = hostRandom.fraction();
    expect(fraction >= 0 && fraction < 1).toBe(true);
  });
});
