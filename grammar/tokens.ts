/**
 * What a statement's characters mean: the keyword table, the token types and the scanner.
 *
 * The scanner is written by hand rather than as Chevrotain lexer patterns, for three reasons: PostgreSQL's operator
 * rule (longest run of operator characters, cut at a comment start, trailing + and - given back) is not a regular
 * pattern per token type; one scanner serves both the parser and the fingerprint, so that they cannot disagree about
 * where a literal is; and it costs a quarter of the time. It yields Chevrotain token types with offsets only.
 *
 * Invariants: a token is cut exactly where PostgreSQL 15 cuts it, with standard_conforming_strings on; every keyword has
 * one row in the table below; words that only our own statements know (SHARD, NODE, SWEEP, ..) are not keywords at all,
 * they are identifiers recognised by their place, so that no name of a user's becomes reserved.
 */
import { createToken, EOF, type IToken, type TokenType } from "chevrotain";

/** A mistake in the text. `offset` is a 0-based UTF-16 offset; parse.ts turns it into a position and a SQLSTATE. */
export class GrammarError extends Error {
  constructor(
    readonly condition: GrammarCondition,
    message: string,
    readonly offset: number | undefined,
    readonly hint?: string,
  ) {
    super(message);
  }
}
export type GrammarCondition =
  | "syntaxError"
  | "invalidEscapeSequence"
  | "characterNotInRepertoire"
  | "statementTooComplex"
  | "featureNotSupported"
  | "invalidParameterValue"
  | "windowingError"
  | "reservedName";

// ------------------------------------------------------------------------------------------------------- keywords

/** PostgreSQL's classes: unreserved, unreserved but no function or type, reserved but function or type, reserved. */
export type KeywordCategory = "U" | "C" | "T" | "R";

const byCategory: Readonly<Record<KeywordCategory, string>> = {
  R: `
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint 
create current_catalog current_date current_role current_time current_timestamp current_user 
default deferrable desc distinct do else end except false fetch for foreign from grant group having 
in initially intersect into lateral leading limit localtime localtimestamp not null offset on only 
or order placing primary references returning select session_user some symmetric table then to 
trailing true union unique user using variadic when where window with `,
  T: `
authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull 
join left like natural notnull outer overlaps right similar tablesample verbose `,
  C: `
between bigint bit boolean char character coalesce dec decimal exists extract float greatest 
grouping inout int integer interval least national nchar none normalize nullif numeric out overlay 
position precision real row setof smallint substring time timestamp treat trim values varchar 
xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot 
xmlserialize xmltable `,
  U: `
abort absolute access action add admin after aggregate also alter always asensitive assertion 
assignment at atomic attach attribute backward before begin breadth by cache call called cascade 
cascaded catalog chain characteristics checkpoint class close cluster columns comment comments 
commit committed compression configuration conflict connection constraints content continue 
conversion copy cost csv cube current cursor cycle data database day deallocate declare defaults 
deferred definer delete delimiter delimiters depends depth detach dictionary disable discard 
document domain double drop each enable encoding encrypted enum escape event exclude excluding 
exclusive execute explain expression extension external family filter finalize first following 
force forward function functions generated global granted groups handler header hold hour identity 
if immediate immutable implicit import include including increment index indexes inherit inherits 
inline input insensitive insert instead invoker isolation key label language large last leakproof 
level listen load local location lock locked logged mapping match matched materialized maxvalue 
merge method minute minvalue mode month move name names new next nfc nfd nfkc nfkd no normalized 
nothing notify nowait nulls object of off oids old operator option options ordinality others over 
overriding owned owner parallel parameter parser partial partition passing password plans policy 
preceding prepare prepared preserve prior privileges procedural procedure procedures program 
publication quote range read reassign recheck recursive ref referencing refresh reindex relative 
release rename repeatable replace replica reset restart restrict return returns revoke role 
rollback rollup routine routines rows rule savepoint schema schemas scroll search second security 
sequence sequences serializable server session set sets share show simple skip snapshot sql stable 
standalone start statement statistics stdin stdout storage stored strict strip subscription support 
sysid system tables tablespace temp template temporary text ties transaction transform trigger 
truncate trusted type types uescape unbounded uncommitted unencrypted unknown unlisten unlogged 
until update vacuum valid validate validator value varying version view views volatile whitespace 
within without work wrapper write xml year yes zone `,
};

/** Keywords that need AS before them when used as a column label. */
const needAs = new Set(
  words(`
array as char character create day except fetch filter for from grant group having hour intersect 
into isnull limit minute month notnull offset on order over overlaps precision returning second to 
union varying where window with within without year `),
);

