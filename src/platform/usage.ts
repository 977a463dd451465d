/** What this process has used, as the operating system and V8 count it. */
import type { ProcessUsage } from "./index.js";

export function processUsage(): ProcessUsage {
  const { user, system } = process.cpuUsage();
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
  return {
    userSeconds: user / 1e6,
    systemSeconds: system / 1e6,
    residentBytes: rss,
    heapBytes: heapTotal,
    heapUsedBytes: heapUsed,
    externalBytes: external,
    uptimeSeconds: process.uptime(),
  };
}
