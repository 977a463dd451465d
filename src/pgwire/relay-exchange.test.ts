/** What is found in a relayed stream, wherever it is cut; the shapes of requests that drivers send. */
import fc from "fast-check";
import { serialize } from "pg-protocol";
import { describe, expect, it } from "vitest";
import { BufferPool, Output } from "./output.js";
import {
  BlockEffect,
  BlockWords,
  Exchange,
  Fate,
  holdBytesMax,
  MessageCutter,
  type MessageVisitor,
  type Settings,
  writeSessionState,
} from "./relay-exchange.js";
import { FakeConnection } from "./testing.js";

const frame = (tag: string, body: Buffer | string = ""): Buffer => {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.write(tag, "latin1");
  head.writeInt32BE(bytes.length + 4, 1);
  return Buffer.concat([head, bytes]);
};
const query = (text: string) => serialize.query(text) as Buffer;
const parse = (text: string, name = "") => frame("P", `${name}\0${text}\0\0\0`);
const bind = (statement = "") => serialize.bind({ statement }) as Buffer;
const execute = serialize.execute({ portal: "", rows: 0 }) as Buffer;
const sync = serialize.sync() as Buffer;
const copyData = (text: string) => serialize.copyData(Buffer.from(text)) as Buffer;
const copyDone = serialize.copyDone() as Buffer;
const ready = (status = "I") => frame("Z", status);
const complete = (tag: string) => frame("C", `${tag}\0`);
const copyIn = frame("G", Buffer.from([0, 0, 0]));
const error = (severity = "ERROR") => frame("E", `S${severity}\0V${severity}\0C57014\0Mm\0\0`);
const state = (settings: Settings | undefined): Buffer => {
  const connection = new FakeConnection();
  const output = new Output(connection, new BufferPool(), 1000);
  writeSessionState(output, settings);
  output.flush();
  return connection.take();
};

/** An exchange fed with both directions in pieces, and what it passed on. */
class Fed {
  readonly told = new Map<string, string>();
  readonly exchange = new Exchange(this.told);
  readonly toHome: Buffer[] = [];
  readonly toClient: Buffer[] = [];
  client(...messages: Buffer[]): this {
    const { client, fromClient } = this.exchange;
    for (const bytes of messages)
      client.feed(bytes, fromClient, (passed) => this.toHome.push(Buffer.from(passed)));
    return this;
  }
  server(...messages: Buffer[]): this {
    const { server, fromServer } = this.exchange;
    for (const bytes of messages)
      server.feed(bytes, fromServer, (passed) => this.toClient.push(Buffer.from(passed)));
    return this;
  }
  get facts() {
    const { exchange } = this;
    return {
      pending: exchange.pendingRequests(),
      count: exchange.pending,
      awaited: exchange.isAwaited,
      open: exchange.isOpen,
      status: exchange.status,
      carried: exchange.carried,
      ended: exchange.wasEnded,
      left: exchange.hasLeft,
      confused: exchange.isConfused,
      newStatements: exchange.hasNewStatements,
      told: [...this.told],
    };
  }
}
/** Inside a block that was answered. */
const inBlock = () => new Fed().client(query("begin")).server(complete("BEGIN"), ready("T"));

/** Cuts at these places (any numbers). */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
}

const places = fc.array(fc.nat(), { maxLength: 40 });
const statementText = fc.constantFrom(
  "select 1",
  "COMMIT",
  "commit; select 1",
  "rollback",
  "abort;",
  "rollback; insert into t values (1)",
  "begin",
  "select recommit, endless from t",
  "x".repeat(holdBytesMax + 500),
  `${" ".repeat(holdBytesMax)}commit`,
  "",
);
const clientMessage = fc.oneof(
  statementText.map(query),
  fc
    .tuple(statementText, fc.constantFrom("", "s1", "s2", "n".repeat(80)))
    .map(([text, name]) => parse(text, name)),
  fc.constantFrom("", "s1", "s2").map(bind),
  fc.constantFrom(
    execute,
    sync,
    copyDone,
    copyData("abc"),
    copyData("y".repeat(holdBytesMax * 2)),
    serialize.describe({ type: "P", name: "" }) as Buffer,
    serialize.close({ type: "S", name: "s1" }) as Buffer,
    serialize.flush() as Buffer,
    serialize.copyFail("no") as Buffer,
    frame("F", "abcd"),
  ),
);
const serverMessage = fc.oneof(
  fc.constantFrom("I", "T", "E").map((status) => ready(status)),
  fc.constantFrom(
    complete("SELECT 1"),
    copyIn,
    error(),
    frame("1"),
    frame("D", "row"),
    frame("D", "z".repeat(holdBytesMax + 1)),
    frame("S", "TimeZone\0UTC\0"),
    frame("S", "application_name\0x\0"),
    frame("N", "SNOTICE\0\0"),
    state([["search_path", "a, b"]]),
    state(undefined),
    state([]),
  ),
);

