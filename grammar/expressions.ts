/**
 * Names of types, and expressions by precedence.
 *
 * Invariants: binding strengths are those of PostgreSQL's manual (lexical structure, operator precedence), held in one
 * table; `a < b < c` and its like are errors at the second operator. AND and OR chains come out flat. Recursion is by
 * plain methods inside one Chevrotain rule: few stack frames per level, counted by `enter` and `leave`.
 */
import type * as ast from "../src/sql/ast.js";
import { call, systemName } from "../src/sql/ast.js";
import { chainMax, RuleBase } from "./base.js";
import {
  BareLabel,
  BinaryString,
  Caret,
  Colon,
  ColonEquals,
  ColumnName,
  Comma,
  Decimal,
  Dot,
  End,
  Equals,
  EqualsGreater,
  GrammarError,
  Greater,
  GreaterEqual,
  HexString,
  Identifier,
  Integer,
  LeftBracket,
  LeftParen,
  Less,
  LessEqual,
  Minus,
  NotEqual,
  numberClass,
  Operator,
  Parameter,
  Percent,
  Plus,
  RightBracket,
  RightParen,
  Slash,
  Star,
  StringLiteral,
  type Token,
  TypeCast,
  TypeOrFunctionName,
} from "./tokens.js";

/** Binding strengths, weakest first. */
const Binding = {
  or: 1,
  and: 2,
  not: 3,
  is: 4,
  comparison: 5,
  like: 6,
  escape: 7,
  operator: 8,
  additive: 9,
  multiplicative: 10,
  power: 11,
  atTimeZone: 12,
  collate: 13,
  unaryMinus: 14,
  cast: 16,
} as const;

/** Strength of the next token as an infix or postfix operator; 0: none. By token type index. */
const infix: number[] = [];
for (const type of [Equals, Less, Greater, LessEqual, GreaterEqual, NotEqual]) {
  infix[type.tokenTypeIdx!] = Binding.comparison;
}
infix[Plus.tokenTypeIdx!] = Binding.additive;
infix[Minus.tokenTypeIdx!] = Binding.additive;
for (const type of [Star, Slash, Percent]) infix[type.tokenTypeIdx!] = Binding.multiplicative;
infix[Caret.tokenTypeIdx!] = Binding.power;
infix[Operator.tokenTypeIdx!] = Binding.operator;
infix[TypeCast.tokenTypeIdx!] = Binding.cast;

const infixWords: Readonly<Record<string, number | undefined>> = {
  or: Binding.or,
  and: Binding.and,
  is: Binding.is,
  isnull: Binding.is,
  notnull: Binding.is,
  between: Binding.like,
  in: Binding.like,
  like: Binding.like,
  ilike: Binding.like,
  similar: Binding.like,
  operator: Binding.operator,
  at: Binding.atTimeZone,
  collate: Binding.collate,
};

const notOperators = new Set(["between", "in", "like", "ilike", "similar"]);
const quantifiers = new Set(["any", "some", "all"]);
const queryStarts = new Set(["select", "values", "with", "table"]);
const queryContinuations = new Set([
  "union",
  "intersect",
  "except",
  "order",
  "limit",
  "offset",
  "fetch",
  "for",
]);

/** Type names written as keywords, and what they stand for. */
const simpleTypes: Readonly<Record<string, string | undefined>> = {
  int: "int4",
  integer: "int4",
  smallint: "int2",
  bigint: "int8",
  real: "float4",
  boolean: "bool",
};
const typeKeywords = new Set([
  ...Object.keys(simpleTypes),
  "float",
  "decimal",
  "dec",
  "numeric",
  "bit",
  "character",
  "char",
  "nchar",
  "national",
  "varchar",
  "timestamp",
  "time",
  "interval",
]);
const intervalStarts = new Set(["year", "month", "day", "hour", "minute", "second"]);
/** Fields that may follow TO, by the field before it. */
const intervalEnds: Readonly<Record<string, readonly string[]>> = {
  year: ["month"],
  day: ["hour", "minute", "second"],
  hour: ["minute", "second"],
  minute: ["second"],
};

const valueWords: Readonly<Record<string, ast.SqlValueName | undefined>> = {
  current_date: "currentDate",
  current_time: "currentTime",
  current_timestamp: "currentTimestamp",
  localtime: "localTime",
  localtimestamp: "localTimestamp",
  current_role: "currentRole",
  current_user: "currentUser",
  user: "user",
  session_user: "sessionUser",
  current_catalog: "currentCatalog",
};
const valueWordsWithPrecision = new Set(["current_time", "current_timestamp", "localtime", "localtimestamp"]);
const normalForms = new Set(["nfc", "nfd", "nfkc", "nfkd"]);
const xmlFunctions = new Set([
  "xmlconcat",
  "xmlelement",
  "xmlexists",
  "xmlforest",
  "xmlparse",
  "xmlpi",
  "xmlroot",
  "xmlserialize",
]);
const extractFields = new Set(["year", "month", "day", "hour", "minute", "second"]);

/** What a parenthesis in front of a query may turn out to hold. */
type ParenContent =
  | { readonly kind: "query"; readonly query: ast.Query; readonly position: number }
  | { readonly kind: "expr"; readonly expr: ast.Expr };

export abstract class ExpressionRules extends RuleBase {
  /** A query without parentheses around it (queries.ts). */
  protected abstract parseQuery(): ast.Query;
  /** Set operations and tail after a query in parentheses. */
  protected abstract continueQuery(first: ast.Query): ast.Query;

  /** a_expr of PostgreSQL's grammar. */
  readonly expressionRule = this.RULE("expressionRule", (): ast.Expr => this.parseExpression(0, false));

  protected expression(): ast.Expr {
    return this.SUBRULE(this.expressionRule);
  }

  protected expressions(): ast.Expr[] {
    return this.list(() => this.expression());
  }

  /** b_expr: no boolean operators, no IS NULL, IN, LIKE, BETWEEN; for defaults and BETWEEN's lower bound. */
  protected restrictedExpression(): ast.Expr {
    if (this.RECORDING_PHASE) return this.expression();
    return this.parseExpression(0, true);
  }

  // ------------------------------------------------------------------------------------------ precedence climbing

  protected parseExpression(weakest: number, restricted: boolean): ast.Expr {
    if (this.RECORDING_PHASE) return this.recordExpression();
    this.enter();
    const expr = this.continueExpression(this.parsePrefix(restricted), weakest, restricted);
    this.leave();
    return expr;
  }

