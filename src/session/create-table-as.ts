/** CREATE TABLE AS and SELECT INTO: a table of a query's columns, filled with its rows. */
import { DbError, notSupported } from "../base/errors.js";
import type { TableDesc } from "../model/schema.js";
import type { Value } from "../model/value.js";
import type { CreateTableAs, Query } from "../sql/ast.js";
import { DdlContext } from "./ddl/context.js";
import { alreadyThere, type DraftColumn, placeTable } from "./ddl/index.js";
import { checkColumnNames, refuseShard, storageOptions } from "./ddl/tables.js";
import type { UtilityResult } from "./prepared.js";
import { planQuery } from "./queries.js";
import type { ServerSession } from "./session.js";
import { retrying } from "./transaction.js";

export async function runCreateTableAs(session: ServerSession, ast: CreateTableAs): Promise<UtilityResult> {
  if (ast.materialized) throw notSupported("CREATE MATERIALIZED VIEW", ast.position);
  if (ast.persistence === "temporary") throw notSupported("temporary tables", ast.position);
  if (ast.source.kind === "execute") throw notSupported("CREATE TABLE AS EXECUTE", ast.position);
  refuseShard(ast.shard);
  session.refuseWhileTrying("CREATE TABLE AS");
  const ddl = new DdlContext(session);
  const schema = ddl.creationSchema(ast.name);
  if (alreadyThere(ddl, schema, ast.name.name, ast.ifNotExists)) return { tag: "CREATE TABLE AS" };
  const query = ast.source as Query;
  const plan = await session.lockedPlan(() =>
    planQuery(query, session.bindEnv([], undefined, true), session),
  );
  if (ast.columns.length > plan.columns.length)
    throw new DbError("syntaxError", "too many column names were specified");
  const columns = plan.columns.map(
    (column, at): DraftColumn => ({
      // A bare literal has no type of its own: it is text.
      desc: {
        name: ast.columns[at] ?? column.name,
        type: column.type.oid === 705 ? { oid: 25, typmod: -1 } : column.type,
        notNull: false,
      },
    }),
  );
  checkColumnNames(columns.map((column) => column.desc.name));
  const table: TableDesc = await placeTable(
    ddl,
    schema,
    ast.name.name,
    ast.persistence,
    columns,
    storageOptions(ast.with),
  );
  if (!ast.withData) return { tag: "CREATE TABLE AS" };
  session.auditUse(plan);
  const rows = session.transaction.rows();
  const into = session.shard.table(ddl.draft, table.id);
  const count = await session.runPlanned(plan, async (batch) => {
    const row: Value[] = new Array(columns.length).fill(null);
    for (let at = 0; at < batch.length; at++) {
      for (let column = 0; column < row.length; column++) row[column] = batch.columns[column]![at]!;
      await retrying(() => into.insert(rows, row));
    }
    await session.breathe();
  });
  return { tag: `SELECT ${count}` };
}
