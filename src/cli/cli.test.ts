import { describe, expect, it } from "vitest";
import { oids } from "../model/type-table.js";
import { parseUrl } from "./client.js";
import { splitStatements } from "./split.js";
import { displayWidth, formatTable } from "./table.js";

describe("splitStatements", () => {
  it.each([
    ["select 1; select 2;", ["select 1", "select 2"], ""],
    ["select ';'; x", ["select ';'"], " x"],
    ["select 'it''s;';", ["select 'it''s;'"], ""],
    ["select e'\\';';", ["select e'\\';'"], ""],
    ['select ";";', ['select ";"'], ""],
    ["select 1 -- ;\n;", ["select 1 -- ;"], ""],
    ["/* ; /* ; */ ; */ select 1;", ["/* ; /* ; */ ; */ select 1"], ""],
    ["select $$;$$; select $a$ $$;$a$;", ["select $$;$$", "select $a$ $$;$a$"], ""],
    ["select $1; select a$b$c;", ["select $1", "select a$b$c"], ""],
    ["create rule r as on insert to t do (a; b);", ["create rule r as on insert to t do (a; b)"], ""],
    [";;", [], ""],
    ["select 'open;", [], "select 'open;"],
  ])("%j", (script, statements, rest) => {
    expect(splitStatements(script)).toEqual({ statements, rest });
  });
});

describe("formatTable", () => {
  it("aligns as psql does", () => {
    const columns = [
      { name: "id", typeOid: oids.int4 },
      { name: "name", typeOid: oids.text },
    ];
    expect(
      formatTable(columns, [
        ["1", "Ann"],
        ["1000", "Zoë\nM."],
        [null, "日本"],
      ]),
    ).toBe(
      [
        "  id  | name ",
        "------+------",
        "    1 | Ann",
        " 1000 | Zoë +",
        "      | M.",
        "      | 日本",
        "(3 rows)",
        "",
      ].join("\n"),
    );
    expect(formatTable(columns, [])).toBe(" id | name \n----+------\n(0 rows)\n");
    expect([displayWidth("é"), displayWidth("e\u0301"), displayWidth("日"), displayWidth("🐦")]).toEqual([
      1, 1, 2, 2,
    ]);
  });
});

describe("parseUrl", () => {
  const defaults = {
    host: "h",
    port: 1,
    user: "u",
    password: undefined,
    database: "d",
    tls: "prefer",
  } as const;
  it("takes what the URL has and the rest from the defaults", () => {
    expect(parseUrl("postgres://a:b%40c@db:5/x?sslmode=require", defaults)).toEqual({
      host: "db",
      port: 5,
      user: "a",
      password: "b@c",
      database: "x",
      tls: "require",
    });
    expect(parseUrl("postgresql://[::1]", defaults)).toEqual({ ...defaults, host: "::1" });
    expect(() => parseUrl("mysql://x", defaults)).toThrow("no Postgres URL");
    expect(() => parseUrl("nonsense", defaults)).toThrow("is no URL");
    expect(() => parseUrl("postgres://x?sslmode=verify-full", defaults)).toThrow("sslmode");
  });
});
