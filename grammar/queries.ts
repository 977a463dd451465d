/**
 * SELECT, set operations, VALUES, WITH, FROM; INSERT, UPDATE, DELETE, MERGE.
 *
 * Invariants: INTERSECT binds tighter than UNION and EXCEPT, all are left-associative; ORDER BY, LIMIT and locking belong
 * to the outermost query they can; a second clause of a kind on one query is 42601 as in PostgreSQL.
 */
import type * as ast from "../src/sql/ast.js";
import { chainMax, type Mutable } from "./base.js";
import { ExpressionRules } from "./expressions.js";
import {
  BareLabel,
  ColumnName,
  Comma,
  Decimal,
  Dot,
  Equals,
  GrammarError,
  Integer,
  LeftBracket,
  LeftParen,
  Minus,
  Plus,
  RightParen,
  Semicolon,
  Star,
  TypeOrFunctionName,
} from "./tokens.js";

const setOperations = new Set(["union", "intersect", "except"]);
const joinStarts = new Set(["join", "inner", "left", "right", "full", "cross", "natural"]);
/** Calls without parentheses that may stand in FROM. */
const functionValues = new Set([
  "current_date",
  "current_time",
  "current_timestamp",
  "localtime",
  "localtimestamp",
  "current_role",
  "current_user",
  "session_user",
  "user",
  "current_catalog",
  "current_schema",
]);
/** Functions with a syntax of their own that may stand in FROM. */
const functionForms = new Set([
  "cast",
  "coalesce",
  "collation",
  "extract",
  "greatest",
  "least",
  "normalize",
  "nullif",
  "overlay",
  "position",
  "substring",
  "treat",
  "trim",
  "xmlconcat",
  "xmlelement",
  "xmlexists",
  "xmlforest",
  "xmlparse",
  "xmlpi",
  "xmlroot",
  "xmlserialize",
]);

type MutableQuery = Mutable<ast.Select> | Mutable<ast.SetOperation> | Mutable<ast.Values>;

function multiple(clause: string, position: number): GrammarError {
  return new GrammarError("syntaxError", `multiple ${clause} clauses not allowed`, position - 1);
}

export abstract class QueryRules extends ExpressionRules {
  /** A column definition (statements.ts), for column lists of table functions. */
  protected abstract parseColumnType(name: string, position: number): ast.ColumnDef;
  /** An index element (statements.ts), for ON CONFLICT. */
  protected abstract indexElement(): ast.IndexElement;

  // -------------------------------------------------------------------------------------------------------- queries

  /** [WITH ..] select [set operation ..] [ORDER BY ..] [LIMIT ..] [FOR ..] */
  readonly queryRule = this.RULE("queryRule", (): ast.Query => {
    const withClause = this.is("with") ? this.withClause() : undefined;
    return this.queryAfterWith(withClause);
  });

  protected parseQuery(): ast.Query {
    return this.SUBRULE(this.queryRule);
  }

  protected queryAfterWith(withClause: ast.WithClause | undefined): ast.Query {
    this.enter();
    const query = this.queryTail(this.setOperation(this.queryOperand(), 1)) as MutableQuery;
    if (withClause !== undefined) {
      if (query.with !== undefined) throw multiple("WITH", query.with.position);
      query.with = withClause;
    }
    this.leave();
    return query;
  }

  protected continueQuery(first: ast.Query): ast.Query {
    return this.queryTail(this.setOperation(first, 1));
  }

  /** Strength 1: UNION and EXCEPT; 2: INTERSECT. */
  private setOperation(first: ast.Query, weakest: number): ast.Query {
    let left = first;
    let chain = 0;
    while (!this.RECORDING_PHASE && this.isAny(setOperations)) {
      const position = this.here();
      const operation = this.peek().value as "union" | "intersect" | "except";
      const strength = operation === "intersect" ? 2 : 1;
      if (strength < weakest) return left;
      if (++chain > chainMax) this.tooDeep();
      this.SKIP_TOKEN();
      const all = this.accept("all");
      if (!all) this.accept("distinct");
      const right = this.setOperation(this.queryOperand(), strength + 1);
      left = {
        kind: "setOperation",
        operation,
        all,
        left,
        right,
        with: undefined,
        orderBy: [],
        limit: undefined,
        withTies: false,
        offset: undefined,
        locking: [],
        position,
      };
    }
    return left;
  }

