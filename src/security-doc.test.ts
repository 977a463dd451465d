/** docs/security.md says which tests cover a threat: they are there, under the names it gives them, and no threat is without. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(`${root}docs/security.md`, "utf8");

interface Row {
  readonly id: string;
  readonly tests: readonly { readonly file: string; readonly name: string | undefined }[];
  readonly missing: string;
}

/** Rows of a section's table; the last two cells are tests and what is not there. */
function rowsOf(section: string): Row[] {
  const text = page.slice(page.indexOf(`\n## ${section}\n`)).split("\n## ")[1]!;
  return text
    .split("\n")
    .filter((line) => /^\| [a-zA-Z]+-?\w* \|/.test(line) && !line.startsWith("| Id |"))
    .map((line) => {
      const cells = line.split(" |").map((cell) => cell.replace(/^\|? /, ""));
      const [tests, missing] = cells.slice(-3, -1);
      const named = tests!
        .split("<br>")
        .map((one) => /^`([^`]+)`(?: \*(.+)\*)?$/.exec(one.trim()))
        .filter((one) => one !== null)
        .map(([, file, name]) => ({ file: file!, name }));
      return { id: cells[0]!, tests: named, missing: missing!.trim() };
    });
}

/** Why the test is not one; undefined: it is. */
function problemOf(file: string, name: string | undefined): string | undefined {
  if (!existsSync(root + file)) return `${file} is not there`;
  if (name === undefined) return undefined;
  const text = readFileSync(root + file, "utf8");
  const quoted = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  // Suites of real processes have their cases as data.
  const isNamed = file.endsWith(".test.ts")
    ? new RegExp(`\\b(it|test|describe)\\b[^"'\`\\n]*\\n?[^"'\`\\n]*(["'\`])${quoted}\\2`).test(text)
    : text.includes(`"${name}"`);
  return isNamed ? undefined : `${file} has no test "${name}"`;
}

const threats = rowsOf("Threats");
const requirements = rowsOf("Requirements");

describe("docs/security.md", () => {
  it("names tests that are there", () => {
    const problems = [...threats, ...requirements].flatMap(({ id, tests }) =>
      tests.map(({ file, name }) => ({ id, problem: problemOf(file, name) })),
    );
    expect(problems.filter(({ problem }) => problem !== undefined)).toEqual([]);
    expect(problems.length).toBeGreaterThan(80);
  });

  it("has a test for each threat", () => {
    expect(threats.length).toBeGreaterThanOrEqual(10);
    expect(threats.filter(({ tests }) => tests.length === 0)).toEqual([]);
  });

  it("goes through all requirements, and says which are not met yet", () => {
    expect(requirements.map(({ id }) => id)).toEqual(Array.from({ length: 32 }, (_, at) => `THR-${at + 1}`));
    for (const { id, tests, missing } of requirements)
      expect([id, tests.length > 0 || missing.startsWith("not there yet")]).toEqual([id, true]);
  });

  it("is checked by something that sees what is wrong", () => {
    expect(problemOf("src/nobody.test.ts", undefined)).toBe("src/nobody.test.ts is not there");
    expect(problemOf("src/session/audit.test.ts", "keeps no secre")).toContain("has no test");
    expect(problemOf("src/session/audit.test.ts", "keeps no secret")).toBeUndefined();
  });
});
