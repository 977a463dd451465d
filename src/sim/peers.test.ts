/** The wire of the simulator: TCP's manners under every fault, the same for the same seed. */
import { describe, expect, it } from "vitest";
import xxhash from "xxhash-wasm";
import type { DbError } from "../base/errors.js";
import type { PeerCredentials, PeerStream } from "../rpc/contract.js";
import { PeerLinks } from "../rpc/index.js";
import { ProcessClock, SimClock } from "./clock.js";
import { type SimPeerNetwork, SimWire, simCertificate, simCheck, simFingerprint } from "./peers.js";
import { SimRandom } from "./random.js";

const hash = await xxhash();
const certificateOf = (node: string, authority = "ca") =>
  simCertificate({ cluster: "c", node, authority, serial: `serial ${node}` });

function credentials(
  own: string | undefined,
  options: { removed?: readonly string[]; revoked?: readonly string[] } = {},
): PeerCredentials {
  return {
    own: own === undefined ? undefined : certificateOf(own),
    check: simCheck({
      cluster: "c",
      authorities: ["ca"],
      isRevoked: (serial) => options.revoked?.includes(serial) ?? false,
      member: (node) => ({
        fingerprints: [simFingerprint(certificateOf(node).certificatePem)],
        removed: options.removed?.includes(node) ?? false,
      }),
    }),
  };
}

function world(seed = 1) {
  const clock = new SimClock();
  const wire = new SimWire({ clock, seed });
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));
  const network = (node: string): SimPeerNetwork => {
    const one = wire.network(node);
    one.use(credentials(node));
    return one;
  };
  return { clock, wire, sleep, network };
}

/** A listens at a:1, b has dialled it. */
async function pair(seed = 1) {
  const here = world(seed);
  const a = here.network("a");
  const b = here.network("b");
  let inside: PeerStream | undefined;
  await a.listen("a", 1, false, (stream) => (inside = stream));
  const out = await b.dial({ address: "a:1", node: "a" }, 1_000);
  return { ...here, a, b, out, inside: inside! };
}
const failureOf = (promise: Promise<unknown>): Promise<DbError> =>
  promise.then(
    () => expect.fail("it went well"),
    (error: DbError) => error,
  );
function collected(stream: PeerStream) {
  const got: number[] = [];
  const sizes: number[] = [];
  const state = { got, closed: 0, sizes };
  stream.onData((chunk) => {
    got.push(...chunk);
    sizes.push(chunk.length);
  });
  stream.onClose(() => state.closed++);
  return state;
}
const counting = (from: number, count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, at) => (from + at) & 0xff);

