/**
 * W3C trace context (https://www.w3.org/TR/trace-context/): one id for what one request causes, on whatever node. Over SQL a
 * client hands it in as a comment, the way sqlcommenter does: a `traceparent='00-...'` between comment marks.
 *
 * Invariant: what is not a valid traceparent is as if it were not there.
 */

const pattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;
const named = /traceparent\s*=\s*'?([0-9a-f-]{55})\b/;
const isZero = (hex: string): boolean => /^0+$/.test(hex);
/** Characters of one. */
export const traceparentLength = 55;

/** The text, if it is a trace context. */
export function traceparent(text: string): string | undefined {
  const match = text.length === traceparentLength ? pattern.exec(text) : null;
  return match === null || isZero(match[1]!) || isZero(match[2]!) ? undefined : text;
}

/** The trace context that a statement's text carries, in time that grows with the text and no faster. */
export function traceparentOf(text: string): string | undefined {
  if (!text.includes("traceparent")) return undefined;
  let block = text.indexOf("/*");
  let line = text.indexOf("--");
  while (block >= 0 || line >= 0) {
    const isBlock = line < 0 || (block >= 0 && block < line);
    const from = (isBlock ? block : line) + 2;
    const close = text.indexOf(isBlock ? "*/" : "\n", from);
    // It never ends, and holds all the others.
    if (isBlock && close < 0) return undefined;
    const end = close < 0 ? text.length : close;
    const found = traceparent(named.exec(text.slice(from, end))?.[1] ?? "");
    if (found !== undefined) return found;
    if (block >= 0 && block < end) block = text.indexOf("/*", end);
    if (line >= 0 && line < end) line = text.indexOf("--", end);
  }
  return undefined;
}

/** What log lines say of it. */
export function traceId(traceparent: string): string {
  return traceparent.slice(3, 35);
}
