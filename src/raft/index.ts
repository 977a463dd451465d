/**
 * Consensus for the control plane (D14): Raft as a pure step function, and a driver that acts for it.
 *
 *     const effects = step(node, { kind: "tick" });
 *     // make effects.hard, .install, .append durable; then send, then apply
 *
 * `contract.ts` has the words, `core.ts` the node, `rules.ts` what its safety rests on. Not here: what the entries mean
 * (`cluster/`), sockets (`platform/`).
 */

export { decodeMessage, encodeMessage } from "./codec.js";
export type * from "./contract.js";
export { defaultLimits } from "./contract.js";
export { emptyEffects, RaftNode, type RaftStart, type Role, step } from "./core.js";
export { type PeerProgress, RaftDriver, type RaftDriverOptions, type StateMachine } from "./driver.js";
export { everybody, isJoint, isVoter, memberSet } from "./members.js";
export { decodeRecord, encodeRecords, findRecord, recordBytesMax } from "./records.js";
export { RaftRules, raftRules } from "./rules.js";
export { RaftStorage, type Recovered } from "./storage.js";
