/**
 * Patterns: LIKE, SIMILAR TO and regular expressions.
 *
 * LIKE has its own matcher. Regular expressions are PostgreSQL's advanced ones, translated to RE2 syntax and run by
 * re2js in time linear in the text, so that no pattern of a user's can hang a node.
 *
 * Not taken (0A000): back references and look-around, which no linear matcher has. Errors: 2201B bad expression,
 * 22025 bad escape. Compiled patterns are kept, a bounded number of them.
 */
import { RE2JS, RE2JSException } from "re2js";
import { DbError, notSupported } from "../../base/errors.js";

// LIKE --------------------------------------------------------------------------------------------------------------

const anyOne = -1;
const anyMany = -2;
/** An escape character with nothing behind it: an error, but only when the matching gets there. */
const danglingEscape = -3;

/** A compiled LIKE pattern: UTF-16 units, anyOne, anyMany. */
type LikeProgram = readonly number[];

const likePrograms = new Map<string, LikeProgram>();
const programsMax = 512;

function compileLike(pattern: string, escapeChar: string): LikeProgram {
  const key = `${escapeChar}\0${pattern}`;
  const known = likePrograms.get(key);
  if (known !== undefined) return known;
  const program: number[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at]!;
    if (escapeChar !== "" && pattern.startsWith(escapeChar, at)) {
      at += escapeChar.length;
      program.push(at >= pattern.length ? danglingEscape : pattern.charCodeAt(at));
    } else if (char === "%") {
      if (program[program.length - 1] !== anyMany) program.push(anyMany);
    } else if (char === "_") program.push(anyOne);
    else program.push(pattern.charCodeAt(at));
  }
  if (likePrograms.size >= programsMax) likePrograms.clear();
  likePrograms.set(key, program);
  return program;
}

/** Matches with one point to come back to: the last % seen. Quadratic at worst, no recursion. */
function runLike(program: LikeProgram, text: string): boolean {
  let at = 0;
  let step = 0;
  let resumeStep = -1;
  let resumeAt = 0;
  while (at < text.length) {
    const want = program[step];
    if (want === anyMany) {
      resumeStep = step + 1;
      resumeAt = at;
      step++;
      if (resumeStep === program.length) return true;
      continue;
    }
    if (want === danglingEscape) {
      throw new DbError("invalidEscapeSequence", "LIKE pattern must not end with escape character");
    }
    const unit = text.charCodeAt(at);
    if (want === anyOne) {
      at += unit >= 0xd800 && unit < 0xdc00 && at + 1 < text.length ? 2 : 1;
      step++;
      continue;
    }
    if (want === unit) {
      at++;
      step++;
      continue;
    }
    if (resumeStep < 0) return false;
    const skipped = text.charCodeAt(resumeAt);
    resumeAt += skipped >= 0xd800 && skipped < 0xdc00 && resumeAt + 1 < text.length ? 2 : 1;
    at = resumeAt;
    step = resumeStep;
  }
  while (program[step] === anyMany) step++;
  return step === program.length;
}

/** The pattern used last: a scan asks with the same one for every row. */
let lastPattern = "";
let lastProgram: LikeProgram = [];

export function like(text: string, pattern: string): boolean {
  if (pattern !== lastPattern) {
    lastProgram = compileLike(pattern, "\\");
    lastPattern = pattern;
  }
  return runLike(lastProgram, text);
}

export function likeIgnoringCase(text: string, pattern: string): boolean {
  return like(lowerCase(text), lowerCase(pattern));
}

/** LIKE over bytes: a byte is a character. */
export function likeBytes(bytes: Uint8Array, pattern: Uint8Array): boolean {
  const latin1 = (value: Uint8Array): string =>
    Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1");
  return like(latin1(bytes), latin1(pattern));
}

/**
 * The text every match of a LIKE pattern begins with, for index ranges; `exact` when the pattern is that text and
 * nothing else.
 */
export function likePrefix(pattern: string): { readonly prefix: string; readonly exact: boolean } {
  const program = compileLike(pattern, "\\");
  const end = program.findIndex((step) => step < 0);
  return {
    prefix: String.fromCharCode(...program.slice(0, end < 0 ? program.length : end)),
    exact: end < 0,
  };
}

