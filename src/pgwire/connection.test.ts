/**
 * The protocol against an independent client: messages are made by pg-protocol's serializer, answers read by its parser.
 */
import fc from "fast-check";
import { serialize } from "pg-protocol";
import { Parser } from "pg-protocol/dist/parser.js";
import { describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { oids } from "../model/type-table.js";
import { ScramClient } from "../security/index.js";
import { column, FakeConnection, FakeRandom, fakeWire, type Scripted } from "./testing.js";

type Message = { readonly name: string } & Record<string, unknown>;

/** One line per message: its name and what matters of it. */
function read(bytes: Buffer): string[] {
  const parser = new Parser();
  const lines: string[] = [];
  parser.parse(bytes, (decoded) => {
    const message = decoded as unknown as Message;
    switch (message.name) {
      case "dataRow":
        lines.push(`row ${(message["fields"] as (string | null)[]).join(",")}`);
        return;
      case "rowDescription":
        lines.push(
          `columns ${(message["fields"] as { name: string; dataTypeID: number; format: string }[])
            .map(({ name, dataTypeID, format }) => `${name}:${dataTypeID}${format === "binary" ? "b" : ""}`)
            .join(",")}`,
        );
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
      case "copyData":
        lines.push(`data ${String(message["chunk"])}`);
        return;
      default:
        lines.push(message.name);
    }
  });
  return lines;
}

const ints = [column("n", oids.int4), column("t", oids.text)];
const rows = Array.from({ length: 5 }, (_, index) => [index, `row ${index} é`]);

function script(text: string): Scripted | undefined {
  switch (text) {
    case "select 1":
      return { columns: [column("?column?", oids.int4)], rows: [[1]] };
    case "rows":
      return { columns: ints, rows };
    case "echo":
      return { columns: ints, parameters: [oids.int4, oids.text], tag: "SELECT 1" };
    case "fail":
      return {
        error: new DbError("divisionByZero", "division by zero", { detail: "d", hint: "h", position: 3 }),
      };
    case "bug":
      return {
        run: () => {
          throw new TypeError("undefined is not a function");
        },
      };
    case "deep":
      return {
        run: () => {
          const recurse = (): number => 1 + recurse();
          recurse();
        },
      };
    case "later":
      return { run: async (sink) => sink.complete("LATER") };
    case "hang":
      return { run: (_sink, session) => new Promise((_, reject) => (session.onCancel = reject)) };
    case "copy in":
      return {
        run: async (sink) => {
          const pieces: Buffer[] = [];
          for await (const piece of sink.copyIn("text", 2)) pieces.push(piece);
          sink.complete(`COPY ${Buffer.concat(pieces).toString()}`);
        },
      };
    case "copy refused":
      return {
        run: async (sink) => {
          for await (const _ of sink.copyIn("text", 1)) throw new DbError("badCopyFileFormat", "bad data");
        },
      };
    case "copy out":
      return {
        run: (sink) => {
          sink.copyOutBegin("text", 1);
          sink.copyOutData(Buffer.from("a\n"));
          sink.copyOutData(Buffer.from("b\n"));
          sink.copyOutDone();
          sink.complete("COPY 2");
        },
      };
    case "notice":
      return {
        run: (sink, session) => {
          sink.notice({ severity: "NOTICE", sqlstate: "00000", message: "hear" });
          session.changed.push(["TimeZone", "UTC"]);
          session.status = "T";
          sink.complete("DO");
        },
      };
    case "slow notice":
      return {
        run: async (sink, session) => {
          await turn();
          sink.notice({ severity: "WARNING", sqlstate: "01000", message: "still at it" });
          await new Promise((_, reject) => (session.onCancel = reject));
        },
      };
    case "much":
      return {
        run: async (sink) => {
          const bytes = Buffer.alloc(100_000, 120);
          let waits = 0;
          sink.copyOutBegin("text", 1);
          for (let piece = 0; piece < 30; piece++) {
            if (!sink.copyOutData(bytes)) {
              waits++;
              await sink.drained();
            }
          }
          sink.copyOutDone();
          sink.complete(`WAITS ${waits}`);
        },
      };
    default:
      return undefined;
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Everything a client sends to log in, given the server's deterministic nonce; recorded once. */
let recordedLogin: Buffer | undefined;

async function logIn(limits = {}, settings: Record<string, string> = {}) {
  const server = fakeWire(script, limits);
  const client = new FakeConnection();
  server.wire.accept(client);
  const parts: Buffer[] = [];
  const send = (bytes: Buffer) => {
    parts.push(bytes);
    client.receive(bytes);
  };
  send(serialize.startup({ user: "ann", database: "x", ...settings }) as Buffer);
  expect(read(client.take())).toEqual(["authenticationSASL"]);
  if (recordedLogin !== undefined && Object.keys(settings).length === 0) {
    client.receive(recordedLogin);
  } else {
    const scram = new ScramClient("secret", new FakeRandom(), undefined);
    send(serialize.sendSASLInitialResponseMessage(scram.mechanism, scram.first()) as Buffer);
    const challenge = client.take().toString("latin1", 9);
    send(serialize.sendSCRAMClientFinalMessage(await scram.final(challenge)) as Buffer);
    if (Object.keys(settings).length === 0) recordedLogin = Buffer.concat(parts.slice(1));
  }
  const welcome = client.take();
  const session = server.host.sessions[0];
  return { ...server, client, welcome, session: session! };
}

/** Sends and answers what came back, once promises have settled. */
async function ask(client: FakeConnection, ...messages: (Uint8Array | Buffer)[]): Promise<string[]> {
  client.receive(Buffer.concat(messages));
  await turn();
  return read(client.take());
}

const parse = (name: string, text: string) => serialize.parse({ name, text }) as Buffer;
const bind = (options: object) => serialize.bind(options as never) as Buffer;
const execute = (rows = 0) => serialize.execute({ portal: "", rows }) as Buffer;
const describeS = (name: string) => serialize.describe({ type: "S", name }) as Buffer;
const describeP = () => serialize.describe({ type: "P", name: "" }) as Buffer;
const query = (text: string) => serialize.query(text) as Buffer;
const sync = serialize.sync() as Buffer;
const frame = (tag: string, body: Buffer) => {
  const head = Buffer.alloc(5);
  head.write(tag, "latin1");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};

describe("log-in", () => {
  it("authenticates with SCRAM and tells what a driver needs", async () => {
    const { welcome, session } = await logIn(
      {},
      { application_name: "app", options: "-c work_mem=1MB --search-path=a\\ b" },
    );
    expect(read(welcome.subarray(welcome.indexOf("R\0\0\0\x08\0\0\0\0", 0, "latin1")))).toEqual([
      "authenticationOk",
      "status server_version=15.0 (ScratchBird test)",
      "status client_encoding=UTF8",
      "status DateStyle=ISO, MDY",
      "status integer_datetimes=on",
      "status standard_conforming_strings=on",
      "backendKeyData",
      "ready I",
    ]);
    expect(Object.fromEntries(session.start.settings)).toMatchObject({
      application_name: "app",
      work_mem: "1MB",
      search_path: "a b",
    });
  });

  it("answers a wrong password and an unknown role alike", async () => {
    const transcript = async (user: string, password: string) => {
      const { wire } = fakeWire(script);
      const client = new FakeConnection();
      wire.accept(client);
      client.receive(serialize.startup({ user }) as Buffer);
      client.take();
      const scram = new ScramClient(password, new FakeRandom(), undefined);
      client.receive(serialize.sendSASLInitialResponseMessage(scram.mechanism, scram.first()) as Buffer);
      const challenge = client.take().toString("latin1", 9);
      client.receive(serialize.sendSCRAMClientFinalMessage(await scram.final(challenge)) as Buffer);
      expect(client.ended).toBe(true);
      return [challenge.replace(/s=[^,]*/, "s="), read(client.take()).join().replaceAll(user, "?")];
    };
    const wrong = await transcript("ann", "wrong");
    expect(await transcript("bob", "secret")).toEqual(wrong);
    expect(wrong[1]).toBe('FATAL 28P01 password authentication failed for user "?"');
  });

  it("refuses a database that is not there, after the password", async () => {
    await logIn(); // records the log-in
    const { wire } = fakeWire(script);
    const client = new FakeConnection();
    wire.accept(client);
    client.receive(serialize.startup({ user: "ann", database: "absent" }) as Buffer);
    client.take();
    client.receive(recordedLogin!);
    expect(read(client.take()).slice(-2)).toEqual([
      "authenticationOk",
      'FATAL 3D000 database "absent" does not exist',
    ]);
    expect(client.ended).toBe(true);
  });

  it("answers requests for encryption, newer protocols and cancelling", async () => {
    const { wire } = fakeWire(script);
    const client = new FakeConnection();
    wire.accept(client);
    client.receive(Buffer.from([0, 0, 0, 8, 4, 210, 22, 48]));
    client.receive(serialize.requestSsl() as Buffer);
    expect(client.take().toString()).toBe("NN");
    const newer = Buffer.from(serialize.startup({ user: "ann", "_pq_.shiny": "1" }));
    newer.writeInt32BE(0x00030002, 4);
    client.receive(newer);
    const answer = client.take();
    expect(answer.subarray(0, 24).toString("latin1")).toBe(
      "v\0\0\0\x17\0\0\0\0\0\0\0\x01_pq_.shiny\0".slice(0, 24),
    );
    client.hangUp();

    const canceller = new FakeConnection();
    const busy = await logIn();
    expect(await ask(busy.client, query("hang"))).toEqual([]);
    busy.wire.accept(canceller);
    canceller.receive(serialize.cancel(1, 0x01020304) as Buffer);
    expect(canceller.ended).toBe(true);
    await turn();
    expect(read(busy.client.take())).toEqual([
      "ERROR 57014 canceling statement due to user request",
      "ready I",
    ]);
  });

  it.each([
    [
      "an HTTP request",
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      "FATAL 08P01 invalid length of startup packet",
    ],
    ["a tiny length", Buffer.from([0, 0, 0, 3]), "FATAL 08P01 invalid length of startup packet"],
    [
      "protocol 2",
      Buffer.from([0, 0, 0, 8, 0, 2, 0, 0]),
      "FATAL 0A000 unsupported frontend protocol 2.0: server supports 3.0 to 3.0",
    ],
    [
      "no user",
      Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0]),
      "FATAL 28000 no PostgreSQL user name specified in startup packet",
    ],
    [
      "no terminator",
      Buffer.concat([Buffer.from([0, 0, 0, 15, 0, 3, 0, 0]), Buffer.from("user\0a\0")]),
      "FATAL 08P01 invalid startup packet layout: expected terminator as last byte",
    ],
    [
      "a query before the password",
      Buffer.concat([serialize.startup({ user: "ann" }) as Buffer, query("select 1")]),
      "FATAL 08P01 expected password response, got message type 81",
    ],
  ])("ends the connection on %s", (_, bytes, error) => {
    const { wire } = fakeWire(script);
    const client = new FakeConnection();
    wire.accept(client);
    client.receive(bytes);
    expect(read(client.take()).at(-1)).toBe(error);
    expect(client.ended).toBe(true);
    expect(wire.connectionCount).toBe(0);
  });

  it("gives up on clients that never finish", () => {
    const { wire, clock } = fakeWire(script);
    const silent = new FakeConnection();
    const started = new FakeConnection();
    wire.accept(silent);
    wire.accept(started);
    started.receive(serialize.startup({ user: "ann" }) as Buffer);
    started.take();
    clock.advance(60_000);
    expect([silent.ended, silent.take().length]).toEqual([true, 0]);
    expect(read(started.take())).toEqual(["FATAL 57014 canceling authentication due to timeout"]);
    expect(wire.connectionCount).toBe(0);
  });
});

describe("queries", () => {
  it("answers simple queries with rows, errors and ReadyForQuery", async () => {
    const { client, session } = await logIn();
    expect(await ask(client, query("select 1"))).toEqual([
      "columns ?column?:23",
      "row 1",
      "complete SELECT 1",
      "ready I",
    ]);
    expect(await ask(client, query(""))).toEqual(["emptyQuery", "ready I"]);
    expect(await ask(client, query("fail"))).toEqual(["ERROR 22012 division by zero", "ready I"]);
    expect(await ask(client, query("later"))).toEqual(["complete LATER", "ready I"]);
    expect(await ask(client, query("notice"))).toEqual([
      "notice",
      "complete DO",
      "status TimeZone=UTC",
      "ready T",
    ]);
    expect(session.events).toContain("failed 22012");
  });

  it("sends notices while the statement runs", async () => {
    const { client } = await logIn();
    expect(await ask(client, query("slow notice"))).toEqual(["notice"]);
    client.hangUp();
  });

  it("writes all fields of an error", async () => {
    const { client } = await logIn();
    client.receive(query("fail"));
    const bytes = client.take().toString("latin1");
    expect(bytes).toContain("SERROR\0VERROR\0C22012\0Mdivision by zero\0Dd\0Hh\0P3\0\0");
  });

  it("runs the extended protocol in one write, and portals piece by piece", async () => {
    const { client } = await logIn();
    client.writes = 0;
    const answer = await ask(
      client,
      parse("s", "rows"),
      bind({ statement: "s" }),
      describeP(),
      execute(2),
      execute(2),
      execute(),
      sync,
    );
    expect(answer).toEqual([
      "parseComplete",
      "bindComplete",
      "columns n:23,t:25",
      "row 0,row 0 é",
      "row 1,row 1 é",
      "portalSuspended",
      "row 2,row 2 é",
      "row 3,row 3 é",
      "portalSuspended",
      "row 4,row 4 é",
      "complete SELECT 1",
      "ready I",
    ]);
    expect(client.writes).toBe(1);
  });

  it("describes statements, binds values and formats", async () => {
    const { client } = await logIn();
    const answer = await ask(
      client,
      parse("", "echo"),
      describeS(""),
      bind({ values: ["7", null] }),
      execute(),
      parse("none", "later"),
      describeS("none"),
      sync,
    );
    expect(answer).toEqual([
      "parseComplete",
      "parameterDescription",
      "columns n:23,t:25",
      "bindComplete",
      "row 7,",
      "complete SELECT 1",
      "parseComplete",
      "parameterDescription",
      "noData",
      "ready I",
    ]);
  });

  it("is silent after an error until Sync", async () => {
    const { client, session } = await logIn();
    const answer = await ask(
      client,
      parse("", "nonsense"),
      bind({}),
      execute(),
      query("select 1"),
      sync,
      query("select 1"),
    );
    expect(answer).toEqual([
      'ERROR 42601 syntax error at or near "nonsense"',
      "ready I",
      "columns ?column?:23",
      "row 1",
      "complete SELECT 1",
      "ready I",
    ]);
    expect(session.events.filter((event) => event.startsWith("bind"))).toEqual([]);
  });

  it("keeps order when answers come late", async () => {
    const { client } = await logIn();
    const answer = await ask(
      client,
      query("later"),
      query("select 1"),
      query("later"),
      parse("", "later"),
      bind({}),
      execute(),
      sync,
    );
    expect(answer).toEqual([
      "complete LATER",
      "ready I",
      "columns ?column?:23",
      "row 1",
      "complete SELECT 1",
      "ready I",
      "complete LATER",
      "ready I",
      "parseComplete",
      "bindComplete",
      "complete LATER",
      "ready I",
    ]);
  });

  it("refuses function calls by name and goes on", async () => {
    const { client } = await logIn();
    expect(await ask(client, frame("F", Buffer.alloc(14)), query("select 1"))).toEqual([
      "ERROR 0A000 the function call protocol is not supported yet",
      "ready I",
      "columns ?column?:23",
      "row 1",
      "complete SELECT 1",
      "ready I",
    ]);
  });

  it("tells an internal error as XX000 and hands it to the node", async () => {
    const { client, internalErrors } = await logIn();
    expect(await ask(client, query("bug"))).toEqual(["ERROR XX000 unexpected internal error", "ready I"]);
    expect(internalErrors.map((error) => error.message)).toEqual(["undefined is not a function"]);
    expect(await ask(client, query("deep"))).toEqual(["ERROR 54001 stack depth limit exceeded", "ready I"]);
    expect(internalErrors).toHaveLength(1);
  });
});

describe("COPY", () => {
  const data = (text: string) => serialize.copyData(Buffer.from(text)) as Buffer;
  it("takes data in pieces, over any number of messages", async () => {
    const { client } = await logIn();
    expect(await ask(client, query("copy in"))).toEqual(["copyInResponse"]);
    expect(await ask(client, data("a"), data("bc"))).toEqual([]);
    expect(await ask(client, data("d"), serialize.copyDone() as Buffer)).toEqual([
      "complete COPY abcd",
      "ready I",
    ]);
    expect(
      await ask(client, query("copy in"), data("xy"), serialize.copyDone() as Buffer, query("select 1")),
    ).toEqual([
      "copyInResponse",
      "complete COPY xy",
      "ready I",
      "columns ?column?:23",
      "row 1",
      "complete SELECT 1",
      "ready I",
    ]);
  });

  it("fails when the client fails it, and passes over what is left of a refused one", async () => {
    const { client } = await logIn();
    expect(await ask(client, query("copy in"), serialize.copyFail("changed my mind") as Buffer)).toEqual([
      "copyInResponse",
      "ERROR 57014 COPY from stdin failed: changed my mind",
      "ready I",
    ]);
    expect(await ask(client, query("copy refused"), data("1"))).toEqual([
      "copyInResponse",
      "ERROR 22P04 bad data",
      "ready I",
    ]);
    expect(await ask(client, data("2"), serialize.copyDone() as Buffer, query("select 1"))).toEqual([
      "columns ?column?:23",
      "row 1",
      "complete SELECT 1",
      "ready I",
    ]);
    expect(await ask(client, query("copy in"), query("select 1"))).toEqual([
      "copyInResponse",
      "ERROR 08P01 unexpected message type 0x51 during COPY from stdin",
      "ready I",
    ]);
  });

  it("sends data out and heeds a slow client", async () => {
    const { client } = await logIn();
    expect(await ask(client, query("copy out"))).toEqual([
      "copyOutResponse",
      "data a\n",
      "data b\n",
      "copyDone",
      "complete COPY 2",
      "ready I",
    ]);
    client.stalled = true;
    client.receive(query("much"));
    await turn();
    const before = client.take().length;
    expect(before).toBeGreaterThan(1024 * 1024);
    expect(before).toBeLessThan(1024 * 1024 + 300_000);
    client.unstall();
    await turn();
    expect(read(client.take()).slice(-2)).toEqual(["complete WAITS 1", "ready I"]);
  });

  it("ends when the client is gone", async () => {
    const { client, session } = await logIn();
    await ask(client, query("copy in"), data("a"));
    client.hangUp();
    await turn();
    expect(session.events.slice(-2)).toEqual(["cancel 08006", "close"]);
  });
});

describe("hostile input", () => {
  it.each([
    ["an unknown message type", Buffer.from("!\0\0\0\x04"), "FATAL 08P01 invalid frontend message type 33"],
    ["a length below 4", Buffer.from("Q\0\0\0\x03"), "FATAL 08P01 invalid message length"],
    ["a negative length", Buffer.from([81, 255, 255, 255, 255]), "FATAL 08P01 invalid message length"],
    ["a length above 1 GiB", Buffer.from([81, 0x7f, 255, 255, 255]), "FATAL 08P01 invalid message length"],
    ["a large Sync", Buffer.from([83, 0, 0, 0x40, 0]), "FATAL 08P01 invalid message length"],
    [
      "a password when none is due",
      frame("p", Buffer.from("x\0")),
      "FATAL 08P01 unexpected message type 112",
    ],
  ])("ends the connection on %s", async (_, bytes, error) => {
    const { client, session, wire } = await logIn();
    expect(await ask(client, bytes)).toEqual([error]);
    expect(client.ended).toBe(true);
    expect(session.events).toEqual(["close"]);
    expect(wire.connectionCount).toBe(0);
  });

  it.each([
    [
      "text that is no UTF-8",
      frame("Q", Buffer.from([0x61, 0xff, 0])),
      'ERROR 22021 invalid byte sequence for encoding "UTF8": 0xff',
    ],
    ["text cut off", frame("Q", Buffer.from("abc")), "ERROR 08P01 invalid string in message"],
    ["bytes after the text", frame("Q", Buffer.from("abc\0d")), "ERROR 08P01 invalid message format"],
  ])("answers a query with %s", async (_, bytes, error) => {
    const { client } = await logIn();
    expect(await ask(client, bytes)).toEqual([error, "ready I"]);
  });

  it.each([
    [
      "a Bind that announces more than it has",
      frame("B", Buffer.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 1])),
      "ERROR 08P01 insufficient data left in message",
    ],
    [
      "65535 parameters in no bytes",
      frame("B", Buffer.from([0, 0, 0, 0, 255, 255])),
      "ERROR 08P01 insufficient data left in message",
    ],
    [
      "an unknown format",
      frame("B", Buffer.from([0, 0, 0, 1, 0, 7, 0, 0, 0, 0])),
      "ERROR 22023 unsupported format code: 7",
    ],
    [
      "Describe of nothing known",
      frame("D", Buffer.from("Zx\0")),
      "ERROR 08P01 invalid DESCRIBE message subtype 90",
    ],
    [
      "Close of nothing known",
      frame("C", Buffer.from("Zx\0")),
      "ERROR 08P01 invalid CLOSE message subtype 90",
    ],
  ])("answers %s and waits for Sync", async (_, bytes, error) => {
    const { client } = await logIn();
    expect(await ask(client, bytes, query("select 1"), sync)).toEqual([error, "ready I"]);
  });

  it("passes over a message beyond the limit without keeping it", async () => {
    const { client } = await logIn({ messageBytesMax: 1000 });
    client.receive(query("x".repeat(5000)).subarray(0, 3000));
    expect(client.take().length).toBe(0);
    expect(await ask(client, query("x".repeat(5000)).subarray(3000), query("select 1"))).toEqual([
      "ERROR 54000 query message of 5001 bytes is too long",
      "ready I",
      "columns ?column?:23",
      "row 1",
      "complete SELECT 1",
      "ready I",
    ]);
    expect(await ask(client, parse("", "y".repeat(2000)), bind({}), sync)).toEqual([
      "ERROR 54000 parse message of 2004 bytes is too long",
      "ready I",
    ]);
  });

  it("pauses a client that sends on while its query runs", async () => {
    const { client, session } = await logIn({ inputBytesMax: 10_000 });
    await ask(client, query("hang"));
    client.receive(Buffer.concat(Array.from({ length: 20 }, () => query("x".repeat(1000)))));
    expect(client.paused).toBe(true);
    session.onCancel(new DbError("queryCanceled", "cancelled"));
    await turn();
    expect(client.paused).toBe(false);
    expect(read(client.take()).filter((line) => line === "ready I")).toHaveLength(21);
  });

  it("answers no more to a client that does not read", async () => {
    const { client } = await logIn({ outputBytesMax: 100_000, inputBytesMax: 10_000 });
    client.stalled = true;
    const parts = Array.from({ length: 20_000 }, () => query("rows"));
    client.receive(Buffer.concat(parts));
    await turn();
    expect(client.paused).toBe(true);
    const first = client.take();
    expect(first.length).toBeLessThan(300_000);
    client.unstall();
    await turn();
    expect(client.paused).toBe(false);
    const all = read(Buffer.concat([first, client.take()]));
    expect(all.filter((line) => line === "ready I")).toHaveLength(20_000);
  });

  it("ends connections from outside, idle or busy", async () => {
    const idle = await logIn();
    idle.session.start.client!.terminate(new DbError("adminShutdown", "terminating"));
    expect(read(idle.client.take())).toEqual(["FATAL 57P01 terminating"]);
    const busy = await logIn();
    await ask(busy.client, query("hang"));
    busy.wire.terminateAll();
    await turn();
    expect(read(busy.client.take())).toEqual([
      "FATAL 57P01 terminating connection due to administrator command",
    ]);
    expect(busy.session.events.slice(-2)).toEqual(["cancel 57P01", "close"]);
  });

  it("delivers notifications when idle, else before ReadyForQuery", async () => {
    const { client, session } = await logIn();
    session.start.client!.notification(7, "c", "now");
    expect(read(client.take())).toEqual(["notification"]);
    await ask(client, query("hang"));
    session.start.client!.notification(7, "c", "later");
    expect(client.take().length).toBe(0);
    session.onCancel(new DbError("queryCanceled", "cancelled"));
    await turn();
    expect(read(client.take())).toEqual(["ERROR 57014 cancelled", "notification", "ready I"]);
  });
});

