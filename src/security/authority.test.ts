/**
 * What a CA issues and takes back: OpenSSL and Node's TLS agree with it, no kind passes for another, and whatever was
 * changed is refused.
 */
import { spawnSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer, type TLSSocket } from "node:tls";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { hostClock, hostRandom } from "../platform/host.js";
import type { Random } from "../platform/index.js";
import { Authority, createAuthority, type IssuedCertificate, type NewAuthority } from "./authority.js";
import { type CaSigner, generateSoftwareKey, softwareSigner } from "./ca-signer.js";
import { type Identity, identityOf, identityUri, parseIdentityUri } from "./certificate-names.js";
import { algorithms, extension, oid } from "./certificate-parts.js";
import { type KeyKind, makeRequest, readRequest } from "./certificate-request.js";
import {
  bitString,
  contextTag,
  derOfPem,
  element,
  integer,
  pemOf,
  sequence,
  tag,
  time,
  unsigned,
} from "./der.js";
import { checkPeer, fingerprintOf, publicKeyOf } from "./node-identity.js";
import {
  authorityKeyIdentifier,
  issuerPartsOf,
  type RevocationReason,
  type RevokedCertificate,
  readCrl,
  revocationReasons,
} from "./revocation-list.js";

const clusterUuid = "0190a8c0-0000-7000-8000-00000000000c";
const nodeUuid = "0190a8c0-0000-7000-8000-000000000001";
const node = { clusterUuid, nodeUuid, nodeName: "node-1" };
const dayMs = 86_400_000;
const options = { clock: hostClock, random: hostRandom };
const thisUpdate = Math.floor(hostClock.now() / 1000) * 1000;
const nextUpdate = thisUpdate + 7 * dayMs;
const refusedAs = (sqlstate: string, message: RegExp) =>
  expect.objectContaining({ name: "DbError", sqlstate, message: expect.stringMatching(message) });

let made: NewAuthority;
let ca: Authority;
let other: NewAuthority;
let onP256: NewAuthority;
const issued = {} as Record<"node" | "user" | "service" | "server", IssuedCertificate & { keyPem: string }>;
beforeAll(async () => {
  made = await createAuthority({ ...options, clusterUuid });
  ca = made.authority;
  other = await createAuthority({ ...options, clusterUuid });
  onP256 = await createAuthority({
    ...options,
    clusterUuid,
    signer: generateSoftwareKey("ECDSA-P256").signer,
  });
  const request = (keyKind: KeyKind, uri?: string) =>
    makeRequest({ keyKind, commonName: "asks", ...(uri === undefined ? {} : { uris: [uri] }) });
  const forNode = request("Ed25519", identityUri({ kind: "node", clusterUuid, name: nodeUuid }));
  const forUser = request("RSA");
  const forService = request("ECDSA-P256");
  const forServer = request("ECDSA-P256");
  issued.node = { ...(await ca.issueNode(forNode.requestPem, node, { days: 365 })), keyPem: forNode.keyPem };
  issued.user = {
    ...(await ca.issueUser(forUser.requestPem, { clusterUuid, role: "Ann Ö/&" }, { days: 30 })),
    keyPem: forUser.keyPem,
  };
  issued.service = {
    ...(await ca.issueService(forService.requestPem, { clusterUuid, service: "kafka-sink" }, { days: 90 })),
    keyPem: forService.keyPem,
  };
  const names = {
    commonName: "db.example",
    dns: ["db.example", "*.db.example"],
    addresses: ["127.0.0.1", "::1"],
  };
  issued.server = {
    ...(await ca.issueServer(forServer.requestPem, names, { days: 365 })),
    keyPem: forServer.keyPem,
  };
});

