/**
 * Every statement that is not a query or a table's definition: other objects, privileges, transactions, settings,
 * cursors, COPY and the utilities; and the choice between all statements by their first words.
 *
 * Invariants: a statement that PostgreSQL 15 knows never ends in a syntax error here because it is rare: what we do not
 * run is read leniently to its end and becomes `unsupported` with its name.
 */
import type * as ast from "../src/sql/ast.js";
import type { Mutable } from "./base.js";
import { TableRules } from "./tables.js";
import {
  ColumnName,
  Comma,
  Decimal,
  Dot,
  Equals,
  GrammarError,
  Identifier,
  Integer,
  LeftParen,
  Minus,
  NonReserved,
  Plus,
  RightParen,
  Semicolon,
  Star,
  StringLiteral,
  TypeOrFunctionName,
} from "./tokens.js";

const noModes: ast.TransactionModes = { reserving: [] };

/** Objects by the words that name them in DROP, COMMENT, ALTER .. RENAME; longest first where one begins another. */
const objectWords: readonly (readonly [words: readonly string[], type: ast.ObjectType])[] = [
  [["table"], "table"],
  [["index"], "index"],
  [["view"], "view"],
  [["materialized", "view"], "materializedView"],
  [["sequence"], "sequence"],
  [["foreign", "table"], "foreignTable"],
  [["foreign", "data", "wrapper"], "foreignDataWrapper"],
  [["schema"], "schema"],
  [["type"], "type"],
  [["domain"], "domain"],
  [["function"], "function"],
  [["procedure"], "procedure"],
  [["routine"], "routine"],
  [["aggregate"], "aggregate"],
  [["event", "trigger"], "eventTrigger"],
  [["trigger"], "trigger"],
  [["rule"], "rule"],
  [["policy"], "policy"],
  [["role"], "role"],
  [["user"], "role"],
  [["group"], "role"],
  [["database"], "database"],
  [["tablespace"], "tablespace"],
  [["extension"], "extension"],
  [["collation"], "collation"],
  [["conversion"], "conversion"],
  [["statistics"], "statistics"],
  [["procedural", "language"], "language"],
  [["language"], "language"],
  [["large", "object"], "largeObject"],
  [["operator", "class"], "operatorClass"],
  [["operator", "family"], "operatorFamily"],
  [["operator"], "operator"],
  [["cast"], "cast"],
  [["publication"], "publication"],
  [["subscription"], "subscription"],
  [["server"], "server"],
  [["access", "method"], "accessMethod"],
  [["transform"], "transform"],
  [["text", "search", "configuration"], "textSearchConfiguration"],
  [["text", "search", "dictionary"], "textSearchDictionary"],
  [["text", "search", "parser"], "textSearchParser"],
  [["text", "search", "template"], "textSearchTemplate"],
  [["column"], "column"],
  [["constraint"], "constraint"],
];

/** Objects whose DROP we take apart; of the others only the name is told. */
const droppable = new Set<ast.ObjectType>([
  "table",
  "index",
  "view",
  "materializedView",
  "sequence",
  "foreignTable",
  "schema",
  "type",
  "domain",
  "function",
  "procedure",
  "routine",
  "aggregate",
  "trigger",
  "rule",
  "policy",
  "role",
  "database",
  "tablespace",
  "extension",
  "collation",
  "conversion",
  "statistics",
  "language",
  "publication",
  "subscription",
  "server",
  "foreignDataWrapper",
  "eventTrigger",
  "accessMethod",
  "textSearchConfiguration",
  "textSearchDictionary",
  "textSearchParser",
  "textSearchTemplate",
]);
const routineTypes = new Set<ast.ObjectType>(["function", "procedure", "routine", "aggregate"]);
const onTableTypes = new Set<ast.ObjectType>(["trigger", "rule", "policy"]);

/** Kinds of privileges' objects in GRANT .. ON. */
const grantWords: readonly (readonly [words: readonly string[], type: ast.ObjectType])[] = [
  [["table"], "table"],
  [["sequence"], "sequence"],
  [["foreign", "data", "wrapper"], "foreignDataWrapper"],
  [["foreign", "server"], "server"],
  [["function"], "function"],
  [["procedure"], "procedure"],
  [["routine"], "routine"],
  [["database"], "database"],
  [["domain"], "domain"],
  [["language"], "language"],
  [["large", "object"], "largeObject"],
  [["parameter"], "parameter"],
  [["schema"], "schema"],
  [["tablespace"], "tablespace"],
  [["type"], "type"],
];
const allInSchema: Readonly<Record<string, ast.ObjectType>> = {
  tables: "table",
  sequences: "sequence",
  functions: "function",
  procedures: "procedure",
  routines: "routine",
};

const roleFlags: Readonly<Record<string, readonly [kind: RoleFlag, value: boolean]>> = {
  superuser: ["superuser", true],
  nosuperuser: ["superuser", false],
  createdb: ["createDb", true],
  nocreatedb: ["createDb", false],
  createrole: ["createRole", true],
  nocreaterole: ["createRole", false],
  createuser: ["createRole", true],
  nocreateuser: ["createRole", false],
  inherit: ["inherit", true],
  noinherit: ["inherit", false],
  login: ["login", true],
  nologin: ["login", false],
  replication: ["replication", true],
  noreplication: ["replication", false],
  bypassrls: ["bypassRls", true],
  nobypassrls: ["bypassRls", false],
};
type RoleFlag = "superuser" | "createDb" | "createRole" | "inherit" | "login" | "replication" | "bypassRls";

const explainable = new Set([
  "select",
  "values",
  "with",
  "table",
  "insert",
  "update",
  "delete",
  "merge",
  "declare",
  "create",
  "refresh",
  "execute",
]);

export abstract class StatementRules extends TableRules {
  /** Statements of the cluster that begin with these words, or undefined (cluster.ts). */
  protected abstract clusterStatement(): ast.Statement | undefined;

  // ------------------------------------------------------------------------------------------------------ entry points

  readonly statementRule = this.RULE("statementRule", (): ast.Statement => this.parseStatement());

  /** The one statement that `begin` was given; what follows it is a syntax error. */
  statement(): ast.Statement {
    const statement = this.statementRule();
    if (!this.isEnd()) this.fail();
    return statement;
  }

  expressionOnly(): ast.Expr {
    const expr = this.expressionRule();
    if (!this.isEnd()) this.fail();
    return expr;
  }

  /** One parenthesised row of VALUES. */
  rowOnly(): readonly ast.Expr[] {
    const row = this.valuesRowRule();
    if (!this.isEnd()) this.fail();
    return row;
  }

  private parseStatement(): ast.Statement {
    if (this.RECORDING_PHASE) return this.SUBRULE(this.queryRule);
    const token = this.peek();
    const position = token.startOffset + 1;
    switch (token.tokenType.name) {
      case "select":
      case "values":
      case "with":
      case "insert":
      case "update":
      case "delete":
      case "merge":
      case "table":
      case "LeftParen":
        return this.preparable("top");
      case "begin":
        this.SKIP_TOKEN();
        if (!this.accept("work")) this.accept("transaction");
        return { kind: "begin", start: false, modes: this.transactionModes(), position };
      case "commit":
      case "end":
        this.SKIP_TOKEN();
        if (token.value === "commit" && this.accept("prepared")) {
          return { kind: "commitPrepared", id: this.stringConstant(), position };
        }
        this.workOrTransaction();
        return { kind: "commit", chain: this.andChain(), position };
      default:
        return this.clusterStatement() ?? this.otherStatement(position);
    }
  }

  private workOrTransaction(): void {
    if (!this.accept("work")) this.accept("transaction");
  }

  private andChain(): boolean {
    if (!this.accept("and")) return false;
    const none = this.accept("no");
    this.eat("chain");
    return !none;
  }

  /** Reads to the end of the statement, whatever is there. */
  protected unsupported(feature: string, position: number): ast.UnsupportedStatement {
    if (this.RECORDING_PHASE) return { kind: "unsupported", feature, position };
    while (!this.isEnd()) this.SKIP_TOKEN();
    return { kind: "unsupported", feature, position };
  }

  private otherStatement(position: number): ast.Statement {
    return this.oneOf<ast.Statement>({
      start: () => {
        this.eat("transaction");
        return { kind: "begin", start: true, modes: this.transactionModes(), position };
      },
      rollback: () => this.rollback(position),
      abort: () => {
        this.workOrTransaction();
        return { kind: "rollback", chain: this.andChain(), position };
      },
      savepoint: () => ({ kind: "savepoint", name: this.name(), position }),
      release: () => {
        this.accept("savepoint");
        return { kind: "releaseSavepoint", name: this.name(), position };
      },
      set: () => this.set(position),
      reset: () => this.resetVariable(position),
      show: () => this.show(position),
      discard: () =>
        this.oneOf<ast.Statement>({
          all: () => ({ kind: "discard", what: "all", position }),
          plans: () => ({ kind: "discard", what: "plans", position }),
          sequences: () => ({ kind: "discard", what: "sequences", position }),
          temp: () => ({ kind: "discard", what: "temp", position }),
          temporary: () => ({ kind: "discard", what: "temp", position }),
        }),
      prepare: () => this.prepare(position),
      execute: () => {
        const name = this.name();
        const args = this.optionalParens(() => this.expressions()) ?? [];
        return { kind: "execute", name, args, position };
      },
      deallocate: () => {
        this.accept("prepare");
        return { kind: "deallocate", name: this.accept("all") ? undefined : this.name(), position };
      },
      declare: () => this.declareCursor(position),
      fetch: () => this.fetchOrMove(false, position),
      move: () => this.fetchOrMove(true, position),
      close: () => ({ kind: "close", name: this.accept("all") ? undefined : this.name(), position }),
      copy: () => this.copy(position),
      explain: () => this.explain(position),
      vacuum: () => this.vacuum(position),
      analyze: () => this.analyze(position),
      analyse: () => this.analyze(position),
      reindex: () => this.reindex(position),
      cluster: () => this.clusterTable(position),
      checkpoint: () => ({ kind: "checkpoint", position }),
      lock: () => this.lockTable(position),
      listen: () => ({ kind: "listen", channel: this.name(), position }),
      unlisten: () => ({
        kind: "unlisten",
        channel: this.acceptType(Star) ? undefined : this.name(),
        position,
      }),
      notify: () => {
        const channel = this.name();
        return {
          kind: "notify",
          channel,
          payload: this.acceptType(Comma) ? this.stringConstant() : undefined,
          position,
        };
      },
      do: () => this.doBlock(position),
      call: () => this.callProcedure(position),
      load: () => ({ kind: "load", file: this.stringConstant(), position }),
      refresh: () => {
        this.eat("materialized", "view");
        const concurrently = this.accept("concurrently");
        const name = this.qualifiedName();
        return { kind: "refreshMaterializedView", name, concurrently, withData: this.withData(), position };
      },
      truncate: () => this.truncate(position),
      comment: () => this.comment(position),
      security: () => this.unsupported("SECURITY LABEL", position),
      import: () => this.unsupported("IMPORT FOREIGN SCHEMA", position),
      reassign: () => {
        this.eat("owned", "by");
        const roles = this.roleSpecs();
        this.eat("to");
        return { kind: "reassignOwned", roles, to: this.roleSpec(), position };
      },
      grant: () => this.grant(true, position),
      revoke: () => this.grant(false, position),
      create: () => this.create(position),
      alter: () => this.alter(position),
      drop: () => this.drop(position),
    });
  }

