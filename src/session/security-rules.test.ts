/** Row and column rules of a security bundle, through whole statements of a node; the bundle is a list in this file. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { DbError } from "../base/errors.js";
import { loadConfig } from "../config.js";
import type { Batch } from "../model/batch.js";
import type { ColumnRule, RowRule, SecurityRules } from "../model/security-rules.js";
import { defaultSettings, typeOutput } from "../model/types.js";
import { type NodeCore, openCore } from "../node.js";
import type { Log } from "../observe/index.js";
import type { Platform } from "../platform/index.js";
import { simPlatform } from "../sim/platform.js";
import { simTrust } from "../sim/trust.js";
import type { OutputColumn } from "../sql/plan.js";
import type { ResultSink, Session } from "./index.js";

const config = loadConfig({
  args: [
    "--shards",
    "1",
    "--page-size",
    "8KB",
    "--buffer-pool",
    "16MB",
    "--journal-size",
    "4MB",
    "--name",
    "test",
  ],
  environment: { SCRATCHBIRD_PASSWORD: "test" },
  readFile: () => "",
  remembered: () => ({}),
  machineMemoryBytes: 256 << 20,
  isTerminal: false,
});
const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

let core: NodeCore;
const sessions = new Map<string, Session>();

function connect(user: string): Session {
  let session = sessions.get(user);
  if (session === undefined) {
    session = core.server.openSession({
      user,
      database: "test",
      settings: new Map(),
      remoteAddress: "127.0.0.1:4000",
      encrypted: false,
    });
    sessions.set(user, session);
  }
  return session;
}

/** Rows as `a|b` lines, or the command tag, or `SQLSTATE message` (with its detail). */
async function as(user: string, text: string): Promise<string> {
  const session = connect(user);
  const lines: string[] = [];
  let tag = "";
  const sink: ResultSink = {
    rowDescription: () => {},
    rows: (batch: Batch, columns: readonly OutputColumn[]) => {
      for (let row = 0; row < batch.length; row++)
        lines.push(
          columns
            .map(({ type }, at) => {
              const value = batch.columns[at]![row]!;
              return value === null ? "-" : typeOutput(type.oid, value, defaultSettings);
            })
            .join("|"),
        );
      return true;
    },
    drained: () => Promise.resolve(),
    complete: (word) => {
      tag = word;
    },
    emptyQuery: () => {},
    portalSuspended: () => {},
    notice: () => {},
    parameterStatus: () => {},
    notification: () => {},
    // biome-ignore lint/correctness/useYield: the contract wants an iterable, and nothing is sent here
    async *copyIn(): AsyncIterable<Buffer> {
      throw new DbError("featureNotSupported", "no COPY data here");
    },
    copyOutBegin: () => {},
    copyOutData: (bytes) => {
      lines.push(Buffer.from(bytes).toString().trimEnd().replaceAll("\t", "|").replaceAll("\\N", "-"));
      return true;
    },
    copyOutDone: () => {},
  };
  try {
    await session.simpleQuery(text, sink);
    await session.sync();
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    session.failed(error);
    const { detail } = error.fields;
    return `${error.sqlstate} ${error.message}${detail === undefined ? "" : ` (${detail})`}`;
  }
  return lines.length > 0 || tag.startsWith("SELECT") ? lines.join(", ") : tag;
}

// The bundle.
const roleId = (name: string): number => core.server.control.state.roleByName(name)!.id;
let version = 0;
let rowRules: readonly RowRule[] = [];
let columnRules: readonly ColumnRule[] = [];
const bundle: SecurityRules = {
  get version() {
    return version;
  },
  rowRulesOf: (table) => (table.name === "people" ? rowRules : []),
  columnRulesOf: (table) => (table.name === "people" ? columnRules : []),
};
function publish(rules: { rows?: readonly RowRule[]; columns?: readonly ColumnRule[] }): void {
  version++;
  rowRules = rules.rows ?? [];
  columnRules = rules.columns ?? [];
}
type Hiding = { action: "deny" } | { action: "redact" } | { action: "mask"; expressionSql: string };
const hide = (column: string, how: Hiding): ColumnRule => ({
  name: `${column} hidden`,
  column: ["id", "name", "ssn", "pay", "dept"].indexOf(column),
  grantedRoles: [roleId("vip")],
  ...how,
});

