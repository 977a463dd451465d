// Builds the kernels (AssemblyScript) and the code (TypeScript) into dist/.
// With --if-missing it does nothing when a build is there: `npm start` on a fresh checkout builds, later starts do not wait.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const built = ["dist/kernels.wasm", "dist/src/main.js"].every((file) => existsSync(`${root}${file}`));
if (process.argv.includes("--if-missing") && built) process.exit(0);
mkdirSync(`${root}dist`, { recursive: true });

function run(...command) {
  const [tool, ...args] = command;
  const done = spawnSync(process.execPath, [`${root}node_modules/${tool}`, ...args], {
    cwd: root,
    stdio: "inherit",
  });
  if (done.status !== 0) process.exit(done.status ?? 1);
}
run("assemblyscript/bin/asc.js", "--target", "release", "--config", "asconfig.json");
run("typescript/bin/tsc", "-p", "tsconfig.build.json");
