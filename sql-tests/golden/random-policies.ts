/**
 * Prints a golden script of random policies and of statements under them, for `record.ts` to fill in:
 *
 *     npx tsx sql-tests/golden/random-policies.ts SEED STATEMENTS > sql-tests/golden/security/random-SEED.sql
 *
 * Conditions fail on some rows (a division by zero), so that an order of evaluation that looks at hidden rows shows. Rows
 * come back ordered, since the order of rows in a table is each server's own.
 */
const [seed = 1, statements = 200] = process.argv.slice(2).map(Number);

/** Marsaglia's xorshift: the same script for the same seed, everywhere. */
let state = seed * 2654435761 || 1;
function random(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
}
const below = (n: number): number => Math.floor(random() * n);
const oneOf = <T>(list: readonly T[]): T => list[below(list.length)]!;
const chance = (share: number): boolean => random() < share;

const records: string[] = [];
const statement = (sql: string): void => {
  records.push(`${sql};\n----\n`);
};
const ordered = (sql: string): void =>
  statement(sql.includes("RETURNING") ? `WITH w AS (${sql}) SELECT * FROM w ORDER BY 1` : sql);

const predicates = {
  t: [
    "n > 2",
    "n < 4",
    "m <> 1",
    "o = current_user",
    "id % 2 = 0",
    "n = m",
    "m IS NOT NULL",
    "true",
    "id < 20",
    "EXISTS (SELECT FROM u WHERE u.id = t.id AND u.k > 0)",
    "n IN (SELECT k FROM u)",
    "NULL::bool",
  ],
  u: ["k > 1", "id % 3 <> 0", "k = 2 OR id = 5"],
};
const roles = ["g_a", "g_b", "g_c", "g_d", "g_o"];
const policies: { readonly name: string; readonly table: string }[] = [];
let named = 0;

function createPolicy(table: "t" | "u"): void {
  const name = `p${++named}`;
  const command = oneOf(["ALL", "SELECT", "INSERT", "UPDATE", "DELETE"]);
  let sql = `CREATE POLICY ${name} ON ${table}${chance(0.3) ? " AS RESTRICTIVE" : ""} FOR ${command}`;
  if (chance(0.4)) sql += ` TO ${oneOf(["g_a", "g_b", "g_a, g_b", "g_c", "g_o"])}`;
  if (command !== "INSERT" && chance(0.9)) sql += ` USING (${oneOf(predicates[table])})`;
  if (command !== "SELECT" && command !== "DELETE" && chance(0.6))
    sql += ` WITH CHECK (${oneOf(predicates[table])})`;
  statement(sql);
  policies.push({ name, table });
}

function actAs(role: string): void {
  statement("RESET ROLE");
  statement(`SET ROLE ${role}`);
}

const condition = (): string =>
  oneOf([
    "n > 1",
    "m = 3",
    "10 / n > 1",
    "n = 4",
    `id = ${1 + below(32)}`,
    "id IN (3, 6, 9, 12)",
    "o = 'g_a'",
    "m < n",
    "EXISTS (SELECT FROM u WHERE u.id = t.id)",
    "id > 10 AND 6 / m > 0",
  ]);
const where = (): string => (chance(0.65) ? ` WHERE ${condition()}` : "");
const returning = (what: string): string => (chance(0.5) ? ` RETURNING ${what}` : "");
const row = (ids: number): string =>
  `(${1 + below(ids)}, '${oneOf(["g_a", "g_b", "g_c"])}', ${below(9)}, ${below(7)})`;

/** By share of the statements. */
const kinds: readonly (readonly [share: number, make: () => void])[] = [
  [16, () => actAs(oneOf([...roles, "g_a", "g_b"]))],
  [
    8,
    () => {
      actAs("g_o");
      const dice = random();
      if (dice < 0.5 || policies.length === 0) createPolicy(chance(0.75) ? "t" : "u");
      else if (dice < 0.8) {
        const [gone] = policies.splice(below(policies.length), 1);
        statement(`DROP POLICY ${gone!.name} ON ${gone!.table}`);
      } else {
        const change = oneOf(["t FORCE", "t NO FORCE", "u ENABLE", "u DISABLE", "t FORCE"]);
        statement(`ALTER TABLE ${change} ROW LEVEL SECURITY`);
      }
      actAs(oneOf(["g_a", "g_b", "g_c"]));
    },
  ],
  [14, () => statement(`SELECT * FROM t WHERE ${condition()} ORDER BY id`)],
  [
    7,
    () =>
      statement(
        oneOf([
          "SELECT count(*), sum(n) FROM t",
          "SELECT t.id, u.k FROM t JOIN u USING (id) ORDER BY 1, 2",
          "SELECT u.id, t.n FROM u LEFT JOIN t ON t.id = u.id ORDER BY 1, 2, u.k",
          "SELECT id FROM t ORDER BY id FOR UPDATE",
          "SELECT id FROM u WHERE id NOT IN (SELECT id FROM t) ORDER BY 1",
          "SELECT min(n), max(n) FROM t",
        ]),
      ),
  ],
  [15, () => statement(`INSERT INTO t VALUES ${row(60)}${returning(oneOf(["*", "1"]))}`)],
  [
    12,
    () => {
      const action = oneOf([
        "DO NOTHING",
        "(id) DO NOTHING",
        "(id) DO UPDATE SET n = excluded.n",
        "(id) DO UPDATE SET n = 3, m = t.m WHERE t.n > 2",
        "(id) DO UPDATE SET o = 'g_a'",
      ]);
      statement(`INSERT INTO t VALUES ${row(34)} ON CONFLICT ${action}${returning("id, n")}`);
    },
  ],
  [
    16,
    () => {
      const set = oneOf(["n = 5", "n = n + 1", "m = 2", "o = 'g_b'", "o = current_user"]);
      ordered(`UPDATE t SET ${set}${where()}${returning("id")}`);
    },
  ],
  [12, () => ordered(`DELETE FROM t WHERE ${condition()}${returning("id")}`)],
];

statement(
  "CREATE ROLE g_a; CREATE ROLE g_b; CREATE ROLE g_c IN ROLE g_a; CREATE ROLE g_d BYPASSRLS; CREATE ROLE g_o; GRANT CREATE ON SCHEMA public TO g_o",
);
statement("SET ROLE g_o");
statement(
  "CREATE TABLE t (id int PRIMARY KEY, o name, n int, m int); CREATE INDEX ON t (n); CREATE TABLE u (id int, k int)",
);
statement("GRANT ALL ON t, u TO g_a, g_b, g_d");
statement(
  "INSERT INTO t SELECT i, CASE i % 3 WHEN 0 THEN 'g_a' WHEN 1 THEN 'g_b' ELSE 'g_c' END, i % 7, i % 5 FROM generate_series(1, 30) i; INSERT INTO u SELECT i % 15, i % 4 FROM generate_series(1, 20) i",
);
statement("ALTER TABLE t ENABLE ROW LEVEL SECURITY");
for (let i = 0; i < 3; i++) createPolicy("t");
const shares = kinds.reduce((sum, [share]) => sum + share, 0);
for (let i = 0; i < statements; i++) {
  let dice = random() * shares;
  kinds.find(([share]) => (dice -= share) < 0)![1]();
  if (!chance(0.04)) continue;
  statement("RESET ROLE");
  statement("SELECT * FROM t ORDER BY id");
  statement("SET ROLE g_b");
}
process.stdout.write(`${records.join("\n").trimEnd()}\n`);
