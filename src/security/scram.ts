/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677): verifiers as PostgreSQL stores them, the server's side of the exchange and, for the
 * command-line client and tests, the client's side.
 *
 *   client-first  n,,n=,r=<client nonce>
 *   server-first  r=<client nonce><server nonce>,s=<salt>,i=<iterations>
 *   client-final  c=<base64 of gs2 header and channel binding>,r=<nonces>,p=<proof>
 *   server-final  v=<server signature>
 *
 * Invariants: the exchange for an unknown role takes the same steps and time as for a known one and ends in the same
 * failure; secrets are compared in constant time; a password is hashed on the thread pool, never on the loop.
 */
import { createHash, createHmac, pbkdf2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { assert, DbError } from "../base/errors.js";
import type { Random } from "../platform/index.js";

const deriveKey = promisify(pbkdf2);

export const mechanisms = { plain: "SCRAM-SHA-256", plus: "SCRAM-SHA-256-PLUS" } as const;
export const defaultIterations = 4096;
const iterationsMax = 10_000_000;
const saltBytes = 16;
const nonceBytes = 18;
const keyBytes = 32;

export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

function hmac(key: Uint8Array, text: string | Uint8Array): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
function equal(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Characters that SASLprep maps to nothing (RFC 3454 table B.1). */
const mappedToNothing = /\u034f|[\u180b-\u180d\ufe00-\ufe0f]|\u200d|[\u00ad\u1806\u200b\u200c\u2060\ufeff]/gu;
/** Spaces other than U+0020 (table C.1.2). */
const otherSpaces = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/gu;
/** Prohibited output: controls, private use, surrogates, non-characters, tagging and display characters (C.2 to C.9). */
const prohibited =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u06dd\u070f\u180e\u200e\u200f\u2028-\u202e\u206a-\u206f\ufdd0-\ufdef\ufff9-\uffff\u2ff0-\u2ffb\p{Co}\p{Cs}\p{Cn}]|\u0340|\u0341/u;
const rightToLeft =
  /[\u05be\u05c0\u05c3\u05d0-\u05f4\u061b-\u064a\u066d-\u06d5\u06e5\u06e6\u06fa-\u070d\u0710-\u07b1\ufb1d-\ufdfc\ufe70-\ufefc]/u;

/** SASLprep (RFC 4013). A password it prohibits is used as it is, as PostgreSQL's client and server do. */
export function saslPrep(password: string): string {
  if (/^[\u0020-\u007e]*$/.test(password)) return password;
  const mapped = password.replace(otherSpaces, " ").replace(mappedToNothing, "").normalize("NFKC");
  if (mapped === "" || prohibited.test(mapped)) return password;
  if (rightToLeft.test(mapped)) {
    const characters = [...mapped];
    if (
      !rightToLeft.test(characters[0]!) ||
      !rightToLeft.test(characters.at(-1)!) ||
      /\p{Lu}|\p{Ll}/u.test(mapped)
    ) {
      return password;
    }
  }
  return mapped;
}

function keysOf(salted: Uint8Array): { clientKey: Buffer; storedKey: Buffer; serverKey: Buffer } {
  const clientKey = hmac(salted, "Client Key");
  return { clientKey, storedKey: sha256(clientKey), serverKey: hmac(salted, "Server Key") };
}

/** The text kept in a role's `password`: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`. Hashes on the thread pool. */
export async function createVerifier(
  password: string,
  random: Random,
  iterations = defaultIterations,
): Promise<string> {
  const salt = Buffer.alloc(saltBytes);
  random.fill(salt);
  const salted = await deriveKey(saslPrep(password), salt, iterations, keyBytes, "sha256");
  const { storedKey, serverKey } = keysOf(salted);
  return formatVerifier({ iterations, salt, storedKey, serverKey });
}

export function formatVerifier(verifier: ScramVerifier): string {
  const { iterations, salt, storedKey, serverKey } = verifier;
  const text = [salt, storedKey, serverKey].map((bytes) => bytes.toString("base64"));
  return `${mechanisms.plain}$${iterations}:${text[0]}$${text[1]}:${text[2]}`;
}

const verifierForm =
  /^SCRAM-SHA-256\$([1-9][0-9]{0,7}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]{44}):([A-Za-z0-9+/=]{44})$/;

