/** The command line as a process: exit codes and the one line a failing command prints. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "main-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(
      "node",
      ["--import", "tsx", "src/main.ts", ...args],
      { env: { PATH: process.env["PATH"] } },
      (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code), out, err });
      },
    );
  });
}

describe("scratchbird", () => {
  it("says what it can do and why it cannot", async () => {
    writeFileSync(join(folder, "node.json"), '{"format":99}');
    const [version, helped, unknown, option, future, newer, unreachable] = await Promise.all([
      run("version"),
      run("start", "--help"),
      run("strat"),
      run("start", "--prt", "1"),
      run("restore"),
      run("start", "--data", folder),
      run("sql", "postgres://a:b@127.0.0.1:1/x", "-c", "select 1"),
    ]);
    expect(version).toMatchObject({ code: 0, err: "" });
    expect(version.out).toMatch(/^scratchbird \d+\.\d+\.\d+ /);
    expect(helped.out).toContain("--buffer-pool SIZE");
    expect([unknown.code, unknown.err.split("\n")[0]]).toEqual([
      2,
      'scratchbird: unknown command "strat". Did you mean "start"?',
    ]);
    expect([option.code, option.err]).toEqual([
      2,
      'scratchbird: unknown option "--prt". Did you mean "--port"?\n',
    ]);
    expect([future.code, future.err]).toEqual([1, "scratchbird: scratchbird restore is not supported yet\n"]);
    expect([newer.code, newer.err.trim().split("\n")]).toEqual([
      2,
      [
        "scratchbird: node.json has format 99; this version reads up to 2. The data folder was written by a newer version of ScratchBird: start that one",
      ],
    ]);
    expect(unreachable.code).toBe(1);
    expect(unreachable.err).toMatch(/^scratchbird: no connection to 127\.0\.0\.1:1: .*scratchbird start\n$/);
  }, 20_000);
});
