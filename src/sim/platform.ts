/** One seed, one clock, one disk: the simulated platform. Sockets are the business of `sim/network.ts`. */
import type { Platform } from "../platform/index.js";
import { SimClock } from "./clock.js";
import { SimDisk, type SimDiskOptions } from "./disk.js";
import { SimRandom } from "./random.js";

export interface SimPlatform extends Omit<Platform, "network"> {
  readonly clock: SimClock;
  readonly random: SimRandom;
  readonly disk: SimDisk;
}

export function simPlatform(seed: number, options: Omit<SimDiskOptions, "clock" | "seed"> = {}): SimPlatform {
  const clock = new SimClock();
  return { clock, random: new SimRandom(seed), disk: new SimDisk({ ...options, clock, seed: seed + 1 }) };
}
