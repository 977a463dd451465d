/**
 * Plans of typical statements, as EXPLAIN (COSTS OFF) shows them. A change of plan shows up here and is a decision.
 */
import { describe, expect, test } from "vitest";
import type { StatisticsDesc } from "../model/schema.js";
import type { PreparableStatement } from "./ast.js";
import { explainLines, type PreparedPlan, prepareStatement } from "./index.js";
import { parseOne } from "./parse.js";
import type { PlanNode } from "./plan.js";
import { type FakeCatalog, fakeCatalog, testEnv } from "./testing.js";

const catalog = fakeCatalog(
  "accounts(aid int4 pk, bid int4, abalance int4, filler text) 100000 rows",
  "t(a int4 pk, b text, c int4) 1000 rows",
  "u(a int4, x int4, y text) 500 rows",
  "small(k int4 pk, v text) 10 rows",
  "index t_c_b on t(c, b)",
  "index u_x on u(x) where y is not null",
  "index t_lower on t(lower(b))",
);

function prepare(sql: string, from: FakeCatalog = catalog): PreparedPlan {
  return prepareStatement(parseOne(sql)!.ast as PreparableStatement, testEnv(from));
}
function explain(sql: string, from: FakeCatalog = catalog): string {
  return explainLines(prepare(sql, from), { catalog: from, costs: false }).join("\n");
}

describe("access paths", () => {
  test("a point query is one index scan and nothing else", () => {
    const { plan, columns } = prepare("SELECT abalance FROM accounts WHERE aid = $1");
    expect(plan.kind).toBe("indexScan");
    expect(plan).toMatchObject({ project: [2], rowId: false });
    expect((plan as PlanNode & { kind: "indexScan" }).index!.bounds.equals).toMatchObject([
      { kind: "param", index: 0 },
    ]);
    expect(columns).toMatchObject([{ name: "abalance", attribute: 3 }]);
  });
  test("an update reads what it computes with, and the row address", () => {
    const { plan } = prepare("UPDATE t SET c = c + $1 WHERE a = $2");
    expect(plan).toMatchObject({ kind: "modify", targetColumns: [2], rowIdSlot: 1 });
    expect(explain("UPDATE t SET c = c + $1 WHERE a = $2")).toMatchInlineSnapshot(`
      "Update on t
        ->  Index Scan using t_pkey on t
              Index Cond: (a = $2)"
    `);
  });
  test.each([
    ["select * from t where c = 5 and b > 'x'", "Index Cond: ((c = 5) AND (b > 'x'::text))"],
    ["select * from t where a in (1, 2, 3)", "Index Cond: (a = ANY ('{1,2,3}'::integer[]))"],
    ["select * from t where a = 1 or a = 2", "Index Cond: (a = ANY ('{1,2}'::integer[]))"],
    ["select * from t where a between 5 and 7", "Index Cond: ((a >= 5) AND (a <= 7))"],
    ["select * from t where 5 > a", "Index Cond: (a < 5)"],
    ["select * from t where c is null", "Index Cond: (c IS NULL)"],
    ["select * from t where lower(b) = 'q'", "Index Cond: ((lower(b)) = 'q'::text)"],
    ["select * from u where x = 4 and y is not null", "Index Scan using u_x on u"],
    ["select * from u where x = 4 and y = 'z'", "Index Scan using u_x on u"],
    ["select * from u where x = 4", "Seq Scan on u"],
    ["select * from t where b = 'x'", "Seq Scan on t"],
    ["select * from t where c + 1 = 5", "Seq Scan on t"],
  ])("%s", (sql, line) => {
    expect(explain(sql)).toContain(line);
  });
  test("an index's order saves the sort, backwards too", () => {
    expect(explain("select * from t order by a desc limit 3")).toMatchInlineSnapshot(`
      "Limit
        ->  Index Scan Backward using t_pkey on t"
    `);
    expect(explain("select * from t where c = 1 order by b limit 3")).not.toContain("Sort");
    expect(explain("select * from t order by b limit 3")).toContain("Sort Key: b");
  });
  test("min and max read one end of an index", () => {
    expect(explain("select min(a), max(a) from t")).toMatchInlineSnapshot(`
      "Result
        InitPlan 1 (returns $0)
          ->  Limit
                ->  Index Scan using t_pkey on t
                      Index Cond: (a IS NOT NULL)
        InitPlan 2 (returns $1)
          ->  Limit
                ->  Index Scan Backward using t_pkey on t
                      Index Cond: (a IS NOT NULL)"
    `);
  });
});

