/**
 * Bind against PostgreSQL 15's answers: output names and types, and for wrong statements SQLSTATE, message, hint and
 * position. The expectations were taken from a running PostgreSQL with the same tables.
 */
import { describe, expect, test } from "vitest";
import { DbError } from "../base/errors.js";
import type { PreparableStatement } from "./ast.js";
import { bindStatement, bindTableExpression, prepareStatement } from "./index.js";
import { parseOne } from "./parse.js";
import { fakeCatalog, testEnv } from "./testing.js";

const catalog = fakeCatalog(
  "ta(a int4 pk, b text, c int4, d numeric, e timestamp, f varchar, g bool) 1000 rows",
  "tb(a int4, x int4, y text) 500 rows",
  "tc(id int4 pk, v int4, w text default 'none') 10 rows",
  "unique index tc_v on tc(v)",
);
catalog.addTable("ident", [
  { name: "id", typeName: "int4", notNull: true, identity: "always", sequenceId: 99 },
  { name: "v", typeName: "int4" },
]);
catalog.addCheck(catalog.table("tc"), "tc_v_check", "(v > 0)");
catalog.addView("va", "SELECT a AS k, b FROM public.ta WHERE c > 1", [
  { name: "k", typeName: "int4" },
  { name: "b", typeName: "text" },
]);

function bind(sql: string, types: number[] = []) {
  return bindStatement(parseOne(sql)!.ast as PreparableStatement, testEnv(catalog, types));
}
function shape(sql: string): string {
  return bind(sql)
    .statement.columns.map((column) => `${column.name}:${column.type.oid}`)
    .join(" ");
}
function failure(sql: string): string {
  try {
    prepareStatement(parseOne(sql)!.ast as PreparableStatement, testEnv(catalog));
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    const { hint, position } = error.fields;
    return `${error.sqlstate} ${error.message}${hint === undefined ? "" : ` | ${hint}`} @${position ?? ""}`;
  }
  throw new Error(`no error from ${sql}`);
}

describe("output columns", () => {
  test.each([
    [
      "select 1, 'q', length('abc'), count(*), 2 + 2, true",
      "?column?:23 ?column?:25 length:23 count:20 ?column?:23 ?column?:16",
    ],
    [
      "select cast('5' as int), 7::text, array[1], case when true then 1 end",
      "int4:23 text:25 array:1007 case:23",
    ],
    ["select null, coalesce(null, 1), sum(3), nullif(1, 2)", "?column?:25 coalesce:23 sum:20 nullif:23"],
    ["select avg(a), avg(d), sum(a), sum(d), max(e) from ta", "avg:1700 avg:1700 sum:20 sum:1700 max:1114"],
    ["select * from ta join tb using (a)", "a:23 b:25 c:23 d:1700 e:1114 f:1043 g:16 x:23 y:25"],
    ["select tb.* from ta, tb", "a:23 x:23 y:25"],
    ["select * from va", "k:23 b:25"],
    ["values (1, 'a'), (2.5, null)", "column1:1700 column2:25"],
    ["select 1 union select 2.5", "?column?:1700"],
    ["select 'a' as c union select b from ta", "c:25"],
    ["with w(k) as (select a from ta) select k, k + 1 from w", "k:23 ?column?:23"],
    ["with recursive r(n) as (select 1 union all select n + 1 from r where n < 3) select * from r", "n:23"],
    [
      "select exists (select 1), (select x from tb limit 1), array(select a from tb)",
      "exists:16 x:23 array:1007",
    ],
    ["select g, g * 2 as d from generate_series(1, 3) g", "g:23 d:23"],
    ["select a::bigint, (b || c)::varchar from ta", "a:20 varchar:1043"],
    ["select row_number() over (order by a), sum(c) over () from ta", "row_number:20 sum:20"],
    ["insert into tc(id, v) values (1, 2) returning id, w", "id:23 w:25"],
    ["update ta set c = c + 1 returning a as was, *", "was:23 a:23 b:25 c:23 d:1700 e:1114 f:1043 g:16"],
    ["select c from ta group by a", "c:23"],
  ])("%s", (sql, columns) => {
    expect(shape(sql)).toBe(columns);
  });
});

