/** Sealed CA keys: opened by their passphrase alone, each way a file can be wrong has its error, keys in the clear are gone. */
import { createHash, createPrivateKey } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { HostDisk, hostClock, hostRandom } from "../platform/host.js";
import { Authority, createAuthority } from "./authority.js";
import { CaStore, type PassphraseSource, passphraseFrom } from "./ca-store.js";
import { makeRequest } from "./certificate-request.js";
import { pemOf } from "./der.js";

const clusterUuid = "0190a8c0-0000-7000-8000-00000000000c";
const options = { clock: hostClock, random: hostRandom };
const words =
  (text: string): PassphraseSource =>
  () =>
    Buffer.from(text);
const right = words("correct horse battery");
const cheap = { costLog2: 15 };
const refusedAs = (sqlstate: string, message: RegExp) =>
  expect.objectContaining({ name: "DbError", sqlstate, message: expect.stringMatching(message) });

const root = mkdtempSync(join(tmpdir(), "ca-store-"));
afterAll(() => rmSync(root, { recursive: true }));
let folder: string;
let disk: HostDisk;
let store: CaStore;
beforeEach(() => {
  folder = mkdtempSync(join(root, "data-"));
  disk = new HostDisk(folder);
  store = new CaStore(disk, hostRandom, right, cheap);
});
const newCa = () => createAuthority({ ...options, clusterUuid });
const pathOf = (fingerprint: string): string => join(folder, "ca", `${fingerprint}.key`);

