/** What the computed catalogs are computed from. */

import type { ClusterAdmin } from "../../cluster/contract.js";
import type { CatalogDraft, CatalogState, ChurnHour } from "../../cluster/index.js";
import type { Engine } from "../../mga/contract.js";
import type { CatalogReader, DatabaseDesc, ObjectId, TableDesc } from "../../model/schema.js";
import type { Value } from "../../model/value.js";
import type { Alert } from "../../observe/index.js";
import type { LockMode } from "../../shard/index.js";
import type { ClientCertificate, TlsFacts } from "../contract.js";

export interface SessionInfo {
  readonly pid: number;
  readonly user: string;
  readonly userId: ObjectId;
  readonly database: string;
  readonly applicationName: string;
  readonly clientAddress: string | null;
  readonly clientPort: number | null;
  /** Microseconds since 2000-01-01, as timestamptz values; null when there is none. */
  readonly backendStart: number;
  readonly transactionStart: number | null;
  readonly queryStart: number | null;
  readonly stateChange: number;
  readonly state: "active" | "idle" | "idle in transaction" | "idle in transaction (aborted)";
  readonly waitEventType: string | null;
  readonly waitEvent: string | null;
  readonly query: string;
  readonly transactionId: number;
  readonly isolation: "readCommitted" | "repeatableRead" | "serializable";
  readonly readOnly: boolean;
  readonly encrypted: boolean;
  readonly tls: TlsFacts | undefined;
  readonly certificate: ClientCertificate | undefined;
}

export interface SettingInfo {
  readonly name: string;
  readonly setting: string | null;
  readonly unit: string | null;
  readonly category: string;
  readonly description: string;
  readonly context: string;
  readonly vartype: string;
  readonly source: string;
  readonly minimum: string | null;
  readonly maximum: string | null;
  readonly values: readonly string[] | null;
  readonly bootValue: string | null;
  readonly resetValue: string | null;
}

export interface ViewContext {
  readonly catalog: CatalogReader &
    Pick<CatalogState | CatalogDraft, "virtualRelations" | "comment" | "connectionRules">;
  readonly database: DatabaseDesc;
  readonly roleId: ObjectId;
  readonly isSuperuser: boolean;
  readonly shards: readonly Engine[];
  sessions(): Iterable<SessionInfo>;
  settings(): Iterable<SettingInfo>;
  tableLocks(): Iterable<{ pid: number; table: number; mode: LockMode; granted: boolean }>;
  tableSize(table: TableDesc): { readonly pages: number; readonly rows: number };
  sequenceValue(id: ObjectId): { readonly lastValue: bigint; readonly isCalled: boolean } | undefined;
  searchPathIds(): readonly ObjectId[];
  /** What pg_get_expr shows of a stored expression. */
  expressionText(text: string, relationId: ObjectId): string | null;
  /** Whether the session's role may be told of values of a column, in statistics of it. */
  showsColumn(table: TableDesc, place: number): boolean;
  preparedStatements(): Iterable<{
    name: string;
    statement: string;
    types: readonly number[];
    fromSql: boolean;
    preparedAt: number;
  }>;
  cursors(): Iterable<{
    name: string;
    statement: string;
    holdable: boolean;
    binary: boolean;
    scrollable: boolean;
    createdAt: number;
  }>;
  /** Members, settings and epochs as this node has them. */
  readonly cluster: Pick<ClusterAdmin, "view" | "status">;
  churn(): Iterable<ChurnHour>;
  performance(): Iterable<{ metric: string; value: number; unit: string; scope: string }>;
  alerts(): Iterable<Alert>;
  /** Microseconds since 2000-01-01. */
  readonly now: number;
  readonly poolPages: number;
  readonly pageSize: number;
}

export type Provider = (context: ViewContext) => Iterable<{ readonly [column: string]: Value }>;
