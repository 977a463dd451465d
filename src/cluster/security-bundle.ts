/**
 * The security bundle: one immutable, hashed, signed set of security rules, the same on all nodes (spec/04, SEC-1..39). Pure:
 * whom a signature is believed is handed in.
 *
 *     draft --(rules)--> canonical bytes --SHA-256--> bundle hash --CA's key--> signature
 *                             |                            |                       |
 *                             +-------- content of the epoch's part securityBundle +--> epoch --> every node
 *
 * What is hashed (SEC-8..10), big-endian, texts and sets with their length in front:
 *
 *     version u64 | cluster uuid | created at u64 (us) | RLS | CLS | masking | domains | grants | audit rules
 *     | encryption | TLS | authentication | auditing | creator uuid | description
 *
 * Tables, columns and roles are bound to the catalog's numbers when a statement names them, since a number is never given
 * again; where the format wants a uuid, `objectUuid` writes such a number as one. So a rule means the same on every node,
 * whatever things are called there.
 *
 * Grants are no part of it: GRANT and REVOKE are catalog objects and transactional (rule C6). Their set is kept, empty, for
 * the format's sake. Trust is none either: CAs and revocations lie in the epoch's part `caPolicy` (`certificates.ts`), so no
 * bundle that is brought back revives them (SEC-35).
 *
 * Invariants: equal rules have equal bytes, in whatever order they were made; content that decodes is what its bundle would be
 * encoded to, so no byte of it can be changed unseen; a version never comes twice; nothing here reads a clock.
 */
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import { sharedByText } from "../base/shared.js";
import type { ObjectId, TypeRef } from "../model/schema.js";
import { uuidBytes, uuidFromHex } from "../model/uuid.js";
import { type Hash, hashOf } from "./epochs.js";

// --- rules -----------------------------------------------------------------------------------------------------------

export const rowCommands = ["all", "select", "insert", "update", "delete"] as const;
export const rowKinds = ["permissive", "restrictive"] as const;
export const columnActions = ["deny", "redact", "mask"] as const;
export const classifications = ["PII", "PCI", "HIPAA", "GDPR", "CUSTOM"] as const;
export const auditLevels = ["STATEMENT", "OBJECT", "COLUMN"] as const;
export const auditScopes = ["DDL", "DML", "DCL", "ALL"] as const;

/** SEC-32. Expressions are deparsed text with qualified names, as stored ones are (`schema.ts`). */
export interface RowRule {
  readonly id: string;
  readonly table: ObjectId;
  readonly name: string;
  readonly kind: (typeof rowKinds)[number];
  readonly command: (typeof rowCommands)[number];
  readonly using?: string | undefined;
  readonly check?: string | undefined;
  /** 0 is PUBLIC. */
  readonly roles: readonly ObjectId[];
  readonly appliesToOwner: boolean;
}
/** SEC-33. One for each column. */
export interface ColumnRule {
  readonly id: string;
  readonly table: ObjectId;
  /** Attribute number, from 1: it is stable for ever. */
  readonly column: number;
  readonly name: string;
  readonly action: (typeof columnActions)[number];
  /** Whom it does not touch. */
  readonly granted: readonly ObjectId[];
  /** A masking function of the bundle. */
  readonly mask?: string | undefined;
}
export interface MaskingFunction {
  readonly id: string;
  readonly name: string;
  readonly input: TypeRef;
  readonly output: TypeRef;
  /** Over `value`. */
  readonly body: string;
  readonly classification: (typeof classifications)[number];
}
/** SEC-37. No statement makes one yet: there are no domains. */
export interface DomainRule {
  readonly id: string;
  readonly name: string;
  readonly base: TypeRef;
  readonly check: string;
  readonly nullable: boolean;
  readonly default?: string | undefined;
  readonly collation: string;
}
/** SEC-36. Without objects: all; without users: all. */
export interface AuditRule {
  readonly id: string;
  readonly name: string;
  readonly level: (typeof auditLevels)[number];
  readonly scope: (typeof auditScopes)[number];
  readonly objects: readonly ObjectId[];
  readonly users: readonly ObjectId[];
  readonly success: boolean;
  readonly failure: boolean;
  readonly parameters: boolean;
  readonly rowCounts: boolean;
}