describe("a stream on the wire", () => {
  it("knows its ends, keeps the order, and copies what is written", async () => {
    const { out, inside, sleep } = await pair();
    expect(out.peer).toMatchObject({ kind: "member", node: "a" });
    expect(inside.peer).toMatchObject({ kind: "member", node: "b" });
    const seen = collected(inside);
    const scratch = new Uint8Array(100);
    for (let at = 0; at < 50; at++) {
      scratch.set(counting(at * 100, 100));
      out.write(scratch);
    }
    scratch.fill(0);
    await sleep(1_000);
    expect(seen.got).toEqual([...counting(0, 5_000)]);
    expect(seen.sizes.some((size) => size < 100)).toBe(true);
    expect(seen.sizes.some((size) => size > 100)).toBe(true);
    expect(out.unsent).toBe(0);
  });

  it("keeps what comes before a handler is there, and while the reader pauses", async () => {
    const { out, inside, sleep } = await pair();
    out.write(counting(0, 10));
    await sleep(100);
    expect(out.unsent).toBe(10);
    const seen = collected(inside);
    await sleep(100);
    expect(seen.got.length).toBe(10);
    inside.pause();
    for (let at = 0; at < 20; at++) out.write(new Uint8Array(10_000));
    expect(out.write(Uint8Array.of(1))).toBe(false);
    let drained = false;
    void out.drained().then(() => (drained = true));
    await sleep(1_000);
    expect(drained).toBe(false);
    expect(seen.got.length).toBe(10);
    inside.resume();
    await sleep(1_000);
    expect(drained).toBe(true);
    expect(seen.got.length).toBe(200_011);
  });

  it("ends after its last byte, for both, once", async () => {
    const { out, inside, sleep } = await pair();
    const near = collected(out);
    const far = collected(inside);
    out.write(counting(0, 1_000));
    out.end();
    out.write(Uint8Array.of(9));
    await sleep(1_000);
    expect([far.got.length, far.closed, near.closed]).toEqual([1_000, 1, 1]);
    out.destroy();
    inside.destroy();
    await sleep(1_000);
    expect([far.closed, near.closed]).toEqual([1, 1]);
    let late = 0;
    out.onClose(() => late++);
    await sleep(10);
    expect(late).toBe(1);
  });

  it("holds bytes back in a direction that is cut, and only in that", async () => {
    const { out, inside, sleep, wire } = await pair();
    const near = collected(out);
    const far = collected(inside);
    wire.cut("b", "a");
    out.write(counting(0, 500));
    inside.write(counting(0, 300));
    await sleep(5_000);
    expect([far.got.length, near.got.length]).toEqual([0, 300]);
    wire.heal("b", "a");
    await sleep(100);
    expect(far.got).toEqual([...counting(0, 500)]);
    wire.partition(["a"], ["b"]);
    out.write(counting(0, 1));
    inside.write(counting(0, 1));
    await sleep(25_000);
    // Both have given up.
    expect([far.got.length, near.got.length, far.closed, near.closed]).toEqual([500, 300, 1, 1]);
  });

  it("of a process that is killed closes at the peer, and never calls the dead", async () => {
    let whole = 0;
    let cut = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const { out, inside, sleep, wire, b } = await pair(seed);
      const near = collected(out);
      const far = collected(inside);
      out.write(counting(0, 100));
      inside.write(counting(0, 100));
      wire.kill("b");
      expect(b.dead).toBe(true);
      await sleep(1_000);
      expect([near.got.length, near.closed, far.closed]).toEqual([0, 0, 1]);
      if (far.got.length === 100) whole++;
      else cut++;
    }
    expect(Math.min(whole, cut)).toBeGreaterThan(5);
  });

  it("of a host without power says nothing; the peer is told when it writes after the return", async () => {
    const { out, inside, sleep, wire, network } = await pair();
    const far = collected(inside);
    wire.powerOff("b");
    expect(collected(out).got).toEqual([]);
    await sleep(60_000);
    expect(far.closed).toBe(0);
    wire.powerOn("b");
    network("b");
    await sleep(1_000);
    expect(far.closed).toBe(0);
    inside.write(Uint8Array.of(1));
    await sleep(1_000);
    expect(far.closed).toBe(1);
  });

  it("to a host that is paused waits, and goes on", async () => {
    const { out, inside, sleep, wire } = await pair();
    const far = collected(inside);
    wire.pause("a");
    out.write(counting(0, 10));
    await sleep(2_000);
    expect(far.got).toEqual([]);
    wire.resume("a");
    await sleep(100);
    expect(far.got.length).toBe(10);
  });
});

