/**
 * Crash images: a random workload runs once on a disk that records every write and sync; then the disk is opened as a
 * crash after each of them would have left it, and must show what was acknowledged, whole (contract.md, V1-V4, C4).
 *
 * A failure names seed and image; `npm run crash -- --seed S --image N` opens that image alone.
 */

import type { CrashImage, SimDisk } from "../../src/sim/disk.js";
import { openSimNode, platformOn, type SimNode, simConfig, simMemory } from "../../src/sim/node.js";
import { simPlatform } from "../../src/sim/platform.js";
import { checkFound, verifyNode, Workload } from "../../src/sim/workload.js";

export interface ImageRun {
  readonly seed: number;
  /** About how many images to open; spread over the whole trace. */
  readonly images: number;
  /** Open this one alone. */
  readonly image?: number | undefined;
  readonly transactions?: number;
  readonly progress?: (line: string) => void;
}

export interface ImageReport {
  readonly images: number;
  readonly events: number;
  readonly committed: number;
  /** Images in which a COMMIT under way was found done. */
  readonly ahead: number;
  /** Images that were crashed once more after their recovery. */
  readonly again: number;
  readonly verified: number;
  readonly failures: readonly string[];
  readonly statements: ReadonlyMap<string, number>;
}

const variants = 2;
const config = simConfig();
/** Images are opened one after the other, and each is through before the next. */
const memory = simMemory(config);
const failuresMax = 5;

export async function runImages(run: ImageRun): Promise<ImageReport> {
  const { seed } = run;
  const platform = simPlatform(seed, { readMs: 0.05, writeMs: 0.1, syncMs: 0.4 });
  const node = await openSimNode(platform);
  // A sync of everything, so that the trace starts from what is on disk.
  await node.core.storage.checkpoint();
  platform.disk.startTrace();
  const workload = new Workload(node, seed, {
    sessions: 4,
    transactions: run.transactions ?? 120,
    ddl: 10 + (seed % 3) * 10,
  });
  // Images that come before the first note know nothing yet: the tables that all share are being made.
  await workload.run();
  const { disk } = platform;
  const events = disk.eventCount;
  if (node.log.errors.length > 0) throw new Error(`seed ${seed}: ${node.log.errors.join("; ")}`);
  node.abandon();

  const numbers = events * (2 + variants);
  const every = Math.max(1, numbers / run.images);
  let next = 0;
  const wanted = (number: number): boolean => {
    if (run.image !== undefined) return number === run.image;
    if (number < next) return false;
    // The next one is counted from where this one should have been: numbers of notes are skipped.
    next = (Math.floor(number / every) + 1) * every;
    return true;
  };
  const failures: string[] = [];
  let images = 0;
  let ahead = 0;
  let again = 0;
  let verified = 0;
  for (const image of disk.traceImages({ variants, only: wanted })) {
    if (image.note < 0) continue;
    images++;
    const deep = run.image !== undefined || images % 8 === 0;
    const twice = run.image !== undefined || images % 5 === 0;
    try {
      const outcome = await checkImage(workload, image, seed, deep, twice);
      if (outcome.ahead) ahead++;
      if (twice) again++;
      if (deep) verified++;
    } catch (error) {
      const what = error instanceof Error ? (run.image === undefined ? error.message : error.stack) : error;
      failures.push(
        `seed ${seed} image ${image.number} (after ${image.events} of ${events} events, unsynced writes ${image.variant}): ${what}`,
      );
      run.progress?.(failures.at(-1)!);
      if (failures.length >= failuresMax) break;
    }
  }
  return {
    images,
    events,
    committed: workload.committed,
    ahead,
    again,
    verified,
    failures,
    statements: workload.statements,
  };
}

async function checkImage(
  workload: Workload,
  image: CrashImage,
  seed: number,
  deep: boolean,
  twice: boolean,
): Promise<{ readonly ahead: boolean }> {
  const left = image.open();
  const expected = workload.notes[image.note]!;
  const node = await open(left, seed);
  let found: Awaited<ReturnType<typeof checkFound>>;
  try {
    found = await checkFound(node, expected);
    if (deep) {
      await goesOn(node);
      const problems = await verifyNode(node);
      if (problems.length > 0) throw new Error(problems.slice(0, 5).join("; "));
    }
  } finally {
    node.abandon();
  }
  if (twice && !deep) {
    // A crash right behind the recovery: what was found, under way or not, is there for good.
    const more = await open(left.crash(), seed + 1);
    try {
      const outcome = await checkFound(
        more,
        expected.map(({ acknowledged, underWay }, session) => ({
          acknowledged: found.ahead[session]! ? underWay! : acknowledged,
          underWay: found.ahead[session]! ? undefined : underWay,
        })),
      );
      outcome.ahead.forEach((isAhead, session) => {
        if (isAhead && !found.ahead[session]!)
          throw new Error(`session ${session}: a transaction came back with a second recovery`);
      });
    } finally {
      more.abandon();
    }
  }
  return { ahead: found.ahead.some(Boolean) };
}

function open(disk: SimDisk, seed: number): Promise<SimNode> {
  return openSimNode(platformOn(disk, seed), config, memory);
}

/** The node is not only readable: it takes rows, DDL and a sweep. */
async function goesOn(node: SimNode): Promise<void> {
  const client = node.client();
  await client.query("INSERT INTO shared VALUES (1000000, 1, repeat('after the crash', 300))");
  await client.query("CREATE TABLE afterwards AS SELECT id, n FROM shared");
  await client.query("DELETE FROM shared WHERE id = 1000000");
  await client.query("DROP TABLE afterwards");
  await client.query("SWEEP");
  client.close();
}