  /** For the grammar's model only: an operand and operators. */
  private recordExpression(): ast.Expr {
    const operand = (): void => {
      this.or(0, [
        ...[Identifier, Integer, Decimal, StringLiteral, Parameter].map((type) => ({
          ALT: () => void this.CONSUME(type),
        })),
        { ALT: () => void this.parens(() => this.SUBRULE(this.expressionRule)) },
      ]);
    };
    operand();
    this.many(0, () => {
      this.CONSUME(Operator);
      operand();
    });
    return { kind: "null", position: 0 };
  }

  private parsePrefix(restricted: boolean): ast.Expr {
    const token = this.LA(1) as Token;
    const position = token.startOffset + 1;
    switch (token.tokenType) {
      case Minus:
      case Plus: {
        this.SKIP_TOKEN();
        const arg = this.parseExpression(Binding.unaryMinus, restricted);
        return { kind: "unary", operator: { name: token.value }, arg, position };
      }
      case Operator: {
        this.SKIP_TOKEN();
        const arg = this.parseExpression(Binding.operator + 1, restricted);
        return { kind: "unary", operator: { name: token.value }, arg, position };
      }
      default:
    }
    const name = token.tokenType.name;
    if (name === "not") {
      if (restricted) this.fail();
      this.SKIP_TOKEN();
      return { kind: "not", arg: this.parseExpression(Binding.not, false), position };
    }
    if (name === "operator" && this.isType(LeftParen, 2)) {
      const operator = this.qualifiedOperator();
      const arg = this.parseExpression(Binding.operator + 1, restricted);
      return { kind: "unary", operator, arg, position };
    }
    return this.parsePrimary();
  }

  /** Operators after an operand, as long as they bind at least as strongly as `weakest`. */
  protected continueExpression(first: ast.Expr, weakest: number, restricted: boolean): ast.Expr {
    let left = first;
    // Level at which a further operator is an error (nonassociative ones), else -1.
    let closedLevel = -1;
    let chain = 0;
    for (;;) {
      const token = this.LA(1) as Token;
      const type = token.tokenType;
      const name = type.name;
      let strength = infix[type.tokenTypeIdx!] ?? 0;
      let negated = false;
      if (strength === 0) {
        strength = infixWords[name] ?? 0;
        if (strength === 0) {
          if (name !== "not" || !this.isAny(notOperators, 2)) return left;
          negated = true;
          strength = Binding.like;
        }
        // Before the end of a select list's item these words are its label.
        if (this.depth === this.targetDepth && this.endsTarget(2) && this.fits(BareLabel)) return left;
        // SUBSTRING(x SIMILAR p ESCAPE e) has the word without TO.
        if (name === "similar" && !this.is("to", 2)) return left;
        if (restricted && strength !== Binding.operator) {
          if (name !== "is" || !this.isRestrictedIs()) return left;
        }
      }
      if (strength < weakest) return left;
      if (strength === closedLevel) this.fail();
      if (++chain > chainMax) this.tooDeep();
      closedLevel = -1;
      const position = token.startOffset + 1;
      if (type === TypeCast) {
        this.SKIP_TOKEN();
        left = { kind: "cast", arg: left, type: this.typeName(), syntax: "::", position };
        continue;
      }
      switch (strength) {
        case Binding.or:
        case Binding.and:
          left = this.junction(left, name as "and" | "or", strength, position);
          break;
        case Binding.is:
          left = this.isTest(left, restricted, position);
          if (left.kind === "isDistinct") closedLevel = Binding.is;
          break;
        case Binding.like: {
          if (negated) this.SKIP_TOKEN();
          const operator = (this.LA(1) as Token).tokenType.name;
          left = this.likeOperator(left, operator, negated, position);
          if (left.kind === "like" || left.kind === "between") closedLevel = Binding.like;
          break;
        }
        case Binding.atTimeZone: {
          this.eat("at", "time", "zone");
          const zone = this.parseExpression(Binding.atTimeZone + 1, restricted);
          left = call(systemName("timezone", position), [zone, left], position, "atTimeZone");
          break;
        }
        case Binding.collate:
          this.SKIP_TOKEN();
          left = { kind: "collate", arg: left, collation: this.qualifiedName(), position };
          break;
        default: {
          const operator = name === "operator" ? this.qualifiedOperator() : { name: token.value };
          if (name !== "operator") this.SKIP_TOKEN();
          if (!restricted && this.isAny(quantifiers)) {
            left = this.quantified(left, operator, position);
            break;
          }
          const right = this.parseExpression(strength + 1, restricted);
          left = { kind: "binary", operator, left, right, position };
          if (strength === Binding.comparison) closedLevel = strength;
        }
      }
    }
  }

  /** Whether the token there ends a select list's item. */
  private endsTarget(ahead: number): boolean {
    const token = this.LA(ahead);
    return token.tokenType === Comma || token.tokenType === End || token.tokenType.name === "from";
  }

  private isRestrictedIs(): boolean {
    const after = this.is("not", 2) ? 3 : 2;
    return this.is("distinct", after) || this.is("document", after);
  }

  /** One flat node for a chain of AND or OR. */
  private junction(first: ast.Expr, word: "and" | "or", strength: number, position: number): ast.Expr {
    const args = [first];
    while (this.is(word)) {
      this.SKIP_TOKEN();
      args.push(this.parseExpression(strength + 1, false));
    }
    return { kind: word, args, position };
  }

  private isTest(arg: ast.Expr, restricted: boolean, position: number): ast.Expr {
    if (this.accept("isnull")) return { kind: "isNull", arg, negated: false, position };
    if (this.accept("notnull")) return { kind: "isNull", arg, negated: true, position };
    this.eat("is");
    const negated = this.accept("not");
    const normalForm = this.isAny(normalForms) ? this.label().toUpperCase() : undefined;
    if (normalForm !== undefined || this.is("normalized")) {
      this.eat("normalized");
      const args = normalForm === undefined ? [arg] : [arg, text(normalForm, position)];
      const test = call(systemName("is_normalized", position), args, position, "isNormalized");
      return negated ? { kind: "not", arg: test, position } : test;
    }
    return this.oneOf<ast.Expr>({
      null: () => ({ kind: "isNull", arg, negated, position }),
      true: () => ({ kind: "isTruth", arg, test: "true", negated, position }),
      false: () => ({ kind: "isTruth", arg, test: "false", negated, position }),
      unknown: () => ({ kind: "isTruth", arg, test: "unknown", negated, position }),
      distinct: () => {
        this.eat("from");
        const right = this.parseExpression(Binding.is + 1, restricted);
        return { kind: "isDistinct", left: arg, right, negated, position };
      },
      document: () => ({ kind: "unsupportedExpr", feature: "IS DOCUMENT", position }),
    });
  }

