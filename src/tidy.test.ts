/**
 * The house rules that a machine can check: who may import whom, and what may be called where (docs/architecture.md).
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Tier by folder; files directly in src/ are the top. */
const tiers: Readonly<Record<string, number>> = {
  base: 0,
  model: 1,
  platform: 1,
  observe: 1,
  wasm: 1,
  storage: 2,
  raft: 2,
  rpc: 2,
  security: 2,
  audit: 2,
  sql: 2,
  mga: 3,
  cluster: 3,
  exec: 4,
  replication: 4,
  shard: 5,
  query: 6,
  ops: 6,
  session: 7,
  pgwire: 8,
  admin: 8,
  cli: 8,
};
const top = 9;

/** What a folder may import of its own tier or through a file that is not its index, and why. */
const allowed: readonly (readonly [from: RegExp, to: RegExp, why: string])[] = [
  [/./, /^src\/(base|model)\//, "vocabularies: their files are imported directly"],
  [/./, /^src\/[a-z]+\/contract\.js$/, "contracts say what a folder offers, without its code"],
  [
    /./,
    /^src\/sql\/(ast|expr|plan|parse|fingerprint)\.js$/,
    "the language between parser, planner and executor",
  ],
  [/./, /^src\/security\/(privileges|row-security)\.js$/, "pure functions of a catalog"],
  [/^src\/sql\//, /^grammar\/index\.js$/, "the grammar belongs to the parser"],
  [/^grammar\//, /^src\/sql\/ast\.js$/, "rules return tree nodes and know nothing else"],
  [
    /^src\/(mga|exec)\//,
    /^src\/storage\/(btree|heap|table-space|layouts|kernels)\.js$/,
    "page formats are used by the engine above them",
  ],
  [/^src\/storage\//, /^src\/wasm\//, "frames lie in the kernels' memory"],
  [/^src\/(mga|exec)\//, /^src\/wasm\/memory\.js$/, "the one memory"],
  [/^src\/wasm\/memory\.ts/, /^src\/storage\/contract\.js$/, "types of the pool's views"],
  [/^src\/(session|shard)\//, /^src\/sql\/functions\//, "the function table"],
  [/./, /^src\/session\/(settings|settings-table)\.js$/, "the settings table"],
  [/^src\/session\//, /^src\/cluster\/settings\.js$/, "the table of cluster settings"],
  [/^src\/(node|main|control|control-host|supervisor|join)\.ts/, /^src\/(platform|cli)\//, "wiring"],
  [/^src\/cli\//, /^src\/platform\/dial\.js$/, "the client's own door"],
];

const bannedOutsidePlatform =
  /\b(Date\.now|new Date\(\)|Math\.random|setTimeout|setInterval|setImmediate|process\.(env|exit|pid|hrtime|memoryUsage))\b/;
const bannedModules = /^node:(fs|net|tls|http|https|child_process|worker_threads|os|process)/;
/** Files that are the process's door: the command line and the host platform. */
const doors = [/^src\/platform\//, /^src\/(main|control|supervisor)\.ts$/, /^src\/cli\//, /^src\/sim\//];

function sources(folder: string): string[] {
  return readdirSync(join(root, folder)).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(join(root, path)).isDirectory()) return name === "testdata" ? [] : sources(path);
    return path.endsWith(".ts") &&
      !path.endsWith(".test.ts") &&
      !path.endsWith(".d.ts") &&
      !path.endsWith("testing.ts")
      ? [path]
      : [];
  });
}

const files = [...sources("src"), ...sources("grammar")];

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  return [
    ...text.matchAll(/(?:^|\n)\s*(?:import|export)\b[^;"']*?from\s+"([^"]+)"/g),
    ...text.matchAll(/import\("([^"]+)"\)/g),
  ].map((match) => match[1]!);
}

const folderOf = (path: string): string | undefined => /^src\/([a-z]+)\//.exec(path)?.[1];

describe("the house", () => {
  it("imports go downwards, and into another folder only through its index", () => {
    const broken: string[] = [];
    for (const file of files) {
      const from = folderOf(file);
      if (from === "sim") continue;
      const tier = from === undefined ? top : (tiers[from] ?? -1);
      if (tier < 0) broken.push(`${file}: folder ${from} has no tier`);
      for (const specifier of importsOf(file)) {
        if (!specifier.startsWith(".")) continue;
        const target = relative(root, resolve(root, dirname(file), specifier));
        const to = folderOf(target);
        if (to === from || allowed.some(([a, b]) => a.test(file) && b.test(target))) continue;
        const targetTier = to === undefined ? top : (tiers[to] ?? -1);
        if (targetTier > tier || (targetTier === tier && tier !== 1 && tier !== top))
          broken.push(`${file} imports upwards: ${target}`);
        else if (!target.endsWith("/index.js") && to !== undefined)
          broken.push(`${file} reaches into ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });

  it("asks the host for nothing outside platform/", () => {
    const broken: string[] = [];
    for (const file of files) {
      if (doors.some((door) => door.test(file))) continue;
      const text = readFileSync(join(root, file), "utf8");
      for (const specifier of importsOf(file))
        if (bannedModules.test(specifier)) broken.push(`${file} imports ${specifier}`);
      text.split("\n").forEach((line, at) => {
        const code = line
          .replace(/\/\/.*$/, "")
          .replace(/^\s*\*.*$/, "")
          .replace(/"(?:[^"\\]|\\.)*"|`[^`]*`|'(?:[^'\\]|\\.)*'/g, '""');
        if (bannedOutsidePlatform.test(code)) broken.push(`${file}:${at + 1}: ${line.trim()}`);
      });
    }
    expect(broken).toEqual([]);
  });

  it("every file opens with what it is for", () => {
    const bare = files.filter((file) => !/^(#![^\n]*\n)?\/\*\*/.test(readFileSync(join(root, file), "utf8")));
    expect(bare).toEqual([]);
  });
});
