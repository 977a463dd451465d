/**
 * INSERT, UPDATE, DELETE: rows of the input are written one by one, checked before and after.
 *
 * The whole input is worked through before the first RETURNING row is handed up (the statement may still fail or start
 * over). Each row is a machine of two stages, so that a Wait after the write does not write twice: `write` (checks and
 * the write itself), then `written` (foreign keys, RETURNING).
 *
 * Invariants: a row is changed once per statement; checks see the row as it will be stored; errors name table, column or
 * constraint. A row changed by others meanwhile ends in StatementRestart under READ COMMITTED, in 40001 otherwise.
 */
import { assert, DbError } from "../base/errors.js";
import type { RowId, Snapshot, Table, WriteOutcome } from "../mga/contract.js";
import { Batch, batchRowsMax } from "../model/batch.js";
import type { CatalogReader, TableDesc } from "../model/schema.js";
import type { Value } from "../model/value.js";
import type { ModifyNode, PlanNode, RowCheck } from "../sql/plan.js";
import { checkViolation, notNullViolation, rowRefused, withKeyDetail } from "./constraints.js";
import type { ExecContext, Operator } from "./contract.js";
import { compileExpr, type Evaluate, ExprList, type ExprScope } from "./expression.js";
import { type DefaultOf, ForeignKeys, newestSnapshot } from "./foreign-keys.js";
import { type Runtime, StatementRestart } from "./runtime.js";
import { RowStore, RowStoreReader } from "./spill.js";

interface Check {
  readonly name: string;
  readonly evaluate: Evaluate;
}

/** Row rules over one row. */
interface RowRules {
  readonly policy: string | undefined;
  readonly evaluate: Evaluate;
}

const compileRules = (checks: readonly RowCheck[], scope: ExprScope): readonly RowRules[] =>
  checks.map(({ policy, expr }) => ({ policy, evaluate: compileExpr(expr, scope) }));

/** A column without a value in any row of a batch. */
const noValues: readonly Value[] = new Array<Value>(batchRowsMax).fill(null);

export class Modify implements Operator {
  readonly #runtime: Runtime;
  readonly #checks: readonly Check[];
  readonly #rules: readonly RowRules[];
  readonly #returning: ExprList | undefined;
  readonly #returned: RowStore;
  readonly #reader: RowStoreReader;
  readonly #conflict: ConflictAction | undefined;
  /** Rows as RETURNING and checks see them: the table's columns, then the extra input slots. */
  #rows = new Batch(0);
  #filled = 0;
  #returningNow = false;

  #catalog: CatalogReader | undefined;
  #catalogVersion = -1;
  #desc!: TableDesc;
  #foreignKeys!: ForeignKeys;
  #notNull: readonly number[] = [];
  #allColumns: readonly number[] = [];
  /** The old row is read: for RETURNING, checks, or foreign keys. */
  #needsOld = false;
  #table!: Table;

  #batch: Batch | undefined;
  #row = 0;
  #stage: "write" | "written" = "write";
  #complete = false;
  #count = 0;
  #rowId: RowId = 0;
  readonly #newRow: Value[] = [];
  #oldRow: Value[] = [];
  readonly #oldColumns: Value[][] = [];
  readonly #values: Value[] = [];
  /** Rows are inserted and nothing else is done about them. */
  #plain = false;
  /** The batch's columns in the table's order. */
  readonly #wholeColumns: (readonly Value[])[] = [];

  constructor(
    readonly input: Operator,
    readonly node: ModifyNode & PlanNode,
    /** Its count is the statement's. */
    readonly top: boolean,
    readonly defaultOf: DefaultOf,
    scope: ExprScope,
  ) {
    this.#runtime = scope.runtime;
    this.#checks = node.checks.map(({ name, expr }) => ({ name, evaluate: compileExpr(expr, scope) }));
    this.#rules = compileRules(node.rowChecks, scope);
    this.#returning = node.returning === undefined ? undefined : new ExprList(node.returning, scope);
    this.#returned = new RowStore(node.returning?.length ?? 0);
    this.#reader = new RowStoreReader(this.#returned);
    this.#conflict = node.onConflict === undefined ? undefined : new ConflictAction(node, scope);
  }

