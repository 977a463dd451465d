import { describe, expect, it } from "vitest";
import { LoginFailures } from "./login-failures.js";
import { FakeClock } from "./testing.js";

describe("failures", () => {
  it("are counted by role and address, doubled, bounded and forgotten", () => {
    const clock = new FakeClock();
    const failures = new LoginFailures(clock);
    const delays = Array.from({ length: 8 }, () => failures.failed("ann", "10.0.0.1", 100));
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    expect(failures.before("ann", "10.0.0.1", 100)).toBe(5000);
    expect(failures.before("bob", "10.0.0.1", 100)).toBe(0);
    expect(failures.before("ann", "10.0.0.2", 100)).toBe(0);
    // An IPv6 address stands for its network.
    for (let times = 0; times < 3; times++) failures.failed("ann", `2001:db8::${times}`, 100);
    expect(failures.before("ann", "2001:db8::99", 100)).toBe(400);
    expect(failures.failed("ann", "10.0.0.1", 0)).toBe(0);
    clock.advance(600_001);
    expect(failures.before("ann", "10.0.0.1", 100)).toBe(0);
    expect(failures.failed("ann", "10.0.0.1", 100)).toBe(100);
  });

  it("do not make who has succeeded wait, and are over then", () => {
    const failures = new LoginFailures(new FakeClock());
    failures.succeeded("ann", "10.0.0.1");
    for (let times = 0; times < 5; times++) failures.failed("ann", "10.0.0.1", 100);
    expect(failures.before("ann", "10.0.0.1", 100)).toBe(0);
    failures.succeeded("ann", "10.0.0.1");
    expect(failures.failed("ann", "10.0.0.1", 100)).toBe(100);
  });

  it("of many names count for their address, and no number of them takes more memory", () => {
    const failures = new LoginFailures(new FakeClock());
    failures.succeeded("ann", "10.0.0.1");
    let last = 0;
    for (let one = 0; one < 70; one++) last = failures.failed(`name ${one}`, "10.0.0.1", 100);
    expect(last).toBe(100 * 2 ** 5);
    for (let one = 0; one < 20_000; one++) failures.failed(`name ${one}`, `10.1.${one % 250}.1`, 100);
    expect(failures.size).toBe(8192);
    for (let times = 0; times < 5; times++) failures.failed("ann", "10.0.0.1", 100);
    expect(failures.before("ann", "10.0.0.1", 100)).toBe(0);
  });
});
