import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { HostDisk, hostClock, hostRandom } from "../platform/host.js";
import { readServerCertificate, serverCertificate } from "./tls.js";

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
