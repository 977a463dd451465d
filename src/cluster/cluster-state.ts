/**
 * Members, settings and configuration epochs as the log has made them: one state on every node, changed by `apply` alone.
 *
 * A change is carried by an epoch, which the leader builds with `draftEpoch` over the state it has, and signs. Every node
 * builds the same parts from the same change and holds their hashes against the epoch's: what an epoch says and what it
 * does cannot differ. A rival that lost the race for a number is refused when it is applied, and the refusal is kept (CCE-22).
 *
 * Invariants: `apply` reads no clock and draws nothing, times come with the entry (CCE-23); an epoch is applied whole or
 * refused whole; a uuid, a public key and a Raft id are never given twice; epochs and removed members are never forgotten.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { MalformedBytes } from "../base/bytes.js";
import { assert, DbError } from "../base/errors.js";
import type { MemberId } from "../raft/index.js";
import type {
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
  Signer,
  VerifySignature,
} from "./contract.js";
import {
  type Attestation,
  attestationDigest,
  brokenLink,
  chainDigest,
  chainHash,
  convergence,
  decodeEpoch,
  type Epoch,
  type EpochContent,
  encodeEpoch,
  type Hash,
  hashOf,
  needsAttestation,
  type PartType,
  partNames,
  refusalOf,
  signDigest,
  zeroHash,
} from "./epochs.js";
import {
  isCurrentBoot,
  isFollowing,
  isVoting,
  joinRefusal,
  type Member,
  type MemberState,
  mayBecome,
  roleBits,
} from "./membership.js";
import { clusterSettings, normalizeSetting, settingDef } from "./settings.js";

/** What changes replace, never alter: the leader builds on a state that is not applied yet. */
interface Core {
  readonly members: ReadonlyMap<string, Member>;
  readonly settings: ReadonlyMap<string, string>;
  readonly policies: ReadonlyMap<PartType, string>;
  readonly parts: ReadonlyMap<PartType, Hash>;
  readonly partSizes: ReadonlyMap<Hash, number>;
  readonly tokens: ReadonlyMap<string, JoinToken>;
  readonly nextRaftId: MemberId;
}

interface Administrator {
  readonly uuid: string;
  readonly name: string;
  readonly publicKey: string | undefined;
}

export interface ClusterResult {
  readonly error?: ErrorRecord | undefined;
}

/** Refused epochs that are kept. */
const refusedMax = 1000;
const tokensMax = 1000;

const fail = (
  condition: ErrorRecord["condition"],
  message: string,
  detail?: string,
  hint?: string,
): ErrorRecord => ({ condition, message, ...(detail && { detail }), ...(hint && { hint }) });

export function errorOf({ condition, message, detail, hint }: ErrorRecord): DbError {
  return new DbError(condition, message, { detail, hint });
}
export function recordOf(error: DbError): ErrorRecord {
  const { detail, hint } = error.fields;
  return fail(error.condition, error.message, detail, hint);
}

const empty: Core = {
  members: new Map(),
  settings: new Map(),
  policies: new Map(),
  parts: new Map(),
  partSizes: new Map(),
  tokens: new Map(),
  nextRaftId: 1,
};

export class ClusterState implements ClusterView {
  clusterUuid = "";
  clusterName = "";
  home = "";
  #core = empty;
  #epochs: EpochRecord[] = [];
  #refused: EpochRefused[] = [];
  #attestations = new Map<string, Attestation>();
  /** Nodes that are not enabled and have said that they could be: the epoch they had then. */
  #ready = new Map<string, number>();
  #authorities: { readonly fingerprint: Hash; readonly certificatePem: string }[] = [];
  readonly #administrators = new Map<string, Administrator>();
  /** Keys of members by uuid and certificate, past ones too (spec/01, R4). */
  readonly #nodeKeys = new Map<string, Uint8Array>();
  readonly #verify: VerifySignature;
  /** Counts every applied change, so that readers know when to look again. */
  version = 0;

