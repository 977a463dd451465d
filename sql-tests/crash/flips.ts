/**
 * Damage: a bit, a sector, a swap or a cut in any file of a stopped or killed node. The node must refuse to start with a
 * line that names what is wrong, answer XX001/XX002 where the damage is met, or show exactly the rows that belong there.
 *
 * What is allowed beyond that: the journal's last two groups may read as torn writes, and then what they held is gone
 * whole (contract.md, "Promises under fault"; docs/testing.md).
 */
import { createSecureContext } from "node:tls";
import { DbError } from "../../src/base/errors.js";
import { hostClock } from "../../src/platform/host.js";
import { serverCertificate } from "../../src/security/index.js";
import type { SimDisk } from "../../src/sim/disk.js";
import { openSimNode, platformOn, type SimNode, simConfig, simMemory } from "../../src/sim/node.js";
import { type SimPlatform, simPlatform } from "../../src/sim/platform.js";
import { SimRandom } from "../../src/sim/random.js";
import { checkFound, Workload } from "../../src/sim/workload.js";

export interface FlipRun {
  readonly seed: number;
  readonly trials: number;
  /** Do this one alone. */
  readonly trial?: number | undefined;
  readonly progress?: (line: string) => void;
}

type Outcome = "refused" | "told" | "harmless" | "last writes lost";

