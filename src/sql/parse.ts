/**
 * Text to syntax trees: the one door to the grammar.
 *
 * Cuts the text into tokens, splits it at semicolons, runs the parser's rules and turns its failures into PostgreSQL's
 * errors: 42601 `syntax error at or near "X"` or `at end of input`, with the position in characters.
 *
 * Invariants: the parser is one instance, used synchronously and never re-entered; a failed parse leaves nothing behind.
 * Statement text above `textMax` is 54001 (rule M3), except INSERT .. VALUES lists, which `openInsertRows` reads row by row.
 */
import {
  BinaryString,
  Comma,
  Decimal,
  End,
  GrammarError,
  HexString,
  Identifier,
  Integer,
  Junk,
  keywords,
  LeftParen,
  RightParen,
  Scanner,
  Semicolon,
  SqlParser,
  StringLiteral,
  Token,
  UnexpectedToken,
} from "../../grammar/index.js";
import { type Condition, DbError } from "../base/errors.js";
import { mentionsSecret, secretWord, withoutShares } from "../base/secret-words.js";
import type { Expr, Insert, LiteralClass, Statement } from "./ast.js";

/** Longest statement text in UTF-16 units, but for lists of VALUES (M3). */
export const textMax = 4 * 1024 * 1024;

/** One statement of a text; `start` and `end` (exclusive) are 0-based offsets without the semicolon. */
export interface ParsedStatement {
  readonly ast: Statement;
  readonly start: number;
  readonly end: number;
}

export interface ParseNotice {
  readonly sqlstate: string;
  readonly message: string;
  readonly position: number;
}

export interface ParseOptions {
  /** Told of identifiers cut to 63 bytes (42622). */
  readonly onNotice?: ((notice: ParseNotice) => void) | undefined;
}

const scanner = new Scanner();
let made: SqlParser | undefined;
/** The one parser. Making it takes tens of milliseconds, so a start does without: see `makeParser`. */
function theParser(): SqlParser {
  made ??= new SqlParser();
  return made;
}
/** Tokens know their place in the grammar from the parser: it is there before the first of them is made. */
function startScan(text: string): void {
  theParser();
  scanner.reset(text);
}
/** To be called when there is time, so that no statement waits for the parser to be made. */
export function makeParser(): void {
  theParser();
}

/** Rows of pg_get_keywords(): word, category code and whether it may be a label without AS. */
export const keywordTable = keywords;

/** All statements of a text; empty ones are skipped. Throws DbError 42601, 22025, 22021, 54001, 0A000. */
export function parseStatements(text: string, options: ParseOptions = {}): ParsedStatement[] {
  if (text.length > textMax) throw tooLong();
  const statements: ParsedStatement[] = [];
  try {
    startScan(text);
    scanner.onTruncation = truncationNotice(text, options);
    for (;;) {
      const parsed = nextStatement(text);
      if (parsed === undefined) return statements;
      statements.push(parsed);
    }
  } catch (error) {
    throw asDbError(error, text);
  } finally {
    scanner.onTruncation = undefined;
  }
}

/** The only statement of a text (extended protocol); undefined for none. More than one is 42601. */
export function parseOne(text: string, options: ParseOptions = {}): ParsedStatement | undefined {
  const statements = parseStatements(text, options);
  if (statements.length > 1) {
    throw new DbError("syntaxError", "cannot insert multiple commands into a prepared statement");
  }
  return statements[0];
}

/** A lone expression, as stored in catalogs (defaults, checks, index expressions). Throws DbError like parseStatements. */
export function parseExpressionText(text: string): Expr {
  try {
    startScan(text);
    const tokens = statementTokens(false);
    theParser().begin(tokens);
    return theParser().expressionOnly();
  } catch (error) {
    throw asDbError(error, text);
  }
}

/**
 * Parses one statement with literals replaced: `offsets` are the 0-based offsets of the literals that a fingerprint of
 * this text stripped, `classes` their classes. Undefined when the parser finds one of them in a place where its value
 * matters to the tree: then the statement must be parsed plainly and not be shared.
 */
export function parseShared(
  text: string,
  offsets: readonly number[],
  classes: readonly LiteralClass[],
): ParsedStatement | undefined {
  if (text.length > textMax) throw tooLong();
  try {
    startScan(text);
    const parsed = nextStatement(text, offsets, classes);
    if (parsed === undefined || !theParser().allLiteralsTaken) return undefined;
    return nextStatement(text) === undefined ? parsed : undefined;
  } catch (error) {
    throw asDbError(error, text);
  }
}

/** INSERT .. VALUES read row by row. `insert` is the statement with an empty list; positions count in the whole text. */
export interface InsertRows {
  readonly insert: Insert;
  /** The next rows, at most `rowsMax`; none: the list is at its end. Throws DbError 42601 as the plain parse would. */
  next(rowsMax: number): (readonly Expr[])[];
}

