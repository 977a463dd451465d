/**
 * W3C trace context (https://www.w3.org/TR/trace-context/): one id for what one request causes, on whatever node. Over SQL a
 * client hands it in as a comment, the way sqlcommenter does: a `traceparent='00-...'` between comment marks.
 *
 * Invariant: what is not a valid traceparent is as if it were not there.
 */
import type { Random } from "../platform/index.js";

const pattern = /traceparent\s*=\s*'?(00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2})\b/;
const comment = /\/\*[\s\S]*?\*\/|--[^\n]*/g;
const isZero = (hex: string): boolean => /^0+$/.test(hex);

/** The trace context that a statement's text carries. */
export function traceparentOf(text: string): string | undefined {
  if (!text.includes("traceparent")) return undefined;
  for (const [part] of text.matchAll(comment)) {
    const match = pattern.exec(part);
    if (match !== null && !isZero(match[2]!) && !isZero(match[3]!)) return match[1];
  }
  return undefined;
}

/** A span of its own in the parent's trace, or the first of a new one. */
export function childTrace(parent: string | undefined, random: Random): string {
  const bytes = new Uint8Array(24);
  random.fill(bytes);
  const hex = Buffer.from(bytes).toString("hex");
  const trace = parent?.slice(3, 35) ?? hex.slice(0, 32);
  return `00-${trace}-${hex.slice(32)}-${parent?.slice(53) ?? "01"}`;
}

/** What log lines say of it. */
export function traceId(traceparent: string): string {
  return traceparent.slice(3, 35);
}
