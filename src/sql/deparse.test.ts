/** Deparsing: what is printed binds to the same thing again, and looks as PostgreSQL prints it. */
import { describe, expect, test } from "vitest";
import type { ast } from "./index.js";
import { bindStatement, deparseQuery, storeQuery, storeTableExpression, viewText } from "./index.js";
import { parseOne } from "./parse.js";
import type { BoundQuery } from "./query.js";
import { fakeCatalog, testEnv } from "./testing.js";

const catalog = fakeCatalog(
  "t(a int4 pk, b text, c int4, d numeric, ts timestamp, arr int4) 10 rows",
  "u(a int4, x int8, y varchar) 10 rows",
  '"odd_name"(a int4) 1 rows'.replaceAll('"', ""),
);
const env = testEnv(catalog);

function stored(sql: string): string {
  return storeQuery(parseOne(sql)!.ast as ast.Query, { ...env, parameterTypes: [] }).sql;
}

describe("expressions, as PostgreSQL stores them", () => {
  test.each([
    ["c > 0", "(c > 0)"],
    ["c > 0 and b <> ''", "((c > 0) AND (b <> ''::text))"],
    ["not (c = 1 or b is null)", "(NOT ((c = 1) OR (b IS NULL)))"],
    ["c in (1, 2, 3)", "(c = ANY (ARRAY[1, 2, 3]))"],
    ["c between 1 and 5", "((c >= 1) AND (c <= 5))"],
    ["d > c", "(d > (c)::numeric)"],
    ["b like 'x%'", "(b ~~ 'x%'::text)"],
    ["coalesce(c, -1) = 0", "(COALESCE(c, '-1'::integer) = 0)"],
    ["case c when 1 then true else b = 'y' end", "CASE c WHEN 1 THEN true ELSE (b = 'y'::text) END"],
    ["length(b) < 10", "(length(b) < 10)"],
    ["b::varchar(3) = 'abc'", "(((b)::character varying(3))::text = 'abc'::text)"],
    ["(c, a) < (1, 2)", "(ROW(c, a) < ROW(1, 2))"],
    ["extract(year from ts) > 2000", "(EXTRACT(year FROM ts) > (2000)::numeric)"],
  ])("%s", (sql, text) => {
    const first = storeTableExpression(sql, catalog.table("t"), "check", env);
    expect(first.sql).toBe(text);
    expect(storeTableExpression(first.sql, catalog.table("t"), "check", env).sql).toBe(text);
  });
  test("defaults", () => {
    const text = (sql: string, oid: number, typmod = -1) =>
      storeTableExpression(sql, undefined, "default", env, { oid, typmod }).sql;
    expect(text("7", 23)).toBe("7");
    expect(text("'x'", 25)).toBe("'x'::text");
    expect(text("1 + 2", 23)).toBe("(1 + 2)");
    expect(text("null", 23)).toBe("NULL::integer");
  });
});

describe("queries", () => {
  const queries = [
    "select a, b from t where c > 1 order by b desc limit 3",
    "select t.a as k, u.y from t join u on t.a = u.a left join u v using (x)",
    "select b, count(*), sum(distinct c) filter (where a > 1) from t group by b having max(a) > 2",
    "select distinct on (c) c, a from t order by c, a",
    "select a from t where a in (select x from u where u.a = t.a) and exists (select 1 from u)",
    "select 1 as one union all select a from t except select 2",
    "with w as (select a from t) select * from w, w v where w.a = v.a",
    "select s.n from (select a + 1 as n from t) s, lateral (select s.n as m) l",
    "select * from generate_series(1, 3) with ordinality g(v, o)",
    "values (1, 'a'), (2, 'b')",
    "select rank() over (partition by c order by a desc rows between 1 preceding and current row) r from t",
    "select (select max(x) from u where u.a = t.a) as m, array(select a from u) from t",
    "select case when a > 1 then 'x' else b end as q, a is distinct from c, arr::text from t",
  ];
  test.each(queries)("%s reads back", (sql) => {
    const once = stored(sql);
    expect(stored(once)).toBe(once);
    const before = bindStatement(parseOne(sql)!.ast as ast.PreparableStatement, {
      ...env,
      parameterTypes: [],
    });
    const after = bindStatement(parseOne(once)!.ast as ast.PreparableStatement, {
      ...env,
      searchPath: [],
      parameterTypes: [],
    });
    expect(after.statement.columns.map((column) => column.type.oid)).toEqual(
      before.statement.columns.map((column) => column.type.oid),
    );
  });
  test("layout of pg_get_viewdef", () => {
    const own = fakeCatalog("t(a int4 pk, b text, c int4) 10 rows");
    const view = own.addView("v", "SELECT t.a AS k, t.b FROM public.t WHERE (t.c > 1) ORDER BY t.b", [
      { name: "k", typeName: "int4" },
      { name: "b", typeName: "text" },
    ]);
    expect(viewText(view, testEnv(own), false)).toBe(
      " SELECT t.a AS k,\n    t.b\n   FROM t\n  WHERE (t.c > 1)\n  ORDER BY t.b;",
    );
    expect(viewText(view, testEnv(own), true)).toContain("WHERE t.c > 1");
    expect(viewText(view, { ...testEnv(own), searchPath: [] }, true)).toContain("FROM public.t");
  });
  test("two entries of one name are told apart", () => {
    const bound = bindStatement(
      parseOne("select * from (select a from t) x, (select t.a from t) y")!.ast as ast.PreparableStatement,
      { ...env, parameterTypes: [] },
    );
    const text = deparseQuery(bound.statement as BoundQuery, { catalog, oneLine: true });
    expect(text).toContain("t_1.a");
  });
});
