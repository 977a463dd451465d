/**
 * Writes the expected output of golden scripts from PostgreSQL:
 *
 *     ORACLE=postgres://postgres@127.0.0.1:5432/postgres npx tsx sql-tests/golden/record.ts FILE...
 *
 * Each file gets a fresh database beside the named one, made and dropped here; its sessions act as the superuser
 * `admin`, as they do on our side. Roles that scripts make are named g_...: what is left of them is dropped.
 */
import { readFileSync, writeFileSync } from "node:fs";
import pg from "pg";
import {
  escapeField,
  type GoldenServer,
  type GoldenSession,
  messageLines,
  parseScript,
  printScript,
  runScript,
} from "./runner.js";

const oracle = process.env.ORACLE;
if (oracle === undefined) throw new Error("ORACLE names the PostgreSQL server");
const databaseName = `golden_${process.pid}`;

interface WireConnection {
  on(event: "rowDescription", listener: (message: { fields: { name: string }[] }) => void): void;
  on(event: "dataRow", listener: (message: { fields: (string | null)[] }) => void): void;
  on(event: "commandComplete", listener: (message: { text: string }) => void): void;
  on(event: "emptyQuery", listener: () => void): void;
}

class OracleSession implements GoldenSession {
  #lines: string[] = [];
  #rows = false;
  #rowsFrom = 0;
  constructor(private readonly client: pg.Client) {
    const { connection } = client as unknown as { connection: WireConnection };
    connection.on("rowDescription", ({ fields }) => {
      this.#rows = true;
      this.#rowsFrom = this.#lines.length;
      this.#lines.push(fields.map(({ name }) => name).join("\t"));
    });
    connection.on("dataRow", ({ fields }) => this.#lines.push(fields.map(escapeField).join("\t")));
    connection.on("commandComplete", ({ text }) => {
      if (!this.#rows || !text.startsWith("SELECT")) this.#lines.push(text);
      this.#rows = false;
    });
    connection.on("emptyQuery", () => this.#lines.push("(empty)"));
    client.on("notice", ({ severity, message, detail, hint }) => {
      this.#lines.push(...messageLines(severity ?? "NOTICE", message ?? "", detail, hint));
    });
    client.on("notification", ({ channel, payload }) =>
      this.#lines.push(`NOTIFY ${channel}: ${payload ?? ""}`),
    );
    client.on("error", () => {});
  }

  async run(sql: string): Promise<string[]> {
    this.#lines = [];
    this.#rows = false;
    try {
      await this.client.query(sql);
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      if (this.#rows) this.#lines.length = this.#rowsFrom;
      this.#lines.push(...messageLines(`ERROR ${error.code}`, error.message, error.detail, error.hint));
    }
    return this.#lines;
  }
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function record(file: string): Promise<void> {
  const records = parseScript(readFileSync(file, "utf8"));
  await withClient(oracle!, async (client) => {
    const { rowCount } = await client.query("SELECT 1 FROM pg_roles WHERE rolname = 'admin'");
    if (rowCount === 0) await client.query("CREATE ROLE admin SUPERUSER LOGIN");
    await client.query(
      `CREATE DATABASE ${databaseName} OWNER admin TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING 'UTF8'`,
    );
  });
  const clients: pg.Client[] = [];
  const url = new URL(oracle!);
  url.pathname = `/${databaseName}`;
  const server: GoldenServer = {
    session: async () => {
      const client = new pg.Client({ connectionString: url.href });
      clients.push(client);
      await client.connect();
      await client.query("SET deadlock_timeout = '20ms'; SET TimeZone = 'UTC'; SET lc_messages = 'C'");
      await client.query("SET SESSION AUTHORIZATION admin");
      return new OracleSession(client);
    },
    settle: () => new Promise((resolve) => setTimeout(resolve, 200)),
  };
  try {
    const outputs = await runScript(records, server);
    records.forEach((entry, at) => {
      if (!entry.differs) entry.expected = outputs[at]!;
    });
    writeFileSync(file, printScript(records));
  } finally {
    for (const client of clients) await client.end();
    await withClient(oracle!, async (client) => {
      await client.query(`DROP DATABASE ${databaseName} WITH (FORCE)`);
      const { rows } = await client.query(
        "SELECT quote_ident(rolname) AS name FROM pg_roles WHERE rolname LIKE 'g\\_%'",
      );
      for (const { name } of rows) await client.query(`DROP ROLE IF EXISTS ${name}`);
    });
  }
}

for (const file of process.argv.slice(2)) {
  await record(file);
  console.log(file);
}