const people = [
  "(1, 'Ann', '111-22', 100, 1)",
  "(2, 'Ben', '333-44', 200, 1)",
  "(3, 'Cem', NULL, 300, 2)",
  "(4, 'Dee', '555-66', 400, NULL)",
].join(", ");

beforeAll(async () => {
  const network: Platform["network"] = { listen: () => Promise.reject(new Error("no sockets here")) };
  core = await openCore(config, { ...simPlatform(1), network }, silent, {
    trust: ({ clusterId, nodeId }) => simTrust(clusterId, nodeId),
  });
  core.server.securityRules = bundle;
  for (const text of [
    "create role vip",
    "create role owner login",
    "create role reader login",
    "create role insider login in role vip",
    "create role passing login bypassrls",
    "grant create on schema public to owner, reader",
  ])
    await as("admin", text);
  for (const text of [
    "create table people (id int primary key, name text, ssn text unique check (ssn <> 'no'), pay int, dept int)",
    "create table depts (id int, title text)",
    "insert into depts values (1, 'one'), (2, 'two'), (3, 'three')",
    `insert into people values ${people}`,
    "grant all on people, depts to public",
    "analyze people",
  ])
    await as("owner", text);
});
afterAll(() => core.close());

beforeEach(async () => {
  publish({});
  await as("admin", `delete from people; insert into people values ${people}`);
});

describe("a denied column", () => {
  const refused = "42501 permission denied for column ssn of table people";
  const readers = [
    "select ssn from people",
    "select * from people",
    "select p.* from people p",
    "select p from people p",
    "select row_to_json(p) from people p",
    "select x.c from people x(a, b, c)",
    "select count(ssn) from people",
    "select id from people where ssn = '111-22'",
    "select id from people where ssn is null",
    "select id from people order by ssn",
    "select count(*) from people group by ssn",
    "select dept from people group by dept having max(ssn) > ''",
    "select distinct on (ssn) id from people",
    "select row_number() over (order by ssn) from people",
    "select a.id from people a join people b using (ssn)",
    "select a.id from people a natural join people b",
    "select d.id from depts d left join people p on p.dept = d.id and p.ssn is null",
    "select d.id from depts d left join people p using (id) where p.ssn is null",
    "select 1 from depts d where exists (select from people p where p.ssn = d.title)",
    "select (select max(ssn) from people)",
    "select title from depts where title in (select ssn from people)",
    "select l.v from people p, lateral (select p.ssn as v) l",
    "with w as (select * from people) select id from w",
    "select id from people union select 1 from people where ssn > ''",
    "select id from people limit (select count(ssn) from people)",
    "update people set name = ssn",
    "update people set pay = 0 where ssn is null",
    "update people set pay = 0 where id = 1 returning ssn",
    "update people set pay = 0 where id = 1 returning *",
    "delete from people where ssn = 'x'",
    "delete from people where id = 0 returning *",
    "insert into people values (9, 'x', 'y', 1, 1) returning *",
    "insert into people values (9, 'x', '111-22', 1, 1) on conflict (ssn) do nothing",
    "insert into people values (9, 'x', '111-22', 1, 1) on conflict on constraint people_ssn_key do nothing",
    "insert into people values (1, 'x', 'y', 1, 1) on conflict (id) do update set name = people.ssn",
    "insert into people values (1, 'x', 'y', 1, 1) on conflict (id) do update set pay = 1 where people.ssn is null",
    "insert into depts select id, ssn from people",
    "copy people to stdout",
    "copy people (id, ssn) to stdout",
    "copy (select ssn from people) to stdout",
    "create table copied as select * from people",
    "begin; declare c cursor for select ssn from people",
  ];
  it.each(readers)("%s", async (text) => {
    publish({ columns: [hide("ssn", { action: "deny" })] });
    expect(await as("reader", text)).toBe(refused);
    await as("reader", "rollback");
    publish({});
    expect(await as("reader", `begin; ${text}`)).not.toContain("42501");
    await as("reader", "rollback");
  });

  it("stands in nobody's way who does not read it", async () => {
    publish({ columns: [hide("ssn", { action: "deny" })] });
    expect(await as("reader", "select id, name from people where pay < 300 order by id")).toBe(
      "1|Ann, 2|Ben",
    );
    expect(await as("reader", "select count(*) from people")).toBe("4");
    expect(await as("reader", "insert into people values (5, 'Eve', '777', 1, 1)")).toBe("INSERT 0 1");
    expect(await as("reader", "update people set ssn = '888' where id = 5")).toBe("UPDATE 1");
    expect(await as("reader", "delete from people where id = 5 returning name")).toBe("Eve");
  });

  it("is seen by granted roles and superusers, and by the owner if he is one of them", async () => {
    publish({ columns: [hide("ssn", { action: "deny" })] });
    expect(await as("insider", "select ssn from people where id = 1")).toBe("111-22");
    expect(await as("admin", "select ssn from people where id = 1")).toBe("111-22");
    expect(await as("owner", "select ssn from people where id = 1")).toBe(refused);
    expect(await as("passing", "select ssn from people where id = 1")).toBe(refused);
  });

  it("is what a view's owner may see of it", async () => {
    await as("reader", "create view mine as select id, ssn from people");
    await as("reader", "grant select on mine to public");
    await as("admin", "create view all_people as select * from people; grant select on all_people to public");
    publish({ columns: [hide("ssn", { action: "deny" })] });
    expect(await as("insider", "select id from mine")).toBe(refused);
    expect(await as("reader", "select ssn from all_people where id = 1")).toBe("111-22");
    await as("reader", "drop view mine");
    await as("admin", "drop view all_people");
  });

  it("is not read by its owner's statements on the table either", async () => {
    publish({ columns: [hide("ssn", { action: "deny" }), hide("dept", { action: "redact" })] });
    for (const text of [
      "alter table people alter name type text using ssn",
      "alter table people alter ssn type varchar(3)",
      "alter table people add check (ssn::int > 0)",
      "create index on people ((ssn || ''))",
      "create index on people (id) where ssn > '2'",
    ])
      expect([text, await as("owner", text)]).toEqual([text, refused]);
    // That a key fails he learns, and not by which value.
    expect(await as("owner", "create unique index on people (dept)")).toBe(
      '23505 could not create unique index "people_dept_idx"',
    );
    await as("admin", "create table known (id int primary key); grant references on known to owner");
    expect(await as("owner", "alter table people add foreign key (dept) references known")).toBe(
      '23503 insert or update on table "people" violates foreign key constraint "people_dept_fkey"',
    );
    await as("admin", "drop table known");
  });

  it("cannot be had under another name", async () => {
    publish({ columns: [hide("ssn", { action: "deny" })] });
    await as("owner", "alter table people rename ssn to number");
    expect(await as("reader", "select number from people")).toBe(
      "42501 permission denied for column number of table people",
    );
    await as("owner", "alter table people rename number to ssn");
  });
});

