/**
 * Statements that administer the cluster (spec/15): nodes, epochs, CA, security bundles, shards, backup, jobs, audit,
 * sweep. Exports the whole parser.
 *
 * Their words are not keywords of the scanner: each is recognised by its place, so that job, shard or node stay names
 * (SQL-10). Each statement is a row of one table: its leading words, what object it names, and the clauses it may have;
 * for those that are carried out also which clauses stand together. A clause given twice is 42601 (SQL-51), $n anywhere is
 * 42601 (SQL-4).
 */
import type * as ast from "../src/sql/ast.js";
import { ConnectionRules } from "./connections.js";
import {
  ColumnName,
  Comma,
  Decimal,
  Equals,
  GrammarError,
  Integer,
  LeftBracket,
  LeftParen,
  Minus,
  NonReserved,
  Plus,
  RightBracket,
  RightParen,
  StringLiteral,
} from "./tokens.js";

/** What stands behind the leading words. */
type ObjectForm = "none" | "name" | "optionalName" | "string";

interface StatementForm {
  readonly command: ast.ClusterCommand;
  /** Leading words; by default the command's own. */
  readonly words?: readonly string[];
  readonly object: ObjectForm;
  /** Clause names in lower case. Longer ones win. `*` at the end: the clause takes a list of values separated by commas. */
  readonly clauses: readonly string[];
  /** Which clauses stand together, and what they take. Absent: whoever runs the statement decides. */
  readonly order?: ClauseOrder;
}

/** By the clause that comes first; "" where none need come. Any other first clause, and any other behind it, is 42601. */
type ClauseOrder = Readonly<
  Record<string, { readonly may?: readonly string[]; readonly must?: readonly string[] }>
>;

/** Clauses without a value, in forms whose order is given. */
const flags: ReadonlySet<string> = new Set([
  "drain shards",
  "graceful",
  "force",
  "allow data loss",
  "rebalance shards",
  "ca policy cutover to new ca",
  "ca policy cancel overlap",
  "force immediate",
  "status",
  "nodes",
  "shards",
  "epochs",
  "certificates",
  "settings",
  "from current",
  "draft",
]);

const removal = ["reason", "graceful", "force", "allow data loss"];

const jobClauses = [
  "class",
  "partition by",
  "schedule",
  "depends on*",
  "depends on none",
  "description",
  "max_retries",
  "retry_backoff",
  "timeout",
  "on completion",
  "run as",
  "time zone",
  "catch_up",
  "state",
  "enabled",
  "disabled",
  "as",
  "call",
  "exec",
];
const scheduleClauses = [
  "frequency",
  "daily at",
  "hourly",
  "cron",
  "type",
  "cluster_consistent",
  "target",
  "retention_policy",
];

const auditRuleClauses = ["level", "scope", "on", "for", "log"];

