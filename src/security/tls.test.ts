import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { HostDisk, hostClock, hostRandom } from "../platform/host.js";
import { createAuthority } from "./authority.js";
import { makeRequest } from "./certificate-request.js";
import { isSelfMade, readServerCertificate, serverCertificate, serverEndPoint } from "./tls.js";

const folder = mkdtempSync(join(tmpdir(), "tls-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const names = { commonName: "node-1", dns: ["localhost", "db.example"], addresses: ["127.0.0.1", "::1"] };

describe("the server certificate", () => {
  it("is a self-signed P-256 certificate for the node's names, kept in the data folder", async () => {
    const disk = new HostDisk(folder);
    expect(readServerCertificate(disk)).toBeUndefined();
    const made = await serverCertificate(disk, names, hostClock, hostRandom);
    const certificate = new X509Certificate(made.certificatePem);
    expect(certificate.publicKey.asymmetricKeyDetails).toMatchObject({ namedCurve: "prime256v1" });
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.subject).toBe("CN=node-1");
    expect(certificate.checkHost("db.example")).toBe("db.example");
    expect(certificate.checkIP("127.0.0.1")).toBe("127.0.0.1");
    expect(Date.parse(certificate.validTo) - hostClock.now()).toBeGreaterThan(9 * 365 * 86_400_000);
    expect(statSync(join(folder, "tls/server.key")).mode & 0o777).toBe(0o600);
    expect(await serverCertificate(disk, names, hostClock, hostRandom)).toEqual(made);
  });

  it("is refused when key and certificate do not belong together, or are no PEM", async () => {
    const disk = new HostDisk(folder);
    const own = readServerCertificate(disk)!;
    const other = new HostDisk(mkdtempSync(join(folder, "other-")));
    const foreign = await serverCertificate(other, names, hostClock, hostRandom);
    disk.writeFileSync("tls/server.key", Buffer.from(foreign.keyPem));
    expect(() => readServerCertificate(disk)).toThrow("tls/server.key is not the key of tls/server.crt");
    disk.writeFileSync("tls/server.key", Buffer.from("x"));
    expect(() => readServerCertificate(disk)).toThrow("cannot be read as PEM");
    disk.writeFileSync("tls/server.key", Buffer.from(own.keyPem));
    expect(readServerCertificate(disk)).toEqual(own);
  });
});

describe("what log-ins bind to (RFC 5929)", () => {
  const clusterUuid = "00000000-0000-4000-8000-00000000000c";
  const signedBy = async (algorithm: "Ed25519" | "ECDSA-P256"): Promise<string> => {
    const { authority } = await createAuthority({
      clusterUuid,
      clock: hostClock,
      random: hostRandom,
      algorithm,
    });
    const { requestPem } = makeRequest({ keyKind: "ECDSA-P256", commonName: "node-1" });
    return (await authority.issueServer(requestPem, names, { days: 30 })).certificatePem;
  };
  const sha = (name: string, pem: string) => createHash(name).update(new X509Certificate(pem).raw).digest();

  it("is a hash by the algorithm that has signed the certificate, and none where that names none", async () => {
    const pem = await signedBy("ECDSA-P256");
    expect(serverEndPoint(pem)).toEqual(sha("sha256", pem));
    expect(serverEndPoint(await signedBy("Ed25519"))).toBeUndefined();
    const made = mkdtempSync(join(folder, "openssl-"));
    for (const hash of ["sha256", "sha384", "sha512"])
      for (const key of [["rsa:2048"], ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]]) {
        const args = ["req", "-x509", "-newkey", ...key, `-${hash}`, "-nodes", "-subj", "/CN=x"];
        execFileSync("openssl", [...args, "-keyout", "k", "-out", "c"], { cwd: made, stdio: "pipe" });
        const theirs = readFileSync(join(made, "c"), "utf8");
        expect(serverEndPoint(theirs)).toEqual(sha(hash, theirs));
        expect(isSelfMade({ certificatePem: theirs, keyPem: "" })).toBe(false);
      }
  });

  it("tells what a node has made for itself from everything else", async () => {
    const own = await serverCertificate(new HostDisk(folder), names, hostClock, hostRandom);
    expect(isSelfMade(own)).toBe(true);
    expect(isSelfMade({ certificatePem: await signedBy("ECDSA-P256"), keyPem: "" })).toBe(false);
  });
});
