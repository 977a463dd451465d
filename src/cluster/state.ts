/**
 * The control plane's state on one node: the catalog (and, with later parts, members, epochs, maps), changed only by
 * applying entries of the consensus log in order.
 *
 * Invariants: `apply` is deterministic: the same entries give the same state on every node. An entry is applied whole
 * or refused whole: it names the version of every object it read or changes, and a difference refuses it (40001).
 * Ids are never reused: `nextId` only rises.
 */
import { DbError } from "../base/errors.js";
import type {
  CatalogObject,
  CatalogReader,
  ConnectionRuleDesc,
  ConstraintDesc,
  IndexDesc,
  ObjectId,
  PolicyDesc,
  RelationDesc,
  RoleDesc,
  SchemaDesc,
  StatisticsDesc,
  VirtualTableDesc,
} from "../model/schema.js";

/** A catalog change: one DDL transaction. */
export interface CatalogChange {
  readonly type: "catalog";
  /** Id of each object that the change relied on, and the version it had (0: did not exist). */
  readonly expect: readonly (readonly [ObjectId, number])[];
  readonly puts: readonly CatalogObject[];
  readonly deletes: readonly ObjectId[];
  readonly nextId: number;
  /** The row transaction in limbo that commits or aborts with this entry (D8, C4). */
  readonly transaction?: { readonly shard: number; readonly id: number } | undefined;
  /** Earlier transactions that their shards have resolved: carried along, whatever becomes of the change itself. */
  readonly resolved?: TransactionsResolved["transactions"] | undefined;
}

/** Found in limbo without an entry: whichever entry comes first decides (C4). */
export interface AbortTransaction {
  readonly type: "abort";
  readonly transaction: { readonly shard: number; readonly id: number };
}

/** The shard has resolved these; their outcomes need no longer be kept. */
export interface TransactionsResolved {
  readonly type: "resolved";
  readonly transactions: readonly { readonly shard: number; readonly id: number }[];
}

export type Command = CatalogChange | AbortTransaction | TransactionsResolved;

export interface ApplyResult {
  readonly accepted: boolean;
  readonly error?: DbError | undefined;
}

interface Entry {
  readonly object: CatalogObject;
  readonly version: number;
}

/** Name key within the namespace an object's name is unique in; undefined when it has none. */
function nameKey(object: CatalogObject | VirtualTableDesc): string | undefined {
  switch (object.kind) {
    case "schema":
      return `schema:${object.name}`;
    case "table":
    case "view":
    case "sequence":
    case "index":
    case "virtual":
      return `relation:${object.schemaId}:${object.name}`;
    case "constraint":
      return `constraint:${object.tableId}:${object.name}`;
    case "role":
      return `role:${object.name}`;
    case "database":
      return `database:${object.name}`;
    case "statistics":
      return `statistics:${object.tableId}`;
    case "comment":
      return `comment:${object.objectId}:${object.column}`;
    case "setting":
      return `setting:${object.name}`;
    case "cluster":
      return "cluster:";
    case "connectionRule":
      return `connectionRule:${object.name}`;
    case "policy":
      return `policy:${object.tableId}:${object.name}`;
  }
}

/** The object whose lists (indexes, constraints, references) an object appears in. */
function listKeys(object: CatalogObject): string[] {
  switch (object.kind) {
    case "index":
      return [`indexes:${object.tableId}`];
    case "constraint":
      return object.type === "foreignKey"
        ? [`constraints:${object.tableId}`, `references:${object.referencedTableId}`]
        : [`constraints:${object.tableId}`];
    case "connectionRule":
      return ["connectionRules"];
    case "policy":
      return [`policies:${object.tableId}`];
    default:
      return [];
  }
}

/** Look-ups shared by the applied state and by a transaction's draft over it. */
abstract class CatalogView implements CatalogReader {
  abstract get version(): number;
  abstract versionOf(id: ObjectId): number;
  abstract get(id: ObjectId): CatalogObject | VirtualTableDesc | undefined;
  abstract idByName(key: string): ObjectId | undefined;
  abstract list(key: string): readonly ObjectId[];
  abstract objects(): Iterable<CatalogObject>;
  abstract virtualRelations(): Iterable<VirtualTableDesc>;

