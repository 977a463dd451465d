/**
 * The state that both halves of every node build from the log: the same for the same entries, whenever it was restored; each
 * proposal once; and nothing that an entry or a snapshot may hold ends a node.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import type { CatalogObject } from "../model/schema.js";
import type {
  BundleSource,
  ClusterChange,
  ClusterCommand,
  DraftAction,
  EpochEntry,
  Origin,
} from "./contract.js";
import { type ControlCommand, ControlState, decodeProposal, encodeProposal } from "./control-state.js";
import { roleBits } from "./membership.js";
import {
  Author,
  clusterUuid,
  epochs,
  nameOf,
  newMember,
  newState,
  pki,
  restored,
  signerOf,
  textOf,
  usualRoles,
  uuidOf,
} from "./script-testing.js";
import { noRules } from "./security-bundle.js";

const nodes = ["a", "b", "c", "d"];
const schema = (id: number, name: string): CatalogObject => ({ kind: "schema", id, name, owner: 10 });
const tokenId = (at: number): string => `0000000${at}-0000-7000-8000-000000000000`;

// --- what may happen -------------------------------------------------------------------------------------------------

const node = fc.constantFrom(...nodes);
const leader = fc.constantFrom("a", "a", "a", "a", "b", "d");
const small = fc.nat(3);
const change: fc.Arbitrary<ClusterChange> = fc.oneof(
  fc
    .record({
      key: fc.constantFrom("replication.factor", "nobody.knows"),
      value: fc.constantFrom("2", "3", "x"),
    })
    .map(({ key, value }): ClusterChange => ({ kind: "set", key, value })),
  fc.constant<ClusterChange>({ kind: "reset", key: "replication.factor" }),
  fc.record({ name: node, token: fc.option(small, { nil: undefined, freq: 1 }) }).map(
    ({ name, token }): ClusterChange => ({
      kind: "addMember",
      member: newMember(name),
      token: token === undefined ? undefined : tokenId(token),
    }),
  ),
  fc.record({ name: node, to: fc.constantFrom("ENABLED", "ENABLED", "DISABLED", "FAILED") }).map(
    ({ name, to }): ClusterChange => ({
      kind: "moveMember",
      node: uuidOf(name),
      to: to as "ENABLED",
      reason: "r",
    }),
  ),
  node.map(
    (name): ClusterChange => ({
      kind: "removeMember",
      node: uuidOf(name),
      reason: "",
      force: false,
      allowDataLoss: false,
    }),
  ),
  fc
    .record({ name: node, roles: fc.constantFrom(1, 2, 3, 5, 7, usualRoles) })
    .map(({ name, roles }): ClusterChange => ({ kind: "setRoles", node: uuidOf(name), roles })),
  fc.record({ name: node, port: small }).map(({ name, port }): ClusterChange => {
    const address = `${name}:${port}`;
    return {
      kind: "setAddresses",
      node: uuidOf(name),
      addresses: { control: address, rpc: address, pg: address },
    };
  }),
  small.map(
    (at): ClusterChange => ({
      kind: "policy",
      part: "securityBundle",
      content: "",
      from: at === 0 ? { kind: "version", version: 1 } : { kind: "draft", draft: uuidOf("z") },
    }),
  ),
  fc.record({ behind: small, names: fc.subarray(nodes) }).map(
    ({ behind, names }): ClusterChange => ({
      kind: "forceCutover",
      epoch: behind,
      disabling: names.map(uuidOf),
    }),
  ),
);

type Step =
  | { readonly do: "changes"; readonly changes: readonly ClusterChange[]; readonly leader: string }
  /** Built now, and applied behind others. */
  | { readonly do: "late"; readonly change: ClusterChange; readonly leader: string }
  /** Joins, attests and is enabled; as far as it can. */
  | { readonly do: "enter"; readonly name: string }
  | { readonly do: "attest" | "boot"; readonly name: string; readonly at: number }
  | {
      readonly do: "effective" | "token" | "administrator" | "schema" | "abort" | "resolved" | "bundle";
      readonly at: number;
    }
  /** An entry from before comes again. */
  | { readonly do: "again"; readonly at: number }
  | { readonly do: "snapshot" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("changes" as const),
      changes: fc.array(change, { minLength: 1, maxLength: 3 }),
      leader,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("late" as const), change, leader }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("attest" as const, "attest" as const, "boot" as const),
      name: node,
      at: small,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "effective",
        "token",
        "administrator",
        "schema",
        "abort",
        "resolved",
        "bundle",
      ) as fc.Arbitrary<"token">,
      at: small,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("again" as const), at: fc.nat(50) }) },
  { weight: 2, arbitrary: fc.constant({ do: "snapshot" as const }) },
  { weight: 2, arbitrary: node.map((name) => ({ do: "enter" as const, name })) },
);

