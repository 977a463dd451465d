/**
 * One log-in, from the start-up message to the verdict: what the cluster's policy and its connection rules ask of this client,
 * and whether he has shown it.
 *
 * What a client can see does not depend on which roles there are, nor on which of them have rules of their own
 * (security/connection-rules.ts): where anybody might come in with a password, everybody is asked for one, and whoever is
 * refused is refused as if the password was wrong, by the same steps. Two things are told: what would be the same for any name,
 * and why a certificate was refused, to who holds one that a CA of the cluster has issued to this very user.
 *
 * Invariants: a log-in is refused by a LoginRefused, whose `reason` is the truth and is for the log and the metrics alone; it is
 * admitted only if the rule's method says so.
 */
import type { Condition } from "../base/errors.js";
import { DbError } from "../base/errors.js";
import type { Connection, Random } from "../platform/index.js";
import {
  type ClientTrust,
  hostOf,
  isLoopback,
  type LoginDecision,
  type UserVerdict,
} from "../security/index.js";
import type { ClientCertificate, SessionHost } from "../session/contract.js";
import { FatalError } from "./errors.js";
import type { Output } from "./output.js";
import { ScramExchange, type ScramOffer } from "./scram-exchange.js";

/** What the cluster asks of all log-ins. */
export interface LoginPolicy {
  readonly tls: "preferred" | "required" | "required_beyond_loopback";
  /** A cluster of one node: what is allowed on loopback is allowed (threat model, item 11). */
  readonly isAlone: boolean;
  readonly failureBackoffMs: number;
  readonly unauthenticatedMax: number;
}

export const defaultLoginPolicy: LoginPolicy = {
  tls: "preferred",
  isAlone: false,
  failureBackoffMs: 0,
  unauthenticatedMax: 1000,
};

/** Label values of the metrics. */
export const loginMethods = ["scram", "plus", "certificate", "scram_and_certificate", "none"] as const;
export type LoginMethod = (typeof loginMethods)[number];
/** `password` is any name and password that do not belong together: which of them is wrong is nobody's business. */
export const failureReasons = [
  "password",
  "channel_binding",
  "certificate",
  "rule",
  "tls",
  "protocol",
  "timeout",
  "overload",
] as const;
export type FailureReason = (typeof failureReasons)[number];

/** A client is not let in. `reason` and `why` are not told to it. */
export class LoginRefused extends FatalError {
  constructor(
    readonly reason: FailureReason,
    readonly method: LoginMethod,
    condition: Condition,
    message: string,
    fields: DbError["fields"] = {},
    /** For the log. */
    readonly why?: string,
  ) {
    super(condition, message, fields);
  }
}

const methodLabels = {
  scram: "scram",
  plus: "plus",
  certificate: "certificate",
  scramAndCertificate: "scram_and_certificate",
  reject: "none",
} as const satisfies Record<LoginDecision["method"], LoginMethod>;

const everybody: LoginDecision = { rule: undefined, method: "scram", shown: new Set(["scram"]) };

export interface LoginParts {
  readonly host: Pick<SessionHost, "passwordOf" | "decideLogin">;
  readonly random: Random;
  readonly mockSecret: Uint8Array;
  /** Of the server's certificate; undefined: there is none. */
  readonly certificateHash: Uint8Array | undefined;
  readonly policy: LoginPolicy;
  readonly trust: ClientTrust | undefined;
}

export class Login {
  readonly #decision: LoginDecision;
  readonly #verdict: UserVerdict | undefined;
  #exchange: ScramExchange | undefined;

  /** @throws LoginRefused 28000 by the TLS policy */
  constructor(
    private readonly parts: LoginParts,
    private readonly connection: Pick<Connection, "encrypted" | "tls" | "remoteAddress">,
    readonly user: string,
    private readonly database: string,
  ) {
    this.#refusePlain();
    const { encrypted } = connection;
    this.#decision =
      parts.host.decideLogin?.({ user, database, address: this.address, encrypted }) ?? everybody;
    const shown = connection.tls?.clientCertificate;
    this.#verdict = shown === undefined ? undefined : parts.trust?.check(shown);
  }

  get address(): string {
    return hostOf(this.connection.remoteAddress);
  }
  get method(): LoginMethod {
    return methodLabels[this.#decision.method];
  }
  /** The client's certificate, if it was believed: of whichever user it is. */
  get certificate(): ClientCertificate | undefined {
    const verdict = this.#verdict;
    if (verdict === undefined || !("role" in verdict)) return undefined;
    const { method } = this.#decision;
    return { ...verdict, isNeeded: method === "certificate" || method === "scramAndCertificate" };
  }
  /** The next message has the proof. */
  get isProving(): boolean {
    return this.#exchange?.isChallenged === true;
  }

  #refusePlain(): void {
    const { encrypted, tls } = this.connection;
    const { policy } = this.parts;
    if (policy.tls === "preferred") return;
    const isSpared = policy.tls === "required_beyond_loopback" && policy.isAlone && isLoopback(this.address);
    if (!encrypted && !isSpared)
      throw new LoginRefused(
        "tls",
        "none",
        "invalidAuthorizationSpecification",
        "the server accepts encrypted connections only",
        { hint: "Connect with sslmode=require." },
      );
    if (tls !== undefined && tls.version !== "TLSv1.3")
      throw new LoginRefused(
        "tls",
        "none",
        "invalidAuthorizationSpecification",
        `the server accepts TLS 1.3 only, not ${tls.version}`,
      );
  }

