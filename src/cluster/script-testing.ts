/**
 * The control plane's state by hand: a script names commands, one a line, and its output is what each has changed, or why it
 * was refused. Nodes and administrators are single words; keys and certificates are those of the simulator.
 *
 *     time 100                                the clock of the leader, milliseconds (it advances by one with each line)
 *     found a                                 [version 1.0.0] [roles VOTER,SHARD_OWNER]
 *     join b                                  the same, and [with TOKEN] [as NAME] [key of NODE]
 *     set KEY VALUE, reset KEY
 *     move b ENABLED, remove b, roles b LEARNER, addresses b h:1 h:2 h:3, policy PART TEXT, cutover 3 disabling b,c
 *         each with [signed by x,y] [by leader b]; `remove b force`; `policy securityBundle` takes a minute
 *     draft NAME: CHANGE, then apply NAME     built now, applied later, perhaps twice
 *     batch: CHANGE; CHANGE                   in one entry
 *     attest b [at 3] [seeing a,c] [badly]    `badly`: the signature is another's
 *     effective 3, boot b 2 NONCE [version 1.0.0], token t until 100 [roles ...], administrator x KEY or none
 *     recertify b [of CA 2] [serial s]        a node's new certificate; from then on it signs with that key. [for c]: another's; [signed c]: by another; [with TOKEN]
 *     overlap 2 [window 5000], cut over [leaving b,c], cancel overlap, extend overlap until 100
 *     emergency 1 for 2 [leaving b,c or none]     CA 1 is revoked, CA 2 takes its place; `leaving`: immediately
 *     revoke 1 b s [number 3] [updated 7]     on the list of CA 1: the certificate of node b, and the serial s; [only]: nothing else
 *     sight b [seeing a,c] [badly]
 *     user u serial s until 100 [of CA 2]     a certificate is noted
 *     raw JSON                                a command as the log has it
 *     state                                   all of it
 *
 * Invariant: after each command a state that was restored from a snapshot just before is the same, byte for byte.
 */
import { createHash } from "node:crypto";
import { assert, DbError } from "../base/errors.js";
import {
  pemOf,
  simAuthorityPem,
  simAuthoritySign,
  simCertificate,
  simListPem,
  simSigner,
  simTrust,
} from "../sim/trust.js";
import { consentDigest, fingerprintOfPem, listOf, primaryOf, sightingDigest } from "./certificates.js";
import { ClusterState, type Draft } from "./cluster-state.js";
import type {
  BundleSource,
  ClusterChange,
  DraftAction,
  EpochEntry,
  ErrorRecord,
  NewMember,
  Origin,
  SecurityBundle,
  Signer,
} from "./contract.js";
import { ControlState, encodeProposal } from "./control-state.js";
import { type Attestation, attestationDigest, type PartType, packVersion, versionText } from "./epochs.js";
import { isVoting, type Role, roleBits, roleNames } from "./membership.js";
import { bundleDigest, bundleHash, encodeBundle, firstBundle, systemCreator } from "./security-bundle.js";

export const clusterUuid = "01900000-0000-7000-8000-0000000000ff";

const letters = "abcdefghijklmnopqrstuvwxyz";
/** Of a node or an administrator whose name is one letter. */
export function uuidOf(name: string): string {
  return `01900000-0000-7000-8000-${(letters.indexOf(name) + 1).toString(16).padStart(12, "0")}`;
}
export function nameOf(uuid: string): string {
  return letters[Number.parseInt(uuid.slice(-4), 16) - 1] ?? uuid;
}
/** Of a node; of an administrator whose key has that name. */
export function signerOf(name: string): Signer {
  return simTrust(clusterUuid, uuidOf(name)).signer;
}
export const { pki, authorityPem } = simTrust(clusterUuid, uuidOf("a"));
/** By the key of the first CA. */
export const authoritySign = (digest: Uint8Array): string => simAuthoritySign(authorityPem, digest);

