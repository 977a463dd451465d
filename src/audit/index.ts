/**
 * Who did what, so that nobody can change the record afterwards: a chain of hashed and signed events for each node (AUD-1..26).
 *
 * `chain.ts` says what an event is, `events.ts` which there are, `log.ts` how they become durable, `files.ts` where they lie,
 * `verify.ts` how they are checked, `merkle.ts` how one of them is proved. Nothing here knows of SQL or of the cluster.
 */
export { type Canonical, canonicalJson, isWellFormed, wellFormed } from "./canonical.js";
export {
  type AuditEvent,
  type AuditLine,
  auditFormat,
  type ChainHead,
  emptyChain,
  eventText,
  headLine,
  readEvent,
  readLine,
  runDigest,
  runLine,
  type Severity,
} from "./chain.js";
export { auditEvents, type EventDef, type EventType } from "./events.js";
export {
  type ChainPiece,
  type ChainPlace,
  claimedSequence,
  headBefore,
  listSegments,
  placeOf,
  readChain,
  readPiece,
} from "./files.js";
export { AuditLog, type AuditLogOptions, type RunSigner } from "./log.js";
export { leafHash, MerkleRoot, merkleRoot } from "./merkle.js";
export { type AuditFault, ChainVerifier, type FaultKind, faultKinds, type VerifyOptions } from "./verify.js";
