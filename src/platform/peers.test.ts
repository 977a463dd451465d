/** Streams between nodes over real sockets: who is let in, who is not, and what cannot be got around. */
import { createHash, X509Certificate } from "node:crypto";
import net from "node:net";
import tls from "node:tls";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import xxhash, { type XXHashAPI } from "xxhash-wasm";
import type { DbError } from "../base/errors.js";
import type { PeerCredentials, PeerRefusal, PeerStream } from "../rpc/contract.js";
import { acceptStreams, openStream, type PeerEvent, PeerLinks } from "../rpc/index.js";
import {
  checkPeer,
  fingerprintOf,
  type KeyAndCertificate,
  nodeRequest,
  type PeerContext,
} from "../security/index.js";
import { createCa, issueNodeCertificate, resigned } from "../security/testing.js";
import { hostClock, hostRandom } from "./host.js";
import { HostPeerNetwork, type HostPeerOptions } from "./peers.js";

const clusterUuid = "0190a8c0-0000-7000-8000-00000000000c";
const uuidOf = (number: number): string => `0190a8c0-0000-7000-8000-00000000000${number}`;
const loopback = "127.0.0.1";
const dayMs = 86_400_000;

interface Identity {
  readonly uuid: string;
  readonly leafPem: string;
  /** What it shows: its certificate and its CA's. */
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly fingerprint: string;
  readonly serial: string;
}

async function identity(
  ca: KeyAndCertificate,
  uuid: string,
  cluster = clusterUuid,
  clock = hostClock,
): Promise<Identity> {
  const subject = { clusterUuid: cluster, nodeUuid: uuid, nodeName: `node-${uuid.slice(-1)}` };
  const { requestPem, keyPem } = nodeRequest(subject);
  const leafPem = await issueNodeCertificate(ca, requestPem, subject, clock, hostRandom);
  const certificate = new X509Certificate(leafPem);
  return {
    uuid,
    leafPem,
    certificatePem: leafPem + ca.certificatePem,
    keyPem,
    fingerprint: fingerprintOf(certificate),
    serial: certificate.serialNumber.toLowerCase(),
  };
}

/** CA certificates have a name of their own; another cluster's have theirs. */
let ca: KeyAndCertificate;
let a: Identity;
let b: Identity;
let hash: XXHashAPI;
beforeAll(async () => {
  hash = await xxhash();
  ca = await createCa(clusterUuid, hostClock, hostRandom);
  a = await identity(ca, uuidOf(1));
  b = await identity(ca, uuidOf(2));
});

interface Trust {
  readonly now?: number;
  readonly revoked?: readonly string[];
  readonly removed?: readonly string[];
  readonly members?: readonly Identity[];
}

function credentials(own: Identity | undefined, trust: Trust = {}): PeerCredentials {
  const members = trust.members ?? [a, b];
  const context: PeerContext = {
    clusterUuid,
    now: trust.now ?? hostClock.now(),
    toleranceMs: 5 * 60_000,
    authorities: [{ certificate: new X509Certificate(ca.certificatePem), fingerprint: "ca" }],
    isRevoked: (_by, serial) => trust.revoked?.includes(serial) ?? false,
    member: (uuid) => {
      const fingerprints = members.filter((one) => one.uuid === uuid).map((one) => one.fingerprint);
      return fingerprints.length === 0
        ? undefined
        : { fingerprints, removed: trust.removed?.includes(uuid) ?? false };
    },
  };
  return {
    own,
    check: (der) => {
      const certificate = new X509Certificate(der);
      const verdict = checkPeer(certificate, context);
      if ("condition" in verdict) return verdict;
      const certFingerprint = fingerprintOf(certificate);
      const newest = members.find((one) => one.uuid === verdict.node)!.fingerprint;
      return { ...verdict, certFingerprint, isFormer: certFingerprint !== newest };
    },
  };
}

