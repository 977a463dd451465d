/**
 * What a node does about certificates: its own it renews in time, those of others it issues and revokes where a CA's key is
 * kept, and while CAs are exchanged it says whose new certificates it sees. Who leads ends an exchange that goes on by itself.
 *
 *     node: request  --authority-->  keeper of the CA's key: certificate  -->  node: recertify, an epoch
 *     statement      --authority-->  keeper of the CA's key: new list     -->  revoke, an epoch
 *     PUBLISH        --authority-->  keeper of the CA's key: new bundle   -->  policy, an epoch
 *
 * Invariants: who asks is who its certificate says; a list is made of everything that was committed, and made anew when
 * another has come first; a node's new key is durable before the log names it; nothing here waits for main.
 */
import { DbError } from "../base/errors.js";
import { uuidFromBytes } from "../model/uuid.js";
import type { Log } from "../observe/index.js";
import type { Clock, Random } from "../platform/index.js";
import {
  type CaName,
  type CaService,
  type CertificateKind,
  type CertificateSighting,
  type CertificateStore,
  certificatesOf,
  consentDigest,
  countsForGate,
  crlValidMs,
  type FreshCertificate,
  gateProblem,
  type IssuedCertificate,
  leftBehind,
  listOf,
  looksForGate,
  overlapCareMs,
  overlapEnd,
  overlapMaxMs,
  overlapTrustMs,
  type Pki,
  primaryOf,
  type Revocation,
  type Rotation,
  serverCertificatesOf,
  serverNamesOf,
  sightingDigest,
  sightingMaxAgeMs,
} from "./certificates.js";
import { type ClusterState, errorOf } from "./cluster-state.js";
import type {
  BundleRules,
  BundleSource,
  ClusterChange,
  ClusterCommand,
  RuleSet,
  SecurityBundle,
  Signer,
} from "./contract.js";
import type { AuthorityAnswer, AuthorityRequest } from "./control-messages.js";
import type { Hash } from "./epochs.js";
import { isFollowing, isVoting, type Member, quorumOf } from "./membership.js";
import { signBundle, unenforcedIn } from "./security-bundle.js";
import { durationMs } from "./settings.js";

export interface KeeperOptions {
  readonly self: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly pki: Pki;
  readonly signer: Signer;
  readonly authority: CaService | undefined;
  readonly store: CertificateStore | undefined;
  /** Sets whose rules this version puts into effect; by default those it does. */
  readonly enforced?: ReadonlySet<RuleSet> | undefined;
  readonly cluster: () => ClusterState;
  readonly isLeader: () => boolean;
  /** Everything that is committed is applied. @throws DbError 57P03 */
  readonly catchUp: () => Promise<void>;
  /** Resolves once applied here. @throws DbError */
  readonly change: (change: ClusterChange, by: string) => Promise<void>;
  readonly command: (command: ClusterCommand) => Promise<void>;
  readonly isReachable: (node: string) => boolean;
  /** CA keys that a peer keeps, by its own word. */
  readonly keysOf: (node: string) => readonly string[];
  /** `faults` of a peer, by its own word; undefined: not known yet. */
  readonly faultsOf: (node: string) => number | undefined;
  readonly ask: (node: string, request: AuthorityRequest) => Promise<AuthorityAnswer>;
  /** The certificate by which all connections with a node stand, of both halves of this one; undefined: none, or several. */
  readonly seenWith: (node: string) => string | undefined;
}

/** CA-19: of a certificate for a year. */
const renewBeforeMs = 30 * 86_400_000;
/** After something about certificates has failed, it is tried again. */
const retryMs = 2_000;
/** Sightings are said again before they are too old. */
const sayAgainMs = sightingMaxAgeMs - 60_000;
/** SQL-15: the certificates of a removed node are the last that is taken from it. */
const revokeRemovedAfterMs = 60_000;
/** Lists of two CA keepers, or of two statements, come one behind the other. */
const listAttempts = 10;
/** CREATE CA makes keys that nobody may ever ask for. */
const caKeysMax = 8;
/** Of one node, for its Postgres port: one a year, and one for each new address. */
const serverCertificatesMax = 32;

