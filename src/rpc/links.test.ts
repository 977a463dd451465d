/** Links between nodes, on a simulated wire: what a caller may rely on when peers die, stall, lie or are slow. */
import { describe, expect, it } from "vitest";
import xxhash from "xxhash-wasm";
import { ByteReader } from "../base/bytes.js";
import { DbError } from "../base/errors.js";
import { type Log, silentLog } from "../observe/index.js";
import { SimClock } from "../sim/clock.js";
import { type SimPeerNetwork, SimWire, simCertificate, simCheck, simFingerprint } from "../sim/peers.js";
import { SimRandom } from "../sim/random.js";
import { type Frame, FrameDecoder, FrameEncoder, payloadBytesMax } from "./codec.js";
import type { PeerStream } from "./contract.js";
import { defaultLinkLimits, type LinkLimits } from "./limits.js";
import { PeerLinks, requestOnce } from "./links.js";

const hash = await xxhash();
const certificateOf = (node: string) =>
  simCertificate({ cluster: "c", node, authority: "ca", serial: `serial ${node}` });
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const bytes = (what: string): Uint8Array => Buffer.from(what);

class World {
  readonly clock = new SimClock();
  readonly wire: SimWire;
  readonly events: string[] = [];
  readonly faults: unknown[] = [];

  constructor(latencyMs = 0.1) {
    this.wire = new SimWire({ clock: this.clock, seed: 1, latencyMs, spikeChance: 0 });
  }
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(ms, resolve));
  }
  network(node: string, shown = true): SimPeerNetwork {
    const network = this.wire.network(node);
    network.use({
      own: shown ? certificateOf(node) : undefined,
      check: simCheck({
        cluster: "c",
        authorities: ["ca"],
        member: (one) => ({
          fingerprints: [simFingerprint(certificateOf(one).certificatePem)],
          removed: false,
        }),
      }),
    });
    return network;
  }
  links(node: string, limits: Partial<LinkLimits> = {}, network = this.network(node)): PeerLinks {
    const log: Log = { ...silentLog, error: (_message, fields) => this.faults.push(fields?.error) };
    const { clock } = this;
    const links = new PeerLinks({ network, clock, random: new SimRandom(5), hash, log, limits });
    links.onPeer(({ node: peer, kind }) => this.events.push(`${node}: ${peer} ${kind}`));
    return links;
  }
  /** A serves at a:1, b is linked with it. */
  async pair(limits: Partial<LinkLimits> = {}) {
    const a = this.links("a", limits);
    const b = this.links("b", limits);
    await a.listen("a", 1, true);
    b.setPeers(new Map([["a", "a:1"]]));
    while (!b.isConnected("a")) await this.sleep(5);
    return { a, b };
  }
  /** A connection of b to a that says what it likes. */
  async raw(address = "a:1", shown = true): Promise<Raw> {
    const network = this.network(shown ? "x" : "stranger", shown);
    const target = shown ? { address, node: "a" } : { address, node: undefined, authority: "ca" };
    return new Raw(await network.dial(target, 1_000));
  }
}

