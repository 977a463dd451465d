/** INSERT, UPDATE, DELETE over the naive engine: constraints, conflicts, foreign keys, restarts. */
import { describe, expect, test } from "vitest";
import { DbError } from "../base/errors.js";
import type { Transaction } from "../mga/contract.js";
import type { TableDesc } from "../model/schema.js";
import type { Value } from "../model/value.js";
import type { Expr } from "../sql/expr.js";
import type { ModifyNode, PlanNode } from "../sql/plan.js";
import { buildPlan, type DriverClock, Execution } from "./index.js";
import {
  constant,
  estimate,
  int4,
  op,
  output,
  rowsOf,
  scanOf,
  slot,
  type TestContext,
  TestDatabase,
  text,
  throughWaits,
} from "./testing.js";

const returningColumns = (extra: Partial<ModifyNode>) =>
  output(...(extra.returning ?? []).map(({ type }) => type));

function insert(
  table: TableDesc,
  rows: readonly (readonly Value[])[],
  extra: Partial<ModifyNode> = {},
): PlanNode {
  const types = table.columns.map(({ type }) => type);
  return {
    kind: "modify",
    operation: "insert",
    tableId: table.id,
    input: {
      kind: "values",
      rows: rows.map((row) => row.map((value, c) => constant(value, types[c]))),
      columns: output(...types),
      estimate,
    },
    targetColumns: table.columns.map((_, c) => c),
    columns: returningColumns(extra),
    extraSlots: [],
    checks: [],
    rowChecks: [],
    estimate,
    ...extra,
  };
}

function update(
  table: TableDesc,
  columns: readonly number[],
  values: readonly Expr[],
  where: Expr | undefined,
  extra: Partial<ModifyNode> = {},
): PlanNode {
  const scan = scanOf(table, { rowId: true, filter: where });
  const width = table.columns.length;
  return {
    kind: "modify",
    operation: "update",
    tableId: table.id,
    input: {
      kind: "project",
      input: scan,
      exprs: [...values, slot(width)],
      columns: output(...columns.map(() => int4), int4),
      estimate,
    },
    targetColumns: columns,
    columns: returningColumns(extra),
    rowIdSlot: columns.length,
    extraSlots: [],
    checks: [],
    rowChecks: [],
    estimate,
    ...extra,
  };
}

function remove(table: TableDesc, where: Expr | undefined, extra: Partial<ModifyNode> = {}): PlanNode {
  return {
    kind: "modify",
    operation: "delete",
    tableId: table.id,
    input: scanOf(table, { project: [0], rowId: true, filter: where }),
    targetColumns: [],
    columns: returningColumns(extra),
    rowIdSlot: 1,
    extraSlots: [],
    checks: [],
    rowChecks: [],
    estimate,
    ...extra,
  };
}

/** Runs and commits; on an error nothing stays. */
function execute(
  database: TestDatabase,
  plan: PlanNode,
  options: { waitChance?: number; transaction?: Transaction } = {},
): { rows: Value[][]; affected: number; context: TestContext } {
  const own = options.transaction === undefined;
  const transaction = options.transaction ?? database.begin();
  const context = database.context({ transaction });
  database.engine.waitChance = options.waitChance ?? 0;
  try {
    const rows = rowsOf(buildPlan(plan, { catalog: database.catalog }), context);
    if (own) {
      throughWaits(() => context.commitChecks.run());
      database.engine.commit(transaction);
    }
    return { rows, affected: context.rowsAffected, context };
  } catch (thrown) {
    database.engine.rollback(transaction);
    throw thrown;
  } finally {
    database.engine.waitChance = 0;
  }
}

function failure(run: () => unknown): DbError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof DbError) return thrown;
    throw thrown;
  }
  throw new Error("nothing failed");
}

const ab = [
  { name: "a", type: int4, notNull: true },
  { name: "b", type: text },
];

