/**
 * Clients of one node served by another: two listeners in one process, joined by streams in memory. The clients are
 * pg-protocol over a connection of the test's own where every byte counts, the pg driver and psql over sockets.
 */
import { execFile } from "node:child_process";
import net from "node:net";
import { promisify } from "node:util";
import fc from "fast-check";
import pg from "pg";
import { serialize } from "pg-protocol";
import { Parser } from "pg-protocol/dist/parser.js";
import { afterEach, describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { oids } from "../model/type-table.js";
import { hostClock, hostRandom } from "../platform/host.js";
import { HostNetwork } from "../platform/network.js";
import { ScramClient } from "../security/index.js";
import { createServerCertificate } from "../security/tls.js";
import { bundleMessage } from "./bundle-gate.js";
import { PgWire, type PgWireOptions } from "./index.js";
import {
  column,
  FakeBundles,
  FakeClock,
  FakeConnection,
  FakeHost,
  FakeRandom,
  FakeRelay,
  type FakeSession,
  plainOutputs,
  type Scripted,
  stampOf,
} from "./testing.js";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
async function settle(): Promise<void> {
  for (let round = 0; round < 12; round++) await turn();
}

const ints = [column("n", oids.int4), column("t", oids.text)];
const manyRows = 200;

/** What both nodes run; `where` is told by the answers. */
const scriptOf =
  (where: string) =>
  (text: string): Scripted | undefined => {
    const setting = /^set ([\w.]+) = (.*)$/i.exec(text);
    if (setting !== null)
      return {
        run: (sink, session) => {
          const [, name, value] = setting;
          session.settings.push([name!, value!]);
          if (name === "TimeZone") session.changed.push([name, value!]);
          sink.complete("SET");
        },
      };
    switch (text.toLowerCase()) {
      case "where":
        return { columns: [column("where", oids.text)], rows: [[where]] };
      case "settings":
        return {
          columns: [column("settings", oids.text)],
          run: (sink, session) => {
            const all = [...session.start.settings, ...session.settings];
            sink.complete(`SETTINGS ${all.map(([name, value]) => `${name}=${value}`).join(" ")}`);
          },
        };
      case "echo":
        return { columns: ints, parameters: [oids.int4, oids.text], tag: "SELECT 1" };
      case "rows":
        return {
          columns: ints,
          rows: Array.from({ length: manyRows }, (_, index) => [index, "x".repeat(index)]),
        };
      case "begin":
        return {
          run: (sink, session) => {
            session.status = "T";
            sink.complete("BEGIN");
          },
        };
      case "commit":
      case "rollback":
        return {
          run: (sink, session) => {
            const tag = session.status === "E" ? "ROLLBACK" : text.toUpperCase();
            session.status = "I";
            sink.complete(tag);
          },
        };
      case "hang":
        return { run: (_sink, session) => new Promise((_, reject) => (session.onCancel = reject)) };
      case "hang; commit":
        return { run: (_sink, session) => new Promise((_, reject) => (session.onCancel = reject)) };
      case "notice":
        return {
          run: (sink) => {
            sink.notice({ severity: "NOTICE", sqlstate: "00000", message: "hear" });
            sink.complete("DO");
          },
        };
      case "fail":
        return { error: new DbError("divisionByZero", "division by zero") };
      case "stored":
        if (where === "home") return { columns: [column("where", oids.text)], rows: [[where]] };
        return {
          error: new DbError("cannotConnectNow", "the node that holds the data is not reachable"),
        };
      case "copy in":
        return {
          run: async (sink) => {
            let bytes = 0;
            for await (const piece of sink.copyIn("text", 1)) bytes += piece.length;
            sink.complete(`COPY ${bytes}`);
          },
        };
      case "copy in slowly":
        return {
          run: async (sink) => {
            let bytes = 0;
            for await (const piece of sink.copyIn("text", 1)) {
              bytes += piece.length;
              await turn();
            }
            sink.complete(`COPY ${bytes}`);
          },
        };
      case "copy out":
        return {
          run: (sink) => {
            sink.copyOutBegin("text", 1);
            for (let line = 0; line < 3; line++) sink.copyOutData(Buffer.from(`${line}\n`));
            sink.copyOutDone();
            sink.complete("COPY 3");
          },
        };
      case "copy out and hang":
        return {
          run: (sink, session) => {
            sink.copyOutBegin("text", 1);
            sink.copyOutData(Buffer.alloc(70_000, 120));
            return new Promise((_, reject) => (session.onCancel = reject));
          },
        };
      case "much":
        return {
          run: async (sink) => {
            const bytes = Buffer.alloc(50_000, 120);
            let waits = 0;
            sink.copyOutBegin("text", 1);
            for (let piece = 0; piece < 400; piece++) {
              if (!sink.copyOutData(bytes)) {
                waits++;
                await sink.drained();
              }
            }
            sink.copyOutDone();
            sink.complete(`WAITS ${waits > 0}`);
          },
        };
      default:
        return undefined;
    }
  };

type Message = { readonly name: string } & Record<string, unknown>;
function read(bytes: Buffer): string[] {
  const lines: string[] = [];
  new Parser().parse(bytes, (decoded) => {
    const message = decoded as unknown as Message;
    switch (message.name) {
      case "dataRow":
        lines.push(`row ${(message["fields"] as (string | null)[]).join(",")}`);
        return;
      case "commandComplete":
        lines.push(`complete ${message["text"]}`);
        return;
      case "readyForQuery":
        lines.push(`ready ${message["status"]}`);
        return;
      case "error":
        lines.push(`${message["severity"]} ${message["code"]} ${message["message"]}`);
        return;
      case "parameterStatus":
        lines.push(`status ${message["parameterName"]}=${message["parameterValue"]}`);
        return;
      case "backendKeyData":
        lines.push(`key ${message["processID"]}`);
        return;
      default:
        lines.push(message.name);
    }
  });
  return lines;
}

const query = (text: string) => serialize.query(text) as Buffer;
const parse = (text: string, name = "") => serialize.parse({ name, text }) as Buffer;
const bind = (options: object = {}) => serialize.bind(options as never) as Buffer;
const execute = () => serialize.execute({ portal: "", rows: 0 }) as Buffer;
const sync = serialize.sync() as Buffer;
const flush = serialize.flush() as Buffer;
const copyData = (text: string) => serialize.copyData(Buffer.from(text)) as Buffer;
const copyDone = serialize.copyDone() as Buffer;

const where = (node: string) => ["rowDescription", `row ${node}`, "complete SELECT 1", "ready I"];
const unreachable = "57P03 the node that holds the data is not reachable";
const unknown = "08007 the node that holds the data was lost during this request";
const terminated = "FATAL 57P01 terminating connection because the node that holds the data was lost";

const internalErrors: Error[] = [];
function listener(host: FakeHost, options: Partial<PgWireOptions> = {}): PgWire {
  return new PgWire({
    host,
    clock: new FakeClock(),
    random: new FakeRandom(),
    network: new HostNetwork(),
    address: "127.0.0.1",
    port: 0,
    tls: undefined,
    mockSecret: new Uint8Array(32),
    outputs: plainOutputs,
    observer: {
      connected: () => {},
      disconnected: () => {},
      authenticationFailed: () => {},
      internalError: (error) => internalErrors.push(error),
    },
    ...options,
  });
}

function nodes(options: Partial<PgWireOptions> = {}) {
  const homeHost = new FakeHost(scriptOf("home"), 100);
  const hereHost = new FakeHost(scriptOf("here"));
  const homeBundles = new FakeBundles();
  const hereBundles = new FakeBundles();
  const homeClock = new FakeClock();
  const home = listener(homeHost, { clock: homeClock, bundles: homeBundles, ...options });
  const relay = new FakeRelay(home);
  relay.bundle = () => hereBundles.stamp();
  const clock = new FakeClock();
  const here = listener(hereHost, { clock, bundles: hereBundles, ...options, relay });
  return { home, here, relay, homeHost, hereHost, clock, homeClock, homeBundles, hereBundles };
}

/** A client that has logged in, unless it was refused; `ask` sends and reads what comes back. */
async function logIn(wire: PgWire, settings: Record<string, string> = {}, password = "secret") {
  const client = new FakeConnection();
  wire.accept(client);
  client.receive(serialize.startup({ user: "ann", database: "x", ...settings }) as Buffer);
  client.take();
  const scram = new ScramClient(password, new FakeRandom(), undefined);
  client.receive(serialize.sendSASLInitialResponseMessage(scram.mechanism, scram.first()) as Buffer);
  const challenge = client.take().toString("latin1", 9);
  client.receive(serialize.sendSCRAMClientFinalMessage(await scram.final(challenge)) as Buffer);
  await settle();
  const welcome = read(client.take());
  const ask = async (...messages: Buffer[]): Promise<string[]> => {
    client.receive(Buffer.concat(messages));
    await settle();
    return read(client.take());
  };
  return { client, welcome, ask };
}

const greeting = (key: number) => [
  "authenticationSASLFinal",
  "authenticationOk",
  "status server_version=15.0 (ScratchBird test)",
  "status client_encoding=UTF8",
  "status DateStyle=ISO, MDY",
  "status integer_datetimes=on",
  "status standard_conforming_strings=on",
  `key ${key}`,
  "ready I",
];

const running: PgWire[] = [];
afterEach(async () => {
  for (const wire of running.splice(0)) {
    wire.terminateAll();
    await wire.stopAccepting();
  }
  expect(internalErrors.splice(0)).toEqual([]);
});

describe("security bundles of both nodes", () => {
  const mismatch = "ERROR 55000 different security bundles";

  it("that differ for a moment hold a statement up, and nobody hears of it", async () => {
    const { here, homeClock, homeBundles, hereBundles, homeHost } = nodes();
    const { ask, client } = await logIn(here);
    homeBundles.publish(2);
    expect(await ask(query("where"), query("fail"))).toEqual([]);
    expect(homeHost.sessions[0]!.events).not.toContain("query where");
    homeClock.advance(499);
    hereBundles.publish(2);
    await settle();
    expect(read(client.take())).toEqual([...where("home"), "ERROR 22012 division by zero", "ready I"]);
    // The other way round.
    hereBundles.publish(3);
    expect(await ask(parse("echo"), bind({ values: ["1", "a"] }), execute(), sync)).toEqual([]);
    homeBundles.publish(3);
    await settle();
    expect(read(client.take())).toEqual([
      "parseComplete",
      "bindComplete",
      "row 1,a",
      "complete SELECT 1",
      "ready I",
    ]);
    expect([homeBundles.told, hereBundles.told]).toEqual([[], []]);
  });

  it("that differ for long refuse what would run, in a block too, until they agree", async () => {
    const { here, homeClock, homeBundles, hereBundles, homeHost } = nodes();
    const { ask, client } = await logIn(here);
    expect(await ask(query("begin"))).toEqual(["complete BEGIN", "ready T"]);
    homeBundles.publish(2);
    expect(await ask(query("where"))).toEqual([]);
    homeClock.advance(500);
    await settle();
    expect(read(client.take())).toEqual([mismatch, "ready E"]);
    // Known to differ: nobody waits again, and good-byes are heard.
    expect(await ask(parse("echo"), bind(), execute(), sync)).toEqual([mismatch, "ready E"]);
    expect(await ask(query("rollback"))).toEqual([mismatch, "ready E"]);
    hereBundles.publish(2);
    expect(await ask(query("rollback"))).toEqual(["complete ROLLBACK", "ready I"]);
    expect(await ask(query("where"))).toEqual(where("home"));
    expect(homeBundles.told).toEqual(["here has 1"]);
    expect(homeHost.sessions[0]!.events.filter((one) => one === "query where")).toHaveLength(1);
  });

  it("that differ under one number refuse at once, on both sides", async () => {
    const { here, homeBundles, hereBundles } = nodes();
    const { ask } = await logIn(here);
    homeBundles.publish(2, "a");
    hereBundles.publish(2, "b");
    expect(await ask(query("where"))).toEqual([mismatch, "ready I"]);
    expect([homeBundles.told, hereBundles.told]).toEqual([["here has 2"], ["home has 2"]]);
  });

  it("are told only by nodes: a client that speaks of them is cut off", async () => {
    const { here, homeBundles } = nodes();
    const { ask, client } = await logIn(here);
    homeBundles.publish(7);
    expect(await ask(bundleMessage(stampOf(7)), query("where"))).toEqual([
      "FATAL 08P01 invalid frontend message type 33",
    ]);
    expect(client.ended).toBe(true);
    // Nor does a part of one get through, whatever its length says.
    const { here: other, relay, homeBundles: told, home } = nodes();
    let size = Number.POSITIVE_INFINITY;
    relay.pieceBytes = () => size;
    const { ask: say } = await logIn(other);
    size = 7;
    const forged = Buffer.concat([
      Buffer.from("!\0\0\x9c\x40", "latin1"),
      Buffer.from(`1\0${"f".repeat(64)}\0x`),
    ]);
    expect(await say(forged)).toEqual(["FATAL 08P01 invalid frontend message type 33"]);
    await settle();
    expect([told.told, home.connectionCount]).toEqual([[], 0]);
  });

  it("that no node would tell of end the stream, and nothing else", async () => {
    for (const bytes of [
      Buffer.from("!\0\0\x9c\x40x", "latin1"),
      Buffer.from("!\0\0\0\x06xy"),
      Buffer.from("!\0\0\0\x04"),
    ]) {
      const { here, relay, home } = nodes();
      const { ask } = await logIn(here);
      for (const stream of relay.streams) stream.write(bytes);
      await settle();
      expect(await ask(query("where"))).toEqual(where("home"));
      expect(home.connectionCount).toBe(1);
    }
  });

  it("matter to who runs something alone: an idle client is not counted", async () => {
    const { here, homeBundles, homeClock } = nodes();
    const { ask } = await logIn(here);
    homeBundles.publish(2);
    homeClock.advance(10_000);
    await settle();
    expect([homeBundles.told, homeClock.timers]).toEqual([[], []]);
    expect(await ask(flush, serialize.end() as Buffer)).toEqual([]);
    expect(homeClock.timers).toEqual([]);
  });

  it("are told in the middle of a COPY, and watched no longer than a client is there", async () => {
    const { here, homeBundles, hereBundles } = nodes();
    const { ask } = await logIn(here);
    expect(await ask(query("copy in"), copyData("abc"))).toEqual(["copyInResponse"]);
    homeBundles.publish(2);
    hereBundles.publish(2);
    expect(await ask(copyData("de"), copyDone)).toEqual(["complete COPY 5", "ready I"]);
    expect([homeBundles.watchers, hereBundles.watchers]).toEqual([1, 1]);
    await ask(serialize.end() as Buffer);
    expect([homeBundles.watchers, hereBundles.watchers]).toEqual([0, 0]);
  });
});

describe("a client of another node", () => {
  it("is logged in there and greeted by its session at home", async () => {
    const { here, home, homeHost, hereHost } = nodes();
    const { welcome, ask } = await logIn(here, { application_name: "app" });
    expect(welcome).toEqual(greeting(101));
    expect(homeHost.sessions[0]!.start).toMatchObject({
      user: "ann",
      database: "x",
      remoteAddress: "test:1",
      encrypted: false,
    });
    expect(homeHost.sessions[0]!.start.settings.get("application_name")).toBe("app");
    expect([hereHost.sessions.length, hereHost.places]).toEqual([0, 1]);
    expect(await ask(query("where"))).toEqual(where("home"));
    expect(here.relayed).toEqual({ connections: 1, awaiting: 0 });
    expect([here.connectionCount, home.connectionCount]).toEqual([1, 1]);
  });

  it("speaks every part of the protocol", async () => {
    const { here, homeHost } = nodes();
    const { ask, client } = await logIn(here);
    expect(await ask(query("rows"))).toHaveLength(manyRows + 3);
    expect(await ask(query("notice"))).toEqual(["notice", "complete DO", "ready I"]);
    expect(await ask(query("set TimeZone = CET"))).toEqual([
      "complete SET",
      "status TimeZone=CET",
      "ready I",
    ]);
    expect(await ask(query("fail"), query("where"))).toEqual([
      "ERROR 22012 division by zero",
      "ready I",
      ...where("home"),
    ]);
    const extended = await ask(
      parse("echo", "s"),
      bind({ statement: "s", values: ["7", null] }),
      execute(),
      sync,
    );
    expect(extended).toEqual(["parseComplete", "bindComplete", "row 7,", "complete SELECT 1", "ready I"]);
    expect(await ask(parse("nonsense"), bind(), execute(), sync)).toEqual([
      'ERROR 42601 syntax error at or near "nonsense"',
      "ready I",
    ]);
    expect(await ask(query("copy in"), copyData("abc"), copyDone)).toEqual([
      "copyInResponse",
      "complete COPY 3",
      "ready I",
    ]);
    expect(await ask(query("copy out"))).toHaveLength(7);
    expect(await ask(query("hang"))).toEqual([]);
    expect(here.relayed.awaiting).toBe(1);
    homeHost.sessions[0]!.start.client!.notification(7, "c", "later");
    homeHost.sessions[0]!.onCancel(new DbError("queryCanceled", "cancelled"));
    await settle();
    expect(read(client.take())).toEqual(["ERROR 57014 cancelled", "notification", "ready I"]);
    expect(await ask(serialize.end() as Buffer)).toEqual([]);
    expect(client.ended).toBe(true);
    expect([here.connectionCount, homeHost.sessions[0]!.events.at(-1)]).toEqual([0, "close"]);
  });

  it("means the same wherever streams are cut", async () => {
    const exchange = [
      query("rows"),
      parse("echo", "s"),
      bind({ statement: "s", values: ["12", "zwölf"] }),
      execute(),
      sync,
      query("set TimeZone = CET"),
      query("fail"),
      query("copy in"),
      copyData("abc"),
      copyDone,
      query("copy out"),
      parse("nonsense"),
      execute(),
      sync,
      query("where"),
    ];
    const alone = await logIn(nodes().home);
    const expected = await alone.ask(...exchange);
    expect(expected.length).toBeGreaterThan(manyRows);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3000 }),
        fc.integer({ min: 1, max: 300 }),
        async (size, cut) => {
          const { here, relay } = nodes();
          const { client } = await logIn(here);
          relay.pieceBytes = () => size;
          const stream = Buffer.concat(exchange);
          for (let at = 0; at < stream.length; at += cut) client.receive(stream.subarray(at, at + cut));
          const parts: Buffer[] = [];
          for (let round = 0; round < 100_000 / size + 50; round++) {
            await turn();
            parts.push(client.take());
          }
          expect(read(Buffer.concat(parts))).toEqual(expected);
        },
      ),
      { numRuns: 25 },
    );
  });

  it("is refused here with a wrong password, at home for what only the home node knows", async () => {
    const { here, relay } = nodes();
    const wrong = await logIn(here, {}, "wrong");
    expect(wrong.welcome).toEqual(['FATAL 28P01 password authentication failed for user "ann"']);
    expect(relay.opened).toBe(0);
    const absent = await logIn(here, { database: "absent" });
    expect(absent.welcome.slice(-2)).toEqual([
      "authenticationOk",
      'FATAL 3D000 database "absent" does not exist',
    ]);
    const full = await logIn(here, { database: "full" });
    expect(full.welcome.slice(-1)).toEqual(["FATAL 53300 sorry, too many clients already"]);
    expect(relay.opened).toBe(1);
    expect([wrong, absent, full].every(({ client }) => client.ended)).toBe(true);
    const crowded = nodes();
    crowded.homeHost.sessionsMax = 0;
    const { welcome } = await logIn(crowded.here);
    expect(welcome.slice(-1)).toEqual(["FATAL 53300 sorry, too many clients already"]);
    expect([crowded.hereHost.places, crowded.here.connectionCount, crowded.home.connectionCount]).toEqual([
      0, 0, 0,
    ]);
  });

  it("is ended by its session at home, and when the node it is connected to stops", async () => {
    const { here, homeHost, hereHost } = nodes();
    const { client } = await logIn(here);
    homeHost.sessions[0]!.start.client!.terminate(new DbError("adminShutdown", "terminating"));
    await settle();
    expect(read(client.take())).toEqual(["FATAL 57P01 terminating"]);
    expect([client.ended, hereHost.places]).toEqual([true, 0]);
    const busy = await logIn(here);
    await busy.ask(query("hang"));
    here.terminateAll();
    await settle();
    expect(read(busy.client.take())).toEqual([
      "FATAL 57P01 terminating connection due to administrator command",
    ]);
    expect(homeHost.sessions[1]!.events.slice(-2)).toEqual(["cancel 08006", "close"]);
    expect([here.connectionCount, hereHost.places]).toEqual([0, 0]);
  });

  it("takes its session with it when it hangs up", async () => {
    const { here, home, homeHost, hereHost } = nodes();
    const { client, ask } = await logIn(here);
    await ask(query("hang"));
    client.hangUp();
    await settle();
    expect(homeHost.sessions[0]!.events.slice(-2)).toEqual(["cancel 08006", "close"]);
    expect([here.connectionCount, home.connectionCount, hereHost.places]).toEqual([0, 0, 0]);
  });

  it("is told by the home node of messages that nobody sends", async () => {
    const { here } = nodes();
    const { client, ask } = await logIn(here);
    expect(await ask(Buffer.from("Q\0\0\0\x03"), query("where"))).toEqual([
      "FATAL 08P01 invalid message length",
    ]);
    expect(client.ended).toBe(true);
    const other = await logIn(here);
    expect(await other.ask(Buffer.from("!\0\0\0\x04"))).toEqual([
      "FATAL 08P01 invalid frontend message type 33",
    ]);
  });
});

