/**
 * Tables, indexes, sequences and views: CREATE and ALTER.
 *
 * Invariants: clauses are taken in the order of PostgreSQL's grammar; SHARD BY / SHARD KEY / REPLICATED (spec SQL-34,
 * SQL-35) stand behind the column list, before WITH and TABLESPACE, and their words stay free as names.
 */
import type * as ast from "../src/sql/ast.js";
import type { Mutable } from "./base.js";
import { QueryRules } from "./queries.js";
import {
  ColumnName,
  Comma,
  Decimal,
  Dot,
  Equals,
  GrammarError,
  Integer,
  LeftParen,
  Minus,
  Plus,
  RightParen,
  StringLiteral,
  TypeOrFunctionName,
} from "./tokens.js";

const constraintStarts = new Set(["constraint", "check", "unique", "primary", "foreign", "exclude"]);

export abstract class TableRules extends QueryRules {
  protected abstract roleSpec(): ast.RoleSpec;

  // -------------------------------------------------------------------------------------------------------- options

  protected ifNotExists(): boolean {
    if (!this.RECORDING_PHASE && !(this.is("if") && this.is("not", 2))) return false;
    return this.accept("if", "not", "exists");
  }

  protected ifExists(): boolean {
    return this.acceptBoth("if", "exists");
  }

  /** [CASCADE | RESTRICT]: true for CASCADE. */
  protected cascade(): boolean {
    if (this.accept("cascade")) return true;
    this.accept("restrict");
    return false;
  }

  /** A value in a definition list: word, type name, string, signed number, operator, NONE. */
  protected optionValue(): ast.OptionValue {
    const token = this.peek();
    const position = token.startOffset + 1;
    if (this.RECORDING_PHASE || token.tokenType === StringLiteral) {
      return { kind: "string", text: this.stringConstant(), position };
    }
    if (this.isType(Minus) || this.isType(Plus) || this.isType(Integer) || this.isType(Decimal)) {
      return { kind: "number", text: this.signedNumber(), position };
    }
    if (this.is("true") || this.is("false")) {
      return { kind: "boolean", value: this.label() === "true", position };
    }
    if (this.is("operator")) return { kind: "operator", operator: this.qualifiedOperator(), position };
    if (!this.fits(TypeOrFunctionName) && !this.fits(ColumnName)) {
      // Reserved words stand for themselves (ON, DEFAULT, ..); anything else can only be an operator.
      if (token.tokenType.name === token.value) return { kind: "word", text: this.label(), position };
      return { kind: "operator", operator: this.anyOperator(), position };
    }
    const plain = !this.isType(Dot, 2) && !this.isType(LeftParen, 2) && !this.is("precision", 2);
    if (plain && !this.is("setof")) return { kind: "word", text: this.label(), position };
    return { kind: "type", type: this.typeName(), position };
  }

  /** ( [namespace.]name [= value], .. ) */
  protected optionList(): ast.Option[] {
    return this.parens(() =>
      this.list(() => {
        const position = this.here();
        let name = this.label();
        let namespace: string | undefined;
        if (this.acceptType(Dot)) {
          namespace = name;
          name = this.label();
        }
        const value = this.acceptType(Equals) ? this.optionValue() : undefined;
        return { namespace, name, value, position };
      }),
    );
  }

  protected withOptions(): ast.Option[] {
    if (!this.RECORDING_PHASE && !(this.is("with") && this.isType(LeftParen, 2))) return [];
    this.eat("with");
    return this.optionList();
  }

  protected optionalTablespace(): string | undefined {
    return this.when("tablespace", () => this.name());
  }

  // ---------------------------------------------------------------------------------------------------------- columns

  protected parseColumnType(name: string, position: number): ast.ColumnDef {
    const type = this.typeName();
    const collation = this.when("collate", () => this.qualifiedName());
    return { kind: "column", name, type, collation, compression: undefined, constraints: [], position };
  }

  protected columnDef(): ast.ColumnDef {
    const position = this.here();
    const name = this.name();
    const type = this.typeName();
    if (this.is("options") && this.isType(LeftParen, 2)) this.skipFdwOptions();
    const compression = this.when("compression", () => (this.accept("default") ? "default" : this.name()));
    const { constraints, collation } = this.columnConstraints();
    return { kind: "column", name, type, collation, compression, constraints, position };
  }

  private skipFdwOptions(): void {
    this.eat("options");
    this.skipParens();
  }

