// Builds into dist/: the kernels (AssemblyScript), the code (TypeScript), and the program as one file with its code cache
// (docs/decisions/one-file-program.md), which scripts/scratchbird.cjs runs.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
mkdirSync(`${root}dist`, { recursive: true });

function run(args, options = {}) {
  const done = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit", ...options });
  if (done.status !== 0) process.exit(done.status ?? 1);
}
run([`${root}node_modules/assemblyscript/bin/asc.js`, "--target", "release", "--config", "asconfig.json"]);
run([`${root}node_modules/typescript/bin/tsc`, "-p", "tsconfig.build.json"]);

await build({
  entryPoints: [`${root}dist/src/main.js`],
  outfile: `${root}dist/scratchbird.cjs`,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  // Names and lines stay: stacks in the log are to be read.
  legalComments: "none",
  banner: { js: 'const programUrl = require("node:url").pathToFileURL(__filename).href;' },
  define: { "import.meta.url": "programUrl" },
  logLevel: "warning",
});
// A first run on a folder of its own leaves behind what V8 compiled for it.
rmSync(`${root}dist/scratchbird.cache`, { force: true });
const folder = mkdtempSync(join(tmpdir(), "scratchbird-build-"));
try {
  run(
    [
      `${root}scripts/scratchbird.cjs`,
      "init",
      "--data",
      join(folder, "data"),
      "--port",
      "0",
      "--log-level",
      "error",
    ],
    {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, SCRATCHBIRD_WRITE_CODE_CACHE: "1", SCRATCHBIRD_PASSWORD: "build" },
    },
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
