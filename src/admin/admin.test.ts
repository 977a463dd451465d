/** Over real sockets: every route, what is refused, and what /metrics says beside what the manual says. */
import { readFileSync } from "node:fs";
import net from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { ClusterView, ControlStatus, Member } from "../cluster/contract.js";
import { ChurnWindow } from "../cluster/index.js";
import { Durations } from "../observe/index.js";
import { httpLimits, reserveHttp } from "../platform/http.js";
import { processUsage } from "../platform/usage.js";
import { alertRules } from "./alert-rules.js";
import { type Admin, type MetricSources, type Readiness, startAdmin } from "./index.js";
import { metricTable } from "./metrics.js";
import { type Family, parseExposition } from "./testing.js";

const now = Date.UTC(2026, 0, 2, 3, 4, 5);
const uuid = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;

function member(n: number, state: Member["state"], name = `node-${n}`): Member {
  return {
    uuid: uuid(n),
    name,
    raftId: n,
    certFingerprint: "",
    publicKey: `key-${n}`,
    addresses: { control: "", rpc: "", pg: "" },
    hostLabel: "",
    roles: 1,
    state,
    version: 1,
    joinedAt: now - 60_000,
    addedBy: "test",
    stateChangedAt: now - 60_000 + n,
    stateChangedBy: "test",
    stateReason: 'secret "reason"',
    boot: { count: 1, nonce: "" },
  };
}

function sourcesOf(members: readonly Member[], changes: Partial<ControlStatus> = {}): MetricSources {
  const view = {
    members: new Map(members.map((one) => [one.uuid, one])),
    epochs: [
      { epoch: { number: 6 }, state: "SUPERSEDED" },
      { epoch: { number: 7 }, state: "CONVERGING" },
    ],
    refusedEpochs: [{}],
    attestations: new Map(),
    authorities: [{ fingerprint: "aa".repeat(32), primary: true }],
    revocations: () => ({
      number: 3,
      thisUpdate: now - 60_000,
      nextUpdate: now + 120_000,
      revoked: new Map([["0a", {}]]),
    }),
    rotation: { id: "", to: "aa".repeat(32), startedAt: now - 30_000 },
    rotationProgress: () => ({
      laggards: new Map([[uuid(2), "has not seen node-1"]]),
      completeSince: undefined,
    }),
    pastRotations: [],
    certificates: new Map([
      ["1", { issuer: "aa".repeat(32), kind: "user" }],
      ["2", { issuer: "aa".repeat(32), kind: "user" }],
      ["3", { issuer: "bb".repeat(32), kind: "server" }],
    ]),
  } as unknown as ClusterView;
  const status: ControlStatus = {
    node: uuid(1),
    role: "leader",
    leader: uuid(1),
    term: 4,
    lastIndex: 120,
    commitIndex: 119,
    appliedIndex: 118,
    hasQuorum: true,
    epochMismatch: false,
    leaderChanges: 3,
    proposalsCommitted: 50,
    proposalsFailed: 2,
    snapshotIndex: 100,
    bytesSinceSnapshot: 4096,
    state: "ENABLED",
    peers: members.slice(1).map((one, at) => ({
      node: one.uuid,
      connected: at % 2 === 0,
      lastSeenAt: at % 2 === 0 ? now - 250 : undefined,
      epoch: 7,
      appliedIndex: 117,
      version: 1,
      roundTripMs: at % 2 === 0 ? 1.5 : undefined,
    })),
    ...changes,
  };
  const churn = new ChurnWindow(now - 3_600_000);
  churn.noteMembers(view.members, now);
  const elections = new Durations();
  elections.observe(0.4);
  const replication = new Durations();
  for (const seconds of [0.0005, 0.002, 0.002, 40]) replication.observe(seconds);
  return {
    control: () => status,
    raft: () => ({ compactions: 5, elections: structuredClone(elections), replication }),
    view: () => view,
    churn: () => ({ totals: churn.totals, score: churn.score(now) }),
    audit: () => ({ appended: 7, failures: 1, unsigned: 2, broken: false, checkpointAgeSeconds: 60 }),
    storage: () => ({
      frames: 1000,
      framesHeld: 10,
      framesBehind: 5,
      evictions: 3,
      groups: 44,
      groupBytes: 4400,
      checkpoints: 2,
      checkpointPages: 20,
      averageReadMs: 0.25,
    }),
    loopDelay: (seconds) => (seconds === 5 ? { p50: 0, p99: 1.5, max: 12 } : undefined),
    authentication: () => ({
      outcomes: new Map([
        ["success scram", 3],
        ["failure plus", 2],
      ]),
      failures: new Map([["password", 2]]),
      unauthenticated: 1,
    }),
    certificateEnds: () => [
      ["node", now + 3_600_000],
      ["ca", now - 1_000],
    ],
    alerts: () =>
      new Map([
        ["WARNING", 0],
        ["CRITICAL", 2],
      ]),
    refusals: () => [
      [["control", "EXPIRED"], 3],
      [["pg", "REVOKED"], 1],
    ],
    sessions: () => ({
      open: 8,
      active: 2,
      workMemoryUsedBytes: 100,
      workMemoryLimitBytes: 1000,
      heavyRunning: 1,
      heavyQueued: 4,
    }),
    process: processUsage,
  };
}

