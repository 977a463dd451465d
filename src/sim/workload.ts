/**
 * A random workload through SQL sessions, with a model of what must be there afterwards.
 *
 * Each session has tables and sequences of its own and its own keys in the tables that all share; so what one session
 * did is a state of its own, and after a crash each session must be found either at its last acknowledged transaction
 * or, when a COMMIT was under way, whole behind it. What sessions share beyond keys is a counter that every transaction
 * may raise: its sum must be that of the states found.
 *
 * Invariant: the model is plain maps of texts, changed only by what the generator meant, never by what the node said.
 */
import { assert, DbError } from "../base/errors.js";
import { isWait } from "../base/wait.js";
import type { EngineCore, KeyRange, RowId, TableSpec } from "../mga/index.js";
import type { TableDesc } from "../model/schema.js";
import type { Value } from "../model/value.js";
import type { SimClient, SimNode } from "./node.js";
import { SimRandom } from "./random.js";

type Cell = string | null;

interface ColumnModel {
  readonly name: string;
  readonly type: "integer" | "bigint" | "text";
}

interface TableModel {
  readonly columns: readonly ColumnModel[];
  /** By primary key; cells by column, the key first. */
  readonly rows: Map<number, readonly Cell[]>;
  readonly indexes: Set<string>;
}

interface SequenceModel {
  /** Tells a sequence from a later one of its name. */
  readonly identity: number;
  /** Highest value that an acknowledged transaction was given. */
  highest: number;
}

/** What one session has made: the state of the database is the sum over sessions. */
export class SessionState {
  readonly tables = new Map<string, TableModel>();
  readonly sequences = new Map<string, SequenceModel>();
  /** Own rows of the table that all share. */
  readonly shared = new Map<number, readonly Cell[]>();
  readonly sharedIndexes = new Set<string>();
  bumps = 0;

  copy(): SessionState {
    const copy = new SessionState();
    for (const [name, { columns, rows, indexes }] of this.tables)
      copy.tables.set(name, { columns, rows: new Map(rows), indexes: new Set(indexes) });
    for (const [name, { identity, highest }] of this.sequences)
      copy.sequences.set(name, { identity, highest });
    for (const [key, row] of this.shared) copy.shared.set(key, row);
    for (const name of this.sharedIndexes) copy.sharedIndexes.add(name);
    copy.bumps = this.bumps;
    return copy;
  }
}

/** What may be found after a crash, by session. */
export interface Expectation {
  readonly acknowledged: SessionState;
  /** Its COMMIT was under way. */
  readonly underWay: SessionState | undefined;
}

export interface WorkloadShape {
  readonly sessions: number;
  readonly transactions: number;
  /** Of a hundred steps, how many are DDL. */
  readonly ddl: number;
}

const sharedColumns: readonly ColumnModel[] = [
  { name: "id", type: "integer" },
  { name: "n", type: "integer" },
  { name: "t", type: "text" },
];

const counters = 3;
/** What a concurrent transaction may cause; the transaction is given up then. */
const expectedFailures = new Set(["40001", "40P01", "55P03", "55006"]);

export class Workload {
  /** By note of the trace. */
  readonly notes: (readonly Expectation[])[] = [];
  readonly statements: Map<string, number> = new Map();
  /** Errors that concurrency explains, by SQLSTATE. */
  readonly failures: Map<string, number> = new Map();
  committed = 0;
  readonly #sessions: WorkloadSession[] = [];
  readonly #random: SimRandom;

  constructor(
    readonly node: SimNode,
    readonly seed: number,
    readonly shape: WorkloadShape,
  ) {
    this.#random = new SimRandom(seed * 7919 + 13);
  }