/** A network with what it refused, and the streams it accepted. */
class Side {
  readonly network: HostPeerNetwork;
  readonly refusals: PeerRefusal[] = [];
  readonly accepted: PeerStream[] = [];
  #waiting: ((stream: PeerStream) => void)[] = [];
  address = "";
  port = 0;

  constructor(own: Identity | undefined, trust: Trust = {}, options: HostPeerOptions = {}) {
    this.network = new HostPeerNetwork(options);
    this.network.use(credentials(own, trust));
    this.network.onRefusal((refusal) => this.refusals.push(refusal));
    opened.push(this.network);
  }
  get conditions(): string[] {
    return this.refusals.map(({ condition }) => condition);
  }
  async listen(strangers = false): Promise<this> {
    const { port } = await this.network.listen(loopback, 0, strangers, (stream) => {
      this.accepted.push(stream);
      this.#waiting.shift()?.(stream);
    });
    this.port = port;
    this.address = `${loopback}:${port}`;
    return this;
  }
  next(): Promise<PeerStream> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
const opened: HostPeerNetwork[] = [];
afterEach(() => {
  for (const network of opened.splice(0)) network.close();
});

const closed = (stream: PeerStream): Promise<void> => new Promise((resolve) => stream.onClose(resolve));
const failureOf = (promise: Promise<unknown>): Promise<DbError> =>
  promise.then(
    () => expect.fail("it went well"),
    (error: DbError) => error,
  );
const soon = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what(); tries++) {
    if (tries > 500) throw new Error(`never: ${what}`);
    await soon(10);
  }
}
/** Everything that comes, and what comes at least. */
function reading(stream: PeerStream): (length: number) => Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.onData((chunk) => chunks.push(Buffer.from(chunk)));
  return async (length) => {
    await until(() => Buffer.concat(chunks).length >= length);
    return Buffer.concat(chunks);
  };
}

describe("two members", () => {
  it("know each other, and hand over bytes in order both ways", async () => {
    const server = await new Side(a).listen();
    const client = new Side(b);
    const arriving = server.next();
    const out = await client.network.dial({ address: server.address, node: a.uuid }, 5_000);
    const inside = await arriving;
    expect(out.peer).toEqual({ kind: "member", node: a.uuid, certFingerprint: a.fingerprint });
    expect(inside.peer).toEqual({ kind: "member", node: b.uuid, certFingerprint: b.fingerprint });
    expect(inside.remoteAddress).toMatch(/^127\.0\.0\.1:\d+$/);

    const there = reading(inside);
    const here = reading(out);
    const scratch = Buffer.alloc(3000);
    for (let at = 0; at < 200; at++) out.write(scratch.fill(at)); // the memory is ours again at once
    inside.write(Buffer.from("hello"));
    const got = await there(600_000);
    for (let at = 0; at < 200; at++) expect(got[at * 3000]).toBe(at);
    expect((await here(5)).toString()).toBe("hello");
    await out.drained();
    expect(out.unsent).toBe(0);

    const gone = closed(inside);
    out.end();
    await gone;
    expect(server.refusals).toEqual([]);
    expect(client.refusals).toEqual([]);
  });

  it("lose nothing that comes together with the verdict", async () => {
    const server = tls.createServer({ cert: a.certificatePem, key: a.keyPem, requestCert: true });
    server.on("secureConnection", (socket) => socket.write(Buffer.from("\0first words")));
    server.on("tlsClientError", (error) => expect.fail(error.message));
    await new Promise<void>((resolve) => server.listen({ port: 0, host: loopback }, resolve));
    server.setSecureContext({ cert: a.certificatePem, key: a.keyPem, ca: ca.certificatePem });
    const { port } = server.address() as net.AddressInfo;
    const stream = await new Side(b).network.dial({ address: `${loopback}:${port}`, node: a.uuid }, 5_000);
    await soon(20);
    expect((await reading(stream)(11)).toString()).toBe("first words");
    stream.destroy();
    server.close();
  });

  it("wait for each other: a peer that does not read is not written to without end", async () => {
    const server = await new Side(a).listen();
    const arriving = server.next();
    const out = await new Side(b).network.dial({ address: server.address, node: a.uuid }, 5_000);
    const inside = await arriving;
    const chunk = Buffer.alloc(256 * 1024);
    let writes = 0;
    while (out.write(chunk) && writes < 1000) {
      writes++;
      await soon(1);
    }
    expect(writes).toBeLessThan(1000);
    expect(out.unsent).toBeGreaterThan(0);
    let read = 0;
    inside.onData((bytes) => (read += bytes.length));
    await out.drained();
    await until(() => read === (writes + 1) * chunk.length);
    // A pause holds, also across a new handler.
    inside.pause();
    inside.onData((bytes) => (read += bytes.length));
    const before = read;
    out.write(chunk);
    await soon(50);
    expect(read - before).toBeLessThanOrEqual(0);
    inside.resume();
    await until(() => read - before === chunk.length);
  });

  it("see at once when the other is gone, and are told once", async () => {
    const server = await new Side(a).listen();
    const arriving = server.next();
    const out = await new Side(b).network.dial({ address: server.address, node: a.uuid }, 5_000);
    const inside = await arriving;
    let told = 0;
    out.onClose(() => told++);
    out.onData(() => {});
    inside.destroy();
    await until(() => told > 0);
    out.destroy();
    await soon(20);
    expect(told).toBe(1);
    expect(out.write(Buffer.from("x"))).toBe(true);
    await out.drained();
    await closed(out); // who asks late is told too
  });
});