  // ------------------------------------------------------------------------------------------------------ transactions

  private rollback(position: number): ast.Statement {
    if (this.accept("prepared")) return { kind: "rollbackPrepared", id: this.stringConstant(), position };
    this.workOrTransaction();
    if (this.accept("to")) {
      this.accept("savepoint");
      return { kind: "rollbackToSavepoint", name: this.name(), position };
    }
    return { kind: "rollback", chain: this.andChain(), position };
  }

  /** Modes with or without commas, PostgreSQL's and Firebird's (MGA-21). */
  private transactionModes(): ast.TransactionModes {
    if (this.RECORDING_PHASE || this.isEnd()) return noModes;
    const modes: Mutable<ast.TransactionModes> = { reserving: [] };
    let any = false;
    for (;;) {
      const comma = any && this.acceptType(Comma);
      if (!this.transactionMode(modes)) {
        if (comma) this.fail();
        return modes;
      }
      any = true;
    }
  }

  private transactionMode(modes: Mutable<ast.TransactionModes>): boolean {
    if (this.accept("isolation", "level")) {
      modes.isolation = this.isolationLevel();
      return true;
    }
    if (this.accept("deferrable")) modes.deferrable = true;
    else if (this.accept("not", "deferrable")) modes.deferrable = false;
    else if (this.accept("wait")) modes.wait = true;
    else if (this.accept("no", "wait")) modes.wait = false;
    else if (this.accept("lock", "timeout")) modes.lockTimeoutSeconds = this.integerConstant();
    else if (this.accept("reserving")) modes.reserving = this.reserving();
    else if (this.is("snapshot") && !this.isType(StringLiteral, 2)) modes.isolation = this.isolationLevel();
    else if (this.accept("read")) this.readMode(modes);
    else return false;
    return true;
  }

  /** After READ: ONLY, WRITE, or Firebird's COMMITTED [variant]. */
  private readMode(modes: Mutable<ast.TransactionModes>): void {
    if (this.accept("only")) modes.readOnly = true;
    else if (this.accept("write")) modes.readOnly = false;
    else {
      this.eat("committed");
      modes.isolation = "readCommitted";
      if (this.acceptBoth("read", "consistency")) modes.readCommittedVariant = "readConsistency";
      else if (this.accept("record_version")) modes.readCommittedVariant = "recordVersion";
      else if (this.acceptBoth("no", "record_version")) modes.readCommittedVariant = "noRecordVersion";
    }
  }

  private isolationLevel(): NonNullable<ast.TransactionModes["isolation"]> {
    return this.oneOf<NonNullable<ast.TransactionModes["isolation"]>>({
      serializable: () => "serializable",
      repeatable: () => {
        this.eat("read");
        return "repeatableRead";
      },
      read: () =>
        this.oneOf<"readCommitted" | "readUncommitted">({
          committed: () => "readCommitted",
          uncommitted: () => "readUncommitted",
        }),
      snapshot: () => {
        if (!this.accept("table")) return "snapshot";
        this.eat("stability");
        return "snapshotTableStability";
      },
    });
  }

  /** RESERVING t, u FOR [SHARED | PROTECTED] READ | WRITE, v FOR .. */
  private reserving(): ast.TransactionModes["reserving"] {
    return this.list(() => {
      const tables = [this.qualifiedName()];
      while (this.acceptType(Comma)) tables.push(this.qualifiedName());
      this.eat("for");
      const isProtected = this.accept("protected");
      if (!isProtected) this.accept("shared");
      const write = this.accept("write") || (this.eat("read"), false);
      return { tables, protected: isProtected, write };
    });
  }

  // ---------------------------------------------------------------------------------------------------------- settings

  private set(position: number): ast.Statement {
    if (this.accept("constraints")) {
      const constraints = this.accept("all") ? [] : this.qualifiedNames();
      const deferred = this.accept("deferred") || (this.eat("immediate"), false);
      return { kind: "setConstraints", constraints, deferred, position };
    }
    if (this.is("session") && this.is("characteristics", 2)) {
      this.eat("session", "characteristics", "as", "transaction");
      return this.requireModes({
        kind: "setTransaction",
        session: true,
        modes: this.transactionModes(),
        position,
      });
    }
    if (this.is("transaction") && !this.isType(Equals, 2) && !this.is("to", 2)) {
      this.SKIP_TOKEN();
      if (this.is("snapshot") && this.isType(StringLiteral, 2)) {
        this.SKIP_TOKEN();
        return { kind: "setTransactionSnapshot", id: this.stringConstant(), position };
      }
      return this.requireModes({
        kind: "setTransaction",
        session: false,
        modes: this.transactionModes(),
        position,
      });
    }
    return this.setVariable(position);
  }

  private requireModes(statement: ast.SetTransaction): ast.SetTransaction {
    if (statement.modes === noModes || this.LA(0).tokenType.name === "transaction") this.impossible();
    return statement;
  }

  /** After SET: [LOCAL | SESSION] variable. */
  protected setVariable(position: number): ast.SetVariable {
    let local = false;
    if (this.is("local") && !this.isType(Equals, 2) && !this.is("to", 2) && !this.isType(Dot, 2)) {
      this.SKIP_TOKEN();
      local = true;
    } else if (
      this.is("session") &&
      !this.is("authorization", 2) &&
      !this.isType(Equals, 2) &&
      !this.is("to", 2) &&
      !this.isType(Dot, 2)
    ) {
      this.SKIP_TOKEN();
    }
    return this.setRest(local, position);
  }

  private setRest(local: boolean, position: number): ast.SetVariable {
    const base = { kind: "set", local, position } as const;
    if (this.is("time") && this.is("zone", 2)) {
      this.eat("time", "zone");
      return { ...base, name: "timezone", values: this.timeZoneValue() };
    }
    if (this.is("session") && this.is("authorization", 2)) {
      this.eat("session", "authorization");
      return { ...base, name: "session_authorization", values: this.defaultOrWord() };
    }
    const follows = this.isType(Equals, 2) || this.is("to", 2) || this.isType(Dot, 2);
    if (!follows && !(this.is("from", 2) && this.is("current", 3))) {
      if (this.accept("names")) {
        const values = this.isEnd() ? undefined : this.defaultOrWord();
        return { ...base, name: "client_encoding", values };
      }
      if (this.accept("role")) return { ...base, name: "role", values: this.defaultOrWord(true) };
      if (this.accept("schema")) {
        const at = this.here();
        return {
          ...base,
          name: "search_path",
          values: [{ kind: "string", text: this.stringConstant(), position: at }],
        };
      }
      if (this.accept("catalog")) {
        this.stringConstant();
        throw new GrammarError("featureNotSupported", "current database cannot be changed", position - 1);
      }
      if (this.is("xml") && this.is("option", 2)) {
        this.eat("xml", "option");
        const at = this.here();
        const text = this.accept("document") ? "DOCUMENT" : (this.eat("content"), "CONTENT");
        return { ...base, name: "xmloption", values: [{ kind: "word", text, position: at }] };
      }
    }
    const name = this.variableName();
    if (this.accept("from", "current")) return { ...base, name, fromCurrent: true };
    if (!this.acceptType(Equals)) this.eat("to");
    if (this.accept("default")) return { ...base, name, values: undefined };
    return { ...base, name, values: this.list(() => this.settingValue()) };
  }

  private variableName(): string {
    let name = this.name();
    while (this.acceptType(Dot)) name += `.${this.name()}`;
    return name;
  }

  private settingValue(): ast.SettingValue {
    const token = this.peek();
    const position = token.startOffset + 1;
    if (token.tokenType === StringLiteral) return { kind: "string", text: this.stringConstant(), position };
    if ([Integer, Decimal, Minus, Plus].includes(token.tokenType)) {
      return { kind: "number", text: this.signedNumber(), position };
    }
    // opt_boolean_or_string: TRUE, FALSE, ON and any word that is not reserved.
    if (this.is("true") || this.is("false") || this.is("on") || this.fits(NonReserved)) {
      return { kind: "word", text: this.label(), position };
    }
    return this.impossible();
  }

  private defaultOrWord(noneToo = false): ast.SettingValue[] | undefined {
    if (this.accept("default"))
      return noneToo ? [{ kind: "word", text: "none", position: this.here() }] : undefined;
    const token = this.peek();
    const position = token.startOffset + 1;
    if (token.tokenType === StringLiteral) return [{ kind: "string", text: this.stringConstant(), position }];
    return [{ kind: "word", text: this.eatType(NonReserved).value, position }];
  }

