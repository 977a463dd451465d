/**
 * The build side of a join whose probe side is a vectorised scan: rows of the right input under their keys, at most one
 * row a key. Integer keys that lie close together index an array, others a hash table.
 *
 * A probe keeps the listed rows that have a partner in the engine's `outList`, the partner's number (or its group, when
 * the rows are grouped by columns of the right side) in `groups`.
 *
 * Invariants: rows with a NULL key are not kept: they match nothing. Two rows of one key end the build with NotVector,
 * except for semi and anti joins, which ask only whether there is one.
 */
import type { Batch } from "../model/batch.js";
import type { TypeRef } from "../model/schema.js";
import type { Value } from "../model/value.js";
import type { HashJoinNode, PlanNode } from "../sql/plan.js";
import { keyKind } from "../wasm/index.js";
import type { Operator } from "./contract.js";
import { ExprList, type ExprScope } from "./expression.js";
import type { SwallowedNodes } from "./instrument.js";
import { KeyTable } from "./keys.js";
import { Account } from "./memory.js";
import type { Runtime } from "./runtime.js";
import { bytesOfRows } from "./spill.js";
import { type ColumnView, comparedAs, highHalf, lowHalf, NotVector, slotOf } from "./vector-filter.js";
import { GroupKeys, keyKindOf, type VectorBlocks } from "./vector-groups.js";
import type { VectorEngine } from "./vector-memory.js";
import { RowColumns } from "./vector-scan.js";

interface JoinKey {
  /** Slot of the probe side. */
  readonly slot: number;
  readonly kind: number;
  /** Storage of the key in the table: integers of all widths as int8. */
  readonly stored: TypeRef;
  readonly integer: boolean;
}

const int8: TypeRef = { oid: 20, typmod: -1 };
/** A dense array may have this many entries per row. */
const sparseness = 8;

/** The keys as kernels compare them; undefined when they cannot. */
export function joinKeys(node: HashJoinNode): JoinKey[] | undefined {
  const keys: JoinKey[] = [];
  for (let k = 0; k < node.leftKeys.length; k++) {
    const left = slotOf(node.leftKeys[k]!);
    if (left === undefined) return undefined;
    const as = comparedAs(left.type);
    const other = slotOf(node.rightKeys[k]!)?.type ?? node.rightKeys[k]!.type;
    const otherAs = comparedAs(other);
    const kind = keyKindOf(left.type);
    if (as === undefined || otherAs === undefined || kind === undefined || as.family !== otherAs.family)
      return undefined;
    // Equality is that of the stored bits: one scale, one width of doubles.
    if (as.kind !== otherAs.kind && as.family !== "integer") return undefined;
    if (as.scale !== otherAs.scale) return undefined;
    const integer = as.family === "integer";
    keys.push({ slot: left.slot, kind, stored: integer ? int8 : left.type, integer });
  }
  return keys.length === 0 || keys.length > 8 ? undefined : keys;
}

export class JoinTable {
  /** Columns of the kept right rows; with `padded`, one more row of NULLs at the end. */
  columns: Value[][] = [];
  rows = 0;
  /** EXPLAIN ANALYZE of a join node without an operator of its own. */
  swallowed: SwallowedNodes | undefined;
  /** Group of each right row, set by `groupBy`; the last entry is that of the row of NULLs. */
  #groupOf: Int32Array | undefined;
  readonly #keys: readonly JoinKey[];
  readonly #rightKeys: ExprList;
  readonly #keyColumns: Value[][] = [];
  readonly #encoder: RowColumns;
  readonly #table: GroupKeys;
  readonly #account = new Account();
  readonly #runtime: Runtime;
  readonly #width: number;
  #batch: Batch | undefined;
  #read = false;
  #engine!: VectorEngine;
  #dense = 0;
  #denseSize = 0;
  #baseLow = 0;
  #baseHigh = 0;
  #map = 0;

