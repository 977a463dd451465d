/**
 * A CA's private key in n shares, of which any m bring it back and fewer say nothing (Shamir 1979; CA-41, CA-42). The library
 * does the arithmetic; it knows nothing of its shares, so everything that keeps people from combining the wrong ones is here.
 *
 *     sbcakey1-3-5-2-<set, 32>-<CA, 64>-<commitment, 64>-<share, as long as it is>-<sum, 16>
 *             m n index                                                            all hexadecimal
 *
 * set: 16 random bytes, of one split. CA: SHA-256 of its certificate. commitment: SHA-256 of the set and the key, which tells
 * nothing of a key of 256 random bits. sum: the first 8 bytes of the SHA-256 of the text before it, against slips of the hand.
 *
 * Invariants: a key is handed back only if it is the one that was split and the certificate is its own; a share is text that
 * is handed out once and never kept or logged here; m and n, which anybody can rewrite, decide nothing but messages.
 */
import { createHash, type X509Certificate } from "node:crypto";
import { DbError } from "../base/errors.js";
import type { Random } from "../platform/index.js";
import { softwareSigner } from "./ca-signer.js";
import { fingerprintOf } from "./node-identity.js";
import { readCertificate } from "./revocation-list.js";

export interface SharePlan {
  /** m: how many bring the key back; 2 to n. */
  readonly needed: number;
  /** n: how many there are; at most 255. */
  readonly total: number;
}
/** What the specification leaves open (spec/03, 15). */
export const usualShares: SharePlan = { needed: 3, total: 5 };

export interface ShareFacts extends SharePlan {
  /** 1 to n, as handed out. */
  readonly index: number;
  /** Hexadecimal. */
  readonly set: string;
  /** SHA-256 of the CA's certificate, hexadecimal. */
  readonly fingerprint: string;
}
interface Share extends ShareFacts {
  readonly commitment: string;
  readonly bytes: Buffer;
}

const prefix = "sbcakey";
const version = 1;
/** An Ed25519 key takes some 450 characters, one on P-256 some 630. */
const charactersMax = 2048;
const form =
  /^sbcakey1-(\d{1,3})-(\d{1,3})-(\d{1,3})-([0-9a-f]{32})-([0-9a-f]{64})-([0-9a-f]{64})-((?:[0-9a-f]{2})+)-([0-9a-f]{16})$/;

const library = () => import("shamir-secret-sharing");
const sumOf = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);
const commitmentOf = (set: string, pkcs8: Uint8Array): string =>
  createHash("sha256")
    .update("scratchbird ca key")
    .update(Buffer.from(set, "hex"))
    .update(pkcs8)
    .digest("hex");

function refuse(message: string, hint?: string): never {
  throw new DbError("invalidParameterValue", message, { hint });
}

/** Whether this key is the one of this certificate. */
function belongs(pkcs8: Uint8Array, certificate: X509Certificate): boolean {
  const spki = certificate.publicKey.export({ format: "der", type: "spki" });
  return spki.equals(softwareSigner(pkcs8).publicKeySpki);
}

/**
 * Splits a CA's key. Each text goes to another person; nobody here keeps one.
 * @param pkcs8 the key; the caller zeroes it (`CaStore.withKey` does)
 * @param random for the set's name; what hides the key is drawn by the library from the operating system
 * @throws DbError invalidParameterValue (22023) unless 2 <= m <= n <= 255, or when the key is not that of the certificate
 */
export async function splitKey(
  pkcs8: Uint8Array,
  certificatePem: string,
  random: Random,
  plan: SharePlan = usualShares,
): Promise<string[]> {
  const { needed, total } = plan;
  if (!Number.isInteger(needed) || !Number.isInteger(total) || needed < 2 || needed > total || total > 255)
    refuse(`a key is not split into ${total} shares of which ${needed} suffice: 2 <= m <= n <= 255`);
  const certificate = readCertificate(certificatePem);
  if (!belongs(pkcs8, certificate)) refuse("the private key is not that of the CA's certificate");
  const drawn = new Uint8Array(16);
  random.fill(drawn);
  const set = Buffer.from(drawn).toString("hex");
  const { split } = await library();
  // A copy: the library takes arrays of its own kind, and the caller's is zeroed at its own time.
  const secret = new Uint8Array(pkcs8);
  const parts = await split(secret, total, needed);
  secret.fill(0);
  const about = `${set}-${fingerprintOf(certificate)}-${commitmentOf(set, pkcs8)}`;
  const shares = parts.map((part, at) => {
    const text = `${prefix}${version}-${needed}-${total}-${at + 1}-${about}-${Buffer.from(part).toString("hex")}`;
    part.fill(0);
    return `${text}-${sumOf(text)}`;
  });
  // Shares that do not bring the key back would be found out in the hour of need.
  const back = await combineShares(shares.slice(total - needed), certificatePem);
  back.fill(0);
  return shares;
}

