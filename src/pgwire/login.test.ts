/**
 * Log-ins by raw messages: what a client is shown under which rules, whoever he says he is, and what an attacker gets.
 */
import { serialize } from "pg-protocol";
import { beforeAll, describe, expect, it } from "vitest";
import type { ConnectionMethod } from "../model/schema.js";
import { hostClock, hostRandom } from "../platform/host.js";
import type { TlsMaterial } from "../platform/index.js";
import {
  type ClientTrust,
  createVerifier,
  defaultConnectionRule,
  type LoginDecision,
  ScramClient,
  type UserVerdict,
} from "../security/index.js";
import { createServerCertificate, serverEndPoint } from "../security/tls.js";
import {
  defaultLoginPolicy,
  type FailureReason,
  type LoginPolicy,
  PgWire,
  readHead,
  type WireLimits,
} from "./index.js";
import { FakeClock, FakeConnection, FakeHost, FakeRandom, plainOutputs } from "./testing.js";

let tls: TlsMaterial;
let binding: Uint8Array;
let verifierOfBob: string;
beforeAll(async () => {
  tls = await createServerCertificate({ commonName: "test", dns: [], addresses: [] }, hostClock, hostRandom);
  binding = serverEndPoint(tls.certificatePem)!;
  verifierOfBob = await createVerifier("b", new FakeRandom());
});

type Rules = Readonly<Record<string, ConnectionMethod>>;

/** ann has the password `secret`, bob `b`; gus has none; eve does not exist. */
class Host extends FakeHost {
  /** By name; `*` for all others. */
  rules: Rules = { "*": "scram" };
  override passwordOf(user: string): string | undefined {
    return user === "bob" ? verifierOfBob : super.passwordOf(user);
  }
  override decideLogin({ user }: { readonly user: string }): LoginDecision {
    const method = this.rules[user] ?? this.rules["*"]!;
    const shown = new Set(Object.values(this.rules));
    return { rule: { ...defaultConnectionRule, method }, method, shown };
  }
}

interface Setup {
  readonly rules?: Rules;
  readonly policy?: Partial<LoginPolicy>;
  readonly limits?: Partial<WireLimits>;
  readonly trust?: ClientTrust;
}

function setUp({ rules, policy = {}, limits = {}, trust }: Setup = {}) {
  const host = new Host(() => ({ tag: "OK" }));
  if (rules !== undefined) host.rules = rules;
  const clock = new FakeClock();
  const failures: string[] = [];
  const wire = new PgWire({
    host,
    clock,
    random: new FakeRandom(),
    network: { listen: () => Promise.reject(new Error("by hand")) },
    address: "test",
    port: 0,
    tls: { current: tls },
    limits,
    mockSecret: new Uint8Array(32),
    outputs: plainOutputs,
    policy: () => ({ ...defaultLoginPolicy, ...policy }),
    trust: () => trust,
    observer: {
      connected: () => {},
      disconnected: () => {},
      authenticationFailed: (user: string, _address: string, _error: unknown, reason: FailureReason) => {
        failures.push(`${user} ${reason}`);
      },
      internalError: (error) => {
        throw error;
      },
    },
  });
  return { host, clock, wire, failures };
}
type Server = ReturnType<typeof setUp>;

/** What came, without salts, nonces and the name: only what everybody may be shown is left. */
function shownOf(bytes: Buffer, user: string): string {
  return bytes
    .toString("latin1")
    .replace(/r=[^,]*/g, "r=")
    .replace(/s=[^,]*/g, "s=")
    .replaceAll(`"${user}"`, '"?"');
}

interface Attempt {
  readonly user?: string;
  readonly password?: string;
  /** Undefined: no TLS. `plus`: as libpq; `plain`: no binding though there is TLS. */
  readonly over?: "plus" | "plain" | undefined;
  readonly certificate?: string;
  readonly address?: string;
  readonly bound?: Uint8Array;
  readonly alter?: (finalMessage: string) => string;
}

