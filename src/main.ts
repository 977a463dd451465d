/**
 * Command line: scratchbird start, init, sql, verify, version. Builds the real Platform and hands it to the node; nothing
 * below this file asks the process for anything.
 *
 * Invariants: the ready line is printed once, on standard output, when SQL is accepted; a command that fails prints one line
 * with cause and cure on standard error and exits non-zero (2 for a wrong command line).
 */
import {
  closeSync,
  cpSync,
  createReadStream,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { join as joinPath, resolve } from "node:path";
import { constrainedMemory } from "node:process";
import { DbError, notSupported } from "./base/errors.js";
import { productVersion, serverVersion } from "./base/version.js";
import { runSql, sqlHelp } from "./cli/sql.js";
import type { FromControl } from "./cluster/index.js";
import {
  type Config,
  type ConfigSources,
  loadConfig,
  nearest,
  optionHelp,
  optionTable,
  parseFlags,
} from "./config.js";
import type { ControlWorkerData } from "./control.js";
import { identityPath, parseIdentity, rememberedOptions } from "./identity.js";
import type { NodeDoors } from "./node.js";
import type { OpenNode, ReadyInfo, RunningNode, VerifyNode } from "./node-contract.js";
import { createLog, type Log, type LogLevel } from "./observe/index.js";
import { HostDisk, hostClock, hostRandom } from "./platform/host.js";
import type { Platform } from "./platform/index.js";
import { freePort, HostNetwork } from "./platform/network.js";
import { HostPeerNetwork } from "./platform/peers.js";
import { SharedClocks, startWorker } from "./platform/worker.js";

/** The main thread shows the control worker that it lives. */
const beatMs = 500;
/** A stopped control worker ends by itself within so long. */
const controlGraceMs = 1_000;

const help = `usage: scratchbird COMMAND [OPTIONS]

  start      open or create a node and serve until SIGTERM; --nodes N: a local cluster
  init       create a cluster and exit
  token      print a one-time token for a new node
  join       make a new node, join a cluster with a token, and serve
  rejoin     give a node a certificate again whose own nobody takes any more, with a token, and serve
  sql        run SQL statements
  verify     check every page, index and log of a data folder, offline
  audit      export a node's audit chain, or verify an export
  version    print the version
  restore    not supported yet

--help after a command shows its options.
`;

/** Commands of parts that are not built: refused by name. */
const futureCommands: Readonly<Record<string, string>> = {
  restore: "scratchbird restore",
};

const commands: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  start,
  init,
  token,
  join,
  rejoin,
  sql,
  verify,
  audit,
  version: async () => {
    process.stdout.write(
      `scratchbird ${productVersion} (PostgreSQL protocol 3.0, server_version ${serverVersion})\n`,
    );
    return 0;
  },
};

async function main(args: readonly string[]): Promise<number> {
  const [command = "--help", ...rest] = args;
  if (command === "--help" || command === "-h" || command === "help") {
    process.stdout.write(help);
    return 0;
  }
  if (command === "--version" || command === "-V") return commands["version"]!([]);
  const future = futureCommands[command];
  if (future !== undefined) throw notSupported(future);
  const run = commands[command];
  if (run === undefined) {
    const guess = nearest(command, [...Object.keys(commands), ...Object.keys(futureCommands)]);
    process.stderr.write(
      `scratchbird: unknown command "${command}"${guess === undefined ? "" : `. Did you mean "${guess}"?`}\n${help}`,
    );
    return 2;
  }
  return run(rest);
}

function sources(args: readonly string[]): ConfigSources {
  return {
    args,
    environment: process.env,
    readFile: (path) => readText(path),
    remembered: (dataFolder) => {
      try {
        return rememberedOptions(parseIdentity(readFileSync(resolve(dataFolder, identityPath), "utf8")));
      } catch (error) {
        if (error instanceof DbError) throw error;
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
        throw unreadable(resolve(dataFolder, identityPath), error);
      }
    },
    machineMemoryBytes: Math.min(totalmem(), constrainedMemory() || Number.POSITIVE_INFINITY),
    isTerminal: process.stdout.isTTY === true,
  };
}

function unreadable(path: string, error: unknown): DbError {
  const cause = error instanceof Error ? error.message : String(error);
  return new DbError("configFileError", `cannot read ${path}: ${cause}`, {}, error);
}
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw unreadable(path, error);
  }
}

