// Writes src/session/views/shapes.ts: names, ids and columns of PostgreSQL's system catalogs, asked of a running
// PostgreSQL 15 (`node scripts/catalog-shapes.mjs postgres://…`). Clients rely on exact columns, in order, also of
// catalogs that are empty here; facts such as these are best taken from the source.
import { writeFileSync } from "node:fs";
import pg from "pg";

const client = new pg.Client(process.argv[2]);
await client.connect();
const { rows } = await client.query(`
  select n.nspname, c.relname, c.oid::int as oid, c.relkind,
         string_agg(a.attname || ' ' || case when t.typtype = 'd' then t.typbasetype else a.atttypid end
                    || case when a.attnotnull then '!' else '' end, ',' order by a.attnum) as columns
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
  join pg_type t on t.oid = a.atttypid
  where n.nspname in ('pg_catalog', 'information_schema') and c.relkind in ('r', 'v') and c.relname !~ '^pg_toast'
  group by 1, 2, 3, 4 order by 1, 2`);
await client.end();
const lines = rows.map(
  (row) =>
    `  [${JSON.stringify(row.nspname)}, ${JSON.stringify(row.relname)}, ${row.oid}, ${JSON.stringify(row.relkind)}, ${JSON.stringify(row.columns)}],`,
);
writeFileSync(
  new URL("../src/session/views/shapes.ts", import.meta.url),
  `/**
 * Names, ids and columns of PostgreSQL 15's system catalogs, made by scripts/catalog-shapes.mjs. A column is written
 * as its name, its type's OID and "!" when it is never NULL; columns of a domain type carry the base type.
 */
// biome-ignore format: one relation a line
export const catalogShapes: readonly (readonly [schema: string, name: string, oid: number, kind: "r" | "v", columns: string])[] = [
${lines.join("\n")}
];
`,
);
