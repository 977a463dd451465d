/**
 * The executor: physical plans to rows.
 *
 * `buildPlan` turns a plan into a tree of operators, once per cached plan and session; `Execution` (or `runPlan`) runs it
 * under a session's ExecContext, as often as the statement is executed. Batches flow up (model/batch.ts); nothing here
 * awaits but `driver.ts`.
 *
 *     const operator = buildPlan(plan, { catalog });
 *     await runPlan(operator, context, plan.columns.length, { clock, onBatch: (batch) => sink.rows(batch, ...) });
 *
 * Limits: what a plan cannot have yet answers 0A000 when it is built.
 */
import { assert, DbError, notSupported, unreachable } from "../base/errors.js";
import type { Batch } from "../model/batch.js";
import type { EvalContext } from "../model/functions.js";
import type { CatalogReader } from "../model/schema.js";
import { defaultSettings } from "../model/types.js";
import type { Value } from "../model/value.js";
import type { Expr } from "../sql/expr.js";
import type { PlanNode } from "../sql/plan.js";
import type { EngineMemory, Kernels } from "../wasm/index.js";
import { HashAggregate, SortedAggregate } from "./aggregate.js";
import type { ExecContext, Operator } from "./contract.js";
import { compileExpr, type ExprScope, noColumns } from "./expression.js";
import { type DefaultOf, noDefaults } from "./foreign-keys.js";
import { InitPlans } from "./init-plans.js";
import { type Instrumentation, Instrumented } from "./instrument.js";
import { HashJoin, keepsRight, NestedLoopJoin } from "./join.js";
import { LockRows } from "./lock-rows.js";
import { MergeJoin } from "./merge-join.js";
import { Modify } from "./modify.js";
import {
  Append,
  Collect,
  Filter,
  FunctionScan,
  Limit,
  Materialize,
  Project,
  ProjectSet,
  Unique,
  Values,
} from "./pipeline.js";
import { contains, externalParams, visitPlans } from "./plan-walk.js";
import { Runtime } from "./runtime.js";
import { IndexRangeScan, SeqScan, VirtualScan } from "./scan.js";
import {
  CteScan,
  CteSource,
  RecursiveUnion,
  type RowSource,
  SetOperation,
  With,
  WorkTable,
} from "./setops.js";
import { Sort, TopN } from "./sort.js";
import { elementTypeOf } from "./values.js";
import { tryVectorize } from "./vector.js";
import { addVectorEngine } from "./vector-memory.js";

export type { ExecContext, MemoryBudget, Operator, SpillFile, TimeSlice } from "./contract.js";
export {
  CheckQueue,
  type DriverClock,
  Execution,
  type MaybePromise,
  type RunOptions,
  runPlan,
  runSteps,
  sliceMs,
} from "./driver.js";
export { compileExpr, compilePredicate, type Evaluate, type ExprScope } from "./expression.js";
export type { Instrumentation, NodeStatistics } from "./instrument.js";
export { defaultWorkMemoryBytes, WorkMemory, WorkMemoryPool } from "./memory.js";
export { isRestart, Runtime, SliceEnd, StatementRestart } from "./runtime.js";

export interface BuildContext {
  readonly catalog: CatalogReader;
  /** Binds a table's stored SQL (column defaults); needed for ON DELETE SET DEFAULT alone. */
  readonly bindTableExpression?: ((tableId: number, sql: string, column: number) => Expr) | undefined;
  /** EXPLAIN ANALYZE. */
  readonly instrument?: Instrumentation | undefined;
  /** False: row operators only. */
  readonly vectorize?: boolean | undefined;
  /** An operator given from outside in place of a node (COPY's data for an INSERT's values). */
  readonly substitute?: ((plan: PlanNode) => Operator | undefined) | undefined;
}

/** What a vectorizer may use of the plan being built. */
export interface VectorScope extends ExprScope {
  readonly catalog: CatalogReader;
  /** EXPLAIN ANALYZE: nodes that an operator swallows are counted by it. */
  readonly instrument?: Instrumentation | undefined;
}

/** Answers an operator for a whole subtree, or undefined to leave it to the row operators. */
export type Vectorizer = (plan: PlanNode, scope: VectorScope) => Operator | undefined;

let vectorizer: Vectorizer | undefined;

/** The kernels' operators announce themselves here, so that the row engine does not depend on them. */
export function registerVectorizer(fn: Vectorizer | undefined): void {
  vectorizer = fn;
}

/**
 * Vector operators from now on, over tables in this memory: once per node, before its first statement and after storage is
 * open (recovery reads through the arena, which is theirs from here on).
 */
export function useKernels(memory: EngineMemory, kernels: Kernels): void {
  addVectorEngine(memory, kernels);
  registerVectorizer(tryVectorize);
}