const three = [member(1, "ENABLED"), member(2, "ENABLED"), member(3, "FAILED"), member(4, "REMOVED")];

interface Started {
  readonly admin: Admin;
  readonly url: string;
  readonly trouble: [string, unknown][];
}
const open: Admin[] = [];
afterEach(async () => {
  for (const admin of open.splice(0)) await admin.close();
});

async function start(
  ready: () => Readiness = () => ({ ready: true, reasons: [] }),
  sources = sourcesOf(three),
  load = true,
): Promise<Started> {
  const trouble: [string, unknown][] = [];
  const admin = startAdmin({
    door: await reserveHttp("127.0.0.1", 0),
    node: "node-1",
    version: "1.2.3",
    clock: { now: () => now },
    ready,
    sources,
    onTrouble: (what, error) => trouble.push([what, error]),
  });
  open.push(admin);
  if (load) await admin.load();
  return { admin, url: `http://${admin.address}`, trouble };
}

/** Sends bytes; resolves with all that came back once the other side has closed. */
function raw(port: number, text: string, waitMs = 5_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(text));
    let answer = "";
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`still open after ${waitMs} ms: ${answer}`));
    }, waitMs);
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}

function connected(port: number): Promise<net.Socket> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => resolve(socket));
    socket.on("error", () => {});
  });
}