describe("an exchange", () => {
  it("is the same wherever it is cut", () => {
    const part = fc.oneof(
      { weight: 3, arbitrary: clientMessage.map((bytes) => ({ from: "client" as const, bytes })) },
      { weight: 2, arbitrary: serverMessage.map((bytes) => ({ from: "server" as const, bytes })) },
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 25 }), places, (parts, cuts) => {
        const whole = new Fed();
        const pieces = new Fed();
        for (const { from, bytes } of parts) {
          whole[from](bytes);
          pieces[from](...cut(bytes, cuts));
        }
        expect(pieces.facts).toEqual(whole.facts);
        expect(Buffer.concat(pieces.toHome).equals(Buffer.concat(whole.toHome))).toBe(true);
        expect(Buffer.concat(pieces.toClient).equals(Buffer.concat(whole.toClient))).toBe(true);
        const sent = Buffer.concat(parts.filter(({ from }) => from === "client").map(({ bytes }) => bytes));
        expect(Buffer.concat(whole.toHome).equals(sent)).toBe(true);
      }),
      { numRuns: 400 },
    );
  });

  it("is the same when messages arrive many at a time", () => {
    fc.assert(
      fc.property(fc.array(clientMessage, { maxLength: 20 }), places, (messages, cuts) => {
        const whole = new Fed().client(...messages);
        const pieces = new Fed().client(...cut(Buffer.concat(messages), cuts));
        expect(pieces.facts).toEqual(whole.facts);
      }),
    );
  });

  it("counts what is to be answered", () => {
    const fed = new Fed();
    expect(fed.facts).toMatchObject({ awaited: false, status: "I" });
    fed.client(query("select 1"), query("select 2"));
    expect(fed.facts).toMatchObject({ awaited: true, count: 2 });
    fed.server(complete("SELECT 1"), ready(), complete("SELECT 1"), ready());
    expect(fed.facts).toMatchObject({ awaited: false, count: 0, confused: false });
    fed.client(parse("select 1"), bind(), execute);
    expect(fed.facts).toMatchObject({ awaited: true, open: true, count: 0 });
    fed.client(sync);
    expect(fed.facts).toMatchObject({ open: false, count: 1 });
    fed.server(frame("1"), frame("2"), error(), ready("T"));
    expect(fed.facts).toMatchObject({ awaited: false, status: "T", confused: false });
    fed.server(error("FATAL"));
    expect(fed.facts).toMatchObject({ ended: true });
  });

  it("passes whole messages only, but for large ones", () => {
    const fed = new Fed();
    const row = frame("D", "0123456789");
    fed.server(row.subarray(0, 7));
    expect(fed.toClient).toEqual([]);
    fed.server(Buffer.concat([row.subarray(7), row.subarray(0, 3)]));
    expect(Buffer.concat(fed.toClient)).toEqual(row);
    const large = new Fed();
    large.server(frame("D", "x".repeat(100_000)).subarray(0, 50_000));
    expect(Buffer.concat(large.toClient).length).toBe(50_000);
    expect(large.exchange.server.isInside).toBe(true);
  });

  it("keeps what the nodes say between themselves from the client", () => {
    const fed = new Fed();
    const settings: Settings = [
      ["search_path", "a, b"],
      ["my.text", "zwölf"],
    ];
    fed.client(query("set x")).server(Buffer.concat([complete("SET"), state(settings), ready()]));
    expect(fed.facts.carried).toEqual(settings);
    expect(Buffer.concat(fed.toClient)).toEqual(Buffer.concat([complete("SET"), ready()]));
    fed.server(state([["my.text", "x".repeat(20_000)]]));
    expect(fed.facts.carried).toBeUndefined();
  });

  it("follows what the client is told", () => {
    const fed = new Fed().server(frame("S", "TimeZone\0UTC\0"), frame("S", "TimeZone\0CET\0"));
    expect(fed.facts.told).toEqual([["TimeZone", "CET"]]);
  });
});

