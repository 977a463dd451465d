/**
 * What the Postgres port shows, and its files:
 *
 *     tls/server.crt tls/server.key    an operator's own, or a self-signed one, P-256 with SHA-256, made when a node is created
 *     tls/port.pem                     the one that the cluster's CA has issued: key, certificate, CA in one file
 *
 * An operator's own comes first, the self-signed one last (`port-certificate.ts` decides). P-256 and SHA-256 because libpq
 * cannot bind SCRAM-SHA-256-PLUS to what is signed with Ed25519, which names no hash (RFC 5929, 4.1).
 *
 * Invariants: key files are readable by their owner alone; material that was read back belongs together.
 */
import { createHash, createPrivateKey, webcrypto, X509Certificate } from "node:crypto";
import { assert, DbError } from "../base/errors.js";
import type { Clock, Disk, Random, TlsMaterial } from "../platform/index.js";
import { objectIdentifier, only, partsOf } from "./der.js";

const certificatePath = "tls/server.crt";
const keyPath = "tls/server.key";
const portPath = "tls/port.pem";
const dayMs = 86_400_000;
const validDays = 3650;

/** By the identifier of the signature's algorithm; in place of MD5 and SHA-1 SHA-256. */
const endPointHashes: readonly (readonly [algorithm: string, hash: string])[] = [
  ["1.2.840.113549.1.1.4", "sha256"],
  ["1.2.840.113549.1.1.5", "sha256"],
  ["1.2.840.113549.1.1.11", "sha256"],
  ["1.2.840.113549.1.1.12", "sha384"],
  ["1.2.840.113549.1.1.13", "sha512"],
  ["1.2.840.10045.4.1", "sha256"],
  ["1.2.840.10045.4.3.2", "sha256"],
  ["1.2.840.10045.4.3.3", "sha384"],
  ["1.2.840.10045.4.3.4", "sha512"],
];

/**
 * tls-server-end-point (RFC 5929, 4): the certificate's hash by the algorithm that it is signed with. Undefined: its signature names
 * no hash of its own, and nothing can be bound to it.
 */
export function serverEndPoint(certificatePem: string): Uint8Array | undefined {
  const der = new X509Certificate(certificatePem).raw;
  const [, algorithm] = partsOf(only(der));
  const identifier = partsOf(algorithm)[0]?.whole ?? new Uint8Array();
  const known = endPointHashes.find(([one]) => objectIdentifier(one).equals(identifier));
  return known && createHash(known[1]).update(der).digest();
}

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

/**
 * Whether this is the certificate that a node has made for itself, and not an operator's: signed by its own key, for servers alone,
 * and valid for just as long as we make them.
 */
export function isSelfMade({ certificatePem }: TlsMaterial): boolean {
  const certificate = new X509Certificate(certificatePem);
  const lasts = Date.parse(certificate.validTo) - Date.parse(certificate.validFrom);
  const usages = certificate.keyUsage ?? [];
  return (
    certificate.checkIssued(certificate) &&
    certificate.verify(certificate.publicKey) &&
    certificate.publicKey.asymmetricKeyType === "ec" &&
    usages.length === 1 &&
    usages[0] === serverAuthentication &&
    lasts === (validDays + 1) * dayMs
  );
}
const serverAuthentication = "1.3.6.1.5.5.7.3.1";

/** Of a CA, and the CA itself. */
export interface PortMaterial extends TlsMaterial {
  readonly authorityPem: string;
}

/** Durable when it returns. @throws DbError configFileError (F0000): the three do not belong together */
export function storePortMaterial(disk: Disk, material: PortMaterial): void {
  checkPortMaterial(material);
  const { keyPem, certificatePem, authorityPem } = material;
  disk.makeFolderSync("tls");
  // In one piece: whenever the node dies, the folder holds one certificate or the other.
  disk.writeFileSync(portPath, Buffer.from(`${keyPem}${certificatePem}${authorityPem}`), 0o600);
  disk.syncFolderSync("tls");
}

/** Undefined: there is none, or it is damaged; another one is to be had from the CA. */
export function readPortMaterial(disk: Disk): PortMaterial | undefined {
  if (!disk.existsSync(portPath)) return undefined;
  const text = Buffer.from(disk.readFileSync(portPath)).toString("utf8");
  const [keyPem = "", certificatePem = "", authorityPem = ""] =
    text.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----\n?/g) ?? [];
  const material = { keyPem, certificatePem, authorityPem };
  try {
    checkPortMaterial(material);
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    return undefined;
  }
  return material;
}

function checkPortMaterial({ keyPem, certificatePem, authorityPem }: PortMaterial): void {
  let belongs = false;
  try {
    const certificate = new X509Certificate(certificatePem);
    belongs =
      certificate.checkPrivateKey(createPrivateKey(keyPem)) &&
      certificate.verify(new X509Certificate(authorityPem).publicKey);
  } catch (error) {
    throw new DbError("configFileError", "the certificate of the Postgres port cannot be read", {}, error);
  }
  if (!belongs)
    throw new DbError(
      "configFileError",
      "key, certificate and CA of the Postgres port do not belong together",
    );
}
