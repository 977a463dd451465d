/**
 * JSON: operators, construction from values, and functions over json and jsonb.
 *
 * Invariants: json hands out its text unchanged; jsonb is always canonical text. Keys of built json keep their order
 * and may repeat; jsonb's do not.
 */
import { DbError } from "../../base/errors.js";
import { formatDate, formatTimestamp, formatTimestampTz } from "../../model/datetime.js";
import type { EvalContext } from "../../model/functions.js";
import {
  compareJson,
  type JsonNode,
  jsonArray,
  jsonbText,
  jsonNull,
  jsonObject,
  jsonPretty,
  normalizeJson,
  parseJson,
  quoteJson,
} from "../../model/json.js";
import { oids, typeByOid, typeOutput } from "../../model/types.js";
import { PgArray, RowValue, type Value, type Wide } from "../../model/value.js";
import { valueBytes } from "./aggregates.js";
import { define, defineAggregate, defineTyped } from "./registry.js";

// Values to JSON ----------------------------------------------------------------------------------------------------

/** Dates are ISO in JSON, whatever the session shows. */
const isoSettings = { dateStyle: "ISO, MDY" };

const numberTypes = new Set<number>([
  oids.int2,
  oids.int4,
  oids.int8,
  oids.float4,
  oids.float8,
  oids.numeric,
]);

/** JSON text of a value; `pretty` breaks lines between elements of the outermost array or row. */
export function valueToJson(type: number, value: Value, context: EvalContext, pretty = false): string {
  if (value === null) return "null";
  switch (type) {
    case oids.bool:
      return value === true ? "true" : "false";
    case oids.json:
    case oids.jsonb:
      return value as string;
    case oids.date:
      return quoteJson(formatDate(value as number, isoSettings));
    case oids.timestamp:
      return quoteJson(formatTimestamp(value as Wide, isoSettings).replace(" ", "T"));
    case oids.timestamptz: {
      const text = formatTimestampTz(value as Wide, { ...isoSettings, timeZone: context.timeZone });
      return quoteJson(text.replace(" ", "T").replace(/([+-][0-9]{2})$/, "$1:00"));
    }
    default:
  }
  if (value instanceof PgArray) return arrayToJson(value, context, pretty);
  if (value instanceof RowValue) return rowToJson(value, context, pretty);
  if (numberTypes.has(type)) {
    const text = typeOutput(type, value, context);
    return /^-?[0-9]/.test(text) && !text.includes("I") ? text : quoteJson(text);
  }
  const text = typeOutput(type === oids.unknown ? oids.text : type, value, context);
  return quoteJson(text);
}

function arrayToJson(array: PgArray, context: EvalContext, pretty: boolean): string {
  if (array.dims.length === 0) return "[]";
  let next = 0;
  const level = (dimension: number): string => {
    const parts: string[] = [];
    for (let at = 0; at < array.dims[dimension]!; at++) {
      parts.push(
        dimension + 1 < array.dims.length
          ? level(dimension + 1)
          : valueToJson(array.elementType, array.elements[next++]!, context),
      );
    }
    return `[${parts.join(pretty && dimension === 0 ? ",\n " : ",")}]`;
  };
  return level(0);
}

/** A row's columns are f1, f2, ... unless it has names. */
function rowToJson(row: RowValue, context: EvalContext, pretty: boolean): string {
  const parts = row.values.map(
    (value, at) =>
      `${quoteJson(row.names?.[at] ?? `f${at + 1}`)}:${valueToJson(row.types[at]!, value, context)}`,
  );
  return `{${parts.join(pretty ? ",\n " : ",")}}`;
}

function jsonb(text: string): string {
  return jsonbText(normalizeJson(parseJson(text, true)));
}

defineTyped(
  "to_json(anyelement)",
  ([type]) =>
    (context: EvalContext, value: Value) =>
      valueToJson(type!, value, context),
);
defineTyped(
  "to_jsonb(anyelement)",
  ([type]) =>
    (context: EvalContext, value: Value) =>
      jsonb(valueToJson(type!, value, context)),
);
define("array_to_json(anyarray)", (context: EvalContext, array: PgArray) =>
  arrayToJson(array, context, false),
);
define("array_to_json(anyarray,bool)", (context: EvalContext, array: PgArray, pretty: boolean) =>
  arrayToJson(array, context, pretty),
);
define("row_to_json(record)", (context: EvalContext, row: RowValue) => rowToJson(row, context, false));
define("row_to_json(record,bool)", (context: EvalContext, row: RowValue, pretty: boolean) =>
  rowToJson(row, context, pretty),
);