export interface FlipReport {
  readonly trials: number;
  /** By file class and outcome. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly failures: readonly string[];
}

const names = { commonName: "node-1", dns: ["localhost"], addresses: ["127.0.0.1"] };
/** A transaction takes two groups when the catalog decides it: the two last groups hold at most two of them. */
const mayBeLost = 2;
const config = simConfig();
/** One damaged node after the other: none lives beside the next. */
const memory = simMemory(config);

function classOf(path: string): string {
  if (path.startsWith("shards/")) return "shard pages";
  return path.startsWith("raft/") ? "catalog log" : path;
}

/** One connection, so that states follow each other: what is lost at the end is told from what is wrong. */
async function prepare(
  seed: number,
): Promise<{ readonly workload: Workload; readonly disks: readonly SimDisk[] }> {
  const platform = simPlatform(seed, { writeMs: 0.1, syncMs: 0.3 });
  const node = await openSimNode(platform);
  await certificate(platform);
  const workload = new Workload(node, seed, { sessions: 1, transactions: 120, ddl: 20 });
  await workload.run();
  // Killed: the journal has groups that are in no page. Stopped: the pages have all.
  const killed = platform.disk.crash();
  await node.core.close();
  return { workload, disks: [killed, platform.disk.crash()] };
}

function certificate({ disk, clock, random }: SimPlatform): ReturnType<typeof serverCertificate> {
  return serverCertificate(disk, names, clock, random);
}

/** Damages one place of a copy; answers where. Files that are nearly all zeros are hit where they hold something. */
function damage(disk: SimDisk, random: SimRandom): { readonly path: string; readonly what: string } {
  const classes = new Map<string, string[]>();
  for (const path of disk.paths) {
    if (disk.sizeOf(path) === 0 || path === "lock" || path === "admin-password") continue;
    const name = classOf(path);
    const list = classes.get(name) ?? [];
    list.push(path);
    classes.set(name, list);
  }
  const all = [...classes.values()];
  const list = all[random.below(all.length)]!;
  const path = list[random.below(list.length)]!;
  const size = disk.sizeOf(path);
  const bytes = disk.bytesOf(path);
  const used: number[] = [];
  for (let at = 0; at < size; at += 512) {
    for (let byte = at; byte < Math.min(size, at + 512); byte++) {
      if (bytes[byte] === 0) continue;
      used.push(at);
      break;
    }
  }
  const sector = used.length === 0 ? 0 : used[random.below(used.length)]!;
  const offset = Math.min(size - 1, sector + random.below(512));
  switch (random.below(8)) {
    case 0:
      disk.cut(path, offset);
      return { path, what: `cut to ${offset} of ${size} bytes` };
    case 1: {
      const file = disk.openSync(path, { durableWrites: true });
      file.writeSync(new Uint8Array(Math.min(512, size - sector)), sector);
      return { path, what: `512 zeros at ${sector}` };
    }
    case 2: {
      const other = used[random.below(used.length || 1)] ?? 0;
      const page = 8192;
      const [left, right] = [Math.floor(sector / page) * page, Math.floor(other / page) * page];
      if (left === right || Math.max(left, right) + page > size) break;
      const file = disk.openSync(path, { durableWrites: true });
      file.writeSync(bytes.slice(left, left + page), right);
      file.writeSync(bytes.slice(right, right + page), left);
      return { path, what: `${page} bytes at ${left} and ${right} swapped` };
    }
    default:
  }
  const bit = random.below(8);
  disk.flipBit(path, offset, bit);
  return { path, what: `bit ${bit} of byte ${offset} of ${size}` };
}

export async function runFlips(run: FlipRun): Promise<FlipReport> {
  const { workload, disks } = await prepare(run.seed);
  const outcomes = new Map<string, number>();
  const failures: string[] = [];
  const rejections: string[] = [];
  const onRejection = (error: unknown): void => {
    rejections.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  };
  process.on("unhandledRejection", onRejection);
  const [first, last] = run.trial === undefined ? [0, run.trials] : [run.trial, run.trial + 1];
  try {
    for (let trial = first; trial < last && failures.length < 8; trial++) {
      const random = new SimRandom(run.seed * 65_537 + trial);
      const disk = disks[trial % disks.length]!.crash();
      const { path, what } = damage(disk, random);
      try {
        const outcome = await outcomeOf(workload, disk, path);
        await hostClock.yield();
        if (rejections.length > 0)
          throw new Error(`an unhandled rejection: ${rejections.splice(0).join("; ")}`);
        const key = `${classOf(path)}: ${outcome}`;
        outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
      } catch (error) {
        const text =
          error instanceof Error ? (run.trial === undefined ? error.message : error.stack) : String(error);
        failures.push(`seed ${run.seed} trial ${trial}: ${path}, ${what}: ${text}`);
        run.progress?.(failures.at(-1)!);
      }
    }
  } finally {
    process.off("unhandledRejection", onRejection);
  }
  return { trials: last - first, outcomes, failures };
}

/** An error that says what is damaged is an answer; any other is the node's own failure. */
function isTold(error: unknown): boolean {
  if (!(error instanceof DbError)) return false;
  if (error.message.length < 10) return false;
  return ["XX001", "XX002", "F0000", "0A000", "58030", "22023", "55006"].includes(error.sqlstate);
}

async function outcomeOf(workload: Workload, disk: SimDisk, path: string): Promise<Outcome> {
  let node: SimNode;
  const platform = platformOn(disk, 1);
  try {
    const material = await certificate(platform);
    createSecureContext({ cert: material.certificatePem, key: material.keyPem });
    node = await openSimNode(platform, config, memory);
  } catch (error) {
    if (isTold(error)) return "refused";
    throw error;
  }
  try {
    const outcome = await found(node, workload, path);
    // Damage that nobody met yet must not bring the node down when it is met by a check of everything.
    await node.core.storage.verify();
    return outcome;
  } finally {
    node.abandon();
  }
}

async function found(node: SimNode, workload: Workload, path: string): Promise<Outcome> {
  const states = workload.notes.map((note) => note[0]!.acknowledged);
  const distinct = states.filter((state, at) => state !== states[at - 1]);
  let problem: unknown;
  const depth = path === "journal/groups" ? mayBeLost : 0;
  for (let back = 0; back <= depth; back++) {
    try {
      await checkFound(node, [{ acknowledged: distinct.at(-1 - back)!, underWay: undefined }]);
      return back === 0 ? "harmless" : "last writes lost";
    } catch (error) {
      if (isTold(error)) return "told";
      if (!(error instanceof Error)) throw error;
      problem ??= error;
    }
  }
  throw problem;
}