  /** Tables that all share; then every session in turn, until each has done its transactions. */
  async run(): Promise<void> {
    const { node, shape } = this;
    const setup = node.client();
    await setup.query("CREATE TABLE shared (id integer PRIMARY KEY, n integer, t text)");
    await setup.query("CREATE TABLE counters (id integer PRIMARY KEY, n bigint NOT NULL)");
    for (let id = 0; id < counters; id++) await setup.query(`INSERT INTO counters VALUES (${id}, 0)`);
    setup.close();
    for (let id = 0; id < shape.sessions; id++)
      this.#sessions.push(new WorkloadSession(this, id, node.client(), new SimRandom(this.#random.bits())));
    this.note();
    await Promise.all(this.#sessions.map((session) => session.run(shape.transactions)));
    for (const session of this.#sessions) session.client.close();
  }

  /** Marks the trace with what may be found from here on. */
  note(): void {
    this.notes.push(
      this.#sessions.map(({ acknowledged, underWay }): Expectation => ({ acknowledged, underWay })),
    );
    this.node.platform.disk.note(this.notes.length - 1);
  }

  count(map: Map<string, number>, key: string): void {
    map.set(key, (map.get(key) ?? 0) + 1);
  }
}

class WorkloadSession {
  acknowledged = new SessionState();
  underWay: SessionState | undefined;
  #draft = new SessionState();
  #names = 0;
  readonly #handedOut = new Map<number, number>();

  constructor(
    readonly workload: Workload,
    readonly id: number,
    readonly client: SimClient,
    readonly random: SimRandom,
  ) {}

  async run(transactions: number): Promise<void> {
    await this.client.query("SET lock_timeout = '3s'");
    const { clock } = this.workload.node.platform;
    for (let at = 0; at < transactions; at++) {
      await this.#transaction();
      if (this.random.below(3) === 0)
        await new Promise<void>((resolve) => clock.after(this.random.below(8), resolve));
    }
  }

  async #transaction(): Promise<void> {
    const { random } = this;
    const roll = random.below(40);
    if (roll === 0) {
      await this.#maintain("SWEEP");
      return;
    }
    if (roll === 1) {
      await this.#maintain("CHECKPOINT");
      return;
    }
    this.#draft = this.acknowledged.copy();
    try {
      if (roll < 14) {
        const text = this.#step();
        await this.#ending(() => this.#say(text));
        return;
      }
      const isolation = random.below(4) === 0 ? " ISOLATION LEVEL REPEATABLE READ" : "";
      await this.#say(`BEGIN${isolation}`);
      const savepoints: { readonly name: string; readonly draft: SessionState }[] = [];
      for (let steps = 1 + random.below(7); steps > 0; steps--) await this.#blockStep(savepoints);
      if (random.below(6) === 0) await this.#say("ROLLBACK");
      else await this.#ending(() => this.#say("COMMIT"));
    } catch (error) {
      if (!(error instanceof DbError) || !expectedFailures.has(error.sqlstate)) throw error;
      this.workload.count(this.workload.failures, error.sqlstate);
      if (this.client.status !== "I") await this.#say("ROLLBACK");
    }
  }

  /** A sweep that runs already refuses a second one: that is an answer, too. */
  async #maintain(statement: string): Promise<void> {
    try {
      await this.#say(statement);
    } catch (error) {
      if (!(error instanceof DbError) || error.sqlstate !== "55006") throw error;
      this.workload.count(this.workload.failures, error.sqlstate);
    }
  }