/** like_escape: the pattern rewritten to the default escape character. */
export function likeEscape(pattern: string, escapeText: string): string {
  if ([...escapeText].length > 1) {
    throw new DbError("invalidEscapeSequence", "invalid escape string", {
      hint: "Escape string must be empty or one character.",
    });
  }
  if (escapeText === "\\") return pattern;
  if (escapeText === "") return pattern.replaceAll("\\", "\\\\");
  let result = "";
  let afterEscape = false;
  for (const char of pattern) {
    if (char === escapeText && !afterEscape) {
      result += "\\";
      afterEscape = true;
    } else {
      if (char === "\\" && !afterEscape) result += "\\";
      result += char;
      afterEscape = false;
    }
  }
  return result;
}

// Case --------------------------------------------------------------------------------------------------------------

/** Case mapping that keeps the number of characters (ß stays ß), as libc's does. */
function mapCase(text: string, whole: (text: string) => string): string {
  const mapped = whole(text);
  if (mapped.length === text.length) return mapped;
  let result = "";
  for (const char of text) {
    const other = whole(char);
    result += [...other].length === 1 ? other : char;
  }
  return result;
}

export function lowerCase(text: string): string {
  return mapCase(text, (part) => part.toLowerCase());
}

export function upperCase(text: string): string {
  return mapCase(text, (part) => part.toUpperCase());
}

// SIMILAR TO --------------------------------------------------------------------------------------------------------

/** SQL's regular expression as one of ours; NULL escape means backslash. */
export function similarToRegex(pattern: string, escapeText: string | null): string {
  const escapeChar = escapeText ?? "\\";
  if ([...escapeChar].length > 1) {
    throw new DbError("invalidEscapeSequence", "invalid escape string", {
      hint: "Escape string must be empty or one character.",
    });
  }
  let result = "^(?:";
  let afterEscape = false;
  let inBracket = false;
  let quotes = 0;
  for (const char of pattern) {
    if (afterEscape) {
      if (char === '"' && !inBracket) {
        // escape-double-quote cuts the pattern in three for substring(... similar ... escape ...)
        if (quotes === 0) result += "){1,1}?(";
        else if (quotes === 1) result += "){1,1}(?:";
        else {
          throw new DbError(
            "invalidEscapeSequence",
            "SQL regular expression may not contain more than two escape-double-quote separators",
          );
        }
        quotes++;
      } else result += `\\${char}`;
      afterEscape = false;
    } else if (char === escapeChar) afterEscape = true;
    else if (inBracket) {
      if (char === "\\") result += "\\";
      result += char;
      if (char === "]") inBracket = false;
    } else if (char === "[") {
      result += char;
      inBracket = true;
    } else if (char === "%") result += ".*";
    else if (char === "_") result += ".";
    else if (char === "(") result += "(?:";
    else if (char === "\\" || char === "." || char === "^" || char === "$") result += `\\${char}`;
    else result += char;
  }
  return `${result})$`;
}

// Regular expressions -----------------------------------------------------------------------------------------------

interface Flags {
  readonly global: boolean;
  readonly ignoreCase: boolean;
  /** n: newline ends lines and is not matched by a dot. */
  readonly newline: boolean;
  readonly literal: boolean;
  readonly expanded: boolean;
}

const noFlags: Flags = { global: false, ignoreCase: false, newline: false, literal: false, expanded: false };

/** The flags argument of regexp functions. `allowGlobal` undefined names the function that refuses g. */
export function parseRegexFlags(text: string, refusesGlobal?: string): Flags {
  let { global, ignoreCase, newline, literal, expanded } = noFlags;
  for (const flag of text) {
    switch (flag) {
      case "g":
        global = true;
        break;
      case "i":
        ignoreCase = true;
        break;
      case "c":
        ignoreCase = false;
        break;
      case "m":
      case "n":
        newline = true;
        break;
      case "s":
        newline = false;
        break;
      case "q":
        literal = true;
        break;
      case "x":
        expanded = true;
        break;
      case "t":
        expanded = false;
        break;
      case "e":
      case "b":
        break;
      default:
        throw new DbError("invalidParameterValue", `invalid regular expression option: "${flag}"`);
    }
  }
  if (global && refusesGlobal !== undefined) {
    throw new DbError("invalidParameterValue", `${refusesGlobal} does not support the "global" option`, {
      ...(refusesGlobal === "regexp_match()" ? { hint: "Use the regexp_matches function instead." } : {}),
    });
  }
  return { global, ignoreCase, newline, literal, expanded };
}