const forms: readonly StatementForm[] = [
  {
    command: "ADD NODE",
    object: "string",
    clauses: ["with name", "addresses*", "roles*", "certificate"],
    order: { "with name": { must: ["addresses", "roles", "certificate"] } },
  },
  { command: "ENABLE NODE", object: "name", clauses: [], order: { "": {} } },
  { command: "DISABLE NODE", object: "name", clauses: ["reason"], order: { reason: {} } },
  { command: "REMOVE NODE", object: "name", clauses: removal, order: { reason: { may: removal } } },
  {
    command: "ALTER NODE",
    object: "name",
    clauses: ["drain shards", "set roles*", "set addresses*"],
    order: { "drain shards": {}, "set roles": {}, "set addresses": {} },
  },
  {
    command: "ALTER CLUSTER",
    object: "none",
    clauses: [
      "add node",
      "with roles",
      "remove node",
      ...removal,
      "rebalance shards",
      "with strategy",
      "set",
      "reset",
      "force cutover to epoch",
      "disabling nodes",
      "ca policy begin overlap with new ca certificate",
      "ca policy cutover to new ca",
      "ca policy cancel overlap",
      "ca policy extend overlap by",
      "ca policy emergency revoke ca",
      "replace with",
      "force immediate",
      "require convergence",
      "stability window",
    ],
    order: {
      "add node": { may: ["with roles"] },
      "remove node": { may: removal },
      "rebalance shards": { may: ["with strategy"] },
      set: {},
      reset: {},
      "force cutover to epoch": { must: ["disabling nodes"] },
      "ca policy begin overlap with new ca certificate": { may: ["stability window"] },
      "ca policy cutover to new ca": { may: ["require convergence"] },
      "ca policy cancel overlap": {},
      "ca policy extend overlap by": {},
      "ca policy emergency revoke ca": { may: ["force immediate"], must: ["replace with"] },
    },
  },
  {
    command: "ROTATE CA",
    object: "none",
    clauses: ["stability window"],
    order: { "": {}, "stability window": {} },
  },
  { command: "CREATE CA", object: "none", clauses: ["on node"], order: { "": {}, "on node": {} } },
  {
    command: "BACKUP CA KEY",
    object: "none",
    clauses: ["shares", "of"],
    order: { "": {}, shares: { must: ["of"] } },
  },
  {
    command: "RECOVER CA KEY",
    object: "none",
    clauses: ["from shares*"],
    order: { "from shares": {} },
  },
  {
    command: "REVOKE CERTIFICATE",
    object: "none",
    clauses: ["serial", "for node", "reason"],
    order: { serial: { may: ["reason"] }, "for node": { may: ["reason"] } },
  },
  {
    command: "ISSUE CERTIFICATE",
    object: "none",
    clauses: ["from csr", "for node", "for user", "for service"],
    order: { "from csr": { may: ["for node", "for user", "for service"] } },
  },
  {
    command: "CREATE SECURITY BUNDLE",
    object: "none",
    clauses: ["version", "description", "from current", "from version"],
    order: {
      "": {},
      version: { may: ["description", "from current", "from version"] },
      description: { may: ["from current", "from version"] },
      "from current": {},
      "from version": {},
    },
  },
  {
    command: "PUBLISH SECURITY BUNDLE",
    object: "none",
    clauses: ["version"],
    order: { "": {}, version: {} },
  },
  {
    command: "ROLLBACK SECURITY BUNDLE",
    object: "none",
    clauses: ["to version"],
    order: { "to version": {} },
  },
  { command: "DROP SECURITY BUNDLE", object: "none", clauses: ["draft"], order: { draft: {} } },
  {
    command: "CREATE SHARD MAP",
    object: "none",
    clauses: ["version", "with shard_count", "shard_count", "vnode_count", "description"],
  },
  { command: "ASSIGN SHARD", object: "name", clauses: ["to node*"] },
  { command: "PUBLISH SHARD MAP", object: "none", clauses: ["version"] },
  { command: "SET SHARD MAP", object: "none", clauses: ["version", "state"] },
  { command: "RETIRE SHARD MAP", object: "none", clauses: ["version"] },
  {
    command: "ALTER SHARD",
    object: "name",
    clauses: [
      "add replica on node",
      "remove replica on node",
      "with mode",
      "promote replica on node",
      "to primary",
      "set replication mode",
      "quorum_replicas",
      "move",
      "from node",
      "to node",
    ],
  },
  { command: "CREATE SHARD", object: "optionalName", clauses: ["on node"] },
  { command: "DROP SHARD", object: "optionalName", clauses: ["cascade"] },
  { command: "CANCEL SHARD MIGRATION", object: "string", clauses: [] },
  {
    command: "BACKUP CLUSTER",
    object: "none",
    clauses: ["to", "with", "cluster_consistent", "type", "description", "tag"],
  },
  {
    command: "BACKUP SHARD",
    object: "name",
    clauses: ["to", "with", "cluster_consistent", "type", "description", "tag"],
  },
  { command: "VERIFY BACKUP SET", object: "string", clauses: ["at"] },
  {
    command: "RESTORE CLUSTER",
    object: "none",
    clauses: [
      "from backup set",
      "at",
      "with generate_new_cluster_uuid",
      "with generate_new_ca",
      "generate_new_cluster_uuid",
      "generate_new_ca",
      "to timestamp",
      "confirm destroy",
    ],
  },
  { command: "CREATE BACKUP SCHEDULE", object: "name", clauses: scheduleClauses },
  { command: "ALTER BACKUP SCHEDULE", object: "name", clauses: scheduleClauses },
  { command: "DROP BACKUP SCHEDULE", object: "name", clauses: [] },
  { command: "CREATE BACKUP TARGET", object: "name", clauses: ["type", "location", "credential"] },
  { command: "DROP BACKUP TARGET", object: "name", clauses: [] },
  { command: "CREATE JOB", object: "name", clauses: jobClauses },
  { command: "CREATE JOB", words: ["create", "or", "alter", "job"], object: "name", clauses: jobClauses },
  { command: "RECREATE JOB", object: "name", clauses: jobClauses },
  {
    command: "ALTER JOB",
    object: "name",
    clauses: [...jobClauses, ...jobClauses.map((clause) => `set ${clause}`), "rename to"],
  },
  { command: "DROP JOB", object: "name", clauses: ["keep history", "cascade"] },
  { command: "EXECUTE JOB", object: "name", clauses: [] },
  { command: "CANCEL JOB RUN", object: "string", clauses: [] },
  { command: "SHOW JOBS", object: "none", clauses: ["like"] },
  { command: "SHOW JOB RUNS", object: "none", clauses: ["for", "name"] },
  { command: "SHOW JOB", object: "name", clauses: [] },
  {
    command: "SHOW CLUSTER",
    object: "none",
    clauses: ["status", "nodes", "shards", "epochs", "certificates", "settings"],
    order: { "": {}, status: {}, nodes: {}, shards: {}, epochs: {}, certificates: {}, settings: {} },
  },
  { command: "SHOW SHARD MAP", object: "none", clauses: [] },
  { command: "SHOW REPLICATION LAG", object: "none", clauses: [] },
  {
    command: "CREATE MASKING FUNCTION",
    object: "name",
    clauses: ["arguments", "returns", "as", "classification"],
  },
  { command: "DROP MASKING FUNCTION", object: "name", clauses: [], order: { "": {} } },
  {
    command: "CREATE AUDIT RULE",
    object: "name",
    clauses: ["level", "scope", "on*", "for*", "log*"],
    order: {
      "": {},
      level: { may: auditRuleClauses },
      scope: { may: auditRuleClauses },
      on: { may: auditRuleClauses },
      for: { may: auditRuleClauses },
      log: { may: auditRuleClauses },
    },
  },
  { command: "DROP AUDIT RULE", object: "name", clauses: [], order: { "": {} } },
];

