/**
 * Members, settings and configuration epochs as the log has made them: one state on every node, changed by `apply` alone.
 *
 * A change is carried by an epoch, which the leader builds with `draftEpoch` over the state it has, and signs. Every node
 * builds the same parts from the same change and holds their hashes against the epoch's: what an epoch says and what it
 * does cannot differ. A rival that lost the race for a number is refused when it is applied, and the refusal is kept (CCE-22).
 *
 * Invariants: `apply` reads no clock and draws nothing, times come with the entry (CCE-23); a command is applied whole or
 * refused whole, and no command whose form was checked (`commands.ts`) makes it throw; a uuid, a public key and a Raft id are
 * never given twice; epochs and removed members are never forgotten; `save` of equal states is equal, restored or not.
 */
import { MalformedBytes } from "../base/bytes.js";
import { assert, DbError } from "../base/errors.js";
import { sharedByObject, sharedByText } from "../base/shared.js";
import type { MemberId } from "../raft/index.js";
import {
  type CaTrust,
  type CertificateSighting,
  certificateKey,
  certificatesOf,
  clientCertificatesMax,
  cutOver,
  type FormerAuthority,
  gateProblem,
  genesisTrust,
  type IssuedCertificate,
  issuerOf,
  leftBehind,
  listOf,
  type PastRotation,
  type Pki,
  primaryOf,
  recertified,
  registered,
  rotationProgress,
  sightingDigest,
  trustText,
  withEmergency,
  withList,
  withLongerOverlap,
  withOverlap,
  withoutOverlap,
} from "./certificates.js";
import { changeProblem, epochEntryProblem, type SavedAdministrator, type SavedCluster } from "./commands.js";
import type {
  Authority,
  BundleDraft,
  BundleRules,
  BundleSource,
  BundleStamp,
  BundleWord,
  ClusterChange,
  ClusterCommand,
  ClusterView,
  EpochEntry,
  EpochRecord,
  EpochRefused,
  ErrorRecord,
  Genesis,
  JoinToken,
  NewMember,
  NoteAdministrator,
  NoteBoot,
  NoteBundleDraft,
  NoteCertificate,
  NoteSighting,
  NoteToken,
  PastBundle,
  RevocationList,
  Rotation,
  RotationProgress,
  SecurityBundle,
  SignedBundle,
  Signer,
} from "./contract.js";
import {
  type AdministratorSignature,
  type Attestation,
  attestationDigest,
  chainDigest,
  chainHash,
  convergence,
  decodeEpoch,
  type Epoch,
  type EpochContent,
  epochText,
  type Hash,
  hashOf,
  needsAttestation,
  type PartType,
  partNames,
  refusalOf,
  signDigest,
  versionText,
  zeroHash,
} from "./epochs.js";
import {
  hasRole,
  isCurrentBoot,
  isFollowing,
  isVoting,
  joinRefusal,
  type Member,
  type MemberState,
  mayBecome,
  quorumOf,
  roleBits,
} from "./membership.js";
import {
  checkedBundle,
  descriptionProblem,
  draftBytes,
  isProblem,
  noRules,
  readBundle,
  retained,
  rulesProblem,
  sameRules,
  systemCreator,
  withoutRule,
  withRule,
} from "./security-bundle.js";
import { clusterSettings, normalizeSetting, settingDef } from "./settings.js";

/** What changes replace, never alter: the leader builds on a state that is not applied yet. */
interface Core {
  readonly members: ReadonlyMap<string, Member>;
  readonly settings: ReadonlyMap<string, string>;
  readonly policies: ReadonlyMap<PartType, string>;
  readonly parts: { readonly [Type in PartType]?: Hash };
  readonly partSizes: { readonly [Type in PartType]?: number };
  /** Of `policies`: what it says, and which it is. */
  readonly bundle: BundleStamp;
  readonly bundleDraft: BundleDraft | undefined;
  readonly pastBundles: readonly PastBundle[];
  /** Of the last PUBLISH SECURITY BUNDLE. */
  readonly lastPublishedAt: number | undefined;
  readonly trust: CaTrust;
  readonly former: readonly FormerAuthority[];
  readonly certificates: ReadonlyMap<string, IssuedCertificate>;
  readonly pastRotations: readonly PastRotation[];
  readonly tokens: ReadonlyMap<string, JoinToken>;
  readonly nextRaftId: MemberId;
}

/** What a change is made on: the applied state, or what earlier changes of the same entry will have made of it. */
interface Base {
  readonly clusterUuid: string;
  readonly pki: Pki;
  /** Whether somebody has the key or ever had it. */
  isKeyKnown(publicKey: string): boolean;
  readonly sightings: ReadonlyMap<string, CertificateSighting>;
  readonly home: string;
  readonly core: Core;
  readonly latest: Epoch | undefined;
  readonly converging: boolean;
  /** Nodes that have not converged. */
  readonly missing: ReadonlyMap<string, string>;
  /** Nodes that are not enabled, and the epoch at which they have said that they could be. */
  readonly ready: ReadonlyMap<string, Epoch>;
}

/** A change that the leader is asked for. */
export interface Draft extends Pick<EpochEntry, "origin" | "change" | "by" | "audit"> {
  /** Of administrators, over its `signingDigest`. */
  readonly signed?: { readonly createdAt: number; readonly signatures: readonly AdministratorSignature[] };
}

export interface ClusterResult {
  readonly error?: ErrorRecord | undefined;
}

/** Refused epochs that are kept. */
const refusedMax = 1000;
const tokensMax = 1000;
const administratorsMax = 100;
/** Past keys of one administrator: old epochs are verified with them. */
const administratorKeysMax = 100;

const fail = (
  condition: ErrorRecord["condition"],
  message: string,
  detail?: string,
  hint?: string,
): ErrorRecord => ({ condition, message, ...(detail && { detail }), ...(hint && { hint }) });

export function errorOf({ condition, message, detail, hint }: ErrorRecord): DbError {
  return DbError.answer(condition, message, { detail, hint });
}
export function recordOf(error: DbError): ErrorRecord {
  const { detail, hint } = error.fields;
  return fail(error.condition, error.message, detail, hint);
}

/** With its text, of which snapshots are made: encoding all of them anew would hold the group up. */
interface KeptEpoch extends EpochRecord {
  readonly text: string;
}

const empty: Core = {
  members: new Map(),
  settings: new Map(),
  policies: new Map(),
  bundle: { version: 0, hash: zeroHash },
  bundleDraft: undefined,
  pastBundles: [],
  lastPublishedAt: undefined,
  trust: { version: 0, authorities: [], rotation: undefined },
  former: [],
  certificates: new Map(),
  pastRotations: [],
  parts: {},
  partSizes: {},
  tokens: new Map(),
  nextRaftId: 1,
};

export class ClusterState implements ClusterView {
  clusterUuid = "";
  clusterName = "";
  home = "";
  #core = empty;
  #epochs: KeptEpoch[] = [];
  #refused: EpochRefused[] = [];
  #attestations = new Map<string, Attestation>();
  /** Nodes that are not enabled and have said that they could be: the number of the epoch they had then. */
  #ready = new Map<string, number>();
  /** Whose certificates each node sees, of the rotation under way. */
  #sightings = new Map<string, CertificateSighting>();
  /** The newest bundle that each node has attested. */
  #bundleWords = new Map<string, BundleWord>();
  #administrators = new Map<string, SavedAdministrator>();
  /** Keys of members by uuid and certificate, past ones too (spec/01, R4). */
  #nodeKeys = new Map<string, Uint8Array>();
  /** Of which rotation the sightings are. */
  #sightedRotation: string | undefined;
  readonly #pki: Pki;
  /** Counts every applied change, so that readers know when to look again. */
  version = 0;

  constructor(pki: Pki) {
    this.#pki = pki;
  }

