/**
 * Canonical JSON (RFC 8785, AUD-4): the one text of a value, the same on every platform for ever, so that it can be hashed and
 * signed. Keys are sorted by UTF-16 code units, there is no white space, strings have the fewest escapes.
 *
 * Invariant: two values that are equal have the same text, and no other value has it. So there are no fractions, whose shortest
 * form is the number's and not the writer's, no integers beyond 2^53 (they are written as strings by whoever has them), and no
 * half of a surrogate pair, which has no UTF-8.
 */
import { assert } from "../base/errors.js";

export type Canonical =
  | null
  | boolean
  | number
  | string
  | readonly Canonical[]
  | { readonly [key: string]: Canonical | undefined };

/** A member that is undefined is absent. */
export function canonicalJson(value: Canonical): string {
  switch (typeof value) {
    case "string":
      assert(isWellFormed(value), "text of a canonical value is well-formed Unicode");
      return JSON.stringify(value);
    case "number":
      assert(
        Number.isSafeInteger(value) && !Object.is(value, -0),
        "numbers of a canonical value are integers",
      );
      return String(value);
    case "boolean":
      return value ? "true" : "false";
    default:
      break;
  }
  if (value === null) return "null";
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`;
  let text = "{";
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member === undefined) continue;
    text += `${text.length > 1 ? "," : ""}${canonicalJson(key)}:${canonicalJson(member)}`;
  }
  return `${text}}`;
}

function isList(value: object): value is readonly Canonical[] {
  return Array.isArray(value);
}

const surrogates = /[\ud800-\udfff]/;
const loneSurrogate = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** Whether it has a UTF-8 form of its own. */
export function isWellFormed(text: string): boolean {
  return !surrogates.test(text) || !loneSurrogate.test(text);
}

/** Text of any origin, such as a client's statement: what has no UTF-8 form becomes U+FFFD. */
export function wellFormed(text: string): string {
  return isWellFormed(text) ? text : Buffer.from(text, "utf8").toString("utf8");
}