/** Entries as they come of the steps, when each is built on what was applied so far. */
function entriesOf(steps: readonly Step[]): (Uint8Array | "snapshot")[] {
  const author = new Author();
  const { state } = author;
  const entries: (Uint8Array | "snapshot")[] = [];
  const late: Uint8Array[] = [];
  const add = (bytes: Uint8Array): void => {
    entries.push(bytes);
    state.apply(bytes);
  };
  const propose = (command: ControlCommand): void => add(encodeProposal(command, author.origin()));
  const publish = (changes: readonly ClusterChange[], leader: string): void => {
    const drafts = changes.map((asked) => ({ change: onNewest(asked, author), by: "admin" }));
    const made = author.draft(drafts, leader).filter((entry) => !("condition" in entry));
    if (made.length > 0) add(epochs(...(made as EpochEntry[])));
  };
  add(author.genesis());
  for (const one of steps) {
    author.at++;
    switch (one.do) {
      case "changes":
        publish(one.changes, one.leader);
        break;
      case "late": {
        const [made] = author.draft([{ change: onNewest(one.change, author), by: "admin" }], one.leader);
        if (!("condition" in made!)) late.push(epochs(made!));
        if (late.length > 2) add(late.shift()!);
        break;
      }
      case "enter":
        publish([{ kind: "addMember", member: newMember(one.name) }], "a");
        propose({ type: "attest", attestation: author.attestation(one.name) });
        publish([{ kind: "moveMember", node: uuidOf(one.name), to: "ENABLED", reason: "r" }], "a");
        break;
      case "attest":
        propose({ type: "attest", attestation: author.attestation(one.name) });
        break;
      case "boot": {
        const boot = { count: one.at + 1, nonce: "n" };
        propose({ type: "boot", node: uuidOf(one.name), boot, version: 100_000 + one.at });
        break;
      }
      case "effective":
        propose({ type: "effective", epoch: state.cluster.epochs.length, at: author.at });
        break;
      case "token": {
        const token = {
          id: tokenId(one.at),
          secretHash: "0".repeat(64),
          expiresAt: author.at + 9,
          by: "x",
          roles: usualRoles,
        };
        propose({ type: "token", token, at: author.at });
        break;
      }
      case "administrator": {
        const { publicKey } = signerOf(`${"xyz"[one.at % 3]}`);
        const uuid = uuidOf("xy"[one.at % 2]!);
        propose({ type: "administrator", uuid, name: "x", publicKey: one.at === 3 ? undefined : publicKey });
        break;
      }
      case "schema": {
        const id = 20_000 + one.at;
        const expect: [number, number][] = [[id, state.catalog.versionOf(id)]];
        const transaction = { shard: 1, id: author.at };
        const objects =
          one.at === 3
            ? { puts: [], deletes: [20_000] }
            : { puts: [schema(id, `s${one.at % 2}`)], deletes: [] };
        propose({ type: "catalog", expect, ...objects, nextId: id + 1, transaction });
        break;
      }
      case "bundle":
        propose({ type: "bundleDraft", by: "x", at: author.at, action: draftAction(one.at) });
        break;
      case "abort":
        propose({ type: "abort", transaction: { shard: 1, id: author.at + one.at - 1 } });
        break;
      case "resolved":
        propose({ type: "resolved", transactions: [{ shard: 1, id: author.at - one.at }] });
        break;
      case "again": {
        const earlier = entries[one.at % entries.length]!;
        if (earlier !== "snapshot") add(earlier);
        break;
      }
      case "snapshot":
        entries.push("snapshot");
        break;
    }
  }
  entries.push(...late);
  return entries;
}

const rowRule = (at: number) =>
  ({
    id: uuidOf("wxyz"[at]!),
    table: 20_000 + at,
    name: "p",
    kind: "permissive",
    command: "all",
    using: `(a = ${at})`,
    roles: [0],
    appliesToOwner: false,
  }) as const;
function draftAction(at: number): DraftAction {
  const draft = uuidOf("z");
  switch (at) {
    case 0:
      return { kind: "abandon", draft };
    case 1:
      return { kind: "put", draft, rule: { set: "rls", rule: rowRule(at) } };
    default:
      return { kind: "open", draft, version: undefined, description: `draft ${at}`, from: 1 };
  }
}

function onNewest(asked: ClusterChange, author: Author): ClusterChange {
  const { cluster } = author.state;
  if (asked.kind === "policy") {
    const { from } = asked;
    const { rules, description } =
      from.kind === "draft"
        ? (cluster.bundleDraft ?? { rules: noRules, description: "" })
        : { rules: cluster.bundleRules(from.version) ?? noRules, description: "" };
    const version = cluster.epochs.length + 1;
    const facts = { clusterUuid, createdAt: author.at, creator: uuidOf("x") };
    return author.bundleOf({ version, rules, description, ...facts }, from);
  }
  if (asked.kind !== "forceCutover") return asked;
  // Often just those that it should be.
  const disabling = asked.epoch === 0 ? [...cluster.missing().keys()] : asked.disabling;
  return { ...asked, epoch: cluster.epochs.length - (asked.epoch >> 1), disabling };
}