  private queryOperand(): ast.Query {
    if (this.RECORDING_PHASE) {
      this.or(0, [
        { ALT: () => this.selectCore() },
        { ALT: () => this.valuesCore() },
        { ALT: () => void this.parens(() => this.SUBRULE(this.queryRule)) },
      ]);
      return this.valuesCore();
    }
    if (this.isType(LeftParen)) {
      if (!this.startsQuery()) {
        while (this.acceptType(LeftParen));
        this.fail();
      }
      return this.queryInParens();
    }
    if (this.is("select")) return this.selectCore();
    if (this.is("values")) return this.valuesCore();
    if (this.is("table")) return this.tableCore();
    return this.fail();
  }

  /** VALUES ( .. ), .. */
  private valuesCore(): ast.Values {
    const position = this.here();
    this.eat("values");
    const rows = this.list(() => this.valuesRow());
    return { ...emptyTail(position), kind: "values", rows };
  }

  /** One row of VALUES; also parsed alone when long lists are read row by row. */
  readonly valuesRowRule = this.RULE("valuesRowRule", (): ast.Expr[] => this.valuesRow());

  protected valuesRow(): ast.Expr[] {
    if (this.RECORDING_PHASE) return this.parens(() => this.expressions());
    this.eatType(LeftParen);
    const row = this.plainExpressions();
    this.eatType(RightParen);
    return row;
  }

  /** TABLE t is SELECT * FROM t. */
  private tableCore(): ast.Select {
    const position = this.here();
    this.eat("table");
    const table = this.relationExpr();
    const star: ast.Target = {
      expr: { kind: "columnRef", parts: [], star: true, position },
      alias: undefined,
      position,
    };
    return {
      ...emptySelect(position),
      targets: [star],
      from: [{ kind: "table", name: table.name, only: table.only, position: table.position }],
    };
  }

  private selectCore(): ast.Select {
    const position = this.here();
    this.eat("select");
    const select: Mutable<ast.Select> = emptySelect(position);
    if (this.accept("distinct")) {
      select.distinct = { on: this.accept("on") ? this.parens(() => this.plainExpressions()) : [] };
    } else this.accept("all");
    if (!this.endsTargetList()) select.targets = this.targets();
    else if (select.distinct !== undefined) this.fail();
    if (this.accept("into")) select.into = this.intoClause();
    if (this.accept("from")) select.from = this.fromList();
    if (this.accept("where")) select.where = this.expression();
    if (this.accept("group", "by")) {
      if (this.accept("distinct")) select.groupDistinct = true;
      else this.accept("all");
      select.groupBy = this.list(() => this.groupItem());
    }
    if (this.accept("having")) select.having = this.expression();
    if (this.accept("window")) {
      select.windows = this.list(() => {
        const at = this.here();
        const name = this.name();
        this.eat("as");
        return this.windowSpec(at, name);
      });
    }
    return select;
  }

  /** An empty select list is legal: whatever ends it follows at once. */
  private endsTargetList(): boolean {
    if (this.RECORDING_PHASE) return false;
    const token = this.peek();
    switch (token.tokenType) {
      case RightParen:
      case Semicolon:
        return true;
      default:
    }
    switch (token.tokenType.name) {
      case "EOF":
      case "into":
      case "from":
      case "where":
      case "group":
      case "having":
      case "window":
      case "union":
      case "intersect":
      case "except":
      case "order":
      case "limit":
      case "offset":
      case "fetch":
      case "for":
      case "with":
        return true;
      default:
        return false;
    }
  }

  protected targets(): ast.Target[] {
    return this.list(() => this.target());
  }

