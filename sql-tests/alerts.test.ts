/**
 * Alerts of a whole node: what fires is in its log once, in sys.alerts while it lasts, and counted in /metrics; and it ends when its
 * cause has. The node's clock is the test's: years pass in a moment.
 */
import { afterEach, expect, it } from "vitest";
import { hostClock } from "../src/platform/host.js";
import type { Clock } from "../src/platform/index.js";
import { HostPeerNetwork } from "../src/platform/peers.js";
import { type LimitsNode, openLimitsNode, pause } from "./limits/node.js";

/** The host's clock, and what was put on top of it: the date, and time that passes, so that timers are due earlier. */
class JumpingClock implements Clock {
  #date = 0;
  #passed = 0;
  readonly #timers = new Map<object, { at: number; run: () => void; cancel: () => void }>();

  now = (): number => hostClock.now() + this.#date + this.#passed;
  monotonic = (): number => hostClock.monotonic() + this.#passed;
  yield = (): Promise<void> => hostClock.yield();
  after = (delayMs: number, run: () => void): { cancel(): void } => {
    const handle = { cancel: () => this.#drop(handle) };
    this.#arm(handle, this.monotonic() + delayMs, run);
    return handle;
  };
  /** As when somebody sets it. */
  setOn(ms: number): void {
    this.#date += ms;
  }
  /** Little by little, or who leads would find that he has heard nobody for long. */
  async pass(ms: number): Promise<void> {
    for (const end = this.#passed + ms; this.#passed < end; await pause(10)) this.#jump(400);
  }
  #jump(ms: number): void {
    this.#passed += ms;
    for (const [handle, { at, run, cancel }] of [...this.#timers]) {
      cancel();
      this.#arm(handle, at, run);
    }
  }
  #arm(handle: object, at: number, run: () => void): void {
    const { cancel } = hostClock.after(Math.max(0, at - this.monotonic()), () => {
      this.#timers.delete(handle);
      run();
    });
    this.#timers.set(handle, { at, run, cancel });
  }
  #drop(handle: object): void {
    this.#timers.get(handle)?.cancel();
    this.#timers.delete(handle);
  }
}

const day = 86_400_000;
let node: LimitsNode;
afterEach(() => node.close());

const metrics = async (): Promise<string> => (await fetch(`http://${node.http}/metrics`)).text();
async function countedAlerts(): Promise<Record<string, number>> {
  const lines = (await metrics()).matchAll(/^scratchbird_alerts_firing\{.*severity="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...lines].map(([, severity, count]) => [severity, Number(count)]));
}
/** Without that of the revocation list: it has ended when years pass at once, and is made anew. */
const told = (message: string): unknown[] =>
  node.logged
    .filter((line) => line.message === message)
    .map(({ fields }) => fields!["alert"])
    .filter((alert) => alert !== "CrlExpired");

it("a CA that is about to end alerts until it is replaced", async () => {
  const clock = new JumpingClock();
  node = await openLimitsNode(["--control-port", "0"], clock, { controlNetwork: new HostPeerNetwork() });
  // Each with a session of its own: years end whatever is open.
  const query = async <Row extends object>(sql: string): Promise<Row[]> => {
    const client = await node.client();
    const { rows } = await client.query<Row>(sql);
    await client.end();
    return rows;
  };
  const firing = async (): Promise<string[]> =>
    (await query<{ alert: string }>("SELECT alert FROM sys.alerts ORDER BY alert")).map(({ alert }) => alert);
  const until = async (wanted: readonly string[]): Promise<void> => {
    for (let look = 0; look < 60 && (await firing()).join() !== wanted.join(); look++)
      await clock.pass(5_000);
    expect(await firing()).toEqual(wanted);
  };

  await clock.pass(5_000);
  expect(await firing()).toEqual([]);
  expect(await countedAlerts()).toEqual({ WARNING: 0, CRITICAL: 0 });

  const left = /^scratchbird_certificate_expiry_seconds\{.*kind="ca"\} (\S+)$/m.exec(await metrics())!;
  clock.setOn(Number(left[1]) * 1000 - 89 * day);
  await until(["CaExpiringSoon"]);
  expect(await countedAlerts()).toEqual({ WARNING: 1, CRITICAL: 0 });
  const [row] = await query<{ value: number }>(
    "SELECT severity, metric, labels, value, threshold FROM sys.alerts",
  );
  expect(row).toMatchObject({
    severity: "WARNING",
    metric: "scratchbird_certificate_expiry_seconds",
    labels: { kind: "ca" },
    threshold: 90 * 86_400,
  });
  expect(row!.value).toBeLessThanOrEqual(89 * 86_400);

  clock.setOn(60 * day);
  await until(["CaExpiring", "CaExpiringSoon"]);
  expect(await countedAlerts()).toEqual({ WARNING: 1, CRITICAL: 1 });

  await query("ROTATE CA STABILITY WINDOW '1 s'");
  await until([]);
  expect(await countedAlerts()).toEqual({ WARNING: 0, CRITICAL: 0 });
  expect(told("an alert fires")).toEqual(["CaExpiringSoon", "CaExpiring"]);
  expect(told("an alert has cleared").sort()).toEqual(["CaExpiring", "CaExpiringSoon"]);
});
