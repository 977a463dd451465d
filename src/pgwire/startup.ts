/**
 * The first message of a connection: a start-up message with its parameters, or one of the requests in its place.
 * Pure: bytes in, what was asked out.
 */

import { fatal, fatalViolation } from "./errors.js";
import type { BodyReader } from "./input.js";
import { startupCode } from "./messages.js";

export type Opening =
  | { readonly kind: "ssl" }
  | { readonly kind: "gssEncryption" }
  | { readonly kind: "cancel"; readonly pid: number; readonly key: Uint8Array }
  | {
      readonly kind: "start";
      readonly minor: number;
      /** `_pq_.` options, all unknown here. */
      readonly protocolOptions: readonly string[];
      readonly user: string;
      readonly database: string;
      readonly settings: ReadonlyMap<string, string>;
    };

const identifierBytesMax = 63;
const parametersMax = 256;

/** Names longer than an identifier are cut as PostgreSQL cuts them, at a character boundary. */
export function asIdentifier(name: string): string {
  if (name.length <= identifierBytesMax / 3) return name;
  const bytes = Buffer.from(name);
  if (bytes.length <= identifierBytesMax) return name;
  let end = identifierBytesMax;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}

/** @throws FatalError 08P01 malformed, 0A000 protocol version, 28000 no user */
export function readOpening(body: BodyReader): Opening {
  const code = body.int32();
  if (code === startupCode.sslRequest) return { kind: "ssl" };
  if (code === startupCode.gssEncRequest) return { kind: "gssEncryption" };
  if (code === startupCode.cancelRequest) {
    if (body.remaining < 8 || body.remaining > 260)
      throw fatalViolation("invalid length of cancel request packet");
    const pid = body.int32();
    return { kind: "cancel", pid, key: Uint8Array.from(body.rest()) };
  }
  const major = code >>> 16;
  const minor = code & 0xffff;
  if (major !== 3) {
    throw fatal(
      "featureNotSupported",
      `unsupported frontend protocol ${major}.${minor}: server supports 3.0 to 3.0`,
    );
  }
  const settings = new Map<string, string>();
  const protocolOptions: string[] = [];
  let user = "";
  let database = "";
  for (;;) {
    if (body.remaining === 0) {
      throw fatalViolation("invalid startup packet layout: expected terminator as last byte");
    }
    const name = body.cstring();
    if (name === "") break;
    const value = body.cstring();
    if (settings.size + protocolOptions.length >= parametersMax) {
      throw fatalViolation("too many parameters in startup packet");
    }
    if (name === "user") user = asIdentifier(value);
    else if (name === "database") database = asIdentifier(value);
    else if (name === "replication") {
      if (!/^(false|off|no|n|f|0)$/i.test(value)) {
        throw fatal("featureNotSupported", "replication connections are not supported yet");
      }
    } else if (name === "options") {
      for (const [key, setting] of splitOptions(value)) settings.set(key, setting);
    } else if (name.startsWith("_pq_.")) protocolOptions.push(name);
    else settings.set(name, value);
  }
  if (body.remaining > 0) {
    throw fatalViolation("invalid startup packet layout: expected terminator as last byte");
  }
  if (user === "") {
    throw fatal("invalidAuthorizationSpecification", "no PostgreSQL user name specified in startup packet");
  }
  return { kind: "start", minor, protocolOptions, user, database: database || user, settings };
}

/**
 * Server options as a client may pass them in `options`: `-c name=value` and `--name=value`, separated by white space;
 * a backslash takes the next character as it is. In names a dash stands for an underscore.
 */
export function splitOptions(text: string): (readonly [name: string, value: string])[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === "\\" && at + 1 < text.length) word = (word ?? "") + text[++at]!;
    else word = (word ?? "") + character;
  }
  if (word !== undefined) words.push(word);

  const settings: (readonly [string, string])[] = [];
  for (let at = 0; at < words.length; at++) {
    const option = words[at]!;
    let assignment: string | undefined;
    if (option === "-c") assignment = words[++at];
    else if (option.startsWith("-c") || option.startsWith("--")) assignment = option.slice(2);
    const equals = assignment?.indexOf("=") ?? -1;
    if (assignment === undefined || equals < 1) {
      throw fatal("syntaxError", `invalid command-line argument for server process: ${option}`);
    }
    settings.push([assignment.slice(0, equals).replaceAll("-", "_"), assignment.slice(equals + 1)]);
  }
  return settings;
}