describe("a sealed key", () => {
  it("signs for its CA again, from its file alone", async () => {
    const made = await newCa();
    const clear = Buffer.from(made.pkcs8!);
    const { fingerprint } = await store.seal(made.certificatePem, made.pkcs8!);
    expect(fingerprint).toBe(made.fingerprint);
    expect(made.pkcs8!.every((byte) => byte === 0)).toBe(true);
    expect([store.list(), store.has(fingerprint)]).toEqual([[fingerprint], true]);
    expect(statSync(pathOf(fingerprint)).mode & 0o777).toBe(0o600);
    expect(readFileSync(pathOf(fingerprint)).includes(clear.subarray(-32))).toBe(false);

    const signer = await store.open(fingerprint);
    const ca = new Authority(store.certificateOf(fingerprint), signer, options);
    expect(ca.certificatePem).toBe(made.certificatePem);
    const { requestPem } = makeRequest({ keyKind: "Ed25519", commonName: "ann" });
    await ca.issueUser(requestPem, { clusterUuid, role: "ann" }, { days: 1 });
    let lent: Uint8Array = new Uint8Array();
    await store.withKey(fingerprint, (pkcs8) => {
      expect(clear.equals(pkcs8)).toBe(true);
      lent = pkcs8;
    });
    expect(lent.every((byte) => byte === 0)).toBe(true);
    store.remove(fingerprint);
    expect([store.list(), store.has(fingerprint)]).toEqual([[], false]);
    await expect(store.open(fingerprint)).rejects.toEqual(refusedAs("42704", /not kept here/));
  });

  it("is never sealed alike twice, and each CA has its own", async () => {
    const [one, two] = [await newCa(), await newCa()];
    const copy = Buffer.from(one.pkcs8!);
    await store.seal(one.certificatePem, one.pkcs8!);
    const first = readFileSync(pathOf(one.fingerprint));
    await store.seal(one.certificatePem, copy);
    const second = readFileSync(pathOf(one.fingerprint));
    expect(first.subarray(12, 40).equals(second.subarray(12, 40))).toBe(false);
    await store.seal(two.certificatePem, two.pkcs8!);
    expect(store.list()).toEqual([one.fingerprint, two.fingerprint].sort());
    expect((await store.open(two.fingerprint)).publicKeySpki).toEqual(two.signer.publicKeySpki);
    // A file put in another's place.
    writeFileSync(pathOf(two.fingerprint), second);
    await expect(store.open(two.fingerprint)).rejects.toEqual(refusedAs("F0000", /another CA's/));
  });

  it("belongs to its certificate, under a passphrase worth the name", async () => {
    const [one, two] = [await newCa(), await newCa()];
    const lost = two.pkcs8!;
    await expect(store.seal(one.certificatePem, lost)).rejects.toEqual(refusedAs("22023", /not that of/));
    expect(lost.every((byte) => byte === 0)).toBe(true);
    const short = new CaStore(disk, hostRandom, words("too short"), cheap);
    await expect(short.seal(one.certificatePem, one.pkcs8!)).rejects.toEqual(
      refusedAs("22023", /at least 12/),
    );
    expect(store.list()).toEqual([]);
  });

  it("stays shut to another passphrase, and says nothing else", async () => {
    const made = await newCa();
    await store.seal(made.certificatePem, made.pkcs8!);
    const asked: Uint8Array[] = [];
    const wrong = new CaStore(
      disk,
      hostRandom,
      () => (asked.push(Buffer.from("correct horse batterx")), asked[0]!),
      cheap,
    );
    await expect(wrong.open(made.fingerprint)).rejects.toEqual(refusedAs("28000", /does not open/));
    expect(asked[0]!.every((byte) => byte === 0)).toBe(true);
  });

  it("changed, cut short or made longer is refused before a passphrase is asked", async () => {
    const made = await newCa();
    await store.seal(made.certificatePem, made.pkcs8!);
    const whole = readFileSync(pathOf(made.fingerprint));
    const unasked = new CaStore(disk, hostRandom, () => expect.unreachable("asked for the passphrase"));
    const problem = async (bytes: Uint8Array): Promise<unknown> => {
      writeFileSync(pathOf(made.fingerprint), bytes);
      return unasked.open(made.fingerprint).then(
        () => "opened",
        (error: unknown) => error,
      );
    };
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bytes = Buffer.from(whole);
        bytes[at]! ^= change;
        const newer = at === 8 && bytes[at]! > 1;
        const expected = newer
          ? refusedAs("0A000", /newer version/)
          : refusedAs("F0000", /damaged|short|no sealed/);
        expect(await problem(bytes)).toEqual(expected);
      }),
      { numRuns: 300 },
    );
    for (let length = 0; length < whole.length; length += 7)
      expect(await problem(whole.subarray(0, length))).toEqual(refusedAs("F0000", /is cut short/));
    expect(await problem(Buffer.concat([whole, Buffer.from("\n")]))).toEqual(
      refusedAs("F0000", /is damaged/),
    );
    expect(await problem(Buffer.alloc(whole.length))).toEqual(refusedAs("F0000", /is no sealed CA key/));
    chmodSync(pathOf(made.fingerprint), 0o640);
    expect(await problem(whole)).toEqual(refusedAs("F0000", /open to others/));
    chmodSync(pathOf(made.fingerprint), 0o600);
    writeFileSync(pathOf(made.fingerprint), whole);
    expect((await store.open(made.fingerprint)).algorithm).toBe("Ed25519");
  });

  it("forged by somebody who can count sums but has no passphrase stays shut", async () => {
    const made = await newCa();
    await store.seal(made.certificatePem, made.pkcs8!);
    const whole = readFileSync(pathOf(made.fingerprint));
    const body = whole.length - 32;
    // Salt, nonce, the sealed key, its tag; and a cost that would take 2 GiB.
    for (const [at, expected] of [
      [12, refusedAs("28000", /does not open/)],
      [30, refusedAs("28000", /does not open/)],
      [body - 20, refusedAs("28000", /does not open/)],
      [body - 1, refusedAs("28000", /does not open/)],
      [9, refusedAs("F0000", /damaged/)],
    ] as const) {
      const forged = Buffer.from(whole.subarray(0, body));
      forged[at]! ^= 0x1a;
      writeFileSync(
        pathOf(made.fingerprint),
        Buffer.concat([forged, createHash("sha256").update(forged).digest()]),
      );
      await expect(store.open(made.fingerprint), `byte ${at}`).rejects.toEqual(expected);
    }
  });

  it("gets another passphrase, also when that was half done before", async () => {
    const made = [await newCa(), await newCa()];
    for (const one of made) await store.seal(one.certificatePem, one.pkcs8!);
    const next = words("another passphrase");
    const [first] = store.list();
    const half = new CaStore(disk, hostRandom, right, cheap);
    const kept = await half.withKey(first!, (pkcs8) => Buffer.from(pkcs8));
    const after = new CaStore(disk, hostRandom, next, cheap);
    await after.seal(store.certificateOf(first!), kept);
    await store.changePassphrase(next);
    await store.changePassphrase(next); // again, as after a crash
    for (const { fingerprint, signer } of made) {
      expect((await after.open(fingerprint)).publicKeySpki).toEqual(signer.publicKeySpki);
      await expect(store.open(fingerprint)).rejects.toEqual(refusedAs("28000", /does not open/));
    }
  });
});

