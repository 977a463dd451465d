/**
 * Test twins for the executor: an engine in plain arrays behind `mga/contract.ts`, a catalog, a context, a disk-less spill
 * file, and a driver that plays every Wait.
 *
 * Naive on purpose: each row is a list of versions, every look-up a search. It can be told to throw Wait in the middle of
 * things (`waitChance`), so that tests prove operators go on where they stood.
 */
import { assert, DbError } from "../base/errors.js";
import { isWait, Wait } from "../base/wait.js";
import type {
  Engine,
  IndexScan,
  IndexSpec,
  KeyRange,
  LockStrength,
  PageScan,
  RowId,
  Snapshot,
  Table,
  TableSpec,
  Transaction,
  UniqueConflict,
  WriteOutcome,
} from "../mga/contract.js";
import type { Batch } from "../model/batch.js";
import type { AggregateDef, EvalContext, FunctionDef } from "../model/functions.js";
import type {
  CatalogObject,
  CatalogReader,
  ColumnDesc,
  ConstraintDesc,
  IndexDesc,
  TableDesc,
} from "../model/schema.js";
import { defaultSettings } from "../model/types.js";
import type { Value } from "../model/value.js";
import type { Expr } from "../sql/expr.js";
import type { OutputColumn, PlanNode, ScanNode } from "../sql/plan.js";
import type { ExecContext, Operator, SpillFile } from "./contract.js";
import { CheckQueue } from "./driver.js";
import { WorkMemory } from "./memory.js";
import { SliceEnd } from "./runtime.js";
import { compareOf } from "./values.js";

interface Version {
  readonly writer: number;
  readonly sequence: number;
  /** undefined: deleted. */
  readonly values: readonly Value[] | undefined;
}

class FakeTransaction implements Transaction {
  state: Transaction["state"] = "active";
  sequence = 0;
  readonly startedAt = 0;
  snapshotNumber = -1;
  readonly undo: (() => void)[] = [];
  constructor(
    readonly id: number,
    readonly options: Transaction["options"],
  ) {}
}

const rowsPerPage = 100;

/** A small deterministic generator: tests print their seed by way of fast-check. */
export class Lcg {
  constructor(public state = 12345) {}
  next(): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return this.state / 4294967296;
  }
}

export class FakeEngine implements Partial<Engine> {
  readonly shard = 0;
  readonly tables = new Map<number, FakeTable>();
  readonly #commits = new Map<number, number>();
  #nextId = 1;
  commitNumber = 0;
  /** Probability that an operation throws Wait before it does anything. */
  waitChance = 0;
  readonly lcg = new Lcg();
  waits = 0;

  mayWait(): void {
    if (this.waitChance > 0 && this.lcg.next() < this.waitChance) {
      this.waits++;
      throw new Wait("page", Promise.resolve());
    }
  }
  begin(options: Transaction["options"]): FakeTransaction {
    return new FakeTransaction(this.#nextId++, options);
  }
  commitOf(writer: number): number {
    return this.#commits.get(writer) ?? Number.POSITIVE_INFINITY;
  }
  statementSnapshot(transaction: Transaction): Snapshot {
    const own = transaction as FakeTransaction;
    own.sequence++;
    if (own.options.isolation === "readCommitted" || own.snapshotNumber < 0) {
      own.snapshotNumber = this.commitNumber;
    }
    return { commitNumber: own.snapshotNumber, self: own.id, selfSequence: own.sequence };
  }
  newestSnapshot(transaction: Transaction): Snapshot {
    return {
      commitNumber: this.commitNumber,
      self: transaction.id,
      selfSequence: Number.POSITIVE_INFINITY,
    };
  }
  releaseSnapshot(): void {}
  commit(transaction: Transaction): undefined {
    const own = transaction as FakeTransaction;
    own.state = "committed";
    this.#commits.set(own.id, ++this.commitNumber);
  }
  rollback(transaction: Transaction): void {
    this.rollbackTo(transaction, { undoLength: 0 });
    (transaction as FakeTransaction).state = "aborted";
  }
  savepoint(transaction: Transaction): { undoLength: number } {
    return { undoLength: (transaction as FakeTransaction).undo.length };
  }
  rollbackTo(transaction: Transaction, mark: { readonly undoLength: number }): void {
    const { undo } = transaction as FakeTransaction;
    while (undo.length > mark.undoLength) undo.pop()!();
  }
  visible(snapshot: Snapshot, version: Version): boolean {
    if (version.writer === snapshot.self && snapshot.self !== 0) {
      return version.sequence < snapshot.selfSequence;
    }
    return this.commitOf(version.writer) <= snapshot.commitNumber;
  }
}

export class FakeTable implements Table {
  /** No index of its is deferrable. */
  readonly suspects: readonly number[] = [];
  checkKey(): void {}
  readonly rows: Version[][] = [];
  constructor(
    readonly engine: FakeEngine,
    readonly spec: TableSpec,
  ) {}
  get pageCount(): number {
    return Math.ceil(this.rows.length / rowsPerPage);
  }
  get rowEstimate(): number {
    return this.rows.length;
  }

