/**
 * A table scan whose rows are selected by kernels, page by page.
 *
 * A step gives the selected rows of one page twice over: those that lie in the page as the snapshot sees them, as a
 * bitmap over its columns (`view`), and the others as values (`columns`): older versions, and whole pages that kernels
 * cannot read (a format without one of the columns, values outside the page). `RowColumns` turns the latter into
 * columns again, so that what comes after knows one form only.
 *
 * Invariants: each visible row that passes the filter is given once; a Wait leaves the page to be taken again from its
 * beginning; within a page the newest versions come first, as `materialize` has them.
 */
import { assert } from "../base/errors.js";
import { isWait } from "../base/wait.js";
import type { PageScan } from "../mga/contract.js";
import {
  decodeSlots,
  EnginePageScan,
  findColumn,
  isPlainPage,
  offsetShift,
  type PageColumns,
  slotsPerPageMax,
} from "../mga/index.js";
import { Batch, batchRowsMax } from "../model/batch.js";
import { storageClassOf, writeFixed } from "../model/codec-column.js";
import type { TypeRef } from "../model/schema.js";
import type { Value } from "../model/value.js";
import type { Expr } from "../sql/expr.js";
import type { PlanNode, ScanNode } from "../sql/plan.js";
import type { ExecContext, Operator } from "./contract.js";
import { type ExprScope, gather, Predicate, visit } from "./expression.js";
import type { SwallowedNodes } from "./instrument.js";
import type { Runtime } from "./runtime.js";
import { type ColumnView, NotVector, splitFilter, type VectorTest } from "./vector-filter.js";
import { type VectorEngine, vectorEngineOf } from "./vector-memory.js";

export type SeqScanNode = ScanNode & PlanNode;

/** Columns of a page, found anew for each. */
class PageView implements ColumnView, PageColumns {
  readonly addresses: number[] = [];
  readonly nulls: number[] = [];
  readonly kinds: number[] = [];
  readonly scales: number[] = [];
  page = 0;
  shift = 0;
  rows = 0;
}

/** Storage of the slots that kernels read; a page that has another one is read row by row. */
interface SlotStorage {
  readonly slot: number;
  readonly column: number;
  readonly kind: number;
  readonly scale: number;
}

export class VectorScan {
  readonly view = new PageView();
  /** The selected rows of `view`; 0: all of them. */
  bitmap = 0;
  /** How many rows the view gives. */
  selected = 0;
  /** Rows given as values, the scan's columns (then the row address), from index 0. */
  readonly columns: Value[][] = [];
  rowCount = 0;
  scan: EnginePageScan | undefined;
  engine: VectorEngine | undefined;
  /** EXPLAIN ANALYZE of the scan node. */
  swallowed: SwallowedNodes | undefined;
  /** The same of a join node over it, whose time includes the scan's. */
  above: SwallowedNodes | undefined;
  /** A further condition that changes as the scan goes on; it reads slots named as used. */
  extra: Pick<VectorTest, "apply"> | undefined;

  readonly #runtime: Runtime;
  readonly #tests: readonly VectorTest[];
  /** Conditions without a kernel, over rows that passed the tests. */
  readonly #rest: Predicate | undefined;
  readonly #restSlots: readonly number[];
  readonly #restColumns: Value[][] = [];
  readonly #whole: Predicate | undefined;
  readonly #data: Value[][];
  readonly #rowIds: Value[] | undefined;
  readonly #storages: SlotStorage[] = [];
  readonly #slots = new Int32Array(slotsPerPageMax);
  #pages: PageScan | undefined;
  #pageOpen = false;
  #interrupted = false;
  /** The tests' constants are read; else all pages are read row by row. */
  #prepared: "no" | "kernels" | "rows" | "none" = "no";
  #ended = false;