async function attempt(
  { wire }: Pick<Server, "wire">,
  { user = "ann", password = "secret", over, certificate, address = "10.0.0.1:5", bound, alter }: Attempt,
) {
  const client = new FakeConnection(address);
  client.encrypted = over !== undefined;
  if (over !== undefined)
    client.tls = {
      version: "TLSv1.3",
      cipher: "TLS_AES_256_GCM_SHA384",
      bits: 256,
      clientCertificate: certificate === undefined ? undefined : Buffer.from(certificate),
    };
  wire.accept(client);
  const parts: Buffer[] = [];
  const send = (bytes: unknown): Buffer => {
    client.receive(bytes as Buffer);
    const answer = client.take();
    parts.push(answer);
    return answer;
  };
  const offered = send(serialize.startup({ user, database: "x" }));
  if (offered.readInt32BE(5) === 10 && offered[0] === 82) {
    const scram = new ScramClient(password, hostRandom, over === "plus" ? (bound ?? binding) : undefined);
    const challenge = send(serialize.sendSASLInitialResponseMessage(scram.mechanism, scram.first()));
    if (challenge[0] === 82) {
      const proof = await scram.final(challenge.toString("latin1", 9));
      send(serialize.sendSCRAMClientFinalMessage(alter?.(proof) ?? proof));
    }
  }
  const bytes = Buffer.concat(parts);
  const isIn = bytes.includes("R\0\0\0\x08\0\0\0\0", 0, "latin1");
  return {
    client,
    isIn,
    shown: shownOf(bytes, user),
    salt: /s=([^,]*)/.exec(bytes.toString("latin1"))?.[1],
    take: () => shownOf(client.take(), user),
  };
}

const errorOf = (shown: string): string => /C(\w{5})\0M([^\0]*)/.exec(shown)?.slice(1).join(" ") ?? "none";

describe("a log-in", () => {
  it.each([
    ["known, unknown, without a password, in the clear", { "*": "scram" }, undefined],
    ["the same over TLS", { "*": "scram" }, "plus"],
    ["where binding is asked for", { "*": "plus" }, "plus"],
    ["where one has a rule that asks for more", { ann: "plus", "*": "scram" }, "plain"],
    ["where one is rejected", { ann: "reject", "*": "scram" }, undefined],
    ["where all but one are rejected", { bob: "scram", "*": "reject" }, undefined],
    ["where one needs a certificate", { ann: "certificate", "*": "scram" }, "plus"],
    ["where one needs both", { ann: "scramAndCertificate", "*": "scram" }, "plus"],
    ["where all need a certificate", { "*": "certificate" }, "plus"],
    ["where all are rejected", { "*": "reject" }, undefined],
    ["where one of the rejected might show a certificate", { ann: "certificate", "*": "reject" }, "plus"],
    ["where nobody can bind", { "*": "plus" }, undefined],
  ] as const)("%s: shows the same of every name", async (_, rules, over) => {
    const server = setUp({ rules });
    const shown = new Set<string>();
    for (const user of ["ann", "bob", "gus", "eve"]) {
      const { isIn, shown: seen } = await attempt(server, { user, password: "wrong", over });
      expect(isIn).toBe(false);
      shown.add(seen);
    }
    expect([...shown]).toHaveLength(1);
  });

  it("shows a salt that stays, of every name its own", async () => {
    const salts = async (user: string): Promise<(string | undefined)[]> => {
      const two = await Promise.all(
        [setUp(), setUp({ rules: { eve: "reject", "*": "scram" } })].map((server) =>
          attempt(server, { user, password: "wrong" }),
        ),
      );
      return two.map((one) => one.salt);
    };
    const [eve, eveAgain] = await salts("eve");
    const [gus] = await salts("gus");
    expect(eve).toBe(eveAgain);
    expect(gus).not.toBe(eve);
    expect(Buffer.from(eve!, "base64")).toHaveLength(16);
  });

  it.each([
    [{ "*": "scram" }, undefined, true],
    [{ "*": "scram" }, "plain", true],
    [{ "*": "scram" }, "plus", true],
    [{ "*": "plus" }, "plus", true],
    [{ "*": "plus" }, "plain", false],
    [{ ann: "plus", "*": "scram" }, "plain", false],
    [{ ann: "plus", "*": "scram" }, "plus", true],
    [{ ann: "reject", "*": "scram" }, "plus", false],
    [{ ann: "scram", "*": "reject" }, undefined, true],
  ] as const)("under %j over %s: %s", async (rules, over, expected) => {
    const server = setUp({ rules });
    expect((await attempt(server, { over })).isIn).toBe(expected);
    expect(server.failures).toHaveLength(expected ? 0 : 1);
  });
});

