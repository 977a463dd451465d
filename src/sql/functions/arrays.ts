/**
 * Arrays: construction, access, search, set operations, and functions that return sets of elements or numbers.
 *
 * Invariants: arrays are never changed; equality of elements is the element type's. Set-returning functions are lazy:
 * a series costs what is read of it.
 */
import { DbError } from "../../base/errors.js";
import { tooManyDimensions } from "../../model/array.js";
import { addToTimestamp, addToTimestampTz, zoneOf } from "../../model/datetime.js";
import type { EvalContext } from "../../model/functions.js";
import { wideAdd } from "../../model/int8.js";
import { intervalSpan } from "../../model/interval.js";
import * as exact from "../../model/numeric.js";
import { compareOf, elementTypeOf, equalsOf, typeOutput } from "../../model/types.js";
import { type Interval, type Numeric, PgArray, type Value, type Wide } from "../../model/value.js";
import { define, defineTyped } from "./registry.js";

const sizeMax = 134217727;

function checkSize(count: number): void {
  if (count > sizeMax) {
    throw new DbError("programLimitExceeded", `array size exceeds the maximum allowed (${sizeMax})`);
  }
}

function oneDimensional(array: PgArray, message: string): void {
  if (array.dims.length > 1) throw new DbError("featureNotSupported", message);
}

/** Appends or prepends an element to an empty or one-dimensional array. */
function extend(array: PgArray | null, element: Value, elementType: number, front: boolean): PgArray {
  if (array === null || array.dims.length === 0) return PgArray.of(elementType, [element]);
  if (array.dims.length > 1) {
    throw new DbError("invalidTextRepresentation", "argument must be empty or one-dimensional array");
  }
  const elements = front ? [element, ...array.elements] : [...array.elements, element];
  checkSize(elements.length);
  return new PgArray(elementType, elements, [elements.length], array.lowerBounds);
}

defineTyped("array_append(anycompatiblearray,anycompatible)", (types) => {
  const elementType = elementTypeOf(types[0]!)!;
  return (_: EvalContext, array: PgArray | null, element: Value) =>
    extend(array, element, elementType, false);
});
defineTyped("array_prepend(anycompatible,anycompatiblearray)", (types) => {
  const elementType = elementTypeOf(types[1]!)!;
  return (_: EvalContext, element: Value, array: PgArray | null) => extend(array, element, elementType, true);
});

function incompatible(detail: string): DbError {
  return new DbError("arraySubscriptError", "cannot concatenate incompatible arrays", { detail });
}

function concatenate(a: PgArray | null, b: PgArray | null): PgArray | null {
  if (a === null) return b;
  if (b === null) return a;
  if (a.dims.length === 0) return b;
  if (b.dims.length === 0) return a;
  const elements = [...a.elements, ...b.elements];
  checkSize(elements.length);
  if (a.dims.length === b.dims.length) {
    if (a.dims.slice(1).join() !== b.dims.slice(1).join()) {
      throw incompatible("Arrays with differing element dimensions are not compatible for concatenation.");
    }
    return new PgArray(a.elementType, elements, [a.dims[0]! + b.dims[0]!, ...a.dims.slice(1)], a.lowerBounds);
  }
  if (a.dims.length === b.dims.length - 1) {
    if (a.dims.join() !== b.dims.slice(1).join()) {
      throw incompatible("Arrays with differing dimensions are not compatible for concatenation.");
    }
    return new PgArray(a.elementType, elements, [b.dims[0]! + 1, ...b.dims.slice(1)], b.lowerBounds);
  }
  if (b.dims.length === a.dims.length - 1) {
    if (b.dims.join() !== a.dims.slice(1).join()) {
      throw incompatible("Arrays with differing dimensions are not compatible for concatenation.");
    }
    return new PgArray(a.elementType, elements, [a.dims[0]! + 1, ...a.dims.slice(1)], a.lowerBounds);
  }
  throw incompatible(
    `Arrays of ${a.dims.length} and ${b.dims.length} dimensions are not compatible for concatenation.`,
  );
}
define(
  "array_cat(anycompatiblearray,anycompatiblearray)",
  (_: EvalContext, a: PgArray | null, b: PgArray | null) => concatenate(a, b),
);

// Shape -------------------------------------------------------------------------------------------------------------