  versionFor(snapshot: Snapshot, row: RowId): readonly Value[] | undefined {
    const versions = this.rows[row];
    const seen = versions?.find((version) => this.engine.visible(snapshot, version));
    return seen?.values;
  }
  #newest(transaction: Transaction, row: RowId): readonly Value[] | undefined {
    return this.versionFor(this.engine.newestSnapshot(transaction), row);
  }
  /** Throws Wait for another active writer's version, as the engine does. */
  #waitForWriter(transaction: Transaction, row: RowId): void {
    const newest = this.rows[row]?.[0];
    if (newest === undefined || newest.writer === transaction.id) return;
    if (this.engine.commitOf(newest.writer) === Number.POSITIVE_INFINITY) {
      this.engine.waits++;
      throw new Wait("row", Promise.resolve());
    }
  }

  /** A row a call, which is the least the contract allows. */
  insertRows(transaction: Transaction, columns: readonly (readonly Value[])[], from: number): number {
    if (this.spec.indexes.length > 0) return 0;
    this.insert(
      transaction,
      columns.map((column) => column[from]!),
    );
    return 1;
  }
  insert(transaction: Transaction, row: readonly Value[]): RowId {
    this.engine.mayWait();
    const conflict = this.#conflict(transaction, row, []);
    if (conflict !== undefined) {
      throw new DbError(
        "uniqueViolation",
        `duplicate key value violates unique constraint "${conflict.index.name}"`,
        { constraint: conflict.index.name },
      );
    }
    const own = transaction as FakeTransaction;
    const id = this.rows.length;
    this.rows.push([{ writer: own.id, sequence: own.sequence, values: row.slice() }]);
    own.undo.push(() => {
      this.rows[id]!.shift();
    });
    return id;
  }
  findConflict(
    transaction: Transaction,
    row: readonly Value[],
    indexIds: readonly number[],
  ): UniqueConflict | undefined {
    this.engine.mayWait();
    return this.#conflict(transaction, row, indexIds);
  }
  #conflict(
    transaction: Transaction,
    row: readonly Value[],
    indexIds: readonly number[],
    except?: RowId,
  ): UniqueConflict | undefined {
    for (const index of this.spec.indexes) {
      if (!index.unique || (indexIds.length > 0 && !indexIds.includes(index.id))) continue;
      const key = index.key(row);
      if (key === undefined || (key.includes(null) && !index.nullsNotDistinct)) continue;
      for (let id = 0; id < this.rows.length; id++) {
        if (id === except) continue;
        const values = this.#newest(transaction, id);
        if (values === undefined) continue;
        const other = index.key(values);
        if (other !== undefined && compareKeys(index, key, other) === 0) return { index, row: id, key };
      }
    }
    return undefined;
  }
  #write(
    transaction: Transaction,
    snapshot: Snapshot,
    row: RowId,
    make: (values: readonly Value[]) => readonly Value[] | undefined,
  ): WriteOutcome {
    this.engine.mayWait();
    this.#waitForWriter(transaction, row);
    const own = transaction as FakeTransaction;
    const versions = this.rows[row]!;
    const newest = versions[0];
    if (newest === undefined) return "deleted";
    if (newest.writer === own.id && newest.sequence >= snapshot.selfSequence) return "self";
    if (!this.engine.visible(snapshot, newest)) {
      if (transaction.options.isolation !== "readCommitted") {
        throw new DbError("serializationFailure", "could not serialize access due to concurrent update");
      }
      return newest.values === undefined ? "deleted" : "updated";
    }
    if (newest.values === undefined) return "deleted";
    const values = make(newest.values);
    if (values !== undefined) {
      const conflict = this.#conflict(transaction, values, [], row);
      if (conflict !== undefined) {
        throw new DbError(
          "uniqueViolation",
          `duplicate key value violates unique constraint "${conflict.index.name}"`,
          { constraint: conflict.index.name },
        );
      }
    }
    versions.unshift({ writer: own.id, sequence: own.sequence, values });
    own.undo.push(() => {
      versions.shift();
    });
    return "done";
  }
  update(
    transaction: Transaction,
    snapshot: Snapshot,
    row: RowId,
    columns: readonly number[],
    values: readonly Value[],
  ): WriteOutcome {
    return this.#write(transaction, snapshot, row, (old) => {
      const changed = old.slice();
      columns.forEach((column, i) => {
        changed[column] = values[i]!;
      });
      return changed;
    });
  }
  delete(transaction: Transaction, snapshot: Snapshot, row: RowId): WriteOutcome {
    return this.#write(transaction, snapshot, row, () => undefined);
  }
  lock(
    transaction: Transaction,
    snapshot: Snapshot,
    row: RowId,
    _strength: LockStrength,
    skipLocked: boolean,
  ): WriteOutcome | "skipped" {
    this.engine.mayWait();
    try {
      this.#waitForWriter(transaction, row);
    } catch (thrown) {
      if (skipLocked && isWait(thrown)) return "skipped";
      throw thrown;
    }
    const newest = this.rows[row]?.[0];
    if (newest === undefined) return "deleted";
    if (this.engine.visible(snapshot, newest)) return newest.values === undefined ? "deleted" : "done";
    return newest.writer === transaction.id ? "self" : newest.values === undefined ? "deleted" : "updated";
  }
  read(snapshot: Snapshot, row: RowId, columns: readonly number[], into: Value[][], at: number): boolean {
    this.engine.mayWait();
    return this.#copy(this.versionFor(snapshot, row), columns, into, at);
  }
  readNewest(
    transaction: Transaction,
    row: RowId,
    columns: readonly number[],
    into: Value[][],
    at: number,
  ): boolean {
    this.engine.mayWait();
    return this.#copy(this.#newest(transaction, row), columns, into, at);
  }
  #copy(
    values: readonly Value[] | undefined,
    columns: readonly number[],
    into: Value[][],
    at: number,
  ): boolean {
    if (values === undefined) return false;
    for (let i = 0; i < columns.length; i++) into[i]![at] = values[columns[i]!]!;
    return true;
  }
  scan(snapshot: Snapshot): PageScan {
    return new FakePageScan(this, snapshot);
  }
  indexScan(snapshot: Snapshot, indexId: number, range: KeyRange, backward: boolean): IndexScan {
    const index = this.spec.indexes.find(({ id }) => id === indexId);
    assert(index !== undefined, "no such index");
    const found: { key: readonly Value[]; row: RowId }[] = [];
    for (let row = 0; row < this.rows.length; row++) {
      const values = this.versionFor(snapshot, row);
      if (values === undefined) continue;
      const key = index.key(values);
      if (key !== undefined && inRange(index, key, range)) found.push({ key, row });
    }
    found.sort((a, b) => compareKeys(index, a.key, b.key) || a.row - b.row);
    if (backward) found.reverse();
    let at = 0;
    return {
      next: (into, max) => {
        this.engine.mayWait();
        const count = Math.min(max, found.length - at);
        for (let i = 0; i < count; i++) into[i] = found[at + i]!.row;
        at += count;
        return count;
      },
    };
  }
  findNewest(transaction: Transaction, indexId: number, key: readonly Value[]): RowId | undefined {
    this.engine.mayWait();
    const index = this.spec.indexes.find(({ id }) => id === indexId)!;
    for (let row = 0; row < this.rows.length; row++) {
      const values = this.#newest(transaction, row);
      const other = values === undefined ? undefined : index.key(values);
      if (other !== undefined && compareKeys(index, key, other) === 0) return row;
    }
    return undefined;
  }
}