function platformOf(config: Config): Platform {
  const root = resolve(config.data);
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new DbError("ioError", `cannot create the data folder ${root}: ${(error as Error).message}`, {
      hint: "Choose a folder that can be written with --data DIR.",
    });
  }
  return { clock: hostClock, random: hostRandom, disk: new HostDisk(root), network: new HostNetwork() };
}

function logOf(config: Config): Log {
  return createLog({
    format: config.logFormat,
    level: config.logLevel,
    clock: hostClock,
    source: { node: config.nodeName ?? "node-1", component: "main" },
    write: (line) => process.stderr.write(line),
  });
}

/** The control worker: its own program where this one is built, the source beside this one where it is not. */
function doorsOf(config: Config): NodeDoors {
  const source = import.meta.url.endsWith(".ts");
  const file = source
    ? new URL("./control.ts", import.meta.url)
    : new URL(import.meta.url.endsWith(".cjs") ? "../scripts/control.cjs" : "./control.js", import.meta.url);
  return {
    startControl: (start) => {
      const clocks = new SharedClocks();
      clocks.beat();
      const data: ControlWorkerData = {
        start,
        root: resolve(config.data),
        clocks: clocks.buffer,
        log: { format: config.logFormat as "json" | "pretty", level: config.logLevel as LogLevel },
      };
      const worker = startWorker(file, data);
      const beat = setInterval(() => clocks.beat(), beatMs).unref();
      let handler: (message: FromControl) => void = () => {};
      worker.onMessage((message) => handler(message as FromControl));
      worker.onFailure((error) =>
        handler({
          kind: "fault",
          error: { condition: "ioError", message: `the control worker failed: ${error.message}` },
        }),
      );
      return {
        channel: {
          send: (message) => worker.post(message),
          onMessage: (take) => {
            handler = take;
          },
        },
        close: () => {
          clearInterval(beat);
          return worker.end(controlGraceMs);
        },
      };
    },
    rpcNetwork: new HostPeerNetwork(),
  };
}

async function start(args: readonly string[]): Promise<number> {
  if (parseFlags(args).help) {
    process.stdout.write(`usage: scratchbird start [OPTIONS]\n\n${optionHelp(true)}\n`);
    return 0;
  }
  const config = loadConfig(sources(args));
  if (config.nodes > 1) return startMany(config, args);
  return startOne(config);
}

async function startOne(config: Config): Promise<number> {
  const log = logOf(config);
  const platform = platformOf(config);
  const { openNode }: { openNode: OpenNode } = await import("./node.js");
  // Signals during the opening end the process at once: the data folder is crash safe.
  const node = await openNode(config, platform, log, "start", doorsOf(config));
  announce(config, node.ready);
  return serve(node, config, log);
}

/** A local cluster: this process supervises, others serve. */
async function startMany(config: Config, args: readonly string[]): Promise<number> {
  const { superviseCluster } = await import("./supervisor.js");
  const { values } = parseFlags(args);
  const own = ["data", "nodes", "node-name", "host", "port", "http-port", "rpc-port", "control-port"];
  const text = (names: (name: string) => boolean): string[] =>
    [...values]
      .filter(([name]) => names(name))
      .map(([name, value]) =>
        typeof value === "boolean" ? `--${value ? "" : "no-"}${name}` : `--${name}=${value}`,
      );
  const isCreating = (name: string): boolean => "creating" in optionTable[name as keyof typeof optionTable];
  return superviseCluster({
    config,
    data: resolve(config.data),
    command: [process.execPath, ...process.execArgv, process.argv[1]!],
    passed: text((name) => !own.includes(name) && !isCreating(name)),
    creating: text(isCreating),
    print: (line) => process.stdout.write(`${line}\n`),
    printError: (line) => process.stderr.write(`${line}\n`),
  });
}

