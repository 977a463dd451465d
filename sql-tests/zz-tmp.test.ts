import { readFileSync, writeFileSync } from "node:fs";
import { test } from "vitest";
import { openGoldenNode } from "./golden/node.js";
import { parseScript, printScript, runScript } from "./golden/runner.js";
test("fill", async () => {
  const path = process.env.FILL!;
  const records = parseScript(readFileSync(path, "utf8"));
  const node = await openGoldenNode(1);
  const outputs = await runScript(records, node);
  await node.close();
  writeFileSync(path, printScript(records.map((r, at) => ({ ...r, expected: outputs[at]! }))));
});
