/**
 * Joins: nested loop and hash join (merge join is in `merge-join.ts`).
 *
 * All work on candidate pairs: a batch of (left row, right row) is gathered, the residual condition is run over it as a
 * whole, and what is left is handed up. Outer, semi and anti joins keep one mark per row of the current left batch (and
 * per kept right row), and hand up marked or unmarked rows when the batch is through.
 *
 * Invariants: NULL keys match nothing; every left row leaves the operator at most once unmatched; after a Wait the same
 * candidates are judged again and nothing is lost or doubled.
 */
import { assert } from "../base/errors.js";
import { Batch, batchRowsMax } from "../model/batch.js";
import type { Value } from "../model/value.js";
import type { HashJoinNode, JoinType, NestedLoopNode, PlanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";
import { compileExpr, type Evaluate, ExprList, type ExprScope, gather, Predicate } from "./expression.js";
import { KeyHasher, KeyTable } from "./keys.js";
import { Account } from "./memory.js";
import { closeAll, type Runtime } from "./runtime.js";
import { bytesOfRows, RowStore, RowStoreReader } from "./spill.js";

export function emitsPairs(type: JoinType): boolean {
  return type !== "semi" && type !== "anti";
}
export function keepsLeft(type: JoinType): boolean {
  return type === "left" || type === "full";
}
export function keepsRight(type: JoinType): boolean {
  return type === "right" || type === "full";
}

/** Marks of the rows of the current left batch, and the batches that unmatched (or semi-joined) rows go out in. */
export class LeftMarks {
  marks = new Uint8Array(batchRowsMax);
  #selection = new Int32Array(batchRowsMax);
  readonly #out: Batch;
  constructor(
    readonly type: JoinType,
    readonly leftWidth: number,
    rightWidth: number,
  ) {
    this.#out = new Batch(emitsPairs(type) ? leftWidth + rightWidth : leftWidth);
  }
  reset(length: number): void {
    if (this.marks.length < length) {
      this.marks = new Uint8Array(length);
      this.#selection = new Int32Array(length);
    } else this.marks.fill(0, 0, length);
  }
  /** What goes out once all pairs of the left batch are judged. */
  leftover(batch: Batch): Batch | undefined {
    if (this.type === "inner" || this.type === "right") return undefined;
    const wanted = this.type === "semi" ? 1 : 0;
    let count = 0;
    for (let row = 0; row < batch.length; row++) {
      if (this.marks[row] === wanted) this.#selection[count++] = row;
    }
    if (count === 0) return undefined;
    const out = this.#out;
    gather(batch.columns, out.columns.slice(0, this.leftWidth), this.#selection, count);
    for (let c = this.leftWidth; c < out.width; c++) {
      const column = out.columns[c]!;
      for (let i = 0; i < count; i++) column[i] = null;
    }
    out.length = count;
    return out;
  }
}

/** Runs `right` once for each left row, with the bindings set to that row's values. */
export class NestedLoopJoin implements Operator {
  readonly #runtime: Runtime;
  readonly #bindings: { readonly id: number; readonly value: Evaluate }[];
  readonly #condition: Predicate | undefined;
  readonly #pairs: Batch;
  readonly #out: Batch;
  readonly #marks: LeftMarks;
  readonly #leftWidth: number;
  readonly #rightWidth: number;
  readonly #pairLeft = new Int32Array(batchRowsMax);
  /** Ordinal of the right row of each pair, for right and full joins. */
  readonly #pairRight = new Int32Array(batchRowsMax);
  #pairCount = 0;
  #judging = false;
  #left: Batch | undefined;
  #row = 0;
  /** The right side stands within the run for the current left row. */
  #inRun = false;
  #rightFresh = true;
  #rightBatch: Batch | undefined;
  #rightAt = 0;
  #rightOrdinal = 0;
  #rightMarks = new Uint8Array(0);
  #rest: "no" | "start" | "running" | "done" = "no";
  readonly #selection = new Int32Array(batchRowsMax);

  constructor(
    readonly left: Operator,
    readonly right: Operator,
    readonly node: NestedLoopNode & PlanNode,
    scope: ExprScope,
  ) {
    this.#runtime = scope.runtime;
    this.#leftWidth = node.left.columns.length;
    this.#rightWidth = node.right.columns.length;
    this.#bindings = node.bindings.map(({ id, value }) => ({ id, value: compileExpr(value, scope) }));
    this.#condition = node.condition === undefined ? undefined : new Predicate(node.condition, scope);
    this.#pairs = new Batch(this.#leftWidth + this.#rightWidth);
    this.#out = new Batch(this.#leftWidth + this.#rightWidth);
    this.#marks = new LeftMarks(node.type, this.#leftWidth, this.#rightWidth);
    assert(
      !keepsRight(node.type) || node.bindings.length === 0,
      "a right or full nested loop cannot depend on its left rows",
    );
  }
  open(context: ExecContext): void {
    this.#reset();
    this.#rightFresh = true;
    this.left.open(context);
    this.right.open(context);
  }
  rescan(): void {
    this.#reset();
    this.left.rescan();
  }
  #reset(): void {
    this.#pairCount = 0;
    this.#judging = false;
    this.#left = undefined;
    this.#inRun = false;
    this.#rightBatch = undefined;
    this.#rightMarks.fill(0);
    this.#rest = "no";
    this.#condition?.reset();
  }
  close(): void {
    closeAll([this.left, this.right]);
  }

  next(): Batch | undefined {
    const { type } = this.node;
    for (;;) {
      if (this.#rest !== "no") return this.#rightRest();
      if (this.#judging) {
        const out = this.#judge();
        if (out !== undefined) return out;
      }
      if (this.#left === undefined) {
        this.#runtime.tick();
        const batch = this.left.next();
        if (batch === undefined) {
          if (!keepsRight(type)) return undefined;
          this.#rest = "start";
          continue;
        }
        this.#left = batch;
        this.#row = 0;
        this.#marks.reset(batch.length);
      }
      this.#collect(this.#left);
      if (this.#judging) continue;
      const leftover = this.#marks.leftover(this.#left);
      this.#left = undefined;
      if (leftover !== undefined) return leftover;
    }
  }

  /** Gathers pairs until the batch of pairs is full or the left batch is through; then they wait to be judged. */
  #collect(left: Batch): void {
    const { type } = this.node;
    const single = !emitsPairs(type);
    const { marks } = this.#marks;
    while (this.#row < left.length) {
      if (!this.#inRun) {
        this.#startRun(left);
        this.#inRun = true;
      }
      for (;;) {
        if (this.#rightBatch === undefined) {
          const batch = this.right.next();
          if (batch === undefined) break;
          this.#rightBatch = batch;
          this.#rightAt = 0;
        }
        if (single && (this.#condition === undefined || marks[this.#row] === 1)) {
          marks[this.#row] = 1;
          break;
        }
        this.#addPairs(left, this.#rightBatch);
        if (this.#pairCount === batchRowsMax || (single && this.#pairCount > 0)) {
          this.#judging = true;
          return;
        }
      }
      this.#inRun = false;
      this.#rightBatch = undefined;
      this.#row++;
    }
    this.#judging = this.#pairCount > 0;
  }
  #startRun(left: Batch): void {
    const { execParams } = this.#runtime;
    for (const { id, value } of this.#bindings) execParams[id] = value(left.columns, this.#row);
    if (this.#rightFresh) this.#rightFresh = false;
    else this.right.rescan();
    this.#rightBatch = undefined;
    this.#rightOrdinal = 0;
    if (this.#row % 64 === 63) this.#runtime.tick();
  }
  #addPairs(left: Batch, right: Batch): void {
    const count = Math.min(right.length - this.#rightAt, batchRowsMax - this.#pairCount);
    const { columns } = this.#pairs;
    const at = this.#pairCount;
    for (let c = 0; c < this.#leftWidth; c++) {
      const value = left.columns[c]![this.#row]!;
      const column = columns[c]!;
      for (let i = 0; i < count; i++) column[at + i] = value;
    }
    for (let c = 0; c < this.#rightWidth; c++) {
      const source = right.columns[c]!;
      const column = columns[this.#leftWidth + c]!;
      for (let i = 0; i < count; i++) column[at + i] = source[this.#rightAt + i]!;
    }
    for (let i = 0; i < count; i++) {
      this.#pairLeft[at + i] = this.#row;
      this.#pairRight[at + i] = this.#rightOrdinal++;
    }
    this.#pairCount += count;
    this.#rightAt += count;
    if (this.#rightAt === right.length) this.#rightBatch = undefined;
  }
  #judge(): Batch | undefined {
    const { type } = this.node;
    const { marks } = this.#marks;
    const pairs = this.#pairs;
    let kept = this.#pairCount;
    const condition = this.#condition;
    if (condition !== undefined) kept = condition.select(pairs.columns, this.#pairCount);
    const total = this.#pairCount;
    this.#pairCount = 0;
    this.#judging = false;
    for (let i = 0; i < kept; i++) {
      const pair = condition === undefined ? i : condition.selection[i]!;
      marks[this.#pairLeft[pair]!] = 1;
      if (keepsRight(type)) this.#markRight(this.#pairRight[pair]!);
    }
    if (!emitsPairs(type) || kept === 0) return undefined;
    // The pairs may be filled again while this batch is with the caller's reader only at its next call.
    const out = this.#out;
    if (condition === undefined || kept === total) {
      for (let c = 0; c < out.width; c++) {
        const column = out.columns[c]!;
        out.columns[c] = pairs.columns[c]!;
        pairs.columns[c] = column;
      }
    } else gather(pairs.columns, out.columns, condition.selection, kept);
    out.length = kept;
    return out;
  }
  #markRight(ordinal: number): void {
    if (ordinal >= this.#rightMarks.length) {
      const grown = new Uint8Array(Math.max(ordinal + 1, 1024, this.#rightMarks.length * 2));
      grown.set(this.#rightMarks);
      this.#rightMarks = grown;
    }
    this.#rightMarks[ordinal] = 1;
  }
  /** Right rows that no left row matched. */
  #rightRest(): Batch | undefined {
    if (this.#rest === "start") {
      if (!this.#rightFresh) this.right.rescan();
      this.#rightFresh = false;
      this.#rightOrdinal = 0;
      this.#rest = "running";
    }
    while (this.#rest === "running") {
      const batch = this.right.next();
      if (batch === undefined) {
        this.#rest = "done";
        break;
      }
      let count = 0;
      for (let row = 0; row < batch.length; row++) {
        if (this.#rightMarks[this.#rightOrdinal++] !== 1) this.#selection[count++] = row;
      }
      if (count === 0) continue;
      const out = this.#out;
      for (let c = 0; c < this.#leftWidth; c++) {
        const column = out.columns[c]!;
        for (let i = 0; i < count; i++) column[i] = null;
      }
      gather(batch.columns, out.columns.slice(this.#leftWidth), this.#selection, count);
      out.length = count;
      return out;
    }
    return undefined;
  }
}

const partitions = 16;
const depthMax = 6;
const endOfChain = -1;
const unset = -2;

interface Work {
  readonly build: RowStore;
  readonly probe: RowStore;
  readonly depth: number;
}

/**
 * Keeps the right rows in memory under their keys and runs the left rows against them. Beyond the budget both sides are
 * split by a hash of the keys into partitions on disk, which are joined one after the other.
 */
export class HashJoin implements Operator {
  readonly #runtime: Runtime;
  readonly #leftKeys: ExprList;
  readonly #rightKeys: ExprList;
  readonly #condition: Predicate | undefined;
  readonly #table: KeyTable;
  readonly #hasher: KeyHasher;
  readonly #leftWidth: number;
  readonly #rightWidth: number;
  readonly #account = new Account();
  readonly #marks: LeftMarks;
  readonly #pairs: Batch;
  readonly #out: Batch;

  /** Right rows by number; `#next` chains rows of one key, `#heads` starts the chains by key number. */
  #columns: Value[][] = [];
  #rows = 0;
  #next: number[] = [];
  #heads: number[] = [];
  #rightMarks = new Uint8Array(0);
  #built = false;
  #rowBytes = 0;
  /** Memory is short: before the next right batch the rows go to partitions. */
  #mustSpill = false;
  /** Rows in memory are on their way to the partitions; so many of them are there. */
  #moving = false;
  #moved = 0;

  #phase: "build" | "split" | "take" | "probe" | "rest" | "end" = "build";
  #work: Work | undefined;
  #buildReader: RowStoreReader | undefined;
  #probeReader: RowStoreReader | undefined;
  #spill: { readonly build: RowStore[]; readonly probe: RowStore[] } | undefined;
  readonly #waiting: Work[] = [];
  #pendingRight: Batch | undefined;
  #pendingLeft: Batch | undefined;

  #left: Batch | undefined;
  #chains = new Int32Array(batchRowsMax);
  #row = 0;
  #chain = unset;
  readonly #pairLeft = new Int32Array(batchRowsMax);
  readonly #pairRight = new Int32Array(batchRowsMax);
  #pairCount = 0;
  #restAt = 0;
  spilledPartitions = 0;

  constructor(
    readonly left: Operator,
    readonly right: Operator,
    readonly node: HashJoinNode & PlanNode,
    /** The right rows are the same in every rescan of one execution. */
    readonly rightStable: boolean,
    scope: ExprScope,
  ) {
    this.#runtime = scope.runtime;
    this.#leftKeys = new ExprList(node.leftKeys, scope);
    this.#rightKeys = new ExprList(node.rightKeys, scope);
    this.#condition = node.condition === undefined ? undefined : new Predicate(node.condition, scope);
    const types = node.rightKeys.map(({ type }) => type.oid);
    this.#table = new KeyTable(types);
    this.#hasher = new KeyHasher(types);
    this.#leftWidth = node.left.columns.length;
    this.#rightWidth = node.right.columns.length;
    this.#marks = new LeftMarks(node.type, this.#leftWidth, this.#rightWidth);
    this.#pairs = new Batch(this.#leftWidth + this.#rightWidth);
    this.#out = new Batch(this.#leftWidth + this.#rightWidth);
  }
  open(context: ExecContext): void {
    this.#clear();
    this.#account.open(context.memory);
    this.left.open(context);
    this.right.open(context);
  }
  rescan(): void {
    const keep = this.rightStable && this.#built;
    if (keep) {
      this.#resetProbe();
      this.#phase = "probe";
      this.#rightMarks.fill(0);
    } else {
      this.#clear();
      this.#account.open(this.#runtime.context.memory);
      this.right.rescan();
    }
    this.left.rescan();
  }
  #resetProbe(): void {
    this.#left = undefined;
    this.#pendingLeft = undefined;
    this.#pairCount = 0;
    this.#row = 0;
    this.#chain = unset;
    this.#restAt = 0;
    this.#leftKeys.reset();
    this.#condition?.reset();
  }
  #clear(): void {
    this.#forgetRows();
    this.#resetProbe();
    for (const { build, probe } of this.#waiting) {
      build.clear();
      probe.clear();
    }
    this.#waiting.length = 0;
    this.#work?.build.clear();
    this.#work?.probe.clear();
    this.#work = undefined;
    for (const store of [...(this.#spill?.build ?? []), ...(this.#spill?.probe ?? [])]) store.clear();
    this.#spill = undefined;
    this.#buildReader = undefined;
    this.#probeReader = undefined;
    this.#pendingRight = undefined;
    this.#rightKeys.reset();
    this.#phase = "build";
    this.spilledPartitions = 0;
  }
  #forgetRows(): void {
    this.#table.clear();
    this.#columns = [];
    for (let c = 0; c < this.#rightWidth; c++) this.#columns.push([]);
    this.#rows = 0;
    this.#rowBytes = 0;
    this.#mustSpill = false;
    this.#moving = false;
    this.#next = [];
    this.#heads = [];
    this.#built = false;
    this.#account.release();
  }
  close(): void {
    this.#clear();
    closeAll([this.left, this.right]);
  }

  next(): Batch | undefined {
    const { type } = this.node;
    for (;;) {
      switch (this.#phase) {
        case "build":
          this.#readBuild();
          if (this.#spill !== undefined) this.#phase = "split";
          else {
            this.#built = this.#work === undefined;
            if (keepsRight(type)) this.#rightMarks = new Uint8Array(this.#rows);
            this.#phase = "probe";
          }
          break;
        case "split":
          this.#splitProbe();
          this.#phase = "take";
          break;
        case "take":
          this.#phase = this.#takeWork() ? "build" : "end";
          break;
        case "probe": {
          // An inner or semi join with nothing on the right has no rows, and its left side need not run.
          if (this.#rows === 0 && (type === "inner" || type === "semi" || type === "right")) {
            this.#phase = "take";
            break;
          }
          const out = this.#probe();
          if (out !== undefined) return out;
          this.#phase = keepsRight(type) ? "rest" : "take";
          break;
        }
        case "rest": {
          const out = this.#rightRest();
          if (out !== undefined) return out;
          this.#phase = "take";
          break;
        }
        case "end":
          return undefined;
      }
    }
  }

  #readBuild(): void {
    for (;;) {
      this.#runtime.tick();
      if (this.#mustSpill) this.#startSpill();
      if (this.#moving) {
        this.#runtime.tickLong();
        this.#moveSome();
        continue;
      }
      const batch = (this.#pendingRight ??=
        this.#buildReader === undefined ? this.right.next() : this.#buildReader.next());
      if (batch === undefined) return;
      const keys = this.#rightKeys.evaluate(batch.columns, batch.length);
      this.#pendingRight = undefined;
      if (this.#spill !== undefined) this.#partition(this.#spill.build, batch.columns, keys, batch.length);
      else this.#addBuild(batch, keys);
    }
  }
  #addBuild(batch: Batch, keys: Value[][]): void {
    const keepNulls = keepsRight(this.node.type);
    const columns = this.#columns;
    for (let row = 0; row < batch.length; row++) {
      const isNull = keyIsNull(keys, row);
      if (isNull && !keepNulls) continue;
      for (let c = 0; c < this.#rightWidth; c++) columns[c]!.push(batch.columns[c]![row]!);
      const number = this.#rows++;
      if (isNull) {
        this.#next.push(endOfChain);
        continue;
      }
      const key = this.#table.intern(keys, row);
      if (key === this.#heads.length) {
        this.#heads.push(number);
        this.#next.push(endOfChain);
      } else {
        this.#next.push(this.#heads[key]!);
        this.#heads[key] = number;
      }
    }
    this.#rowBytes += bytesOfRows(batch.columns, 0, batch.length) + 16 * batch.length;
    const bytes = this.#table.bytes + this.#rowBytes;
    if (bytes > this.#account.held) this.#account.take(bytes - this.#account.held);
    this.#mustSpill = this.#account.full && (this.#work?.depth ?? 0) < depthMax;
  }

  /** From memory to partitions: all right rows so far, then those still to come, then the left rows. */
  #startSpill(): void {
    this.#mustSpill = false;
    const make = (width: number): RowStore[] =>
      Array.from({ length: partitions }, () => {
        const store = new RowStore(width, true);
        store.open(this.#runtime.context);
        return store;
      });
    this.#spill = { build: make(this.#rightWidth), probe: make(this.#leftWidth) };
    this.#moving = true;
    this.#moved = 0;
  }
  /** A batch of the rows that were in memory when the spilling began. */
  #moveSome(): void {
    const to = Math.min(this.#moved + batchRowsMax, this.#rows);
    const columns = this.#columns.map((column) => column.slice(this.#moved, to));
    const length = to - this.#moved;
    this.#partition(this.#spill!.build, columns, this.#rightKeys.evaluate(columns, length), length);
    this.#moved = to;
    if (to < this.#rows) return;
    this.#moving = false;
    this.#forgetRows();
  }
  #partition(stores: readonly RowStore[], columns: Value[][], keys: Value[][], length: number): void {
    const depth = this.#work?.depth ?? 0;
    for (let row = 0; row < length; row++) {
      stores[this.#hasher.hash(keys, row, depth) % partitions]!.appendRow(columns, row);
    }
  }
  #splitProbe(): void {
    const spill = this.#spill!;
    for (;;) {
      this.#runtime.tick();
      const batch = this.#nextLeft();
      if (batch === undefined) break;
      const keys = this.#leftKeys.evaluate(batch.columns, batch.length);
      this.#pendingLeft = undefined;
      this.#partition(spill.probe, batch.columns, keys, batch.length);
    }
    const depth = (this.#work?.depth ?? 0) + 1;
    for (let p = 0; p < partitions; p++) {
      const build = spill.build[p]!;
      const probe = spill.probe[p]!;
      build.finish();
      probe.finish();
      this.spilledPartitions++;
      this.#waiting.push({ build, probe, depth });
    }
    this.#spill = undefined;
  }
  #takeWork(): boolean {
    this.#work?.build.clear();
    this.#work?.probe.clear();
    if (this.#work === undefined && this.#waiting.length === 0) {
      return false; // all in memory: the rows stay for a rescan
    }
    this.#forgetRows();
    this.#resetProbe();
    this.#work = this.#waiting.pop();
    if (this.#work === undefined) return false;
    this.#buildReader = new RowStoreReader(this.#work.build);
    this.#probeReader = new RowStoreReader(this.#work.probe);
    return true;
  }
  #nextLeft(): Batch | undefined {
    return (this.#pendingLeft ??=
      this.#probeReader === undefined ? this.left.next() : this.#probeReader.next());
  }

  #probe(): Batch | undefined {
    const { type } = this.node;
    for (;;) {
      if (this.#pairCount > 0) {
        const out = this.#judge();
        if (out !== undefined) return out;
      }
      if (this.#left === undefined) {
        this.#runtime.tick();
        const batch = this.#nextLeft();
        if (batch === undefined) return undefined;
        const keys = this.#leftKeys.evaluate(batch.columns, batch.length);
        this.#pendingLeft = undefined;
        this.#startLeft(batch, keys);
      }
      const left = this.#left!;
      if (this.#row < left.length) {
        this.#gatherPairs(left);
        if (this.#pairCount > 0) continue;
      }
      this.#left = undefined;
      // Without a condition outer rows went out among the pairs.
      const done = this.#condition === undefined && keepsLeft(type);
      const leftover = done ? undefined : this.#marks.leftover(left);
      if (leftover !== undefined) return leftover;
    }
  }
  #startLeft(batch: Batch, keys: Value[][]): void {
    const { length } = batch;
    this.#left = batch;
    this.#row = 0;
    this.#chain = unset;
    this.#marks.reset(length);
    if (this.#chains.length < length) this.#chains = new Int32Array(length);
    const chains = this.#chains;
    const heads = this.#heads;
    for (let row = 0; row < length; row++) {
      if (keyIsNull(keys, row)) chains[row] = endOfChain;
      else {
        const key = this.#table.find(keys, row);
        chains[row] = key < 0 ? endOfChain : heads[key]!;
      }
    }
    if (!emitsPairs(this.node.type) && this.#condition === undefined) {
      const { marks } = this.#marks;
      for (let row = 0; row < length; row++) marks[row] = chains[row] === endOfChain ? 0 : 1;
      this.#row = length;
    }
  }
  #gatherPairs(left: Batch): void {
    const inlineOuter = keepsLeft(this.node.type) && this.#condition === undefined;
    const { marks } = this.#marks;
    const single = !emitsPairs(this.node.type);
    const next = this.#next;
    let count = 0;
    let row = this.#row;
    let chain = this.#chain;
    while (row < left.length && count < batchRowsMax) {
      if (chain === unset) {
        chain = this.#chains[row]!;
        if (chain === endOfChain && inlineOuter) {
          this.#pairLeft[count] = row;
          this.#pairRight[count++] = -1;
        }
      }
      while (chain !== endOfChain && count < batchRowsMax) {
        if (single && marks[row] === 1) {
          chain = endOfChain; // an earlier batch of pairs has decided
          break;
        }
        this.#pairLeft[count] = row;
        this.#pairRight[count++] = chain;
        chain = next[chain]!;
      }
      if (chain === endOfChain) {
        row++;
        chain = unset;
      }
    }
    this.#row = row;
    this.#chain = chain;
    this.#pairCount = count;
    const { columns } = this.#pairs;
    gather(left.columns, columns.slice(0, this.#leftWidth), this.#pairLeft, count);
    for (let c = 0; c < this.#rightWidth; c++) {
      const source = this.#columns[c]!;
      const target = columns[this.#leftWidth + c]!;
      for (let i = 0; i < count; i++) {
        const right = this.#pairRight[i]!;
        target[i] = right < 0 ? null : source[right]!;
      }
    }
  }
  #judge(): Batch | undefined {
    const { type } = this.node;
    const condition = this.#condition;
    const total = this.#pairCount;
    const kept = condition === undefined ? total : condition.select(this.#pairs.columns, total);
    this.#pairCount = 0;
    const { marks } = this.#marks;
    if (condition !== undefined || keepsRight(type)) {
      for (let i = 0; i < kept; i++) {
        const pair = condition === undefined ? i : condition.selection[i]!;
        marks[this.#pairLeft[pair]!] = 1;
        const right = this.#pairRight[pair]!;
        if (right >= 0 && keepsRight(type)) this.#rightMarks[right] = 1;
      }
    }
    if (!emitsPairs(type) || kept === 0) return undefined;
    if (condition === undefined || kept === total) {
      this.#pairs.length = total;
      return this.#pairs;
    }
    gather(this.#pairs.columns, this.#out.columns, condition.selection, kept);
    this.#out.length = kept;
    return this.#out;
  }
  #rightRest(): Batch | undefined {
    const { columns } = this.#out;
    let count = 0;
    while (this.#restAt < this.#rows && count < batchRowsMax) {
      const right = this.#restAt++;
      if (this.#rightMarks[right] === 1) continue;
      for (let c = 0; c < this.#leftWidth; c++) columns[c]![count] = null;
      for (let c = 0; c < this.#rightWidth; c++) {
        columns[this.#leftWidth + c]![count] = this.#columns[c]![right]!;
      }
      count++;
    }
    if (count === 0) return undefined;
    this.#out.length = count;
    return this.#out;
  }
}

function keyIsNull(keys: readonly Value[][], row: number): boolean {
  for (let k = 0; k < keys.length; k++) if (keys[k]![row] === null) return true;
  return false;
}
