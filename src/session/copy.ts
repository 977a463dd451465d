/**
 * COPY: bulk rows in and out. COPY FROM runs the table's INSERT plan over an operator that reads the client's data, so
 * that defaults, checks, keys and triggers of constraints are those of INSERT; COPY TO runs a query and writes text.
 */
import { DbError, notSupported } from "../base/errors.js";
import { Wait } from "../base/wait.js";
import { buildPlan, compileExpr, type ExecContext, type Operator, Runtime, runPlan } from "../exec/index.js";
import { Batch, batchRowsMax } from "../model/batch.js";
import type { TableDesc } from "../model/schema.js";
import { textOutputOf } from "../model/types.js";
import type { Value } from "../model/value.js";
import { leavesRowsOut } from "../security/row-security.js";
import type { Copy, Option, Query } from "../sql/ast.js";
import type { Expr } from "../sql/expr.js";
import { quoteIdentifier } from "../sql/functions/index.js";
import { parseOne } from "../sql/parse.js";
import type { PlanNode } from "../sql/plan.js";
import { statementText } from "./audit.js";
import type { ResultSink } from "./contract.js";
import { type CopyColumn, type CopyOptions, CopyReader, CopyWriter } from "./copy-format.js";
import type { UtilityResult } from "./prepared.js";
import { type PreparedPlan, planQuery } from "./queries.js";
import { RunningContext } from "./running.js";
import type { ServerSession } from "./session.js";

export async function runCopy(session: ServerSession, ast: Copy, sink: ResultSink): Promise<UtilityResult> {
  if (ast.target.kind !== "std") {
    throw notSupported(
      ast.target.kind === "program" ? "COPY with a program" : "COPY with a server file",
      ast.position,
    );
  }
  return ast.from ? copyFrom(session, ast, sink) : copyTo(session, ast, sink);
}

// --- options --------------------------------------------------------------------------------------------------------

function optionText(option: Option): string {
  const { value } = option;
  if (value === undefined) return "true";
  if (value.kind === "boolean") return String(value.value);
  if ("text" in value) return value.text;
  throw new DbError("syntaxError", `invalid value for COPY option "${option.name}"`, {
    position: option.position,
  });
}

function optionBoolean(option: Option): boolean {
  const text = optionText(option).toLowerCase();
  if (["true", "on", "1"].includes(text)) return true;
  if (["false", "off", "0"].includes(text)) return false;
  throw new DbError("syntaxError", `${option.name} requires a Boolean value`, { position: option.position });
}

function optionColumns(option: Option, columns: readonly CopyColumn[]): ReadonlySet<number> | "all" {
  const { value } = option;
  if (value?.kind === "star") return "all";
  const names =
    value?.kind === "list"
      ? value.items.map((item) => ("text" in item ? item.text : ""))
      : [optionText(option)];
  return new Set(
    names.map((name) => {
      const at = columns.findIndex((column) => column.name === name);
      if (at < 0)
        throw new DbError(
          "invalidColumnReference",
          `${option.name.toUpperCase()} column "${name}" not referenced by COPY`,
        );
      return at;
    }),
  );
}

const single = (text: string, what: string): string => {
  if (Buffer.byteLength(text) !== 1)
    throw new DbError("featureNotSupported", `COPY ${what} must be a single one-byte character`);
  return text;
};