function words(list: string): string[] {
  return list.trim().split(/\s+/);
}

export interface Keyword {
  readonly word: string;
  readonly category: KeywordCategory;
  /** May stand as a column label without AS. */
  readonly bareLabel: boolean;
}

/** All keywords in alphabetical order: also the rows of pg_get_keywords(). */
export const keywords: readonly Keyword[] = (["R", "T", "C", "U"] as const)
  .flatMap((category) =>
    words(byCategory[category]).map((word) => ({ word, category, bareLabel: !needAs.has(word) })),
  )
  .sort((a, b) => (a.word < b.word ? -1 : 1));

// ---------------------------------------------------------------------------------------------------- token types

/** Categories of names: which words may stand where. Token types of words belong to one or more of them. */
export const ColumnName = category("ColumnName"); //         ColId: columns, tables, most objects
export const TypeOrFunctionName = category("TypeOrFunctionName"); // type_function_name
export const NonReserved = category("NonReserved"); //       any word but the reserved ones (role names, DEFACL, ..)
export const Label = category("Label"); //                   ColLabel: any word at all, after AS or a dot
export const BareLabel = category("BareLabel"); //           a column label without AS

function category(name: string): TokenType {
  return createToken({ name, pattern: /(?!)/ });
}

export const Identifier = createToken({
  name: "Identifier",
  pattern: /(?!)/,
  categories: [ColumnName, TypeOrFunctionName, NonReserved, Label, BareLabel],
});
/** An integer that fits int4, and any other number. */
export const Integer = createToken({ name: "Integer", pattern: /(?!)/ });
export const Decimal = createToken({ name: "Decimal", pattern: /(?!)/ });
/** '..', E'..', U&'..' and $$..$$ with escapes resolved. */
export const StringLiteral = createToken({ name: "StringLiteral", pattern: /(?!)/ });
export const BinaryString = createToken({ name: "BinaryString", pattern: /(?!)/ });
export const HexString = createToken({ name: "HexString", pattern: /(?!)/ });
export const Parameter = createToken({ name: "Parameter", pattern: /(?!)/ });
/** Any operator without a token type of its own; the symbol is the token's value. */
export const Operator = createToken({ name: "Operator", pattern: /(?!)/ });
/** A character that belongs nowhere. */
export const Junk = createToken({ name: "Junk", pattern: /(?!)/ });

function symbol(name: string): TokenType {
  return createToken({ name, pattern: /(?!)/ });
}
export const LeftParen = symbol("LeftParen");
export const RightParen = symbol("RightParen");
export const LeftBracket = symbol("LeftBracket");
export const RightBracket = symbol("RightBracket");
export const Comma = symbol("Comma");
export const Semicolon = symbol("Semicolon");
export const Dot = symbol("Dot");
export const DotDot = symbol("DotDot");
export const Colon = symbol("Colon");
export const TypeCast = symbol("TypeCast");
export const ColonEquals = symbol("ColonEquals");
export const EqualsGreater = symbol("EqualsGreater");
export const Equals = symbol("Equals");
export const Less = symbol("Less");
export const Greater = symbol("Greater");
export const LessEqual = symbol("LessEqual");
export const GreaterEqual = symbol("GreaterEqual");
export const NotEqual = symbol("NotEqual");
export const Plus = symbol("Plus");
export const Minus = symbol("Minus");
export const Star = symbol("Star");
export const Slash = symbol("Slash");
export const Percent = symbol("Percent");
export const Caret = symbol("Caret");
export const End = EOF;

const noPattern = /(?!)/;
const categoriesOf: Readonly<Record<KeywordCategory, TokenType[]>> = {
  U: [ColumnName, TypeOrFunctionName, NonReserved, Label],
  C: [ColumnName, NonReserved, Label],
  T: [TypeOrFunctionName, NonReserved, Label],
  R: [Label],
};

/** Token type of each keyword, by lower-case word. */
export const keywordTypes: ReadonlyMap<string, TokenType> = new Map(
  keywords.map(({ word, category, bareLabel }) => [
    word,
    // As createToken makes it, less its walk over all categories for each word: the parser's constructor does that once.
    {
      name: word,
      PATTERN: noPattern,
      CATEGORIES: bareLabel ? [...categoriesOf[category], BareLabel] : categoriesOf[category],
    },
  ]),
);

/** The token type of a keyword; a word that is none is a mistake in the grammar. */
export function kw(word: string): TokenType {
  const type = keywordTypes.get(word);
  if (type === undefined) throw new Error(`not a keyword: ${word}`);
  return type;
}

