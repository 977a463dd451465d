/**
 * Statement texts as they may be kept for ever: without secrets (AUD-19). Literals that follow a word such as PASSWORD are
 * replaced, and comments are left out, since anything may stand in them.
 *
 * Invariant: what is not sure to be harmless is replaced: a literal behind such a word counts as a secret however it is
 * written, and so do all of a list.
 */
import { mentionsSecret, secretWord, withoutShares } from "../base/secret-words.js";

/** Passed over between such a word and its literal. */
const between = /^(is|as|to|=|:=|=>|,|\(|encrypted|unencrypted|ca|u&|e|b|x|n)$/i;
const mark = "'***'";

const piece =
  /--[^\n]*|\/\*|"(?:[^"]|"")*"|'|\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$|[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*&?|\d[\d.eE_]*|:=|=>|\s+|./gsu;

/** As it stands where its client is not the only one to see it: pg_stat_activity, sys.sessions, the log of slow statements. */
export function shownText(sql: string): string {
  return mentionsSecret(sql) ? redacted(sql) : sql;
}

export function redacted(sql: string): string {
  let text = "";
  let secret = false;
  let previous = "";
  piece.lastIndex = 0;
  for (let match = piece.exec(sql); match !== null; match = piece.exec(sql)) {
    const [token] = match;
    const at = match.index;
    if (token.startsWith("--")) {
      text += " ";
      continue;
    }
    if (token === "/*") {
      piece.lastIndex = endOfComment(sql, at);
      text += " ";
      continue;
    }
    const isDollar = token.length > 1 && token.startsWith("$") && token.endsWith("$");
    if (token === "'" || isDollar) {
      const end = isDollar ? endOfDollar(sql, at, token) : endOfString(sql, at, /^e$/i.test(previous));
      text += secret ? mark : withoutShares(sql.slice(at, end));
      piece.lastIndex = end;
      previous = "";
      continue;
    }
    text += token;
    if (/^\s/.test(token)) continue;
    if (secretWord.test(token) || (token.startsWith('"') && secretWord.test(token.slice(1, -1))))
      secret = true;
    else if (!between.test(token)) secret = false;
    previous = token;
  }
  // One that was typed without quotes is many words.
  return withoutShares(text).trim();
}

function endOfComment(sql: string, at: number): number {
  let depth = 0;
  const marks = /\/\*|\*\//g;
  marks.lastIndex = at;
  for (let match = marks.exec(sql); match !== null; match = marks.exec(sql)) {
    depth += match[0] === "/*" ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return sql.length;
}

function endOfString(sql: string, at: number, escapes: boolean): number {
  for (let place = at + 1; place < sql.length; place++) {
    if (escapes && sql[place] === "\\") place++;
    else if (sql[place] === "'") {
      if (sql[place + 1] !== "'") return place + 1;
      place++;
    }
  }
  return sql.length;
}

function endOfDollar(sql: string, at: number, tag: string): number {
  const end = sql.indexOf(tag, at + tag.length);
  return end < 0 ? sql.length : end + tag.length;
}