describe("plain changes", () => {
  test("insert, update, delete with RETURNING, also when everything waits", () => {
    for (const waitChance of [0, 0.3]) {
      const database = new TestDatabase();
      const t = database.createTable("t", ab);
      const rows = Array.from({ length: 2500 }, (_, i) => [i, `v${i}`]);
      const inserted = execute(database, insert(t, rows, { returning: [op("+", slot(0), constant(1))] }), {
        waitChance,
      });
      expect(inserted.affected).toBe(2500);
      expect(inserted.rows.map((row) => row[0])).toEqual(rows.map((row) => (row[0] as number) + 1));
      const updated = execute(
        database,
        update(t, [0], [op("+", slot(0), constant(10_000))], op("<", slot(0), constant(1200)), {
          returning: [slot(0), slot(1, text)],
        }),
        { waitChance },
      );
      expect(updated.affected).toBe(1200);
      expect(updated.rows[5]).toEqual([10_005, "v5"]);
      const deleted = execute(
        database,
        remove(t, op(">=", slot(0), constant(10_000)), { returning: [slot(1, text)] }),
        {
          waitChance,
        },
      );
      expect(deleted.affected).toBe(1200);
      expect(deleted.rows[0]).toEqual(["v0"]);
      expect(database.content(t).length).toBe(1300);
    }
  });
  test("an update meets each row once, whatever its join says", () => {
    const database = new TestDatabase();
    const t = database.createTable("t", ab);
    database.fill(t, [[1, "x"]]);
    const twice = update(t, [0], [op("+", slot(0), constant(1))], undefined) as ModifyNode & PlanNode;
    const doubled: PlanNode = {
      ...twice,
      input: { kind: "append", inputs: [twice.input, twice.input], columns: twice.input.columns, estimate },
    };
    expect(execute(database, doubled).affected).toBe(1);
    expect(database.content(t)).toEqual([[2, "x"]]);
  });
});

describe("constraints speak as PostgreSQL's", () => {
  test("NOT NULL", () => {
    const database = new TestDatabase();
    const t = database.createTable("t", ab);
    const error = failure(() => execute(database, insert(t, [[null, "x".repeat(80)]])));
    expect(error.sqlstate).toBe("23502");
    expect(error.message).toBe('null value in column "a" of relation "t" violates not-null constraint');
    expect(error.fields).toEqual({
      detail: `Failing row contains (null, ${"x".repeat(64)}...).`,
      schema: "public",
      table: "t",
      column: "a",
    });
    database.fill(t, [[1, null]]);
    const onUpdate = failure(() => execute(database, update(t, [0], [constant(null)], undefined)));
    expect(onUpdate.fields.detail).toBe("Failing row contains (null, null).");
  });
  test("CHECK: false fails, unknown passes", () => {
    const database = new TestDatabase();
    const t = database.createTable("t", ab);
    const checks = [{ name: "t_a_check", expr: op(">", slot(0), constant(0)) }];
    const error = failure(() =>
      execute(
        database,
        insert(
          t,
          [
            [1, "ok"],
            [-1, "no"],
          ],
          { checks },
        ),
      ),
    );
    expect(error.sqlstate).toBe("23514");
    expect(error.message).toBe('new row for relation "t" violates check constraint "t_a_check"');
    expect(error.fields.detail).toBe("Failing row contains (-1, no).");
    expect(error.fields.constraint).toBe("t_a_check");
    expect(database.content(t)).toEqual([]);
  });
  test("unique keys name the key", () => {
    const database = new TestDatabase();
    const t = database.createTable("t", ab);
    database.createIndex(t, [0, 1], { unique: true, name: "t_ab_key" });
    const error = failure(() =>
      execute(
        database,
        insert(t, [
          [1, "x"],
          [1, "x"],
        ]),
      ),
    );
    expect(error.sqlstate).toBe("23505");
    expect(error.message).toBe('duplicate key value violates unique constraint "t_ab_key"');
    expect(error.fields.detail).toBe("Key (a, b)=(1, x) already exists.");
    expect(error.fields.table).toBe("t");
  });
});

describe("ON CONFLICT", () => {
  function setup() {
    const database = new TestDatabase();
    const t = database.createTable("t", ab);
    const indexId = database.createIndex(t, [0], { unique: true, name: "t_pkey" });
    database.fill(t, [
      [1, "old"],
      [2, "old"],
    ]);
    return { database, t, indexId };
  }
  test("DO NOTHING leaves the row, and counts what it inserted", () => {
    const { database, t } = setup();
    const onConflict = {
      action: "nothing" as const,
      existingChecks: [],
      rowChecks: [],
      indexIds: [],
      set: [],
    };
    const { affected, rows } = execute(
      database,
      insert(
        t,
        [
          [1, "new"],
          [3, "new"],
          [3, "again"],
        ],
        { onConflict, returning: [slot(0)] },
      ),
      { waitChance: 0.4 },
    );
    expect(affected).toBe(1);
    expect(rows).toEqual([[3]]);
    expect(database.content(t)).toEqual([
      [1, "old"],
      [2, "old"],
      [3, "new"],
    ]);
  });
  test("DO UPDATE sees the existing and the proposed row; WHERE may leave it", () => {
    const { database, t, indexId } = setup();
    const onConflict = {
      action: "update" as const,
      existingChecks: [],
      rowChecks: [],
      indexIds: [indexId],
      set: [{ column: 1, value: slot(3, text) }],
      where: op("<", slot(0), constant(2)),
    };
    const { affected, rows } = execute(
      database,
      insert(
        t,
        [
          [1, "new"],
          [2, "new"],
          [3, "new"],
        ],
        { onConflict, returning: [slot(0), slot(1, text)] },
      ),
      { waitChance: 0.4 },
    );
    expect(affected).toBe(2);
    expect(rows).toEqual([
      [1, "new"],
      [3, "new"],
    ]);
    expect(database.content(t)).toEqual([
      [1, "new"],
      [2, "old"],
      [3, "new"],
    ]);
  });
  test("the same key twice in one command is 21000", () => {
    const { database, t, indexId } = setup();
    const onConflict = {
      action: "update" as const,
      existingChecks: [],
      rowChecks: [],
      indexIds: [indexId],
      set: [{ column: 1, value: slot(3, text) }],
    };
    for (const rows of [
      [
        [9, "x"],
        [9, "y"],
      ],
      [
        [1, "x"],
        [1, "y"],
      ],
    ]) {
      const error = failure(() => execute(database, insert(t, rows, { onConflict })));
      expect(error.sqlstate).toBe("21000");
      expect(error.message).toBe("ON CONFLICT DO UPDATE command cannot affect row a second time");
    }
  });
});