  get members(): ReadonlyMap<string, Member> {
    return this.#core.members;
  }
  get epochs(): readonly EpochRecord[] {
    return this.#epochs;
  }
  get refusedEpochs(): readonly EpochRefused[] {
    return this.#refused;
  }
  get attestations(): ReadonlyMap<string, Attestation> {
    return this.#attestations;
  }
  get settings(): ReadonlyMap<string, string> {
    return this.#core.settings;
  }
  get authorities(): ClusterView["authorities"] {
    return this.#core.trust.authorities;
  }
  get formerAuthorities(): readonly FormerAuthority[] {
    return this.#core.former;
  }
  get pinnedAuthorities(): readonly Authority[] {
    return this.#core.trust.pinned ?? nobodyPinned;
  }
  get certificates(): ReadonlyMap<string, IssuedCertificate> {
    return this.#core.certificates;
  }
  get rotation(): Rotation | undefined {
    return this.#core.trust.rotation;
  }
  get pastRotations(): readonly PastRotation[] {
    return this.#core.pastRotations;
  }
  get sightings(): ReadonlyMap<string, CertificateSighting> {
    return this.#sightings;
  }
  rotationProgress(): RotationProgress | undefined {
    const { rotation } = this;
    return rotation && rotationProgress(rotation, this.members.values(), this.#sightings);
  }
  revocations(fingerprint: Hash): RevocationList | undefined {
    const authority = issuerOf(this.#core.trust, fingerprint);
    return authority && listOf(authority, this.#pki);
  }
  isRevoked(issuer: Hash, serial: string): boolean {
    return this.revocations(issuer)?.revoked.has(serial) === true;
  }
  /** The certificates by which a member may be known: where its newest is revoked, no older one stands in for it. */
  pinnedOf(member: Member): ReturnType<typeof certificatesOf> {
    const { certificate } = member;
    return certificate !== undefined && this.isRevoked(certificate.issuer, certificate.serial)
      ? [member]
      : certificatesOf(member);
  }
  get bundle(): BundleStamp {
    return this.#core.bundle;
  }
  get signedBundle(): SignedBundle | undefined {
    return signedIn(this.#core.policies.get("securityBundle"));
  }
  get bundleDraft(): BundleDraft | undefined {
    return this.#core.bundleDraft;
  }
  get pastBundles(): readonly PastBundle[] {
    return this.#core.pastBundles;
  }
  get lastPublishedAt(): number | undefined {
    return this.#core.lastPublishedAt;
  }
  bundleRules(version: number): BundleRules | undefined {
    return rulesAt(this.#core, version);
  }
  get bundleWords(): ReadonlyMap<string, BundleWord> {
    return this.#bundleWords;
  }
  get tokens(): ReadonlyMap<string, JoinToken> {
    return this.#core.tokens;
  }
  /** Smaller ones were given to members. */
  get nextRaftId(): MemberId {
    return this.#core.nextRaftId;
  }
  get latest(): KeptEpoch | undefined {
    return this.#epochs.at(-1);
  }
  /** Raw Ed25519, of that certificate of the node's, past ones too (AUD-13); undefined: it never had it. */
  nodeKey(node: string, certFingerprint: Hash): Uint8Array | undefined {
    return this.#nodeKeys.get(`${node} ${certFingerprint}`);
  }
  /** All that the node had: fingerprint and key. */
  *nodeKeysOf(node: string): Iterable<readonly [certFingerprint: Hash, key: Uint8Array]> {
    for (const [name, key] of this.#nodeKeys)
      if (name.startsWith(`${node} `)) yield [name.slice(node.length + 1), key];
  }
  readyEpochOf(node: string): number | undefined {
    return this.#ready.get(node);
  }

  setting(key: string): string {
    const def = settingDef(key);
    assert(def !== undefined, `cluster setting ${key}`);
    return this.#core.settings.get(key) ?? def.default;
  }

  memberByName(nameOrUuid: string): Member | undefined {
    const exact = this.members.get(nameOrUuid.toLowerCase());
    if (exact !== undefined) return exact;
    let removed: Member | undefined;
    for (const member of this.members.values()) {
      if (member.name !== nameOrUuid) continue;
      if (member.state !== "REMOVED") return member;
      removed = member;
    }
    return removed;
  }
  memberByRaftId(id: MemberId): Member | undefined {
    for (const member of this.members.values()) if (member.raftId === id) return member;
    return undefined;
  }

  // --- building ----------------------------------------------------------------------------------------------------

  /** The first entry: one node, an empty security bundle, all shards on it (MEM-40). */
  static genesis(facts: Omit<Genesis, "type" | "epoch">, signer: Signer, pki: Pki): Genesis {
    const state = new ClusterState(pki);
    const core = state.#coreOfGenesis(facts);
    const content = contentOf(core, undefined, facts.clusterUuid, "genesis", facts.at);
    const epoch = sign(content, facts.member.uuid, signer);
    return { type: "genesis", ...facts, epoch: epochText(epoch) };
  }

  /**
   * Builds on this state the epochs of changes, one behind the other, as the leader `node`. A change that cannot be made
   * is answered with why; those behind it are built as if it were not there.
   */
  draftEpochs(
    drafts: readonly Draft[],
    node: string,
    signer: Signer,
    at: number,
  ): (EpochEntry | ErrorRecord)[] {
    let base = this.#base();
    assert(base.latest !== undefined, "there is a genesis");
    const made: (EpochEntry | ErrorRecord)[] = [];
    for (const { origin, change, by, signed, audit } of drafts) {
      const problem = changeProblem({ origin, change, by, audit }) ?? this.#leaderProblem(base, node);
      const next = problem ?? changed(base, change, by, at);
      if ("condition" in next) {
        made.push(next);
        continue;
      }
      const content = contentOf(next, base.latest, this.clusterUuid, describe(change), at, signed?.createdAt);
      const epoch = sign(content, node, signer, signed?.signatures);
      const refusal = this.#refusalOf(epoch, base, next, describe(change));
      if (refusal !== undefined) {
        made.push(refusal);
        continue;
      }
      made.push({ origin, change, by, epoch: epochText(epoch), ...(audit !== undefined && { audit }) });
      base = after(base, epoch, next, change);
    }
    return made;
  }

  /** A leader that has removed itself lets the next one do the rest. */
  #leaderProblem({ core }: Base, node: string): ErrorRecord | undefined {
    return core.members.get(node)?.state === "REMOVED"
      ? fail("cannotConnectNow", "the leading node was removed", "NO_LEADER: another one is about to lead.")
      : undefined;
  }

  /** What these administrators sign of a change before it is published (CCE-14). @throws DbError: it cannot be made */
  signingDigest(
    change: ClusterChange,
    by: string,
    createdAt: number,
    administrators: readonly string[],
  ): Uint8Array {
    const base = this.#base();
    const next = changed(base, change, by, createdAt);
    if ("condition" in next) throw errorOf(next);
    const content = contentOf(next, base.latest, this.clusterUuid, describe(change), createdAt);
    return signDigest({ ...content, administrators });
  }

  #base(): Base {
    const { latest } = this;
    const ready = new Map<string, Epoch>();
    for (const [node, number] of this.#ready) ready.set(node, this.#epochs[number - 1]!.epoch);
    return {
      clusterUuid: this.clusterUuid,
      pki: this.#pki,
      isKeyKnown: (publicKey) => this.#hadKey(publicKey),
      sightings: this.#sightings,
      home: this.home,
      core: this.#core,
      latest: latest?.epoch,
      converging: latest?.state === "CONVERGING",
      missing: this.missing(),
      ready,
    };
  }

  #hadKey(publicKey: string): boolean {
    const key = Buffer.from(publicKey, "base64");
    for (const known of this.#nodeKeys.values()) if (Buffer.compare(known, key) === 0) return true;
    return false;
  }

  #coreOfGenesis({ member, boot, authority, crl, bundle, at }: Omit<Genesis, "type" | "epoch">): Core {
    const first: Member = {
      ...memberOf(member, 1, at, "genesis"),
      state: "ENABLED",
      boot,
    };
    return withParts(
      {
        ...empty,
        members: new Map([[member.uuid, first]]),
        trust: genesisTrust(authority, crl, at),
        certificates: withNodeCertificate(new Map(), member, at, "genesis"),
        policies: new Map<PartType, string>([
          ["securityBundle", bundle ?? unsignedBundle],
          ["shardMap", base64(JSON.stringify({ home: member.uuid }))],
        ]),
        bundle: stampOf(bundle ?? unsignedBundle),
        nextRaftId: 2,
      },
      partNames,
    );
  }

  // --- applying ----------------------------------------------------------------------------------------------------

  /** Of a command whose form was checked. Epochs are applied one by one with `applyEpoch`, whose origin the caller knows. */
  apply(command: Exclude<ClusterCommand, { type: "epochs" | "auditCheckpoint" }>): ClusterResult {
    const error = this.#apply(command);
    if (error === undefined) this.version++;
    return { error };
  }

  #apply(command: Exclude<ClusterCommand, { type: "epochs" | "auditCheckpoint" }>): ErrorRecord | undefined {
    if (command.type !== "genesis" && this.latest === undefined) return noCluster;
    switch (command.type) {
      case "genesis":
        return this.#applyGenesis(command);
      case "attest":
        return this.#attest(command.attestation);
      case "effective":
        return this.#makeEffective(command.epoch, command.at);
      case "boot":
        return this.#noteBoot(command);
      case "token":
        return this.#noteToken(command);
      case "administrator":
        return this.#noteAdministrator(command);
      case "certificate":
        return this.#noteCertificate(command);
      case "sighting":
        return this.#noteSighting(command);
      case "bundleDraft":
        return this.#noteDraft(command);
    }
  }

  #noteDraft({ action, by, at }: NoteBundleDraft): ErrorRecord | undefined {
    const core = this.#core;
    const { bundleDraft: open, bundle } = core;
    const keep = (draft: BundleDraft | undefined): undefined => {
      this.#core = { ...core, bundleDraft: draft };
    };
    if (action.kind === "open") {
      if (open !== undefined)
        return fail(
          "objectInUse",
          "a draft of a security bundle is open already",
          `BUNDLE_DRAFT_OPEN: it is of ${open.by}.`,
          "Publish it, or give it up: DROP SECURITY BUNDLE DRAFT.",
        );
      const { draft: id, version, description, from } = action;
      if (version !== undefined && version <= bundle.version)
        return versionConflict(
          `a security bundle of version ${version} would not follow version ${bundle.version}`,
        );
      const problem = descriptionProblem(description);
      if (problem !== undefined) return fail("invalidParameterValue", problem);
      const rules = rulesAt(core, from);
      if (rules === undefined) return noSuchBundle(core, from);
      return keep({ id, version, description, from, openedAt: at, by, rules });
    }
    if (open?.id !== action.draft)
      return fail(
        "objectNotInPrerequisiteState",
        "the draft of the security bundle is open no more",
        "BUNDLE_NO_DRAFT: it was published or given up.",
        "CREATE SECURITY BUNDLE opens one.",
      );
    if (action.kind === "abandon") return keep(undefined);
    const rules =
      action.kind === "drop"
        ? withoutRule(open.rules, action.set, action.id)
        : withRule(open.rules, action.rule.set, action.rule.rule);
    const problem = rulesProblem(rules);
    if (problem !== undefined)
      return fail("invalidParameterValue", problem, "BUNDLE_INVALID: the draft is as it was.");
    // Every node keeps it, and writes it into each snapshot.
    const bytesMax = readSetting(core, "security_bundle.bytes_max");
    if (action.kind === "put" && draftBytes(rules) > bytesMax)
      return fail(
        "programLimitExceeded",
        "the draft of the security bundle would be too large",
        `BUNDLE_TOO_LARGE: it is ${draftBytes(rules)} bytes, ${bytesMax} are allowed.`,
      );
    return keep({ ...open, rules });
  }

  #noteCertificate({ certificate }: NoteCertificate): ErrorRecord | undefined {
    const { trust, certificates } = this.#core;
    if (certificate.kind === "node")
      return fail("invalidParameterValue", "a node's certificate is noted with the node");
    if (!trust.authorities.some((one) => one.fingerprint === certificate.issuer))
      return fail("undefinedObject", `certificate authority ${certificate.issuer} is not trusted`);
    if (certificates.has(certificateKey(certificate)))
      return fail("duplicateObject", `a certificate with the serial number ${certificate.serial} exists`);
    const next = registered(certificates, certificate, this.latest?.epoch.publishedAt ?? 0);
    if (next.size > clientCertificatesMax)
      return fail("configurationLimitExceeded", "too many certificates are valid");
    this.#core = { ...this.#core, certificates: next };
    return undefined;
  }

  #noteSighting({ sighting }: NoteSighting): ErrorRecord | undefined {
    const { rotation } = this;
    if (rotation === undefined || rotation.id !== sighting.rotation)
      return fail("objectNotInPrerequisiteState", `rotation ${sighting.rotation} is not under way`);
    const member = this.members.get(sighting.node);
    if (member === undefined || member.state === "REMOVED")
      return fail("undefinedObject", `node ${sighting.node} is no member`);
    const key = Buffer.from(member.publicKey, "base64");
    if (!this.#pki.verify(key, sightingDigest(sighting), sighting.signature))
      return fail(
        "invalidAuthorizationSpecification",
        `what node ${member.name} says of certificates is not signed with its key`,
        "SIGNATURE_INVALID: it does not count.",
      );
    this.#sightings.set(sighting.node, sighting);
    return undefined;
  }

  #noteBoot({ node, boot, version }: NoteBoot): ErrorRecord | undefined {
    const member = this.members.get(node);
    if (member === undefined || member.state === "REMOVED")
      return fail("undefinedObject", `node ${node} is no member`);
    if (!isCurrentBoot(member.boot, boot))
      return fail(
        "objectNotInPrerequisiteState",
        `node ${member.name} was started from an older data folder`,
        `STALE_NODE: start ${boot.count} is shown, and start ${member.boot.count} was seen.`,
      );
    // It would keep all others from publishing anything that asks for more than it has (CCE-8).
    const needed = this.latest!.epoch.minNodeVersion;
    if (version < needed) return tooOld(member.name, version, needed);
    this.#core = { ...this.#core, members: new Map(this.members).set(node, { ...member, boot, version }) };
    return undefined;
  }