class FakePageScan implements PageScan {
  readonly address = 0;
  pageNumber = -1;
  rows = 0;
  readonly visible = 0;
  readonly oldSlots: readonly number[] = [];
  #seen: { row: RowId; values: readonly Value[] }[] = [];
  constructor(
    readonly table: FakeTable,
    readonly snapshot: Snapshot,
  ) {}
  get visibleCount(): number {
    return this.#seen.length;
  }
  next(): boolean {
    for (;;) {
      this.table.engine.mayWait();
      const from = (this.pageNumber + 1) * rowsPerPage;
      if (from >= this.table.rows.length) return false;
      this.pageNumber++;
      this.#seen = [];
      const to = Math.min(from + rowsPerPage, this.table.rows.length);
      this.rows = to - from;
      for (let row = from; row < to; row++) {
        const values = this.table.versionFor(this.snapshot, row);
        if (values !== undefined) this.#seen.push({ row, values });
      }
      if (this.#seen.length > 0) return true;
    }
  }
  materialize(columns: readonly number[], into: Value[][], at: number, rowIds: Value[] | undefined): number {
    this.#seen.forEach(({ row, values }, i) => {
      columns.forEach((column, c) => {
        into[c]![at + i] = values[column]!;
      });
      if (rowIds !== undefined) rowIds[at + i] = row;
    });
    return this.#seen.length;
  }
}

