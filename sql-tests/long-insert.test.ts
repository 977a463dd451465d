/** INSERT with a list of VALUES that is too long to be read as a whole: one statement all the same. */
import { expect, test } from "vitest";
import { DbError } from "../src/base/errors.js";
import { openSimNode } from "../src/sim/node.js";
import { simPlatform } from "../src/sim/platform.js";

const filler = "x".repeat(200);
/** Long enough for the way in parts; `change` makes one row another. */
function statement(change: ReadonlyMap<number, string>, tail = ""): string {
  const rows = Array.from({ length: 3000 }, (_, at) => change.get(at) ?? `(${at}, '${filler}')`);
  return `INSERT INTO t VALUES ${rows.join(", ")}${tail}`;
}

test("fails with what it would fail with if it were read whole before it is run", async () => {
  const node = await openSimNode(simPlatform(5));
  const client = node.client();
  await client.query("CREATE TABLE t (a int PRIMARY KEY, b text)");
  const failure = async (rows: readonly (readonly [number, string])[], tail = ""): Promise<string> => {
    try {
      await client.query(statement(new Map(rows), tail));
    } catch (error) {
      if (!(error instanceof DbError)) throw error;
      return `${error.sqlstate} ${error.message}`;
    }
    return "it did not fail";
  };
  const duplicate = [7, "(6, 'again')"] as const;
  const wrongType = [1500, "('one', 'x')"] as const;
  const noColumn = [1600, "(nosuch, 'x')"] as const;
  const short = [2000, "(2000)"] as const;
  const syntax = [2500, "(2500, SELECT)"] as const;
  const unique = '23505 duplicate key value violates unique constraint "t_pkey"';
  const type = '22P02 invalid input syntax for type integer: "one"';
  const parse = '42601 syntax error at or near "SELECT"';
  expect(await failure([duplicate])).toBe(unique);
  expect(await failure([duplicate, wrongType])).toBe(type);
  expect(await failure([duplicate, noColumn])).toBe('42703 column "nosuch" does not exist');
  expect(await failure([duplicate, short])).toBe("42601 VALUES lists must all be the same length");
  expect(await failure([duplicate, wrongType, syntax])).toBe(parse);
  expect(await failure([duplicate, syntax])).toBe(parse);
  expect(await failure([wrongType, syntax])).toBe(parse);
  expect(await failure([syntax])).toBe(parse);
  expect(await failure([wrongType, noColumn])).toBe(type);
  expect(await failure([duplicate], " RETURNING nosuch")).toBe('42703 column "nosuch" does not exist');
  expect((await client.query("SELECT count(*) FROM t")).rows).toEqual([[0]]);
  expect((await client.query(statement(new Map()))).tag).toBe("INSERT 0 3000");
  node.abandon();
});

test("may stand before other statements", async () => {
  const node = await openSimNode(simPlatform(6));
  const client = node.client();
  await client.query("CREATE TABLE t (a int PRIMARY KEY, b text)");
  const { rows } = await client.query(statement(new Map(), "; SELECT count(*), max(a) FROM t"));
  expect(rows).toEqual([[3000, 2999]]);
  node.abandon();
});