  #noteToken({ token, at }: NoteToken): ErrorRecord | undefined {
    if (this.tokens.has(token.id)) return fail("duplicateObject", "the token exists");
    if (token.expiresAt <= at) return fail("invalidParameterValue", "the token has expired already");
    const tokens = new Map<string, JoinToken>();
    for (const [id, one] of this.tokens) if (one.expiresAt > at) tokens.set(id, one);
    if (tokens.size >= tokensMax) return fail("configurationLimitExceeded", "too many join tokens are open");
    this.#core = { ...this.#core, tokens: tokens.set(token.id, token) };
    return undefined;
  }

  #noteAdministrator({ uuid, name, publicKey }: NoteAdministrator): ErrorRecord | undefined {
    const known = this.#administrators.get(uuid);
    if (publicKey === undefined) {
      if (known === undefined) return fail("undefinedObject", `administrator ${uuid} does not exist`);
      // Without any, policies are published unsigned: that is for the time before the first.
      if (![...this.#administrators.values()].some((one) => one.maySign && one.uuid !== uuid))
        return fail("objectNotInPrerequisiteState", `administrator ${known.name} is the last who may sign`);
      this.#administrators.set(uuid, { ...known, name, maySign: false });
      return undefined;
    }
    // Two names for one key would count as two signers (CCE-15).
    for (const other of this.#administrators.values())
      if (other.uuid !== uuid && other.keys.includes(publicKey))
        return fail("duplicateObject", `the key is or was of administrator ${other.name}`);
    const keys = [...(known?.keys ?? []).filter((key) => key !== publicKey), publicKey];
    if (keys.length > administratorKeysMax || this.#administrators.size + (known ? 0 : 1) > administratorsMax)
      return fail("configurationLimitExceeded", "too many administrators, or keys of one");
    this.#administrators.set(uuid, { uuid, name, keys, maySign: true });
    return undefined;
  }

  #applyGenesis(command: Genesis): ErrorRecord | undefined {
    if (this.#epochs.length > 0) return fail("objectNotInPrerequisiteState", "the cluster exists");
    const epoch = decoded(command.epoch);
    if ("condition" in epoch) return epoch;
    const core = this.#coreOfGenesis(command);
    const unsound = command.bundle === undefined ? undefined : firstBundleProblem(command, core, this.#pki);
    if (unsound !== undefined) return unsound;
    this.clusterUuid = command.clusterUuid;
    this.#pin(command.member);
    const refusal = this.#refusalOf(epoch, this.#base(), core, "genesis");
    if (refusal !== undefined) {
      this.clusterUuid = "";
      this.#nodeKeys.clear();
      return refusal;
    }
    this.clusterName = command.clusterName;
    this.home = command.member.uuid;
    this.#core = core;
    // One node converges on its own word.
    const { publishedAt } = epoch;
    const { uuid: node } = command.member;
    this.#bundleWords.set(node, { node, ...core.bundle, appliedAt: publishedAt });
    const facts = { state: "EFFECTIVE", effectiveAt: publishedAt, by: "genesis" } as const;
    this.#epochs = [{ epoch, text: command.epoch, hash: chainHash(epoch), ...facts }];
    return undefined;
  }

  /** Of whatever claims to be an entry: its form is checked here. */
  applyEpoch(entry: EpochEntry): ClusterResult {
    if (this.latest === undefined) return { error: noCluster };
    const problem = entryProblem(entry);
    if (problem !== undefined) return this.#refuse(problem);
    const epoch = epochOf(entry);
    if ("condition" in epoch) return this.#refuse(epoch);
    // What cannot be done any more is the change's own answer; a number that was taken or a broken chain is the epoch's.
    const base = this.#base();
    const next = changed(base, entry.change, entry.by, epoch.publishedAt);
    if ("condition" in next) return this.#refuse(next, epoch);
    const refusal = this.#refusalOf(epoch, base, next, describe(entry.change));
    if (refusal !== undefined) return this.#refuse(refusal, epoch);
    this.#publish(entry, after(base, epoch, next, entry.change));
    this.version++;
    return {};
  }

  /** An epoch that cannot even be read has the number 0, and the time of the one before it. */
  #refuse(error: ErrorRecord, epoch?: Epoch): ClusterResult {
    const refused = {
      number: epoch?.number ?? 0,
      hash: epoch === undefined ? zeroHash : chainHash(epoch),
      condition: /^([A-Z][A-Z_]+): /.exec(error.detail ?? "")?.[1] ?? error.condition,
      message: error.message,
      at: (epoch ?? this.latest!.epoch).publishedAt,
    };
    this.#refused = [...this.#refused, refused].slice(-refusedMax);
    this.version++;
    return { error };
  }

  #publish({ change, by, epoch: text }: EpochEntry, { core, latest, converging, ready }: Base): void {
    const epoch = latest!;
    const before = this.latest!;
    this.#core = core;
    if (change.kind === "addMember") this.#pin(change.member);
    if (change.kind === "recertify") this.#pin(core.members.get(change.node)!);
    if (core.trust.rotation?.id !== this.#sightedRotation) this.#sightings = new Map();
    this.#sightedRotation = core.trust.rotation?.id;
    this.#ready = new Map([...ready].map(([node, one]) => [node, one.number]));
    this.#epochs[this.#epochs.length - 1] = { ...before, state: "SUPERSEDED" };
    this.#attestations = new Map();
    this.#epochs.push({
      epoch,
      text,
      hash: chainHash(epoch),
      state: converging ? "CONVERGING" : "EFFECTIVE",
      effectiveAt: converging ? undefined : epoch.publishedAt,
      by,
    });
  }

  /** What the leader checks before it proposes, and every node when it applies (CCE-21, CCE-22). */
  #refusalOf(epoch: Epoch, base: Base, next: Core, description: string): ErrorRecord | undefined {
    let oldest = Number.MAX_SAFE_INTEGER;
    for (const member of next.members.values())
      if (member.state === "ENABLED") oldest = Math.min(oldest, member.version);
    const authorizedSigners = [...this.#administrators.values()]
      .filter((one) => one.maySign)
      .map((one) => one.uuid);
    // Nobody can sign where nobody is known who may.
    const someMaySign = authorizedSigners.length > 0;
    const setting = (key: string): number => {
      const def = settingDef(key)!;
      return def.read(next.settings.get(key) ?? def.default);
    };
    const refusal = refusalOf(epoch, {
      clusterUuid: this.clusterUuid,
      latest: base.latest,
      partBytes: (type, hash) => (next.parts[type] === hash ? (next.partSizes[type] ?? 0) : undefined),
      bytesMax: setting("epoch.bytes_max"),
      oldestVersion: oldest,
      policy: {
        minSignatures: someMaySign ? setting("epoch.min_signatures") : 0,
        authorizedSigners,
        requireQuorum: someMaySign && setting("epoch.require_quorum") === 1,
      },
      administratorKey: (uuid) => {
        const key = this.#administrators.get(uuid)?.keys.at(-1);
        return key === undefined ? undefined : Buffer.from(key, "base64");
      },
      nodeKey: (uuid, fingerprint) =>
        maySign(base, uuid, fingerprint) ? this.#nodeKeys.get(`${uuid} ${fingerprint}`) : undefined,
      verify: this.#pki.verify,
    });
    if (refusal !== undefined) return epochError(refusal.condition, refusal.message);
    for (const type of partNames)
      if (epoch.parts[type] !== next.parts[type])
        return epochError("BUNDLE_UNAVAILABLE", `epoch ${epoch.number} names no ${type}`);
    if (epoch.description !== description || epoch.minNodeVersion !== minVersion(next))
      return epochError("CONTENT_MISMATCH", `epoch ${epoch.number} says another thing than it does`);
    return undefined;
  }

  #pin({
    uuid,
    certFingerprint,
    publicKey,
  }: Pick<NewMember, "uuid" | "certFingerprint" | "publicKey">): void {
    this.#nodeKeys.set(`${uuid} ${certFingerprint}`, Buffer.from(publicKey, "base64"));
  }

  #attest(attestation: Attestation): ErrorRecord | undefined {
    const member = this.members.get(attestation.node);
    const latest = this.latest;
    if (member === undefined || member.state === "REMOVED")
      return fail("undefinedObject", `node ${attestation.node} is no member`);
    if (latest === undefined || attestation.epoch !== latest.epoch.number)
      return fail("objectNotInPrerequisiteState", `epoch ${attestation.epoch} is not the newest`);
    if (member.version < latest.epoch.minNodeVersion)
      return tooOld(member.name, member.version, latest.epoch.minNodeVersion);
    const key = Buffer.from(member.publicKey, "base64");
    if (!this.#pki.verify(key, attestationDigest(attestation), attestation.signature))
      return fail(
        "invalidAuthorizationSpecification",
        `the attestation of node ${member.name} does not verify`,
        "SIGNATURE_INVALID: it does not count.",
      );
    const seen = new Set<string>();
    for (const { peer, certFingerprint, valid } of attestation.observations) {
      if (seen.has(peer))
        return fail("invalidParameterValue", `node ${member.name} has observed node ${peer} twice`);
      seen.add(peer);
      if (valid && this.members.get(peer)?.certFingerprint !== certFingerprint)
        return fail(
          "invalidParameterValue",
          `node ${member.name} has observed node ${peer} with another certificate`,
          "NOT_PINNED: it is not the one in the member's record.",
        );
    }
    this.#noteBundle(attestation);
    if (member.state === "ENABLED") this.#attestations.set(member.uuid, attestation);
    else this.#ready.set(member.uuid, attestation.epoch);
    return undefined;
  }

  /** It was the newest epoch: its bundle is the one in force. */
  #noteBundle({ node, activatedAt }: Attestation): void {
    const { version, hash } = this.bundle;
    if (this.#bundleWords.get(node)?.version === version) return;
    this.#bundleWords.set(node, { node, version, hash, appliedAt: activatedAt });
  }

  /** Nodes whose word the newest epoch still waits for. */
  missing(): ReadonlyMap<string, string> {
    const latest = this.latest;
    if (latest === undefined || latest.state !== "CONVERGING") return nobodyMissing;
    return convergence(latest.epoch.number, enabledOf(this.#core), this.#attestations).missing;
  }

  #makeEffective(number: number, at: number): ErrorRecord | undefined {
    const latest = this.latest;
    if (latest === undefined || latest.epoch.number !== number || latest.state !== "CONVERGING")
      return fail("objectNotInPrerequisiteState", `epoch ${number} is not converging`);
    if (this.missing().size > 0)
      return fail("objectNotInPrerequisiteState", `epoch ${number} is not attested by all nodes`);
    this.#epochs[this.#epochs.length - 1] = { ...latest, state: "EFFECTIVE", effectiveAt: at };
    return undefined;
  }

  /** Whether every epoch follows from the one before it and carries its signatures. Empty: all is well. */
  historyProblems(): string[] {
    return [...this.#problems()].map(([, message]) => message);
  }

  *#problems(): Iterable<readonly [condition: string, message: string]> {
    const administratorKeys = new Map<string, readonly Uint8Array[]>();
    for (const { uuid, keys } of this.#administrators.values())
      administratorKeys.set(
        uuid,
        keys.map((key) => Buffer.from(key, "base64")),
      );
    let previous = zeroHash;
    for (const [at, { epoch, hash, state }] of this.#epochs.entries()) {
      const { number, leader } = epoch;
      const digest = chainDigest(epoch);
      if (number !== at + 1 || epoch.previousHash !== previous)
        yield ["INVALID_HASH_CHAIN", `epoch ${at + 1} does not follow from the one before it`];
      previous = Buffer.from(digest).toString("hex");
      if (hash !== previous) yield ["INVALID_HASH_CHAIN", `epoch ${number} is not what its hash says`];
      if ((state === "SUPERSEDED") !== at + 1 < this.#epochs.length)
        yield ["INVALID_HASH_CHAIN", `epoch ${number} is ${state}, which it cannot be`];
      if (epoch.clusterUuid !== this.clusterUuid)
        yield ["CLUSTER_UUID_MISMATCH", `epoch ${number} is of another cluster`];
      const key = this.#nodeKeys.get(`${leader.node} ${leader.certFingerprint}`);
      if (key === undefined || !this.#pki.verify(key, digest, leader.signature))
        yield ["SIGNATURE_INVALID", `the signature of epoch ${number} does not verify`];
      if (!this.#isSigned(epoch, administratorKeys))
        yield ["SIGNATURE_INVALID", `a signature of an administrator of epoch ${number} does not verify`];
    }
    const latest = this.latest?.epoch;
    for (const type of latest === undefined ? [] : partNames)
      if (latest!.parts[type] !== this.#core.parts[type])
        yield ["BUNDLE_UNAVAILABLE", `${type} is not the one that epoch ${latest!.number} names`];
    yield* this.#bundleProblems();
  }

  /** Each bundle that is there is the one that its epoch has brought, and the current one is signed. */
  *#bundleProblems(): Iterable<readonly [condition: string, message: string]> {
    const { policies, pastBundles, trust, former, bundle } = this.#core;
    let before = 0;
    for (const { version, hash, content } of pastBundles) {
      if (version <= before || version >= bundle.version)
        yield ["BUNDLE_INVALID", `security bundle ${version} does not follow from the one before it`];
      before = version;
      if (content === undefined) continue;
      const brought = this.#epochs[version - 1]?.epoch.parts.securityBundle;
      if (hashOf(bundlePart(content)) !== brought || stampOf(content).hash !== hash)
        yield ["BUNDLE_HASH_MISMATCH", `security bundle ${version} is not the one that was published`];
    }
    const content = policies.get("securityBundle");
    if (this.#epochs.length === 0 || content === undefined || content === unsignedBundle) return;
    const known = [...trust.authorities, ...former];
    const signer = signedIn(content)?.authority;
    const signed = checkedBundle(content, {
      clusterUuid: this.clusterUuid,
      version: bundle.version,
      bytesMax: Number.MAX_SAFE_INTEGER,
      authority: known.find((one) => one.fingerprint === signer),
      verify: this.#pki.verifyAuthority,
    });
    if (isProblem(signed)) yield [signed.condition, signed.message];
  }

  #isSigned(epoch: Epoch, keys: ReadonlyMap<string, readonly Uint8Array[]>): boolean {
    const { administrators, signatures } = epoch;
    if (administrators.length !== signatures.length) return false;
    if (signatures.length === 0) return true;
    const digest = signDigest(epoch);
    return signatures.every(
      ({ administrator, signature }, at) =>
        administrator === administrators[at] &&
        // Which of its keys it had then is not written anywhere.
        keys.get(administrator)?.some((key) => this.#pki.verify(key, digest, signature)) === true,
    );
  }

  // --- snapshots ---------------------------------------------------------------------------------------------------

  save(): unknown {
    const { members, settings, policies, trust, former, certificates, pastRotations, tokens, nextRaftId } =
      this.#core;
    const { pastBundles, bundleDraft, lastPublishedAt } = this.#core;
    // Field by field: the same bytes, whether the state was restored or not.
    const saved: SavedCluster = {
      clusterUuid: this.clusterUuid,
      clusterName: this.clusterName,
      home: this.home,
      members: [...members.values()].map(({ certificate, former, ...rest }) => ({
        ...rest,
        certificate,
        former,
      })),
      settings: [...settings],
      policies: [...policies],
      trust: {
        version: trust.version,
        authorities: trust.authorities.map((one) => ({
          fingerprint: one.fingerprint,
          certificatePem: one.certificatePem,
          primary: one.primary,
          trustedFrom: one.trustedFrom,
          trustedUntil: one.trustedUntil,
          crlPem: one.crlPem,
        })),
        rotation: trust.rotation,
        ...(trust.pinned && {
          pinned: trust.pinned.map((one) => ({
            fingerprint: one.fingerprint,
            certificatePem: one.certificatePem,
            primary: one.primary,
            trustedFrom: one.trustedFrom,
            trustedUntil: one.trustedUntil,
            crlPem: one.crlPem,
          })),
        }),
        former,
        certificates: [...certificates.values()],
        pastRotations,
        sightings: [...this.#sightings.values()],
      },
      bundles: {
        past: pastBundles.map(
          ({ version, hash, createdAt, creator, description, supersededAt, content }) => ({
            version,
            hash,
            createdAt,
            creator,
            description,
            supersededAt,
            content,
          }),
        ),
        draft: bundleDraft,
        lastPublishedAt,
        words: [...this.#bundleWords.values()],
      },
      tokens: [...tokens.values()],
      nextRaftId,
      epochs: this.#epochs.map(({ text, hash, state, effectiveAt, by }) => ({
        hash,
        state,
        effectiveAt,
        by,
        epoch: text,
      })),
      refused: this.#refused,
      attestations: [...this.#attestations.values()],
      ready: [...this.#ready],
      administrators: [...this.#administrators.values()],
      nodeKeys: [...this.#nodeKeys].map(([name, key]) => [name, Buffer.from(key).toString("base64")]),
    };
    return saved;
  }

  /** Of what `snapshotProblem` has passed. @throws DbError dataCorrupted (XX001), and the state is as it was */
  restore(saved: unknown): void {
    const next = new ClusterState(this.#pki);
    next.#load(saved as SavedCluster);
    for (const [condition, message] of next.#problems())
      throw corrupted(message, `${condition}: a snapshot of the control plane was tampered with.`);
    this.clusterUuid = next.clusterUuid;
    this.clusterName = next.clusterName;
    this.home = next.home;
    this.#core = next.#core;
    this.#epochs = next.#epochs;
    this.#refused = next.#refused;
    this.#attestations = next.#attestations;
    this.#ready = next.#ready;
    this.#bundleWords = next.#bundleWords;
    this.#sightings = next.#sightings;
    this.#sightedRotation = next.#sightedRotation;
    this.#administrators = next.#administrators;
    this.#nodeKeys = next.#nodeKeys;
    this.version++;
  }

  #load(state: SavedCluster): void {
    this.clusterUuid = state.clusterUuid;
    this.clusterName = state.clusterName;
    this.home = state.home;
    this.#core = withParts(
      {
        ...empty,
        members: new Map(state.members.map((one) => [one.uuid, one])),
        settings: new Map(state.settings),
        policies: new Map(state.policies as readonly (readonly [PartType, string])[]),
        bundle: stampOf(state.policies.find(([part]) => part === "securityBundle")?.[1] ?? unsignedBundle),
        bundleDraft: state.bundles?.draft,
        pastBundles: state.bundles?.past ?? [],
        lastPublishedAt: state.bundles?.lastPublishedAt,
        trust: {
          version: state.trust.version,
          authorities: state.trust.authorities,
          rotation: state.trust.rotation,
          ...(state.trust.pinned && { pinned: state.trust.pinned }),
        },
        former: state.trust.former,
        certificates: new Map(state.trust.certificates.map((one) => [certificateKey(one), one])),
        pastRotations: state.trust.pastRotations,
        tokens: new Map(state.tokens.map((one) => [one.id, one])),
        nextRaftId: state.nextRaftId,
      },
      partNames,
    );
    this.#epochs = state.epochs.map(({ epoch: text, hash, state, effectiveAt, by }) => {
      const epoch = decoded(text);
      if ("condition" in epoch) throw corrupted(epoch.message, epoch.detail);
      return { epoch, text, hash, state, effectiveAt, by };
    });
    this.#refused = [...state.refused];
    this.#attestations = new Map(state.attestations.map((one) => [one.node, one]));
    this.#ready = new Map(state.ready);
    for (const one of state.administrators) this.#administrators.set(one.uuid, one);
    for (const [name, key] of state.nodeKeys) this.#nodeKeys.set(name, Buffer.from(key, "base64"));
    for (const [node, epoch] of this.#ready)
      if (epoch < 1 || epoch > this.#epochs.length)
        throw corrupted(`node ${node} was ready at epoch ${epoch}`);
    this.#bundleWords = new Map(state.bundles?.words.map((one) => [one.node, one]) ?? []);
    this.#sightings = new Map(state.trust.sightings.map((one) => [one.node, one]));
    this.#sightedRotation = state.trust.rotation?.id;
    if (state.epochs.length > 0 && state.trust.authorities.filter((one) => one.primary).length !== 1)
      throw corrupted("the CA policy does not name one CA that issues");
    for (const one of [...state.trust.authorities, ...(state.trust.pinned ?? [])])
      if (one.crlPem !== undefined && listOf(one, this.#pki) === undefined)
        throw corrupted(`the revocation list of CA ${one.fingerprint} cannot be read`);
  }
}

const nobodyPinned: readonly Authority[] = [];
const nobodyMissing: ReadonlyMap<string, string> = new Map();
const noCluster = fail("objectNotInPrerequisiteState", "the cluster has not been founded yet");

function corrupted(message: string, detail?: string): DbError {
  return new DbError("dataCorrupted", message, { detail });
}

function tooOld(name: string, version: number, needed: number): ErrorRecord {
  return fail(
    "objectNotInPrerequisiteState",
    `node ${name} is of version ${versionText(version)}, and ${versionText(needed)} is needed`,
    "INCOMPATIBLE_VERSION: see cluster.min_node_version.",
    "Upgrade the node first.",
  );
}

function epochError(condition: string, message: string): ErrorRecord {
  return fail("objectNotInPrerequisiteState", message, `${condition}: the epoch was refused.`);
}

const decoded = sharedByText((base64Text): Epoch | ErrorRecord => {
  try {
    return decodeEpoch(Buffer.from(base64Text, "base64"));
  } catch (error) {
    if (!(error instanceof MalformedBytes)) throw error;
    return epochError("MALFORMED", `an epoch cannot be read: ${error.message}`);
  }
});
const entryProblem = sharedByObject(epochEntryProblem);
const epochOf = sharedByObject((entry: EpochEntry) => decoded(entry.epoch));

function sign(
  content: EpochContent,
  node: string,
  signer: Signer,
  signatures: Epoch["signatures"] = [],
): Epoch {
  const full = { ...content, administrators: signatures.map((one) => one.administrator) };
  const signature = signer.sign(chainDigest(full));
  return { ...full, signatures, leader: { node, certFingerprint: signer.certFingerprint, signature } };
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** Whose signature on an epoch counts: not that of a removed node (MEM-27), nor one by a key that was taken back. */
function maySign({ core, pki }: Base, uuid: string, fingerprint: Hash): boolean {
  const member = core.members.get(uuid);
  if (member === undefined) return true; // nobody has its key
  if (member.state === "REMOVED") return false;
  const isTakenBack = ({ certificate }: Pick<Member, "certificate">): boolean => {
    const issuer = issuerOf(core.trust, certificate?.issuer);
    return issuer !== undefined && listOf(issuer, pki)?.revoked.has(certificate!.serial) === true;
  };
  const known = certificatesOf(member).find((one) => one.certFingerprint === fingerprint);
  return known !== undefined && !isTakenBack(known) && !isTakenBack(member);
}

// --- changes ---------------------------------------------------------------------------------------------------------

function contentOf(
  core: Core,
  latest: Epoch | undefined,
  clusterUuid: string,
  description: string,
  publishedAt: number,
  createdAt = publishedAt,
): EpochContent {
  return {
    number: (latest?.number ?? 0) + 1,
    clusterUuid,
    previousHash: latest === undefined ? zeroHash : chainHash(latest),
    parts: core.parts,
    createdAt,
    publishedAt,
    administrators: [],
    description,
    minNodeVersion: minVersion(core),
  };
}

function enabledOf(core: Core): string[] {
  return [...core.members.values()].filter((one) => one.state === "ENABLED").map((one) => one.uuid);
}

/** What there is once the epoch is published. */
function after(base: Base, epoch: Epoch, core: Core, change: ClusterChange): Base {
  // An epoch that nobody need attest does not wait for one before it that is converging: it takes its place (CCE-19).
  const converging =
    needsAttestation(epoch, base.latest, false) || (base.converging && change.kind !== "forceCutover");
  const ready = new Map(base.ready);
  for (const { uuid, state } of core.members === base.core.members ? [] : core.members.values()) {
    const before = base.core.members.get(uuid)?.state;
    if (state === before) continue;
    // Its word was for one way back. Who is put aside knows what was in force until then.
    ready.delete(uuid);
    if (before === "ENABLED" && state === "DISABLED" && !base.missing.has(uuid))
      ready.set(uuid, base.latest!);
  }
  return {
    ...base,
    core,
    latest: epoch,
    converging,
    missing: converging
      ? new Map(enabledOf(core).map((uuid) => [uuid, "has not activated it"]))
      : nobodyMissing,
    ready,
  };
}

function describe(change: ClusterChange): string {
  const text = descriptionOf(change);
  // What is no text in UTF-8 is written as U+FFFD, and read so.
  return /[\ud800-\udfff]/.test(text) ? Buffer.from(text).toString() : text;
}
function descriptionOf(change: ClusterChange): string {
  switch (change.kind) {
    case "set":
      return `set ${change.key} = ${change.value}`;
    case "reset":
      return `reset ${change.key}`;
    case "addMember":
      return `add node ${change.member.name} (${change.member.uuid})`;
    case "moveMember":
      return `node ${change.node} ${change.to}: ${change.reason}`;
    case "removeMember":
      return `remove node ${change.node}: ${change.reason}`;
    case "setRoles":
      return `roles of node ${change.node}`;
    case "setAddresses":
      return `addresses of node ${change.node}`;
    case "policy":
      return change.from.kind === "draft"
        ? `publish ${change.part}`
        : `publish ${change.part} of version ${change.from.version}`;
    case "recertify":
      return `certificate of node ${change.node}`;
    case "revoke":
      return change.serials.length === 0
        ? `revocation list of CA ${change.authority}`
        : `revoke ${change.serials.join(", ")} of CA ${change.authority}`;
    case "beginOverlap":
      return `begin overlap ${change.id}`;
    case "cutOver":
      return `cut over ${change.id}`;
    case "cancelOverlap":
      return `cancel overlap ${change.id}`;
    case "extendOverlap":
      return `extend overlap ${change.id}`;
    case "emergency":
      return `emergency ${change.id}: CA ${change.authority} is revoked`;
    case "forceCutover":
      return `force cutover to epoch ${change.epoch}`;
  }
}

function minVersion(core: Core): number {
  const def = clusterSettings["cluster.min_node_version"]!;
  return def.read(core.settings.get(def.name) ?? def.default);
}

function memberOf(member: NewMember, raftId: MemberId, at: number, by: string): Member {
  return {
    ...member,
    raftId,
    state: "JOINING",
    joinedAt: at,
    addedBy: by,
    stateChangedAt: at,
    stateChangedBy: by,
    stateReason: "joined",
    boot: { count: 0, nonce: "" },
  };
}

/** What a change makes of the members, settings and policies; or why it cannot be made. */
function changed(base: Base, change: ClusterChange, by: string, at: number): Core | ErrorRecord {
  const { core } = base;
  switch (change.kind) {
    case "set":
    case "reset":
      return withSetting(core, change.key, change.kind === "set" ? change.value : undefined);
    case "addMember":
      return withNewMember(core, change, by, at);
    case "moveMember": {
      const member = present(core, change.node);
      return "condition" in member ? member : withMove(base, member, change.to, change.reason, by, at);
    }
    case "removeMember": {
      const member = present(core, change.node);
      if ("condition" in member) return member;
      if (member.uuid === base.home)
        return onlyCopy(member, "removing it would lose them", "Shards cannot be moved yet; keep the node.");
      return withState(core, member, "REMOVED", change.reason, by, at);
    }
    case "setRoles": {
      const member = present(core, change.node);
      if ("condition" in member) return member;
      const { roles } = change;
      if (member.uuid === base.home && hasRole(member, "SHARD_OWNER") && !hasRole({ roles }, "SHARD_OWNER"))
        return onlyCopy(member, "it has to own them");
      const next = replaced(core, { ...member, roles });
      return votersLeft(next) ?? withParts(next, ["capabilityMatrix"]);
    }
    case "setAddresses": {
      const member = present(core, change.node);
      if ("condition" in member) return member;
      return withParts(replaced(core, { ...member, addresses: change.addresses }), ["capabilityMatrix"]);
    }
    case "policy":
      return withPolicy(base, change, at);
    case "recertify":
      return withCertificate(base, change, by, at);
    case "revoke": {
      const { trust, certificates } = core;
      const next = withList(trust, base.pki, change.authority, change.crlPem, certificates, at);
      return "condition" in next ? next : withTrust(core, next);
    }
    case "beginOverlap": {
      const { trust, former } = core;
      const next = withOverlap(trust, former, base.pki, change, { ...change, by }, at);
      return "condition" in next ? next : withTrust(core, next);
    }
    case "cutOver":
      return withNewCa(base, change, by, at);
    case "cancelOverlap":
      return withoutNewCa(core, change.id, at);
    case "extendOverlap": {
      const rotation = runningRotation(core, change.id);
      if ("condition" in rotation) return rotation;
      const next = withLongerOverlap(core.trust, rotation, change.until, at);
      return "condition" in next ? next : withTrust(core, next);
    }
    case "emergency":
      return withEmergencyCa(base, change, by, at);
    case "forceCutover":
      return withCutover(base, change, by, at);
  }
}

/** REMOVED is final (MEM-17). */
function present(core: Core, node: string): Member | ErrorRecord {
  const member = core.members.get(node);
  if (member === undefined) return fail("undefinedObject", `node ${node} does not exist`);
  return member.state === "REMOVED"
    ? fail("objectNotInPrerequisiteState", `node ${member.name} is REMOVED`)
    : member;
}

function onlyCopy(member: Member, why: string, hint?: string): ErrorRecord {
  return fail(
    "objectNotInPrerequisiteState",
    `node ${member.name} holds the only copy of shards`,
    `ONLY_COPY: ${why}.`,
    hint,
  );
}

/** Only what administrators sign for; where shards lie and what settings say has changes of its own. */
function withPolicy(
  base: Base,
  { part, content, from }: ClusterChange & { kind: "policy" },
  at: number,
): Core | ErrorRecord {
  if (part !== "securityBundle") return fail("featureNotSupported", `publishing a ${part} is not supported`);
  const { core, clusterUuid, pki, latest } = base;
  const signed = checkedBundle(content, {
    clusterUuid,
    version: (latest?.number ?? 0) + 1,
    bytesMax: readSetting(core, "security_bundle.bytes_max"),
    authority: primaryOf(core.trust),
    verify: pki.verifyAuthority,
  });
  if (isProblem(signed)) {
    const { condition, message } = signed;
    return fail("objectNotInPrerequisiteState", message, `${condition}: nothing was published.`);
  }
  const { bundle, version, hash } = signed;
  const unfounded = sourceProblem(core, from, bundle);
  if (unfounded !== undefined) return unfounded;
  const isPublish = from.kind === "draft";
  const wait = isPublish ? publishWaitMs(core, at) : 0;
  if (wait > 0)
    return fail(
      "objectNotInPrerequisiteState",
      "security bundles are published too fast",
      `BUNDLE_RATE_LIMIT: the next one can be published in ${Math.ceil(wait / 1000)} s.`,
      "See security_bundle.publish_interval.",
    );
  return withParts(
    {
      ...core,
      policies: new Map(core.policies).set(part, content),
      bundle: { version, hash },
      bundleDraft: isPublish ? undefined : core.bundleDraft,
      pastBundles: retained([...core.pastBundles, superseded(core, at)], at),
      lastPublishedAt: isPublish ? at : core.lastPublishedAt,
    },
    [part],
  );
}

/** What is published is what was asked for, rule by rule. */
function sourceProblem(
  core: Core,
  from: BundleSource,
  { rules, description }: SecurityBundle,
): ErrorRecord | undefined {
  if (from.kind === "version") {
    const { version } = from;
    const wanted = version === core.bundle.version ? undefined : rulesAt(core, version);
    if (wanted === undefined) return noSuchBundle(core, version);
    return sameRules(rules, wanted) ? undefined : otherRules(`version ${version}`);
  }
  const { bundleDraft: draft } = core;
  if (draft?.id !== from.draft || draft.description !== description || !sameRules(rules, draft.rules))
    return otherRules("the draft as it is now");
  return undefined;
}
function otherRules(what: string): ErrorRecord {
  return fail(
    "objectNotInPrerequisiteState",
    `the security bundle does not hold the rules of ${what}`,
    "BUNDLE_DRAFT_CHANGED: nothing was published.",
  );
}
function noSuchBundle({ bundle }: Core, version: number): ErrorRecord {
  if (version === bundle.version)
    return fail("objectNotInPrerequisiteState", `security bundle ${version} is the current one`);
  return fail(
    "undefinedObject",
    `security bundle ${version} does not exist, or is not kept any more`,
    undefined,
    "sys.security_bundle_history lists them.",
  );
}
function versionConflict(message: string): ErrorRecord {
  return fail("objectNotInPrerequisiteState", message, "BUNDLE_VERSION_CONFLICT: nothing was changed.");
}

/** How long PUBLISH has to wait. A clock that has gone back since keeps nobody waiting. */
export function publishWaitMs(core: Pick<Core, "lastPublishedAt" | "settings">, at: number): number {
  const since = core.lastPublishedAt === undefined ? -1 : at - core.lastPublishedAt;
  return since < 0 ? 0 : Math.max(0, readSetting(core, "security_bundle.publish_interval") - since);
}
function readSetting({ settings }: Pick<Core, "settings">, key: string): number {
  const def = settingDef(key)!;
  return def.read(settings.get(key) ?? def.default);
}

/** Of clusters that were founded by a version without security bundles. */
const unsignedBundle = base64("{}");

function signedIn(content: string | undefined): SignedBundle | undefined {
  if (content === undefined || content === unsignedBundle) return undefined;
  const signed = readBundle(content);
  return isProblem(signed) ? undefined : signed;
}
function stampOf(content: string): BundleStamp {
  const signed = signedIn(content);
  return signed === undefined
    ? { version: 1, hash: hashOf(content) }
    : { version: signed.version, hash: signed.hash };
}
function rulesAt({ bundle, policies, pastBundles }: Core, version: number): BundleRules | undefined {
  const content =
    version === bundle.version
      ? policies.get("securityBundle")
      : pastBundles.find((one) => one.version === version)?.content;
  if (content === undefined) return undefined;
  return content === unsignedBundle ? noRules : signedIn(content)?.bundle.rules;
}
function superseded({ policies, bundle: { version, hash } }: Core, at: number): PastBundle {
  const content = policies.get("securityBundle");
  const known = signedIn(content)?.bundle;
  const { createdAt = 0, creator = systemCreator, description = "" } = known ?? {};
  return { version, hash, createdAt, creator, description, supersededAt: at, content };
}

function firstBundleProblem({ clusterUuid, bundle }: Genesis, core: Core, pki: Pki): ErrorRecord | undefined {
  const signed = checkedBundle(bundle!, {
    clusterUuid,
    version: 1,
    bytesMax: readSetting(core, "security_bundle.bytes_max"),
    authority: primaryOf(core.trust),
    verify: pki.verifyAuthority,
  });
  const problem = isProblem(signed)
    ? signed
    : sameRules(signed.bundle.rules, noRules)
      ? undefined
      : { condition: "BUNDLE_INVALID", message: "the first security bundle holds rules" };
  return (
    problem &&
    fail(
      "objectNotInPrerequisiteState",
      problem.message,
      `${problem.condition}: the cluster was not founded.`,
    )
  );
}

function withTrust(core: Core, trust: CaTrust): Core {
  return withParts({ ...core, trust }, ["caPolicy"]);
}

/** The register with a member's certificate, where the cluster has issued it. */
function withNodeCertificate(
  certificates: ReadonlyMap<string, IssuedCertificate>,
  { uuid, certFingerprint, certificate }: Pick<Member, "uuid" | "certFingerprint" | "certificate">,
  at: number,
  by: string,
): ReadonlyMap<string, IssuedCertificate> {
  if (certificate === undefined) return certificates;
  const one = { ...certificate, kind: "node", subject: uuid, fingerprint: certFingerprint } as const;
  return registered(certificates, { ...one, issuedAt: at, by }, at);
}

function withCertificate(
  { core, pki, clusterUuid, isKeyKnown }: Base,
  change: ClusterChange & { kind: "recertify" },
  by: string,
  at: number,
): Core | ErrorRecord {
  const member = present(core, change.node);
  if ("condition" in member) return member;
  const next = recertified(core.trust, pki, clusterUuid, member, change, isKeyKnown);
  if ("condition" in next) return next;
  const tokens = withoutToken(core, change.token, at);
  if ("condition" in tokens) return tokens;
  const certificates = withNodeCertificate(core.certificates, next, at, by);
  return withParts({ ...replaced(core, next), ...tokens, certificates }, ["capabilityMatrix"]);
}

/** A token is good once (MEM-33). Undefined: none is asked for. */
function withoutToken(
  { tokens }: Core,
  token: string | undefined,
  at: number,
  roles?: number,
): Pick<Core, "tokens"> | ErrorRecord {
  if (token === undefined) return { tokens };
  const known = tokens.get(token);
  if (known === undefined || known.expiresAt <= at)
    return fail("invalidAuthorizationSpecification", "the join token is not known, was used, or has expired");
  if (roles !== undefined && known.roles !== roles)
    return fail("invalidAuthorizationSpecification", "the join token is for other roles");
  const rest = new Map(tokens);
  rest.delete(token);
  return { tokens: rest };
}

/** Rotations that are over and still shown. */
const pastRotationsMax = 100;

function withPast(core: Core, rotation: Rotation, outcome: PastRotation["outcome"], at: number): Core {
  const past = { ...rotation, endedAt: at, outcome };
  return { ...core, pastRotations: [...core.pastRotations, past].slice(-pastRotationsMax) };
}

function runningRotation({ trust: { rotation } }: Core, id: string): Rotation | ErrorRecord {
  return rotation?.id === id
    ? rotation
    : fail("objectNotInPrerequisiteState", `rotation ${id} of the certificate authority is not under way`);
}

/** CA-34: the gate is open, or those are named who are left behind (CA-35). */
function withNewCa(
  base: Base,
  { id, leaving }: ClusterChange & { kind: "cutOver" },
  by: string,
  at: number,
): Core | ErrorRecord {
  const { core, sightings } = base;
  const rotation = runningRotation(core, id);
  if ("condition" in rotation) return rotation;
  const progress = rotationProgress(rotation, core.members.values(), sightings);
  const nameOf = (node: string): string => core.members.get(node)?.name ?? node;
  let next = core;
  if (leaving === undefined) {
    const problem = gateProblem(progress, nameOf);
    if (problem !== undefined) return problem;
  } else {
    const behind = leftBehind(rotation, core.members.values());
    const named = new Set(leaving);
    if (named.size !== behind.length || behind.some((one) => !named.has(one.uuid)))
      return fail(
        "objectNotInPrerequisiteState",
        "the nodes to leave behind must be just those without a certificate of the new CA",
        `CONVERGENCE_TIMEOUT: they are ${behind.map((one) => one.name).join(", ") || "none"}.`,
      );
    for (const member of behind) {
      // One that is FAILED would go on counting as a voter, and cannot come back.
      if (member.state !== "ENABLED" && member.state !== "FAILED") continue;
      if (member.uuid === base.home) return onlyCopy(member, "they could not be served");
      const moved = withState(next, member, "DISABLED", `left behind by rotation ${id}`, by, at);
      if ("condition" in moved) return moved;
      next = moved;
    }
  }
  // Certificates of the older CA are believed by nobody any more.
  const members = new Map<string, Member>();
  for (const [uuid, { former: _, ...member }] of next.members) {
    // Its list goes with it.
    const issuer = issuerOf(next.trust, member.certificate?.issuer);
    const isGoing = issuer !== undefined && issuer.fingerprint !== rotation.to;
    const isTakenBack = isGoing && listOf(issuer, base.pki)?.revoked.has(member.certificate!.serial) === true;
    members.set(uuid, isTakenBack ? { ...member, isTakenBack } : member);
  }
  const { trust, former } = cutOver(next.trust, next.former, at);
  const outcome = rotation.emergency === true ? "EMERGENCY" : "DONE";
  return withParts(withPast({ ...next, trust, former, members }, rotation, outcome, at), [
    "caPolicy",
    "capabilityMatrix",
  ]);
}

/** CA-37, CA-38. At once, without the pins, only where a quorum has certificates of the other CA already (CA-39). */
function withEmergencyCa(
  base: Base,
  change: ClusterChange & { kind: "emergency" },
  by: string,
  at: number,
): Core | ErrorRecord {
  const { core, pki } = base;
  const { trust, former } = core;
  const made = withEmergency(trust, former, pki, change.authority, change, { ...change, by }, at);
  if ("condition" in made) return made;
  const rotation = made.trust.rotation!;
  const running = trust.rotation;
  let next: Core = { ...core, ...made };
  if (running !== undefined && running !== rotation) {
    const outcome = running.emergency === true ? "EMERGENCY" : "CANCELED";
    next = withPast(next, running, outcome, at);
  }
  if (change.leaving === undefined) {
    if (running === rotation)
      return fail(
        "objectInUse",
        `certificate authority ${change.authority} is being replaced already`,
        `ROTATION_RUNNING: it has the id ${rotation.id}.`,
        "See sys.ca_rotation. FORCE IMMEDIATE ends it now.",
      );
    return withParts(next, ["caPolicy"]);
  }
  const voters = [...core.members.values()].filter(isVoting);
  const moved = voters.filter((one) => one.certificate?.issuer === rotation.to);
  if (moved.length < quorumOf(voters.length))
    return fail(
      "objectNotInPrerequisiteState",
      `${moved.length} of ${voters.length} voters have a certificate of the replacement`,
      "NO_QUORUM: without the older CA the cluster could not decide anything any more.",
      "Without FORCE IMMEDIATE they get one first.",
    );
  return withNewCa(
    { ...base, core: next },
    { kind: "cutOver", id: rotation.id, leaving: change.leaving },
    by,
    at,
  );
}

function withoutNewCa(core: Core, id: string, at: number): Core | ErrorRecord {
  const rotation = runningRotation(core, id);
  if ("condition" in rotation) return rotation;
  if (rotation.emergency === true)
    return fail("objectNotInPrerequisiteState", "a CA that was revoked in an emergency does not come back");
  for (const { name, state, certificate } of core.members.values())
    if (state !== "REMOVED" && certificate?.issuer === rotation.to)
      return fail(
        "objectNotInPrerequisiteState",
        `node ${name} has a certificate of the new CA already`,
        "ROTATION_RUNNING: from here on the exchange can only go on.",
        "Cut over once all nodes have one.",
      );
  const { trust, former } = withoutOverlap(core.trust, core.former, rotation, at);
  return withParts(withPast({ ...core, trust, former }, rotation, "CANCELED", at), ["caPolicy"]);
}

function withSetting(core: Core, key: string, value: string | undefined): Core | ErrorRecord {
  const def = settingDef(key);
  if (def === undefined) return fail("undefinedObject", `unrecognized cluster setting "${key}"`);
  const settings = new Map(core.settings);
  if (value === undefined) settings.delete(key);
  else {
    let text: string;
    try {
      text = normalizeSetting(def, value);
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      return recordOf(error);
    }
    if (text === def.default) settings.delete(key);
    else settings.set(key, text);
  }
  const next = withParts({ ...core, settings }, [def.part]);
  if (key === "cluster.min_node_version" && minVersion(next) < minVersion(core))
    return fail(
      "objectNotInPrerequisiteState",
      "the least version of nodes never goes down",
      "EPOCH_DOWNGRADE: upgrades are one way.",
    );
  return next;
}

function withNewMember(
  core: Core,
  { member, token }: ClusterChange & { kind: "addMember" },
  by: string,
  at: number,
): Core | ErrorRecord {
  const refusal = joinRefusal(core.members.values(), member);
  if (refusal !== undefined) {
    const what = { uuid: `uuid ${member.uuid}`, name: `name "${member.name}"`, key: "public key" }[refusal];
    return fail(
      "duplicateObject",
      `a node of this ${what} exists or existed in the cluster`,
      undefined,
      refusal === "name" ? "Choose another name with --node-name." : "Join with a new data folder.",
    );
  }
  // CA-36: its CA may have gone, or be about to go, since it was issued.
  const { authorities, rotation } = core.trust;
  const issuer = member.certificate?.issuer;
  const isGoing = rotation !== undefined && issuer !== rotation.to;
  if (issuer !== undefined && (isGoing || !authorities.some((one) => one.fingerprint === issuer)))
    return fail(
      "invalidAuthorizationSpecification",
      `the certificate of node ${member.name} is of a CA that has been or is being replaced`,
      "UNTRUSTED_CA: it would be left behind.",
      "Ask for another one: join again.",
    );
  const tokens = withoutToken(core, token, at, member.roles);
  if ("condition" in tokens) return tokens;
  const needed = minVersion(core);
  if (member.version < needed) return tooOld(member.name, member.version, needed);
  const record = memberOf(member, core.nextRaftId, at, by);
  return withParts(
    {
      ...core,
      ...tokens,
      members: new Map(core.members).set(member.uuid, record),
      certificates: withNodeCertificate(core.certificates, record, at, by),
      nextRaftId: core.nextRaftId + 1,
    },
    ["capabilityMatrix"],
  );
}

function withMove(
  base: Base,
  member: Member,
  to: MemberState,
  reason: string,
  by: string,
  at: number,
): Core | ErrorRecord {
  if (!mayBecome(member.state, to))
    return fail(
      "objectNotInPrerequisiteState",
      `node ${member.name} is ${member.state} and cannot become ${to}`,
    );
  if (to !== "ENABLED" && member.uuid === base.home) return onlyCopy(member, "they could not be served");
  // MEM-23; a FAILED node comes back after a fresh attestation alone (rule C1).
  if (to === "ENABLED" && !isReady(base, member))
    return fail(
      "objectNotInPrerequisiteState",
      `node ${member.name} is ${member.state} and has not attested the current policies`,
      "NOT_READY: it does so by itself when it is up and reaches the cluster.",
    );
  return withState(base.core, member, to, reason, by, at);
}

function isReady({ ready, latest }: Base, { uuid }: Member): boolean {
  const parts = ready.get(uuid)?.parts;
  return (
    parts !== undefined &&
    parts.caPolicy === latest?.parts.caPolicy &&
    parts.securityBundle === latest?.parts.securityBundle
  );
}

function withState(
  core: Core,
  member: Member,
  state: MemberState,
  reason: string,
  by: string,
  at: number,
): Core | ErrorRecord {
  const next = replaced(core, {
    ...member,
    state,
    stateReason: reason,
    stateChangedAt: at,
    stateChangedBy: by,
  });
  return votersLeft(next) ?? withParts(next, ["capabilityMatrix"]);
}

function withCutover(
  base: Base,
  change: ClusterChange & { kind: "forceCutover" },
  by: string,
  at: number,
): Core | ErrorRecord {
  const { latest, missing, converging, core } = base;
  if (latest?.number !== change.epoch || !converging)
    return fail("objectNotInPrerequisiteState", `epoch ${change.epoch} is not converging`);
  // Who is cut off is to be known by name (spec/01, R14).
  const disabling = new Set(change.disabling);
  if (disabling.size !== missing.size || [...missing.keys()].some((node) => !disabling.has(node)))
    return fail(
      "objectNotInPrerequisiteState",
      "the nodes to disable must be just those that have not converged",
      `CONVERGENCE_TIMEOUT: not converged are ${[...missing.keys()].map((node) => core.members.get(node)?.name ?? node).join(", ") || "none"}.`,
    );
  let next = core;
  for (const node of disabling) {
    const reason = `forced cutover to epoch ${change.epoch}`;
    const moved = withMove({ ...base, core: next }, next.members.get(node)!, "DISABLED", reason, by, at);
    if ("condition" in moved) return moved;
    next = moved;
  }
  return next;
}

function replaced(core: Core, member: Member): Core {
  return { ...core, members: new Map(core.members).set(member.uuid, member) };
}

function votersLeft(core: Core): ErrorRecord | undefined {
  for (const member of core.members.values()) if (isVoting(member)) return undefined;
  return fail(
    "objectNotInPrerequisiteState",
    "the cluster would be left without a voter",
    "NO_QUORUM: nobody could decide anything any more.",
  );
}

/** The parts of these types anew: what they say follows from the rest. */
function withParts(core: Core, types: readonly PartType[]): Core {
  const parts: { [Type in PartType]?: Hash } = { ...core.parts };
  const partSizes: { [Type in PartType]?: number } = { ...core.partSizes };
  for (const type of types) {
    const content = partContent(core, type);
    parts[type] = hashOf(content);
    partSizes[type] = Buffer.byteLength(content);
  }
  return { ...core, parts, partSizes };
}

/** What `make` makes of an object: kept with it, since what changes is replaced, never altered. */
function oncePer<O extends object>(make: (object: O) => string): (object: O) => string {
  const made = new WeakMap<O, string>();
  return (object) => {
    let text = made.get(object);
    if (text === undefined) made.set(object, (text = make(object)));
    return text;
  };
}

/** What the capability matrix says of members, as JSON. */
const matrixRow = oncePer((one: Member) =>
  JSON.stringify([
    one.uuid,
    one.name,
    one.raftId,
    one.certFingerprint,
    one.publicKey,
    one.roles,
    one.state,
    one.addresses.control,
    one.addresses.rpc,
    one.addresses.pg,
    one.hostLabel,
  ]),
);
const matrixRows = oncePer((members: ReadonlyMap<string, Member>) => {
  const ordered = [...members.values()];
  // They came in this order, as a rule.
  if (ordered.some((one, at) => at > 0 && one.raftId < ordered[at - 1]!.raftId))
    ordered.sort((a, b) => a.raftId - b.raftId);
  return `[${ordered.map(matrixRow).join(",")}]`;
});

/** As `partContent` writes it: no setting belongs to it. */
function bundlePart(content: string): string {
  return `{"type":"securityBundle","policy":${JSON.stringify(content)},"settings":[],"members":[]}`;
}

/** JSON with its keys in order: the same bytes on every node. */
function partContent(core: Core, type: PartType): string {
  const settings: (readonly [string, string])[] = [];
  for (const one of core.settings) if (settingDef(one[0])?.part === type) settings.push(one);
  if (settings.length > 1) settings.sort(([a], [b]) => (a < b ? -1 : 1));
  const policy = type === "caPolicy" ? trustText(core.trust) : (core.policies.get(type) ?? null);
  const members = type === "capabilityMatrix" ? matrixRows(core.members) : "[]";
  return `{"type":"${type}","policy":${JSON.stringify(policy)},"settings":${JSON.stringify(settings)},"members":${members}}`;
}

export { isFollowing, isVoting, roleBits };