class Raw {
  readonly frames: Omit<Frame, "payload">[] = [];
  closed = false;
  readonly #encoder = new FrameEncoder(hash);
  constructor(readonly stream: PeerStream) {
    const decoder = new FrameDecoder(hash, 1 << 20);
    stream.onData((chunk) => {
      decoder.push(chunk, ({ kind, number, id }) => {
        this.frames.push({ kind, number, id });
        return true;
      });
    });
    stream.onClose(() => (this.closed = true));
  }
  say(kind: Frame["kind"], number: number, id: number, payload?: Uint8Array): void {
    this.stream.write(this.#encoder.encode(kind, number, id, payload));
  }
}

const failureOf = (promise: Promise<unknown>): Promise<DbError> =>
  promise.then(
    () => expect.fail("it went well"),
    (error: DbError) => error,
  );

describe("requests", () => {
  it("are answered, by who is asked, to who asks", async () => {
    const world = new World();
    const { a, b } = await world.pair();
    a.onRequest(1, async (peer, payload) => bytes(`${peer.kind === "member" && peer.node} ${text(payload)}`));
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, at) => b.request("a", 1, bytes(`${at}`), 1_000)),
    );
    expect(answers.map(text)).toEqual(answers.map((_, at) => `b ${at}`));
    const large = new Uint8Array(payloadBytesMax(defaultLinkLimits.frameBytesMax) - 2).fill(0x61);
    expect((await b.request("a", 1, large, 1_000)).length).toBe(large.length + 2);
    a.close();
    b.close();
  });

  it("bring back the handler's error", async () => {
    const world = new World();
    const { a, b } = await world.pair();
    a.onRequest(1, async () => {
      throw new DbError("objectInUse", "it is taken", { detail: "by b", hint: "wait" });
    });
    a.onRequest(2, () => {
      throw new Error("secret");
    });
    a.onRequest(3, async (_, payload) => {
      new ByteReader(payload).u32();
      return payload;
    });
    a.onRequest(4, async () => new Uint8Array(5 << 20));
    const ask = (method: number) => failureOf(b.request("a", method, bytes("x"), 1_000));
    const first = await ask(1);
    expect(first).toMatchObject({ condition: "objectInUse", message: "it is taken" });
    expect(first.fields).toEqual({ detail: "by b", hint: "wait" });
    const second = await ask(2);
    expect(second.condition).toBe("internalError");
    expect(JSON.stringify(second.fields) + second.message).not.toContain("secret");
    expect(world.faults).toMatchObject([{ message: "secret" }]);
    expect((await ask(3)).condition).toBe("protocolViolation");
    expect((await ask(4)).condition).toBe("programLimitExceeded");
    expect((await ask(5)).condition).toBe("featureNotSupported");
    expect(b.isConnected("a")).toBe(true);
    const tooLarge = b.request("a", 1, new Uint8Array(5 << 20), 1_000);
    expect((await failureOf(tooLarge)).condition).toBe("programLimitExceeded");
    a.close();
    b.close();
  });

  it("fail, and say whether the peer may have got them", async () => {
    const world = new World();
    const { a, b } = await world.pair();
    let got = 0;
    a.onRequest(1, (_, payload) => {
      got++;
      return new Promise((resolve) => world.clock.after(2_000, () => resolve(payload)));
    });
    const nobody = await failureOf(b.request("c", 1, bytes(""), 1_000));
    expect([nobody.sqlstate, nobody.fields.detail]).toEqual(["08006", "not sent"]);

    const start = world.clock.monotonic();
    const late = await failureOf(b.request("a", 1, bytes("late"), 100));
    expect([late.sqlstate, late.fields.detail]).toEqual(["57014", "sent"]);
    expect(world.clock.monotonic() - start).toBe(100);
    await world.sleep(3_000); // its answer comes to nobody
    expect(b.isConnected("a")).toBe(true);

    const many = Array.from({ length: 70 }, () => failureOf(b.request("a", 1, bytes("x"), 10_000)));
    await world.sleep(100);
    world.wire.kill("a");
    const details = (await Promise.all(many)).map((one) => `${one.sqlstate} ${one.fields.detail}`);
    expect(details).toEqual([...Array(64).fill("08006 sent"), ...Array(6).fill("08006 not sent")]);
    expect(got).toBe(65);
    const down = await failureOf(b.request("a", 1, bytes(""), 1_000));
    expect([down.sqlstate, down.fields.detail]).toEqual(["08006", "not sent"]);
    b.close();
  });

  it("wait for their turn: so many at once, and so many in line", async () => {
    const world = new World();
    const { a, b } = await world.pair({ requestsMax: 4, waitingMax: 10 });
    let active = 0;
    let most = 0;
    const served: string[] = [];
    a.onRequest(1, async (_, payload) => {
      most = Math.max(most, ++active);
      served.push(text(payload));
      await world.sleep(100);
      active--;
      return payload;
    });
    const scratch = Buffer.alloc(1); // ours again at once
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, at) => {
        scratch.write(at.toString(36));
        return b.request("a", 1, scratch, 250).then(text, (error: DbError) => error.fields.detail);
      }),
    );
    // Four at once, eight are done in time, four are at work, two in line, and six were too many.
    expect(most).toBe(4);
    expect(outcomes.slice(0, 8)).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
    expect(outcomes.slice(8, 12)).toEqual(Array(4).fill("sent"));
    expect(outcomes.slice(12)).toEqual(Array(8).fill("not sent"));
    await world.sleep(500);
    expect(text(await b.request("a", 1, bytes("again"), 1_000))).toBe("again");
    // "not sent" is true for good.
    expect(served).toEqual([..."0123456789ab", "again"]);
    a.close();
    b.close();
  });

  it("of a peer that keeps to no bound are held by not reading", async () => {
    const world = new World();
    const { a, b } = await world.pair();
    let active = 0;
    let most = 0;
    a.onRequest(1, async (_, payload) => {
      most = Math.max(most, ++active);
      await world.sleep(50);
      active--;
      return payload.subarray(0, 1);
    });
    const raw = await world.raw();
    for (let id = 1; id <= 1_000; id++) raw.say("request", 1, id, new Uint8Array(1_000));
    await world.sleep(40);
    expect(most).toBe(64);
    expect(raw.stream.unsent).toBeGreaterThan(900_000);
    expect(text(await b.request("a", 1, bytes("b"), 1_000))).toBe("b"); // the others go on
    await world.sleep(5_000);
    expect(most).toBe(65);
    expect(raw.frames.length).toBe(1_000);
    a.close();
    b.close();
  });

  it("of a peer that does not take its answers stop, and it is cut off in the end", async () => {
    const world = new World();
    const { a, b } = await world.pair();
    let served = 0;
    a.onRequest(1, async () => {
      served++;
      return new Uint8Array(100_000);
    });
    const raw = await world.raw();
    raw.stream.pause();
    for (let id = 1; id <= 500; id++) raw.say("request", 1, id, new Uint8Array(1_000));
    await world.sleep(1_000);
    expect(served).toBeLessThan(20);
    await world.sleep(20_000);
    raw.stream.resume();
    await world.sleep(1_000);
    expect(raw.closed).toBe(true);
    expect(served).toBeLessThan(20);
    a.close();
    b.close();
  });

  it("to somebody who is no peer: dial, ask once, close", async () => {
    const world = new World();
    const { a, b } = await world.pair();
    a.onRequest(9, async (peer, payload) => bytes(`${peer.kind} ${text(payload)}`), { strangers: true });
    a.onRequest(8, () => new Promise(() => {}), { strangers: true });
    const network = world.network("newcomer", false);
    const options = { network, clock: world.clock, hash };
    const target = { address: "a:1", node: undefined, authority: "ca" };
    expect(text(await requestOnce(options, target, 9, bytes("csr"), 1_000))).toBe("stranger csr");
    expect(text(await b.requestOnce({ address: "a:1", node: "a" }, 9, bytes("hi"), 1_000))).toBe("member hi");
    const late = await failureOf(requestOnce(options, target, 8, bytes(""), 300));
    expect([late.sqlstate, late.fields.detail]).toEqual(["57014", "sent"]);
    const nobody = await failureOf(requestOnce(options, { ...target, address: "a:2" }, 9, bytes(""), 300));
    expect(nobody.fields.detail).toMatch(/^REFUSED/);
    a.close();
    b.close();
  });
});