describe("routes", () => {
  it("say what is here, and that the node lives", async () => {
    const { url } = await start();
    const page = await fetch(url);
    expect(page.status).toBe(200);
    expect(page.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    const text = await page.text();
    for (const path of ["/healthz", "/readyz", "/metrics"]) expect(text).toContain(path);
    const health = await fetch(`${url}/healthz`);
    expect(health.status).toBe(200);
    expect(health.headers.get("content-type")).toMatch(/^application\/json/);
    expect(health.headers.get("cache-control")).toBe("no-store");
    expect(await health.json()).toEqual({ status: "ok", node: "node-1", version: "1.2.3" });
  });

  it("say whether it takes clients, and why not", async () => {
    let readiness: Readiness = { ready: true, reasons: [] };
    const { url } = await start(() => readiness);
    const answer = async () => {
      const response = await fetch(`${url}/readyz`);
      return [response.status, await response.json()];
    };
    expect(await answer()).toEqual([200, { status: "ready", reasons: [] }]);
    readiness = { ready: false, reasons: ["the node is stopping", "no leader is known"] };
    expect(await answer()).toEqual([503, { status: "not ready", reasons: readiness.reasons }]);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    const families = parseExposition(await (await fetch(`${url}/metrics`)).text());
    expect(families.get("scratchbird_ready")!.samples[0]!.value).toBe(0);
  });

  it("are four, and only for GET without a body", async () => {
    const { url, admin } = await start();
    const missing = await fetch(`${url}/metrics/x?y=1`);
    expect(missing.status).toBe(404);
    expect(await missing.json()).toEqual({ error: expect.any(String) });
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      for (const path of ["/metrics", "/nothing"]) {
        const response = await fetch(url + path, {
          method,
          body: method === "POST" ? "x".repeat(100_000) : null,
        });
        expect([method, response.status, response.headers.get("allow")]).toEqual([method, 405, "GET"]);
        expect(await response.json()).toEqual({ error: expect.any(String) });
      }
    }
    expect((await fetch(url, { method: "HEAD" })).status).toBe(405);
    const body = "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc";
    expect(await raw(admin.port, body)).toMatch(/^HTTP\/1.1 400 /);
    const chunked = "GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    expect(await raw(admin.port, chunked)).toMatch(/^HTTP\/1.1 400 /);
    expect(await raw(admin.port, "rubbish\r\n\r\n")).toMatch(/^HTTP\/1.1 400 /);
    expect(await raw(admin.port, "GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).toMatch(
      /^HTTP\/1.1 400 /,
    );
  });
});

describe("before its libraries are loaded", () => {
  it("requests wait, and the first of them loads", async () => {
    const { url } = await start(undefined, undefined, false);
    const answers = await Promise.all(["/healthz", "/readyz", "/metrics"].map((path) => fetch(url + path)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  it("many requests on one connection do not pile up", async () => {
    const door = await reserveHttp("127.0.0.1", 0);
    try {
      // Nobody answers here: the connection is cut once too many wait.
      const requests = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(httpLimits.connectionsMax + 1);
      expect(await raw(door.port, requests)).toBe("");
    } finally {
      await door.close();
    }
  });

  it("it can be closed", async () => {
    const { admin, url, trouble } = await start(undefined, undefined, false);
    const waiting = fetch(url).then(
      () => "answered",
      () => "cut off",
    );
    await admin.close();
    expect(["answered", "cut off"]).toContain(await waiting);
    expect(trouble).toEqual([]);
  });
});

describe("limits", () => {
  it("bound headers, connections and times", async () => {
    const { admin } = await start();
    const header = `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${"y".repeat(httpLimits.headerBytesMax)}\r\n\r\n`;
    expect(await raw(admin.port, header)).toMatch(/^HTTP\/1.1 431 /);

    const sockets: net.Socket[] = [];
    for (let n = 0; n < httpLimits.connectionsMax; n++) sockets.push(await connected(admin.port));
    expect(await raw(admin.port, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")).toBe("");
    for (const socket of sockets.splice(50)) socket.destroy();
    await expect
      .poll(() => raw(admin.port, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
      .toMatch(/^HTTP\/1.1 200 /);
    for (const socket of sockets) socket.destroy();
  });

  it("end a connection that says nothing, and a request that does not come to its end", async () => {
    const door = await reserveHttp("127.0.0.1", 0);
    try {
      const { server } = door;
      expect([server.requestTimeout, server.headersTimeout, server.timeout]).toEqual([
        10_000, 10_000, 10_000,
      ]);
      server.setTimeout(200);
      expect(await raw(door.port, "", 3_000)).toBe("");
      expect(await raw(door.port, "GET / HT", 3_000)).toBe("");
    } finally {
      await door.close();
    }
  });

  it("keep it on a loopback address, and name a port that is taken", async () => {
    const door = await reserveHttp("0.0.0.0", 0);
    try {
      expect(door.address).toBe(`127.0.0.1:${door.port}`);
      await expect(reserveHttp("127.0.0.1", door.port)).rejects.toMatchObject({
        condition: "ioError",
        fields: { hint: expect.stringContaining("--http-port") },
      });
    } finally {
      await door.close();
    }
  });
});

describe("closing", () => {
  it("ends within a second, whoever is connected", async () => {
    const { admin, url } = await start();
    await (await fetch(`${url}/healthz`)).text();
    const silent = await connected(admin.port);
    const half = await connected(admin.port);
    half.write("GET /metrics HTTP/1.1\r\n");
    const began = performance.now();
    await Promise.all([admin.close(), admin.close()]);
    expect(performance.now() - began).toBeLessThan(1000);
    await expect(fetch(url)).rejects.toThrow();
    silent.destroy();
    half.destroy();
  });
});

const manual = readFileSync(new URL("../../docs/operations/metrics.md", import.meta.url), "utf8");

/** Rows `| name | type | labels | meaning |` of the manual. */
function documented(): { name: string; type: string; labels: string[]; help: string }[] {
  return [...manual.matchAll(/^\| `(scratchbird_\w+)` \| (\w+) \| ([^|]*) \| (.+) \|$/gm)].map(
    ([, name, type, labels, help]) => ({
      name: name!,
      type: type!,
      labels: labels!.trim() === "" ? [] : labels!.trim().split(", "),
      help: help!,
    }),
  );
}

const present = ({ state }: Member): boolean => state !== "REMOVED";

describe("alert rules", () => {
  const metrics = new Set(metricTable.map(({ name }) => name.replace("scratchbird_", "")));

  it("are those of the manual", () => {
    const rows = [...manual.matchAll(/^\| `(\w+)` \| (WARNING|CRITICAL) \| (.+?) \| .+ \|$/gm)];
    expect(rows.map(([, name, severity, summary]) => ({ name, severity, summary }))).toEqual(
      alertRules.map(({ name, severity, summary }) => ({ name, severity, summary })),
    );
  });

  it("are about metrics that are there, but for the one that another part is to bring", () => {
    expect(alertRules.filter((rule) => !metrics.has(rule.metric)).map((rule) => rule.name)).toEqual([
      "SecurityBundleInconsistency",
    ]);
  });

  it("have one condition each, and come back no less far than they went", () => {
    for (const { name, above, below, clearAt } of alertRules) {
      expect([name, (above === undefined) !== (below === undefined)]).toEqual([name, true]);
      if (clearAt === undefined) continue;
      if (above !== undefined) expect(clearAt).toBeLessThan(above);
      if (below !== undefined) expect(clearAt).toBeGreaterThan(below);
    }
  });
});

describe("metrics", () => {
  async function scrape(sources = sourcesOf(three)): Promise<Map<string, Family>> {
    const { url } = await start(undefined, sources);
    const response = await fetch(`${url}/metrics`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const text = await response.text();
    // OBS-3
    expect(text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-/);
    expect(text).not.toContain("reason\\");
    return parseExposition(text);
  }

  it("are those of the manual: names, types, labels and meaning", async () => {
    const families = await scrape();
    const shown = [...families.values()].map(({ name, type, help, samples }) => {
      const labels = new Set(samples.flatMap((one) => Object.keys(one.labels)));
      labels.delete("le");
      return { name, type, labels: [...labels], help };
    });
    expect(shown).toEqual(documented());
    expect(shown.length).toBeGreaterThan(50);
  });

  it("show how certificates stand", async () => {
    const families = await scrape();
    const samples = (name: string): [string, number][] =>
      families.get(`scratchbird_${name}`)!.samples.map(({ labels: { node, ...rest }, value }) => {
        expect(node).toBe("node-1");
        return [Object.values(rest).join(" "), value];
      });
    expect(samples("certificate_expiry_seconds")).toEqual([
      ["node", 3600],
      ["ca", -1],
    ]);
    expect(samples("crl_age_seconds")).toEqual([["", 60]]);
    expect(samples("crl_expiry_seconds")).toEqual([["", 120]]);
    expect(samples("crl_entries")).toEqual([["", 1]]);
    expect(samples("ca_rotation_phase")).toEqual([["", 1]]);
    expect(samples("ca_overlap_duration_seconds")).toEqual([["", 30]]);
    expect(samples("ca_peer_observations_completed")[0]![1]).toBeCloseTo(
      1 - 1 / three.filter(present).length,
    );
    expect(samples("ca_nodes_with_old_certs")).toEqual([["", three.filter(present).length]]);
    expect(samples("ca_certificates_issued_by_ca")).toEqual([
      ["aaaaaaaa user", 2],
      ["bbbbbbbb server", 1],
    ]);
    expect(samples("ca_validation_failures_total")).toEqual([
      ["control EXPIRED", 3],
      ["pg REVOKED", 1],
    ]);
  });

  it("follow the rules of names", async () => {
    for (const { name, type } of (await scrape()).values()) {
      expect(name).toMatch(/^scratchbird_[a-z0-9_]+$/);
      expect([name, name.endsWith("_total")]).toEqual([name, type === "counter"]);
      expect(name).not.toMatch(/_(ms|seconds_total_seconds|kb|mb)$/);
    }
  });

  it("are what the parts of the node say", async () => {
    const families = await scrape();
    const of = (name: string, labels: Record<string, string> = {}): number | undefined => {
      const wanted = JSON.stringify(Object.entries({ node: "node-1", ...labels }).sort());
      return families
        .get(`scratchbird_${name.replace(/_(bucket|sum|count)$/, "")}`)!
        .samples.find(
          (one) =>
            one.name === `scratchbird_${name}` &&
            JSON.stringify(Object.entries(one.labels).sort()) === wanted,
        )?.value;
    };
    expect(of("build_info", { version: "1.2.3" })).toBe(1);
    expect(of("raft_leader")).toBe(1);
    expect(of("raft_term")).toBe(4);
    expect(of("raft_log_entries")).toBe(20);
    expect(of("raft_elections_total")).toBe(3);
    expect(of("raft_compactions_total")).toBe(5);
    expect(of("raft_proposals_total", { outcome: "failed" })).toBe(2);
    expect(of("raft_election_duration_seconds_bucket", { le: "0.1" })).toBe(0);
    expect(of("raft_election_duration_seconds_bucket", { le: "0.5" })).toBe(1);
    expect(of("raft_replication_latency_seconds_bucket", { le: "0.01" })).toBe(3);
    expect(of("raft_replication_latency_seconds_bucket", { le: "30" })).toBe(3);
    expect(of("raft_replication_latency_seconds_bucket", { le: "+Inf" })).toBe(4);
    expect(of("raft_replication_latency_seconds_sum")).toBeCloseTo(40.0045);
    expect(of("cluster_members")).toBe(3);
    expect(of("cluster_voters")).toBe(3);
    expect(of("cluster_members_by_state", { state: "ENABLED" })).toBe(2);
    expect(of("cluster_members_by_state", { state: "JOINING" })).toBe(0);
    expect(of("cluster_members_by_state", { state: "REMOVED" })).toBe(1);
    // Three joined, one of which failed and one left.
    expect(of("node_join_total")).toBe(3);
    expect(of("node_failure_total")).toBe(1);
    expect(of("node_leave_total", { reason: "graceful" })).toBe(1);
    expect(of("node_leave_total", { reason: "forced" })).toBe(0);
    expect(families.get("scratchbird_cluster_stability_score")!.samples).toEqual([
      { name: "scratchbird_cluster_stability_score", labels: {}, value: expect.closeTo(0.8) },
    ]);
    expect(of("epoch_number")).toBe(7);
    expect(of("epoch_state", { state: "CONVERGING" })).toBe(1);
    expect(of("epoch_state", { state: "EFFECTIVE" })).toBe(0);
    expect(of("epoch_unconverged_nodes")).toBe(2);
    expect(of("peer_health", { target: "node-2" })).toBe(1);
    expect(of("peer_health", { target: "node-3" })).toBe(0);
    expect(of("peer_health", { target: "node-4" })).toBeUndefined();
    expect(of("peer_last_seen_age_seconds", { target: "node-2" })).toBe(0.25);
    expect(of("peer_last_seen_age_seconds", { target: "node-3" })).toBeUndefined();
    expect(of("peer_rtt_seconds", { target: "node-2" })).toBe(0.0015);
    expect(of("sessions")).toBe(8);
    expect(of("heavy_statements", { state: "queued" })).toBe(4);
    expect(of("event_loop_delay_max_seconds", { window: "5s" })).toBe(0.012);
    expect(of("event_loop_delay_max_seconds", { window: "60s" })).toBeUndefined();
    expect(of("page_read_average_seconds")).toBe(0.00025);
    expect(of("journal_bytes_total")).toBe(4400);
    expect(of("process_cpu_seconds_total", { mode: "user" })).toBeGreaterThan(0);
    expect(of("process_resident_memory_bytes")).toBeGreaterThan(1e6);
  });

  it("take any name of a node", async () => {
    const odd = 'a"b\\c\nd{e="f"} 1';
    const families = await scrape(sourcesOf([three[0]!, member(2, "ENABLED", odd)]));
    const peers = families.get("scratchbird_peer_health")!.samples;
    expect(peers.map(({ labels }) => labels["target"])).toEqual([odd]);
  });

  it("are read anew each time, without harm to who counts", async () => {
    let term = 1;
    const base = sourcesOf(three);
    const { url } = await start(undefined, { ...base, control: () => ({ ...base.control(), term }) });
    const read = async (): Promise<Map<string, Family>> =>
      parseExposition(await (await fetch(`${url}/metrics`)).text());
    expect((await read()).get("scratchbird_raft_term")!.samples[0]!.value).toBe(1);
    term = 9;
    const again = await read();
    expect(again.get("scratchbird_raft_term")!.samples[0]!.value).toBe(9);
    expect(again.get("scratchbird_checkpoints_total")!.samples[0]!.value).toBe(2);
  });

  it("that cannot be read are an error of that request alone", async () => {
    let broken = true;
    const base = sourcesOf(three);
    const { url, trouble } = await start(undefined, {
      ...base,
      storage: () => {
        if (broken) throw new Error("secret detail");
        return base.storage();
      },
    });
    const response = await fetch(`${url}/metrics`);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret");
    expect(trouble).toEqual([["GET /metrics failed", expect.objectContaining({ message: "secret detail" })]]);
    broken = false;
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
  });

  it("of a thousand series take less than 10 ms (OBS-1)", async () => {
    const many = Array.from({ length: 250 }, (_, n) => member(n + 1, "ENABLED"));
    const { url } = await start(undefined, sourcesOf(many));
    let best = Number.POSITIVE_INFINITY;
    let series = 0;
    for (let round = 0; round < 30; round++) {
      const began = performance.now();
      const text = await (await fetch(`${url}/metrics`)).text();
      best = Math.min(best, performance.now() - began);
      series = text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length;
    }
    expect(series).toBeGreaterThan(1000);
    expect(best).toBeLessThan(10);
  });
});

describe("the reader of the text format", () => {
  it.each([
    ["a 1\n", "no sample"],
    ["# HELP a x\n# TYPE a gauge\na 1", "has an end"],
    ["# HELP a x\n# TYPE b gauge\n", "TYPE out of place"],
    ["# HELP a x\n# TYPE a gauge\nb 1\n", "not of a"],
    ["# HELP a x\n# TYPE a gauge\na 1\na 2\n", "series twice"],
    ["# HELP a x\n# TYPE a gauge\na{x=1} 1\n", "labels of"],
    ['# HELP a x\n# TYPE a gauge\na{x="\\q"} 1\n', "labels of"],
    ["# HELP a x\n# TYPE a gauge\na one\n", "number of"],
    ["# HELP a x\n# TYPE a counter\na -1\n", "below zero"],
    [
      '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
      "rises",
    ],
    ['# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n', "ends with all"],
  ])("refuses %j", (text, why) => {
    expect(() => parseExposition(text)).toThrow(why);
  });
});