describe("a certificate", () => {
  const believed = (role: string): UserVerdict => ({
    role,
    issuer: "aa",
    serial: "4711",
    subjectName: `CN=${role}`,
    issuerName: "CN=CA",
  });
  const verdicts: Readonly<Record<string, UserVerdict>> = {
    ann: believed("ann"),
    bob: believed("bob"),
    "ann revoked": { condition: "REVOKED", message: "certificate 4711 is revoked", certified: "ann" },
    "ann of nobody": { condition: "UNTRUSTED_CA", message: "issued by CN=x", certified: undefined },
  };
  let standing: ReturnType<ClientTrust["standing"]>;
  const trust: ClientTrust = {
    check: (der) => verdicts[Buffer.from(der).toString()]!,
    standing: ({ serial }) => (serial === "4711" ? standing : undefined),
  };

  it.each([
    [{ "*": "certificate" }, "ann", "", true],
    [{ "*": "certificate" }, "bob", '28000 certificate authentication failed for user "?"', false],
    [{ ann: "certificate", "*": "scram" }, "ann", "", true],
    [{ ann: "certificate", "*": "scram" }, "bob", '28P01 password authentication failed for user "?"', false],
    [
      { ann: "certificate", "*": "scram" },
      "ann of nobody",
      '28P01 password authentication failed for user "?"',
      false,
    ],
    [
      { ann: "certificate", "*": "scram" },
      "ann revoked",
      '28000 certificate authentication failed for user "?"',
      false,
    ],
    [{ ann: "scramAndCertificate", "*": "scram" }, "ann", "", true],
    [
      { ann: "scramAndCertificate", "*": "scram" },
      "bob",
      '28P01 password authentication failed for user "?"',
      false,
    ],
    [{ "*": "scram" }, "ann revoked", "", true],
  ] as const)("under %j of %s: %s", async (rules, certificate, error, expected) => {
    const { isIn, shown } = await attempt(setUp({ rules, trust }), { over: "plus", certificate });
    expect(isIn).toBe(expected);
    if (!expected) expect(errorOf(shown)).toBe(error);
  });

  it("and a wrong password do not make a log-in where both are asked for", async () => {
    const server = setUp({ rules: { "*": "scramAndCertificate" }, trust });
    const wrong = await attempt(server, { over: "plus", certificate: "ann", password: "wrong" });
    expect(errorOf(wrong.shown)).toBe('28P01 password authentication failed for user "?"');
  });

  it("tells its holder why it is refused", async () => {
    const server = setUp({ rules: { ann: "certificate", "*": "scram" }, trust });
    const { shown } = await attempt(server, { over: "plus", certificate: "ann revoked" });
    expect(shown).toContain("DREVOKED: certificate 4711 is revoked.");
    expect(server.failures).toEqual(["ann certificate"]);
  });

  it("is known to the session, and ends it when it is revoked and the log-in rests on it", async () => {
    standing = undefined;
    const server = setUp({ rules: { ann: "certificate", "*": "scram" }, trust });
    const ann = await attempt(server, { over: "plus", certificate: "ann" });
    const bob = await attempt(server, { user: "bob", password: "b", over: "plus", certificate: "bob" });
    const [first, second] = server.host.sessions;
    expect(first!.start).toMatchObject({
      certificate: { role: "ann", serial: "4711", isNeeded: true },
      tls: { version: "TLSv1.3", bits: 256 },
      authenticatedAt: 0,
    });
    expect(second!.start.certificate).toMatchObject({ role: "bob", isNeeded: false });
    server.wire.sweep(trust);
    expect([ann.client.ended, bob.client.ended]).toEqual([false, false]);
    standing = "REVOKED";
    server.wire.sweep(trust);
    expect([ann.client.ended, bob.client.ended]).toEqual([true, false]);
    expect(errorOf(ann.take())).toBe("28000 certificate revoked");
  });
});

describe("a certificate that is revoked during the log-in", () => {
  it("is not good enough at its end", async () => {
    let revoked = false;
    const trust: ClientTrust = {
      check: () => ({ role: "ann", issuer: "aa", serial: "1", subjectName: "", issuerName: "" }),
      standing: () => (revoked ? "REVOKED" : undefined),
    };
    const server = setUp({ rules: { "*": "scramAndCertificate" }, trust });
    const revoke = (proof: string): string => {
      revoked = true;
      return proof;
    };
    const { isIn, shown } = await attempt(server, { over: "plus", certificate: "ann", alter: revoke });
    expect(isIn).toBe(false);
    expect(shown).toContain("DREVOKED.");
    expect(server.host.sessions).toEqual([]);
  });
});

