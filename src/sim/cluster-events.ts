/**
 * What happens in a simulated cluster, line by line: the trace of a run, its digest, and how often each thing was seen that
 * a good choice of seeds must show.
 *
 * Invariant: the same seed gives the same lines, and so the same digest.
 */
import { createHash } from "node:crypto";

/** A property that must always hold did not. */
export interface Violation {
  readonly property: string;
  readonly what: string;
  readonly atMs: number;
}

const tailLines = 50;

export class EventLog {
  readonly #hash = createHash("sha256");
  readonly #time: () => number;
  readonly #tell: ((line: string) => void) | undefined;
  #tail: string[] = [];
  lines = 0;
  violation: Violation | undefined;
  readonly seen = new Map<string, number>();

  constructor(time: () => number, tell?: (line: string) => void) {
    this.#time = time;
    this.#tell = tell;
  }

  get now(): number {
    return this.#time();
  }

  note(text: string): void {
    const line = `${(this.#time() / 1000).toFixed(4)} ${text}`;
    this.lines++;
    this.#hash.update(line).update("\n");
    this.#tell?.(line);
    this.#tail.push(line);
    if (this.#tail.length >= 2 * tailLines) this.#tail = this.#tail.slice(-tailLines);
  }

  /** Something that a run of many seeds must show. */
  sometimes(what: Sometimes): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  /** The first one counts: what follows from it is no news. */
  violated(property: string, what: string): void {
    this.note(`VIOLATED ${property}: ${what}`);
    this.violation ??= { property, what, atMs: this.#time() };
  }

  get tail(): readonly string[] {
    return this.#tail.slice(-tailLines);
  }
  digest(): string {
    return this.#hash.copy().digest("hex");
  }
}

/** A run of 30 seeds and more fails when one of these was never seen: the faults it names had then no effect. */
export const sometimes = [
  "leader changed by crash",
  "leader changed by partition",
  "leader changed by pause",
  "leader changed by transfer at stop",
  "snapshot installed at a lagging member",
  "torn tail recovered",
  "proposal handed to a second leader and applied once",
  "57P03 answered",
  "08007 answered",
  "40001 answered",
  "barrier waited out a lease",
  "member FAILED and back",
  "member DISABLED and back",
  "member removed and replaced",
  "removed member learned of it",
  "stale folder refused",
  "stale folder that was not behind",
  "epoch converged by attestation",
  "forced cutover",
  "CAs exchanged",
  "CAs exchanged again",
  "security bundle published",
  "security bundle brought back",
  "CA replaced in an emergency",
  "member left behind by an emergency",
  "rival epoch refused at apply",
  "wall clock jumped",
  "pause longer than an election",
  "main stalled",
  "asymmetric partition",
  "partial partition",
  "flapping link",
  "failed sync fenced a member",
  "whole node: limbo committed at restart",
  "whole node: limbo aborted at restart",
  "whole node: DDL with rows committed",
  "whole node: DDL of another node followed",
] as const;
export type Sometimes = (typeof sometimes)[number];