describe("errors", () => {
  test.each([
    ["select nope from ta", '42703 column "nope" does not exist @8'],
    [
      "select bb from ta",
      '42703 column "bb" does not exist | Perhaps you meant to reference the column "ta.b". @8',
    ],
    ["select ta.nope from ta", "42703 column ta.nope does not exist @8"],
    ["select tb.a from ta", '42P01 missing FROM-clause entry for table "tb" @8'],
    ["select a from ta, tb", '42702 column reference "a" is ambiguous @8'],
    ["select * from nope", '42P01 relation "nope" does not exist @15'],
    [
      "select x.a from ta x where ta.b = 'x'",
      '42P01 invalid reference to FROM-clause entry for table "ta" | Perhaps you meant to reference the table alias "x". @28',
    ],
    [
      "select a from ta group by b",
      '42803 column "ta.a" must appear in the GROUP BY clause or be used in an aggregate function @8',
    ],
    ["select count(*) from ta where count(*) > 1", "42803 aggregate functions are not allowed in WHERE @31"],
    ["select sum(count(*)) from ta", "42803 aggregate function calls cannot be nested @12"],
    ["select a from ta order by 3", "42P10 ORDER BY position 3 is not in select list @27"],
    [
      "select distinct a from ta order by b",
      "42P10 for SELECT DISTINCT, ORDER BY expressions must appear in select list @36",
    ],
    ["select 1 union select 1, 2", "42601 each UNION query must have the same number of columns @23"],
    ["select 1 union select a > 1 from ta", "42804 UNION types integer and boolean cannot be matched @25"],
    [
      "select upper(a) from ta",
      "42883 function upper(integer) does not exist | No function matches the given name and argument types. You might need to add explicit type casts. @8",
    ],
    [
      "select a + b from ta",
      "42883 operator does not exist: integer + text | No operator matches the given name and argument types. You might need to add explicit type casts. @10",
    ],
    ["select a from ta where b", "42804 argument of WHERE must be type boolean, not type text @24"],
    ["select 'x'::int", '22P02 invalid input syntax for type integer: "x" @8'],
    [
      "select cast(a as timestamp) from ta",
      "42846 cannot cast type integer to timestamp without time zone @8",
    ],
    ["select * from (select 1 as a, 2 as a) s where a = 1", '42702 column reference "a" is ambiguous @47'],
    ["select * from ta, ta", '42712 table name "ta" specified more than once @'],
    ["insert into ta(a, nope) values (1, 2)", '42703 column "nope" of relation "ta" does not exist @19'],
    ["insert into ta(a, b) values (1)", "42601 INSERT has more target columns than expressions @19"],
    ["insert into tb values (1, 2, 'x', 4)", "42601 INSERT has more expressions than target columns @35"],
    [
      "insert into ta(a) select b from ta",
      '42804 column "a" is of type integer but expression is of type text | You will need to rewrite or cast the expression. @26',
    ],
    [
      "insert into tc(id) values (1) on conflict (w) do nothing",
      "42P10 there is no unique or exclusion constraint matching the ON CONFLICT specification @",
    ],
    ["update ta set nope = 1", '42703 column "nope" of relation "ta" does not exist @15'],
    ["select a from ta where a in (select a, x from tb)", "42601 subquery has too many columns @26"],
    ["select (select a, b from ta)", "42601 subquery must return only one column @8"],
    ["select row_number() from ta", "42809 window function row_number requires an OVER clause @8"],
    [
      "select ntile(2) over () from ta where rank() over () = 1",
      "42P20 window functions are not allowed in WHERE @39",
    ],
    [
      "select * from tb right join lateral (select tb.a) s on true",
      '42P10 invalid reference to FROM-clause entry for table "tb" @45',
    ],
    [
      "select array[]",
      "42P18 cannot determine type of empty array | Explicitly cast to the desired type, for example ARRAY[]::integer[]. @8",
    ],
    ["select a from ta group by rollup (a)", "0A000 grouping sets is not supported yet @27"],
  ])("%s", (sql, expected) => {
    expect(failure(sql)).toBe(expected);
  });

  test("identity columns take no explicit value", () => {
    expect(failure("insert into ident values (1, 2)")).toMatch(
      /^428C9 cannot insert a non-DEFAULT value into column "id"/,
    );
    expect(failure("update ident set id = 1")).toMatch(/^428C9 column "id" can only be updated to DEFAULT/);
  });

  test("deep nesting is refused, not overflowed", () => {
    const sql = `select ${"(1 + ".repeat(200)}1${")".repeat(200)}`;
    expect(shape(sql)).toBe("?column?:23");
  });
});

