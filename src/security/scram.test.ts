import { createHmac, pbkdf2Sync } from "node:crypto";
import { hmac } from "@noble/hashes/hmac.js";
import { pbkdf2 } from "@noble/hashes/pbkdf2.js";
import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import type { Random } from "../platform/index.js";
import {
  createVerifier,
  formatVerifier,
  mechanisms,
  parseVerifier,
  ScramClient,
  ScramServer,
  type ScramServerOptions,
  saslPrep,
} from "./scram.js";

/** Answers the bytes it was made with, once each call. */
class GivenRandom implements Random {
  constructor(private readonly bytes: Uint8Array) {}
  fill(into: Uint8Array): void {
    for (let at = 0; at < into.length; at++) into[at] = this.bytes[at % this.bytes.length]!;
  }
  fraction(): number {
    return 0.5;
  }
}
const random = new GivenRandom(Uint8Array.from({ length: 32 }, (_, at) => at * 7));

const server = (more: Partial<ScramServerOptions> = {}) =>
  new ScramServer({
    mechanism: mechanisms.plain,
    password: undefined,
    admits: true,
    user: "ann",
    mockSecret: new Uint8Array(32),
    random,
    channelBinding: undefined,
    ...more,
  });

function errorOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof DbError) return `${error.sqlstate} ${error.message}`;
    throw error;
  }
  return "no error";
}

describe("verifiers", () => {
  it("reads what PostgreSQL 15 stores, and the password proves it", async () => {
    // CREATE ROLE … PASSWORD 'pä ss' on PostgreSQL 15.18
    const stored =
      "SCRAM-SHA-256$4096:YvylmybSnQzWwjVFKGa2yw==$FHEckikaPPtry9Ihcg2m6m+VHx2JEP/fnQMLKIrd7ZY=:nv/qdePIqovf4K6hnMGQ2tL+KwUcgM0Zr7ct9yPPjfo=";
    const verifier = parseVerifier(stored)!;
    expect(formatVerifier(verifier)).toBe(stored);
    const salted = pbkdf2(sha256, Buffer.from("pä ss"), verifier.salt, { c: 4096, dkLen: 32 });
    expect(
      Buffer.from(sha256(hmac(sha256, salted, Buffer.from("Client Key")))).equals(verifier.storedKey),
    ).toBe(true);
    expect(await logsIn("pä ss", stored)).toBe(true);
    expect(await logsIn("pa ss", stored)).toBe(false);
  });

  it("are made so that their password proves them, with another salt each time", async () => {
    const made = await createVerifier("sécret", random);
    expect(made).toMatch(/^SCRAM-SHA-256\$4096:/);
    expect(await logsIn("sécret", made)).toBe(true);
    expect(await createVerifier("sécret", new GivenRandom(Uint8Array.of(9)))).not.toBe(made);
  });

  it.each([
    "secret",
    "md5aaaa",
    "SCRAM-SHA-256$4096:xx$yy:zz",
    "SCRAM-SHA-256$0:YWFh$FHEckikaPPtry9Ihcg2m6m+VHx2JEP/fnQMLKIrd7ZY=:nv/qdePIqovf4K6hnMGQ2tL+KwUcgM0Zr7ct9yPPjfo=",
    "SCRAM-SHA-256$99999999:YWFh$FHEckikaPPtry9Ihcg2m6m+VHx2JEP/fnQMLKIrd7ZY=:nv/qdePIqovf4K6hnMGQ2tL+KwUcgM0Zr7ct9yPPjfo=",
  ])("%s is none", (text) => {
    expect(parseVerifier(text)).toBeUndefined();
  });
});

async function logsIn(
  password: string,
  verifier: string,
  binding?: Uint8Array,
  clientBinding = binding,
): Promise<boolean> {
  const client = new ScramClient(password, new GivenRandom(Uint8Array.of(1, 2, 3)), clientBinding);
  const one = server({
    mechanism: client.mechanism,
    password: verifier,
    channelBinding: binding,
  });
  const proof = one.final(await client.final(one.first(client.first())));
  if (proof === undefined) return false;
  client.verify(proof);
  return true;
}

