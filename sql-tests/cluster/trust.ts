/**
 * Whom a cluster believes, over real sockets: a raw client shows every kind of wrong certificate to the ports between nodes of each
 * node, and is refused with the reason in the log, the audit chain and the counts; a flood of such refusals fills none of
 * them; clients of Postgres check the node and are checked; and whoever is revoked is cut off at once.
 */
import { execFile } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import tls from "node:tls";
import { promisify } from "node:util";
import type pg from "pg";
import { serialize } from "pg-protocol";
import xxhash from "xxhash-wasm";
import type { BundleStamp } from "../../src/cluster/contract.js";
import { method } from "../../src/cluster/index.js";
import { dial } from "../../src/platform/dial.js";
import { hostClock } from "../../src/platform/host.js";
import { HostPeerNetwork } from "../../src/platform/peers.js";
import { FrameEncoder } from "../../src/rpc/codec.js";
import { requestOnce } from "../../src/rpc/index.js";
import { makeRequest } from "../../src/security/index.js";
import { password } from "../server.js";
import { OpenCa, type Shown } from "./forgeries.js";
import { ask, type ClusterNode, sleep, TestCluster, until } from "./nodes.js";

export interface TrustRun {
  readonly progress?: (line: string) => void;
  readonly parent?: string;
  readonly scale?: number;
  /** Only cases whose name contains this. */
  readonly only?: string | undefined;
}
export interface TrustReport {
  readonly cases: number;
  readonly failures: readonly string[];
}

/** From the answer to a revocation to the end of what rests on it. */
const revokedWithinMs = 2_000;
const seenWithinMs = 5_000;
const connectMs = 5_000;
const ports = ["control", "rpc"] as const;
type PeerPort = (typeof ports)[number];

// --- a raw client --------------------------------------------------------------------------------------------------

interface Raw {
  /** "" where the node lets it in, else the condition; "closed" without a word. */
  readonly verdict: string;
  readonly resumed: boolean;
  readonly protocol: string | null;
  readonly socket: tls.TLSSocket;
  readonly session: Buffer | undefined;
}

/** Connects as a node would, and waits for the verdict. */
function show(port: number, shown: Shown | undefined, more: tls.ConnectionOptions = {}): Promise<Raw> {
  return new Promise((resolve) => {
    const socket = tls.connect({
      host: "127.0.0.1",
      port,
      ...(shown === undefined ? {} : { cert: shown.certificatePem, key: shown.keyPem }),
      ALPNProtocols: ["sb"],
      minVersion: "TLSv1.3",
      // For keys too short to be shown by a client of today.
      ciphers: "DEFAULT@SECLEVEL=0",
      rejectUnauthorized: false,
      ...more,
    });
    let said = Buffer.alloc(0);
    let done = false;
    let session: Buffer | undefined;
    let protocol: string | null = null;
    let resumed = false;
    const end = (verdict: string): void => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      resolve({ verdict, resumed, protocol, socket, session });
    };
    const timer = setTimeout(() => end("silence"), connectMs);
    socket.on("session", (one: Buffer) => {
      session = one;
    });
    socket.once("secureConnect", () => {
      protocol = socket.getProtocol();
      resumed = socket.isSessionReused();
      session ??= socket.getSession();
    });
    socket.on("data", (chunk: Buffer) => {
      said = Buffer.concat([said, chunk]);
      if (said.length >= 1 && said.length >= 1 + said[0]!) end(said.toString("latin1", 1, 1 + said[0]!));
    });
    socket.on("error", () => end("closed"));
    socket.once("close", () => end("closed"));
  });
}

const fingerprintOf = (pem: string): string =>
  createHash("sha256").update(new X509Certificate(pem).raw).digest("hex");

// --- what a node has told of it --------------------------------------------------------------------------------------

/** `ca_validation_failures_total` of one node. */
async function counted(node: ClusterNode, port: string, reason: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${node.ports.http}/metrics`, {
    signal: AbortSignal.timeout(3_000),
  });
  const line = new RegExp(
    `^scratchbird_ca_validation_failures_total\\{node="[^"]*",port="${port}",reason="${reason}"\\} (\\d+)$`,
    "m",
  );
  return Number(line.exec(await response.text())?.[1] ?? 0);
}

interface RefusedRow {
  readonly node_name: string;
  readonly payload: {
    readonly port?: string;
    readonly condition: string;
    readonly fingerprint?: string | null;
    readonly ip_address?: string;
    readonly count: number;
  };
}
const auditSql = "SELECT node_name, payload FROM sys.audit_events WHERE event_type = 'PEER_REFUSED'";

