/**
 * Reads a V8 CPU profile (.cpuprofile) and tells where the time of one window of it went.
 *
 * A window is a span of the monotonic clock (microseconds of process.hrtime), which is also the clock of V8's samples: the
 * node is profiled from start to end, and each benchmark cuts out its own part. Positions are those of the TypeScript
 * sources where dist/ holds source maps.
 *
 * Invariant: the self times of a report sum to its window, idle time included.
 */
import { existsSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { projectRoot } from "../sql-tests/server.js";
import { alignTable } from "./figures.js";

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  /** From 0. */
  readonly lineNumber: number;
  readonly columnNumber: number;
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: CallFrame;
  readonly children?: readonly number[] | undefined;
}

/** The format of `node --cpu-prof` and of Profiler.stop in the inspector protocol. Times are microseconds. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly startTime: number;
  readonly endTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface Window {
  readonly title: string;
  readonly fromUs: number;
  readonly toUs: number;
  /** Processor time that the process took within it, all threads. */
  readonly cpuSeconds: number;
}

/** Now, in the clock of profiles. */
export const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);

export interface FunctionTime {
  readonly name: string;
  /** src/mga/table.ts:120, node:net:45, or empty for code without a source. */
  readonly place: string;
  /** src/mga, node, native, gc, wasm, a package. */
  readonly part: string;
  readonly selfUs: number;
  /** With what it called; recursion counted once. */
  readonly totalUs: number;
  /** The caller that most of the self time came through: for code outside the project the nearest project function. */
  readonly caller: string;
}

export interface Report {
  readonly windowUs: number;
  readonly idleUs: number;
  /** Busy microseconds by part, most first. */
  readonly parts: readonly (readonly [part: string, us: number])[];
  readonly functions: readonly FunctionTime[];
}

interface Entry {
  readonly key: string;
  readonly name: string;
  readonly place: string;
  readonly part: string;
  readonly ofProject: boolean;
}

const sourceMaps = new Map<string, SourceMap | undefined>();

function sourceMapOf(file: string): SourceMap | undefined {
  if (!sourceMaps.has(file)) {
    const path = `${file}.map`;
    sourceMaps.set(
      file,
      existsSync(path) ? new SourceMap(JSON.parse(readFileSync(path, "utf8"))) : undefined,
    );
  }
  return sourceMaps.get(file);
}

let kernelNames: ReadonlyMap<string, string> | undefined;

/** Names of the kernels by their number in the module: the profiler knows numbers only, exports carry both. */
function kernelName(numbered: string): string {
  if (kernelNames === undefined) {
    const file = join(projectRoot, "dist/kernels.wasm");
    const memory = new WebAssembly.Memory({ initial: 16, maximum: 65_536 });
    const names = new Map<string, string>();
    if (existsSync(file)) {
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), {
        env: { memory },
      });
      for (const [name, value] of Object.entries(exports)) {
        if (typeof value === "function") names.set(`wasm-function[${value.name}]`, name);
      }
    }
    kernelNames = names;
  }
  return kernelNames.get(numbered) ?? numbered;
}

function entryOf(frame: CallFrame): Entry {
  const { functionName, url } = frame;
  const plain = functionName === "" ? "(anonymous)" : functionName;
  const name = url.startsWith("wasm:") ? kernelName(plain) : plain;
  const at = (place: string, part: string, ofProject = false): Entry => ({
    key: `${name} ${place}`,
    name,
    place,
    part,
    ofProject,
  });
  if (name === "(garbage collector)") return at("", "gc");
  if (name === "(program)") return at("", "native");
  if (name === "(idle)") return at("", "idle");
  if (url === "") return at("", "native");
  if (url.startsWith("wasm:")) return at("wasm", "wasm");
  if (url.startsWith("node:")) return at(`${url}:${frame.lineNumber + 1}`, "node");
  const file = url.startsWith("file:") ? fileURLToPath(url) : url;
  const inPackage = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file);
  if (inPackage !== null) return at(`${inPackage[1]}:${frame.lineNumber + 1}`, inPackage[1]!, false);
  let path = relative(projectRoot, file).replace(/^dist\//, "");
  let line = frame.lineNumber + 1;
  const mapped = sourceMapOf(file)?.findEntry(frame.lineNumber, frame.columnNumber);
  if (mapped !== undefined && "originalLine" in mapped) {
    path = path.replace(/\.js$/, ".ts");
    line = mapped.originalLine + 1;
  }
  const folders = path.split("/").slice(0, -1);
  return at(`${path}:${line}`, folders.slice(0, 2).join("/") || path, true);
}

function addTo<Key>(map: Map<Key, number>, key: Key, amount: number): void {
  map.set(key, (map.get(key) ?? 0) + amount);
}