describe("foreign keys", () => {
  function setup(options: Parameters<TestDatabase["foreignKey"]>[5] = {}, childIndex = false) {
    const database = new TestDatabase();
    const parent = database.createTable("p", [{ name: "id", type: int4 }]);
    const index = database.createIndex(parent, [0], { unique: true, name: "p_pkey" });
    const child = database.createTable("c", [
      { name: "id", type: int4 },
      { name: "p_id", type: int4 },
    ]);
    if (childIndex) database.createIndex(child, [1]);
    database.foreignKey(child, [1], parent, [0], index, options);
    database.fill(parent, [[1], [2], [3]]);
    database.fill(child, [
      [10, 1],
      [11, 1],
      [12, 2],
      [13, null],
    ]);
    return { database, parent, child };
  }
  test("a child needs its parent; NULL does not", () => {
    const { database, child } = setup();
    expect(
      execute(
        database,
        insert(child, [
          [20, 3],
          [21, null],
        ]),
        { waitChance: 0.4 },
      ).affected,
    ).toBe(2);
    const error = failure(() => execute(database, insert(child, [[22, 9]])));
    expect(error.sqlstate).toBe("23503");
    expect(error.message).toBe('insert or update on table "c" violates foreign key constraint "c_p_fkey"');
    expect(error.fields).toMatchObject({
      detail: 'Key (p_id)=(9) is not present in table "p".',
      schema: "public",
      table: "c",
      constraint: "c_p_fkey",
    });
    const onUpdate = failure(() =>
      execute(database, update(child, [1], [constant(77)], op("=", slot(0), constant(10)))),
    );
    expect(onUpdate.fields.detail).toBe('Key (p_id)=(77) is not present in table "p".');
    expect(
      execute(database, update(child, [0], [constant(99)], op("=", slot(0), constant(10)))).affected,
    ).toBe(1);
  });
  test.each(["noAction", "restrict"] as const)("%s refuses to leave children behind", (onDelete) => {
    for (const childIndex of [false, true]) {
      const { database, parent } = setup({ onDelete }, childIndex);
      const error = failure(() =>
        execute(database, remove(parent, op("=", slot(0), constant(2))), { waitChance: 0.3 }),
      );
      expect(error.sqlstate).toBe("23503");
      expect(error.message).toBe(
        'update or delete on table "p" violates foreign key constraint "c_p_fkey" on table "c"',
      );
      expect(error.fields.detail).toBe('Key (id)=(2) is still referenced from table "c".');
      expect(database.content(parent).length).toBe(3);
      expect(execute(database, remove(parent, op("=", slot(0), constant(3)))).affected).toBe(1);
    }
  });
  test("CASCADE follows deletes and updates, over several levels and onto itself", () => {
    for (const waitChance of [0, 0.3]) {
      const { database, parent, child } = setup({ onDelete: "cascade", onUpdate: "cascade" });
      const childKey = database.createIndex(child, [0], { unique: true, name: "c_pkey" });
      const grandchild = database.createTable("g", [{ name: "c_id", type: int4 }]);
      database.foreignKey(grandchild, [0], child, [0], childKey, { onDelete: "cascade" });
      database.fill(grandchild, [[10], [12], [12]]);
      const deleted = execute(database, remove(parent, op("=", slot(0), constant(1))), { waitChance });
      expect(deleted.affected).toBe(1);
      expect(database.content(child)).toEqual([
        [12, 2],
        [13, null],
      ]);
      expect(database.content(grandchild)).toEqual([[12], [12]]);
      execute(database, update(parent, [0], [constant(7)], op("=", slot(0), constant(2))), { waitChance });
      expect(database.content(child)).toEqual([
        [12, 7],
        [13, null],
      ]);
    }
  });
  test("SET NULL, and its NOT NULL", () => {
    const { database, parent, child } = setup({ onDelete: "setNull" });
    execute(database, remove(parent, op("=", slot(0), constant(1))), { waitChance: 0.3 });
    expect(database.content(child)).toEqual([
      [10, null],
      [11, null],
      [12, 2],
      [13, null],
    ]);
  });
  test("rows of one statement may refer to each other, and all may go at once", () => {
    const database = new TestDatabase();
    const t = database.createTable("t", [
      { name: "id", type: int4 },
      { name: "next", type: int4 },
    ]);
    const index = database.createIndex(t, [0], { unique: true });
    database.foreignKey(t, [1], t, [0], index);
    expect(
      execute(
        database,
        insert(t, [
          [1, 2],
          [2, 1],
        ]),
        { waitChance: 0.3 },
      ).affected,
    ).toBe(2);
    expect(failure(() => execute(database, insert(t, [[3, 4]]))).sqlstate).toBe("23503");
    expect(execute(database, remove(t, undefined), { waitChance: 0.3 }).affected).toBe(2);
    expect(database.content(t)).toEqual([]);
  });
  test("a deferred constraint is checked when the transaction commits", () => {
    const { database, parent, child } = setup({ deferrable: true, initiallyDeferred: true });
    const transaction = database.begin();
    const first = execute(database, insert(child, [[30, 50]]), { transaction });
    execute(database, insert(parent, [[50]]), { transaction });
    throughWaits(() => first.context.commitChecks.run());
    database.engine.commit(transaction);
    expect(failure(() => execute(database, insert(child, [[31, 51]]))).sqlstate).toBe("23503");
  });
});