/** What openssl says; undefined where there is none. */
function openssl(files: Record<string, string>, ...args: string[]): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "authority-"));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const { stdout, stderr, error } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" });
    if (error !== undefined) {
      console.log("skipped: there is no openssl here");
      return undefined;
    }
    return `${stdout}${stderr}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
const certificateOf = (one: { certificatePem: string }): X509Certificate =>
  new X509Certificate(one.certificatePem);
const revoked = (serial: string, reason: RevocationReason = "keyCompromise"): RevokedCertificate => ({
  serial,
  revokedAt: thisUpdate - 1000,
  reason,
});

describe("a CA", () => {
  it("signs itself, for ten years, and nothing below it", () => {
    const certificate = ca.certificate;
    expect(certificate.ca).toBe(true);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.checkIssued(certificate)).toBe(true);
    expect(made.fingerprint).toBe(fingerprintOf(certificate));
    expect(Math.round((Date.parse(certificate.validTo) - hostClock.now()) / dayMs)).toBe(3650);
    const text = openssl({ "ca.pem": made.certificatePem }, "x509", "-in", "ca.pem", "-noout", "-text");
    if (text === undefined) return;
    expect(text).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
    expect(text).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign\s/);
    expect(text).toMatch(/Subject Key Identifier: \s+([0-9A-F]{2}:){19}/);
  });

  it("has a name that no other of its cluster has, and no node", () => {
    expect(ca.certificate.subject).toMatch(
      new RegExp(`^O=ScratchBird\nCN=Cluster CA ${clusterUuid} [0-9a-f]{16}$`),
    );
    expect(other.authority.certificate.subject).not.toBe(ca.certificate.subject);
    for (const one of Object.values(issued))
      expect(certificateOf(one).subject.toLowerCase()).not.toBe(ca.certificate.subject.toLowerCase());
  });

  it("keeps its key to itself", async () => {
    const pkcs8 = Buffer.from(made.pkcs8!);
    const signer = softwareSigner(pkcs8);
    expect(signer.publicKeySpki).toEqual(made.signer.publicKeySpki);
    const secret = pkcs8.subarray(-32);
    const shown = `${JSON.stringify(signer)}${Object.values(signer).map((one) => Buffer.from(one).toString("hex"))}`;
    expect(shown).not.toContain(secret.toString("hex"));
    pkcs8.fill(0); // the caller's copy
    expect(await signer.sign(Buffer.from("x"))).toHaveLength(64);
    expect(onP256.pkcs8).toBeUndefined();
  });

  it("that is to take over is tried out first (CA-28)", async () => {
    await ca.rehearse(clusterUuid);
    await onP256.authority.rehearse(clusterUuid);
    const folder = mkdtempSync(join(tmpdir(), "outside-"));
    try {
      // CAs that somebody made elsewhere: a good one, with its own idea of a key identifier, and one that may only sign lists.
      const made = (usage: string, ...more: string[]): Authority | undefined => {
        const extensions = ["basicConstraints=critical,CA:TRUE", `keyUsage=critical,${usage}`, ...more];
        const config = [
          "[req]",
          "distinguished_name=dn",
          "x509_extensions=ext",
          "[dn]",
          "[ext]",
          ...extensions,
        ];
        writeFileSync(join(folder, "req.cnf"), `${config.join("\n")}\n`);
        const args = ["req", "-x509", "-config", "req.cnf", "-newkey", "ed25519", "-nodes", "-keyout", "k"];
        const all = [...args, "-subj", "/C=FR/CN=Theirs", "-days", "9"];
        const { stdout, error } = spawnSync("openssl", all, { cwd: folder, encoding: "utf8" });
        if (error !== undefined) return undefined;
        const key = createPrivateKey(readFileSync(join(folder, "k"))).export({
          format: "der",
          type: "pkcs8",
        });
        return new Authority(stdout, softwareSigner(key), options);
      };
      const theirs = made("keyCertSign,cRLSign", "subjectKeyIdentifier=0102030405");
      if (theirs === undefined) return;
      await theirs.rehearse(clusterUuid);
      const list = await theirs.crl({ number: 1, revoked: [], thisUpdate, nextUpdate });
      expect(readCrl(list, theirs.certificate).number).toBe(1);
      const files = { "ca.pem": theirs.certificatePem, "crl.pem": list };
      expect(openssl(files, "crl", "-in", "crl.pem", "-CAfile", "ca.pem", "-noout")).toMatch(/verify OK/);
      expect(() => made("cRLSign")).toThrow(refusedAs("22023", /not a CA's/));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("is not made of a key that is another's, of a leaf, or of a signer that lies", async () => {
    const make = (pem: string, signer: CaSigner) => () => new Authority(pem, signer, options);
    expect(make(made.certificatePem, other.signer)).toThrow(
      refusedAs("22023", /not that of the CA's certificate/),
    );
    expect(make(issued.node.certificatePem, made.signer)).toThrow(refusedAs("22023", /not a CA's/));
    expect(make("x", made.signer)).toThrow(refusedAs("22023", /cannot be read/));
    expect(() => softwareSigner(Buffer.from("x"))).toThrow(refusedAs("22023", /PKCS #8/));
    const liar = {
      ...made.signer,
      publicKeySpki: made.signer.publicKeySpki,
      algorithm: made.signer.algorithm,
    };
    const lying = new Authority(
      made.certificatePem,
      { ...liar, sign: (data) => other.signer.sign(data) },
      options,
    );
    const { requestPem } = makeRequest({ keyKind: "Ed25519", commonName: "x" });
    const facts = { number: 1, revoked: [], thisUpdate, nextUpdate };
    await expect(lying.crl(facts)).rejects.toEqual(refusedAs("58030", /signer/));
    await expect(lying.issueNode(requestPem, node, { days: 1 })).rejects.toEqual(
      refusedAs("58030", /signer/),
    );
    for (const name of ["", "x".repeat(48), "a\nb"])
      await expect(createAuthority({ ...options, clusterUuid, name })).rejects.toEqual(
        refusedAs("22023", /name/),
      );
  });
});

describe("a certificate", () => {
  it("of any kind is one that OpenSSL verifies for its purpose and no other", () => {
    const purposes = {
      node: ["sslserver", "sslclient"],
      user: ["sslclient"],
      service: ["sslclient"],
      server: ["sslserver"],
    };
    for (const [kind, fit] of Object.entries(purposes))
      for (const purpose of ["sslserver", "sslclient"]) {
        const files = {
          "ca.pem": made.certificatePem,
          "leaf.pem": issued[kind as keyof typeof issued].certificatePem,
        };
        const args = ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem", "leaf.pem"];
        const said = openssl(files, ...args);
        if (said === undefined) return;
        if (fit.includes(purpose)) expect(said.trim(), `${kind} ${purpose}`).toBe("leaf.pem: OK");
        else expect(said, `${kind} ${purpose}`).toMatch(/purpose/);
      }
  });

  it("says what was issued", () => {
    for (const one of Object.values(issued)) {
      const certificate = certificateOf(one);
      expect(certificate.serialNumber.toLowerCase()).toBe(one.serial);
      expect(one.serial).toMatch(/^[0-9a-f]{32}$/);
      expect(fingerprintOf(certificate)).toBe(one.fingerprint);
      expect([Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]).toEqual([
        one.notBefore,
        one.notAfter,
      ]);
      expect(certificate.checkPrivateKey(createPrivateKey(one.keyPem))).toBe(true);
      expect(certificate.ca).toBe(false);
    }
    expect(issued.node.publicKey).toBe(publicKeyOf(certificateOf(issued.node)));
    const server = certificateOf(issued.server);
    expect(server.checkIP("::1")).toBe("::1");
    expect(server.checkHost("a.db.example")).toBe("*.db.example");
    expect(certificateOf(issued.node).subjectAltName).toBe(
      `URI:${identityUri({ kind: "node", clusterUuid, name: nodeUuid })}, DNS:node-1.cluster.${clusterUuid}.scratchbird.local`,
    );
  });

  it("is of one kind, and passes for no other (CA-18)", async () => {
    const kinds = Object.values(issued).map((one) => identityOf(certificateOf(one)));
    expect(kinds).toEqual([
      { kind: "node", clusterUuid, name: nodeUuid },
      { kind: "user", clusterUuid, name: "Ann Ö/&" },
      { kind: "service", clusterUuid, name: "kafka-sink" },
      undefined,
    ]);
    expect(identityOf(ca.certificate)).toBeUndefined();
    // A role called like a node is no node.
    const { requestPem } = makeRequest({ keyKind: "Ed25519", commonName: nodeUuid });
    const namesake = await ca.issueUser(requestPem, { clusterUuid, role: nodeUuid }, { days: 1 });
    const context = {
      clusterUuid,
      now: hostClock.now(),
      toleranceMs: 60_000,
      authorities: [{ certificate: ca.certificate, fingerprint: ca.fingerprint }],
      isRevoked: () => false,
      member: () => ({
        fingerprints: [namesake, ...Object.values(issued)].map((one) => one.fingerprint),
        removed: false,
      }),
    };
    const accepted = [...Object.values(issued), namesake].map(
      (one) => "node" in checkPeer(certificateOf(one), context),
    );
    expect(
      [...Object.values(issued), namesake].map((one) => {
        const verdict = checkPeer(certificateOf(one), context);
        return "condition" in verdict ? verdict.condition : "accepted";
      }),
    ).toEqual(["accepted", "MISSING_URI_SAN", "MISSING_URI_SAN", "MISSING_URI_SAN", "MISSING_URI_SAN"]);
    expect(accepted[0]).toBe(true);
  });

  it("of a CA on P-256 is one that OpenSSL verifies", async () => {
    const { requestPem } = makeRequest({ keyKind: "Ed25519", commonName: "x" });
    const leaf = await onP256.authority.issueNode(requestPem, node, { days: 365 });
    const files = { "ca.pem": onP256.certificatePem, "leaf.pem": leaf.certificatePem };
    const said = openssl(files, "verify", "-x509_strict", "-CAfile", "ca.pem", "leaf.pem");
    if (said !== undefined) expect(said.trim()).toBe("leaf.pem: OK");
    const list = await onP256.authority.crl({
      number: 1,
      revoked: [revoked(leaf.serial)],
      thisUpdate,
      nextUpdate,
    });
    expect([...readCrl(list, onP256.certificatePem).revoked.keys()]).toEqual([leaf.serial]);
  });

  it("never outlives its CA, and is not issued after it", async () => {
    const { requestPem } = makeRequest({ keyKind: "Ed25519", commonName: "x" });
    const at = (days: number) => ({ ...hostClock, now: () => hostClock.now() + days * dayMs });
    const late = new Authority(made.certificatePem, made.signer, { ...options, clock: at(3600) });
    const leaf = await late.issueNode(requestPem, node, { days: 365 });
    expect(leaf.notAfter).toBe(Date.parse(ca.certificate.validTo));
    const dead = new Authority(made.certificatePem, made.signer, { ...options, clock: at(3651) });
    await expect(dead.issueNode(requestPem, node, { days: 1 })).rejects.toEqual(
      refusedAs("55000", /valid until/),
    );
    for (const days of [0, 1.5, -1, 4000, Number.NaN])
      await expect(ca.issueNode(requestPem, node, { days })).rejects.toEqual(refusedAs("22023", /days/));
  });

  it("has a serial that was not used before", async () => {
    const { requestPem } = makeRequest({ keyKind: "Ed25519", commonName: "x" });
    let draws = 0;
    const stuck: Random = { fraction: () => 0, fill: (bytes) => bytes.fill(++draws > 2 ? 7 : 1) };
    const used = new Set<string>();
    const careful = new Authority(made.certificatePem, made.signer, {
      ...options,
      random: stuck,
      isSerialUsed: (serial) => used.has(serial),
    });
    used.add((await careful.issueNode(requestPem, node, { days: 1 })).serial);
    const second = await careful.issueNode(requestPem, node, { days: 1 });
    expect(used.has(second.serial)).toBe(false);
    used.add(second.serial);
    await expect(careful.issueNode(requestPem, node, { days: 1 })).rejects.toEqual(
      refusedAs("XX000", /repeat/),
    );
  });

  it("changed in any byte is refused", () => {
    const der = derOfPem(issued.node.certificatePem, "CERTIFICATE", 1e6);
    const holds = (bytes: Buffer): boolean => {
      try {
        const certificate = new X509Certificate(bytes);
        return certificate.verify(ca.certificate.publicKey) && certificate.checkIssued(ca.certificate);
      } catch (error) {
        expect(error).toHaveProperty("code"); // OpenSSL's, not a slip of the test
        return false;
      }
    };
    expect(holds(der)).toBe(true);
    for (let at = 0; at < der.length; at++) {
      const changed = Buffer.from(der);
      changed[at]! ^= 1 + (at % 255);
      expect(holds(changed), `byte ${at}`).toBe(false);
    }
  });
});

describe("a request", () => {
  it("is read: key, URIs, signature", () => {
    for (const keyKind of ["Ed25519", "ECDSA-P256", "RSA"] as const) {
      const uris = ["sb://cluster/a", "https://b/?c=d"];
      const { requestPem, keyPem } = makeRequest({ keyKind, commonName: "Ann", uris, dns: ["a.b"] });
      const request = readRequest(requestPem);
      expect({ keyKind: request.keyKind, uris: request.uris }).toEqual({ keyKind, uris });
      expect(createPrivateKey(keyPem).asymmetricKeyType).toBe(request.key.asymmetricKeyType);
      const said = openssl({ "r.pem": requestPem }, "req", "-in", "r.pem", "-verify", "-noout", "-text");
      if (said !== undefined) expect(said).toMatch(/verify OK/);
      if (said !== undefined) expect(said).toMatch(/URI:sb:\/\/cluster\/a, URI:https/);
    }
  });

  it("made by openssl is read, also with other wishes in it", () => {
    const folder = mkdtempSync(join(tmpdir(), "request-"));
    try {
      const make = (...args: string[]): string | undefined => {
        const { stdout, error } = spawnSync(
          "openssl",
          ["req", "-new", "-nodes", "-keyout", "k.pem", "-subj", "/C=FR/CN=ann", ...args],
          { cwd: folder, encoding: "utf8" },
        );
        return error === undefined ? stdout : undefined;
      };
      const uri = identityUri({ kind: "user", clusterUuid, name: "ann" });
      const names = ["-addext", `subjectAltName=URI:${uri},DNS:x.y,email:a@b.c,IP:1.2.3.4`];
      const rest = ["-addext", "keyUsage=critical,digitalSignature"];
      const pem = make("-newkey", "rsa:3072", "-sha512", ...names, ...rest);
      if (pem === undefined) return console.log("skipped: there is no openssl here");
      expect(readRequest(pem)).toMatchObject({ keyKind: "RSA", uris: [uri] });
      const text = make("-newkey", "ed25519")!;
      expect(readRequest(text.replaceAll("\n", "\r\n"))).toMatchObject({ keyKind: "Ed25519", uris: [] });
      const explicit = make(
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-pkeyopt",
        "ec_param_enc:explicit",
      )!;
      const spelledOut = readRequest(explicit);
      expect([spelledOut.keyKind, spelledOut.publicKeySpki.length]).toEqual(["ECDSA-P256", 91]);
      for (const [weak, why] of [
        [["-newkey", "rsa:1024"], /1024 bits/],
        [["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"], /neither/],
        [["-newkey", "rsa:2048", "-sha1"], /signed in a way/],
        [["-newkey", "ed448"], /neither/],
      ] as const)
        expect(() => readRequest(make(...weak)!)).toThrow(refusedAs("22023", why));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("must be whole, and signed by its own key", () => {
    const { requestPem } = makeRequest({ keyKind: "Ed25519", commonName: "x", uris: ["a:b"] });
    const der = derOfPem(requestPem, "CERTIFICATE REQUEST", 1e6);
    for (let at = 0; at < der.length; at++) {
      const changed = Buffer.from(der);
      changed[at]! ^= 1 + (at % 255);
      const pem = pemOf(changed, "CERTIFICATE REQUEST");
      expect(() => readRequest(pem), `byte ${at}`).toThrow(refusedAs("22023", /./));
    }
    for (const bad of ["", "x", requestPem.slice(0, 200), `${requestPem}${requestPem}`, "A".repeat(20_000)])
      expect(() => readRequest(bad)).toThrow(refusedAs("22023", /cannot be read/));
  });

  it("is only answered with what it asks for", async () => {
    const uri = identityUri({ kind: "node", clusterUuid, name: nodeUuid });
    const ask = (keyKind: KeyKind, uris: string[]) =>
      makeRequest({ keyKind, commonName: "x", uris }).requestPem;
    const asUser = (pem: string) => ca.issueUser(pem, { clusterUuid, role: "ann" }, { days: 1 });
    await expect(asUser(ask("Ed25519", [uri]))).rejects.toEqual(refusedAs("22023", /another certificate/));
    const own = identityUri({ kind: "user", clusterUuid, name: "ann" });
    await expect(asUser(ask("Ed25519", [own, uri]))).rejects.toEqual(
      refusedAs("22023", /another certificate/),
    );
    expect(identityOf(certificateOf(await asUser(ask("Ed25519", [own]))))).toMatchObject({ name: "ann" });
    const asNode = (pem: string) => ca.issueNode(pem, node, { days: 1 });
    await expect(asNode(ask("ECDSA-P256", [uri]))).rejects.toEqual(refusedAs("22023", /key of Ed25519/));
    await expect(asNode(ask("Ed25519", [own]))).rejects.toEqual(refusedAs("22023", /another certificate/));
    const names = { commonName: "x", dns: ["x"], addresses: [] };
    await expect(ca.issueServer(ask("Ed25519", []), names, { days: 1 })).rejects.toEqual(
      refusedAs("22023", /P256/),
    );
    for (const bad of [
      { dns: [] },
      { dns: ["a b"] },
      { addresses: ["1.2.3.256"] },
      { addresses: ["fe80::1%e"] },
    ])
      await expect(ca.issueServer(ask("ECDSA-P256", []), { ...names, ...bad }, { days: 1 })).rejects.toEqual(
        refusedAs("22023", /./),
      );
    for (const role of ["", "a\u0000b", "x".repeat(65), "\ud800"])
      await expect(ca.issueUser(ask("Ed25519", []), { clusterUuid, role }, { days: 1 })).rejects.toEqual(
        refusedAs("22023", /cannot name/),
      );
  });
});

describe("a name in a certificate", () => {
  it("has one spelling", () => {
    const name = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
      .filter((one) => !/\p{Cc}/u.test(one));
    fc.assert(
      fc.property(fc.constantFrom<"user" | "service">("user", "service"), name, (kind, text) => {
        const identity: Identity = { kind, clusterUuid, name: text };
        const uri = identityUri(identity);
        expect(uri).toMatch(/^[A-Za-z0-9:/._~%-]+$/);
        expect(parseIdentityUri(uri)).toEqual(identity);
      }),
    );
    const base = `sb://cluster/${clusterUuid}`;
    for (const bad of [
      `${base}/user/a%2fb`,
      `${base}/user/%61`,
      `${base}/user/`,
      `${base}/user/a/b`,
      `${base}/user/%FF`,
      `${base}/user/a%00b`,
      `${base}/node/ann`,
      `${base}/node/${nodeUuid.toUpperCase()}`,
      `${base}/admin/ann`,
      `sb://cluster/x/user/ann`,
      `${base}/user/ann?`,
    ])
      expect(parseIdentityUri(bad), bad).toBeUndefined();
  });
});

