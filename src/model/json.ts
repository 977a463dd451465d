/**
 * JSON text: checked parsing, jsonb's canonical form, and its order.
 *
 * `parseJson` gives a tree whose nodes know where they stand in the text, so that json (which keeps its text) can hand
 * out parts unchanged. jsonb is held as its canonical text: keys by length, then bytes, the last of equal keys kept;
 * numbers as numeric shows them; one blank after `:` and `,`.
 *
 * Invariants: canonical text parses to itself; equal jsonb values have equal canonical text except for numbers with
 * different trailing zeros. Nesting beyond `depthMax` is refused (54001).
 */
import { DbError } from "../base/errors.js";
import { compareNumeric, formatNumeric, parseNumeric } from "./numeric.js";
import { compareText, octetLength } from "./text.js";

const depthMax = 2500;

export type JsonKind = "null" | "boolean" | "number" | "string" | "array" | "object";

export class JsonNode {
  constructor(
    readonly kind: JsonKind,
    /** Position in the text; 0 for nodes made otherwise. */
    readonly start: number,
    readonly end: number,
    /** null, boolean; the text of a number; a string without quotes and escapes; otherwise null. */
    readonly scalar: null | boolean | string,
    /** Of arrays: the elements. Of objects: the values, in step with `keys`. */
    readonly items: readonly JsonNode[],
    readonly keys: readonly string[],
  ) {}
}

const noItems: readonly JsonNode[] = [];
const noKeys: readonly string[] = [];

export const jsonNull = new JsonNode("null", 0, 0, null, noItems, noKeys);
export function jsonBoolean(value: boolean): JsonNode {
  return new JsonNode("boolean", 0, 0, value, noItems, noKeys);
}
export function jsonNumber(text: string): JsonNode {
  return new JsonNode("number", 0, 0, text, noItems, noKeys);
}
export function jsonString(text: string): JsonNode {
  return new JsonNode("string", 0, 0, text, noItems, noKeys);
}
export function jsonArray(items: readonly JsonNode[]): JsonNode {
  return new JsonNode("array", 0, 0, null, items, noKeys);
}
export function jsonObject(keys: readonly string[], values: readonly JsonNode[]): JsonNode {
  return new JsonNode("object", 0, 0, null, values, keys);
}

class Parser {
  private at = 0;
  private depth = 0;
  constructor(
    private readonly text: string,
    private readonly binary: boolean,
  ) {}

  parse(): JsonNode {
    const node = this.value();
    this.blanks();
    if (this.at < this.text.length) throw this.expected("end of input");
    return node;
  }

  private blanks(): void {
    const text = this.text;
    for (; this.at < text.length; this.at++) {
      const unit = text.charCodeAt(this.at);
      if (unit !== 32 && unit !== 10 && unit !== 13 && unit !== 9) return;
    }
  }

  private fail(
    detail: string,
    end = this.at,
    condition: "invalidTextRepresentation" | "untranslatableCharacter" = "invalidTextRepresentation",
  ): DbError {
    const lineStart = this.text.lastIndexOf("\n", Math.max(this.at - 1, 0)) + 1;
    const line = this.text.slice(0, lineStart).split("\n").length;
    let from = lineStart;
    let before = "";
    if (end - from > 53) {
      from = end - 50;
      before = "...";
    }
    const more = end < this.text.length && this.text[end] !== "\n" ? "..." : "";
    const message =
      condition === "untranslatableCharacter"
        ? "unsupported Unicode escape sequence"
        : "invalid input syntax for type json";
    return new DbError(condition, message, {
      detail,
      where: `JSON data, line ${line}: ${before}${this.text.slice(from, end)}${more}`,
    });
  }

