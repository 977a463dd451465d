/**
 * One node, wired: read from top to bottom it shows the architecture. Platform and configuration go in; what comes out
 * accepts SQL.
 *
 *     disk -> storage (pages of 16 shards, one journal) -> an engine per shard -> shards behind their doors
 *     disk -> consensus log -> catalog state                                        |
 *                                                      sessions (SQL) -> Postgres wire
 *
 * Invariants: the folder is locked by one node; the catalog decides what storage there is: objects it does not name are
 * dropped at open, ones it names and storage lacks are made empty (they were made by a DDL whose rows never were), and
 * transactions in limbo end as the catalog says (C4).
 */
import xxhash from "xxhash-wasm";
import { assert, DbError } from "./base/errors.js";
import { isWait } from "./base/wait.js";
import { ControlPlane } from "./cluster/index.js";
import type { Config } from "./config.js";
import { useKernels } from "./exec/index.js";
import { type NodeIdentity, newMockSecret, newUuid, readIdentity, writeIdentity } from "./identity.js";
import { EngineCore, ObjectKind, WaitGraph } from "./mga/index.js";
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
import type { OpenNode, RunningNode, VerifyFinding, VerifyNode } from "./node-contract.js";
import { type Log, LoopDelay } from "./observe/index.js";
import { PgWire } from "./pgwire/index.js";
import type { Platform } from "./platform/index.js";
import { readKernels } from "./platform/kernels-file.js";
import { createVerifier, serverCertificate } from "./security/index.js";
import { type Metric, Server, SpillFiles, spillFolder, virtualRelations } from "./session/index.js";
import { indexSpec, Shard, TableLocks, tableSpec } from "./shard/index.js";
import { makeParser } from "./sql/parse.js";
import { inspectStorage, openStorage, type Storage } from "./storage/index.js";
import { EngineMemory, loadKernels } from "./wasm/index.js";

const superuserName = "admin";
const superuserId = bootstrapRoleId;
const databaseId = 5;
const clusterId = 6;
const sweepCheckMs = 5_000;

