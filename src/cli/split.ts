/** Cuts a script into statements at semicolons outside of quotes, comments and parentheses of routine bodies. Pure. */

/** Statements with their semicolon left out, and what follows the last one. */
export function splitStatements(script: string): { readonly statements: string[]; readonly rest: string } {
  const statements: string[] = [];
  let start = 0;
  let at = 0;
  let parentheses = 0;
  while (at < script.length) {
    const next = skipQuoted(script, at);
    if (next > at) {
      at = next;
      continue;
    }
    const character = script[at];
    if (character === "(") parentheses++;
    else if (character === ")") parentheses = Math.max(0, parentheses - 1);
    else if (character === ";" && parentheses === 0) {
      const statement = script.slice(start, at).trim();
      if (statement !== "") statements.push(statement);
      start = at + 1;
    }
    at++;
  }
  return { statements, rest: script.slice(start) };
}

/** Position after the string, name, dollar quote or comment that begins at `at`; `at` when none does. */
function skipQuoted(text: string, at: number): number {
  const character = text[at];
  const end = (found: number, length: number) => (found < 0 ? text.length : found + length);
  if (character === "'") {
    const escapes = /[eE]/.test(text[at - 1] ?? "") && !/[\w$]/.test(text[at - 2] ?? " ");
    for (let to = at + 1; to < text.length; to++) {
      if (escapes && text[to] === "\\") to++;
      else if (text[to] === "'") {
        if (text[to + 1] !== "'") return to + 1;
        to++;
      }
    }
    return text.length;
  }
  if (character === '"') return end(text.indexOf('"', at + 1), 1);
  if (character === "-" && text[at + 1] === "-") return end(text.indexOf("\n", at), 1);
  if (character === "/" && text[at + 1] === "*") {
    let depth = 0;
    for (let to = at; to < text.length; to++) {
      if (text.startsWith("/*", to)) {
        depth++;
        to++;
      } else if (text.startsWith("*/", to)) {
        to++;
        if (--depth === 0) return to + 1;
      }
    }
    return text.length;
  }
  if (character === "$" && !/[\w$]/.test(text[at - 1] ?? " ")) {
    const tag = /^\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/.exec(text.slice(at, at + 66))?.[0];
    if (tag !== undefined) return end(text.indexOf(tag, at + tag.length), tag.length);
  }
  return at;
}