  private timeZoneValue(): ast.SettingValue[] | undefined {
    const token = this.peek();
    const position = token.startOffset + 1;
    if (this.accept("default") || this.accept("local")) return undefined;
    if (token.tokenType === StringLiteral) return [{ kind: "string", text: this.stringConstant(), position }];
    if ([Integer, Decimal, Minus, Plus].includes(token.tokenType)) {
      return [{ kind: "number", text: this.signedNumber(), position }];
    }
    if (this.accept("interval")) {
      if (this.isType(LeftParen)) this.parens(() => this.integerConstant());
      const text = this.stringConstant();
      const fields = this.optionalIntervalFields()?.fields;
      if (fields !== undefined && fields !== "hour" && fields !== "hour to minute") {
        throw new GrammarError(
          "syntaxError",
          "time zone interval must be HOUR or HOUR TO MINUTE",
          position - 1,
        );
      }
      return [{ kind: "interval", text, fields, position }];
    }
    return [{ kind: "word", text: this.eatType(ColumnName).value, position }];
  }

  private resetVariable(position: number): ast.ResetVariable {
    if (this.accept("all")) return { kind: "reset", name: undefined, position };
    return { kind: "reset", name: this.settingName(), position };
  }

  private show(position: number): ast.ShowVariable {
    if (this.accept("all")) return { kind: "show", name: undefined, position };
    return { kind: "show", name: this.settingName(), position };
  }

  /** A variable's name, or the words that stand for one. */
  private settingName(): string {
    if (this.is("time") && this.is("zone", 2)) {
      this.eat("time", "zone");
      return "timezone";
    }
    if (this.is("transaction") && this.is("isolation", 2)) {
      this.eat("transaction", "isolation", "level");
      return "transaction_isolation";
    }
    if (this.is("session") && this.is("authorization", 2)) {
      this.eat("session", "authorization");
      return "session_authorization";
    }
    return this.variableName();
  }

  // --------------------------------------------------------------------------------------- prepared statements, cursors

  private prepare(position: number): ast.Statement {
    if (this.is("transaction") && this.isType(StringLiteral, 2)) {
      this.eat("transaction");
      return { kind: "prepareTransaction", id: this.stringConstant(), position };
    }
    const name = this.name();
    const parameterTypes = this.optionalParens(() => this.list(() => this.typeName())) ?? [];
    this.eat("as");
    const statementStart = this.peek().startOffset;
    const statement = this.preparable("top");
    return {
      kind: "prepare",
      name,
      parameterTypes,
      statement,
      statementStart,
      statementEnd: this.lastEnd(),
      position,
    };
  }

  private declareCursor(position: number): ast.DeclareCursor {
    const name = this.name();
    let binary = false;
    let sensitivity: ast.DeclareCursor["sensitivity"];
    let scroll: boolean | undefined;
    for (;;) {
      if (this.accept("binary")) binary = true;
      else if (this.accept("insensitive")) sensitivity = "insensitive";
      else if (this.accept("asensitive")) sensitivity = "asensitive";
      else if (this.accept("scroll")) scroll = true;
      else if (this.accept("no", "scroll")) scroll = false;
      else break;
      if (this.RECORDING_PHASE) break;
    }
    this.eat("cursor");
    let hold = false;
    if (this.accept("with", "hold")) hold = true;
    else this.accept("without", "hold");
    this.eat("for");
    return {
      kind: "declareCursor",
      name,
      binary,
      sensitivity,
      scroll,
      hold,
      query: this.parseQuery(),
      position,
    };
  }

  private fetchOrMove(move: boolean, position: number): ast.Fetch {
    let direction: ast.Fetch["direction"] = "forward";
    let count: number | undefined = 1;
    // A word below is a direction unless it is itself the cursor's name.
    const named = this.LA(2).tokenType.name === "EOF";
    const signed = (): boolean => this.isType(Integer) || this.isType(Minus) || this.isType(Plus);
    if (!named) {
      if (this.accept("next")) count = 1;
      else if (this.accept("prior")) direction = "backward";
      else if (this.accept("first")) direction = "absolute";
      else if (this.accept("last")) {
        direction = "absolute";
        count = -1;
      } else if (this.is("absolute") || this.is("relative")) {
        direction = this.label() as "absolute" | "relative";
        count = this.signedInteger();
      } else if (signed()) count = this.signedInteger();
      else if (this.accept("all")) count = undefined;
      else if (this.is("forward") || this.is("backward")) {
        direction = this.label() as "forward" | "backward";
        if (signed()) count = this.signedInteger();
        else if (this.accept("all")) count = undefined;
      }
    }
    if (!this.accept("from")) this.accept("in");
    return { kind: "fetch", move, cursor: this.name(), direction, count, position };
  }

  // -------------------------------------------------------------------------------------------------------------- COPY

  private copy(position: number): ast.Copy {
    const options: ast.Option[] = [];
    const option = (name: string, value: ast.OptionValue | undefined, at: number): void => {
      options.push({ name, value, position: at });
    };
    const word = (text: string, at: number): ast.OptionValue => ({ kind: "word", text, position: at });
    let table: ast.QualifiedName | undefined;
    let columns: string[] = [];
    let query: ast.Copy["query"];
    if (this.isType(LeftParen)) {
      this.SKIP_TOKEN();
      query = this.preparable("cte") as ast.Copy["query"];
      this.eatType(RightParen);
    } else {
      const at = this.here();
      if (this.is("binary") && this.fits(ColumnName, 2)) {
        this.SKIP_TOKEN();
        option("format", word("binary", at), at);
      }
      table = this.qualifiedName();
      columns = this.optionalNameList();
    }
    const from = query === undefined && this.accept("from");
    if (!from) this.eat("to");
    const at = this.here();
    const program = this.accept("program");
    let target: ast.Copy["target"];
    if (program) target = { kind: "program", path: this.stringConstant() };
    else if (this.is("stdin") || this.is("stdout")) {
      this.SKIP_TOKEN();
      target = { kind: "std" };
    } else target = { kind: "file", path: this.stringConstant() };
    if (program && this.RECORDING_PHASE) option("program", undefined, at);
    if (this.is("using") && this.is("delimiters", 2)) {
      const start = this.here();
      this.eat("using", "delimiters");
      option("delimiter", { kind: "string", text: this.stringConstant(), position: start }, start);
    }
    this.accept("with");
    if (this.isType(LeftParen)) options.push(...this.copyOptionList());
    else this.oldCopyOptions(option, word);
    const where = this.is("where") && from ? (this.eat("where"), this.expression()) : undefined;
    if (this.is("where") && !from) {
      throw new GrammarError("syntaxError", "WHERE clause not allowed with COPY TO", this.here() - 1);
    }
    return { kind: "copy", table, columns, query, from, target, options, where, position };
  }

  /** ( name [value | * | (list)], .. ) */
  private copyOptionList(): ast.Option[] {
    return this.parens(() =>
      this.list(() => {
        const position = this.here();
        const name = this.label();
        return { name, value: this.copyOptionValue(), position };
      }),
    );
  }

  private copyOptionValue(): ast.OptionValue | undefined {
    const position = this.here();
    if (this.RECORDING_PHASE || this.isType(Comma) || this.isType(RightParen)) return undefined;
    if (this.acceptType(Star)) return { kind: "star", position };
    if (this.isType(LeftParen)) {
      const items = this.parens(() =>
        this.list(() => {
          const value = this.settingValue();
          return {
            kind: value.kind === "interval" ? "word" : value.kind,
            text: value.text,
            position: value.position,
          };
        }),
      ) as ast.OptionValue[];
      return { kind: "list", items, position };
    }
    if (this.is("true") || this.is("false")) {
      return { kind: "boolean", value: this.label() === "true", position };
    }
    const value = this.settingValue();
    return value.kind === "interval" ? undefined : value;
  }

  private oldCopyOptions(
    option: (name: string, value: ast.OptionValue | undefined, at: number) => void,
    word: (text: string, at: number) => ast.OptionValue,
  ): void {
    if (this.RECORDING_PHASE) return;
    const columnsOrStar = (): ast.OptionValue => {
      const at = this.here();
      if (this.acceptType(Star)) return { kind: "star", position: at };
      return { kind: "list", items: this.names().map((name) => word(name, at)), position: at };
    };
    for (;;) {
      const at = this.here();
      const string = (): ast.OptionValue => {
        this.accept("as");
        const start = this.here();
        return { kind: "string", text: this.stringConstant(), position: start };
      };
      if (this.accept("binary")) option("format", word("binary", at), at);
      else if (this.accept("freeze")) option("freeze", { kind: "boolean", value: true, position: at }, at);
      else if (this.accept("delimiter")) option("delimiter", string(), at);
      else if (this.accept("null")) option("null", string(), at);
      else if (this.accept("csv")) option("format", word("csv", at), at);
      else if (this.accept("header")) option("header", { kind: "boolean", value: true, position: at }, at);
      else if (this.accept("quote")) option("quote", string(), at);
      else if (this.accept("escape")) option("escape", string(), at);
      else if (this.accept("encoding")) option("encoding", string(), at);
      else if (this.accept("force")) {
        if (this.accept("quote")) option("force_quote", columnsOrStar(), at);
        else if (this.accept("not", "null")) option("force_not_null", columnsOrStar(), at);
        else {
          this.eat("null");
          option("force_null", columnsOrStar(), at);
        }
      } else return;
    }
  }

  // ---------------------------------------------------------------------------------------------------------- utilities

  private explain(position: number): ast.Explain {
    const options: ast.Option[] = [];
    if (this.isType(LeftParen) && !this.startsQuery()) {
      options.push(...this.utilityOptions());
    } else {
      const at = this.here();
      if (this.accept("analyze") || this.accept("analyse")) options.push({ name: "analyze", position: at });
      const verboseAt = this.here();
      if (this.accept("verbose")) options.push({ name: "verbose", position: verboseAt });
    }
    if (!this.RECORDING_PHASE && !this.isAny(explainable) && !this.isType(LeftParen)) this.fail();
    const statement = this.parseStatement();
    return { kind: "explain", options, statement, position };
  }

  /** ( name [value], .. ) of EXPLAIN, VACUUM, ANALYZE, REINDEX, CLUSTER. */
  private utilityOptions(): ast.Option[] {
    return this.parens(() =>
      this.list(() => {
        const position = this.here();
        const token = this.peek();
        const name =
          token.tokenType.name === "analyze" || token.tokenType.name === "analyse"
            ? (this.SKIP_TOKEN(), "analyze")
            : this.eatType(NonReserved).value;
        let value: ast.OptionValue | undefined;
        if (!this.isType(Comma) && !this.isType(RightParen)) {
          const given = this.settingValue();
          value = given.kind === "interval" ? undefined : given;
        }
        return { name, value, position };
      }),
    );
  }