describe("flow", () => {
  it("is held back by a client that does not read", async () => {
    const { here, relay } = nodes({ limits: { outputBytesMax: 200_000 } });
    relay.pieceBytes = () => 65_536;
    const { client } = await logIn(here);
    client.stalled = true;
    client.receive(query("much"));
    await settle();
    for (let round = 0; round < 300; round++) await turn();
    const [stream] = [...relay.streams];
    const before = client.take().length;
    expect(before).toBeGreaterThan(200_000);
    expect(before).toBeLessThan(400_000);
    expect(stream!.paused).toBe(true);
    expect(stream!.peer.unsentMax).toBeLessThan(600_000);
    client.unstall();
    let received = before;
    let last: Buffer = Buffer.alloc(0);
    for (let round = 0; round < 2000 && received < 20_000_000; round++) {
      await turn();
      const bytes = client.take();
      if (bytes.length > 0) last = bytes;
      received += bytes.length;
    }
    await settle();
    const end = Buffer.concat([last, client.take()]);
    expect(end.toString("latin1", end.length - 24)).toContain("WAITS true");
    expect(stream!.peer.unsentMax).toBeLessThan(600_000);
  });

  it("is held back by a home node that does not take it", async () => {
    const { here, relay } = nodes({ limits: { inputBytesMax: 100_000 } });
    relay.pieceBytes = () => 65_536;
    const { client, ask } = await logIn(here);
    await ask(query("copy in slowly"));
    const piece = Buffer.concat(Array.from({ length: 20 }, () => copyData("x".repeat(4000))));
    let sent = 0;
    let pauses = 0;
    const [stream] = [...relay.streams];
    while (sent < 100) {
      if (client.paused) {
        pauses++;
        await turn();
        continue;
      }
      client.receive(piece);
      sent++;
    }
    expect(pauses).toBeGreaterThan(10);
    expect(stream!.unsentMax).toBeLessThan(300_000);
    client.receive(copyDone);
    let answer: Buffer = Buffer.alloc(0);
    for (let round = 0; round < 2000 && answer.length === 0; round++) {
      await turn();
      answer = client.take();
    }
    expect(read(answer)).toEqual([`complete COPY ${100 * 20 * 4000}`, "ready I"]);
  });

  it("is held back when too many requests are sent ahead", async () => {
    const { here, homeHost } = nodes();
    const { client, ask } = await logIn(here);
    await ask(query("hang"));
    for (let round = 0; round < 12; round++) client.receive(Buffer.concat(Array(1000).fill(sync)));
    expect(client.paused).toBe(true);
    homeHost.sessions[0]!.onCancel(new DbError("queryCanceled", "cancelled"));
    const lines: string[] = [];
    for (let round = 0; round < 100; round++) {
      await turn();
      lines.push(...read(client.take()));
    }
    expect(lines).toHaveLength(12_002);
    expect(client.paused).toBe(false);
  });
});

