/**
 * Checks an audit chain (AUD-10..12): line by line, from its first event or from a head that a checkpoint vouches for. The
 * first fault is what is reported: behind it nothing is proven.
 *
 * | fault             | what was done                                                                              |
 * |-------------------|--------------------------------------------------------------------------------------------|
 * | SEQUENCE_GAP      | an event was removed, inserted, moved, or its number changed                               |
 * | HASH_MISMATCH     | an event does not name the hash of the one before it                                       |
 * | HASH_INVALID      | an event's content, or its hash, was changed                                               |
 * | SIGNATURE_INVALID | a run is not signed by the key that its node had, or is of other events                    |
 * | MALFORMED         | bytes that no server writes                                                                |
 * | WRONG_CHAIN       | a file or an event of another node or cluster                                              |
 * | CUT_OFF           | the chain ends before what is known of it from elsewhere                                   |
 *
 * Invariant: a chain without a fault is, up to its last signature, what its node wrote; and up to a known head, all of it.
 */
import {
  type AuditEvent,
  type AuditLine,
  auditFormat,
  type ChainHead,
  emptyChain,
  eventHash,
  eventText,
  readEvent,
  readLine,
  runDigest,
} from "./chain.js";

export const faultKinds = [
  "SEQUENCE_GAP",
  "HASH_MISMATCH",
  "HASH_INVALID",
  "SIGNATURE_INVALID",
  "MALFORMED",
  "WRONG_CHAIN",
  "CUT_OFF",
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface AuditFault {
  readonly kind: FaultKind;
  /** Of the event at fault, or of the one that should be there. */
  readonly sequence: number;
  readonly reason: string;
}

export interface VerifyOptions {
  readonly cluster: string;
  readonly node: string;
  /** The event before the first one; the beginning when absent. */
  readonly from?: ChainHead | undefined;
  /** Raw Ed25519 key that the node had under that certificate, past ones too; undefined: it never had it (AUD-13). */
  readonly keyOf: (certificate: string) => Uint8Array | undefined;
  readonly verify: (key: Uint8Array, digest: Uint8Array, signature: string) => boolean;
  /** Hashes that are known from elsewhere, such as checkpoints, by sequence. */
  readonly known?: ReadonlyMap<number, Uint8Array> | undefined;
  readonly onEvent?: ((event: AuditEvent, hash: Uint8Array) => void) | undefined;
}

export class ChainVerifier {
  readonly #options: VerifyOptions;
  #head: ChainHead;
  /** All events up to this one are signed. */
  #signed: number;
  #fault: AuditFault | undefined;

  constructor(options: VerifyOptions) {
    this.#options = options;
    this.#head = options.from ?? emptyChain;
    this.#signed = this.#head.sequence;
  }

  get head(): ChainHead {
    return this.#head;
  }
  get signedTo(): number {
    return this.#signed;
  }
  get fault(): AuditFault | undefined {
    return this.#fault;
  }

  /** Lines with their ends; a last one without it is malformed. False: there is a fault. */
  take(lines: string): boolean {
    for (let at = 0; at < lines.length && this.#fault === undefined; ) {
      const end = lines.indexOf("\n", at);
      if (end < 0) this.#fail("MALFORMED", "the last line has no end");
      else this.#line(lines.slice(at, end));
      at = end + 1;
    }
    return this.#fault === undefined;
  }

  /** Nothing follows: what is known of later events is missing. */
  end(): AuditFault | undefined {
    if (this.#fault !== undefined) return this.#fault;
    for (const sequence of this.#options.known?.keys() ?? [])
      if (sequence > this.#head.sequence) {
        this.#fail("CUT_OFF", `the chain ends, and event ${sequence} is known to have been there`);
        break;
      }
    return this.#fault;
  }

  #fail(kind: FaultKind, reason: string, sequence = this.#head.sequence + 1): void {
    this.#fault ??= { kind, sequence, reason };
  }

  #line(text: string): void {
    const line = readLine(text);
    if (line === undefined) {
      this.#fail("MALFORMED", "a line is neither head, event nor signature");
      return;
    }
    const problem =
      line.kind === "head"
        ? this.#headProblem(line)
        : line.kind === "event"
          ? this.#event(line)
          : this.#run(line);
    // A signature is of events that are there already.
    if (problem !== undefined) this.#fail(...problem, this.#head.sequence + (line.kind === "run" ? 0 : 1));
  }

  #headProblem(line: AuditLine & { readonly kind: "head" }): Problem | undefined {
    const { cluster, node } = this.#options;
    if (line.format !== auditFormat) return ["MALFORMED", `format ${line.format} is not known`];
    if (line.cluster !== cluster || line.node !== node)
      return ["WRONG_CHAIN", `a file of node ${line.node} of cluster ${line.cluster}`];
    return undefined;
  }

  #event({ previous, hash, text }: AuditLine & { readonly kind: "event" }): Problem | undefined {
    const { node, known, onEvent } = this.#options;
    const next = this.#head.sequence + 1;
    const event = readEvent(text);
    if (event === undefined) return ["HASH_INVALID", `what stands in place of event ${next} is none`];
    if (event.event_sequence !== next)
      return ["SEQUENCE_GAP", `event ${event.event_sequence} follows event ${next - 1}`];
    if (!isEqual(previous, this.#head.hash))
      return ["HASH_MISMATCH", `event ${next} does not name the hash of event ${next - 1}`];
    if (!isEqual(hash, eventHash(text, previous)))
      return ["HASH_INVALID", `event ${next} is not what its hash says`];
    if (eventText(event) !== text) return ["MALFORMED", `event ${next} is not in its canonical form`];
    if (event.node_uuid !== node) return ["WRONG_CHAIN", `event ${next} is of node ${event.node_uuid}`];
    const vouched = known?.get(next);
    if (vouched !== undefined && !isEqual(vouched, hash))
      return ["HASH_MISMATCH", `event ${next} is another one than the cluster was told of`];
    this.#head = { sequence: next, hash };
    onEvent?.(event, hash);
    return undefined;
  }

  #run({ sequence, certificate, signature }: AuditLine & { readonly kind: "run" }): Problem | undefined {
    const { node, keyOf, verify } = this.#options;
    const { sequence: last, hash } = this.#head;
    if (sequence !== last)
      return ["SIGNATURE_INVALID", `a signature of events up to ${sequence} stands behind event ${last}`];
    const key = keyOf(certificate);
    if (key === undefined)
      return ["SIGNATURE_INVALID", `node ${node} never had the certificate ${certificate}`];
    if (hash === undefined || !verify(key, runDigest(node, this.#head), signature))
      return ["SIGNATURE_INVALID", `the signature of events up to ${last} does not verify`];
    this.#signed = last;
    return undefined;
  }
}

type Problem = readonly [kind: FaultKind, reason: string];

function isEqual(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
}