describe("a client is refused", () => {
  const asB = async (): Promise<Identity> => b;
  const cases: readonly (readonly [string, Trust, () => Promise<Identity>])[] = [
    ["NOT_A_MEMBER", { members: [] }, asB],
    ["REVOKED", { revoked: ["serial of b"] }, asB],
    ["EXPIRED", { now: Date.now() + 400 * dayMs }, asB],
    ["NOT_YET_VALID", { now: Date.now() - 10 * dayMs }, asB],
    ["REMOVED", { removed: [uuidOf(2)] }, asB],
    ["NOT_PINNED", {}, () => identity(ca, uuidOf(2))],
    ["WRONG_CLUSTER", {}, () => identity(ca, uuidOf(2), "0190a8c0-0000-7000-8000-0000000000ff")],
    ["UNTRUSTED_CA", {}, async () => identity(await createCa(clusterUuid, hostClock, hostRandom), uuidOf(2))],
  ];
  it.each(cases)("as %s", async (condition, trust, make) => {
    const shown = await make();
    const revoked = trust.revoked?.map(() => shown.serial);
    const server = await new Side(a, { ...trust, ...(revoked && { revoked }) }).listen(true);
    const client = new Side(shown);
    const error = await failureOf(client.network.dial({ address: server.address, node: a.uuid }, 5_000));
    expect(error.sqlstate).toBe("08006");
    expect(error.message).toContain(server.address);
    expect(error.fields.detail).toBe(`UNREACHABLE: it refuses this node: ${condition}`);
    expect(server.conditions).toEqual([condition]);
    expect(server.refusals[0]!.remoteAddress).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(server.accepted).toEqual([]);
  });

  it("without a certificate, unless strangers are welcome", async () => {
    const fingerprint = new X509Certificate(ca.certificatePem);
    const target = (address: string) => ({
      address,
      node: undefined,
      authority: fingerprintOf(fingerprint),
    });
    const closedDoor = await new Side(a).listen(false);
    const newcomer = new Side(undefined);
    const error = await failureOf(newcomer.network.dial(target(closedDoor.address), 5_000));
    expect(error.fields.detail).toBe("UNREACHABLE: it refuses this node: NO_CERTIFICATE");
    expect(closedDoor.conditions).toEqual(["NO_CERTIFICATE"]);

    const openDoor = await new Side(a).listen(true);
    const arriving = openDoor.next();
    const stream = await newcomer.network.dial(target(openDoor.address), 5_000);
    expect(stream.peer).toEqual({ kind: "member", node: a.uuid, certFingerprint: a.fingerprint });
    expect((await arriving).peer).toEqual({ kind: "stranger" });
  });

  it("that has the certificate and not the key", async () => {
    // OpenSSL itself will not send it; what it proves is that nobody gets this far.
    const other = await identity(ca, uuidOf(3));
    const impostor = new HostPeerNetwork();
    expect(() => impostor.use(credentials({ ...b, keyPem: other.keyPem }))).toThrow(/cannot be used/);
  });

  it("that speaks TLS 1.2", async () => {
    const server = await new Side(a).listen();
    const socket = tls.connect({
      host: loopback,
      port: server.port,
      maxVersion: "TLSv1.2",
      rejectUnauthorized: false,
      cert: b.certificatePem,
      key: b.keyPem,
    });
    const error = await new Promise<Error>((resolve) => socket.once("error", resolve));
    expect(String("code" in error && error.code)).toMatch(/PROTOCOL_VERSION|NO_PROTOCOLS|VERSION/);
    await until(() => server.network.handshakesFailed === 1);
    expect(server.accepted).toEqual([]);
  });
});