  #ofKind<Kind extends (CatalogObject | VirtualTableDesc)["kind"]>(
    id: ObjectId | undefined,
    ...kinds: Kind[]
  ): Extract<CatalogObject | VirtualTableDesc, { kind: Kind }> | undefined {
    if (id === undefined) return undefined;
    const object = this.get(id);
    if (object === undefined || !(kinds as string[]).includes(object.kind)) return undefined;
    return object as Extract<CatalogObject | VirtualTableDesc, { kind: Kind }>;
  }

  schemaByName(name: string): SchemaDesc | undefined {
    return this.#ofKind(this.idByName(`schema:${name}`), "schema");
  }
  schemaById(id: ObjectId): SchemaDesc | undefined {
    return this.#ofKind(id, "schema");
  }
  relation(schemaId: ObjectId, name: string): RelationDesc | undefined {
    return this.#ofKind(
      this.idByName(`relation:${schemaId}:${name}`),
      "table",
      "view",
      "sequence",
      "virtual",
    );
  }
  relationById(id: ObjectId): RelationDesc | undefined {
    return this.#ofKind(id, "table", "view", "sequence", "virtual");
  }
  indexByName(schemaId: ObjectId, name: string): IndexDesc | undefined {
    return this.#ofKind(this.idByName(`relation:${schemaId}:${name}`), "index");
  }
  indexById(id: ObjectId): IndexDesc | undefined {
    return this.#ofKind(id, "index");
  }
  indexesOf(tableId: ObjectId): readonly IndexDesc[] {
    return this.list(`indexes:${tableId}`).map((id) => this.get(id) as IndexDesc);
  }
  constraintsOf(tableId: ObjectId): readonly ConstraintDesc[] {
    return this.list(`constraints:${tableId}`).map((id) => this.get(id) as ConstraintDesc);
  }
  referencesTo(tableId: ObjectId): readonly (ConstraintDesc & { type: "foreignKey" })[] {
    return this.list(`references:${tableId}`).map(
      (id) => this.get(id) as ConstraintDesc & { type: "foreignKey" },
    );
  }
  policiesOf(tableId: ObjectId): readonly PolicyDesc[] {
    return this.list(`policies:${tableId}`).map((id) => this.get(id) as PolicyDesc);
  }
  policyByName(tableId: ObjectId, name: string): PolicyDesc | undefined {
    return this.#ofKind(this.idByName(`policy:${tableId}:${name}`), "policy");
  }
  statisticsOf(tableId: ObjectId): StatisticsDesc | undefined {
    return this.#ofKind(this.idByName(`statistics:${tableId}`), "statistics");
  }
  roleByName(name: string): RoleDesc | undefined {
    return this.#ofKind(this.idByName(`role:${name}`), "role");
  }
  roleById(id: ObjectId): RoleDesc | undefined {
    return this.#ofKind(id, "role");
  }
  constraintByName(tableId: ObjectId, name: string): ConstraintDesc | undefined {
    return this.#ofKind(this.idByName(`constraint:${tableId}:${name}`), "constraint");
  }
  /** Those somebody made, in no order. */
  connectionRules(): readonly ConnectionRuleDesc[] {
    return this.list("connectionRules").map((id) => this.get(id) as ConnectionRuleDesc);
  }
  comment(objectId: ObjectId, column: number): string | undefined {
    return this.#ofKind(this.idByName(`comment:${objectId}:${column}`), "comment")?.text;
  }
}

export class CatalogState extends CatalogView {
  readonly #entries = new Map<ObjectId, Entry>();
  readonly #names = new Map<string, ObjectId>();
  readonly #lists = new Map<string, readonly ObjectId[]>();
  readonly #virtuals = new Map<ObjectId, VirtualTableDesc>();
  readonly #virtualNames = new Map<string, ObjectId>();
  /** "shard:id" -> committed, kept until the shard reports it resolved. */
  readonly #outcomes = new Map<string, boolean>();
  #version = 0;
  #nextId: number;

