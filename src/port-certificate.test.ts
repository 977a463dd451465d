/** When the Postgres port gets another certificate, and what it shows until then. */
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, it } from "vitest";
import { DbError } from "./base/errors.js";
import type { AuthorityAnswer, AuthorityRequest, ClusterState } from "./cluster/index.js";
import { serverNamesOf } from "./cluster/index.js";
import { silentLog } from "./observe/index.js";
import { HostDisk, hostRandom } from "./platform/host.js";
import type { Clock, TlsMaterial } from "./platform/index.js";
import { PortCertificate } from "./port-certificate.js";
import { createAuthority, type NewAuthority, serverCertificate } from "./security/index.js";
import { createServerCertificate } from "./security/tls.js";

const root = mkdtempSync(join(tmpdir(), "port-certificate-"));
afterAll(() => rmSync(root, { recursive: true }));
const clusterUuid = "00000000-0000-4000-8000-00000000000c";
const node = "00000000-0000-4000-8000-000000000001";
const day = 86_400_000;
const selfNames = { commonName: "node-1", dns: ["localhost"], addresses: ["127.0.0.1"] };

let now: number;
let due: { at: number; run: () => void }[];
let clock: Clock;
let disk: HostDisk;
let cas: NewAuthority[];
let asked: AuthorityRequest[];
let trouble: DbError | undefined;
let issued: string[];
let host: string;
let isRotating: boolean;
let revoked: Set<string>;

beforeEach(async () => {
  now = Date.now();
  due = [];
  clock = {
    now: () => now,
    monotonic: () => now,
    after: (ms, run) => {
      const one = { at: now + ms, run };
      due.push(one);
      return {
        cancel: () => {
          due = due.filter((other) => other !== one);
        },
      };
    },
    yield: () => Promise.resolve(),
  };
  disk = new HostDisk(mkdtempSync(join(root, "node-")));
  cas = [await newCa()];
  asked = [];
  trouble = undefined;
  issued = [];
  host = "10.1.2.3";
  isRotating = false;
  revoked = new Set();
});

const newCa = (): Promise<NewAuthority> =>
  createAuthority({ clusterUuid, clock, random: hostRandom, algorithm: "ECDSA-P256" });
const member = () => ({
  name: "node-1",
  state: "ENABLED",
  addresses: { control: `${host}:6433`, rpc: `${host}:7433`, pg: `${host}:5433` },
});
const cluster = (): ClusterState =>
  ({
    clusterUuid,
    authorities: cas.map(({ fingerprint, certificatePem }, at) => ({
      fingerprint,
      certificatePem,
      primary: at === cas.length - 1,
    })),
    members: new Map([[node, member()]]),
    rotation: isRotating ? {} : undefined,
    isRevoked: (_issuer: string, serial: string) => revoked.has(serial),
  }) as unknown as ClusterState;

async function ask(request: AuthorityRequest): Promise<AuthorityAnswer> {
  asked.push(request);
  if (trouble !== undefined) throw trouble;
  if (request.kind !== "server") throw new Error("not for ports");
  const { authority, certificatePem: authorityPem } = cas.at(-1)!;
  const names = serverNamesOf(member(), clusterUuid);
  const { certificatePem } = await authority.issueServer(request.requestPem, names, { days: 365 });
  return { certificatePem, authorityPem };
}

async function open(first?: TlsMaterial): Promise<PortCertificate> {
  const port = new PortCertificate({
    disk,
    clock,
    log: silentLog,
    node,
    first: first ?? (await serverCertificate(disk, selfNames, clock, hostRandom)),
    cluster,
    ask,
    issued: ({ serial }) => issued.push(serial),
  });
  port.start();
  await settle();
  return port;
}
const settle = () => new Promise((resolve) => setTimeout(resolve, 30));
/** To the next look, or as far as is said. */
async function pass(ms = 1_000): Promise<void> {
  now += ms;
  const ready = due.filter((one) => one.at <= now);
  due = due.filter((one) => one.at > now);
  for (const { run } of ready) run();
  await settle();
}
const shown = (port: PortCertificate) => new X509Certificate(port.current.certificatePem);