describe("joins", () => {
  test("a selective side drives an index loop", () => {
    expect(explain("select t.b, s.v from small s join t on t.a = s.k")).toMatchInlineSnapshot(`
      "Nested Loop
        ->  Seq Scan on small s
        ->  Index Scan using t_pkey on t
              Index Cond: (a = s.k)"
    `);
  });
  test("large sides are hashed", () => {
    expect(explain("select * from t join u on t.c = u.a")).toMatchInlineSnapshot(`
      "Hash Join
        Hash Cond: (t.c = u.a)
        ->  Seq Scan on t
        ->  Hash
              ->  Seq Scan on u"
    `);
  });
  test("constants travel through equivalences", () => {
    const plan = explain("select * from t join u on t.a = u.a where u.a = 7");
    expect(plan).toContain("Index Cond: (a = 7)");
    expect(plan).toContain("Filter: (a = 7)");
    expect(plan).not.toContain("Hash Cond");
  });
  test("constants reach the nullable side of an outer join", () => {
    expect(explain("select * from t left join u on u.a = t.a where t.a = 5")).toContain("Filter: (a = 5)");
  });
  test("an outer join whose null rows are thrown away is an inner one", () => {
    expect(explain("select * from t left join u on t.c = u.a where u.x > 3")).not.toContain("Left");
    expect(explain("select * from t left join u on t.c = u.a where u.x is null")).toMatch(/Left|Right/);
    expect(explain("select * from t full join u on t.c = u.a where t.a > 1 and u.x > 1")).not.toContain(
      "Full",
    );
  });
  test("EXISTS and IN become semi joins, NOT EXISTS an anti join", () => {
    expect(explain("select * from t where exists (select 1 from u where u.a = t.c)")).toContain("Semi Join");
    expect(explain("select * from t where c in (select a from u where y = t.b)")).toContain("Semi Join");
    expect(explain("select * from t where not exists (select 1 from u where u.a = t.c)")).toContain(
      "Anti Join",
    );
  });
  test("NOT IN keeps its three values in a hashed subplan", () => {
    expect(explain("select * from t where c not in (select a from u)")).toContain("(NOT (hashed SubPlan 1))");
  });
  test("a lateral subquery runs per row of its left side", () => {
    const plan = explain(
      "select * from small s, lateral (select * from t where t.c > s.k order by a limit 1) l",
    );
    expect(plan).toMatch(/^Nested Loop/);
    expect(plan).toContain("Filter: (c > s.k)");
  });
  test("a chain of 64 tables is planned quickly and without a product", () => {
    const lines = Array.from({ length: 64 }, (_, i) => `j${i}(a int4 pk, b int4, x text) 10 rows`);
    const many = fakeCatalog(...lines);
    const planned = (count: number) => {
      const tables = Array.from({ length: count }, (_, i) => `j${(i * 37) % count}`).join(", ");
      const joins = Array.from({ length: count - 1 }, (_, i) => `j${i}.b = j${i + 1}.a`).join(" and ");
      const started = performance.now();
      const { plan } = prepare(
        `select j0.x, j${count - 1}.x from ${tables} where ${joins} and j0.a = 3`,
        many,
      );
      return { plan, ms: performance.now() - started };
    };
    planned(16);
    const few = planned(16).ms;
    const { plan, ms } = planned(64);
    // Some power of the number of tables, however busy the machine is; every order of them would be 2^48 times as many.
    expect(ms / few).toBeLessThan(1000);
    expect(plan.estimate.rows).toBeLessThan(1000);
    let products = 0;
    const visit = (node: PlanNode): void => {
      if (node.kind === "nestedLoop") {
        if (node.condition === undefined && node.bindings.length === 0 && node.left.estimate.rows > 1)
          products++;
      }
      if ("left" in node) {
        visit(node.left);
        visit(node.right);
      }
      if ("input" in node) visit(node.input);
    };
    visit(plan);
    expect(products).toBe(0);
  });
  test("the same statement has the same plan", () => {
    const sql = "select * from t, u, small s where t.a = u.a and u.x = s.k and t.c > 4 order by t.b";
    expect(explain(sql)).toBe(explain(sql));
  });
});