define("array_ndims(anyarray)", (_: EvalContext, a: PgArray) => (a.dims.length === 0 ? null : a.dims.length));
define("array_dims(anyarray)", (_: EvalContext, a: PgArray) =>
  a.dims.length === 0
    ? null
    : a.dims.map((size, at) => `[${a.lowerBounds[at]}:${a.lowerBounds[at]! + size - 1}]`).join(""),
);
function dimension(a: PgArray, number: number): number | undefined {
  return number >= 1 && number <= a.dims.length ? number - 1 : undefined;
}
define("array_length(anyarray,int4)", (_: EvalContext, a: PgArray, number: number) => {
  const at = dimension(a, number);
  return at === undefined ? null : a.dims[at]!;
});
define("array_lower(anyarray,int4)", (_: EvalContext, a: PgArray, number: number) => {
  const at = dimension(a, number);
  return at === undefined ? null : a.lowerBounds[at]!;
});
define("array_upper(anyarray,int4)", (_: EvalContext, a: PgArray, number: number) => {
  const at = dimension(a, number);
  return at === undefined ? null : a.lowerBounds[at]! + a.dims[at]! - 1;
});
define("cardinality(anyarray)", (_: EvalContext, a: PgArray) => a.elements.length);

// Search ------------------------------------------------------------------------------------------------------------

function matcher(array: PgArray, wanted: Value): (element: Value) => boolean {
  if (wanted === null) return (element) => element === null;
  const equal = equalsOf(array.elementType);
  return (element) => element !== null && equal(element, wanted);
}

const searching = "searching for elements in multidimensional arrays is not supported";
for (const [signature, hasStart] of [
  ["array_position(anycompatiblearray,anycompatible)", false],
  ["array_position(anycompatiblearray,anycompatible,int4)", true],
] as const) {
  define(signature, (_: EvalContext, array: PgArray | null, wanted: Value, start: number | null) => {
    if (array === null || array.dims.length === 0) return null;
    oneDimensional(array, searching);
    if (hasStart && start === null) {
      throw new DbError("nullValueNotAllowed", "initial position must not be null");
    }
    const low = array.lowerBounds[0]!;
    const matches = matcher(array, wanted);
    for (let at = hasStart ? Math.max(start! - low, 0) : 0; at < array.elements.length; at++) {
      if (matches(array.elements[at]!)) return at + low;
    }
    return null;
  });
}
define(
  "array_positions(anycompatiblearray,anycompatible)",
  (_: EvalContext, array: PgArray | null, wanted: Value) => {
    if (array === null) return null;
    oneDimensional(array, searching);
    const matches = matcher(array, wanted);
    const found: number[] = [];
    array.elements.forEach((element, at) => {
      if (matches(element)) found.push(at + array.lowerBounds[0]!);
    });
    return PgArray.of(23, found);
  },
);
define(
  "array_remove(anycompatiblearray,anycompatible)",
  (_: EvalContext, array: PgArray | null, unwanted: Value) => {
    if (array === null) return null;
    oneDimensional(array, "removing elements from multidimensional arrays is not supported");
    const matches = matcher(array, unwanted);
    const kept = array.elements.filter((element) => !matches(element));
    if (kept.length === array.elements.length) return array;
    return kept.length === 0
      ? PgArray.of(array.elementType, [])
      : new PgArray(array.elementType, kept, [kept.length], array.lowerBounds);
  },
);
define(
  "array_replace(anycompatiblearray,anycompatible,anycompatible)",
  (_: EvalContext, array: PgArray | null, from: Value, to: Value) => {
    if (array === null) return null;
    const matches = matcher(array, from);
    const elements = array.elements.map((element) => (matches(element) ? to : element));
    return new PgArray(array.elementType, elements, array.dims, array.lowerBounds);
  },
);

/** Whether every non-null element of `small` is in `big`; a NULL in `small` is in nothing. */
function contains(big: PgArray, small: PgArray): boolean {
  const equal = equalsOf(big.elementType);
  return small.elements.every(
    (wanted) => wanted !== null && big.elements.some((element) => element !== null && equal(element, wanted)),
  );
}
function checkElements(a: PgArray, b: PgArray): void {
  if (a.elementType !== b.elementType) {
    throw new DbError("datatypeMismatch", "cannot compare arrays of different element types");
  }
}
define("arraycontains(anyarray,anyarray)", (_: EvalContext, a: PgArray, b: PgArray) => {
  checkElements(a, b);
  return contains(a, b);
});
define("arraycontained(anyarray,anyarray)", (_: EvalContext, a: PgArray, b: PgArray) => {
  checkElements(a, b);
  return contains(b, a);
});
define("arrayoverlap(anyarray,anyarray)", (_: EvalContext, a: PgArray, b: PgArray) => {
  checkElements(a, b);
  const equal = equalsOf(a.elementType);
  return a.elements.some(
    (element) => element !== null && b.elements.some((other) => other !== null && equal(element, other)),
  );
});

