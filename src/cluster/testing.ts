/**
 * A control plane of plain Maps: what a change asks for is done, without a log, a vote or a signature. For tests of those
 * who use `ClusterAdmin`; whether a change may be made is not its business.
 */
import { DbError } from "../base/errors.js";
import type {
  AuthorityAnswer,
  AuthorityRequest,
  ClusterAdmin,
  ClusterChange,
  ClusterView,
  ControlStatus,
  DraftAction,
  EpochRecord,
  EpochRefused,
  Member,
  PeerStatus,
} from "./contract.js";
import { type Attestation, chainHash, type Epoch, zeroHash } from "./epochs.js";
import { roleBits } from "./membership.js";
import { noRules } from "./security-bundle.js";
import { settingDef } from "./settings.js";

export const fakeClusterUuid = "0190a8c0-0000-7000-8000-00000000000c";
export const fakeNodeUuid = "0190a8c0-0000-7000-8000-000000000001";

export interface FakeAdminOptions {
  readonly now?: () => number;
  readonly authorities?: ClusterView["authorities"];
}

export interface FakeView extends ClusterView {
  readonly members: Map<string, Member>;
  readonly epochs: EpochRecord[];
  readonly refusedEpochs: EpochRefused[];
  readonly attestations: Map<string, Attestation>;
  readonly settings: Map<string, string>;
}

/** One ENABLED node, `node-1`, which leads. */
export class FakeClusterAdmin implements ClusterAdmin {
  readonly view: FakeView;
  status: ControlStatus;
  /** What was asked for, in order. */
  readonly changes: { readonly change: ClusterChange; readonly by: string }[] = [];
  readonly tokens: { readonly by: string; readonly ttlMs: number; readonly roles: number }[] = [];
  /** The next change, or token, is refused with it. */
  refusal: DbError | undefined;
  /** Changes and tokens wait for it. */
  gate: Promise<void> = Promise.resolve();
  readonly #now: () => number;

  constructor({ now = () => 1_750_000_000_000, authorities = [] }: FakeAdminOptions = {}) {
    this.#now = now;
    const members = new Map<string, Member>();
    const settings = new Map<string, string>();
    this.view = {
      clusterUuid: fakeClusterUuid,
      clusterName: "fake",
      members,
      memberByName: (name) => {
        const all = [...members.values()].filter((one) => one.name === name || one.uuid === name);
        return all.find((one) => one.state !== "REMOVED") ?? all[0];
      },
      epochs: [],
      refusedEpochs: [],
      attestations: new Map(),
      settings,
      setting: (key) => settings.get(key) ?? settingDef(key)!.default,
      home: fakeNodeUuid,
      authorities,
      formerAuthorities: [],
      pinnedAuthorities: [],
      revocations: () => undefined,
      certificates: new Map(),
      rotation: undefined,
      pastRotations: [],
      rotationProgress: () => undefined,
      bundle: { version: 1, hash: zeroHash },
      signedBundle: undefined,
      bundleDraft: undefined,
      pastBundles: [],
      bundleRules: () => noRules,
      bundleWords: new Map(),
    };
    this.status = {
      node: fakeNodeUuid,
      role: "leader",
      leader: fakeNodeUuid,
      term: 1,
      lastIndex: 1,
      commitIndex: 1,
      appliedIndex: 1,
      hasQuorum: true,
      epochMismatch: false,
      leaderChanges: 1,
      proposalsCommitted: 0,
      proposalsFailed: 0,
      snapshotIndex: 0,
      bytesSinceSnapshot: 0,
      state: "ENABLED",
      peers: [],
    };
    this.addMember({ uuid: fakeNodeUuid, name: "node-1" });
    this.publish("genesis", "genesis");
  }

  /** What whoever keeps the CA's key was asked for, in order, and what it answers. */
  readonly asked: AuthorityRequest[] = [];
  answer: AuthorityAnswer = {};
  async authority(request: AuthorityRequest): Promise<AuthorityAnswer> {
    this.asked.push(request);
    await this.gate;
    if (this.refusal !== undefined) throw this.refusal;
    return this.answer;
  }

  readonly drafted: { readonly action: DraftAction; readonly by: string }[] = [];
  async draftBundle(action: DraftAction, by: string): Promise<void> {
    this.drafted.push({ action, by });
    await this.#pass();
  }