const clock: DriverClock = { monotonic: () => performance.now(), yield: () => Promise.resolve() };

describe("concurrent changes", () => {
  test("READ COMMITTED runs again on what the other left; its count is right", async () => {
    const database = new TestDatabase();
    const t = database.createTable("t", [
      { name: "a", type: int4 },
      { name: "b", type: int4 },
    ]);
    database.fill(t, [
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
    const plan = update(t, [1], [op("+", slot(1), constant(10))], op("=", slot(1), constant(1)));
    const transaction = database.begin();
    const context = database.context({ transaction });
    const mark = database.engine.savepoint(transaction);
    // Another transaction commits after our snapshot: one row is bumped, one no longer qualifies.
    execute(database, update(t, [1], [constant(2)], op("=", slot(0), constant(3))));
    let restarts = 0;
    const execution = new Execution(buildPlan(plan, { catalog: database.catalog }), context, 0, {
      clock,
      onBatch: () => true,
      checks: context.checks,
      restart: () => {
        restarts++;
        database.engine.rollbackTo(transaction, mark);
        context.snapshot = database.engine.statementSnapshot(transaction);
      },
    });
    await execution.run(0);
    database.engine.commit(transaction);
    expect(restarts).toBe(1);
    expect(context.rowsAffected).toBe(2);
    expect(database.content(t)).toEqual([
      [1, 11],
      [2, 11],
      [3, 2],
    ]);
  });
  test("REPEATABLE READ fails with 40001", () => {
    const database = new TestDatabase();
    const t = database.createTable("t", [{ name: "a", type: int4 }]);
    database.fill(t, [[1]]);
    const transaction = database.begin("repeatableRead");
    database.engine.statementSnapshot(transaction);
    execute(database, update(t, [0], [constant(5)], undefined));
    const plan = update(t, [0], [constant(6)], undefined);
    expect(failure(() => execute(database, plan, { transaction })).sqlstate).toBe("40001");
  });
  test("a driver waits for another writer, yields, and sends rows in parts", async () => {
    const database = new TestDatabase();
    const t = database.createTable("t", [{ name: "a", type: int4 }]);
    database.fill(
      t,
      Array.from({ length: 2500 }, (_, i) => [i]),
    );
    database.engine.waitChance = 0.5;
    const context = database.context();
    const seen: number[] = [];
    let slow = 0;
    const execution = new Execution(buildPlan(scanOf(t), { catalog: database.catalog }), context, 1, {
      clock,
      onBatch: (batch) => {
        for (let row = 0; row < batch.length; row++) seen.push(batch.columns[0]![row] as number);
        return seen.length % 3 !== 0;
      },
      drained: () => {
        slow++;
        return Promise.resolve();
      },
    });
    const sizes: number[] = [];
    while (!execution.ended) sizes.push(await execution.run(700));
    database.engine.waitChance = 0;
    expect(seen).toEqual(Array.from({ length: 2500 }, (_, i) => i));
    expect(sizes.slice(0, 4)).toEqual([700, 700, 700, 400]);
    expect(slow).toBeGreaterThan(0);
  });
});
