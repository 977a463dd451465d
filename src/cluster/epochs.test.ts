/** Epochs: the canonical bytes against bytes laid by hand, every check's refusal, life and convergence. */
import { createHash, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { describe, expect, it } from "vitest";
import { MalformedBytes } from "../base/bytes.js";
import {
  type Attestation,
  attestationDigest,
  brokenLink,
  canonicalBytes,
  chainDigest,
  chainHash,
  convergence,
  decodeEpoch,
  type Epoch,
  type EpochContent,
  type EpochContext,
  type EpochState,
  encodeEpoch,
  epochStates,
  hashOf,
  mayMove,
  needsAttestation,
  packVersion,
  refusalOf,
  signDigest,
  versionText,
  zeroHash,
} from "./epochs.js";

const clusterUuid = "0190a8c0-0000-7000-8000-00000000000c";
const leaderUuid = "0190a8c0-0000-7000-8000-000000000001";
const fingerprint = "ab".repeat(32);
const admins = ["ffffffff-0000-7000-8000-00000000000a", "0190a8c0-0000-7000-8000-00000000000b"];

interface Keys {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}
const keysOf = new Map<string, Keys>(
  [leaderUuid, ...admins].map((uuid) => [uuid, generateKeyPairSync("ed25519")]),
);
const raw = (uuid: string): Uint8Array | undefined => {
  const keys = keysOf.get(uuid);
  return keys === undefined
    ? undefined
    : keys.publicKey.export({ type: "spki", format: "der" }).subarray(-32);
};
const signed = (uuid: string, digest: Uint8Array): string =>
  sign(null, digest, keysOf.get(uuid)!.privateKey).toString("base64");

const partOf = (text: string): string => hashOf(Buffer.from(text));
const stored = new Map(
  ["ca", "ca 2", "bundle", "map", "settings"].map((text) => [partOf(text), text.length]),
);

function context(latest: Epoch | undefined, change: Partial<EpochContext> = {}): EpochContext {
  return {
    clusterUuid,
    latest,
    partBytes: (_type, hash) => stored.get(hash),
    bytesMax: 100,
    oldestVersion: packVersion("0.2.0"),
    policy: { minSignatures: 1, authorizedSigners: admins, requireQuorum: false },
    administratorKey: raw,
    nodeKey: (uuid, cert) => (cert === fingerprint ? raw(uuid) : undefined),
    verify: (key, digest, signature) => {
      const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key]);
      return verify(
        null,
        digest,
        { key: spki, format: "der", type: "spki" },
        Buffer.from(signature, "base64"),
      );
    },
    ...change,
  };
}

function epoch(
  before: Epoch | undefined,
  change: Partial<EpochContent> = {},
  signers: readonly string[] = [],
): Epoch {
  const content: EpochContent = {
    number: (before?.number ?? 0) + 1,
    clusterUuid,
    previousHash: before === undefined ? zeroHash : chainHash(before),
    parts: before?.parts ?? {
      caPolicy: partOf("ca"),
      securityBundle: partOf("bundle"),
      shardMap: partOf("map"),
    },
    createdAt: 1_767_225_600_123,
    publishedAt: 1_767_225_601_000,
    administrators: signers,
    description: "größer",
    minNodeVersion: packVersion("0.1.0"),
    ...change,
  };
  return seal(content, signers);
}
function seal(content: EpochContent, signers: readonly string[]): Epoch {
  return {
    ...content,
    signatures: signers.map((administrator) => ({
      administrator,
      signature: signed(administrator, signDigest(content)),
    })),
    leader: {
      node: leaderUuid,
      certFingerprint: fingerprint,
      signature: signed(leaderUuid, chainDigest(content)),
    },
  };
}

const genesis = epoch(undefined);