function compareColumn(index: IndexSpec, c: number, a: Value, b: Value): number {
  const column = index.columns[c]!;
  if (a === null || b === null) {
    if (a === b) return 0;
    return (a === null) === column.nullsFirst ? -1 : 1;
  }
  const verdict = compareOf(column.type.oid)(a, b);
  return column.descending ? -verdict : verdict;
}

function compareKeys(index: IndexSpec, a: readonly Value[], b: readonly Value[]): number {
  for (let c = 0; c < Math.min(a.length, b.length); c++) {
    const verdict = compareColumn(index, c, a[c]!, b[c]!);
    if (verdict !== 0) return verdict;
  }
  return 0;
}

function inRange(index: IndexSpec, key: readonly Value[], range: KeyRange): boolean {
  if (range.lower !== undefined) {
    const verdict = compareKeys(index, key, range.lower);
    if (verdict < 0 || (verdict === 0 && !range.lowerInclusive)) return false;
  }
  if (range.upper !== undefined) {
    const verdict = compareKeys(index, key, range.upper);
    if (verdict > 0 || (verdict === 0 && !range.upperInclusive)) return false;
  }
  return true;
}

/** A spill file in memory that counts what went through. */
export class FakeSpill implements SpillFile {
  #bytes = Buffer.alloc(0);
  closed = false;
  get size(): number {
    return this.#bytes.length;
  }
  write(bytes: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
  }
  read(into: Uint8Array, position: number): number {
    return this.#bytes.copy(into, 0, position);
  }
  close(): void {
    this.closed = true;
    this.#bytes = Buffer.alloc(0);
  }
}

export const testEval: EvalContext = {
  ...defaultSettings,
  statementTimestamp: 0,
  clockTimestamp: () => 0,
  currentUser: "tester",
  sessionUser: "tester",
  currentDatabase: "test",
  backendPid: 1,
  random: () => 0.5,
  setting: () => null,
  setSetting: (_name, value) => value,
  searchPath: () => ["public"],
};