  /** Begins; true: nothing more is needed. @throws LoginRefused 28000 */
  begin(out: Output): boolean {
    const { shown, method } = this.#decision;
    const isOwn = this.certificate?.role === this.user;
    if (method === "certificate" && isOwn) return true;
    if ((method === "certificate" || method === "scramAndCertificate") && !isOwn) this.#tellHolder();
    const asks = shown.has("scram") || shown.has("plus") || shown.has("scramAndCertificate");
    if (!asks) throw shown.has("certificate") ? this.#noCertificate() : this.#noRule();
    const { host, random, mockSecret, certificateHash } = this.parts;
    const channelBinding = this.connection.encrypted ? certificateHash : undefined;
    const plain = shown.has("scram") || shown.has("scramAndCertificate");
    if (!plain && channelBinding === undefined) throw this.#noBinding();
    const offer: ScramOffer = plain ? (channelBinding === undefined ? "plain" : "both") : "plus";
    this.#exchange = new ScramExchange({
      user: this.user,
      password: host.passwordOf(this.user),
      offer,
      admits: (bound) =>
        method === "scram" || (method === "plus" && bound) || (method === "scramAndCertificate" && isOwn),
      random,
      mockSecret,
      channelBinding,
    });
    this.#exchange.offer(out);
    return false;
  }

  /** Takes one `p` message's body; true when the client is authenticated. @throws LoginRefused, FatalError 08P01 */
  step(body: Buffer, out: Output): boolean {
    try {
      if (this.#exchange!.step(body, out)) return true;
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      const isBinding = error.condition === "invalidAuthorizationSpecification";
      throw new LoginRefused(
        isBinding ? "channel_binding" : "protocol",
        this.method,
        error.condition,
        error.message,
        error.fields,
      );
    }
    if (!this.#exchange!.isOver) return false;
    throw new LoginRefused(
      "password",
      this.method,
      "invalidPassword",
      `password authentication failed for user "${this.user}"`,
      {},
      this.#truth(),
    );
  }

  /** @throws LoginRefused 28000 when the certificate that the log-in rests on is good no more */
  checkAgain(trust: ClientTrust | undefined): void {
    const { certificate } = this;
    if (certificate?.isNeeded !== true) return;
    const problem = trust === undefined ? "UNTRUSTED_CA" : trust.standing(certificate);
    if (problem !== undefined) throw this.#certificateRefused(`${problem}.`);
  }

  /** Which rule has decided, and what became of a certificate. */
  #truth(): string {
    const { rule, method } = this.#decision;
    const decided = rule === undefined ? "no rule matches" : `rule ${rule.name}: ${method}`;
    const verdict = this.#verdict;
    return verdict !== undefined && "condition" in verdict ? `${decided}; ${verdict.condition}` : decided;
  }

  #certificateRefused(detail: string): LoginRefused {
    return new LoginRefused(
      "certificate",
      this.method,
      "invalidAuthorizationSpecification",
      `certificate authentication failed for user "${this.user}"`,
      { detail },
      this.#truth(),
    );
  }

  /** A CA of the cluster has issued this certificate to this user: he may know what is wrong with it. */
  #tellHolder(): void {
    const verdict = this.#verdict;
    if (verdict !== undefined && "condition" in verdict && verdict.certified === this.user)
      throw this.#certificateRefused(`${verdict.condition}: ${verdict.message}.`);
  }

  /** Of what was shown alone, whatever the user is called. */
  #noCertificate(): LoginRefused {
    const verdict = this.#verdict;
    if (verdict === undefined)
      return this.#certificateRefused("The client has shown no certificate of this cluster.");
    return this.#certificateRefused(
      "condition" in verdict
        ? `${verdict.condition}: ${verdict.message}.`
        : `The certificate is of user "${verdict.role}".`,
    );
  }

  #place(): string {
    const encryption = this.connection.encrypted ? "TLS" : "no encryption";
    return `host "${this.address}", user "${this.user}", database "${this.database}", ${encryption}`;
  }

  /** Nobody gets in from there. */
  #noRule(): LoginRefused {
    const { rule } = this.#decision;
    return new LoginRefused(
      "rule",
      "none",
      "invalidAuthorizationSpecification",
      rule === undefined
        ? `no connection rule for ${this.#place()}`
        : `connection rules reject connection for ${this.#place()}`,
      {},
      this.#truth(),
    );
  }

  #noBinding(): LoginRefused {
    return new LoginRefused(
      "channel_binding",
      this.method,
      "invalidAuthorizationSpecification",
      `connection rules ask for a password bound to TLS, for ${this.#place()}`,
      { hint: "Connect with sslmode=require." },
      this.#truth(),
    );
  }
}