describe("canonical bytes", () => {
  it("are those of CCE-9, laid by hand", () => {
    const one = epoch(genesis, { administrators: admins });
    const u64 = (value: bigint): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64BE(value);
      return bytes;
    };
    const u32 = (value: number): Buffer => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      return bytes;
    };
    const uuid = (text: string): Buffer => Buffer.from(text.replaceAll("-", ""), "hex");
    const sha = (text: string): Buffer => createHash("sha256").update(text).digest();
    const none = Buffer.alloc(32);
    const expected = Buffer.concat([
      u64(2n),
      uuid(clusterUuid),
      Buffer.from(chainHash(genesis), "hex"),
      ...[sha("ca"), sha("bundle"), sha("map"), none, none, none, none, none],
      u64(1_767_225_600_123_000_000n),
      u64(1_767_225_601_000_000_000n),
      u32(2),
      ...[uuid(admins[1]!), uuid(admins[0]!)], // sorted bytewise
      u32(8), // two of the six letters take two bytes
      Buffer.from("größer"),
      u32(1000),
    ]);
    expect(Buffer.from(canonicalBytes(one, one.publishedAt)).toString("hex")).toBe(expected.toString("hex"));
    expect(chainHash(one)).toBe(createHash("sha256").update(expected).digest("hex"));
    expect(one.administrators).toEqual(admins); // hashing sorts a copy
  });

  it("change with every field that is hashed, and sign digests not with the time of publication", () => {
    const changes: Partial<EpochContent>[] = [
      { number: 3 },
      { clusterUuid: leaderUuid },
      { previousHash: partOf("x") },
      ...(["caPolicy", "observabilityPolicy"] as const).map((type) => ({
        parts: { ...genesis.parts, [type]: partOf("y") },
      })),
      { createdAt: genesis.createdAt + 1 },
      { administrators: [admins[0]!] },
      { description: "grösser" },
      { minNodeVersion: 7 },
    ];
    for (const change of changes) {
      expect(chainHash({ ...genesis, ...change })).not.toBe(chainHash(genesis));
      expect(hashOf(signDigest({ ...genesis, ...change }))).not.toBe(hashOf(signDigest(genesis)));
    }
    const later = { ...genesis, publishedAt: genesis.publishedAt + 1 };
    expect(chainHash(later)).not.toBe(chainHash(genesis));
    expect(hashOf(signDigest(later))).toBe(hashOf(signDigest(genesis)));
  });
});

describe("an epoch", () => {
  const conditionOf = (one: Epoch, held: EpochContext): string | undefined => refusalOf(one, held)?.condition;

  it("follows the latest, and nothing else does", () => {
    expect(refusalOf(genesis, context(undefined))).toBeUndefined();
    const second = epoch(genesis, { parts: { ...genesis.parts, observabilityPolicy: partOf("settings") } });
    expect(refusalOf(second, context(genesis))).toBeUndefined();
    expect(conditionOf(genesis, context(genesis))).toBe("EPOCH_NUMBER_GAP");
    expect(conditionOf(second, context(second))).toBe("EPOCH_NUMBER_GAP");
    const fork = epoch(genesis, { description: "another" });
    const third = epoch(second);
    expect(conditionOf(third, context(fork))).toBe("INVALID_HASH_CHAIN");
    expect(conditionOf(epoch(genesis, { clusterUuid: leaderUuid }), context(genesis))).toBe(
      "CLUSTER_UUID_MISMATCH",
    );
    expect(conditionOf(epoch(genesis, { parts: { shardMap: partOf("?") } }), context(genesis))).toBe(
      "BUNDLE_UNAVAILABLE",
    );
    expect(conditionOf(second, context(genesis, { bytesMax: 10 }))).toBe("EPOCH_TOO_LARGE");
    expect(conditionOf(epoch(genesis, { minNodeVersion: packVersion("0.3.0") }), context(genesis))).toBe(
      "INCOMPATIBLE_VERSION",
    );
    expect(brokenLink([genesis, second, third])).toBeUndefined();
    expect(brokenLink([genesis, fork, third])).toBe(3);
  });

  it("that changes policy is signed by enough administrators, each on the list, each valid", () => {
    const parts = { ...genesis.parts, caPolicy: partOf("ca 2") };
    const both = context(genesis, {
      policy: { minSignatures: 1, authorizedSigners: [...admins, "third"], requireQuorum: true },
    });
    expect(conditionOf(epoch(genesis, { parts }), context(genesis))).toBe("SIGNATURE_INVALID");
    expect(conditionOf(epoch(genesis, { parts }, [admins[0]!]), context(genesis))).toBeUndefined();
    expect(conditionOf(epoch(genesis, { parts }, [admins[0]!]), both)).toBe("SIGNATURE_INVALID");
    expect(conditionOf(epoch(genesis, { parts }, admins), both)).toBeUndefined();
    // The same administrator twice is one.
    expect(conditionOf(epoch(genesis, { parts }, [admins[0]!, admins[0]!]), both)).toBe("SIGNATURE_INVALID");
    expect(conditionOf(epoch(genesis, { parts }, [leaderUuid]), context(genesis))).toBe("SIGNATURE_INVALID");
    const good = epoch(genesis, { parts }, admins);
    const oneBad = {
      ...good,
      signatures: [good.signatures[0]!, { ...good.signatures[1]!, signature: "AAAA" }],
    };
    expect(conditionOf(oneBad, context(genesis))).toBe("SIGNATURE_INVALID");
    const swapped = { ...good, signatures: [...good.signatures].reverse() };
    expect(conditionOf(swapped, context(genesis))).toBe("SIGNATURE_INVALID");
    expect(conditionOf({ ...good, signatures: good.signatures.slice(1) }, context(genesis))).toBe(
      "SIGNATURE_INVALID",
    );
  });

  it("is refused when the leader's signature is another's", () => {
    const second = epoch(genesis);
    const { leader } = second;
    expect(
      conditionOf({ ...second, leader: { ...leader, certFingerprint: zeroHash } }, context(genesis)),
    ).toBe("SIGNATURE_INVALID");
  });

  it("comes back from its bytes, and is refused when any of them is changed", () => {
    const parts = { ...genesis.parts, caPolicy: partOf("ca 2") };
    const second = epoch(genesis, { parts }, admins);
    const bytes = encodeEpoch(second);
    expect(decodeEpoch(bytes)).toEqual(second);
    const refused = new Map<string, number>();
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = changed[at]! ^ (1 << (at % 8));
      let condition: string | undefined;
      try {
        condition = conditionOf(decodeEpoch(changed), context(genesis));
      } catch (error) {
        condition = (error as Error).name;
      }
      expect(condition, `byte ${at}`).toBeDefined();
      refused.set(condition!, (refused.get(condition!) ?? 0) + 1);
    }
    expect([...refused.keys()].sort()).toEqual([
      "BUNDLE_UNAVAILABLE",
      "CLUSTER_UUID_MISMATCH",
      "EPOCH_NUMBER_GAP",
      "INCOMPATIBLE_VERSION",
      "INVALID_HASH_CHAIN",
      "MalformedBytes",
      "SIGNATURE_INVALID",
    ]);
    for (let length = 0; length < bytes.length; length += 13)
      expect(() => decodeEpoch(bytes.subarray(0, length))).toThrow(MalformedBytes);
  });

  it("needs attestation for trust, access and keys that move; not for placement and settings", () => {
    const next = (parts: Epoch["parts"]): Epoch => epoch(genesis, { parts: { ...genesis.parts, ...parts } });
    expect(needsAttestation(next({ securityBundle: partOf("x") }), genesis, false)).toBe(true);
    expect(needsAttestation(next({ caPolicy: partOf("x") }), genesis, false)).toBe(true);
    expect(needsAttestation(next({ shardMap: partOf("x") }), genesis, false)).toBe(false);
    expect(needsAttestation(next({ shardMap: partOf("x") }), genesis, true)).toBe(true);
    expect(needsAttestation(next({ observabilityPolicy: partOf("x") }), genesis, false)).toBe(false);
  });

  it("only moves forward", () => {
    const order = (state: EpochState): number => epochStates.indexOf(state);
    for (const from of epochStates)
      for (const to of epochStates) if (mayMove(from, to)) expect(order(to)).toBeGreaterThan(order(from));
    expect(mayMove("EFFECTIVE", "SUPERSEDED")).toBe(true);
    expect(mayMove("DRAFTED", "EFFECTIVE")).toBe(false);
    expect(epochStates.filter((to) => mayMove("SUPERSEDED", to))).toEqual([]);
  });
});