  /** Constraints and COLLATE, in any order; deferrability belongs to the constraint before it. */
  protected columnConstraints(): {
    constraints: ast.ColumnConstraint[];
    collation?: ast.QualifiedName | undefined;
  } {
    const constraints: Mutable<ast.ColumnConstraint>[] = [];
    let collation: ast.QualifiedName | undefined;
    if (this.RECORDING_PHASE) return { constraints: [], collation };
    for (;;) {
      if (this.is("collate")) {
        if (collation !== undefined) {
          throw new GrammarError("syntaxError", "multiple COLLATE clauses not allowed", this.here() - 1);
        }
        this.SKIP_TOKEN();
        collation = this.qualifiedName();
        continue;
      }
      const position = this.here();
      const timing = this.oneTiming();
      if (timing !== undefined) {
        const last = constraints.at(-1);
        if (last === undefined || timing.notValid !== undefined || timing.noInherit !== undefined) {
          throw new GrammarError("syntaxError", "misplaced DEFERRABLE clause", position - 1);
        }
        Object.assign(last, timing);
        continue;
      }
      const constraint = this.columnConstraint();
      if (constraint === undefined) return { constraints: constraints as ast.ColumnConstraint[], collation };
      constraints.push(constraint);
    }
  }

  private columnConstraint(): ast.ColumnConstraint | undefined {
    const position = this.here();
    const name = this.when("constraint", () => this.name());
    const base = { name, position };
    if (this.accept("not", "null")) return { ...base, kind: "notNull" };
    if (this.accept("null")) return { ...base, kind: "null" };
    if (this.accept("default")) return { ...base, kind: "default", expr: this.restrictedExpression() };
    if (this.accept("check")) {
      const expr = this.parens(() => this.expression());
      const noInherit = this.acceptBoth("no", "inherit") ? true : undefined;
      return { ...base, kind: "check", expr, noInherit };
    }
    if (this.is("unique") || this.is("primary")) {
      const kind = this.accept("unique") ? "unique" : (this.eat("primary", "key"), "primaryKey");
      const nullsNotDistinct = kind === "unique" && this.nullsNotDistinct();
      return {
        ...base,
        kind: kind as "unique" | "primaryKey",
        nullsNotDistinct,
        with: this.withOptions(),
        tablespace: this.usingIndexTablespace(),
      };
    }
    if (this.accept("references")) {
      const table = this.qualifiedName();
      return { ...base, kind: "references", table, columns: this.optionalNameList(), ...this.keyActions() };
    }
    if (this.accept("generated")) {
      const when = this.here();
      const always = this.accept("always") || (this.eat("by", "default"), false);
      this.eat("as");
      if (this.accept("identity")) {
        const options = this.isType(LeftParen) ? this.parens(() => this.sequenceOptions()) : [];
        return { ...base, kind: "identity", always, options };
      }
      const expr = this.parens(() => this.expression());
      if (!always) {
        throw new GrammarError(
          "syntaxError",
          "for a generated column, GENERATED ALWAYS must be specified",
          when - 1,
        );
      }
      this.eat("stored");
      return { ...base, kind: "generated", expr };
    }
    if (name !== undefined) this.fail();
    return undefined;
  }

  private nullsNotDistinct(): boolean {
    if (!this.is("nulls")) return false;
    this.eat("nulls");
    const not = this.accept("not");
    this.eat("distinct");
    return not;
  }

  private usingIndexTablespace(): string | undefined {
    return this.when("using", () => {
      this.eat("index", "tablespace");
      return this.name();
    });
  }

  private keyActions(): {
    match: "simple" | "full" | "partial";
    onDelete: ast.ReferentialAction;
    onDeleteColumns: readonly string[];
    onUpdate: ast.ReferentialAction;
  } {
    let match: "simple" | "full" | "partial" = "simple";
    if (this.accept("match")) {
      match = this.accept("full")
        ? "full"
        : this.accept("partial")
          ? "partial"
          : (this.eat("simple"), "simple");
    }
    let onDelete: ast.ReferentialAction = "noAction";
    let onUpdate: ast.ReferentialAction = "noAction";
    let onDeleteColumns: readonly string[] = [];
    let deleted = false;
    let updated = false;
    while (!this.RECORDING_PHASE && this.accept("on")) {
      const isDelete = this.is("delete");
      if (isDelete ? deleted : updated) this.fail();
      if (!isDelete && !this.is("update")) this.fail();
      this.SKIP_TOKEN();
      const { action, columns } = this.keyAction();
      if (isDelete) {
        deleted = true;
        onDelete = action;
        onDeleteColumns = columns;
      } else {
        updated = true;
        onUpdate = action;
        if (columns.length > 0) {
          throw new GrammarError(
            "featureNotSupported",
            "a column list with SET NULL is only supported for ON DELETE actions",
            undefined,
          );
        }
      }
    }
    return { match, onDelete, onDeleteColumns, onUpdate };
  }