class World {
  readonly failures: string[] = [];
  cases = 0;
  constructor(
    readonly cluster: TestCluster,
    readonly ca: OpenCa,
    readonly unknown: OpenCa,
    readonly foreign: OpenCa,
    readonly scale: number,
  ) {}
  holds(what: string, condition: boolean, detail: unknown = ""): void {
    if (!condition) this.failures.push(`${what}${detail === "" ? "" : `: ${String(detail)}`}`);
  }
  refused(): Promise<RefusedRow[]> {
    return ask<RefusedRow>(this.cluster.node(1), auditSql, 30_000);
  }
}

// --- wrong certificates ------------------------------------------------------------------------------------------------

interface Wrong {
  readonly name: string;
  readonly condition: string;
  make(world: World): Promise<Shown>;
}

const somebody = "00000000-0000-4000-8000-00000000beef";
const uuidOf = ({ cluster }: World, place: number): string => cluster.node(place).identity.nodeId;
const minute = 60_000;
const day = 86_400_000;
const wrong: readonly Wrong[] = [
  {
    name: "expired",
    condition: "EXPIRED",
    make: (world) => world.ca.node(uuidOf(world, 2), { fromMs: -40 * day, days: 30 }),
  },
  {
    name: "not yet valid, by 90 s",
    condition: "NOT_YET_VALID",
    make: (world) => world.ca.node(uuidOf(world, 2), { fromMs: 1.5 * minute }),
  },
  {
    // The clock is forgiven so much; then it is one that nobody knows.
    name: "not yet valid, by 40 s",
    condition: "NOT_PINNED",
    make: (world) => world.ca.node(uuidOf(world, 2), { fromMs: (2 * minute) / 3 }),
  },
  {
    name: "of an unknown CA",
    condition: "UNTRUSTED_CA",
    make: (world) => world.unknown.node(uuidOf(world, 2)),
  },
  {
    name: "of another cluster and its CA",
    condition: "UNTRUSTED_CA",
    make: ({ foreign }) => foreign.node(somebody),
  },
  {
    name: "of our CA for another cluster",
    condition: "WRONG_CLUSTER",
    make: (world) => world.ca.node(uuidOf(world, 2), { cluster: world.foreign.clusterUuid }),
  },
  { name: "of nobody's uuid", condition: "NOT_A_MEMBER", make: ({ ca }) => ca.node(somebody) },
  {
    name: "of a member, with another key",
    condition: "NOT_PINNED",
    make: (world) => world.ca.node(uuidOf(world, 3)),
  },
  { name: "a user's", condition: "MISSING_URI_SAN", make: ({ ca }) => ca.user("admin") },
  { name: "a service's", condition: "MISSING_URI_SAN", make: ({ ca }) => ca.service("backup") },
  { name: "a Postgres port's", condition: "MISSING_URI_SAN", make: ({ ca }) => ca.server() },
  { name: "without any name", condition: "MISSING_URI_SAN", make: ({ ca }) => ca.odd({}) },
  {
    name: "with a key on P-256",
    condition: "ALGORITHM_DISALLOWED",
    make: (world) => world.ca.odd({ node: uuidOf(world, 2), key: "p256" }),
  },
  {
    name: "with an RSA key of 1024 bits",
    condition: "WEAK_KEY",
    make: (world) => world.ca.odd({ node: uuidOf(world, 2), key: "rsa1024" }),
  },
  {
    name: "a node's name on a CA",
    condition: "CHAIN_INVALID",
    make: (world) => world.ca.odd({ node: uuidOf(world, 2), isCa: true }),
  },
  {
    name: "a node's name, for clients alone",
    condition: "CHAIN_INVALID",
    make: (world) => world.ca.odd({ node: uuidOf(world, 2), usages: ["1.3.6.1.5.5.7.3.2"] }),
  },
];

