/**
 * Multi-generational storage: writers put new record versions in place and keep the old ones behind them; readers never
 * wait for writers, and writers never for readers.
 *
 * Ann (t7) sets v = 2 while Bob's snapshot is from before: the row reads `v=2 by t7`, behind it a delta `v=1 by t3`, and
 * Bob sees v = 1. When Ann commits, her transaction gets a number; snapshots from then on are at or above it. Rolling
 * back is two bits: the row is backed out by whoever meets it next.
 *
 * Read `inventory.ts` (what became of a transaction), `table-state.ts` (which version a snapshot sees), `table.ts` (what a
 * writer does), `engine.ts` (commit), `sweep.ts` (collection). Pages are `storage/heap.ts` and `storage/table-space.ts`.
 *
 * Not here: copies of a shard (`replication/`), locks on whole tables (`shard/`), SQL types and expressions.
 */
export { AbsentEngine } from "./absent.js";
export type * from "./contract.js";
export { slotsPerPageMax } from "./contract.js";
export { EngineCore, type EngineOptions, ObjectKind, openEngine } from "./engine.js";
export type { SpillFactory, SpillRun } from "./key-sort.js";
export { EnginePageScan } from "./scan.js";
export {
  type ColumnArray,
  columnArray,
  decodeSlots,
  findColumn,
  isPlainPage,
  offsetShift,
  type PageColumns,
  writerArray,
} from "./vectors.js";
export { LockWait, WaitGraph, WaitParty } from "./wait-graph.js";
