/**
 * Plans found by a statement's shape (D11, M4): literals are stripped by the scanner, and statements that differ only
 * in them share one plan, with the literals as parameters.
 *
 * Only plans that a literal's value would not change are shared: cheap ones, all of whose tables are reached through
 * index equalities or which only insert. Others are planned with their literals, as PostgreSQL does.
 *
 * Invariants: a shared plan answers exactly as a fresh one; bounded per session.
 */
import type { Value } from "../model/value.js";
import { fingerprint } from "../sql/fingerprint.js";
import { parseShared } from "../sql/parse.js";
import type { Prepared } from "./prepared.js";
import { literalValue } from "./queries.js";
import type { ServerSession } from "./session.js";

const shapesMax = 256;
/** Statements longer than this are parsed: their shapes rarely repeat. */
const textMax = 4096;
/** Costs above this are worth planning with the literals known (PostgreSQL units). */
const costMax = 100;

export class ShapeCache {
  /** seen: once so far; plain: not worth sharing. */
  readonly #shapes = new Map<string, Prepared | "seen" | "plain">();

  find(
    session: ServerSession,
    text: string,
  ): { readonly prepared: Prepared; readonly params: readonly Value[] } | undefined {
    if (text.length > textMax || this.#shapes.size === 0) return undefined;
    const print = fingerprint(text);
    if (print === undefined) return undefined;
    const prepared = this.#shapes.get(print.key);
    if (typeof prepared !== "object" || prepared.planned === undefined) return undefined;
    if (!session.isUsable(prepared.planned)) {
      this.#shapes.delete(print.key);
      return undefined;
    }
    const types = prepared.parameterTypes;
    const params: Value[] = [];
    for (let at = 0; at < print.literals.length; at++)
      params.push(literalValue(print.literals[at]!, types[at]!, session.eval));
    return { prepared, params };
  }

  /** A statement that was just run: the second of its shape makes the shared plan. */
  offer(session: ServerSession, text: string, plain: Prepared): void {
    if (text.length > textMax || plain.planned === undefined) return;
    const print = fingerprint(text);
    if (print === undefined) return;
    const known = this.#shapes.get(print.key);
    if (known === undefined) {
      if (this.#shapes.size >= shapesMax) this.#shapes.delete(this.#shapes.keys().next().value!);
      this.#shapes.set(print.key, "seen");
      return;
    }
    if (known !== "seen") return;
    this.#shapes.set(print.key, "plain");
    if (plain.planned.plan.plan.estimate.totalCost > costMax) return;
    const parsed = parseShared(text, print.offsets, print.classes);
    if (parsed === undefined) return;
    const prepared: Prepared = {
      ...plain,
      parsed,
      parameterTypes: [],
      planned: undefined,
      columns: undefined,
    };
    const planned = session.plan(prepared, 0);
    if (
      planned.plan.plan.estimate.totalCost > costMax ||
      prepared.parameterTypes.length !== print.literals.length
    )
      return;
    prepared.planned = planned;
    prepared.columns = planned.plan.columns;
    this.#shapes.set(print.key, prepared);
  }
}
