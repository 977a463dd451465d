/**
 * Merge join: both inputs arrive in the order of the keys and are walked side by side. The right rows of one key are
 * kept while the left rows of that key pass.
 *
 * Invariants: output follows the left order for inner, left, semi and anti joins. NULL keys match nothing. Pairs are
 * judged before the group or the left batch they belong to is left.
 */
import { assert } from "../base/errors.js";
import { Batch, batchRowsMax } from "../model/batch.js";
import type { Value } from "../model/value.js";
import type { MergeJoinNode, PlanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";
import { ExprList, type ExprScope, gather, Predicate } from "./expression.js";
import { emitsPairs, keepsLeft, keepsRight, LeftMarks } from "./join.js";
import { Account } from "./memory.js";
import { closeAll, type Runtime } from "./runtime.js";
import { bytesOfRows } from "./spill.js";
import { type Comparator, comparatorOf } from "./values.js";

/** One input with its keys, row by row. */
class Cursor {
  batch: Batch | undefined;
  row = 0;
  keys: Value[][] = [];
  ended = false;
  readonly #exprs: ExprList;
  #pending: Batch | undefined;
  constructor(
    readonly input: Operator,
    exprs: ExprList,
    readonly runtime: Runtime,
  ) {
    this.#exprs = exprs;
  }
  reset(): void {
    this.batch = undefined;
    this.#pending = undefined;
    this.ended = false;
    this.#exprs.reset();
  }
  /** Stands on a row; false at the end. Throws Wait. */
  load(): boolean {
    if (this.batch !== undefined && this.row < this.batch.length) return true;
    if (this.ended) return false;
    this.batch = undefined;
    this.runtime.tick();
    const batch = (this.#pending ??= this.input.next());
    if (batch === undefined) {
      this.ended = true;
      return false;
    }
    this.keys = this.#exprs.evaluate(batch.columns, batch.length);
    this.#pending = undefined;
    this.batch = batch;
    this.row = 0;
    return true;
  }
  get keyIsNull(): boolean {
    for (let k = 0; k < this.keys.length; k++) if (this.keys[k]![this.row] === null) return true;
    return false;
  }
}

export class MergeJoin implements Operator {
  readonly #left: Cursor;
  readonly #right: Cursor;
  readonly #compare: readonly Comparator[];
  readonly #condition: Predicate | undefined;
  readonly #marks: LeftMarks;
  readonly #leftWidth: number;
  readonly #rightWidth: number;
  readonly #account = new Account();
  readonly #runtime: Runtime;
  readonly #pairs: Batch;
  readonly #out: Batch;
  readonly #pairLeft = new Int32Array(batchRowsMax);
  readonly #pairRight = new Int32Array(batchRowsMax);
  #pairCount = 0;

  /** Right rows of the current key; complete once a row of a later key (or the end) was seen. */
  #group: Value[][] = [];
  #groupRows = 0;
  #groupKey: Value[] | undefined;
  #groupComplete = false;
  #groupMarks: Uint8Array = new Uint8Array(0);
  #groupAt = 0;
  /** The group is over: its unmatched rows go out (right and full joins), then it is dropped. */
  #leaving = false;
  #leftFresh = true;

  constructor(
    readonly leftInput: Operator,
    readonly rightInput: Operator,
    readonly node: MergeJoinNode & PlanNode,
    scope: ExprScope,
  ) {
    assert(
      node.leftKeys.length === node.rightKeys.length,
      "a merge join has as many left keys as right keys",
    );
    this.#runtime = scope.runtime;
    const exprs = (keys: MergeJoinNode["leftKeys"]): ExprList =>
      new ExprList(
        keys.map(({ expr }) => expr),
        scope,
      );
    this.#left = new Cursor(leftInput, exprs(node.leftKeys), scope.runtime);
    this.#right = new Cursor(rightInput, exprs(node.rightKeys), scope.runtime);
    this.#compare = node.leftKeys.map(comparatorOf);
    this.#condition = node.condition === undefined ? undefined : new Predicate(node.condition, scope);
    this.#leftWidth = node.left.columns.length;
    this.#rightWidth = node.right.columns.length;
    this.#marks = new LeftMarks(node.type, this.#leftWidth, this.#rightWidth);
    this.#pairs = new Batch(this.#leftWidth + this.#rightWidth);
    this.#out = new Batch(this.#leftWidth + this.#rightWidth);
  }
  open(context: ExecContext): void {
    this.#reset();
    this.leftInput.open(context);
    this.rightInput.open(context);
  }
  rescan(): void {
    this.#reset();
    this.leftInput.rescan();
    this.rightInput.rescan();
  }
  #reset(): void {
    this.#account.open(this.#runtime.context.memory);
    this.#left.reset();
    this.#right.reset();
    this.#condition?.reset();
    this.#pairCount = 0;
    this.#leftFresh = true;
    this.#dropGroup();
  }
  close(): void {
    this.#account.release();
    closeAll([this.leftInput, this.rightInput]);
  }
  #dropGroup(): void {
    this.#group = Array.from({ length: this.#rightWidth }, () => []);
    this.#groupRows = 0;
    this.#groupKey = undefined;
    this.#groupComplete = false;
    this.#groupMarks = new Uint8Array(0);
    this.#groupAt = 0;
    this.#leaving = false;
    this.#account.release();
  }

  next(): Batch | undefined {
    for (;;) {
      if (this.#pairCount === batchRowsMax || (this.#pairCount > 0 && this.#mustJudge())) {
        const out = this.#judge();
        if (out !== undefined) return out;
        continue;
      }
      if (this.#leaving) {
        const out = this.#leaveGroup();
        if (out !== undefined) return out;
        continue;
      }
      const { batch } = this.#left;
      if (batch !== undefined && this.#left.row >= batch.length && !this.#leftFresh) {
        this.#leftFresh = true;
        const leftover = this.#marks.leftover(batch);
        if (leftover !== undefined) return leftover;
        continue;
      }
      const hasLeft = this.#left.load();
      if (hasLeft && this.#leftFresh) {
        this.#marks.reset(this.#left.batch!.length);
        this.#leftFresh = false;
      }
      if (!hasLeft && !keepsRight(this.node.type)) return undefined;
      if (hasLeft && this.#left.keyIsNull) {
        this.#left.row++;
        continue;
      }
      if (!this.#loadGroup()) {
        if (!hasLeft) return undefined;
        // Nothing more on the right: the left rows that are left match nothing.
        this.#left.row = this.#left.batch!.length;
        if (!keepsLeft(this.node.type) && this.node.type !== "anti" && this.#allDone()) return this.#last();
        continue;
      }
      if (!hasLeft) {
        this.#leaving = true;
        continue;
      }
      this.#step();
    }
  }
  /** Inner, semi and right joins end with the right side; semi still owes the marked rows of this left batch. */
  #allDone(): boolean {
    return this.node.type !== "right";
  }
  #last(): Batch | undefined {
    this.#leftFresh = true;
    this.#left.ended = true;
    const leftover = this.#marks.leftover(this.#left.batch!);
    this.#left.batch = undefined;
    return leftover;
  }

  /** The pairs gathered belong to a left batch or a group that is about to be left. */
  #mustJudge(): boolean {
    if (this.#leaving) return true;
    const { batch, row } = this.#left;
    return batch === undefined || row >= batch.length;
  }

  /** One left row against the group, as far as the pairs have room; or one side moves on. */
  #step(): void {
    const left = this.#left;
    const order = this.#order();
    if (order < 0) {
      left.row++;
      this.#groupAt = 0;
      return;
    }
    if (order > 0) {
      this.#leaving = true;
      return;
    }
    const batch = left.batch!;
    const { columns } = this.#pairs;
    const from = this.#groupAt;
    const count = Math.min(this.#groupRows - from, batchRowsMax - this.#pairCount);
    const at = this.#pairCount;
    for (let c = 0; c < this.#leftWidth; c++) {
      const value = batch.columns[c]![left.row]!;
      const column = columns[c]!;
      for (let i = 0; i < count; i++) column[at + i] = value;
    }
    for (let c = 0; c < this.#rightWidth; c++) {
      const source = this.#group[c]!;
      const column = columns[this.#leftWidth + c]!;
      for (let i = 0; i < count; i++) column[at + i] = source[from + i]!;
    }
    for (let i = 0; i < count; i++) {
      this.#pairLeft[at + i] = left.row;
      this.#pairRight[at + i] = from + i;
    }
    this.#pairCount += count;
    this.#groupAt += count;
    if (this.#groupAt === this.#groupRows) {
      this.#groupAt = 0;
      left.row++;
    }
  }
  /** Left key against the group's. */
  #order(): number {
    const { keys, row } = this.#left;
    for (let k = 0; k < this.#compare.length; k++) {
      const verdict = this.#compare[k]!(keys[k]![row]!, this.#groupKey![k]!);
      if (verdict !== 0) return verdict;
    }
    return 0;
  }

  /** All right rows of the next key; false when there is none. Throws Wait and goes on. */
  #loadGroup(): boolean {
    const right = this.#right;
    while (!this.#groupComplete) {
      if (!right.load()) {
        if (this.#groupKey === undefined) return false;
        break;
      }
      if (this.#groupKey === undefined) {
        if (right.keyIsNull) {
          if (keepsRight(this.node.type)) {
            this.#addRight();
            this.#groupKey = right.keys.map((key) => key[right.row]!);
            right.row++;
            this.#groupComplete = true;
            this.#groupMarks = new Uint8Array(1);
            this.#leaving = true;
            return true;
          }
          right.row++;
          continue;
        }
        this.#groupKey = right.keys.map((key) => key[right.row]!);
      } else if (!this.#sameKey(this.#groupKey)) break;
      this.#addRight();
      right.row++;
    }
    if (!this.#groupComplete) {
      this.#groupComplete = true;
      this.#groupMarks = new Uint8Array(this.#groupRows);
    }
    return true;
  }
  #sameKey(key: readonly Value[]): boolean {
    const { keys, row } = this.#right;
    for (let k = 0; k < key.length; k++) {
      if (this.#compare[k]!(keys[k]![row]!, key[k]!) !== 0) return false;
    }
    return true;
  }
  #addRight(): void {
    const { batch, row } = this.#right;
    for (let c = 0; c < this.#rightWidth; c++) this.#group[c]!.push(batch!.columns[c]![row]!);
    this.#groupRows++;
    this.#account.take(bytesOfRows(batch!.columns, row, 1));
  }

  #judge(): Batch | undefined {
    const { type } = this.node;
    const condition = this.#condition;
    const total = this.#pairCount;
    const kept = condition === undefined ? total : condition.select(this.#pairs.columns, total);
    this.#pairCount = 0;
    for (let i = 0; i < kept; i++) {
      const pair = condition === undefined ? i : condition.selection[i]!;
      this.#marks.marks[this.#pairLeft[pair]!] = 1;
      this.#groupMarks[this.#pairRight[pair]!] = 1;
    }
    if (!emitsPairs(type) || kept === 0) return undefined;
    const out = this.#out;
    if (kept === total) {
      for (let c = 0; c < out.width; c++) {
        const column = out.columns[c]!;
        out.columns[c] = this.#pairs.columns[c]!;
        this.#pairs.columns[c] = column;
      }
    } else gather(this.#pairs.columns, out.columns, condition!.selection, kept);
    out.length = kept;
    return out;
  }

  #leaveGroup(): Batch | undefined {
    if (!keepsRight(this.node.type)) {
      this.#dropGroup();
      return undefined;
    }
    const { columns } = this.#out;
    let count = 0;
    if (this.#groupAt < 0 || this.#groupAt > this.#groupRows) this.#groupAt = 0;
    while (this.#groupAt < this.#groupRows && count < batchRowsMax) {
      const row = this.#groupAt++;
      if (this.#groupMarks[row] === 1) continue;
      for (let c = 0; c < this.#leftWidth; c++) columns[c]![count] = null;
      for (let c = 0; c < this.#rightWidth; c++) {
        columns[this.#leftWidth + c]![count] = this.#group[c]![row]!;
      }
      count++;
    }
    if (this.#groupAt >= this.#groupRows) this.#dropGroup();
    if (count === 0) return undefined;
    this.#out.length = count;
    return this.#out;
  }
}
