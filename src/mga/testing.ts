/** An engine over a simulated disk, and table descriptions, for tests and benchmarks. */
import type { TypeRef } from "../model/schema.js";
import type { Value } from "../model/value.js";
import type { Clock } from "../platform/index.js";
import { openTestStorage, type TestStoreOptions } from "../storage/testing.js";
import { EngineMemory } from "../wasm/index.js";
import type { IndexSpec, TableSpec } from "./contract.js";
import { EngineCore } from "./engine.js";

export const types = {
  bool: { oid: 16, typmod: -1 },
  bytea: { oid: 17, typmod: -1 },
  int8: { oid: 20, typmod: -1 },
  int2: { oid: 21, typmod: -1 },
  int4: { oid: 23, typmod: -1 },
  text: { oid: 25, typmod: -1 },
  float8: { oid: 701, typmod: -1 },
  timestamptz: { oid: 1184, typmod: -1 },
  numeric: { oid: 1700, typmod: -1 },
  uuid: { oid: 2950, typmod: -1 },
} as const satisfies Record<string, TypeRef>;

export function tableSpec(
  storageId: number,
  columns: readonly TypeRef[],
  indexes: readonly IndexSpec[] = [],
  missing: readonly Value[] = [],
): TableSpec {
  return {
    id: storageId,
    name: `t${storageId}`,
    storageId,
    format: 1,
    columns: columns.map((type, position) => ({
      type,
      notNull: false,
      dropped: false,
      missing: missing[position] ?? null,
    })),
    indexes,
  };
}

export function indexSpec(
  storageId: number,
  table: readonly TypeRef[],
  columns: readonly number[],
  unique = false,
): IndexSpec {
  return {
    id: storageId,
    name: `i${storageId}`,
    storageId,
    unique,
    nullsNotDistinct: false,
    columns: columns.map((column) => ({ type: table[column]!, descending: false, nullsFirst: false })),
    dependsOn: columns,
    tableColumns: columns,
    key: (row) => columns.map((column) => row[column]!),
  };
}

export interface TestEngine {
  readonly engine: EngineCore;
  readonly storage: ReturnType<typeof openTestStorage>;
}

export function openTestEngine(options: TestStoreOptions = {}, given?: Clock): TestEngine {
  const storage = openTestStorage(options);
  const clock = given ?? storage.disk.clock;
  const store = storage.shards[0]!;
  const { pool } = store;
  const memory = pool instanceof EngineMemory ? pool : undefined;
  const engine = new EngineCore({
    store,
    clock,
    memory: { scratch: memory?.scratch ?? { start: 1 << 20, bytes: 1 << 20 } },
    collectEveryMs: 0,
  });
  engine.load();
  return { engine, storage };
}