describe("the same entries", () => {
  it("make the same state, in whatever order they come and whenever it is restored", () => {
    const applied = { well: 0, refused: 0, before: 0, members: 0, epochs: 0 };
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 5, maxLength: 80, size: "max" }),
        fc.array(fc.nat(1000), { maxLength: 12, size: "max" }),
        (steps, swaps) => {
          const entries = entriesOf(steps);
          // Epochs do not follow any more from where the order is another one: towards the end, so that something happens.
          for (const swap of swaps) {
            const at = entries.length - 1 - (swap % Math.ceil(entries.length / 3));
            const [one] = entries.splice(at, 1);
            entries.splice(Math.min(entries.length, at + 1 + (swap % 5)), 0, one!);
          }
          const straight = newState();
          let broken = newState();
          for (const entry of entries) {
            if (entry === "snapshot") {
              broken = restored(broken);
              continue;
            }
            const outcomes = straight.apply(entry);
            const others = broken.apply(entry);
            expect(others).toEqual(outcomes);
            if (outcomes.length === 0) applied.before++;
            for (const { error } of outcomes) error === undefined ? applied.well++ : applied.refused++;
          }
          expect(textOf(broken)).toBe(textOf(straight));
          expect(straight.cluster.historyProblems()).toEqual([]);
          applied.members += straight.cluster.members.size;
          applied.epochs += straight.cluster.epochs.length;
        },
      ),
      { numRuns: 150, seed: 7 },
    );
    // It is not that nothing has happened.
    expect(applied.well).toBeGreaterThan(2000);
    expect(applied.refused).toBeGreaterThan(1000);
    expect(applied.before).toBeGreaterThan(200);
    expect(applied.members).toBeGreaterThan(300);
    expect(applied.epochs).toBeGreaterThan(1000);
  });
});

// --- proposals, once -------------------------------------------------------------------------------------------------

/** What the state keeps of streams, the long way. */
class NaiveStreams {
  readonly #streams = new Map<number, { boot: number; seen: number[] }>();
  isNew({ stream: id, boot, number }: Origin): boolean {
    const known = this.#streams.get(id);
    if (known === undefined || boot > known.boot) {
      this.#streams.set(id, { boot, seen: [number] });
      return number > 0;
    }
    const { seen } = known;
    if (
      boot < known.boot ||
      number === 0 ||
      seen.includes(number) ||
      seen.some((one) => one - 10_000 >= number)
    )
      return false;
    seen.push(number);
    return true;
  }
}