describe("a key that lies in the clear", () => {
  const put = (certificatePem: string, keyPem: string): void => {
    disk.makeFolderSync("tls");
    disk.writeFileSync("tls/ca.crt", Buffer.from(certificatePem), 0o644);
    disk.writeFileSync("tls/ca.key", Buffer.from(keyPem), 0o600);
  };

  it("is sealed once, and gone", async () => {
    expect(await store.adoptPlain(disk)).toBeUndefined();
    const made = await newCa();
    const clear = pemOf(made.pkcs8!, "PRIVATE KEY");
    put(made.certificatePem, clear);
    expect(await store.adoptPlain(disk)).toEqual({ fingerprint: made.fingerprint });
    expect(readdirSync(join(folder, "tls"))).toEqual(["ca.crt"]);
    expect((await store.open(made.fingerprint)).publicKeySpki).toEqual(made.signer.publicKeySpki);
    expect(await store.adoptPlain(disk)).toBeUndefined();
    // A crash after sealing, before removing.
    put(made.certificatePem, clear);
    expect(await store.adoptPlain(disk)).toEqual({ fingerprint: made.fingerprint });
    expect(existsSync(join(folder, "tls/ca.key"))).toBe(false);
    expect(store.list()).toEqual([made.fingerprint]);
  });

  it("is kept where it cannot be sealed", async () => {
    const [one, two] = [await newCa(), await newCa()];
    put(one.certificatePem, pemOf(two.pkcs8!, "PRIVATE KEY"));
    await expect(store.adoptPlain(disk)).rejects.toEqual(
      refusedAs("F0000", /ca\.key and tls\/ca\.crt: .*not that of/),
    );
    put(one.certificatePem, "x");
    await expect(store.adoptPlain(disk)).rejects.toEqual(refusedAs("F0000", /cannot be read as PEM/));
    put(one.certificatePem, pemOf(one.pkcs8!, "PRIVATE KEY"));
    rmSync(join(folder, "tls/ca.crt"));
    await expect(store.adoptPlain(disk)).rejects.toEqual(refusedAs("F0000", /ca\.crt is missing/));
    expect(createPrivateKey(readFileSync(join(folder, "tls/ca.key"))).asymmetricKeyType).toBe("ed25519");
    expect(store.list()).toEqual([]);
  });
});

describe("a passphrase", () => {
  it("comes from the variable, else from the operator's file, else from one made once", async () => {
    const kept = { disk, random: hostRandom };
    const text = async (source: PassphraseSource): Promise<string> => Buffer.from(await source()).toString();
    disk.writeFileSync("mine", Buffer.from("from the file\r\n"), 0o600);
    const file = { disk, path: "mine" };
    expect(await text(passphraseFrom({ variable: "from the variable", file, kept }))).toBe(
      "from the variable",
    );
    expect(await text(passphraseFrom({ variable: "", file, kept }))).toBe("from the file");
    expect(existsSync(join(folder, "ca-passphrase"))).toBe(false);
    const made = await text(passphraseFrom({ kept }));
    expect(made).toMatch(/^[\w-]{43}$/);
    expect(await text(passphraseFrom({ kept }))).toBe(made);
    expect(statSync(join(folder, "ca-passphrase")).mode & 0o777).toBe(0o600);
    const ca = await newCa();
    const own = new CaStore(disk, hostRandom, passphraseFrom({ kept }), cheap);
    await own.seal(ca.certificatePem, ca.pkcs8!);
    expect((await own.open(ca.fingerprint)).algorithm).toBe("Ed25519");
  });

  it("that is missing, empty or open to others is refused", async () => {
    const from = (path: string) => async () =>
      passphraseFrom({ file: { disk, path }, kept: { disk, random: hostRandom } })();
    await expect(from("none")()).rejects.toEqual(refusedAs("F0000", /missing/));
    disk.writeFileSync("empty", Buffer.from("\n"), 0o600);
    await expect(from("empty")()).rejects.toEqual(refusedAs("F0000", /empty/));
    disk.writeFileSync("open", Buffer.from("a passphrase\n"), 0o644);
    await expect(from("open")()).rejects.toEqual(refusedAs("F0000", /open to others/));
  });
});