function copyOptions(options: readonly Option[], columns: readonly CopyColumn[], from: boolean): CopyOptions {
  const given = new Map<string, Option>();
  for (const option of options) {
    if (given.has(option.name))
      throw new DbError("syntaxError", "conflicting or redundant options", { position: option.position });
    given.set(option.name, option);
  }
  const known = [
    "format",
    "delimiter",
    "null",
    "header",
    "quote",
    "escape",
    "force_quote",
    "force_not_null",
    "force_null",
    "encoding",
    "freeze",
  ];
  for (const option of options) {
    if (!known.includes(option.name))
      throw new DbError("syntaxError", `option "${option.name}" not recognized`, {
        position: option.position,
      });
  }
  const text = (name: string): string | undefined =>
    given.has(name) ? optionText(given.get(name)!) : undefined;
  const format = (text("format") ?? "text").toLowerCase();
  if (format !== "text" && format !== "csv" && format !== "binary") {
    throw new DbError("invalidParameterValue", `COPY format "${format}" not recognized`, {
      position: given.get("format")?.position,
    });
  }
  if (format === "binary") throw notSupported("COPY in binary format");
  const csv = format === "csv";
  for (const name of ["quote", "escape", "force_quote", "force_not_null", "force_null"]) {
    if (given.has(name) && !csv)
      throw new DbError(
        "featureNotSupported",
        `COPY ${name.replaceAll("_", " ")} available only in CSV mode`,
      );
  }
  const encoding = text("encoding");
  if (encoding !== undefined && !/^utf-?8$/i.test(encoding))
    throw notSupported(`COPY in encoding ${encoding}`);
  const delimiter = single(text("delimiter") ?? (csv ? "," : "\t"), "delimiter");
  if (delimiter === "\n" || delimiter === "\r")
    throw new DbError("invalidParameterValue", "COPY delimiter cannot be newline or carriage return");
  if (!csv && /[\\.a-z0-9]/.test(delimiter))
    throw new DbError("invalidParameterValue", `COPY delimiter cannot be "${delimiter}"`);
  const nullText = text("null") ?? (csv ? "" : "\\N");
  if (/[\r\n]/.test(nullText))
    throw new DbError(
      "invalidParameterValue",
      "COPY null representation cannot use newline or carriage return",
    );
  const quote = single(text("quote") ?? '"', "quote");
  if (csv && quote === delimiter)
    throw new DbError("invalidParameterValue", "COPY delimiter and quote must be different");
  const escapeChar = single(text("escape") ?? quote, "escape");
  if (nullText.includes(delimiter))
    throw new DbError("invalidParameterValue", "COPY delimiter must not appear in the NULL specification");
  const header = given.get("header");
  const isMatch =
    header !== undefined &&
    header.value !== undefined &&
    "text" in header.value &&
    header.value.text.toLowerCase() === "match";
  if (isMatch && !from) throw new DbError("featureNotSupported", 'cannot use "match" with HEADER in COPY TO');
  const set = (name: string): ReadonlySet<number> => {
    const option = given.get(name);
    const chosen = option === undefined ? new Set<number>() : optionColumns(option, columns);
    return chosen === "all" ? new Set(columns.keys()) : chosen;
  };
  return {
    format,
    delimiter,
    nullText,
    header: isMatch ? "match" : header !== undefined && optionBoolean(header),
    quote,
    escapeChar,
    forceQuote: given.has("force_quote") ? optionColumns(given.get("force_quote")!, columns) : new Set(),
    forceNotNull: set("force_not_null"),
    forceNull: set("force_null"),
    freeze: given.has("freeze") && optionBoolean(given.get("freeze")!),
  };
}

function copyColumns(
  table: TableDesc,
  names: readonly string[],
): { readonly place: number; readonly name: string; readonly type: TableDesc["columns"][number]["type"] }[] {
  const live = table.columns
    .map((column, place) => ({
      place,
      name: column.name,
      type: column.type,
      dropped: column.dropped === true,
    }))
    .filter((column) => !column.dropped);
  if (names.length === 0) return live;
  const seen = new Set<string>();
  return names.map((name) => {
    const found = live.find((column) => column.name === name);
    if (found === undefined)
      throw new DbError("undefinedColumn", `column "${name}" of relation "${table.name}" does not exist`);
    if (seen.has(name)) throw new DbError("duplicateColumn", `column "${name}" specified more than once`);
    seen.add(name);
    return found;
  });
}

// --- FROM -----------------------------------------------------------------------------------------------------------

