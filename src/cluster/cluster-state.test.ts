/**
 * Members, settings and epochs: scripts with golden output (`REWRITE=1` refreshes them; the diff is the review), rivals,
 * epochs and snapshots that were tampered with, and how long a long history takes.
 */
import { generateKeyPairSync, sign, verify as verifyBytes } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ed25519Key } from "../security/index.js";
import { ClusterState } from "./cluster-state.js";
import type { ClusterChange, DraftAction, EpochEntry, ErrorRecord, Pki, Signer } from "./contract.js";
import { chainDigest, decodeEpoch, type Epoch, encodeEpoch, hashOf, partNames, zeroHash } from "./epochs.js";
import {
  Author,
  authorityPem,
  clusterUuid,
  epochs,
  newMember,
  newState,
  pki,
  restored,
  runScript,
  signerOf,
  textOf,
  uuidOf,
} from "./script-testing.js";

const folder = fileURLToPath(new URL("testdata/", import.meta.url));

describe("scripts", () => {
  for (const name of readdirSync(folder)) {
    it(name, () => {
      const path = folder + name;
      const text = readFileSync(path, "utf8");
      const output = runScript(text);
      if (process.env["REWRITE"] === "1") writeFileSync(path, output);
      else expect(output).toBe(text);
    });
  }
});

const set = (key: string, value: string): ClusterChange => ({ kind: "set", key, value });
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** A cluster of a, b and c, all ENABLED, with a policy that administrator x has signed and nobody has attested. */
function cluster(): Author {
  const author = new Author();
  const { state } = author;
  state.apply(author.genesis());
  for (const name of ["b", "c"]) {
    author.at++;
    state.apply(epochs(author.change({ kind: "addMember", member: newMember(name) })));
    expect(
      state.cluster.apply({ type: "attest", attestation: author.attestation(name) }).error,
    ).toBeUndefined();
    const enabled = { kind: "moveMember", node: uuidOf(name), to: "ENABLED", reason: "r" } as const;
    state.apply(epochs(author.change(enabled)));
  }
  const { publicKey } = signerOf("x");
  state.cluster.apply({ type: "administrator", uuid: uuidOf("x"), name: "x", publicKey });
  const first = author.bundle("1");
  const digest = state.cluster.signingDigest(first, "admin", 7, [uuidOf("x")]);
  const signatures = [{ administrator: uuidOf("x"), signature: signerOf("x").sign(digest) }];
  const drafted = author.draft([{ change: first, by: "admin", signed: { createdAt: 7, signatures } }]);
  const [outcome] = state.apply(epochs(drafted[0] as EpochEntry));
  expect(outcome!.error).toBeUndefined();
  expect(state.cluster.latest).toMatchObject({ state: "CONVERGING" });
  expect(state.cluster.historyProblems()).toEqual([]);
  return author;
}

/** What an entry is refused with; and that it changes nothing but the list of refusals. */
function refusal(author: Author, entry: EpochEntry): ErrorRecord {
  const { state } = author;
  const saved = JSON.parse(textOf(state));
  const before = state.cluster.refusedEpochs.length;
  const { error } = state.cluster.applyEpoch(entry);
  expect(error).toBeDefined();
  expect(state.cluster.refusedEpochs).toHaveLength(before + 1);
  const now = JSON.parse(textOf(state));
  now.cluster.refused.pop();
  expect(now).toEqual(saved);
  return error!;
}

