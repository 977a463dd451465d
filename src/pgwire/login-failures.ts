/**
 * Back-off after refused log-ins, by role and address and by address alone.
 *
 * A refusal is held back, twice as long each time. That alone does not slow down who hangs up instead of waiting, so where one
 * pair of role and address has failed often and never succeeded, every answer comes late, the right one too. A pair that has
 * succeeded is spared that: who tries passwords from the address of a real user must not keep him out.
 *
 * The role's name counts, not the role: whether there is one shows nowhere.
 *
 * Invariants: tables are bounded, the longest unused makes room; what succeeds is kept apart, so that no number of failures
 * drives it out; no delay is longer than `delayMsMax`.
 */
import type { Clock } from "../platform/index.js";
import { peerKey } from "../security/index.js";

export const delayMsMax = 5_000;
/** Typing errors: until here right answers are never late. */
const freeFailures = 3;
/** Many users may share an address. */
const freeOfAddress = 64;
const entriesMax = 8192;
const succeededMax = 4096;
/** After so long without a failure nothing is remembered. */
const forgetMs = 600_000;

interface Entry {
  readonly failures: number;
  readonly at: number;
}

/** A map that forgets what was not touched for the longest time. */
class Bounded<Value> {
  readonly #values = new Map<string, Value>();
  constructor(private readonly max: number) {}
  get(key: string): Value | undefined {
    return this.#values.get(key);
  }
  set(key: string, value: Value): void {
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size > this.max) this.#values.delete(this.#values.keys().next().value!);
  }
  delete(key: string): void {
    this.#values.delete(key);
  }
  get size(): number {
    return this.#values.size;
  }
}

export class LoginFailures {
  readonly #entries = new Bounded<Entry>(entriesMax);
  readonly #succeeded = new Bounded<true>(succeededMax);

  constructor(private readonly clock: Clock) {}

  /** Milliseconds to wait before the proof is looked at. */
  before(user: string, address: string, baseMs: number): number {
    const key = pairKey(user, address);
    const failures = this.#failures(key);
    const hasSucceeded = this.#succeeded.get(key) === true;
    return failures < freeFailures || hasSucceeded ? 0 : delay(baseMs, failures);
  }

  /** Milliseconds to hold the refusal back. */
  failed(user: string, address: string, baseMs: number): number {
    const ofPair = this.#count(pairKey(user, address));
    const ofAddress = this.#count(addressKey(address));
    return Math.max(delay(baseMs, ofPair), delay(baseMs, ofAddress - freeOfAddress));
  }

  /** It has succeeded, and has not failed since. */
  isWelcome(user: string, address: string): boolean {
    const key = pairKey(user, address);
    return this.#succeeded.get(key) === true && this.#failures(key) === 0;
  }

  succeeded(user: string, address: string): void {
    const key = pairKey(user, address);
    this.#entries.delete(key);
    this.#succeeded.set(key, true);
  }

  get size(): number {
    return this.#entries.size;
  }

  #failures(key: string): number {
    const entry = this.#entries.get(key);
    return entry === undefined || this.clock.monotonic() - entry.at > forgetMs ? 0 : entry.failures;
  }
  #count(key: string): number {
    const failures = this.#failures(key) + 1;
    this.#entries.set(key, { failures, at: this.clock.monotonic() });
    return failures;
  }
}

const addressKey = (address: string): string => peerKey(address);
// No address has a space.
const pairKey = (user: string, address: string): string => `${peerKey(address)} ${user}`;

/** After so many failures, 1 being the first. */
function delay(baseMs: number, failures: number): number {
  if (failures < 1) return 0;
  return Math.min(baseMs * 2 ** Math.min(failures - 1, 16), Math.max(delayMsMax, baseMs));
}