  /** The token at the current place, as error texts quote it. */
  private token(): string {
    const rest = this.text.slice(this.at, this.at + 200);
    const word = /^(?:[-+.A-Za-z0-9_$\u0080-\uffff]+)/.exec(rest);
    if (word !== null) return word[0];
    if (rest.startsWith('"')) {
      const close = /^"(?:[^"\\]|\\.)*"/s.exec(rest);
      return close === null ? rest : close[0];
    }
    return rest.slice(0, 1);
  }

  private expected(what: string): DbError {
    this.blanks();
    if (this.at >= this.text.length) return this.fail("The input string ended unexpectedly.");
    const token = this.token();
    const legal = /^(?:[{}[\],:]|"|-?[0-9]|true$|false$|null$)/.test(token);
    const end = this.at + token.length;
    if (!legal) return this.fail(`Token "${token}" is invalid.`, end);
    return this.fail(`Expected ${what}, but found "${token}".`, end);
  }

  private value(): JsonNode {
    this.blanks();
    const start = this.at;
    const unit = this.text.charCodeAt(start);
    if (unit === 123) return this.object(start);
    if (unit === 91) return this.array(start);
    if (unit === 34) {
      const string = this.string();
      return new JsonNode("string", start, this.at, string, noItems, noKeys);
    }
    if (unit === 45 || (unit >= 48 && unit <= 57)) return this.number(start);
    const word = /^[A-Za-z0-9_$\u0080-\uffff]+/.exec(this.text.slice(start, start + 64))?.[0];
    if (word === "true" || word === "false") {
      this.at += word.length;
      return new JsonNode("boolean", start, this.at, word === "true", noItems, noKeys);
    }
    if (word === "null") {
      this.at += 4;
      return new JsonNode("null", start, this.at, null, noItems, noKeys);
    }
    throw this.expected("JSON value");
  }

  private enter(): void {
    if (++this.depth > depthMax) {
      throw new DbError("statementTooComplex", "stack depth limit exceeded");
    }
  }

  private object(start: number): JsonNode {
    this.enter();
    this.at++;
    const keys: string[] = [];
    const values: JsonNode[] = [];
    this.blanks();
    if (this.text[this.at] === "}") this.at++;
    else {
      for (;;) {
        this.blanks();
        if (this.text[this.at] !== '"') throw this.expected(keys.length === 0 ? 'string or "}"' : "string");
        keys.push(this.string());
        this.blanks();
        if (this.text[this.at] !== ":") throw this.expected('":"');
        this.at++;
        values.push(this.value());
        this.blanks();
        if (this.text[this.at] === "}") break;
        if (this.text[this.at] !== ",") throw this.expected('"," or "}"');
        this.at++;
      }
      this.at++;
    }
    this.depth--;
    return new JsonNode("object", start, this.at, null, values, keys);
  }

  private array(start: number): JsonNode {
    this.enter();
    this.at++;
    const items: JsonNode[] = [];
    this.blanks();
    if (this.text[this.at] === "]") this.at++;
    else {
      for (;;) {
        items.push(this.value());
        this.blanks();
        if (this.text[this.at] === "]") break;
        if (this.text[this.at] !== ",") throw this.expected('"," or "]"');
        this.at++;
      }
      this.at++;
    }
    this.depth--;
    return new JsonNode("array", start, this.at, null, items, noKeys);
  }

  private number(start: number): JsonNode {
    const pattern = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
    pattern.lastIndex = start;
    const match = pattern.exec(this.text);
    const end = match === null ? start : pattern.lastIndex;
    if (match === null || /[-+.A-Za-z0-9_$\u0080-\uffff]/.test(this.text.charAt(end))) {
      const token = this.token();
      throw this.fail(`Token "${token}" is invalid.`, start + token.length);
    }
    this.at = end;
    return new JsonNode("number", start, end, match[0], noItems, noKeys);
  }

  private string(): string {
    const text = this.text;
    const begin = this.at + 1;
    let at = begin;
    for (; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      if (unit === 34) {
        this.at = at + 1;
        return text.slice(begin, at);
      }
      if (unit === 92 || unit < 32) break;
    }
    return this.escapedString(begin, at);
  }

  private escapedString(begin: number, firstEscape: number): string {
    const text = this.text;
    let result = text.slice(begin, firstEscape);
    let at = firstEscape;
    for (;;) {
      if (at >= text.length) {
        const token = text.slice(this.at);
        throw this.fail(`Token "${token}" is invalid.`, text.length);
      }
      const unit = text.charCodeAt(at);
      if (unit === 34) {
        this.at = at + 1;
        return result;
      }
      if (unit < 32) {
        throw this.fail(`Character with value 0x${unit.toString(16).padStart(2, "0")} must be escaped.`, at);
      }
      if (unit !== 92) {
        result += text[at];
        at++;
        continue;
      }
      const escaped = text[at + 1];
      const simple = escaped === undefined ? undefined : simpleEscapes[escaped];
      if (simple !== undefined) {
        result += simple;
        at += 2;
      } else if (escaped === "u") {
        const hex = text.slice(at + 2, at + 6);
        if (!/^[0-9a-fA-F]{4}$/.test(hex)) {
          throw this.fail(
            '"\\u" must be followed by four hexadecimal digits.',
            Math.min(at + 6, text.length),
          );
        }
        const code = Number.parseInt(hex, 16);
        if (code === 0 && this.binary) {
          throw this.fail("\\u0000 cannot be converted to text.", at + 6, "untranslatableCharacter");
        }
        const previous = result.charCodeAt(result.length - 1);
        const afterHigh =
          previous >= 0xd800 &&
          previous < 0xdc00 &&
          /\\u[dD][89abAB][0-9a-fA-F]{2}$/.test(text.slice(begin, at));
        if (this.binary && code >= 0xdc00 && code < 0xe000 && !afterHigh) {
          throw this.fail("Unicode low surrogate must follow a high surrogate.", at + 6);
        }
        if (this.binary && code >= 0xd800 && code < 0xdc00) {
          if (afterHigh) throw this.fail("Unicode high surrogate must not follow a high surrogate.", at + 6);
          if (!/^\\u[dD][c-fC-F]/.test(text.slice(at + 6, at + 10))) {
            throw this.fail("Unicode low surrogate must follow a high surrogate.", at + 6);
          }
        }
        result += String.fromCharCode(code);
        at += 6;
      } else if (escaped === undefined) {
        throw this.fail(`Token "${text.slice(this.at)}" is invalid.`, text.length);
      } else {
        const shown = String.fromCodePoint(text.codePointAt(at + 1)!);
        throw this.fail(`Escape sequence "\\${shown}" is invalid.`, at + 1 + shown.length);
      }
    }
  }
}