describe("a server is refused", () => {
  it("when another node answers", async () => {
    const server = await new Side(a).listen();
    const client = new Side(b);
    const error = await failureOf(client.network.dial({ address: server.address, node: uuidOf(3) }, 5_000));
    expect(error.fields.detail).toContain("UNREACHABLE WRONG_NODE");
    expect(client.refusals).toMatchObject([{ condition: "WRONG_NODE", node: a.uuid }]);
  });

  it.each([
    ["REMOVED", { removed: [uuidOf(1)] }],
    ["NOT_A_MEMBER", { members: [] }],
    ["EXPIRED", { now: Date.now() + 400 * dayMs }],
  ] as readonly (readonly [string, Trust])[])("as %s, before it sees any byte", async (condition, trust) => {
    const server = await new Side(a).listen();
    const client = new Side(b, trust);
    const error = await failureOf(client.network.dial({ address: server.address, node: a.uuid }, 5_000));
    expect(error.fields.detail).toContain(`UNREACHABLE ${condition}`);
    expect(client.conditions).toEqual([condition]);
  });

  it("with TLS 1.2", async () => {
    const server = tls.createServer({ cert: a.certificatePem, key: a.keyPem, maxVersion: "TLSv1.2" });
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => server.listen(0, loopback, resolve));
    const { port } = server.address() as net.AddressInfo;
    const error = await failureOf(
      new Side(b).network.dial({ address: `${loopback}:${port}`, node: a.uuid }, 5_000),
    );
    expect(error.fields.detail).toMatch(/^UNREACHABLE/);
    server.close();
  });
});