describe("an epoch", () => {
  it("has one winner among rivals, in either order, and the other is on record", () => {
    const author = cluster();
    const one = author.draft([{ change: set("replication.factor", "3"), by: "x" }], "a")[0] as EpochEntry;
    const two = author.draft([{ change: set("replication.factor", "4"), by: "y" }], "b")[0] as EpochEntry;
    for (const [first, second, factor] of [
      [one, two, "3"],
      [two, one, "4"],
    ] as const) {
      const state = restored(author.state);
      const together = restored(author.state);
      expect(state.apply(epochs(first))).toEqual([{ origin: first.origin, error: undefined }]);
      const [lost] = state.apply(epochs(second));
      expect(lost).toMatchObject({
        origin: second.origin,
        error: { sqlstate: "55000", fields: { detail: expect.stringMatching(/^EPOCH_NUMBER_GAP: /) } },
      });
      expect(state.cluster.setting("replication.factor")).toBe(factor);
      expect(state.cluster.refusedEpochs).toMatchObject([{ number: 7, condition: "EPOCH_NUMBER_GAP" }]);
      expect(state.cluster.latest!.by).toBe(first.by);
      // In one entry it is the same.
      expect(together.apply(epochs(first, second)).map((outcome) => outcome.error === undefined)).toEqual([
        true,
        false,
      ]);
      expect(textOf(together)).toBe(textOf(state));
      // And a third time changes nothing.
      expect(state.apply(epochs(second))).toEqual([]);
      expect(textOf(together)).toBe(textOf(state));
    }
  });

  it("is refused when any bit of it was changed", () => {
    const author = cluster();
    const entry = author.change(set("replication.factor", "3"));
    const bytes = Buffer.from(entry.epoch, "base64");
    const conditions = new Set<string>();
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = Buffer.from(bytes);
        changed[at]! ^= 1 << bit;
        const { error } = author.state.cluster.applyEpoch({ ...entry, epoch: base64(changed) });
        expect(error, `byte ${at} bit ${bit}`).toBeDefined();
        conditions.add(author.state.cluster.refusedEpochs.at(-1)!.condition);
      }
      if (at % 20 > 0) continue;
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1 << (at % 8);
      refusal(cluster(), { ...entry, epoch: base64(changed) });
      refusal(cluster(), { ...entry, epoch: base64(bytes.subarray(0, at)) });
    }
    expect([...conditions].sort()).toEqual([
      "BUNDLE_UNAVAILABLE",
      "CLUSTER_UUID_MISMATCH",
      "EPOCH_NUMBER_GAP",
      "INCOMPATIBLE_VERSION",
      "INVALID_HASH_CHAIN",
      "MALFORMED",
      "SIGNATURE_INVALID",
    ]);
    expect(author.state.cluster.applyEpoch(entry).error).toBeUndefined();
  });

  it("is refused when its leader says another thing than it does", () => {
    const author = cluster();
    const entry = author.change(set("replication.factor", "3"));
    const good = decodeEpoch(Buffer.from(entry.epoch, "base64"));
    const forged = (change: Partial<Epoch>, leader = "a"): EpochEntry => {
      const content = { ...good, ...change };
      const { certFingerprint, ...signer } = signerOf(leader);
      const signature = signer.sign(chainDigest(content));
      const epoch = { ...content, leader: { node: uuidOf(leader), certFingerprint, signature } };
      return { ...entry, epoch: base64(encodeEpoch(epoch)) };
    };
    const nowhere = hashOf(Buffer.from("nowhere"));
    const cases: [string, Partial<Epoch>][] = [
      ["EPOCH_NUMBER_GAP", { number: good.number + 1 }],
      ["EPOCH_NUMBER_GAP", { number: good.number - 1 }],
      ["EPOCH_NUMBER_GAP", { number: 2 ** 53 - 1 }],
      ["CLUSTER_UUID_MISMATCH", { clusterUuid: uuidOf("a") }],
      ["INVALID_HASH_CHAIN", { previousHash: nowhere }],
      ["INVALID_HASH_CHAIN", { previousHash: zeroHash }],
      ["CONTENT_MISMATCH", { description: "nothing to see" }],
      ["CONTENT_MISMATCH", { minNodeVersion: 1 }],
      ["INCOMPATIBLE_VERSION", { minNodeVersion: 200_000 }],
      ["SIGNATURE_INVALID", { administrators: [uuidOf("x")] }],
      ...partNames.flatMap((type): [string, Partial<Epoch>][] => [
        ["BUNDLE_UNAVAILABLE", { parts: { ...good.parts, [type]: nowhere } }],
        // Without one of the first two an administrator would have to sign.
        [
          type === "caPolicy" || type === "securityBundle" ? "SIGNATURE_INVALID" : "BUNDLE_UNAVAILABLE",
          { parts: { ...good.parts, [type]: undefined } },
        ],
      ]),
    ];
    for (const [condition, change] of cases)
      expect(refusal(author, forged(change)).detail, JSON.stringify(change)).toMatch(
        new RegExp(`^${condition}: `),
      );
    // Of somebody who was never here, and of one that was removed.
    expect(refusal(author, forged({}, "d")).detail).toMatch(/^SIGNATURE_INVALID/);
    author.state.cluster.applyEpoch(
      author.change({
        kind: "removeMember",
        node: uuidOf("c"),
        reason: "",
        force: false,
        allowDataLoss: false,
      }),
    );
    const behind = {
      ...decodeEpoch(Buffer.from(author.change(set("replication.factor", "3")).epoch, "base64")),
    };
    expect(refusal(author, forged(behind, "c")).detail).toMatch(/^SIGNATURE_INVALID/);
    // The change does not go with the epoch.
    expect(refusal(author, { ...entry, change: set("replication.factor", "4") }).detail).toMatch(
      /^EPOCH_NUMBER_GAP/,
    );
    const other = author.change(set("replication.factor", "3"));
    expect(refusal(author, { ...other, change: set("replication.factor", "4") }).detail).toMatch(
      /^BUNDLE_UNAVAILABLE/,
    );
    expect(refusal(author, { ...other, change: set("replication.factor", "03") }).detail).toMatch(
      /^CONTENT_MISMATCH/,
    );
    // When it was made and published is the leader's word.
    expect(
      author.state.cluster.applyEpoch(forged({ ...behind, createdAt: 1, publishedAt: 2 })).error,
    ).toBeUndefined();
    expect(author.state.cluster.historyProblems()).toEqual([]);
  });

  it("of more than epoch.bytes_max is refused, and a limit that the cluster is beyond already", () => {
    const author = cluster();
    author.state.cluster.applyEpoch(author.change(set("epoch.bytes_max", "2MB")));
    author.state.cluster.applyEpoch(author.change(set("security_bundle.publish_interval", "0")));
    const { publicKey } = signerOf("y");
    author.state.cluster.apply({ type: "administrator", uuid: uuidOf("y"), name: "y", publicKey });
    const publish = (size: number): EpochEntry | ErrorRecord => {
      const draft = uuidOf("w");
      const note = (action: DraftAction): void => {
        expect(
          author.state.cluster.apply({ type: "bundleDraft", by: "x", at: 9, action }).error,
        ).toBeUndefined();
      };
      if (author.state.cluster.bundleDraft !== undefined) note({ kind: "abandon", draft });
      note({ kind: "open", draft, version: undefined, description: "", from: 1 });
      const body = "x".repeat(65_536);
      for (let at = 0; at * body.length < size; at++) {
        const type = { oid: 25, typmod: -1 };
        const id = `01900000-0000-7000-8000-${String(at).padStart(12, "0")}`;
        const rule = { id, name: `f${at}`, input: type, output: type, body, classification: "PII" } as const;
        note({ kind: "put", draft, rule: { set: "masking", rule } });
      }
      const { rules } = author.state.cluster.bundleDraft!;
      const version = author.state.cluster.epochs.length + 1;
      const facts = { clusterUuid, createdAt: 9, creator: uuidOf("x"), description: "" };
      const change = author.bundleOf({ version, rules, ...facts }, { kind: "draft", draft });
      const digest = author.state.cluster.signingDigest(change, "admin", 9, [uuidOf("y")]);
      const signatures = [{ administrator: uuidOf("y"), signature: signerOf("y").sign(digest) }];
      return author.draft([{ change, by: "admin", signed: { createdAt: 9, signatures } }])[0]!;
    };
    expect(publish(2 << 20)).toMatchObject({ detail: expect.stringMatching(/^EPOCH_TOO_LARGE: /) });
    // The part holds it in base64.
    expect(author.state.cluster.applyEpoch(publish(1 << 20) as EpochEntry).error).toBeUndefined();
    const [lowered] = author.draft([{ change: set("epoch.bytes_max", "1MB"), by: "admin" }]);
    expect(lowered).toMatchObject({
      condition: "objectNotInPrerequisiteState",
      detail: expect.stringMatching(/^EPOCH_TOO_LARGE: /),
    });
  });

  it("whose text is no UTF-8 is what it says it is", () => {
    const author = cluster();
    const move: ClusterChange = {
      kind: "moveMember",
      node: uuidOf("c"),
      to: "DISABLED",
      reason: "\ud800 half",
    };
    expect(author.state.apply(epochs(author.change(move)))[0]!.error).toBeUndefined();
    expect(textOf(restored(author.state))).toBe(textOf(author.state));
  });

  it("is built behind those before it in the entry, and as if those refused were not there", () => {
    const author = cluster();
    const changes: ClusterChange[] = [
      { kind: "addMember", member: newMember("d") },
      { kind: "addMember", member: newMember("d") },
      { kind: "setRoles", node: uuidOf("d"), roles: 0 },
      { kind: "setRoles", node: uuidOf("d"), roles: 2 },
      set("membership.failure_timeout", "1min"),
      { kind: "moveMember", node: uuidOf("d"), to: "ENABLED", reason: "" },
      { kind: "removeMember", node: uuidOf("d"), reason: "", force: false, allowDataLoss: false },
      { kind: "removeMember", node: uuidOf("d"), reason: "", force: false, allowDataLoss: false },
    ];
    const made = author.draft(changes.map((change) => ({ change, by: "admin" })));
    expect(made.map((one) => ("condition" in one ? one.condition : "made"))).toEqual([
      "made",
      "duplicateObject",
      "invalidParameterValue",
      "made",
      "made",
      "objectNotInPrerequisiteState",
      "made",
      "objectNotInPrerequisiteState",
    ]);
    const entries = made.filter((one) => !("condition" in one)) as EpochEntry[];
    expect(author.state.apply(epochs(...entries)).every((one) => one.error === undefined)).toBe(true);
    expect(author.state.cluster.members.get(uuidOf("d"))).toMatchObject({ state: "REMOVED", roles: 2 });
  });

  it("is not made of a change that is none", () => {
    const author = cluster();
    const senseless = [
      { kind: "set", key: "replication.factor", value: 3 },
      { kind: "set", key: ["replication.factor"], value: "3" },
      { kind: "moveMember", node: uuidOf("b"), to: "REMOVED", reason: "" },
      { kind: "forceCutover", epoch: 6, disabling: "all" },
      { kind: "policy", part: "__proto__", content: "" },
      { kind: "placeShards" },
      null,
    ] as unknown as ClusterChange[];
    for (const change of senseless) {
      const [made] = author.draft([{ change, by: "admin" }]);
      expect(made).toMatchObject({
        condition: /NEWER/.test(JSON.stringify(made)) ? "featureNotSupported" : "invalidParameterValue",
      });
    }
  });
});