  private target(): ast.Target {
    const position = this.here();
    if (this.acceptType(Star)) {
      return { expr: { kind: "columnRef", parts: [], star: true, position }, alias: undefined, position };
    }
    const outer = this.targetDepth;
    this.targetDepth = this.depth + 1;
    const expr = this.expression();
    this.targetDepth = outer;
    let alias: string | undefined;
    if (this.accept("as")) alias = this.label();
    else if (this.fits(BareLabel)) alias = this.label();
    return { expr, alias, position };
  }

  private intoClause(): ast.IntoClause {
    const persistence = this.persistence();
    this.accept("table");
    return { table: this.qualifiedName(), persistence };
  }

  /** [LOCAL | GLOBAL] TEMP[ORARY] | UNLOGGED, before a table's name. */
  protected persistence(): ast.Persistence {
    if ((this.is("local") || this.is("global")) && (this.is("temp", 2) || this.is("temporary", 2))) {
      this.SKIP_TOKEN();
    }
    if (this.is("temp") || this.is("temporary")) {
      this.SKIP_TOKEN();
      return "temporary";
    }
    return this.accept("unlogged") ? "unlogged" : "permanent";
  }

  private groupItem(): ast.GroupItem {
    const position = this.here();
    const nested = (): ast.GroupItem[] => this.parens(() => this.list(() => this.groupItem()));
    if (this.isType(LeftParen) && this.isType(RightParen, 2)) {
      this.SKIP_TOKEN();
      this.SKIP_TOKEN();
      return { kind: "emptySet", position };
    }
    if (this.is("grouping") && this.is("sets", 2)) {
      this.eat("grouping", "sets");
      return { kind: "groupingSets", items: nested(), position };
    }
    for (const kind of ["rollup", "cube"] as const) {
      if (!this.is(kind) || !this.isType(LeftParen, 2)) continue;
      this.SKIP_TOKEN();
      const items = this.parens(() =>
        this.plainExpressions().map((expr): ast.GroupItem => ({ kind: "expr", expr })),
      );
      return { kind, items, position };
    }
    const expr = this.expression();
    if (expr.kind === "literalParam") this.refuseSharing(); // an ordinal
    return { kind: "expr", expr };
  }

  /** ORDER BY, LIMIT/OFFSET/FETCH and locking clauses, attached to the query they follow. */
  private queryTail(query: ast.Query): ast.Query {
    const target = query as MutableQuery;
    if (this.is("order")) {
      const position = this.here();
      this.eat("order", "by");
      if (target.orderBy.length > 0) throw multiple("ORDER BY", position);
      target.orderBy = this.sortItems();
    }
    // At most: locking then limits, or limits then locking.
    if (this.is("for")) this.lockingClauses(target);
    this.limitClauses(target);
    if (this.is("for") && target.locking.length === 0) this.lockingClauses(target);
    return query;
  }

  private limitClauses(query: MutableQuery): void {
    let limited = false;
    let skipped = false;
    for (;;) {
      const position = this.here();
      if (!limited && this.accept("limit")) {
        limited = true;
        if (query.limit !== undefined) throw multiple("LIMIT", position);
        if (!this.accept("all")) query.limit = this.expression();
        if (this.isType(Comma)) {
          throw new GrammarError(
            "syntaxError",
            "LIMIT #,# syntax is not supported",
            position - 1,
            "Use separate LIMIT and OFFSET clauses.",
          );
        }
      } else if (!limited && this.is("fetch")) {
        limited = true;
        if (query.limit !== undefined) throw multiple("LIMIT", position);
        this.fetchFirst(query);
      } else if (!skipped && this.accept("offset")) {
        skipped = true;
        if (query.offset !== undefined) throw multiple("OFFSET", position);
        query.offset = this.expression();
        if (!this.accept("rows")) this.accept("row");
      } else return;
    }
  }