  private keyAction(): { action: ast.ReferentialAction; columns: readonly string[] } {
    if (this.accept("no", "action")) return { action: "noAction", columns: [] };
    if (this.accept("restrict")) return { action: "restrict", columns: [] };
    if (this.accept("cascade")) return { action: "cascade", columns: [] };
    this.eat("set");
    const action = this.accept("null") ? "setNull" : (this.eat("default"), "setDefault");
    return { action: action as ast.ReferentialAction, columns: this.optionalNameList() };
  }

  /** One of [NOT] DEFERRABLE, INITIALLY x, NOT VALID, NO INHERIT. */
  private oneTiming(): ast.ConstraintTiming | undefined {
    if (this.accept("deferrable")) return { deferrable: true };
    if (this.acceptBoth("not", "deferrable")) return { deferrable: false };
    if (this.acceptBoth("not", "valid")) return { notValid: true };
    if (this.acceptBoth("no", "inherit")) return { noInherit: true };
    if (!this.is("initially")) return undefined;
    this.SKIP_TOKEN();
    return { initiallyDeferred: this.accept("deferred") || (this.eat("immediate"), false) };
  }

  protected constraintTiming(): ast.ConstraintTiming {
    let timing: ast.ConstraintTiming = {};
    if (this.RECORDING_PHASE) return timing;
    for (;;) {
      const position = this.here();
      const one = this.oneTiming();
      if (one === undefined) return timing;
      timing = { ...timing, ...one };
      if (timing.initiallyDeferred === true && timing.deferrable === false) {
        throw new GrammarError(
          "syntaxError",
          "constraint declared INITIALLY DEFERRED must be DEFERRABLE",
          position - 1,
        );
      }
    }
  }

  // ------------------------------------------------------------------------------------------------ table constraints

  protected tableConstraint(): ast.TableConstraint {
    const position = this.here();
    const name = this.when("constraint", () => this.name());
    const base = { name, position };
    return this.oneOf<ast.TableConstraint>({
      check: () => {
        const expr = this.parens(() => this.expression());
        return { ...base, kind: "check", expr, ...this.constraintTiming() };
      },
      unique: () => ({ ...base, ...this.keyConstraint("unique"), ...this.constraintTiming() }),
      primary: () => {
        this.eat("key");
        return { ...base, ...this.keyConstraint("primaryKey"), ...this.constraintTiming() };
      },
      foreign: () => {
        this.eat("key");
        const columns = this.nameList();
        this.eat("references");
        const table = this.qualifiedName();
        const referenced = this.optionalNameList();
        const actions = this.keyActions();
        return {
          ...base,
          kind: "foreignKey",
          columns,
          table,
          referenced,
          ...actions,
          ...this.constraintTiming(),
        };
      },
      exclude: () => {
        const method = this.accept("using") ? this.name() : undefined;
        const elements = this.parens(() =>
          this.list(() => {
            const element = this.indexElement();
            this.eat("with");
            return { element, operator: this.is("operator") ? this.qualifiedOperator() : this.anyOperator() };
          }),
        );
        const include = this.accept("include") ? this.nameList() : [];
        const options = this.withOptions();
        const tablespace = this.usingIndexTablespace();
        const where = this.accept("where") ? this.parens(() => this.expression()) : undefined;
        return {
          ...base,
          kind: "exclude",
          method,
          elements,
          include,
          with: options,
          tablespace,
          where,
          ...this.constraintTiming(),
        };
      },
    });
  }

  private keyConstraint(kind: "unique" | "primaryKey") {
    if (this.is("using") && this.is("index", 2)) {
      this.eat("using", "index");
      return {
        kind,
        columns: [],
        nullsNotDistinct: false,
        include: [],
        with: [],
        tablespace: undefined,
        usingIndex: this.name(),
      };
    }
    const nullsNotDistinct = kind === "unique" && this.nullsNotDistinct();
    const columns = this.nameList();
    const include = this.accept("include") ? this.nameList() : [];
    return {
      kind,
      columns,
      nullsNotDistinct,
      include,
      with: this.withOptions(),
      tablespace: this.usingIndexTablespace(),
      usingIndex: undefined,
    };
  }

  protected startsConstraint(): boolean {
    return this.isAny(constraintStarts);
  }

  // ---------------------------------------------------------------------------------------------------- CREATE TABLE