  constructor(
    readonly right: Operator,
    readonly node: HashJoinNode & PlanNode,
    keys: readonly JoinKey[],
    scope: ExprScope,
  ) {
    this.#runtime = scope.runtime;
    this.#keys = keys;
    this.#rightKeys = new ExprList(node.rightKeys, scope);
    this.#width = node.right.columns.length;
    const stored = keys.map(({ stored }) => stored);
    this.#encoder = new RowColumns(
      keys.map((_, k) => k),
      stored,
    );
    this.#table = new GroupKeys(stored.map((type, slot) => ({ slot, type })));
  }
  /** The right rows are read, and kept until `forget` or `close`. */
  get isRead(): boolean {
    return this.#read;
  }
  /** Right rows must be read again. */
  forget(): void {
    this.#read = false;
    this.columns = [];
    for (let c = 0; c < this.#width; c++) this.columns.push([]);
    for (let k = 0; k < this.#keys.length; k++) this.#keyColumns[k] = [];
    this.rows = 0;
    this.#batch = undefined;
    this.#rightKeys.reset();
    this.#account.open(this.#runtime.context.memory);
  }
  close(): void {
    this.#account.release();
    this.#encoder.release();
    this.columns = [];
    this.#keyColumns.length = 0;
    this.#read = false;
  }

  /** Reads the right input. Throws Wait; NotVector when it is too large. */
  read(): void {
    if (this.#read) return;
    const { memory } = this.#runtime.context;
    for (;;) {
      this.#runtime.tick();
      const batch = (this.#batch ??= this.right.next());
      if (batch === undefined) {
        this.#read = true;
        return;
      }
      const keys = this.#rightKeys.evaluate(batch.columns, batch.length);
      this.#batch = undefined;
      const before = this.rows;
      for (let row = 0; row < batch.length; row++) {
        let isNull = false;
        for (let k = 0; k < keys.length; k++) if (keys[k]![row] === null) isNull = true;
        if (isNull) continue;
        for (let c = 0; c < this.#width; c++) this.columns[c]!.push(batch.columns[c]![row]!);
        for (let k = 0; k < keys.length; k++) this.#keyColumns[k]!.push(keys[k]![row]!);
        this.rows++;
      }
      const bytes = bytesOfRows(this.columns, before, this.rows - before) + 16 * (this.rows - before);
      if (memory.usedBytes + bytes > (memory.spillBytes ?? memory.limitBytes / 2)) throw new NotVector();
      this.#account.take(bytes);
    }
  }

  /** Numbers the right rows by some of their columns, NULLs for rows without partner last; returns first rows of groups. */
  groupBy(columns: readonly number[], types: readonly number[], padded: boolean): number[] {
    if (padded) for (const column of this.columns) column[this.rows] = null;
    const table = new KeyTable(types);
    const keys = columns.map((column) => this.columns[column]!);
    const first: number[] = [];
    const count = this.rows + (padded ? 1 : 0);
    const groupOf = new Int32Array(this.rows + 1);
    for (let row = 0; row < count; row++) {
      const group = table.intern(keys, row);
      if (group === first.length) first.push(row);
      groupOf[row] = group;
    }
    this.#groupOf = groupOf;
    return first;
  }

  /** Makes the look-up structure. Throws NotVector. */
  finish(engine: VectorEngine, blocks: VectorBlocks): void {
    this.#engine = engine;
    this.#dense = 0;
    this.#map = 0;
    if (!this.#makeDense(blocks)) this.#makeTable(blocks);
  }
  #mayRepeat(): boolean {
    return this.node.type === "semi" || this.node.type === "anti";
  }
  #makeDense(blocks: VectorBlocks): boolean {
    const key = this.#keys[0]!;
    if (this.#keys.length > 1 || !key.integer || key.kind === keyKind.i16) return false;
    const values = this.#keyColumns[0]!;
    let least = Number.POSITIVE_INFINITY;
    let greatest = Number.NEGATIVE_INFINITY;
    for (let row = 0; row < this.rows; row++) {
      const value = values[row]!;
      if (typeof value !== "number") return false;
      if (value < least) least = value;
      if (value > greatest) greatest = value;
    }
    const size = this.rows === 0 ? 1 : greatest - least + 1;
    if (size > sparseness * this.rows + 1024) return false;
    if (this.rows === 0) least = 0;
    const { u32 } = this.#engine.memory;
    this.#dense = blocks.takeZeroed(4 * size);
    this.#denseSize = size;
    this.#baseLow = lowHalf(BigInt(least));
    this.#baseHigh = highHalf(BigInt(least));
    const start = this.#dense >>> 2;
    const groupOf = this.#groupOf;
    for (let row = 0; row < this.rows; row++) {
      const at = start + ((values[row] as number) - least);
      if (u32[at] !== 0) {
        if (this.#mayRepeat()) continue;
        throw new NotVector();
      }
      u32[at] = (groupOf === undefined ? row : groupOf[row]!) + 1;
    }
    return true;
  }
  #makeTable(blocks: VectorBlocks): void {
    const engine = this.#engine;
    this.#table.open(engine, blocks);
    if (!this.#encoder.prepare(engine)) throw new NotVector();
    for (let from = 0; from < this.rows; ) {
      const to = this.#encoder.fill(this.#keyColumns, from, this.rows);
      this.#table.find(this.#encoder, engine.identity, to - from);
      // A key seen before got no number of its own.
      if (!this.#mayRepeat() && this.#table.size !== to) throw new NotVector();
      from = to;
    }
    this.#encoder.release();
    const groupOf = this.#groupOf;
    if (groupOf === undefined) return;
    this.#map = blocks.take(4 * groupOf.length);
    for (let row = 0; row < groupOf.length; row++) engine.memory.u32[(this.#map >>> 2) + row] = groupOf[row]!;
  }

  /**
   * Rows of the list with a partner: into `outList` and `groups`; returns how many. For left joins the others follow,
   * with the row of NULLs (number `rows`) as partner; for anti joins they alone are given.
   */
  probe(view: ColumnView, list: number, count: number): number {
    const { swallowed } = this;
    if (swallowed === undefined) return this.#probe(view, list, count);
    swallowed.begin();
    const kept = this.#probe(view, list, count);
    swallowed.end(kept);
    return kept;
  }
  #probe(view: ColumnView, list: number, count: number): number {
    const { kernels, outList, groups, memory } = this.#engine;
    const key = this.#keys[0]!;
    let kept =
      this.#dense !== 0
        ? kernels.lookupDense(
            view.addresses[key.slot]!,
            key.kind === keyKind.i64 ? 1 : 0,
            view.nulls[key.slot]!,
            list,
            count,
            this.#baseLow,
            this.#baseHigh,
            this.#denseSize,
            this.#dense,
            outList,
            groups,
          )
        : this.#table.lookup(
            view,
            this.#keys.map(({ kind }) => kind),
            this.#keys.map(({ slot }) => slot),
            list,
            count,
          );
    this.#matched = kept;
    const { type } = this.node;
    if (type === "anti" || (type === "left" && kept < count)) kept = this.#others(list, count, kept);
    if (this.#map !== 0) {
      // Rows without partner carry a row's number, too: all are mapped at once.
      kernels.mapGroups(groups, kept, this.#map);
    } else if (this.#groupOf !== undefined && type === "left") {
      const { u32 } = memory;
      const start = groups >>> 2;
      for (let i = this.#matched; i < kept; i++) u32[start + i] = this.#groupOf[this.rows]!;
    }
    return kept;
  }
  /** Of the rows of the last probe, how many have a partner (left joins). */
  get matched(): number {
    return this.#matched;
  }
  #matched = 0;
  readonly #unmatched = new Uint16Array(4096);
  #others(list: number, count: number, kept: number): number {
    const { memory, outList, groups } = this.#engine;
    const { u16, u32 } = memory;
    const from = list >>> 1;
    const found = outList >>> 1;
    let at = 0;
    let others = 0;
    for (let i = 0; i < count; i++) {
      const row = u16[from + i]!;
      if (at < kept && u16[found + at] === row) at++;
      else this.#unmatched[others++] = row;
    }
    const start = this.node.type === "anti" ? 0 : kept;
    for (let i = 0; i < others; i++) {
      u16[found + start + i] = this.#unmatched[i]!;
      u32[(groups >>> 2) + start + i] = this.rows;
    }
    return start + others;
  }
}