export const usualRoles = roleBits.VOTER | roleBits.SHARD_OWNER | roleBits.COORDINATOR;
export function newMember(name: string, facts: Partial<NewMember> = {}): NewMember {
  const { certFingerprint, publicKey, certificate } = simCertificate(clusterUuid, uuidOf(name));
  return {
    uuid: uuidOf(name),
    name,
    certFingerprint,
    publicKey,
    certificate,
    addresses: { control: `${name}:1`, rpc: `${name}:2`, pg: `${name}:3` },
    hostLabel: name,
    roles: usualRoles,
    version: packVersion("1.0.0"),
    ...facts,
  };
}

export function newState(): ControlState {
  return new ControlState([], pki);
}
export function restored(from: ControlState): ControlState {
  const state = newState();
  state.restore(from.save());
  return state;
}
export function textOf(state: ControlState): string {
  return Buffer.from(state.save()).toString();
}

/** Entries as a leader would make them, over one state. */
export class Author {
  readonly state: ControlState;
  at = 0;
  #number = 0;
  /** Of nodes that have got another certificate. */
  readonly #signers = new Map<string, Signer>();

  constructor(state = newState()) {
    this.state = state;
  }

  origin(): Origin {
    return { stream: 2, boot: 1, number: ++this.#number };
  }

  signer(name: string): Signer {
    return this.#signers.get(name) ?? signerOf(name);
  }
  signWith(name: string, certificateText: string): void {
    this.#signers.set(name, simSigner(certificateText));
  }

  genesis(name = "a", facts: Partial<NewMember> = {}): Uint8Array {
    const first = firstBundle(clusterUuid, this.at);
    const command = ClusterState.genesis(
      {
        clusterUuid,
        clusterName: "c",
        member: newMember(name, facts),
        boot: { count: 1, nonce: "n1" },
        authority: authorityPem,
        bundle: encodeBundle(first, authorityPem, authoritySign(bundleDigest(bundleHash(first)))),
        at: this.at,
      },
      signerOf(name),
      pki,
    );
    return encodeProposal(command, this.origin());
  }

  /**
   * A security bundle with this description, and the rules of the current one: a draft of it is opened, and the change that
   * publishes it answered. `version`: as it is by default, that of the next epoch.
   */
  bundle(description: string, version = this.state.cluster.latest!.epoch.number + 1): ClusterChange {
    const { cluster } = this.state;
    // One a minute.
    this.at += 60_000;
    const open = cluster.bundleDraft;
    const note = (action: DraftAction): void => {
      const { error } = cluster.apply({ type: "bundleDraft", by: "admin", at: this.at, action });
      assert(error === undefined, JSON.stringify(error));
    };
    const from = cluster.bundle.version;
    let draft = open?.id;
    if (open?.description !== description) {
      if (open !== undefined) note({ kind: "abandon", draft: open.id });
      draft = uuidOf("z");
      note({ kind: "open", draft, version: undefined, description, from });
    }
    const rules = cluster.bundleRules(from)!;
    return this.bundleOf(
      { version, clusterUuid, createdAt: this.at, rules, creator: systemCreator, description },
      { kind: "draft", draft: draft! },
    );
  }
  bundleOf(bundle: SecurityBundle, from: BundleSource): ClusterChange {
    const content = encodeBundle(bundle, authorityPem, authoritySign(bundleDigest(bundleHash(bundle))));
    return { kind: "policy", part: "securityBundle", content, from };
  }

  draft(changes: readonly Omit<Draft, "origin">[], leader = "a"): (EpochEntry | ErrorRecord)[] {
    const drafts = changes.map((one) => ({ origin: this.origin(), ...one }));
    return this.state.cluster.draftEpochs(drafts, uuidOf(leader), this.signer(leader), this.at);
  }
  /** @throws DbError: it cannot be made */
  change(change: ClusterChange, by = "admin"): EpochEntry {
    const [made] = this.draft([{ change, by }]);
    assert(made !== undefined && !("condition" in made), JSON.stringify(made));
    return made;
  }

  attestation(
    name: string,
    options: { readonly epoch?: number | undefined; readonly seeing?: readonly string[] | undefined } = {},
  ): Attestation {
    const { cluster } = this.state;
    const epoch = options.epoch ?? cluster.latest!.epoch.number;
    const others = [...cluster.members.values()].filter(
      (one) => one.state === "ENABLED" && one.uuid !== uuidOf(name),
    );
    const seeing = options.seeing ?? others.map((one) => nameOf(one.uuid));
    const content = {
      node: uuidOf(name),
      epoch,
      activatedAt: this.at,
      observations: seeing.map((peer) => ({
        peer: uuidOf(peer),
        certFingerprint: this.signer(peer).certFingerprint,
        epoch,
        observedAt: this.at,
        valid: true,
      })),
    };
    return { ...content, signature: this.signer(name).sign(attestationDigest(content)) };
  }
}

export const epochs = (...entries: readonly EpochEntry[]): Uint8Array =>
  encodeProposal({ type: "epochs", entries });

export class ControlScript {
  readonly #author = new Author();
  readonly #drafts = new Map<string, EpochEntry>();

