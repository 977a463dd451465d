import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "sql-tests/**/*.test.ts"],
    // Seeded and property tests are bounded by their own counts; the limit only ends one that hangs.
    testTimeout: 120_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    reporters: ["default", ["json", { outputFile: "dist/test-results.json" }]],
  },
});