describe("the exchange", () => {
  it("follows the example of RFC 7677", () => {
    const salt = Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64");
    const salted = pbkdf2Sync("pencil", salt, 4096, 32, "sha256");
    const mac = (text: string) => createHmac("sha256", salted).update(text).digest();
    const storedKey = Buffer.from(sha256(mac("Client Key")));
    const verifier = { iterations: 4096, salt, storedKey, serverKey: mac("Server Key") };
    const nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const one = server({
      password: formatVerifier(verifier),
      random: new GivenRandom(Buffer.from(nonce.slice(0, 18))),
    });
    const first = one.first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    const serverNonce = Buffer.from(nonce.slice(0, 18)).toString("base64");
    expect(first).toBe(`r=rOprNGfwEbeRWgbNEkqO${serverNonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`);
    // The RFC's own nonce, through the same arithmetic: AuthMessage, proof and signature as printed there.
    const rfcNonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const authMessage = `n=user,r=rOprNGfwEbeRWgbNEkqO,r=${rfcNonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=${rfcNonce}`;
    const signature = createHmac("sha256", verifier.serverKey).update(authMessage).digest("base64");
    expect(signature).toBe("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    const clientKey = mac("Client Key");
    const proof = createHmac("sha256", storedKey).update(authMessage).digest();
    for (let at = 0; at < 32; at++) proof[at]! ^= clientKey[at]!;
    expect(proof.toString("base64")).toBe("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  });

  it("binds the channel, and notices another certificate", async () => {
    const verifier = await createVerifier("x", random);
    expect(await logsIn("x", verifier, Buffer.from("certificate"))).toBe(true);
    await expect(
      logsIn("x", verifier, Buffer.from("certificate"), Buffer.from("another")),
    ).rejects.toMatchObject({
      condition: "invalidAuthorizationSpecification",
      message: "SCRAM channel binding check failed",
    });
  });

  it.each([
    ["y,,n=,r=abc", { channelBinding: Buffer.from("c") }, "28000 SCRAM channel binding negotiation error"],
    ["n,a=admin,n=,r=abc", {}, "0A000 client uses authorization identity, but it is not supported"],
    ["n,,m=ext,n=,r=abc", {}, "0A000 client requires an unsupported SCRAM extension"],
    [
      "p=tls-unique,,n=,r=a",
      { mechanism: mechanisms.plus },
      '08P01 unsupported SCRAM channel-binding type "tls-unique"',
    ],
    ["n,,n=,r=abc", { mechanism: mechanisms.plus }, "08P01 malformed SCRAM message"],
    ["x", {}, "08P01 malformed SCRAM message"],
    ["", {}, "08P01 malformed SCRAM message"],
    ["n,,n=,r=", {}, "08P01 malformed SCRAM message"],
    ["n,,r=abc", {}, "08P01 malformed SCRAM message"],
  ])("refuses %s", (message, options, error) => {
    expect(errorOf(() => server(options).first(message))).toBe(error);
  });

  it("answers an unknown role with a salt that stays the same, and never lets it in", async () => {
    const salts = [1, 2].map(() => /s=[^,]*/.exec(server().first("n,,n=,r=abc"))![0]);
    expect(salts[0]).toBe(salts[1]);
    expect(/s=[^,]*/.exec(server({ user: "bob" }).first("n,,n=,r=abc"))![0]).not.toBe(salts[0]);
    const client = new ScramClient("", random, undefined);
    const one = server();
    expect(one.final(await client.final(one.first(client.first())))).toBeUndefined();
  });

  it("takes any bytes without a failure of its own", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (first, final) => {
        errorOf(() => server().first(first));
        const one = server();
        one.first("n,,n=,r=abc");
        errorOf(() => one.final(final));
      }),
    );
  });
});

describe("SASLprep, examples of RFC 4013", () => {
  it.each([
    ["I\u00adX", "IX"],
    ["user", "user"],
    ["USER", "USER"],
    ["\u00aa", "a"],
    ["\u2168", "IX"],
    ["a\u00a0b", "a b"],
    ["\u0007", "\u0007"], // prohibited: used as it is
    ["\u06271", "\u06271"], // right-to-left text must end so: used as it is
  ])("%j becomes %j", (given, prepared) => {
    expect(saslPrep(given)).toBe(prepared);
  });
});
