/**
 * Statements by shape: the text with its literals taken out is the key under which a plan is cached (D11, M4).
 *
 * One pass of the grammar's own scanner; a stripped literal is replaced in the key by a control character and its class.
 * Decisions, and why they are safe:
 * - Only SELECT, VALUES, WITH, INSERT, UPDATE, DELETE, alone in the text, have a fingerprint.
 * - Numbers (int4, int8, numeric) and strings are stripped. NULL, TRUE, FALSE, parameters, bit strings, `type '..'`
 *   literals, anything in a type's parentheses or behind `::`, and the ON CONFLICT target stay in the key.
 * - ORDER BY, GROUP BY and PARTITION BY keep their literals: a lone number is an ordinal. With GROUP BY or DISTINCT the
 *   select list, HAVING and WINDOW keep theirs too, for they are matched with the grouping expressions.
 * - Otherwise the select list is stripped: no column is named after a literal (`?column?`, or the function's name).
 * - The number of items in a list is visible, since each leaves its marker.
 *
 * Invariant: two texts with one key have the same tree but for the values of the stripped literals. Where the scanner
 * alone cannot know (a string that belongs to a type), the parser notices and `parseShared` refuses to share the tree.
 */

import type { TokenType } from "chevrotain";
import {
  Decimal,
  Dot,
  End,
  Identifier,
  Integer,
  Junk,
  LeftBracket,
  LeftParen,
  numberClass,
  RightBracket,
  RightParen,
  Scanner,
  Semicolon,
  StringLiteral,
  TypeCast,
} from "../../grammar/index.js";
import type { LiteralClass } from "./ast.js";

/** Longer texts and more literals are not worth a place in the cache. */
export const fingerprintTextMax = 64 * 1024;
export const fingerprintLiteralsMax = 4_096;

export interface Fingerprint {
  readonly key: string;
  /** In order; int4 as numbers, int8 and numeric as their digits, strings with escapes resolved. */
  readonly literals: readonly (string | number)[];
  readonly classes: readonly LiteralClass[];
  /** 0-based offsets in the text: what `parseShared` wants, and where a bad value is reported. */
  readonly offsets: readonly number[];
}

const markers: Readonly<Record<LiteralClass, string>> = {
  int4: "\u0001i",
  int8: "\u0001l",
  numeric: "\u0001n",
  string: "\u0001s",
};

const statementStarts = new Set(["select", "values", "with", "insert", "update", "delete"]);
/** Words that a string constant may follow; after any other word it belongs to a type. */
const stringMayFollow = new Set(
  (
    "and or not when then else case select distinct all where having on returning like ilike between symmetric " +
    "asymmetric by limit offset from for to escape zone placing leading trailing both variadic any some in"
  ).split(" "),
);
/** Words whose parentheses hold the modifiers of a type. */
const modifierWords = new Set(
  (
    "timestamp time interval current_time current_timestamp localtime localtimestamp float decimal dec numeric " +
    "char character varchar nchar bit varying"
  ).split(" "),
);
/** Keywords within types' names, and the token types there. */
const typeWords = new Set([
  ...modifierWords,
  ...(
    "int integer smallint bigint real boolean double precision with without zone national setof array to " +
    "year month day hour minute second"
  ).split(" "),
]);
const inTypes = new Set<TokenType>([
  Identifier,
  Dot,
  LeftParen,
  RightParen,
  LeftBracket,
  RightBracket,
  Integer,
  Decimal,
  StringLiteral,
]);
/** Words that end ORDER BY, GROUP BY and PARTITION BY, or a select list. */
const clauseEnds = new Set(
  (
    "from where into having window union intersect except order group limit offset fetch for returning rows range " +
    "groups on set"
  ).split(" "),
);

const depthMax = 200;
const scanner = new Scanner();
/** Per depth of parentheses: literals stay whatever happens; literals stay if the statement groups; what surrounds it. */
const hard = new Uint8Array(depthMax + 1);
const soft = new Uint8Array(depthMax + 1);
const softBase = new Uint8Array(depthMax + 1);

/** The statement's shape and literals; undefined: not to be cached. Never throws: what is wrong, the parser tells. */
export function fingerprint(text: string): Fingerprint | undefined {
  if (text.length > fingerprintTextMax) return undefined;
  try {
    return scan(text);
  } catch {
    return undefined; // unterminated strings and the like: the parser will meet them again and report them
  }
}

