/**
 * Foreign keys: what a written row refers to, and what refers to a row that goes away.
 *
 * Checks use the newest committed state and the transaction's own writes, not the statement's snapshot (rule P3). A
 * referenced row is locked KEY SHARE, so it cannot go before the referring transaction ends. A key that is not there
 * yet is looked for again at the end of the statement (or at commit, when deferred): rows of one statement may refer to
 * each other. Actions on referring rows run at the end of the statement.
 *
 * Invariants: every check and action is a small machine that can be run again after a Wait: what is done is not done
 * twice. Errors are 23503 with PostgreSQL's wording. Memory for queued keys is taken from the statement's budget.
 */
import { assert, DbError, notSupported } from "../base/errors.js";
import type {
  Engine,
  IndexScan,
  IndexSpec,
  PageScan,
  RowId,
  Snapshot,
  Table,
  Transaction,
} from "../mga/contract.js";
import type { EvalContext } from "../model/functions.js";
import type { CatalogReader, ConstraintDesc, TableDesc } from "../model/schema.js";
import type { Value } from "../model/value.js";
import { keyDetail, notNullViolation, schemaName, showsKey, withKeyDetail } from "./constraints.js";
import type { ExecContext } from "./contract.js";
import { boundDeferred, isDeferred } from "./deferral.js";
import { SliceEnd } from "./runtime.js";
import { bytesOf } from "./spill.js";
import { UniqueChecks } from "./unique-checks.js";
import { equalsOf, ioCastOf, isIdentityType } from "./values.js";

export type ForeignKey = Extract<ConstraintDesc, { type: "foreignKey" }>;

/** The newest committed state plus everything the transaction has done. */
export function newestSnapshot(engine: Engine, transaction: Transaction): Snapshot {
  return engine.newestSnapshot?.(transaction) ?? engine.statementSnapshot(transaction);
}

function tableDesc(catalog: CatalogReader, id: number): TableDesc {
  const desc = catalog.relationById(id);
  assert(desc?.kind === "table", "a foreign key names a relation that is no table");
  return desc;
}

/** Converts key values between the types of the two sides, where their values differ in form. */
function converter(
  from: readonly number[],
  to: readonly number[],
): (values: readonly Value[], context: EvalContext) => readonly Value[] {
  const steps = from.map((type, i) => {
    const target = to[i]!;
    if (type === target || (isIdentityType(type) && isIdentityType(target))) return undefined;
    return ioCastOf({ oid: type, typmod: -1 }, { oid: target, typmod: -1 });
  });
  if (steps.every((step) => step === undefined)) return (values) => values;
  return (values, context) =>
    values.map((value, i) => (value === null ? null : (steps[i]?.(value, context) ?? value)));
}

const typesOf = (desc: TableDesc, columns: readonly number[]): number[] =>
  columns.map((column) => desc.columns[column]!.type.oid);
const namesOf = (desc: TableDesc, columns: readonly number[]): string[] =>
  columns.map((column) => desc.columns[column]!.name);

/** Reads columns of a row's newest version; undefined when the row is gone. */
function readNewest(
  table: Table,
  transaction: Transaction,
  row: RowId,
  columns: readonly number[],
): Value[] | undefined {
  const into: Value[][] = columns.map(() => []);
  return table.readNewest(transaction, row, columns, into, 0) ? into.map((column) => column[0]!) : undefined;
}

/** How many times a row may be found changed under the hand before the conflict is given to the caller. */
const attemptsMax = 1000;

/** The referring side of one constraint. */
class Reference {
  readonly #parentTypes: number[];
  readonly #childTypes: number[];
  readonly #convert: ReturnType<typeof converter>;
  constructor(
    readonly constraint: ForeignKey,
    readonly child: TableDesc,
    readonly parent: TableDesc,
  ) {
    this.#childTypes = typesOf(child, constraint.columns);
    this.#parentTypes = typesOf(parent, constraint.referencedColumns);
    this.#convert = converter(this.#childTypes, this.#parentTypes);
  }