  /** [NOT] BETWEEN, IN, LIKE, ILIKE, SIMILAR TO. */
  private likeOperator(arg: ast.Expr, word: string, negated: boolean, position: number): ast.Expr {
    this.SKIP_TOKEN();
    switch (word) {
      case "between": {
        const symmetric = this.accept("symmetric");
        if (!symmetric) this.accept("asymmetric");
        const low = this.restrictedExpression();
        this.eat("and");
        const high = this.parseExpression(Binding.like + 1, false);
        return { kind: "between", arg, low, high, symmetric, negated, position };
      }
      case "in": {
        this.eatType(LeftParen);
        if (this.startsQuery()) {
          const content = this.parenContent();
          if (content.kind === "query")
            return { kind: "inQuery", arg, query: content.query, negated, position };
          const list = this.moreExpressions(content.expr);
          this.eatType(RightParen);
          return { kind: "in", arg, list, negated, position };
        }
        const list = this.plainExpressions();
        this.eatType(RightParen);
        return { kind: "in", arg, list, negated, position };
      }
      default: {
        if (word === "similar") this.eat("to");
        else if (this.isAny(quantifiers)) {
          const name = `${negated ? "!" : ""}~~${word === "ilike" ? "*" : ""}`;
          return this.quantified(arg, { name }, position);
        }
        const pattern = this.parseExpression(Binding.like + 1, false);
        const escapeExpr = this.accept("escape") ? this.parseExpression(Binding.like + 1, false) : undefined;
        const operator = word as "like" | "ilike" | "similar";
        return { kind: "like", operator, arg, pattern, escape: escapeExpr, negated, position };
      }
    }
  }

  /** `ANY (array)`, `ALL (SELECT ..)` after an operator. */
  private quantified(left: ast.Expr, operator: ast.OperatorName, position: number): ast.Expr {
    const all = this.label() === "all";
    this.eatType(LeftParen);
    if (this.startsQuery()) {
      const content = this.parenContent();
      if (content.kind === "query") {
        return { kind: "quantifiedQuery", operator, all, left, query: content.query, position };
      }
      this.eatType(RightParen);
      return { kind: "quantified", operator, all, left, array: content.expr, position };
    }
    const array = this.parseExpression(0, false);
    this.eatType(RightParen);
    return { kind: "quantified", operator, all, left, array, position };
  }

  /** OPERATOR ( [schema .] symbol ). */
  protected qualifiedOperator(): ast.OperatorName {
    this.eat("operator");
    return this.parens(() => this.anyOperator());
  }

  /** [schema .] symbol. */
  protected anyOperator(): ast.OperatorName {
    let schema: string | undefined;
    this.repeat(
      () => this.fits(ColumnName),
      () => {
        schema = this.name();
        this.eatType(Dot);
      },
    );
    return { schema, name: this.symbol().name };
  }

  /** An operator's symbol alone. */
  private symbol(): ast.OperatorName {
    const token = this.peek();
    const strength = infix[token.tokenType.tokenTypeIdx!];
    if (strength === undefined || token.tokenType === TypeCast) return this.impossible();
    this.SKIP_TOKEN();
    return { name: token.value };
  }

  // ------------------------------------------------------------------------------------------------------ operands

  /** A constant without sign, as an expression. */
  private literal(token: Token): ast.Expr {
    const position = token.startOffset + 1;
    const index = this.literalIndex(token.startOffset);
    if (index >= 0) return { kind: "literalParam", index, class: this.literalClass(index), position };
    if (token.tokenType === StringLiteral) return { kind: "string", value: token.value, position };
    return { kind: "number", class: numberClass(token.tokenType, token.value), text: token.value, position };
  }

  /** c_expr: an operand without operators around it. */
  protected parsePrimary(): ast.Expr {
    const token = this.LA(1) as Token;
    const position = token.startOffset + 1;
    switch (token.tokenType) {
      case Identifier:
        return this.nameOrCall(token);
      case Integer:
      case Decimal:
      case StringLiteral:
        this.SKIP_TOKEN();
        return this.literal(token);
      case Parameter:
        this.SKIP_TOKEN();
        return this.indirection({ kind: "param", number: Number(token.value), position });
      case LeftParen:
        return this.parenthesized();
      case BinaryString:
        this.SKIP_TOKEN();
        return { kind: "bitString", base: "binary", value: token.value, position };
      case HexString:
        this.SKIP_TOKEN();
        return { kind: "bitString", base: "hex", value: token.value, position };
      default:
    }
    const special = this.specialPrimary(token.tokenType.name, position);
    if (special !== undefined) return special;
    if (this.fits(TypeOrFunctionName) || this.fits(ColumnName)) return this.nameOrCall(token);
    return this.fail();
  }

  /** Operands that start with a keyword of their own; undefined: the word is an ordinary name. */
  private specialPrimary(word: string, position: number): ast.Expr | undefined {
    switch (word) {
      case "null":
        this.SKIP_TOKEN();
        return { kind: "null", position };
      case "true":
      case "false":
        this.SKIP_TOKEN();
        return { kind: "boolean", value: word === "true", position };
      case "case":
        return this.caseExpression(position);
      case "exists":
        if (!this.isType(LeftParen, 2)) return undefined;
        this.SKIP_TOKEN();
        return { kind: "exists", query: this.queryInParens(), position };
      case "unique":
        // A predicate of the standard that PostgreSQL's grammar knows and its analyser refuses.
        this.SKIP_TOKEN();
        if (this.accept("nulls")) {
          this.accept("not");
          this.eat("distinct");
        }
        this.queryInParens();
        return { kind: "unsupportedExpr", feature: "UNIQUE predicate", position };
      case "array":
        return this.arrayConstructor(position);
      case "row":
        if (!this.isType(LeftParen, 2)) return undefined;
        this.SKIP_TOKEN();
        return this.afterRow({ kind: "row", args: this.rowArguments(), explicit: true, position });
      case "cast":
      case "treat":
        if (word === "treat" && !this.isType(LeftParen, 2)) return undefined;
        return this.castCall(word, position);
      case "collation":
        if (!this.is("for", 2)) return undefined;
        this.eat("collation", "for");
        return call(
          systemName("pg_collation_for", position),
          [this.parens(() => this.parseExpression(0, false))],
          position,
          "collationFor",
        );
      case "default":
        // As a value only: INSERT and UPDATE allow it, Bind refuses it elsewhere as PostgreSQL does.
        this.SKIP_TOKEN();
        return { kind: "default", position };
      case "current_schema":
        if (this.isType(LeftParen, 2)) return undefined;
        this.SKIP_TOKEN();
        return { kind: "sqlValue", name: "currentSchema", position };
      case "double":
        if (!this.is("precision", 2)) return undefined;
        return this.typedLiteral(position);
      default:
    }
    const value = valueWords[word];
    if (value !== undefined) {
      this.SKIP_TOKEN();
      const precision =
        valueWordsWithPrecision.has(word) && this.isType(LeftParen)
          ? this.parens(() => this.integerConstant())
          : undefined;
      return { kind: "sqlValue", name: value, precision, position };
    }
    if (typeKeywords.has(word)) {
      if (this.startsTypedLiteral(word)) return this.typedLiteral(position);
      return undefined;
    }
    if (this.isType(LeftParen, 2)) return this.specialCall(word, position);
    return undefined;
  }

