/**
 * For tests: CAs with their keys in the open, and certificates of them. Forgeries are made of the same parts as what is real.
 */
import { createPrivateKey, sign } from "node:crypto";
import type { Clock, Random } from "../platform/index.js";
import { Authority, createAuthority } from "./authority.js";
import { softwareSigner } from "./ca-signer.js";
import { nodeRequest } from "./certificate-request.js";
import { bitString, derOfPem, only, partsOf, pemOf, sequence } from "./der.js";
import { type KeyAndCertificate, type NodeSubject, nodeCertificateDays } from "./node-identity.js";

/** A CA of a cluster. */
export async function createCa(
  clusterUuid: string,
  clock: Clock,
  random: Random,
): Promise<KeyAndCertificate> {
  const { certificatePem, pkcs8 } = await createAuthority({ clusterUuid, clock, random });
  return { certificatePem, keyPem: pemOf(pkcs8!, "PRIVATE KEY") };
}

/** With the node's own key: as a founder and a newcomer have them. */
export async function nodeIdentity(
  ca: KeyAndCertificate,
  subject: NodeSubject,
  clock: Clock,
  random: Random,
): Promise<KeyAndCertificate> {
  const { requestPem, keyPem } = nodeRequest(subject);
  return { certificatePem: await issueNodeCertificate(ca, requestPem, subject, clock, random), keyPem };
}

export async function issueNodeCertificate(
  ca: KeyAndCertificate,
  requestPem: string,
  subject: NodeSubject,
  clock: Clock,
  random: Random,
): Promise<string> {
  const signer = softwareSigner(derOfPem(ca.keyPem, "PRIVATE KEY", 10_000));
  const authority = new Authority(ca.certificatePem, signer, { clock, random });
  return (await authority.issueNode(requestPem, subject, { days: nodeCertificateDays })).certificatePem;
}

/** The same certificate, signed by another Ed25519 key than that of the CA it names. */
export function resigned(certificatePem: string, keyPem: string): string {
  const [signed, algorithm] = partsOf(only(derOfPem(certificatePem, "CERTIFICATE", 100_000)));
  const signature = sign(null, signed!.whole, createPrivateKey(keyPem));
  return pemOf(sequence(signed!.whole, algorithm!.whole, bitString(signature)), "CERTIFICATE");
}