  async #blockStep(savepoints: { readonly name: string; readonly draft: SessionState }[]): Promise<void> {
    const { random } = this;
    const roll = random.below(20);
    if (roll === 0 || (roll === 1 && savepoints.length === 0)) {
      const name = `s${savepoints.length}`;
      await this.#say(`SAVEPOINT ${name}`);
      savepoints.push({ name, draft: this.#draft.copy() });
    } else if (roll === 1 || roll === 2) {
      const place = random.below(savepoints.length || 1);
      const target = savepoints[place];
      if (target === undefined) return;
      await this.#say(`ROLLBACK TO SAVEPOINT ${target.name}`);
      savepoints.length = place + 1;
      this.#draft = target.draft.copy();
    } else if (roll === 3 && savepoints.length > 0) {
      const place = random.below(savepoints.length);
      await this.#say(`RELEASE SAVEPOINT ${savepoints[place]!.name}`);
      savepoints.length = place;
    } else if (roll === 4 && this.#draft.shared.size > 0) {
      await this.#refused();
    } else await this.#say(this.#step());
  }

  /** A statement that must fail, and that a savepoint takes back. */
  async #refused(): Promise<void> {
    const key = this.#pick([...this.#draft.shared.keys()]);
    const free = key + this.workload.shape.sessions * 1000;
    await this.#say("SAVEPOINT refused");
    let sqlstate = "00000";
    try {
      await this.#say(
        `INSERT INTO shared VALUES (${free}, 1, 'not to be seen'), (${key}, 1, 'not to be seen')`,
      );
    } catch (error) {
      if (!(error instanceof DbError) || error.sqlstate !== "23505") throw error;
      sqlstate = error.sqlstate;
    }
    assert(sqlstate === "23505", `a second row with key ${key} was taken`);
    await this.#say("ROLLBACK TO SAVEPOINT refused");
    await this.#say("RELEASE SAVEPOINT refused");
  }

  async #say(text: string): Promise<void> {
    const words = text
      .split(" ", 2)
      .join(" ")
      .replace(/[^A-Z ].*/, "")
      .trim();
    this.workload.count(this.workload.statements, words);
    const { rows } = await this.client.query(text);
    if (text.startsWith("SELECT nextval")) this.#gotValue(text, Number(rows[0]![0]));
  }

  #gotValue(text: string, value: number): void {
    const sequence = this.#draft.sequences.get(/'(\w+)'/.exec(text)![1]!)!;
    const before = this.#handedOut.get(sequence.identity) ?? 0;
    assert(value > before, `${text} gave ${value} after ${before}`);
    this.#handedOut.set(sequence.identity, value);
    sequence.highest = value;
  }

  /** The statement that commits: until it is answered both states may be found. */
  async #ending(say: () => Promise<void>): Promise<void> {
    // The draft may still learn the value of a sequence from the answer: what is under way does not know it.
    this.underWay = this.#draft.copy();
    this.workload.note();
    try {
      await say();
      this.acknowledged = this.#draft;
      this.workload.committed++;
    } finally {
      this.underWay = undefined;
      this.workload.note();
    }
  }

  // --- statements -----------------------------------------------------------------------------------------------

  #pick<T>(from: readonly T[]): T {
    return from[this.random.below(from.length)]!;
  }

  #text(): string {
    const { random } = this;
    const roll = random.below(12);
    const length =
      roll === 0 ? 2100 + random.below(12_000) : roll < 3 ? random.below(1500) : random.below(40);
    return String.fromCharCode(97 + random.below(26)).repeat(length);
  }

  #cell(type: ColumnModel["type"]): Cell {
    if (this.random.below(10) === 0) return null;
    if (type === "text") return this.#text();
    if (type === "bigint") return String(this.random.below(2 ** 31) * 2 ** 20);
    return String(this.random.below(1000));
  }

  /** One statement, and what it does to the draft. */
  #step(): string {
    const { random } = this;
    const draft = this.#draft;
    const names = [...draft.tables.keys()];
    if (names.length === 0 || random.below(100) < this.workload.shape.ddl) return this.#define(names);
    const roll = random.below(10);
    if (roll < 3) return this.#shared();
    if (roll === 3) {
      draft.bumps++;
      return `UPDATE counters SET n = n + 1 WHERE id = ${random.below(counters)}`;
    }
    if (roll === 4 && draft.sequences.size > 0)
      return `SELECT nextval('${this.#pick([...draft.sequences.keys()])}')`;
    return this.#write(this.#pick(names));
  }

  #shared(): string {
    const { random } = this;
    const { shared } = this.#draft;
    const key = this.id + this.workload.shape.sessions * random.below(24);
    const had = shared.get(key);
    if (had !== undefined && random.below(3) === 0) {
      shared.delete(key);
      return `DELETE FROM shared WHERE id = ${key}`;
    }
    const row: readonly Cell[] = [String(key), this.#cell("integer"), this.#cell("text")];
    shared.set(key, row);
    if (had === undefined) return `INSERT INTO shared VALUES (${row.map(literal).join(", ")})`;
    if (random.below(2) === 0) {
      shared.set(key, [had[0]!, row[1]!, had[2]!]);
      return `UPDATE shared SET n = ${literal(row[1]!)} WHERE id = ${key}`;
    }
    return `UPDATE shared SET n = ${literal(row[1]!)}, t = ${literal(row[2]!)} WHERE id = ${key}`;
  }

  #write(name: string): string {
    const { random } = this;
    const { columns, rows } = this.#draft.tables.get(name)!;
    const roll = random.below(10);
    if (rows.size < 3 || (roll < 4 && rows.size < 80)) {
      const values: string[] = [];
      for (let count = roll === 0 ? 1 + random.below(20) : 1; count > 0; count--) {
        const key = random.below(200);
        if (rows.has(key)) continue;
        const row = columns.map((column, at) => (at === 0 ? String(key) : this.#cell(column.type)));
        rows.set(key, row);
        values.push(`(${row.map(literal).join(", ")})`);
      }
      if (values.length > 0) return `INSERT INTO ${name} VALUES ${values.join(", ")}`;
    }
    if (roll === 9) {
      const below = random.below(60);
      for (const key of [...rows.keys()]) if (key < below) rows.delete(key);
      return `DELETE FROM ${name} WHERE id < ${below}`;
    }
    const key = this.#pick([...rows.keys()]);
    const row = rows.get(key)!;
    if (roll === 8) {
      rows.delete(key);
      return `DELETE FROM ${name} WHERE id = ${key}`;
    }
    const at = 1 + random.below(columns.length - 1);
    const column = columns[at]!;
    const value = this.#cell(column.type);
    if (roll === 7) {
      const below = random.below(120);
      for (const [other, cells] of rows) if (other < below) rows.set(other, cells.with(at, value));
      return `UPDATE ${name} SET ${column.name} = ${literal(value)} WHERE id < ${below}`;
    }
    if (roll === 6) {
      const free = random.below(200);
      if (!rows.has(free)) {
        rows.delete(key);
        rows.set(free, row.with(0, String(free)));
        return `UPDATE ${name} SET id = ${free} WHERE id = ${key}`;
      }
    }
    rows.set(key, row.with(at, value));
    return `UPDATE ${name} SET ${column.name} = ${literal(value)} WHERE id = ${key}`;
  }

  #define(names: readonly string[]): string {
    const { random } = this;
    const draft = this.#draft;
    const fresh = (kind: string): string => `${kind}_${this.id}_${this.#names++}`;
    const roll = random.below(16);
    if (names.length < 2 || (roll < 2 && names.length < 4)) {
      const name = fresh("own");
      draft.tables.set(name, { columns: sharedColumns, rows: new Map(), indexes: new Set([`${name}_pkey`]) });
      return `CREATE TABLE ${name} (id integer PRIMARY KEY, n integer, t text)`;
    }
    const name = this.#pick(names);
    const table = draft.tables.get(name)!;
    const { columns, rows, indexes } = table;
    const change = (more: Partial<TableModel>): void => {
      draft.tables.set(name, { ...table, ...more });
    };
    switch (roll) {
      case 2:
        draft.tables.delete(name);
        return `DROP TABLE ${name}`;
      case 3:
        rows.clear();
        return `TRUNCATE ${name}`;
      case 4:
      case 5: {
        if (columns.length >= 7) break;
        const column: ColumnModel = { name: fresh("c"), type: this.#pick(["integer", "bigint", "text"]) };
        const value = this.#cell(column.type);
        for (const [key, row] of rows) rows.set(key, [...row, value]);
        change({ columns: [...columns, column] });
        return `ALTER TABLE ${name} ADD COLUMN ${column.name} ${column.type} DEFAULT ${literal(value)}`;
      }
      case 6: {
        const at = columns.findIndex((column) => column.name.startsWith("c_"));
        if (at < 0) break;
        for (const [key, row] of rows) rows.set(key, row.toSpliced(at, 1));
        change({ columns: columns.toSpliced(at, 1) });
        return `ALTER TABLE ${name} DROP COLUMN ${columns[at]!.name}`;
      }
      case 7: {
        const at = columns.findIndex((column) => column.name.startsWith("c_") && column.type === "integer");
        if (at < 0) break;
        change({ columns: columns.with(at, { name: columns[at]!.name, type: "bigint" }) });
        return `ALTER TABLE ${name} ALTER COLUMN ${columns[at]!.name} TYPE bigint`;
      }
      case 8: {
        const renamed = fresh("own");
        draft.tables.delete(name);
        draft.tables.set(renamed, table);
        return `ALTER TABLE ${name} RENAME TO ${renamed}`;
      }
      case 9:
      case 10: {
        if (indexes.size >= 5) break;
        const index = fresh("i");
        indexes.add(index);
        const on = this.#pick([
          "(n)",
          "(n, id)",
          "(n DESC) WHERE n > 300",
          "((n % 7))",
          "(substr(t, 1, 3), id)",
        ]);
        return `CREATE INDEX ${index} ON ${name} ${on}`;
      }
      case 11: {
        const index = [...indexes].find((one) => one.startsWith("i_"));
        if (index === undefined) break;
        indexes.delete(index);
        return `DROP INDEX ${index}`;
      }
      case 12: {
        if (this.id !== 0) break;
        const index = [...draft.sharedIndexes][0];
        if (index !== undefined && draft.sharedIndexes.size > 1) {
          draft.sharedIndexes.delete(index);
          return `DROP INDEX ${index}`;
        }
        const made = fresh("i");
        draft.sharedIndexes.add(made);
        return `CREATE INDEX ${made} ON shared (n, id)`;
      }
      case 13: {
        const sequence = [...draft.sequences.keys()][0];
        if (sequence === undefined || draft.sequences.size < 2) break;
        draft.sequences.delete(sequence);
        return `DROP SEQUENCE ${sequence}`;
      }
      default: {
        if (draft.sequences.size >= 3) break;
        const sequence = fresh("q");
        draft.sequences.set(sequence, { identity: this.#names, highest: 0 });
        return `CREATE SEQUENCE ${sequence}`;
      }
    }
    return this.#write(name);
  }
}

