#!/usr/bin/env node
// The executable. On a checkout that was never built it builds first.
const { existsSync } = require("node:fs");
const { join } = require("node:path");
const { hideSecrets } = require("./hide-secrets.cjs");
const { launch, programOf } = require("./launch.cjs");

hideSecrets();

if (!existsSync(programOf("scratchbird"))) {
  const { spawnSync } = require("node:child_process");
  const { status } = spawnSync(process.execPath, [join(__dirname, "build.mjs")], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
launch("scratchbird");
