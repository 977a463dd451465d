import { expect, test } from "vitest";
import { SimRandom } from "../sim/random.js";
import { childTrace, traceId, traceparentOf } from "./trace.js";

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

test("a traceparent is found in a comment, and only there and whole", () => {
  expect(traceparentOf(`ALTER CLUSTER SET a.b = 1 /*traceparent='${parent}'*/`)).toBe(parent);
  expect(traceparentOf(`-- traceparent=${parent}\nSELECT 1`)).toBe(parent);
  expect(traceparentOf(`SELECT 'traceparent=${parent}'`)).toBeUndefined();
  expect(traceparentOf(`SELECT 1 /*traceparent='${parent.replace("0af7", "0AF7")}'*/`)).toBeUndefined();
  expect(
    traceparentOf(`SELECT 1 /*traceparent='00-${"0".repeat(32)}-b7ad6b7169203331-01'*/`),
  ).toBeUndefined();
  expect(traceparentOf("SELECT 1")).toBeUndefined();
});

test("a child keeps the trace and has a span of its own", () => {
  const child = childTrace(parent, new SimRandom(1));
  expect(child).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(traceId(child)).toBe(traceId(parent));
  expect(child).not.toBe(parent);
  const first = childTrace(undefined, new SimRandom(2));
  expect(traceparentOf(`/* traceparent='${first}' */`)).toBe(first);
});
