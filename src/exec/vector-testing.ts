/**
 * Tables of the real engine, queried by SQL text with or without kernels: for tests and benchmarks of the vector operators.
 * Not part of the node.
 */
import { isWait } from "../base/wait.js";
import type { Snapshot, Table, TableSpec, Transaction } from "../mga/contract.js";
import { EngineCore } from "../mga/index.js";
import type { TableDesc, TypeRef } from "../model/schema.js";
import { textOutputOf } from "../model/types.js";
import type { Value } from "../model/value.js";
import { hostClock } from "../platform/host.js";
import type { ast } from "../sql/index.js";
import { prepareStatement } from "../sql/index.js";
import { parseOne } from "../sql/parse.js";
import type { PlanNode } from "../sql/plan.js";
import { FakeCatalog, testEnv } from "../sql/testing.js";
import { openTestStorage, type TestStoreOptions } from "../storage/testing.js";
import { EngineMemory, type Kernels, loadKernels } from "../wasm/index.js";
import { kernelBytes } from "../wasm/testing.js";
import type { ExecContext, Operator } from "./contract.js";
import { buildPlan, registerVectorizer } from "./index.js";
import { WorkMemory } from "./memory.js";
import { TestContext, TestDatabase } from "./testing.js";
import { tryVectorize } from "./vector.js";
import { addVectorEngine, vectorEngineOf } from "./vector-memory.js";

const options = { isolation: "repeatableRead", readOnly: false, lockTimeoutMs: 0 } as const;

export class VectorDatabase {
  readonly engine: EngineCore;
  readonly catalog = new FakeCatalog();
  readonly memory: EngineMemory;
  readonly #specs = new Map<number, TableSpec>();
  /** Only for what a context has besides the engine: evaluation, spills, checks. */
  readonly #fake = new TestDatabase();

  constructor(store: TestStoreOptions = {}) {
    let kernels: Kernels | undefined;
    const storage = openTestStorage({
      ...store,
      kernels: (memory) => {
        kernels = loadKernels(memory, kernelBytes());
        return kernels;
      },
    });
    const shard = storage.shards[0]!;
    if (!(shard.pool instanceof EngineMemory)) throw new Error("the test store has no engine memory");
    this.memory = shard.pool;
    this.engine = new EngineCore({
      store: shard,
      clock: hostClock,
      memory: { scratch: this.memory.scratch },
      collectEveryMs: 0,
    });
    this.engine.load();
    addVectorEngine(this.memory, kernels!);
  }

  createTable(
    name: string,
    columns: readonly { readonly name: string; readonly type: TypeRef }[],
    rows: number,
  ): TableDesc {
    const desc = this.catalog.addTable(
      name,
      columns.map((column) => ({ typeName: "int4", ...column })),
      { rows },
    );
    const spec = this.#specOf(desc);
    this.#specs.set(desc.id, spec);
    this.engine.createTable(spec);
    return desc;
  }
  #specOf(desc: TableDesc, missing: readonly Value[] = []): TableSpec {
    return {
      id: desc.id,
      name: desc.name,
      storageId: desc.storageId,
      format: desc.format,
      columns: desc.columns.map(({ type }, c) => ({
        type,
        notNull: false,
        dropped: false,
        missing: missing[c] ?? null,
      })),
      indexes: [],
    };
  }
  /** ALTER TABLE ADD COLUMN: rows already there show `missing`. */
  addColumn(
    name: string,
    column: { readonly name: string; readonly type: TypeRef },
    missing: Value,
  ): TableDesc {
    const before = this.catalog.table(name);
    const after: TableDesc = {
      ...before,
      columns: [...before.columns, { ...column, notNull: false }],
      format: before.format + 1,
    };
    for (const [key, relation] of this.catalog.relations)
      if (relation === before) this.catalog.relations.set(key, after);
    const values = this.#specs.get(before.id)!.columns.map((spec) => spec.missing);
    this.#specs.set(before.id, this.#specOf(after, [...values, missing]));
    return after;
  }
  table(name: string): Table {
    return this.engine.table(this.#specs.get(this.catalog.table(name).id)!);
  }
  begin(): Transaction {
    return this.engine.begin(options);
  }
  async settled<T>(work: () => T): Promise<T> {
    for (;;) {
      try {
        return work();
      } catch (thrown) {
        if (!isWait(thrown)) throw thrown;
        await thrown.ready;
      }
    }
  }

  plan(sql: string): PlanNode {
    const parsed = parseOne(sql);
    return prepareStatement(parsed!.ast as ast.PreparableStatement, testEnv(this.catalog)).plan;
  }
  build(plan: PlanNode, vectorize: boolean): Operator {
    registerVectorizer(tryVectorize);
    try {
      return buildPlan(plan, { catalog: this.catalog, vectorize });
    } finally {
      registerVectorizer(undefined);
    }
  }
  /** `slice`: says when a step has to give up the loop. */
  context(
    transaction: Transaction,
    snapshot: Snapshot,
    memoryBytes = 64 << 20,
    slice?: ExecContext["slice"],
  ): ExecContext {
    const context = new TestContext(this.#fake, memoryBytes, this.#fake.begin());
    return Object.assign(Object.create(context) as TestContext, {
      transaction,
      snapshot,
      params: [] as readonly Value[],
      execParams: [] as Value[],
      memory: new WorkMemory(memoryBytes),
      eval: context.eval,
      checkInterrupt: () => {},
      slice,
      table: (id: number): Table => this.engine.table(this.#specs.get(id)!),
    });
  }
  /** Rows as text, so that what compares equal also looks equal. */
  async rows(operator: Operator, plan: PlanNode, context: ExecContext): Promise<string[]> {
    const outputs = plan.columns.map(({ type }) => textOutputOf(type.oid));
    const rows: string[] = [];
    operator.open(context);
    try {
      for (;;) {
        const batch = await this.settled(() => operator.next());
        if (batch === undefined) break;
        for (let row = 0; row < batch.length; row++) {
          const cells = batch.columns.map((column, c) => {
            const value = column[row]!;
            if (value === undefined) throw new Error("a column has no value");
            return value === null ? "NULL" : outputs[c]!(value, context.eval);
          });
          rows.push(cells.join("|"));
        }
      }
    } finally {
      operator.close();
    }
    return rows;
  }
  get arenaBytes(): number {
    return vectorEngineOf(this.memory)!.arena.usedBytes;
  }
}