function literal(cell: Cell): string {
  return cell === null ? "NULL" : /^\d+$/.test(cell) ? cell : `'${cell}'`;
}

// --- what is found ------------------------------------------------------------------------------------------------

async function settled<T>(work: () => T): Promise<T> {
  for (;;) {
    try {
      return work();
    } catch (thrown) {
      if (!isWait(thrown)) throw thrown;
      await thrown.ready;
    }
  }
}

const wholeRange: KeyRange = { lowerInclusive: true, upperInclusive: true };

/** A table's rows by primary key as a new reader sees them. Throws where an index tells otherwise than the pages. */
async function readTable(node: SimNode, desc: TableDesc): Promise<Map<number, readonly Cell[]>> {
  const { core } = node;
  const home = core.shards[0]!;
  const engine = home.engine as EngineCore;
  const spec: TableSpec = home.spec(core.control.state, desc.id);
  const table = await settled(() => engine.table(spec));
  const reader = engine.begin({ isolation: "repeatableRead", readOnly: true, lockTimeoutMs: 0 });
  const snapshot = engine.statementSnapshot(reader);
  const places = spec.columns.map((_, at) => at);
  const cells: Value[][] = places.map(() => []);
  const ids: Value[] = [];
  const scan = table.scan(snapshot);
  let count = 0;
  while (await settled(() => scan.next())) {
    const start = count;
    count += await settled(() => scan.materialize(places, cells, start, ids));
  }
  const rows = new Map<number, readonly Cell[]>();
  const whole = new Map<RowId, readonly Value[]>();
  const live = places.filter((at) => !spec.columns[at]!.dropped);
  for (let row = 0; row < count; row++) {
    const values = cells.map((column) => column[row]!);
    const shown = live.map((at): Cell => (values[at] === null ? null : String(values[at])));
    const key = Number(shown[0]);
    if (rows.has(key)) throw new Error(`table ${spec.name} has two rows with key ${key}`);
    rows.set(key, shown);
    whole.set(ids[row] as RowId, values);
  }
  for (const index of spec.indexes) {
    const wanted = new Set<RowId>();
    for (const [id, values] of whole) if (index.key(values) !== undefined) wanted.add(id);
    const entries = table.indexScan(snapshot, index.id, wholeRange, false);
    const batch: RowId[] = [];
    for (;;) {
      const got = await settled(() => entries.next(batch, 100));
      if (got === 0) break;
      for (const id of batch.slice(0, got)) {
        if (!wanted.delete(id))
          throw new Error(`index ${index.name} gives row ${id} twice, or though table ${spec.name} lacks it`);
      }
    }
    if (wanted.size > 0)
      throw new Error(`index ${index.name} lacks ${wanted.size} rows of table ${spec.name}`);
  }
  engine.releaseSnapshot(reader);
  engine.rollback(reader);
  return rows;
}