export const vocabulary: TokenType[] = [
  ColumnName,
  TypeOrFunctionName,
  NonReserved,
  Label,
  BareLabel,
  Identifier,
  Integer,
  Decimal,
  StringLiteral,
  BinaryString,
  HexString,
  Parameter,
  Operator,
  Junk,
  LeftParen,
  RightParen,
  LeftBracket,
  RightBracket,
  Comma,
  Semicolon,
  Dot,
  DotDot,
  Colon,
  TypeCast,
  ColonEquals,
  EqualsGreater,
  Equals,
  Less,
  Greater,
  LessEqual,
  GreaterEqual,
  NotEqual,
  Plus,
  Minus,
  Star,
  Slash,
  Percent,
  Caret,
  ...keywordTypes.values(),
];

/** A token as the parser sees it. `value` is the folded word, the string's content, the digits or the operator. */
export class Token implements IToken {
  readonly tokenTypeIdx: number;
  constructor(
    readonly tokenType: TokenType,
    readonly value: string,
    readonly startOffset: number,
    readonly endOffset: number,
    /** Written in double quotes: never a word of ours. */
    readonly quoted: boolean,
  ) {
    this.tokenTypeIdx = tokenType.tokenTypeIdx!;
  }
  get image(): string {
    return this.value;
  }
}

// -------------------------------------------------------------------------------------------------------- scanner

const WORD_START = 1;
const WORD_PART = 2;
const DIGIT = 4;
const OPERATOR = 8;
const SPACE = 16;
/** Operator characters that allow the operator to end in + or -. */
const OPERATOR_FREE = 32;

const classes = new Uint8Array(128);
for (let code = 0; code < 128; code++) {
  const char = String.fromCharCode(code);
  let bits = 0;
  if (/[A-Za-z_]/.test(char)) bits |= WORD_START | WORD_PART;
  if (/[0-9]/.test(char)) bits |= DIGIT | WORD_PART;
  if (char === "$") bits |= WORD_PART;
  if ("~!@#^&|`?+-*/%<>=".includes(char)) bits |= OPERATOR;
  if ("~!@#^&|`?%".includes(char)) bits |= OPERATOR_FREE;
  if (" \t\n\r\f".includes(char)) bits |= SPACE;
  classes[code] = bits;
}

/** Character class bits; everything beyond ASCII may be part of a word. */
function classOf(code: number): number {
  return code < 128 ? classes[code]! : WORD_START | WORD_PART;
}

const selfTypes: (TokenType | undefined)[] = [];
for (const [char, type] of [
  ["(", LeftParen],
  [")", RightParen],
  ["[", LeftBracket],
  ["]", RightBracket],
  [",", Comma],
  [";", Semicolon],
  [".", Dot],
  [":", Colon],
  ["+", Plus],
  ["-", Minus],
  ["*", Star],
  ["/", Slash],
  ["%", Percent],
  ["^", Caret],
  ["<", Less],
  [">", Greater],
  ["=", Equals],
] as const) {
  selfTypes[char.charCodeAt(0)] = type;
}

const QUOTE = 0x27;
const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DOLLAR = 0x24;
const DOT = 0x2e;
const MINUS = 0x2d;
const SLASH = 0x2f;
const STAR = 0x2a;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Longest identifier in bytes (NAMEDATALEN - 1). */
export const identifierBytesMax = 63;

/** Called when an identifier is cut to 63 bytes (SQLSTATE 42622, a notice). */
export type TruncationNotice = (identifier: string, truncated: string, offset: number) => void;

/**
 * Cuts text into tokens. Call `next()`, then read `type`, `value`, `start`, `end`; at the end `type` is End for ever.
 * Throws GrammarError (42601 unterminated quotes and comments, junk after numbers; 22025 and 22021 bad escapes).
 */
export class Scanner {
  text = "";
  type: TokenType = End;
  value = "";
  start = 0;
  /** Exclusive. */
  end = 0;
  quoted = false;
  onTruncation: TruncationNotice | undefined;
  /** Where the next token is looked for; the fingerprint and the row stream move it. */
  position = 0;

  reset(text: string, position = 0): void {
    this.text = text;
    this.position = position;
  }