describe("joining", () => {
  const fingerprint = (): string =>
    createHash("sha256").update(new X509Certificate(ca.certificatePem).raw).digest("hex");

  it("trusts a server of the CA that the token names, and no other", async () => {
    const server = await new Side(a).listen(true);
    const newcomer = new Side(undefined, { members: [] });
    const dial = (authority: string, node?: string): Promise<PeerStream> =>
      newcomer.network.dial({ address: server.address, node, authority }, 5_000);
    const stream = await dial(fingerprint());
    expect(stream.peer).toEqual({ kind: "member", node: a.uuid, certFingerprint: a.fingerprint });
    await dial(fingerprint().toUpperCase(), a.uuid);
    expect((await failureOf(dial(fingerprint(), b.uuid))).fields.detail).toContain("WRONG_NODE");
    const other = await createCa(clusterUuid, hostClock, hostRandom);
    const wrong = fingerprintOf(new X509Certificate(other.certificatePem));
    expect((await failureOf(dial(wrong))).fields.detail).toContain("UNTRUSTED_CA");
    expect(newcomer.conditions).toEqual(["WRONG_NODE", "UNTRUSTED_CA"]);
    // What the newcomer does not judge by its members it is not cut off from by `use`.
    newcomer.network.use(credentials(undefined, { members: [] }));
    const echo = reading(server.accepted[0]!);
    stream.write(Buffer.from("csr"));
    expect((await echo(3)).toString()).toBe("csr");
  });

  it("is not fooled by who shows the CA's certificate beside one of its own", async () => {
    const otherCa = await createCa(clusterUuid, hostClock, hostRandom);
    const forged = await identity(otherCa, uuidOf(1));
    // Says that it was issued by the CA, down to its key's identifier; signed by another key.
    const real = await identity(ca, uuidOf(1));
    const signed = { ...real, leafPem: resigned(real.leafPem, otherCa.keyPem) };
    const newcomer = new Side(undefined);
    for (const [certificatePem, keyPem] of [
      [forged.leafPem + ca.certificatePem, forged.keyPem],
      [forged.leafPem, forged.keyPem],
      [signed.leafPem + ca.certificatePem, signed.keyPem],
      [ca.certificatePem, ca.keyPem],
    ] as const) {
      const server = new HostPeerNetwork();
      opened.push(server);
      server.use({ ...credentials(a), own: { certificatePem, keyPem } });
      const { port } = await server.listen(loopback, 0, true, () => {});
      const target = { address: `${loopback}:${port}`, node: undefined, authority: fingerprint() };
      const error = await failureOf(newcomer.network.dial(target, 5_000));
      expect(error.fields.detail).toMatch(/^UNREACHABLE (UNTRUSTED_CA|CHAIN_INVALID)/);
    }
    expect(newcomer.refusals).toHaveLength(4);
  });

  it("sees that a certificate is out of date", async () => {
    const server = await new Side(a).listen(true);
    const target = { address: server.address, node: undefined, authority: fingerprint() };
    for (const [days, condition] of [
      [366, "EXPIRED"],
      [-3, "NOT_YET_VALID"],
    ] as const) {
      const late = new Side(undefined, {}, { now: () => Date.now() + days * dayMs });
      const error = await failureOf(late.network.dial(target, 5_000));
      expect(error.fields.detail).toContain(condition);
    }
  });
});

