/** Rows of `sys` and of Firebird's MON$ tables. Keys of `sys` relations carry the schema's name. */

import { settingDef as clusterSettingDef } from "../../cluster/settings.js";
import { clusterSettingRows } from "./cluster.js";
import type { Provider, SessionInfo, ViewContext } from "./context.js";
import type { CatalogRow } from "./registry.js";

const shardName = (ordinal: number): string => `shard_${String(ordinal).padStart(3, "0")}`;
const odsMajor = 1;

/** Codes of MON$ISOLATION_MODE: 0 consistency, 1 concurrency, 4 read committed with read consistency. */
const isolationCodes = { serializable: 0, repeatableRead: 1, readCommitted: 4 } as const;
const isolationTexts = {
  serializable: "SERIALIZABLE",
  repeatableRead: "REPEATABLE READ",
  readCommitted: "READ COMMITTED",
} as const;

/** Non-administrators see themselves only (spec/15). */
function* visibleSessions(context: ViewContext): Iterable<SessionInfo> {
  for (const session of context.sessions())
    if (context.isSuperuser || session.userId === context.roleId) yield session;
}

export const systemProviders: Readonly<Record<string, Provider>> = {
  *mon$database(context): Iterable<CatalogRow> {
    for (const engine of context.shards) {
      const { markers } = engine;
      yield {
        mon$database_name: context.database.name,
        mon$page_size: context.pageSize,
        mon$ods_major: odsMajor,
        mon$ods_minor: 0,
        mon$oldest_transaction: markers.oldestInteresting,
        mon$oldest_active: markers.oldestActive,
        mon$oldest_snapshot: markers.oldestSnapshot,
        mon$next_transaction: markers.next,
        mon$page_buffers: context.poolPages,
        mon$sweep_interval: markers.sweepInterval,
        mon$shard: shardName(engine.shard),
      };
    }
  },
  *mon$transactions(context): Iterable<CatalogRow> {
    const markers = context.shards[0]?.markers;
    for (const session of visibleSessions(context)) {
      if (session.transactionStart === null) continue;
      yield {
        mon$transaction_id: session.transactionId === 0 ? null : session.transactionId,
        mon$attachment_id: session.pid,
        mon$state: session.state === "active" ? 1 : 0,
        mon$timestamp: session.transactionStart,
        mon$top_transaction: session.transactionId === 0 ? null : session.transactionId,
        mon$oldest_transaction: markers?.oldestInteresting ?? null,
        mon$oldest_active: markers?.oldestActive ?? null,
        mon$isolation_mode: isolationCodes[session.isolation],
        mon$lock_timeout: -1,
        mon$read_only: session.readOnly ? 1 : 0,
      };
    }
  },
  *mon$attachments(context): Iterable<CatalogRow> {
    for (const session of visibleSessions(context)) {
      yield {
        mon$attachment_id: session.pid,
        mon$server_pid: session.pid,
        mon$state: session.state === "active" ? 1 : 0,
        mon$attachment_name: session.database,
        mon$user: session.user,
        mon$remote_protocol: "postgres",
        mon$remote_address: session.clientAddress,
        mon$timestamp: session.backendStart,
      };
    }
  },
  *mon$statements(context): Iterable<CatalogRow> {
    for (const session of visibleSessions(context)) {
      yield {
        mon$statement_id: session.pid,
        mon$attachment_id: session.pid,
        mon$transaction_id: session.transactionId === 0 ? null : session.transactionId,
        mon$state: session.state === "active" ? 1 : 0,
        mon$timestamp: session.queryStart,
        mon$sql_text: session.query,
      };
    }
  },
  *mon$locks(context): Iterable<CatalogRow> {
    for (const lock of context.tableLocks()) {
      yield {
        mon$lock_id: `${lock.table}/${lock.mode}/${lock.pid}`,
        mon$attachment_id: lock.pid,
        mon$lock_type: lock.mode,
        mon$resource: String(lock.table),
        mon$granted: lock.granted,
      };
    }
  },
  *"sys.settings"(context): Iterable<CatalogRow> {
    for (const setting of context.settings()) {
      // A client may have sent one of that name.
      if (clusterSettingDef(setting.name) !== undefined) continue;
      yield {
        name: setting.name,
        value: setting.setting,
        default_value: setting.bootValue,
        unit: setting.unit,
        source: setting.source,
        description: setting.description,
      };
    }
    yield* clusterSettingRows(context);
  },
  *"sys.sessions"(context): Iterable<CatalogRow> {
    for (const session of visibleSessions(context)) {
      yield {
        session_id: session.pid,
        connection_id: session.pid,
        user_name: session.user,
        database_name: session.database,
        protocol: "postgres",
        client_addr: session.clientAddress,
        client_port: session.clientPort,
        state: session.state,
        connected_at: session.backendStart,
        last_activity_at: session.stateChange,
        transaction_id: session.transactionId === 0 ? null : session.transactionId,
        current_query: session.query,
        wait_event: session.waitEvent,
      };
    }
  },
  *"sys.transactions"(context): Iterable<CatalogRow> {
    for (const session of visibleSessions(context)) {
      if (session.transactionStart === null) continue;
      yield {
        transaction_id: session.transactionId === 0 ? null : session.transactionId,
        session_id: session.pid,
        shard: shardName(context.shards[0]?.shard ?? 1),
        state: session.state,
        isolation_level: isolationTexts[session.isolation],
        read_only: session.readOnly,
        start_time: session.transactionStart,
        current_query: session.query,
      };
    }
  },
  *"sys.shards"(context): Iterable<CatalogRow> {
    for (const engine of context.shards)
      yield { shard_id: engine.shard, shard_name: shardName(engine.shard), state: "ACTIVE" };
  },
  *"sys.performance"(context): Iterable<CatalogRow> {
    for (const { metric, value, unit, scope } of context.performance()) {
      yield {
        metric,
        value,
        unit,
        scope,
        database_name: context.database.name,
        updated_at: context.now,
      };
    }
  },
  *"sys.sweep_status"(context): Iterable<CatalogRow> {
    for (const engine of context.shards) {
      const { markers } = engine;
      yield {
        shard: shardName(engine.shard),
        oit: markers.oldestInteresting,
        oat: markers.oldestActive,
        ost: markers.oldestSnapshot,
        next: markers.next,
        sweep_interval: markers.sweepInterval,
        sweep_running: false,
      };
    }
  },
};
