/**
 * Certificates for tests of those who check them: right ones of other people, wrong ones of the cluster's own CA, and what no CA of
 * ours would issue, signed by its key all the same.
 */
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { HostDisk, hostClock, hostRandom } from "../../src/platform/host.js";
import { algorithms, altNames, extension, names, oid } from "../../src/security/certificate-parts.js";
import {
  bitString,
  contextTag,
  element,
  integer,
  namedBits,
  objectIdentifier,
  pemOf,
  sequence,
  time,
  unsigned,
} from "../../src/security/der.js";
import {
  Authority,
  type CaSigner,
  CaStore,
  createAuthority,
  identityUri,
  makeRequest,
  nodeRequest,
  passphraseFrom,
} from "../../src/security/index.js";
import { issuerPartsOf } from "../../src/security/revocation-list.js";

export interface Shown {
  readonly certificatePem: string;
  readonly keyPem: string;
}

const dayMs = 86_400_000;
const serverAuth = "1.3.6.1.5.5.7.3.1";
const clientAuth = "1.3.6.1.5.5.7.3.2";

/** A CA whose key is at hand: that of the cluster, by what its founder keeps, or another one. */
export class OpenCa {
  private constructor(
    readonly clusterUuid: string,
    readonly certificatePem: string,
    readonly fingerprint: string,
    readonly signer: CaSigner,
  ) {}

  static async ofFolder(folder: string, clusterUuid: string): Promise<OpenCa> {
    const disk = new HostDisk(folder);
    const store = new CaStore(disk, hostRandom, passphraseFrom({ kept: { disk, random: hostRandom } }));
    const [fingerprint = ""] = store.list();
    return new OpenCa(
      clusterUuid,
      store.certificateOf(fingerprint),
      fingerprint,
      await store.open(fingerprint),
    );
  }
  static async unknown(clusterUuid: string): Promise<OpenCa> {
    const made = await createAuthority({ clusterUuid, clock: hostClock, random: hostRandom });
    return new OpenCa(clusterUuid, made.certificatePem, made.fingerprint, made.signer);
  }

  /** `aheadMs`: as if it had been issued then; certificates begin a day before. */
  #at(aheadMs: number): Authority {
    const clock = { ...hostClock, now: () => Date.now() + aheadMs };
    return new Authority(this.certificatePem, this.signer, { clock, random: hostRandom });
  }

  async node(
    node: string,
    options: { cluster?: string; fromMs?: number; days?: number } = {},
  ): Promise<Shown> {
    const { cluster: clusterUuid = this.clusterUuid, fromMs = -dayMs, days = 30 } = options;
    const subject = { clusterUuid, nodeUuid: node, nodeName: "forged" };
    const { requestPem, keyPem } = nodeRequest(subject);
    const issued = await this.#at(fromMs + dayMs).issueNode(requestPem, subject, { days });
    return { certificatePem: issued.certificatePem, keyPem };
  }
  async user(role: string): Promise<Shown> {
    const { requestPem, keyPem } = makeRequest({ keyKind: "Ed25519", commonName: role });
    const subject = { clusterUuid: this.clusterUuid, role };
    return { ...(await this.#at(0).issueUser(requestPem, subject, { days: 30 })), keyPem };
  }
  async service(service: string): Promise<Shown> {
    const { requestPem, keyPem } = makeRequest({ keyKind: "Ed25519", commonName: service });
    const subject = { clusterUuid: this.clusterUuid, service };
    return { ...(await this.#at(0).issueService(requestPem, subject, { days: 30 })), keyPem };
  }
  async server(): Promise<Shown> {
    const { requestPem, keyPem } = makeRequest({ keyKind: "ECDSA-P256", commonName: "localhost" });
    const subject = { commonName: "localhost", dns: ["localhost"], addresses: ["127.0.0.1"] };
    return { ...(await this.#at(0).issueServer(requestPem, subject, { days: 30 })), keyPem };
  }

  /** What our own issuer refuses to make. */
  async odd(options: {
    readonly node?: string;
    readonly key?: "ed25519" | "p256" | "rsa1024";
    readonly usages?: readonly string[];
    readonly isCa?: boolean;
  }): Promise<Shown> {
    const { node, key = "ed25519", usages = [serverAuth, clientAuth], isCa = false } = options;
    const { privateKey } =
      key === "ed25519"
        ? generateKeyPairSync("ed25519")
        : key === "p256"
          ? generateKeyPairSync("ec", { namedCurve: "prime256v1" })
          : generateKeyPairSync("rsa", { modulusLength: 1024 });
    const algorithm = algorithms[this.signer.algorithm];
    const serial = new Uint8Array(16);
    hostRandom.fill(serial);
    serial[0] = 0x41;
    const uri = node && identityUri({ kind: "node", clusterUuid: this.clusterUuid, name: node });
    const issuer = issuerPartsOf(this.#at(0).certificate);
    const now = Math.floor(Date.now() / 1000) * 1000;
    const signed = sequence(
      element(contextTag(0, true), integer(2)),
      unsigned(serial),
      algorithm,
      issuer.name,
      sequence(time(now - dayMs), time(now + dayMs)),
      names({ CN: node ?? "nobody" }),
      createPublicKey(privateKey).export({ format: "der", type: "spki" }),
      element(
        contextTag(3, true),
        sequence(
          extension(
            oid.basicConstraints,
            true,
            isCa ? sequence(element(0x01, Uint8Array.of(0xff))) : sequence(),
          ),
          extension(oid.keyUsage, true, namedBits(isCa ? 5 : 0)),
          extension(oid.extendedKeyUsage, false, sequence(...usages.map(objectIdentifier))),
          ...(uri === undefined
            ? []
            : [extension(oid.subjectAltName, false, altNames([{ type: "uri", value: uri }]))]),
        ),
      ),
    );
    const signature = await this.signer.sign(signed);
    return {
      certificatePem: pemOf(sequence(signed, algorithm, bitString(signature)), "CERTIFICATE"),
      keyPem: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    };
  }
}