// Building ----------------------------------------------------------------------------------------------------------

/** A key: any scalar's text. */
function keyText(type: number, value: Value, context: EvalContext, position: number): string {
  if (value === null) {
    throw new DbError("invalidParameterValue", `argument ${position} cannot be null`, {
      hint: "Object keys should be text.",
    });
  }
  if (value instanceof PgArray || value instanceof RowValue || type === oids.json || type === oids.jsonb) {
    throw new DbError("invalidParameterValue", "key value must be scalar, not array, composite, or json");
  }
  if (type === oids.bool) return value === true ? "true" : "false";
  return typeOutput(type === oids.unknown ? oids.text : type, value, context);
}

function buildObject(types: readonly number[], values: readonly Value[], context: EvalContext): string {
  if (values.length % 2 !== 0) {
    throw new DbError("invalidParameterValue", "argument list must have even number of elements", {
      hint: "The arguments of json_build_object() must consist of alternating keys and values.",
    });
  }
  const parts: string[] = [];
  for (let at = 0; at < values.length; at += 2) {
    const key = keyText(types[at]!, values[at]!, context, at + 1);
    parts.push(`${quoteJson(key)} : ${valueToJson(types[at + 1]!, values[at + 1]!, context)}`);
  }
  return `{${parts.join(", ")}}`;
}
function buildArray(types: readonly number[], values: readonly Value[], context: EvalContext): string {
  return `[${values.map((value, at) => valueToJson(types[at]!, value, context)).join(", ")}]`;
}
define("json_build_array()", () => "[]");
define("jsonb_build_array()", () => "[]");
define("json_build_object()", () => "{}");
define("jsonb_build_object()", () => "{}");
defineTyped(
  "json_build_array(any)",
  (types) =>
    (context: EvalContext, ...values: Value[]) =>
      buildArray(types, values, context),
);
defineTyped(
  "jsonb_build_array(any)",
  (types) =>
    (context: EvalContext, ...values: Value[]) =>
      jsonb(buildArray(types, values, context)),
);
defineTyped(
  "json_build_object(any)",
  (types) =>
    (context: EvalContext, ...values: Value[]) =>
      buildObject(types, values, context),
);
defineTyped(
  "jsonb_build_object(any)",
  (types) =>
    (context: EvalContext, ...values: Value[]) =>
      jsonb(buildObject(types, values, context)),
);

function objectFromPairs(pairs: readonly (readonly [Value, Value])[]): string {
  const parts = pairs.map(([key, value]) => {
    if (key === null) throw new DbError("nullValueNotAllowed", "null value not allowed for object key");
    return `${quoteJson(key as string)} : ${value === null ? "null" : quoteJson(value as string)}`;
  });
  return `{${parts.join(", ")}}`;
}
function objectFromArray(array: PgArray): string {
  if (array.dims.length === 0) return "{}";
  if (array.dims.length > 2) throw new DbError("arraySubscriptError", "wrong number of array subscripts");
  if (array.dims.length === 2 && array.dims[1] !== 2) {
    throw new DbError("arraySubscriptError", "array must have two columns");
  }
  if (array.elements.length % 2 !== 0) {
    throw new DbError("arraySubscriptError", "array must have even number of elements");
  }
  const pairs: [Value, Value][] = [];
  for (let at = 0; at < array.elements.length; at += 2) {
    pairs.push([array.elements[at]!, array.elements[at + 1]!]);
  }
  return objectFromPairs(pairs);
}
function objectFromTwo(keys: PgArray, values: PgArray): string {
  if (keys.dims.length > 1 || keys.dims.length !== values.dims.length) {
    throw new DbError("arraySubscriptError", "wrong number of array subscripts");
  }
  if (keys.elements.length !== values.elements.length) {
    throw new DbError("arraySubscriptError", "mismatched array dimensions");
  }
  return objectFromPairs(keys.elements.map((key, at) => [key, values.elements[at]!]));
}
define("json_object(_text)", (_: EvalContext, array: PgArray) => objectFromArray(array));
define("json_object(_text,_text)", (_: EvalContext, keys: PgArray, values: PgArray) =>
  objectFromTwo(keys, values),
);
define("jsonb_object(_text)", (_: EvalContext, array: PgArray) => jsonb(objectFromArray(array)));
define("jsonb_object(_text,_text)", (_: EvalContext, keys: PgArray, values: PgArray) =>
  jsonb(objectFromTwo(keys, values)),
);