/** Forms by their first word, longer leading words first. */
const formsByWord = new Map<string, { words: readonly string[]; form: StatementForm }[]>();
for (const form of forms) {
  const leading = form.words ?? form.command.toLowerCase().split(" ");
  const known = formsByWord.get(leading[0]!) ?? [];
  known.push({ words: leading, form });
  known.sort((a, b) => b.words.length - a.words.length);
  formsByWord.set(leading[0]!, known);
}

/** A form's clauses as words, longer first. */
interface Clause {
  readonly name: string;
  readonly words: readonly string[];
  readonly list: boolean;
}
const clausesOf = new Map<StatementForm, readonly Clause[]>(
  forms.map((form) => [
    form,
    form.clauses
      .map((text): Clause => {
        const name = text.replace("*", "");
        return { name, words: name.split(" "), list: text.endsWith("*") };
      })
      .sort((a, b) => b.words.length - a.words.length),
  ]),
);

/** Whether a clause may stand behind the first one, or first if there is none yet. */
function mayStand({ order }: StatementForm, first: string | undefined, name: string): boolean {
  if (order === undefined) return true;
  if (first === undefined) return name in order && name !== "";
  const { may = [], must = [] } = order[first]!;
  return may.includes(name) || must.includes(name) || name === first;
}

const rowPolicyWords = ["rls", "policy"] as const;