export class FakeCatalog implements CatalogReader {
  version = 1;
  readonly tables: TableDesc[] = [];
  readonly constraints: ConstraintDesc[] = [];
  readonly indexes: IndexDesc[] = [];
  versionOf(): number {
    return 1;
  }
  schemaByName(): undefined {}
  schemaById(id: number) {
    return { kind: "schema" as const, id, name: "public", owner: 10 };
  }
  relation(): undefined {}
  relationById(id: number): TableDesc | undefined {
    return this.tables.find((table) => table.id === id);
  }
  indexByName(): undefined {}
  indexById(id: number): IndexDesc | undefined {
    return this.indexes.find((index) => index.id === id);
  }
  indexesOf(tableId: number): readonly IndexDesc[] {
    return this.indexes.filter((index) => index.tableId === tableId);
  }
  constraintsOf(tableId: number): readonly ConstraintDesc[] {
    return this.constraints.filter((constraint) => constraint.tableId === tableId);
  }
  policiesOf(): readonly [] {
    return [];
  }
  referencesTo(tableId: number): readonly (ConstraintDesc & { type: "foreignKey" })[] {
    return this.constraints.flatMap((constraint) =>
      constraint.type === "foreignKey" && constraint.referencedTableId === tableId ? [constraint] : [],
    );
  }
  statisticsOf(): undefined {}
  roleByName(): undefined {}
  roleById(): undefined {}
  objects(): Iterable<CatalogObject> {
    return [...this.tables, ...this.constraints, ...this.indexes];
  }
}

export const int4 = { oid: 23, typmod: -1 };
export const int8 = { oid: 20, typmod: -1 };
export const text = { oid: 25, typmod: -1 };
export const bool = { oid: 16, typmod: -1 };
export const float8 = { oid: 701, typmod: -1 };

interface ColumnGiven {
  readonly name: string;
  readonly type: typeof int4;
  readonly notNull?: boolean;
}

/** One database: engine, catalog and a session's context. */
export class TestDatabase {
  readonly engine = new FakeEngine();
  readonly catalog = new FakeCatalog();
  #nextId = 16384;
  readonly spills: FakeSpill[] = [];
  virtual = new Map<number, Iterable<readonly Value[]>>();

  createTable(name: string, columns: readonly ColumnGiven[]): TableDesc {
    const id = this.#nextId++;
    const desc: TableDesc = {
      kind: "table",
      id,
      name,
      schemaId: 2200,
      owner: 10,
      columns: columns.map(
        ({ name, type, notNull }): ColumnDesc => ({ name, type, notNull: notNull === true }),
      ),
      storageId: id,
      format: 1,
      persistence: "permanent",
    };
    this.catalog.tables.push(desc);
    this.catalog.version++;
    const spec: TableSpec = {
      id,
      name,
      storageId: id,
      format: 1,
      columns: columns.map(({ type, notNull }) => ({
        type,
        notNull: notNull === true,
        dropped: false,
        missing: null,
      })),
      indexes: [],
    };
    this.engine.tables.set(id, new FakeTable(this.engine, spec));
    return desc;
  }
  createIndex(
    table: TableDesc,
    columns: readonly number[],
    options: { unique?: boolean; descending?: boolean; nullsFirst?: boolean; name?: string } = {},
  ): number {
    const id = this.#nextId++;
    const name = options.name ?? `${table.name}_idx${id}`;
    const keyColumns = columns.map((column) => ({
      column,
      type: table.columns[column]!.type,
      descending: options.descending === true,
      nullsFirst: options.nullsFirst === true,
    }));
    this.catalog.indexes.push({
      kind: "index",
      id,
      name,
      schemaId: 2200,
      tableId: table.id,
      storageId: id,
      columns: keyColumns,
      unique: options.unique === true,
      primary: false,
      state: "ready",
    });
    const spec: IndexSpec = {
      id,
      name,
      storageId: id,
      unique: options.unique === true,
      nullsNotDistinct: false,
      columns: keyColumns,
      dependsOn: columns,
      tableColumns: columns,
      key: (row) => columns.map((column) => row[column]!),
    };
    (this.engine.tables.get(table.id)!.spec.indexes as IndexSpec[]).push(spec);
    this.catalog.version++;
    return id;
  }
  foreignKey(
    child: TableDesc,
    columns: readonly number[],
    parent: TableDesc,
    referencedColumns: readonly number[],
    referencedIndexId: number,
    options: Partial<Extract<ConstraintDesc, { type: "foreignKey" }>> = {},
  ): void {
    this.catalog.constraints.push({
      kind: "constraint",
      id: this.#nextId++,
      name: `${child.name}_${parent.name}_fkey`,
      schemaId: 2200,
      tableId: child.id,
      type: "foreignKey",
      columns,
      referencedTableId: parent.id,
      referencedColumns,
      referencedIndexId,
      onDelete: "noAction",
      onUpdate: "noAction",
      match: "simple",
      ...options,
    });
    this.catalog.version++;
  }
  /** Puts committed rows into a table. */
  fill(table: TableDesc, rows: readonly (readonly Value[])[]): void {
    const transaction = this.engine.begin({ isolation: "readCommitted", readOnly: false, lockTimeoutMs: 0 });
    const target = this.engine.tables.get(table.id)!;
    for (const values of rows) {
      target.rows.push([{ writer: transaction.id, sequence: 0, values }]);
    }
    this.engine.commit(transaction);
  }
  /** All committed rows. */
  content(table: TableDesc): (readonly Value[])[] {
    const target = this.engine.tables.get(table.id)!;
    const snapshot = { commitNumber: this.engine.commitNumber, self: 0, selfSequence: 0 };
    return target.rows.flatMap((_, row) => {
      const values = target.versionFor(snapshot, row);
      return values === undefined ? [] : [values];
    });
  }
  begin(isolation: Transaction["options"]["isolation"] = "readCommitted"): Transaction {
    return this.engine.begin({ isolation, readOnly: false, lockTimeoutMs: 0 });
  }
  context(options: { memoryBytes?: number; transaction?: Transaction } = {}): TestContext {
    return new TestContext(this, options.memoryBytes ?? 64 << 20, options.transaction ?? this.begin());
  }
}