describe("a proposal", () => {
  const number = fc.oneof(
    { weight: 6, arbitrary: fc.nat(12) },
    { weight: 3, arbitrary: fc.integer({ min: 9_995, max: 10_012 }) },
    { weight: 1, arbitrary: fc.integer({ min: 19_990, max: 20_020 }) },
  );
  const origin = fc.record({ stream: fc.constantFrom(2, 3), boot: fc.integer({ min: 1, max: 3 }), number });

  it("is applied once, and none of an earlier start behind one of a later: as a list of all that was seen says", () => {
    let news = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(origin, fc.nat(9)), { maxLength: 80, size: "max" }), (origins) => {
        let state = newState();
        const naive = new NaiveStreams();
        for (const [one, dice] of origins) {
          if (dice === 0) state = restored(state);
          const bytes = encodeProposal({ type: "abort", transaction: { shard: 1, id: 1 } }, one);
          const isNew = naive.isNew(one);
          if (isNew) news++;
          expect(state.apply(bytes)).toEqual(isNew ? [{ origin: one, error: undefined }] : []);
        }
      }),
      { numRuns: 400, seed: 3 },
    );
    expect(news).toBeGreaterThan(3000);
  });

  it("that is refused has been applied: a second copy has no answer", () => {
    const state = newState();
    const one = { stream: 2, boot: 1, number: 1 };
    const bytes = Buffer.from('{"o":[2,1,1],"c":{"type":"unheardOf"}}');
    expect(state.apply(bytes)).toMatchObject([{ origin: one, error: { sqlstate: "0A000" } }]);
    expect(state.apply(bytes)).toEqual([]);
    expect(state.apply(encodeProposal({ type: "abort", transaction: { shard: 1, id: 1 } }, one))).toEqual([]);
  });

  it("of a node's start before is not taken for one of its next", () => {
    const state = newState();
    const outcome = (boot: number, number: number): number =>
      state.apply(
        encodeProposal({ type: "abort", transaction: { shard: 1, id: 1 } }, { stream: 2, boot, number }),
      ).length;
    expect(outcome(1, 1)).toBe(1);
    expect(outcome(1, 2)).toBe(1);
    expect(outcome(2, 1)).toBe(1);
    // What the first start had under way still.
    expect(outcome(1, 3)).toBe(0);
    expect(outcome(2, 1)).toBe(0);
    expect(outcome(2, 2)).toBe(1);
    state.restore(state.save());
    expect(outcome(1, 4)).toBe(0);
    expect(outcome(2, 2)).toBe(0);
  });

  it("that was never made leaves a gap, and what is kept of gaps is bounded", () => {
    const state = newState();
    const apply = (number: number): number =>
      state.apply(encodeProposal({ type: "resolved", transactions: [] }, { stream: 2, boot: 1, number }))
        .length;
    const kept = (): number[] => JSON.parse(textOf(state)).streams[0][3];
    for (let at = 1; at <= 60_000; at += 2) expect(apply(at)).toBe(1);
    expect(kept().length).toBeLessThanOrEqual(5_000);
    // Within the window it may still come; what is further behind was given up.
    expect(apply(59_000)).toBe(1);
    expect(apply(59_000)).toBe(0);
    expect(apply(40_000)).toBe(0);
    expect(textOf(restored(state))).toBe(textOf(state));
    // No gap, nothing kept.
    const dense = newState();
    for (let at = 2; at <= 10_100; at++)
      dense.apply(encodeProposal({ type: "resolved", transactions: [] }, { stream: 2, boot: 1, number: at }));
    expect(JSON.parse(textOf(dense)).streams).toEqual([[2, 1, 10_100, []]]);
  });

  it("has a stream of a member, once there are members", () => {
    const author = new Author();
    const { state } = author;
    state.apply(author.genesis());
    const bytes = (stream: number): Uint8Array =>
      encodeProposal({ type: "resolved", transactions: [] }, { stream, boot: 1, number: 5 });
    expect(state.apply(bytes(3))).toMatchObject([{ error: undefined }]);
    for (const stream of [0, 1, 4, 5, 2 ** 53 - 1])
      expect(state.apply(bytes(stream))).toMatchObject([
        { error: { fields: { detail: expect.stringMatching(/^WRONG_SENDER/) } } },
      ]);
    state.apply(epochs(author.change({ kind: "addMember", member: newMember("b") })));
    expect(state.apply(bytes(4))).toMatchObject([{ error: undefined }]);
    expect(state.apply(bytes(6))).toMatchObject([{ error: { sqlstate: "22023" } }]);
    expect(JSON.parse(textOf(state)).streams).toHaveLength(3);
  });
});

/** A cluster of a and b, which is JOINING. */
function memberB(): {
  readonly state: ControlState;
  readonly move: (to?: "ENABLED" | "DISABLED" | "FAILED") => void;
  readonly roles: (bits: number) => void;
} {
  const author = new Author();
  const { state } = author;
  const note = (bytes: Uint8Array): void => {
    for (const { error } of state.apply(bytes)) expect(error).toBeUndefined();
  };
  const make = (change: ClusterChange): void => note(epochs(author.change(change)));
  note(author.genesis());
  make({ kind: "addMember", member: newMember("b") });
  const attest = (): void =>
    note(encodeProposal({ type: "attest", attestation: author.attestation("b") }, author.origin()));
  attest();
  return {
    state,
    move: (to = "ENABLED") => {
      make({ kind: "moveMember", node: uuidOf("b"), to, reason: "r" });
      if (to === "FAILED") attest();
    },
    roles: (bits) => make({ kind: "setRoles", node: uuidOf("b"), roles: bits }),
  };
}