  /** After CREATE [persistence] TABLE. */
  protected createTable(persistence: ast.Persistence, position: number): ast.Statement {
    const ifNotExists = this.ifNotExists();
    const name = this.qualifiedName();
    const table: Mutable<ast.CreateTable> = {
      kind: "createTable",
      name,
      persistence,
      ifNotExists,
      elements: [],
      inherits: [],
      ofType: undefined,
      partitionOf: undefined,
      partitionBy: undefined,
      using: undefined,
      with: [],
      onCommit: undefined,
      tablespace: undefined,
      shard: undefined,
      position,
    };
    if (this.RECORDING_PHASE) return table;
    let shardElement: ast.ShardClause | undefined;
    if (this.accept("of")) {
      table.ofType = this.qualifiedName();
      table.elements = this.typedElements();
    } else if (this.accept("partition", "of")) {
      const parent = this.qualifiedName();
      table.elements = this.typedElements();
      table.partitionOf = { parent, bound: this.partitionBound() };
    } else {
      // A bare list of names (or none) may turn out to be CREATE TABLE .. AS.
      if (this.isTableAs()) return this.createTableAs(table);
      this.eatType(LeftParen);
      if (!this.isType(RightParen)) {
        const elements: ast.TableElement[] = [];
        do {
          if (this.is("shard") && this.is("key", 2) && this.isType(LeftParen, 3)) {
            shardElement = this.shardClause();
          } else elements.push(this.tableElement());
        } while (this.acceptType(Comma));
        table.elements = elements;
      }
      this.eatType(RightParen);
      if (this.accept("inherits")) table.inherits = this.parens(() => this.qualifiedNames());
    }
    table.partitionBy = this.partitionSpec();
    table.shard = this.shardClause() ?? shardElement;
    if (this.accept("using")) table.using = this.name();
    table.with = this.tableOptions();
    table.onCommit = this.onCommit();
    table.tablespace = this.optionalTablespace();
    table.shard ??= this.shardClause();
    return table;
  }

  private tableOptions(): ast.Option[] {
    if (this.is("without") && this.is("oids", 2)) {
      this.eat("without", "oids");
      return [];
    }
    return this.withOptions();
  }

  private onCommit(): ast.CreateTable["onCommit"] {
    if (!this.accept("on", "commit")) return undefined;
    if (this.accept("drop")) return "drop";
    if (this.accept("delete", "rows")) return "delete";
    this.eat("preserve", "rows");
    return "preserve";
  }

  /** Whether CREATE TABLE's name is followed by [(names)] [clauses] AS. */
  private isTableAs(): boolean {
    if (!this.isType(LeftParen)) return true;
    let ahead = 2;
    while (this.fits(ColumnName, ahead)) {
      ahead++;
      if (this.isType(Comma, ahead)) ahead++;
      else break;
    }
    if (ahead > 2 && this.isType(RightParen, ahead)) return true;
    // A name and a comma can only begin such a list: what does not continue it is wrong.
    if (ahead > 3 && this.isType(Comma, 3)) this.fail(ahead);
    return false;
  }

  private createTableAs(table: ast.CreateTable): ast.CreateTableAs {
    const columns = this.optionalNameList();
    let shard = this.shardClause();
    const using = this.when("using", () => this.name());
    const options = this.tableOptions();
    const onCommit = this.onCommit();
    const tablespace = this.optionalTablespace();
    shard ??= this.shardClause();
    this.eat("as");
    const source = this.is("execute") ? this.execute() : this.asQuery();
    return {
      kind: "createTableAs",
      name: table.name,
      materialized: false,
      persistence: table.persistence,
      ifNotExists: table.ifNotExists,
      columns,
      using,
      with: options,
      onCommit,
      tablespace,
      shard,
      source,
      withData: this.withData(),
      position: table.position,
    };
  }

  /** A query, possibly in parentheses. */
  protected asQuery(): ast.Query {
    return this.parseQuery();
  }

  protected withData(): boolean {
    if (!this.accept("with")) return true;
    const none = this.accept("no");
    this.eat("data");
    return !none;
  }

  protected execute(): ast.Execute {
    const position = this.here();
    this.eat("execute");
    const name = this.name();
    const args = this.optionalParens(() => this.expressions()) ?? [];
    return { kind: "execute", name, args, position };
  }