describe("convergence", () => {
  const nodes = ["a", "b", "c"];
  const word = (node: string, seen: readonly string[], number = 7): Attestation => ({
    node,
    epoch: number,
    activatedAt: 1,
    observations: seen.map((peer) => ({
      peer,
      certFingerprint: zeroHash,
      epoch: number,
      observedAt: 1,
      valid: true,
    })),
    signature: "",
  });
  const of = (...words: Attestation[]): ReadonlyMap<string, Attestation> =>
    new Map(words.map((one) => [one.node, one]));

  it("waits for the word of every enabled node about every other", () => {
    const all = of(word("a", ["b", "c"]), word("b", ["a", "c"]), word("c", ["a", "b"]));
    expect(convergence(7, nodes, all).effective).toBe(true);
    expect([...convergence(7, nodes, of(word("a", ["b", "c"]), word("b", ["a"]))).missing]).toEqual([
      ["b", "has not seen c at it"],
      ["c", "has not activated it"],
    ]);
    expect(convergence(8, nodes, all).effective).toBe(false);
    // Who is not enabled is not counted.
    expect(convergence(7, ["a", "b"], of(word("a", ["b"]), word("b", ["a"]))).effective).toBe(true);
    expect(convergence(7, ["a"], of(word("a", []))).effective).toBe(true);
  });

  it("a word's digest covers everything in it", () => {
    const { signature: _, ...one } = word("a", ["b", "c"]);
    const digest = hashOf(attestationDigest(one));
    expect(hashOf(attestationDigest({ ...one, observations: [...one.observations].reverse() }))).toBe(digest);
    for (const change of [{ node: "b" }, { epoch: 8 }, { activatedAt: 2 }, { observations: [] }])
      expect(hashOf(attestationDigest({ ...one, ...change }))).not.toBe(digest);
  });
});

it("versions pack in order", () => {
  expect(packVersion("1.0.0")).toBe(100_000);
  expect(versionText(packVersion("1.12.3"))).toBe("1.12.3");
  expect(packVersion("0.99.999")).toBeLessThan(packVersion("1.0.0"));
});