describe("parameters", () => {
  test("take the type of their place", () => {
    const types: number[] = [];
    bind("select * from ta where a = $1 and b like $2 and d > $3 and e < $4 limit $5", types);
    expect(types).toEqual([23, 25, 1700, 1114, 20]);
  });
  test("take the type of the column they are stored in", () => {
    const types: number[] = [];
    bind("insert into tc values ($1, $2, $3)", types);
    expect(types).toEqual([23, 23, 25]);
  });
  test("keep the type the client gave", () => {
    const types = [20];
    bind("select a + $1 from ta", types);
    expect(types).toEqual([20]);
  });
  test("without a type are text, or 42P18", () => {
    const types: number[] = [];
    bind("select $1", types);
    expect(types).toEqual([25]);
    expect(() => bind("select 1 where $1 is null", [])).not.toThrow();
    expect(() => bind("select $2 + 1", [])).toThrow("could not determine data type of parameter $1");
  });
  test("more than the protocol gave are 42P02", () => {
    const env = { ...testEnv(catalog, []), parametersFixed: true };
    expect(() => bindStatement(parseOne("select $1::int")!.ast as PreparableStatement, env)).toThrow(
      "there is no parameter $1",
    );
  });
});

describe("needs", () => {
  const needs = (sql: string): string[] =>
    bind(sql).privileges.map(
      (need) =>
        `${need.name} ${need.privilege} ${need.columns.join(",")}${need.asRole === undefined ? "" : ` as ${need.asRole}`}`,
    );
  test("are the columns that are read, per relation", () => {
    expect(needs("select b from ta where a = 1")).toEqual(["ta r 0,1"]);
    expect(needs("select count(*) from ta")).toEqual(["ta r "]);
    expect(needs("update ta set c = 1 where a = 2")).toEqual(["ta w 2", "ta r 0"]);
    expect(needs("insert into tc(id) values (1)")).toEqual(["tc a 0"]);
    expect(needs("delete from ta")).toEqual(["ta d "]);
  });
  test("of a view's tables are its owner's", () => {
    expect(needs("select k from va")).toEqual(["ta r 0,1,2 as 10", "va r 0"]);
  });
  test("a table's own expressions need nothing", () => {
    expect(needs("insert into tc values (1, 2)")).toEqual(["tc a 0,1"]);
    expect(bind("insert into tc values (1, 2)").statement).toMatchObject({
      checks: [{ name: "tc_v_check" }],
    });
  });
});

describe("stored expressions", () => {
  const env = testEnv(catalog);
  test("of a table name its columns", () => {
    expect(bindTableExpression("c > 0 AND b <> ''", catalog.table("ta"), "check", env).columns).toEqual([
      1, 2,
    ]);
  });
  test("refuse what cannot be stored", () => {
    expect(() => bindTableExpression("(select 1)", catalog.table("ta"), "check", env)).toThrow(
      "cannot use subquery in check constraint",
    );
    expect(() => bindTableExpression("count(*) > 1", catalog.table("ta"), "check", env)).toThrow(
      "aggregate functions are not allowed in check constraints",
    );
    expect(() => bindTableExpression("c", catalog.table("ta"), "check", env)).toThrow(
      "argument of CHECK must be type boolean, not type integer",
    );
  });
});