/** Cuts the windows out of a profile and sums them up: several repetitions of one benchmark make one report. */
export function report(profile: CpuProfile, windows: readonly Pick<Window, "fromUs" | "toUs">[]): Report {
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const node of profile.nodes) for (const child of node.children ?? []) parents.set(child, node.id);
  const entries = new Map<number, Entry>();
  const entry = (id: number): Entry => {
    let found = entries.get(id);
    if (found === undefined) entries.set(id, (found = entryOf(byId.get(id)!.callFrame)));
    return found;
  };

  const nodeUs = selfTimes(profile, windows);
  const selfUs = new Map<string, number>();
  const totalUs = new Map<string, number>();
  const partUs = new Map<string, number>();
  const callers = new Map<string, Map<string, number>>();
  const known = new Map<string, Entry>();
  let windowUs = 0;
  for (const [id, us] of nodeUs) {
    const own = entry(id);
    windowUs += us;
    addTo(selfUs, own.key, us);
    addTo(partUs, own.part, us);
    let caller: Entry | undefined;
    const seen = new Set<string>();
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const above = entry(at);
      if (above.name === "(root)") break;
      known.set(above.key, above);
      if (!seen.has(above.key)) addTo(totalUs, above.key, us);
      seen.add(above.key);
      if (caller === undefined && at !== id && (own.ofProject || above.ofProject) && above.key !== own.key)
        caller = above;
    }
    if (caller === undefined) continue;
    let ofOwn = callers.get(own.key);
    if (ofOwn === undefined) callers.set(own.key, (ofOwn = new Map()));
    addTo(ofOwn, caller.name, us);
  }
  const idleUs = partUs.get("idle") ?? 0;
  partUs.delete("idle");
  const most = <Key>(map: ReadonlyMap<Key, number>): [Key, number][] => [...map].sort((a, b) => b[1] - a[1]);
  const functions = [...known.values()]
    .filter(({ part }) => part !== "idle")
    .map(({ key, name, place, part }): FunctionTime => {
      const [caller] = most(callers.get(key) ?? new Map<string, number>());
      return {
        name,
        place,
        part,
        selfUs: selfUs.get(key) ?? 0,
        totalUs: totalUs.get(key) ?? 0,
        caller: caller?.[0] ?? "",
      };
    })
    .sort((a, b) => b.selfUs - a.selfUs);
  return { windowUs, idleUs, parts: most(partUs), functions };
}

/** Microseconds of each node's own samples within the windows: a sample stands until the next one. */
function selfTimes(
  profile: CpuProfile,
  windows: readonly Pick<Window, "fromUs" | "toUs">[],
): Map<number, number> {
  const nodeUs = new Map<number, number>();
  let at = profile.startTime;
  for (let n = 0; n < profile.samples.length; n++) {
    at += profile.timeDeltas[n]!;
    const until = n + 1 < profile.samples.length ? at + profile.timeDeltas[n + 1]! : profile.endTime;
    for (const { fromUs, toUs } of windows) {
      const inside = Math.min(until, toUs) - Math.max(at, fromUs);
      if (inside > 0) addTo(nodeUs, profile.samples[n]!, inside);
    }
  }
  return nodeUs;
}

const ms = (us: number): string => (us / 1000).toFixed(1);

/**
 * The report as text. Samples are of elapsed time: where the processor time is much less than the busy time, the process
 * was kept off its core, most often within the call that woke its peer (writeBuffer).
 *
 * Shares of busy time, the functions with the most self time, and those with the most beneath them. */
export function printReport(
  title: string,
  of: Report,
  cpuSeconds: number,
  top = Number(process.env["PROFILE_TOP"] ?? 25),
): string {
  const busyUs = Math.max(1, of.windowUs - of.idleUs);
  const share = (us: number): string => `${((us * 100) / busyUs).toFixed(1)} %`;
  const lines = [
    `== ${title}: ${ms(of.windowUs)} ms, idle ${((of.idleUs * 100) / Math.max(1, of.windowUs)).toFixed(0)} %, busy ${ms(busyUs)} ms; processor time ${ms(cpuSeconds * 1e6)} ms, all threads`,
    `by part: ${of.parts
      .filter(([, us]) => us > busyUs / 200)
      .map(([part, us]) => `${part} ${share(us)}`)
      .join(", ")}`,
    "",
  ];
  const rows = of.functions.slice(0, top).filter(({ selfUs }) => selfUs > 0);
  lines.push(
    alignColumns([
      ["self ms", "self", "with callees", "function", "where", "mostly called from"],
      ...rows.map((row) => [
        ms(row.selfUs),
        share(row.selfUs),
        share(row.totalUs),
        row.name,
        row.place,
        row.caller,
      ]),
    ]),
  );
  const beneath = of.functions
    .filter(({ part, totalUs }) => (part.startsWith("src/") || part === "grammar") && totalUs > busyUs / 50)
    .sort((a, b) => b.totalUs - a.totalUs)
    .slice(0, Math.max(20, top));
  lines.push(
    "",
    "with callees, project functions:",
    alignColumns(beneath.map((row) => [ms(row.totalUs), share(row.totalUs), row.name, row.place])),
  );
  return lines.join("\n");
}

/** Numbers to the right, texts to the left. */
function alignColumns(rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const isNumber = rows.at(-1)!.map((cell) => /^[\d.]+( %)?$/.test(cell));
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const padded = rows.map((row) =>
    row.map((cell, column) =>
      isNumber[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
    ),
  );
  return alignTable(padded.map((row) => [row.join("  ").trimEnd()]));
}

export function readProfile(path: string): CpuProfile {
  return JSON.parse(readFileSync(path, "utf8")) as CpuProfile;
}