export interface Regex {
  readonly compiled: RE2JS;
  readonly groups: number;
}

const regexes = new Map<string, Regex>();

/** Compiles a PostgreSQL expression; 2201B when it is not one. */
export function compileRegex(pattern: string, flags: Flags = noFlags): Regex {
  const key = `${flags.ignoreCase}${flags.newline}${flags.literal}${flags.expanded}\0${pattern}`;
  const known = regexes.get(key);
  if (known !== undefined) {
    return known;
  }
  const made = build(pattern, flags);
  if (regexes.size >= programsMax) regexes.clear();
  regexes.set(key, made);
  return made;
}

function bad(why: string): DbError {
  return new DbError("invalidRegularExpression", `invalid regular expression: ${why}`);
}

function build(pattern: string, given: Flags): Regex {
  let flags = given;
  let body = pattern;
  if (!flags.literal) {
    if (body.startsWith("***=")) {
      body = body.slice(4);
      flags = { ...flags, literal: true };
    } else {
      if (body.startsWith("***:")) body = body.slice(4);
      const embedded = /^\(\?([a-z]+)\)/.exec(body);
      if (embedded !== null) {
        for (const flag of embedded[1]!) {
          if (flag === "i") flags = { ...flags, ignoreCase: true };
          else if (flag === "c") flags = { ...flags, ignoreCase: false };
          else if (flag === "n" || flag === "m") flags = { ...flags, newline: true };
          else if (flag === "s") flags = { ...flags, newline: false };
          else if (flag === "x") flags = { ...flags, expanded: true };
          else if (flag === "q") flags = { ...flags, literal: true };
          else if (!"ebptw".includes(flag)) throw bad("invalid embedded option");
        }
        body = body.slice(embedded[0].length);
      }
    }
  }
  const translated = flags.literal ? { text: RE2JS.quote(body), lazy: false } : translate(body, flags);
  let options = flags.newline ? RE2JS.MULTILINE : RE2JS.DOTALL;
  if (flags.ignoreCase) options |= RE2JS.CASE_INSENSITIVE;
  if (!translated.lazy) options |= RE2JS.LONGEST_MATCH;
  try {
    const compiled = RE2JS.compile(translated.text, options);
    return { compiled, groups: compiled.groupCount() };
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    throw bad(explain(String(error.message)));
  }
}

/** re2's complaints in PostgreSQL's words. */
function explain(message: string): string {
  if (/missing closing \)|unexpected \)|missing parenthesis/.test(message))
    return "parentheses () not balanced";
  if (/missing closing \]/.test(message)) return "brackets [] not balanced";
  if (/missing argument to repetition|invalid nested repetition/.test(message)) {
    return "quantifier operand invalid";
  }
  if (/invalid repeat count|bad repetition/.test(message)) return "invalid repetition count(s)";
  if (/trailing backslash|invalid escape/.test(message)) return "invalid escape \\ sequence";
  if (/invalid character class range/.test(message)) return "invalid character range";
  return message.replace(/^error parsing regexp: /, "");
}

const repetitionMax = 255;