  /** Whether a type keyword begins a literal and is not a column of that name. */
  private startsTypedLiteral(word: string): boolean {
    const next = this.LA(2) as Token;
    if (next.tokenType === StringLiteral || next.tokenType === LeftParen) return true;
    switch (next.tokenType.name) {
      case "varying":
        return word !== "time" && word !== "timestamp";
      case "with":
      case "without":
        return (word === "time" || word === "timestamp") && this.is("time", 3);
      case "character":
      case "char":
        return word === "national";
      default:
        return false;
    }
  }

  /** `type 'text'`, with interval fields behind it. */
  private typedLiteral(position: number): ast.Expr {
    let type = this.constantType();
    const literal = this.eatType(StringLiteral);
    if (type.name.name === "interval" && type.name.schema === "pg_catalog" && type.typmods.length === 0) {
      const fields = this.optionalIntervalFields();
      type = { ...type, intervalFields: fields?.fields, typmods: fields?.typmods ?? [] };
    }
    return { kind: "typedLiteral", type, value: literal.value, position };
  }

  /** Functions with a syntax of their own; the parenthesis is known to follow. */
  private specialCall(word: string, position: number): ast.Expr | undefined {
    switch (word) {
      case "coalesce":
      case "greatest":
      case "least": {
        this.SKIP_TOKEN();
        const args = this.parens(() => this.plainExpressions());
        return { kind: word, args, position };
      }
      case "grouping": {
        this.SKIP_TOKEN();
        return { kind: "grouping", args: this.parens(() => this.plainExpressions()), position };
      }
      case "nullif":
        this.SKIP_TOKEN();
        return this.parens(() => {
          const left = this.parseExpression(0, false);
          this.eatType(Comma);
          return { kind: "nullIf", left, right: this.parseExpression(0, false), position };
        });
      case "extract":
        this.SKIP_TOKEN();
        return this.parens(() => {
          const token = this.peek();
          if (
            token.tokenType !== Identifier &&
            token.tokenType !== StringLiteral &&
            !extractFields.has(token.tokenType.name)
          ) {
            this.fail();
          }
          this.SKIP_TOKEN();
          this.eat("from");
          const field = text(token.value, token.startOffset + 1);
          const source = this.parseExpression(0, false);
          return call(systemName("extract", position), [field, source], position, "extract");
        });
      case "position":
        this.SKIP_TOKEN();
        return this.parens(() => {
          const part = this.restrictedExpression();
          this.eat("in");
          const whole = this.restrictedExpression();
          return call(systemName("position", position), [whole, part], position, "position");
        });
      case "overlay":
        return this.overlay(position);
      case "substring":
        return this.substring(position);
      case "trim":
        return this.trim(position);
      case "normalize":
        this.SKIP_TOKEN();
        return this.parens(() => {
          const args = [this.parseExpression(0, false)];
          if (this.acceptType(Comma)) {
            const form = this.peek();
            if (!this.isAny(normalForms)) this.fail();
            this.SKIP_TOKEN();
            args.push(text(form.value.toUpperCase(), form.startOffset + 1));
          }
          return call(systemName("normalize", position), args, position, "normalize");
        });
      default:
        if (xmlFunctions.has(word)) {
          this.SKIP_TOKEN();
          this.skipParens();
          return { kind: "unsupportedExpr", feature: word.toUpperCase(), position };
        }
        return undefined;
    }
  }

  /** OVERLAY(x PLACING y FROM a [FOR b]), or plain arguments. */
  private overlay(position: number): ast.Expr {
    this.SKIP_TOKEN();
    return this.parens(() => {
      if (this.isType(RightParen)) return this.plainCall("overlay", [], position);
      const first = this.functionArgument();
      if (this.accept("placing")) {
        const args = [first.value, this.parseExpression(0, false)];
        this.eat("from");
        args.push(this.parseExpression(0, false));
        if (this.accept("for")) args.push(this.parseExpression(0, false));
        return call(systemName("overlay", position), args, position, "overlay");
      }
      return this.plainCall("overlay", this.moreArguments(first), position);
    });
  }

  /** SUBSTRING(x [FROM a] [FOR b] | x SIMILAR p ESCAPE e), or plain arguments. */
  private substring(position: number): ast.Expr {
    this.SKIP_TOKEN();
    return this.parens(() => {
      if (this.isType(RightParen)) return this.plainCall("substring", [], position);
      const first = this.functionArgument();
      const value = first.value;
      const name = systemName("substring", position);
      if (this.accept("from")) {
        const args = [value, this.parseExpression(0, false)];
        if (this.accept("for")) args.push(this.parseExpression(0, false));
        return call(name, args, position, "substring");
      }
      if (this.accept("for")) {
        const count = this.parseExpression(0, false);
        const from = this.accept("from") ? this.parseExpression(0, false) : one(position);
        return call(name, [value, from, count], position, "substring");
      }
      if (this.accept("similar")) {
        const pattern = this.parseExpression(0, false);
        this.eat("escape");
        const escapeExpr = this.parseExpression(0, false);
        return call(name, [value, pattern, escapeExpr], position, "substringSimilar");
      }
      return this.plainCall("substring", this.moreArguments(first), position);
    });
  }

