/**
 * Where secrets come into a cluster: one source for each way. A part that brings new ones adds a source, and where its secret
 * may lie (`allow`); nothing else has to change.
 */
import { createPrivateKey } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { HostDisk, hostRandom } from "../../src/platform/host.js";
import { CaStore } from "../../src/security/index.js";
import { sleep } from "../cluster/nodes.js";
import type { Canaries } from "./scan.js";
import type { World } from "./world.js";

export interface Source {
  readonly name: string;
  plant(world: World, canaries: Canaries): Promise<void>;
}

/** Of the role that reads along, and of its administrator. */
export const readers = { plain: "canary_reader", auditor: "canary_auditor" } as const;

export const sources: readonly Source[] = [
  {
    name: "passwords of roles",
    async plant(world, canaries) {
      const client = await world.client();
      const secret = (name: string): string => canaries.text(`password in ${name}`);
      await world.try(client, "SET log_min_duration_statement = 0");
      for (const sql of [
        `CREATE ROLE canary LOGIN PASSWORD '${secret("CREATE ROLE")}'`,
        `CREATE ROLE canary LOGIN PASSWORD '${secret("CREATE ROLE of one that is there")}'`,
        `CREATE USER canary_too PASSWORD '${secret("CREATE USER")}' VALID UNTIL 'no date'`,
        `ALTER USER canary WITH ENCRYPTED PASSWORD E'${secret("ALTER USER, escaped")}'`,
        `ALTER ROLE canary PASSWORD $q$${secret("ALTER ROLE, dollars")}$q$`,
        `ALTER ROLE canary PASSWORD U&'${secret("ALTER ROLE, Unicode")}'`,
        `ALTER ROLE nobody PASSWORD '${secret("ALTER ROLE of nobody")}'`,
        `BEGIN; ALTER ROLE canary PASSWORD '${secret("a block that is rolled back")}'; ROLLBACK`,
        `SELECT 1; ALTER ROLE canary PASSWORD '${secret("one of many")}'; SELECT 1/0`,
        `DO $$ BEGIN EXECUTE 'ALTER ROLE canary PASSWORD ''${secret("DO")}'''; END $$`,
        `EXPLAIN ALTER ROLE canary PASSWORD '${secret("EXPLAIN")}'`,
        `PREPARE canary AS ALTER ROLE canary PASSWORD '${secret("PREPARE")}'`,
        `SET canary.password = '${secret("a setting of its own")}'`,
      ])
        await world.try(client, sql);
      const named = `ALTER ROLE canary PASSWORD '${secret("a prepared statement")}'`;
      await world.try(client, { name: "canary", text: named, values: [] });
      await client.end();
    },
  },
  {
    name: "passwords in statements that are broken",
    async plant(world, canaries) {
      const client = await world.client();
      let at = 0;
      const secret = (): string => canaries.text(`password in broken statement ${++at}`);
      for (const sql of [
        `ALTER ROLE canary PASSWORD '${secret()}' '${secret()}'`,
        `ALTER ROLE canary PASSWORD '${secret()}' FROBNICATE`,
        `ALTER ROLE canary PASSWORD '${secret()}`,
        `ALTER ROLE canary PASSWORD $q$${secret()}`,
        `ALTER ROLE canary PASSWORD ${secret()}`,
        `ALTER ROLE canary PASSWORD "${secret()}"`,
        `ALTER ROLE canary PASSWORD = '${secret()}'`,
        `ALTER ROLE canary SET PASSWORD '${secret()}'`,
        `ALTER ROLE canary PASSWORD E'${secret()}\\uZZZZ'`,
        `ALTER ROL canary PASSWORD '${secret()}'`,
        `CREATE ROLE PASSWORD '${secret()}'`,
        `ALTER ROLE canary PASSWORD 1${secret()}`,
        `ALTER ROLE canary PASSWORD U&'${secret()}\\`,
      ])
        await world.try(client, sql);
      await client.end();
    },
  },
  {
    name: "parameters",
    async plant(world, canaries) {
      // To who has sent it, an error may name it, as PostgreSQL's do: it is no secret from him.
      canaries.allow(/^parameter/, /^said: an error about a parameter/);
      const client = await world.client();
      await world.try(client, "SET log_min_duration_statement = 0");
      await world.try(client, "CREATE TABLE canaries (id int, word text CHECK (word = 'none'))");
      for (const [text, name] of [
        ["SELECT $1::text", "parameter of a SELECT"],
        ["SELECT $1::text::int", "parameter that is no number"],
        ["INSERT INTO canaries VALUES (1, $1)", "parameter against a CHECK"],
        [
          "SELECT set_config('application_name', 'x', false), $1::text, 1/0",
          "parameter of a statement that fails",
        ],
        ["SELECT pg_sleep($1)", "parameter of a wrong type"],
      ] as const)
        await world.try(client, { text, values: [canaries.text(name)] }, "an error about a parameter");
      await client.end();
    },
  },
  {
    name: "passwords of clients",
    async plant(world, canaries) {
      const wrong = canaries.text("a wrong password");
      await world.client(world.first, "canary", wrong).catch((error) => world.hear("an error", error));
      await world
        .client(world.cluster.node(2), "canary", wrong)
        .catch((error) => world.hear("an error", error));
      const sent = canaries.text("a password in the clear");
      world.hear("an error", await inTheClear(world.first.ports.pg, sent));
      // The first of these is right.
      const right = canaries.text("a password in a connection string");
      const client = await world.client();
      await client.query(`ALTER ROLE canary PASSWORD '${right}'`);
      await client.end();
      const url = (password: string): string =>
        `postgres://canary:${password}@127.0.0.1:${world.first.ports.pg}/scratchbird`;
      await Promise.all([
        world.program(["sql", url(right), "-c", "SELECT pg_sleep(2)"]),
        world.program([
          "sql",
          url(canaries.text("a wrong password in a connection string")),
          "-c",
          "SELECT 1",
        ]),
        world.program([
          "sql",
          `postgres://a:${canaries.text("a password for nobody")}@127.0.0.1:1/x`,
          "-c",
          "SELECT 1",
        ]),
        world.program(["sql", `postgres://a:${canaries.text("a password for no port")}@127.0.0.1:none/x`]),
      ]);
    },
  },
  {
    name: "join tokens",
    async plant(world, canaries) {
      const { cluster } = world;
      const used = await cluster.token();
      canaries.given("the token of node 3", used);
      canaries.given("the secret of the token of node 3", secretIn(used));
      const node = await cluster.make(3, { args: () => ["--log-level", "debug"] });
      (cluster.nodes as (typeof node)[]).push(node);
      await node.start(["join", "--token", used, "--peer", `127.0.0.1:${world.first.ports.control}`]);
      await cluster.settled();
      const unused = await cluster.token();
      canaries.given("a token that was not used", unused);
      canaries.given("its secret", secretIn(unused));
      await world.program([
        "join",
        "--token",
        used,
        "--peer",
        `127.0.0.1:${world.first.ports.control}`,
        "--data",
        join(cluster.folder, "again"),
      ]);
      await world.program([
        "join",
        "--token",
        canaries.text("no token at all"),
        "--peer",
        "127.0.0.1:1",
        "--data",
        join(cluster.folder, "again"),
      ]);
    },
  },
  {
    name: "SCRAM verifiers",
    async plant(world, canaries) {
      // Superusers read them, as in PostgreSQL, and the catalog keeps them.
      canaries.allow(/^verifier/, /^pg_catalog\.pg_(authid|shadow) as admin |^file node-\d\/raft\//);
      const client = await world.client();
      const { rows } = await client.query<{ rolname: string; rolpassword: string }>(
        "SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL",
      );
      await client.end();
      for (const { rolname, rolpassword } of rows) {
        canaries.given(`verifier of ${rolname}`, rolpassword);
        for (const key of rolpassword.split(/[$:]/).slice(-2)) {
          canaries.given(`verifier's key of ${rolname}`, key);
          canaries.key(`verifier's key of ${rolname}, bytes`, Buffer.from(key, "base64"));
        }
      }
      if (rows.length < 2) throw new Error("there are no verifiers");
    },
  },
  {
    name: "private keys",
    async plant(world, canaries) {
      for (const node of world.cluster.nodes) {
        const folder = join(node.folder, "tls");
        for (const name of readdirSync(folder)) {
          for (const [pem] of readFileSync(join(folder, name), "utf8").matchAll(
            /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/g,
          ))
            addKey(canaries, `key ${node.name} ${name}`, pem);
          canaries.allow(
            new RegExp(`^key ${node.name} ${name}`),
            new RegExp(`^file ${node.name}/tls/${name}$`),
          );
        }
        if (!canaries.names.some((name) => name.startsWith(`key ${node.name}`)))
          throw new Error(`${node.name} has no key`);
      }
      const store = new CaStore(new HostDisk(world.first.folder), hostRandom, () =>
        Buffer.from(passphrase.value),
      );
      for (const ca of store.list())
        await store.withKey(ca, (bytes) => {
          const key = createPrivateKey({ key: Buffer.from(bytes), format: "der", type: "pkcs8" });
          addKey(canaries, "key of the CA", key.export({ format: "pem", type: "pkcs8" }).toString());
        });
      if (!canaries.names.includes("key of the CA")) throw new Error("node 1 has no CA key");
    },
  },
  {
    name: "shares of the CA's key",
    async plant(world, canaries) {
      const client = await world.client();
      const share = (): string => `sbcakey1-${canaries.text("a share that is none")}`;
      for (const sql of [
        `RECOVER CA KEY FROM SHARES '${share()}', '${share()}'`,
        `RECOVER CA KEY FROM SHARES '${share()}' '${share()}'`,
        `RECOVER CA KEY FROM SHARES '${share()}`,
      ])
        await world.try(client, sql);
      const made = await client.query("BACKUP CA KEY SHARES 2 OF 3").catch((error) => {
        world.hear("an error", error);
        return undefined;
      });
      if (made === undefined) world.notThere.push("BACKUP CA KEY");
      for (const row of made?.rows ?? [])
        for (const [column, value] of Object.entries(row))
          if (column === "share") canaries.given("a share of the CA's key", String(value));
      await client.end();
    },
  },
];

/** Opens the CA's key; the nodes get it in their environment. */
export const passphrase = { value: "", variable: "SCRATCHBIRD_CA_PASSPHRASE" };

/** PEM without its lines, the bytes, and those of the number or seed that alone is secret. */
function addKey(canaries: Canaries, name: string, pem: string): void {
  const key = createPrivateKey(pem);
  const { d } = key.export({ format: "jwk" });
  canaries.given(name, pem.split("\n")[1]!.slice(0, 60));
  canaries.key(`${name}, PKCS #8`, key.export({ format: "der", type: "pkcs8" }));
  canaries.key(`${name}, the secret number`, Buffer.from(d!, "base64url"));
}

const secretIn = (token: string): string => token.split(/[.:_-]/).sort((a, b) => b.length - a.length)[0]!;

/** What comes of a password that nobody has asked for like this. */
function inTheClear(port: number, password: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      const pairs = Buffer.from(`user\0canary\0database\0scratchbird\0\0`);
      const head = Buffer.alloc(8);
      head.writeInt32BE(8 + pairs.length, 0);
      head.writeInt32BE(196608, 4);
      socket.write(Buffer.concat([head, pairs]));
      const body = Buffer.from(`${password}\0`);
      const message = Buffer.alloc(5);
      message.write("p");
      message.writeInt32BE(4 + body.length, 1);
      void sleep(200).then(() => socket.write(Buffer.concat([message, body])));
    });
    let said = "";
    socket.on("data", (chunk: Buffer) => {
      said += chunk.toString("latin1");
    });
    socket.on("error", () => undefined);
    socket.once("close", () => resolve(said));
    void sleep(3_000).then(() => socket.destroy());
  });
}