  private vacuum(position: number): ast.Vacuum {
    let options: ast.Option[] = [];
    if (this.isType(LeftParen)) options = this.utilityOptions();
    else {
      for (const name of ["full", "freeze", "verbose"]) {
        const at = this.here();
        if (this.accept(name)) options.push({ name, position: at });
      }
      const at = this.here();
      if (this.accept("analyze") || this.accept("analyse")) options.push({ name: "analyze", position: at });
    }
    return { kind: "vacuum", options, targets: this.vacuumTargets(), position };
  }

  private analyze(position: number): ast.Vacuum {
    let options: ast.Option[] = [];
    const at = this.here();
    if (this.isType(LeftParen)) options = this.utilityOptions();
    else if (this.accept("verbose")) options.push({ name: "verbose", position: at });
    return { kind: "analyze", options, targets: this.vacuumTargets(), position };
  }

  private vacuumTargets(): ast.Vacuum["targets"] {
    if (this.isEnd()) return [];
    return this.list(() => ({ table: this.qualifiedName(), columns: this.optionalNameList() }));
  }

  private reindex(position: number): ast.Reindex {
    const options = this.isType(LeftParen) ? this.utilityOptions() : [];
    const target = this.oneOf<ast.Reindex["target"]>({
      index: () => "index",
      table: () => "table",
      schema: () => "schema",
      system: () => "system",
      database: () => "database",
    });
    const concurrently = this.accept("concurrently");
    return { kind: "reindex", target, name: this.qualifiedName(), concurrently, options, position };
  }

  private clusterTable(position: number): ast.ClusterTable {
    const at = this.here();
    let options: ast.Option[] = [];
    if (this.isType(LeftParen)) options = this.utilityOptions();
    else if (this.accept("verbose")) options.push({ name: "verbose", position: at });
    if (this.isEnd()) return { kind: "clusterTable", options, position };
    const first = this.qualifiedName();
    // The old order: CLUSTER index ON table.
    if (this.accept("on")) {
      return { kind: "clusterTable", table: this.qualifiedName(), index: first.name, options, position };
    }
    const index = this.accept("using") ? this.name() : undefined;
    return { kind: "clusterTable", table: first, index, options, position };
  }

  private lockTable(position: number): ast.LockTable {
    this.accept("table");
    const tables = this.list(() => this.relation("none"));
    let mode: ast.LockTable["mode"] = "accessExclusive";
    if (this.accept("in")) {
      mode = this.oneOf<ast.LockTable["mode"]>({
        access: () => (this.accept("share") ? "accessShare" : (this.eat("exclusive"), "accessExclusive")),
        row: () => (this.accept("share") ? "rowShare" : (this.eat("exclusive"), "rowExclusive")),
        share: () => {
          if (this.accept("update")) {
            this.eat("exclusive");
            return "shareUpdateExclusive";
          }
          if (!this.accept("row")) return "share";
          this.eat("exclusive");
          return "shareRowExclusive";
        },
        exclusive: () => "exclusive",
      });
      this.eat("mode");
    }
    return { kind: "lockTable", tables, mode, noWait: this.accept("nowait"), position };
  }

  private doBlock(position: number): ast.Do {
    let body: string | undefined;
    let language: string | undefined;
    do {
      if (this.accept("language")) language = this.wordOrString();
      else body = this.stringConstant();
    } while (!this.RECORDING_PHASE && !this.isEnd());
    if (body === undefined) throw new GrammarError("syntaxError", "no inline code specified", undefined);
    return { kind: "do", body, language, position };
  }

  protected wordOrString(): string {
    return this.isType(StringLiteral) ? this.stringConstant() : this.eatType(NonReserved).value;
  }

  private callProcedure(position: number): ast.Call {
    if (this.RECORDING_PHASE) this.eatType(TypeOrFunctionName);
    const expr = this.RECORDING_PHASE ? undefined : this.parsePrimary();
    if (expr?.kind !== "call" || expr.over !== undefined) return this.impossible();
    return { kind: "callProcedure", call: expr, position };
  }

  private truncate(position: number): ast.Truncate {
    this.accept("table");
    const tables = this.list(() => this.relation("none"));
    const restartIdentity = this.accept("restart", "identity");
    if (!restartIdentity) this.accept("continue", "identity");
    return { kind: "truncate", tables, restartIdentity, cascade: this.cascade(), position };
  }

  // -------------------------------------------------------------------------------------------------------------- roles

  protected roleSpec(): ast.RoleSpec {
    const token = this.peek();
    const position = token.startOffset + 1;
    switch (token.tokenType.name) {
      case "current_user":
        this.SKIP_TOKEN();
        return { kind: "currentUser", position };
      case "current_role":
        this.SKIP_TOKEN();
        return { kind: "currentRole", position };
      case "session_user":
        this.SKIP_TOKEN();
        return { kind: "sessionUser", position };
      default:
    }
    const name = this.eatType(NonReserved);
    if (name.value === "public" && !name.quoted) return { kind: "public", position };
    if (name.value === "none") {
      throw new GrammarError("reservedName", 'role name "none" is reserved', position - 1);
    }
    return { kind: "name", name: name.value, position };
  }

  protected roleSpecs(): ast.RoleSpec[] {
    return this.list(() => this.roleSpec());
  }

  private roleOptions(): ast.RoleOption[] {
    const options: ast.RoleOption[] = [];
    if (this.RECORDING_PHASE) return options;
    this.accept("with");
    for (let option = this.roleOption(); option !== undefined; option = this.roleOption())
      options.push(option);
    return options;
  }

  private roleOption(): ast.RoleOption | undefined {
    const token = this.peek();
    const position = token.startOffset + 1;
    if (this.isEnd()) return undefined;
    const flag = token.quoted || token.tokenType === StringLiteral ? undefined : roleFlags[token.value];
    if (flag !== undefined) {
      this.SKIP_TOKEN();
      return { kind: flag[0], value: flag[1], position };
    }
    return this.oneOf<ast.RoleOption>(
      {
        password: () => ({
          kind: "password",
          password: this.accept("null") ? undefined : this.stringConstant(),
          position,
        }),
        encrypted: () => {
          this.eat("password");
          return { kind: "password", password: this.stringConstant(), position };
        },
        unencrypted: () => {
          this.eat("password");
          this.stringConstant();
          throw new GrammarError(
            "featureNotSupported",
            "UNENCRYPTED PASSWORD is no longer supported",
            position - 1,
          );
        },
        connection: () => {
          this.eat("limit");
          return { kind: "connectionLimit", limit: this.signedInteger(), position };
        },
        valid: () => {
          this.eat("until");
          return { kind: "validUntil", timestamp: this.stringConstant(), position };
        },
        in: () => {
          if (!this.accept("role")) this.eat("group");
          return { kind: "inRole", roles: this.roleSpecs(), position };
        },
        role: () => ({ kind: "role", roles: this.roleSpecs(), position }),
        user: () => ({ kind: "role", roles: this.roleSpecs(), position }),
        admin: () => ({ kind: "admin", roles: this.roleSpecs(), position }),
        sysid: () => ({ kind: "sysId", id: this.integerConstant(), position }),
      },
      () => {
        if (token.tokenType !== Identifier) return this.fail();
        throw new GrammarError("syntaxError", `unrecognized role option "${token.value}"`, position - 1);
      },
    );
  }

  // --------------------------------------------------------------------------------------------------------- privileges

  private grant(grant: boolean, position: number): ast.Statement {
    let option = false;
    if (!grant) {
      if (this.is("grant") && this.is("option", 2)) {
        this.eat("grant", "option", "for");
        option = true;
      } else if (this.is("admin") && this.is("option", 2)) {
        this.eat("admin", "option", "for");
        option = true;
      }
    }
    const privileges = this.privileges();
    if (!this.is("on")) {
      // GRANT role TO role.
      this.eat(grant ? "to" : "from");
      const grantees = this.roleSpecs();
      const adminOption = grant ? this.accept("with", "admin", "option") : option;
      const grantedBy = this.accept("granted", "by") ? this.roleSpec() : undefined;
      const cascade = grant ? false : this.cascade();
      return {
        kind: "grantRole",
        grant,
        roles: privileges,
        grantees,
        adminOption,
        grantedBy,
        cascade,
        position,
      };
    }
    this.eat("on");
    const target = this.grantTarget();
    const rest = this.grantRest(grant, option);
    return { kind: "grant", grant, privileges, ...target, ...rest, position };
  }

  private grantRest(grant: boolean, option: boolean) {
    this.eat(grant ? "to" : "from");
    const grantees = this.list(() => {
      this.accept("group");
      return this.roleSpec();
    });
    const grantOption = grant ? this.accept("with", "grant", "option") : option;
    const grantedBy = this.accept("granted", "by") ? this.roleSpec() : undefined;
    return { grantees, grantOption, grantedBy, cascade: grant ? false : this.cascade() };
  }

  /** ALL [PRIVILEGES] [(columns)], or names of one or more words with columns. */
  private privileges(): ast.Privilege[] {
    const position = this.here();
    if (this.accept("all")) {
      this.accept("privileges");
      return [{ name: undefined, columns: this.optionalNameList(), position }];
    }
    return this.list(() => {
      const at = this.here();
      if (this.is("alter") && this.is("system", 2)) {
        this.eat("alter", "system");
        return { name: "alter system", columns: [], position: at };
      }
      const reserved = this.is("select") || this.is("references") || this.is("create");
      let name = reserved ? this.label() : this.eatType(NonReserved).value;
      // Cluster privileges have several words: CREATE JOB, VIEW JOB HISTORY, EXECUTE EXTERNAL JOB.
      while (!this.RECORDING_PHASE && (this.is("job") || this.is("history") || this.is("external"))) {
        name += ` ${this.label()}`;
      }
      return { name, columns: this.optionalNameList(), position: at };
    });
  }