  /** The key a row refers to; undefined when a NULL lets it pass. */
  keyOf(row: readonly Value[], context: ExecContext): Value[] | undefined {
    const { constraint, child } = this;
    const key = constraint.columns.map((column) => row[column]!);
    const nulls = key.filter((value) => value === null).length;
    if (nulls === 0) return key;
    if (constraint.match === "full" && nulls < key.length) {
      throw new DbError("foreignKeyViolation", this.#message(), {
        detail: "MATCH FULL does not allow mixing of null and nonnull key values.",
        schema: schemaName(context.catalog, child),
        table: child.name,
        constraint: constraint.name,
      });
    }
    return undefined;
  }
  #message(): string {
    return `insert or update on table "${this.child.name}" violates foreign key constraint "${this.constraint.name}"`;
  }

  /** Locks the referenced row; false when there is none. Throws Wait. */
  lockParent(key: readonly Value[], context: ExecContext): boolean {
    const { constraint } = this;
    const { engine, transaction } = context;
    const table = context.table(constraint.referencedTableId);
    const parentKey = this.#convert(key, context.eval);
    const indexKey = keyInIndexOrder(
      table,
      constraint.referencedIndexId,
      constraint.referencedColumns,
      parentKey,
    );
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const row = table.findNewest(transaction, constraint.referencedIndexId, indexKey);
      if (row === undefined) return false;
      const outcome = table.lock(transaction, newestSnapshot(engine, transaction), row, "keyShare", false);
      if (outcome === "done" || outcome === "self") return true;
    }
    throw new DbError("serializationFailure", "could not serialize access due to concurrent update");
  }

  violation(key: readonly Value[], context: ExecContext): DbError {
    const { constraint, child, parent } = this;
    const detail = showsKey(child, constraint.columns, context)
      ? keyDetail(namesOf(child, constraint.columns), key, this.#childTypes, context.eval)
      : "Key";
    return new DbError("foreignKeyViolation", this.#message(), {
      detail: `${detail} is not present in table "${parent.name}".`,
      schema: schemaName(context.catalog, child),
      table: child.name,
      constraint: constraint.name,
    });
  }
}

function keyInIndexOrder(
  table: Table,
  indexId: number,
  columns: readonly number[],
  key: readonly Value[],
): readonly Value[] {
  const spec = table.spec.indexes.find(({ id }) => id === indexId);
  assert(spec?.tableColumns !== undefined, "a foreign key rests on an index of plain columns");
  if (spec.tableColumns.length === columns.length && spec.tableColumns.every((c, i) => c === columns[i])) {
    return key;
  }
  return spec.columns.map((_, i) => {
    const at = columns.indexOf(spec.tableColumns![i]!);
    assert(at >= 0, "the referenced index has a column that the foreign key lacks");
    return key[at]!;
  });
}

