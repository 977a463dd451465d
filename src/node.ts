/**
 * One node, wired: read from top to bottom it shows the architecture. Platform and configuration go in; what comes out
 * accepts SQL.
 *
 *     disk -> storage (pages of 16 shards, one journal) -> an engine per shard -> shards behind their doors
 *     control worker (Raft, peers) -> entries -> catalog, members, epochs            |
 *                                                      sessions (SQL) -> Postgres wire
 *
 * Invariants: the folder is locked by one node; the catalog decides what storage there is: objects it does not name are
 * dropped at open, ones it names and storage lacks are made empty (they were made by a DDL whose rows never were), and
 * transactions in limbo end as the catalog says (C4).
 */
import xxhash from "xxhash-wasm";
import {
  type Admin,
  type Alerts,
  type MetricSources,
  type Readiness,
  startAdmin,
  startAlerts,
} from "./admin/index.js";
import {
  AuditLog,
  type ChainPiece,
  type ChainPlace,
  listSegments,
  placeOf,
  readPiece,
} from "./audit/index.js";
import { exportLines, offlineFault } from "./audit-tools.js";
import { assert, DbError } from "./base/errors.js";
import { productVersion } from "./base/version.js";
import { isWait } from "./base/wait.js";
import type { BundleStamp, ClusterView, ControlStatus, Member } from "./cluster/contract.js";
import {
  type CatalogFollower,
  type CatalogState,
  ChurnWindow,
  type ControlChannel,
  ControlPlane,
  ControlState,
  firstBundle,
  isFaultOfMember,
  packVersion,
  primaryOf,
  roleBits,
  settingDef,
  signBundle,
} from "./cluster/index.js";
import type { Config } from "./config.js";
import { type ControlStart, controlInLoop, type NodeTrust, trustFollower } from "./control-host.js";
import { useKernels } from "./exec/index.js";
import {
  addressesOf,
  advertisedOf,
  announcedBy,
  type Boot,
  countBoot,
  identityFormat,
  type NodeIdentity,
  newMockSecret,
  newUuid,
  noteAnnounced,
  readIdentity,
  writeIdentity,
} from "./identity.js";
import { AbsentEngine, EngineCore, ObjectKind, WaitGraph } from "./mga/index.js";
import {
  bootstrapRoleId,
  type CatalogObject,
  type ClusterDesc,
  type DatabaseDesc,
  informationSchemaId,
  pgCatalogSchemaId,
  publicSchemaId,
  type RoleDesc,
  type SchemaDesc,
  sysSchemaId,
} from "./model/schema.js";
import { NodeBundles } from "./node-bundles.js";
import type { OpenNode, RunningNode, VerifyFinding, VerifyNode } from "./node-contract.js";
import { clientTrustOf, type FoundedTrust, foundTrust, hostPki, hostTrust } from "./node-trust.js";
import { type Log, LoopDelay } from "./observe/index.js";
import { RefusalCounts, watchRefusals } from "./peer-refusals.js";
import {
  bundleStamp,
  isSameBundle,
  type LoginPolicy,
  LoginRefused,
  PgWire,
  type Relay,
  type RelayHead,
  readHead,
} from "./pgwire/index.js";
import { reserveHttp } from "./platform/http.js";
import type { Listener, Platform } from "./platform/index.js";
import { readKernels } from "./platform/kernels-file.js";
import { processUsage } from "./platform/usage.js";
import { PortCertificate } from "./port-certificate.js";
import { RaftStorage } from "./raft/index.js";
import type { PeerNetwork, PeerStream } from "./rpc/contract.js";
import { acceptStreams, openStream } from "./rpc/index.js";
import {
  CaStore,
  type ClientTrust,
  caStoreOptions,
  createVerifier,
  passphraseFrom,
  readNodeMaterials,
  serverCertificate,
} from "./security/index.js";
import {
  Audit,
  AuditCheckpoints,
  ClusterAudit,
  type Metric,
  Server,
  SpillFiles,
  servingProblem,
  spillFolder,
  verifyRange,
  virtualRelations,
} from "./session/index.js";
import { indexSpec, Shard, TableLocks, tableSpec } from "./shard/index.js";
import { makeParser } from "./sql/parse.js";
import { inspectStorage, openStorage, type Storage } from "./storage/index.js";
import { EngineMemory, loadKernels } from "./wasm/index.js";

const superuserName = "admin";
const superuserId = bootstrapRoleId;
const databaseId = 5;
const clusterId = 6;
const sweepCheckMs = 5_000;
/** How long a start waits for the cluster's leader. */
const catchUpMs = 1_500;

/** What stands in for parts of the node: the worker on a real machine, twins in the simulator. */
export interface NodeDoors {
  /** Memory of the right size, for those who open thousands of nodes one after the other. */
  readonly lent?: EngineMemory | undefined;
  /** Runs the control half elsewhere. Absent: in this loop. */
  readonly startControl?: ((start: ControlStart) => StartedControl) | undefined;
  readonly trust?: ((identity: NodeIdentity) => NodeTrust) | undefined;
  /** Of the control half in this loop; absent: the node is alone. */
  readonly controlNetwork?: PeerNetwork | undefined;
  /** Between the main loops of nodes. */
  readonly rpcNetwork?: PeerNetwork | undefined;
}
export interface StartedControl {
  readonly channel: ControlChannel;
  close(): void | Promise<void>;
}

export const openNode: OpenNode = async (config, platform, log, mode = "start", doors = {}) => {
  const unlock = platform.disk.lockSync("lock");
  try {
    return await open(config, platform, log, mode, unlock, doors);
  } catch (error) {
    unlock();
    throw error;
  }
};

/** What a node is without its ports: storage, catalog, shards and the server around sessions. */
export interface NodeCore {
  readonly identity: NodeIdentity;
  readonly storage: Storage;
  readonly control: ControlPlane;
  readonly shards: readonly Shard[];
  readonly server: Server;
  /** Drawn when this opening created the cluster. */
  readonly adminPassword: string | undefined;
  /** Resolves when storage has fenced itself, or the node has lost its part in the cluster. */
  readonly fenced: Promise<Error>;
  readonly fencedBy: string | undefined;
  /** 0: there is none. */
  readonly controlPort: number;
  readonly churn: ChurnWindow;
  loopDelay(seconds: number): ReturnType<LoopDelay["last"]> | undefined;
  /** From here on the node has promised things: its log must be there at every start. */
  establish(): void;
  /** Whom client certificates are believed, by the cluster's state of now. */
  clientTrust(): ClientTrust;
  /** Certificates that were refused, on whichever port. */
  readonly refusals: RefusalCounts;
  /** Called whenever that may have changed. */
  readonly watchTrust: Set<() => void>;
  readonly bundles: NodeBundles;
  readonly checkpoints: AuditCheckpoints;
  /** The port between main loops; undefined where there is none. */
  readonly rpc: RpcPort | undefined;
  /** Begins to measure the event loop's delay (sys.performance), which takes a timer every 10 ms. */
  watchLoop(): void;
  close(): Promise<void>;
}