/** Rewrites PostgreSQL's syntax to RE2's. `lazy`: a non-greedy quantifier occurs, so matching is not by longest. */
function translate(pattern: string, flags: Flags): { text: string; lazy: boolean } {
  let text = "";
  let lazy = false;
  let at = 0;
  /** Whether the last thing translated can take a quantifier. */
  let atom = false;
  while (at < pattern.length) {
    const char = pattern[at]!;
    if (flags.expanded && /\s/.test(char)) {
      at++;
    } else if (flags.expanded && char === "#") {
      const end = pattern.indexOf("\n", at);
      at = end < 0 ? pattern.length : end + 1;
    } else if (char === "\\") {
      const escaped = translateEscape(pattern, at);
      text += escaped.text;
      at = escaped.next;
      atom = true;
    } else if (char === "[") {
      const bracket = translateBracket(pattern, at, flags);
      text += bracket.text;
      at = bracket.next;
      atom = true;
    } else if (char === "(") {
      if (pattern.startsWith("(?:", at)) {
        text += "(?:";
        at += 3;
      } else if (/^\(\?<?[=!]/.test(pattern.slice(at, at + 4))) {
        throw notSupported("look-around in regular expressions");
      } else if (pattern.startsWith("(?", at)) throw bad("quantifier operand invalid");
      else {
        text += "(";
        at++;
      }
      atom = false;
    } else if (
      char === "*" ||
      char === "+" ||
      char === "?" ||
      (char === "{" && /[0-9]/.test(pattern[at + 1] ?? ""))
    ) {
      if (!atom) throw bad("quantifier operand invalid");
      let quantifier = char;
      if (char === "{") {
        const bounds = /^\{([0-9]+)(?:(,)([0-9]*))?\}/.exec(pattern.slice(at, at + 16));
        if (bounds === null) throw bad("invalid repetition count(s)");
        const low = Number(bounds[1]);
        const high = bounds[3] === undefined || bounds[3] === "" ? low : Number(bounds[3]);
        if (low > repetitionMax || high > repetitionMax || high < low)
          throw bad("invalid repetition count(s)");
        quantifier = bounds[0];
      }
      at += quantifier.length;
      text += quantifier;
      if (pattern[at] === "?") {
        text += "?";
        lazy = true;
        at++;
      }
      // PostgreSQL refuses a quantifier after a quantifier.
      if (/[*+?]/.test(pattern[at] ?? "") || (pattern[at] === "{" && /[0-9]/.test(pattern[at + 1] ?? ""))) {
        throw bad("quantifier operand invalid");
      }
    } else if (char === "|") {
      text += char;
      at++;
      atom = false;
    } else if (char === "^") {
      text += char;
      at++;
      atom = false;
    } else if (char === "{") {
      text += "\\{";
      at++;
      atom = true;
    } else {
      text += char;
      at++;
      atom = true;
    }
  }
  return { text, lazy };
}

function translateEscape(pattern: string, at: number): { text: string; next: number } {
  const char = pattern[at + 1];
  if (char === undefined) throw bad("invalid escape \\ sequence");
  const next = at + 2;
  switch (char) {
    case "y":
      return { text: "\\b", next };
    case "Y":
      return { text: "\\B", next };
    case "m":
      // The boundary before a word: exact when a word character follows, as it nearly always does.
      if (/^[A-Za-z0-9_([]|^\\w/.test(pattern.slice(next))) return { text: "\\b", next };
      throw notSupported("\\m before something else than a word in regular expressions");
    case "M":
      if (/[A-Za-z0-9_)\]*+]$|\\w$/.test(pattern.slice(0, at))) return { text: "\\b", next };
      throw notSupported("\\M after something else than a word in regular expressions");
    case "A":
      return { text: "\\A", next };
    case "Z":
      return { text: "\\z", next };
    case "B":
      return { text: "\\\\", next };
    case "a":
    case "f":
    case "n":
    case "r":
    case "t":
    case "v":
      return { text: `\\${char}`, next };
    case "b":
      return { text: "\\x08", next };
    case "e":
      return { text: "\\x1b", next };
    case "c": {
      const control = pattern.charCodeAt(next) & 31;
      return { text: `\\x{${control.toString(16)}}`, next: next + 1 };
    }
    case "d":
    case "D":
    case "s":
    case "S":
    case "w":
    case "W":
      return { text: `\\${char}`, next };
    case "u":
    case "U":
    case "x": {
      const width = char === "u" ? 4 : char === "U" ? 8 : 255;
      const digits = /^[0-9a-fA-F]*/.exec(pattern.slice(next, next + width))![0];
      if (digits === "" || (char !== "x" && digits.length !== width)) throw bad("invalid escape \\ sequence");
      const code = Number.parseInt(digits, 16);
      if (code > 0x10ffff) throw bad("invalid escape \\ sequence");
      return { text: `\\x{${code.toString(16)}}`, next: next + digits.length };
    }
    case "0": {
      const digits = /^[0-7]{0,2}/.exec(pattern.slice(next, next + 2))![0];
      return { text: `\\x{${Number.parseInt(`0${digits}`, 8).toString(16)}}`, next: next + digits.length };
    }
    default:
      if (/[1-9]/.test(char)) throw notSupported("back references in regular expressions");
      if (/[A-Za-z]/.test(char)) throw bad("invalid escape \\ sequence");
      return { text: RE2JS.quote(char), next };
  }
}

function translateBracket(pattern: string, start: number, flags: Flags): { text: string; next: number } {
  if (pattern.startsWith("[[:<:]]", start) || pattern.startsWith("[[:>:]]", start)) {
    return { text: "\\b", next: start + 7 };
  }
  let at = start + 1;
  let text = "[";
  const negated = pattern[at] === "^";
  if (negated) {
    text += "^";
    at++;
    if (flags.newline) text += "\\n";
  }
  let first = true;
  for (;;) {
    const char = pattern[at];
    if (char === undefined) throw bad("brackets [] not balanced");
    if (char === "]" && !first) return { text: `${text}]`, next: at + 1 };
    first = false;
    if (char === "[") {
      const named = /^\[:([a-z]+):\]/.exec(pattern.slice(at, at + 16));
      if (named !== null) {
        if (!characterClasses.has(named[1]!)) throw bad("invalid character class");
        text += named[0];
        at += named[0].length;
        continue;
      }
      const collating = /^\[([.=])(.)\1\]/u.exec(pattern.slice(at, at + 8));
      if (collating !== null) {
        text += RE2JS.quote(collating[2]!);
        at += collating[0].length;
        continue;
      }
      text += "\\[";
      at++;
    } else if (char === "\\") {
      const escaped = translateEscape(pattern, at);
      text += escaped.text;
      at = escaped.next;
    } else if (char === "]" || char === "^") {
      text += `\\${char}`;
      at++;
    } else {
      text += char;
      at++;
    }
  }
}

const characterClasses = new Set(
  "alnum alpha ascii blank cntrl digit graph lower print punct space upper xdigit word".split(" "),
);

export function regexTest(text: string, pattern: string, ignoreCase: boolean): boolean {
  const flags = ignoreCase ? ignoringCase : noFlags;
  return compileRegex(pattern, flags).compiled.test(text);
}
const ignoringCase: Flags = { ...noFlags, ignoreCase: true };

/** One match: UTF-16 positions of the whole (0) and of each group; -1 for groups that took no part. */
export interface Match {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** Matches from `from` on, at most `limit`; after an empty match the search goes on one character later. */
export function findMatches(regex: Regex, text: string, from: number, limit: number): Match[] {
  const matches: Match[] = [];
  const matcher = regex.compiled.matcher(text);
  let at = from;
  while (at <= text.length && matches.length < limit && matcher.find(at)) {
    const starts: number[] = [];
    const ends: number[] = [];
    for (let group = 0; group <= regex.groups; group++) {
      const start = matcher.start(group);
      starts.push(start);
      ends.push(start < 0 ? -1 : matcher.end(group));
    }
    matches.push({ starts, ends });
    const end = ends[0]!;
    if (end > starts[0]!) at = end;
    else {
      const unit = text.charCodeAt(end);
      at = end + (unit >= 0xd800 && unit < 0xdc00 ? 2 : 1);
    }
  }
  return matches;
}

/** Replaces the given matches by a template with \1..\9, \& and \\. */
export function replaceMatches(text: string, matches: readonly Match[], template: string): string {
  let result = "";
  let done = 0;
  for (const match of matches) {
    result += text.slice(done, match.starts[0]!);
    for (let at = 0; at < template.length; at++) {
      const char = template[at]!;
      if (char !== "\\") {
        result += char;
        continue;
      }
      const next = template[at + 1];
      if (next === undefined) {
        result += "\\";
        continue;
      }
      at++;
      const group = next === "&" ? 0 : next >= "1" && next <= "9" ? Number(next) : -1;
      if (group >= 0) {
        const start = match.starts[group] ?? -1;
        if (start >= 0) result += text.slice(start, match.ends[group]);
      } else if (next === "\\") result += "\\";
      else result += `\\${next}`;
    }
    done = match.ends[0]!;
  }
  return result + text.slice(done);
}