describe("at the leader's door", () => {
  const author = new Author();
  author.state.apply(author.genesis());
  author.state.apply(epochs(author.change({ kind: "addMember", member: newMember("b") })));
  const { state } = author;
  const own = { stream: 4, boot: 1, number: 1 };
  const sqlstate = (error: DbError | undefined): string | undefined => error?.sqlstate;
  const proposal = (command: ControlCommand, origin?: Origin, who = "b"): string | undefined =>
    sqlstate(state.foreignProposal(uuidOf(who), encodeProposal(command, origin)));
  const harmless: ControlCommand = { type: "resolved", transactions: [] };
  const boot = (name: string): ControlCommand => ({
    type: "boot",
    node: uuidOf(name),
    boot: { count: 9, nonce: "" },
    version: 1,
  });

  it("a proposal is of who has sent it", () => {
    expect(proposal(harmless, own)).toBeUndefined();
    expect(proposal(harmless, { ...own, stream: 5 })).toBeUndefined();
    expect(proposal(harmless, { ...own, stream: 2 })).toBe("28000");
    expect(proposal(harmless, { ...own, stream: 3 })).toBe("28000");
    expect(proposal(harmless)).toBe("28000");
    expect(proposal(harmless, own, "a")).toBe("28000");
    expect(proposal(harmless, own, "z")).toBe("57P03");
    expect(proposal(boot("b"), own)).toBeUndefined();
    expect(proposal(boot("a"), own)).toBe("28000");
    expect(proposal({ type: "attest", attestation: author.attestation("b") }, own)).toBeUndefined();
    expect(proposal({ type: "attest", attestation: author.attestation("a") }, own)).toBe("28000");
  });

  it("epochs are nobody's but the leader's, and nonsense is nobody's", () => {
    const entry = author.change({ kind: "set", key: "replication.factor", value: "3" });
    expect(proposal({ type: "epochs", entries: [entry] }, own)).toBe("28000");
    expect(sqlstate(state.foreignProposal(uuidOf("a"), author.genesis()))).toBe("28000");
    for (const text of [
      "",
      "{",
      "null",
      "7",
      '{"c":7}',
      '{"o":[4,1],"c":{"type":"resolved","transactions":[]}}',
    ])
      expect(sqlstate(state.foreignProposal(uuidOf("b"), Buffer.from(text)))).toBe("22023");
    expect(sqlstate(state.foreignProposal(uuidOf("b"), Buffer.from('{"c":{"type":"rotate"}}')))).toBe(
      "0A000",
    );
  });

  it("a change is of who has sent it", () => {
    const asked = (value: unknown, who = "b"): string | undefined =>
      sqlstate(state.foreignChange(uuidOf(who), Buffer.from(JSON.stringify(value))));
    const request = { origin: own, change: { kind: "reset", key: "x" }, by: "admin" };
    expect(asked(request)).toBeUndefined();
    expect(asked({ ...request, origin: { ...own, stream: 2 } })).toBe("28000");
    expect(asked(request, "a")).toBe("28000");
    expect(asked({ ...request, origin: [4, 1, 1] })).toBe("22023");
    expect(asked({ ...request, change: { kind: "set", key: "x", value: 1 } })).toBe("22023");
    expect(asked({ ...request, change: { kind: "turn" } })).toBe("0A000");
    expect(asked({ ...request, epoch: "AAAA" })).toBe("0A000");
    expect(asked(7)).toBe("22023");
  });

  it("a member without a role to serve clients says what it is, ends what it had begun, and changes nothing", () => {
    const { state, move, roles } = memberB();
    const why = (refusal: { readonly error: DbError } | undefined): string | undefined =>
      refusal?.error.fields.detail?.split(":")[0];
    const asked = (command: ControlCommand): string | undefined =>
      why(state.proposalByState(uuidOf("b"), encodeProposal(command, own)));
    const changing = (change: ClusterChange): string | undefined =>
      why(state.changeByState(uuidOf("b"), own, change));
    const reset: ClusterChange = { kind: "reset", key: "replication.factor" };
    const { addresses } = newMember("b");
    const token = { id: tokenId(1), secretHash: "0".repeat(64), expiresAt: 99, by: "x", roles: usualRoles };
    expect(changing(reset)).toBe("NOT_ENABLED");
    move();
    expect(changing(reset)).toBeUndefined();
    expect(asked({ type: "token", token, at: 1 })).toBeUndefined();
    roles(roleBits.LEARNER | roleBits.MONITOR);
    expect(changing(reset)).toBe("WRONG_ROLE");
    expect(asked({ type: "token", token, at: 1 })).toBe("WRONG_ROLE");
    expect(changing({ kind: "setAddresses", node: uuidOf("b"), addresses })).toBeUndefined();
    expect(asked(boot("b"))).toBeUndefined();
    expect(asked({ type: "resolved", transactions: [] })).toBeUndefined();
  });

  it("of a member that is FAILED waits until it is back; of one that was disabled it is refused", () => {
    const { state, move } = memberB();
    const changing = (): string | undefined =>
      state.changeByState(uuidOf("b"), own, { kind: "reset", key: "replication.factor" })?.error.sqlstate;
    move();
    move("FAILED");
    expect(changing()).toBe("57P03");
    move();
    expect(changing()).toBeUndefined();
    move("DISABLED");
    expect(changing()).toBe("55000");
  });
});

// --- nonsense --------------------------------------------------------------------------------------------------------

