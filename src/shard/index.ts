/**
 * One shard behind one door: its engine, its table locks, and the checks that every caller passes, the session next to
 * it as well as a coordinator far away (D12). Generation, lease and bundle checks join here with the parts they
 * belong to.
 */
import { DbError } from "../base/errors.js";
import type { Engine, Table, TableSpec } from "../mga/contract.js";
import type { CatalogReader, ObjectId } from "../model/schema.js";
import { checkNeeds, type PrivilegeNeed } from "../security/privileges.js";
import type { PageStore } from "../storage/contract.js";
import type { TableLocks } from "./table-locks.js";
import { TableSpecs } from "./table-specs.js";

export { LockHolder, type LockMode, lockModes, TableLocks } from "./table-locks.js";
export { indexSpec, tableSpec } from "./table-specs.js";

export interface ShardOptions {
  readonly name: string;
  readonly engine: Engine;
  readonly store: PageStore;
  readonly locks: TableLocks;
  /** False: another node holds the shard, and nothing that is stored can be had here. */
  readonly isHere?: boolean;
}

export class Shard {
  readonly name: string;
  readonly engine: Engine;
  readonly store: PageStore;
  readonly locks: TableLocks;
  readonly isHere: boolean;
  readonly #specs = new TableSpecs();
  #closed: string | undefined;

  constructor(options: ShardOptions) {
    this.name = options.name;
    this.engine = options.engine;
    this.store = options.store;
    this.locks = options.locks;
    this.isHere = options.isHere ?? true;
  }

  /** Throws insufficientPrivilege (42501) unless the role may do all of it. */
  admit(catalog: CatalogReader, roleId: ObjectId, needs: readonly PrivilegeNeed[]): void {
    checkNeeds(catalog, roleId, needs);
  }

  spec(catalog: CatalogReader, tableId: ObjectId): TableSpec {
    return this.#specs.of(catalog, tableId);
  }

  /** Nothing that is stored is served for now, and why; undefined: it is. */
  close(reason: string | undefined): void {
    this.#closed = reason;
  }

  table(catalog: CatalogReader, tableId: ObjectId): Table {
    if (this.#closed !== undefined)
      throw new DbError("cannotConnectNow", `shard ${this.name} is not served yet: ${this.#closed}`, {
        hint: "It is once a quorum of the cluster's nodes is up.",
      });
    return this.engine.table(this.#specs.of(catalog, tableId));
  }

  forget(tableId: ObjectId): void {
    this.#specs.forget(tableId);
  }
}