describe("a redacted column", () => {
  it("is NULL to everything", async () => {
    publish({ columns: [hide("ssn", { action: "redact" })] });
    expect(await as("reader", "select id, ssn from people order by id")).toBe("1|-, 2|-, 3|-, 4|-");
    expect(await as("reader", "select * from people where id = 1")).toBe("1|Ann|-|100|1");
    expect(await as("reader", "select id from people where ssn = '111-22'")).toBe("");
    expect(await as("reader", "select count(*) from people where ssn is not null")).toBe("0");
    expect(await as("reader", "select count(ssn), count(distinct ssn) from people")).toBe("0|0");
    expect(await as("reader", "copy people (id, ssn) to stdout")).toBe("1|-, 2|-, 3|-, 4|-");
    expect(await as("insider", "select count(ssn) from people")).toBe("3");
  });
  it("still asks for SELECT on it", async () => {
    publish({ columns: [hide("ssn", { action: "redact" })] });
    await as("owner", "revoke select on people from public; grant select (id) on people to public");
    expect(await as("reader", "select ssn from people")).toBe("42501 permission denied for table people");
    expect(await as("reader", "select count(id) from people")).toBe("4");
    await as("owner", "grant select on people to public");
  });
});

describe("a masked column", () => {
  const mask = "left(value, 1) || '**'";
  beforeEach(() => publish({ columns: [hide("ssn", { action: "mask", expressionSql: mask })] }));

  const cases: readonly [string, string][] = [
    ["select id, ssn from people order by id", "1|1**, 2|3**, 3|-, 4|5**"],
    ["select * from people where id = 2", "2|Ben|3**|200|1"],
    ["select p from people p where id = 2", "(2,Ben,3**,200,1)"],
    ["select id from people where ssn = '111-22'", ""],
    ["select id from people where ssn like '1%22'", ""],
    ["select id from people where ssn = '1**'", "1"],
    ["select id from people where ssn in ('333-44', '5**')", "4"],
    ["select a.id from people a join people b on a.ssn = b.ssn where b.id = 1", "1"],
    ["select id from people a natural join (select '3**'::text as ssn) b", "2"],
    ["select max(ssn), min(ssn) from people", "5**|1**"],
    ["select ssn, count(*) from people group by ssn order by ssn", "1**|1, 3**|1, 5**|1, -|1"],
    ["select id from people order by ssn desc nulls last limit 1", "4"],
    ["select x.s from (select ssn as s from people) x where x.s ~ '-'", ""],
    ["with w as materialized (select ssn from people) select count(*) from w where ssn ~ '-'", "0"],
    ["update people set name = ssn where id = 1 returning name, ssn", "1**|1**"],
    ["delete from people where ssn = '111-22'", "DELETE 0"],
    ["insert into people values (7, 'x', '999-99', 1, 1) returning ssn", "9**"],
    [
      "insert into people values (1, 'x', 'y', 1, 1) on conflict (id) do update set name = people.ssn returning name",
      "1**",
    ],
    ["copy people (id, ssn) to stdout", "1|1**, 2|3**, 3|-, 4|5**"],
    ["select id from people where ssn::int > 0", '22P02 invalid input syntax for type integer: "1**"'],
    ["select id from people where id = 1 for update", "1"],
  ];
  it.each(cases)("%s", async (text, answer) => {
    expect(await as("reader", text)).toBe(answer);
  });

  it("shows its value to granted roles and superusers", async () => {
    for (const user of ["insider", "admin"])
      expect(await as(user, "select ssn from people where ssn = '111-22'")).toBe("111-22");
    expect(await as("owner", "select ssn from people where id = 1")).toBe("1**");
  });

  it("is NULL where an outer join has no row, whatever the mask makes of NULL", async () => {
    publish({
      columns: [hide("ssn", { action: "mask", expressionSql: "coalesce(left(value, 1), 'none')" })],
    });
    const left = "select d.id, p.id, p.ssn from depts d left join people p on p.dept = d.id order by 1, 2";
    expect(await as("reader", left)).toBe("1|1|1, 1|2|3, 2|3|none, 3|-|-");
    const right = "select d.id, p.ssn from people p right join depts d on p.dept = d.id order by 1, 2";
    expect(await as("reader", right)).toBe("1|1, 1|3, 2|none, 3|-");
    const full = "select d.id, p.ssn from people p full join depts d on p.dept = d.id order by 1, 2";
    expect(await as("reader", full)).toBe("1|1, 1|3, 2|none, 3|-, -|5");
    const where = "select d.id from depts d left join people p on p.dept = d.id where p.ssn is null";
    expect(await as("reader", where)).toBe("3");
    const inside =
      "select count(*) from depts d left join people p on p.dept = d.id and p.ssn = '111-22' where p.id is not null";
    expect(await as("reader", inside)).toBe("0");
  });

  it("is not told by errors and statistics", async () => {
    expect(await as("reader", "update people set pay = 1, ssn = 'no' where id = 1")).toBe(
      '23514 new row for relation "people" violates check constraint "people_ssn_check" (Failing row contains (id, name, ssn, pay, dept) = (1, Ann, no, 1, 1).)',
    );
    expect(await as("owner", "alter table people add check (pay > 0)")).toBe("ALTER TABLE");
    expect(await as("reader", "update people set pay = 0 where id = 1")).toBe(
      '23514 new row for relation "people" violates check constraint "people_pay_check" (Failing row contains (id, name, pay, dept) = (1, Ann, 0, 1).)',
    );
    expect(await as("reader", "insert into people values (8, 'x', '111-22', 1, 1)")).toBe(
      '23505 duplicate key value violates unique constraint "people_ssn_key"',
    );
    const stats = "select string_agg(attname, ' ' order by attname) from pg_stats where tablename = 'people'";
    expect(await as("reader", stats)).toBe("dept id name pay");
    expect(await as("insider", stats)).toBe("dept id name pay ssn");
    await as("owner", "alter table people drop constraint people_pay_check");
  });

  it("takes the column's type, and refuses the statement when it cannot be read", async () => {
    publish({ columns: [hide("pay", { action: "mask", expressionSql: "round(value / 100.0)" })] });
    expect(await as("reader", "select pay + 1 from people order by id limit 1")).toBe("2");
    publish({ columns: [hide("pay", { action: "mask", expressionSql: "nonsense(value)" })] });
    expect(await as("reader", "select id from people")).toContain("42883");
    publish({ columns: [hide("pay", { action: "mask", expressionSql: "(select 1)" })] });
    expect(await as("reader", "select id from people")).toBe("0A000 cannot use subquery in column mask");
  });

  it("is denied or redacted by the stricter of two rules", async () => {
    const masked = hide("ssn", { action: "mask", expressionSql: mask });
    publish({ columns: [masked, hide("ssn", { action: "redact" })] });
    expect(await as("reader", "select ssn from people where id = 1")).toBe("-");
    publish({ columns: [hide("ssn", { action: "deny" }), masked] });
    expect(await as("reader", "select ssn from people where id = 1")).toContain("42501");
  });
});