export interface BundleRules {
  readonly rls: readonly RowRule[];
  readonly cls: readonly ColumnRule[];
  readonly masking: readonly MaskingFunction[];
  readonly domains: readonly DomainRule[];
  readonly audit: readonly AuditRule[];
}
/** In the order in which they are hashed; grants, between domains and audit rules, are always empty. */
export const ruleSets = ["rls", "cls", "masking", "domains", "audit"] as const;
export type RuleSet = (typeof ruleSets)[number];
export type RuleOf<Set extends RuleSet> = BundleRules[Set][number];
export const noRules: BundleRules = { rls: [], cls: [], masking: [], domains: [], audit: [] };

export interface SecurityBundle {
  /** Number of the epoch that brings it (SEC-3). */
  readonly version: number;
  readonly clusterUuid: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly rules: BundleRules;
  /** UUID of the role; `systemCreator` of what nobody asked for. */
  readonly creator: string;
  readonly description: string;
}
export const systemCreator = "00000000-0000-0000-0000-000000000000";

/** Which bundle somebody holds: what nodes compare (SEC-30). */
export interface BundleStamp {
  readonly version: number;
  readonly hash: Hash;
}

/** With what makes it whole. */
export interface SignedBundle extends BundleStamp {
  readonly bundle: SecurityBundle;
  /** SHA-256 of each set, then of each policy (SEC-12). */
  readonly setHashes: readonly Hash[];
  /** Of the CA that has signed; its certificate, DER, lies beside. */
  readonly authority: Hash;
  /** Base64, over the bundle hash, by the CA's key. */
  readonly signature: string;
  /** Of the canonical bytes. */
  readonly bytes: number;
}

/** What a rule or a text may have at most. */
export const rulesMax = 100_000;
export const ruleNameMax = 63;
export const ruleTextMax = 65_536;
export const ruleRolesMax = 1_000;
export const descriptionMax = 1_000;
/** Versions before the current one that are always kept whole; and how long older ones are, as far as there is room (SEC-39). */
export const keptVersions = 10;
export const keptMs = 90 * 86_400_000;
export const keptCharsMax = 64 << 20;

// --- who enforces ----------------------------------------------------------------------------------------------------

/**
 * Sets whose rules are put into effect by this version. A bundle that holds others is not published, and a node that finds
 * itself with one serves nobody: a rule that nobody keeps would be worse than none.
 */
export const enforcedSets: ReadonlySet<RuleSet> = new Set<RuleSet>(["rls", "cls", "masking", "audit"]);

const setTitles: Readonly<Record<RuleSet, string>> = {
  rls: "RLS policies",
  cls: "CLS policies",
  masking: "masking functions",
  domains: "domain constraints",
  audit: "audit rules",
};
/** About what a draft takes in memory and snapshots: its texts, and something for each rule and name in it. */
export function draftBytes({ rls, cls, masking, domains, audit }: BundleRules): number {
  let bytes = 200 * (rls.length + cls.length + masking.length + domains.length + audit.length);
  for (const { using = "", check = "", roles } of rls)
    bytes += using.length + check.length + 8 * roles.length;
  for (const { granted } of cls) bytes += 8 * granted.length;
  for (const { body } of masking) bytes += body.length;
  for (const { check } of domains) bytes += check.length;
  for (const { objects, users } of audit) bytes += 8 * (objects.length + users.length);
  return bytes;
}

/** What of the rules nobody would keep, for people; undefined: nothing. */
export function unenforcedIn(
  rules: BundleRules,
  enforced: ReadonlySet<RuleSet> = enforcedSets,
): string | undefined {
  const open = ruleSets.filter((set) => rules[set].length > 0 && !enforced.has(set));
  return open.length === 0 ? undefined : open.map((set) => setTitles[set]).join(" and ");
}