// Access ------------------------------------------------------------------------------------------------------------

function member(node: JsonNode, key: string): JsonNode | undefined {
  if (node.kind !== "object") return undefined;
  // Of equal keys the last counts.
  const at = node.keys.lastIndexOf(key);
  return at < 0 ? undefined : node.items[at];
}
function element(node: JsonNode, index: number): JsonNode | undefined {
  if (node.kind !== "array") return undefined;
  return node.items[index < 0 ? node.items.length + index : index];
}
function walk(node: JsonNode, path: PgArray): JsonNode | undefined | null {
  let at: JsonNode | undefined = node;
  for (const step of path.elements) {
    if (step === null) return null;
    if (at === undefined) return undefined;
    if (at.kind === "array") {
      const index = /^\s*[+-]?[0-9]+$/.test(step as string) ? Number(step) : undefined;
      at = index === undefined ? undefined : element(at, index);
    } else at = member(at, step as string);
  }
  return at;
}

/** Text of a part: json's as it stands in the source, jsonb's canonical. */
function partText(source: string, node: JsonNode, binary: boolean): string {
  return binary ? jsonbText(node) : source.slice(node.start, node.end);
}
/** ->>: strings without quotes, JSON null is NULL. */
function partPlain(source: string, node: JsonNode, binary: boolean): string | null {
  if (node.kind === "null") return null;
  return node.kind === "string" ? (node.scalar as string) : partText(source, node, binary);
}

for (const [type, binary] of [
  ["json", false],
  ["jsonb", true],
] as const) {
  const get = (source: string, node: JsonNode | undefined | null): string | null =>
    node === undefined || node === null ? null : partText(source, node, binary);
  const getPlain = (source: string, node: JsonNode | undefined | null): string | null =>
    node === undefined || node === null ? null : partPlain(source, node, binary);
  define(`${type} -> text`, (_: EvalContext, a: string, key: string) => get(a, member(parseJson(a), key)));
  define(`${type} ->> text`, (_: EvalContext, a: string, key: string) =>
    getPlain(a, member(parseJson(a), key)),
  );
  define(`${type} -> int4`, (_: EvalContext, a: string, at: number) => get(a, element(parseJson(a), at)));
  define(`${type} ->> int4`, (_: EvalContext, a: string, at: number) =>
    getPlain(a, element(parseJson(a), at)),
  );
  // These stand behind json_extract_path(json, VARIADIC text[]) too, so the path may come step by step.
  define(`${type} #> _text`, (_: EvalContext, a: string, ...path: Value[]) =>
    get(a, walk(parseJson(a), pathOf(path))),
  );
  define(`${type} #>> _text`, (_: EvalContext, a: string, ...path: Value[]) =>
    getPlain(a, walk(parseJson(a), pathOf(path))),
  );

  define(`${type}_typeof(${type})`, (_: EvalContext, a: string) => parseJson(a).kind);
  define(`${type}_array_length(${type})`, (_: EvalContext, a: string) => {
    const node = parseJson(a);
    if (node.kind === "array") return node.items.length;
    throw new DbError(
      "invalidParameterValue",
      node.kind === "object"
        ? "cannot get array length of a non-array"
        : "cannot get array length of a scalar",
    );
  });
  define(`${type}_strip_nulls(${type})`, (_: EvalContext, a: string) => {
    const stripped = stripNulls(parseJson(a));
    return binary ? jsonbText(stripped) : compactText(stripped);
  });

  const objectOf = (a: string, what: string): JsonNode => {
    const node = parseJson(a);
    if (node.kind === "object") return node;
    const kind =
      node.kind === "array" ? (binary ? "a non-object" : "an array") : binary ? "a non-object" : "a scalar";
    throw new DbError(
      "invalidParameterValue",
      what === "keys"
        ? `cannot call ${type}_object_keys on ${node.kind === "array" ? "an array" : "a scalar"}`
        : binary
          ? `cannot call ${what} on ${kind}`
          : node.kind === "array"
            ? "cannot deconstruct an array as an object"
            : "cannot deconstruct a scalar",
    );
  };
  define(`${type}_object_keys(${type})`, (_: EvalContext, a: string) => {
    const { keys } = objectOf(a, "keys");
    return [...keys];
  });
  for (const [suffix, plain] of [
    ["", false],
    ["_text", true],
  ] as const) {
    define(`${type}_each${suffix}(${type})`, (_: EvalContext, a: string) => {
      const node = objectOf(a, `${type}_each${suffix}`);
      const types = [oids.text, plain ? oids.text : oids[type]];
      return node.keys.map((key, at) => {
        const item = node.items[at]!;
        return new RowValue(types, [key, plain ? partPlain(a, item, binary) : partText(a, item, binary)]);
      });
    });
    define(`${type}_array_elements${suffix}(${type})`, (_: EvalContext, a: string) => {
      const node = parseJson(a);
      if (node.kind !== "array") {
        throw new DbError(
          "invalidParameterValue",
          node.kind === "object"
            ? binary
              ? "cannot extract elements from an object"
              : `cannot call ${type}_array_elements${suffix} on a non-array`
            : binary
              ? "cannot extract elements from a scalar"
              : `cannot call ${type}_array_elements${suffix} on a scalar`,
        );
      }
      return node.items.map((item) => (plain ? partPlain(a, item, binary) : partText(a, item, binary)));
    });
  }
}

