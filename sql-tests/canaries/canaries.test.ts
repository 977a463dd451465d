/**
 * No secret is in any log, error, view, metric, audit event, file or process title: canaries are planted in a cluster of real
 * processes by every way that secrets come in (sources.ts), and everything that can be read is searched for them, in the forms
 * that they may be written in (scan.ts). That the search finds what is there is tested first.
 */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isBuilt } from "../server.js";
import { Canaries, type Leak } from "./scan.js";
import { passphrase, readers, sources } from "./sources.js";
import { World } from "./world.js";

describe("the search for canaries", () => {
  const canaries = new Canaries();
  const word = canaries.text("a password");
  canaries.given("a token", "tok-8f3b1c6a5d9e7024");
  canaries.key(
    "a key",
    Buffer.from("00ff80a1b2c3d4e5f60718293a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a2b", "hex"),
  );
  canaries.allow(/^a key/, /^file of the key$/);
  const found = (content: string | Uint8Array): string[] =>
    canaries.scan("somewhere", content).map(({ canary, form }) => `${canary}, ${form}`);
  const bytes = Buffer.from("00ff80a1b2c3d4e5f60718293a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a2b", "hex");

  it("finds each form", () => {
    expect(found(`x${word}y`)).toEqual(["a password, as it is"]);
    expect(found(JSON.stringify({ sql: `PASSWORD '${word}'` }))).toEqual(["a password, as it is"]);
    expect(found(Buffer.from(word).toString("hex"))).toEqual(["a planted text, hexadecimal"]);
    expect(found(Buffer.from(word).toString("hex").toUpperCase())).toEqual(["a planted text, HEXADECIMAL"]);
    for (const before of ["", "a", "ab"])
      expect(found(Buffer.from(`${before}${word}`).toString("base64"))).toEqual(["a planted text, base64"]);
    expect(found("…tok-8f3b1c6a5d9e7024…")).toEqual(["a token, as it is"]);
    expect(found(Buffer.concat([Buffer.from("x"), bytes]))).toEqual(["a key, as it is"]);
    for (const before of ["", "a", "ab"])
      expect(
        found(Buffer.concat([Buffer.from(before), bytes, Buffer.from("z")]).toString("base64")),
      ).toContain("a key, base64");
    expect(found(bytes.toString("base64url"))).toEqual(["a key, base64url"]);
  });

  it("finds nothing where nothing is, and not where it belongs", () => {
    expect(found("password token key")).toEqual([]);
    expect(canaries.scan("file of the key", bytes)).toEqual([]);
    expect(canaries.scan("file of the key, copied", bytes)).toHaveLength(1);
  });
});

const shown = (leaks: readonly Leak[]): string[] =>
  [...new Set(leaks.map(({ canary, form, place }) => `${canary} (${form}) in ${place}`))].sort();

// Nodes as processes need the build, which `npm ci` makes.
describe.skipIf(!isBuilt)("a cluster with canaries", () => {
  const canaries = new Canaries();
  let world: World;
  const roles = [
    ["admin", undefined],
    [readers.plain, "reader's"],
    [readers.auditor, "auditor's"],
  ] as const;

  beforeAll(async () => {
    passphrase.value = canaries.text("the CA key's passphrase");
    process.env[passphrase.variable] = passphrase.value;
    world = await World.found(canaries);
    const client = await world.client();
    for (const sql of [
      `CREATE ROLE ${readers.plain} LOGIN PASSWORD 'reader''s'`,
      `CREATE ROLE ${readers.auditor} LOGIN PASSWORD 'auditor''s'`,
      `GRANT AUDITOR ON CLUSTER TO ${readers.auditor}`,
      "ALTER CLUSTER SET audit.audit_all_queries = on",
    ])
      await client.query(sql);
    // Open all the time: what it has run last is in pg_stat_activity.
    await client.query(`ALTER ROLE ${readers.plain} PASSWORD 'reader''s'`);
    const last = await world.client();
    await last.query(
      `SELECT 1; ALTER ROLE ${readers.auditor} PASSWORD '${canaries.text("the last statement of a session")}'; ` +
        `ALTER ROLE ${readers.auditor} PASSWORD 'auditor''s'`,
    );
    for (const source of sources) await source.plant(world, canaries);
  }, 120_000);
  afterAll(async () => {
    delete process.env[passphrase.variable];
    await world?.cluster.remove();
  }, 60_000);

  it("shows none of them anywhere", async () => {
    expect(canaries.names.length).toBeGreaterThan(60);
    expect(shown(await world.leaks(roles))).toEqual([]);
    // What an administrator cannot read was not searched.
    expect([...world.unread].filter((one) => one.includes(" as admin"))).toEqual([]);
  }, 120_000);

  it("is searched where they could be: a leak of each kind is found", async () => {
    const leaked = canaries.text("a leak");
    const client = await world.client();
    // A statement that nobody can know to hold a secret: in the audit, in pg_stat_activity, in the log, in a file of the data.
    await client.query("SET log_min_duration_statement = 0");
    await client.query(`CREATE TABLE leak (word text DEFAULT '${leaked}')`);
    await client.query("INSERT INTO leak DEFAULT VALUES");
    await client.query("CHECKPOINT");
    await client.query("SELECT word AS leak FROM leak WHERE false");
    await client.query(`SELECT '${leaked}' AS shown`);
    appendFileSync(join(world.cluster.node(2).folder, "leak"), Buffer.from(`x${leaked}`).toString("base64"));
    world.titles.push(`scratchbird ${leaked}`);
    const places = shown(await world.leaks(roles)).join("\n");
    for (const place of [
      /in sys\.audit_events as admin on node-1/,
      /in sys\.audit_events as canary_auditor on node-2/,
      /in pg_catalog\.pg_stat_activity as admin/,
      /in pg_catalog\.pg_attrdef as canary_reader/,
      /in file logs\/node-1\.log/,
      /in file node-1\/shards\//,
      /in file node-1\/raft\//,
      /in file node-2\/leak/,
      /in export of node-1/,
      /in a process title/,
    ])
      expect(places).toMatch(place);
    await client.end();
  }, 120_000);
});