describe("messages", () => {
  it("come in order and once, with who sent them", async () => {
    const world = new World();
    const { a, b } = await world.pair();
    const got: string[] = [];
    a.onMessage((peer, kind, payload) => got.push(`${peer.node} ${kind} ${text(payload)}`));
    const scratch = Buffer.alloc(3);
    for (let at = 100; at < 400; at++) {
      scratch.write(`${at}`);
      expect(b.send("a", 2, scratch)).toBe(true); // the memory is ours again
    }
    await world.sleep(200);
    expect(got).toEqual(Array.from({ length: 300 }, (_, at) => `b 2 ${at + 100}`));
    expect(b.send("c", 2, scratch)).toBe(false);
    a.close();
    b.close();
  });

  it("are not taken without a link, nor beyond the bound of its queue", async () => {
    const world = new World();
    const { a, b } = await world.pair({ queueBytesMax: 100_000 });
    world.wire.cut("b", "a");
    const payload = new Uint8Array(10_000);
    let taken = 0;
    while (b.send("a", 1, payload)) taken++;
    expect(taken).toBe(10);
    const failed = await failureOf(b.request("a", 1, payload, 100));
    expect([failed.sqlstate, failed.fields.detail]).toEqual(["08006", "not sent"]);
    world.wire.healAll();
    await world.sleep(100);
    expect(b.send("a", 1, payload)).toBe(true);
    expect(b.counts.messagesDropped).toBe(1);
    a.close();
    b.close();
  });
});