  /** TRIM([BOTH | LEADING | TRAILING] [chars] [FROM] x). */
  private trim(position: number): ast.Expr {
    this.SKIP_TOKEN();
    return this.parens(() => {
      const side = this.accept("leading")
        ? "ltrim"
        : this.accept("trailing")
          ? "rtrim"
          : (this.accept("both"), "btrim");
      const name = systemName(side, position);
      if (this.accept("from")) return call(name, this.plainExpressions(), position, "trim");
      const first = this.parseExpression(0, false);
      if (this.accept("from")) {
        return call(name, [...this.plainExpressions(), first], position, "trim");
      }
      return call(name, this.moreExpressions(first), position, "trim");
    });
  }

  private plainCall(name: string, args: readonly ast.FunctionArgument[], position: number): ast.FunctionCall {
    return {
      ...call({ catalog: undefined, schema: undefined, name, position }, [], position),
      args,
    };
  }

  private castCall(word: "cast" | "treat", position: number): ast.Expr {
    this.SKIP_TOKEN();
    return this.parens(() => {
      const arg = this.parseExpression(0, false);
      this.eat("as");
      const type = this.typeName();
      if (word === "treat") return { kind: "unsupportedExpr", feature: "TREAT", position };
      return { kind: "cast", arg, type, syntax: "cast", position };
    });
  }

  private caseExpression(position: number): ast.Expr {
    this.eat("case");
    const operand = this.is("when") ? undefined : this.parseExpression(0, false);
    const whens: { when: ast.Expr; then: ast.Expr }[] = [];
    do {
      this.eat("when");
      const when = this.parseExpression(0, false);
      this.eat("then");
      // biome-ignore lint/suspicious/noThenProperty: the field of the contract; trees are never awaited
      whens.push({ when, then: this.parseExpression(0, false) });
    } while (this.is("when"));
    const otherwise = this.accept("else") ? this.parseExpression(0, false) : undefined;
    this.eat("end");
    return { kind: "case", operand, whens, otherwise, position };
  }

  private arrayConstructor(position: number): ast.Expr {
    this.eat("array");
    if (this.isType(LeftParen)) return { kind: "arrayQuery", query: this.queryInParens(), position };
    return this.indirection(this.arrayElements(position));
  }

  private arrayElements(position: number): ast.Expr {
    this.enter();
    this.eatType(LeftBracket);
    const elements: ast.Expr[] = [];
    if (this.isType(LeftBracket)) {
      do elements.push(this.arrayElements(this.here()));
      while (this.acceptType(Comma));
    } else if (!this.isType(RightBracket)) elements.push(...this.plainExpressions());
    this.eatType(RightBracket);
    this.leave();
    return { kind: "array", elements, position };
  }

  protected plainExpressions(): ast.Expr[] {
    const items = [this.parseExpression(0, false)];
    while (this.acceptType(Comma)) items.push(this.parseExpression(0, false));
    return items;
  }

  private moreExpressions(first: ast.Expr): ast.Expr[] {
    const items = [first];
    while (this.acceptType(Comma)) items.push(this.parseExpression(0, false));
    return items;
  }

  private rowArguments(): ast.Expr[] {
    return this.parens(() => (this.isType(RightParen) ? [] : this.plainExpressions()));
  }

  /** A row may be the left side of OVERLAPS. */
  private afterRow(row: ast.Expr & { readonly kind: "row" }): ast.Expr {
    if (!this.is("overlaps")) return row;
    const position = this.here();
    this.eat("overlaps");
    const start = this.here();
    const explicit = this.accept("row");
    const args = this.rowArguments();
    if (!explicit && args.length < 2) this.fail();
    for (const [side, items, at] of [
      ["left", row.args, row.position],
      ["right", args, start],
    ] as const) {
      if (items.length !== 2) {
        throw new GrammarError(
          "syntaxError",
          `wrong number of parameters on ${side} side of OVERLAPS expression`,
          at - 1,
        );
      }
    }
    return call(systemName("overlaps", position), [...row.args, ...args], position, "overlaps");
  }

  // --------------------------------------------------------------------------------------- parentheses and queries

  /** Whether a query follows, possibly behind opening parentheses. */
  protected startsQuery(): boolean {
    let ahead = 1;
    while (this.LA(ahead).tokenType === LeftParen) ahead++;
    return queryStarts.has(this.LA(ahead).tokenType.name);
  }

  /** `( query )`, where nothing else may stand. */
  protected queryInParens(): ast.Query {
    this.eatType(LeftParen);
    if (!this.startsQuery()) return this.impossible();
    const content = this.parenContent();
    return content.kind === "query" ? content.query : this.fail();
  }

  /**
   * Behind an opening parenthesis with a query somewhere inside: `SELECT 1)` is that query, but `(SELECT 1) + 1` is an
   * expression. A query's closing parenthesis is consumed, an expression's is left (it may be one of several).
   */
  protected parenContent(): ParenContent {
    this.enter();
    const position = this.here();
    let query: ast.Query;
    if (this.isType(LeftParen)) {
      this.SKIP_TOKEN();
      const inner = this.parenContent();
      if (inner.kind === "expr") {
        const operand = this.closeExpression(inner.expr, position);
        this.leave();
        return { kind: "expr", expr: this.continueExpression(operand, 0, false) };
      }
      if (!this.isType(RightParen) && !this.isAny(queryContinuations)) {
        const operand = this.indirection({ kind: "subquery", query: inner.query, position });
        this.leave();
        return { kind: "expr", expr: this.continueExpression(operand, 0, false) };
      }
      query = this.continueQuery(inner.query);
    } else query = this.parseQuery();
    this.eatType(RightParen);
    this.leave();
    return { kind: "query", query, position };
  }

  /** After the first expression in parentheses: the rest of a row, or just the closing one. */
  private closeExpression(first: ast.Expr, position: number): ast.Expr {
    if (this.isType(Comma)) {
      const args = this.moreExpressions(first);
      this.eatType(RightParen);
      return this.afterRow({ kind: "row", args, explicit: false, position });
    }
    this.eatType(RightParen);
    return this.indirection(first, true);
  }

  private parenthesized(): ast.Expr {
    const position = this.here();
    const query = this.startsQuery();
    this.SKIP_TOKEN();
    if (query) {
      const content = this.parenContent();
      if (content.kind === "query") {
        return this.indirection({ kind: "subquery", query: content.query, position });
      }
      return this.closeExpression(content.expr, position);
    }
    return this.closeExpression(this.parseExpression(0, false), position);
  }