  constructor(virtuals: Iterable<VirtualTableDesc>, firstId: number) {
    super();
    this.#nextId = firstId;
    for (const virtual of virtuals) {
      this.#virtuals.set(virtual.id, virtual);
      this.#virtualNames.set(nameKey(virtual)!, virtual.id);
    }
  }

  get version(): number {
    return this.#version;
  }
  get nextId(): number {
    return this.#nextId;
  }
  versionOf(id: ObjectId): number {
    return this.#entries.get(id)?.version ?? 0;
  }
  get(id: ObjectId): CatalogObject | VirtualTableDesc | undefined {
    return this.#entries.get(id)?.object ?? this.#virtuals.get(id);
  }
  idByName(key: string): ObjectId | undefined {
    return this.#names.get(key) ?? this.#virtualNames.get(key);
  }
  list(key: string): readonly ObjectId[] {
    return this.#lists.get(key) ?? [];
  }
  *objects(): Iterable<CatalogObject> {
    for (const entry of this.#entries.values()) yield entry.object;
  }
  virtualRelations(): Iterable<VirtualTableDesc> {
    return this.#virtuals.values();
  }

  /** What became of a transaction that waited in limbo; undefined: no entry decided it yet. */
  outcomeOf(shard: number, transaction: number): boolean | undefined {
    return this.#outcomes.get(`${shard}:${transaction}`);
  }

  /** Transactions whose outcome is still kept. */
  *decided(): Iterable<{ readonly shard: number; readonly id: number }> {
    for (const key of this.#outcomes.keys()) {
      const [shard, id] = key.split(":");
      yield { shard: Number(shard), id: Number(id) };
    }
  }

  apply(command: Command): ApplyResult {
    switch (command.type) {
      case "catalog":
        return this.#applyChange(command);
      case "abort": {
        const key = `${command.transaction.shard}:${command.transaction.id}`;
        if (!this.#outcomes.has(key)) this.#outcomes.set(key, false);
        return { accepted: true };
      }
      case "resolved":
        this.#forget(command.transactions);
        return { accepted: true };
    }
  }

  #forget(transactions: TransactionsResolved["transactions"]): void {
    for (const { shard, id } of transactions) this.#outcomes.delete(`${shard}:${id}`);
  }

  #applyChange(change: CatalogChange): ApplyResult {
    if (change.resolved !== undefined) this.#forget(change.resolved);
    const limbo =
      change.transaction === undefined ? undefined : `${change.transaction.shard}:${change.transaction.id}`;
    const error = this.#refusal(change, limbo);
    // Ids drawn by a refused change are gone all the same: a rival may have seen them.
    this.#nextId = Math.max(this.#nextId, change.nextId);
    if (error !== undefined) {
      if (limbo !== undefined && !this.#outcomes.has(limbo)) this.#outcomes.set(limbo, false);
      return { accepted: false, error };
    }
    this.#version++;
    for (const id of change.deletes) this.#remove(id);
    // Names move before they are taken: a swap of two names in one change is legal.
    for (const object of change.puts) this.#unname(object.id);
    for (const object of change.puts) this.#put(object);
    if (limbo !== undefined) this.#outcomes.set(limbo, true);
    return { accepted: true };
  }

  /** Why the change would be refused if it were applied now. */
  refusal(change: CatalogChange): DbError | undefined {
    const { transaction } = change;
    return this.#refusal(
      change,
      transaction === undefined ? undefined : `${transaction.shard}:${transaction.id}`,
    );
  }

