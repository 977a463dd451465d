/**
 * Abuse of log-ins at full size: `npm run logins -- [--part time|flood|clients] [--tries N] [--bad N] [--good N]`.
 *
 * - `time`: tries of names that exist and names that do not, with wrong proofs, in random order. Their answers must be the same
 *   bytes, and their times the same distribution: Mann-Whitney p > 0.01, in the clear and over TLS.
 * - `flood`: good log-ins, one after the other, alone and beside N parallel bad ones of a process of its own that never stop.
 *   Every bad one must be refused, and the good ones' median must at most double.
 * - `clients`: psql and node's pg with every kind of binding and with user certificates, and that no password, verifier or
 *   key is in the node's log.
 *
 * Ends with 1 when something did not hold.
 */
import { execFile, fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import type net from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import pg from "pg";
import { dial } from "../src/platform/dial.js";
import { makeRequest } from "../src/security/index.js";
import { password, startServer, type TestServer } from "./server.js";

const database = "scratchbird";
const failures: string[] = [];
const print = (line: string): void => void process.stdout.write(`${line}\n`);
function check(holds: boolean, what: string): void {
  print(`${holds ? "ok    " : "FAILED"} ${what}`);
  if (!holds) failures.push(what);
}
const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Two-sided, by the normal approximation, with ranks shared among equal values. */
export function mannWhitney(left: readonly number[], right: readonly number[]): number {
  const all = [
    ...left.map((value) => ({ value, left: true })),
    ...right.map((value) => ({ value, left: false })),
  ];
  all.sort((a, b) => a.value - b.value);
  const [n, m] = [left.length, right.length];
  let rankSum = 0;
  let ties = 0;
  for (let at = 0; at < all.length; ) {
    let end = at;
    while (end < all.length && all[end]!.value === all[at]!.value) end++;
    const rank = (at + end + 1) / 2;
    for (let one = at; one < end; one++) if (all[one]!.left) rankSum += rank;
    ties += (end - at) ** 3 - (end - at);
    at = end;
  }
  const u = rankSum - (n * (n + 1)) / 2;
  const total = n + m;
  const sigma = Math.sqrt(((n * m) / 12) * (total + 1 - ties / (total * (total - 1))));
  const z = (Math.abs(u - (n * m) / 2) - 0.5) / sigma;
  return Math.min(1, Math.max(0, erfc(z / Math.SQRT2)));
}

/** Numerical Recipes' erfc, good to 1.2e-7. */
function erfc(x: number): number {
  const t = 1 / (1 + 0.5 * Math.abs(x));
  const terms = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587,
    -0.82215223, 0.17087277,
  ];
  const sum = terms.reduceRight((so, term) => so * t + term, 0);
  const value = t * Math.exp(-x * x + sum);
  return x >= 0 ? value : 2 - value;
}

// --- a client that knows no password ---------------------------------------------------------------------------------

/** The next bytes. */
function answer(stream: net.Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => (): void => {
      stream.off("data", took);
      stream.off("close", closed);
      act();
    };
    const took = (chunk: Buffer): void => settle(() => resolve(chunk))();
    const closed = settle(() => reject(new Error("closed")));
    stream.once("data", took);
    stream.once("close", closed);
  });
}
function framed(tag: string, body: Buffer): Buffer {
  const head = Buffer.alloc(tag.length + 4);
  head.write(tag, "latin1");
  head.writeInt32BE(body.length + 4, tag.length);
  return Buffer.concat([head, body]);
}

interface Try {
  /** Milliseconds: to the challenge, to the verdict, both. */
  readonly challenge: number;
  readonly verdict: number;
  readonly bytes: string;
}

const nonce = "0123456789abcdefghijklmn";
const noProof = Buffer.alloc(32, 7).toString("base64");