  /** FETCH FIRST|NEXT [n] ROW|ROWS ONLY | WITH TIES. */
  private fetchFirst(query: MutableQuery): void {
    this.eat("fetch");
    if (!this.accept("first")) this.eat("next");
    const position = this.here();
    if (this.is("row") && (this.is("only", 2) || this.is("with", 2))) {
      query.limit = { kind: "number", class: "int4", text: "1", position };
    } else if (this.is("rows")) query.limit = { kind: "number", class: "int4", text: "1", position };
    else query.limit = this.fetchCount();
    if (!this.accept("rows")) this.eat("row");
    if (this.accept("only")) return;
    this.eat("with", "ties");
    if (query.orderBy.length === 0) {
      throw new GrammarError(
        "syntaxError",
        "WITH TIES cannot be specified without ORDER BY clause",
        undefined,
      );
    }
    query.withTies = true;
  }

  /** c_expr or a signed number. */
  private fetchCount(): ast.Expr {
    if (!this.isType(Minus) && !this.isType(Plus)) return this.parsePrimary();
    const position = this.here();
    const operator = { name: this.peek().value };
    this.SKIP_TOKEN();
    if (!this.isType(Integer) && !this.isType(Decimal)) this.fail();
    return { kind: "unary", operator, arg: this.parsePrimary(), position };
  }

  private lockingClauses(query: MutableQuery): void {
    const clauses: ast.LockingClause[] = [...query.locking];
    while (this.is("for")) {
      const position = this.here();
      this.eat("for");
      if (this.accept("read", "only")) continue;
      const strength = this.oneOf<ast.LockingClause["strength"]>({
        update: () => "update",
        no: () => {
          this.eat("key", "update");
          return "noKeyUpdate";
        },
        share: () => "share",
        key: () => {
          this.eat("share");
          return "keyShare";
        },
      });
      const tables = this.accept("of") ? this.qualifiedNames() : [];
      let waitPolicy: ast.LockingClause["waitPolicy"] = "wait";
      if (this.accept("nowait")) waitPolicy = "noWait";
      else if (this.accept("skip", "locked")) waitPolicy = "skipLocked";
      clauses.push({ strength, tables, waitPolicy, position });
    }
    query.locking = clauses;
  }

  // ----------------------------------------------------------------------------------------------------------- WITH

  protected withClause(): ast.WithClause {
    const position = this.here();
    this.eat("with");
    const recursive = this.accept("recursive");
    return { recursive, ctes: this.list(() => this.commonTable()), position };
  }

  private commonTable(): ast.CommonTableExpr {
    const position = this.here();
    const name = this.name();
    const columns = this.optionalNameList();
    this.eat("as");
    let materialized: boolean | undefined;
    if (this.accept("materialized")) materialized = true;
    else if (this.accept("not", "materialized")) materialized = false;
    this.eatType(LeftParen);
    this.enter();
    const statement = this.preparable("cte") as ast.CommonTableExpr["statement"];
    this.leave();
    this.eatType(RightParen);
    const search = this.when("search", () => {
      const at = this.here() - 7;
      const order = this.accept("depth") ? "depth" : (this.eat("breadth"), "breadth");
      this.eat("first", "by");
      const by = this.names();
      this.eat("set");
      return { order: order as "depth" | "breadth", columns: by, sequence: this.name(), position: at };
    });
    const cycle = this.when("cycle", () => {
      const at = this.here() - 6;
      const by = this.names();
      this.eat("set");
      const mark = this.name();
      let value: ast.Expr | undefined;
      let otherwise: ast.Expr | undefined;
      if (this.accept("to")) {
        value = this.parsePrimary();
        this.eat("default");
        otherwise = this.parsePrimary();
      }
      this.eat("using");
      return { columns: by, mark, value, otherwise, path: this.name(), position: at };
    });
    return { name, columns, materialized, statement, search, cycle, position };
  }

