/** Shares of a CA's key: any m of n bring it back, fewer say nothing, and no slip of the hand goes unnoticed (CA-42). */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { combine } from "shamir-secret-sharing";
import { beforeAll, describe, expect, it } from "vitest";
import { hostClock, hostRandom } from "../platform/host.js";
import { createAuthority, type NewAuthority } from "./authority.js";
import { generateSoftwareKey, softwareSigner } from "./ca-signer.js";
import { combineShares, readShare, splitKey } from "./shares.js";

const clusterUuid = "0190a8c0-0000-7000-8000-00000000000c";
const options = { clock: hostClock, random: hostRandom, clusterUuid };
const refusedAs = (sqlstate: string, message: RegExp) =>
  expect.objectContaining({ name: "DbError", sqlstate, message: expect.stringMatching(message) });

let ca: NewAuthority;
let other: NewAuthority;
beforeAll(async () => {
  ca = await createAuthority(options);
  other = await createAuthority(options);
});
const split = (needed: number, total: number, of = ca): Promise<string[]> =>
  splitKey(of.pkcs8!, of.certificatePem, hostRandom, { needed, total });

/** All subsets of a size. */
function subsets<T>(items: readonly T[], size: number): T[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, at) => subsets(items.slice(at + 1), size - 1).map((rest) => [item, ...rest]));
}
/** The share with its checksum made to fit again: what somebody does on purpose. */
function resealed(share: string, change: (text: string) => string): string {
  const text = change(share.slice(0, share.lastIndexOf("-")));
  return `${text}-${createHash("sha256").update(text).digest("hex").slice(0, 16)}`;
}