describe("a cancel request", () => {
  const cancel = async (wire: PgWire, pid: number, key: number) => {
    const connection = new FakeConnection();
    wire.accept(connection);
    connection.receive(serialize.cancel(pid, key) as Buffer);
    await settle();
    expect(connection.ended).toBe(true);
  };
  const keyOf = (base: number) => 0x01020304 + base;
  const cancelled = ["ERROR 57014 canceling statement due to user request", "ready I"];

  it("reaches the home node from any, and is dropped when nobody has the key", async () => {
    const { here, home, relay } = nodes();
    const { client, ask } = await logIn(here);
    for (const wire of [here, home]) {
      await ask(query("hang"));
      await cancel(wire, 101, keyOf(0));
      await cancel(wire, 102, keyOf(100));
      expect(client.take()).toHaveLength(0);
      await cancel(wire, 101, keyOf(100));
      expect(read(client.take())).toEqual(cancelled);
    }
    expect(relay.cancels).toBe(3);
    relay.cancel = () => Promise.reject(new Error("not reachable"));
    await cancel(here, 5, 5);
  });

  it("reaches a session that took over from the one whose key the client has", async () => {
    const { here, relay, clock } = nodes();
    const { client, ask } = await logIn(here);
    relay.crash();
    await settle();
    expect(await ask(query("hang"))).toEqual([]);
    await cancel(here, 101, keyOf(100));
    expect(read(client.take())).toEqual(cancelled);
    relay.isUp = true;
    clock.time += 1000;
    expect(await ask(query("hang"))).toEqual([]);
    await cancel(here, 101, keyOf(100));
    expect(read(client.take())).toEqual(cancelled);
  });

  it("of a session here stays here", async () => {
    const { here, relay } = nodes();
    relay.isUp = false;
    const { client, welcome, ask } = await logIn(here);
    expect(welcome).toContain("key 1");
    await ask(query("hang"));
    await cancel(here, 1, keyOf(0));
    expect(read(client.take())).toEqual(cancelled);
    expect(relay.cancels).toBe(0);
  });
});

