/**
 * Runs a shared suite against a node of its own: `npm run slt [-- FILES]`, `npm run probes [-- OPTIONS]`. The suites lie
 * beside the project and are not part of it: without them the run is skipped, and says so.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { projectRoot, run, startServer } from "./server.js";

const suites: Readonly<
  Record<string, { readonly folder: string; readonly runner: string; readonly files: readonly string[] }>
> = {
  slt: { folder: "../shared/sqllogictest", runner: "run-slt.mjs", files: ["."] },
  probes: { folder: "../shared/pgprobes", runner: "run-pgprobes.mjs", files: [] },
};

const [name = "slt", ...rest] = process.argv.slice(2);
const suite = suites[name];
if (suite === undefined) throw new Error(`unknown suite ${name}`);
const folder = join(projectRoot, suite.folder);
if (!existsSync(join(folder, suite.runner))) {
  console.log(`skipped: ${suite.folder} is not there`);
} else {
  const server = await startServer();
  try {
    const files = rest.some((argument) => !argument.startsWith("-"))
      ? []
      : suite.files.map((file) => join(folder, file));
    const given = rest.map((argument) =>
      existsSync(join(folder, argument)) ? join(folder, argument) : argument,
    );
    process.exitCode = await run(
      process.execPath,
      [join(folder, suite.runner), "--url", server.url, ...given, ...files],
      { NODE_PATH: join(projectRoot, "node_modules") },
    );
  } finally {
    await server.stop();
    server.remove();
  }
}
