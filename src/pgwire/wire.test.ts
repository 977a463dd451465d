/** Over real sockets: the pg driver as client, TLS, and the shape of every message that is sent. */
import { X509Certificate } from "node:crypto";
import net from "node:net";
import { connect as connectTls } from "node:tls";
import pg from "pg";
import { serialize } from "pg-protocol";
import { afterEach, describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { oids } from "../model/type-table.js";
import { Numeric } from "../model/value.js";
import { dial } from "../platform/dial.js";
import { hostClock, hostRandom } from "../platform/host.js";
import type { TlsMaterial } from "../platform/index.js";
import { HostNetwork } from "../platform/network.js";
import { type ClientTrust, checkUser, fingerprintOf, ScramClient } from "../security/index.js";
import { createCa } from "../security/testing.js";
import { createServerCertificate } from "../security/tls.js";
import { makeUserCertificate, userUri } from "../security/user-testing.js";
import { PgWire, type WireLimits } from "./index.js";
import { readInt32 } from "./input.js";
import { backendMessages, type Shape } from "./messages.js";
import { column, FakeHost, type Scripted } from "./testing.js";

const clusterUuid = "0190a8c0-0000-7000-8000-00000000000c";

const types = [
  column("n", oids.int4),
  column("w", oids.int8),
  column("t", oids.text),
  column("d", oids.numeric),
  column("b", oids.bool),
  column("day", oids.date),
];

function script(text: string): Scripted | undefined {
  switch (text) {
    case "types":
      return {
        columns: types,
        rows: [[1, 9007199254740993n, "zwölf", new Numeric(12345, 2), true, 0], Array(6).fill(null)],
      };
    case "many":
      return { columns: [column("n", oids.int4)], rows: Array.from({ length: 5000 }, (_, n) => [n]) };
    case "select $1":
      return {
        columns: [column("a", oids.text), column("b", oids.text)],
        parameters: [25, 25],
        tag: "SELECT 1",
      };
    case "fail":
      return {
        error: new DbError("uniqueViolation", "duplicate", { constraint: "k", table: "t", schema: "s" }),
      };
    case "listen":
      return {
        run: (sink, session) => {
          sink.complete("LISTEN");
          setImmediate(() => session.start.client!.notification(5, "news", "hello"));
        },
      };
    case "hang":
      return { run: (_, session) => new Promise((_resolve, reject) => (session.onCancel = reject)) };
    case "copy in":
      return {
        run: async (sink) => {
          let bytes = 0;
          for await (const piece of sink.copyIn("text", 1)) bytes += piece.length;
          sink.complete(`COPY ${bytes}`);
        },
      };
    default:
      return undefined;
  }
}

const running: PgWire[] = [];
afterEach(async () => {
  for (const wire of running.splice(0)) {
    wire.terminateAll();
    await wire.stopAccepting();
  }
});

async function listen(tls?: TlsMaterial, limits: Partial<WireLimits> = {}, trust?: ClientTrust) {
  const host = new FakeHost(script);
  const wire = new PgWire({
    host,
    clock: hostClock,
    random: hostRandom,
    network: new HostNetwork(),
    address: "127.0.0.1",
    port: 0,
    tls: tls && { current: tls },
    limits,
    trust: () => trust,
    observer: {
      connected: () => {},
      disconnected: () => {},
      authenticationFailed: () => {},
      internalError: (error) => {
        throw error;
      },
    },
  });
  running.push(wire);
  const port = await wire.listen();
  const options = { host: "127.0.0.1", port, user: "ann", password: "secret", database: "x" };
  return { host, wire, port, options };
}

describe("the pg driver", () => {
  it("reads every type it is sent, in text and as parameters", async () => {
    const { options } = await listen();
    const client = new pg.Client(options);
    await client.connect();
    const { rows } = await client.query("types");
    expect(rows[0]).toMatchObject({ n: 1, w: "9007199254740993", t: "zwölf", d: "123.45", b: true });
    expect(rows[1]).toEqual({ n: null, w: null, t: null, d: null, b: null, day: null });
    expect((await client.query("select $1", ["x", null])).rows).toEqual([{ a: "x", b: null }]);
    expect((await client.query({ name: "named", text: "many" })).rows).toHaveLength(5000);
    expect((await client.query({ name: "named", text: "many" })).rows.at(-1)).toEqual({ n: 4999 });
    await expect(client.query("fail")).rejects.toMatchObject({
      code: "23505",
      constraint: "k",
      table: "t",
      schema: "s",
    });
    const heard = new Promise((resolve) => client.once("notification", resolve));
    await client.query("listen");
    expect(await heard).toMatchObject({ channel: "news", payload: "hello", processId: 5 });
    await client.end();
  });

  it("shows a certificate, whose key it has, and resumes nothing", async () => {
    const names = { commonName: "localhost", dns: ["localhost"], addresses: ["127.0.0.1"] };
    const material = await createServerCertificate(names, hostClock, hostRandom);
    const ca = await createCa(clusterUuid, hostClock, hostRandom);
    const certificate = new X509Certificate(ca.certificatePem);
    const authorities = [{ certificate, fingerprint: fingerprintOf(certificate) }];
    const revoked = new Set<string>();
    const trust: ClientTrust = {
      check: (der) =>
        checkUser(new X509Certificate(der), {
          clusterUuid,
          now: hostClock.now(),
          toleranceMs: 0,
          authorities,
          isRevoked: (_, serial) => revoked.has(serial),
        }),
      standing: ({ serial }) => (revoked.has(serial) ? "REVOKED" : undefined),
    };
    const { options, host, wire } = await listen(material, {}, trust);
    host.login = { rule: undefined, method: "certificate", shown: new Set(["certificate"]) };
    const uris = [userUri(clusterUuid, "ann")];
    for (const key of ["ed25519", "p256", "rsa"] as const) {
      const own = await makeUserCertificate(ca, { uris, key });
      const ssl = { rejectUnauthorized: false, cert: own.certificatePem, key: own.keyPem };
      const client = new pg.Client({ ...options, password: undefined, ssl });
      await client.connect();
      const { start } = host.sessions.at(-1)!;
      expect(start).toMatchObject({ tls: { version: "TLSv1.3" }, certificate: { role: "ann" } });
      const ended = new Promise<Error>((resolve) => client.on("error", resolve));
      revoked.add(start.certificate!.serial);
      wire.sweep(trust);
      expect(await ended).toMatchObject({ code: "28000", message: "certificate revoked" });
      const again = new pg.Client({ ...options, password: undefined, ssl });
      await expect(again.connect()).rejects.toMatchObject({
        code: "28000",
        detail: expect.stringMatching(/^REVOKED: /),
      });
    }
    const bare = new pg.Client({ ...options, password: undefined, ssl: { rejectUnauthorized: false } });
    await expect(bare.connect()).rejects.toMatchObject({ code: "28000" });

    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const shake = async (session: Buffer | undefined): Promise<[Buffer | undefined, boolean]> => {
        const raw = net.connect(options.port, "127.0.0.1");
        raw.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
        await new Promise((resolve) => raw.once("data", resolve));
        const secure = connectTls({ socket: raw, rejectUnauthorized: false, maxVersion, session });
        let ticket: Buffer | undefined;
        secure.on("session", (one: Buffer) => (ticket = one));
        await new Promise((resolve) => secure.once("secureConnect", resolve));
        // The server's tickets come behind the handshake.
        await new Promise((resolve) => setTimeout(resolve, 50));
        const reused = secure.isSessionReused();
        secure.destroy();
        return [ticket ?? secure.getSession(), reused];
      };
      const [session] = await shake(undefined);
      expect((await shake(session))[1]).toBe(false);
    }
  });

  it("logs in over TLS with channel binding, and is told of a wrong password", async () => {
    const names = { commonName: "localhost", dns: ["localhost"], addresses: ["127.0.0.1"] };
    const tls = await createServerCertificate(names, hostClock, hostRandom);
    const { options, host } = await listen(tls);
    const ssl = { ca: tls.certificatePem, servername: "localhost" };
    const client = new pg.Client({ ...options, ssl, enableChannelBinding: true } as pg.ClientConfig);
    await client.connect();
    expect((await client.query("many")).rows).toHaveLength(5000);
    expect(host.sessions[0]!.start.encrypted).toBe(true);
    await client.end();
    const wrong = new pg.Client({ ...options, ssl, password: "no" });
    await expect(wrong.connect()).rejects.toMatchObject({ code: "28P01" });
  });

  it("is ended when the server stops", async () => {
    const { options, wire } = await listen();
    const client = new pg.Client(options);
    const ended = new Promise((resolve) => client.on("error", resolve));
    await client.connect();
    await wire.stopAccepting();
    wire.terminateAll();
    expect(await ended).toMatchObject({ code: "57P01" });
    await expect(new pg.Client(options).connect()).rejects.toThrow();
  });
});