describe("a peer", () => {
  it("whose process is killed is known dead within a few milliseconds, said once, and found again", async () => {
    const world = new World();
    const { b } = await world.pair();
    await world.sleep(2_000);
    expect(b.roundTripMs("a")).toBeLessThan(2);
    const seen = b.lastSeenAt("a")!;
    expect(world.clock.now() - seen).toBeLessThan(1_500);
    world.wire.kill("a");
    await world.sleep(10);
    expect(world.events).toEqual(["b: a connected", "b: a disconnected", "b: a dead"]);
    await world.sleep(10_000);
    expect(world.events).toHaveLength(3);
    // It comes back and dials us: no waiting for the next turn.
    const again = world.links("a");
    await again.listen("a", 1, false);
    await b.listen("b", 1, false);
    again.setPeers(new Map([["b", "b:1"]]));
    await world.sleep(10);
    expect(world.events.slice(3).sort()).toEqual(["a: b connected", "b: a connected"]);
    again.close();
    b.close();
  });

  it("that dies while its listener lives a moment longer is known dead as soon", async () => {
    const world = new World();
    const a = world.links("a");
    await a.listen("a", 1, false);
    const network = world.network("b");
    const dial = network.dial.bind(network);
    let resets = 0;
    network.dial = async (target, timeoutMs) => {
      if (resets-- <= 0) return dial(target, timeoutMs);
      throw new DbError("connectionFailure", "reset", { detail: "UNREACHABLE: read ECONNRESET" });
    };
    const b = world.links("b", {}, network);
    b.setPeers(new Map([["a", "a:1"]]));
    await world.sleep(2_000);
    resets = 2;
    world.wire.kill("a");
    await world.sleep(20);
    expect(world.events).toEqual(["b: a connected", "b: a disconnected", "b: a dead"]);
    b.close();
  });

  it("is dialled again with patience: never more often than every 50 ms, at least every second", async () => {
    const world = new World();
    const network = world.network("b");
    const dials: number[] = [];
    const dial = network.dial.bind(network);
    network.dial = (target, timeoutMs) => {
      dials.push(world.clock.monotonic());
      return dial(target, timeoutMs);
    };
    const b = world.links("b", {}, network);
    b.setPeers(new Map([["a", "a:1"]]));
    await world.sleep(10_000);
    const gaps = dials.slice(1).map((at, before) => at - dials[before]!);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(50);
    expect(Math.max(...gaps)).toBeLessThan(1_010);
    expect(gaps[0]).toBeLessThan(110);
    expect(new Set(gaps.map((gap) => gap.toFixed(3))).size).toBe(gaps.length); // jitter
    expect(world.events).toEqual(["b: a dead"]);
    b.close();
  });

  it("that goes silent is noticed by its missing pongs, and is not called dead", async () => {
    const world = new World();
    const { a, b } = await world.pair();
    world.wire.powerOff("a");
    await world.sleep(2_500);
    expect(b.isConnected("a")).toBe(true);
    await world.sleep(2_500);
    expect(b.isConnected("a")).toBe(false);
    await world.sleep(30_000);
    expect(world.events).toEqual(["b: a connected", "b: a disconnected"]);
    b.close();
    a.close();
  });

  it("that is heard is there, though its pong is stuck behind something large", async () => {
    const world = new World();
    const network = world.network("a");
    let stop = false;
    await network.listen("a", 1, false, (stream) => {
      const frame = Uint8Array.from(new FrameEncoder(hash).encode("answer", 0, 1, new Uint8Array(1_000)));
      stream.onData(() => {});
      const drip = (at: number): void => {
        if (stop) return;
        stream.write(frame.subarray(at, at + 1));
        world.clock.after(500, () => drip(at + 1));
      };
      drip(0);
    });
    const b = world.links("b");
    b.setPeers(new Map([["a", "a:1"]]));
    await world.sleep(20_000);
    expect(world.events).toEqual(["b: a connected"]);
    stop = true;
    await world.sleep(4_000);
    expect(world.events.slice(0, 2)).toEqual(["b: a connected", "b: a disconnected"]);
    b.close();
  });

  it("that moves while it is dialled is where it is now, once", async () => {
    const world = new World(100);
    const a = world.links("a");
    const b = world.links("b");
    const other = world.network("a");
    let old: PeerStream | undefined;
    await other.listen("a", 1, false, (stream) => (old = stream));
    await a.listen("a", 2, false);
    a.onRequest(1, async () => bytes("here"));
    b.setPeers(new Map([["a", "a:1"]]));
    await world.sleep(350); // accepted there, not yet known here
    b.setPeers(new Map([["a", "a:2"]]));
    await world.sleep(1_000);
    expect(world.events).toEqual(["b: a connected"]);
    expect(text(await b.request("a", 1, bytes(""), 1_000))).toBe("here");
    let closed = false;
    old!.onClose(() => (closed = true));
    old!.onData(() => {});
    await world.sleep(1_000);
    expect(closed).toBe(true);
    a.close();
    b.close();
  });

  it("that pauses shortly is kept; one that pauses for long comes back", async () => {
    const world = new World();
    const { a, b } = await world.pair();
    world.wire.pause("a");
    await world.sleep(2_000);
    world.wire.resume("a");
    await world.sleep(5_000);
    expect(world.events).toEqual(["b: a connected"]);
    world.wire.cut("a", "b");
    await world.sleep(6_000);
    world.wire.healAll();
    await world.sleep(5_000);
    expect(world.events).toEqual(["b: a connected", "b: a disconnected", "b: a connected"]);
    a.close();
    b.close();
  });

  it("is not blamed for the time in which this process stood still", async () => {
    const world = new World(200); // a ping is nearly always under way
    const { a, b } = await world.pair();
    for (let round = 0; round < 20; round++) {
      world.clock.after(130, () => world.clock.advance(8_000));
      await world.sleep(700);
    }
    expect(world.events).toEqual(["b: a connected"]);
    a.close();
    b.close();
  });

  it("that is no peer any more is let go, and one that moves is followed", async () => {
    const world = new World();
    const { a, b } = await world.pair();
    a.onRequest(1, async () => bytes("a"));
    await a.listen("a", 2, false);
    await world.sleep(1_500);
    b.setPeers(new Map([["a", "a:2"]]));
    expect(b.isConnected("a")).toBe(false);
    await world.sleep(20);
    expect(text(await b.request("a", 1, bytes(""), 100))).toBe("a");
    const pending = failureOf(b.request("a", 1, bytes(""), 100));
    b.setPeers(new Map());
    expect((await pending).fields.detail).toBe("sent");
    expect(world.events).toEqual([
      "b: a connected",
      "b: a disconnected",
      "b: a connected",
      "b: a disconnected",
    ]);
    expect(b.lastSeenAt("a")).toBeUndefined();
    a.close();
    b.close();
  });

  it("whose connection flaps is not dialled without pause", async () => {
    const world = new World();
    const network = world.network("a");
    let connections = 0;
    await network.listen("a", 1, false, (stream) => {
      connections++;
      stream.destroy();
    });
    const b = world.links("b");
    b.setPeers(new Map([["a", "a:1"]]));
    await world.sleep(5_000);
    expect(connections).toBeLessThan(20);
    b.close();
  });
});

