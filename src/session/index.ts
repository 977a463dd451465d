/**
 * Sessions: from a client's messages to statements run on the shard, and back. `Server` is what the wire and the node
 * see; `session.ts` is the life of one client; `ddl/` changes the catalog; `views/` computes the system catalogs.
 */
export { Audit, type AuditActor, type AuditPayload } from "./audit.js";
export { AuditCheckpoints } from "./audit-checkpoints.js";
export { verifyRange } from "./audit-read.js";
export { ClusterAudit } from "./cluster-audit.js";
export type {
  MaybePromise,
  Notice,
  ResultSink,
  Session,
  SessionHost,
  SessionStart,
  StatementDescription,
  TransactionStatus,
} from "./contract.js";
export { type Metric, Server, type ServerOptions } from "./server.js";
export { servingProblem } from "./serving.js";
export { SpillFiles, spillFolder } from "./spill-files.js";
export { virtualRelations } from "./views/index.js";
