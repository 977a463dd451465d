/**
 * Expressions and queries that the catalog keeps as text: deparsed with qualified names, bound anew where they are used.
 *
 * Invariants: stored text means the same under any search path; when something it names is renamed, it is written anew
 * in the same change.
 */
import { DbError } from "../../base/errors.js";
import { evaluateConstant } from "../../exec/index.js";
import type {
  CatalogReader,
  ColumnDesc,
  ConstraintDesc,
  IndexDesc,
  ObjectId,
  TableDesc,
  TypeRef,
} from "../../model/schema.js";
import { defaultSettings, formatType, typeOutput } from "../../model/types.js";
import type { Expr, Query } from "../../sql/ast.js";
import { findCast, quoteIdentifier } from "../../sql/functions/index.js";
import {
  type BindEnv,
  bindTableExpression,
  deparseExpr,
  isImmutable,
  isVolatile,
  renamePolicy,
  renameView,
  storePolicyExpression,
  storeQuery,
  storeTableExpression,
  type TableExpression,
} from "../../sql/index.js";
import type { DdlContext } from "./context.js";

export interface StoredExpression {
  readonly sql: string;
  readonly type: TypeRef;
  /** Table positions it reads. */
  readonly columns: readonly number[];
  /** It is nothing but this column. */
  readonly column?: number | undefined;
}

function envOf(ddl: DdlContext): BindEnv {
  return { ...ddl.session.bindEnv([]), access: undefined, parametersFixed: true, catalog: ddl.draft };
}

/** Stored text is read without a search path. */
function storedEnv(ddl: DdlContext): BindEnv {
  return { ...envOf(ddl), searchPath: [] };
}

function mustFit(sqlType: TypeRef, column: ColumnDesc): void {
  if (sqlType.oid === column.type.oid) return;
  throw new DbError(
    "datatypeMismatch",
    `column "${column.name}" is of type ${formatType(column.type.oid, column.type.typmod)} but default expression is of type ${formatType(sqlType.oid, -1)}`,
    { hint: "You will need to rewrite or cast the expression." },
  );
}

/** undefined: DEFAULT NULL is no default. */
export function storedDefault(ddl: DdlContext, expr: Expr, column: ColumnDesc): string | undefined {
  if (expr.kind === "null") return undefined;
  const stored = storeTableExpression(expr, undefined, "default", envOf(ddl), column.type);
  mustFit(stored.type, column);
  return stored.sql;
}

export function storedCheck(
  ddl: DdlContext,
  table: TableDesc,
  expr: Expr,
): { readonly sql: string; readonly columns: readonly number[] } {
  const stored = storeTableExpression(expr, table, "check", envOf(ddl));
  ddl.mustSee(table, stored.columns);
  return stored;
}

/** A policy's USING or WITH CHECK; text is one that is stored already. */
export function storedPolicy(
  ddl: DdlContext,
  table: TableDesc,
  source: Expr | string,
): { readonly sql: string; readonly dependsOn: readonly (readonly [ObjectId, number])[] } {
  return storePolicyExpression(source, table, typeof source === "string" ? storedEnv(ddl) : envOf(ddl));
}

export function storedExpression(
  ddl: DdlContext,
  table: TableDesc,
  expr: Expr,
  what: "index expression" | "index predicate",
): StoredExpression {
  const clause = what === "index expression" ? "indexExpression" : "indexPredicate";
  const bound = bindTableExpression(expr, table, clause, envOf(ddl));
  ddl.mustSee(table, bound.columns);
  if (!isImmutable(bound.expr)) {
    throw new DbError("invalidObjectDefinition", `functions in ${what} must be marked IMMUTABLE`, {
      position: "position" in expr ? expr.position : undefined,
    });
  }
  return {
    sql: deparsed(bound, table),
    type: bound.expr.type,
    columns: bound.columns,
    ...(bound.expr.kind === "column" ? { column: bound.expr.column } : {}),
  };
}

function deparsed(bound: TableExpression, table: TableDesc | undefined): string {
  return deparseExpr(bound.expr, {
    column: (_, column) => quoteIdentifier(table?.columns[column]?.name ?? "?"),
  });
}

