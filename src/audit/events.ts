/**
 * What is audited: every type of event with its severity, in one table (AUD-17). Whoever adds one adds it here.
 *
 * Administrative events are those that are written before what they tell of is done, and counted for checkpoints.
 */
import type { Severity } from "./chain.js";

export interface EventDef {
  readonly severity: Severity;
  readonly administrative: boolean;
}

const info = (administrative = false): EventDef => ({ severity: "INFO", administrative });
const warning = (administrative = false): EventDef => ({ severity: "WARNING", administrative });
const critical = (administrative = false): EventDef => ({ severity: "CRITICAL", administrative });

export const auditEvents = {
  LOGIN_SUCCESS: info(),
  LOGIN_FAILURE: warning(),
  LOGOUT: info(),
  QUERY_EXECUTED: info(),
  DML_EXECUTED: info(),
  PERMISSION_DENIED: warning(),
  DDL_EXECUTED: warning(true),
  PERMISSION_GRANTED: warning(true),
  PERMISSION_REVOKED: warning(true),
  ROLE_GRANTED: warning(true),
  ROLE_REVOKED: warning(true),
  /** A statement of spec/15 that changes the cluster; refused ones too (SQL-8). */
  CLUSTER_ADMIN: warning(true),
  /** An administrative action that was written down and then not done: names the event, and why. */
  ACTION_FAILED: warning(true),
  /** Of such an action it is not known whether it was done. */
  ACTION_UNKNOWN: warning(true),
  AUDIT_POLICY_CHANGED: critical(true),
  ENCRYPTION_KEY_ROTATED: critical(true),
  CERTIFICATE_ISSUED: warning(true),
  CERTIFICATE_REVOKED: warning(true),
  /** A CA is revoked in an emergency. */
  CA_EMERGENCY: critical(true),
  /** Its key is given out in shares, or brought back from them. */
  CA_KEY_CUSTODY: critical(true),
  POLICY_VIOLATION: critical(),
  PEER_REFUSED: warning(),
  /** A statement or an answer of another node was refused: the two do not hold the same security bundle. */
  SECURITY_BUNDLE_MISMATCH: critical(),
  NODE_JOINED: info(),
  NODE_LEFT: info(),
  NODE_STATE_CHANGED: info(),
  LEADER_ELECTED: info(),
  EPOCH_PUBLISHED: info(),
  EPOCH_EFFECTIVE: info(),
  EPOCH_REFUSED: warning(),
  SHARD_MIGRATED: info(),
  SHARD_FAILOVER: warning(),
  NODE_DEMOTED: warning(),
  JOB_EXECUTED: info(),
  BACKUP_CREATED: critical(true),
  RESTORE_STARTED: critical(true),
  DATA_EXPORT: critical(true),
  DATA_DELETION: critical(true),
  AUDIT_READ: info(),
  CHECKPOINT_CREATED: info(),
  NODE_STARTED: info(),
  NODE_STOPPED: info(),
} as const satisfies Record<string, EventDef>;

export type EventType = keyof typeof auditEvents;