  private tableElement(): ast.TableElement {
    const position = this.here();
    if (this.startsConstraint()) return { kind: "constraint", constraint: this.tableConstraint(), position };
    if (this.accept("like")) {
      const table = this.qualifiedName();
      const options: { including: boolean; what: string }[] = [];
      while (this.is("including") || this.is("excluding")) {
        const including = this.label() === "including";
        const words = [
          "comments",
          "compression",
          "constraints",
          "defaults",
          "identity",
          "generated",
          "indexes",
        ];
        const what = [...words, "statistics", "storage", "all"].find((word) => this.is(word));
        if (what === undefined) this.fail();
        this.SKIP_TOKEN();
        options.push({ including, what });
      }
      return { kind: "like", table, options, position };
    }
    return this.columnDef();
  }

  /** ( column [WITH OPTIONS] constraints | table constraint, .. ) of typed tables and partitions. */
  private typedElements(): ast.TableElement[] {
    if (!this.isType(LeftParen)) return [];
    return this.parens(() =>
      this.list((): ast.TableElement => {
        const position = this.here();
        if (this.startsConstraint())
          return { kind: "constraint", constraint: this.tableConstraint(), position };
        const name = this.name();
        this.accept("with", "options");
        const { constraints, collation } = this.columnConstraints();
        return {
          kind: "column",
          name,
          type: undefined,
          collation,
          compression: undefined,
          constraints,
          position,
        };
      }),
    );
  }

  protected partitionBound(): ast.PartitionBound {
    if (this.accept("default")) return { kind: "default" };
    this.eat("for", "values");
    return this.oneOf<ast.PartitionBound>({
      in: () => ({ kind: "in", values: this.parens(() => this.expressions()) }),
      from: () => {
        const from = this.parens(() => this.expressions());
        this.eat("to");
        return { kind: "range", from, to: this.parens(() => this.expressions()) };
      },
      with: () => {
        const options = new Map<string, number>();
        this.parens(() =>
          this.list(() => {
            const at = this.peek();
            if (!this.is("modulus") && !this.is("remainder")) {
              throw new GrammarError(
                "syntaxError",
                `unrecognized hash partition bound specification "${at.value}"`,
                at.startOffset,
              );
            }
            this.SKIP_TOKEN();
            options.set(at.value, this.integerConstant());
          }),
        );
        const modulus = options.get("modulus");
        const remainder = options.get("remainder");
        if (modulus === undefined || remainder === undefined) {
          const missing = modulus === undefined ? "modulus" : "remainder";
          throw new GrammarError("syntaxError", `${missing} for hash partition must be specified`, undefined);
        }
        return { kind: "hash", modulus, remainder };
      },
    });
  }

  private partitionSpec(): ast.PartitionSpec | undefined {
    if (!this.is("partition") || !this.is("by", 2)) return undefined;
    const position = this.here();
    this.eat("partition", "by");
    const strategy = this.name();
    const elements = this.parens(() => this.list(() => this.indexElement()));
    return { strategy, elements, position };
  }

  /** SHARD BY HASH (..) | RANGE (..) | NONE, SHARD KEY (..), REPLICATED. */
  protected shardClause(): ast.ShardClause | undefined {
    const position = this.here();
    if (this.accept("replicated")) return { kind: "replicated", position };
    if (!this.accept("shard")) return undefined;
    if (this.accept("key")) return { kind: "hash", columns: this.nameList(), position };
    this.eat("by");
    return this.oneOf<ast.ShardClause>({
      hash: () => ({ kind: "hash", columns: this.nameList(), position }),
      range: () => ({ kind: "range", columns: this.nameList(), position }),
      none: () => ({ kind: "none", position }),
      replicated: () => ({ kind: "replicated", position }),
    });
  }

  // ---------------------------------------------------------------------------------------------------------- indexes

  /** After CREATE [UNIQUE] INDEX. */
  protected createIndex(unique: boolean, position: number): ast.CreateIndex {
    const concurrently = this.accept("concurrently");
    const ifNotExists = this.ifNotExists();
    const name = ifNotExists || !this.is("on") ? this.name() : undefined;
    this.eat("on");
    const table = this.relationExpr();
    const method = this.accept("using") ? this.name() : undefined;
    const elements = this.parens(() => this.list(() => this.indexElement()));
    const include = this.accept("include") ? this.parens(() => this.list(() => this.indexElement())) : [];
    const nullsNotDistinct = this.nullsNotDistinct();
    const options = this.withOptions();
    const tablespace = this.optionalTablespace();
    const where = this.accept("where") ? this.expression() : undefined;
    return {
      kind: "createIndex",
      unique,
      concurrently,
      ifNotExists,
      name,
      table: table.name,
      only: table.only,
      method,
      elements,
      include,
      nullsNotDistinct,
      with: options,
      tablespace,
      where,
      position,
    };
  }

