/**
 * Network addresses: `address/bits` as rules write it, and whether a client's address lies in it.
 *
 * Invariants: an IPv4 address written as an IPv6 one (::ffff:192.0.2.1, as a listener on all addresses sees it) is the IPv4
 * address; a text that is no address lies in no network.
 */
import { DbError } from "../base/errors.js";

export interface Network {
  /** 4 or 16 bytes; those behind the prefix are zero. */
  readonly bytes: readonly number[];
  readonly bits: number;
}

/** 0 to 255, without a leading zero, which some read as octal. */
const byteForm = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const dottedForm = new RegExp(`^${byteForm}\\.${byteForm}\\.${byteForm}\\.${byteForm}$`);
const groupForm = /^[0-9a-f]{1,4}$/i;

function dottedBytes(text: string): number[] | undefined {
  return dottedForm.exec(text)?.slice(1).map(Number);
}

/** Bytes of groups between colons; the last may be an IPv4 address. */
function groupBytes(text: string, isLast: boolean): number[] | undefined {
  const bytes: number[] = [];
  const groups = text === "" ? [] : text.split(":");
  for (const [at, group] of groups.entries()) {
    const dotted = isLast && at === groups.length - 1 ? dottedBytes(group) : undefined;
    if (dotted !== undefined) bytes.push(...dotted);
    else if (groupForm.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 255);
    } else return undefined;
  }
  return bytes;
}

/** All 16, also of a mapped address. */
function longBytes(text: string): number[] | undefined {
  const [head, tail, ...more] = text.split("::");
  if (more.length > 0) return undefined;
  const before = groupBytes(head!, tail === undefined);
  const behind = tail === undefined ? [] : groupBytes(tail, true);
  if (before === undefined || behind === undefined) return undefined;
  const missing = 16 - before.length - behind.length;
  // A gap stands for one group at least.
  if (tail === undefined ? missing !== 0 : missing < 2) return undefined;
  return [...before, ...new Array<number>(missing).fill(0), ...behind];
}

const isMapped = (bytes: readonly number[]): boolean =>
  bytes.every((byte, at) => (at < 10 ? byte === 0 : at > 11 || byte === 255));

/** The bytes of an address, 4 or 16; undefined: it is none. A zone (fe80::1%eth0) is left out. */
export function addressBytes(text: string): readonly number[] | undefined {
  const short = dottedBytes(text);
  if (short !== undefined) return short;
  const long = longBytes(text.replace(/%.*$/, ""));
  return long !== undefined && isMapped(long) ? long.slice(12) : long;
}

/** @throws DbError 22023: not `address/bits`, or bits set behind the prefix */
export function parseNetwork(text: string): Network {
  const refuse = (detail: string): DbError =>
    new DbError("invalidParameterValue", `invalid network: "${text}"`, { detail });
  const [, address, given] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? [];
  const bytes = address === undefined ? undefined : addressBytes(address);
  if (bytes === undefined) throw refuse("It takes an address, or address/bits such as 10.0.0.0/8.");
  const all = bytes.length * 8;
  // Of a mapped address the prefix counts from where the IPv4 address begins.
  const shift = bytes.length === 4 && address!.includes(":") ? 96 : 0;
  const bits = given === undefined ? all : Number(given) - shift;
  if (bits < 0 || bits > all) throw refuse(`A prefix has up to ${all + shift} bits.`);
  const network = { bytes, bits };
  for (let bit = bits; bit < all; bit++)
    if ((bytes[bit >> 3]! & (128 >> (bit & 7))) !== 0) throw refuse("There are bits set behind the prefix.");
  return network;
}

export function networkText({ bytes, bits }: Network): string {
  if (bytes.length === 4) return `${bytes.join(".")}/${bits}`;
  const groups = Array.from({ length: 8 }, (_, at) =>
    ((bytes[2 * at]! << 8) | bytes[2 * at + 1]!).toString(16),
  );
  // The first of the longest runs of zeros is left out (RFC 5952).
  let run = { at: 0, length: 0 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (groups[at + length] === "0") length++;
    if (length > run.length) run = { at, length };
  }
  const text =
    run.length < 2
      ? groups.join(":")
      : `${groups.slice(0, run.at).join(":")}::${groups.slice(run.at + run.length).join(":")}`;
  return `${text}/${bits}`;
}

export function liesIn(address: readonly number[] | undefined, { bytes, bits }: Network): boolean {
  if (address === undefined || address.length !== bytes.length) return false;
  const whole = bits >> 3;
  for (let at = 0; at < whole; at++) if (address[at] !== bytes[at]) return false;
  const rest = bits & 7;
  return rest === 0 || ((address[whole]! ^ bytes[whole]!) & (0xff00 >> rest) & 0xff) === 0;
}

export function isLoopback(address: string): boolean {
  const bytes = addressBytes(address);
  if (bytes === undefined) return false;
  return bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, at) => byte === (at === 15 ? 1 : 0));
}

/** The host of `host:port`, as connections name their peers. */
export function hostOf(remoteAddress: string): string {
  return remoteAddress.replace(/:\d+$/, "");
}

/**
 * Whom an address stands for when attempts are counted: an IPv4 address for itself, an IPv6 one for its /64, since whoever
 * has one of these has all of them.
 */
export function peerKey(address: string): string {
  const bytes = addressBytes(address);
  if (bytes === undefined) return address;
  return bytes.length === 4 ? bytes.join(".") : bytes.slice(0, 8).join(".");
}
