/**
 * The SASL messages of a log-in around the SCRAM computation: mechanisms offered, the client's choice, two rounds.
 *
 * Invariants: -PLUS is offered on encrypted connections only, and first; an unknown role, a role without a password and
 * a wrong password answer alike (28P01).
 */
import { DbError } from "../base/errors.js";
import type { Random } from "../platform/index.js";
import { mechanisms, parseVerifier, ScramServer } from "../security/index.js";
import { fatal, fatalViolation } from "./errors.js";
import type { BodyReader } from "./input.js";
import { authenticationCode, backendTag } from "./messages.js";
import type { Output } from "./output.js";

export interface LoginOptions {
  readonly user: string;
  readonly passwordOf: (user: string) => string | undefined;
  readonly random: Random;
  readonly mockSecret: Uint8Array;
  readonly channelBinding: Uint8Array | undefined;
}

export class ScramExchange {
  #server: ScramServer | undefined;
  #challenged = false;

  constructor(private readonly options: LoginOptions) {}

  /** AuthenticationSASL with the mechanisms offered. */
  offer(out: Output): void {
    out.begin(backendTag.authentication);
    out.int32(authenticationCode.sasl);
    if (this.options.channelBinding !== undefined) out.cstring(mechanisms.plus);
    out.cstring(mechanisms.plain);
    out.byte(0);
    out.end();
  }

  /** Takes one `p` message; true when the client is authenticated. @throws FatalError 28P01, 28000, 08P01 */
  step(body: BodyReader, out: Output): boolean {
    try {
      if (this.#server === undefined) return this.#choose(body, out);
      return this.#challenged ? this.#final(body, out) : this.#challenge(body.rest(), out);
    } catch (error) {
      if (error instanceof DbError) throw fatal(error.condition, error.message, error.fields);
      throw error;
    }
  }

  #choose(body: BodyReader, out: Output): boolean {
    const mechanism = body.cstring();
    const offered =
      this.options.channelBinding !== undefined ? Object.values(mechanisms) : [mechanisms.plain];
    if (!offered.some((name) => name === mechanism)) {
      throw fatalViolation("client selected an invalid SASL authentication mechanism");
    }
    const { user, random, mockSecret, channelBinding } = this.options;
    const text = this.options.passwordOf(user);
    this.#server = new ScramServer({
      mechanism,
      user,
      random,
      mockSecret,
      channelBinding,
      verifier: text === undefined ? undefined : parseVerifier(text),
    });
    const length = body.int32();
    if (length >= 0) {
      const initial = body.bytes(length);
      body.done();
      return this.#challenge(initial, out);
    }
    body.done();
    this.#answer(out, authenticationCode.saslContinue, ""); // the client speaks first in this mechanism
    return false;
  }

  #challenge(clientFirst: Buffer, out: Output): boolean {
    this.#answer(out, authenticationCode.saslContinue, this.#server!.first(clientFirst.toString("latin1")));
    this.#challenged = true;
    return false;
  }

  #final(body: BodyReader, out: Output): boolean {
    const proof = this.#server!.final(body.rest().toString("latin1"));
    if (proof === undefined) {
      throw fatal("invalidPassword", `password authentication failed for user "${this.options.user}"`);
    }
    this.#answer(out, authenticationCode.saslFinal, proof);
    return true;
  }

  #answer(out: Output, code: number, data: string): void {
    out.begin(backendTag.authentication);
    out.int32(code);
    out.text(data);
    out.end();
  }
}
