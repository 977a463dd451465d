/** Raw streams: a head, an answer, then bytes; and what happens when one of them does not come. */
import { describe, expect, it } from "vitest";
import xxhash from "xxhash-wasm";
import { DbError } from "../base/errors.js";
import { type Log, silentLog } from "../observe/index.js";
import { SimClock } from "../sim/clock.js";
import { SimWire, simCertificate, simCheck, simFingerprint } from "../sim/peers.js";
import { FrameEncoder } from "./codec.js";
import type { PeerStream } from "./contract.js";
import { acceptStreams, openStream, type StreamHandler } from "./streams.js";

const hash = await xxhash();
const certificateOf = (node: string) =>
  simCertificate({ cluster: "c", node, authority: "ca", serial: `serial ${node}` });
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const target = { address: "a:1", node: "a" };

async function world(handler: StreamHandler, seed = 1, limits = {}) {
  const clock = new SimClock();
  const wire = new SimWire({ clock, seed });
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));
  const faults: unknown[] = [];
  const log: Log = { ...silentLog, error: (_message, fields) => faults.push(fields?.error) };
  const optionsOf = (node: string) => {
    const network = wire.network(node);
    network.use({
      own: certificateOf(node),
      check: simCheck({
        cluster: "c",
        authorities: ["ca"],
        member: (one) => ({
          fingerprints: [simFingerprint(certificateOf(one).certificatePem)],
          removed: false,
        }),
      }),
    });
    return { network, clock, hash, log, ...limits };
  };
  const listener = await acceptStreams(optionsOf("a"), "a", 1, handler);
  return { clock, wire, sleep, faults, listener, client: optionsOf("b") };
}
function collected(stream: PeerStream) {
  const state = { got: "", closed: 0, afterClose: 0 };
  stream.onData((chunk) => {
    state.got += text(chunk);
    state.afterClose += state.closed;
  });
  stream.onClose(() => state.closed++);
  return state;
}
const failureOf = (promise: Promise<unknown>): Promise<DbError> =>
  promise.then(
    () => expect.fail("it went well"),
    (error: DbError) => error,
  );