describe("what may have been committed", () => {
  const may = (fed: Fed) => fed.exchange.pendingRequests().map((one) => one.mayHaveCommitted);
  const ends = (fed: Fed) => fed.exchange.pendingRequests().map((one) => one.endsBlock);

  it("is every statement outside a block", () => {
    expect(may(new Fed().client(query("select 1")))).toEqual([true]);
    expect(may(new Fed().client(parse("x"), bind(), execute))).toEqual([true]);
    expect(may(new Fed().client(parse("x"), bind(), sync))).toEqual([false]);
    expect(may(new Fed().client(query("select 1").subarray(0, 9)))).toEqual([]);
  });

  it("is inside one only what ends it", () => {
    expect(may(inBlock().client(query("insert")))).toEqual([false]);
    expect(may(inBlock().client(query(" Commit")))).toEqual([true]);
    expect(may(inBlock().client(query("select 1; END")))).toEqual([true]);
    expect(may(inBlock().client(query("rollback")))).toEqual([false]);
    expect(ends(inBlock().client(query("rollback")))).toEqual([true]);
    expect(may(inBlock().client(query("rollback; insert")))).toEqual([true]);
    expect(may(inBlock().client(query("insert"), query("insert")))).toEqual([false, true]);
    expect(may(inBlock().client(parse("commit"), bind(), execute))).toEqual([true]);
    expect(may(inBlock().client(parse("commit"), bind(), sync))).toEqual([false]);
    expect(may(inBlock().client(parse("rollback"), bind(), execute, sync))).toEqual([false]);
    expect(
      may(inBlock().client(parse("rollback"), bind(), execute, parse("insert"), bind(), execute, sync)),
    ).toEqual([true]);
    expect(may(inBlock().client(parse("insert"), bind(), execute, sync))).toEqual([false]);
  });

  it("is known of named statements", () => {
    const named = new Fed().client(parse("commit", "c"), parse("insert", "i"), sync).server(ready("T"));
    expect(may(named.client(bind("i"), execute))).toEqual([false]);
    expect(may(named.client(bind("c"), execute))).toEqual([true]);
    named.client(sync).server(ready("T"));
    named.client(parse("select 1", "c"), bind("c"), execute);
    expect(may(named)).toEqual([false]);
    const long = new Fed().client(parse("commit", "n".repeat(100)), sync).server(ready("T"));
    expect(may(long.client(bind("x"), execute))).toEqual([true]);
  });

  it("is not a COPY whose end was not sent", () => {
    const fed = new Fed().client(query("copy")).server(copyIn);
    expect(may(fed)).toEqual([false]);
    expect(may(fed.client(copyData("1"), copyDone))).toEqual([true]);
    const second = new Fed().client(query("insert; copy")).server(complete("INSERT"), copyIn);
    expect(may(second)).toEqual([true]);
  });

  it("knows statements that were made by a request that was not answered to its end", () => {
    const fed = new Fed().client(parse("x", "s"), bind("s"), execute, sync);
    expect(fed.facts.newStatements).toBe(false);
    expect(fed.server(frame("1")).facts.newStatements).toBe(true);
    expect(fed.server(ready()).facts.newStatements).toBe(false);
  });
});