  get state(): ControlState {
    return this.#author.state;
  }

  /** Output of one line. */
  run(line: string): string[] {
    this.#author.at++;
    const words = line.split(" ");
    if (words[0] === "time") {
      this.#author.at = Number(words[1]);
      return [];
    }
    if (words[0] === "state") return summary(this.state);
    const before = summary(this.state);
    const answer = this.#do(line, words);
    const now = summary(this.state);
    return [...answer, ...now.filter((one) => !before.includes(one)).map((one) => `  ${one}`)];
  }

  #do(line: string, words: readonly string[]): string[] {
    const author = this.#author;
    const drafted = /^draft (\w+): (.*)$/.exec(line);
    if (drafted !== null) {
      const [made] = this.#draft([drafted[2]!]);
      if ("condition" in made!) return shown(made);
      this.#drafts.set(drafted[1]!, made!);
      return [`  epoch ${author.state.cluster.epochs.length + 1} is drafted`];
    }
    if (words[0] === "apply") return this.#apply(epochs(this.#drafts.get(words[1]!)!));
    if (words[0] === "batch:") {
      const made = this.#draft(line.slice(7).split("; "));
      const entries = made.filter((one) => !("condition" in one)) as EpochEntry[];
      const refused = made.flatMap((one) => ("condition" in one ? shown(one) : []));
      return entries.length === 0 ? refused : [...refused, ...this.#apply(epochs(...entries))];
    }
    const command = this.#command(line, words) ?? this.#ofTrust(words);
    if (command !== undefined) return this.#apply(command);
    const made = this.#draft([line]);
    if ("condition" in made[0]!) return shown(made[0]);
    const answer = this.#apply(epochs(made[0]!));
    if (words[0] === "recertify" && answer.length === 0) author.signWith(words[1]!, textOfRecertified(words));
    return answer;
  }

  /** Of what the log notes about certificates beside epochs. */
  #ofTrust(words: readonly string[]): Uint8Array | undefined {
    const author = this.#author;
    const { cluster } = author.state;
    const after = (word: string): string | undefined => optionOf(words, word);
    const [verb, name = ""] = words;
    if (verb === "user") {
      const serial = after("serial")!;
      const certificate = {
        kind: "user",
        subject: name,
        serial,
        issuer: caFingerprint(Number(after("CA") ?? "1")),
        notBefore: 0,
        notAfter: Number(after("until")),
        fingerprint: sha256(serial),
        issuedAt: author.at,
        by: "admin",
      } as const;
      return encodeProposal({ type: "certificate", certificate });
    }
    if (verb !== "sight") return undefined;
    const others = [...cluster.members.values()].filter(
      (one) => one.state !== "REMOVED" && one.uuid !== uuidOf(name),
    );
    const seen = (after("seeing")?.split(",") ?? others.map((one) => nameOf(one.uuid))).map((peer) => ({
      peer: uuidOf(peer),
      certFingerprint: author.signer(peer).certFingerprint,
      observedAt: author.at,
    }));
    const content = { node: uuidOf(name), rotation: cluster.rotation?.id ?? rotationId("0"), seen };
    const signed = words.includes("badly") ? { ...content, seen: [] } : content;
    const signature = author.signer(name).sign(sightingDigest(signed));
    return encodeProposal({ type: "sighting", sighting: { ...content, signature } });
  }