/** A role's name; of PUBLIC, CURRENT_USER and the like their kind. */
function roleWord(role: ast.RoleSpec): ast.ClusterValue {
  return { kind: "word", text: role.kind === "name" ? role.name : role.kind, position: role.position };
}

export class SqlParser extends ConnectionRules {
  constructor() {
    super();
    this.performSelfAnalysis();
  }

  protected clusterStatement(): ast.Statement | undefined {
    if (this.is("sweep")) return this.sweep();
    const token = this.peek();
    if (token.quoted) return undefined;
    const candidates = formsByWord.get(token.value);
    if (candidates === undefined) return undefined;
    const policy = this.rowPolicy() ?? this.columnPolicy() ?? this.connectionRule();
    if (policy !== undefined) return policy;
    for (const { words, form } of candidates) {
      if (!words.every((word, index) => this.is(word, index + 1))) continue;
      if (!this.isReally(form, words.length + 1)) continue;
      return this.clusterForm(form, words);
    }
    return undefined;
  }

  /** Tells our statements from PostgreSQL's that begin with the same words. */
  private isReally(form: StatementForm, next: number): boolean {
    switch (form.command) {
      case "EXECUTE JOB": // EXECUTE of a prepared statement named job
        return this.isType(StringLiteral, next) || this.fits(ColumnName, next);
      case "REVOKE CERTIFICATE": // REVOKE of a role named certificate (SQL-28)
        return this.isType(StringLiteral, next) || this.is("for", next);
      case "SHOW JOB": // a setting named job
        return this.isType(StringLiteral, next) || this.fits(ColumnName, next);
      case "SET SHARD MAP":
        return this.is("version", next);
      default:
        return true;
    }
  }

  private clusterForm(form: StatementForm, words: readonly string[]): ast.ClusterStatement {
    const position = this.here();
    this.eat(...words);
    const orAlter = words[1] === "or" ? [{ name: "or alter", values: [], position }] : [];
    const ifExists =
      form.object !== "none" &&
      (/^(ADD|CREATE|RECREATE) /.test(form.command) ? this.ifNotExists() : this.acceptBoth("if", "exists"));
    const name = this.clusterObject(form);
    return {
      kind: "cluster",
      command: form.command,
      name,
      table: undefined,
      ifExists,
      clauses: [...orAlter, ...this.clauses(form)],
      position,
    };
  }

  private clusterObject(form: StatementForm): string | undefined {
    switch (form.object) {
      case "none":
        return undefined;
      case "string":
        return this.isType(StringLiteral) ? this.stringConstant() : this.name();
      case "optionalName":
        return this.isEnd() || this.clauseAhead(form) !== undefined ? undefined : this.wordOrString();
      case "name":
        return this.wordOrString();
    }
  }

  private clauseAhead(form: StatementForm): Clause | undefined {
    return clausesOf
      .get(form)!
      .find((clause) => clause.words.every((word, index) => this.is(word, index + 1)));
  }

  /** The clauses to the end of the statement; those that open with a value are named by what the value is. */
  private clauses(form: StatementForm): ast.ClusterClause[] {
    const clauses: ast.ClusterClause[] = [];
    const seen = new Set<string>();
    while (!this.isEnd()) {
      const position = this.here();
      if (clauses.length > 0 && form.order === undefined) this.acceptType(Comma);
      const clause = this.clauseAhead(form) ?? this.unnamedClause(form, clauses.length);
      if (!mayStand(form, clauses[0]?.name, clause.name)) this.fail();
      if (seen.has(clause.name)) {
        throw new GrammarError(
          "syntaxError",
          `clause ${clause.name.toUpperCase()} is given twice`,
          position - 1,
        );
      }
      seen.add(clause.name);
      this.eat(...clause.words);
      const values = form.order === undefined ? this.clauseValues(form, clause) : this.ownValues(clause);
      clauses.push({ name: clause.name, values, position });
    }
    const order = form.order?.[clauses[0]?.name ?? ""];
    if (form.order !== undefined && order === undefined) this.fail();
    if (order?.must?.some((name) => !seen.has(name)) === true) this.fail();
    return clauses;
  }