describe("COPY FROM STDIN", () => {
  it("has one answer in the simple protocol, whatever was sent ahead", () => {
    const slow = new Fed().client(query("copy")).server(copyIn).client(copyData("1"), sync, copyDone);
    expect(slow.facts).toMatchObject({ count: 1, confused: false });
    const ahead = new Fed().client(
      query("copy"),
      copyData("1"),
      copyDone,
      query("copy"),
      copyDone,
      query("x"),
    );
    ahead.server(copyIn, complete("COPY"), ready(), copyIn, complete("COPY"), ready());
    expect(ahead.facts).toMatchObject({ count: 1, confused: false });
  });

  it("has one answer in the extended protocol: a Sync before the end of the data has none", () => {
    const psycopg = new Fed()
      .client(parse("copy"), bind(), execute, sync)
      .server(frame("1"), frame("2"), copyIn);
    expect(psycopg.facts).toMatchObject({ count: 0, awaited: true, open: true });
    psycopg.client(copyData("1"), copyDone, sync);
    expect(psycopg.facts).toMatchObject({ count: 1, awaited: true });
    psycopg.server(complete("COPY"), ready());
    expect(psycopg.facts).toMatchObject({ count: 0, awaited: false, confused: false });
    const ahead = new Fed().client(parse("copy"), bind(), execute, sync, copyData("1"), copyDone, sync);
    ahead.server(copyIn);
    expect(ahead.facts).toMatchObject({ count: 1, confused: false });
    const flushed = new Fed().client(parse("copy"), bind(), execute).server(copyIn).client(copyDone, sync);
    expect(flushed.facts).toMatchObject({ count: 1, confused: false });
  });

  it("that fails leaves nothing behind", () => {
    const fed = new Fed().client(query("copy")).server(copyIn).client(copyData("1"));
    fed.server(error(), ready()).client(copyData("2"), copyDone);
    expect(fed.facts).toMatchObject({ awaited: false, confused: false });
    fed.client(parse("copy"), bind(), execute, sync).server(copyIn);
    expect(fed.facts).toMatchObject({ count: 0, awaited: true, confused: false });
  });
});

describe("what nobody can count", () => {
  it.each([
    ["a Query behind a Parse", [parse("x"), query("y")], []],
    ["a Query inside COPY", [query("copy"), query("y")], [copyIn]],
    ["a Parse inside COPY", [query("copy"), parse("x"), sync], [copyIn]],
    ["an answer too many", [], [ready()]],
  ])("is %s", (_, sent, received) => {
    expect(new Fed().client(...sent).server(...received).facts.confused).toBe(true);
  });

  it("is a stream with a length that no message has", () => {
    const fed = new Fed().client(query("x"), Buffer.from("Q\0\0\0\x03and so on"), Buffer.from("more"));
    expect(fed.exchange.client.isBroken).toBe(true);
    expect(Buffer.concat(fed.toHome).toString()).toContain("and so onmore");
  });
});

describe("MessageCutter", () => {
  it("gives back what its visitor leaves", () => {
    const seen: number[] = [];
    const visitor: MessageVisitor = {
      begin: (tag) => tag !== 81,
      body: () => {},
      end: (tag) => {
        seen.push(tag);
        return tag === 83 ? Fate.last : Fate.withhold;
      },
    };
    const passed: Buffer[] = [];
    const feed = (bytes: Buffer) => cutter.feed(bytes, visitor, (piece) => passed.push(piece));
    const cutter = new MessageCutter();
    expect(feed(Buffer.concat([execute, query("x"), sync]))).toEqual(Buffer.concat([query("x"), sync]));
    expect(feed(Buffer.concat([execute, sync, query("x")]))).toEqual(query("x"));
    expect(feed(sync.subarray(0, 4))).toHaveLength(0);
    expect(feed(Buffer.concat([sync.subarray(4), query("x")]))).toEqual(query("x"));
    expect(passed).toEqual([]);
    expect(seen).toEqual([69, 69, 83, 83]);
  });
});

describe("BlockWords", () => {
  const effectOf = (text: string): BlockEffect => {
    const words = new BlockWords();
    const bytes = Buffer.from(`${text}\0ignored commit`);
    expect(words.read(bytes, 0, bytes.length)).toBe(Buffer.byteLength(text) + 1);
    return words.effect;
  };
  it.each([
    ["commit", BlockEffect.commits],
    ["/* */COMMIT;", BlockEffect.commits],
    ["case when x then y end", BlockEffect.commits],
    ["committed commit_ _commit commit1 écommit x.commitx", BlockEffect.none],
    ["ends the weekend", BlockEffect.none],
    ["abort", BlockEffect.rollsBack],
    ["ROLLBACK;", BlockEffect.rollsBack],
    ["rollback; select", BlockEffect.commits],
    ["rollback to s", BlockEffect.rollsBack],
    ["", BlockEffect.none],
  ])("finds in %j", (text, effect) => expect(effectOf(text)).toBe(effect));
});
