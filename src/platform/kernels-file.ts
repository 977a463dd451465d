/** Where the built kernels lie: beside the program, above the built code, or in dist/ when the sources are run directly (tests). */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { DbError } from "../base/errors.js";

export function readKernels(): Uint8Array {
  const candidates = ["./kernels.wasm", "../../kernels.wasm", "../../dist/kernels.wasm"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined) {
    throw new DbError("configFileError", "the kernels are not built", { hint: "Run `npm run build`." });
  }
  return readFileSync(found);
}