function scan(text: string): Fingerprint | undefined {
  scanner.reset(text);
  let type = scanner.next();
  if (!statementStarts.has(type.name)) return undefined;
  const literals: (string | number)[] = [];
  const classes: LiteralClass[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  const softLiterals: number[] = []; // indexes of those that stay if the statement groups
  let groups = false;
  let depth = 0;
  hard[0] = 0;
  soft[0] = 0;
  softBase[0] = 0;
  // Behind `::` or CAST(.. AS: a type is being read, at this depth.
  let typeDepth = -1;
  let castDepth = -1;
  let previous = "";
  let beforePrevious = "";
  for (; type !== End; type = scanner.next()) {
    let name = type.name;
    if (typeDepth === depth && endsType(type)) typeDepth = -1;
    if (type === Integer || type === Decimal || type === StringLiteral) {
      const inType = typeDepth >= 0 && (depth > typeDepth || previous === "LeftBracket");
      if (!inType) typeDepth = -1;
      const belongsToType = type === StringLiteral && !mayStandAlone(previous);
      if (!inType && !belongsToType && hard[depth] === 0) {
        const cls: LiteralClass = type === StringLiteral ? "string" : numberClass(type, scanner.value);
        if (soft[depth] !== 0) softLiterals.push(literals.length);
        literals.push(cls === "int4" ? Number(scanner.value) : scanner.value);
        classes.push(cls);
        starts.push(scanner.start);
        ends.push(scanner.end);
        if (literals.length > fingerprintLiteralsMax) return undefined;
      }
    } else if (type === LeftParen) {
      if (++depth > depthMax) return undefined;
      const modifiers = modifierWords.has(previous);
      hard[depth] = modifiers ? 1 : hard[depth - 1]!;
      soft[depth] = soft[depth - 1]!;
      softBase[depth] = soft[depth - 1]!;
      if (previous === "cast") castDepth = depth;
    } else if (type === RightParen) {
      if (--depth < 0) return undefined;
      if (typeDepth > depth) typeDepth = -1;
    } else if (type === TypeCast) typeDepth = depth;
    else if (type === Semicolon) {
      if (scanner.next() !== End) return undefined;
      break;
    } else if (type === Junk) return undefined;
    else if (type === Identifier) name = "name";
    else if (name === "select") {
      soft[depth] = 1;
      hard[depth] = depth === 0 ? 0 : hard[depth]!;
    } else if (name === "by") {
      if (previous === "group") groups = true;
      hard[depth] = 1;
    } else if (name === "distinct") {
      if (previous === "select") groups = true;
    } else if (name === "conflict") hard[depth] = 1;
    else if (name === "do") hard[depth] = 0;
    else if (name === "as") {
      if (castDepth === depth) typeDepth = depth;
    } else if (
      clauseEnds.has(name) &&
      !(name === "from" && previous === "distinct" && isTest(beforePrevious))
    ) {
      // Inside parentheses that stay as a whole (typmods), they stay to the end.
      if (
        hard[depth] === 1 &&
        (depth === 0 || hard[depth - 1] === 0) &&
        !(name === "on" && previous === "distinct")
      ) {
        hard[depth] = previous === "conflict" ? 1 : 0;
      }
      soft[depth] =
        name === "having" || name === "window" ? 1 : isListWord(name, previous) ? 1 : softBase[depth]!;
    }
    beforePrevious = previous;
    previous = name;
  }
  return assemble(text, { literals, classes, starts, ends, softLiterals }, groups);
}

/** Whether a token cannot belong to a type's name. Literals decide for themselves. */
function endsType(type: TokenType): boolean {
  if (inTypes.has(type)) return false;
  const code = type.name.charCodeAt(0);
  return code >= 0x61 && code <= 0x7a ? !typeWords.has(type.name) : true;
}

/** Whether a string after this token is a constant of its own. */
function mayStandAlone(previous: string): boolean {
  if (previous === "name" || previous === "RightParen") return false;
  const code = previous.charCodeAt(0);
  // Keywords are lower case; token types of symbols and literals begin with a capital.
  if (code >= 0x61 && code <= 0x7a) return stringMayFollow.has(previous);
  return true;
}

/** IS [NOT] DISTINCT FROM is an operator. */
function isTest(word: string): boolean {
  return word === "is" || word === "not";
}

/** DISTINCT ON (..) belongs to the select list. */
function isListWord(name: string, previous: string): boolean {
  return name === "on" && previous === "distinct";
}

interface Found {
  readonly literals: readonly (string | number)[];
  readonly classes: readonly LiteralClass[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly softLiterals: readonly number[];
}

function assemble(text: string, found: Found, groups: boolean): Fingerprint {
  const kept = groups ? new Set(found.softLiterals) : undefined;
  const literals: (string | number)[] = [];
  const classes: LiteralClass[] = [];
  const offsets: number[] = [];
  let key = "";
  let from = 0;
  for (let index = 0; index < found.starts.length; index++) {
    if (kept?.has(index) === true) continue;
    const cls = found.classes[index]!;
    key += text.slice(from, found.starts[index]) + markers[cls];
    from = found.ends[index]!;
    literals.push(found.literals[index]!);
    classes.push(cls);
    offsets.push(found.starts[index]!);
  }
  key += text.slice(from);
  return { key, literals, classes, offsets };
}
