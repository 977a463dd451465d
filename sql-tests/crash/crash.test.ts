/** The crash suites in small: the whole of them is `npm run crash` (docs/testing.md). */
import { describe, expect, it } from "vitest";
import { runImages } from "./images.js";

describe("crash images of a whole node", () => {
  for (const seed of [1, 2]) {
    it(`show what was acknowledged, whole (seed ${seed})`, async () => {
      const report = await runImages({ seed, images: 250, transactions: 60 });
      expect(report.failures).toEqual([]);
      expect(report.images).toBeGreaterThanOrEqual(200);
      // A run in which no COMMIT was ever cut off would prove little.
      expect(report.ahead).toBeGreaterThan(0);
      expect(report.verified).toBeGreaterThan(20);
    }, 60_000);
  }
});
