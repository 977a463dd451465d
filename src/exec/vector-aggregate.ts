/**
 * Grouping and aggregates over a vectorised scan, or over its join with a small table.
 *
 * Where nothing is handed up before the input's end, starting over is clean: what turns out not to fit the kernels (keys
 * too many for the memory, a key twice on the build side, NaN among scaled numerics, an overflow that must be an error)
 * throws NotVector, and the row operators do the whole work.
 */
import { Batch, batchRowsMax } from "../model/batch.js";
import type { Value } from "../model/value.js";
import type { PlanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";
import type { Runtime } from "./runtime.js";
import { type ColumnView, NotVector } from "./vector-filter.js";
import {
  type AccumulatorPlan,
  GroupAccumulators,
  GroupKeys,
  type KeyColumn,
  VectorBlocks,
} from "./vector-groups.js";
import type { JoinTable } from "./vector-join.js";
import type { RowColumns, VectorScan } from "./vector-scan.js";

/** What the rows are grouped by. */
export type Grouping =
  | { readonly by: "nothing" }
  /** Columns of the scan. */
  | { readonly by: "scan"; readonly keys: readonly KeyColumn[] }
  /** Columns of the join's right side, and their types. */
  | { readonly by: "right"; readonly columns: readonly number[]; readonly types: readonly number[] };

export interface VectorAggregateParts {
  readonly node: Extract<PlanNode, { kind: "aggregate" }>;
  readonly source: VectorScan;
  /** For rows that came as values. */
  readonly encoder: RowColumns;
  readonly join: JoinTable | undefined;
  /** The right input gives the same rows at every rescan. */
  readonly rightStable: boolean;
  readonly grouping: Grouping;
  readonly plan: AccumulatorPlan;
  /** The row operators for the same node, sharing the right input. */
  readonly rows: () => Operator;
  readonly runtime: Runtime;
}

export class VectorAggregate implements Operator {
  readonly #keys: GroupKeys | undefined;
  readonly #accumulators: GroupAccumulators;
  readonly #blocks = new VectorBlocks();
  readonly #out: Batch;
  readonly #presence: number;
  #rows: Operator | undefined;
  #useRows = false;
  #phase: "start" | "build" | "read" | "emit" | "end" = "start";
  /** First right row of each group by the right side. */
  #firsts: number[] = [];
  #emitted = 0;
  #isOpen = false;

  constructor(readonly parts: VectorAggregateParts) {
    const { grouping, plan, node } = parts;
    this.#keys = grouping.by === "scan" ? new GroupKeys(grouping.keys) : undefined;
    // Groups of the right side exist before a row falls into them.
    this.#presence = grouping.by === "right" ? plan.countRows() : -1;
    this.#accumulators = new GroupAccumulators(plan);
    this.#out = new Batch(node.columns.length);
  }
  /** Whether this execution went over to the row operators. */
  get usesRows(): boolean {
    return this.#useRows;
  }

  open(context: ExecContext): void {
    this.#useRows = false;
    this.#blocks.open(context.memory);
    this.#reset();
    const { join } = this.parts;
    if (join !== undefined) {
      join.forget();
      join.right.open(context);
    }
    this.#isOpen = true;
  }
  rescan(): void {
    if (this.#useRows) {
      this.#rows!.rescan();
      return;
    }
    this.#blocks.release();
    this.#reset();
    const { join } = this.parts;
    if (join === undefined || (this.parts.rightStable && join.isRead)) return;
    join.forget();
    join.right.rescan();
  }
  #reset(): void {
    this.parts.source.open();
    this.#accumulators.forgetPlain();
    this.#phase = "start";
    this.#emitted = 0;
  }
  close(): void {
    this.#release();
    this.parts.join?.close();
    if (this.#useRows) this.#rows!.close();
    else if (this.#isOpen) this.parts.join?.right.close();
    this.#isOpen = false;
  }
  #release(): void {
    this.parts.source.close();
    this.parts.encoder.release();
    this.#blocks.release();
  }

  next(): Batch | undefined {
    if (this.#useRows) return this.#rows!.next();
    try {
      return this.#next();
    } catch (thrown) {
      if (!(thrown instanceof NotVector)) throw thrown;
    }
    this.#release();
    this.parts.join?.close();
    this.parts.join?.right.close();
    this.#rows ??= this.parts.rows();
    this.#useRows = true;
    this.#rows.open(this.parts.runtime.context);
    return this.#rows.next();
  }

  #next(): Batch | undefined {
    for (;;) {
      switch (this.#phase) {
        case "start":
          this.#start();
          break;
        case "build":
          this.#build();
          this.#phase = "read";
          break;
        case "read":
          this.#read();
          this.#phase = "emit";
          break;
        case "emit": {
          const count = this.#emit();
          if (count > 0) return this.#out;
          this.#phase = "end";
          this.#release();
          break;
        }
        case "end":
          return undefined;
      }
    }
  }

  #start(): void {
    const { source, join } = this.parts;
    source.start();
    const { engine } = source;
    if (engine === undefined) throw new NotVector();
    this.#blocks.use(engine);
    this.#accumulators.open(engine, this.#blocks);
    this.#keys?.open(engine, this.#blocks);
    this.#accumulators.ensure(this.#keys === undefined ? 1 : this.#keys.capacity);
    this.#phase = join === undefined ? "read" : "build";
  }

  #build(): void {
    const { join, grouping, source } = this.parts;
    join!.read();
    if (grouping.by === "right") {
      this.#firsts = join!.groupBy(grouping.columns, grouping.types, join!.node.type === "left");
      this.#accumulators.ensure(Math.max(1, this.#firsts.length));
    }
    join!.finish(source.engine!, this.#blocks);
  }

  #read(): void {
    const { source, encoder } = this.parts;
    // A page taken is worked off in the same step: nothing in between waits.
    while (source.next()) {
      if (source.selected > 0) this.#take(source.view, source.bitmap, source.selected);
      for (let from = 0; from < source.rowCount; ) {
        if (!encoder.prepare(source.engine!)) throw new NotVector();
        const to = encoder.fill(source.columns, from, source.rowCount);
        this.#take(encoder, 0, to - from);
        from = to;
      }
    }
    if (this.#isPlain) this.#accumulators.finishPlain();
    // Before the first group is handed up: after it there is no starting over.
    const { grouping } = this.parts;
    const groups =
      grouping.by === "nothing" ? 1 : grouping.by === "scan" ? this.#keys!.size : this.#firsts.length;
    this.#accumulators.check(groups);
  }
  get #isPlain(): boolean {
    return this.parts.grouping.by === "nothing" && this.parts.join === undefined;
  }

  #take(view: ColumnView, bitmap: number, selected: number): void {
    const accumulators = this.#accumulators;
    if (this.#isPlain) {
      accumulators.addPlain(view, bitmap, selected);
      return;
    }
    const engine = this.parts.source.engine!;
    let list = engine.identity;
    let count = selected;
    if (bitmap !== 0 && selected < view.rows) {
      list = engine.list;
      count = engine.kernels.bitmapRows(bitmap, view.rows, list);
    }
    const { join, grouping } = this.parts;
    if (join !== undefined) {
      count = join.probe(view, list, count);
      list = engine.outList;
    }
    if (count === 0) return;
    let groups = engine.groups;
    if (grouping.by === "nothing") groups = engine.zeros;
    else if (grouping.by === "scan") {
      this.#keys!.find(view, list, count);
      accumulators.ensure(this.#keys!.capacity);
    }
    accumulators.add(view, list, groups, count);
  }

  #emit(): number {
    const { grouping, node, join } = this.parts;
    const { columns } = this.#out;
    let count = 0;
    const keyCount = node.groups.length;
    const chosen = this.#chosen;
    if (grouping.by === "right") {
      while (this.#emitted < this.#firsts.length && count < batchRowsMax) {
        const group = this.#emitted++;
        if (this.#accumulators.count(this.#presence, group) > 0) chosen[count++] = group;
      }
      for (let key = 0; key < keyCount; key++) {
        const from = join!.columns[grouping.columns[key]!]!;
        for (let i = 0; i < count; i++) columns[key]![i] = from[this.#firsts[chosen[i]!]!]!;
      }
    } else {
      const total = this.#keys === undefined ? 1 : this.#keys.size;
      const first = this.#emitted;
      count = Math.min(total - first, batchRowsMax);
      for (let i = 0; i < count; i++) chosen[i] = first + i;
      for (let key = 0; key < keyCount; key++) this.#keys!.read(key, first, count, columns[key]!);
      this.#emitted += count;
    }
    for (let call = 0; call < node.aggregates.length; call++) {
      const into: Value[] = columns[keyCount + call]!;
      for (let i = 0; i < count; i++) into[i] = this.#accumulators.result(call, chosen[i]!);
    }
    this.#out.length = count;
    return count;
  }
  readonly #chosen = new Int32Array(batchRowsMax);
}
