/**
 * Security bundles: canonical bytes against a writer of their own and a fixed hash, each byte of a published one changed, older
 * ones replayed, drafts, the rate, and what is kept of history.
 */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hostPki } from "../node-trust.js";
import { hostClock, hostRandom } from "../platform/host.js";
import { createAuthority, generateSoftwareKey } from "../security/index.js";
import { simAuthoritySign } from "../sim/trust.js";
import type {
  BundleRules,
  BundleSource,
  ClusterChange,
  DraftAction,
  DraftRule,
  EpochEntry,
  ErrorRecord,
  SecurityBundle,
} from "./contract.js";
import { hashOf } from "./epochs.js";
import {
  Author,
  authorityPem,
  clusterUuid,
  epochs,
  newState,
  pki,
  textOf,
  uuidOf,
} from "./script-testing.js";
import {
  bundleDigest,
  bundleHash,
  canonicalBundle,
  checkedBundle,
  encodeBundle,
  firstBundle,
  isProblem,
  keptMs,
  keptVersions,
  noRules,
  objectUuid,
  type PastBundle,
  readBundle,
  retained,
  rulesProblem,
  signBundle,
  unenforcedIn,
} from "./security-bundle.js";

const day = 86_400_000;
const text = { oid: 25, typmod: -1 };
const full: BundleRules = {
  rls: [
    {
      id: uuidOf("b"),
      table: 20_001,
      name: "mine",
      kind: "permissive",
      command: "all",
      using: "(owner = CURRENT_USER)",
      check: "(owner = CURRENT_USER)",
      roles: [0, 30_000],
      appliesToOwner: true,
    },
    {
      id: uuidOf("a"),
      table: 20_001,
      name: "recent",
      kind: "restrictive",
      command: "insert",
      check: "(at > now())",
      roles: [30_000],
      appliesToOwner: false,
    },
  ],
  cls: [
    {
      id: uuidOf("c"),
      table: 20_001,
      column: 3,
      name: "pan",
      action: "mask",
      granted: [30_001],
      mask: uuidOf("d"),
    },
    { id: uuidOf("e"), table: 20_001, column: 2, name: "ssn", action: "deny", granted: [] },
  ],
  masking: [
    {
      id: uuidOf("d"),
      name: "last4",
      input: text,
      output: text,
      body: "right(value, 4) || 'ü'",
      classification: "PCI",
    },
  ],
  domains: [
    {
      id: uuidOf("f"),
      name: "euro",
      base: { oid: 1700, typmod: 655366 },
      check: "(value >= 0)",
      nullable: false,
      collation: "",
    },
  ],
  audit: [
    {
      id: uuidOf("g"),
      name: "all ddl",
      level: "STATEMENT",
      scope: "DDL",
      objects: [],
      users: [30_000],
      success: true,
      failure: true,
      parameters: false,
      rowCounts: false,
    },
  ],
};
const bundleOf = (facts: Partial<SecurityBundle> = {}): SecurityBundle => ({
  version: 2,
  clusterUuid,
  createdAt: 1_750_000_000_123,
  rules: full,
  creator: uuidOf("x"),
  description: "for a test: ü",
  ...facts,
});
const signed = (bundle: SecurityBundle): string =>
  encodeBundle(bundle, authorityPem, simAuthoritySign(authorityPem, bundleDigest(bundleHash(bundle))));
const context = {
  clusterUuid,
  version: 2,
  bytesMax: 1 << 20,
  authority: {
    fingerprint: hashOf(Buffer.from(authorityPem.split("\n")[1]!, "base64")),
    certificatePem: authorityPem,
  },
  verify: pki.verifyAuthority,
};