  addMember(facts: Partial<Member> & Pick<Member, "uuid" | "name">): Member {
    const at = this.#now();
    const member: Member = {
      raftId: this.view.members.size + 1,
      certFingerprint: "ab".repeat(32),
      publicKey: Buffer.alloc(32, this.view.members.size).toString("base64"),
      addresses: { control: "127.0.0.1:6433", rpc: "127.0.0.1:7433", pg: "127.0.0.1:5433" },
      hostLabel: "local",
      roles: roleBits.VOTER | roleBits.SHARD_OWNER | roleBits.COORDINATOR,
      state: "ENABLED",
      version: 1000,
      joinedAt: at,
      addedBy: "genesis",
      stateChangedAt: at,
      stateChangedBy: "genesis",
      stateReason: "joined",
      boot: { count: 1, nonce: "" },
      ...facts,
    };
    this.view.members.set(member.uuid, member);
    return member;
  }

  addPeer(facts: Partial<PeerStatus> & Pick<PeerStatus, "node">): void {
    const peer: PeerStatus = {
      connected: true,
      lastSeenAt: this.#now(),
      epoch: this.view.epochs.length,
      appliedIndex: 1,
      version: 1000,
      roundTripMs: 0.5,
      ...facts,
    };
    this.status = { ...this.status, peers: [...this.status.peers, peer] };
  }

  publish(description: string, by: string, state: EpochRecord["state"] = "EFFECTIVE"): void {
    const { epochs } = this.view;
    const before = epochs.pop();
    if (before !== undefined) epochs.push({ ...before, state: "SUPERSEDED" });
    const at = this.#now();
    const epoch: Epoch = {
      number: epochs.length + 1,
      clusterUuid: fakeClusterUuid,
      previousHash: before?.hash ?? zeroHash,
      parts: {},
      createdAt: at,
      publishedAt: at,
      administrators: [],
      description,
      minNodeVersion: 0,
      signatures: [],
      leader: { node: fakeNodeUuid, certFingerprint: zeroHash, signature: "" },
    };
    const effectiveAt = state === "EFFECTIVE" ? at : undefined;
    epochs.push({ epoch, hash: chainHash(epoch), state, effectiveAt, by });
  }

  async change(change: ClusterChange, by: string): Promise<void> {
    this.changes.push({ change, by });
    await this.#pass();
    this.#apply(change, by);
    this.publish(change.kind, by);
  }

  async createJoinToken(options: { by: string; ttlMs: number; roles: number }): Promise<string> {
    const { by, ttlMs, roles } = options;
    this.tokens.push({ by, ttlMs, roles });
    const number = this.tokens.length;
    await this.#pass();
    return `token-${number}`;
  }

  async #pass(): Promise<void> {
    const { refusal } = this;
    this.refusal = undefined;
    await this.gate;
    if (refusal !== undefined) throw refusal;
  }

  #apply(change: ClusterChange, by: string): void {
    const update = (uuid: string, facts: Partial<Member>): void => {
      const member = this.view.members.get(uuid);
      if (member === undefined) throw new DbError("undefinedObject", `node ${uuid} does not exist`);
      this.view.members.set(uuid, { ...member, ...facts });
    };
    const moved = (state: Member["state"], stateReason: string): Partial<Member> => ({
      state,
      stateReason,
      stateChangedBy: by,
      stateChangedAt: this.#now(),
    });
    switch (change.kind) {
      case "set":
        this.view.settings.set(change.key, change.value);
        return;
      case "reset":
        this.view.settings.delete(change.key);
        return;
      case "addMember":
        this.addMember({ ...change.member, addedBy: by, stateChangedBy: by, state: "JOINING" });
        return;
      case "moveMember":
        update(change.node, moved(change.to, change.reason));
        return;
      case "removeMember":
        update(change.node, moved("REMOVED", change.reason));
        return;
      case "setRoles":
        update(change.node, { roles: change.roles });
        return;
      case "setAddresses":
        update(change.node, { addresses: change.addresses });
        return;
      case "forceCutover":
        for (const node of change.disabling) update(node, moved("DISABLED", "forced cutover"));
        return;
      case "policy":
        return;
    }
  }
}