function rowsDiffer(
  found: ReadonlyMap<number, readonly Cell[]>,
  wanted: ReadonlyMap<number, readonly Cell[]>,
): string | undefined {
  for (const [key, row] of wanted) {
    const other = found.get(key);
    if (other === undefined) return `row ${key} is missing`;
    for (let at = 0; at < row.length; at++) {
      if (row[at] !== other[at])
        return `row ${key} column ${at} is ${shorten(other[at])}, not ${shorten(row[at])}`;
    }
    if (other.length !== row.length) return `row ${key} has ${other.length} columns, not ${row.length}`;
  }
  for (const key of found.keys()) if (!wanted.has(key)) return `row ${key} should not be there`;
  return undefined;
}

function shorten(cell: Cell | undefined): string {
  if (cell === undefined || cell === null) return String(cell);
  return cell.length > 20 ? `${cell.slice(0, 12)}… of ${cell.length}` : cell;
}

/** What one session may have made of the database, as found. */
interface Found {
  readonly tables: Map<string, { columns: string; rows: Map<number, readonly Cell[]>; indexes: string }>;
  readonly sequences: Map<string, number>;
  readonly shared: Map<number, readonly Cell[]>;
  readonly sharedIndexes: string;
}

function differs(found: Found, wanted: SessionState): string | undefined {
  for (const [name, table] of wanted.tables) {
    const other = found.tables.get(name);
    if (other === undefined) return `table ${name} is missing`;
    const columns = table.columns.map((column) => `${column.name} ${column.type}`).join(", ");
    if (other.columns !== columns) return `table ${name} has the columns ${other.columns}, not ${columns}`;
    const indexes = [...table.indexes].sort().join();
    // A primary key keeps the name it was made with.
    const pkey = /\bown_\d+_\d+_pkey/g;
    if (other.indexes.replaceAll(pkey, "pkey") !== indexes.replaceAll(pkey, "pkey"))
      return `table ${name} has the indexes ${other.indexes}, not ${indexes}`;
    const rows = rowsDiffer(other.rows, table.rows);
    if (rows !== undefined) return `table ${name}: ${rows}`;
  }
  for (const name of found.tables.keys())
    if (!wanted.tables.has(name)) return `table ${name} should not be there`;
  for (const [name, { highest }] of wanted.sequences) {
    const next = found.sequences.get(name);
    if (next === undefined) return `sequence ${name} is missing`;
    if (next <= highest) return `sequence ${name} gives ${next} again, it had given ${highest}`;
  }
  for (const name of found.sequences.keys())
    if (!wanted.sequences.has(name)) return `sequence ${name} should not be there`;
  const shared = rowsDiffer(found.shared, wanted.shared);
  if (shared !== undefined) return `table shared: ${shared}`;
  const indexes = [...wanted.sharedIndexes].sort().join();
  if (found.sharedIndexes !== indexes)
    return `table shared has the indexes ${found.sharedIndexes}, not ${indexes}`;
  return undefined;
}

