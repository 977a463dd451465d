/**
 * Stored SQL texts (views, defaults, checks, index expressions) as trees. Trees of the texts seen last are kept, since every
 * statement that touches the object needs them.
 *
 * Invariants: a kept tree is never changed; the store is bounded.
 */
import { DbError } from "../base/errors.js";
import type * as ast from "./ast.js";
import { parseExpressionText, parseOne } from "./parse.js";

const treesMax = 2000;
const expressions = new Map<string, ast.Expr>();
const queries = new Map<string, ast.Query>();

function remember<T>(store: Map<string, T>, text: string, value: T): T {
  if (store.size >= treesMax) store.clear();
  store.set(text, value);
  return value;
}

export function parseExpression(text: string): ast.Expr {
  return expressions.get(text) ?? remember(expressions, text, parseExpressionText(text));
}

/** A stored query; anything else is 42601. */
export function parseQueryText(text: string): ast.Query {
  const known = queries.get(text);
  if (known !== undefined) return known;
  const parsed = parseOne(text)?.ast;
  if (
    parsed === undefined ||
    (parsed.kind !== "select" && parsed.kind !== "values" && parsed.kind !== "setOperation")
  ) {
    throw new DbError("syntaxError", "a query was expected");
  }
  return remember(queries, text, parsed);
}