  /** Skips a balanced parenthesis, whatever it holds. */
  protected skipParens(): void {
    this.eatType(LeftParen);
    let depth = 1;
    while (depth > 0) {
      if (this.isEnd()) this.fail();
      if (this.isType(LeftParen)) depth++;
      else if (this.isType(RightParen)) depth--;
      this.SKIP_TOKEN();
    }
  }

  // ------------------------------------------------------------------------------------- columns, calls, indirection

  /** `.field`, `.*`, `[1]`, `[1:2]` after an operand. */
  protected indirection(first: ast.Expr, parenthesized = false): ast.Expr {
    let expr = first;
    for (;;) {
      if (this.isType(LeftBracket)) {
        const position = this.here();
        expr = { kind: "subscript", arg: expr, indexes: this.subscripts(), position };
      } else if (this.isType(Dot) && (parenthesized || expr.kind !== "array")) {
        const position = this.here();
        this.SKIP_TOKEN();
        if (this.acceptType(Star)) return { kind: "fieldSelect", arg: expr, field: undefined, position };
        expr = { kind: "fieldSelect", arg: expr, field: this.label(), position };
      } else return expr;
    }
  }

  protected subscripts(): ast.Subscript[] {
    const indexes: ast.Subscript[] = [];
    while (this.acceptType(LeftBracket)) {
      const lower =
        this.isType(Colon) || this.isType(RightBracket) ? undefined : this.parseExpression(0, false);
      if (this.acceptType(Colon)) {
        const upper = this.isType(RightBracket) ? undefined : this.parseExpression(0, false);
        indexes.push({ slice: true, lower, upper });
      } else {
        if (lower === undefined) this.fail();
        indexes.push({ slice: false, index: lower });
      }
      this.eatType(RightBracket);
    }
    return indexes;
  }

  /** A column, a call, or a literal of a named type. */
  private nameOrCall(token: Token): ast.Expr {
    const position = token.startOffset + 1;
    const column = this.fits(ColumnName);
    const callable = this.fits(TypeOrFunctionName);
    this.SKIP_TOKEN();
    const next = this.LA(1).tokenType;
    if (next === LeftParen) {
      if (!callable) this.fail();
      return this.functionCall({ catalog: undefined, schema: undefined, name: token.value, position });
    }
    if (next === StringLiteral && callable) {
      return this.namedTypeLiteral({ catalog: undefined, schema: undefined, name: token.value, position });
    }
    if (!column) return this.fail();
    if (next !== Dot && next !== LeftBracket) {
      return { kind: "columnRef", parts: [token.value], star: false, position };
    }
    const parts = [token.value];
    while (this.isType(Dot)) {
      this.SKIP_TOKEN();
      if (this.acceptType(Star)) return { kind: "columnRef", parts, star: true, position };
      parts.push(this.label());
    }
    if (parts.length > 1) {
      if (this.isType(LeftParen)) return this.functionCall(qualified(parts, position));
      if (this.isType(StringLiteral)) return this.namedTypeLiteral(qualified(parts, position));
    }
    const ref: ast.Expr = { kind: "columnRef", parts, star: false, position };
    return this.isType(LeftBracket) ? this.indirection(ref) : ref;
  }

  private namedTypeLiteral(name: ast.QualifiedName): ast.Expr {
    const literal = this.eatType(StringLiteral);
    return {
      kind: "typedLiteral",
      type: plainType(name),
      value: literal.value,
      position: name.position,
    };
  }

  protected functionArgument(): ast.FunctionArgument {
    const second = this.LA(2).tokenType;
    if ((second === EqualsGreater || second === ColonEquals) && this.fits(TypeOrFunctionName)) {
      const name = this.label();
      this.SKIP_TOKEN();
      return { name, value: this.parseExpression(0, false) };
    }
    return { name: undefined, value: this.parseExpression(0, false) };
  }

  private moreArguments(first: ast.FunctionArgument): ast.FunctionArgument[] {
    const args = [first];
    while (this.acceptType(Comma)) args.push(this.functionArgument());
    return args;
  }

  /** `( args )` and what may follow a call. A string behind it makes it the name of a type with modifiers. */
  protected functionCall(name: ast.QualifiedName): ast.Expr {
    this.eatType(LeftParen);
    const args: ast.FunctionArgument[] = [];
    let star = false;
    let distinct = false;
    let variadic = false;
    let orderBy: ast.SortItem[] = [];
    if (this.acceptType(Star)) star = true;
    else if (!this.isType(RightParen)) {
      if (this.accept("distinct")) distinct = true;
      else this.accept("all");
      for (;;) {
        variadic = this.accept("variadic");
        args.push(this.functionArgument());
        if (variadic || !this.acceptType(Comma)) break;
      }
      if (this.accept("order", "by")) orderBy = this.sortItems();
    }
    this.eatType(RightParen);
    if (this.isType(StringLiteral) && !star && !distinct && !variadic) {
      this.refuseSharing();
      const literal = this.eatType(StringLiteral);
      const type = plainType(
        name,
        args.map((arg) => arg.value),
      );
      return { kind: "typedLiteral", type, value: literal.value, position: name.position };
    }
    let withinGroup = false;
    const next = (this.LA(1) as Token).tokenType.name;
    if (next !== "within" && next !== "filter" && next !== "over") {
      const plain: ast.FunctionCall = {
        kind: "call",
        name,
        args,
        star,
        distinct,
        variadic,
        orderBy,
        withinGroup,
        filter: undefined,
        over: undefined,
        syntax: undefined,
        position: name.position,
      };
      return plain;
    }
    if (this.is("within") && this.is("group", 2)) {
      const position = this.here();
      this.eat("within", "group");
      for (const [given, clause] of [
        [orderBy.length > 0, "multiple ORDER BY clauses"],
        [distinct, "DISTINCT"],
        [variadic, "VARIADIC"],
      ] as const) {
        if (!given) continue;
        throw new GrammarError(
          "syntaxError",
          clause === "multiple ORDER BY clauses"
            ? "cannot use multiple ORDER BY clauses with WITHIN GROUP"
            : `cannot use ${clause} with WITHIN GROUP`,
          position - 1,
        );
      }
      orderBy = this.parens(() => {
        this.eat("order", "by");
        return this.sortItems();
      });
      withinGroup = true;
    }
    let filter: ast.Expr | undefined;
    if (this.is("filter") && this.isType(LeftParen, 2)) {
      this.eat("filter");
      filter = this.parens(() => {
        this.eat("where");
        return this.parseExpression(0, false);
      });
    }
    const over = this.accept("over") ? this.windowReference() : undefined;
    return {
      kind: "call",
      name,
      args,
      star,
      distinct,
      variadic,
      orderBy,
      withinGroup,
      filter,
      over,
      syntax: undefined,
      position: name.position,
    };
  }