/** Rows whose parent was not found at once: looked for again when `run` is called. */
class PendingReferences {
  readonly #rows: RowId[] = [];
  #at = 0;
  constructor(
    readonly reference: Reference,
    readonly deferred: boolean,
  ) {}
  push(row: RowId, context: ExecContext): void {
    if (this.deferred) boundDeferred(this.#rows.length);
    else context.memory.take(16);
    this.#rows.push(row);
  }
  run(context: ExecContext): void {
    const { reference } = this;
    const { columns } = reference.constraint;
    const table = context.table(reference.child.id);
    for (; this.#at < this.#rows.length; this.#at++) {
      const values = readNewest(table, context.transaction, this.#rows[this.#at]!, columns);
      if (values === undefined || values.includes(null)) continue; // gone, or no longer referring
      if (!reference.lockParent(values, context)) {
        this.#at = 0;
        throw reference.violation(values, context);
      }
    }
    this.#at = 0;
    // Run again when a savepoint takes back what it was run for.
    if (this.deferred) return;
    context.memory.give(16 * this.#rows.length);
    this.#rows.length = 0;
  }
}

/** Keys that left the referenced side in one statement, and what becomes of the rows that refer to them. */
class ParentChanges {
  readonly #oldKeys: Value[][] = [];
  readonly #newKeys: (Value[] | undefined)[] = [];
  #bytes = 0;
  #at = 0;
  /** Looks for the rows that refer to key `#at`; undefined before it has begun. */
  #search: ChildSearch | undefined;
  /** Of those found, the next to be done. */
  #childAt = 0;
  /** Looks for what still refers to it after SET DEFAULT. */
  #after: ChildSearch | undefined;
  constructor(
    readonly keys: ForeignKeys,
    readonly constraint: ForeignKey,
    readonly child: TableDesc,
    readonly action: ForeignKey["onDelete"],
    readonly deferred: boolean,
  ) {}

  push(oldKey: Value[], newKey: Value[] | undefined, context: ExecContext): void {
    const bytes = 64 + oldKey.reduce<number>((sum, value) => sum + bytesOf(value), 0);
    if (this.deferred) boundDeferred(this.#oldKeys.length);
    else {
      context.memory.take(bytes);
      this.#bytes += bytes;
    }
    this.#oldKeys.push(oldKey);
    this.#newKeys.push(newKey);
  }

  run(context: ExecContext): void {
    for (; this.#at < this.#oldKeys.length; this.#at++) this.#runOne(context);
    this.#at = 0;
    // Run again when a savepoint takes back what it was run for.
    if (this.deferred) return;
    context.memory.give(this.#bytes);
    this.#bytes = 0;
    this.#oldKeys.length = 0;
    this.#newKeys.length = 0;
  }

  #runOne(context: ExecContext): void {
    const { constraint, child, action } = this;
    const oldKey = this.#oldKeys[this.#at]!;
    if (action === "noAction" && this.#search === undefined && this.#keyIsBack(oldKey, context)) return;
    const refuses = action === "noAction" || action === "restrict";
    if (this.#search === undefined) {
      const parent = this.keys.table;
      const childKey = converter(
        typesOf(parent, constraint.referencedColumns),
        typesOf(child, constraint.columns),
      )(oldKey, context.eval);
      this.#search = new ChildSearch(context, child, constraint.columns, childKey, refuses ? 1 : undefined);
    }
    const search = this.#search;
    let children = search.run(context);
    if (refuses) {
      // A row that somebody is about to take away or to change: his end decides.
      while (children.length > 0 && !this.#remains(search, children[0]!, context)) {
        search.pass();
        children = search.run(context);
      }
      this.#search = undefined;
      if (children.length === 0) return;
      this.#at = 0;
      throw this.#stillReferenced(oldKey, context);
    }
    for (; this.#childAt < children.length; this.#childAt++) {
      if ((this.#childAt & 63) === 63) giveWay(context);
      this.#act(context, children[this.#childAt]!, search);
    }
    // The default may be the very key that left.
    if (action === "setDefault" && this.#childAt > 0 && !this.#keyIsBack(oldKey, context)) {
      this.#after ??= new ChildSearch(context, child, constraint.columns, search.key, 1);
      if (this.#after.run(context).length > 0) throw this.#stillReferenced(oldKey, context);
    }
    this.#after = undefined;
    this.#search = undefined;
    this.#childAt = 0;
  }
  /** Locks a row that was found referring; false when it does no longer. Throws Wait. */
  #remains(search: ChildSearch, row: RowId, context: ExecContext): boolean {
    const { engine, transaction } = context;
    const table = context.table(this.child.id);
    if (table.lock(transaction, newestSnapshot(engine, transaction), row, "keyShare", false) === "deleted")
      return false;
    const all = this.child.columns.map((_, position) => position);
    const now = readNewest(table, transaction, row, all);
    return now !== undefined && search.refers(now);
  }
  #keyIsBack(key: readonly Value[], context: ExecContext): boolean {
    const { constraint } = this;
    const table = context.table(constraint.referencedTableId);
    const indexKey = keyInIndexOrder(table, constraint.referencedIndexId, constraint.referencedColumns, key);
    return table.findNewest(context.transaction, constraint.referencedIndexId, indexKey) !== undefined;
  }
  #stillReferenced(key: readonly Value[], context: ExecContext): DbError {
    const { constraint, child } = this;
    const parent = this.keys.table;
    const columns = constraint.referencedColumns;
    const detail = showsKey(parent, columns, context)
      ? keyDetail(namesOf(parent, columns), key, typesOf(parent, columns), context.eval)
      : "Key";
    return new DbError(
      "foreignKeyViolation",
      `update or delete on table "${parent.name}" violates foreign key constraint "${constraint.name}" on table "${child.name}"`,
      {
        detail: `${detail} is still referenced from table "${child.name}".`,
        schema: schemaName(context.catalog, child),
        table: child.name,
        constraint: constraint.name,
      },
    );
  }

  /** Deletes or changes one referring row. Its Wait comes before its change; rows done before stay done. */
  #act(context: ExecContext, row: RowId, search: ChildSearch): void {
    const { constraint, child, action } = this;
    const { engine, transaction } = context;
    const table = context.table(child.id);
    const all = child.columns.map((_, position) => position);
    const foreignKeys = this.keys.of(child);
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const before = readNewest(table, transaction, row, all);
      // Gone, or made to refer elsewhere by somebody who was first.
      if (before === undefined || !search.refers(before)) return;
      const snapshot = newestSnapshot(engine, transaction);
      if (action === "cascade" && this.#newKeys[this.#at] === undefined) {
        const outcome = table.delete(transaction, snapshot, row);
        if (outcome === "updated") continue;
        if (outcome === "done") foreignKeys.deleted(before, context);
        return;
      }
      const values = this.#newValues(context);
      const after = before.slice();
      constraint.columns.forEach((column, i) => {
        after[column] = values[i]!;
        if (values[i] === null && child.columns[column]!.notNull) {
          throw notNullViolation(child, child.columns[column]!.name, after, constraint.columns, context);
        }
      });
      let outcome: ReturnType<Table["update"]>;
      try {
        outcome = table.update(transaction, snapshot, row, constraint.columns, values);
      } catch (thrown) {
        throw withKeyDetail(thrown, child, table, after, context);
      }
      if (outcome === "updated") continue;
      if (outcome === "done") {
        if (table.suspects.length > 0) foreignKeys.uniques.written(row, table.suspects, context);
        foreignKeys.updated(row, before, after, constraint.columns, context);
      }
      return;
    }
    throw new DbError("serializationFailure", "could not serialize access due to concurrent update");
  }
  #newValues(context: ExecContext): readonly Value[] {
    const { constraint, child, action } = this;
    switch (action) {
      case "cascade":
        return converter(
          typesOf(this.keys.table, constraint.referencedColumns),
          typesOf(child, constraint.columns),
        )(this.#newKeys[this.#at]!, context.eval);
      case "setNull":
        return constraint.columns.map(() => null);
      default:
        return constraint.columns.map((column) => this.keys.defaultOf(child, column, context));
    }
  }
}

/** Gives up the loop where a driver runs the statement and the time slice is used up. Before a step's first change. */
function giveWay(context: ExecContext): void {
  context.checkInterrupt();
  if (context.slice?.expired()) throw new SliceEnd();
}

/**
 * Rows of the child table with a key, by an index that begins with the columns, or by a scan. It goes on where it was
 * after a Wait, with a new snapshot: nothing holds the newest one back, and who came to refer to the key since the
 * search began would have had to lock the row that has left.
 */
class ChildSearch {
  readonly #table: Table;
  readonly #byIndex: IndexScan | undefined;
  readonly #scan: PageScan | undefined;
  readonly #equals: readonly ((a: Value, b: Value) => boolean)[];
  readonly #into: Value[][];
  readonly #rows: Value[] = [];
  readonly #found: RowId[] = [];
  /** The scan stands on a page that has not been looked through. */
  #pageOpen = false;
  #waited = false;
  #done = false;

  constructor(
    context: ExecContext,
    child: TableDesc,
    readonly columns: readonly number[],
    readonly key: readonly Value[],
    readonly enough: number | undefined,
  ) {
    this.#table = context.table(child.id);
    this.#equals = columns.map((column) => equalsOf(child.columns[column]!.type.oid));
    this.#into = columns.map(() => []);
    const snapshot = newestSnapshot(context.engine, context.transaction);
    const index = usableIndex(context, this.#table, columns);
    if (index === undefined) this.#scan = this.#table.scan(snapshot);
    else {
      const ordered = index
        .tableColumns!.slice(0, columns.length)
        .map((column) => key[columns.indexOf(column)]!);
      const range = { lower: ordered, lowerInclusive: true, upper: ordered, upperInclusive: true };
      this.#byIndex = this.#table.indexScan(snapshot, index.id, range, false);
    }
  }

  /** Whether a row of the child table has the key. */
  refers(row: readonly Value[]): boolean {
    return this.#equals.every((equal, c) => {
      const value: Value = row[this.columns[c]!]!;
      return value !== null && equal(value, this.key[c]!);
    });
  }

  /** Those found do not count after all: the search goes on behind them. */
  pass(): void {
    this.#found.length = 0;
    this.#waited = true;
  }

  /** All of them, or the first `enough`. Throws Wait; what was found stays found. */
  run(context: ExecContext): readonly RowId[] {
    const { enough } = this;
    const found = this.#found;
    try {
      if (this.#waited && !this.#done) {
        const snapshot = newestSnapshot(context.engine, context.transaction);
        this.#byIndex?.renew?.(snapshot);
        this.#scan?.renew?.(snapshot);
        this.#waited = false;
      }
      while (!this.#done && (enough === undefined || found.length < enough)) {
        giveWay(context);
        if (this.#byIndex === undefined) this.#scanPage();
        else this.#entries(this.#byIndex);
      }
    } catch (thrown) {
      this.#waited = true;
      throw thrown;
    }
    if (!this.#done) this.#byIndex?.close?.();
    this.#done = true;
    return found;
  }

  #entries(scan: IndexScan): void {
    const buffer: RowId[] = [];
    const count = scan.next(buffer, this.enough ?? 256);
    for (let i = 0; i < count; i++) this.#found.push(buffer[i]!);
    if (count === 0) this.#done = true;
  }

  #scanPage(): void {
    const scan = this.#scan!;
    if (!this.#pageOpen) {
      if (!scan.next()) {
        this.#done = true;
        return;
      }
      this.#pageOpen = true;
    }
    const into = this.#into;
    const count = scan.materialize(this.columns, into, 0, this.#rows);
    this.#pageOpen = false;
    for (let row = 0; row < count; row++) {
      let same = true;
      for (let c = 0; same && c < into.length; c++) {
        const value: Value = into[c]![row]!;
        same = value !== null && this.#equals[c]!(value, this.key[c]!);
      }
      if (same) this.#found.push(this.#rows[row] as RowId);
    }
  }
}

function usableIndex(context: ExecContext, table: Table, columns: readonly number[]): IndexSpec | undefined {
  return table.spec.indexes.find((index) => {
    const leading = index.tableColumns?.slice(0, columns.length);
    if (leading === undefined || leading.length < columns.length) return false;
    if (!columns.every((column) => leading.includes(column))) return false;
    const desc = context.catalog.indexById(index.id);
    return desc === undefined || (desc.state === "ready" && desc.predicateSql === undefined);
  });
}

/** Computes a column's default for SET DEFAULT; supplied by whoever can bind expressions. */
export type DefaultOf = (table: TableDesc, column: number, context: ExecContext) => Value;

/**
 * The foreign keys around one table, on both sides, as of one catalog version; and what a running statement has queued
 * for its end.
 */
export class ForeignKeys {
  readonly #outgoing: readonly Reference[];
  readonly #incoming: readonly { readonly constraint: ForeignKey; readonly child: TableDesc }[];
  readonly #others: Map<number, ForeignKeys>;
  /** Table positions whose change matters to a constraint of either side. */
  readonly watched: ReadonlySet<number>;
  /** Deferrable keys of the table itself. */
  readonly uniques: UniqueChecks;
  #pending = new Map<Reference, { readonly work: PendingReferences; readonly deferred: boolean }>();
  #changes = new Map<string, ParentChanges>();

  constructor(
    readonly table: TableDesc,
    catalog: CatalogReader,
    readonly defaultOf: DefaultOf,
    others?: Map<number, ForeignKeys>,
  ) {
    this.#others = others ?? new Map();
    this.#others.set(table.id, this);
    this.uniques = new UniqueChecks(table, catalog.constraintsOf(table.id));
    const outgoing: Reference[] = [];
    const watched = new Set<number>();
    for (const constraint of catalog.constraintsOf(table.id)) {
      if (constraint.type !== "foreignKey") continue;
      const parent = tableDesc(catalog, constraint.referencedTableId);
      outgoing.push(new Reference(constraint, table, parent));
      for (const column of constraint.columns) watched.add(column);
    }
    this.#outgoing = outgoing;
    this.#incoming = catalog.referencesTo(table.id).map((constraint) => {
      for (const column of constraint.referencedColumns) watched.add(column);
      return { constraint, child: tableDesc(catalog, constraint.tableId) };
    });
    this.watched = watched;
    this.#catalog = catalog;
  }
  readonly #catalog: CatalogReader;

  get isEmpty(): boolean {
    return this.watched.size === 0;
  }
  get isReferenced(): boolean {
    return this.#incoming.length > 0;
  }

  /** For the actions' own writes on referring tables. */
  of(table: TableDesc): ForeignKeys {
    return this.#others.get(table.id) ?? new ForeignKeys(table, this.#catalog, this.defaultOf, this.#others);
  }

  /** Forgets what an execution queued; its closures are gone with it. */
  reset(): void {
    for (const keys of this.#others.values()) {
      keys.#pending = new Map();
      keys.#changes = new Map();
      keys.uniques.reset();
    }
  }

  /** A row was written. Throws Wait (nothing queued then), or 23503 for MATCH FULL. */
  inserted(row: RowId, values: readonly Value[], context: ExecContext): void {
    for (const reference of this.#outgoing) this.#refer(reference, row, values, context);
  }
  #refer(reference: Reference, row: RowId, values: readonly Value[], context: ExecContext): void {
    const key = reference.keyOf(values, context);
    if (key === undefined) return;
    const deferred = isDeferred(reference.constraint, context);
    if (!deferred && reference.lockParent(key, context)) return;
    let pending = this.#pending.get(reference);
    if (pending === undefined || pending.deferred !== deferred) {
      const work = new PendingReferences(reference, deferred);
      pending = { work, deferred };
      this.#pending.set(reference, pending);
      const run = (): void => work.run(context);
      if (deferred) context.atCommit!(run, reference.constraint, this.table.id);
      else context.afterStatement(run);
    }
    pending.work.push(row, context);
  }

  updated(
    row: RowId,
    before: readonly Value[],
    after: readonly Value[],
    columns: readonly number[],
    context: ExecContext,
  ): void {
    for (const reference of this.#outgoing) {
      const { constraint } = reference;
      if (!constraint.columns.some((column) => columns.includes(column))) continue;
      if (changed(this.table, constraint.columns, before, after)) this.#refer(reference, row, after, context);
    }
    for (const { constraint, child } of this.#incoming) {
      const { referencedColumns } = constraint;
      if (!referencedColumns.some((column) => columns.includes(column))) continue;
      if (!changed(this.table, referencedColumns, before, after)) continue;
      const newKey = referencedColumns.map((column) => after[column]!);
      this.#leave(constraint, child, constraint.onUpdate, before, newKey, context);
    }
  }

  deleted(before: readonly Value[], context: ExecContext): void {
    for (const { constraint, child } of this.#incoming) {
      this.#leave(constraint, child, constraint.onDelete, before, undefined, context);
    }
  }

  #leave(
    constraint: ForeignKey,
    child: TableDesc,
    action: ForeignKey["onDelete"],
    before: readonly Value[],
    newKey: Value[] | undefined,
    context: ExecContext,
  ): void {
    const oldKey = constraint.referencedColumns.map((column) => before[column]!);
    if (oldKey.some((value) => value === null)) return;
    const deferred = action === "noAction" && isDeferred(constraint, context);
    const id = `${constraint.id}${newKey === undefined ? "d" : "u"}${deferred ? "c" : "s"}`;
    let changes = this.#changes.get(id);
    if (changes === undefined) {
      const made = new ParentChanges(this, constraint, child, action, deferred);
      changes = made;
      this.#changes.set(id, made);
      const run = (): void => {
        // Rows that the run itself makes leave start a list of their own, at the end of the queue.
        if (this.#changes.get(id) === made) this.#changes.delete(id);
        made.run(context);
      };
      if (deferred) context.atCommit!(run, constraint, this.table.id);
      else context.afterStatement(run);
    }
    changes.push(oldKey, newKey, context);
  }
}

function changed(
  table: TableDesc,
  columns: readonly number[],
  before: readonly Value[],
  after: readonly Value[],
): boolean {
  return columns.some((column) => {
    const a: Value = before[column]!;
    const b: Value = after[column]!;
    if (a === null || b === null) return a !== b;
    return a !== b && !equalsOf(table.columns[column]!.type.oid)(a, b);
  });
}

/** SET DEFAULT where nobody can bind default expressions: NULL when the column has none. */
export const noDefaults: DefaultOf = (table, column) => {
  if (table.columns[column]!.defaultSql === undefined) return null;
  throw notSupported("SET DEFAULT with a default expression");
};