// --- canonical bytes -------------------------------------------------------------------------------------------------

/** A number of the catalog as the format's uuid; of a column its number stands in the fourth group. */
export function objectUuid(id: ObjectId, column = 0): string {
  const hex = id.toString(16).padStart(8, "0");
  return `00000000-0000-0000-${column.toString(16).padStart(4, "0")}-0000${hex}`;
}

class Writer {
  readonly #bytes = new ByteWriter(4096);
  u8(value: number): this {
    this.#bytes.u8(value);
    return this;
  }
  u32(value: number): this {
    this.#bytes
      .u8(value >>> 24)
      .u8((value >>> 16) & 255)
      .u8((value >>> 8) & 255)
      .u8(value & 255);
    return this;
  }
  u64(value: number): this {
    return this.u32(Math.floor(value / 2 ** 32)).u32(value >>> 0);
  }
  micros(ms: number): this {
    this.#bytes.raw(bigEndian(BigInt(ms) * 1000n));
    return this;
  }
  bool(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }
  raw(bytes: Uint8Array): this {
    this.#bytes.raw(bytes);
    return this;
  }
  block(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }
  text(value: string): this {
    return this.block(Buffer.from(value, "utf8"));
  }
  /** Absent: false, and nothing behind it. */
  optional(value: string | undefined): this {
    return value === undefined ? this.bool(false) : this.bool(true).text(value);
  }
  uuid(value: string): this {
    return this.raw(uuidBytes(value));
  }
  ids(values: readonly ObjectId[]): this {
    this.u32(values.length);
    for (const id of [...values].sort((a, b) => a - b)) this.uuid(objectUuid(id));
    return this;
  }
  type({ oid, typmod }: TypeRef): this {
    return this.u32(oid).u32(typmod >>> 0);
  }
  word<Word extends string>(words: readonly Word[], word: Word): this {
    return this.u8(words.indexOf(word));
  }
  take(): Uint8Array {
    return this.#bytes.take();
  }
}
function bigEndian(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

class Reader {
  readonly #bytes: ByteReader;
  constructor(bytes: Uint8Array) {
    this.#bytes = new ByteReader(bytes);
  }
  u8(): number {
    return this.#bytes.u8();
  }
  u32(): number {
    const [a, b, c, d] = this.#bytes.raw(4) as unknown as [number, number, number, number];
    return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  }
  u64(): number {
    const value = this.u32() * 2 ** 32 + this.u32();
    if (!Number.isSafeInteger(value)) throw new MalformedBytes("a number is beyond 2^53");
    return value;
  }
  ms(): number {
    const micros = Buffer.from(this.#bytes.raw(8)).readBigUInt64BE();
    if (micros % 1000n !== 0n || micros / 1000n > BigInt(latestMs))
      throw new MalformedBytes("a time is beyond the year 2262, or no whole millisecond");
    return Number(micros / 1000n);
  }
  bool(): boolean {
    return this.#bytes.bool();
  }
  raw(count: number): Uint8Array {
    return this.#bytes.raw(count);
  }
  block(): Uint8Array {
    return this.raw(this.u32());
  }
  text(): string {
    return Buffer.from(this.block()).toString("utf8");
  }
  optional(): string | undefined {
    return this.bool() ? this.text() : undefined;
  }
  uuid(): string {
    return uuidFromHex(Buffer.from(this.raw(16)).toString("hex"));
  }
  /** What is no number of the catalog is found out when the bytes are made anew. */
  id(): ObjectId {
    return Number.parseInt(this.uuid().slice(-8), 16);
  }
  columnOf(): number {
    return Number.parseInt(this.uuid().slice(19, 23), 16);
  }
  ids(): ObjectId[] {
    return this.list(16, () => this.id());
  }
  type(): TypeRef {
    return { oid: this.u32(), typmod: this.u32() | 0 };
  }
  word<Word extends string>(words: readonly Word[]): Word {
    const word = words[this.u8()];
    if (word === undefined) throw new MalformedBytes("a word that is none of those known");
    return word;
  }
  list<T>(bytesEach: number, read: () => T): T[] {
    const count = this.u32();
    if (count * bytesEach > this.#bytes.left) throw new MalformedBytes(`a list of ${count} does not fit`);
    return Array.from({ length: count }, read);
  }
  end(): void {
    this.#bytes.end();
  }
}
/** As of epochs: nanoseconds in 63 bits. */
const latestMs = 9_223_372_036_854;

interface SetForm<Rule> {
  /** In which order the rules are hashed (SEC-10); uuids compare as their text does. */
  readonly key: (rule: Rule) => string;
  readonly write: (to: Writer, rule: Rule) => void;
  readonly read: (from: Reader) => Rule;
  /** Least bytes of one. */
  readonly least: number;
}

/** What each rule's bytes are: written and read side by side. */
const setForms: { readonly [Set in RuleSet]: SetForm<RuleOf<Set>> } = {
  rls: {
    key: ({ table, id }) => objectUuid(table) + id,
    write: (to, { id, table, name, kind, command, using, check, roles, appliesToOwner }) => {
      to.uuid(id).uuid(objectUuid(table)).text(name).word(rowKinds, kind).word(rowCommands, command);
      to.optional(using).optional(check).ids(roles).bool(appliesToOwner);
    },
    read: (from) => ({
      id: from.uuid(),
      table: from.id(),
      name: from.text(),
      kind: from.word(rowKinds),
      command: from.word(rowCommands),
      using: from.optional(),
      check: from.optional(),
      roles: from.ids(),
      appliesToOwner: from.bool(),
    }),
    least: 45,
  },
  cls: {
    key: ({ table, column }) => objectUuid(table) + objectUuid(table, column),
    write: (to, { id, table, column, name, action, granted, mask }) => {
      to.uuid(id).uuid(objectUuid(table)).uuid(objectUuid(table, column)).text(name);
      to.word(columnActions, action).ids(granted).optional(mask);
    },
    read: (from) => ({
      id: from.uuid(),
      table: from.id(),
      column: from.columnOf(),
      name: from.text(),
      action: from.word(columnActions),
      granted: from.ids(),
      mask: from.optional(),
    }),
    least: 58,
  },
  masking: {
    key: ({ id }) => id,
    write: (to, { id, name, input, output, body, classification }) => {
      to.uuid(id).text(name).type(input).type(output).text(body).word(classifications, classification);
    },
    read: (from) => ({
      id: from.uuid(),
      name: from.text(),
      input: from.type(),
      output: from.type(),
      body: from.text(),
      classification: from.word(classifications),
    }),
    least: 41,
  },
  domains: {
    key: ({ id }) => id,
    write: (to, { id, name, base, check, nullable, default: value, collation }) => {
      to.uuid(id).text(name).type(base).text(check).bool(nullable).optional(value).text(collation);
    },
    read: (from) => ({
      id: from.uuid(),
      name: from.text(),
      base: from.type(),
      check: from.text(),
      nullable: from.bool(),
      default: from.optional(),
      collation: from.text(),
    }),
    least: 38,
  },
  audit: {
    key: ({ id }) => id,
    write: (to, { id, name, level, scope, objects, users, success, failure, parameters, rowCounts }) => {
      to.uuid(id).text(name).word(auditLevels, level).word(auditScopes, scope).ids(objects).ids(users);
      to.bool(success).bool(failure).bool(parameters).bool(rowCounts);
    },
    read: (from) => ({
      id: from.uuid(),
      name: from.text(),
      level: from.word(auditLevels),
      scope: from.word(auditScopes),
      objects: from.ids(),
      users: from.ids(),
      success: from.bool(),
      failure: from.bool(),
      parameters: from.bool(),
      rowCounts: from.bool(),
    }),
    least: 34,
  },
};

function setBytes<Set extends RuleSet>(rules: BundleRules, set: Set): Uint8Array {
  const form = setForms[set] as unknown as SetForm<RuleOf<Set>>;
  const keyed = (rules[set] as readonly RuleOf<Set>[]).map((rule) => ({ key: form.key(rule), rule }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : 1));
  const writer = new Writer().u32(keyed.length);
  for (const { rule } of keyed) form.write(writer, rule);
  return writer.take();
}
function readSet<Set extends RuleSet>(from: Reader, set: Set): readonly RuleOf<Set>[] {
  const form = setForms[set] as unknown as SetForm<RuleOf<Set>>;
  return from.list(form.least, () => form.read(from));
}

const noGrants = new Writer().u32(0).take();

/**
 * SEC-6: what every bundle says of encryption, TLS, log-ins and the audit. No statement changes it, so a bundle that says
 * anything else is of another version of this program.
 */
const policies: readonly (readonly [name: string, bytes: Uint8Array])[] = [
  ["encryption", new Writer().text("AES-256-GCM").take()],
  [
    "tls",
    new Writer().text("TLSv1.3").bool(true).text("TLS_AES_256_GCM_SHA384").text("Ed25519").take(), // mutual
  ],
  ["authentication", new Writer().u64(24 * 3600).take()], // a session's lifetime, seconds
  ["auditing", new Writer().bool(true).bool(true).take()], // all DDL is audited; logs are kept for ever
];

interface Parts {
  readonly sets: readonly Uint8Array[];
  readonly canonical: Uint8Array;
}
function partsOf({ version, clusterUuid, createdAt, rules, creator, description }: SecurityBundle): Parts {
  const [rls, cls, masking, domains, audit] = ruleSets.map((set) => setBytes(rules, set)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const sets = [rls, cls, masking, domains, noGrants, audit];
  const writer = new Writer().u64(version).uuid(clusterUuid).micros(createdAt);
  for (const set of sets) writer.raw(set);
  for (const [, bytes] of policies) writer.block(bytes);
  writer.uuid(creator).text(description);
  return { sets: [...sets, ...policies.map(([, bytes]) => bytes)], canonical: writer.take() };
}

/** SEC-8: the bytes whose SHA-256 is the bundle hash. */
export function canonicalBundle(bundle: SecurityBundle): Uint8Array {
  return partsOf(bundle).canonical;
}
export function bundleHash(bundle: SecurityBundle): Hash {
  return hashOf(canonicalBundle(bundle));
}
/** What the CA signs. */
export function bundleDigest(hash: Hash): Uint8Array {
  return Buffer.from(hash, "hex");
}

// --- signed content --------------------------------------------------------------------------------------------------

const contentFormat = 1;

/** The content of the epoch's part: base64. `authorityPem`: of the CA that has signed the bundle hash. */
export function encodeBundle(bundle: SecurityBundle, authorityPem: string, signature: string): string {
  const { sets, canonical } = partsOf(bundle);
  const writer = new Writer().u8(contentFormat).block(canonical);
  writer.u32(sets.length);
  for (const set of sets) writer.raw(Buffer.from(hashOf(set), "hex"));
  writer.raw(Buffer.from(hashOf(canonical), "hex"));
  writer.block(derOf(authorityPem)).block(Buffer.from(signature, "base64"));
  return Buffer.from(writer.take()).toString("base64");
}
/** Version 1: of the system, and without rules (SEC-2). */
export function firstBundle(clusterUuid: string, createdAt: number): SecurityBundle {
  return {
    version: 1,
    clusterUuid,
    createdAt,
    rules: noRules,
    creator: systemCreator,
    description: "the initial, empty security bundle",
  };
}
/** `sign`: over the digest, by the CA's key; base64. */
export async function signBundle(
  bundle: SecurityBundle,
  authorityPem: string,
  sign: (digest: Uint8Array) => Promise<string>,
): Promise<string> {
  return encodeBundle(bundle, authorityPem, await sign(bundleDigest(bundleHash(bundle))));
}

const derOf = (pem: string): Uint8Array => Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");

function readCanonical(bytes: Uint8Array): SecurityBundle {
  const from = new Reader(bytes);
  const version = from.u64();
  const clusterUuid = from.uuid();
  const createdAt = from.ms();
  const rls = readSet(from, "rls");
  const cls = readSet(from, "cls");
  const masking = readSet(from, "masking");
  const domains = readSet(from, "domains");
  if (from.u32() !== 0) throw new MalformedBytes("grants are no part of a bundle");
  const audit = readSet(from, "audit");
  for (const [name, known] of policies)
    if (Buffer.compare(from.block(), known) !== 0)
      throw new MalformedBytes(`a policy on ${name} that this version does not know`);
  const creator = from.uuid();
  const description = from.text();
  from.end();
  return {
    version,
    clusterUuid,
    createdAt,
    rules: { rls, cls, masking, domains, audit },
    creator,
    description,
  };
}

/** Why a bundle is not taken: the condition opens the detail of the error. */
export interface BundleProblem {
  readonly condition:
    | "BUNDLE_MALFORMED"
    | "BUNDLE_INVALID"
    | "BUNDLE_HASH_MISMATCH"
    | "BUNDLE_SIGNATURE_INVALID"
    | "BUNDLE_WRONG_CLUSTER"
    | "BUNDLE_VERSION_CONFLICT"
    | "BUNDLE_TOO_LARGE";
  readonly message: string;
}

/** Structure and hashes (SEC-22): whose word it is, is asked by `checkedBundle`. */
export const readBundle = sharedByText((content: string): SignedBundle | BundleProblem => {
  try {
    return readContent(content);
  } catch (error) {
    if (!(error instanceof MalformedBytes)) throw error;
    return { condition: "BUNDLE_MALFORMED", message: `the security bundle cannot be read: ${error.message}` };
  }
});

function readContent(content: string): SignedBundle | BundleProblem {
  const whole = Buffer.from(content, "base64");
  const from = new Reader(whole);
  const format = from.u8();
  if (format !== contentFormat) throw new MalformedBytes(`it is of format ${format}`);
  const canonical = from.block();
  const stated = from.list(32, () => Buffer.from(from.raw(32)).toString("hex"));
  const hash = Buffer.from(from.raw(32)).toString("hex");
  const der = from.block();
  const signature = Buffer.from(from.block()).toString("base64");
  from.end();
  const bundle = readCanonical(canonical);
  const problem = rulesProblem(bundle.rules) ?? descriptionProblem(bundle.description);
  if (problem !== undefined) return { condition: "BUNDLE_INVALID", message: problem };
  const made = partsOf(bundle);
  // Sets out of order, texts that are no UTF-8, numbers spelled otherwise: there is one spelling.
  if (Buffer.compare(made.canonical, canonical) !== 0)
    throw new MalformedBytes("its bytes are not in canonical form");
  const setHashes = made.sets.map(hashOf);
  if (stated.length !== setHashes.length || stated.some((one, at) => one !== setHashes[at]))
    return { condition: "BUNDLE_HASH_MISMATCH", message: "a rule set is not what its hash says" };
  if (hash !== hashOf(canonical))
    return { condition: "BUNDLE_HASH_MISMATCH", message: "the security bundle is not what its hash says" };
  if (whole.toString("base64") !== content) throw new MalformedBytes("it is no base64 in canonical form");
  return {
    version: bundle.version,
    hash,
    bundle,
    setHashes,
    authority: hashOf(der),
    signature,
    bytes: canonical.length,
  };
}

/** What a published bundle is held against. */
export interface BundleContext {
  readonly clusterUuid: string;
  /** Of the epoch that brings it. */
  readonly version: number;
  readonly bytesMax: number;
  /** Of the CA that signs now: others' signatures do not count (SEC-13). */
  readonly authority: { readonly fingerprint: Hash; readonly certificatePem: string } | undefined;
  /** By the key of that CA's certificate. */
  readonly verify: (authorityPem: string, digest: Uint8Array, signature: string) => boolean;
}

/** Run by whoever publishes, by the leader before it proposes, and by every node when it applies (SEC-22, SEC-23). */
function bundleProblem(
  { version, hash, bundle, authority, signature, bytes }: SignedBundle,
  context: BundleContext,
): BundleProblem | undefined {
  if (bundle.clusterUuid !== context.clusterUuid)
    return {
      condition: "BUNDLE_WRONG_CLUSTER",
      message: `the security bundle is of cluster ${bundle.clusterUuid}`,
    };
  if (version !== context.version)
    return {
      condition: "BUNDLE_VERSION_CONFLICT",
      message: `security bundle ${version} cannot be published as version ${context.version}`,
    };
  if (bytes > context.bytesMax)
    return {
      condition: "BUNDLE_TOO_LARGE",
      message: `the security bundle has ${bytes} bytes; the limit is ${context.bytesMax}`,
    };
  const by = context.authority;
  if (
    by === undefined ||
    by.fingerprint !== authority ||
    !context.verify(by.certificatePem, bundleDigest(hash), signature)
  )
    return {
      condition: "BUNDLE_SIGNATURE_INVALID",
      message: "the signature of the security bundle is not that of the CA that issues now",
    };
  return undefined;
}

/** Content that is whole and may be published; or why not. */
export function checkedBundle(content: string, context: BundleContext): SignedBundle | BundleProblem {
  const signed = readBundle(content);
  return isProblem(signed) ? signed : (bundleProblem(signed, context) ?? signed);
}

export function isProblem(value: SignedBundle | BundleProblem): value is BundleProblem {
  return "condition" in value;
}

// --- what rules may be -----------------------------------------------------------------------------------------------

const loneSurrogate = /\p{Surrogate}/u;

export function descriptionProblem(description: string): string | undefined {
  if (description.length > descriptionMax) return `a description has at most ${descriptionMax} characters`;
  return loneSurrogate.test(description) ? "the description is no Unicode text" : undefined;
}

function* textsOf(rules: BundleRules): Iterable<readonly [text: string | undefined, max: number]> {
  for (const set of ruleSets) for (const { name } of rules[set]) yield [name, ruleNameMax];
  for (const { using, check } of rules.rls) yield* [using, check].map((one) => [one, ruleTextMax] as const);
  for (const { body } of rules.masking) yield [body, ruleTextMax];
  for (const one of rules.domains)
    yield* [one.check, one.default, one.collation].map((text) => [text, ruleTextMax] as const);
}
function* listsOf({ rls, cls, audit }: BundleRules): Iterable<readonly ObjectId[]> {
  for (const { roles } of rls) yield roles;
  for (const { granted } of cls) yield granted;
  for (const { objects, users } of audit) yield* [objects, users];
}

/** Of rules that have the right shape: what they may not be together; for people. */
export function rulesProblem(rules: BundleRules): string | undefined {
  const ids = new Set<string>();
  let count = 0;
  for (const set of ruleSets) {
    for (const { id } of rules[set]) ids.add(id);
    count += rules[set].length;
  }
  if (count > rulesMax) return `a security bundle holds at most ${rulesMax} rules`;
  if (ids.size < count) return "two rules have the same uuid";
  for (const [text, max] of textsOf(rules)) {
    if (text === undefined) continue;
    if (Buffer.byteLength(text) > max) return `a text of a rule is longer than ${max} bytes`;
    if (loneSurrogate.test(text)) return "a text of a rule is no Unicode text";
  }
  for (const list of listsOf(rules)) {
    if (list.length > ruleRolesMax) return `a rule names at most ${ruleRolesMax} objects or roles`;
    if (new Set(list).size < list.length) return "a rule names an object or a role twice";
  }
  const names: readonly (readonly [what: string, keys: readonly string[]])[] = [
    ["two RLS policies of a table have the same name", rules.rls.map((one) => `${one.table} ${one.name}`)],
    ["a column has two CLS policies", rules.cls.map((one) => `${one.table} ${one.column}`)],
    ["two CLS policies of a table have the same name", rules.cls.map((one) => `${one.table} ${one.name}`)],
    ["two masking functions have the same name", rules.masking.map((one) => one.name)],
    ["two domain constraints have the same name", rules.domains.map((one) => one.name)],
    ["two audit rules have the same name", rules.audit.map((one) => one.name)],
  ];
  for (const [what, keys] of names) if (new Set(keys).size < keys.length) return what;
  const masks = new Set(rules.masking.map((one) => one.id));
  for (const { name, action, mask, column } of rules.cls) {
    if (column < 1 || column > 0xffff) return `CLS policy ${name} is of no column`;
    if ((action === "mask") !== (mask !== undefined))
      return `CLS policy ${name} needs a masking function for MASK, and for nothing else`;
    if (mask !== undefined && !masks.has(mask))
      return `the masking function of CLS policy ${name} does not exist`;
  }
  for (const { name, roles, using, check, command } of rules.rls) {
    if (roles.length === 0) return `RLS policy ${name} is for no role`;
    if (using === undefined && check === undefined) return `RLS policy ${name} has no expression`;
    if (command === "insert" && using !== undefined) return `RLS policy ${name}: only WITH CHECK for INSERT`;
    if ((command === "select" || command === "delete") && check !== undefined)
      return `RLS policy ${name}: WITH CHECK cannot be applied to SELECT or DELETE`;
  }
  return undefined;
}

/** The rules with one more, or with it in place of that of the same uuid. */
export function withRule<Set extends RuleSet>(rules: BundleRules, set: Set, rule: RuleOf<Set>): BundleRules {
  const others = (rules[set] as readonly RuleOf<Set>[]).filter((one) => one.id !== rule.id);
  return { ...rules, [set]: [...others, rule] };
}
export function withoutRule(rules: BundleRules, set: RuleSet, id: string): BundleRules {
  return {
    ...rules,
    [set]: (rules[set] as readonly { readonly id: string }[]).filter((one) => one.id !== id),
  };
}

/** Whether they are the same rules, in whatever order. */
export function sameRules(a: BundleRules, b: BundleRules): boolean {
  return ruleSets.every((set) => Buffer.compare(setBytes(a, set), setBytes(b, set)) === 0);
}

// --- drafts and history ----------------------------------------------------------------------------------------------

/** One for the whole cluster, replicated (spec/04, item 6): without effect on anybody until it is published (SEC-16). */
export interface BundleDraft {
  readonly id: string;
  /** As CREATE SECURITY BUNDLE was given it; the number it is published as is that of its epoch. */
  readonly version: number | undefined;
  readonly description: string;
  /** Whose rules it began with. */
  readonly from: number;
  readonly openedAt: number;
  /** A role's name: its statements go into it. */
  readonly by: string;
  readonly rules: BundleRules;
}

/** A bundle that another has followed. */
export interface PastBundle extends BundleStamp {
  readonly createdAt: number;
  readonly creator: string;
  readonly description: string;
  readonly supersededAt: number;
  /** Undefined: it was too old to be kept whole (SEC-39). */
  readonly content?: string | undefined;
}

/** Older ones without their content, as far as SEC-39 lets them go. `at`: what time the log has. The newest is the last. */
export function retained(past: readonly PastBundle[], at: number): readonly PastBundle[] {
  let chars = 0;
  const kept = past.toReversed().map((one, place): PastBundle => {
    if (one.content === undefined) return one;
    if (place < keptVersions) return one;
    chars += one.content.length;
    if (at - one.supersededAt < keptMs && chars <= keptCharsMax) return one;
    const { content: _, ...row } = one;
    return row;
  });
  return kept.reverse();
}