describe("canonical bytes", () => {
  it("are those of SEC-8 to SEC-10, written by hand", () => {
    const u32 = (value: number): Buffer => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      return bytes;
    };
    const u64 = (value: bigint): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64BE(value);
      return bytes;
    };
    const string = (value: string): Buffer =>
      Buffer.concat([u32(Buffer.byteLength(value)), Buffer.from(value)]);
    const uuid = (value: string): Buffer => Buffer.from(value.replaceAll("-", ""), "hex");
    const id = (value: number): Buffer =>
      uuid(`00000000-0000-0000-0000-0000${value.toString(16).padStart(8, "0")}`);
    const bytes = (...values: number[]): Buffer => Buffer.from(values);
    const typed = ({ oid, typmod }: { oid: number; typmod: number }): Buffer =>
      Buffer.concat([u32(oid), u32(typmod >>> 0)]);
    const block = (...parts: Buffer[]): Buffer => Buffer.concat([u32(Buffer.concat(parts).length), ...parts]);
    const [mine, recent] = full.rls;
    const expected = Buffer.concat([
      u64(2n),
      uuid(clusterUuid),
      u64(1_750_000_000_123_000n),
      // By table, then policy: "recent" has the smaller uuid.
      u32(2),
      ...[uuid(recent!.id), id(20_001), string("recent"), bytes(1, 2, 0, 1), string("(at > now())")],
      ...[u32(1), id(30_000), bytes(0)],
      ...[
        uuid(mine!.id),
        id(20_001),
        string("mine"),
        bytes(0, 0, 1),
        string("(owner = CURRENT_USER)"),
        bytes(1),
      ],
      ...[string("(owner = CURRENT_USER)"), u32(2), id(0), id(30_000), bytes(1)],
      // By table, then column.
      u32(2),
      ...[
        uuid(uuidOf("e")),
        id(20_001),
        uuid(objectUuid(20_001, 2)),
        string("ssn"),
        bytes(0),
        u32(0),
        bytes(0),
      ],
      ...[
        uuid(uuidOf("c")),
        id(20_001),
        uuid(objectUuid(20_001, 3)),
        string("pan"),
        bytes(2),
        u32(1),
        id(30_001),
      ],
      ...[bytes(1), string(uuidOf("d"))],
      u32(1),
      ...[
        uuid(uuidOf("d")),
        string("last4"),
        typed(text),
        typed(text),
        string("right(value, 4) || 'ü'"),
        bytes(1),
      ],
      u32(1),
      ...[uuid(uuidOf("f")), string("euro"), typed({ oid: 1700, typmod: 655366 }), string("(value >= 0)")],
      ...[bytes(0), bytes(0), string("")],
      u32(0), // grants
      u32(1),
      ...[uuid(uuidOf("g")), string("all ddl"), bytes(0, 0), u32(0), u32(1), id(30_000), bytes(1, 1, 0, 0)],
      block(string("AES-256-GCM")),
      block(string("TLSv1.3"), bytes(1), string("TLS_AES_256_GCM_SHA384"), string("Ed25519")),
      block(u64(86_400n)),
      block(bytes(1, 1)),
      uuid(uuidOf("x")),
      string("for a test: ü"),
    ]);
    expect(Buffer.from(canonicalBundle(bundleOf())).toString("hex")).toBe(expected.toString("hex"));
    expect(bundleHash(bundleOf())).toBe(createHash("sha256").update(expected).digest("hex"));
  });

  it("do not change with the order in which rules and roles were given", () => {
    const hash = bundleHash(bundleOf());
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 8, maxLength: 8 }), (order) => {
        const mixed = <T>(items: readonly T[], by: number): T[] =>
          items
            .map((item, at) => ({ item, key: order[(at + by) % order.length]! }))
            .sort((a, b) => a.key - b.key)
            .map((one) => one.item);
        const rules: BundleRules = {
          rls: mixed(full.rls, 0).map((one) => ({ ...one, roles: mixed(one.roles, 1) })),
          cls: mixed(full.cls, 2),
          masking: mixed(full.masking, 3),
          domains: mixed(full.domains, 4),
          audit: mixed(full.audit, 5),
        };
        expect(bundleHash(bundleOf({ rules }))).toBe(hash);
      }),
    );
  });

  it("are read as they were written", () => {
    const read = readBundle(signed(bundleOf()));
    expect(read).toMatchObject({ version: 2, hash: bundleHash(bundleOf()) });
    if (isProblem(read)) throw new Error(read.message);
    expect(bundleHash(read.bundle)).toBe(bundleHash(bundleOf()));
    expect(read.setHashes).toHaveLength(10);
    expect(checkedBundle(signed(bundleOf()), context)).toEqual(read);
  });
});

