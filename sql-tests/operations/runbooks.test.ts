/**
 * The pages of docs/operations, executed as written: each command in its order, each answer compared. Only the ports are
 * moved to free ones. CI runs two of them; SCRATCHBIRD_RUNBOOKS=all runs them all (.ci/nightly).
 *
 * Needs the built program (dist/); skips with a reason where there is none.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const pages = join(root, "docs/operations");
const program = join(root, "scripts/scratchbird.cjs");
const isBuilt = existsSync(join(root, "dist/scratchbird.cjs"));
const all = process.env["SCRATCHBIRD_RUNBOOKS"] === "all";

interface Block {
  readonly commands: readonly string[];
  readonly output: string | undefined;
}

/** The sh blocks of a page; an output block belongs to the sh block before it. */
function blocksOf(page: string): Block[] {
  const text = readFileSync(join(pages, page), "utf8");
  const blocks: Block[] = [];
  for (const [, kind, body] of text.matchAll(/```(sh|output)\n([\s\S]*?)```/g)) {
    if (kind === "sh") blocks.push({ commands: body!.trim().split("\n"), output: undefined });
    else blocks.push({ ...blocks.pop()!, output: body!.trim() });
  }
  return blocks;
}

async function freeBase(): Promise<number> {
  for (;;) {
    const base = 20_000 + Math.floor(Math.random() * 200) * 50;
    const free = await Promise.all(
      Array.from({ length: 32 }, (_, at) => base + at).map(
        (port) =>
          new Promise<boolean>((done) => {
            const server = net.createServer();
            server.once("error", () => done(false));
            server.listen({ host: "127.0.0.1", port }, () => server.close(() => done(true)));
          }),
      ),
    );
    if (free.every((one) => one)) return base;
  }
}

class Desk {
  readonly folder = mkdtempSync(join(tmpdir(), "runbook-"));
  readonly #background: ChildProcess[] = [];
  readonly #environment: NodeJS.ProcessEnv;
  log = "";

  constructor(readonly base: number) {
    const bin = join(this.folder, "bin");
    mkdirSync(bin);
    writeFileSync(join(bin, "scratchbird"), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
    chmodSync(join(bin, "scratchbird"), 0o755);
    this.#environment = {
      PATH: `${bin}:${process.env["PATH"]}`,
      HOME: this.folder,
      SCRATCHBIRD_PASSWORD: "secret",
      SCRATCHBIRD_BUFFER_POOL: "32MB",
    };
  }