  /** What a clause takes in forms whose order is given: nothing, a list, or one value; SET takes a key and a value's words. */
  private ownValues(clause: Clause): ast.ClusterValue[] {
    if (flags.has(clause.name)) return [];
    if (clause.list) return this.list(() => this.clusterValue());
    if (clause.name !== "set") {
      this.acceptType(Equals);
      return [this.clusterValue()];
    }
    const values = [this.clusterValue()];
    if (!this.acceptType(Equals)) this.eat("to");
    do values.push(this.clusterValue());
    while (!this.isEnd());
    return values;
  }

  /** Some statements take a value without a word before it. */
  private unnamedClause(form: StatementForm, index: number): Clause {
    const isString = this.isType(StringLiteral);
    if (form.command === "REVOKE CERTIFICATE" && index === 0 && isString) {
      return { name: "serial", words: [], list: false };
    }
    if (form.command === "CREATE MASKING FUNCTION" && index === 0 && this.isType(LeftParen)) {
      return { name: "arguments", words: [], list: false };
    }
    if (form.command === "SHOW JOB RUNS" && index === 0 && (isString || this.fits(NonReserved))) {
      return { name: "name", words: [], list: false };
    }
    return this.fail();
  }

  private clauseValues(form: StatementForm, clause: Clause): ast.ClusterValue[] {
    if (clause.name === "call" || (clause.name === "as" && this.is("call"))) {
      this.accept("call");
      const position = this.here();
      const call = this.parsePrimary();
      if (call.kind !== "call") return this.fail();
      return [{ kind: "call", call, position }];
    }
    if (clause.name === "as" && this.accept("exec")) {
      return [{ kind: "word", text: "exec", position: this.here() }, this.clusterValue()];
    }
    if (form.command === "CREATE MASKING FUNCTION") {
      const position = this.here();
      if (clause.name === "arguments") {
        const items = this.parens(() =>
          this.list((): ast.ClusterValue => ({ kind: "type", type: this.typeName(), position: this.here() })),
        );
        return [{ kind: "list", items, position }];
      }
      if (clause.name === "returns") return [{ kind: "type", type: this.typeName(), position }];
      if (clause.name === "as") return [{ kind: "expr", expr: this.expression(), position }];
    }
    if (clause.name === "partition by" && this.accept("dynamic")) {
      const position = this.here();
      return [
        { kind: "word", text: "dynamic", position },
        { kind: "expr", expr: this.expression(), position },
      ];
    }
    if (!this.acceptType(Equals) && clause.name !== "set") this.accept("to");
    const values: ast.ClusterValue[] = [];
    for (;;) {
      if (this.isEnd() || this.isType(Comma) || this.clauseAhead(form) !== undefined) {
        // A comma continues the list if what follows is no clause; else it separates options.
        if (!clause.list || !this.isType(Comma)) return values;
        this.SKIP_TOKEN();
        if (this.isEnd()) this.fail();
        continue;
      }
      // ALTER CLUSTER SET key = value.
      if (values.length > 0 && (this.acceptType(Equals) || (clause.name === "set" && this.accept("to"))))
        continue;
      values.push(this.clusterValue());
    }
  }

