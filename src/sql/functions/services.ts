/**
 * What system functions ask of the session: interfaces only, implemented where catalogs, sequences and sessions live.
 *
 * Invariants: OIDs are object ids; a method answers null (or undefined) for an object that does not exist, and the
 * function then returns NULL as PostgreSQL's does. Methods that change something are marked.
 */
import type { Interval, PgArray, Value, Wide } from "../../model/value.js";

export type ObjectKind =
  | "table"
  | "column"
  | "sequence"
  | "database"
  | "function"
  | "schema"
  | "language"
  | "tablespace"
  | "type"
  | "foreignDataWrapper"
  | "server"
  | "parameter"
  | "role"
  | "anyColumn";

/** Names and texts behind pg_get_*, *_is_visible, obj_description, has_*_privilege and sizes. */
export interface CatalogInfo {
  /** Name of a role; PostgreSQL shows "unknown (OID=n)" for undefined. */
  roleName(oid: number): string | undefined;
  isVisible(
    kind: "table" | "type" | "function" | "operator" | "collation" | "other",
    oid: number,
  ): boolean | null;
  /** Comment of an object; `catalog` is the name of the catalog it is in (pg_class, ...), undefined for any. */
  comment(oid: number, catalog: string | undefined, column: number): string | null;
  /** pg_get_expr: the text of a stored expression, which is what pg_node_tree columns already hold. */
  expressionText(text: string, relation: number, pretty: boolean): string | null;
  /** pg_get_indexdef; column 0 for the whole statement. */
  indexDefinition(oid: number, column: number, pretty: boolean): string | null;
  /** row_security_active: by name it throws for what is not there. */
  rowSecurityActive(relation: number | string): boolean | null;
  constraintDefinition(oid: number, pretty: boolean): string | null;
  viewDefinition(view: number | string, pretty: boolean): string | null;
  ruleDefinition(oid: number, pretty: boolean): string | null;
  triggerDefinition(oid: number, pretty: boolean): string | null;
  /** pg_get_serial_sequence: qualified name of the sequence a column owns; throws for unknown table or column. */
  serialSequence(table: string, column: string): string | null;
  /** Bytes; null for an unknown object. */
  tableSize(oid: number): Wide | null;
  indexesSize(oid: number): Wide | null;
  totalRelationSize(oid: number): Wide | null;
  relationSize(oid: number, fork: string): Wide | null;
  /** Throws for an unknown name (3D000), null for an unknown OID. */
  databaseSize(database: number | string): Wide | null;
  /**
   * has_*_privilege. `role` undefined is the current user, "public" PUBLIC. `privilege` is the text as given (a
   * comma-separated list, WITH GRANT OPTION allowed). Throws for unknown names and bad privilege words; null for
   * unknown OIDs.
   */
  hasPrivilege(
    kind: ObjectKind,
    role: number | string | undefined,
    object: number | string,
    privilege: string,
    column?: number | string,
  ): boolean | null;
  /** pg_relation_is_updatable: bit mask of events. */
  relationIsUpdatable(oid: number, includeTriggers: boolean): number;
  columnIsUpdatable(oid: number, column: number, includeTriggers: boolean): boolean;
  /** Whether the object exists among databases, for pg_table_is_visible's kin and \l. */
  filePath(oid: number): string | null;
}

export interface Sequences {
  /** Changes the sequence. */
  nextval(sequence: number): Wide;
  /** 55000 when nextval was not called in this session. */
  currval(sequence: number): Wide;
  lastval(): Wide;
  /** Changes the sequence. */
  setval(sequence: number, value: Wide, called: boolean): Wide;
  /** start, minimum, maximum, increment, cycle, cache, type OID. */
  parameters(sequence: number): readonly Value[] | null;
  lastValue(sequence: number): Wide | null;
}

export interface AdvisoryLocks {
  /** Key: one 64-bit number, or two 32-bit ones. Waits (by throwing a Wait) unless `tryOnly`. */
  lock(
    key: readonly Wide[],
    mode: "exclusive" | "shared",
    scope: "session" | "transaction",
    tryOnly: boolean,
  ): boolean;
  /** False (and a warning) when the lock was not held. */
  unlock(key: readonly Wide[], mode: "exclusive" | "shared"): boolean;
  unlockAll(): void;
}

/** The session and the server around it. */
export interface SessionInfo {
  /** version(): the server's full version line. */
  versionText(): string;
  /** Microseconds since 2000-01-01 UTC. */
  serverStart(): number;
  configurationLoadTime(): number;
  clientAddress(): { readonly address: string; readonly port: number } | null;
  serverAddress(): { readonly address: string; readonly port: number } | null;
  /** Current transaction's id, assigning one when it has none. */
  transactionId(assign: boolean): Wide | null;
  transactionStatus(id: Wide): string | null;
  snapshotText(): string;
  inRecovery(): boolean;
  /** Suspends the statement (by throwing a Wait) until the microseconds have passed. */
  sleep(micros: number): void;
  cancelBackend(pid: number): boolean;
  terminateBackend(pid: number, timeoutMs: number): boolean;
  notify(channel: string, payload: string): void;
  listeningChannels(): readonly string[];
  /** Processes that block the given one. */
  blockingPids(pid: number): readonly number[];
  reloadConfiguration(): boolean;
  /** Queries the planner's estimate needs nothing of: true while a transaction of the session holds the name. */
  temporarySchema(): number;
  isOtherTemporarySchema(oid: number): boolean;
  isMemberOf(role: number | string | undefined, member: number | string, privilege: string): boolean | null;
}

/** Administration of the cluster, as far as functions do it. */
export interface ClusterServices {
  /** Changes the cluster. Waits by throwing a Wait. Null: as usual. */
  createJoinToken(ttl: Interval | null, roles: PgArray | null): string;
  /** Whether a node's audit chain is whole from one event to another. Waits by throwing a Wait. Null: all of it; this node. */
  verifyAuditChain(start: Wide | null, end: Wide | null, node: string | null): boolean;
}

declare module "../../model/functions.js" {
  interface SessionServices {
    catalogInfo: CatalogInfo;
    sequences: Sequences;
    advisoryLocks: AdvisoryLocks;
    sessionInfo: SessionInfo;
    clusterAdmin: ClusterServices;
  }
}
