/**
 * What the command line does with a node's audit chain: check it offline, and write it into one file that needs nothing else
 * to be verified (`cli/audit-verify.ts`, by somebody who does not trust this program).
 *
 *     X 1 <cluster uuid> <node uuid>                  head of an export: format, whose chain it is
 *     K <certificate> <key>                           a key that the node had: SHA-256 of the certificate, raw Ed25519 in base64
 *     C <canonical JSON>                              a checkpoint that the cluster has noted
 *     H <sequence> <hash>                             the newest event that the cluster was told of
 *     A, E, S                                         the chain itself (`audit/chain.ts`)
 *
 * Invariant: the chain is written as it lies there, whatever is wrong with it.
 */
import { type AuditFault, type Canonical, ChainVerifier, canonicalJson, readChain } from "./audit/index.js";
import type { VerifySignature } from "./cluster/contract.js";
import type { ControlState } from "./cluster/index.js";
import type { Disk } from "./platform/index.js";

interface ChainOwner {
  readonly cluster: string;
  readonly node: string;
}

/** The first fault of a node's chain, held against what the cluster's log knows of it. */
export function offlineFault(
  disk: Disk,
  { cluster, node }: ChainOwner,
  state: ControlState,
  verify: VerifySignature,
): { readonly fault: AuditFault | undefined; readonly events: number } {
  const known = new Map<number, Uint8Array>();
  for (const { last, lastHash } of state.audit.checkpointsOf(node))
    known.set(last, Buffer.from(lastHash, "hex"));
  const newest = state.audit.headOf(node);
  if (newest !== undefined) known.set(newest.sequence, Buffer.from(newest.hash, "hex"));
  const keyOf = (certificate: string): Uint8Array | undefined => state.cluster.nodeKey(node, certificate);
  const verifier = new ChainVerifier({ cluster, node, keyOf, verify, known });
  for (const piece of readChain(disk)) if (!verifier.take(piece)) break;
  return { fault: verifier.end(), events: verifier.head.sequence };
}

/** The lines of an export. `running`: its last line may be half written. */
export function* exportLines(
  disk: Disk,
  { cluster, node }: ChainOwner,
  state: ControlState,
): Generator<string> {
  let head = `X 1 ${cluster} ${node}\n`;
  for (const [certificate, key] of state.cluster.nodeKeysOf(node))
    head += `K ${certificate} ${Buffer.from(key).toString("base64")}\n`;
  for (const checkpoint of state.audit.checkpointsOf(node))
    head += `C ${canonicalJson(checkpoint as unknown as Canonical)}\n`;
  const newest = state.audit.headOf(node);
  if (newest !== undefined) head += `H ${newest.sequence} ${newest.hash}\n`;
  yield head;
  for (const piece of readChain(disk)) {
    // A node that runs is about to write the rest of it.
    const end = piece.lastIndexOf("\n") + 1;
    yield piece.slice(0, end);
  }
}
