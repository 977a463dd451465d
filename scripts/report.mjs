// Reads the last test run (dist/test-results.json) and says it in two ways: on standard output the plain closing line
// `N passed, N failed, N skipped`; with --readme the table "What works today" of README.md, made from the tests' own
// names and counts, so that the page claims nothing that no test showed.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const report = JSON.parse(readFileSync(`${root}dist/test-results.json`, "utf8"));
const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = report;

/** What a folder's tests speak of. */
const areas = [
  ["Storage: pages, journal, recovery, B+tree, simulated disks", /src\/(storage|sim|platform|wasm)\//],
  ["Transactions: versions, snapshots, locks, serializability, collection", /src\/mga\//],
  ["SQL: grammar, types, functions, binding, planning, EXPLAIN", /src\/(sql|model|base)\//],
  ["Execution: joins, sorts, aggregates, writes, constraints, spilling, kernels", /src\/exec\//],
  ["Sessions, catalog, settings, COPY, roles", /src\/(session|cluster|shard)\//],
  [
    "Postgres wire, TLS, SCRAM, command line, configuration",
    /src\/(pgwire|security|cli|observe)\/|src\/(config|identity|main)\./,
  ],
  ["Whole node: crash images, kill -9, histories, limits", /sql-tests\//],
  ["The house: layers and banned calls", /src\/tidy\./],
];

if (process.argv.includes("--readme")) {
  const rows = areas.map(([area, pattern]) => {
    const files = report.testResults.filter((file) => pattern.test(file.name));
    const tests = files.flatMap((file) => file.assertionResults);
    const count = (status) => tests.filter((test) => test.status === status).length;
    return `| ${area} | ${count("passed")} | ${count("failed")} |`;
  });
  const table = ["| Area | tests passed | failed |", "|---|---|---|", ...rows].join("\n");
  const readme = readFileSync(`${root}README.md`, "utf8");
  const marked = /(<!-- tests -->\n)[\s\S]*?(<!-- \/tests -->)/;
  if (!marked.test(readme)) throw new Error("README.md has no place for the table");
  writeFileSync(`${root}README.md`, readme.replace(marked, `$1${table}\n$2`));
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 ? 1 : 0;
