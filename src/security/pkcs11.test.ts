/**
 * A CA whose key is in a token: SoftHSM, where it and the add-on are installed (apt-get install softhsm2; the add-on by
 * SCRATCHBIRD_PKCS11JS=<its folder>, or beside the program). Elsewhere these tests say why they are skipped.
 */
import { spawnSync } from "node:child_process";
import { createPublicKey, verify, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostClock, hostRandom } from "../platform/host.js";
import { Authority, createAuthority } from "./authority.js";
import type { CaSigner } from "./ca-signer.js";
import { makeRequest } from "./certificate-request.js";
import { Pkcs11Token, type TokenConfig } from "./pkcs11.js";
import { readCrl } from "./revocation-list.js";

const clusterUuid = "0190a8c0-0000-7000-8000-00000000000c";
const node = { clusterUuid, nodeUuid: "0190a8c0-0000-7000-8000-000000000001", nodeName: "node-1" };
const dayMs = 86_400_000;
const options = { clock: hostClock, random: hostRandom };
const addOn = process.env["SCRATCHBIRD_PKCS11JS"] ?? "pkcs11js";
const module = [
  "/usr/lib/softhsm/libsofthsm2.so",
  "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
  "/usr/lib64/pkcs11/libsofthsm2.so",
  "/usr/local/lib/softhsm/libsofthsm2.so",
].find((path) => existsSync(path));
const refusedAs = (sqlstate: string, message: RegExp) =>
  expect.objectContaining({ name: "DbError", sqlstate, message: expect.stringMatching(message) });

/** Why there is nothing to test with; undefined: there is. */
async function missing(): Promise<string | undefined> {
  if (module === undefined) return "there is no SoftHSM here (apt-get install softhsm2)";
  if (spawnSync("softhsm2-util", ["--version"]).error !== undefined) return "there is no softhsm2-util here";
  const specifier = addOn.startsWith("/") ? pathToFileURL(join(addOn, "index.js")).href : addOn;
  return import(specifier).then(
    () => undefined,
    (error: Error) => `there is no add-on here: ${error.message.split("\n")[0]}`,
  );
}
const reason = await missing();
if (reason !== undefined) console.log(`tests of tokens are skipped: ${reason}`);

/** The module's own functions, to do to a session what a fault would. */
interface Raw {
  load(path: string): void;
  C_GetSlotList(withToken: boolean): Buffer[];
  C_GetTokenInfo(slot: Buffer): { label: string };
  C_CloseAllSessions(slot: Buffer): void;
  C_Finalize(): void;
}

describe("a token", () => {
  it("wants its add-on, its module and a token that is there", async () => {
    const config = { module: "/nowhere.so", pin: () => "1" };
    await expect(Pkcs11Token.open({ ...config, addOn: "/nowhere/pkcs11js" })).rejects.toMatchObject({
      sqlstate: "F0000",
      message: "the add-on for tokens cannot be loaded from /nowhere/pkcs11js",
      fields: { hint: expect.stringContaining("npm install") },
    });
    await expect(Pkcs11Token.open({ ...config, addOn: "re2js" })).rejects.toEqual(
      refusedAs("F0000", /is not the add-on/),
    );
    if (reason === undefined)
      await expect(Pkcs11Token.open({ ...config, addOn })).rejects.toEqual(
        refusedAs("F0000", /nowhere.so cannot be loaded/),
      );
  });
});