  next(): TokenType {
    const text = this.text;
    const length = text.length;
    let at = this.#skipSpace(this.position);
    this.quoted = false;
    this.start = at;
    if (at >= length) {
      this.end = length;
      this.position = length;
      this.value = "";
      this.type = End;
      return End;
    }
    const code = text.charCodeAt(at);
    const bits = classOf(code);
    if ((bits & WORD_START) !== 0) {
      // Single letters before a quote make another kind of literal.
      const following = at + 1 < length ? text.charCodeAt(at + 1) : 0;
      if (following === QUOTE || (following === 0x26 && (code | 32) === 0x75)) {
        const special = this.#prefixed(code | 32, at);
        if (special !== undefined) return special;
      }
      at++;
      while (at < length) {
        const c = text.charCodeAt(at);
        if (c < 128 ? (classes[c]! & WORD_PART) === 0 : false) break;
        at++;
      }
      return this.#word(this.start, at);
    }
    if ((bits & DIGIT) !== 0) return this.#number(at);
    if (code === QUOTE) return this.#string(at, at);
    if (code === DOUBLE_QUOTE) return this.#quotedIdentifier(at, at + 1, false);
    if (code === DOT) {
      const following = at + 1 < length ? text.charCodeAt(at + 1) : 0;
      if (following >= 0x30 && following <= 0x39) return this.#number(at);
      if (following === DOT) return this.#finish(DotDot, "..", at + 2);
      return this.#finish(Dot, ".", at + 1);
    }
    if (code === 0x3a) {
      const following = at + 1 < length ? text.charCodeAt(at + 1) : 0;
      if (following === 0x3a) return this.#finish(TypeCast, "::", at + 2);
      if (following === 0x3d) return this.#finish(ColonEquals, ":=", at + 2);
      return this.#finish(Colon, ":", at + 1);
    }
    if (code === DOLLAR) return this.#dollar(at);
    if ((bits & OPERATOR) !== 0) return this.#operator(at);
    const type = selfTypes[code];
    if (type !== undefined) return this.#finish(type, text[at]!, at + 1);
    return this.#finish(Junk, text[at]!, at + 1);
  }