export const openNode: OpenNode = async (config, platform, log, mode = "start") => {
  const unlock = platform.disk.lockSync("lock");
  try {
    return await open(config, platform, log, mode, unlock);
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
  /** Resolves when storage has fenced itself. */
  readonly fenced: Promise<Error>;
  /** Begins to measure the event loop's delay (sys.performance), which takes a timer every 10 ms. */
  watchLoop(): void;
  close(): Promise<void>;
}

/**
 * Opens or creates everything below the wire: what tests and the simulator drive directly. `lent`: memory of the right
 * size, for those who open thousands of nodes one after the other.
 */
export async function openCore(
  config: Config,
  platform: Platform,
  log: Log,
  lent?: EngineMemory,
): Promise<NodeCore> {
  const { disk, clock, random } = platform;
  const shape = inspectStorage(disk);
  const identity = identify(config, platform);
  log.warn("data at rest is not encrypted: this version stores pages and journal in plain");
  emptySpillFolder(platform);

  // Storage: one memory, one pool, one journal for all shards of the node.
  const { pageSize, shards: shardCount } = identity.creation;
  const memory = lent ?? new EngineMemory({ pageSize, poolBytes: config.bufferPool });
  const kernels = loadKernels(memory, readKernels());
  let fence: (error: Error) => void = () => {};
  const fenced = new Promise<Error>((resolve) => {
    fence = resolve;
  });
  let closing = false;
  const storage = openStorage({
    platform,
    memory,
    kernels,
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

  // Control plane: the catalog, applied from the consensus log.
  const control = new ControlPlane({
    disk,
    hash: await xxhash(),
    virtuals: virtualRelations,
    onTrouble: (what, error) => {
      if (!closing) log.warn(what, { error });
    },
  });
  // One engine per shard, each behind its door. Unsharded tables live on the first.
  const shards = await openShards(platform, storage, memory, control, log);
  followCatalog(shards[0]!.engine as EngineCore, control);
  const adminPassword = control.isNew ? await bootstrap(config, platform, control, identity) : undefined;
  await resolveLimbo(shards, control, log);
  await reconcile(shards[0]!, control, log);
  await storage.durable();
  await control.forgetResolved();

  const loop: { delay: LoopDelay | undefined } = { delay: undefined };
  const server = new Server({
    clock,
    random,
    disk,
    control,
    shards,
    maxConnections: config.maxConnections,
    reservedConnections: config.superuserReservedConnections,
    pageSize,
    poolPages: memory.frameCount,
    statementMemory: config.statementMemory,
    workMemory: config.workMemory,
    heavyStatements: config.heavyStatements,
    tempFileLimit: config.tempFileLimit,
    counters: () => metrics(storage, loop.delay),
    checkpoint: () => storage.checkpoint(),
    log: (message, fields) => log.info(message, fields),
  });
  return {
    identity,
    storage,
    control,
    shards,
    server,
    adminPassword,
    fenced,
    watchLoop: () => {
      loop.delay ??= new LoopDelay(clock);
    },
    close: async () => {
      closing = true;
      loop.delay?.stop();
      for (const shard of shards) (shard.engine as EngineCore).close();
      control.close();
      await storage.close();
    },
  };
}

async function open(
  config: Config,
  platform: Platform,
  log: Log,
  mode: "start" | "create",
  unlock: () => void,
): Promise<RunningNode> {
  const { disk, clock, random } = platform;
  if (mode === "create" && readIdentity(disk) !== undefined) {
    throw new DbError("objectInUse", `the data folder ${config.data} already holds a node`, {
      hint: "Start it, or choose another folder with --data.",
    });
  }
  const core = await openCore(config, platform, log);
  const { identity, server, adminPassword } = core;
  if (mode === "create") {
    await core.close();
    unlock();
    return {
      ready: { node: identity.nodeName, pg: "", http: null, rpc: null, adminPassword },
      stop: async () => {},
    };
  }

  // The wire.
  const tls = config.tls
    ? await serverCertificate(disk, certificateNames(identity.nodeName, config.host), clock, random)
    : undefined;
  const wire = new PgWire({
    host: server,
    clock,
    random,
    network: platform.network,
    address: config.host,
    port: config.port,
    tls,
    requireTls: config.requireTls,
    socketsMax: config.maxConnections * 2 + 200,
    mockSecret: Buffer.from(identity.mockSecret, "base64"),
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
      authenticationFailed: (user, address, error) =>
        log.warn("authentication failed", { user, address, error: error.message }),
      internalError: (error) => log.error("internal error", { error }),
    },
  });
  core.watchLoop();
  const port = await wire.listen();
  server.address = { address: config.host, port };
  const sweeping = sweepInBackground(platform, server, log);
  clock.after(0, makeParser);
  let stopping: Promise<void> | undefined;
  return {
    ready: { node: identity.nodeName, pg: `${config.host}:${port}`, http: null, rpc: null, adminPassword },
    failed: core.fenced,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };

  async function stop(): Promise<void> {
    sweeping.cancel();
    await wire.stopAccepting();
    const deadline = clock.monotonic() + config.stopTimeout;
    while (isBusy(server) && clock.monotonic() < deadline)
      await new Promise<void>((resolve) => clock.after(20, resolve));
    wire.terminateAll();
    while (server.sessionCount > 0 && clock.monotonic() < deadline + 1000)
      await new Promise<void>((resolve) => clock.after(10, resolve));
    await core.close();
    unlock();
  }
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

function identify(config: Config, { disk, clock, random }: Platform): NodeIdentity {
  const known = readIdentity(disk);
  const now = clock.now();
  const ports = { pg: config.port, http: config.httpPort, rpc: config.rpcPort, control: config.controlPort };
  const identity: NodeIdentity = {
    ...(known ?? {
      format: 1,
      nodeId: newUuid(now, random),
      clusterId: newUuid(now, random),
      clusterName: config.name,
      createdAt: now,
      creation: { shards: config.shards, pageSize: config.pageSize, encryption: config.encryption },
      mockSecret: newMockSecret(random),
    }),
    nodeName: config.nodeName ?? known?.nodeName ?? "node-1",
    host: config.host,
    hostLabel: config.hostLabel ?? known?.hostLabel ?? "local",
    ports,
  };
  if (JSON.stringify(known) !== JSON.stringify(identity)) writeIdentity(disk, identity);
  return identity;
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
  control: ControlPlane,
  log: Log,
): Promise<Shard[]> {
  const waits = new WaitGraph(platform.clock);
  const locks = new TableLocks(platform.clock, waits);
  const shards: Shard[] = [];
  const spills = new SpillFiles(platform.disk, 0);
  for (const store of storage.shards) {
    const engine = new EngineCore({
      store,
      clock: platform.clock,
      memory,
      tableSpecs: () => (store.shard === 1 ? tablesOf(control) : []),
      openSpill: () => spills.open(),
      collectEveryMs: 100,
      waits,
      onDamage: (error) => log.error("background collection met damage", { error }),
    });
    await untilLoaded(() => engine.load());
    // Planning asks for sizes and cannot wait for them: every table's page list is read before anybody plans.
    for (const spec of store.shard === 1 ? tablesOf(control) : [])
      await untilLoaded(() => engine.table(spec));
    shards.push(new Shard({ name: `shard_${String(store.shard).padStart(3, "0")}`, engine, store, locks }));
  }
  log.debug("shards are open", { shards: shards.length });
  return shards;
}

/**
 * A catalog log that ends early looks like one that was torn: storage tells them apart, because it notes which entries it
 * has seen. Without this a log cut short would have tables dropped that nobody dropped.
 */
function followCatalog(engine: EngineCore, control: ControlPlane): void {
  if (engine.catalogIndex > control.appliedIndex) {
    throw new DbError(
      "dataCorrupted",
      `the catalog log in raft/ ends at entry ${control.appliedIndex}, but storage has seen entry ${engine.catalogIndex}`,
      { hint: "Restore the folder raft/ of this node from a backup: it was cut, damaged or replaced." },
    );
  }
  control.noteDurably = async (index) => {
    await untilLoaded(() => engine.noteCatalogIndex(index));
    await engine.store.durable();
  };
}

function* tablesOf(control: ControlPlane) {
  for (const object of control.state.objects()) {
    if (object.kind === "table") yield tableSpec(control.state, object, control.state.indexesOf(object.id));
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

/** Transactions whose fate the catalog decides (D8, C4). */
async function resolveLimbo(shards: readonly Shard[], control: ControlPlane, log: Log): Promise<void> {
  for (const { engine, name } of shards) {
    for (const id of [...engine.limbo]) {
      const transaction = { shard: engine.shard, id };
      if (control.state.outcomeOf(engine.shard, id) === undefined)
        await control.propose({ type: "abort", transaction });
      const committed = control.state.outcomeOf(engine.shard, id);
      assert(committed !== undefined, "the entry decided the transaction");
      engine.resolve(id, committed);
      log.info("a transaction in limbo was resolved", { shard: name, transaction: id, committed });
    }
  }
  for (const transaction of control.state.decided()) control.noteResolved(transaction);
}

/** Storage follows the catalog. */
async function reconcile(home: Shard, control: ControlPlane, log: Log): Promise<void> {
  const { state } = control;
  const wanted = new Map<number, CatalogObject>();
  for (const object of state.objects()) {
    if (object.kind === "table" || object.kind === "index" || object.kind === "sequence")
      wanted.set(object.storageId, object);
  }
  home.store.beginOperation();
  const present = new Set<number>();
  for (const { storageId, kind } of home.store.objects()) {
    control.ids.skipTo(storageId + 1);
    // A dropped object whose pages are still being freed: the engine goes on with it.
    if (kind !== ObjectKind.doomedTable && kind !== ObjectKind.doomedIndex) present.add(storageId);
  }
  for (const storageId of present) {
    if (wanted.has(storageId)) continue;
    await untilLoaded(() => home.engine.dropObject(storageId));
    log.info("storage of an uncommitted object was dropped", { storage: storageId });
  }
  // Tables before the indexes that are built over them.
  const order = { table: 0, sequence: 1, index: 2 } as Record<string, number>;
  for (const [storageId, object] of [...wanted].sort(([, a], [, b]) => order[a.kind]! - order[b.kind]!)) {
    if (present.has(storageId)) continue;
    switch (object.kind) {
      case "table":
        await untilLoaded(() => home.engine.createTable(tableSpec(state, object, [])));
        break;
      case "index": {
        const table = state.relationById(object.tableId);
        assert(table?.kind === "table", "an index has its table");
        const spec = tableSpec(state, table, state.indexesOf(table.id));
        const index = indexSpec(state, table, object);
        await untilLoaded(() => home.engine.createIndex(spec, index));
        const build = home.engine.buildIndex(spec, index);
        while (!(await untilLoaded(() => build.step())));
        break;
      }
      case "sequence":
        await untilLoaded(() => home.engine.createSequence(object.storageId, object.start));
        break;
      default:
        throw new DbError("dataCorrupted", `storage ${storageId} has no kind`);
    }
    log.info("storage of a committed object was made", { storage: storageId, kind: object.kind });
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
    const storage = openStorage({
      platform,
      memory,
      kernels: loadKernels(memory, readKernels()),
      pageSize: shape.pageSize,
      shardCount: shape.shardCount,
    });
    const control = new ControlPlane({
      disk: platform.disk,
      hash: await xxhash(),
      virtuals: virtualRelations,
    });
    const shards = await openShards(platform, storage, memory, control, log);
    followCatalog(shards[0]!.engine as EngineCore, control);
    for (const { engine } of shards) {
      const core = engine as EngineCore;
      for (const problem of await core.verify(core.shard === 1 ? [...tablesOf(control)] : []))
        findings.push(problem);
    }
    const report = await storage.verify();
    for (const { file, page, problem } of report.problems)
      findings.push({ file: `${file} page ${page}`, problem });
    for (const { engine } of shards) (engine as EngineCore).close();
    control.close();
    await storage.close();
    log.info("verified", { pages: report.pages, problems: findings.length });
  } finally {
    unlock();
  }
  return findings;
};