  /** SELECT, INSERT, UPDATE, DELETE (MERGE too unless in a CTE), with their WITH. */
  protected preparable(place: "cte" | "top"): ast.PreparableStatement {
    if (this.RECORDING_PHASE) return this.SUBRULE(this.queryRule);
    const withClause = this.is("with") ? this.withClause() : undefined;
    if (this.is("insert")) return this.insert(withClause);
    if (this.is("update")) return this.update(withClause);
    if (this.is("delete")) return this.deleteFrom(withClause);
    if (this.is("merge") && place === "top") return this.merge(withClause);
    return this.queryAfterWith(withClause);
  }

  // ----------------------------------------------------------------------------------------------------------- FROM

  protected fromList(): ast.FromItem[] {
    return this.list(() => this.fromItem());
  }

  /** A table reference and the joins that follow it. */
  protected fromItem(): ast.FromItem {
    if (this.RECORDING_PHASE) return this.tableRef(this.relationExpr());
    this.enter();
    let left = this.fromPrimary();
    let chain = 0;
    while (this.isAny(joinStarts)) {
      if (++chain > chainMax) this.tooDeep();
      left = this.join(left);
    }
    this.leave();
    return left;
  }

  private join(left: ast.FromItem): ast.FromItem {
    const position = this.here();
    const base = { kind: "join", left, alias: undefined, position } as const;
    if (this.accept("cross", "join")) {
      return { ...base, type: "cross", natural: false, right: this.fromPrimary() };
    }
    const natural = this.accept("natural");
    const type = this.joinType();
    if (natural) return { ...base, type, natural, right: this.fromPrimary() };
    // `a JOIN b JOIN c ON .. ON ..`: joins without a qualification yet belong to the right side.
    let right = this.fromPrimary();
    while (this.isAny(joinStarts)) right = this.join(right);
    if (this.accept("using")) {
      const using = this.nameList();
      const usingAlias = this.accept("as") ? this.name() : undefined;
      return { ...base, type, natural, right, using, usingAlias };
    }
    this.eat("on");
    return { ...base, type, natural, right, on: this.expression() };
  }

  private joinType(): "inner" | "left" | "right" | "full" {
    for (const type of ["left", "right", "full"] as const) {
      if (!this.accept(type)) continue;
      this.accept("outer");
      this.eat("join");
      return type;
    }
    this.accept("inner");
    this.eat("join");
    return "inner";
  }

  private fromPrimary(): ast.FromItem {
    const position = this.here();
    if (this.isType(LeftParen)) return this.parenthesizedFrom(false, position);
    if (this.is("lateral")) {
      this.SKIP_TOKEN();
      if (this.isType(LeftParen)) return this.parenthesizedFrom(true, position);
      return this.functionRef(true, position);
    }
    if (this.is("only")) return this.tableRef(this.relationExpr());
    const word = this.peek().tokenType.name;
    if (word === "rows" && this.is("from", 2)) return this.functionRef(false, position);
    if (functionValues.has(word)) return this.functionRef(false, position);
    if (this.fits(TypeOrFunctionName) && !this.fits(ColumnName)) return this.functionRef(false, position);
    if (this.isType(LeftParen, 2)) {
      if (word === "xmltable") {
        this.SKIP_TOKEN();
        this.skipParens();
        throw new GrammarError("featureNotSupported", "XMLTABLE is not supported yet", position - 1);
      }
      if (functionForms.has(word) || this.fits(TypeOrFunctionName)) return this.functionRef(false, position);
    }
    // schema.function( needs a look behind the dots.
    let ahead = 2;
    while (this.isType(Dot, ahead)) ahead += 2;
    if (ahead > 2 && this.isType(LeftParen, ahead) && this.fits(ColumnName)) {
      return this.functionRef(false, position);
    }
    return this.tableRef(this.relationExpr());
  }