  #refusal(change: CatalogChange, limbo: string | undefined): DbError | undefined {
    if (limbo !== undefined && this.#outcomes.get(limbo) === false) {
      return new DbError(
        "serializationFailure",
        "the transaction was rolled back while its catalog change was under way",
      );
    }
    for (const [id, version] of change.expect) {
      if (this.versionOf(id) !== version) {
        return new DbError(
          "serializationFailure",
          "could not commit the catalog change: an object it relies on was changed meanwhile",
          { hint: "Run the transaction again." },
        );
      }
    }
    const changed = new Set([...change.deletes, ...change.puts.map((object) => object.id)]);
    const names = new Set<string>();
    for (const object of change.puts) {
      const key = nameKey(object);
      if (key !== undefined && names.has(key))
        return new DbError("duplicateObject", "two objects of one catalog change have the same name");
      if (key !== undefined) names.add(key);
      const holder = key === undefined ? undefined : this.#names.get(key);
      if (holder !== undefined && holder !== object.id && !changed.has(holder)) {
        return new DbError(
          "serializationFailure",
          `could not commit the catalog change: the name of object ${object.id} was taken meanwhile`,
          { hint: "Run the transaction again." },
        );
      }
    }
    return undefined;
  }

  #unname(id: ObjectId): void {
    const entry = this.#entries.get(id);
    const key = entry === undefined ? undefined : nameKey(entry.object);
    if (key !== undefined && this.#names.get(key) === id) this.#names.delete(key);
  }

  #put(object: CatalogObject): void {
    const before = this.#entries.get(object.id);
    if (before !== undefined) this.#delist(before.object);
    this.#entries.set(object.id, { object, version: this.#version });
    const key = nameKey(object);
    if (key !== undefined) this.#names.set(key, object.id);
    for (const list of listKeys(object)) {
      this.#lists.set(
        list,
        [...(this.#lists.get(list) ?? []), object.id].sort((a, b) => a - b),
      );
    }
  }

  #remove(id: ObjectId): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#unname(id);
    this.#delist(entry.object);
    this.#entries.delete(id);
  }

  #delist(object: CatalogObject): void {
    for (const list of listKeys(object)) {
      const rest = (this.#lists.get(list) ?? []).filter((id) => id !== object.id);
      if (rest.length === 0) this.#lists.delete(list);
      else this.#lists.set(list, rest);
    }
  }

  /** Everything, as plain data that `restoreFrom` takes: for a snapshot of the log. */
  saved(): unknown {
    return {
      version: this.#version,
      nextId: this.#nextId,
      entries: [...this.#entries.values()],
      outcomes: [...this.#outcomes],
    };
  }

  /** Replaces everything. */
  restoreFrom(saved: unknown): void {
    const state = saved as {
      version: number;
      nextId: number;
      entries: Entry[];
      outcomes: [string, boolean][];
    };
    this.#entries.clear();
    this.#names.clear();
    this.#lists.clear();
    this.#outcomes.clear();
    for (const { object, version } of state.entries) {
      this.#version = version;
      this.#put(object);
    }
    for (const [key, outcome] of state.outcomes) this.#outcomes.set(key, outcome);
    this.#version = state.version;
    this.#nextId = state.nextId;
  }
}

/** Of ids drawn by different nodes at once. */
const idLanes = 32;

/**
 * Draws ids for new objects, raised past everything the state has seen. Nodes that draw at the same time stay apart: each
 * takes every 32nd id in a cluster, and all of them while it is alone. Should two meet all the same, the second change is
 * refused (40001).
 */
export class IdSource {
  #next = 0;
  constructor(
    readonly state: CatalogState,
    /** A number of this node among several; undefined: it is alone. */
    readonly lane: () => number | undefined = () => undefined,
  ) {}
  draw(): ObjectId {
    let id = this.next;
    const lane = this.lane();
    if (lane !== undefined) id += (idLanes + (lane % idLanes) - (id % idLanes)) % idLanes;
    this.#next = id + 1;
    return id;
  }
  get next(): ObjectId {
    return Math.max(this.#next, this.state.nextId);
  }
  /** Ids below were drawn in an earlier life, by changes that may never have been applied: storage may still know them. */
  skipTo(id: ObjectId): void {
    this.#next = Math.max(this.#next, id);
  }
}

/**
 * A DDL transaction's private catalog: its own changes over the applied state (D8). Reading through it is how the
 * transaction's later statements see what it made. `toCommand` is the entry that commits it.
 */
export class CatalogDraft extends CatalogView {
  /** undefined: deleted. */
  readonly #changes = new Map<ObjectId, CatalogObject | undefined>();
  readonly #expect = new Map<ObjectId, number>();
  #names = new Map<string, ObjectId | null>();
  #edition = 0;

  constructor(
    readonly base: CatalogState,
    readonly ids: IdSource,
  ) {
    super();
  }

  get isEmpty(): boolean {
    return this.#changes.size === 0;
  }
  /** Fractional, so that no plan made over a draft passes for one of an applied version. */
  get version(): number {
    return this.isEmpty ? this.base.version : this.base.version + this.#edition / 1_000_000_007 + 1e-9;
  }
  versionOf(id: ObjectId): number {
    return this.#changes.has(id) ? -1 - this.#edition : this.base.versionOf(id);
  }
  get(id: ObjectId): CatalogObject | VirtualTableDesc | undefined {
    return this.#changes.has(id) ? this.#changes.get(id) : this.base.get(id);
  }
  idByName(key: string): ObjectId | undefined {
    const own = this.#names.get(key);
    if (own !== undefined) return own ?? undefined;
    return this.base.idByName(key);
  }
  list(key: string): readonly ObjectId[] {
    const kept = this.base.list(key).filter((id) => !this.#changes.has(id));
    const own: ObjectId[] = [];
    for (const [id, object] of this.#changes) {
      if (object !== undefined && listKeys(object).includes(key)) own.push(id);
    }
    return own.length === 0 ? kept : [...kept, ...own].sort((a, b) => a - b);
  }
  *objects(): Iterable<CatalogObject> {
    for (const object of this.base.objects()) {
      if (!this.#changes.has(object.id)) yield object;
    }
    for (const object of this.#changes.values()) {
      if (object !== undefined) yield object;
    }
  }
  virtualRelations(): Iterable<VirtualTableDesc> {
    return this.base.virtualRelations();
  }

  draw(): ObjectId {
    return this.ids.draw();
  }

  put(object: CatalogObject): void {
    this.#touch(object.id);
    const before = this.get(object.id);
    const oldKey = before === undefined ? undefined : nameKey(before);
    const key = nameKey(object);
    if (oldKey !== undefined && oldKey !== key) this.#names.set(oldKey, null);
    this.#changes.set(object.id, object);
    if (key !== undefined) this.#names.set(key, object.id);
  }

  delete(id: ObjectId): void {
    const before = this.get(id);
    if (before === undefined) return;
    this.#touch(id);
    const key = nameKey(before);
    if (key !== undefined && this.idByName(key) === id) this.#names.set(key, null);
    this.#changes.set(id, undefined);
  }

  /** The change relies on this object staying as it is (a referenced table, the schema). */
  rely(id: ObjectId): void {
    if (!this.#expect.has(id)) this.#expect.set(id, this.base.versionOf(id));
  }

  #touch(id: ObjectId): void {
    this.rely(id);
    this.#edition++;
  }

  mark(): DraftMark {
    return { changes: new Map(this.#changes), names: new Map(this.#names) };
  }

  rollbackTo(mark: DraftMark): void {
    this.#changes.clear();
    for (const [id, object] of mark.changes) this.#changes.set(id, object);
    this.#names = new Map(mark.names);
    this.#edition++;
  }

  toCommand(transaction?: { shard: number; id: number }): CatalogChange {
    const puts: CatalogObject[] = [];
    const deletes: ObjectId[] = [];
    for (const [id, object] of this.#changes) {
      if (object !== undefined) puts.push(object);
      else if (this.base.get(id) !== undefined) deletes.push(id);
    }
    return {
      type: "catalog",
      expect: [...this.#expect],
      puts,
      deletes,
      nextId: this.ids.next,
      ...(transaction === undefined ? {} : { transaction }),
    };
  }

  /** Objects as they were and as they are: what storage must follow. */
  *differences(): Iterable<{ before: CatalogObject | undefined; after: CatalogObject | undefined }> {
    for (const [id, after] of this.#changes) {
      const before = this.base.get(id) as CatalogObject | undefined;
      yield { before, after };
    }
  }
}

export interface DraftMark {
  readonly changes: ReadonlyMap<ObjectId, CatalogObject | undefined>;
  readonly names: ReadonlyMap<string, ObjectId | null>;
}