/** Opens or creates everything below the wire: what tests and the simulator drive directly. */
export async function openCore(
  config: Config,
  platform: Platform,
  log: Log,
  doors: NodeDoors = {},
): Promise<NodeCore> {
  const { disk, clock, random } = platform;
  const shape = inspectStorage(disk);
  const known = readIdentity(disk);
  const identity = identify(config, platform, known);
  const boot = countBoot(disk, random);
  log.warn("data at rest is not encrypted: this version stores pages and journal in plain");
  emptySpillFolder(platform);

  // Control plane: its other half begins to read the log while storage is opened here.
  const simulated = doors.trust?.(identity);
  const { trust, founded } =
    simulated === undefined
      ? await trustOf(platform, identity, config)
      : { trust: simulated, founded: await foundedBy(simulated, identity) };
  const start = controlStart(config, identity, boot, known, trust, founded);
  const started = doors.startControl?.(start) ?? (await inLoop(start, platform, log, trust, doors));
  let closing = false;
  let controlPort = 0;
  const watchTrust = new Set<() => void>();
  const watchStatus = new Set<(status: ControlStatus) => void>();
  const refusals = new RefusalCounts();
  const refusedPeer: { tell: Audit["peerRefused"] | undefined } = { tell: undefined };
  const churn = new ChurnWindow(clock.now());
  const control = new ControlPlane({
    channel: started.channel,
    virtuals: virtualRelations,
    pki: trust.pki,
    clock,
    random,
    self: { uuid: identity.nodeId, raftId: identity.raftId, boot: boot.count },
    onTrouble: (what, error) => {
      if (!closing) log.warn(what, { error });
    },
    onListening: (port) => {
      controlPort = port;
    },
    onPeerRefused: (refusal) => {
      refusals.add("control", refusal.condition, refusal.count);
      refusedPeer.tell?.("control", refusal);
    },
    onCluster: (cluster) => {
      if (cluster.members.has(identity.nodeId)) churn.noteMembers(cluster.members, clock.now());
      for (const changed of watchTrust) changed();
    },
    onStatus: (status) => {
      churn.noteLeaderChanges(status.leaderChanges, clock.now());
      for (const told of watchStatus) told(status);
    },
  });

  // Storage: one memory, one pool, one journal for all shards of the node.
  const { pageSize, shards: shardCount } = identity.creation;
  const memory = doors.lent ?? new EngineMemory({ pageSize, poolBytes: config.bufferPool });
  const kernels = loadKernels(memory, readKernels());
  let fence: (error: Error) => void = () => {};
  const fenced = new Promise<Error>((resolve) => {
    fence = resolve;
  });
  const auditLog = auditLogOf(platform, identity, log);
  const storage = openStorage({
    platform,
    memory,
    kernels,
    rider: auditLog,
    pageSize: shape?.pageSize ?? pageSize,
    shardCount: shape?.shardCount ?? shardCount,
    create: shape === undefined,
    journalHalfBytes: config.journalSize,
    onFence: (error) => {
      if (closing) return;
      log.error("storage is fenced: nothing is acknowledged any more", { error });
      fence(error);
    },
  });
  log.info("storage is open", { ...storage.recovery });
  // Not before: recovery reads through the arena.
  useKernels(memory, kernels);
  let fencedBy: string | undefined;
  void fenced.then((error) => {
    fencedBy = error.message;
  });
  void control.failed.then((error) => {
    if (!closing) fence(error);
  });

  // One engine per shard, each behind its door. Unsharded tables live on the first, on the node that founded the cluster.
  const shards = await openShards(platform, storage, memory, () => control.state, log, identity.founder);
  const home = shards[0]!;
  await control.open((home.engine as EngineCore).catalogIndex);
  // What the others changed while this node was away its clients are to see from the first statement on (C5). Without a
  // quorum nothing was changed, and nothing is waited for long.
  if (identity.established && control.cluster.members.size > 1)
    await Promise.race([control.catchUp(), new Promise<void>((done) => clock.after(catchUpMs, done))]);
  let adminPassword: string | undefined;
  if (identity.founder) {
    await loadTables(home, control.state);
    control.noteDurably = noteDurably(home.engine as EngineCore);
    if (control.isNew) {
      await control.until(() => control.cluster.latest !== undefined);
      adminPassword = await bootstrap(config, platform, control, identity);
    }
    await settleStorage(home, shards, storage, control, clock, log);
  } else if (!control.cluster.members.has(identity.nodeId) || control.isNew) {
    log.info("waiting for the cluster's log");
    await control.until(() => control.cluster.members.has(identity.nodeId) && !control.isNew);
  }
  if (identity.founder) establish();
  function establish(): void {
    const now = readIdentity(disk);
    if (now?.established === false) writeIdentity(disk, { ...now, established: true });
  }

  auditLog.signWith(() => trust.signer);
  const others: { rpc: RpcPort | undefined } = { rpc: undefined };
  const audit = new Audit({
    log: auditLog,
    control,
    clock,
    random,
    critical: (message, fields) => log.error(message, { condition: "AUDIT_NOT_WRITTEN", ...fields }),
    verify: trust.pki.verify,
    remote: (node, from) => {
      if (others.rpc !== undefined) return others.rpc.auditPiece(node, from);
      throw new DbError("cannotConnectNow", `the audit chain of node ${node} cannot be read`, {
        detail: "This node has no way to the others.",
      });
    },
  });
  audit.note("NODE_STARTED", { boot: boot.count, node_name: identity.nodeName, version: productVersion });
  const clusterAudit = new ClusterAudit(audit, control.view, control.status);
  watchTrust.add(() => clusterAudit.cluster(control.view));
  watchStatus.add((status) => clusterAudit.status(status));
  const bundles = new NodeBundles({ control, node: identity.nodeId, audit, clock, log });
  watchTrust.add(() => bundles.look());
  refusedPeer.tell = (...refusal) => audit.peerRefused(...refusal);
  const checkpoints = new AuditCheckpoints({
    audit,
    control,
    clock,
    disk,
    node: identity.nodeId,
    signer: () => trust.signer,
    onTrouble: (what, error) => log.warn(what, { error }),
  });

  const loop: { delay: LoopDelay | undefined } = { delay: undefined };
  const server = new Server({
    clock,
    random,
    disk,
    control,
    admin: control,
    audit,
    churn,
    shards,
    maxConnections: config.maxConnections,
    authenticationTimeoutMs: config.authenticationTimeout,
    reservedConnections: config.superuserReservedConnections,
    pageSize,
    poolPages: memory.frameCount,
    statementMemory: config.statementMemory,
    workMemory: config.workMemory,
    heavyStatements: config.heavyStatements,
    tempFileLimit: config.tempFileLimit,
    ignoreConnectionRules: config.resetConnectionRules,
    counters: () => metrics(storage, loop.delay),
    checkpoint: () => storage.checkpoint(),
    log: (message, fields) => log.info(message, fields),
  });
  if (doors.rpcNetwork !== undefined)
    others.rpc = new RpcPort(doors.rpcNetwork, {
      identity,
      control,
      trust,
      watchTrust,
      watchStatus,
      audit,
      bundles,
      refusals,
      piece: (from) => ownPiece(disk, auditLog, from),
      clock,
      hash: await xxhash(),
      log,
    });
  return {
    identity,
    storage,
    control,
    shards,
    server,
    adminPassword,
    fenced,
    churn,
    loopDelay: (seconds) => loop.delay?.last(seconds),
    get fencedBy() {
      return fencedBy;
    },
    get controlPort() {
      return controlPort;
    },
    establish,
    clientTrust: () => clientTrustOf(control.cluster, clock),
    refusals,
    watchTrust,
    bundles,
    checkpoints,
    rpc: others.rpc,
    watchLoop: () => {
      loop.delay ??= new LoopDelay(clock);
    },
    close: async () => {
      closing = true;
      loop.delay?.stop();
      checkpoints.stop();
      for (const shard of shards) (shard.engine as EngineCore).close();
      await control.close();
      await started.close();
      audit.note("NODE_STOPPED", { boot: boot.count });
      audit.stop();
      await storage.close();
      auditLog.close();
    },
  };
}