describe("a dial", () => {
  it("is refused where nobody listens: never, no more, or not after a kill", async () => {
    const { network, wire, sleep } = world();
    const a = network("a");
    const b = network("b");
    const detail = async (): Promise<string> =>
      (await failureOf(b.dial({ address: "a:1", node: "a" }, 1_000))).fields.detail!;
    expect(await detail()).toMatch(/^REFUSED/);
    const listener = await a.listen("a", 1, false, () => {});
    await listener.close();
    expect(await detail()).toMatch(/^REFUSED/);
    await a.listen("a", 1, false, () => {});
    await b.dial({ address: "a:1", node: "a" }, 1_000);
    wire.kill("a");
    expect(await detail()).toMatch(/^REFUSED/);
    await network("a").listen("a", 1, false, () => {});
    await b.dial({ address: "a:1", node: "a" }, 1_000);
    await sleep(10);
  });

  it("runs out of time on a cut, a pause and a host without power, and goes on when healed in time", async () => {
    const { network, wire, clock, sleep } = world();
    const a = network("a");
    const b = network("b");
    await a.listen("a", 1, false, () => {});
    const dial = () => b.dial({ address: "a:1", node: "a" }, 1_000);
    for (const [hurt, heal] of [
      [() => wire.cut("b", "a"), () => wire.heal("b", "a")],
      [() => wire.cut("a", "b"), () => wire.healAll()],
      [() => wire.pause("a"), () => wire.resume("a")],
    ] as const) {
      hurt();
      const start = clock.monotonic();
      expect((await failureOf(dial())).fields.detail).toMatch(/^TIMEOUT/);
      expect(clock.monotonic() - start).toBe(1_000);
      const later = dial();
      clock.after(500, heal);
      await later;
    }
    wire.powerOff("a");
    expect((await failureOf(dial())).fields.detail).toMatch(/^TIMEOUT/);
    wire.powerOn("a");
    expect((await failureOf(dial())).fields.detail).toMatch(/^REFUSED/);
    await sleep(10);
  });

  it("is judged by both sides", async () => {
    const { network, wire } = world();
    const a = network("a");
    const refusals: string[] = [];
    a.onRefusal(({ condition, node }) => refusals.push(`a: ${condition} ${node}`));
    await a.listen("a", 1, false, () => {});
    await a.listen("a", 2, true, () => {});
    const b = network("b");
    b.onRefusal(({ condition, node }) => refusals.push(`b: ${condition} ${node}`));
    const detail = async (network: SimPeerNetwork, address: string, node?: string, authority?: string) =>
      (await failureOf(network.dial({ address, node, authority }, 1_000))).fields.detail!;
    expect(await detail(b, "a:1", "c")).toContain("WRONG_NODE");
    b.use(credentials("b", { revoked: ["serial a"] }));
    expect(await detail(b, "a:1", "a")).toContain("REVOKED");
    b.use(credentials("b"));
    a.use(credentials("a", { removed: ["b"] }));
    expect(await detail(b, "a:1", "a")).toBe("UNREACHABLE: it refuses this node: REMOVED");
    const newcomer = wire.network("n");
    newcomer.use(credentials(undefined));
    expect(await detail(newcomer, "a:1", undefined, "ca")).toContain("NO_CERTIFICATE");
    expect(await detail(newcomer, "a:2", undefined, "other ca")).toContain("UNTRUSTED_CA");
    const stream = await newcomer.dial({ address: "a:2", node: undefined, authority: "ca" }, 1_000);
    expect(stream.peer).toMatchObject({ kind: "member", node: "a" });
    expect(refusals).toEqual([
      "b: WRONG_NODE a",
      "b: REVOKED a",
      "a: REMOVED b",
      "a: NO_CERTIFICATE undefined",
    ]);
  });

  it("and what it led to is judged again by new credentials", async () => {
    const { a, b, out, inside, sleep } = await pair();
    const near = collected(out);
    const far = collected(inside);
    b.use(credentials("b"));
    a.use(credentials("a", { removed: ["b"] }));
    await sleep(100);
    expect([near.closed, far.closed]).toEqual([1, 1]);
  });
});