describe("the home node cannot be reached at log-in", () => {
  it.each([
    ["is known to be away", (relay: FakeRelay) => void (relay.isUp = false), 0],
    [
      "refuses connections",
      (relay: FakeRelay) => {
        relay.isUp = false;
        relay.believed = true;
      },
      0,
    ],
    ["does not answer", (relay: FakeRelay) => void (relay.hangs = true), 1000],
  ])("because it %s: the client is served here", async (_, make, waitMs) => {
    const { here, relay, clock, hereHost } = nodes();
    make(relay);
    const { welcome, client, ask } = await logIn(here);
    if (waitMs > 0) {
      expect(welcome).toEqual(["authenticationSASLFinal", "authenticationOk"]);
      client.receive(query("where"));
      clock.advance(waitMs);
      await settle();
      expect(read(client.take())).toEqual([...greeting(1).slice(2), ...where("here")]);
    } else expect(welcome).toEqual(greeting(1));
    expect(await ask(query("stored"))).toEqual([`ERROR ${unreachable}`, "ready I"]);
    expect(await ask(query("where"))).toEqual(where("here"));
    expect([hereHost.sessions.length, hereHost.places]).toEqual([1, 0]);
  });

  it("because it stops: a home node that stops takes nobody", async () => {
    const { here, home } = nodes();
    await home.stopAccepting();
    const { welcome } = await logIn(here);
    expect(welcome).toEqual(greeting(1));
  });

  it("because it dies before it has greeted, or never does", async () => {
    const { here, relay, clock, hereHost } = nodes();
    const accept = relay.homeWire.acceptRelayed.bind(relay.homeWire);
    relay.homeWire.acceptRelayed = (stream) => void stream;
    const first = await logIn(here);
    expect(first.welcome).toHaveLength(2);
    relay.crash();
    await settle();
    expect(read(first.client.take())).toEqual(greeting(1).slice(2));
    relay.isUp = true;
    clock.time += 1000;
    const second = await logIn(here);
    clock.advance(5000);
    await settle();
    expect(read(second.client.take())).toEqual(greeting(2).slice(2));
    clock.time += 1000;
    relay.homeWire.acceptRelayed = accept;
    expect(await second.ask(query("where"))).toEqual(where("home"));
    expect(hereHost.sessions[1]!.events.at(-1)).toBe("close");
  });

  it("and a client that hangs up, or is ended, while it waits leaves nothing", async () => {
    const { here, relay, hereHost, home, clock } = nodes();
    let open: () => void = () => {};
    const ready = relay.open.bind(relay);
    relay.open = async (head) => {
      await new Promise<void>((resolve) => (open = resolve));
      return ready(head);
    };
    const gone = await logIn(here);
    gone.client.hangUp();
    open();
    await settle();
    const ended = await logIn(here);
    here.terminateAll();
    open();
    await settle();
    expect(read(ended.client.take()).slice(-1)[0]).toContain("FATAL 57P01");
    expect([here.connectionCount, home.connectionCount, hereHost.places]).toEqual([0, 0, 0]);
    expect(clock.timers).toEqual([]);
  });
});