describe("what comes in", () => {
  it("is closed and counted when it is no frames; others go on", async () => {
    const world = new World();
    const { a, b } = await world.pair();
    a.onRequest(1, async (_, payload) => payload);
    a.onMessage((_peer, _kind, payload) => void new ByteReader(payload).u64());
    const garbage = await world.raw();
    garbage.stream.write(new Uint8Array(100).fill(0x20));
    const answering = await world.raw();
    answering.say("answer", 0, 1);
    const message = await world.raw();
    message.say("message", 1, 0, new Uint8Array(3)); // its reader cannot follow it
    await world.sleep(100);
    expect([garbage.closed, answering.closed, message.closed]).toEqual([true, true, true]);
    expect(a.counts.malformed).toBe(3);
    expect(text(await b.request("a", 1, bytes("on"), 100))).toBe("on");
    a.close();
    b.close();
  });

  it("as an answer that makes no sense breaks the link that asked", async () => {
    const world = new World();
    const network = world.network("a");
    await network.listen("a", 1, false, (stream) => {
      stream.onData(() => void stream.write(new FrameEncoder(hash).encode("answer", 0, 77)));
    });
    const b = world.links("b");
    b.setPeers(new Map([["a", "a:1"]]));
    await world.sleep(1_000);
    expect(b.counts.malformed).toBeGreaterThan(0);
    expect(b.counts.malformed).toBeLessThan(10);
    b.close();
  });

  it("from a stranger reaches what is open to strangers, and nothing else", async () => {
    const world = new World();
    const { a, b } = await world.pair({ strangersMax: 3 });
    let inside = 0;
    a.onRequest(1, async () => {
      inside++;
      return bytes("");
    });
    a.onMessage(() => inside++);
    let waiting = 0;
    a.onRequest(
      9,
      async () => {
        waiting++;
        await world.sleep(100);
        return bytes("");
      },
      { strangers: true },
    );
    const stranger = (): Promise<Raw> => world.raw("a:1", false);
    const [one, two, three] = [await stranger(), await stranger(), await stranger()];
    one.say("request", 1, 1);
    two.say("message", 1, 0);
    three.say("request", 9, 1, new Uint8Array(100_000));
    await world.sleep(100);
    expect([one.closed, two.closed, three.closed]).toEqual([true, true, true]);
    expect(inside + waiting).toBe(0);
    expect(a.counts.malformed).toBe(3);

    const polite = await stranger();
    for (let id = 1; id <= 6; id++) polite.say("request", 9, id);
    await world.sleep(50);
    expect(waiting).toBe(2); // two at a time
    await world.sleep(500);
    expect(polite.frames.length).toBe(6);
    // The oldest idle one makes room.
    const more = [await stranger(), await stranger(), await stranger()];
    await world.sleep(50);
    expect([polite.closed, ...more.map((raw) => raw.closed)]).toEqual([true, false, false, false]);
    // Who does nothing is closed.
    await world.sleep(11_000);
    expect(more.map((raw) => raw.closed)).toEqual([true, true, true]);
    a.close();
    b.close();
  });
});

describe("closing", () => {
  it("settles what waits, tells nobody, and takes nothing more", async () => {
    const world = new World();
    const { a, b } = await world.pair();
    a.onRequest(1, () => new Promise(() => {}));
    const pending = failureOf(b.request("a", 1, bytes(""), 10_000));
    b.close();
    expect((await pending).sqlstate).toBe("08006");
    expect(b.send("a", 1, bytes(""))).toBe(false);
    expect((await failureOf(b.request("a", 1, bytes(""), 100))).fields.detail).toBe("not sent");
    await world.sleep(10_000);
    expect(world.events).toEqual(["b: a connected"]);
    a.close();
    const dials = await failureOf(world.network("z").dial({ address: "a:1", node: "a" }, 1_000));
    expect(dials.fields.detail).toMatch(/^REFUSED/);
  });
});