export function storedView(
  ddl: DdlContext,
  query: Query,
  names: readonly string[],
): {
  readonly sql: string;
  readonly columns: readonly ColumnDesc[];
  readonly dependsOn: readonly (readonly [ObjectId, number])[];
} {
  const stored = storeQuery(query, envOf(ddl));
  if (names.length > stored.columns.length) {
    throw new DbError("invalidTableDefinition", "CREATE VIEW specifies more column names than columns");
  }
  const columns = stored.columns.map(
    (column, at): ColumnDesc => ({
      name: names[at] ?? column.name,
      type: column.type.oid === 705 ? { oid: 25, typmod: -1 } : column.type,
      notNull: false,
    }),
  );
  const seen = new Set<string>();
  for (const { name } of columns) {
    if (seen.has(name)) throw new DbError("duplicateColumn", `column "${name}" specified more than once`);
    seen.add(name);
  }
  return { sql: stored.sql, columns, dependsOn: stored.dependsOn };
}

/** Text of the one value that all existing rows take: null for SQL NULL, undefined when each row needs its own. */
export function constantDefault(ddl: DdlContext, column: ColumnDesc): string | null | undefined {
  const { expr } = bindTableExpression(column.defaultSql!, undefined, "default", storedEnv(ddl), column.type);
  if (isVolatile(expr)) return undefined;
  const value = evaluateConstant(expr, ddl.session.constantContext());
  return value === null ? null : typeOutput(column.type.oid, value, defaultSettings);
}

/** Whether a column's default reads this sequence. */
export function defaultReads(column: ColumnDesc, sequenceId: ObjectId): boolean {
  if (column.sequenceId === sequenceId) return true;
  // Constants of type regclass are kept by number.
  return column.defaultSql!.includes(`'${sequenceId}'::regclass`);
}

type Clause = "check" | "default" | "indexExpression" | "indexPredicate";

/**
 * Call before names change; the answer, called after, writes every stored text anew that mentions what was renamed.
 * Texts are bound under the old names and deparsed under the new.
 */
export function renamedSql(ddl: DdlContext): () => void {
  const env = storedEnv(ddl);
  const again: ((catalog: CatalogReader) => void)[] = [];
  const bind = (sql: string, table: TableDesc | undefined, clause: Clause): (() => string) => {
    const bound = bindTableExpression(sql, table, clause, env);
    return () =>
      deparsed(bound, table === undefined ? undefined : (ddl.draft.relationById(table.id) as TableDesc));
  };
  for (const object of [...ddl.draft.objects()]) {
    switch (object.kind) {
      case "table": {
        const defaults = object.columns.map((column) =>
          column.defaultSql === undefined || column.dropped === true
            ? undefined
            : defaultAgain(ddl, object, column, bind),
        );
        if (defaults.some((one) => one !== undefined)) {
          again.push(() => {
            const table = ddl.draft.relationById(object.id) as TableDesc;
            const columns = table.columns.map((column, place) => {
              const defaultSql = defaults[place]?.();
              return defaultSql === undefined || defaultSql === column.defaultSql
                ? column
                : { ...column, defaultSql };
            });
            if (columns.some((column, place) => column !== table.columns[place]))
              ddl.draft.put({ ...table, columns });
          });
        }
        break;
      }
      case "constraint": {
        if (object.type !== "check") break;
        const text = bind(object.expressionSql, ddl.draft.relationById(object.tableId) as TableDesc, "check");
        again.push(() => {
          const constraint = ddl.draft.get(object.id) as ConstraintDesc & { type: "check" };
          const expressionSql = text();
          if (expressionSql !== constraint.expressionSql) ddl.draft.put({ ...constraint, expressionSql });
        });
        break;
      }
      case "index": {
        if (
          object.predicateSql === undefined &&
          object.columns.every((key) => key.expressionSql === undefined)
        )
          break;
        const table = ddl.draft.relationById(object.tableId) as TableDesc;
        const keys = object.columns.map((key) =>
          key.expressionSql === undefined ? undefined : bind(key.expressionSql, table, "indexExpression"),
        );
        const predicate =
          object.predicateSql === undefined ? undefined : bind(object.predicateSql, table, "indexPredicate");
        again.push(() => {
          const index = ddl.draft.indexById(object.id) as IndexDesc;
          ddl.draft.put({
            ...index,
            columns: index.columns.map((key, place) => {
              const expressionSql = keys[place]?.();
              return expressionSql === undefined ? key : { ...key, expressionSql };
            }),
            ...(predicate === undefined ? {} : { predicateSql: predicate() }),
          });
        });
        break;
      }
      case "view": {
        const text = renameView(object, env);
        again.push((catalog) => {
          const view = ddl.draft.relationById(object.id);
          const querySql = text(catalog);
          if (view?.kind === "view" && querySql !== view.querySql) ddl.draft.put({ ...view, querySql });
        });
        break;
      }
      case "policy": {
        const table = ddl.draft.relationById(object.tableId) as TableDesc;
        const anew = (sql: string | undefined): ((catalog: CatalogReader) => string) | undefined =>
          sql === undefined ? undefined : renamePolicy(sql, table, env);
        const using = anew(object.usingSql);
        const check = anew(object.checkSql);
        again.push((catalog) => {
          const policy = ddl.draft.policyByName(object.tableId, object.name);
          if (policy === undefined) return;
          const usingSql = using?.(catalog);
          const checkSql = check?.(catalog);
          if (usingSql !== policy.usingSql || checkSql !== policy.checkSql)
            ddl.draft.put({ ...policy, usingSql, checkSql });
        });
        break;
      }
      default:
        break;
    }
  }
  return () => {
    for (const step of again) step(ddl.draft);
  };
}