  #apply(bytes: Uint8Array): string[] {
    const twin = restored(this.state);
    const outcomes = this.state.apply(bytes);
    twin.apply(bytes);
    assert(textOf(twin) === textOf(this.state), "a restored state differs");
    return outcomes.length === 0
      ? ["  no answer"]
      : outcomes.flatMap(({ error }) => (error === undefined ? [] : shown(recordOf(error))));
  }

  /** Of what is no epoch. */
  #command(line: string, words: readonly string[]): Uint8Array | undefined {
    const author = this.#author;
    const [verb, name = "", ...rest] = words;
    const after = (word: string): string | undefined => optionOf(words, word);
    const version = after("version");
    switch (verb) {
      case "found":
        return author.genesis(name, {
          ...(version && { version: packVersion(version) }),
          ...(after("roles") && { roles: bitsOf(after("roles")!) }),
        });
      case "attest": {
        const epoch = after("at") === undefined ? undefined : Number(after("at"));
        const seeing = after("seeing")?.split(",");
        const attestation = author.attestation(name, { epoch, seeing });
        const { signature } = author.attestation(name, { epoch: 999 });
        return encodeProposal({
          type: "attest",
          attestation: words.includes("badly") ? { ...attestation, signature } : attestation,
        });
      }
      case "effective":
        return encodeProposal({ type: "effective", epoch: Number(name), at: author.at });
      case "boot":
        return encodeProposal({
          type: "boot",
          node: uuidOf(name),
          boot: { count: Number(rest[0]), nonce: rest[1]! },
          version: packVersion(version ?? "1.0.0"),
        });
      case "token":
        return encodeProposal({
          type: "token",
          token: {
            id: tokenId(name),
            secretHash: "0".repeat(64),
            expiresAt: Number(after("until")),
            by: "admin",
            roles: after("roles") === undefined ? usualRoles : bitsOf(after("roles")!),
          },
          at: author.at,
        });
      case "administrator":
        return encodeProposal({
          type: "administrator",
          uuid: uuidOf(name),
          name,
          publicKey: rest[0] === "none" ? undefined : signerOf(rest[0]!).publicKey,
        });
      case "raw":
        return Buffer.from(`{"c":${line.slice(4)}}`);
      default:
        return undefined;
    }
  }

  #changeOfTrust(words: readonly string[]): ClusterChange | undefined {
    const { at, state } = this.#author;
    const { cluster } = state;
    const after = (word: string): string | undefined => optionOf(words, word);
    const id = cluster.rotation?.id ?? rotationId("0");
    switch (words[0]) {
      case "recertify":
        return {
          kind: "recertify",
          node: uuidOf(words[1]!),
          certificatePem: pemOf(textOfRecertified(words)),
          consent: this.#author
            .signer(after("signed") ?? words[1]!)
            .sign(consentDigest(clusterUuid, uuidOf(words[1]!), pemOf(textOfRecertified(words)))),
          ...(after("with") && { token: tokenId(after("with")!) }),
        };
      case "overlap": {
        const list = { number: 1, thisUpdate: at, nextUpdate: at + 1000, revoked: new Map() };
        return {
          kind: "beginOverlap",
          id: rotationId(words[1]!),
          certificatePem: simAuthorityPem(clusterUuid, Number(words[1])),
          crlPem: simListPem(caFingerprint(Number(words[1])), list),
          windowMs: Number(after("window") ?? "1000"),
          automatic: false,
        };
      }
      case "cut":
        return { kind: "cutOver", id, leaving: after("leaving")?.split(",").map(uuidOf) };
      case "cancel":
        return { kind: "cancelOverlap", id };
      case "extend":
        return { kind: "extendOverlap", id, until: Number(after("until")) };
      case "emergency": {
        const [revoked, to] = [Number(words[1]), Number(after("for"))];
        const list = { number: 1, thisUpdate: at, nextUpdate: at + 1000, revoked: new Map() };
        const isTrusted = cluster.authorities.some((one) => one.fingerprint === caFingerprint(to));
        return {
          kind: "emergency",
          id: rotationId(String(to)),
          authority: caFingerprint(revoked),
          certificatePem: simAuthorityPem(clusterUuid, to),
          crlPem: isTrusted ? undefined : simListPem(caFingerprint(to), list),
          windowMs: 1000,
          leaving: after("leaving")
            ?.split(",")
            .filter((name) => name !== "none")
            .map(uuidOf),
        };
      }
      case "revoke": {
        const authority = caFingerprint(Number(words[1]));
        const ca = cluster.authorities.find((one) => one.fingerprint === authority);
        const before = ca && listOf(ca, pki);
        const end = words.findIndex((one) => ["number", "updated", "only"].includes(one));
        const serials = words.slice(2, end < 0 ? undefined : end).map((one) => {
          const member = cluster.members.get(one.length === 1 ? uuidOf(one) : "");
          return member?.certificate?.serial ?? one;
        });
        const revoked = new Map(words.includes("only") ? [] : (before?.revoked ?? []));
        for (const serial of serials) revoked.set(serial, { revokedAt: at, reason: "keyCompromise" });
        const thisUpdate = Number(after("updated") ?? at);
        const number = Number(after("number") ?? (before?.number ?? 0) + 1);
        const crlPem = simListPem(authority, { number, thisUpdate, nextUpdate: thisUpdate + 1000, revoked });
        return { kind: "revoke", authority, serials, crlPem };
      }
      default:
        return undefined;
    }
  }

  #draft(lines: readonly string[]): (EpochEntry | ErrorRecord)[] {
    const author = this.#author;
    let leader = "a";
    const drafts = lines.map((line) => {
      const [before = "", signers] = line.split(" signed by ");
      const plain = before.replace(/ by leader \w$/, "");
      const words = plain.split(" ");
      const change = this.#changeOfTrust(words) ?? changeOf(plain, words, author);
      leader = / by leader (\w)/.exec(line)?.[1] ?? leader;
      if (signers === undefined) return { change, by: "admin" };
      // "x:k" signs with the key k in the name of x; "x!" signs something else.
      const names = signers.split(" ")[0]!.split(",");
      const administrators = names.map((one) => uuidOf(one[0]!));
      const digest = author.state.cluster.signingDigest(change, "admin", author.at, administrators);
      const signatures = names.map((one) => ({
        administrator: uuidOf(one[0]!),
        signature: signerOf(one.split(":")[1] ?? one[0]!).sign(one.endsWith("!") ? Buffer.from("x") : digest),
      }));
      return { change, by: "admin", signed: { createdAt: author.at, signatures } };
    });
    return author.draft(drafts, leader);
  }
}

