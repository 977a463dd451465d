/** Single faults of a whole node: what fails is told to whom it concerns, and nothing that was answered is lost silently. */
import { expect, test } from "vitest";
import { DbError } from "../../src/base/errors.js";
import type { SimDisk } from "../../src/sim/disk.js";
import { openSimNode, platformOn } from "../../src/sim/node.js";
import { simPlatform } from "../../src/sim/platform.js";

/** The SQLSTATE that the promise is rejected with. */
async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof DbError) return error.sqlstate;
    throw error;
  }
  return "nothing was refused";
}

test("damage to the last catalog entry, or a log cut before it, refuses the start right after the answer", async () => {
  const platform = simPlatform(11, { writeMs: 0.1, syncMs: 0.3 });
  const node = await openSimNode(platform);
  const client = node.client();
  await client.query("CREATE TABLE kept (a int)");
  const log = platform.disk.paths.findLast((path) => path.startsWith("raft/log-"))!;
  const before = platform.disk.sizeOf(log);
  await client.query("CREATE TABLE last (a int)");
  node.abandon();
  const damages: readonly ((disk: SimDisk) => void)[] = [
    (disk) => disk.flipBit(log, before + 40, 3),
    (disk) => disk.cut(log, before),
    (disk) => disk.cut(log, before + 100),
  ];
  for (const damage of damages) {
    const disk = platform.disk.crash();
    damage(disk);
    expect(await refusal(openSimNode(platformOn(disk, 12)))).toBe("XX001");
  }
  const whole = await openSimNode(platformOn(platform.disk.crash(), 13));
  expect((await whole.client().query("SELECT count(*) FROM last")).rows).toEqual([[0]]);
  whole.abandon();
});

test("who meets a row whose transaction could not be made durable gets 58030 and does not wait", async () => {
  for (const write of ["UPDATE t SET b = 2", "CREATE TABLE u (a int)"]) {
    const platform = simPlatform(31, { writeMs: 0.1, syncMs: 0.3 });
    const node = await openSimNode(platform);
    const [first, waiting, late] = [node.client(), node.client(), node.client()];
    await first.query("CREATE TABLE t (a int PRIMARY KEY, b int)");
    await first.query("INSERT INTO t VALUES (1, 1)");
    await first.query("BEGIN");
    await first.query("UPDATE t SET b = 3");
    await first.query(write);
    const waits = refusal(waiting.query("UPDATE t SET b = 4"));
    await platform.clock.yield();
    // With DDL the rows wait in limbo for the catalog's entry.
    platform.disk.failSync(write.startsWith("CREATE") ? "raft/log-" : "journal/groups");
    expect(["58030", "08007"]).toContain(await refusal(first.query("COMMIT")));
    expect(await waits).toBe("58030");
    expect(await refusal(late.query("UPDATE t SET b = 5"))).toBe("58030");
    expect(await refusal(late.query("INSERT INTO t VALUES (1, 1) ON CONFLICT (a) DO UPDATE SET b = 6"))).toBe(
      "58030",
    );
    node.abandon();
  }
});

test("referring rows are found in a table larger than the pool, without an index, on a slow disk", async () => {
  const platform = simPlatform(41, { writeMs: 0.1, syncMs: 0.3 });
  const first = await openSimNode(platform);
  const made = first.client();
  await made.query("CREATE TABLE parent (id int PRIMARY KEY)");
  await made.query("INSERT INTO parent SELECT i FROM generate_series(1, 10) i");
  await made.query(
    "CREATE TABLE child (n int, id int REFERENCES parent ON DELETE CASCADE, a char(1500), b char(1500))",
  );
  // One row of a hundred refers to parent 1.
  const frames = first.core.storage.counters.frames;
  const rows = Math.ceil((frames * 2.6) / 100) * 100;
  await made.query(
    `INSERT INTO child SELECT i, CASE WHEN i % 100 = 0 THEN 1 ELSE 2 END, 'a', 'b' FROM generate_series(1, ${rows}) i`,
  );
  await first.core.close();
  platform.disk.readMs = 2;
  const node = await openSimNode(platformOn(platform.disk, 42));
  const client = node.client();
  const { rows: size } = await client.query("SELECT pg_relation_size('child')");
  expect(Number(size[0]![0])).toBeGreaterThan(frames * 8192 * 1.1);
  const began = node.platform.clock.monotonic();
  const limit = new Promise<string>((resolve) => node.platform.clock.after(60_000, () => resolve("never")));
  const outcome = await Promise.race([
    client.query("DELETE FROM parent WHERE id = 1").then(({ tag }) => tag),
    limit,
  ]);
  expect(outcome).toBe("DELETE 1");
  expect(node.platform.clock.monotonic() - began).toBeLessThan(60_000);
  expect((await client.query("SELECT count(*), min(id) FROM child")).rows).toEqual([[rows - rows / 100, 2]]);
  node.abandon();
});