/** A serial's default names its sequence in a text constant, which no deparser could follow. */
function defaultAgain(
  ddl: DdlContext,
  table: TableDesc,
  column: ColumnDesc,
  bind: (sql: string, table: TableDesc | undefined, clause: Clause) => () => string,
): () => string {
  if (column.sequenceId !== undefined && column.identity === undefined) {
    const sequence = ddl.draft.relationById(column.sequenceId);
    const before = sequence === undefined ? "" : sequenceText(ddl, sequence);
    if (column.defaultSql === `nextval('${before}'::regclass)`) {
      return () => `nextval('${sequenceText(ddl, ddl.draft.relationById(column.sequenceId!)!)}'::regclass)`;
    }
  }
  void table;
  return bind(column.defaultSql!, undefined, "default");
}

function sequenceText(
  ddl: DdlContext,
  sequence: { readonly name: string; readonly schemaId: ObjectId },
): string {
  const schema = ddl.draft.schemaById(sequence.schemaId)?.name ?? "";
  return `${quoteIdentifier(schema)}.${quoteIdentifier(sequence.name)}`.replaceAll("'", "''");
}

/** How the rows of a table read while a column's type changes, and the column's default in its new type. */
export function storedAlterUsing(
  ddl: DdlContext,
  table: TableDesc,
  place: number,
  type: TypeRef,
  using: Expr | undefined,
): { readonly selectList: string; readonly defaultSql?: string | undefined } {
  const column = table.columns[place]!;
  const name = formatType(type.oid, type.typmod);
  const conversion =
    using === undefined
      ? { sql: quoteIdentifier(column.name), type: column.type, columns: [place] }
      : storeTableExpression(using, table, "indexExpression", envOf(ddl));
  ddl.mustSee(table, conversion.columns);
  if (
    conversion.type.oid !== type.oid &&
    findCast(conversion.type.oid, type.oid, "assignment") === undefined
  ) {
    if (using !== undefined) {
      throw new DbError(
        "datatypeMismatch",
        `result of USING clause for column "${column.name}" cannot be cast automatically to type ${name}`,
        { hint: "You might need to add an explicit cast." },
      );
    }
    throw new DbError(
      "datatypeMismatch",
      `column "${column.name}" cannot be cast automatically to type ${name}`,
      {
        hint: `You might need to specify "USING ${quoteIdentifier(column.name)}::${name}".`,
      },
    );
  }
  const selectList = table.columns
    .map((one, at) =>
      one.dropped === true
        ? "NULL"
        : at === place
          ? `CAST((${conversion.sql}) AS ${name})`
          : quoteIdentifier(one.name),
    )
    .join(", ");
  if (column.defaultSql === undefined) return { selectList };
  const converted = storeTableExpression(column.defaultSql, undefined, "default", storedEnv(ddl), type);
  if (converted.type.oid !== type.oid) {
    throw new DbError(
      "datatypeMismatch",
      `default for column "${column.name}" cannot be cast automatically to type ${name}`,
    );
  }
  return { selectList, defaultSql: converted.sql };
}