  /** 5433..5439 and so on to free ports. */
  #moved(command: string): string {
    const kinds: Readonly<Record<string, number>> = { "543": 0, "843": 8, "743": 16, "643": 24 };
    const moved = command.replace(/\b(543|843|743|643)(\d)\b/g, (_, kind: string, digit: string) =>
      String(this.base + kinds[kind]! + Number(digit) - 3),
    );
    const port = (kind: string): number => this.base + kinds[kind]!;
    return moved.includes("--nodes")
      ? moved.replace(
          "--nodes",
          `--port ${port("543")} --http-port ${port("843")} --rpc-port ${port("743")} --control-port ${port("643")} --nodes`,
        )
      : moved;
  }

  async run(command: string): Promise<string> {
    const line = this.#moved(command);
    this.log += `$ ${line}\n`;
    if (line.startsWith("export ")) return "";
    if (line.endsWith("&")) {
      await this.#start(line.slice(0, -1));
      return "";
    }
    try {
      return execFileSync("bash", ["-c", line], {
        cwd: this.folder,
        env: this.#environment,
        encoding: "utf8",
        timeout: 30_000,
      });
    } catch (error) {
      throw new Error(`${line}\n${(error as { stderr?: string }).stderr ?? ""}\n${this.log}`);
    }
  }

  /** Until as many ready lines were printed as nodes are started. */
  #start(line: string): Promise<void> {
    const wanted = Number(/--nodes (\d+)/.exec(line)?.[1] ?? 1);
    const child = spawn("bash", ["-c", `exec ${line}`], {
      cwd: this.folder,
      env: this.#environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#background.push(child);
    return new Promise((done, failed) => {
      let ready = 0;
      const timer = setTimeout(() => failed(new Error(`not ready: ${line}\n${this.log}`)), 30_000);
      const end = (act: () => void): void => {
        clearTimeout(timer);
        act();
      };
      child.stdout.on("data", (chunk: Buffer) => {
        this.log += chunk.toString();
        ready += chunk.toString().split('"event":"ready"').length - 1;
        if (ready >= wanted) end(done);
      });
      child.stderr.on("data", (chunk: Buffer) => {
        this.log += chunk.toString();
      });
      child.once("exit", (code) => end(() => failed(new Error(`${line} ended with ${code}\n${this.log}`))));
    });
  }

  /** Process of a node, from its ready line. */
  pidOf(node: string): number {
    const ready = this.log
      .split("\n")
      .findLast((line) => line.includes('"event":"ready"') && line.includes(`"${node}"`));
    return (JSON.parse(ready!) as { pid: number }).pid;
  }

  async close(): Promise<void> {
    for (const child of this.#background.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      const force = setTimeout(() => child.kill("SIGKILL"), 20_000);
      await ended;
      clearTimeout(force);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const desks: Desk[] = [];
afterEach(async () => {
  for (const desk of desks.splice(0)) await desk.close();
}, 60_000);

async function deskWithCluster(): Promise<Desk> {
  const desk = new Desk(await freeBase());
  desks.push(desk);
  await desk.run("scratchbird start --nodes 3 --data ./cluster &");
  return desk;
}

async function execute(desk: Desk, page: string): Promise<void> {
  await executeBlocks(desk, page, blocksOf(page));
}

async function executeBlocks(desk: Desk, page: string, blocks: readonly Block[]): Promise<void> {
  for (const { commands, output } of blocks) {
    let said = "";
    for (const command of commands) said = await desk.run(command);
    if (output !== undefined) expect(shown(said), `${page}: ${commands.at(-1)}\n${desk.log}`).toBe(output);
  }
}

/** Answers as the pages show them: cells, without the table's lines. */
function shown(text: string): string {
  return text
    .split("\n")
    .filter(
      (line) => line.trim() !== "" && !/^[-+]+$/.test(line.trim()) && !/^\(\d+ rows?\)$/.test(line.trim()),
    )
    .map((line) =>
      line
        .split("|")
        .map((cell) => cell.trim())
        .join(" | "),
    )
    .slice(/^[A-Z ]+$/.test(text.trim()) ? 0 : 1)
    .join("\n")
    .trim();
}

function kill(desk: Desk, node: string): void {
  process.kill(desk.pidOf(node), "SIGKILL");
}

describe.skipIf(!isBuilt)("docs/operations", () => {
  it("start.md", async () => {
    const desk = new Desk(await freeBase());
    desks.push(desk);
    const blocks = blocksOf("start.md");
    for (const { commands, output } of blocks.slice(0, -1)) {
      let said = "";
      for (const command of commands) said = await desk.run(command);
      if (output !== undefined) expect(shown(said), desk.log).toBe(output);
    }
    kill(desk, "node-2");
    await desk.run(blocks.at(-1)!.commands[0]!);
  }, 90_000);

  it("certificates.md", async () => execute(await deskWithCluster(), "certificates.md"), 90_000);
  it.skipIf(!all)(
    "client-authentication.md",
    async () => execute(await deskWithCluster(), "client-authentication.md"),
    90_000,
  );
  it.skipIf(!all)("join.md", async () => execute(await deskWithCluster(), "join.md"), 90_000);
  it.skipIf(!all)("audit.md", async () => execute(await deskWithCluster(), "audit.md"), 90_000);
  it.skipIf(!all)(
    "security-bundle.md",
    async () => execute(await deskWithCluster(), "security-bundle.md"),
    90_000,
  );
  it.skipIf(!all)(
    "ca-key.md",
    async () => {
      const desk = await deskWithCluster();
      const [shares, ...rest] = blocksOf("ca-key.md");
      await executeBlocks(desk, "ca-key.md", [shares!]);
      kill(desk, "node-1");
      const lost = rest.findIndex(({ commands }) => commands.some((one) => one.includes("ON NODE")));
      await executeBlocks(desk, "ca-key.md", rest.slice(0, lost));
    },
    90_000,
  );
  it.skipIf(!all)(
    "ca-key.md, without shares",
    async () => {
      const desk = await deskWithCluster();
      rmSync(resolve(desk.folder, "cluster/node-1/ca"), { recursive: true });
      const blocks = blocksOf("ca-key.md");
      const lost = blocks.findIndex(({ commands }) => commands.some((one) => one.includes("ON NODE")));
      await executeBlocks(desk, "ca-key.md", blocks.slice(lost));
    },
    90_000,
  );
  it.skipIf(!all)(
    "left-behind.md",
    async () => {
      const desk = await deskWithCluster();
      await desk.run(
        `scratchbird sql postgres://admin:secret@127.0.0.1:5433/scratchbird -c "ALTER CLUSTER SET membership.failure_timeout = '5s'"`,
      );
      kill(desk, "node-3");
      await execute(desk, "left-behind.md");
    },
    120_000,
  );
  it.skipIf(!all)(
    "ca-compromised.md",
    async () => execute(await deskWithCluster(), "ca-compromised.md"),
    90_000,
  );
  it.skipIf(!all)("remove.md", async () => execute(await deskWithCluster(), "remove.md"), 90_000);
  it.skipIf(!all)(
    "replace.md",
    async () => {
      const desk = await deskWithCluster();
      kill(desk, "node-3");
      rmSync(resolve(desk.folder, "cluster/node-3"), { recursive: true });
      await execute(desk, "replace.md");
    },
    90_000,
  );
  it.skipIf(!all)(
    "lose-quorum.md",
    async () => {
      const desk = await deskWithCluster();
      kill(desk, "node-2");
      kill(desk, "node-3");
      await new Promise((done) => setTimeout(done, 6_000));
      await execute(desk, "lose-quorum.md");
    },
    90_000,
  );
});