async function badLogin(port: number, user: string, tls: boolean): Promise<Try> {
  const { stream } = await dial("127.0.0.1", port, tls ? "require" : "disable");
  stream.on("error", () => {});
  try {
    const startup = Buffer.from(`\0\x03\0\0user\0${user}\0database\0${database}\0\0`, "latin1");
    let answered = answer(stream);
    stream.write(framed("", startup));
    const offered = await answered;
    const first = Buffer.from(`n,,n=,r=${nonce}`);
    const length = Buffer.alloc(4);
    length.writeInt32BE(first.length);
    const choice = framed("p", Buffer.concat([Buffer.from("SCRAM-SHA-256\0"), length, first]));
    answered = answer(stream);
    const begun = performance.now();
    stream.write(choice);
    const challenge = await answered;
    const challenged = performance.now();
    const whole = /r=([^,]*)/.exec(challenge.toString("latin1"))?.[1] ?? "";
    const proof = framed("p", Buffer.from(`c=biws,r=${whole},p=${noProof}`));
    answered = answer(stream);
    const proving = performance.now();
    stream.write(proof);
    const verdict = await answered;
    const ended = performance.now();
    const bytes = Buffer.concat([offered, challenge, verdict])
      .toString("latin1")
      .replace(/r=[^,]*/g, "r=")
      .replace(/s=[^,]{24}/g, "s=")
      .replaceAll(user, "?");
    return { challenge: challenged - begun, verdict: ended - proving, bytes };
  } finally {
    stream.destroy();
  }
}

async function administer(server: TestServer, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}

// --- time --------------------------------------------------------------------------------------------------------------

async function timePart(server: TestServer, tries: number): Promise<void> {
  const names = (kind: string): string[] =>
    Array.from({ length: 16 }, (_, at) => `${kind}_${String(at).padStart(2, "0")}`);
  const kinds = { known: names("roleaa"), unknown: names("rolezz") };
  await administer(
    server,
    "alter cluster set authentication.failure_backoff = off",
    ...kinds.known.map((name) => `create role ${name} login password 'right ${name}'`),
    "create role roleaa_group",
    "create connection rule members for members of roleaa_group method scram",
  );
  for (const tls of [false, true]) {
    const times = { known: [] as Try[], unknown: [] as Try[] };
    for (let warm = 0; warm < 200; warm++) await badLogin(server.port, kinds.known[warm % 16]!, tls);
    for (let at = 0; at < tries; at++) {
      // Each pair in random order: what drifts meanwhile drifts for both.
      const order = Math.random() < 0.5 ? (["known", "unknown"] as const) : (["unknown", "known"] as const);
      for (const kind of order) times[kind].push(await badLogin(server.port, kinds[kind][at % 16]!, tls));
    }
    const where = tls ? "over TLS" : "in the clear";
    const bytes = new Set([...times.known, ...times.unknown].map((one) => one.bytes));
    check(bytes.size === 1, `${where}: ${2 * tries} answers are the same bytes (${bytes.size} kinds)`);
    for (const [phase, of] of Object.entries({
      "to the challenge": (one: Try) => one.challenge,
      "to the verdict": (one: Try) => one.verdict,
      together: (one: Try) => one.challenge + one.verdict,
    })) {
      const [known, unknown] = [times.known.map(of), times.unknown.map(of)];
      const p = mannWhitney(known, unknown);
      const us = (value: number): string => `${(value * 1000).toFixed(0)} us`;
      check(
        p > 0.01,
        `${where}, ${phase}: median ${us(median(known))} known, ${us(median(unknown))} unknown, Mann-Whitney p = ${p.toFixed(3)} (${tries} each)`,
      );
    }
  }
  await administer(
    server,
    "alter cluster reset authentication.failure_backoff",
    "drop connection rule members",
  );
}

// --- flood -------------------------------------------------------------------------------------------------------------