describe("above joins", () => {
  test("grouping, HAVING, top-n", () => {
    expect(
      explain("select b, count(*) from t where c > 5 group by b having count(*) > 1 order by 2 desc limit 3"),
    ).toMatchInlineSnapshot(`
        "Limit
          ->  Sort
                Sort Key: (count(*)) DESC
                ->  HashAggregate
                      Group Key: b
                      Filter: (count(*) > 1)
                      ->  Seq Scan on t
                            Filter: (c > 5)"
      `);
  });
  test("conditions on grouping columns are applied before grouping", () => {
    const plan = explain("select c, count(*) from t group by c having c = 4");
    expect(plan).toContain("Index Cond: (c = 4)");
  });
  test("conditions sink into subqueries and set operations", () => {
    expect(explain("select * from (select c, count(*) n from t group by c) s where c = 4")).toContain(
      "Index Cond: (c = 4)",
    );
    const union = explain(
      "select * from (select a from t union all select a from small_view) s where a = 4",
      withView(),
    );
    expect(union.match(/= 4\)/g)).toHaveLength(2);
  });
  test("conditions do not sink below LIMIT or windows", () => {
    expect(explain("select * from (select * from t limit 5) s where a = 4")).not.toContain("Index Cond");
    expect(
      explain("select * from (select a, row_number() over (order by b) r from t) s where a = 4"),
    ).not.toContain("Index Cond");
  });
  test("UNION removes duplicates over one append", () => {
    expect(explain("select a from t union select x from u union select k from small")).toMatchInlineSnapshot(`
      "HashAggregate
        Group Key: a
        ->  Append
              ->  Seq Scan on t
              ->  Seq Scan on u
              ->  Seq Scan on small"
    `);
  });
  test("a CTE read once is planned in place, one read twice is shared", () => {
    expect(explain("with w as (select * from t) select * from w where a = 1")).toContain(
      "Index Cond: (a = 1)",
    );
    expect(explain("with w as (select * from t) select * from w x join w y on x.a = y.c")).toContain(
      "CTE Scan on w x",
    );
    expect(explain("with w as materialized (select * from t) select * from w where a = 1")).toContain(
      "CTE w",
    );
  });
  test("scalar subqueries: uncorrelated ones run once, correlated ones per row", () => {
    expect(explain("select * from t where c = (select max(x) from u)")).toContain("InitPlan 1 (returns $0)");
    expect(explain("select a, (select max(x) from u where u.a = t.a) from t")).toContain("SubPlan 1");
  });
  test("contradictions read nothing", () => {
    expect(explain("select * from t where false")).toContain("One-Time Filter: false");
    expect(explain("select * from t where 1 = 2 and b = 'x'")).toContain("One-Time Filter: false");
  });
});

describe("statistics", () => {
  test("decide between an index and a scan", () => {
    const own = fakeCatalog("s(a int4, b text) 10000 rows", "index s_a on s(a)");
    const statistics: StatisticsDesc = {
      kind: "statistics",
      id: 1,
      tableId: own.table("s").id,
      rows: 10000,
      pages: 100,
      columns: [
        {
          nullFraction: 0,
          averageWidth: 4,
          distinct: 100,
          mostCommon: [["1", 0.9]],
          histogram: ["2", "50", "100"],
          correlation: 0,
        },
        null,
      ],
      analyzedAt: 0,
    };
    own.statistics.set(statistics.tableId, statistics);
    expect(explain("select * from s where a = 1", own)).toContain("Seq Scan");
    expect(explain("select * from s where a = 2", own)).toContain("Index Scan");
    expect(prepare("select * from s where a = 1", own).plan.estimate.rows).toBe(9000);
    expect(prepare("select * from s where a > 50 and a <> 1", own).plan.estimate.rows).toBeLessThan(700);
  });
});

function withView(): FakeCatalog {
  const own = fakeCatalog("t(a int4 pk, b text, c int4) 1000 rows", "small(k int4 pk, v text) 10 rows");
  own.addView("small_view", "SELECT k AS a FROM public.small", [{ name: "a", typeName: "int4" }]);
  return own;
}