/** Walks a body along its shape; answers the position after it. */
function walk(body: Buffer, at: number, shape: Shape): number {
  for (const kind of Object.values(shape)) {
    if (typeof kind === "object") {
      if (kind.repeat === "counted") {
        const count = body.readInt16BE(at);
        at += 2;
        for (let index = 0; index < count; index++) at = walk(body, at, kind.fields);
      } else {
        while (body[at] !== 0) at = walk(body, at, kind.fields);
        at++;
      }
    } else if (kind === "bytes") at = body.length;
    else if (kind === "cstring") at = body.indexOf(0, at) + 1;
    else if (kind === "value") at += 4 + Math.max(0, body.readInt32BE(at));
    else at += { i8: 1, i16: 2, i32: 4 }[kind];
  }
  return at;
}

/** A raw client: sends bytes, collects messages. */
async function rawLogIn(port: number) {
  const { stream } = await dial("127.0.0.1", port, "disable");
  const messages: { tag: string; body: Buffer }[] = [];
  let pending: Buffer = Buffer.alloc(0);
  let wake = () => {};
  stream.on("data", (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 5 && pending.length >= readInt32(pending, 1) + 1) {
      const length = readInt32(pending, 1) + 1;
      messages.push({ tag: String.fromCharCode(pending[0]!), body: pending.subarray(5, length) });
      pending = pending.subarray(length);
    }
    wake();
  });
  const until = async (tag: string) => {
    while (messages.at(-1)?.tag !== tag) await new Promise<void>((resolve) => (wake = resolve));
    return messages;
  };
  stream.write(serialize.startup({ user: "ann", database: "x" }));
  const scram = new ScramClient("secret", hostRandom, undefined);
  await until("R");
  stream.write(serialize.sendSASLInitialResponseMessage(scram.mechanism, scram.first()));
  while (messages.length < 2) await new Promise<void>((resolve) => (wake = resolve));
  stream.write(
    serialize.sendSCRAMClientFinalMessage(await scram.final(messages[1]!.body.toString("latin1", 4))),
  );
  await until("Z");
  return { stream, messages, until };
}