describe("shares of a key", () => {
  it("bring it back, any m of n, and no fewer", async () => {
    for (const [needed, total] of [
      [2, 2],
      [2, 3],
      [3, 3],
      [3, 5],
      [4, 5],
      [5, 6],
    ] as const) {
      const shares = await split(needed, total);
      expect(new Set(shares).size).toBe(total);
      for (let size = 0; size <= total; size++)
        for (const some of subsets(shares, size)) {
          const combined = combineShares(some, ca.certificatePem);
          if (size >= needed) expect(Buffer.from(await combined).equals(ca.pkcs8!)).toBe(true);
          else
            await expect(combined).rejects.toEqual(
              refusedAs("22023", /shares are needed|no share was given/),
            );
        }
    }
  });

  it("are 3 of 5 by default, and say whose they are", async () => {
    const shares = await splitKey(ca.pkcs8!, ca.certificatePem, hostRandom);
    expect(shares.map(readShare)).toEqual(
      shares.map((share, at) => ({
        needed: 3,
        total: 5,
        index: at + 1,
        set: share.split("-")[4],
        fingerprint: ca.fingerprint,
      })),
    );
    expect(shares[0]!.length).toBeLessThan(400);
    expect((await split(2, 255)).length).toBe(255);
    const signer = softwareSigner(await combineShares(shares.slice(1, 4), ca.certificatePem));
    expect(signer.publicKeySpki).toEqual(ca.signer.publicKeySpki);
    for (const [needed, total] of [
      [1, 5],
      [6, 5],
      [2, 256],
      [2.5, 5],
      [0, 0],
    ] as const)
      await expect(split(needed, total)).rejects.toEqual(refusedAs("22023", /2 <= m <= n <= 255/));
  });

  it("hold nothing of the key, neither one nor fewer than m together", async () => {
    // Whoever has m - 1 shares can combine them as if m were less: what comes out is not the key, and differs with each split.
    const seen = new Set<string>();
    const secret = Buffer.from(ca.pkcs8!);
    for (let round = 0; round < 20; round++) {
      const shares = await split(3, 5);
      const lowered = shares
        .slice(0, 2)
        .map((share) => resealed(share, (text) => text.replace("-3-5-", "-2-5-")));
      await expect(combineShares(lowered, ca.certificatePem)).rejects.toEqual(
        refusedAs("22023", /do not bring back/),
      );
      const parts = shares.map((share) => new Uint8Array(Buffer.from(share.split("-")[7]!, "hex")));
      const guess = Buffer.from(await combine(parts.slice(0, 2)));
      expect(guess.equals(secret)).toBe(false);
      seen.add(guess.toString("hex"));
      for (const part of parts) expect(Buffer.from(part).includes(secret.subarray(-32, -24))).toBe(false);
    }
    expect(seen.size).toBe(20);
  });

  it("that are mistyped are named, whatever letter it is", async () => {
    const shares = await split(3, 5);
    const letters = "0123456789abcdefghijklmnopqrstuvwxyz-";
    await fc.assert(
      fc.asyncProperty(
        fc.nat(2),
        fc.nat(shares[0]!.length - 1),
        fc.constantFrom(...letters),
        async (which, at, letter) => {
          const given = shares.slice(1, 4);
          const share = given[which]!;
          fc.pre(share[at] !== letter);
          given[which] = `${share.slice(0, at)}${letter}${share.slice(at + 1)}`;
          const error = await combineShares(given, ca.certificatePem).then(
            () => "combined",
            (refusal: unknown) => refusal,
          );
          expect(error).toEqual(refusedAs("22023", /is mistyped$/));
          // Where the index itself is hit, the place it was given at still leads there.
          const index = share.indexOf("-5-") + 3;
          if (at > index + 1) expect(error).toMatchObject({ message: `share ${which + 2} is mistyped` });
          expect(error).toMatchObject({ fields: { hint: expect.stringContaining(`number ${which + 1}.`) } });
        },
      ),
      { numRuns: 500 },
    );
    for (const bad of ["", "x", shares[0]!.slice(0, 100), `${shares[0]}${shares[1]}`, "9".repeat(100_000)])
      await expect(combineShares([bad, shares[1]!], ca.certificatePem)).rejects.toEqual(
        refusedAs("22023", /mistyped/),
      );
  });

  it("may be typed in capitals and with blanks", async () => {
    const shares = await split(2, 3);
    const typed = shares.map((share) => ` ${share.toUpperCase().replace(/(.{40})/g, "$1\n  ")}\n`);
    expect(Buffer.from(await combineShares(typed, ca.certificatePem)).equals(ca.pkcs8!)).toBe(true);
  });

  it("of two splits, two CAs or another version do not go together", async () => {
    const [one, two] = [await split(2, 3), await split(2, 3)];
    const combined = (...shares: string[]) => combineShares(shares, ca.certificatePem);
    await expect(combined(one[0]!, two[1]!)).rejects.toEqual(
      refusedAs("22023", /share 2 is not of the same set as share 1/),
    );
    await expect(combined(one[0]!, one[0]!)).rejects.toEqual(
      refusedAs("22023", /2 different shares are needed, 1 given/),
    );
    const foreign = await split(2, 3, other);
    await expect(combined(foreign[0]!, foreign[1]!)).rejects.toEqual(refusedAs("22023", /are of CA/));
    const newer = resealed(one[0]!, (text) => text.replace("sbcakey1", "sbcakey2"));
    await expect(combined(newer, one[1]!)).rejects.toEqual(refusedAs("0A000", /share 1 is of version 2/));
    const again = resealed(one[0]!, (text) => text.replace("-2-3-1-", "-2-3-3-"));
    await expect(combined(one[0]!, again)).rejects.toEqual(
      refusedAs("22023", /same under different numbers/),
    );
    const altered = resealed(one[0]!, (text) =>
      text.replace(/.(..)$/, (_all, last: string) => `${_all.startsWith("0") ? "1" : "0"}${last}`),
    );
    await expect(combined(altered, one[1]!)).rejects.toEqual(refusedAs("22023", /do not bring back/));
    await expect(combined(altered, one[0]!)).rejects.toEqual(refusedAs("22023", /given twice, differently/));
    const renamed = one.map((share) =>
      resealed(share, (text) => text.replace(ca.fingerprint, other.fingerprint)),
    );
    await expect(combineShares(renamed, other.certificatePem)).rejects.toThrow(/certificate/);
  });

  it("are made of no key but the CA's own, on P-256 too", async () => {
    await expect(splitKey(other.pkcs8!, ca.certificatePem, hostRandom)).rejects.toEqual(
      refusedAs("22023", /not that of/),
    );
    const { signer, pkcs8 } = generateSoftwareKey("ECDSA-P256");
    const onP256 = await createAuthority({ ...options, signer });
    const shares = await splitKey(pkcs8, onP256.certificatePem, hostRandom);
    expect(Buffer.from(await combineShares(shares.slice(2), onP256.certificatePem)).equals(pkcs8)).toBe(true);
  });
});