  constructor(verify: VerifySignature) {
    this.#verify = verify;
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
    return this.#authorities;
  }
  get tokens(): ReadonlyMap<string, JoinToken> {
    return this.#core.tokens;
  }
  get latest(): EpochRecord | undefined {
    return this.#epochs.at(-1);
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
  static genesis(
    facts: Omit<Genesis, "type" | "epoch">,
    signer: Signer,
    verify: VerifySignature,
  ): Genesis {
    const state = new ClusterState(verify);
    const core = state.#coreOfGenesis(facts);
    const content = state.#content(core, undefined, facts.clusterUuid, facts.at, "genesis", 0);
    const epoch = sign(content, facts.member.uuid, signer);
    return { type: "genesis", ...facts, epoch: Buffer.from(encodeEpoch(epoch)).toString("base64") };
  }

  /**
   * Builds on this state the epochs of changes, one behind the other, as the leader `node`. A change that cannot be made
   * is answered with why; those behind it are built as if it were not there.
   */
  draftEpochs(
    changes: readonly Pick<EpochEntry, "origin" | "change" | "by">[],
    node: string,
    signer: Signer,
    at: number,
    signatures: readonly Epoch["signatures"][number][] = [],
  ): (EpochEntry | ErrorRecord)[] {
    let core = this.#core;
    let latest = this.latest?.epoch;
    assert(latest !== undefined, "there is a genesis");
    const made: (EpochEntry | ErrorRecord)[] = [];
    for (const { origin, change, by } of changes) {
      const next = changed(core, change, by, at, this.#facts());
      if ("condition" in next) {
        made.push(next);
        continue;
      }
      const content = this.#content(next, latest, this.clusterUuid, at, describe(change), minVersion(next));
      const epoch = sign(content, node, signer, signatures);
      made.push({ origin, change, by, epoch: Buffer.from(encodeEpoch(epoch)).toString("base64") });
      core = next;
      latest = epoch;
    }
    return made;
  }

  /** What administrators sign of a change before it is published (CCE-14). */
  signingDigest(change: ClusterChange, by: string, at: number): Uint8Array {
    const next = changed(this.#core, change, by, at, this.#facts());
    if ("condition" in next) throw errorOf(next);
    const latest = this.latest?.epoch;
    return signDigest(this.#content(next, latest, this.clusterUuid, at, describe(change), minVersion(next)));
  }

  #content(
    core: Core,
    latest: Epoch | undefined,
    clusterUuid: string,
    at: number,
    description: string,
    minNodeVersion: number,
  ): EpochContent {
    return {
      number: (latest?.number ?? 0) + 1,
      clusterUuid,
      previousHash: latest === undefined ? zeroHash : chainHash(latest),
      parts: Object.fromEntries(core.parts),
      createdAt: at,
      publishedAt: at,
      administrators: [],
      description,
      minNodeVersion,
    };
  }

  #facts(): ChangeFacts {
    return { home: this.home, latest: this.latest, missing: this.missing() };
  }

  #coreOfGenesis({ member, boot, authority, at }: Omit<Genesis, "type" | "epoch">): Core {
    const first: Member = {
      ...memberOf(member, 1, at, "genesis"),
      state: "ENABLED",
      boot,
    };
    return withParts(
      {
        ...empty,
        members: new Map([[member.uuid, first]]),
        policies: new Map<PartType, string>([
          ["caPolicy", base64(JSON.stringify({ authorities: [authority] }))],
          ["securityBundle", base64("{}")],
          ["shardMap", base64(JSON.stringify({ home: member.uuid }))],
        ]),
        nextRaftId: 2,
      },
      partNames,
    );
  }

  // --- applying ----------------------------------------------------------------------------------------------------

  /** Epochs are applied one by one with `applyEpoch`, whose origin the caller knows. */
  apply(command: Exclude<ClusterCommand, { type: "epochs" }>): ClusterResult {
    const error = this.#apply(command);
    if (error === undefined) this.version++;
    return { error };
  }

  #apply(command: Exclude<ClusterCommand, { type: "epochs" }>): ErrorRecord | undefined {
    switch (command.type) {
      case "genesis":
        return this.#applyGenesis(command);
      case "attest":
        return this.#attest(command.attestation);
      case "effective":
        return this.#makeEffective(command.epoch, command.at);
      case "boot": {
        const member = this.members.get(command.node);
        if (member === undefined || member.state === "REMOVED")
          return fail("undefinedObject", `node ${command.node} is no member`);
        if (!isCurrentBoot(member.boot, command.boot))
          return fail(
            "objectNotInPrerequisiteState",
            `node ${member.name} was started from an older data folder`,
            `Start ${command.boot.count} is shown, and start ${member.boot.count} was seen.`,
          );
        const { boot, version } = command;
        this.#replaceMember({ ...member, boot, version });
        return undefined;
      }
      case "token": {
        if (this.tokens.has(command.token.id)) return fail("duplicateObject", "the token exists");
        const tokens = new Map<string, JoinToken>();
        for (const [id, token] of this.tokens) if (token.expiresAt > command.at) tokens.set(id, token);
        if (tokens.size >= tokensMax) return fail("configurationLimitExceeded", "too many join tokens are open");
        tokens.set(command.token.id, command.token);
        this.#core = { ...this.#core, tokens };
        return undefined;
      }
      case "administrator": {
        const { uuid, name, publicKey } = command;
        this.#administrators.set(uuid, { uuid, name, publicKey });
        return undefined;
      }
    }
  }