describe("an attacker", () => {
  it("who sends another's proof again is refused: the nonce is a new one", async () => {
    const server = setUp();
    let heard = "";
    const first = await attempt(server, { alter: (proof) => (heard = proof) });
    expect(first.isIn).toBe(true);
    const again = await attempt(server, { alter: () => heard });
    expect(errorOf(again.shown)).toBe("08P01 malformed SCRAM message");
    // With the new nonce put into the old proof the signature is wrong.
    const proof = /,p=.*$/.exec(heard)![0];
    const mixed = await attempt(server, { alter: (own) => own.replace(/,p=.*$/, proof) });
    expect(errorOf(mixed.shown)).toBe('28P01 password authentication failed for user "?"');
    expect(server.failures).toEqual(["ann protocol", "ann password"]);
  });

  it.each([
    ["says that the server has no binding", "y,,", "28000 SCRAM channel binding negotiation error"],
    ["asks for another kind of binding", "p=tls-unique,,", "08P01 malformed SCRAM message"],
    [
      "asks in another's name",
      "n,a=bob,",
      "0A000 client uses authorization identity, but it is not supported",
    ],
  ])("who %s is refused", async (_, header, error) => {
    const server = setUp();
    for (const user of ["ann", "eve"]) {
      const client = new FakeConnection();
      client.encrypted = true;
      server.wire.accept(client);
      client.receive(serialize.startup({ user }) as Buffer);
      client.take();
      client.receive(
        serialize.sendSASLInitialResponseMessage("SCRAM-SHA-256", `${header}n=,r=abcdef`) as Buffer,
      );
      expect(errorOf(shownOf(client.take(), user))).toBe(error);
      expect(client.ended).toBe(true);
    }
  });

  it.each([
    [
      "binds to another connection",
      { over: "plus", bound: new Uint8Array(32) },
      "28000 SCRAM channel binding check failed",
    ],
    [
      "changes the header behind it",
      { over: "plus", alter: (text: string) => text.replace(/c=[^,]*/, "c=biws") },
      "28000 SCRAM channel binding check failed",
    ],
    [
      "binds without being asked",
      { alter: (text: string) => text.replace(/c=[^,]*/, "c=cD10bHM=") },
      "08P01 malformed SCRAM message",
    ],
    [
      "sends a short proof",
      { alter: (text: string) => text.replace(/p=.*$/, "p=AAAA") },
      "08P01 malformed SCRAM message",
    ],
    ["sends none", { alter: (text: string) => text.replace(/,p=.*$/, "") }, "08P01 malformed SCRAM message"],
    [
      "sends one of zeros",
      { alter: (text: string) => text.replace(/p=.*$/, `p=${Buffer.alloc(32).toString("base64")}`) },
      '28P01 password authentication failed for user "?"',
    ],
    ["guesses", { password: "guess" }, '28P01 password authentication failed for user "?"'],
  ] as const)("who %s gets the same answer for every name", async (_, how, error) => {
    const server = setUp();
    const answers: string[] = [];
    for (const user of ["ann", "gus", "eve"]) {
      const { isIn, shown } = await attempt(server, { ...how, user });
      expect(isIn).toBe(false);
      answers.push(errorOf(shown));
    }
    expect(answers).toEqual([error, error, error]);
  });

  it("in the clear is told nothing but that it is not enough", async () => {
    const policy = { tls: "required" } as const;
    const server = setUp({ policy });
    const { shown } = await attempt(server, { user: "eve", address: "127.0.0.1:5" });
    expect(errorOf(shown)).toBe("28000 the server accepts encrypted connections only");
    expect((await attempt(server, { over: "plus" })).isIn).toBe(true);
    const spared = { tls: "required_beyond_loopback", isAlone: true } as const;
    expect((await attempt(setUp({ policy: spared }), { address: "127.0.0.1:5" })).isIn).toBe(true);
    expect((await attempt(setUp({ policy: spared }), {})).isIn).toBe(false);
    const many = { ...spared, isAlone: false };
    expect((await attempt(setUp({ policy: many }), { address: "127.0.0.1:5" })).isIn).toBe(false);
    expect(server.failures).toEqual(["eve tls"]);
  });

  it("waits longer each time, and who has logged in from there before does not wait with him", async () => {
    const server = setUp({ policy: { failureBackoffMs: 100 } });
    const { clock } = server;
    expect((await attempt(server, { user: "bob", password: "b" })).isIn).toBe(true);
    const refusal = '28P01 password authentication failed for user "?"';
    for (const user of ["ann", "eve"]) {
      for (const delay of [100, 200, 400]) {
        const { take } = await attempt(server, { user, password: "wrong" });
        clock.advance(delay - 1);
        expect(take()).toBe("");
        clock.advance(1);
        expect(errorOf(take())).toBe(refusal);
      }
    }
    // From here on the right password is late too, where it never was given before.
    const late = await attempt(server, { user: "ann" });
    expect([late.isIn, late.take()]).toEqual([false, ""]);
    clock.advance(400);
    expect(late.take()).toContain("Z\0\0\0\x05I");
    for (let times = 0; times < 5; times++) {
      await attempt(server, { user: "bob", password: "wrong" });
      clock.advance(5000);
    }
    expect((await attempt(server, { user: "bob", password: "b" })).isIn).toBe(true);
    // A refusal takes as long, whether or not who has failed so often has ever logged in from there.
    const fourth = async (user: string): Promise<number> => {
      for (let times = 0; times < 3; times++) {
        await attempt(server, { user, password: "wrong", address: "10.0.0.9:1" });
        clock.advance(5000);
      }
      const { take } = await attempt(server, { user, password: "wrong", address: "10.0.0.9:1" });
      for (let waited = 1; ; waited++) {
        clock.advance(1);
        if (take() !== "") return waited;
      }
    };
    expect((await attempt(server, { user: "bob", password: "b", address: "10.0.0.9:1" })).isIn).toBe(true);
    expect([await fourth("bob"), await fourth("eve")]).toEqual([800, 800]);
    // Another address is another matter.
    expect((await attempt(server, { user: "ann", address: "10.0.0.2:1" })).isIn).toBe(true);
  });

  it("cannot fill the house: the oldest that has not logged in makes room, those first that are silent", async () => {
    const server = setUp({ policy: { failureBackoffMs: 100, unauthenticatedMax: 2 } });
    const failed = await attempt(server, { password: "wrong" });
    const asking = new FakeConnection();
    server.wire.accept(asking);
    asking.receive(serialize.startup({ user: "ann" }) as Buffer);
    const silent = new FakeConnection();
    server.wire.accept(silent);
    // Who waits to hear that he has failed is counted apart.
    expect(server.wire.unauthenticatedCount).toBe(3);
    server.wire.accept(new FakeConnection());
    expect([failed.client.ended, asking.ended, silent.ended]).toEqual([false, false, true]);
    expect((await attempt(server, { user: "bob", password: "b" })).isIn).toBe(true);
    await attempt(server, { password: "wrong" });
    expect(failed.client.ended).toBe(false);
    server.wire.accept(new FakeConnection());
    expect(errorOf(failed.take())).toBe('28P01 password authentication failed for user "?"');
    expect(failed.client.ended).toBe(true);
    expect([...server.wire.authenticationFailures.keys()]).toEqual(["password", "overload"]);
  });

  it("who asks and waits is cut off in time, and hears no more than that", async () => {
    const server = setUp({ limits: { authenticationTimeoutMs: 1000 } });
    const client = new FakeConnection();
    server.wire.accept(client);
    client.receive(serialize.startup({ user: "ann" }) as Buffer);
    client.take();
    server.clock.advance(1000);
    expect(errorOf(shownOf(client.take(), "ann"))).toBe("57014 canceling authentication due to timeout");
    expect(server.failures).toEqual(["ann timeout"]);
  });

  it("does not hold up the end of the server", async () => {
    const server = setUp({ policy: { failureBackoffMs: 5000 } });
    const { client } = await attempt(server, { password: "wrong" });
    server.wire.terminateAll();
    expect(client.ended).toBe(true);
  });
});

