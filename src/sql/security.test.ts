/** Row rules in plans: what may be asked of an index, and in which order conditions stand. */
import { describe, expect, test } from "vitest";
import type { AppliedRules, TableAccess } from "../model/security-rules.js";
import type { PreparableStatement } from "./ast.js";
import { explainLines, prepareStatement } from "./index.js";
import { parseOne } from "./parse.js";
import { fakeCatalog, testEnv } from "./testing.js";

const catalog = fakeCatalog(
  "t(id int4 pk, tenant text, price numeric, n int4) 100000 rows",
  "u(id int4, k int4) 100 rows",
  "index t_tenant on t(tenant)",
  "unique index t_price on t(price)",
  "index t_n on t(n)",
);
const rules = (usingSql: string): AppliedRules => ({
  permissive: [[{ name: "p", command: "all", usingSql }]],
  restrictive: [],
  columns: new Map(),
});

function explain(sql: string, usingSql: string | undefined): string {
  const access: TableAccess = {
    rulesFor: (table) => (table.name === "t" && usingSql !== undefined ? rules(usingSql) : undefined),
  };
  const statement = parseOne(sql)!.ast as PreparableStatement;
  const plan = prepareStatement(statement, { ...testEnv(catalog), access });
  return explainLines(plan, { catalog, costs: false }).join("\n");
}

describe("a row rule", () => {
  test("may use an index itself", () => {
    expect(explain("select * from t", "tenant = 'a'")).toMatchInlineSnapshot(`
      "Index Scan using t_tenant on t
        Index Cond: (tenant = 'a'::text)"
    `);
  });
  test("leaves the index to conditions that are leakproof", () => {
    expect(explain("select * from t where id = 5", "n > 2")).toMatchInlineSnapshot(`
      "Index Scan using t_pkey on t
        Index Cond: (id = 5)
        Filter: (n > 2)"
    `);
  });
  test("and to no others: comparing numerics may fail", () => {
    expect(explain("select * from t where price = 5", undefined)).toContain("Index Cond: (price");
    expect(explain("select * from t where price = 5", "length(tenant) > 2")).toMatchInlineSnapshot(`
      "Seq Scan on t
        Filter: ((length(tenant) > 2) AND (price = '5'::numeric))"
    `);
  });
  test("holds for index look-ups of a join, too", () => {
    const join = (on: string): string => `select * from u join t on ${on}`;
    expect(explain(join("t.id = u.k"), "length(tenant) > 2")).toContain("Index Cond: (id = u.k)");
    expect(explain(join("t.price = u.k::numeric"), undefined)).toContain("Index Cond: (price");
    expect(explain(join("t.price = u.k::numeric"), "length(tenant) > 2")).not.toContain("Index Cond");
  });
  test("is the first condition of its scan, wherever the others come from", () => {
    for (const sql of [
      "select * from t where 1 / n > 0",
      "select * from (select * from t) s where 1 / n > 0",
      "select * from t join u on 1 / n > 0",
      "select * from u where exists (select from t where t.n = u.k and 1 / t.n > 0)",
      "update t set n = 1 where 1 / n > 0",
      "delete from t where 1 / n > 0",
    ])
      expect(explain(sql, "length(tenant) > 2")).toContain(
        "Filter: ((length(tenant) > 2) AND ((1 / n) > 0))",
      );
  });
  test("costs nothing where there is none", () => {
    expect(explain("select * from t where id = 5", undefined)).toBe(
      "Index Scan using t_pkey on t\n  Index Cond: (id = 5)",
    );
  });
});