  private constructor(
    readonly node: SeqScanNode,
    /** The caller decodes selected rows: pages with values elsewhere are given as values. */
    readonly decodes: boolean,
    tests: readonly VectorTest[],
    rest: Expr | undefined,
    used: readonly number[],
    types: readonly TypeRef[],
    scope: ExprScope,
  ) {
    this.#runtime = scope.runtime;
    this.#tests = tests;
    this.#rest = rest === undefined ? undefined : new Predicate(rest, scope);
    this.#restSlots = rest === undefined ? [] : slotsOf(rest);
    this.#whole = node.filter === undefined ? undefined : new Predicate(node.filter, scope);
    for (let slot = 0; slot < node.project.length; slot++) {
      this.columns.push([]);
      this.#restColumns.push([]);
    }
    this.#data = this.columns.slice();
    if (node.rowId) {
      this.#rowIds = [];
      this.columns.push(this.#rowIds);
    }
    const slots = new Set(used);
    for (const test of tests) for (const slot of test.slots) slots.add(slot);
    for (const slot of slots) {
      const { kind, scale } = storageClassOf(types[slot]!);
      this.#storages.push({ slot, column: node.project[slot]!, kind, scale });
    }
  }

  /**
   * `used`: slots that the caller's kernels read. Undefined when the filter cannot be judged out of turn, or a slot is
   * none of the table's columns.
   */
  static of(
    node: SeqScanNode,
    used: readonly number[],
    decodes: boolean,
    scope: ExprScope,
  ): { readonly scan: VectorScan; readonly tests: number } | undefined {
    const width = node.project.length;
    const split = splitFilter(node.filter, scope);
    if (split === undefined) return undefined;
    const slots = [...used, ...split.tests.flatMap((test) => test.slots)];
    if (split.rest !== undefined) slots.push(...slotsOf(split.rest));
    if (slots.some((slot) => slot >= width)) return undefined;
    const types = node.columns.map(({ type }) => type);
    return {
      scan: new VectorScan(node, decodes, split.tests, split.rest, used, types, scope),
      tests: split.tests.length,
    };
  }

  open(): void {
    this.#pages = undefined;
    this.scan = undefined;
    this.#pageOpen = false;
    this.#interrupted = false;
    this.#prepared = "no";
    this.#ended = false;
    this.#whole?.reset();
    this.#rest?.reset();
  }
  close(): void {
    this.#pages = undefined;
    this.scan = undefined;
    for (const test of this.#tests) test.release();
  }

  /** Starts the scan without taking a page: `engine` is known afterwards. */
  start(): void {
    if (this.#pages !== undefined) return;
    this.swallowed?.open();
    this.above?.open();
    const { context } = this.#runtime;
    const pages = context.table(this.node.tableId).scan(context.snapshot);
    this.#pages = pages;
    this.scan = pages instanceof EnginePageScan ? pages : undefined;
    this.engine = this.scan === undefined ? undefined : vectorEngineOf(this.scan.table.store.pool);
  }

  /** Takes the next page with rows; false at the end. Throws Wait. */
  next(): boolean {
    const { swallowed } = this;
    if (swallowed === undefined) return this.#next();
    swallowed.begin();
    this.above?.begin();
    const found = this.#next();
    swallowed.end(found ? this.selected + this.rowCount : 0);
    this.above?.end(0);
    return found;
  }
  #next(): boolean {
    if (this.#ended) return false;
    this.start();
    const pages = this.#pages!;
    for (;;) {
      if (!this.#pageOpen) {
        this.#runtime.tick();
        if (!pages.next()) {
          this.#ended = true;
          return false;
        }
        this.#pageOpen = true;
        if (this.#prepared === "no") this.#prepare();
      }
      if (this.#prepared === "none") {
        this.#ended = true;
        return false;
      }
      try {
        this.#take(pages);
      } catch (thrown) {
        if (isWait(thrown)) this.#interrupted = true;
        throw thrown;
      }
      this.#pageOpen = false;
      if (this.selected > 0 || this.rowCount > 0) return true;
    }
  }

  /** Constants are read when there is a row to judge: one that fails to evaluate fails only then. */
  #prepare(): void {
    this.#prepared = "rows";
    if (this.engine === undefined) return;
    try {
      let possible = true;
      for (const test of this.#tests) if (!test.prepare(this.engine)) possible = false;
      this.#prepared = possible ? "kernels" : "none";
    } catch (thrown) {
      // An error comes up again where a row needs the value, if one does.
      if (isWait(thrown)) throw thrown;
      if (!(thrown instanceof NotVector) && !(thrown instanceof Error)) throw thrown;
    }
  }

  #take(pages: PageScan): void {
    this.rowCount = 0;
    this.selected = 0;
    if (this.#interrupted) {
      this.scan?.refresh();
      this.#interrupted = false;
    }
    const { scan } = this;
    if (this.#prepared !== "kernels" || scan === undefined || !this.#load(scan)) {
      this.#filterRows(pages.materialize(this.node.project, this.#data, 0, this.#rowIds));
      return;
    }
    const { oldSlots } = scan;
    if (oldSlots.length > 0) {
      for (let index = 0; index < oldSlots.length; index++) {
        scan.readOld(oldSlots[index]!, this.node.project, this.#data, index);
        if (this.#rowIds !== undefined)
          this.#rowIds[index] = scan.pageNumber * slotsPerPageMax + oldSlots[index]!;
      }
      this.#filterRows(oldSlots.length);
    }
    if (scan.visibleCount > 0) this.#select(scan);
  }

  /** Finds the columns on the page; false when it is to be read row by row. */
  #load(scan: EnginePageScan): boolean {
    const { view } = this;
    const { kernels } = this.engine!;
    const specs = scan.table.spec.columns;
    view.page = scan.address;
    view.shift = offsetShift(scan);
    view.rows = scan.rows;
    if ((this.decodes || this.#restSlots.length > 0) && !isPlainPage(scan)) return false;
    for (const { slot, column, kind, scale } of this.#storages) {
      if (!findColumn(scan, column, view, slot)) return false;
      if (view.kinds[slot] !== kind || view.scales[slot] !== scale) return false;
      // A page whose rows all are live has no NULL where the constraint forbids it; else its bits are counted.
      if (scan.visible === 0 && specs[column]!.notNull) view.nulls[slot] = 0;
      else if (kernels.bitmapCount(view.nulls[slot]!, scan.rows) === 0) view.nulls[slot] = 0;
    }
    return true;
  }

  #select(scan: EnginePageScan): void {
    const tests = this.#tests;
    const { extra } = this;
    if (tests.length === 0 && this.#rest === undefined && extra === undefined && scan.visible === 0) {
      this.bitmap = 0;
      this.selected = scan.rows;
      return;
    }
    const engine = this.engine!;
    const { kernels, bitmap } = engine;
    kernels.bitmapFill(bitmap, scan.rows);
    if (scan.visible !== 0) kernels.bitmapAnd(bitmap, scan.visible, scan.rows);
    for (let t = 0; t < tests.length; t++) tests[t]!.apply(this.view, bitmap, 0);
    extra?.apply(this.view, bitmap, 0);
    this.bitmap = bitmap;
    if (this.#rest === undefined) {
      this.selected = kernels.bitmapCount(bitmap, scan.rows);
      return;
    }
    this.#selectRest(scan, this.#rest);
  }

  #selectRest(scan: EnginePageScan, rest: Predicate): void {
    const { u8 } = this.engine!.memory;
    const count = this.listSlots();
    const columns = this.#restColumns;
    for (const slot of this.#restSlots) {
      decodeSlots(scan, this.node.project[slot]!, this.#slots, count, columns[slot]!, 0);
    }
    const kept = rest.select(columns, count);
    this.selected = kept;
    if (kept === count) return;
    const { bitmap } = this;
    u8.fill(0, bitmap, bitmap + ((scan.rows + 63) >>> 6) * 8);
    const { selection } = rest;
    for (let i = 0; i < kept; i++) {
      const slot = this.#slots[selection[i]!]!;
      u8[bitmap + (slot >>> 3)]! |= 1 << (slot & 7);
    }
  }

  /** The selected slots of the page, in `slots`; the number of them. */
  listSlots(): number {
    const { engine, bitmap, view } = this;
    const slots = this.#slots;
    if (bitmap === 0) {
      for (let slot = 0; slot < view.rows; slot++) slots[slot] = slot;
      return view.rows;
    }
    const { kernels, list, memory } = engine!;
    const count = kernels.bitmapRows(bitmap, view.rows, list);
    const { u16 } = memory;
    const start = list >>> 1;
    for (let i = 0; i < count; i++) slots[i] = u16[start + i]!;
    return count;
  }
  get slots(): Int32Array {
    return this.#slots;
  }
  /** Values of a slot's column for rows of the page (`decodes` was asked for); the row ids follow the columns. */
  decode(slot: number, slots: Int32Array, count: number, into: Value[], at: number): void {
    if (slot === this.node.project.length) {
      assert(this.node.rowId, "the slot after the columns is the row id");
      const base = this.scan!.pageNumber * slotsPerPageMax;
      for (let i = 0; i < count; i++) into[at + i] = base + slots[i]!;
      return;
    }
    decodeSlots(this.scan!, this.node.project[slot]!, slots, count, into, at);
  }

  /** The scan's whole filter over rows given as values. */
  #filterRows(rows: number): void {
    const filter = this.#whole;
    let kept = rows;
    if (filter !== undefined && rows > 0) {
      kept = filter.select(this.columns, rows);
      if (kept < rows) gather(this.columns, this.columns, filter.selection, kept);
    }
    this.rowCount = kept;
  }
}

/** Slots that an expression reads, each once. */
export function slotsOf(expr: Expr): number[] {
  const slots = new Set<number>();
  visit(expr, (inner) => {
    if (inner.kind === "slot") slots.add(inner.slot);
  });
  return [...slots];
}

const rowsMax = batchRowsMax;
const textBytes = 65_536;

/**
 * Rows given as values, put into columns in the arena: fixed widths as on a page, text in a heap of its own. Takes part
 * after part: kernels run over each before the next one is written.
 */
export class RowColumns implements ColumnView {
  readonly addresses: number[] = [];
  readonly nulls: number[] = [];
  page = 0;
  readonly shift = 0;
  rows = 0;
  readonly #columns: {
    readonly slot: number;
    readonly kind: number;
    readonly scale: number;
    readonly width: number;
  }[] = [];
  readonly #nullsAt: number[] = [];
  #engine: VectorEngine | undefined;
  #block = 0;

  /** `slots`: which of the given columns kernels will read. */
  constructor(slots: readonly number[], types: readonly TypeRef[]) {
    for (const slot of new Set(slots)) this.#columns.push({ slot, ...storageClassOf(types[slot]!) });
  }
  /** False when the arena has no room. */
  prepare(engine: VectorEngine): boolean {
    if (this.#block !== 0) return true;
    let bytes = 0;
    let texts = false;
    for (const { width } of this.#columns) {
      bytes += rowsMax * (width === 0 ? 4 : width) + rowsMax / 8;
      if (width === 0) texts = true;
    }
    const block = engine.arena.allocate(bytes + (texts ? textBytes : 0));
    if (block === 0) return false;
    this.#engine = engine;
    this.#block = block;
    let at = block;
    for (const { slot, width } of this.#columns) {
      this.addresses[slot] = at;
      at += rowsMax * (width === 0 ? 4 : width);
      this.#nullsAt[slot] = at;
      at += rowsMax / 8;
    }
    this.page = at;
    return true;
  }
  release(): void {
    if (this.#block !== 0) this.#engine!.arena.free(this.#block);
    this.#block = 0;
  }

  /** Writes rows [from, to) as far as there is room; returns the row it stopped at. Throws NotVector for a text too long. */
  fill(columns: readonly Value[][], from: number, to: number): number {
    const { memory, bytes } = this.#engine!;
    const { u8, u16 } = memory;
    let end = Math.min(to, from + rowsMax);
    for (const { slot, kind, scale, width } of this.#columns) {
      const values = columns[slot]!;
      const nulls = this.#nullsAt[slot]!;
      const address = this.addresses[slot]!;
      u8.fill(0, nulls, nulls + rowsMax / 8);
      this.nulls[slot] = 0;
      if (width !== 0) {
        for (let row = from; row < end; row++) {
          const value = values[row]!;
          if (value === null) this.#setNull(slot, row - from);
          else writeFixed(memory, address + width * (row - from), kind, scale, value);
        }
      }
    }
    let heap = 0;
    for (let row = from; row < end; row++) {
      for (const { slot, width } of this.#columns) {
        if (width !== 0) continue;
        const value = columns[slot]![row] as string | null;
        const pair = (this.addresses[slot]! >>> 1) + 2 * (row - from);
        if (value === null) {
          this.#setNull(slot, row - from);
          u16[pair] = 0;
          u16[pair + 1] = 0;
          continue;
        }
        const length = Buffer.byteLength(value, "utf8");
        if (heap + length >= textBytes) {
          if (row === from) throw new NotVector();
          end = row;
          break;
        }
        bytes.write(value, this.page + heap, "utf8");
        u16[pair] = heap;
        u16[pair + 1] = length;
        heap += length;
      }
    }
    this.rows = end - from;
    return end;
  }
  #setNull(slot: number, row: number): void {
    const nulls = this.#nullsAt[slot]!;
    this.#engine!.memory.u8[nulls + (row >>> 3)]! |= 1 << (row & 7);
    this.nulls[slot] = nulls;
  }
}

/** A batch is handed up once it has this many rows; the first page with rows goes up at once, for a LIMIT. */
const scanRowsEnough = 512;

/** A filtered scan: kernels select, and only the rows they leave become values. */
export class VectorSeqScan implements Operator {
  readonly #batch: Batch;
  #first = true;
  /** The scan stands on a page whose rows are not yet in the batch. */
  #pageTaken = false;
  #filled = 0;
  constructor(readonly source: VectorScan) {
    this.#batch = new Batch(source.columns.length);
  }
  open(_context: ExecContext): void {
    this.rescan();
  }
  rescan(): void {
    this.source.open();
    this.#first = true;
    this.#pageTaken = false;
    this.#filled = 0;
  }
  close(): void {
    this.source.close();
  }
  next(): Batch | undefined {
    const { source } = this;
    const enough = this.#first ? 1 : scanRowsEnough;
    const { columns } = this.#batch;
    while (this.#filled < enough) {
      if (!this.#pageTaken && !source.next()) break;
      this.#pageTaken = true;
      if (source.selected > 0) this.#filled = this.#take(this.#filled);
      const { rowCount } = source;
      for (let c = 0; c < columns.length && rowCount > 0; c++) {
        const from = source.columns[c]!;
        const into = columns[c]!;
        for (let row = 0; row < rowCount; row++) into[this.#filled + row] = from[row]!;
      }
      this.#filled += rowCount;
      this.#pageTaken = false;
    }
    if (this.#filled === 0) return undefined;
    this.#first = false;
    this.#batch.length = this.#filled;
    this.#filled = 0;
    return this.#batch;
  }
  #take(at: number): number {
    const { source } = this;
    const { columns } = this.#batch;
    const count = source.listSlots();
    const width = source.node.project.length + (source.node.rowId ? 1 : 0);
    for (let slot = 0; slot < width; slot++) source.decode(slot, source.slots, count, columns[slot]!, at);
    assert(count === source.selected, "a bitmap and its list differ");
    return at + count;
  }
}