/** Shown to each port of each node; told of in log, chain and counts of that very node. */
async function refusedEverywhere(
  world: World,
  name: string,
  shown: Shown,
  condition: string,
  nodes: readonly ClusterNode[] = world.cluster.nodes,
): Promise<void> {
  const fingerprint = fingerprintOf(shown.certificatePem);
  const expected: { readonly node: ClusterNode; readonly port: PeerPort }[] = [];
  for (const node of nodes)
    for (const port of ports) {
      const before = await counted(node, port, condition);
      const { verdict, protocol, socket } = await show(node.ports[port], shown);
      socket.destroy();
      world.holds(`${node.name} ${port}: ${name}: ${condition}`, verdict === condition, verdict);
      world.holds(`${node.name} ${port}: TLS 1.3`, protocol === "TLSv1.3", protocol);
      await until(
        async () => {
          const lines = node.logged(["a peer was refused", `"port":"${port}"`, condition, fingerprint]);
          return lines.length > 0 && (await counted(node, port, condition)) > before ? true : undefined;
        },
        seenWithinMs,
        `${node.name} ${port}: ${name}: log and count tell ${condition}`,
      ).catch((error: unknown) => world.failures.push(String(error)));
      expected.push({ node, port });
    }
  const missing = async (): Promise<string[]> => {
    const rows = await world.refused();
    return expected
      .filter(
        ({ node, port }) =>
          !rows.some(
            ({ node_name, payload }) =>
              node_name === node.name &&
              payload.port === port &&
              payload.condition === condition &&
              payload.fingerprint === fingerprint &&
              payload.ip_address === "127.0.0.1",
          ),
      )
      .map(({ node, port }) => `${node.name} ${port}`);
  };
  let last: string[] = [];
  await until(
    async () => {
      last = await missing();
      return last.length === 0 ? true : undefined;
    },
    seenWithinMs,
    "all chains tell",
  ).catch(() => world.failures.push(`${name}: not in the audit chains: ${last.join(", ")}`));
}