describe("pieces", () => {
  const exchange = () =>
    Buffer.concat([
      query("select 1"),
      parse("s", "rows"),
      bind({ statement: "s", binary: true }),
      describeP(),
      execute(2),
      execute(),
      sync,
      parse("", "echo"),
      bind({ values: ["12", "zwölf"] }),
      execute(),
      serialize.close({ type: "S", name: "s" }) as Buffer,
      serialize.flush() as Buffer,
      sync,
      query("fail"),
      parse("", "nonsense"),
      execute(),
      sync,
      query("copy out"),
      serialize.end() as Buffer,
    ]);

  it("means the same wherever the stream is cut", async () => {
    const whole = await logIn();
    whole.client.receive(exchange());
    await turn();
    const expected = Buffer.concat([whole.welcome, whole.client.take()]);
    expect(whole.client.ended).toBe(true);
    const stream = Buffer.concat([
      serialize.startup({ user: "ann", database: "x" }) as Buffer,
      recordedLogin!,
      exchange(),
    ]);
    const replay = async (pieces: Buffer[]) => {
      const { wire } = fakeWire(script);
      const client = new FakeConnection();
      wire.accept(client);
      for (const piece of pieces) client.receive(piece);
      const sent = client.take();
      return sent.subarray(sent.length - expected.length);
    };
    for (let cut = 1; cut < stream.length; cut++) {
      const answer = await replay([Buffer.from(stream.subarray(0, cut)), Buffer.from(stream.subarray(cut))]);
      if (!answer.equals(expected)) expect.fail(`differs when cut at ${cut}`);
    }
    const bytes = Array.from(stream, (byte) => Buffer.from([byte]));
    expect((await replay(bytes)).equals(expected)).toBe(true);
  });

  it("survives any bytes: the client is answered or cut off, and nothing is thrown", async () => {
    await logIn(); // records the log-in
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(fc.constantFrom(..."QPBDECHSFdcfpX"), fc.uint8Array({ maxLength: 40 }))
        .map(([tag, body]) => frame(tag, Buffer.from(body))),
      fc
        .tuple(fc.constantFrom(..."QPBDECHSFdcfpX"), fc.uint8Array({ maxLength: 20 }), fc.integer())
        .map(([tag, body, length]) => {
          const bytes = frame(tag, Buffer.from(body));
          bytes.writeInt32BE(length | 0, 1);
          return bytes;
        }),
      fc.constantFrom(query("select 1"), parse("", "rows"), bind({}), execute(1), sync),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(junk, { maxLength: 12 }), fc.boolean(), async (messages, loggedIn) => {
        const { wire, internalErrors, host } = fakeWire(script, { messageBytesMax: 100_000 });
        const client = new FakeConnection();
        wire.accept(client);
        if (loggedIn) {
          client.receive(serialize.startup({ user: "ann", database: "x" }) as Buffer);
          client.receive(recordedLogin!);
          expect(host.sessions).toHaveLength(1);
        }
        for (const message of messages) client.receive(message);
        await turn();
        client.hangUp();
        expect(wire.connectionCount).toBe(0);
        expect(internalErrors).toEqual([]);
        if (loggedIn) expect(host.sessions[0]!.events.filter((event) => event === "close")).toHaveLength(1);
        expect(client.take().length).toBeLessThan(100_000);
      }),
      { numRuns: 300 },
    );
  });
});