describe("the home node is lost", () => {
  it("under an idle client: nobody is told, the next message is served here, with its settings", async () => {
    const { here, relay, hereHost, clock } = nodes();
    const { client, ask } = await logIn(here, { application_name: "app" });
    await ask(query("set TimeZone = CET"));
    await ask(query("set search_path = a"));
    relay.crash();
    await settle();
    expect(client.take()).toHaveLength(0);
    expect([hereHost.sessions.length, hereHost.places]).toEqual([0, 1]);
    expect(await ask(query("stored"))).toEqual([`ERROR ${unreachable}`, "ready I"]);
    expect(await ask(query("settings"))).toEqual([
      "complete SETTINGS application_name=app client_encoding=UTF8 TimeZone=CET search_path=a",
      "ready I",
    ]);
    expect([hereHost.sessions.length, hereHost.places]).toEqual([1, 0]);
    await ask(query("set search_path = b"));
    relay.isUp = true;
    clock.time += 1000;
    expect(await ask(query("stored"))).toEqual(where("home"));
    expect(await ask(query("settings"))).toEqual([
      "complete SETTINGS application_name=app client_encoding=UTF8 TimeZone=CET search_path=b",
      "ready I",
    ]);
    expect(hereHost.places).toBe(1);
    expect(hereHost.sessions[0]!.events.at(-1)).toBe("close");
  });

  it("under an idle client and back before its next message: nothing is seen of it", async () => {
    const { here, relay, hereHost } = nodes();
    const { ask } = await logIn(here);
    relay.crash();
    await settle();
    relay.isUp = true;
    expect(await ask(parse("where"), bind(), execute(), sync)).toEqual([
      "parseComplete",
      "bindComplete",
      "row home",
      "complete SELECT 1",
      "ready I",
    ]);
    expect(hereHost.sessions).toHaveLength(0);
  });

  it("and settings that differ in the session that takes over are reported", async () => {
    const { here, relay, hereHost } = nodes();
    const { ask } = await logIn(here);
    relay.crash();
    await settle();
    const open = hereHost.openSession.bind(hereHost);
    hereHost.openSession = (start) => {
      const session = open(start) as FakeSession;
      const reported = [...session.reportedSettings(), ["is_superuser", "on"] as const];
      session.reportedSettings = () => reported;
      return session;
    };
    expect(await ask(query("where"))).toEqual(["status is_superuser=on", ...where("here")]);
  });

  it("during a statement outside a block: whether it was committed is not known", async () => {
    const { here, relay } = nodes();
    const { client, ask } = await logIn(here);
    await ask(query("hang"));
    relay.crash();
    await settle();
    expect(read(client.take())).toEqual([`ERROR ${unknown}`, "ready I"]);
    expect(await ask(query("where"))).toEqual(where("here"));
  });

  it("during several: each is answered", async () => {
    const { here, relay } = nodes();
    const { client, ask } = await logIn(here);
    await ask(query("hang"), query("where"), parse("where"), bind(), execute(), sync, sync);
    relay.crash();
    await settle();
    expect(read(client.take())).toEqual([
      ...[`ERROR ${unknown}`, "ready I"],
      ...[`ERROR ${unknown}`, "ready I"],
      ...[`ERROR ${unknown}`, "ready I"],
      ...[`ERROR ${unreachable}`, "ready I"],
    ]);
    expect(await ask(query("where"))).toEqual(where("here"));
  });

  it("in the extended protocol: silence until Sync", async () => {
    const { here, relay } = nodes();
    const { client, ask } = await logIn(here);
    expect(await ask(parse("where"), bind(), flush)).toEqual(["parseComplete", "bindComplete"]);
    relay.crash();
    await settle();
    expect(read(client.take())).toEqual([`ERROR ${unreachable}`]);
    expect(await ask(execute(), query("where"), flush)).toEqual([]);
    expect(await ask(sync, query("where"))).toEqual(["ready I", ...where("here")]);
  });

  it("and the statement without a name with it", async () => {
    const { here, relay } = nodes();
    const { ask } = await logIn(here);
    expect(await ask(parse("where"), sync)).toEqual(["parseComplete", "ready I"]);
    relay.crash();
    await settle();
    expect(await ask(bind(), execute(), sync)).toEqual([`ERROR ${unreachable}`, "ready I"]);
    expect(await ask(sync, sync)).toEqual(["ready I", "ready I"]);
    expect(await ask(parse("where"), bind(), execute(), sync)).toContain("row here");
  });

  it("inside a block: the request under way fails, and the block stays failed until it ends", async () => {
    const { here, relay, clock, hereHost } = nodes();
    const { client, ask } = await logIn(here);
    await ask(query("begin"));
    await ask(query("hang"));
    relay.crash();
    await settle();
    expect(read(client.take())).toEqual([`ERROR ${unreachable}`, "ready E"]);
    relay.isUp = true;
    clock.time += 1000;
    await ask(query("where"));
    expect(hereHost.sessions[0]!.events).toEqual(["query BEGIN", "failed 57P03", "query where"]);
    expect(hereHost.sessions[0]!.status).toBe("E");
    expect(await ask(query("commit"))).toEqual(["complete ROLLBACK", "ready I"]);
    expect(await ask(query("where"))).toEqual(where("home"));
  });

  it("inside a block that a request under way may have committed", async () => {
    const { here, relay } = nodes();
    const { client, ask } = await logIn(here);
    await ask(query("begin"));
    await ask(query("hang; COMMIT"));
    relay.crash();
    await settle();
    expect(read(client.take())).toEqual([`ERROR ${unknown}`, "ready I"]);
    expect(await ask(query("where"))).toEqual(where("here"));
  });

  it("between two statements of a block: the next is told, so that COMMIT fails", async () => {
    const { here, relay } = nodes();
    const { client, ask } = await logIn(here);
    await ask(query("begin"));
    relay.crash();
    await settle();
    expect(client.take()).toHaveLength(0);
    expect(await ask(query("COMMIT"))).toEqual([`ERROR ${unreachable}`, "ready I"]);
    expect(await ask(query("where"))).toEqual(where("here"));
  });

  it("between two statements of a block, in the extended protocol", async () => {
    const { here, relay, hereHost } = nodes();
    const { ask } = await logIn(here);
    await ask(query("begin"));
    relay.crash();
    await settle();
    expect(await ask(parse("where"), bind(), execute(), sync)).toEqual([`ERROR ${unreachable}`, "ready E"]);
    expect(await ask(query("rollback"))).toEqual(["complete ROLLBACK", "ready I"]);
    expect(hereHost.sessions[0]!.events).toEqual(["query BEGIN", "failed 57P03", "query rollback"]);
    const other = nodes();
    const client = await logIn(other.here);
    await client.ask(query("begin"));
    other.relay.crash();
    await settle();
    expect(await client.ask(parse("commit"), bind(), execute(), sync)).toEqual([
      `ERROR ${unreachable}`,
      "ready I",
    ]);
  });

  it("during COPY: it fails, and what the client still sends of it is passed over", async () => {
    const { here, relay } = nodes();
    const { client, ask } = await logIn(here);
    expect(await ask(query("copy in"), copyData("a"))).toEqual(["copyInResponse"]);
    relay.crash();
    await settle();
    expect(read(client.take())).toEqual([`ERROR ${unreachable}`, "ready I"]);
    expect(await ask(copyData("b"), copyDone, query("where"))).toEqual(where("here"));
    const extended = nodes();
    const other = await logIn(extended.here);
    expect(await other.ask(parse("copy in"), bind(), execute(), sync, copyData("a"))).toEqual([
      "parseComplete",
      "bindComplete",
      "copyInResponse",
    ]);
    extended.relay.crash();
    await settle();
    expect(read(other.client.take())).toEqual([`ERROR ${unreachable}`]);
    expect(await other.ask(copyDone, sync)).toEqual(["ready I"]);
    expect(await other.ask(query("where"))).toEqual(where("here"));
  });

  it("behind whole rows of a result; a part of a large one cannot be completed", async () => {
    const { here, relay } = nodes();
    relay.pieceBytes = () => 40;
    const { client } = await logIn(here);
    client.receive(query("rows"));
    for (let round = 0; round < 30; round++) await turn();
    relay.crash();
    await settle();
    const lines = read(client.take());
    expect(lines.length).toBeGreaterThan(5);
    expect(lines.slice(-2)).toEqual([`ERROR ${unknown}`, "ready I"]);
    expect(lines.slice(1, -2).every((line, row) => line === `row ${row},${"x".repeat(row)}`)).toBe(true);
    const large = nodes();
    large.relay.pieceBytes = () => 40_000;
    const other = await logIn(large.here);
    other.client.receive(query("copy out and hang"));
    while (!other.client.sent.some((piece) => piece.length > 10_000)) await turn();
    large.relay.crash();
    await settle();
    expect(other.client.ended).toBe(true);
    expect(other.client.take().includes("ERROR")).toBe(false);
  });

  it("with a part of a large request: it is answered when the rest has come", async () => {
    const { here, relay } = nodes();
    const { client, ask } = await logIn(here);
    const large = query(`where${" ".repeat(100_000)}`);
    expect(await ask(large.subarray(0, 50_000))).toEqual([]);
    relay.crash();
    await settle();
    expect(client.take()).toHaveLength(0);
    expect(await ask(large.subarray(50_000, 60_000))).toEqual([]);
    expect(await ask(large.subarray(60_000), query("where"))).toEqual([
      `ERROR ${unreachable}`,
      "ready I",
      ...where("here"),
    ]);
    const small = nodes();
    const other = await logIn(small.here);
    await other.ask(query("where").subarray(0, 8));
    small.relay.crash();
    await settle();
    expect(await other.ask(query("where").subarray(8))).toEqual(where("here"));
  });

  it("with named statements: the client is closed, behind an answer to what is under way", async () => {
    const { here, relay, hereHost } = nodes();
    const idle = await logIn(here);
    await idle.ask(parse("where", "s"), sync);
    const closed = await logIn(here);
    await closed.ask(parse("where", "s"), sync);
    await closed.ask(serialize.close({ type: "S", name: "s" }) as Buffer, sync);
    const busy = await logIn(here);
    await busy.ask(parse("where", "s"), sync);
    await busy.ask(query("hang"));
    const making = await logIn(here);
    await making.ask(parse("where", "s"), flush);
    relay.crash();
    await settle();
    expect(read(idle.client.take())).toEqual([terminated]);
    expect(read(closed.client.take())).toEqual([]);
    expect(read(busy.client.take())).toEqual([`ERROR ${unknown}`, "ready I", terminated]);
    expect(read(making.client.take())).toEqual([`ERROR ${unreachable}`, terminated]);
    expect([idle.client.ended, closed.client.ended, busy.client.ended]).toEqual([true, false, true]);
    expect(await closed.ask(query("where"))).toEqual(where("here"));
    expect([here.connectionCount, hereHost.places]).toEqual([1, 0]);
  });

  it("because it stops: clients elsewhere stay connected", async () => {
    const { here, home, relay, homeHost } = nodes();
    const idle = await logIn(here);
    const busy = await logIn(here);
    await busy.ask(query("hang"));
    await home.stopAccepting();
    home.terminateAll();
    await settle();
    relay.isUp = false;
    expect(read(idle.client.take())).toEqual([]);
    expect(read(busy.client.take())).toEqual([`ERROR ${unknown}`, "ready I"]);
    expect(homeHost.sessions.map((session) => session.events.at(-1))).toEqual(["close", "close"]);
    for (const { ask } of [idle, busy]) expect(await ask(query("where"))).toEqual(where("here"));
    expect(home.connectionCount).toBe(0);
  });

  it("and nothing of a client is left when it says good-bye or hangs up then", async () => {
    const { here, relay, hereHost } = nodes();
    const one = await logIn(here);
    const other = await logIn(here);
    relay.crash();
    await settle();
    expect(await one.ask(serialize.end() as Buffer)).toEqual([]);
    expect(one.client.ended).toBe(true);
    other.client.hangUp();
    expect([here.connectionCount, hereHost.places, hereHost.sessions.length]).toEqual([0, 0, 0]);
    relay.isUp = true;
    const third = await logIn(here);
    relay.crash();
    await settle();
    here.terminateAll();
    expect(read(third.client.take())[0]).toContain("FATAL 57P01");
  });

  it("when the client may not connect here either: it is closed with the reason", async () => {
    const { here, relay, hereHost } = nodes();
    const { client, ask } = await logIn(here);
    relay.crash();
    await settle();
    hereHost.sessionsMax = 0;
    expect(await ask(query("where"))).toEqual(["FATAL 53300 sorry, too many clients already"]);
    expect(client.ended).toBe(true);
  });
});

