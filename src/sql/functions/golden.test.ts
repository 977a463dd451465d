/**
 * Every expression of golden.txt gives what PostgreSQL 15 gave when the file was recorded (scripts/function-golden.mjs):
 * the same type and text, or the same SQLSTATE and message. Known differences are listed one by one, with the reason.
 */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { DbError } from "../../base/errors.js";
import { type Expression, evaluate, render, testContext } from "./evaluate.test-helper.js";

/** Expressions (as in the file) whose difference is meant. */
const accepted = new Set<string>([
  // The recorded cube roots are one off in the last place; ours are the nearest doubles.
  '["fn","cbrt",["float8","1.5"]]',
  '["fn","cbrt",["float8","-1.5"]]',
  '["fn","cbrt",["float8","99999.5"]]',
  '["op","||/",["float8","27"]]',
]);

const lines = readFileSync(new URL("./golden.txt", import.meta.url), "utf8")
  .trim()
  .split("\n");
const context = testContext();

function answer(expression: Expression): string {
  try {
    return render(evaluate(expression, context), context).replaceAll("\n", "\x1f");
  } catch (error) {
    if (error instanceof DbError) return `!${error.sqlstate}\t${error.message}`.replaceAll("\n", "\x1f");
    if (error instanceof Error && "sqlstate" in error) return `!${String(error.sqlstate)}\t${error.message}`;
    throw error;
  }
}

it("answers as PostgreSQL does", () => {
  const wrong: string[] = [];
  for (const line of lines) {
    const at = line.indexOf("\t");
    const text = line.slice(0, at);
    const wanted = line.slice(at + 1);
    let got: string;
    try {
      got = answer(JSON.parse(text) as Expression);
    } catch (error) {
      got = `threw ${String(error)}`;
    }
    if (got !== wanted && !accepted.has(text)) wrong.push(`${text}\n  wanted ${wanted}\n  got    ${got}`);
  }
  expect(wrong.slice(0, 50), `${wrong.length} of ${lines.length} differ`).toEqual([]);
});