  #finish(type: TokenType, value: string, end: number): TokenType {
    this.type = type;
    this.value = value;
    this.end = end;
    this.position = end;
    return type;
  }

  /** Offset of the next character that is neither white space nor comment. */
  #skipSpace(from: number): number {
    const text = this.text;
    const length = text.length;
    let at = from;
    while (at < length) {
      const code = text.charCodeAt(at);
      if (code === 0x20 || (code < 128 && (classes[code]! & SPACE) !== 0)) at++;
      else if (code === MINUS && text.charCodeAt(at + 1) === MINUS) at = this.#lineEnd(at);
      else if (code === SLASH && text.charCodeAt(at + 1) === STAR) at = this.#commentEnd(at);
      else break;
    }
    return at;
  }

  #lineEnd(from: number): number {
    let at = from;
    while (at < this.text.length) {
      const code = this.text.charCodeAt(at);
      if (code === NEWLINE || code === RETURN) break;
      at++;
    }
    return at;
  }

  /** Comments nest. */
  #commentEnd(from: number): number {
    const text = this.text;
    let depth = 1;
    let at = from + 2;
    let open = text.indexOf("/*", at); // looked for anew only once passed: a long comment is read once
    while (depth > 0) {
      const star = text.indexOf("*", at);
      if (star < 0) throw this.#unterminated("unterminated /* comment", from);
      // An opening between here and the star, or starting with it, comes first.
      if (open >= 0 && open < at) open = text.indexOf("/*", at);
      if (open >= 0 && open < star) {
        depth++;
        at = open + 2;
      } else if (text.charCodeAt(star + 1) === SLASH) {
        depth--;
        at = star + 2;
      } else at = star + 1;
    }
    return at;
  }

  #unterminated(what: string, start: number): GrammarError {
    return new GrammarError("syntaxError", `${what} at or near "${this.text.slice(start)}"`, start);
  }

  #word(start: number, end: number): TokenType {
    const raw = this.text.slice(start, end);
    const folded = foldCase(raw);
    const keyword = keywordTypes.get(folded);
    this.end = end;
    this.position = end;
    if (keyword !== undefined) {
      this.value = folded;
      this.type = keyword;
      return keyword;
    }
    this.value = end - start > 20 ? this.#truncate(folded, start) : folded;
    this.type = Identifier;
    return Identifier;
  }

  #truncate(name: string, start: number): string {
    const cut = truncateIdentifier(name);
    if (cut !== name && this.onTruncation !== undefined) this.onTruncation(name, cut, start);
    return cut;
  }

  /** e'..', b'..', x'..', n'..', u&'..', u&"..": undefined when the letter is an ordinary word's. */
  #prefixed(letter: number, at: number): TokenType | undefined {
    const text = this.text;
    switch (letter) {
      case 0x65: // e
        return this.#escapeString(at);
      case 0x62: // b
        return this.#bitString(at, BinaryString, "unterminated bit string literal");
      case 0x78: // x
        return this.#bitString(at, HexString, "unterminated hexadecimal string literal");
      case 0x6e: // n'..' is the word nchar and then the string
        return this.#finish(keywordTypes.get("nchar")!, "nchar", at + 1);
      case 0x75: {
        if (text.charCodeAt(at + 1) !== 0x26) return undefined;
        const quote = text.charCodeAt(at + 2);
        if (quote === QUOTE) return this.#unicodeString(at);
        if (quote === DOUBLE_QUOTE) return this.#quotedIdentifier(at, at + 3, true);
        return undefined;
      }
      default:
        return undefined;
    }
  }

  // ------------------------------------------------------------------------------------------------------ strings

  /** After a closing quote: the offset of a further quote on a later line, which continues the string, or -1. */
  #continuation(from: number): number {
    const text = this.text;
    const code = text.charCodeAt(from);
    // Nearly always a comma, parenthesis or blank followed by something on the same line.
    if (!(code === 0x20 || (code >= 9 && code <= 13) || code === MINUS)) return -1;
    let at = from;
    let sawNewline = false;
    while (at < text.length) {
      const c = text.charCodeAt(at);
      if (c === NEWLINE || c === RETURN) {
        sawNewline = true;
        at++;
      } else if (c < 128 && (classes[c]! & SPACE) !== 0) at++;
      else if (c === MINUS && text.charCodeAt(at + 1) === MINUS) at = this.#lineEnd(at);
      else if (c === QUOTE && sawNewline) return at;
      else return -1;
    }
    return -1;
  }

  /** A plain string whose quote stands at `quote`. */
  #string(start: number, quote: number): TokenType {
    const text = this.text;
    let value = "";
    let from = quote + 1;
    for (;;) {
      const close = text.indexOf("'", from);
      if (close < 0) throw this.#unterminated("unterminated quoted string", start);
      value += text.slice(from, close);
      if (text.charCodeAt(close + 1) === QUOTE) {
        value += "'";
        from = close + 2;
        continue;
      }
      const again = this.#continuation(close + 1);
      if (again < 0) {
        this.quoted = true;
        return this.#finish(StringLiteral, value, close + 1);
      }
      from = again + 1;
    }
  }

  #bitString(start: number, type: TokenType, unterminated: string): TokenType {
    let value = "";
    let from = start + 2;
    for (;;) {
      const close = this.text.indexOf("'", from);
      if (close < 0) throw this.#unterminated(unterminated, start);
      value += this.text.slice(from, close);
      const again = this.#continuation(close + 1);
      if (again < 0) return this.#finish(type, value, close + 1);
      from = again + 1;
    }
  }

  /** E'..': C-like escapes. Octal and hexadecimal ones are bytes, which together must be UTF-8. */
  #escapeString(start: number): TokenType {
    const text = this.text;
    const length = text.length;
    let value = "";
    let at = start + 2;
    let from = at;
    let bytes: number[] = [];
    let highSurrogate = 0;
    const flushBytes = (): void => {
      if (bytes.length === 0) return;
      value += decodeBytes(bytes);
      bytes = [];
    };
    const pairOnly = (offset: number, end: number): void => {
      if (highSurrogate === 0) return;
      throw new GrammarError(
        "syntaxError",
        `invalid Unicode surrogate pair at or near "${text.slice(offset, end)}"`,
        offset,
      );
    };
    for (;;) {
      if (at >= length) throw this.#unterminated("unterminated quoted string", start);
      const code = text.charCodeAt(at);
      if (code !== QUOTE && code !== BACKSLASH) {
        if (bytes.length > 0) flushBytes();
        if (highSurrogate !== 0) pairOnly(at, at + 1);
        at++;
        continue;
      }
      value += text.slice(from, at);
      if (code === QUOTE) {
        flushBytes();
        pairOnly(at, at + 1);
        if (text.charCodeAt(at + 1) === QUOTE) {
          value += "'";
          at += 2;
          from = at;
          continue;
        }
        const again = this.#continuation(at + 1);
        if (again < 0) return this.#finish(StringLiteral, value, at + 1);
        at = again + 1;
        from = at;
        continue;
      }
      if (at + 1 >= length) throw this.#unterminated("unterminated quoted string", start);
      const letter = text[at + 1]!;
      if (letter === "u" || letter === "U") {
        flushBytes();
        const digits = letter === "u" ? 4 : 8;
        const hex = text.slice(at + 2, at + 2 + digits);
        if (hex.length !== digits || !/^[0-9a-fA-F]+$/.test(hex)) {
          throw new GrammarError(
            "invalidEscapeSequence",
            "invalid Unicode escape",
            at,
            "Unicode escapes must be \\uXXXX or \\UXXXXXXXX.",
          );
        }
        const point = Number.parseInt(hex, 16);
        const escapeStart = at;
        at += 2 + digits;
        from = at;
        if (highSurrogate !== 0) {
          if (!isLowSurrogate(point)) pairOnly(escapeStart, at);
          value += String.fromCharCode(highSurrogate, point);
          highSurrogate = 0;
        } else if (isHighSurrogate(point)) highSurrogate = point;
        else if (isLowSurrogate(point)) {
          highSurrogate = point;
          pairOnly(escapeStart, at);
        } else value += codePoint(point, escapeStart, text.slice(escapeStart, at));
        continue;
      }
      pairOnly(at, at + 2);
      const octal = /^[0-7]{1,3}/.exec(text.slice(at + 1, at + 4));
      const hex = letter === "x" ? /^[0-9a-fA-F]{1,2}/.exec(text.slice(at + 2, at + 4)) : null;
      if (octal !== null || hex !== null) {
        const byte = octal !== null ? Number.parseInt(octal[0], 8) & 255 : Number.parseInt(hex![0], 16);
        bytes.push(byte);
        at += octal !== null ? 1 + octal[0].length : 2 + hex![0].length;
        from = at;
        continue;
      }
      flushBytes();
      const simple = simpleEscapes[letter];
      value += simple ?? letter;
      at += 2;
      from = at;
    }
  }

  /** U&'..' [UESCAPE 'c']. */
  #unicodeString(start: number): TokenType {
    this.#string(start, start + 2);
    const value = this.value;
    const end = this.end;
    const suffix = this.#uescape(end);
    const decoded = decodeUnicode(value, suffix.character, start + 3);
    return this.#finish(StringLiteral, decoded, suffix.end);
  }

  /** The escape character that follows, by default a backslash. */
  #uescape(from: number): { character: string; end: number } {
    const at = this.#skipSpace(from);
    const text = this.text;
    if (!/^uescape(?![\w$\u0080-\uffff])/i.test(text.slice(at, at + 8)))
      return { character: "\\", end: from };
    const quote = this.#skipSpace(at + 7);
    if (text.charCodeAt(quote) !== QUOTE) {
      throw new GrammarError(
        "syntaxError",
        nearText("UESCAPE must be followed by a simple string literal", text, quote),
        quote,
      );
    }
    this.#string(quote, quote);
    if (this.value.length !== 1 || /[0-9a-fA-F+'"\s]/.test(this.value)) {
      throw new GrammarError(
        "syntaxError",
        nearText("invalid Unicode escape character", text, quote, this.end),
        quote,
      );
    }
    return { character: this.value, end: this.end };
  }

  #quotedIdentifier(start: number, from: number, unicode: boolean): TokenType {
    const text = this.text;
    let value = "";
    let at = from;
    for (;;) {
      const close = text.indexOf('"', at);
      if (close < 0) throw this.#unterminated("unterminated quoted identifier", start);
      value += text.slice(at, close);
      at = close + 1;
      if (text.charCodeAt(at) !== DOUBLE_QUOTE) break;
      value += '"';
      at++;
    }
    if (value === "") {
      throw new GrammarError(
        "syntaxError",
        `zero-length delimited identifier at or near "${text.slice(start, at)}"`,
        start,
      );
    }
    if (unicode) {
      const suffix = this.#uescape(at);
      value = decodeUnicode(value, suffix.character, from);
      at = suffix.end;
      this.start = start;
    }
    if (value.length > 20) value = this.#truncate(value, start);
    this.quoted = true;
    return this.#finish(Identifier, value, at);
  }

  /** $1, $$..$$, $tag$..$tag$. */
  #dollar(at: number): TokenType {
    const text = this.text;
    let end = at + 1;
    const first = text.charCodeAt(end);
    if (first >= 0x30 && first <= 0x39) {
      while (end < text.length && (classOf(text.charCodeAt(end)) & DIGIT) !== 0) end++;
      if (end < text.length && (classOf(text.charCodeAt(end)) & WORD_START) !== 0) {
        throw new GrammarError(
          "syntaxError",
          `trailing junk after parameter at or near "${text.slice(at, this.#wordEnd(end))}"`,
          at,
        );
      }
      return this.#finish(Parameter, text.slice(at + 1, end), end);
    }
    while (end < text.length) {
      const bits = classOf(text.charCodeAt(end));
      if (text.charCodeAt(end) === DOLLAR || (bits & WORD_PART) === 0) break;
      end++;
    }
    if (text.charCodeAt(end) !== DOLLAR) return this.#finish(Junk, "$", at + 1);
    const tag = text.slice(at, end + 1);
    const close = text.indexOf(tag, end + 1);
    if (close < 0) throw this.#unterminated("unterminated dollar-quoted string", at);
    this.quoted = true;
    return this.#finish(StringLiteral, text.slice(end + 1, close), close + tag.length);
  }

  // ------------------------------------------------------------------------------------------ numbers, operators

  #digits(from: number): number {
    const text = this.text;
    let at = from;
    while (at < text.length) {
      const code = text.charCodeAt(at);
      if (code < 0x30 || code > 0x39) break;
      at++;
    }
    return at;
  }

  #number(start: number): TokenType {
    const text = this.text;
    let at = this.#digits(start);
    let decimal = false;
    if (text.charCodeAt(at) === DOT && (text.charCodeAt(at + 1) !== DOT || at === start)) {
      decimal = true;
      at = this.#digits(at + 1);
    }
    const code = text.charCodeAt(at);
    if ((code | 32) === 0x65) {
      let exponent = at + 1;
      const sign = text.charCodeAt(exponent);
      if (sign === 0x2b || sign === MINUS) exponent++;
      const end = this.#digits(exponent);
      if (end === exponent) throw this.#junk(start, exponent);
      decimal = true;
      at = end;
    }
    if (at < text.length && (classOf(text.charCodeAt(at)) & WORD_START) !== 0)
      throw this.#junk(start, at + 1);
    const value = text.slice(start, at);
    const small = !decimal && (value.length < 10 || fitsInt4(value));
    return this.#finish(small ? Integer : Decimal, value, at);
  }

  /** What is complained of reaches to the end of the word glued to the number. */
  #junk(start: number, from: number): GrammarError {
    const end = this.#wordEnd(from);
    return new GrammarError(
      "syntaxError",
      `trailing junk after numeric literal at or near "${this.text.slice(start, end)}"`,
      start,
    );
  }

  #wordEnd(from: number): number {
    let end = from;
    while (end < this.text.length && (classOf(this.text.charCodeAt(end)) & WORD_PART) !== 0) end++;
    return end;
  }

  /** PostgreSQL's rule: longest run, cut before a comment, without trailing + or - unless a freer character is in it. */
  #operator(start: number): TokenType {
    const text = this.text;
    let end = start;
    let free = false;
    while (end < text.length) {
      const code = text.charCodeAt(end);
      if (code >= 128 || (classes[code]! & OPERATOR) === 0) break;
      if (code === MINUS && end > start && text.charCodeAt(end + 1) === MINUS) break;
      if (code === SLASH && end > start && text.charCodeAt(end + 1) === STAR) break;
      if ((classes[code]! & OPERATOR_FREE) !== 0) free = true;
      end++;
    }
    if (!free) {
      while (end - start > 1) {
        const last = text.charCodeAt(end - 1);
        if (last !== 0x2b && last !== MINUS) break;
        end--;
      }
    }
    const count = end - start;
    if (count === 1) {
      const type = selfTypes[text.charCodeAt(start)];
      return this.#finish(type ?? Operator, text[start]!, end);
    }
    const value = text.slice(start, end);
    if (count === 2) {
      switch (value) {
        case "=>":
          return this.#finish(EqualsGreater, value, end);
        case ">=":
          return this.#finish(GreaterEqual, value, end);
        case "<=":
          return this.#finish(LessEqual, value, end);
        case "<>":
        case "!=":
          return this.#finish(NotEqual, "<>", end);
        default:
      }
    }
    if (count > identifierBytesMax) {
      throw new GrammarError("syntaxError", `operator too long at or near "${value}"`, start);
    }
    return this.#finish(Operator, value, end);
  }
}