/** The lines that scripts and people wait for (design/contract.md, "Ready"). */
function announce(config: Config, ready: ReadyInfo): void {
  const { node, pg, http, rpc, adminPassword } = ready;
  if (adminPassword !== undefined) {
    const kept = resolve(config.data, "admin-password");
    process.stdout.write(
      config.logFormat === "json"
        ? `${JSON.stringify({ event: "created", user: "admin", password: adminPassword, kept })}\n`
        : `password of the first user, admin: ${adminPassword} (kept in ${kept})\n`,
    );
  }
  const line = { event: "ready", node, pid: process.pid, pg, http, rpc, data: resolve(config.data) };
  process.stdout.write(`${JSON.stringify(line)}\n`);
  if (config.logFormat === "pretty") process.stdout.write(`psql "postgres://admin@${pg}/scratchbird"\n`);
}

/** Serves until a signal; a second one ends the process without waiting. */
function serve(node: RunningNode, config: Config, log: Log): Promise<number> {
  return new Promise((done) => {
    let stopping = false;
    const stop = (signal: string) => {
      if (stopping) {
        log.warn("second signal: ending at once", { signal });
        process.exit(1);
      }
      stopping = true;
      log.info("stopping", { signal, statementsHaveMs: config.stopTimeout });
      node.stop().then(
        () => {
          log.info("stopped");
          done(0);
        },
        (error: unknown) => {
          log.error("stopping failed", { error });
          done(1);
        },
      );
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
    process.on("SIGHUP", () => {}); // a closed terminal does not end a server
    // The supervisor is gone, and with it whoever would stop this node.
    process.on("disconnect", () => stop("SIGTERM"));
    if (process.channel !== undefined && !process.connected) stop("SIGTERM");
    void node.failed?.then((error) => {
      if (stopping) return; // storage that closes is no failure
      log.error("the node has ended itself", { error });
      done(1);
    });
  });
}

async function init(args: readonly string[]): Promise<number> {
  if (parseFlags(args).help) {
    process.stdout.write(`usage: scratchbird init [OPTIONS]\n\n${optionHelp(true)}\n`);
    return 0;
  }
  const config = loadConfig(sources(args));
  if (config.nodes > 1) throw notSupported("init --nodes with more than one node");
  const platform = platformOf(config);
  if (platform.disk.existsSync(identityPath)) {
    throw new DbError("objectInUse", `${resolve(config.data)} holds a node already`, {
      hint: "Start it with: scratchbird start, or choose another folder with --data DIR.",
    });
  }
  const { openNode }: { openNode: OpenNode } = await import("./node.js");
  const node = await openNode(config, platform, logOf(config), "create");
  await node.stop();
  const { adminPassword } = node.ready;
  const kept = resolve(config.data, "admin-password");
  process.stdout.write(
    `created cluster ${config.name} in ${resolve(config.data)}\n${
      adminPassword === undefined
        ? ""
        : `password of the first user, admin: ${adminPassword} (kept in ${kept})\n`
    }`,
  );
  return 0;
}

/** Options of a command beside those of a node: taken out of its arguments. */
function takeOptions(
  args: readonly string[],
  names: readonly string[],
): { values: Map<string, string>; rest: string[] } {
  const values = new Map<string, string>();
  const rest: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const [flag = "", given] = args[at]!.split(/=(.*)/s, 2);
    const name = flag.slice(2);
    if (!flag.startsWith("--") || !names.includes(name)) {
      rest.push(args[at]!);
      continue;
    }
    const value = given ?? args[++at];
    if (value === undefined) throw new DbError("configFileError", `--${name} needs a value`);
    values.set(name, value);
  }
  return { values, rest };
}

async function token(args: readonly string[]): Promise<number> {
  const { help: wanted } = parseFlags(args);
  if (wanted) {
    process.stdout.write(
      "usage: scratchbird token --data DIR\n\nPrints a one-time token, valid for an hour, for: scratchbird join --token T --peer HOST:PORT\n" +
        "The node of DIR must be running. The password of user admin is read from SCRATCHBIRD_PASSWORD or DIR/admin-password.\n",
    );
    return 0;
  }
  const config = loadConfig(sources(args));
  if (readIdentityMissing(config))
    throw new DbError("configFileError", `${resolve(config.data)} holds no node`, {
      hint: "Name the data folder of a running node with --data.",
    });
  const { joinTokens } = await import("./supervisor.js");
  const [made] = await joinTokens(`${config.host}:${config.port}`, resolve(config.data), config, 1);
  process.stdout.write(`${made}\n`);
  return 0;
}