export class TestContext implements ExecContext {
  snapshot: Snapshot;
  readonly eval = testEval;
  params: readonly Value[] = [];
  readonly execParams: Value[] = [];
  readonly memory: WorkMemory;
  rowsAffected = 0;
  readonly checks = new CheckQueue();
  readonly commitChecks = new CheckQueue();
  constructor(
    readonly database: TestDatabase,
    memoryBytes: number,
    readonly transaction: Transaction,
  ) {
    this.memory = new WorkMemory(memoryBytes);
    this.snapshot = database.engine.statementSnapshot(transaction);
  }
  get engine(): Engine {
    return this.database.engine as unknown as Engine;
  }
  get catalog(): CatalogReader {
    return this.database.catalog;
  }
  table(id: number): Table {
    return this.database.engine.tables.get(id)!;
  }
  virtualRows(id: number): Iterable<readonly Value[]> {
    return this.database.virtual.get(id) ?? [];
  }
  openSpill(): SpillFile {
    const file = new FakeSpill();
    this.database.spills.push(file);
    return file;
  }
  checkInterrupt(): void {}
  afterStatement(check: () => void): void {
    this.checks.push(check);
  }
  atCommit(check: () => void): void {
    this.commitChecks.push(check);
  }
}

/** Calls again after every Wait, at most `limit` times. */
export function throughWaits<T>(step: () => T, limit = 1_000_000): T {
  for (let tries = 0; tries < limit; tries++) {
    try {
      return step();
    } catch (thrown) {
      if (!isWait(thrown) && !(thrown instanceof SliceEnd)) throw thrown;
    }
  }
  throw new Error("a step waited without end");
}

/** Runs a plan's operator to its end, checks included, playing every Wait; answers the rows. */
export function rowsOf(operator: Operator, context: TestContext): Value[][] {
  const rows: Value[][] = [];
  let closed = false;
  try {
    operator.open(context);
    for (;;) {
      const batch: Batch | undefined = throughWaits(() => operator.next());
      throughWaits(() => context.checks.run());
      if (batch === undefined) break;
      assert(batch.length > 0, "an operator handed up an empty batch");
      for (let row = 0; row < batch.length; row++) rows.push(batch.columns.map((column) => column[row]!));
    }
    closed = true;
    operator.close();
  } finally {
    if (!closed) operator.close();
  }
  assert(
    context.memory.usedBytes === 0,
    `${context.memory.usedBytes} bytes of work memory were not given back`,
  );
  assert(
    context.database.spills.every(({ closed }) => closed),
    "a spill file was left open",
  );
  return rows;
}