describe("a published bundle", () => {
  it("is refused with any byte changed, and with any bit of the first and last ones", () => {
    const whole = Buffer.from(signed(bundleOf()), "base64");
    const conditions = new Map<string, number>();
    for (let at = 0; at < whole.length; at++)
      for (const mask of at < 64 || at > whole.length - 64
        ? [1, 2, 4, 8, 16, 32, 64, 128]
        : [1 << (at % 8)]) {
        const bytes = Buffer.from(whole);
        bytes[at]! ^= mask;
        const answer = checkedBundle(bytes.toString("base64"), context);
        if (!isProblem(answer)) throw new Error(`byte ${at} was changed by ${mask}, and it was taken`);
        conditions.set(answer.condition, (conditions.get(answer.condition) ?? 0) + 1);
      }
    // Each kind of check had its part.
    for (const condition of ["BUNDLE_MALFORMED", "BUNDLE_HASH_MISMATCH", "BUNDLE_SIGNATURE_INVALID"])
      expect(conditions.get(condition), condition).toBeGreaterThan(20);
  });

  it("is refused cut short, made longer, or in another spelling of base64", () => {
    const content = signed(bundleOf());
    const whole = Buffer.from(content, "base64");
    for (let length = 0; length < whole.length; length += 7)
      expect(isProblem(readBundle(whole.subarray(0, length).toString("base64")))).toBe(true);
    expect(isProblem(readBundle(Buffer.concat([whole, Buffer.from([0])]).toString("base64")))).toBe(true);
    expect(isProblem(readBundle(`${content}\n`))).toBe(true);
  });

  it("is refused under a hash and signature of another CA, in another cluster, under another number, beyond the limit", () => {
    const other = simPem("another CA");
    const foreign = bundleOf();
    const condition = (content: string, facts = {}): string => {
      const answer = checkedBundle(content, { ...context, ...facts });
      return isProblem(answer) ? answer.condition : "taken";
    };
    const byOther = encodeBundle(foreign, other, simAuthoritySign(other, bundleDigest(bundleHash(foreign))));
    expect(condition(byOther)).toBe("BUNDLE_SIGNATURE_INVALID");
    const claimed = encodeBundle(
      foreign,
      authorityPem,
      simAuthoritySign(other, bundleDigest(bundleHash(foreign))),
    );
    expect(condition(claimed)).toBe("BUNDLE_SIGNATURE_INVALID");
    expect(condition(signed(bundleOf({ clusterUuid: uuidOf("y") })))).toBe("BUNDLE_WRONG_CLUSTER");
    expect(condition(signed(bundleOf()), { version: 3 })).toBe("BUNDLE_VERSION_CONFLICT");
    expect(condition(signed(bundleOf()), { bytesMax: 100 })).toBe("BUNDLE_TOO_LARGE");
    expect(condition(signed(bundleOf()))).toBe("taken");
  });

  it.each(["Ed25519", "ECDSA-P256"] as const)("is signed by the key of a real CA: %s", async (algorithm) => {
    const { signer } = generateSoftwareKey(algorithm);
    const { certificatePem, authority, fingerprint } = await createAuthority({
      clock: hostClock,
      random: hostRandom,
      clusterUuid,
      signer,
    });
    const sign = async (digest: Uint8Array): Promise<string> =>
      Buffer.from(await authority.sign(digest)).toString("base64");
    const content = await signBundle(bundleOf(), certificatePem, sign);
    const real = { ...context, authority: { fingerprint, certificatePem }, verify: hostPki.verifyAuthority };
    expect(checkedBundle(content, real)).toMatchObject({ version: 2 });
    const whole = Buffer.from(content, "base64");
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 1 << (at % 8);
      expect(isProblem(checkedBundle(bytes.toString("base64"), real)), `byte ${at}`).toBe(true);
    }
  });
});