/** In a process of its own: so many clients that fail, for ever; the counts go to the parent. */
async function flood(port: number, clients: number, tls: boolean, users: readonly string[]): Promise<void> {
  let running = true;
  let refused = 0;
  let admitted = 0;
  let cutOff = 0;
  process.once("disconnect", () => process.exit(1));
  process.once("message", () => {
    running = false;
    process.send!({ refused, admitted, cutOff }, () => process.exit(0));
  });
  await Promise.all(
    Array.from({ length: clients }, async (_, at) => {
      while (running) {
        try {
          const { bytes } = await badLogin(port, users[at % users.length]!, tls);
          if (bytes.includes("28P01")) refused++;
          else if (bytes.includes("R\0\0\0\x08\0\0\0\0")) admitted++;
          else throw new Error("told something else");
        } catch {
          cutOff++;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
    }),
  );
}

const lost: string[] = [];
async function goodLogins(
  server: TestServer,
  user: string,
  secret: string,
  tls: boolean,
  count: number,
): Promise<number[]> {
  const times: number[] = [];
  for (let at = 0; at < count; at++) {
    // Spread over some seconds: a flood has its tides.
    await new Promise((resolve) => setTimeout(resolve, 20));
    const started = performance.now();
    const client = new pg.Client({
      host: "127.0.0.1",
      port: server.port,
      user,
      password: secret,
      database,
      ssl: tls && { rejectUnauthorized: false },
      enableChannelBinding: tls,
    } as pg.ClientConfig);
    client.on("error", () => {});
    try {
      await client.connect();
      times.push(performance.now() - started);
      await client.end();
    } catch (error) {
      lost.push(String(error));
      times.push(Number.POSITIVE_INFINITY);
    }
  }
  return times;
}

async function floodPart(server: TestServer, bad: number, good: number): Promise<void> {
  await administer(
    server,
    "create role welcome login password 'w'",
    "create role attacked login password 'a'",
  );
  for (const tls of [false, true]) {
    await goodLogins(server, "welcome", "w", tls, 20);
    const alone = await goodLogins(server, "welcome", "w", tls, good);
    // Names that exist and do not, and the good one's own.
    const users = ["welcome", "attacked", "nobody"].join(",");
    const child = fork(fileURLToPath(import.meta.url), [
      "--flood",
      String(server.port),
      String(bad),
      String(tls),
      users,
    ]);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const beside = await goodLogins(server, "welcome", "w", tls, good);
    const told = new Promise<{ refused: number; admitted: number; cutOff: number }>((resolve) =>
      child.once("message", (message) => resolve(message as never)),
    );
    child.send("stop");
    const { refused, admitted, cutOff } = await told;
    const where = tls ? "over TLS" : "in the clear";
    const [before, during] = [median(alone), median(beside)];
    check(lost.length === 0, `${where}: no good log-in was lost (${lost.length}: ${lost[0] ?? "none"})`);
    lost.length = 0;
    check(
      admitted === 0,
      `${where}: ${refused} bad log-ins of ${bad} parallel clients refused, ${cutOff} cut off, ${admitted} admitted`,
    );
    check(
      during <= 2 * before,
      `${where}: p50 of ${good} good log-ins ${before.toFixed(1)} ms alone, ${during.toFixed(1)} ms beside them (${(during / before).toFixed(2)} times)`,
    );
  }
}

// --- clients -----------------------------------------------------------------------------------------------------------

const run = promisify(execFile);

async function psql(server: TestServer, options: string, secret: string | undefined): Promise<string> {
  try {
    const { stdout } = await run(
      "psql",
      [
        "-w",
        "-X",
        "-A",
        "-t",
        "-c",
        "select current_user",
        `host=127.0.0.1 port=${server.port} dbname=${database} ${options}`,
      ],
      { env: { ...process.env, ...(secret === undefined ? {} : { PGPASSWORD: secret }) } },
    );
    return stdout.trim();
  } catch (error) {
    return String((error as { stderr?: string }).stderr ?? error).trim();
  }
}

async function clientsPart(server: TestServer): Promise<void> {
  const secret = "s3cret-of-carol";
  await administer(
    server,
    `create role carol login password '${secret}'`,
    "create role bound login password 'bound'",
    "create role dave login",
    "create connection rule bound for bound method scram plus",
    "create connection rule dave for dave method certificate",
  );
  for (const mode of ["disable", "prefer", "require"])
    check(
      (await psql(server, `user=carol sslmode=require channel_binding=${mode}`, secret)) === "carol",
      `psql logs in with channel_binding=${mode}`,
    );
  const refused = async (options: string, word: string, with_: string | undefined): Promise<void> => {
    const told = await psql(server, options, with_);
    check(told.includes(word), `psql ${options.replaceAll(server.data, "..")}: ${told.split("\n")[0]}`);
  };
  check(
    (await psql(server, "user=bound sslmode=require channel_binding=require", "bound")) === "bound",
    "METHOD SCRAM PLUS admits who binds",
  );
  await refused(
    "user=bound sslmode=require channel_binding=disable",
    "password authentication failed",
    "bound",
  );
  await refused("user=bound sslmode=disable", "password authentication failed", "bound");
  await refused("user=carol sslmode=disable channel_binding=require", "channel binding required", secret);
  const view = new pg.Client({ connectionString: server.url });
  await view.connect();
  for (const key of ["Ed25519", "ECDSA-P256", "RSA"] as const) {
    const { requestPem, keyPem } = makeRequest({ keyKind: key, commonName: "dave" });
    const issued = await view.query<{ certificate: string }>(
      `ISSUE CERTIFICATE FROM CSR '${requestPem}' FOR USER dave`,
    );
    const own = { certificatePem: issued.rows[0]!.certificate, keyPem };
    const [certificate, keyFile] = [join(server.data, `${key}.crt`), join(server.data, `${key}.key`)];
    writeFileSync(certificate, own.certificatePem);
    writeFileSync(keyFile, own.keyPem, { mode: 0o600 });
    const files = `sslmode=require sslcert=${certificate} sslkey=${keyFile}`;
    check(
      (await psql(server, `user=dave ${files}`, undefined)) === "dave",
      `psql logs in with a certificate (${key})`,
    );
    await refused(`user=carol ${files}`, "no password supplied", undefined);
  }
  await refused("user=dave sslmode=require", "no password supplied", undefined);

  await administer(server, "alter role carol password 's3cret-changed'");
  const stored = await view.query<{ rolpassword: string }>(
    "select rolpassword from pg_authid where rolname = 'carol'",
  );
  const mask = await view.query<{ n: string }>(
    "select count(*) as n from pg_stat_activity where query like '%s3cret%' and pid <> pg_backend_pid()",
  );
  await view.end();
  check(
    stored.rows[0]!.rolpassword.startsWith("SCRAM-SHA-256$"),
    "only pg_authid has the verifier, for superusers",
  );
  check(mask.rows[0]!.n === "0", "no password in pg_stat_activity");
  const log = server.log();
  const secrets = [
    secret,
    "s3cret-changed",
    password,
    "SCRAM-SHA-256$",
    "PRIVATE KEY",
    ...stored.rows[0]!.rolpassword.split(/[$:]/).slice(3),
  ];
  check(
    !secrets.some((one) => log.includes(one)),
    `no password, verifier or key in ${log.length} bytes of log`,
  );
}

// --- all of it ---------------------------------------------------------------------------------------------------------

if (process.argv[2] === "--flood") {
  const [port, clients, tls, users] = process.argv.slice(3);
  await flood(Number(port), Number(clients), tls === "true", users!.split(","));
} else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      part: { type: "string", default: "clients,time,flood" },
      tries: { type: "string", default: "2000" },
      bad: { type: "string", default: "1000" },
      good: { type: "string", default: "200" },
    },
  });
  const server = await startServer();
  try {
    const parts = values.part.split(",");
    if (parts.includes("clients")) await clientsPart(server);
    if (parts.includes("time")) await timePart(server, Number(values.tries));
    if (parts.includes("flood")) await floodPart(server, Number(values.bad), Number(values.good));
  } finally {
    await server.stop();
    server.remove();
  }
  print(failures.length === 0 ? "everything held" : `${failures.length} did not hold`);
  if (failures.length > 0) process.exitCode = 1;
}
