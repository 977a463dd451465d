/**
 * The audit chain against whoever changes it: every byte of a chain of 200 events, then random changes, removals, swaps,
 * insertions and cuts of a chain of 10,000, verified from the nearest checkpoint, by the server and by the verifier of exports.
 *
 *   npm run audit                        all bytes, 5,000 mutations
 *   npm run audit -- --mutations N --seed S --events N
 */
import { parseArgs } from "node:util";
import { SimRandom } from "../src/sim/random.js";
import { byExport, byServer, exportHead, problemOf, tailOf, writeChain } from "./audit/suite.js";
import { TamperBench } from "./audit/tamper.js";

const { values } = parseArgs({
  options: {
    mutations: { type: "string", default: "5000" },
    events: { type: "string", default: "10000" },
    seed: { type: "string", default: "1" },
  },
});
const problems: string[] = [];
const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;

{
  const started = performance.now();
  const chain = await writeChain(200, 40, 100);
  const head = exportHead(chain.checkpoints);
  const bytes = Buffer.from(chain.text);
  let changed = 0;
  const kinds = new Map<string, number>();
  const bench = new TamperBench(chain.text);
  const random = new SimRandom(Number(values.seed));
  let line = 0;
  let sequence = 0;
  let lineStart = true;
  for (let at = 0; at < bytes.length; at++) {
    if (lineStart && bytes[at] === 69) sequence++;
    lineStart = bytes[at] === 10;
    const before = bytes[at]!;
    bytes[at] = before ^ (1 << random.below(7));
    const text = bytes.toString("utf8");
    bytes[at] = before;
    changed++;
    const server = byServer(text, chain.checkpoints);
    const tampered = { what: `byte ${at}`, text, from: Math.max(1, sequence), to: sequence + 1 };
    const problem = problemOf(tampered, server, byExport(text, head));
    if (problem !== undefined) problems.push(problem);
    if (server !== undefined) kinds.set(server.kind, (kinds.get(server.kind) ?? 0) + 1);
    if (lineStart) line++;
  }
  console.log(
    `200 events, ${bench.lines.length} lines: ${changed} bytes changed, one at a time: ${seconds(started)}`,
    Object.fromEntries(kinds),
    line,
  );
}

{
  const started = performance.now();
  const events = Number(values.events);
  const stretch = Math.max(1, Math.floor(events / 20));
  const chain = await writeChain(events, 250, stretch);
  console.log(
    `${events} events appended in ${chain.appendMs.toFixed(0)} ms: ${Math.round(events / (chain.appendMs / 1000))} a second`,
  );
  const head = exportHead(chain.checkpoints);
  const thousand = tailOf(chain.text, 0);
  const whole = performance.now();
  if (byServer(thousand, chain.checkpoints) !== undefined) problems.push("the whole chain is refused");
  const perThousand = ((performance.now() - whole) / events) * 1000;
  console.log(`verified: ${perThousand.toFixed(1)} ms for 1000 events`);
  const random = new SimRandom(Number(values.seed));
  const kinds = new Map<string, number>();
  const ways = ["change", "remove", "swap", "insert", "cut"] as const;
  for (let at = 0; at < Number(values.mutations); at++) {
    // Somewhere, and from the checkpoint before it; what is cut is missed at the next one.
    const stretchAt = random.below(chain.checkpoints.length);
    const from = stretchAt * stretch;
    const until = chain.checkpoints[stretchAt]!.last;
    const tail = tailOf(chain.text, from);
    const end = tail.indexOf(`{"event_sequence":${until + 1},`);
    const part = end < 0 ? tail : tail.slice(0, tail.lastIndexOf("\n", end) + 1);
    const bench = new TamperBench(part, from + 1);
    const way = ways[at % ways.length]!;
    const tampered = way === "cut" ? bench.cut(random, until) : bench[way](random);
    const known = chain.checkpoints.filter((one) => one.last <= until);
    const server = byServer(tampered.text, known, from);
    const problem = problemOf(
      tampered,
      server,
      byExport(tampered.text, exportHeadUntil(head, stretchAt + 1), from),
    );
    if (problem !== undefined) problems.push(`${way}: ${problem}`);
    if (server !== undefined) kinds.set(server.kind, (kinds.get(server.kind) ?? 0) + 1);
  }
  console.log(`${values.mutations} mutations: ${seconds(started)}`, Object.fromEntries(kinds));
}

/** With the first checkpoints only: the part ends there. */
function exportHeadUntil(head: string, count: number): string {
  return `${head
    .split("\n")
    .slice(0, 2 + count)
    .join("\n")}\n`;
}

for (const one of problems.slice(0, 20)) console.log(one);
console.log(
  problems.length === 0 ? "every one was noticed, where it was made" : `${problems.length} problems`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