/** One of each that is accepted, as the log has it. */
function oneOfEach(): { readonly author: Author; readonly texts: string[] } {
  const author = new Author();
  const { state } = author;
  const texts: string[] = [];
  const note = (bytes: Uint8Array): void => {
    texts.push(Buffer.from(bytes).toString());
    const outcomes = state.apply(bytes);
    expect(outcomes.length).toBeGreaterThan(0);
    for (const { error } of outcomes) expect(error).toBeUndefined();
  };
  const propose = (command: ControlCommand): void => note(encodeProposal(command, author.origin()));
  note(author.genesis());
  const token = { id: tokenId(1), secretHash: "0".repeat(64), expiresAt: 99, by: "x", roles: usualRoles };
  propose({ type: "token", token, at: 1 });
  note(epochs(author.change({ kind: "addMember", member: newMember("b"), token: tokenId(1) })));
  propose({ type: "boot", node: uuidOf("b"), boot: { count: 1, nonce: "n" }, version: 100_000 });
  propose({ type: "attest", attestation: author.attestation("b") });
  const move = { kind: "moveMember", node: uuidOf("b"), to: "ENABLED", reason: "r" } as const;
  const made = author.draft(
    [
      move,
      { kind: "set", key: "replication.factor", value: "3" } as const,
      { kind: "reset", key: "replication.factor" } as const,
    ].map((change) => ({ change, by: "x" })),
  );
  note(epochs(...(made as EpochEntry[])));
  const { control, rpc, pg } = newMember("b").addresses;
  for (const change of [
    { kind: "setRoles", node: uuidOf("b"), roles: roleBits.VOTER },
    { kind: "setAddresses", node: uuidOf("b"), addresses: { control, rpc, pg } },
    { kind: "set", key: "security_bundle.publish_interval", value: "0" },
  ] as ClusterChange[])
    note(epochs(author.change(change)));
  const drafts = (...actions: readonly DraftAction[]): void => {
    for (const action of actions) propose({ type: "bundleDraft", by: "x", at: 1, action });
  };
  drafts(draftAction(2), draftAction(1));
  drafts({ kind: "drop", draft: uuidOf("z"), set: "rls", id: rowRule(1).id }, draftAction(0), draftAction(3));
  const publish = (from: BundleSource): void => {
    const asked = { kind: "policy", part: "securityBundle", content: "", from } as const;
    note(epochs(author.change(onNewest(asked, author))));
  };
  publish({ kind: "draft", draft: uuidOf("z") });
  propose({ type: "attest", attestation: author.attestation("a") });
  note(
    epochs(
      author.change({ kind: "forceCutover", epoch: state.cluster.epochs.length, disabling: [uuidOf("b")] }),
    ),
  );
  drafts(draftAction(2), draftAction(1));
  publish({ kind: "draft", draft: uuidOf("z") });
  publish({ kind: "version", version: 1 });
  propose({ type: "attest", attestation: author.attestation("a") });
  propose({ type: "effective", epoch: state.cluster.epochs.length, at: 7 });
  note(
    epochs(
      author.change({
        kind: "removeMember",
        node: uuidOf("b"),
        reason: "",
        force: true,
        allowDataLoss: true,
      }),
    ),
  );
  propose({ type: "administrator", uuid: uuidOf("x"), name: "x", publicKey: signerOf("x").publicKey });
  const type = { oid: 23, typmod: -1 };
  const column = { name: "c", type, notNull: false };
  const table = {
    id: 20_001,
    name: "t",
    schemaId: 20_000,
    owner: 10,
    columns: [column],
    storageId: 1,
    format: 1,
  };
  const key = { column: 0, type, descending: false, nullsFirst: false };
  const index = { id: 20_002, name: "i", schemaId: 20_000, tableId: 20_001, storageId: 2, columns: [key] };
  const constraint = { id: 20_003, name: "f", schemaId: 20_000, tableId: 20_001, columns: [0] };
  const reference = { referencedTableId: 20_001, referencedColumns: [0], referencedIndexId: 20_002 };
  propose({
    type: "catalog",
    expect: [[20_000, 0]],
    puts: [
      schema(20_000, "s"),
      { kind: "table", ...table, persistence: "permanent" },
      { kind: "index", ...index, unique: true, primary: false, state: "ready" },
      {
        kind: "constraint",
        type: "foreignKey",
        ...constraint,
        ...reference,
        onDelete: "cascade",
        onUpdate: "noAction",
        match: "simple",
      },
      { kind: "comment", id: 20_004, objectId: 20_001, column: -1, text: "x" },
      { kind: "cluster", id: 20_005, name: "c", uuid: clusterUuid, acl: [{ grantee: 10, privilege: "X" }] },
    ],
    deletes: [],
    nextId: 20_006,
    transaction: { shard: 1, id: 1 },
    resolved: [{ shard: 1, id: 0 }],
  });
  propose({ type: "catalog", expect: [], puts: [], deletes: [20_004], nextId: 20_006 });
  propose({ type: "abort", transaction: { shard: 1, id: 2 } });
  propose({ type: "resolved", transactions: [{ shard: 1, id: 1 }] });
  return { author, texts };
}

/** What somebody might put in the place of a value. */
const nonsense: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  -0,
  1.5,
  1e300,
  2 ** 53,
  2 ** 32,
  "",
  "x",
  "\ud800",
  "__proto__",
  "constructor",
  "toString",
  "9".repeat(400),
  [],
  [[]],
  {},
  { __proto__: null, length: 3 },
  JSON.parse('{"__proto__":{"type":"effective"}}'),
  JSON.parse("[".repeat(500) + "]".repeat(500)),
];