/**
 * Opens a long INSERT .. VALUES (..), (..): memory is bounded by the rows asked for at a time, and so is the time of one
 * call (M3). Head and tail are parsed at once. Undefined when the text is no such statement, or more than one.
 */
export function openInsertRows(text: string): InsertRows | undefined {
  const scan = scanInsertRows(text);
  if (scan === undefined) return undefined;
  while (!scan.skip(Number.POSITIVE_INFINITY)) {}
  return scan.open();
}

/** The look for the end of a list of VALUES, in steps. */
export interface InsertScan {
  /** Passes over some rows; true once the list's end is found. Throws DbError 42601 and the scanner's own. */
  skip(rowsMax: number): boolean;
  /** After `skip` has answered true. Undefined when the text is no INSERT .. VALUES after all. */
  open(): InsertRows | undefined;
}

/** As `openInsertRows`, with the first pass over the text in steps of the caller's. */
export function scanInsertRows(text: string): InsertScan | undefined {
  try {
    return findInsertRows(text);
  } catch (error) {
    throw asDbError(error, text);
  }
}

function findInsertRows(text: string): InsertScan | undefined {
  const rows = new Scanner();
  rows.reset(text);
  if (rows.next().name !== "insert") return undefined;
  const head: Token[] = [tokenOf(rows)];
  let depth = 0;
  for (;;) {
    const type = rows.next();
    if (type === End || type === Semicolon || type.name === "select" || type.name === "with")
      return undefined;
    if (type === LeftParen) depth++;
    else if (type === RightParen) depth--;
    head.push(tokenOf(rows));
    if (type.name === "values" && depth === 0 && head.at(-2)?.tokenType.name !== "default") break;
  }
  const listStart = rows.position;
  const firstRow = rowTokens(rows);
  // Where the list ends is found by scanning the rows without parsing them.
  let listEnd = rows.position;
  return {
    skip(rowsMax: number): boolean {
      try {
        rows.reset(text, listEnd);
        for (let count = 0; count < rowsMax; count++) {
          if (peekType(rows) !== Comma) {
            listEnd = rows.position;
            return true;
          }
          rows.next();
          skipRow(rows);
        }
        listEnd = rows.position;
        return false;
      } catch (error) {
        throw asDbError(error, text);
      }
    },
    open(): InsertRows | undefined {
      try {
        return openList(text, rows, head, firstRow, listStart, listEnd);
      } catch (error) {
        throw asDbError(error, text);
      }
    },
  };
}

function openList(
  text: string,
  rows: Scanner,
  head: readonly Token[],
  firstRow: readonly Token[],
  listStart: number,
  listEnd: number,
): InsertRows | undefined {
  rows.reset(text, listEnd);
  const tail: Token[] = [];
  for (;;) {
    const type = rows.next();
    tail.push(tokenOf(rows));
    if (type === End) break;
    if (type !== Semicolon) continue;
    tail[tail.length - 1] = new Token(End, ";", rows.start, rows.end, false);
    // Several statements: whoever can run them reads them whole.
    if (rows.next() !== End) return undefined;
    break;
  }
  theParser().begin([...head, ...firstRow, ...tail]);
  const whole = theParser().statement();
  if (whole.kind !== "insert" || whole.source?.kind !== "values") return undefined;
  const insert: Insert = { ...whole, source: { ...whole.source, rows: [] } };
  let position = listStart;
  let ended = false;
  return {
    insert,
    next(rowsMax: number): (readonly Expr[])[] {
      const found: (readonly Expr[])[] = [];
      try {
        rows.reset(text, position);
        while (!ended && found.length < rowsMax) {
          const tokens = rowTokens(rows);
          const end = rows.end;
          theParser().begin([...tokens, new Token(End, "", end, end, false)]);
          found.push(theParser().rowOnly());
          ended = peekType(rows) !== Comma;
          if (!ended) rows.next();
        }
        position = rows.position;
      } catch (error) {
        throw asDbError(error, text);
      }
      return found;
    },
  };
}

function tokenOf(from: Scanner): Token {
  return new Token(from.type, from.value, from.start, from.end, from.quoted);
}

/** The type of the next token, which stays unread. */
function peekType(from: Scanner): typeof End {
  const { position } = from;
  const type = from.next();
  from.position = position;
  return type;
}

/** The tokens of one row with its parentheses; unbalanced ones are the parser's to complain of. */
function rowTokens(from: Scanner): Token[] {
  const tokens: Token[] = [];
  let depth = 0;
  do {
    const type = from.next();
    tokens.push(tokenOf(from));
    if (type === LeftParen) depth++;
    else if (type === RightParen) depth--;
    else if (type === End || type === Semicolon || depth === 0) throw new UnexpectedToken(tokens.at(-1)!);
  } while (depth > 0);
  return tokens;
}