const simPem = (what: string): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(what).toString("base64")}\n-----END CERTIFICATE-----\n`;

describe("rules", () => {
  it("that cannot be are named", () => {
    const problem = (facts: Partial<BundleRules>): string | undefined => rulesProblem({ ...full, ...facts });
    expect(rulesProblem(full)).toBeUndefined();
    const [row] = full.rls;
    const [column, denied] = full.cls;
    expect(problem({ rls: [row!, { ...row!, id: uuidOf("h") }] })).toMatch(/same name/);
    expect(problem({ rls: [row!, row!] })).toMatch(/same uuid/);
    expect(problem({ rls: [{ ...row!, roles: [] }] })).toMatch(/no role/);
    expect(problem({ rls: [{ ...row!, roles: [1, 1] }] })).toMatch(/twice/);
    expect(problem({ rls: [{ ...row!, using: undefined, check: undefined }] })).toMatch(/no expression/);
    expect(problem({ rls: [{ ...row!, command: "insert" }] })).toMatch(/only WITH CHECK/);
    expect(problem({ rls: [{ ...row!, command: "delete" }] })).toMatch(/cannot be applied/);
    expect(problem({ rls: [{ ...row!, using: "\ud800" }] })).toMatch(/Unicode/);
    expect(problem({ rls: [{ ...row!, using: "x".repeat(70_000) }] })).toMatch(/longer/);
    expect(problem({ masking: [] })).toMatch(/masking function of CLS policy pan does not exist/);
    expect(problem({ cls: [{ ...denied!, mask: uuidOf("d") }] })).toMatch(/for nothing else/);
    expect(problem({ cls: [column!, { ...denied!, column: 3 }] })).toMatch(/two CLS policies/);
  });

  it("that nobody would keep are named", () => {
    expect(unenforcedIn(noRules)).toBeUndefined();
    expect(unenforcedIn(full, new Set(["cls", "masking", "domains"]))).toBe("RLS policies and audit rules");
    expect(unenforcedIn(full, new Set(["rls", "cls", "masking", "domains", "audit"]))).toBeUndefined();
  });
});

describe("history", () => {
  const past = (version: number, supersededAt: number): PastBundle => ({
    version,
    hash: hashOf(String(version)),
    createdAt: 0,
    creator: uuidOf("x"),
    description: "",
    supersededAt,
    content: "x".repeat(100),
  });
  it("keeps the last versions whole, older ones for their time, and the rows of all", () => {
    const all = Array.from({ length: 30 }, (_, at) => past(at + 1, at * day));
    const wholeAt = (at: number): number[] =>
      retained(all, at).flatMap((one) => (one.content === undefined ? [] : [one.version]));
    expect(retained(all, 500 * day)).toHaveLength(30);
    expect(wholeAt(500 * day)).toEqual(all.slice(-keptVersions).map((one) => one.version));
    expect(wholeAt(30 * day)).toHaveLength(30);
    expect(wholeAt(keptMs + 5 * day)).toEqual(all.slice(6).map((one) => one.version));
    const large = all.map((one) => ({ ...one, content: "x".repeat(30 << 20) }));
    expect(retained(large, 0).filter((one) => one.content !== undefined)).toHaveLength(keptVersions + 2);
  });
});

describe("in the cluster's state", () => {
  const draft = uuidOf("z");
  function cluster(): Author {
    const author = new Author();
    author.at = 10_000_000;
    author.state.apply(author.genesis());
    return author;
  }
  const note = ({ state, at }: Author, action: DraftAction): ErrorRecord | undefined =>
    state.cluster.apply({ type: "bundleDraft", by: "admin", at, action }).error;
  const open = (
    author: Author,
    facts: Partial<DraftAction & { kind: "open" }> = {},
  ): ErrorRecord | undefined =>
    note(author, {
      kind: "open",
      draft,
      version: undefined,
      description: "d",
      from: author.state.cluster.bundle.version,
      ...facts,
    });
  const put = (author: Author, rule: DraftRule): ErrorRecord | undefined =>
    note(author, { kind: "put", draft, rule });
  /** What the draft would be published as. */
  function publishing(
    author: Author,
    facts: Partial<SecurityBundle> = {},
    from?: BundleSource,
  ): ClusterChange {
    const { cluster } = author.state;
    const { rules = noRules, description = "d" } = cluster.bundleDraft ?? {};
    const version = cluster.epochs.length + 1;
    return author.bundleOf(
      { version, clusterUuid, createdAt: author.at, rules, creator: uuidOf("x"), description, ...facts },
      from ?? { kind: "draft", draft },
    );
  }
  function publish(author: Author, change: ClusterChange): string {
    const [made] = author.draft([{ change, by: "admin" }]);
    if ("condition" in made!) return made.detail ?? made.message;
    const [outcome] = author.state.apply(epochs(made as EpochEntry));
    expect(outcome!.error).toBeUndefined();
    return "published";
  }

  it("is founded with version 1, of the system, signed and without rules", () => {
    const { state } = cluster();
    expect(state.cluster.bundle.version).toBe(1);
    expect(state.cluster.signedBundle?.bundle).toMatchObject({
      ...firstBundle(clusterUuid, 10_000_000),
      rules: noRules,
    });
    expect(state.cluster.bundleWords.get(uuidOf("a"))).toMatchObject({ version: 1, appliedAt: 10_000_000 });
  });

  it("takes a draft, and publishes it as the next epoch; the draft is closed, and what was there is history", () => {
    const author = cluster();
    const { cluster: view } = author.state;
    expect(open(author)).toBeUndefined();
    expect(open(author)).toMatchObject({ condition: "objectInUse" });
    expect(put(author, { set: "masking", rule: full.masking[0]! })).toBeUndefined();
    for (const rule of full.cls) expect(put(author, { set: "cls", rule })).toBeUndefined();
    for (const rule of full.rls) expect(put(author, { set: "rls", rule })).toBeUndefined();
    expect(put(author, { set: "rls", rule: { ...full.rls[0]!, id: uuidOf("h") } })).toMatchObject({
      condition: "invalidParameterValue",
      detail: expect.stringMatching(/^BUNDLE_INVALID: /),
    });
    const before = view.bundle;
    // Nothing is in force before it is published (SEC-16).
    expect(view.signedBundle!.bundle.rules).toEqual(noRules);
    expect(publish(author, publishing(author))).toBe("published");
    expect(view.bundle.version).toBe(2);
    expect(view.bundle.hash).not.toBe(before.hash);
    expect(view.bundleDraft).toBeUndefined();
    expect(view.pastBundles).toMatchObject([{ ...before, supersededAt: author.at }]);
    expect(view.latest!.state).toBe("CONVERGING");
    expect(view.signedBundle!.bundle.rules.rls).toHaveLength(2);
    const snapshot = textOf(author.state);
    const twin = newState();
    twin.restore(Buffer.from(snapshot));
    expect(textOf(twin)).toBe(snapshot);
  });

  it("refuses what is not the draft, rule by rule", () => {
    const author = cluster();
    open(author);
    put(author, { set: "rls", rule: full.rls[0]! });
    const changed = { ...noRules, rls: [{ ...full.rls[0]!, using: "true" }] };
    expect(publish(author, publishing(author, { rules: changed }))).toMatch(/^BUNDLE_DRAFT_CHANGED/);
    expect(publish(author, publishing(author, { rules: noRules }))).toMatch(/^BUNDLE_DRAFT_CHANGED/);
    expect(publish(author, publishing(author, { description: "another" }))).toMatch(/^BUNDLE_DRAFT_CHANGED/);
    expect(publish(author, publishing(author, {}, { kind: "draft", draft: uuidOf("y") }))).toMatch(
      /^BUNDLE_DRAFT_CHANGED/,
    );
    expect(author.state.cluster.bundleDraft).toBeDefined();
    expect(publish(author, publishing(author))).toBe("published");
  });

  it("refuses a replayed bundle, on every node, on record", () => {
    const author = cluster();
    author.state.apply(
      epochs(author.change({ kind: "set", key: "security_bundle.publish_interval", value: "0" })),
    );
    open(author);
    put(author, { set: "rls", rule: full.rls[0]! });
    const first = author.change(publishing(author));
    author.state.apply(epochs(first));
    const old = first.change;
    open(author, { description: "second", from: 1 });
    expect(publish(author, publishing(author))).toBe("published");
    const { hash, version } = author.state.cluster.bundle;
    // The same bytes again, by whoever leads: as the draft, as a rollback, in a copy of the entry.
    open(author, { description: "d", from: 3 });
    expect(publish(author, old)).toMatch(/^BUNDLE_VERSION_CONFLICT/);
    expect(
      publish(author, {
        ...(old as ClusterChange & { kind: "policy" }),
        from: { kind: "version", version: 3 },
      }),
    ).toMatch(/^BUNDLE_VERSION_CONFLICT/);
    const good = author.change({ kind: "set", key: "replication.factor", value: "3" });
    for (const entry of [first, { ...good, change: old }]) {
      const refused = author.state.cluster.refusedEpochs.length;
      const twin = newState();
      twin.restore(Buffer.from(textOf(author.state)));
      const answer = author.state.cluster.applyEpoch(entry).error;
      expect(twin.cluster.applyEpoch(entry).error).toEqual(answer);
      expect(answer?.detail).toMatch(/^(BUNDLE_VERSION_CONFLICT|EPOCH_NUMBER_GAP): /);
      expect(author.state.cluster.refusedEpochs).toHaveLength(refused + 1);
      expect(textOf(twin)).toBe(textOf(author.state));
    }
    expect(author.state.cluster.bundle).toEqual({ hash, version });
    expect(author.state.cluster.historyProblems()).toEqual([]);
  });

  it("refuses a committed entry with any byte of its bundle changed", () => {
    const author = cluster();
    open(author);
    put(author, { set: "rls", rule: full.rls[0]! });
    const good = author.change(publishing(author));
    const change = good.change as ClusterChange & { kind: "policy" };
    const whole = Buffer.from(change.content, "base64");
    const before = JSON.parse(textOf(author.state)).cluster;
    const saved = author.state.save();
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 1 << (at % 8);
      const { error } = author.state.cluster.applyEpoch({
        ...good,
        change: { ...change, content: bytes.toString("base64") },
      });
      expect(error?.detail, `byte ${at}`).toMatch(/^BUNDLE_[A-Z_]+: /);
    }
    const { refused, ...now } = JSON.parse(textOf(author.state)).cluster;
    expect(refused).toHaveLength(whole.length);
    const { refused: _, ...then } = before;
    expect(now).toEqual(then);
    author.state.restore(saved);
    expect(author.state.cluster.applyEpoch(good).error).toBeUndefined();
  });

  it("publishes once a minute, whoever leads; a rollback is not held up", () => {
    const author = cluster();
    open(author);
    expect(publish(author, publishing(author))).toBe("published");
    author.at += 20_000;
    open(author, { description: "e" });
    expect(publish(author, publishing(author))).toBe(
      "BUNDLE_RATE_LIMIT: the next one can be published in 40 s.",
    );
    expect(author.state.cluster.bundleDraft).toBeDefined();
    const rollback = (version: number): ClusterChange =>
      publishing(
        author,
        { rules: author.state.cluster.bundleRules(version) ?? noRules },
        { kind: "version", version },
      );
    expect(publish(author, rollback(1))).toBe("published");
    author.at += 40_000;
    expect(publish(author, publishing(author))).toBe("published");
    // Another leader's clock is behind: nobody waits for it to come up.
    author.at -= 3_600_000;
    open(author, { description: "f" });
    expect(publish(author, publishing(author))).toBe("published");
    expect(author.state.cluster.pastBundles.map((one) => one.version)).toEqual([1, 2, 3, 4]);
  });

  it("goes back to what was there, and to nothing else", () => {
    const author = cluster();
    open(author);
    put(author, { set: "rls", rule: full.rls[0]! });
    publish(author, publishing(author));
    const rollback = (
      version: number,
      rules = author.state.cluster.bundleRules(version) ?? noRules,
    ): string =>
      publish(author, publishing(author, { rules, description: "back" }, { kind: "version", version }));
    expect(rollback(2)).toBe("security bundle 2 is the current one");
    expect(rollback(3)).toMatch(/does not exist/);
    expect(rollback(0)).toMatch(/does not exist/);
    expect(rollback(1, { ...noRules, rls: [full.rls[1]!] })).toMatch(/^BUNDLE_DRAFT_CHANGED/);
    expect(rollback(1)).toBe("published");
    expect(author.state.cluster.bundle.version).toBe(3);
    expect(rollback(2)).toBe("published");
    expect(author.state.cluster.signedBundle!.bundle.rules.rls).toHaveLength(1);
  });

  it("refuses a start from a snapshot whose bundles were changed", () => {
    const author = cluster();
    open(author);
    put(author, { set: "rls", rule: full.rls[0]! });
    publish(author, publishing(author));
    author.at += 60_000;
    open(author);
    publish(author, publishing(author, { rules: full }));
    open(author, { description: "d" });
    publish(author, publishing(author));
    const saved = JSON.parse(textOf(author.state));
    const first = signed(firstBundle(clusterUuid, 10_000_000));
    // biome-ignore lint/suspicious/noExplicitAny: what was saved is plain data
    const changes: [RegExp, (saved: any) => void][] = [
      [/BUNDLE_UNAVAILABLE/, ({ policies }) => void (policies[0][1] = first)],
      [/BUNDLE_UNAVAILABLE/, ({ policies }) => void (policies[0][1] = Buffer.from("{}").toString("base64"))],
      [/BUNDLE_HASH_MISMATCH/, ({ bundles }) => void (bundles.past[0].hash = hashOf("x"))],
      [/BUNDLE_HASH_MISMATCH/, ({ bundles }) => void (bundles.past[1].content = bundles.past[0].content)],
      [/BUNDLE_INVALID/, ({ bundles }) => void bundles.past.reverse()],
      [/BUNDLE_INVALID/, ({ bundles }) => void (bundles.past[1].version = 9)],
    ];
    expect(saved.cluster.bundles.past).toHaveLength(2);
    for (const [condition, change] of changes) {
      const copy = structuredClone(saved);
      change(copy.cluster);
      let detail = "restored";
      try {
        newState().restore(Buffer.from(JSON.stringify(copy)));
      } catch (error) {
        expect(error).toMatchObject({ sqlstate: "XX001" });
        detail = String((error as { fields: { detail?: string } }).fields.detail);
      }
      expect(detail, String(change)).toMatch(condition);
    }
  });
});