async function withoutCertificate(world: World): Promise<string> {
  for (const node of world.cluster.nodes) {
    const rpc = await show(node.ports.rpc, undefined);
    rpc.socket.destroy();
    world.holds(`${node.name} rpc: no certificate`, rpc.verdict === "NO_CERTIFICATE", rpc.verdict);
    // The control port lets everybody in who asks to join, and to nothing else.
    const hash = await xxhash();
    const asks = async (number: number): Promise<string> => {
      const network = new HostPeerNetwork();
      network.use({ own: undefined, check: () => ({ condition: "NOBODY", message: "", node: undefined }) });
      const target = {
        address: `127.0.0.1:${node.ports.control}`,
        node: undefined,
        authority: world.ca.fingerprint,
      };
      try {
        await requestOnce({ network, clock: hostClock, hash }, target, number, Buffer.from("{}"), 3_000);
        return "answered";
      } catch (error) {
        return String((error as Error).message);
      } finally {
        network.close();
      }
    };
    const join = await asks(method.join);
    world.holds(`${node.name} control: a stranger may ask to join`, join.includes("join request"), join);
    for (const name of ["hello", "propose", "change", "authority", "barrier"] as const) {
      const told = await asks(method[name]);
      world.holds(
        `${node.name} control: a stranger's ${name}`,
        /closed|broke|lost|connection/i.test(told),
        told,
      );
    }
    for (const port of ports) {
      const old = await show(node.ports[port], undefined, { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" });
      old.socket.destroy();
      world.holds(`${node.name} ${port}: TLS 1.2`, old.verdict === "closed", old.verdict);
    }
  }
  return "NO_CERTIFICATE";
}

/** Many at once: the same certificate again and again, and one of its own for each. */
async function flood(world: World): Promise<string> {
  const { cluster, scale } = world;
  const node = cluster.node(2);
  const same = await world.ca.node(uuidOf(world, 3), { fromMs: -40 * day, days: 30 });
  const count = Math.max(100, Math.ceil(2_000 * scale));
  const others = Math.max(50, Math.ceil(200 * scale));
  const made: Shown[] = [];
  for (let at = 0; at < others; at++) made.push(await world.unknown.node(somebody));
  const reasons = ["EXPIRED", "UNTRUSTED_CA"];
  const countAll = async (): Promise<number> => {
    let sum = 0;
    for (const port of ports) for (const reason of reasons) sum += await counted(node, port, reason);
    return sum;
  };
  const linesOf = (): number => node.logged(["a peer was refused"]).length;
  const eventsOf = async (): Promise<number> =>
    (await world.refused()).filter(({ node_name }) => node_name === node.name).length;
  const [beforeCount, beforeLines, beforeEvents] = [await countAll(), linesOf(), await eventsOf()];
  const term = await cluster.term();
  const started = performance.now();
  let refused = 0;
  let cutOff = 0;
  const queue = [...Array.from({ length: count }, () => same), ...made];
  await Promise.all(
    Array.from({ length: 16 }, async (_, lane) => {
      for (let at = lane; at < queue.length; at += 16) {
        const { verdict, socket } = await show(node.ports[ports[at % 2]!], queue[at]);
        socket.destroy();
        if (reasons.includes(verdict)) refused++;
        else cutOff++;
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  await until(
    async () => ((await countAll()) - beforeCount >= refused ? true : undefined),
    seenWithinMs,
    `${refused} refusals are counted`,
  ).catch((error: unknown) => world.failures.push(String(error)));
  const lines = linesOf() - beforeLines;
  const events = (await eventsOf()) - beforeEvents;
  const windows = 1 + Math.ceil(seconds / 60);
  // For each reason and port nine certificates are told apart, once at first and once with their count.
  const most = reasons.length * ports.length * 10 * 2 * windows;
  world.holds("a flood is in the log with few lines", lines <= most, `${lines} of ${most}`);
  world.holds("a flood is in the audit chain with few events", events <= most, `${events} of ${most}`);
  world.holds("nobody of a flood gets in", cutOff < queue.length / 10, `${cutOff} were cut off`);
  world.holds("a flood brings no election", (await cluster.term()) === term);
  await until(
    async () => (node.logged(["an alert fires", "CaValidationFailures"]).length > 0 ? true : undefined),
    15_000,
    `${node.name} alerts of it`,
  ).catch((error: unknown) => world.failures.push(String(error)));
  return `${refused} refused in ${seconds.toFixed(1)} s, ${cutOff} cut off; ${lines} lines of log, ${events} events`;
}

// --- clients of Postgres ---------------------------------------------------------------------------------------------

const run = promisify(execFile);

async function psql(
  node: ClusterNode,
  options: string,
  secret?: string,
  sql = "select current_user",
  host = "localhost",
): Promise<string> {
  const target = `host=${host} hostaddr=127.0.0.1 port=${node.ports.pg} dbname=scratchbird ${options}`;
  try {
    const { stdout } = await run("psql", ["-w", "-X", "-A", "-t", "-c", sql, target], {
      env: { ...process.env, ...(secret === undefined ? {} : { PGPASSWORD: secret }) },
      timeout: 20_000,
    });
    return stdout.trim();
  } catch (error) {
    return String((error as { stderr?: string }).stderr || error).trim();
  }
}

/** What clients check nodes by, as an operator gets it. */
async function rootsOf({ cluster }: World, node: ClusterNode): Promise<string> {
  const folder = join(cluster.folder, "clients");
  mkdirSync(folder, { recursive: true });
  const rows = await ask<{ certificate: string }>(
    node,
    "SELECT certificate FROM sys.certificate_authorities WHERE status = 'TRUSTED'",
  );
  const file = join(folder, "ca.pem");
  writeFileSync(file, rows.map((row) => row.certificate).join(""));
  return file;
}

interface UserFiles {
  readonly options: string;
  readonly serial: string;
  readonly shown: Shown;
}

async function issueUser(world: World, role: string): Promise<UserFiles> {
  const folder = join(world.cluster.folder, "clients");
  mkdirSync(folder, { recursive: true });
  const { requestPem, keyPem } = makeRequest({ keyKind: "ECDSA-P256", commonName: role });
  const [row] = await ask<{ certificate: string; serial: string }>(
    world.cluster.node(1),
    `ISSUE CERTIFICATE FROM CSR '${requestPem}' FOR USER ${role}`,
  );
  const [certificate, key] = [join(folder, `${role}.crt`), join(folder, `${role}.key`)];
  writeFileSync(certificate, row!.certificate);
  writeFileSync(key, keyPem, { mode: 0o600 });
  const serial = new X509Certificate(row!.certificate).serialNumber.toLowerCase();
  return {
    options: `user=${role} sslcert=${certificate} sslkey=${key}`,
    serial,
    shown: { certificatePem: row!.certificate, keyPem },
  };
}

async function clients(world: World): Promise<string> {
  const { cluster } = world;
  const home = cluster.node(1);
  const secret = "pässword of clara";
  for (const sql of [
    "CREATE ROLE clara LOGIN PASSWORD 'pässword of clara'",
    "CREATE ROLE dora LOGIN",
    "CREATE CONNECTION RULE clara FOR clara TLS REQUIRED METHOD SCRAM PLUS",
    "CREATE CONNECTION RULE dora FOR dora TLS REQUIRED METHOD CERTIFICATE",
  ])
    await ask(home, sql);
  const dora = await issueUser(world, "dora");
  const roots = await rootsOf(world, home);
  const others = join(cluster.folder, "clients", "others.pem");
  writeFileSync(others, world.unknown.certificatePem);
  for (const node of cluster.nodes) {
    const ssl = `sslmode=verify-full sslrootcert=${roots}`;
    await until(
      async () => ((await psql(node, `user=admin ${ssl}`, password)) === "admin" ? true : undefined),
      seenWithinMs,
      `${node.name} has a certificate of the CA`,
    ).catch((error: unknown) => world.failures.push(String(error)));
    const stranger = await psql(node, `user=admin sslmode=verify-full sslrootcert=${others}`, password);
    world.holds(`${node.name}: by another CA`, stranger.includes("certificate verify failed"), stranger);
    const wrongHost = await psql(node, `user=admin ${ssl}`, password, undefined, "elsewhere.example");
    world.holds(`${node.name}: by another name`, wrongHost.includes("does not match host name"), wrongHost);
    const bound = await psql(node, `user=clara channel_binding=require ${ssl}`, secret);
    world.holds(`${node.name}: psql with SCRAM-SHA-256-PLUS`, bound === "clara", bound);
    const unbound = await psql(node, `user=clara channel_binding=disable ${ssl}`, secret);
    world.holds(`${node.name}: without binding`, unbound.includes("password authentication failed"), unbound);
    const certified = await psql(node, `${dora.options} ${ssl}`);
    world.holds(`${node.name}: psql with a certificate`, certified === "dora", certified);
    const without = await psql(node, `user=dora ${ssl}`);
    world.holds(`${node.name}: psql without it`, /no password supplied/.test(without), without);
  }
  // Sessions by certificate at each node; then it is taken back.
  const sessions = await Promise.all(cluster.nodes.map((node) => certifiedSession(node, dora.shown)));
  const started = performance.now();
  await ask(home, `REVOKE CERTIFICATE '${dora.serial}' REASON 'key compromised'`);
  const answered = performance.now();
  const ends = await Promise.all(
    sessions.map(async ({ client, ended }, at) => {
      const end = await Promise.race([ended, sleep(revokedWithinMs * 3).then(() => undefined)]);
      world.holds(
        `${cluster.node(at + 1).name}: the session of a revoked certificate ends`,
        end !== undefined && end - answered <= revokedWithinMs,
        end === undefined ? "it goes on" : `${Math.round(end - answered)} ms`,
      );
      await client.end().catch(() => undefined);
      return end === undefined ? Number.NaN : end - started;
    }),
  );
  for (const node of cluster.nodes) {
    const told = await psql(node, `${dora.options} sslmode=require`);
    world.holds(
      `${node.name}: a revoked certificate`,
      told.includes("certificate") && !/^dora$/.test(told),
      told,
    );
    world.holds(`${node.name}: it is counted`, (await counted(node, "pg", "REVOKED")) > 0);
  }
  return `revoked user certificate: statement ${Math.round(answered - started)} ms, sessions ended ${ends.map((one) => `${Math.round(one)} ms`).join(", ")} from its start`;
}

async function certifiedSession(
  node: ClusterNode,
  { certificatePem, keyPem }: Shown,
): Promise<{ readonly client: pg.Client; readonly ended: Promise<number> }> {
  const { default: driver } = await import("pg");
  const client = new driver.Client({
    host: "127.0.0.1",
    port: node.ports.pg,
    user: "dora",
    database: "scratchbird",
    ssl: { cert: certificatePem, key: keyPem, rejectUnauthorized: false },
  });
  const ended = new Promise<number>((resolve) => {
    client.on("error", () => resolve(performance.now()));
    client.on("end", () => resolve(performance.now()));
  });
  await client.connect();
  await client.query("SELECT 1");
  return { client, ended };
}

/** Ports take certificates of the new CA, and no session ends for it. */
async function exchanged(world: World): Promise<string> {
  const { cluster } = world;
  const home = cluster.node(1);
  const before = new Map<ClusterNode, string>();
  const sessions: pg.Client[] = [];
  const serverOf = (node: ClusterNode): Promise<string> => shownByPort(node);
  for (const node of cluster.nodes) {
    before.set(node, await serverOf(node));
    const client = await node.connect(30_000);
    await client.query("CREATE TEMPORARY TABLE mine (id integer)").catch(() => undefined);
    sessions.push(client);
  }
  await ask(home, "ROTATE CA STABILITY WINDOW '1 s'", 30_000);
  const during = await rootsOf(world, home);
  const started = performance.now();
  await until(
    async () =>
      (await ask<{ phase: string }>(home, "SELECT phase FROM sys.ca_rotation"))[0]?.phase === "DONE"
        ? true
        : undefined,
    30_000,
    "the CA is exchanged",
  );
  const after = performance.now();
  // Clients who have both are never refused; then the newer alone is enough.
  for (const node of cluster.nodes) {
    const both = await psql(node, `user=admin sslmode=verify-full sslrootcert=${during}`, password);
    world.holds(`${node.name}: with both CAs`, both === "admin", both);
  }
  const roots = await rootsOf(world, home);
  for (const node of cluster.nodes) {
    const ssl = `user=admin channel_binding=require sslmode=verify-full sslrootcert=${roots}`;
    await until(
      async () => ((await psql(node, ssl, password)) === "admin" ? true : undefined),
      10_000,
      `${node.name} has a certificate of the new CA`,
    ).catch((error: unknown) => world.failures.push(String(error)));
    world.holds(`${node.name}: it is another one`, (await serverOf(node)) !== before.get(node));
  }
  const renewed = performance.now();
  for (const [at, client] of sessions.entries()) {
    const alive = await client.query("SELECT 1 AS one").then(
      () => true,
      () => false,
    );
    world.holds(`${cluster.node(at + 1).name}: sessions go on`, alive);
    await client.end().catch(() => undefined);
  }
  return `exchanged in ${Math.round(after - started)} ms, all ports ${Math.round(renewed - after)} ms later`;
}

/** SHA-256 of what the Postgres port shows. */
async function shownByPort(node: ClusterNode): Promise<string> {
  const { stream, certificateHash } = await dial("127.0.0.1", node.ports.pg, "require");
  stream.destroy();
  return certificateHash?.toString("hex") ?? "";
}

// --- security bundles --------------------------------------------------------------------------------------------------

/** As a coordinator that says it holds this bundle: what it is told of its stream, and of a statement on it. */
async function coordinate(shown: Shown, port: number, bundle: BundleStamp, sql: string): Promise<string> {
  const { socket, verdict } = await show(port, shown);
  if (verdict !== "") return `refused: ${verdict}`;
  try {
    const hash = await xxhash();
    const user = { user: "admin", database: "scratchbird", settings: [], remoteAddress: "127.0.0.1:1" };
    const head = { kind: "session", head: { ...user, encrypted: true }, bundle };
    const said: Buffer[] = [];
    const heard = (condition: (all: Buffer) => boolean): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`no answer but ${Buffer.concat(said).toString("latin1")}`)),
          connectMs,
        );
        const look = (): void => {
          const all = Buffer.concat(said);
          if (!condition(all)) return;
          clearTimeout(timer);
          socket.off("data", look);
          resolve(all);
        };
        socket.on("data", look);
        look();
      });
    socket.on("data", (chunk: Buffer) => said.push(chunk));
    const ready = Buffer.from("Z\0\0\0\x05I", "latin1");
    const mismatch = Buffer.from("SECURITY_BUNDLE_MISMATCH");
    socket.write(new FrameEncoder(hash).encode("stream", 0, 0, Buffer.from(JSON.stringify(head))));
    const opened = await heard((all) => all.includes(ready) || all.includes(mismatch));
    if (opened.includes(mismatch)) return "stream: SECURITY_BUNDLE_MISMATCH";
    said.length = 0;
    socket.write(serialize.query(sql) as Buffer);
    const answer = await heard((all) => all.includes(ready));
    return answer.includes(mismatch) ? "statement: SECURITY_BUNDLE_MISMATCH" : "run";
  } finally {
    socket.destroy();
  }
}

async function bundles(world: World): Promise<string> {
  const { cluster } = world;
  const home = cluster.node(1);
  const materialOf = (node: ClusterNode): Shown => {
    const read = (name: string): string => readFileSync(join(node.folder, "tls", name), "utf8");
    return { certificatePem: read("node.crt"), keyPem: read("node.key") };
  };
  await ask(home, "CREATE TABLE guarded (id integer)");
  await ask(home, "ALTER CLUSTER SET security_bundle.publish_interval = '0'");
  // Statements of all nodes' clients while bundles are published: nobody is told of it.
  let running = true;
  let statements = 0;
  const streams = cluster.nodes.flatMap((node) =>
    [1, 2].map(async () => {
      const client = await node.connect(30_000);
      while (running) {
        await client.query("INSERT INTO guarded VALUES ($1)", [1]);
        statements++;
      }
      await client.end();
    }),
  );
  for (let round = 0; round < 5; round++) {
    await ask(home, `CREATE SECURITY BUNDLE DESCRIPTION 'round ${round}'`);
    if (round === 0)
      await ask(
        home,
        "CREATE RLS POLICY small ON guarded AS RESTRICTIVE USING (id < 100) WITH CHECK (id < 100)",
      );
    await ask(home, "PUBLISH SECURITY BUNDLE");
    await sleep(200);
  }
  running = false;
  for (const ended of await Promise.allSettled(streams))
    if (ended.status === "rejected") world.failures.push(`during a publication: ${String(ended.reason)}`);

  const past = await ask<{ bundle_version: string; bundle_hash: string }>(
    home,
    "SELECT bundle_version, bundle_hash FROM sys.security_bundle_history ORDER BY bundle_version DESC LIMIT 2",
  );
  const [current, older] = past.map(
    (one): BundleStamp => ({
      version: Number(one.bundle_version),
      hash: one.bundle_hash,
    }),
  );
  const count = async (): Promise<string> =>
    (await ask<{ count: string }>(home, "SELECT count(*) FROM guarded"))[0]!.count;
  const before = await count();
  const insert = "INSERT INTO guarded VALUES (7)";
  const flipped = (at: number): BundleStamp => ({
    version: current!.version,
    hash: current!.hash.replace(/../g, (byte, place: number) =>
      place === 2 * at ? (Number.parseInt(byte, 16) ^ 1).toString(16).padStart(2, "0") : byte,
    ),
  });
  const forged: (readonly [name: string, bundle: BundleStamp])[] = [
    ["an older bundle", older!],
    ["an older bundle under the new number", { ...older!, version: current!.version }],
    ["a number that nobody knows", { ...current!, version: current!.version + 1 }],
    ...Array.from({ length: 32 }, (_, at) => [`a hash with byte ${at} changed`, flipped(at)] as const),
  ];
  for (const node of cluster.nodes) {
    const shown = materialOf(node === cluster.node(2) ? cluster.node(3) : cluster.node(2));
    for (const [name, bundle] of forged) {
      const told = await coordinate(shown, node.ports.rpc, bundle, insert);
      world.holds(`${node.name}: ${name} is refused`, told.endsWith(": SECURITY_BUNDLE_MISMATCH"), told);
    }
  }
  world.holds("nothing of it was carried out", (await count()) === before);
  // It is the bundle that was refused: with the right one the same is carried out.
  const right = await coordinate(materialOf(cluster.node(2)), home.ports.rpc, current!, insert);
  world.holds(
    "the right bundle is taken",
    right === "run" && (await count()) === String(Number(before) + 1),
    right,
  );
  for (const node of cluster.nodes) {
    const rows = await ask<{ count: string }>(
      home,
      `SELECT count(*) FROM sys.audit_events WHERE event_type = 'SECURITY_BUNDLE_MISMATCH' AND node_name = '${node.name}'`,
      30_000,
    );
    world.holds(`${node.name}: it is in the audit`, Number(rows[0]!.count) > 0);
    world.holds(`${node.name}: it is in the log`, node.logged(["SECURITY_BUNDLE_MISMATCH"]).length > 0);
  }
  return `${statements} statements during 5 publications, ${forged.length * cluster.nodes.length} forged coordinators`;
}

// --- a node that is revoked --------------------------------------------------------------------------------------------

async function revokedNode(world: World): Promise<string> {
  const { cluster } = world;
  const node = cluster.node(3);
  const others = [cluster.node(1), cluster.node(2)];
  const read = (name: string): string => readFileSync(join(node.folder, "tls", name), "utf8");
  const shown: Shown = { certificatePem: read("node.crt"), keyPem: read("node.key") };
  // Beside the node's own connections, raw ones that are let in as the node.
  const raws: {
    readonly what: string;
    readonly raw: Raw;
    readonly port: number;
    ended: number | undefined;
  }[] = [];
  for (const other of others) {
    const raw = await show(other.ports.rpc, shown);
    world.holds(`${other.name} rpc: the node is let in while it is good`, raw.verdict === "", raw.verdict);
    const one = {
      what: `${other.name} rpc`,
      raw,
      port: other.ports.rpc,
      ended: undefined as number | undefined,
    };
    raw.socket.once("close", () => {
      one.ended = performance.now();
    });
    raws.push(one);
  }
  await ask(cluster.node(1), "CREATE TABLE kept_at_home (id integer PRIMARY KEY)");
  // A client of its, whose session runs where the data is.
  const relayed = await node.connect();
  await relayed.query("SET application_name = 'behind the revoked'");
  const home = await cluster.node(1).connect();
  const isThere = async (): Promise<boolean> =>
    (await home.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'behind the revoked'"))
      .rowCount !== 0;
  world.holds("the session of the node's client runs at home", await isThere());
  const revoked = performance.now();
  await ask(cluster.node(1), "REVOKE CERTIFICATE FOR NODE 'node-3' REASON 'key compromised'");
  const answered = performance.now();
  const healths = await Promise.all(
    others.map((other) =>
      until(
        async () => ((await healthOf(other, node.name)) === 0 ? performance.now() : undefined),
        revokedWithinMs * 2,
        `${other.name} has no connection with ${node.name}`,
        10,
      ).catch((error: unknown) => {
        world.failures.push(String(error));
        return Number.NaN;
      }),
    ),
  );
  const relayEnded = await until(
    async () => ((await isThere()) ? undefined : performance.now()),
    revokedWithinMs,
    "the session relayed for the node has ended",
    20,
  ).catch(() => undefined);
  const deadline = answered + revokedWithinMs;
  while (performance.now() < deadline && raws.some((one) => one.ended === undefined)) await sleep(10);
  const since = (at: number | undefined): string =>
    at === undefined ? "never" : `${Math.round(at - revoked)} ms`;
  for (const one of raws) world.holds(`${one.what}: cut within 2 s`, one.ended !== undefined);
  world.holds("the session relayed for it: ended within 2 s", relayEnded !== undefined);
  const told = await relayed.query("SELECT count(*) FROM kept_at_home").then(
    () => "an answer",
    (error: Error) => error.message,
  );
  world.holds("its client is told that the way is gone", told !== "an answer", told);
  for (const [place, at] of healths.entries())
    world.holds(
      `${others[place]!.name}: its links are cut within 2 s`,
      at - answered <= revokedWithinMs,
      since(at),
    );
  // New ones, and those that would resume an old one.
  for (const { what, raw, port } of raws) {
    const again = await show(port, shown, raw.session === undefined ? {} : { session: raw.session });
    again.socket.destroy();
    world.holds(
      `${what}: resumed`,
      again.verdict === "REVOKED" && !again.resumed,
      `${again.verdict} ${again.resumed}`,
    );
    raw.socket.destroy();
  }
  await refusedEverywhere(world, "a revoked node's", shown, "REVOKED", others);
  // It stays outside, and the others go on.
  await sleep(1_000);
  for (const other of others)
    world.holds(`${other.name}: the node stays outside`, (await healthOf(other, node.name)) === 0);
  await ask(cluster.node(1), "ALTER CLUSTER SET degraded_mode.max_duration = '61s'");
  await relayed.end().catch(() => undefined);
  await home.end().catch(() => undefined);
  return (
    `from the statement's start: answered after ${Math.round(answered - revoked)} ms; ` +
    `${raws.map(({ what, ended }) => `${what} ${since(ended)}`).join(", ")}; relayed session ${since(relayEnded)}; ` +
    `links ${healths.map(since).join(", ")}`
  );
}

async function healthOf(node: ClusterNode, target: string): Promise<number | undefined> {
  const response = await fetch(`http://127.0.0.1:${node.ports.http}/metrics`, {
    signal: AbortSignal.timeout(3_000),
  });
  const found = new RegExp(`^scratchbird_peer_health\\{node="[^"]*",target="${target}"\\} (\\d)$`, "m").exec(
    await response.text(),
  );
  return found === null ? undefined : Number(found[1]);
}

// --- all of it -----------------------------------------------------------------------------------------------------------

const cases: Readonly<Record<string, (world: World) => Promise<string>>> = {
  ...Object.fromEntries(
    wrong.map(({ name, condition, make }) => [
      `a certificate: ${name}`,
      async (world: World) => {
        await refusedEverywhere(world, name, await make(world), condition);
        return condition;
      },
    ]),
  ),
  "no certificate, and no TLS 1.3": withoutCertificate,
  "a flood of refusals": flood,
  "clients of Postgres": clients,
  "security bundles": bundles,
  "an exchange of CAs": exchanged,
  "a node that is revoked": revokedNode,
};

export async function runTrust(options: TrustRun = {}): Promise<TrustReport> {
  const { progress = () => {}, scale = 1 } = options;
  const failures: string[] = [];
  let count = 0;
  const cluster = await TestCluster.found(options.parent === undefined ? {} : { parent: options.parent });
  try {
    const { clusterId } = cluster.node(1).identity;
    const ca = await OpenCa.ofFolder(cluster.node(1).folder, clusterId);
    const unknown = await OpenCa.unknown(clusterId);
    const foreign = await OpenCa.unknown("00000000-0000-4000-8000-0000000000ff");
    for (const [name, act] of Object.entries(cases)) {
      if (options.only !== undefined && !name.includes(options.only)) continue;
      const world = new World(cluster, ca, unknown, foreign, scale);
      const started = performance.now();
      const said = await act(world);
      count++;
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      const words = world.failures.length === 0 ? "held" : "FAILED";
      progress(`trust: ${name}: ${words}, ${said}, ${seconds} s`);
      failures.push(...world.failures.map((failure) => `${name}: ${failure}`));
    }
  } catch (error) {
    failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    for (const node of cluster.nodes) progress(`${node.name}: ${node.tail()}`);
  } finally {
    await cluster.remove();
  }
  return { cases: count, failures };
}