describe("a row rule of the bundle", () => {
  const rule = (more: Partial<RowRule> = {}): RowRule => ({
    name: "low pay",
    permissive: false,
    command: "all",
    roles: [0],
    bindsOwner: false,
    usingSql: "pay < 250",
    ...more,
  });
  const ids = "select string_agg(id::text, ' ' order by id) from people";

  it("binds without ENABLE ROW LEVEL SECURITY, and the owner where it says so", async () => {
    publish({ rows: [rule()] });
    expect(await as("reader", ids)).toBe("1 2");
    expect(await as("owner", ids)).toBe("1 2 3 4");
    expect(await as("admin", ids)).toBe("1 2 3 4");
    expect(await as("passing", ids)).toBe("1 2 3 4");
    publish({ rows: [rule({ bindsOwner: true })] });
    expect(await as("owner", ids)).toBe("1 2");
    publish({ rows: [rule({ roles: [roleId("vip")] })] });
    expect(await as("reader", ids)).toBe("1 2 3 4");
    expect(await as("insider", ids)).toBe("1 2");
  });

  it("and the policies both let a row through", async () => {
    await as(
      "owner",
      "alter table people enable row level security; create policy odd on people using (id % 2 = 1)",
    );
    expect(await as("reader", ids)).toBe("1 3");
    publish({ rows: [rule()] });
    expect(await as("reader", ids)).toBe("1");
    await as("owner", "drop policy odd on people");
    expect(await as("reader", ids)).toBe("-");
    await as("owner", "alter table people disable row level security");
    expect(await as("reader", ids)).toBe("1 2");
  });

  it("refuses rows that are written against it", async () => {
    publish({ rows: [rule({ checkSql: "pay < 500" })] });
    const refused = '42501 new row violates row-level security policy "low pay" for table "people"';
    expect(await as("reader", "insert into people values (6, 'Fay', '6', 900, 1)")).toBe(refused);
    expect(await as("reader", "insert into people values (6, 'Fay', '6', 400, 1)")).toBe("INSERT 0 1");
    expect(await as("reader", "insert into people values (7, 'Gus', '7', 400, 1) returning id")).toBe(
      refused,
    );
    expect(await as("reader", "update people set pay = 900")).toBe(refused);
    expect(await as("reader", "update people set name = 'low'")).toBe("UPDATE 2");
    expect(await as("reader", "update people set pay = 1 where id = 4")).toBe("UPDATE 0");
    expect(await as("reader", "delete from people where id in (2, 3)")).toBe("DELETE 1");
    expect(
      await as(
        "reader",
        "insert into people values (3, 'x', 'x', 1, 1) on conflict (id) do update set name = 'x'",
      ),
    ).toBe(
      '42501 new row violates row-level security policy "low pay" (USING expression) for table "people"',
    );
    expect(await as("reader", "copy people from stdin")).toBe(
      "0A000 COPY FROM not supported with row-level security",
    );
    expect(await as("reader", "copy (select id from people order by id) to stdout")).toBe("1");
  });

  it("that is permissive is one of several, and what none allows is not done", async () => {
    const low = rule({ permissive: true, bindsOwner: true });
    const top = rule({ name: "top", permissive: true, usingSql: "pay > 350", roles: [roleId("vip")] });
    publish({ rows: [low, top] });
    expect(await as("reader", ids)).toBe("1 2");
    expect(await as("insider", ids)).toBe("1 2 4");
    expect(await as("owner", ids)).toBe("1 2");
    const odd = rule({ name: "odd", usingSql: "id % 2 = 1" });
    publish({ rows: [low, top, odd] });
    expect(await as("insider", ids)).toBe("1");
    // Rows that no rule lets through are nobody's, whom or what the rules name.
    publish({ rows: [top] });
    expect(await as("reader", ids)).toBe("-");
    expect(await as("owner", ids)).toBe("1 2 3 4");
    publish({ rows: [rule({ permissive: true, command: "select" })] });
    expect(await as("reader", "insert into people values (6, 'Fay', '6', 1, 1)")).toBe(
      '42501 new row violates row-level security policy for table "people"',
    );
    expect(await as("reader", "delete from people")).toBe("DELETE 0");
    await as(
      "owner",
      "alter table people enable row level security; create policy even on people using (id % 2 = 0)",
    );
    publish({ rows: [low] });
    expect(await as("reader", ids)).toBe("2");
    await as("owner", "drop policy even on people; alter table people disable row level security");
  });

  it("stands beside policies that say the same in other places", async () => {
    publish({
      rows: [rule({ name: "(pay > 0)", checkSql: "(pay < 500)", bindsOwner: true, command: "insert" })],
    });
    await as(
      "owner",
      "create policy one on people for insert with check (pay > 0); create policy two on people for insert with check (pay < 500); alter table people enable row level security, force row level security",
    );
    expect(await as("owner", "insert into people values (9, 'x', '9', 900, 1)")).toBe(
      '42501 new row violates row-level security policy "(pay > 0)" for table "people"',
    );
    await as(
      "owner",
      "drop policy one on people; drop policy two on people; alter table people disable row level security, no force row level security",
    );
  });

  it("is no filter of a dump", async () => {
    publish({ rows: [rule()] });
    await as("reader", "set row_security = off");
    expect(await as("reader", ids)).toBe(
      '42501 query would be affected by row-level security policy for table "people"',
    );
    publish({ columns: [hide("ssn", { action: "redact" })] });
    expect(await as("reader", ids)).toBe("1 2 3 4");
    await as("reader", "reset row_security");
  });
});

