import { describe, expect, it } from "vitest";
import { DbError } from "./base/errors.js";
import {
  type ConfigSources,
  environmentName,
  formatSize,
  loadConfig,
  optionHelp,
  optionTable,
  parseFlags,
} from "./config.js";

const GiB = 1024 ** 3;

function load(args: string[], more: Partial<ConfigSources> = {}) {
  return loadConfig({
    args,
    environment: {},
    readFile: () => "",
    remembered: () => ({}),
    machineMemoryBytes: 8 * GiB,
    isTerminal: false,
    ...more,
  });
}

function errorOf(args: string[], more: Partial<ConfigSources> = {}): string {
  try {
    load(args, more);
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    return [error.message, error.fields.hint].filter(Boolean).join("|");
  }
  return "no error";
}

describe("configuration", () => {
  it("is complete without any option, as the contract's table says", () => {
    const config = load([]);
    expect(config).toMatchObject({
      data: "./data",
      host: "127.0.0.1",
      port: 5433,
      httpPort: 8433,
      rpcPort: 7433,
      controlPort: 6433,
      nodes: 1,
      shards: 16,
      pageSize: 16384,
      name: "scratchbird",
      encryption: true,
      bufferPool: 2 * GiB,
      logFormat: "json",
      maxConnections: 1000,
      authenticationTimeout: 10_000,
      maxMessageSize: 64 * 1024 * 1024,
      stopTimeout: 10_000,
    });
    expect([config.explicit.size, config.password, config.nodeName]).toEqual([0, undefined, undefined]);
    expect(load([], { machineMemoryBytes: 64 * GiB, isTerminal: true })).toMatchObject({
      bufferPool: 3 * GiB,
      logFormat: "pretty",
    });
  });

  it("takes flags before environment before file before memory before defaults", () => {
    const sources: Partial<ConfigSources> = {
      environment: { SCRATCHBIRD_PORT: "2", SCRATCHBIRD_HTTP_PORT: "3", SCRATCHBIRD_PASSWORD: "s3cret" },
      readFile: () => 'port = 4\nhttp_port = 5\nrpc-port = 6\nbuffer-pool = "512MB"\n',
      remembered: (folder) =>
        folder === "./d" ? { port: 7, "http-port": 8, "rpc-port": 9, "control-port": 10 } : {},
    };
    const config = load(["--port", "1", "--config=c.toml", "--data", "./d"], sources);
    expect(config).toMatchObject({
      port: 1,
      httpPort: 3,
      rpcPort: 6,
      controlPort: 10,
      bufferPool: 512 * 1024 * 1024,
      password: "s3cret",
    });
    expect([...config.explicit].sort()).toEqual([
      "buffer-pool",
      "config",
      "data",
      "http-port",
      "port",
      "rpc-port",
    ]);
  });

  it.each([
    [["--no-encryption"], { encryption: false }],
    [["--encryption=off"], { encryption: false }],
    [["--page-size", "32KB"], { pageSize: 32768 }],
    [["--authentication-timeout=2min"], { authenticationTimeout: 120_000 }],
    [["--buffer-pool", "1.5gb"], { bufferPool: 1.5 * GiB }],
    [["--port=0", "--http-port=0", "--rpc-port=0"], { port: 0, httpPort: 0 }],
  ])("reads %j", (args, expected) => {
    expect(load(args)).toMatchObject(expected);
  });

  it.each([
    [["--prt", "1"], 'unknown option "--prt"|Did you mean "--port"?'],
    [["--no-port"], 'unknown option "--no-port"|Did you mean "--port"?'],
    [["--port"], "--port needs a value"],
    [["--port", "x"], '--port: "x" is not a whole number'],
    [["--port", "65536"], "--port: 65536 is outside 0 to 65535"],
    [["--page-size", "20000"], '--page-size: "20000" is not a power of two'],
    [["--buffer-pool", "1MB"], "--buffer-pool: 1MB is outside 16MB to 3GB"],
    [["--log-format", "xml"], '--log-format: "xml" is not one of json, pretty'],
    [
      ["--node-name", "a b"],
      "--node-name: \"a b\" is not a name of letters, digits, '-', '_' and '.', at most 63",
    ],
    [["start"], 'unexpected argument "start"|Options begin with --; see --help.'],
    [["--port", "8433"], "http-port and port are the same"],
    [["--no-tls", "--require-tls"], "require-tls needs tls"],
    [["--max-connections=3"], "superuser-reserved-connections must be less than max-connections"],
  ])("refuses %j", (args, error) => {
    expect(errorOf(args)).toBe(error);
  });

  it("refuses a file with unknown keys, wrong values or no TOML, naming the place", () => {
    const file = (text: string) => errorOf(["--config", "c.toml"], { readFile: () => text });
    expect(file("prot = 1")).toBe('unknown key in c.toml: "prot"|Did you mean "port"?');
    expect(file("max_connection = 1")).toContain('Did you mean "max-connections"?');
    expect(file('port = "x"')).toBe('c.toml: port: "x" is not a whole number');
    expect(file("port = 1.5")).toBe('c.toml: port: "1.5" is not a whole number');
    expect(file("data = 'x'")).toContain('unknown key in c.toml: "data"');
    expect(file("= 1")).toContain("c.toml: Invalid TOML document");
    expect(errorOf([], { environment: { SCRATCHBIRD_PORT: "y" } })).toBe(
      'SCRATCHBIRD_PORT: "y" is not a whole number',
    );
  });

  it("shows every option that is not a limit in the help, and names the limits", () => {
    const help = optionHelp(true);
    for (const name of Object.keys(optionTable)) expect(help).toContain(name);
    expect(optionHelp(false)).not.toContain("--shards");
    expect(environmentName("http-port")).toBe("SCRATCHBIRD_HTTP_PORT");
    expect([formatSize(1536), formatSize(1024), formatSize(3 * GiB)]).toEqual(["1536B", "1KB", "3GB"]);
    expect(parseFlags(["--help"]).help).toBe(true);
  });
});
