/**
 * Which security bundle the two nodes of a relayed session hold (SEC-29, SEC-30, rule C6). Each tells the other: the node that
 * relays when it opens the stream and whenever its bundle changes, the home node before each ReadyForQuery. The home node, where
 * statements run, compares before each message that runs one; the relaying node, when it is told.
 *
 *     same hash --> the message runs
 *     other version --> one of them is behind: the message waits, 500 ms at most, until both say the same
 *     same version, other hash; or the time is over --> 55000 SECURITY_BUNDLE_MISMATCH, in the log and in the audit
 *
 * Invariant: while the two differ no message of the client runs anything.
 */
import { DbError } from "../base/errors.js";
import type { BundleStamp } from "../cluster/contract.js";
import type { Clock, Timer } from "../platform/index.js";
import type { BodyReader } from "./input.js";
import { relayTag } from "./messages.js";
import type { Output } from "./output.js";

/** What this node holds, and who is told when another does not hold the same. */
export interface HeldBundle {
  stamp(): BundleStamp;
  /** `changed` is called whenever it is another; answers how to stop that. */
  watch(changed: () => void): () => void;
  /** A statement from there, or an answer, was refused: it is logged, audited and counted. Answers what its client is told. */
  mismatch(peer: string, theirs: BundleStamp): DbError;
}

export const bundleWaitMs = 500;

/** With the hashes that were compared. */
interface Refusal {
  readonly error: DbError;
  readonly own: string;
  readonly theirs: string;
}

/** At the home node: for one client of another. */
export class GuestGate {
  #theirs: BundleStamp;
  /** Own stamp that was found to be the other's too. */
  #agreed: BundleStamp | undefined;
  #refusal: Refusal | undefined;
  #timer: Timer | undefined;
  #isClosed = false;
  readonly #unwatch: () => void;

  /** `changed`: it may be open now. */
  constructor(
    private readonly source: HeldBundle,
    private readonly clock: Clock,
    private readonly peer: string,
    theirs: BundleStamp,
    private readonly changed: () => void,
  ) {
    this.#theirs = theirs;
    this.#unwatch = source.watch(changed);
  }

  /** Messages that run something are refused with it. */
  get refusal(): DbError | undefined {
    return this.#refusal?.error;
  }

  heard(theirs: BundleStamp): void {
    this.#theirs = theirs;
    this.#agreed = undefined;
    this.changed();
  }

  /** Asked with a message that runs something at hand. False: it waits, and `changed` is called when it need no longer. */
  isOpen(): boolean {
    if (this.#isClosed) return false;
    const own = this.source.stamp();
    if (own === this.#agreed) return true;
    const theirs = this.#theirs;
    if (isSameBundle(own, theirs)) {
      this.#agreed = own;
      this.#settle(undefined);
      return true;
    }
    this.#agreed = undefined;
    const known = this.#refusal;
    if (known !== undefined && known.own === own.hash && known.theirs === theirs.hash) return true;
    if (own.version === theirs.version) {
      this.#refuse(own, theirs);
      return true;
    }
    this.#refusal = undefined;
    this.#timer ??= this.clock.after(bundleWaitMs, () => {
      this.#timer = undefined;
      this.#refuse(this.source.stamp(), this.#theirs);
      this.changed();
    });
    return false;
  }

  #refuse(own: BundleStamp, theirs: BundleStamp): void {
    this.#settle({ error: this.source.mismatch(this.peer, theirs), own: own.hash, theirs: theirs.hash });
  }
  #settle(refusal: Refusal | undefined): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#refusal = refusal;
  }

  close(): void {
    this.#isClosed = true;
    this.#unwatch();
    this.#settle(undefined);
  }
}

// -------------------------------------------------------------------------------------------------- on the wire

export function writeBundle(output: Output, { version, hash }: BundleStamp): void {
  output.begin(relayTag.bundle);
  output.cstring(String(version));
  output.cstring(hash);
  output.end();
}
export function bundleMessage({ version, hash }: BundleStamp): Buffer {
  const body = Buffer.from(`${version}\0${hash}\0`, "latin1");
  const head = Buffer.alloc(5);
  head[0] = relayTag.bundle;
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
export function isSameBundle(a: BundleStamp, b: BundleStamp): boolean {
  return a.hash === b.hash && a.version === b.version;
}
/** Of a message's body: a number, a hash, and a zero byte behind each. */
export const bundleBytesMax = 16 + 1 + 64 + 1;

/** A whole body; undefined: it is none. */
export function readBundle(body: BodyReader): BundleStamp | undefined {
  try {
    const stamp = { version: Number(body.cstring()), hash: body.cstring() };
    body.done();
    return bundleStamp(stamp);
  } catch (error) {
    if (error instanceof DbError) return undefined;
    throw error;
  }
}
export function bundleStamp(value: unknown): BundleStamp | undefined {
  const { version, hash } = (
    typeof value === "object" && value !== null ? value : {}
  ) as Partial<BundleStamp>;
  const isSound = Number.isSafeInteger(version) && version! > 0 && /^[0-9a-f]{64}$/.test(String(hash));
  return isSound ? { version: version!, hash: String(hash) } : undefined;
}