// Making and joining ------------------------------------------------------------------------------------------------

function fill(
  value: Value,
  elementType: number,
  dims: PgArray | null,
  bounds: PgArray | null | undefined,
): PgArray {
  const missing = (): DbError =>
    new DbError("nullValueNotAllowed", "dimension array or low bound array cannot be null");
  if (dims === null || bounds === null) throw missing();
  if (dims.dims.length > 1 || (bounds !== undefined && bounds.dims.length > 1)) {
    throw new DbError("arraySubscriptError", "wrong number of array subscripts", {
      detail: "Dimension array must be one dimensional.",
    });
  }
  if (dims.elements.includes(null) || bounds?.elements.includes(null) === true) {
    throw new DbError("nullValueNotAllowed", "dimension values cannot be null");
  }
  const sizes = dims.elements as readonly number[];
  if (sizes.length > 6) throw tooManyDimensions(sizes.length);
  if (bounds !== undefined && bounds.elements.length !== sizes.length) {
    throw new DbError("arraySubscriptError", "wrong number of array subscripts", {
      detail: "Low bound array has different size than dimensions array.",
    });
  }
  let count = sizes.length === 0 ? 0 : 1;
  for (const size of sizes) {
    if (size < 0)
      throw new DbError("programLimitExceeded", `array size exceeds the maximum allowed (${sizeMax})`);
    count *= size;
    checkSize(count);
  }
  if (count === 0) return PgArray.of(elementType, []);
  const lower = bounds === undefined ? sizes.map(() => 1) : (bounds.elements as readonly number[]);
  return new PgArray(elementType, new Array<Value>(count).fill(value), sizes, lower);
}
defineTyped(
  "array_fill(anyelement,_int4)",
  ([type]) =>
    (_: EvalContext, value: Value, dims: PgArray | null) =>
      fill(value, type!, dims, undefined),
);
defineTyped(
  "array_fill(anyelement,_int4,_int4)",
  ([type]) =>
    (_: EvalContext, value: Value, dims: PgArray | null, bounds: PgArray | null) =>
      fill(value, type!, dims, bounds),
);
define("trim_array(anyarray,int4)", (_: EvalContext, array: PgArray, count: number) => {
  const size = array.dims[0] ?? 0;
  if (count < 0 || count > size) {
    throw new DbError("arraySubscriptError", `number of elements to trim must be between 0 and ${size}`);
  }
  const kept = size - count;
  if (kept === 0) return PgArray.of(array.elementType, []);
  const perItem = array.elements.length / size;
  return new PgArray(
    array.elementType,
    array.elements.slice(0, kept * perItem),
    [kept, ...array.dims.slice(1)],
    array.dims.map(() => 1),
  );
});

function join(context: EvalContext, array: PgArray, separator: string, nullText: string | null): string {
  const parts: string[] = [];
  for (const element of array.elements) {
    if (element !== null) parts.push(typeOutput(array.elementType, element, context));
    else if (nullText !== null) parts.push(nullText);
  }
  return parts.join(separator);
}
define("array_to_string(anyarray,text)", (context: EvalContext, array: PgArray, separator: string) =>
  join(context, array, separator, null),
);
define(
  "array_to_string(anyarray,text,text)",
  (context: EvalContext, array: PgArray | null, separator: string | null, nullText: string | null) =>
    array === null || separator === null ? null : join(context, array, separator, nullText),
);

define(
  "width_bucket(anycompatible,anycompatiblearray)",
  (_: EvalContext, operand: Value, thresholds: PgArray) => {
    if (thresholds.dims.length > 1) {
      throw new DbError("arraySubscriptError", "thresholds must be one-dimensional array");
    }
    if (thresholds.elements.includes(null)) {
      throw new DbError("nullValueNotAllowed", "thresholds array must not contain NULLs");
    }
    const compare = compareOf(thresholds.elementType);
    let low = 0;
    let high = thresholds.elements.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare(operand, thresholds.elements[middle]!) < 0) high = middle;
      else low = middle + 1;
    }
    return low;
  },
);