async function open(
  config: Config,
  platform: Platform,
  log: Log,
  mode: "start" | "create",
  unlock: () => void,
  doors: NodeDoors,
): Promise<RunningNode> {
  const { disk, clock, random } = platform;
  if (mode === "create" && readIdentity(disk) !== undefined) {
    throw new DbError("objectInUse", `the data folder ${config.data} already holds a node`, {
      hint: "Start it, or choose another folder with --data.",
    });
  }
  const core = await openCore(config, platform, log, mode === "create" ? {} : doors);
  const { identity, server, adminPassword, rpc } = core;
  if (mode === "create") {
    await core.close();
    unlock();
    return {
      ready: { node: identity.nodeName, pg: "", http: null, rpc: null, adminPassword },
      stop: async () => {},
    };
  }

  // The wire.
  const tls = config.tls ? await portCertificate(core, config, platform, log) : undefined;
  const wire = new PgWire({
    host: server,
    clock,
    random,
    network: platform.network,
    address: config.host,
    port: config.port,
    tls,
    requireTls: config.requireTls,
    // Sessions, log-ins, those refused that wait to hear of it, and some that are told there is no room.
    socketsMax: config.maxConnections + 2200,
    mockSecret: Buffer.from(identity.mockSecret, "base64"),
    bundles: core.bundles,
    relay: identity.founder ? undefined : rpc?.relay(),
    policy: () => loginPolicyOf(core.control.view),
    trust: () => core.refusals.ofClients(core.clientTrust()),
    limits: {
      messageBytesMax: config.maxMessageSize,
      inputBytesMax: config.connectionInputBuffer,
      outputBytesMax: config.connectionOutputBuffer,
      authenticationTimeoutMs: config.authenticationTimeout,
      sliceMs: config.slice,
    },
    observer: {
      connected: (address) => log.debug("connection opened", { address }),
      disconnected: (address) => log.debug("connection closed", { address }),
      authenticationFailed: (user, address, error, reason) => {
        log.warn("authentication failed", { user, address, error: error.message, reason, why: whyOf(error) });
        server.audit.note("LOGIN_FAILURE", {
          username: user,
          ip_address: address.replace(/:\d+$/, ""),
          failure_reason: error.message,
          reason,
          why: whyOf(error),
          sqlstate: error.sqlstate,
        });
      },
      internalError: (error) => log.error("internal error", { error }),
    },
  });
  if (config.resetConnectionRules)
    log.warn("connection rules are set aside until the next start: everybody comes in with a password");
  const sweepCertificates = (): void => wire.sweep(core.clientTrust());
  core.watchTrust.add(sweepCertificates);
  core.watchLoop();
  let stops: string | undefined;
  const watched: Watched = { tls, alerts: undefined };
  const sources = metricSources(core, wire, clock, watched);
  const facts = { ...sources, ...aboutNode(core, clock, () => stops) };
  const alerts = startAlerts(facts, clock, log);
  watched.alerts = alerts;
  server.alerts = () => alerts.firing;
  const admin = await startHttp(config, core, sources, clock, log, () => stops);
  const port = await wire.listen();
  server.address = { address: config.host, port };
  const rpcPort = await rpc?.listen(config, wire);
  const control = core.controlPort;
  rememberPorts(disk, { rpc: rpcPort ?? identity.ports.rpc, control: control || identity.ports.control });
  const at = (one: number): string => `${config.host}:${one}`;
  if (rpcPort !== undefined && control !== 0) {
    const addresses = addressesOf(identity, { control, rpc: rpcPort, pg: port });
    core.control.announce(addresses, noteAnnounced(disk, addresses));
  }
  tls?.start();
  // A newcomer is ready when the cluster says so.
  if (!identity.established)
    await core.control.until(() => core.control.cluster.members.get(identity.nodeId)?.state !== "JOINING");
  core.establish();
  const unserved = core.server.unserved;
  if (unserved !== undefined) log.warn(unserved.message, { hint: unserved.fields.hint });
  const sweeping = sweepInBackground(platform, server, log);
  const ending = endOldSessions(clock, server);
  const asking = rpc?.sweepBundles();
  void reverifyAudit(core, log);
  clock.after(0, () => {
    makeParser();
    void admin.load();
  });
  let stopping: Promise<void> | undefined;
  return {
    ready: {
      node: identity.nodeName,
      pg: at(port),
      http: admin.address,
      rpc: rpcPort === undefined ? null : at(rpcPort),
      adminPassword,
    },
    failed: core.fenced,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };

  async function stop(): Promise<void> {
    stops = "the node is stopping";
    sweeping.cancel();
    ending.cancel();
    asking?.cancel();
    tls?.stop();
    alerts.stop();
    core.watchTrust.delete(sweepCertificates);
    await wire.stopAccepting();
    const deadline = clock.monotonic() + config.stopTimeout;
    while ((isBusy(server) || wire.relayed.awaiting > 0) && clock.monotonic() < deadline)
      await new Promise<void>((resolve) => clock.after(20, resolve));
    wire.terminateAll();
    while (server.sessionCount > 0 && clock.monotonic() < deadline + 1000)
      await new Promise<void>((resolve) => clock.after(10, resolve));
    rpc?.close();
    await core.close();
    await admin.close();
    unlock();
  }
}

/** What the Postgres port shows, from here on and until the node stops. */
async function portCertificate(
  { control, identity, server }: NodeCore,
  config: Config,
  { disk, clock, random }: Platform,
  log: Log,
): Promise<PortCertificate> {
  const names = certificateNames(identity.nodeName, config.host);
  return new PortCertificate({
    disk,
    clock,
    log,
    node: identity.nodeId,
    first: await serverCertificate(disk, names, clock, random),
    cluster: () => control.cluster,
    ask: (request) => control.authority(request),
    issued: ({ serial, issuer }) =>
      server.audit.note("CERTIFICATE_ISSUED", { kind: "server", node: identity.nodeId, serial, issuer }),
  });
}

/** What ALTER CLUSTER SET authentication.* asks of log-ins. */
function loginPolicyOf(view: ClusterView): LoginPolicy {
  const read = (key: string): number => settingDef(key)!.read(view.setting(key));
  let members = 0;
  for (const { state } of view.members.values()) if (state !== "REMOVED") members++;
  return {
    tls: view.setting("authentication.tls") as LoginPolicy["tls"],
    isAlone: members <= 1,
    failureBackoffMs: read("authentication.failure_backoff"),
    unauthenticatedMax: read("authentication.max_unauthenticated"),
  };
}

const sessionAgeCheckMs = 1_000;
/** Looks at the age of sessions: it changes slowly, the setting at any time. */
function endOldSessions(clock: Platform["clock"], server: Server): { cancel(): void } {
  let timer = clock.after(sessionAgeCheckMs, look);
  function look(): void {
    server.endOldSessions(
      settingDef("authentication.session_lifetime")!.read(
        server.admin.view.setting("authentication.session_lifetime"),
      ),
    );
    timer = clock.after(sessionAgeCheckMs, look);
  }
  return { cancel: () => timer.cancel() };
}

function whyOf(error: DbError): string | undefined {
  return error instanceof LoginRefused ? error.why : undefined;
}

/** The HTTP port: bound before the node is ready, its library loaded behind that. */
async function startHttp(
  config: Config,
  core: NodeCore,
  sources: MetricSources,
  clock: Platform["clock"],
  log: Log,
  stopping: () => string | undefined,
): Promise<Admin> {
  const { identity } = core;
  const insisted = identity.established || config.explicit.has("http-port");
  let door: Awaited<ReturnType<typeof reserveHttp>>;
  try {
    door = await reserveHttp(config.host, config.httpPort);
  } catch (error) {
    if (insisted) throw error;
    door = await reserveHttp(config.host, 0);
    log.info("the HTTP port is in use; another was taken", { wanted: config.httpPort, port: door.port });
  }
  return startAdmin({
    door,
    node: identity.nodeName,
    version: productVersion,
    clock,
    ready: () => readiness(core, stopping),
    onTrouble: (what, error) => log.error(what, { error }),
    sources,
  });
}

function readiness(core: NodeCore, stopping: () => string | undefined): Readiness {
  const { control, identity } = core;
  const reasons: string[] = [];
  const why = stopping() ?? core.fencedBy;
  if (why !== undefined) reasons.push(why);
  const problem = servingProblem(control.cluster.members.get(identity.nodeId));
  if (problem !== undefined) reasons.push(problem.message);
  return { ready: reasons.length === 0, reasons };
}

/** What metrics and alerts are made of, beside the numbers. */
function aboutNode(core: NodeCore, clock: Platform["clock"], stopping: () => string | undefined) {
  return {
    node: core.identity.nodeName,
    version: productVersion,
    isReady: () => readiness(core, stopping).ready,
    now: () => clock.now(),
  };
}

/** What else is looked at; alerts are made of the metrics that count them. */
interface Watched {
  readonly tls: PortCertificate | undefined;
  alerts: Alerts | undefined;
}

