/**
 * Data-driven scripts: SQL statements with the output that PostgreSQL 15 gives for them.
 *
 * A record is a statement, a line `----`, and its output; a blank line ends it. The statement may open with the session
 * that runs it (`a: `), with `a&: ` to start it without waiting for its end, or be `a wait` for the end of what was
 * started. Comment lines stand before the statement; `-- differs: REASON` says that the output is ours on purpose, and
 * recording leaves it alone; `-- open: REASON` that we are not there yet: the output is PostgreSQL's, ours must differ.
 *
 * Output: notices (`NOTICE: text`), then rows as tab-separated text under a line of column names, the command tag, or
 * `ERROR code: message` with DETAIL and HINT lines; `(waits)` for a started statement that has not ended. NULL is `\N`,
 * an empty text `''`, and control characters are escaped as COPY does.
 *
 * Invariant: the reader and the writer of files are inverse, so recording changes outputs alone.
 */
import type { DbError } from "../../src/base/errors.js";

export interface GoldenRecord {
  /** Lines of comment before the statement, as written. */
  readonly comments: readonly string[];
  readonly session: string;
  readonly mode: "run" | "start" | "wait";
  readonly sql: string;
  readonly differs: boolean;
  readonly open: boolean;
  expected: readonly string[];
  /** 1-based line of the statement. */
  readonly line: number;
}

export function parseScript(text: string): GoldenRecord[] {
  const records: GoldenRecord[] = [];
  const lines = text.split("\n");
  let at = 0;
  while (at < lines.length) {
    if (lines[at]!.trim() === "") {
      at++;
      continue;
    }
    const comments: string[] = [];
    while (at < lines.length && lines[at]!.startsWith("--") && lines[at] !== "----")
      comments.push(lines[at++]!);
    const line = at + 1;
    const statement: string[] = [];
    while (at < lines.length && lines[at] !== "----" && lines[at] !== "") statement.push(lines[at++]!);
    if (statement.length === 0) {
      records.push({
        comments,
        session: "",
        mode: "run",
        sql: "",
        differs: false,
        open: false,
        expected: [],
        line,
      });
      continue;
    }
    const expected: string[] = [];
    if (lines[at] === "----") {
      at++;
      while (at < lines.length && lines[at] !== "") expected.push(lines[at++]!);
    }
    const differs = comments.some((comment) => comment.startsWith("-- differs:"));
    const open = comments.some((comment) => comment.startsWith("-- open:"));
    const whole = statement.join("\n");
    const wait = /^([a-z]) wait$/.exec(whole);
    const prefix = /^([a-z])(&?): /.exec(whole);
    records.push({
      comments,
      session: wait?.[1] ?? prefix?.[1] ?? "",
      mode: wait !== null ? "wait" : prefix?.[2] === "&" ? "start" : "run",
      sql: wait !== null ? "" : whole.slice(prefix?.[0].length ?? 0),
      differs,
      open,
      expected,
      line,
    });
  }
  return records;
}

export function printScript(records: readonly GoldenRecord[]): string {
  return records
    .map(({ comments, session, mode, sql, expected }) => {
      if (mode !== "wait" && sql === "") return `${comments.join("\n")}\n`;
      const head =
        mode === "wait"
          ? `${session} wait`
          : session === ""
            ? sql
            : `${session}${mode === "start" ? "&" : ""}: ${sql}`;
      return `${[...comments, head, "----", ...expected].join("\n")}\n`;
    })
    .join("\n");
}

/** One server's session: runs one message and answers the lines of its output; never rejects for an SQL error. */
export interface GoldenSession {
  run(sql: string): Promise<string[]>;
}

export interface GoldenServer {
  session(): Promise<GoldenSession>;
  /** Resolves when a statement that can go on without others has ended. */
  settle(): Promise<void>;
}

/** Runs the records in order, one output per record. */
export async function runScript(
  records: readonly GoldenRecord[],
  server: GoldenServer,
): Promise<(readonly string[])[]> {
  const sessions = new Map<string, GoldenSession>();
  const started = new Map<string, Promise<string[]>>();
  const outputs: (readonly string[])[] = [];
  for (const record of records) {
    const { session: name, mode, sql } = record;
    if (mode !== "wait" && sql === "") {
      outputs.push([]);
      continue;
    }
    if (mode === "wait") {
      const pending = started.get(name);
      started.delete(name);
      outputs.push(pending === undefined ? ["(nothing to wait for)"] : await pending);
      continue;
    }
    if (started.has(name)) {
      outputs.push(["(busy)"]);
      continue;
    }
    let session = sessions.get(name);
    if (session === undefined) {
      session = await server.session();
      sessions.set(name, session);
    }
    const running = session.run(sql);
    if (mode === "run") {
      outputs.push(await running);
      continue;
    }
    let ended: string[] | undefined;
    running.then((lines) => {
      ended = lines;
    });
    await server.settle();
    outputs.push(ended ?? ["(waits)"]);
    if (ended === undefined) started.set(name, running);
  }
  return outputs;
}

const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r" };

export function escapeField(text: string | null): string {
  if (text === null) return "\\N";
  if (text === "") return "''";
  return text.replace(/[\\\n\t\r]/g, (character) => escapes[character]!);
}

export function messageLines(
  head: string,
  message: string,
  detail: string | undefined,
  hint: string | undefined,
): string[] {
  const line = (label: string, text: string): string =>
    `${label}: ${text.replace(/[\n\t\r]/g, (c) => escapes[c]!)}`;
  const lines = [line(head, message)];
  // A deadlock's detail tells numbers of processes, which no two runs share.
  if (head === "ERROR 40P01") return lines;
  if (detail !== undefined && detail !== "") lines.push(line("DETAIL", detail));
  if (hint !== undefined && hint !== "") lines.push(line("HINT", hint));
  return lines;
}

export function errorLines(error: DbError): string[] {
  return messageLines(`ERROR ${error.sqlstate}`, error.message, error.fields.detail, error.fields.hint);
}