describe("a raw stream", () => {
  it("carries bytes both ways from the first one on, whatever the pieces", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      let inside: ReturnType<typeof collected> | undefined;
      const { sleep, client } = await world((peer, head, accept) => {
        const stream = accept();
        stream.write(Buffer.from(`welcome ${peer.node} ${text(head)};`)); // right behind the answer
        inside = collected(stream);
      }, seed);
      const stream = await openStream(client, target, Buffer.from("head"), 1_000);
      expect(stream.peer).toMatchObject({ kind: "member", node: "a" });
      if (seed % 3 === 0) await sleep(100); // it keeps until somebody wants it
      const near = collected(stream);
      stream.write(Buffer.from("one"));
      stream.write(Buffer.from("two"));
      await sleep(200);
      expect(near.got).toBe("welcome b head;");
      expect(inside!.got).toBe("onetwo");
      stream.end();
      await sleep(200);
      expect([near.closed, inside!.closed]).toEqual([1, 1]);
    }
  });

  it("gives what came along with its answer before it says that it is closed", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const { sleep, client } = await world((_peer, _head, accept) => {
        const stream = accept();
        stream.write(Buffer.from("last words"));
        stream.end();
      }, seed);
      const stream = await openStream(client, target, new Uint8Array(0), 1_000);
      if (seed % 2 === 0) await sleep(100);
      const seen = collected(stream);
      await sleep(100);
      expect(seen).toEqual({ got: "last words", closed: 1, afterClose: 0 });
    }
  });

  it("that breaks still gives what had come along with its answer", async () => {
    let given = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const { clock, sleep, client } = await world((_peer, _head, accept) => {
        const stream = accept();
        stream.write(Buffer.from("last words"));
        clock.after(50, () => stream.destroy());
      }, seed);
      const stream = await openStream(client, target, new Uint8Array(0), 1_000);
      stream.pause();
      const seen = collected(stream);
      await sleep(200);
      expect(seen.got).toBe("");
      stream.resume();
      await sleep(100);
      if (seen.got !== "") given++;
      expect([seen.closed, seen.afterClose]).toEqual([1, 0]);
    }
    expect(given).toBeGreaterThan(5);
  });

  it("that is given up is closed, with what it still held", async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const { clock, sleep, client } = await world((_peer, _head, accept) => {
        const stream = accept();
        stream.write(Buffer.from("unwanted"));
        clock.after(50, () => stream.destroy());
      }, seed);
      const stream = await openStream(client, target, new Uint8Array(0), 1_000);
      stream.pause();
      const seen = collected(stream);
      if (seed % 2 === 0) await sleep(200);
      stream.destroy();
      await sleep(200);
      expect(seen).toEqual({ got: "", closed: 1, afterClose: 0 });
    }
  });

  it("pauses, also what is left of the first frame", async () => {
    const { sleep, client } = await world((_peer, _head, accept) => {
      accept().write(Buffer.from("x".repeat(1_000)));
    });
    const stream = await openStream(client, target, new Uint8Array(0), 1_000);
    stream.pause();
    const seen = collected(stream);
    await sleep(100);
    expect(seen.got).toBe("");
    stream.resume();
    await sleep(100);
    expect(seen.got.length).toBe(1_000);
  });

  it("that is refused brings the reason", async () => {
    const { sleep, client, faults } = await world(async (_peer, head) => {
      if (text(head) === "full") throw new DbError("tooManyConnections", "no more", { hint: "later" });
      if (text(head) === "bug") throw new Error("secret");
    });
    const refused = await failureOf(openStream(client, target, Buffer.from("full"), 1_000));
    expect(refused).toMatchObject({ condition: "tooManyConnections", message: "no more" });
    expect(refused.fields.hint).toBe("later");
    const bug = await failureOf(openStream(client, target, Buffer.from("bug"), 1_000));
    expect(bug.condition).toBe("internalError");
    expect(faults).toMatchObject([{ message: "secret" }]);
    const forgotten = await failureOf(openStream(client, target, Buffer.from(""), 1_000));
    expect(forgotten.condition).toBe("internalError");
    await sleep(10);
  });

  it("fails in time: nobody there, no answer, a break before the answer", async () => {
    const { clock, sleep, client, wire, listener } = await world(() => new Promise(() => {}));
    const start = clock.monotonic();
    const late = await failureOf(openStream(client, target, Buffer.from("x"), 500));
    expect(late.sqlstate).toBe("57014");
    expect(clock.monotonic() - start).toBeCloseTo(500);
    const broken = failureOf(openStream(client, target, Buffer.from("x"), 5_000));
    await sleep(100);
    wire.kill("a");
    expect((await broken).sqlstate).toBe("08006");
    await listener.close();
    const nobody = await failureOf(openStream(client, target, Buffer.from("x"), 500));
    expect(nobody.fields.detail).toMatch(/^REFUSED/);
  });

  it("ends with the handler that failed after it was accepted", async () => {
    const { sleep, client, faults } = await world(async (_peer, _head, accept) => {
      accept();
      throw new DbError("ioError", "too late");
    });
    const stream = await openStream(client, target, Buffer.from("x"), 500);
    const seen = collected(stream);
    await sleep(100);
    expect(seen.closed).toBe(1);
    expect(faults).toMatchObject([{ message: "too late" }]);
  });
});

describe("a connection without a head", () => {
  it("is closed: after a while, for another kind of frame, for a head too large, or to make room", async () => {
    let accepted = 0;
    const { sleep, client } = await world(
      (_peer, _head, accept) => {
        accepted++;
        accept();
      },
      1,
      { headMs: 1_000, headBytesMax: 1_000, pendingMax: 3 },
    );
    const raw = async (bytes: Uint8Array) => {
      const stream = await client.network.dial(target, 1_000);
      stream.write(bytes);
      return collected(stream);
    };
    const encoder = new FrameEncoder(hash);
    const silent = await raw(new Uint8Array(0));
    const other = await raw(encoder.encode("request", 1, 1));
    await sleep(50);
    const large = await raw(encoder.encode("stream", 0, 0, new Uint8Array(1_001)));
    await sleep(500);
    expect([silent.closed, other.closed, large.closed]).toEqual([0, 1, 1]);
    await sleep(600);
    expect(silent.closed).toBe(1);
    const idle = [];
    for (let at = 0; at < 5; at++) idle.push(await raw(new Uint8Array(0)));
    await sleep(20);
    expect(idle.map(({ closed }) => closed)).toEqual([1, 1, 0, 0, 0]);
    expect(accepted).toBe(0);
    const good = await openStream(client, target, new Uint8Array(1_000), 500);
    expect(good.peer.kind).toBe("member");
    await sleep(5_000);
    expect(collected(good).closed).toBe(0);
  });
});