describe("limits", () => {
  it("of tokens, and of administrators and their keys", () => {
    const author = cluster();
    const { cluster: state } = author.state;
    const token = (at: number, expiresAt: number): ErrorRecord | undefined => {
      const id = `${at.toString(16).padStart(8, "0")}-0000-7000-8000-000000000000`;
      const command = { id, secretHash: zeroHash, expiresAt, by: "admin", roles: 1 };
      return state.apply({ type: "token", token: command, at: 10 }).error;
    };
    for (let at = 0; at < 1000; at++) expect(token(at, 20)).toBeUndefined();
    expect(token(1000, 20)).toMatchObject({ condition: "configurationLimitExceeded" });
    expect(token(999, 20)).toMatchObject({ condition: "duplicateObject" });
    const register = (uuid: string, key: number): ErrorRecord | undefined =>
      state.apply({
        type: "administrator",
        uuid,
        name: "x",
        publicKey: hashOf(Buffer.from([key]))
          .slice(0, 43)
          .replace(/.$/, "0=")
          .padStart(44, "A"),
      }).error;
    const uuid = (at: number): string => `${at.toString(16).padStart(8, "0")}-0000-7000-8000-000000000000`;
    for (let at = 0; at < 99; at++) expect(register(uuid(at), at)).toBeUndefined();
    expect(register(uuid(99), 99)).toMatchObject({ condition: "configurationLimitExceeded" });
    for (let at = 100; at < 199; at++) expect(register(uuid(0), at)).toBeUndefined();
    expect(register(uuid(0), 199)).toMatchObject({ condition: "configurationLimitExceeded" });
    // One that it has already is no further one.
    expect(register(uuid(0), 100)).toBeUndefined();
    expect(register(uuid(1), 150)).toMatchObject({ condition: "duplicateObject" });
  });

  it("of refusals that are kept", () => {
    const author = cluster();
    const entry = author.change(set("replication.factor", "3"));
    for (let at = 0; at < 1200; at++) author.state.cluster.applyEpoch({ ...entry, epoch: "AAAA" });
    expect(author.state.cluster.refusedEpochs).toHaveLength(1000);
    expect(textOf(restored(author.state))).toBe(textOf(author.state));
  });
});