  /** `(query) alias`, `(a JOIN b)`, with any number of parentheses around. */
  private parenthesizedFrom(lateral: boolean, position: number): ast.FromItem {
    this.enter();
    const couldBeQuery = this.startsQuery();
    let item: ast.FromItem | undefined;
    if (couldBeQuery && !this.isType(LeftParen, 2)) {
      const query = this.queryInParens();
      item = { kind: "subqueryRef", lateral, query, alias: undefined, position };
    } else if (couldBeQuery) {
      // `((SELECT ..) ..`: a query in parentheses, or a join whose first table is one.
      this.eatType(LeftParen);
      const inner = this.parenthesizedFrom(false, this.here());
      if (inner.kind === "subqueryRef" && inner.alias === undefined && !this.isAny(joinStarts)) {
        const query = this.continueQuery(inner.query);
        this.eatType(RightParen);
        item = { kind: "subqueryRef", lateral, query, alias: undefined, position };
      } else {
        if (lateral) this.fail();
        item = this.closeJoin(inner);
      }
    } else {
      if (lateral) {
        this.eatType(LeftParen);
        this.fail();
      }
      this.eatType(LeftParen);
      item = this.closeJoin(this.fromPrimary());
    }
    this.leave();
    if (item.kind === "subqueryRef" && item.alias === undefined) {
      return { ...item, alias: this.optionalAlias() };
    }
    if (item.kind === "join" && item.alias === undefined) {
      const alias = this.optionalAlias();
      return alias === undefined ? item : { ...item, alias };
    }
    return item;
  }

  /** The joins inside parentheses, of which there must be one, and the closing parenthesis. */
  private closeJoin(first: ast.FromItem): ast.FromItem {
    let left = first;
    if (left.kind !== "join" && !this.isAny(joinStarts)) this.fail();
    while (this.isAny(joinStarts)) left = this.join(left);
    this.eatType(RightParen);
    return left;
  }

  /** [ONLY] name [*], ONLY (name). */
  protected relationExpr(): { name: ast.QualifiedName; only: boolean; position: number } {
    const position = this.here();
    if (this.accept("only")) {
      const name = this.isType(LeftParen) ? this.parens(() => this.qualifiedName()) : this.qualifiedName();
      return { name, only: true, position };
    }
    const name = this.qualifiedName();
    this.acceptType(Star);
    return { name, only: false, position };
  }

  private tableRef(table: { name: ast.QualifiedName; only: boolean; position: number }): ast.TableRef {
    const alias = this.optionalAlias();
    const at = this.here();
    const sample = this.when("tablesample", () => {
      const parts = this.qualifiedFrom(this.eatType(TypeOrFunctionName));
      const args = this.parens(() => this.expressions());
      const repeatable = this.accept("repeatable") ? this.parens(() => this.expression()) : undefined;
      return { method: parts, args, repeatable, position: at };
    });
    return { kind: "table", name: table.name, only: table.only, alias, sample, position: table.position };
  }

  /** [AS] name [(columns)]. */
  private optionalAlias(): ast.Alias | undefined {
    const position = this.here();
    if (this.accept("as")) return { name: this.name(), columns: this.optionalNameList(), position };
    if (this.RECORDING_PHASE || !this.fits(ColumnName)) return undefined;
    return { name: this.name(), columns: this.optionalNameList(), position };
  }

  private functionRef(lateral: boolean, position: number): ast.FunctionRef {
    const functions: { call: ast.Expr; columns: readonly ast.ColumnDef[] }[] = [];
    const rowsFrom = this.is("rows") && this.is("from", 2);
    if (rowsFrom) {
      this.eat("rows", "from");
      this.parens(() => {
        this.list(() => {
          const call = this.functionExpr();
          const columns = this.accept("as") ? this.columnDefinitions() : [];
          functions.push({ call, columns });
        });
      });
    } else functions.push({ call: this.functionExpr(), columns: [] });
    let ordinality = false;
    if (this.is("with") && this.is("ordinality", 2)) {
      this.eat("with", "ordinality");
      ordinality = true;
    }
    const base = { kind: "functionRef", lateral, rowsFrom, functions, ordinality, position } as const;
    const at = this.here();
    const withAs = this.accept("as");
    if (withAs && this.isType(LeftParen)) {
      return { ...base, alias: undefined, columns: this.columnDefinitions() };
    }
    if (!withAs && !this.fits(ColumnName)) return { ...base, alias: undefined, columns: [] };
    const name = this.name();
    if (!this.isType(LeftParen)) return { ...base, alias: { name, columns: [], position: at }, columns: [] };
    // `t(a int)` defines columns, `t(a)` names them.
    if (this.isType(Comma, 3) || this.isType(RightParen, 3)) {
      return { ...base, alias: { name, columns: this.nameList(), position: at }, columns: [] };
    }
    return { ...base, alias: { name, columns: [], position: at }, columns: this.columnDefinitions() };
  }