async function join(args: readonly string[]): Promise<number> {
  const { values, rest } = takeOptions(args, ["token", "peer"]);
  if (parseFlags(rest).help) {
    process.stdout.write(
      `usage: scratchbird join --token T --peer HOST:PORT [OPTIONS]\n\n--peer is the control port of a member.\n\n${optionHelp(false)}\n`,
    );
    return 0;
  }
  const config = loadConfig(sources(rest));
  const { joinTokenVariable } = await import("./supervisor.js");
  const [text, peer] = [values.get("token") ?? process.env[joinTokenVariable], values.get("peer")];
  if (text === undefined || peer === undefined)
    throw new DbError("configFileError", "scratchbird join needs --token and --peer", {
      hint: "Make a token with: scratchbird token, or SELECT create_join_token().",
    });
  const { joinCluster } = await import("./join.js");
  const { default: xxhash } = await import("xxhash-wasm");
  const { clock, random, disk } = platformOf(config);
  const network = new HostPeerNetwork();
  await joinCluster({
    config,
    token: text,
    peer,
    clock,
    random,
    disk,
    hash: await xxhash(),
    network,
    freePort: (wanted, insisted) => freePort(config.host, wanted, insisted),
  });
  // What the folder remembers now is as good as given: ports, name.
  return startOne(loadConfig(sources(rest)));
}

async function rejoin(args: readonly string[]): Promise<number> {
  const { values, rest } = takeOptions(args, ["token", "peer"]);
  if (parseFlags(rest).help) {
    process.stdout.write(
      `usage: scratchbird rejoin --token T --peer HOST:PORT --data DIR [OPTIONS]\n\nFor a node that was down while the CA was replaced, or until its certificate had ended. --peer is the control port of a\nmember.\n\n${optionHelp(false)}\n`,
    );
    return 0;
  }
  const config = loadConfig(sources(rest));
  const { joinTokenVariable } = await import("./supervisor.js");
  const [text, peer] = [values.get("token") ?? process.env[joinTokenVariable], values.get("peer")];
  if (text === undefined || peer === undefined)
    throw new DbError("configFileError", "scratchbird rejoin needs --token and --peer", {
      hint: "Make a token with: scratchbird token, or SELECT create_join_token().",
    });
  const { rejoinCluster } = await import("./join.js");
  const { default: xxhash } = await import("xxhash-wasm");
  const { clock, disk } = platformOf(config);
  const network = new HostPeerNetwork();
  await rejoinCluster({ config, token: text, peer, clock, disk, hash: await xxhash(), network });
  return startOne(loadConfig(sources(rest)));
}

async function verify(args: readonly string[]): Promise<number> {
  if (parseFlags(args).help) {
    process.stdout.write(
      "usage: scratchbird verify --data DIR\n\nLists what is wrong and exits with 1, or 0 when nothing is.\n",
    );
    return 0;
  }
  const config = loadConfig(sources(args));
  if (readIdentityMissing(config)) {
    throw new DbError("configFileError", `${resolve(config.data)} holds no node`, {
      hint: "Name the data folder with --data DIR.",
    });
  }
  const node: { verifyNode?: VerifyNode } = await import("./node.js");
  if (node.verifyNode === undefined) throw notSupported("scratchbird verify");
  const findings = await node.verifyNode(config, platformOf(config), logOf(config));
  for (const { file, problem } of findings) process.stdout.write(`${file}: ${problem}\n`);
  process.stdout.write(findings.length === 0 ? "nothing wrong\n" : `${findings.length} problems\n`);
  return findings.length === 0 ? 0 : 1;
}

const auditHelp = `usage: scratchbird audit export FILE --data DIR
       scratchbird audit verify FILE [--cluster UUID] [--node UUID] [--checkpoint HASH] [--key KEY]

export     write the audit chain of DIR's node into FILE, with the keys and checkpoints that its cluster knows of it;
           nothing in DIR is changed, and the node may run meanwhile
verify     verify such a file, with nothing but the file: exits with 1 and names the first fault, or 0

  --cluster UUID, --node UUID    whose chain it must be
  --checkpoint HASH              merkle root, or last hash, of a checkpoint that must be in it, known from elsewhere
  --key KEY                      the only key that counts: base64, or SHA-256 of its certificate
`;

