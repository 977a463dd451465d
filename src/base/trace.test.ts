import { expect, test } from "vitest";
import { traceId, traceparent, traceparentOf } from "./trace.js";

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

test("text that is made to be searched for long is not", () => {
  // With its square it would take minutes, and the test no end in time.
  for (const part of ["/*x", "--x\n", "--x\n/*y*/", "traceparent /*x", "traceparent=' "])
    expect(traceparentOf(`SELECT 'traceparent ${part.repeat(300_000)}'`)).toBeUndefined();
  expect(traceparentOf(`/*a*/ -- b /* c\n SELECT 1 /*traceparent='${parent}'*/`)).toBe(parent);
});

test("what is set is taken whole", () => {
  expect(traceparent(parent)).toBe(parent);
  expect(traceparent(`${parent} `)).toBeUndefined();
  expect(traceparent(parent.replace("00-", "01-"))).toBeUndefined();
  expect(traceparent("")).toBeUndefined();
  expect(traceId(parent)).toBe("0af7651916cd43dd8448eb211c80319c");
});