type Json = unknown;
function placesOf(value: Json, into: { holder: Record<string, unknown>; key: string }[] = []): typeof into {
  if (typeof value !== "object" || value === null) return into;
  for (const key of Object.keys(value)) {
    into.push({ holder: value as Record<string, unknown>, key });
    placesOf((value as Record<string, unknown>)[key], into);
  }
  return into;
}
/** Changes one place of a value, as the numbers say. */
function spoiled(value: Json, [where, how, what]: readonly [number, number, number]): Json {
  const copy = structuredClone(value);
  const places = placesOf(copy);
  if (places.length === 0) return nonsense[what % nonsense.length];
  const { holder, key } = places[where % places.length]!;
  const donor = places[what % places.length]!;
  const other = nonsense[what % nonsense.length];
  if (how === 0) delete holder[key];
  else if (how === 1)
    Object.defineProperty(holder, ["__proto__", "extra", "toString", "kind", "type"][what % 5]!, {
      value: other,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  else if (how === 2) holder[key] = structuredClone(donor.holder[donor.key]);
  else if (how === 3 && typeof holder[key] === "number")
    holder[key] = (holder[key] as number) + (what % 3) - 1;
  else if (how === 3 && typeof holder[key] === "string") {
    const text = holder[key] as string;
    const at = what % (text.length + 1);
    holder[key] = text.slice(0, at) + text.slice(at + 1);
  } else holder[key] = other;
  return copy;
}
const spoiling = fc.tuple(fc.nat(5000), fc.nat(5), fc.nat(5000));

/** Without what is kept of every proposal. */
function changeable(state: ControlState): unknown {
  const { streams: _, cluster, ...rest } = JSON.parse(textOf(state));
  const { refused: __, ...others } = cluster;
  // A change of the catalog that is refused takes its ids along, and decides its transaction all the same.
  const { nextId: ___, outcomes: ____, ...catalog } = rest.catalog;
  return [others, catalog];
}

describe("nonsense in an entry", () => {
  const { texts } = oneOfEach();
  const base = newState();
  const states: ControlState[] = [];
  for (const text of texts) {
    states.push(restored(base));
    base.apply(Buffer.from(text));
  }

  function check(before: ControlState, bytes: Uint8Array): boolean {
    const [one, two] = [restored(before), restored(before)];
    const outcomes = one.apply(bytes);
    expect(two.apply(bytes)).toEqual(outcomes);
    expect(textOf(two)).toBe(textOf(one));
    expect(one.cluster.historyProblems()).toEqual([]);
    expect(textOf(restored(one))).toBe(textOf(one));
    const wrong = outcomes.filter(({ error }) => error !== undefined);
    if (wrong.length === outcomes.length) expect(changeable(one)).toEqual(changeable(before));
    for (const { error } of wrong) {
      expect(error).toBeInstanceOf(DbError);
      expect(error!.sqlstate).toMatch(/^[0-9A-Z]{5}$/);
    }
    return wrong.length > 0;
  }

  it("is refused on every node alike, and changes nothing", () => {
    let refused = 0;
    fc.assert(
      fc.property(
        fc.nat(texts.length - 1),
        fc.array(spoiling, { minLength: 1, maxLength: 2 }),
        (which, ways) => {
          const value = ways.reduce<Json>((one, way) => spoiled(one, way), JSON.parse(texts[which]!));
          if (check(states[which]!, Buffer.from(JSON.stringify(value)))) refused++;
        },
      ),
      { numRuns: 1200, seed: 11 },
    );
    expect(refused).toBeGreaterThan(700);
  });

  it("is refused in each single place", () => {
    // In a fresh state nothing else stands in the way of a genesis; in the last one, of anything else.
    for (const [which, text] of texts.entries()) {
      const value = JSON.parse(text);
      const state = states[which]!;
      const bad = placesOf(value);
      for (let where = 0; where < bad.length; where++)
        for (const what of [0, 6, 9, 16, 18]) {
          const bytes = Buffer.from(JSON.stringify(spoiled(value, [where, 5, what])));
          const copy = restored(state);
          expect(() => copy.apply(bytes), `${text.slice(0, 80)} ${where} ${what}`).not.toThrow();
        }
    }
  });

  it("be it any bytes or any JSON", () => {
    const state = states.at(-1)!;
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 40 }),
          fc.json().map((text) => Buffer.from(text)),
          fc.json().map((text) => Buffer.from(`{"o":[2,1,7000],"c":${text}}`)),
        ),
        (bytes) => {
          expect(check(state, bytes)).toBe(true);
        },
      ),
      { numRuns: 300, seed: 5 },
    );
    for (const text of [
      "[".repeat(200_000),
      `{"c":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
      '{"c":{"type":"effective","epoch":1,"at":1},"o":[1]}',
    ])
      expect(check(state, Buffer.from(text))).toBe(true);
    const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    const put = `{"kind":"schema","id":1,"name":"deep","owner":1,"acl":${deep}}`;
    expect(
      check(
        state,
        Buffer.from(`{"c":{"type":"catalog","expect":[],"puts":[${put}],"deletes":[],"nextId":1}}`),
      ),
    ).toBe(true);
  });

  it("that a newer version may have meant is told apart", () => {
    const conditionOf = (text: string): string => {
      const { command } = decodeProposal(Buffer.from(`{"c":${text}}`));
      return command.type === "refused" ? command.error.condition : "taken";
    };
    expect(conditionOf('{"type":"rotateCa"}')).toBe("featureNotSupported");
    expect(conditionOf('{"type":"effective","epoch":1,"at":1,"why":"x"}')).toBe("featureNotSupported");
    expect(conditionOf('{"type":"effective","epoch":1,"at":"x"}')).toBe("invalidParameterValue");
    expect(conditionOf('{"type":"effective","epoch":1,"at":1}')).toBe("taken");
    // A field of a catalog object is the object's own.
    const put = '{"kind":"schema","id":1,"name":"s","owner":1,"comment":"x"}';
    expect(conditionOf(`{"type":"catalog","expect":[],"puts":[${put}],"deletes":[],"nextId":1}`)).toBe(
      "taken",
    );
  });
});

describe("nonsense in a snapshot", () => {
  it("leaves the state as it was, or is no nonsense", () => {
    const { author } = oneOfEach();
    const saved = JSON.parse(textOf(author.state));
    const other = new Author();
    other.state.apply(other.genesis());
    const before = textOf(other.state);
    let refused = 0;
    fc.assert(
      fc.property(spoiling, (way) => {
        const bytes = Buffer.from(JSON.stringify(spoiled(saved, way)));
        const state = restored(other.state);
        try {
          state.restore(bytes);
        } catch (error) {
          refused++;
          expect(error).toBeInstanceOf(DbError);
          expect(["XX001", "0A000"]).toContain((error as DbError).sqlstate);
          expect(textOf(state)).toBe(before);
          return;
        }
        expect(textOf(restored(state))).toBe(textOf(state));
        expect(state.cluster.historyProblems()).toEqual([]);
      }),
      { numRuns: 1500, seed: 2 },
    );
    expect(refused).toBeGreaterThan(1000);
    for (const text of ["", "{", "null", "[]", "{}"])
      expect(() => other.state.restore(Buffer.from(text))).toThrowError(DbError);
    expect(textOf(other.state)).toBe(before);
  });
});

describe("names", () => {
  it("of catalog objects are one object's, also within one change", () => {
    const state = newState();
    const puts = [schema(20_001, "s"), schema(20_002, "s")];
    const change: ControlCommand = { type: "catalog", expect: [], puts, deletes: [], nextId: 20_003 };
    expect(state.apply(encodeProposal(change))).toMatchObject([{ error: { sqlstate: "42710" } }]);
    expect(state.catalog.version).toBe(0);
    const swapped = [schema(20_001, "t"), schema(20_002, "s")];
    state.apply(encodeProposal({ ...change, puts: [schema(20_001, "s"), schema(20_002, "t")] }));
    expect(state.apply(encodeProposal({ ...change, puts: swapped }))).toEqual([
      { origin: undefined, error: undefined },
    ]);
  });

  it("of members are found by either, those of the living first", () => {
    const author = new Author();
    const { state } = author;
    state.apply(author.genesis());
    const apply = (change: ClusterChange): void => {
      expect(state.apply(epochs(author.change(change)))[0]!.error).toBeUndefined();
    };
    apply({ kind: "addMember", member: newMember("b") });
    apply({ kind: "removeMember", node: uuidOf("b"), reason: "", force: false, allowDataLoss: false });
    const { cluster } = state;
    expect(cluster.memberByName("b")!.uuid).toBe(uuidOf("b"));
    apply({ kind: "addMember", member: newMember("c", { name: "b" }) });
    expect(cluster.memberByName("b")!.uuid).toBe(uuidOf("c"));
    expect(cluster.memberByName(uuidOf("b").toUpperCase())!.raftId).toBe(2);
    expect(cluster.memberByRaftId(3)!.uuid).toBe(uuidOf("c"));
    expect(cluster.memberByName("nobody")).toBeUndefined();
    expect(nameOf(cluster.memberByName("a")!.uuid)).toBe("a");
    const command: ClusterCommand = { type: "effective", epoch: 1, at: 1 };
    expect(new ControlState([], pki).applyCommand(command, undefined)).toMatchObject([
      { error: { sqlstate: "55000" } },
    ]);
  });
});