async function audit(args: readonly string[]): Promise<number> {
  if (args.length === 0 || args.includes("--help") || args.includes("-h")) {
    process.stdout.write(auditHelp);
    return 0;
  }
  const [what, file, ...more] = args;
  if ((what !== "export" && what !== "verify") || file === undefined || file.startsWith("--"))
    throw new DbError("configFileError", "scratchbird audit export FILE, or scratchbird audit verify FILE", {
      hint: "See scratchbird audit --help.",
    });
  return what === "export" ? auditExport(file, more) : auditVerify(file, more);
}

async function auditExport(file: string, args: readonly string[]): Promise<number> {
  const config = loadConfig(sources(args));
  const root = resolve(config.data);
  if (readIdentityMissing(config))
    throw new DbError("configFileError", `${root} holds no node`, {
      hint: "Name the data folder with --data DIR.",
    });
  // The log of a node that runs is not to be opened: what is read is a copy.
  const copy = mkdtempSync(joinPath(tmpdir(), "scratchbird-audit-"));
  try {
    cpSync(joinPath(root, "raft"), joinPath(copy, "raft"), { recursive: true });
    const { readAudit } = await import("./node.js");
    const parts = await readAudit(new HostDisk(root), new HostDisk(copy));
    const out = openSync(file, "w", 0o600);
    try {
      for (const text of parts) writeSync(out, text);
      fsyncSync(out);
    } finally {
      closeSync(out);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  return 0;
}

async function auditVerify(file: string, args: readonly string[]): Promise<number> {
  const { ExportVerifier } = await import("./cli/audit-verify.js");
  const { values, rest: unknown } = takeOptions(args, ["cluster", "node", "checkpoint", "key"]);
  if (unknown.length > 0) throw new DbError("configFileError", `unknown option "${unknown[0]}"`);
  const verifier = new ExportVerifier({
    cluster: values.get("cluster"),
    node: values.get("node"),
    checkpoint: values.get("checkpoint"),
    key: values.get("key"),
  });
  // Whole lines at a time: a chain may be larger than memory.
  let rest = "";
  for await (const piece of createReadStream(file, { encoding: "utf8", highWaterMark: 1 << 20 })) {
    const text = rest + (piece as string);
    const end = text.lastIndexOf("\n") + 1;
    verifier.text(text.slice(0, end));
    rest = text.slice(end);
    if (verifier.failed) break;
  }
  if (rest !== "") verifier.text(rest);
  const { fault, cluster, node, events, signed, checkpoints } = verifier.end();
  process.stdout.write(
    `cluster ${cluster}\nnode ${node}\nevents ${events}\nsigned ${signed}\ncheckpoints ${checkpoints}\n`,
  );
  process.stdout.write(
    fault === undefined
      ? "the chain is whole\n"
      : `event ${fault.sequence}: ${fault.kind}: ${fault.reason}\n`,
  );
  return fault === undefined ? 0 : 1;
}

function readIdentityMissing(config: Config): boolean {
  return !new HostDisk(resolve(config.data)).existsSync(identityPath);
}

async function sql(args: readonly string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(sqlHelp);
    return 0;
  }
  return runSql(args, {
    random: hostRandom,
    environment: process.env,
    readFile: readText,
    print: (text) => process.stdout.write(text),
    printError: (text) => process.stderr.write(text),
    input: process.stdin,
    isTerminal: process.stdin.isTTY === true,
  });
}

/** What went wrong and what to do, in one line. */
function oneLine(error: unknown): string {
  if (error instanceof DbError) {
    const { detail, hint } = error.fields;
    return [error.message, detail, hint]
      .filter((part) => part !== undefined && part !== "")
      .map((part) => part!.replace(/[.\s]+$/, ""))
      .join(". ");
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

// Whoever reads our output may go away first.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => {
    // A broken invariant: what is on disk is consistent, so the safe thing is to end at once.
    process.stderr.write(
      `scratchbird: internal error: ${error instanceof Error ? error.stack : String(error)}\n`,
    );
    process.exit(70);
  });
}
main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
    // Sockets or timers left behind must not keep a finished command alive.
    setImmediate(() => process.stdout.write("", () => process.exit(code)));
  },
  (error: unknown) => {
    process.stderr.write(`scratchbird: ${oneLine(error)}\n`);
    process.exit(error instanceof DbError && error.condition === "configFileError" ? 2 : 1);
  },
);