/** undefined when the text is no verifier (a plain password then, to be hashed). */
export function parseVerifier(text: string): ScramVerifier | undefined {
  const match = verifierForm.exec(text);
  if (match === null) return undefined;
  const iterations = Number(match[1]);
  const [salt, storedKey, serverKey] = [match[2]!, match[3]!, match[4]!].map((part) =>
    Buffer.from(part, "base64"),
  );
  if (iterations > iterationsMax || salt!.length === 0) return undefined;
  if (storedKey!.length !== keyBytes || serverKey!.length !== keyBytes) return undefined;
  return { iterations, salt: salt!, storedKey: storedKey!, serverKey: serverKey! };
}

function malformed(detail: string): DbError {
  return new DbError("protocolViolation", "malformed SCRAM message", { detail });
}

/** Attribute `letter=value` up to the next comma. */
class Attributes {
  #at = 0;
  constructor(private readonly text: string) {}
  get position(): number {
    return this.#at;
  }
  take(letter: string): string {
    const { text } = this;
    if (text[this.#at] !== letter) {
      throw malformed(`Expected attribute "${letter}" but found "${printable(text[this.#at])}".`);
    }
    if (text[this.#at + 1] !== "=") throw malformed(`Expected character "=" for attribute "${letter}".`);
    const comma = text.indexOf(",", this.#at);
    const end = comma < 0 ? text.length : comma;
    const value = text.slice(this.#at + 2, end);
    this.#at = comma < 0 ? end : end + 1;
    return value;
  }
  get next(): string | undefined {
    return this.text[this.#at];
  }
}

function printable(character: string | undefined): string {
  if (character === undefined) return "end of message";
  const code = character.charCodeAt(0);
  return code > 32 && code < 127 ? character : `0x${code.toString(16).padStart(2, "0")}`;
}

export interface ScramServerOptions {
  readonly mechanism: string;
  /** The role's password as it is stored; undefined: no such role, or it has none. The exchange runs all the same. */
  readonly password: string | undefined;
  /** False: whatever the client proves, it is refused as if it had proved nothing. */
  readonly admits: boolean;
  /** Names the role in a made-up salt, so that asking twice shows the same one. */
  readonly user: string;
  readonly mockSecret: Uint8Array;
  readonly random: Random;
  /** SHA-256 of the server's certificate (tls-server-end-point, RFC 5929), when the connection is encrypted. */
  readonly channelBinding: Uint8Array | undefined;
}

/** The server's side of one exchange. */
export class ScramServer {
  readonly #verifier: ScramVerifier;
  readonly #known: boolean;
  #gs2Header = "";
  #clientFirstBare = "";
  #serverFirst = "";
  #nonce = "";

  constructor(private readonly options: ScramServerOptions) {
    // Both are made for every name: which of them is used takes no time.
    const mock = mockVerifier(options.user, options.mockSecret);
    const stored = parseVerifier(options.password ?? nobodysPassword);
    this.#known = options.password !== undefined && stored !== undefined;
    this.#verifier = this.#known ? stored! : mock;
  }

  /** @throws DbError 08P01 malformed, 28000 channel binding disagreement, 0A000 unknown extension */
  first(message: string): string {
    const plus = this.options.mechanism === mechanisms.plus;
    let at: number;
    switch (message[0]) {
      case "n":
        if (plus) throw malformed("The client selected SCRAM-SHA-256-PLUS without channel binding data.");
        at = 1;
        break;
      case "y":
        if (plus) throw malformed("The client selected SCRAM-SHA-256-PLUS without channel binding data.");
        if (this.options.channelBinding !== undefined) {
          throw new DbError("invalidAuthorizationSpecification", "SCRAM channel binding negotiation error", {
            detail: "The client believes that the server has no channel binding, but this server offers it.",
          });
        }
        at = 1;
        break;
      case "p": {
        if (!plus)
          throw malformed("The client sent channel binding data without selecting SCRAM-SHA-256-PLUS.");
        const comma = message.indexOf(",");
        const type = message.slice(2, comma < 0 ? undefined : comma);
        if (message[1] !== "=" || type !== "tls-server-end-point") {
          throw new DbError(
            "protocolViolation",
            `unsupported SCRAM channel-binding type "${printableText(type)}"`,
          );
        }
        at = comma;
        break;
      }
      default:
        throw malformed(`Unexpected channel-binding flag "${printable(message[0])}".`);
    }
    if (message[at] !== ",") throw malformed(`Comma expected, but found "${printable(message[at])}".`);
    if (message[at + 1] === "a") {
      throw new DbError("featureNotSupported", "client uses authorization identity, but it is not supported");
    }
    if (message[at + 1] !== ",") throw malformed(`Unexpected attribute "${printable(message[at + 1])}".`);
    this.#gs2Header = message.slice(0, at + 2);
    this.#clientFirstBare = message.slice(at + 2);
    const attributes = new Attributes(this.#clientFirstBare);
    if (attributes.next === "m") {
      throw new DbError("featureNotSupported", "client requires an unsupported SCRAM extension");
    }
    attributes.take("n"); // the role is the one of the start-up message
    const clientNonce = attributes.take("r");
    if (!/^[\x21-\x2b\x2d-\x7e]+$/.test(clientNonce))
      throw malformed("The nonce has characters that may not be in it.");
    const own = Buffer.alloc(nonceBytes);
    this.options.random.fill(own);
    this.#nonce = clientNonce + own.toString("base64");
    const { salt, iterations } = this.#verifier;
    this.#serverFirst = `r=${this.#nonce},s=${salt.toString("base64")},i=${iterations}`;
    return this.#serverFirst;
  }

  /**
   * The server's proof, or undefined when the client's proof is wrong (or the role unknown).
   * @throws DbError 08P01 malformed, 28000 channel binding does not match
   */
  final(message: string): string | undefined {
    assert(this.#serverFirst !== "", "client-final follows client-first");
    const attributes = new Attributes(message);
    const binding = attributes.take("c");
    const nonce = attributes.take("r");
    let proofAt = attributes.position;
    let proof: string | undefined;
    while (attributes.next !== undefined) {
      proofAt = attributes.position;
      const letter = attributes.next;
      const value = attributes.take(letter);
      if (letter === "p") proof = value;
    }
    if (proof === undefined || message[proofAt] !== "p")
      throw malformed("The client's final message has no proof.");
    const header = Buffer.from(this.#gs2Header, "latin1");
    const { channelBinding, mechanism } = this.options;
    const expected =
      mechanism === mechanisms.plus ? Buffer.concat([header, channelBinding ?? Buffer.alloc(0)]) : header;
    if (!equal(Buffer.from(binding, "base64"), expected)) {
      if (mechanism !== mechanisms.plus) throw malformed("Unexpected channel binding attribute.");
      throw new DbError("invalidAuthorizationSpecification", "SCRAM channel binding check failed");
    }
    if (!equal(Buffer.from(nonce, "latin1"), Buffer.from(this.#nonce, "latin1"))) {
      throw malformed("The nonce is not the one sent.");
    }
    const proofBytes = Buffer.from(proof, "base64");
    if (proofBytes.length !== keyBytes) throw malformed("The proof is malformed.");
    const withoutProof = message.slice(0, proofAt - 1);
    const authMessage = `${this.#clientFirstBare},${this.#serverFirst},${withoutProof}`;
    const signature = hmac(this.#verifier.storedKey, authMessage);
    for (let byte = 0; byte < keyBytes; byte++) signature[byte]! ^= proofBytes[byte]!;
    const proven = equal(sha256(signature), this.#verifier.storedKey);
    const serverSignature = hmac(this.#verifier.serverKey, authMessage);
    return proven && this.#known && this.options.admits
      ? `v=${serverSignature.toString("base64")}`
      : undefined;
  }
}

function printableText(text: string): string {
  return [...text.slice(0, 64)].map(printable).join("");
}

/** Stands in for a role that is not there; its salt depends on name and secret alone. */
function mockVerifier(user: string, secret: Uint8Array): ScramVerifier {
  const salt = hmac(secret, user).subarray(0, saltBytes);
  const key = hmac(secret, `key of ${user}`);
  return { iterations: defaultIterations, salt, storedKey: key, serverKey: hmac(secret, key) };
}

/** Of the length that passwords have, to be read in place of one. */
const nobodysPassword = formatVerifier({
  iterations: defaultIterations,
  salt: Buffer.alloc(saltBytes, 1),
  storedKey: Buffer.alloc(keyBytes, 2),
  serverKey: Buffer.alloc(keyBytes, 3),
});

/** The client's side, for the command-line client. */
export class ScramClient {
  readonly mechanism: string;
  readonly #gs2Header: string;
  readonly #clientFirstBare: string;
  #expectedSignature: Buffer | undefined;

  constructor(
    private readonly password: string,
    random: Random,
    private readonly channelBinding: Uint8Array | undefined,
    private readonly iterationsAllowed = 1_000_000,
  ) {
    this.mechanism = channelBinding === undefined ? mechanisms.plain : mechanisms.plus;
    this.#gs2Header = channelBinding === undefined ? "n,," : "p=tls-server-end-point,,";
    const nonce = Buffer.alloc(nonceBytes);
    random.fill(nonce);
    this.#clientFirstBare = `n=,r=${nonce.toString("base64")}`;
  }

  first(): string {
    return this.#gs2Header + this.#clientFirstBare;
  }

  async final(serverFirst: string): Promise<string> {
    const attributes = new Attributes(serverFirst);
    const nonce = attributes.take("r");
    const salt = Buffer.from(attributes.take("s"), "base64");
    const iterations = Number(attributes.take("i"));
    if (!nonce.startsWith(this.#clientFirstBare.slice("n=,r=".length)))
      throw malformed("The nonce is not ours.");
    if (!(iterations >= 1 && iterations <= this.iterationsAllowed))
      throw malformed("The iteration count is out of range.");
    const salted = await deriveKey(saslPrep(this.password), salt, iterations, keyBytes, "sha256");
    const { clientKey, storedKey, serverKey } = keysOf(salted);
    const bound = Buffer.concat([
      Buffer.from(this.#gs2Header, "latin1"),
      this.channelBinding ?? Buffer.alloc(0),
    ]);
    const withoutProof = `c=${bound.toString("base64")},r=${nonce}`;
    const authMessage = `${this.#clientFirstBare},${serverFirst},${withoutProof}`;
    const proof = hmac(storedKey, authMessage);
    for (let byte = 0; byte < keyBytes; byte++) proof[byte]! ^= clientKey[byte]!;
    this.#expectedSignature = hmac(serverKey, authMessage);
    return `${withoutProof},p=${proof.toString("base64")}`;
  }

  /** @throws DbError 28000 when the server does not know the password either */
  verify(serverFinal: string): void {
    const signature = Buffer.from(new Attributes(serverFinal).take("v"), "base64");
    if (this.#expectedSignature === undefined || !equal(signature, this.#expectedSignature)) {
      throw new DbError("invalidAuthorizationSpecification", "the server's SCRAM signature is wrong");
    }
  }
}