const simpleEscapes: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** Parses; 22P02 with PostgreSQL's detail when it is no JSON. `binary` adds jsonb's restrictions (\u0000). */
export function parseJson(text: string, binary = false): JsonNode {
  return new Parser(text, binary).parse();
}

/** With quotes, escaped as PostgreSQL's escape_json. */
export function quoteJson(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must be escaped
  if (!/["\\\u0000-\u001f]/.test(text)) return `"${text}"`;
  let result = '"';
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 34) result += '\\"';
    else if (unit === 92) result += "\\\\";
    else if (unit >= 32) result += text[at];
    else if (unit === 8) result += "\\b";
    else if (unit === 12) result += "\\f";
    else if (unit === 10) result += "\\n";
    else if (unit === 13) result += "\\r";
    else if (unit === 9) result += "\\t";
    else result += `\\u${unit.toString(16).padStart(4, "0")}`;
  }
  return `${result}"`;
}

function compareKeys(a: string, b: string): number {
  const difference = octetLength(a) - octetLength(b);
  return difference !== 0 ? difference : compareText(a, b);
}

/** The tree in jsonb's form: keys sorted and unique, numbers normalised. */
export function normalizeJson(node: JsonNode): JsonNode {
  switch (node.kind) {
    case "number":
      return jsonNumber(formatNumeric(parseNumeric(node.scalar as string)));
    case "array":
      return jsonArray(node.items.map(normalizeJson));
    case "object": {
      const last = new Map<string, JsonNode>();
      for (let at = 0; at < node.keys.length; at++) last.set(node.keys[at]!, node.items[at]!);
      const keys = [...last.keys()].sort(compareKeys);
      return jsonObject(
        keys,
        keys.map((key) => normalizeJson(last.get(key)!)),
      );
    }
    default:
      return node;
  }
}