describe("many nodes under many faults", () => {
  interface Node {
    readonly name: string;
    process: number;
    clock: ProcessClock;
    links: PeerLinks | undefined;
  }

  /** What happened, as one text. */
  async function run(seed: number): Promise<string> {
    const clock = new SimClock();
    const wire = new SimWire({ clock, seed });
    const random = new SimRandom(seed + 1_000);
    const sleep = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));
    const names = ["n1", "n2", "n3", "n4"];
    const history: string[] = [];
    const say = (what: string): void => {
      history.push(`${clock.monotonic().toFixed(3)} ${what}`);
    };
    const got = new Set<string>();
    const nodes: Node[] = names.map((name) => ({
      name,
      process: 0,
      clock: new ProcessClock(clock),
      links: undefined,
    }));
    const start = async (node: Node): Promise<void> => {
      const process = ++node.process;
      node.clock = new ProcessClock(clock);
      const network = wire.network(node.name);
      network.use(credentials(node.name));
      const links = new PeerLinks({
        network,
        clock: node.clock,
        random: new SimRandom(seed + process),
        hash,
        limits: { requestsMax: 4, queueBytesMax: 100_000 },
      });
      node.links = links;
      const serve = new SimRandom(seed * 7 + process);
      links.onRequest(1, async (peer, payload) => {
        const mine = `${Buffer.from(payload)} by ${node.name} for ${peer.kind === "member" && peer.node}`;
        await new Promise<void>((resolve) => node.clock.after(serve.fraction() * 50, resolve));
        return Buffer.from(mine);
      });
      links.onMessage((peer, kind, payload) => {
        const id = `${peer.node}/${Buffer.from(payload)} ${kind}`;
        expect(got.has(id), `${id} twice`).toBe(false);
        got.add(id);
      });
      links.onPeer(({ node: peer, kind }) => say(`${node.name}: ${peer} ${kind}`));
      await links.listen(node.name, 1, false);
      links.setPeers(new Map(names.filter((one) => one !== node.name).map((one) => [one, `${one}:1`])));
    };
    const stop = (node: Node, how: "kill" | "powerOff"): void => {
      say(`${how} ${node.name}`);
      node.clock.stop();
      node.links = undefined;
      wire[how](node.name);
    };
    for (const node of nodes) await start(node);
    await sleep(200);

    let asked = 0;
    let answered = 0;
    let failed = 0;
    /** Who still waits for an answer. */
    const pending = new Map<string, string>();
    const ask = (from: Node, to: Node): void => {
      const text = `${from.name}.${from.process} asks ${asked++}`;
      const { process } = from;
      from.links?.send(to.name, 5, Buffer.from(text));
      pending.set(text, `${from.name}.${process}`);
      from.links!.request(to.name, 1, Buffer.from(text), 500).then(
        (answer) => {
          expect(from.process).toBe(process); // never in a dead process
          expect(Buffer.from(answer).toString()).toBe(`${text} by ${to.name} for ${from.name}`);
          answered++;
          expect(pending.delete(text)).toBe(true);
        },
        (error: DbError) => {
          expect(["08006", "57014"]).toContain(error.sqlstate);
          expect(["sent", "not sent"]).toContain(error.fields.detail);
          failed++;
          expect(pending.delete(text)).toBe(true);
        },
      );
    };
    for (let step = 0; step < 400; step++) {
      const from = nodes[random.below(4)]!;
      const to = nodes[random.below(4)]!;
      if (from !== to && from.links !== undefined) ask(from, to);
      await sleep(random.fraction() * 20);
      const fault = random.below(60);
      const victim = nodes[random.below(4)]!;
      if (fault === 0) wire.cut(from.name, to.name);
      else if (fault === 1)
        wire.partition(
          [victim.name],
          names.filter((one) => one !== victim.name),
        );
      else if (fault === 2 || fault === 3) wire.healAll();
      else if (fault < 6 && victim.links !== undefined) {
        for (const [text, asker] of pending)
          if (asker === `${victim.name}.${victim.process}`) pending.delete(text);
        stop(victim, fault === 4 ? "kill" : "powerOff");
      } else if (fault < 12 && victim.links === undefined) {
        wire.powerOn(victim.name);
        say(`start ${victim.name}`);
        await start(victim);
      }
    }
    wire.healAll();
    for (const node of nodes)
      if (node.links === undefined) {
        wire.powerOn(node.name);
        await start(node);
      }
    await sleep(10_000);
    for (const from of nodes)
      for (const to of nodes) {
        if (from === to) continue;
        expect(from.links!.isConnected(to.name), `${from.name} to ${to.name} with seed ${seed}`).toBe(true);
        await from.links!.request(to.name, 1, Buffer.from("last"), 1_000);
        expect(from.links!.counts.malformed).toBe(0);
      }
    expect(answered).toBeGreaterThan(asked / 4);
    expect([...pending.keys()]).toEqual([]);
    say(`${asked} asked, ${answered} answered, ${failed} failed, ${got.size} messages`);
    for (const node of nodes) node.links!.close();
    clock.stop();
    return history.join("\n");
  }

  it("links come back, answers are right, messages are not doubled, and a seed replays it all", async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const first = await run(seed);
      expect(await run(seed)).toBe(first);
    }
  });
});