  /** column | function(..) | (expression), then collation, operator class, direction, nulls. */
  protected indexElement(): ast.IndexElement {
    const position = this.here();
    let column: string | undefined;
    let expr: ast.Expr | undefined;
    if (this.RECORDING_PHASE) column = this.name();
    else if (this.isType(LeftParen)) expr = this.parens(() => this.expression());
    else if (this.fits(ColumnName) && !this.isType(LeftParen, 2) && !this.isType(Dot, 2))
      column = this.name();
    else {
      expr = this.parsePrimary();
      if (expr.kind === "columnRef") this.fail();
    }
    const collation = this.when("collate", () => this.qualifiedName());
    let opclass: ast.QualifiedName | undefined;
    let opclassOptions: ast.Option[] = [];
    if (!this.RECORDING_PHASE && this.fits(ColumnName) && !this.is("nulls")) {
      opclass = this.qualifiedName();
      if (this.isType(LeftParen)) opclassOptions = this.optionList();
    }
    const direction = this.accept("asc") ? "asc" : this.accept("desc") ? "desc" : undefined;
    return {
      column,
      expr,
      collation,
      opclass,
      opclassOptions,
      direction,
      nulls: this.nullsOrder(),
      position,
    };
  }

  // -------------------------------------------------------------------------------------------------------- sequences

  protected sequenceOptions(): ast.SequenceOption[] {
    const options: ast.SequenceOption[] = [];
    if (this.RECORDING_PHASE) return options;
    for (let option = this.sequenceOption(); option !== undefined; option = this.sequenceOption()) {
      options.push(option);
    }
    return options;
  }

  private sequenceOption(): ast.SequenceOption | undefined {
    const position = this.here();
    if (this.accept("as")) return { kind: "as", type: this.typeName(), position };
    if (this.accept("increment")) {
      this.accept("by");
      return { kind: "increment", value: this.signedNumber(), position };
    }
    if (this.accept("start")) {
      this.accept("with");
      return { kind: "start", value: this.signedNumber(), position };
    }
    if (this.accept("minvalue")) return { kind: "minValue", value: this.signedNumber(), position };
    if (this.accept("maxvalue")) return { kind: "maxValue", value: this.signedNumber(), position };
    if (this.accept("cache")) return { kind: "cache", value: this.signedNumber(), position };
    if (this.accept("cycle")) return { kind: "cycle", position };
    if (this.accept("no")) {
      return this.oneOf<ast.SequenceOption>({
        minvalue: () => ({ kind: "noMinValue", position }),
        maxvalue: () => ({ kind: "noMaxValue", position }),
        cycle: () => ({ kind: "noCycle", position }),
      });
    }
    if (this.accept("restart")) {
      const given = this.is("with") || this.isType(Integer) || this.isType(Decimal) || this.isType(Minus);
      this.accept("with");
      return { kind: "restart", value: given ? this.signedNumber() : undefined, position };
    }
    if (this.accept("owned", "by")) {
      if (this.accept("none")) return { kind: "ownedBy", column: undefined, position };
      const parts = [this.name()];
      while (this.acceptType(Dot)) parts.push(this.label());
      return { kind: "ownedBy", column: parts, position };
    }
    if (this.accept("sequence", "name"))
      return { kind: "sequenceName", name: this.qualifiedName(), position };
    if (this.accept("logged")) return { kind: "logged", position };
    if (this.accept("unlogged")) return { kind: "unlogged", position };
    return undefined;
  }

  // ------------------------------------------------------------------------------------------------------ ALTER TABLE

  /** Actions of ALTER TABLE, INDEX, VIEW, SEQUENCE (after the name), or undefined for one that is no action. */
  protected alterActions(): ast.AlterTableAction[] {
    return this.list(() => this.alterAction());
  }