/** A share's text, read. `given` is its place among those that were handed in, from 1. */
function parseShare(text: string, given: number): Share {
  const line = text.replace(/\s/g, "").toLowerCase();
  const index = /^sbcakey\d+-\d{1,3}-\d{1,3}-(\d{1,3})-/.exec(line)?.[1];
  const who = index === undefined ? `the share given as number ${given}` : `share ${Number(index)}`;
  const stated = /^sbcakey(\d+)-/.exec(line)?.[1];
  const match = line.length > charactersMax ? null : form.exec(line);
  if (match === null || sumOf(line.slice(0, line.lastIndexOf("-"))) !== match[8]) {
    // A version's digit can be mistyped too; a share of another version has a sum that holds.
    const intact = sumOf(line.slice(0, line.lastIndexOf("-"))) === line.slice(line.lastIndexOf("-") + 1);
    if (stated !== undefined && Number(stated) !== version && intact)
      throw new DbError("featureNotSupported", `${who} is of version ${stated}, not ${version}`);
    refuse(
      `${who} is mistyped`,
      `Given as number ${given}. A share is one line from "${prefix}${version}-" to its last letter.`,
    );
  }
  const [, needed, total, at, set, fingerprint, commitment, bytes] = match;
  return {
    needed: Number(needed),
    total: Number(total),
    index: Number(at),
    set: set!,
    fingerprint: fingerprint!,
    commitment: commitment!,
    bytes: Buffer.from(bytes!, "hex"),
  };
}

/**
 * What a share says of itself, without its secret part.
 * @throws DbError invalidParameterValue (22023) when it is mistyped, featureNotSupported (0A000) when it is of another version
 */
export function readShare(text: string): ShareFacts {
  const { needed, total, index, set, fingerprint } = parseShare(text, 1);
  return { needed, total, index, set, fingerprint };
}

/** Of a share among others, which one is wrong: `given` is its place, from 1. Throws as `readShare`. */
export function checkShare(text: string, given: number): void {
  parseShare(text, given).bytes.fill(0);
}

/**
 * The key that was split, in PKCS #8: for `CaStore.seal`, which zeroes it. Blank in and around a share does not matter, nor does
 * the case of letters; more shares than needed are checked and not used.
 * @throws DbError invalidParameterValue (22023) when a share is mistyped (named by its index), when they are of different sets
 *   or of another CA, too few, or do not bring back the key; featureNotSupported (0A000) for another version
 */
export async function combineShares(texts: readonly string[], certificatePem: string): Promise<Uint8Array> {
  if (texts.length > 255) refuse(`${texts.length} shares were given; no set has more than 255`);
  const certificate = readCertificate(certificatePem);
  const shares = texts.map((text, at) => parseShare(text, at + 1));
  try {
    return await combineParsed(shares, certificate);
  } finally {
    for (const { bytes } of shares) bytes.fill(0);
  }
}

async function combineParsed(shares: readonly Share[], certificate: X509Certificate): Promise<Uint8Array> {
  const first = shares[0] ?? refuse("no share was given");
  const headOf = (one: Share): string =>
    [one.set, one.fingerprint, one.commitment, one.needed, one.total, one.bytes.length].join(" ");
  const stranger = shares.find((one) => headOf(one) !== headOf(first));
  if (stranger !== undefined)
    refuse(
      `share ${stranger.index} is not of the same set as share ${first.index}`,
      "Shares of two splits cannot be combined, be they of the same key.",
    );
  if (first.fingerprint !== fingerprintOf(certificate))
    refuse(`the shares are of CA ${first.fingerprint}, not of ${fingerprintOf(certificate)}`);
  if (shares.some((one) => one.index < 1 || one.index > one.total) || first.needed > first.total)
    refuse("the shares' numbers make no sense");
  const different = [...new Map(shares.map((one) => [one.index, one])).values()];
  const twice = shares.find((one) =>
    different.some((it) => it.index === one.index && !it.bytes.equals(one.bytes)),
  );
  if (twice !== undefined) refuse(`share ${twice.index} was given twice, differently`);
  if (different.length < Math.max(first.needed, 2))
    refuse(`${first.needed} different shares are needed, ${different.length} given`);
  const { combine } = await library();
  const parts = different.slice(0, first.needed).map((one) => new Uint8Array(one.bytes));
  const points = new Set(parts.map((part) => part.at(-1)));
  if (points.size !== parts.length) refuse("two of the shares are the same under different numbers");
  const pkcs8 = await combine(parts);
  for (const part of parts) part.fill(0);
  if (commitmentOf(first.set, pkcs8) !== first.commitment) {
    pkcs8.fill(0);
    refuse("the shares do not bring back the key they were made of", "One of them was altered on purpose.");
  }
  if (!belongs(pkcs8, certificate)) {
    pkcs8.fill(0);
    refuse("the key that the shares bring back is not that of the CA's certificate");
  }
  return pkcs8;
}