describe("messages", () => {
  it("have the shapes of the table, byte for byte", async () => {
    const { port } = await listen();
    const { stream, messages, until } = await rawLogIn(port);
    stream.write(
      Buffer.concat([
        serialize.query("types"),
        serialize.query("fail"),
        serialize.query(""),
        serialize.parse({ text: "many" }),
        serialize.describe({ type: "S", name: "" }),
        serialize.bind({ binary: true }),
        serialize.describe({ type: "P", name: "" }),
        serialize.execute({ portal: "", rows: 3 }),
        serialize.close({ type: "P", name: "" }),
        serialize.sync(),
        serialize.query("copy in"),
        serialize.copyData(Buffer.from("x")),
        serialize.copyDone(),
        serialize.query("listen"),
      ]),
    );
    await until("A");
    const byTag = new Map(
      Object.values(backendMessages).map(({ tag, body }) => [tag as string, body as Shape]),
    );
    for (const { tag, body } of messages) {
      expect(byTag.has(tag)).toBe(true);
      expect(walk(body, 0, byTag.get(tag)!), `message ${tag}`).toBe(body.length);
    }
    expect(new Set(messages.map(({ tag }) => tag)).size).toBeGreaterThanOrEqual(15);
    stream.end();
  });

  it("stop being sent to a client that does not read, and its memory is bounded", async () => {
    const { port, wire, host } = await listen(undefined, { outputBytesMax: 100_000, inputBytesMax: 50_000 });
    const { stream } = await rawLogIn(port);
    stream.pause();
    const flood = Buffer.concat(Array.from({ length: 2000 }, () => serialize.query("select $1".padEnd(500))));
    stream.write(flood);
    await new Promise((resolve) => setTimeout(resolve, 100));
    stream.destroy();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(wire.connectionCount).toBe(0);
    expect(host.sessions[0]!.events.at(-1)).toBe("close");
  });

  it("are refused when they follow the TLS request in the clear", async () => {
    const names = { commonName: "localhost", dns: ["localhost"], addresses: [] };
    const { port } = await listen(await createServerCertificate(names, hostClock, hostRandom));
    const socket = net.connect(port, "127.0.0.1");
    const received: Buffer[] = [];
    socket.on("data", (chunk) => received.push(chunk));
    socket.write(Buffer.concat([serialize.requestSsl(), serialize.startup({ user: "ann" })]));
    await new Promise((resolve) => socket.on("close", resolve));
    expect(Buffer.concat(received).toString()).toContain("received unencrypted data after SSL request");
  });
});
