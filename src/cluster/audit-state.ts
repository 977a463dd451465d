/**
 * What the cluster knows of each node's audit chain (AUD-14): its checkpoints, without a gap, and the newest event that came
 * with a proposal since. Whoever cuts a chain, or writes it anew, differs from what all the others remember.
 *
 * Invariants: as of `ClusterState`: applied alike on every node, and refused whole or applied whole; a node says nothing of
 * another one's chain. Bounded: of each node the newest `checkpointsMax` checkpoints and one head.
 */
import { hash as hashWith } from "node:crypto";
import { canonicalJson } from "../audit/index.js";
import type { AuditCheckpoint, AuditHead, ErrorRecord, VerifySignature } from "./contract.js";

/** A year of one each two hours; the chain itself links them, and who is thorough verifies from an export that he keeps. */
export const checkpointsMax = 4000;

/** As a snapshot has it. */
export interface SavedAudit {
  readonly node: string;
  readonly checkpoints: readonly AuditCheckpoint[];
  readonly head: AuditHead | undefined;
}

interface Known {
  checkpoints: AuditCheckpoint[];
  head: AuditHead | undefined;
}

/** What a checkpoint's signature is of: 32 bytes. */
export function checkpointDigest(cluster: string, one: Omit<AuditCheckpoint, "signature">): Uint8Array {
  const { node, first, last, count, firstHash, lastHash, merkleRoot, at, certFingerprint } = one;
  const fields = [cluster, node, first, last, count, firstHash, lastHash, merkleRoot, at, certFingerprint];
  return hashWith("sha256", canonicalJson(["scratchbird audit checkpoint", ...fields]), "buffer");
}

export class AuditState {
  readonly #nodes = new Map<string, Known>();
  /** Counts every applied checkpoint. */
  version = 0;

  /** Oldest first. */
  checkpointsOf(node: string): readonly AuditCheckpoint[] {
    return this.#nodes.get(node)?.checkpoints ?? [];
  }
  lastOf(node: string): AuditCheckpoint | undefined {
    return this.#nodes.get(node)?.checkpoints.at(-1);
  }
  /** The newest event that the cluster was told of, in a checkpoint or with a proposal. */
  headOf(node: string): AuditHead | undefined {
    const known = this.#nodes.get(node);
    const last = known?.checkpoints.at(-1);
    if (known?.head !== undefined) return known.head;
    return last === undefined ? undefined : { sequence: last.last, hash: last.lastHash };
  }
  *checkpoints(): Iterable<AuditCheckpoint> {
    for (const { checkpoints } of this.#nodes.values()) yield* checkpoints;
  }

  #of(node: string): Known {
    let known = this.#nodes.get(node);
    if (known === undefined) this.#nodes.set(node, (known = { checkpoints: [], head: undefined }));
    return known;
  }

  /** An event was written before the proposal was handed in, whatever has become of the proposal. */
  noteHead(node: string, { sequence, hash }: AuditHead): void {
    if (sequence <= (this.headOf(node)?.sequence ?? 0)) return;
    this.#of(node).head = { sequence, hash };
  }

  /** Of a checkpoint whose form was checked, as its own node has proposed it. */
  apply(
    one: AuditCheckpoint,
    cluster: string,
    key: Uint8Array | undefined,
    verify: VerifySignature,
  ): ErrorRecord | undefined {
    const { node, first, last, count, lastHash } = one;
    const known = this.#nodes.get(node);
    const next = (known?.checkpoints.at(-1)?.last ?? 0) + 1;
    if (first !== next || last < first || count !== last - first + 1)
      return refused(
        `an audit checkpoint over events ${first} to ${last} does not follow from the one before it`,
        `AUDIT_GAP: the next one begins with event ${next}.`,
      );
    const head = known?.head;
    if (head?.sequence === last && head.hash !== lastHash)
      return refused(
        `event ${last} of an audit chain is another one than the cluster was told of`,
        "AUDIT_FORK: the chain was written anew.",
      );
    if (key === undefined || !verify(key, checkpointDigest(cluster, one), one.signature))
      return {
        condition: "invalidAuthorizationSpecification",
        message: "the signature of an audit checkpoint does not verify",
        detail: "SIGNATURE_INVALID: it does not count.",
      };
    const own = this.#of(node);
    own.checkpoints = [...own.checkpoints, one].slice(-checkpointsMax);
    if (head !== undefined && head.sequence <= last) own.head = undefined;
    this.version++;
    return undefined;
  }

  save(): SavedAudit[] {
    return [...this.#nodes].map(([node, { checkpoints, head }]) => ({ node, checkpoints, head }));
  }
  restore(saved: readonly SavedAudit[]): void {
    this.#nodes.clear();
    for (const { node, checkpoints, head } of saved)
      this.#nodes.set(node, { checkpoints: [...checkpoints], head });
    this.version++;
  }
}

function refused(message: string, detail: string): ErrorRecord {
  return { condition: "objectNotInPrerequisiteState", message, detail };
}