function optionOf(words: readonly string[], word: string): string | undefined {
  const at = words.indexOf(word);
  return at < 0 ? undefined : words[at + 1];
}
function bitsOf(names: string): number {
  return names.split(",").reduce((bits, name) => bits | roleBits[name as Role], 0);
}
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const caFingerprint = (number: number): string => fingerprintOfPem(simAuthorityPem(clusterUuid, number));
const rotationId = (number: string): string => `0190000${number}-0000-7000-8000-00000000ca00`;
/** Of the certificate that a line gives. */
function textOfRecertified(words: readonly string[]): string {
  const after = (word: string): string | undefined => optionOf(words, word);
  const issuer = caFingerprint(Number(after("CA") ?? "1"));
  const serial = after("serial") ?? sha256(words.join(" ")).slice(0, 32);
  return simCertificate(clusterUuid, uuidOf(after("for") ?? words[1]!), issuer, serial).text;
}
function tokenId(name: string): string {
  return `${createHash("sha256").update(name).digest("hex").slice(0, 8)}-0000-7000-8000-000000000000`;
}

function changeOf(line: string, words: readonly string[], author: Author): ClusterChange {
  const [verb, name = "", ...rest] = words;
  const node = uuidOf(name);
  const after = (word: string): string | undefined => optionOf(words, word);
  switch (verb) {
    case "set":
      return { kind: "set", key: name, value: rest.join(" ") };
    case "reset":
      return { kind: "reset", key: name };
    case "join": {
      const facts: Partial<NewMember> = {
        ...(after("version") && { version: packVersion(after("version")!) }),
        ...(after("roles") && { roles: bitsOf(after("roles")!) }),
        ...(after("as") && { name: after("as")! }),
        ...(after("of") && { publicKey: signerOf(after("of")!).publicKey }),
      };
      const token = after("with");
      return {
        kind: "addMember",
        member: newMember(name, facts),
        ...(token && { token: tokenId(token) }),
      };
    }
    case "move":
      return { kind: "moveMember", node, to: rest[0] as "ENABLED", reason: "told so" };
    case "remove": {
      const force = rest.includes("force");
      return { kind: "removeMember", node, reason: "told so", force, allowDataLoss: force };
    }
    case "roles":
      return { kind: "setRoles", node, roles: bitsOf(rest[0]!) };
    case "addresses":
      return { kind: "setAddresses", node, addresses: { control: rest[0]!, rpc: rest[1]!, pg: rest[2]! } };
    case "policy":
      return name === "securityBundle"
        ? author.bundle(rest.join(" "))
        : {
            kind: "policy",
            part: name as PartType,
            content: Buffer.from(rest.join(" ")).toString("base64"),
            from: { kind: "version", version: 1 },
          };
    case "cutover": {
      const names = after("disabling")?.split(",").filter(Boolean) ?? [];
      return { kind: "forceCutover", epoch: Number(name), disabling: names.map(uuidOf) };
    }
    default:
      throw new Error(`"${line}" is no command`);
  }
}