  private grantTarget(): {
    objectType: ast.ObjectType;
    objects: readonly ast.ObjectName[];
    allInSchemas: readonly string[];
  } {
    if (this.is("cluster") && (this.is("to", 2) || this.is("from", 2))) {
      this.SKIP_TOKEN();
      return { objectType: "cluster", objects: [], allInSchemas: [] };
    }
    if (this.is("job") && this.fits(ColumnName, 2)) {
      this.SKIP_TOKEN();
      return { objectType: "job", objects: this.objectNames("job"), allInSchemas: [] };
    }
    if (this.is("all")) {
      this.SKIP_TOKEN();
      const objectType = this.oneOf<ast.ObjectType>(
        Object.fromEntries(Object.entries(allInSchema).map(([word, type]) => [word, () => type])),
      );
      this.eat("in", "schema");
      return { objectType, objects: [], allInSchemas: this.names() };
    }
    // `ON sequence TO x` is a table of that name.
    const nameOnly = this.is("to", 2) || this.is("from", 2) || this.isType(Comma, 2) || this.isType(Dot, 2);
    const objectType = nameOnly ? "table" : (this.objectType(grantWords) ?? "table");
    return { objectType, objects: this.objectNames(objectType), allInSchemas: [] };
  }

  private objectNames(type: ast.ObjectType): ast.ObjectName[] {
    return this.list((): ast.ObjectName => {
      if (type === "largeObject") {
        const position = this.here();
        return { name: { name: this.signedNumber(), position } };
      }
      if (type === "parameter") {
        const position = this.here();
        return { name: { name: this.variableName(), position } };
      }
      if (routineTypes.has(type)) return this.routineName();
      return { name: this.qualifiedName() };
    });
  }

  /** The type of object named by the next words, which are consumed. */
  private objectType(
    words: readonly (readonly [words: readonly string[], type: ast.ObjectType])[],
  ): ast.ObjectType | undefined {
    if (this.RECORDING_PHASE) return undefined;
    for (const [phrase, type] of words) {
      if (!phrase.every((word, index) => this.is(word, index + 1))) continue;
      this.eat(...phrase);
      return type;
    }
    return undefined;
  }

  /** name [( [mode] [argname] type, .. | * )] */
  protected routineName(): ast.ObjectName {
    const name = this.routineIdentifier();
    if (this.RECORDING_PHASE || !this.isType(LeftParen)) return { name };
    const args: ast.TypeName[] = [];
    this.SKIP_TOKEN();
    if (!this.acceptType(RightParen)) {
      if (!this.acceptType(Star)) {
        do {
          if (this.is("order") && this.is("by", 2)) this.eat("order", "by");
          const parameter = this.functionParameter(false);
          if (parameter.mode === "in" || parameter.mode === "inout" || parameter.mode === "variadic") {
            args.push(parameter.type);
          }
        } while (this.acceptType(Comma) || this.is("order"));
      }
      this.eatType(RightParen);
    }
    return { name, args };
  }

  /** func_name: unqualified it may be a type_function_name. */
  private routineIdentifier(): ast.QualifiedName {
    const first = this.peek();
    if (this.isType(Dot, 2)) return this.qualifiedName();
    const name = this.fits(TypeOrFunctionName) ? this.eatType(TypeOrFunctionName) : this.eatType(ColumnName);
    return { name: name.value, position: first.startOffset + 1 };
  }

  private alterDefaultPrivileges(position: number): ast.AlterDefaultPrivileges {
    let roles: ast.RoleSpec[] = [];
    let schemas: string[] = [];
    for (;;) {
      if (this.accept("in", "schema")) schemas = this.names();
      else if (this.accept("for")) {
        if (!this.accept("role")) this.eat("user");
        roles = this.roleSpecs();
      } else break;
      if (this.RECORDING_PHASE) break;
    }
    const at = this.here();
    const grant = this.accept("grant") || (this.eat("revoke"), false);
    const option = !grant && this.accept("grant", "option", "for");
    const privileges = this.privileges();
    this.eat("on");
    const objectType = this.oneOf<ast.ObjectType>({
      tables: () => "table",
      functions: () => "function",
      routines: () => "function",
      sequences: () => "sequence",
      types: () => "type",
      schemas: () => "schema",
    });
    const rest = this.grantRest(grant, option);
    const inner: ast.Grant = {
      kind: "grant",
      grant,
      privileges,
      objectType,
      objects: [],
      allInSchemas: [],
      ...rest,
      position: at,
    };
    return { kind: "alterDefaultPrivileges", roles, schemas, grant: inner, position };
  }

  // ------------------------------------------------------------------------------------------------------------- CREATE

  private create(position: number): ast.Statement {
    let orReplace = false;
    if (this.accept("or")) {
      this.eat("replace");
      orReplace = true;
    }
    const persistence = this.persistence();
    if (persistence !== "permanent" || orReplace)
      return this.createReplaceable(orReplace, persistence, position);
    return this.oneOf<ast.Statement>(
      {
        table: () => this.createTable("permanent", position),
        unique: () => {
          this.eat("index");
          return this.createIndex(true, position);
        },
        index: () => this.createIndex(false, position),
        schema: () => this.createSchema(position),
        sequence: () => this.createSequence("permanent", position),
        type: () => this.createType(position),
        domain: () => this.createDomain(position),
        role: () => this.createRole("role", position),
        user: () => {
          if (this.accept("mapping")) return this.unsupported("CREATE USER MAPPING", position);
          return this.createRole("user", position);
        },
        group: () => this.createRole("group", position),
        database: () => this.createDatabase(position),
        extension: () => this.createExtension(position),
        policy: () => this.createPolicy(position),
        materialized: () => this.createMaterializedView("permanent", position),
        foreign: () =>
          this.unsupported(
            this.accept("table") ? "CREATE FOREIGN TABLE" : "CREATE FOREIGN DATA WRAPPER",
            position,
          ),
        operator: () =>
          this.unsupported(
            this.is("class")
              ? "CREATE OPERATOR CLASS"
              : this.is("family")
                ? "CREATE OPERATOR FAMILY"
                : "CREATE OPERATOR",
            position,
          ),
        cast: () => this.unsupported("CREATE CAST", position),
        collation: () => this.unsupported("CREATE COLLATION", position),
        conversion: () => this.unsupported("CREATE CONVERSION", position),
        default: () => {
          this.eat("conversion");
          return this.unsupported("CREATE CONVERSION", position);
        },
        tablespace: () => this.unsupported("CREATE TABLESPACE", position),
        publication: () => this.unsupported("CREATE PUBLICATION", position),
        subscription: () => this.unsupported("CREATE SUBSCRIPTION", position),
        server: () => this.unsupported("CREATE SERVER", position),
        statistics: () => this.unsupported("CREATE STATISTICS", position),
        event: () => {
          this.eat("trigger");
          return this.unsupported("CREATE EVENT TRIGGER", position);
        },
        access: () => {
          this.eat("method");
          return this.unsupported("CREATE ACCESS METHOD", position);
        },
        text: () => {
          this.eat("search");
          return this.unsupported("CREATE TEXT SEARCH", position);
        },
        assertion: () => this.unsupported("CREATE ASSERTION", position),
      },
      () => this.createReplaceable(false, "permanent", position),
    );
  }

  /** What may follow CREATE OR REPLACE, or CREATE TEMP / UNLOGGED. */
  private createReplaceable(orReplace: boolean, before: ast.Persistence, position: number): ast.Statement {
    const persistence = before === "permanent" ? this.persistence() : before;
    if (persistence !== "permanent" && !orReplace) {
      if (this.accept("table")) return this.createTable(persistence, position);
      if (this.accept("sequence")) return this.createSequence(persistence, position);
      if (persistence === "unlogged" && this.accept("materialized")) {
        return this.createMaterializedView(persistence, position);
      }
    }
    const view = (recursive: boolean): ast.Statement =>
      this.createView(orReplace, recursive, persistence, position);
    if (this.accept("recursive")) {
      this.eat("view");
      return view(true);
    }
    if (this.accept("view")) return view(false);
    if (persistence !== "permanent") return this.impossible();
    return this.oneOf<ast.Statement>({
      function: () => this.createFunction(false, orReplace, position),
      procedure: () => this.createFunction(true, orReplace, position),
      trigger: () => this.createTrigger(orReplace, false, position),
      constraint: () => {
        this.eat("trigger");
        return this.createTrigger(orReplace, true, position);
      },
      rule: () => this.unsupported("CREATE RULE", position),
      aggregate: () => this.unsupported("CREATE AGGREGATE", position),
      trusted: () => this.unsupported("CREATE LANGUAGE", position),
      procedural: () => this.unsupported("CREATE LANGUAGE", position),
      language: () => this.unsupported("CREATE LANGUAGE", position),
      transform: () => this.unsupported("CREATE TRANSFORM", position),
    });
  }

  private createSchema(position: number): ast.CreateSchema {
    const ifNotExists = this.ifNotExists();
    let name: string | undefined;
    if (!this.is("authorization")) name = this.name();
    const owner = this.when("authorization", () => this.roleSpec());
    if (name === undefined && owner === undefined) this.impossible();
    const elements: ast.Statement[] = [];
    while (!this.RECORDING_PHASE && (this.is("create") || this.is("grant"))) {
      if (ifNotExists) {
        throw new GrammarError(
          "featureNotSupported",
          "CREATE SCHEMA IF NOT EXISTS cannot include schema elements",
          this.here() - 1,
        );
      }
      const at = this.here();
      const isCreate = this.label() === "create";
      elements.push(isCreate ? this.create(at) : this.grant(true, at));
    }
    return { kind: "createSchema", name, ifNotExists, owner, elements, position };
  }

  private createView(
    orReplace: boolean,
    recursive: boolean,
    persistence: ast.Persistence,
    position: number,
  ): ast.CreateView {
    const name = this.qualifiedName();
    const columns = recursive ? this.nameList() : this.optionalNameList();
    const options = this.withOptions();
    this.eat("as");
    const queryStart = this.peek().startOffset;
    const query = this.parseQuery();
    const queryEnd = this.lastEnd();
    const checkOption = this.when("with", () => {
      const kind = this.accept("local") ? "local" : (this.accept("cascaded"), "cascaded");
      this.eat("check", "option");
      return kind as "local" | "cascaded";
    });
    return {
      kind: "createView",
      name,
      orReplace,
      recursive,
      persistence,
      columns,
      with: options,
      query,
      queryStart,
      queryEnd,
      checkOption,
      position,
    };
  }

