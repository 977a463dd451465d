/**
 * A long INSERT .. VALUES, parsed and planned some rows at a time, and the order of its errors.
 *
 * A statement is parsed as a whole, then analysed as a whole, then run. Read in parts, a row that cannot be inserted would
 * be met before the syntax error of a later one. So whoever fails asks what the rest has to say first: an error of syntax
 * anywhere comes before one of names, types and lengths, and both come before one of running it.
 */
import { assert, DbError } from "../base/errors.js";
import type { Insert } from "../sql/ast.js";
import type { InsertRows } from "../sql/parse.js";
import type { PreparedPlan } from "./queries.js";

/** Rows looked at in one step once the statement has failed. */
const restRows = 256;

export class InsertParts {
  readonly #list: InsertRows;
  readonly #plan: (insert: Insert) => PreparedPlan;
  /** What the part at hand has passed. */
  #phase: "parsing" | "planning" | "running" = "parsing";
  #width = -1;
  #part: Insert | undefined;

  constructor(list: InsertRows, plan: (insert: Insert) => PreparedPlan) {
    this.#list = list;
    this.#plan = plan;
  }

  /** The plan for the next rows; undefined at the end of the list. */
  next(rowsMax: number): PreparedPlan | undefined {
    const { insert } = this.#list;
    const { source } = insert;
    assert(source?.kind === "values", "a list of VALUES was found");
    this.#phase = "parsing";
    const rows = this.#list.next(rowsMax);
    if (rows.length === 0) {
      this.#phase = "running";
      return undefined;
    }
    this.#phase = "planning";
    if (this.#width < 0) this.#width = rows[0]!.length;
    for (const row of rows) {
      if (row.length === this.#width) continue;
      throw new DbError("syntaxError", "VALUES lists must all be the same length", {
        position: row[0]?.position ?? source.position,
      });
    }
    this.#part = { ...insert, source: { ...source, rows } };
    return this.again();
  }

  /** A plan for the same rows, as things are now. */
  again(): PreparedPlan {
    assert(this.#part !== undefined, "there is a part at hand");
    this.#phase = "planning";
    const plan = this.#plan(this.#part);
    this.#phase = "running";
    return plan;
  }

  /** What the statement fails with, when `thrown` is what its rows up to here have failed with. */
  async toldFirst(thrown: unknown, breathe: () => Promise<void>): Promise<unknown> {
    if (!(thrown instanceof DbError) || this.#phase === "parsing") return thrown;
    let told = thrown;
    let analysed = this.#phase === "planning";
    for (;;) {
      try {
        await breathe();
        if (analysed) {
          // Only the syntax of the rest matters now.
          this.#phase = "parsing";
          if (this.#list.next(restRows).length === 0) return told;
        } else if (this.next(restRows) === undefined) return told;
      } catch (error) {
        if (!(error instanceof DbError)) throw error;
        if (this.#phase !== "planning") return error;
        told = error;
        analysed = true;
      }
    }
  }
}