describe("a new version of the bundle", () => {
  it("is what a statement goes by that has waited for a lock meanwhile", async () => {
    publish({});
    for (const text of [
      "copy people (id, ssn) to stdout",
      "copy (select ssn from people) to stdout",
      "explain analyze select ssn from people",
      "create table copied as select ssn from people",
    ]) {
      await as("admin", "begin; lock table people in access exclusive mode");
      const waiting = as("reader", text);
      await new Promise<void>((resolve) => setImmediate(resolve));
      publish({ columns: [hide("ssn", { action: "deny" })] });
      await as("admin", "commit");
      expect([text, await waiting]).toEqual([text, "42501 permission denied for column ssn of table people"]);
      publish({});
    }
  });

  it("is what the next execution goes by: plans by shape, prepared ones", async () => {
    const one = (id: number): string => `select name, ssn from people where id = ${id}`;
    await as("reader", "prepare q as select ssn from people where id = $1");
    for (let round = 0; round < 3; round++) {
      publish({});
      for (const id of [1, 2, 1])
        expect(await as("reader", one(id))).toBe(id === 1 ? "Ann|111-22" : "Ben|333-44");
      expect(await as("reader", "execute q(1)")).toBe("111-22");
      publish({ columns: [hide("ssn", { action: "redact" })] });
      for (const id of [1, 2, 1]) expect(await as("reader", one(id))).toBe(id === 1 ? "Ann|-" : "Ben|-");
      expect(await as("reader", "execute q(1)")).toBe("-");
      publish({ columns: [hide("ssn", { action: "deny" })] });
      for (const id of [1, 2]) expect(await as("reader", one(id))).toContain("42501");
      expect(await as("reader", "execute q(1)")).toContain("42501");
    }
  });
});