// Plans by hand ------------------------------------------------------------------------------------------------------

export const estimate = { startupCost: 0, totalCost: 1, rows: 1, width: 8 };
export const output = (...types: readonly (typeof int4)[]): OutputColumn[] =>
  types.map((type, i) => ({ name: `c${i}`, type }));
export const slot = (n: number, type = int4): Expr => ({ kind: "slot", type, slot: n });
export const constant = (value: Value, type = int4): Expr => ({ kind: "const", type, value });
export const param = (id: number, type = int4): Expr => ({ kind: "execParam", type, id });

function define(
  name: string,
  args: readonly number[],
  returns: number,
  call: (context: EvalContext, ...values: never[]) => Value,
): FunctionDef {
  return { oid: 0, name, args, returns, strict: true, volatility: "immutable", call };
}

const operators: Readonly<Record<string, (a: number, b: number) => Value>> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "%": (a, b) => {
    if (b === 0) throw new DbError("divisionByZero", "division by zero");
    return a % b;
  },
  "=": (a, b) => a === b,
  "<>": (a, b) => a !== b,
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

export function operatorFn(operator: string): FunctionDef {
  const boolean = /[<>=]/.test(operator);
  return define(operator, [23, 23], boolean ? 16 : 23, (_context, a: never, b: never) =>
    operators[operator]!(a, b),
  );
}
export function op(operator: string, left: Expr, right: Expr): Expr {
  return {
    kind: "call",
    type: /[<>=]/.test(operator) ? bool : int4,
    fn: operatorFn(operator),
    args: [left, right],
    operator,
  };
}

/** Plain aggregates for tests; oids are PostgreSQL's where the executor has a fast path for them. */
export const aggregates: Readonly<Record<"countAll" | "count" | "sum" | "max" | "arrayText", AggregateDef>> =
  {
    countAll: {
      oid: 2803,
      name: "count",
      args: [],
      returns: 20,
      strict: false,
      init: () => 0,
      step: (state) => (state as number) + 1,
      final: (state) => state as number,
    },
    count: {
      oid: 2147,
      name: "count",
      args: [2276],
      returns: 20,
      strict: true,
      init: () => 0,
      step: (state) => (state as number) + 1,
      final: (state) => state as number,
    },
    sum: {
      oid: 2108,
      name: "sum",
      args: [23],
      returns: 20,
      strict: true,
      init: () => null,
      step: (state, _context, value) => ((state as number | null) ?? 0) + (value as number),
      final: (state) => state as Value,
    },
    max: {
      oid: 2116,
      name: "max",
      args: [23],
      returns: 23,
      strict: true,
      init: () => null,
      step: (state, _context, value) =>
        state === null || (value as number) > (state as number) ? value : state,
      final: (state) => state as Value,
    },
    /** Joins values with commas, NULL as "null": shows order and content. */
    arrayText: {
      oid: 0,
      name: "array_text",
      args: [2276],
      returns: 25,
      strict: false,
      init: () => "",
      step: (state, _context, value) => (state === "" ? String(value) : `${state},${value}`),
      final: (state) => state as string,
      stateBytes: (state) => (state as string).length,
    },
  };

export function scanOf(table: TableDesc, extra: Partial<ScanNode> = {}): PlanNode {
  const project = extra.project ?? table.columns.map((_, c) => c);
  const columns = project.map((c) => ({ name: table.columns[c]!.name, type: table.columns[c]!.type }));
  return {
    kind: "seqScan",
    tableId: table.id,
    alias: table.name,
    project,
    rowId: false,
    estimate,
    ...extra,
    columns: extra.rowId === true ? [...columns, { name: "ctid", type: int8 }] : columns,
  };
}