describe("a snapshot", () => {
  it("whose epochs were changed in any bit is refused, and leaves what was there", () => {
    const author = cluster();
    author.state.cluster.applyEpoch(author.change(set("replication.factor", "3")));
    const saved = JSON.parse(textOf(author.state));
    const target = newState();
    const untouched = textOf(target);
    const conditions = new Set<string>();
    for (const [place, { epoch }] of saved.cluster.epochs.entries()) {
      const bytes = Buffer.from(epoch, "base64");
      // Each byte of those in the middle and at the end; a sample of the others.
      const step = place === 2 || place + 1 === saved.cluster.epochs.length ? 1 : 7;
      for (let at = place % step; at < bytes.length; at += step) {
        const changed = Buffer.from(bytes);
        changed[at]! ^= 1 << ((at * 7 + place) % 8);
        const copy = structuredClone(saved);
        copy.cluster.epochs[place].epoch = base64(changed);
        try {
          target.restore(Buffer.from(JSON.stringify(copy)));
          expect.fail(`epoch ${place + 1} byte ${at}`);
        } catch (error) {
          expect(error).toMatchObject({ sqlstate: "XX001" });
          conditions.add((error as { fields: { detail: string } }).fields.detail.split(":")[0]!);
        }
      }
    }
    expect([...conditions].sort()).toEqual(["INVALID_HASH_CHAIN", "MALFORMED", "SIGNATURE_INVALID"]);
    expect(textOf(target)).toBe(untouched);
    target.restore(Buffer.from(JSON.stringify(saved)));
    expect(textOf(target)).toBe(textOf(author.state));
  });

  it("is refused when its epochs were swapped, dropped, or belong to other members and settings", () => {
    const author = cluster();
    const saved = JSON.parse(textOf(author.state));
    // biome-ignore lint/suspicious/noExplicitAny: what was saved is plain data
    const changes: [RegExp, (saved: any) => void][] = [
      [/INVALID_HASH_CHAIN/, ({ epochs }) => epochs.splice(2, 1)],
      [/INVALID_HASH_CHAIN/, ({ epochs }) => epochs.splice(2, 2, epochs[3], epochs[2])],
      [/INVALID_HASH_CHAIN/, ({ epochs }) => epochs.shift()],
      [/INVALID_HASH_CHAIN/, ({ epochs }) => void (epochs[1].hash = zeroHash)],
      [/INVALID_HASH_CHAIN/, ({ epochs }) => void (epochs[1].state = "EFFECTIVE")],
      [/INVALID_HASH_CHAIN/, ({ epochs }) => void (epochs.at(-1).state = "SUPERSEDED")],
      [/BUNDLE_UNAVAILABLE/, ({ epochs }) => void (epochs.pop(), (epochs.at(-1).state = "EFFECTIVE"))],
      [/CLUSTER_UUID_MISMATCH/, (one) => void (one.clusterUuid = uuidOf("a"))],
      [/BUNDLE_UNAVAILABLE/, ({ members }) => void (members[1].state = "DISABLED")],
      [/BUNDLE_UNAVAILABLE/, ({ members }) => void (members[2].publicKey = signerOf("z").publicKey)],
      [/BUNDLE_UNAVAILABLE/, ({ members }) => members.pop()],
      [/BUNDLE_UNAVAILABLE/, ({ settings }) => settings.push(["replication.factor", "7"])],
      [/BUNDLE_UNAVAILABLE/, ({ policies }) => void (policies[0][1] = "")],
      [/BUNDLE_UNAVAILABLE/, ({ trust }) => void (trust.authorities[0].trustedUntil = 7)],
      [/BUNDLE_UNAVAILABLE/, ({ trust }) => void (trust.version = 7)],
      [/SIGNATURE_INVALID/, ({ nodeKeys }) => nodeKeys.shift()],
      [/SIGNATURE_INVALID/, ({ administrators }) => administrators.pop()],
      [/undefined/, ({ trust }) => void (trust.authorities[0].primary = false)],
      [/undefined/, ({ trust }) => void trust.authorities.pop()],
      [/undefined/, ({ ready }) => ready.push([uuidOf("d"), 99])],
    ];
    for (const [condition, change] of changes) {
      const copy = structuredClone(saved);
      change(copy.cluster);
      const target = newState();
      let detail: string | undefined = "restored";
      try {
        target.restore(Buffer.from(JSON.stringify(copy)));
      } catch (error) {
        expect(error).toMatchObject({ sqlstate: "XX001" });
        detail = (error as { fields: { detail?: string } }).fields.detail;
      }
      expect(String(detail), String(change)).toMatch(condition);
      expect(textOf(target)).toBe(textOf(newState()));
    }
  });
});

