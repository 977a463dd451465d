/**
 * Kernels for tests: compiles assembly/ when dist/kernels.wasm is missing or older than its sources, so that a test
 * never runs yesterday's kernels. Not part of the node.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let level = 0; level < 6; level++) {
    if (statSync(join(folder, "asconfig.json"), { throwIfNoEntry: false }) !== undefined) return folder;
    folder = dirname(folder);
  }
  throw new Error("asconfig.json not found above src/wasm");
}

/** The module's bytes, built first when needed (about 2 s). Test files may do so at the same time. */
export function kernelBytes(): Uint8Array {
  const root = projectRoot();
  const built = join(root, "dist", "kernels.wasm");
  const sources = readdirSync(join(root, "assembly")).map((name) => join(root, "assembly", name));
  const newest = Math.max(...sources.map((path) => statSync(path).mtimeMs));
  const current = statSync(built, { throwIfNoEntry: false });
  if (current !== undefined && current.mtimeMs >= newest) return readFileSync(built);
  mkdirSync(join(root, "dist"), { recursive: true });
  const own = join("dist", `kernels-${process.pid}`);
  const done = spawnSync(
    process.execPath,
    [
      "node_modules/assemblyscript/bin/asc.js",
      ...["--target", "release", "--config", "asconfig.json"],
      ...["--outFile", `${own}.wasm`, "--textFile", `${own}.wat`],
    ],
    { cwd: root, encoding: "utf8" },
  );
  if (done.status !== 0) throw new Error(`the kernels do not compile:\n${done.stderr}`);
  for (const suffix of [".wat", ".js", ".d.ts"]) rmSync(join(root, own + suffix), { force: true });
  renameSync(join(root, `${own}.wasm`), built);
  return readFileSync(built);
}