function skipRow(from: Scanner): void {
  let depth = 0;
  do {
    const type = from.next();
    if (type === LeftParen) depth++;
    else if (type === RightParen) depth--;
    else if (type === End || type === Semicolon || depth === 0) throw new UnexpectedToken(tokenOf(from));
  } while (depth > 0);
}

/** Tokens up to the next semicolon that ends a statement (BEGIN ATOMIC bodies contain some), and the end. */
function statementTokens(splitting: boolean): Token[] {
  const tokens: Token[] = [];
  let atomic = 0;
  let depth = 0;
  let previous: Token | undefined;
  for (;;) {
    const type = scanner.next();
    if (type === End) break;
    if (type === Semicolon && splitting && atomic === 0 && depth === 0) {
      tokens.push(new Token(End, ";", scanner.start, scanner.end, false));
      return tokens;
    }
    const token = new Token(type, scanner.value, scanner.start, scanner.end, scanner.quoted);
    if (type === LeftParen) depth++;
    else if (type === RightParen && depth > 0) depth--;
    else if (type.name === "atomic" && previous?.tokenType.name === "begin") atomic++;
    else if (atomic > 0 && type.name === "case") atomic++;
    else if (atomic > 0 && type.name === "end") atomic--;
    tokens.push(token);
    previous = token;
  }
  tokens.push(new Token(End, "", scanner.start, scanner.start, false));
  return tokens;
}

function nextStatement(
  _text: string,
  offsets?: readonly number[],
  classes?: readonly LiteralClass[],
): ParsedStatement | undefined {
  for (;;) {
    const tokens = statementTokens(true);
    const last = tokens.at(-1)!;
    const first = tokens[0]!;
    if (tokens.length === 1) {
      if (last.value === "") return undefined;
      continue; // an empty statement
    }
    theParser().begin(tokens, offsets, classes);
    const ast = theParser().statement();
    return { ast, start: first.startOffset, end: tokens[tokens.length - 2]!.endOffset };
  }
}

function tooLong(): DbError {
  return new DbError("statementTooComplex", "statement text is too long", {
    detail: `Statements other than lists of VALUES may have ${textMax} characters.`,
  });
}

function truncationNotice(text: string, options: ParseOptions) {
  const { onNotice } = options;
  if (onNotice === undefined) return undefined;
  return (name: string, cut: string, offset: number): void =>
    onNotice({
      sqlstate: "42622",
      message: `identifier "${name}" will be truncated to "${cut}"`,
      position: characterPosition(text, offset),
    });
}

/** 1-based position in characters (code points) of a UTF-16 offset. */
export function characterPosition(text: string, offset: number): number {
  let pairs = 0;
  for (let at = 0; at < offset; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0xd800 && code <= 0xdbff) pairs++;
  }
  return offset - pairs + 1;
}

/** Typed wrongly, secrets are not repeated: behind a word such as PASSWORD only keywords, such words and signs are. */
function nearText(text: string, { tokenType, startOffset, endOffset }: Token): string {
  const near = text.slice(startOffset, endOffset);
  const isTold =
    !mayBeSecret.has(tokenType) || secretWord.test(near) || !mentionsSecret(text.slice(0, startOffset));
  return isTold ? withoutShares(near) : "***";
}
const mayBeSecret: ReadonlySet<Token["tokenType"]> = new Set([
  Identifier,
  StringLiteral,
  BinaryString,
  HexString,
  Integer,
  Decimal,
  Junk,
]);
function messageFor({ message, offset }: GrammarError, text: string): string {
  return mentionsSecret(text.slice(0, offset))
    ? message.replace(/ at or near ".*"$/s, "")
    : withoutShares(message);
}

/** What went wrong, as the client is told. RangeError is the stack's end: the depth limits make it a last resort. */
function asDbError(error: unknown, text: string): unknown {
  if (error instanceof UnexpectedToken) {
    const { token } = error;
    const atEnd = token.tokenType === End && token.value === "";
    if (atEnd || Number.isNaN(token.startOffset)) {
      return new DbError("syntaxError", "syntax error at end of input", {
        position: characterPosition(text, text.length),
      });
    }
    const near = nearText(text, token);
    return new DbError("syntaxError", `syntax error at or near "${near}"`, {
      position: characterPosition(text, token.startOffset),
    });
  }
  if (error instanceof GrammarError) {
    const position = error.offset === undefined ? undefined : characterPosition(text, error.offset);
    return new DbError(error.condition satisfies Condition, messageFor(error, text), {
      position,
      hint: error.hint,
    });
  }
  if (error instanceof RangeError && /call stack/i.test(error.message)) {
    return new DbError("statementTooComplex", "stack depth limit exceeded");
  }
  return error;
}