describe("with real keys", () => {
  it("the same holds", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32);
    const signer: Signer = {
      certFingerprint: hashOf(raw),
      publicKey: base64(raw),
      sign: (digest) => base64(sign(null, digest, privateKey)),
    };
    const check: Pki = {
      ...pki,
      verify: (key, digest, signature) =>
        verifyBytes(null, digest, ed25519Key(key), Buffer.from(signature, "base64")),
    };
    const { certFingerprint } = signer;
    const member = newMember("a", { certFingerprint, publicKey: signer.publicKey });
    const facts = {
      clusterUuid,
      clusterName: "c",
      boot: { count: 1, nonce: "" },
      authority: authorityPem,
      at: 1,
    };
    const genesis = ClusterState.genesis({ ...facts, member }, signer, check);
    const state = new ClusterState(check);
    for (const at of [100, 300, 500, 600]) {
      const bytes = Buffer.from(genesis.epoch, "base64");
      bytes[at % bytes.length]! ^= 16;
      expect(state.apply({ ...genesis, epoch: base64(bytes) }).error).toBeDefined();
      expect(state.save()).toEqual(new ClusterState(check).save());
    }
    expect(state.apply(genesis).error).toBeUndefined();
    const drafts = [
      { origin: { stream: 2, boot: 1, number: 1 }, change: set("replication.factor", "3"), by: "x" },
    ];
    const entry = state.draftEpochs(drafts, member.uuid, signer, 2)[0] as EpochEntry;
    const bytes = Buffer.from(entry.epoch, "base64");
    for (let at = 0; at < bytes.length; at += 3) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1 << (at % 8);
      expect(state.applyEpoch({ ...entry, epoch: base64(changed) }).error).toBeDefined();
    }
    expect(state.applyEpoch(entry).error).toBeUndefined();
    expect(state.historyProblems()).toEqual([]);
  });
});