  protected sortItems(): ast.SortItem[] {
    return this.list(() => this.sortItem());
  }

  protected sortItem(): ast.SortItem {
    const position = this.here();
    const expr = this.parseExpression(0, false);
    if (expr.kind === "literalParam") this.refuseSharing(); // an ordinal
    let direction: "asc" | "desc" | undefined;
    let using: ast.OperatorName | undefined;
    if (this.accept("asc")) direction = "asc";
    else if (this.accept("desc")) direction = "desc";
    else if (this.accept("using")) using = this.is("operator") ? this.qualifiedOperator() : this.symbol();
    return { expr, direction, using, nulls: this.nullsOrder(), position };
  }

  protected nullsOrder(): "first" | "last" | undefined {
    if (!this.RECORDING_PHASE && !(this.is("nulls") && (this.is("first", 2) || this.is("last", 2)))) {
      return undefined;
    }
    return this.when("nulls", () =>
      this.oneOf<"first" | "last">({ first: () => "first", last: () => "last" }),
    );
  }

  // -------------------------------------------------------------------------------------------------------- windows

  /** After OVER: a name or a specification in parentheses. */
  private windowReference(): ast.WindowSpec {
    const position = this.here();
    if (!this.isType(LeftParen)) {
      return { reference: this.name(), partitionBy: [], orderBy: [], position };
    }
    return this.windowSpec(position);
  }

  /** `( [base] [PARTITION BY ..] [ORDER BY ..] [frame] )`. */
  protected windowSpec(position: number, name?: string): ast.WindowSpec {
    return this.parens(() => {
      const frameWord = this.is("rows") || this.is("range") || this.is("groups") || this.is("partition");
      const base = this.fits(ColumnName) && !frameWord ? this.name() : undefined;
      const partitionBy = this.accept("partition", "by") ? this.plainExpressions() : [];
      const orderBy = this.accept("order", "by") ? this.sortItems() : [];
      const frame = this.windowFrame();
      return { name, reference: undefined, base, partitionBy, orderBy, frame, position };
    });
  }

  private windowFrame(): ast.WindowFrame | undefined {
    const position = this.here();
    const mode = this.accept("rows")
      ? "rows"
      : this.accept("range")
        ? "range"
        : this.accept("groups")
          ? "groups"
          : undefined;
    if (mode === undefined) return undefined;
    let start: ast.FrameBound;
    let end: ast.FrameBound | undefined;
    if (this.accept("between")) {
      const startAt = this.here();
      start = this.frameBound();
      this.eat("and");
      const endAt = this.here();
      end = this.frameBound();
      if (start.kind === "unboundedFollowing")
        throw frameError("frame start cannot be UNBOUNDED FOLLOWING", startAt);
      if (end.kind === "unboundedPreceding")
        throw frameError("frame end cannot be UNBOUNDED PRECEDING", endAt);
      if (start.kind === "currentRow" && end.kind === "preceding") {
        throw frameError("frame starting from current row cannot have preceding rows", endAt);
      }
      if (start.kind === "following" && (end.kind === "preceding" || end.kind === "currentRow")) {
        throw frameError("frame starting from following row cannot have preceding rows", endAt);
      }
    } else {
      const startAt = this.here();
      start = this.frameBound();
      if (start.kind === "unboundedFollowing")
        throw frameError("frame start cannot be UNBOUNDED FOLLOWING", startAt);
      if (start.kind === "following") {
        throw frameError("frame starting from following row cannot end with current row", startAt);
      }
    }
    const exclude = this.when("exclude", () =>
      this.oneOf<"currentRow" | "group" | "ties" | undefined>({
        current: () => {
          this.eat("row");
          return "currentRow";
        },
        group: () => "group",
        ties: () => "ties",
        no: () => {
          this.eat("others");
          return undefined;
        },
      }),
    );
    return { mode, start, end, exclude, position };
  }

  private frameBound(): ast.FrameBound {
    if (this.is("unbounded") && (this.is("preceding", 2) || this.is("following", 2))) {
      this.eat("unbounded");
      if (this.accept("preceding")) return { kind: "unboundedPreceding" };
      this.eat("following");
      return { kind: "unboundedFollowing" };
    }
    if (this.acceptBoth("current", "row")) return { kind: "currentRow" };
    const offset = this.parseExpression(0, false);
    if (this.accept("preceding")) return { kind: "preceding", offset };
    this.eat("following");
    return { kind: "following", offset };
  }

  // ---------------------------------------------------------------------------------------------------------- types

  /** Typename: [SETOF] type [array bounds]. */
  protected typeName(): ast.TypeName {
    if (this.RECORDING_PHASE) {
      this.CONSUME(TypeOrFunctionName);
      return plainType({ name: "", position: 0 });
    }
    const setOf = this.accept("setof");
    let type = this.simpleType();
    if (type.name.schema === "pg_catalog" && type.name.name === "interval" && type.typmods.length === 0) {
      const fields = this.optionalIntervalFields();
      if (fields !== undefined) type = { ...type, intervalFields: fields.fields, typmods: fields.typmods };
    }
    const arrayBounds: number[] = [];
    if (this.accept("array")) {
      if (this.acceptType(LeftBracket)) {
        arrayBounds.push(this.integerConstant());
        this.eatType(RightBracket);
      } else arrayBounds.push(-1);
    } else {
      while (this.acceptType(LeftBracket)) {
        arrayBounds.push(this.isType(Integer) ? this.integerConstant() : -1);
        this.eatType(RightBracket);
      }
    }
    return arrayBounds.length === 0 && !setOf ? type : { ...type, setOf, arrayBounds };
  }

  /** ConstTypename, for literals: as a simple type, where the length of a character type is as written. */
  private constantType(): ast.TypeName {
    return this.simpleType(true);
  }