  /** func_expr_windowless: a call, without window or aggregate clauses. */
  private functionExpr(): ast.Expr {
    const token = this.peek();
    const expr = this.parsePrimary();
    if (expr.kind === "columnRef" || (expr.kind === "call" && expr.over !== undefined)) {
      throw new GrammarError("syntaxError", `syntax error at or near "${token.value}"`, token.startOffset);
    }
    return expr;
  }

  protected columnDefinitions(): ast.ColumnDef[] {
    return this.parens(() =>
      this.list(() => {
        const position = this.here();
        return this.parseColumnType(this.name(), position);
      }),
    );
  }

  // ------------------------------------------------------------------------------------------------------------ DML

  /** name, or name [AS] alias where `alias` says so. */
  protected relation(alias: "none" | "as" | "bare"): ast.Relation {
    const table = this.relationExpr();
    let given: string | undefined;
    if (alias !== "none") {
      if (this.accept("as")) given = this.name();
      else if (alias === "bare" && this.fits(ColumnName) && !this.is("set")) given = this.name();
    }
    return { name: table.name, only: table.only, alias: given, position: table.position };
  }

  private assignTarget(): ast.AssignTarget {
    const position = this.here();
    const column = this.name();
    const path: ast.AssignTarget["path"][number][] = [];
    while (this.isType(Dot) || this.isType(LeftBracket)) {
      if (this.acceptType(Dot)) path.push({ kind: "field", name: this.label() });
      else for (const subscript of this.subscripts()) path.push({ kind: "index", subscript });
    }
    return { column, path, position };
  }

  protected insert(withClause: ast.WithClause | undefined): ast.Insert {
    const position = this.here();
    this.eat("insert", "into");
    const name = this.qualifiedName();
    const alias = this.accept("as") ? this.name() : undefined;
    const into: ast.Relation = { name, only: false, alias, position: name.position };
    let columns: ast.AssignTarget[] | undefined;
    let overriding: ast.Insert["overriding"];
    let source: ast.Query | undefined;
    if (this.accept("default")) this.eat("values");
    else {
      if (this.isType(LeftParen) && !this.startsQuery()) {
        columns = this.parens(() => this.list(() => this.assignTarget()));
      }
      overriding = this.overriding();
      source = this.parseQuery();
    }
    const onConflict = this.is("on") ? this.onConflict() : undefined;
    return {
      kind: "insert",
      with: withClause,
      into,
      columns,
      overriding,
      source,
      onConflict,
      returning: this.returning(),
      position,
    };
  }

  private overriding(): ast.Insert["overriding"] {
    return this.when("overriding", () => {
      const kind = this.accept("user") ? "user" : (this.eat("system"), "system");
      this.eat("value");
      return kind as "user" | "system";
    });
  }

  protected returning(): ast.Target[] {
    return this.accept("returning") ? this.targets() : [];
  }

  private onConflict(): ast.OnConflictClause {
    const position = this.here();
    this.eat("on", "conflict");
    let columns: ast.IndexElement[] | undefined;
    let targetWhere: ast.Expr | undefined;
    let constraint: string | undefined;
    if (this.isType(LeftParen)) {
      columns = this.parens(() => this.list(() => this.indexElement()));
      if (this.accept("where")) targetWhere = this.expression();
    } else if (this.accept("on", "constraint")) constraint = this.name();
    this.eat("do");
    const base = { columns, targetWhere, constraint, position };
    if (this.accept("nothing")) return { ...base, action: "nothing", set: [] };
    this.eat("update", "set");
    const set = this.setItems();
    const where = this.accept("where") ? this.expression() : undefined;
    return { ...base, action: "update", set, where };
  }