function metricSources(
  core: NodeCore,
  wire: PgWire,
  clock: Platform["clock"],
  watched: Watched,
): MetricSources {
  const { control, server, storage, identity } = core;
  return {
    control: () => control.status,
    view: () => control.view,
    raft: () => control.raftNumbers,
    churn: () => ({ totals: core.churn.totals, score: core.churn.score(clock.now()) }),
    storage: () => storage.counters,
    audit: () => {
      const { log } = server.audit;
      return {
        appended: log.appended,
        failures: log.failures,
        unsigned: log.unsigned,
        broken: log.problem !== undefined,
        checkpointAgeSeconds: (clock.now() - (control.audit.lastOf(identity.nodeId)?.at ?? 0)) / 1000,
      };
    },
    loopDelay: (seconds) => core.loopDelay(seconds),
    sessions: () => server.loadNumbers(),
    refusals: () => core.refusals.read(),
    authentication: () => ({
      outcomes: wire.authentications,
      failures: wire.authenticationFailures,
      unauthenticated: wire.unauthenticatedCount,
    }),
    process: processUsage,
    certificateEnds: () => certificateEnds(core, watched.tls),
    bundle: () => bundleNumbers(core),
    alerts: () => {
      const counts = new Map<string, number>([
        ["WARNING", 0],
        ["CRITICAL", 0],
      ]);
      for (const { rule } of watched.alerts?.firing ?? [])
        counts.set(rule.severity, counts.get(rule.severity)! + 1);
      return counts;
    },
  };
}

function bundleNumbers({ bundles }: NodeCore): ReturnType<MetricSources["bundle"]> {
  const { version } = bundles.stamp();
  const others = [...bundles.differing.values()];
  const inconsistent = others.filter((one) => one.version === version).length;
  return {
    version,
    inconsistent,
    otherVersions: others.length - inconsistent,
    mismatches: bundles.mismatches,
  };
}

const authorityEnds = new Map<string, number | undefined>();
/** By kind, milliseconds since 1970. */
function* certificateEnds(
  { control, identity }: NodeCore,
  tls: PortCertificate | undefined,
): Iterable<readonly [string, number]> {
  const own = control.cluster.members.get(identity.nodeId)?.certificate;
  if (own !== undefined) yield ["node", own.notAfter];
  if (tls !== undefined) yield ["server", tls.facts.notAfter];
  const primary = primaryOf(control.cluster);
  if (primary === undefined) return;
  const { fingerprint, certificatePem } = primary;
  if (!authorityEnds.has(fingerprint))
    authorityEnds.set(fingerprint, hostPki.readAuthority(certificatePem)?.notAfter);
  const end = authorityEnds.get(fingerprint);
  if (end !== undefined) yield ["ca", end];
}

/** A member is found where it was: ports that the system chose stay, but for the clients'. */
function rememberPorts(disk: Platform["disk"], ports: Pick<NodeIdentity["ports"], "rpc" | "control">): void {
  const identity = readIdentity(disk);
  assert(identity !== undefined, "an open node has its identity");
  const { rpc, control } = identity.ports;
  if (rpc !== ports.rpc || control !== ports.control)
    writeIdentity(disk, { ...identity, ports: { ...identity.ports, ...ports } });
}

/** What a stream to the home node's main loop is for. */
type StreamHead =
  | { readonly kind: "session"; readonly head: RelayHead; readonly bundle: BundleStamp }
  | { readonly kind: "cancel"; readonly pid: number; readonly key: string }
  /** Answered by a piece of this node's audit chain, as JSON. */
  | { readonly kind: "audit"; readonly from: ChainPlace | number }
  /** Answered by which security bundle this node holds, as JSON. */
  | { readonly kind: "bundle" };

const relayOpenMs = 1_000;
/** How long an answer may take, and how large a piece of an audit chain may be with its JSON. */
const answerMs = 10_000;
const auditPieceMax = 16 << 20;
const bundleAnswerMax = 1_000;
/** A peer whose control link has been down for so long is out of reach for its streams too. */
const lostMs = 1_000;

/** The port between the main loops of nodes: relayed sessions, later the data of shards. */
class RpcPort {
  readonly #unwatch: () => void;
  readonly #downSince = new Map<string, number>();
  readonly #refusals: { stop(): void };
  #membersRefused = 0;
  #listener: Listener | undefined;

