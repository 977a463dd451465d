/**
 * Raft by hand: a script names what happens, one event a line, and its output is what that did. Events are those of the
 * explorer, whose properties are checked at every step.
 *
 *     timeout 1            the election timeout of node 1 passes (and everybody's belief in a leader lapses)
 *     vote 1->2            the oldest message of that kind on that way arrives
 *     all                  messages arrive, oldest first, until none is left
 *     all 1,2              only those between these nodes
 *     lose 1->3, lose all  messages under way are lost
 *     heartbeat 1, quorum 1, propose 1, ask 1, round 1, reask 1, change 1 to 1,2+3, transfer 1 to 2, dead 1: 2,
 *     compact 1, compact 1 keep 1, crash 1, restart 1
 *     propose 1, held      and what follows at node 1 is one write, until
 *     sync 1               it is there, or
 *     crash 1 torn 2       only its first two records are
 *     state                what every node holds
 *
 * Invariant: a line that names nothing that can happen is an error, never passed over.
 */

import { InvariantError } from "../../base/errors.js";
import type { Entry, MemberSet, Message } from "../../raft/index.js";
import {
  allScenarios,
  Broken,
  type Budgets,
  type ExploreOptions,
  Explorer,
  type Scenario,
  type Violation,
  type World,
} from "./explorer.js";
import type { SeededRaftBug } from "./mutations.js";

const plenty: Budgets = {
  terms: 99,
  timeouts: 99,
  heartbeats: 99,
  proposals: 15,
  crashes: 99,
  duplicates: 99,
  changes: 99,
  reads: 99,
  transfers: 99,
  compactions: 99,
  deaths: 99,
  batches: 99,
  idleTimeouts: 99,
  bag: 999,
};

export class RaftScript {
  readonly #explorer: Explorer;
  #world: World;

  constructor(scenario: Scenario, bug?: SeededRaftBug) {
    this.#explorer = new Explorer({ scenario, seed: 1, ...optionsOf(bug) });
    this.#world = { ...this.#explorer.initial(), left: plenty };
  }

  /** Output of one line. Throws when a property is broken or the line names nothing. */
  run(line: string): string[] {
    if (line === "state") return this.#world.members.map((_, at) => this.#stateOf(at));
    if (line.startsWith("all")) return this.#deliver(line);
    if (line.startsWith("lose ")) return this.#lose(line.slice(5));
    return this.#do(line);
  }

  #do(what: string): string[] {
    for (const choice of this.#explorer.choices(this.#world)) {
      if (choice.what !== what) continue;
      const before = this.#world;
      this.#world = choice.make();
      return this.#difference(before);
    }
    throw new Error(`"${what}" cannot happen here`);
  }

  #deliver(line: string): string[] {
    const only = /^all (\d(?:,\d)*)$/.exec(line)?.[1]?.split(",").map(Number);
    if (only === undefined && line !== "all") throw new Error(`"${line}" is no event`);
    const output: string[] = [];
    for (let turns = 0; turns < 500; turns++) {
      const next = this.#world.bag.find(
        ({ message: { from, to } }) =>
          (only === undefined || (only.includes(from) && only.includes(to))) &&
          this.#world.members[to - 1]!.node !== undefined,
      );
      if (next === undefined) return output;
      const { kind, from, to } = next.message;
      output.push(...this.#do(`${kind} ${from}->${to}`));
    }
    throw new Error("messages do not come to an end");
  }

  #lose(way: string): string[] {
    const bag = this.#world.bag.filter(
      ({ message: { from, to } }) => way !== "all" && way !== `${from}->${to}`,
    );
    const lost = this.#world.bag.length - bag.length;
    if (lost === 0) throw new Error(`nothing to lose on ${way}`);
    this.#world = { ...this.#world, bag };
    return [`${lost} lost`];
  }

  #difference(before: World): string[] {
    const output: string[] = [];
    this.#world.members.forEach((member, at) => {
      const was = before.members[at]!;
      if (member === was) return;
      const [then, now] = [describe(before, at), describe(this.#world, at)];
      if (then !== now) output.push(`  ${at + 1}: ${now}`);
    });
    for (const flight of this.#world.bag)
      if (!before.bag.includes(flight)) output.push(`  -> ${describeMessage(flight.message)}`);
    for (const { node, context, index } of this.#world.settled)
      output.push(`  read ${context} of ${node}: ${index === 0 ? "refused" : index}`);
    for (let n = before.committed.length; n < this.#world.committed.length; n++)
      output.push(`  committed ${describeEntry(this.#world.committed[n]!.entry)}`);
    return output;
  }

  #stateOf(at: number): string {
    const { node } = this.#world.members[at]!;
    const log =
      node === undefined
        ? ""
        : ` log ${node.log.baseIndex}[${node.log.entries.map(describeEntry).join(" ")}]`;
    return `${at + 1}: ${describe(this.#world, at)}${log}`;
  }
}