/** The operator tree of a plan. Throws DbError featureNotSupported for what has no operator yet. */
export function buildPlan(plan: PlanNode, context: BuildContext): Operator {
  return new Builder(plan, context).root();
}

/** Evaluates an expression without input (a default, a setting's value); subplans are not allowed in it. */
export function evaluateConstant(expr: Expr, context: ExecContext): Value {
  const runtime = new Runtime();
  const scope: ExprScope = {
    runtime,
    build: () => {
      throw notSupported("a subquery in this place");
    },
  };
  const evaluate = compileExpr(expr, scope);
  runtime.bind(context);
  return evaluate(noColumns, 0);
}

/**
 * A row-wise function of a bound table expression (index keys and predicates): slots are the table's columns. Such
 * expressions are immutable, so they need no running statement.
 */
export function compileRowExpression(expr: Expr): (row: readonly Value[]) => Value {
  const scope: ExprScope = {
    runtime: new Runtime(),
    build: () => {
      throw notSupported("a subquery in an index expression");
    },
  };
  scope.runtime.eval = constantEval;
  const evaluate = compileExpr(expr, scope);
  const columns: Value[][] = [];
  return (row) => {
    for (let c = 0; c < row.length; c++) {
      const column = columns[c];
      if (column === undefined) columns[c] = [row[c]!];
      else column[0] = row[c]!;
    }
    return evaluate(columns, 0);
  };
}

/** What an immutable function may see: nothing that differs between sessions. */
const constantEval: EvalContext = {
  ...defaultSettings,
  statementTimestamp: 0,
  clockTimestamp: () => refuseContext("the time"),
  currentUser: "",
  sessionUser: "",
  currentDatabase: "",
  backendPid: 0,
  random: () => refuseContext("a random number"),
  setting: () => refuseContext("a setting"),
  setSetting: () => refuseContext("a setting"),
  searchPath: () => refuseContext("the search path"),
};

function refuseContext(what: string): never {
  throw new DbError("invalidObjectDefinition", `an immutable expression asks for ${what}`);
}

class Root implements Operator {
  constructor(
    readonly inner: Operator,
    readonly runtime: Runtime,
  ) {}
  open(context: ExecContext): void {
    this.runtime.bind(context);
    this.inner.open(context);
  }
  next(): Batch | undefined {
    return this.inner.next();
  }
  rescan(): void {
    this.inner.rescan();
  }
  close(): void {
    try {
      this.inner.close();
    } finally {
      this.runtime.closeSubplans();
    }
  }
}

class Builder {
  readonly #scope: VectorScope;
  readonly #ctes = new Map<number, RowSource>();
  /** Expressions whose rows change within one execution: a subtree that reads one is not stable. */
  readonly #changing = new Set<number>();
  readonly #defaultOf: DefaultOf;

  constructor(
    readonly plan: PlanNode,
    readonly context: BuildContext,
  ) {
    this.#scope = {
      runtime: new Runtime(),
      build: (subplan) => this.build(subplan),
      catalog: context.catalog,
      instrument: context.instrument,
    };
    const bind = context.bindTableExpression;
    this.#defaultOf =
      bind === undefined
        ? noDefaults
        : (table, column, execContext) => {
            const { defaultSql } = table.columns[column]!;
            if (defaultSql === undefined) return null;
            const evaluate = compileExpr(bind(table.id, defaultSql, column), this.#scope);
            assert(
              execContext === this.#scope.runtime.context,
              "a default is evaluated in its own statement",
            );
            return evaluate(noColumns, 0);
          };
  }

