/**
 * `scratchbird sql`: runs statements from -c, -f or standard input and prints results as psql does. Statements run one by
 * one; with -c or -f the first error ends the run with exit code 1.
 */
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { DatabaseError } from "pg-protocol";
import { DbError } from "../base/errors.js";
import type { Random } from "../platform/index.js";
import { type ClientAddress, parseUrl, type QueryEvents, SqlClient } from "./client.js";
import { splitStatements } from "./split.js";
import { formatTable, type ResultColumn } from "./table.js";

export interface SqlCommandIo {
  readonly random: Random;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
  readonly input: Readable;
  readonly isTerminal: boolean;
}

export const sqlHelp = `usage: scratchbird sql [URL] [-t] [-c SQL]... [-f FILE]...

  URL       postgres://user:password@host:port/database?sslmode=disable|prefer|require
            (default: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, else admin on 127.0.0.1:5433)
  -c SQL    run these statements and exit
  -f FILE   run the statements of a file and exit
  -t        values alone, a row a line with | between them: for files and other programs
Without -c and -f statements are read from standard input, each ended by a semicolon; \\q ends.
`;

interface Arguments {
  readonly url: string | undefined;
  readonly scripts: string[];
  readonly valuesAlone: boolean;
}

/** @throws DbError invalidParameterValue */
function parseArguments(args: readonly string[], readFile: (path: string) => string): Arguments {
  const scripts: string[] = [];
  let url: string | undefined;
  let valuesAlone = false;
  for (let at = 0; at < args.length; at++) {
    const argument = args[at]!;
    if (argument === "-c" || argument === "-f") {
      const value = args[++at];
      if (value === undefined) throw new DbError("invalidParameterValue", `${argument} needs a value`);
      scripts.push(argument === "-c" ? value : readFile(value));
    } else if (argument === "-t") {
      valuesAlone = true;
    } else if (argument.startsWith("-")) {
      throw new DbError("invalidParameterValue", `unknown option "${argument}" of scratchbird sql`);
    } else if (url === undefined) url = argument;
    else throw new DbError("invalidParameterValue", `unexpected argument "${argument}"`);
  }
  return { url, scripts, valuesAlone };
}

function addressOf(url: string | undefined, io: SqlCommandIo): ClientAddress {
  const { environment } = io;
  const user = environment["PGUSER"] ?? "admin";
  const defaults: ClientAddress = {
    host: environment["PGHOST"] ?? "127.0.0.1",
    port: Number(environment["PGPORT"] ?? 5433),
    user,
    password: environment["PGPASSWORD"] || environment["SCRATCHBIRD_PASSWORD"] || storedPassword(io, user),
    database: environment["PGDATABASE"] ?? "scratchbird",
    tls: "prefer",
  };
  return url === undefined ? defaults : parseUrl(url, defaults);
}

/** The first user's password, when this runs where the data folder is. */
function storedPassword(io: SqlCommandIo, user: string): string | undefined {
  if (user !== "admin") return undefined;
  try {
    return io.readFile(`${io.environment["SCRATCHBIRD_DATA"] ?? "./data"}/admin-password`).trim();
  } catch (error) {
    if (error instanceof DbError) return undefined; // no such folder here: the server will ask
    throw error;
  }
}

/** Answers the exit code. */
export async function runSql(args: readonly string[], door: SqlCommandIo): Promise<number> {
  const { url, scripts, valuesAlone } = parseArguments(args, door.readFile);
  const io: StatementIo = { ...door, valuesAlone };
  const client = await SqlClient.connect(addressOf(url, io), io.random);
  try {
    if (scripts.length > 0) {
      for (const script of scripts) {
        const { statements, rest } = splitStatements(script);
        for (const statement of [...statements, rest]) {
          if (statement.trim() !== "" && !(await runStatement(client, statement, io))) return 1;
        }
      }
      return 0;
    }
    return await runInput(client, io);
  } finally {
    client.close();
  }
}

async function runInput(client: SqlClient, io: StatementIo): Promise<number> {
  const lines = createInterface({ input: io.input });
  const prompt = (continued: boolean) => {
    if (io.isTerminal) io.print(continued ? "... " : "sql> ");
  };
  let pending = "";
  let succeeded = true;
  prompt(false);
  for await (const line of lines) {
    if (pending.trim() === "" && /^\s*(\\q|quit|exit)\s*;?\s*$/.test(line)) break;
    const { statements, rest } = splitStatements(`${pending}${line}\n`);
    pending = rest;
    for (const statement of statements) succeeded = (await runStatement(client, statement, io)) && succeeded;
    prompt(pending.trim() !== "");
  }
  if (pending.trim() !== "") succeeded = (await runStatement(client, pending, io)) && succeeded;
  lines.close();
  return succeeded || io.isTerminal ? 0 : 1;
}

interface StatementIo extends SqlCommandIo {
  readonly valuesAlone: boolean;
}

/** A text with lines of its own, a certificate say, has its end already. */
function valuesLine(values: readonly (string | null)[]): string {
  const line = values.map((value) => value ?? "").join("|");
  return line.endsWith("\n") ? line : `${line}\n`;
}

/** Rows are collected for alignment; beyond this many they are printed in tables of this size. */
const rowsPerTable = 10_000;

async function runStatement(client: SqlClient, statement: string, io: StatementIo): Promise<boolean> {
  const shown = (of: readonly ResultColumn[], some: typeof rows): string =>
    io.valuesAlone ? some.map(valuesLine).join("") : formatTable(of, some);
  let columns: readonly ResultColumn[] | undefined;
  let rows: (readonly (string | null)[])[] = [];
  let succeeded = true;
  const events: QueryEvents = {
    columns: (described) => {
      columns = described;
      rows = [];
    },
    row: (values) => {
      if (rows.length === rowsPerTable) {
        io.print(shown(columns!, rows));
        rows = [];
      }
      rows.push(values);
    },
    complete: (tag) => {
      if (columns !== undefined) io.print(shown(columns, rows));
      if (!io.valuesAlone && (columns === undefined || !tag.startsWith("SELECT"))) io.print(`${tag}\n`);
      columns = undefined;
      rows = [];
    },
    copyOut: (data) => io.print(data.toString("utf8")),
    notice: (severity, message) => io.printError(`${severity}:  ${message}\n`),
    error: (error) => {
      succeeded = false;
      io.printError(errorText(error, statement));
    },
  };
  await client.query(statement, events);
  return succeeded;
}

function errorText(error: DatabaseError, statement: string): string {
  const lines = [`ERROR:  ${error.code}: ${error.message}`];
  const position = Number(error.position ?? 0);
  if (position > 0) {
    const before = [...statement].slice(0, position - 1).join("");
    const line = before.split("\n").length;
    const column = before.length - (before.lastIndexOf("\n") + 1);
    const label = `LINE ${line}: `;
    lines.push(`${label}${statement.split("\n")[line - 1] ?? ""}`, `${" ".repeat(label.length + column)}^`);
  }
  if (error.detail !== undefined) lines.push(`DETAIL:  ${error.detail}`);
  if (error.hint !== undefined) lines.push(`HINT:  ${error.hint}`);
  return `${lines.join("\n")}\n`;
}