  constructor(
    readonly network: PeerNetwork,
    readonly core: {
      readonly identity: NodeIdentity;
      readonly control: ControlPlane;
      readonly trust: NodeTrust;
      readonly watchTrust: Set<() => void>;
      readonly watchStatus: Set<(status: ControlStatus) => void>;
      readonly audit: Audit;
      readonly bundles: NodeBundles;
      readonly refusals: RefusalCounts;
      /** Of this node's chain. */
      readonly piece: (from: ChainPlace | number) => ChainPiece;
      readonly clock: Platform["clock"];
      readonly hash: Awaited<ReturnType<typeof xxhash>>;
      readonly log: Log;
    },
  ) {
    const { control, trust, watchTrust, watchStatus, log } = core;
    this.#refusals = watchRefusals({
      network,
      port: "rpc",
      clock: core.clock,
      log,
      tell: (refusal) => {
        core.refusals.add("rpc", refusal.condition, refusal.count);
        core.audit.peerRefused("rpc", refusal);
        if (isFaultOfMember(control.cluster, refusal.condition, refusal.node)) this.#membersRefused++;
      },
    });
    const follow = trustFollower(network, trust);
    const told = new Map<string, string>();
    const use = (): void => {
      follow(control.cluster, new Map(), told);
      // Whose clients are not to be served any more has no sessions here.
      for (const { uuid } of control.cluster.members.values())
        if (uuid !== core.identity.nodeId && this.#servingProblem(uuid) !== undefined) network.drop(uuid);
    };
    use();
    watchTrust.add(use);
    const look = (status: ControlStatus): void => this.#dropLost(status);
    watchStatus.add(look);
    this.#unwatch = () => {
      watchTrust.delete(use);
      watchStatus.delete(look);
    };
  }

  /**
   * A network that has gone silent breaks no connection for many minutes. The control plane asks its peers all the time, so
   * it knows: who waits for an answer from there is told, and what sessions from there hold is given back.
   */
  #dropLost({ peers }: ControlStatus): void {
    const { control, trust } = this.core;
    if (control.cluster.rotation !== undefined)
      control.noteSeen(trust.signer.certFingerprint, this.network.standing(), this.#membersRefused);
    const now = this.core.clock.monotonic();
    for (const { node, connected } of peers) {
      if (connected) {
        this.#downSince.delete(node);
        continue;
      }
      const since = this.#downSince.get(node) ?? now;
      this.#downSince.set(node, since);
      if (now - since >= lostMs) this.network.drop(node);
    }
  }

  /** A member's clients are served while it is enabled and may coordinate (MEM-9, MEM-15). */
  #servingProblem(node: string): DbError | undefined {
    return servingProblem(this.core.control.cluster.members.get(node));
  }

  async listen(config: Config, wire: PgWire): Promise<number> {
    const { identity, clock, hash, log } = this.core;
    const listen = (port: number) =>
      acceptStreams({ network: this.network, clock, hash, log }, config.host, port, (peer, bytes, accept) => {
        const head = parseHead(bytes);
        if (head.kind === "audit") {
          this.#giveAudit(accept(), head.from);
          return;
        }
        if (head.kind === "bundle") {
          const stream = accept();
          stream.write(Buffer.from(JSON.stringify(this.core.bundles.stamp())));
          stream.end();
          return;
        }
        if (!identity.founder) {
          const { bundles } = this.core;
          if (head.kind === "session" && !isSameBundle(head.bundle, bundles.stamp()))
            throw bundles.mismatch(peer.node, head.bundle);
          throw new DbError(
            "objectNotInPrerequisiteState",
            `node ${identity.nodeName} does not hold the data`,
          );
        }
        const problem = this.#servingProblem(identity.nodeId) ?? this.#servingProblem(peer.node);
        if (problem !== undefined) {
          log.warn("a session of a peer was refused", { peer: peer.node, error: problem });
          throw problem;
        }
        const stream = accept();
        if (head.kind === "session")
          wire.acceptRelayed(stream, { ...head.head, via: peer.node }, head.bundle);
        else {
          wire.cancelRelayed(head.pid, Buffer.from(head.key, "base64"));
          stream.end();
        }
      });
    const { rpc: wanted } = identity.ports;
    try {
      this.#listener = await listen(wanted);
    } catch (error) {
      if (config.rpcPort !== 0 && (identity.established || config.explicit.has("rpc-port"))) throw error;
      this.#listener = await listen(0);
      log.info("the rpc port is in use; another was taken", { wanted, port: this.#listener.port });
    }
    return this.#listener.port;
  }

  /** Any member may read: its sessions' rights it has checked itself, and that it read is told of. */
  #giveAudit(stream: PeerStream, from: ChainPlace | number): void {
    const { audit, piece, log } = this.core;
    try {
      if (typeof from === "number")
        audit.note("AUDIT_READ", {
          resource: "chain",
          peer: "node" in stream.peer ? stream.peer.node : null,
        });
      stream.write(Buffer.from(JSON.stringify(piece(from))));
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      log.warn("a peer could not be given the audit chain", { error });
    }
    stream.end();
  }

  /** A piece of another node's chain. @throws DbError cannotConnectNow (57P03), which names the node */
  async auditPiece(node: string, from: ChainPlace | number): Promise<ChainPiece> {
    const member = this.core.control.view.members.get(node);
    const lost = (cause?: unknown): DbError =>
      new DbError(
        "cannotConnectNow",
        `the audit chain of node ${member?.name ?? node} cannot be read`,
        {
          detail: "The node is not reachable from here.",
          hint: "Try again once it is up; the chain is in its data folder: scratchbird audit export.",
        },
        cause,
      );
    if (member === undefined) throw lost();
    let text: string;
    try {
      text = await this.#ask(member, { kind: "audit", from }, auditPieceMax);
    } catch (error) {
      throw lost(error);
    }
    try {
      return readPieceText(text);
    } catch (error) {
      throw lost(error);
    }
  }

  /** What a member writes on a stream until it ends it. @throws DbError connectionFailure (08006) */
  async #ask(member: Member, head: StreamHead, bytesMax: number): Promise<string> {
    const { clock, hash } = this.core;
    const stream = await openStream(
      { network: this.network, clock, hash },
      { address: member.addresses.rpc, node: member.uuid },
      Buffer.from(JSON.stringify(head)),
      relayOpenMs,
    );
    return new Promise<string>((resolve, reject) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      const timer = clock.after(answerMs, () => stream.destroy());
      stream.onData((chunk) => {
        bytes += chunk.length;
        if (bytes > bytesMax) stream.destroy();
        else chunks.push(Buffer.from(chunk));
      });
      stream.onClose(() => {
        timer.cancel();
        if (bytes > bytesMax)
          reject(
            new DbError("connectionFailure", `node ${member.name} has answered more than was asked for`),
          );
        else resolve(Buffer.concat(chunks).toString());
      });
    });
  }

  /** SEC-28: asks all others which security bundle they hold, again and again. */
  sweepBundles(): { cancel(): void } {
    const { clock, log } = this.core;
    const { bundles } = this.core;
    let timer = clock.after(bundles.askAgainMs, look);
    let stopped = false;
    function again(): void {
      if (!stopped) timer = clock.after(bundles.askAgainMs, look);
    }
    const ask = (): Promise<void> => this.askBundles();
    function look(): void {
      ask().then(again, (error: unknown) => {
        log.error("security bundles could not be asked", { error });
        again();
      });
    }
    return {
      cancel: () => {
        stopped = true;
        timer.cancel();
      },
    };
  }

  async askBundles(): Promise<void> {
    const { control, identity, bundles } = this.core;
    const others = [...control.view.members.values()].filter(
      (one) => one.state === "ENABLED" && one.uuid !== identity.nodeId,
    );
    bundles.asking(new Set(others.map((one) => one.uuid)));
    await Promise.all(
      others.map(async (member) => {
        let text: string;
        try {
          text = await this.#ask(member, { kind: "bundle" }, bundleAnswerMax);
        } catch (error) {
          // Who cannot be reached runs nothing for anybody either.
          if (!(error instanceof DbError)) throw error;
          bundles.asked(member.uuid, undefined);
          return;
        }
        bundles.asked(member.uuid, readStamp(text));
      }),
    );
  }

  /** The way to the node that holds the data. */
  relay(): Relay {
    const open = (head: StreamHead): Promise<PeerStream> => {
      const { control, clock, hash } = this.core;
      const { view } = control;
      const home = view.members.get(view.home);
      assert(home !== undefined, "somebody founded the cluster");
      const target = { address: home.addresses.rpc, node: home.uuid };
      return openStream(
        { network: this.network, clock, hash },
        target,
        Buffer.from(JSON.stringify(head)),
        relayOpenMs,
      );
    };
    return {
      available: () => {
        const { control, identity } = this.core;
        if (this.#servingProblem(identity.nodeId) !== undefined) return false;
        const home = control.status.peers.find((one) => one.node === control.view.home);
        return home?.connected !== false;
      },
      home: () => this.core.control.view.home,
      open: (head) => open({ kind: "session", head, bundle: this.core.bundles.stamp() }),
      cancel: async (pid, key) => {
        const text = Buffer.from(key).toString("base64");
        const stream = await open({ kind: "cancel", pid, key: text }).catch(() => undefined);
        stream?.end();
      },
    };
  }

  close(): void {
    this.#unwatch();
    void this.#listener?.close();
    this.network.close();
    this.#refusals.stop();
  }
}

const isSequence = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 1;
function isPlace(value: unknown): value is ChainPlace {
  const { first, offset } = (typeof value === "object" && value !== null ? value : {}) as Partial<ChainPlace>;
  return isSequence(first) && Number.isSafeInteger(offset) && Number(offset) >= 0;
}

