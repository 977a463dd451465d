/**
 * Text forms of arrays, vectors and rows. Elements go through functions handed in, so this file knows no types.
 *
 * Errors: 22P02 malformed array literal (with PostgreSQL's detail), 54000 too many elements or dimensions,
 * 2202E bad bounds.
 */
import { DbError } from "../base/errors.js";
import { PgArray, type Value } from "./value.js";

const dimensionsMax = 6;
/** PostgreSQL's MaxArraySize for pointers. */
const elementsMax = 134217727;

function malformed(text: string, detail: string): DbError {
  return new DbError("invalidTextRepresentation", `malformed array literal: "${text}"`, { detail });
}

function isBlank(unit: number): boolean {
  return unit === 32 || (unit >= 9 && unit <= 13);
}

/** Reads `{...}` with optional `[l:u]...=`; `element` reads one element's text. */
export function parseArray(text: string, elementType: number, element: (text: string) => Value): PgArray {
  let at = 0;
  const skip = (): void => {
    while (at < text.length && isBlank(text.charCodeAt(at))) at++;
  };
  skip();
  const lower: number[] = [];
  const given: number[] = [];
  while (text[at] === "[") {
    const bounds = /^\[([+-]?[0-9]+)(?::([+-]?[0-9]+))?\]/.exec(text.slice(at, at + 40));
    if (bounds === null) throw malformed(text, '"[" must introduce explicitly-specified array dimensions.');
    const low = bounds[2] === undefined ? 1 : Number(bounds[1]);
    const high = Number(bounds[2] ?? bounds[1]);
    if (high < low) throw new DbError("arraySubscriptError", "upper bound cannot be less than lower bound");
    if (lower.length >= dimensionsMax) throw tooManyDimensions(lower.length + 1);
    lower.push(low);
    given.push(high - low + 1);
    at += bounds[0].length;
    skip();
  }
  if (given.length > 0) {
    if (text[at] !== "=") throw malformed(text, 'Missing "=" after array dimensions.');
    at++;
    skip();
  }
  if (text[at] !== "{") {
    throw malformed(
      text,
      given.length > 0
        ? 'Array contents must start with "{".'
        : 'Array value must start with "{" or dimension information.',
    );
  }
  const elements: Value[] = [];
  const dims: number[] = [];
  /** Depth at which elements stand; unknown until the first is seen. */
  let leafDepth = -1;
  const raggedness = (): DbError =>
    malformed(text, "Multidimensional arrays must have sub-arrays with matching dimensions.");

  const level = (depth: number): void => {
    if (depth >= dimensionsMax) throw tooManyDimensions(depth + 1);
    at++;
    let count = 0;
    skip();
    if (text[at] === "}") {
      at++;
      if (depth > 0 && leafDepth >= 0) throw raggedness();
      if (dims[depth] === undefined) dims[depth] = 0;
      else if (dims[depth] !== 0) throw raggedness();
      return;
    }
    for (;;) {
      skip();
      if (at >= text.length) throw malformed(text, "Unexpected end of input.");
      if (text[at] === "{") {
        if (leafDepth >= 0 && leafDepth <= depth) throw raggedness();
        level(depth + 1);
      } else {
        if (leafDepth === -1) leafDepth = depth;
        else if (leafDepth !== depth) throw raggedness();
        elements.push(item());
        if (elements.length > elementsMax) {
          throw new DbError(
            "programLimitExceeded",
            `array size exceeds the maximum allowed (${elementsMax})`,
          );
        }
      }
      count++;
      skip();
      if (text[at] === ",") {
        at++;
        skip();
        if (text[at] === "}") throw malformed(text, 'Unexpected "}" character.');
        continue;
      }
      if (text[at] === "}") break;
      if (at >= text.length) throw malformed(text, "Unexpected end of input.");
      throw malformed(
        text,
        text[at] === '"' || text[at] === "{"
          ? `Unexpected "${text[at]}" character.`
          : "Unexpected array element.",
      );
    }
    at++;
    if (dims[depth] === undefined) dims[depth] = count;
    else if (dims[depth] !== count) throw raggedness();
  };

  const item = (): Value => {
    let value = "";
    if (text[at] === '"') {
      at++;
      for (;;) {
        if (at >= text.length) throw malformed(text, "Unexpected end of input.");
        const char = text[at]!;
        at++;
        if (char === '"') break;
        if (char === "\\") {
          if (at >= text.length) throw malformed(text, "Unexpected end of input.");
          value += text[at]!;
          at++;
        } else value += char;
      }
      return element(value);
    }
    let escaped = false;
    /** Length up to the last character that is not a trailing blank. */
    let kept = 0;
    for (;;) {
      if (at >= text.length) throw malformed(text, "Unexpected end of input.");
      const char = text[at]!;
      if (char === "," || char === "}") break;
      if (char === "{") throw malformed(text, 'Unexpected "{" character.');
      if (char === '"') throw malformed(text, "Unexpected array element.");
      at++;
      if (char === "\\") {
        if (at >= text.length) throw malformed(text, "Unexpected end of input.");
        value += text[at]!;
        at++;
        escaped = true;
        kept = value.length;
      } else {
        value += char;
        if (!isBlank(char.charCodeAt(0))) kept = value.length;
      }
    }
    value = value.slice(0, kept);
    if (value === "" && !escaped) throw malformed(text, `Unexpected "${text[at]!}" character.`);
    if (!escaped && value.length === 4 && value.toUpperCase() === "NULL") return null;
    return element(value);
  };

  level(0);
  skip();
  if (at < text.length) throw malformed(text, "Junk after closing right brace.");
  if (elements.length === 0) {
    if (given.length > 0) throw malformed(text, "Specified array dimensions do not match array contents.");
    return new PgArray(elementType, [], [], []);
  }
  if (given.length > 0) {
    if (given.length !== dims.length || given.some((size, dimension) => size !== dims[dimension])) {
      throw malformed(text, "Specified array dimensions do not match array contents.");
    }
  }
  return new PgArray(elementType, elements, dims, given.length > 0 ? lower : dims.map(() => 1));
}

export function tooManyDimensions(count: number): DbError {
  return new DbError(
    "programLimitExceeded",
    `number of array dimensions (${count}) exceeds the maximum allowed (${dimensionsMax})`,
  );
}

/** Quotes what would not read back bare. */
function quoteElement(text: string): string {
  if (text !== "" && !/[{}",\\\s]/.test(text) && !(text.length === 4 && text.toUpperCase() === "NULL"))
    return text;
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

export function formatArray(array: PgArray, element: (value: Value) => string): string {
  if (array.dims.length === 0) return "{}";
  let prefix = "";
  if (array.lowerBounds.some((bound) => bound !== 1)) {
    array.dims.forEach((size, dimension) => {
      const low = array.lowerBounds[dimension]!;
      prefix += `[${low}:${low + size - 1}]`;
    });
    prefix += "=";
  }
  let next = 0;
  const level = (dimension: number): string => {
    const parts: string[] = [];
    for (let at = 0; at < array.dims[dimension]!; at++) {
      if (dimension + 1 < array.dims.length) parts.push(level(dimension + 1));
      else {
        const value = array.elements[next++]!;
        parts.push(value === null ? "NULL" : quoteElement(element(value)));
      }
    }
    return `{${parts.join(",")}}`;
  };
  return prefix + level(0);
}

/** One column of a row's text form: quoted when it would not read back bare. */
export function quoteField(text: string): string {
  if (text !== "" && !/[(),"\\\s]/.test(text)) return text;
  return `"${text.replace(/["\\]/g, "$&$&")}"`;
}
