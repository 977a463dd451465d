/**
 * The certificate of the Postgres port: self-signed, P-256 with SHA-256, made when a node is created.
 *
 * P-256 because libpq cannot bind SCRAM-SHA-256-PLUS to an Ed25519 certificate (design/dependencies.md 1.4). Clients check
 * nothing by default; with sslmode=verify-ca an operator hands them this certificate as root, or replaces both files.
 *
 * Invariants: the key file is readable by its owner alone; material that was read back belongs together.
 */
import { createPrivateKey, webcrypto, X509Certificate } from "node:crypto";
import { assert, DbError } from "../base/errors.js";
import type { Clock, Disk, Random, TlsMaterial } from "../platform/index.js";

const certificatePath = "tls/server.crt";
const keyPath = "tls/server.key";
const dayMs = 86_400_000;
const validDays = 3650;

export interface CertificateNames {
  readonly commonName: string;
  readonly dns: readonly string[];
  readonly addresses: readonly string[];
}

/** Of a certificate: hexadecimal. */
export function newSerial(random: Random): string {
  const serial = new Uint8Array(16);
  random.fill(serial);
  serial[0] = (serial[0]! & 0x7f) | 0x40; // positive and of full length
  return Buffer.from(serial).toString("hex");
}

/** Makes key and certificate. Takes some 100 ms, most of it loading the library. */
export async function createServerCertificate(
  names: CertificateNames,
  clock: Clock,
  random: Random,
): Promise<TlsMaterial> {
  await import("reflect-metadata"); // the library needs it first
  const x509 = await import("@peculiar/x509");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const now = clock.now();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: newSerial(random),
      name: [{ CN: [names.commonName] }],
      notBefore: new Date(now - dayMs), // clients whose clocks lag behind
      notAfter: new Date(now + validDays * dayMs),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign,
          true,
        ),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension([
          ...names.dns.map((value) => ({ type: "dns" as const, value })),
          ...names.addresses.map((value) => ({ type: "ip" as const, value })),
        ]),
      ],
    },
    webcrypto,
  );
  const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  const keyPem = createPrivateKey({ key, format: "der", type: "pkcs8" }).export({
    format: "pem",
    type: "pkcs8",
  });
  return { certificatePem: `${certificate.toString("pem")}\n`, keyPem: keyPem.toString() };
}

/** Puts the material into the data folder; the key first, so that a certificate is never without its key. */
export function storeServerCertificate(disk: Disk, material: TlsMaterial): void {
  disk.makeFolderSync("tls");
  disk.writeFileSync(keyPath, Buffer.from(material.keyPem), 0o600);
  disk.writeFileSync(certificatePath, Buffer.from(material.certificatePem), 0o644);
  disk.syncFolderSync("tls");
}

/**
 * What the data folder holds; undefined when there is none.
 * @throws DbError configFileError (F0000) when a file cannot be understood or the two do not match
 */
export function readServerCertificate(disk: Disk): TlsMaterial | undefined {
  if (!disk.existsSync(certificatePath) || !disk.existsSync(keyPath)) return undefined;
  const certificatePem = Buffer.from(disk.readFileSync(certificatePath)).toString("utf8");
  const keyPem = Buffer.from(disk.readFileSync(keyPath)).toString("utf8");
  let matches = false;
  try {
    matches = new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
  } catch (error) {
    throw new DbError("configFileError", `${certificatePath} or ${keyPath} cannot be read as PEM`, {}, error);
  }
  if (!matches) {
    throw new DbError("configFileError", `${keyPath} is not the key of ${certificatePath}`, {
      hint: "Put back both files of one certificate, or remove both to have a new one made.",
    });
  }
  return { certificatePem, keyPem };
}

/** The material of the data folder, made and stored when it is not there. */
export async function serverCertificate(
  disk: Disk,
  names: CertificateNames,
  clock: Clock,
  random: Random,
): Promise<TlsMaterial> {
  const known = readServerCertificate(disk);
  if (known !== undefined) return known;
  storeServerCertificate(disk, await createServerCertificate(names, clock, random));
  const stored = readServerCertificate(disk);
  assert(stored !== undefined, "the certificate just stored is there");
  return stored;
}