  private createMaterializedView(persistence: ast.Persistence, position: number): ast.CreateTableAs {
    this.eat("view");
    const ifNotExists = this.ifNotExists();
    const name = this.qualifiedName();
    const columns = this.optionalNameList();
    const using = this.when("using", () => this.name());
    const options = this.withOptions();
    const tablespace = this.optionalTablespace();
    this.eat("as");
    const source = this.parseQuery();
    return {
      kind: "createTableAs",
      name,
      materialized: true,
      persistence,
      ifNotExists,
      columns,
      using,
      with: options,
      tablespace,
      source,
      withData: this.withData(),
      position,
    };
  }

  private createSequence(persistence: ast.Persistence, position: number): ast.CreateSequence {
    const ifNotExists = this.ifNotExists();
    const name = this.qualifiedName();
    return {
      kind: "createSequence",
      name,
      persistence,
      ifNotExists,
      options: this.sequenceOptions(),
      position,
    };
  }

  private createType(position: number): ast.CreateType {
    const name = this.qualifiedName();
    const definition = ((): ast.CreateType["definition"] => {
      if (this.isType(LeftParen)) return { kind: "base", options: this.optionList() };
      if (!this.accept("as")) return { kind: "shell" };
      if (this.accept("enum")) {
        return {
          kind: "enum",
          labels: this.parens(() => (this.isType(RightParen) ? [] : this.list(() => this.stringConstant()))),
        };
      }
      if (this.accept("range")) return { kind: "range", options: this.optionList() };
      return {
        kind: "composite",
        attributes: this.parens(() =>
          this.isType(RightParen)
            ? []
            : this.list(() => {
                const at = this.here();
                return this.parseColumnType(this.name(), at);
              }),
        ),
      };
    })();
    return { kind: "createType", name, definition, position };
  }

  private createDomain(position: number): ast.CreateDomain {
    const name = this.qualifiedName();
    this.accept("as");
    const type = this.typeName();
    const { constraints, collation } = this.columnConstraints();
    return { kind: "createDomain", name, type, collation, constraints, position };
  }

  private createRole(roleKind: "role" | "user" | "group", position: number): ast.CreateRole {
    const name = this.roleSpec();
    if (!this.RECORDING_PHASE && name.kind !== "name") {
      const word = name.kind === "public" ? "public" : this.LA(0).tokenType.name;
      const message =
        name.kind === "public"
          ? `role name "${word}" is reserved`
          : `${word.toUpperCase()} cannot be used as a role name here`;
      throw new GrammarError("reservedName", message, name.position - 1);
    }
    const options = this.roleOptions();
    return { kind: "createRole", roleKind, name: name.kind === "name" ? name.name : "", options, position };
  }

  private createDatabase(position: number): ast.CreateDatabase {
    const name = this.name();
    this.accept("with");
    return { kind: "createDatabase", name, options: this.databaseOptions(), position };
  }

  /** name [=] value, with blanks in CONNECTION LIMIT. */
  private databaseOptions(): ast.Option[] {
    const options: ast.Option[] = [];
    while (!this.RECORDING_PHASE && !this.isEnd()) {
      const position = this.here();
      let name: string;
      if (this.accept("connection", "limit")) name = "connection_limit";
      else if (this.fits(TypeOrFunctionName) || this.fits(ColumnName)) name = this.label();
      else return this.fail();
      this.acceptType(Equals);
      if (this.accept("default")) {
        options.push({ name, value: undefined, position });
        continue;
      }
      const value = this.settingValue();
      options.push({ name, value: value.kind === "interval" ? undefined : value, position });
    }
    return options;
  }

  private createExtension(position: number): ast.CreateExtension {
    const ifNotExists = this.ifNotExists();
    const name = this.name();
    this.accept("with");
    let schema: string | undefined;
    let version: string | undefined;
    let cascade = false;
    while (!this.RECORDING_PHASE && !this.isEnd()) {
      if (this.accept("schema")) schema = this.name();
      else if (this.accept("version")) version = this.wordOrString();
      else {
        this.eat("cascade");
        cascade = true;
      }
    }
    return { kind: "createExtension", name, ifNotExists, schema, version, cascade, position };
  }

  protected createPolicy(position: number): ast.CreatePolicy {
    const name = this.name();
    this.eat("on");
    const table = this.qualifiedName();
    let permissive = true;
    if (this.accept("as")) {
      const token = this.peek();
      if (token.value === "restrictive") permissive = false;
      else if (!this.RECORDING_PHASE && token.value !== "permissive") {
        throw new GrammarError(
          "syntaxError",
          `unrecognized row security option "${token.value}"`,
          token.startOffset,
          "Only PERMISSIVE or RESTRICTIVE policies are supported currently.",
        );
      }
      this.SKIP_TOKEN();
    }
    const command =
      this.when("for", () =>
        this.oneOf<ast.CreatePolicy["command"]>({
          all: () => "all",
          select: () => "select",
          insert: () => "insert",
          update: () => "update",
          delete: () => "delete",
        }),
      ) ?? "all";
    const roles: ast.RoleSpec[] = this.accept("to") ? this.roleSpecs() : [{ kind: "public", position }];
    const using = this.accept("using") ? this.parens(() => this.expression()) : undefined;
    const withCheck = this.accept("with", "check") ? this.parens(() => this.expression()) : undefined;
    return { kind: "createPolicy", name, table, permissive, command, roles, using, withCheck, position };
  }

  // -------------------------------------------------------------------------------------------------- functions, triggers

  private functionParameter(defaults: boolean): ast.FunctionParameter {
    const position = this.here();
    const mode = (): ast.FunctionParameter["mode"] | undefined => {
      if (this.accept("in")) return this.accept("out") ? "inout" : "in";
      if (this.accept("out")) return "out";
      if (this.accept("inout")) return "inout";
      return this.accept("variadic") ? "variadic" : undefined;
    };
    const before = mode();
    let name: string | undefined;
    if (this.fits(TypeOrFunctionName) && this.startsParameterType(2)) name = this.label();
    const after = before === undefined && name !== undefined ? mode() : undefined;
    const type = this.typeName();
    let value: ast.Expr | undefined;
    if (defaults && (this.accept("default") || this.acceptType(Equals))) value = this.expression();
    return { mode: before ?? after ?? "in", name, type, default: value, position };
  }

  /** Whether the token there can begin a type, so that the one before it is a parameter's name. */
  private startsParameterType(ahead: number): boolean {
    if (this.is("precision", ahead) && this.is("double", ahead - 1)) return false;
    if (this.is("varying", ahead) || this.is("with", ahead) || this.is("without", ahead)) return false;
    const token = this.LA(ahead).tokenType.name;
    if (token === "in" || token === "out" || token === "inout" || token === "variadic" || token === "setof")
      return true;
    if (token === "array" || token === "default") return false;
    return this.fits(TypeOrFunctionName, ahead) || this.fits(ColumnName, ahead);
  }

  private createFunction(procedure: boolean, orReplace: boolean, position: number): ast.CreateFunction {
    const name = this.routineIdentifier();
    const parameters: ast.FunctionParameter[] = this.parens(() =>
      this.isType(RightParen) || this.RECORDING_PHASE ? [] : this.list(() => this.functionParameter(true)),
    );
    let returns: ast.TypeName | undefined;
    let returnsTable = false;
    if (!procedure && this.accept("returns")) {
      if (this.accept("table")) {
        returnsTable = true;
        this.parens(() =>
          this.list(() => {
            const at = this.here();
            const column = this.label();
            parameters.push({ mode: "table", name: column, type: this.typeName(), position: at });
          }),
        );
      } else returns = this.typeName();
    }
    const options: ast.FunctionOption[] = [];
    let body: ast.CreateFunction["body"];
    while (!this.RECORDING_PHASE && !this.isEnd() && body === undefined) {
      if (this.is("return") || this.is("begin")) body = this.functionBody();
      else options.push(this.functionOption());
    }
    return {
      kind: "createFunction",
      procedure,
      orReplace,
      name,
      parameters,
      returns,
      returnsTable,
      options,
      body,
      position,
    };
  }

  private functionBody(): NonNullable<ast.CreateFunction["body"]> {
    if (this.accept("return")) return { kind: "return", expr: this.expression() };
    this.eat("begin", "atomic");
    const statements: ast.Statement[] = [];
    while (!this.is("end")) {
      if (this.isEnd()) this.fail();
      if (this.acceptType(Semicolon)) continue;
      if (this.accept("return")) {
        const position = this.here();
        const expr = this.expression();
        statements.push({
          kind: "values",
          rows: [[expr]],
          orderBy: [],
          withTies: false,
          locking: [],
          position,
        });
      } else statements.push(this.parseStatement());
      this.eatType(Semicolon);
    }
    this.eat("end");
    return { kind: "atomic", statements };
  }

  private functionOption(): ast.FunctionOption {
    const position = this.here();
    const security = (): ast.FunctionOption => {
      this.eat("security");
      const definer = this.accept("definer") || (this.eat("invoker"), false);
      return { kind: "security", definer, position };
    };
    return this.oneOf<ast.FunctionOption>({
      language: () => ({ kind: "language", language: this.wordOrString(), position }),
      as: () => {
        const definition = this.stringConstant();
        const symbol = this.acceptType(Comma) ? this.stringConstant() : undefined;
        return { kind: "as", definition, symbol, position };
      },
      immutable: () => ({ kind: "volatility", value: "immutable", position }),
      stable: () => ({ kind: "volatility", value: "stable", position }),
      volatile: () => ({ kind: "volatility", value: "volatile", position }),
      strict: () => ({ kind: "strict", value: true, position }),
      called: () => {
        this.eat("on", "null", "input");
        return { kind: "strict", value: false, position };
      },
      returns: () => {
        this.eat("null", "on", "null", "input");
        return { kind: "strict", value: true, position };
      },
      external: security,
      security: () => {
        const definer = this.accept("definer") || (this.eat("invoker"), false);
        return { kind: "security", definer, position };
      },
      leakproof: () => ({ kind: "leakproof", value: true, position }),
      not: () => {
        this.eat("leakproof");
        return { kind: "leakproof", value: false, position };
      },
      window: () => ({ kind: "window", position }),
      parallel: () => ({ kind: "parallel", value: this.name(), position }),
      cost: () => ({ kind: "cost", value: this.signedNumber(), position }),
      rows: () => ({ kind: "rows", value: this.signedNumber(), position }),
      support: () => ({ kind: "support", name: this.qualifiedName(), position }),
      transform: () => ({
        kind: "transform",
        types: this.list(() => {
          this.eat("for", "type");
          return this.typeName();
        }),
        position,
      }),
      set: () => ({ kind: "set", set: this.setRest(false, position), position }),
      reset: () => {
        const reset = this.resetVariable(position);
        return {
          kind: "set",
          set: { kind: "set", name: reset.name ?? "all", local: false, values: undefined, position },
          position,
        };
      },
    });
  }

