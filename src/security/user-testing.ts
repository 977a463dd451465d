/** For tests and checks: user certificates, right and wrong ones. No part of the server imports this file. */
import { webcrypto } from "node:crypto";
import { identityUri } from "./certificate-names.js";
import type { KeyAndCertificate } from "./node-identity.js";

const algorithms = {
  ed25519: { name: "Ed25519" },
  p256: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  p384: { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
  rsa: rsa(2048),
  weak: rsa(1024),
} as const;

function rsa(modulusLength: number) {
  return {
    name: "RSASSA-PKCS1-v1_5",
    modulusLength,
    publicExponent: Uint8Array.of(1, 0, 1),
    hash: "SHA-256",
  } as const;
}

export const userUri = (clusterUuid: string, role: string): string =>
  identityUri({ kind: "user", clusterUuid, name: role });

export interface UserCertificateOptions {
  readonly uris: readonly string[];
  readonly commonName?: string;
  readonly key?: keyof typeof algorithms;
  readonly usages?: readonly ("server" | "client")[];
  readonly isCa?: boolean;
  readonly issuerName?: string;
  /** Days from now. */
  readonly from?: number;
  readonly until?: number;
}

/** A certificate by an Ed25519 CA, with its key. */
export async function makeUserCertificate(
  ca: KeyAndCertificate,
  options: UserCertificateOptions,
): Promise<KeyAndCertificate> {
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  x509.cryptoProvider.set(webcrypto);
  const algorithm = algorithms[options.key ?? "ed25519"];
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
  const issuer = new x509.X509Certificate(ca.certificatePem);
  const pem = (der: ArrayBuffer, label: string): string => x509.PemConverter.encode(der, label);
  const signingKey = await webcrypto.subtle.importKey(
    "pkcs8",
    x509.PemConverter.decodeFirst(ca.keyPem),
    algorithms.ed25519,
    false,
    ["sign"],
  );
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const at = (days: number): Date => new Date(Date.now() + days * 86_400_000);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: `4${Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)))
        .toString("hex")
        .slice(1)}`,
      subject: [{ CN: [options.commonName ?? "user"] }],
      issuer: options.issuerName ?? issuer.subjectName,
      notBefore: at(options.from ?? -1),
      notAfter: at(options.until ?? 90),
      signingAlgorithm: algorithms.ed25519,
      publicKey: keys.publicKey,
      signingKey,
      extensions: [
        new x509.BasicConstraintsExtension(options.isCa ?? false, undefined, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.digitalSignature | (options.isCa === true ? x509.KeyUsageFlags.keyCertSign : 0),
          true,
        ),
        new x509.ExtendedKeyUsageExtension(
          (options.usages ?? ["client"]).map((one) => (one === "client" ? clientAuth : serverAuth)),
        ),
        ...(options.uris.length === 0
          ? []
          : [
              new x509.SubjectAlternativeNameExtension(
                options.uris.map((value) => ({ type: "url" as const, value })),
              ),
            ]),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ],
    },
    webcrypto,
  );
  return {
    certificatePem: `${certificate.toString("pem")}\n`,
    keyPem: `${pem(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY")}\n`,
  };
}