describe("credentials that change", () => {
  it("close the streams whose peers do not pass any more, and let the others be", async () => {
    const c = await identity(ca, uuidOf(3));
    const members = [a, b, c];
    const server = await new Side(a, { members }).listen(true);
    const dial = async (own: Identity): Promise<PeerStream> => {
      const stream = await new Side(own, { members }).network.dial(
        { address: server.address, node: a.uuid },
        5_000,
      );
      stream.onData(() => {});
      return stream;
    };
    const fromB = await dial(b);
    const fromC = await dial(c);
    const gone = closed(fromB);
    server.network.use(credentials(a, { members, removed: [b.uuid] }));
    await gone;
    expect(server.refusals).toMatchObject([{ condition: "REMOVED", node: b.uuid }]);
    const echo = reading(server.accepted[1]!);
    fromC.write(Buffer.from("still here"));
    await echo(10);
    // And so on the side that dialled.
    const client = new Side(c, { members });
    const stream = await client.network.dial({ address: server.address, node: a.uuid }, 5_000);
    stream.onData(() => {});
    const cut = closed(stream);
    client.network.use(credentials(c, { members, revoked: [a.serial] }));
    await cut;
    expect(client.refusals).toMatchObject([{ condition: "REVOKED", node: a.uuid }]);
  });

  it("are taken over by open streams, on both sides, whoever has dialled", async () => {
    const [a2, b2] = [await identity(ca, uuidOf(1)), await identity(ca, uuidOf(2))];
    // As members' records have it: the newest first.
    const both = { members: [a2, b2, a, b] };
    const server = await new Side(a, both).listen();
    const client = new Side(b, both);
    const stream = await client.network.dial({ address: server.address, node: a.uuid }, 5_000);
    const answers = reading(stream);
    await until(() => server.accepted.length === 1);
    const echo = reading(server.accepted[0]!);
    const standing = (): (string | undefined)[] => [
      client.network.standing().get(a.uuid),
      server.network.standing().get(b.uuid),
    ];
    expect(standing()).toEqual([a.fingerprint, b.fingerprint]);
    client.network.use(credentials(b2, both));
    await until(() => standing()[1] === b2.fingerprint);
    server.network.use(credentials(a2, both));
    await until(() => standing()[0] === a2.fingerprint);
    // The older certificates are worth nothing any more, and the stream goes on.
    server.network.use(credentials(a2, { members: [a2, b2], revoked: [a.serial, b.serial] }));
    client.network.use(credentials(b2, { members: [a2, b2], revoked: [a.serial, b.serial] }));
    stream.write(Buffer.from("still here"));
    expect((await echo(10)).toString()).toBe("still here");
    server.accepted[0]!.write(Buffer.from("and so am I"));
    expect((await answers(11)).toString()).toBe("and so am I");
    expect([...server.conditions, ...client.conditions]).toEqual([]);
  });

  it("count for the next connection", async () => {
    const server = await new Side(a).listen();
    const renewed = await identity(ca, uuidOf(1));
    const client = new Side(b, { members: [renewed, b] });
    const target = { address: server.address, node: a.uuid };
    expect((await failureOf(client.network.dial(target, 5_000))).fields.detail).toContain("NOT_PINNED");
    server.network.use(credentials(renewed));
    const stream = await client.network.dial(target, 5_000);
    expect(stream.peer).toMatchObject({ certFingerprint: renewed.fingerprint });
  });

  it("cannot be got around with a session from before", async () => {
    const server = await new Side(a).listen();
    const connect = (session: Buffer | undefined): tls.TLSSocket =>
      tls.connect({
        host: loopback,
        port: server.port,
        minVersion: "TLSv1.3",
        rejectUnauthorized: false,
        cert: b.certificatePem,
        key: b.keyPem,
        session,
      });
    const sessions: Buffer[] = [];
    const first = connect(undefined);
    first.on("session", (session: Buffer) => sessions.push(session));
    const verdict = await new Promise<Buffer>((resolve) => first.once("data", resolve));
    expect([...verdict]).toEqual([0]);
    await soon(50);
    first.destroy();

    const said = async (session: Buffer | undefined): Promise<{ reused: boolean; verdict: Buffer }> => {
      const socket = connect(session);
      const bytes = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
      const reused = socket.isSessionReused();
      socket.destroy();
      return { reused, verdict: bytes };
    };
    expect(sessions.length).toBeGreaterThan(0); // it is offered; it is worth nothing
    for (const session of sessions) {
      const again = await said(session);
      expect(again.reused).toBe(false);
      expect([...again.verdict]).toEqual([0]);
    }
    server.network.use(credentials(a, { removed: [b.uuid] }));
    for (const session of [...sessions, undefined]) {
      const { reused, verdict } = await said(session);
      expect(reused).toBe(false);
      expect(verdict.toString("latin1", 1)).toBe("REMOVED");
    }
    // And the streams that were still open.
    expect(server.conditions.filter((one) => one === "REMOVED").length).toBeGreaterThan(sessions.length);
  });

  it("count for a dial whose other side has not decided yet", async () => {
    const server = tls.createServer({ cert: a.certificatePem, key: a.keyPem, requestCert: true });
    server.on("secureConnection", (socket) => socket.on("error", () => {}).resume());
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => server.listen({ port: 0, host: loopback }, resolve));
    server.setSecureContext({ cert: a.certificatePem, key: a.keyPem, ca: ca.certificatePem });
    const address = `${loopback}:${(server.address() as net.AddressInfo).port}`;
    const client = new Side(b);
    const mute = await failureOf(client.network.dial({ address, node: a.uuid }, 200));
    expect(mute.fields.detail).toMatch(/^TIMEOUT/);
    const waiting = failureOf(client.network.dial({ address, node: a.uuid }, 5_000));
    await soon(200);
    client.network.use(credentials(b, { removed: [a.uuid] }));
    expect((await waiting).fields.detail).toMatch(/^UNREACHABLE/);
    expect(client.conditions).toEqual(["REMOVED"]);
    server.close();
  });

  it("that cannot be used change nothing", async () => {
    const server = await new Side(a).listen();
    expect(() => server.network.use(credentials({ ...a, keyPem: "none" }))).toThrow(/cannot be used/);
    await new Side(b).network.dial({ address: server.address, node: a.uuid }, 5_000);
  });
});