function stripNulls(node: JsonNode): JsonNode {
  if (node.kind === "array") return jsonArray(node.items.map(stripNulls));
  if (node.kind !== "object") return node;
  const kept = node.keys.map((_, at) => at).filter((at) => node.items[at]!.kind !== "null");
  return jsonObject(
    kept.map((at) => node.keys[at]!),
    kept.map((at) => stripNulls(node.items[at]!)),
  );
}

/** json's own output of a rebuilt tree: no blanks. */
function compactText(node: JsonNode): string {
  if (node.kind === "array") return `[${node.items.map(compactText).join(",")}]`;
  if (node.kind === "object") {
    return `{${node.keys.map((key, at) => `${quoteJson(key)}:${compactText(node.items[at]!)}`).join(",")}}`;
  }
  return jsonbText(node);
}

// jsonb -------------------------------------------------------------------------------------------------------------

function equalJson(a: JsonNode, b: JsonNode): boolean {
  return compareJson(a, b) === 0;
}

/** Whether `big` contains `small`: objects by members, arrays as sets, scalars by equality. */
function containsJson(big: JsonNode, small: JsonNode): boolean {
  if (big.kind !== small.kind) return false;
  if (small.kind === "object") {
    return small.keys.every((key, at) => {
      const own = member(big, key);
      return own !== undefined && containsJson(own, small.items[at]!);
    });
  }
  if (small.kind === "array") {
    return small.items.every((wanted) =>
      big.items.some((item) =>
        wanted.kind === "array" || wanted.kind === "object"
          ? containsJson(item, wanted)
          : equalJson(item, wanted),
      ),
    );
  }
  return equalJson(big, small);
}
/** At the top an array also contains a bare scalar. */
function containsTop(big: JsonNode, small: JsonNode): boolean {
  const scalar = small.kind !== "array" && small.kind !== "object";
  if (big.kind === "array" && scalar) return big.items.some((item) => equalJson(item, small));
  return containsJson(big, small);
}
define("jsonb @> jsonb", (_: EvalContext, a: string, b: string) => containsTop(parseJson(a), parseJson(b)));
define("jsonb <@ jsonb", (_: EvalContext, a: string, b: string) => containsTop(parseJson(b), parseJson(a)));

function exists(node: JsonNode, key: string): boolean {
  if (node.kind === "object") return node.keys.includes(key);
  if (node.kind === "array") return node.items.some((item) => item.kind === "string" && item.scalar === key);
  return node.kind === "string" && node.scalar === key;
}
define("jsonb ? text", (_: EvalContext, a: string, key: string) => exists(parseJson(a), key));
define("jsonb ?| _text", (_: EvalContext, a: string, keys: PgArray) => {
  const node = parseJson(a);
  return keys.elements.some((key) => key !== null && exists(node, key as string));
});
define("jsonb ?& _text", (_: EvalContext, a: string, keys: PgArray) => {
  const node = parseJson(a);
  return keys.elements.every((key) => key === null || exists(node, key as string));
});

