/**
 * The SASL messages of a log-in around the SCRAM computation: mechanisms offered, the client's choice, two rounds.
 *
 * Invariants: -PLUS is offered on encrypted connections only, and first; an unknown role, a role without a password, one that
 * is not to be admitted and a wrong password take the same steps and answer alike.
 */
import type { Random } from "../platform/index.js";
import { mechanisms, ScramServer } from "../security/index.js";
import { fatalViolation } from "./errors.js";
import { BodyReader } from "./input.js";
import { authenticationCode, backendTag } from "./messages.js";
import type { Output } from "./output.js";

export type ScramOffer = "plain" | "both" | "plus";
const offered: Readonly<Record<ScramOffer, readonly string[]>> = {
  plain: [mechanisms.plain],
  both: [mechanisms.plus, mechanisms.plain],
  plus: [mechanisms.plus],
};

export interface ExchangeOptions {
  readonly user: string;
  /** As it is stored; undefined: there is none. */
  readonly password: string | undefined;
  readonly offer: ScramOffer;
  /** Whether who proves the password comes in, bound to the connection or not. */
  readonly admits: (bound: boolean) => boolean;
  readonly random: Random;
  readonly mockSecret: Uint8Array;
  readonly channelBinding: Uint8Array | undefined;
}

export class ScramExchange {
  #server: ScramServer | undefined;
  /** The server's nonce was sent: what comes next is the proof. */
  isChallenged = false;
  /** The proof was looked at. */
  isOver = false;

  constructor(private readonly options: ExchangeOptions) {}

  /** AuthenticationSASL with the mechanisms offered. */
  offer(out: Output): void {
    out.begin(backendTag.authentication);
    out.int32(authenticationCode.sasl);
    for (const mechanism of offered[this.options.offer]) out.cstring(mechanism);
    out.byte(0);
    out.end();
  }

  /** Takes the body of one `p` message; true when the client is authenticated. @throws DbError 28000, 08P01, 0A000 */
  step(body: Buffer, out: Output): boolean {
    if (this.#server === undefined) this.#choose(body, out);
    else if (!this.isChallenged) this.#challenge(body, out);
    else return this.#final(body, out);
    return false;
  }

  #choose(bytes: Buffer, out: Output): void {
    const body = new BodyReader().over(bytes, 0, bytes.length);
    const mechanism = body.cstring();
    const { offer, admits, ...options } = this.options;
    if (!offered[offer].includes(mechanism)) {
      throw fatalViolation("client selected an invalid SASL authentication mechanism");
    }
    this.#server = new ScramServer({ ...options, mechanism, admits: admits(mechanism === mechanisms.plus) });
    const length = body.int32();
    const initial = length < 0 ? undefined : body.bytes(length);
    body.done();
    if (initial !== undefined) this.#challenge(initial, out);
    else this.#answer(out, authenticationCode.saslContinue, ""); // the client speaks first in this mechanism
  }

  #challenge(clientFirst: Buffer, out: Output): void {
    this.#answer(out, authenticationCode.saslContinue, this.#server!.first(clientFirst.toString("latin1")));
    this.isChallenged = true;
  }

  #final(body: Buffer, out: Output): boolean {
    const proof = this.#server!.final(body.toString("latin1"));
    this.isOver = true;
    if (proof === undefined) return false;
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