describe.skipIf(reason !== undefined)("a CA whose key is in a token", () => {
  const folder = mkdtempSync(join(tmpdir(), "softhsm-"));
  let config: TokenConfig;
  let token: Pkcs11Token;
  let raw: Raw;
  const slotOf = (label: string): Buffer =>
    raw.C_GetSlotList(true).find((slot) => raw.C_GetTokenInfo(slot).label.trimEnd() === label)!;
  beforeAll(async () => {
    mkdirSync(join(folder, "tokens"));
    const text = `directories.tokendir = ${join(folder, "tokens")}\nobjectstore.backend = file\nlog.level = ERROR\n`;
    writeFileSync(join(folder, "softhsm2.conf"), text);
    process.env["SOFTHSM2_CONF"] = join(folder, "softhsm2.conf");
    for (const label of ["scratchbird", "another"]) {
      const args = ["--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", "987654"];
      const { status, stderr } = spawnSync("softhsm2-util", args, { encoding: "utf8" });
      expect(stderr).toBe("");
      expect(status).toBe(0);
    }
    config = { module: module!, tokenLabel: "scratchbird", pin: () => "987654", addOn };
    token = await Pkcs11Token.open(config);
    const specifier = addOn.startsWith("/") ? pathToFileURL(join(addOn, "index.js")).href : addOn;
    const { default: loaded } = (await import(specifier)) as { default: { PKCS11: new () => Raw } };
    raw = new loaded.PKCS11();
    raw.load(module!);
  });
  afterAll(async () => {
    await token?.close();
    rmSync(folder, { recursive: true });
  });

  async function issues(signer: CaSigner): Promise<void> {
    const made = await createAuthority({ ...options, clusterUuid, signer });
    expect(made.pkcs8).toBeUndefined();
    const ca = new X509Certificate(made.certificatePem);
    expect(ca.verify(ca.publicKey)).toBe(true);
    const { requestPem } = makeRequest({ keyKind: "Ed25519", commonName: "x" });
    const leaf = await made.authority.issueNode(requestPem, node, { days: 365 });
    const certificate = new X509Certificate(leaf.certificatePem);
    expect(certificate.verify(ca.publicKey) && certificate.checkIssued(ca)).toBe(true);
    const now = Math.floor(hostClock.now() / 1000) * 1000;
    const crl = await made.authority.crl({
      number: 1,
      revoked: [{ serial: leaf.serial, revokedAt: now, reason: "superseded" }],
      thisUpdate: now,
      nextUpdate: now + dayMs,
    });
    expect([...readCrl(crl, made.certificatePem).revoked.keys()]).toEqual([leaf.serial]);
    const files = { "ca.pem": made.certificatePem, "leaf.pem": leaf.certificatePem, "crl.pem": crl };
    for (const [name, pem] of Object.entries(files)) writeFileSync(join(folder, name), pem);
    const args = [
      "verify",
      "-x509_strict",
      "-crl_check",
      "-CAfile",
      "ca.pem",
      "-CRLfile",
      "crl.pem",
      "leaf.pem",
    ];
    const { stderr, error } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" });
    if (error === undefined) expect(stderr).toMatch(/certificate revoked/);
  }

  it("issues certificates and lists, by Ed25519", async () => {
    const signer = await token.createKey("ca-1");
    expect(signer.algorithm).toBe("Ed25519");
    await issues(signer);
    const again = await token.key("ca-1");
    expect(again.publicKeySpki).toEqual(signer.publicKeySpki);
    await issues(again);
    await expect(token.createKey("ca-1")).rejects.toEqual(refusedAs("42710", /has a key "ca-1" already/));
    await expect(token.key("ca-0")).rejects.toEqual(refusedAs("42704", /no private key "ca-0"/));
  });

  it("issues them by ECDSA on P-256 where the token has no EdDSA", async () => {
    const signer = await token.createKey("ca-p256", "ECDSA-P256");
    expect(signer.algorithm).toBe("ECDSA-P256");
    await issues(signer);
    await issues(await token.key("ca-p256"));
  });

  it("is signed for in turn, however many ask", async () => {
    const signer = await token.createKey("ca-2");
    const key = createPublicKey({ key: Buffer.from(signer.publicKeySpki), format: "der", type: "spki" });
    const texts = Array.from({ length: 30 }, (_one, at) => Buffer.from(`text ${at}`));
    const signatures = await Promise.all(texts.map((text) => signer.sign(text)));
    expect(texts.every((text, at) => verify(null, text, key, signatures[at]!))).toBe(true);
    const start = hostClock.monotonic();
    for (const text of texts) await signer.sign(text);
    console.log(
      `a signature by the token: ${((hostClock.monotonic() - start) / texts.length).toFixed(2)} ms`,
    );
  });

  it("outlives a session that is lost, and a module that was shut down", async () => {
    const signer = await token.createKey("ca-3");
    const key = createPublicKey({ key: Buffer.from(signer.publicKeySpki), format: "der", type: "spki" });
    const text = Buffer.from("still there");
    const holds = async (): Promise<boolean> => verify(null, text, key, await signer.sign(text));
    raw.C_CloseAllSessions(slotOf("scratchbird")); // which also logs out
    expect(await holds()).toBe(true);
    raw.C_Finalize();
    expect(await holds()).toBe(true);
    expect((await token.key("ca-3")).publicKeySpki).toEqual(signer.publicKeySpki);
  });

  it("is not made with a key that is not there, in a token that is not meant, or by a wrong PIN", async () => {
    await expect(Pkcs11Token.open({ ...config, tokenLabel: "lost" })).rejects.toEqual(
      refusedAs("F0000", /no token called "lost"/),
    );
    await expect(Pkcs11Token.open({ ...config, tokenLabel: undefined })).rejects.toEqual(
      refusedAs("F0000", /there are 3 tokens/),
    );
    const wrong = Pkcs11Token.open({ ...config, tokenLabel: "another", pin: () => "111111" });
    await expect(wrong).rejects.toEqual(refusedAs("28000", /refuses the PIN: CKR_PIN_INCORRECT \(0xa0\)/));
    await expect(wrong).rejects.not.toThrow(/111111/);
    const signer = await token.key("ca-1");
    const another = await Pkcs11Token.open({ ...config, tokenLabel: "another" });
    await expect(another.key("ca-1")).rejects.toEqual(refusedAs("42704", /no private key/));
    await another.close();
    await expect(another.createKey("ca-9")).rejects.toEqual(refusedAs("58030", /is closed/));
    // Both are one program's: that one was closed does not end the other.
    expect(await signer.sign(Buffer.from("x"))).toHaveLength(64);
  });

  it("of which the certificate is another key's is refused", async () => {
    const made = await createAuthority({ ...options, clusterUuid, signer: await token.key("ca-1") });
    const other = await token.key("ca-2");
    expect(() => new Authority(made.certificatePem, other, options)).toThrow(
      refusedAs("22023", /not that of/),
    );
  });

  it("that was brought into the token is refused", async () => {
    const pem = spawnSync("openssl", ["genpkey", "-algorithm", "ed25519"], { encoding: "utf8" });
    if (pem.error !== undefined) return;
    writeFileSync(join(folder, "key.pem"), pem.stdout);
    const args = [
      "--import",
      join(folder, "key.pem"),
      "--token",
      "scratchbird",
      "--label",
      "brought",
      "--id",
      "77",
    ];
    const { status, stderr } = spawnSync("softhsm2-util", [...args, "--pin", "987654"], { encoding: "utf8" });
    expect(`${status} ${stderr}`).toBe("0 ");
    await expect(token.key("brought")).rejects.toEqual(refusedAs("F0000", /was not made in the token/));
  });
});