function recordOf(error: DbError): ErrorRecord & { readonly sqlstate: string } {
  const { detail, hint } = error.fields;
  return { condition: error.condition, sqlstate: error.sqlstate, message: error.message, detail, hint };
}
/** With names for uuids. */
function shown(record: ErrorRecord): string[] {
  const { message, detail, hint } = record;
  const { sqlstate } = new DbError(record.condition, "");
  const lines = [`  ${sqlstate} ${message}`];
  if (detail !== undefined) lines.push(`    DETAIL ${detail}`);
  if (hint !== undefined) lines.push(`    HINT ${hint}`);
  return lines.map(withNames);
}
function withNames(line: string): string {
  return line
    .replace(/01900000-0000-7000-8000-[0-9a-f]{12}/g, nameOf)
    .replace(/\b[0-9a-f]{64}\b/g, (hash) => `${hash.slice(0, 8)}...`);
}

function summary({ cluster }: ControlState): string[] {
  const lines: string[] = [];
  for (const { epoch, state, by } of cluster.epochs) {
    const signers = epoch.administrators.map(nameOf).join(",");
    const missing =
      state === "CONVERGING" ? [...cluster.missing()].map(([node, why]) => `${node} ${why}`) : [];
    lines.push(
      `epoch ${epoch.number} ${state}: ${epoch.description}` +
        (by === "admin" || by === "genesis" ? "" : `, by ${by}`) +
        (signers === "" ? "" : `, signed by ${signers}`) +
        (epoch.minNodeVersion === 0 ? "" : `, needs ${versionText(epoch.minNodeVersion)}`) +
        (missing.length === 0 ? "" : `; ${missing.join(", ")}`),
    );
  }
  const attested = [...cluster.attestations.keys()];
  if (attested.length > 0) lines.push(`attested by ${attested.join(", ")}`);
  for (const { number, condition, message } of cluster.refusedEpochs)
    lines.push(`refused epoch ${number}: ${condition}: ${message}`);
  for (const member of cluster.members.values()) {
    const ready = cluster.readyEpochOf(member.uuid);
    lines.push(
      `node ${member.name} ${member.raftId} ${member.state}${isVoting(member) ? " votes" : ""} ` +
        `${roleNames(member.roles).join(",")} ${versionText(member.version)} boot ${member.boot.count} at ${member.addresses.control}` +
        `${ready === undefined ? "" : ` ready at ${ready}`}: ${member.stateReason}, ${member.stateChangedBy}`,
    );
  }
  lines.push(...trustSummary(cluster));
  for (const [key, value] of cluster.settings) lines.push(`${key} = ${value}`);
  if (cluster.tokens.size > 0) lines.push(`${cluster.tokens.size} tokens`);
  return lines.map(withNames);
}