describe("who is no node", () => {
  it("harms nobody: garbage, silence, and an end in the middle", async () => {
    const server = await new Side(a, {}, { handshakeMs: 300 }).listen(true);
    const ends: Promise<void>[] = [];
    const connect = (): net.Socket => {
      const socket = net.connect({ host: loopback, port: server.port });
      socket.on("error", () => {});
      socket.resume();
      ends.push(new Promise((resolve) => socket.once("close", () => resolve())));
      return socket;
    };
    connect().write("GET / HTTP/1.1\r\n\r\n");
    connect().write(Buffer.alloc(100_000, 0x16));
    connect(); // silent
    const slow = connect();
    slow.write(Buffer.from([0x16, 3, 1, 2, 0, 1])); // a hello that never ends
    const half = connect();
    half.write(Buffer.from([0x16, 3, 1]));
    half.end();
    const start = performance.now();
    await new Side(b).network.dial({ address: server.address, node: a.uuid }, 5_000);
    await Promise.all(ends);
    expect(performance.now() - start).toBeLessThan(3_000);
    await until(() => server.network.handshakesFailed === 5);
    expect(server.accepted).toHaveLength(1);
  });

  it("keeps nobody out by filling the waiting room", async () => {
    const server = await new Side(a, {}, { pendingMax: 4 }).listen();
    const idlers = Array.from({ length: 12 }, () => {
      const socket = net.connect({ host: loopback, port: server.port });
      socket.on("error", () => {});
      socket.resume();
      return socket;
    });
    await until(() => server.network.handshakesFailed === 8);
    await new Side(b).network.dial({ address: server.address, node: a.uuid }, 5_000);
    expect(server.network.handshakesFailed).toBe(9);
    for (const socket of idlers) socket.destroy();
  });

  it("as a server: nobody there, nobody answering, somebody else", async () => {
    const client = new Side(b);
    const dial = (port: number, ms: number): Promise<DbError> =>
      failureOf(client.network.dial({ address: `${loopback}:${port}`, node: a.uuid }, ms));
    const free = await new Side(a).listen();
    free.network.close();
    const refused = await dial(free.port, 5_000);
    expect(refused.fields.detail).toMatch(/^REFUSED: /);
    expect(refused.message).toContain(`${loopback}:${free.port}`);

    const sockets: net.Socket[] = [];
    const mute = net.createServer((socket) => sockets.push(socket.on("error", () => {}).resume()));
    await new Promise<void>((resolve) => mute.listen(0, loopback, resolve));
    const timedOut = await dial((mute.address() as net.AddressInfo).port, 200);
    expect(timedOut.fields.detail).toMatch(/^TIMEOUT: /);
    mute.close();
    const babble = net.createServer((socket) => {
      sockets.push(socket.on("error", () => {}));
      socket.end("SSH-2.0-OpenSSH_9.2\r\n");
    });
    await new Promise<void>((resolve) => babble.listen(0, loopback, resolve));
    expect((await dial((babble.address() as net.AddressInfo).port, 5_000)).fields.detail).toMatch(
      /^UNREACHABLE: /,
    );
    babble.close();
    for (const socket of sockets) socket.destroy();
    const nonsense = await failureOf(client.network.dial({ address: "nowhere", node: a.uuid }, 100));
    expect(nonsense.fields.detail).toMatch(/^UNREACHABLE: /);
  });

  it("an address in use is an error of its own", async () => {
    const server = await new Side(a).listen();
    const error = await failureOf(new Side(b).network.listen(loopback, server.port, false, () => {}));
    expect(error).toMatchObject({ condition: "ioError" });
    expect(error.message).toContain(`port ${server.port}`);
  });
});