// Sets --------------------------------------------------------------------------------------------------------------

define("unnest(anyarray)", (_: EvalContext, array: PgArray) => array.elements);

function zeroStep(): DbError {
  return new DbError("invalidParameterValue", "step size cannot equal zero");
}

function* integers(from: Wide, to: Wide, step: Wide): Generator<Value> {
  if (step === 0) throw zeroStep();
  const max = 9223372036854775807n;
  for (let at: Wide = from; step > 0 ? at <= to : at >= to; ) {
    yield at;
    // The step past the type's end is the end of the series, not an overflow.
    const next: bigint | number =
      typeof at === "number" && typeof step === "number" ? at + step : BigInt(at) + BigInt(step);
    if (next > max || next < -max - 1n) return;
    at =
      typeof next === "number" && Number.isSafeInteger(next) ? next : wideAdd(0, BigInt(at) + BigInt(step));
  }
}
define(["generate_series(int4,int4)", "generate_series(int8,int8)"], (_: EvalContext, from: Wide, to: Wide) =>
  integers(from, to, 1));
define(["generate_series(int4,int4,int4)", "generate_series(int8,int8,int8)"], (
  _: EvalContext,
  from: Wide,
  to: Wide,
  step: Wide,
) => {
  if (step === 0) throw zeroStep();
  return integers(from, to, step);
});

function* numerics(from: Numeric, to: Numeric, step: Numeric): Generator<Value> {
  const sign = exact.signOfNumeric(step);
  const scale = Math.max(from.scale, step.scale);
  for (
    let at = exact.roundNumeric(from, scale);
    exact.compareNumeric(at, to) * sign <= 0;
    at = exact.addNumeric(at, step)
  ) {
    yield at;
  }
}
function numericSeries(from: Numeric, to: Numeric, step: Numeric): Iterable<Value> {
  for (const [value, what] of [
    [from, "start"],
    [to, "stop"],
    [step, "step"],
  ] as const) {
    if (value.special !== "") {
      const noun = what === "step" ? "step size" : `${what} value`;
      throw new DbError(
        "invalidParameterValue",
        `${noun} cannot be ${value.special === "NaN" ? "NaN" : "infinity"}`,
      );
    }
  }
  if (step.coefficient === 0) throw zeroStep();
  return numerics(from, to, step);
}
define("generate_series(numeric,numeric)", (_: EvalContext, from: Numeric, to: Numeric) =>
  numericSeries(from, to, exact.numericOne),
);
define(
  "generate_series(numeric,numeric,numeric)",
  (_: EvalContext, from: Numeric, to: Numeric, step: Numeric) => numericSeries(from, to, step),
);

function* moments(from: Wide, to: Wide, forward: boolean, next: (at: Wide) => Wide): Generator<Value> {
  for (let at = from; forward ? at <= to : at >= to; at = next(at)) yield at;
}
function direction(step: Interval): boolean {
  const span = intervalSpan(step);
  if (span === 0n) throw zeroStep();
  return span > 0n;
}
define(
  "generate_series(timestamp,timestamp,interval)",
  (_: EvalContext, from: Wide, to: Wide, step: Interval) =>
    moments(from, to, direction(step), (at) => addToTimestamp(at, step.months, step.days, step.micros)),
);
define(
  "generate_series(timestamptz,timestamptz,interval)",
  (context: EvalContext, from: Wide, to: Wide, step: Interval) => {
    const zone = zoneOf(context);
    return moments(from, to, direction(step), (at) =>
      addToTimestampTz(at, step.months, step.days, step.micros, zone),
    );
  },
);

function subscripts(array: PgArray, number: number, reverse: boolean): Iterable<Value> {
  const at = dimension(array, number);
  if (at === undefined) return [];
  const low = array.lowerBounds[at]!;
  const high = low + array.dims[at]! - 1;
  return reverse ? integers(high, low, -1) : integers(low, high, 1);
}
define("generate_subscripts(anyarray,int4)", (_: EvalContext, array: PgArray, number: number) =>
  subscripts(array, number, false),
);
define(
  "generate_subscripts(anyarray,int4,bool)",
  (_: EvalContext, array: PgArray, number: number, reverse: boolean) => subscripts(array, number, reverse),
);