  private createTrigger(orReplace: boolean, constraint: boolean, position: number): ast.CreateTrigger {
    const name = this.name();
    const timing = this.oneOf<ast.CreateTrigger["timing"]>({
      before: () => "before",
      after: () => "after",
      instead: () => {
        this.eat("of");
        return "insteadOf";
      },
    });
    const events: ast.CreateTrigger["events"][number][] = [];
    do {
      const event = this.oneOf<"insert" | "update" | "delete" | "truncate">({
        insert: () => "insert",
        update: () => "update",
        delete: () => "delete",
        truncate: () => "truncate",
      });
      events.push({ event, columns: event === "update" && this.accept("of") ? this.names() : [] });
    } while (this.accept("or"));
    this.eat("on");
    const table = this.qualifiedName();
    const from = constraint && this.accept("from") ? this.qualifiedName() : undefined;
    const timingOptions = this.constraintTiming();
    const referencing: ast.CreateTrigger["referencing"][number][] = [];
    if (this.accept("referencing")) {
      do {
        const isNew = this.accept("new") || (this.eat("old"), false);
        const isTable = this.accept("table") || (this.accept("row"), false);
        this.accept("as");
        referencing.push({ new: isNew, table: isTable, name: this.name() });
      } while (this.is("new") || this.is("old"));
    }
    let forEachRow = false;
    if (constraint) {
      this.eat("for", "each", "row");
      forEachRow = true;
    } else if (this.accept("for")) {
      this.accept("each");
      forEachRow = this.accept("row") || (this.eat("statement"), false);
    }
    const when = this.accept("when") ? this.parens(() => this.expression()) : undefined;
    this.eat("execute");
    if (!this.accept("function")) this.eat("procedure");
    const functionName = this.routineIdentifier();
    const args = this.parens(() =>
      this.isType(RightParen) || this.RECORDING_PHASE
        ? []
        : this.list(() => {
            if (this.isType(StringLiteral)) return this.stringConstant();
            if (this.isType(Integer) || this.isType(Decimal)) return this.signedNumber();
            return this.label();
          }),
    );
    return {
      kind: "createTrigger",
      name,
      orReplace,
      constraint,
      timing,
      events,
      table,
      from,
      timingOptions,
      referencing,
      forEachRow,
      when,
      function: functionName,
      args,
      position,
    };
  }

  // -------------------------------------------------------------------------------------------------------------- ALTER

  private alter(position: number): ast.Statement {
    return this.oneOf<ast.Statement>({
      table: () => this.alterRelation("table", position),
      index: () => this.alterRelation("index", position),
      view: () => this.alterRelation("view", position),
      sequence: () => this.alterRelation("sequence", position),
      materialized: () => {
        this.eat("view");
        return this.alterRelation("materializedView", position);
      },
      foreign: () => {
        if (this.accept("table")) return this.alterRelation("foreignTable", position);
        return this.unsupported("ALTER FOREIGN DATA WRAPPER", position);
      },
      type: () => this.alterTypeStatement(position),
      domain: () => this.alterDomain(position),
      function: () => this.alterRoutine("function", position),
      procedure: () => this.alterRoutine("procedure", position),
      routine: () => this.alterRoutine("routine", position),
      aggregate: () => this.alterSimple("aggregate", position),
      schema: () => this.alterSimple("schema", position),
      role: () => this.alterRole(position),
      user: () => {
        if (this.is("mapping") && this.is("for", 2)) return this.unsupported("ALTER USER MAPPING", position);
        return this.alterRole(position);
      },
      group: () => this.alterGroup(position),
      database: () => this.alterDatabase(position),
      policy: () => this.alterPolicy(position),
      trigger: () => this.alterSimple("trigger", position),
      rule: () => this.alterSimple("rule", position),
      default: () => {
        this.eat("privileges");
        return this.alterDefaultPrivileges(position);
      },
      system: () => {
        const at = this.here();
        if (this.accept("reset")) return { kind: "alterSystem", set: this.resetVariable(at), position };
        this.eat("set");
        return { kind: "alterSystem", set: this.setRest(false, at), position };
      },
      extension: () => this.unsupported("ALTER EXTENSION", position),
      collation: () => this.unsupported("ALTER COLLATION", position),
      conversion: () => this.unsupported("ALTER CONVERSION", position),
      language: () => this.unsupported("ALTER LANGUAGE", position),
      procedural: () => this.unsupported("ALTER LANGUAGE", position),
      large: () => this.unsupported("ALTER LARGE OBJECT", position),
      operator: () =>
        this.unsupported(
          this.is("class")
            ? "ALTER OPERATOR CLASS"
            : this.is("family")
              ? "ALTER OPERATOR FAMILY"
              : "ALTER OPERATOR",
          position,
        ),
      publication: () => this.unsupported("ALTER PUBLICATION", position),
      subscription: () => this.unsupported("ALTER SUBSCRIPTION", position),
      server: () => this.unsupported("ALTER SERVER", position),
      statistics: () => this.unsupported("ALTER STATISTICS", position),
      tablespace: () => this.unsupported("ALTER TABLESPACE", position),
      text: () => this.unsupported("ALTER TEXT SEARCH", position),
      event: () => this.unsupported("ALTER EVENT TRIGGER", position),
    });
  }

  /** RENAME TO, OWNER TO, SET SCHEMA after an object's name; undefined when none of them follows. */
  private commonAlter(
    objectType: ast.ObjectType,
    name: ast.ObjectName,
    ifExists: boolean,
    only: boolean,
    position: number,
  ): ast.Statement | undefined {
    if (this.is("rename")) {
      this.SKIP_TOKEN();
      const base = { kind: "rename", name, only, ifExists, position } as const;
      if (this.accept("to")) return { ...base, objectType, newName: this.name(), cascade: false };
      let part: ast.ObjectType = "column";
      if (this.accept("constraint")) part = objectType === "domain" ? "domainConstraint" : "constraint";
      else if (this.accept("attribute")) part = "attribute";
      else this.accept("column");
      const from = this.name();
      this.eat("to");
      const newName = this.name();
      return {
        ...base,
        objectType: part,
        part: from,
        within: objectType,
        newName,
        cascade: part === "attribute" && this.cascade(),
      };
    }
    if (this.is("owner") && objectType !== "table") {
      this.eat("owner", "to");
      return { kind: "alterOwner", objectType, name, role: this.roleSpec(), position };
    }
    if (this.is("set") && this.is("schema", 2)) {
      this.eat("set", "schema");
      return { kind: "alterObjectSchema", objectType, name, ifExists, schema: this.name(), position };
    }
    return undefined;
  }

  private alterRelation(
    objectType: "table" | "index" | "view" | "materializedView" | "sequence" | "foreignTable",
    position: number,
  ): ast.Statement {
    if (this.is("all") && this.is("in", 2)) {
      return this.unsupported("ALTER ... ALL IN TABLESPACE", position);
    }
    const ifExists = this.ifExists();
    const table =
      objectType === "table" || objectType === "foreignTable"
        ? this.relationExpr()
        : { name: this.qualifiedName(), only: false };
    const special = this.alterTableExtension(table.name, position);
    if (special !== undefined) return special;
    const name: ast.ObjectName = { name: table.name };
    const isOwner = this.is("owner");
    const common = isOwner ? undefined : this.commonAlter(objectType, name, ifExists, table.only, position);
    if (common !== undefined) return common;
    if (this.is("depends") || (this.is("no") && this.is("depends", 2))) {
      return this.unsupported("ALTER ... DEPENDS ON EXTENSION", position);
    }
    return {
      kind: "alterTable",
      objectType,
      name: table.name,
      only: table.only,
      ifExists,
      actions: this.alterActions(),
      position,
    };
  }

  /** ALTER TABLE t MOVE SHARD .. and other cluster forms (cluster.ts). */
  protected abstract alterTableExtension(
    table: ast.QualifiedName,
    position: number,
  ): ast.Statement | undefined;

  private alterTypeStatement(position: number): ast.Statement {
    const name = this.qualifiedName();
    if (this.acceptBoth("add", "value")) return this.addEnumValue(name, position);
    if (this.is("rename") && this.is("value", 2)) {
      this.eat("rename", "value");
      const from = this.stringConstant();
      this.eat("to");
      return {
        kind: "alterEnum",
        name,
        action: { kind: "renameValue", from, to: this.stringConstant() },
        position,
      };
    }
    const common = this.commonAlter("type", { name }, false, false, position);
    if (common !== undefined) return common;
    if (this.is("set") && this.isType(LeftParen, 2)) return this.unsupported("ALTER TYPE ... SET", position);
    return {
      kind: "alterTable",
      objectType: "type",
      name,
      only: false,
      ifExists: false,
      actions: this.alterActions(),
      position,
    };
  }

  private addEnumValue(name: ast.QualifiedName, position: number): ast.AlterEnum {
    const ifNotExists = this.ifNotExists();
    const label = this.stringConstant();
    const before = this.accept("before") ? this.stringConstant() : undefined;
    const after = before === undefined && this.accept("after") ? this.stringConstant() : undefined;
    return {
      kind: "alterEnum",
      name,
      action: { kind: "addValue", label, ifNotExists, before, after },
      position,
    };
  }