describe("links over sockets", () => {
  it("carry requests and messages, and notice within milliseconds that a process is gone", async () => {
    const events: PeerEvent[] = [];
    const make = (own: Identity): { side: Side; links: PeerLinks } => {
      const side = new Side(own);
      const links = new PeerLinks({ network: side.network, clock: hostClock, random: hostRandom, hash });
      return { side, links };
    };
    const one = make(a);
    const two = make(b);
    one.links.onRequest(7, async (peer, payload) => Buffer.from(`${peer.kind}: ${Buffer.from(payload)}`));
    const messages: string[] = [];
    one.links.onMessage((peer, kind, payload) =>
      messages.push(`${peer.node === b.uuid} ${kind} ${Buffer.from(payload)}`),
    );
    two.links.onPeer((event) => events.push(event));
    const port = await one.links.listen(loopback, 0, false);
    two.links.setPeers(new Map([[a.uuid, `${loopback}:${port}`]]));
    await until(() => two.links.isConnected(a.uuid));
    const big = Buffer.alloc(3 << 20, 0x61);
    const answers = await Promise.all(
      [Buffer.from("hi"), big].map((payload) => two.links.request(a.uuid, 7, payload, 5_000)),
    );
    expect(Buffer.from(answers[0]!).toString()).toBe("member: hi");
    expect(answers[1]!.length).toBe(big.length + 8);
    expect(two.links.send(a.uuid, 3, Buffer.from("msg"))).toBe(true);
    await until(() => messages.length === 1);
    expect(messages).toEqual(["true 3 msg"]);
    await until(() => two.links.roundTripMs(a.uuid) !== undefined);
    await soon(1_100); // it has stood long enough to be dialled again at once
    const start = performance.now();
    one.links.close();
    one.side.network.close();
    await until(() => events.some(({ kind }) => kind === "dead"));
    expect(performance.now() - start).toBeLessThan(500);
    expect(events.map(({ kind }) => kind)).toEqual(["connected", "disconnected", "dead"]);
    two.links.close();
  });

  it("and raw streams with their back-pressure", async () => {
    const server = new Side(a);
    const options = { network: server.network, clock: hostClock, hash };
    const { port } = await acceptStreams(options, loopback, 0, (peer, head, accept) => {
      const stream = accept();
      stream.write(Buffer.from(`${peer.node === b.uuid} ${Buffer.from(head)}|`));
      stream.onData((chunk) => {
        if (stream.write(chunk)) return;
        stream.pause();
        void stream.drained().then(() => stream.resume());
      });
      stream.onClose(() => {});
    });
    const client = { network: new Side(b).network, clock: hostClock, hash };
    const target = { address: `${loopback}:${port}`, node: a.uuid };
    const stream = await openStream(client, target, Buffer.from("session"), 5_000);
    const digest = createHash("sha256");
    let received = 0;
    stream.onData((chunk) => {
      digest.update(chunk);
      received += chunk.length;
    });
    const expected = createHash("sha256").update("true session|");
    for (let at = 0; at < 64; at++) {
      const chunk = Buffer.alloc(100_000, at);
      expected.update(chunk);
      if (!stream.write(chunk)) await stream.drained();
    }
    await until(() => received === 6_400_013);
    expect(digest.digest("hex")).toBe(expected.digest("hex"));
    stream.end();
    await closed(stream);
  });
});
