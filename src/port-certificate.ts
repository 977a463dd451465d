/**
 * The certificate of the Postgres port, over a node's life:
 *
 *     an operator's own (tls/server.crt)  >  one of the cluster's CA (tls/port.pem)  >  self-signed, until the CA has issued one
 *
 * With one of the CA clients can check whom they talk to: sslmode=verify-full and the CA's certificate (THR-2). It is asked for
 * when the node has none, 30 days before its end, when it was revoked, when the node is reached by other names, and
 * behind an exchange of CAs: not while both are trusted, so that clients have that time to learn of the newer one.
 *
 * Invariants: what is shown is in the folder; a connection goes on with what it was shown; of the key only a request leaves the node.
 */
import { X509Certificate } from "node:crypto";
import { DbError } from "./base/errors.js";
import type { AuthorityAnswer, AuthorityRequest, ClusterState } from "./cluster/index.js";
import { fingerprintOfPem, primaryOf, serverNamesOf } from "./cluster/index.js";
import type { Log } from "./observe/index.js";
import type { Clock, Disk, Timer, TlsMaterial, TlsSource } from "./platform/index.js";
import { isSelfMade, makeRequest, readPortMaterial, storePortMaterial } from "./security/index.js";

export interface PortCertificateOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  /** This node's uuid. */
  readonly node: string;
  /** What tls/server.crt holds. */
  readonly first: TlsMaterial;
  readonly cluster: () => ClusterState;
  readonly ask: (request: AuthorityRequest) => Promise<AuthorityAnswer>;
  /** Another one is shown from here on. */
  readonly issued: (facts: PortCertificateFacts) => void;
}

export interface PortCertificateFacts {
  readonly serial: string;
  /** Fingerprint of the CA; undefined: it is none of the cluster's. */
  readonly issuer: string | undefined;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

const renewBeforeMs = 30 * 86_400_000;
const lookEveryMs = 1_000;
/** After the CA could not be asked: longer each time. */
const retryMs = { first: 2_000, most: 300_000 };

export class PortCertificate implements TlsSource {
  readonly #options: PortCertificateOptions;
  readonly #isOperators: boolean;
  #current: TlsMaterial;
  #certificate: X509Certificate;
  #issuer: string | undefined;
  #timer: Timer | undefined;
  #stopped = false;
  #waitMs = retryMs.first;
  #told = "";

  constructor(options: PortCertificateOptions) {
    this.#options = options;
    this.#isOperators = !isSelfMade(options.first);
    const known = this.#isOperators ? undefined : readPortMaterial(options.disk);
    this.#current = known ?? options.first;
    this.#certificate = new X509Certificate(this.#current.certificatePem);
    this.#issuer = known && fingerprintOfPem(known.authorityPem);
  }

  get current(): TlsMaterial {
    return this.#current;
  }
  get facts(): PortCertificateFacts {
    const { serialNumber, validTo } = this.#certificate;
    return { serial: serialNumber.toLowerCase(), issuer: this.#issuer, notAfter: Date.parse(validTo) };
  }

  /** Once the cluster knows where the node is reached. */
  start(): void {
    if (!this.#isOperators && !this.#stopped) void this.#look();
  }
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Why another one is wanted; undefined: it is not. */
  get #reason(): string | undefined {
    const { cluster, clock, node } = this.#options;
    const state = cluster();
    const primary = primaryOf(state);
    const member = state.members.get(node);
    if (primary === undefined || member === undefined || member.state === "REMOVED") return undefined;
    if (this.#issuer === undefined) return "there is none of the CA";
    const { serial, notAfter } = this.facts;
    if (this.#issuer !== primary.fingerprint && state.rotation === undefined) return "the CA was exchanged";
    if (state.isRevoked(this.#issuer, serial)) return "it was revoked";
    if (notAfter - clock.now() < renewBeforeMs) return "it ends soon";
    const { dns, addresses } = serverNamesOf(member, state.clusterUuid);
    const named =
      dns.every((one) => this.#certificate.checkHost(one) !== undefined) &&
      addresses.every((one) => this.#certificate.checkIP(one) !== undefined);
    return named ? undefined : "the node is reached by other names";
  }

  async #look(): Promise<void> {
    let wait = lookEveryMs;
    const reason = this.#reason;
    if (reason !== undefined)
      try {
        await this.#renew(reason);
        this.#waitMs = retryMs.first;
      } catch (error) {
        if (!(error instanceof DbError)) throw error;
        wait = this.#waitMs;
        this.#waitMs = Math.min(retryMs.most, wait * 2);
        this.#tell(reason, error);
      }
    if (!this.#stopped) this.#timer = this.#options.clock.after(wait, () => void this.#look());
  }

  /** The same trouble is told of once. */
  #tell(reason: string, error: DbError): void {
    if (this.#stopped || this.#told === error.message) return;
    this.#told = error.message;
    this.#options.log.warn("no certificate for the Postgres port could be had from the CA", {
      reason,
      error,
    });
  }

  async #renew(reason: string): Promise<void> {
    const { ask, node, disk, log, issued } = this.#options;
    const { requestPem, keyPem } = makeRequest({ keyKind: "ECDSA-P256", commonName: node });
    const { certificatePem, authorityPem } = await ask({ kind: "server", requestPem, node });
    if (certificatePem === undefined || authorityPem === undefined)
      throw new DbError("protocolViolation", "the answer to a request for a certificate holds none");
    if (this.#stopped) return;
    const material = { certificatePem, keyPem, authorityPem };
    storePortMaterial(disk, material);
    this.#current = material;
    this.#certificate = new X509Certificate(certificatePem);
    this.#issuer = fingerprintOfPem(authorityPem);
    this.#told = "";
    log.info("the Postgres port has a new certificate", { reason, ...this.facts });
    issued(this.facts);
  }
}