define("jsonb || jsonb", (_: EvalContext, a: string, b: string) => {
  const x = parseJson(a);
  const y = parseJson(b);
  if (x.kind === "object" && y.kind === "object") {
    return jsonbText(normalizeJson(jsonObject([...x.keys, ...y.keys], [...x.items, ...y.items])));
  }
  const items = (node: JsonNode): readonly JsonNode[] => (node.kind === "array" ? node.items : [node]);
  return jsonbText(jsonArray([...items(x), ...items(y)]));
});

function withoutKeys(node: JsonNode, keys: ReadonlySet<string>): JsonNode {
  if (node.kind === "object") {
    const kept = node.keys.map((_, at) => at).filter((at) => !keys.has(node.keys[at]!));
    return jsonObject(
      kept.map((at) => node.keys[at]!),
      kept.map((at) => node.items[at]!),
    );
  }
  if (node.kind === "array") {
    return jsonArray(node.items.filter((item) => item.kind !== "string" || !keys.has(item.scalar as string)));
  }
  throw new DbError("invalidParameterValue", "cannot delete from scalar");
}
define("jsonb - text", (_: EvalContext, a: string, key: string) =>
  jsonbText(withoutKeys(parseJson(a), new Set([key]))),
);
define("jsonb - _text", (_: EvalContext, a: string, ...keys: Value[]) =>
  jsonbText(
    withoutKeys(parseJson(a), new Set(pathOf(keys).elements.filter((key) => key !== null) as string[])),
  ),
);
define("jsonb - int4", (_: EvalContext, a: string, index: number) => {
  const node = parseJson(a);
  if (node.kind === "object") {
    throw new DbError("invalidParameterValue", "cannot delete from object using integer index");
  }
  if (node.kind !== "array") throw new DbError("invalidParameterValue", "cannot delete from scalar");
  const at = index < 0 ? node.items.length + index : index;
  return jsonbText(jsonArray(node.items.filter((_, position) => position !== at)));
});

type Edit = "delete" | "set" | "setExisting" | "insertBefore" | "insertAfter";

function pathIndex(step: string, position: number): number {
  if (!/^\s*[+-]?[0-9]+$/.test(step)) {
    throw new DbError(
      "invalidTextRepresentation",
      `path element at position ${position} is not an integer: "${step}"`,
    );
  }
  return Number(step);
}

/** Changes what stands at a path; `depth` counts the steps already taken. */
function edit(node: JsonNode, path: readonly string[], depth: number, how: Edit, value: JsonNode): JsonNode {
  const step = path[depth];
  if (step === undefined) return node;
  const last = depth === path.length - 1;
  const inserting = how === "insertBefore" || how === "insertAfter";
  if (node.kind === "object") {
    const at = node.keys.indexOf(step);
    if (at < 0) {
      if (!last || how === "delete" || how === "setExisting") return node;
      return normalizeJson(jsonObject([...node.keys, step], [...node.items, value]));
    }
    if (last && inserting) {
      throw new DbError("invalidParameterValue", "cannot replace existing key", {
        hint: "Try using the function jsonb_set to replace key value.",
      });
    }
    if (last && how === "delete") return withoutKeys(node, new Set([step]));
    const items = node.items.map((item, index) =>
      index !== at ? item : last ? value : edit(item, path, depth + 1, how, value),
    );
    return jsonObject(node.keys, items);
  }
  if (node.kind === "array") {
    const given = pathIndex(step, depth + 1);
    const index = given < 0 ? node.items.length + given : given;
    const inside = index >= 0 && index < node.items.length;
    if (!inside) {
      if (!last || how === "delete" || how === "setExisting") return node;
      return jsonArray(index < 0 ? [value, ...node.items] : [...node.items, value]);
    }
    const items = [...node.items];
    if (!last) items[index] = edit(items[index]!, path, depth + 1, how, value);
    else if (how === "delete") items.splice(index, 1);
    else if (how === "insertBefore") items.splice(index, 0, value);
    else if (how === "insertAfter") items.splice(index + 1, 0, value);
    else items[index] = value;
    return jsonArray(items);
  }
  return node;
}