  private simpleType(constant = false): ast.TypeName {
    const token = this.peek();
    const word = token.tokenType.name;
    const position = token.startOffset + 1;
    const system = (name: string, typmods: readonly ast.Expr[] = []): ast.TypeName =>
      plainType(systemName(name, position), typmods);
    const plain = simpleTypes[word];
    if (plain !== undefined) {
      this.SKIP_TOKEN();
      return system(plain);
    }
    switch (word) {
      case "float": {
        this.SKIP_TOKEN();
        if (!this.isType(LeftParen)) return system("float8");
        const at = this.LA(2).startOffset;
        const precision = this.parens(() => this.integerConstant());
        if (precision < 1) {
          throw new GrammarError(
            "invalidParameterValue",
            "precision for type float must be at least 1 bit",
            at,
          );
        }
        if (precision > 53) {
          throw new GrammarError(
            "invalidParameterValue",
            "precision for type float must be less than 54 bits",
            at,
          );
        }
        return system(precision <= 24 ? "float4" : "float8");
      }
      case "double":
        if (!this.is("precision", 2)) break;
        this.eat("double", "precision");
        return system("float8");
      case "decimal":
      case "dec":
      case "numeric":
        this.SKIP_TOKEN();
        return system("numeric", this.typeModifiers());
      case "bit": {
        this.SKIP_TOKEN();
        const varying = this.accept("varying");
        if (this.isType(LeftParen)) return system(varying ? "varbit" : "bit", this.typeModifiers());
        // bit without a length is bit(1); in a literal it takes the literal's length.
        return varying || constant ? system(varying ? "varbit" : "bit") : system("bit", [one(position)]);
      }
      case "character":
      case "char":
      case "nchar":
      case "varchar":
      case "national": {
        this.SKIP_TOKEN();
        if (word === "national" && !this.accept("character") && !this.accept("char")) this.fail();
        const varying = word === "varchar" || this.accept("varying");
        const name = varying ? "varchar" : "bpchar";
        if (this.isType(LeftParen))
          return system(
            name,
            this.parens(() => [this.integerExpression()]),
          );
        return varying || constant ? system(name) : system(name, [one(position)]);
      }
      case "timestamp":
      case "time": {
        this.SKIP_TOKEN();
        const typmods = this.isType(LeftParen) ? this.parens(() => [this.integerExpression()]) : [];
        let zone = false;
        if (this.is("with") && this.is("time", 2)) {
          this.eat("with", "time", "zone");
          zone = true;
        } else if (this.is("without") && this.is("time", 2)) this.eat("without", "time", "zone");
        return system(`${word}${zone ? "tz" : ""}`, typmods);
      }
      case "interval":
        this.SKIP_TOKEN();
        return system(
          "interval",
          this.isType(LeftParen) ? this.parens(() => [this.integerExpression()]) : [],
        );
      default:
    }
    const first = this.eatType(TypeOrFunctionName);
    const parts = [first.value];
    while (this.acceptType(Dot)) parts.push(this.label());
    if (this.isType(Percent) && this.is("type", 2) && parts.length > 1) {
      this.SKIP_TOKEN();
      this.SKIP_TOKEN();
      return { ...plainType(qualifiedAny(parts, position)), percentType: true };
    }
    return plainType(qualified(parts, position), this.typeModifiers());
  }

  private typeModifiers(): readonly ast.Expr[] {
    if (!this.isType(LeftParen)) return [];
    const before = this.literalsTaken;
    const modifiers = this.parens(() => this.plainExpressions());
    if (this.literalsTaken !== before) this.refuseSharing();
    return modifiers;
  }

  /** YEAR [TO MONTH] and so on, with the precision of SECOND. */
  protected optionalIntervalFields():
    | { readonly fields: ast.IntervalFields; readonly typmods: readonly ast.Expr[] }
    | undefined {
    if (!this.isAny(intervalStarts)) return undefined;
    const first = this.label();
    let fields = first;
    if (first !== "month" && first !== "second" && this.accept("to")) {
      const last = this.peek().value;
      if (!intervalEnds[first]!.includes(last)) this.fail();
      this.SKIP_TOKEN();
      fields = `${first} to ${last}`;
    }
    const typmods =
      fields.endsWith("second") && this.isType(LeftParen)
        ? this.parens(() => [this.integerExpression()])
        : [];
    return { fields: fields as ast.IntervalFields, typmods };
  }

  /** Iconst. */
  protected integerConstant(): number {
    const token = this.eatType(Integer);
    return Number(token.value);
  }

  private integerExpression(): ast.Expr {
    const token = this.eatType(Integer);
    return { kind: "number", class: "int4", text: token.value, position: token.startOffset + 1 };
  }

  /** Sconst. */
  protected stringConstant(): string {
    return this.eatType(StringLiteral).value;
  }

  /** [+ | -] integer that fits int4. */
  protected signedInteger(): number {
    const negative = this.acceptType(Minus);
    if (!negative) this.acceptType(Plus);
    const value = this.integerConstant();
    return negative ? -value : value;
  }

  /** [+ | -] number, sign kept in the text. */
  protected signedNumber(): string {
    const negative = this.acceptType(Minus);
    if (!negative) this.acceptType(Plus);
    if (this.RECORDING_PHASE) return this.eatType(Integer).value;
    const token = this.peek();
    if (token.tokenType !== Integer && token.tokenType !== Decimal) this.fail();
    this.SKIP_TOKEN();
    return negative ? `-${token.value}` : token.value;
  }
}

function frameError(message: string, position: number): GrammarError {
  return new GrammarError("windowingError", message, position - 1);
}

function text(value: string, position: number): ast.Expr {
  return { kind: "string", value, position };
}

function one(position: number): ast.Expr {
  return { kind: "number", class: "int4", text: "1", position };
}

function qualified(parts: readonly string[], position: number): ast.QualifiedName {
  if (parts.length > 3) {
    throw new GrammarError(
      "syntaxError",
      `improper qualified name (too many dotted names): ${parts.join(".")}`,
      position - 1,
    );
  }
  return qualifiedAny(parts, position);
}

/** Also for four parts, as in catalog.schema.table.column%TYPE, where the first is dropped. */
function qualifiedAny(parts: readonly string[], position: number): ast.QualifiedName {
  const count = parts.length;
  return {
    catalog: count >= 3 ? parts[count - 3] : undefined,
    schema: count >= 2 ? parts[count - 2] : undefined,
    name: parts[count - 1]!,
    position,
  };
}

export function plainType(name: ast.QualifiedName, typmods: readonly ast.Expr[] = []): ast.TypeName {
  return {
    kind: "typeName",
    name,
    typmods,
    arrayBounds: [],
    setOf: false,
    percentType: false,
    intervalFields: undefined,
    position: name.position,
  };
}
