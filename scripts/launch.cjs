// Runs a built program (dist/NAME.cjs, one file) with the code cache that the build made, so that start neither looks for some
// 700 modules nor compiles them. A cache of another V8 is passed over by V8 itself.
const { existsSync, readFileSync, writeFileSync } = require("node:fs");
const { createRequire, wrap } = require("node:module");
const { join } = require("node:path");
const { Script } = require("node:vm");

const dist = join(__dirname, "..", "dist");

exports.programOf = (name) => join(dist, `${name}.cjs`);

exports.launch = (name) => {
  const program = exports.programOf(name);
  const cache = join(dist, `${name}.cache`);
  const script = new Script(wrap(readFileSync(program, "latin1")), {
    filename: program,
    cachedData: existsSync(cache) ? readFileSync(cache) : undefined,
  });
  // Set by the build alone: what was compiled by the end of this run is what the next start needs.
  if (process.env["SCRATCHBIRD_WRITE_CODE_CACHE"] === "1") {
    process.on("exit", () => writeFileSync(cache, script.createCachedData()));
  }
  const module_ = { exports: {} };
  script.runInThisContext()(module_.exports, createRequire(program), module_, program, dist);
};