describe("the head of a relayed session", () => {
  const head = {
    user: "ann",
    database: "x",
    settings: [["TimeZone", "UTC"]],
    remoteAddress: "10.0.0.1:5",
    encrypted: true,
    tls: { version: "TLSv1.3", cipher: "c", bits: 256 },
    certificate: {
      role: "ann",
      issuer: "aa",
      serial: "4711",
      subjectName: "CN=ann",
      issuerName: "CN=CA",
      isNeeded: true,
    },
    authenticatedAt: 12,
  };
  it("carries how the client has logged in", () => {
    expect(readHead(JSON.parse(JSON.stringify(head)))).toEqual(head);
  });
  it.each([
    [undefined],
    [null],
    [{ ...head, user: 1 }],
    [{ ...head, encrypted: "yes" }],
    [{ ...head, settings: [["a"]] }],
    [{ ...head, settings: [["a", 1]] }],
    [{ ...head, tls: null }],
    [{ ...head, certificate: { ...head.certificate, serial: "zz" } }],
    [{ ...head, certificate: { ...head.certificate, isNeeded: 1 } }],
    [{ ...head, certificate: null }],
    [{ ...head, authenticatedAt: "now" }],
  ])("%j is refused", (value) => {
    expect(() => readHead(value)).toThrow("not understood");
  });
});