const simpleEscapes: Readonly<Record<string, string | undefined>> = {
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

function isHighSurrogate(point: number): boolean {
  return point >= 0xd800 && point <= 0xdbff;
}
function isLowSurrogate(point: number): boolean {
  return point >= 0xdc00 && point <= 0xdfff;
}

function codePoint(point: number, offset: number, near: string): string {
  if (point === 0 || point > 0x10ffff) {
    throw new GrammarError("syntaxError", `invalid Unicode escape value at or near "${near}"`, offset);
  }
  return String.fromCodePoint(point);
}

function nearText(message: string, text: string, offset: number, end?: number): string {
  if (offset >= text.length) return `${message} at end of input`;
  return `${message} at or near "${text.slice(offset, end ?? offset + 1)}"`;
}

/** Bytes written as \x or octal escapes must form UTF-8 and not be zero (22021). */
function decodeBytes(bytes: readonly number[]): string {
  try {
    if (bytes.includes(0)) throw new RangeError("zero byte");
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    const shown = bytes.map((byte) => `0x${byte.toString(16).padStart(2, "0")}`).join(" ");
    throw new GrammarError(
      "characterNotInRepertoire",
      `invalid byte sequence for encoding "UTF8": ${shown}`,
      undefined,
    );
  }
}

/** Resolves \XXXX and \+XXXXXX of U& literals. `base` is the offset of the first character. */
function decodeUnicode(value: string, escapeCharacter: string, base: number): string {
  if (!value.includes(escapeCharacter)) return value;
  const invalid = (offset: number): GrammarError =>
    new GrammarError(
      "syntaxError",
      "invalid Unicode escape",
      base + offset,
      "Unicode escapes must be \\XXXX or \\+XXXXXX.",
    );
  let out = "";
  let high = 0;
  for (let at = 0; at < value.length; ) {
    if (value[at] !== escapeCharacter) {
      if (high !== 0) throw new GrammarError("syntaxError", "invalid Unicode surrogate pair", base + at);
      out += value[at++];
      continue;
    }
    if (value[at + 1] === escapeCharacter) {
      if (high !== 0) throw new GrammarError("syntaxError", "invalid Unicode surrogate pair", base + at);
      out += escapeCharacter;
      at += 2;
      continue;
    }
    const long = value[at + 1] === "+";
    const digits = long ? value.slice(at + 2, at + 8) : value.slice(at + 1, at + 5);
    if (digits.length !== (long ? 6 : 4) || !/^[0-9a-fA-F]+$/.test(digits)) throw invalid(at);
    const point = Number.parseInt(digits, 16);
    if (high !== 0) {
      if (!isLowSurrogate(point))
        throw new GrammarError("syntaxError", "invalid Unicode surrogate pair", base + at);
      out += String.fromCharCode(high, point);
      high = 0;
    } else if (isHighSurrogate(point)) high = point;
    else if (isLowSurrogate(point))
      throw new GrammarError("syntaxError", "invalid Unicode surrogate pair", base + at);
    else if (point === 0 || point > 0x10ffff) {
      throw new GrammarError("syntaxError", "invalid Unicode escape value", base + at);
    } else out += String.fromCodePoint(point);
    at += long ? 8 : 5;
  }
  if (high !== 0)
    throw new GrammarError("syntaxError", "invalid Unicode surrogate pair", base + value.length);
  return out;
}

const upperCase = /[A-Z]/;
const nonAscii = /[^\0-\x7f]/;

/** Folds A-Z only: PostgreSQL leaves other letters alone in UTF-8 databases. */
export function foldCase(word: string): string {
  if (!upperCase.test(word)) return word;
  if (!nonAscii.test(word)) return word.toLowerCase();
  return word.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Cuts a name to 63 bytes of UTF-8 without splitting a character. */
export function truncateIdentifier(name: string): string {
  if (name.length * 3 <= identifierBytesMax) return name;
  let bytes = 0;
  for (let at = 0; at < name.length; ) {
    const point = name.codePointAt(at)!;
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    if (bytes > identifierBytesMax) return name.slice(0, at);
    at += point < 0x10000 ? 1 : 2;
  }
  return name;
}

/** Whether decimal digits (leading zeros allowed) are at most 2147483647. */
export function fitsInt4(digits: string): boolean {
  const value = digits.replace(/^0+/, "");
  return value.length < 10 || (value.length === 10 && value <= "2147483647");
}

/** Whether decimal digits are at most 9223372036854775807. */
export function fitsInt8(digits: string): boolean {
  const value = digits.replace(/^0+/, "");
  return value.length < 19 || (value.length === 19 && value <= "9223372036854775807");
}

/** Class of a number token: int4, int8 or numeric, as PostgreSQL types it. */
export function numberClass(type: TokenType, text: string): "int4" | "int8" | "numeric" {
  if (type === Integer) return "int4";
  return /^[0-9]+$/.test(text) && fitsInt8(text) ? "int8" : "numeric";
}
