/**
 * The HTTP port of a node: health, readiness, and numbers for Prometheus.
 *
 *     const door = await reserveHttp("127.0.0.1", 8433);       // platform/http.ts; costs a few milliseconds
 *     const admin = startAdmin({ door, node, version, clock, ready, sources, onTrouble });
 *     ...                                                       // the ready line
 *     void admin.load();                                        // or the first request does it
 *     await admin.close();
 *
 * The port is bound before the node is ready and the libraries behind it are loaded after that; requests wait meanwhile.
 * Read `metrics.ts` first. Not here: who counts (each part its own), logs (`observe/`).
 */
import type { Clock, HttpDoor } from "../platform/index.js";
import type { MetricSources } from "./metrics.js";

export { type Alerts, startAlerts } from "./alerts.js";
export type { MetricSources, SessionCounts } from "./metrics.js";

export interface Readiness {
  readonly ready: boolean;
  /** Why not; shown to everybody who asks. */
  readonly reasons: readonly string[];
}

export interface AdminOptions {
  readonly door: HttpDoor;
  readonly node: string;
  readonly version: string;
  readonly clock: Pick<Clock, "now">;
  readonly ready: () => Readiness;
  readonly sources: MetricSources;
  /** An answer failed, or the port cannot answer at all. */
  readonly onTrouble: (what: string, error: unknown) => void;
}

export interface Admin {
  /** host:port, for the ready line. */
  readonly address: string;
  readonly port: number;
  /** Makes it answer. Never rejects: what goes wrong is trouble, and closes the port. */
  load(): Promise<void>;
  close(): Promise<void>;
}

export function startAdmin(options: AdminOptions): Admin {
  const { door, onTrouble } = options;
  let loading: Promise<void> | undefined;
  let closing: Promise<void> | undefined;
  let ended: () => Promise<void> = async () => {};

  const answer = async (): Promise<void> => {
    if (closing !== undefined) return;
    try {
      const { serve } = await import("./server.js");
      ended = await serve(options);
    } catch (error) {
      onTrouble("the HTTP port cannot answer and is closed", error);
      await door.close();
    }
  };
  const load = (): Promise<void> => (loading ??= answer());
  const close = async (): Promise<void> => {
    await door.close();
    await loading;
    await ended();
  };
  door.onWanted(() => void load());
  return { address: door.address, port: door.port, load, close: () => (closing ??= close()) };
}