  root(): Operator {
    const { plan } = this;
    let inner = this.build(plan);
    // Row locks may restart the statement: nothing is handed up before all are held.
    if (contains(plan, "lockRows")) inner = new Collect(inner, plan.columns.length, this.#scope);
    return new Root(inner, this.#scope.runtime);
  }

  build(plan: PlanNode): Operator {
    const given = this.context.substitute?.(plan);
    if (given !== undefined) return given;
    const { instrument } = this.context;
    const fast = this.context.vectorize === false ? undefined : vectorizer?.(plan, this.#scope);
    const operator = fast ?? this.#build(plan);
    if (instrument === undefined) return operator;
    return new Instrumented(operator, plan, instrument.clock, instrument.nodes);
  }

  /** Its rows are the same whenever it is rescanned within one execution. */
  #stable(plan: PlanNode): boolean {
    for (const id of externalParams(plan)) if (!this.#scope.runtime.constantParams.has(id)) return false;
    let stable = true;
    visitPlans(plan, (node) => {
      if (node.kind === "cteScan" && this.#changing.has(node.cteId)) stable = false;
    });
    return stable;
  }

  #build(plan: PlanNode): Operator {
    const scope = this.#scope;
    const width = plan.columns.length;
    switch (plan.kind) {
      case "seqScan":
        return new SeqScan(plan, scope);
      case "indexScan":
        return new IndexRangeScan(plan, scope);
      case "values":
        return new Values(plan, scope);
      case "filter":
        return new Filter(this.build(plan.input), plan.predicate, width, scope);
      case "project":
        return new Project(this.build(plan.input), plan.exprs, scope);
      case "projectSet":
        return new ProjectSet(this.build(plan.input), plan, scope);
      case "limit":
        return new Limit(this.build(plan.input), plan, width, scope);
      case "sort":
        return new Sort(this.build(plan.input), plan.keys, width, this.#stable(plan.input), scope);
      case "topN":
        return new TopN(
          this.build(plan.input),
          plan.keys,
          plan.limit,
          plan.offset,
          width,
          this.#stable(plan.input),
          scope,
        );
      case "unique":
        return new Unique(this.build(plan.input), plan, scope);
      case "nestedLoop": {
        const left = this.build(plan.left);
        let right = this.build(plan.right);
        // Right and full joins number the right rows: every run must give the same.
        if (keepsRight(plan.type) && plan.right.kind !== "materialize") {
          right = new Materialize(right, plan.right.columns.length, this.#stable(plan.right), scope);
        }
        return new NestedLoopJoin(left, right, plan, scope);
      }
      case "hashJoin":
        return new HashJoin(
          this.build(plan.left),
          this.build(plan.right),
          plan,
          this.#stable(plan.right),
          scope,
        );
      case "mergeJoin":
        return new MergeJoin(this.build(plan.left), this.build(plan.right), plan, scope);
      case "aggregate": {
        const input = this.build(plan.input);
        return plan.strategy === "hash" && plan.groups.length > 0
          ? new HashAggregate(input, plan, scope)
          : new SortedAggregate(input, plan, scope);
      }
      case "append":
        return new Append(plan.inputs.map((input) => this.build(input)));
      case "setOperation":
        return new SetOperation(this.build(plan.left), this.build(plan.right), plan, scope);
      case "cteScan": {
        const source = this.#ctes.get(plan.cteId);
        assert(source !== undefined, `no common table expression ${plan.name} is in reach`);
        return new CteScan(source);
      }
      case "with":
        return this.#with(plan);
      case "functionScan":
        return new FunctionScan(plan, scope);
      case "virtualScan":
        return new VirtualScan(plan, scope);
      case "materialize":
        return new Materialize(this.build(plan.input), width, this.#stable(plan.input), scope);
      case "lockRows":
        return new LockRows(this.build(plan.input), plan, scope);
      case "modify":
        return new Modify(this.build(plan.input), plan, this.#isTop(plan), this.#defaultOf, scope);
      case "initPlans": {
        const plans = plan.plans.map((init) => {
          const outer = init.plan.columns[0];
          const elementType = init.form === "array" ? outer!.type.oid : 0;
          scope.runtime.constantParams.add(init.id);
          return { id: init.id, form: init.form, elementType, plan: this.build(init.plan) };
        });
        return new InitPlans(plans, this.build(plan.body), scope);
      }
      case "window":
        throw notSupported("a window function");
      default:
        return unreachable(plan, "plan node");
    }
  }

  /** The modification whose count the statement reports: below nodes that pass its rows on only. */
  #isTop(modify: PlanNode): boolean {
    let node = this.plan;
    for (;;) {
      if (node === modify) return true;
      if (node.kind === "with" || node.kind === "initPlans") node = node.body;
      else if (node.kind === "project" || node.kind === "materialize") node = node.input;
      else return false;
    }
  }

  #with(plan: Extract<PlanNode, { kind: "with" }>): Operator {
    const scope = this.#scope;
    const sources: CteSource[] = [];
    const stable: boolean[] = [];
    for (const cte of plan.ctes) {
      const width = cte.plan.columns.length;
      let operator: Operator;
      if (cte.recursive === undefined) operator = this.build(cte.plan);
      else {
        const base = this.build(cte.plan);
        const workTable = new WorkTable(width);
        this.#ctes.set(cte.id, workTable);
        this.#changing.add(cte.id);
        const step = this.build(cte.recursive.step);
        this.#changing.delete(cte.id);
        const types = cte.plan.columns.map(({ type }) => type.oid);
        operator = new RecursiveUnion(base, step, workTable, types, cte.recursive.all, scope);
      }
      const isStable =
        this.#stable(cte.plan) && (cte.recursive === undefined || this.#stable(cte.recursive.step));
      if (!isStable) this.#changing.add(cte.id);
      const source = new CteSource(operator, width, contains(cte.plan, "modify"), scope);
      this.#ctes.set(cte.id, source);
      sources.push(source);
      stable.push(isStable);
    }
    return new With(sources, this.build(plan.body), stable);
  }
}

export { elementTypeOf };
