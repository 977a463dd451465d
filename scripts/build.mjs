// Builds into dist/: the kernels (AssemblyScript), the code (TypeScript), and the two programs, node and control worker, each as
// one file with its code cache (docs/decisions/one-file-program.md), which scripts/scratchbird.cjs and control.cjs run.
import { spawn, spawnSync } from "node:child_process";
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

const programs = { scratchbird: "main", control: "control" };
const bundle = (name) => ({
  entryPoints: [`${root}dist/src/${programs[name]}.js`],
  outfile: `${root}dist/${name}.cjs`,
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
for (const name of Object.keys(programs)) await build(bundle(name));
// A first run, on a folder of its own, leaves behind what V8 compiled for it: a start up to its ready line, and an orderly stop.
for (const name of Object.keys(programs)) rmSync(`${root}dist/${name}.cache`, { force: true });
const folder = mkdtempSync(join(tmpdir(), "scratchbird-build-"));
try {
  const ports = ["--port", "--http-port", "--rpc-port", "--control-port"].flatMap((flag) => [flag, "0"]);
  const node = spawn(
    process.execPath,
    [
      `${root}scripts/scratchbird.cjs`,
      "start",
      "--data",
      join(folder, "data"),
      ...ports,
      "--log-level",
      "error",
      "--buffer-pool",
      "16MB",
    ],
    {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, SCRATCHBIRD_WRITE_CODE_CACHE: "1", SCRATCHBIRD_PASSWORD: "build" },
    },
  );
  const tooLong = setTimeout(() => node.kill("SIGKILL"), 60_000);
  node.stdout.on("data", (chunk) => {
    // A little later, so that what runs just behind the ready line is there too.
    if (chunk.includes('"ready"')) setTimeout(() => node.kill("SIGTERM"), 300);
  });
  const code = await new Promise((resolve) => node.on("exit", resolve));
  clearTimeout(tooLong);
  if (code !== 0) process.exit(code ?? 1);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
