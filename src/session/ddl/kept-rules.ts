/**
 * The security bundle's rules against changes of the catalog. A rule's text names columns and tables; the bundle is changed by
 * its administrator alone, so what a rule needs is neither renamed nor dropped under it, also not by CASCADE.
 *
 * Invariant: after a statement every rule of the current bundle binds that did so before, in the same words. Where a statement
 * and a new bundle cross each other this may fail, and then the rule refuses the statements that it bears on.
 */
import { DbError } from "../../base/errors.js";
import type { ColumnRule, RowRule } from "../../cluster/contract.js";
import type { CatalogReader, TableDesc, TypeRef } from "../../model/schema.js";
import { type BindEnv, storePolicyExpression } from "../../sql/index.js";
import type { DdlContext } from "./context.js";

/** @throws DbError dependentObjectsStillExist (2BP01) */
export function keepBundleRules(ddl: DdlContext): void {
  const { session, draft } = ddl;
  const rules = session.bundleRules;
  if (rules === undefined || rules.rls.length + rules.cls.length === 0) return;
  const env = (catalog: CatalogReader): BindEnv => ({
    ...session.bindEnv([]),
    catalog,
    searchPath: [],
    parametersFixed: true,
  });
  const now = env(draft);
  // There may be thousands of rules, and most name their own table alone.
  const isTouched = ({ table, using = "", check = "" }: RowRule): boolean =>
    draft.relationById(table) !== session.committed.relationById(table) || /\bselect\b/i.test(using + check);
  for (const rule of rules.rls) {
    if (!isTouched(rule)) continue;
    const problem = rowRuleProblem(rule, now);
    if (problem === undefined || rowRuleProblem(rule, env(session.committed)) !== undefined) continue;
    throw needed("RLS policy", rule.name, problem);
  }
  const masks = new Map(rules.masking.map((one) => [one.id, one.input]));
  for (const rule of rules.cls) {
    const problem = columnRuleProblem(rule, draft, masks);
    if (problem === undefined || columnRuleProblem(rule, session.committed, masks) !== undefined) continue;
    throw needed("CLS policy", rule.name, problem);
  }
}

function needed(what: string, name: string, problem: string): DbError {
  return new DbError(
    "dependentObjectsStillExist",
    `cannot be done because ${what} "${name}" of the security bundle depends on it`,
    { detail: problem, hint: `Publish a security bundle without it first: DROP ${what} ${name}.` },
  );
}

/** Why its texts mean nothing, or not the same. A rule of a table that is gone means nothing, and does no harm. */
export function rowRuleProblem({ table: id, using, check }: RowRule, env: BindEnv): string | undefined {
  const table = env.catalog.relationById(id);
  if (table?.kind !== "table") return undefined;
  for (const sql of [using, check]) {
    if (sql === undefined) continue;
    try {
      const anew = storePolicyExpression(sql, table, env).sql;
      if (anew !== sql) return `"${sql}" would be "${anew}".`;
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      return `${error.message}.`;
    }
  }
  return undefined;
}

/** Why its mask does not fit the column. */
export function columnRuleProblem(
  { table: id, column: number, mask }: ColumnRule,
  catalog: CatalogReader,
  inputs: ReadonlyMap<string, TypeRef>,
): string | undefined {
  if (mask === undefined) return undefined;
  const column = tableOf(catalog, id)?.columns[number - 1];
  const input = inputs.get(mask);
  if (column === undefined || column.dropped === true || column.type.oid === input?.oid) return undefined;
  return `Column "${column.name}" would not be of the type that its masking function takes.`;
}

function tableOf(catalog: CatalogReader, id: number): TableDesc | undefined {
  const relation = catalog.relationById(id);
  return relation?.kind === "table" ? relation : undefined;
}