describe("a home node that is back", () => {
  it("is not asked for what holds more than settings, nor in the middle of something", async () => {
    const { here, relay, clock } = nodes();
    relay.isUp = false;
    const named = await logIn(here);
    await named.ask(parse("where", "s"), sync);
    const block = await logIn(here);
    await block.ask(query("begin"));
    const unsynced = await logIn(here);
    await unsynced.ask(parse("where"), flush);
    relay.isUp = true;
    clock.time += 1000;
    expect(await named.ask(query("where"))).toEqual(where("here"));
    expect(await block.ask(query("where"))).toEqual([...where("here").slice(0, -1), "ready T"]);
    expect(await unsynced.ask(bind(), execute(), sync)).toContain("row here");
    await named.ask(serialize.close({ type: "S", name: "s" }) as Buffer, sync);
    await block.ask(query("commit"));
    for (const { ask } of [named, block, unsynced]) expect(await ask(query("where"))).toEqual(where("home"));
  });

  it("that cannot be reached after all costs one wait, and then none for a while", async () => {
    const { here, relay, clock } = nodes();
    relay.isUp = false;
    const { client, ask } = await logIn(here);
    relay.believed = true;
    relay.isUp = true;
    relay.hangs = true;
    expect(await ask(query("where"), query("where"))).toEqual([]);
    expect(await ask(query("stored"))).toEqual([]);
    clock.advance(1000);
    await settle();
    expect(read(client.take())).toEqual([
      ...where("here"),
      ...where("here"),
      `ERROR ${unreachable}`,
      "ready I",
    ]);
    expect(relay.opened).toBe(1);
    expect(await ask(query("where"))).toEqual(where("here"));
    expect(relay.opened).toBe(1);
    relay.hangs = false;
    clock.time += 600;
    expect(await ask(query("where"))).toEqual(where("home"));
  });

  it("that does not want the client is left alone for a while", async () => {
    const { here, relay, clock, homeHost } = nodes();
    relay.isUp = false;
    const { ask } = await logIn(here);
    relay.isUp = true;
    homeHost.sessionsMax = 0;
    expect(await ask(query("where"))).toEqual(where("here"));
    clock.time += 1000;
    homeHost.sessionsMax = 10;
    expect(await ask(query("where"))).toEqual(where("here"));
    clock.time += 5000;
    expect(await ask(query("where"))).toEqual(where("home"));
  });

  it("bounds what a client sends while it waits for it", async () => {
    const { here, relay, clock } = nodes({ limits: { inputBytesMax: 10_000 } });
    relay.isUp = false;
    const { client } = await logIn(here);
    relay.isUp = true;
    relay.hangs = true;
    client.receive(Buffer.concat(Array.from({ length: 30 }, () => query("where".padEnd(1000)))));
    expect(client.paused).toBe(true);
    clock.advance(1000);
    await settle();
    expect(client.paused).toBe(false);
    expect(read(client.take()).filter((line) => line === "row here")).toHaveLength(30);
    relay.hangs = false;
    clock.time += 1000;
    client.receive(Buffer.concat(Array.from({ length: 30 }, () => query("where".padEnd(1000)))));
    expect(client.paused).toBe(true);
    await settle();
    expect(client.paused).toBe(false);
    expect(read(client.take()).filter((line) => line === "row home")).toHaveLength(30);
  });
});