/**
 * Runs a script file: comments, `group NAME`, then blocks of events, `----`, and what they did, up to an empty line.
 * Answers the file with its output made anew.
 */
export function runScript(text: string, bug?: SeededRaftBug): string {
  const output: string[] = [];
  let script: RaftScript | undefined;
  for (const block of text.trimEnd().split("\n\n")) {
    const lines = block.split("\n");
    const end = lines.indexOf("----");
    const events = end < 0 ? lines : lines.slice(0, end);
    output.push(...events, "----");
    for (const event of events) {
      if (event.startsWith("#")) continue;
      if (event.startsWith("group ")) {
        const scenario = allScenarios.find(({ name }) => name === event.slice(6));
        if (scenario === undefined) throw new Error(`no group "${event.slice(6)}"`);
        script = new RaftScript(scenario, bug);
        continue;
      }
      if (script === undefined) throw new Error("a script begins with its group");
      if (event !== "state") output.push(event);
      output.push(...script.run(event));
    }
    output.push("");
  }
  return `${output.join("\n").trimEnd()}\n`;
}

function optionsOf(bug: SeededRaftBug | undefined): Pick<ExploreOptions, "rules" | "writesTermLast"> {
  if (bug === undefined) return {};
  const { rules, writesTermLast = false } = bug;
  return { rules, writesTermLast };
}

/** Looks for a violation under a seeded bug, by its script or by walks over all scenarios; undefined: not noticed. */
export function bugShownBy(bug: SeededRaftBug, walksMax: number, script?: string): Violation | undefined {
  if (script !== undefined) {
    try {
      runScript(script, bug);
      return undefined;
    } catch (error) {
      if (!(error instanceof Broken || error instanceof InvariantError)) throw error;
      return { property: error.message, trail: [] };
    }
  }
  const explorers = allScenarios.map(
    (scenario, at) => new Explorer({ scenario, seed: 7 + at, ...optionsOf(bug) }),
  );
  for (let walk = 0; walk < walksMax; walk++) {
    const { violation } = explorers[walk % explorers.length]!.walk(150);
    if (violation !== undefined) return violation;
  }
  return undefined;
}

function describe(world: World, at: number): string {
  const { node } = world.members[at]!;
  if (node === undefined) return "down";
  const { role, term, vote, leader, commit, log } = node;
  return `${role} term ${term}${vote === 0 ? "" : ` vote ${vote}`}${leader === 0 || role === "leader" ? "" : ` follows ${leader}`} last ${log.lastIndex} commit ${commit} ${describeMembers(node.members)}`;
}

function describeMembers({ voters, outgoing, learners, demoted }: MemberSet): string {
  const parts = [`(${voters.join(",")})`];
  if (outgoing.length > 0) parts.push(`&(${outgoing.join(",")})`);
  if (learners.length > 0) parts.push(`+${learners.join(",")}`);
  if (demoted.length > 0) parts.push(`~${demoted.join(",")}`);
  return parts.join("");
}

function describeEntry(entry: Entry): string {
  const place = `${entry.index}@${entry.term}`;
  switch (entry.kind) {
    case "empty":
      return place;
    case "command":
      return `${place}:${entry.data[0]?.toString(16)}`;
    case "members":
      return `${place}:${describeMembers(entry.members)}`;
  }
}

function describeMessage(message: Message): string {
  const head = `${message.kind} ${message.from}->${message.to} term ${message.term}`;
  switch (message.kind) {
    case "vote":
    case "preVote":
      return `${head} last ${message.lastIndex}@${message.lastTerm}${message.transfer ? " hand-over" : ""}`;
    case "voteAnswer":
    case "preVoteAnswer":
      return `${head} ${message.granted ? "granted" : "refused"}`;
    case "append":
      return `${head} behind ${message.previousIndex}@${message.previousTerm} [${message.entries.map(describeEntry).join(" ")}] commit ${message.commit}`;
    case "appendAnswer":
      return message.accepted
        ? `${head} up to ${message.index}`
        : `${head} not behind ${message.index}, perhaps ${message.hintIndex}@${message.hintTerm}`;
    case "heartbeat":
      return `${head} commit ${message.commit} round ${message.round}`;
    case "heartbeatAnswer":
      return `${head} round ${message.round}`;
    case "snapshot":
      return `${head} of ${message.index}@${message.snapshotTerm} ${describeMembers(message.members)} bytes ${message.offset}..${message.offset + message.data.length} of ${message.total}`;
    case "snapshotAnswer":
      return `${head} of ${message.index} from ${message.offset}: has ${message.received}`;
    case "timeoutNow":
      return head;
    case "read":
      return `${head} number ${message.context}`;
    case "readAnswer":
      return `${head} number ${message.context}: ${message.index}`;
  }
}