describe("a genesis", () => {
  it("that is refused leaves nothing behind", () => {
    const author = new Author();
    const good = ClusterState.genesis(
      {
        clusterUuid,
        clusterName: "c",
        member: newMember("a"),
        boot: { count: 1, nonce: "" },
        authority: authorityPem,
        at: 1,
      },
      signerOf("a"),
      pki,
    );
    const empty = JSON.stringify(author.state.cluster.save());
    for (const change of [
      { clusterUuid: uuidOf("a") },
      { member: newMember("b") },
      { member: newMember("a", { name: "other" }) },
      { member: newMember("a", { publicKey: signerOf("b").publicKey }) },
      { authority: authorityPem.replace("MII", "").replace(/\n./, "\nA") },
      { epoch: "" },
    ]) {
      const { error } = author.state.cluster.apply({ ...good, ...change });
      expect(error, JSON.stringify(change)).toBeDefined();
      expect(JSON.stringify(author.state.cluster.save())).toBe(empty);
    }
    expect(author.state.cluster.apply(good).error).toBeUndefined();
  });
});

describe("a long history", () => {
  it("of 10,000 settings is applied in linear time", () => {
    const author = cluster();
    // Applied in entries of 50, as a leader with much to do makes them.
    const durations: number[] = [];
    for (let round = 0; round < 10; round++) {
      const since = performance.now();
      for (let at = 0; at < 1000; at += 50) {
        const changes = Array.from({ length: 50 }, (_, one) =>
          set("replication.factor", String(1 + (one % 7))),
        );
        const made = author.draft(changes.map((change) => ({ change, by: "admin" })));
        author.state.apply(epochs(...(made as EpochEntry[])));
      }
      durations.push(performance.now() - since);
    }
    expect(author.state.cluster.epochs.length).toBe(10_006);
    // The first rounds warm up. A copy of what grows would make the last one many times as long.
    const early = Math.min(...durations.slice(1, 4));
    const late = Math.min(...durations.slice(-3));
    expect(late).toBeLessThan(early * 3 + 100);
    expect(textOf(restored(author.state))).toBe(textOf(author.state));
  });
});