/** Crashes and returns at any moment: the client's count of answers is right, and nothing is left behind. */
describe("any history", () => {
  it("answers each request once, or closes the client", async () => {
    const request = fc.constantFrom<readonly [Buffer, answers: number]>(
      [query("where"), 1],
      [query("rows"), 1],
      [query("fail"), 1],
      [query("begin"), 1],
      [query("commit"), 1],
      [query("rollback"), 1],
      [query("set TimeZone = CET"), 1],
      [Buffer.concat([parse("where"), bind(), execute(), sync]), 1],
      [Buffer.concat([parse("where"), sync]), 1],
      [Buffer.concat([bind(), execute(), sync]), 1],
      [Buffer.concat([parse("nonsense"), execute(), sync]), 1],
      [Buffer.concat([query("copy in"), copyData("a"), copyDone]), 1],
      [query(`where${" ".repeat(70_000)}`), 1],
      [Buffer.concat([parse("where", "s"), sync]), 1],
      [Buffer.concat([serialize.close({ type: "S", name: "s" }) as Buffer, sync]), 1],
    );
    const step = fc.record({
      request,
      cut: fc.integer({ min: 1, max: 80_000 }),
      turns: fc.nat({ max: 8 }),
      event: fc.constantFrom("none", "none", "none", "crash", "crash", "back"),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 15 }),
        fc.integer({ min: 20, max: 5000 }),
        async (steps, size) => {
          const { here, home, relay, clock, hereHost } = nodes();
          relay.pieceBytes = () => size;
          const { client } = await logIn(here);
          // The greeting comes in small pieces too.
          for (let round = 0; round < 2000 / size; round++) await turn();
          client.take();
          let due = 0;
          for (const { request, cut, turns, event } of steps) {
            const [bytes, answers] = request;
            client.receive(Buffer.from(bytes.subarray(0, cut)));
            for (let round = 0; round < turns; round++) await turn();
            if (event === "crash") relay.crash();
            if (event === "back") relay.isUp = true;
            clock.time += 700;
            if (event === "back") await settle();
            if (cut < bytes.length) client.receive(Buffer.from(bytes.subarray(cut)));
            due += answers;
          }
          for (let round = 0; round < (steps.length * 160_000) / size + 100; round++) await turn();
          const lines = read(client.take());
          const isClosed = client.ended;
          const answered = lines.filter((line) => line.startsWith("ready")).length;
          if (isClosed) expect(answered).toBeLessThanOrEqual(due);
          else expect(answered).toBe(due);
          if (isClosed) expect(lines.at(-1)).toBe(terminated);
          client.hangUp();
          await settle();
          expect([here.connectionCount, home.connectionCount, hereHost.places]).toEqual([0, 0, 0]);
          expect(clock.timers).toEqual([]);
          const left = hereHost.sessions.filter((session) => session.events.at(-1) !== "close");
          expect(left).toEqual([]);
        },
      ),
      { numRuns: 150 },
    );
  }, 60_000);
});

