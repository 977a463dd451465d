/** Golden scripts against the whole node: every statement's output is the one that PostgreSQL 15 recorded. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openGoldenNode } from "./golden/node.js";
import { parseScript, printScript, runScript } from "./golden/runner.js";

const folder = fileURLToPath(new URL("./golden/", import.meta.url));
const only = process.env.GOLDEN;
const scripts = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".sql") && (only === undefined || name.includes(only)))
  .sort();

describe("golden scripts", () => {
  test("there are scripts", () => expect(scripts.length).toBeGreaterThan(0));

  test.each(scripts)("%s", async (name) => {
    const text = readFileSync(`${folder}${name}`, "utf8");
    const records = parseScript(text);
    expect(printScript(records)).toBe(text);
    const node = await openGoldenNode(1);
    try {
      const outputs = await runScript(records, node);
      const ours = records.map((record, at) =>
        record.open ? record : { ...record, expected: outputs[at]! },
      );
      expect(printScript(ours)).toBe(text);
      // What works is not open any more.
      const closed = records.filter(
        ({ open, expected }, at) => open && outputs[at]!.join("\n") === expected.join("\n"),
      );
      expect(closed.map(({ line, sql }) => `${line}: ${sql}`)).toEqual([]);
    } finally {
      await node.close();
    }
  });
});