  open(context: ExecContext): void {
    const { catalog } = context;
    if (catalog !== this.#catalog || catalog.version !== this.#catalogVersion) this.#prepare(catalog);
    this.#table = context.table(this.node.tableId);
    this.#foreignKeys.reset();
    this.#batch = undefined;
    this.#row = 0;
    this.#stage = "write";
    this.#complete = false;
    this.#count = 0;
    this.#filled = 0;
    this.#returningNow = false;
    this.#returning?.reset();
    this.#conflict?.reset();
    this.#reader.rewind();
    if (this.#returning !== undefined) this.#returned.open(context);
    this.input.open(context);
  }

  /** What the catalog says about the table, once per catalog version. */
  #prepare(catalog: CatalogReader): void {
    const { node } = this;
    const desc = catalog.relationById(node.tableId);
    assert(desc?.kind === "table", "a modify plan names no table");
    this.#desc = desc;
    this.#foreignKeys = new ForeignKeys(desc, catalog, this.defaultOf);
    const written = node.operation === "insert" ? desc.columns.map((_, c) => c) : node.targetColumns;
    this.#notNull = written.filter((c) => desc.columns[c]!.notNull && !desc.columns[c]!.dropped);
    this.#allColumns = desc.columns.map((_, c) => c);
    while (this.#oldColumns.length < desc.columns.length) this.#oldColumns.push([]);
    const { watched, isReferenced } = this.#foreignKeys;
    const keysMatter =
      node.operation === "delete" ? isReferenced : node.targetColumns.some((column) => watched.has(column));
    this.#needsOld =
      node.operation !== "insert" &&
      (keysMatter ||
        node.returning !== undefined ||
        node.checks.length > 0 ||
        node.rowChecks.length > 0 ||
        this.#notNull.length > 0);
    this.#rows = new Batch(desc.columns.length + node.extraSlots.length);
    this.#plain =
      node.operation === "insert" &&
      node.checks.length === 0 &&
      node.rowChecks.length === 0 &&
      node.returning === undefined &&
      node.onConflict === undefined &&
      this.#foreignKeys.isEmpty;
    this.#catalog = catalog;
    this.#catalogVersion = catalog.version;
  }

  rescan(): void {
    // A modification runs once per execution, whoever reads it again.
    this.#reader.rewind();
  }
  close(): void {
    this.#returned.clear();
    this.input.close();
  }

  next(): Batch | undefined {
    if (!this.#complete) {
      this.#run();
      this.#complete = true;
      if (this.top) this.#runtime.context.rowsAffected = this.#count;
    }
    return this.#returning === undefined ? undefined : this.#reader.next();
  }

  #run(): void {
    const { context } = this.#runtime;
    for (;;) {
      if (this.#returningNow) this.#flushReturning();
      if (this.#batch === undefined) {
        this.#runtime.tick();
        this.#batch = this.input.next();
        this.#row = 0;
        if (this.#batch === undefined) break;
      }
      const batch = this.#batch;
      if (this.#plain && this.#stage === "write" && batch.length <= noValues.length)
        this.#insertRows(batch, context);
      for (; this.#row < batch.length; this.#row++) {
        if (this.#stage === "write") {
          if (!this.#write(batch, this.#row, context)) continue;
          this.#stage = "written";
          this.#count++;
        }
        this.#written(batch, this.#row, context);
        this.#stage = "write";
        if (this.#filled === batchRowsMax) {
          this.#row++;
          this.#returningNow = true;
          break;
        }
        if ((this.#row & 63) === 63) {
          this.#row++;
          if (this.#row < batch.length) this.#runtime.tick();
          this.#row--;
        }
      }
      if (this.#row >= batch.length) this.#batch = undefined;
    }
    if (this.#filled > 0) this.#flushReturning();
    if (this.#returning !== undefined) this.#returned.finish();
  }

  /** Rows that only have to be written, a page of them at a time; leaves the rest, if any, at `#row`. */
  #insertRows(batch: Batch, context: ExecContext): void {
    const { targetColumns } = this.node;
    const columns = this.#wholeColumns;
    while (columns.length < this.#allColumns.length) columns.push(noValues);
    for (let c = 0; c < columns.length; c++) columns[c] = noValues;
    for (let i = 0; i < targetColumns.length; i++) columns[targetColumns[i]!] = batch.columns[i]!;
    const end = this.#firstNull(columns, this.#row, batch.length);
    while (this.#row < end) {
      const written = this.#table.insertRows(context.transaction, columns, this.#row, end - this.#row);
      if (written === 0) break;
      this.#row += written;
      this.#count += written;
      if (this.#row < batch.length) this.#runtime.tick();
    }
    columns.fill(noValues);
  }
  /** Where the first row stands that lacks a value it must have: it goes the slow way and fails there. */
  #firstNull(columns: readonly (readonly Value[])[], from: number, to: number): number {
    let end = to;
    for (const column of this.#notNull) {
      const source = columns[column]!;
      for (let row = from; row < end; row++) if (source[row] === null) end = row;
    }
    return end;
  }

  #flushReturning(): void {
    this.#returningNow = true;
    const columns = this.#returning!.evaluate(this.#rows.columns, this.#filled);
    this.#returned.append(columns, this.#filled);
    this.#filled = 0;
    this.#returningNow = false;
  }

  /** True when the row was written; false when it is to be left out. */
  #write(batch: Batch, row: number, context: ExecContext): boolean {
    switch (this.node.operation) {
      case "insert":
        return this.#insert(batch, row, context);
      case "update":
        return this.#update(batch, row, context);
      case "delete":
        return this.#delete(batch, row, context);
    }
  }

  #insert(batch: Batch, row: number, context: ExecContext): boolean {
    const { targetColumns: columns } = this.node;
    const values = this.#newRow;
    for (let c = 0; c < this.#allColumns.length; c++) values[c] = null;
    for (let i = 0; i < columns.length; i++) values[columns[i]!] = batch.columns[i]![row]!;
    this.#check(values, this.#rules, context);
    const conflict = this.#conflict;
    if (conflict !== undefined) {
      const resolved = conflict.resolve(values, this, context);
      if (resolved === "skip") return false;
      if (resolved === "updated") return true;
    }
    try {
      this.#rowId = this.#table.insert(context.transaction, values);
    } catch (thrown) {
      throw withKeyDetail(thrown, this.#desc, this.#table, values, context);
    }
    if (this.#table.suspects.length > 0) this.#suspected(context);
    conflict?.touched(this.#rowId);
    return true;
  }

  #rowIdAt(batch: Batch, row: number): RowId {
    const slot = this.node.rowIdSlot;
    assert(slot !== undefined, "an update or delete plan gives no row address");
    return batch.columns[slot]![row] as RowId;
  }

  #update(batch: Batch, row: number, context: ExecContext): boolean {
    const { targetColumns: columns } = this.node;
    const rowId = this.#rowIdAt(batch, row);
    const values = this.#values;
    for (let i = 0; i < columns.length; i++) values[i] = batch.columns[i]![row]!;
    if (this.#needsOld) {
      if (!this.#readOld(rowId, context)) return false;
      const after = this.#newRow;
      for (let c = 0; c < this.#oldRow.length; c++) after[c] = this.#oldRow[c]!;
      for (let i = 0; i < columns.length; i++) after[columns[i]!] = values[i]!;
      this.#check(after, this.#rules, context);
    }
    this.#rowId = rowId;
    let outcome: WriteOutcome;
    try {
      outcome = this.#table.update(context.transaction, context.snapshot, rowId, columns, values);
    } catch (thrown) {
      if (!(thrown instanceof DbError) || thrown.condition !== "uniqueViolation") throw thrown;
      if (!this.#needsOld) {
        this.#readOld(rowId, context);
        for (let c = 0; c < this.#oldRow.length; c++) this.#newRow[c] = this.#oldRow[c]!;
        for (let i = 0; i < columns.length; i++) this.#newRow[columns[i]!] = values[i]!;
      }
      throw withKeyDetail(thrown, this.#desc, this.#table, this.#newRow, context);
    }
    if (outcome === "done" && this.#table.suspects.length > 0) this.#suspected(context);
    return this.#settled(outcome, rowId, context, "noKeyUpdate");
  }

  #delete(batch: Batch, row: number, context: ExecContext): boolean {
    const rowId = this.#rowIdAt(batch, row);
    if (this.#needsOld && !this.#readOld(rowId, context)) return false;
    this.#rowId = rowId;
    const outcome = this.#table.delete(context.transaction, context.snapshot, rowId);
    return this.#settled(outcome, rowId, context, "update");
  }

  /** The row's columns as the statement's snapshot sees them; false when it sees none. */
  #readOld(rowId: RowId, context: ExecContext): boolean {
    const into = this.#oldColumns;
    if (!this.#table.read(context.snapshot, rowId, this.#allColumns, into, 0)) return false;
    const old = this.#oldRow;
    for (let c = 0; c < this.#allColumns.length; c++) old[c] = into[c]![0]!;
    return true;
  }

  #settled(
    outcome: WriteOutcome,
    rowId: RowId,
    context: ExecContext,
    strength: "noKeyUpdate" | "update",
  ): boolean {
    if (outcome === "done") return true;
    if (outcome === "self") return false; // a join met the row before: once is enough
    if (outcome === "deleted") {
      if (context.transaction.options.isolation === "readCommitted") return false;
      throw new DbError("serializationFailure", "could not serialize access due to concurrent delete");
    }
    throw restartAfter(this.#table, rowId, context, strength);
  }

  /** Row rules come before constraints: whose row is refused learns no more of it. */
  #check(row: readonly Value[], rules: readonly RowRules[], context: ExecContext): void {
    if (rules.length > 0) this.#checkRules(row, rules, false);
    for (const column of this.#notNull) {
      if (row[column] === null) {
        const { name } = this.#desc.columns[column]!;
        throw notNullViolation(this.#desc, name, row, this.#writtenColumns(), context);
      }
    }
    if (this.#checks.length === 0) return;
    const { columns } = this.#rows;
    for (let c = 0; c < row.length; c++) columns[c]![this.#filled] = row[c]!;
    for (const { name, evaluate } of this.#checks) {
      if (evaluate(columns, this.#filled) === false) {
        throw checkViolation(this.#desc, name, row, this.#writtenColumns(), context);
      }
    }
  }

  /** Columns that the statement gives values to: these it may be told of. */
  #writtenColumns(): readonly number[] {
    const { node } = this;
    const given = node.givenColumns ?? node.targetColumns;
    return node.onConflict === undefined
      ? given
      : [...given, ...node.onConflict.set.map(({ column }) => column)];
  }

  #checkRules(row: readonly Value[], rules: readonly RowRules[], using: boolean): void {
    const { columns } = this.#rows;
    for (let c = 0; c < row.length; c++) columns[c]![this.#filled] = row[c]!;
    for (const { policy, evaluate } of rules) {
      if (evaluate(columns, this.#filled) !== true) throw rowRefused(this.#desc, policy, using);
    }
  }

  /** For ON CONFLICT: the existing row becomes `before`, the changed one `after`. */
  conflictUpdate(
    rowId: RowId,
    before: readonly Value[],
    columns: readonly number[],
    values: readonly Value[],
    snapshot: Snapshot,
    context: ExecContext,
  ): WriteOutcome {
    const after = this.#newRow;
    this.#checkRules(before, this.#conflict!.existingRules, true);
    for (let c = 0; c < before.length; c++) {
      this.#oldRow[c] = before[c]!;
      after[c] = before[c]!;
    }
    for (let i = 0; i < columns.length; i++) after[columns[i]!] = values[i]!;
    this.#check(after, this.#conflict!.rules, context);
    this.#rowId = rowId;
    let outcome: WriteOutcome;
    try {
      outcome = this.#table.update(context.transaction, snapshot, rowId, columns, values);
    } catch (thrown) {
      throw withKeyDetail(thrown, this.#desc, this.#table, after, context);
    }
    if (outcome === "done" && this.#table.suspects.length > 0) this.#suspected(context);
    return outcome;
  }
  /** The row just written may have a key of a deferrable constraint that is there already. */
  #suspected(context: ExecContext): void {
    this.#foreignKeys.uniques.written(this.#rowId, this.#table.suspects, context);
  }
  get table(): Table {
    return this.#table;
  }
  get allColumns(): readonly number[] {
    return this.#allColumns;
  }

  /** After the write: foreign keys, then the row for RETURNING. Throws Wait; runs again from its start. */
  #written(batch: Batch, row: number, context: ExecContext): void {
    const { node } = this;
    const keys = this.#foreignKeys;
    const conflicted = this.#conflict?.updatedRow === true;
    if (!keys.isEmpty) {
      if (node.operation === "delete") {
        if (keys.isReferenced) keys.deleted(this.#oldRow.slice(), context);
      } else if (node.operation === "update" || conflicted) {
        const columns = conflicted ? this.#conflict!.columns : node.targetColumns;
        if (columns.some((column) => keys.watched.has(column))) {
          keys.updated(this.#rowId, this.#oldRow, this.#newRow, columns, context);
        }
      } else keys.inserted(this.#rowId, this.#newRow, context);
    }
    if (this.#returning === undefined) return;
    const { columns } = this.#rows;
    const values = node.operation === "delete" ? this.#oldRow : this.#newRow;
    for (let c = 0; c < values.length; c++) columns[c]![this.#filled] = values[c]!;
    for (let e = 0; e < node.extraSlots.length; e++) {
      columns[values.length + e]![this.#filled] = batch.columns[node.extraSlots[e]!]![row]!;
    }
    this.#filled++;
  }
}

/**
 * A row was changed and committed by another transaction after the statement's snapshot. It is locked first, so that the
 * statement, run again, finds it as it will stay. Throws Wait while somebody else still holds it.
 */
export function restartAfter(
  table: Table,
  row: RowId,
  context: ExecContext,
  strength: "noKeyUpdate" | "update" | "share" | "keyShare",
): DbError | StatementRestart {
  const { engine, transaction } = context;
  if (transaction.options.isolation !== "readCommitted") {
    return new DbError("serializationFailure", "could not serialize access due to concurrent update");
  }
  table.lock(transaction, newestSnapshot(engine, transaction), row, strength, false);
  return new StatementRestart("updated");
}

/** ON CONFLICT: what becomes of a proposed row whose key is there already. */
class ConflictAction {
  readonly columns: readonly number[];
  readonly #values: Evaluate[];
  readonly #where: Evaluate | undefined;
  readonly existingRules: readonly RowRules[];
  readonly rules: readonly RowRules[];
  readonly #touched = new Set<RowId>();
  /** Existing row, then the proposed one. */
  readonly #both: Value[][] = [];
  readonly #node: ModifyNode;
  /** The last resolved row was updated, not inserted. */
  updatedRow = false;

  constructor(node: ModifyNode, scope: ExprScope) {
    const { onConflict } = node;
    assert(onConflict !== undefined, "no ON CONFLICT to act on");
    this.#node = node;
    this.columns = onConflict.set.map(({ column }) => column);
    this.#values = onConflict.set.map(({ value }) => compileExpr(value, scope));
    this.existingRules = compileRules(onConflict.existingChecks, scope);
    this.rules = compileRules(onConflict.rowChecks, scope);
    this.#where = onConflict.where === undefined ? undefined : compileExpr(onConflict.where, scope);
  }
  reset(): void {
    this.#touched.clear();
    this.updatedRow = false;
  }
  /** A row inserted or updated by this statement: it must not be met again. */
  touched(row: RowId): void {
    this.updatedRow = false;
    this.#touched.add(row);
  }

  /** Throws Wait before any change. */
  resolve(proposed: readonly Value[], modify: Modify, context: ExecContext): "insert" | "skip" | "updated" {
    const { onConflict } = this.#node;
    const { table } = modify;
    const { transaction, engine } = context;
    const readCommitted = transaction.options.isolation === "readCommitted";
    for (let attempt = 0; attempt < 1000; attempt++) {
      const conflict = table.findConflict(transaction, proposed, onConflict!.indexIds);
      if (conflict === undefined) return "insert";
      const own = this.#touched.has(conflict.row);
      if (!readCommitted && !own && !table.read(context.snapshot, conflict.row, [], [], 0)) {
        throw new DbError("serializationFailure", "could not serialize access due to concurrent update");
      }
      if (onConflict!.action === "nothing") return "skip";
      if (own) throw secondTime();
      const snapshot = readCommitted ? newestSnapshot(engine, transaction) : context.snapshot;
      const locked = table.lock(transaction, snapshot, conflict.row, "noKeyUpdate", false);
      if (locked === "updated" || locked === "deleted") continue;
      if (locked === "self") throw secondTime();
      const resolved = this.#change(conflict.row, proposed, modify, snapshot, context);
      if (resolved !== "again") return resolved;
    }
    throw new DbError("serializationFailure", "could not serialize access due to concurrent update");
  }

  #change(
    row: RowId,
    proposed: readonly Value[],
    modify: Modify,
    snapshot: Snapshot,
    context: ExecContext,
  ): "skip" | "updated" | "again" {
    const { table, allColumns } = modify;
    const width = allColumns.length;
    const both = this.#both;
    while (both.length < 2 * width) both.push([]);
    if (!table.readNewest(context.transaction, row, allColumns, both, 0)) return "again";
    for (let c = 0; c < width; c++) both[width + c]![0] = proposed[c]!;
    if (this.#where !== undefined && this.#where(both, 0) !== true) return "skip";
    const values = this.#values.map((value) => value(both, 0));
    const before: Value[] = [];
    for (let c = 0; c < width; c++) before.push(both[c]![0]!);
    const outcome = modify.conflictUpdate(row, before, this.columns, values, snapshot, context);
    if (outcome === "self") throw secondTime();
    if (outcome !== "done") return "again";
    this.#touched.add(row);
    this.updatedRow = true;
    return "updated";
  }
}

function secondTime(): DbError {
  return new DbError(
    "cardinalityViolation",
    "ON CONFLICT DO UPDATE command cannot affect row a second time",
    {
      hint: "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
    },
  );
}