  private alterAction(): ast.AlterTableAction {
    const position = this.here();
    return this.oneOf<ast.AlterTableAction>(
      {
        add: () => this.addAction(position),
        drop: () => this.dropAction(position),
        alter: () => this.alterColumnAction(position),
        validate: () => {
          this.eat("constraint");
          return { kind: "validateConstraint", name: this.name(), position };
        },
        set: () => this.setAction(position),
        reset: () => ({ kind: "resetOptions", options: this.optionList(), position }),
        owner: () => {
          this.eat("to");
          return { kind: "ownerTo", role: this.roleSpec(), position };
        },
        cluster: () => {
          this.eat("on");
          return { kind: "clusterOn", index: this.name(), position };
        },
        inherit: () => ({ kind: "inherit", parent: this.qualifiedName(), position }),
        no: () => {
          if (this.accept("force")) {
            this.eat("row", "level", "security");
            return { kind: "rowSecurity", mode: "noForce", position };
          }
          this.eat("inherit");
          return { kind: "noInherit", parent: this.qualifiedName(), position };
        },
        of: () => ({ kind: "ofType", type: this.qualifiedName(), position }),
        not: () => {
          this.eat("of");
          return { kind: "notOf", position };
        },
        replica: () => {
          this.eat("identity");
          if (this.accept("using", "index")) {
            return { kind: "replicaIdentity", identity: "index", index: this.name(), position };
          }
          const identity = this.oneOf<"default" | "full" | "nothing">({
            default: () => "default",
            full: () => "full",
            nothing: () => "nothing",
          });
          return { kind: "replicaIdentity", identity, position };
        },
        enable: () => this.enableAction(position),
        disable: () => {
          if (this.accept("row")) {
            this.eat("level", "security");
            return { kind: "rowSecurity", mode: "disable", position };
          }
          return this.triggerAction("disable", position);
        },
        force: () => {
          this.eat("row", "level", "security");
          return { kind: "rowSecurity", mode: "force", position };
        },
        attach: () => {
          this.eat("partition");
          const table = this.qualifiedName();
          const bound = this.is("for") || this.is("default") ? this.partitionBound() : undefined;
          return { kind: "attachPartition", table, bound, position };
        },
        detach: () => {
          this.eat("partition");
          const table = this.qualifiedName();
          const concurrently = this.accept("concurrently");
          const finalize = !concurrently && this.accept("finalize");
          return { kind: "detachPartition", table, concurrently, finalize, position };
        },
        options: () => {
          this.skipParens();
          return { kind: "unsupportedAction", feature: "ALTER FOREIGN TABLE ... OPTIONS", position };
        },
      },
      () => {
        const shard = this.shardClause();
        if (shard !== undefined) return { kind: "shardBy", shard, position };
        const options = this.sequenceOptions();
        if (options.length === 0) return this.impossible();
        return { kind: "sequenceOptions", options, position };
      },
    );
  }

  private addAction(position: number): ast.AlterTableAction {
    if (this.startsConstraint())
      return { kind: "addConstraint", constraint: this.tableConstraint(), position };
    if (this.accept("attribute")) {
      const at = this.here();
      const column = this.parseColumnType(this.name(), at);
      return { kind: "addAttribute", column, cascade: this.cascade(), position };
    }
    this.accept("column");
    const ifNotExists = this.ifNotExists();
    return { kind: "addColumn", column: this.columnDef(), ifNotExists, position };
  }

  private dropAction(position: number): ast.AlterTableAction {
    if (this.accept("constraint")) {
      const ifExists = this.ifExists();
      return { kind: "dropConstraint", name: this.name(), ifExists, cascade: this.cascade(), position };
    }
    if (this.accept("attribute")) {
      const ifExists = this.ifExists();
      return { kind: "dropAttribute", name: this.name(), ifExists, cascade: this.cascade(), position };
    }
    this.accept("column");
    const ifExists = this.ifExists();
    return { kind: "dropColumn", column: this.name(), ifExists, cascade: this.cascade(), position };
  }

  private alterColumnAction(position: number): ast.AlterTableAction {
    if (this.accept("constraint")) {
      return { kind: "alterConstraint", name: this.name(), timing: this.constraintTiming(), position };
    }
    if (this.accept("attribute")) {
      const name = this.name();
      this.accept("set", "data");
      this.eat("type");
      const type = this.typeName();
      const collation = this.when("collate", () => this.qualifiedName());
      return { kind: "alterAttribute", name, type, collation, cascade: this.cascade(), position };
    }
    this.accept("column");
    if (this.isType(Integer)) {
      const column = this.integerConstant();
      this.eat("set", "statistics");
      return { kind: "setStatistics", column, target: this.signedInteger(), position };
    }
    const column = this.name();
    return this.oneOf<ast.AlterTableAction>({
      type: () => this.alterType(column, position),
      set: () => this.setColumn(column, position),
      drop: () =>
        this.oneOf<ast.AlterTableAction>({
          default: () => ({ kind: "dropDefault", column, position }),
          not: () => {
            this.eat("null");
            return { kind: "dropNotNull", column, position };
          },
          expression: () => ({ kind: "dropExpression", column, ifExists: this.ifExists(), position }),
          identity: () => ({ kind: "dropIdentity", column, ifExists: this.ifExists(), position }),
        }),
      add: () => {
        this.eat("generated");
        const always = this.accept("always") || (this.eat("by", "default"), false);
        this.eat("as", "identity");
        const options = this.isType(LeftParen) ? this.parens(() => this.sequenceOptions()) : [];
        return { kind: "addIdentity", column, always, options, position };
      },
      reset: () => ({ kind: "resetColumnOptions", column, options: this.optionList(), position }),
      restart: () => {
        const given = this.is("with") || this.isType(Integer) || this.isType(Decimal) || this.isType(Minus);
        this.accept("with");
        const value = given ? this.signedNumber() : undefined;
        return { kind: "setIdentity", column, options: [{ kind: "restart", value, position }], position };
      },
      options: () => {
        this.skipParens();
        return { kind: "unsupportedAction", feature: "ALTER FOREIGN TABLE ... OPTIONS", position };
      },
    });
  }