/** Rows of the client's data as the INSERT plan's source; waits for the client by throwing Wait. */
class CopySource implements Operator {
  readonly #batch: Batch;
  readonly #fields: Value[][];
  readonly #runtime = new Runtime();
  readonly #exprs: readonly {
    readonly field: number | undefined;
    readonly evaluate: (columns: Value[][], row: number) => Value;
  }[];
  #arriving: Promise<void> | undefined;
  #ended = false;
  #failure: unknown;
  #checkRow: ((columns: Value[][], row: number) => Value) | undefined;

  constructor(
    readonly reader: CopyReader,
    readonly chunks: AsyncIterator<Buffer>,
    fields: number,
    exprs: readonly Expr[],
  ) {
    this.#batch = new Batch(exprs.length);
    this.#fields = Array.from({ length: fields }, () => []);
    const scope = {
      runtime: this.#runtime,
      build: (): Operator => {
        throw notSupported("a subquery in a column default");
      },
    };
    this.#exprs = exprs.map((expr) => ({
      field: expr.kind === "param" ? expr.index : undefined,
      evaluate: compileExpr(expr, scope),
    }));
  }

  set filter(check: (columns: Value[][], row: number) => Value) {
    this.#checkRow = check;
  }
  get runtime(): Runtime {
    return this.#runtime;
  }

  open(context: ExecContext): void {
    this.#runtime.bind(context);
  }

  next(): Batch | undefined {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      let rows = this.reader.read(this.#fields, batchRowsMax, this.#ended);
      if (rows > 0 && this.#checkRow !== undefined) rows = this.#keep(rows, this.#checkRow);
      else if (rows === 0) {
        if (this.#ended) return undefined;
        throw new Wait("lock", this.#arrival());
      }
      if (rows > 0) return this.#fill(rows);
    }
  }

  /** COPY ... WHERE: rows that do not pass are left out. */
  #keep(rows: number, check: (columns: Value[][], row: number) => Value): number {
    let kept = 0;
    for (let row = 0; row < rows; row++) {
      if (check(this.#fields, row) !== true) continue;
      if (kept !== row) for (const field of this.#fields) field[kept] = field[row]!;
      kept++;
    }
    return kept;
  }

  #fill(rows: number): Batch {
    this.#batch.length = rows;
    for (let column = 0; column < this.#exprs.length; column++) {
      const { field, evaluate } = this.#exprs[column]!;
      if (field !== undefined) {
        // The reader fills these arrays anew at each call: they are handed on as they are.
        this.#batch.columns[column] = this.#fields[field]!;
        continue;
      }
      const into = this.#batch.columns[column]!;
      for (let row = 0; row < rows; row++) into[row] = evaluate(this.#fields, row);
    }
    return this.#batch;
  }

  #arrival(): Promise<void> {
    this.#arriving ??= this.chunks.next().then(
      ({ value, done }) => {
        this.#arriving = undefined;
        if (done === true) this.#ended = true;
        else this.reader.push(value);
      },
      (error: unknown) => {
        this.#arriving = undefined;
        this.#failure = error;
      },
    );
    return this.#arriving;
  }

  rescan(): void {
    throw new DbError("internalError", "COPY data cannot be read twice");
  }
  close(): void {
    // The connection ends the stream itself.
  }
}

function refuseRuled(session: ServerSession, { id }: TableDesc): void {
  const now = session.catalog.relationById(id);
  const rules = now?.kind === "table" ? session.access.rulesFor(now, undefined) : undefined;
  if (rules === undefined || !leavesRowsOut(rules)) return;
  throw new DbError("featureNotSupported", "COPY FROM not supported with row-level security", {
    hint: "Use INSERT statements instead.",
  });
}

async function copyFrom(session: ServerSession, ast: Copy, sink: ResultSink): Promise<UtilityResult> {
  if (session.transaction.settings.readOnly)
    throw new DbError("readOnlySqlTransaction", "cannot execute COPY FROM in a read-only transaction");
  const relation = ddlRelation(session, ast);
  if (relation.kind === "virtual")
    throw new DbError("insufficientPrivilege", `permission denied: "${relation.name}" is a system catalog`);
  if (relation.kind !== "table")
    throw new DbError("wrongObjectType", `cannot copy to ${relation.kind} "${relation.name}"`);
  refuseRuled(session, relation);
  const columns = copyColumns(relation, ast.columns);
  const options = copyOptions(ast.options, columns, true);
  const parameters = columns.map((column) => column.type.oid);
  const list = columns.map((column) => quoteIdentifier(column.name)).join(", ");
  const name = `${quoteIdentifier(session.catalog.schemaById(relation.schemaId)!.name)}.${quoteIdentifier(relation.name)}`;
  const values = columns.map((_, at) => `$${at + 1}`).join(", ");
  const text =
    columns.length === 0
      ? `INSERT INTO ${name} DEFAULT VALUES`
      : `INSERT INTO ${name} (${list}) OVERRIDING SYSTEM VALUE VALUES (${values})`;
  const parsed = parseOne(text);
  const plan = await session.lockedPlan(() => {
    refuseRuled(session, relation);
    return planQuery(parsed!.ast, session.bindEnv(parameters), session);
  });
  session.auditUse(plan);
  const source = findValues(plan);
  const reader = new CopyReader(relation.name, columns, options, session.eval);
  const chunks = sink.copyIn("text", columns.length)[Symbol.asyncIterator]();
  const input = new CopySource(reader, chunks, columns.length, source.exprs.map(unwrapCast));
  if (ast.where !== undefined) input.filter = copyFilter(session, ast, relation, columns, input);
  const context = new RunningContext(session, session.workMemory());
  const operator = buildPlan(plan.plan, {
    catalog: session.catalog,
    substitute: (node) => (node === source.node ? input : undefined),
  });
  context.transaction = session.transaction.rows();
  context.snapshot = session.engine.statementSnapshot(context.transaction);
  try {
    await runPlan(operator, context, plan.columns.length, {
      clock: session.clock,
      checks: context.checks,
      onBatch: () => true,
    });
  } finally {
    if (context.transaction.state === "active") session.engine.releaseSnapshot(context.transaction);
  }
  return { tag: `COPY ${context.rowsAffected}` };
}

function ddlRelation(session: ServerSession, ast: Copy) {
  const name = ast.table!;
  const schemas =
    name.schema === undefined
      ? session.searchPathIds()
      : [session.catalog.schemaByName(name.schema)?.id ?? -1];
  for (const schemaId of schemas) {
    const relation = session.catalog.relation(schemaId, name.name);
    if (relation !== undefined) return relation;
  }
  throw new DbError(
    "undefinedTable",
    `relation "${name.schema === undefined ? "" : `${name.schema}.`}${name.name}" does not exist`,
    { position: name.position },
  );
}

/** A parameter already has its column's type: the plan's casts of it change nothing. */
function unwrapCast(expr: Expr): Expr {
  let inner = expr;
  while (
    inner.kind === "relabel" ||
    (inner.kind === "call" && inner.cast !== undefined && inner.args[0]?.kind === "param")
  ) {
    inner = inner.kind === "relabel" ? inner.arg : inner.args[0]!;
  }
  return inner.kind === "param" ? inner : expr;
}

function findValues(plan: PreparedPlan): { readonly node: PlanNode; readonly exprs: readonly Expr[] } {
  let node = plan.plan;
  for (;;) {
    if (node.kind === "values" && node.rows.length === 1) return { node, exprs: node.rows[0]! };
    if ("input" in node) node = node.input;
    else if (node.kind === "initPlans" || node.kind === "with") node = node.body;
    else throw new DbError("internalError", "COPY found no row source in the INSERT plan");
  }
}

function copyFilter(
  session: ServerSession,
  ast: Copy,
  table: TableDesc,
  columns: readonly { readonly place: number }[],
  source: CopySource,
): (fields: Value[][], row: number) => Value {
  const expr = session.server.tableExpression(session, table, ast.where!);
  const evaluate = compileExpr(expr, {
    runtime: source.runtime,
    build: () => {
      throw new DbError("featureNotSupported", "cannot use subquery in COPY FROM WHERE condition");
    },
  });
  const row: Value[][] = table.columns.map(() => [null]);
  return (fields, at) => {
    columns.forEach((column, field) => {
      row[column.place]![0] = fields[field]![at]!;
    });
    return evaluate(row, 0);
  };
}

// --- TO -------------------------------------------------------------------------------------------------------------

async function copyTo(session: ServerSession, ast: Copy, sink: ResultSink): Promise<UtilityResult> {
  let query: Query;
  if (ast.table !== undefined) {
    const relation = ddlRelation(session, ast);
    if (relation.kind === "view") {
      throw new DbError("wrongObjectType", `cannot copy from view "${relation.name}"`, {
        hint: "Try the COPY (SELECT ...) TO variant.",
      });
    }
    if (relation.kind === "sequence")
      throw new DbError("wrongObjectType", `cannot copy from sequence "${relation.name}"`);
    const columns = copyColumns(relation as TableDesc, ast.columns);
    const name = `${quoteIdentifier(session.catalog.schemaById(relation.schemaId)!.name)}.${quoteIdentifier(relation.name)}`;
    query = parseOne(
      `SELECT ${columns.map((column) => quoteIdentifier(column.name)).join(", ")} FROM ONLY ${name}`,
    )!.ast as Query;
  } else {
    query = ast.query as Query;
  }
  const plan = await session.lockedPlan(() => {
    const made = planQuery(query, session.bindEnv([], undefined, true), session);
    if (made.columns.length === 0 && made.modifies)
      throw new DbError("featureNotSupported", "COPY query must have a RETURNING clause");
    return made;
  });
  const { columns } = plan;
  const options = copyOptions(ast.options, columns, false);
  const writer = new CopyWriter(options);
  const outputs = columns.map((column) => textOutputOf(column.type.oid));
  const settings = session.eval;
  const context = new RunningContext(session, session.workMemory());
  const operator = buildPlan(plan.plan, { catalog: session.catalog });
  context.transaction = session.transaction.rows();
  context.snapshot = session.engine.statementSnapshot(context.transaction);
  const told = {
    destination: "client",
    export_format: options.format,
    user: session.role.name,
    ...statementText(session.activity.query),
  };
  session.auditUse(plan);
  const head = await session.server.audit.written("DATA_EXPORT", told, session);
  sink.copyOutBegin("text", columns.length);
  if (options.header !== false)
    sink.copyOutData(Buffer.from(writer.header(columns.map((column) => column.name))));
  let rows = 0;
  try {
    const fields: (string | undefined)[] = new Array(columns.length);
    await runPlan(operator, context, columns.length, {
      clock: session.clock,
      checks: context.checks,
      onBatch: (batch) => {
        let ready = true;
        for (let row = 0; row < batch.length; row++) {
          for (let column = 0; column < fields.length; column++) {
            const value = batch.columns[column]![row]!;
            fields[column] = value === null ? undefined : outputs[column]!(value, settings);
          }
          // One CopyData message a row, as PostgreSQL sends them: clients count on it.
          ready = sink.copyOutData(Buffer.from(writer.row(fields))) && ready;
        }
        rows += batch.length;
        return ready;
      },
      drained: () => sink.drained(),
    });
  } finally {
    if (context.transaction.state === "active") session.engine.releaseSnapshot(context.transaction);
  }
  sink.copyOutDone();
  session.server.audit.note("DATA_EXPORT", { event_sequence: head.sequence, row_count: rows }, session);
  return { tag: `COPY ${rows}` };
}