/** jsonb's text of a normalised tree. */
export function jsonbText(node: JsonNode): string {
  switch (node.kind) {
    case "null":
      return "null";
    case "boolean":
      return node.scalar === true ? "true" : "false";
    case "number":
      return node.scalar as string;
    case "string":
      return quoteJson(node.scalar as string);
    case "array":
      return `[${node.items.map(jsonbText).join(", ")}]`;
    case "object":
      return `{${node.keys.map((key, at) => `${quoteJson(key)}: ${jsonbText(node.items[at]!)}`).join(", ")}}`;
  }
}

/** jsonb_pretty's layout. */
export function jsonPretty(node: JsonNode, indent = 0): string {
  const inner = " ".repeat(indent + 4);
  const outer = " ".repeat(indent);
  if (node.kind === "array") {
    if (node.items.length === 0) return `[\n${outer}]`;
    return `[\n${node.items.map((item) => inner + jsonPretty(item, indent + 4)).join(",\n")}\n${outer}]`;
  }
  if (node.kind === "object") {
    if (node.items.length === 0) return `{\n${outer}}`;
    const members = node.keys.map(
      (key, at) => `${inner}${quoteJson(key)}: ${jsonPretty(node.items[at]!, indent + 4)}`,
    );
    return `{\n${members.join(",\n")}\n${outer}}`;
  }
  return jsonbText(node);
}

/** jsonb's input: any JSON text to its canonical form. */
export function canonicalJsonb(text: string): string {
  return jsonbText(normalizeJson(parseJson(text, true)));
}

const kindOrder: Readonly<Record<JsonKind, number>> = {
  null: 0,
  string: 1,
  number: 2,
  boolean: 3,
  array: 4,
  object: 5,
};

/** jsonb's btree order. Both trees normalised. */
export function compareJson(a: JsonNode, b: JsonNode): number {
  if (a.kind !== b.kind) {
    // An empty array at the top sorts below everything, as PostgreSQL has it.
    if (a.kind === "array" && a.items.length === 0) return -1;
    if (b.kind === "array" && b.items.length === 0) return 1;
    return kindOrder[a.kind] - kindOrder[b.kind];
  }
  switch (a.kind) {
    case "null":
      return 0;
    case "boolean":
      return Number(a.scalar) - Number(b.scalar);
    case "number":
      return compareNumeric(parseNumeric(a.scalar as string), parseNumeric(b.scalar as string));
    case "string":
      return compareText(a.scalar as string, b.scalar as string);
    case "array":
      if (a.items.length !== b.items.length) return a.items.length - b.items.length;
      for (let at = 0; at < a.items.length; at++) {
        const order = compareJson(a.items[at]!, b.items[at]!);
        if (order !== 0) return order;
      }
      return 0;
    case "object":
      if (a.items.length !== b.items.length) return a.items.length - b.items.length;
      for (let at = 0; at < a.items.length; at++) {
        const keys = compareText(a.keys[at]!, b.keys[at]!);
        if (keys !== 0) return keys;
        const order = compareJson(a.items[at]!, b.items[at]!);
        if (order !== 0) return order;
      }
      return 0;
  }
}

export function compareJsonb(a: string, b: string): number {
  return a === b ? 0 : Math.sign(compareJson(parseJson(a), parseJson(b)));
}
