/**
 * The shape of everything that reaches the control plane's state from outside: commands of the log, snapshots, and changes that
 * a peer asks for. One table of checks; its types make sure that no field of a command is left out.
 *
 * An entry is in the log of every node before anybody applies it, whoever proposed it. What is wrong in it must refuse it on
 * every node alike, and end none.
 *
 * Invariants: the checks look at a value and nothing else; what has passed holds no field, kind or type that this version does
 * not know, and no number beyond what its reader can take.
 */
import type { Condition } from "../base/errors.js";
import type { CatalogObject, TypeRef } from "../model/schema.js";
import type { SavedAudit } from "./audit-state.js";
import {
  authoritiesMax,
  certificateKinds,
  certificatesMax,
  crlCharsMax,
  formerAuthoritiesMax,
} from "./certificates.js";
import type {
  Attestation,
  AuditCheckpoint,
  AuditHead,
  AuditRule,
  Authority,
  BundleDraft,
  BundleRules,
  BundleSource,
  BundleWord,
  CertificateFacts,
  CertificateSighting,
  ClusterChange,
  ClusterCommand,
  ColumnRule,
  DraftAction,
  DraftRule,
  EpochEntry,
  EpochRecord,
  EpochRefused,
  ErrorRecord,
  FormerAuthority,
  IssuedCertificate,
  JoinToken,
  MaskingFunction,
  NewMember,
  PastBundle,
  PastRotation,
  Rotation,
  RowRule,
  RuleSet,
} from "./contract.js";
import { epochStates, latestMs, type Observation, partNames } from "./epochs.js";
import { type Member, memberStates, roleBits } from "./membership.js";
import {
  auditLevels,
  auditScopes,
  classifications,
  columnActions,
  type DomainRule,
  descriptionMax,
  rowCommands,
  rowKinds,
  ruleNameMax,
  ruleRolesMax,
  ruleSets,
  rulesMax,
  ruleTextMax,
} from "./security-bundle.js";
import type { Command as CatalogCommand } from "./state.js";

export interface Problem {
  readonly text: string;
  /** What a newer version may have meant. */
  readonly newer?: boolean;
}
/** `at` names the value for people. */
export type Check = (value: unknown, at: string) => Problem | undefined;
type Checks = Readonly<Record<string, Check>>;
export type ChecksOf<T> = { readonly [Key in keyof T]-?: Check };

// --- checks ------------------------------------------------------------------------------------------------------

const shown = (value: unknown): string => {
  if (typeof value === "string")
    return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  return Array.isArray(value)
    ? "a list"
    : typeof value === "object" && value !== null
      ? "an object"
      : String(value);
};
const wrong = (at: string, value: unknown, wanted: string): Problem => ({
  text: value === undefined ? `${at} is missing` : `${at} must be ${wanted}, not ${shown(value)}`,
});

export function text(max: number, pattern?: RegExp, wanted = "a text"): Check {
  return (value, at) => {
    if (typeof value !== "string") return wrong(at, value, wanted);
    if (value.length > max) return { text: `${at} is longer than ${max} characters` };
    return pattern === undefined || pattern.test(value) ? undefined : wrong(at, value, wanted);
  };
}
export function whole(min: number, max: number): Check {
  return (value, at) =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max
      ? undefined
      : wrong(at, value, `a whole number from ${min} to ${max}`);
}
export const flag: Check = (value, at) =>
  typeof value === "boolean" ? undefined : wrong(at, value, "true or false");