  private clusterValue(): ast.ClusterValue {
    const token = this.peek();
    const position = token.startOffset + 1;
    switch (token.tokenType) {
      case StringLiteral:
        return { kind: "string", text: this.stringConstant(), position };
      case Integer:
      case Decimal:
      case Minus:
      case Plus:
        return { kind: "number", text: this.signedNumber(), position };
      case LeftParen:
        return { kind: "list", items: this.parens(() => this.list(() => this.listedValue())), position };
      case LeftBracket: {
        this.SKIP_TOKEN();
        const items = this.list(() => this.listedValue());
        this.eatType(RightBracket);
        return { kind: "list", items, position };
      }
      default: {
        // Any word, with dots as in scheduler.polling_interval.
        let text = this.label();
        while (this.peek().value === "." && !this.peek().quoted) {
          this.SKIP_TOKEN();
          text += `.${this.label()}`;
        }
        return { kind: "word", text, position };
      }
    }
  }

  private listedValue(): ast.ClusterValue {
    const position = this.here();
    if (this.isType(Equals, 2)) {
      const name = this.label();
      this.SKIP_TOKEN();
      return { kind: "option", name, value: this.clusterValue(), position };
    }
    if (this.isType(RightParen)) this.fail();
    return this.clusterValue();
  }

  /** CREATE | ALTER | DROP RLS POLICY: PostgreSQL's policies, kept in the security bundle. */
  private rowPolicy(): ast.Statement | undefined {
    if (!rowPolicyWords.every((word, index) => this.is(word, index + 2))) return undefined;
    const position = this.here();
    const verb = this.oneOf<"create" | "alter" | "drop">({
      create: () => "create",
      alter: () => "alter",
      drop: () => "drop",
    });
    this.eat(...rowPolicyWords);
    const clauses: ast.ClusterClause[] = [];
    const add = (name: string, ...values: ast.ClusterValue[]): void => {
      clauses.push({ name, values, position });
    };
    const base = { kind: "cluster", table: undefined, ifExists: false, position } as const;
    if (verb === "drop") {
      const ifExists = this.ifExists();
      const name = this.name();
      this.eat("on");
      return { ...base, command: "DROP RLS POLICY", name, table: this.qualifiedName(), ifExists, clauses };
    }
    const policy = verb === "create" ? this.createPolicy(position) : this.alterPolicy(position, true);
    if (policy.kind === "rename") {
      add("rename to", { kind: "word", text: policy.newName, position });
      return {
        ...base,
        command: "ALTER RLS POLICY",
        name: policy.name.name.name,
        table: policy.name.on,
        clauses,
      };
    }
    if (policy.kind !== "createPolicy" && policy.kind !== "alterPolicy") return this.fail();
    if (policy.kind === "createPolicy") {
      if (!policy.permissive) add("as", { kind: "word", text: "restrictive", position });
      add("for", { kind: "word", text: policy.command, position });
    }
    if (policy.roles !== undefined) {
      add("to", ...policy.roles.map(roleWord));
    }
    if (policy.using !== undefined) add("using", { kind: "expr", expr: policy.using, position });
    if (policy.withCheck !== undefined) add("with check", { kind: "expr", expr: policy.withCheck, position });
    const command = verb === "create" ? "CREATE RLS POLICY" : "ALTER RLS POLICY";
    return { ...base, command, name: policy.name, table: policy.table, clauses };
  }

  /** CREATE CLS POLICY p ON t (c) DENY | REDACT | MASK WITH f [TO role, ..]; DROP CLS POLICY [IF EXISTS] p ON t */
  private columnPolicy(): ast.Statement | undefined {
    if (!this.is("cls", 2) || !this.is("policy", 3)) return undefined;
    if (!this.is("create") && !this.is("drop")) return undefined;
    const position = this.here();
    const drops = this.is("drop");
    this.SKIP_TOKEN();
    this.eat("cls", "policy");
    const ifExists = drops && this.ifExists();
    const name = this.name();
    this.eat("on");
    const base = { kind: "cluster", name, table: this.qualifiedName(), ifExists, position } as const;
    if (drops) return { ...base, command: "DROP CLS POLICY", clauses: [] };
    const clauses: ast.ClusterClause[] = [];
    const add = (clause: string, ...values: ast.ClusterValue[]): void => {
      clauses.push({ name: clause, values, position });
    };
    const word = (text: string): ast.ClusterValue => ({ kind: "word", text, position });
    add("column", word(this.parens(() => this.name())));
    const action = this.oneOf<"deny" | "redact" | "mask">({
      deny: () => "deny",
      redact: () => "redact",
      mask: () => "mask",
    });
    add("action", word(action));
    if (action === "mask") {
      this.eat("with");
      add("with", word(this.name()));
    }
    if (this.accept("to")) add("to", ...this.roleSpecs().map(roleWord));
    return { ...base, command: "CREATE CLS POLICY", clauses };
  }