  #applyGenesis(command: Genesis): ErrorRecord | undefined {
    if (this.#epochs.length > 0) return fail("objectNotInPrerequisiteState", "the cluster exists");
    const epoch = decoded(command.epoch);
    if ("condition" in epoch) return epoch;
    const core = this.#coreOfGenesis(command);
    this.clusterUuid = command.clusterUuid;
    this.clusterName = command.clusterName;
    this.home = command.member.uuid;
    this.#core = core;
    this.#authorities = authoritiesOf(core);
    this.#pin(command.member);
    const refusal = this.#refusalOf(epoch, core);
    if (refusal !== undefined) {
      this.restoreEmpty();
      return refusal;
    }
    // One node converges on its own word.
    this.#epochs = [
      { epoch, hash: chainHash(epoch), state: "EFFECTIVE", effectiveAt: epoch.publishedAt, by: "genesis" },
    ];
    return undefined;
  }

  applyEpoch(entry: EpochEntry): ClusterResult {
    const epoch = decoded(entry.epoch);
    if ("condition" in epoch) return { error: epoch };
    // What cannot be done any more is the change's own answer; a number that was taken or a broken chain is the epoch's.
    const next = changed(this.#core, entry.change, entry.by, epoch.publishedAt, this.#facts());
    const error = "condition" in next ? next : this.#refusalOf(epoch, next);
    if (error !== undefined || "condition" in next) {
      const refused = {
        number: epoch.number,
        hash: chainHash(epoch),
        condition: error!.detail?.split(":")[0] ?? error!.condition,
        message: error!.message,
        at: epoch.publishedAt,
      };
      this.#refused = [...this.#refused, refused].slice(-refusedMax);
      this.version++;
      return { error };
    }
    this.#publish(epoch, next, entry);
    this.version++;
    return {};
  }

  #publish(epoch: Epoch, next: Core, { change, by }: EpochEntry): void {
    const before = this.latest!;
    const moved = needsAttestation(epoch, before.epoch, false);
    this.#core = next;
    if (change.kind === "addMember") this.#pin(change.member);
    if (change.kind === "policy" && change.part === "caPolicy") this.#authorities = authoritiesOf(next);
    if (change.kind === "moveMember" || change.kind === "removeMember") this.#ready.delete(change.node);
    // An epoch that nobody need attest does not wait for one before it that is converging: it takes its place (CCE-19).
    const pending = before.state === "CONVERGING" && change.kind !== "forceCutover";
    this.#epochs[this.#epochs.length - 1] = { ...before, state: "SUPERSEDED" };
    this.#attestations = new Map();
    const waits = moved || pending;
    this.#epochs.push({
      epoch,
      hash: chainHash(epoch),
      state: waits ? "CONVERGING" : "EFFECTIVE",
      effectiveAt: waits ? undefined : epoch.publishedAt,
      by,
    });
  }

  #refusalOf(epoch: Epoch, next: Core): ErrorRecord | undefined {
    let oldest = Number.MAX_SAFE_INTEGER;
    for (const member of next.members.values())
      if (member.state === "ENABLED") oldest = Math.min(oldest, member.version);
    const authorizedSigners = [...this.#administrators.values()]
      .filter((one) => one.publicKey !== undefined)
      .map((one) => one.uuid);
    const setting = (key: string): string => next.settings.get(key) ?? settingDef(key)!.default;
    for (const type of partNames)
      if ((epoch.parts[type] ?? zeroHash) !== (next.parts.get(type) ?? zeroHash))
        return epochError("BUNDLE_UNAVAILABLE", `epoch ${epoch.number} names another ${type} than its change makes`);
    const refusal = refusalOf(epoch, {
      clusterUuid: this.clusterUuid,
      latest: this.latest?.epoch,
      partBytes: (type, hash) => (next.parts.get(type) === hash ? (next.partSizes.get(hash) ?? 0) : undefined),
      bytesMax: Number(clusterSettings["epoch.bytes_max"]!.read(setting("epoch.bytes_max"))),
      oldestVersion: oldest,
      policy: {
        // Nobody can sign where nobody is known who may.
        minSignatures: Math.min(Number(setting("epoch.min_signatures")), authorizedSigners.length),
        authorizedSigners,
        requireQuorum: setting("epoch.require_quorum") === "on",
      },
      administratorKey: (uuid) => {
        const key = this.#administrators.get(uuid)?.publicKey;
        return key === undefined ? undefined : Buffer.from(key, "base64");
      },
      nodeKey: (uuid, fingerprint) => this.#nodeKeys.get(`${uuid} ${fingerprint}`),
      verify: this.#verify,
    });
    return refusal === undefined ? undefined : epochError(refusal.condition, refusal.message);
  }

  #pin({ uuid, certFingerprint, publicKey }: NewMember): void {
    this.#nodeKeys.set(`${uuid} ${certFingerprint}`, Buffer.from(publicKey, "base64"));
  }

  #attest(attestation: Attestation): ErrorRecord | undefined {
    const member = this.members.get(attestation.node);
    const latest = this.latest;
    if (member === undefined || member.state === "REMOVED")
      return fail("undefinedObject", `node ${attestation.node} is no member`);
    if (latest === undefined || attestation.epoch !== latest.epoch.number)
      return fail("objectNotInPrerequisiteState", `epoch ${attestation.epoch} is not the newest`);
    const key = Buffer.from(member.publicKey, "base64");
    if (!this.#verify(key, attestationDigest(attestation), attestation.signature))
      return epochError("SIGNATURE_INVALID", `the attestation of node ${member.name} does not verify`);
    if (member.state === "ENABLED") this.#attestations.set(member.uuid, attestation);
    else this.#ready.set(member.uuid, attestation.epoch);
    return undefined;
  }

  /** Nodes whose word the newest epoch still waits for. */
  missing(): ReadonlyMap<string, string> {
    const latest = this.latest;
    if (latest === undefined || latest.state !== "CONVERGING") return new Map();
    return convergence(latest.epoch.number, this.#enabled(), this.#attestations).missing;
  }

  #enabled(): string[] {
    return [...this.members.values()].filter((one) => one.state === "ENABLED").map((one) => one.uuid);
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

  #replaceMember(member: Member): void {
    this.#core = { ...this.#core, members: new Map(this.members).set(member.uuid, member) };
  }

  /** Whether every epoch follows from the one before it and carries its leader's signature. Empty: all is well. */
  historyProblems(): string[] {
    const problems: string[] = [];
    const broken = brokenLink(this.#epochs.map((one) => one.epoch));
    if (broken !== undefined) problems.push(`epoch ${broken} does not follow from the one before it`);
    for (const { epoch, hash } of this.#epochs) {
      if (chainHash(epoch) !== hash) problems.push(`epoch ${epoch.number} is not what its hash says`);
      const { node, certFingerprint, signature } = epoch.leader;
      const key = this.#nodeKeys.get(`${node} ${certFingerprint}`);
      if (key === undefined || !this.#verify(key, chainDigest(epoch), signature))
        problems.push(`the signature of epoch ${epoch.number} does not verify`);
    }
    const latest = this.latest?.epoch;
    for (const type of latest === undefined ? [] : partNames)
      if ((latest!.parts[type] ?? zeroHash) !== (this.#core.parts.get(type) ?? zeroHash))
        problems.push(`${type} is not the one that epoch ${latest!.number} names`);
    return problems;
  }

  // --- snapshots ---------------------------------------------------------------------------------------------------

  save(): unknown {
    const { members, settings, policies, tokens, nextRaftId } = this.#core;
    return {
      clusterUuid: this.clusterUuid,
      clusterName: this.clusterName,
      home: this.home,
      members: [...members.values()],
      settings: [...settings],
      policies: [...policies],
      tokens: [...tokens.values()],
      nextRaftId,
      epochs: this.#epochs.map(({ epoch, ...rest }) => ({
        ...rest,
        epoch: Buffer.from(encodeEpoch(epoch)).toString("base64"),
      })),
      refused: this.#refused,
      attestations: [...this.#attestations.values()],
      ready: [...this.#ready],
      administrators: [...this.#administrators.values()],
      nodeKeys: [...this.#nodeKeys].map(([name, key]) => [name, Buffer.from(key).toString("base64")]),
      version: this.version,
    };
  }

  restore(saved: unknown): void {
    const state = saved as Saved;
    this.restoreEmpty();
    this.clusterUuid = state.clusterUuid;
    this.clusterName = state.clusterName;
    this.home = state.home;
    const core: Core = {
      ...empty,
      members: new Map(state.members.map((one) => [one.uuid, one])),
      settings: new Map(state.settings),
      policies: new Map(state.policies),
      tokens: new Map(state.tokens.map((one) => [one.id, one])),
      nextRaftId: state.nextRaftId,
    };
    this.#core = withParts(core, partNames);
    this.#epochs = state.epochs.map(({ epoch, ...rest }) => ({
      ...rest,
      effectiveAt: rest.effectiveAt ?? undefined,
      epoch: decodeEpoch(Buffer.from(epoch, "base64")),
    }));
    this.#refused = state.refused;
    this.#attestations = new Map(state.attestations.map((one) => [one.node, one]));
    this.#ready = new Map(state.ready);
    for (const one of state.administrators) this.#administrators.set(one.uuid, one);
    for (const [name, key] of state.nodeKeys) this.#nodeKeys.set(name, Buffer.from(key, "base64"));
    this.#authorities = authoritiesOf(this.#core);
    this.version = state.version + 1;
    const broken = brokenLink(this.#epochs.map((one) => one.epoch));
    if (broken !== undefined)
      throw new DbError("dataCorrupted", `epoch ${broken} does not follow from the one before it`, {
        detail: "INVALID_HASH_CHAIN: a snapshot of the control plane was tampered with.",
      });
  }

  restoreEmpty(): void {
    this.clusterUuid = "";
    this.clusterName = "";
    this.home = "";
    this.#core = empty;
    this.#epochs = [];
    this.#refused = [];
    this.#attestations = new Map();
    this.#ready = new Map();
    this.#authorities = [];
    this.#administrators.clear();
    this.#nodeKeys.clear();
  }
}

interface Saved {
  readonly clusterUuid: string;
  readonly clusterName: string;
  readonly home: string;
  readonly members: Member[];
  readonly settings: [string, string][];
  readonly policies: [PartType, string][];
  readonly tokens: JoinToken[];
  readonly nextRaftId: number;
  readonly epochs: (Omit<EpochRecord, "epoch"> & { epoch: string })[];
  readonly refused: EpochRefused[];
  readonly attestations: Attestation[];
  readonly ready: [string, number][];
  readonly administrators: Administrator[];
  readonly nodeKeys: [string, string][];
  readonly version: number;
}

function epochError(condition: string, message: string): ErrorRecord {
  return fail("objectNotInPrerequisiteState", message, `${condition}: the epoch was refused.`);
}

function decoded(base64Text: string): Epoch | ErrorRecord {
  try {
    return decodeEpoch(Buffer.from(base64Text, "base64"));
  } catch (error) {
    if (!(error instanceof MalformedBytes)) throw error;
    return epochError("MALFORMED", `an epoch cannot be read: ${error.message}`);
  }
}

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

function authoritiesOf(core: Core): { fingerprint: Hash; certificatePem: string }[] {
  const text = Buffer.from(core.policies.get("caPolicy") ?? base64('{"authorities":[]}'), "base64").toString();
  const { authorities } = JSON.parse(text) as { authorities: string[] };
  return authorities.map((certificatePem) => ({ certificatePem, fingerprint: fingerprintOfPem(certificatePem) }));
}

function fingerprintOfPem(pem: string): Hash {
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");
  return Buffer.from(sha256(der)).toString("hex");
}

// --- changes ---------------------------------------------------------------------------------------------------------

interface ChangeFacts {
  readonly home: string;
  readonly latest: EpochRecord | undefined;
  /** Nodes that have not converged. */
  readonly missing: ReadonlyMap<string, string>;
}

function describe(change: ClusterChange): string {
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
      return `publish ${change.part}`;
    case "forceCutover":
      return `force cutover to epoch ${change.epoch}`;
  }
}

function minVersion(core: Core): number {
  return Number(clusterSettings["cluster.min_node_version"]!.read(
    core.settings.get("cluster.min_node_version") ?? clusterSettings["cluster.min_node_version"]!.default,
  ));
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
function changed(
  core: Core,
  change: ClusterChange,
  by: string,
  at: number,
  facts: ChangeFacts,
): Core | ErrorRecord {
  switch (change.kind) {
    case "set":
    case "reset":
      return withSetting(core, change.key, change.kind === "set" ? change.value : undefined);
    case "addMember":
      return withNewMember(core, change, by, at);
    case "moveMember": {
      const member = core.members.get(change.node);
      if (member === undefined) return fail("undefinedObject", `node ${change.node} does not exist`);
      return withMove(core, member, change.to, change.reason, by, at, facts);
    }
    case "removeMember": {
      const member = core.members.get(change.node);
      if (member === undefined) return fail("undefinedObject", `node ${change.node} does not exist`);
      if (member.state === "REMOVED")
        return fail("objectNotInPrerequisiteState", `node ${member.name} is REMOVED already`);
      if (member.uuid === facts.home)
        return fail(
          "objectNotInPrerequisiteState",
          `node ${member.name} holds the only copy of shards`,
          "ONLY_COPY: removing it would lose them.",
          "Shards cannot be moved yet; keep the node.",
        );
      return withState(core, member, "REMOVED", change.reason, by, at);
    }
    case "setRoles": {
      const member = core.members.get(change.node);
      if (member === undefined) return fail("undefinedObject", `node ${change.node} does not exist`);
      if (member.state === "REMOVED")
        return fail("objectNotInPrerequisiteState", `node ${member.name} is REMOVED`);
      const next = replaced(core, { ...member, roles: change.roles });
      return votersLeft(next) ?? withParts(next, ["capabilityMatrix"]);
    }
    case "setAddresses": {
      const member = core.members.get(change.node);
      if (member === undefined) return fail("undefinedObject", `node ${change.node} does not exist`);
      if (member.state === "REMOVED")
        return fail("objectNotInPrerequisiteState", `node ${member.name} is REMOVED`);
      return withParts(replaced(core, { ...member, addresses: change.addresses }), ["capabilityMatrix"]);
    }
    case "policy":
      return withParts({ ...core, policies: new Map(core.policies).set(change.part, change.content) }, [
        change.part,
      ]);
    case "forceCutover":
      return withCutover(core, change, by, at, facts);
  }
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
  let { tokens } = core;
  if (token !== undefined) {
    const known = tokens.get(token);
    if (known === undefined || known.expiresAt < at)
      return fail("invalidAuthorizationSpecification", "the join token is not known, was used, or has expired");
    const rest = new Map(tokens);
    rest.delete(token);
    tokens = rest;
  }
  if (member.version < minVersion(core))
    return fail(
      "objectNotInPrerequisiteState",
      `node ${member.name} is of an older version than the cluster requires`,
      "INCOMPATIBLE_VERSION: see cluster.min_node_version.",
    );
  const record = memberOf(member, core.nextRaftId, at, by);
  return withParts(
    {
      ...core,
      tokens,
      members: new Map(core.members).set(member.uuid, record),
      nextRaftId: core.nextRaftId + 1,
    },
    ["capabilityMatrix"],
  );
}

function withMove(
  core: Core,
  member: Member,
  to: MemberState,
  reason: string,
  by: string,
  at: number,
  facts: ChangeFacts,
): Core | ErrorRecord {
  if (!mayBecome(member.state, to))
    return fail(
      "objectNotInPrerequisiteState",
      `node ${member.name} is ${member.state} and cannot become ${to}`,
    );
  if (to === "DISABLED" && member.uuid === facts.home)
    return fail(
      "objectNotInPrerequisiteState",
      `node ${member.name} holds the only copy of shards`,
      "ONLY_COPY: they could not be served.",
    );
  return withState(core, member, to, reason, by, at);
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
  core: Core,
  change: ClusterChange & { kind: "forceCutover" },
  by: string,
  at: number,
  facts: ChangeFacts,
): Core | ErrorRecord {
  const { latest, missing } = facts;
  if (latest === undefined || latest.epoch.number !== change.epoch || latest.state !== "CONVERGING")
    return fail("objectNotInPrerequisiteState", `epoch ${change.epoch} is not converging`);
  // Who is cut off is to be known by name (spec/01, R14).
  const unnamed = [...missing.keys()].filter((node) => !change.disabling.includes(node));
  const converged = change.disabling.filter((node) => !missing.has(node));
  if (unnamed.length > 0 || converged.length > 0)
    return fail(
      "objectNotInPrerequisiteState",
      "the nodes to disable must be just those that have not converged",
      `CONVERGENCE_TIMEOUT: not converged are ${[...missing.keys()].map((node) => core.members.get(node)?.name ?? node).join(", ") || "none"}.`,
    );
  let next = core;
  for (const node of change.disabling) {
    const member = next.members.get(node);
    if (member === undefined) return fail("undefinedObject", `node ${node} does not exist`);
    const reason = `forced cutover to epoch ${change.epoch}`;
    const moved = withMove(next, member, "DISABLED", reason, by, at, facts);
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
  const parts = new Map(core.parts);
  const partSizes = new Map(core.partSizes);
  for (const type of types) {
    const content = Buffer.from(partContent(core, type));
    const hash = hashOf(content);
    parts.set(type, hash);
    partSizes.set(hash, content.length);
  }
  return { ...core, parts, partSizes: new Map([...partSizes].filter(([hash]) => [...parts.values()].includes(hash))) };
}

/** JSON with its keys in order: the same bytes on every node. */
function partContent(core: Core, type: PartType): string {
  const settings = [...core.settings]
    .filter(([key]) => settingDef(key)?.part === type)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const policy = core.policies.get(type);
  const members =
    type !== "capabilityMatrix"
      ? []
      : [...core.members.values()]
          .sort((a, b) => a.raftId - b.raftId)
          .map((one) => [
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
          ]);
  return JSON.stringify({ type, policy: policy ?? null, settings, members });
}

export { isFollowing, isVoting, roleBits };