  private alterDomain(position: number): ast.Statement {
    const name = this.qualifiedName();
    const common = this.commonAlter("domain", { name }, false, false, position);
    if (common !== undefined) return common;
    const action = this.oneOf<ast.AlterDomain["action"]>({
      set: () => {
        if (this.accept("default")) return { kind: "setDefault", expr: this.expression() };
        this.eat("not", "null");
        return { kind: "setNotNull" };
      },
      drop: () => {
        if (this.accept("default")) return { kind: "dropDefault" };
        if (this.accept("not", "null")) return { kind: "dropNotNull" };
        this.eat("constraint");
        const ifExists = this.ifExists();
        return { kind: "dropConstraint", name: this.name(), ifExists, cascade: this.cascade() };
      },
      add: () => ({ kind: "addConstraint", constraint: this.tableConstraint() }),
      validate: () => {
        this.eat("constraint");
        return { kind: "validateConstraint", name: this.name() };
      },
    });
    return { kind: "alterDomain", name, action, position };
  }

  private alterRoutine(objectType: "function" | "procedure" | "routine", position: number): ast.Statement {
    const name = this.routineName();
    const common = this.commonAlter(objectType, name, false, false, position);
    if (common !== undefined) return common;
    if (this.is("depends") || this.is("no"))
      return this.unsupported("ALTER ... DEPENDS ON EXTENSION", position);
    const options: ast.FunctionOption[] = [this.functionOption()];
    while (!this.RECORDING_PHASE && !this.isEnd()) {
      if (this.accept("restrict")) break;
      options.push(this.functionOption());
    }
    return { kind: "alterFunction", objectType, name, options, position };
  }

  /** Objects that can only be renamed, given away or moved. */
  private alterSimple(objectType: ast.ObjectType, position: number): ast.Statement {
    let name: ast.ObjectName = routineTypes.has(objectType)
      ? this.routineName()
      : { name: this.qualifiedName() };
    if (onTableTypes.has(objectType)) {
      this.eat("on");
      name = { ...name, on: this.qualifiedName() };
    }
    if (this.is("depends") || (this.is("no") && this.is("depends", 2))) {
      return this.unsupported("ALTER ... DEPENDS ON EXTENSION", position);
    }
    const common = this.commonAlter(objectType, name, false, false, position);
    return common ?? this.impossible();
  }

  private alterRole(position: number): ast.Statement {
    const all = this.accept("all");
    const role = all ? undefined : this.roleSpec();
    if (role !== undefined && this.accept("rename", "to")) {
      return {
        kind: "rename",
        objectType: "role",
        name: { name: { name: role.kind === "name" ? role.name : role.kind, position: role.position } },
        only: false,
        ifExists: false,
        newName: this.eatType(NonReserved).value,
        cascade: false,
        position,
      };
    }
    const audit = this.alterUserExtension(role, position);
    if (audit !== undefined) return audit;
    const database = this.whenBoth("in", "database", () => this.name());
    const at = this.here();
    if (this.accept("set")) {
      return { kind: "alterRoleSet", role, database, set: this.setRest(false, at), position };
    }
    if (this.accept("reset"))
      return { kind: "alterRoleSet", role, database, set: this.resetVariable(at), position };
    if (role === undefined || database !== undefined) return this.impossible();
    return { kind: "alterRole", role, options: this.roleOptions(), position };
  }

  /** ALTER USER u ENABLE AUDIT ALL (cluster.ts). */
  protected abstract alterUserExtension(
    role: ast.RoleSpec | undefined,
    position: number,
  ): ast.Statement | undefined;

  private alterGroup(position: number): ast.Statement {
    const group = this.roleSpec();
    if (this.accept("rename", "to")) {
      return {
        kind: "rename",
        objectType: "role",
        name: { name: { name: group.kind === "name" ? group.name : group.kind, position: group.position } },
        only: false,
        ifExists: false,
        newName: this.eatType(NonReserved).value,
        cascade: false,
        position,
      };
    }
    const add = this.accept("add") || (this.eat("drop"), false);
    this.eat("user");
    return { kind: "alterGroup", group, add, members: this.roleSpecs(), position };
  }

  private alterDatabase(position: number): ast.Statement {
    const sweep = (name: string | undefined): ast.Statement => {
      this.eat("set", "sweep", "interval");
      return {
        kind: "alterDatabase",
        name,
        action: { kind: "sweepInterval", interval: this.integerConstant() },
        position,
      };
    };
    if (this.is("set") && this.is("sweep", 2) && this.is("interval", 3)) return sweep(undefined);
    const name = this.name();
    if (this.is("set") && this.is("sweep", 2) && this.is("interval", 3)) return sweep(name);
    if (this.is("set") && this.is("tablespace", 2)) {
      this.eat("set", "tablespace");
      return {
        kind: "alterDatabase",
        name,
        action: { kind: "setTablespace", tablespace: this.name() },
        position,
      };
    }
    const object: ast.ObjectName = { name: { name, position } };
    if (this.is("rename") || this.is("owner")) {
      const common = this.commonAlter("database", object, false, false, position);
      if (common !== undefined) return common;
    }
    const at = this.here();
    const action = ((): ast.AlterDatabase["action"] => {
      if (this.accept("set")) return { kind: "set", set: this.setRest(false, at) };
      if (this.accept("reset")) return { kind: "set", set: this.resetVariable(at) };
      if (this.accept("refresh", "collation", "version")) return { kind: "refreshCollationVersion" };
      this.accept("with");
      return { kind: "options", options: this.databaseOptions() };
    })();
    return { kind: "alterDatabase", name, action, position };
  }

  /** `set`: that word may stand before what is changed. */
  protected alterPolicy(position: number, set = false): ast.Statement {
    const ifExists = this.ifExists();
    const name = this.name();
    const at = this.here();
    this.eat("on");
    const table = this.qualifiedName();
    if (this.is("rename")) {
      const object: ast.ObjectName = { name: { name, position: at }, on: table };
      const renamed = this.commonAlter("policy", object, ifExists, false, position);
      if (renamed !== undefined) return renamed;
    }
    if (set) this.accept("set");
    const roles = this.accept("to") ? this.roleSpecs() : undefined;
    const using = this.accept("using") ? this.parens(() => this.expression()) : undefined;
    const withCheck = this.accept("with", "check") ? this.parens(() => this.expression()) : undefined;
    return { kind: "alterPolicy", name, table, roles, using, withCheck, position };
  }

  // ------------------------------------------------------------------------------------------------------ DROP, COMMENT

  private drop(position: number): ast.Statement {
    if (this.is("owned") && this.is("by", 2)) {
      this.eat("owned", "by");
      const roles = this.roleSpecs();
      return { kind: "dropOwned", roles, cascade: this.cascade(), position };
    }
    if (this.is("user") && this.is("mapping", 2)) return this.unsupported("DROP USER MAPPING", position);
    const type = this.objectType(objectWords);
    if (type === undefined) return this.impossible();
    if (!droppable.has(type)) {
      return this.unsupported(`DROP ${featureName(type)}`, position);
    }
    const concurrently = type === "index" && this.accept("concurrently");
    const ifExists = this.ifExists();
    const names: ast.ObjectName[] = [];
    if (onTableTypes.has(type)) {
      const name = this.qualifiedFromName();
      this.eat("on");
      names.push({ name, on: this.qualifiedName() });
    } else if (type === "role") {
      for (const role of this.roleSpecs()) {
        names.push({ name: { name: role.kind === "name" ? role.name : role.kind, position: role.position } });
      }
    } else if (routineTypes.has(type)) names.push(...this.list(() => this.routineName()));
    else if (type === "domain" || type === "type") {
      names.push(
        ...this.list(() => {
          const given = this.typeName();
          return { name: given.name };
        }),
      );
    } else if (type === "database" || type === "tablespace" || type === "subscription") {
      names.push({ name: this.qualifiedFromName() });
    } else names.push(...this.qualifiedNames().map((name) => ({ name })));
    let force = false;
    if (type === "database") {
      const list = this.is("with") || this.isType(LeftParen);
      this.accept("with");
      if (list) {
        this.parens(() => this.list(() => this.eat("force")));
        force = true;
      }
    }
    const cascade = type === "role" || type === "database" || type === "tablespace" ? false : this.cascade();
    return { kind: "drop", objectType: type, names, ifExists, concurrently, cascade, force, position };
  }

  private qualifiedFromName(): ast.QualifiedName {
    const position = this.here();
    return { name: this.name(), position };
  }

  private comment(position: number): ast.Statement {
    this.eat("on");
    const type = this.objectType(objectWords);
    if (type === undefined) return this.impossible();
    let objectType: ast.ObjectType = type;
    let name: ast.ObjectName;
    switch (type) {
      case "column": {
        const full = this.qualifiedName();
        if (full.schema === undefined) {
          throw new GrammarError("syntaxError", "column name must be qualified", full.position - 1);
        }
        name = {
          name: { name: full.name, position: full.position },
          on: { schema: full.catalog, name: full.schema, position: full.position },
        };
        break;
      }
      case "constraint": {
        const constraint = this.qualifiedFromName();
        this.eat("on");
        if (this.accept("domain")) objectType = "domainConstraint";
        name = { name: constraint, on: this.qualifiedName() };
        break;
      }
      case "trigger":
      case "rule":
      case "policy": {
        const object = this.qualifiedFromName();
        this.eat("on");
        name = { name: object, on: this.qualifiedName() };
        break;
      }
      case "function":
      case "procedure":
      case "routine":
      case "aggregate":
        name = this.routineName();
        break;
      case "type":
      case "domain":
        name = { name: this.typeName().name };
        break;
      case "operator":
      case "operatorClass":
      case "operatorFamily":
      case "cast":
      case "transform":
      case "largeObject":
        return this.unsupported(`COMMENT ON ${featureName(type)}`, position);
      default:
        name = { name: this.qualifiedName() };
    }
    this.eat("is");
    const text = this.accept("null") ? undefined : this.stringConstant();
    return { kind: "comment", objectType, name, text, position };
  }
}

/** The words of an object type, as users write them. */
function featureName(type: ast.ObjectType): string {
  return type.replace(/[A-Z]/g, (letter) => ` ${letter}`).toUpperCase();
}