  protected setItems(): ast.SetItem[] {
    return this.list(() => {
      const position = this.here();
      if (this.isType(LeftParen)) {
        const targets = this.parens(() => this.list(() => this.assignTarget()));
        this.eatType(Equals);
        return { kind: "setRow", targets, value: this.expression(), position };
      }
      const target = this.assignTarget();
      this.eatType(Equals);
      return { kind: "set", target, value: this.expression() };
    });
  }

  protected update(withClause: ast.WithClause | undefined): ast.Update {
    const position = this.here();
    this.eat("update");
    const table = this.relation("bare");
    this.eat("set");
    const set = this.setItems();
    const from = this.accept("from") ? this.fromList() : [];
    const where = this.whereOrCurrent();
    return {
      kind: "update",
      with: withClause,
      table,
      set,
      from,
      where,
      returning: this.returning(),
      position,
    };
  }

  protected deleteFrom(withClause: ast.WithClause | undefined): ast.Delete {
    const position = this.here();
    this.eat("delete", "from");
    const table = this.relation("bare");
    const using = this.accept("using") ? this.fromList() : [];
    const where = this.whereOrCurrent();
    return { kind: "delete", with: withClause, table, using, where, returning: this.returning(), position };
  }

  /** WHERE condition, or WHERE CURRENT OF cursor. */
  private whereOrCurrent(): ast.Expr | undefined {
    if (!this.accept("where")) return undefined;
    if (this.is("current") && this.is("of", 2)) {
      const position = this.here();
      this.eat("current", "of");
      return { kind: "currentOf", cursor: this.name(), position };
    }
    return this.expression();
  }

  protected merge(withClause: ast.WithClause | undefined): ast.Merge {
    const position = this.here();
    this.eat("merge", "into");
    const into = this.relation("bare");
    this.eat("using");
    const using = this.fromItem();
    this.eat("on");
    const on = this.expression();
    const whens: ast.Merge["whens"][number][] = [];
    do whens.push(this.mergeWhen());
    while (this.is("when"));
    return { kind: "merge", with: withClause, into, using, on, whens, position };
  }

  private mergeWhen(): ast.Merge["whens"][number] {
    const position = this.here();
    this.eat("when");
    const matched = !this.accept("not");
    this.eat("matched");
    const condition = this.accept("and") ? this.expression() : undefined;
    this.eat("then");
    const base = { matched, condition, position };
    if (this.accept("do", "nothing")) return { ...base, action: { kind: "nothing" } };
    if (matched) {
      if (this.accept("delete")) return { ...base, action: { kind: "delete" } };
      this.eat("update", "set");
      return { ...base, action: { kind: "update", set: this.setItems() } };
    }
    this.eat("insert");
    if (this.accept("default", "values")) return { ...base, action: { kind: "insert" } };
    const columns = this.isType(LeftParen)
      ? this.parens(() => this.list(() => this.assignTarget()))
      : undefined;
    const overriding = this.overriding();
    this.eat("values");
    return { ...base, action: { kind: "insert", columns, overriding, values: this.valuesRow() } };
  }
}

type Tail = Pick<ast.Select, "with" | "orderBy" | "limit" | "withTies" | "offset" | "locking" | "position">;

function emptyTail(position: number): Tail {
  return {
    with: undefined,
    orderBy: [],
    limit: undefined,
    withTies: false,
    offset: undefined,
    locking: [],
    position,
  };
}

function emptySelect(position: number): ast.Select {
  return {
    kind: "select",
    with: undefined,
    distinct: undefined,
    targets: [],
    into: undefined,
    from: [],
    where: undefined,
    groupBy: [],
    groupDistinct: false,
    having: undefined,
    windows: [],
    orderBy: [],
    limit: undefined,
    withTies: false,
    offset: undefined,
    locking: [],
    position,
  };
}