function editText(a: string, path: PgArray, how: Edit, value: JsonNode): string {
  if (path.dims.length > 1) throw new DbError("arraySubscriptError", "wrong number of array subscripts");
  const node = parseJson(a);
  if (node.kind !== "object" && node.kind !== "array") {
    throw new DbError(
      "invalidParameterValue",
      how === "delete" ? "cannot delete path in scalar" : "cannot set path in scalar",
    );
  }
  const empty = node.items.length === 0;
  if (empty && (how === "delete" || how === "setExisting")) return a;
  path.elements.forEach((step, at) => {
    if (step === null) {
      throw new DbError("nullValueNotAllowed", `path element at position ${at + 1} is null`);
    }
  });
  return jsonbText(edit(node, path.elements as readonly string[], 0, how, value));
}
define("jsonb #- _text", (_: EvalContext, a: string, path: PgArray) => editText(a, path, "delete", jsonNull));
define(
  "jsonb_set(jsonb,_text,jsonb,bool)",
  (_: EvalContext, a: string, path: PgArray, value: string, create: boolean) =>
    editText(a, path, create ? "set" : "setExisting", parseJson(value)),
);
define(
  "jsonb_insert(jsonb,_text,jsonb,bool)",
  (_: EvalContext, a: string, path: PgArray, value: string, after: boolean) =>
    editText(a, path, after ? "insertAfter" : "insertBefore", parseJson(value)),
);
define(
  "jsonb_set_lax(jsonb,_text,jsonb,bool,text)",
  (
    _: EvalContext,
    a: string | null,
    path: PgArray | null,
    value: string | null,
    create: boolean | null,
    nulls: string | null,
  ) => {
    if (a === null || path === null || create === null) return null;
    if (value !== null) return editText(a, path, create ? "set" : "setExisting", parseJson(value));
    switch (nulls) {
      case "raise_exception":
        throw new DbError("nullValueNotAllowed", "JSON value must not be null", {
          detail: 'Exception was raised because null_value_treatment is "raise_exception".',
          hint: "To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed.",
        });
      case "use_json_null":
        return editText(a, path, create ? "set" : "setExisting", jsonNull);
      case "delete_key":
        return editText(a, path, "delete", jsonNull);
      case "return_target":
        return a;
      default:
        throw new DbError(
          "invalidParameterValue",
          'null_value_treatment must be "delete_key", "return_target", "use_json_null", or "raise_exception"',
        );
    }
  },
);
define("jsonb_pretty(jsonb)", (_: EvalContext, a: string) => jsonPretty(parseJson(a)));
/** VARIADIC text: the steps one by one, or one array. */
function pathOf(path: readonly Value[]): PgArray {
  const only = path[0];
  return path.length === 1 && only instanceof PgArray ? only : PgArray.of(oids.text, path);
}

// Aggregates --------------------------------------------------------------------------------------------------------

class JsonParts {
  readonly parts: string[] = [];
  bytes = 0;
  add(text: string): void {
    this.parts.push(text);
    this.bytes += valueBytes(text);
  }
}
const collectParts = {
  strict: false,
  init: (): unknown => new JsonParts(),
  merge: (into: unknown, from: unknown): unknown => {
    for (const part of (from as JsonParts).parts) (into as JsonParts).add(part);
    return into;
  },
  stateBytes: (state: unknown): number => (state as JsonParts).bytes,
};
for (const binary of [false, true]) {
  const name = binary ? "jsonb" : "json";
  defineAggregate(`${name}_agg(anyelement)`, ([type]) => ({
    ...collectParts,
    step: (state, context, value) => {
      (state as JsonParts).add(valueToJson(type!, value!, context));
      return state;
    },
    final: (state) => {
      const { parts } = state as JsonParts;
      if (parts.length === 0) return null;
      const breaks = typeByOid(type!)?.isArray === true || type === oids.record ? ", \n " : ", ";
      const text = `[${parts.join(breaks)}]`;
      return binary ? jsonb(text) : text;
    },
  }));
  defineAggregate(`${name}_object_agg(any,any)`, ([keyType, valueType]) => ({
    ...collectParts,
    step: (state, context, key, value) => {
      if (key === null) throw new DbError("invalidParameterValue", "field name must not be null");
      const text = keyText(keyType!, key!, context, 1);
      (state as JsonParts).add(`${quoteJson(text)} : ${valueToJson(valueType!, value!, context)}`);
      return state;
    },
    final: (state) => {
      const { parts } = state as JsonParts;
      if (parts.length === 0) return null;
      const text = binary ? `{${parts.join(", ")}}` : `{ ${parts.join(", ")} }`;
      return binary ? jsonb(text) : text;
    },
  }));
}