export class CertificateKeeper {
  readonly #options: KeeperOptions;
  /** Something of these is under way, or was tried a moment ago. */
  #renewing = false;
  #saying = false;
  #keeping = false;
  #cutting = false;
  /** The emergency under way, and since when this node has known of it; monotonic. */
  #emergency: { readonly id: string; readonly since: number } | undefined;
  /** What was wrong with certificates of members, or with links to them, while CAs were exchanged. Only differences say anything. */
  #faults = 0;
  /** As the leader: since when nothing has been wrong anywhere, monotonic, and what was; undefined: it does not lead. */
  #calm: { readonly since: number; readonly after: string } | undefined;
  readonly #faultsHeard = new Map<string, number>();
  /** Of this node, durable and perhaps not in the log yet. */
  #kept: { readonly issuer: string; readonly certificatePem: string } | undefined;
  /** When this node has heard the newest word of each, and when the first one that said the same; monotonic. */
  readonly #heard = new Map<string, { readonly sighting: CertificateSighting; readonly at: number }>();
  readonly #firstHeard = new Map<string, { readonly seen: string; readonly at: number }>();

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Looks whether something is to be done. Called now and then, while somebody leads. */
  tick(): void {
    const { cluster, self, authority, store } = this.#options;
    const state = cluster();
    const own = state.members.get(self);
    const primary = primaryOf(state);
    if (own === undefined || own.state === "REMOVED" || primary === undefined) return;
    this.#noteSightings(state);
    this.#noteFaults(state, own);
    if (store !== undefined && !this.#renewing && this.#isRenewalDue(own, primary.fingerprint))
      this.#once("#renewing", "this node's certificate could not be renewed", () => this.#renew(store));
    if (!this.#saying) this.#say(state, own);
    // Wherever they are: the one that issues now may be kept elsewhere.
    for (const key of authority?.keys() ?? [])
      if (state.formerAuthorities.some((one) => one.fingerprint === key)) authority!.forget(key);
    if (authority?.keys().includes(primary.fingerprint) === true && !this.#keeping) this.#keepLists(state);
    if (this.#options.isLeader() && !this.#cutting) {
      this.#extendWhenDue(state);
      this.#cutOverWhenDue(state);
    }
  }

  /** For the others: the leader looks whether it rises. */
  get faults(): number {
    return this.#faults;
  }
  /** A certificate of a member was refused by this node. */
  memberRefused(): void {
    this.#faults++;
  }

  #once(
    flag: "#renewing" | "#saying" | "#keeping" | "#cutting",
    trouble: string,
    run: () => Promise<void>,
  ): void {
    const set = (on: boolean): void => {
      if (flag === "#renewing") this.#renewing = on;
      else if (flag === "#saying") this.#saying = on;
      else if (flag === "#keeping") this.#keeping = on;
      else this.#cutting = on;
    };
    set(true);
    run().then(
      () => set(false),
      (error: unknown) => {
        if (!(error instanceof DbError)) throw error;
        this.#options.log.warn(trouble, { error });
        this.#options.clock.after(retryMs, () => set(false));
      },
    );
  }

  // --- this node's own -----------------------------------------------------------------------------------------------

  /** One that nobody has noted cannot be revoked: it makes room for one that is. */
  #isRenewalDue({ certificate }: Member, primary: string): boolean {
    if (certificate === undefined) return true;
    return certificate.issuer !== primary || certificate.notAfter - this.#options.clock.now() < renewBeforeMs;
  }

  async #renew(store: CertificateStore): Promise<void> {
    const { self, cluster, log } = this.#options;
    const primary = primaryOf(cluster())!.fingerprint;
    // What came of the last try may not be known: the same certificate can only be taken once.
    if (this.#kept?.issuer !== primary) {
      const { requestPem, keep } = await store.request();
      const answer = await this.do({ kind: "renew", requestPem, node: self }, self);
      const { certificatePem, authorityPem, certificate } = answer;
      if (certificatePem === undefined || authorityPem === undefined || certificate === undefined)
        throw new DbError("protocolViolation", "the answer to a request for a certificate holds none");
      keep(certificatePem, authorityPem);
      this.#kept = { issuer: certificate.issuer, certificatePem };
    }
    const { certificatePem } = this.#kept;
    try {
      const { clusterUuid } = cluster();
      const consent = this.#options.signer.sign(consentDigest(clusterUuid, self, certificatePem));
      await this.#options.change({ kind: "recertify", node: self, certificatePem, consent }, this.#name());
      this.#kept = undefined;
    } catch (error) {
      const isRefused = error instanceof DbError && error.condition === "invalidAuthorizationSpecification";
      if (isRefused) this.#kept = undefined;
      throw error;
    }
    log.info("this node has a new certificate", {
      serial: cluster().members.get(self)?.certificate?.serial,
    });
  }
  #name(): string {
    const { self, cluster } = this.#options;
    return `node ${cluster().members.get(self)?.name ?? self}`;
  }

  /** CA-30: once every connection with every other member stands by its new certificate. */
  #say(state: ClusterState, own: Member): void {
    const { rotation } = state;
    const { self, clock, signer, command, seenWith } = this.#options;
    if (rotation === undefined || !looksForGate(own) || own.certificate?.issuer !== rotation.to) return;
    if (signer.certFingerprint !== own.certFingerprint) return;
    const now = Math.floor(clock.now());
    const seen: CertificateSighting["seen"][number][] = [];
    for (const { uuid, certFingerprint, certificate, ...member } of state.members.values()) {
      if (uuid === self || !countsForGate(member)) continue;
      if (certificate?.issuer !== rotation.to || seenWith(uuid) !== certFingerprint) return;
      seen.push({ peer: uuid, certFingerprint, observedAt: now });
    }
    const said = state.sightings.get(self);
    const isSame =
      said !== undefined &&
      said.seen.length === seen.length &&
      seen.every((one) =>
        said.seen.some((other) => other.peer === one.peer && other.certFingerprint === one.certFingerprint),
      );
    if (isSame && (seen.length === 0 || now - said.seen[0]!.observedAt < sayAgainMs)) return;
    const content = { node: self, rotation: rotation.id, seen };
    const sighting = { ...content, signature: signer.sign(sightingDigest(content)) };
    this.#once("#saying", "what this node sees of certificates could not be noted", () =>
      command({ type: "sighting", sighting }),
    );
  }

  /** CA-33: errors of certificates, failures of links, members that are not well. */
  #noteFaults(state: ClusterState, own: Member): void {
    const { clock, isLeader, isReachable, faultsOf, self, log } = this.#options;
    const { rotation } = state;
    if (rotation === undefined || state.rotationProgress()!.laggards.size > 0) {
      this.#calm = undefined;
      this.#faultsHeard.clear();
      return;
    }
    // A pair of two others is theirs to see: the leader hears of it from them.
    const others = [...state.members.values()].filter((one) => one.uuid !== self && countsForGate(one));
    const before = this.#faults;
    if (looksForGate(own))
      for (const one of others)
        if (this.#options.seenWith(one.uuid) !== one.certFingerprint) this.#faults = before + 1;
    if (!isLeader()) {
      this.#calm = undefined;
      this.#faultsHeard.clear();
      return;
    }
    let fault = this.#hasRisen(self, this.#faults) ? "this node has trouble with a certificate" : undefined;
    for (const { uuid, name, state: now } of others) {
      if (now === "FAILED") fault ??= `node ${name} is FAILED`;
      if (now !== "ENABLED") continue;
      const said = faultsOf(uuid);
      if (!isReachable(uuid)) fault ??= `node ${name} is not reached`;
      else if (said !== undefined && this.#hasRisen(uuid, said))
        fault ??= `node ${name} has trouble with a certificate`;
    }
    const now = clock.monotonic();
    if (this.#calm === undefined) this.#calm = { since: now, after: fault ?? "" };
    else if (fault !== undefined) {
      if (rotation.windowMs > 0 && now - this.#calm.since >= retryMs)
        log.warn("the stability window of the exchange of CAs begins anew", { reason: fault });
      this.#calm = { since: now, after: fault };
    }
  }
  #hasRisen(node: string, faults: number): boolean {
    const before = this.#faultsHeard.get(node);
    this.#faultsHeard.set(node, faults);
    return before !== undefined && before !== faults;
  }

  // --- as the leader -------------------------------------------------------------------------------------------------

  /**
   * Where too few can do without the older CA its end would be the cluster's: nobody could decide anything any more, not even to
   * go on with it.
   */
  #extendWhenDue(state: ClusterState): void {
    const { rotation } = state;
    if (rotation === undefined || rotation.emergency === true) return;
    const now = this.#options.clock.now();
    if (overlapEnd(state) - now >= overlapCareMs) return;
    const voters = [...state.members.values()].filter(isVoting);
    const able = voters.filter(({ certificate }) => certificate?.issuer === rotation.to);
    if (able.length >= quorumOf(voters.length)) return;
    const until = Math.floor(now) + overlapTrustMs;
    if (until > rotation.startedAt + overlapMaxMs) return;
    this.#options.log.warn("the older CA goes on being trusted: without it there would be no quorum", {
      voters: voters.length,
      able: able.length,
    });
    this.#once("#cutting", "the overlap of CAs could not be extended", () =>
      this.#options.change({ kind: "extendOverlap", id: rotation.id, until }, this.#name()),
    );
  }

  #cutOverWhenDue(state: ClusterState): void {
    const { rotation } = state;
    if (rotation?.automatic !== true || this.#cutting) return;
    const problem = this.#cutOverProblem(state, rotation);
    const isOver = rotation.emergency === true && this.#isWindowOver(rotation);
    if (problem !== undefined && !isOver) return;
    const leaving =
      problem === undefined ? undefined : leftBehind(rotation, state.members.values()).map((one) => one.uuid);
    this.#once("#cutting", "the older CA could not be dropped yet", () =>
      this.#options.change({ kind: "cutOver", id: rotation.id, leaving }, this.#name()),
    );
  }

  /**
   * Of an emergency, by the time that the log has, and by how long this node has seen it under way: a clock that is set back
   * does not make it last for ever. Whoever leads next goes on from there.
   */
  #isWindowOver({ id, startedAt, windowMs }: Rotation): boolean {
    const { clock } = this.#options;
    const now = clock.monotonic();
    if (this.#emergency?.id !== id) this.#emergency = { id, since: now };
    return clock.now() - startedAt >= windowMs || now - this.#emergency.since >= windowMs;
  }

  /**
   * What the leader alone can tell of a change: how long everything has been in order, by its own clock. Others' clocks may say
   * anything.
   */
  refusalOf(change: ClusterChange): DbError | undefined {
    const state = this.#options.cluster();
    const { rotation } = state;
    if (change.kind === "emergency" && change.leaving !== undefined)
      return this.#holdersProblem(state, change);
    if (change.kind !== "cutOver" || change.leaving !== undefined || rotation?.id !== change.id)
      return undefined;
    return this.#cutOverProblem(state, rotation);
  }

  /** CA-39: those who can speak without the older CA, and are there, have to be a quorum of those who are left. */
  #holdersProblem(
    state: ClusterState,
    { certificatePem, leaving }: ClusterChange & { kind: "emergency" },
  ): DbError | undefined {
    const to = this.#options.pki.readAuthority(certificatePem)?.fingerprint;
    const left = [...state.members.values()].filter(
      (one) => isVoting(one) && leaving?.includes(one.uuid) !== true,
    );
    const { self, isReachable } = this.#options;
    const able = left.filter(
      ({ uuid, certificate }) => certificate?.issuer === to && (uuid === self || isReachable(uuid)),
    );
    if (left.length > 0 && able.length >= quorumOf(left.length)) return undefined;
    return new DbError(
      "objectNotInPrerequisiteState",
      `${able.length} of ${left.length} voters are reached and have a certificate of the replacement`,
      {
        detail: "NO_QUORUM: without the older CA the cluster could not decide anything any more.",
        hint: "Without FORCE IMMEDIATE they get one first.",
      },
    );
  }

  #noteSightings(state: ClusterState): void {
    const now = this.#options.clock.monotonic();
    for (const [node, said] of this.#heard)
      if (state.sightings.get(node) !== said.sighting) this.#heard.delete(node);
    for (const [node, sighting] of state.sightings)
      if (!this.#heard.has(node)) {
        // Said again it is fresh; since when nothing was missing, the first word of the kind says.
        const before = this.#firstHeard.get(node);
        const isSame = before !== undefined && before.seen === seenText(sighting);
        if (!isSame) this.#firstHeard.set(node, { seen: seenText(sighting), at: now });
        this.#heard.set(node, { sighting, at: now });
      }
  }

  /** CA-33, CA-34: the gate is open, each word is fresh, and the stability window is over. */
  #cutOverProblem(state: ClusterState, { windowMs, emergency }: Rotation): DbError | undefined {
    this.#noteSightings(state);
    const nameOf = (node: string): string => state.members.get(node)?.name ?? node;
    const problem = gateProblem(state.rotationProgress()!, nameOf);
    if (problem !== undefined) return errorOf(problem);
    const now = this.#options.clock.monotonic();
    let since = Number.NEGATIVE_INFINITY;
    for (const member of state.members.values()) {
      if (!looksForGate(member)) continue;
      const heard = this.#heard.get(member.uuid);
      if (heard === undefined || now - heard.at > sightingMaxAgeMs)
        return new DbError("objectNotInPrerequisiteState", "not every node has been seen lately", {
          detail: `CONVERGENCE_TIMEOUT: node ${member.name} has said nothing of the others' certificates for long.`,
        });
      since = Math.max(since, this.#firstHeard.get(member.uuid)?.at ?? heard.at);
    }
    const calm = this.#calm ?? { since: now, after: "" };
    const left = Math.max(since, calm.since) + windowMs - now;
    if (left <= 0 || emergency === true) return undefined;
    const why = calm.since > since && calm.after !== "" ? ` It began anew: ${calm.after}.` : "";
    return new DbError("objectNotInPrerequisiteState", "the stability window of the rotation is not over", {
      detail: `STABILITY_WINDOW: it takes another ${Math.ceil(left / 1000)} s.${why}`,
    });
  }

  // --- where a CA's key is kept --------------------------------------------------------------------------------------

  /** Lists that grow old are made anew; who was removed, its certificates are revoked. */
  #keepLists(state: ClusterState): void {
    const { authority, clock, pki } = this.#options;
    const now = clock.now();
    // Behind its farewell, in which it is told that it was removed.
    const gone = [...state.members.values()].filter(
      (one) =>
        one.state === "REMOVED" &&
        now - one.stateChangedAt > revokeRemovedAfterMs &&
        this.#unrevoked(state, one).length > 0,
    );
    const old = state.authorities.find(
      (one) =>
        authority!.keys().includes(one.fingerprint) &&
        (listOf(one, pki)?.nextUpdate ?? Number.POSITIVE_INFINITY) - now < crlValidMs / 2,
    );
    if (gone.length > 0)
      this.#once("#keeping", "the certificates of removed nodes could not be revoked", () =>
        this.#revokeAll(
          gone.flatMap((one) => this.#unrevoked(state, one)),
          "cessationOfOperation",
          this.#name(),
        ),
      );
    else if (old !== undefined)
      this.#once("#keeping", "a revocation list could not be made anew", () =>
        this.#newList(old.fingerprint, [], "cessationOfOperation", this.#name()),
      );
  }

  /** A member's certificates that are believed still. */
  #unrevoked(state: ClusterState, member: Member): { issuer: string; serial: string }[] {
    const now = this.#options.clock.now();
    const own = certificatesOf(member).flatMap(({ certificate }) =>
      certificate === undefined ||
      certificate.notAfter < now ||
      !state.authorities.some((one) => one.fingerprint === certificate.issuer) ||
      state.isRevoked(certificate.issuer, certificate.serial)
        ? []
        : [{ issuer: certificate.issuer, serial: certificate.serial }],
    );
    return [...own, ...this.#unrevokedServers(state, member.uuid)];
  }

  /** Of its Postgres port. */
  #unrevokedServers(state: ClusterState, node: string): { issuer: string; serial: string }[] {
    const now = this.#options.clock.now();
    return serverCertificatesOf(state.certificates, node)
      .filter(
        ({ issuer, serial, notAfter }) =>
          notAfter >= now &&
          state.authorities.some((one) => one.fingerprint === issuer) &&
          !state.isRevoked(issuer, serial),
      )
      .map(({ issuer, serial }) => ({ issuer, serial }));
  }

  /**
   * Of this node, or of a peer: done here if the key is here, else by whoever keeps it. `from`: who asks, by its certificate.
   * @throws DbError 55000: nobody who keeps the key can be reached; 22023, 42704, 55000, 57P03 as the request deserves
   */
  async do(request: AuthorityRequest, from: string): Promise<AuthorityAnswer> {
    const { authority, cluster, self, isReachable, keysOf, ask } = this.#options;
    if (request.kind === "recoverKey" || (request.kind === "createCa" && request.node !== undefined))
      return this.#atNode(request, request.node!, from);
    const wanted = this.#keyFor(request);
    if (authority?.keys().includes(wanted) === true) return this.#serve(authority, request, from);
    if (from === self)
      for (const { uuid } of cluster().members.values())
        if (uuid !== self && isReachable(uuid) && keysOf(uuid).includes(wanted))
          return ask(uuid, request).catch(brokenOff);
    throw new DbError(
      "objectNotInPrerequisiteState",
      "no node that keeps the private key of the certificate authority can be reached",
      {
        detail: `NO_CA_KEY: the key is that of CA ${wanted}.`,
        hint: "Start the node that keeps it, bring the key back from its shares (RECOVER CA KEY), or exchange the CA for one made by CREATE CA ON NODE.",
      },
    );
  }

  /** Whose key it takes: of a CA that comes in, or of the one that issues now. */
  #keyFor(request: AuthorityRequest): Hash {
    const { cluster, pki } = this.#options;
    const primary = primaryOf(cluster())!.fingerprint;
    if (request.kind === "beginOverlap" || request.kind === "emergency")
      return pki.readAuthority(request.certificatePem)?.fingerprint ?? primary;
    return primary;
  }

  /** What a node is to do itself, whatever keys it has. */
  #atNode(
    request: AuthorityRequest & { readonly kind: "recoverKey" | "createCa" },
    node: string,
    from: string,
  ): Promise<AuthorityAnswer> | AuthorityAnswer {
    const { self, authority, isReachable, ask } = this.#options;
    if (node === self) {
      if (authority !== undefined) return this.#serve(authority, request, from);
      throw new DbError("objectNotInPrerequisiteState", "keys of certificate authorities are not kept here");
    }
    if (from !== self) throw notYours();
    if (!isReachable(node))
      throw new DbError("cannotConnectNow", "the node that is to keep the key is not reached");
    return ask(node, request).catch(brokenOff);
  }

  async #serve(authority: CaService, request: AuthorityRequest, from: string): Promise<AuthorityAnswer> {
    const { cluster, self, catchUp, log } = this.#options;
    await catchUp();
    const asking = cluster().members.get(from);
    if (asking === undefined || !isFollowing(asking))
      throw new DbError("invalidAuthorizationSpecification", "only members ask for certificates");
    if (request.kind === "renew") {
      if (request.node !== from) throw notYours();
      const issued = await this.#issue((primary) =>
        authority.issueNode(primary, request.requestPem, from, asking.name),
      );
      return issued;
    }
    if (request.kind === "server") {
      if (request.node !== from) throw notYours();
      return this.#issueForPort(authority, request.requestPem, asking);
    }
    // What statements ask for; whoever is not enabled serves no clients (MEM-9).
    if (asking.state !== "ENABLED" && from !== self) throw notYours();
    switch (request.kind) {
      case "admit": {
        if (cluster().members.has(request.node))
          throw new DbError("duplicateObject", `there is a node ${request.node} already`, {
            hint: "Join with a new data folder.",
          });
        return this.#issue((primary) =>
          authority.issueNode(primary, request.requestPem, request.node, request.name),
        );
      }
      case "issue":
        return this.#issueFor(authority, request);
      case "revoke":
        return this.#revoke(request);
      case "createCa": {
        if (authority.keys().length >= caKeysMax)
          throw new DbError(
            "configurationLimitExceeded",
            `there are ${caKeysMax} keys of certificate authorities on this node already`,
            { hint: "Those of CAs that are cut over or canceled are destroyed by themselves." },
          );
        const certificatePem = await authority.create();
        return { authorityPem: certificatePem };
      }
      case "rotate": {
        const certificatePem = await authority.create();
        return this.#begin(authority, certificatePem, request.windowMs, true, request.by);
      }
      case "beginOverlap":
        return this.#begin(authority, request.certificatePem, request.windowMs, false, request.by);
      case "publishBundle":
        return this.#publishBundle(authority, request);
      case "splitKey": {
        const { needed, total, by } = request;
        const primary = primaryOf(cluster())!;
        const shares = await authority.split(primary, { needed, total });
        log.warn("the CA's key was given out in shares", { ca: primary.fingerprint, needed, total, by });
        return { authorityPem: primary.certificatePem, shares };
      }
      case "recoverKey": {
        const { authorities } = cluster();
        const fingerprint = await authority.recover(authorities, request.shares);
        const { certificatePem } = authorities.find((one) => one.fingerprint === fingerprint)!;
        log.warn("the CA's key was brought back from shares", { ca: fingerprint, by: request.by });
        return { authorityPem: certificatePem };
      }
      case "emergency":
        return this.#replace(authority, request);
    }
  }

  async #issue(issue: (by: CaName) => Promise<FreshCertificate>): Promise<AuthorityAnswer> {
    const primary = primaryOf(this.#options.cluster())!;
    const { certificatePem, fingerprint, publicKey, serial, notBefore, notAfter } = await issue(primary);
    return {
      certificatePem,
      authorityPem: primary.certificatePem,
      certFingerprint: fingerprint,
      publicKey,
      certificate: { serial, issuer: primary.fingerprint, notBefore, notAfter },
    };
  }

  async #issueForPort(authority: CaService, requestPem: string, node: Member): Promise<AuthorityAnswer> {
    const { cluster } = this.#options;
    const state = cluster();
    if (this.#unrevokedServers(state, node.uuid).length >= serverCertificatesMax)
      throw new DbError(
        "configurationLimitExceeded",
        `node ${node.name} has ${serverCertificatesMax} valid certificates for its Postgres port already`,
        { hint: "REVOKE CERTIFICATE makes room; sys.certificates lists them." },
      );
    const names = serverNamesOf(node, state.clusterUuid);
    const answer = await this.#issue((primary) => authority.issueServer(primary, requestPem, names));
    await this.#noteIssued(answer, "server", node.uuid, `node ${node.name}`);
    return answer;
  }

  async #issueFor(
    authority: CaService,
    { requestPem, to, name, by }: AuthorityRequest & { kind: "issue" },
  ): Promise<AuthorityAnswer> {
    const { cluster } = this.#options;
    if (to === "node") {
      const member = cluster().members.get(name);
      if (member === undefined || member.state === "REMOVED")
        throw new DbError("undefinedObject", `node "${name}" does not exist`);
      return this.#issue((primary) => authority.issueNode(primary, requestPem, name, member.name));
    }
    const answer = await this.#issue((primary) =>
      to === "user"
        ? authority.issueUser(primary, requestPem, name)
        : authority.issueService(primary, requestPem, name),
    );
    await this.#noteIssued(answer, to, name, by);
    return answer;
  }

  /** Nobody is given what the cluster does not know of: it could not be revoked. */
  async #noteIssued(
    answer: AuthorityAnswer,
    kind: CertificateKind,
    subject: string,
    by: string,
  ): Promise<void> {
    const { command, clock, log } = this.#options;
    const certificate: IssuedCertificate = {
      ...answer.certificate!,
      kind,
      subject,
      fingerprint: answer.certFingerprint!,
      issuedAt: Math.floor(clock.now()),
      by,
    };
    await command({ type: "certificate", certificate });
    log.info("a certificate was issued", { kind, subject, serial: certificate.serial, by });
  }

  // --- revocation ----------------------------------------------------------------------------------------------------

  async #revoke(request: AuthorityRequest & { kind: "revoke" }): Promise<AuthorityAnswer> {
    const { cluster, log } = this.#options;
    const state = cluster();
    const member = request.node === undefined ? undefined : this.#memberOf(state, request.node);
    if (member !== undefined && member.certificate === undefined)
      throw new DbError(
        "objectNotInPrerequisiteState",
        `the certificate of node ${member.name} is not known`,
        {
          detail: "UNKNOWN_CERTIFICATE: it was admitted by a release that did not note it.",
          hint: "REMOVE NODE takes the node's access away, or ROTATE CA gives it a certificate that is known.",
        },
      );
    if (state.pinnedAuthorities.some((one) => one.fingerprint === member?.certificate?.issuer))
      throw new DbError(
        "objectNotInPrerequisiteState",
        `the certificate of node ${member!.name} is of a CA that was revoked itself`,
        {
          detail: "UNTRUSTED_CA: it counts until the node has another one, or the emergency is over.",
          hint: "REMOVE NODE takes the node's access away now; FORCE IMMEDIATE ends the emergency.",
        },
      );
    const targets =
      member === undefined ? this.#bySerial(state, request.serial ?? "") : this.#unrevoked(state, member);
    const open = targets.filter(({ issuer, serial }) => !state.isRevoked(issuer, serial));
    if (open.length === 0) return { revoked: [] };
    for (const { issuer, serial } of open) this.#refuseIfNeeded(state, issuer, serial);
    await this.#revokeAll(open, request.reason, request.by);
    const serials = open.map((one) => one.serial);
    log.warn("certificates were revoked", { serials, reason: request.reason, by: request.by });
    return { revoked: serials };
  }

  /**
   * After an answer of a peer: what it says that was revoked has to be so in the log.
   * @throws DbError 08P01
   */
  checkDone(request: AuthorityRequest, { revoked }: AuthorityAnswer): void {
    if (request.kind !== "revoke") return;
    const state = this.#options.cluster();
    const open =
      request.node === undefined
        ? this.#bySerial(state, request.serial ?? "").filter(
            ({ issuer, serial }) => !state.isRevoked(issuer, serial),
          )
        : this.#unrevoked(state, this.#memberOf(state, request.node));
    if (open.length > 0)
      throw new DbError("protocolViolation", "the node that keeps the key of the CA has not revoked", {
        detail: `Not revoked: ${open.map((one) => one.serial).join(", ")}; its answer: ${revoked?.join(", ") || "none"}.`,
      });
  }

  #memberOf(state: ClusterState, node: string): Member {
    const member = state.members.get(node);
    if (member === undefined) throw new DbError("undefinedObject", `node "${node}" does not exist`);
    return member;
  }

  #bySerial(state: ClusterState, serial: string): { issuer: string; serial: string }[] {
    const found = [...state.certificates.values()].filter(
      (one) =>
        one.serial === serial && state.authorities.some(({ fingerprint }) => fingerprint === one.issuer),
    );
    if (found.length === 0)
      throw new DbError("undefinedObject", `no valid certificate has the serial number ${serial}`, {
        hint: "sys.certificates lists them.",
      });
    return found.map(({ issuer }) => ({ issuer, serial }));
  }

  /** Whom it would cut off that the cluster cannot do without. */
  #refuseIfNeeded(state: ClusterState, issuer: string, serial: string): void {
    const { self, isReachable } = this.#options;
    const member = [...state.members.values()].find(
      ({ certificate, state: now }) =>
        now !== "REMOVED" && certificate?.issuer === issuer && certificate.serial === serial,
    );
    if (member === undefined) return;
    const refuse = (message: string, detail: string, hint: string): never => {
      throw new DbError("objectNotInPrerequisiteState", message, { detail, hint });
    };
    if (member.uuid === state.home)
      refuse(
        `node ${member.name} holds the only copy of shards`,
        "ONLY_COPY: cut off, it could not be reached for them.",
        "Shards cannot be moved yet. To give it another certificate: ROTATE CA.",
      );
    if (member.uuid === self)
      refuse(
        `node ${member.name} keeps the key of the certificate authority`,
        "CA_KEY: cut off, it could issue and revoke nothing.",
        "Bring the key to another node first: BACKUP CA KEY, RECOVER CA KEY.",
      );
    // Without its certificate it stays a voter: those who can still speak must be a quorum of all.
    const voters = [...state.members.values()].filter(isVoting);
    const left = voters.filter(
      ({ uuid, certificate }) =>
        uuid !== member.uuid &&
        (uuid === self || isReachable(uuid)) &&
        (certificate === undefined || !state.isRevoked(certificate.issuer, certificate.serial)),
    );
    if (isVoting(member) && left.length < quorumOf(voters.length))
      refuse(
        `without node ${member.name} no quorum would be left`,
        "NO_QUORUM: nobody could decide anything any more.",
        "Bring other voters back first.",
      );
  }

  async #revokeAll(
    targets: readonly { readonly issuer: string; readonly serial: string }[],
    reason: string,
    by: string,
  ): Promise<void> {
    for (const issuer of new Set(targets.map((one) => one.issuer))) {
      const serials = targets.filter((one) => one.issuer === issuer).map((one) => one.serial);
      await this.#newList(issuer, serials, reason, by);
    }
  }

  /** The list of a CA with more on it; another that comes first is the base of the next try. */
  async #newList(issuer: string, serials: readonly string[], reason: string, by: string): Promise<void> {
    const { cluster, authority, clock, pki, change, catchUp } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const state = cluster();
      const ca = state.authorities.find((one) => one.fingerprint === issuer);
      if (ca === undefined || authority?.keys().includes(issuer) !== true)
        throw new DbError("objectNotInPrerequisiteState", `the key of CA ${issuer} is not kept here`);
      const before = listOf(ca, pki);
      // Lists know whole seconds.
      const thisUpdate = Math.floor(clock.now() / 1000) * 1000;
      const revoked = new Map<string, Revocation>();
      for (const [serial, one] of before?.revoked ?? []) {
        const known = state.certificates.get(`${issuer} ${serial}`);
        if (known === undefined || known.notAfter >= thisUpdate) revoked.set(serial, one);
      }
      const fresh = serials.filter((one) => !revoked.has(one));
      if (serials.length > 0 && fresh.length === 0) return;
      for (const serial of fresh) revoked.set(serial, { revokedAt: thisUpdate, reason });
      const number = (before?.number ?? 0) + 1;
      const list = { number, thisUpdate, nextUpdate: thisUpdate + crlValidMs, revoked };
      const crlPem = await authority.signList(ca, list);
      try {
        await change({ kind: "revoke", authority: issuer, serials: fresh, crlPem }, by);
        return;
      } catch (error) {
        const isLate = error instanceof DbError && /^CRL_NUMBER: /.test(error.fields.detail ?? "");
        if (!isLate || attempt >= listAttempts) throw error;
      }
      await catchUp();
    }
  }

  // --- security bundles ----------------------------------------------------------------------------------------------

  /**
   * The next epoch's bundle, of the draft or of an older version. Epochs that come first make it another number's: then it is made
   * anew, unless it was to have just this one.
   */
  async #publishBundle(
    authority: CaService,
    { from, version, by, creator }: AuthorityRequest & { kind: "publishBundle" },
  ): Promise<AuthorityAnswer> {
    const { cluster, clock, change, catchUp, log } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const state = cluster();
      const next = state.latest!.epoch.number + 1;
      if (version !== undefined && version !== next)
        throw new DbError(
          "objectNotInPrerequisiteState",
          `a security bundle can only be published as version ${next} now`,
          {
            detail: `BUNDLE_VERSION_CONFLICT: its version is the number of the epoch that brings it; ${version} was asked for, ${next} is expected.`,
            hint: "The draft is as it was: PUBLISH SECURITY BUNDLE without VERSION takes the number that comes.",
          },
        );
      const { rules, description } = this.#bundleSource(state, from);
      const createdAt = Math.floor(clock.now());
      const { clusterUuid } = state;
      const bundle: SecurityBundle = { version: next, clusterUuid, createdAt, rules, creator, description };
      const primary = primaryOf(state)!;
      const content = await signBundle(bundle, primary.certificatePem, (digest) =>
        authority.signBundle(primary, digest),
      );
      try {
        await change({ kind: "policy", part: "securityBundle", content, from }, by);
        log.warn("a security bundle was published", { version: next, by });
        return { version: next };
      } catch (error) {
        const isLate =
          error instanceof DbError &&
          /^(BUNDLE_VERSION_CONFLICT|BUNDLE_DRAFT_CHANGED|BUNDLE_SIGNATURE_INVALID): /.test(
            error.fields.detail ?? "",
          );
        if (!isLate || attempt >= listAttempts) throw error;
      }
      await catchUp();
    }
  }

  /** What is to be in it. @throws DbError 0A000: rules that nobody would keep; 55000, 42704 */
  #bundleSource(
    state: ClusterState,
    from: BundleSource,
  ): { readonly rules: BundleRules; readonly description: string } {
    let rules: BundleRules;
    let description: string;
    if (from.kind === "draft") {
      const draft = state.bundleDraft;
      if (draft?.id !== from.draft)
        throw new DbError(
          "objectNotInPrerequisiteState",
          "the draft of the security bundle is open no more",
          {
            detail: "BUNDLE_NO_DRAFT: it was published or given up.",
          },
        );
      ({ rules, description } = draft);
    } else {
      const wanted = from.version === state.bundle.version ? undefined : state.bundleRules(from.version);
      if (wanted === undefined)
        throw new DbError(
          "undefinedObject",
          `security bundle ${from.version} is not there to be gone back to`,
          {
            hint: "sys.security_bundle_history lists them.",
          },
        );
      rules = wanted;
      description = `ROLLBACK to version ${from.version}`;
    }
    const open = unenforcedIn(rules, this.#options.enforced);
    if (open !== undefined)
      throw new DbError("featureNotSupported", `publishing ${open} is not supported yet`, {
        detail:
          "BUNDLE_NOT_ENFORCED: nobody would put them into effect, and a rule that is not kept is worse than none.",
      });
    return { rules, description };
  }

  // --- exchange of CAs -----------------------------------------------------------------------------------------------

  /** CA-37, CA-38: a new CA, or the one that issues now, in place of one that must not be believed any more. */
  async #replace(
    authority: CaService,
    { authority: revoked, certificatePem, immediate, by }: AuthorityRequest & { kind: "emergency" },
  ): Promise<AuthorityAnswer> {
    const { cluster, change, log } = this.#options;
    const state = cluster();
    const given = this.#options.pki.readAuthority(certificatePem)?.fingerprint;
    const standing = state.authorities.find((one) => one.fingerprint === given);
    const { fingerprint, crlPem } =
      standing === undefined
        ? await this.#firstList(authority, certificatePem)
        : { fingerprint: standing.fingerprint, crlPem: undefined };
    const id = this.#newId();
    const windowMs = durationMs(state.setting("ca.emergency_window"));
    const leaving = immediate
      ? leftBehind({ to: fingerprint }, state.members.values()).map((one) => one.uuid)
      : undefined;
    await change(
      { kind: "emergency", id, authority: revoked, certificatePem, crlPem, windowMs, leaving },
      by,
    );
    log.error("a certificate authority was revoked in an emergency", {
      ca: revoked,
      to: fingerprint,
      immediate,
      by,
    });
    const { rotation } = cluster();
    return { id: rotation?.to === fingerprint ? rotation.id : id, authorityPem: certificatePem };
  }

  /** That it can sign is tried before anybody is to trust it (CA-28). */
  async #firstList(
    authority: CaService,
    certificatePem: string,
  ): Promise<{ readonly fingerprint: Hash; readonly crlPem: string }> {
    const { pki, clock } = this.#options;
    const facts = pki.readAuthority(certificatePem);
    if (facts === undefined)
      throw new DbError("invalidParameterValue", "it is no certificate of a certificate authority", {
        detail: "CHAIN_INVALID: it must be self-signed, with CA:TRUE.",
      });
    const { fingerprint } = facts;
    if (!authority.keys().includes(fingerprint))
      throw new DbError("objectNotInPrerequisiteState", `the key of CA ${fingerprint} is not kept here`, {
        detail: "NO_CA_KEY: it could not issue anything.",
        hint: "CREATE CA makes one, and RECOVER CA KEY brings one back.",
      });
    const thisUpdate = Math.floor(clock.now() / 1000) * 1000;
    const list = { number: 1, thisUpdate, nextUpdate: thisUpdate + crlValidMs, revoked: new Map() };
    return { fingerprint, crlPem: await authority.signList({ fingerprint, certificatePem }, list) };
  }
  #newId(): string {
    const bytes = new Uint8Array(16);
    this.#options.random.fill(bytes);
    return uuidFromBytes(bytes);
  }

  async #begin(
    authority: CaService,
    certificatePem: string,
    windowMs: number,
    automatic: boolean,
    by: string,
  ): Promise<AuthorityAnswer> {
    const { change, log } = this.#options;
    const { fingerprint, crlPem } = await this.#firstList(authority, certificatePem);
    const id = this.#newId();
    try {
      await change({ kind: "beginOverlap", id, certificatePem, crlPem, windowMs, automatic }, by);
    } catch (error) {
      // Whatever is not known to be refused may have been done: its key is needed then.
      const refused = [
        "objectInUse",
        "objectNotInPrerequisiteState",
        "invalidParameterValue",
        "cannotConnectNow",
      ];
      if (automatic && error instanceof DbError && refused.includes(error.condition))
        authority.forget(fingerprint);
      throw error;
    }
    log.warn("the certificate authority is being exchanged", { rotation: id, to: fingerprint, by });
    return { id, authorityPem: certificatePem };
  }
}

/** The way to the keeper of the key broke. @throws DbError 57P03: it was not asked; 08007: it may have done it */
function brokenOff(error: unknown): never {
  const broke =
    error instanceof DbError &&
    (error.condition === "connectionFailure" || error.condition === "queryCanceled");
  if (!broke) throw error;
  if (error.fields.detail === "not sent")
    throw new DbError("cannotConnectNow", "the node that keeps the key of the CA is not reached", {}, error);
  throw new DbError(
    "transactionResolutionUnknown",
    "it is not known whether it was done: the connection to the node that keeps the key of the CA broke",
    { hint: "Look before you try again: sys.certificates, sys.crl, sys.ca_rotation." },
    error,
  );
}

const seenText = ({ rotation, seen }: CertificateSighting): string =>
  JSON.stringify([rotation, seen.map((one) => [one.peer, one.certFingerprint])]);

function notYours(): DbError {
  return new DbError("invalidAuthorizationSpecification", "a node asks for what is not its own to ask for", {
    detail: "WRONG_SENDER: its certificate says who it is.",
  });
}