describe("over sockets", () => {
  async function listening(withTls = false) {
    const names = { commonName: "localhost", dns: ["localhost"], addresses: ["127.0.0.1"] };
    const tls = withTls ? await createServerCertificate(names, hostClock, hostRandom) : undefined;
    const it = nodes({ clock: hostClock, random: hostRandom, tls: tls && { current: tls } });
    running.push(it.here, it.home);
    const port = await it.here.listen();
    const options = { host: "127.0.0.1", port, user: "ann", password: "secret", database: "x" };
    return { ...it, tls, port, options };
  }

  it("the pg driver does not see the difference", async () => {
    const { options, relay, homeHost } = await listening();
    const client = new pg.Client(options);
    await client.connect();
    expect((await client.query("where")).rows).toEqual([{ where: "home" }]);
    expect((await client.query("rows")).rows).toHaveLength(manyRows);
    expect((await client.query("echo", ["1", "x"])).rows).toEqual([{ n: 1, t: "x" }]);
    await expect(client.query("fail")).rejects.toMatchObject({ code: "22012" });
    const hanging = client.query("hang").catch((error: unknown) => error);
    while (homeHost.sessions[0]!.events.at(-1) !== "query hang") await turn();
    const key = client as unknown as { processID: number; secretKey: number };
    expect(key.processID).toBe(101);
    const canceller = net.connect(options.port, options.host);
    canceller.write(serialize.cancel(key.processID, key.secretKey));
    expect(await hanging).toMatchObject({ code: "57014" });
    relay.crash();
    await expect(client.query("stored")).rejects.toMatchObject({ code: "57P03" });
    expect((await client.query("where")).rows).toEqual([{ where: "here" }]);
    relay.isUp = true;
    expect((await client.query("stored")).rows).toEqual([{ where: "home" }]);
    await client.end();
  });

  it("TLS ends where the client is connected, and the home node knows of it", async () => {
    const { options, homeHost, tls } = await listening(true);
    const ssl = { ca: tls!.certificatePem, servername: "localhost" };
    const client = new pg.Client({ ...options, ssl, enableChannelBinding: true } as pg.ClientConfig);
    await client.connect();
    expect((await client.query("where")).rows).toEqual([{ where: "home" }]);
    expect(homeHost.sessions[0]!.start.encrypted).toBe(true);
    await client.end();
  });

  it("psql runs a script over the loss of the home node", async () => {
    const psql = await promisify(execFile)("psql", ["--version"]).catch(() => undefined);
    if (psql === undefined) return;
    const { options, relay, homeHost } = await listening();
    const run = (...commands: string[]) =>
      promisify(execFile)("psql", ["-XAt", ...commands.flatMap((command) => ["-c", command])], {
        env: {
          ...process.env,
          PGHOST: options.host,
          PGPORT: String(options.port),
          PGUSER: options.user,
          PGPASSWORD: options.password,
          PGDATABASE: options.database,
          PGSSLMODE: "disable",
        },
        timeout: 20_000,
      }).then(
        ({ stdout, stderr }) => stdout + stderr,
        (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
      );
    expect(await run("where", "notice", "copy out")).toContain("home");
    expect(await run("copy out")).toBe("0\n1\n2\n");
    const hanging = run("hang", "where");
    while (homeHost.sessions.at(-1)?.events.at(-1) !== "query hang")
      await new Promise((resolve) => setTimeout(resolve, 5));
    relay.crash();
    expect(await hanging).toBe(
      "here\n" +
        "ERROR:  the node that holds the data was lost during this request\n" +
        "DETAIL:  It is not known whether the transaction was committed.\n",
    );
    expect(await run("where")).toBe("here\n");
    relay.isUp = true;
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(await run("where")).toBe("home\n");
  });
});