describe("a revocation list", () => {
  const reasons = Object.keys(revocationReasons) as RevocationReason[];
  const entry = fc.record({
    serial: fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => {
      const hex = Buffer.from(bytes)
        .toString("hex")
        .replace(/^(00)+(?=..)/, "");
      return hex;
    }),
    revokedAt: fc.integer({ min: 0, max: 4e9 }).map((seconds) => seconds * 1000),
    reason: fc.constantFrom(...reasons),
  });
  const entries = fc.uniqueArray(entry, { selector: (one) => one.serial, maxLength: 20 });

  it("is read as it was written, in any order", async () => {
    await fc.assert(
      fc.asyncProperty(
        entries,
        fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
        async (list, number) => {
          const facts = { number, revoked: list, thisUpdate, nextUpdate };
          const pem = await ca.crl(facts);
          const read = readCrl(pem, made.certificatePem);
          expect([read.number, read.thisUpdate, read.nextUpdate]).toEqual([number, thisUpdate, nextUpdate]);
          const expected = new Map(
            list.map(({ serial, revokedAt, reason }) => [serial, { revokedAt, reason }]),
          );
          expect(read.revoked).toEqual(expected);
          expect(await ca.crl({ ...facts, revoked: [...list].reverse() })).toBe(pem);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("is one that OpenSSL reads, verifies and goes by", async () => {
    const all = reasons.map((reason, at) => revoked(`4${at}`, reason));
    const pem = await ca.crl({
      number: 4711,
      revoked: [...all, revoked(issued.node.serial)],
      thisUpdate,
      nextUpdate,
    });
    const files = {
      "ca.pem": made.certificatePem,
      "crl.pem": pem,
      "other.pem": other.certificatePem,
      "node.pem": issued.node.certificatePem,
      "user.pem": issued.user.certificatePem,
    };
    const text = openssl(files, "crl", "-in", "crl.pem", "-CAfile", "ca.pem", "-noout", "-text");
    if (text === undefined) return;
    expect(text).toMatch(/verify OK/);
    expect(text).toMatch(/Version 2 \(0x1\)/);
    expect(text).toMatch(/X509v3 CRL Number: \s+4711/);
    for (const name of ["Key Compromise", "CA Compromise", "Affiliation Changed", "Superseded"])
      expect(text).toContain(name);
    for (const name of ["Cessation Of Operation", "Certificate Hold", "Privilege Withdrawn", "AA Compromise"])
      expect(text).toContain(name);
    expect(openssl(files, "crl", "-in", "crl.pem", "-CAfile", "other.pem", "-noout")).not.toMatch(
      /verify OK/,
    );
    const verify = ["verify", "-x509_strict", "-crl_check", "-CAfile", "ca.pem", "-CRLfile", "crl.pem"];
    expect(openssl(files, ...verify, "node.pem")).toMatch(/certificate revoked/);
    expect(openssl(files, ...verify, "user.pem")).toMatch(/user\.pem: OK/);
    const empty = await ca.crl({ number: 1, revoked: [], thisUpdate, nextUpdate });
    const told = openssl({ ...files, "crl.pem": empty }, ...verify, "node.pem");
    expect(told).toMatch(/node\.pem: OK/);
  });

  it("is one that Node's TLS goes by", async () => {
    const tried = async (crl: string): Promise<string> => {
      const { node: leaf } = issued;
      const server = createServer({
        key: leaf.keyPem,
        cert: leaf.certificatePem,
        ca: made.certificatePem,
        crl,
        requestCert: true,
        rejectUnauthorized: false,
        minVersion: "TLSv1.3",
      });
      const seen = new Promise<string>((resolve) => {
        server.on("secureConnection", (socket: TLSSocket) => {
          resolve(socket.authorized ? "authorized" : String(socket.authorizationError));
          socket.destroy();
        });
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const client = connect({
        socket: connectTcp((server.address() as AddressInfo).port, "127.0.0.1"),
        key: issued.service.keyPem,
        cert: issued.service.certificatePem,
        rejectUnauthorized: false,
      });
      client.on("error", () => undefined);
      const said = await seen;
      client.destroy();
      await new Promise((resolve) => server.close(resolve));
      return said;
    };
    const facts = { number: 1, revoked: [revoked(issued.user.serial)], thisUpdate, nextUpdate };
    expect(await tried(await ca.crl(facts))).toBe("authorized");
    const withIt = [...facts.revoked, revoked(issued.service.serial)];
    expect(await tried(await ca.crl({ ...facts, number: 2, revoked: withIt }))).toBe("CERT_REVOKED");
    const old = { thisUpdate: thisUpdate - 2 * dayMs, nextUpdate: thisUpdate - dayMs };
    expect(await tried(await ca.crl({ ...facts, ...old }))).toBe("CRL_HAS_EXPIRED");
  });

  it("changed in any byte, or another CA's, is refused", async () => {
    const pem = await ca.crl({
      number: 300,
      revoked: [revoked("4a"), revoked("4b")],
      thisUpdate,
      nextUpdate,
    });
    const der = derOfPem(pem, "X509 CRL", 1e6);
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(der);
        changed[at]! ^= change;
        expect(() => readCrl(pemOf(changed, "X509 CRL"), made.certificatePem)).toThrow(
          refusedAs("22023", /./),
        );
      }),
      { numRuns: 1000 },
    );
    for (let length = 0; length < der.length; length++) {
      const cut = pemOf(der.subarray(0, length), "X509 CRL");
      expect(() => readCrl(cut, made.certificatePem), `${length} bytes`).toThrow(
        refusedAs("22023", /cannot be read/),
      );
    }
    const renamed = pem.replaceAll("X509 CRL", "CRL");
    expect(() => readCrl(renamed, made.certificatePem)).toThrow(refusedAs("22023", /cannot be read/));
    expect(() => readCrl(pem, other.certificatePem)).toThrow(refusedAs("22023", /another CA's/));
  });

  it("that OpenSSL made is read", async () => {
    const folder = mkdtempSync(join(tmpdir(), "openssl-ca-"));
    try {
      writeFileSync(join(folder, "ca.pem"), made.certificatePem);
      writeFileSync(join(folder, "ca.key"), pemOf(made.pkcs8!, "PRIVATE KEY"));
      const entry = (serial: string, why: string) =>
        `R\t360101000000Z\t260102030405Z${why}\t${serial}\tunknown\t/CN=x\n`;
      writeFileSync(
        join(folder, "index.txt"),
        entry("4A01", "") + entry("4A02", ",keyCompromise") + entry("4A03", ",superseded"),
      );
      writeFileSync(join(folder, "number"), "1234\n");
      const config = [
        "[ca]",
        "default_ca=d",
        "[d]",
        "database=index.txt",
        "crlnumber=number",
        "default_md=default",
      ];
      const rest = ["default_crl_days=7", "crl_extensions=e", "[e]", "authorityKeyIdentifier=keyid"];
      writeFileSync(join(folder, "ca.cnf"), `${[...config, ...rest].join("\n")}\n`);
      const args = ["ca", "-gencrl", "-config", "ca.cnf", "-keyfile", "ca.key", "-cert", "ca.pem"];
      const { stdout, stderr, error } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" });
      if (error !== undefined) return console.log("skipped: there is no openssl here");
      expect(stdout, stderr).toContain("BEGIN X509 CRL");
      const read = readCrl(stdout, made.certificatePem);
      expect(read.number).toBe(0x1234);
      const revokedAt = Date.UTC(2026, 0, 2, 3, 4, 5);
      expect([...read.revoked]).toEqual([
        ["4a01", { revokedAt, reason: "cessationOfOperation" }], // it gave none
        ["4a02", { revokedAt, reason: "keyCompromise" }],
        ["4a03", { revokedAt, reason: "superseded" }],
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("rightly signed, but of a form that means something else, is refused", async () => {
    const { name, keyIdentifier } = issuerPartsOf(ca.certificate);
    const list = async (change: {
      signer?: CaSigner;
      version?: number;
      entries?: Buffer[];
      extensions?: Buffer[];
      dates?: Buffer[];
      issuer?: Buffer;
    }): Promise<string> => {
      const signed = sequence(
        integer(change.version ?? 1),
        algorithms.Ed25519,
        change.issuer ?? name,
        ...(change.dates ?? [time(thisUpdate), time(nextUpdate)]),
        ...(change.entries === undefined ? [] : [sequence(...change.entries)]),
        element(
          contextTag(0, true),
          sequence(...(change.extensions ?? [extension(oid.crlNumber, false, integer(7))])),
        ),
      );
      return pemOf(
        sequence(signed, algorithms.Ed25519, bitString(await (change.signer ?? made.signer).sign(signed))),
        "X509 CRL",
      );
    };
    const entry = (serial: number, ...more: Buffer[]): Buffer =>
      sequence(integer(serial), time(thisUpdate), ...more);
    const reason = (code: number): Buffer =>
      sequence(extension(oid.reasonCode, false, element(tag.enumerated, Buffer.from([code]))));
    expect(readCrl(await list({}), ca.certificate)).toMatchObject({ number: 7 });
    const forged = await list({ signer: other.signer });
    expect(() => readCrl(forged, ca.certificate)).toThrow(refusedAs("22023", /not signed by its CA/));
    expect(
      readCrl(await list({ entries: [entry(1, reason(10)), entry(2)] }), ca.certificate).revoked.size,
    ).toBe(2);
    const number = extension(oid.crlNumber, false, integer(7));
    for (const [change, why] of [
      [{ version: 0 }, /not of version 2/],
      [{ entries: [] }, /should be left out/],
      [{ entries: [entry(1), entry(1)] }, /stands there twice/],
      [{ entries: [entry(1, reason(8))] }, /a delta's/],
      [{ entries: [entry(1, sequence(extension("2.5.29.29", true, sequence())))] }, /critical/],
      [{ entries: [sequence(unsigned(Buffer.alloc(21, 1)), time(thisUpdate))] }, /more than 20 bytes/],
      [{ extensions: [] }, /has no number/],
      [{ extensions: [number, number] }, /twice/],
      [{ extensions: [number, extension("2.5.29.28", true, sequence())] }, /critical/], // only a part of the certificates
      [{ extensions: [number, extension("2.5.29.27", true, integer(3))] }, /critical/], // a delta
      [{ extensions: [number, authorityKeyIdentifier(Buffer.alloc(20))] }, /another key/],
      [{ dates: [time(nextUpdate), time(thisUpdate)] }, /ends before/],
      [{ dates: [time(thisUpdate)] }, /./], // no end
    ] as const)
      await expect(
        (async () => readCrl(await list(change as object), ca.certificate))(),
        String(why),
      ).rejects.toMatchObject({
        sqlstate: "22023",
        fields: { detail: expect.stringMatching(why) },
      });
    expect(
      readCrl(await list({ extensions: [number, authorityKeyIdentifier(keyIdentifier)] }), ca.certificate)
        .number,
    ).toBe(7);
    await expect(
      (async () =>
        readCrl(await list({ issuer: issuerPartsOf(other.authority.certificate).name }), ca.certificate))(),
    ).rejects.toEqual(refusedAs("22023", /another CA's/));
  });

  it("states no nonsense", async () => {
    const facts = { number: 1, revoked: [], thisUpdate, nextUpdate };
    const refused = async (change: object, why: RegExp): Promise<void> =>
      expect(ca.crl({ ...facts, ...change })).rejects.toEqual(refusedAs("22023", why));
    await refused({ number: -1 }, /number/);
    await refused({ number: 2 ** 53 }, /number/);
    await refused({ nextUpdate: thisUpdate }, /end after/);
    await refused({ nextUpdate: Number.NaN }, /moment NaN/);
    await refused({ revoked: [{ ...revoked("4a"), revokedAt: 1e15 }] }, /moment/);
    await refused({ revoked: [revoked("xyz")] }, /serial/);
    await refused({ revoked: [revoked("4A"), revoked("004a")] }, /twice/);
    await refused({ revoked: [{ ...revoked("4a"), reason: "unspecified" }] }, /reason/);
  });

  it("of 5,000 certificates is made and read in a moment", async () => {
    const many = Array.from({ length: 5000 }, (_one, at) =>
      revoked((0x40000000000000000000000000000000n + BigInt(at) * 0x9e3779b97f4a7c15n).toString(16)),
    );
    const facts = { number: 9, revoked: many, thisUpdate, nextUpdate };
    const cpuMs = async <T>(run: () => T): Promise<[Awaited<T>, number]> => {
      const before = process.cpuUsage(); // others on the machine do not count
      const result = await run();
      const { user, system } = process.cpuUsage(before);
      return [result, (user + system) / 1000];
    };
    const [pem, wrote] = await cpuMs(() => ca.crl(facts));
    const [list, read] = await cpuMs(() => readCrl(pem, ca.certificate));
    expect(list.revoked.size).toBe(5000);
    console.log(`5,000 entries: made in ${wrote} ms, read in ${read} ms, ${pem.length} characters`);
    expect(wrote).toBeLessThan(400);
    expect(read).toBeLessThan(400);
  });
});