it("is of the CA as soon as it can be, and stays over a start", async () => {
  const port = await open();
  expect(asked).toEqual([{ kind: "server", node, requestPem: expect.stringContaining("REQUEST") }]);
  const certificate = shown(port);
  expect(certificate.verify(cas[0]!.authority.certificate.publicKey)).toBe(true);
  for (const name of ["localhost", `node-1.cluster.${clusterUuid}.scratchbird.local`])
    expect(certificate.checkHost(name)).toBe(name);
  for (const address of ["127.0.0.1", "::1", host]) expect(certificate.checkIP(address)).toBe(address);
  expect(certificate.checkHost("node-2")).toBeUndefined();
  expect(issued).toEqual([port.facts.serial]);
  await pass();
  expect(asked).toHaveLength(1);
  port.stop();
  expect(due).toEqual([]);
  const again = await open();
  expect(again.current).toEqual(port.current);
  expect(again.facts).toEqual(port.facts);
  expect(asked).toHaveLength(1);
});

it("is the self-signed one while the CA cannot be asked, and is asked for less and less often", async () => {
  trouble = new DbError("objectNotInPrerequisiteState", "no node that keeps the key can be reached");
  const port = await open();
  expect(shown(port).subject).toBe(shown(port).issuer);
  for (const [ms, count] of [
    [1_900, 1],
    [200, 2],
    [3_900, 2],
    [200, 3],
  ] as const) {
    await pass(ms);
    expect(asked).toHaveLength(count);
  }
  trouble = undefined;
  await pass(8_000);
  expect(shown(port).verify(cas[0]!.authority.certificate.publicKey)).toBe(true);
});

it("is another one 30 days before its end, when it is revoked, and for another address", async () => {
  const port = await open();
  const first = port.facts.serial;
  await pass(365 * day - 31 * day);
  expect(port.facts.serial).toBe(first);
  await pass(1.5 * day);
  const second = port.facts.serial;
  expect(second).not.toBe(first);
  revoked.add(second);
  await pass();
  const third = port.facts.serial;
  expect(third).not.toBe(second);
  host = "db1.example";
  await pass();
  expect(port.facts.serial).not.toBe(third);
  expect(shown(port).checkHost(host)).toBe(host);
  expect(issued).toHaveLength(4);
});

it("is of the newer CA behind an exchange, and not before", async () => {
  const port = await open();
  const old = port.current;
  cas.push(await newCa());
  isRotating = true;
  await pass();
  expect(port.current).toBe(old);
  isRotating = false;
  cas.shift();
  await pass();
  expect(shown(port).verify(cas[0]!.authority.certificate.publicKey)).toBe(true);
});

it("is the operator's own where there is one, whatever the CA has issued before", async () => {
  (await open()).stop();
  const { keyPem, certificatePem } = await createServerCertificate(selfNames, clock, hostRandom);
  // By its validity not one that a node makes for itself.
  const theirs = { keyPem, certificatePem: await operators(keyPem, certificatePem) };
  asked.length = 0;
  const port = await open(theirs);
  await pass();
  expect(port.current).toBe(theirs);
  expect(port.facts.issuer).toBeUndefined();
  expect(asked).toEqual([]);
});

/** What `openssl req -x509` makes. */
async function operators(keyPem: string, like: string): Promise<string> {
  const { execFileSync } = await import("node:child_process");
  const { writeFileSync, readFileSync } = await import("node:fs");
  const folder = mkdtempSync(join(root, "openssl-"));
  writeFileSync(join(folder, "key.pem"), keyPem, { mode: 0o600 });
  const subject = new X509Certificate(like).subject.replace("CN=", "/CN=");
  const args = ["req", "-x509", "-key", "key.pem", "-days", "365", "-subj", subject, "-out", "crt.pem"];
  execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  return readFileSync(join(folder, "crt.pem"), "utf8");
}

it("keeps key and certificate in one file for its owner alone, and does without a damaged one", async () => {
  const port = await open();
  port.stop();
  expect(disk.modeOf?.("tls/port.pem")).toBe(0o600);
  const bytes = Buffer.from(disk.readFileSync("tls/port.pem"));
  bytes[bytes.length >> 1]! ^= 1;
  disk.writeFileSync("tls/port.pem", bytes);
  const again = await open();
  expect(asked).toHaveLength(2);
  expect(again.facts.serial).not.toBe(port.facts.serial);
});
