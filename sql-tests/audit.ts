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
  const stretch = 10;
  const chain = await writeChain(200, 4, stretch);
  const kinds = new Map<string, number>();
  const random = new SimRandom(Number(values.seed));
  let changed = 0;
  for (const [place, { last }] of chain.checkpoints.entries()) {
    const from = last - stretch;
    const part = partOf(chain.text, from, last);
    const known = chain.checkpoints.slice(Math.max(0, place - 1), place + 1);
    const head = exportHead(known);
    const bytes = Buffer.from(part);
    let sequence = from;
    for (let at = 0; at < bytes.length; at++) {
      if ((at === 0 || bytes[at - 1] === 10) && bytes[at] === 69) sequence++;
      const before = bytes[at]!;
      bytes[at] = before ^ (1 << random.below(8));
      const text = bytes.toString("utf8");
      bytes[at] = before;
      changed++;
      const server = byServer(text, known, from);
      const tampered = {
        what: `byte ${at} behind ${from}`,
        text,
        from: Math.max(1, sequence),
        to: sequence + 1,
      };
      const problem = problemOf(tampered, server, byExport(text, head, from));
      if (problem !== undefined) problems.push(problem);
      if (server !== undefined) kinds.set(server.kind, (kinds.get(server.kind) ?? 0) + 1);
    }
  }
  console.log(
    `200 events: ${changed} bytes changed, one at a time: ${seconds(started)}`,
    Object.fromEntries(kinds),
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
  const whole = performance.now();
  if (byServer(chain.text, chain.checkpoints) !== undefined) problems.push("the whole chain is refused");
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
    const part = partOf(chain.text, from, until);
    const bench = new TamperBench(part, from + 1);
    const way = ways[at % ways.length]!;
    const tampered = way === "cut" ? bench.cut(random, until) : bench[way](random);
    const known = chain.checkpoints.slice(Math.max(0, stretchAt - 1), stretchAt + 1);
    const server = byServer(tampered.text, known, from);
    const problem = problemOf(tampered, server, byExport(tampered.text, exportHead(known), from));
    if (problem !== undefined) problems.push(`${way}: ${problem}`);
    if (server !== undefined) kinds.set(server.kind, (kinds.get(server.kind) ?? 0) + 1);
  }
  console.log(`${values.mutations} mutations: ${seconds(started)}`, Object.fromEntries(kinds));
}

/** The chain's lines from behind one event to another. */
function partOf(text: string, from: number, until: number): string {
  const tail = tailOf(text, from);
  const end = tail.indexOf(`{"event_sequence":${until + 1},`);
  return end < 0 ? tail : tail.slice(0, tail.lastIndexOf("\n", end) + 1);
}

// The first of each sort: numbers aside they are the same.
const sorts = new Map(problems.map((one) => [one.replace(/\d+/g, "n"), one]));
for (const one of [...sorts.values()].slice(0, 20)) console.log(one);
console.log(
  problems.length === 0 ? "every one was noticed, where it was made" : `${problems.length} problems`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