const caNames = new Map([1, 2, 3, 4].map((number) => [caFingerprint(number), `CA ${number}`]));
function trustSummary(cluster: ClusterState): string[] {
  const { rotation, authorities, members, certificates } = cluster;
  const isAsFounded =
    authorities.every((one) => caNames.get(one.fingerprint) === "CA 1" && one.crlPem === undefined) &&
    [...members.values()].every((one) => one.former === undefined) &&
    [...certificates.values()].every((one) => one.kind === "node");
  if (isAsFounded) return [];
  const lines: string[] = [];
  for (const authority of cluster.authorities) {
    const { fingerprint, trustedUntil } = authority;
    const list = listOf(authority, pki);
    const revoked = [...(list?.revoked.keys() ?? [])].map((one) => one.slice(0, 8)).join(",");
    lines.push(
      `${caNames.get(fingerprint)}${primaryOf(cluster) === authority ? " issues" : ` until ${trustedUntil}`}` +
        (list === undefined ? "" : `; list ${list.number}: ${revoked || "empty"}`),
    );
  }
  const pinnedOnly = new Set(cluster.pinnedAuthorities.map((one) => one.fingerprint));
  for (const { fingerprint } of cluster.formerAuthorities)
    lines.push(`${caNames.get(fingerprint)} is gone${pinnedOnly.has(fingerprint) ? ", but for pins" : ""}`);
  if (rotation !== undefined) {
    const behind = [...cluster.rotationProgress()!.laggards].map(([node, why]) => `${node} ${why}`);
    lines.push(
      `${rotation.emergency ? "emergency" : "rotation"}; ${behind.join(", ") || "the gate is open"}`,
    );
  }
  for (const { uuid, certificate, former } of cluster.members.values()) {
    const named = ({ issuer, serial }: NonNullable<typeof certificate>): string =>
      `${caNames.get(issuer)} ${serial.slice(0, 8)}${cluster.isRevoked(issuer, serial) ? " (revoked)" : ""}`;
    const pinned = cluster.pinnedOf(cluster.members.get(uuid)!).length;
    lines.push(
      `${uuid} is known by ${pinned} of ${[certificate, former?.certificate].filter((one) => one !== undefined).map(named)}`,
    );
  }
  for (const { kind, subject, serial, notAfter } of cluster.certificates.values())
    if (kind !== "node") lines.push(`${kind} ${subject} has ${serial} until ${notAfter}`);
  return lines;
}

export function runScript(text: string): string {
  const [head = "", body = ""] = text.split("\n----\n");
  const script = new ControlScript();
  const output = head
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .flatMap((line) => [line, ...script.run(line)]);
  assert(script.state.cluster.historyProblems().length === 0, "the history is sound");
  void body;
  return `${head}\n----\n${output.join("\n")}\n`;
}