  /** SWEEP [DATABASE] [VERBOSE] [ANALYZE [TABLES]] | SWEEP STATUS [VERBOSE] */
  private sweep(): ast.Sweep {
    const position = this.here();
    this.eat("sweep");
    const status = this.accept("status");
    if (!status) this.accept("database");
    const verbose = this.accept("verbose");
    const analyze = !status && this.accept("analyze");
    if (analyze) this.accept("tables");
    return { kind: "sweep", status, verbose, analyze, position };
  }

  /** ALTER TABLE t MOVE SHARD s TO n | REBALANCE | SPLIT SHARD | MERGE SHARDS | ENABLE/DISABLE AUDIT .. */
  protected alterTableExtension(table: ast.QualifiedName, position: number): ast.Statement | undefined {
    const base = { kind: "cluster", name: undefined, table, ifExists: false, position } as const;
    const at = this.here();
    const clause = (name: string, ...values: ast.ClusterValue[]): ast.ClusterClause => ({
      name,
      values,
      position: at,
    });
    const shards = (...clauses: ast.ClusterClause[]): ast.Statement => ({
      ...base,
      command: "ALTER TABLE SHARDS",
      clauses,
    });
    if (this.acceptBoth("move", "shard")) {
      const shard = this.clusterValue();
      this.eat("to");
      return shards(clause("move shard", shard), clause("to", this.clusterValue()));
    }
    if (this.accept("rebalance")) return shards(clause("rebalance"));
    for (const words of [["split", "shard"] as const, ["merge", "shards"] as const]) {
      if (!this.acceptBoth(words[0], words[1])) continue;
      while (!this.isEnd()) this.SKIP_TOKEN();
      return shards(clause(words.join(" ")));
    }
    if ((this.is("enable") || this.is("disable")) && this.is("audit", 2)) {
      return { ...base, command: "ALTER TABLE AUDIT", clauses: this.auditClauses() };
    }
    return undefined;
  }

  /** ENABLE | DISABLE AUDIT { ALL | SELECT [(cols)] | INSERT | UPDATE | DELETE } [WHERE expr] */
  private auditClauses(): ast.ClusterClause[] {
    const position = this.here();
    const mode = this.label();
    this.eat("audit");
    const word = (text: string): ast.ClusterValue => ({ kind: "word", text, position });
    const what = this.oneOf<ast.ClusterValue[]>({
      all: () => [word("all")],
      select: () => [
        word("select"),
        { kind: "list", items: this.optionalNameList().map((name) => word(name)), position },
      ],
      insert: () => [word("insert")],
      update: () => [word("update")],
      delete: () => [word("delete")],
    });
    const clauses: ast.ClusterClause[] = [{ name: `${mode} audit`, values: what, position }];
    if (this.accept("where")) {
      clauses.push({
        name: "where",
        values: [{ kind: "expr", expr: this.expression(), position }],
        position,
      });
    }
    return clauses;
  }

  protected alterUserExtension(role: ast.RoleSpec | undefined, position: number): ast.Statement | undefined {
    if (!(this.is("enable") || this.is("disable")) || !this.is("audit", 2)) return undefined;
    const name = role === undefined ? undefined : role.kind === "name" ? role.name : role.kind;
    return {
      kind: "cluster",
      command: "ALTER USER AUDIT",
      name,
      table: undefined,
      ifExists: false,
      clauses: this.auditClauses(),
      position,
    };
  }
}
