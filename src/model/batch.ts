/**
 * Batches: what operators hand each other. Column-wise, so that no object is made per row.
 *
 * Invariants: an operator owns the batch it returns and may reuse it at its next `next()`; who keeps values beyond
 * that copies them. A returned batch is never empty. All columns hold at least `length` entries; entries beyond are
 * meaningless. Values follow `value.ts`.
 */
import type { Value } from "./value.js";

export const batchRowsMax = 1024;

export class Batch {
  length = 0;
  readonly columns: Value[][];
  constructor(width: number) {
    this.columns = [];
    for (let column = 0; column < width; column++) this.columns.push([]);
  }
  get width(): number {
    return this.columns.length;
  }
}
