/**
 * A join of a vectorised scan with a small table: kernels find the partners, then only the rows that go up become values.
 *
 * Starting over with the row operators (a key twice on the right side, memory short) happens before the first batch:
 * the right side is read whole by then, and probing needs no further memory but that of the encoder, taken with it.
 */
import { Batch } from "../model/batch.js";
import type { Value } from "../model/value.js";
import type { ExecContext, Operator } from "./contract.js";
import { emitsPairs } from "./join.js";
import type { Runtime } from "./runtime.js";
import { NotVector } from "./vector-filter.js";
import { VectorBlocks } from "./vector-groups.js";
import type { JoinTable } from "./vector-join.js";
import type { RowColumns, VectorScan } from "./vector-scan.js";

export interface VectorJoinParts {
  readonly source: VectorScan;
  readonly encoder: RowColumns;
  readonly join: JoinTable;
  readonly rightStable: boolean;
  /** Scan slot of each left column of the output. */
  readonly output: readonly number[];
  readonly rows: () => Operator;
  readonly runtime: Runtime;
}

const rowsEnough = 512;

export class VectorHashJoin implements Operator {
  readonly #blocks = new VectorBlocks();
  readonly #batch: Batch;
  readonly #slots = new Int32Array(4096);
  #filled = 0;
  #first = true;
  #pageTaken = false;
  #ready = false;
  #rows: Operator | undefined;
  #useRows = false;
  #isOpen = false;

  constructor(readonly parts: VectorJoinParts) {
    const { node } = parts.join;
    const leftWidth = parts.output.length;
    this.#batch = new Batch(emitsPairs(node.type) ? leftWidth + node.right.columns.length : leftWidth);
  }
  get usesRows(): boolean {
    return this.#useRows;
  }
  open(context: ExecContext): void {
    this.#useRows = false;
    this.#reset();
    this.#blocks.open(context.memory);
    this.parts.join.forget();
    this.parts.join.right.open(context);
    this.#isOpen = true;
  }
  rescan(): void {
    if (this.#useRows) {
      this.#rows!.rescan();
      return;
    }
    const { join, rightStable } = this.parts;
    const keep = rightStable && this.#ready;
    this.#reset();
    if (keep) {
      this.#ready = true;
      return;
    }
    this.#blocks.release();
    join.forget();
    join.right.rescan();
  }
  #reset(): void {
    this.parts.source.open();
    this.#filled = 0;
    this.#first = true;
    this.#pageTaken = false;
    this.#ready = false;
  }
  close(): void {
    this.#release();
    if (this.#useRows) this.#rows!.close();
    else if (this.#isOpen) this.parts.join.right.close();
    this.#isOpen = false;
  }
  #release(): void {
    this.parts.source.close();
    this.parts.encoder.release();
    this.parts.join.close();
    this.#blocks.release();
  }
  next(): Batch | undefined {
    if (this.#useRows) return this.#rows!.next();
    if (!this.#ready) {
      try {
        this.#build();
      } catch (thrown) {
        if (!(thrown instanceof NotVector)) throw thrown;
        this.#release();
        this.parts.join.right.close();
        this.#rows ??= this.parts.rows();
        this.#useRows = true;
        this.#rows.open(this.parts.runtime.context);
        return this.#rows.next();
      }
    }
    return this.#probe();
  }
  #build(): void {
    const { source, join, encoder } = this.parts;
    source.start();
    const { engine } = source;
    if (engine === undefined) throw new NotVector();
    this.#blocks.use(engine);
    join.read();
    join.finish(engine, this.#blocks);
    if (!encoder.prepare(engine)) throw new NotVector();
    this.#ready = true;
  }
  #probe(): Batch | undefined {
    const { source, join, encoder } = this.parts;
    const engine = source.engine!;
    const enough = this.#first ? 1 : rowsEnough;
    while (this.#filled < enough) {
      if (!this.#pageTaken && !source.next()) break;
      this.#pageTaken = true;
      let filled = this.#filled;
      if (source.selected > 0) {
        let list = engine.identity;
        if (source.bitmap !== 0) {
          list = engine.list;
          engine.kernels.bitmapRows(source.bitmap, source.view.rows, list);
        }
        const kept = join.probe(source.view, list, source.selected);
        const slots = this.#outList(kept);
        const { output } = this.parts;
        for (let c = 0; c < output.length; c++) {
          this.#left(c, (into) => source.decode(output[c]!, slots, kept, into, filled));
        }
        this.#right(kept, filled);
        filled += kept;
      }
      for (let from = 0; from < source.rowCount; ) {
        const to = encoder.fill(source.columns, from, source.rowCount);
        const kept = join.probe(encoder, engine.identity, to - from);
        const slots = this.#outList(kept);
        const { output } = this.parts;
        for (let c = 0; c < output.length; c++) {
          const values = source.columns[output[c]!]!;
          const into = this.#batch.columns[c]!;
          for (let i = 0; i < kept; i++) into[filled + i] = values[from + slots[i]!]!;
        }
        this.#right(kept, filled);
        filled += kept;
        from = to;
      }
      this.#filled = filled;
      this.#pageTaken = false;
    }
    if (this.#filled === 0) return undefined;
    this.#first = false;
    this.#batch.length = this.#filled;
    this.#filled = 0;
    return this.#batch;
  }
  #left(column: number, decode: (into: Value[]) => void): void {
    decode(this.#batch.columns[column]!);
  }
  #outList(count: number): Int32Array {
    const { memory, outList } = this.parts.source.engine!;
    const { u16 } = memory;
    const slots = this.#slots;
    const start = outList >>> 1;
    for (let i = 0; i < count; i++) slots[i] = u16[start + i]!;
    return slots;
  }
  #right(count: number, at: number): void {
    const { join, output, source } = this.parts;
    const { columns } = this.#batch;
    if (columns.length === output.length) return;
    const { memory, groups } = source.engine!;
    const { u32 } = memory;
    const start = groups >>> 2;
    const matched = Math.min(count, join.matched);
    for (let c = output.length; c < columns.length; c++) {
      const from = join.columns[c - output.length]!;
      const into = columns[c]!;
      for (let i = 0; i < matched; i++) into[at + i] = from[u32[start + i]!]!;
      for (let i = matched; i < count; i++) into[at + i] = null;
    }
  }
}
