/**
 * The engine of a shard that another node holds. Sessions have one as they have any engine: transactions that touch no
 * stored object begin and end in it. What is stored is not here.
 *
 * Invariants: nothing of a table, index or sequence is ever made, read or dropped here; asking for it is 57P03.
 */
import { DbError } from "../base/errors.js";
import type { IndexBuild, IndexSpec, SequenceState, Table, TableSpec, Transaction } from "./contract.js";
import { EngineCore } from "./engine.js";

function elsewhere(): DbError {
  return new DbError("cannotConnectNow", "the node that holds the data is not reachable", {
    detail: "SHARD_UNAVAILABLE: this node has no copy of the shard.",
    hint: "Try again once that node is up; SHOW CLUSTER NODES tells which are.",
  });
}

export class AbsentEngine extends EngineCore {
  /** The catalog names it; the node that holds the shard makes it. */
  override createTable(_spec: TableSpec): void {}
  override createIndex(_table: TableSpec, _index: IndexSpec): void {}
  override createSequence(_storageId: number, _start: string): void {}
  override dropObject(_storageId: number): void {}
  override table(_spec: TableSpec): Table {
    throw elsewhere();
  }
  override buildIndex(_table: TableSpec, _index: IndexSpec, _own?: Transaction): IndexBuild {
    throw elsewhere();
  }
  override sequence(_storageId: number): SequenceState {
    throw elsewhere();
  }
}
