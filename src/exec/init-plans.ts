/**
 * Values computed once before the main plan: uncorrelated subqueries used as expressions.
 *
 * Invariant: every execParam is set before the body's first `next`; a rescan keeps the values, since they depend on
 * nothing that changes during an execution.
 */
import type { Batch } from "../model/batch.js";
import { PgArray, type Value } from "../model/value.js";
import type { PlanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";
import { type ExprScope, moreThanOneRow } from "./expression.js";
import { Account } from "./memory.js";
import { closeAll } from "./runtime.js";
import { bytesOf } from "./spill.js";

interface InitPlan {
  readonly id: number;
  readonly form: "scalar" | "exists" | "array";
  readonly plan: Operator;
  /** Element type of an array form. */
  readonly elementType: number;
}

export class InitPlans implements Operator {
  #done = 0;
  #value: Value = null;
  #rows = 0;
  #elements: Value[] = [];
  readonly #account = new Account();
  constructor(
    readonly plans: readonly InitPlan[],
    readonly body: Operator,
    readonly scope: ExprScope,
  ) {}
  open(context: ExecContext): void {
    this.#done = 0;
    this.#startOver();
    this.#account.open(context.memory);
    for (const { plan } of this.plans) plan.open(context);
    this.body.open(context);
  }
  #startOver(): void {
    this.#value = null;
    this.#rows = 0;
    this.#elements = [];
  }
  rescan(): void {
    this.body.rescan();
  }
  next(): Batch | undefined {
    while (this.#done < this.plans.length) {
      const init = this.plans[this.#done]!;
      this.scope.runtime.execParams[init.id] = this.#run(init);
      this.#startOver();
      this.#done++;
    }
    return this.body.next();
  }
  #run({ plan, form, elementType }: InitPlan): Value {
    for (;;) {
      const batch = plan.next();
      if (batch === undefined) break;
      this.#rows += batch.length;
      if (form === "exists") return true;
      if (form === "scalar") {
        if (this.#rows > 1) throw moreThanOneRow();
        this.#value = batch.columns[0]![0]!;
        continue;
      }
      for (let row = 0; row < batch.length; row++) {
        const value = batch.columns[0]![row]!;
        this.#account.take(8 + bytesOf(value));
        this.#elements.push(value);
      }
    }
    if (form === "exists") return false;
    return form === "scalar" ? this.#value : PgArray.of(elementType, this.#elements);
  }
  close(): void {
    this.#account.release();
    closeAll([...this.plans.map(({ plan }) => plan), this.body]);
  }
}

export type InitPlansNode = Extract<PlanNode, { kind: "initPlans" }>;