const typeNames: Readonly<Record<number, string>> = { 20: "bigint", 23: "integer", 25: "text" };

/**
 * Compares a node that was opened after a crash with what may be there. Answers which sessions were found behind their
 * last acknowledged transaction. Throws an Error that says what is wrong.
 */
export async function checkFound(
  node: SimNode,
  expected: readonly Expectation[],
): Promise<{ readonly ahead: readonly boolean[]; readonly rows: number }> {
  const { core } = node;
  const { state } = core.control;
  const engine = core.shards[0]!.engine as EngineCore;
  const sessions = expected.length;
  const found = expected.map((): Found & { sharedIndexes: string } => ({
    tables: new Map(),
    sequences: new Map(),
    shared: new Map(),
    sharedIndexes: "",
  }));
  let sum = 0;
  let rowCount = 0;
  for (const object of state.objects()) {
    if (object.kind === "table") {
      const rows = await readTable(node, object);
      rowCount += rows.size;
      const indexes = state
        .indexesOf(object.id)
        .map((index) => index.name)
        .sort();
      if (object.name === "counters") {
        for (const row of rows.values()) sum += Number(row[1]);
      } else if (object.name === "shared") {
        for (const [key, row] of rows) found[key % sessions]!.shared.set(key, row);
        found[0]!.sharedIndexes = indexes.filter((name) => name !== "shared_pkey").join();
      } else {
        const owner = found[Number(object.name.split("_")[1])];
        if (owner === undefined) throw new Error(`table ${object.name} is nobody's`);
        const columns = object.columns.filter((column) => column.dropped !== true);
        owner.tables.set(object.name, {
          columns: columns.map(({ name, type }) => `${name} ${typeNames[type.oid] ?? type.oid}`).join(", "),
          rows,
          indexes: indexes.join(),
        });
      }
    } else if (object.kind === "sequence") {
      const owner = found[Number(object.name.split("_")[1])];
      if (owner === undefined) throw new Error(`sequence ${object.name} is nobody's`);
      const sequence = await settled(() => engine.sequence(object.storageId));
      const next = await settled(() =>
        sequence.next({ increment: 1n, minimum: 1n, maximum: 2n ** 62n, cycle: false, name: object.name }),
      );
      owner.sequences.set(object.name, Number(next));
    }
  }
  let bumps = 0;
  const ahead = expected.map(({ acknowledged, underWay }, session) => {
    const behind = differs(found[session]!, acknowledged);
    const further = underWay === undefined ? behind : differs(found[session]!, underWay);
    if (behind !== undefined && further !== undefined) {
      throw new Error(
        `session ${session}: ${behind}${underWay === undefined ? "" : `; and as the COMMIT under way would have it: ${further}`}`,
      );
    }
    return behind !== undefined;
  });
  // A transaction under way that changed nothing but a counter looks the same either way.
  let open = 0;
  expected.forEach(({ acknowledged, underWay }, session) => {
    const isAhead = ahead[session]!;
    bumps += isAhead ? underWay!.bumps : acknowledged.bumps;
    if (!isAhead && underWay !== undefined && differs(found[session]!, underWay) === undefined)
      open += underWay.bumps - acknowledged.bumps;
  });
  if (sum < bumps || sum > bumps + open)
    throw new Error(`the counters' sum is ${sum}, not ${bumps}${open === 0 ? "" : ` to ${bumps + open}`}`);
  return { ahead, rows: rowCount };
}

/** Every check the node has of itself: pages, trees, chains, entries, and its own log. */
export async function verifyNode(node: SimNode): Promise<string[]> {
  const { core, log } = node;
  const found: string[] = [...log.errors];
  for (const { engine } of core.shards) {
    const specs: TableSpec[] = [];
    if (engine.shard === 1) {
      for (const object of core.control.state.objects())
        if (object.kind === "table") specs.push(core.shards[0]!.spec(core.control.state, object.id));
    }
    for (const { file, problem } of await (engine as EngineCore).verify(specs))
      found.push(`${file}: ${problem}`);
  }
  for (const { shard, page, flaw } of core.storage.recovery.damaged)
    found.push(`shard ${shard} page ${page}: ${flaw}`);
  const report = await core.storage.verify();
  for (const { file, page, problem } of report.problems) found.push(`${file} page ${page}: ${problem}`);
  return found;
}
