/** What the leader alone decides of an exchange of CAs: when it is over, and that it does not end the cluster. By a clock by hand. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Log } from "../observe/index.js";
import type { Clock } from "../platform/index.js";
import { CertificateKeeper, type KeeperOptions } from "./certificate-keeper.js";
import { overlapEnd, overlapTrustMs } from "./certificates.js";
import type { ClusterChange } from "./contract.js";
import { ControlScript, pki, uuidOf } from "./script-testing.js";

const windowMs = 60_000;
const tickMs = 1_000;

let script: ControlScript;
let wall: number;
let monotonic: number;
let leads: boolean;
let changes: ClusterChange[];
let unreachable: Set<string>;
let broken: Set<string>;
let faults: Map<string, number>;
let lines: string[];
let keeper: CertificateKeeper;

const run = (...all: readonly string[]): void => {
  for (const line of all) {
    const said = script.run(line).filter((one) => /^ {2}[0-9A-Z]{5} /.test(one));
    expect(said, line).toEqual([]);
  }
};
/** The leader looks as time goes by. */
const pass = (ms: number): void => {
  for (let left = ms; left > 0; left -= tickMs) {
    monotonic += tickMs;
    wall += tickMs;
    keeper.tick();
  }
};
const cutOver = (): string | undefined =>
  keeper.refusalOf({ kind: "cutOver", id: script.state.cluster.rotation!.id, leaving: undefined })?.fields
    .detail;

beforeEach(() => {
  script = new ControlScript();
  [wall, monotonic, leads] = [1_000_000, 0, true];
  [changes, lines] = [[], []];
  [unreachable, broken, faults] = [new Set(), new Set(), new Map()];
  const note = (message: string): void => void lines.push(message);
  const log: Log = { debug() {}, info: note, warn: note, error: note, child: () => log };
  const { cluster } = script.state;
  const options: Partial<KeeperOptions> = {
    self: uuidOf("a"),
    clock: {
      now: () => wall,
      monotonic: () => monotonic,
      after: () => ({ cancel() {} }),
    } as unknown as Clock,
    log,
    pki,
    signer: { certFingerprint: "", publicKey: "", sign: () => "" },
    authority: undefined,
    store: undefined,
    cluster: () => cluster,
    isLeader: () => leads,
    change: async (change) => void changes.push(change),
    isReachable: (node) => !unreachable.has(node),
    keysOf: () => [],
    faultsOf: (node) => faults.get(node) ?? 0,
    seenWith: (node) => (broken.has(node) ? undefined : cluster.members.get(node)?.certFingerprint),
  };
  keeper = new CertificateKeeper(options as KeeperOptions);
  run("time 1000000", "found a");
  for (const name of ["b", "c"]) run(`join ${name}`, `attest ${name}`, `move ${name} ENABLED`);
});

describe("the stability window", () => {
  beforeEach(() => {
    run(`overlap 2 window ${windowMs}`);
    run("recertify a of CA 2", "recertify b of CA 2", "recertify c of CA 2", "sight a", "sight b", "sight c");
    pass(tickMs);
  });

  it("lasts as long as it is said", () => {
    pass(windowMs - 2 * tickMs);
    expect(cutOver()).toBe("STABILITY_WINDOW: it takes another 2 s.");
    pass(2 * tickMs);
    expect(cutOver()).toBeUndefined();
  });

  it.each<readonly [string, () => void, () => void, RegExp]>([
    [
      "a member is not reached",
      () => unreachable.add(uuidOf("b")),
      () => unreachable.clear(),
      /node b is not reached/,
    ],
    [
      "a pair of others has trouble",
      () => faults.set(uuidOf("c"), 5),
      () => {},
      /node c has trouble with a certificate/,
    ],
    ["a member starts anew", () => faults.set(uuidOf("c"), 0), () => {}, /node c has trouble/],
    [
      "a member's certificate is refused here",
      () => keeper.memberRefused(),
      () => {},
      /this node has trouble/,
    ],
    [
      "a connection stands by no certificate",
      () => broken.add(uuidOf("c")),
      () => broken.clear(),
      /this node has trouble/,
    ],
  ])("begins anew when %s", (_, begins, ends, why) => {
    faults.set(uuidOf("c"), 4);
    pass(windowMs - 10 * tickMs);
    begins();
    pass(2 * tickMs);
    ends();
    pass(tickMs);
    expect(cutOver()).toMatch(/^STABILITY_WINDOW: it takes another \d+ s\. It began anew: /);
    expect(cutOver()).toMatch(why);
    expect(lines).toEqual(["the stability window of the exchange of CAs begins anew"]);
    pass(windowMs - 10 * tickMs);
    expect(cutOver()).toMatch(/^STABILITY_WINDOW/);
    pass(10 * tickMs);
    expect(cutOver()).toBeUndefined();
  });

  it("begins anew with whoever leads next, and another who leads knows nothing of it", () => {
    pass(windowMs - 10 * tickMs);
    leads = false;
    pass(tickMs);
    leads = true;
    // It looks for the first time a tick later.
    pass(windowMs);
    expect(cutOver()).toMatch(/^STABILITY_WINDOW/);
    pass(tickMs);
    expect(cutOver()).toBeUndefined();
  });
});

describe("the end of trust in the older CA", () => {
  const day = 86_400_000;
  const extended = (): ClusterChange[] => changes.filter((one) => one.kind === "extendOverlap");

  beforeEach(() => run("overlap 2"));

  it("is put off while too few could do without", async () => {
    const end = overlapEnd(script.state.cluster);
    run("recertify a of CA 2");
    wall = end - 3 * day;
    pass(tickMs);
    expect(extended()).toEqual([]);
    wall = end - day;
    pass(tickMs);
    expect(extended()).toEqual([
      { kind: "extendOverlap", id: script.state.cluster.rotation!.id, until: wall + overlapTrustMs },
    ]);
    // While that is under way it is not asked for again.
    pass(tickMs);
    expect(extended()).toHaveLength(1);
  });

  it("comes where a quorum has moved, and where nobody leads", () => {
    const end = overlapEnd(script.state.cluster);
    wall = end - day;
    leads = false;
    pass(tickMs);
    leads = true;
    run("recertify a of CA 2", "recertify b of CA 2");
    pass(tickMs);
    expect(extended()).toEqual([]);
  });

  it("is not put off for ever", () => {
    const { startedAt } = script.state.cluster.rotation!;
    wall = startedAt + 360 * day;
    pass(tickMs);
    expect(extended()).toEqual([]);
  });
});