  private alterType(column: string, position: number): ast.AlterTableAction {
    const type = this.typeName();
    const collation = this.when("collate", () => this.qualifiedName());
    const using = this.accept("using") ? this.expression() : undefined;
    return { kind: "alterType", column, type, collation, using, position };
  }

  /** After ALTER COLUMN c SET. */
  private setColumn(column: string, position: number): ast.AlterTableAction {
    if (this.isType(LeftParen))
      return { kind: "setColumnOptions", column, options: this.optionList(), position };
    return this.oneOf<ast.AlterTableAction>(
      {
        default: () => ({ kind: "setDefault", column, expr: this.expression(), position }),
        not: () => {
          this.eat("null");
          return { kind: "setNotNull", column, position };
        },
        data: () => {
          this.eat("type");
          return this.alterType(column, position);
        },
        statistics: () => ({ kind: "setStatistics", column, target: this.signedInteger(), position }),
        storage: () => ({ kind: "setStorage", column, value: this.name(), position }),
        compression: () => {
          const value = this.accept("default") ? "default" : this.name();
          return { kind: "setCompression", column, value, position };
        },
        generated: () => {
          const always = this.accept("always") || (this.eat("by", "default"), false);
          return { kind: "setIdentity", column, always, options: this.identityOptions(), position };
        },
      },
      () => {
        const option = this.sequenceOption();
        if (option === undefined) return this.impossible();
        return { kind: "setIdentity", column, options: [option, ...this.identityOptions()], position };
      },
    );
  }

  /** SET option SET option .. of identity columns. */
  private identityOptions(): ast.SequenceOption[] {
    const options: ast.SequenceOption[] = [];
    while (!this.RECORDING_PHASE && (this.is("set") || this.is("restart"))) {
      this.accept("set");
      const option = this.sequenceOption();
      if (option === undefined) this.fail();
      options.push(option);
    }
    return options;
  }

  /** After SET in ALTER TABLE. */
  private setAction(position: number): ast.AlterTableAction {
    if (this.isType(LeftParen)) return { kind: "setOptions", options: this.optionList(), position };
    return this.oneOf<ast.AlterTableAction>({
      tablespace: () => {
        const tablespace = this.name();
        return { kind: "setTablespace", tablespace, noWait: this.accept("nowait"), position };
      },
      logged: () => ({ kind: "setLogged", position }),
      unlogged: () => ({ kind: "setUnlogged", position }),
      without: () => {
        if (this.accept("cluster")) return { kind: "setWithoutCluster", position };
        this.eat("oids");
        return { kind: "setWithoutOids", position };
      },
      access: () => {
        this.eat("method");
        return { kind: "setAccessMethod", method: this.name(), position };
      },
    });
  }

  private enableAction(position: number): ast.AlterTableAction {
    if (this.accept("row")) {
      this.eat("level", "security");
      return { kind: "rowSecurity", mode: "enable", position };
    }
    if (this.accept("always")) return this.triggerAction("enableAlways", position);
    if (this.accept("replica")) return this.triggerAction("enableReplica", position);
    return this.triggerAction("enable", position);
  }

  private triggerAction(
    mode: "enable" | "enableAlways" | "enableReplica" | "disable",
    position: number,
  ): ast.AlterTableAction {
    const kind = this.accept("rule") ? "rule" : (this.eat("trigger"), "trigger");
    const base = { kind: kind as "rule" | "trigger", mode, position };
    if (this.accept("all")) return { ...base, name: undefined, user: false };
    if (this.accept("user")) return { ...base, name: undefined, user: true };
    return { ...base, name: this.name(), user: false };
  }
}