export function oneOf(...words: readonly string[]): Check {
  return (value, at) =>
    typeof value === "string" && words.includes(value) ? undefined : wrong(at, value, words.join(" or "));
}
export function optional(check: Check): Check {
  return (value, at) => (value === undefined ? undefined : check(value, at));
}
export function list(check: Check, max = Number.MAX_SAFE_INTEGER): Check {
  return (value, at) => {
    if (!Array.isArray(value)) return wrong(at, value, "a list");
    if (value.length > max) return { text: `${at} has more than ${max} items` };
    for (let place = 0; place < value.length; place++) {
      const problem = check(value[place], `${at}[${place}]`);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
}
export function tuple(...checks: readonly Check[]): Check {
  return (value, at) => {
    if (!Array.isArray(value) || value.length !== checks.length)
      return wrong(at, value, `a list of ${checks.length}`);
    for (const [place, check] of checks.entries()) {
      const problem = check(value[place], `${at}[${place}]`);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function withFields(checks: Checks, others: "refused" | "kept"): Check {
  const known = Object.entries(checks);
  return (value, at) => {
    if (!isObject(value)) return wrong(at, value, "an object");
    if (others === "refused")
      for (const key of Object.keys(value))
        if (!Object.hasOwn(checks, key))
          return { text: `${at} has an unknown field ${shown(key)}`, newer: true };
    for (const [key, check] of known) {
      const problem = check(Object.hasOwn(value, key) ? value[key] : undefined, `${at}.${key}`);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
}
/** Just these fields. */
export const fields = <T>(checks: ChecksOf<T>): Check => withFields(checks, "refused");
/** These fields, whatever else there is. */
export const atLeast = (checks: Checks): Check => withFields(checks, "kept");

/** An object of which one field says what the others are. */
export function tagged(tag: string, cases: Readonly<Record<string, Check>>): Check {
  return (value, at) => {
    if (!isObject(value)) return wrong(at, value, "an object");
    const name = Object.hasOwn(value, tag) ? value[tag] : undefined;
    if (typeof name !== "string") return wrong(`${at}.${tag}`, name, "a text");
    if (!Object.hasOwn(cases, name))
      return { text: `${at} is of an unknown ${tag}, ${shown(name)}`, newer: true };
    return cases[name]!(value, at);
  };
}
type CasesOf<T, Tag extends keyof T> = {
  readonly [Name in T[Tag] & string]: ChecksOf<Omit<Extract<T, Readonly<Record<Tag, Name>>>, Tag>>;
};
function union<T, Tag extends keyof T & string>(tag: Tag, cases: CasesOf<T, Tag>): Check {
  const checks: Record<string, Check> = {};
  for (const [name, own] of Object.entries<Checks>(cases))
    checks[name] = withFields({ ...own, [tag]: anything }, "refused");
  return tagged(tag, checks);
}

export const anything: Check = () => undefined;

/** What is written into snapshots must not be deeper than the writer can go. */
const depthMax = 200;
function plain(value: unknown, depth = depthMax): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (depth === 0) return false;
  for (const one of Array.isArray(value) ? value : Object.values(value))
    if (!plain(one, depth - 1)) return false;
  return true;
}

// --- values ------------------------------------------------------------------------------------------------------

export const id = whole(0, 0xffff_ffff);
export const count = whole(0, Number.MAX_SAFE_INTEGER);
/** A later time is beyond canonical bytes and beyond dates. */
const time = whole(0, latestMs);
export const version = whole(0, 0xffff_ffff);
export const uuid = text(36, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, "a uuid");
export const hash = text(64, /^[0-9a-f]{64}$/, "a SHA-256 hash");
const anyText = text(Number.MAX_SAFE_INTEGER);
export const who = text(300);
const reason = text(4096);
export const nodeName = text(63, /^[A-Za-z0-9][A-Za-z0-9_.-]*$/, "a node's name");
export const address = text(300, /^\S+:\d{1,5}$/, "host:port");

/** Canonical: one text for the same bytes. */
function base64(bytes: number | undefined, max: number): Check {
  return (value, at) => {
    const tooLong = text(max)(value, at);
    if (tooLong !== undefined) return tooLong;
    const content = Buffer.from(value as string, "base64");
    if (bytes !== undefined && content.length !== bytes) return wrong(at, value, `base64 of ${bytes} bytes`);
    return content.toString("base64") === value ? undefined : wrong(at, value, "base64");
  };
}
export const publicKey = base64(32, 44);
export const signature = base64(64, 88);
/** Larger than any epoch may be; how large that is the epoch's own check says. */
const content = base64(undefined, 200_000_000);

export const pem: Check = (value, at) => {
  const body = /^-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*$/.exec(
    typeof value === "string" && value.length <= 100_000 ? value : "",
  )?.[1];
  return body === undefined || base64(undefined, 100_000)(body.replace(/\s/g, ""), at) !== undefined
    ? wrong(at, value, "a certificate in PEM")
    : undefined;
};

/** A certificate revocation list. */
const crlPem: Check = (value, at) => {
  const body = /^-----BEGIN X509 CRL-----\s([A-Za-z0-9+/=\s]+)-----END X509 CRL-----\s*$/.exec(
    typeof value === "string" && value.length <= crlCharsMax ? value : "",
  )?.[1];
  return body === undefined || base64(undefined, crlCharsMax)(body.replace(/\s/g, ""), at) !== undefined
    ? wrong(at, value, "a revocation list in PEM")
    : undefined;
};
export const serial = text(40, /^[0-9a-f]{2,40}$/, "a certificate's serial number");
/** Of a stability window. */
export const windowMs = whole(0, 366 * 86_400_000);

const allRoles = Object.values(roleBits).reduce((all, bit) => all | bit, 0);
const roles: Check = (value, at) => {
  const problem = whole(1, 0x7fff_ffff)(value, at);
  if (problem !== undefined) return problem;
  const bits = value as number;
  if ((bits & allRoles) !== bits) return { text: `${at} has an unknown role`, newer: true };
  return (bits & roleBits.VOTER) !== 0 && (bits & roleBits.LEARNER) !== 0
    ? { text: "a node is either a VOTER or a LEARNER, not both" }
    : undefined;
};

const boot = fields<Member["boot"]>({ count, nonce: text(100) });
export const addresses = fields<Member["addresses"]>({ control: address, rpc: address, pg: address });
const certificateFields: ChecksOf<CertificateFacts> = {
  serial,
  issuer: hash,
  notBefore: time,
  notAfter: time,
};
export const certificateFacts = fields<CertificateFacts>(certificateFields);
const issuedCertificate = fields<IssuedCertificate>({
  ...certificateFields,
  kind: oneOf(...certificateKinds),
  subject: text(300),
  fingerprint: hash,
  issuedAt: time,
  by: who,
});
const sighting = fields<CertificateSighting>({
  node: uuid,
  rotation: uuid,
  seen: list(
    fields<CertificateSighting["seen"][number]>({ peer: uuid, certFingerprint: hash, observedAt: time }),
    1000,
  ),
  signature,
});
const newMember: ChecksOf<NewMember> = {
  uuid,
  name: nodeName,
  certFingerprint: hash,
  publicKey,
  certificate: optional(certificateFacts),
  addresses,
  hostLabel: text(300),
  roles,
  version,
};
const token = fields<JoinToken>({ id: uuid, secretHash: hash, expiresAt: time, by: who, roles });
const attestation = fields<Attestation>({
  node: uuid,
  epoch: count,
  activatedAt: time,
  observations: list(
    fields<Observation>({ peer: uuid, certFingerprint: hash, epoch: count, observedAt: time, valid: flag }),
    1000,
  ),
  signature,
});
const origin = fields<EpochEntry["origin"]>({ stream: count, boot: count, number: count });

// --- changes and commands ----------------------------------------------------------------------------------------

export const bundleSource = union<BundleSource, "kind">("kind", {
  draft: { draft: uuid },
  version: { version: count },
});
const change = union<ClusterChange, "kind">("kind", {
  set: { key: text(200), value: text(1000) },
  reset: { key: text(200) },
  addMember: { member: fields<NewMember>(newMember), token: optional(uuid) },
  moveMember: { node: uuid, to: oneOf("ENABLED", "DISABLED", "FAILED"), reason },
  removeMember: { node: uuid, reason, force: flag, allowDataLoss: flag },
  setRoles: { node: uuid, roles },
  setAddresses: { node: uuid, addresses },
  policy: {
    part: oneOf(...partNames),
    content,
    from: bundleSource,
  },
  recertify: { node: uuid, certificatePem: pem, consent: signature, token: optional(uuid) },
  revoke: { authority: hash, serials: list(serial, 10_000), crlPem },
  beginOverlap: { id: uuid, certificatePem: pem, crlPem, windowMs, automatic: flag },
  cutOver: { id: uuid, leaving: optional(list(uuid, 1000)) },
  cancelOverlap: { id: uuid },
  extendOverlap: { id: uuid, until: time },
  emergency: {
    id: uuid,
    authority: hash,
    certificatePem: pem,
    crlPem: optional(crlPem),
    windowMs,
    leaving: optional(list(uuid, 1000)),
  },
  forceCutover: { epoch: count, disabling: list(uuid, 1000) },
});

const sequence = whole(1, Number.MAX_SAFE_INTEGER);
const auditHead = fields<AuditHead>({ sequence, hash });
const auditCheckpoint = fields<AuditCheckpoint>({
  node: uuid,
  first: sequence,
  last: sequence,
  count: sequence,
  firstHash: hash,
  lastHash: hash,
  merkleRoot: hash,
  at: time,
  certFingerprint: hash,
  signature,
});

const epochEntry = fields<EpochEntry>({
  origin,
  change,
  by: who,
  epoch: content,
  audit: optional(auditHead),
});
const asked = fields<Omit<EpochEntry, "epoch">>({ origin, change, by: who, audit: optional(auditHead) });

// --- security bundles ------------------------------------------------------------------------------------------------

const ruleName = text(ruleNameMax);
const ruleText = text(ruleTextMax);
const ids = list(id, ruleRolesMax);
const typeRef = fields<TypeRef>({ oid: id, typmod: whole(-1, 0x7fff_ffff) });
const ruleShapes = {
  rls: fields<RowRule>({
    id: uuid,
    table: id,
    name: ruleName,
    kind: oneOf(...rowKinds),
    command: oneOf(...rowCommands),
    using: optional(ruleText),
    check: optional(ruleText),
    roles: ids,
    appliesToOwner: flag,
  }),
  cls: fields<ColumnRule>({
    id: uuid,
    table: id,
    column: whole(1, 0xffff),
    name: ruleName,
    action: oneOf(...columnActions),
    granted: ids,
    mask: optional(uuid),
  }),
  masking: fields<MaskingFunction>({
    id: uuid,
    name: ruleName,
    input: typeRef,
    output: typeRef,
    body: ruleText,
    classification: oneOf(...classifications),
  }),
  domains: fields<DomainRule>({
    id: uuid,
    name: ruleName,
    base: typeRef,
    check: ruleText,
    nullable: flag,
    default: optional(ruleText),
    collation: ruleText,
  }),
  audit: fields<AuditRule>({
    id: uuid,
    name: ruleName,
    level: oneOf(...auditLevels),
    scope: oneOf(...auditScopes),
    objects: ids,
    users: ids,
    success: flag,
    failure: flag,
    parameters: flag,
    rowCounts: flag,
  }),
} satisfies Record<RuleSet, Check>;
const draftRule = union<DraftRule, "set">("set", {
  rls: { rule: ruleShapes.rls },
  cls: { rule: ruleShapes.cls },
  masking: { rule: ruleShapes.masking },
  audit: { rule: ruleShapes.audit },
});
const bundleDescription = text(descriptionMax);
const draftAction = union<DraftAction, "kind">("kind", {
  open: { draft: uuid, version: optional(count), description: bundleDescription, from: count },
  put: { draft: uuid, rule: draftRule },
  drop: { draft: uuid, set: oneOf(...ruleSets), id: uuid },
  abandon: { draft: uuid },
});
const savedBundles = fields<SavedBundles>({
  past: list(
    fields<PastBundle>({
      version: count,
      hash,
      createdAt: time,
      creator: uuid,
      description: bundleDescription,
      supersededAt: time,
      content: optional(content),
    }),
  ),
  draft: optional(
    fields<BundleDraft>({
      id: uuid,
      version: optional(count),
      description: bundleDescription,
      from: count,
      openedAt: time,
      by: who,
      rules: fields<BundleRules>({
        rls: list(ruleShapes.rls, rulesMax),
        cls: list(ruleShapes.cls, rulesMax),
        masking: list(ruleShapes.masking, rulesMax),
        domains: list(ruleShapes.domains, rulesMax),
        audit: list(ruleShapes.audit, rulesMax),
      }),
    }),
  ),
  lastPublishedAt: optional(time),
  words: list(fields<BundleWord>({ node: uuid, version: count, hash, appliedAt: time })),
});

const transaction = fields<{ shard: number; id: number }>({ shard: id, id: count });
const names = { id, name: anyText };
const inSchema = { ...names, schemaId: id };
const owned = { ...inSchema, owner: id };
const type = atLeast({ oid: id, typmod: whole(-1, 0x7fff_ffff) });
const columns = list(atLeast({ name: anyText, type, notNull: flag }));
const places = list(count);

/** What the catalog itself and those who look things up rely on. A field more is kept: it is the object's own. */
const catalogShape = tagged("kind", {
  schema: atLeast({ ...names, owner: id }),
  table: atLeast({
    ...owned,
    columns,
    storageId: count,
    format: count,
    persistence: oneOf("permanent", "temporary", "unlogged"),
    rowSecurity: optional(flag),
    forceRowSecurity: optional(flag),
    audit: optional(anyText),
  }),
  index: atLeast({
    ...inSchema,
    tableId: id,
    storageId: count,
    columns: list(atLeast({ type, descending: flag, nullsFirst: flag })),
    unique: flag,
    primary: flag,
    state: oneOf("building", "ready"),
  }),
  constraint: tagged("type", {
    primaryKey: atLeast({ ...inSchema, tableId: id, columns: places, indexId: id }),
    unique: atLeast({ ...inSchema, tableId: id, columns: places, indexId: id }),
    check: atLeast({ ...inSchema, tableId: id, columns: places, expressionSql: anyText }),
    foreignKey: atLeast({
      ...inSchema,
      tableId: id,
      columns: places,
      referencedTableId: id,
      referencedColumns: places,
      referencedIndexId: id,
      onDelete: anyText,
      onUpdate: anyText,
      match: anyText,
    }),
  }),
  view: atLeast({
    ...owned,
    columns,
    querySql: anyText,
    dependsOn: list(tuple(id, whole(-1, 0xffff))),
    options: optional(atLeast({ security_barrier: optional(anyText), security_invoker: optional(anyText) })),
  }),
  sequence: atLeast({
    ...owned,
    type,
    start: anyText,
    increment: anyText,
    minimum: anyText,
    maximum: anyText,
    cache: anyText,
    cycle: flag,
    storageId: count,
  }),
  role: atLeast({
    ...names,
    superuser: flag,
    inherit: flag,
    createRole: flag,
    createDb: flag,
    login: flag,
    replication: flag,
    bypassRls: flag,
    connectionLimit: whole(-1, Number.MAX_SAFE_INTEGER),
    memberOf: list(atLeast({ roleId: id, admin: flag, grantor: id })),
    audit: optional(flag),
  }),
  database: atLeast({ ...names, owner: id }),
  statistics: atLeast({ id, tableId: id, columns: list(anything) }),
  comment: atLeast({ id, objectId: id, column: whole(-1, 0xffff), text: anyText }),
  setting: atLeast({ ...names, value: anyText }),
  connectionRule: atLeast({
    ...names,
    ordinal: count,
    roles: optional(list(id)),
    members: flag,
    databases: optional(list(id)),
    addresses: optional(list(anyText)),
    tls: oneOf("optional", "required", "none"),
    method: oneOf("scram", "plus", "certificate", "scramAndCertificate", "reject"),
  }),
  policy: atLeast({
    ...names,
    tableId: id,
    permissive: flag,
    command: oneOf("all", "select", "insert", "update", "delete"),
    roles: list(count),
    usingSql: optional(anyText),
    checkSql: optional(anyText),
    dependsOn: list(tuple(id, whole(-1, 0xffff))),
  }),
  cluster: atLeast({ ...names, uuid: anyText, acl: list(atLeast({ grantee: id, privilege: anyText })) }),
} satisfies Record<CatalogObject["kind"], Check>);

const catalogObject: Check = (value, at) =>
  catalogShape(value, at) ?? (plain(value) ? undefined : { text: `${at} is nested too deeply` });
const puts: Check = (value, at) => {
  const problem = list(catalogObject)(value, at);
  if (problem !== undefined) return problem;
  const ids = (value as readonly CatalogObject[]).map((one) => one.id);
  return new Set(ids).size < ids.length ? { text: `${at} has an object twice` } : undefined;
};

const command = union<CatalogCommand | ClusterCommand, "type">("type", {
  catalog: {
    expect: list(tuple(id, count)),
    puts,
    deletes: list(id),
    nextId: id,
    transaction: optional(transaction),
    resolved: optional(list(transaction)),
  },
  abort: { transaction },
  resolved: { transactions: list(transaction) },
  genesis: {
    clusterUuid: uuid,
    clusterName: text(300),
    member: fields<NewMember>(newMember),
    boot,
    authority: pem,
    crl: optional(crlPem),
    bundle: optional(content),
    epoch: content,
    at: time,
  },
  // Each by itself, by `epochEntryProblem`: the others have their own answers.
  epochs: { entries: list(anything) },
  attest: { attestation },
  effective: { epoch: count, at: time },
  boot: { node: uuid, boot, version },
  token: { token, at: time },
  administrator: { uuid, name: who, publicKey: optional(publicKey) },
  certificate: { certificate: issuedCertificate },
  sighting: { sighting },
  bundleDraft: { by: who, at: time, action: draftAction },
  auditCheckpoint: { checkpoint: auditCheckpoint },
});

// --- snapshots ---------------------------------------------------------------------------------------------------

/** A member's keys that may sign, the newest last; and whether that one may still. */
export interface SavedAdministrator {
  readonly uuid: string;
  readonly name: string;
  readonly keys: readonly string[];
  readonly maySign: boolean;
}
export interface SavedCluster {
  readonly clusterUuid: string;
  readonly clusterName: string;
  readonly home: string;
  readonly members: readonly Member[];
  readonly settings: readonly (readonly [key: string, value: string])[];
  readonly policies: readonly (readonly [part: string, content: string])[];
  readonly trust: SavedTrust;
  /** Absent in snapshots of versions that had no bundles. */
  readonly bundles?: SavedBundles | undefined;
  readonly tokens: readonly JoinToken[];
  readonly nextRaftId: number;
  readonly epochs: readonly (Omit<EpochRecord, "epoch"> & { readonly epoch: string })[];
  readonly refused: readonly EpochRefused[];
  readonly attestations: readonly Attestation[];
  readonly ready: readonly (readonly [node: string, epoch: number])[];
  readonly administrators: readonly SavedAdministrator[];
  readonly nodeKeys: readonly (readonly [name: string, key: string])[];
}
export interface SavedBundles {
  readonly past: readonly PastBundle[];
  readonly draft?: BundleDraft | undefined;
  readonly lastPublishedAt?: number | undefined;
  readonly words: readonly BundleWord[];
}
export interface SavedTrust {
  readonly version: number;
  readonly authorities: readonly Authority[];
  readonly pinned?: readonly Authority[] | undefined;
  readonly rotation: Rotation | undefined;
  readonly former: readonly FormerAuthority[];
  readonly certificates: readonly IssuedCertificate[];
  readonly pastRotations: readonly PastRotation[];
  readonly sightings: readonly CertificateSighting[];
}

const rotationFields: ChecksOf<Rotation> = {
  id: uuid,
  from: hash,
  to: hash,
  startedAt: time,
  windowMs,
  automatic: flag,
  by: who,
  emergency: optional(flag),
};
const savedAuthorities = list(
  fields<Authority>({
    fingerprint: hash,
    certificatePem: pem,
    primary: flag,
    trustedFrom: time,
    trustedUntil: optional(time),
    crlPem: optional(crlPem),
  }),
  authoritiesMax,
);
const savedTrust = fields<SavedTrust>({
  version: count,
  authorities: savedAuthorities,
  pinned: optional(savedAuthorities),
  rotation: optional(fields<Rotation>(rotationFields)),
  former: list(
    fields<FormerAuthority>({ fingerprint: hash, certificatePem: pem, trustedFrom: time, until: time }),
    formerAuthoritiesMax,
  ),
  certificates: list(issuedCertificate, certificatesMax),
  pastRotations: list(
    fields<PastRotation>({
      ...rotationFields,
      endedAt: time,
      outcome: oneOf("DONE", "CANCELED", "EMERGENCY"),
    }),
  ),
  sightings: list(sighting, 1000),
});

const savedCluster = fields<SavedCluster>({
  clusterUuid: text(36),
  clusterName: text(300),
  home: text(36),
  members: list(
    fields<Member>({
      ...newMember,
      former: optional(
        fields<NonNullable<Member["former"]>>({
          certFingerprint: hash,
          publicKey,
          certificate: optional(certificateFacts),
        }),
      ),
      isTakenBack: optional(flag),
      raftId: whole(1, Number.MAX_SAFE_INTEGER),
      state: oneOf(...memberStates),
      joinedAt: time,
      addedBy: who,
      stateChangedAt: time,
      stateChangedBy: who,
      stateReason: anyText,
      boot,
    }),
  ),
  settings: list(tuple(text(200), text(1000))),
  policies: list(tuple(oneOf(...partNames), content)),
  trust: savedTrust,
  bundles: optional(savedBundles),
  tokens: list(token),
  nextRaftId: whole(1, Number.MAX_SAFE_INTEGER),
  epochs: list(
    fields<SavedCluster["epochs"][number]>({
      hash,
      state: oneOf(...epochStates),
      effectiveAt: optional(time),
      by: who,
      epoch: content,
    }),
  ),
  refused: list(
    fields<EpochRefused>({ number: count, hash, condition: anyText, message: anyText, at: time }),
  ),
  attestations: list(attestation),
  ready: list(tuple(uuid, count)),
  administrators: list(fields<SavedAdministrator>({ uuid, name: who, keys: list(publicKey), maySign: flag })),
  nodeKeys: list(tuple(text(101), publicKey)),
});

interface SavedControl {
  readonly catalog: unknown;
  readonly cluster: unknown;
  readonly streams: unknown;
  /** Absent in snapshots of versions that had no audit chain. */
  readonly audit: unknown;
}
const savedControl = fields<SavedControl>({
  catalog: atLeast({
    version: count,
    nextId: id,
    entries: list(atLeast({ object: catalogObject, version: count })),
    outcomes: list(tuple(anyText, flag)),
  }),
  cluster: savedCluster,
  streams: list(tuple(count, count, count, list(count, 100_000))),
  audit: optional(
    list(fields<SavedAudit>({ node: uuid, checkpoints: list(auditCheckpoint), head: optional(auditHead) })),
  ),
});

// --- answers -----------------------------------------------------------------------------------------------------

function asError(problem: Problem | undefined, condition: Condition): ErrorRecord | undefined {
  if (problem === undefined) return undefined;
  return problem.newer === true
    ? {
        condition: "featureNotSupported",
        message: problem.text,
        detail: "NEWER_VERSION: this version does not know it.",
      }
    : { condition, message: problem.text, detail: "MALFORMED: nothing was changed." };
}

/** Undefined: the value is a command that this version knows. Of epochs each entry has its own check. */
export function commandProblem(value: unknown): ErrorRecord | undefined {
  return asError(command(value, "the command"), "invalidParameterValue");
}
export function epochEntryProblem(value: unknown): ErrorRecord | undefined {
  return asError(epochEntry(value, "the entry"), "invalidParameterValue");
}
/** Of a change as a leader is asked for it. */
export function changeProblem(value: unknown): ErrorRecord | undefined {
  return asError(asked(value, "the request"), "invalidParameterValue");
}
export function isAuditHead(value: unknown): value is AuditHead {
  return auditHead(value, "") === undefined;
}
export function isOrigin(value: unknown): value is EpochEntry["origin"] {
  return origin(value, "") === undefined;
}
export function snapshotProblem(value: unknown): ErrorRecord | undefined {
  return asError(savedControl(value, "the snapshot"), "dataCorrupted");
}