function readStamp(text: string): BundleStamp | undefined {
  try {
    return bundleStamp(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** @throws whatever is wrong with it */
function readPieceText(text: string): ChainPiece {
  const piece = JSON.parse(text) as ChainPiece;
  const { next } = piece;
  if (typeof piece.text !== "string" || (next !== undefined && !isPlace(next)))
    throw new DbError("protocolViolation", "a piece of an audit chain cannot be read");
  return piece;
}

function parseHead(bytes: Uint8Array): StreamHead {
  try {
    const head = JSON.parse(Buffer.from(bytes).toString()) as StreamHead;
    if (head.kind === "session") {
      const bundle = bundleStamp(head.bundle);
      if (bundle !== undefined) return { kind: "session", head: readHead(head.head), bundle };
    }
    if (head.kind === "bundle") return { kind: "bundle" };
    if (head.kind === "cancel") return head;
    if (head.kind === "audit" && (isSequence(head.from) || isPlace(head.from))) return head;
  } catch (error) {
    throw new DbError("protocolViolation", "a stream's head cannot be read", {}, error);
  }
  throw new DbError("protocolViolation", "a stream is for nothing that is known");
}

/** Of storage and loop, for sys.performance. */
function* metrics(storage: Storage, delay: LoopDelay | undefined): Iterable<Metric> {
  for (const seconds of delay === undefined ? [] : [5, 60]) {
    const { p50, p99, max } = delay!.last(seconds);
    const scope = `last ${seconds} s`;
    yield { metric: "event_loop_delay_p50", value: p50, unit: "ms", scope };
    yield { metric: "event_loop_delay_p99", value: p99, unit: "ms", scope };
    yield { metric: "event_loop_delay_max", value: max, unit: "ms", scope };
  }
  const { counters } = storage;
  const pool = (metric: string, value: number): Metric => ({ metric, value, unit: "pages", scope: "now" });
  yield pool("pool_frames", counters.frames);
  yield pool("pool_frames_held", counters.framesHeld);
  yield pool("pool_frames_behind", counters.framesBehind);
  const total = (metric: string, value: number, unit: string): Metric => ({
    metric,
    value,
    unit,
    scope: "since start",
  });
  yield total("pool_evictions", counters.evictions, "pages");
  yield total("journal_groups", counters.groups, "groups");
  yield total("journal_bytes", counters.groupBytes, "bytes");
  yield total("checkpoints", counters.checkpoints, "checkpoints");
  yield total("checkpoint_pages", counters.checkpointPages, "pages");
  yield { metric: "page_read_time_average", value: counters.averageReadMs, unit: "ms", scope: "now" };
}

function isBusy(server: Server): boolean {
  for (const session of server.sessions()) if (session.activity.state === "active") return true;
  return false;
}

function identify(
  config: Config,
  { disk, clock, random }: Platform,
  known: NodeIdentity | undefined,
): NodeIdentity {
  const now = clock.now();
  // Where peers look for it, it stays: "any port" means the one it had.
  const ports = {
    pg: config.port,
    http: config.httpPort,
    rpc: config.rpcPort || (known?.ports.rpc ?? 0),
    control: config.controlPort || (known?.ports.control ?? 0),
  };
  const identity: NodeIdentity = {
    ...(known ?? {
      format: identityFormat,
      nodeId: newUuid(now, random),
      clusterId: newUuid(now, random),
      clusterName: config.name,
      createdAt: now,
      creation: { shards: config.shards, pageSize: config.pageSize, encryption: config.encryption },
      mockSecret: newMockSecret(random),
      raftId: 1,
      founder: true,
      established: false,
      peers: [],
    }),
    nodeName: config.nodeName ?? known?.nodeName ?? "node-1",
    host: config.host,
    hostLabel: config.hostLabel ?? known?.hostLabel ?? "local",
    ports,
    advertised: advertisedOf(config),
  };
  const whole = { ...identity, announced: announcedBy(known ?? identity) };
  if (JSON.stringify(known) !== JSON.stringify(whole)) writeIdentity(disk, whole);
  return whole;
}

/** Main's half. The worker has its own, which writes and signs as a CA. `founded`: of who founds the cluster in this start. */
async function trustOf(
  { disk, clock, random }: Platform,
  identity: NodeIdentity,
  config: Config,
): Promise<{ readonly trust: NodeTrust; readonly founded: FoundedTrust | undefined }> {
  const subject = {
    clusterUuid: identity.clusterId,
    nodeUuid: identity.nodeId,
    nodeName: identity.nodeName,
  };
  const founds = identity.founder && !identity.established;
  if (!founds && readNodeMaterials(disk).length === 0)
    throw new DbError("configFileError", "this node's certificate and key, in tls/, are missing", {
      hint: "Restore tls/ from a backup of this node; without it the node has to join the cluster anew.",
    });
  const passphrase = passphraseFrom({ variable: config.caPassphrase, kept: { disk, random } });
  const caStore = new CaStore(disk, random, passphrase, caStoreOptions);
  const parts = { disk, clock, random, subject };
  const founded = founds ? await foundTrust({ ...parts, caStore }) : undefined;
  return { trust: hostTrust({ ...parts, writes: false, caStore: undefined }), founded };
}

/** Where the platform is simulated: what a founder begins with, if it keeps its CA's key. */
async function foundedBy(
  { authority, authorityPem }: NodeTrust,
  { clusterId, createdAt, founder, established }: NodeIdentity,
): Promise<FoundedTrust | undefined> {
  const [fingerprint] = authority?.keys() ?? [];
  if (authority === undefined || fingerprint === undefined || !founder || established) return undefined;
  const ca = { fingerprint, certificatePem: authorityPem };
  const bundle = await signBundle(firstBundle(clusterId, createdAt), authorityPem, (digest) =>
    authority.signBundle(ca, digest),
  );
  return { crl: undefined, bundle };
}

function controlStart(
  config: Config,
  identity: NodeIdentity,
  boot: Boot,
  known: NodeIdentity | undefined,
  trust: NodeTrust,
  founded: FoundedTrust | undefined,
): ControlStart {
  const { nodeId, nodeName, raftId, clusterId, host, ports, creation } = identity;
  const version = packVersion(productVersion);
  return {
    self: { uuid: nodeId, name: nodeName, raftId, boot, version },
    clusterUuid: clusterId,
    host,
    port: ports.control,
    anyPort: config.controlPort === 0 || (known === undefined && !config.explicit.has("control-port")),
    founds:
      !identity.founder || identity.established
        ? undefined
        : {
            clusterName: identity.clusterName,
            crl: founded?.crl,
            bundle: founded?.bundle,
            member: {
              uuid: nodeId,
              name: nodeName,
              certFingerprint: trust.signer.certFingerprint,
              publicKey: trust.signer.publicKey,
              certificate: trust.certificate,
              addresses: addressesOf(identity, ports),
              hostLabel: identity.hostLabel,
              roles: roleBits.VOTER | roleBits.SHARD_OWNER | roleBits.COORDINATOR,
              version,
            },
          },
    established: identity.established,
    firstPeers: identity.peers,
    joinFacts: { creation, databaseName: identity.clusterName, mockSecret: identity.mockSecret },
  };
}

async function inLoop(
  start: ControlStart,
  { clock, random, disk }: Platform,
  log: Log,
  trust: NodeTrust,
  doors: NodeDoors,
): Promise<StartedControl> {
  const { controlNetwork: network } = doors;
  // In one loop there is one half: it signs and writes for both.
  const half = doors.trust === undefined ? await inLoopTrust(start, { clock, random, disk }) : trust;
  return controlInLoop(start, { clock, random, disk, hash: await xxhash(), log, trust: half, network });
}

async function inLoopTrust(
  start: ControlStart,
  { clock, random, disk }: Pick<Platform, "clock" | "random" | "disk">,
): Promise<NodeTrust> {
  const caStore = new CaStore(disk, random, passphraseFrom({ kept: { disk, random } }), caStoreOptions);
  await caStore.adoptPlain(disk);
  const { uuid: nodeUuid, name: nodeName } = start.self;
  const subject = { clusterUuid: start.clusterUuid, nodeUuid, nodeName };
  return hostTrust({ disk, clock, random, subject, writes: true, caStore });
}

/** What is not there is asked for by mistake, or by somebody with bad intentions: it is the end of the chain. */
function ownPiece(disk: Platform["disk"], log: AuditLog, from: ChainPlace | number): ChainPiece {
  log.flush();
  const place = typeof from === "number" ? placeOf(disk, from) : from;
  const isThere = listSegments(disk).some((one) => one.first === place?.first);
  return place === undefined || !isThere ? { text: "", next: undefined } : readPiece(disk, place);
}

function auditLogOf({ disk, clock, random }: Platform, identity: NodeIdentity, log: Log): AuditLog {
  return new AuditLog({
    disk,
    clock,
    random,
    cluster: identity.clusterId,
    node: identity.nodeId,
    onBroken: (reason) =>
      log.error("the audit chain of this node takes no more events: administration is refused", {
        condition: "AUDIT_CHAIN_BROKEN",
        severity: "CRITICAL",
        reason,
      }),
  });
}

function emptySpillFolder({ disk }: Platform): void {
  disk.makeFolderSync(spillFolder);
  for (const name of disk.listSync(spillFolder)) disk.removeSync(`${spillFolder}/${name}`);
}

/** The first entry of a new cluster. Answers the superuser's password when it was drawn here. */
async function bootstrap(
  config: Config,
  { disk, random }: Platform,
  control: ControlPlane,
  identity: NodeIdentity,
): Promise<string | undefined> {
  const given = config.password;
  const password = given ?? randomPassword(random);
  const schema = (id: number, name: string): SchemaDesc => ({
    kind: "schema",
    id,
    name,
    owner: superuserId,
    acl: [
      { grantee: superuserId, grantor: superuserId, privileges: "UC", grantable: "" },
      { grantee: 0, grantor: superuserId, privileges: "U", grantable: "" },
    ],
  });
  const admin: RoleDesc = {
    kind: "role",
    id: superuserId,
    name: superuserName,
    superuser: true,
    inherit: true,
    createRole: true,
    createDb: true,
    login: true,
    replication: true,
    bypassRls: true,
    connectionLimit: -1,
    password: await createVerifier(password, random),
    memberOf: [],
  };
  const database: DatabaseDesc = { kind: "database", id: databaseId, name: config.name, owner: superuserId };
  const cluster: ClusterDesc = {
    kind: "cluster",
    id: clusterId,
    name: identity.clusterName,
    uuid: identity.clusterId,
    acl: [],
  };
  const objects: CatalogObject[] = [
    admin,
    database,
    cluster,
    schema(pgCatalogSchemaId, "pg_catalog"),
    schema(informationSchemaId, "information_schema"),
    schema(sysSchemaId, "sys"),
    schema(publicSchemaId, "public"),
  ];
  // Kept before the cluster exists: a crash in between draws a new one, never loses it.
  if (given === undefined) disk.writeFileSync("admin-password", Buffer.from(`${password}\n`), 0o600);
  await control.bootstrap(objects);
  return given === undefined ? password : undefined;
}

/** Addresses go into the certificate as such; names as DNS names. */
function certificateNames(
  commonName: string,
  host: string,
): { commonName: string; dns: string[]; addresses: string[] } {
  const isAddress = /^[0-9.]+$|:/.test(host);
  return {
    commonName,
    dns: isAddress ? ["localhost"] : ["localhost", host],
    addresses: isAddress ? [...new Set(["127.0.0.1", host])] : ["127.0.0.1"],
  };
}

function randomPassword(random: Platform["random"]): string {
  const bytes = new Uint8Array(18);
  random.fill(bytes);
  return Buffer.from(bytes).toString("base64url");
}

async function openShards(
  platform: Platform,
  storage: Storage,
  memory: EngineMemory,
  catalog: () => CatalogState,
  log: Log,
  isHere: boolean,
): Promise<Shard[]> {
  const waits = new WaitGraph(platform.clock);
  const locks = new TableLocks(platform.clock, waits);
  const shards: Shard[] = [];
  const spills = new SpillFiles(platform.disk, 0);
  const Engine = isHere ? EngineCore : AbsentEngine;
  for (const store of storage.shards) {
    const engine = new Engine({
      store,
      clock: platform.clock,
      memory,
      tableSpecs: () => (isHere && store.shard === 1 ? tablesOf(catalog()) : []),
      openSpill: () => spills.open(),
      collectEveryMs: 100,
      waits,
      onDamage: (error) => log.error("background collection met damage", { error }),
    });
    await untilLoaded(() => engine.load());
    const name = `shard_${String(store.shard).padStart(3, "0")}`;
    shards.push(new Shard({ name, engine, store, locks, isHere }));
  }
  log.debug("shards are open", { shards: shards.length });
  return shards;
}

/** Planning asks for sizes and cannot wait for them: every table's page list is read before anybody plans. */
async function loadTables(home: Shard, catalog: CatalogState): Promise<void> {
  const present = new Set<number>();
  for (const { storageId } of home.store.objects()) present.add(storageId);
  for (const spec of tablesOf(catalog))
    if (present.has(spec.storageId)) await untilLoaded(() => home.engine.table(spec));
}

/**
 * A catalog log that ends early looks like one that was torn: storage tells them apart, because it notes which entries it
 * has seen. Without this a log cut short would have tables dropped that nobody dropped.
 */
function noteDurably(engine: EngineCore): (index: number) => Promise<void> {
  return async (index) => {
    await untilLoaded(() => engine.noteCatalogIndex(index));
    await engine.store.durable();
  };
}

function* tablesOf(catalog: CatalogState) {
  for (const object of catalog.objects()) {
    if (object.kind === "table") yield tableSpec(catalog, object, catalog.indexesOf(object.id));
  }
}

async function untilLoaded<T>(step: () => T): Promise<T> {
  for (;;) {
    try {
      return step();
    } catch (thrown) {
      if (!isWait(thrown)) throw thrown;
      await thrown.ready;
    }
  }
}

/**
 * Storage follows the catalog. Alone, everything is known at once. In a cluster the log may know more than this node has
 * heard: what the catalog does not name yet is dropped only once the node has caught up, and who is in limbo without an
 * outcome is decided then (C4); until then nothing that is stored is served, for such a transaction may have replaced it.
 *
 * Only what was there at open is settled here: transactions of this life are their sessions'.
 */
async function settleStorage(
  home: Shard,
  shards: readonly Shard[],
  storage: Storage,
  control: ControlPlane,
  clock: Platform["clock"],
  log: Log,
): Promise<void> {
  const found = [...home.store.objects()];
  for (const { storageId } of found) control.ids.skipTo(storageId + 1);
  const decided = [...control.state.decided()];
  const limbo = shards.flatMap(({ engine, name }) => [...engine.limbo].map((id) => ({ engine, name, id })));
  // From here on no entry is applied without its storage.
  control.follower = followerOf(home, control, log);
  await control.exclusively(() => createMissing(home, control.state, log));
  const resolve = async ({ engine, name, id }: (typeof limbo)[number]): Promise<void> => {
    const committed = control.state.outcomeOf(engine.shard, id);
    assert(committed !== undefined, "an entry has decided the transaction");
    await untilLoaded(() => engine.resolve(id, committed));
    log.info("a transaction in limbo was resolved", { shard: name, transaction: id, committed });
  };
  const isDecided = ({ engine, id }: (typeof limbo)[number]): boolean =>
    control.state.outcomeOf(engine.shard, id) !== undefined;
  const open = limbo.filter((one) => !isDecided(one));
  for (const one of limbo) if (!open.includes(one)) await resolve(one);

  const finish = async (): Promise<void> => {
    for (const one of open) {
      const transaction = { shard: one.engine.shard, id: one.id };
      if (!isDecided(one)) await control.propose({ type: "abort", transaction });
      await resolve(one);
    }
    open.length = 0;
    await dropUnknown(home, control.state, found, log);
    // Outcomes are forgotten behind their ends, never before.
    await storage.durable();
    for (const transaction of decided) control.noteResolved(transaction);
    for (const { engine, id } of limbo) control.noteResolved({ shard: engine.shard, id });
    await control.forgetResolved();
  };
  if (control.isAlone) {
    await finish();
    return;
  }
  await storage.durable();
  home.close(open.length === 0 ? undefined : "a transaction of its last life is not decided yet");
  const later = async (): Promise<void> => {
    for (;;) {
      try {
        await control.catchUp();
        await finish();
        home.close(undefined);
        return;
      } catch (error) {
        if (!(error instanceof DbError) || !isPassing(error)) {
          log.warn("storage could not be settled with the cluster's catalog", { error });
          return;
        }
        await new Promise<void>((done) => clock.after(200, done));
      }
    }
  };
  void later();
}

/** Another try may do. */
function isPassing({ condition }: DbError): boolean {
  return condition === "cannotConnectNow" || condition === "transactionResolutionUnknown";
}

type StoredObject = Extract<CatalogObject, { kind: "table" | "index" | "sequence" }>;

function isStored(object: CatalogObject | undefined): object is StoredObject {
  return object?.kind === "table" || object?.kind === "index" || object?.kind === "sequence";
}

/** Tables before the indexes that are built over them. */
const buildOrder = { table: 0, sequence: 1, index: 2 };

async function createMissing(home: Shard, catalog: CatalogState, log: Log): Promise<void> {
  const stored = [...catalog.objects()].filter(isStored);
  await createStorage(home, catalog, stored, log);
}

async function createStorage(
  home: Shard,
  catalog: Pick<CatalogState, "relationById" | "indexesOf"> & CatalogState,
  wanted: readonly StoredObject[],
  log: Log,
): Promise<void> {
  const present = new Set<number>();
  for (const { storageId } of home.store.objects()) present.add(storageId);
  home.store.beginOperation();
  for (const object of [...wanted].sort((a, b) => buildOrder[a.kind] - buildOrder[b.kind])) {
    if (present.has(object.storageId)) continue;
    switch (object.kind) {
      case "table":
        await untilLoaded(() => home.engine.createTable(tableSpec(catalog, object, [])));
        break;
      case "index": {
        const table = catalog.relationById(object.tableId);
        assert(table?.kind === "table", "an index has its table");
        const spec = tableSpec(catalog, table, catalog.indexesOf(table.id));
        const index = indexSpec(catalog, table, object);
        await untilLoaded(() => home.engine.createIndex(spec, index));
        const build = home.engine.buildIndex(spec, index);
        while (!(await untilLoaded(() => build.step())));
        break;
      }
      case "sequence":
        await untilLoaded(() => home.engine.createSequence(object.storageId, object.start));
        break;
    }
    log.info("storage of a committed object was made", { storage: object.storageId, kind: object.kind });
  }
}

/** Of what was there at open: what no entry names was made by a change that never was. */
async function dropUnknown(
  home: Shard,
  catalog: CatalogState,
  found: readonly { readonly storageId: number; readonly kind: number }[],
  log: Log,
): Promise<void> {
  const isNamed = (storageId: number): boolean => {
    for (const object of catalog.objects())
      if (isStored(object) && object.storageId === storageId) return true;
    return false;
  };
  const before = new Set<number>();
  for (const object of catalog.objects()) if (isStored(object)) before.add(object.storageId);
  for (const { storageId, kind } of found) {
    // A dropped object whose pages are still being freed: the engine goes on with it.
    if (kind === ObjectKind.doomedTable || kind === ObjectKind.doomedIndex || before.has(storageId)) continue;
    // Entries are applied between two of these.
    if (isNamed(storageId)) continue;
    await untilLoaded(() => home.engine.dropObject(storageId));
    log.info("storage of an uncommitted object was dropped", { storage: storageId });
  }
}

/** What other nodes have made of the catalog while this one served. */
function followerOf(home: Shard, control: ControlPlane, log: Log): CatalogFollower {
  return {
    before: async (change) => {
      const draft = control.draft();
      for (const object of change.puts) draft.put(object);
      await createStorage(home, draft as never, change.puts.filter(isStored), log);
    },
    after: (differences) => {
      for (const { before, after } of differences) {
        if (before?.kind === "table") home.forget(before.id);
        if (!isStored(before)) continue;
        if (isStored(after) && after.storageId === before.storageId) continue;
        void untilLoaded(() => home.engine.dropObject(before.storageId)).catch((error: unknown) =>
          log.warn("storage of a dropped object is freed at the next start", { error }),
        );
      }
    },
    replaced: (catalog) => createMissing(home, catalog, log),
  };
}

/** The tail since the last checkpoint, as it lies on the disk (AUD-26): a chain that was changed takes no more events. */
async function reverifyAudit({ server, control, identity, checkpoints }: NodeCore, log: Log): Promise<void> {
  const node = control.cluster.members.get(identity.nodeId);
  if (node === undefined) return;
  const start = (control.audit.lastOf(node.uuid)?.last ?? 0) + 1;
  try {
    const fault = await verifyRange(server, { node, start, end: undefined });
    if (fault !== undefined) server.audit.log.refuse(`${fault.kind}: ${fault.reason}`);
    checkpoints.start();
  } catch (error) {
    log.error("the audit chain could not be read", { error });
  }
}

function sweepInBackground(platform: Platform, server: Server, log: Log): { cancel(): void } {
  let timer = platform.clock.after(sweepCheckMs, check);
  let stopped = false;
  function check(): void {
    const again = (): void => {
      if (!stopped) timer = platform.clock.after(sweepCheckMs, check);
    };
    if (!server.sweeper.isDue) {
      again();
      return;
    }
    server.sweeper
      .run(() => platform.clock.turn?.() ?? platform.clock.yield())
      .then(
        (report) => {
          log.info("automatic sweep", { ...report });
          again();
        },
        (error: unknown) => {
          log.error("automatic sweep failed", { error });
          again();
        },
      );
  }
  return {
    cancel: () => {
      stopped = true;
      timer.cancel();
    },
  };
}

/** `scratchbird verify`: every page, index and log, offline. */
export const verifyNode: VerifyNode = async (config, platform, log) => {
  const unlock = platform.disk.lockSync("lock");
  const findings: VerifyFinding[] = [];
  try {
    const shape = inspectStorage(platform.disk);
    const identity = readIdentity(platform.disk);
    if (shape === undefined || identity === undefined) {
      throw new DbError("configFileError", `${config.data} holds no node`, {
        hint: "Name the data folder with --data.",
      });
    }
    const memory = new EngineMemory({ pageSize: shape.pageSize, poolBytes: config.bufferPool });
    const auditLog = auditLogOf(platform, identity, log);
    const storage = openStorage({
      rider: auditLog,
      platform,
      memory,
      kernels: loadKernels(memory, readKernels()),
      pageSize: shape.pageSize,
      shardCount: shape.shardCount,
    });
    let state: ControlState | undefined;
    const catalog = (): CatalogState => {
      assert(state !== undefined, "the control plane's state is read before tables are looked at");
      return state.catalog;
    };
    const shards = await openShards(platform, storage, memory, catalog, log, identity.founder);
    const { catalogIndex } = shards[0]!.engine as EngineCore;
    const { lastIndex, close, ...read } = await readControl(platform, catalogIndex);
    state = read.state;
    if (catalogIndex > lastIndex)
      findings.push({
        file: "raft/",
        problem: `the consensus log ends at entry ${lastIndex}, but storage has seen entry ${catalogIndex}`,
      });
    for (const problem of state.cluster.historyProblems()) findings.push({ file: "raft/", problem });
    if (identity.founder) await loadTables(shards[0]!, state.catalog);
    for (const { engine } of shards) {
      const core = engine as EngineCore;
      const specs = identity.founder && core.shard === 1 ? [...tablesOf(state.catalog)] : [];
      for (const problem of await core.verify(specs)) findings.push(problem);
    }
    auditLog.flush();
    const owner = { cluster: identity.clusterId, node: identity.nodeId };
    const { fault } = offlineFault(platform.disk, owner, state, hostPki.verify);
    const broken =
      fault === undefined ? auditLog.problem : `event ${fault.sequence}: ${fault.kind}: ${fault.reason}`;
    if (broken !== undefined) findings.push({ file: "audit/", problem: broken });
    const report = await storage.verify();
    for (const { file, page, problem } of report.problems)
      findings.push({ file: `${file} page ${page}`, problem });
    for (const { engine } of shards) (engine as EngineCore).close();
    await close();
    auditLog.stop();
    await storage.close();
    auditLog.close();
    log.info("verified", { pages: report.pages, problems: findings.length });
  } finally {
    unlock();
  }
  return findings;
};

/**
 * A node's audit chain for export, and what its cluster knows of it: the chain is read in the data folder, and nothing is changed
 * there; the consensus log in `copy`, a folder with a copy of raft/.
 */
export async function readAudit(disk: Platform["disk"], copy: Platform["disk"]): Promise<Iterable<string>> {
  const identity = readIdentity(disk);
  assert(identity !== undefined, "the folder holds a node");
  const { state, close } = await readControl({ disk: copy }, 0);
  await close();
  return exportLines(disk, { cluster: identity.clusterId, node: identity.nodeId }, state);
}

/** The control plane's state as the log has it, without taking part. */
async function readControl(
  platform: Pick<Platform, "disk">,
  seen: number,
): Promise<{ state: ControlState; lastIndex: number; close: () => Promise<void> }> {
  const storage = new RaftStorage({ disk: platform.disk, hash: await xxhash(), folder: "raft" });
  const state = new ControlState(virtualRelations, hostPki);
  const found = storage.recovered;
  if (found === undefined)
    throw new DbError("dataCorrupted", "the consensus log of this node, raft/, is missing");
  const { snapshot, base, entries, commit } = found;
  if (snapshot !== undefined) state.restore(snapshot.data);
  const { members } = entries.findLast((one) => one.kind === "members") ?? base;
  // Alone, what is in the log is committed.
  const alone = members.voters.length === 1 && members.outgoing.length === 0;
  for (const entry of entries) {
    if (entry.index <= (snapshot?.index ?? 0) || (entry.index > Math.max(commit, seen) && !alone)) continue;
    if (entry.kind === "command") state.apply(entry.data);
  }
  return { state, lastIndex: base.index + entries.length, close: async () => storage.close() };
}
